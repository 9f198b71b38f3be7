/* twin: ridge with nested folds as anyone would write it, slowly: for every set and penalty, the normal equations by Cholesky, predictions
 * row by row, scores by their definitions. The solver must agree. Also the simulated data of the tests. */
#ifndef VOXGRAD_TESTS_ENCODING_TWIN_H
#define VOXGRAD_TESTS_ENCODING_TWIN_H

#include <lapacke.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "voxgrad/encoding.h"

/* Rows of a set of ranges, as a list; returns how many. */
static inline int64_t twin_rows(const vg_range *ranges, int64_t count, int64_t *rows)
{
    int64_t n = 0;
    for (int64_t i = 0; i < count; i++)
        for (int64_t t = ranges[i].begin; t < ranges[i].end; t++)
            rows[n++] = t;
    return n;
}

typedef struct {
    int64_t rows, columns, voxels;
    const double *x, *y;
    bool standardize;
} twin_data;

/* Predictions (m, voxels) for the fold's test rows, as differences from the training mean of y, which goes to y_mean (voxels). */
static inline void twin_predict(const twin_data *d, const vg_fold *fold, double alpha, double *prediction, double *y_mean)
{
    int64_t p = d->columns, v = d->voxels, *train = malloc((size_t)d->rows * 8), *test = malloc((size_t)d->rows * 8);
    int64_t n = twin_rows(fold->train, fold->train_ranges, train), m = twin_rows(fold->test, fold->test_ranges, test);
    double *mean = calloc((size_t)p, 8), *by = calloc((size_t)p, 8), *gram = calloc((size_t)(p * p), 8),
           *weights = calloc((size_t)(p * v), 8);
    memset(y_mean, 0, (size_t)v * 8);
    for (int64_t i = 0; i < n; i++) {
        for (int64_t j = 0; j < p; j++)
            mean[j] += d->x[train[i] * p + j] / (double)n;
        for (int64_t j = 0; j < v; j++)
            y_mean[j] += d->y[train[i] * v + j] / (double)n;
    }
    for (int64_t j = 0; j < p; j++) {
        for (int64_t i = 0; i < n; i++)
            by[j] += pow(d->x[train[i] * p + j] - mean[j], 2) / (double)n;
        by[j] = !d->standardize ? 1 : by[j] > 1e-20 ? 1 / sqrt(by[j]) : 0;
    }
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < p; j++) {
            double x = by[j] * (d->x[train[i] * p + j] - mean[j]);
            for (int64_t l = 0; l < p; l++)
                gram[j * p + l] += x * by[l] * (d->x[train[i] * p + l] - mean[l]);
            for (int64_t l = 0; l < v; l++)
                weights[j * v + l] += x * (d->y[train[i] * v + l] - y_mean[l]);
        }
    for (int64_t j = 0; j < p; j++)
        gram[j * p + j] += alpha;
    lapack_int info = LAPACKE_dposv(LAPACK_ROW_MAJOR, 'U', (lapack_int)p, (lapack_int)v, gram, (lapack_int)p, weights, (lapack_int)v);
    if (info != 0) {
        fprintf(stderr, "twin: dposv says %d\n", (int)info);
        abort();
    }
    for (int64_t i = 0; i < m; i++)
        for (int64_t l = 0; l < v; l++) {
            prediction[i * v + l] = 0;
            for (int64_t j = 0; j < p; j++)
                prediction[i * v + l] += by[j] * (d->x[test[i] * p + j] - mean[j]) * weights[j * v + l];
        }
    free(train);
    free(test);
    free(mean);
    free(by);
    free(gram);
    free(weights);
}

typedef struct {
    double r, sse, sst, sst_own;
} twin_score;

