/* Protects: what is learnt in a training set is a function of its rows alone, bit by bit, whatever stands in the others: the Grams, means
 * and scales of features, the penalties and the inner scores that chose them, the predictions of an outer fold; in every form of the solver
 * and for every kind of folds. That sums of segments hold each training row once. That responses as a scanner gives them, 10,000 +- 50,
 * score as their z-scores. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "bed.h"
#include "ridge.h"
#include "twin.h"

static void must(vg_status status)
{
    if (status != VG_OK)
        fail_msg("%s", vg_message());
}

static const double alphas[] = {0.1, 10, 1e3, 3e4, 1e6};
enum { ALPHAS = sizeof alphas / sizeof alphas[0], V = 40 };

typedef enum { BY_DIRECTIONS, BY_ROWS, DUAL, ANY } solver;
typedef struct {
    const char *name;
    vg_folds_options folds;
    int64_t columns;
    solver form;
} shape;

static const shape shapes[] = {
    {"one run, by directions", {(int64_t[]){150}, 1, 3, 4, 0, NULL, 0}, 7, BY_DIRECTIONS},
    {"rows between folds dropped, by directions", {(int64_t[]){300}, 1, 5, 5, 4, NULL, 0}, 6, BY_DIRECTIONS},
    {"by rows", {(int64_t[]){180}, 1, 4, 4, 2, NULL, 0}, 90, BY_ROWS},
    {"dual", {(int64_t[]){60}, 1, 3, 3, 1, NULL, 0}, 80, DUAL},
    {"runs", {(int64_t[]){30, 41, 26, 37}, 4, 5, 5, 4, NULL, 0}, 6, BY_DIRECTIONS},
    {"two of five runs, dual", {(int64_t[]){20, 21, 16, 17, 19}, 5, 5, 3, 2, (int64_t[]){1, 3}, 2}, 120, DUAL},
    {"two of five runs", {(int64_t[]){20, 21, 16, 17, 19}, 5, 5, 3, 2, (int64_t[]){1, 3}, 2}, 5, BY_DIRECTIONS},
};
enum { SHAPES = sizeof shapes / sizeof shapes[0] };

/* Features and responses about means of their own, as they come. */
typedef struct {
    vg_folds *folds;
    int64_t rows, columns;
    double *x, *y;
} data;

static data make_data(const shape *s)
{
    data d = {.columns = s->columns};
    must(vg_folds_create(&s->folds, &d.folds));
    d.rows = d.folds->rows;
    d.x = calloc((size_t)(d.rows * d.columns), 8);
    d.y = calloc((size_t)(d.rows * V), 8);
    twin_simulate(41, d.rows, d.columns, V, 0.5, 3, d.x, d.y);
    for (int64_t i = 0; i < d.rows * d.columns; i++)
        d.x[i] = 0.3 + d.x[i] * (1 + (double)(i % d.columns) / 7);
    for (int64_t i = 0; i < d.rows * V; i++)
        d.y[i] += 2.1;
    return d;
}

static void free_data(data *d)
{
    vg_folds_free(d->folds);
    free(d->x);
    free(d->y);
}

/* Other numbers in the test rows of a fold, and among them a signal of all features that is large beyond measure. */
static void change(const data *d, const vg_fold *fold, bool features)
{
    uint64_t at = 0;
    for (int64_t i = 0; i < fold->test_ranges; i++)
        for (int64_t t = fold->test[i].begin; t < fold->test[i].end; t++) {
            for (int64_t j = 0; j < d->columns && features; j++)
                d->x[t * d->columns + j] = 1e5 * vg_random_normal(5, VG_RANDOM_TEST, at++);
            for (int64_t v = 0; v < V; v++)
                d->y[t * V + v] = 1e3 * d->x[t * d->columns] + vg_random_normal(6, VG_RANDOM_TEST, at++);
        }
}

