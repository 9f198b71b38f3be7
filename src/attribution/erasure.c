/* erasure: f(x) - f(x without word i), and f without any set of the K words. Nothing before the first erased word changes when it goes, so
 * keys and values of the whole window are made once and each erasure runs its suffix alone (attribution.md, causal cone 4): short batches,
 * one for each column or set, so that a batch's rows are about equally long. value_zeroing: Mohebbi et al. 2023, here by its effect on f.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "sweep.h"

/* Which of the K words goes in every row: one and the same column, or what a set says; column < 0 and no set: none. */
typedef struct {
    int64_t column;
    const uint8_t *gone; /* (block's words, K), or NULL */
    int64_t first_word;  /* of the block */
} choice;

/* One choice's rows: what each sees of the whole window, and what it runs itself. */
typedef struct {
    int64_t length;
    bool *possible; /* (rows) false: no such word, or no token would be left */
    int32_t *seen, *start, *tokens;
    uint8_t *hidden, *silent; /* NULL where the kind needs none */
    uint8_t *erased;          /* (longest window), room for one row's marks */
} suffixes;

/* Of a window, `own` positions from `from` on run again; those before are as they were. own 0: nothing is erased, or nothing would be left.
 */
typedef struct {
    int64_t from, own;
} cut;

/* erased (n): marks of the window's positions that go. */
static void mark_erased(const vg_attribution *a, const vg_batch *batch, int64_t k, const choice *c, int64_t b, uint8_t *erased)
{
    const vg_window *window = &batch->windows[b];
    memset(erased, 0, (size_t)window->length);
    for (int64_t j = 0; j < k; j++) {
        int64_t begin, end;
        if (c->gone != NULL ? c->gone[(window->word - c->first_word) * k + j] == 0 : j != c->column)
            continue;
        vg_window_word(a, window, window->word - k + j, &begin, &end);
        memset(erased + begin, 1, (size_t)(end - begin));
    }
}

static cut cut_of(vg_erase erase, int64_t n, const uint8_t *erased)
{
    const uint8_t *one = memchr(erased, 1, (size_t)n);
    int64_t first = one != NULL ? one - erased : n, next = first, left = 0;
    if (one == NULL)
        return (cut){0};
    for (int64_t t = first; t < n; t++)
        left += erased[t] == 0;
    if (erase == VG_ERASE_DELETE && left == 0) /* f is read at the token before */
        return (cut){.from = first - 1, .own = first > 0};
    if (erase == VG_ERASE_DELETE)
        return (cut){.from = first, .own = left};
    while (erase == VG_ERASE_MASK && next < n - 1 && erased[next] != 0)
        next++;
    return (cut){.from = next, .own = n - next};
}

static void free_suffixes(suffixes *s)
{
    free(s->possible);
    free(s->seen);
    free(s->start);
    free(s->tokens);
    free(s->hidden);
    free(s->silent);
    free(s->erased);
    *s = (suffixes){0};
}

static int64_t longest_window(const vg_batch *batch)
{
    int64_t longest = 1;
    for (int64_t b = 0; b < batch->rows; b++)
        longest = batch->windows[b].length > longest ? batch->windows[b].length : longest;
    return longest;
}

static int64_t longest_suffix(const vg_attribution *a, const vg_sweep_plan *plan, const vg_batch *batch, const choice *c, uint8_t *erased)
{
    int64_t longest = 1;
    for (int64_t b = 0; b < batch->rows; b++) {
        mark_erased(a, batch, plan->words, c, b, erased);
        int64_t own = cut_of(plan->erase, batch->windows[b].length, erased).own;
        longest = own > longest ? own : longest;
    }
    return longest;
}

static void fill_suffix(const vg_attribution *a, const vg_sweep_plan *plan, const vg_batch *batch, int64_t b, cut c, suffixes *s)
{
    const vg_window *window = &batch->windows[b];
    int64_t n = window->length, base = batch->seen[b] - n; /* where the window begins in the prefix */
    int64_t keys = batch->prefix + s->length, at = s->length - c.own;
    s->seen[b] = (int32_t)(base + c.from);
    s->start[b] = (int32_t)at;
    for (int64_t t = c.from; t < n; t++) {
        bool erased = s->erased[t] != 0;
        if (erased && plan->erase == VG_ERASE_DELETE)
            continue;
        s->tokens[b * s->length + at] = erased && plan->erase == VG_ERASE_REPLACE ? plan->token : vg_window_token(a, window, t);
        if (erased && plan->erase == VG_ERASE_ZERO)
            s->tokens[b * s->length + at] = -1;
        if (erased && s->silent != NULL)
            s->silent[b * s->length + at] = 1;
        if (erased && s->hidden != NULL)
            s->hidden[b * keys + batch->prefix + at] = 1;
        at++;
    }
    for (int64_t t = 0; s->hidden != NULL && t < c.from; t++)
        s->hidden[b * keys + base + t] = s->erased[t];
}

