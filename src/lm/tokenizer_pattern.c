/* tokenizer_pattern: the regular expressions of tokenizer.json. The reference reads them with Oniguruma 6.9.10 (Unicode 16); here they
 * are translated to PCRE2, escape by escape, because the two differ: \s, \w, \h, \v, the meaning of $ and of m, and characters that
 * Unicode got after the PCRE2 at hand (tokenizer_unicode.h). What cannot be said the same way is refused, never guessed. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "tokenizer.h"
#include "tokenizer_unicode.h"

/* ---- translation ------------------------------------------------------------------------------------------------- */

typedef struct {
    const char *text;
    size_t size, at;
    char *out;
    size_t out_size, out_room;
    bool in_class;
} translation;

static vg_status refuse(const translation *t, const char *what)
{
    return vg_fail(VG_INVALID, "regular expression \"%.*s\": %s is not supported (at byte %zu)", (int)(t->size < 200 ? t->size : 200),
                   t->text, what, t->at);
}

static vg_status put(translation *t, const char *bytes, size_t size)
{
    VG_TRY(vg_grow((void **)&t->out, &t->out_room, t->out_size + size, 1, "bytes of a regular expression"));
    memcpy(t->out + t->out_size, bytes, size);
    t->out_size += size;
    return VG_OK;
}

static vg_status put_string(translation *t, const char *string)
{
    return put(t, string, strlen(string));
}

static char peek(const translation *t, size_t ahead)
{
    return t->at + ahead < t->size ? t->text[t->at + ahead] : '\0';
}

/* The characters newer than the library's tables whose category begins with `category`; their number. */
static vg_status put_newer(translation *t, const char *category, size_t *count)
{
    for (size_t i = 0; i < sizeof newer / sizeof *newer; i++) {
        char range[40];
        if (strncmp(newer[i].what, category, strlen(category)) != 0)
            continue;
        snprintf(range, sizeof range, newer[i].first == newer[i].last ? "\\x{%x}" : "\\x{%x}-\\x{%x}", newer[i].first, newer[i].last);
        VG_TRY(put_string(t, range));
        ++*count;
    }
    return VG_OK;
}

/* [\p{..}newer] outside a class, without brackets inside one; negated only where that can be said. */
static vg_status put_set(translation *t, const char *base, const char *const *categories, bool negated)
{
    size_t before = t->out_size, count = 0;
    if (!t->in_class)
        VG_TRY(put_string(t, negated ? "[^" : "["));
    VG_TRY(put_string(t, base));
    for (; *categories != NULL; categories++)
        VG_TRY(put_newer(t, *categories, &count));
    if (t->in_class && negated && count > 0) {
        t->out_size = before;
        return refuse(t, "a negated property or \\W inside a class");
    }
    return t->in_class ? VG_OK : put_string(t, "]");
}

/* Oniguruma's \w; outside of classes, from its Latin-1 table, six superscripts and fractions too. */
static vg_status put_word(translation *t, bool negated)
{
    static const char word[] = "\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}",
                      latin[] = "\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}\\xb2\\xb3\\xb9\\xbc-\\xbe";
    if (t->in_class && negated)
        return refuse(t, "\\W inside a class");
    return put_set(t, t->in_class ? word : latin, (const char *const[]){"L", "M", "Nd", NULL}, negated);
}

/* A word boundary, as the change between \w and not \w. */
static vg_status put_boundary(translation *t, bool negated)
{
    static const char *const parts[2][5] = {{"(?:(?<=", ")(?!", ")|(?<!", ")(?=", "))"}, {"(?:(?<=", ")(?=", ")|(?<!", ")(?!", "))"}};
    for (size_t i = 0; i < 4; i++) {
        VG_TRY(put_string(t, parts[negated][i]));
        VG_TRY(put_word(t, false));
    }
    return put_string(t, parts[negated][4]);
}

