/* attribution: the story as blocks of words, and a block through all sweeps. What an entry's values are is settled by its own sweep, whose
 * batches follow from the entry and the block alone; blocks follow from the story, the context and the plan. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "sweep.h"

/* ---- blocks -------------------------------------------------------------------------------------------------------------- */

static vg_status check_windows(const vg_attribution *a)
{
    int64_t positions = vg_model_get_shape(a->model)->positions;
    bool own = a->context.whole_word;
    for (int64_t e = 0; e < a->entry_count; e++)
        own |= a->entries[e].at_word;
    for (int64_t w = 0; w < a->passage->words; w++) {
        vg_window window;
        vg_window_of(a, w, &window);
        int64_t length = window.length + (own ? a->passage->first[w + 1] - a->passage->first[w] : 0);
        if (length > positions)
            return vg_fail(VG_INVALID,
                           "the window of word %lld has %lld tokens%s, more than the model's %lld positions; make context.words smaller",
                           (long long)w, (long long)length, own ? " with its own" : "", (long long)positions);
    }
    return VG_OK;
}

/* A block as it is filled: groups of words whose windows begin alike, each of as many members as the largest. */
typedef struct {
    int64_t from, groups, run, members, longest;
} filling;

/* The same with one more window. Where windows share their beginning, most of a group's lies in one prefix. */
static filling add_window(const vg_attribution *a, filling f, const vg_window *window)
{
    bool joins = f.groups > 0 && window->from == f.from && a->context.mode != VG_CONTEXT_SLIDING;
    f.from = window->from;
    f.groups += !joins;
    f.run = joins ? f.run + 1 : 1;
    f.members = f.run > f.members ? f.run : f.members;
    f.longest = window->length > f.longest ? window->length : f.longest;
    return f;
}

/* Positions of the padded rows. A member of a group counts as a quarter of its window, of at most 16 positions: some ten words, the usual
 * K; what is really asked for must not move the blocks, so that no value depends on it. */
static int64_t positions_of(const vg_attribution *a, filling f)
{
    enum { OWN = 16 };
    int64_t own = (f.longest / 4 < OWN ? f.longest / 4 : OWN) + 1;
    return a->context.mode == VG_CONTEXT_SLIDING ? f.groups * f.longest : f.groups * (f.longest + f.members * own);
}

/* How many words from `first` on go into one block, at least one: while their rows fit into batch_tokens. A prefix that begins anew begins
 * a block once half of that is full. */
static int64_t words_of_block(const vg_attribution *a, int64_t first)
{
    int64_t most = a->plan.batch_tokens, w = first;
    filling f = {0};
    for (; w < a->passage->words; w++) {
        vg_window window;
        vg_window_of(a, w, &window);
        filling more = add_window(a, f, &window);
        bool anew = a->context.mode != VG_CONTEXT_SLIDING && more.from != f.from && 2 * positions_of(a, f) > most;
        if (w > first && (anew || positions_of(a, more) > most))
            break;
        f = more;
    }
    return w - first;
}

static vg_status make_blocks(vg_attribution *a)
{
    VG_TRY(VG_NEW(&a->blocks, a->passage->words, "blocks"));
    for (int64_t first = 0, count; first < a->passage->words; first += count) {
        count = words_of_block(a, first);
        a->blocks[a->block_count++] = (vg_word_block){.first = first, .count = count};
    }
    return VG_OK;
}

static vg_status measure_block(vg_attribution *a, vg_word_block *block, const vg_sweep_plan *plan)
{
    vg_cost cost = {0};
    switch (plan->kind) {
    case VG_SWEEP_WINDOW:
    case VG_SWEEP_WORD:
        VG_TRY(vg_window_cost(a, plan, block, &cost));
        break;
    case VG_SWEEP_ERASURE:
        VG_TRY(vg_erasure_cost(a, plan, block, &cost));
        break;
    case VG_SWEEP_PATH:
        VG_TRY(vg_path_cost(a, plan, block, &cost));
        break;
    case VG_SWEEP_HOST:
        break;
    }
    a->bytes = cost.bytes > a->bytes ? cost.bytes : a->bytes;
    block->cost += cost.flops;
    a->flops += cost.flops;
    return VG_OK;
}

