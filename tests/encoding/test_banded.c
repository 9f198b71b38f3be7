/* Protects banded ridge (search over draws of band weights against the slow twin; draws as they should be distributed; unique variance that
 * finds the band that made the responses) and the weights refitted on all rows. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "bed.h"
#include "twin.h"

static const double alphas[] = {10, 0.1, 1000, 1, 100, 1e4};
enum { ALPHAS = 6 };

static vg_samples samples(const double *x, int64_t rows, int64_t columns, int64_t ld)
{
    return (vg_samples){VG_F64, x, rows, columns, ld};
}

static void test_draws(void **state)
{
    (void)state;
    enum { BANDS = 3, DRAWS = 8001 };
    static double weights[DRAWS * BANDS], fewer[10 * BANDS];
    vg_band_weights(BANDS, DRAWS, 5, weights);
    vg_band_weights(BANDS, 10, 5, fewer);
    assert_memory_equal(weights, fewer, sizeof fewer);
    double mean[2] = {0}, square[2] = {0};
    for (int i = 0; i < DRAWS; i++) {
        double sum = 0;
        for (int b = 0; b < BANDS; b++) {
            assert_true(weights[i * BANDS + b] > 0);
            sum += weights[i * BANDS + b];
        }
        assert_true(fabs(sum - 1) < 1e-12);
        mean[i % 2] += weights[i * BANDS + 1] / (DRAWS / 2);
        square[i % 2] += pow(weights[i * BANDS + 1] - 1.0 / BANDS, 2) / (DRAWS / 2);
    }
    assert_true(weights[0] == weights[1] && weights[1] == weights[2]);
    /* Dirichlet of concentration c: mean 1 / B, variance (B - 1) / (B^2 (B c + 1)) */
    assert_true(fabs(mean[1] - 1.0 / 3) < 0.01 && fabs(square[1] - 2.0 / 9 / 4) < 0.003);
    assert_true(fabs(mean[0] - 1.0 / 3) < 0.02 && fabs(square[0] - 2.0 / 9 / 1.3) < 0.01);
}

static void compare(const vg_folds_options *options, int64_t p1, int64_t p2, vg_r2_kind kind)
{
    enum { V = 6, DRAWS = 11 };
    vg_folds *folds;
    assert_int_equal(vg_folds_create(options, &folds), VG_OK);
    int64_t rows = folds->rows, p = p1 + p2, outers = folds->outer_count, n = outers * V;
    double *x = calloc((size_t)(rows * p), 8), *scaled = calloc((size_t)(rows * p), 8), *y = calloc((size_t)(rows * V), 8),
           weights[DRAWS * 2];
    twin_simulate(3, rows, p, V, 0.5, 2, x, y);
    for (int64_t t = 0; t < rows; t++)
        y[t * V + V - 1] = 2; /* dead */
    vg_band_weights(2, DRAWS, 1, weights);
    vg_ridge_plan plan = {.folds = folds, .alphas = alphas, .alpha_count = ALPHAS, .type = VG_F64, .r2 = kind};
    vg_samples bands[] = {samples(x, rows, p1, p), samples(x + p1, rows, p2, p)};
    vg_banded *banded;
    assert_int_equal(vg_banded_create(device, &plan, bands, 2, weights, DRAWS, &banded), VG_OK);
    double r2[V], *alpha = malloc((size_t)n * 8), *inner = malloc((size_t)n * 8);
    int32_t *draw = malloc((size_t)n * 4);
    assert_int_equal(vg_banded_fit(banded, samples(y, rows, V, V), NULL,
                                   &(vg_banded_result){.r2 = r2, .alpha = alpha, .inner_r2 = inner, .draw = draw, .ld = V}),
                     VG_OK);

    double table[2][ALPHAS * V], sse[V] = {0}, sst[V] = {0};
    twin_score scores[V];
    for (int64_t k = 0; k < outers; k++)
        for (int64_t l = 0; l < V - 1; l++) {
            double best = -INFINITY;
            int64_t which = -1;
            for (int64_t i = 0; i < DRAWS; i++) {
                for (int64_t e = 0; e < rows * p; e++)
                    scaled[e] = x[e] * sqrt(weights[2 * i + (e % p >= p1)]);
                twin_data data = {rows, p, V, scaled, y, false};
                twin_inner(&data, &plan, &folds->outer[k], table[0], table[1]);
                int64_t a = twin_best(&plan, table[1], V, l);
                if (table[1][a * V + l] > best + 1e-12) {
                    best = table[1][a * V + l];
                    which = i;
                    if (folds->nested)
                        twin_scores(&data, &folds->outer[k], plan.alphas[a], scores);
                }
            }
            assert_int_equal(draw[k * V + l], which);
            assert_true(fabs(inner[k * V + l] - best) < 1e-9);
            double own = folds->nested ? kind == VG_R2_POOLED ? scores[l].sst : scores[l].sst_own : 1;
            sse[l] += kind == VG_R2_POOLED ? scores[l].sse : scores[l].sse / own;
            sst[l] += kind == VG_R2_POOLED ? own : 1;
            assert_true(k + 1 < outers || fabs(r2[l] - (folds->nested ? 1 - sse[l] / sst[l] : best)) < 1e-9);
        }
    assert_true(isnan(r2[V - 1]) && draw[V - 1] == -1 && isnan(alpha[V - 1]) && isnan(inner[V - 1]));
    vg_banded_free(banded);
    vg_folds_free(folds);
    free(x);
    free(scaled);
    free(y);
    free(alpha);
    free(inner);
    free(draw);
}

