/* Protects the ridge solver: against the slow twin at several shapes, both forms (primal, dual), nested and not, with gaps, runs and
 * splits; what it must do with constants, duplicates and bad input; that threads, tiles' company and other spaces do not change a bit. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "bed.h"
#include "ridge.h"
#include "twin.h"

#define ASSERT_OK(call)                          \
    do {                                         \
        vg_status status_ = (call);              \
        if (status_ != VG_OK)                    \
            print_message("%s\n", vg_message()); \
        assert_int_equal(status_, VG_OK);        \
    } while (0)

static const double alphas[] = {1e3, 0.1, 10, 1e5, 1, 100, 3, 30, 1e4, 0.01, 1e6, 300}; /* in no order */
enum { ALPHAS = sizeof alphas / sizeof alphas[0] };

static double *to_double(int64_t n)
{
    return calloc((size_t)(n > 0 ? n : 1), sizeof(double));
}

static vg_samples as_double(const double *x, int64_t rows, int64_t columns)
{
    return (vg_samples){VG_F64, x, rows, columns, columns};
}

/* A copy in float32, with some columns of padding. */
static vg_samples as_float(const double *x, int64_t rows, int64_t columns)
{
    float *narrow = malloc((size_t)(rows * (columns + 3)) * sizeof(float));
    for (int64_t t = 0; t < rows; t++)
        for (int64_t j = 0; j < columns + 3; j++)
            narrow[t * (columns + 3) + j] = j < columns ? (float)x[t * columns + j] : NAN;
    return (vg_samples){VG_F32, narrow, rows, columns, columns + 3};
}

static double largest_difference(const double *a, const double *b, int64_t n)
{
    double most = 0;
    for (int64_t i = 0; i < n; i++)
        if (!(fabs(a[i] - b[i]) <= most))
            most = isnan(a[i]) != isnan(b[i]) ? INFINITY : isnan(a[i]) ? most : fabs(a[i] - b[i]);
    return most;
}

static void fit(const vg_ridge_plan *plan, vg_samples x, vg_samples y, vg_ridge_result *result)
{
    vg_ridge_design *design;
    ASSERT_OK(vg_ridge_design_create(device, plan, x, &design));
    ASSERT_OK(vg_ridge_fit(&design, 1, y, NULL, result));
    vg_ridge_design_free(design);
}

typedef struct {
    const char *name;
    vg_folds_options folds;
    int64_t columns, voxels, tile;
    double smooth, noise, offset; /* offset: of the responses, in their own size */
    vg_r2_kind r2;
    bool standardize;
    enum { BY_DIRECTIONS, BY_ROWS, DUAL } form;
} shape;