static vg_status check_context(const vg_attribution *a)
{
    if (a->context.seed != NULL &&
        (a->context.whole_word || a->context.seed_layer < 0 || a->context.seed_layer > vg_model_get_shape(a->model)->layers))
        return vg_fail(VG_INVALID, "layer %lld: a state that is explained is that of a layer 0 .. %lld, of a word's first token",
                       (long long)a->context.seed_layer, (long long)vg_model_get_shape(a->model)->layers);
    if (a->context.target == VG_TARGET_KL && a->bos < 0)
        return vg_fail(VG_INVALID, "target: of: kl compares with the prediction after BOS alone; this model or study has no BOS");
    if (a->context.whole_word && a->context.target != VG_TARGET_LOG_PROB && a->context.target != VG_TARGET_SURPRISAL)
        return vg_fail(
            VG_INVALID,
            "target: span: word is a sum over the word's tokens, which log_prob and surprisal are; other targets are of the first token");
    if (a->context.whole_word && a->context.argmax)
        return vg_fail(VG_INVALID, "target: span: word and token: argmax do not go together: the model's own choice is one token");
    return VG_OK;
}

static vg_status plan_blocks(vg_attribution *a)
{
    free(a->blocks);
    a->blocks = NULL;
    a->block_count = 0;
    a->bytes = 0;
    a->flops = 0;
    VG_TRY(make_blocks(a));
    for (int64_t i = 0; i < a->block_count; i++)
        for (int64_t s = 0; s < a->sweep_count; s++)
            VG_TRY(measure_block(a, &a->blocks[i], &a->sweeps[s]));
    return VG_OK;
}

/* The largest batch, by halves, that memory holds. */
static vg_status fit_blocks(vg_attribution *a)
{
    enum { LEAST = 16 };
    VG_TRY(plan_blocks(a));
    while (a->plan.bytes > 0 && a->bytes > a->plan.bytes && a->plan.batch_tokens > LEAST) {
        a->plan.batch_tokens /= 2;
        VG_TRY(plan_blocks(a));
    }
    if (a->plan.bytes > 0 && a->bytes > a->plan.bytes)
        return vg_fail(VG_NO_MEMORY, "one window takes %.0f MB beside the model; %.0f MB are left for it (--memory)",
                       1e-6 * (double)a->bytes, 1e-6 * (double)a->plan.bytes);
    return VG_OK;
}

static vg_status create(vg_attribution *a, const vg_space_request *requests)
{
    VG_TRY(check_context(a));
    VG_TRY(VG_NEW(&a->entries, a->entry_count, "features"));
    VG_TRY(VG_NEW(&a->sweeps, a->entry_count, "sweeps"));
    VG_TRY(vg_entries_resolve(a, requests));
    VG_TRY(check_windows(a));
    return fit_blocks(a);
}

size_t vg_attribution_room(const vg_model *model, int64_t memory)
{
    size_t weights = vg_model_bytes(model), rest = (size_t)memory > weights ? (size_t)memory - weights : 1;
    size_t most = weights / 2 > 1250000000 ? weights / 2 : 1250000000;
    return rest < most ? rest : most;
}

vg_status vg_attribution_create(vg_model *model, const vg_passage *passage, const vg_context *context, const vg_space_request *requests,
                                int64_t count, const vg_attribution_plan *plan, vg_attribution **attribution)
{
    vg_attribution *a;
    *attribution = NULL;
    VG_TRY(VG_NEW(&a, 1, "attribution"));
    *a = (vg_attribution){
        .model = model, .device = vg_model_device(model), .passage = passage, .context = *context, .plan = *plan, .entry_count = count};
    a->bos = context->bos ? vg_model_get_shape(model)->bos : -1;
    vg_status status = create(a, requests);
    if (status == VG_OK)
        *attribution = a;
    else
        vg_attribution_free(a);
    return status;
}

