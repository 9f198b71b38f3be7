/* null: what unrelated responses would score. Responses shifted in a circle keep their autocorrelation and lose their tie to the stimulus
 * (encoding.md, "What the study answers"); counts, p, the max-statistic, and the false discovery rate. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "voxgrad/encoding.h"

vg_status vg_null_shifts(const int64_t *run_rows, int64_t runs, int64_t min_shift, int64_t wanted, uint64_t seed, int64_t *shifts,
                         int64_t *count)
{
    int64_t shortest = runs > 0 ? run_rows[0] : 0, *all;
    *count = 0;
    for (int64_t i = 1; i < runs; i++)
        shortest = run_rows[i] < shortest ? run_rows[i] : shortest;
    int64_t candidates = shortest - 2 * min_shift + 1;
    if (min_shift < 0 || candidates < 1)
        return vg_fail(VG_INVALID, "no shift of %lld rows or more, to either side, fits a run of %lld rows", (long long)min_shift,
                       (long long)shortest);
    VG_TRY(VG_NEW(&all, candidates, "shifts"));
    for (int64_t i = 0; i < candidates; i++)
        all[i] = min_shift + i <= shortest / 2 ? min_shift + i : min_shift + i - shortest;
    *count = wanted < candidates ? wanted : candidates;
    for (int64_t i = 0; i < *count; i++) { /* Fisher & Yates' shuffle, as far as needed */
        int64_t j = i + (int64_t)(vg_random_bits(seed, VG_RANDOM_SHIFT, (uint64_t)i) % (uint64_t)(candidates - i)), kept = all[i];
        shifts[i] = all[j];
        all[j] = kept;
    }
    free(all);
    return VG_OK;
}

void vg_null_order(const int64_t *run_rows, int64_t runs, int64_t shift, int32_t *order)
{
    int64_t first = 0;
    for (int64_t i = 0; i < runs; first += run_rows[i], i++)
        for (int64_t t = 0; t < run_rows[i]; t++)
            order[first + t] = (int32_t)(first + ((t - shift) % run_rows[i] + run_rows[i]) % run_rows[i]);
}

void vg_null_count(const double *observed, const double *null, int64_t n, int32_t *exceeded)
{
    for (int64_t i = 0; i < n; i++)
        exceeded[i] += null[i] >= observed[i] - 1e-12;
}

void vg_null_p(const double *observed, const int32_t *exceeded, int64_t draws, int64_t n, double *p)
{
    for (int64_t i = 0; i < n; i++)
        p[i] = isnan(observed[i]) ? (double)NAN : (double)(exceeded[i] + 1) / (double)(draws + 1);
}

double vg_null_p_two_sided(int64_t above, int64_t below, int64_t draws)
{
    int64_t fewer = above < below ? above : below;
    return fmin(1, 2 * (double)(fewer + 1) / (double)(draws + 1));
}

double vg_null_largest(const double *null, int64_t n)
{
    double largest = -(double)INFINITY;
    for (int64_t i = 0; i < n; i++)
        largest = null[i] > largest ? null[i] : largest;
    return largest;
}

void vg_null_p_largest(const double *observed, int64_t n, const double *largest, int64_t draws, double *p)
{
    for (int64_t i = 0; i < n; i++) {
        int64_t exceeded = 0;
        for (int64_t d = 0; d < draws; d++)
            exceeded += largest[d] >= observed[i] - 1e-12;
        p[i] = isnan(observed[i]) ? (double)NAN : (double)(exceeded + 1) / (double)(draws + 1);
    }
}

typedef struct {
    double p;
    int64_t at;
} ranked;

static int compare(const void *a, const void *b)
{
    const ranked *x = a, *y = b;
    return x->p != y->p ? (x->p > y->p) - (x->p < y->p) : (x->at > y->at) - (x->at < y->at);
}

vg_status vg_fdr(const double *p, int64_t n, double *q)
{
    ranked *order;
    int64_t count = 0;
    VG_TRY(VG_NEW(&order, n, "p-values"));
    for (int64_t i = 0; i < n; i++) {
        q[i] = (double)NAN;
        if (!isnan(p[i]))
            order[count++] = (ranked){p[i], i};
    }
    qsort(order, (size_t)count, sizeof *order, compare);
    double least = 1;
    for (int64_t i = count; i-- > 0;) {
        double here = order[i].p * (double)count / (double)(i + 1);
        least = here < least ? here : least;
        q[order[i].at] = least;
    }
    free(order);
    return VG_OK;
}