static vg_ridge_result fit(const data *d, const vg_ridge_plan *plan, solver form)
{
    vg_ridge_design *design;
    vg_ridge_result result = twin_result(d->folds->outer_count, V);
    must(vg_ridge_design_create(device, plan, (vg_samples){VG_F64, d->x, d->rows, d->columns, d->columns}, &design));
    solver is = design->dual ? DUAL : design->factor[0].by_directions ? BY_DIRECTIONS : BY_ROWS;
    assert_true(form == ANY || is == form);
    must(vg_ridge_fit(&design, 1, (vg_samples){VG_F64, d->y, d->rows, V, V}, NULL, &result));
    vg_ridge_design_free(design);
    return result;
}

/* Row k of every table that was made without the test rows of fold k. */
static bool learnt_the_same(const vg_ridge_result *a, const vg_ridge_result *b, int64_t k)
{
    const double *one[] = {a->alpha, a->inner_score, a->r2_alpha, a->inner_r2},
                 *other[] = {b->alpha, b->inner_score, b->r2_alpha, b->inner_r2};
    bool same = true;
    for (int i = 0; i < 4; i++)
        for (int64_t v = k * V; v < (k + 1) * V; v++)
            same &= one[i][v] == other[i][v];
    return same;
}

static void each_plan(const shape *s, void (*check)(const shape *s, const vg_ridge_plan *plan))
{
    const vg_type types[] = {VG_F32, VG_F64, VG_F32};
    for (int i = 0; i < 3; i++) {
        vg_ridge_plan plan = {.alphas = alphas, .alpha_count = ALPHAS, .type = types[i], .standardize = i < 2};
        check(s, &plan);
    }
}

static void check_choices(const shape *s, const vg_ridge_plan *like)
{
    data d = make_data(s);
    vg_ridge_plan plan = *like;
    plan.folds = d.folds;
    vg_ridge_result before = fit(&d, &plan, s->form);
    for (int64_t k = 0; k < d.folds->outer_count; k++)
        for (int features = 0; features < 2; features++) {
            data other = make_data(s);
            change(&other, &d.folds->outer[k], features);
            vg_ridge_result after = fit(&other, &plan, ANY);
            if (!learnt_the_same(&before, &after, k))
                fail_msg("%s, float%d: fold %d knows its test rows", s->name, plan.type == VG_F32 ? 32 : 64, (int)k);
            for (int64_t i = 0; i < d.folds->outer_count; i++) /* and other folds learn from them */
                assert_true(i == k || !learnt_the_same(&before, &after, i));
            free(after.score);
            free_data(&other);
        }
    free(before.score);
    free_data(&d);
}

static void test_choices_know_no_test_row(void **state)
{
    (void)state;
    for (int i = 0; i < SHAPES; i++)
        each_plan(&shapes[i], check_choices);
}

/* Weights that know the test responses would predict otherwise for others: with test responses four times as large, which is exact, r must
 * be the same to the bit. */
static void check_predictions(const shape *s, const vg_ridge_plan *like)
{
    data d = make_data(s);
    vg_ridge_plan plan = *like;
    plan.folds = d.folds;
    vg_ridge_result before = fit(&d, &plan, s->form);
    for (int64_t k = 0; k < d.folds->outer_count; k++) {
        data other = make_data(s);
        const vg_fold *fold = &d.folds->outer[k];
        for (int64_t i = 0; i < fold->test_ranges; i++)
            for (int64_t e = fold->test[i].begin * V; e < fold->test[i].end * V; e++)
                other.y[e] *= 4;
        vg_ridge_result after = fit(&other, &plan, s->form);
        assert_memory_equal(before.fold_score + k * V, after.fold_score + k * V, V * sizeof(double));
        free(after.score);
        free_data(&other);
    }
    free(before.score);
    free_data(&d);
}

static void test_predictions_know_no_test_response(void **state)
{
    (void)state;
    for (int i = 0; i < SHAPES; i++)
        each_plan(&shapes[i], check_predictions);
}