/* A row that cannot be erased so runs its last position as it is. */
static void fill_plain(const vg_attribution *a, const vg_batch *batch, int64_t b, suffixes *s)
{
    const vg_window *window = &batch->windows[b];
    s->seen[b] = batch->seen[b] - 1;
    s->start[b] = (int32_t)s->length - 1;
    s->tokens[b * s->length + s->length - 1] = vg_window_token(a, window, window->length - 1);
}

static vg_status make_suffixes(const vg_attribution *a, const vg_sweep_plan *plan, const vg_batch *batch, const choice *c, suffixes *s)
{
    *s = (suffixes){0};
    VG_TRY(VG_NEW(&s->erased, longest_window(batch), "erasures"));
    s->length = longest_suffix(a, plan, batch, c, s->erased);
    VG_TRY(VG_NEW(&s->possible, batch->rows, "erasures"));
    VG_TRY(VG_NEW(&s->seen, batch->rows, "erasures"));
    VG_TRY(VG_NEW(&s->start, batch->rows, "erasures"));
    VG_TRY(VG_NEW(&s->tokens, batch->rows * s->length, "erasures"));
    if (plan->erase == VG_ERASE_MASK)
        VG_TRY(VG_NEW(&s->hidden, batch->rows * (batch->prefix + s->length), "erasures"));
    if (plan->erase == VG_ERASE_VALUES)
        VG_TRY(VG_NEW(&s->silent, batch->rows * s->length, "erasures"));
    for (int64_t b = 0; b < batch->rows; b++) {
        mark_erased(a, batch, plan->words, c, b, s->erased);
        cut part = cut_of(plan->erase, batch->windows[b].length, s->erased);
        s->possible[b] = part.own > 0;
        if (s->possible[b])
            fill_suffix(a, plan, batch, b, part, s);
        else
            fill_plain(a, batch, b, s);
    }
    return VG_OK;
}

/* ---- cost ----------------------------------------------------------------------------------------------------------------- */

static size_t own_bytes(const vg_attribution *a, int64_t rows, int64_t length)
{
    const vg_model_shape *shape = vg_model_get_shape(a->model);
    return 4 * (size_t)(rows * length * (shape->width + 1) + rows) + vg_target_bytes(a, rows) + 8 * 256;
}

static vg_batch_kind kind_of(const vg_attribution *a, const vg_sweep_plan *plan)
{
    return (vg_batch_kind){.words = plan->words, .everything = true, .parts = a->context.whole_word};
}

static vg_status add_load(const vg_attribution *a, const vg_batch *batch, int64_t length, bool with_prefix, vg_cost *cost)
{
    vg_load load = {.groups = batch->groups,
                    .members = batch->members,
                    .length = length,
                    .prefix = batch->prefix,
                    .masked = true,
                    .others = own_bytes(a, batch->rows, length)};
    vg_load alone = {.groups = batch->groups, .members = 1, .length = 1, .prefix = batch->prefix, .masked = true};
    vg_load nothing = {.groups = batch->groups, .members = 1, .length = 1, .masked = true};
    size_t bytes;
    double flops, prefix, rest;
    VG_TRY(vg_engine_bytes(a->model, &load, &bytes));
    VG_TRY(vg_engine_flops(a->model, &load, &flops));
    VG_TRY(vg_engine_flops(a->model, &alone, &prefix));
    VG_TRY(vg_engine_flops(a->model, &nothing, &rest));
    cost->bytes = bytes > cost->bytes ? bytes : cost->bytes;
    cost->flops += with_prefix ? flops : flops - (prefix - rest);
    return VG_OK;
}

vg_status vg_erasure_cost(const vg_attribution *a, const vg_sweep_plan *plan, const vg_word_block *block, vg_cost *cost)
{
    const vg_batch_kind kind = kind_of(a, plan);
    uint8_t *erased = NULL;
    vg_batch batch;
    vg_status status = VG_OK;
    VG_TRY(vg_batch_make(a, &kind, block, &batch));
    if (batch.rows == 0)
        goto done;
    VG_GO(VG_NEW(&erased, longest_window(&batch), "erasures"));
    VG_GO(add_load(a, &batch, 1, true, cost));
    for (int64_t j = 0; j < plan->words; j++)
        VG_GO(add_load(a, &batch, longest_suffix(a, plan, &batch, &(choice){.column = j}, erased), false, cost));
done:
    free(erased);
    vg_batch_free(&batch);
    return status;
}

/* ---- work ----------------------------------------------------------------------------------------------------------------- */

