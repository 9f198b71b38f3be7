/* tokenizer_decode: ids back to text, by the decoders of tokenizer.json, each of which turns a list of strings into another. */
#include <stdlib.h>
#include <string.h>

#include "tokenizer.h"

/* A list of strings: string i is bytes[ends[i - 1] .. ends[i]). */
typedef struct {
    char *bytes;
    size_t size, capacity;
    size_t limit; /* VG_INVALID beyond it; 0: none */
    size_t *ends;
    size_t count, room;
} strings;

static void strings_free(strings *list)
{
    free(list->bytes);
    free(list->ends);
}

static vg_status add(strings *list, const char *bytes, size_t size)
{
    if (list->limit > 0 && size > list->limit - list->size)
        return vg_fail(VG_INVALID, "the tokenizer's decoder makes more than %zu bytes of the tokens", list->limit);
    VG_TRY(vg_grow((void **)&list->bytes, &list->capacity, list->size + size + 1, 1, "bytes of text"));
    if (size > 0)
        memcpy(list->bytes + list->size, bytes, size);
    list->size += size;
    return VG_OK;
}

static vg_status finish(strings *list)
{
    VG_TRY(vg_grow((void **)&list->ends, &list->room, list->count + 1, sizeof *list->ends, "strings"));
    list->ends[list->count++] = list->size;
    return VG_OK;
}

static const char *get(const strings *list, size_t i, size_t *size)
{
    size_t begin = i > 0 ? list->ends[i - 1] : 0;
    *size = list->ends[i] - begin;
    return list->bytes + begin;
}

#define REPLACEMENT "\xEF\xBF\xBD"

/* The length of the longest beginning of a character that stands here and is not one ("maximal subpart", Unicode 15, 3.9, table 3-7). */
static size_t broken(const uint8_t *bytes, size_t size)
{
    uint8_t lead = bytes[0],
            low = lead == 0xE0   ? 0xA0
                  : lead == 0xF0 ? 0x90
                                 : 0x80,
            high = lead == 0xED   ? 0x9F
                   : lead == 0xF4 ? 0x8F
                                  : 0xBF;
    size_t whole = lead >= 0xC2 && lead < 0xE0 ? 2 : (lead & 0xF0) == 0xE0 ? 3 : lead >= 0xF0 && lead < 0xF5 ? 4 : 1, length = 1;
    while (length < whole && length < size && bytes[length] >= low && bytes[length] <= high) {
        low = 0x80, high = 0xBF;
        length++;
    }
    return length;
}

static vg_status add_lossy(strings *out, const char *bytes, size_t size)
{
    for (size_t at = 0; at < size;) {
        size_t valid = vg_utf8_valid(bytes + at, size - at);
        VG_TRY(add(out, bytes + at, valid));
        at += valid;
        if (at < size) {
            VG_TRY(add(out, REPLACEMENT, 3));
            at += broken((const uint8_t *)bytes + at, size - at);
        }
    }
    return VG_OK;
}

/* GPT-2's letters of all strings to bytes, these to one string. A string with another character stays what it is. */
static vg_status join_letters(const strings *in, strings *out)
{
    strings bytes = {0};
    vg_status status = VG_OK;
    for (size_t i = 0; i < in->count && status == VG_OK; i++) {
        size_t size, length, before = bytes.size;
        const char *text = get(in, i, &size);
        for (size_t at = 0; at < size && status == VG_OK; at += length) {
            int byte = vg_letter_byte(vg_utf8_get(text + at, &length));
            if (byte < 0) {
                bytes.size = before;
                status = add(&bytes, text, size);
                break;
            }
            status = add(&bytes, &(char){(char)byte}, 1);
        }
    }
    if (status == VG_OK)
        status = add_lossy(out, bytes.bytes, bytes.size);
    strings_free(&bytes);
    return status == VG_OK ? finish(out) : status;
}

static vg_status replace(const vg_decode_step *step, const char *text, size_t size, vg_spans *spans, strings *out)
{
    VG_TRY(vg_pattern_spans(&step->pattern, text, size, spans));
    for (size_t i = 0; i < spans->count && size > 0; i++) {
        const vg_span *span = &spans->at[i];
        VG_TRY(span->match ? add(out, step->content, step->content_size) : add(out, text + span->begin, span->end - span->begin));
    }
    return finish(out);
}

/* The byte of a token like <0x0A>, or -1. */
static int fallback_byte(const char *text, size_t size)
{
    static const char digits[] = "0123456789abcdef0123456789ABCDEF";
    if (size != 6 || memcmp(text, "<0x", 3) != 0 || text[5] != '>' || text[3] == '\0' || text[4] == '\0')
        return -1;
    const char *high = strchr(digits, text[3]), *low = strchr(digits, text[4]);
    return high != NULL && low != NULL ? (int)((high - digits) % 16 * 16 + (low - digits) % 16) : -1;
}

