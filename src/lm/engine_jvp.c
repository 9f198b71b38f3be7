/* engine_jvp: tangents of a tape along several directions at once, from the embeddings to the logits (letters and layouts: engine.h).
 * N directions are N times the rows of every linear map; norm, softmax and activation read their primal once for all of them.
 * d(A v) = dA v + A dv, dA = softmax's tangent of (dq k' + q dk'). */
#include "engine.h"

typedef struct {
    vg_engine *engine;
    const vg_pass *pass;
    int64_t N;
    const vg_prefix_tangent *prefix; /* NULL: the prefix does not move */
} sweep;

static vg_status turn(const sweep *s, const int32_t *position, int64_t rows, int64_t heads, float *x, int64_t ld)
{
    vg_engine *engine = s->engine;
    const vg_config *config = &engine->model->config;
    for (int64_t n = 0; n < s->N && config->rotary > 0; n++)
        VG_RUN(engine, rotate, rows, heads, config->shape.head_size, config->rotary / 2, position, engine->model->cosine,
               engine->model->sine, 1.0f, x + n * rows * ld, ld);
    return VG_OK;
}

/* Sets heads apart, direction by direction: to's directions are `stride` apart. */
static vg_status set_apart(const sweep *s, const vg_heads *heads, const float *together, float *to, int64_t stride)
{
    vg_engine *engine = s->engine;
    int64_t D = engine->model->config.shape.head_size;
    for (int64_t n = 0; n < s->N; n++)
        VG_RUN(engine, gather_rows, heads->count, D, together + n * heads->count * D, D, heads->apart, to + n * stride, D);
    return VG_OK;
}

/* Tangents of queries, keys and values, heads apart, one after the other, for each direction; keys, values: where those begin. */
static vg_status project(const sweep *s, int64_t l, float *dnormed, float *apart, int64_t stride)
{
    vg_engine *engine = s->engine;
    const vg_model_shape *shape = &engine->model->config.shape;
    const vg_pass *pass = s->pass;
    const vg_linear *qkv = &engine->model->blocks[l].qkv;
    int64_t D = shape->head_size, H = shape->heads, K = shape->kv_heads, rows = pass->B * pass->S, Q = pass->block[l].queries;
    float *together;
    VG_TRY(VG_TAKE(&engine->arena, &together, s->N * rows * qkv->out, "queries, keys and values"));
    if (Q == pass->S) {
        VG_TRY(vg_linear_run(engine, qkv, 0, qkv->out, false, (vg_view){dnormed, s->N * rows, shape->width}, 0.0, together));
        VG_TRY(turn(s, pass->position, rows, H + K, together, qkv->out));
        return set_apart(s, &pass->all, together, apart, stride);
    }
    VG_TRY(vg_linear_run(engine, qkv, H * D, 2 * K * D, false, (vg_view){dnormed, s->N * rows, shape->width}, 0.0, together));
    VG_TRY(turn(s, pass->position, rows, K, together, 2 * K * D));
    VG_TRY(set_apart(s, &pass->key_value, together, apart + pass->B * Q * H * D, stride));
    if (Q == 0)
        return VG_OK;
    VG_TRY(vg_linear_run(engine, qkv, 0, H * D, false, vg_last(dnormed, s->N * pass->B, pass->S, shape->width, 1), 0.0, together));
    VG_TRY(turn(s, pass->last_position, pass->B, H, together, H * D));
    return set_apart(s, &pass->last_query, together, apart, stride);
}

