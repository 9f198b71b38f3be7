/* weights: puts the weights on the device, as the engine reads them: every matrix (out, in), queries, keys and values in one. One walk over
 * the tensors that config and family call for serves to check the files (all of them before any work), to load, and to draw random
 * weights. Where memory does not hold all blocks in float32 they share one place, and the walk over a block is taken again before each run
 * of it. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "model.h"

/* ---- where the weights lie ------------------------------------------------------------------------------------------ */

static vg_status take_linear(vg_arena *arena, vg_linear *linear, int64_t in, int64_t out, bool bias)
{
    *linear = (vg_linear){.in = in, .out = out};
    VG_TRY(VG_TAKE(arena, &linear->weight, in * out, "weights"));
    return bias ? VG_TAKE(arena, &linear->bias, out, "weights") : VG_OK;
}

static vg_status take_norm(vg_arena *arena, const vg_config *config, vg_norm_weights *norm)
{
    VG_TRY(VG_TAKE(arena, &norm->weight, config->shape.width, "weights"));
    return config->shape.norm == VG_LAYER_NORM ? VG_TAKE(arena, &norm->bias, config->shape.width, "weights") : VG_OK;
}

static vg_status take_block(vg_arena *arena, const vg_config *config, vg_block *block)
{
    const vg_model_shape *shape = &config->shape;
    int64_t width = shape->width, mlp = shape->mlp_width, attention = shape->heads * shape->head_size;
    unsigned biases = config->biases, qkv = VG_BIT(VG_QUERY) | VG_BIT(VG_KEY) | VG_BIT(VG_VALUE) | VG_BIT(VG_QKV);
    *block = (vg_block){0};
    VG_TRY(take_norm(arena, config, &block->norm1));
    if (config->blocks != VG_PARALLEL)
        VG_TRY(take_norm(arena, config, &block->norm2));
    VG_TRY(take_linear(arena, &block->qkv, width, (shape->heads + 2 * shape->kv_heads) * shape->head_size, biases & qkv));
    VG_TRY(take_linear(arena, &block->out, attention, width, biases & VG_BIT(VG_OUT)));
    if (config->gated)
        VG_TRY(take_linear(arena, &block->gate, width, mlp, biases & VG_BIT(VG_GATE)));
    VG_TRY(take_linear(arena, &block->up, width, mlp, biases & VG_BIT(VG_UP)));
    return take_linear(arena, &block->down, mlp, width, biases & VG_BIT(VG_DOWN));
}

vg_status vg_weights_take(vg_model *model, vg_arena *arena)
{
    const vg_config *config = &model->config;
    const vg_model_shape *shape = &config->shape;
    VG_TRY(VG_TAKE(arena, &model->embedding, shape->vocabulary * shape->width, "weights"));
    if (shape->learned_positions)
        VG_TRY(VG_TAKE(arena, &model->position, shape->positions * shape->width, "weights"));
    size_t begin = arena->used;
    for (int64_t l = 0; l < shape->layers; l++) {
        if (l > 0 && model->stream != NULL)
            arena->used = begin;
        size_t before = arena->used;
        VG_TRY(take_block(arena, config, &model->blocks[l]));
        model->stride = (int64_t)((arena->used - before) / sizeof(float));
    }
    model->before = (int64_t)(begin / sizeof(float));
    VG_TRY(take_norm(arena, config, &model->final_norm));
    model->head = (vg_linear){.in = shape->width, .out = shape->vocabulary, .weight = model->embedding};
    if (!config->tied)
        VG_TRY(VG_TAKE(arena, &model->head.weight, shape->vocabulary * shape->width, "weights"));
    if (config->biases & VG_BIT(VG_HEAD))
        VG_TRY(VG_TAKE(arena, &model->head.bias, shape->vocabulary, "weights"));
    VG_TRY(VG_TAKE(arena, &model->cosine, shape->positions * (config->rotary / 2), "angles"));
    return VG_TAKE(arena, &model->sine, shape->positions * (config->rotary / 2), "angles");
}

/* ---- the walk over the tensors that must be there ------------------------------------------------------------------ */

typedef struct {
    char name[160];
    int64_t layer; /* -1: of no block */
    vg_role role;
    bool is_bias;
    int64_t rows, columns; /* as the engine has it; a vector is one column */
    float *place;          /* device */
} vg_slot;

typedef vg_status (*visitor)(void *context, const vg_slot *slot);

typedef struct {
    const vg_model *model;
    const char *prefix; /* the family's, or "" */
    visitor visit;
    void *context;
} walk;

