/* cpu_target: what is explained, from the logits z of a row (attribution.md), and its gradient. With p = softmax(z), L = log sum exp z and
 * t the token: log p_t = z_t - L          -> 1[j = t] - p_j        entropy H = -sum p log p    -> -p_j (log p_j + H) KL = sum q log(q / p)
 * -> p_j sum(q) - q_j      contrast z_t - max_(j != t) z_j In double throughout; only the gradient is stored in float. */
#include <math.h>

#include "cpu.h"
#include "cpu_math.h"

/* In lanes, because the maximum of numbers that may be not-a-number is no reduction that every compiler takes apart. */
VG_CLONES static float largest(int64_t n, const float *z)
{
    enum { LANES = 16 };
    float lane[LANES];
    for (int l = 0; l < LANES; l++)
        lane[l] = -INFINITY;
    for (int64_t j = 0; j + LANES <= n; j += LANES) {
#pragma omp simd
        for (int l = 0; l < LANES; l++)
            lane[l] = z[j + l] > lane[l] ? z[j + l] : lane[l];
    }
    float value = -INFINITY;
    for (int l = 0; l < LANES; l++)
        value = lane[l] > value ? lane[l] : value;
    for (int64_t j = n - n % LANES; j < n; j++)
        value = z[j] > value ? z[j] : value;
    return value;
}

/* The first j where z is at its largest. */
static int64_t first_largest(int64_t n, const float *z)
{
    float value = largest(n, z);
    for (int64_t j = 0; j < n; j++)
        if (z[j] == value)
            return j;
    return 0; /* not one number among them */
}

VG_CLONES static double log_sum_exp(int64_t n, const float *z)
{
    double shift = (double)largest(n, z), sum = 0.0;
#pragma omp simd reduction(+ : sum)
    for (int64_t j = 0; j < n; j++)
        sum += exp_double((double)z[j] - shift);
    return shift + log(sum); /* cppcheck-suppress invalidFunctionArg ; n > 0 */
}

/* z_j = scale * p_j */
VG_CLONES static void scaled_softmax(int64_t n, double log_sum, double scale, float *z)
{
#pragma omp simd
    for (int64_t j = 0; j < n; j++)
        z[j] = (float)(scale * exp_double((double)z[j] - log_sum));
}

VG_CLONES static double entropy(int64_t n, double log_sum, const float *z)
{
    double sum = 0.0;
#pragma omp simd reduction(+ : sum)
    for (int64_t j = 0; j < n; j++) {
        double log_p = (double)z[j] - log_sum, p = exp_double(log_p);
        sum -= p > 0.0 ? p * log_p : 0.0;
    }
    return sum;
}

VG_CLONES static void entropy_gradient(int64_t n, double log_sum, double nats, float *z)
{
#pragma omp simd
    for (int64_t j = 0; j < n; j++) {
        double log_p = (double)z[j] - log_sum, p = exp_double(log_p);
        z[j] = (float)(p > 0.0 ? -p * (log_p + nats) * M_LOG2E : 0.0);
    }
}

VG_CLONES static double divergence(int64_t n, double log_sum, const float *z, const float *log_q, double *total)
{
    double sum = 0.0, mass = 0.0;
#pragma omp simd reduction(+ : sum, mass)
    for (int64_t j = 0; j < n; j++) {
        double q = exp_double((double)log_q[j]);
        sum += q > 0.0 ? q * ((double)log_q[j] - ((double)z[j] - log_sum)) : 0.0;
        mass += q;
    }
    *total = mass;
    return sum;
}

VG_CLONES static void divergence_gradient(int64_t n, double log_sum, double mass, const float *log_q, float *z)
{
#pragma omp simd
    for (int64_t j = 0; j < n; j++)
        z[j] = (float)(mass * exp_double((double)z[j] - log_sum) - exp_double((double)log_q[j]));
}

