/* cost: what a study will take, in core-seconds and memory. Counted operations times rates; the rates are those of `voxgrad bench study
 * STUDY`, which runs a few blocks of the study's own work, or, where nothing was measured, those of one core of a server of 2021. */
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "run.h"

/* Of jobs/demo and jobs/alice.yaml, which are small (bench/results/scaling.md). */
static const vg_rates standard = {.features = 0.025, .designs = 0.038, .fits = 0.018, .shifts = 0.018};
static const double PROGRAM_BYTES = 12e6, LIBRARY_BYTES = 20e6; /* of a study of almost nothing, measured: a rank's own, and the node's */
enum { TILE = 4096 };                                           /* responses that a fit reads at once */
static const double LONG_ENOUGH = 2.0;                          /* s a measurement */

vg_status vg_rates_read(const char *path, vg_rates *rates)
{
    json_error_t fault;
    *rates = standard;
    if (path == NULL)
        return VG_OK;
    json_t *root = json_load_file(path, 0, &fault);
    if (root == NULL)
        return vg_fail(VG_INVALID, "%s:%d: %s; \"voxgrad bench study STUDY > FILE\" writes such a file", path, fault.line, fault.text);
    rates->features = json_number_value(json_object_get(root, "features"));
    rates->designs = json_number_value(json_object_get(root, "factorisations"));
    rates->fits = json_number_value(json_object_get(root, "fits"));
    rates->shifts = json_number_value(json_object_get(root, "shifts"));
    json_decref(root);
    if (!(rates->features >= 0) || !(rates->designs > 0) || !(rates->fits > 0) || !(rates->shifts > 0))
        return vg_fail(VG_INVALID,
                       "%s: has no features, factorisations, fits, shifts: core-seconds a GFLOP; \"voxgrad bench study STUDY\" writes them",
                       path);
    return VG_OK;
}

/* ---- prediction ------------------------------------------------------------------------------------------------------------------------
 */

/* Eigenvectors that the splits of `count` spaces keep: of each outer fold and draw (split.c), at most 128 MB a space. */
static double split_bytes(const vg_ridge_plan *plan, const vg_fit_shape *shape, int64_t count)
{
    double bytes = 0, rows = (double)plan->folds->rows;
    for (int64_t i = 0; shape->each > 1 && i < count; i++) {
        double side = fmin((double)shape->columns[i * shape->each + 1], rows);
        bytes += fmin(8 * side * side * (double)(plan->folds->outer_count * (shape->each - 1)), 128e6);
    }
    return bytes;
}

/* Of a fit of the first `count` spaces together: while it plans (whole tiles), and as it will be (a subject has fewer voxels than a tile).
 */
static vg_status chunk_bytes(const vg_ridge_plan *plan, const vg_fit_shape *shape, int64_t count, double *planned, double *bytes)
{
    vg_ridge_cost cost;
    VG_TRY(vg_ridge_estimate(plan, shape->columns, count * shape->each, &cost));
    int64_t widest = shape->shifts > 0 ? shape->voxels : shape->most;
    double share = fmin(1.0, (double)widest / (double)cost.tile), splits = split_bytes(plan, shape, count);
    *planned = cost.design_bytes + cost.build_bytes + cost.fit_bytes + splits;
    *bytes = cost.design_bytes + splits + fmax(cost.build_bytes, share * cost.fit_bytes);
    return VG_OK;
}

/* As many spaces at once as the plan will take; as fit.c, for one group of subjects. */
static vg_status choose_chunk(const vg_ridge_plan *plan, const vg_fit_shape *shape, double memory, double *bytes, double *least)
{
    int64_t chunk = shape->spaces;
    double planned;
    VG_TRY(chunk_bytes(plan, shape, 1, &planned, least));
    VG_TRY(chunk_bytes(plan, shape, chunk, &planned, bytes));
    while (chunk > 1 && planned > 0.5 * memory) {
        chunk = (chunk + 1) / 2;
        VG_TRY(chunk_bytes(plan, shape, chunk, &planned, bytes));
    }
    *least = fmin(*least, *bytes);
    return VG_OK;
}

/* What a shift fits: each space, or each draw of it with the nuisance. */
static vg_status shift_flops(const vg_ridge_plan *plan, const vg_fit_shape *shape, double *flops)
{
    vg_ridge_cost cost;
    int64_t *columns, count = 0;
    VG_TRY(VG_NEW(&columns, shape->spaces * shape->each, "spaces"));
    for (int64_t i = 0; i < shape->spaces * shape->each; i++)
        if (shape->each == 1 || i % shape->each > 0)
            columns[count++] = shape->columns[i];
    vg_status status = vg_ridge_estimate(plan, columns, count, &cost);
    free(columns);
    *flops = cost.voxel_flops * (double)shape->voxels * (double)shape->shifts;
    return status;
}

