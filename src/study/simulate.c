/* simulate: responses whose truth is known, planted region by region: a voxel is sqrt(r2) signal + sqrt(1 - r2) noise, both with mean 0 and
 * variance 1 over the run. signal: normal weights times the columns of a feature space, averaged over the words of a TR as for the fit and
 * smoothed by h(t) = (t / lag)^5 exp(5 (1 - t / lag)), t = 0, tr, ... 3 lag, divided by its sum, then z-scored. noise: AR(1).
 * All files made here say that they are simulated. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "run.h"

typedef struct {
    const vg_study *study;
    vg_store_file *features;
    vg_store_space *listed;
    int64_t listed_count, voxels;
} simulation;

static void standardize(double *x, int64_t n)
{
    double mean = 0, square = 0;
    for (int64_t t = 0; t < n; t++)
        mean += x[t] / (double)n;
    for (int64_t t = 0; t < n; t++)
        square += (x[t] - mean) * (x[t] - mean) / (double)n;
    for (int64_t t = 0; t < n; t++)
        x[t] = square > 0 ? (x[t] - mean) / sqrt(square) : 0.0;
}

/* "NAME" or "NAME/LL" of any model. */
static const vg_store_space *find_space(const simulation *sim, const char *story, const char *wanted)
{
    for (int64_t i = 0; i < sim->listed_count; i++) {
        const vg_store_space *space = &sim->listed[i];
        char full[600];
        snprintf(full, sizeof full, "%s%s%s", space->name, space->layer != NULL ? "/" : "", space->layer != NULL ? space->layer : "");
        if (strcmp(space->story, story) == 0 && strcmp(full, wanted) == 0)
            return space;
    }
    return NULL;
}

/* The space's smoothed, standardised columns (rows, columns); NULL for "none". */
static vg_status make_columns(const simulation *sim, const vg_study_region *region, const char *story, int64_t rows, double **columns,
                              int64_t *count)
{
    const double tr = sim->study->responses.tr, lag = sim->study->simulate.lag;
    *columns = NULL;
    *count = 0;
    if (strcmp(region->space, "none") == 0)
        return VG_OK;
    const vg_store_space *space = find_space(sim, story, region->space);
    if (space == NULL)
        return vg_fail(VG_INVALID, "simulate.regions.%s: space: the study makes no \"%s\"", region->name, region->space);
    int64_t taps = (int64_t)(3 * lag / tr) + 1, p = space->columns, words = 0;
    vg_matrix features = {.rows = space->words, .columns = p, .ld = p}, design = {.rows = rows, .columns = p * taps, .ld = p * taps};
    uint8_t *valid = NULL;
    int64_t *delays = NULL;
    double *onsets = NULL, *offsets = NULL, *column = NULL, total = 0;
    char **texts = NULL;
    vg_align_counts counts;
    vg_status status;
    VG_GO(VG_NEW(&features.data, space->words * p, "features"));
    VG_GO(VG_NEW(&valid, space->words * p, "features"));
    VG_GO(VG_NEW(&design.data, rows * p * taps, "a design"));
    VG_GO(VG_NEW(&delays, taps, "delays"));
    VG_GO(VG_NEW(columns, rows * p, "a design"));
    VG_GO(VG_NEW(&column, rows, "a design"));
    VG_GO(vg_features_read(sim->features, space, features.data, valid));
    VG_GO(vg_features_words(sim->features, story, &texts, &onsets, &offsets, &words));
    for (int64_t d = 0; d < taps; d++) {
        delays[d] = d;
        total += pow((double)d * tr / lag, 5) * exp(5 * (1 - (double)d * tr / lag));
    }
    vg_align_options options = {.tr = tr, .start = sim->study->responses.start, .rows = rows, .delays = delays, .delay_count = taps};
    VG_GO(vg_align(features, onsets, offsets, &options, design, &counts));
    for (int64_t j = 0; j < p; j++) {
        for (int64_t t = 0; t < rows; t++) {
            column[t] = 0;
            for (int64_t d = 0; d < taps; d++)
                column[t] += pow((double)d * tr / lag, 5) * exp(5 * (1 - (double)d * tr / lag)) / total *
                             (double)design.data[t * design.ld + d * p + j];
        }
        standardize(column, rows);
        for (int64_t t = 0; t < rows; t++)
            (*columns)[t * p + j] = column[t];
    }
    *count = p;
done:
    free(features.data);
    free(design.data);
    free(valid);
    free(delays);
    free(onsets);
    free(offsets);
    free(column);
    vg_store_names_free(texts, words);
    return status;
}

