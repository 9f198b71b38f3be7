/* Protects: filters and z-scores are what numpy and scipy make of the same responses, for any width and number of threads; dead columns
 * stay harmless; a filter that leaves nothing is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <math.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>

#include "npy.h"
#include "voxgrad/brain.h"

static const int64_t whole[2] = {0, 0};

static vg_matrix read_responses(void)
{
    npy y = npy_read("brain_responses.npy");
    vg_matrix m = {.data = malloc((size_t)y.count * sizeof(float)), .rows = y.shape[0], .columns = y.shape[1], .ld = y.shape[1]};
    for (int64_t i = 0; i < y.count; i++)
        m.data[i] = (float)y.data[i];
    free(y.data);
    return m;
}

/* In place; what comes out against the golden's columns, relative to its largest value. */
static void compare(const char *name, vg_filter_options options, const int64_t trim[2], bool standardize)
{
    vg_matrix y = read_responses(), out = y;
    npy golden = npy_read(name);
    vg_filter *filter;
    if (vg_filter_create(&options, 2, y.rows, &filter) != VG_OK)
        fail_msg("%s: %s", name, vg_message());
    out.rows -= trim[0] + trim[1];
    assert_int_equal(vg_filter_apply(filter, y, trim, standardize, out), VG_OK);
    assert_int_equal(out.rows, golden.shape[0]);
    double worst = 0, largest = 0;
    for (int64_t t = 0; t < out.rows; t++)
        for (int64_t v = 0; v < golden.shape[1]; v++) {
            double expected = golden.data[t * golden.shape[1] + v];
            double difference = fabs((double)out.data[t * out.ld + v] - expected);
            assert_true(isfinite(difference));
            worst = fmax(worst, difference);
            largest = fmax(largest, fabs(expected));
        }
    print_message("%s: largest difference %.2g\n", name, worst / largest);
    assert_true(worst / largest < 1e-6);
    vg_filter_free(filter);
    free(golden.data);
    free(y.data);
}

static void filters_agree_with_numpy_and_scipy(void **state)
{
    (void)state;
    compare("brain_high_pass.npy", (vg_filter_options){.kind = VG_FILTER_HIGH_PASS, .seconds = 40}, whole, true);
    compare("brain_high_pass_trim.npy", (vg_filter_options){.kind = VG_FILTER_HIGH_PASS, .seconds = 40}, (const int64_t[2]){2, 5}, true);
    compare("brain_polynomial.npy", (vg_filter_options){.kind = VG_FILTER_POLYNOMIAL, .order = 3}, whole, true);
    compare("brain_savgol.npy", (vg_filter_options){.kind = VG_FILTER_SAVGOL, .seconds = 40, .order = 3}, whole, false);
    compare("brain_plain.npy", (vg_filter_options){.kind = VG_FILTER_NONE}, whole, true);
}

static void nothing_is_done_without_filter_and_standardisation(void **state)
{
    (void)state;
    vg_matrix y = read_responses(), before = read_responses();
    vg_filter *filter;
    assert_int_equal(vg_filter_create(&(vg_filter_options){.kind = VG_FILTER_NONE}, 2, y.rows, &filter), VG_OK);
    assert_int_equal(vg_filter_apply(filter, y, whole, false, y), VG_OK);
    assert_memory_equal(y.data, before.data, (size_t)(y.rows * y.ld) * sizeof(float));
    vg_filter_free(filter);
    free(y.data);
    free(before.data);
}

/* A column's result is its own, bit by bit: not its neighbours', not the tile's, not the threads'. */
static void a_column_does_not_depend_on_its_neighbours(void **state)
{
    (void)state;
    vg_matrix y = read_responses(), all = read_responses();
    vg_filter *filter;
    assert_int_equal(vg_filter_create(&(vg_filter_options){.kind = VG_FILTER_SAVGOL, .seconds = 30, .order = 2}, 2, y.rows, &filter),
                     VG_OK);
    omp_set_num_threads(3);
    assert_int_equal(vg_filter_apply(filter, all, whole, true, all), VG_OK);
    omp_set_num_threads(1);
    for (int64_t v = 0; v < y.columns; v++) {
        vg_matrix one = {.data = y.data + v, .rows = y.rows, .columns = 1, .ld = y.ld};
        assert_int_equal(vg_filter_apply(filter, one, whole, true, one), VG_OK);
    }
    assert_memory_equal(y.data, all.data, (size_t)(y.rows * y.ld) * sizeof(float));
    vg_filter_free(filter);
    free(y.data);
    free(all.data);
}

