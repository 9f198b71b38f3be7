/* quadratic: all penalties from sums over pairs of directions. The square of a penalty's prediction on held-out rows H (about their mean)
 * is sum_il M_il d_i d_l z_i z_l, with M = V H' H V', z = V C, d_i = 1 / (w_i + a). Since, by partial fractions, d_i d_l = (d_i - d_l) /
 * (w_l - w_i), the sum over pairs is 2 sum_i d_i z_i (S z)_i with S_il = M_il / (w_l - w_i): one product for all penalties, and then A n
 * multiplications, not A n^2. Pairs whose eigenvalues are nearly equal are taken as d_i d_l = (d_i^2 + d_l^2) / 2, wrong by less than the
 * square of their relative distance NEARLY: sum_i d_i^2 z_i (N z)_i, N being M where pairs are near (the diagonal too). For penalties above
 * the largest w, where all d_i are alike, -(w_i - c) / ((w_i + a) (a + c)) stands for d_i: it has the same differences, for any c, and with
 * c the largest w no digits are lost. Directions are scaled by sqrt(w), so that z is of the size of y. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ridge.h"

static const double NEARLY = 1e-5; /* 1e-10 of a pair is neglected, 1e-16 / 1e-5 of it lost to rounding */

/* Host memory: kept[i] is the number of direction i; (n, p) and (n, n) matrices. */
typedef struct {
    int64_t n;
    int64_t *kept;
    double *root, *rows, *pairs, *near, *diagonal, *lean, *table;
    bool any_near;
} making;

static vg_status keep(const ridge_making *s, making *q)
{
    double least = ridge_least_eigenvalue(s->w, s->n);
    VG_TRY(VG_NEW(&q->kept, s->n, "directions"));
    VG_TRY(VG_NEW(&q->root, s->n, "directions"));
    for (int64_t i = 0; i < s->n; i++)
        if (s->w[i] > least) {
            q->root[q->n] = sqrt(s->w[i]);
            q->kept[q->n++] = i;
        }
    return VG_OK;
}

/* M (n, n) of all directions, from the projected held-out rows (m, n). */
static vg_status multiply_rows(const ridge_making *s, const double *projected, double *products)
{
    vg_device *d = s->device;
    int64_t n = s->n;
    void *rows = NULL;
    double *there = NULL;
    vg_status status;
    VG_GO(ridge_send(d, VG_F64, projected, s->m * n, &rows));
    VG_GO(d->ops->alloc(d, (size_t)(n * n) * sizeof(double), (void **)&there));
    VG_GO(ridge_multiply(d, true, false, n, n, s->m, 1.0, rows, n, rows, n, 0.0, there));
    VG_GO(d->ops->down(d, products, there, (size_t)(n * n) * sizeof(double)));
done:
    ridge_device_free(d, rows);
    ridge_device_free(d, there);
    return status;
}

static double smallest(const double *x, int64_t n)
{
    double least = x[0];
    for (int64_t i = 1; i < n; i++)
        least = x[i] < least ? x[i] : least;
    return least;
}

static vg_status split_pairs(const ridge_making *s, const double *projected, making *q)
{
    double *products = NULL, alpha = smallest(s->plan->alphas, s->plan->alpha_count);
    vg_status status;
    VG_GO(VG_NEW(&products, s->n * s->n, "pairs of directions"));
    VG_GO(VG_NEW(&q->pairs, q->n * q->n, "pairs of directions"));
    VG_GO(VG_NEW(&q->near, q->n * q->n, "pairs of directions"));
    VG_GO(VG_NEW(&q->diagonal, q->n, "directions"));
    VG_GO(multiply_rows(s, projected, products));
    for (int64_t i = 0; i < q->n; i++)
        for (int64_t l = 0; l < q->n; l++) {
            double wi = s->w[q->kept[i]], wl = s->w[q->kept[l]], m = q->root[i] * products[q->kept[i] * s->n + q->kept[l]] * q->root[l];
            bool near = fabs(wl - wi) <= NEARLY * (fmax(wi, wl) + alpha);
            q->pairs[i * q->n + l] = near ? 0.0 : m / (wl - wi);
            q->near[i * q->n + l] = near ? m : 0.0;
            q->any_near |= near && i != l && m != 0.0;
        }
    for (int64_t i = 0; i < q->n; i++)
        q->diagonal[i] = q->near[i * q->n + i];
done:
    free(products);
    return status;
}

