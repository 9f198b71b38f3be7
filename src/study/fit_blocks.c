/* fit_blocks: designs of a chunk of spaces, and this rank's tiles of voxels through them. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "choices.h"

/* ---- designs ---------------------------------------------------------------------------------------------------------------- */

vg_align_options vg_align_of(const vg_study *study, int64_t rows)
{
    vg_align_options options = {.tr = study->responses.tr,
                                .start = study->responses.start,
                                .rows = rows,
                                .delays = study->alignment.delays,
                                .delay_count = study->alignment.delay_count,
                                .trim = {study->alignment.trim[0], study->alignment.trim[1]},
                                .standardize = vg_standardize_runs(study)};
    const char *downsample = study->alignment.downsample, *anchor = study->alignment.anchor, *hrf = study->alignment.hrf;
    options.hrf = strcmp(hrf, "spm") == 0 ? VG_HRF_SPM : strcmp(hrf, "glover") == 0 ? VG_HRF_GLOVER : VG_HRF_NONE;
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
    vg_align_options options = vg_align_of(job->study, rows);
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
    const vg_align_options options = vg_align_of(job->study, 0);
    vg_matrix x = {.rows = pattern->rows, .columns = vg_align_columns(&options, space->any->columns)};
    x.ld = x.columns;
    *made = (vg_matrix){0};
    VG_TRY(VG_NEW(&x.data, x.rows * x.columns, "a design"));
    vg_status status = VG_OK;
    int64_t row = 0;
    for (int64_t r = 0; status == VG_OK && r < pattern->part_count; r++) {
        const vg_store_space *at = space->stories[pattern->parts[r].story];
        vg_matrix part = {.data = x.data + row * x.ld, .rows = group->run_rows[r], .columns = x.columns, .ld = x.ld};
        row += part.rows;
        if (at == NULL)
            status = vg_fail(VG_INVALID, "%s/%s: there are no such features of story %s", space->any->model, space->any->name,
                             job->study->stories[pattern->parts[r].story].name);
        else
            status = align_run(job, at, pattern->parts[r].rows, part);
    }
    if (status != VG_OK) {
        free(x.data);
        return vg_fail_within(status, "%s/%s: ", space->any->model, space->any->name);
    }
    *made = x;
    return VG_OK;
}

vg_status vg_fit_design(const fit_job *job, const fit_group *group, const fit_space *space, vg_ridge_design **design)
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
    for (int64_t i = 0; i < count && !vg_fit_regressed(job->study); i++)
        if (designs[i] == NULL)
            VG_TRY(vg_fit_design(job, &job->groups[group], &job->spaces[first + i], &designs[i]));
    return vg_nuisance_designs(job, group, first, count);
}

void vg_fit_chunk_end(fit_job *job)
{
    vg_nuisance_end(job);
    for (int64_t i = 0; job->designs != NULL && i < job->group_count * job->chunk_size; i++) {
        vg_ridge_design_free(job->designs[i]);
        job->designs[i] = NULL;
    }
}

/* ---- tiles --------------------------------------------------------------------------------------------------------------------- */

bool vg_standardize_runs(const vg_study *study)
{
    return strcmp(study->alignment.standardize, "run") == 0;
}

vg_filter_options vg_filter_of(const vg_study *study)
{
    const char *filter = study->alignment.filter;
    if (strcmp(study->alignment.assume_filtered, "true") == 0)
        return (vg_filter_options){.kind = VG_FILTER_NONE};
    if (strcmp(filter, "high_pass") == 0)
        return (vg_filter_options){.kind = VG_FILTER_HIGH_PASS, .seconds = study->alignment.high_pass};
    if (strcmp(filter, "savgol") == 0)
        return (vg_filter_options){VG_FILTER_SAVGOL, study->alignment.savgol_window, study->alignment.savgol_order};
    if (strcmp(filter, "polynomial") == 0)
        return (vg_filter_options){.kind = VG_FILTER_POLYNOMIAL, .order = study->alignment.polynomial};
    return (vg_filter_options){.kind = VG_FILTER_NONE};
}

