/* story: the table of formats, what is a word and what a pause, the times of words that have none, the story as one text. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "story.h"

/* Intervals with these texts (and empty ones) are no words. */
static const char *const pause_marks[] = {"sp",    "SP",    "sil",     "SIL",     "<sil>", "<SIL>", "<p>", "<p:>", "<P>",
                                          "<eps>", "<EPS>", "<pause>", "[pause]", "{SL}",  "{NS}",  "#",   "...",  "\xE2\x80\xA6"};

/* Words that overlap by no more than this (s) are what rounding leaves of words that follow one another: tables keep hundredths. */
static const double rounding = 0.015;

/* ---- formats --------------------------------------------------------------------------------------------------------- */

static bool begins_like_textgrid(const char *text, size_t size)
{
    return memmem(text, size < 200 ? size : 200, "ooTextFile", 10) != NULL;
}

static bool begins_like_json(const char *text, size_t size)
{
    size_t at = 0;
    while (at < size && strchr(" \t\r\n", text[at]) != NULL && text[at] != '\0')
        at++;
    return at < size && text[at] == '{';
}

static bool begins_like_table(const char *text, size_t size)
{
    size_t line = 0;
    while (line < size && text[line] != '\n')
        line++;
    return memchr(text, '\t', line) != NULL || memchr(text, ',', line) != NULL;
}

static const struct {
    const char *name, *extensions[3];
    const char *unit;
    bool (*begins_so)(const char *text, size_t size);
    vg_status (*read)(vg_story_builder *builder, const char *text, size_t size, const char *tier);
} formats[] = {
    {"TextGrid", {".TextGrid"}, ":", begins_like_textgrid, vg_textgrid_read},
    {"Gentle JSON", {".json"}, ": word ", begins_like_json, vg_gentle_read},
    {"table (TSV, CSV, BIDS events)", {".tsv", ".csv"}, ":", begins_like_table, vg_events_read},
};
enum { FORMATS = sizeof formats / sizeof *formats };

const char *vg_story_format(int i)
{
    return i >= 0 && i < FORMATS ? formats[i].name : NULL;
}

static const char *extension_of(const char *path)
{
    const char *slash = strrchr(path, '/'), *dot = strrchr(path, '.');
    return dot != NULL && (slash == NULL || dot > slash) ? dot : "";
}

static int format_of(const char *path, const char *text, size_t size)
{
    const char *extension = extension_of(path);
    for (int f = 0; f < FORMATS; f++)
        for (size_t i = 0; i < 3 && formats[f].extensions[i] != NULL; i++)
            if (strcasecmp(extension, formats[f].extensions[i]) == 0)
                return f;
    for (int f = 0; f < FORMATS; f++)
        if (formats[f].begins_so(text, size))
            return f;
    return -1;
}

/* ---- words ----------------------------------------------------------------------------------------------------------- */

/* White space of one character at text: its bytes, or 0. A no-break space is white space too. */
static size_t white_space(const char *text, size_t size)
{
    if (size >= 1 && text[0] != '\0' && strchr(" \t\r\n\v\f", text[0]) != NULL)
        return 1;
    return size >= 2 && text[0] == '\xC2' && text[1] == '\xA0' ? 2 : 0;
}

static vg_status grow(void **memory, int64_t used, int64_t more, int64_t *capacity, size_t size, const char *what)
{
    if (used + more <= *capacity)
        return VG_OK;
    int64_t wanted = 2 * (used + more) + 64;
    void *grown;
    VG_TRY(vg_allocate(&grown, wanted, size, what));
    if (used > 0)
        memcpy(grown, *memory, (size_t)used * size);
    free(*memory);
    *memory = grown;
    *capacity = wanted;
    return VG_OK;
}

