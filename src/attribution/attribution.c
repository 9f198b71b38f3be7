/* attribution: entries of a study become outputs (datasets) and sweeps (one batch of windows through the model for all entries with the
 * same K), the story becomes blocks of words. One forward and one vjp a sweep serve every space that was asked for; since a sweep's
 * batches follow from K and the story alone, no value depends on what was asked beside it. */
#include <stdlib.h>
#include <string.h>

#include "sweep.h"

typedef struct {
    int64_t words;
    bool gradient;
} sweep_plan;

struct vg_attribution {
    vg_model *model;
    vg_device *device;
    const vg_passage *passage;
    vg_context context;
    int32_t bos;
    int64_t entry_count, output_count, block_count, sweep_count;
    vg_entry *entries;
    vg_output *outputs;
    vg_word_block *blocks;
    sweep_plan *sweeps;
    size_t bytes;
    double flops;
    vg_engine *engine;
};

/* ---- entries, outputs, sweeps ------------------------------------------------------------------------------------------ */

static vg_status resolve_layers(const vg_model_shape *shape, vg_entry *entry)
{
    const vg_space_request *request = &entry->request;
    int64_t named = request->all_layers ? shape->layers + 1 : request->layer_count;
    entry->outputs = named + (request->all_layers || request->final_layer);
    VG_TRY(VG_NEW(&entry->layers, entry->outputs, "layers"));
    for (int64_t i = 0; i < named; i++) {
        entry->layers[i] = request->all_layers ? i : request->layers[i];
        if (entry->layers[i] < 0 || entry->layers[i] > shape->layers)
            return vg_fail(VG_INVALID, "features: %s: layer %lld is not in the model; it has 00 (embedding) .. %02lld and final", entry->name,
                           (long long)entry->layers[i], (long long)shape->layers);
    }
    if (entry->outputs > named)
        entry->layers[named] = shape->layers + 1;
    return VG_OK;
}

static vg_status resolve_entry(const vg_model_shape *shape, const vg_context *context, const vg_space_request *request, vg_entry *entry)
{
    entry->request = *request;
    entry->space = vg_space_find(request->method);
    if (entry->space == NULL) {
        const char *near = vg_nearest(request->method, vg_space_methods());
        return vg_fail(VG_INVALID, "features: no method \"%s\"; did you mean %s? (gradient_norm, gradient_x_input, activations)", request->method,
                       near != NULL ? near : vg_space_methods()[0]);
    }
    VG_TRY(vg_format(&entry->name, "%s", request->name != NULL ? request->name : request->method));
    if (request->words < 1 || request->words > context->words)
        return vg_fail(VG_INVALID, "features: %s: words: %lld must be between 1 and the context's %lld words", entry->name, (long long)request->words,
                       (long long)context->words);
    if (entry->space->layered)
        return resolve_layers(shape, entry);
    entry->outputs = 1;
    return VG_OK;
}

static void join_sweep(vg_attribution *a, vg_entry *entry)
{
    int64_t s = 0;
    while (s < a->sweep_count && a->sweeps[s].words != entry->request.words)
        s++;
    if (s == a->sweep_count)
        a->sweeps[a->sweep_count++].words = entry->request.words;
    a->sweeps[s].gradient |= entry->space->gradient;
    entry->sweep = s;
}

static void describe(const vg_attribution *a, const vg_entry *entry, vg_output *outputs)
{
    const vg_model_shape *shape = vg_model_get_shape(a->model);
    for (int64_t i = 0; i < entry->outputs; i++) {
        vg_output *output = &outputs[i];
        *output = (vg_output){.method = entry->space->method, .name = entry->name, .columns = entry->space->layered ? shape->width : entry->request.words,
                              .sees_word = entry->space->sees_word && !a->context.argmax};
        if (entry->space->layered && entry->layers[i] > shape->layers)
            snprintf(output->layer, sizeof output->layer, "final");
        else if (entry->space->layered)
            snprintf(output->layer, sizeof output->layer, "%02d", (int)entry->layers[i]);
    }
}