/* \p{Name}, \p{^Name}, \P{Name}: a general category, else the name of a script. `at` stands on the p. */
static vg_status put_property(translation *t)
{
    static const char *const categories[] = {"L",  "Lu", "Ll", "Lt", "Lm", "Lo", "M", "Mn", "Mc", "Me", "N",  "Nd", "Nl", "No", "P",  "Pc",
                                             "Pd", "Ps", "Pe", "Pi", "Pf", "Po", "S", "Sm", "Sc", "Sk", "So", "Z",  "Zs", "Zl", "Zp", NULL};
    char name[40], base[64];
    bool negated = peek(t, 0) == 'P';
    size_t length = 0;
    if (peek(t, 1) != '{')
        return refuse(t, "\\p without braces");
    t->at += 2;
    if (peek(t, 0) == '^') {
        negated = !negated;
        t->at++;
    }
    while ((isalpha((unsigned char)peek(t, 0)) || peek(t, 0) == '_') && length < sizeof name - 1)
        name[length++] = t->text[t->at++];
    name[length] = '\0';
    if (length == 0 || peek(t, 0) != '}')
        return refuse(t, "a property of that name");
    t->at++;
    for (const char *const *category = categories; *category != NULL; category++) {
        if (strcmp(name, *category) == 0) {
            bool only = t->in_class && negated;
            snprintf(base, sizeof base, only ? "\\P{%s}" : "\\p{%s}", name);
            return put_set(t, base, (const char *const[]){name, NULL}, negated);
        }
    }
    snprintf(base, sizeof base, negated ? "\\P{sc:%s}" : "\\p{sc:%s}", name);
    return put_string(t, base);
}

/* \xHH, \x{H...}, \uHHHH; `at` stands on the letter. */
static vg_status put_code(translation *t)
{
    char digits[9], code[20];
    bool braces = peek(t, 1) == '{';
    size_t length = 0, most = braces ? 6 : peek(t, 0) == 'u' ? 4 : 2;
    if (braces && peek(t, 0) == 'u')
        return refuse(t, "\\u{");
    t->at += braces ? 2 : 1;
    while (length < most && isxdigit((unsigned char)peek(t, 0)))
        digits[length++] = t->text[t->at++];
    digits[length] = '\0';
    if (length == 0 || (braces && peek(t, 0) != '}') || (!braces && length < most) || (most == 2 && strtoul(digits, NULL, 16) > 0x7F))
        return refuse(t, "this way of writing a code point");
    t->at += braces;
    snprintf(code, sizeof code, "\\x{%s}", digits);
    return put_string(t, code);
}

/* A backslash and what follows it. */
static vg_status put_escape(translation *t)
{
    t->at++;
    char c = peek(t, 0);
    switch (c) {
    case 'p':
    case 'P':
        return put_property(t);
    case 'x':
    case 'u':
        return put_code(t);
    default:
        break;
    }
    t->at++;
    switch (c) {
    case 's':
        return put_string(t, "\\p{White_Space}");
    case 'S':
        return put_string(t, "\\P{White_Space}");
    case 'd':
    case 'D':
        return put_set(t, t->in_class && c == 'D' ? "\\P{Nd}" : "\\p{Nd}", (const char *const[]){"Nd", NULL}, c == 'D');
    case 'w':
    case 'W':
        return put_word(t, c == 'W');
    case 'h':
        return put_string(t, t->in_class ? "0-9A-Fa-f" : "[0-9A-Fa-f]");
    case 'v':
        return put_string(t, "\\x{0b}");
    case 'n':
    case 'r':
    case 't':
    case 'f':
    case 'a':
    case 'e':
        return put(t, (char[]){'\\', c}, 2);
    case 'A':
    case 'z':
    case 'b':
    case 'B':
        if (t->in_class)
            break;
        return c == 'b' || c == 'B' ? put_boundary(t, c == 'B') : put(t, (char[]){'\\', c}, 2);
    default:
        if ((unsigned char)c < 0x80 && !isalnum((unsigned char)c) && c != '\0')
            return put(t, (char[]){'\\', c}, 2);
        break;
    }
    t->at--;
    return refuse(t, "this escape");
}

