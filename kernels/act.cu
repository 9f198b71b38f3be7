/* act: activations, gated or not (y = act(x) gate; Shazeer 2020, eq. 6), with vjp and jvp, by threads that work alone on 16 bytes where
 * they can. GELU x Phi(x); its tanh form (Hendrycks & Gimpel 2016, section 2) as x sigmoid(2 u), u = sqrt(2 / pi) (x + 0.044715 x^3); SiLU
 * x sigmoid(x); ReLU. dx = dy gate act'(x), dgate = dy act(x); dy = gate act'(x) dx + act(x) dgate. The jvp evaluates act and act' once for
 * all directions. Bytes, for n elements (gated in brackets): act 8 n (12 n), vjp 12 n (20 n), jvp 4 n (1 + 2 directions) (4 n (2 + 3
 * directions)). Occupancy on sm_90: no shared memory, at most 40 registers: at least 48 of 64 warps. */
#include "common.h"

struct point {
    float value, slope;
};

static __device__ float sigmoid(float x)
{
    return 1.0f / (1.0f + expf(-x));
}

static __device__ point activate(vg_act_kind kind, float x)
{
    if (kind == VG_GELU) {
        float cdf = 0.5f * erfcf(-0.707106781f * x), density = 0.398942280f * expf(-0.5f * x * x);
        return point{x * cdf, cdf + x * density};
    }
    if (kind == VG_GELU_TANH) {
        const float twice = 1.59576912f, cubic = 0.044715f;
        float s = sigmoid(twice * (x + cubic * x * x * x)), rest = s * (1.0f - s);
        return point{x * s, s + (rest > 0.0f ? x * rest * twice * (1.0f + 3.0f * cubic * x * x) : 0.0f)};
    }
    if (kind == VG_SILU) {
        float s = sigmoid(x), rest = s * (1.0f - s);
        return point{x * s, s + x * rest};
    }
    return point{x > 0.0f ? x : 0.0f, x > 0.0f ? 1.0f : 0.0f};
}

template <int WIDE> static __global__ void act(vg_act_kind kind, int64_t n, const float *x, const float *gate, float *y)
{
    for (int64_t i = first_thread() * WIDE; i < n; i += all_threads() * WIDE) {
        pack<WIDE> here = load<WIDE>(x + i), by = {};
        if (gate != NULL)
            by = load<WIDE>(gate + i);
        for (int w = 0; w < WIDE; w++) {
            float value = activate(kind, here.v[w]).value;
            here.v[w] = gate != NULL ? value * by.v[w] : value;
        }
        store(y + i, here);
    }
}

template <int WIDE>
static __global__ void act_vjp(vg_act_kind kind, int64_t n, const float *x, const float *gate, const float *dy, float *dx, float *dgate)
{
    for (int64_t i = first_thread() * WIDE; i < n; i += all_threads() * WIDE) {
        pack<WIDE> here = load<WIDE>(x + i), g = load<WIDE>(dy + i), by = {}, to_gate = {};
        if (gate != NULL)
            by = load<WIDE>(gate + i);
        for (int w = 0; w < WIDE; w++) {
            point p = activate(kind, here.v[w]);
            here.v[w] = gate != NULL ? g.v[w] * by.v[w] * p.slope : g.v[w] * p.slope;
            to_gate.v[w] = g.v[w] * p.value;
        }
        store(dx + i, here);
        if (gate != NULL)
            store(dgate + i, to_gate);
    }
}

template <int WIDE>
static __global__ void act_jvp(vg_act_kind kind, int64_t n, const float *x, const float *gate, int64_t directions, const float *dx,
                               const float *dgate, float *dy)
{
    for (int64_t i = first_thread() * WIDE; i < n; i += all_threads() * WIDE) {
        pack<WIDE> value = load<WIDE>(x + i), slope, by = {};
        if (gate != NULL)
            by = load<WIDE>(gate + i);
        for (int w = 0; w < WIDE; w++) {
            point p = activate(kind, value.v[w]);
            value.v[w] = p.value;
            slope.v[w] = gate != NULL ? p.slope * by.v[w] : p.slope;
        }
        for (int64_t at = i; at < directions * n; at += n) {
            pack<WIDE> v = load<WIDE>(dx + at), v_gate = {};
            if (gate != NULL)
                v_gate = load<WIDE>(dgate + at);
            for (int w = 0; w < WIDE; w++)
                v.v[w] = gate != NULL ? slope.v[w] * v.v[w] + value.v[w] * v_gate.v[w] : slope.v[w] * v.v[w];
            store(dy + at, v);
        }
    }
}

cudaError_t vg_gpu_act(cudaStream_t stream, vg_act_kind kind, int64_t n, const float *x, const float *gate, float *y)
{
    if (n <= 0)
        return cudaSuccess;
    return is_wide(x, n, n) && is_wide(gate, n, n) && is_wide(y, n, n)
               ? VG_LAUNCH_FLAT((act<4>), blocks_for(n / 4, THREADS), THREADS, stream, kind, n, x, gate, y)
               : VG_LAUNCH_FLAT((act<1>), blocks_for(n, THREADS), THREADS, stream, kind, n, x, gate, y);
}

cudaError_t vg_gpu_act_vjp(cudaStream_t stream, vg_act_kind kind, int64_t n, const float *x, const float *gate, const float *dy, float *dx,
                           float *dgate)
{
    if (n <= 0)
        return cudaSuccess;
    return is_wide(x, n, n) && is_wide(gate, n, n) && is_wide(dy, n, n) && is_wide(dx, n, n) && is_wide(dgate, n, n)
               ? VG_LAUNCH_FLAT((act_vjp<4>), blocks_for(n / 4, THREADS), THREADS, stream, kind, n, x, gate, dy, dx, dgate)
               : VG_LAUNCH_FLAT((act_vjp<1>), blocks_for(n, THREADS), THREADS, stream, kind, n, x, gate, dy, dx, dgate);
}

cudaError_t vg_gpu_act_jvp(cudaStream_t stream, vg_act_kind kind, int64_t n, const float *x, const float *gate, int64_t directions,
                           const float *dx, const float *dgate, float *dy)
{
    if (n <= 0 || directions <= 0)
        return cudaSuccess;
    return is_wide(x, n, n) && is_wide(gate, n, n) && is_wide(dx, n, n) && is_wide(dgate, n, n) && is_wide(dy, n, n)
               ? VG_LAUNCH_FLAT((act_jvp<4>), blocks_for(n / 4, THREADS), THREADS, stream, kind, n, x, gate, directions, dx, dgate, dy)
               : VG_LAUNCH_FLAT((act_jvp<1>), blocks_for(n, THREADS), THREADS, stream, kind, n, x, gate, directions, dx, dgate, dy);
}