/* The Gram, means and scales of set `number`, (columns^2 or rows^2, 2 columns), to be given to free(). */
static double *make_gram(const data *d, const vg_ridge_plan *plan, int64_t number, int64_t *count)
{
    vg_ridge_design design = {.device = device, .plan = plan, .columns = d->columns, .dual = ridge_is_dual(plan, d->columns)};
    must(ridge_layout_create(device, d->folds, &design.layout));
    ridge_building b = {.design = &design, .device = device, .rows = d->rows, .columns = d->columns};
    must(ridge_take_features(&b, (vg_samples){VG_F64, d->x, d->rows, d->columns, d->columns}));
    b.n = design.dual ? design.layout.set[number].fold->train_rows : d->columns;
    ridge_making set = {.building = &b, .plan = plan, .device = device, .set = &design.layout.set[number], .dual = design.dual};
    set.columns = d->columns;
    set.n = b.n;
    *count = b.n * b.n + 2 * d->columns;
    double *all = calloc((size_t)*count, sizeof *all);
    b.gram_here = all;
    must(ridge_make_grams(&b, &set, 1));
    memcpy(all + b.n * b.n, set.mean, (size_t)d->columns * sizeof(double));
    memcpy(all + b.n * b.n + d->columns, set.by, (size_t)d->columns * sizeof(double));
    free(set.mean);
    free(set.by);
    free(set.held_out);
    free(b.x);
    free(b.mean);
    free(b.square);
    free(b.products);
    ridge_device_free(device, b.x_there);
    ridge_layout_free(&design.layout);
    return all;
}

static void check_grams(const shape *s, const vg_ridge_plan *like)
{
    data d = make_data(s);
    vg_ridge_plan plan = *like;
    plan.folds = d.folds;
    int64_t set = d.folds->outer_count, count;
    for (int64_t k = 0; k < d.folds->outer_count; set += d.folds->outer[k++].inner_count) {
        data other = make_data(s);
        change(&other, &d.folds->outer[k], true);
        for (int64_t j = -1; j < d.folds->outer[k].inner_count; j++) {
            double *before = make_gram(&d, &plan, j < 0 ? k : set + j, &count),
                   *after = make_gram(&other, &plan, j < 0 ? k : set + j, &count);
            assert_memory_equal(before, after, (size_t)count * sizeof(double));
            free(before);
            free(after);
        }
        free_data(&other);
    }
    free_data(&d);
}

static void test_grams_know_no_test_row(void **state)
{
    (void)state;
    for (int i = 0; i < SHAPES; i++)
        each_plan(&shapes[i], check_grams);
}

/* ---- sums of segments ---------------------------------------------------------------------------------------------------- */

/* Counts the segments that a slot is the sum of. */
static void expand(const ridge_layout *l, const int32_t *term, int64_t fold, int64_t slot, int *times)
{
    if (slot < l->segments) {
        times[slot]++;
        return;
    }
    const ridge_sum *sum = &l->sum[l->first_sum[fold] + slot - l->segments];
    for (int64_t i = 0; i < sum->terms; i++)
        expand(l, term, fold, term[sum->term + i], times);
}

/* The products that are read and written for all sets, and for sets whose segments are added up one by one. */
typedef struct {
    int64_t moved, direct;
} traffic;

static void check_set(const ridge_layout *l, const int32_t *term, int64_t fold, int64_t number, traffic *t)
{
    enum { MOST = 1000 };
    const ridge_set *set = &l->set[number];
    int times[MOST] = {0};
    assert_in_range(l->segments, 1, MOST);
    for (int64_t e = 0; e < set->terms; e++)
        expand(l, term, fold, term[set->term + e], times);
    for (int64_t s = 0; s < l->segments; s++) {
        bool in = false;
        for (int64_t e = 0; e < set->trains; e++)
            in |= l->train[set->train + e] == s;
        assert_int_equal(times[s], in);
    }
    t->moved += set->terms + 1;
    t->direct += set->trains + 1;
}

