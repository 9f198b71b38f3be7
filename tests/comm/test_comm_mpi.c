/* Protects: what one rank fails at, all ranks report in the same words; bytes of unequal sizes arrive in order; the ordered sum is
 * the serial sum, bit by bit, however the parts lie. Runs on 3 ranks (ctest) and on any other number, 1 included. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "voxgrad/comm.h"

static vg_comm *comm;

static void ranks_know_their_place(void **state)
{
    (void)state;
    int ranks = vg_comm_ranks(comm), rank = vg_comm_rank(comm);
    assert_in_range(rank, 0, ranks - 1);
    assert_in_range(vg_comm_local_rank(comm), 0, vg_comm_local_ranks(comm) - 1);
    size_t sizes[64];
    int *all;
    assert_true(ranks <= 64);
    assert_int_equal(vg_comm_allgather(comm, &rank, sizeof rank, (void **)&all, sizes), VG_OK);
    for (int r = 0; r < ranks; r++)
        assert_int_equal(all[r], r);
    free(all);
    vg_comm *second;
    assert_int_equal(vg_comm_start(&second), VG_DEFECT);
    assert_int_equal(vg_comm_barrier(comm), VG_OK);
}

static void the_lowest_failing_rank_speaks_for_all(void **state)
{
    (void)state;
    int ranks = vg_comm_ranks(comm), rank = vg_comm_rank(comm);
    assert_int_equal(vg_comm_agree(comm, VG_OK), VG_OK);
    for (int lowest = 0; lowest < ranks; lowest++) {
        vg_fail(VG_OK, "an old message of rank %d", rank);
        vg_status mine = VG_OK;
        if (rank == lowest)
            mine = vg_fail(VG_NO_SPACE, "rank %d: the disk is full", rank);
        else if (rank > lowest)
            mine = vg_fail(VG_INVALID, "rank %d: something else", rank);
        char expected[64];
        snprintf(expected, sizeof expected, "rank %d: the disk is full", lowest);
        assert_int_equal(vg_comm_agree(comm, mine), VG_NO_SPACE);
        assert_string_equal(vg_message(), expected);
    }
}

static void bytes_are_broadcast(void **state)
{
    (void)state;
    for (int root = 0; root < vg_comm_ranks(comm); root++) {
        char text[32] = "";
        if (vg_comm_rank(comm) == root)
            snprintf(text, sizeof text, "from %d", root);
        assert_int_equal(vg_comm_broadcast(comm, text, sizeof text, root), VG_OK);
        assert_int_equal(text[5] - '0', root);
        assert_int_equal(vg_comm_broadcast(comm, NULL, 0, root), VG_OK);
    }
}

/* Rank r brings 3 r bytes of value r. */
static void unequal_pieces_arrive_in_the_order_of_ranks(void **state)
{
    (void)state;
    int ranks = vg_comm_ranks(comm), rank = vg_comm_rank(comm), last = ranks - 1;
    size_t sizes[64], bytes = 3 * (size_t)rank;
    uint8_t mine[192], *all;
    memset(mine, rank, sizeof mine);
    for (int everywhere = 0; everywhere < 2; everywhere++) {
        vg_status status = everywhere ? vg_comm_allgather(comm, bytes > 0 ? mine : NULL, bytes, (void **)&all, sizes)
                                      : vg_comm_gather(comm, bytes > 0 ? mine : NULL, bytes, last, (void **)&all, sizes);
        assert_int_equal(status, VG_OK);
        if (!everywhere && rank != last)
            assert_null(all);
        size_t at = 0;
        for (int r = 0; r < ranks; r++) {
            assert_int_equal(sizes[r], 3 * r);
            for (size_t i = 0; i < sizes[r] && all != NULL; i++)
                assert_int_equal(all[at++], r);
        }
        free(all);
    }
}

static double value(int64_t i, int64_t j)
{
    double z = (double)((i * 7919 + j * 104729) % 1000003) / 3.0;
    return i % 3 == 0 ? z * 1e12 : z; /* the order of such a sum shows in its bits */
}

static void check_sum(int64_t total, int64_t length, int dealing)
{
    int ranks = vg_comm_ranks(comm), rank = vg_comm_rank(comm);
    int64_t count = 0, *indices = calloc((size_t)total + 1, sizeof *indices);
    double *parts = calloc((size_t)(total * length) + 1, sizeof *parts), *sum = calloc((size_t)length + 1, sizeof *sum);
    for (int64_t i = total - 1; i >= 0; i--) /* downwards: the order on a rank must not matter either */
        if ((dealing == 0 ? i % ranks : dealing == 1 ? i * ranks / total : ranks - 1) == rank) {
            for (int64_t j = 0; j < length; j++)
                parts[count * length + j] = value(i, j);
            indices[count++] = i;
        }
    assert_int_equal(vg_comm_ordered_sum(comm, total, length, count, indices, parts, sum), VG_OK);
    for (int64_t j = 0; j < length; j++) {
        double expected = total > 0 ? value(0, j) : 0.0;
        for (int64_t i = 1; i < total; i++)
            expected += value(i, j);
        assert_memory_equal(&sum[j], &expected, sizeof expected);
    }
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
            check_sum(40000, 250, dealing); /* in more than one slice: 2^23 / 40000 = 209 columns each */
        check_sum(5, 0, dealing);
        check_sum(0, 4, dealing);
    }
}

static void a_sum_of_wrong_parts_is_a_defect_everywhere(void **state)
{
    (void)state;
    int64_t indices[2] = {0, 0};
    double parts[2] = {1, 2}, sum;
    bool first = vg_comm_rank(comm) == 0;
    assert_int_equal(vg_comm_ordered_sum(comm, 2, 1, first ? 1 : 0, indices, parts, &sum), VG_DEFECT);
    assert_non_null(strstr(vg_message(), "part 1 is on no rank"));
    assert_int_equal(vg_comm_ordered_sum(comm, 2, 1, first ? 2 : 0, indices, parts, &sum), VG_DEFECT);
    assert_non_null(strstr(vg_message(), "twice"));
    indices[1] = 2;
    assert_int_equal(vg_comm_ordered_sum(comm, 2, 1, first ? 2 : 0, indices, parts, &sum), VG_DEFECT);
    indices[1] = -1;
    assert_int_equal(vg_comm_ordered_sum(comm, 2, 1, first ? 2 : 0, indices, parts, &sum), VG_DEFECT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ranks_know_their_place),
        cmocka_unit_test(the_lowest_failing_rank_speaks_for_all),
        cmocka_unit_test(bytes_are_broadcast),
        cmocka_unit_test(unequal_pieces_arrive_in_the_order_of_ranks),
        cmocka_unit_test(the_sum_does_not_depend_on_who_holds_what),
        cmocka_unit_test(a_sum_of_wrong_parts_is_a_defect_everywhere),
    };
    if (vg_comm_start(&comm) != VG_OK) {
        fprintf(stderr, "%s\n", vg_message());
        return 1;
    }
    int failures = cmocka_run_group_tests(tests, NULL, NULL);
    if (failures > 0)
        vg_comm_abort(comm, 1); /* the other ranks may wait for ever */
    vg_comm_finish(comm);
    return 0;
}
