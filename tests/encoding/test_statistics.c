/* Protects what is said about scores: correlations, summaries, the null's shifts and p, false discovery rates, ceilings. Hand-counted cases
 * and identities; the null's promise (5 % of unrelated voxels pass at p = .05) by simulation. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "device.h"
#include "npy.h"
#include "voxgrad/encoding.h"

#define ASSERT_NEAR(a, b) assert_true(fabs((double)(a) - (double)(b)) < 1e-12)

static double noise(uint64_t seed, uint64_t i)
{
    return vg_random_normal(seed, VG_RANDOM_TEST, i);
}

static double plain_r(const double *a, const double *b, int n, int stride)
{
    double ma = 0, mb = 0, aa = 0, bb = 0, ab = 0;
    for (int t = 0; t < n; t++) {
        ma += a[t * stride] / n;
        mb += b[t * stride] / n;
    }
    for (int t = 0; t < n; t++) {
        aa += (a[t * stride] - ma) * (a[t * stride] - ma);
        bb += (b[t * stride] - mb) * (b[t * stride] - mb);
        ab += (a[t * stride] - ma) * (b[t * stride] - mb);
    }
    return ab / sqrt(aa * bb);
}

static void test_correlations(void **state)
{
    (void)state;
    enum { T = 50, V = 130 };
    static double a[T * V], b[T * V], r[V];
    static float narrow[T * V];
    for (int i = 0; i < T * V; i++) {
        a[i] = (double)(float)(1e4 + noise(1, (uint64_t)i)); /* an offset costs no digits */
        b[i] = noise(2, (uint64_t)i) + 0.5 * (a[i] - 1e4);
        narrow[i] = (float)a[i];
    }
    for (int t = 0; t < T; t++)
        b[t * V + 3] = 0.1; /* constant */
    b[7 * V + 5] = NAN;
    assert_int_equal(vg_correlations((vg_samples){VG_F32, narrow, T, V, V}, (vg_samples){VG_F64, b, T, V, V}, r), VG_OK);
    for (int v = 0; v < V; v++) {
        if (v == 3 || v == 5)
            assert_true(isnan(r[v]));
        else
            assert_true(fabs(r[v] - plain_r(a + v, b + v, T, V)) < 1e-10);
    }
    assert_int_equal(vg_correlations((vg_samples){VG_F64, a, T, V, V}, (vg_samples){VG_F64, b, T - 1, V, V}, r), VG_INVALID);
}

static void test_summaries(void **state)
{
    (void)state;
    vg_summary s = vg_summarize((double[]){1, 2, NAN, 6}, 4); /* 1 2 6: mean 3, variance 7 */
    assert_int_equal(s.n, 3);
    ASSERT_NEAR(s.mean, 3);
    ASSERT_NEAR(s.sem, sqrt(7.0 / 3));
    s = vg_summarize((double[]){4}, 1);
    assert_true(s.mean == 4 && isnan(s.sem));
    assert_true(isnan(vg_summarize((double[]){NAN}, 1).mean));
    s = vg_summarize_pairs((double[]){5, 3, 9, NAN}, (double[]){4, 1, 3, 2}, 4); /* 1 2 6 again */
    ASSERT_NEAR(s.mean, 3);
    ASSERT_NEAR(s.sem, sqrt(7.0 / 3));
    double mean[3];
    int64_t count[3];
    vg_region_means((double[]){1, 2, NAN, 4, 8}, (int32_t[]){0, 2, 0, 2, -1}, 5, 3, mean, count);
    assert_true(mean[0] == 1 && count[0] == 1 && isnan(mean[1]) && count[1] == 0 && mean[2] == 3 && count[2] == 2);
}

/* Of two conditions the within-subject error is that of their difference over sqrt(2), whatever the subjects' levels. */
static void test_within_subjects(void **state)
{
    (void)state;
    double x[9 * 2], a[8], b[8];
    for (int i = 0; i < 8; i++) {
        a[i] = x[2 * i] = noise(3, (uint64_t)i) + 100 * i;
        b[i] = x[2 * i + 1] = noise(4, (uint64_t)i) + 100 * i;
    }
    x[16] = 5;
    x[17] = NAN; /* left out */
    vg_summary s[2], d = vg_summarize_pairs(a, b, 8);
    vg_within_subjects(x, 9, 2, s);
    assert_int_equal(s[0].n, 8);
    assert_true(fabs(s[0].sem - d.sem / sqrt(2)) < 1e-9 && fabs(s[1].sem - d.sem / sqrt(2)) < 1e-9);
    ASSERT_NEAR(s[0].mean, vg_summarize(a, 8).mean);
}

