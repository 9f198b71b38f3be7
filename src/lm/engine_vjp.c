/* engine_vjp: cotangents of a tape, from the logits at the last position back to the embeddings (letters and layouts: engine.h).
 * Only positions from .. S - 1 (T of them) are swept: f reaches earlier ones through keys and values alone, which is not asked for; the
 * weights get no gradients. y' is written dy for df/dy. Transposes follow from the forward formulas line by line:
 * context = A v, A = softmax(q k'): dA = dcontext v', dv = A' dcontext, dq = dA~ k, dk = dA~' q, with dA~ the softmax's own. */
#include "engine.h"

typedef struct {
    vg_engine *engine;
    const vg_pass *pass;
    int64_t from, T;
    vg_heads all, query, key_value, last_query; /* of T positions */
    int32_t *position;
    float *voice;
} sweep;

static bool is_whole(const sweep *s, int64_t l)
{
    return s->pass->block[l].queries == s->pass->S;
}

/* The part from .. of x (rows, positions, columns): x itself where that is all of it. */
static vg_status pack(const sweep *s, int64_t rows, int64_t positions, int64_t columns, float *x, float **packed)
{
    vg_engine *engine = s->engine;
    *packed = x;
    if (positions < s->pass->S || s->from == 0)
        return VG_OK;
    VG_TRY(VG_TAKE(&engine->arena, packed, rows * s->T * columns, "part of the tape"));
    VG_RUN(engine, copy, *packed, s->T * columns, x + s->from * columns, positions * columns, rows, s->T * columns);
    return VG_OK;
}

static vg_status begin(vg_engine *engine, const vg_pass *pass, int64_t from, sweep *s)
{
    int32_t *host;
    *s = (sweep){.engine = engine,
                 .pass = pass,
                 .from = from,
                 .T = pass->S - from,
                 .all = pass->all,
                 .query = pass->query,
                 .key_value = pass->key_value,
                 .last_query = pass->last_query,
                 .position = pass->position,
                 .voice = pass->voice};
    if (from == 0)
        return VG_OK;
    VG_TRY(VG_OWN(engine, &host, pass->B * s->T));
    for (int64_t i = 0; i < pass->B * s->T; i++)
        host[i] = pass->host_position[i / s->T * pass->S + from + i % s->T];
    VG_TRY(VG_TAKE(&engine->arena, &s->position, pass->B * s->T, "positions"));
    VG_RUN(engine, up, s->position, host, (size_t)(pass->B * s->T) * sizeof *host);
    if (pass->all.count > 0) {
        VG_TRY(vg_heads_make(engine, pass, VG_HEADS_ALL, s->T, &s->all));
        VG_TRY(vg_heads_make(engine, pass, VG_HEADS_QUERY, s->T, &s->query));
    }
    if (pass->key_value.count > 0)
        VG_TRY(vg_heads_make(engine, pass, VG_HEADS_KEY_VALUE, s->T, &s->key_value));
    return pass->voice != NULL ? pack(s, pass->B * engine->model->config.shape.kv_heads, pass->S, 1, pass->voice, &s->voice) : VG_OK;
}

/* dx = scale dx + the MLP's part, for x after its norm. */
static vg_status feed_back(const sweep *s, int64_t l, const float *dy, double scale, vg_view dx)
{
    vg_engine *engine = s->engine;
    const vg_block *block = &engine->model->blocks[l];
    const vg_block_tape *tape = &s->pass->block[l];
    int64_t mlp = block->up.out, count = dx.rows * mlp;
    float *up, *gate = NULL, *dact, *dup, *dgate = NULL;
    VG_TRY(pack(s, s->pass->B, tape->queries, mlp, tape->up, &up));
    VG_TRY(VG_TAKE(&engine->arena, &dact, count, "MLP"));
    VG_TRY(VG_TAKE(&engine->arena, &dup, count, "MLP"));
    VG_TRY(vg_linear_back(engine, &block->down, 0, block->down.out, dy, 0.0, (vg_view){dact, dx.rows, mlp}));
    if (tape->gate == NULL) {
        VG_RUN(engine, act_vjp, engine->model->config.activation, count, up, NULL, dact, dup, NULL);
        return vg_linear_back(engine, &block->up, 0, mlp, dup, scale, dx);
    }
    VG_TRY(pack(s, s->pass->B, tape->queries, mlp, tape->gate, &gate));
    VG_TRY(VG_TAKE(&engine->arena, &dgate, count, "MLP"));
    VG_RUN(engine, act_vjp, engine->model->config.activation, count, gate, up, dact, dgate, dup);
    VG_TRY(vg_linear_back(engine, &block->gate, 0, mlp, dgate, scale, dx));
    return vg_linear_back(engine, &block->up, 0, mlp, dup, 1.0, dx);
}

