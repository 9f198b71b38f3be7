/* tile: one tile of responses (T, v) through all designs (encoding.md, "Ridge", 1, 4, 5). Centre it, segment by segment; once a segment,
 * multiply it with the features of all spaces, stacked; for every set of a space, add segments up, multiply with the set's factor, and
 * score all penalties at once; after the inner folds of an outer one, choose, and score the choice on the outer fold's held-out rows.
 * What keeps a set free of rows that are not its own: sums of its segments' products become those about its own means by S multiplications
 * in double for each of its p v numbers (S: its segments), beside rank m p v (by rows) or 3 p^2 v in double (by directions), and no bytes
 * but means that stay in cache. Counted, S / (rank m) or S / (3 p) more: 0.3 % for p 512 and 5 folds; for p 40 3 %, with 5 outer and 5
 * inner folds 9 %, 26 % where rows between them are dropped, of products that are a third of the time. The dual form writes n v numbers a
 * set. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ridge.h"

struct ridge_tile {
    vg_device *device;
    const ridge_call *call;
    vg_ridge_center next; /* the tile after this one; no columns: none */
    /* device memory, for call->tile voxels v */
    void *y;
    double *mean, *square, *variance, *shift;
    uint8_t *dead, *constant;
    void *cross;                                           /* (slots, P, v) products of a stack, and running sums of one of its designs */
    void *train, *test, *products;                         /* by rows, of one set: (p or n, v), (m, v), (rank rows + rank, v) */
    double *wide, *z, *held, *far, *near;                  /* by directions: (p, v), (n, v) four times */
    double *score, *loss_sum, *total;                      /* over inner folds: (alphas, v) twice, (v) */
    int32_t *ascending, *choice;                           /* (alphas), (v) */
    double *best, *outer_score, *outer_loss, *outer_total; /* (v) each */
    /* host memory */
    uint8_t *dead_here;
    int32_t *choice_here;
    double *here, *lost, *spread_out, *loss_so_far, *total_so_far;
};

/* ---- memory ------------------------------------------------------------------------------------------------------------ */

/* The largest of what the sets of the designs need for one voxel. */
typedef struct {
    int64_t width, train, products, directions, stacked;
} needs;

