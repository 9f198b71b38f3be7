/* banded: ridge with one penalty a band, searched at random (encoding.md, "Banded ridge"; Dupre la Tour et al. 2022, NeuroImage
 * 264:119728). A draw of weights g on the simplex scales band b by sqrt(g_b), which makes of penalty alpha the penalties alpha / g_b; every
 * draw is a design of ridge.c, shared by all voxels and subjects, and the best of all draws and penalties is chosen per voxel on inner
 * folds. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ridge.h"

/* ---- draws ---------------------------------------------------------------------------------------------------------------- */

enum { TRIES = 64 }; /* random numbers set aside for one weight */

/* log of a Gamma(shape) variable: Marsaglia & Tsang 2000, ACM Trans Math Softw 26:363-372, for shape + 1, times u^(1 / shape); as a
 * logarithm, since a shape of 0.1 makes numbers too small for a double. */
static double log_gamma_draw(double shape, uint64_t seed, uint64_t index)
{
    double d = shape + 1 - 1.0 / 3, c = 1 / sqrt(9 * d), v = 1;
    for (uint64_t i = 0; i + 2 < TRIES; i += 2) {
        double x = vg_random_normal(seed, VG_RANDOM_BANDS, index + i), u = vg_random_uniform(seed, VG_RANDOM_BANDS, index + i + 1);
        v = pow(1 + c * x, 3);
        if (v > 0 && log(u) < 0.5 * x * x + d - d * v + d * log(v))
            break;
        v = 1; /* 31 rejections in a row do not happen (each has less than 5 %) */
    }
    return log(d * v) + log(vg_random_uniform(seed, VG_RANDOM_BANDS, index + TRIES - 1)) / shape;
}

void vg_band_weights(int64_t bands, int64_t draws, uint64_t seed, double *weights)
{
    for (int64_t i = 0; i < draws; i++) {
        double *row = weights + i * bands, most = -(double)INFINITY, sum = 0;
        for (int64_t b = 0; b < bands; b++) {
            row[b] = i == 0 ? 0.0 : log_gamma_draw(i % 2 == 1 ? 1.0 : 0.1, seed, (uint64_t)((i * bands + b) * TRIES));
            most = row[b] > most ? row[b] : most;
        }
        for (int64_t b = 0; b < bands; b++) {
            row[b] = fmax(exp(row[b] - most), 1e-12); /* no band is wholly gone */
            sum += row[b];
        }
        for (int64_t b = 0; b < bands; b++)
            row[b] /= sum;
    }
}

/* ---- designs of all draws ----------------------------------------------------------------------------------------------------- */

static double value(const vg_samples *x, int64_t t, int64_t j)
{
    int64_t at = t * x->ld + j;
    return x->type == VG_F32 ? (double)((const float *)x->data)[at] : ((const double *)x->data)[at];
}

/* The bands side by side. */
static vg_status take_bands(const vg_samples *bands, int64_t count, vg_banded *banded)
{
    int64_t rows = banded->plan->folds->rows, columns = banded->columns;
    VG_TRY(VG_NEW(&banded->features, rows * columns, "features of bands"));
    VG_TRY(VG_NEW(&banded->band, columns, "features of bands"));
    for (int64_t b = 0, first = 0; b < count; first += bands[b].columns, b++)
        for (int64_t j = 0; j < bands[b].columns; j++) {
            banded->band[first + j] = b;
            for (int64_t t = 0; t < rows; t++)
                banded->features[t * columns + first + j] = value(&bands[b], t, j);
        }
    return VG_OK;
}

/* One draw's design: columns times the root of their band's weight, after they were standardised where the plan does so. */
static vg_status make_draw(const vg_banded *banded, const double *weights, double *root, double *x, vg_ridge_design **design)
{
    const vg_ridge_plan *plan = banded->plan;
    int64_t rows = plan->folds->rows, columns = banded->columns;
    for (int64_t j = 0; j < columns; j++)
        root[j] = sqrt(weights[banded->band[j]]);
    for (int64_t e = 0; e < rows * columns; e++)
        x[e] = banded->features[e] * (plan->standardize ? 1.0 : root[e % columns]);
    return ridge_design_create(banded->device, plan, (vg_samples){VG_F64, x, rows, columns, columns}, plan->standardize ? root : NULL, 0,
                               design);
}

