/* ceiling: how well any model could do. Correlation between subjects (Hasson et al. 2004; pairwise and leave-one-out) with a bootstrap over
 * subjects (Chen et al. 2016, NeuroImage 142:248-259: subject-wise, a subject with its own copy left out), and variance that repeats. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "samples.h"

static vg_status check(const vg_samples *responses, int64_t count, const char *what)
{
    if (count < 2)
        return vg_fail(VG_INVALID, "%s: there must be two or more, not %lld", what, (long long)count);
    for (int64_t i = 1; i < count; i++)
        if (responses[i].rows != responses[0].rows || responses[i].columns != responses[0].columns)
            return vg_fail(VG_INVALID, "%s: number %lld has %lld x %lld responses, the first %lld x %lld", what, (long long)i + 1,
                           (long long)responses[i].rows, (long long)responses[i].columns, (long long)responses[0].rows,
                           (long long)responses[0].columns);
    return VG_OK;
}

/* others (rows, SAMPLES_ACROSS) = sum of the z of all subjects but `without`, dead ones left out, brought to length 1 and mean 0. */
static void mean_of_others(const double *z, int64_t subjects, int64_t rows, int64_t n, int64_t without, double *others)
{
    memset(others, 0, (size_t)(rows * SAMPLES_ACROSS) * sizeof(double));
    for (int64_t i = 0; i < subjects; i++)
        for (int64_t e = 0; i != without && e < rows * SAMPLES_ACROSS; e++) {
            double here = z[i * rows * SAMPLES_ACROSS + e];
            others[e] += isnan(here) ? 0.0 : here;
        }
    double length[SAMPLES_ACROSS];
    samples_dot(others, others, rows, n, length);
    for (int64_t t = 0; t < rows; t++)
        for (int64_t v = 0; v < n; v++)
            others[t * SAMPLES_ACROSS + v] /= sqrt(length[v]);
}

static void correlate_block(const double *z, int64_t subjects, int64_t rows, int64_t n, double *others, int64_t voxels, int64_t first,
                            double *pairs, double *leave_one_out)
{
    int64_t size = rows * SAMPLES_ACROSS, pair = 0;
    for (int64_t i = 0; i < subjects && pairs != NULL; i++)
        for (int64_t j = i + 1; j < subjects; j++, pair++)
            samples_dot(z + i * size, z + j * size, rows, n, pairs + pair * voxels + first);
    for (int64_t i = 0; i < subjects && leave_one_out != NULL; i++) {
        mean_of_others(z, subjects, rows, n, i, others);
        samples_dot(z + i * size, others, rows, n, leave_one_out + i * voxels + first);
    }
}

vg_status vg_isc(const vg_samples *responses, int64_t subjects, double *pairs, double *leave_one_out)
{
    VG_TRY(check(responses, subjects, "inter-subject correlation"));
    int64_t rows = responses[0].rows, voxels = responses[0].columns, size = rows * SAMPLES_ACROSS;
    vg_status status = VG_OK;
#pragma omp parallel for schedule(static)
    for (int64_t first = 0; first < voxels; first += SAMPLES_ACROSS) {
        double *z;
        int64_t n = 0;
        vg_status here = VG_NEW(&z, (subjects + 1) * size, "responses of subjects");
        for (int64_t i = 0; here == VG_OK && i < subjects; i++)
            n = samples_standardize(&responses[i], first, z + i * size);
        if (here == VG_OK)
            correlate_block(z, subjects, rows, n, z + subjects * size, voxels, first, pairs, leave_one_out);
        free(z);
        if (here != VG_OK)
#pragma omp atomic write
            status = here;
    }
    return status == VG_OK ? VG_OK : vg_fail(status, "no memory for the responses of %lld subjects", (long long)subjects);
}

static double signed_root(double x)
{
    return x < 0 ? -sqrt(-x) : sqrt(x);
}

