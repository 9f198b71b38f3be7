/* Protects the solver's numbers against others' (tests/oracle/make_ridge_goldens.py): himalaya's solve_ridge_cv_svd, scikit-learn's Ridge,
 * and the definition of the defaults written out in numpy. float64: every penalty equal, scores to 1e-8; float32: scores to 1e-5, and the
 * penalties equal except where their own cross-validated scores differ by less than 1e-6. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>

#include "device.h"
#include "npy.h"
#include "twin.h"

enum { HIMALAYA, SKLEARN, ORACLE };

typedef struct {
    int64_t kind, rows, columns, voxels, alpha_count, runs, run_rows[8];
    vg_folds_options folds;
    const double *x, *y, *alphas;
} golden_case;

static int64_t take(const double **at)
{
    return (int64_t) * (*at)++;
}

static golden_case read_case(const double **at)
{
    golden_case c = {.kind = take(at), .rows = take(at)};
    c.columns = take(at);
    c.voxels = take(at);
    c.alpha_count = take(at);
    c.folds.outer_folds = take(at);
    c.folds.inner_folds = take(at);
    c.folds.gap = take(at);
    c.folds.runs = c.runs = take(at);
    for (int64_t i = 0; i < c.runs; i++)
        c.run_rows[i] = take(at);
    c.x = *at;
    c.y = c.x + c.rows * c.columns;
    c.alphas = c.y + c.rows * c.voxels;
    *at = c.alphas + c.alpha_count;
    return c;
}

static double difference(const double *a, const double *b, int64_t n)
{
    double most = 0;
    for (int64_t i = 0; i < n; i++)
        if (!(fabs(a[i] - b[i]) <= most))
            most = fabs(a[i] - b[i]);
    return most;
}

/* float32 may choose another penalty only where the twin finds the two within 1e-6 of each other. */
static void check_penalties(const golden_case *c, const vg_ridge_plan *plan, const double *ours, const double *theirs, bool by_r2)
{
    int64_t v = c->voxels;
    double *r = malloc((size_t)(c->alpha_count * v) * 8), *r2 = malloc((size_t)(c->alpha_count * v) * 8);
    for (int64_t k = 0; k < plan->folds->outer_count; k++) {
        twin_inner(&(twin_data){c->rows, c->columns, v, c->x, c->y, false}, plan, &plan->folds->outer[k], r, r2);
        const double *table = by_r2 ? r2 : r;
        for (int64_t l = 0; l < v; l++) {
            double a = NAN, b = NAN;
            for (int64_t i = 0; i < c->alpha_count; i++) {
                a = ours[k * v + l] == c->alphas[i] ? table[i * v + l] : a;
                b = theirs[k * v + l] == c->alphas[i] ? table[i * v + l] : b;
            }
            assert_true(fabs(a - b) < (plan->type == VG_F64 ? 1e-300 : 1e-6) || ours[k * v + l] == theirs[k * v + l]);
        }
    }
    free(r);
    free(r2);
}

static void check_case(vg_device *device, golden_case *c, vg_type type, const double *expected, int64_t number)
{
    vg_folds *folds;
    c->folds.run_rows = c->run_rows;
    assert_int_equal(vg_folds_create(&c->folds, &folds), VG_OK);
    int64_t v = c->voxels, outers = folds->outer_count;
    vg_ridge_plan plan = {.folds = folds, .alphas = c->alphas, .alpha_count = c->alpha_count, .type = type};
    plan.r2 = c->kind == ORACLE ? VG_R2_POOLED : VG_R2_MEAN;
    vg_ridge_design *design;
    vg_ridge_result result = twin_result(outers, v);
    assert_int_equal(vg_ridge_design_create(device, &plan, (vg_samples){VG_F64, c->x, c->rows, c->columns, c->columns}, &design), VG_OK);
    assert_int_equal(vg_ridge_fit(&design, 1, (vg_samples){VG_F64, c->y, c->rows, v, v}, NULL, &result), VG_OK);
    double most;
    if (c->kind != ORACLE) {
        check_penalties(c, &plan, result.r2_alpha, expected, true);
        most = difference(result.r2, expected + v, v);
    } else {
        check_penalties(c, &plan, result.alpha, expected + v, false);
        check_penalties(c, &plan, result.r2_alpha, expected + 2 * v + 2 * outers * v, true);
        most = fmax(difference(result.score, expected, v), difference(result.inner_score, expected + v + outers * v, outers * v));
        most = fmax(most, difference(result.r2, expected + v + 2 * outers * v, v));
    }
    print_message("case %d, T %d, p %d, %s: scores differ by %.1e\n", (int)number, (int)c->rows, (int)c->columns,
                  type == VG_F64 ? "float64" : "float32", most);
    assert_true(most < (type == VG_F64 ? 1e-8 : 1e-5));
    vg_ridge_design_free(design);
    free(result.score);
    vg_folds_free(folds);
}

static void check_all(vg_type type)
{
    npy inputs = npy_read("ridge_inputs.npy"), outputs = npy_read("ridge_outputs.npy");
    vg_device *device;
    assert_int_equal(vg_device_open(test_device_spec(), 0, 0, &device), VG_OK);
    const double *at = inputs.data, *expected = outputs.data;
    int64_t number = 0;
    for (; at < inputs.data + inputs.count; number++) {
        golden_case c = read_case(&at);
        check_case(device, &c, type, expected, number);
        int64_t outers = c.runs > 1 && c.folds.outer_folds > c.runs ? c.runs : c.folds.outer_folds;
        expected += c.kind == ORACLE ? (2 + 3 * outers) * c.voxels : 2 * c.voxels;
    }
    assert_int_equal(number, 13);
    assert_ptr_equal(expected, outputs.data + outputs.count);
    vg_device_close(device);
    free(inputs.data);
    free(outputs.data);
}

static void test_float64(void **state)
{
    (void)state;
    check_all(VG_F64);
}

static void test_float32(void **state)
{
    (void)state;
    check_all(VG_F32);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_float64), cmocka_unit_test(test_float32)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
