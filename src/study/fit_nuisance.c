/* fit_nuisance: what is known without the model: which columns are a space's nuisance, and the designs that hold it as a band beside the
 * space, or take it out (encoding.md, "Feature spaces beside the model's", "Banded ridge"). */
#include <stdlib.h>
#include <string.h>

#include "fit.h"

static bool has_nuisance(const vg_study *study)
{
    return study->nuisance.space_count + study->nuisance.file_count > 0;
}

bool vg_fit_banded(const vg_study *study)
{
    return has_nuisance(study) && strcmp(study->nuisance.mode, "band") == 0;
}

bool vg_fit_regressed(const vg_study *study)
{
    return has_nuisance(study) && strcmp(study->nuisance.mode, "regress") == 0;
}

bool vg_tests_r2(const vg_study *study)
{
    return vg_fit_banded(study) || strcmp(study->ridge.score, "r2") == 0;
}

/* ---- which spaces ---------------------------------------------------------------------------------------------------------- */

/* "NAME" or "NAME/LL", of this model, or else of any. */
static int64_t find_space(const fit_job *job, const char *wanted, const char *model)
{
    int64_t any = -1;
    for (int64_t i = 0; i < job->space_count; i++) {
        const vg_store_space *space = job->spaces[i].any;
        size_t length = strlen(space->name);
        const char *rest = strncmp(wanted, space->name, length) == 0 ? wanted + length : NULL;
        bool here = rest != NULL && (space->layer == NULL ? *rest == '\0' : *rest == '/' && strcmp(rest + 1, space->layer) == 0);
        if (here && strcmp(space->model, model) == 0)
            return i;
        if (here && any < 0)
            any = i;
    }
    return any;
}

/* The nuisance's spaces but this one; list has room for all of them. */
static vg_status list_nuisance(const fit_job *job, int64_t space, int64_t *list, int64_t *count)
{
    const vg_study *study = job->study;
    *count = 0;
    for (int64_t i = 0; i < study->nuisance.space_count; i++) {
        int64_t at = find_space(job, study->nuisance.spaces[i], job->spaces[space].any->model);
        if (at < 0)
            return vg_fail(VG_INVALID, "%s: nuisance: there are no features \"%s\" (of a space with layers, one: NAME/LL)", study->path,
                           study->nuisance.spaces[i]);
        if (at != space)
            list[(*count)++] = at;
    }
    return VG_OK;
}

/* ---- files of rows ------------------------------------------------------------------------------------------------------------ */

/* {SUBJECT} and {STORY} become names. A new string. */
vg_status vg_nuisance_path(const char *pattern, const char *subject, const char *story, char **path)
{
    VG_TRY(vg_format(path, "%s", pattern));
    const char *const names[2] = {"{SUBJECT}", "{STORY}"}, *const by[2] = {subject, story};
    for (int i = 0; i < 2; i++)
        for (char *at; (at = strstr(*path, names[i])) != NULL;) {
            char *filled;
            vg_status status = vg_format(&filled, "%.*s%s%s", (int)(at - *path), *path, by[i], at + strlen(names[i]));
            free(*path);
            *path = NULL;
            VG_TRY(status);
            *path = filled;
        }
    return VG_OK;
}

static vg_status open_file(const fit_job *job, const fit_group *group, int64_t file, int64_t part, vg_responses **rows)
{
    const fit_subject *subject = group->pattern;
    char *path;
    VG_TRY(vg_nuisance_path(job->study->nuisance.files[file], subject->study->name, job->study->stories[subject->parts[part].story].name,
                            &path));
    const char *paths[] = {path};
    vg_status status = vg_responses_open(paths, 1, NULL, rows);
    if (status == VG_OK && vg_responses_rows(*rows) != subject->parts[part].rows) {
        status = vg_fail(VG_INVALID, "%s: has %lld rows, the responses %lld", path, (long long)vg_responses_rows(*rows),
                         (long long)subject->parts[part].rows);
        vg_responses_close(*rows);
        *rows = NULL;
    }
    free(path);
    return status;
}

static vg_status file_columns(const fit_job *job, const fit_group *group, int64_t file, int64_t *columns)
{
    vg_responses *rows;
    VG_TRY(open_file(job, group, file, 0, &rows));
    *columns = vg_responses_voxels(rows);
    vg_responses_close(rows);
    return VG_OK;
}