/* narrow (B K, T, D) = wide' rows: what keys or values of positions from .. get from matrices (G, K, M, R, Q, P + S) and rows (.., D). */
static vg_status collect(const sweep *s, int64_t Q, const float *wide, const float *rows, float *narrow)
{
    vg_engine *engine = s->engine;
    const vg_model_shape *shape = &engine->model->config.shape;
    int64_t D = shape->head_size, count = shape->heads / shape->kv_heads * Q, keys = s->pass->P + s->pass->S;
    return vg_product(engine, (vg_extents){s->pass->B * shape->kv_heads, s->T, D, count},
                      (vg_factor){wide + s->pass->P + s->from, keys, count * keys, true}, (vg_factor){rows, D, count * D, false}, 0.0,
                      narrow, D, s->T * D);
}

/* dq, dk, dv, heads apart and one after the other, from the cotangent of what the block's attention writes. */
static vg_status attend_back(const sweep *s, int64_t l, const float *dwrite, float *dquery, float *dkey, float *dvalue)
{
    vg_engine *engine = s->engine;
    const vg_model_shape *shape = &engine->model->config.shape;
    const vg_pass *pass = s->pass;
    const vg_block_tape *tape = &pass->block[l];
    const vg_heads *heads = is_whole(s, l) ? &s->query : &s->last_query;
    int64_t Q = is_whole(s, l) ? s->T : 1, D = shape->head_size, rows = pass->B * Q, H = shape->heads, keys = pass->P + pass->S;
    const vg_linear *out = &engine->model->blocks[l].out;
    float *together, *dcontext, *dscores, *attention, *query;
    VG_TRY(VG_TAKE(&engine->arena, &together, rows * H * D, "attention"));
    VG_TRY(VG_TAKE(&engine->arena, &dcontext, rows * H * D, "attention"));
    VG_TRY(VG_TAKE(&engine->arena, &dscores, rows * H * keys, "attention weights"));
    VG_TRY(vg_linear_back(engine, out, 0, out->out, dwrite, 0.0, (vg_view){together, rows, H * D}));
    VG_RUN(engine, gather_rows, heads->count, D, together, D, heads->apart, dcontext, D);
    VG_TRY(vg_widen(engine, pass, Q, dcontext, tape->value, pass->prefix != NULL ? pass->prefix->value[l] : NULL, 0.0, dscores));
    VG_TRY(pack(s, pass->B * H, tape->queries, keys, tape->attention, &attention));
    VG_TRY(pack(s, pass->B * H, tape->queries, D, tape->query, &query));
    VG_TRY(collect(s, Q, attention, dcontext, dvalue));
    if (s->voice != NULL)
        VG_RUN(engine, scale_rows, pass->B * shape->kv_heads * s->T, D, s->voice, dvalue);
    vg_softmax softmax = vg_pass_softmax(engine, pass, Q);
    VG_RUN(engine, softmax_vjp, &softmax, attention, dscores);
    VG_TRY(vg_narrow(engine, pass, Q, dscores, tape->key, pass->prefix != NULL ? pass->prefix->key[l] : NULL, 0.0, dquery));
    return collect(s, Q, dscores, query, dkey);
}

static vg_status turn_back(const sweep *s, const int32_t *position, int64_t rows, int64_t heads, float *x, int64_t ld)
{
    vg_engine *engine = s->engine;
    const vg_config *config = &engine->model->config;
    if (config->rotary > 0)
        VG_RUN(engine, rotate, rows, heads, config->shape.head_size, config->rotary / 2, position, engine->model->cosine,
               engine->model->sine, -1.0f, x, ld);
    return VG_OK;
}

/* dx (B, T, width), for x after the block's first norm, from what its attention writes. */
static vg_status project_back(const sweep *s, int64_t l, const float *dwrite, float *dx)
{
    vg_engine *engine = s->engine;
    const vg_model_shape *shape = &engine->model->config.shape;
    const vg_linear *qkv = &engine->model->blocks[l].qkv;
    int64_t D = shape->head_size, H = shape->heads, K = shape->kv_heads, B = s->pass->B, rows = B * s->T,
            queries = is_whole(s, l) ? rows : B;
    float *apart, *together;
    VG_TRY(VG_TAKE(&engine->arena, &apart, (queries * H + 2 * rows * K) * D, "queries, keys and values"));
    VG_TRY(VG_TAKE(&engine->arena, &together, (queries * H + 2 * rows * K) * D, "queries, keys and values"));
    VG_TRY(attend_back(s, l, dwrite, apart, apart + queries * H * D, apart + (queries * H + rows * K) * D));
    if (is_whole(s, l)) {
        VG_RUN(engine, gather_rows, s->all.count, D, apart, D, s->all.together, together, D);
        VG_TRY(turn_back(s, s->position, rows, H + K, together, qkv->out));
        return vg_linear_back(engine, qkv, 0, qkv->out, together, 0.0, (vg_view){dx, rows, shape->width});
    }
    float *keys = together + queries * H * D;
    VG_RUN(engine, gather_rows, s->last_query.count, D, apart, D, s->last_query.together, together, D);
    VG_RUN(engine, gather_rows, s->key_value.count, D, apart + queries * H * D, D, s->key_value.together, keys, D);
    VG_TRY(turn_back(s, s->pass->last_position, B, H, together, H * D));
    VG_TRY(turn_back(s, s->position, rows, K, keys, 2 * K * D));
    VG_TRY(vg_linear_back(engine, qkv, H * D, 2 * K * D, keys, 0.0, (vg_view){dx, rows, shape->width}));
    return vg_linear_back(engine, qkv, 0, H * D, together, 1.0, vg_last(dx, B, s->T, shape->width, 1));
}