static void test_search_agrees_with_the_twin(void **state)
{
    (void)state;
    const vg_folds_options nested = {.run_rows = (int64_t[]){60}, .runs = 1, .outer_folds = 3, .inner_folds = 2, .gap = 1};
    const vg_folds_options single = {.run_rows = (int64_t[]){45}, .runs = 1, .outer_folds = 1, .inner_folds = 3};
    compare(&nested, 3, 5, VG_R2_POOLED);
    compare(&nested, 20, 50, VG_R2_MEAN); /* dual */
    compare(&single, 3, 5, VG_R2_MEAN);
}

/* The parts of the bands add up to the r2 of all, in the primal and the dual form, features standardised by training rows or not; a band
 * that is nothing but zeros has no part. */
static void test_split_adds_up(void **state)
{
    (void)state;
    enum { ROWS = 80, V = 7, DRAWS = 9 };
    const struct {
        int64_t p1, p2;
        bool standardize, empty;
    } cases[] = {{4, 6, false, false}, {30, 70, false, false}, {4, 6, true, false}, {30, 70, true, false}, {4, 6, false, true}};
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        int64_t rows = ROWS, p = cases[c].p1 + cases[c].p2;
        double *x = calloc((size_t)(ROWS * p), 8), weights[DRAWS * 2], y[ROWS * V], r2[V], alpha[3 * V], split[2 * V], worst = 0;
        int32_t draw[3 * V];
        vg_folds *folds;
        vg_banded *banded;
        twin_simulate(4, ROWS, p, V, 0.5, 2, x, y);
        for (int64_t t = 0; cases[c].empty && t < ROWS; t++)
            memset(x + t * p, 0, (size_t)cases[c].p1 * 8);
        for (int64_t t = 0; t < ROWS; t++)
            y[t * V + V - 1] = 2; /* dead */
        assert_int_equal(
            vg_folds_create(&(vg_folds_options){.run_rows = &rows, .runs = 1, .outer_folds = 3, .inner_folds = 2, .gap = 2}, &folds),
            VG_OK);
        vg_ridge_plan plan = {.folds = folds, .alphas = alphas, .alpha_count = ALPHAS, .type = VG_F64, .standardize = cases[c].standardize};
        vg_samples bands[] = {samples(x, ROWS, cases[c].p1, p), samples(x + cases[c].p1, ROWS, cases[c].p2, p)};
        vg_band_weights(2, DRAWS, 1, weights);
        assert_int_equal(vg_banded_create(device, &plan, bands, 2, weights, DRAWS, &banded), VG_OK);
        for (int pass = 0; pass < 2; pass++) { /* the second one takes the eigenvectors that were kept */
            assert_int_equal(vg_banded_fit(banded, samples(y, ROWS, V, V), NULL,
                                           &(vg_banded_result){.r2 = r2, .alpha = alpha, .draw = draw, .ld = V, .split = split}),
                             VG_OK);
            for (int v = 0; v < V - 1; v++) {
                worst = fmax(worst, fabs(split[v] + split[V + v] - r2[v]));
                assert_true(!cases[c].empty || split[v] == 0);
            }
            assert_true(isnan(split[V - 1]) && isnan(split[2 * V - 1]));
        }
        print_message("%d + %d columns: parts add up to r2 within %.1e\n", (int)cases[c].p1, (int)cases[c].p2, worst);
        assert_true(worst < 1e-9);
        vg_banded_free(banded);
        vg_folds_free(folds);
        free(x);
    }
}