void vg_attribution_free(vg_attribution *a)
{
    if (a == NULL)
        return;
    for (int64_t e = 0; a->entries != NULL && e < a->entry_count; e++) {
        free(a->entries[e].name);
        free(a->entries[e].layers);
    }
    for (int64_t i = 0; i < a->warning_count; i++)
        free(a->warnings[i]);
    vg_engine_free(a->engine);
    free(a->warnings);
    free(a->entries);
    free(a->outputs);
    free(a->blocks);
    free(a->sweeps);
    free(a->mean);
    free(a->kl_reference);
    free(a);
}

int64_t vg_attribution_outputs(const vg_attribution *attribution, const vg_output **outputs)
{
    *outputs = attribution->outputs;
    return attribution->output_count;
}

int64_t vg_attribution_blocks(const vg_attribution *attribution, const vg_word_block **blocks)
{
    *blocks = attribution->blocks;
    return attribution->block_count;
}

int64_t vg_attribution_batch(const vg_attribution *attribution)
{
    return attribution->plan.batch_tokens;
}

void vg_attribution_rest(vg_attribution *attribution)
{
    vg_engine_free(attribution->engine);
    attribution->engine = NULL;
}

size_t vg_attribution_bytes(const vg_attribution *attribution)
{
    return attribution->bytes;
}

double vg_attribution_flops(const vg_attribution *attribution)
{
    return attribution->flops;
}

int64_t vg_attribution_unconverged(const vg_attribution *attribution)
{
    int64_t count = 0;
    for (int64_t e = 0; e < attribution->entry_count; e++)
        count += attribution->entries[e].unconverged;
    return count;
}

/* ---- room for a block ------------------------------------------------------------------------------------------------------- */

vg_status vg_block_values_create(const vg_attribution *attribution, int64_t words, vg_block_values *values)
{
    float **numbers, **residual, **error;
    uint8_t **valid;
    int32_t **nodes;
    *values = (vg_block_values){0};
    VG_TRY(VG_NEW(&numbers, attribution->output_count, "outputs"));
    values->values = numbers;
    VG_TRY(VG_NEW(&valid, attribution->output_count, "outputs"));
    values->valid = valid;
    VG_TRY(VG_NEW(&nodes, attribution->output_count, "outputs"));
    values->nodes = nodes;
    VG_TRY(VG_NEW(&residual, attribution->output_count, "outputs"));
    values->residual = residual;
    VG_TRY(VG_NEW(&error, attribution->output_count, "outputs"));
    values->error = error;
    for (int64_t o = 0; o < attribution->output_count; o++) {
        VG_TRY(VG_NEW(&numbers[o], words * attribution->outputs[o].columns, "feature values"));
        VG_TRY(VG_NEW(&valid[o], words * attribution->outputs[o].columns, "feature values"));
        VG_TRY(VG_NEW(&nodes[o], words, "feature values"));
        VG_TRY(VG_NEW(&residual[o], words, "feature values"));
        VG_TRY(VG_NEW(&error[o], words, "feature values"));
    }
    return VG_OK;
}

void vg_block_values_free(const vg_attribution *attribution, vg_block_values *values)
{
    int64_t count = attribution != NULL ? attribution->output_count : 0;
    for (int64_t o = 0; o < count; o++) {
        if (values->values != NULL)
            free(values->values[o]);
        if (values->valid != NULL)
            free(values->valid[o]);
        if (values->nodes != NULL)
            free(values->nodes[o]);
        if (values->residual != NULL)
            free(values->residual[o]);
        if (values->error != NULL)
            free(values->error[o]);
    }
    free((void *)values->values);
    free((void *)values->valid);
    free((void *)values->nodes);
    free((void *)values->residual);
    free((void *)values->error);
    *values = (vg_block_values){0};
}

/* ---- one block ------------------------------------------------------------------------------------------------------------ */

static void normalize(const vg_entry *entry, int64_t columns, float *values)
{
    double sum = 0, largest = 0;
    for (int64_t c = 0; c < columns; c++) {
        double magnitude = fabs((double)values[c]);
        sum += magnitude;
        largest = magnitude > largest ? magnitude : largest;
        if (entry->absolute)
            values[c] = fabsf(values[c]);
    }
    double by = entry->normalize == VG_NORMALIZE_SUM ? sum : entry->normalize == VG_NORMALIZE_MAX ? largest : 1;
    for (int64_t c = 0; c < columns && by > 0; c++)
        values[c] = (float)((double)values[c] / by);
}