/* dx (B, T, width) of the block's input from dy (B, T or 1, width) of its output; dattention: where the cotangent of the attention's
 * write is kept, or NULL. */
static vg_status block_back(const sweep *s, int64_t l, const float *dy, float *dx, float *dattention)
{
    vg_engine *engine = s->engine;
    const vg_block *block = &engine->model->blocks[l];
    const vg_block_tape *tape = &s->pass->block[l];
    int64_t width = engine->model->config.shape.width, B = s->pass->B, Q = is_whole(s, l) ? s->T : 1, rows = B * Q;
    bool sequential = engine->model->config.blocks == VG_SEQUENTIAL;
    float *input, *dnormed, *dresidual = dx;
    VG_TRY(pack(s, B, s->pass->S, width, tape->input, &input));
    VG_TRY(VG_TAKE(&engine->arena, &dnormed, B * s->T * width, "normed residual"));
    if (Q < s->T)
        VG_TRY(VG_TAKE(&engine->arena, &dresidual, rows * width, "residual"));
    VG_RUN(engine, copy, dresidual, width, dy, width, rows, width);
    if (block->norm2.weight != NULL) {
        vg_view x = vg_last(input, B, s->T, width, Q);
        if (sequential) {
            VG_TRY(pack(s, B, tape->queries, width, tape->middle, &x.data));
            x.ld = width;
        }
        vg_norm norm = vg_pass_norm(engine, &block->norm2, x);
        VG_TRY(feed_back(s, l, dy, 0.0, (vg_view){dnormed, rows, width}));
        VG_RUN(engine, norm_vjp, &norm, x.data, dnormed, true, dresidual);
    }
    const float *dwrite = sequential ? dresidual : dy;
    if (dattention != NULL)
        VG_RUN(engine, copy, dattention, width, dwrite, width, rows, width);
    VG_TRY(project_back(s, l, dwrite, dnormed));
    if (block->norm2.weight == NULL)
        VG_TRY(feed_back(s, l, dy, 1.0, vg_last(dnormed, B, s->T, width, Q)));
    if (Q < s->T) {
        vg_view end = vg_last(dx, B, s->T, width, 1);
        VG_RUN(engine, fill, dx, B * s->T * width, 0.0f);
        VG_RUN(engine, copy, end.data, end.ld, dresidual, width, rows, width);
    }
    vg_norm norm = vg_pass_norm(engine, &block->norm1, (vg_view){input, B * s->T, width});
    VG_RUN(engine, norm_vjp, &norm, input, dnormed, true, dx);
    return VG_OK;
}

/* A cotangent (B, width) of the last position into dx (B, positions, width), zero elsewhere. */
static vg_status put_last(const sweep *s, const float *dlast, int64_t positions, float *dx)
{
    vg_engine *engine = s->engine;
    int64_t B = s->pass->B, width = engine->model->config.shape.width;
    vg_view last = vg_last(dx, B, positions, width, 1);
    VG_RUN(engine, fill, dx, B * positions * width, 0.0f);
    VG_RUN(engine, copy, last.data, last.ld, dlast, width, B, width);
    return VG_OK;
}

/* dx of the last block's output, (B, 1, width), or (B, T, width) where everywhere. */
static vg_status head_back(const sweep *s, const vg_tape *tape, const float *dlogits, float *dx)
{
    vg_engine *engine = s->engine;
    const vg_model *model = engine->model;
    const vg_model_shape *shape = &model->config.shape;
    int64_t B = s->pass->B, width = shape->width, positions = tape->everywhere ? tape->length : 1;
    vg_view end = vg_last(tape->layer[shape->layers], B, positions, width, 1);
    vg_norm norm = vg_pass_norm(engine, &model->final_norm, end);
    float *dfinal, *dend = dx;
    VG_TRY(VG_TAKE(&engine->arena, &dfinal, B * width, "final residual"));
    if (tape->everywhere)
        VG_TRY(VG_TAKE(&engine->arena, &dend, B * width, "final residual"));
    VG_TRY(vg_linear_back(engine, &model->head, 0, shape->vocabulary, dlogits, 0.0, (vg_view){dfinal, B, width}));
    VG_RUN(engine, norm_vjp, &norm, end.data, dfinal, false, dend);
    return tape->everywhere ? put_last(s, dend, s->T, dx) : VG_OK;
}

