/* check: everything that can be known of a study before it is run: that it is whole, what it computes, what that takes. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "run.h"

typedef struct {
    int64_t spaces, words, passes, feature_bytes;
    int64_t *columns; /* of the spaces */
    double flops, engine_bytes, model_bytes, fit_bytes;
    const vg_rates *rates;
    vg_cost cost;
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
    vg_status status = vg_explained_open(study, stories, device, m, memory, NULL, &explained);
    if (status == VG_OK) {
        const vg_model_shape *shape = vg_model_get_shape(explained.model);
        fprintf(out, "model %s: %s, %lld layers, width %lld, vocabulary %lld; %.0f MB, %s; batches of %lld positions\n",
                study->models[m].name, shape->family, (long long)shape->layers, (long long)shape->width, (long long)shape->vocabulary,
                1e-6 * (double)vg_model_bytes(explained.model),
                vg_model_is_streamed(explained.model) ? "its blocks brought one by one" : "all of it in memory",
                (long long)vg_attribution_batch(explained.attributions[0]));
        e->model_bytes += (double)vg_model_bytes(explained.model); /* all of them are there while features are made */
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

/* Of all subjects: voxels together, most of one; rows of the shortest run. */
typedef struct {
    int64_t total, most, shortest;
} voxel_counts;

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

static vg_ridge_plan plan_of(const vg_study *study, const vg_folds *folds)
{
    return (vg_ridge_plan){.folds = folds, .alphas = study->ridge.alphas, .alpha_count = study->ridge.alpha_count, .type = VG_F32};
}

/* The most that fits hold on a GPU, whose tiles are wider, but no wider than a subject. */
static vg_status fit_on_gpu(vg_ridge_plan plan, const int64_t *columns, int64_t count, int64_t voxels, double *bytes)
{
    vg_ridge_cost cost;
    plan.gpu = true;
    VG_TRY(vg_ridge_estimate(&plan, columns, count, &cost));
    plan.tile = cost.tile < voxels ? cost.tile : voxels;
    VG_TRY(vg_ridge_estimate(&plan, columns, count, &cost));
    *bytes = cost.design_bytes + cost.build_bytes + cost.fit_bytes + GRAM * (double)cost.tile;
    return VG_OK;
}

/* Of all subjects together; a nuisance as a band is about as much again for each draw of penalties. */
static vg_status print_costs(const vg_study *study, estimate *e, const vg_folds *folds, const voxel_counts *voxels, FILE *out)
{
    const vg_align_options options = vg_align_of(study, 0);
    const vg_ridge_plan plan = plan_of(study, folds);
    vg_ridge_cost cost;
    int64_t *columns;
    bool banded = study->nuisance.space_count + study->nuisance.file_count > 0 && strcmp(study->nuisance.mode, "band") == 0;
    VG_TRY(VG_NEW(&columns, e->spaces, "spaces"));
    for (int64_t i = 0; i < e->spaces; i++)
        columns[i] = vg_align_columns(&options, e->columns[i]);
    vg_status status = vg_ridge_estimate(&plan, columns, e->spaces, &cost);
    if (status == VG_OK)
        status = fit_on_gpu(plan, columns, e->spaces, voxels->most, &e->fit_bytes);
    if (status == VG_OK)
        status = vg_cost_fit(&plan, columns, e->spaces, voxels->total, voxels->most, study->null.shifts, (double)vg_memory_limit(study, 1),
                             &e->cost);
    free(columns);
    VG_TRY(status);
    double times = banded ? 1 + (double)study->nuisance.draws : 1;
    e->cost.design_flops *= times;
    e->cost.fit_flops *= times;
    fprintf(out, "fits: %lld voxels x %lld spaces, %.3g GFLOP and %.3g GFLOP of factorisations\n", (long long)voxels->total,
            (long long)e->spaces, cost.voxel_flops * (double)voxels->total / 1e9, cost.design_flops / 1e9);
    if (banded)
        fprintf(out, "nuisance: %lld draws of penalties, each as much again and more\n", (long long)study->nuisance.draws);
    fprintf(out, "memory a rank: fits %.0f MB\n", e->cost.fit_bytes / 1e6);
    return vg_null_check(study, voxels->shortest, voxels->most, cost.voxel_flops * (double)voxels->total, out);
}

/* As a subject's runs have it. */
static vg_status make_folds(const vg_study *study, const subject_runs *runs, vg_folds **folds)
{
    const vg_folds_options options = {.run_rows = runs->rows,
                                      .runs = runs->count,
                                      .outer_folds = study->ridge.outer_folds,
                                      .inner_folds = study->ridge.inner_folds,
                                      .gap = vg_fold_gap(study),
                                      .test_runs = runs->tests > 0 ? runs->test : NULL,
                                      .test_count = runs->tests};
    vg_status status = vg_folds_create(&options, folds);
    return status == VG_OK ? VG_OK : vg_fail_within(status, "ridge.outer_folds, inner_folds, gap: ");
}

static vg_status check_fit(const vg_study *study, estimate *e, const subject_runs *runs, const voxel_counts *voxels, FILE *out)
{
    vg_folds *folds;
    VG_TRY(make_folds(study, runs, &folds));
    fprintf(out, "folds: %lld outer (%s), %lld inner, gap %lld rows\n", (long long)folds->outer_count,
            runs->tests > 0   ? "the test stories"
            : runs->count > 1 ? "whole runs"
                              : "blocks of the run",
            (long long)study->ridge.inner_folds, (long long)vg_fold_gap(study));
    fprintf(out, "overlap: %lld training rows, over all outer folds, share a TR of the story with a test row through the delays\n",
            (long long)vg_leakage_overlap(study, runs->rows, runs->count, folds));
    vg_status status = print_costs(study, e, folds, voxels, out);
    vg_folds_free(folds);
    return status;
}

static vg_status check_responses(const vg_study *study, estimate *e, FILE *out)
{
    voxel_counts voxels = {.shortest = INT64_MAX};
    subject_runs first = {0};
    vg_status status = VG_OK;
    for (int64_t i = 0; status == VG_OK && i < study->responses.subject_count; i++) {
        subject_runs runs;
        status = check_subject(study, &study->responses.subjects[i], &runs, &voxels.shortest);
        voxels.total += runs.voxels;
        voxels.most = runs.voxels > voxels.most ? runs.voxels : voxels.most;
        if (i == 0)
            first = runs;
        else
            free_runs(&runs);
    }
    if (status == VG_OK)
        fprintf(out, "responses: %lld subjects, %lld voxels together, %lld rows each, TR %g s\n", (long long)study->responses.subject_count,
                (long long)voxels.total, (long long)first.total, study->responses.tr);
    if (status == VG_OK)
        status = check_fit(study, e, &first, &voxels, out);
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

/* What is there already must be undamaged. */
static vg_status check_output(const vg_study *study, const char *name, FILE *out)
{
    char *path;
    vg_store_file *file;
    VG_TRY(vg_output_path(study, name, &path));
    vg_status status = VG_OK;
    if (access(path, F_OK) == 0) {
        status = vg_store_open_checked(path, &file);
        if (status == VG_OK) {
            fprintf(out, "%s: is there, and undamaged\n", path);
            vg_store_close(file);
        }
    }
    free(path);
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
    double features = e->model_bytes + e->engine_bytes, peak = (features > e->fit_bytes ? features : e->fit_bytes) + OWN;
    fprintf(out, "peak device memory: at most %.0f bytes (%.2f GB) a rank that drives a GPU\n", peak, peak / 1e9);
    e->cost.feature_flops = e->flops;
    e->cost.engine_bytes = features;
    VG_TRY(vg_cost_print(&e->cost, e->rates, (double)vg_memory_limit(study, 1), out));
    VG_TRY(check_output(study, "features.h5", out));
    VG_TRY(check_output(study, "results.h5", out));
    fprintf(out, "The study is whole.\n");
    return VG_OK;
}

vg_status vg_study_check(const vg_study *study, const char *rates_path, FILE *out)
{
    vg_device *device;
    vg_stories stories = {0};
    vg_rates rates;
    estimate e = {.rates = &rates};
    VG_TRY(vg_rates_read(rates_path, &rates));
    VG_TRY(vg_device_open("cpu", 0, (int)study->threads, &device));
    vg_status status = check(study, device, &stories, &e, out);
    vg_stories_free(study, &stories);
    free(e.columns);
    vg_device_close(device);
    return status;
}

/* Random responses of as many rows as the first subject's. */
static vg_status bench_fit(const vg_study *study, vg_device *device, const vg_bench_columns *columns, vg_rates *rates)
{
    int64_t shortest = INT64_MAX;
    subject_runs runs;
    vg_folds *folds = NULL;
    vg_status status = check_subject(study, &study->responses.subjects[0], &runs, &shortest);
    if (status == VG_OK)
        status = make_folds(study, &runs, &folds);
    if (status == VG_OK) {
        const vg_ridge_plan plan = plan_of(study, folds);
        status = vg_bench_fit(&plan, device, columns, rates);
    }
    vg_folds_free(folds);
    free_runs(&runs);
    return status;
}

vg_status vg_study_bench(const vg_study *study, FILE *out)
{
    vg_device *device;
    vg_rates rates = {0};
    vg_bench_columns columns = {0};
    VG_TRY(vg_device_open(study->device, 0, (int)study->threads, &device));
    vg_status status = vg_bench_features(study, device, &rates.features, &columns);
    if (status == VG_OK && study->responses.subject_count > 0 && columns.count > 0)
        status = bench_fit(study, device, &columns, &rates);
    if (status == VG_OK)
        fprintf(out,
                "{\"device\": \"%s\", \"unit\": \"core-seconds a GFLOP\", \"features\": %.5g, \"factorisations\": %.5g, \"fits\": %.5g}\n",
                device->name, rates.features, rates.designs, rates.fits);
    vg_device_close(device);
    return status;
}
