/* Protects the folds: who trains and who is held out, by hand-counted cases and by what must hold of any folds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "voxgrad/encoding.h"

static vg_folds *create(vg_folds_options options)
{
    vg_folds *folds;
    vg_status status = vg_folds_create(&options, &folds);
    if (status != VG_OK)
        print_message("%s\n", vg_message());
    assert_int_equal(status, VG_OK);
    return folds;
}

static void assert_ranges(const vg_range *ranges, int64_t count, const int64_t *expected, int64_t expected_count)
{
    assert_int_equal(count, expected_count);
    for (int64_t i = 0; i < count; i++) {
        assert_int_equal(ranges[i].begin, expected[2 * i]);
        assert_int_equal(ranges[i].end, expected[2 * i + 1]);
    }
}
#define ASSERT_RANGES(ranges, count, ...) \
    assert_ranges(ranges, count, (const int64_t[]){__VA_ARGS__}, (int64_t)(sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t) / 2))

/* 11 rows in 3 blocks are 4, 4, 3; a gap of 1 takes one row at each border. */
static void test_one_run(void **state)
{
    (void)state;
    vg_folds *folds = create((vg_folds_options){.run_rows = (int64_t[]){11}, .runs = 1, .outer_folds = 3, .inner_folds = 2, .gap = 1});
    assert_true(folds->nested);
    assert_int_equal(folds->outer_count, 3);
    ASSERT_RANGES(folds->outer[0].test, folds->outer[0].test_ranges, 0, 4);
    ASSERT_RANGES(folds->outer[0].train, folds->outer[0].train_ranges, 5, 11);
    ASSERT_RANGES(folds->outer[1].test, folds->outer[1].test_ranges, 4, 8);
    ASSERT_RANGES(folds->outer[1].train, folds->outer[1].train_ranges, 0, 3, 9, 11);
    ASSERT_RANGES(folds->outer[2].test, folds->outer[2].test_ranges, 8, 11);
    ASSERT_RANGES(folds->outer[2].train, folds->outer[2].train_ranges, 0, 7);
    /* rows 0 1 2 | 9 10 : the first three and the last two of what remains; rows 2 and 9 are 7 apart, so nothing more is dropped */
    const vg_fold *inner = folds->outer[1].inner;
    assert_int_equal(folds->outer[1].inner_count, 2);
    ASSERT_RANGES(inner[0].test, inner[0].test_ranges, 0, 3);
    ASSERT_RANGES(inner[0].train, inner[0].train_ranges, 9, 11);
    /* rows 0..6 of the last: 4 and 3, and the gap drops row 4 and row 3 */
    inner = folds->outer[2].inner;
    ASSERT_RANGES(inner[0].train, inner[0].train_ranges, 5, 7);
    ASSERT_RANGES(inner[1].train, inner[1].train_ranges, 0, 3);
    assert_int_equal(inner[1].train_rows, 3);
    vg_folds_free(folds);
}

/* An inner block that spans the removed outer block is held out on both sides of it. */
static void test_inner_block_spans_the_outer_one(void **state)
{
    (void)state;
    vg_folds *folds = create((vg_folds_options){.run_rows = (int64_t[]){9}, .runs = 1, .outer_folds = 3, .inner_folds = 3});
    const vg_fold *inner = folds->outer[1].inner;
    ASSERT_RANGES(inner[1].test, inner[1].test_ranges, 2, 3, 6, 7);
    ASSERT_RANGES(inner[1].train, inner[1].train_ranges, 0, 2, 7, 9);
    vg_folds_free(folds);
}

/* Whole runs are folds; no gap reaches across their borders; one remaining run is cut into blocks. */
static void test_runs(void **state)
{
    (void)state;
    vg_folds *folds = create((vg_folds_options){.run_rows = (int64_t[]){4, 3, 5}, .runs = 3, .outer_folds = 5, .inner_folds = 5, .gap = 2});
    assert_int_equal(folds->outer_count, 3);
    ASSERT_RANGES(folds->outer[1].test, folds->outer[1].test_ranges, 4, 7);
    ASSERT_RANGES(folds->outer[1].train, folds->outer[1].train_ranges, 0, 4, 7, 12);
    assert_int_equal(folds->outer[1].inner_count, 2);
    ASSERT_RANGES(folds->outer[1].inner[0].test, 1, 0, 4);
    ASSERT_RANGES(folds->outer[1].inner[0].train, 1, 7, 12);
    vg_folds_free(folds);

    folds = create((vg_folds_options){.run_rows = (int64_t[]){6, 6}, .runs = 2, .outer_folds = 2, .inner_folds = 3, .gap = 1});
    ASSERT_RANGES(folds->outer[0].train, folds->outer[0].train_ranges, 6, 12);
    assert_int_equal(folds->outer[0].inner_count, 3);
    ASSERT_RANGES(folds->outer[0].inner[1].test, 1, 8, 10);
    ASSERT_RANGES(folds->outer[0].inner[1].train, 2, 6, 7, 11, 12);
    vg_folds_free(folds);

    folds = create((vg_folds_options){.run_rows = (int64_t[]){2, 2, 2, 2, 2}, .runs = 5, .outer_folds = 2, .inner_folds = 2});
    assert_int_equal(folds->outer_count, 2); /* five runs in two folds: three and two */
    ASSERT_RANGES(folds->outer[0].test, 1, 0, 6);
    vg_folds_free(folds);
}

static void test_split(void **state)
{
    (void)state;
    vg_folds *folds = create((vg_folds_options){
        .run_rows = (int64_t[]){4, 3, 5}, .runs = 3, .outer_folds = 5, .inner_folds = 2, .test_runs = (int64_t[]){1}, .test_count = 1});
    assert_int_equal(folds->outer_count, 1);
    assert_true(folds->nested);
    ASSERT_RANGES(folds->outer[0].test, folds->outer[0].test_ranges, 4, 7);
    assert_int_equal(folds->outer[0].inner_count, 2);
    vg_folds_free(folds);
}

