/* path: integrals from a baseline x' to the input x, word by word, to a tolerance (attribution.md, "Path integrals that are true").
 *
 * Nested closed trapezoid: nodes come in the order 1, 0, 1/2, 1/4, 3/4, 1/8, ... so that whenever 4, 8, 16, ... panels are whole every node
 * so far is one of theirs, with the same weight (half at both ends). A tile is some nodes of one window through forward, vjp and jvp; the
 * integrands of all spaces that have not yet stopped are read from it and summed on the host, in double. A window is alone in its tiles
 * and these follow from its length alone, so that no value depends on the words or spaces beside it.
 *
 * Error: with changes d and d' of the scores at the last two halvings, the rest of a geometric series, d r / (1 - r), r = d / d', where r
 * is taken to be at least 1/3 and at most .9. (The trapezoid's own rate is 1/4, but it is not always reached: with 1/4 the error of 4 words
 * of 48 was larger than estimated, stories260K at baseline ratios 1, .3 and .1.) */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "sweep.h"

enum { FIRST_PANELS = 16, MOST_NODES = 64 };

/* ---- one entry's integral of one word ---------------------------------------------------------------------------------------- */

typedef struct {
    vg_entry *entry;
    int64_t size, columns;   /* of the integrand; of all outputs */
    double *sum;             /* (size) over nodes, half at both ends */
    double *integral;        /* (size) */
    double *values, *before; /* (columns) with the panels so far, and with half of them */
    double *change[2];       /* (outputs) norm of the outputs' last change, and of the one before */
    double rate, error;      /* rate: the sum of df/da, like sum */
    int64_t nodes;
    bool active, rated; /* rated: the residual is taken for this word */
} integral;

static void free_integrals(integral *all, int64_t count)
{
    for (int64_t i = 0; all != NULL && i < count; i++) {
        free(all[i].sum);
        free(all[i].integral);
        free(all[i].values);
        free(all[i].before);
        free(all[i].change[0]);
        free(all[i].change[1]);
    }
    free(all);
}

/* Whether all that moves is attributed, so that the scores themselves say what their sum is. */
static bool is_attributed(const vg_entry *entry)
{
    return entry->need == VG_NEED_SCORES && entry->recent;
}

static bool is_rated(const vg_entry *entry, int64_t word)
{
    if (entry->need != VG_NEED_SCORES || entry->recent)
        return true;
    return entry->request.residual_every > 0 && word % entry->request.residual_every == 0;
}

static vg_status make_integrals(vg_attribution *a, int64_t sweep, integral **made, int64_t *count)
{
    *count = 0;
    VG_TRY(VG_NEW(made, a->entry_count, "integrals"));
    for (int64_t e = 0; e < a->entry_count; e++) {
        vg_entry *entry = &a->entries[e];
        if (entry->sweep != sweep)
            continue;
        integral *it = &(*made)[(*count)++];
        *it = (integral){
            .entry = entry, .size = entry->space->size(a, entry), .columns = entry->outputs * a->outputs[entry->first_output].columns};
        VG_TRY(VG_NEW(&it->sum, it->size, "integrals"));
        VG_TRY(VG_NEW(&it->integral, it->size, "integrals"));
        VG_TRY(VG_NEW(&it->values, it->columns, "integrals"));
        VG_TRY(VG_NEW(&it->before, it->columns, "integrals"));
        VG_TRY(VG_NEW(&it->change[0], entry->outputs, "integrals"));
        VG_TRY(VG_NEW(&it->change[1], entry->outputs, "integrals"));
    }
    return VG_OK;
}

static void begin_integral(integral *it, int64_t word)
{
    memset(it->sum, 0, (size_t)it->size * sizeof *it->sum);
    it->rate = 0;
    it->nodes = 0;
    it->error = NAN;
    it->active = true;
    it->rated = is_rated(it->entry, word);
}

/* The error of one output, relative: see above. change[0]: the last. */
static double extrapolate(double last, double before, double scale)
{
    double ratio = before > 0 ? last / before : last > 0 ? 1 : 0;
    ratio = ratio < 1.0 / 3 ? 1.0 / 3 : ratio > 0.9 ? 0.9 : ratio;
    double error = last * ratio / (1 - ratio);
    return error > 0 ? error / scale : 0;
}

