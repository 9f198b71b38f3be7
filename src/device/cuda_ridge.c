/* cuda_ridge: the ridge operations that are more than one launch. Responses lie in the host's memory, a file's view that may be larger than
 * the device's: their rows are packed into two pinned buffers in turn, one filled while the other travels on the stream of copies. A tile
 * that is told of ahead travels to memory of its own while the one before it is worked on, piece by piece, whenever a buffer is free and
 * the host has nothing else to do. */
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

/* A tile as pieces that fit into a pinned buffer: `down` times some rows, `across` times some columns. */
typedef struct {
    int64_t rows, columns, down, count; /* of a piece; pieces below each other; of all */
} cut;

static cut cut_tile(const vg_ridge_center *c)
{
    int64_t size = c->from == VG_F32 ? 4 : 8, most = PINNED_BYTES / size;
    cut pieces = {.columns = c->columns < most ? c->columns : most};
    pieces.rows = most / pieces.columns;
    pieces.down = (c->rows + pieces.rows - 1) / pieces.rows;
    pieces.count = pieces.down * ((c->columns + pieces.columns - 1) / pieces.columns);
    return pieces;
}

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* Piece i of the tile to its place in `there` (rows, columns), dense, through the pinned buffer whose turn it is. */
static vg_status send_piece(vg_device *d, const vg_ridge_center *c, int64_t i, void *there)
{
    vg_cuda *cuda = vg_cuda_of(d);
    cut pieces = cut_tile(c);
    int64_t first = i % pieces.down * pieces.rows, column = i / pieces.down * pieces.columns;
    int64_t rows = least(pieces.rows, c->rows - first), columns = least(pieces.columns, c->columns - column);
    size_t size = c->from == VG_F32 ? sizeof(float) : sizeof(double), wide = (size_t)columns * size, pitch = (size_t)c->columns * size;
    void *buffer = cuda->pinned[i % VG_PINNED];
    VG_CUDA(d, cudaEventSynchronize(cuda->copied[i % VG_PINNED]));
    pack(c, size, first, rows, column, columns, buffer);
    VG_CUDA(d, cudaMemcpy2DAsync((char *)there + (size_t)first * pitch + (size_t)column * size, pitch, buffer, wide, wide, (size_t)rows,
                                 cudaMemcpyHostToDevice, cuda->copies));
    VG_CUDA(d, cudaEventRecord(cuda->copied[i % VG_PINNED], cuda->copies));
    return VG_OK;
}

/* The pieces from `first` on; the work after them waits for all. */
static vg_status send_rest(vg_device *d, const vg_ridge_center *c, int64_t first, void *there)
{
    vg_cuda *cuda = vg_cuda_of(d);
    int64_t count = cut_tile(c).count;
    for (int64_t i = first; i < count; i++)
        VG_TRY(send_piece(d, c, i, there));
    for (int i = 0; i < VG_PINNED; i++)
        VG_CUDA(d, cudaStreamWaitEvent(cuda->compute, cuda->copied[i], 0));
    return VG_OK;
}

/* The whole tile, once the work that may still read what is there is done. */
static vg_status send(vg_device *d, const vg_ridge_center *c, void *there)
{
    vg_cuda *cuda = vg_cuda_of(d);
    VG_TRY(take_pinned(d));
    VG_CUDA(d, cudaEventRecord(cuda->computed, cuda->compute));
    VG_CUDA(d, cudaStreamWaitEvent(cuda->copies, cuda->computed, 0));
    return send_rest(d, c, 0, there);
}

static bool is_same(const vg_ridge_center *a, const vg_ridge_center *b)
{
    return a->y == b->y && a->order == b->order && a->rows == b->rows && a->columns == b->columns && a->ld == b->ld && a->from == b->from;
}

/* Room for a tile, which the copies wait for until the last one has been used. */
static vg_status begin_ahead(vg_device *d, const vg_ridge_center *c)
{
    vg_cuda *cuda = vg_cuda_of(d);
    size_t bytes = (size_t)(c->rows * c->columns) * (c->from == VG_F32 ? sizeof(float) : sizeof(double));
    cuda->ahead.tile = (vg_ridge_center){0};
    VG_TRY(take_pinned(d));
    if (bytes > cuda->ahead.size) {
        vg_cuda_free(d, cuda->ahead.memory);
        cuda->ahead.memory = NULL;
        cuda->ahead.size = 0;
        VG_TRY(vg_cuda_allocate(d, bytes, &cuda->ahead.memory));
        cuda->ahead.size = bytes;
    }
    VG_CUDA(d, cudaStreamWaitEvent(cuda->copies, cuda->ahead.read, 0));
    cuda->ahead.tile = *c;
    cuda->ahead.sent = 0;
    return VG_OK;
}

vg_status vg_cuda_ridge_ahead(vg_device *d, const vg_ridge_center *c)
{
    vg_cuda *cuda = vg_cuda_of(d);
    if (c == NULL || c->rows <= 0 || c->columns <= 0) {
        cuda->ahead.tile = (vg_ridge_center){0};
        return VG_OK;
    }
    if (!is_same(&cuda->ahead.tile, c))
        VG_TRY(begin_ahead(d, c));
    int64_t count = cut_tile(c).count;
    for (int i = 0; i < VG_PINNED && cuda->ahead.sent < count; i++) {
        cudaError_t state = cudaEventQuery(cuda->copied[cuda->ahead.sent % VG_PINNED]);
        if (state == cudaErrorNotReady) {
            cudaGetLastError(); /* or the next launch would be taken for a failed one */
            return VG_OK;
        }
        VG_TRY(vg_cuda_check(d, state, "cudaEventQuery(", __FILE__, __LINE__));
        VG_TRY(send_piece(d, c, cuda->ahead.sent, cuda->ahead.memory));
        cuda->ahead.sent++;
    }
    return VG_OK;
}

vg_status vg_cuda_ridge_center(vg_device *d, const vg_ridge_center *c)
{
    vg_cuda *cuda = vg_cuda_of(d);
    void *there = c->centred;
    if (c->columns <= 0)
        return VG_OK;
    bool ahead = c->rows > 0 && is_same(&cuda->ahead.tile, c);
    if (ahead)
        there = cuda->ahead.memory;
    else if (c->from != c->type)
        VG_TRY(vg_cuda_scratch(d, (size_t)(c->rows * c->columns) * (c->from == VG_F32 ? sizeof(float) : sizeof(double)), &there));
    cuda->ahead.tile = (vg_ridge_center){0};
    VG_TRY(ahead ? send_rest(d, c, cuda->ahead.sent, there) : send(d, c, there));
    VG_CUDA(d, vg_gpu_ridge_center(cuda->compute, c, there));
    if (ahead)
        VG_CUDA(d, cudaEventRecord(cuda->ahead.read, cuda->compute));
    return VG_OK;
}

vg_status vg_cuda_ridge_score(vg_device *d, const vg_ridge_score *s)
{
    void *gram;
    VG_TRY(vg_cuda_scratch(d, (size_t)vg_gpu_ridge_gram_size(s) * sizeof(double), &gram));
    VG_CUDA(d, vg_gpu_ridge_score(vg_cuda_of(d)->compute, s, gram));
    return VG_OK;
}
