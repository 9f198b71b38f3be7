/* Reading and writing at a place in a file, whole or with a message. A full disk is VG_NO_SPACE, everything else VG_INVALID. */
#ifndef VOXGRAD_STORE_IO_H
#define VOXGRAD_STORE_IO_H

#include "voxgrad/base.h"

/* The failure that errno tells: "PATH: WHAT: No space left on device". */
vg_status vg_io_fail(const char *path, const char *what);

vg_status vg_io_open(const char *path, int flags, int *descriptor);
vg_status vg_io_write(int descriptor, const char *path, const void *data, size_t size, int64_t at);
vg_status vg_io_read(int descriptor, const char *path, void *data, size_t size, int64_t at);

/* Continues `crc` over bytes at .. at + size - 1 of a file. */
vg_status vg_io_crc(int descriptor, const char *path, int64_t at, int64_t size, uint32_t *crc);

/* Takes the space of the first `size` bytes now, where the file system can. Errors: VG_NO_SPACE. */
vg_status vg_io_reserve(int descriptor, const char *path, int64_t size);

vg_status vg_io_sync(int descriptor, const char *path);
vg_status vg_io_sync_folder(const char *file);
vg_status vg_io_rename(const char *from, const char *to);

/* A whole small file, new, on the disk when this returns. */
vg_status vg_io_put(const char *path, const void *data, size_t size);

#endif