/* One run of the tile, filtered, trimmed and standardised, into part. */
static vg_status read_run(const fit_job *job, const fit_subject *subject, int64_t r, const fit_tile *tile, vg_matrix part, uint8_t *states)
{
    const vg_filter_options options = vg_filter_of(job->study);
    vg_matrix run = {.rows = vg_responses_rows(subject->runs[r]), .columns = tile->count, .ld = tile->count};
    vg_filter *filter = NULL;
    vg_status status;
    VG_GO(VG_NEW(&run.data, run.rows * run.columns, "responses"));
    VG_GO(vg_responses_read(subject->runs[r], tile->first, run));
    vg_voxels_judge(run, states);
    VG_GO(vg_filter_create(&options, job->study->responses.tr, run.rows, &filter));
    VG_GO(vg_filter_apply(filter, run, job->study->alignment.trim, vg_standardize_runs(job->study), part));
done:
    vg_filter_free(filter);
    free(run.data);
    return status == VG_OK ? VG_OK : vg_fail_within(status, "subject %s: ", subject->study->name);
}

/* The mean of a part's repeats. */
static vg_status read_part(const fit_job *job, const fit_subject *subject, const fit_part *at, const fit_tile *tile, vg_matrix part,
                           uint8_t *states)
{
    vg_matrix one = {.rows = part.rows, .columns = part.columns, .ld = part.columns};
    VG_TRY(read_run(job, subject, at->runs[0], tile, part, states));
    if (at->count == 1)
        return VG_OK;
    VG_TRY(VG_NEW(&one.data, one.rows * one.columns, "responses"));
    vg_status status = VG_OK;
    for (int64_t i = 1; status == VG_OK && i < at->count; i++) {
        status = read_run(job, subject, at->runs[i], tile, one, states);
        for (int64_t t = 0; status == VG_OK && t < part.rows; t++)
            for (int64_t v = 0; v < part.columns; v++) {
                float *to = &part.data[t * part.ld + v];
                *to += (one.data[t * one.ld + v] - *to) / (float)(i + 1);
            }
    }
    free(one.data);
    return status;
}

