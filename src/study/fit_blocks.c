/* fit_blocks: designs of a chunk of spaces, and this rank's tiles of voxels through them. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "choices.h"

/* ---- designs ---------------------------------------------------------------------------------------------------------------- */

static vg_align_options align_options(const vg_study *study, int64_t rows)
{
    vg_align_options options = {.tr = study->responses.tr,
                                .start = study->responses.start,
                                .rows = rows,
                                .delays = study->alignment.delays,
                                .delay_count = study->alignment.delay_count,
                                .trim = {study->alignment.trim[0], study->alignment.trim[1]},
                                .standardize = true};
    const char *downsample = study->alignment.downsample, *anchor = study->alignment.anchor;
    options.downsample = strcmp(downsample, "sum") == 0       ? VG_DOWNSAMPLE_SUM
                         : strcmp(downsample, "lanczos") == 0 ? VG_DOWNSAMPLE_LANCZOS
                                                              : VG_DOWNSAMPLE_MEAN;
    options.anchor = strcmp(anchor, "midpoint") == 0 ? VG_ANCHOR_MIDPOINT
                     : strcmp(anchor, "offset") == 0 ? VG_ANCHOR_OFFSET
                                                     : VG_ANCHOR_ONSET;
    return options;
}

/* One run's rows of the design of one space, from the words of its story. */
static vg_status align_run(const fit_job *job, const vg_store_space *space, int64_t rows, vg_matrix design)
{
    vg_align_options options = align_options(job->study, rows);
    vg_matrix features = {.rows = space->words, .columns = space->columns, .ld = space->columns};
    uint8_t *valid = NULL;
    double *onsets = NULL, *offsets = NULL;
    char **texts = NULL;
    int64_t words = 0;
    vg_align_counts counts;
    vg_status status;
    VG_GO(VG_NEW(&features.data, space->words * space->columns, "features"));
    VG_GO(VG_NEW(&valid, space->words * space->columns, "features"));
    VG_GO(vg_features_read(job->features, space, features.data, valid));
    VG_GO(vg_features_words(job->features, space->story, &texts, &onsets, &offsets, &words));
    if (words != space->words)
        VG_GO(vg_fail(VG_INVALID, "story %s: %s has %lld rows for %lld words", space->story, space->name, (long long)space->words,
                      (long long)words));
    VG_GO(vg_align(features, onsets, offsets, &options, design, &counts));
    vg_log(VG_LOG_DEBUG, "%s/%s%s%s: %lld of %lld rows are silent", space->model, space->name, space->layer != NULL ? "/" : "",
           space->layer != NULL ? space->layer : "", (long long)counts.silent, (long long)rows);
done:
    free(features.data);
    free(valid);
    free(onsets);
    free(offsets);
    vg_store_names_free(texts, words);
    return status;
}

vg_status vg_fit_features(const fit_job *job, const fit_group *group, const fit_space *space, vg_matrix *made)
{
    const fit_subject *pattern = group->pattern;
    vg_matrix x = {.rows = pattern->rows, .columns = space->any->columns * job->study->alignment.delay_count};
    x.ld = x.columns;
    *made = (vg_matrix){0};
    VG_TRY(VG_NEW(&x.data, x.rows * x.columns, "a design"));
    vg_status status = VG_OK;
    int64_t row = 0;
    for (int64_t r = 0; status == VG_OK && r < pattern->study->run_count; r++) {
        const vg_store_space *at = space->stories[pattern->study->runs[r].story];
        vg_matrix part = {.data = x.data + row * x.ld, .rows = group->run_rows[r], .columns = x.columns, .ld = x.ld};
        row += part.rows;
        if (at == NULL)
            status = vg_fail(VG_INVALID, "%s/%s: there are no such features of story %s", space->any->model, space->any->name,
                             job->study->stories[pattern->study->runs[r].story].name);
        else
            status = align_run(job, at, vg_responses_rows(pattern->runs[r]), part);
    }
    if (status != VG_OK) {
        free(x.data);
        return vg_fail_within(status, "%s/%s: ", space->any->model, space->any->name);
    }
    *made = x;
    return VG_OK;
}

static vg_status make_design(const fit_job *job, const fit_group *group, const fit_space *space, vg_ridge_design **design)
{
    vg_matrix x;
    VG_TRY(vg_fit_features(job, group, space, &x));
    vg_status status = vg_ridge_design_principal(job->device, &group->plan, (vg_samples){VG_F32, x.data, x.rows, x.columns, x.ld},
                                                 space->principal, design);
    free(x.data);
    return status == VG_OK ? VG_OK : vg_fail_within(status, "%s/%s: ", space->any->model, space->any->name);
}

vg_status vg_fit_designs(fit_job *job, int64_t group, int64_t first, int64_t count)
{
    vg_ridge_design **designs = job->designs + group * job->chunk_size;
    for (int64_t i = 0; i < count; i++)
        if (designs[i] == NULL)
            VG_TRY(make_design(job, &job->groups[group], &job->spaces[first + i], &designs[i]));
    return VG_OK;
}

