/* engine_rows: brings a batch of rows to the device: checks it, numbers the positions of each row (padding, and what a row does not see
 * of its prefix, left out), masks, embeddings, and the permutations that set heads apart (letters: engine.h). */
#include <stdlib.h>
#include <string.h>

#include "engine.h"

static int32_t start_of(const vg_rows *rows, int64_t b)
{
    return rows->start != NULL ? rows->start[b] : 0;
}

static vg_status check_extents(const vg_model_shape *shape, const vg_pass *pass)
{
    int64_t heads = shape->heads + 2 * shape->kv_heads, all, keys;
    if (pass->G < 1 || pass->M < 1 || pass->S < 1 || pass->P < 0)
        return vg_fail(VG_DEFECT, "engine: a batch of %lld groups of %lld rows of %lld positions", (long long)pass->G, (long long)pass->M,
                       (long long)pass->S);
    VG_TRY(vg_multiply(pass->G, pass->M, "batch", &all));
    VG_TRY(vg_multiply(all, pass->P + pass->S, "batch", &keys));
    VG_TRY(vg_multiply(all, pass->S, "batch", &all));
    VG_TRY(vg_multiply(all, heads, "batch", &all));
    if (all > INT32_MAX || keys > INT32_MAX)
        return vg_fail(VG_INVALID, "a batch of %lld x %lld rows of %lld positions is too large; make the batch smaller", (long long)pass->G,
                       (long long)pass->M, (long long)pass->S);
    return VG_OK;
}

static vg_status check_row(const vg_model_shape *shape, const vg_pass *pass, const vg_rows *rows, int64_t b)
{
    int64_t start = start_of(rows, b), seen = rows->seen != NULL ? rows->seen[b] : pass->P;
    if (start < 0 || start >= pass->S || seen < 0 || seen > pass->P)
        return vg_fail(VG_DEFECT, "engine: row %lld starts at %lld of %lld positions and sees %lld of %lld", (long long)b, (long long)start,
                       (long long)pass->S, (long long)seen, (long long)pass->P);
    for (int64_t t = start; t < pass->S && rows->embeddings == NULL && rows->tokens != NULL; t++) {
        int32_t token = rows->tokens[b * pass->S + t];
        if (token < 0 || token >= shape->vocabulary)
            return vg_fail(VG_INVALID,
                           "row %lld: token %d at position %lld; the model's vocabulary has %lld ids: is it another model's tokenizer?",
                           (long long)b, (int)token, (long long)t, (long long)shape->vocabulary);
    }
    return VG_OK;
}

/* Position numbers of each row's own tokens, 0 in the padding; where its visible keys begin. */
static vg_status number_positions(const vg_model_shape *shape, const vg_pass *pass, const vg_rows *rows, int32_t *start)
{
    for (int64_t b = 0; b < pass->B; b++) {
        VG_TRY(check_row(shape, pass, rows, b));
        int32_t own = start_of(rows, b), first = 0;
        start[b] = own;
        if (pass->prefix != NULL) {
            int32_t seen = rows->seen != NULL ? rows->seen[b] : (int32_t)pass->P;
            start[b] = pass->prefix->start[b / pass->M];
            first = seen > start[b] ? seen - start[b] : 0;
        }
        if (first + pass->S - own > shape->positions)
            return vg_fail(VG_INVALID, "row %lld has %lld tokens; the model takes %lld: choose a shorter context", (long long)b,
                           (long long)(first + pass->S - own), (long long)shape->positions);
        for (int64_t t = own; t < pass->S; t++)
            pass->host_position[b * pass->S + t] = first + (int32_t)t - own;
    }
    return VG_OK;
}

static bool needs_mask(const vg_pass *pass, const vg_rows *rows)
{
    return rows->hidden != NULL || (pass->prefix != NULL && (rows->seen != NULL || rows->start != NULL));
}

/* Keys that a row does not attend to: those asked for, the prefix beyond what it sees, and padding behind a prefix. */
static void fill_mask(const vg_pass *pass, const vg_rows *rows, uint8_t *mask)
{
    int64_t keys = pass->P + pass->S;
    if (rows->hidden != NULL)
        memcpy(mask, rows->hidden, (size_t)(pass->B * keys));
    for (int64_t b = 0; b < pass->B; b++) {
        int64_t seen = rows->seen != NULL ? rows->seen[b] : pass->P;
        for (int64_t key = seen; key < pass->P + (pass->prefix != NULL ? start_of(rows, b) : 0); key++)
            mask[b * keys + key] = 1;
    }
}

