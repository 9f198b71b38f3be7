/* engine: the arena, and the calls that make a prefix, a tape, and the bytes they take (lm.h; letters: engine.h). What a call leaves
 * lives in the engine's memory in the order of the calls; a call that fails leaves nothing. */
#include <stdlib.h>
#include <string.h>

#include "engine.h"

vg_status vg_engine_own(vg_engine *engine, void **memory, int64_t count, size_t size)
{
    if (engine->owned_count == engine->owned_room) {
        size_t room = engine->owned_room > 0 ? 2 * engine->owned_room : 64;
        void **larger = realloc(engine->owned, room * sizeof *larger);
        if (larger == NULL) {
            vg_fail(VG_NO_MEMORY, "no memory for the engine's lists");
            return VG_NO_MEMORY;
        }
        engine->owned = larger;
        engine->owned_room = room;
    }
    void *piece;
    VG_TRY(vg_allocate(&piece, count, size, "a batch"));
    engine->owned[engine->owned_count++] = piece;
    *memory = piece;
    return VG_OK;
}

vg_status vg_product(vg_engine *engine, vg_extents size, vg_factor a, vg_factor b, double scale, float *c, int64_t ldc, int64_t stride)
{
    vg_gemm g = {
        .precision = engine->model->precision, .transpose_a = a.transposed, .transpose_b = b.transposed, .alpha = 1.0, .beta = scale};
    g.batch = size.batch, g.m = size.m, g.n = size.n, g.k = size.k;
    g.a = a.data, g.lda = a.ld, g.stride_a = a.stride;
    g.b = b.data, g.ldb = b.ld, g.stride_b = b.stride;
    g.c = c, g.ldc = ldc, g.stride_c = stride;
    if (engine->paper)
        engine->flops += 2.0 * (double)g.m * (double)g.n * (double)g.k * (double)g.batch;
    VG_RUN(engine, gemm, &g);
    return VG_OK;
}

vg_status vg_engine_create(vg_model *model, size_t bytes, vg_engine **made)
{
    vg_engine *engine;
    VG_TRY(VG_NEW(&engine, 1, "engine"));
    *engine = (vg_engine){.model = model, .device = model->device};
    vg_status status = vg_device_allocate(model->device, &engine->arena.memory, (int64_t)(bytes < PTRDIFF_MAX ? bytes : PTRDIFF_MAX), 1);
    engine->arena.size = bytes;
    *(void **)&engine->arena.fence = vg_device_symbol(model->device, VG_DEVICE_FENCE);
    if (engine->arena.fence != NULL && status == VG_OK)
        engine->arena.fence(engine->arena.memory, 0, bytes);
    if (status != VG_OK) {
        vg_engine_free(engine);
        engine = NULL;
    }
    *made = engine;
    return status;
}

void vg_engine_free(vg_engine *engine)
{
    if (engine == NULL)
        return;
    vg_engine_reset(engine);
    if (!engine->paper && engine->arena.memory != NULL)
        engine->device->ops->free(engine->device, engine->arena.memory);
    free(engine->owned);
    free(engine);
}

vg_arena *vg_engine_arena(vg_engine *engine)
{
    return &engine->arena;
}

vg_mark vg_engine_mark(const vg_engine *engine)
{
    return (vg_mark){.device = engine->arena.used, .host = engine->owned_count};
}

void vg_engine_release(vg_engine *engine, vg_mark mark)
{
    vg_arena_release(&engine->arena, mark.device);
    while (engine->owned_count > mark.host)
        free(engine->owned[--engine->owned_count]);
}

void vg_engine_reset(vg_engine *engine)
{
    vg_engine_release(engine, (vg_mark){0});
}

/* ---- prefix ---------------------------------------------------------------------------------------------------------- */

/* Blocks of a prefix need no more than two residuals at a time, unless their inputs are kept. */
static vg_status run_prefix(vg_engine *engine, const vg_rows *rows, bool keep, vg_prefix *prefix)
{
    const vg_model_shape *shape = &engine->model->config.shape;
    size_t mark = engine->arena.used;
    float **layer;
    VG_TRY(vg_pass_begin(engine, rows, 0, keep, &prefix->pass));
    VG_TRY(VG_OWN(engine, &layer, shape->layers + 1));
    for (int64_t l = 0; l < shape->layers; l++) {
        layer[l] = l >= 2 ? layer[l - 2] : NULL;
        if (keep || l < 2)
            VG_TRY(VG_TAKE(&engine->arena, &layer[l], prefix->pass->B * prefix->pass->S * shape->width, "residual"));
    }
    VG_TRY(vg_pass_embed(engine, prefix->pass, rows, layer[0]));
    VG_TRY(vg_pass_forward(engine, prefix->pass, layer, NULL, prefix));
    if (!keep)
        vg_arena_release(&engine->arena, mark);
    return VG_OK;
}

