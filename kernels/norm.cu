/* norm: LayerNorm (Ba et al. 2016, eq. 4) and RMSNorm (Zhang & Sennrich 2019, eq. 4) with vjp and jvp; x (rows, columns), a warp a row,
 * sums in double. With r = 1 / sqrt(mean square + eps) and u = (x - mean) r (RMSNorm: mean = 0; mean(g) and mean(dx) are for LayerNorm):
 *   norm  y = u weight + bias
 *   vjp   dx = r (g - mean(g) - u mean(g u)), g = weight dy
 *   jvp   dy = weight r (dx - mean(dx) - u mean(dx u))
 * A row is read from memory once, and again from cache: bytes, for n elements, norm 8 n, vjp 12 n (16 n where it adds), jvp
 * 4 n (1 + 2 directions). Occupancy on sm_90: no shared memory; 48 registers (norm), 62 (vjp), 70 (jvp), blocks of 4 warps: 40, 32, 28 of
 * 64 warps. */
#include "common.h"

struct moments {
    double mean;
    float r;
};

template <int WIDE> static __device__ moments row_moments(bool centre, float eps, int64_t n, const float *x)
{
    double sum = 0.0, square = 0.0;
    for (int64_t j = threadIdx.x * WIDE; centre && j < n; j += WARP * WIDE) {
        pack<WIDE> here = load<WIDE>(x + j);
        for (int w = 0; w < WIDE; w++)
            sum += (double)here.v[w];
    }
    double mean = centre ? warp_sum(sum) / (double)n : 0.0;
    for (int64_t j = threadIdx.x * WIDE; j < n; j += WARP * WIDE) {
        pack<WIDE> here = load<WIDE>(x + j);
        for (int w = 0; w < WIDE; w++)
            square += ((double)here.v[w] - mean) * ((double)here.v[w] - mean);
    }
    return moments{mean, (float)(1.0 / sqrt(warp_sum(square) / (double)n + (double)eps))};
}

static __device__ float unit(moments m, float x)
{
    return (x - (float)m.mean) * m.r;
}

/* The row of this warp; rows beyond the last are none. */
static __device__ int64_t row_of_warp()
{
    return (int64_t)blockIdx.x * blockDim.y + threadIdx.y;
}

template <int WIDE>
static __global__ void norm(bool centre, float eps, int64_t rows, int64_t n, int64_t ldx, int64_t ldy, const float *weight,
                            const float *bias, const float *x, float *y)
{
    for (int64_t i = row_of_warp(); i < rows; i += (int64_t)gridDim.x * blockDim.y) {
        const float *row = x + i * ldx;
        moments m = row_moments<WIDE>(centre, eps, n, row);
        for (int64_t j = threadIdx.x * WIDE; j < n; j += WARP * WIDE) {
            pack<WIDE> here = load<WIDE>(row + j), by = load<WIDE>(weight + j), add = {};
            if (bias != NULL)
                add = load<WIDE>(bias + j);
            for (int w = 0; w < WIDE; w++)
                here.v[w] = unit(m, here.v[w]) * by.v[w] + add.v[w];
            store(y + i * ldy + j, here);
        }
    }
}

template <int WIDE>
static __global__ void norm_vjp(bool centre, float eps, int64_t rows, int64_t n, int64_t ldx, const float *weight, const float *x,
                                const float *dy, bool add, float *dx)
{
    for (int64_t i = row_of_warp(); i < rows; i += (int64_t)gridDim.x * blockDim.y) {
        const float *row = x + i * ldx, *from = dy + i * n;
        moments m = row_moments<WIDE>(centre, eps, n, row);
        double sum = 0.0, dot = 0.0;
        for (int64_t j = threadIdx.x * WIDE; j < n; j += WARP * WIDE) {
            pack<WIDE> here = load<WIDE>(row + j), by = load<WIDE>(weight + j), g = load<WIDE>(from + j);
            for (int w = 0; w < WIDE; w++) {
                double pull = (double)(by.v[w] * g.v[w]);
                sum += pull;
                dot += pull * (double)unit(m, here.v[w]);
            }
        }
        float mean = centre ? (float)(warp_sum(sum) / (double)n) : 0.0f, slope = (float)(warp_sum(dot) / (double)n);
        for (int64_t j = threadIdx.x * WIDE; j < n; j += WARP * WIDE) {
            pack<WIDE> here = load<WIDE>(row + j), by = load<WIDE>(weight + j), g = load<WIDE>(from + j), old = {};
            if (add)
                old = load<WIDE>(dx + i * n + j);
            for (int w = 0; w < WIDE; w++)
                here.v[w] = old.v[w] + m.r * (by.v[w] * g.v[w] - mean - unit(m, here.v[w]) * slope);
            store(dx + i * n + j, here);
        }
    }
}