/* A group's opening: plain, (?: (?= (?! (?<= (?<! (?> (?i: (?-i: and, where all begins, (?i), which reaches differently far elsewhere. */
static vg_status put_group(translation *t)
{
    static const char *const kinds[] = {"(?:", "(?=", "(?!", "(?<=", "(?<!", "(?>", "(?i:", "(?-i:", "(?i)", NULL};
    if (peek(t, 1) != '?' && peek(t, 1) != '*') {
        t->at++;
        return put_string(t, "(");
    }
    for (const char *const *kind = kinds; *kind != NULL; kind++) {
        size_t size = strlen(*kind);
        if (t->size - t->at >= size && memcmp(t->text + t->at, *kind, size) == 0 && ((*kind)[size - 1] != ')' || t->at == 0)) {
            t->at += size;
            return put_string(t, *kind);
        }
    }
    return refuse(t, "this kind of group");
}

/* {n}, {n,}, {n,m}, {,m}. After one, + would repeat it there and make it possessive here, ? after {n} would make it optional. */
static vg_status put_interval(translation *t)
{
    size_t end = t->at + 1, first = end;
    while (end < t->size && isdigit((unsigned char)t->text[end]))
        end++;
    bool has_first = end > first, comma = end < t->size && t->text[end] == ',';
    end += comma;
    size_t second = end;
    while (end < t->size && isdigit((unsigned char)t->text[end]))
        end++;
    if (end >= t->size || t->text[end] != '}' || (!has_first && end == second))
        return refuse(t, "a brace that is no interval");
    char after = end + 1 < t->size ? t->text[end + 1] : '\0';
    if (after == '+' || (after == '?' && !comma) || (after == '*'))
        return refuse(t, "a repeated interval");
    VG_TRY(put_string(t, has_first ? "{" : "{0"));
    VG_TRY(put(t, t->text + first, end + 1 - first));
    t->at = end + 1;
    return VG_OK;
}

static vg_status put_class_start(translation *t)
{
    t->in_class = true;
    t->at++;
    VG_TRY(put_string(t, "["));
    if (peek(t, 0) == '^') {
        t->at++;
        VG_TRY(put_string(t, "^"));
    }
    return peek(t, 0) == ']' ? refuse(t, "a class that begins with ]") : VG_OK;
}

static vg_status put_in_class(translation *t)
{
    char c = peek(t, 0);
    if (c == '[')
        return refuse(t, "a class inside a class");
    if (c == '&' && peek(t, 1) == '&')
        return refuse(t, "&& inside a class");
    t->in_class = c != ']';
    t->at++;
    return put(t, &c, 1);
}

vg_status vg_pattern_translate(const char *text, size_t size, char **translated, size_t *translated_size)
{
    translation t = {.text = text, .size = size};
    vg_status status = VG_OK;
    while (status == VG_OK && t.at < t.size) {
        char c = text[t.at];
        if (c == '\\')
            status = put_escape(&t);
        else if (t.in_class)
            status = put_in_class(&t);
        else if (c == '[')
            status = put_class_start(&t);
        else if (c == '(')
            status = put_group(&t);
        else if (c == '{')
            status = put_interval(&t);
        else if (t.at++, c == '$')
            status = put_string(&t, "(?:(?=\\n)|(?<!\\n)\\z|\\A\\z)");
        else
            status = put(&t, &c, 1);
    }
    if (status == VG_OK)
        status = put(&t, "", 1);
    if (status != VG_OK)
        free(t.out);
    *translated = status == VG_OK ? t.out : NULL;
    *translated_size = t.out_size - 1;
    return status;
}

/* ---- matching ---------------------------------------------------------------------------------------------------- */

