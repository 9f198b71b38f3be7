/* Protects: memory of devices arrives byte for byte, pieces of unequal sizes in the order of ranks, above and below the size of the stage;
 * a sum of parts is the serial sum, bit by bit, however the parts lie; a rank whose device fails gives all ranks its status and its words.
 * Runs on 3 ranks (ctest) and any other number, on the device that VG_DEVICE names ("cpu"), so that tests/emu runs it too. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "comm_mpi.h"
#include "ranks.h"

static int rank, ranks;

static void *make(size_t bytes)
{
    void *memory;
    assert_int_equal(device->ops->alloc(device, bytes, &memory), VG_OK);
    return memory;
}

static void put(void *there, const void *host, size_t bytes)
{
    if (bytes > 0)
        assert_int_equal(device->ops->up(device, there, host, bytes), VG_OK);
}

static void get(void *host, const void *there, size_t bytes)
{
    if (bytes > 0)
        assert_int_equal(device->ops->down(device, host, there, bytes), VG_OK);
}

static uint8_t byte(int from, size_t i)
{
    return (uint8_t)((size_t)from * 101 + i * 7 + (i >> 12) * 13);
}

static void bytes_are_broadcast(void **state)
{
    (void)state;
    const size_t sizes[] = {0, 1, 4097, STAGE_BYTES, STAGE_BYTES + 3};
    for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++) {
        int root = (int)k % ranks;
        uint8_t *host = calloc(sizes[k] + 1, 1), *there = make(sizes[k]);
        for (size_t i = 0; rank == root && i < sizes[k]; i++)
            host[i] = byte(root, i);
        put(there, host, sizes[k]);
        assert_int_equal(vg_comm_device_broadcast(comm, there, sizes[k], root), VG_OK);
        memset(host, 0, sizes[k]);
        get(host, there, sizes[k]);
        for (size_t i = 0; i < sizes[k]; i++)
            if (host[i] != byte(root, i))
                fail_msg("byte %zu of %zu is wrong", i, sizes[k]);
        device->ops->free(device, there);
        free(host);
    }
}

/* Rank r brings r pieces of `each` bytes and 5 more; rank 0 brings none where `hollow`. */
static void check_gather(size_t each, bool hollow, int root)
{
    size_t sizes[64], bytes = rank == 0 && hollow ? 0 : (size_t)rank * each + 5, at = 0;
    uint8_t *host = calloc(bytes + 1, 1), *there = make(bytes), *all;
    for (size_t i = 0; i < bytes; i++)
        host[i] = byte(rank, i);
    put(there, host, bytes);
    assert_int_equal(vg_comm_device_gather(comm, bytes > 0 ? there : NULL, bytes, root, (void **)&all, sizes), VG_OK);
    assert_true((all != NULL) == (rank == root));
    for (int r = 0; r < ranks; r++)
        assert_int_equal(sizes[r], r == 0 && hollow ? 0 : (size_t)r * each + 5);
    for (int r = 0; rank == root && r < ranks; at += sizes[r++]) {
        uint8_t *found = calloc(sizes[r] + 1, 1);
        get(found, all + at, sizes[r]);
        for (size_t i = 0; i < sizes[r]; i++)
            if (found[i] != byte(r, i))
                fail_msg("byte %zu of rank %d is wrong", i, r);
        free(found);
    }
    if (all != NULL)
        device->ops->free(device, all);
    device->ops->free(device, there);
    free(host);
}

static void unequal_pieces_arrive_in_the_order_of_ranks(void **state)
{
    (void)state;
    for (int root = 0; root < ranks; root++)
        check_gather(1000, root % 2 == 1, root);
    check_gather(STAGE_BYTES - 7, false, ranks - 1);
}

static double value(int64_t i, int64_t j)
{
    double z = (double)((i * 7919 + j * 104729) % 1000003 + 1) / 3.0;
    return i % 3 == 0 ? z * 1e12 : z; /* the order of such a sum shows in its bits */
}

static void check_sum(int64_t total, int64_t length, int dealing)
{
    int64_t count = 0, *indices = calloc((size_t)total + 1, sizeof *indices);
    double *parts = calloc((size_t)(total * length) + 1, sizeof *parts), *sum = calloc((size_t)length + 1, sizeof *sum);
    for (int64_t i = total - 1; i >= 0; i--) /* downwards: the order on a rank must not matter either */
        if ((dealing == 0 ? i % ranks : dealing == 1 ? i * ranks / total : ranks - 1) == rank) {
            for (int64_t j = 0; j < length; j++)
                parts[count * length + j] = value(i, j);
            indices[count++] = i;
        }
    double *parts_there = make((size_t)(count * length) * sizeof *parts), *sum_there = make((size_t)length * sizeof *sum);
    put(parts_there, parts, (size_t)(count * length) * sizeof *parts);
    assert_int_equal(vg_comm_device_ordered_sum(comm, total, length, count, indices, parts_there, sum_there), VG_OK);
    get(sum, sum_there, (size_t)length * sizeof *sum);
    for (int64_t j = 0; j < length; j++) {
        double expected = 0.0;
        for (int64_t i = 0; i < total; i++)
            expected += value(i, j);
        assert_memory_equal(&sum[j], &expected, sizeof expected);
    }
    device->ops->free(device, parts_there);
    device->ops->free(device, sum_there);
    free(indices);
    free(parts);
    free(sum);
}

