/* events: words from a table with a header line: BIDS events (.tsv), aligners' and spreadsheets' .tsv and .csv. Columns are known by name,
 * whatever their case, "_" and " " alike. A missing time is `n/a` (BIDS), NA or an empty field. A field in quotes may hold separators and
 * doubled quotes (RFC 4180); a tab-separated field keeps its quotes unless they are such. */
#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "story.h"

static const char *const word_names[] = {"word", "words", "text", "token", "trial type", "value", NULL};
static const char *const onset_names[] = {"onset", "word onset", "start", "start time", "begin", "xmin", "tmin", NULL};
static const char *const offset_names[] = {"offset", "word offset", "end", "end time", "stop", "xmax", "tmax", NULL};
static const char *const duration_names[] = {"duration", NULL};

typedef struct {
    int64_t fields;                        /* of the header */
    int64_t word, onset, offset, duration; /* column, or -1 */
    char separator;
} layout;

/* One field out of a line, its quotes undone. `field` may point into `room`, which holds as many bytes as the line. */
static bool next_field(const vg_lines *line, char separator, size_t *at, char *room, const char **field, size_t *size, bool *unclosed)
{
    size_t begin = *at, used = 0;
    if (begin >= line->length || line->line[begin] != '"')
        return vg_field_next(line->line, line->length, separator, at, field, size);
    for (size_t i = begin + 1; i < line->length; i++) {
        bool quote = line->line[i] == '"';
        bool closes = quote && (i + 1 == line->length || line->line[i + 1] == separator);
        bool doubled = quote && i + 1 < line->length && line->line[i + 1] == '"';
        if (closes) {
            *field = room;
            *size = used;
            *at = i + 2;
            return true;
        }
        if (quote && !doubled)
            break;
        room[used++] = line->line[i];
        i += doubled;
    }
    *unclosed = true;
    return vg_field_next(line->line, line->length, separator, at, field, size); /* the quote is the word's own */
}

static bool same_name(const char *field, size_t size, const char *name)
{
    if (size != strlen(name))
        return false;
    for (size_t i = 0; i < size; i++) {
        char c = field[i] == '_' ? ' ' : (char)tolower((unsigned char)field[i]);
        if (c != name[i])
            return false;
    }
    return true;
}

/* Notes that column `index` is what `names` say, unless a better name was seen. */
static void match(const char *field, size_t size, int64_t index, const char *const *names, int64_t *column, int64_t *rank)
{
    for (int64_t i = 0; names[i] != NULL; i++)
        if (same_name(field, size, names[i]) && (*column < 0 || i < *rank)) {
            *column = index;
            *rank = i;
        }
}

static vg_status check_layout(const char *path, const vg_lines *header, const layout *columns, const char *wanted)
{
    int length = (int)(header->length < 300 ? header->length : 300);
    const char *missing = columns->onset < 0  ? "with onsets (onset, start, ...)"
                          : columns->word < 0 ? "with words (word, text, ...)"
                                              : NULL;
    if (columns->word < 0 && wanted != NULL)
        return vg_fail(VG_INVALID, "%s:%lld: no column \"%s\"; the header is \"%.*s\"", path, (long long)header->number, wanted, length,
                       header->line);
    if (missing != NULL)
        return vg_fail(VG_INVALID, "%s:%lld: no column %s; the header is \"%.*s\"", path, (long long)header->number, missing, length,
                       header->line);
    return VG_OK;
}

static vg_status read_header(vg_lines *lines, const char *wanted, char *room, layout *columns)
{
    *columns = (layout){.word = -1, .onset = -1, .offset = -1, .duration = -1};
    do {
        if (!vg_lines_next(lines))
            return vg_fail(VG_INVALID, "%s: is empty", lines->path);
    } while (lines->length == 0);
    columns->separator = memchr(lines->line, '\t', lines->length) != NULL ? '\t' : ',';
    int64_t word = 0, onset = 0, offset = 0, duration = 0;
    const char *field;
    size_t at = 0, size;
    bool unclosed = false;
    for (; next_field(lines, columns->separator, &at, room, &field, &size, &unclosed); columns->fields++) {
        match(field, size, columns->fields, onset_names, &columns->onset, &onset);
        match(field, size, columns->fields, offset_names, &columns->offset, &offset);
        match(field, size, columns->fields, duration_names, &columns->duration, &duration);
        if (wanted == NULL)
            match(field, size, columns->fields, word_names, &columns->word, &word);
        else if (columns->word < 0 && size == strlen(wanted) && memcmp(field, wanted, size) == 0)
            columns->word = columns->fields;
    }
    return check_layout(lines->path, lines, columns, wanted);
}

