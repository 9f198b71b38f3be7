/* Protects: a file written by several ranks is whole, a resumed one too, and a fault of one rank is every rank's. With "write PATH" it only
 * writes the sample file: test_bitwise.sh does so on other numbers of ranks and compares the bytes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <unistd.h>

#include "sample.h"

static vg_comm *comm;
static char folder[64], path[96];

static void write_blocks(const sample *s, vg_store *store, int64_t from, int64_t to)
{
    for (int64_t b = from; b < to; b++)
        if (b % vg_comm_ranks(comm) == vg_comm_rank(comm) && !vg_store_whole(store, b))
            sample_block(s, store, b);
}

static void write_sample(const char *name)
{
    sample s = sample_new();
    vg_store_plan plan = sample_plan(name);
    vg_store *store;
    MUST(vg_store_create(comm, &plan, s.layout, &store));
    write_blocks(&s, store, 0, BLOCKS);
    MUST(vg_store_finish(store));
    vg_store_free(store);
    vg_layout_free(s.layout);
}

static void several_ranks_write_one_file(void **state)
{
    (void)state;
    bool summed = false;
    write_sample(path);
    assert_int_equal(vg_store_verify(comm, path, &summed), VG_OK);
    assert_true(summed);
    if (vg_comm_rank(comm) != 0)
        return;
    vg_store_file *file;
    vg_store_space *spaces;
    int64_t count;
    MUST(vg_store_open(path, &file));
    MUST(vg_features_list(file, &spaces, &count));
    assert_int_equal(count, 3);
    float *values = calloc(WORDS * UNITS, sizeof *values);
    uint8_t *valid = calloc(WORDS * UNITS, 1);
    for (int64_t i = 0; i < count; i++) {
        MUST(vg_features_read(file, &spaces[i], values, valid));
        for (int64_t j = 0; j < spaces[i].words * spaces[i].columns; j++)
            assert_true(values[j] == sample_value(j / spaces[i].columns, j % spaces[i].columns) && valid[j] == 1);
    }
    free(values);
    free(valid);
    vg_features_list_free(spaces, count);
    vg_store_close(file);
}

static void another_number_of_ranks_goes_on(void **state)
{
    (void)state;
    sample s = sample_new();
    vg_store_plan plan = sample_plan(path);
    vg_store *store;
    if (vg_comm_rank(comm) == 0) { /* as if a run of one rank had been killed */
        vg_comm *alone;
        MUST(vg_comm_alone(&alone));
        MUST(vg_store_create(alone, &plan, s.layout, &store));
        sample_block(&s, store, 3);
        sample_block(&s, store, 8);
        vg_store_free(store);
        vg_comm_finish(alone);
    }
    MUST(vg_comm_barrier(comm));
    assert_int_equal(vg_store_create(comm, &plan, s.layout, &store), VG_INVALID);
    assert_non_null(strstr(vg_message(), "unfinished"));
    assert_int_equal(vg_store_resume(comm, &plan, s.layout, &store), VG_OK);
    assert_int_equal(vg_store_whole_count(store), 2);
    assert_true(vg_store_whole(store, 3) && vg_store_whole(store, 8) && !vg_store_whole(store, 4));
    write_blocks(&s, store, 0, BLOCKS);
    assert_int_equal(vg_store_finish(store), VG_OK);
    vg_store_free(store);
    vg_layout_free(s.layout);
}

static void a_fault_of_one_rank_is_everybodys(void **state)
{
    (void)state;
    sample s = sample_new();
    vg_store_plan plan = sample_plan(path);
    vg_store *store;
    int last = vg_comm_ranks(comm) - 1;
    if (last > 0) {
        plan.plan = vg_comm_rank(comm) == last ? "version: 2\n" : "version: 1\n";
        assert_int_equal(vg_store_create(comm, &plan, s.layout, &store), VG_DEFECT);
        assert_null(store);
    }
    plan = sample_plan(path);
    MUST(vg_store_create(comm, &plan, s.layout, &store));
    write_blocks(&s, store, 0, BLOCKS - 1);
    assert_int_equal(vg_store_finish(store), VG_DEFECT);
    assert_non_null(strstr(vg_message(), "block 15 was never committed"));
    vg_store_free(store);
    vg_layout_free(s.layout);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(several_ranks_write_one_file),
        cmocka_unit_test(another_number_of_ranks_goes_on),
        cmocka_unit_test(a_fault_of_one_rank_is_everybodys),
    };
    MUST(vg_comm_start(&comm));
    if (argc == 3 && strcmp(argv[1], "write") == 0) {
        write_sample(argv[2]);
        vg_comm_finish(comm);
        return 0;
    }
    snprintf(folder, sizeof folder, "/tmp/vg_store_mpi_XXXXXX");
    if (vg_comm_rank(comm) == 0 && mkdtemp(folder) == NULL)
        vg_comm_abort(comm, 1);
    MUST(vg_comm_broadcast(comm, folder, sizeof folder, 0));
    snprintf(path, sizeof path, "%s/features.h5", folder);
    int failures = cmocka_run_group_tests(tests, NULL, NULL);
    if (failures > 0)
        vg_comm_abort(comm, 1);
    MUST(vg_comm_barrier(comm));
    if (vg_comm_rank(comm) == 0) {
        const char *const ends[] = {"", ".sum", ".part", ".part.journal"};
        for (int i = 0; i < 4; i++) {
            char name[128];
            snprintf(name, sizeof name, "%s%s", path, ends[i]);
            unlink(name);
        }
        rmdir(folder);
    }
    vg_comm_finish(comm);
    return 0;
}
