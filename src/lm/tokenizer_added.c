/* tokenizer_added: added tokens, cut out of a text before anything else looks at it: at every place the longest one, from left to
 * right. Those not `normalized` are looked for in the text as it came, the others, normalized themselves, in the normalized text. */
#include <stdlib.h>
#include <string.h>

#include "tokenizer.h"

/* By kind, first byte, length (longest first), bytes. */
static int compare(const void *a, const void *b, void *context)
{
    const vg_added *all = context, *x = &all[*(const int32_t *)a], *y = &all[*(const int32_t *)b];
    if (x->normalized != y->normalized)
        return x->normalized - y->normalized;
    if (x->pattern[0] != y->pattern[0])
        return (uint8_t)x->pattern[0] - (uint8_t)y->pattern[0];
    if (x->pattern_size != y->pattern_size)
        return x->pattern_size < y->pattern_size ? 1 : -1;
    return memcmp(x->pattern, y->pattern, x->pattern_size);
}

vg_status vg_added_normalize(vg_added *token, const vg_steps *normalizer)
{
    vg_text text = {.limit = VG_LONGEST(token->content_size)}, spare = {.limit = text.limit};
    vg_spans spans = {0};
    vg_status status;
    VG_GO(vg_text_append(&text, token->content, token->content_size, (vg_origin){0}));
    VG_GO(vg_text_piece(&text, (vg_piece){.end = text.size, .id = -1}));
    if (token->normalized)
        VG_GO(vg_steps_run(normalizer, &text, &spare, &spans));
    token->pattern_size = text.count > 0 ? text.pieces[0].end - text.pieces[0].begin : 0;
    if (token->pattern_size == 0)
        VG_GO(vg_fail(VG_INVALID, "added token \"%s\" is empty once normalized", token->content));
    VG_GO(VG_NEW(&token->pattern, (int64_t)token->pattern_size + 1, "bytes of an added token"));
    memcpy(token->pattern, text.bytes + text.pieces[0].begin, token->pattern_size);
done:
    vg_text_free(&text);
    vg_text_free(&spare);
    vg_spans_free(&spans);
    return status;
}

vg_status vg_added_index(vg_added_tokens *added)
{
    VG_TRY(VG_NEW(&added->order, (int64_t)added->count, "added tokens"));
    for (size_t i = 0; i < added->count; i++)
        added->order[i] = (int32_t)i;
    qsort_r(added->order, added->count, sizeof *added->order, compare, added->at);
    for (size_t i = 1; i < added->count; i++)
        if (compare(&added->order[i - 1], &added->order[i], added->at) == 0)
            return vg_fail(VG_INVALID, "added tokens \"%s\" and \"%s\" are the same once normalized",
                           added->at[added->order[i - 1]].content, added->at[added->order[i]].content);
    size_t at = 0;
    for (int kind = 0; kind < 2; kind++) {
        for (int byte = 0; byte < 256; byte++) {
            added->first[kind][byte] = (int32_t)at;
            while (at < added->count && added->at[added->order[at]].normalized == kind &&
                   (uint8_t)added->at[added->order[at]].pattern[0] == byte)
                at++;
        }
        added->first[kind][256] = (int32_t)at;
    }
    VG_TRY(vg_pattern_compile("[\\w]", 4, false, &added->word));
    return VG_OK;
}

void vg_added_free(vg_added_tokens *added)
{
    for (size_t i = 0; i < added->count; i++) {
        free(added->at[i].content);
        free(added->at[i].pattern);
    }
    free(added->at);
    free(added->order);
    vg_pattern_free(&added->word);
    *added = (vg_added_tokens){0};
}

/* The longest token that stands at the beginning of these bytes, or NULL. */
static const vg_added *find(const vg_added_tokens *added, bool normalized, const char *text, size_t size)
{
    const int32_t *first = added->first[normalized] + (uint8_t)text[0];
    for (int32_t i = first[0]; i < first[1]; i++) {
        const vg_added *token = &added->at[added->order[i]];
        if (token->pattern_size <= size && memcmp(token->pattern, text, token->pattern_size) == 0)
            return token;
    }
    return NULL;
}

