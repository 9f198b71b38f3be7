/* textgrid: Praat's TextGrid text files, long and short alike. Praat reads them as a stream of free-standing numbers, quoted strings
 * (a quote inside is doubled) and <flags>, and takes every other piece, and what follows a "!" on its line, as comment; so does this file.
 * In order: "ooTextFile" "TextGrid" xmin xmax <exists> tiers, then for each tier "IntervalTier" name xmin xmax intervals (xmin xmax
 * text)...   or   "TextTier" name xmin xmax points (time mark)... Source: Praat manual, "TextGrid file formats". */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "story.h"

typedef enum { END, NUMBER, STRING, FLAG } kind;

typedef struct {
    const char *path, *text;
    size_t size, at;
    int64_t line;
    /* the piece last read: */
    kind kind;
    int64_t piece_line;
    double number;
    const char *string; /* between its quotes, inner ones still doubled */
    size_t length;
} scanner;

typedef struct {
    bool points;
    const char *name;
    size_t length;
    scanner begin; /* at its first interval */
    int64_t count;
} tier_place;

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f' || c == '\v';
}

static char peek(const scanner *s)
{
    return s->at < s->size ? s->text[s->at] : '\0';
}

static void skip(scanner *s)
{
    s->line += s->text[s->at++] == '\n';
}

/* A string's inside, up to the quote that is not doubled. */
static vg_status scan_string(scanner *s)
{
    skip(s);
    s->string = s->text + s->at;
    for (; s->at < s->size; skip(s)) {
        if (s->text[s->at] != '"')
            continue;
        if (s->at + 1 < s->size && s->text[s->at + 1] == '"') {
            s->at++;
            continue;
        }
        s->length = (size_t)(s->text + s->at - s->string);
        s->kind = STRING;
        s->at++;
        return VG_OK;
    }
    return vg_fail(VG_INVALID, "%s:%lld: a quoted text begins here and does not end: is the file cut off?", s->path,
                   (long long)s->piece_line);
}

/* The next number, string or flag; END at the text's end. */
static vg_status scan(scanner *s)
{
    for (;;) {
        while (s->at < s->size && is_space(s->text[s->at]))
            skip(s);
        s->piece_line = s->line;
        s->kind = END;
        if (s->at == s->size)
            return VG_OK;
        if (peek(s) == '"')
            return scan_string(s);
        if (peek(s) == '!') {
            while (s->at < s->size && s->text[s->at] != '\n')
                s->at++;
            continue;
        }
        const char *begin = s->text + s->at;
        while (s->at < s->size && !is_space(s->text[s->at]))
            s->at++;
        size_t length = (size_t)(s->text + s->at - begin);
        if (begin[0] == '<') {
            s->kind = FLAG;
            s->string = begin;
            s->length = length;
            return VG_OK;
        }
        if (strchr("+-.0123456789", begin[0]) != NULL && vg_parse_double(begin, length, &s->number)) {
            s->kind = NUMBER;
            return VG_OK;
        }
    }
}

static vg_status expect(scanner *s, kind wanted, const char *what)
{
    static const char *const kinds[] = {"nothing", "a number", "a text in quotes", "a flag"};
    VG_TRY(scan(s));
    if (s->kind == wanted)
        return VG_OK;
    if (s->kind == END)
        return vg_fail(VG_INVALID, "%s:%lld: the file ends where %s should stand: is it cut off?", s->path, (long long)s->line, what);
    return vg_fail(VG_INVALID, "%s:%lld: %s should stand here, but there is %s", s->path, (long long)s->piece_line, what, kinds[s->kind]);
}

static vg_status expect_count(scanner *s, const char *what, int64_t *count)
{
    VG_TRY(expect(s, NUMBER, what));
    if (!(s->number >= 0 && s->number <= 1e9 && s->number == floor(s->number)))
        return vg_fail(VG_INVALID, "%s:%lld: %s should stand here, not %g", s->path, (long long)s->piece_line, what, s->number);
    *count = (int64_t)s->number;
    return VG_OK;
}

static bool string_is(const scanner *s, const char *text)
{
    return s->length == strlen(text) && memcmp(s->string, text, s->length) == 0;
}

static vg_status scan_header(scanner *s, int64_t *tiers)
{
    VG_TRY(expect(s, STRING, "\"ooTextFile\""));
    if (!string_is(s, "ooTextFile") && !string_is(s, "ooTextFile short"))
        return vg_fail(VG_INVALID, "%s: is not a TextGrid text file; in Praat: Save as text file...", s->path);
    VG_TRY(expect(s, STRING, "\"TextGrid\""));
    if (!string_is(s, "TextGrid"))
        return vg_fail(VG_INVALID, "%s: holds a Praat object of class %.*s, not a TextGrid", s->path,
                       (int)(s->length < 80 ? s->length : 80), s->string);
    VG_TRY(expect(s, NUMBER, "the grid's xmin"));
    VG_TRY(expect(s, NUMBER, "the grid's xmax"));
    VG_TRY(expect(s, FLAG, "<exists>"));
    if (!string_is(s, "<exists>"))
        return vg_fail(VG_INVALID, "%s: has no tiers", s->path);
    return expect_count(s, "the number of tiers", tiers);
}

