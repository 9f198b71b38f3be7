/* Protects: names that cannot be names are refused, nothing is cut, and two layouts are told apart. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "folder.h"
#include "layout.h"
#include "sample.h"

static void names_that_are_no_names_are_refused(void **state)
{
    (void)state;
    char longest[257];
    memset(longest, 'a', sizeof longest);
    const struct {
        const char *name;
        size_t size;
        const char *said; /* NULL: a good name */
    } cases[] = {
        {"alice", 5, NULL},
        {"caf\xC3\xA9 1.2-x", 11, NULL},
        {"...", 3, NULL},
        {longest, 255, NULL},
        {"", 0, "empty"},
        {longest, 256, "too long"},
        {"a/b", 3, "'/'"},
        {"a\0b", 3, "NUL"},
        {".", 1, "no names"},
        {"..", 2, "no names"},
        {"\xFF", 1, "not UTF-8"},
        {"caf\xC3", 4, "not UTF-8"},
        {"\xED\xA0\x80", 3, "UTF-8"},
        {"/", 1, "'/'"},
        {"\xC0\xAF", 2, "UTF-8"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        vg_status status = vg_store_name_check(cases[i].name, cases[i].size, "story");
        assert_int_equal(status, cases[i].said == NULL ? VG_OK : VG_INVALID);
        if (cases[i].said != NULL) {
            assert_non_null(strstr(vg_message(), cases[i].said));
            assert_non_null(strstr(vg_message(), "story"));
        }
    }
}

static void paths_are_made_of_names(void **state)
{
    (void)state;
    const char *const bad[] = {"", "/", "a", "//a", "/a/", "/a//b", "/a/../b", "/a/.", "/\xFF"};
    vg_layout *layout;
    int64_t rows = 3, index = -1;
    MUST(vg_layout_new(&layout));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(vg_layout_dataset(layout, bad[i], VG_STORE_F32, 0, 1, &rows, &index), VG_INVALID);
        assert_true(index == -1);
    }
    assert_int_equal(vg_layout_text(layout, "a", "name", "x"), VG_INVALID);
    assert_int_equal(vg_layout_text(layout, "/a", "na/me", "x"), VG_INVALID);
    assert_int_equal(vg_layout_text(layout, "/a", "name", "\xFF"), VG_INVALID);
    assert_int_equal(vg_layout_dataset(layout, "/a", VG_STORE_F32, 0, 1, &rows, &index), VG_OK);
    assert_int_equal(index, 0);
    assert_int_equal(vg_layout_dataset(layout, "/big", VG_STORE_F64, 0, 2, (int64_t[]){1LL << 40, 1LL << 40}, NULL), VG_INVALID);
    assert_int_equal(vg_layout_dataset(layout, "/t", VG_STORE_TEXT, 0, 1, &rows, NULL), VG_INVALID);
    assert_int_equal(vg_layout_dataset(layout, "/t", VG_STORE_F32, 0, 4, &rows, NULL), VG_DEFECT);
    vg_layout_free(layout);
    vg_layout_free(NULL);
}

/* In the file, too: what cannot stand together is refused by name, and nothing is left. */
static void what_cannot_stand_together_is_refused(void **state)
{
    (void)state;
    static const char *const pairs[][2] = {{"/a/b", "/a/b"}, {"/a", "/a/b"}, {"/a/b", "/a"}};
    vg_comm *comm;
    MUST(vg_comm_alone(&comm));
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        vg_layout *layout;
        vg_store *store;
        int64_t rows = 3;
        vg_store_plan plan = {.path = path, .plan = "", .blocks = 1, .regions = 1};
        MUST(vg_layout_new(&layout));
        MUST(vg_layout_dataset(layout, pairs[i][0], VG_STORE_F32, 0, 1, &rows, NULL));
        MUST(vg_layout_dataset(layout, pairs[i][1], VG_STORE_F32, 0, 1, &rows, NULL));
        assert_int_equal(vg_store_create(comm, &plan, layout, &store), VG_INVALID);
        assert_non_null(strstr(vg_message(), pairs[i][1]));
        assert_int_equal(count_files(folder), 0);
        vg_layout_free(layout);
    }
    vg_comm_finish(comm);
}