static vg_status check(const vg_ridge_plan *plan, const vg_samples *bands, int64_t band_count, const double *weights, int64_t draws,
                       int64_t *columns)
{
    *columns = 0;
    if (band_count < 1 || draws < 1)
        return vg_fail(VG_INVALID, "banded ridge needs a band and a draw, not %lld and %lld", (long long)band_count, (long long)draws);
    for (int64_t b = 0; b < band_count; b++) {
        if (bands[b].rows != plan->folds->rows)
            return vg_fail(VG_INVALID, "band %lld has %lld rows, the folds %lld", (long long)b + 1, (long long)bands[b].rows,
                           (long long)plan->folds->rows);
        *columns += bands[b].columns;
    }
    for (int64_t i = 0; i < draws * band_count; i++)
        if (!(weights[i] > 0) || !isfinite(weights[i]))
            return vg_fail(VG_INVALID, "band weight %g is not a positive number", weights[i]);
    return VG_OK;
}

vg_status vg_banded_create(vg_device *device, const vg_ridge_plan *plan, const vg_samples *bands, int64_t band_count, const double *weights,
                           int64_t draws, vg_banded **banded)
{
    int64_t columns;
    double *x = NULL, *root = NULL;
    vg_status status;
    *banded = NULL;
    VG_TRY(check(plan, bands, band_count, weights, draws, &columns));
    VG_GO(VG_NEW(banded, 1, "banded ridge"));
    **banded = (vg_banded){.device = device, .plan = plan, .band_count = band_count, .columns = columns};
    VG_GO(VG_NEW(&(*banded)->designs, draws, "draws of band weights"));
    VG_GO(VG_NEW(&(*banded)->weights, draws * band_count, "draws of band weights"));
    memcpy((*banded)->weights, weights, (size_t)(draws * band_count) * sizeof(double));
    VG_GO(VG_NEW(&(*banded)->kept, plan->folds->outer_count * draws, "draws of band weights"));
    VG_GO(take_bands(bands, band_count, *banded));
    VG_GO(VG_NEW(&x, plan->folds->rows * columns, "features of bands"));
    VG_GO(VG_NEW(&root, columns, "features of bands"));
    for (int64_t i = 0; i < draws; i++) {
        VG_GO(make_draw(*banded, weights + i * band_count, root, x, &(*banded)->designs[i]));
        (*banded)->draws++;
    }
done:
    free(x);
    free(root);
    if (status != VG_OK) {
        vg_banded_free(*banded);
        *banded = NULL;
    }
    return status;
}

void vg_banded_free(vg_banded *banded)
{
    if (banded == NULL)
        return;
    for (int64_t i = 0; i < banded->draws; i++)
        vg_ridge_design_free(banded->designs[i]);
    free(banded->designs);
    for (int64_t i = 0; banded->kept != NULL && i < banded->plan->folds->outer_count * banded->draws; i++)
        free(banded->kept[i]);
    free(banded->kept);
    for (int64_t k = 0; banded->folds != NULL && k < banded->plan->folds->outer_count; k++)
        vg_banded_free(banded->folds[k].banded);
    free(banded->folds);
    free(banded->features);
    free(banded->weights);
    free(banded->band);
    free(banded);
}

/* ---- search --------------------------------------------------------------------------------------------------------------------- */

enum { TOGETHER = 8 }; /* draws that share one reading of the responses */

/* Tables (outer, voxels) of the best so far, and of the draws at hand. */
typedef struct {
    double *inner, *alpha, *loss, *total;
    int32_t *draw;
    vg_ridge_result now[TOGETHER];
} search;

static vg_status search_begin(search *s, int64_t outers, int64_t voxels, double **memory)
{
    int64_t n = outers * voxels, tables = 4 * (TOGETHER + 1);
    VG_TRY(VG_NEW(memory, tables * n, "scores of draws"));
    VG_TRY(VG_NEW(&s->draw, n, "chosen draws"));
    double *at = *memory;
    s->inner = at;
    s->alpha = at + n;
    s->loss = at + 2 * n;
    s->total = at + 3 * n;
    for (int64_t i = 0; i < TOGETHER; i++) {
        at += 4 * n;
        s->now[i] = (vg_ridge_result){.inner_r2 = at, .r2_alpha = at + n, .fold_loss = at + 2 * n, .fold_total = at + 3 * n, .ld = voxels};
    }
    for (int64_t e = 0; e < n; e++) {
        s->inner[e] = -(double)INFINITY;
        s->draw[e] = -1;
    }
    return VG_OK;
}

static void keep_better(search *s, const vg_ridge_result *now, int32_t draw, int64_t n)
{
    for (int64_t e = 0; e < n; e++)
        if (now->inner_r2[e] > s->inner[e]) {
            s->inner[e] = now->inner_r2[e];
            s->alpha[e] = now->r2_alpha[e];
            s->loss[e] = now->fold_loss[e];
            s->total[e] = now->fold_total[e];
            s->draw[e] = draw;
        }
}

