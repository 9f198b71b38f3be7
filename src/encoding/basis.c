/* basis: the filters d_a(w) = 1 / (w + a) of any grid of penalties span, on the eigenvalues w of a Gram, a space of few dimensions
 * (encoding.md, "Ridge", 4: a Cauchy matrix has rapidly falling singular values). Rows d_a(w) * weight, scaled to length 1, are cut to as
 * many singular vectors as leave none of them further than `tolerance` from their span. */
#include <lapacke.h>
#include <math.h>
#include <stdlib.h>

#include "ridge.h"

/* Rows of the filters, each of length 1, and their lengths (0 where weight is 0 throughout). */
static void fill_rows(const double *alphas, int64_t count, const double *w, const double *weight, int64_t n, double *rows, double *length)
{
    for (int64_t a = 0; a < count; a++) {
        double *row = rows + a * n, square = 0;
        for (int64_t i = 0; i < n; i++) {
            row[i] = weight[i] / (w[i] + alphas[a]);
            square += row[i] * row[i];
        }
        length[a] = sqrt(square);
        for (int64_t i = 0; i < n && length[a] > 0; i++)
            row[i] /= length[a];
    }
}

/* How many of the singular vectors it takes: left (count, most), value (most); row a of what is left has the length of left[a] * value. */
static int64_t rank_of(int64_t count, int64_t most, const double *left, const double *value, double tolerance)
{
    int64_t rank = 0;
    for (int64_t a = 0; a < count; a++) {
        double square = 0;
        int64_t needed = most;
        for (; needed > 0; needed--) {
            double part = left[a * most + needed - 1] * value[needed - 1];
            square += part * part;
            if (sqrt(square) > tolerance)
                break;
        }
        rank = needed > rank ? needed : rank;
    }
    return rank;
}

vg_status ridge_basis_create(const double *alphas, int64_t alpha_count, const double *w, const double *weight, int64_t n, double tolerance,
                             ridge_basis *basis)
{
    *basis = (ridge_basis){0};
    double *rows = NULL, *length = NULL, *left = NULL, *value = NULL, *super = NULL;
    int64_t most = alpha_count < n ? alpha_count : n;
    vg_status status;
    VG_GO(VG_NEW(&rows, alpha_count * n, "filters of penalties"));
    VG_GO(VG_NEW(&length, alpha_count, "lengths of filters"));
    VG_GO(VG_NEW(&left, alpha_count * (most + 1), "singular vectors of penalties"));
    VG_GO(VG_NEW(&value, most + 1, "singular values of penalties"));
    VG_GO(VG_NEW(&super, most + 1, "singular values of penalties"));
    VG_GO(VG_NEW(&basis->phi, (most + 1) * n, "functions of penalties"));
    fill_rows(alphas, alpha_count, w, weight, n, rows, length);
    if (most > 0 && LAPACKE_dgesvd(LAPACK_ROW_MAJOR, 'S', 'S', (lapack_int)alpha_count, (lapack_int)n, rows, (lapack_int)n, value, left,
                                   (lapack_int)most, basis->phi, (lapack_int)n, super) != 0)
        VG_GO(vg_fail(VG_DEFECT, "the singular values of %lld penalties' filters are not found", (long long)alpha_count));
    basis->rank = rank_of(alpha_count, most, left, value, tolerance);
    if (basis->rank == 0)
        basis->rank = most > 0 ? 1 : 0; /* nothing to predict: one function that is 0 keeps every shape */
    VG_GO(VG_NEW(&basis->coefficient, alpha_count * basis->rank, "coefficients of penalties"));
    for (int64_t a = 0; a < alpha_count; a++)
        for (int64_t j = 0; j < basis->rank; j++)
            basis->coefficient[a * basis->rank + j] = left[a * most + j] * value[j] * length[a];
    for (int64_t j = 0; j < basis->rank; j++)
        for (int64_t i = 0; i < n; i++)
            basis->phi[j * n + i] = weight[i] > 0 ? basis->phi[j * n + i] / weight[i] : 0.0;
done:
    free(rows);
    free(length);
    free(left);
    free(value);
    free(super);
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