/* Embeddings of the rows' tokens; zeros where a token is -1. */
static vg_status embed(vg_attribution *a, const suffixes *s, int64_t rows, float **x)
{
    const vg_model_shape *shape = vg_model_get_shape(a->model);
    int64_t count = rows * s->length;
    VG_TRY(VG_TAKE(vg_engine_arena(a->engine), x, count * shape->width, "embeddings"));
    int32_t *tokens;
    VG_TRY(VG_NEW(&tokens, count, "tokens"));
    for (int64_t i = 0; i < count; i++)
        tokens[i] = s->tokens[i] < 0 ? 0 : s->tokens[i];
    vg_status status = vg_engine_embed(a->engine, count, tokens, *x);
    free(tokens);
    for (int64_t i = 0; status == VG_OK && i < count; i++)
        if (s->tokens[i] < 0)
            status = a->device->ops->fill(a->device, *x + i * shape->width, shape->width, 0.0f);
    return status;
}

/* f (rows) of the suffixes; token: host (rows), the targets; the model's own choice is written back. */
static vg_status run_suffixes(vg_attribution *a, const vg_batch *batch, const vg_prefix *prefix, const suffixes *s, int32_t *token,
                              double *f)
{
    const vg_device_ops *ops = a->device->ops;
    vg_mark mark = vg_engine_mark(a->engine);
    size_t bytes = (size_t)batch->rows * sizeof *token;
    vg_tape *tape;
    float *x;
    int32_t *there;
    VG_TRY(embed(a, s, batch->rows, &x));
    const vg_rows rows = {.groups = batch->groups,
                          .members = batch->members,
                          .length = s->length,
                          .start = s->start,
                          .embeddings = x,
                          .hidden = s->hidden,
                          .silent = s->silent,
                          .prefix = prefix,
                          .seen = s->seen};
    VG_TRY(vg_engine_forward(a->engine, &rows, false, false, &tape));
    VG_TRY(VG_TAKE(vg_engine_arena(a->engine), &there, batch->rows, "targets"));
    VG_TRY(ops->up(a->device, there, token, bytes));
    VG_TRY(vg_target_take(a, batch->rows, tape->logits, there, false, f));
    VG_TRY(ops->down(a->device, token, there, bytes));
    vg_engine_release(a->engine, mark);
    return VG_OK;
}

/* f (rows) without what the choice says; impossible: NaN. */
static vg_status erase_choice(vg_attribution *a, const vg_sweep_plan *plan, const vg_batch *batch, const vg_prefix *prefix, const choice *c,
                              int32_t *token, double *f)
{
    suffixes s;
    vg_status status = make_suffixes(a, plan, batch, c, &s);
    if (status == VG_OK)
        status = run_suffixes(a, batch, prefix, &s, token, f);
    for (int64_t b = 0; status == VG_OK && (c->column >= 0 || c->gone != NULL) && b < batch->rows; b++)
        f[b] = s.possible[b] ? f[b] : NAN;
    free_suffixes(&s);
    return status;
}

/* Keys and values of the whole windows, and f (rows) of them. */
static vg_status run_whole(vg_attribution *a, const vg_sweep_plan *plan, const vg_batch *batch, vg_prefix **prefix, double *f)
{
    const vg_rows before = {
        .groups = batch->groups, .members = 1, .length = batch->prefix, .start = batch->prefix_start, .tokens = batch->prefix_tokens};
    for (int64_t b = 0; a->context.argmax && b < batch->rows; b++)
        batch->target[b] = -1;
    VG_TRY(vg_engine_prefix(a->engine, &before, false, prefix));
    return erase_choice(a, plan, batch, *prefix, &(choice){.column = -1}, batch->target, f);
}

/* scores (rows, K), double: f(x) - f(x without word j). */
static vg_status erase_all(vg_attribution *a, const vg_sweep_plan *plan, const vg_batch *batch, double *scores)
{
    double *whole = NULL, *without = NULL;
    vg_prefix *prefix;
    vg_status status;
    VG_GO(VG_NEW(&whole, batch->rows, "targets"));
    VG_GO(VG_NEW(&without, batch->rows, "targets"));
    VG_GO(run_whole(a, plan, batch, &prefix, whole));
    for (int64_t j = 0; j < plan->words; j++) {
        VG_GO(erase_choice(a, plan, batch, prefix, &(choice){.column = j}, batch->target, without));
        for (int64_t b = 0; b < batch->rows; b++)
            scores[b * plan->words + j] = whole[b] - without[b];
    }
done:
    free(whole);
    free(without);
    return status;
}

