/* ridge: the responses, tile by tile, through designs. On a CPU every thread works on tiles of its own, small enough for its cache, on a
 * device of one thread; on a GPU one tile at a time. A tile's result depends on the tile alone. */
#include <stdlib.h>
#include <string.h>

#include "ridge.h"

static vg_status check(vg_ridge_design *const *designs, int64_t count, vg_samples responses, const int32_t *order)
{
    int64_t rows = designs[0]->layout.rows;
    for (int64_t i = 1; i < count; i++)
        if (designs[i]->plan != designs[0]->plan || designs[i]->device != designs[0]->device)
            return vg_fail(VG_DEFECT, "ridge: designs of different plans or devices in one fit");
    if (responses.rows != rows)
        return vg_fail(VG_INVALID, "responses have %lld rows, the features %lld", (long long)responses.rows, (long long)rows);
    for (int64_t t = 0; order != NULL && t < rows; t++)
        if (order[t] < 0 || order[t] >= rows)
            return vg_fail(VG_DEFECT, "the order of responses names row %d of %lld", order[t], (long long)rows);
    return VG_OK;
}

/* ---- what the tiles share ------------------------------------------------------------------------------------------------- */

/* The widths of the designs, and so the tile. */
static vg_status size_up(ridge_call *call)
{
    int64_t *columns;
    vg_ridge_cost cost;
    VG_TRY(VG_NEW(&call->widths, call->count, "feature spaces"));
    VG_TRY(VG_NEW(&columns, call->count, "feature spaces"));
    for (int64_t i = 0; i < call->count; i++) {
        columns[i] = call->designs[i]->columns;
        call->widths[i] = ridge_cross_width(call->plan, columns[i]);
    }
    vg_status status = vg_ridge_estimate(call->plan, columns, call->count, &cost);
    call->tile = cost.tile < call->responses.columns ? cost.tile : call->responses.columns;
    free(columns);
    return status;
}

/* The features of one stack's designs side by side; a design that stands alone is its own stack. */
static vg_status fill_stack(vg_device *d, const ridge_call *call, ridge_stack *stack)
{
    vg_type type = call->plan->type;
    int64_t rows = call->layout->rows, floats = (int64_t)(ridge_size(type) / sizeof(float));
    if (stack->end == stack->first + 1) {
        stack->features = call->designs[stack->first]->features;
        return VG_OK;
    }
    VG_TRY(d->ops->alloc(d, (size_t)(rows * stack->columns) * ridge_size(type) + 1, &stack->features));
    stack->owned = true;
    for (int64_t i = stack->first, at = 0; i < stack->end; at += call->widths[i], i++)
        if (call->widths[i] > 0)
            VG_TRY(d->ops->copy(d, ridge_at(type, stack->features, at), stack->columns * floats, call->designs[i]->features,
                                call->widths[i] * floats, rows, call->widths[i] * floats));
    return VG_OK;
}

static vg_status make_stacks(vg_device *d, ridge_call *call)
{
    VG_TRY(VG_NEW(&call->stack, call->count, "stacks of features"));
    for (int64_t first = 0; first < call->count;) {
        ridge_stack *stack = &call->stack[call->stacks++];
        stack->first = first;
        first = stack->end = ridge_stack_end(call->widths, first, call->count, call->layout->segments, &stack->columns);
        VG_TRY(fill_stack(d, call, stack));
    }
    return VG_OK;
}

static void free_call(vg_device *d, ridge_call *call)
{
    for (int64_t i = 0; call->stack != NULL && i < call->stacks; i++)
        if (call->stack[i].owned)
            ridge_device_free(d, call->stack[i].features);
    free(call->stack);
    free(call->widths);
}

/* ---- tiles ------------------------------------------------------------------------------------------------------------------ */

static vg_status fit_one(ridge_tile *tile, const ridge_call *call, int64_t number)
{
    int64_t column = number * call->tile, left = call->responses.columns - column;
    return ridge_tile_fit(tile, column, left < call->tile ? left : call->tile);
}

static vg_status fit_in_turn(vg_device *device, const ridge_call *call, int64_t tiles)
{
    ridge_tile *tile;
    VG_TRY(ridge_tile_create(device, call, &tile));
    vg_status status = VG_OK;
    for (int64_t i = 0; status == VG_OK && i < tiles; i++)
        status = fit_one(tile, call, i);
    ridge_tile_free(tile);
    return status;
}

/* A failure of one of several threads: the first one's status and message. */
typedef struct {
    vg_status status;
    char *message;
} failure;

static void note(failure *first, vg_status status)
{
#pragma omp critical(ridge_failure)
    if (status != VG_OK && first->status == VG_OK) {
        first->status = status;
        if (vg_format(&first->message, "%s", vg_message()) != VG_OK)
            first->message = NULL;
    }
}

static vg_status fit_side_by_side(vg_device *whole, const ridge_call *call, int64_t tiles, int threads)
{
    failure first = {VG_OK, NULL};
#pragma omp parallel num_threads(threads)
    {
        vg_device *device = NULL;
        ridge_tile *tile = NULL;
        vg_status status = vg_device_open("cpu", 0, 1, &device);
        if (status == VG_OK)
            status = ridge_tile_create(device, call, &tile);
        note(&first, status);
#pragma omp for schedule(dynamic)
        for (int64_t i = 0; i < tiles; i++) {
            if (status == VG_OK) {
                status = fit_one(tile, call, i);
                note(&first, status);
            }
        }
        ridge_tile_free(tile);
#pragma omp critical(ridge_work)
        if (device != NULL)
            vg_device_add_flops(whole, device);
        vg_device_close(device);
    }
    if (first.status != VG_OK)
        vg_fail(first.status, "%s", first.message != NULL ? first.message : "no memory for a message");
    free(first.message);
    return first.status;
}

vg_status vg_ridge_fit(vg_ridge_design *const *designs, int64_t count, vg_samples responses, const int32_t *order,
                       const vg_ridge_result *results)
{
    return ridge_fit_pass(designs, count, responses, order, results, NULL);
}

vg_status ridge_fit_pass(vg_ridge_design *const *designs, int64_t count, vg_samples responses, const int32_t *order,
                         const vg_ridge_result *results, const ridge_shared *shared)
{
    if (count < 1 || responses.columns < 1)
        return VG_OK;
    VG_TRY(check(designs, count, responses, order));
    vg_device *device = designs[0]->device;
    ridge_call call = {.plan = designs[0]->plan, .layout = &designs[0]->layout, .designs = designs, .count = count, .responses = responses};
    call.order = order;
    call.results = results;
    call.shared = shared;
    for (int64_t i = 0; i < count; i++) {
        const vg_ridge_result *r = &results[i];
        call.correlation |= r->score || r->alpha || r->fold_score || r->inner_score;
        call.loss |= r->r2 || r->r2_alpha || r->inner_r2 || r->fold_loss || r->fold_total;
    }
    vg_status status;
    VG_GO(size_up(&call));
    VG_GO(make_stacks(device, &call));
    int64_t tiles = (responses.columns + call.tile - 1) / call.tile;
    int threads = device->threads < tiles ? device->threads : (int)tiles;
    VG_GO(threads > 1 && strncmp(device->name, "cpu", 3) == 0 ? fit_side_by_side(device, &call, tiles, threads)
                                                              : fit_in_turn(device, &call, tiles));
done:
    free_call(device, &call);
    return status;
}
