/* split: what each band adds to r2, the product measure (Pratt 1987; Dupre la Tour et al. 2022, NeuroImage 264:119728, eq. 12): with the
 * prediction yhat = sum_b yhat_b of an outer fold's test rows, y and yhat about the training means, 1 - SSE / SST = sum_b yhat_b (2 y -
 * yhat) / SST. Pooled over outer folds; the parts add up to the r2 of all bands. Once per voxel, so plainly: weights of the training rows
 * in float64, by an eigendecomposition for every draw that was chosen. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ridge.h"

/* One outer fold and one draw: train (n, p) and test (m, p) rows of features, those of the chosen voxels' responses y (n, v), z (m, v). */
typedef struct {
    vg_banded *banded;
    const vg_fold *fold;
    int64_t n, m, p, v;
    double *train, *test, *y, *z, *alpha, *gram, *w, *a, *b, *part, *sum;
    int64_t *voxel;
} splitting;

static double value(const vg_samples *x, int64_t t, int64_t j)
{
    int64_t at = t * x->ld + j;
    return x->type == VG_F32 ? (double)((const float *)x->data)[at] : ((const double *)x->data)[at];
}

vg_status ridge_product(vg_device *d, bool transpose_a, bool transpose_b, int64_t m, int64_t n, int64_t k, const double *a, int64_t lda,
                        const double *b, int64_t ldb, double *c)
{
    void *a_there = NULL, *b_there = NULL;
    double *c_there = NULL;
    vg_status status;
    VG_GO(ridge_send(d, VG_F64, a, (transpose_a ? k : m) * lda, &a_there));
    VG_GO(ridge_send(d, VG_F64, b, (transpose_b ? n : k) * ldb, &b_there));
    VG_GO(d->ops->alloc(d, (size_t)(m * n) * sizeof(double), (void **)&c_there));
    VG_GO(ridge_multiply(d, transpose_a, transpose_b, m, n, k, 1.0, a_there, lda, b_there, ldb, 0.0, c_there));
    VG_GO(d->ops->down(d, c, c_there, (size_t)(m * n) * sizeof(double)));
done:
    ridge_device_free(d, a_there);
    ridge_device_free(d, b_there);
    ridge_device_free(d, c_there);
    return status;
}

vg_status ridge_eigenvectors(vg_device *d, int64_t n, double *gram, double *w)
{
    void *there = NULL;
    double *w_there = NULL;
    vg_status status;
    VG_GO(ridge_send(d, VG_F64, gram, n * n, &there));
    VG_GO(d->ops->alloc(d, (size_t)n * sizeof(double), (void **)&w_there));
    VG_GO(d->ops->eigh(d, 1, n, there, w_there));
    VG_GO(d->ops->down(d, gram, there, (size_t)(n * n) * sizeof(double)));
    VG_GO(d->ops->down(d, w, w_there, (size_t)n * sizeof(double)));
done:
    ridge_device_free(d, there);
    ridge_device_free(d, w_there);
    return status;
}

/* Rows of ranges into out (rows, columns of `index`, or all). */
static void gather(const vg_samples *x, const int32_t *order, const vg_range *ranges, int64_t count, const int64_t *index, int64_t columns,
                   double *out)
{
    for (int64_t i = 0; i < count; i++)
        for (int64_t t = ranges[i].begin; t < ranges[i].end; t++)
            for (int64_t j = 0; j < columns; j++)
                *out++ = value(x, order != NULL ? order[t] : t, index != NULL ? index[j] : j);
}

/* Both about the mean of the training rows; scaled by their standard deviation where asked (0: a constant column is nothing), times root.
 */
static void center(double *train, int64_t n, double *test, int64_t m, int64_t columns, bool standardize, const double *root)
{
    for (int64_t j = 0; j < columns; j++) {
        double mean = 0, square = 0, by = root != NULL ? root[j] : 1.0;
        for (int64_t i = 0; i < n; i++)
            mean += train[i * columns + j] / (double)n;
        for (int64_t i = 0; i < n; i++)
            square += (train[i * columns + j] - mean) * (train[i * columns + j] - mean);
        if (standardize)
            by = square > 1e-13 * (double)n * mean * mean && square > 0 ? by * sqrt((double)n / square) : 0.0;
        for (int64_t i = 0; i < n; i++)
            train[i * columns + j] = by * (train[i * columns + j] - mean);
        for (int64_t i = 0; i < m; i++)
            test[i * columns + j] = by * (test[i * columns + j] - mean);
    }
}

