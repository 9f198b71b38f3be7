/* bed: what the tests of attribution stand on: stories260K (VG_DATA), a story of the model's own words, and entries run over all of it. */
#ifndef VOXGRAD_TESTS_ATTRIBUTION_BED_H
#define VOXGRAD_TESTS_ATTRIBUTION_BED_H

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "device.h"
#include "npy.h"
#include "voxgrad/attribution.h"

typedef struct {
    vg_device *device;
    vg_model *model;
    vg_passage passage;
    npy rows, longs; /* words of the goldens */
} bed;

/* What all blocks together gave. */
typedef struct {
    int64_t count, words;
    vg_output *outputs;
    float **values, **residual, **error;
    uint8_t **valid;
    int32_t **nodes;
    char first_column[64];
    int64_t unconverged;
    double flops;
} result;

typedef struct {
    vg_passage passage;
} passage_copy;

static inline void must(vg_status status)
{
    if (status != VG_OK)
        fail_msg("%s", vg_message());
}

static inline npy golden(const char *what)
{
    char name[128];
    snprintf(name, sizeof name, "attribution/%s.npy", what);
    return npy_read(name);
}

/* How many of the goldens' words are looked at: all, or VG_GOLDEN_WORDS of them where a device is slow (tests/emu/test_attribution.sh). */
static inline int64_t few(int64_t count)
{
    const char *most = getenv("VG_GOLDEN_WORDS");
    return most != NULL && atoll(most) > 0 && atoll(most) < count ? atoll(most) : count;
}

static inline vg_context usual_context(void)
{
    return (vg_context){.words = 40, .target = VG_TARGET_LOG_PROB, .bos = true};
}

static inline void free_result(result *r)
{
    for (int64_t o = 0; o < r->count; o++) {
        free(r->values[o]);
        free(r->residual[o]);
        free(r->error[o]);
        free(r->valid[o]);
        free(r->nodes[o]);
    }
    free(r->outputs);
    free(r->values);
    free(r->residual);
    free(r->error);
    free(r->valid);
    free(r->nodes);
    *r = (result){0};
}

static inline void take_result(const vg_attribution *a, int64_t words, result *r)
{
    const vg_output *outputs;
    *r = (result){.count = vg_attribution_outputs(a, &outputs), .words = words};
    must(VG_NEW(&r->outputs, r->count, "test"));
    memcpy(r->outputs, outputs, (size_t)r->count * sizeof *outputs);
    must(VG_NEW(&r->values, r->count, "test"));
    must(VG_NEW(&r->residual, r->count, "test"));
    must(VG_NEW(&r->error, r->count, "test"));
    must(VG_NEW(&r->valid, r->count, "test"));
    must(VG_NEW(&r->nodes, r->count, "test"));
    for (int64_t o = 0; o < r->count; o++) {
        must(VG_NEW(&r->values[o], words * outputs[o].columns, "test"));
        must(VG_NEW(&r->valid[o], words * outputs[o].columns, "test"));
        must(VG_NEW(&r->residual[o], words, "test"));
        must(VG_NEW(&r->error[o], words, "test"));
        must(VG_NEW(&r->nodes[o], words, "test"));
    }
}

static inline void run_block(vg_attribution *a, int64_t i, const vg_word_block *block, const result *r)
{
    float *values[64], *residual[64], *error[64];
    uint8_t *valid[64];
    int32_t *nodes[64];
    assert_true(r->count <= 64);
    for (int64_t o = 0; o < r->count; o++) {
        values[o] = r->values[o] + block->first * r->outputs[o].columns;
        valid[o] = r->valid[o] + block->first * r->outputs[o].columns;
        residual[o] = r->residual[o] + block->first;
        error[o] = r->error[o] + block->first;
        nodes[o] = r->nodes[o] + block->first;
    }
    must(vg_attribution_run(a, i, &(vg_block_values){values, valid, nodes, residual, error}));
}

static inline bool holds_word(const vg_word_block *block, const double *words, int64_t count)
{
    for (int64_t i = 0; i < count; i++)
        if ((int64_t)words[i] >= block->first && (int64_t)words[i] < block->first + block->count)
            return true;
    return words == NULL;
}

/* The blocks that hold some of `words` (NULL: all blocks); the other words stay 0. */
static inline result explain_blocks(const bed *b, const vg_passage *passage, const vg_context *context, const vg_space_request *requests,
                                    int64_t count, int64_t batch, const double *words, int64_t word_count)
{
    vg_attribution *a;
    const vg_word_block *blocks;
    result r;
    must(vg_attribution_create(b->model, passage, context, requests, count, &(vg_attribution_plan){.batch_tokens = batch}, &a));
    take_result(a, passage->words, &r);
    vg_attribution_column(a, 0, 0, r.first_column, sizeof r.first_column);
    int64_t blocks_count = vg_attribution_blocks(a, &blocks);
    for (int64_t i = 0; i < blocks_count; i++)
        if (holds_word(&blocks[i], words, word_count))
            run_block(a, i, &blocks[i], &r);
    r.unconverged = vg_attribution_unconverged(a);
    r.flops = vg_attribution_flops(a);
    vg_attribution_free(a);
    return r;
}