static vg_status compile(const char *text, size_t size, bool literal, pcre2_code **code)
{
    int error;
    PCRE2_SIZE offset;
    PCRE2_UCHAR reason[200];
    uint32_t options = PCRE2_UTF | PCRE2_NO_UTF_CHECK;
    options |= literal ? PCRE2_LITERAL : PCRE2_UCP | PCRE2_MULTILINE | PCRE2_NEVER_BACKSLASH_C;
    pcre2_compile_context *context = pcre2_compile_context_create(NULL);
    if (context == NULL)
        return vg_fail(VG_NO_MEMORY, "no memory for a regular expression");
    pcre2_set_newline(context, PCRE2_NEWLINE_LF);
    *code = pcre2_compile((PCRE2_SPTR)text, size, options, &error, &offset, context);
    pcre2_compile_context_free(context);
    if (*code == NULL) {
        pcre2_get_error_message(error, reason, sizeof reason);
        return vg_fail(VG_INVALID, "regular expression \"%.*s\": %s (at byte %zu)", (int)(size < 200 ? size : 200), text, (char *)reason,
                       offset);
    }
    pcre2_jit_compile(*code, PCRE2_JIT_COMPLETE); /* where it fails, matching is interpreted */
    return VG_OK;
}

vg_status vg_pattern_compile(const char *text, size_t size, bool literal, vg_pattern *pattern)
{
    char *translated;
    size_t translated_size;
    if (literal)
        return compile(text, size, true, &pattern->code);
    VG_TRY(vg_pattern_translate(text, size, &translated, &translated_size));
    vg_status status = compile(translated, translated_size, false, &pattern->code);
    free(translated);
    return status;
}

void vg_pattern_free(vg_pattern *pattern)
{
    pcre2_code_free(pattern->code);
    pattern->code = NULL;
}

void vg_spans_free(vg_spans *spans)
{
    free(spans->at);
    pcre2_match_data_free(spans->match);
    *spans = (vg_spans){0};
}

static vg_status add_span(vg_spans *spans, size_t begin, size_t end, bool match)
{
    VG_TRY(vg_grow((void **)&spans->at, &spans->room, spans->count + 1, sizeof *spans->at, "spans of text"));
    spans->at[spans->count++] = (vg_span){begin, end, match};
    return VG_OK;
}

/* The next match from `from` on; false in *found where there is none. */
static vg_status next_match(const vg_pattern *pattern, const char *text, size_t size, size_t from, pcre2_match_data *data, bool *found)
{
    PCRE2_UCHAR reason[200];
    int matched = pcre2_match(pattern->code, (PCRE2_SPTR)text, size, from, PCRE2_NO_UTF_CHECK, data, NULL);
    if (matched == PCRE2_ERROR_JIT_STACKLIMIT)
        matched = pcre2_match(pattern->code, (PCRE2_SPTR)text, size, from, PCRE2_NO_UTF_CHECK | PCRE2_NO_JIT, data, NULL);
    *found = matched >= 0;
    if (matched >= 0 || matched == PCRE2_ERROR_NOMATCH)
        return VG_OK;
    pcre2_get_error_message(matched, reason, sizeof reason);
    return vg_fail(VG_INVALID, "a regular expression of the tokenizer fails on a text of %zu bytes: %s", size, (char *)reason);
}

/* An empty match at the end of the match before it is passed over, as in the reference. */
vg_status vg_pattern_spans(const vg_pattern *pattern, const char *text, size_t size, vg_spans *spans)
{
    size_t from = 0, previous = 0, last = SIZE_MAX, length;
    bool found;
    spans->count = 0;
    if (spans->match == NULL)
        spans->match = pcre2_match_data_create(8, NULL);
    if (spans->match == NULL)
        return vg_fail(VG_NO_MEMORY, "no memory for a match");
    while (from <= size) {
        VG_TRY(next_match(pattern, text, size, from, spans->match, &found));
        if (!found)
            break;
        const PCRE2_SIZE *match = pcre2_get_ovector_pointer(spans->match);
        size_t begin = match[0], end = match[1];
        if (begin == end && end == last) {
            if (from == size)
                break;
            vg_utf8_get(text + from, &length);
            from += length;
            continue;
        }
        if (begin > previous)
            VG_TRY(add_span(spans, previous, begin, pattern->invert));
        VG_TRY(add_span(spans, begin, end, !pattern->invert));
        from = last = previous = end;
    }
    if (previous < size)
        VG_TRY(add_span(spans, previous, size, pattern->invert));
    return VG_OK;
}