static void filter(const splitting *s, int64_t side, double *z)
{
    double least = ridge_least_eigenvalue(s->w, side);
    for (int64_t i = 0; i < side; i++)
        for (int64_t v = 0; v < s->v; v++)
            z[i * s->v + v] = s->w[i] > least ? z[i * s->v + v] / (s->w[i] + s->alpha[v]) : 0.0;
}

/* Eigenvectors (side, side) and eigenvalues of the training rows' products into s->gram and s->w; from `kept` where they are there. */
static vg_status factor(splitting *s, int64_t side, bool dual, double **kept)
{
    size_t vectors = (size_t)(side * side) * sizeof(double), values = (size_t)side * sizeof(double);
    int64_t bytes = (int64_t)(vectors + values);
    if (*kept == NULL) {
        VG_TRY(ridge_product(s->banded->device, !dual, dual, side, side, dual ? s->p : s->n, s->train, s->p, s->train, s->p, s->gram));
        VG_TRY(ridge_eigenvectors(s->banded->device, side, s->gram, s->w));
        if (s->banded->kept_bytes + bytes > BANDED_KEEPS)
            return VG_OK;
        VG_TRY(VG_NEW(kept, side * side + side, "eigenvectors"));
        s->banded->kept_bytes += bytes;
        memcpy(*kept, s->gram, vectors);
        memcpy(*kept + side * side, s->w, values);
        return VG_OK;
    }
    memcpy(s->gram, *kept, vectors);
    memcpy(s->w, *kept + side * side, values);
    return VG_OK;
}

/* weights (p, v) of the training rows into s->a. */
static vg_status weigh(splitting *s, double **kept)
{
    vg_device *d = s->banded->device;
    bool dual = s->p > s->n;
    int64_t side = dual ? s->n : s->p, v = s->v, p = s->p, n = s->n;
    VG_TRY(factor(s, side, dual, kept));
    if (!dual)
        VG_TRY(ridge_product(d, true, false, p, v, n, s->train, p, s->y, v, s->a));
    VG_TRY(ridge_product(d, false, false, side, v, side, s->gram, side, dual ? s->y : s->a, v, s->b));
    filter(s, side, s->b);
    VG_TRY(ridge_product(d, true, false, side, v, side, s->gram, side, s->b, v, s->a));
    if (!dual)
        return VG_OK;
    VG_TRY(ridge_product(d, true, false, p, v, n, s->train, p, s->a, v, s->b));
    memcpy(s->a, s->b, (size_t)(p * v) * sizeof(double));
    return VG_OK;
}

/* Adds sum_t yhat_b (2 y - yhat) of every band to its row of split. Bands are columns side by side. */
static vg_status add_parts(splitting *s, int64_t ld, double *split)
{
    const vg_banded *b = s->banded;
    int64_t mv = s->m * s->v;
    memset(s->sum, 0, (size_t)mv * sizeof(double));
    for (int64_t band = 0, first = 0, end; band < b->band_count; band++, first = end) {
        for (end = first; end < s->p && b->band[end] == band;)
            end++;
        double *part = s->part + band * mv;
        memset(part, 0, (size_t)mv * sizeof(double));
        if (end > first)
            VG_TRY(ridge_product(b->device, false, false, s->m, s->v, end - first, s->test + first, s->p, s->a + first * s->v, s->v, part));
        for (int64_t e = 0; e < mv; e++)
            s->sum[e] += part[e];
    }
    for (int64_t band = 0; band < b->band_count; band++)
        for (int64_t e = 0; e < mv; e++)
            split[band * ld + s->voxel[e % s->v]] += s->part[band * mv + e] * (2 * s->z[e] - s->sum[e]);
    return VG_OK;
}