static void fill_voice(const vg_pass *pass, int64_t kv_heads, const uint8_t *silent, float *voice)
{
    for (int64_t b = 0; b < pass->B; b++)
        for (int64_t k = 0; k < kv_heads; k++)
            for (int64_t t = 0; t < pass->S; t++)
                voice[((b / pass->M * kv_heads + k) * pass->M + b % pass->M) * pass->S + t] = silent[b * pass->S + t] ? 0.0f : 1.0f;
}

static vg_status put_masks(vg_engine *engine, vg_pass *pass, const vg_rows *rows)
{
    int64_t kv_heads = engine->model->config.shape.kv_heads, count = pass->B * (pass->P + pass->S);
    if (needs_mask(pass, rows)) {
        uint8_t *mask;
        VG_TRY(VG_TAKE(&engine->arena, &pass->hidden, count, "mask"));
        VG_TRY(VG_OWN(engine, &mask, count));
        if (!engine->paper)
            fill_mask(pass, rows, mask);
        VG_RUN(engine, up, pass->hidden, mask, (size_t)count);
    }
    if (rows->silent != NULL) {
        float *voice;
        VG_TRY(VG_TAKE(&engine->arena, &pass->voice, pass->B * pass->S * kv_heads, "mask of values"));
        VG_TRY(VG_OWN(engine, &voice, pass->B * pass->S * kv_heads));
        if (!engine->paper)
            fill_voice(pass, kv_heads, rows->silent, voice);
        VG_RUN(engine, up, pass->voice, voice, (size_t)(pass->B * pass->S * kv_heads) * sizeof *voice);
    }
    return VG_OK;
}

static void fill_heads(const vg_pass *pass, const vg_model_shape *shape, vg_heads_kind kind, int64_t T, int32_t *apart)
{
    int64_t K = shape->kv_heads, R = shape->heads / K, queries = kind == VG_HEADS_KEY_VALUE ? 0 : shape->heads;
    int64_t row = queries + (kind == VG_HEADS_QUERY ? 0 : 2 * K), i = 0;
    int64_t parts[3][2] = {{queries > 0 ? R : 0, 0}, {row > queries, queries}, {row > queries, queries + K}}; /* repeats, first head */
    for (int part = 0; part < 3; part++)
        for (int64_t g = 0; g < pass->G; g++)
            for (int64_t k = 0; k < K; k++)
                for (int64_t m = 0; m < pass->M; m++)
                    for (int64_t r = 0; r < parts[part][0]; r++)
                        for (int64_t t = 0; t < T; t++)
                            apart[i++] = (int32_t)(((g * pass->M + m) * T + t) * row + parts[part][1] + k * parts[part][0] + r);
}

vg_status vg_heads_make(vg_engine *engine, const vg_pass *pass, vg_heads_kind kind, int64_t T, vg_heads *heads)
{
    const vg_model_shape *shape = &engine->model->config.shape;
    int64_t each = (kind == VG_HEADS_KEY_VALUE ? 0 : shape->heads) + (kind == VG_HEADS_QUERY ? 0 : 2 * shape->kv_heads);
    int32_t *apart = NULL;
    vg_status status;
    heads->count = pass->B * T * each;
    VG_TRY(VG_TAKE(&engine->arena, &heads->apart, heads->count, "places of heads"));
    VG_TRY(VG_TAKE(&engine->arena, &heads->together, heads->count, "places of heads"));
    if (engine->paper)
        return VG_OK;
    VG_TRY(VG_NEW(&apart, 2 * heads->count, "places of heads"));
    fill_heads(pass, shape, kind, T, apart);
    for (int64_t i = 0; i < heads->count; i++)
        apart[heads->count + apart[i]] = (int32_t)i;
    size_t bytes = (size_t)heads->count * sizeof *apart;
    VG_GO(engine->device->ops->up(engine->device, heads->apart, apart, bytes));
    VG_GO(engine->device->ops->up(engine->device, heads->together, apart + heads->count, bytes));
done:
    free(apart);
    return status;
}

static vg_status make_heads(vg_engine *engine, vg_pass *pass)
{
    bool some_whole = pass->last_queries == pass->S || engine->model->config.shape.layers > 1;
    if (some_whole) {
        VG_TRY(vg_heads_make(engine, pass, VG_HEADS_ALL, pass->S, &pass->all));
        VG_TRY(vg_heads_make(engine, pass, VG_HEADS_QUERY, pass->S, &pass->query));
    }
    if (pass->last_queries < pass->S)
        VG_TRY(vg_heads_make(engine, pass, VG_HEADS_KEY_VALUE, pass->S, &pass->key_value));
    if (pass->last_queries < pass->S && pass->last_queries > 0)
        VG_TRY(vg_heads_make(engine, pass, VG_HEADS_QUERY, pass->last_queries, &pass->last_query));
    return VG_OK;
}