static inline result explain_passage(const bed *b, const vg_passage *passage, const vg_context *context, const vg_space_request *requests,
                                     int64_t count, int64_t batch)
{
    return explain_blocks(b, passage, context, requests, count, batch, NULL, 0);
}

static inline result explain(const bed *b, const vg_context *context, const vg_space_request *requests, int64_t count, int64_t batch)
{
    int64_t words = few(b->rows.count);
    return words == b->rows.count ? explain_passage(b, &b->passage, context, requests, count, batch)
                                  : explain_blocks(b, &b->passage, context, requests, count, 128, b->rows.data, words);
}

/* Path integrals of a few words, in blocks of two or so: what a word gets does not depend on its block. */
static inline result explain_words(const bed *b, const vg_context *context, const vg_space_request *request, const double *words,
                                   int64_t count)
{
    return explain_blocks(b, &b->passage, context, request, 1, 128, words, count);
}

/* Largest difference relative to the row's largest value. NaN wanted: not valid, and 0. */
static inline void compare_row(const float *found, const double *wanted, int64_t columns, double bound, const char *what)
{
    double largest = 1e-30;
    for (int64_t c = 0; c < columns; c++)
        largest = isnan(wanted[c]) ? largest : fmax(largest, fabs(wanted[c]));
    for (int64_t c = 0; c < columns; c++) {
        double right = isnan(wanted[c]) ? 0 : wanted[c];
        if (!(fabs((double)found[c] - right) <= bound * largest))
            fail_msg("%s: column %lld: %.8g, wanted %.8g (largest of the row %.4g)", what, (long long)c, (double)found[c], wanted[c],
                     largest);
    }
}

static inline void compare_some(const bed *b, const result *r, int64_t output, const double *wanted, int64_t columns, int64_t rows,
                                double bound, const char *what)
{
    assert_int_equal(r->outputs[output].columns, columns);
    for (int64_t i = 0; i < few(rows); i++) {
        char text[128];
        int64_t word = (int64_t)b->rows.data[i];
        snprintf(text, sizeof text, "%s, word %lld", what, (long long)word);
        compare_row(r->values[output] + word * columns, wanted + i * columns, columns, bound, text);
    }
}

static inline void compare_rows(const bed *b, const result *r, int64_t output, const double *wanted, int64_t columns, double bound,
                                const char *what)
{
    compare_some(b, r, output, wanted, columns, b->rows.count, bound, what);
}

/* Another story: without one of the words (-1: with all), or its first ones alone. */
static inline passage_copy without_word(const vg_passage *from, int64_t gone)
{
    passage_copy copy = {.passage = {.words = from->words - (gone >= 0)}};
    must(VG_NEW(&copy.passage.ids, from->tokens, "test"));
    must(VG_NEW(&copy.passage.first, from->words + 1, "test"));
    for (int64_t w = 0, to = 0; w < from->words; w++) {
        if (w == gone)
            continue;
        for (int64_t t = from->first[w]; t < from->first[w + 1]; t++)
            copy.passage.ids[copy.passage.tokens++] = from->ids[t];
        copy.passage.first[++to] = copy.passage.tokens;
    }
    return copy;
}

static inline passage_copy first_words(const vg_passage *from, int64_t words)
{
    passage_copy copy = without_word(from, -1);
    copy.passage.words = words;
    copy.passage.tokens = from->first[words];
    return copy;
}

static inline void free_copy(passage_copy *copy)
{
    vg_passage_free(&copy->passage);
}

static inline void open_bed(const char *folder, bed *b)
{
    npy ids = golden("ids"), first = golden("first");
    b->rows = golden("rows");
    b->longs = golden("long");
    must(vg_device_open(test_device_spec(), 0, 1, &b->device));
    must(vg_model_open(b->device, folder, NULL, &b->model));
    b->passage = (vg_passage){.words = first.count - 1, .tokens = ids.count};
    must(VG_NEW(&b->passage.ids, ids.count, "test"));
    must(VG_NEW(&b->passage.first, first.count, "test"));
    for (int64_t i = 0; i < ids.count; i++)
        b->passage.ids[i] = (int32_t)ids.data[i];
    for (int64_t i = 0; i < first.count; i++)
        b->passage.first[i] = (int64_t)first.data[i];
    free(ids.data);
    free(first.data);
}

static bed the_bed;

static inline int give_bed(void **state)
{
    *state = &the_bed;
    return 0;
}

/* Skips (77) without the model. */
static inline int run_with_bed(const char *name, const struct CMUnitTest *tests, size_t count)
{
    char folder[4096], file[4200];
    struct CMUnitTest own[64];
    snprintf(folder, sizeof folder, "%s/stories260K", getenv("VG_DATA") != NULL ? getenv("VG_DATA") : "");
    snprintf(file, sizeof file, "%s/model.safetensors", folder);
    if (access(file, R_OK) != 0) {
        printf("skipped: %s is not there\n", file);
        return 77;
    }
    open_bed(folder, &the_bed);
    for (size_t i = 0; i < count; i++) {
        own[i] = tests[i];
        own[i].setup_func = give_bed;
    }
    int failed = _cmocka_run_group_tests(name, own, count, NULL, NULL);
    vg_passage_free(&the_bed.passage);
    vg_model_close(the_bed.model);
    vg_device_close(the_bed.device);
    free(the_bed.rows.data);
    free(the_bed.longs.data);
    return failed;
}

#endif
