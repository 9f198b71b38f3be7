/* spaces: the table of feature spaces, and those that are read from one sweep over the windows. A new one is one row and one function. */
#include <stdlib.h>
#include <string.h>

#include "sweep.h"

/* ---- gradients of the windows' embeddings ------------------------------------------------------------------------------- */

/* Means over a word's tokens from sums over them. */
static void divide_by_tokens(const vg_window_sweep *sweep, float *values)
{
    for (int64_t b = 0; b < sweep->batch->rows; b++)
        for (int64_t j = 0; j < sweep->words; j++) {
            const int32_t *segment = sweep->batch->segment + b * (sweep->words + 2) + 1 + j;
            int32_t tokens = segment[1] - segment[0];
            if (tokens > 1)
                values[b * sweep->words + j] /= (float)tokens;
        }
}

/* A number a segment (row, word) into values (rows, K). */
static vg_status reduce_words(const vg_window_sweep *sweep, vg_reduction kind, const float *x, float *values)
{
    const vg_device_ops *ops = sweep->device->ops;
    int64_t rows = sweep->batch->rows, k = sweep->words;
    VG_TRY(ops->reduce(sweep->device, kind, rows * (k + 2), sweep->segment, sweep->width, x, NULL, sweep->reduced));
    VG_TRY(ops->down(sweep->device, sweep->host, sweep->reduced, (size_t)(rows * (k + 2)) * sizeof(float)));
    for (int64_t b = 0; b < rows; b++)
        memcpy(values + b * k, sweep->host + b * (k + 2) + 1, (size_t)k * sizeof(float));
    return VG_OK;
}

/* Sum (or mean) over a word's tokens of the L1 norm of df/dx_i; l2: the L2 norm over all entries of its tokens. */
static vg_status gradient_norm(const vg_window_sweep *sweep, const vg_entry *entry, int64_t index, float *values)
{
    (void)index;
    VG_TRY(reduce_words(sweep, entry->reduce == VG_REDUCE_L2 ? VG_L2 : VG_L1, sweep->gradients, values));
    if (entry->reduce == VG_REDUCE_MEAN)
        divide_by_tokens(sweep, values);
    return VG_OK;
}

/* L2 norm over all entries of a word's tokens of df/dx * x; or their L1 norm, their sum (signed), or that by token. */
static vg_status gradient_x_input(const vg_window_sweep *sweep, const vg_entry *entry, int64_t index, float *values)
{
    static const vg_reduction kinds[] = {
        [VG_REDUCE_SUM] = VG_SUM, [VG_REDUCE_MEAN] = VG_SUM, [VG_REDUCE_L1] = VG_L1, [VG_REDUCE_L2] = VG_L2};
    int64_t entries = sweep->batch->rows * sweep->batch->length * sweep->width;
    (void)index;
    VG_TRY(sweep->device->ops->hadamard(sweep->device, entries, sweep->gradients, sweep->x, 0.0f, sweep->product));
    VG_TRY(reduce_words(sweep, kinds[entry->reduce], sweep->product, values));
    if (entry->reduce == VG_REDUCE_MEAN)
        divide_by_tokens(sweep, values);
    return VG_OK;
}

/* ---- states and weights of the forward sweep ------------------------------------------------------------------------------ */

/* Mean over the tokens of the word itself, which the last positions of each row are. */
static vg_status mean_over_word(const vg_window_sweep *sweep, const float *layer)
{
    const vg_device_ops *ops = sweep->device->ops;
    const vg_batch *batch = sweep->batch;
    int64_t rows = batch->rows, length = batch->length, width = sweep->width;
    float *weight = NULL, *there;
    vg_engine *engine = sweep->attribution->engine;
    vg_mark mark = vg_engine_mark(engine);
    vg_status status;
    VG_GO(VG_NEW(&weight, rows * length, "tokens of words"));
    for (int64_t b = 0; b < rows; b++) {
        const int32_t *segment = batch->segment + b * 3 + 1;
        for (int32_t t = segment[0]; t < segment[1]; t++)
            weight[t] = 1.0f / (float)(segment[1] - segment[0]);
    }
    VG_GO(VG_TAKE(vg_engine_arena(engine), &there, rows * length, "tokens of words"));
    VG_GO(ops->up(sweep->device, there, weight, (size_t)(rows * length) * sizeof *weight));
    const vg_gemm g = {.m = 1,
                       .n = width,
                       .k = length,
                       .batch = rows,
                       .alpha = 1,
                       .lda = length,
                       .ldb = width,
                       .ldc = width,
                       .stride_a = length,
                       .stride_b = length * width,
                       .stride_c = width,
                       .a = there,
                       .b = layer,
                       .c = sweep->product};
    VG_GO(ops->gemm(sweep->device, &g));
done:
    vg_engine_release(engine, mark);
    free(weight);
    return status;
}

