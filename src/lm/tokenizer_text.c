/* tokenizer_text: a working text whose bytes remember their origin, cut into pieces, and the steps that change or cut it.
 * Every step writes the pieces that are still text anew and leaves added tokens as they are. What becomes the origin of new
 * characters follows the reference: a prepended one shares the first character's, a replacement that of the last one it replaces. */
#include <stdlib.h>
#include <string.h>

#include "tokenizer.h"

vg_status vg_grow(void **memory, size_t *capacity, size_t wanted, size_t size, const char *what)
{
    if (wanted <= *capacity)
        return VG_OK;
    size_t more = *capacity < wanted / 2 ? wanted : 2 * *capacity + 16, bytes;
    void *grown = __builtin_mul_overflow(more, size, &bytes) ? NULL : realloc(*memory, bytes);
    if (grown == NULL)
        return vg_fail(VG_NO_MEMORY, "no memory for %zu %s", more, what);
    *memory = grown;
    *capacity = more;
    return VG_OK;
}

/* ---- code points ------------------------------------------------------------------------------------------------ */

uint32_t vg_utf8_get(const char *bytes, size_t *length)
{
    const uint8_t *at = (const uint8_t *)bytes;
    if (at[0] < 0x80) {
        *length = 1;
        return at[0];
    }
    if (at[0] < 0xE0) {
        *length = 2;
        return (at[0] & 0x1Fu) << 6 | (at[1] & 0x3Fu);
    }
    if (at[0] < 0xF0) {
        *length = 3;
        return (at[0] & 0x0Fu) << 12 | (at[1] & 0x3Fu) << 6 | (at[2] & 0x3Fu);
    }
    *length = 4;
    return (at[0] & 0x07u) << 18 | (at[1] & 0x3Fu) << 12 | (at[2] & 0x3Fu) << 6 | (at[3] & 0x3Fu);
}

size_t vg_utf8_put(uint32_t code, char bytes[4])
{
    if (code < 0x80) {
        bytes[0] = (char)code;
        return 1;
    }
    size_t length = code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    static const uint8_t lead[] = {0, 0, 0xC0, 0xE0, 0xF0};
    for (size_t i = length - 1; i > 0; i--, code >>= 6)
        bytes[i] = (char)(0x80 | (code & 0x3F));
    bytes[0] = (char)(lead[length] | code);
    return length;
}

bool vg_is_space(uint32_t code)
{
    return (code >= 0x09 && code <= 0x0D) || code == 0x20 || code == 0x85 || code == 0xA0 || code == 0x1680 ||
           (code >= 0x2000 && code <= 0x200A) || code == 0x2028 || code == 0x2029 || code == 0x202F || code == 0x205F || code == 0x3000;
}

/* GPT-2's alphabet (github.com/openai/gpt-2, encoder.py): printable Latin-1 stands for itself, the rest for 256, 257, ... in order. */
static bool is_printable(uint32_t byte)
{
    return (byte >= '!' && byte <= '~') || (byte >= 0xA1 && byte <= 0xAC) || (byte >= 0xAE && byte <= 0xFF);
}

uint32_t vg_byte_letter(uint8_t byte)
{
    if (is_printable(byte))
        return byte;
    return byte <= 0x20 ? 256u + byte : byte <= 0xA0 ? 256u + byte - 0x7F + 33 : 256u + 67;
}

int vg_letter_byte(uint32_t code)
{
    if (code < 256)
        return is_printable(code) ? (int)code : -1;
    if (code <= 256 + 0x20)
        return (int)code - 256;
    if (code < 256 + 67)
        return (int)code - 256 - 33 + 0x7F;
    return code == 256 + 67 ? 0xAD : -1;
}

/* ---- text ------------------------------------------------------------------------------------------------------- */

void vg_text_clear(vg_text *text)
{
    text->size = text->count = 0;
}

void vg_text_free(vg_text *text)
{
    free(text->bytes);
    free(text->origin);
    free(text->pieces);
    *text = (vg_text){0};
}

static vg_status reserve(vg_text *text, size_t more)
{
    size_t capacity = text->capacity;
    if (text->limit > 0 && more > text->limit - text->size)
        return vg_fail(VG_INVALID, "the tokenizer makes more than %zu bytes of the text", text->limit);
    VG_TRY(vg_grow((void **)&text->origin, &capacity, text->size + more, sizeof *text->origin, "bytes of text"));
    return vg_grow((void **)&text->bytes, &text->capacity, text->size + more, 1, "bytes of text");
}

