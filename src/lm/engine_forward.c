/* engine_forward: a batch through the blocks, and the products that all sweeps share (letters and layouts: engine.h).
 * The causal cone (attribution.md): in the last block only the last position has a query, an output projection and an MLP, in the last
 * block of a prefix nothing but keys and values is made. */
#include <math.h>

#include "engine.h"

vg_view vg_last(float *x, int64_t rows, int64_t positions, int64_t width, int64_t wanted)
{
    if (wanted == positions)
        return (vg_view){x, rows * positions, width};
    return (vg_view){x + (positions - 1) * width, rows, positions * width};
}

vg_status vg_linear_run(vg_engine *engine, const vg_linear *map, int64_t first, int64_t out, bool bias, vg_view x, double scale, float *y)
{
    const float *weight = map->weight + first * map->in;
    VG_TRY(vg_product(engine, (vg_extents){1, x.rows, out, map->in}, (vg_factor){x.data, x.ld, 0, false},
                      (vg_factor){weight, map->in, 0, true}, scale, y, out, 0));
    if (bias && map->bias != NULL)
        VG_RUN(engine, add_row, x.rows, out, map->bias + first, y);
    return VG_OK;
}

vg_status vg_linear_back(vg_engine *engine, const vg_linear *map, int64_t first, int64_t out, const float *dy, double scale, vg_view dx)
{
    const float *weight = map->weight + first * map->in;
    return vg_product(engine, (vg_extents){1, dx.rows, map->in, out}, (vg_factor){dy, out, 0, false},
                      (vg_factor){weight, map->in, 0, false}, scale, dx.data, dx.ld, 0);
}

vg_status vg_widen(vg_engine *engine, const vg_pass *pass, int64_t Q, const float *narrow, const float *own, const float *prefix,
                   double scale, float *wide)
{
    const vg_model_shape *shape = &engine->model->config.shape;
    int64_t D = shape->head_size, K = shape->kv_heads, P = pass->P, S = pass->S, keys = P + S, one = shape->heads / K * Q,
            all = pass->M * one;
    if (own != NULL)
        VG_TRY(vg_product(engine, (vg_extents){pass->B * K, one, S, D}, (vg_factor){narrow, D, one * D, false},
                          (vg_factor){own, D, S * D, true}, scale, wide + P, keys, one * keys));
    if (prefix != NULL && P > 0)
        VG_TRY(vg_product(engine, (vg_extents){pass->G * K, all, P, D}, (vg_factor){narrow, D, all * D, false},
                          (vg_factor){prefix, D, P * D, true}, scale, wide, keys, all * keys));
    return VG_OK;
}

vg_status vg_narrow(vg_engine *engine, const vg_pass *pass, int64_t Q, const float *wide, const float *own, const float *prefix,
                    double scale, float *narrow)
{
    const vg_model_shape *shape = &engine->model->config.shape;
    int64_t D = shape->head_size, K = shape->kv_heads, P = pass->P, S = pass->S, keys = P + S, one = shape->heads / K * Q,
            all = pass->M * one;
    if (own != NULL)
        VG_TRY(vg_product(engine, (vg_extents){pass->B * K, one, D, S}, (vg_factor){wide + P, keys, one * keys, false},
                          (vg_factor){own, D, S * D, false}, scale, narrow, D, one * D));
    if (prefix != NULL && P > 0)
        VG_TRY(vg_product(engine, (vg_extents){pass->G * K, all, D, P}, (vg_factor){wide, keys, all * keys, false},
                          (vg_factor){prefix, D, P * D, false}, own != NULL ? 1.0 : scale, narrow, D, all * D));
    return VG_OK;
}