static vg_status resolve(vg_attribution *a, const vg_space_request *requests)
{
    const vg_model_shape *shape = vg_model_get_shape(a->model);
    for (int64_t e = 0; e < a->entry_count; e++) {
        vg_entry *entry = &a->entries[e];
        VG_TRY(resolve_entry(shape, &a->context, &requests[e], entry));
        for (int64_t other = 0; other < e; other++)
            if (strcmp(a->entries[other].name, entry->name) == 0)
                return vg_fail(VG_INVALID, "features: two entries are called \"%s\"; give one a name of its own (name: ...)", entry->name);
        entry->first_output = a->output_count;
        a->output_count += entry->outputs;
        join_sweep(a, entry);
    }
    VG_TRY(VG_NEW(&a->outputs, a->output_count, "outputs"));
    for (int64_t e = 0; e < a->entry_count; e++)
        describe(a, &a->entries[e], a->outputs + a->entries[e].first_output);
    return VG_OK;
}

/* ---- blocks -------------------------------------------------------------------------------------------------------------- */

static vg_status check_windows(const vg_attribution *a)
{
    int64_t positions = vg_model_get_shape(a->model)->positions;
    for (int64_t w = 0; w < a->passage->words; w++) {
        vg_window window;
        vg_window_of(a->passage, &a->context, a->bos >= 0, w, &window);
        if (window.length > positions)
            return vg_fail(VG_INVALID, "the window of word %lld has %lld tokens, more than the model's %lld positions; make context.words smaller",
                           (long long)w, (long long)window.length, (long long)positions);
    }
    return VG_OK;
}

/* Words are taken while the padded windows fit into batch_tokens. */
static vg_status make_blocks(vg_attribution *a, const vg_attribution_plan *plan)
{
    VG_TRY(VG_NEW(&a->blocks, a->passage->words, "blocks"));
    int64_t longest = 0;
    vg_word_block block = {0};
    for (int64_t w = 0; w < a->passage->words; w++) {
        vg_window window;
        vg_window_of(a->passage, &a->context, a->bos >= 0, w, &window);
        int64_t grown = window.length > longest ? window.length : longest;
        if (block.count > 0 && grown * (block.count + 1) > plan->batch_tokens) {
            a->blocks[a->block_count++] = block;
            block = (vg_word_block){.first = w};
            grown = window.length;
        }
        longest = grown;
        block.count++;
    }
    if (block.count > 0)
        a->blocks[a->block_count++] = block;
    return VG_OK;
}

/* What one sweep takes of the engine's arena beside the engine's own: segments, embeddings, product, reduced, dlogits, token, f. */
static size_t own_bytes(const vg_attribution *a, const vg_batch *batch, int64_t k)
{
    const vg_model_shape *shape = vg_model_get_shape(a->model);
    int64_t segments = batch->rows * (k + 1) + 1, entries = batch->rows * batch->length * shape->width;
    return (size_t)(8 * segments + 4 * batch->rows * batch->length + 8 * entries + 4 * batch->rows * shape->vocabulary + 12 * batch->rows) + 16 * 256;
}

static vg_status measure_block(vg_attribution *a, vg_word_block *block, const sweep_plan *plan)
{
    const vg_model_shape *shape = vg_model_get_shape(a->model);
    vg_batch batch;
    size_t bytes = 0;
    vg_status status = VG_OK;
    VG_TRY(vg_batch_make(a->passage, &a->context, a->bos, plan->words, block, &batch));
    if (batch.rows > 0) {
        vg_load load = {.groups = batch.rows, .members = 1, .length = batch.length, .prefix = batch.prefix, .keep = plan->gradient, .masked = true,
                        .vjp = plan->gradient, .others = own_bytes(a, &batch, plan->words)};
        status = vg_engine_bytes(a->model, &load, &bytes);
    }
    if (bytes > a->bytes)
        a->bytes = bytes;
    double tokens = (double)(batch.rows * (batch.prefix + batch.length * (plan->gradient ? 2 : 1)));
    double flops = 2.0 * tokens * (double)(shape->layers * shape->block_parameters) + 2.0 * (double)(batch.rows * shape->vocabulary * shape->width) * (plan->gradient ? 2 : 1);
    block->cost += flops;
    a->flops += flops;
    vg_batch_free(&batch);
    return status;
}

static vg_status create(vg_attribution *a, const vg_space_request *requests, const vg_attribution_plan *plan)
{
    VG_TRY(VG_NEW(&a->entries, a->entry_count, "features"));
    VG_TRY(VG_NEW(&a->sweeps, a->entry_count, "sweeps"));
    VG_TRY(resolve(a, requests));
    VG_TRY(check_windows(a));
    VG_TRY(make_blocks(a, plan));
    for (int64_t i = 0; i < a->block_count; i++)
        for (int64_t s = 0; s < a->sweep_count; s++)
            VG_TRY(measure_block(a, &a->blocks[i], &a->sweeps[s]));
    return VG_OK;
}