static void test_one_level(void **state)
{
    (void)state;
    vg_folds *folds = create((vg_folds_options){.run_rows = (int64_t[]){10}, .runs = 1, .outer_folds = 1, .inner_folds = 3});
    assert_false(folds->nested);
    assert_int_equal(folds->outer_count, 1);
    assert_int_equal(folds->outer[0].test_rows, 0);
    assert_int_equal(folds->outer[0].train_rows, 10);
    ASSERT_RANGES(folds->outer[0].inner[0].test, 1, 0, 4);
    vg_folds_free(folds);
}

static int64_t marks_of(const vg_range *ranges, int64_t count, int64_t row)
{
    int64_t hits = 0;
    for (int64_t i = 0; i < count; i++)
        hits += row >= ranges[i].begin && row < ranges[i].end;
    return hits;
}

/* Whatever the runs, blocks and gap: held-out sets divide what there was, no training row is held out or within the gap of one
 * (a leak), and no row is dropped without such a reason. */
static void check_fold(const vg_fold *fold, const int64_t *run, int64_t rows, int64_t gap, const vg_fold *within)
{
    for (int64_t t = 0; t < rows; t++) {
        bool train = marks_of(fold->train, fold->train_ranges, t), test = marks_of(fold->test, fold->test_ranges, t), near = false;
        for (int64_t u = t - gap; u <= t + gap; u++)
            near |= u >= 0 && u < rows && run[u] == run[t] && marks_of(fold->test, fold->test_ranges, u);
        bool may = within == NULL || marks_of(within->train, within->train_ranges, t);
        assert_int_equal(train, may && !near);
        assert_true(!test || may);
    }
}

static void test_invariants(void **state)
{
    (void)state;
    for (uint64_t trial = 0; trial < 60; trial++) {
        int64_t runs = 1 + (int64_t)(vg_random_bits(trial, VG_RANDOM_TEST, 0) % 4), run_rows[4], rows = 0, run[400];
        for (int64_t i = 0; i < runs; i++) {
            run_rows[i] = 60 + (int64_t)(vg_random_bits(trial, VG_RANDOM_TEST, (uint64_t)i + 1) % 40);
            for (int64_t end = rows + run_rows[i]; rows < end; rows++)
                run[rows] = i;
        }
        int64_t gap = (int64_t)(vg_random_bits(trial, VG_RANDOM_TEST, 9) % 6);
        vg_folds *folds = create((vg_folds_options){.run_rows = run_rows, .runs = runs, .outer_folds = 3, .inner_folds = 3, .gap = gap});
        for (int64_t t = 0; t < rows; t++) {
            int64_t held = 0;
            for (int64_t k = 0; k < folds->outer_count; k++)
                held += marks_of(folds->outer[k].test, folds->outer[k].test_ranges, t);
            assert_int_equal(held, 1);
        }
        for (int64_t k = 0; k < folds->outer_count; k++) {
            const vg_fold *outer = &folds->outer[k];
            check_fold(outer, run, rows, gap, NULL);
            int64_t held = 0;
            for (int64_t j = 0; j < outer->inner_count; j++) {
                check_fold(&outer->inner[j], run, rows, gap, outer);
                held += outer->inner[j].test_rows;
            }
            assert_int_equal(held, outer->train_rows);
        }
        vg_folds_free(folds);
    }
}

static void test_errors_say_what_to_do(void **state)
{
    (void)state;
    vg_folds *folds;
    const vg_folds_options bad[] = {
        {.run_rows = (int64_t[]){3}, .runs = 1, .outer_folds = 5, .inner_folds = 2},
        {.run_rows = (int64_t[]){20}, .runs = 1, .outer_folds = 2, .inner_folds = 2, .gap = 30},
        {.run_rows = (int64_t[]){20}, .runs = 1, .outer_folds = 2, .inner_folds = 1},
        {.run_rows = (int64_t[]){20}, .runs = 1, .outer_folds = 0, .inner_folds = 2},
        {.run_rows = (int64_t[]){20, 0}, .runs = 2, .outer_folds = 2, .inner_folds = 2},
        {.run_rows = (int64_t[]){20, INT64_MAX}, .runs = 2, .outer_folds = 2, .inner_folds = 2},
        {.run_rows = NULL, .runs = 0, .outer_folds = 2, .inner_folds = 2},
        {.run_rows = (int64_t[]){20, 20}, .runs = 2, .outer_folds = 2, .inner_folds = 2, .test_runs = (int64_t[]){2}, .test_count = 1},
        {.run_rows = (int64_t[]){20}, .runs = 1, .outer_folds = 2, .inner_folds = 2, .test_runs = (int64_t[]){0}, .test_count = 1},
        {.run_rows = (int64_t[]){6}, .runs = 1, .outer_folds = 2, .inner_folds = 4},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(vg_folds_create(&bad[i], &folds), VG_INVALID);
        assert_null(folds);
        assert_true(vg_message()[0] != '\0');
    }
    assert_int_equal(vg_folds_create(&bad[1], &folds), VG_INVALID);
    assert_string_equal(vg_message(), "outer fold 1: no row is left to train on; make the gap (30) smaller or the folds fewer");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_run),
        cmocka_unit_test(test_inner_block_spans_the_outer_one),
        cmocka_unit_test(test_runs),
        cmocka_unit_test(test_split),
        cmocka_unit_test(test_one_level),
        cmocka_unit_test(test_invariants),
        cmocka_unit_test(test_errors_say_what_to_do),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