vg_softmax vg_pass_softmax(const vg_engine *engine, const vg_pass *pass, int64_t Q)
{
    const vg_model_shape *shape = &engine->model->config.shape;
    return (vg_softmax){.groups = pass->G,
                        .kv_heads = shape->kv_heads,
                        .members = pass->M,
                        .repeats = shape->heads / shape->kv_heads,
                        .queries = Q,
                        .keys = pass->P + pass->S,
                        .scale = (float)(1.0 / sqrt((double)shape->head_size)),
                        .start = pass->start,
                        .hidden = pass->hidden};
}

vg_norm vg_pass_norm(const vg_engine *engine, const vg_norm_weights *weights, vg_view x)
{
    const vg_model_shape *shape = &engine->model->config.shape;
    return (vg_norm){.kind = shape->norm,
                     .eps = shape->norm_eps,
                     .rows = x.rows,
                     .columns = shape->width,
                     .ldx = x.ld,
                     .ldy = shape->width,
                     .weight = weights->weight,
                     .bias = weights->bias};
}

/* ---- one block ------------------------------------------------------------------------------------------------------- */

static vg_status turn(vg_engine *engine, const int32_t *position, int64_t rows, int64_t heads, float *x, int64_t ld)
{
    const vg_config *config = &engine->model->config;
    if (config->rotary > 0)
        VG_RUN(engine, rotate, rows, heads, config->shape.head_size, config->rotary / 2, position, engine->model->cosine,
               engine->model->sine, 1.0f, x, ld);
    return VG_OK;
}

/* Queries, keys and values of every position, in one product. */
static vg_status project_all(vg_engine *engine, const vg_pass *pass, const vg_block *block, float *normed, vg_block_tape *tape)
{
    const vg_model_shape *shape = &engine->model->config.shape;
    int64_t rows = pass->B * pass->S, D = shape->head_size, out = block->qkv.out;
    float *together;
    VG_TRY(VG_TAKE(&engine->arena, &together, rows * out, "queries, keys and values"));
    VG_TRY(vg_linear_run(engine, &block->qkv, 0, out, true, (vg_view){normed, rows, shape->width}, 0.0, together));
    VG_TRY(turn(engine, pass->position, rows, shape->heads + shape->kv_heads, together, out));
    VG_RUN(engine, gather_rows, pass->all.count, D, together, D, pass->all.apart, tape->query, D);
    return VG_OK;
}

/* Keys and values of every position, the query of the last one (none where the block has no queries). */
static vg_status project_last(vg_engine *engine, const vg_pass *pass, const vg_block *block, float *normed, vg_block_tape *tape)
{
    const vg_model_shape *shape = &engine->model->config.shape;
    int64_t rows = pass->B * pass->S, D = shape->head_size, H = shape->heads, K = shape->kv_heads;
    float *together;
    VG_TRY(VG_TAKE(&engine->arena, &together, rows * 2 * K * D, "keys and values"));
    VG_TRY(vg_linear_run(engine, &block->qkv, H * D, 2 * K * D, true, (vg_view){normed, rows, shape->width}, 0.0, together));
    VG_TRY(turn(engine, pass->position, rows, K, together, 2 * K * D));
    VG_RUN(engine, gather_rows, pass->key_value.count, D, together, D, pass->key_value.apart, tape->key, D);
    if (tape->queries == 0)
        return VG_OK;
    VG_TRY(VG_TAKE(&engine->arena, &together, pass->B * H * D, "queries"));
    VG_TRY(vg_linear_run(engine, &block->qkv, 0, H * D, true, vg_last(normed, pass->B, pass->S, shape->width, 1), 0.0, together));
    VG_TRY(turn(engine, pass->last_position, pass->B, H, together, H * D));
    VG_RUN(engine, gather_rows, pass->last_query.count, D, together, D, pass->last_query.apart, tape->query, D);
    return VG_OK;
}