/* Appends text to the builder's characters, trimmed, inner white space one space, NUL at the end; its length. */
static vg_status keep_text(vg_story_builder *builder, const char *text, size_t size, int64_t *length)
{
    VG_TRY(grow((void **)&builder->characters, builder->used, (int64_t)size + 1, &builder->room, 1, "bytes of words"));
    char *out = builder->characters + builder->used;
    *length = 0;
    bool space = false;
    for (size_t at = 0; at < size;) {
        size_t blank = white_space(text + at, size - at);
        if (blank > 0) {
            space = *length > 0;
            at += blank;
            continue;
        }
        if (space)
            out[(*length)++] = ' ';
        space = false;
        out[(*length)++] = text[at++];
    }
    out[*length] = '\0';
    return VG_OK;
}

static bool is_pause(const char *word)
{
    for (size_t i = 0; i < sizeof pause_marks / sizeof *pause_marks; i++)
        if (strcmp(word, pause_marks[i]) == 0)
            return true;
    return word[0] == '\0';
}

static vg_status check_times(vg_story_builder *builder, int64_t number, double onset, double offset)
{
    const char *path = builder->path, *unit = builder->unit;
    long long n = number;
    if (isinf(onset) || isinf(offset))
        return vg_fail(VG_INVALID, "%s%s%lld: a time is infinite", path, unit, n);
    if (onset < 0 || offset < 0)
        return vg_fail(VG_INVALID, "%s%s%lld: a time is negative (%.6g s)", path, unit, n, onset < 0 ? onset : offset);
    if (offset < onset)
        return vg_fail(VG_INVALID, "%s%s%lld: interval ends (%.3f s) before it starts (%.3f s)", path, unit, n, offset, onset);
    if (onset < builder->latest_onset)
        return vg_fail(VG_INVALID, "%s%s%lld: interval starts (%.3f s) before the one that stands before it (%.3f s)", path, unit, n, onset,
                       builder->latest_onset);
    if (onset < builder->latest_offset - rounding)
        return vg_fail(VG_INVALID, "%s%s%lld: interval starts (%.3f s) before the one before it ends (%.3f s)", path, unit, n, onset,
                       builder->latest_offset);
    if (!isnan(onset)) {
        builder->latest_onset = onset;
        builder->latest_offset = isnan(offset) ? onset : offset;
    }
    return VG_OK;
}

vg_status vg_story_add(vg_story_builder *builder, int64_t number, const char *text, size_t size, double onset, double offset)
{
    int64_t length;
    VG_TRY(check_times(builder, number, onset, offset));
    VG_TRY(keep_text(builder, text, size, &length));
    if (is_pause(builder->characters + builder->used)) {
        builder->pauses++;
        return VG_OK;
    }
    VG_TRY(grow((void **)&builder->words, builder->count, 1, &builder->capacity, sizeof *builder->words, "words"));
    builder->words[builder->count++] = (vg_story_draft){.at = builder->used, .onset = onset, .offset = isnan(onset) ? NAN : offset};
    builder->used += length + 1;
    return VG_OK;
}

/* ---- the story ----------------------------------------------------------------------------------------------------------- */

/* Words from `first` (untimed, or timed without an offset) up to `next`, the next timed one, share the time between evenly. */
static void share(vg_word *words, int64_t first, int64_t next, double from, double to)
{
    from = from < to ? from : to; /* an offset may lie behind the next onset by rounding */
    double step = (to - from) / (double)(next - first);
    for (int64_t n = first; n < next; n++) {
        words[n].onset = from + step * (double)(n - first);
        words[n].offset = from + step * (double)(n - first + 1);
    }
}

static vg_status fill_times(const vg_story_builder *builder, vg_story *story)
{
    vg_word *words = story->words;
    for (int64_t n = 0; n < story->count; n++) {
        if (!isnan(words[n].onset) && !isnan(words[n].offset))
            continue;
        int64_t next = n + 1;
        while (next < story->count && isnan(words[next].onset))
            next++;
        bool untimed = isnan(words[n].onset);
        if ((untimed && n == 0) || (next == story->count && (untimed || next > n + 1)))
            return vg_fail(VG_INVALID, "%s: word %lld (\"%s\") has no times and no timed word %s it; give it times or remove it",
                           builder->path, (long long)(untimed ? n : n + 1) + 1, words[untimed ? n : n + 1].text,
                           n == 0 && untimed ? "before" : "after");
        double from = untimed ? words[n - 1].offset : words[n].onset;
        share(words, n, next, from, next < story->count ? words[next].onset : from);
        n = next - 1;
    }
    return VG_OK;
}

