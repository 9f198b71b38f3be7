/* shared: one penalty for several voxels. The inner folds' scores of all penalties are kept voxel by voxel, averaged over the voxels that
 * share a penalty, in their order, and the best mean is scored on the outer folds: two passes over the tiles, each of half the work. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ridge.h"

/* The best penalty of every label in one outer fold: curve (alphas, v); best (labels). The smaller penalty where means are equal to 1e-12.
 */
static void choose(const vg_ridge_plan *plan, const double *curve, int64_t voxels, const int32_t *label, int64_t labels, double *sum,
                   int32_t *best)
{
    int64_t alphas = plan->alpha_count;
    memset(sum, 0, (size_t)((alphas + 1) * labels) * sizeof(double));
    double *count = sum + alphas * labels;
    for (int64_t v = 0; v < voxels; v++)
        count[label[v]] += isfinite(curve[v]);
    for (int64_t a = 0; a < alphas; a++)
        for (int64_t v = 0; v < voxels; v++)
            if (isfinite(curve[a * voxels + v]))
                sum[a * labels + label[v]] += curve[a * voxels + v] / count[label[v]];
    for (int64_t g = 0; g < labels; g++) {
        best[g] = 0;
        for (int64_t a = 1; a < alphas; a++) {
            double gain = sum[a * labels + g] - sum[best[g] * labels + g];
            if (gain > 1e-12 || (gain >= -1e-12 && plan->alphas[a] < plan->alphas[best[g]]))
                best[g] = (int32_t)a;
        }
    }
}

/* choice (count, outer, v) from curves (count, outer, alphas, v). */
static vg_status choose_all(const vg_ridge_plan *plan, int64_t tables, int64_t voxels, const int32_t *label, int64_t labels,
                            const double *curve, int32_t *choice)
{
    double *sum = NULL;
    int32_t *best = NULL;
    vg_status status;
    VG_GO(VG_NEW(&sum, (plan->alpha_count + 1) * labels, "penalties of regions"));
    VG_GO(VG_NEW(&best, labels, "penalties of regions"));
    for (int64_t i = 0; i < tables; i++) {
        choose(plan, curve + i * plan->alpha_count * voxels, voxels, label, labels, sum, best);
        for (int64_t v = 0; v < voxels; v++)
            choice[i * voxels + v] = best[label[v]];
    }
done:
    free(sum);
    free(best);
    return status;
}

/* inner_score and inner_r2: those of the penalty that was chosen. */
static void put_inner(const vg_ridge_plan *plan, int64_t space, int64_t voxels, const ridge_shared *shared, const vg_ridge_result *r)
{
    for (int64_t k = 0; k < plan->folds->outer_count; k++)
        for (int measure = 0; measure < 2; measure++) {
            double *to = measure == 0 ? r->inner_score : r->inner_r2;
            int64_t table = space * plan->folds->outer_count + k;
            for (int64_t v = 0; to != NULL && v < voxels; v++)
                to[k * r->ld + v] =
                    shared->curve[measure][(table * plan->alpha_count + shared->choice[measure][table * voxels + v]) * voxels + v];
        }
}

vg_status vg_ridge_fit_shared(vg_ridge_design *const *designs, int64_t count, vg_samples responses, const int32_t *order,
                              const int32_t *label, int64_t labels, const vg_ridge_result *results)
{
    if (label == NULL)
        return vg_ridge_fit(designs, count, responses, order, results);
    const vg_ridge_plan *plan = designs[0]->plan;
    int64_t tables = count * plan->folds->outer_count, voxels = responses.columns;
    ridge_shared shared = {0};
    vg_status status;
    if (!plan->folds->nested)
        return vg_fail(VG_INVALID, "penalties are shared where there are outer folds only");
    for (int m = 0; m < 2; m++) {
        VG_GO(VG_NEW(&shared.curve[m], tables * plan->alpha_count * voxels, "scores of penalties"));
        VG_GO(VG_NEW(&shared.choice[m], tables * voxels, "chosen penalties"));
    }
    VG_GO(ridge_fit_pass(designs, count, responses, order, results, &shared));
    for (int m = 0; m < 2; m++)
        VG_GO(choose_all(plan, tables, voxels, label, labels, shared.curve[m], shared.choice[m]));
    shared.chosen = true;
    VG_GO(ridge_fit_pass(designs, count, responses, order, results, &shared));
    for (int64_t i = 0; i < count; i++)
        put_inner(plan, i, voxels, &shared, &results[i]);
done:
    for (int m = 0; m < 2; m++) {
        free(shared.curve[m]);
        free(shared.choice[m]);
    }
    return status;
}