static void dead_columns_stay_alone(void **state)
{
    (void)state;
    float data[] = {1, 7, 1, 2, 7, INFINITY, 4, 7, 3};
    vg_matrix m = {data, 3, 3, 3};
    uint8_t states[3] = {0};
    vg_voxels_judge(m, states);
    vg_voxel_counts counts = vg_voxels_count(states, 3);
    assert_int_equal(counts.usable, 1);
    assert_int_equal(counts.constant, 1);
    assert_int_equal(counts.not_finite, 1);
    assert_int_equal(vg_standardize(m), VG_OK);
    for (int t = 0; t < 3; t++) {
        assert_true(data[3 * t + 1] == 0);
        assert_true(isnan(data[3 * t + 2]));
        assert_true(isfinite(data[3 * t]));
    }
    float second[] = {1, 2, 1, 1, 3, 2, 1, 9, 4};
    vg_voxels_judge((vg_matrix){second, 3, 3, 3}, states); /* another run: the first voxel is constant there */
    assert_int_equal(vg_voxels_count(states, 3).usable, 0);
    assert_int_equal(states[2], VG_VOXEL_NOT_FINITE);
}

static void impossible_filters_are_refused(void **state)
{
    (void)state;
    static const struct {
        vg_filter_options options;
        double tr;
        int64_t rows;
        const char *says;
    } cases[] = {
        {{.kind = VG_FILTER_HIGH_PASS, .seconds = 2}, 2, 50, "leaves nothing"},
        {{.kind = VG_FILTER_HIGH_PASS, .seconds = 1e-300}, 2, 50, "leaves nothing"},
        {{.kind = VG_FILTER_HIGH_PASS, .seconds = 0}, 2, 50, "above 0 s"},
        {{.kind = VG_FILTER_HIGH_PASS, .seconds = NAN}, 2, 50, "above 0 s"},
        {{.kind = VG_FILTER_SAVGOL, .seconds = 101, .order = 3}, 2, 50, "longer"},
        {{.kind = VG_FILTER_SAVGOL, .seconds = 1e300, .order = 3}, 2, 50, "longer"},
        {{.kind = VG_FILTER_SAVGOL, .seconds = 6, .order = 3}, 2, 50, "leaves nothing"},
        {{.kind = VG_FILTER_POLYNOMIAL, .order = -1}, 2, 50, "negative"},
        {{.kind = VG_FILTER_POLYNOMIAL, .order = 50}, 2, 50, "leaves nothing"},
        {{.kind = VG_FILTER_NONE}, 0, 50, "TR above 0"},
        {{.kind = VG_FILTER_NONE}, 2, 0, "needs rows"},
    };
    vg_filter *filter;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_int_equal(vg_filter_create(&cases[i].options, cases[i].tr, cases[i].rows, &filter), VG_INVALID);
        if (strstr(vg_message(), cases[i].says) == NULL)
            fail_msg("case %zu: \"%s\" does not say \"%s\"", i, vg_message(), cases[i].says);
        assert_null(filter);
    }
    float data[4] = {0};
    vg_matrix m = {data, 4, 1, 1};
    assert_int_equal(vg_filter_create(&(vg_filter_options){.kind = VG_FILTER_NONE}, 2, 4, &filter), VG_OK);
    assert_int_equal(vg_filter_apply(filter, m, (const int64_t[2]){2, 2}, false, m), VG_INVALID);
    assert_int_equal(vg_filter_apply(filter, m, (const int64_t[2]){1, 0}, false, m), VG_INVALID);
    vg_filter_free(filter);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(filters_agree_with_numpy_and_scipy),
        cmocka_unit_test(nothing_is_done_without_filter_and_standardisation),
        cmocka_unit_test(a_column_does_not_depend_on_its_neighbours),
        cmocka_unit_test(dead_columns_stay_alone),
        cmocka_unit_test(impossible_filters_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
