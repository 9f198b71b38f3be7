/* regress: nuisance regressed out fold by fold. For every outer fold, features and responses are replaced by what ordinary least squares on
 * the nuisance (and a constant) leaves of them, with coefficients from the fold's training rows alone; then ridge as ever, the penalty
 * chosen on the fold's inner folds. A test row has a part in nothing but its own residual. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ridge.h"

/* One outer fold: a plan of it alone, its design, and a basis (T, rank; rows `ld` apart) of the nuisance, orthonormal on the training rows.
 */
typedef struct {
    vg_folds folds;
    vg_ridge_plan plan;
    vg_ridge_design *design;
    double *basis;
    int64_t rank, ld;
} residual_fold;

struct vg_regressed {
    const vg_ridge_plan *plan;
    residual_fold *fold; /* (outer_count) */
};

static double value(const vg_samples *x, int64_t t, int64_t j)
{
    int64_t at = t * x->ld + j;
    return x->type == VG_F32 ? (double)((const float *)x->data)[at] : ((const double *)x->data)[at];
}

/* Sum over the training rows of a[t] b[t], columns of matrices (T, columns). */
static double dot(const vg_fold *fold, const double *a, const double *b, int64_t columns)
{
    double sum = 0;
    for (int64_t i = 0; i < fold->train_ranges; i++)
        for (int64_t t = fold->train[i].begin; t < fold->train[i].end; t++)
            sum += a[t * columns] * b[t * columns];
    return sum;
}

/* A constant and the nuisance's columns, made orthonormal on the training rows (Gram and Schmidt, twice); columns that the others explain
 * are left out. */
static vg_status make_basis(residual_fold *f, const vg_fold *fold, vg_samples nuisance)
{
    int64_t rows = nuisance.rows, ld = nuisance.columns + 1;
    f->ld = ld;
    VG_TRY(VG_NEW(&f->basis, rows * ld, "nuisance"));
    for (int64_t j = 0; j < ld; j++) {
        double *x = f->basis + f->rank;
        for (int64_t t = 0; t < rows; t++)
            x[t * ld] = j == 0 ? 1.0 : value(&nuisance, t, j - 1);
        double before = dot(fold, x, x, ld);
        for (int pass = 0; pass < 2; pass++)
            for (int64_t i = 0; i < f->rank; i++) {
                double by = dot(fold, x, f->basis + i, ld);
                for (int64_t t = 0; t < rows; t++)
                    x[t * ld] -= by * f->basis[t * ld + i];
            }
        double left = dot(fold, x, x, ld);
        if (!(left > 1e-10 * before))
            continue;
        for (int64_t t = 0; t < rows; t++)
            x[t * ld] /= sqrt(left);
        f->rank++;
    }
    return VG_OK;
}

/* out (T, columns): x less what the nuisance predicts of it. order: as in vg_ridge_fit. A column with a value that is not finite keeps it.
 */
static void residuals(const residual_fold *f, const vg_samples *x, const int32_t *order, double *out)
{
    const vg_fold *fold = f->folds.outer;
#pragma omp parallel for schedule(static)
    for (int64_t j = 0; j < x->columns; j++) {
        double *to = out + j;
        bool same = true;
        for (int64_t t = 0; t < x->rows; t++) {
            to[t * x->columns] = value(x, order != NULL ? order[t] : t, j);
            same &= to[t * x->columns] == to[0];
        }
        for (int64_t i = 0; i < f->rank && !same; i++) {
            double by = 0;
            for (int64_t r = 0; r < fold->train_ranges; r++)
                for (int64_t t = fold->train[r].begin; t < fold->train[r].end; t++)
                    by += to[t * x->columns] * f->basis[t * f->ld + i];
            for (int64_t t = 0; t < x->rows; t++)
                to[t * x->columns] -= by * f->basis[t * f->ld + i];
        }
    }
}

static vg_status make_fold(vg_device *device, const vg_ridge_plan *plan, vg_samples features, vg_samples nuisance, int64_t principal,
                           vg_fold *fold, residual_fold *f)
{
    double *x;
    f->folds = (vg_folds){.rows = plan->folds->rows, .nested = true, .outer = fold, .outer_count = 1};
    f->plan = *plan;
    f->plan.folds = &f->folds;
    VG_TRY(make_basis(f, fold, nuisance));
    VG_TRY(VG_NEW(&x, features.rows * features.columns, "features"));
    residuals(f, &features, NULL, x);
    vg_status status = vg_ridge_design_principal(
        device, &f->plan, (vg_samples){VG_F64, x, features.rows, features.columns, features.columns}, principal, &f->design);
    free(x);
    return status;
}

/* ---- public ------------------------------------------------------------------------------------------------------------- */

