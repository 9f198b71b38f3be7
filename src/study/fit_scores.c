/* fit_scores: responses through the designs of a chunk of spaces: scores of each alone, or with the nuisance regressed out, and what it
 * adds to the nuisance as a band. The observed responses and those of every shift of the null come through here. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "fit.h"

vg_status vg_fit_labels(const fit_job *job, const fit_subject *subject, int64_t first, int64_t count, int32_t *label, int64_t *labels)
{
    int32_t begin = (int32_t)*labels, most = 0;
    bool region = strcmp(job->study->ridge.alpha, "region") == 0;
    for (int64_t v = 0; v < count; v++) {
        int32_t own = region ? subject->atlas.labels[first + v] + 1 : 0; /* 0: the voxels of no label */
        label[v] = begin + own;
        most = own > most ? own : most;
    }
    *labels += most + 1;
    return VG_OK;
}

/* An outer fold's part of a pooled r2, (SSE of less - SSE of more) / SST of all folds, times the folds: the parts' mean is the r2. less
 * NULL: the SST. All tables (outer, v). */
static void parts_of_r2(const double *less, const double *more, const double *total, int64_t outers, int64_t voxels, double *fold)
{
    for (int64_t v = 0; v < voxels; v++) {
        double all = 0;
        for (int64_t k = 0; k < outers; k++)
            all += total[k * voxels + v];
        for (int64_t k = 0; k < outers; k++) {
            int64_t at = k * voxels + v;
            double gain = (less != NULL ? less[at] : total[at]) - more[at];
            fold[at] = all > 0 ? (double)outers * gain / all : gain * 0.0; /* NaN of a dead voxel stays */
        }
    }
}

/* ---- each space alone --------------------------------------------------------------------------------------------------------- */

/* One space's results; tables: (2, outer, v) for losses, where folds are wanted of a fit by r2. */
static vg_ridge_result place_result(const vg_study *study, const fit_values *v, double *tables, int64_t outers, int64_t voxels)
{
    bool by_r2 = strcmp(study->ridge.score, "r2") == 0, tested = !vg_fit_banded(study);
    vg_ridge_result r = {.ld = voxels, .r2 = by_r2 ? v->score : v->r2};
    if (!by_r2) {
        r.score = v->score;
        r.alpha = v->alpha;
        r.inner_score = tested ? v->inner : NULL;
        r.fold_score = tested ? v->fold : NULL;
        return r;
    }
    r.r2_alpha = v->alpha;
    if (tested && v->fold != NULL) {
        r.inner_r2 = v->inner;
        r.fold_loss = tables;
        r.fold_total = tables + outers * voxels;
    }
    return r;
}

static vg_status fit_results(const fit_job *job, int64_t group, int64_t count, vg_samples y, const int32_t *order, const int32_t *label,
                             int64_t labels, const vg_ridge_result *results)
{
    int64_t first = group * job->chunk_size;
    if (!vg_fit_regressed(job->study))
        return vg_ridge_fit_shared(job->designs + first, count, y, order, label, labels, results);
    for (int64_t i = 0; i < count; i++)
        VG_TRY(vg_regressed_fit(job->regressed[first + i], y, order, &results[i]));
    return VG_OK;
}

static vg_status fit_alone(const fit_job *job, int64_t group, int64_t count, vg_samples y, const int32_t *order, const int32_t *label,
                           int64_t labels, const fit_values *values)
{
    int64_t outers = job->groups[group].folds->outer_count, n = outers * y.columns;
    bool by_r2 = strcmp(job->study->ridge.score, "r2") == 0;
    vg_ridge_result *results = NULL;
    double *tables = NULL;
    vg_status status;
    VG_GO(VG_NEW(&results, count, "scores"));
    VG_GO(VG_NEW(&tables, by_r2 ? count * 2 * n : 0, "scores"));
    for (int64_t i = 0; i < count; i++)
        results[i] = place_result(job->study, &values[i], by_r2 ? tables + i * 2 * n : NULL, outers, y.columns);
    VG_GO(fit_results(job, group, count, y, order, label, labels, results));
    for (int64_t i = 0; by_r2 && i < count; i++) {
        if (values[i].r2 != NULL)
            memcpy(values[i].r2, values[i].score, (size_t)y.columns * sizeof(double));
        if (results[i].fold_loss != NULL)
            parts_of_r2(NULL, results[i].fold_loss, results[i].fold_total, outers, y.columns, values[i].fold);
    }
done:
    free(results);
    free(tables);
    return status;
}