static vg_status make_prefix(vg_engine *engine, const vg_rows *rows, bool keep, vg_prefix **made)
{
    const vg_model_shape *shape = &engine->model->config.shape;
    vg_prefix *prefix = NULL;
    if (rows->members != 1 || (rows->prefix != NULL && (rows->start != NULL || rows->seen != NULL)))
        return vg_fail(VG_DEFECT, "engine: a prefix has one row a group, and neither padding nor gaps behind another prefix");
    VG_TRY(VG_OWN(engine, &prefix, 1));
    *prefix = (vg_prefix){.groups = rows->groups, .length = rows->length + (rows->prefix != NULL ? rows->prefix->length : 0), .kept = keep};
    VG_TRY(VG_OWN(engine, &prefix->start, rows->groups));
    for (int64_t g = 0; g < rows->groups; g++)
        prefix->start[g] = rows->prefix != NULL ? rows->prefix->start[g] : rows->start != NULL ? rows->start[g] : 0;
    VG_TRY(VG_OWN(engine, &prefix->key, shape->layers));
    VG_TRY(VG_OWN(engine, &prefix->value, shape->layers));
    int64_t count = prefix->groups * shape->kv_heads * prefix->length * shape->head_size;
    for (int64_t l = 0; l < shape->layers; l++) {
        VG_TRY(VG_TAKE(&engine->arena, &prefix->key[l], count, "keys of a prefix"));
        VG_TRY(VG_TAKE(&engine->arena, &prefix->value[l], count, "values of a prefix"));
    }
    *made = prefix;
    return run_prefix(engine, rows, keep, prefix);
}

vg_status vg_engine_prefix(vg_engine *engine, const vg_rows *rows, bool keep, vg_prefix **prefix)
{
    vg_mark mark = vg_engine_mark(engine);
    vg_status status = make_prefix(engine, rows, keep, prefix);
    if (status != VG_OK)
        vg_engine_release(engine, mark);
    return status;
}

vg_status vg_engine_prefix_group(vg_engine *engine, const vg_prefix *whole, int64_t group, vg_prefix **one)
{
    const vg_model_shape *shape = &engine->model->config.shape;
    int64_t offset = group * shape->kv_heads * whole->length * shape->head_size;
    VG_TRY(VG_OWN(engine, one, 1));
    **one = (vg_prefix){.groups = 1, .length = whole->length, .start = whole->start + group};
    VG_TRY(VG_OWN(engine, &(*one)->key, shape->layers));
    VG_TRY(VG_OWN(engine, &(*one)->value, shape->layers));
    for (int64_t l = 0; l < shape->layers; l++) {
        (*one)->key[l] = whole->key[l] + offset;
        (*one)->value[l] = whole->value[l] + offset;
    }
    return VG_OK;
}

/* ---- forward --------------------------------------------------------------------------------------------------------- */

static vg_status take_layers(vg_engine *engine, vg_tape *tape, int64_t B, int64_t Q)
{
    const vg_model_shape *shape = &engine->model->config.shape;
    VG_TRY(VG_OWN(engine, &tape->layer, shape->layers + 1));
    VG_TRY(VG_OWN(engine, &tape->attention, shape->layers));
    for (int64_t l = 0; l <= shape->layers; l++)
        VG_TRY(VG_TAKE(&engine->arena, &tape->layer[l], B * (l < shape->layers ? tape->length : Q) * shape->width, "residual"));
    for (int64_t l = 0; l < shape->layers; l++)
        VG_TRY(VG_TAKE(&engine->arena, &tape->attention[l], B * shape->heads * (tape->prefix + tape->length), "attention weights"));
    VG_TRY(VG_TAKE(&engine->arena, &tape->final, B * Q * shape->width, "final residual"));
    return VG_TAKE(&engine->arena, &tape->logits, B * Q * shape->vocabulary, "logits");
}

