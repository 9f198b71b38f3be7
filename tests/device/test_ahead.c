/* Protects: a tile of responses that the device is told of ahead is there before ridge_center asks for it (what lies in the host's memory
 * then is not looked at), does not disturb the tile that is worked on, is forgotten when it is not wanted, and changes no bit. On an
 * emulated GPU with streams that run at once and with streams that run as late as they may. Simulated data. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "device.h"
#include "voxgrad/device.h"

enum {
    ROWS = 300,
    COLUMNS = 9000,
    ALL = 2 * COLUMNS,
    NUMBERS = ROWS * COLUMNS,
    SEGMENTS = 2
}; /* a tile: more than two pinned buffers hold */

static const char *order;
static vg_device *device;
static float *y, *expected[2], *found;

/* Where a tile goes. */
typedef struct {
    float *centred;
    double *mean, *square;
    uint8_t *dead;
    int32_t *begin;
} places;
static places to[2];

static void must(vg_status status)
{
    if (status != VG_OK)
        fail_msg("%s", vg_message());
}

static vg_ridge_center tile(int i)
{
    return (vg_ridge_center){VG_F32, VG_F32,      ROWS,          COLUMNS,    ALL,          SEGMENTS,  y + i * COLUMNS,
                             NULL,   to[i].begin, to[i].centred, to[i].mean, to[i].square, to[i].dead};
}

static void center(int i)
{
    vg_ridge_center c = tile(i);
    must(device->ops->ridge_center(device, &c));
}

/* Tells of it until nothing more can be sent. */
static void announce(int i)
{
    vg_ridge_center c = tile(i);
    for (int n = 0; n < 12; n++)
        must(device->ops->ridge_ahead(device, &c));
}

static void expect(int i)
{
    must(device->ops->down(device, found, to[i].centred, NUMBERS * sizeof *found));
    assert_memory_equal(found, expected[i], NUMBERS * sizeof *found);
}

static void fill_responses(void)
{
    for (int64_t j = 0; j < (int64_t)ROWS * ALL; j++)
        y[j] = (float)((j * 7919 + j / ALL * 104729) % 1000) / 100.0f;
}

static int set_up(void **state)
{
    const int32_t begin[SEGMENTS + 1] = {0, 100, ROWS};
    (void)state;
    setenv("VG_EMU_ORDER", order, 1);
    must(vg_device_open(test_device_spec(), 0, 1, &device));
    fill_responses();
    for (int i = 0; i < 2; i++) {
        must(VG_DEVICE_NEW(device, &to[i].centred, NUMBERS));
        must(VG_DEVICE_NEW(device, &to[i].mean, SEGMENTS * COLUMNS));
        must(VG_DEVICE_NEW(device, &to[i].square, SEGMENTS * COLUMNS));
        must(VG_DEVICE_NEW(device, &to[i].dead, COLUMNS));
        must(VG_DEVICE_NEW(device, &to[i].begin, SEGMENTS + 1));
        must(device->ops->up(device, to[i].begin, begin, sizeof begin));
        center(i);
        must(device->ops->down(device, expected[i], to[i].centred, NUMBERS * sizeof *found));
    }
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        void *memory[] = {to[i].centred, to[i].mean, to[i].square, to[i].dead, to[i].begin};
        for (int m = 0; m < 5; m++)
            device->ops->free(device, memory[m]);
    }
    vg_device_close(device);
    return 0;
}

static bool host_is_device(void)
{
    return strcmp(test_device_spec(), "cpu") == 0;
}

static void a_tile_is_there_before_it_is_asked_for(void **state)
{
    (void)state;
    announce(1);
    if (!host_is_device())
        memset(y, 0, (size_t)ROWS * ALL * sizeof *y);
    center(1);
    expect(1);
}

static void it_does_not_disturb_the_one_before(void **state)
{
    (void)state;
    announce(1);
    center(1);
    announce(0); /* to the memory that tile 1 is read from */
    expect(1);
    center(0);
    expect(0);
}

static void it_is_forgotten(void **state)
{
    (void)state;
    for (int64_t j = 0; j < (int64_t)ROWS * ALL; j++)
        y[j] = 0;
    announce(1);
    must(device->ops->ridge_ahead(device, NULL));
    fill_responses();
    center(1);
    expect(1);
    announce(0);
    center(1); /* another one than was told of */
    expect(1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_tile_is_there_before_it_is_asked_for, set_up, tear_down),
        cmocka_unit_test_setup_teardown(it_does_not_disturb_the_one_before, set_up, tear_down),
        cmocka_unit_test_setup_teardown(it_is_forgotten, set_up, tear_down),
    };
    int failed = 0;
    y = malloc((size_t)ROWS * ALL * sizeof *y);
    found = malloc(NUMBERS * sizeof *found);
    expected[0] = malloc(NUMBERS * sizeof *found);
    expected[1] = malloc(NUMBERS * sizeof *found);
    if (y == NULL || found == NULL || expected[0] == NULL || expected[1] == NULL)
        return 1;
    const char *orders[] = {"forward", "backward"};
    for (int i = 0; i < 2; i++) {
        order = orders[i];
        failed += cmocka_run_group_tests_name(order, tests, NULL, NULL);
    }
    free(y);
    free(found);
    free(expected[0]);
    free(expected[1]);
    return failed;
}