vg_status vg_attribution_create(vg_model *model, const vg_passage *passage, const vg_context *context, const vg_space_request *requests, int64_t count,
                                const vg_attribution_plan *plan, vg_attribution **attribution)
{
    vg_attribution *a;
    *attribution = NULL;
    VG_TRY(VG_NEW(&a, 1, "attribution"));
    *a = (vg_attribution){.model = model, .device = vg_model_device(model), .passage = passage, .context = *context, .entry_count = count};
    a->bos = context->bos ? vg_model_get_shape(model)->bos : -1;
    vg_status status = create(a, requests, plan);
    if (status == VG_OK)
        *attribution = a;
    else
        vg_attribution_free(a);
    return status;
}

void vg_attribution_free(vg_attribution *a)
{
    if (a == NULL)
        return;
    for (int64_t e = 0; a->entries != NULL && e < a->entry_count; e++) {
        free(a->entries[e].name);
        free(a->entries[e].layers);
    }
    vg_engine_free(a->engine);
    free(a->entries);
    free(a->outputs);
    free(a->blocks);
    free(a->sweeps);
    free(a);
}

int64_t vg_attribution_outputs(const vg_attribution *attribution, const vg_output **outputs)
{
    *outputs = attribution->outputs;
    return attribution->output_count;
}

int64_t vg_attribution_blocks(const vg_attribution *attribution, const vg_word_block **blocks)
{
    *blocks = attribution->blocks;
    return attribution->block_count;
}

size_t vg_attribution_bytes(const vg_attribution *attribution)
{
    return attribution->bytes;
}

double vg_attribution_flops(const vg_attribution *attribution)
{
    return attribution->flops;
}

/* ---- one block ------------------------------------------------------------------------------------------------------------ */

/* Embeddings of the rows' own tokens, then prefix and forward. */
static vg_status forward(vg_attribution *a, vg_sweep *sweep)
{
    const vg_batch *batch = sweep->batch;
    vg_prefix *prefix = NULL;
    if (batch->prefix > 0) {
        vg_rows before = {.groups = batch->rows, .members = 1, .length = batch->prefix, .start = batch->prefix_start, .tokens = batch->prefix_tokens};
        VG_TRY(vg_engine_prefix(a->engine, &before, false, &prefix));
    }
    VG_TRY(vg_engine_embed(a->engine, batch->rows * batch->length, batch->tokens, sweep->x));
    vg_rows rows = {.groups = batch->rows, .members = 1, .length = batch->length, .start = batch->start, .embeddings = sweep->x, .prefix = prefix, .seen = prefix != NULL ? batch->seen : NULL};
    vg_tape *tape;
    VG_TRY(vg_engine_forward(a->engine, &rows, sweep->gradient, false, &tape));
    sweep->tape = tape;
    return VG_OK;
}

/* f of every row, and its gradient down to the attributed words. */
static vg_status differentiate(vg_attribution *a, vg_sweep *sweep)
{
    const vg_device_ops *ops = a->device->ops;
    const vg_batch *batch = sweep->batch;
    int64_t vocabulary = vg_model_get_shape(a->model)->vocabulary;
    vg_arena *arena = vg_engine_arena(a->engine);
    float *dlogits;
    int32_t *token;
    double *f;
    VG_TRY(VG_TAKE(arena, &dlogits, batch->rows * vocabulary, "gradients by logits"));
    VG_TRY(VG_TAKE(arena, &token, batch->rows, "targets"));
    VG_TRY(VG_TAKE(arena, &f, batch->rows, "targets"));
    for (int64_t b = 0; a->context.argmax && b < batch->rows; b++)
        batch->target[b] = -1;
    VG_TRY(ops->up(a->device, token, batch->target, (size_t)batch->rows * sizeof *token));
    VG_TRY(ops->copy(a->device, dlogits, vocabulary, sweep->tape->logits, vocabulary, batch->rows, vocabulary));
    VG_TRY(ops->target(a->device, a->context.target, batch->rows, vocabulary, dlogits, token, NULL, true, f));
    vg_cotangents cotangents;
    VG_TRY(vg_engine_vjp(a->engine, sweep->tape, dlogits, 0, false, &cotangents));
    sweep->gradients = cotangents.input;
    return VG_OK;
}

