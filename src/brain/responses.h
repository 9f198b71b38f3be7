/* responses: what readers of responses share. A reader opens one file and says its shape; it is asked for ranges of columns. Adding a
 * format: one file with a reader, one row in responses.c. */
#ifndef VOXGRAD_SRC_BRAIN_RESPONSES_H
#define VOXGRAD_SRC_BRAIN_RESPONSES_H

#include "voxgrad/brain.h"

/* One file of a run. What a reader does not set stays NULL or 0. */
typedef struct {
    const char *path;
    void *state; /* the reader's own */
    int64_t rows, columns;
    char **names;    /* (columns) or NULL; the reader's */
    char hemisphere; /* of a surface: 'L', 'R' or '\0' */
    bool surface;
    vg_space space; /* of a volume: dimensions and affine */
} vg_response_file;

typedef struct {
    const char *name, *extensions[8];
    vg_status (*open)(vg_response_file *file);
    vg_status (*read)(const vg_response_file *file, int64_t first, vg_matrix out);
    void (*close)(vg_response_file *file);
} vg_response_format;

/* All columns of a run's files, whatever the mask; the one that voxel v is. */
int64_t vg_responses_columns(const vg_responses *responses);
int64_t vg_responses_column(const vg_responses *responses, int64_t v);

extern const vg_response_format vg_text_responses, vg_npy_responses, vg_hdf5_responses, vg_gifti_responses, vg_nifti_responses;

/* The same from memory, for the fuzzers: size bytes of a .npy; checks everything that opening checks. */
typedef struct {
    int64_t rows, columns, data; /* data: where the numbers begin */
    bool wide, big_endian, fortran;
} vg_npy_header;
vg_status vg_npy_parse(const char *path, const uint8_t *bytes, size_t size, vg_npy_header *header);

#endif
