/* check: everything that can be known of a study before it is run: that it is whole, what it computes, what that takes. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "choices.h"

/* A space that features will make: its names, what its columns are worth, and how many words they tell apart (0: none). */
typedef struct {
    vg_store_space named;
    char *model, *name, *layer, *method;
    int64_t words;
} planned_space;

typedef struct {
    int64_t spaces, words, passes, feature_bytes;
    planned_space *planned;                                          /* (spaces) */
    int64_t nuisance;                                                /* columns of those that are nuisance */
    double flops, engine_bytes, held_bytes, shared_bytes, fit_bytes; /* held, shared: weights of a rank, of a node */
    const vg_rates *rates;
    vg_cost cost;
} estimate;

/* What the CUDA back end takes for itself: cuBLAS's workspace and the edges of allocations; of a fit, products of a voxel's basis
 * functions. */
enum { OWN = 48 << 20, GRAM = 32 * 32 * 8 };

static vg_status add_space(estimate *e, const vg_store_space *named, int64_t words)
{
    planned_space *grown = realloc(e->planned, (size_t)(e->spaces + 1) * sizeof *grown);
    if (grown == NULL)
        return vg_fail(VG_NO_MEMORY, "no memory for a list of %lld spaces", (long long)e->spaces + 1);
    e->planned = grown;
    planned_space *space = &grown[e->spaces++];
    *space = (planned_space){.named = {.columns = named->columns}, .words = words};
    VG_TRY(vg_format(&space->model, "%s", named->model));
    VG_TRY(vg_format(&space->name, "%s", named->name));
    VG_TRY(vg_format(&space->method, "%s", named->method));
    if (named->layer != NULL && *named->layer != '\0')
        VG_TRY(vg_format(&space->layer, "%s", named->layer));
    space->named.model = space->model;
    space->named.name = space->name;
    space->named.layer = space->layer;
    space->named.method = space->method;
    return VG_OK;
}

static void free_spaces(estimate *e)
{
    for (int64_t i = 0; i < e->spaces; i++) {
        free(e->planned[i].model);
        free(e->planned[i].name);
        free(e->planned[i].layer);
        free(e->planned[i].method);
    }
    free(e->planned);
}

/* How many words the columns of an output tell apart ("word -3"). */
static int64_t count_words(const vg_attribution *attribution, int64_t output, int64_t columns)
{
    int64_t most = 0;
    for (int64_t j = 0; j < columns; j++) {
        char name[64];
        int64_t back;
        vg_attribution_column(attribution, output, j, name, sizeof name);
        const char *at = strstr(name, "word -");
        if (at == NULL || !vg_parse_integer(at + 6, strlen(at + 6), &back))
            return 0;
        most = back > most ? back : most;
    }
    return most;
}

static bool is_nuisance(const vg_study *study, const vg_output *output)
{
    char name[300];
    snprintf(name, sizeof name, "%s/%s", output->name, output->layer);
    for (int64_t i = 0; i < study->nuisance.space_count; i++)
        if (strcmp(study->nuisance.spaces[i], *output->layer != '\0' ? name : output->name) == 0)
            return true;
    return false;
}

/* Ranks of a node that will hold one copy of the weights between them: not where each has a GPU. */
static int count_sharers(const vg_study *study)
{
    return study->how.node_ranks > 1 && strncmp(study->device, "cuda", 4) != 0 ? study->how.node_ranks : 1;
}

static vg_memory memory_of(const vg_study *study)
{
    vg_memory memory = vg_memory_of(study, study->how.node_ranks > 1 ? study->how.node_ranks : 1);
    memory.sharers = memory.sharers > count_sharers(study) ? count_sharers(study) : memory.sharers;
    return memory;
}

/* All of a study's models are there while features are made. */
static void add_weights(const vg_study *study, const vg_model *model, estimate *e)
{
    bool shared = count_sharers(study) > 1 && !vg_model_is_streamed(model);
    *(shared ? &e->shared_bytes : &e->held_bytes) += (double)vg_model_bytes(model);
}