static vg_status take_names(const char *path, vg_story *story)
{
    const char *slash = strrchr(path, '/'), *base = slash != NULL ? slash + 1 : path;
    const char *extension = extension_of(path);
    VG_TRY(vg_format(&story->path, "%s", path));
    return vg_format(&story->name, "%.*s", (int)(strlen(base) - strlen(extension)), base);
}

static vg_status finish(vg_story_builder *builder, double offset, vg_story *story)
{
    if (builder->count == 0)
        return vg_fail(VG_INVALID, "%s: has no words (%lld empty or pause intervals)", builder->path, (long long)builder->pauses);
    VG_TRY(take_names(builder->path, story));
    VG_TRY(VG_NEW(&story->words, builder->count, "words"));
    story->count = builder->count;
    story->pauses = builder->pauses;
    story->mended = builder->mended;
    story->characters = builder->characters;
    builder->characters = NULL;
    for (int64_t n = 0; n < story->count; n++) {
        const vg_story_draft *draft = &builder->words[n];
        story->words[n] = (vg_word){.text = story->characters + draft->at, .onset = draft->onset, .offset = draft->offset};
        story->words[n].interpolated = isnan(draft->onset);
        story->interpolated += isnan(draft->onset);
    }
    VG_TRY(fill_times(builder, story));
    for (int64_t n = 0; n < story->count; n++) {
        story->words[n].onset += offset;
        story->words[n].offset += offset;
    }
    return VG_OK;
}

vg_status vg_story_parse(const char *path, const char *text, size_t size, const char *tier, double offset, vg_story *story)
{
    *story = (vg_story){0};
    if (!isfinite(offset))
        return vg_fail(VG_INVALID, "%s: the offset is not a number of seconds", path);
    if (size == 0)
        return vg_fail(VG_INVALID, "%s: is empty", path);
    if (vg_utf8_valid(text, size) < size || memchr(text, 0, size) != NULL)
        return vg_fail(VG_INVALID, "%s: is not text in UTF-8", path);
    int format = format_of(path, text, size);
    if (format < 0)
        return vg_fail(VG_INVALID, "%s: is none of the formats of stories: %s, %s, %s", path, formats[0].name, formats[1].name,
                       formats[2].name);
    vg_story_builder builder = {.path = path, .unit = formats[format].unit};
    vg_status status = formats[format].read(&builder, text, size, tier);
    if (status == VG_OK)
        status = finish(&builder, offset, story);
    free(builder.words);
    free(builder.characters);
    if (status != VG_OK)
        vg_story_free(story);
    return status;
}

vg_status vg_story_open(const char *path, const char *tier, double offset, vg_story *story)
{
    char *text;
    size_t size;
    *story = (vg_story){0};
    VG_TRY(vg_text_read(path, &text, &size));
    vg_status status = vg_story_parse(path, text, size, tier, offset, story);
    free(text);
    return status;
}

void vg_story_free(vg_story *story)
{
    free(story->path);
    free(story->name);
    free(story->words);
    free(story->characters);
    *story = (vg_story){0};
}

vg_status vg_story_text(const vg_story *story, char **text, int64_t *begin, int64_t *end)
{
    int64_t size = 0;
    for (int64_t n = 0; n < story->count; n++)
        size += (int64_t)strlen(story->words[n].text) + 1;
    VG_TRY(VG_NEW(text, size + 1, "bytes of a story's text"));
    int64_t at = 0;
    for (int64_t n = 0; n < story->count; n++) {
        begin[n] = at;
        if (n > 0)
            (*text)[at++] = ' ';
        size_t length = strlen(story->words[n].text);
        memcpy(*text + at, story->words[n].text, length);
        at += (int64_t)length;
        end[n] = at;
    }
    return VG_OK;
}
