/* weights: ridge on all rows with given penalties, one a voxel (encoding.md: "weights are refit on all rows on request").
 * With G = V' diag(w) V: weights = V' diag(1 / (w + alpha)) V C, C = X' y; dual, of the rows' products: X' V' diag(1 / (w + alpha)) V y.
 * All in float64, whatever the plan: this is done once. */
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ridge.h"

enum { ACROSS = 512 }; /* voxels at a time */

typedef struct {
    vg_device *device;
    int64_t rows, columns, side; /* side: of the eigenproblem */
    double *x, *vectors, *w;     /* device: (T, p), (side, side), (side) */
    double *y, *a, *b;           /* device: (T, ACROSS), (larger of T and p, ACROSS) twice */
    double *w_here, *here;       /* host: (side), (larger of T and p, ACROSS) */
} refit;

static double value(const vg_samples *x, int64_t t, int64_t j)
{
    int64_t at = t * x->ld + j;
    return x->type == VG_F32 ? (double)((const float *)x->data)[at] : ((const double *)x->data)[at];
}

static vg_status multiply(vg_device *d, bool transpose_a, int64_t m, int64_t n, int64_t k, const double *a, int64_t lda, const double *b,
                          bool transpose_b, int64_t ldb, double *c)
{
    return d->ops->gemm(d, &(vg_gemm){.type = VG_F64,
                                      .transpose_a = transpose_a,
                                      .transpose_b = transpose_b,
                                      .m = m,
                                      .n = n,
                                      .k = k,
                                      .batch = 1,
                                      .alpha = 1,
                                      .a = a,
                                      .b = b,
                                      .c = c,
                                      .lda = lda,
                                      .ldb = ldb,
                                      .ldc = n});
}

static vg_status device_new(vg_device *d, double **x, int64_t count)
{
    return d->ops->alloc(d, (size_t)count * sizeof(double), (void **)x);
}

/* Columns first .. first + n - 1 into out (rows, n), centred, and of length sqrt(rows) where asked; 0 throughout where constant, NaN where
 * a value is not finite. usable (n) or NULL: whether neither is so. */
static void center(const vg_samples *x, int64_t first, int64_t n, bool standardize, double *out, bool *usable)
{
    for (int64_t j = 0; j < n; j++) {
        double begin = value(x, 0, first + j), mean = 0, square = 0;
        bool same = true;
        for (int64_t t = 0; t < x->rows; t++) {
            same &= value(x, t, first + j) == begin;
            mean += (value(x, t, first + j) - begin) / (double)x->rows;
        }
        for (int64_t t = 0; t < x->rows; t++) {
            out[t * n + j] = same ? 0.0 : value(x, t, first + j) - begin - mean;
            square += out[t * n + j] * out[t * n + j];
        }
        double by = standardize && square > 0 ? sqrt((double)x->rows / square) : 1.0;
        for (int64_t t = 0; t < x->rows; t++)
            out[t * n + j] *= by;
        if (usable != NULL)
            usable[j] = !same && isfinite(square);
    }
}

static vg_status factor(refit *r, const vg_samples *features, bool standardize)
{
    vg_device *d = r->device;
    bool dual = r->side != r->columns;
    double *x;
    VG_TRY(VG_NEW(&x, r->rows * r->columns, "numbers of features"));
    center(features, 0, r->columns, standardize, x, NULL);
    vg_status status = VG_OK;
    for (int64_t i = 0; i < r->rows * r->columns && status == VG_OK; i++)
        if (!isfinite(x[i]))
            status = vg_fail(VG_INVALID, "features: column %lld has a value that is not finite", (long long)(i % r->columns) + 1);
    if (status == VG_OK)
        status = d->ops->up(d, r->x, x, (size_t)(r->rows * r->columns) * sizeof(double));
    free(x);
    VG_TRY(status);
    VG_TRY(multiply(d, !dual, r->side, r->side, dual ? r->columns : r->rows, r->x, r->columns, r->x, dual, r->columns, r->vectors));
    VG_TRY(d->ops->eigh(d, 1, r->side, r->vectors, r->w));
    return d->ops->down(d, r->w_here, r->w, (size_t)r->side * sizeof(double));
}