/* Where a sweep begins: at the logits (layer -1), or at what a layer has at the last position. */
typedef struct {
    int64_t layer;
    const float *cotangent; /* (B, vocabulary or width) */
} start;

static vg_status begin_at(const sweep *s, const vg_tape *tape, const start *from, int64_t layer, float *dx)
{
    int64_t layers = s->engine->model->config.shape.layers;
    if (from->layer < 0)
        return head_back(s, tape, from->cotangent, dx);
    return put_last(s, from->cotangent, layer == layers && !tape->everywhere ? 1 : s->T, dx);
}

/* Room for the cotangents asked for; where layers are not, two buffers take turns and [0] is the one that ends as the input's. */
static vg_status take_cotangents(const sweep *s, bool layers, float **layer, vg_cotangents *out)
{
    vg_engine *engine = s->engine;
    const vg_model_shape *shape = &engine->model->config.shape;
    int64_t whole = s->pass->B * s->T * shape->width;
    for (int64_t l = 0; l <= shape->layers; l++) {
        int64_t count = l == shape->layers && s->pass->last_queries < s->pass->S ? s->pass->B * shape->width : whole;
        layer[l] = l >= 2 && !layers ? layer[l - 2] : NULL;
        if (layers || l < 2)
            VG_TRY(VG_TAKE(&engine->arena, &layer[l], layers ? count : whole, "cotangents"));
    }
    *out = (vg_cotangents){.from = s->from, .input = layer[0], .layer = layers ? layer : NULL};
    if (!layers)
        return VG_OK;
    VG_TRY(VG_OWN(engine, &out->attention, shape->layers));
    for (int64_t l = 0; l < shape->layers; l++)
        VG_TRY(VG_TAKE(&engine->arena, &out->attention[l], s->pass->B * (is_whole(s, l) ? s->T : 1) * shape->width, "cotangents"));
    return VG_OK;
}

static vg_status run(vg_engine *engine, const vg_tape *tape, const start *at, int64_t from, bool layers, vg_cotangents *out)
{
    const vg_model_shape *shape = &engine->model->config.shape;
    sweep s = {.engine = engine, .pass = tape->inner, .from = from, .T = tape->length - from};
    float **layer;
    if (!tape->kept || from < 0 || from >= tape->length)
        return vg_fail(VG_DEFECT, "engine: vjp from %lld of %lld positions of a tape that is%s kept", (long long)from,
                       (long long)tape->length, tape->kept ? "" : " not");
    VG_TRY(VG_OWN(engine, &layer, shape->layers + 1));
    VG_TRY(take_cotangents(&s, layers, layer, out));
    size_t mark = engine->arena.used;
    VG_TRY(begin(engine, tape->inner, from, &s));
    int64_t top = at->layer < 0 ? shape->layers : at->layer;
    VG_TRY(begin_at(&s, tape, at, top, layer[top]));
    for (int64_t l = top - 1; l >= 0; l--) {
        size_t block_mark = engine->arena.used;
        VG_BRING(engine, l);
        VG_TRY(block_back(&s, l, layer[l + 1], layer[l], layers ? out->attention[l] : NULL));
        vg_arena_release(&engine->arena, block_mark);
    }
    vg_arena_release(&engine->arena, mark);
    return VG_OK;
}

vg_status vg_engine_vjp(vg_engine *engine, const vg_tape *tape, const float *dlogits, int64_t from, bool layers, vg_cotangents *out)
{
    vg_mark mark = vg_engine_mark(engine);
    vg_status status = run(engine, tape, &(start){-1, dlogits}, from, layers, out);
    if (status != VG_OK)
        vg_engine_release(engine, mark);
    return status;
}

vg_status vg_engine_vjp_state(vg_engine *engine, const vg_tape *tape, int64_t layer, const float *dstate, int64_t from, vg_cotangents *out)
{
    vg_mark mark = vg_engine_mark(engine);
    vg_status status = layer < 0 || layer > engine->model->config.shape.layers
                           ? vg_fail(VG_DEFECT, "engine: a cotangent of layer %lld", (long long)layer)
                           : run(engine, tape, &(start){layer, dstate}, from, false, out);
    if (status != VG_OK)
        vg_engine_release(engine, mark);
    return status;
}
