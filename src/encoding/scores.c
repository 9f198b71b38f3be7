/* scores: correlations, summaries over regions and subjects, the choice among spaces. Numbers that are NaN (dead voxels, missing subjects)
 * are left out and counted out. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "samples.h"

vg_status vg_correlations(vg_samples a, vg_samples b, double *r)
{
    if (a.rows != b.rows || a.columns != b.columns)
        return vg_fail(VG_INVALID, "correlation of %lld x %lld with %lld x %lld numbers", (long long)a.rows, (long long)a.columns,
                       (long long)b.rows, (long long)b.columns);
    double *x, *y;
    VG_TRY(VG_NEW(&x, a.rows * SAMPLES_ACROSS, "numbers of correlations"));
    vg_status status = VG_NEW(&y, a.rows * SAMPLES_ACROSS, "numbers of correlations");
    for (int64_t first = 0; status == VG_OK && first < a.columns; first += SAMPLES_ACROSS) {
        int64_t n = samples_standardize(&a, first, x);
        samples_standardize(&b, first, y);
        samples_dot(x, y, a.rows, n, r + first);
    }
    free(x);
    free(y);
    return status;
}

void vg_best_space(const double *inner, const double *fold, int64_t spaces, int64_t outer, int64_t voxels, int32_t *best, double *score)
{
    for (int64_t v = 0; v < voxels; v++)
        score[v] = 0;
    for (int64_t k = 0; k < outer; k++)
        for (int64_t v = 0; v < voxels; v++) {
            int64_t which = -1;
            for (int64_t s = 0; s < spaces; s++) {
                double here = inner[(s * outer + k) * voxels + v];
                if (!isnan(here) && (which < 0 || here > inner[(which * outer + k) * voxels + v]))
                    which = s;
            }
            score[v] += which < 0 ? (double)NAN : fold[(which * outer + k) * voxels + v] / (double)outer;
            if (best != NULL)
                best[k * voxels + v] = (int32_t)which;
        }
}

vg_summary vg_summarize(const double *x, int64_t n)
{
    vg_summary s = {.mean = 0, .sem = (double)NAN};
    for (int64_t i = 0; i < n; i++)
        if (!isnan(x[i])) {
            s.mean += x[i];
            s.n++;
        }
    s.mean /= (double)s.n; /* NaN for none */
    double square = 0;
    for (int64_t i = 0; i < n; i++)
        if (!isnan(x[i]))
            square += (x[i] - s.mean) * (x[i] - s.mean);
    if (s.n > 1)
        s.sem = sqrt(square / (double)(s.n - 1) / (double)s.n);
    return s;
}

vg_summary vg_summarize_pairs(const double *a, const double *b, int64_t n)
{
    vg_summary s = {.mean = 0, .sem = (double)NAN};
    double square = 0;
    for (int pass = 0; pass < 2; pass++) {
        for (int64_t i = 0; i < n; i++) {
            double difference = a[i] - b[i];
            if (isnan(difference))
                continue;
            s.n += pass == 0;
            s.mean += pass == 0 ? difference : 0;
            square += pass == 0 ? 0 : (difference - s.mean) * (difference - s.mean);
        }
        s.mean /= pass == 0 ? (double)s.n : 1.0;
    }
    if (s.n > 1)
        s.sem = sqrt(square / (double)(s.n - 1) / (double)s.n);
    return s;
}

void vg_region_means(const double *score, const int32_t *region, int64_t voxels, int64_t regions, double *mean, int64_t *count)
{
    for (int64_t i = 0; i < regions; i++) {
        mean[i] = 0;
        count[i] = 0;
    }
    for (int64_t v = 0; v < voxels; v++)
        if (region[v] >= 0 && region[v] < regions && !isnan(score[v])) {
            mean[region[v]] += score[v];
            count[region[v]]++;
        }
    for (int64_t i = 0; i < regions; i++)
        mean[i] = count[i] > 0 ? mean[i] / (double)count[i] : (double)NAN;
}

/* The mean of a subject's conditions; NaN where one is. */
static double own_mean(const double *x, int64_t conditions)
{
    double sum = 0;
    for (int64_t c = 0; c < conditions; c++)
        sum += x[c];
    return sum / (double)conditions;
}

void vg_within_subjects(const double *x, int64_t subjects, int64_t conditions, vg_summary *summary)
{
    for (int64_t c = 0; c < conditions; c++) {
        vg_summary *s = &summary[c];
        double within = 0, square = 0;
        *s = (vg_summary){.sem = (double)NAN};
        for (int64_t i = 0; i < subjects; i++) {
            double own = own_mean(x + i * conditions, conditions);
            if (isnan(own))
                continue;
            s->n++;
            s->mean += x[i * conditions + c];
            within += x[i * conditions + c] - own;
        }
        s->mean /= (double)s->n;
        within /= (double)s->n;
        for (int64_t i = 0; i < subjects; i++) {
            double own = own_mean(x + i * conditions, conditions);
            if (!isnan(own))
                square += pow(x[i * conditions + c] - own - within, 2);
        }
        if (s->n > 1 && conditions > 1)
            s->sem = sqrt(square / (double)(s->n - 1) / (double)s->n * (double)conditions / (double)(conditions - 1));
    }
}

vg_status vg_bootstrap_mean(const double *x, int64_t n, int64_t draws, uint64_t seed, double level, double interval[2])
{
    double *kept, *means;
    int64_t count = 0;
    interval[0] = interval[1] = (double)NAN;
    VG_TRY(VG_NEW(&kept, n, "subjects of a bootstrap"));
    vg_status status = VG_NEW(&means, draws, "draws of a bootstrap");
    for (int64_t i = 0; i < n; i++)
        if (!isnan(x[i]))
            kept[count++] = x[i];
    for (int64_t i = 0; status == VG_OK && count > 0 && i < draws; i++)
        for (int64_t j = 0; j < count; j++)
            means[i] += kept[vg_random_bits(seed, VG_RANDOM_BOOTSTRAP, (uint64_t)(i * count + j)) % (uint64_t)count] / (double)count;
    if (status == VG_OK && count > 0 && draws > 0)
        samples_interval(means, draws, level, interval);
    free(kept);
    free(means);
    return status;
}
