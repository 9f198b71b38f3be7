/* bed: what the tests of the engine stand on: a device, a model on it, random tokens and vectors, and how far two vectors are apart. */
#ifndef VOXGRAD_TESTS_LM_BED_H
#define VOXGRAD_TESTS_LM_BED_H

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "device.h"
#include "voxgrad/lm.h"

static const char *const families[] = {"llama", "qwen2", "gpt2", "phi", "gpt_neox"};
enum { FAMILIES = 5, MEMORY = 16 << 20 };

typedef struct {
    vg_device *device;
    vg_model *model;
    vg_engine *engine;
    const vg_model_shape *shape;
} bench;

static vg_device *device;

static inline void must(vg_status status)
{
    if (status != VG_OK)
        fail_msg("%s", vg_message());
}

static inline bench open_bench(const char *folder)
{
    bench b = {.device = device};
    must(vg_model_open(device, folder, NULL, &b.model));
    must(vg_engine_create(b.model, MEMORY, &b.engine));
    b.shape = vg_model_get_shape(b.model);
    return b;
}

static inline bench open_family(const char *family)
{
    char folder[4096];
    snprintf(folder, sizeof folder, "%s/tests/golden/models/%s", getenv("VG_SOURCE"), family);
    return open_bench(folder);
}

static inline void close_bench(bench *b)
{
    vg_engine_free(b->engine);
    vg_model_close(b->model);
}

static inline float *fetch(const bench *b, const float *from, int64_t count)
{
    float *host;
    must(VG_NEW(&host, count, "copy"));
    must(b->device->ops->down(b->device, host, from, (size_t)count * sizeof *host));
    return host;
}

static inline float *put(const bench *b, const float *host, int64_t count)
{
    float *piece;
    must(VG_TAKE(vg_engine_arena(b->engine), &piece, count, "test"));
    must(b->device->ops->up(b->device, piece, host, (size_t)count * sizeof *host));
    return piece;
}

/* Largest difference relative to the largest value. */
static inline void near_to(const char *what, const float *found, const double *expected, int64_t count, double bound)
{
    double worst = 0.0, scale = 0.0;
    for (int64_t i = 0; i < count; i++) {
        worst = fmax(worst, isnan(found[i]) ? INFINITY : fabs(found[i] - expected[i]));
        scale = fmax(scale, fabs(expected[i]));
    }
    if (getenv("VG_VERBOSE") != NULL)
        printf("%-40s %.2e\n", what, worst / scale);
    if (!(worst <= bound * scale) || scale == 0.0)
        fail_msg("%s: off by %.2e of the largest, bound %.0e", what, worst / scale, bound);
}

static inline void same(const char *what, const float *found, const float *expected, int64_t count, double bound)
{
    double *copy;
    must(VG_NEW(&copy, count, "copy"));
    for (int64_t i = 0; i < count; i++)
        copy[i] = expected[i];
    near_to(what, found, copy, count, bound);
    free(copy);
}

static inline double dot(const float *x, const float *y, int64_t count)
{
    double sum = 0.0;
    for (int64_t i = 0; i < count; i++)
        sum += (double)x[i] * y[i];
    return sum;
}

/* df/dlogits for f = log p(token) of each row, in place of the last position's logits, on the device. */
static inline float *target(const bench *b, const vg_tape *tape, const int32_t *next)
{
    int64_t B = tape->groups * tape->members, V = b->shape->vocabulary, S = tape->everywhere ? tape->length : 1;
    float *logits;
    int32_t *token;
    double *f;
    must(VG_TAKE(vg_engine_arena(b->engine), &logits, B * V, "logits"));
    must(VG_TAKE(vg_engine_arena(b->engine), &token, B, "token"));
    must(VG_TAKE(vg_engine_arena(b->engine), &f, B, "f"));
    must(b->device->ops->up(b->device, token, next, (size_t)B * sizeof *next));
    must(b->device->ops->copy(b->device, logits, V, tape->logits + (S - 1) * V, S * V, B, V));
    must(b->device->ops->target(b->device, VG_TARGET_LOG_PROB, B, V, logits, token, NULL, true, f));
    return logits;
}

static inline void draw(int32_t *tokens, int64_t count, int64_t vocabulary, uint64_t seed)
{
    for (int64_t i = 0; i < count; i++)
        tokens[i] = (int32_t)(vg_random_bits(seed, VG_RANDOM_TEST, (uint64_t)i) % (uint64_t)vocabulary);
}

static inline float *noise(int64_t count, double scale, uint64_t seed)
{
    float *x;
    must(VG_NEW(&x, count, "noise"));
    for (int64_t i = 0; i < count; i++)
        x[i] = (float)(scale * vg_random_normal(seed, VG_RANDOM_TEST, (uint64_t)i));
    return x;
}

static inline int run_on_device(const char *name, const struct CMUnitTest *tests, size_t count)
{
    if (vg_device_open(test_device_spec(), 0, 0, &device) != VG_OK) {
        fprintf(stderr, "%s\n", vg_message());
        return 1;
    }
    int failed = _cmocka_run_group_tests(name, tests, count, NULL, NULL);
    vg_device_close(device);
    return failed;
}

#endif