static size_t before(const char *text, size_t at)
{
    do
        at--;
    while ((text[at] & 0xC0) == 0x80);
    return at;
}

/* Whether a character is of a word (the reference asks Rust's regex crate: \w and the two joiners). */
static vg_status is_word(const vg_added_tokens *added, const char *character, size_t length, vg_spans *spans, bool *word)
{
    size_t unused;
    uint32_t code = vg_utf8_get(character, &unused);
    VG_TRY(vg_pattern_spans(&added->word, character, length, spans));
    *word = code == 0x200C || code == 0x200D || (spans->count == 1 && spans->at[0].match);
    return VG_OK;
}

static vg_status stands_alone(const vg_added_tokens *added, const char *text, size_t size, size_t begin, size_t end, vg_spans *spans,
                              bool *alone)
{
    bool left = false, right = false;
    if (begin > 0) {
        size_t last = before(text, begin);
        VG_TRY(is_word(added, text + last, begin - last, spans, &left));
    }
    if (end < size) {
        size_t length;
        vg_utf8_get(text + end, &length);
        VG_TRY(is_word(added, text + end, length, spans, &right));
    }
    *alone = !left && !right;
    return VG_OK;
}

/* The piece of an added token that covers [begin, end) of a working text. Blanks at its ends are counted for vg_trim. */
static vg_piece token_piece(const vg_text *text, size_t begin, size_t end, int32_t id)
{
    vg_piece piece = {.id = id, .origin = {text->origin[begin].begin, text->origin[end - 1].end}};
    vg_count_blanks(text->bytes + begin, end - begin, &piece.leading, &piece.trailing);
    return piece;
}

static vg_status cut(const vg_added_tokens *added, bool normalized, const vg_text *text, const vg_piece *piece, vg_text *out,
                     vg_spans *spans)
{
    const char *bytes = text->bytes + piece->begin;
    size_t size = piece->end - piece->begin, done = 0, length;
    for (size_t at = 0; at < size;) {
        const vg_added *token = find(added, normalized, bytes + at, size - at);
        if (token == NULL) {
            at++;
            continue;
        }
        size_t begin = at, end = at + token->pattern_size;
        bool alone = true;
        at = end;
        if (token->single_word)
            VG_TRY(stands_alone(added, bytes, size, begin, end, spans, &alone));
        if (!alone)
            continue;
        if (token->lstrip) {
            size_t blanks = begin;
            while (blanks > 0 && vg_is_space(vg_utf8_get(bytes + before(bytes, blanks), &length)))
                blanks = before(bytes, blanks);
            begin = blanks > done ? blanks : done;
        }
        while (token->rstrip && end < size && vg_is_space(vg_utf8_get(bytes + end, &length)))
            end += length;
        if (begin >= end) /* all of it went to a token before it */
            continue;
        if (done < begin)
            VG_TRY(vg_text_cut(out, text, piece->begin + done, piece->begin + begin));
        VG_TRY(vg_text_piece(out, token_piece(text, piece->begin + begin, piece->begin + end, token->id)));
        done = end;
    }
    return done < size ? vg_text_cut(out, text, piece->begin + done, piece->begin + size) : VG_OK;
}

vg_status vg_added_split(const vg_added_tokens *added, bool normalized, vg_text *text, vg_text *spare, vg_spans *spans)
{
    vg_text_clear(spare);
    for (size_t i = 0; i < text->count; i++) {
        const vg_piece *piece = &text->pieces[i];
        if (piece->id >= 0)
            VG_TRY(vg_text_piece(spare, *piece));
        else if (piece->end > piece->begin)
            VG_TRY(cut(added, normalized, text, piece, spare, spans));
    }
    vg_text_take_pieces(text, spare);
    return VG_OK;
}