static void records_hold_what_fits(void **state)
{
    (void)state;
    const vg_store_member members[] = {{"name", VG_STORE_TEXT, 4}, {"u8", VG_STORE_U8, 0},   {"i32", VG_STORE_I32, 0},
                                       {"i64", VG_STORE_I64, 0},   {"f32", VG_STORE_F32, 0}, {"f64", VG_STORE_F64, 0}};
    vg_layout *layout;
    int64_t table;
    MUST(vg_layout_new(&layout));
    MUST(vg_layout_table(layout, "/t", members, 6, 2, &table));
    assert_int_equal(vg_layout_element(layout, table), 4 + 1 + 4 + 8 + 4 + 8);
    char record[29], expected[29] = "abcd";
    memset(record, 7, sizeof record);
    assert_int_equal(vg_layout_put_text(layout, table, record, "name", "abcd"), VG_OK);
    assert_memory_equal(record, expected, 4);
    assert_int_equal(vg_layout_put_text(layout, table, record, "name", "x"), VG_OK);
    assert_memory_equal(record, "x\0\0\0", 4); /* what was there before is gone */
    assert_int_equal(vg_layout_put_text(layout, table, record, "name", "abcde"), VG_INVALID);
    assert_int_equal(vg_layout_put_text(layout, table, record, "name", "\xFF"), VG_INVALID);
    assert_int_equal(vg_layout_put_text(layout, table, record, "u8", "x"), VG_DEFECT);
    assert_int_equal(vg_layout_put_number(layout, table, record, "name", 1), VG_DEFECT);
    assert_int_equal(vg_layout_put_number(layout, table, record, "none", 1), VG_DEFECT);
    assert_int_equal(vg_layout_put_integer(layout, table, record, "u8", 255), VG_OK);
    assert_int_equal(vg_layout_put_integer(layout, table, record, "u8", 256), VG_DEFECT);
    assert_int_equal(vg_layout_put_integer(layout, table, record, "u8", -1), VG_DEFECT);
    assert_int_equal(vg_layout_put_integer(layout, table, record, "i32", INT32_MIN), VG_OK);
    assert_int_equal(vg_layout_put_integer(layout, table, record, "i32", 1LL << 31), VG_DEFECT);
    assert_int_equal(vg_layout_put_number(layout, table, record, "i64", 0.5), VG_DEFECT);
    assert_int_equal(vg_layout_put_integer(layout, table, record, "i64", INT64_MAX), VG_OK);
    assert_int_equal(vg_layout_put_number(layout, table, record, "f32", 0.5), VG_OK);
    assert_int_equal(vg_layout_put_number(layout, table, record, "f64", 0.1), VG_OK);
    int32_t i32;
    int64_t i64;
    float f32;
    double f64;
    memcpy(&i32, record + 5, 4);
    memcpy(&i64, record + 9, 8);
    memcpy(&f32, record + 17, 4);
    memcpy(&f64, record + 21, 8);
    assert_true((uint8_t)record[4] == 255 && i32 == INT32_MIN && i64 == INT64_MAX && f32 == 0.5f && f64 == 0.1);
    const vg_store_member twice[] = {{"a", VG_STORE_U8, 0}, {"a", VG_STORE_U8, 0}};
    assert_int_equal(vg_layout_table(layout, "/u", twice, 2, 2, NULL), VG_INVALID);
    vg_layout_free(layout);
}

static uint32_t crc_of(const char *dataset, int64_t rows, const char *attribute, int64_t value)
{
    vg_layout *layout;
    MUST(vg_layout_new(&layout));
    MUST(vg_layout_dataset(layout, dataset, VG_STORE_F32, 0, 1, &rows, NULL));
    MUST(vg_layout_integer(layout, dataset, attribute, value));
    uint32_t crc = vg_layout_crc(layout);
    vg_layout_free(layout);
    return crc;
}

static void layouts_are_told_apart(void **state)
{
    (void)state;
    uint32_t one = crc_of("/a", 3, "n", 1);
    assert_int_equal(one, crc_of("/a", 3, "n", 1));
    assert_int_not_equal(one, crc_of("/b", 3, "n", 1));
    assert_int_not_equal(one, crc_of("/a", 4, "n", 1));
    assert_int_not_equal(one, crc_of("/a", 3, "m", 1));
    assert_int_not_equal(one, crc_of("/a", 3, "n", 2));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_that_are_no_names_are_refused),
        cmocka_unit_test(paths_are_made_of_names),
        cmocka_unit_test_setup_teardown(what_cannot_stand_together_is_refused, make_folder, remove_folder),
        cmocka_unit_test(records_hold_what_fits),
        cmocka_unit_test(layouts_are_told_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
