/* ridge: tiles of responses through designs (encoding.md, "Ridge", 1, 4, 5). Of a tile (T, v): centre it; once a segment, multiply it with
 * the features of all spaces, stacked; for every set of a space, add segments up, multiply with the set's factor, and score all penalties
 * at once; after the inner folds of an outer one, choose, and score the choice on the outer fold's held-out rows. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ridge.h"

typedef struct {
    vg_device *device;
    const vg_ridge_plan *plan;
    const ridge_layout *layout;
    vg_ridge_design *const *designs;
    int64_t count, tile, *widths; /* widths: of the designs' cross-products */
    bool correlation, loss;
    vg_samples responses;
    const int32_t *order;
    const vg_ridge_result *results;
    /* device memory, for `tile` voxels */
    void *y;
    double *mean, *square, *variance, *shift;
    uint8_t *dead, *constant;
    void *stacked, *cross;                                 /* (T, P) features; (segments + 1, P, v) products */
    void *train, *test, *products;                         /* of one set: (p + 1, v) twice, (rank rows + rank, v) */
    double *score, *loss_sum, *total;                      /* over inner folds: (alphas, v) twice, (v) */
    int32_t *ascending, *choice;                           /* (alphas); (v) */
    double *best, *outer_score, *outer_loss, *outer_total; /* (v) each; total of all outer folds */
    /* host memory */
    uint8_t *dead_here;
    int32_t *choice_here;
    double *here, *lost, *spread_out, *loss_so_far, *total_so_far;
} fitting;

/* ---- sizes --------------------------------------------------------------------------------------------------------------------- */

/* The largest of what the sets of the designs need for one voxel. */
typedef struct {
    int64_t width, products, stacked;
} needs;