template <int WIDE>
static __global__ void norm_jvp(bool centre, float eps, int64_t rows, int64_t n, int64_t ldx, const float *weight, const float *x,
                                int64_t directions, const float *dx, float *dy)
{
    for (int64_t i = row_of_warp(); i < rows; i += (int64_t)gridDim.x * blockDim.y) {
        const float *row = x + i * ldx;
        moments m = row_moments<WIDE>(centre, eps, n, row);
        for (int64_t direction = 0; direction < directions; direction++) {
            int64_t at = (direction * rows + i) * n;
            double sum = 0.0, dot = 0.0;
            for (int64_t j = threadIdx.x * WIDE; j < n; j += WARP * WIDE) {
                pack<WIDE> here = load<WIDE>(row + j), v = load<WIDE>(dx + at + j);
                for (int w = 0; w < WIDE; w++) {
                    sum += (double)v.v[w];
                    dot += (double)v.v[w] * (double)unit(m, here.v[w]);
                }
            }
            float mean = centre ? (float)(warp_sum(sum) / (double)n) : 0.0f, slope = (float)(warp_sum(dot) / (double)n);
            for (int64_t j = threadIdx.x * WIDE; j < n; j += WARP * WIDE) {
                pack<WIDE> here = load<WIDE>(row + j), by = load<WIDE>(weight + j), v = load<WIDE>(dx + at + j);
                for (int w = 0; w < WIDE; w++)
                    here.v[w] = by.v[w] * m.r * (v.v[w] - mean - unit(m, here.v[w]) * slope);
                store(dy + at + j, here);
            }
        }
    }
}

cudaError_t vg_gpu_norm(cudaStream_t stream, const vg_norm *n, const float *x, float *y)
{
    if (n->rows <= 0 || n->columns <= 0)
        return cudaSuccess;
    bool wide = is_wide(x, n->columns, n->ldx) && is_wide(y, n->columns, n->ldy) && is_wide(n->weight, n->columns, n->columns) &&
                is_wide(n->bias, n->columns, n->columns);
    return wide ? VG_LAUNCH((norm<4>), blocks_for(n->rows, WARPS), dim3(WARP, WARPS), stream, n->kind == VG_LAYER_NORM, n->eps, n->rows,
                            n->columns, n->ldx, n->ldy, n->weight, n->bias, x, y)
                : VG_LAUNCH((norm<1>), blocks_for(n->rows, WARPS), dim3(WARP, WARPS), stream, n->kind == VG_LAYER_NORM, n->eps, n->rows,
                            n->columns, n->ldx, n->ldy, n->weight, n->bias, x, y);
}

/* Tangents and cotangents are dense. */
static bool is_wide_all(const vg_norm *n, const float *x, const float *from, const float *to)
{
    return is_wide(x, n->columns, n->ldx) && is_wide(from, n->columns, n->columns) && is_wide(to, n->columns, n->columns) &&
           is_wide(n->weight, n->columns, n->columns);
}

cudaError_t vg_gpu_norm_vjp(cudaStream_t stream, const vg_norm *n, const float *x, const float *dy, bool add, float *dx)
{
    if (n->rows <= 0 || n->columns <= 0)
        return cudaSuccess;
    return is_wide_all(n, x, dy, dx) ? VG_LAUNCH((norm_vjp<4>), blocks_for(n->rows, WARPS), dim3(WARP, WARPS), stream,
                                                 n->kind == VG_LAYER_NORM, n->eps, n->rows, n->columns, n->ldx, n->weight, x, dy, add, dx)
                                     : VG_LAUNCH((norm_vjp<1>), blocks_for(n->rows, WARPS), dim3(WARP, WARPS), stream,
                                                 n->kind == VG_LAYER_NORM, n->eps, n->rows, n->columns, n->ldx, n->weight, x, dy, add, dx);
}

cudaError_t vg_gpu_norm_jvp(cudaStream_t stream, const vg_norm *n, const float *x, int64_t directions, const float *dx, float *dy)
{
    if (n->rows <= 0 || n->columns <= 0 || directions <= 0)
        return cudaSuccess;
    return is_wide_all(n, x, dx, dy)
               ? VG_LAUNCH((norm_jvp<4>), blocks_for(n->rows, WARPS), dim3(WARP, WARPS), stream, n->kind == VG_LAYER_NORM, n->eps, n->rows,
                           n->columns, n->ldx, n->weight, x, directions, dx, dy)
               : VG_LAUNCH((norm_jvp<1>), blocks_for(n->rows, WARPS), dim3(WARP, WARPS), stream, n->kind == VG_LAYER_NORM, n->eps, n->rows,
                           n->columns, n->ldx, n->weight, x, directions, dx, dy);
}