/* Tangents dattention (N, B, Q, width) of what attention writes, from those of queries, keys and values. */
static vg_status attend(const sweep *s, int64_t l, const float *apart, int64_t stride, float *dattention)
{
    vg_engine *engine = s->engine;
    const vg_model_shape *shape = &engine->model->config.shape;
    const vg_pass *pass = s->pass;
    const vg_block_tape *tape = &pass->block[l];
    int64_t Q = tape->queries, D = shape->head_size, queries = pass->B * Q * shape->heads, own = pass->B * pass->S * shape->kv_heads * D;
    int64_t keys = pass->P + pass->S, old = pass->G * shape->kv_heads * pass->P * D;
    const vg_heads *heads = Q == pass->S ? &pass->query : &pass->last_query;
    const float *key = pass->prefix != NULL ? pass->prefix->key[l] : NULL, *value = pass->prefix != NULL ? pass->prefix->value[l] : NULL;
    float *dscores, *dcontext, *together;
    VG_TRY(VG_TAKE(&engine->arena, &dscores, s->N * queries * keys, "attention weights"));
    VG_TRY(VG_TAKE(&engine->arena, &dcontext, queries * D, "attention"));
    VG_TRY(VG_TAKE(&engine->arena, &together, s->N * queries * D, "attention"));
    for (int64_t n = 0; n < s->N; n++) {
        const float *dquery = apart + n * stride, *dkey = dquery + queries * D,
                    *dold = s->prefix != NULL ? s->prefix->key[l] + n * old : NULL;
        VG_TRY(vg_widen(engine, pass, Q, dquery, tape->key, key, 0.0, dscores + n * queries * keys));
        VG_TRY(vg_widen(engine, pass, Q, tape->query, dkey, dold, 1.0, dscores + n * queries * keys));
    }
    vg_softmax softmax = vg_pass_softmax(engine, pass, Q);
    VG_RUN(engine, softmax_jvp, &softmax, tape->attention, s->N, dscores);
    for (int64_t n = 0; n < s->N; n++) {
        const float *dvalue = apart + n * stride + queries * D + own, *dold = s->prefix != NULL ? s->prefix->value[l] + n * old : NULL;
        VG_TRY(vg_narrow(engine, pass, Q, dscores + n * queries * keys, tape->value, value, 0.0, dcontext));
        VG_TRY(vg_narrow(engine, pass, Q, tape->attention, dvalue, dold, 1.0, dcontext));
        VG_RUN(engine, gather_rows, heads->count, D, dcontext, D, heads->together, together + n * queries * D, D);
    }
    const vg_linear *out = &engine->model->blocks[l].out;
    return vg_linear_run(engine, out, 0, out->out, false, (vg_view){together, s->N * pass->B * Q, out->in}, 0.0, dattention);
}

/* Adds the tangent of what the MLP writes to dy; dx: of what it reads, after its norm. */
static vg_status feed_forward(const sweep *s, int64_t l, vg_view dx, float *dy)
{
    vg_engine *engine = s->engine;
    const vg_block *block = &engine->model->blocks[l];
    const vg_block_tape *tape = &s->pass->block[l];
    int64_t mlp = block->up.out, count = s->pass->B * tape->queries * mlp;
    float *dup, *dgate = NULL, *dact;
    VG_TRY(VG_TAKE(&engine->arena, &dup, s->N * count, "MLP"));
    VG_TRY(VG_TAKE(&engine->arena, &dact, s->N * count, "MLP"));
    VG_TRY(vg_linear_run(engine, &block->up, 0, mlp, false, dx, 0.0, dup));
    if (tape->gate != NULL) {
        VG_TRY(VG_TAKE(&engine->arena, &dgate, s->N * count, "MLP"));
        VG_TRY(vg_linear_run(engine, &block->gate, 0, mlp, false, dx, 0.0, dgate));
        VG_RUN(engine, act_jvp, engine->model->config.activation, count, tape->gate, tape->up, s->N, dgate, dup, dact);
    } else {
        VG_RUN(engine, act_jvp, engine->model->config.activation, count, tape->up, NULL, s->N, dup, NULL, dact);
    }
    return vg_linear_run(engine, &block->down, 0, block->down.out, false, (vg_view){dact, dx.rows, mlp}, 1.0, dy);
}

/* dy (N, B, Q, width) of the block's residual from dx (N, B, S, width) of its input and what attention writes. */
static vg_status write_residual(const sweep *s, int64_t l, float *dx, float *dnormed, const float *dattention, float *dy)
{
    vg_engine *engine = s->engine;
    const vg_block *block = &engine->model->blocks[l];
    const vg_block_tape *tape = &s->pass->block[l];
    int64_t width = engine->model->config.shape.width, B = s->pass->B, S = s->pass->S, Q = tape->queries, count = s->N * B * Q * width;
    bool sequential = engine->model->config.blocks == VG_SEQUENTIAL;
    vg_view at = vg_last(dx, s->N * B, S, width, Q), read = vg_last(dnormed, s->N * B, S, width, Q);
    VG_RUN(engine, copy, dy, width, at.data, at.ld, at.rows, width);
    if (sequential)
        VG_RUN(engine, axpby, count, 1.0f, dattention, 1.0f, dy);
    if (block->norm2.weight != NULL) {
        vg_view x = sequential ? (vg_view){tape->middle, B * Q, width} : vg_last(tape->input, B, S, width, Q);
        vg_norm norm = vg_pass_norm(engine, &block->norm2, x);
        read = (vg_view){NULL, at.rows, width};
        VG_TRY(VG_TAKE(&engine->arena, &read.data, count, "normed residual"));
        VG_RUN(engine, norm_jvp, &norm, x.data, s->N, dy, read.data);
    }
    if (!sequential)
        VG_RUN(engine, axpby, count, 1.0f, dattention, 1.0f, dy);
    return feed_forward(s, l, read, dy);
}