vg_status vg_fit_read(const fit_job *job, const fit_subject *subject, const fit_tile *tile, vg_matrix y, uint8_t *states)
{
    int64_t row = 0;
    for (int64_t p = 0; p < subject->part_count; p++) {
        vg_matrix part = {.data = y.data + row * y.ld, .columns = tile->count, .ld = y.ld};
        part.rows = subject->parts[p].rows - job->study->alignment.trim[0] - job->study->alignment.trim[1];
        row += part.rows;
        VG_TRY(read_part(job, subject, &subject->parts[p], tile, part, states));
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

/* The numbers of one space of a tile, in `memory`, and where they are written. */
static fit_values place_values(const fit_job *job, double *memory, int64_t outer, /* NOLINT(readability-non-const-parameter) */
                               int64_t voxels)
{
    fit_values v = {.score = memory, .r2 = memory + voxels, .alpha = memory + 2 * voxels};
    v.inner = v.alpha + outer * voxels;
    v.fold = v.inner + outer * voxels;
    if (vg_fit_banded(job->study)) {
        double *at = v.fold + outer * voxels;
        v.joint = at;
        v.unique = at + voxels;
        v.split = at + 2 * voxels;
    }
    return v;
}

static vg_status keep(float **table, const double *values, int64_t count)
{
    VG_TRY(VG_NEW(table, count, "scores"));
    for (int64_t i = 0; i < count; i++)
        (*table)[i] = (float)values[i];
    return VG_OK;
}

/* Writes what one space scored in a tile; the scores stay with this rank for the summaries. */
static vg_status write_values(fit_job *job, int64_t space, int64_t in_chunk, int64_t t, const fit_values *v, const double *best,
                              float *narrow)
{
    const fit_tile *tile = &job->tiles[t];
    const fit_subject *subject = &job->subjects[tile->subject];
    int64_t outer = job->groups[subject->group].folds->outer_count, at = in_chunk * job->tile_count + t;
    bool banded = vg_fit_banded(job->study);
    VG_TRY(keep(&job->scores[at], banded ? v->unique : v->score, tile->count));
    if (banded)
        VG_TRY(keep(&job->plain[at], v->score, tile->count));
    VG_TRY(write_doubles(job, subject->score[space], 0, tile, v->score, narrow));
    VG_TRY(write_doubles(job, subject->r2[space], 0, tile, v->r2, narrow));
    VG_TRY(write_doubles(job, subject->alpha[space], outer, tile, v->alpha, narrow));
    if (banded) {
        VG_TRY(write_doubles(job, subject->joint[space], 0, tile, v->joint, narrow));
        VG_TRY(write_doubles(job, subject->split[space], 2, tile, v->split, narrow));
        VG_TRY(write_doubles(job, subject->unique[space], 0, tile, v->unique, narrow));
    }
    if (vg_choices_want(job, space)) {
        VG_TRY(write_doubles(job, subject->inner[space], outer, tile, v->inner, narrow));
        VG_TRY(write_doubles(job, subject->folds[space], outer, tile, v->fold, narrow));
        vg_fit_round(v->inner, 2 * outer * tile->count); /* fold follows */
        vg_choices_take(job, space, 0, job->statistics->offset[tile->subject] + tile->first, tile->count, v->inner, v->fold, tile->count,
                        outer);
    }
    if (best == NULL)
        return VG_OK;
    double *cc = v->r2; /* written already */
    for (int64_t i = 0; i < tile->count; i++)
        cc[i] = v->score[i] / best[i];
    return write_doubles(job, subject->cc_norm[space], 0, tile, cc, narrow);
}

/* Weights of one space, refitted on all rows with the geometric mean of the outer folds' penalties. */
static vg_status write_weights(fit_job *job, int64_t space, const fit_tile *tile, vg_samples y, const double *alpha)
{
    const fit_subject *subject = &job->subjects[tile->subject];
    const fit_group *group = &job->groups[subject->group];
    vg_matrix x = {0};
    double *mean = NULL, *weights = NULL;
    float *narrow = NULL;
    vg_status status;
    VG_GO(vg_fit_features(job, group, &job->spaces[space], &x));
    VG_GO(VG_NEW(&mean, tile->count, "penalties"));
    VG_GO(VG_NEW(&weights, x.columns * tile->count, "weights"));
    VG_GO(VG_NEW(&narrow, x.columns * tile->count, "weights"));
    for (int64_t v = 0; v < tile->count; v++) {
        double sum = 0;
        for (int64_t k = 0; k < group->folds->outer_count; k++)
            sum += log(alpha[k * tile->count + v]) / (double)group->folds->outer_count;
        mean[v] = isfinite(sum) ? exp(sum) : 1.0; /* a dead voxel's weights are NaN whatever its penalty */
    }
    VG_GO(vg_ridge_weights(job->device, &group->plan, (vg_samples){VG_F32, x.data, x.rows, x.columns, x.ld}, y, mean, weights));
    VG_GO(write_doubles(job, subject->weights[space], x.columns, tile, weights, narrow));
done:
    free(x.data);
    free(mean);
    free(weights);
    free(narrow);
    return status;
}

/* What repeats say of a tile: explainable variance, written; and the best correlation a model can have with their mean, best (v). */
static vg_status explain_repeats(fit_job *job, const fit_tile *tile, double *best)
{
    const fit_subject *subject = &job->subjects[tile->subject];
    int64_t repeats = 0, rows = 0, row = 0, trimmed = job->study->alignment.trim[0] + job->study->alignment.trim[1];
    for (int64_t p = 0; p < subject->part_count; p++) {
        const fit_part *part = &subject->parts[p];
        if (part->count < 2)
            continue;
        repeats = repeats == 0 || part->count < repeats ? part->count : repeats;
        rows += part->rows - trimmed;
    }
    float *y = NULL, *narrow = NULL;
    double *explainable = NULL;
    uint8_t *states = NULL;
    vg_samples *samples = NULL;
    vg_status status;
    VG_GO(VG_NEW(&y, repeats * rows * tile->count, "repeats"));
    VG_GO(VG_NEW(&narrow, tile->count, "scores"));
    VG_GO(VG_NEW(&explainable, tile->count, "scores"));
    VG_GO(VG_NEW(&states, tile->count, "voxel states"));
    VG_GO(VG_NEW(&samples, repeats, "repeats"));
    for (int64_t p = 0; p < subject->part_count; p++) {
        const fit_part *part = &subject->parts[p];
        vg_matrix one = {.rows = part->rows - trimmed, .columns = tile->count, .ld = tile->count};
        for (int64_t i = 0; part->count > 1 && i < repeats; i++) {
            one.data = y + (i * rows + row) * tile->count;
            VG_GO(read_run(job, subject, part->runs[i], tile, one, states));
        }
        row += part->count > 1 ? one.rows : 0;
    }
    for (int64_t i = 0; i < repeats; i++)
        samples[i] = (vg_samples){VG_F32, y + i * rows * tile->count, rows, tile->count, tile->count};
    VG_GO(vg_explainable(samples, repeats, explainable, best));
    VG_GO(write_doubles(job, subject->explainable, 0, tile, explainable, narrow));
done:
    free(y);
    free(narrow);
    free(explainable);
    free(states);
    free(samples);
    return status;
}

/* A tile in the making. */
typedef struct {
    vg_matrix y;
    double *numbers, *best;
    float *narrow;
    uint8_t *states;
    int32_t *label;
    fit_values *values;
} tile_work;

static vg_status fit_and_write(fit_job *job, int64_t first, int64_t count, int64_t t, tile_work *w)
{
    const fit_tile *tile = &job->tiles[t];
    const fit_subject *subject = &job->subjects[tile->subject];
    bool shared = strcmp(job->study->ridge.alpha, "voxel") != 0, repeated = subject->explainable >= 0;
    vg_samples y = {VG_F32, w->y.data, w->y.rows, w->y.columns, w->y.ld};
    int64_t labels = 0;
    VG_TRY(vg_fit_read(job, subject, tile, w->y, w->states));
    if (shared)
        VG_TRY(vg_fit_labels(job, subject, tile->first, tile->count, w->label, &labels));
    VG_TRY(vg_fit_score(job, subject->group, count, y, NULL, shared ? w->label : NULL, labels, w->values));
    if (first == 0)
        VG_TRY(write_voxels(job, subject, tile, w->states));
    if (repeated)
        VG_TRY(explain_repeats(job, tile, w->best));
    for (int64_t i = 0; i < count; i++) {
        VG_TRY(write_values(job, first + i, i, t, &w->values[i], repeated && subject->cc_norm[first + i] >= 0 ? w->best : NULL, w->narrow));
        if (subject->weights[first + i] >= 0)
            VG_TRY(write_weights(job, first + i, tile, y, w->values[i].alpha));
    }
    return VG_OK;
}

/* Every space of the chunk for one tile. */
static vg_status fit_tile_spaces(fit_job *job, int64_t first, int64_t count, int64_t t)
{
    const fit_tile *tile = &job->tiles[t];
    const fit_subject *subject = &job->subjects[tile->subject];
    int64_t outer = job->groups[subject->group].folds->outer_count,
            each = (2 + 3 * outer + (vg_fit_banded(job->study) ? 4 : 0)) * tile->count;
    tile_work w = {.y = {.rows = subject->rows, .columns = tile->count, .ld = tile->count}};
    vg_status status;
    VG_GO(VG_NEW(&w.y.data, w.y.rows * w.y.columns, "responses"));
    VG_GO(VG_NEW(&w.states, tile->count, "voxel states"));
    VG_GO(VG_NEW(&w.label, tile->count, "voxel labels"));
    VG_GO(VG_NEW(&w.best, tile->count, "scores"));
    VG_GO(VG_NEW(&w.numbers, each * count, "scores"));
    VG_GO(VG_NEW(&w.narrow, (outer + 2) * tile->count, "scores"));
    VG_GO(VG_NEW(&w.values, count, "scores"));
    for (int64_t i = 0; i < count; i++)
        w.values[i] = place_values(job, w.numbers + i * each, outer, tile->count);
    VG_GO(fit_and_write(job, first, count, t, &w));
    vg_progress_step(tile->count * count);
done:
    free(w.y.data);
    free(w.states);
    free(w.label);
    free(w.best);
    free(w.numbers);
    free(w.narrow);
    free(w.values);
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

static vg_status recall(const fit_job *job, int64_t dataset, const fit_tile *tile, float **scores)
{
    VG_TRY(VG_NEW(scores, tile->count, "scores"));
    return vg_store_read_back(job->store, dataset, &tile->first, &tile->count, *scores);
}

/* What a tile that a run before this one finished has left in memory there (write_values). */
static vg_status recall_tile(fit_job *job, int64_t first, int64_t count, int64_t t)
{
    const fit_tile *tile = &job->tiles[t];
    const fit_subject *subject = &job->subjects[tile->subject];
    bool banded = vg_fit_banded(job->study);
    for (int64_t i = 0; i < count; i++) {
        int64_t at = i * job->tile_count + t;
        const int64_t *tested = banded ? subject->unique : subject->score;
        VG_TRY(recall(job, tested[first + i], tile, &job->scores[at]));
        if (banded)
            VG_TRY(recall(job, subject->score[first + i], tile, &job->plain[at]));
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
        int64_t g = job->subjects[job->tiles[t].subject].group, block = job->chunk_at * job->tile_count + t;
        if (vg_store_whole(job->store, block)) {
            VG_TRY(recall_tile(job, first, count, t));
            continue;
        }
        VG_TRY(vg_fit_designs(job, g, first, count));
        VG_TRY(fit_tile_spaces(job, first, count, t));
        VG_TRY(vg_store_commit(job->store, block));
    }
    return VG_OK;
}
