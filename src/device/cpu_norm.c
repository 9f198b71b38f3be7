/* cpu_norm: LayerNorm (Ba et al. 2016, eq. 4) and RMSNorm (Zhang & Sennrich 2019, eq. 4), a row at a time; sums in double.
 * With u = (x - mean) r (mean = 0 for RMSNorm) and r = 1 / sqrt(mean square + eps), the Jacobian of u is r (I - [1 1'/n] - u u'/n),
 * symmetric, the bracket for LayerNorm alone: so vjp and jvp differ only in where the weight is applied. */
#include <math.h>

#include "cpu.h"

typedef struct {
    float mean, r;
} moments;

VG_CLONES static moments row_moments(vg_norm_kind kind, float eps, int64_t n, const float *x)
{
    double sum = 0.0, square = 0.0;
    if (kind == VG_LAYER_NORM) {
#pragma omp simd reduction(+ : sum)
        for (int64_t j = 0; j < n; j++)
            sum += (double)x[j];
    }
    double mean = sum / (double)n;
#pragma omp simd reduction(+ : square)
    for (int64_t j = 0; j < n; j++)
        square += ((double)x[j] - mean) * ((double)x[j] - mean);
    return (moments){(float)mean, (float)(1.0 / sqrt(square / (double)n + (double)eps))};
}

VG_CLONES static void norm_row(int64_t n, moments m, const float *weight, const float *bias, const float *x, float *y)
{
    if (bias != NULL) {
#pragma omp simd
        for (int64_t j = 0; j < n; j++)
            y[j] = (x[j] - m.mean) * m.r * weight[j] + bias[j];
    } else {
#pragma omp simd
        for (int64_t j = 0; j < n; j++)
            y[j] = (x[j] - m.mean) * m.r * weight[j];
    }
}

/* dx (+)= r (g - mean(g) - u mean(g u)), g = weight * dy. */
VG_CLONES static void norm_vjp_row(vg_norm_kind kind, int64_t n, moments m, const float *weight, const float *x, const float *dy, bool add,
                                   float *dx)
{
    double sum = 0.0, dot = 0.0;
#pragma omp simd reduction(+ : sum, dot)
    for (int64_t j = 0; j < n; j++) {
        double g = (double)(weight[j] * dy[j]);
        sum += g;
        dot += g * (double)((x[j] - m.mean) * m.r);
    }
    float mean = kind == VG_LAYER_NORM ? (float)(sum / (double)n) : 0.0f, slope = (float)(dot / (double)n);
    if (add) { /* NOLINT(bugprone-branch-clone): they differ */
#pragma omp simd
        for (int64_t j = 0; j < n; j++)
            dx[j] += m.r * (weight[j] * dy[j] - mean - (x[j] - m.mean) * m.r * slope);
    } else {
#pragma omp simd
        for (int64_t j = 0; j < n; j++)
            dx[j] = m.r * (weight[j] * dy[j] - mean - (x[j] - m.mean) * m.r * slope);
    }
}

/* dy = weight * r (dx - mean(dx) - u mean(dx u)). */
VG_CLONES static void norm_jvp_row(vg_norm_kind kind, int64_t n, moments m, const float *weight, const float *x, const float *dx, float *dy)
{
    double sum = 0.0, dot = 0.0;
#pragma omp simd reduction(+ : sum, dot)
    for (int64_t j = 0; j < n; j++) {
        sum += (double)dx[j];
        dot += (double)dx[j] * (double)((x[j] - m.mean) * m.r);
    }
    float mean = kind == VG_LAYER_NORM ? (float)(sum / (double)n) : 0.0f, slope = (float)(dot / (double)n);
#pragma omp simd
    for (int64_t j = 0; j < n; j++)
        dy[j] = weight[j] * m.r * (dx[j] - mean - (x[j] - m.mean) * m.r * slope);
}

vg_status vg_cpu_norm(vg_device *d, const vg_norm *n, const float *x, float *y)
{
    VG_PARALLEL(n->rows * n->columns)
    for (int64_t i = 0; i < n->rows; i++) {
        moments m = row_moments(n->kind, n->eps, n->columns, x + i * n->ldx);
        norm_row(n->columns, m, n->weight, n->bias, x + i * n->ldx, y + i * n->ldy);
    }
    return VG_OK;
}

vg_status vg_cpu_norm_vjp(vg_device *d, const vg_norm *n, const float *x, const float *dy, bool add, float *dx)
{
    VG_PARALLEL(n->rows * n->columns)
    for (int64_t i = 0; i < n->rows; i++) {
        moments m = row_moments(n->kind, n->eps, n->columns, x + i * n->ldx);
        norm_vjp_row(n->kind, n->columns, m, n->weight, x + i * n->ldx, dy + i * n->columns, add, dx + i * n->columns);
    }
    return VG_OK;
}

vg_status vg_cpu_norm_jvp(vg_device *d, const vg_norm *n, const float *x, int64_t directions, const float *dx, float *dy)
{
    VG_PARALLEL(n->rows * n->columns * directions)
    for (int64_t i = 0; i < n->rows; i++) {
        moments m = row_moments(n->kind, n->eps, n->columns, x + i * n->ldx);
        for (int64_t direction = 0; direction < directions; direction++) {
            int64_t at = (direction * n->rows + i) * n->columns;
            norm_jvp_row(n->kind, n->columns, m, n->weight, x + i * n->ldx, dx + at, dy + at);
        }
    }
    return VG_OK;
}
