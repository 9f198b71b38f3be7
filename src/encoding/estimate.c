/* estimate: counted operations and bytes of ridge, from shapes alone: which form solves a space, how many voxels make a tile, and what
 * `check` prints. */
#include <stdlib.h>

#include "ridge.h"

enum {
    RANK = 12,       /* assumed of the penalties' products */
    STACK = 512,     /* columns of features that are multiplied with a tile at once, */
    PRODUCTS = 8192, /* and times the segments at most so many */
    STEP = 64,       /* a tile's voxels are a multiple of this */
    ENOUGH = 256,    /* from so many voxels on, wider products are no faster on a CPU (measured) */
    MOST_CPU = 512,
    MOST_GPU = 8192,
};
/* A tile's working memory: that of a processor's own cache, or enough to keep a GPU busy. One tile is less than 5 s of work. */
static const double CPU_BYTES = 2e6, GPU_BYTES = 2e9, CPU_FLOPS = 1e11, GPU_FLOPS = 1e13;

/* Calls `visit` for every set of the folds: the outer ones where they test anything, and all inner ones. */
static void each_set(const vg_folds *folds, void (*visit)(const vg_fold *fold, void *state), void *state)
{
    for (int64_t k = 0; k < folds->outer_count; k++) {
        if (folds->nested)
            visit(&folds->outer[k], state);
        for (int64_t j = 0; j < folds->outer[k].inner_count; j++)
            visit(&folds->outer[k].inner[j], state);
    }
}

/* Sums over the sets of one space. */
typedef struct {
    double columns, rank, rows, penalties, two; /* two: what a double counts against the plan's type */
    double primal, dual;                        /* multiplications a voxel */
    double primal_held, dual_held;              /* numbers of the factors */
    double primal_products, dual_products;      /* the most that one set's products hold, of a voxel */
    double cubes, projections;                  /* dual: sums of n^3 and m n^2 r */
    double sets;
} sums;

static void add_set(const vg_fold *fold, void *state)
{
    sums *s = state;
    double m = (double)fold->test_rows, n = (double)fold->train_rows, p = s->columns;
    double by_rows = s->rank * m * p, by_directions = s->two * (3 * p * p + 4 * s->penalties * p);
    s->primal += by_rows < by_directions ? by_rows : by_directions;
    s->primal_held += by_rows < by_directions ? s->rank * (m + 1) * p : s->two * p * (3 * p + 2 * s->penalties);
    s->primal_products = s->rank * (m + 1) * (by_rows < by_directions) > s->primal_products ? s->rank * (m + 1) : s->primal_products;
    s->dual += s->rank * m * n;
    s->dual_held += s->rank * (m + 1) * n;
    s->dual_products = s->rank * (m + 1) > s->dual_products ? s->rank * (m + 1) : s->dual_products;
    s->cubes += n * n * n;
    s->projections += s->rank * m * n * n;
    s->sets += 1;
}

static sums sums_of(const vg_ridge_plan *plan, int64_t columns)
{
    sums s = {
        .columns = (double)columns, .rank = plan->alpha_count < RANK ? (double)plan->alpha_count : RANK, .rows = (double)plan->folds->rows};
    s.penalties = (double)plan->alpha_count;
    s.two = plan->type == VG_F32 ? 2 : 1;
    each_set(plan->folds, add_set, &s);
    s.primal += s.rows * s.columns;
    return s;
}

bool ridge_is_dual(const vg_ridge_plan *plan, int64_t columns)
{
    sums s = sums_of(plan, columns);
    return columns > plan->folds->rows || s.dual < s.primal;
}

int64_t ridge_cross_width(const vg_ridge_plan *plan, int64_t columns)
{
    return ridge_is_dual(plan, columns) ? 0 : columns;
}

int64_t ridge_stack_end(const int64_t *widths, int64_t first, int64_t count, int64_t segments, int64_t *total)
{
    int64_t i = first, most = PRODUCTS / segments < STACK ? PRODUCTS / segments : STACK;
    for (*total = 0; i < count && (i == first || *total + widths[i] <= most); i++)
        *total += widths[i];
    return i;
}

