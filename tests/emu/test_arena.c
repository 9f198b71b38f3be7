/* Protects: that an overrun of a tensor inside the engine's arena is seen. Two pieces of it are used as they should be; with
 * VG_OVERRUN=kernel or copy, an element past the end of the first is read by a kernel, or copied, which AddressSanitizer's build of the
 * emulation must not let pass; with VG_OVERRUN=released, a piece that was given back. test_mutations.sh asks for these. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "device.h"
#include "voxgrad/lm.h"

enum { N = 50 };

static void pieces_are_used_to_their_end(void **state)
{
    const char *overrun = getenv("VG_OVERRUN");
    char folder[4096];
    float *x, *y, numbers[N] = {0};
    vg_device *device;
    vg_model *model;
    vg_engine *engine;
    (void)state;
    overrun = overrun != NULL ? overrun : "";
    snprintf(folder, sizeof folder, "%s/jobs/demo/model", getenv("VG_SOURCE"));
    assert_int_equal(vg_device_open(test_device_spec(), 0, 1, &device), VG_OK);
    assert_int_equal(vg_model_open(device, folder, NULL, &model), VG_OK);
    assert_int_equal(vg_engine_create(model, 1 << 20, &engine), VG_OK);
    assert_int_equal(VG_TAKE(vg_engine_arena(engine), &x, N, "test"), VG_OK);
    vg_mark mark = vg_engine_mark(engine);
    assert_int_equal(VG_TAKE(vg_engine_arena(engine), &y, N, "test"), VG_OK);
    assert_int_equal(device->ops->up(device, x, numbers, sizeof numbers), VG_OK);
    assert_int_equal(device->ops->up(device, y, numbers, sizeof numbers), VG_OK);
    if (strcmp(overrun, "released") == 0)
        vg_engine_release(engine, mark);
    int64_t n = strcmp(overrun, "kernel") == 0 ? N + 1 : N, columns = strcmp(overrun, "copy") == 0 ? N + 1 : N;
    assert_int_equal(device->ops->axpby(device, n, 1.0f, x, 1.0f, y), VG_OK);
    assert_int_equal(device->ops->copy(device, y, columns, x, columns, 1, columns), VG_OK);
    vg_engine_free(engine);
    vg_model_close(model);
    vg_device_close(device);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(pieces_are_used_to_their_end)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