static const shape shapes[] = {
    {"more held-out rows than features", {(int64_t[]){120}, 1, 3, 4, 2, NULL, 0}, 7, 9, 0, 0.5, 1, 0, VG_R2_POOLED, false, BY_DIRECTIONS},
    {"more features than held-out rows",
     {(int64_t[]){130}, 1, 3, 5, 3, NULL, 0},
     31,
     11,
     4,
     0.9,
     2,
     1e3,
     VG_R2_POOLED,
     false,
     BY_DIRECTIONS},
    {"one feature", {(int64_t[]){40}, 1, 4, 3, 0, NULL, 0}, 1, 5, 0, 0, 1, 0, VG_R2_MEAN, false, BY_ROWS},
    {"p = T", {(int64_t[]){60}, 1, 5, 5, 0, NULL, 0}, 60, 8, 0, 0.3, 1, 0, VG_R2_POOLED, false, DUAL},
    {"dual", {(int64_t[]){60}, 1, 3, 3, 1, NULL, 0}, 80, 66, 64, 0.3, 1, 10, VG_R2_MEAN, false, DUAL},
    {"unequal folds", {(int64_t[]){83}, 1, 4, 3, 0, NULL, 0}, 10, 6, 0, 0, 5, 0, VG_R2_POOLED, false, BY_DIRECTIONS},
    {"runs", {(int64_t[]){30, 41, 26, 37}, 4, 5, 5, 4, NULL, 0}, 6, 5, 0, 0.5, 1, 0, VG_R2_POOLED, false, BY_DIRECTIONS},
    {"split", {(int64_t[]){30, 41, 26}, 3, 5, 3, 4, (int64_t[]){1}, 1}, 6, 5, 0, 0.5, 1, 0, VG_R2_POOLED, false, BY_DIRECTIONS},
    {"not nested", {(int64_t[]){90}, 1, 1, 5, 0, NULL, 0}, 12, 7, 0, 0.5, 1, 0, VG_R2_MEAN, false, BY_DIRECTIONS},
    {"not nested, dual", {(int64_t[]){50}, 1, 1, 4, 0, NULL, 0}, 80, 7, 0, 0.5, 1, 0, VG_R2_POOLED, false, DUAL},
    {"standardised by training rows", {(int64_t[]){100}, 1, 3, 3, 2, NULL, 0}, 9, 6, 0, 0.8, 1, 0, VG_R2_POOLED, true, BY_DIRECTIONS},
    {"standardised by training rows, dual", {(int64_t[]){40}, 1, 3, 3, 0, NULL, 0}, 90, 6, 0, 0.8, 1, 0, VG_R2_POOLED, true, DUAL},
};

/* Each form that the solver has must be among the shapes. */
static void check_form(const vg_ridge_plan *plan, vg_samples x, int form)
{
    vg_ridge_design *design;
    ASSERT_OK(vg_ridge_design_create(device, plan, x, &design));
    assert_int_equal(design->dual ? DUAL : design->factor[0].by_directions ? BY_DIRECTIONS : BY_ROWS, form);
    vg_ridge_design_free(design);
}

static void compare(const shape *s, vg_type type, double tolerance)
{
    vg_folds *folds;
    ASSERT_OK(vg_folds_create(&s->folds, &folds));
    int64_t rows = folds->rows, p = s->columns, v = s->voxels, outers = folds->outer_count;
    double *x = to_double(rows * p), *y = to_double(rows * v);
    twin_simulate((uint64_t)p, rows, p, v, s->smooth, s->noise, x, y);
    vg_samples narrow_x = as_float(x, rows, p), narrow_y = as_float(y, rows, v);
    for (int64_t i = 0; i < rows * v; i++)
        y[i] = (type == VG_F32 ? (double)(float)(y[i] + s->offset) : y[i] + s->offset);
    for (int64_t t = 0; type == VG_F32 && t < rows; t++) {
        for (int64_t j = 0; j < p; j++)
            x[t * p + j] = (double)((const float *)narrow_x.data)[t * narrow_x.ld + j];
        for (int64_t l = 0; l < v; l++)
            ((float *)(uintptr_t)narrow_y.data)[t * narrow_y.ld + l] = (float)y[t * v + l];
    }
    vg_ridge_plan plan = {
        .folds = folds, .alphas = alphas, .alpha_count = ALPHAS, .type = type, .r2 = s->r2, .standardize = s->standardize, .tile = s->tile};
    vg_ridge_result ours = twin_result(outers, v), twins = twin_result(outers, v);
    check_form(&plan, type == VG_F32 ? narrow_x : as_double(x, rows, p), s->form);
    fit(&plan, type == VG_F32 ? narrow_x : as_double(x, rows, p), type == VG_F32 ? narrow_y : as_double(y, rows, v), &ours);
    twin_data data = {rows, p, v, x, y, s->standardize};
    twin_fit(&data, &plan, &twins);
    int64_t differ = 0;
    for (int64_t i = 0; i < outers * v; i++)
        differ += ours.alpha[i] != twins.alpha[i] || ours.r2_alpha[i] != twins.r2_alpha[i];
    double most = fmax(largest_difference(ours.inner_score, twins.inner_score, outers * v),
                       largest_difference(ours.inner_r2, twins.inner_r2, outers * v));
    print_message("%s, %s: inner scores differ by %.1e, %d of %d penalties", s->name, type == VG_F32 ? "float32" : "float64", most,
                  (int)differ, (int)(outers * v));
    assert_true(most <= tolerance);
    if (type == VG_F64)
        assert_int_equal(differ, 0);
    if (differ == 0) { /* the same penalties: the outer scores follow */
        most = fmax(largest_difference(ours.fold_score, twins.fold_score, outers * v), largest_difference(ours.score, twins.score, v));
        most = fmax(most, largest_difference(ours.r2, twins.r2, v));
        print_message("; outer ones by %.1e", most);
        assert_true(most <= tolerance);
    }
    print_message("\n");
    free(ours.score);
    free(twins.score);
    free(x);
    free(y);
    free((void *)(uintptr_t)narrow_x.data);
    free((void *)(uintptr_t)narrow_y.data);
    vg_folds_free(folds);
}

