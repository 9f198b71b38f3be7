/* Protects: every feature space against torch in float64 on a real model (stories260K): targets, contexts, gradients, erasure, attention,
 * activations of the word, surprisal and entropy; and that no value depends on what else is asked for. Goldens:
 * make_attribution_goldens.py. */
#include "bed.h"

static void test_targets(void **state)
{
    static const vg_target_kind kinds[] = {VG_TARGET_LOG_PROB, VG_TARGET_LOGIT,   VG_TARGET_PROB, VG_TARGET_SURPRISAL,
                                           VG_TARGET_CONTRAST, VG_TARGET_ENTROPY, VG_TARGET_KL};
    const bed *b = *state;
    npy wanted = golden("targets");
    for (int i = 0; i < 7; i++) {
        vg_context context = usual_context();
        context.target = kinds[i];
        result r = explain(b, &context, &(vg_space_request){.method = "gradient_norm", .words = 10}, 1, 4096);
        compare_rows(b, &r, 0, wanted.data + i * b->rows.count * 10, 10, 2e-4, "targets");
        free_result(&r);
    }
    free(wanted.data);
}

static void test_argmax_and_whole_word(void **state)
{
    const bed *b = *state;
    npy argmax = golden("argmax"), whole = golden("whole_word"), product = golden("x_input");
    vg_context context = usual_context();
    const vg_space_request both[] = {{.method = "gradient_norm", .words = 10}, {.method = "gradient_x_input", .words = 10}};
    context.argmax = true;
    result r = explain(b, &context, both, 1, 4096);
    compare_rows(b, &r, 0, argmax.data, 10, 2e-4, "argmax");
    assert_false(r.outputs[0].sees_word);
    free_result(&r);
    context = usual_context();
    context.whole_word = true;
    r = explain(b, &context, both, 2, 4096);
    compare_rows(b, &r, 0, whole.data, 10, 2e-4, "whole word");
    compare_rows(b, &r, 1, product.data, 10, 2e-4, "whole word, gradient x input");
    assert_true(r.outputs[0].sees_word);
    free_result(&r);
    free(argmax.data);
    free(whole.data);
    free(product.data);
}

static void test_contexts(void **state)
{
    const bed *b = *state;
    npy wanted = golden("contexts");
    for (int i = 0; i < 3; i++) {
        vg_context context = usual_context();
        context.mode = i == 0 ? VG_CONTEXT_ANCHORED : i == 1 ? VG_CONTEXT_GROWING : VG_CONTEXT_SLIDING;
        context.tokens = i == 2 ? 30 : 0;
        for (int64_t batch = 600; batch <= 4096; batch *= 4) { /* where blocks end does not matter but for rounding */
            result r = explain(b, &context, &(vg_space_request){.method = "gradient_norm", .words = 10}, 1, batch);
            compare_rows(b, &r, 0, wanted.data + i * b->rows.count * 10, 10, 2e-4, "contexts");
            free_result(&r);
        }
    }
    free(wanted.data);
}

/* What has no columns of words does not mind that its K is more than a short window has. */
static void test_short_context(void **state)
{
    const bed *b = *state;
    vg_context context = usual_context();
    context.words = 4;
    result usual = explain(b, &context, &(vg_space_request){.method = "activations", .words = 10}, 1, 4096);
    result within = explain(b, &context, &(vg_space_request){.method = "activations", .words = 4}, 1, 4096);
    for (int64_t o = 0; o < usual.count; o++)
        assert_memory_equal(usual.values[o], within.values[o], (size_t)(usual.words * usual.outputs[o].columns) * sizeof(float));
    free_result(&usual);
    free_result(&within);
}

static void test_erasure(void **state)
{
    static const char *const kinds[] = {"delete", "zero", "replace", "mask", "value_zeroing"};
    const bed *b = *state;
    npy wanted = golden("erasure");
    vg_context sliding = usual_context(), anchored = usual_context();
    anchored.mode = VG_CONTEXT_GROWING;
    for (int i = 0; i < 5; i++) {
        const vg_space_request request = {.method = "erasure", .words = 10, .erase = kinds[i], .replacement = 5};
        result r = explain(b, &sliding, &request, 1, 4096);
        compare_rows(b, &r, 0, wanted.data + i * b->rows.count * 10, 10, 1e-4, kinds[i]);
        free_result(&r);
        r = explain(b, &anchored, &request, 1, 4096); /* shared prefixes: the first rows have the same windows */
        compare_some(b, &r, 0, wanted.data + i * b->rows.count * 10, 10, 5, 1e-4, kinds[i]);
        free_result(&r);
    }
    free(wanted.data);
}