static traffic check_sums(const vg_folds *folds)
{
    ridge_layout l;
    int32_t *term;
    int64_t terms;
    traffic t = {0, 0};
    must(ridge_layout_create(device, folds, &l));
    free(l.sum);
    free(l.first_sum);
    must(ridge_make_sums(folds, &l, &term, &terms)); /* once more, for its terms on the host */
    for (int64_t k = 0, number = l.outer_sets; k < folds->outer_count; k++) {
        for (int64_t i = l.first_sum[k]; i < l.first_sum[k + 1]; i++)
            t.moved += l.sum[i].terms + 1;
        if (folds->nested)
            check_set(&l, term, k, k, &t);
        for (int64_t j = 0; j < folds->outer[k].inner_count; j++)
            check_set(&l, term, k, number++, &t);
    }
    free(term);
    ridge_layout_free(&l);
    return t;
}

static void test_every_training_segment_is_added_once(void **state)
{
    (void)state;
    const vg_folds_options more[] = {
        {(int64_t[]){1000}, 1, 1, 5, 0, NULL, 0},
        {(int64_t[]){1000}, 1, 5, 5, 0, NULL, 0},
        {(int64_t[]){1000}, 1, 5, 5, 4, NULL, 0},
        {(int64_t[]){1000}, 1, 10, 10, 4, NULL, 0},
        {(int64_t[]){50, 60, 70, 80, 55}, 5, 5, 5, 3, NULL, 0},
    };
    for (size_t i = 0; i < sizeof more / sizeof *more + SHAPES; i++) {
        const vg_folds_options *options = i < SHAPES ? &shapes[i].folds : &more[i - SHAPES];
        vg_folds *folds;
        must(vg_folds_create(options, &folds));
        traffic t = check_sums(folds);
        print_message("%d runs, %d outer and %d inner folds, gap %d: %d products of segments read and written, %d one by one\n",
                      (int)options->runs, (int)options->outer_folds, (int)options->inner_folds, (int)options->gap, (int)t.moved,
                      (int)t.direct);
        assert_true(t.moved <= t.direct);
        vg_folds_free(folds);
    }
}

/* ---- large means --------------------------------------------------------------------------------------------------------- */

/* Responses of mean 10,000 and standard deviation 50 in float32, as a scanner writes them, and the z-scores of these very numbers. */
static void test_raw_responses_score_as_their_z_scores(void **state)
{
    (void)state;
    for (int i = 0; i < SHAPES; i++) {
        data d = make_data(&shapes[i]);
        vg_ridge_plan plan = {.folds = d.folds, .alphas = alphas, .alpha_count = ALPHAS, .type = VG_F32, .standardize = true};
        data z = make_data(&shapes[i]);
        for (int64_t v = 0; v < V; v++) {
            double mean = 0, square = 0;
            for (int64_t t = 0; t < d.rows; t++) {
                d.y[t * V + v] = (double)(float)(1e4 + 50 * (d.y[t * V + v] - 2.1) / 3.2);
                mean += d.y[t * V + v] / (double)d.rows;
            }
            for (int64_t t = 0; t < d.rows; t++)
                square += pow(d.y[t * V + v] - mean, 2) / (double)d.rows;
            for (int64_t t = 0; t < d.rows; t++)
                z.y[t * V + v] = (d.y[t * V + v] - mean) / sqrt(square);
        }
        vg_ridge_result raw = fit(&d, &plan, shapes[i].form), scored = fit(&z, &plan, shapes[i].form);
        double most = 0;
        for (int64_t e = 0; e < d.folds->outer_count * V; e++) {
            most = fmax(most, fabs(raw.inner_score[e] - scored.inner_score[e]));
            most = fmax(most, raw.alpha[e] == scored.alpha[e] ? fabs(raw.fold_score[e] - scored.fold_score[e]) : 0);
        }
        print_message("%s: raw and z-scored responses differ by %.1e\n", shapes[i].name, most);
        assert_true(most < 1e-5);
        free(raw.score);
        free(scored.score);
        free_data(&d);
        free_data(&z);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_choices_know_no_test_row),
        cmocka_unit_test(test_predictions_know_no_test_response),
        cmocka_unit_test(test_grams_know_no_test_row),
        cmocka_unit_test(test_every_training_segment_is_added_once),
        cmocka_unit_test(test_raw_responses_score_as_their_z_scores),
    };
    return cmocka_run_group_tests(tests, open_device, close_device);
}