/* The outputs' values with `panels` panels; from 16 on, whether that is enough. */
static void evaluate(const vg_attribution *a, integral *it, int64_t panels, double change)
{
    const vg_entry *entry = it->entry;
    int64_t columns = it->columns / entry->outputs;
    double error = 0;
    double *swap = it->before;
    it->before = it->values;
    it->values = swap;
    for (int64_t i = 0; i < it->size; i++)
        it->integral[i] = it->sum[i] / (double)panels;
    if (entry->space->finish != NULL)
        entry->space->finish(a, entry, it->integral, change, it->values);
    else
        memcpy(it->values, it->integral, (size_t)it->size * sizeof *it->values);
    for (int64_t o = 0; o < entry->outputs; o++) {
        double moved = 0, square = 0;
        for (int64_t c = o * columns; c < (o + 1) * columns; c++) {
            moved += (it->values[c] - it->before[c]) * (it->values[c] - it->before[c]);
            square += it->values[c] * it->values[c];
        }
        it->change[1][o] = it->change[0][o];
        it->change[0][o] = sqrt(moved);
        error = fmax(error, extrapolate(it->change[0][o], it->change[1][o], fmax(sqrt(square), 1e-3 * fabs(change))));
    }
    if (entry->request.steps > 0 || panels < FIRST_PANELS)
        return;
    it->error = error;
    it->active = !(error <= entry->request.tolerance) && panels < entry->request.max_steps;
}

/* ---- one window's path ----------------------------------------------------------------------------------------------------------- */

/* A window of a word as rows of nodes: its own positions, on the device. */
typedef struct {
    const vg_window *window;
    int64_t length, attributed; /* own positions; the first of them that belongs to the K words */
    int32_t seen, target;
    int32_t *segment;             /* host (K + 3) */
    uint8_t *moved;               /* device (length) */
    float *x, *base, *difference; /* device (length, width) */
} track;

typedef struct {
    vg_attribution *a;
    const vg_sweep_plan *plan;
    vg_prefix *prefix; /* of the word's group; NULL: nothing stays real before what moves */
    int64_t tracks;    /* parts of the word */
    track *track;
    integral *integrals;
    int64_t count;
    double ends[2];       /* f(x), f(x') */
    double *part, *total; /* host: the integrand of one track at the nodes of a tile, and of all: (MOST_NODES, largest size) */
} walk;

static int64_t nodes_of_tile(const vg_attribution *a, int64_t length)
{
    int64_t most = a->plan.batch_tokens / length;
    return most < 1 ? 1 : most > MOST_NODES ? MOST_NODES : most;
}

/* Where node i lies; steps > 0: exactly so many panels. */
static double place_of(int64_t i, int64_t steps)
{
    if (i < 2)
        return i == 0 ? 1 : 0;
    if (steps > 0)
        return (double)(i - 1) / (double)steps;
    int64_t panels = 2;
    while (i > panels)
        panels *= 2;
    int64_t half = panels / 2;
    return (double)(2 * (i - half) - 1) / (double)panels;
}

/* The number of panels that node i makes whole, or 0. */
static int64_t panels_after(int64_t i, int64_t steps)
{
    if (steps > 0)
        return i == steps ? steps : 0;
    return i >= 4 && (i & (i - 1)) == 0 ? i : 0;
}

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
static vg_status put_baseline(walk *w, const track *t)
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
static vg_status put_moved(walk *w, track *t)
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
static vg_status put_difference(walk *w, const track *t)
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

static vg_status begin_track(walk *w, const vg_batch *batch, int64_t b, track *t)
{
    vg_attribution *a = w->a;
    const vg_window *window = &batch->windows[b];
    int64_t k = w->plan->words, width = vg_model_get_shape(a->model)->width, begin, end;
    vg_arena *arena = vg_engine_arena(a->engine);
    vg_window_word(a, window, window->word - k > 0 ? window->word - k : 0, &begin, &end);
    *t = (track){.window = window, .target = batch->target[b], .length = w->plan->recent ? window->length - begin : window->length};
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
    int32_t offset[MOST_NODES + 1];
    float host[MOST_NODES];
    for (int32_t i = 0; i <= tile->nodes; i++)
        offset[i] = i;
    vg_status status = dot_segments(tile, tile->nodes, offset, vocabulary, dlogits, tile->tangents->logits, host);
    for (int64_t i = 0; i < tile->nodes; i++)
        rate[i] += (double)host[i];
    vg_engine_release(tile->engine, mark);
    return status;
}