static int64_t larger(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static needs needs_of(vg_ridge_design *const *designs, const int64_t *widths, int64_t count)
{
    needs n = {0};
    for (int64_t i = 0; i < count; i++) {
        const vg_ridge_design *design = designs[i];
        n.width = larger(n.width, widths[i]);
        for (int64_t s = 0; s < design->layout.sets; s++) {
            n.products = larger(n.products, design->factor[s].rank * (design->factor[s].rows + 1));
            n.width = larger(n.width, design->factor[s].rows);
        }
    }
    for (int64_t first = 0, columns; first < count; n.stacked = larger(n.stacked, columns))
        first = ridge_stack_end(widths, first, count, &columns);
    return n;
}

/* ---- what is made once a call ------------------------------------------------------------------------------------------------------ */

static vg_status take(vg_device *d, void *memory, int64_t count, size_t size)
{
    int64_t bytes;
    VG_TRY(vg_multiply(count > 0 ? count : 1, (int64_t)size, "numbers of a fit", &bytes));
    return d->ops->alloc(d, (size_t)bytes, (void **)memory);
}

static vg_status take_memory(fitting *f)
{
    vg_device *d = f->device;
    int64_t v = f->tile, t = f->layout->rows, a = f->plan->alpha_count;
    size_t size = ridge_size(f->plan->type), wide = sizeof(double);
    needs n = needs_of(f->designs, f->widths, f->count);
    VG_TRY(take(d, &f->y, t * v, size));
    VG_TRY(take(d, &f->mean, f->layout->segments * v, wide));
    VG_TRY(take(d, &f->square, f->layout->segments * v, wide));
    VG_TRY(take(d, &f->variance, f->layout->sets * v, wide));
    VG_TRY(take(d, &f->shift, f->layout->sets * v, wide));
    VG_TRY(take(d, &f->constant, f->layout->sets * v, 1));
    VG_TRY(take(d, &f->dead, v, 1));
    VG_TRY(take(d, &f->stacked, t * n.stacked, size));
    VG_TRY(take(d, &f->cross, (f->layout->segments + 1) * n.stacked * v, size));
    VG_TRY(take(d, &f->train, n.width * v, size));
    VG_TRY(take(d, &f->test, larger(n.width, t) * v, size));
    VG_TRY(take(d, &f->products, n.products * v, size));
    VG_TRY(take(d, &f->score, a * v, wide));
    VG_TRY(take(d, &f->loss_sum, a * v, wide));
    VG_TRY(take(d, &f->ascending, a, sizeof(int32_t)));
    VG_TRY(take(d, &f->choice, v, sizeof(int32_t)));
    double **columns[] = {&f->total, &f->best, &f->outer_score, &f->outer_loss, &f->outer_total};
    for (size_t i = 0; i < sizeof columns / sizeof columns[0]; i++)
        VG_TRY(take(d, columns[i], v, wide));
    VG_TRY(VG_NEW(&f->dead_here, v, "voxels of a tile"));
    VG_TRY(VG_NEW(&f->choice_here, v, "voxels of a tile"));
    VG_TRY(VG_NEW(&f->here, 5 * v, "voxels of a tile"));
    f->lost = f->here + v;
    f->spread_out = f->here + 2 * v;
    f->loss_so_far = f->here + 3 * v;
    f->total_so_far = f->here + 4 * v;
    return VG_OK;
}

static void give_memory(fitting *f)
{
    void *there[] = {f->y,         f->mean,   f->square, f->variance, f->shift,       f->constant,   f->dead,
                     f->stacked,   f->cross,  f->train,  f->test,     f->products,    f->score,      f->loss_sum,
                     f->ascending, f->choice, f->total,  f->best,     f->outer_score, f->outer_loss, f->outer_total};
    for (size_t i = 0; i < sizeof there / sizeof there[0]; i++)
        if (there[i] != NULL)
            f->device->ops->free(f->device, there[i]);
    free(f->dead_here);
    free(f->choice_here);
    free(f->here);
    free(f->widths);
}

/* The penalties' numbers from the smallest to the largest. */
static vg_status send_ascending(fitting *f)
{
    int64_t count = f->plan->alpha_count;
    int32_t *order;
    VG_TRY(VG_NEW(&order, count, "penalties"));
    for (int64_t i = 0; i < count; i++) {
        int64_t at = i;
        for (; at > 0 && f->plan->alphas[order[at - 1]] > f->plan->alphas[i]; at--)
            order[at] = order[at - 1];
        order[at] = (int32_t)i;
    }
    vg_status status = f->device->ops->up(f->device, f->ascending, order, (size_t)count * sizeof(int32_t));
    free(order);
    return status;
}

static vg_status check_order(const int32_t *order, int64_t rows)
{
    for (int64_t t = 0; order != NULL && t < rows; t++)
        if (order[t] < 0 || order[t] >= rows)
            return vg_fail(VG_DEFECT, "the order of responses names row %d of %lld", order[t], (long long)rows);
    return VG_OK;
}

/* ---- one set of one design --------------------------------------------------------------------------------------------------------------
 */

typedef struct {
    int64_t voxels, columns; /* columns: of the stack */
    int64_t first;           /* of this design in the stack */
} place;

static vg_status multiply(fitting *f, const void *a, int64_t m, int64_t k, int64_t lda, const void *b, int64_t n, double beta, void *c)
{
    return f->device->ops->gemm(f->device, &(vg_gemm){.type = f->plan->type,
                                                      .m = m,
                                                      .n = n,
                                                      .k = k,
                                                      .batch = 1,
                                                      .alpha = 1,
                                                      .beta = beta,
                                                      .a = a,
                                                      .b = b,
                                                      .c = c,
                                                      .lda = lda,
                                                      .ldb = n,
                                                      .ldc = n});
}

/* The sum of a union of segments' cross-products of one design, (p + 1, v). */
static vg_status sum_segments(fitting *f, const vg_ridge_design *design, const place *at, int64_t term, int64_t terms, void *out)
{
    const void *x = ridge_at(f->plan->type, f->cross, at->first * at->voxels);
    return f->device->ops->ridge_combine(f->device, f->plan->type, (design->columns + 1) * at->voxels, terms, f->layout->term + term,
                                         f->layout->sign + term, at->columns * at->voxels, x, out);
}

/* Predictions of the basis functions on the held-out rows, about their mean, and the means. */
static vg_status predict(fitting *f, const vg_ridge_design *design, const ridge_set *set, const ridge_factor *factor, const place *at)
{
    vg_type type = f->plan->type;
    int64_t m = factor->rank * (factor->rows + 1), width = factor->width, done = 0;
    if (!design->dual) {
        VG_TRY(sum_segments(f, design, at, set->train_term, set->train_terms, f->train));
        return multiply(f, factor->left, m, width, width, f->train, at->voxels, 0, f->products);
    }
    for (int64_t i = 0; i < set->fold->train_ranges; i++) {
        const vg_range *range = &set->fold->train[i];
        const void *y = ridge_at(type, f->y, range->begin * at->voxels);
        VG_TRY(multiply(f, ridge_at(type, factor->left, done), m, range->end - range->begin, width, y, at->voxels, i > 0, f->products));
        done += range->end - range->begin;
    }
    return VG_OK;
}

/* The responses that belong to the rows of the predictions: those of the held-out rows, or of their compressed form. */
static vg_status hold_out(fitting *f, const vg_ridge_design *design, const ridge_set *set, const ridge_factor *factor, const place *at,
                          const void **y)
{
    vg_type type = f->plan->type;
    const vg_fold *fold = set->fold;
    *y = f->test;
    if (factor->press != NULL) {
        VG_TRY(sum_segments(f, design, at, set->test_term, set->test_terms, f->train));
        return multiply(f, factor->press, factor->rows, factor->width, factor->width, f->train, at->voxels, 0, f->test);
    }
    if (fold->test_ranges == 1) {
        *y = ridge_at(type, f->y, fold->test[0].begin * at->voxels);
        return VG_OK;
    }
    for (int64_t i = 0, row = 0; i < fold->test_ranges; row += fold->test[i].end - fold->test[i].begin, i++)
        VG_TRY(f->device->ops->ridge_combine(f->device, type, (fold->test[i].end - fold->test[i].begin) * at->voxels, 1,
                                             f->layout->term + f->layout->total_term, f->layout->sign + f->layout->total_term, 0,
                                             ridge_at(type, f->y, fold->test[i].begin * at->voxels),
                                             ridge_at(type, f->test, row * at->voxels)));
    return VG_OK;
}

/* The scoring of a set whose products are there. */
static vg_ridge_score scoring_of(const fitting *f, int64_t set, const ridge_factor *factor, const place *at, const void *y)
{
    vg_ridge_score s = {.type = f->plan->type, .rows = factor->rows, .columns = at->voxels, .rank = factor->rank, .y = y};
    s.penalties = f->plan->alpha_count;
    s.held_out = f->layout->set[set].fold->test_rows;
    s.products = f->products;
    s.offset = ridge_at(s.type, f->products, factor->rank * factor->rows * at->voxels);
    s.coefficient = factor->coefficient;
    s.variance = f->variance + set * at->voxels;
    s.shift = f->shift + set * at->voxels;
    s.constant = f->constant + set * at->voxels;
    s.by_fold = f->plan->r2 == VG_R2_MEAN;
    return s;
}

static vg_status prepare(fitting *f, const vg_ridge_design *design, int64_t set, const place *at, vg_ridge_score *scoring)
{
    const void *y;
    VG_TRY(predict(f, design, &f->layout->set[set], &design->factor[set], at));
    VG_TRY(hold_out(f, design, &f->layout->set[set], &design->factor[set], at, &y));
    *scoring = scoring_of(f, set, &design->factor[set], at, y);
    return VG_OK;
}

/* ---- one outer fold of one design
 * ----------------------------------------------------------------------------------------------------------- */

static vg_status zero(fitting *f, double *x, int64_t count)
{
    return f->device->ops->fill(f->device, (float *)x, 2 * count, 0.0f);
}

static vg_status score_inner(fitting *f, const vg_ridge_design *design, int64_t first, int64_t count, const place *at)
{
    int64_t v = at->voxels, a = f->plan->alpha_count;
    VG_TRY(zero(f, f->score, a * v));
    VG_TRY(zero(f, f->loss_sum, a * v));
    VG_TRY(zero(f, f->total, v));
    for (int64_t j = 0; j < count; j++) {
        vg_ridge_score s;
        VG_TRY(prepare(f, design, first + j, at, &s));
        s.weight = 1.0 / (double)count;
        s.correlation = f->correlation ? f->score : NULL;
        s.loss = f->loss ? f->loss_sum : NULL;
        s.total = f->total;
        VG_TRY(f->device->ops->ridge_score(f->device, &s));
    }
    return VG_OK;
}

static vg_status choose(fitting *f, const place *at, const double *score, bool smallest)
{
    return f->device->ops->ridge_choose(f->device, &(vg_ridge_choose){.penalties = f->plan->alpha_count,
                                                                      .columns = at->voxels,
                                                                      .score = score,
                                                                      .smallest = smallest,
                                                                      .ascending = f->ascending,
                                                                      .equal = 1e-12,
                                                                      .choice = f->choice,
                                                                      .best = f->best});
}

/* Writes (v) numbers of the device into a row of a host table, NaN where the voxel is dead. */
static vg_status put(fitting *f, const double *there, int64_t voxels, double *to)
{
    if (to == NULL)
        return VG_OK;
    VG_TRY(f->device->ops->down(f->device, to, there, (size_t)voxels * sizeof(double)));
    for (int64_t v = 0; v < voxels; v++)
        if (f->dead_here[v])
            to[v] = (double)NAN;
    return VG_OK;
}

static vg_status put_alphas(fitting *f, int64_t voxels, double *to)
{
    if (to == NULL)
        return VG_OK;
    VG_TRY(f->device->ops->down(f->device, f->choice_here, f->choice, (size_t)voxels * sizeof(int32_t)));
    for (int64_t v = 0; v < voxels; v++)
        to[v] = f->dead_here[v] ? (double)NAN : f->plan->alphas[f->choice_here[v]];
    return VG_OK;
}

/* loss (v) becomes r2: 1 - SSE / SST, 0 where SST is 0; by fold it is a mean of SSE / SST already. */
static vg_status put_r2(fitting *f, const double *loss, const double *total, int64_t voxels, double *to)
{
    if (to == NULL)
        return VG_OK;
    VG_TRY(put(f, loss, voxels, to));
    if (f->plan->r2 == VG_R2_POOLED)
        VG_TRY(f->device->ops->down(f->device, f->here, total, (size_t)voxels * sizeof(double)));
    for (int64_t v = 0; v < voxels; v++) {
        double share = f->plan->r2 == VG_R2_MEAN ? to[v] : f->here[v] > 0 ? to[v] / f->here[v] : isnan(to[v]) ? to[v] : 1.0;
        to[v] = 1.0 - share;
    }
    return VG_OK;
}

static double *row_of(double *table, int64_t ld, int64_t row, int64_t column)
{
    return table != NULL ? table + row * ld + column : NULL;
}

/* Choice by r, and what it scores. */
static vg_status outer_correlation(fitting *f, const vg_ridge_result *r, int64_t k, int64_t column, const place *at, vg_ridge_score s)
{
    VG_TRY(choose(f, at, f->score, false));
    VG_TRY(put_alphas(f, at->voxels, row_of(r->alpha, r->ld, k, column)));
    VG_TRY(put(f, f->best, at->voxels, row_of(r->inner_score, r->ld, k, column)));
    const double *score = f->best;
    if (f->plan->folds->nested) {
        VG_TRY(zero(f, f->outer_score, at->voxels));
        s.choice = f->choice;
        s.weight = 1;
        s.correlation = f->outer_score;
        score = f->outer_score;
        VG_TRY(f->device->ops->ridge_score(f->device, &s));
    }
    VG_TRY(put(f, score, at->voxels, row_of(r->fold_score, r->ld, k, column)));
    VG_TRY(put(f, score, at->voxels, f->here));
    for (int64_t v = 0; r->score != NULL && v < at->voxels; v++)
        r->score[column + v] = (k > 0 ? r->score[column + v] : 0.0) + f->here[v] / (double)f->plan->folds->outer_count;
    return VG_OK;
}

/* What the choice by r2 loses on the test rows of outer fold k: SSE and SST, in f->lost and f->spread_out (v). */
static vg_status lose(fitting *f, const place *at, vg_ridge_score s)
{
    VG_TRY(zero(f, f->outer_loss, at->voxels));
    VG_TRY(zero(f, f->outer_total, at->voxels));
    s.choice = f->choice;
    s.weight = 1;
    s.loss = f->outer_loss;
    s.total = f->outer_total;
    VG_TRY(f->device->ops->ridge_score(f->device, &s));
    VG_TRY(put(f, f->outer_loss, at->voxels, f->lost));
    if (!s.by_fold)
        return put(f, f->outer_total, at->voxels, f->spread_out);
    VG_TRY(put(f, s.variance, at->voxels, f->spread_out));
    return VG_OK;
}

/* Choice by r2, and what it loses; after the last fold, r2. */
static vg_status outer_loss(fitting *f, const vg_ridge_result *r, int64_t k, int64_t column, const place *at, vg_ridge_score s)
{
    int64_t voxels = at->voxels, outers = f->plan->folds->outer_count;
    double *loss = row_of(r->fold_loss, r->ld, k, column), *total = row_of(r->fold_total, r->ld, k, column),
           *r2 = row_of(r->r2, 0, 0, column);
    VG_TRY(choose(f, at, f->loss_sum, true));
    VG_TRY(put_alphas(f, voxels, row_of(r->r2_alpha, r->ld, k, column)));
    VG_TRY(put_r2(f, f->best, f->total, voxels, row_of(r->inner_r2, r->ld, k, column)));
    for (int64_t v = 0; v < voxels; v++)
        f->lost[v] = f->spread_out[v] = 0;
    if (f->plan->folds->nested)
        VG_TRY(lose(f, at, s));
    else
        VG_TRY(put_r2(f, f->best, f->total, voxels, r2));
    for (int64_t v = 0; v < voxels; v++) {
        if (loss != NULL)
            loss[v] = s.by_fold && f->spread_out[v] > 0 ? f->lost[v] * f->spread_out[v] : f->lost[v];
        if (total != NULL)
            total[v] = f->spread_out[v];
        f->loss_so_far[v] = (k > 0 ? f->loss_so_far[v] : 0.0) + f->lost[v];
        f->total_so_far[v] = (k > 0 ? f->total_so_far[v] : 0.0) + (s.by_fold ? 1.0 : f->spread_out[v]);
        if (r2 != NULL && f->plan->folds->nested && k + 1 == outers)
            r2[v] = f->total_so_far[v] > 0 ? 1.0 - f->loss_so_far[v] / f->total_so_far[v] : f->loss_so_far[v] * 0.0;
    }
    return VG_OK;
}

static vg_status fit_design(fitting *f, int64_t i, int64_t column, const place *at)
{
    const vg_ridge_design *design = f->designs[i];
    const vg_folds *folds = f->plan->folds;
    const vg_ridge_result *r = &f->results[i];
    for (int64_t k = 0, first = f->layout->outer_sets; k < folds->outer_count; first += folds->outer[k].inner_count, k++) {
        vg_ridge_score outer = {0};
        VG_TRY(score_inner(f, design, first, folds->outer[k].inner_count, at));
        if (folds->nested)
            VG_TRY(prepare(f, design, k, at, &outer));
        if (f->correlation)
            VG_TRY(outer_correlation(f, r, k, column, at, outer));
        if (f->loss)
            VG_TRY(outer_loss(f, r, k, column, at, outer));
    }
    return VG_OK;
}

/* ---- tiles
 * ------------------------------------------------------------------------------------------------------------------------------------ */

static vg_status center(fitting *f, int64_t column, int64_t voxels)
{
    const vg_device_ops *ops = f->device->ops;
    const ridge_layout *l = f->layout;
    VG_TRY(ops->ridge_center(f->device, &(vg_ridge_center){.from = f->responses.type,
                                                           .type = f->plan->type,
                                                           .rows = l->rows,
                                                           .columns = voxels,
                                                           .ld = f->responses.ld,
                                                           .segments = l->segments,
                                                           .y = ridge_at(f->responses.type, f->responses.data, column),
                                                           .order = f->order,
                                                           .begin = l->begin_there,
                                                           .centred = f->y,
                                                           .mean = f->mean,
                                                           .square = f->square,
                                                           .dead = f->dead}));
    VG_TRY(ops->ridge_spread(f->device, &(vg_ridge_spread){.sets = l->sets,
                                                           .segments = l->segments,
                                                           .columns = voxels,
                                                           .begin = l->begin_there,
                                                           .test_begin = l->test_begin,
                                                           .test = l->test,
                                                           .train_begin = l->train_begin,
                                                           .train = l->train,
                                                           .mean = f->mean,
                                                           .square = f->square,
                                                           .variance = f->variance,
                                                           .shift = f->shift,
                                                           .constant = f->constant}));
    return ops->down(f->device, f->dead_here, f->dead, (size_t)voxels);
}

/* The designs' features side by side: (T, columns). */
static vg_status stack(fitting *f, int64_t first, int64_t end, int64_t columns)
{
    int64_t floats = (int64_t)(ridge_size(f->plan->type) / sizeof(float));
    for (int64_t i = first, at = 0; i < end; i++) {
        int64_t width = f->widths[i];
        if (width > 0)
            VG_TRY(f->device->ops->copy(f->device, ridge_at(f->plan->type, f->stacked, at), columns * floats, f->designs[i]->features,
                                        width * floats, f->layout->rows, width * floats));
        at += width;
    }
    return VG_OK;
}

/* Products of every segment of the stack with the tile, and their total. */
static vg_status cross(fitting *f, int64_t columns, int64_t voxels)
{
    vg_type type = f->plan->type;
    const ridge_layout *l = f->layout;
    for (int64_t s = 0; s < l->segments; s++)
        VG_TRY(f->device->ops->gemm(f->device, &(vg_gemm){.type = type,
                                                          .transpose_a = true,
                                                          .m = columns,
                                                          .n = voxels,
                                                          .k = l->begin[s + 1] - l->begin[s],
                                                          .batch = 1,
                                                          .alpha = 1,
                                                          .a = ridge_at(type, f->stacked, l->begin[s] * columns),
                                                          .lda = columns,
                                                          .b = ridge_at(type, f->y, l->begin[s] * voxels),
                                                          .ldb = voxels,
                                                          .c = ridge_at(type, f->cross, s * columns * voxels),
                                                          .ldc = voxels}));
    return f->device->ops->ridge_combine(f->device, type, columns * voxels, l->segments, l->term + l->total_term, l->sign + l->total_term,
                                         columns * voxels, f->cross, ridge_at(type, f->cross, l->segments * columns * voxels));
}

static vg_status fit_tile(fitting *f, int64_t column, int64_t voxels)
{
    VG_TRY(center(f, column, voxels));
    for (int64_t first = 0, end; first < f->count; first = end) {
        place at = {.voxels = voxels};
        end = ridge_stack_end(f->widths, first, f->count, &at.columns);
        if (at.columns > 0) {
            VG_TRY(stack(f, first, end, at.columns));
            VG_TRY(cross(f, at.columns, voxels));
        }
        for (int64_t i = first; i < end; i++) {
            VG_TRY(fit_design(f, i, column, &at));
            at.first += f->widths[i];
        }
    }
    return VG_OK;
}

static vg_status check(vg_ridge_design *const *designs, int64_t count, vg_samples responses)
{
    for (int64_t i = 1; i < count; i++)
        if (designs[i]->plan != designs[0]->plan || designs[i]->device != designs[0]->device)
            return vg_fail(VG_DEFECT, "ridge: designs of different plans or devices in one fit");
    if (responses.rows != designs[0]->layout.rows)
        return vg_fail(VG_INVALID, "responses have %lld rows, the features %lld", (long long)responses.rows,
                       (long long)designs[0]->layout.rows);
    return VG_OK;
}

/* The widths of the designs, and so the tile. */
static vg_status size_up(fitting *f)
{
    int64_t *columns;
    vg_ridge_cost cost;
    VG_TRY(VG_NEW(&f->widths, f->count, "feature spaces"));
    VG_TRY(VG_NEW(&columns, f->count, "feature spaces"));
    for (int64_t i = 0; i < f->count; i++) {
        columns[i] = f->designs[i]->columns;
        f->widths[i] = ridge_cross_width(f->plan, columns[i]);
    }
    vg_status status = vg_ridge_estimate(f->plan, columns, f->count, &cost);
    f->tile = cost.tile < f->responses.columns ? cost.tile : f->responses.columns;
    free(columns);
    return status;
}

vg_status vg_ridge_fit(vg_ridge_design *const *designs, int64_t count, vg_samples responses, const int32_t *order,
                       const vg_ridge_result *results)
{
    if (count < 1 || responses.columns < 1)
        return VG_OK;
    VG_TRY(check(designs, count, responses));
    VG_TRY(check_order(order, responses.rows));
    fitting f = {.device = designs[0]->device,
                 .plan = designs[0]->plan,
                 .layout = &designs[0]->layout,
                 .designs = designs,
                 .count = count,
                 .responses = responses,
                 .order = order,
                 .results = results};
    for (int64_t i = 0; i < count; i++) {
        f.correlation |= results[i].score || results[i].alpha || results[i].fold_score || results[i].inner_score;
        f.loss |= results[i].r2 || results[i].r2_alpha || results[i].inner_r2 || results[i].fold_loss || results[i].fold_total;
    }
    vg_status status;
    VG_GO(size_up(&f));
    VG_GO(take_memory(&f));
    VG_GO(send_ascending(&f));
    for (int64_t column = 0; column < responses.columns; column += f.tile)
        VG_GO(fit_tile(&f, column, responses.columns - column < f.tile ? responses.columns - column : f.tile));
done:
    give_memory(&f);
    return status;
}
