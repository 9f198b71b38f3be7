/* tokenizer_unicode: Unicode's normalization forms (UAX 15; utf8proc knows how a character decomposes and what a pair composes to) and
 * full lowercase, with origins. A new character says how many of the old ones it stands for: 0 replaces one, n > 0 none (it takes the
 * origin before it), -n replaces one and drops the n after it; so do the reference's forms, and the origins that follow are its own. */
#include <stdlib.h>
#include <utf8proc.h>

#include "tokenizer.h"
#include "tokenizer_unicode.h"

typedef struct {
    uint32_t code;
    int class, change;
} character;

typedef struct {
    character *at;
    size_t count, room;
} characters;

/* Whether the reference's tables are too old for a character: 'W', it stays whole, 'O', it is not ordered, or 0. */
static char old(uint32_t code)
{
    for (size_t i = 0; code >= older[0].first && i < sizeof older / sizeof *older; i++)
        if (code >= older[i].first && code <= older[i].last)
            return older[i].what[0];
    return 0;
}

static vg_status push(characters *list, uint32_t code, int change)
{
    VG_TRY(vg_grow((void **)&list->at, &list->room, list->count + 1, sizeof *list->at, "characters"));
    int class = utf8proc_get_property((utf8proc_int32_t)code)->combining_class;
    list->at[list->count++] = (character){code, class != 0 && old(code) == 'O' ? 0 : class, change};
    return VG_OK;
}

/* The characters as bytes, each with the origin that its change gives it. */
static vg_status emit(const characters *list, const vg_text *text, const vg_piece *piece, vg_text *out)
{
    size_t at = piece->begin, length;
    for (size_t i = 0; i < list->count; i++) {
        char bytes[4];
        int change = list->at[i].change;
        vg_origin origin = {piece->start, piece->start};
        if (change <= 0 && at < piece->end)
            origin = text->origin[at];
        else if (at > piece->begin)
            origin = text->origin[at - 1];
        for (int drop = change; drop <= 0 && at < piece->end; drop++) {
            vg_utf8_get(text->bytes + at, &length);
            at += length;
        }
        VG_TRY(vg_text_append(out, bytes, vg_utf8_put(list->at[i].code, bytes), origin));
    }
    return VG_OK;
}

/* Canonical order: a stable insertion sort of every run of marks by their combining class. */
static void order(characters *list)
{
    for (size_t i = 1; i < list->count; i++) {
        character mark = list->at[i];
        size_t at = i;
        while (mark.class != 0 && at > 0 && list->at[at - 1].class > mark.class) {
            list->at[at] = list->at[at - 1];
            at--;
        }
        list->at[at] = mark;
    }
}

static vg_status decompose(const vg_text *text, const vg_piece *piece, bool compatible, characters *list)
{
    size_t length;
    for (size_t at = piece->begin; at < piece->end; at += length) {
        utf8proc_int32_t parts[32];
        int unused = UTF8PROC_BOUNDCLASS_START;
        uint32_t code = vg_utf8_get(text->bytes + at, &length);
        if (old(code) == 'W') {
            VG_TRY(push(list, code, 0));
            continue;
        }
        utf8proc_option_t options = compatible ? UTF8PROC_DECOMPOSE | UTF8PROC_COMPAT : UTF8PROC_DECOMPOSE;
        utf8proc_ssize_t count = utf8proc_decompose_char((utf8proc_int32_t)code, parts, 32, options, &unused);
        if (count < 0 || count > 32)
            return vg_fail(VG_DEFECT, "U+%04X decomposes into %lld characters", code, (long long)count);
        for (utf8proc_ssize_t i = 0; i < count; i++)
            VG_TRY(push(list, (uint32_t)parts[i], i > 0));
    }
    order(list);
    return VG_OK;
}

/* What a pair composes to, or 0. */
static uint32_t compose_pair(uint32_t first, uint32_t second)
{
    utf8proc_int32_t pair[3] = {(utf8proc_int32_t)first, (utf8proc_int32_t)second};
    bool composes = utf8proc_normalize_utf32(pair, 2, UTF8PROC_COMPOSE | UTF8PROC_STABLE) == 1;
    return composes && old((uint32_t)pair[0]) == 0 ? (uint32_t)pair[0] : 0;
}

/* Every starter takes the marks after it that are not blocked by one of the same or a higher class. */
static void compose(characters *list)
{
    size_t starter = SIZE_MAX, count = 0;
    int before = -1; /* the class of the last character kept after the starter, -1: none */
    for (size_t i = 0; i < list->count; i++) {
        character c = list->at[i];
        bool blocked = before >= 0 && (before == 0 || before >= c.class);
        uint32_t composed = starter != SIZE_MAX && !blocked ? compose_pair(list->at[starter].code, c.code) : 0;
        if (composed != 0) {
            list->at[starter].code = composed;
            list->at[starter].change += c.change - 1;
            continue;
        }
        if (c.class == 0) {
            starter = count;
            before = -1;
        } else {
            before = c.class;
        }
        list->at[count++] = c;
    }
    list->count = count;
}

vg_status vg_normalize(const vg_step *step, const vg_text *text, const vg_piece *piece, vg_text *out)
{
    characters list = {0};
    vg_status status = decompose(text, piece, step->compatible, &list);
    if (status == VG_OK && step->composed)
        compose(&list);
    if (status == VG_OK)
        status = emit(&list, text, piece, out);
    free(list.at);
    return status;
}

static uint32_t lower(uint32_t code)
{
    for (size_t i = 0; code >= lowercase[0].first && i < sizeof lowercase / sizeof *lowercase; i++)
        if (code >= lowercase[i].first && code <= lowercase[i].last)
            return (uint32_t)((int32_t)code + lowercase[i].away);
    return (uint32_t)utf8proc_tolower((utf8proc_int32_t)code);
}

vg_status vg_lowercase(const vg_text *text, const vg_piece *piece, vg_text *out)
{
    size_t length;
    for (size_t at = piece->begin; at < piece->end; at += length) {
        uint32_t code = vg_utf8_get(text->bytes + at, &length);
        char bytes[8];
        size_t size = vg_utf8_put(code == 0x130 ? 'i' : lower(code), bytes);
        if (code == 0x130) /* the one character with a longer lowercase: i and a dot above */
            size += vg_utf8_put(0x307, bytes + size);
        VG_TRY(vg_text_append(out, bytes, size, text->origin[at]));
    }
    return VG_OK;
}