static vg_status put_positions(vg_engine *engine, vg_pass *pass, const vg_rows *rows)
{
    int32_t *start, *last;
    VG_TRY(VG_OWN(engine, &pass->host_position, pass->B * pass->S));
    VG_TRY(VG_OWN(engine, &start, pass->B));
    VG_TRY(VG_OWN(engine, &last, pass->B));
    if (!engine->paper)
        VG_TRY(number_positions(&engine->model->config.shape, pass, rows, start));
    for (int64_t b = 0; b < pass->B; b++)
        last[b] = pass->host_position[(b + 1) * pass->S - 1];
    VG_TRY(VG_TAKE(&engine->arena, &pass->start, pass->B, "starts"));
    VG_TRY(VG_TAKE(&engine->arena, &pass->last_position, pass->B, "positions"));
    VG_TRY(VG_TAKE(&engine->arena, &pass->position, pass->B * pass->S, "positions"));
    VG_RUN(engine, up, pass->start, start, (size_t)pass->B * sizeof *start);
    VG_RUN(engine, up, pass->last_position, last, (size_t)pass->B * sizeof *start);
    VG_RUN(engine, up, pass->position, pass->host_position, (size_t)(pass->B * pass->S) * sizeof *start);
    return VG_OK;
}

vg_status vg_pass_begin(vg_engine *engine, const vg_rows *rows, int64_t last_queries, bool keep, vg_pass **made)
{
    const vg_model_shape *shape = &engine->model->config.shape;
    vg_pass *pass;
    VG_TRY(VG_OWN(engine, &pass, 1));
    *made = pass;
    *pass = (vg_pass){
        .G = rows->groups, .M = rows->members, .S = rows->length, .last_queries = last_queries, .keep = keep, .prefix = rows->prefix};
    pass->P = rows->prefix != NULL ? rows->prefix->length : 0;
    VG_TRY(check_extents(shape, pass));
    pass->B = pass->G * pass->M;
    if (rows->prefix != NULL && rows->prefix->groups != rows->groups)
        return vg_fail(VG_DEFECT, "engine: %lld groups of rows on a prefix of %lld", (long long)rows->groups,
                       (long long)rows->prefix->groups);
    if (rows->tokens == NULL && rows->embeddings == NULL && !engine->paper)
        return vg_fail(VG_DEFECT, "engine: rows without tokens and without embeddings");
    VG_TRY(VG_OWN(engine, &pass->block, shape->layers));
    VG_TRY(put_positions(engine, pass, rows));
    VG_TRY(put_masks(engine, pass, rows));
    return make_heads(engine, pass);
}

static vg_status look_up(vg_engine *engine, const vg_pass *pass, const vg_rows *rows, float *layer)
{
    int64_t count = pass->B * pass->S, width = engine->model->config.shape.width;
    int32_t *token, *host;
    VG_TRY(VG_TAKE(&engine->arena, &token, count, "tokens"));
    VG_TRY(VG_OWN(engine, &host, count));
    for (int64_t i = 0; i < count && !engine->paper; i++)
        host[i] = i % pass->S < start_of(rows, i / pass->S) ? -1 : rows->tokens[i];
    VG_RUN(engine, up, token, host, (size_t)count * sizeof *host);
    VG_RUN(engine, gather_rows, count, width, engine->model->embedding, width, token, layer, width);
    return VG_OK;
}

vg_status vg_pass_embed(vg_engine *engine, const vg_pass *pass, const vg_rows *rows, float *layer)
{
    int64_t count = pass->B * pass->S, width = engine->model->config.shape.width;
    size_t mark = engine->arena.used;
    if (rows->embeddings != NULL)
        VG_RUN(engine, copy, layer, width, rows->embeddings, width, count, width);
    else
        VG_TRY(look_up(engine, pass, rows, layer));
    if (engine->model->config.shape.learned_positions) {
        float *position;
        VG_TRY(VG_TAKE(&engine->arena, &position, count * width, "positions"));
        VG_RUN(engine, gather_rows, count, width, engine->model->position, width, pass->position, position, width);
        VG_RUN(engine, axpby, count * width, 1.0f, position, 1.0f, layer);
    }
    vg_arena_release(&engine->arena, mark);
    return VG_OK;
}

vg_status vg_engine_embed(vg_engine *engine, int64_t count, const int32_t *tokens, float *x)
{
    int64_t width = engine->model->config.shape.width;
    int32_t *token;
    VG_TRY(VG_TAKE(&engine->arena, &token, count, "tokens"));
    VG_RUN(engine, up, token, tokens, (size_t)count * sizeof *tokens);
    VG_RUN(engine, gather_rows, count, width, engine->model->embedding, width, token, x, width);
    return VG_OK;
}
