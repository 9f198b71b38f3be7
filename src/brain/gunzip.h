/* gunzip: a compressed file as a path that a library which wants a path can open. */
#ifndef VOXGRAD_SRC_BRAIN_GUNZIP_H
#define VOXGRAD_SRC_BRAIN_GUNZIP_H

#include "voxgrad/base.h"

/* path: the file itself, or, for .gz, what it decompresses to; valid until vg_gunzip_close. */
typedef struct {
    char *path;
    int descriptor;
} vg_gunzipped;
vg_status vg_gunzip(const char *path, vg_gunzipped *file);
void vg_gunzip_close(vg_gunzipped *file);

#endif
