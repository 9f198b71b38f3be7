/* basis: the filters d_a(w) = 1 / (w + a) of any grid of penalties span, on the eigenvalues w of a Gram, a space of few dimensions
 * (encoding.md, "Ridge", 4: a Cauchy matrix has rapidly falling singular values). Rows d_a(w) * weight, scaled to length 1, are
 * orthonormalised by Gram-Schmidt, the worst-approximated row next, until none is further than `tolerance` from the span. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ridge.h"

static double dot(const double *x, const double *y, int64_t n)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++)
        sum += x[i] * y[i];
    return sum;
}

/* Takes from the rows' residuals what lies along q (n), and notes how much in column j of the coefficients. */
static void project_out(double *rows, int64_t count, int64_t n, const double *q, double *coefficient, int64_t ld)
{
    for (int64_t a = 0; a < count; a++) {
        double *row = rows + a * n, along = dot(row, q, n);
        for (int64_t i = 0; i < n; i++)
            row[i] -= along * q[i];
        coefficient[a * ld] += along;
    }
}

/* The row that is furthest from the span so far, and how far. */
static int64_t furthest(const double *rows, int64_t count, int64_t n, double *distance)
{
    int64_t which = 0;
    double most = -1;
    for (int64_t a = 0; a < count; a++) {
        double here = dot(rows + a * n, rows + a * n, n);
        if (here > most) {
            most = here;
            which = a;
        }
    }
    *distance = sqrt(most);
    return which;
}

/* Rows of the filters, each of length 1, and their lengths (0 where weight is 0 throughout). */
static void fill_rows(const double *alphas, int64_t count, const double *w, const double *weight, int64_t n, double *rows, double *length)
{
    for (int64_t a = 0; a < count; a++) {
        double *row = rows + a * n;
        for (int64_t i = 0; i < n; i++)
            row[i] = weight[i] / (w[i] + alphas[a]);
        length[a] = sqrt(dot(row, row, n));
        for (int64_t i = 0; i < n && length[a] > 0; i++)
            row[i] /= length[a];
    }
}

static int64_t orthonormalise(double *rows, int64_t count, int64_t n, double tolerance, double *phi, double *coefficient)
{
    int64_t rank = 0, most = count < n ? count : n;
    while (rank < most) {
        double distance, *q = phi + rank * n;
        int64_t a = furthest(rows, count, n, &distance);
        if (!(distance > tolerance))
            break;
        memcpy(q, rows + a * n, (size_t)n * sizeof(double));
        for (int pass = 0; pass < 2; pass++) /* a second pass keeps the basis orthogonal to rounding */
            for (int64_t j = 0; j < rank; j++) {
                double along = dot(q, phi + j * n, n);
                for (int64_t i = 0; i < n; i++)
                    q[i] -= along * phi[j * n + i];
            }
        double length = sqrt(dot(q, q, n));
        for (int64_t i = 0; i < n; i++)
            q[i] /= length;
        project_out(rows, count, n, q, coefficient + rank, count);
        rank++;
    }
    return rank;
}

vg_status ridge_basis_create(const double *alphas, int64_t alpha_count, const double *w, const double *weight, int64_t n, double tolerance,
                             ridge_basis *basis)
{
    *basis = (ridge_basis){0};
    double *rows = NULL, *length = NULL, *wide = NULL;
    int64_t most = alpha_count < n ? alpha_count : n;
    vg_status status;
    VG_GO(VG_NEW(&rows, alpha_count * n, "filters of penalties"));
    VG_GO(VG_NEW(&length, alpha_count, "lengths of filters"));
    VG_GO(VG_NEW(&wide, alpha_count * alpha_count, "coefficients of penalties"));
    VG_GO(VG_NEW(&basis->phi, (most > 0 ? most : 1) * n, "functions of penalties"));
    fill_rows(alphas, alpha_count, w, weight, n, rows, length);
    basis->rank = orthonormalise(rows, alpha_count, n, tolerance, basis->phi, wide);
    if (basis->rank == 0)
        basis->rank = most > 0 ? 1 : 0; /* nothing to predict: one function that is 0 keeps every shape */
    VG_GO(VG_NEW(&basis->coefficient, alpha_count * basis->rank, "coefficients of penalties"));
    for (int64_t a = 0; a < alpha_count; a++)
        for (int64_t j = 0; j < basis->rank; j++)
            basis->coefficient[a * basis->rank + j] = wide[a * alpha_count + j] * length[a];
    for (int64_t j = 0; j < basis->rank; j++)
        for (int64_t i = 0; i < n; i++)
            basis->phi[j * n + i] = weight[i] > 0 ? basis->phi[j * n + i] / weight[i] : 0.0;
done:
    free(rows);
    free(length);
    free(wide);
    if (status != VG_OK)
        ridge_basis_free(basis);
    return status;
}

void ridge_basis_free(ridge_basis *basis)
{
    free(basis->phi);
    free(basis->coefficient);
    *basis = (ridge_basis){0};
}