static void test_agrees_with_the_twin(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++)
        compare(&shapes[i], VG_F64, 1e-9);
}

static void test_float32_agrees_with_the_twin(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++)
        compare(&shapes[i], VG_F32, 1e-5);
}

/* ---- what is not ordinary ------------------------------------------------------------------------------------------------ */

static vg_folds *plain_folds(int64_t rows)
{
    vg_folds *folds;
    ASSERT_OK(vg_folds_create(&(vg_folds_options){.run_rows = &rows, .runs = 1, .outer_folds = 3, .inner_folds = 3}, &folds));
    return folds;
}

/* Dead voxels are NaN and leave their neighbours alone; a response that is constant in one block scores 0 there, not NaN. */
static void test_dead_voxels(void **state)
{
    (void)state;
    enum { ROWS = 60, P = 4, V = 7 };
    double x[ROWS * P], y[ROWS * V], clean[ROWS * V];
    twin_simulate(1, ROWS, P, V, 0.5, 1, x, y);
    memcpy(clean, y, sizeof y);
    for (int t = 0; t < ROWS; t++) {
        y[t * V] = 3.3;
        clean[t * V + 3] = y[t * V + 3] = t < 20 ? 0.1 : y[t * V + 3]; /* constant in the first outer block */
        clean[t * V + 6] = y[t * V + 6] = t < 20 ? y[t * V + 6] : 0.1; /* and in all others */
    }
    y[17 * V + 2] = NAN;
    y[59 * V + 5] = -INFINITY;
    vg_folds *folds = plain_folds(ROWS);
    const vg_type types[] = {VG_F64, VG_F32};
    for (int i = 0; i < 2; i++) {
        vg_ridge_plan plan = {.folds = folds, .alphas = alphas, .alpha_count = ALPHAS, .type = types[i]};
        vg_ridge_result result = twin_result(3, V), other = twin_result(3, V), twins = twin_result(3, V);
        fit(&plan, as_double(x, ROWS, P), as_double(y, ROWS, V), &result);
        fit(&plan, as_double(x, ROWS, P), as_double(clean, ROWS, V), &other);
        twin_fit(&(twin_data){ROWS, P, V, x, clean, false}, &plan, &twins);
        for (int l = 0; l < V; l++) {
            bool dead = l == 0 || l == 2 || l == 5;
            assert_int_equal(isnan(result.score[l]), dead);
            assert_int_equal(isnan(result.r2[l]), dead);
            for (int k = 0; k < 3; k++) {
                assert_int_equal(isnan(result.alpha[k * V + l]), dead);
                assert_int_equal(isnan(result.inner_r2[k * V + l]), dead);
            }
            assert_true(dead || (result.score[l] == other.score[l] && result.r2[l] == other.r2[l]));
            assert_true(fabs(other.score[l] - twins.score[l]) < (types[i] == VG_F64 ? 1e-12 : 1e-5));
        }
        assert_true(result.fold_score[3] == 0); /* a constant test block */
        assert_true(result.fold_score[6] == 0 && result.inner_score[6] == 0 &&
                    result.alpha[6] == 0.01); /* nothing to learn, smallest penalty */
        free(result.score);
        free(other.score);
        free(twins.score);
    }
    vg_folds_free(folds);
}