vg_status vg_text_append(vg_text *text, const char *bytes, size_t size, vg_origin origin)
{
    VG_TRY(reserve(text, size));
    for (size_t i = 0; i < size; i++) {
        text->bytes[text->size] = bytes[i];
        text->origin[text->size++] = origin;
    }
    return VG_OK;
}

vg_status vg_text_copy(vg_text *text, const vg_text *from, size_t begin, size_t end)
{
    if (begin == end)
        return VG_OK;
    VG_TRY(reserve(text, end - begin));
    memcpy(text->bytes + text->size, from->bytes + begin, end - begin);
    memcpy(text->origin + text->size, from->origin + begin, (end - begin) * sizeof *from->origin);
    text->size += end - begin;
    return VG_OK;
}

vg_status vg_text_piece(vg_text *text, vg_piece piece)
{
    VG_TRY(vg_grow((void **)&text->pieces, &text->room, text->count + 1, sizeof *text->pieces, "pieces of text"));
    text->pieces[text->count++] = piece;
    return VG_OK;
}

vg_status vg_text_cut(vg_text *text, const vg_text *from, size_t begin, size_t end)
{
    return vg_text_piece(text, (vg_piece){.begin = begin, .end = end, .id = -1, .start = from->origin[begin].begin});
}

void vg_text_take_pieces(vg_text *text, vg_text *from)
{
    vg_text old = *text;
    text->pieces = from->pieces, text->count = from->count, text->room = from->room;
    from->pieces = old.pieces, from->count = old.count, from->room = old.room;
}

static void take_bytes(vg_text *text, vg_text *from)
{
    vg_text old = *text;
    text->bytes = from->bytes, text->origin = from->origin, text->size = from->size, text->capacity = from->capacity;
    from->bytes = old.bytes, from->origin = old.origin, from->size = old.size, from->capacity = old.capacity;
}

static bool is_blank(const char *bytes)
{
    size_t length;
    uint32_t code = vg_utf8_get(bytes, &length);
    return code == vg_byte_letter(' ') || vg_is_space(code);
}

void vg_count_blanks(const char *bytes, size_t size, uint32_t *leading, uint32_t *trailing)
{
    size_t at = 0, length;
    *leading = *trailing = 0;
    for (; at < size && is_blank(bytes + at); at += length, ++*leading)
        vg_utf8_get(bytes + at, &length);
    for (at = size; at > 0; ++*trailing) {
        do
            at--;
        while ((bytes[at] & 0xC0) == 0x80);
        if (!is_blank(bytes + at))
            break;
    }
}

/* ---- steps ------------------------------------------------------------------------------------------------------ */

static vg_status prepend(const vg_step *step, const vg_text *text, const vg_piece *piece, vg_text *out)
{
    const char *bytes = text->bytes + piece->begin;
    size_t size = piece->end - piece->begin;
    bool there = size >= step->content_size && memcmp(bytes, step->content, step->content_size) == 0;
    if (!(step->unless_there && there) && !(step->only_first && piece->start != 0))
        VG_TRY(vg_text_append(out, step->content, step->content_size, text->origin[piece->begin]));
    return vg_text_copy(out, text, piece->begin, piece->end);
}

static vg_status replace(const vg_step *step, const vg_text *text, const vg_piece *piece, vg_text *out, vg_spans *spans)
{
    VG_TRY(vg_pattern_spans(&step->pattern, text->bytes + piece->begin, piece->end - piece->begin, spans));
    for (size_t i = 0; i < spans->count; i++) {
        size_t begin = piece->begin + spans->at[i].begin, end = piece->begin + spans->at[i].end;
        vg_origin none = {piece->start, piece->start};
        if (spans->at[i].match)
            VG_TRY(vg_text_append(out, step->content, step->content_size, end > piece->begin ? text->origin[end - 1] : none));
        else
            VG_TRY(vg_text_copy(out, text, begin, end));
    }
    return VG_OK;
}

static vg_status letters(const vg_text *text, const vg_piece *piece, vg_text *out)
{
    for (size_t i = piece->begin; i < piece->end; i++) {
        char letter[4];
        size_t size = vg_utf8_put(vg_byte_letter((uint8_t)text->bytes[i]), letter);
        VG_TRY(vg_text_append(out, letter, size, text->origin[i]));
    }
    return VG_OK;
}

