/* fit_layout: every dataset of results.h5, before the first number is there. */
#include <stdlib.h>
#include <string.h>

#include "choices.h"
#include "statistics.h"

static vg_status space_path(const char *above, const fit_space *space, const char *what, char **path)
{
    return vg_format(path, "%s/%s/%s%s%s%s%s", above, space->any->model, space->any->name, space->any->layer != NULL ? "/" : "",
                     space->any->layer != NULL ? space->any->layer : "", what != NULL ? "/" : "", what != NULL ? what : "");
}

static vg_status add_values(fit_job *job, const char *above, const fit_space *space, const char *what, int64_t rows, int64_t columns,
                            const char *units, int64_t *dataset)
{
    char *path;
    VG_TRY(space_path(above, space, what, &path));
    int64_t shape[2] = {rows > 0 ? rows : columns, columns};
    vg_status status = vg_layout_dataset(job->layout, path, VG_STORE_F32, 0, rows > 0 ? 2 : 1, shape, dataset);
    if (status == VG_OK)
        status = vg_layout_text(job->layout, path, "units", units);
    free(path);
    return status;
}

static vg_status add_voxels(fit_job *job, fit_subject *subject)
{
    size_t longest = 1;
    for (int64_t n = 0; n < subject->atlas.name_count; n++)
        longest = strlen(subject->atlas.names[n]) > longest ? strlen(subject->atlas.names[n]) : longest;
    const vg_store_member members[] = {{"hemisphere", VG_STORE_TEXT, 1}, {"vertex", VG_STORE_I32, 0}, {"i", VG_STORE_I32, 0},
                                       {"j", VG_STORE_I32, 0},           {"k", VG_STORE_I32, 0},      {"region", VG_STORE_TEXT, longest},
                                       {"usable", VG_STORE_U8, 0}};
    char *path;
    VG_TRY(vg_format(&path, "/subjects/%s/voxels", subject->study->name));
    vg_status status =
        vg_layout_table(job->layout, path, members, sizeof members / sizeof *members, subject->voxels, &subject->voxel_table);
    if (status == VG_OK)
        status = vg_fit_place(job->layout, path, subject->runs[0]);
    free(path);
    return status;
}

/* The datasets of a space for each subject: which, how many rows (0: one number a voxel; -1: outer folds; -2: columns of the design), when.
 */
static vg_status add_scores(fit_job *job, fit_subject *subject, const char *above, int64_t i)
{
    const vg_study *study = job->study;
    const fit_space *space = &job->spaces[i];
    const vg_align_options options = vg_align_of(study, 0);
    int64_t outer = job->groups[subject->group].folds->outer_count, columns = vg_align_columns(&options, space->any->columns);
    bool by_r2 = strcmp(study->ridge.score, "r2") == 0, banded = vg_fit_banded(study);
    const struct {
        const char *name;
        int64_t *dataset, rows;
        bool wanted;
        const char *units;
    } all[] = {
        {"score", &subject->score[i], 0, true, by_r2 ? "1 - sum SSE / sum SST over outer folds" : "mean over outer folds of Pearson's r"},
        {"r2", &subject->r2[i], 0, true, "1 - sum SSE / sum SST over outer folds, penalties chosen by r2"},
        {"alpha", &subject->alpha[i], outer, true, "penalty chosen in each outer fold"},
        {"r2_with_nuisance", &subject->joint[i], 0, banded, "r2 of the space and the nuisance, a penalty each"},
        {"split", &subject->split[i], 2, banded, "product measure: what the space and the nuisance add to r2_with_nuisance"},
        {"unique", &subject->unique[i], 0, banded, "r2_with_nuisance less the r2 of the nuisance alone (of the rest of it, for one of it)"},
        {"weights", &subject->weights[i], columns, strcmp(study->ridge.weights, "true") == 0 && space->principal == 0,
         "refitted on all rows; delay by delay, column by column"},
        {"cc_norm", &subject->cc_norm[i], 0, subject->explainable >= 0 && !by_r2,
         "score over the best correlation a model can have with the mean of the repeats"},
        {"inner", &subject->inner[i], outer, vg_choices_want(job, i),
         "of each outer fold: what is tested, as the inner folds say of the chosen penalty"},
        {"folds", &subject->folds[i], outer, vg_choices_want(job, i), "of each outer fold: its part of what is tested"},
    };
    for (size_t d = 0; d < sizeof all / sizeof *all; d++) {
        *all[d].dataset = -1;
        if (all[d].wanted)
            VG_TRY(add_values(job, above, space, all[d].name, all[d].rows, subject->voxels, all[d].units, all[d].dataset));
    }
    return VG_OK;
}

static vg_status add_explainable(fit_job *job, fit_subject *subject, const char *above)
{
    bool repeated = false;
    char *path;
    subject->explainable = -1;
    for (int64_t p = 0; p < subject->part_count; p++)
        repeated |= subject->parts[p].count > 1;
    if (!repeated)
        return VG_OK;
    VG_TRY(vg_format(&path, "%s/explainable", above));
    vg_status status = vg_layout_dataset(job->layout, path, VG_STORE_F32, 0, 1, &subject->voxels, &subject->explainable);
    if (status == VG_OK)
        status = vg_layout_text(job->layout, path, "units", "part of a single repeat's variance that repeats");
    free(path);
    return status;
}