static int64_t larger(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static needs needs_of(const ridge_call *call)
{
    needs n = {0};
    for (int64_t i = 0; i < call->count; i++) {
        n.width = larger(n.width, call->widths[i]);
        n.train = larger(n.train, call->designs[i]->dual ? call->layout->rows : call->widths[i]);
        for (int64_t s = 0; s < call->layout->sets; s++) {
            const ridge_factor *factor = &call->designs[i]->factor[s];
            n.products = larger(n.products, factor->rank * (factor->rows + 1));
            n.directions = larger(n.directions, factor->directions);
        }
    }
    for (int64_t i = 0; i < call->stacks; i++)
        n.stacked = larger(n.stacked, call->stack[i].columns);
    return n;
}

static vg_status take(vg_device *d, void *memory, int64_t count, size_t size)
{
    int64_t bytes;
    VG_TRY(vg_multiply(count > 0 ? count : 1, (int64_t)size, "numbers of a fit", &bytes));
    return d->ops->alloc(d, (size_t)bytes, (void **)memory);
}

static vg_status take_memory(ridge_tile *f)
{
    vg_device *d = f->device;
    const ridge_layout *l = f->call->layout;
    int64_t v = f->call->tile, a = f->call->plan->alpha_count;
    size_t size = ridge_size(f->call->plan->type), wide = sizeof(double);
    needs n = needs_of(f->call);
    VG_TRY(take(d, &f->y, l->rows * v, size));
    VG_TRY(take(d, &f->dead, v, 1));
    VG_TRY(take(d, &f->constant, l->sets * v, 1));
    VG_TRY(take(d, &f->cross, l->slots * n.stacked * v, size));
    VG_TRY(take(d, &f->train, n.train * v, size));
    VG_TRY(take(d, &f->test, l->rows * v, size));
    VG_TRY(take(d, &f->products, n.products * v, size));
    VG_TRY(take(d, &f->ascending, a, sizeof(int32_t)));
    VG_TRY(take(d, &f->choice, v, sizeof(int32_t)));
    struct {
        double **memory;
        int64_t rows;
    } doubles[] = {{&f->mean, l->segments},
                   {&f->square, l->segments},
                   {&f->variance, l->sets},
                   {&f->shift, l->sets},
                   {&f->wide, n.width},
                   {&f->z, n.directions},
                   {&f->held, n.directions},
                   {&f->far, n.directions},
                   {&f->near, n.directions},
                   {&f->score, a},
                   {&f->loss_sum, a},
                   {&f->total, 1},
                   {&f->best, 1},
                   {&f->outer_score, 1},
                   {&f->outer_loss, 1},
                   {&f->outer_total, 1}};
    for (size_t i = 0; i < sizeof doubles / sizeof doubles[0]; i++)
        VG_TRY(take(d, doubles[i].memory, doubles[i].rows * v, wide));
    VG_TRY(VG_NEW(&f->dead_here, v, "voxels of a tile"));
    VG_TRY(VG_NEW(&f->choice_here, v, "voxels of a tile"));
    VG_TRY(VG_NEW(&f->here, 5 * v, "voxels of a tile"));
    f->lost = f->here + v;
    f->spread_out = f->here + 2 * v;
    f->loss_so_far = f->here + 3 * v;
    f->total_so_far = f->here + 4 * v;
    return VG_OK;
}

/* The penalties' numbers from the smallest to the largest. */
static vg_status send_ascending(ridge_tile *f)
{
    int64_t count = f->call->plan->alpha_count;
    int32_t *order;
    VG_TRY(VG_NEW(&order, count, "penalties"));
    for (int64_t i = 0; i < count; i++) {
        int64_t at = i;
        for (; at > 0 && f->call->plan->alphas[order[at - 1]] > f->call->plan->alphas[i]; at--)
            order[at] = order[at - 1];
        order[at] = (int32_t)i;
    }
    vg_status status = f->device->ops->up(f->device, f->ascending, order, (size_t)count * sizeof(int32_t));
    free(order);
    return status;
}

vg_status ridge_tile_create(vg_device *device, const ridge_call *call, ridge_tile **tile)
{
    VG_TRY(VG_NEW(tile, 1, "a tile of responses"));
    (*tile)->device = device;
    (*tile)->call = call;
    vg_status status;
    VG_GO(take_memory(*tile));
    VG_GO(send_ascending(*tile));
done:
    if (status != VG_OK) {
        ridge_tile_free(*tile);
        *tile = NULL;
    }
    return status;
}

void ridge_tile_free(ridge_tile *f)
{
    if (f == NULL)
        return;
    void *there[] = {f->y,     f->mean,     f->square, f->variance, f->shift,       f->dead,       f->constant,   f->cross,     f->train,
                     f->test,  f->products, f->wide,   f->z,        f->held,        f->far,        f->near,       f->ascending, f->choice,
                     f->score, f->loss_sum, f->total,  f->best,     f->outer_score, f->outer_loss, f->outer_total};
    for (size_t i = 0; i < sizeof there / sizeof there[0]; i++)
        ridge_device_free(f->device, there[i]);
    f->device->ops->ridge_ahead(f->device, NULL);
    free(f->dead_here);
    free(f->choice_here);
    free(f->here);
    free(f);
}

/* ---- one set of one design -------------------------------------------------------------------------------------------- */

typedef struct {
    int64_t voxels, columns; /* columns: of the stack */
    int64_t first;           /* of this design in the stack */
} place;

/* A set whose products are there: what is left to do is to say where scores go, and to score. */
typedef struct {
    const ridge_factor *factor;
    bool near;
    vg_ridge_score score;
} scoring;

/* c (m, n) = a (m, k) b (k, n). */
static vg_status multiply(ridge_tile *f, vg_type type, const void *a, int64_t m, int64_t k, const void *b, int64_t n, void *c)
{
    vg_gemm g = {.type = type, .m = m, .n = n, .k = k, .batch = 1, .alpha = 1, .lda = k, .ldb = n, .ldc = n};
    g.a = a;
    g.b = b;
    g.c = c;
    return f->device->ops->gemm(f->device, &g);
}

/* Where a slot of a design's cross-products begins. */
static void *cross_of(const ridge_tile *f, const place *at, int64_t slot)
{
    return ridge_at(f->call->plan->type, f->cross, (slot * at->columns + at->first) * at->voxels);
}

/* What is added up: `terms` slots of cross-products, into numbers of a type. */
static vg_ridge_combine sum_of(const ridge_tile *f, const place *at, int64_t width, const int32_t *term, int64_t terms, vg_type to)
{
    return (vg_ridge_combine){.type = f->call->plan->type,
                              .to = to,
                              .rows = width,
                              .columns = at->voxels,
                              .terms = terms,
                              .stride = at->columns * at->voxels,
                              .term = term,
                              .x = cross_of(f, at, 0),
                              .mean = f->mean};
}

/* The running sums of an outer fold. */
static vg_status run_sums(ridge_tile *f, int64_t k, int64_t width, const place *at)
{
    const ridge_layout *l = f->call->layout;
    for (int64_t i = l->first_sum[k]; i < l->first_sum[k + 1]; i++) {
        vg_ridge_combine c = sum_of(f, at, width, l->term + l->sum[i].term, l->sum[i].terms, f->call->plan->type);
        c.out = cross_of(f, at, l->segments + i - l->first_sum[k]);
        VG_TRY(f->device->ops->ridge_combine(f->device, &c));
    }
    return VG_OK;
}

/* A set's training products, about its own means. */
static vg_status sum_train(ridge_tile *f, const ridge_set *set, const ridge_factor *factor, const place *at, vg_type to, void *out)
{
    const ridge_layout *l = f->call->layout;
    vg_ridge_combine c = sum_of(f, at, factor->width, l->term + set->term, set->terms, to);
    c.segments = factor->trains;
    c.segment = l->train_there + set->train;
    c.apart = factor->apart;
    c.out = out;
    return f->device->ops->ridge_combine(f->device, &c);
}

/* The same of its held-out rows. */
static vg_status sum_test(ridge_tile *f, const ridge_set *set, const ridge_factor *factor, const place *at, vg_type to, void *out)
{
    const ridge_layout *l = f->call->layout;
    vg_ridge_combine c = sum_of(f, at, factor->width, l->test_there + set->test, set->tests, to);
    c.segments = factor->tests;
    c.segment = l->test_there + set->test;
    c.apart = factor->held_apart;
    c.out = out;
    return f->device->ops->ridge_combine(f->device, &c);
}

/* The responses of some segments, side by side and about their mean: in `room`, or where one segment lies. */
static vg_status join(ridge_tile *f, const int32_t *here, const int32_t *there, int64_t count, const place *at, void *room, const void **y)
{
    const ridge_layout *l = f->call->layout;
    vg_ridge_join j = {.type = f->call->plan->type, .columns = at->voxels, .segments = count, .segment = there, .begin = l->begin_there};
    *y = count == 1 ? ridge_at(j.type, f->y, l->begin[here[0]] * at->voxels) : room;
    j.centred = f->y;
    j.mean = f->mean;
    j.out = room;
    return count == 1 ? VG_OK : f->device->ops->ridge_join(f->device, &j);
}

/* Predictions of the basis functions on the held-out rows, about their mean, and the means. */
static vg_status predict(ridge_tile *f, const vg_ridge_design *design, const ridge_set *set, const ridge_factor *factor, const place *at)
{
    vg_type type = f->call->plan->type;
    const ridge_layout *l = f->call->layout;
    const void *train = f->train;
    if (design->dual)
        VG_TRY(join(f, l->train + set->train, l->train_there + set->train, set->trains, at, f->train, &train));
    else
        VG_TRY(sum_train(f, set, factor, at, type, f->train));
    return multiply(f, type, factor->left, factor->rank * (factor->rows + 1), factor->width, train, at->voxels, f->products);
}

/* What training and held-out responses bring to the directions, and sums over pairs of these. */
static vg_status turn(ridge_tile *f, const ridge_set *set, const ridge_factor *factor, const place *at)
{
    int64_t n = factor->directions, width = factor->width, v = at->voxels;
    VG_TRY(sum_train(f, set, factor, at, VG_F64, f->wide));
    VG_TRY(multiply(f, VG_F64, factor->whiten, n, width, f->wide, v, f->z));
    VG_TRY(sum_test(f, set, factor, at, VG_F64, f->wide));
    VG_TRY(multiply(f, VG_F64, factor->lift, n, width, f->wide, v, f->held));
    VG_TRY(multiply(f, VG_F64, factor->pairs, n, n, f->z, v, f->far));
    return factor->near != NULL ? multiply(f, VG_F64, factor->near, n, n, f->z, v, f->near) : VG_OK;
}

static vg_status prepare(ridge_tile *f, const vg_ridge_design *design, int64_t set, const place *at, scoring *s)
{
    const ridge_factor *factor = &design->factor[set];
    const ridge_set *rows = &f->call->layout->set[set];
    *s = (scoring){.factor = factor};
    s->score = (vg_ridge_score){.type = f->call->plan->type, .columns = at->voxels, .penalties = f->call->plan->alpha_count};
    s->score.held_out = rows->fold->test_rows;
    s->score.variance = f->variance + set * at->voxels;
    s->score.shift = f->shift + set * at->voxels;
    s->score.constant = f->constant + set * at->voxels;
    s->score.by_fold = f->call->plan->r2 == VG_R2_MEAN;
    if (factor->by_directions)
        return turn(f, rows, factor, at);
    VG_TRY(predict(f, design, rows, factor, at));
    s->score.rows = factor->rows;
    s->score.rank = factor->rank;
    s->score.products = f->products;
    s->score.offset = ridge_at(s->score.type, f->products, factor->rank * factor->rows * at->voxels);
    s->score.coefficient = factor->coefficient;
    const ridge_layout *l = f->call->layout;
    return join(f, l->test + rows->test, l->test_there + rows->test, rows->tests, at, f->test, &s->score.y);
}

static vg_status score(ridge_tile *f, const scoring *s)
{
    const ridge_factor *factor = s->factor;
    if (!factor->by_directions)
        return f->device->ops->ridge_score(f->device, &s->score);
    vg_ridge_quadratic q = {.score = s->score, .directions = factor->directions, .z = f->z, .held = f->held, .far = f->far};
    q.near = factor->near != NULL ? f->near : NULL;
    q.diagonal = factor->diagonal;
    q.lean = factor->lean;
    q.filter = factor->filter;
    q.slope = factor->slope;
    return f->device->ops->ridge_quadratic(f->device, &q);
}

/* ---- one outer fold of one design ------------------------------------------------------------------------------------ */

static vg_status zero(ridge_tile *f, double *x, int64_t count)
{
    return f->device->ops->fill(f->device, (float *)x, 2 * count, 0.0f);
}

static vg_status score_inner(ridge_tile *f, const vg_ridge_design *design, int64_t first, int64_t count, const place *at)
{
    int64_t v = at->voxels, a = f->call->plan->alpha_count;
    VG_TRY(zero(f, f->score, a * v));
    VG_TRY(zero(f, f->loss_sum, a * v));
    VG_TRY(zero(f, f->total, v));
    for (int64_t j = 0; j < count; j++) {
        scoring s;
        VG_TRY(prepare(f, design, first + j, at, &s));
        s.score.weight = 1.0 / (double)count;
        s.score.correlation = f->call->correlation ? f->score : NULL;
        s.score.loss = f->call->loss ? f->loss_sum : NULL;
        s.score.total = f->total;
        VG_TRY(score(f, &s));
    }
    return VG_OK;
}

static vg_status choose(ridge_tile *f, const place *at, const double *score, bool smallest)
{
    return f->device->ops->ridge_choose(f->device, &(vg_ridge_choose){.penalties = f->call->plan->alpha_count,
                                                                      .columns = at->voxels,
                                                                      .score = score,
                                                                      .smallest = smallest,
                                                                      .ascending = f->ascending,
                                                                      .equal = 1e-12,
                                                                      .choice = f->choice,
                                                                      .best = f->best});
}

/* Waits for what the device has made; before that, and so while the device is at it, the next tile is sent to it. */
static vg_status bring(ridge_tile *f, void *to, const void *there, size_t bytes)
{
    VG_TRY(f->device->ops->ridge_ahead(f->device, &f->next));
    return f->device->ops->down(f->device, to, there, bytes);
}

/* Writes (v) numbers of the device into a row of a host table, NaN where the voxel is dead. */
static vg_status put(ridge_tile *f, const double *there, int64_t voxels, double *to)
{
    if (to == NULL)
        return VG_OK;
    VG_TRY(bring(f, to, there, (size_t)voxels * sizeof(double)));
    for (int64_t v = 0; v < voxels; v++)
        if (f->dead_here[v])
            to[v] = (double)NAN;
    return VG_OK;
}

static vg_status put_alphas(ridge_tile *f, int64_t voxels, double *to)
{
    if (to == NULL)
        return VG_OK;
    VG_TRY(bring(f, f->choice_here, f->choice, (size_t)voxels * sizeof(int32_t)));
    for (int64_t v = 0; v < voxels; v++)
        to[v] = f->dead_here[v] ? (double)NAN : f->call->plan->alphas[f->choice_here[v]];
    return VG_OK;
}

/* loss (v) becomes r2: 1 - SSE / SST, 0 where SST is 0; by fold it is a mean of SSE / SST already. */
static vg_status put_r2(ridge_tile *f, const double *loss, const double *total, int64_t voxels, double *to)
{
    if (to == NULL)
        return VG_OK;
    VG_TRY(put(f, loss, voxels, to));
    if (f->call->plan->r2 == VG_R2_POOLED)
        VG_TRY(bring(f, f->here, total, (size_t)voxels * sizeof(double)));
    for (int64_t v = 0; v < voxels; v++) {
        double share = f->call->plan->r2 == VG_R2_MEAN ? to[v] : f->here[v] > 0 ? to[v] / f->here[v] : isnan(to[v]) ? to[v] : 1.0;
        to[v] = 1.0 - share;
    }
    return VG_OK;
}

static double *row_of(double *table, int64_t ld, int64_t row, int64_t column)
{
    return table != NULL ? table + row * ld + column : NULL;
}

/* The penalties of a fold: the best ones, or those that were chosen for all voxels that share one. measure 0: by r, 1: by r2. */
static vg_status decide(ridge_tile *f, int64_t table, int64_t column, const place *at, int measure)
{
    const ridge_shared *shared = f->call->shared;
    if (shared == NULL)
        return choose(f, at, measure == 0 ? f->score : f->loss_sum, measure == 1);
    const int32_t *choice = shared->choice[measure] + table * f->call->responses.columns + column;
    VG_TRY(zero(f, f->best, at->voxels));
    return f->device->ops->up(f->device, f->choice, choice, (size_t)at->voxels * sizeof(int32_t));
}

/* The first pass of shared penalties: the inner folds' scores of every penalty, r and r2, to the host. */
static vg_status keep_curves(ridge_tile *f, int64_t table, int64_t column, const place *at)
{
    int64_t v = at->voxels, all = f->call->responses.columns, alphas = f->call->plan->alpha_count;
    for (int64_t a = 0; a < alphas; a++) {
        int64_t to = (table * alphas + a) * all + column;
        if (f->call->correlation)
            VG_TRY(put(f, f->score + a * v, v, f->call->shared->curve[0] + to));
        if (f->call->loss)
            VG_TRY(put_r2(f, f->loss_sum + a * v, f->total, v, f->call->shared->curve[1] + to));
    }
    return VG_OK;
}

/* Choice by r, and what it scores on the outer fold (NULL: folds are not nested). */
static vg_status outer_correlation(ridge_tile *f, const vg_ridge_result *r, int64_t table, int64_t column, const place *at,
                                   const scoring *outer)
{
    int64_t k = table % f->call->plan->folds->outer_count;
    VG_TRY(decide(f, table, column, at, 0));
    VG_TRY(put_alphas(f, at->voxels, row_of(r->alpha, r->ld, k, column)));
    VG_TRY(put(f, f->best, at->voxels, row_of(r->inner_score, r->ld, k, column)));
    const double *result = f->best;
    if (outer != NULL) {
        scoring s = *outer;
        VG_TRY(zero(f, f->outer_score, at->voxels));
        s.score.choice = f->choice;
        s.score.weight = 1;
        s.score.correlation = f->outer_score;
        result = f->outer_score;
        VG_TRY(score(f, &s));
    }
    VG_TRY(put(f, result, at->voxels, row_of(r->fold_score, r->ld, k, column)));
    VG_TRY(put(f, result, at->voxels, f->here));
    for (int64_t v = 0; r->score != NULL && v < at->voxels; v++)
        r->score[column + v] = (k > 0 ? r->score[column + v] : 0.0) + f->here[v] / (double)f->call->plan->folds->outer_count;
    return VG_OK;
}

/* What the choice by r2 loses on the test rows of outer fold k: SSE and SST, in f->lost and f->spread_out (v). */
static vg_status lose(ridge_tile *f, const place *at, scoring s)
{
    VG_TRY(zero(f, f->outer_loss, at->voxels));
    VG_TRY(zero(f, f->outer_total, at->voxels));
    s.score.choice = f->choice;
    s.score.weight = 1;
    s.score.loss = f->outer_loss;
    s.score.total = f->outer_total;
    VG_TRY(score(f, &s));
    VG_TRY(put(f, f->outer_loss, at->voxels, f->lost));
    if (!s.score.by_fold)
        return put(f, f->outer_total, at->voxels, f->spread_out);
    VG_TRY(put(f, s.score.variance, at->voxels, f->spread_out));
    return VG_OK;
}

/* Choice by r2, and what it loses; after the last fold, r2. */
static vg_status outer_loss(ridge_tile *f, const vg_ridge_result *r, int64_t table, int64_t column, const place *at, const scoring *outer)
{
    int64_t voxels = at->voxels, outers = f->call->plan->folds->outer_count, k = table % outers;
    bool by_fold = outer != NULL && outer->score.by_fold;
    double *loss = row_of(r->fold_loss, r->ld, k, column), *total = row_of(r->fold_total, r->ld, k, column),
           *r2 = row_of(r->r2, 0, 0, column);
    VG_TRY(decide(f, table, column, at, 1));
    VG_TRY(put_alphas(f, voxels, row_of(r->r2_alpha, r->ld, k, column)));
    VG_TRY(put_r2(f, f->best, f->total, voxels, row_of(r->inner_r2, r->ld, k, column)));
    for (int64_t v = 0; v < voxels; v++)
        f->lost[v] = f->spread_out[v] = 0;
    if (outer != NULL)
        VG_TRY(lose(f, at, *outer));
    else
        VG_TRY(put_r2(f, f->best, f->total, voxels, r2));
    for (int64_t v = 0; v < voxels; v++) {
        if (loss != NULL)
            loss[v] = by_fold && f->spread_out[v] > 0 ? f->lost[v] * f->spread_out[v] : f->lost[v];
        if (total != NULL)
            total[v] = f->spread_out[v];
        f->loss_so_far[v] = (k > 0 ? f->loss_so_far[v] : 0.0) + f->lost[v];
        f->total_so_far[v] = (k > 0 ? f->total_so_far[v] : 0.0) + (by_fold ? 1.0 : f->spread_out[v]);
        if (r2 != NULL && f->call->plan->folds->nested && k + 1 == outers)
            r2[v] = f->total_so_far[v] > 0 ? 1.0 - f->loss_so_far[v] / f->total_so_far[v] : f->loss_so_far[v] * 0.0;
    }
    return VG_OK;
}

static vg_status fit_design(ridge_tile *f, int64_t i, int64_t column, const place *at)
{
    const vg_ridge_design *design = f->call->designs[i];
    const vg_folds *folds = f->call->plan->folds;
    const vg_ridge_result *r = &f->call->results[i];
    for (int64_t k = 0, first = f->call->layout->outer_sets; k < folds->outer_count; first += folds->outer[k].inner_count, k++) {
        scoring outer;
        const scoring *nested = folds->nested ? &outer : NULL;
        const ridge_shared *shared = f->call->shared;
        int64_t table = i * folds->outer_count + k;
        if (!design->dual)
            VG_TRY(run_sums(f, k, f->call->widths[i], at));
        if (shared == NULL || !shared->chosen)
            VG_TRY(score_inner(f, design, first, folds->outer[k].inner_count, at));
        if (shared != NULL && !shared->chosen) {
            VG_TRY(keep_curves(f, table, column, at));
            continue;
        }
        if (nested != NULL)
            VG_TRY(prepare(f, design, k, at, &outer));
        if (f->call->correlation)
            VG_TRY(outer_correlation(f, r, table, column, at, nested));
        if (f->call->loss)
            VG_TRY(outer_loss(f, r, table, column, at, nested));
    }
    return VG_OK;
}

/* ---- tiles ---------------------------------------------------------------------------------------------------------------- */

/* How columns column .. column + voxels - 1 of the responses are centred, but for where to. */
static vg_ridge_center tile_of(const ridge_tile *f, int64_t column, int64_t voxels)
{
    const vg_samples *y = &f->call->responses;
    const ridge_layout *l = f->call->layout;
    return (vg_ridge_center){.from = y->type,
                             .type = f->call->plan->type,
                             .rows = l->rows,
                             .columns = voxels,
                             .ld = y->ld,
                             .segments = l->segments,
                             .y = ridge_at(y->type, y->data, column),
                             .order = f->call->order,
                             .begin = l->begin_there};
}

static vg_status center(ridge_tile *f, int64_t column, int64_t voxels)
{
    const vg_device_ops *ops = f->device->ops;
    const ridge_layout *l = f->call->layout;
    vg_ridge_center c = tile_of(f, column, voxels);
    c.centred = f->y;
    c.mean = f->mean;
    c.square = f->square;
    c.dead = f->dead;
    VG_TRY(ops->ridge_center(f->device, &c));
    vg_ridge_spread s = {.sets = l->sets, .segments = l->segments, .columns = voxels, .begin = l->begin_there, .mean = f->mean};
    s.test_begin = l->test_begin;
    s.test = l->test_there;
    s.train_begin = l->train_begin;
    s.train = l->train_there;
    s.square = f->square;
    s.variance = f->variance;
    s.shift = f->shift;
    s.constant = f->constant;
    VG_TRY(ops->ridge_spread(f->device, &s));
    return ops->down(f->device, f->dead_here, f->dead, (size_t)voxels);
}

/* Products of every segment of the stack with the tile, both about the segment's means. */
static vg_status cross(ridge_tile *f, const ridge_stack *stack, int64_t voxels)
{
    vg_type type = f->call->plan->type;
    const ridge_layout *l = f->call->layout;
    int64_t columns = stack->columns;
    for (int64_t s = 0; s < l->segments; s++) {
        vg_gemm g = {
            .type = type, .transpose_a = true, .m = columns, .n = voxels, .k = l->begin[s + 1] - l->begin[s], .batch = 1, .alpha = 1};
        g.a = ridge_at(type, stack->features, l->begin[s] * columns);
        g.lda = columns;
        g.b = ridge_at(type, f->y, l->begin[s] * voxels);
        g.c = ridge_at(type, f->cross, s * columns * voxels);
        g.ldb = g.ldc = voxels;
        VG_TRY(f->device->ops->gemm(f->device, &g));
    }
    return VG_OK;
}

vg_status ridge_tile_fit(ridge_tile *f, int64_t column, int64_t voxels)
{
    int64_t end = column + voxels, left = f->call->responses.columns - end;
    VG_TRY(center(f, column, voxels));
    f->next = tile_of(f, end, left < f->call->tile ? left : f->call->tile);
    for (int64_t i = 0; i < f->call->stacks; i++) {
        const ridge_stack *stack = &f->call->stack[i];
        place at = {.voxels = voxels, .columns = stack->columns};
        if (stack->columns > 0)
            VG_TRY(cross(f, stack, voxels));
        for (int64_t j = stack->first; j < stack->end; j++) {
            VG_TRY(fit_design(f, j, column, &at));
            at.first += f->call->widths[j];
        }
    }
    return VG_OK;
}