/* Constant and doubled features change neither form's agreement with the definition, however small the penalty. */
static void test_singular_features(void **state)
{
    (void)state;
    enum { ROWS = 66, P = 6, WIDE = 90, V = 5 };
    vg_folds *folds = plain_folds(ROWS);
    const vg_type types[] = {VG_F64, VG_F32};
    for (int form = 0; form < 4; form++) {
        int64_t p = form < 2 ? P : WIDE;
        vg_type type = types[form % 2];
        double *x = to_double(ROWS * p), y[ROWS * V];
        twin_simulate(2, ROWS, p, V, 0.5, 1, x, y);
        for (int t = 0; t < ROWS; t++) {
            x[t * p + 1] = 1000.1;                        /* constant */
            x[t * p + 2] = x[t * p + 0];                  /* doubled */
            x[t * p + 3] = t < 22 ? x[t * p + 3] : 0.7;   /* constant but in the first block */
            x[t * p + 4] = t >= 22 ? x[t * p + 4] : -0.3; /* constant in the first block */
        }
        const double wide[] = {1e-2, 1, 1e3, 1e5};
        vg_ridge_plan plan = {.folds = folds, .alphas = wide, .alpha_count = 4, .type = type};
        vg_ridge_result result = twin_result(3, V), twins = twin_result(3, V);
        fit(&plan, as_double(x, ROWS, p), as_double(y, ROWS, V), &result);
        twin_fit(&(twin_data){ROWS, p, V, x, y, false}, &plan, &twins);
        double most = fmax(largest_difference(result.score, twins.score, V), largest_difference(result.r2, twins.r2, V));
        print_message("singular features, %s, float%d: %.1e\n", p == P ? "primal" : "dual", type == VG_F64 ? 64 : 32, most);
        assert_true(most < (type == VG_F64 ? 1e-9 : 1e-5));
        free(x);
        free(result.score);
        free(twins.score);
    }
    vg_folds_free(folds);
}

/* Eigenvalues that are equal, nearly equal, or far apart, by directions: pairs of them are summed in different ways. */
static void test_close_and_distant_eigenvalues(void **state)
{
    (void)state;
    enum { ROWS = 120, P = 8, V = 6 };
    double x[ROWS * P], y[ROWS * V];
    vg_folds *folds = plain_folds(ROWS);
    const double wide[] = {1e-3, 1e-1, 1, 1e2, 1e4, 1e6, 1e9};
    for (int kind = 0; kind < 3; kind++) {
        twin_simulate(12, ROWS, P, V, 0.5, 1, x, y);
        for (int t = 0; t < ROWS; t++)
            for (int j = 0; j < P; j++) {
                int block = t / 5 % P; /* blocks of five rows, one feature in each */
                if (kind == 0)         /* X' X is a multiple of the identity, or nearly */
                    x[t * P + j] = block == j ? (t % 5 - 2) * (1 + 1e-7 * j) : 0;
                if (kind == 1)
                    x[t * P + j] = block == j ? (t % 5 - 2) * (1 + 3e-6 * j) : 0;
                if (kind == 2)
                    x[t * P + j] *= pow(10, -j); /* eigenvalues over 14 decades */
            }
        vg_ridge_plan plan = {.folds = folds, .alphas = wide, .alpha_count = 7, .type = VG_F64};
        check_form(&plan, as_double(x, ROWS, P), BY_DIRECTIONS);
        vg_ridge_result result = twin_result(3, V), twins = twin_result(3, V);
        fit(&plan, as_double(x, ROWS, P), as_double(y, ROWS, V), &result);
        twin_fit(&(twin_data){ROWS, P, V, x, y, false}, &plan, &twins);
        double most =
            fmax(largest_difference(result.inner_score, twins.inner_score, 3 * V), largest_difference(result.score, twins.score, V));
        most = fmax(most, fmax(largest_difference(result.inner_r2, twins.inner_r2, 3 * V), largest_difference(result.r2, twins.r2, V)));
        print_message("eigenvalues %s: %.1e\n", (const char *[]){"equal", "nearly equal", "far apart"}[kind], most);
        assert_true(most < 1e-9);
        free(result.score);
        free(twins.score);
    }
    vg_folds_free(folds);
}