/* Pooled over the outer folds, or the mean of theirs; not nested, the inner r2. */
static double pooled(const search *s, const vg_ridge_plan *plan, int64_t voxels, int64_t v)
{
    double loss = 0, total = 0, outers = (double)plan->folds->outer_count;
    if (!plan->folds->nested)
        return s->inner[v];
    for (int64_t k = 0; k < plan->folds->outer_count; k++) {
        double sse = s->loss[k * voxels + v], sst = s->total[k * voxels + v];
        loss += plan->r2 == VG_R2_POOLED ? sse : sst > 0 ? sse / sst / outers : 1 / outers;
        total += plan->r2 == VG_R2_POOLED ? sst : 1 / outers;
    }
    return total > 0 ? 1 - loss / total : 0;
}

static void write_results(const search *s, const vg_ridge_plan *plan, int64_t voxels, const vg_banded_result *r)
{
    for (int64_t k = 0; k < plan->folds->outer_count; k++)
        for (int64_t v = 0; v < voxels; v++) {
            bool dead = s->draw[k * voxels + v] < 0;
            if (r->alpha != NULL)
                r->alpha[k * r->ld + v] = dead ? (double)NAN : s->alpha[k * voxels + v];
            if (r->inner_r2 != NULL)
                r->inner_r2[k * r->ld + v] = dead ? (double)NAN : s->inner[k * voxels + v];
            if (r->draw != NULL)
                r->draw[k * r->ld + v] = s->draw[k * voxels + v];
            if (r->fold_loss != NULL)
                r->fold_loss[k * r->ld + v] = dead ? (double)NAN : s->loss[k * voxels + v];
            if (r->fold_total != NULL)
                r->fold_total[k * r->ld + v] = dead ? (double)NAN : s->total[k * voxels + v];
            if (r->r2 != NULL && k == 0)
                r->r2[v] = dead ? (double)NAN : pooled(s, plan, voxels, v);
        }
}

static vg_status search_draws(const vg_banded *banded, vg_samples responses, const int32_t *order, search *s)
{
    for (int64_t first = 0; first < banded->draws; first += TOGETHER) {
        int64_t count = banded->draws - first < TOGETHER ? banded->draws - first : TOGETHER;
        VG_TRY(vg_ridge_fit(banded->designs + first, count, responses, order, s->now));
        for (int64_t i = 0; i < count; i++)
            keep_better(s, &s->now[i], (int32_t)(first + i), banded->plan->folds->outer_count * responses.columns);
    }
    return VG_OK;
}

/* Each outer fold by bands of its own; their splits, weighted with the folds' SST, are split (bands, v), rows ld apart. */
static vg_status search_folds(const vg_banded *banded, vg_samples responses, const int32_t *order, search *s, double *split, int64_t ld)
{
    int64_t voxels = responses.columns, outers = banded->plan->folds->outer_count;
    double *part = NULL, *all = NULL;
    vg_status status;
    VG_GO(VG_NEW(&part, banded->band_count * voxels, "splits"));
    VG_GO(VG_NEW(&all, voxels, "splits"));
    for (int64_t b = 0; split != NULL && b < banded->band_count; b++)
        memset(split + b * ld, 0, (size_t)voxels * sizeof(double));
    for (int64_t k = 0; k < outers; k++) {
        const int64_t at = k * voxels;
        const vg_banded_result r = {.alpha = s->alpha + at,
                                    .inner_r2 = s->inner + at,
                                    .draw = s->draw + at,
                                    .fold_loss = s->loss + at,
                                    .fold_total = s->total + at,
                                    .split = split != NULL ? part : NULL,
                                    .ld = voxels};
        VG_GO(vg_banded_fit(banded->folds[k].banded, responses, order, &r));
        for (int64_t v = 0; v < voxels; v++)
            all[v] += s->total[at + v];
        for (int64_t e = 0; split != NULL && e < banded->band_count * voxels; e++)
            split[e / voxels * ld + e % voxels] += part[e] * s->total[at + e % voxels];
    }
    for (int64_t e = 0; split != NULL && e < banded->band_count * voxels; e++)
        split[e / voxels * ld + e % voxels] /= all[e % voxels];
done:
    free(part);
    free(all);
    return status;
}

vg_status vg_banded_fit(vg_banded *banded, vg_samples responses, const int32_t *order, const vg_banded_result *result)
{
    search s = {0};
    double *memory = NULL;
    vg_status status;
    VG_GO(search_begin(&s, banded->plan->folds->outer_count, responses.columns, &memory));
    if (banded->folds != NULL)
        VG_GO(search_folds(banded, responses, order, &s, result->split, result->ld));
    else
        VG_GO(search_draws(banded, responses, order, &s));
    write_results(&s, banded->plan, responses.columns, result);
    if (result->split != NULL && banded->folds == NULL)
        VG_GO(ridge_split(banded, responses, order, result, result->split));
done:
    free(memory);
    free(s.draw);
    return status;
}
