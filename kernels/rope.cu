/* rope: rotary positions in place (Su et al. 2021, eq. 34): (u, v) of entries i and i + half of a head become
 * (u cos - v sin, v cos + u sin). x (rows, heads * head_size), ld apart; position (rows); cosine and sine (positions, half), which stay in
 * cache. Moves 16 bytes a pair. Occupancy on sm_90: no shared memory, 32 registers: full. */
#include "common.h"

static __global__ void rotate(int64_t pairs, int64_t heads, int64_t head_size, int64_t half, const int32_t *position, const float *cosine,
                              const float *sine, float sign, float *x, int64_t ld)
{
    for (int64_t i = first_thread(); i < pairs; i += all_threads()) {
        int64_t pair, head, row = divide(divide(i, half, &pair), heads, &head), angle = position[row] * half + pair;
        float *low = x + row * ld + head * head_size + pair, *high = low + half;
        float u = *low, v = *high, c = cosine[angle], s = sign * sine[angle];
        *low = u * c - v * s;
        *high = v * c + u * s;
    }
}

cudaError_t vg_gpu_rotate(cudaStream_t stream, int64_t rows, int64_t heads, int64_t head_size, int64_t half, const int32_t *position,
                          const float *cosine, const float *sine, float sign, float *x, int64_t ld)
{
    int64_t pairs = rows * heads * half;
    if (pairs <= 0)
        return cudaSuccess;
    return VG_LAUNCH_FLAT(rotate, blocks_for(pairs, THREADS), THREADS, stream, pairs, heads, head_size, half, position, cosine, sine, sign,
                          x, ld);
}