/* What one penalty scores on one fold, (voxels). */
static inline void twin_scores(const twin_data *d, const vg_fold *fold, double alpha, twin_score *scores)
{
    int64_t v = d->voxels, *test = malloc((size_t)d->rows * 8), m = twin_rows(fold->test, fold->test_ranges, test);
    double *prediction = malloc((size_t)(m * v) * 8), *y_mean = malloc((size_t)v * 8);
    twin_predict(d, fold, alpha, prediction, y_mean);
    for (int64_t l = 0; l < v; l++) {
        double my = 0, mp = 0, xx = 0, yy = 0, xy = 0;
        scores[l] = (twin_score){0};
        for (int64_t i = 0; i < m; i++) {
            double y = d->y[test[i] * v + l] - y_mean[l], p = prediction[i * v + l];
            my += y / (double)m;
            mp += p / (double)m;
            scores[l].sse += (y - p) * (y - p);
            scores[l].sst += y * y;
        }
        for (int64_t i = 0; i < m; i++) {
            double y = d->y[test[i] * v + l] - y_mean[l] - my, p = prediction[i * v + l] - mp;
            xx += p * p;
            yy += y * y;
            xy += p * y;
        }
        scores[l].sst_own = yy;
        scores[l].r = xx > 1e-20 * (double)m && yy > 1e-20 * (double)m ? xy / sqrt(xx * yy) : 0;
    }
    free(test);
    free(prediction);
    free(y_mean);
}

/* A table of inner means (alphas, voxels) of r and of r2, pooled or by fold. */
static inline void twin_inner(const twin_data *d, const vg_ridge_plan *plan, const vg_fold *outer, double *r, double *r2)
{
    int64_t v = d->voxels;
    twin_score *scores = malloc((size_t)v * sizeof *scores);
    double *sse = malloc((size_t)v * 8), *sst = malloc((size_t)v * 8);
    for (int64_t a = 0; a < plan->alpha_count; a++) {
        memset(sse, 0, (size_t)v * 8);
        memset(sst, 0, (size_t)v * 8);
        for (int64_t l = 0; l < v; l++)
            r[a * v + l] = r2[a * v + l] = 0;
        for (int64_t j = 0; j < outer->inner_count; j++) {
            twin_scores(d, &outer->inner[j], plan->alphas[a], scores);
            for (int64_t l = 0; l < v; l++) {
                r[a * v + l] += scores[l].r / (double)outer->inner_count;
                sse[l] += scores[l].sse;
                sst[l] += scores[l].sst;
                if (plan->r2 == VG_R2_MEAN && scores[l].sst_own > 1e-20)
                    r2[a * v + l] += (1 - scores[l].sse / scores[l].sst_own) / (double)outer->inner_count;
            }
        }
        for (int64_t l = 0; l < v && plan->r2 == VG_R2_POOLED; l++)
            r2[a * v + l] = 1 - sse[l] / sst[l];
    }
    free(scores);
    free(sse);
    free(sst);
}

static inline int64_t twin_best(const vg_ridge_plan *plan, const double *table, int64_t v, int64_t l)
{
    int64_t best = 0;
    for (int64_t a = 1; a < plan->alpha_count; a++) {
        double more = table[a * v + l] - table[best * v + l];
        if (more > 1e-12 || (more > -1e-12 && plan->alphas[a] < plan->alphas[best]))
            best = a;
    }
    return best;
}

/* All of a vg_ridge_result but inner_r2's like; tables of ld = voxels. */
static inline void twin_fit(const twin_data *d, const vg_ridge_plan *plan, const vg_ridge_result *result)
{
    int64_t v = d->voxels, outers = plan->folds->outer_count;
    double *r = malloc((size_t)(plan->alpha_count * v) * 8), *r2 = malloc((size_t)(plan->alpha_count * v) * 8);
    double *sse = calloc((size_t)v, 8), *sst = calloc((size_t)v, 8);
    twin_score *scores = malloc((size_t)v * sizeof *scores);
    for (int64_t l = 0; l < v; l++)
        result->score[l] = result->r2[l] = 0;
    for (int64_t k = 0; k < outers; k++) {
        const vg_fold *outer = &plan->folds->outer[k];
        twin_inner(d, plan, outer, r, r2);
        for (int64_t l = 0; l < v; l++) {
            int64_t a = twin_best(plan, r, v, l), a2 = twin_best(plan, r2, v, l);
            result->alpha[k * v + l] = plan->alphas[a];
            result->r2_alpha[k * v + l] = plan->alphas[a2];
            result->inner_score[k * v + l] = r[a * v + l];
            result->inner_r2[k * v + l] = r2[a2 * v + l];
            result->fold_score[k * v + l] = r[a * v + l];
            if (plan->folds->nested) {
                twin_scores(d, outer, plan->alphas[a], scores);
                result->fold_score[k * v + l] = scores[l].r;
                twin_scores(d, outer, plan->alphas[a2], scores);
                sse[l] += plan->r2 == VG_R2_POOLED ? scores[l].sse : scores[l].sst_own > 1e-20 ? scores[l].sse / scores[l].sst_own : 1;
                sst[l] += plan->r2 == VG_R2_POOLED ? scores[l].sst : 1;
            }
            result->score[l] += result->fold_score[k * v + l] / (double)outers;
            result->r2[l] = plan->folds->nested ? 1 - sse[l] / sst[l] : r2[a2 * v + l];
        }
    }
    free(r);
    free(r2);
    free(sse);
    free(sst);
    free(scores);
}