/* With prefix reuse as without: f of a story with the word taken out of it, by hand. */
static void test_erasure_from_scratch(void **state)
{
    const bed *b = *state;
    passage_copy story = first_words(&b->passage, 40);
    vg_context context = usual_context();
    context.mode = VG_CONTEXT_GROWING;
    const vg_space_request erasure = {.method = "erasure", .words = 3}, surprisal = {.method = "surprisal", .words = 3};
    result whole = explain_passage(b, &story.passage, &context, &surprisal, 1, 4096),
           erased = explain_passage(b, &story.passage, &context, &erasure, 1, 4096);
    for (int64_t i = 0, word = 5; i < few(5); i++, word += 7)
        for (int64_t j = 0; j < 3; j++) {
            passage_copy shorter = without_word(&story.passage, word - 3 + j);
            result without = explain_passage(b, &shorter.passage, &context, &surprisal, 1, 4096);
            double f = (whole.values[0][word] - without.values[0][word - 1]) * -log(2.0);
            assert_true(fabs(f - erased.values[0][word * 3 + j]) < 1e-5 * (1 + fabs(f)));
            free_result(&without);
            free_copy(&shorter);
        }
    free_result(&whole);
    free_result(&erased);
    free_copy(&story);
}

static void test_attention(void **state)
{
    const bed *b = *state;
    npy wanted = golden("attention");
    vg_context context = usual_context();
    result r = explain(b, &context, &(vg_space_request){.method = "attention", .words = 10}, 1, 4096);
    compare_rows(b, &r, 0, wanted.data, 5 * 8 * 10, 1e-5, "attention");
    assert_string_equal(r.first_column, "layer 01 head 00 word -10");
    free_result(&r);
    free(wanted.data);
}

static void test_prediction(void **state)
{
    const bed *b = *state;
    npy wanted = golden("surprisal");
    vg_context context = usual_context();
    const vg_space_request both[] = {{.method = "surprisal", .words = 10}, {.method = "entropy", .words = 10}};
    result r = explain(b, &context, both, 2, 4096);
    context.whole_word = true;
    result whole = explain(b, &context, both, 1, 4096);
    for (int64_t i = 0; i < few(b->rows.count); i++) {
        int64_t word = (int64_t)b->rows.data[i];
        assert_true(fabs(r.values[0][word] - wanted.data[3 * i]) < 1e-5 * (1 + wanted.data[3 * i]));
        assert_true(fabs(whole.values[0][word] - wanted.data[3 * i + 1]) < 1e-5 * (1 + wanted.data[3 * i + 1]));
        assert_true(fabs(r.values[1][word] - wanted.data[3 * i + 2]) < 1e-5 * (1 + wanted.data[3 * i + 2]));
    }
    free_result(&r);
    free_result(&whole);
    free(wanted.data);
}

static void test_heard(void **state)
{
    const bed *b = *state;
    npy wanted = golden("heard");
    const int64_t layers[] = {0, 3, 5};
    vg_context context = usual_context();
    const vg_space_request requests[] = {
        {.method = "activations", .words = 10, .at = "word", .layers = layers, .layer_count = 3, .final_layer = true},
        {.method = "activations",
         .name = "mean",
         .words = 10,
         .at = "word",
         .reduce = "mean",
         .layers = layers,
         .layer_count = 3,
         .final_layer = true}};
    result r = explain(b, &context, requests, 2, 4096);
    assert_true(r.outputs[0].sees_word);
    for (int64_t i = 0; i < few(b->rows.count); i++)
        for (int64_t o = 0; o < 8; o++)
            compare_row(r.values[o] + (int64_t)b->rows.data[i] * 64, wanted.data + ((i * 4 + o % 4) * 2 + o / 4) * 64, 64, 1e-5, "heard");
    free_result(&r);
    free(wanted.data);
}

/* The controls, by their definitions. */
static void test_controls(void **state)
{
    const bed *b = *state;
    vg_context context = usual_context();
    int64_t words = b->passage.words;
    passage_copy story = without_word(&b->passage, -1);
    assert_int_equal(VG_OK, VG_NEW(&story.passage.onset, words, "test"));
    assert_int_equal(VG_OK, VG_NEW(&story.passage.characters, words, "test"));
    assert_int_equal(VG_OK, VG_NEW(&story.passage.ends, words, "test"));
    for (int64_t w = 0; w < words; w++) {
        story.passage.onset[w] = 0.5 * (double)w;
        story.passage.characters[w] = (int32_t)(w % 7);
        story.passage.ends[w] = w == 9;
    }
    const vg_space_request requests[] = {{.method = "rate_length", .words = 1},
                                         {.method = "position", .words = 1},
                                         {.method = "static", .words = 1},
                                         {.method = "random", .words = 1, .size = 3, .ar1 = 0.8, .seed = 7}};
    result r = explain_passage(b, &story.passage, &context, requests, 4, 1000),
           again = explain_passage(b, &story.passage, &context, requests + 3, 1, 4096);
    assert_float_equal(r.values[0][3 * 20], 2.5, 1e-6); /* five onsets within a second to either side, in two seconds */
    assert_float_equal(r.values[0][3 * 20 + 1], 6, 0);
    assert_float_equal(r.values[0][3 * 20 + 2], (float)(b->passage.first[21] - b->passage.first[20]), 0);
    assert_float_equal(r.values[1][2 * 20], 20.0f / (float)(words - 1), 1e-6);
    assert_float_equal(r.values[1][2 * 20 + 1], 10, 0);
    const float *row = vg_model_embedding(b->model) + 64 * b->passage.ids[b->passage.first[20]];
    if (b->passage.first[21] - b->passage.first[20] == 1)
        assert_memory_equal(r.values[2] + 64 * 20, row, 64 * sizeof *row);
    double product = 0, square = 0;
    for (int64_t i = 3; i < 3 * words; i++) {
        product += (double)r.values[3][i] * (double)r.values[3][i - 3];
        square += (double)r.values[3][i] * (double)r.values[3][i];
    }
    assert_true(fabs(product / square - 0.8) < 0.1);
    assert_memory_equal(r.values[3], again.values[0], (size_t)(3 * words) * sizeof(float));
    free_result(&r);
    free_result(&again);
    free_copy(&story);
}