/* All parts of one file, filtered like the responses, into columns of x. */
static vg_status read_file(const fit_job *job, const fit_group *group, int64_t file, vg_matrix x)
{
    vg_filter_options options = vg_filter_of(job->study);
    int64_t row = 0;
    for (int64_t p = 0; p < group->run_count; p++) {
        vg_responses *rows = NULL;
        vg_filter *filter = NULL;
        vg_matrix run = {.rows = group->pattern->parts[p].rows, .columns = x.columns, .ld = x.columns};
        vg_matrix part = {.data = x.data + row * x.ld, .rows = group->run_rows[p], .columns = x.columns, .ld = x.ld};
        vg_status status;
        row += part.rows;
        VG_GO(open_file(job, group, file, p, &rows));
        if (vg_responses_voxels(rows) != x.columns)
            VG_GO(vg_fail(VG_INVALID, "%s: has %lld columns for one story and %lld for another", job->study->nuisance.files[file],
                          (long long)x.columns, (long long)vg_responses_voxels(rows)));
        VG_GO(VG_NEW(&run.data, run.rows * run.columns, "nuisance"));
        VG_GO(vg_responses_read(rows, 0, run));
        VG_GO(vg_filter_create(&options, job->study->responses.tr, run.rows, &filter));
        VG_GO(vg_filter_apply(filter, run, job->study->alignment.trim, vg_standardize_runs(job->study), part));
    done:
        vg_filter_free(filter);
        free(run.data);
        vg_responses_close(rows);
        VG_TRY(status);
    }
    return VG_OK;
}

/* ---- the nuisance of a space, as one matrix --------------------------------------------------------------------------------------- */

static vg_status count_columns(const fit_job *job, const fit_group *group, const int64_t *list, int64_t count, int64_t *columns)
{
    const vg_align_options options = vg_align_of(job->study, 0);
    *columns = 0;
    for (int64_t i = 0; i < count; i++)
        *columns += vg_align_columns(&options, job->spaces[list[i]].any->columns);
    for (int64_t f = 0; f < job->study->nuisance.file_count; f++) {
        int64_t more;
        VG_TRY(file_columns(job, group, f, &more));
        *columns += more;
    }
    return VG_OK;
}

vg_status vg_nuisance_columns(const fit_job *job, int64_t space, int64_t *columns)
{
    int64_t *list, count;
    VG_TRY(VG_NEW(&list, job->study->nuisance.space_count, "nuisance"));
    vg_status status = list_nuisance(job, space, list, &count);
    if (status == VG_OK)
        status = count_columns(job, &job->groups[0], list, count, columns);
    free(list);
    return status;
}

/* Spaces of the list and files side by side: x.data to be given to free(). */
static vg_status make_matrix(const fit_job *job, const fit_group *group, const int64_t *list, int64_t count, vg_matrix *x)
{
    int64_t at = 0;
    *x = (vg_matrix){.rows = group->pattern->rows};
    VG_TRY(count_columns(job, group, list, count, &x->columns));
    x->ld = x->columns;
    VG_TRY(VG_NEW(&x->data, x->rows * x->columns, "nuisance"));
    vg_status status = VG_OK;
    for (int64_t i = 0; status == VG_OK && i < count; i++) {
        vg_matrix one;
        status = vg_fit_features(job, group, &job->spaces[list[i]], &one);
        for (int64_t t = 0; status == VG_OK && t < x->rows; t++)
            memcpy(x->data + t * x->ld + at, one.data + t * one.ld, (size_t)one.columns * sizeof(float));
        at += one.columns;
        free(one.data);
    }
    for (int64_t f = 0; status == VG_OK && f < job->study->nuisance.file_count; f++) {
        vg_matrix part = {.data = x->data + at, .rows = x->rows, .ld = x->ld};
        status = file_columns(job, group, f, &part.columns);
        if (status == VG_OK)
            status = read_file(job, group, f, part);
        at += part.columns;
    }
    if (status != VG_OK) {
        free(x->data);
        *x = (vg_matrix){0};
    }
    return status;
}

/* ---- designs -------------------------------------------------------------------------------------------------------------------- */

static vg_samples samples(vg_matrix x)
{
    return (vg_samples){VG_F32, x.data, x.rows, x.columns, x.ld};
}