static vg_status add_subject(fit_job *job, fit_subject *subject)
{
    enum { DATASETS = 10 };
    char *above;
    VG_TRY(VG_NEW(&subject->score, DATASETS * job->space_count, "datasets"));
    int64_t **rest[] = {&subject->r2,      &subject->alpha,   &subject->joint, &subject->split, &subject->unique,
                        &subject->weights, &subject->cc_norm, &subject->inner, &subject->folds};
    for (size_t d = 0; d < sizeof rest / sizeof *rest; d++)
        *rest[d] = subject->score + (int64_t)(d + 1) * job->space_count;
    VG_TRY(add_voxels(job, subject));
    VG_TRY(vg_format(&above, "/subjects/%s", subject->study->name));
    vg_status status = vg_leakage_add(job, subject, above);
    if (status == VG_OK)
        status = add_explainable(job, subject, above);
    for (int64_t i = 0; status == VG_OK && i < job->space_count; i++)
        status = add_scores(job, subject, above, i);
    free(above);
    return status;
}

static vg_status add_regions(fit_job *job)
{
    size_t subject = 1, model = 1, name = 1, region = 1;
    for (int64_t i = 0; i < job->subject_count; i++) {
        size_t length = strlen(job->subjects[i].study->name);
        subject = length > subject ? length : subject;
        for (int64_t r = 0; r < job->subjects[i].regions.count; r++) {
            length = strlen(job->subjects[i].regions.regions[r].name);
            region = length > region ? length : region;
        }
    }
    for (int64_t i = 0; i < job->space_count; i++) {
        size_t a = strlen(job->spaces[i].any->model), b = strlen(job->spaces[i].any->name);
        model = a > model ? a : model;
        name = b > name ? b : name;
    }
    vg_store_member members[11] = {{"subject", VG_STORE_TEXT, subject}, {"model", VG_STORE_TEXT, model},   {"name", VG_STORE_TEXT, name},
                                   {"layer", VG_STORE_TEXT, 8},         {"region", VG_STORE_TEXT, region}, {"n", VG_STORE_I64, 0},
                                   {"mean", VG_STORE_F64, 0},           {"sem", VG_STORE_F64, 0}};
    int64_t count = 8;
    if (vg_fit_banded(job->study)) {
        members[count++] = (vg_store_member){"unique", VG_STORE_F64, 0};
        members[count++] = (vg_store_member){"unique_sem", VG_STORE_F64, 0};
    }
    if (job->study->null.shifts > 0)
        members[count++] = (vg_store_member){"p", VG_STORE_F64, 0};
    VG_TRY(vg_layout_table(job->layout, "/regions", members, count, job->space_count * job->region_rows, &job->region_table));
    return vg_layout_text(job->layout, "/regions", "units",
                          "mean: of the voxels' scores (the score's units); sem: over voxels; n: voxels with a score; unique: mean of the "
                          "voxels' unique variance; p: of unique where it is there, else of mean");
}

static const char simulated_note[] = "SIMULATED responses with a known truth (voxgrad simulate), not a brain";

vg_status vg_fit_layout(fit_job *job)
{
    VG_TRY(vg_layout_new(&job->layout));
    for (int64_t i = 0; i < job->subject_count; i++)
        VG_TRY(add_subject(job, &job->subjects[i]));
    for (int64_t i = 0; i < job->space_count; i++) {
        fit_space *space = &job->spaces[i];
        space->mean = space->sem = space->unique = space->unique_sem = -1;
        if (!job->same_voxels)
            continue;
        VG_TRY(add_values(job, "/group", space, "mean", 0, job->subjects[0].voxels, "mean over subjects of their scores", &space->mean));
        VG_TRY(
            add_values(job, "/group", space, "sem", 0, job->subjects[0].voxels, "standard error over subjects of that mean", &space->sem));
        if (!vg_fit_banded(job->study))
            continue;
        VG_TRY(add_values(job, "/group", space, "unique", 0, job->subjects[0].voxels, "mean over subjects of their unique variance",
                          &space->unique));
        VG_TRY(add_values(job, "/group", space, "unique_sem", 0, job->subjects[0].voxels, "standard error over subjects of that mean",
                          &space->unique_sem));
    }
    VG_TRY(add_regions(job));
    VG_TRY(vg_statistics_layout(job));
    if (job->simulated) {
        VG_TRY(vg_layout_text(job->layout, "/", "simulated", simulated_note));
        VG_TRY(vg_layout_text(job->layout, "/subjects", "simulated", simulated_note));
        VG_TRY(vg_layout_text(job->layout, "/regions", "simulated", simulated_note));
    }
    return vg_provenance_add(job->layout, job->study, job->plan, NULL);
}