vg_status vg_cost_fit(const vg_ridge_plan *plan, const vg_fit_shape *shape, double memory, vg_cost *total)
{
    vg_ridge_cost cost;
    int64_t widest = shape->shifts > 0 ? shape->voxels : shape->most;
    double tile = (double)plan->folds->rows * (double)(widest < TILE ? widest : TILE) * 4 * 2, bytes, least;
    VG_TRY(vg_ridge_estimate(plan, shape->columns, shape->spaces * shape->each, &cost));
    total->design_flops = cost.design_flops;
    total->fit_flops = cost.voxel_flops * (double)shape->voxels;
    VG_TRY(shift_flops(plan, shape, &total->shift_flops));
    VG_TRY(choose_chunk(plan, shape, memory, &bytes, &least));
    total->fit_bytes = bytes + tile;
    total->least_bytes = least + tile;
    return VG_OK;
}

vg_status vg_cost_print(const vg_cost *cost, const vg_rates *rates, double memory, FILE *out)
{
    double features = 1e-9 * cost->feature_flops * rates->features, designs = 1e-9 * cost->design_flops * rates->designs;
    double fits = 1e-9 * (cost->fit_flops * rates->fits + cost->shift_flops * rates->shifts), total = features + designs + fits;
    double part = 1.0 / cost->node_ranks, base = PROGRAM_BYTES + part * LIBRARY_BYTES,
           features_bytes = cost->engine_bytes + part * cost->shared_bytes;
    double needed = base + fmax(features_bytes, cost->fit_bytes), least = base + fmax(features_bytes, cost->least_bytes);
    fprintf(out,
            "time: about %.0f core-seconds (features %.1f, factorisations %.1f a rank, fits %.1f), %.2g core-hours; GPU-hours: not yet "
            "measured\n",
            ceil(total), features, designs, fits, total / 3600);
    fprintf(out, "memory needed a rank: %.0f MB, of %.0f MB that may be taken\n", ceil(needed / 1e6), memory / 1e6);
    if (cost->node_ranks > 1)
        fprintf(out, "memory needed a node of %d ranks: %.0f MB; one copy of the weights, %.0f MB, is counted once\n", cost->node_ranks,
                ceil(needed / 1e6) * cost->node_ranks, cost->shared_bytes / 1e6);
    if (least > memory)
        return vg_fail(
            VG_NO_MEMORY,
            "memory: %.0f MB a rank are needed at least, and %.0f MB may be taken (memory:, --memory, the machine's or its control "
            "group's limit); give more, or take fewer columns or delays",
            ceil(least / 1e6), memory / 1e6);
    return VG_OK;
}

/* ---- measurement
 * ------------------------------------------------------------------------------------------------------------------------- */