/* Eigenvectors, row i times root[i]^power, for cross-products of features that are not scaled; to the device. */
static vg_status send_vectors(const ridge_making *s, making *q, const double *vectors, bool divide, double **there)
{
    int64_t p = s->columns;
    for (int64_t i = 0; i < q->n; i++)
        for (int64_t j = 0; j < p; j++)
            q->rows[i * p + j] = s->by[j] * vectors[q->kept[i] * p + j] * (divide ? 1 / q->root[i] : q->root[i]);
    return ridge_send(s->device, VG_F64, q->rows, q->n * p, (void **)there);
}

static vg_status send_all_vectors(const ridge_making *s, making *q, ridge_factor *factor)
{
    int64_t p = s->columns;
    double *vectors;
    VG_TRY(VG_NEW(&vectors, p * p, "eigenvectors"));
    vg_status status = VG_NEW(&q->rows, q->n * p, "eigenvectors");
    if (status == VG_OK)
        status = s->device->ops->down(s->device, vectors, s->vectors, (size_t)(p * p) * sizeof(double));
    if (status == VG_OK)
        status = send_vectors(s, q, vectors, true, &factor->whiten);
    if (status == VG_OK)
        status = send_vectors(s, q, vectors, false, &factor->lift);
    free(vectors);
    return status;
}

/* d, and what stands for it in the sum over far pairs. */
static vg_status send_tables(const ridge_making *s, making *q, ridge_factor *factor)
{
    int64_t count = s->plan->alpha_count, n = q->n;
    double largest = s->w[s->n - 1];
    VG_TRY(VG_NEW(&q->table, 2 * count * n, "filters of penalties"));
    for (int64_t a = 0; a < count; a++)
        for (int64_t i = 0; i < n; i++) {
            double alpha = s->plan->alphas[a], w = s->w[q->kept[i]];
            q->table[a * n + i] = 1 / (w + alpha);
            q->table[(count + a) * n + i] = alpha < largest ? 1 / (w + alpha) : (largest - w) / ((w + alpha) * (alpha + largest));
        }
    VG_TRY(ridge_send(s->device, VG_F64, q->table, count * n, (void **)&factor->filter));
    return ridge_send(s->device, VG_F64, q->table + count * n, count * n, (void **)&factor->slope);
}

vg_status ridge_make_quadratic(const ridge_making *s, const double *projected, ridge_factor *factor)
{
    making q = {0};
    vg_status status;
    VG_GO(keep(s, &q));
    factor->directions = q.n;
    factor->width = s->columns;
    VG_GO(split_pairs(s, projected, &q));
    VG_GO(VG_NEW(&q.lean, q.n, "directions"));
    for (int64_t i = 0; i < q.n; i++)
        q.lean[i] = q.root[i] * projected[s->m * s->n + q.kept[i]];
    VG_GO(send_all_vectors(s, &q, factor));
    VG_GO(send_tables(s, &q, factor));
    VG_GO(ridge_send(s->device, VG_F64, q.pairs, q.n * q.n, (void **)&factor->pairs));
    VG_GO(ridge_send(s->device, VG_F64, q.diagonal, q.n, (void **)&factor->diagonal));
    VG_GO(ridge_send(s->device, VG_F64, q.lean, q.n, (void **)&factor->lean));
    if (q.any_near)
        VG_GO(ridge_send(s->device, VG_F64, q.near, q.n * q.n, (void **)&factor->near));
done:
    free(q.kept);
    free(q.root);
    free(q.rows);
    free(q.pairs);
    free(q.near);
    free(q.diagonal);
    free(q.lean);
    free(q.table);
    return status;
}
