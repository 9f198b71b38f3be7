/* path_tile: a window of a word as rows of nodes, and some of these nodes, a tile, through forward, vjp and jvp, from which the integrands
 * of all spaces that have not yet stopped are read. */
#include <stdlib.h>
#include <string.h>

#include "path.h"

/* ---- one window ------------------------------------------------------------------------------------------------------------------ */

static void fill_segments(const vg_attribution *a, const vg_window *window, int64_t k, int64_t length, int32_t *segment)
{
    int64_t shift = length - window->length, begin = 0, end = window->length;
    segment[0] = 0;
    for (int64_t j = 0; j < k; j++) {
        vg_window_word(a, window, window->word - k + j, &begin, &end);
        segment[1 + j] = (int32_t)(begin + shift > 0 ? begin + shift : 0);
    }
    segment[1 + k] = (int32_t)(end + shift);
    segment[2 + k] = (int32_t)length;
}

/* base: a row of the baseline for every position. */
static vg_status put_baseline(vg_path_walk *w, const vg_path_track *t)
{
    vg_attribution *a = w->a;
    const vg_device_ops *ops = a->device->ops;
    int64_t width = vg_model_get_shape(a->model)->width;
    double scale = w->plan->scale;
    if (w->plan->baseline == VG_BASELINE_ZERO)
        scale = 0;
    if (w->plan->baseline == VG_BASELINE_MEAN_SCALED)
        scale *= a->median_norm / a->mean_norm;
    const float *row = w->plan->baseline == VG_BASELINE_TOKEN ? vg_model_embedding(a->model) + w->plan->token * width : a->mean;
    float *host;
    VG_TRY(VG_NEW(&host, t->length * width, "baseline"));
    for (int64_t i = 0; i < t->length * width; i++)
        host[i] = (float)(scale * (double)row[i % width]);
    vg_status status = ops->up(a->device, t->base, host, (size_t)(t->length * width) * sizeof *host);
    free(host);
    return status;
}

/* Everything moves but BOS, what the prefix holds, and the word's own tokens before the one that is predicted. */
static vg_status put_moved(vg_path_walk *w, vg_path_track *t)
{
    int64_t first = t->window->length - (t->window->to - t->window->from) - (t->window->length - t->length);
    uint8_t *moved;
    VG_TRY(VG_NEW(&moved, t->length, "moved"));
    for (int64_t i = first > 0 ? first : 0; i < t->segment[w->plan->words + 1]; i++)
        moved[i] = 1;
    vg_status status = w->a->device->ops->up(w->a->device, t->moved, moved, (size_t)t->length);
    free(moved);
    return status;
}

/* difference = x - x' where it moves: the path's end less its beginning. */
static vg_status put_difference(vg_path_walk *w, const vg_path_track *t)
{
    vg_attribution *a = w->a;
    const vg_device_ops *ops = a->device->ops;
    int64_t width = vg_model_get_shape(a->model)->width;
    vg_mark mark = vg_engine_mark(a->engine);
    static const float start = 0.0f;
    float *place;
    VG_TRY(VG_TAKE(vg_engine_arena(a->engine), &place, 1, "nodes"));
    VG_TRY(ops->up(a->device, place, &start, sizeof start));
    VG_TRY(ops->interpolate(a->device, 1, 1, t->length, width, t->x, t->base, t->moved, place, t->difference));
    VG_TRY(ops->axpby(a->device, t->length * width, 1.0f, t->x, -1.0f, t->difference));
    vg_engine_release(a->engine, mark);
    return VG_OK;
}

