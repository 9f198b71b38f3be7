/* window: one forward of all windows of a block, and one vjp down to the K words, for every space that is read from them. */
#include <stdlib.h>
#include <string.h>

#include "sweep.h"

static vg_batch_kind kind_of(const vg_attribution *a, const vg_sweep_plan *plan)
{
    bool own_word = plan->kind == VG_SWEEP_WORD;
    return (vg_batch_kind){.words = plan->words, .own_word = own_word, .parts = a->context.whole_word && !own_word};
}

/* What a sweep takes of the arena beside the engine's own: segments, embeddings, product, logits, targets, segments of attention. */
static size_t own_bytes(const vg_attribution *a, const vg_batch *batch, int64_t k)
{
    const vg_model_shape *shape = vg_model_get_shape(a->model);
    int64_t segments = batch->rows * (k + 2) + 1, entries = batch->rows * batch->length * shape->width;
    int64_t numbers =
        2 * segments * (1 + shape->heads) + 2 * batch->rows * batch->length + 2 * entries + batch->rows * (shape->vocabulary + 2);
    return 4 * (size_t)numbers + vg_target_bytes(a, batch->rows) + 20 * 256;
}

vg_status vg_window_cost(const vg_attribution *a, const vg_sweep_plan *plan, const vg_word_block *block, vg_cost *cost)
{
    const vg_batch_kind kind = kind_of(a, plan);
    vg_batch batch;
    vg_status status = VG_OK;
    VG_TRY(vg_batch_make(a, &kind, block, &batch));
    vg_load load = {.groups = batch.groups,
                    .members = batch.members,
                    .length = batch.length,
                    .prefix = batch.prefix,
                    .keep = plan->gradient,
                    .everywhere = kind.own_word,
                    .masked = true,
                    .vjp = plan->gradient,
                    .others = own_bytes(a, &batch, plan->words)};
    if (batch.rows > 0)
        VG_GO(vg_engine_bytes(a->model, &load, &cost->bytes));
    if (batch.rows > 0)
        VG_GO(vg_engine_flops(a->model, &load, &cost->flops));
done:
    vg_batch_free(&batch);
    return status;
}

/* Embeddings of the rows' own tokens, then prefix and forward. */
static vg_status forward(vg_attribution *a, vg_window_sweep *sweep, bool keep, bool everywhere)
{
    const vg_batch *batch = sweep->batch;
    vg_prefix *prefix = NULL;
    if (batch->prefix > 0) {
        vg_rows before = {
            .groups = batch->groups, .members = 1, .length = batch->prefix, .start = batch->prefix_start, .tokens = batch->prefix_tokens};
        VG_TRY(vg_engine_prefix(a->engine, &before, false, &prefix));
    }
    VG_TRY(vg_engine_embed(a->engine, batch->rows * batch->length, batch->tokens, sweep->x));
    vg_rows rows = {.groups = batch->groups,
                    .members = batch->members,
                    .length = batch->length,
                    .start = batch->start,
                    .embeddings = sweep->x,
                    .prefix = prefix,
                    .seen = prefix != NULL ? batch->seen : NULL};
    vg_tape *tape;
    VG_TRY(vg_engine_forward(a->engine, &rows, keep, everywhere, &tape));
    sweep->tape = tape;
    return VG_OK;
}

static int64_t first_part(const vg_batch *batch, int64_t b)
{
    int64_t at = b;
    while (at > 0 && (batch->spare[at] || batch->windows[at].part > 0 || batch->windows[at].word != batch->windows[b].word))
        at--;
    return at;
}

/* Gradients of a word's later parts are added to those of its first: part p stands p positions further left in its row. */
static vg_status join_parts(vg_attribution *a, const vg_batch *batch, int64_t width, float *gradients)
{
    const vg_device_ops *ops = a->device->ops;
    int64_t count = batch->rows * batch->length, length = batch->length;
    vg_mark mark = vg_engine_mark(a->engine);
    int32_t *index = NULL, *there;
    vg_status status;
    VG_GO(VG_NEW(&index, count, "parts of words"));
    for (int64_t b = 0; b < batch->rows; b++) {
        int64_t part = batch->windows[b].part, to = first_part(batch, b);
        for (int64_t t = 0; t < length; t++)
            index[b * length + t] = part == 0 || batch->spare[b] || t + part >= length ? -1 : (int32_t)(to * length + t + part);
    }
    VG_GO(VG_TAKE(vg_engine_arena(a->engine), &there, count, "parts of words"));
    VG_GO(ops->up(a->device, there, index, (size_t)count * sizeof *index));
    VG_GO(ops->scatter_add_rows(a->device, count, width, gradients, width, there, gradients, width));
done:
    vg_engine_release(a->engine, mark);
    free(index);
    return status;
}

