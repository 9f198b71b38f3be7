/* HDF5 without its own error messages: every fault becomes voxgrad's, with file and object. */
#ifndef VOXGRAD_STORE_H5_H
#define VOXGRAD_STORE_H5_H

#include <hdf5.h>

#include "layout.h"

/* Silences HDF5's error stack; to be called before anything else of HDF5. */
void vg_h5_quiet(void);

/* "FILE: OBJECT: WHAT (HDF5: its innermost words)"; VG_NO_SPACE instead of `status` where the disk is full. `object` may be NULL. */
vg_status vg_h5_fail(vg_status status, const char *file, const char *object, const char *what);

/* Access: plain files, no locks of HDF5's own (many parallel file systems have none), the earliest format. -1 on failure. */
hid_t vg_h5_access(void);

/* The file type of a layout's element, to be closed; -1 on failure. */
hid_t vg_h5_type(vg_store_type type, size_t size);

/* What the file of a layout needs at most, bytes, found in memory: HDF5 does not survive a full disk, so it must not meet one.
 * Errors: VG_INVALID (a path twice, a dataset below a dataset), VG_NO_SPACE (more than any disk has). */
vg_status vg_h5_measure(const vg_layout *layout, int64_t *bytes);

/* Makes the file of a layout, all names and all space; nothing is left where that fails.
 *   offsets  (entry_count) where each dataset's data begin in the file, bytes */
vg_status vg_h5_build(const char *path, const vg_layout *layout, int64_t *offsets);

#endif
