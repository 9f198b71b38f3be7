/* fit_layout: every dataset of results.h5, before the first number is there. */
#include <stdlib.h>
#include <string.h>

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
    free(path);
    return status;
}

static vg_status add_subject(fit_job *job, fit_subject *subject)
{
    char *above;
    VG_TRY(VG_NEW(&subject->score, job->space_count, "datasets"));
    VG_TRY(VG_NEW(&subject->r2, job->space_count, "datasets"));
    VG_TRY(VG_NEW(&subject->alpha, job->space_count, "datasets"));
    VG_TRY(add_voxels(job, subject));
    VG_TRY(vg_format(&above, "/subjects/%s", subject->study->name));
    vg_status status = VG_OK;
    int64_t outer = job->groups[subject->group].folds->outer_count;
    for (int64_t i = 0; status == VG_OK && i < job->space_count; i++) {
        const fit_space *space = &job->spaces[i];
        status = add_values(job, above, space, "score", 0, subject->voxels, "mean over outer folds of Pearson's r", &subject->score[i]);
        if (status == VG_OK)
            status = add_values(job, above, space, "r2", 0, subject->voxels,
                                "1 - sum SSE / sum SST over outer folds, penalties chosen by r2", &subject->r2[i]);
        if (status == VG_OK)
            status =
                add_values(job, above, space, "alpha", outer, subject->voxels, "penalty chosen in each outer fold", &subject->alpha[i]);
    }
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
    const vg_store_member members[] = {{"subject", VG_STORE_TEXT, subject},
                                       {"model", VG_STORE_TEXT, model},
                                       {"name", VG_STORE_TEXT, name},
                                       {"layer", VG_STORE_TEXT, 8},
                                       {"region", VG_STORE_TEXT, region},
                                       {"n", VG_STORE_I64, 0},
                                       {"mean", VG_STORE_F64, 0},
                                       {"sem", VG_STORE_F64, 0},
                                       {"p", VG_STORE_F64, 0}}; /* the last one with a null alone */
    int64_t count = (int64_t)(sizeof members / sizeof *members) - (job->study->null.shifts == 0);
    VG_TRY(vg_layout_table(job->layout, "/regions", members, count, job->space_count * job->region_rows, &job->region_table));
    return vg_layout_text(job->layout, "/regions", "units",
                          "mean: of the voxels' scores (Pearson's r); sem: over voxels; n: voxels with a score");
}

static const char simulated_note[] = "SIMULATED responses with a known truth (voxgrad simulate), not a brain";

vg_status vg_fit_layout(fit_job *job)
{
    VG_TRY(vg_layout_new(&job->layout));
    for (int64_t i = 0; i < job->subject_count; i++)
        VG_TRY(add_subject(job, &job->subjects[i]));
    for (int64_t i = 0; i < job->space_count; i++) {
        fit_space *space = &job->spaces[i];
        space->mean = space->sem = -1;
        if (!job->same_voxels)
            continue;
        VG_TRY(add_values(job, "/group", space, "mean", 0, job->subjects[0].voxels, "mean over subjects of their scores", &space->mean));
        VG_TRY(
            add_values(job, "/group", space, "sem", 0, job->subjects[0].voxels, "standard error over subjects of that mean", &space->sem));
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
