/* cpu_paths: rows along a path from baseline to input, quadrature sums over its nodes, and reductions over segments of rows. */
#include <math.h>
#include <string.h>

#include "cpu.h"

/* (1 - a) base + a x is base + a (x - base), and exact at both ends. */
VG_CLONES static void between(int64_t n, float a, const float *x, const float *base, float *out)
{
    float rest = 1.0f - a;
#pragma omp simd
    for (int64_t j = 0; j < n; j++)
        out[j] = rest * base[j] + a * x[j];
}

vg_status vg_cpu_interpolate(vg_device *d, int64_t windows, int64_t nodes, int64_t rows_each, int64_t columns, const float *x,
                             const float *base, const uint8_t *moved, const float *a, float *out)
{
    if (columns == 0)
        return VG_OK;
    VG_PARALLEL(windows * nodes * rows_each * columns)
    for (int64_t i = 0; i < windows * nodes * rows_each; i++) {
        int64_t row = i % rows_each, node = i / rows_each % nodes, source = i / rows_each / nodes * rows_each + row;
        if (moved[source] != 0)
            between(columns, a[node], x + source * columns, base + source * columns, out + i * columns);
        else
            memcpy(out + i * columns, x + source * columns, (size_t)columns * sizeof *out);
    }
    return VG_OK;
}

/* g is the first node's stretch of n elements; the next node's is `stride` further. */
VG_CLONES static void accumulate_piece(int64_t nodes, int64_t n, int64_t stride, const float *weight, const float *g, double *total)
{
    for (int64_t node = 0; node < nodes; node++) {
        double w = (double)weight[node];
#pragma omp simd
        for (int64_t i = 0; i < n; i++)
            total[i] += w * (double)g[node * stride + i];
    }
}

vg_status vg_cpu_accumulate(vg_device *d, int64_t windows, int64_t nodes, int64_t n, const float *weight, const float *g, double *total)
{
    enum { WIDE = 2048 };
    int64_t across = (n + WIDE - 1) / WIDE;
    VG_PARALLEL(windows * nodes * n)
    for (int64_t piece = 0; piece < windows * across; piece++) {
        int64_t window = piece / across, i = piece % across * WIDE;
        accumulate_piece(nodes, vg_min(WIDE, n - i), n, weight, g + window * nodes * n + i, total + window * n + i);
    }
    return VG_OK;
}

VG_CLONES static double sum_of(int64_t n, const float *x)
{
    double sum = 0.0;
#pragma omp simd reduction(+ : sum)
    for (int64_t i = 0; i < n; i++)
        sum += (double)x[i];
    return sum;
}

VG_CLONES static double sum_of_magnitudes(int64_t n, const float *x)
{
    double sum = 0.0;
#pragma omp simd reduction(+ : sum)
    for (int64_t i = 0; i < n; i++)
        sum += (double)fabsf(x[i]);
    return sum;
}

VG_CLONES static double sum_of_products(int64_t n, const float *x, const float *y)
{
    double sum = 0.0;
#pragma omp simd reduction(+ : sum)
    for (int64_t i = 0; i < n; i++)
        sum += (double)x[i] * (double)y[i];
    return sum;
}

vg_status vg_cpu_reduce(vg_device *d, vg_reduction kind, int64_t segments, const int32_t *offset, int64_t columns, const float *x,
                        const float *y, float *out)
{
    int64_t work = segments > 0 ? (offset[segments] - offset[0]) * columns : 0;
    VG_PARALLEL(work)
    for (int64_t s = 0; s < segments; s++) {
        int64_t at = offset[s] * columns, n = (offset[s + 1] - offset[s]) * columns;
        double value = 0.0;
        switch (kind) {
        case VG_SUM:
            value = sum_of(n, x + at);
            break;
        case VG_L1:
            value = sum_of_magnitudes(n, x + at);
            break;
        case VG_L2:
            value = sqrt(sum_of_products(n, x + at, x + at));
            break;
        case VG_DOT:
            value = sum_of_products(n, x + at, y + at);
            break;
        }
        out[s] = (float)value;
    }
    return VG_OK;
}
