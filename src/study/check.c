/* check: everything that can be known of a study before it is run: that it is whole, what it computes, what that takes. */
#include <stdlib.h>
#include <string.h>

#include "run.h"

typedef struct {
    int64_t spaces, words, passes, feature_bytes;
    int64_t *columns; /* of the spaces */
    double flops, engine_bytes, model_bytes, fit_bytes;
} estimate;

/* What the CUDA back end takes for itself: cuBLAS's workspace and the edges of allocations; of a fit, products of a voxel's basis
 * functions. */
enum { OWN = 48 << 20, GRAM = 32 * 32 * 8 };

static vg_status add_space(estimate *e, int64_t columns)
{
    int64_t *grown = realloc(e->columns, (size_t)(e->spaces + 1) * sizeof *grown);
    if (grown == NULL)
        return vg_fail(VG_NO_MEMORY, "no memory for a list of %lld spaces", (long long)e->spaces + 1);
    e->columns = grown;
    e->columns[e->spaces++] = columns;
    return VG_OK;
}

static vg_status check_model(const vg_study *study, const vg_stories *stories, vg_device *device, int64_t m, int64_t memory, estimate *e,
                             FILE *out)
{
    vg_explained explained = {0};
    vg_status status = vg_explained_open(study, stories, device, m, memory, &explained);
    if (status == VG_OK) {
        const vg_model_shape *shape = vg_model_get_shape(explained.model);
        fprintf(out, "model %s: %s, %lld layers, width %lld, vocabulary %lld; %.0f MB, %s; batches of %lld positions\n",
                study->models[m].name, shape->family, (long long)shape->layers, (long long)shape->width, (long long)shape->vocabulary,
                1e-6 * (double)vg_model_bytes(explained.model),
                vg_model_is_streamed(explained.model) ? "its blocks brought one by one" : "all of it in memory",
                (long long)vg_attribution_batch(explained.attributions[0]));
        double bytes = (double)vg_model_bytes(explained.model);
        e->model_bytes = bytes > e->model_bytes ? bytes : e->model_bytes;
    }
    for (int64_t s = 0; status == VG_OK && s < study->story_count; s++) {
        const vg_attribution *attribution = explained.attributions[s];
        const vg_output *outputs;
        const vg_word_block *blocks;
        int64_t count = vg_attribution_outputs(attribution, &outputs);
        for (int64_t o = 0; s == 0 && status == VG_OK && o < count; o++)
            status = add_space(e, outputs[o].columns);
        for (int64_t o = 0; o < count; o++)
            e->feature_bytes += stories->stories[s].count * outputs[o].columns * 5;
        e->words += stories->stories[s].count;
        e->passes += vg_attribution_blocks(attribution, &blocks);
        e->flops += vg_attribution_flops(attribution);
        double bytes = (double)vg_attribution_bytes(attribution);
        e->engine_bytes = bytes > e->engine_bytes ? bytes : e->engine_bytes;
    }
    vg_explained_free(study, &explained);
    return status;
}

/* The runs of a subject as the fit sees them: rows after trimming, a story's repeats once; and which are the test stories. */
typedef struct {
    int64_t *rows, *stories, *test, count, tests, total, voxels;
} subject_runs;

static void free_runs(subject_runs *runs)
{
    free(runs->rows);
    free(runs->stories);
    free(runs->test);
}

static void add_run(const vg_study *study, int64_t story, int64_t rows, subject_runs *runs)
{
    for (int64_t r = 0; r < runs->count; r++)
        if (runs->stories[r] == story)
            return;
    for (int64_t i = 0; i < study->split.test_count; i++)
        if (strcmp(study->split.test[i], study->stories[story].name) == 0)
            runs->test[runs->tests++] = runs->count;
    runs->stories[runs->count] = story;
    runs->rows[runs->count++] = rows;
    runs->total += rows;
}

/* One subject: its files can be read and have the same voxels. */
static vg_status check_subject(const vg_study *study, const vg_study_subject *subject, subject_runs *runs, int64_t *shortest)
{
    *runs = (subject_runs){0};
    VG_TRY(VG_NEW(&runs->rows, subject->run_count, "runs"));
    VG_TRY(VG_NEW(&runs->stories, subject->run_count, "runs"));
    VG_TRY(VG_NEW(&runs->test, subject->run_count, "runs"));
    for (int64_t r = 0; r < subject->run_count; r++) {
        vg_responses *responses;
        VG_TRY(vg_run_open(study, subject, r, &responses));
        int64_t here = vg_responses_voxels(responses);
        int64_t kept = vg_responses_rows(responses) - study->alignment.trim[0] - study->alignment.trim[1];
        vg_responses_close(responses);
        if (r > 0 && here != runs->voxels)
            return vg_fail(VG_INVALID, "%s: has %lld columns; the first run of subject %s has %lld", subject->runs[r].path, (long long)here,
                           subject->name, (long long)runs->voxels);
        runs->voxels = here;
        *shortest = kept < *shortest ? kept : *shortest;
        add_run(study, subject->runs[r].story, kept, runs);
    }
    return VG_OK;
}