/* Adds what attention writes to the residual y (B, Q, width). */
static vg_status attend(vg_engine *engine, const vg_pass *pass, int64_t l, const vg_block_tape *tape, float *y)
{
    const vg_model_shape *shape = &engine->model->config.shape;
    const vg_block *block = &engine->model->blocks[l];
    const vg_heads *heads = tape->queries == pass->S ? &pass->query : &pass->last_query;
    int64_t Q = tape->queries, D = shape->head_size, rows = pass->B * Q;
    float *apart, *together;
    vg_softmax softmax = vg_pass_softmax(engine, pass, Q);
    VG_TRY(vg_widen(engine, pass, Q, tape->query, tape->key, pass->prefix != NULL ? pass->prefix->key[l] : NULL, 0.0, tape->attention));
    VG_RUN(engine, softmax, &softmax, tape->attention);
    VG_TRY(VG_TAKE(&engine->arena, &apart, rows * shape->heads * D, "attention"));
    VG_TRY(VG_TAKE(&engine->arena, &together, rows * shape->heads * D, "attention"));
    VG_TRY(vg_narrow(engine, pass, Q, tape->attention, tape->value, pass->prefix != NULL ? pass->prefix->value[l] : NULL, 0.0, apart));
    VG_RUN(engine, gather_rows, heads->count, D, apart, D, heads->together, together, D);
    return vg_linear_run(engine, &block->out, 0, block->out.out, true, (vg_view){together, rows, block->out.in}, 1.0, y);
}

/* Adds what the MLP writes to the residual y (B, Q, width), reading x after its norm. */
static vg_status feed_forward(vg_engine *engine, const vg_block *block, const vg_block_tape *tape, vg_view x, float *y)
{
    vg_act_kind kind = engine->model->config.activation;
    int64_t count = x.rows * block->up.out;
    float *out;
    if (tape->gate != NULL)
        VG_TRY(vg_linear_run(engine, &block->gate, 0, block->gate.out, true, x, 0.0, tape->gate));
    VG_TRY(vg_linear_run(engine, &block->up, 0, block->up.out, true, x, 0.0, tape->up));
    VG_TRY(VG_TAKE(&engine->arena, &out, count, "MLP"));
    VG_RUN(engine, act, kind, count, tape->gate != NULL ? tape->gate : tape->up, tape->gate != NULL ? tape->up : NULL, out);
    return vg_linear_run(engine, &block->down, 0, block->down.out, true, (vg_view){out, x.rows, block->down.in}, 1.0, y);
}

static vg_status take_tape(vg_engine *engine, const vg_pass *pass, float *input, int64_t Q, vg_block_tape *tape)
{
    const vg_config *config = &engine->model->config;
    const vg_model_shape *shape = &config->shape;
    int64_t queries = pass->B * Q * shape->heads, keys = pass->B * pass->S * shape->kv_heads, D = shape->head_size;
    *tape = (vg_block_tape){.queries = Q};
    tape->input = input;
    VG_TRY(VG_TAKE(&engine->arena, &tape->query, (queries + 2 * keys) * D, "queries, keys and values"));
    tape->key = tape->query + queries * D;
    tape->value = tape->key + keys * D;
    VG_TRY(VG_TAKE(&engine->arena, &tape->attention, queries * (pass->P + pass->S), "attention weights"));
    if (config->blocks == VG_SEQUENTIAL)
        VG_TRY(VG_TAKE(&engine->arena, &tape->middle, pass->B * Q * shape->width, "residual"));
    if (config->gated)
        VG_TRY(VG_TAKE(&engine->arena, &tape->gate, pass->B * Q * shape->mlp_width, "MLP"));
    return VG_TAKE(&engine->arena, &tape->up, pass->B * Q * shape->mlp_width, "MLP");
}