static void test_bootstrap(void **state)
{
    (void)state;
    double x[200], interval[2], again[2];
    for (int i = 0; i < 200; i++)
        x[i] = 3 + noise(5, (uint64_t)i);
    assert_int_equal(vg_bootstrap_mean(x, 200, 2000, 1, 0.95, interval), VG_OK);
    vg_summary s = vg_summarize(x, 200); /* of many numbers the interval is that of the normal distribution */
    assert_true(fabs(interval[0] - (s.mean - 1.96 * s.sem)) < 0.02 && fabs(interval[1] - (s.mean + 1.96 * s.sem)) < 0.02);
    assert_int_equal(vg_bootstrap_mean(x, 200, 2000, 1, 0.95, again), VG_OK);
    assert_memory_equal(interval, again, sizeof again);
    assert_int_equal(vg_bootstrap_mean((double[]){NAN}, 1, 10, 1, 0.95, interval), VG_OK);
    assert_true(isnan(interval[0]));
}

static void test_best_space(void **state)
{
    (void)state;
    /* 2 spaces, 2 outer folds, 3 voxels; the last voxel is dead */
    const double inner[] = {0.1, 0.5, NAN, 0.3, 0.2, NAN, 0.2, 0.5, NAN, 0.1, 0.4, NAN};
    const double fold[] = {1, 2, NAN, 3, 4, NAN, 10, 20, NAN, 30, 40, NAN};
    int32_t best[6];
    double score[3];
    vg_best_space(inner, fold, 2, 2, 3, best, score);
    assert_memory_equal(best, ((int32_t[]){1, 0, -1, 0, 1, -1}), sizeof best);
    assert_true(score[0] == 6.5 && score[1] == 21 && isnan(score[2]));
}

static void test_shifts(void **state)
{
    (void)state;
    const int64_t runs[] = {40, 31, 50};
    int64_t shifts[100], again[100], count;
    assert_int_equal(vg_null_shifts(runs, 3, 5, 10, 7, shifts, &count), VG_OK);
    assert_int_equal(count, 10);
    assert_int_equal(vg_null_shifts(runs, 3, 5, 100, 7, again, &count), VG_OK);
    assert_int_equal(count, 22); /* 5 .. 15 and -15 .. -5, each once */
    int64_t seen = 0;
    for (int i = 0; i < 22; i++) {
        assert_true(llabs(again[i]) >= 5 && llabs(again[i]) <= 15);
        assert_false(seen >> (again[i] + 15) & 1);
        seen |= (int64_t)1 << (again[i] + 15);
    }
    assert_memory_equal(shifts, again, 10 * sizeof shifts[0]); /* more draws begin with the same ones */
    assert_int_equal(vg_null_shifts(runs, 3, 16, 10, 7, shifts, &count), VG_INVALID);
    int32_t order[121];
    vg_null_order(runs, 3, 5, order);
    assert_true(order[0] == 35 && order[5] == 0 && order[40] == 66 && order[45] == 40 && order[71] == 116 && order[120] == 115);
    vg_null_order(runs, 3, -5, order);
    assert_true(order[0] == 5 && order[39] == 4 && order[40] == 45 && order[70] == 44 && order[71] == 76 && order[120] == 75);
}

static void test_p(void **state)
{
    (void)state;
    double observed[] = {0.5, 0.2, NAN, 0}, p[4];
    const double draws[3][4] = {{0.1, 0.3, 1, -1}, {0.5, 0.1, NAN, -2}, {0.4, 0.2, 1, -3}};
    int32_t exceeded[4] = {0};
    double largest[3];
    for (int d = 0; d < 3; d++) {
        vg_null_count(observed, draws[d], 4, exceeded);
        largest[d] = vg_null_largest(draws[d], 4);
    }
    vg_null_p(observed, exceeded, 3, 4, p);
    assert_true(p[0] == 0.5 && p[1] == 0.75 && isnan(p[2]) && p[3] == 0.25);
    assert_true(largest[0] == 1 && largest[1] == 0.5);
    vg_null_p_largest(observed, 4, largest, 3, p);
    assert_true(p[0] == 1 && isnan(p[2]));
}

static void test_fdr(void **state)
{
    (void)state;
    double q[5];
    assert_int_equal(vg_fdr((double[]){0.01, 0.04, NAN, 0.03, 0.005}, 5, q), VG_OK);
    ASSERT_NEAR(q[0], 0.02);
    ASSERT_NEAR(q[1], 0.04);
    ASSERT_NEAR(q[3], 0.04);
    ASSERT_NEAR(q[4], 0.02);
    assert_true(isnan(q[2]));
    assert_int_equal(vg_fdr(NULL, 0, NULL), VG_OK);
}

