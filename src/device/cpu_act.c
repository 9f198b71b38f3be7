/* cpu_act: activations, gated or not, with vjp and jvp. A piece evaluates value and slope of its elements once, then applies them. */
#include "cpu.h"
#include "cpu_math.h"

enum { ACT_PIECE = 2048 };

typedef struct {
    float value, slope;
} act_point;

static inline act_point gelu(float x)
{
    float density, cdf = normal_cdf(x, &density);
    return (act_point){x * cdf, cdf + x * density};
}

/* 0.5 (1 + tanh(u)) = sigmoid(2 u), u = sqrt(2 / pi) (x + 0.044715 x^3). */
static inline act_point gelu_tanh(float x)
{
    const float twice = 1.59576912f, cubic = 0.044715f;
    float s = sigmoid(twice * (x + cubic * x * x * x));
    return (act_point){x * s, s + x * s * (1.0f - s) * twice * (1.0f + 3.0f * cubic * x * x)};
}

static inline act_point silu(float x)
{
    float s = sigmoid(x);
    return (act_point){x * s, s + x * s * (1.0f - s)};
}

static inline act_point relu(float x)
{
    return (act_point){x > 0.0f ? x : 0.0f, x > 0.0f ? 1.0f : 0.0f};
}

VG_CLONES static void evaluate(vg_act_kind kind, int64_t n, const float *x, float *value)
{
    switch (kind) { /* NOLINTNEXTLINE(bugprone-branch-clone): they differ */
    case VG_GELU:
#pragma omp simd
        for (int64_t i = 0; i < n; i++)
            value[i] = gelu(x[i]).value;
        break;
    case VG_GELU_TANH:
#pragma omp simd
        for (int64_t i = 0; i < n; i++)
            value[i] = gelu_tanh(x[i]).value;
        break;
    case VG_SILU:
#pragma omp simd
        for (int64_t i = 0; i < n; i++)
            value[i] = silu(x[i]).value;
        break;
    case VG_RELU:
#pragma omp simd
        for (int64_t i = 0; i < n; i++)
            value[i] = relu(x[i]).value;
        break;
    }
}

VG_CLONES static void evaluate_both(vg_act_kind kind, int64_t n, const float *x, float *value, float *slope)
{
    switch (kind) { /* NOLINTNEXTLINE(bugprone-branch-clone): they differ */
    case VG_GELU:
#pragma omp simd
        for (int64_t i = 0; i < n; i++) {
            act_point p = gelu(x[i]);
            value[i] = p.value;
            slope[i] = p.slope;
        }
        break;
    case VG_GELU_TANH:
#pragma omp simd
        for (int64_t i = 0; i < n; i++) {
            act_point p = gelu_tanh(x[i]);
            value[i] = p.value;
            slope[i] = p.slope;
        }
        break;
    case VG_SILU:
#pragma omp simd
        for (int64_t i = 0; i < n; i++) {
            act_point p = silu(x[i]);
            value[i] = p.value;
            slope[i] = p.slope;
        }
        break;
    case VG_RELU:
#pragma omp simd
        for (int64_t i = 0; i < n; i++) {
            act_point p = relu(x[i]);
            value[i] = p.value;
            slope[i] = p.slope;
        }
        break;
    }
}

VG_CLONES static void multiply(int64_t n, const float *x, const float *y, float *z)
{
#pragma omp simd
    for (int64_t i = 0; i < n; i++)
        z[i] = x[i] * y[i];
}

vg_status vg_cpu_act(vg_device *d, vg_act_kind kind, int64_t n, const float *x, const float *gate, float *y)
{
    VG_PARALLEL(4 * n)
    for (int64_t i = 0; i < n; i += ACT_PIECE) {
        float value[ACT_PIECE];
        int64_t length = vg_min(ACT_PIECE, n - i);
        evaluate(kind, length, x + i, gate != NULL ? value : y + i);
        if (gate != NULL)
            multiply(length, value, gate + i, y + i);
    }
    return VG_OK;
}

VG_CLONES static void gated_vjp(int64_t n, const float *value, const float *slope, const float *gate, const float *dy, float *dx,
                                float *dgate)
{
#pragma omp simd
    for (int64_t i = 0; i < n; i++) {
        float g = dy[i];
        dx[i] = g * gate[i] * slope[i];
        dgate[i] = g * value[i];
    }
}

vg_status vg_cpu_act_vjp(vg_device *d, vg_act_kind kind, int64_t n, const float *x, const float *gate, const float *dy, float *dx,
                         float *dgate)
{
    VG_PARALLEL(4 * n)
    for (int64_t i = 0; i < n; i += ACT_PIECE) {
        float value[ACT_PIECE], slope[ACT_PIECE];
        int64_t length = vg_min(ACT_PIECE, n - i);
        evaluate_both(kind, length, x + i, value, slope);
        if (gate != NULL)
            gated_vjp(length, value, slope, gate + i, dy + i, dx + i, dgate + i);
        else
            multiply(length, slope, dy + i, dx + i);
    }
    return VG_OK;
}

VG_CLONES static void gated_jvp(int64_t n, const float *value, const float *slope, const float *gate, const float *dx, const float *dgate,
                                float *dy)
{
#pragma omp simd
    for (int64_t i = 0; i < n; i++)
        dy[i] = slope[i] * gate[i] * dx[i] + value[i] * dgate[i];
}

vg_status vg_cpu_act_jvp(vg_device *d, vg_act_kind kind, int64_t n, const float *x, const float *gate, int64_t directions, const float *dx,
                         const float *dgate, float *dy)
{
    VG_PARALLEL(4 * n * directions)
    for (int64_t i = 0; i < n; i += ACT_PIECE) {
        float value[ACT_PIECE], slope[ACT_PIECE];
        int64_t length = vg_min(ACT_PIECE, n - i);
        evaluate_both(kind, length, x + i, value, slope);
        for (int64_t at = i; at < directions * n; at += n) {
            if (gate != NULL)
                gated_jvp(length, value, slope, gate + i, dx + at, dgate + at, dy + at);
            else
                multiply(length, slope, dx + at, dy + at);
        }
    }
    return VG_OK;
}