/* Parts of a word add up. */
static void put_rows(const vg_attribution *a, const vg_sink *sink, int64_t sweep, const vg_batch *batch, int64_t k, double *scores,
                     float *row)
{
    for (int64_t b = batch->rows - 1; b >= 0; b--) {
        bool more = b + 1 < batch->rows && !batch->spare[b] && !batch->spare[b + 1] && batch->windows[b + 1].word == batch->windows[b].word;
        for (int64_t j = 0; j < k; j++) {
            scores[b * k + j] += more ? scores[(b + 1) * k + j] : 0;
            row[j] = (float)scores[b * k + j];
        }
        for (int64_t e = 0; !batch->spare[b] && batch->windows[b].part == 0 && e < a->entry_count; e++)
            if (a->entries[e].sweep == sweep)
                vg_sink_put(a, sink, &a->entries[e], 0, batch->windows[b].word, row);
    }
}

vg_status vg_erasure_run(vg_attribution *a, int64_t sweep, const vg_sink *sink)
{
    const vg_sweep_plan *plan = &a->sweeps[sweep];
    const vg_batch_kind kind = kind_of(a, plan);
    double *scores = NULL;
    float *row = NULL;
    vg_batch batch;
    VG_TRY(vg_batch_make(a, &kind, sink->block, &batch));
    vg_status status;
    VG_GO(VG_NEW(&scores, batch.rows * plan->words, "scores"));
    VG_GO(VG_NEW(&row, plan->words, "scores"));
    if (batch.rows > 0)
        VG_GO(erase_all(a, plan, &batch, scores));
    put_rows(a, sink, sweep, &batch, plan->words, scores, row);
done:
    free(scores);
    free(row);
    vg_batch_free(&batch);
    return status;
}

/* ---- sets ----------------------------------------------------------------------------------------------------------------- */

/* f (block's words) from that of rows: parts add up. */
static void sum_parts(const vg_batch *batch, const vg_word_block *block, const double *rows, double *f)
{
    for (int64_t i = 0; i < block->count; i++)
        f[i] = NAN;
    for (int64_t b = 0; b < batch->rows; b++) {
        double *to = &f[batch->windows[b].word - block->first];
        if (!batch->spare[b])
            *to = batch->windows[b].part == 0 ? rows[b] : *to + rows[b];
    }
}

/* Room in the engine for the longest suffixes that sets can have: the K words and the token before them. */
static vg_status make_room(vg_attribution *a, const vg_sweep_plan *plan, const vg_batch *batch)
{
    vg_cost cost = {0};
    int64_t longest = 1;
    for (int64_t b = 0; b < batch->rows; b++) {
        const vg_window *window = &batch->windows[b];
        int64_t begin, end;
        vg_window_word(a, window, window->word > plan->words ? window->word - plan->words : 0, &begin, &end);
        longest = window->length - begin > longest ? window->length - begin : longest;
    }
    VG_TRY(add_load(a, batch, longest, true, &cost));
    if (a->engine != NULL && vg_engine_arena(a->engine)->size >= cost.bytes)
        return VG_OK;
    vg_engine_free(a->engine);
    a->engine = NULL;
    a->bytes = cost.bytes > a->bytes ? cost.bytes : a->bytes;
    return vg_engine_create(a->model, a->bytes, &a->engine);
}

static vg_status erase_sets(vg_attribution *a, const vg_sweep_plan *plan, const vg_batch *batch, const vg_word_block *block, int64_t sets,
                            const uint8_t *gone, double *whole, double *f)
{
    double *rows;
    vg_prefix *prefix;
    VG_TRY(VG_NEW(&rows, batch->rows, "targets"));
    vg_status status;
    VG_GO(make_room(a, plan, batch));
    VG_GO(run_whole(a, plan, batch, &prefix, rows));
    sum_parts(batch, block, rows, whole);
    for (int64_t i = 0; i < sets; i++) {
        const choice c = {.column = -1, .gone = gone + i * block->count * plan->words, .first_word = block->first};
        VG_GO(erase_choice(a, plan, batch, prefix, &c, batch->target, rows));
        sum_parts(batch, block, rows, f + i * block->count);
    }
done:
    free(rows);
    if (a->engine != NULL)
        vg_engine_reset(a->engine);
    return status;
}

vg_status vg_attribution_erase(vg_attribution *a, int64_t block, int64_t words, bool mask, int64_t sets, const uint8_t *gone, double *whole,
                               double *f)
{
    const vg_sweep_plan plan = {.kind = VG_SWEEP_ERASURE, .words = words, .erase = mask ? VG_ERASE_MASK : VG_ERASE_DELETE};
    const vg_batch_kind kind = kind_of(a, &plan);
    const vg_word_block *at = &a->blocks[block];
    vg_batch batch;
    VG_TRY(vg_batch_make(a, &kind, at, &batch));
    vg_status status = VG_OK;
    for (int64_t i = 0; i < at->count; i++)
        whole[i] = NAN;
    for (int64_t i = 0; i < sets * at->count; i++)
        f[i] = NAN;
    if (batch.rows > 0)
        status = erase_sets(a, &plan, &batch, at, sets, gone, whole, f);
    vg_batch_free(&batch);
    return status;
}