vg_status vg_regressed_create(vg_device *device, const vg_ridge_plan *plan, vg_samples features, vg_samples nuisance, int64_t principal,
                              vg_regressed **regressed)
{
    *regressed = NULL;
    if (!plan->folds->nested)
        return vg_fail(VG_INVALID, "nuisance is regressed out outer fold by outer fold: there are none");
    if (nuisance.rows != plan->folds->rows || features.rows != plan->folds->rows)
        return vg_fail(VG_INVALID, "features and nuisance have %lld and %lld rows, the folds %lld", (long long)features.rows,
                       (long long)nuisance.rows, (long long)plan->folds->rows);
    vg_status status;
    VG_GO(VG_NEW(regressed, 1, "regressed ridge"));
    (*regressed)->plan = plan;
    VG_GO(VG_NEW(&(*regressed)->fold, plan->folds->outer_count, "folds"));
    for (int64_t k = 0; k < plan->folds->outer_count; k++)
        VG_GO(make_fold(device, plan, features, nuisance, principal, &plan->folds->outer[k], &(*regressed)->fold[k]));
done:
    if (status != VG_OK) {
        vg_regressed_free(*regressed);
        *regressed = NULL;
    }
    return status;
}

void vg_regressed_free(vg_regressed *regressed)
{
    if (regressed == NULL)
        return;
    for (int64_t k = 0; regressed->fold != NULL && k < regressed->plan->folds->outer_count; k++) {
        vg_ridge_design_free(regressed->fold[k].design);
        free(regressed->fold[k].basis);
    }
    free(regressed->fold);
    free(regressed);
}

static double *row(double *table, int64_t k, int64_t ld)
{
    return table != NULL ? table + k * ld : NULL;
}

/* Mean over outer folds of r, and r2 over them, from the folds' tables (outer, v). */
static void combine(const vg_regressed *regressed, int64_t voxels, const double *fold, const double *loss, const double *total,
                    const vg_ridge_result *result)
{
    int64_t outers = regressed->plan->folds->outer_count;
    for (int64_t v = 0; v < voxels; v++) {
        double score = 0, sse = 0, sst = 0;
        for (int64_t k = 0; k < outers; k++) {
            double l = loss[k * voxels + v], t = total[k * voxels + v];
            score += fold[k * voxels + v] / (double)outers;
            sse += regressed->plan->r2 == VG_R2_POOLED ? l : t > 0 ? l / t : 1;
            sst += regressed->plan->r2 == VG_R2_POOLED ? t : 1;
        }
        if (result->score != NULL)
            result->score[v] = score;
        if (result->r2 != NULL)
            result->r2[v] = sst > 0 ? 1 - sse / sst : sse * 0.0;
    }
}

vg_status vg_regressed_fit(const vg_regressed *regressed, vg_samples responses, const int32_t *order, const vg_ridge_result *result)
{
    int64_t voxels = responses.columns, outers = regressed->plan->folds->outer_count, n = outers * voxels;
    double *y = NULL, *fold = NULL;
    vg_status status;
    if (responses.rows != regressed->plan->folds->rows)
        return vg_fail(VG_INVALID, "responses have %lld rows, the folds %lld", (long long)responses.rows,
                       (long long)regressed->plan->folds->rows);
    VG_GO(VG_NEW(&y, responses.rows * voxels, "responses"));
    VG_GO(VG_NEW(&fold, 3 * n, "scores of folds"));
    double *loss = fold + n, *total = loss + n;
    for (int64_t k = 0; k < outers; k++) {
        vg_ridge_result r = {.fold_score = fold + k * voxels, .fold_loss = loss + k * voxels, .fold_total = total + k * voxels};
        r.alpha = row(result->alpha, k, result->ld);
        r.inner_score = row(result->inner_score, k, result->ld);
        r.r2_alpha = row(result->r2_alpha, k, result->ld);
        r.inner_r2 = row(result->inner_r2, k, result->ld);
        residuals(&regressed->fold[k], &responses, order, y);
        VG_GO(vg_ridge_fit(&regressed->fold[k].design, 1, (vg_samples){VG_F64, y, responses.rows, voxels, voxels}, NULL, &r));
        for (int64_t v = 0; v < voxels; v++) {
            if (result->fold_score != NULL)
                result->fold_score[k * result->ld + v] = fold[k * voxels + v];
            if (result->fold_loss != NULL)
                result->fold_loss[k * result->ld + v] = loss[k * voxels + v];
            if (result->fold_total != NULL)
                result->fold_total[k * result->ld + v] = total[k * voxels + v];
        }
    }
    combine(regressed, voxels, fold, loss, total, result);
done:
    free(y);
    free(fold);
    return status;
}
