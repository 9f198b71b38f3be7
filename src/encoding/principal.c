/* principal: banded ridge whose first band is cut to its principal components, so that spaces of different size stand beside the same
 * nuisance at equal size (encoding.md, "What the study answers"). Components are found anew in the training rows of each outer fold, whose
 * test rows are projected on them; then each fold is a banded ridge of its own, as nuisance regressed out is (regress.c). */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ridge.h"

static double value(const vg_samples *x, int64_t t, int64_t j)
{
    int64_t at = t * x->ld + j;
    return x->type == VG_F32 ? (double)((const float *)x->data)[at] : ((const double *)x->data)[at];
}

/* out (T, p): x about the mean of the training rows, over their standard deviation where asked (0: a column that is constant in them). */
static void center(const vg_samples *x, const vg_fold *fold, bool standardize, double *out)
{
    double n = (double)fold->train_rows;
    for (int64_t j = 0; j < x->columns; j++) {
        double mean = 0, square = 0;
        for (int64_t i = 0; i < fold->train_ranges; i++)
            for (int64_t t = fold->train[i].begin; t < fold->train[i].end; t++)
                mean += value(x, t, j) / n;
        for (int64_t i = 0; i < fold->train_ranges; i++)
            for (int64_t t = fold->train[i].begin; t < fold->train[i].end; t++)
                square += (value(x, t, j) - mean) * (value(x, t, j) - mean);
        bool constant = square <= 1e-13 * n * mean * mean || square == 0;
        double by = constant ? 0.0 : standardize ? sqrt(n / square) : 1.0;
        for (int64_t t = 0; t < x->rows; t++)
            out[t * x->columns + j] = by * (value(x, t, j) - mean);
    }
}

/* out (T, principal): centred rows x (T, p) on the components that are largest in the training rows, the largest last; zeros where there
 * are fewer. Of the training rows X_s, eigenvectors V of X_s' X_s, or U of X_s X_s' and V = X_s' U / sqrt(w). */
static vg_status project(vg_device *device, const vg_fold *fold, const double *x, int64_t rows, int64_t p, int64_t principal, double *out)
{
    bool dual = p > fold->train_rows;
    int64_t n = fold->train_rows, side = dual ? n : p, kept = principal < side ? principal : side, at = 0;
    double *train = NULL, *gram = NULL, *w = NULL, *products = NULL, *scores = NULL;
    vg_status status;
    VG_GO(VG_NEW(&train, n * p, "training rows"));
    VG_GO(VG_NEW(&gram, side * side, "products of features"));
    VG_GO(VG_NEW(&w, side, "eigenvalues"));
    VG_GO(VG_NEW(&products, dual ? rows * n : 0, "products of features"));
    VG_GO(VG_NEW(&scores, rows * kept, "principal components"));
    for (int64_t i = 0; i < fold->train_ranges; i++)
        for (int64_t t = fold->train[i].begin; t < fold->train[i].end; t++, at++)
            memcpy(train + at * p, x + t * p, (size_t)p * sizeof(double));
    VG_GO(ridge_product(device, !dual, dual, side, side, dual ? p : n, train, p, train, p, gram));
    VG_GO(ridge_eigenvectors(device, side, gram, w));
    if (dual)
        VG_GO(ridge_product(device, false, true, rows, n, p, x, p, train, p, products));
    const double *largest = gram + (side - kept) * side; /* rows of ascending eigenvalues */
    VG_GO(ridge_product(device, false, true, rows, kept, side, dual ? products : x, side, largest, side, scores));
    for (int64_t t = 0; t < rows; t++)
        for (int64_t j = 0; j < principal; j++) {
            double of = j < kept ? w[side - kept + j] : 0;
            bool there = of > ridge_least_eigenvalue(w, side);
            out[t * principal + j] = there ? scores[t * kept + j] * (dual ? 1 / sqrt(of) : 1.0) : 0.0;
        }
done:
    free(train);
    free(gram);
    free(w);
    free(products);
    free(scores);
    return status;
}

/* One outer fold, its bands (T, columns) made anew: the first one's components, the others as they are. */
static vg_status make_fold(vg_device *device, const vg_ridge_plan *plan, const vg_samples *bands, int64_t band_count, int64_t principal,
                           const double *weights, int64_t draws, vg_fold *fold, banded_fold *f)
{
    int64_t rows = plan->folds->rows, columns = principal;
    vg_samples *made = NULL;
    double *x = NULL, *memory = NULL;
    vg_status status;
    for (int64_t b = 1; b < band_count; b++)
        columns += bands[b].columns;
    f->folds = (vg_folds){.rows = rows, .nested = true, .outer = fold, .outer_count = 1};
    f->plan = *plan;
    f->plan.folds = &f->folds;
    f->plan.standardize = false; /* done here */
    VG_GO(VG_NEW(&made, band_count, "bands"));
    VG_GO(VG_NEW(&x, rows * bands[0].columns, "features"));
    VG_GO(VG_NEW(&memory, rows * columns, "features of bands"));
    center(&bands[0], fold, plan->standardize, x);
    VG_GO(project(device, fold, x, rows, bands[0].columns, principal, memory));
    made[0] = (vg_samples){VG_F64, memory, rows, principal, principal};
    double *next = memory + rows * principal;
    for (int64_t b = 1; b < band_count; next += rows * bands[b].columns, b++) {
        center(&bands[b], fold, plan->standardize, next);
        made[b] = (vg_samples){VG_F64, next, rows, bands[b].columns, bands[b].columns};
    }
    status = vg_banded_create(device, &f->plan, made, band_count, weights, draws, &f->banded);
done:
    free(made);
    free(x);
    free(memory);
    return status;
}

vg_status vg_banded_principal(vg_device *device, const vg_ridge_plan *plan, const vg_samples *bands, int64_t band_count, int64_t principal,
                              const double *weights, int64_t draws, vg_banded **banded)
{
    vg_status status;
    *banded = NULL;
    if (!plan->folds->nested)
        return vg_fail(VG_INVALID, "principal components are found outer fold by outer fold: there are none");
    if (principal < 1)
        return vg_fail(VG_INVALID, "a band cannot be cut to %lld principal components", (long long)principal);
    for (int64_t b = 0; b < band_count; b++)
        if (bands[b].rows != plan->folds->rows)
            return vg_fail(VG_INVALID, "band %lld has %lld rows, the folds %lld", (long long)b + 1, (long long)bands[b].rows,
                           (long long)plan->folds->rows);
    VG_GO(VG_NEW(banded, 1, "banded ridge"));
    **banded = (vg_banded){.device = device, .plan = plan, .band_count = band_count};
    VG_GO(VG_NEW(&(*banded)->folds, plan->folds->outer_count, "folds"));
    for (int64_t k = 0; k < plan->folds->outer_count; k++)
        VG_GO(make_fold(device, plan, bands, band_count, principal, weights, draws, &plan->folds->outer[k], &(*banded)->folds[k]));
done:
    if (status != VG_OK) {
        vg_banded_free(*banded);
        *banded = NULL;
    }
    return status;
}
