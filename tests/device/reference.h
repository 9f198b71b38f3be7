/* reference: the nonlinear operations in plain float64, written from their formulas, and derivatives by central differences of them
 * alone (step 1e-5: error about 1e-10): no derivative is written down twice. */
#ifndef VOXGRAD_TESTS_DEVICE_REFERENCE_H
#define VOXGRAD_TESTS_DEVICE_REFERENCE_H

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "voxgrad/device.h"

/* A function of a row: n numbers in, n out. */
typedef void reference_row(const void *what, int64_t n, const double *x, double *y);

static const double reference_step = 1e-5;

/* J v */
static inline void reference_jvp(reference_row *f, const void *what, int64_t n, const double *x, const double *v, double *jv)
{
    double *at = calloc((size_t)(3 * n + 1), sizeof *at), *ahead = at + n, *behind = ahead + n;
    for (int side = -1; side <= 1; side += 2) {
        for (int64_t i = 0; i < n; i++)
            at[i] = x[i] + side * reference_step * v[i];
        f(what, n, at, side > 0 ? ahead : behind);
    }
    for (int64_t i = 0; i < n; i++)
        jv[i] = (ahead[i] - behind[i]) / (2 * reference_step);
    free(at);
}

/* J' u */
static inline void reference_vjp(reference_row *f, const void *what, int64_t n, const double *x, const double *u, double *ju)
{
    double *at = calloc((size_t)(2 * n + 1), sizeof *at), *y = at + n;
    memcpy(at, x, (size_t)n * sizeof *at);
    for (int64_t j = 0; j < n; j++) {
        double side[2] = {0, 0};
        for (int s = 0; s < 2; s++) {
            at[j] = x[j] + (s == 0 ? -reference_step : reference_step);
            f(what, n, at, y);
            for (int64_t i = 0; i < n; i++)
                side[s] += u[i] * y[i];
        }
        at[j] = x[j];
        ju[j] = (side[1] - side[0]) / (2 * reference_step);
    }
    free(at);
}

typedef struct {
    vg_norm_kind kind;
    double eps;
    const float *weight, *bias;
} reference_norm;

static inline void reference_norm_row(const void *what, int64_t n, const double *x, double *y)
{
    const reference_norm *norm = what;
    double mean = 0, square = 0;
    for (int64_t i = 0; i < n && norm->kind == VG_LAYER_NORM; i++)
        mean += x[i] / (double)n;
    for (int64_t i = 0; i < n; i++)
        square += (x[i] - mean) * (x[i] - mean) / (double)n;
    for (int64_t i = 0; i < n; i++)
        y[i] = (x[i] - mean) / sqrt(square + norm->eps) * (double)norm->weight[i] + (norm->bias != NULL ? (double)norm->bias[i] : 0.0);
}

typedef struct {
    double scale;
    const uint8_t *sees; /* (n) */
} reference_softmax;

static inline void reference_softmax_row(const void *what, int64_t n, const double *x, double *y)
{
    const reference_softmax *softmax = what;
    double largest = -INFINITY, sum = 0;
    for (int64_t i = 0; i < n; i++)
        if (softmax->sees[i])
            largest = fmax(largest, softmax->scale * x[i]);
    for (int64_t i = 0; i < n; i++) {
        y[i] = softmax->sees[i] ? exp(softmax->scale * x[i] - largest) : 0.0;
        sum += y[i];
    }
    for (int64_t i = 0; i < n; i++)
        y[i] = sum > 0 ? y[i] / sum : 0.0;
}

static inline double reference_act(vg_act_kind kind, double x)
{
    switch (kind) {
    case VG_GELU:
        return 0.5 * x * erfc(-x * M_SQRT1_2);
    case VG_GELU_TANH:
        return 0.5 * x * (1 + tanh(sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
    case VG_SILU:
        return x / (1 + exp(-x));
    case VG_RELU:
        break;
    }
    return fmax(x, 0);
}

static inline double reference_act_slope(vg_act_kind kind, double x)
{
    return (reference_act(kind, x + reference_step) - reference_act(kind, x - reference_step)) / (2 * reference_step);
}

/* f of one row of logits. */
static inline double reference_target(vg_target_kind kind, int64_t n, const double *z, int64_t token, const float *log_q)
{
    double largest = -INFINITY, sum = 0, entropy = 0, divergence = 0, other = -INFINITY;
    for (int64_t j = 0; j < n; j++)
        largest = fmax(largest, z[j]);
    for (int64_t j = 0; j < n; j++)
        sum += exp(z[j] - largest);
    double log_sum = largest + log(sum);
    for (int64_t j = 0; j < n; j++) {
        double log_p = z[j] - log_sum;
        entropy -= exp(log_p) * log_p;
        if (log_q != NULL && isfinite(log_q[j]))
            divergence += exp((double)log_q[j]) * ((double)log_q[j] - log_p);
        if (j != token)
            other = fmax(other, z[j]);
    }
    switch (kind) {
    case VG_TARGET_LOG_PROB:
        return z[token] - log_sum;
    case VG_TARGET_LOGIT:
        return z[token];
    case VG_TARGET_PROB:
        return exp(z[token] - log_sum);
    case VG_TARGET_SURPRISAL:
        return (log_sum - z[token]) / M_LN2;
    case VG_TARGET_CONTRAST:
        return z[token] - other;
    case VG_TARGET_ENTROPY:
        return entropy / M_LN2;
    case VG_TARGET_KL:
        break;
    }
    return divergence;
}

#endif