vg_status vg_track_begin(vg_path_walk *w, const vg_batch *batch, int64_t b, vg_path_track *t)
{
    vg_attribution *a = w->a;
    const vg_window *window = &batch->windows[b];
    int64_t k = w->plan->words, width = vg_model_get_shape(a->model)->width, begin, end;
    vg_arena *arena = vg_engine_arena(a->engine);
    vg_window_word(a, window, window->word - k > 0 ? window->word - k : 0, &begin, &end);
    *t = (vg_path_track){.window = window, .target = batch->target[b], .length = w->plan->recent ? window->length - begin : window->length};
    t->attributed = begin - (window->length - t->length);
    if (w->prefix != NULL)
        t->seen = (int32_t)(batch->seen[b] - t->length);
    VG_TRY(VG_NEW(&t->segment, k + 3, "segments"));
    fill_segments(a, window, k, t->length, t->segment);
    VG_TRY(VG_TAKE(arena, &t->moved, t->length, "moved"));
    VG_TRY(VG_TAKE(arena, &t->x, t->length * width, "embeddings"));
    VG_TRY(VG_TAKE(arena, &t->base, t->length * width, "embeddings"));
    VG_TRY(VG_TAKE(arena, &t->difference, t->length * width, "embeddings"));
    int32_t *tokens;
    VG_TRY(VG_NEW(&tokens, t->length, "tokens"));
    for (int64_t i = 0; i < t->length; i++)
        tokens[i] = vg_window_token(a, window, window->length - t->length + i);
    vg_status status = vg_engine_embed(a->engine, t->length, tokens, t->x);
    free(tokens);
    VG_TRY(status);
    VG_TRY(put_baseline(w, t));
    VG_TRY(put_moved(w, t));
    return put_difference(w, t);
}

/* ---- one tile ------------------------------------------------------------------------------------------------------------------------ */

/* The difference once for every node: rows `from` .. of the own positions. */
static vg_status repeat_difference(const vg_tile *tile, int64_t from, float **repeated)
{
    vg_arena *arena = vg_engine_arena(tile->engine);
    const vg_device_ops *ops = tile->device->ops;
    int64_t each = tile->length - from, count = tile->nodes * each;
    int32_t *index, *there;
    VG_TRY(VG_TAKE(arena, repeated, count * tile->width, "directions"));
    VG_TRY(VG_TAKE(arena, &there, count, "directions"));
    VG_TRY(VG_NEW(&index, count, "directions"));
    for (int64_t i = 0; i < count; i++)
        index[i] = (int32_t)(from + i % each);
    vg_status status = ops->up(tile->device, there, index, (size_t)count * sizeof *index);
    free(index);
    VG_TRY(status);
    return ops->gather_rows(tile->device, count, tile->width, tile->difference, tile->width, there, *repeated, tile->width);
}

/* host (rows): the dot products of rows of x and y, (rows, columns). */
static vg_status dot_segments(const vg_tile *tile, int64_t segments, const int32_t *offset, int64_t columns, const float *x, const float *y,
                              float *host)
{
    vg_arena *arena = vg_engine_arena(tile->engine);
    const vg_device_ops *ops = tile->device->ops;
    int32_t *there;
    float *out;
    VG_TRY(VG_TAKE(arena, &there, segments + 1, "segments"));
    VG_TRY(VG_TAKE(arena, &out, segments, "segments"));
    VG_TRY(ops->up(tile->device, there, offset, (size_t)(segments + 1) * sizeof *offset));
    VG_TRY(ops->reduce(tile->device, VG_DOT, segments, there, columns, x, y, out));
    return ops->down(tile->device, host, out, (size_t)segments * sizeof *host);
}

/* scores (nodes, K + 2): df/dx (x - x') over each segment, from a backward pass over the positions of the K words alone. */
static vg_status take_scores(const vg_tile *tile, const float *dlogits, int64_t from, double *scores)
{
    int64_t k = tile->words, each = k + 2, segments = tile->nodes * each, length = tile->length - from;
    vg_mark mark = vg_engine_mark(tile->engine);
    vg_cotangents cotangents;
    int32_t *offset = NULL;
    float *host = NULL, *repeated;
    vg_status status;
    VG_GO(VG_NEW(&offset, segments + 1, "segments"));
    VG_GO(VG_NEW(&host, segments, "segments"));
    for (int64_t i = 0; i < segments; i++)
        offset[i] = (int32_t)(i / each * length + (tile->segment[i % each] > from ? tile->segment[i % each] - from : 0));
    offset[segments] = (int32_t)(tile->nodes * length);
    VG_GO(vg_engine_vjp(tile->engine, tile->tape, dlogits, from, false, &cotangents));
    VG_GO(repeat_difference(tile, from, &repeated));
    VG_GO(dot_segments(tile, segments, offset, tile->width, cotangents.input, repeated, host));
    for (int64_t i = 0; i < segments; i++)
        scores[i] = (double)host[i];
done:
    vg_engine_release(tile->engine, mark);
    free(offset);
    free(host);
    return status;
}