void vg_fit_chunk_end(fit_job *job)
{
    for (int64_t i = 0; job->designs != NULL && i < job->group_count * job->chunk_size; i++) {
        vg_ridge_design_free(job->designs[i]);
        job->designs[i] = NULL;
    }
}

/* ---- tiles --------------------------------------------------------------------------------------------------------------------- */

static vg_status filter_options(const vg_study *study, vg_filter_options *options)
{
    const char *filter = study->alignment.filter;
    *options = (vg_filter_options){.kind = VG_FILTER_NONE};
    if (strcmp(filter, "high_pass") == 0)
        *options = (vg_filter_options){.kind = VG_FILTER_HIGH_PASS, .seconds = study->alignment.high_pass};
    else if (strcmp(filter, "savgol") == 0)
        *options = (vg_filter_options){VG_FILTER_SAVGOL, study->alignment.savgol_window, study->alignment.savgol_order};
    else if (strcmp(filter, "polynomial") == 0)
        *options = (vg_filter_options){.kind = VG_FILTER_POLYNOMIAL, .order = study->alignment.polynomial};
    return VG_OK;
}

vg_status vg_fit_read(const fit_job *job, const fit_subject *subject, const fit_tile *tile, vg_matrix y, uint8_t *states)
{
    vg_filter_options options;
    VG_TRY(filter_options(job->study, &options));
    int64_t row = 0;
    for (int64_t r = 0; r < subject->study->run_count; r++) {
        vg_matrix run = {.rows = vg_responses_rows(subject->runs[r]), .columns = tile->count, .ld = tile->count};
        vg_matrix part = {.data = y.data + row * y.ld,
                          .rows = run.rows - job->study->alignment.trim[0] - job->study->alignment.trim[1],
                          .columns = tile->count,
                          .ld = y.ld};
        vg_filter *filter = NULL;
        vg_status status;
        row += part.rows;
        VG_GO(VG_NEW(&run.data, run.rows * run.columns, "responses"));
        VG_GO(vg_responses_read(subject->runs[r], tile->first, run));
        vg_voxels_judge(run, states);
        VG_GO(vg_filter_create(&options, job->study->responses.tr, run.rows, &filter));
        VG_GO(vg_filter_apply(filter, run, job->study->alignment.trim, true, part));
    done:
        vg_filter_free(filter);
        free(run.data);
        if (status != VG_OK)
            return vg_fail_within(status, "subject %s: ", subject->study->name);
    }
    return VG_OK;
}

static vg_status write_voxels(fit_job *job, const fit_subject *subject, const fit_tile *tile, const uint8_t *states)
{
    size_t element = vg_layout_element(job->layout, subject->voxel_table);
    char *records;
    VG_TRY(vg_allocate((void **)&records, tile->count, element, "voxels"));
    vg_status status = VG_OK;
    for (int64_t v = 0; status == VG_OK && v < tile->count; v++) {
        char *record = records + (size_t)v * element;
        vg_voxel voxel = vg_responses_voxel(subject->runs[0], tile->first + v);
        int32_t label = subject->atlas.labels[tile->first + v];
        const char hemisphere[2] = {voxel.hemisphere, '\0'};
        const struct {
            const char *name;
            int64_t value;
        } numbers[] = {{"vertex", voxel.vertex}, {"i", voxel.i}, {"j", voxel.j}, {"k", voxel.k}, {"usable", states[v] == VG_VOXEL_USABLE}};
        status = vg_layout_put_text(job->layout, subject->voxel_table, record, "hemisphere", hemisphere);
        if (status == VG_OK)
            status = vg_layout_put_text(job->layout, subject->voxel_table, record, "region", label >= 0 ? subject->atlas.names[label] : "");
        for (size_t n = 0; status == VG_OK && n < sizeof numbers / sizeof *numbers; n++)
            status = vg_layout_put_integer(job->layout, subject->voxel_table, record, numbers[n].name, numbers[n].value);
    }
    if (status == VG_OK)
        status = vg_store_write(job->store, subject->voxel_table, &tile->first, &tile->count, records);
    free(records);
    return status;
}

static vg_status write_doubles(fit_job *job, int64_t dataset, int64_t rows, const fit_tile *tile, const double *values, float *narrow)
{
    int64_t offset[2] = {0, tile->first}, count[2] = {rows, tile->count};
    int64_t vector = rows == 0;
    int64_t numbers = vector ? tile->count : rows * tile->count;
    for (int64_t i = 0; i < numbers; i++)
        narrow[i] = (float)values[i];
    return vg_store_write(job->store, dataset, offset + vector, count + vector, narrow);
}

