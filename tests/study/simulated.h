/* simulated: a whole study made of numbers, for tests of its statistics: a story of one word a second, features in .npy files, and
 * listeners' responses; run in this process, on one rank. SIMULATED, all of it. */
#ifndef VOXGRAD_TESTS_STUDY_SIMULATED_H
#define VOXGRAD_TESTS_STUDY_SIMULATED_H

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "voxgrad/store.h"
#include "voxgrad/study.h"

typedef struct {
    char folder[64], path[128];
    int64_t rows;
} simulated;

static inline void simulated_begin(simulated *s, int64_t rows)
{
    *s = (simulated){.folder = "/tmp/vg_simulated_XXXXXX", .rows = rows};
    assert_non_null(mkdtemp(s->folder));
    snprintf(s->path, sizeof s->path, "%s/story.tsv", s->folder);
    FILE *file = fopen(s->path, "w");
    assert_non_null(file);
    fprintf(file, "onset\toffset\tword\n");
    for (int64_t t = 0; t < rows; t++)
        fprintf(file, "%g\t%g\tw%lld\n", (double)t + 0.25, (double)t + 0.75, (long long)t);
    fclose(file);
}

/* values (rows, columns) as NAME.npy in the folder. */
static inline void simulated_write(simulated *s, const char *name, const float *values, int64_t columns)
{
    char header[128];
    int length = snprintf(header, sizeof header, "{'descr': '<f4', 'fortran_order': False, 'shape': (%lld, %lld), }", (long long)s->rows,
                          (long long)columns);
    while ((10 + length + 1) % 64 != 0)
        header[length++] = ' ';
    header[length++] = '\n';
    snprintf(s->path, sizeof s->path, "%s/%s.npy", s->folder, name);
    FILE *file = fopen(s->path, "wb");
    assert_non_null(file);
    const unsigned char magic[10] = {0x93, 'N', 'U', 'M', 'P', 'Y', 1, 0, (unsigned char)(length % 256), (unsigned char)(length / 256)};
    fwrite(magic, 1, sizeof magic, file);
    fwrite(header, 1, (size_t)length, file);
    assert_int_equal(fwrite(values, sizeof *values, (size_t)(s->rows * columns), file), s->rows * columns);
    fclose(file);
}

/* layers.h5 in the folder: a features.h5 with spaces of so many layers of one column each, x (spaces, layers) -> (rows), and nothing else.
 */
static inline void simulated_write_layers(simulated *s, int spaces, const char *const *names, int layers, float *const *x)
{
    vg_layout *layout;
    vg_store *store;
    vg_comm *comm;
    int64_t words;
    vg_store_space_datasets *datasets = calloc((size_t)(spaces * layers), sizeof *datasets);
    assert_int_equal(vg_layout_new(&layout), VG_OK);
    assert_int_equal(vg_features_add_words(layout, "story", s->rows, 8, &words), VG_OK);
    for (int i = 0; i < spaces * layers; i++) {
        char layer[16];
        snprintf(layer, sizeof layer, "%02d", i % layers);
        const vg_store_space space = {.story = "story",
                                      .model = "made",
                                      .name = names[i / layers],
                                      .layer = layer,
                                      .method = "activations",
                                      .words = s->rows,
                                      .columns = 1,
                                      .sees_word = 0};
        assert_int_equal(vg_features_add_space(layout, &space, &datasets[i]), VG_OK);
    }
    snprintf(s->path, sizeof s->path, "%s/layers.h5", s->folder);
    assert_int_equal(vg_comm_alone(&comm), VG_OK);
    vg_store_plan plan = {.path = s->path, .plan = "stage: test\n", .blocks = 1, .regions = 64, .overwrite = true};
    assert_int_equal(vg_store_create(comm, &plan, layout, &store), VG_OK);
    size_t element = vg_layout_element(layout, words);
    char *records = calloc((size_t)s->rows, element);
    uint8_t *valid = malloc((size_t)s->rows);
    memset(valid, 1, (size_t)s->rows);
    for (int64_t t = 0; t < s->rows; t++) {
        assert_int_equal(vg_layout_put_text(layout, words, records + (size_t)t * element, "text", "w"), VG_OK);
        assert_int_equal(vg_layout_put_number(layout, words, records + (size_t)t * element, "onset", (double)t + 0.25), VG_OK);
        assert_int_equal(vg_layout_put_number(layout, words, records + (size_t)t * element, "offset", (double)t + 0.75), VG_OK);
    }
    assert_int_equal(vg_store_write(store, words, NULL, NULL, records), VG_OK);
    for (int i = 0; i < spaces * layers; i++) {
        assert_int_equal(vg_store_write(store, datasets[i].values, NULL, NULL, x[i]), VG_OK);
        assert_int_equal(vg_store_write(store, datasets[i].valid, NULL, NULL, valid), VG_OK);
    }
    assert_int_equal(vg_store_commit(store, 0), VG_OK);
    assert_int_equal(vg_store_finish(store), VG_OK);
    vg_store_free(store);
    vg_layout_free(layout);
    vg_comm_finish(comm);
    free(datasets);
    free(records);
    free(valid);
}