/* Tangents of keys and values of a prefix that is being moved; the part it goes on from does not move. */
static vg_status store_prefix(const sweep *s, int64_t l, const float *apart, int64_t stride, vg_prefix_tangent *make)
{
    vg_engine *engine = s->engine;
    const vg_model_shape *shape = &engine->model->config.shape;
    const vg_pass *pass = s->pass;
    int64_t D = shape->head_size, heads = pass->G * shape->kv_heads, own = pass->S * D, all = (pass->P + pass->S) * D;
    for (int64_t n = 0; n < s->N; n++) {
        const float *key = apart + n * stride + pass->B * pass->block[l].queries * shape->heads * D, *value = key + heads * own;
        if (pass->P > 0) {
            VG_RUN(engine, fill, make->key[l] + n * heads * all, heads * all, 0.0f);
            VG_RUN(engine, fill, make->value[l] + n * heads * all, heads * all, 0.0f);
        }
        VG_RUN(engine, copy, make->key[l] + n * heads * all + pass->P * D, all, key, own, heads, own);
        VG_RUN(engine, copy, make->value[l] + n * heads * all + pass->P * D, all, value, own, heads, own);
    }
    return VG_OK;
}

static vg_status run_block(const sweep *s, int64_t l, float *dx, float *dy, float *dattention, vg_prefix_tangent *make)
{
    vg_engine *engine = s->engine;
    const vg_model_shape *shape = &engine->model->config.shape;
    const vg_pass *pass = s->pass;
    int64_t rows = pass->B * pass->S, Q = pass->block[l].queries, D = shape->head_size;
    int64_t queries = pass->B * Q * shape->heads * D, own = rows * shape->kv_heads * D, stride = queries + 2 * own;
    float *dnormed, *apart;
    VG_TRY(VG_TAKE(&engine->arena, &dnormed, s->N * rows * shape->width, "normed residual"));
    VG_TRY(VG_TAKE(&engine->arena, &apart, s->N * stride, "queries, keys and values"));
    vg_norm norm = vg_pass_norm(engine, &engine->model->blocks[l].norm1, (vg_view){pass->block[l].input, rows, shape->width});
    VG_RUN(engine, norm_jvp, &norm, pass->block[l].input, s->N, dx, dnormed);
    VG_TRY(project(s, l, dnormed, apart, stride));
    for (int64_t n = 0; n < s->N && pass->voice != NULL; n++)
        VG_RUN(engine, scale_rows, rows * shape->kv_heads, D, pass->voice, apart + n * stride + queries + own);
    if (make != NULL)
        VG_TRY(store_prefix(s, l, apart, stride, make));
    if (Q == 0)
        return VG_OK;
    if (dattention == NULL)
        VG_TRY(VG_TAKE(&engine->arena, &dattention, s->N * pass->B * Q * shape->width, "attention"));
    VG_TRY(attend(s, l, apart, stride, dattention));
    return write_residual(s, l, dx, dnormed, dattention, dy);
}

static vg_status run_blocks(const sweep *s, float **layer, float **attention, vg_prefix_tangent *make)
{
    for (int64_t l = 0; l < s->engine->model->config.shape.layers; l++) {
        size_t mark = s->engine->arena.used;
        VG_BRING(s->engine, l);
        VG_TRY(run_block(s, l, layer[l], layer[l + 1], attention != NULL ? attention[l] : NULL, make));
        vg_arena_release(&s->engine->arena, mark);
    }
    return VG_OK;
}

/* ---- the two calls ------------------------------------------------------------------------------------------------------ */

/* The tangents of the logits at the last position. */
static vg_status read_logits(const sweep *s, const vg_tape *tape, float *dlayer, float *dlogits)
{
    vg_engine *engine = s->engine;
    const vg_model *model = engine->model;
    const vg_model_shape *shape = &model->config.shape;
    int64_t B = s->pass->B, width = shape->width, positions = tape->everywhere ? tape->length : 1, rows = s->N * B;
    vg_view x = vg_last(tape->layer[shape->layers], B, positions, width, 1), dx = vg_last(dlayer, rows, positions, width, 1);
    vg_norm norm = vg_pass_norm(engine, &model->final_norm, x);
    float *dense, *dfinal;
    VG_TRY(VG_TAKE(&engine->arena, &dense, rows * width, "final residual"));
    VG_TRY(VG_TAKE(&engine->arena, &dfinal, rows * width, "final residual"));
    VG_RUN(engine, copy, dense, width, dx.data, dx.ld, rows, width);
    VG_RUN(engine, norm_jvp, &norm, x.data, s->N, dense, dfinal);
    return vg_linear_run(engine, &model->head, 0, shape->vocabulary, false, (vg_view){dfinal, rows, width}, 0.0, dlogits);
}