/* A first band cut to its principal components: as many as there are change nothing; fewer are, fold by fold, the band of the components
 * that LAPACK finds in the training rows; the parts still add up; and a fold's choices do not know its test rows. */
static void test_principal_band(void **state)
{
    (void)state;
    enum { ROWS = 80, V = 5, DRAWS = 4, Q = 3, KEPT = 4 };
    static const int64_t sizes[] = {6, 70}; /* by columns, by rows */
    for (size_t i = 0; i < 2; i++) {
        int64_t rows = ROWS, p = sizes[i] + Q, own = sizes[i];
        double *x = calloc((size_t)(ROWS * p), 8), weights[DRAWS * 2], y[ROWS * V], r2[3][V], alpha[3][3 * V], split[2 * V],
               part[ROWS * KEPT];
        vg_folds *folds;
        vg_banded *banded;
        twin_simulate(8, ROWS, p, V, 0.5, 2, x, y);
        assert_int_equal(
            vg_folds_create(&(vg_folds_options){.run_rows = &rows, .runs = 1, .outer_folds = 3, .inner_folds = 2, .gap = 1}, &folds),
            VG_OK);
        vg_ridge_plan plan = {.folds = folds, .alphas = alphas, .alpha_count = ALPHAS, .type = VG_F64};
        vg_samples bands[] = {samples(x, ROWS, own, p), samples(x + own, ROWS, Q, p)};
        vg_band_weights(2, DRAWS, 1, weights);
        for (int cut = 0; cut < 3; cut++) { /* not, to all that there is, to KEPT */
            assert_int_equal(cut == 0 ? vg_banded_create(device, &plan, bands, 2, weights, DRAWS, &banded)
                                      : vg_banded_principal(device, &plan, bands, 2, cut == 1 ? own : KEPT, weights, DRAWS, &banded),
                             VG_OK);
            vg_banded_result r = {.r2 = r2[cut], .alpha = alpha[cut], .ld = V, .split = cut == 2 ? split : NULL};
            int32_t draw[3 * V];
            r.draw = draw;
            assert_int_equal(vg_banded_fit(banded, samples(y, ROWS, V, V), NULL, &r), VG_OK);
            vg_banded_free(banded);
        }
        double loss[3 * V], total[3 * V], sums[2][V] = {{0}};
        for (int64_t k = 0; k < 3; k++) {
            double *centred = calloc((size_t)(ROWS * own), 8), alpha_k[V];
            for (int64_t t = 0; t < ROWS; t++)
                memcpy(centred + t * own, x + t * p, (size_t)own * 8);
            twin_project(centred, &folds->outer[k], ROWS, own, KEPT, part);
            vg_folds one = {.rows = ROWS, .nested = true, .outer = &folds->outer[k], .outer_count = 1};
            vg_ridge_plan alone = plan;
            alone.folds = &one;
            vg_samples made[] = {samples(part, ROWS, KEPT, KEPT), bands[1]};
            assert_int_equal(vg_banded_create(device, &alone, made, 2, weights, DRAWS, &banded), VG_OK);
            vg_banded_result r = {.alpha = alpha_k, .fold_loss = loss + k * V, .fold_total = total + k * V, .ld = V};
            assert_int_equal(vg_banded_fit(banded, samples(y, ROWS, V, V), NULL, &r), VG_OK);
            vg_banded_free(banded);
            free(centred);
            for (int v = 0; v < V; v++) {
                assert_true(alpha_k[v] == alpha[2][k * V + v]);
                sums[0][v] += loss[k * V + v];
                sums[1][v] += total[k * V + v];
            }
        }
        for (int v = 0; v < V; v++) {
            assert_true(fabs(r2[0][v] - r2[1][v]) < 1e-9);
            assert_true(fabs(r2[2][v] - (1 - sums[0][v] / sums[1][v])) < 1e-9);
            assert_true(fabs(r2[2][v] - r2[0][v]) > 1e-6);
            assert_true(fabs(split[v] + split[V + v] - r2[2][v]) < 1e-9);
        }
        for (int64_t t = folds->outer[0].test[0].begin; t < folds->outer[0].test[0].end; t++)
            for (int64_t j = 0; j < own; j++)
                x[t * p + j] *= 50; /* the first component of all rows, not of the training rows */
        assert_int_equal(vg_banded_principal(device, &plan, bands, 2, KEPT, weights, DRAWS, &banded), VG_OK);
        assert_int_equal(vg_banded_fit(banded, samples(y, ROWS, V, V), NULL, &(vg_banded_result){.alpha = alpha[0], .ld = V}), VG_OK);
        assert_memory_equal(alpha[0], alpha[2], V * sizeof(double));
        vg_banded_free(banded);
        assert_int_equal(vg_banded_principal(device, &plan, bands, 2, 0, weights, DRAWS, &banded), VG_INVALID);
        vg_folds_free(folds);
        free(x);
    }
}