/* df/da, from the tangents of the logits, added to rate (nodes). */
static vg_status take_rate(const vg_tile *tile, const float *dlogits, double *rate)
{
    int64_t vocabulary = vg_model_get_shape(tile->attribution->model)->vocabulary;
    vg_mark mark = vg_engine_mark(tile->engine);
    int32_t offset[VG_MOST_NODES + 1];
    float host[VG_MOST_NODES];
    for (int32_t i = 0; i <= tile->nodes; i++)
        offset[i] = i;
    vg_status status = dot_segments(tile, tile->nodes, offset, vocabulary, dlogits, tile->tangents->logits, host);
    for (int64_t i = 0; i < tile->nodes; i++)
        rate[i] += (double)host[i];
    vg_engine_release(tile->engine, mark);
    return status;
}

/* Adds the integrands of the active entries that need `need` to `total`, entry by entry. */
static vg_status read_tile(vg_path_walk *w, const vg_tile *tile, vg_need need)
{
    double *to = w->total;
    for (int64_t i = 0; i < w->count; to += VG_MOST_NODES * w->integrals[i].size, i++) {
        const vg_path_integral *it = &w->integrals[i];
        if (!it->active || it->entry->need != need)
            continue;
        VG_TRY(it->entry->space->integrand(tile, it->entry, w->part));
        for (int64_t n = 0; n < tile->nodes * it->size; n++)
            to[n] += w->part[n];
    }
    return VG_OK;
}

static unsigned needs_of(const vg_path_walk *w, bool *rate)
{
    unsigned needs = 0;
    *rate = false;
    for (int64_t i = 0; i < w->count; i++) {
        const vg_path_integral *it = &w->integrals[i];
        needs |= it->active ? (unsigned)it->entry->need : 0;
        *rate |= it->active && it->rated && !vg_is_attributed(it->entry);
    }
    return needs;
}

/* Cotangents from `from` on at every layer, and the entries that read them. */
static vg_status read_layers(vg_path_walk *w, vg_tile *tile, const float *dlogits, int64_t from, vg_need need)
{
    vg_mark mark = vg_engine_mark(tile->engine);
    vg_cotangents cotangents;
    VG_TRY(vg_engine_vjp(tile->engine, tile->tape, dlogits, from, true, &cotangents));
    tile->cotangents = &cotangents;
    vg_status status = read_tile(w, tile, need);
    tile->cotangents = NULL;
    vg_engine_release(tile->engine, mark);
    return status;
}

static vg_status read_with_tangents(vg_path_walk *w, vg_tile *tile, const float *dlogits, unsigned needs, vg_path_reading *r)
{
    VG_TRY(take_rate(tile, dlogits, r->rate));
    if ((needs & VG_NEED_LAST) != 0)
        VG_TRY(read_layers(w, tile, dlogits, tile->length - 1, VG_NEED_LAST));
    if ((needs & VG_NEED_ALL) != 0)
        VG_TRY(read_layers(w, tile, dlogits, 0, VG_NEED_ALL));
    return VG_OK;
}

/* The tangent along the path at every layer, and the entries that read it. */
static vg_status read_tangents(vg_path_walk *w, vg_tile *tile, const float *dlogits, unsigned needs, vg_path_reading *r)
{
    vg_mark mark = vg_engine_mark(tile->engine);
    float *direction;
    vg_tangents tangents;
    VG_TRY(repeat_difference(tile, 0, &direction));
    VG_TRY(vg_engine_jvp(tile->engine, tile->tape, 1, direction, NULL, true, &tangents));
    tile->tangents = &tangents;
    vg_status status = read_with_tangents(w, tile, dlogits, needs, r);
    tile->tangents = NULL;
    vg_engine_release(tile->engine, mark);
    return status;
}

