/* score: what all penalties score at once (device.h, vg_ridge_score and vg_ridge_quadratic), in double.
 *   gram       the products of a voxel's vectors, r basis functions and its responses, over the held-out rows: gram (padded, padded,
 *              columns), padded = r + 1 up to a multiple of 4. A block takes 32 voxels and 4 x 4 pairs, its 8 warps a slice of the rows
 *              each, 16 sums in registers; slices are added in order. Reads (r + 1) rows columns elements, from cache again for every
 *              further 4 vectors; (r + 1)(r + 2) rows columns FLOPs.
 *   predict    a thread a voxel and penalty: b = c' products' y, Q = c' products' products c, o = c' offset;
 *              8 (r + 1)(r + 2) / 2 bytes a voxel, from cache for all penalties but the first.
 *   quadratic  a thread a voxel and 4 penalties: four sums over n directions; 32 n columns bytes, 8 n columns penalties FLOPs.
 * Occupancy on sm_90: gram 32 kB shared, 96 registers, blocks of 256: 16 of 64 warps; predict 48 registers: 40; quadratic 96: 20. */
#include "common.h"

enum { SLICES = 8, TILE = 4 };

static int64_t padded_vectors(const vg_ridge_score *s)
{
    return (s->rank + 1 + TILE - 1) / TILE * TILE;
}

int64_t vg_gpu_ridge_gram_size(const vg_ridge_score *s)
{
    return padded_vectors(s) * padded_vectors(s) * s->columns;
}

/* Element (t, v) of vector j: a basis function's predictions, the responses, or, in the padding, nothing. */
template <class T>
static __device__ double element(int64_t rows, int64_t columns, int64_t rank, const T *products, const T *y, int64_t j, int64_t t,
                                 int64_t v)
{
    if (j > rank)
        return 0.0;
    return (double)(j < rank ? products[(j * rows + t) * columns + v] : y[t * columns + v]);
}

template <class T>
static __global__ void gram(int64_t rows, int64_t columns, int64_t rank, int64_t padded, const T *products, const T *y, double *out)
{
    __shared__ double part[SLICES][TILE * TILE][WARP];
    int64_t v = (int64_t)blockIdx.x * WARP + threadIdx.x, jb = 0, lb = blockIdx.y * TILE;
    for (; lb >= padded - jb; jb += TILE) /* the tiles of the upper half, row after row */
        lb -= padded - jb;
    lb += jb;
    double sum[TILE][TILE] = {};
    for (int64_t t = threadIdx.y; v < columns && t < rows; t += SLICES) {
        double a[TILE], b[TILE];
#pragma unroll
        for (int j = 0; j < TILE; j++) {
            a[j] = element(rows, columns, rank, products, y, jb + j, t, v);
            b[j] = element(rows, columns, rank, products, y, lb + j, t, v);
        }
#pragma unroll
        for (int j = 0; j < TILE; j++)
#pragma unroll
            for (int l = 0; l < TILE; l++)
                sum[j][l] += a[j] * b[l];
    }
#pragma unroll
    for (int j = 0; j < TILE; j++)
#pragma unroll
        for (int l = 0; l < TILE; l++)
            part[threadIdx.y][j * TILE + l][threadIdx.x] = sum[j][l];
    __syncthreads();
    for (int pair = (int)threadIdx.y; v < columns && pair < TILE * TILE; pair += SLICES) {
        double total = 0.0;
        for (int slice = 0; slice < SLICES; slice++)
            total += part[slice][pair][threadIdx.x];
        out[((jb + pair / TILE) * padded + lb + pair % TILE) * columns + v] = total;
    }
}

/* What a penalty's predictions of a voxel are: their products with the responses and with themselves, and their mean. */
struct predicted {
    double cross, size, offset;
};

static __device__ void add_scores(predicted p, int64_t held_out, double variance, double shift, bool constant, double weight, bool by_fold,
                                  double *correlation, double *loss)
{
    double n = (double)held_out, use = constant ? 0.0 : 1.0;
    if (correlation != NULL) {
        double scale = sqrt(p.size * variance);
        *correlation += weight * (scale > 0 ? use * p.cross / scale : 0.0);
    }
    if (loss != NULL) {
        double error = variance + n * shift * shift + use * (p.size + p.offset * p.offset - 2.0 * (p.cross + sqrt(n) * shift * p.offset));
        *loss += !by_fold ? error : variance > 0 ? weight * error / variance : weight;
    }
}

template <class T>
static __global__ void predict(int64_t columns, int64_t rank, int64_t padded, int64_t scored, const double *gram, const T *offset,
                               const double *coefficient, const int32_t *choice, int64_t held_out, const double *variance,
                               const double *shift, const uint8_t *constant, double weight, bool by_fold, double *correlation, double *loss)
{
    for (int64_t i = first_thread(); i < scored * columns; i += all_threads()) {
        int64_t v, a = divide(i, columns, &v);
        const double *c = coefficient + (choice != NULL ? choice[v] : a) * rank;
        predicted p = {};
        for (int64_t j = 0; j < rank; j++) {
            const double *row = gram + j * padded * columns + v;
            double inner = c[j] * row[j * columns];
            for (int64_t l = j + 1; l < rank; l++)
                inner += 2.0 * c[l] * row[l * columns];
            p.size += c[j] * inner;
            p.cross += c[j] * row[rank * columns];
            p.offset += loss != NULL ? c[j] * (double)offset[j * columns + v] : 0.0;
        }
        add_scores(p, held_out, variance[v], shift[v], constant[v] != 0, weight, by_fold, correlation != NULL ? correlation + i : NULL,
                   loss != NULL ? loss + i : NULL);
    }
}