/* The group's entry for this list: made where it is not there. */
static vg_status find_without(fit_job *job, fit_group *group, const int64_t *list, int64_t count, const vg_matrix *nuisance, int64_t *at)
{
    for (*at = 0; *at < group->without_count; (*at)++) {
        const fit_without *w = &group->without[*at];
        if (w->count == count && memcmp(w->list, list, (size_t)count * sizeof *list) == 0)
            return VG_OK;
    }
    fit_without *grown = realloc(group->without, (size_t)(group->without_count + 1) * sizeof *grown);
    if (grown == NULL)
        return vg_fail(VG_NO_MEMORY, "no memory for a list of nuisance");
    group->without = grown;
    fit_without *w = &grown[group->without_count++];
    *w = (fit_without){.count = count};
    VG_TRY(VG_NEW(&w->list, count, "nuisance"));
    memcpy(w->list, list, (size_t)count * sizeof *list);
    return nuisance->columns > 0 ? vg_ridge_design_create(job->device, &group->plan, samples(*nuisance), &w->design) : VG_OK;
}

static vg_status make_banded(fit_job *job, const fit_group *group, vg_matrix x, int64_t principal, vg_matrix nuisance, vg_banded **banded)
{
    int64_t bands = nuisance.columns > 0 ? 2 : 1, draws = bands > 1 ? job->study->nuisance.draws : 1;
    vg_samples both[2] = {samples(x), samples(nuisance)};
    double *weights;
    VG_TRY(VG_NEW(&weights, draws * bands, "draws of band weights"));
    vg_band_weights(bands, draws, (uint64_t)job->study->seed, weights);
    vg_status status = principal > 0 ? vg_banded_principal(job->device, &group->plan, both, bands, principal, weights, draws, banded)
                                     : vg_banded_create(job->device, &group->plan, both, bands, weights, draws, banded);
    free(weights);
    return status;
}

static vg_status make_designs(fit_job *job, int64_t g, int64_t space, int64_t at)
{
    fit_group *group = &job->groups[g];
    vg_matrix x = {0}, nuisance = {0};
    int64_t *list = NULL, count;
    vg_status status;
    VG_GO(VG_NEW(&list, job->study->nuisance.space_count, "nuisance"));
    VG_GO(list_nuisance(job, space, list, &count));
    VG_GO(vg_fit_features(job, group, &job->spaces[space], &x));
    VG_GO(make_matrix(job, group, list, count, &nuisance));
    if (vg_fit_regressed(job->study)) {
        VG_GO(vg_regressed_create(job->device, &group->plan, samples(x), samples(nuisance), job->spaces[space].principal,
                                  &job->regressed[at]));
    } else {
        VG_GO(find_without(job, group, list, count, &nuisance, &job->without[at]));
        VG_GO(make_banded(job, group, x, job->spaces[space].principal, nuisance, &job->banded[at]));
    }
done:
    free(list);
    free(x.data);
    free(nuisance.data);
    return status;
}

vg_status vg_nuisance_designs(fit_job *job, int64_t group, int64_t first, int64_t count)
{
    for (int64_t i = 0; has_nuisance(job->study) && i < count; i++) {
        int64_t at = group * job->chunk_size + i;
        if (job->banded[at] == NULL && job->regressed[at] == NULL) {
            vg_status status = make_designs(job, group, first + i, at);
            if (status != VG_OK)
                return vg_fail_within(status, "%s/%s, nuisance: ", job->spaces[first + i].any->model, job->spaces[first + i].any->name);
        }
    }
    return VG_OK;
}

void vg_nuisance_end(fit_job *job)
{
    for (int64_t i = 0; job->banded != NULL && i < job->group_count * job->chunk_size; i++) {
        vg_banded_free(job->banded[i]);
        vg_regressed_free(job->regressed[i]);
        job->banded[i] = NULL;
        job->regressed[i] = NULL;
    }
    for (int64_t g = 0; job->groups != NULL && g < job->group_count; g++) {
        for (int64_t i = 0; i < job->groups[g].without_count; i++) {
            free(job->groups[g].without[i].list);
            vg_ridge_design_free(job->groups[g].without[i].design);
        }
        free(job->groups[g].without);
        job->groups[g].without = NULL;
        job->groups[g].without_count = 0;
    }
}
