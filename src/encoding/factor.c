/* factor: what one set needs of a design, made of its held-out rows H (m, n), eigenvectors V and eigenvalues w (design.c). With few
 * held-out rows: one matrix `left` that gives the predictions of the few functions (basis.c) that all penalties are made of; each voxel
 * costs rank m n multiplications. With many: sums over pairs of directions (quadratic.c), 3 n^2 in double. */
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ridge.h"

double ridge_least_eigenvalue(const double *w, int64_t n)
{
    return (double)n * 4 * DBL_EPSILON * w[n - 1];
}

static vg_status device_new(vg_device *d, double **x, int64_t count)
{
    return d->ops->alloc(d, (size_t)(count > 0 ? count : 1) * sizeof(double), (void **)x);
}

/* P = H V' (m + 1, n), from held-out rows and eigenvectors. */
static vg_status project(const ridge_making *s, double **projected)
{
    vg_device *d = s->device;
    double *held_out = NULL, *there = NULL;
    int64_t n = s->n, count = (s->m + 1) * n;
    vg_status status;
    *projected = NULL;
    VG_GO(device_new(d, &held_out, count));
    VG_GO(device_new(d, &there, count));
    VG_GO(d->ops->up(d, held_out, s->held_out, (size_t)count * sizeof(double)));
    VG_GO(ridge_multiply(d, false, true, s->m + 1, n, n, 1.0, held_out, n, s->vectors, n, 0.0, there));
    VG_GO(VG_NEW(projected, count, "numbers of projected rows"));
    VG_GO(d->ops->down(d, *projected, there, (size_t)count * sizeof(double)));
    for (int64_t j = 0; j < n && s->w[j] == 0.0; j++) /* left out */
        for (int64_t i = 0; i <= s->m; i++)
            (*projected)[i * n + j] = 0;
done:
    ridge_device_free(d, held_out);
    ridge_device_free(d, there);
    return status;
}

/* How much direction i can matter on the held-out rows: the length of P's column, times that of what the training data bring to it for
 * a response of white noise; 0 where the eigenvalue is rounding. */
static void weigh(const ridge_making *s, const double *projected, double *weight)
{
    int64_t n = s->n;
    memset(weight, 0, (size_t)n * sizeof(double));
    for (int64_t i = 0; i <= s->m; i++)
        for (int64_t j = 0; j < n; j++)
            weight[j] += projected[i * n + j] * projected[i * n + j];
    double least = ridge_least_eigenvalue(s->w, n);
    for (int64_t j = 0; j < n; j++)
        weight[j] = s->w[j] > least ? sqrt(weight[j] * (s->dual ? 1.0 : s->w[j])) : 0.0;
}

/* [P diag(phi_0); P diag(phi_1); ...]: the r (m) rows about the mean, then the r rows of means. */
static vg_status stack_rows(const ridge_making *s, const double *projected, const ridge_basis *basis, double **stacked)
{
    int64_t n = s->n, r = basis->rank;
    VG_TRY(VG_NEW(stacked, r * (s->m + 1) * n, "numbers of a factor"));
    for (int64_t k = 0; k < r; k++)
        for (int64_t i = 0; i <= s->m; i++) {
            double *to = *stacked + (i < s->m ? k * s->m + i : r * s->m + k) * n;
            for (int64_t j = 0; j < n; j++)
                to[j] = projected[i * n + j] * basis->phi[k * n + j];
        }
    return VG_OK;
}

/* Numbers of the plan's type on the device become doubles of the host. */
static vg_status receive(vg_device *d, vg_type type, const void *there, int64_t count, double *host)
{
    if (type == VG_F64)
        return d->ops->down(d, host, there, (size_t)count * sizeof(double));
    float *narrow = (float *)host + count; /* the upper half: widened from the front, no number is overwritten unread */
    VG_TRY(d->ops->down(d, narrow, there, (size_t)count * sizeof(float)));
    for (int64_t i = 0; i < count; i++) {
        float value;
        memcpy(&value, narrow + i, sizeof value);
        host[i] = (double)value;
    }
    return VG_OK;
}

/* left = stacked V, in the plan's type: what it multiplies is no more exact. `left` holds the stacked rows, and then the product. */
static vg_status make_left(const ridge_making *s, int64_t rows, double *left)
{
    vg_device *d = s->device;
    vg_type type = s->plan->type;
    int64_t n = s->n;
    double *host = NULL;
    void *stacked = NULL, *narrow = NULL, *result = NULL;
    vg_status status;
    VG_GO(VG_NEW(&host, n * n, "eigenvectors"));
    VG_GO(d->ops->down(d, host, s->vectors, (size_t)(n * n) * sizeof(double)));
    VG_GO(ridge_send(d, type, host, n * n, &narrow));
    VG_GO(ridge_send(d, type, left, rows * n, &stacked));
    VG_GO(d->ops->alloc(d, (size_t)(rows * n) * ridge_size(type), &result));
    VG_GO(d->ops->gemm(d, &(vg_gemm){.type = type,
                                     .m = rows,
                                     .n = n,
                                     .k = n,
                                     .batch = 1,
                                     .alpha = 1,
                                     .a = stacked,
                                     .b = narrow,
                                     .c = result,
                                     .lda = n,
                                     .ldb = n,
                                     .ldc = n}));
    VG_GO(receive(d, type, result, rows * n, left));
done:
    free(host);
    ridge_device_free(d, stacked);
    ridge_device_free(d, narrow);
    ridge_device_free(d, result);
    return status;
}

