/* safetensors: the named tensors of a Hugging Face folder, checked and memory-mapped. */
#ifndef VOXGRAD_LM_SAFETENSORS_H
#define VOXGRAD_LM_SAFETENSORS_H

#include "voxgrad/base.h"

typedef enum { VG_TENSOR_F32, VG_TENSOR_F16, VG_TENSOR_BF16, VG_TENSOR_OTHER } vg_tensor_type;

enum { VG_TENSOR_DIMENSIONS = 8 };

typedef struct {
    char *name;
    const char *path; /* the file it is in; owned by the collection */
    vg_tensor_type type;
    char type_name[8]; /* as the file says: "F32", "I64" */
    int dimensions;
    int64_t shape[VG_TENSOR_DIMENSIONS], count;
    const uint8_t *data; /* little-endian, perhaps not aligned */
} vg_tensor;

typedef struct {
    vg_file *files;
    char **paths;
    vg_tensor *tensors; /* sorted by name once opened */
    int64_t file_count, path_count, count, room;
} vg_tensors;

/* Opens FOLDER/model.safetensors or, where there is none, every file of FOLDER/model.safetensors.index.json.
 * `tensors` is the caller's (vg_tensors_close), also after an error.
 * Errors: VG_INVALID (file, tensor and what is wrong with its type, shape or place), VG_NO_MEMORY. */
vg_status vg_tensors_open(const char *folder, vg_tensors *tensors);

/* Adds the tensors of one file's bytes, which must outlive the collection (any bytes: what fuzzers call). `path` is for messages. */
vg_status vg_tensors_parse(const char *path, const uint8_t *data, size_t size, vg_tensors *tensors);

/* Lets the files' pages leave memory, until they are read again. */
void vg_tensors_forget(const vg_tensors *tensors);

void vg_tensors_close(vg_tensors *tensors);

/* The tensor of that name, or NULL. Only of an opened collection. */
const vg_tensor *vg_tensors_find(const vg_tensors *tensors, const char *name);

/* A tensor's `count` values as float32. Errors: VG_INVALID (not F32, F16 or BF16; a value that is not finite, with its place). */
vg_status vg_tensor_read(const vg_tensor *tensor, float *values);

/* "(2, 3)", in one of a few static buffers of the thread. */
const char *vg_shape_text(int dimensions, const int64_t *shape);

#endif
