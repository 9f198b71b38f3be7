/* Protects: a model whose blocks are brought one by one, because memory does not hold them all, gives the same bytes as one that is all
 * there, forwards, backwards and along tangents, read from files and drawn; its memory is what it says; too little is refused with the
 * number that is needed. The families' golden models are kept in float16. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "device.h"
#include "voxgrad/lm.h"

enum { ROWS = 3, LENGTH = 7 };
static const char *const families[] = {"llama", "qwen2", "gpt2", "phi", "gpt_neox"};

typedef struct {
    float *all; /* logits, df/dx, d logits / da: one after the other */
    int64_t count;
} outcome;

static void must(vg_status status)
{
    if (status != VG_OK)
        fail_msg("%s", vg_message());
}

static outcome sweep(vg_device *device, vg_model *model)
{
    const vg_model_shape *shape = vg_model_get_shape(model);
    int32_t tokens[ROWS * LENGTH];
    int64_t logits = ROWS * shape->vocabulary, entries = (int64_t)ROWS * LENGTH * shape->width;
    vg_engine *engine;
    vg_tape *tape;
    vg_cotangents back;
    vg_tangents along;
    float *x;
    outcome o = {.count = 2 * logits + entries};
    for (int i = 0; i < ROWS * LENGTH; i++)
        tokens[i] = (int32_t)(vg_random_bits(1, VG_RANDOM_TEST, (uint64_t)i) % (uint64_t)shape->vocabulary);
    const vg_rows rows = {.groups = ROWS, .members = 1, .length = LENGTH, .tokens = tokens};
    must(vg_engine_create(model, (size_t)16 << 20, &engine));
    must(VG_NEW(&o.all, o.count, "test"));
    for (int again = 0; again < 2; again++) { /* the second time another block is the one that was held last */
        vg_engine_reset(engine);
        must(VG_TAKE(vg_engine_arena(engine), &x, entries, "test"));
        must(vg_engine_embed(engine, ROWS * LENGTH, tokens, x));
        must(vg_engine_forward(engine, &rows, true, false, &tape));
        must(device->ops->down(device, o.all, tape->logits, (size_t)logits * sizeof *o.all));
        must(vg_engine_vjp(engine, tape, tape->logits, 0, true, &back));
        must(device->ops->down(device, o.all + logits, back.input, (size_t)entries * sizeof *o.all));
        must(vg_engine_jvp(engine, tape, 1, x, NULL, true, &along));
        must(device->ops->down(device, o.all + logits + entries, along.logits, (size_t)logits * sizeof *o.all));
    }
    vg_engine_free(engine);
    return o;
}

static void compare(vg_device *device, const char *family, bool random)
{
    char folder[4096];
    vg_model *whole, *streamed;
    snprintf(folder, sizeof folder, "%s/tests/golden/models/%s", getenv("VG_SOURCE"), family);
    must(vg_model_open(device, folder, &(vg_model_options){.random = random, .seed = 7}, &whole));
    assert_false(vg_model_is_streamed(whole));
    int64_t bytes = (int64_t)vg_model_bytes(whole);
    must(vg_model_open(device, folder, &(vg_model_options){.random = random, .seed = 7, .memory = bytes - 1}, &streamed));
    assert_true(vg_model_is_streamed(streamed));
    assert_true((int64_t)vg_model_bytes(streamed) < bytes);
    assert_int_equal(vg_model_hash(whole), vg_model_hash(streamed));
    outcome x = sweep(device, whole), y = sweep(device, streamed);
    assert_int_equal(x.count, y.count);
    assert_memory_equal(x.all, y.all, (size_t)x.count * sizeof *x.all);
    free(x.all);
    free(y.all);
    vg_model_close(whole);
    vg_model_close(streamed);
    assert_int_equal(vg_model_open(device, folder, &(vg_model_options){.random = random, .memory = 1000}, &streamed), VG_NO_MEMORY);
    assert_non_null(strstr(vg_message(), "even with one of its 2 blocks at a time; 0 MB may be taken (--memory)"));
}

static void test_every_family(void **state)
{
    for (size_t i = 0; i < sizeof families / sizeof *families; i++)
        compare(*state, families[i], false);
}

static void test_random_weights(void **state)
{
    for (size_t i = 0; i < sizeof families / sizeof *families; i++)
        compare(*state, families[i], true);
}

static int open_device(void **state)
{
    return vg_device_open(test_device_spec(), 0, 1, (vg_device **)state) == VG_OK ? 0 : -1;
}

static int close_device(void **state)
{
    vg_device_close(*state);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_every_family, open_device, close_device),
        cmocka_unit_test_setup_teardown(test_random_weights, open_device, close_device),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