static vg_status make_tape(vg_engine *engine, const vg_rows *rows, bool keep, bool everywhere, vg_tape **made)
{
    const vg_model *model = engine->model;
    const vg_model_shape *shape = &model->config.shape;
    int64_t Q = everywhere ? rows->length : 1;
    vg_pass *pass = NULL;
    vg_tape *tape = NULL;
    VG_TRY(VG_OWN(engine, &tape, 1));
    *made = tape;
    *tape = (vg_tape){.groups = rows->groups, .members = rows->members, .length = rows->length, .kept = keep, .everywhere = everywhere};
    VG_TRY(vg_pass_begin(engine, rows, Q, keep, &pass));
    tape->inner = pass;
    tape->prefix = pass->P;
    VG_TRY(take_layers(engine, tape, pass->B, Q));
    VG_TRY(vg_pass_embed(engine, pass, rows, tape->layer[0]));
    VG_TRY(vg_pass_forward(engine, pass, tape->layer, tape->attention, NULL));
    vg_view end = {tape->layer[shape->layers], pass->B * Q, shape->width}, final = {tape->final, pass->B * Q, shape->width};
    vg_norm norm = vg_pass_norm(engine, &model->final_norm, end);
    VG_RUN(engine, norm, &norm, end.data, final.data);
    return vg_linear_run(engine, &model->head, 0, shape->vocabulary, true, final, 0.0, tape->logits);
}

vg_status vg_engine_forward(vg_engine *engine, const vg_rows *rows, bool keep, bool everywhere, vg_tape **tape)
{
    vg_mark mark = vg_engine_mark(engine);
    vg_status status = make_tape(engine, rows, keep, everywhere, tape);
    if (status != VG_OK)
        vg_engine_release(engine, mark);
    return status;
}

/* ---- memory on paper --------------------------------------------------------------------------------------------------- */

static vg_status rehearse(vg_engine *engine, const vg_load *load)
{
    static const uint8_t some_mask;
    static const float somewhere;
    const uint8_t *mask = load->masked ? &some_mask : NULL;
    vg_rows before = {.groups = load->groups, .members = 1, .length = load->prefix, .hidden = mask, .silent = mask};
    vg_rows rows = {.groups = load->groups, .members = load->members, .length = load->length, .hidden = mask, .silent = mask};
    vg_prefix *prefix = NULL;
    vg_prefix_tangent *moved = NULL;
    vg_tape *tape;
    vg_cotangents cotangents;
    vg_tangents tangents;
    if (load->prefix > 0)
        VG_TRY(vg_engine_prefix(engine, &before, load->prefix_moves, &prefix));
    rows.prefix = prefix;
    VG_TRY(vg_engine_forward(engine, &rows, load->keep || load->vjp || load->directions > 0, load->everywhere, &tape));
    if (load->vjp)
        VG_TRY(vg_engine_vjp(engine, tape, &somewhere, load->from, load->layers, &cotangents));
    if (load->directions > 0 && load->prefix_moves && prefix != NULL)
        VG_TRY(vg_engine_prefix_jvp(engine, prefix, load->directions, &somewhere, &moved));
    if (load->directions > 0)
        VG_TRY(vg_engine_jvp(engine, tape, load->directions, &somewhere, moved, load->logits, &tangents));
    return VG_OK;
}

/* The load on paper: its bytes and the work of its products. */
static vg_status count(const vg_model *model, const vg_load *load, size_t *bytes, double *flops)
{
    vg_engine *engine;
    VG_TRY(VG_NEW(&engine, 1, "engine"));
    *engine = (vg_engine){.model = model, .device = model->device, .paper = true};
    engine->arena = (vg_arena){.memory = (void *)256, .size = PTRDIFF_MAX};
    vg_status status = rehearse(engine, load);
    *bytes = engine->arena.peak + load->others;
    *flops = engine->flops;
    vg_engine_free(engine);
    return status;
}

vg_status vg_engine_bytes(const vg_model *model, const vg_load *load, size_t *bytes)
{
    double flops;
    return count(model, load, bytes, &flops);
}

vg_status vg_engine_flops(const vg_model *model, const vg_load *load, double *flops)
{
    size_t bytes;
    return count(model, load, &bytes, flops);
}