/* z (side, n) on the host: times 1 / (w + alpha of its column), 0 where w is rounding. */
static void filter(const refit *r, const double *alpha, int64_t n, double *z)
{
    double least = (double)r->side * 4 * DBL_EPSILON * r->w_here[r->side - 1];
    for (int64_t i = 0; i < r->side; i++)
        for (int64_t v = 0; v < n; v++)
            z[i * n + v] = r->w_here[i] > least ? z[i * n + v] / (r->w_here[i] + alpha[v]) : 0.0;
}

static vg_status weigh(refit *r, const vg_samples *responses, int64_t first, int64_t n, const double *alpha, int64_t voxels,
                       double *weights)
{
    vg_device *d = r->device;
    bool dual = r->side != r->columns, usable[ACROSS];
    int64_t side = r->side;
    center(responses, first, n, false, r->here, usable);
    for (int64_t i = 0; i < r->rows * n; i++)
        r->here[i] = usable[i % n] ? r->here[i] : 0.0;
    VG_TRY(d->ops->up(d, r->y, r->here, (size_t)(r->rows * n) * sizeof(double)));
    if (!dual)
        VG_TRY(multiply(d, true, side, n, r->rows, r->x, r->columns, r->y, false, n, r->a));
    VG_TRY(multiply(d, false, side, n, side, r->vectors, side, dual ? r->y : r->a, false, n, r->b));
    VG_TRY(d->ops->down(d, r->here, r->b, (size_t)(side * n) * sizeof(double)));
    filter(r, alpha + first, n, r->here);
    VG_TRY(d->ops->up(d, r->b, r->here, (size_t)(side * n) * sizeof(double)));
    VG_TRY(multiply(d, true, side, n, side, r->vectors, side, r->b, false, n, r->a));
    if (dual)
        VG_TRY(multiply(d, true, r->columns, n, r->rows, r->x, r->columns, r->a, false, n, r->b));
    VG_TRY(d->ops->down(d, r->here, dual ? r->b : r->a, (size_t)(r->columns * n) * sizeof(double)));
    for (int64_t j = 0; j < r->columns; j++)
        for (int64_t v = 0; v < n; v++)
            weights[j * voxels + first + v] = usable[v] ? r->here[j * n + v] : (double)NAN;
    return VG_OK;
}

vg_status vg_ridge_weights(vg_device *device, const vg_ridge_plan *plan, vg_samples features, vg_samples responses, const double *alpha,
                           double *weights)
{
    if (features.rows != responses.rows || features.columns < 1 || features.rows < 1)
        return vg_fail(VG_INVALID, "weights: features are %lld x %lld, responses %lld x %lld", (long long)features.rows,
                       (long long)features.columns, (long long)responses.rows, (long long)responses.columns);
    int64_t T = features.rows, p = features.columns, larger = T > p ? T : p;
    refit r = {.device = device, .rows = T, .columns = p, .side = p > T ? T : p};
    vg_status status;
    VG_GO(device_new(device, &r.x, T * p));
    VG_GO(device_new(device, &r.vectors, r.side * r.side));
    VG_GO(device_new(device, &r.w, r.side));
    VG_GO(device_new(device, &r.y, T * ACROSS));
    VG_GO(device_new(device, &r.a, larger * ACROSS));
    VG_GO(device_new(device, &r.b, larger * ACROSS));
    VG_GO(VG_NEW(&r.w_here, r.side, "eigenvalues"));
    VG_GO(VG_NEW(&r.here, larger * ACROSS, "numbers of weights"));
    VG_GO(factor(&r, &features, plan->standardize));
    for (int64_t first = 0; first < responses.columns; first += ACROSS)
        VG_GO(weigh(&r, &responses, first, responses.columns - first < ACROSS ? responses.columns - first : ACROSS, alpha,
                    responses.columns, weights));
done:;
    double *there[] = {r.x, r.vectors, r.w, r.y, r.a, r.b};
    for (size_t i = 0; i < sizeof there / sizeof there[0]; i++)
        if (there[i] != NULL)
            device->ops->free(device, there[i]);
    free(r.w_here);
    free(r.here);
    return status;
}