/* Adds the integrands of the active entries that need `need` to `total`, entry by entry. */
static vg_status read_tile(walk *w, const vg_tile *tile, vg_need need)
{
    double *to = w->total;
    for (int64_t i = 0; i < w->count; to += MOST_NODES * w->integrals[i].size, i++) {
        const integral *it = &w->integrals[i];
        if (!it->active || it->entry->need != need)
            continue;
        VG_TRY(it->entry->space->integrand(tile, it->entry, w->part));
        for (int64_t n = 0; n < tile->nodes * it->size; n++)
            to[n] += w->part[n];
    }
    return VG_OK;
}

static unsigned needs_of(const walk *w, bool *rate)
{
    unsigned needs = 0;
    *rate = false;
    for (int64_t i = 0; i < w->count; i++) {
        const integral *it = &w->integrals[i];
        needs |= it->active ? (unsigned)it->entry->need : 0;
        *rate |= it->active && it->rated && !is_attributed(it->entry);
    }
    return needs;
}

/* Cotangents from `from` on at every layer, and the entries that read them. */
static vg_status read_layers(walk *w, vg_tile *tile, const float *dlogits, int64_t from, vg_need need)
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

/* What a tile says of its nodes beside the integrands: f; df/da by the jvp; and the sum of all scores, which is df/da where all that moves
 * is attributed. */
typedef struct {
    double f[MOST_NODES], rate[MOST_NODES], attributed[MOST_NODES];
} reading;

static vg_status read_with_tangents(walk *w, vg_tile *tile, const float *dlogits, unsigned needs, reading *r)
{
    VG_TRY(take_rate(tile, dlogits, r->rate));
    if ((needs & VG_NEED_LAST) != 0)
        VG_TRY(read_layers(w, tile, dlogits, tile->length - 1, VG_NEED_LAST));
    if ((needs & VG_NEED_ALL) != 0)
        VG_TRY(read_layers(w, tile, dlogits, 0, VG_NEED_ALL));
    return VG_OK;
}