/* Of one space: operations, and bytes held and while it is made. */
static void add_space(const vg_ridge_plan *plan, int64_t columns, int64_t segments, vg_ridge_cost *cost)
{
    sums s = sums_of(plan, columns);
    double size = (double)ridge_size(plan->type), p = s.columns, T = s.rows, side = ridge_is_dual(plan, columns) ? T : p, building;
    if (ridge_is_dual(plan, columns)) {
        cost->voxel_flops += 2 * s.dual;
        cost->design_bytes += size * s.dual_held;
        cost->design_flops += 2 * T * T * p + 9 * s.cubes + 2 * s.projections;
    } else {
        cost->voxel_flops += 2 * s.primal;
        cost->design_bytes += size * (s.primal_held + T * p) + 8 * s.sets * (double)segments * p;
        cost->design_flops += s.sets * (9 * p * p * p + 2 * T * p * p) + 2 * p * s.primal_held;
    }
    /* features twice, products, Grams and eigenvectors of a batch (at most 1 GB) twice, LAPACK's workspaces, one factor three times */
    double batch = s.sets * 8 * side * side < 1.1e9 ? s.sets * 8 * side * side : 8 * side * side > 1.1e9 ? 8 * side * side : 1.1e9;
    building = 8 * (2 * T * p + side * side) + 2 * batch + 8 * 3 * side * side + 3 * 8 * (s.primal_products + s.dual_products) * side;
    cost->build_bytes = building > cost->build_bytes ? building : cost->build_bytes;
}

static double least(double a, double b)
{
    return a < b ? a : b;
}

static double larger(double a, double b)
{
    return a > b ? a : b;
}

/* Bytes that a fit needs for one voxel. */
static double voxel_bytes(const vg_ridge_plan *plan, const int64_t *columns, const int64_t *widths, int64_t count, int64_t segments)
{
    double size = (double)ridge_size(plan->type), T = (double)plan->folds->rows, slots = (double)segments, stack = 0, widest = 0, train = 0,
           products = 0, sets = 0;
    for (int64_t i = 0; i < count; i++) {
        sums s = sums_of(plan, columns[i]);
        double here = widths[i] > 0 ? s.primal_products : s.dual_products;
        products = here > products ? here : products;
        widest = (double)widths[i] > widest ? (double)widths[i] : widest;
        train = widths[i] == 0 ? T : widest > train ? widest : train;
        sets = s.sets;
    }
    for (int64_t k = 0; k < plan->folds->outer_count; k++) /* and running sums of an outer fold */
        slots = larger(slots, (double)(segments + 2 * plan->folds->outer[k].inner_count));
    for (int64_t first = 0, total; first < count;) {
        first = ridge_stack_end(widths, first, count, segments, &total);
        stack = (double)total > stack ? (double)total : stack;
    }
    double copies = plan->gpu ? 3 : 2; /* of the responses; the next tile is on its way while one is fitted */
    return size * (copies * T + slots * stack + train + products) + 40 * widest + 16 * (double)segments + 17 * sets +
           16 * (double)plan->alpha_count + 64;
}

static int64_t choose_tile(const vg_ridge_plan *plan, double bytes, double flops)
{
    double voxels = plan->gpu ? least(GPU_BYTES / bytes, MOST_GPU) : least(CPU_BYTES / bytes, MOST_CPU);
    voxels = plan->gpu || voxels > ENOUGH ? voxels : ENOUGH;
    voxels = least(voxels, (plan->gpu ? GPU_FLOPS : CPU_FLOPS) / flops);
    return voxels < STEP ? STEP : (int64_t)voxels / STEP * STEP;
}

vg_status vg_ridge_estimate(const vg_ridge_plan *plan, const int64_t *columns, int64_t count, vg_ridge_cost *cost)
{
    int64_t segments, *widths;
    *cost = (vg_ridge_cost){0};
    VG_TRY(ridge_count_segments(plan->folds, &segments));
    VG_TRY(VG_NEW(&widths, count, "feature spaces"));
    double stacked = 0;
    for (int64_t i = 0; i < count; i++) {
        widths[i] = ridge_cross_width(plan, columns[i]);
        stacked = (double)widths[i] > stacked ? (double)widths[i] : stacked;
        add_space(plan, columns[i], segments, cost);
    }
    double bytes = voxel_bytes(plan, columns, widths, count, segments);
    cost->tile = plan->tile > 0 ? plan->tile : choose_tile(plan, bytes, cost->voxel_flops);
    cost->fit_bytes = bytes * (double)cost->tile + (double)plan->folds->rows * (stacked + STACK) * (double)ridge_size(plan->type);
    free(widths);
    return VG_OK;
}

vg_status vg_ridge_borders(const vg_ridge_plan *plan, const int64_t *columns, int64_t count, uint8_t *border)
{
    int64_t segments, *widths;
    VG_TRY(ridge_count_segments(plan->folds, &segments));
    VG_TRY(VG_NEW(&widths, count, "feature spaces"));
    for (int64_t i = 0; i < count; i++)
        widths[i] = ridge_cross_width(plan, columns[i]);
    for (int64_t first = 0, end, total; first < count; first = end) {
        end = ridge_stack_end(widths, first, count, segments, &total);
        for (int64_t i = first + 1, before = widths[first]; i < end; before += widths[i++])
            if (before > 0 && before < total) /* the dual form has no such product */
                border[i] = 0;
    }
    free(widths);
    return VG_OK;
}

bool vg_ridge_sharing_pays(const vg_ridge_cost *cost)
{
    return cost->design_flops > 32 * cost->design_bytes;
}
