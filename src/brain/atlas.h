/* atlas: what readers of atlases share. A reader fills labels and names from one file; atlas.c puts files side by side and picks the voxels
 * that the responses have. Adding a format: one file with a reader, one row in atlas.c. */
#ifndef VOXGRAD_SRC_BRAIN_ATLAS_H
#define VOXGRAD_SRC_BRAIN_ATLAS_H

#include "voxgrad/brain.h"

/* 'L' or 'R' where the file's name says which hemisphere it holds (lh. rh. hemi-L .L. _left ...), else '\0'. */
char vg_hemisphere_of(const char *path);

/* FreeSurfer's .annot from memory. The atlas is the caller's: vg_atlas_free. */
vg_status vg_annot_parse(const char *path, const uint8_t *bytes, size_t size, vg_atlas *atlas);

/* GIFTI's and NIfTI's labels. */
vg_status vg_gifti_labels(const char *path, const char *table, vg_atlas *atlas);
vg_status vg_nifti_labels(const char *path, const char *table, vg_atlas *atlas);

#endif