static vg_status split_draw(splitting *s, vg_samples responses, const int32_t *order, const double *weights, int64_t ld, double *split,
                            double *total, double **kept)
{
    const vg_banded *b = s->banded;
    const vg_fold *fold = s->fold;
    vg_samples features = {VG_F64, b->features, b->plan->folds->rows, s->p, s->p};
    double *root = s->a; /* p numbers, used before it holds weights */
    gather(&features, NULL, fold->train, fold->train_ranges, NULL, s->p, s->train);
    gather(&features, NULL, fold->test, fold->test_ranges, NULL, s->p, s->test);
    for (int64_t j = 0; j < s->p; j++)
        root[j] = sqrt(weights[b->band[j]]);
    center(s->train, s->n, s->test, s->m, s->p, b->plan->standardize, root);
    gather(&responses, order, fold->train, fold->train_ranges, s->voxel, s->v, s->y);
    gather(&responses, order, fold->test, fold->test_ranges, s->voxel, s->v, s->z);
    center(s->y, s->n, s->z, s->m, s->v, false, NULL);
    for (int64_t e = 0; e < s->m * s->v; e++)
        total[s->voxel[e % s->v]] += s->z[e] * s->z[e];
    VG_TRY(weigh(s, kept));
    return add_parts(s, ld, split);
}

static vg_status take_memory(splitting *s, int64_t voxels)
{
    int64_t side = s->p > s->n ? s->n : s->p, most = s->p > s->n ? s->p : s->n;
    VG_TRY(VG_NEW(&s->train, s->n * s->p, "training rows"));
    VG_TRY(VG_NEW(&s->test, (s->m + 1) * s->p, "test rows")); /* and one more: a band's columns end where the next row's begin */
    VG_TRY(VG_NEW(&s->y, s->n * voxels, "responses"));
    VG_TRY(VG_NEW(&s->z, s->m * voxels, "responses"));
    VG_TRY(VG_NEW(&s->alpha, voxels, "penalties"));
    VG_TRY(VG_NEW(&s->voxel, voxels, "voxels"));
    VG_TRY(VG_NEW(&s->gram, side * side, "products of features"));
    VG_TRY(VG_NEW(&s->w, side, "eigenvalues"));
    VG_TRY(VG_NEW(&s->a, most * (voxels + 1), "weights"));
    VG_TRY(VG_NEW(&s->b, most * voxels, "weights"));
    VG_TRY(VG_NEW(&s->part, s->banded->band_count * s->m * voxels, "predictions of bands"));
    return VG_NEW(&s->sum, s->m * voxels, "predictions");
}

static void free_memory(splitting *s)
{
    double *memory[] = {s->train, s->test, s->y, s->z, s->alpha, s->gram, s->w, s->a, s->b, s->part, s->sum};
    for (size_t i = 0; i < sizeof memory / sizeof *memory; i++)
        free(memory[i]);
    free(s->voxel);
}

static vg_status split_fold(vg_banded *banded, int64_t k, vg_samples responses, const int32_t *order, const vg_banded_result *chosen,
                            double *split, double *total)
{
    const vg_fold *fold = &banded->plan->folds->outer[k];
    splitting s = {.banded = banded, .fold = fold, .n = fold->train_rows, .m = fold->test_rows, .p = banded->columns};
    vg_status status;
    VG_GO(take_memory(&s, responses.columns));
    for (int64_t i = 0; i < banded->draws; i++) {
        s.v = 0;
        for (int64_t v = 0; v < responses.columns; v++)
            if (chosen->draw[k * chosen->ld + v] == i) {
                s.alpha[s.v] = chosen->alpha[k * chosen->ld + v];
                s.voxel[s.v++] = v;
            }
        if (s.v > 0)
            VG_GO(split_draw(&s, responses, order, banded->weights + i * banded->band_count, chosen->ld, split, total,
                             &banded->kept[k * banded->draws + i]));
    }
done:
    free_memory(&s);
    return status;
}

vg_status ridge_split(vg_banded *banded, vg_samples responses, const int32_t *order, const vg_banded_result *chosen, double *split)
{
    const vg_folds *folds = banded->plan->folds;
    double *total;
    if (!folds->nested || chosen->draw == NULL || chosen->alpha == NULL)
        return vg_fail(VG_INVALID, "the split of bands needs outer folds, and the chosen draws and penalties");
    VG_TRY(VG_NEW(&total, responses.columns, "voxels"));
    for (int64_t b = 0; b < banded->band_count; b++)
        memset(split + b * chosen->ld, 0, (size_t)responses.columns * sizeof(double));
    vg_status status = VG_OK;
    for (int64_t k = 0; status == VG_OK && k < folds->outer_count; k++)
        status = split_fold(banded, k, responses, order, chosen, split, total);
    for (int64_t b = 0; b < banded->band_count; b++)
        for (int64_t v = 0; v < responses.columns; v++)
            split[b * chosen->ld + v] = total[v] > 0 ? split[b * chosen->ld + v] / total[v] : (double)NAN;
    free(total);
    return status;
}