static vg_status strip(const vg_step *step, const vg_text *text, const vg_piece *piece, vg_text *out)
{
    size_t begin = piece->begin, end = piece->end, length;
    while (step->left && begin < end && vg_is_space(vg_utf8_get(text->bytes + begin, &length)))
        begin += length;
    while (step->right && begin < end) {
        size_t last = end - 1;
        while ((text->bytes[last] & 0xC0) == 0x80)
            last--;
        if (!vg_is_space(vg_utf8_get(text->bytes + last, &length)))
            break;
        end = last;
    }
    return vg_text_copy(out, text, begin, end);
}

static vg_status change(const vg_step *step, const vg_text *text, const vg_piece *piece, vg_text *out, vg_spans *spans)
{
    switch (step->kind) {
    case VG_STEP_PREPEND:
        return prepend(step, text, piece, out);
    case VG_STEP_REPLACE:
        return replace(step, text, piece, out, spans);
    case VG_STEP_BYTES:
        return letters(text, piece, out);
    case VG_STEP_NORMALIZE:
        return vg_normalize(step, text, piece, out);
    case VG_STEP_LOWERCASE:
        return vg_lowercase(text, piece, out);
    case VG_STEP_STRIP:
        return strip(step, text, piece, out);
    case VG_STEP_SPLIT:
        break;
    }
    return vg_fail(VG_DEFECT, "tokenizer: a step of kind %d changes no text", (int)step->kind);
}

/* Joins spans in place as the delimiter's behaviour wants it; what is to be dropped keeps `match`, the rest loses it. */
static void join_spans(vg_spans *spans, vg_split_kind kind)
{
    size_t count = 0;
    bool before = false;
    if (kind == VG_SPLIT_REMOVED)
        return;
    if (kind == VG_SPLIT_WITH_NEXT) { /* as WITH_PREVIOUS, from the end */
        size_t first = spans->count;
        for (size_t i = spans->count; i-- > 0;) {
            vg_span span = spans->at[i];
            if (span.match && !before && first < spans->count)
                spans->at[first].begin = span.begin;
            else
                spans->at[--first] = (vg_span){span.begin, span.end, false};
            before = span.match;
        }
        memmove(spans->at, spans->at + first, (spans->count - first) * sizeof *spans->at);
        spans->count -= first;
        return;
    }
    for (size_t i = 0; i < spans->count; i++) {
        vg_span span = spans->at[i];
        bool join = kind == VG_SPLIT_CONTIGUOUS ? span.match == before : kind == VG_SPLIT_WITH_PREVIOUS && span.match && !before;
        if (join && count > 0)
            spans->at[count - 1].end = span.end;
        else
            spans->at[count++] = (vg_span){span.begin, span.end, false};
        before = span.match;
    }
    spans->count = count;
}

static vg_status split(const vg_step *step, const vg_text *text, const vg_piece *piece, vg_text *out, vg_spans *spans)
{
    VG_TRY(vg_pattern_spans(&step->pattern, text->bytes + piece->begin, piece->end - piece->begin, spans));
    join_spans(spans, step->split);
    for (size_t i = 0; i < spans->count; i++) {
        const vg_span *span = &spans->at[i];
        if (!span->match && span->end > span->begin)
            VG_TRY(vg_text_cut(out, text, piece->begin + span->begin, piece->begin + span->end));
    }
    return VG_OK;
}

static vg_status run(const vg_step *step, vg_text *text, vg_text *spare, vg_spans *spans)
{
    vg_text_clear(spare);
    for (size_t i = 0; i < text->count; i++) {
        const vg_piece *piece = &text->pieces[i];
        if (piece->id >= 0) {
            VG_TRY(vg_text_piece(spare, *piece));
        } else if (step->kind == VG_STEP_SPLIT) {
            VG_TRY(split(step, text, piece, spare, spans));
        } else if (piece->end > piece->begin) {
            vg_piece changed = {.begin = spare->size, .id = -1, .start = piece->start};
            VG_TRY(change(step, text, piece, spare, spans));
            changed.end = spare->size;
            VG_TRY(vg_text_piece(spare, changed));
        }
    }
    vg_text_take_pieces(text, spare);
    if (step->kind != VG_STEP_SPLIT)
        take_bytes(text, spare);
    return VG_OK;
}

vg_status vg_steps_run(const vg_steps *steps, vg_text *text, vg_text *spare, vg_spans *spans)
{
    for (size_t i = 0; i < steps->count; i++)
        VG_TRY(run(&steps->at[i], text, spare, spans));
    return VG_OK;
}

void vg_steps_free(vg_steps *steps)
{
    for (size_t i = 0; i < steps->count; i++) {
        vg_pattern_free(&steps->at[i].pattern);
        free(steps->at[i].content);
    }
    free(steps->at);
    *steps = (vg_steps){0};
}