/* Training rows of the outer folds whose delayed window shares a TR of the story with that of a test row: what was heard is the same in
 * both, though no test response enters training. */
static int64_t overlap(const vg_study *study, const subject_runs *runs, const vg_folds *folds)
{
    int64_t reach = 0, count = 0, begin = 0;
    for (int64_t a = 0; a < study->alignment.delay_count; a++)
        for (int64_t b = 0; b < study->alignment.delay_count; b++)
            reach = study->alignment.delays[a] - study->alignment.delays[b] > reach
                        ? study->alignment.delays[a] - study->alignment.delays[b]
                        : reach;
    for (int64_t r = 0; r < runs->count; begin += runs->rows[r], r++)
        for (int64_t k = 0; k < folds->outer_count; k++)
            for (int64_t i = 0; i < folds->outer[k].train_ranges; i++)
                for (int64_t t = folds->outer[k].train[i].begin; t < folds->outer[k].train[i].end; t++) {
                    bool shared = false;
                    for (int64_t j = 0; t >= begin && t < begin + runs->rows[r] && j < folds->outer[k].test_ranges; j++) {
                        const vg_range *test = &folds->outer[k].test[j];
                        int64_t from = test->begin > begin ? test->begin : begin;
                        int64_t to = test->end < begin + runs->rows[r] ? test->end : begin + runs->rows[r];
                        shared |= from < to && t > from - 1 - reach && t < to + reach;
                    }
                    count += shared;
                }
    return count;
}

static vg_status print_costs(const vg_study *study, estimate *e, const vg_folds *folds, int64_t voxels, int64_t shortest, FILE *out)
{
    const vg_align_options options = vg_align_of(study, 0);
    vg_ridge_plan plan = {.folds = folds, .alphas = study->ridge.alphas, .alpha_count = study->ridge.alpha_count, .type = VG_F32};
    vg_ridge_cost cost;
    int64_t *columns;
    VG_TRY(VG_NEW(&columns, e->spaces, "spaces"));
    for (int64_t i = 0; i < e->spaces; i++)
        columns[i] = vg_align_columns(&options, e->columns[i]);
    vg_status status = vg_ridge_estimate(&plan, columns, e->spaces, &cost);
    free(columns);
    VG_TRY(status);
    fprintf(out, "fits: %lld voxels x %lld spaces, %.3g GFLOP and %.3g GFLOP of factorisations\n", (long long)voxels, (long long)e->spaces,
            cost.voxel_flops * (double)voxels / 1e9, cost.design_flops / 1e9);
    if (study->nuisance.space_count + study->nuisance.file_count > 0 && strcmp(study->nuisance.mode, "band") == 0)
        fprintf(out, "nuisance: %lld draws of penalties, each as much again and more\n", (long long)study->nuisance.draws);
    fprintf(out, "memory a rank: fits %.0f MB\n", (cost.design_bytes + cost.fit_bytes) / 1e6);
    e->fit_bytes = cost.design_bytes + cost.build_bytes + cost.fit_bytes + GRAM * (double)cost.tile;
    return vg_null_check(study, shortest, cost.voxel_flops * (double)voxels, out);
}

/* As the first subject's runs have it. */
static vg_status check_fit(const vg_study *study, estimate *e, const subject_runs *runs, int64_t voxels, int64_t shortest, FILE *out)
{
    vg_folds *folds;
    int64_t gap = vg_fold_gap(study);
    const vg_folds_options options = {.run_rows = runs->rows,
                                      .runs = runs->count,
                                      .outer_folds = study->ridge.outer_folds,
                                      .inner_folds = study->ridge.inner_folds,
                                      .gap = gap,
                                      .test_runs = runs->tests > 0 ? runs->test : NULL,
                                      .test_count = runs->tests};
    vg_status status = vg_folds_create(&options, &folds);
    if (status != VG_OK)
        return vg_fail_within(status, "ridge.outer_folds, inner_folds, gap: ");
    fprintf(out, "folds: %lld outer (%s), %lld inner, gap %lld rows\n", (long long)folds->outer_count,
            runs->tests > 0   ? "the test stories"
            : runs->count > 1 ? "whole runs"
                              : "blocks of the run",
            (long long)study->ridge.inner_folds, (long long)gap);
    fprintf(out, "overlap: %lld training rows, over all outer folds, share a TR of the story with a test row through the delays\n",
            (long long)overlap(study, runs, folds));
    status = print_costs(study, e, folds, voxels, shortest, out);
    vg_folds_free(folds);
    return status;
}