/* Every space of the chunk for one tile; scores stay with this rank for the summaries. */
static vg_status fit_tile_spaces(fit_job *job, vg_ridge_design *const *designs, int64_t first, int64_t count, int64_t t)
{
    const fit_tile *tile = &job->tiles[t];
    const fit_subject *subject = &job->subjects[tile->subject];
    int64_t outer = job->groups[subject->group].folds->outer_count, each = (2 + 3 * outer) * tile->count;
    vg_matrix y = {.rows = subject->rows, .columns = tile->count, .ld = tile->count};
    double *numbers = NULL;
    float *narrow = NULL;
    uint8_t *states = NULL;
    vg_ridge_result *results = NULL;
    vg_status status;
    VG_GO(VG_NEW(&y.data, y.rows * y.columns, "responses"));
    VG_GO(VG_NEW(&states, tile->count, "voxel states"));
    VG_GO(VG_NEW(&numbers, each * count, "scores"));
    VG_GO(VG_NEW(&narrow, outer * tile->count, "scores"));
    VG_GO(VG_NEW(&results, count, "scores"));
    VG_GO(vg_fit_read(job, subject, tile, y, states));
    for (int64_t i = 0; i < count; i++) {
        double *at = numbers + i * each;
        results[i] = (vg_ridge_result){.score = at, .r2 = at + tile->count, .alpha = at + 2 * tile->count, .ld = tile->count};
        results[i].inner_score = results[i].alpha + outer * tile->count;
        results[i].fold_score = results[i].inner_score + outer * tile->count;
    }
    VG_GO(vg_ridge_fit(designs, count, (vg_samples){VG_F32, y.data, y.rows, y.columns, y.ld}, NULL, results));
    if (first == 0)
        VG_GO(write_voxels(job, subject, tile, states));
    for (int64_t i = 0; i < count; i++) {
        float **scores = &job->scores[i * job->tile_count + t];
        VG_GO(VG_NEW(scores, tile->count, "scores"));
        VG_GO(write_doubles(job, subject->score[first + i], 0, tile, results[i].score, *scores));
        VG_GO(write_doubles(job, subject->r2[first + i], 0, tile, results[i].r2, narrow));
        VG_GO(write_doubles(job, subject->alpha[first + i], outer, tile, results[i].alpha, narrow));
        if (!vg_choices_want(job, first + i))
            continue;
        VG_GO(write_doubles(job, subject->inner[first + i], outer, tile, results[i].inner_score, narrow));
        VG_GO(write_doubles(job, subject->folds[first + i], outer, tile, results[i].fold_score, narrow));
        vg_fit_round(results[i].inner_score, 2 * outer * tile->count); /* fold_score follows */
        vg_choices_take(job, first + i, 0, job->statistics->offset[tile->subject] + tile->first, tile->count, results[i].inner_score,
                        results[i].fold_score, tile->count, outer);
    }
    vg_progress_step(tile->count * count);
done:
    free(y.data);
    free(states);
    free(numbers);
    free(narrow);
    free(results);
    return status;
}

/* Inner and outer scores of one space and tile, for the choices. */
static vg_status recall_choices(fit_job *job, int64_t space, const fit_tile *tile)
{
    const fit_subject *subject = &job->subjects[tile->subject];
    int64_t outer = job->groups[subject->group].folds->outer_count, count = outer * tile->count;
    int64_t offset[2] = {0, tile->first}, size[2] = {outer, tile->count};
    float *narrow = NULL;
    double *wide = NULL;
    vg_status status;
    VG_GO(VG_NEW(&narrow, 2 * count, "scores"));
    VG_GO(VG_NEW(&wide, 2 * count, "scores"));
    VG_GO(vg_store_read_back(job->store, subject->inner[space], offset, size, narrow));
    VG_GO(vg_store_read_back(job->store, subject->folds[space], offset, size, narrow + count));
    for (int64_t i = 0; i < 2 * count; i++)
        wide[i] = (double)narrow[i];
    vg_choices_take(job, space, 0, job->statistics->offset[tile->subject] + tile->first, tile->count, wide, wide + count, tile->count,
                    outer);
done:
    free(narrow);
    free(wide);
    return status;
}

/* The scores of a tile that a run before this one finished. */
static vg_status recall_tile(fit_job *job, int64_t first, int64_t count, int64_t t)
{
    const fit_tile *tile = &job->tiles[t];
    for (int64_t i = 0; i < count; i++) {
        float **scores = &job->scores[i * job->tile_count + t];
        VG_TRY(VG_NEW(scores, tile->count, "scores"));
        VG_TRY(vg_store_read_back(job->store, job->subjects[tile->subject].score[first + i], &tile->first, &tile->count, *scores));
        if (vg_choices_want(job, first + i))
            VG_TRY(recall_choices(job, first + i, tile));
    }
    vg_progress_step(tile->count * count);
    return VG_OK;
}

vg_status vg_fit_chunk(fit_job *job, int64_t first, int64_t count)
{
    int rank = vg_comm_rank(job->comm);
    for (int64_t t = 0; t < job->tile_count; t++) {
        if (job->owner[t] != rank)
            continue;
        int64_t g = job->subjects[job->tiles[t].subject].group, block = first / job->chunk_size * job->tile_count + t;
        if (vg_store_whole(job->store, block)) {
            VG_TRY(recall_tile(job, first, count, t));
            continue;
        }
        VG_TRY(vg_fit_designs(job, g, first, count));
        VG_TRY(fit_tile_spaces(job, job->designs + g * job->chunk_size, first, count, t));
        VG_TRY(vg_store_commit(job->store, block));
    }
    return VG_OK;
}
