/* results: results.h5 (or the .part of a running study) in memory: spaces, regions, subjects and their scores. What a running study has not
 * come to yet holds zeros and empty texts; a space is whole once its rows of /regions carry their names. */
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "report.h"

/* ---- means --------------------------------------------------------------------------------------------------------------- */

report_mean report_average(const double *values, int64_t count, int64_t stride)
{
    report_mean m = {0, NAN, NAN};
    double sum = 0, squares = 0;
    for (int64_t i = 0; i < count; i++)
        if (isfinite(values[i * stride])) {
            sum += values[i * stride];
            m.n++;
        }
    if (m.n == 0)
        return m;
    m.mean = sum / (double)m.n;
    for (int64_t i = 0; i < count; i++)
        if (isfinite(values[i * stride]))
            squares += (values[i * stride] - m.mean) * (values[i * stride] - m.mean);
    if (m.n > 1)
        m.sem = sqrt(squares / (double)(m.n - 1) / (double)m.n);
    return m;
}

static int compare_numbers(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

vg_status report_quantile(const double *values, int64_t count, double share, double *quantile)
{
    double *sorted;
    int64_t n = 0;
    *quantile = NAN;
    VG_TRY(VG_NEW(&sorted, count, "quantiles"));
    for (int64_t i = 0; i < count; i++)
        if (isfinite(values[i]))
            sorted[n++] = values[i];
    if (n > 0) {
        qsort(sorted, (size_t)n, sizeof *sorted, compare_numbers);
        double at = share * (double)(n - 1);
        int64_t below = (int64_t)at;
        double part = at - (double)below;
        *quantile = sorted[below] + (below + 1 < n ? part * (sorted[below + 1] - sorted[below]) : 0.0);
    }
    free(sorted);
    return VG_OK;
}

/* ---- spaces ----------------------------------------------------------------------------------------------------------------- */

static vg_status add_space(report *r, const char *model, const char *name, const char *layer)
{
    report_space *grown = realloc(r->spaces, (size_t)(r->space_count + 1) * sizeof *grown);
    if (grown == NULL)
        return vg_fail(VG_NO_MEMORY, "report: no memory for %lld spaces", (long long)r->space_count + 1);
    r->spaces = grown;
    report_space *space = &grown[r->space_count++];
    *space = (report_space){0};
    VG_TRY(vg_format(&space->model, "%s", model));
    VG_TRY(vg_format(&space->name, "%s", name));
    VG_TRY(vg_format(&space->layer, "%s", layer));
    return vg_format(&space->path, "%s/%s%s%s", model, name, *layer != '\0' ? "/" : "", layer);
}

/* NAME itself, or its layers: a group that holds `score` is a space. */
static vg_status add_name(report *r, const char *subject, const char *model, const char *name)
{
    char *group, *score, **layers = NULL;
    int64_t count = 0;
    VG_TRY(vg_format(&group, "/subjects/%s/%s/%s", subject, model, name));
    vg_status status = vg_format(&score, "%s/score", group);
    if (status == VG_OK && vg_store_has(r->file, score))
        status = add_space(r, model, name, "");
    else if (status == VG_OK)
        status = vg_store_list(r->file, group, &layers, &count);
    free(score);
    for (int64_t l = 0; status == VG_OK && l < count; l++) {
        status = vg_format(&score, "%s/%s/score", group, layers[l]);
        if (status == VG_OK && vg_store_has(r->file, score))
            status = add_space(r, model, name, layers[l]);
        free(status == VG_OK ? score : NULL);
    }
    vg_store_names_free(layers, count);
    free(group);
    return status;
}

static vg_status add_model(report *r, const char *subject, const char *model)
{
    char *group, **names;
    int64_t count;
    VG_TRY(vg_format(&group, "/subjects/%s/%s", subject, model));
    if (vg_store_is_dataset(r->file, group)) { /* voxels */
        free(group);
        return VG_OK;
    }
    vg_status status = vg_store_list(r->file, group, &names, &count);
    free(group);
    VG_TRY(status);
    for (int64_t n = 0; status == VG_OK && n < count; n++) {
        char *path;
        status = vg_format(&path, "/subjects/%s/%s/%s", subject, model, names[n]);
        if (status == VG_OK && !vg_store_is_dataset(r->file, path))
            status = add_name(r, subject, model, names[n]);
        free(status == VG_OK ? path : NULL);
    }
    vg_store_names_free(names, count);
    return status;
}

static vg_status list_spaces(report *r)
{
    char *group, **models;
    int64_t count;
    if (!vg_store_has(r->file, "/subjects"))
        return vg_fail(VG_INVALID, "%s: has no /subjects: it is not a results.h5 of voxgrad fit", r->path);
    VG_TRY(vg_store_list(r->file, "/subjects", &r->subjects, &r->subject_count));
    if (r->subject_count == 0)
        return vg_fail(VG_INVALID, "%s: /subjects is empty", r->path);
    VG_TRY(vg_format(&group, "/subjects/%s", r->subjects[0]));
    vg_status status = vg_store_list(r->file, group, &models, &count);
    free(group);
    VG_TRY(status);
    for (int64_t m = 0; status == VG_OK && m < count; m++)
        status = add_model(r, r->subjects[0], models[m]);
    vg_store_names_free(models, count);
    VG_TRY(status);
    return r->space_count > 0 ? VG_OK : vg_fail(VG_INVALID, "%s: no space has a score", r->path);
}

/* A space's method, as features.h5 has it; else its name, which is the method unless the study says otherwise. */
static vg_status judge_controls(report *r)
{
    static const char *const controls[] = {"rate_length", "position", "static", "random", "acoustic"};
    vg_store_space *listed = NULL;
    int64_t count = 0;
    if (r->features != NULL)
        VG_TRY(vg_features_list(r->features, &listed, &count));
    for (int64_t i = 0; i < r->space_count; i++) {
        const char *method = r->spaces[i].name;
        for (int64_t f = 0; f < count; f++)
            if (strcmp(listed[f].model, r->spaces[i].model) == 0 && strcmp(listed[f].name, r->spaces[i].name) == 0)
                method = listed[f].method;
        for (size_t c = 0; c < sizeof controls / sizeof *controls; c++)
            r->spaces[i].control |= strcmp(method, controls[c]) == 0;
    }
    if (listed != NULL)
        vg_features_list_free(listed, count);
    return VG_OK;
}

static vg_status group_entries(report *r)
{
    VG_TRY(VG_NEW(&r->entries, r->space_count, "spaces"));
    VG_TRY(VG_NEW(&r->models, r->space_count, "models"));
    for (int64_t i = 0; i < r->space_count; i++) {
        report_space *space = &r->spaces[i];
        report_entry *last = &r->entries[r->entry_count - (r->entry_count > 0)];
        if (r->entry_count == 0 || strcmp(last->model, space->model) != 0 || strcmp(last->name, space->name) != 0)
            r->entries[r->entry_count++] = (report_entry){.model = space->model, .name = space->name, .first = i, .best = -1};
        space->entry = r->entry_count - 1;
        r->entries[space->entry].layers++;
        if (r->model_count == 0 || strcmp(r->models[r->model_count - 1], space->model) != 0)
            VG_TRY(vg_format(&r->models[r->model_count++], "%s", space->model));
    }
    for (int64_t i = 0; i < r->space_count; i++) {
        report_space *space = &r->spaces[i];
        VG_TRY(vg_format(&space->label, "%s", r->model_count > 1 ? space->path : space->path + strlen(space->model) + 1));
    }
    return VG_OK;
}

/* ---- tables ------------------------------------------------------------------------------------------------------------------ */

static int64_t find(char *const *names, int64_t count, const char *name)
{
    for (int64_t i = 0; i < count; i++)
        if (strcmp(names[i], name) == 0)
            return i;
    return -1;
}

static int64_t find_space(const report *r, const char *model, const char *name, const char *layer)
{
    for (int64_t i = 0; i < r->space_count; i++)
        if (strcmp(r->spaces[i].model, model) == 0 && strcmp(r->spaces[i].name, name) == 0 && strcmp(r->spaces[i].layer, layer) == 0)
            return i;
    return -1;
}

/* The columns that /regions and /group_regions share. */
typedef struct {
    const char *path;
    int64_t count;
    char **model, **name, **layer, **region;
} rows;

static void free_rows(rows *t)
{
    vg_store_names_free(t->model, t->count);
    vg_store_names_free(t->name, t->count);
    vg_store_names_free(t->layer, t->count);
    vg_store_names_free(t->region, t->count);
}

static vg_status read_rows(const report *r, const char *path, rows *t)
{
    *t = (rows){.path = path};
    VG_TRY(vg_store_read_texts(r->file, path, "model", &t->model, &t->count));
    VG_TRY(vg_store_read_texts(r->file, path, "name", &t->name, &t->count));
    VG_TRY(vg_store_read_texts(r->file, path, "layer", &t->layer, &t->count));
    return vg_store_read_texts(r->file, path, "region", &t->region, &t->count);
}

/* "all" is every voxel, for averages: a region only where there is no other. */
static vg_status list_regions(report *r, const rows *t)
{
    bool others = false;
    for (int64_t i = 0; i < t->count; i++)
        others |= *t->region[i] != '\0' && strcmp(t->region[i], "all") != 0;
    VG_TRY(VG_NEW(&r->regions, t->count, "regions"));
    for (int64_t i = 0; i < t->count; i++)
        if (*t->region[i] != '\0' && !(others && strcmp(t->region[i], "all") == 0) && find(r->regions, r->region_count, t->region[i]) < 0)
            VG_TRY(vg_format(&r->regions[r->region_count++], "%s", t->region[i]));
    VG_TRY(VG_NEW(&r->cells, r->space_count * r->region_count, "regions"));
    VG_TRY(VG_NEW(&r->by_subject, r->space_count * r->region_count * r->subject_count, "regions"));
    VG_TRY(VG_NEW(&r->unique_by, r->space_count * r->region_count * r->subject_count, "regions"));
    for (int64_t i = 0; i < r->space_count * r->region_count; i++)
        r->cells[i] = (report_cell){0, NAN, NAN, NAN, NAN, NAN, NAN, NAN, NAN};
    for (int64_t i = 0; i < r->space_count * r->region_count * r->subject_count; i++)
        r->by_subject[i] = r->unique_by[i] = NAN;
    return VG_OK;
}

/* Means over subjects, until /group_regions is written. */
static void average_subjects(report *r)
{
    for (int64_t i = 0; i < r->space_count * r->region_count; i++) {
        report_mean score = report_average(r->by_subject + i * r->subject_count, r->subject_count, 1);
        report_mean unique = report_average(r->unique_by + i * r->subject_count, r->subject_count, 1);
        r->cells[i].subjects = score.n;
        r->cells[i].mean = score.mean;
        r->cells[i].sem = score.sem;
        r->cells[i].tested = r->unique ? unique.mean : score.mean;
        r->cells[i].tested_sem = r->unique ? unique.sem : score.sem;
    }
}

/* /regions: a row for each subject and region of a space. */
static vg_status read_by_subject(report *r)
{
    rows t;
    char **subject = NULL;
    double *mean = NULL, *unique = NULL;
    int64_t count = 0;
    vg_status status;
    VG_GO(read_rows(r, "/regions", &t));
    VG_GO(vg_store_read_texts(r->file, "/regions", "subject", &subject, &count));
    VG_GO(report_numbers(r, "/regions", "mean", t.count, &mean));
    VG_GO(report_numbers(r, "/regions", "unique", t.count, &unique));
    VG_GO(list_regions(r, &t));
    for (int64_t i = 0; i < t.count; i++) {
        int64_t space = find_space(r, t.model[i], t.name[i], t.layer[i]), region = find(r->regions, r->region_count, t.region[i]);
        int64_t s = find(r->subjects, r->subject_count, subject[i]);
        if (space < 0 || region < 0 || s < 0)
            continue;
        int64_t at = (space * r->region_count + region) * r->subject_count + s;
        r->spaces[space].whole = true;
        r->by_subject[at] = mean[i];
        r->unique_by[at] = unique[i];
    }
    average_subjects(r);
done:
    free_rows(&t);
    vg_store_names_free(subject, count);
    free(mean);
    free(unique);
    return status;
}

/* Is unique variance tested, and against how many shifts? */
static vg_status read_tested(report *r)
{
    static const char path[] = "/group_regions";
    char *tested = NULL;
    double shifts = 0;
    if (vg_store_has_attribute(r->file, path, "tested"))
        VG_TRY(vg_store_attribute_text(r->file, path, "tested", &tested));
    r->unique = tested != NULL && strcmp(tested, "unique") == 0;
    free(tested);
    if (vg_store_has_attribute(r->file, path, "shifts"))
        VG_TRY(vg_store_attribute_number(r->file, path, "shifts", &shifts));
    r->shifts = (int64_t)shifts;
    return VG_OK;
}

static vg_status read_group(report *r)
{
    enum { SUBJECTS, MEAN, SEM, TESTED, TESTED_SEM, P, Q, P_LARGEST, NULL_MEAN, MEMBERS };
    const char *const members[MEMBERS] = {
        "subjects", "mean", "sem", r->unique ? "unique" : "mean", r->unique ? "unique_sem" : "sem", "p", "q", "p_largest", "null_mean"};
    double *n[MEMBERS] = {NULL};
    rows t;
    vg_status status;
    if (!vg_store_has(r->file, "/group_regions"))
        return VG_OK;
    VG_GO(read_rows(r, "/group_regions", &t));
    for (int m = 0; m < MEMBERS; m++)
        VG_GO(report_numbers(r, "/group_regions", members[m], t.count, &n[m]));
    for (int64_t i = 0; i < t.count; i++) {
        int64_t space = find_space(r, t.model[i], t.name[i], t.layer[i]), region = find(r->regions, r->region_count, t.region[i]);
        if (space >= 0 && region >= 0)
            r->cells[space * r->region_count + region] =
                (report_cell){(int64_t)n[SUBJECTS][i], n[MEAN][i],     n[SEM][i], n[TESTED][i], n[TESTED_SEM][i], n[P][i], n[Q][i],
                              n[P_LARGEST][i],         n[NULL_MEAN][i]};
    }
done:
    free_rows(&t);
    for (int m = 0; m < MEMBERS; m++)
        free(n[m]);
    return status;
}

static vg_status read_null(report *r)
{
    vg_store_about about;
    if (r->shifts == 0 || r->unfinished || !vg_store_has(r->file, "/null/largest"))
        return VG_OK;
    VG_TRY(vg_store_describe(r->file, "/null/largest", &about));
    if (about.dimensions != 2 || about.shape[0] != 2 || about.shape[1] < 1)
        return VG_OK;
    int64_t offset[2] = {1, 0}, count[2] = {1, about.shape[1]};
    r->shifts = about.shape[1];
    VG_TRY(VG_NEW(&r->null_largest, r->shifts, "null"));
    return vg_store_read(r->file, "/null/largest", NULL, VG_STORE_F64, offset, count, r->null_largest);
}

vg_status report_numbers(const report *r, const char *path, const char *member, int64_t count, double **numbers)
{
    VG_TRY(VG_NEW(numbers, count, "table"));
    if (vg_store_has_member(r->file, path, member))
        return vg_store_read(r->file, path, member, VG_STORE_F64, NULL, NULL, *numbers);
    for (int64_t i = 0; i < count; i++)
        (*numbers)[i] = NAN;
    return VG_OK;
}

static vg_status read_ceilings(report *r)
{
    static const char path[] = "/ceiling/regions";
    char **region = NULL;
    double *ceiling = NULL, *low = NULL;
    int64_t count = 0;
    vg_status status;
    VG_TRY(VG_NEW(&r->ceiling, r->region_count, "ceilings"));
    for (int64_t g = 0; g < r->region_count; g++)
        r->ceiling[g] = NAN;
    if (r->unfinished || !vg_store_is_dataset(r->file, path))
        return VG_OK;
    VG_GO(vg_store_read_texts(r->file, path, "region", &region, &count));
    VG_GO(report_numbers(r, path, "ceiling", count, &ceiling));
    VG_GO(report_numbers(r, path, "low", count, &low));
    for (int64_t i = 0; i < count; i++) {
        int64_t g = find(r->regions, r->region_count, region[i]);
        if (low[i] <= 0)
            continue;
        if (g >= 0)
            r->ceiling[g] = ceiling[i];
        if (strcmp(region[i], "all") == 0)
            r->ceiling_all = ceiling[i];
    }
done:
    vg_store_names_free(region, count);
    free(ceiling);
    free(low);
    return status;
}

/* ---- voxels -------------------------------------------------------------------------------------------------------------------- */

static vg_status read_whole(report *r, int64_t space, int64_t subject)
{
    char *path;
    double *scores = NULL;
    int64_t voxels = r->about[subject].voxels;
    VG_TRY(vg_format(&path, "/subjects/%s/%s/score", r->subjects[subject], r->spaces[space].path));
    vg_status status = VG_NEW(&scores, voxels, "scores");
    if (status == VG_OK)
        status = vg_store_read(r->file, path, NULL, VG_STORE_F64, NULL, NULL, scores);
    if (status == VG_OK)
        r->whole[space * r->subject_count + subject] = report_average(scores, voxels, 1).mean;
    free(scores);
    free(path);
    return status;
}

static vg_status read_voxels(report *r)
{
    VG_TRY(VG_NEW(&r->about, r->subject_count, "subjects"));
    VG_TRY(VG_NEW(&r->whole, r->space_count * r->subject_count, "scores"));
    for (int64_t s = 0; s < r->subject_count; s++) {
        char *path;
        uint8_t *usable = NULL;
        vg_store_about about;
        VG_TRY(vg_format(&path, "/subjects/%s/voxels", r->subjects[s]));
        vg_status status = vg_store_describe(r->file, path, &about);
        if (status == VG_OK)
            status = VG_NEW(&usable, about.shape[0], "voxels");
        if (status == VG_OK)
            status = vg_store_read(r->file, path, "usable", VG_STORE_U8, NULL, NULL, usable);
        for (int64_t v = 0; status == VG_OK && v < about.shape[0]; v++)
            r->about[s].usable += usable[v] != 0;
        r->about[s].voxels = status == VG_OK ? about.shape[0] : 0;
        free(usable);
        free(path);
        VG_TRY(status);
    }
    for (int64_t i = 0; i < r->space_count; i++)
        for (int64_t s = 0; s < r->subject_count; s++) {
            r->whole[i * r->subject_count + s] = NAN;
            if (r->spaces[i].whole)
                VG_TRY(read_whole(r, i, s));
        }
    return VG_OK;
}

static void choose_layers(report *r)
{
    for (int64_t e = 0; e < r->entry_count; e++) {
        double most = -INFINITY;
        report_entry *entry = &r->entries[e];
        for (int64_t i = entry->first; i < entry->first + entry->layers; i++) {
            double mean = report_average(r->whole + i * r->subject_count, r->subject_count, 1).mean;
            if (mean > most) {
                most = mean;
                entry->best = i;
            }
        }
    }
}

/* ---- all of it ----------------------------------------------------------------------------------------------------------------- */

bool report_ends_in(const char *text, const char *end)
{
    size_t length = strlen(text), wanted = strlen(end);
    return length >= wanted && strcmp(text + length - wanted, end) == 0;
}

static vg_status open_files(report *r, const vg_report_options *options)
{
    char *beside = NULL;
    VG_TRY(vg_store_open(r->path, &r->file));
    r->unfinished = report_ends_in(r->path, ".part");
    r->simulated = vg_store_has_attribute(r->file, "/regions", "simulated");
    VG_TRY(vg_path_beside(r->path, ".", &r->folder));
    VG_TRY(vg_path_beside(r->path, options->features != NULL ? options->features : "features.h5", &beside));
    vg_status status = VG_OK;
    if (options->features != NULL)
        status = vg_store_open(options->features, &r->features);
    else if (access(beside, R_OK) == 0)
        status = vg_store_open(beside, &r->features);
    free(beside);
    return status;
}

/* The study's name, from the first line "study: NAME" of its text; else the file's. */
static vg_status find_title(report *r)
{
    char *text;
    if (vg_store_attribute_text(r->file, "/provenance", "config", &text) == VG_OK) {
        vg_lines lines = {.path = r->path, .text = text, .size = strlen(text)};
        vg_status status = VG_OK;
        while (r->title == NULL && status == VG_OK && vg_lines_next(&lines)) {
            size_t skip = strlen("study:");
            if (lines.length <= skip || strncmp(lines.line, "study:", skip) != 0)
                continue;
            while (skip < lines.length && (lines.line[skip] == ' ' || lines.line[skip] == '"'))
                skip++;
            size_t end = skip;
            while (end < lines.length && lines.line[end] != '"' && strncmp(lines.line + end, " #", 2) != 0)
                end++;
            status = vg_format(&r->title, "%.*s", (int)(end - skip), lines.line + skip);
        }
        free(text);
        VG_TRY(status);
    }
    return r->title != NULL ? VG_OK : vg_format(&r->title, "%s", r->path);
}

/* The options' surfaces; without any, those of the study, as run.json beside the results knows them. */
static vg_status find_surfaces(report *r, const vg_report_options *options)
{
    bool given = false;
    for (int h = 0; h < 2; h++) {
        if (options->surface[h] == NULL || *options->surface[h] == '\0')
            continue;
        given = true;
        VG_TRY(vg_format(&r->surface[h], "%s", options->surface[h]));
    }
    char *path;
    VG_TRY(vg_path_beside(r->path, "run.json", &path));
    json_t *note = given ? NULL : json_load_file(path, 0, NULL);
    free(path);
    vg_status status = VG_OK;
    for (size_t h = 0; status == VG_OK && h < 2; h++) {
        const char *surface = json_string_value(json_array_get(json_object_get(note, "surface"), h));
        if (surface != NULL && access(surface, R_OK) == 0)
            status = vg_format(&r->surface[h], "%s", surface);
    }
    json_decref(note);
    return status;
}

vg_status report_load(const char *results_path, const vg_report_options *options, report *r)
{
    *r = (report){.path = results_path, .ceiling_all = NAN};
    VG_TRY(open_files(r, options));
    VG_TRY(find_surfaces(r, options));
    VG_TRY(find_title(r));
    VG_TRY(list_spaces(r));
    VG_TRY(judge_controls(r));
    VG_TRY(group_entries(r));
    VG_TRY(read_tested(r));
    VG_TRY(read_by_subject(r));
    VG_TRY(read_ceilings(r));
    if (!r->unfinished)
        VG_TRY(read_group(r));
    VG_TRY(read_null(r));
    VG_TRY(read_voxels(r));
    choose_layers(r);
    return VG_OK;
}

void report_free(report *r)
{
    for (int64_t i = 0; i < r->space_count; i++) {
        free(r->spaces[i].model);
        free(r->spaces[i].name);
        free(r->spaces[i].layer);
        free(r->spaces[i].label);
        free(r->spaces[i].path);
    }
    for (int64_t m = 0; m < r->model_count; m++)
        free(r->models[m]);
    for (int64_t g = 0; g < r->region_count; g++)
        free(r->regions[g]);
    vg_store_names_free(r->subjects, r->subject_count);
    vg_store_close(r->file);
    vg_store_close(r->features);
    free(r->folder);
    free(r->title);
    free(r->surface[0]);
    free(r->surface[1]);
    free(r->about);
    free(r->spaces);
    free(r->entries);
    free(r->models);
    free(r->regions);
    free(r->cells);
    free(r->by_subject);
    free(r->unique_by);
    free(r->whole);
    free(r->ceiling);
    free(r->null_largest);
}