/* Mean of the pairs, each as often as its two subjects were drawn together; NaN pairs are left out. weight (subjects). */
static double weighted_mean(const double *pairs, int64_t subjects, int64_t voxels, int64_t v, const double *weight)
{
    double sum = 0, total = 0;
    for (int64_t i = 0, pair = 0; i < subjects; i++)
        for (int64_t j = i + 1; j < subjects; j++, pair++) {
            double r = pairs[pair * voxels + v], w = weight[i] * weight[j];
            sum += isnan(r) ? 0 : w * r;
            total += isnan(r) ? 0 : w;
        }
    return sum / total;
}

/* How often each subject was drawn in each of the draws: (draws + 1, subjects); once each in the first. */
static void draw_subjects(int64_t subjects, int64_t draws, uint64_t seed, double *weight)
{
    for (int64_t i = 0; i < subjects; i++)
        weight[i] = 1;
    for (int64_t d = 0; d < draws; d++)
        for (int64_t i = 0; i < subjects; i++)
            weight[(d + 1) * subjects +
                   (int64_t)(vg_random_bits(seed, VG_RANDOM_BOOTSTRAP, (uint64_t)(d * subjects + i)) % (uint64_t)subjects)] += 1;
}

vg_status vg_ceiling(const double *pairs, int64_t subjects, int64_t voxels, int64_t draws, uint64_t seed, double level, double *ceiling,
                     double *low, double *high)
{
    double *weight, *means;
    VG_TRY(VG_NEW(&weight, (draws + 1) * subjects, "draws of subjects"));
    vg_status status = VG_NEW(&means, draws, "draws of subjects");
    if (status == VG_OK)
        draw_subjects(subjects, draws, seed, weight);
    for (int64_t v = 0; status == VG_OK && v < voxels; v++) {
        int64_t kept = 0;
        double interval[2] = {(double)NAN, (double)NAN};
        ceiling[v] = signed_root(weighted_mean(pairs, subjects, voxels, v, weight));
        for (int64_t d = 1; d <= draws; d++) {
            double mean = weighted_mean(pairs, subjects, voxels, v, weight + d * subjects);
            if (!isnan(mean)) /* NaN: one subject drawn throughout */
                means[kept++] = mean;
        }
        if (kept > 0)
            samples_interval(means, kept, level, interval);
        low[v] = signed_root(interval[0]);
        high[v] = signed_root(interval[1]);
    }
    free(weight);
    free(means);
    return status;
}

/* ---- repeats -------------------------------------------------------------------------------------------------------------- */

static double value(const vg_samples *x, int64_t t, int64_t v)
{
    int64_t at = t * x->ld + v;
    return x->type == VG_F32 ? (double)((const float *)x->data)[at] : ((const double *)x->data)[at];
}

static double variance(const double *x, int64_t n)
{
    double mean = 0, square = 0;
    for (int64_t t = 0; t < n; t++)
        mean += x[t] / (double)n;
    for (int64_t t = 0; t < n; t++)
        square += (x[t] - mean) * (x[t] - mean);
    return square / (double)n;
}

vg_status vg_explainable(const vg_samples *responses, int64_t repeats, double *explainable, double *best)
{
    VG_TRY(check(responses, repeats, "repeats of a story"));
    int64_t rows = responses[0].rows;
    double *one, *sum, r = (double)repeats;
    VG_TRY(VG_NEW(&one, 2 * rows, "responses to repeats"));
    sum = one + rows;
    for (int64_t v = 0; v < responses[0].columns; v++) {
        double total = 0;
        memset(sum, 0, (size_t)rows * sizeof(double));
        for (int64_t i = 0; i < repeats; i++) {
            for (int64_t t = 0; t < rows; t++) {
                one[t] = value(&responses[i], t, v);
                sum[t] += one[t];
            }
            total += variance(one, rows);
        }
        double of_sum = variance(sum, rows), signal = (of_sum - total) / (r * (r - 1));
        explainable[v] = total > 0 ? signal / (total / r) : (double)NAN;
        best[v] = signal > 0 ? sqrt(signal / (of_sum / (r * r))) : (double)NAN;
    }
    free(one);
    return VG_OK;
}
