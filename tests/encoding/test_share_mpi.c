/* Protects: a design made by one rank and brought to the others fits as one that each made itself, bit by bit, in every form a design has
 * (by rows, by directions, dual) and type; no rank but the maker factors anything; what fails on one rank fails on all. Runs on 3 ranks
 * (ctest) and any other number, on the device that VG_DEVICE names ("cpu"). Simulated data. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "encoding/twin.h"
#include "ranks.h"
#include "ridge.h"

static const double alphas[4] = {1e-2, 1.0, 30.0, 1e4};

enum { ROWS = 90, VOXELS = 5 };

static vg_folds *make_folds(int64_t outer)
{
    const int64_t runs[1] = {ROWS};
    vg_folds *folds;
    vg_folds_options options = {.run_rows = runs, .runs = 1, .outer_folds = outer, .inner_folds = 3, .gap = 2};
    assert_int_equal(vg_folds_create(&options, &folds), VG_OK);
    return folds;
}

static void fit(vg_ridge_design *design, const double *y, int64_t outers, vg_ridge_result *result)
{
    *result = twin_result(outers, VOXELS);
    assert_int_equal(vg_ridge_fit(&design, 1, (vg_samples){VG_F64, y, ROWS, VOXELS, VOXELS}, NULL, result), VG_OK);
}

/* form: what the first set must have become, so that each form is truly tried. */
static void check(int64_t columns, vg_type type, bool standardize, int64_t outer_folds, int root, bool dual, bool by_directions)
{
    double *x = malloc((size_t)(ROWS * columns) * 8), *y = malloc((size_t)(ROWS * VOXELS) * 8);
    vg_folds *folds = make_folds(outer_folds);
    vg_ridge_plan plan = {.folds = folds, .alphas = alphas, .alpha_count = 4, .type = type, .standardize = standardize};
    vg_samples features = {VG_F64, x, ROWS, columns, columns};
    vg_ridge_design *own, *shared = NULL;
    vg_ridge_result mine, theirs;
    bool maker = vg_comm_rank(comm) == root;
    twin_simulate(7, ROWS, columns, VOXELS, 0.6, 1.0, x, y);
    if (maker)
        assert_int_equal(vg_ridge_design_create(device, &plan, features, &shared), VG_OK);
    int64_t before = vg_ridge_factorizations();
    assert_int_equal(vg_ridge_design_share(comm, root, device, &plan, &shared), VG_OK);
    assert_int_equal(vg_ridge_factorizations(), before);
    assert_int_equal(shared->dual, dual);
    assert_int_equal(shared->factor[0].by_directions, by_directions);
    assert_int_equal(vg_ridge_design_create(device, &plan, features, &own), VG_OK);
    fit(own, y, folds->outer_count, &mine);
    fit(shared, y, folds->outer_count, &theirs);
    assert_memory_equal(mine.score, theirs.score, (size_t)((2 + 5 * folds->outer_count) * VOXELS) * 8);
    vg_ridge_design_free(own);
    vg_ridge_design_free(shared);
    vg_folds_free(folds);
    free(mine.score);
    free(theirs.score);
    free(x);
    free(y);
}

static void a_shared_design_fits_as_an_own_one(void **state)
{
    (void)state;
    int last = vg_comm_ranks(comm) - 1;
    check(12, VG_F64, false, 2, 0, false, true);
    check(12, VG_F32, false, 2, last, false, true);
    check(40, VG_F64, true, 5, 0, false, false);
    check(200, VG_F64, false, 3, last, true, false);
    check(200, VG_F32, true, 1, 0, true, false);
}

static void a_design_that_is_not_there_is_a_defect_everywhere(void **state)
{
    (void)state;
    vg_folds *folds = make_folds(2);
    vg_ridge_plan plan = {.folds = folds, .alphas = alphas, .alpha_count = 4, .type = VG_F64};
    vg_ridge_design *design = NULL;
    assert_int_equal(vg_ridge_design_share(comm, 0, device, &plan, &design), VG_DEFECT);
    assert_null(design);
    vg_folds_free(folds);
}

/* Folds that differ are found before anything is moved into memory of another size. */
static void folds_that_differ_are_a_defect_everywhere(void **state)
{
    (void)state;
    double x[ROWS * 3], y[ROWS * VOXELS];
    if (vg_comm_ranks(comm) == 1)
        skip();
    twin_simulate(7, ROWS, 3, VOXELS, 0.6, 1.0, x, y);
    bool maker = vg_comm_rank(comm) == 0;
    vg_folds *folds = make_folds(maker ? 2 : 3);
    vg_ridge_plan plan = {.folds = folds, .alphas = alphas, .alpha_count = 4, .type = VG_F64};
    vg_ridge_design *design = NULL;
    if (maker)
        assert_int_equal(vg_ridge_design_create(device, &plan, (vg_samples){VG_F64, x, ROWS, 3, 3}, &design), VG_OK);
    assert_int_equal(vg_ridge_design_share(comm, 0, device, &plan, &design), VG_DEFECT);
    assert_true((design != NULL) == maker);
    vg_ridge_design_free(design);
    vg_folds_free(folds);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_shared_design_fits_as_an_own_one),
        cmocka_unit_test(a_design_that_is_not_there_is_a_defect_everywhere),
        cmocka_unit_test(folds_that_differ_are_a_defect_everywhere),
    };
    return ranks_begin() ? ranks_end(cmocka_run_group_tests(tests, NULL, NULL)) : 1;
}