/* Cuts the padding of a batch off the rows of a dual factor, and takes off each row's mean: what it multiplies need not be centred. */
static void narrow_rows(double *matrix, int64_t rows, int64_t ld, int64_t n)
{
    for (int64_t i = 0; i < rows; i++) {
        double sum = 0;
        for (int64_t j = 0; j < n; j++)
            sum += matrix[i * ld + j];
        for (int64_t j = 0; j < n; j++)
            matrix[i * n + j] = matrix[i * ld + j] - sum / (double)n;
    }
}

static vg_status send_rows(const ridge_making *s, const ridge_basis *basis, double *left, ridge_factor *factor)
{
    int64_t rows = basis->rank * (s->m + 1);
    factor->rows = s->m;
    factor->rank = basis->rank;
    factor->width = s->width;
    VG_TRY(ridge_send(s->device, VG_F64, basis->coefficient, s->plan->alpha_count * basis->rank, (void **)&factor->coefficient));
    if (s->dual)
        narrow_rows(left, rows, s->n, s->width);
    for (int64_t i = 0; i < rows && !s->dual; i++)
        for (int64_t j = 0; j < s->width; j++)
            left[i * s->width + j] *= s->by[j];
    return ridge_send(s->device, s->plan->type, left, rows * s->width, &factor->left);
}

static vg_status make_by_rows(const ridge_making *s, const double *projected, const ridge_basis *basis, ridge_factor *factor)
{
    double *left = NULL;
    vg_status status;
    VG_GO(stack_rows(s, projected, basis, &left));
    VG_GO(make_left(s, basis->rank * (s->m + 1), left));
    VG_GO(send_rows(s, basis, left, factor));
done:
    free(left);
    return status;
}

/* Whether 3 n^2 + 4 A n multiplications in double are fewer than rank m n, and rank^2 / 2 a row in double to fold them. A double counts
 * for two. */
static bool pairs_are_fewer(const ridge_making *s, int64_t rank)
{
    double n = (double)s->n, m = (double)s->m, r = (double)rank, two = s->plan->type == VG_F32 ? 2.0 : 1.0;
    return !s->dual && two * (3 * n * n + 4 * (double)s->plan->alpha_count * n) < r * m * n + two * (r + 1) * (r + 2) / 2 * m;
}

/* How far a penalty's prediction may be from the basis' span: about what products of a thousand float32 terms are rounded by, which moves a
 * score of m held-out rows by sqrt(m) less; in double almost nothing. */
static double tolerance_of(vg_type type)
{
    return type == VG_F32 ? 3e-6 : 1e-13;
}

/* What makes products of a set's segments those of the set. */
static vg_status send_means(const ridge_making *s, ridge_factor *factor)
{
    const ridge_layout *l = &s->building->design->layout;
    VG_TRY(ridge_send_apart(s->building, l->train + s->set->train, s->set->trains, &factor->apart));
    factor->trains = factor->apart != NULL ? s->set->trains : 0;
    if (!factor->by_directions)
        return VG_OK;
    VG_TRY(ridge_send_apart(s->building, l->test + s->set->test, s->set->tests, &factor->held_apart));
    factor->tests = factor->held_apart != NULL ? s->set->tests : 0;
    return VG_OK;
}

vg_status ridge_make_factor(const ridge_making *s, ridge_factor *factor)
{
    double *projected = NULL, *weight = NULL;
    ridge_basis basis = {0};
    vg_status status;
    VG_GO(project(s, &projected));
    VG_GO(VG_NEW(&weight, s->n, "directions"));
    weigh(s, projected, weight);
    VG_GO(ridge_basis_create(s->plan->alphas, s->plan->alpha_count, s->w, weight, s->n, tolerance_of(s->plan->type), &basis));
    factor->by_directions = pairs_are_fewer(s, basis.rank);
    VG_GO(factor->by_directions ? ridge_make_quadratic(s, projected, factor) : make_by_rows(s, projected, &basis, factor));
    if (!s->dual)
        VG_GO(send_means(s, factor));
done:
    free(projected);
    free(weight);
    ridge_basis_free(&basis);
    return status;
}

void ridge_factor_free(vg_device *device, ridge_factor *factor)
{
    void *there[] = {factor->apart, factor->held_apart, factor->left,     factor->coefficient, factor->whiten, factor->lift,
                     factor->pairs, factor->near,       factor->diagonal, factor->lean,        factor->filter, factor->slope};
    for (size_t i = 0; i < sizeof there / sizeof there[0]; i++)
        ridge_device_free(device, there[i]);
}
