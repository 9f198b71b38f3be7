/* target: what is explained, from the logits z (rows, n), and its gradient in place of them (attribution.md; formulas of the values are in
 * src/device/cpu_target.c): with p = softmax(z) and t the token,
 *   log p_t  -> 1[j = t] - p_j          entropy H    -> -p_j (log p_j + H)
 *   KL       -> p_j sum(q) - q_j        contrast z_t - max_(j != t) z_j -> 1 at t, -1 at the largest other
 * In double; a block a row, read three times, from cache but the first, and written once: 4 n bytes a row, 8 n with gradient (KL reads
 * 4 n more). Occupancy on sm_90: 640 bytes shared, 52 registers, blocks of 256: half. */
#include "common.h"

struct place {
    float value;
    int64_t index; /* -1: none */
};

static __device__ place better(place a, place b)
{
    if (a.index < 0 || b.index < 0)
        return a.index < 0 ? b : a;
    if (a.value != b.value)
        return a.value > b.value ? a : b;
    return a.index < b.index ? a : b;
}

/* The first of the row's largest numbers but that at `except`, the same on every thread; -1 where there is no number. */
static __device__ place largest(int64_t n, const float *z, int64_t except)
{
    __shared__ float value[WARP];
    __shared__ int64_t index[WARP];
    place mine = {-INFINITY, -1};
    int lane = (int)threadIdx.x % WARP, warp = (int)threadIdx.x / WARP, warps = (int)blockDim.x / WARP;
    for (int64_t j = threadIdx.x; j < n; j += blockDim.x)
        if (j != except && z[j] == z[j])
            mine = better(mine, place{z[j], j});
    for (int round = 0; round < 2; round++) {
        for (int bits = WARP / 2; bits > 0; bits /= 2) {
            float other = __shfl_xor_sync(0xffffffffu, mine.value, bits);
            int64_t where = __shfl_xor_sync(0xffffffffu, mine.index, bits);
            mine = better(mine, place{other, where});
        }
        if (round == 0 && lane == 0) {
            value[warp] = mine.value;
            index[warp] = mine.index;
        }
        __syncthreads();
        if (round == 0)
            mine = lane < warps ? place{value[lane], index[lane]} : place{-INFINITY, -1};
    }
    return mine;
}

static __device__ double log_sum_exp(int64_t n, const float *z)
{
    double shift = (double)largest(n, z, -1).value, sum = 0.0;
    for (int64_t j = threadIdx.x; j < n; j += blockDim.x)
        sum += exp((double)z[j] - shift);
    return shift + log(block_sum(sum));
}

/* The entropy in nats; the block's threads share the work. */
static __device__ double entropy_of(int64_t n, double log_sum, const float *z)
{
    double sum = 0.0;
    for (int64_t j = threadIdx.x; j < n; j += blockDim.x) {
        double log_p = (double)z[j] - log_sum, p = exp(log_p);
        sum -= p > 0.0 ? p * log_p : 0.0;
    }
    return block_sum(sum);
}

static __device__ double of_entropy(int64_t n, float *z, bool gradient)
{
    double log_sum = log_sum_exp(n, z), nats = entropy_of(n, log_sum, z), bits = 1.4426950408889634;
    for (int64_t j = threadIdx.x; gradient && j < n; j += blockDim.x) {
        double log_p = (double)z[j] - log_sum, p = exp(log_p);
        z[j] = (float)(p > 0.0 ? -p * (log_p + nats) * bits : 0.0);
    }
    return nats * bits;
}

static __device__ double of_divergence(int64_t n, float *z, const float *log_q, bool gradient)
{
    double log_sum = log_sum_exp(n, z), sum = 0.0, mass = 0.0;
    for (int64_t j = threadIdx.x; j < n; j += blockDim.x) {
        double q = exp((double)log_q[j]);
        sum += q > 0.0 ? q * ((double)log_q[j] - ((double)z[j] - log_sum)) : 0.0;
        mass += q;
    }
    sum = block_sum(sum);
    mass = block_sum(mass);
    for (int64_t j = threadIdx.x; gradient && j < n; j += blockDim.x)
        z[j] = (float)(mass * exp((double)z[j] - log_sum) - exp((double)log_q[j]));
    return sum;
}

static __device__ double of_probability(vg_target_kind kind, int64_t n, float *z, int64_t t, bool gradient)
{
    double log_sum = log_sum_exp(n, z), log_p = (double)z[t] - log_sum, p = exp(log_p);
    double slope = kind == VG_TARGET_PROB ? p : kind == VG_TARGET_SURPRISAL ? -1.4426950408889634 : 1.0;
    __syncthreads(); /* z[t] is read by all before it is written */
    for (int64_t j = threadIdx.x; gradient && j < n; j += blockDim.x)
        z[j] = (float)(j == t ? slope * -expm1(log_p) : -slope * exp((double)z[j] - log_sum));
    return kind == VG_TARGET_PROB ? p : slope * log_p;
}

static __device__ double of_logits(vg_target_kind kind, int64_t n, float *z, int64_t t, bool gradient)
{
    place other = {0.0f, -1};
    if (kind == VG_TARGET_CONTRAST) {
        other = largest(n, z, t);
        if (other.index < 0)
            other = place{z[t == 0 ? 1 : 0], t == 0 ? 1 : 0};
    }
    double f = (double)z[t] - (kind == VG_TARGET_CONTRAST ? (double)other.value : 0.0);
    __syncthreads();
    for (int64_t j = threadIdx.x; gradient && j < n; j += blockDim.x)
        z[j] = j == t ? 1.0f : j == other.index ? -1.0f : 0.0f;
    return f;
}

static __global__ void target(vg_target_kind kind, int64_t rows, int64_t n, float *logits, int32_t *token, const float *reference,
                              bool gradient, double *f, int64_t *fault)
{
    for (int64_t i = blockIdx.x; i < rows; i += gridDim.x) {
        float *z = logits + i * n;
        bool free = kind == VG_TARGET_ENTROPY || kind == VG_TARGET_KL;
        int64_t t = free ? 0 : token[i];
        double value = 0.0;
        __syncthreads(); /* the token is read by all before it is written */
        if (t < 0) {
            t = largest(n, z, -1).index;
            t = t < 0 ? 0 : t;
            if (threadIdx.x == 0)
                token[i] = (int32_t)t;
        }
        if (t >= n) {
            if (threadIdx.x == 0)
                *fault = 1;
        } else if (kind == VG_TARGET_ENTROPY) {
            value = of_entropy(n, z, gradient);
        } else if (kind == VG_TARGET_KL) {
            value = of_divergence(n, z, reference + i * n, gradient);
        } else if (kind == VG_TARGET_LOGIT || kind == VG_TARGET_CONTRAST) {
            value = of_logits(kind, n, z, t, gradient);
        } else {
            value = of_probability(kind, n, z, t, gradient);
        }
        if (threadIdx.x == 0)
            f[i] = value;
    }
}

cudaError_t vg_gpu_target(cudaStream_t stream, vg_target_kind kind, int64_t rows, int64_t n, float *logits, int32_t *token,
                          const float *reference, bool gradient, double *f, int64_t *fault)
{
    if (rows <= 0)
        return cudaSuccess;
    return VG_LAUNCH(target, blocks_for(rows, 1), THREADS, stream, kind, rows, n, logits, token, reference, gradient, f, fault);
}
