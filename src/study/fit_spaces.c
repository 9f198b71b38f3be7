/* fit_spaces: the feature spaces of a fit. Datasets of the same model, name and layer in several stories are one space. */
#include <stdlib.h>
#include <string.h>

#include "fit.h"

static bool same_text(const char *a, const char *b)
{
    return (a == NULL && b == NULL) || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

static bool same_space(const vg_store_space *a, const vg_store_space *b)
{
    return same_text(a->model, b->model) && same_text(a->name, b->name) && same_text(a->layer, b->layer);
}

static int64_t story_index(const vg_study *study, const char *name)
{
    for (int64_t s = 0; s < study->story_count; s++)
        if (strcmp(study->stories[s].name, name) == 0)
            return s;
    return -1;
}

vg_status vg_fit_collect_spaces(fit_job *job, const char *path)
{
    VG_TRY(vg_store_open(path, &job->features));
    VG_TRY(vg_features_list(job->features, &job->listed, &job->listed_count));
    VG_TRY(VG_NEW(&job->spaces, job->listed_count, "spaces"));
    for (int64_t i = 0; i < job->listed_count; i++) {
        int64_t story = story_index(job->study, job->listed[i].story), at = 0;
        if (story < 0)
            continue;
        while (at < job->space_count && !same_space(job->spaces[at].any, &job->listed[i]))
            at++;
        fit_space *space = &job->spaces[at];
        if (at == job->space_count) {
            job->space_count++;
            space->any = &job->listed[i];
            VG_TRY(VG_NEW(&space->stories, job->study->story_count, "stories"));
        }
        space->stories[story] = &job->listed[i];
        if (space->any->columns != job->listed[i].columns)
            return vg_fail(VG_INVALID, "%s: %s/%s has %lld columns in story %s and %lld in story %s", path, space->any->model,
                           space->any->name, (long long)space->any->columns, space->any->story, (long long)job->listed[i].columns,
                           job->listed[i].story);
    }
    if (job->space_count == 0)
        return vg_fail(VG_INVALID, "%s: has no features of the study's stories; \"voxgrad features\" makes them", path);
    return vg_families_cut(job);
}
