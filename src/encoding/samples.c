/* samples: columns standardised for correlations, and percentiles. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "samples.h"

static double value(const vg_samples *x, int64_t t, int64_t j)
{
    int64_t at = t * x->ld + j;
    return x->type == VG_F32 ? (double)((const float *)x->data)[at] : ((const double *)x->data)[at];
}

int64_t samples_standardize(const vg_samples *x, int64_t first, double *z)
{
    int64_t n = x->columns - first < SAMPLES_ACROSS ? x->columns - first : SAMPLES_ACROSS;
    for (int64_t j = 0; j < n; j++) {
        double begin = x->rows > 0 ? value(x, 0, first + j) : 0, mean = 0, square = 0;
        bool same = true;
        for (int64_t t = 0; t < x->rows; t++) {
            double y = value(x, t, first + j);
            same &= y == begin;
            z[t * SAMPLES_ACROSS + j] = y - begin; /* near 0 whatever the offset */
            mean += (y - begin) / (double)x->rows;
        }
        for (int64_t t = 0; t < x->rows; t++) {
            z[t * SAMPLES_ACROSS + j] -= mean;
            square += z[t * SAMPLES_ACROSS + j] * z[t * SAMPLES_ACROSS + j];
        }
        double by = same || !isfinite(square) ? (double)NAN : 1 / sqrt(square);
        for (int64_t t = 0; t < x->rows; t++)
            z[t * SAMPLES_ACROSS + j] *= by;
    }
    return n;
}

void samples_dot(const double *a, const double *b, int64_t rows, int64_t n, double *out)
{
    double sum[SAMPLES_ACROSS] = {0};
    for (int64_t t = 0; t < rows; t++)
        for (int64_t j = 0; j < n; j++)
            sum[j] += a[t * SAMPLES_ACROSS + j] * b[t * SAMPLES_ACROSS + j];
    memcpy(out, sum, (size_t)n * sizeof(double));
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double percentile(const double *x, int64_t n, double part)
{
    double at = part * (double)(n - 1);
    int64_t below = (int64_t)at;
    return below + 1 < n ? x[below] + (at - (double)below) * (x[below + 1] - x[below]) : x[n - 1];
}

void samples_interval(double *x, int64_t n, double level, double interval[2])
{
    qsort(x, (size_t)n, sizeof(double), compare);
    interval[0] = percentile(x, n, (1 - level) / 2);
    interval[1] = percentile(x, n, (1 + level) / 2);
}