static void clear(int64_t n, float *z)
{
    for (int64_t j = 0; j < n; j++)
        z[j] = 0.0f;
}

static double target_of_distribution(vg_target_kind kind, int64_t n, float *z, const float *log_q, bool gradient)
{
    double log_sum = log_sum_exp(n, z);
    if (kind == VG_TARGET_ENTROPY || log_q == NULL) {
        double nats = entropy(n, log_sum, z);
        if (gradient)
            entropy_gradient(n, log_sum, nats, z);
        return nats * M_LOG2E;
    }
    double mass, nats = divergence(n, log_sum, z, log_q, &mass);
    if (gradient)
        divergence_gradient(n, log_sum, mass, log_q, z);
    return nats;
}

/* d log p_t, times what d f / d log p_t is. */
static double target_of_probability(vg_target_kind kind, int64_t n, float *z, int64_t t, bool gradient)
{
    double log_sum = log_sum_exp(n, z), log_p = (double)z[t] - log_sum, p = exp(log_p);
    double slope = kind == VG_TARGET_PROB ? p : kind == VG_TARGET_SURPRISAL ? -M_LOG2E : 1.0;
    if (gradient) {
        scaled_softmax(n, log_sum, -slope, z);
        z[t] = (float)(slope * -expm1(log_p));
    }
    return kind == VG_TARGET_PROB ? p : slope * log_p;
}

static double target_of_logits(vg_target_kind kind, int64_t n, float *z, int64_t t, bool gradient)
{
    double f = (double)z[t];
    int64_t other = -1;
    if (kind == VG_TARGET_CONTRAST) {
        int64_t before = t > 0 ? first_largest(t, z) : -1, after = t + 1 < n ? t + 1 + first_largest(n - t - 1, z + t + 1) : -1;
        other = before < 0 || (after >= 0 && z[after] > z[before]) ? after : before;
        f -= (double)z[other];
    }
    if (gradient) {
        clear(n, z);
        z[t] = 1.0f;
        if (other >= 0)
            z[other] = -1.0f;
    }
    return f;
}

static bool wants_token(vg_target_kind kind)
{
    return kind != VG_TARGET_ENTROPY && kind != VG_TARGET_KL;
}

static vg_status check(vg_target_kind kind, int64_t rows, int64_t n, const int32_t *token, const float *reference)
{
    int64_t fewest = kind == VG_TARGET_CONTRAST ? 2 : 1;
    if (rows > 0 && n < fewest)
        return vg_fail(VG_DEFECT, "target: %lld logits a row", (long long)n);
    if (kind == VG_TARGET_KL && reference == NULL && rows > 0)
        return vg_fail(VG_DEFECT, "target: a divergence without a reference");
    for (int64_t i = 0; wants_token(kind) && i < rows; i++)
        if (token[i] >= n)
            return vg_fail(VG_DEFECT, "target: token %d of row %lld is not below %lld", (int)token[i], (long long)i, (long long)n);
    return VG_OK;
}

vg_status vg_cpu_target(vg_device *d, vg_target_kind kind, int64_t rows, int64_t n, float *logits, int32_t *token, const float *reference,
                        bool gradient, double *f)
{
    VG_TRY(check(kind, rows, n, token, reference));
    VG_PARALLEL(4 * rows * n)
    for (int64_t i = 0; i < rows; i++) {
        float *z = logits + i * n;
        if (!wants_token(kind)) {
            f[i] = target_of_distribution(kind, n, z, reference != NULL ? reference + i * n : NULL, gradient);
            continue;
        }
        if (token[i] < 0)
            token[i] = (int32_t)first_largest(n, z);
        f[i] = kind == VG_TARGET_LOGIT || kind == VG_TARGET_CONTRAST ? target_of_logits(kind, n, z, token[i], gradient)
                                                                     : target_of_probability(kind, n, z, token[i], gradient);
    }
    return VG_OK;
}