static vg_status visit_one(const walk *w, vg_role role, int64_t layer, bool is_bias, int64_t rows, int64_t columns, float *place)
{
    const vg_family *family = w->model->config.family;
    vg_slot slot = {.layer = layer, .role = role, .is_bias = is_bias, .rows = rows, .columns = columns};
    char block[32] = "";
    if (place == NULL)
        return VG_OK;
    slot.place = place;
    if (layer >= 0) {
        const char *number = strstr(family->block, "%d");
        snprintf(block, sizeof block, "%.*s%lld%s", (int)(number - family->block), family->block, (long long)layer, number + 2);
    }
    snprintf(slot.name, sizeof slot.name, "%s%s%s.%s", role == VG_HEAD ? "" : w->prefix, block, family->tensors[role],
             is_bias ? "bias" : "weight");
    return w->visit(w->context, &slot);
}

/* Weight and bias of rows first .. first + rows - 1 of a linear map. */
static vg_status visit_linear(const walk *w, vg_role role, int64_t layer, const vg_linear *linear, int64_t first, int64_t rows)
{
    VG_TRY(visit_one(w, role, layer, false, rows, linear->in, linear->weight != NULL ? linear->weight + first * linear->in : NULL));
    return visit_one(w, role, layer, true, rows, 1,
                     linear->bias != NULL && (w->model->config.biases & VG_BIT(role)) ? linear->bias + first : NULL);
}

static vg_status visit_norm(const walk *w, vg_role role, int64_t layer, const vg_norm_weights *norm)
{
    VG_TRY(visit_one(w, role, layer, false, w->model->config.shape.width, 1, norm->weight));
    return visit_one(w, role, layer, true, w->model->config.shape.width, 1, norm->bias);
}

static vg_status visit_block(const walk *w, int64_t l)
{
    const vg_block *block = &w->model->blocks[l];
    const vg_model_shape *shape = &w->model->config.shape;
    int64_t queries = shape->heads * shape->head_size, keys = shape->kv_heads * shape->head_size;
    VG_TRY(visit_norm(w, VG_NORM1, l, &block->norm1));
    VG_TRY(visit_norm(w, VG_NORM2, l, &block->norm2));
    if (w->model->config.family->tensors[VG_QKV] != NULL) {
        VG_TRY(visit_linear(w, VG_QKV, l, &block->qkv, 0, block->qkv.out));
    } else {
        VG_TRY(visit_linear(w, VG_QUERY, l, &block->qkv, 0, queries));
        VG_TRY(visit_linear(w, VG_KEY, l, &block->qkv, queries, keys));
        VG_TRY(visit_linear(w, VG_VALUE, l, &block->qkv, queries + keys, keys));
    }
    VG_TRY(visit_linear(w, VG_OUT, l, &block->out, 0, block->out.out));
    VG_TRY(visit_linear(w, VG_GATE, l, &block->gate, 0, block->gate.out));
    VG_TRY(visit_linear(w, VG_UP, l, &block->up, 0, block->up.out));
    return visit_linear(w, VG_DOWN, l, &block->down, 0, block->down.out);
}

static vg_status visit_all(const walk *w)
{
    const vg_model *model = w->model;
    const vg_model_shape *shape = &model->config.shape;
    VG_TRY(visit_one(w, VG_EMBEDDING, -1, false, shape->vocabulary, shape->width, model->embedding));
    VG_TRY(visit_one(w, VG_POSITION, -1, false, shape->positions, shape->width, model->position));
    for (int64_t l = 0; l < shape->layers && model->stream == NULL; l++) /* else vg_model_bring does, one by one */
        VG_TRY(visit_block(w, l));
    VG_TRY(visit_norm(w, VG_FINAL_NORM, -1, &model->final_norm));
    VG_TRY(visit_one(w, VG_HEAD, -1, false, shape->vocabulary, shape->width, model->config.tied ? NULL : model->head.weight));
    return visit_one(w, VG_HEAD, -1, true, shape->vocabulary, 1, model->head.bias);
}

/* ---- checking the files against it ---------------------------------------------------------------------------------- */

typedef struct {
    const vg_tensors *tensors;
    const vg_config *config;
    const char *folder;
    bool *used;
} check;

static bool is_norm(const vg_slot *slot)
{
    return slot->role == VG_NORM1 || slot->role == VG_NORM2 || slot->role == VG_FINAL_NORM;
}

static bool is_transposed(const vg_config *config, const vg_slot *slot)
{
    return config->family->transposed && slot->role > VG_NORM2 && !slot->is_bias;
}

