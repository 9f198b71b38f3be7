/* batch: the windows of a block of words, side by side. Every row ends at the same position, where f is read; what lies before the K
 * attributed words of every row goes to the prefix, of which only keys and values are needed (attribution.md, causal cone 1 and 2). */
#include <stdlib.h>
#include <string.h>

#include "sweep.h"

static int64_t at_least(int64_t x, int64_t least)
{
    return x < least ? least : x;
}

void vg_window_of(const vg_passage *passage, const vg_context *context, bool bos, int64_t word, vg_window *window)
{
    window->word = word;
    window->from = passage->first[at_least(word - context->words, 0)];
    window->to = passage->first[word];
    window->length = window->to - window->from + bos;
}

/* Row 0 of a story has no context but BOS; a word without a token of its own has no target. */
static bool computable(const vg_passage *passage, int64_t word, const vg_window *window)
{
    return word > 0 && window->to > window->from && passage->first[word + 1] > passage->first[word];
}

static int64_t attributed_tokens(const vg_passage *passage, const vg_window *window, int64_t k)
{
    int64_t begin = passage->first[at_least(window->word - k, 0)];
    return window->to - at_least(begin, window->from);
}

static vg_status allocate(vg_batch *batch, int64_t k)
{
    int64_t prefix, own;
    VG_TRY(vg_multiply(batch->rows, batch->prefix, "tokens of a block", &prefix));
    VG_TRY(vg_multiply(batch->rows, batch->length, "tokens of a block", &own));
    VG_TRY(VG_NEW(&batch->prefix_start, batch->rows, "window starts"));
    VG_TRY(VG_NEW(&batch->seen, batch->rows, "window starts"));
    VG_TRY(VG_NEW(&batch->start, batch->rows, "window starts"));
    VG_TRY(VG_NEW(&batch->target, batch->rows, "targets"));
    VG_TRY(VG_NEW(&batch->prefix_tokens, prefix, "tokens of a block"));
    VG_TRY(VG_NEW(&batch->tokens, own, "tokens of a block"));
    return VG_NEW(&batch->segment, batch->rows * (k + 1) + 1, "segments of a block");
}

static void fill_row(const vg_passage *passage, int32_t bos, int64_t k, vg_batch *batch, int64_t b)
{
    const vg_window *window = &batch->windows[b];
    int64_t whole = batch->prefix + batch->length, start = whole - window->length;
    batch->prefix_start[b] = (int32_t)(start < batch->prefix ? start : at_least(batch->prefix - 1, 0));
    batch->seen[b] = (int32_t)(start < batch->prefix ? batch->prefix : 0);
    batch->start[b] = (int32_t)at_least(start - batch->prefix, 0);
    batch->target[b] = passage->ids[window->to];
    for (int64_t t = start; t < whole; t++) {
        int64_t at = window->to - (whole - t); /* in the passage; one before `from` is BOS */
        int32_t id = at < window->from ? bos : passage->ids[at];
        if (t < batch->prefix)
            batch->prefix_tokens[b * batch->prefix + t] = id;
        else
            batch->tokens[b * batch->length + t - batch->prefix] = id;
    }
    int32_t *segment = batch->segment + b * (k + 1);
    int64_t end = (b + 1) * batch->length;
    segment[0] = (int32_t)(b * batch->length);
    for (int64_t j = 0; j < k; j++) {
        int64_t word = window->word - k + j;
        int64_t begin = word < 0 ? window->from : at_least(passage->first[word], window->from);
        segment[1 + j] = (int32_t)(end - (window->to - begin));
    }
}

vg_status vg_batch_make(const vg_passage *passage, const vg_context *context, int32_t bos, int64_t k, const vg_word_block *block, vg_batch *batch)
{
    *batch = (vg_batch){.length = 1};
    vg_status status;
    VG_GO(VG_NEW(&batch->windows, block->count, "windows"));
    int64_t longest = 1;
    for (int64_t i = 0; i < block->count; i++) {
        vg_window *window = &batch->windows[batch->rows];
        vg_window_of(passage, context, bos >= 0, block->first + i, window);
        if (!computable(passage, block->first + i, window))
            continue;
        batch->rows++;
        longest = at_least(longest, window->length);
        batch->length = at_least(batch->length, attributed_tokens(passage, window, k));
    }
    batch->prefix = longest - batch->length;
    VG_GO(allocate(batch, k));
    for (int64_t b = 0; b < batch->rows; b++)
        fill_row(passage, bos, k, batch, b);
    batch->segment[batch->rows * (k + 1)] = (int32_t)(batch->rows * batch->length);
done:
    if (status != VG_OK)
        vg_batch_free(batch);
    return status;
}

void vg_batch_free(vg_batch *batch)
{
    free(batch->windows);
    free(batch->prefix_start);
    free(batch->seen);
    free(batch->start);
    free(batch->target);
    free(batch->prefix_tokens);
    free(batch->tokens);
    free(batch->segment);
    *batch = (vg_batch){0};
}