/* Nuisance that made the responses is gone after it was regressed out; what else made them is found; and both are what the slow twin finds
 * in residuals made by normal equations. */
static void test_nuisance_regressed_out(void **state)
{
    (void)state;
    enum { ROWS = 90, P = 4, Q = 3, V = 4 };
    static double x[ROWS * P], n[ROWS * Q], y[ROWS * V], ignored[ROWS * V], xr[ROWS * P], yr[ROWS * V];
    int64_t rows = ROWS, train[ROWS];
    twin_simulate(5, ROWS, P, V, 0.5, 1, x, ignored);
    for (int t = 0; t < ROWS; t++) {
        n[t * Q] = sin(t * 0.3);
        n[t * Q + 1] = t;
        n[t * Q + 2] = 2 * n[t * Q] + 1; /* says nothing new */
        for (int v = 0; v < V; v++)
            y[t * V + v] =
                5 * n[t * Q] - 0.1 * t + (v % 2) * x[t * P + 1] + 0.5 * vg_random_normal(6, VG_RANDOM_TEST, (uint64_t)(t * V + v));
    }
    vg_folds *folds;
    vg_regressed *regressed;
    assert_int_equal(
        vg_folds_create(&(vg_folds_options){.run_rows = &rows, .runs = 1, .outer_folds = 3, .inner_folds = 2, .gap = 1}, &folds), VG_OK);
    vg_ridge_plan plan = {.folds = folds, .alphas = alphas, .alpha_count = ALPHAS, .type = VG_F64};
    assert_int_equal(vg_regressed_create(device, &plan, samples(x, ROWS, P, P), samples(n, ROWS, Q, Q), 0, &regressed), VG_OK);
    double score[V], r2[V], alpha[3 * V], fold[3 * V];
    assert_int_equal(vg_regressed_fit(regressed, samples(y, ROWS, V, V), NULL,
                                      &(vg_ridge_result){.score = score, .r2 = r2, .alpha = alpha, .fold_score = fold, .ld = V}),
                     VG_OK);
    for (int64_t k = 0; k < 3; k++) {
        int64_t m = twin_rows(folds->outer[k].train, folds->outer[k].train_ranges, train);
        double gram[9] = {0}, right[3 * (P + V)] = {0};
        for (int64_t i = 0; i < m; i++) {
            const double z[3] = {1, n[train[i] * Q], n[train[i] * Q + 1]};
            for (int a = 0; a < 3; a++) {
                for (int b = 0; b < 3; b++)
                    gram[a * 3 + b] += z[a] * z[b];
                for (int j = 0; j < P + V; j++)
                    right[a * (P + V) + j] += z[a] * (j < P ? x[train[i] * P + j] : y[train[i] * V + j - P]);
            }
        }
        assert_int_equal(LAPACKE_dposv(LAPACK_ROW_MAJOR, 'U', 3, P + V, gram, 3, right, P + V), 0);
        for (int t = 0; t < ROWS; t++)
            for (int j = 0; j < P + V; j++) {
                double by = right[j] + right[P + V + j] * n[t * Q] + right[2 * (P + V) + j] * n[t * Q + 1];
                if (j < P)
                    xr[t * P + j] = x[t * P + j] - by;
                else
                    yr[t * V + j - P] = y[t * V + j - P] - by;
            }
        twin_data data = {ROWS, P, V, xr, yr, false};
        double table[2][ALPHAS * V];
        twin_score scores[V];
        twin_inner(&data, &plan, &folds->outer[k], table[0], table[1]);
        for (int64_t v = 0; v < V; v++) {
            int64_t a = twin_best(&plan, table[0], V, v);
            assert_true(alpha[k * V + v] == plan.alphas[a]);
            twin_scores(&data, &folds->outer[k], plan.alphas[a], scores);
            assert_true(fabs(fold[k * V + v] - scores[v].r) < 1e-8);
        }
    }
    for (int v = 0; v < V; v++)
        assert_true(v % 2 == 1 ? score[v] > 0.6 && r2[v] > 0.4 : fabs(score[v]) < 0.4 && r2[v] < 0.1);
    vg_regressed_free(regressed);
    assert_int_equal(vg_regressed_create(device, &plan, samples(x, ROWS, P, P), samples(n, ROWS - 1, Q, Q), 0, &regressed), VG_INVALID);
    vg_folds_free(folds);
}