static vg_status check_slot(void *context, const vg_slot *slot)
{
    check *c = context;
    const vg_tensor *tensor = vg_tensors_find(c->tensors, slot->name);
    int64_t expected[2] = {slot->rows, slot->columns};
    int dimensions = slot->is_bias || is_norm(slot) ? 1 : 2;
    if (is_transposed(c->config, slot)) {
        expected[0] = slot->columns;
        expected[1] = slot->rows;
    }
    if (tensor == NULL)
        return vg_fail(VG_INVALID, "%s: tensor \"%s\" %s is missing", c->folder, slot->name, vg_shape_text(dimensions, expected));
    if (tensor->dimensions != dimensions || memcmp(tensor->shape, expected, (size_t)dimensions * sizeof *expected) != 0)
        return vg_fail(VG_INVALID, "%s: tensor \"%s\" has shape %s; the config calls for %s", tensor->path, slot->name,
                       vg_shape_text(tensor->dimensions, tensor->shape), vg_shape_text(dimensions, expected));
    if (tensor->type == VG_TENSOR_OTHER)
        return vg_fail(VG_INVALID, "%s: tensor \"%s\": dtype %s is not supported; F32, F16 and BF16 are", tensor->path, slot->name,
                       tensor->type_name);
    c->used[tensor - c->tensors->tensors] = true;
    return VG_OK;
}

static bool may_be_ignored(const vg_config *config, const char *name)
{
    size_t length = strlen(name);
    for (size_t i = 0; i < sizeof config->family->ignored / sizeof *config->family->ignored && config->family->ignored[i] != NULL; i++) {
        size_t end = strlen(config->family->ignored[i]);
        if (length >= end && strcmp(name + length - end, config->family->ignored[i]) == 0)
            return true;
    }
    const char *head = config->family->tensors[VG_HEAD];
    return config->tied && strncmp(name, head, strlen(head)) == 0 && strcmp(name + strlen(head), ".weight") == 0;
}

static vg_status check_used(const vg_model *model, const check *c)
{
    for (int64_t i = 0; i < c->tensors->count; i++) {
        const vg_tensor *tensor = &c->tensors->tensors[i];
        if (!c->used[i] && !may_be_ignored(&model->config, tensor->name))
            return vg_fail(VG_INVALID, "%s: tensor \"%s\" %s is not one of a %s model as the config describes it", tensor->path,
                           tensor->name, vg_shape_text(tensor->dimensions, tensor->shape), model->config.family->name);
    }
    return VG_OK;
}

vg_status vg_weights_check(const vg_model *model, const char *folder, const char *prefix, const vg_tensors *tensors)
{
    check c = {.tensors = tensors, .config = &model->config, .folder = folder};
    walk w = {.model = model, .prefix = prefix, .visit = check_slot, .context = &c};
    VG_TRY(VG_NEW(&c.used, tensors->count, "marks of tensors"));
    vg_status status = visit_all(&w);
    if (status == VG_OK)
        status = check_used(model, &c);
    free(c.used);
    return status;
}

/* ---- loading and drawing ----------------------------------------------------------------------------------------------- */

typedef struct {
    const vg_model *model;
    const vg_tensors *tensors;
    float *values, *turned; /* host: room for the largest tensor, twice */
    uint64_t seed;
} load;

/* Row of the file that becomes the engine's row r: queries, keys and values of each head together in the file, apart in the engine. */
static int64_t row_by_head(const vg_model_shape *shape, int64_t r)
{
    int64_t part = r / (shape->heads * shape->head_size), within = r % (shape->heads * shape->head_size);
    return (within / shape->head_size * 3 + part) * shape->head_size + within % shape->head_size;
}

static const float *turn(const load *to, const vg_slot *slot)
{
    const vg_config *config = &to->model->config;
    if (is_transposed(config, slot)) {
        for (int64_t r = 0; r < slot->rows; r++)
            for (int64_t c = 0; c < slot->columns; c++)
                to->turned[r * slot->columns + c] = to->values[c * slot->rows + r];
        return to->turned;
    }
    if (slot->role == VG_QKV && config->family->qkv == VG_BY_HEAD) {
        for (int64_t r = 0; r < slot->rows; r++)
            memcpy(to->turned + r * slot->columns, to->values + row_by_head(&config->shape, r) * slot->columns,
                   (size_t)slot->columns * sizeof(float));
        return to->turned;
    }
    return to->values;
}

static vg_status put(const load *to, const vg_slot *slot, const float *values)
{
    size_t bytes = (size_t)(slot->rows * slot->columns) * sizeof(float);
    if (slot->role == VG_EMBEDDING && !to->model->device->host)
        memcpy(to->model->host_embedding, values, bytes);
    return to->model->device->ops->up(to->model->device, slot->place, values, bytes);
}

static vg_status load_slot(void *context, const vg_slot *slot)
{
    const load *to = context;
    VG_TRY(vg_tensor_read(vg_tensors_find(to->tensors, slot->name), to->values));
    vg_tensors_forget(to->tensors);
    return put(to, slot, turn(to, slot));
}

