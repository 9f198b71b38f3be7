/* gifti_image: the one way a GIFTI file is opened, for responses, labels (gifti.c) and surfaces (surface.c). */
#ifndef VOXGRAD_SRC_BRAIN_GIFTI_IMAGE_H
#define VOXGRAD_SRC_BRAIN_GIFTI_IMAGE_H

#include <gifti_io.h>

#include "voxgrad/base.h"

/* Every array of it has data; to be given to gifti_free_image. Errors: VG_INVALID (not there, not GIFTI, cut off, without data). */
vg_status vg_gifti_open(const char *path, gifti_image **image);

/* What giftiio does not look at before it reads (gifti_check.c). Errors: VG_INVALID (where, what). */
vg_status vg_gifti_check(const char *path, const vg_file *file);

#endif
