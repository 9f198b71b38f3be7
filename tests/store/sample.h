/* A small file of every kind of dataset, whose every value is a function of its index: written by any number of ranks, in blocks. */
#ifndef VOXGRAD_TESTS_STORE_SAMPLE_H
#define VOXGRAD_TESTS_STORE_SAMPLE_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "voxgrad/store.h"

enum { WORDS = 1500, UNITS = 350, K = 10, VOXELS = 333, FOLDS = 5, BLOCKS = 16, COLUMNS_LARGE = 7000 };

typedef struct {
    vg_layout *layout;
    int64_t words, voxels, alpha, weights, empty;
    vg_store_space_datasets layers[2], gradient;
} sample;

#define MUST(call)                                                                       \
    do {                                                                                 \
        if ((call) != VG_OK) {                                                           \
            fprintf(stderr, "%s:%d: %s: %s\n", __FILE__, __LINE__, #call, vg_message()); \
            abort();                                                                     \
        }                                                                                \
    } while (0)

static inline float sample_value(int64_t i, int64_t j)
{
    return (float)((i * 7919 + j * 104729) % 100003) / 64.0f;
}

static inline void sample_large_columns(vg_layout *layout, const char *object)
{
    const char **names = calloc(COLUMNS_LARGE, sizeof *names);
    char(*texts)[48] = calloc(COLUMNS_LARGE, sizeof *texts);
    for (int i = 0; i < COLUMNS_LARGE; i++) {
        snprintf(texts[i], sizeof texts[i], "l%02d_h%02d_k%03d", i / 700, i / 70 % 10, i % 70);
        names[i] = texts[i];
    }
    MUST(vg_layout_texts(layout, object, "columns", names, COLUMNS_LARGE));
    free(names);
    free(texts);
}

static inline sample sample_new(void)
{
    static const char *const columns[K] = {"word-10", "word-9", "word-8", "word-7", "word-6",
                                           "word-5",  "word-4", "word-3", "word-2", "word-1"};
    const vg_store_member members[] = {{"hemisphere", VG_STORE_TEXT, 5},
                                       {"vertex", VG_STORE_I32, 0},
                                       {"region", VG_STORE_TEXT, 12},
                                       {"usable", VG_STORE_U8, 0},
                                       {"ceiling", VG_STORE_F64, 0}};
    const int64_t alpha[2] = {FOLDS, VOXELS}, weights[3] = {4, 3, VOXELS}, empty[2] = {0, 3};
    sample s = {0};
    MUST(vg_layout_new(&s.layout));
    MUST(vg_features_add_words(s.layout, "caf\xC3\xA9", WORDS, 16, &s.words));
    for (int l = 0; l < 2; l++) {
        vg_store_space space = {.story = "caf\xC3\xA9",
                                .model = "gpt-2.small",
                                .name = "conductance",
                                .layer = l == 0 ? "00" : "final",
                                .method = "layer_conductance",
                                .words = WORDS,
                                .columns = UNITS,
                                .sees_word = 0,
                                .path = true,
                                .tolerance = 0.01};
        MUST(vg_features_add_space(s.layout, &space, &s.layers[l]));
    }
    vg_store_space space = {.story = "caf\xC3\xA9",
                            .model = "gpt-2.small",
                            .name = "gradient_norm",
                            .method = "gradient_norm",
                            .words = WORDS,
                            .columns = K,
                            .column_names = columns,
                            .sees_word = 1};
    MUST(vg_features_add_space(s.layout, &space, &s.gradient));
    MUST(vg_layout_table(s.layout, "/subjects/s18/voxels", members, 5, VOXELS, &s.voxels));
    MUST(vg_layout_dataset(s.layout, "/subjects/s18/gpt2/gradient_norm/alpha", VG_STORE_F64, 0, 2, alpha, &s.alpha));
    MUST(vg_layout_text(s.layout, "/subjects/s18/gpt2/gradient_norm/alpha", "units", "1"));
    MUST(vg_layout_dataset(s.layout, "/subjects/s18/gpt2/gradient_norm/weights", VG_STORE_F32, 0, 3, weights, &s.weights));
    MUST(vg_layout_dataset(s.layout, "/subjects/s18/nothing", VG_STORE_F32, 0, 2, empty, &s.empty));
    MUST(vg_layout_text(s.layout, "/provenance", "version", "0.1.0"));
    MUST(vg_layout_text(s.layout, "/provenance", "config", ""));
    MUST(vg_layout_number(s.layout, "/provenance", "half", 0.5));
    MUST(vg_layout_integer(s.layout, "/provenance", "seed", INT64_MAX));
    sample_large_columns(s.layout, "/subjects/s18/gpt2/attention");
    return s;
}

static inline void sample_word(const sample *s, int64_t t, void *record)
{
    char text[16];
    snprintf(text, sizeof text, t % 2 == 0 ? "word%d" : "w\xC3\xB6rter%d", (int)t);
    MUST(vg_layout_put_text(s->layout, s->words, record, "text", text));
    MUST(vg_layout_put_number(s->layout, s->words, record, "onset", 0.25 * (double)t));
    MUST(vg_layout_put_number(s->layout, s->words, record, "offset", 0.25 * (double)t + 0.2));
}

static inline void sample_write_rows(vg_store *store, int64_t dataset, int64_t first, int64_t count, int64_t columns)
{
    float *rows = calloc((size_t)(count * columns), sizeof *rows);
    for (int64_t i = 0; i < count; i++)
        for (int64_t j = 0; j < columns; j++)
            rows[i * columns + j] = sample_value(first + i, j);
    MUST(vg_store_write(store, dataset, (int64_t[]){first, 0}, (int64_t[]){count, columns}, rows));
    free(rows);
}

/* Words of block b, row by row where that is worth a test. */
static inline void sample_write_words(const sample *s, vg_store *store, int64_t first, int64_t count)
{
    uint8_t *valid = malloc((size_t)(count * UNITS));
    char *records = calloc((size_t)count, vg_layout_element(s->layout, s->words));
    for (int64_t i = 0; i < count; i++)
        sample_word(s, first + i, records + (size_t)i * vg_layout_element(s->layout, s->words));
    MUST(vg_store_write(store, s->words, &first, &count, records));
    memset(valid, 1, (size_t)(count * UNITS));
    for (int l = 0; l < 2; l++) {
        sample_write_rows(store, s->layers[l].values, first, count, UNITS);
        MUST(vg_store_write(store, s->layers[l].valid, (int64_t[]){first, 0}, (int64_t[]){count, UNITS}, valid));
    }
    for (int64_t i = first; i < first + count; i++) { /* regions that go on downwards count once, interleaved or not */
        int32_t nodes = (int32_t)(16 << i % 5);
        float residual = 1.0f / (float)(i + 1);
        sample_write_rows(store, s->gradient.values, i, 1, K);
        MUST(vg_store_write(store, s->gradient.valid, (int64_t[]){i, 0}, (int64_t[]){1, K}, valid));
        MUST(vg_store_write(store, s->layers[0].nodes, &i, (int64_t[]){1}, &nodes));
        MUST(vg_store_write(store, s->layers[1].residual, &i, (int64_t[]){1}, &residual));
        MUST(vg_store_write(store, s->layers[0].error, &i, (int64_t[]){1}, &residual));
    }
    free(valid);
    free(records);
}

/* A tile of voxels: columns of what has voxels last. */
static inline void sample_write_voxels(const sample *s, vg_store *store, int64_t first, int64_t count)
{
    size_t element = vg_layout_element(s->layout, s->voxels);
    char *records = calloc((size_t)count, element), name[16];
    double *alpha = calloc((size_t)(FOLDS * count), sizeof *alpha);
    float *weights = calloc((size_t)(12 * count), sizeof *weights);
    for (int64_t v = 0; v < count; v++) {
        char *record = records + (size_t)v * element;
        snprintf(name, sizeof name, "r\xC3\xA9gion%d", (int)(first + v) % 50);
        MUST(vg_layout_put_text(s->layout, s->voxels, record, "hemisphere", (first + v) % 2 ? "right" : "left"));
        MUST(vg_layout_put_text(s->layout, s->voxels, record, "region", name));
        MUST(vg_layout_put_integer(s->layout, s->voxels, record, "vertex", first + v - 5));
        MUST(vg_layout_put_integer(s->layout, s->voxels, record, "usable", (first + v) % 3 == 0));
        MUST(vg_layout_put_number(s->layout, s->voxels, record, "ceiling", (double)(first + v) / 7.0));
        for (int k = 0; k < FOLDS; k++)
            alpha[k * count + v] = (double)(k * VOXELS + first + v);
        for (int i = 0; i < 12; i++)
            weights[i * count + v] = (float)(i * VOXELS + first + v);
    }
    MUST(vg_store_write(store, s->voxels, &first, &count, records));
    MUST(vg_store_write(store, s->alpha, (int64_t[]){0, first}, (int64_t[]){FOLDS, count}, alpha));
    MUST(vg_store_write(store, s->weights, (int64_t[]){0, 0, first}, (int64_t[]){4, 3, count}, weights));
    MUST(vg_store_write(store, s->empty, NULL, NULL, NULL));
    free(records);
    free(alpha);
    free(weights);
}

static inline void sample_block(const sample *s, vg_store *store, int64_t b)
{
    int64_t first = b * WORDS / BLOCKS, tile = b * VOXELS / BLOCKS;
    sample_write_words(s, store, first, (b + 1) * WORDS / BLOCKS - first);
    sample_write_voxels(s, store, tile, (b + 1) * VOXELS / BLOCKS - tile);
    MUST(vg_store_commit(store, b));
}

static inline vg_store_plan sample_plan(const char *name)
{
    return (vg_store_plan){.path = name, .plan = "version: 1\nblas_core: Haswell\nrows: 64\n", .blocks = BLOCKS, .regions = 13};
}

#endif