/* scores: host (nodes, K + 2), room. */
static vg_status differentiate(vg_path_walk *w, vg_tile *tile, const vg_path_track *t, const float *dlogits, double *scores,
                               vg_path_reading *r)
{
    bool rated;
    unsigned needs = needs_of(w, &rated);
    int64_t k = tile->words;
    if ((needs & VG_NEED_SCORES) != 0) {
        VG_TRY(take_scores(tile, dlogits, t->attributed, scores));
        tile->scores = scores;
        VG_TRY(read_tile(w, tile, VG_NEED_SCORES));
        for (int64_t i = 0; i < tile->nodes * (k + 2); i++)
            r->attributed[i / (k + 2)] += scores[i];
    }
    if (rated)
        VG_TRY(read_tangents(w, tile, dlogits, needs, r));
    if ((needs & VG_NEED_WORDS) != 0)
        VG_TRY(read_layers(w, tile, dlogits, tile->length - 1, VG_NEED_WORDS));
    return VG_OK;
}

/* f and its gradient at the nodes. The token of the model's own choice is that at the input, node 0. */
static vg_status take_targets(vg_path_walk *w, const vg_tile *tile, vg_path_track *t, float **dlogits, double *f)
{
    vg_attribution *a = w->a;
    const vg_device_ops *ops = a->device->ops;
    int64_t vocabulary = vg_model_get_shape(a->model)->vocabulary;
    vg_arena *arena = vg_engine_arena(a->engine);
    int32_t tokens[VG_MOST_NODES], *there;
    VG_TRY(VG_TAKE(arena, dlogits, tile->nodes * vocabulary, "gradients by logits"));
    VG_TRY(VG_TAKE(arena, &there, tile->nodes, "targets"));
    VG_TRY(ops->copy(a->device, *dlogits, vocabulary, tile->tape->logits, vocabulary, tile->nodes, vocabulary));
    if (t->target < 0) {
        VG_TRY(ops->up(a->device, there, &t->target, sizeof t->target));
        VG_TRY(vg_target_take(a, 1, *dlogits, there, false, f));
        VG_TRY(ops->down(a->device, &t->target, there, sizeof t->target));
    }
    for (int64_t i = 0; i < tile->nodes; i++)
        tokens[i] = t->target;
    VG_TRY(ops->up(a->device, there, tokens, (size_t)tile->nodes * sizeof *tokens));
    return vg_target_take(a, tile->nodes, *dlogits, there, true, f);
}

/* Nodes first .. first + nodes - 1 of one track: their integrands added to the walk's, the rest to r. */
vg_status vg_track_run(vg_path_walk *w, vg_path_track *t, int64_t nodes, const float *place, vg_path_reading *r)
{
    vg_attribution *a = w->a;
    const vg_device_ops *ops = a->device->ops;
    const vg_model_shape *shape = vg_model_get_shape(a->model);
    vg_arena *arena = vg_engine_arena(a->engine);
    vg_tile tile = {.attribution = a, .engine = a->engine, .device = a->device, .words = w->plan->words, .width = shape->width};
    float *there, *x, *dlogits;
    int32_t seen[VG_MOST_NODES];
    double f[VG_MOST_NODES], *scores;
    vg_tape *tape;
    for (int64_t i = 0; i < nodes; i++)
        seen[i] = t->seen;
    VG_TRY(VG_TAKE(arena, &there, nodes, "nodes"));
    VG_TRY(VG_TAKE(arena, &x, nodes * t->length * shape->width, "embeddings"));
    VG_TRY(ops->up(a->device, there, place, (size_t)nodes * sizeof *place));
    VG_TRY(ops->interpolate(a->device, 1, nodes, t->length, shape->width, t->x, t->base, t->moved, there, x));
    const vg_rows rows = {
        .groups = 1, .members = nodes, .length = t->length, .embeddings = x, .prefix = w->prefix, .seen = w->prefix != NULL ? seen : NULL};
    VG_TRY(vg_engine_forward(a->engine, &rows, true, false, &tape));
    tile.layers = shape->layers;
    tile.nodes = nodes;
    tile.length = t->length;
    tile.segment = t->segment;
    tile.tape = tape;
    tile.difference = t->difference;
    VG_TRY(take_targets(w, &tile, t, &dlogits, f));
    VG_TRY(VG_NEW(&scores, nodes * (tile.words + 2), "scores"));
    vg_status status = differentiate(w, &tile, t, dlogits, scores, r);
    free(scores);
    for (int64_t i = 0; i < nodes; i++)
        r->f[i] += f[i];
    return status;
}