/* Shared penalties: one for all is the best by the mean of the voxels' inner scores; labels of one voxel each give what no sharing gives.
 */
static void test_shared_penalties(void **state)
{
    (void)state;
    enum { ROWS = 90, P = 6, V = 11, OUTER = 3 };
    static double x[ROWS * P], y[ROWS * V];
    int64_t rows = ROWS;
    int32_t own[V], none[V] = {0};
    twin_simulate(2, ROWS, P, V, 0.5, 1, x, y);
    for (int t = 0; t < ROWS; t++)
        y[t * V + 4] = 1; /* dead */
    for (int v = 0; v < V; v++)
        own[v] = v;
    vg_folds *folds;
    vg_ridge_design *design;
    assert_int_equal(vg_folds_create(&(vg_folds_options){.run_rows = &rows, .runs = 1, .outer_folds = OUTER, .inner_folds = 2}, &folds),
                     VG_OK);
    vg_ridge_plan plan = {.folds = folds, .alphas = alphas, .alpha_count = ALPHAS, .type = VG_F64, .tile = 4};
    assert_int_equal(vg_ridge_design_create(device, &plan, samples(x, ROWS, P, P), &design), VG_OK);
    double score[3][V], r2[3][V], alpha[3][OUTER * V], r2_alpha[3][OUTER * V], inner[3][OUTER * V], inner_r2[3][OUTER * V];
    for (int i = 0; i < 3; i++) {
        vg_ridge_result r = {.score = score[i],
                             .r2 = r2[i],
                             .alpha = alpha[i],
                             .r2_alpha = r2_alpha[i],
                             .inner_score = inner[i],
                             .inner_r2 = inner_r2[i],
                             .ld = V};
        assert_int_equal(vg_ridge_fit_shared(&design, 1, samples(y, ROWS, V, V), NULL, i == 0 ? NULL : i == 1 ? own : none, V, &r), VG_OK);
    }
    for (int v = 0; v < V; v++)
        for (int k = 0; k < OUTER; k++) {
            if (v == 4)
                continue;
            assert_true(alpha[0][k * V + v] == alpha[1][k * V + v] && r2_alpha[0][k * V + v] == r2_alpha[1][k * V + v]);
            assert_true(fabs(score[0][v] - score[1][v]) < 1e-12 && fabs(r2[0][v] - r2[1][v]) < 1e-12);
            assert_true(fabs(inner[0][k * V + v] - inner[1][k * V + v]) < 1e-12);
            assert_true(fabs(inner_r2[0][k * V + v] - inner_r2[1][k * V + v]) < 1e-12);
        }
    twin_data data = {ROWS, P, V, x, y, false};
    double table[2][ALPHAS * V];
    for (int64_t k = 0; k < OUTER; k++) {
        twin_inner(&data, &plan, &folds->outer[k], table[0], table[1]);
        for (int m = 0; m < 2; m++) {
            double best = -INFINITY;
            int64_t which = 0;
            for (int64_t a = 0; a < ALPHAS; a++) {
                double sum = 0;
                for (int v = 0; v < V; v++)
                    sum += v != 4 ? table[m][a * V + v] : 0;
                if (sum > best) {
                    best = sum;
                    which = a;
                }
            }
            for (int v = 0; v < V; v++)
                assert_true(v == 4 ? isnan(alpha[2][k * V + v]) : (m == 0 ? alpha : r2_alpha)[2][k * V + v] == alphas[which]);
        }
    }
    assert_true(isnan(score[2][4]) && isnan(r2[2][4]));
    vg_ridge_design_free(design);
    vg_folds_free(folds);
}

