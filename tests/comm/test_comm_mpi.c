/* Protects: what one rank fails at, all ranks report in the same words; bytes of unequal sizes arrive in order. Runs on 3 ranks (ctest)
 * and on any other number, 1 included. */
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ranks_know_their_place),
        cmocka_unit_test(the_lowest_failing_rank_speaks_for_all),
        cmocka_unit_test(bytes_are_broadcast),
        cmocka_unit_test(unequal_pieces_arrive_in_the_order_of_ranks),
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
