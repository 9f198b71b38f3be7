/* path: integrals from a baseline x' to the input x, word by word, to a tolerance (attribution.md, "Path integrals that are true").
 *
 * Nested closed trapezoid: nodes come in the order 1, 0, 1/2, 1/4, 3/4, 1/8, ... so that whenever 4, 8, 16, ... panels are whole every node
 * so far is one of theirs, with the same weight (half at both ends). A tile is some nodes of one window (path_tile.c); its integrands are
 * summed on the host, in double (integral.c). A window is alone in its tiles and these follow from its length alone, so that no value
 * depends on the words or spaces beside it. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "path.h"

enum { FIRST_PANELS = 16 };

/* ---- nodes ------------------------------------------------------------------------------------------------------------------- */

static int64_t nodes_of_tile(const vg_attribution *a, int64_t length)
{
    int64_t most = a->plan.batch_tokens / length;
    return most < 1 ? 1 : most > VG_MOST_NODES ? VG_MOST_NODES : most;
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
/* ---- one word ---------------------------------------------------------------------------------------------------------------- */

/* Adds a tile's nodes to the integrals, one after the other, and looks at them whenever their panels are whole. */
static void add_nodes(vg_path_walk *w, int64_t first, int64_t nodes, const vg_path_reading *r)
{
    for (int64_t n = 0; n < nodes; n++) {
        int64_t panels = panels_after(first + n, w->plan->steps);
        double weight = first + n < 2 ? 0.5 : 1;
        const double *from = w->total;
        for (int64_t i = 0; i < w->count; from += VG_MOST_NODES * w->integrals[i].size, i++) {
            vg_path_integral *it = &w->integrals[i];
            if (!it->active)
                continue;
            for (int64_t c = 0; c < it->size; c++)
                it->sum[c] += weight * from[n * it->size + c];
            it->rate += weight * (vg_is_attributed(it->entry) ? r->attributed[n] : r->rate[n]);
            it->nodes++;
            if (panels > 0)
                vg_integral_evaluate(w->a, it, panels, w->ends[0] - w->ends[1]);
        }
    }
}

static bool any_active(const vg_path_walk *w)
{
    bool active = false;
    for (int64_t i = 0; i < w->count; i++)
        active |= w->integrals[i].active;
    return active;
}

static vg_status run_tile(vg_path_walk *w, int64_t first, int64_t nodes)
{
    vg_path_reading r = {0};
    float place[VG_MOST_NODES];
    int64_t size = 0;
    for (int64_t n = 0; n < nodes; n++)
        place[n] = (float)place_of(first + n, w->plan->steps);
    for (int64_t i = 0; i < w->count; i++)
        size += w->integrals[i].size;
    memset(w->total, 0, (size_t)(size * VG_MOST_NODES) * sizeof *w->total);
    for (int64_t i = 0; i < w->tracks; i++) {
        vg_mark mark = vg_engine_mark(w->a->engine);
        VG_TRY(vg_track_run(w, &w->track[i], nodes, place, &r));
        vg_engine_release(w->a->engine, mark);
    }
    for (int64_t n = 0; n < nodes && first + n < 2; n++)
        w->ends[first + n] = r.f[n];
    add_nodes(w, first, nodes, &r);
    return VG_OK;
}

/* Tiles end where 16, 32, 64, ... panels are whole, so that they follow from the window alone. */
static vg_status walk_path(vg_path_walk *w)
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

static vg_status put_word(vg_path_walk *w, const vg_sink *sink, int64_t word, vg_path_integral *it)
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
static vg_status run_word(vg_path_walk *w, const vg_batch *batch, const vg_prefix *prefix, int64_t b, const vg_sink *sink)
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
        VG_GO(vg_track_begin(w, batch, i, &w->track[i - b]));
    }
    for (int64_t i = 0; i < w->count; i++)
        vg_integral_begin(&w->integrals[i], word);
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

/* ---- a block ----------------------------------------------------------------------------------------------------------------- */

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

static vg_status run_words(vg_path_walk *w, const vg_word_block *run, const vg_sink *sink)
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
    vg_path_walk w = {.a = a, .plan = &a->sweeps[sweep]};
    int64_t largest = 0, size = 0;
    vg_status status;
    VG_GO(vg_integrals_make(a, sweep, &w.integrals, &w.count));
    for (int64_t i = 0; i < w.count; i++) {
        size += w.integrals[i].size;
        largest = w.integrals[i].size > largest ? w.integrals[i].size : largest;
    }
    VG_GO(VG_NEW(&w.part, largest * VG_MOST_NODES, "integrands"));
    VG_GO(VG_NEW(&w.total, size * VG_MOST_NODES, "integrands"));
    for (int64_t first = sink->block->first; first < sink->block->first + sink->block->count;) {
        const vg_word_block run = next_run(a, w.plan, sink->block, first);
        VG_GO(run_words(&w, &run, sink));
        first += run.count;
    }
done:
    vg_integrals_free(w.integrals, w.count);
    free(w.part);
    free(w.total);
    return status;
}

/* ---- cost -------------------------------------------------------------------------------------------------------------------- */

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

/* Nodes that a word will take on average, of the entry that takes most. Measured with stories260K over Alice: 44 at a tolerance of .1, 53
 * at .05, 83 at .01 (a smaller model took 27, 32, 53): it grows with the tolerance's power of -.28. */
static double expected_nodes(const vg_attribution *a, const vg_sweep_plan *plan)
{
    double most = FIRST_PANELS + 1;
    if (plan->steps > 0)
        return (double)(plan->steps + 1);
    for (int64_t e = 0; e < a->entry_count; e++) {
        const vg_space_request *request = &a->entries[e].request;
        if (&a->sweeps[a->entries[e].sweep] == plan)
            most = fmax(most, fmin(53 * pow(0.05 / request->tolerance, 0.28), (double)(request->max_steps + 1)));
    }
    return most;
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
    cost->flops += flops * expected_nodes(a, plan) / (double)nodes;
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