/* Room for every table of a result. */
static inline vg_ridge_result twin_result(int64_t outers, int64_t v)
{
    double *memory = malloc((size_t)((2 + 5 * outers) * v) * 8);
    for (int64_t i = 0; i < (2 + 5 * outers) * v; i++)
        memory[i] = -77;
    vg_ridge_result result = {.score = memory, .r2 = memory + v, .ld = v};
    double **tables[] = {&result.alpha, &result.fold_score, &result.inner_score, &result.r2_alpha, &result.inner_r2};
    for (int i = 0; i < 5; i++)
        *tables[i] = memory + (2 + i * outers) * v;
    return result;
}

/* Simulated: smooth features (an AR(1) of each column), responses of some weights and noise. */
static inline void twin_simulate(uint64_t seed, int64_t rows, int64_t p, int64_t v, double smooth, double noise, double *x, double *y)
{
    uint64_t at = 0;
    double *weights = malloc((size_t)(p * v) * 8);
    for (int64_t j = 0; j < p; j++)
        for (int64_t t = 0; t < rows; t++)
            x[t * p + j] = (t > 0 ? smooth * x[(t - 1) * p + j] : 0) + vg_random_normal(seed, VG_RANDOM_TEST, at++);
    for (int64_t i = 0; i < p * v; i++)
        weights[i] = vg_random_normal(seed, VG_RANDOM_TEST, at++) / sqrt((double)p);
    for (int64_t t = 0; t < rows; t++)
        for (int64_t l = 0; l < v; l++) {
            y[t * v + l] = noise * vg_random_normal(seed, VG_RANDOM_TEST, at++);
            for (int64_t j = 0; j < p; j++)
                y[t * v + l] += x[t * p + j] * weights[j * v + l];
        }
    free(weights);
}

/* The rows (T, p) of a fold on the first `kept` principal components of its training rows, by the singular values of LAPACK. */
static inline void twin_project(const double *x, const vg_fold *fold, int64_t rows, int64_t p, int64_t kept, double *projected)
{
    int64_t *train = malloc((size_t)rows * 8), n = twin_rows(fold->train, fold->train_ranges, train), side = n < p ? n : p;
    double *centred = malloc((size_t)(n * p) * 8), *mean = calloc((size_t)p, 8), *s = malloc((size_t)side * 8);
    double *u = malloc((size_t)(n * side) * 8), *vt = malloc((size_t)(side * p) * 8), *rest = malloc((size_t)side * 8);
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < p; j++)
            mean[j] += x[train[i] * p + j] / (double)n;
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < p; j++)
            centred[i * p + j] = x[train[i] * p + j] - mean[j];
    assert_int_equal(LAPACKE_dgesvd(LAPACK_ROW_MAJOR, 'S', 'S', (lapack_int)n, (lapack_int)p, centred, (lapack_int)p, s, u,
                                    (lapack_int)side, vt, (lapack_int)p, rest),
                     0);
    for (int64_t t = 0; t < rows; t++)
        for (int64_t c = 0; c < kept; c++) {
            projected[t * kept + c] = 0;
            for (int64_t j = 0; j < p; j++)
                projected[t * kept + c] += (x[t * p + j] - mean[j]) * vt[c * p + j];
        }
    free(train);
    free(centred);
    free(mean);
    free(s);
    free(u);
    free(vt);
    free(rest);
}

#endif