/* Rows of the batch to rows of the block; the words that have no row stay 0 and invalid, and so do columns before the story's first word. */
static void place(const vg_attribution *a, const vg_sweep *sweep, const vg_entry *entry, const vg_word_block *block, int64_t columns, const float *from,
                  float *values, uint8_t *valid)
{
    memset(values, 0, (size_t)(block->count * columns) * sizeof *values);
    memset(valid, 0, (size_t)(block->count * columns));
    for (int64_t b = 0; b < sweep->batch->rows; b++) {
        int64_t word = sweep->batch->windows[b].word, row = word - block->first;
        for (int64_t c = 0; c < columns; c++) {
            int64_t attributed = word - columns + c;
            bool there = entry->space->layered || (attributed >= 0 && a->passage->first[attributed + 1] > a->passage->first[attributed]);
            valid[row * columns + c] = there;
            values[row * columns + c] = there ? from[b * columns + c] : 0.0f;
        }
    }
}

static vg_status read_spaces(vg_attribution *a, vg_sweep *sweep, int64_t s, const vg_word_block *block, float *const *values, uint8_t *const *valid)
{
    float *rows = NULL;
    vg_status status = VG_OK;
    for (int64_t e = 0; e < a->entry_count; e++) {
        const vg_entry *entry = &a->entries[e];
        if (entry->sweep != s)
            continue;
        for (int64_t i = 0; i < entry->outputs; i++) {
            int64_t o = entry->first_output + i, columns = a->outputs[o].columns;
            free(rows);
            VG_GO(VG_NEW(&rows, sweep->batch->rows * columns, "feature values"));
            if (sweep->batch->rows > 0)
                VG_GO(entry->space->compute(sweep, entry, i, rows));
            place(a, sweep, entry, block, columns, rows, values[o], valid[o]);
        }
    }
done:
    free(rows);
    return status;
}

static vg_status compute_sweep(vg_attribution *a, vg_sweep *sweep)
{
    const vg_batch *batch = sweep->batch;
    int64_t segments = batch->rows * (sweep->words + 1), entries = batch->rows * batch->length * sweep->width;
    vg_arena *arena = vg_engine_arena(a->engine);
    VG_TRY(VG_TAKE(arena, &sweep->segment, segments + 1, "segments"));
    VG_TRY(VG_TAKE(arena, &sweep->reduced, segments, "segments"));
    VG_TRY(VG_TAKE(arena, &sweep->x, entries, "embeddings"));
    VG_TRY(VG_TAKE(arena, &sweep->product, entries, "embeddings"));
    VG_TRY(a->device->ops->up(a->device, sweep->segment, batch->segment, (size_t)(segments + 1) * sizeof *batch->segment));
    VG_TRY(forward(a, sweep));
    return sweep->gradient ? differentiate(a, sweep) : VG_OK;
}

static vg_status run_sweep(vg_attribution *a, int64_t s, const vg_word_block *block, float *const *values, uint8_t *const *valid)
{
    const vg_model_shape *shape = vg_model_get_shape(a->model);
    int64_t k = a->sweeps[s].words;
    vg_batch batch;
    VG_TRY(vg_batch_make(a->passage, &a->context, a->bos, k, block, &batch));
    vg_sweep sweep = {.words = k, .gradient = a->sweeps[s].gradient, .device = a->device, .width = shape->width, .layers = shape->layers, .batch = &batch};
    vg_status status;
    VG_GO(VG_NEW(&sweep.host, batch.rows * (k + 1), "reduced segments"));
    if (batch.rows > 0)
        VG_GO(compute_sweep(a, &sweep));
    VG_GO(read_spaces(a, &sweep, s, block, values, valid));
done:
    vg_engine_reset(a->engine);
    free(sweep.host);
    vg_batch_free(&batch);
    return status;
}

vg_status vg_attribution_run(vg_attribution *a, int64_t block, float *const *values, uint8_t *const *valid)
{
    if (a->engine == NULL)
        VG_TRY(vg_engine_create(a->model, a->bytes, &a->engine));
    for (int64_t s = 0; s < a->sweep_count; s++)
        VG_TRY(run_sweep(a, s, &a->blocks[block], values, valid));
    return VG_OK;
}
