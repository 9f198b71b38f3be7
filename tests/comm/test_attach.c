/* Protects: NCCL is chosen where, and only where, every rank drives a GPU of its own; else the log line names the ranks and the GPU that
 * keep it out, and where there is no GPU nothing is said. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "comm_mpi.h"

static const vg_link_place four[4] = {
    {"node1", "0000:07:00.0"}, {"node1", "0000:0f:00.0"}, {"node2", "0000:07:00.0"}, {"node2", "0000:0f:00.0"}};
static char why[512];

static bool differ(const vg_link_place *places, int ranks)
{
    snprintf(why, sizeof why, "untouched");
    return vg_link_places_differ(places, ranks, why, sizeof why);
}

static void a_gpu_each_is_linked(void **state)
{
    (void)state;
    assert_true(differ(four, 4)); /* the same bus id on another host is another GPU */
    assert_true(differ(four, 1));
}

static void a_shared_gpu_is_not(void **state)
{
    (void)state;
    vg_link_place places[4];
    for (int a = 0; a < 4; a++)
        for (int b = a + 1; b < 4; b++) {
            memcpy(places, four, sizeof four);
            places[b] = places[a];
            assert_false(differ(places, 4));
            char expected[2048];
            snprintf(expected, sizeof expected, "ranks %d and %d drive the same GPU, %s of %s", a, b, four[a].bus, four[a].host);
            assert_string_equal(why, expected);
        }
}

static void a_rank_without_a_gpu_is_not(void **state)
{
    (void)state;
    vg_link_place places[4];
    memcpy(places, four, sizeof four);
    places[2].bus[0] = '\0';
    assert_false(differ(places, 4));
    assert_string_equal(why, "rank 2 drives no GPU");
}

static void without_any_gpu_nothing_is_said(void **state)
{
    (void)state;
    vg_link_place places[4] = {{"node1", ""}, {"node1", ""}, {"node2", ""}, {"node2", ""}};
    assert_false(differ(places, 4));
    assert_string_equal(why, "");
}

/* A process alone, the CPU's memory: all calls work, and none before a device is attached. */
static void a_process_alone_exchanges_with_itself(void **state)
{
    (void)state;
    vg_comm *comm;
    vg_device *device;
    double host[4] = {1.0, 1e16, -1e16, 0.5}, sum;
    int64_t indices[3] = {2, 0, 1};
    double *parts, *made;
    void *all;
    size_t size;
    assert_int_equal(vg_comm_alone(&comm), VG_OK);
    assert_int_equal(vg_device_open("cpu", 0, 1, &device), VG_OK);
    assert_int_equal(vg_comm_device_broadcast(comm, host, sizeof host, 0), VG_DEFECT);
    assert_int_equal(vg_comm_attach(comm, device), VG_OK);
    assert_int_equal(vg_comm_attach(comm, device), VG_DEFECT);
    assert_int_equal(VG_DEVICE_NEW(device, &parts, 3), VG_OK);
    assert_int_equal(VG_DEVICE_NEW(device, &made, 1), VG_OK);
    assert_int_equal(device->ops->up(device, parts, host, 3 * sizeof *parts), VG_OK);
    assert_int_equal(vg_comm_device_broadcast(comm, parts, 3 * sizeof *parts, 0), VG_OK);
    assert_int_equal(vg_comm_device_gather(comm, parts, 3 * sizeof *parts, 0, &all, &size), VG_OK);
    assert_int_equal(size, 3 * sizeof *parts);
    assert_int_equal(device->ops->down(device, host, all, size), VG_OK);
    assert_true(host[0] == 1.0 && host[1] == 1e16 && host[2] == -1e16);
    assert_int_equal(vg_comm_device_ordered_sum(comm, 3, 1, 3, indices, parts, made), VG_OK);
    assert_int_equal(device->ops->down(device, &sum, made, sizeof sum), VG_OK);
    assert_true(sum == 1.0);
    assert_int_equal(vg_comm_device_ordered_sum(comm, 3, 1, 2, indices, parts, made), VG_DEFECT);
    device->ops->free(device, parts);
    device->ops->free(device, made);
    device->ops->free(device, all);
    vg_comm_detach(comm);
    vg_comm_detach(comm);
    vg_comm_detach(NULL);
    vg_device_close(device);
    vg_comm_finish(comm);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_gpu_each_is_linked),
        cmocka_unit_test(a_shared_gpu_is_not),
        cmocka_unit_test(a_rank_without_a_gpu_is_not),
        cmocka_unit_test(without_any_gpu_nothing_is_said),
        cmocka_unit_test(a_process_alone_exchanges_with_itself),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
