/* batch: the windows of a block of words, side by side. Every row ends at the same position, where f is read; what lies before the K
 * attributed words of every row goes to the prefix, of which only keys and values are needed (attribution.md, causal cone 1 and 2). Words
 * whose windows begin at the same token (anchored and growing contexts) share one prefix and see as much of it as is theirs (6). */
#include <stdlib.h>
#include <string.h>

#include "sweep.h"

static int64_t at_least(int64_t x, int64_t least)
{
    return x < least ? least : x;
}

/* ---- windows ------------------------------------------------------------------------------------------------------------ */

/* The first token of the context of a word, before the model's limit is thought of. */
static int64_t context_begin(const vg_attribution *a, int64_t word)
{
    const vg_context *context = &a->context;
    const vg_passage *passage = a->passage;
    int64_t size = context->tokens > 0 ? context->tokens : context->words;
    int64_t end = context->tokens > 0 ? passage->first[word] : word, begin = at_least(end - size, 0);
    if (context->mode == VG_CONTEXT_GROWING)
        return 0;
    if (context->mode == VG_CONTEXT_ANCHORED) {
        int64_t half = at_least(size / 2, 1);
        begin = (begin + half - 1) / half * half;
    }
    return context->tokens > 0 ? begin : passage->first[begin];
}

/* A growing window that reached the model's limit goes on as a sliding one of whole words. */
static int64_t within_model(const vg_attribution *a, int64_t from, int64_t to)
{
    int64_t most = vg_model_get_shape(a->model)->positions - (a->bos >= 0);
    for (int64_t w = 0; to - from > most && w < a->passage->words; w++)
        if (to - a->passage->first[w] <= most)
            return a->passage->first[w];
    return from;
}

void vg_window_of(const vg_attribution *a, int64_t word, vg_window *window)
{
    *window = (vg_window){.word = word, .from = context_begin(a, word), .to = a->passage->first[word]};
    if (a->context.mode == VG_CONTEXT_GROWING)
        window->from = within_model(a, window->from, window->to + (a->context.whole_word ? a->passage->first[word + 1] - window->to : 0));
    window->length = window->to - window->from + (a->bos >= 0);
}

int32_t vg_window_token(const vg_attribution *a, const vg_window *window, int64_t i)
{
    int64_t at = window->to - window->length + i;
    return at < window->from ? a->bos : a->passage->ids[at];
}

void vg_window_word(const vg_attribution *a, const vg_window *window, int64_t word, int64_t *begin, int64_t *end)
{
    int64_t shift = window->length - window->to;
    *begin = *end = window->length - (window->to - window->from);
    if (word < 0)
        return;
    *begin = at_least(at_least(a->passage->first[word], window->from) + shift, *begin);
    *end = at_least(at_least(a->passage->first[word + 1], window->from) + shift, *begin);
}

/* Row 0 of a story has no context but BOS; a word without a token of its own has no target. */
static bool computable(const vg_attribution *a, const vg_batch_kind *kind, const vg_window *window)
{
    bool own = a->passage->first[window->word + 1] > a->passage->first[window->word];
    return own && (kind->own_word || (window->word > 0 && window->to > window->from));
}

/* ---- rows ---------------------------------------------------------------------------------------------------------------- */

static vg_status list_windows(const vg_attribution *a, const vg_batch_kind *kind, const vg_word_block *block, vg_window **windows,
                              int64_t *count)
{
    const int64_t *first = a->passage->first + block->first;
    int64_t tokens = first[block->count] - first[0];
    *count = 0;
    VG_TRY(VG_NEW(windows, block->count + tokens, "windows"));
    for (int64_t i = 0; i < block->count; i++) {
        vg_window window;
        vg_window_of(a, block->first + i, &window);
        if (!computable(a, kind, &window))
            continue;
        int64_t own = first[i + 1] - first[i], parts = kind->parts ? own : 1;
        for (int64_t part = 0; part < parts; part++) {
            int64_t more = kind->own_word ? own : part;
            (*windows)[(*count)++] =
                (vg_window){.word = window.word, .part = part, .from = window.from, .to = window.to + more, .length = window.length + more};
        }
    }
    return VG_OK;
}

/* How many of the windows from i on may share a prefix. */
static int64_t run_length(const vg_attribution *a, const vg_batch_kind *kind, const vg_window *windows, int64_t count, int64_t i)
{
    int64_t run = 1;
    if (a->context.mode == VG_CONTEXT_SLIDING && !kind->together)
        return 1;
    while (i + run < count && windows[i + run].from == windows[i].from)
        run++;
    return run;
}

/* Rows are groups of equally many members; the last window of a shorter run is repeated. */
static vg_status group_windows(const vg_attribution *a, const vg_batch_kind *kind, const vg_window *windows, int64_t count, vg_batch *batch)
{
    batch->members = 1;
    for (int64_t i = 0, run; i < count; i += run) {
        run = run_length(a, kind, windows, count, i);
        batch->members = at_least(batch->members, run);
        batch->groups++;
    }
    batch->rows = batch->groups * batch->members;
    VG_TRY(VG_NEW(&batch->windows, batch->rows, "windows"));
    VG_TRY(VG_NEW(&batch->spare, batch->rows, "windows"));
    int64_t b = 0;
    for (int64_t i = 0, run; i < count; i += run) {
        run = run_length(a, kind, windows, count, i);
        for (int64_t m = 0; m < batch->members; m++, b++) {
            batch->windows[b] = windows[i + (m < run ? m : run - 1)];
            batch->spare[b] = m >= run;
        }
    }
    return VG_OK;
}

