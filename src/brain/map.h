/* map: what writers of maps share. Apart from map.c because giftiio's and nifti2's headers cannot stand in one file. */
#ifndef VOXGRAD_SRC_BRAIN_MAP_H
#define VOXGRAD_SRC_BRAIN_MAP_H

#include "voxgrad/brain.h"

/* Writes values (volumes, k, j, i) as NIfTI-1 float32, or NIfTI-2 where a dimension is too large for it. */
vg_status vg_nifti_write(const char *path, const vg_space *space, float *values, int64_t volumes);

#endif