/* A block's output at the last position before the word, the state that predicts it; or over the word itself, once it is read. */
static vg_status activations(const vg_window_sweep *sweep, const vg_entry *entry, int64_t index, float *values)
{
    const vg_device_ops *ops = sweep->device->ops;
    int64_t rows = sweep->batch->rows, width = sweep->width, layer = entry->layers[index], length = sweep->batch->length;
    const float *from = layer > sweep->layers ? sweep->tape->final : sweep->tape->layer[layer];
    bool last_alone = layer >= sweep->layers && !sweep->tape->everywhere; /* the causal cone of the last block */
    int64_t ld = last_alone ? width : length * width;
    if (entry->at_word && entry->reduce == VG_REDUCE_MEAN)
        VG_TRY(mean_over_word(sweep, from));
    else
        VG_TRY(ops->copy(sweep->device, sweep->product, width, from + ld - width, ld, rows, width));
    return ops->down(sweep->device, values, sweep->product, (size_t)(rows * width) * sizeof(float));
}

/* tape->attention is (groups, kv_heads, members, repeats, keys): the row of (b, h) there. */
static int64_t attention_row(const vg_model_shape *shape, const vg_batch *batch, int64_t b, int64_t h)
{
    int64_t repeats = shape->heads / shape->kv_heads, group = b / batch->members, member = b % batch->members;
    return ((group * shape->kv_heads + h / repeats) * batch->members + member) * repeats + h % repeats;
}

/* Offsets of the words' keys in such a matrix. */
static vg_status attention_segments(const vg_window_sweep *sweep, const vg_model_shape *shape, int32_t **segment)
{
    const vg_batch *batch = sweep->batch;
    int64_t k = sweep->words, keys = batch->prefix + batch->length, count = batch->rows * shape->heads;
    VG_TRY(VG_NEW(segment, count * (k + 2) + 1, "segments"));
    for (int64_t i = 0; i < count; i++) {
        int64_t b = i / shape->heads, row = attention_row(shape, batch, b, i % shape->heads);
        const int32_t *own = batch->segment + b * (k + 2);
        int32_t *to = *segment + row * (k + 2);
        to[0] = (int32_t)(row * keys);
        for (int64_t j = 1; j < k + 2; j++)
            to[j] = (int32_t)(row * keys + batch->prefix + own[j] - b * batch->length);
    }
    (*segment)[count * (k + 2)] = (int32_t)(count * keys);
    return VG_OK;
}

/* Attention weight from the last position to each word, summed over its tokens, of every layer and head. */
static vg_status attention(const vg_window_sweep *sweep, const vg_entry *entry, int64_t index, float *values)
{
    const vg_device_ops *ops = sweep->device->ops;
    const vg_model_shape *shape = vg_model_get_shape(sweep->attribution->model);
    const vg_batch *batch = sweep->batch;
    int64_t heads = shape->heads, k = sweep->words, count = batch->rows * heads * (k + 2);
    vg_arena *arena = vg_engine_arena(sweep->attribution->engine);
    vg_mark mark = vg_engine_mark(sweep->attribution->engine);
    int32_t *segment = NULL, *there;
    float *host = NULL, *reduced;
    (void)index;
    vg_status status;
    VG_GO(attention_segments(sweep, shape, &segment));
    VG_GO(VG_NEW(&host, count, "attention weights"));
    VG_GO(VG_TAKE(arena, &there, count + 1, "segments"));
    VG_GO(VG_TAKE(arena, &reduced, count, "segments"));
    VG_GO(ops->up(sweep->device, there, segment, (size_t)(count + 1) * sizeof *segment));
    for (int64_t l = 0; l < sweep->layers; l++) {
        VG_GO(ops->reduce(sweep->device, VG_SUM, count, there, 1, sweep->tape->attention[l], NULL, reduced));
        VG_GO(ops->down(sweep->device, host, reduced, (size_t)count * sizeof *host));
        for (int64_t b = 0; b < batch->rows; b++)
            for (int64_t h = 0; h < heads; h++)
                memcpy(values + ((b * sweep->layers + l) * heads + h) * k, host + attention_row(shape, batch, b, h) * (k + 2) + 1,
                       (size_t)k * sizeof *host);
    }
    for (int64_t i = 0; entry->reduce == VG_REDUCE_MEAN && i < batch->rows * sweep->layers * heads * k; i++) {
        const int32_t *own = batch->segment + i / (sweep->layers * heads * k) * (k + 2) + 1 + i % k;
        values[i] /= (float)(own[1] > own[0] ? own[1] - own[0] : 1);
    }
done:
    vg_engine_release(sweep->attribution->engine, mark);
    free(segment);
    free(host);
    return status;
}

/* ---- of the prediction -------------------------------------------------------------------------------------------------------- */