/* Core-seconds on a CPU; seconds on a GPU. */
static double spent(const vg_device *device)
{
    struct timespec now;
    clock_gettime(device->host ? CLOCK_PROCESS_CPUTIME_ID : CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* Some blocks, from the middle of the story on, as many as take LONG_ENOUGH; one is run before, unmeasured. */
static vg_status measure_story(const vg_device *device, vg_attribution *attribution, double *flops, double *seconds)
{
    const vg_word_block *blocks;
    int64_t total = vg_attribution_blocks(attribution, &blocks), most = 0;
    vg_block_values to;
    vg_status status;
    for (int64_t b = 0; b < total; b++)
        most = blocks[b].count > most ? blocks[b].count : most;
    VG_GO(vg_block_values_create(attribution, most, &to));
    VG_GO(vg_attribution_run(attribution, 0, &to));
    double began = spent(device);
    for (int64_t i = 0; i < total && (i == 0 || spent(device) - began < LONG_ENOUGH); i++) {
        int64_t b = (total / 2 + i) % total;
        VG_GO(vg_attribution_run(attribution, b, &to));
        *flops += blocks[b].cost;
    }
    *seconds += spent(device) - began;
done:
    vg_block_values_free(attribution, &to);
    return status;
}

vg_status vg_bench_features(const vg_study *study, vg_device *device, double *rate, vg_bench_columns *columns)
{
    vg_stories stories = {0};
    const vg_align_options options = vg_align_of(study, 0);
    double flops = 0, seconds = 0;
    vg_status status = vg_stories_open(study, &stories);
    for (int64_t m = 0; status == VG_OK && vg_explains(study) && m < study->model_count; m++) {
        vg_explained explained = {0};
        const vg_output *outputs;
        status = vg_explained_open(study, &stories, device, m, vg_memory_of(study, 1), NULL, &explained);
        if (status == VG_OK)
            status = measure_story(device, explained.attributions[0], &flops, &seconds);
        int64_t count = status == VG_OK ? vg_attribution_outputs(explained.attributions[0], &outputs) : 0;
        for (int64_t o = 0; o < count && columns->count < VG_BENCH_SPACES; o++)
            columns->columns[columns->count++] = vg_align_columns(&options, outputs[o].columns);
        vg_explained_free(study, &explained);
    }
    vg_stories_free(study, &stories);
    *rate = flops > 0 ? seconds / flops * 1e9 : 0;
    return status;
}

/* falls: columns j of size sqrt(columns) / j^2. The time of a fit goes with the rank of the penalties' products, and that with how far the
 * directions of the features differ in size: delayed columns of a language model have a rank of 11 to 14 (jobs/demo), these 12 to 14,
 * columns of one size 9 to 11. */
static vg_status random_samples(int64_t rows, int64_t columns, bool falls, vg_samples *samples)
{
    float *data;
    int64_t total;
    VG_TRY(vg_multiply(rows, columns, "numbers of a measurement", &total));
    VG_TRY(VG_NEW(&data, total, "numbers of a measurement"));
    for (int64_t i = 0; i < total; i++)
        data[i] = (float)(vg_random_normal(0, VG_RANDOM_TEST, (uint64_t)i) *
                          (falls ? sqrt((double)columns) / pow((double)(i % columns + 1), 2) : 1.0));
    *samples = (vg_samples){VG_F32, data, rows, columns, columns};
    return VG_OK;
}

/* Fits of tiles of `voxels`, until it is long enough: the rate. all: with everything that is asked of the observed responses; else the
 * scores alone, as of a shift. */
static vg_status measure_fits(const vg_device *device, const vg_ridge_plan *plan, vg_ridge_design *const *designs, int64_t count,
                              int64_t voxels, bool all, double voxel_flops, double *rate)
{
    const int64_t outer = plan->folds->outer_count, each = (2 + 3 * outer) * voxels;
    vg_ridge_result results[VG_BENCH_SPACES] = {0};
    vg_samples responses = {0};
    double *scores = NULL, began = 0;
    int64_t times = -1; /* the first is not counted */
    vg_status status;
    VG_GO(random_samples(plan->folds->rows, voxels, false, &responses));
    VG_GO(VG_NEW(&scores, count * each, "scores"));
    for (int64_t i = 0; i < count; i++) {
        double *at = scores + i * each;
        results[i] = (vg_ridge_result){.score = at, .ld = voxels};
        if (all)
            results[i] = (vg_ridge_result){.score = at,
                                           .r2 = at + voxels,
                                           .alpha = at + 2 * voxels,
                                           .inner_score = at + (2 + outer) * voxels,
                                           .fold_score = at + (2 + 2 * outer) * voxels,
                                           .ld = voxels};
    }
    for (; times <= 0 || spent(device) - began < LONG_ENOUGH; times++) {
        VG_GO(vg_ridge_fit(designs, count, responses, NULL, results));
        began = times < 0 ? spent(device) : began;
    }
    *rate = (spent(device) - began) / (1e-9 * voxel_flops * (double)voxels * (double)times);
done:
    free((void *)responses.data);
    free(scores);
    return status;
}

vg_status vg_bench_fit(const vg_ridge_plan *plan, vg_device *device, const vg_bench_columns *columns, int64_t most, int64_t voxels,
                       vg_rates *rates)
{
    vg_ridge_design *designs[VG_BENCH_SPACES] = {NULL};
    vg_ridge_cost cost;
    double began = spent(device);
    int64_t made = 0, rows = plan->folds->rows;
    vg_status status = VG_OK;
    for (; made < columns->count && (made == 0 || spent(device) - began < LONG_ENOUGH); made++) {
        vg_samples features;
        VG_GO(random_samples(rows, columns->columns[made], true, &features));
        double since = spent(device);
        status = vg_ridge_design_create(device, plan, features, &designs[made]);
        rates->designs += spent(device) - since;
        free((void *)features.data);
        if (status != VG_OK)
            goto done;
    }
    VG_GO(vg_ridge_estimate(plan, columns->columns, made, &cost));
    rates->designs /= 1e-9 * cost.design_flops;
    VG_GO(measure_fits(device, plan, designs, made, most < cost.tile ? most : cost.tile, true, cost.voxel_flops, &rates->fits));
    VG_GO(measure_fits(device, plan, designs, made, voxels < cost.tile ? voxels : cost.tile, false, cost.voxel_flops, &rates->shifts));
done:
    for (int64_t i = 0; i < VG_BENCH_SPACES; i++)
        vg_ridge_design_free(designs[i]);
    return status;
}