/* Responses made of the second band: that band's unique variance is large, the first one's about 0. */
static void test_unique_variance(void **state)
{
    (void)state;
    enum { ROWS = 300, P = 5, V = 4, DRAWS = 20 };
    static double x[ROWS * 2 * P], y[ROWS * V], weights[DRAWS * 2], ignored[ROWS * V];
    const double one = 1;
    double all[V], first[V], second[V];
    twin_simulate(1, ROWS, 2 * P, V, 0.5, 1, x, ignored);
    for (int t = 0; t < ROWS; t++)
        for (int v = 0; v < V; v++)
            y[t * V + v] = x[t * 2 * P + P + v] + vg_random_normal(9, VG_RANDOM_TEST, (uint64_t)(t * V + v));
    int64_t rows = ROWS;
    vg_folds *folds;
    assert_int_equal(vg_folds_create(&(vg_folds_options){.run_rows = &rows, .runs = 1, .outer_folds = 4, .inner_folds = 3}, &folds), VG_OK);
    vg_ridge_plan plan = {.folds = folds, .alphas = alphas, .alpha_count = ALPHAS, .type = VG_F32};
    vg_samples bands[] = {samples(x, ROWS, P, 2 * P), samples(x + P, ROWS, P, 2 * P)};
    vg_banded *banded;
    vg_band_weights(2, DRAWS, 1, weights);
    double *to[] = {all, first, second};
    for (int i = 0; i < 3; i++) {
        assert_int_equal(vg_banded_create(device, &plan, i == 2 ? bands + 1 : bands, i == 0 ? 2 : 1, i == 0 ? weights : &one,
                                          i == 0 ? DRAWS : 1, &banded),
                         VG_OK);
        assert_int_equal(vg_banded_fit(banded, samples(y, ROWS, V, V), NULL, &(vg_banded_result){.r2 = to[i]}), VG_OK);
        vg_banded_free(banded);
    }
    for (int v = 0; v < V; v++) {
        print_message("r2 %.3f, unique: %.3f and %.3f\n", all[v], all[v] - second[v], all[v] - first[v]);
        assert_true(fabs(all[v] - second[v]) < 0.02);
        assert_true(all[v] - first[v] > 0.4);
    }
    vg_folds_free(folds);
}