/* SST of the held-out responses. */
static __global__ void add_totals(int64_t columns, int64_t held_out, const double *variance, const double *shift, double *total)
{
    for (int64_t v = first_thread(); v < columns; v += all_threads())
        total[v] += variance[v] + (double)held_out * shift[v] * shift[v];
}

/* Penalties that are scored: 0, all, or each voxel's own. */
static int64_t scored_penalties(const vg_ridge_score *s)
{
    return s->choice != NULL ? 1 : s->penalties;
}

static cudaError_t launch_totals(cudaStream_t stream, const vg_ridge_score *s)
{
    if (s->loss == NULL || s->by_fold)
        return cudaSuccess;
    return VG_LAUNCH_FLAT(add_totals, blocks_for(s->columns, THREADS), THREADS, stream, s->columns, s->held_out, s->variance, s->shift,
                          s->total);
}

template <class T> static cudaError_t launch_score(cudaStream_t stream, const vg_ridge_score *s, double *room)
{
    int64_t padded = padded_vectors(s), tiles = padded / TILE, scored = scored_penalties(s);
    dim3 grid((unsigned)((s->columns + WARP - 1) / WARP), (unsigned)(tiles * (tiles + 1) / 2));
    cudaError_t error = VG_LAUNCH((gram<T>), grid, dim3(WARP, SLICES), stream, s->rows, s->columns, s->rank, padded, (const T *)s->products,
                                  (const T *)s->y, room);
    if (error != cudaSuccess)
        return error;
    return VG_LAUNCH_FLAT((predict<T>), blocks_for(scored * s->columns, THREADS), THREADS, stream, s->columns, s->rank, padded, scored,
                          room, (const T *)s->offset, s->coefficient, s->choice, s->held_out, s->variance, s->shift, s->constant, s->weight,
                          s->by_fold, s->correlation, s->loss);
}

cudaError_t vg_gpu_ridge_score(cudaStream_t stream, const vg_ridge_score *s, double *room)
{
    if (s->columns <= 0)
        return cudaSuccess;
    cudaError_t error = launch_totals(stream, s);
    if (error != cudaSuccess || scored_penalties(s) <= 0)
        return error;
    return s->type == VG_F32 ? launch_score<float>(stream, s, room) : launch_score<double>(stream, s, room);
}

static __global__ void quadratic(int64_t columns, int64_t penalties, int64_t n, const double *z, const double *held, const double *far,
                                 const double *near, const double *diagonal, const double *lean, const double *filter, const double *slope,
                                 const int32_t *choice, int64_t held_out, const double *variance, const double *shift,
                                 const uint8_t *constant, double weight, bool by_fold, double *correlation, double *loss)
{
    int64_t first = (int64_t)blockIdx.y * TILE, scored = choice != NULL ? 1 : penalties;
    for (int64_t v = first_thread(); v < columns; v += all_threads()) {
        double cross[TILE] = {}, size[TILE] = {}, offset[TILE] = {};
        int64_t which[TILE];
#pragma unroll
        for (int a = 0; a < TILE; a++)
            which[a] = choice != NULL ? choice[v] : first + a < penalties ? first + a : penalties - 1;
        for (int64_t i = 0; i < n; i++) {
            int64_t at = i * columns + v;
            double here = z[at], close = near != NULL ? near[at] : diagonal[i] * here;
            double of_far = 2.0 * here * far[at], of_near = here * close, of_held = here * held[at], of_lean = here * lean[i];
#pragma unroll
            for (int a = 0; a < TILE; a++) {
                double d = filter[which[a] * n + i], e = slope[which[a] * n + i];
                size[a] += e * of_far + d * d * of_near;
                cross[a] += d * of_held;
                offset[a] += d * of_lean;
            }
        }
#pragma unroll
        for (int a = 0; a < TILE; a++)
            if (first + a < scored)
                add_scores(predicted{cross[a], size[a], offset[a]}, held_out, variance[v], shift[v], constant[v] != 0, weight, by_fold,
                           correlation != NULL ? correlation + (first + a) * columns + v : NULL,
                           loss != NULL ? loss + (first + a) * columns + v : NULL);
    }
}

cudaError_t vg_gpu_ridge_quadratic(cudaStream_t stream, const vg_ridge_quadratic *q)
{
    const vg_ridge_score *s = &q->score;
    int64_t scored = scored_penalties(s);
    if (s->columns <= 0)
        return cudaSuccess;
    cudaError_t error = launch_totals(stream, s);
    if (error != cudaSuccess || scored <= 0)
        return error;
    dim3 grid(blocks_for(s->columns, WARPS * WARP), (unsigned)((scored + TILE - 1) / TILE));
    return VG_LAUNCH_FLAT(quadratic, grid, WARPS * WARP, stream, s->columns, s->penalties, q->directions, q->z, q->held, q->far, q->near,
                          q->diagonal, q->lean, q->filter, q->slope, s->choice, s->held_out, s->variance, s->shift, s->constant, s->weight,
                          s->by_fold, s->correlation, s->loss);
}
