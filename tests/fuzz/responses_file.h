/* responses_file: bytes as a file, for readers that go through libraries which want a path. */
#ifndef VOXGRAD_TESTS_RESPONSES_FILE_H
#define VOXGRAD_TESTS_RESPONSES_FILE_H

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "voxgrad/brain.h"

static inline void try_responses(const char *extension, const uint8_t *bytes, size_t size)
{
    char path[64];
    vg_responses *responses;
    const char *opened = path;
    snprintf(path, sizeof path, "/tmp/vg_fuzz_%ld%s", (long)getpid(), extension);
    FILE *file = fopen(path, "wb");
    if (file == NULL || fwrite(bytes, 1, size, file) != size || fclose(file) != 0)
        abort();
    if (vg_responses_open(&opened, 1, NULL, &responses) == VG_OK) {
        int64_t rows = vg_responses_rows(responses), voxels = vg_responses_voxels(responses);
        if (rows < 1 || voxels < 1)
            abort();
        float *data = rows < 100000 && voxels < 1000 ? malloc((size_t)(rows * voxels) * sizeof *data) : NULL;
        if (data != NULL && vg_responses_read(responses, 0, (vg_matrix){data, rows, voxels, voxels}) != VG_OK)
            abort();
        free(data);
        vg_responses_close(responses);
    }
    unlink(path);
}

#endif