/* Features that are all constant predict a constant: r = 0 everywhere, the smallest penalty, r2 about 0, no NaN. */
static void test_constant_features(void **state)
{
    (void)state;
    enum { ROWS = 30, V = 3 };
    double x[ROWS * 2], y[ROWS * V];
    twin_simulate(3, ROWS, 2, V, 0, 1, x, y);
    for (int t = 0; t < ROWS; t++)
        x[2 * t] = x[2 * t + 1] = 0.1;
    vg_folds *folds = plain_folds(ROWS);
    vg_ridge_plan plan = {.folds = folds, .alphas = alphas, .alpha_count = ALPHAS, .type = VG_F32};
    vg_ridge_result result = twin_result(3, V);
    fit(&plan, as_double(x, ROWS, 2), as_double(y, ROWS, V), &result);
    for (int l = 0; l < V; l++) {
        assert_true(result.score[l] == 0 && result.alpha[l] == 0.01 && result.alpha[2 * V + l] == 0.01);
        assert_true(fabs(result.r2[l]) < 1e-9);
    }
    free(result.score);
    vg_folds_free(folds);
}

/* One penalty needs no choice; it is ordinary ridge. */
static void test_one_penalty(void **state)
{
    (void)state;
    enum { ROWS = 50, P = 5, V = 4 };
    double x[ROWS * P], y[ROWS * V];
    twin_simulate(4, ROWS, P, V, 0, 1, x, y);
    vg_folds *folds = plain_folds(ROWS);
    vg_ridge_plan plan = {.folds = folds, .alphas = (double[]){7}, .alpha_count = 1, .type = VG_F64};
    vg_ridge_result result = twin_result(3, V), twins = twin_result(3, V);
    fit(&plan, as_double(x, ROWS, P), as_double(y, ROWS, V), &result);
    twin_fit(&(twin_data){ROWS, P, V, x, y, false}, &plan, &twins);
    assert_true(largest_difference(result.score, twins.score, V) < 1e-12);
    free(result.score);
    free(twins.score);
    vg_folds_free(folds);
}

/* Several spaces in one reading of the responses, on any number of threads, give the very bits of each alone; factorisations are one a
 * training set and space, whoever is fitted. */
static void test_threads_change_nothing_and_company_little(void **state)
{
    (void)state;
    enum { ROWS = 90, V = 300, SPACES = 5 };
    const int64_t columns[SPACES] = {5, 130, 9, 33, 200};
    double *x[SPACES], y[ROWS * V];
    vg_folds *folds = plain_folds(ROWS);
    vg_ridge_plan plan = {.folds = folds, .alphas = alphas, .alpha_count = ALPHAS, .type = VG_F32, .tile = 128};
    vg_ridge_result alone[SPACES], together[SPACES], first[SPACES];
    for (int i = 0; i < SPACES; i++) {
        x[i] = to_double(ROWS * columns[i]);
        alone[i] = twin_result(3, V);
        together[i] = twin_result(3, V);
        first[i] = twin_result(3, V);
        twin_simulate(5, ROWS, columns[i], V, 0.5, 3, x[i], y);
    }
    for (int threads = 1; threads <= 5; threads += 2) {
        vg_device *other;
        ASSERT_OK(vg_device_open(test_device_spec(), 0, threads, &other));
        vg_ridge_design *designs[SPACES];
        int64_t before = vg_ridge_factorizations();
        for (int i = 0; i < SPACES; i++)
            ASSERT_OK(vg_ridge_design_create(other, &plan, as_double(x[i], ROWS, columns[i]), &designs[i]));
        assert_int_equal(vg_ridge_factorizations() - before, SPACES * 12); /* 3 outer sets and 3 x 3 inner ones */
        ASSERT_OK(vg_ridge_fit(designs, SPACES, as_double(y, ROWS, V), NULL, threads == 1 ? first : together));
        for (int i = 0; i < SPACES && threads == 1; i++)
            ASSERT_OK(vg_ridge_fit(&designs[i], 1, as_double(y, ROWS, V), NULL, &alone[i]));
        assert_int_equal(vg_ridge_factorizations() - before, SPACES * 12);
        for (int i = 0; i < SPACES; i++) {
            if (threads > 1)
                assert_memory_equal(first[i].score, together[i].score, V * 17 * sizeof(double));
            assert_true(largest_difference(first[i].inner_score, alone[i].inner_score, 3 * V) < 1e-5);
            vg_ridge_design_free(designs[i]);
        }
        vg_device_close(other);
    }
    for (int i = 0; i < SPACES; i++) {
        free(x[i]);
        free(alone[i].score);
        free(together[i].score);
        free(first[i].score);
    }
    vg_folds_free(folds);
}