/* scipy.stats: false_discovery_control, monte_carlo_test; tests/oracle/make_statistics_goldens.py writes what is read here: of each of a
 * few hundred p its q; then observed numbers, each with its draws, its p `greater` and its p `two-sided`. */
static void test_agrees_with_scipy(void **state)
{
    (void)state;
    npy golden = npy_read("statistics.npy");
    const double *at = golden.data, *end = golden.data + golden.count;
    int64_t n = (int64_t)*at++;
    double *q = malloc((size_t)n * sizeof *q);
    assert_int_equal(vg_fdr(at, n, q), VG_OK);
    for (int64_t i = 0; i < n; i++)
        assert_true(fabs(q[i] - (at[n + i])) < 1e-14);
    at += 2 * n;
    int64_t cases = (int64_t)*at++, draws = (int64_t)*at++;
    assert_true(cases >= 10);
    for (int64_t i = 0; i < cases; i++, at += draws + 3) {
        int32_t above = 0, below = 0;
        double p, observed = at[0], negative = -at[0];
        for (int64_t d = 0; d < draws; d++) {
            double draw = at[1 + d], minus = -draw;
            vg_null_count(&observed, &draw, 1, &above);
            vg_null_count(&negative, &minus, 1, &below);
        }
        vg_null_p(&observed, &above, draws, 1, &p);
        assert_true(fabs(p - (at[1 + draws])) < 1e-14);
        assert_true(fabs(vg_null_p_two_sided(above, below, draws) - (at[2 + draws])) < 1e-14);
    }
    assert_ptr_equal(at, end);
    free(q);
    free(golden.data);
}

static void test_isc(void **state)
{
    (void)state;
    enum { T = 40, V = 70, S = 4 };
    static double y[S][T * V], pairs[6 * V], out[S * V];
    vg_samples samples[S];
    for (int i = 0; i < S; i++) {
        for (int e = 0; e < T * V; e++)
            y[i][e] = (i + 1) * (noise(10, (uint64_t)e) + noise(11 + (uint64_t)i, (uint64_t)e)) + 50 * i;
        samples[i] = (vg_samples){VG_F64, y[i], T, V, V};
    }
    for (int t = 0; t < T; t++)
        y[2][t * V + 1] = 4; /* a dead voxel of one subject */
    assert_int_equal(vg_isc(samples, S, pairs, out), VG_OK);
    ASSERT_NEAR(pairs[0 * V + 5], plain_r(y[0] + 5, y[1] + 5, T, V));
    ASSERT_NEAR(pairs[2 * V + 69], plain_r(y[0] + 69, y[3] + 69, T, V));
    ASSERT_NEAR(pairs[5 * V + 0], plain_r(y[2], y[3], T, V));
    assert_true(isnan(pairs[1 * V + 1]) && !isnan(pairs[0 * V + 1]) && isnan(out[2 * V + 1]) && !isnan(out[0 * V + 1]));
    double others[T], mine[T];
    for (int t = 0; t < T; t++) { /* the dead one is left out: subject 3 against the z-scores of 0 and 1 */
        mine[t] = y[3][t * V + 1];
        others[t] = 0;
    }
    for (int i = 0; i < 2; i++) {
        double mean = 0, square = 0;
        for (int t = 0; t < T; t++)
            mean += y[i][t * V + 1] / T;
        for (int t = 0; t < T; t++)
            square += pow(y[i][t * V + 1] - mean, 2);
        for (int t = 0; t < T; t++)
            others[t] += (y[i][t * V + 1] - mean) / sqrt(square);
    }
    ASSERT_NEAR(out[3 * V + 1], plain_r(mine, others, T, 1));
    assert_int_equal(vg_isc(samples, 1, pairs, out), VG_INVALID);
}

static void test_ceiling(void **state)
{
    (void)state;
    enum { S = 5, V = 2 };
    double pairs[10 * V], ceiling[V], low[V], high[V];
    for (int i = 0; i < 10; i++) {
        pairs[i * V] = 0.16;
        pairs[i * V + 1] = -0.3 + 0.05 * i; /* mean -0.075 */
    }
    assert_int_equal(vg_ceiling(pairs, S, V, 500, 3, 0.95, ceiling, low, high), VG_OK);
    ASSERT_NEAR(ceiling[0], 0.4);
    ASSERT_NEAR(low[0], 0.4);
    ASSERT_NEAR(high[0], 0.4);
    ASSERT_NEAR(ceiling[1], -sqrt(0.075));
    assert_true(low[1] < ceiling[1] && ceiling[1] < high[1] && low[1] < 0);
}