static vg_status take_tangents(const sweep *s, bool logits, vg_tangents *out)
{
    vg_engine *engine = s->engine;
    const vg_model_shape *shape = &engine->model->config.shape;
    const vg_pass *pass = s->pass;
    *out = (vg_tangents){.directions = s->N};
    VG_TRY(VG_OWN(engine, &out->layer, shape->layers + 1));
    VG_TRY(VG_OWN(engine, &out->attention, shape->layers));
    for (int64_t l = 0; l <= shape->layers; l++)
        VG_TRY(VG_TAKE(&engine->arena, &out->layer[l], s->N * pass->B * (l < shape->layers ? pass->S : pass->last_queries) * shape->width,
                       "tangents"));
    for (int64_t l = 0; l < shape->layers; l++)
        VG_TRY(VG_TAKE(&engine->arena, &out->attention[l], s->N * pass->B * pass->block[l].queries * shape->width, "tangents"));
    return logits ? VG_TAKE(&engine->arena, &out->logits, s->N * pass->B * shape->vocabulary, "tangents") : VG_OK;
}

static vg_status run_rows(const sweep *s, const vg_tape *tape, const float *dx, bool logits, vg_tangents *out)
{
    vg_engine *engine = s->engine;
    const vg_model_shape *shape = &engine->model->config.shape;
    if (!tape->kept || s->N < 1 || (s->prefix != NULL && (s->prefix->directions != s->N || s->pass->prefix == NULL)))
        return vg_fail(VG_DEFECT, "engine: jvp of %lld directions on a tape that is%s kept, or with another prefix's tangent",
                       (long long)s->N, tape->kept ? "" : " not");
    VG_TRY(take_tangents(s, logits, out));
    VG_RUN(engine, copy, out->layer[0], shape->width, dx, shape->width, s->N * s->pass->B * s->pass->S, shape->width);
    VG_TRY(run_blocks(s, out->layer, out->attention, NULL));
    size_t mark = engine->arena.used;
    if (logits)
        VG_TRY(read_logits(s, tape, out->layer[shape->layers], out->logits));
    vg_arena_release(&engine->arena, mark);
    return VG_OK;
}

vg_status vg_engine_jvp(vg_engine *engine, const vg_tape *tape, int64_t directions, const float *dx, const vg_prefix_tangent *dprefix,
                        bool logits, vg_tangents *out)
{
    vg_mark mark = vg_engine_mark(engine);
    sweep s = {.engine = engine, .pass = tape->inner, .N = directions, .prefix = dprefix};
    vg_status status = run_rows(&s, tape, dx, logits, out);
    if (status != VG_OK)
        vg_engine_release(engine, mark);
    return status;
}

static vg_status run_prefix(const sweep *s, const vg_prefix *prefix, const float *dx, vg_prefix_tangent **made)
{
    vg_engine *engine = s->engine;
    const vg_model_shape *shape = &engine->model->config.shape;
    int64_t count = s->N * prefix->groups * shape->kv_heads * prefix->length * shape->head_size, rows = s->N * s->pass->B * s->pass->S;
    vg_prefix_tangent *tangent;
    float **layer;
    if (!prefix->kept || s->N < 1)
        return vg_fail(VG_DEFECT, "engine: jvp of %lld directions on a prefix that is%s kept", (long long)s->N, prefix->kept ? "" : " not");
    VG_TRY(VG_OWN(engine, &tangent, 1));
    *made = tangent;
    tangent->directions = s->N;
    VG_TRY(VG_OWN(engine, &tangent->key, shape->layers));
    VG_TRY(VG_OWN(engine, &tangent->value, shape->layers));
    VG_TRY(VG_OWN(engine, &layer, shape->layers + 1));
    for (int64_t l = 0; l < shape->layers; l++) {
        VG_TRY(VG_TAKE(&engine->arena, &tangent->key[l], count, "tangents of a prefix"));
        VG_TRY(VG_TAKE(&engine->arena, &tangent->value[l], count, "tangents of a prefix"));
    }
    size_t mark = engine->arena.used;
    for (int64_t l = 0; l < shape->layers; l++) {
        layer[l] = l >= 2 ? layer[l - 2] : NULL;
        if (l < 2)
            VG_TRY(VG_TAKE(&engine->arena, &layer[l], rows * shape->width, "tangents"));
    }
    VG_RUN(engine, copy, layer[0], shape->width, dx, shape->width, rows, shape->width);
    VG_TRY(run_blocks(s, layer, NULL, tangent));
    vg_arena_release(&engine->arena, mark);
    return VG_OK;
}

vg_status vg_engine_prefix_jvp(vg_engine *engine, const vg_prefix *prefix, int64_t directions, const float *dx, vg_prefix_tangent **tangent)
{
    vg_mark mark = vg_engine_mark(engine);
    sweep s = {.engine = engine, .pass = prefix->pass, .N = directions};
    vg_status status = run_prefix(&s, prefix, dx, tangent);
    if (status != VG_OK)
        vg_engine_release(engine, mark);
    return status;
}
