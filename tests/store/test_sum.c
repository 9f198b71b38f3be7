/* Protects: no spoilt byte of a finished file, nor of its checksums, goes unnoticed, and the message says where. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "folder.h"
#include "sample.h"
#include "sum.h"

static vg_comm *comm;

static void make_sample(void)
{
    sample s = sample_new();
    vg_store_plan plan = sample_plan(path);
    vg_store *store;
    MUST(vg_store_create(comm, &plan, s.layout, &store));
    for (int64_t b = 0; b < BLOCKS; b++)
        sample_block(&s, store, b);
    MUST(vg_store_finish(store));
    vg_store_free(store);
    vg_layout_free(s.layout);
}

static void a_flipped_bit_in_any_4_kb_is_found(void **state)
{
    (void)state;
    bool summed;
    struct stat about;
    char place[64];
    make_sample();
    assert_int_equal(vg_store_verify(comm, path, &summed), VG_OK);
    assert_int_equal(stat(path, &about), 0);
    int64_t pieces = (about.st_size + VG_SUM_PIECE - 1) / VG_SUM_PIECE;
    assert_int_equal(pieces, 2);
    for (int64_t at = 0, i = 0; at < about.st_size; at += 4096, i++) {
        int64_t byte = at + i * 37 % 4096 < about.st_size ? at + i * 37 % 4096 : at;
        flip(path, byte);
        assert_int_equal(vg_store_verify(comm, path, &summed), VG_INVALID);
        snprintf(place, sizeof place, "(piece %d of 2)", (int)(byte / VG_SUM_PIECE) + 1);
        assert_non_null(strstr(vg_message(), place));
        assert_non_null(strstr(vg_message(), "/stories/caf\xC3\xA9/features/gpt-2.small/conductance"));
        flip(path, byte);
    }
    assert_int_equal(vg_store_verify(comm, path, &summed), VG_OK);
}

static void a_file_cut_or_grown_is_found(void **state)
{
    (void)state;
    bool summed;
    size_t size;
    make_sample();
    uint8_t *bytes = read_all(path, &size);
    write_all(path, bytes, size - 1);
    assert_int_equal(vg_store_verify(comm, path, &summed), VG_INVALID);
    assert_non_null(strstr(vg_message(), "were written"));
    bytes[size] = 0;
    write_all(path, bytes, size + 1);
    assert_int_equal(vg_store_verify(comm, path, &summed), VG_INVALID);
    write_all(path, bytes, size);
    assert_int_equal(vg_store_verify(comm, path, &summed), VG_OK);
    free(bytes);
}

static void a_flipped_bit_in_the_checksums_is_found(void **state)
{
    (void)state;
    bool summed;
    size_t size;
    make_sample();
    uint8_t *text = read_all(beside(".sum"), &size);
    for (size_t at = 0; at < size; at++) {
        flip(beside(".sum"), (int64_t)at);
        assert_int_equal(vg_store_verify(comm, path, &summed), VG_INVALID);
        flip(beside(".sum"), (int64_t)at);
    }
    for (size_t cut = 0; cut < size - 1; cut++) {
        vg_sum sum;
        assert_int_equal(vg_sum_parse("x", (char *)text, cut, &sum), VG_INVALID);
    }
    free(text);
}

static void any_text_is_parsed_or_refused(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "",
        "\n",
        "voxgrad checksums 1\n",
        "voxgrad checksums 1\nbytes 9223372036854775807\npiece 1\n",
        "voxgrad checksums 1\nbytes 9223372036854775807\npiece 9223372036854775807\n",
        "voxgrad checksums 1\nbytes -1\npiece 4194304\nend 00000000\n",
        "voxgrad checksums 1\nbytes 0\npiece 0\nend 00000000\n",
        "voxgrad checksums 1\nbytes 0\npiece 4194304\nend 00000000\n",
        "voxgrad checksums 2\nbytes 0\npiece 4194304\nend 00000000\n",
    };
    vg_sum sum;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        assert_int_equal(vg_sum_parse("x", texts[i], strlen(texts[i]), &sum), VG_INVALID);
}

static void a_file_without_checksums_is_not_called_checked(void **state)
{
    (void)state;
    bool summed = true;
    write_all(path, "x", 1);
    assert_int_equal(vg_store_verify(comm, path, &summed), VG_OK);
    assert_false(summed);
    unlink(path);
    assert_int_equal(vg_store_verify(comm, path, &summed), VG_INVALID);
    assert_non_null(strstr(vg_message(), "No such file"));
}

static void shares_cover_all_pieces(void **state)
{
    (void)state;
    for (int64_t pieces = 0; pieces < 20; pieces++)
        for (int ranks = 1; ranks < 8; ranks++) {
            int64_t next = 0, first, count;
            for (int r = 0; r < ranks; r++) {
                vg_sum_share(pieces, r, ranks, &first, &count);
                assert_int_equal(first, next);
                next += count;
            }
            assert_int_equal(next, pieces);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_flipped_bit_in_any_4_kb_is_found, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(a_file_cut_or_grown_is_found, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(a_flipped_bit_in_the_checksums_is_found, make_folder, remove_folder),
        cmocka_unit_test(any_text_is_parsed_or_refused),
        cmocka_unit_test_setup_teardown(a_file_without_checksums_is_not_called_checked, make_folder, remove_folder),
        cmocka_unit_test(shares_cover_all_pieces),
    };
    MUST(vg_comm_alone(&comm));
    int failures = cmocka_run_group_tests(tests, NULL, NULL);
    vg_comm_finish(comm);
    return failures;
}