/* Where the tensor would begin if every block had its own place: its numbers are drawn for that. */
static uint64_t number_of(const vg_model *model, const vg_slot *slot)
{
    int64_t place = slot->place - model->memory, shared = 0;
    if (model->stream != NULL && place >= model->before)
        shared = slot->layer >= 0 ? slot->layer : model->config.shape.layers - 1;
    return (uint64_t)(place + shared * model->stride);
}

static vg_status draw_slot(void *context, const vg_slot *slot)
{
    const load *to = context;
    uint64_t first = number_of(to->model, slot);
    int64_t count = slot->rows * slot->columns;
    double scale = slot->is_bias || is_norm(slot) ? 0.0 : to->model->config.initializer_range;
    float mean = is_norm(slot) && !slot->is_bias ? 1.0f : 0.0f;
#pragma omp parallel for schedule(static)
    for (int64_t i = 0; i < count; i++)
        to->values[i] = scale > 0.0 ? (float)(scale * vg_random_normal(to->seed, VG_RANDOM_WEIGHTS, first + (uint64_t)i)) : mean;
    return put(to, slot, to->values);
}

static vg_status put_angles(const vg_model *model)
{
    const vg_config *config = &model->config;
    int64_t half = config->rotary / 2, count = config->shape.positions * half;
    double *frequency = NULL;
    float *cosine = NULL, *sine = NULL;
    vg_status status;
    VG_GO(VG_NEW(&frequency, half, "rotary frequencies"));
    VG_GO(VG_NEW(&cosine, count, "cosines"));
    VG_GO(VG_NEW(&sine, count, "sines"));
    vg_rotary_frequencies(config, frequency);
    for (int64_t i = 0; i < count; i++) {
        int64_t position = i / half;
        cosine[i] = (float)cos((double)position * frequency[i % half]);
        sine[i] = (float)sin((double)position * frequency[i % half]);
    }
    VG_GO(model->device->ops->up(model->device, model->cosine, cosine, (size_t)count * sizeof(float)));
    VG_GO(model->device->ops->up(model->device, model->sine, sine, (size_t)count * sizeof(float)));
done:
    free(frequency);
    free(cosine);
    free(sine);
    return status;
}

/* Whether the family keeps tensors otherwise than the engine reads them. */
static bool turns(const vg_model *model)
{
    return model->config.family->transposed || model->config.family->qkv == VG_BY_HEAD;
}

static vg_status count_largest(void *context, const vg_slot *slot)
{
    int64_t *largest = context;
    *largest = slot->rows * slot->columns > *largest ? slot->rows * slot->columns : *largest;
    return VG_OK;
}

vg_status vg_weights_fill(const vg_model *model, const char *prefix, const vg_tensors *tensors, uint64_t seed)
{
    int64_t largest = 0;
    load to = {.model = model, .tensors = tensors, .seed = seed};
    walk counting = {.model = model, .prefix = prefix, .visit = count_largest, .context = &largest};
    walk filling = {.model = model, .prefix = prefix, .visit = tensors != NULL ? load_slot : draw_slot, .context = &to};
    vg_status status;
    VG_GO(visit_all(&counting));
    VG_GO(VG_NEW(&to.values, largest, "weights of one tensor"));
    VG_GO(VG_NEW(&to.turned, turns(model) ? largest : 0, "weights of one tensor"));
    VG_GO(visit_all(&filling));
    VG_GO(put_angles(model));
    VG_GO(model->device->ops->sync(model->device));
done:
    free(to.values);
    free(to.turned);
    return status;
}

/* ---- a block at a time --------------------------------------------------------------------------------------------------- */

vg_status vg_weights_stream(vg_model *model)
{
    int64_t largest = 0;
    walk counting = {.model = model, .prefix = "", .visit = count_largest, .context = &largest};
    VG_TRY(visit_block(&counting, 0));
    VG_TRY(VG_NEW(&model->stream->values, largest, "weights of one tensor"));
    VG_TRY(VG_NEW(&model->stream->turned, turns(model) ? largest : 0, "weights of one tensor"));
    model->bytes += (size_t)largest * sizeof(float) * (turns(model) ? 2 : 1);
    return VG_OK;
}

vg_status vg_model_bring(const vg_model *model, int64_t l)
{
    vg_stream *stream = model->stream;
    if (stream == NULL || stream->held == l)
        return VG_OK;
    load to = {.model = model, .tensors = &stream->tensors, .seed = stream->seed, .values = stream->values, .turned = stream->turned};
    walk filling = {.model = model, .prefix = stream->prefix, .visit = stream->random ? draw_slot : load_slot, .context = &to};
    stream->held = -1;
    VG_TRY(visit_block(&filling, l));
    stream->held = l;
    return VG_OK;
}