/* Bytes in a row become one string; where they are not UTF-8, each of them one U+FFFD. */
static vg_status finish_bytes(strings *out, const uint8_t *bytes, size_t size)
{
    if (size == 0)
        return VG_OK;
    if (vg_utf8_valid((const char *)bytes, size) == size) {
        VG_TRY(add(out, (const char *)bytes, size));
        return finish(out);
    }
    for (size_t i = 0; i < size; i++) {
        VG_TRY(add(out, REPLACEMENT, 3));
        VG_TRY(finish(out));
    }
    return VG_OK;
}

static vg_status join_bytes(const strings *in, strings *out)
{
    uint8_t *bytes;
    size_t waiting = 0, size;
    VG_TRY(VG_NEW(&bytes, (int64_t)in->count, "bytes of text"));
    vg_status status = VG_OK;
    for (size_t i = 0; i < in->count && status == VG_OK; i++) {
        const char *text = get(in, i, &size);
        int byte = fallback_byte(text, size);
        if (byte >= 0) {
            bytes[waiting++] = (uint8_t)byte;
            continue;
        }
        VG_GO(finish_bytes(out, bytes, waiting));
        waiting = 0;
        VG_GO(add(out, text, size));
        VG_GO(finish(out));
    }
    VG_GO(finish_bytes(out, bytes, waiting));
done:
    free(bytes);
    return status;
}

/* Up to `start` and `stop` characters `content` off the ends. */
static vg_status strip(const vg_decode_step *step, const char *text, size_t size, strings *out)
{
    size_t begin = 0, end = size, unit = step->content_size;
    for (int64_t i = 0; i < step->start && end - begin >= unit && memcmp(text + begin, step->content, unit) == 0; i++)
        begin += unit;
    for (int64_t i = 0; i < step->stop && end - begin >= unit && memcmp(text + end - unit, step->content, unit) == 0; i++)
        end -= unit;
    VG_TRY(add(out, text + begin, end - begin));
    return finish(out);
}

/* The replacement becomes a blank; in the first string it goes, where one was prepended. */
static vg_status unmeta(const vg_decode_step *step, const char *text, size_t size, bool drop, strings *out)
{
    size_t length;
    for (size_t at = 0; at < size; at += length) {
        vg_utf8_get(text + at, &length);
        if (length != step->content_size || memcmp(text + at, step->content, length) != 0)
            VG_TRY(add(out, text + at, length));
        else if (!drop)
            VG_TRY(add(out, " ", 1));
    }
    return finish(out);
}

static vg_status run(const vg_decode_step *step, const strings *in, strings *out, vg_spans *spans)
{
    if (step->kind == VG_DECODE_BYTES)
        return join_letters(in, out);
    if (step->kind == VG_DECODE_BYTE_FALLBACK)
        return join_bytes(in, out);
    for (size_t i = 0; i < in->count; i++) {
        size_t size;
        const char *text = get(in, i, &size);
        if (step->kind == VG_DECODE_REPLACE)
            VG_TRY(replace(step, text, size, spans, out));
        else if (step->kind == VG_DECODE_STRIP)
            VG_TRY(strip(step, text, size, out));
        else if (step->kind == VG_DECODE_METASPACE)
            VG_TRY(unmeta(step, text, size, i == 0 && step->prepended, out));
        else
            VG_TRY(add(out, text, size));
    }
    return step->kind == VG_DECODE_FUSE ? finish(out) : VG_OK;
}

vg_status vg_decoder_run(const vg_decoder *decoder, const vg_token *tokens, size_t count, char **text)
{
    strings now = {0}, next = {0};
    vg_spans spans = {0};
    vg_status status = VG_OK;
    *text = NULL;
    for (size_t i = 0; i < count; i++) {
        if (!decoder->there && i > 0)
            VG_GO(add(&now, " ", 1));
        VG_GO(add(&now, tokens[i].text, tokens[i].size));
        VG_GO(finish(&now));
    }
    now.limit = next.limit = VG_LONGEST(now.size);
    for (size_t i = 0; i < decoder->count; i++) {
        next.size = next.count = 0;
        VG_GO(run(&decoder->at[i], &now, &next, &spans));
        strings old = now;
        now = next;
        next = old;
    }
    VG_GO(add(&now, "", 0));
    now.bytes[now.size] = '\0';
    *text = now.bytes;
    now.bytes = NULL;
done:
    strings_free(&now);
    strings_free(&next);
    vg_spans_free(&spans);
    return status;
}

void vg_decoder_free(vg_decoder *decoder)
{
    for (size_t i = 0; i < decoder->count; i++) {
        vg_pattern_free(&decoder->at[i].pattern);
        free(decoder->at[i].content);
    }
    free(decoder->at);
    *decoder = (vg_decoder){0};
}
