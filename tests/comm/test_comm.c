/* Protects: a process alone needs no MPI, and everything of comm works in it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "comm_mpi.h"

static void a_process_alone_needs_no_mpi(void **state)
{
    (void)state;
    vg_comm *comm;
    assert_int_equal(vg_comm_alone(&comm), VG_OK);
    assert_int_equal(vg_comm_rank(comm), 0);
    assert_int_equal(vg_comm_ranks(comm), 1);
    assert_int_equal(vg_comm_local_rank(comm), 0);
    assert_int_equal(vg_comm_local_ranks(comm), 1);
    assert_int_equal(vg_comm_agree(comm, VG_OK), VG_OK);
    assert_int_equal(vg_comm_agree(comm, vg_fail(VG_INVALID, "mine")), VG_INVALID);
    assert_string_equal(vg_message(), "mine");
    assert_int_equal(vg_comm_barrier(comm), VG_OK);

    char text[4] = "abc", *all;
    size_t size;
    assert_int_equal(vg_comm_broadcast(comm, text, sizeof text, 0), VG_OK);
    assert_int_equal(vg_comm_gather(comm, text, sizeof text, 0, (void **)&all, &size), VG_OK);
    assert_int_equal(size, sizeof text);
    assert_string_equal(all, "abc");
    free(all);
    vg_comm_finish(comm);
    vg_comm_finish(NULL);

    int started;
    MPI_Initialized(&started);
    assert_false(started);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_process_alone_needs_no_mpi)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