static vg_status check_model(const vg_study *study, const vg_stories *stories, vg_device *device, int64_t m, vg_memory memory, estimate *e,
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
        add_weights(study, explained.model, e);
    }
    for (int64_t s = 0; status == VG_OK && s < study->story_count; s++) {
        const vg_attribution *attribution = explained.attributions[s];
        const vg_output *outputs;
        const vg_word_block *blocks;
        int64_t count = vg_attribution_outputs(attribution, &outputs);
        for (int64_t o = 0; s == 0 && status == VG_OK && o < count; o++) {
            const vg_store_space named = {.model = study->models[m].name,
                                          .name = outputs[o].name,
                                          .layer = outputs[o].layer,
                                          .method = outputs[o].method,
                                          .columns = outputs[o].columns};
            status = add_space(e, &named, count_words(attribution, o, outputs[o].columns));
            e->nuisance += is_nuisance(study, &outputs[o]) ? outputs[o].columns : 0;
        }
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

/* The runs of a subject as the fit sees them: rows after trimming, a story's repeats once; which are the test stories. */
typedef struct {
    int64_t *rows, *stories, *test, count, tests, total, voxels;
    bool lies; /* on the study's spheres */
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

/* One subject: its files can be read and have the same voxels, those of the spheres where there are any (NULL: none). */
static vg_status check_subject(const vg_study *study, const vg_study_subject *subject, const vg_spheres *spheres, subject_runs *runs,
                               int64_t *shortest)
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
        vg_status status = spheres != NULL && r == 0 ? vg_spheres_match(study, spheres, subject->name, responses, &runs->lies) : VG_OK;
        vg_responses_close(responses);
        VG_TRY(status);
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

/* The most that fits hold on a GPU, whose tiles are wider, but no wider than a subject; and, of one tile's place, what two numbers a voxel
 * take to be added over subjects: all parts, cut and brought together, and the sum (fit_group.c). */
static vg_status fit_on_gpu(const vg_study *study, vg_ridge_plan plan, const int64_t *columns, int64_t count, int64_t voxels, double *bytes)
{
    vg_ridge_cost cost;
    plan.gpu = true;
    VG_TRY(vg_ridge_estimate(&plan, columns, count, &cost));
    int64_t wide = vg_fit_tile_width(study, true, cost.tile, voxels), numbers = 2 * (3 * study->responses.subject_count + 1);
    plan.tile = cost.tile < voxels ? cost.tile : voxels;
    VG_TRY(vg_ridge_estimate(&plan, columns, count, &cost));
    *bytes = cost.design_bytes + cost.build_bytes + cost.fit_bytes + GRAM * (double)cost.tile +
             (double)numbers * (double)(wide < voxels ? wide : voxels) * sizeof(double);
    return VG_OK;
}

/* The columns of all designs, as a fit lists them (vg_fit_shape): `each` of a space, of which all but the first have the nuisance beside
 * them. Spaces that are cut for families of equal size come again, as wide while they are factored. A new list. */
static vg_status list_designs(const vg_study *study, const estimate *e, int64_t each, int64_t **columns, int64_t *spaces)
{
    const vg_align_options options = vg_align_of(study, 0);
    fit_job job = {.study = study, .space_count = e->spaces};
    VG_TRY(VG_NEW(&job.spaces, e->spaces, "spaces"));
    for (int64_t i = 0; i < e->spaces; i++)
        job.spaces[i].any = &e->planned[i].named;
    vg_status status = vg_families_cut(&job);
    if (status == VG_OK)
        status = VG_NEW(columns, job.space_count * each, "spaces");
    *spaces = job.space_count;
    for (int64_t i = 0; i < job.space_count; i++) {
        for (int64_t j = 0; status == VG_OK && j < each; j++)
            (*columns)[i * each + j] = vg_align_columns(&options, job.spaces[i].any->columns + (j > 0 ? e->nuisance : 0));
        vg_families_uncut(&job.spaces[i]);
    }
    free(job.spaces);
    return status;
}

/* The profile fits a space of K words again with the last few alone, and without each. It has no null. */
static vg_status add_profile(const vg_study *study, estimate *e, const vg_ridge_plan *plan, int64_t voxels, FILE *out)
{
    const vg_align_options options = vg_align_of(study, 0);
    double design = 0, fit = 0;
    int64_t fits = 0;
    for (int64_t i = 0; i < e->spaces; i++) {
        bool wanted = study->profile.all;
        for (int64_t j = 0; j < study->profile.space_count; j++)
            wanted |= vg_space_is(&e->planned[i].named, study->profile.spaces[j]);
        for (int64_t word = 0; wanted && e->planned[i].words > 1 && word <= e->planned[i].words + study->profile.word_count; word++) {
            int64_t columns = vg_align_columns(&options, e->planned[i].named.columns);
            vg_ridge_cost cost;
            VG_TRY(vg_ridge_estimate(plan, &columns, 1, &cost));
            design += cost.design_flops;
            fit += cost.voxel_flops * (double)voxels;
            fits++;
        }
    }
    if (fits > 0)
        fprintf(out, "profile: %lld fits of every voxel more, at most %.3g GFLOP\n", (long long)fits, (design + fit) / 1e9);
    e->cost.design_flops += design;
    e->cost.fit_flops += fit;
    return VG_OK;
}

/* Of all subjects together. */
static vg_status print_costs(const vg_study *study, estimate *e, const vg_folds *folds, const voxel_counts *voxels, FILE *out)
{
    const vg_ridge_plan plan = plan_of(study, folds);
    int64_t *columns = NULL, count;
    bool banded = study->nuisance.space_count + study->nuisance.file_count > 0 && strcmp(study->nuisance.mode, "band") == 0;
    int64_t each = banded ? 1 + study->nuisance.draws : 1;
    VG_TRY(list_designs(study, e, each, &columns, &count));
    const vg_fit_shape shape = {
        .columns = columns, .spaces = count, .each = each, .voxels = voxels->total, .most = voxels->most, .shifts = study->null.shifts};
    vg_status status = fit_on_gpu(study, plan, columns, count * each, voxels->most, &e->fit_bytes);
    if (status == VG_OK)
        status = vg_cost_fit(&plan, &shape, (double)memory_of(study).bytes, &e->cost);
    free(columns);
    VG_TRY(status);
    fprintf(out, "fits: %lld voxels x %lld spaces, %.3g GFLOP and %.3g GFLOP of factorisations\n", (long long)voxels->total,
            (long long)count, e->cost.fit_flops / 1e9, e->cost.design_flops / 1e9);
    if (banded)
        fprintf(out, "nuisance: %lld columns beside each space, in %lld draws of penalties%s\n", (long long)e->nuisance,
                (long long)study->nuisance.draws, study->nuisance.file_count > 0 ? "; columns of files are not counted" : "");
    VG_TRY(add_profile(study, e, &plan, voxels->total, out));
    fprintf(out, "memory a rank: fits %.0f MB\n", e->cost.fit_bytes / 1e6);
    return vg_null_check(study, voxels->shortest, voxels->most,
                         study->null.shifts > 0 ? e->cost.shift_flops / (double)study->null.shifts : 0, out);
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
    vg_spheres spheres;
    int64_t lying = 0;
    vg_status status = vg_spheres_open(study, &spheres);
    for (int64_t i = 0; status == VG_OK && i < study->responses.subject_count; i++) {
        subject_runs runs;
        status = check_subject(study, &study->responses.subjects[i], &spheres, &runs, &voxels.shortest);
        lying += runs.lies;
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
    if (status == VG_OK)
        vg_spins_check(study, lying, out);
    vg_spheres_free(&spheres);
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
        const vg_store_space named = {.model = "files", .name = study->features[at->feature].name, .method = "", .columns = columns};
        VG_GO(add_space(e, &named, 0));
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
    vg_memory memory = memory_of(study);
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
    fprintf(out, "memory a rank: features %.0f MB beside the model; %.1f GB may be taken\n", e->engine_bytes / 1e6,
            (double)memory.bytes / 1e9);
    fprintf(out, "files: %s/features.h5, %.1f MB; results.h5; run.json\n", study->output, (double)e->feature_bytes / 1e6);
    if (study->responses.subject_count > 0)
        VG_TRY(check_responses(study, e, out));
    double features = e->held_bytes + e->engine_bytes, device_features = features + e->shared_bytes,
           peak = (device_features > e->fit_bytes ? device_features : e->fit_bytes) + OWN;
    fprintf(out, "peak device memory: at most %.0f bytes (%.2f GB) a rank that drives a GPU\n", peak, peak / 1e9);
    e->cost.feature_flops = e->flops;
    e->cost.engine_bytes = features;
    e->cost.shared_bytes = e->shared_bytes;
    e->cost.node_ranks = study->how.node_ranks > 1 ? study->how.node_ranks : 1;
    VG_TRY(vg_cost_print(&e->cost, e->rates, (double)memory.bytes, out));
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
    free_spaces(&e);
    vg_device_close(device);
    return status;
}

/* Random responses of as many rows as the first subject's. */
static vg_status bench_fit(const vg_study *study, vg_device *device, const vg_bench_columns *columns, vg_rates *rates)
{
    int64_t shortest = INT64_MAX;
    subject_runs runs;
    vg_folds *folds = NULL;
    vg_status status = check_subject(study, &study->responses.subjects[0], NULL, &runs, &shortest);
    if (status == VG_OK)
        status = make_folds(study, &runs, &folds);
    if (status == VG_OK) {
        const vg_ridge_plan plan = plan_of(study, folds);
        status = vg_bench_fit(&plan, device, columns, runs.voxels, runs.voxels * study->responses.subject_count, rates);
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
                "{\"device\": \"%s\", \"unit\": \"core-seconds a GFLOP\", \"features\": %.5g, \"factorisations\": %.5g, \"fits\": %.5g, "
                "\"shifts\": %.5g}\n",
                device->name, rates.features, rates.designs, rates.fits, rates.shifts);
    vg_device_close(device);
    return status;
}
