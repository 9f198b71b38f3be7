/* check: everything that can be known of a study before it is run: that it is whole, what it computes, what that takes. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "run.h"

typedef struct {
    int64_t spaces, words, passes, feature_bytes;
    int64_t *columns; /* of the spaces */
    double flops, engine_bytes;
    const vg_rates *rates;
    vg_cost cost;
} estimate;

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
    vg_status status = vg_explained_open(study, stories, device, m, vg_batch_tokens(study, memory), &explained);
    if (status == VG_OK) {
        const vg_model_shape *shape = vg_model_get_shape(explained.model);
        fprintf(out, "model %s: %s, %lld layers, width %lld, vocabulary %lld\n", study->models[m].name, shape->family,
                (long long)shape->layers, (long long)shape->width, (long long)shape->vocabulary);
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
        double bytes = (double)vg_attribution_bytes(attribution) + vg_model_bytes(vg_model_get_shape(explained.model));
        e->engine_bytes = bytes > e->engine_bytes ? bytes : e->engine_bytes;
    }
    vg_explained_free(study, &explained);
    return status;
}

/* One subject: its files can be read and have the same voxels. */
static vg_status check_subject(const vg_study *study, const vg_study_subject *subject, int64_t *rows, int64_t *voxels, int64_t *shortest)
{
    *rows = *voxels = 0;
    for (int64_t r = 0; r < subject->run_count; r++) {
        vg_responses *responses;
        const char *path = subject->runs[r].path;
        VG_TRY(vg_responses_open(&path, 1, NULL, &responses));
        int64_t here = vg_responses_voxels(responses);
        int64_t kept = vg_responses_rows(responses) - study->alignment.trim[0] - study->alignment.trim[1];
        *rows += kept;
        *shortest = kept < *shortest ? kept : *shortest;
        vg_responses_close(responses);
        if (r > 0 && here != *voxels)
            return vg_fail(VG_INVALID, "%s: has %lld columns; the first run of subject %s has %lld", path, (long long)here, subject->name,
                           (long long)*voxels);
        *voxels = here;
    }
    return VG_OK;
}

/* Folds and plan of all rows as one run, about what every subject has. */
static vg_status make_plan(const vg_study *study, int64_t rows, vg_folds **folds, vg_ridge_plan *plan, int64_t *gap)
{
    *gap = study->ridge.gap;
    for (int64_t d = 0; study->ridge.gap < 0 && d < study->alignment.delay_count; d++)
        *gap = study->alignment.delays[d] > *gap ? study->alignment.delays[d] : *gap;
    const vg_folds_options options = {
        .run_rows = &rows, .runs = 1, .outer_folds = study->ridge.outer_folds, .inner_folds = study->ridge.inner_folds, .gap = *gap};
    VG_TRY(vg_folds_create(&options, folds));
    *plan = (vg_ridge_plan){.folds = *folds, .alphas = study->ridge.alphas, .alpha_count = study->ridge.alpha_count, .type = VG_F32};
    return VG_OK;
}

static vg_status check_fit(const vg_study *study, estimate *e, int64_t rows, int64_t voxels, int64_t most, int64_t shortest, FILE *out)
{
    vg_folds *folds = NULL;
    vg_ridge_plan plan;
    vg_ridge_cost cost;
    int64_t gap, *columns = NULL;
    vg_status status;
    VG_GO(make_plan(study, rows, &folds, &plan, &gap));
    VG_GO(VG_NEW(&columns, e->spaces, "spaces"));
    for (int64_t i = 0; i < e->spaces; i++)
        columns[i] = e->columns[i] * study->alignment.delay_count;
    VG_GO(vg_ridge_estimate(&plan, columns, e->spaces, &cost));
    fprintf(out, "folds: %lld outer, %lld inner, gap %lld rows\n", (long long)study->ridge.outer_folds, (long long)study->ridge.inner_folds,
            (long long)gap);
    fprintf(out, "fits: %lld voxels x %lld spaces, %.3g GFLOP and %.3g GFLOP of factorisations\n", (long long)voxels, (long long)e->spaces,
            cost.voxel_flops * (double)voxels / 1e9, cost.design_flops / 1e9);
    VG_GO(vg_cost_fit(&plan, columns, e->spaces, voxels, most, study->null.shifts, (double)vg_plan_memory(study, 1), &e->cost));
    fprintf(out, "memory a rank: fits %.0f MB\n", e->cost.fit_bytes / 1e6);
    status = vg_null_check(study, shortest, cost.voxel_flops * (double)voxels, out);
done:
    free(columns);
    vg_folds_free(folds);
    return status;
}

static vg_status check_responses(const vg_study *study, estimate *e, FILE *out)
{
    int64_t total = 0, most = 0, rows = 0, voxels = 0, shortest = INT64_MAX;
    for (int64_t i = 0; i < study->responses.subject_count; i++) {
        VG_TRY(check_subject(study, &study->responses.subjects[i], &rows, &voxels, &shortest));
        total += voxels;
        most = voxels > most ? voxels : most;
    }
    fprintf(out, "responses: %lld subjects, %lld voxels together, %lld rows each, TR %g s\n", (long long)study->responses.subject_count,
            (long long)total, (long long)rows, study->responses.tr);
    return check_fit(study, e, rows, total, most, shortest, out);
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
    int64_t memory = vg_plan_memory(study, 1);
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
    e->cost.feature_flops = e->flops;
    e->cost.engine_bytes = e->engine_bytes;
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
    int64_t rows = 0, voxels, shortest = INT64_MAX, gap;
    vg_folds *folds = NULL;
    vg_ridge_plan plan;
    VG_TRY(check_subject(study, &study->responses.subjects[0], &rows, &voxels, &shortest));
    vg_status status = make_plan(study, rows, &folds, &plan, &gap);
    if (status == VG_OK)
        status = vg_bench_fit(&plan, device, columns, rates);
    vg_folds_free(folds);
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