/* Passes over a tier, noting where it is. */
static vg_status scan_tier(scanner *s, tier_place *tier)
{
    VG_TRY(expect(s, STRING, "\"IntervalTier\" or \"TextTier\""));
    tier->points = string_is(s, "TextTier");
    if (!tier->points && !string_is(s, "IntervalTier"))
        return vg_fail(VG_INVALID,
                       "%s:%lld: a tier should begin here (\"IntervalTier\" or \"TextTier\"), but there is a text; does the number of "
                       "intervals above it fit?",
                       s->path, (long long)s->piece_line);
    VG_TRY(expect(s, STRING, "a tier's name"));
    tier->name = s->string;
    tier->length = s->length;
    VG_TRY(expect(s, NUMBER, "a tier's xmin"));
    VG_TRY(expect(s, NUMBER, "a tier's xmax"));
    VG_TRY(expect_count(s, "a tier's number of intervals", &tier->count));
    tier->begin = *s;
    for (int64_t i = 0; i < tier->count; i++) {
        VG_TRY(expect(s, NUMBER, "an interval's xmin"));
        if (!tier->points)
            VG_TRY(expect(s, NUMBER, "an interval's xmax"));
        VG_TRY(expect(s, STRING, "an interval's text"));
    }
    return VG_OK;
}

/* The tiers' names for a message; cut where there are many. */
static void list_tiers(const tier_place *tiers, int64_t count, char *list, size_t size)
{
    size_t used = 0;
    list[0] = '\0';
    for (int64_t i = 0; i < count && used < size; i++) {
        int length = (int)(tiers[i].length < 60 ? tiers[i].length : 60);
        used += (size_t)snprintf(list + used, size - used, "%s\"%.*s\"%s", i > 0 ? ", " : "", length, tiers[i].name,
                                 tiers[i].points ? " (points, no words)" : "");
    }
}

static vg_status choose_tier(const char *path, const tier_place *tiers, int64_t count, const char *wanted, const tier_place **chosen)
{
    char list[1024];
    int64_t fits = 0;
    list_tiers(tiers, count, list, sizeof list);
    for (int64_t i = 0; i < count; i++) {
        bool named = wanted != NULL && tiers[i].length == strlen(wanted) && memcmp(tiers[i].name, wanted, tiers[i].length) == 0;
        if (named && tiers[i].points)
            return vg_fail(VG_INVALID, "%s: tier \"%s\" holds points, not intervals; the tiers are %s", path, wanted, list);
        if (named || (wanted == NULL && !tiers[i].points)) {
            *chosen = &tiers[i];
            fits++;
        }
    }
    if (fits == 1)
        return VG_OK;
    if (wanted != NULL && fits == 0)
        return vg_fail(VG_INVALID, "%s: no tier \"%s\"; it has %s", path, wanted, count > 0 ? list : "none");
    if (wanted != NULL)
        return vg_fail(VG_INVALID, "%s: %lld tiers are named \"%s\"; rename all but one", path, (long long)fits, wanted);
    if (fits == 0)
        return vg_fail(VG_INVALID, "%s: has no interval tier; it has %s", path, count > 0 ? list : "no tier at all");
    return vg_fail(VG_INVALID, "%s: which tier holds the words? Name one (`tier: ...`) of %s", path, list);
}

static vg_status add_intervals(vg_story_builder *builder, scanner s, int64_t count)
{
    char *text;
    VG_TRY(VG_NEW(&text, (int64_t)(s.size - s.at) + 1, "bytes of an interval's text"));
    vg_status status = VG_OK;
    for (int64_t i = 0; i < count; i++) {
        VG_GO(expect(&s, NUMBER, "an interval's xmin"));
        double onset = s.number;
        int64_t line = s.piece_line;
        VG_GO(expect(&s, NUMBER, "an interval's xmax"));
        if (isnan(onset) || isnan(s.number)) {
            status = vg_fail(VG_INVALID, "%s:%lld: a time is not a number", s.path, (long long)line);
            goto done;
        }
        VG_GO(expect(&s, STRING, "an interval's text"));
        size_t length = 0;
        for (size_t c = 0; c < s.length; c++) {
            text[length++] = s.string[c];
            c += s.string[c] == '"'; /* of two quotes the second */
        }
        VG_GO(vg_story_add(builder, line, text, length, onset, s.number));
    }
done:
    free(text);
    return status;
}

vg_status vg_textgrid_read(vg_story_builder *builder, const char *text, size_t size, const char *tier)
{
    scanner s = {.path = builder->path, .text = text, .size = size, .line = 1};
    int64_t count = 0;
    tier_place *tiers = NULL;
    const tier_place *chosen = NULL;
    VG_TRY(scan_header(&s, &count));
    if (count > (int64_t)(size / 16)) /* the shortest tier is longer */
        return vg_fail(VG_INVALID, "%s:%lld: %lld tiers do not fit into the file: is it cut off?", s.path, (long long)s.piece_line,
                       (long long)count);
    VG_TRY(VG_NEW(&tiers, count, "tiers"));
    vg_status status = VG_OK;
    for (int64_t i = 0; i < count; i++)
        VG_GO(scan_tier(&s, &tiers[i]));
    VG_GO(scan(&s));
    if (s.kind != END) {
        status = vg_fail(VG_INVALID, "%s:%lld: there is more than the sizes above announce", s.path, (long long)s.piece_line);
        goto done;
    }
    VG_GO(choose_tier(builder->path, tiers, count, tier, &chosen));
    VG_GO(add_intervals(builder, chosen->begin, chosen->count));
done:
    free(tiers);
    return status;
}