/* Bitwise the same alone as beside everything else. */
static void test_nothing_beside(void **state)
{
    const bed *b = *state;
    const vg_space_request all[] = {
        {.method = "gradient_norm", .words = 10},
        {.method = "activations", .words = 10},
        {.method = "attention", .words = 10},
        {.method = "erasure", .words = 10},
        {.method = "activations", .name = "heard", .words = 10, .at = "word"},
        {.method = "integrated_gradients", .words = 10, .tolerance = 0.1},
        {.method = "layer_conductance", .words = 10, .tolerance = 0.03},
        {.method = "layer_conductance", .name = "sum", .words = 10, .positions = "sum", .tolerance = 0.3},
        {.method = "layer_conductance", .name = "words", .words = 10, .by_word = true, .tolerance = 0.3},
        {.method = "integrated_gradients", .name = "recent", .words = 10, .path = "recent"},
        {.method = "layer_influence", .words = 10, .path = "recent", .tolerance = 0.3},
        {.method = "surprisal", .words = 3},
    };
    enum { COUNT = sizeof all / sizeof *all };
    vg_context context = usual_context();
    int64_t words = 3 * few(8);
    passage_copy story = first_words(&b->passage, words);
    result together = explain_passage(b, &story.passage, &context, all, COUNT, 4096);
    int64_t o = 0;
    for (int i = 0; i < COUNT; i++) {
        result alone = explain_passage(b, &story.passage, &context, &all[i], 1, 4096);
        for (int64_t p = 0; p < alone.count; p++, o++) {
            assert_memory_equal(alone.values[p], together.values[o], (size_t)(words * alone.outputs[p].columns) * sizeof(float));
            assert_memory_equal(alone.valid[p], together.valid[o], (size_t)(words * alone.outputs[p].columns));
            assert_memory_equal(alone.nodes[p], together.nodes[o], (size_t)words * sizeof(int32_t));
            assert_memory_equal(alone.residual[p], together.residual[o], (size_t)words * sizeof(float));
        }
        free_result(&alone);
    }
    free_result(&together);
    free_copy(&story);
}

/* Smaller batches, which less memory makes: the same but for the rounding of products of other sizes, over all words of a space. What is
 * read from a forward pass stays within 1e-6; derivatives are rounded over twice the depth: 4e-6, a twentieth of
 * the 1e-4 that they may differ from float64's by. */
static void test_smaller_batches(void **state)
{
    const bed *b = *state;
    const vg_space_request requests[] = {
        {.method = "gradient_norm", .words = 10}, {.method = "gradient_x_input", .words = 10},
        {.method = "activations", .words = 10},   {.method = "attention", .words = 10},
        {.method = "erasure", .words = 10},       {.method = "integrated_gradients", .words = 10, .path = "recent", .steps = 8},
    };
    enum { COUNT = sizeof requests / sizeof *requests };
    for (int mode = VG_CONTEXT_SLIDING; mode <= VG_CONTEXT_GROWING; mode++) {
        vg_context context = usual_context();
        context.mode = (vg_context_mode)mode;
        result whole = explain_passage(b, &b->passage, &context, requests, COUNT, 4096),
               parts = explain_passage(b, &b->passage, &context, requests, COUNT, 256);
        for (int64_t o = 0; o < whole.count; o++) {
            double moved = 0, square = 0;
            for (int64_t i = 0; i < whole.words * whole.outputs[o].columns; i++) {
                double x = (double)whole.values[o][i], y = (double)parts.values[o][i];
                moved += (x - y) * (x - y);
                square += x * x;
            }
            bool derivative = strstr(whole.outputs[o].method, "gradient") != NULL;
            assert_true(sqrt(moved) <= (derivative ? 4e-6 : 1e-6) * sqrt(square));
        }
        free_result(&whole);
        free_result(&parts);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_targets),        cmocka_unit_test(test_argmax_and_whole_word),
        cmocka_unit_test(test_contexts),       cmocka_unit_test(test_short_context),
        cmocka_unit_test(test_erasure),        cmocka_unit_test(test_erasure_from_scratch),
        cmocka_unit_test(test_attention),      cmocka_unit_test(test_prediction),
        cmocka_unit_test(test_heard),          cmocka_unit_test(test_controls),
        cmocka_unit_test(test_nothing_beside), cmocka_unit_test(test_smaller_batches),
    };
    return run_with_bed("spaces", tests, sizeof tests / sizeof *tests);
}