/* The tangent along the path at every layer, and the entries that read it. */
static vg_status read_tangents(walk *w, vg_tile *tile, const float *dlogits, unsigned needs, reading *r)
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
static vg_status differentiate(walk *w, vg_tile *tile, const track *t, const float *dlogits, double *scores, reading *r)
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
static vg_status take_targets(walk *w, const vg_tile *tile, track *t, float **dlogits, double *f)
{
    vg_attribution *a = w->a;
    const vg_device_ops *ops = a->device->ops;
    int64_t vocabulary = vg_model_get_shape(a->model)->vocabulary;
    vg_arena *arena = vg_engine_arena(a->engine);
    int32_t tokens[MOST_NODES], *there;
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
static vg_status run_track(walk *w, track *t, int64_t first, int64_t nodes, reading *r)
{
    vg_attribution *a = w->a;
    const vg_device_ops *ops = a->device->ops;
    const vg_model_shape *shape = vg_model_get_shape(a->model);
    vg_arena *arena = vg_engine_arena(a->engine);
    vg_tile tile = {.attribution = a, .engine = a->engine, .device = a->device, .words = w->plan->words, .width = shape->width};
    float place[MOST_NODES], *there, *x, *dlogits;
    int32_t seen[MOST_NODES];
    double f[MOST_NODES], *scores;
    vg_tape *tape;
    for (int64_t i = 0; i < nodes; i++) {
        place[i] = (float)place_of(first + i, w->plan->steps);
        seen[i] = t->seen;
    }
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

/* ---- one word --------------------------------------------------------------------------------------------------------------------------
 */

/* Adds a tile's nodes to the integrals, one after the other, and looks at them whenever their panels are whole. */
static void add_nodes(walk *w, int64_t first, int64_t nodes, const reading *r)
{
    for (int64_t n = 0; n < nodes; n++) {
        int64_t panels = panels_after(first + n, w->plan->steps);
        double weight = first + n < 2 ? 0.5 : 1;
        const double *from = w->total;
        for (int64_t i = 0; i < w->count; from += MOST_NODES * w->integrals[i].size, i++) {
            integral *it = &w->integrals[i];
            if (!it->active)
                continue;
            for (int64_t c = 0; c < it->size; c++)
                it->sum[c] += weight * from[n * it->size + c];
            it->rate += weight * (is_attributed(it->entry) ? r->attributed[n] : r->rate[n]);
            it->nodes++;
            if (panels > 0)
                evaluate(w->a, it, panels, w->ends[0] - w->ends[1]);
        }
    }
}

static bool any_active(const walk *w)
{
    bool active = false;
    for (int64_t i = 0; i < w->count; i++)
        active |= w->integrals[i].active;
    return active;
}

static vg_status run_tile(walk *w, int64_t first, int64_t nodes)
{
    reading r = {0};
    int64_t size = 0;
    for (int64_t i = 0; i < w->count; i++)
        size += w->integrals[i].size;
    memset(w->total, 0, (size_t)(size * MOST_NODES) * sizeof *w->total);
    for (int64_t i = 0; i < w->tracks; i++) {
        vg_mark mark = vg_engine_mark(w->a->engine);
        VG_TRY(run_track(w, &w->track[i], first, nodes, &r));
        vg_engine_release(w->a->engine, mark);
    }
    for (int64_t n = 0; n < nodes && first + n < 2; n++)
        w->ends[first + n] = r.f[n];
    add_nodes(w, first, nodes, &r);
    return VG_OK;
}

/* Tiles end where 16, 32, 64, ... panels are whole, so that they follow from the window alone. */
static vg_status walk_path(walk *w)
{
    int64_t length = w->track[w->tracks - 1].length, most = nodes_of_tile(w->a, length), end = FIRST_PANELS + 1;
    int64_t all = w->plan->steps > 0 ? w->plan->steps + 1 : INT64_MAX;
    for (int64_t first = 0; first < all && any_active(w);) {
        if (first == end)
            end = 2 * end - 1;
        int64_t stop = w->plan->steps > 0 ? all : end, nodes = stop - first < most ? stop - first : most;
        VG_TRY(run_tile(w, first, nodes));
        first += nodes;
    }
    return VG_OK;
}

static vg_status put_word(walk *w, const vg_sink *sink, int64_t word, integral *it)
{
    const vg_attribution *a = w->a;
    vg_entry *entry = it->entry;
    int64_t columns = it->columns / entry->outputs, row = word - sink->block->first;
    double change = w->ends[0] - w->ends[1], panels = (double)(it->nodes - 1);
    float *values;
    VG_TRY(VG_NEW(&values, columns, "feature values"));
    for (int64_t o = 0; o < entry->outputs; o++) {
        int64_t output = entry->first_output + o;
        for (int64_t c = 0; c < columns; c++)
            values[c] = (float)it->values[o * columns + c];
        vg_sink_put(a, sink, entry, o, word, values);
        if (sink->to->nodes != NULL && sink->to->nodes[output] != NULL)
            sink->to->nodes[output][row] = (int32_t)it->nodes;
        if (sink->to->residual != NULL && sink->to->residual[output] != NULL)
            sink->to->residual[output][row] = it->rated ? (float)fabs(it->rate / panels - change) : NAN;
        if (sink->to->error != NULL && sink->to->error[output] != NULL)
            sink->to->error[output][row] = (float)it->error;
    }
    free(values);
    if (entry->request.steps > 0 || it->error <= entry->request.tolerance)
        return VG_OK;
    entry->unconverged++;
    if (entry->request.strict)
        return vg_fail(VG_INVALID,
                       "features: %s: word %lld: error %.2g after %lld steps, above the tolerance of %g; raise max_steps or the tolerance, "
                       "choose a baseline "
                       "nearer to the embeddings, or set strict: false",
                       entry->name, (long long)word, it->error, (long long)(it->nodes - 1), entry->request.tolerance);
    return VG_OK;
}

/* The word of row b, with the rows of its further parts. */
static vg_status run_word(walk *w, const vg_batch *batch, const vg_prefix *prefix, int64_t b, const vg_sink *sink)
{
    vg_mark mark = vg_engine_mark(w->a->engine);
    int64_t word = batch->windows[b].word;
    vg_status status = VG_OK;
    w->tracks = 0;
    w->prefix = NULL;
    if (prefix != NULL)
        VG_GO(vg_engine_prefix_group(w->a->engine, prefix, b / batch->members, &w->prefix));
    for (int64_t i = b; i < batch->rows && batch->windows[i].word == word && !batch->spare[i]; i++) {
        w->tracks++;
        VG_GO(begin_track(w, batch, i, &w->track[i - b]));
    }
    for (int64_t i = 0; i < w->count; i++)
        begin_integral(&w->integrals[i], word);
    VG_GO(walk_path(w));
    for (int64_t i = 0; i < w->count; i++)
        VG_GO(put_word(w, sink, word, &w->integrals[i]));
done:
    for (int64_t i = 0; i < w->tracks; i++) {
        free(w->track[i].segment);
        w->track[i].segment = NULL;
    }
    vg_engine_release(w->a->engine, mark);
    return status;
}

/* ---- a block
 * ------------------------------------------------------------------------------------------------------------------------------ */

/* The words from `first` on whose earlier context, where it is real, goes through in one pass: as one prefix where they share it, in a
 * sliding context as a prefix each. */
static vg_word_block next_run(const vg_attribution *a, const vg_sweep_plan *plan, const vg_word_block *block, int64_t first)
{
    enum { MOST_SHARING = 32, MOST_APART = 8 };
    bool sharing = a->context.mode != VG_CONTEXT_SLIDING;
    vg_word_block run = {.first = first, .count = 1};
    vg_window here, next;
    if (!plan->recent || a->context.whole_word)
        return run;
    vg_window_of(a, first, &here);
    while (run.count < (sharing ? MOST_SHARING : MOST_APART) && first + run.count < block->first + block->count) {
        vg_window_of(a, first + run.count, &next);
        if (sharing && next.from != here.from)
            break;
        run.count++;
    }
    return run;
}

static vg_batch_kind kind_of(const vg_attribution *a, const vg_sweep_plan *plan)
{
    bool parts = a->context.whole_word;
    return (vg_batch_kind){.words = plan->words, .everything = plan->recent, .parts = parts, .together = parts};
}

static vg_status run_words(walk *w, const vg_word_block *run, const vg_sink *sink)
{
    vg_attribution *a = w->a;
    const vg_batch_kind kind = kind_of(a, w->plan);
    vg_prefix *prefix = NULL;
    vg_batch batch;
    VG_TRY(vg_batch_make(a, &kind, run, &batch));
    vg_status status = VG_OK;
    const vg_rows before = {
        .groups = batch.groups, .members = 1, .length = batch.prefix, .start = batch.prefix_start, .tokens = batch.prefix_tokens};
    VG_GO(VG_NEW(&w->track, batch.rows, "windows"));
    for (int64_t b = 0; a->context.argmax && b < batch.rows; b++)
        batch.target[b] = -1;
    if (batch.rows > 0 && w->plan->recent && batch.prefix > 0)
        VG_GO(vg_engine_prefix(a->engine, &before, false, &prefix));
    for (int64_t b = 0; b < batch.rows; b++)
        if (!batch.spare[b] && batch.windows[b].part == 0)
            VG_GO(run_word(w, &batch, prefix, b, sink));
done:
    free(w->track);
    w->track = NULL;
    vg_batch_free(&batch);
    vg_engine_reset(a->engine);
    return status;
}

vg_status vg_path_run(vg_attribution *a, int64_t sweep, const vg_sink *sink)
{
    walk w = {.a = a, .plan = &a->sweeps[sweep]};
    int64_t largest = 0, size = 0;
    vg_status status;
    VG_GO(make_integrals(a, sweep, &w.integrals, &w.count));
    for (int64_t i = 0; i < w.count; i++) {
        size += w.integrals[i].size;
        largest = w.integrals[i].size > largest ? w.integrals[i].size : largest;
    }
    VG_GO(VG_NEW(&w.part, largest * MOST_NODES, "integrands"));
    VG_GO(VG_NEW(&w.total, size * MOST_NODES, "integrands"));
    for (int64_t first = sink->block->first; first < sink->block->first + sink->block->count;) {
        const vg_word_block run = next_run(a, w.plan, sink->block, first);
        VG_GO(run_words(&w, &run, sink));
        first += run.count;
    }
done:
    free_integrals(w.integrals, w.count);
    free(w.part);
    free(w.total);
    return status;
}

/* ---- cost
 * ------------------------------------------------------------------------------------------------------------------------------------ */

/* Where the jvp comes first, the vjp's temporary pieces lie above what it left: more than vg_engine_bytes counts. */
static vg_status add_later_vjp(const vg_attribution *a, vg_load load, size_t *bytes)
{
    size_t with, without;
    load.directions = 0;
    VG_TRY(vg_engine_bytes(a->model, &load, &with));
    load.vjp = false;
    VG_TRY(vg_engine_bytes(a->model, &load, &without));
    *bytes += with - without;
    return VG_OK;
}

/* One tile of a window of `length` own positions: the largest of its stages. */
static vg_status tile_cost(const vg_attribution *a, const vg_sweep_plan *plan, int64_t prefix, int64_t length, int64_t parts, vg_cost *cost)
{
    const vg_model_shape *shape = vg_model_get_shape(a->model);
    int64_t nodes = nodes_of_tile(a, length), own = length * shape->width;
    size_t others = 4 * (size_t)(parts * (3 * own + length) + nodes * (3 * own + 2 * length + shape->vocabulary + plan->words + 8)) +
                    vg_target_bytes(a, nodes) + vg_conductance_bytes(a, nodes, length) + (size_t)(8 * parts + 40) * 256;
    const vg_load stages[] = {
        {.vjp = true},
        {.vjp = true, .layers = true, .from = (plan->needs & VG_NEED_ALL) != 0 ? 0 : length - 1, .directions = 1, .logits = true},
        {.vjp = true, .layers = true, .from = length - 1, .directions = vg_conductance_directions(a, plan->words, nodes, length)},
    };
    const unsigned wanted[] = {VG_NEED_SCORES, VG_NEED_SCORES | VG_NEED_LAST | VG_NEED_ALL | VG_NEED_WORDS, VG_NEED_WORDS};
    double flops = 0;
    for (int i = 0; i < 3; i++) {
        vg_load load = stages[i];
        size_t bytes;
        double work;
        if ((plan->needs & wanted[i]) == 0)
            continue;
        load.groups = 1;
        load.members = nodes;
        load.length = length;
        load.prefix = prefix;
        load.keep = load.masked = true;
        load.others = others;
        VG_TRY(vg_engine_bytes(a->model, &load, &bytes));
        VG_TRY(vg_engine_flops(a->model, &load, &work));
        VG_TRY(add_later_vjp(a, load, &bytes));
        cost->bytes = bytes > cost->bytes ? bytes : cost->bytes;
        flops = work > flops ? work : flops;
    }
    cost->flops += flops * (plan->steps > 0 ? (double)(plan->steps + 1) : 33) / (double)nodes; /* 33: what most words take */
    return VG_OK;
}

/* The prefixes of a run (their work is counted with the tiles): the bytes to make them, and those that the other groups' hold while the
 * tiles of one are at work. */
static vg_status prefix_bytes(const vg_attribution *a, const vg_batch *batch, size_t *making, size_t *held)
{
    const vg_model_shape *shape = vg_model_get_shape(a->model);
    const vg_load load = {.groups = batch->groups, .members = 1, .length = 1, .prefix = batch->prefix};
    *making = *held = 0;
    if (batch->groups == 0 || batch->prefix == 0)
        return VG_OK;
    *held = (size_t)((batch->groups - 1) * 2 * shape->layers * shape->kv_heads * batch->prefix * shape->head_size) * sizeof(float);
    return vg_engine_bytes(a->model, &load, making);
}

static vg_status run_cost(const vg_attribution *a, const vg_sweep_plan *plan, const vg_word_block *run, vg_cost *cost)
{
    const vg_batch_kind kind = kind_of(a, plan);
    vg_cost tiles = {0};
    size_t making, held;
    vg_batch batch;
    vg_status status;
    VG_TRY(vg_batch_make(a, &kind, run, &batch));
    VG_GO(prefix_bytes(a, &batch, &making, &held));
    for (int64_t b = 0; b < batch.rows; b++) {
        const vg_window *window = &batch.windows[b];
        int64_t begin, end;
        vg_window_word(a, window, window->word - plan->words > 0 ? window->word - plan->words : 0, &begin, &end);
        if (!batch.spare[b])
            VG_GO(tile_cost(a, plan, plan->recent ? batch.prefix : 0, plan->recent ? window->length - begin : window->length, batch.rows,
                            &tiles));
    }
    tiles.bytes += held;
    tiles.bytes = making > tiles.bytes ? making : tiles.bytes;
    cost->bytes = tiles.bytes > cost->bytes ? tiles.bytes : cost->bytes;
    cost->flops += tiles.flops;
done:
    vg_batch_free(&batch);
    return status;
}

vg_status vg_path_cost(const vg_attribution *a, const vg_sweep_plan *plan, const vg_word_block *block, vg_cost *cost)
{
    for (int64_t first = block->first; first < block->first + block->count;) {
        const vg_word_block run = next_run(a, plan, block, first);
        VG_TRY(run_cost(a, plan, &run, cost));
        first += run.count;
    }
    return VG_OK;
}