/* ---- beside the nuisance ---------------------------------------------------------------------------------------------------------- */

/* Working memory: of what is left of the nuisance, r2 (without_count, v) and losses (without_count, outer, v); of one space with it, r2
 * (v), penalties, losses, totals (outer, v) and draws. */
typedef struct {
    double *without, *without_loss, *joint, *alpha, *loss, *total;
    int32_t *draw;
} beside;

static vg_status take_beside(const fit_group *group, int64_t voxels, beside *b)
{
    int64_t n = group->folds->outer_count * voxels;
    VG_TRY(VG_NEW(&b->without, group->without_count * voxels, "scores"));
    VG_TRY(VG_NEW(&b->without_loss, group->without_count * n, "scores"));
    VG_TRY(VG_NEW(&b->joint, voxels, "scores"));
    VG_TRY(VG_NEW(&b->alpha, n, "penalties"));
    VG_TRY(VG_NEW(&b->loss, n, "scores"));
    VG_TRY(VG_NEW(&b->total, n, "scores"));
    return VG_NEW(&b->draw, n, "draws");
}

static void free_beside(beside *b)
{
    double *memory[] = {b->without, b->without_loss, b->joint, b->alpha, b->loss, b->total};
    for (size_t i = 0; i < sizeof memory / sizeof *memory; i++)
        free(memory[i]);
    free(b->draw);
}

/* r2 of what is left of the nuisance is 0 where nothing is. */
static vg_status fit_without_space(const fit_group *group, vg_samples y, const int32_t *order, beside *b)
{
    int64_t n = group->folds->outer_count * y.columns;
    for (int64_t i = 0; i < group->without_count; i++) {
        vg_ridge_design *design = group->without[i].design;
        vg_ridge_result r = {.r2 = b->without + i * y.columns, .fold_loss = b->without_loss + i * n, .ld = y.columns};
        if (design != NULL)
            VG_TRY(vg_ridge_fit(&design, 1, y, order, &r));
    }
    return VG_OK;
}

static vg_status fit_joint(const fit_job *job, int64_t g, int64_t at, vg_samples y, const int32_t *order, const fit_values *values,
                           beside *b)
{
    const fit_group *group = &job->groups[g];
    int64_t voxels = y.columns, outers = group->folds->outer_count, without = job->without[at];
    const double *left = group->without[without].design != NULL ? b->without_loss + without * outers * voxels : NULL;
    vg_banded_result r = {.r2 = b->joint, .alpha = b->alpha, .draw = b->draw, .ld = voxels, .split = values->split};
    r.inner_r2 = values->inner;
    r.fold_loss = b->loss;
    r.fold_total = b->total;
    VG_TRY(vg_banded_fit(job->banded[at], y, order, &r));
    for (int64_t v = 0; v < voxels; v++) {
        if (values->joint != NULL)
            values->joint[v] = b->joint[v];
        values->unique[v] = b->joint[v] - b->without[without * voxels + v];
    }
    if (values->fold != NULL)
        parts_of_r2(left, b->loss, b->total, outers, voxels, values->fold);
    return VG_OK;
}

static vg_status fit_beside(const fit_job *job, int64_t group, int64_t count, vg_samples y, const int32_t *order, const fit_values *values)
{
    beside b = {0};
    vg_status status;
    VG_GO(take_beside(&job->groups[group], y.columns, &b));
    VG_GO(fit_without_space(&job->groups[group], y, order, &b));
    for (int64_t i = 0; i < count; i++)
        VG_GO(fit_joint(job, group, group * job->chunk_size + i, y, order, &values[i], &b));
done:
    free_beside(&b);
    return status;
}

vg_status vg_fit_score(const fit_job *job, int64_t group, int64_t count, vg_samples y, const int32_t *order, const int32_t *label,
                       int64_t labels, const fit_values *values)
{
    if (values[0].score != NULL)
        VG_TRY(fit_alone(job, group, count, y, order, label, labels, values));
    return values[0].unique != NULL ? fit_beside(job, group, count, y, order, values) : VG_OK;
}