void vg_sink_put(const vg_attribution *a, const vg_sink *sink, const vg_entry *entry, int64_t index, int64_t word, const float *values)
{
    int64_t output = entry->first_output + index, columns = a->outputs[output].columns, k = entry->request.words;
    float *to = sink->to->values[output] + (word - sink->block->first) * columns;
    uint8_t *valid = sink->to->valid[output] + (word - sink->block->first) * columns;
    bool by_word = entry->columns == VG_COLUMNS_WORDS || entry->columns == VG_COLUMNS_HEADS;
    vg_window window;
    vg_window_of(a, word, &window);
    for (int64_t c = 0; c < columns; c++) {
        int64_t begin = 0, end = 1;
        if (by_word)
            vg_window_word(a, &window, word - k + c % k, &begin, &end);
        valid[c] = end > begin && !isnan(values[c]);
        to[c] = valid[c] ? values[c] : 0.0f;
    }
    if (entry->normalize != VG_NORMALIZE_NONE || entry->absolute)
        normalize(entry, columns, to);
}

/* Words without a row stay 0 and invalid. */
static void clear(const vg_attribution *a, const vg_sink *sink)
{
    for (int64_t o = 0; o < a->output_count; o++) {
        int64_t count = sink->block->count * a->outputs[o].columns;
        memset(sink->to->values[o], 0, (size_t)count * sizeof(float));
        memset(sink->to->valid[o], 0, (size_t)count);
        for (int64_t i = 0; i < sink->block->count; i++) {
            if (sink->to->nodes != NULL && sink->to->nodes[o] != NULL)
                sink->to->nodes[o][i] = 0;
            if (sink->to->residual != NULL && sink->to->residual[o] != NULL)
                sink->to->residual[o][i] = NAN;
            if (sink->to->error != NULL && sink->to->error[o] != NULL)
                sink->to->error[o][i] = NAN;
        }
    }
}

static vg_status run_host(const vg_attribution *a, int64_t sweep, const vg_sink *sink)
{
    for (int64_t e = 0; e < a->entry_count; e++) {
        const vg_entry *entry = &a->entries[e];
        if (entry->sweep != sweep)
            continue;
        int64_t columns = a->outputs[entry->first_output].columns;
        float *values;
        VG_TRY(VG_NEW(&values, sink->block->count * columns, "feature values"));
        vg_status status = entry->space->describe(a, entry, sink->block, values);
        for (int64_t i = 0; status == VG_OK && i < sink->block->count; i++)
            vg_sink_put(a, sink, entry, 0, sink->block->first + i, values + i * columns);
        free(values);
        VG_TRY(status);
    }
    return VG_OK;
}

static vg_status run_sweep(vg_attribution *a, int64_t sweep, const vg_sink *sink)
{
    switch (a->sweeps[sweep].kind) {
    case VG_SWEEP_WINDOW:
    case VG_SWEEP_WORD:
        return vg_window_run(a, sweep, sink);
    case VG_SWEEP_ERASURE:
        return vg_erasure_run(a, sweep, sink);
    case VG_SWEEP_PATH:
        return vg_path_run(a, sweep, sink);
    case VG_SWEEP_HOST:
        break;
    }
    return run_host(a, sweep, sink);
}

vg_status vg_attribution_run(vg_attribution *a, int64_t block, const vg_block_values *values)
{
    const vg_sink sink = {.block = &a->blocks[block], .to = values};
    if (a->engine == NULL)
        VG_TRY(vg_engine_create(a->model, a->bytes, &a->engine));
    clear(a, &sink);
    for (int64_t s = 0; s < a->sweep_count; s++) {
        vg_status status = run_sweep(a, s, &sink);
        vg_engine_reset(a->engine);
        VG_TRY(status);
    }
    return VG_OK;
}