static vg_status check_responses(const vg_study *study, estimate *e, FILE *out)
{
    int64_t total = 0, shortest = INT64_MAX;
    subject_runs first = {0};
    vg_status status = VG_OK;
    for (int64_t i = 0; status == VG_OK && i < study->responses.subject_count; i++) {
        subject_runs runs;
        status = check_subject(study, &study->responses.subjects[i], &runs, &shortest);
        total += runs.voxels;
        if (i == 0)
            first = runs;
        else
            free_runs(&runs);
    }
    if (status == VG_OK)
        fprintf(out, "responses: %lld subjects, %lld voxels together, %lld rows each, TR %g s\n", (long long)study->responses.subject_count,
                (long long)total, (long long)first.total, study->responses.tr);
    if (status == VG_OK)
        status = check_fit(study, e, &first, total, shortest, out);
    free_runs(&first);
    return status;
}

static vg_status check_files(const vg_study *study, const vg_stories *stories, estimate *e, FILE *out)
{
    vg_file_features files = {0};
    vg_status status;
    VG_GO(vg_files_open(study, stories, &files));
    VG_GO(vg_files_check(study, &files));
    for (int64_t i = 0; i < files.count; i++) {
        const vg_file_feature *at = &files.at[i];
        int64_t columns = vg_responses_voxels(at->table);
        e->feature_bytes += vg_responses_rows(at->table) * columns * 5;
        if (at->story > 0)
            continue;
        VG_GO(add_space(e, columns));
        fprintf(out, "features %s: made elsewhere, %lld columns\n", study->features[at->feature].name, (long long)columns);
    }
done:
    vg_files_close(&files);
    return status;
}

static vg_status check(const vg_study *study, vg_device *device, vg_stories *stories, estimate *e, FILE *out)
{
    int64_t memory = vg_memory_limit(study, 1);
    VG_TRY(vg_stories_open(study, stories));
    fprintf(out, "study %s\n", study->name);
    for (int64_t s = 0; s < study->story_count; s++)
        fprintf(out, "story %s: %lld words, %.1f s\n", study->stories[s].name, (long long)stories->stories[s].count,
                stories->stories[s].words[stories->stories[s].count - 1].offset);
    for (int64_t m = 0; vg_explains(study) && m < study->model_count; m++)
        VG_TRY(check_model(study, stories, device, m, memory, e, out));
    VG_TRY(check_files(study, stories, e, out));
    fprintf(out, "features: %lld spaces, %lld words, %lld batches, %.3g GFLOP\n", (long long)e->spaces, (long long)e->words,
            (long long)e->passes, e->flops / 1e9);
    fprintf(out, "memory a rank: features %.0f MB beside the model; %.1f GB may be taken\n", e->engine_bytes / 1e6, (double)memory / 1e9);
    fprintf(out, "files: %s/features.h5, %.1f MB; results.h5; run.json\n", study->output, (double)e->feature_bytes / 1e6);
    if (study->responses.subject_count > 0)
        VG_TRY(check_responses(study, e, out));
    double peak = (e->model_bytes + e->engine_bytes > e->fit_bytes ? e->model_bytes + e->engine_bytes : e->fit_bytes) + OWN;
    fprintf(out, "peak device memory: at most %.0f bytes (%.2f GB) a rank that drives a GPU\n", peak, peak / 1e9);
    fprintf(out, "The study is whole.\n");
    return VG_OK;
}

vg_status vg_study_check(const vg_study *study, FILE *out)
{
    vg_device *device;
    vg_stories stories = {0};
    estimate e = {0};
    VG_TRY(vg_device_open("cpu", 0, (int)study->threads, &device));
    vg_status status = check(study, device, &stories, &e, out);
    vg_stories_free(study, &stories);
    free(e.columns);
    vg_device_close(device);
    return status;
}