static void test_bad_bands(void **state)
{
    (void)state;
    double x[40] = {0}, weights[] = {0.5, 0};
    int64_t rows = 20;
    vg_folds *folds;
    vg_banded *banded;
    assert_int_equal(vg_folds_create(&(vg_folds_options){.run_rows = &rows, .runs = 1, .outer_folds = 2, .inner_folds = 2}, &folds), VG_OK);
    vg_ridge_plan plan = {.folds = folds, .alphas = alphas, .alpha_count = ALPHAS, .type = VG_F64};
    vg_samples bands[] = {samples(x, 20, 1, 1), samples(x, 19, 1, 1)};
    assert_int_equal(vg_banded_create(device, &plan, bands, 2, (double[]){0.5, 0.5}, 1, &banded), VG_INVALID);
    bands[1].rows = 20;
    assert_int_equal(vg_banded_create(device, &plan, bands, 2, weights, 1, &banded), VG_INVALID);
    assert_int_equal(vg_banded_create(device, &plan, bands, 0, weights, 1, &banded), VG_INVALID);
    assert_null(banded);
    vg_folds_free(folds);
}

/* (X' X + alpha) weights = X' y, to rounding: the definition of both forms. */
static void test_weights(void **state)
{
    (void)state;
    enum { ROWS = 40, V = 5 };
    for (int64_t p = 7; p <= 90; p += 83) {
        double *x = calloc((size_t)(ROWS * p), 8), *weights = calloc((size_t)(p * V), 8), y[ROWS * V], alpha[V] = {0.5, 1, 20, 300, 1};
        twin_simulate(4, ROWS, p, V, 0.5, 1, x, y);
        for (int t = 0; t < ROWS; t++) {
            x[t * p + 2] = 7; /* constant */
            y[t * V + 4] = 2; /* dead */
        }
        vg_ridge_plan plan = {.standardize = false};
        assert_int_equal(vg_ridge_weights(device, &plan, samples(x, ROWS, p, p), samples(y, ROWS, V, V), alpha, weights), VG_OK);
        for (int64_t j = 0; j < p; j++)
            for (int v = 0; v < V; v++) {
                double left = alpha[v] * weights[j * V + v], right = 0, mean = 0;
                for (int t = 0; t < ROWS; t++)
                    mean += x[t * p + j] / ROWS;
                for (int t = 0; t < ROWS; t++) {
                    double predicted = 0, y_mean = 0;
                    for (int u = 0; u < ROWS; u++)
                        y_mean += y[u * V + v] / ROWS;
                    for (int64_t l = 0; l < p; l++) {
                        double x_mean = 0;
                        for (int u = 0; u < ROWS; u++)
                            x_mean += x[u * p + l] / ROWS;
                        predicted += (x[t * p + l] - x_mean) * weights[l * V + v];
                    }
                    left += (x[t * p + j] - mean) * predicted;
                    right += (x[t * p + j] - mean) * (y[t * V + v] - y_mean);
                }
                if (v == 4)
                    assert_true(isnan(weights[j * V + v]));
                else
                    assert_true(fabs(left - right) < 1e-9);
            }
        assert_int_equal(vg_ridge_weights(device, &plan, samples(x, ROWS, p, p), samples(y, ROWS - 1, V, V), alpha, weights), VG_INVALID);
        free(x);
        free(weights);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_draws),
        cmocka_unit_test(test_search_agrees_with_the_twin),
        cmocka_unit_test(test_split_adds_up),
        cmocka_unit_test(test_principal_band),
        cmocka_unit_test(test_nuisance_regressed_out),
        cmocka_unit_test(test_shared_penalties),
        cmocka_unit_test(test_unique_variance),
        cmocka_unit_test(test_bad_bands),
        cmocka_unit_test(test_weights),
    };
    return cmocka_run_group_tests(tests, open_device, close_device);
}