/* A tile's voxels are the same bits whether the caller passes all of them or tile by tile. */
static void test_tiles_may_be_split(void **state)
{
    (void)state;
    enum { ROWS = 60, P = 12, V = 150 };
    double x[ROWS * P], y[ROWS * V];
    twin_simulate(6, ROWS, P, V, 0.5, 3, x, y);
    vg_folds *folds = plain_folds(ROWS);
    vg_ridge_plan plan = {.folds = folds, .alphas = alphas, .alpha_count = ALPHAS, .type = VG_F32, .tile = 64};
    vg_ridge_design *design;
    ASSERT_OK(vg_ridge_design_create(device, &plan, as_double(x, ROWS, P), &design));
    double whole[V], parts[V];
    ASSERT_OK(vg_ridge_fit(&design, 1, as_double(y, ROWS, V), NULL, &(vg_ridge_result){.score = whole}));
    ASSERT_OK(vg_ridge_fit(&design, 1, (vg_samples){VG_F64, y, ROWS, 64, V}, NULL, &(vg_ridge_result){.score = parts}));
    ASSERT_OK(vg_ridge_fit(&design, 1, (vg_samples){VG_F64, y + 64, ROWS, V - 64, V}, NULL, &(vg_ridge_result){.score = parts + 64}));
    assert_memory_equal(whole, parts, sizeof whole);
    vg_ridge_design_free(design);
    vg_folds_free(folds);
}

/* What the device is told and asked for, seen through its own table. */
static struct {
    const vg_device_ops *ops;
    vg_ridge_center told;
    int centred, foreseen;
} spied;

static vg_status spy_ahead(vg_device *d, const vg_ridge_center *c)
{
    spied.told = c != NULL ? *c : (vg_ridge_center){0};
    return spied.ops->ridge_ahead(d, c);
}

static vg_status spy_center(vg_device *d, const vg_ridge_center *c)
{
    spied.foreseen +=
        spied.told.y == c->y && spied.told.columns == c->columns && spied.told.rows == c->rows && spied.told.order == c->order;
    spied.centred++;
    return spied.ops->ridge_center(d, c);
}