static void the_sum_does_not_depend_on_who_holds_what(void **state)
{
    (void)state;
    for (int dealing = 0; dealing < 3; dealing++) {
        check_sum(11, 7, dealing);
        check_sum(2, 300, dealing);
        if (dealing == 0)
            check_sum(40000, 60, dealing); /* in more than one slice: 2^21 / 40000 = 52 columns each */
        check_sum(5, 0, dealing);
        check_sum(0, 4, dealing);
    }
}

static void check_wrong(int64_t first, int64_t second, int64_t count, const char *expected)
{
    const int64_t indices[2] = {first, second};
    double *sum = make(sizeof *sum), *parts = make(2 * sizeof *parts);
    assert_int_equal(vg_comm_device_ordered_sum(comm, 2, 1, rank == 0 ? count : 0, indices, parts, sum), VG_DEFECT);
    assert_non_null(strstr(vg_message(), expected));
    device->ops->free(device, sum);
    device->ops->free(device, parts);
}

static void a_sum_of_wrong_parts_is_a_defect_everywhere(void **state)
{
    (void)state;
    check_wrong(0, 0, 1, "part 1 is on no rank");
    check_wrong(0, 0, 2, "part 0 is there twice");
    check_wrong(0, 2, 2, "part 2 of 2");
    check_wrong(0, -1, 2, "part -1 of 2");
}

/* ---- a device that fails ------------------------------------------------------------------------------------------------ */

static vg_status broken_up(vg_device *d, void *to, const void *from, size_t bytes)
{
    (void)d, (void)to, (void)from, (void)bytes;
    return vg_fail(VG_NO_DEVICE, "rank %d: the device is gone", rank);
}

static vg_status broken_down(vg_device *d, void *to, const void *from, size_t bytes)
{
    (void)d, (void)to, (void)from, (void)bytes;
    return vg_fail(VG_NO_DEVICE, "rank %d: the device is gone", rank);
}

static vg_status broken_alloc(vg_device *d, size_t bytes, void **memory)
{
    (void)d, (void)memory;
    return vg_fail(VG_NO_MEMORY, "rank %d: %zu bytes are needed", rank, bytes);
}

/* All ranks say what rank `broken` said of a broadcast from `root` and a gathering to it. */
static void check_broken(vg_device_ops *ops, int broken, int root, const char *expected)
{
    const vg_device_ops *whole = device->ops;
    size_t sizes[64], bytes = 2 * (size_t)STAGE_BYTES + 1;
    void *there = make(bytes), *all = there;
    device->ops = rank == broken ? ops : whole;
    vg_status status = ops->alloc == broken_alloc ? VG_OK : vg_comm_device_broadcast(comm, there, bytes, root);
    if (ranks > 1 && ops->alloc != broken_alloc && (ops->up == broken_up) == (broken != root)) {
        assert_int_equal(status, VG_NO_DEVICE);
        assert_string_equal(vg_message(), expected);
    }
    status = vg_comm_device_gather(comm, there, bytes, root, &all, sizes);
    device->ops = whole;
    if (ops->down == broken_down || broken == root) {
        assert_int_equal(status, ops->alloc == broken_alloc ? VG_NO_MEMORY : VG_NO_DEVICE);
        assert_string_equal(vg_message(), expected);
        assert_null(all);
    }
    if (all != NULL && status == VG_OK)
        device->ops->free(device, all);
    device->ops->free(device, there);
    assert_int_equal(vg_comm_barrier(comm), VG_OK);
}

static void a_failing_device_fails_all_ranks(void **state)
{
    (void)state;
    if (comm->link != NULL) /* a link does not go through up and down: tests/emu breaks it in other ways */
        skip();
    for (int broken = 0; broken < ranks; broken++) {
        char gone[64], full[64];
        snprintf(gone, sizeof gone, "rank %d: the device is gone", broken);
        snprintf(full, sizeof full, "rank %d: %zu bytes are needed", broken, (size_t)ranks * (2 * (size_t)STAGE_BYTES + 1));
        vg_device_ops ups = *device->ops, downs = *device->ops, allocs = *device->ops;
        ups.up = broken_up;
        downs.down = broken_down;
        allocs.alloc = broken_alloc;
        check_broken(&ups, broken, 0, gone);
        check_broken(&downs, broken, 0, gone);
        check_broken(&allocs, broken, broken, full);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_are_broadcast),
        cmocka_unit_test(unequal_pieces_arrive_in_the_order_of_ranks),
        cmocka_unit_test(the_sum_does_not_depend_on_who_holds_what),
        cmocka_unit_test(a_sum_of_wrong_parts_is_a_defect_everywhere),
        cmocka_unit_test(a_failing_device_fails_all_ranks),
    };
    if (!ranks_begin())
        return 1;
    rank = vg_comm_rank(comm);
    ranks = vg_comm_ranks(comm);
    return ranks_end(cmocka_run_group_tests(tests, NULL, NULL));
}