/* One voxel's time course into column v of y. */
static void make_voxel(const simulation *sim, const vg_study_region *region, const double *columns, int64_t p, int64_t rows, int64_t stream,
                       int64_t run_stream, double *signal, double *noise)
{
    uint64_t weights = 2 * (uint64_t)sim->study->simulate.seed, noises = weights + 1;
    double ar1 = sim->study->simulate.ar1;
    for (int64_t t = 0; t < rows; t++) {
        signal[t] = 0;
        for (int64_t j = 0; j < p; j++)
            signal[t] += columns[t * p + j] * vg_random_normal(weights, VG_RANDOM_SIMULATION, (uint64_t)(stream * p + j));
        noise[t] = vg_random_normal(noises, VG_RANDOM_SIMULATION, (uint64_t)(run_stream * rows + t)) + (t > 0 ? ar1 * noise[t - 1] : 0.0);
    }
    standardize(signal, rows);
    standardize(noise, rows);
    double r2 = p > 0 ? region->r2 : 0.0;
    for (int64_t t = 0; t < rows; t++)
        signal[t] = sqrt(r2) * signal[t] + sqrt(1 - r2) * noise[t];
}

static vg_status fill_run(const simulation *sim, int64_t subject, int64_t story, int64_t rows, float *y)
{
    const vg_study *study = sim->study;
    double *signal = NULL, *noise = NULL, *columns = NULL;
    int64_t v = 0, p;
    vg_status status;
    VG_GO(VG_NEW(&signal, rows, "a time course"));
    VG_GO(VG_NEW(&noise, rows, "a time course"));
    for (int64_t g = 0; g < study->simulate.region_count; g++) {
        const vg_study_region *region = &study->simulate.regions[g];
        free(columns);
        VG_GO(make_columns(sim, region, study->stories[story].name, rows, &columns, &p));
        for (int64_t i = 0; i < region->voxels; i++, v++) {
            int64_t stream = subject * sim->voxels + v;
            make_voxel(sim, region, columns, p, rows, stream, story * study->responses.subject_count * sim->voxels + stream, signal, noise);
            for (int64_t t = 0; t < rows; t++)
                y[t * sim->voxels + v] = (float)signal[t];
        }
    }
done:
    free(signal);
    free(noise);
    free(columns);
    return status;
}

/* FILE.h5:/dataset with the attribute that says what it is. */
static vg_status write_responses(const simulation *sim, const char *target, int64_t rows, const float *y)
{
    const char *colon = strstr(target, ".h5:");
    if (colon == NULL)
        return vg_fail(VG_INVALID, "%s: simulated responses are written as FILE.h5:/dataset; name them so under responses.subjects",
                       target);
    char *path = NULL;
    vg_comm *alone = NULL;
    vg_layout *layout = NULL;
    vg_store *store = NULL;
    int64_t shape[2] = {rows, sim->voxels}, dataset;
    vg_status status;
    VG_GO(vg_format(&path, "%.*s", (int)(colon - target + 3), target));
    VG_GO(vg_folder_make(path, true));
    VG_GO(vg_comm_alone(&alone));
    VG_GO(vg_layout_new(&layout));
    VG_GO(vg_layout_dataset(layout, colon + 4, VG_STORE_F32, 0, 2, shape, &dataset));
    VG_GO(vg_layout_text(layout, colon + 4, "simulated", "SIMULATED responses with a known truth (voxgrad simulate), not a brain"));
    VG_GO(vg_layout_text(layout, "/provenance", "simulated", "SIMULATED responses"));
    VG_GO(vg_layout_text(layout, "/provenance", "config", sim->study->text));
    vg_store_plan plan = {.path = path, .plan = "stage: simulate\n", .blocks = 1, .regions = 1, .overwrite = true};
    VG_GO(vg_store_create(alone, &plan, layout, &store));
    VG_GO(vg_store_write(store, dataset, NULL, NULL, y));
    VG_GO(vg_store_commit(store, 0));
    VG_GO(vg_store_finish(store));
    vg_log(VG_LOG_INFO, "simulated responses: %lld rows x %lld voxels: %s", (long long)rows, (long long)sim->voxels, target);
done:
    vg_store_free(store);
    vg_layout_free(layout);
    vg_comm_finish(alone);
    free(path);
    return status;
}