/* The gradient of <seed of the word, state of a layer> of every row, instead of that of its prediction. */
static vg_status differentiate_state(vg_attribution *a, vg_window_sweep *sweep)
{
    const vg_batch *batch = sweep->batch;
    int64_t width = sweep->width;
    vg_cotangents cotangents;
    float *seeds;
    VG_TRY(VG_NEW(&seeds, batch->rows * width, "seeds of words"));
    for (int64_t b = 0; b < batch->rows; b++)
        memcpy(seeds + b * width, a->context.seed + batch->windows[b].word * width, (size_t)width * sizeof *seeds);
    vg_status status = a->device->ops->up(a->device, sweep->product, seeds, (size_t)(batch->rows * width) * sizeof *seeds);
    free(seeds);
    VG_TRY(status);
    VG_TRY(vg_engine_vjp_state(a->engine, sweep->tape, a->context.seed_layer, sweep->product, 0, &cotangents));
    sweep->gradients = cotangents.input;
    return VG_OK;
}

/* f of every row, and its gradient down to the attributed words. */
static vg_status differentiate(vg_attribution *a, vg_window_sweep *sweep)
{
    const vg_batch *batch = sweep->batch;
    int64_t vocabulary = vg_model_get_shape(a->model)->vocabulary;
    double *f;
    vg_cotangents cotangents;
    VG_TRY(VG_NEW(&f, batch->rows, "targets"));
    vg_status status;
    VG_GO(a->device->ops->copy(a->device, sweep->logits, vocabulary, sweep->tape->logits, vocabulary, batch->rows, vocabulary));
    VG_GO(vg_target_take(a, batch->rows, sweep->logits, sweep->token, true, f));
    VG_GO(vg_engine_vjp(a->engine, sweep->tape, sweep->logits, 0, false, &cotangents));
    sweep->gradients = cotangents.input;
    if (a->context.whole_word)
        VG_GO(join_parts(a, batch, sweep->width, cotangents.input));
done:
    free(f);
    return status;
}

static vg_status compute(vg_attribution *a, const vg_sweep_plan *plan, vg_window_sweep *sweep)
{
    const vg_device_ops *ops = a->device->ops;
    const vg_batch *batch = sweep->batch;
    int64_t segments = batch->rows * (sweep->words + 2), entries = batch->rows * batch->length * sweep->width;
    vg_arena *arena = vg_engine_arena(a->engine);
    VG_TRY(VG_TAKE(arena, &sweep->segment, segments + 1, "segments"));
    VG_TRY(VG_TAKE(arena, &sweep->reduced, segments, "segments"));
    VG_TRY(VG_TAKE(arena, &sweep->x, entries, "embeddings"));
    VG_TRY(VG_TAKE(arena, &sweep->product, entries, "embeddings"));
    VG_TRY(VG_TAKE(arena, &sweep->token, batch->rows, "targets"));
    VG_TRY(VG_TAKE(arena, &sweep->logits, batch->rows * vg_model_get_shape(a->model)->vocabulary, "logits"));
    VG_TRY(ops->up(a->device, sweep->segment, batch->segment, (size_t)(segments + 1) * sizeof *batch->segment));
    for (int64_t b = 0; a->context.argmax && b < batch->rows; b++)
        batch->target[b] = -1;
    VG_TRY(ops->up(a->device, sweep->token, batch->target, (size_t)batch->rows * sizeof *batch->target));
    VG_TRY(forward(a, sweep, plan->gradient, plan->kind == VG_SWEEP_WORD));
    if (!plan->gradient)
        return VG_OK;
    return a->context.seed != NULL ? differentiate_state(a, sweep) : differentiate(a, sweep);
}

static vg_status read_entry(vg_attribution *a, const vg_window_sweep *sweep, const vg_entry *entry, const vg_sink *sink)
{
    const vg_batch *batch = sweep->batch;
    float *values = NULL;
    vg_status status = VG_OK;
    for (int64_t i = 0; i < entry->outputs; i++) {
        int64_t columns = a->outputs[entry->first_output + i].columns;
        free(values);
        VG_GO(VG_NEW(&values, batch->rows * columns, "feature values"));
        VG_GO(entry->space->read(sweep, entry, i, values));
        for (int64_t b = 0; b < batch->rows; b++)
            if (!batch->spare[b] && batch->windows[b].part == 0)
                vg_sink_put(a, sink, entry, i, batch->windows[b].word, values + b * columns);
    }
done:
    free(values);
    return status;
}

vg_status vg_window_run(vg_attribution *a, int64_t sweep_index, const vg_sink *sink)
{
    const vg_sweep_plan *plan = &a->sweeps[sweep_index];
    const vg_model_shape *shape = vg_model_get_shape(a->model);
    const vg_batch_kind kind = kind_of(a, plan);
    vg_batch batch;
    VG_TRY(vg_batch_make(a, &kind, sink->block, &batch));
    vg_window_sweep sweep = {
        .attribution = a, .words = plan->words, .width = shape->width, .layers = shape->layers, .device = a->device, .batch = &batch};
    vg_status status = VG_OK;
    if (batch.rows == 0)
        goto done;
    VG_GO(VG_NEW(&sweep.host, batch.rows * (plan->words + 2), "reduced segments"));
    VG_GO(compute(a, plan, &sweep));
    for (int64_t e = 0; e < a->entry_count; e++)
        if (a->entries[e].sweep == sweep_index)
            VG_GO(read_entry(a, &sweep, &a->entries[e], sink));
done:
    free(sweep.host);
    vg_batch_free(&batch);
    return status;
}
