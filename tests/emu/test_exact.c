/* Protects: that kernels touch what they are given and not an element more: operations on buffers that end where their numbers end, so that
 * AddressSanitizer's build of the emulation sees a read past the end that changes no result. test_mutations.sh runs it on broken kernels.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <math.h>
#include <stdlib.h>

#include "device.h"
#include "voxgrad/device.h"

enum { ROWS = 37, COLUMNS = 91, N = ROWS * COLUMNS };

static vg_device *device;
static float host[N];

static float *put(int64_t n)
{
    float *there;
    assert_int_equal(VG_DEVICE_NEW(device, &there, n), VG_OK);
    assert_int_equal(device->ops->up(device, there, host, (size_t)n * sizeof *there), VG_OK);
    return there;
}

/* Gives `there` back when all of it is as `expected` says. */
static void expect(float *there, int64_t n, float (*expected)(int64_t))
{
    float *got = calloc((size_t)n, sizeof *got);
    assert_int_equal(device->ops->down(device, got, there, (size_t)n * sizeof *got), VG_OK);
    for (int64_t i = 0; i < n; i++)
        if (!(fabsf(got[i] - expected(i)) < 1e-3f))
            fail_msg("element %lld is %g and should be %g", (long long)i, (double)got[i], (double)expected(i));
    device->ops->free(device, there);
    free(got);
}

static float doubled(int64_t i)
{
    return 2.0f * host[i];
}

static void elements_end_with_the_buffer(void **state)
{
    (void)state;
    float *x = put(N), *y = put(N);
    assert_int_equal(device->ops->axpby(device, N, 1.0f, x, 1.0f, y), VG_OK);
    expect(y, N, doubled);
    device->ops->free(device, x);
}

static float of_column(int64_t j)
{
    float sum = 0;
    for (int64_t i = 0; i < ROWS; i++)
        sum += host[i * COLUMNS + j];
    return sum;
}

static void columns_are_summed(void **state)
{
    (void)state;
    float *x = put(N), *sum = put(COLUMNS);
    assert_int_equal(device->ops->column_sum(device, ROWS, COLUMNS, x, 0.0f, sum), VG_OK);
    expect(sum, COLUMNS, of_column);
    device->ops->free(device, x);
}

static float of_segment(int64_t s)
{
    float sum = 0;
    for (int64_t i = s * (ROWS / 2) * COLUMNS; i < (s == 0 ? ROWS / 2 : ROWS) * COLUMNS; i++)
        sum += host[i];
    return sum;
}

static void segments_are_summed(void **state)
{
    (void)state;
    const int32_t border[] = {0, ROWS / 2, ROWS};
    int32_t *offset;
    float *x = put(N), *out = put(2);
    assert_int_equal(VG_DEVICE_NEW(device, &offset, 3), VG_OK);
    assert_int_equal(device->ops->up(device, offset, border, sizeof border), VG_OK);
    assert_int_equal(device->ops->reduce(device, VG_SUM, 2, offset, COLUMNS, x, NULL, out), VG_OK);
    expect(out, 2, of_segment);
    device->ops->free(device, offset);
    device->ops->free(device, x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(elements_end_with_the_buffer),
        cmocka_unit_test(columns_are_summed),
        cmocka_unit_test(segments_are_summed),
    };
    for (int i = 0; i < N; i++)
        host[i] = 0.25f * (float)((i * 7) % 11 - 5);
    if (vg_device_open(test_device_spec(), 0, 1, &device) != VG_OK) {
        fprintf(stderr, "%s\n", vg_message());
        return 1;
    }
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    vg_device_close(device);
    return failed;
}
