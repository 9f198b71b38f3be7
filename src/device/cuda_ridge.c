/* cuda_ridge: the ridge operations that are more than one launch. Responses lie in the host's memory, a file's view that may be larger than
 * the device's: their rows are packed into two pinned buffers in turn, one filled while the other travels on the stream of copies. */
#include <string.h>

#include "cuda_backend.h"
#include "kernels.h"

enum { PINNED_BYTES = 8 << 20 };

static vg_status take_pinned(vg_device *d)
{
    vg_cuda *cuda = vg_cuda_of(d);
    for (int i = 0; i < VG_PINNED; i++)
        if (cuda->pinned[i] == NULL)
            VG_CUDA(d, cudaHostAlloc(&cuda->pinned[i], PINNED_BYTES, cudaHostAllocDefault));
    return VG_OK;
}

/* Rows first .. first + rows - 1 of the tile, in its order, into host memory. */
static void pack(const vg_ridge_center *c, size_t size, int64_t first, int64_t rows, int64_t column, int64_t columns, char *to)
{
    for (int64_t t = first; t < first + rows; t++, to += (size_t)columns * size) {
        int64_t source = c->order != NULL ? c->order[t] : t;
        memcpy(to, (const char *)c->y + (size_t)(source * c->ld + column) * size, (size_t)columns * size);
    }
}

/* One piece of the tile through pinned buffer i. */
static vg_status send_piece(vg_device *d, const vg_ridge_center *c, int i, int64_t first, int64_t rows, int64_t column, int64_t columns,
                            void *there)
{
    vg_cuda *cuda = vg_cuda_of(d);
    size_t size = c->from == VG_F32 ? sizeof(float) : sizeof(double), wide = (size_t)columns * size, pitch = (size_t)c->columns * size;
    VG_CUDA(d, cudaEventSynchronize(cuda->copied[i]));
    pack(c, size, first, rows, column, columns, cuda->pinned[i]);
    VG_CUDA(d, cudaMemcpy2DAsync((char *)there + (size_t)first * pitch + (size_t)column * size, pitch, cuda->pinned[i], wide, wide,
                                 (size_t)rows, cudaMemcpyHostToDevice, cuda->copies));
    VG_CUDA(d, cudaEventRecord(cuda->copied[i], cuda->copies));
    return VG_OK;
}

/* The tile to `there` (rows, columns), dense, once the work that may still read what is there is done; the work after it waits for it. */
static vg_status send(vg_device *d, const vg_ridge_center *c, void *there)
{
    vg_cuda *cuda = vg_cuda_of(d);
    int64_t size = c->from == VG_F32 ? 4 : 8, across = c->columns < PINNED_BYTES / size ? c->columns : PINNED_BYTES / size;
    int64_t each = PINNED_BYTES / (across * size), piece = 0;
    VG_TRY(take_pinned(d));
    VG_CUDA(d, cudaEventRecord(cuda->computed, cuda->compute));
    VG_CUDA(d, cudaStreamWaitEvent(cuda->copies, cuda->computed, 0));
    for (int64_t column = 0; column < c->columns; column += across)
        for (int64_t first = 0; first < c->rows; first += each, piece++)
            VG_TRY(send_piece(d, c, (int)(piece % VG_PINNED), first, each < c->rows - first ? each : c->rows - first, column,
                              across < c->columns - column ? across : c->columns - column, there));
    for (int i = 0; i < VG_PINNED; i++)
        VG_CUDA(d, cudaStreamWaitEvent(cuda->compute, cuda->copied[i], 0));
    return VG_OK;
}

vg_status vg_cuda_ridge_center(vg_device *d, const vg_ridge_center *c)
{
    void *there = c->centred;
    if (c->columns <= 0)
        return VG_OK;
    if (c->from != c->type)
        VG_TRY(vg_cuda_scratch(d, (size_t)(c->rows * c->columns) * (c->from == VG_F32 ? sizeof(float) : sizeof(double)), &there));
    VG_TRY(send(d, c, there));
    VG_CUDA(d, vg_gpu_ridge_center(vg_cuda_of(d)->compute, c, there));
    return VG_OK;
}

vg_status vg_cuda_ridge_score(vg_device *d, const vg_ridge_score *s)
{
    void *gram;
    VG_TRY(vg_cuda_scratch(d, (size_t)vg_gpu_ridge_gram_size(s) * sizeof(double), &gram));
    VG_CUDA(d, vg_gpu_ridge_score(vg_cuda_of(d)->compute, s, gram));
    return VG_OK;
}
