/* common: what kernels share. Rules that keep them right and portable (cuda.md): every launch through VG_LAUNCH, or VG_LAUNCH_FLAT where
 * threads never wait for each other; shuffles of whole warps; blocks of whole warps; no return before a barrier or a shuffle; no atomics
 * on floating-point numbers; sums in an order that follows from the shape alone. */
#ifndef VOXGRAD_KERNELS_COMMON_H
#define VOXGRAD_KERNELS_COMMON_H

#include <cuda_runtime.h>

#include "kernels.h"

#ifndef VG_LAUNCH
#define VG_LAUNCH(kernel, grid, block, stream, ...) (kernel<<<(grid), (block), 0, (stream)>>>(__VA_ARGS__), cudaGetLastError())
#define VG_LAUNCH_FLAT VG_LAUNCH
#endif

enum {
    WARP = 32,
    THREADS = 256,         /* of a block whose threads work alone */
    WARPS = 4,             /* of a block whose warps work alone */
    MOST_BLOCKS = 1 << 20, /* of a launch; threads then go on by strides */
};

/* WIDE floats that lie together and are moved together: 16 bytes where WIDE is 4. */
template <int WIDE> struct __align__(4 * WIDE) pack
{
    float v[WIDE];
};

template <int WIDE> __device__ inline pack<WIDE> load(const float *x)
{
    return *reinterpret_cast<const pack<WIDE> *>(x);
}

template <int WIDE> __device__ inline void store(float *x, pack<WIDE> value)
{
    *reinterpret_cast<pack<WIDE> *>(x) = value;
}

/* Blocks of `each` things that make n things; at least one is launched by nobody: callers return before where n is 0. */
static inline unsigned blocks_for(int64_t n, int64_t each)
{
    int64_t blocks = (n + each - 1) / each;
    return (unsigned)(blocks < (int64_t)MOST_BLOCKS ? blocks : (int64_t)MOST_BLOCKS);
}

/* Whether rows of `columns` floats that are ld apart can be read 16 bytes at a time. */
static inline bool is_wide(const void *x, int64_t columns, int64_t ld)
{
    return x == NULL || (((uintptr_t)x | (uintptr_t)(4 * columns) | (uintptr_t)(4 * ld)) & 15) == 0;
}

/* The number of this thread in the whole launch, and how many there are. */
__device__ inline int64_t first_thread()
{
    return (int64_t)blockIdx.x * blockDim.x + threadIdx.x;
}

__device__ inline int64_t all_threads()
{
    return (int64_t)gridDim.x * blockDim.x;
}

/* i / by, i % by: 64-bit divisions are slow on a GPU, and seldom needed. */
__device__ inline int64_t divide(int64_t i, int64_t by, int64_t *rest)
{
    if (((i | by) >> 31) == 0) {
        uint32_t quotient = (uint32_t)i / (uint32_t)by;
        *rest = (int64_t)((uint32_t)i - quotient * (uint32_t)by);
        return (int64_t)quotient;
    }
    int64_t quotient = i / by;
    *rest = i - quotient * by;
    return quotient;
}

/* Sum and maximum over the lanes of a warp, the same on each. */
__device__ inline double warp_sum(double x)
{
    for (int bits = WARP / 2; bits > 0; bits /= 2)
        x += __shfl_xor_sync(0xffffffffu, x, bits);
    return x;
}

__device__ inline float warp_largest(float x)
{
    for (int bits = WARP / 2; bits > 0; bits /= 2) {
        float other = __shfl_xor_sync(0xffffffffu, x, bits);
        x = other > x ? other : x;
    }
    return x;
}

/* Sum over the threads of a block of at most 1024, the same on each. */
__device__ inline double block_sum(double x)
{
    __shared__ double part[WARP];
    int lane = (int)threadIdx.x % WARP, warp = (int)threadIdx.x / WARP, warps = (int)blockDim.x / WARP;
    x = warp_sum(x);
    if (lane == 0)
        part[warp] = x;
    __syncthreads();
    x = warp_sum(lane < warps ? part[lane] : 0.0);
    __syncthreads(); /* before the next sum writes its parts */
    return x;
}

#endif