/* Positions that a window must have as its own. */
static int64_t own_positions(const vg_attribution *a, const vg_batch_kind *kind, const vg_window *window)
{
    int64_t begin, end, word = kind->own_word ? window->word : at_least(window->word - kind->words, 0);
    vg_window_word(a, window, word, &begin, &end);
    return kind->everything ? 1 : window->length - begin;
}

static int64_t prefix_of_row(const vg_batch_kind *kind, const vg_batch *batch, const vg_window *window)
{
    return kind->everything ? window->length : at_least(window->length - batch->length, 0);
}

static vg_status allocate(vg_batch *batch, int64_t k)
{
    int64_t prefix, own;
    VG_TRY(vg_multiply(batch->groups, batch->prefix, "tokens of a block", &prefix));
    VG_TRY(vg_multiply(batch->rows, batch->length, "tokens of a block", &own));
    VG_TRY(VG_NEW(&batch->prefix_start, batch->groups, "window starts"));
    VG_TRY(VG_NEW(&batch->seen, batch->rows, "window starts"));
    VG_TRY(VG_NEW(&batch->start, batch->rows, "window starts"));
    VG_TRY(VG_NEW(&batch->target, batch->rows, "targets"));
    VG_TRY(VG_NEW(&batch->prefix_tokens, prefix, "tokens of a block"));
    VG_TRY(VG_NEW(&batch->tokens, own, "tokens of a block"));
    return VG_NEW(&batch->segment, batch->rows * (k + 2) + 1, "segments of a block");
}

/* The prefix of a group is that of its last member, whose window is the longest. */
static void fill_group(const vg_attribution *a, const vg_batch_kind *kind, vg_batch *batch, int64_t g)
{
    const vg_window *last = &batch->windows[(g + 1) * batch->members - 1];
    int64_t length = prefix_of_row(kind, batch, last), start = batch->prefix - length;
    batch->prefix_start[g] = (int32_t)(length > 0 ? start : at_least(batch->prefix - 1, 0)); /* a token that nobody sees */
    for (int64_t t = start; t < batch->prefix; t++)
        batch->prefix_tokens[g * batch->prefix + t] = vg_window_token(a, last, t - start);
}

static void fill_row(const vg_attribution *a, const vg_batch_kind *kind, vg_batch *batch, int64_t b)
{
    const vg_window *window = &batch->windows[b];
    const vg_window *last = &batch->windows[(b / batch->members + 1) * batch->members - 1];
    int64_t before = prefix_of_row(kind, batch, window), start = at_least(batch->length - window->length, 0), k = kind->words;
    batch->seen[b] = (int32_t)(before > 0 ? batch->prefix - prefix_of_row(kind, batch, last) + before : 0);
    batch->start[b] = (int32_t)start;
    batch->target[b] = kind->own_word ? -1 : a->passage->ids[window->to];
    for (int64_t t = start; t < batch->length; t++)
        batch->tokens[b * batch->length + t] = vg_window_token(a, window, window->length - batch->length + t);
    int32_t *segment = batch->segment + b * (k + 2);
    int64_t shift = (b + 1) * batch->length - window->length, begin, end = window->length;
    segment[0] = (int32_t)(b * batch->length);
    for (int64_t j = 0; j < k; j++) {
        vg_window_word(a, window, window->word - k + j + kind->own_word, &begin, &end);
        segment[1 + j] = (int32_t)at_least(begin + shift, segment[0]);
    }
    segment[1 + k] = (int32_t)(end + shift);
}

vg_status vg_batch_make(const vg_attribution *a, const vg_batch_kind *kind, const vg_word_block *block, vg_batch *batch)
{
    vg_window *windows = NULL;
    int64_t count;
    *batch = (vg_batch){.length = 1};
    vg_status status;
    VG_GO(list_windows(a, kind, block, &windows, &count));
    VG_GO(group_windows(a, kind, windows, count, batch));
    for (int64_t b = 0; b < batch->rows; b++)
        batch->length = at_least(batch->length, own_positions(a, kind, &batch->windows[b]));
    for (int64_t b = 0; b < batch->rows; b++)
        batch->prefix = at_least(batch->prefix, prefix_of_row(kind, batch, &batch->windows[b]));
    VG_GO(allocate(batch, kind->words));
    for (int64_t g = 0; g < batch->groups; g++)
        fill_group(a, kind, batch, g);
    for (int64_t b = 0; b < batch->rows; b++)
        fill_row(a, kind, batch, b);
    batch->segment[batch->rows * (kind->words + 2)] = (int32_t)(batch->rows * batch->length);
done:
    free(windows);
    if (status != VG_OK)
        vg_batch_free(batch);
    return status;
}

void vg_batch_free(vg_batch *batch)
{
    free(batch->windows);
    free(batch->spare);
    free(batch->prefix_start);
    free(batch->seen);
    free(batch->start);
    free(batch->target);
    free(batch->prefix_tokens);
    free(batch->tokens);
    free(batch->segment);
    *batch = (vg_batch){0};
}
