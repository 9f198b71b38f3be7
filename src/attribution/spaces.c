/* spaces: the table of feature spaces. A new one is one row and one function; definitions are attribution.md's. */
#include <string.h>

#include "sweep.h"

/* A number a segment (row, word) into values (rows, K). */
static vg_status reduce_words(const vg_sweep *sweep, vg_reduction kind, const float *x, float *values)
{
    const vg_device_ops *ops = sweep->device->ops;
    int64_t rows = sweep->batch->rows, k = sweep->words;
    VG_TRY(ops->reduce(sweep->device, kind, rows * (k + 1), sweep->segment, sweep->width, x, NULL, sweep->reduced));
    VG_TRY(ops->down(sweep->device, sweep->host, sweep->reduced, (size_t)(rows * (k + 1)) * sizeof(float)));
    for (int64_t b = 0; b < rows; b++)
        memcpy(values + b * k, sweep->host + b * (k + 1) + 1, (size_t)k * sizeof(float));
    return VG_OK;
}

/* Sum (or mean) over a word's tokens of the L1 norm of df/dx_i. */
static vg_status gradient_norm(const vg_sweep *sweep, const vg_entry *entry, int64_t index, float *values)
{
    (void)index;
    VG_TRY(reduce_words(sweep, VG_L1, sweep->gradients, values));
    if (!entry->request.reduce_mean)
        return VG_OK;
    for (int64_t b = 0; b < sweep->batch->rows; b++)
        for (int64_t j = 0; j < sweep->words; j++) {
            const int32_t *segment = sweep->batch->segment + b * (sweep->words + 1) + 1 + j;
            int32_t tokens = segment[1] - segment[0];
            if (tokens > 1)
                values[b * sweep->words + j] /= (float)tokens;
        }
    return VG_OK;
}

/* L2 norm over all entries of a word's tokens of df/dx * x. */
static vg_status gradient_x_input(const vg_sweep *sweep, const vg_entry *entry, int64_t index, float *values)
{
    (void)entry, (void)index;
    int64_t entries = sweep->batch->rows * sweep->batch->length * sweep->width;
    VG_TRY(sweep->device->ops->hadamard(sweep->device, entries, sweep->gradients, sweep->x, 0.0f, sweep->product));
    return reduce_words(sweep, VG_L2, sweep->product, values);
}

/* The state that predicts the word: a block's output at the last position before it. */
static vg_status activations(const vg_sweep *sweep, const vg_entry *entry, int64_t index, float *values)
{
    const vg_device_ops *ops = sweep->device->ops;
    int64_t rows = sweep->batch->rows, width = sweep->width, layer = entry->layers[index];
    const float *from = sweep->tape->final;
    int64_t ld = width; /* the last block and the final norm were computed at the last position alone */
    if (layer < sweep->layers) {
        ld = sweep->batch->length * width;
        from = sweep->tape->layer[layer] + ld - width;
    } else if (layer == sweep->layers) {
        from = sweep->tape->layer[layer];
    }
    VG_TRY(ops->copy(sweep->device, sweep->product, width, from, ld, rows, width));
    return ops->down(sweep->device, values, sweep->product, (size_t)(rows * width) * sizeof(float));
}

static const vg_space spaces[] = {
    {"gradient_norm", .gradient = true, .sees_word = true, .compute = gradient_norm},
    {"gradient_x_input", .gradient = true, .sees_word = true, .compute = gradient_x_input},
    {"activations", .layered = true, .compute = activations},
};

enum { SPACES = sizeof spaces / sizeof *spaces };

const vg_space *vg_space_find(const char *method)
{
    for (int i = 0; i < SPACES; i++)
        if (strcmp(spaces[i].method, method) == 0)
            return &spaces[i];
    return NULL;
}

const char *const *vg_space_methods(void)
{
    static const char *methods[SPACES + 1];
    for (int i = 0; i < SPACES; i++)
        methods[i] = spaces[i].method;
    return methods;
}
