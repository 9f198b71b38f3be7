/* reduce: ragged segments of rows become one number each: sum, L1, L2 or the dot with another matrix, in double. Segment s is rows
 * offset[s] .. offset[s + 1] - 1 of x (rows, columns); a warp a segment; an empty one is 0. Moves 4 bytes an element of x (8 for the dot).
 * Occupancy on sm_90: no shared memory, 32 registers, blocks of 4 warps: full. */
#include "common.h"

static __device__ double term(vg_reduction kind, float x, float y)
{
    return kind == VG_SUM ? (double)x : kind == VG_L1 ? (double)fabsf(x) : (double)x * (double)y;
}

static __global__ void reduce(vg_reduction kind, int64_t segments, const int32_t *offset, int64_t columns, const float *x, const float *y,
                              float *out)
{
    for (int64_t s = (int64_t)blockIdx.x * blockDim.y + threadIdx.y; s < segments; s += (int64_t)gridDim.x * blockDim.y) {
        const float *other = kind == VG_DOT ? y : x;
        double sum = 0.0;
        for (int64_t i = offset[s] * columns + threadIdx.x; i < offset[s + 1] * columns; i += WARP)
            sum += term(kind, x[i], other[i]);
        sum = warp_sum(sum);
        if (threadIdx.x == 0)
            out[s] = (float)(kind == VG_L2 ? sqrt(sum) : sum);
    }
}

cudaError_t vg_gpu_reduce(cudaStream_t stream, vg_reduction kind, int64_t segments, const int32_t *offset, int64_t columns, const float *x,
                          const float *y, float *out)
{
    if (segments <= 0)
        return cudaSuccess;
    return VG_LAUNCH(reduce, blocks_for(segments, WARPS), dim3(WARP, WARPS), stream, kind, segments, offset, columns, x, y, out);
}
