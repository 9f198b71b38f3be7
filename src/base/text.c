/* text: the one reader of lines and fields, numbers whatever the locale, the nearest known word. */
#include <errno.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>

#include "voxgrad/base.h"

bool vg_lines_next(vg_lines *lines)
{
    if (lines->at >= lines->size)
        return false;
    const char *begin = lines->text + lines->at;
    const char *end = memchr(begin, '\n', lines->size - lines->at);
    size_t length = end != NULL ? (size_t)(end - begin) : lines->size - lines->at;
    lines->at += length + 1;
    lines->line = begin;
    lines->length = length > 0 && begin[length - 1] == '\r' ? length - 1 : length;
    lines->number++;
    return true;
}

static bool blank(char c)
{
    return c == ' ' || c == '\t';
}

bool vg_field_next(const char *line, size_t length, char separator, size_t *at, const char **field, size_t *size)
{
    size_t begin = *at;
    if (separator == ' ')
        while (begin < length && blank(line[begin]))
            begin++;
    if (begin > length || (separator == ' ' && begin == length))
        return false;
    size_t end = begin;
    while (end < length && !(separator == ' ' ? blank(line[end]) : line[end] == separator))
        end++;
    *field = line + begin;
    *size = end - begin;
    *at = end + 1;
    return true;
}

bool vg_parse_double(const char *text, size_t size, double *value)
{
    static _Thread_local locale_t c_locale;
    char copy[64], *end;
    if (size == 0 || size >= sizeof copy || text[0] == ' ' || memchr(text, 'x', size) || memchr(text, 'X', size) || memchr(text, 0, size))
        return false;
    memcpy(copy, text, size);
    copy[size] = '\0';
    if (c_locale == (locale_t)0)
        c_locale = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    *value = strtod_l(copy, &end, c_locale);
    return end == copy + size;
}

bool vg_parse_integer(const char *text, size_t size, int64_t *value)
{
    char copy[32], *end;
    if (size == 0 || size >= sizeof copy || text[0] == ' ' || memchr(text, 0, size))
        return false;
    memcpy(copy, text, size);
    copy[size] = '\0';
    errno = 0;
    long long parsed = strtoll(copy, &end, 10);
    *value = parsed;
    return end == copy + size && errno == 0;
}

/* Levenshtein's distance, capped by the words' lengths of at most 63 bytes. */
static size_t distance(const char *a, const char *b)
{
    size_t row[64], n = strlen(b);
    if (n > 63)
        return 64;
    for (size_t j = 0; j <= n; j++)
        row[j] = j;
    for (size_t i = 1; a[i - 1] != '\0'; i++) {
        size_t corner = row[0];
        row[0] = i;
        for (size_t j = 1; j <= n; j++) {
            size_t change = corner + (a[i - 1] != b[j - 1]);
            corner = row[j];
            size_t shorter = row[j] < row[j - 1] ? row[j] : row[j - 1];
            row[j] = shorter + 1 < change ? shorter + 1 : change;
        }
    }
    return row[n];
}

const char *vg_nearest(const char *word, const char *const *known)
{
    const char *nearest = NULL;
    size_t length = strlen(word), least = length / 2 + 2;
    for (; *known != NULL; known++) {
        size_t d = distance(word, *known);
        if (d < least) {
            least = d;
            nearest = *known;
        }
    }
    return nearest;
}