/* While a tile is fitted the device is told of the next one, as it will be asked for; of none after the last. */
static void test_tiles_are_announced(void **state)
{
    (void)state;
    enum { ROWS = 60, P = 12, V = 150 };
    double x[ROWS * P], y[ROWS * V], score[V], same[V];
    vg_device *other;
    vg_ridge_design *design;
    twin_simulate(6, ROWS, P, V, 0.5, 3, x, y);
    vg_folds *folds = plain_folds(ROWS);
    vg_ridge_plan plan = {.folds = folds, .alphas = alphas, .alpha_count = ALPHAS, .type = VG_F32, .tile = 64};
    ASSERT_OK(vg_device_open(test_device_spec(), 0, 1, &other));
    ASSERT_OK(vg_ridge_design_create(other, &plan, as_double(x, ROWS, P), &design));
    ASSERT_OK(vg_ridge_fit(&design, 1, as_double(y, ROWS, V), NULL, &(vg_ridge_result){.score = same}));
    vg_device_ops table = *other->ops;
    spied.ops = other->ops;
    table.ridge_ahead = spy_ahead;
    table.ridge_center = spy_center;
    other->ops = &table;
    ASSERT_OK(vg_ridge_fit(&design, 1, as_double(y, ROWS, V), NULL, &(vg_ridge_result){.score = score}));
    assert_int_equal(spied.centred, 3);
    assert_int_equal(spied.foreseen, 2);
    assert_int_equal(spied.told.columns, 0);
    assert_memory_equal(score, same, sizeof score);
    other->ops = spied.ops;
    vg_ridge_design_free(design);
    vg_device_close(other);
    vg_folds_free(folds);
}

/* An order of rows is a reordered copy. */
static void test_order(void **state)
{
    (void)state;
    enum { ROWS = 60, P = 6, V = 10 };
    double x[ROWS * P], y[ROWS * V], shifted[ROWS * V], a[V], b[V];
    int32_t order[ROWS];
    twin_simulate(7, ROWS, P, V, 0.5, 1, x, y);
    for (int t = 0; t < ROWS; t++) {
        order[t] = (t + 13) % ROWS;
        memcpy(shifted + t * V, y + order[t] * V, V * sizeof(double));
    }
    vg_folds *folds = plain_folds(ROWS);
    vg_ridge_plan plan = {.folds = folds, .alphas = alphas, .alpha_count = ALPHAS, .type = VG_F32};
    vg_ridge_design *design;
    ASSERT_OK(vg_ridge_design_create(device, &plan, as_double(x, ROWS, P), &design));
    ASSERT_OK(vg_ridge_fit(&design, 1, as_double(y, ROWS, V), order, &(vg_ridge_result){.score = a}));
    ASSERT_OK(vg_ridge_fit(&design, 1, as_double(shifted, ROWS, V), NULL, &(vg_ridge_result){.score = b}));
    assert_memory_equal(a, b, sizeof a);
    order[3] = ROWS;
    assert_int_equal(vg_ridge_fit(&design, 1, as_double(y, ROWS, V), order, &(vg_ridge_result){.score = a}), VG_DEFECT);
    vg_ridge_design_free(design);
    vg_folds_free(folds);
}

static void test_bad_input(void **state)
{
    (void)state;
    enum { ROWS = 30, P = 2, V = 3 };
    double x[ROWS * P], y[ROWS * V], score[V];
    twin_simulate(8, ROWS, P, V, 0, 1, x, y);
    vg_folds *folds = plain_folds(ROWS);
    vg_ridge_design *design;
    const double bad_alphas[] = {0, -1, NAN, INFINITY};
    vg_ridge_plan plan = {.folds = folds, .alpha_count = 1, .type = VG_F32};
    for (int i = 0; i < 4; i++) {
        plan.alphas = &bad_alphas[i];
        assert_int_equal(vg_ridge_design_create(device, &plan, as_double(x, ROWS, P), &design), VG_INVALID);
        assert_null(design);
    }
    plan.alphas = alphas;
    assert_int_equal(vg_ridge_design_create(device, &plan, as_double(x, ROWS, 0), &design), VG_INVALID);
    assert_int_equal(vg_ridge_design_create(device, &plan, as_double(x, ROWS - 1, P), &design), VG_INVALID);
    plan.alpha_count = 0;
    assert_int_equal(vg_ridge_design_create(device, &plan, as_double(x, ROWS, P), &design), VG_INVALID);
    plan.alpha_count = ALPHAS;
    x[7] = NAN;
    assert_int_equal(vg_ridge_design_create(device, &plan, as_double(x, ROWS, P), &design), VG_INVALID);
    assert_string_equal(vg_message(), "features: row 4, column 2 is not finite");
    x[7] = 0;
    ASSERT_OK(vg_ridge_design_create(device, &plan, as_double(x, ROWS, P), &design));
    assert_int_equal(vg_ridge_fit(&design, 1, as_double(y, ROWS - 1, V), NULL, &(vg_ridge_result){.score = score}), VG_INVALID);
    ASSERT_OK(vg_ridge_fit(&design, 1, as_double(y, ROWS, 0), NULL, &(vg_ridge_result){.score = score}));
    vg_ridge_design_free(design);
    vg_ridge_design_free(NULL);
    vg_folds_free(folds);
}