static vg_status write_labels(const simulation *sim)
{
    if (sim->study->atlas.columns_file == NULL)
        return VG_OK;
    VG_TRY(vg_folder_make(sim->study->atlas.columns_file, true));
    FILE *file = fopen(sim->study->atlas.columns_file, "w");
    if (file == NULL)
        return vg_fail(VG_INVALID, "%s: cannot be written", sim->study->atlas.columns_file);
    for (int64_t g = 0; g < sim->study->simulate.region_count; g++)
        for (int64_t i = 0; i < sim->study->simulate.regions[g].voxels; i++)
            fprintf(file, "%s\n", sim->study->simulate.regions[g].name);
    return fclose(file) == 0 ? VG_OK : vg_fail(VG_NO_SPACE, "%s: cannot be written: is the disk full?", sim->study->atlas.columns_file);
}

static vg_status simulate_run(const simulation *sim, int64_t subject, const vg_study_run *run)
{
    const vg_study *study = sim->study;
    double *onsets = NULL, *offsets = NULL;
    char **texts = NULL;
    int64_t words = 0;
    float *y = NULL;
    vg_status status;
    VG_GO(vg_features_words(sim->features, study->stories[run->story].name, &texts, &onsets, &offsets, &words));
    double length = offsets[words - 1] + study->simulate.tail - study->responses.start;
    int64_t rows = (int64_t)(length / study->responses.tr) + 1;
    if (!(length > 0) || rows > 10000000)
        VG_GO(vg_fail(VG_INVALID, "simulate: story %s would have %g s of rows", study->stories[run->story].name, length));
    VG_GO(VG_NEW(&y, rows * sim->voxels, "responses"));
    VG_GO(fill_run(sim, subject, run->story, rows, y));
    VG_GO(write_responses(sim, run->path, rows, y));
done:
    free(onsets);
    free(offsets);
    vg_store_names_free(texts, words);
    free(y);
    return status;
}

static vg_status simulate(const vg_study *study)
{
    simulation sim = {.study = study};
    char *path = NULL;
    vg_status status;
    VG_GO(vg_output_path(study, "features.h5", &path));
    VG_GO(vg_store_open(path, &sim.features));
    VG_GO(vg_features_list(sim.features, &sim.listed, &sim.listed_count));
    for (int64_t g = 0; g < study->simulate.region_count; g++)
        sim.voxels += study->simulate.regions[g].voxels;
    VG_GO(write_labels(&sim));
    for (int64_t i = 0; i < study->responses.subject_count; i++)
        for (int64_t r = 0; r < study->responses.subjects[i].run_count; r++)
            VG_GO(simulate_run(&sim, i, &study->responses.subjects[i].runs[r]));
done:
    if (sim.listed != NULL)
        vg_features_list_free(sim.listed, sim.listed_count);
    vg_store_close(sim.features);
    free(path);
    return status;
}

vg_status vg_study_simulate(vg_comm *comm, const vg_study *study)
{
    if (study->simulate.region_count == 0 || study->responses.subject_count == 0)
        return vg_fail(VG_INVALID, "%s: simulate: needs simulate.regions and responses.subjects (whose files it writes)", study->path);
    return vg_comm_agree(comm, vg_comm_rank(comm) == 0 ? simulate(study) : VG_OK);
}