/* Column v of x (rows, columns): x_t = a x_(t-1) + a normal number, from its stationary distribution, times `scale`, added to what is
 * there. */
static inline void add_ar1(float *x, int64_t rows, int64_t columns, int64_t v, double a, double scale, uint64_t seed)
{
    double before = vg_random_normal(seed, VG_RANDOM_TEST, (uint64_t)(v * rows)) / sqrt(1 - a * a);
    for (int64_t t = 0; t < rows; t++) {
        x[t * columns + v] += (float)(scale * before);
        before = a * before + vg_random_normal(seed, VG_RANDOM_TEST, (uint64_t)(v * rows + t + 1));
    }
}

static inline float *ar1_columns(int64_t rows, int64_t columns, double a, uint64_t seed)
{
    float *x = calloc((size_t)(rows * columns), sizeof *x);
    assert_non_null(x);
    for (int64_t v = 0; v < columns; v++)
        add_ar1(x, rows, columns, v, a, 1, seed);
    return x;
}

/* Runs the study whose parts beyond stories and output are `text` (features, responses, keys). features: NULL, or a features.h5 of the
 * folder that is there already. */
static inline vg_status simulated_try(simulated *s, const char *stories, const char *text, const char *features)
{
    vg_study *study = NULL;
    vg_comm *comm;
    snprintf(s->path, sizeof s->path, "%s/study.yaml", s->folder);
    FILE *file = fopen(s->path, "w");
    assert_non_null(file);
    fprintf(file, "study: simulated\noutput: out\ndevice: cpu\nthreads: 1\nstories: %s\n%s", stories, text);
    fclose(file);
    vg_log_configure(VG_LOG_WARNING, 0, 1);
    vg_status status = vg_study_open(s->path, &study);
    if (status != VG_OK)
        return status;
    free(study->output);
    assert_int_equal(vg_format(&study->output, "%s/out", s->folder), VG_OK);
    assert_int_equal(vg_comm_alone(&comm), VG_OK);
    snprintf(s->path, sizeof s->path, "%s/%s", s->folder, features != NULL ? features : "out/features.h5");
    if (features == NULL)
        status = vg_study_make_features(comm, study);
    if (status == VG_OK)
        status = vg_study_fit(comm, study, s->path);
    vg_comm_finish(comm);
    vg_study_free(study);
    return status;
}

/* The study's results.h5. */
static inline vg_store_file *simulated_results(simulated *s, const char *stories, const char *text, const char *features)
{
    vg_store_file *results;
    vg_status status = simulated_try(s, stories, text, features);
    if (status != VG_OK)
        print_message("%s\n", vg_message());
    assert_int_equal(status, VG_OK);
    snprintf(s->path, sizeof s->path, "%s/out/results.h5", s->folder);
    assert_int_equal(vg_store_open(s->path, &results), VG_OK);
    return results;
}

static inline vg_store_file *simulated_run_stories(simulated *s, const char *stories, const char *text)
{
    return simulated_results(s, stories, text, NULL);
}

#define SIMULATED_STORY "[{name: story, words: story.tsv}]"

static inline vg_store_file *simulated_fit(simulated *s, const char *text, const char *features)
{
    return simulated_results(s, SIMULATED_STORY, text, features);
}

static inline vg_store_file *simulated_run(simulated *s, const char *text)
{
    return simulated_fit(s, text, NULL);
}

static inline void simulated_end(simulated *s)
{
    char command[128];
    snprintf(command, sizeof command, "rm -rf '%s'", s->folder);
    assert_int_equal(system(command), 0);
}

/* A whole dataset, or a table's member, of `count` numbers, to be given to free(). */
static inline double *read_all(const vg_store_file *file, const char *path, const char *member, int64_t count)
{
    double *values = malloc((size_t)count * sizeof *values);
    assert_non_null(values);
    vg_status status = vg_store_read(file, path, member, VG_STORE_F64, NULL, NULL, values);
    if (status != VG_OK)
        print_message("%s\n", vg_message());
    assert_int_equal(status, VG_OK);
    return values;
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* p (n), uniform under the null and independent: 5 % below .05 within the binomial band (2.6 standard deviations), Kolmogorov and Smirnov
 * at 1 %. Voxels of one study are independent where their responses are: given the features, each is tested on its own. */
static inline void check_uniform(const char *what, double *p, int64_t n)
{
    int64_t low = 0;
    double most = 0, expected = 0.05 * (double)n, band = 2.576 * sqrt(0.95 * expected), furthest = 1.63 / sqrt((double)n);
    for (int64_t i = 0; i < n; i++)
        low += p[i] <= 0.05 + 1e-6;
    qsort(p, (size_t)n, sizeof *p, ascending);
    for (int64_t i = 0; i < n; i++)
        if (i + 1 == n || p[i + 1] > p[i])
            most = fmax(most, fabs((double)(i + 1) / (double)n - p[i]));
    print_message("%s: %d of %d below .05 (%.0f +- %.0f), largest distance from uniform %.3f (%.3f)\n", what, (int)low, (int)n, expected,
                  band, most, furthest);
    assert_true(fabs((double)low - expected) <= band);
    assert_true(most <= furthest);
}

#endif