/* A design cut to principal components is ridge on the components of each training set, in every form of the solver; as many components as
 * there are change nothing. */
static void test_principal_components(void **state)
{
    (void)state;
    enum { KEPT = 3, V = 5 };
    static const int64_t sizes[][2] = {{90, 12}, {40, 70}, {2000, 6}}; /* by rows, dual, by directions */
    const double alpha = 5;
    for (size_t i_size = 0; i_size < sizeof sizes / sizeof *sizes; i_size++) {
        int64_t rows = sizes[i_size][0], p = sizes[i_size][1];
        double *x = malloc((size_t)(rows * p) * 8), *y = malloc((size_t)(rows * V) * 8), *projected = malloc((size_t)(rows * KEPT) * 8);
        double cut[V], whole[V], all[V], expected[V] = {0};
        twin_simulate(20 + (uint64_t)i_size, rows, p, V, 0, 1, x, y);
        vg_folds *folds;
        ASSERT_OK(vg_folds_create(&(vg_folds_options){.run_rows = &rows, .runs = 1, .outer_folds = 3, .inner_folds = 2}, &folds));
        vg_ridge_plan plan = {.folds = folds, .alphas = &alpha, .alpha_count = 1, .type = VG_F64};
        const int64_t principals[] = {KEPT, 0, p};
        double *const scores[] = {cut, whole, all};
        for (int i = 0; i < 3; i++) {
            vg_ridge_design *design;
            ASSERT_OK(vg_ridge_design_principal(device, &plan, as_double(x, rows, p), principals[i], &design));
            ASSERT_OK(vg_ridge_fit(&design, 1, as_double(y, rows, V), NULL, &(vg_ridge_result){.score = scores[i], .ld = V}));
            vg_ridge_design_free(design);
        }
        twin_score twins[V];
        for (int64_t k = 0; k < 3; k++) {
            twin_project(x, &folds->outer[k], rows, p, KEPT, projected);
            twin_scores(&(twin_data){.rows = rows, .columns = KEPT, .voxels = V, .x = projected, .y = y}, &folds->outer[k], alpha, twins);
            for (int v = 0; v < V; v++)
                expected[v] += twins[v].r / 3;
        }
        for (int v = 0; v < V; v++) {
            assert_true(fabs(cut[v] - (expected[v])) < 1e-8);
            assert_true(whole[v] == all[v]);
            assert_true(fabs(cut[v] - whole[v]) > 1e-6);
        }
        vg_folds_free(folds);
        free(x);
        free(y);
        free(projected);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_agrees_with_the_twin),
        cmocka_unit_test(test_float32_agrees_with_the_twin),
        cmocka_unit_test(test_dead_voxels),
        cmocka_unit_test(test_singular_features),
        cmocka_unit_test(test_close_and_distant_eigenvalues),
        cmocka_unit_test(test_constant_features),
        cmocka_unit_test(test_one_penalty),
        cmocka_unit_test(test_threads_change_nothing_and_company_little),
        cmocka_unit_test(test_tiles_may_be_split),
        cmocka_unit_test(test_tiles_are_announced),
        cmocka_unit_test(test_order),
        cmocka_unit_test(test_principal_components),
        cmocka_unit_test(test_bad_input),
    };
    return cmocka_run_group_tests(tests, open_device, close_device);
}