/* The block's residual at its queries: y = input there, plus what attention and MLP write. */
static vg_status write_residual(vg_engine *engine, const vg_pass *pass, int64_t l, float *normed, float *y)
{
    const vg_block *block = &engine->model->blocks[l];
    vg_block_tape *tape = &pass->block[l];
    int64_t width = engine->model->config.shape.width;
    bool sequential = engine->model->config.blocks == VG_SEQUENTIAL;
    vg_view residual = vg_last(tape->input, pass->B, pass->S, width, tape->queries);
    vg_view x = vg_last(normed, pass->B, pass->S, width, tape->queries);
    float *attended = sequential ? tape->middle : y;
    VG_RUN(engine, copy, attended, width, residual.data, residual.ld, residual.rows, width);
    VG_TRY(attend(engine, pass, l, tape, attended));
    if (sequential) {
        residual = (vg_view){tape->middle, residual.rows, width};
        VG_RUN(engine, copy, y, width, tape->middle, width, residual.rows, width);
    }
    if (block->norm2.weight != NULL) {
        vg_norm norm = vg_pass_norm(engine, &block->norm2, residual);
        VG_TRY(VG_TAKE(&engine->arena, &x.data, residual.rows * width, "normed residual"));
        x.ld = width;
        VG_RUN(engine, norm, &norm, residual.data, x.data);
    }
    return feed_forward(engine, block, tape, x, y);
}

/* Keys and values of the block go to the prefix that is being made, behind those of the one it goes on from. */
static vg_status store_prefix(vg_engine *engine, const vg_pass *pass, int64_t l, vg_prefix *make)
{
    const vg_model_shape *shape = &engine->model->config.shape;
    int64_t heads = pass->G * shape->kv_heads, own = pass->S * shape->head_size, old = pass->P * shape->head_size;
    VG_RUN(engine, copy, make->key[l] + old, old + own, pass->block[l].key, own, heads, own);
    VG_RUN(engine, copy, make->value[l] + old, old + own, pass->block[l].value, own, heads, own);
    if (old > 0) {
        VG_RUN(engine, copy, make->key[l], old + own, pass->prefix->key[l], old, heads, old);
        VG_RUN(engine, copy, make->value[l], old + own, pass->prefix->value[l], old, heads, old);
    }
    return VG_OK;
}

static vg_status run_block(vg_engine *engine, vg_pass *pass, int64_t l, float *input, float *output, float *last_attention, vg_prefix *make)
{
    const vg_model_shape *shape = &engine->model->config.shape;
    const vg_block *block = &engine->model->blocks[l];
    vg_block_tape *tape = &pass->block[l];
    int64_t rows = pass->B * pass->S, Q = l == shape->layers - 1 ? pass->last_queries : pass->S, keys = pass->P + pass->S;
    size_t mark = engine->arena.used;
    float *normed;
    VG_BRING(engine, l);
    VG_TRY(take_tape(engine, pass, input, Q, tape));
    mark = pass->keep ? engine->arena.used : mark;
    VG_TRY(VG_TAKE(&engine->arena, &normed, rows * shape->width, "normed residual"));
    vg_norm norm = vg_pass_norm(engine, &block->norm1, (vg_view){tape->input, rows, shape->width});
    VG_RUN(engine, norm, &norm, tape->input, normed);
    VG_TRY(Q == pass->S ? project_all(engine, pass, block, normed, tape) : project_last(engine, pass, block, normed, tape));
    if (pass->voice != NULL)
        VG_RUN(engine, scale_rows, rows * shape->kv_heads, shape->head_size, pass->voice, tape->value);
    if (make != NULL)
        VG_TRY(store_prefix(engine, pass, l, make));
    if (Q > 0)
        VG_TRY(write_residual(engine, pass, l, normed, output));
    if (last_attention != NULL)
        VG_RUN(engine, copy, last_attention, keys, tape->attention + (Q - 1) * keys, Q * keys, pass->B * shape->heads, keys);
    vg_arena_release(&engine->arena, mark);
    return VG_OK;
}

vg_status vg_pass_forward(vg_engine *engine, vg_pass *pass, float **layer, float **last_attention, vg_prefix *make)
{
    for (int64_t l = 0; l < engine->model->config.shape.layers; l++)
        VG_TRY(run_block(engine, pass, l, layer[l], layer[l + 1], last_attention != NULL ? last_attention[l] : NULL, make));
    return VG_OK;
}