static void test_explainable(void **state)
{
    (void)state;
    enum { T = 20000, V = 2, R = 3 };
    double *y[R], explainable[V], best[V];
    vg_samples samples[R];
    for (int i = 0; i < R; i++) {
        y[i] = malloc(sizeof(double) * T * V);
        samples[i] = (vg_samples){VG_F64, y[i], T, V, V};
        for (int t = 0; t < T; t++) {
            y[i][t * V] = noise(20, (uint64_t)t);                                                        /* repeats exactly */
            y[i][t * V + 1] = noise(20, (uint64_t)t) + sqrt(3.0) * noise(21 + (uint64_t)i, (uint64_t)t); /* a quarter repeats */
        }
    }
    assert_int_equal(vg_explainable(samples, R, explainable, best), VG_OK);
    ASSERT_NEAR(explainable[0], 1);
    ASSERT_NEAR(best[0], 1);
    assert_true(fabs(explainable[1] - 0.25) < 0.01 && fabs(best[1] - sqrt(1 / (1 + 3.0 / R))) < 0.01);
    for (int i = 0; i < R; i++)
        free(y[i]);
}

/* Smooth responses with nothing to do with smooth features: p of a refitted shift null is uniform, so about 5 % of 400 voxels have
 * p <= .05 (they share features and shifts, so 2 % to 9 % is allowed), and a true response has the smallest p there is. */
static void test_null_keeps_its_promise(void **state)
{
    (void)state;
    enum { T = 160, P = 4, V = 400, DRAWS = 39 };
    static double x[T * P], y[T * V], observed[V], null[V], p[V];
    static int32_t exceeded[V];
    for (int t = 0; t < T; t++) {
        for (int j = 0; j < P; j++)
            x[t * P + j] = (t > 0 ? 0.8 * x[(t - 1) * P + j] : 0) + noise(30, (uint64_t)(t * P + j));
        for (int v = 0; v < V; v++)
            y[t * V + v] = (t > 0 ? 0.8 * y[(t - 1) * V + v] : 0) + noise(31, (uint64_t)(t * V + v));
    }
    for (int t = 0; t < T; t++)
        y[t * V] = x[t * P] + noise(32, (uint64_t)t);
    int64_t rows = T, shifts[DRAWS], count;
    vg_device *device;
    vg_folds *folds;
    vg_ridge_design *design;
    assert_int_equal(vg_device_open(test_device_spec(), 0, 0, &device), VG_OK);
    assert_int_equal(
        vg_folds_create(&(vg_folds_options){.run_rows = &rows, .runs = 1, .outer_folds = 4, .inner_folds = 3, .gap = 5}, &folds), VG_OK);
    vg_ridge_plan plan = {.folds = folds, .alphas = (double[]){1, 100, 1e4}, .alpha_count = 3, .type = VG_F32};
    assert_int_equal(vg_ridge_design_create(device, &plan, (vg_samples){VG_F64, x, T, P, P}, &design), VG_OK);
    assert_int_equal(vg_ridge_fit(&design, 1, (vg_samples){VG_F64, y, T, V, V}, NULL, &(vg_ridge_result){.score = observed}), VG_OK);
    assert_int_equal(vg_null_shifts(&rows, 1, 15, DRAWS, 1, shifts, &count), VG_OK);
    assert_int_equal(count, DRAWS);
    for (int d = 0; d < DRAWS; d++) {
        int32_t order[T];
        vg_null_order(&rows, 1, shifts[d], order);
        assert_int_equal(vg_ridge_fit(&design, 1, (vg_samples){VG_F64, y, T, V, V}, order, &(vg_ridge_result){.score = null}), VG_OK);
        vg_null_count(observed, null, V, exceeded);
    }
    vg_null_p(observed, exceeded, DRAWS, V, p);
    int passed = 0;
    for (int v = 1; v < V; v++)
        passed += p[v] <= 0.05;
    print_message("%d of %d unrelated voxels pass at .05\n", passed, V - 1);
    assert_true(p[0] == 1.0 / (DRAWS + 1));
    assert_in_range(passed, 8, 36);
    vg_ridge_design_free(design);
    vg_folds_free(folds);
    vg_device_close(device);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_correlations),
        cmocka_unit_test(test_summaries),
        cmocka_unit_test(test_within_subjects),
        cmocka_unit_test(test_bootstrap),
        cmocka_unit_test(test_best_space),
        cmocka_unit_test(test_shifts),
        cmocka_unit_test(test_p),
        cmocka_unit_test(test_fdr),
        cmocka_unit_test(test_agrees_with_scipy),
        cmocka_unit_test(test_isc),
        cmocka_unit_test(test_ceiling),
        cmocka_unit_test(test_explainable),
        cmocka_unit_test(test_null_keeps_its_promise),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