static vg_status of_prediction(const vg_window_sweep *sweep, vg_target_kind kind, float *values)
{
    const vg_device_ops *ops = sweep->device->ops;
    vg_engine *engine = sweep->attribution->engine;
    int64_t rows = sweep->batch->rows, vocabulary = vg_model_get_shape(sweep->attribution->model)->vocabulary;
    vg_mark mark = vg_engine_mark(engine);
    double *f, *host = NULL;
    vg_status status;
    VG_GO(VG_NEW(&host, rows, "targets"));
    VG_GO(VG_TAKE(vg_engine_arena(engine), &f, rows, "targets"));
    VG_GO(ops->copy(sweep->device, sweep->logits, vocabulary, sweep->tape->logits, vocabulary, rows, vocabulary));
    VG_GO(ops->target(sweep->device, kind, rows, vocabulary, sweep->logits, sweep->token, NULL, false, f));
    VG_GO(ops->down(sweep->device, host, f, (size_t)rows * sizeof *host));
    for (int64_t b = rows - 1; b >= 0; b--) { /* a word's parts add up in the row of its first */
        values[b] = (float)host[b];
        if (kind == VG_TARGET_SURPRISAL && b + 1 < rows && !sweep->batch->spare[b + 1] &&
            sweep->batch->windows[b + 1].word == sweep->batch->windows[b].word)
            values[b] += values[b + 1];
    }
done:
    vg_engine_release(engine, mark);
    free(host);
    return status;
}

/* -log2 p of the target, summed over the word's tokens where the target is the whole word. */
static vg_status surprisal(const vg_window_sweep *sweep, const vg_entry *entry, int64_t index, float *values)
{
    (void)entry, (void)index;
    return of_prediction(sweep, VG_TARGET_SURPRISAL, values);
}

/* Of the model's distribution over the next token, in bits. */
static vg_status entropy(const vg_window_sweep *sweep, const vg_entry *entry, int64_t index, float *values)
{
    (void)entry, (void)index;
    return of_prediction(sweep, VG_TARGET_ENTROPY, values);
}

/* ---- the table ------------------------------------------------------------------------------------------------------------------ */

static const vg_space spaces[] = {
    {"gradient_norm", .gradient = true, .reduces = "sum mean l2", .signed_scores = true, .sees_target = true, .read = gradient_norm},
    {"gradient_x_input", .gradient = true, .reduces = "l2 l1 sum mean", .signed_scores = true, .sees_target = true,
     .read = gradient_x_input},
    {"integrated_gradients", .sweep = VG_SWEEP_PATH, .reduces = "sum mean", .signed_scores = true, .sees_target = true,
     .size = vg_scores_size, .integrand = vg_scores_integrand},
    {"erasure", .sweep = VG_SWEEP_ERASURE, .signed_scores = true, .sees_target = true},
    {"attention", .columns = VG_COLUMNS_HEADS, .reduces = "sum mean", .read = attention},
    {"activations", .columns = VG_COLUMNS_UNITS, .layered = true, .final_layer = true, .reduces = "last mean", .read = activations},
    {"layer_conductance", .sweep = VG_SWEEP_PATH, .columns = VG_COLUMNS_UNITS, .layered = true, .sees_target = true,
     .size = vg_conductance_size, .integrand = vg_conductance_integrand},
    {"layer_influence", .sweep = VG_SWEEP_PATH, .columns = VG_COLUMNS_LAYERS, .sees_target = true, .size = vg_influence_size,
     .integrand = vg_influence_integrand, .finish = vg_influence_finish},
    {"surprisal", .columns = VG_COLUMNS_NAMED, .names = "bits", .sees_target = true, .read = surprisal},
    {"entropy", .columns = VG_COLUMNS_NAMED, .names = "bits", .read = entropy},
    {"rate_length", .sweep = VG_SWEEP_HOST, .columns = VG_COLUMNS_NAMED, .names = "words per second|characters|tokens", .sees_word = true,
     .describe = vg_describe_rate_length},
    {"position", .sweep = VG_SWEEP_HOST, .columns = VG_COLUMNS_NAMED, .names = "in story|in sentence", .sees_word = true,
     .describe = vg_describe_position},
    {"static", .sweep = VG_SWEEP_HOST, .columns = VG_COLUMNS_UNITS, .reduces = "mean sum", .sees_word = true,
     .describe = vg_describe_static},
    {"random", .sweep = VG_SWEEP_HOST, .columns = VG_COLUMNS_UNITS, .describe = vg_describe_random},
};

enum { SPACES = sizeof spaces / sizeof *spaces };

const vg_space *vg_space_find(const char *method)
{
    for (int i = 0; i < SPACES; i++)
        if (strcmp(spaces[i].method, method) == 0)
            return &spaces[i];
    return NULL;
}

const char *const *vg_space_methods(void)
{
    static const char *methods[SPACES + 1];
    for (int i = 0; i < SPACES; i++)
        methods[i] = spaces[i].method;
    return methods;
}

bool vg_space_scores_words(const char *method, bool by_word)
{
    const vg_space *space = vg_space_find(method);
    bool may_be = space != NULL && strcmp(method, "layer_conductance") == 0;
    return space != NULL && (space->columns == VG_COLUMNS_WORDS || (may_be && by_word));
}