static bool is_missing(const char *field, size_t size)
{
    return size == 0 || (size == 3 && memcmp(field, "n/a", 3) == 0) || (size == 2 && memcmp(field, "NA", 2) == 0);
}

static vg_status read_time(const vg_lines *line, const char *field, size_t size, double *time)
{
    while (size > 0 && field[0] == ' ') {
        field++;
        size--;
    }
    while (size > 0 && field[size - 1] == ' ')
        size--;
    *time = NAN;
    if (is_missing(field, size))
        return VG_OK;
    if (!vg_parse_double(field, size, time) || !isfinite(*time))
        return vg_fail(VG_INVALID, "%s:%lld: \"%.*s\" is not a time in seconds", line->path, (long long)line->number,
                       (int)(size < 40 ? size : 40), field);
    return VG_OK;
}

/* The offset of a row from its offset or duration. An offset before its onset (published tables have such slips) is not known. */
static vg_status end_of(vg_story_builder *builder, const vg_lines *line, double onset, double offset, double duration, double *end)
{
    *end = isnan(offset) ? onset + duration : offset;
    if (duration < 0)
        return vg_fail(VG_INVALID, "%s:%lld: the duration is negative (%g s)", line->path, (long long)line->number, duration);
    if (*end >= 0 && *end < onset) {
        vg_log(VG_LOG_WARNING, "%s:%lld: word ends (%.3f s) before it starts (%.3f s): its end is taken to be the next word's onset",
               line->path, (long long)line->number, *end, onset);
        builder->mended++;
        *end = NAN;
    }
    return VG_OK;
}

static vg_status read_row(vg_story_builder *builder, const vg_lines *line, const layout *columns, char *room)
{
    const char *field, *word = "";
    size_t at = 0, size, length = 0;
    int64_t fields = 0;
    double onset = NAN, offset = NAN, duration = NAN, end;
    bool unclosed = false;
    for (; next_field(line, columns->separator, &at, room, &field, &size, &unclosed); fields++) {
        if (fields == columns->onset)
            VG_TRY(read_time(line, field, size, &onset));
        if (fields == columns->offset)
            VG_TRY(read_time(line, field, size, &offset));
        if (fields == columns->duration)
            VG_TRY(read_time(line, field, size, &duration));
        if (fields == columns->word) {
            word = field;
            length = size;
            room += field == room ? size : 0; /* keep it */
        }
    }
    if (unclosed && columns->separator == ',')
        return vg_fail(VG_INVALID, "%s:%lld: a quoted field is not closed on its line", line->path, (long long)line->number);
    if (fields != columns->fields)
        return vg_fail(VG_INVALID, "%s:%lld: has %lld fields where the header has %lld: is the file cut off?", line->path,
                       (long long)line->number, (long long)fields, (long long)columns->fields);
    VG_TRY(end_of(builder, line, onset, offset, duration, &end));
    if (length == 3 && memcmp(word, "n/a", 3) == 0)
        length = 0;
    return vg_story_add(builder, line->number, word, length, onset, end);
}

vg_status vg_events_read(vg_story_builder *builder, const char *text, size_t size, const char *column)
{
    vg_lines lines = {.path = builder->path, .text = text, .size = size};
    layout columns;
    char *room;
    VG_TRY(VG_NEW(&room, (int64_t)size + 1, "bytes of a line"));
    vg_status status = VG_OK;
    VG_GO(read_header(&lines, column, room, &columns));
    while (vg_lines_next(&lines))
        if (lines.length > 0)
            VG_GO(read_row(builder, &lines, &columns, room));
done:
    free(room);
    return status;
}
