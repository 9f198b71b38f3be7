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

/* ---- each space alone --------------------------------------------------------------------------------------------------------- */

static vg_status fit_alone(const fit_job *job, int64_t group, int64_t count, vg_samples y, const int32_t *order, const int32_t *label,
                           int64_t labels, const fit_values *values)
{
    bool by_r2 = strcmp(job->study->ridge.score, "r2") == 0;
    int64_t first = group * job->chunk_size;
    vg_ridge_result *results;
    VG_TRY(VG_NEW(&results, count, "scores"));
    for (int64_t i = 0; i < count; i++) {
        vg_ridge_result *r = &results[i];
        r->ld = y.columns;
        r->r2 = by_r2 ? values[i].score : values[i].r2;
        if (by_r2)
            r->r2_alpha = values[i].alpha;
        else
            r->score = values[i].score, r->alpha = values[i].alpha;
    }
    vg_status status = VG_OK;
    if (vg_fit_regressed(job->study))
        for (int64_t i = 0; status == VG_OK && i < count; i++)
            status = vg_regressed_fit(job->regressed[first + i], y, order, &results[i]);
    else
        status = vg_ridge_fit_shared(job->designs + first, count, y, order, label, labels, results);
    for (int64_t i = 0; status == VG_OK && by_r2 && i < count; i++)
        if (values[i].r2 != NULL && values[i].score != NULL)
            memcpy(values[i].r2, values[i].score, (size_t)y.columns * sizeof(double));
    free(results);
    return status;
}

/* ---- beside the nuisance ---------------------------------------------------------------------------------------------------------- */

/* r2 (without_count, v) of what is left of the nuisance; 0 where nothing is. */
static vg_status fit_without_spaces(const fit_job *job, int64_t g, vg_samples y, const int32_t *order, double *r2)
{
    const fit_group *group = &job->groups[g];
    for (int64_t i = 0; i < group->without_count; i++) {
        vg_ridge_design *design = group->without[i].design;
        if (design != NULL)
            VG_TRY(vg_ridge_fit(&design, 1, y, order, &(vg_ridge_result){.r2 = r2 + i * y.columns, .ld = y.columns}));
    }
    return VG_OK;
}

static vg_status fit_joint(const fit_job *job, int64_t at, vg_samples y, const int32_t *order, const double *without, double *joint,
                           const fit_values *values)
{
    int64_t v = y.columns, outers = job->groups[0].folds->outer_count; /* of the largest group: tables have room */
    for (int64_t g = 1; g < job->group_count; g++)
        outers = job->groups[g].folds->outer_count > outers ? job->groups[g].folds->outer_count : outers;
    double *alpha = NULL;
    int32_t *draw = NULL;
    vg_status status;
    VG_GO(VG_NEW(&alpha, outers * v, "penalties"));
    VG_GO(VG_NEW(&draw, outers * v, "draws"));
    VG_GO(vg_banded_fit(job->banded[at], y, order,
                        &(vg_banded_result){.r2 = joint, .alpha = alpha, .draw = draw, .ld = v, .split = values->split}));
    for (int64_t i = 0; i < v; i++) {
        if (values->joint != NULL)
            values->joint[i] = joint[i];
        if (values->unique != NULL)
            values->unique[i] = joint[i] - without[i];
    }
done:
    free(alpha);
    free(draw);
    return status;
}

static vg_status fit_beside(const fit_job *job, int64_t group, int64_t count, vg_samples y, const int32_t *order, const fit_values *values)
{
    double *without = NULL, *joint = NULL;
    vg_status status;
    VG_GO(VG_NEW(&without, job->groups[group].without_count * y.columns, "scores"));
    VG_GO(VG_NEW(&joint, y.columns, "scores"));
    VG_GO(fit_without_spaces(job, group, y, order, without));
    for (int64_t i = 0; i < count; i++) {
        int64_t at = group * job->chunk_size + i;
        VG_GO(fit_joint(job, at, y, order, without + job->without[at] * y.columns, joint, &values[i]));
    }
done:
    free(without);
    free(joint);
    return status;
}

vg_status vg_fit_score(const fit_job *job, int64_t group, int64_t count, vg_samples y, const int32_t *order, const int32_t *label,
                       int64_t labels, const fit_values *values)
{
    bool alone = values[0].score != NULL || values[0].r2 != NULL, beside = values[0].unique != NULL;
    if (alone)
        VG_TRY(fit_alone(job, group, count, y, order, label, labels, values));
    return beside ? fit_beside(job, group, count, y, order, values) : VG_OK;
}
