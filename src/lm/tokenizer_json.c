/* tokenizer_json: tokenizer.json (format 1.0 of the `tokenizers` library) into a vg_tokenizer. Kinds are rows of a table for each section;
 * what is not in them is refused with the list of what is. Keys that change nothing here (truncation, padding, version) are passed over. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "tokenizer.h"

enum { MOST_IDS = 1 << 22, MOST_NESTED = 8 };

/* GPT-2's own split (github.com/openai/gpt-2, encoder.py), which ByteLevel stands for. */
static const char gpt2_split[] = "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";

typedef struct {
    const char *path;
    vg_tokenizer *tokenizer;
} reader;

typedef struct {
    const char *type;
    vg_status (*read)(const reader *r, const json_t *object);
} kind_row;

/* ---- values of a key, of the type they must have ------------------------------------------------------------------ */

static const char *type_name(const json_t *value)
{
    static const char *const names[] = {"an object", "an array", "a string", "an integer", "a real number", "true", "false", "null"};
    return value != NULL ? names[json_typeof(value)] : "nothing";
}

static vg_status expected(const reader *r, const char *section, const char *key, const json_t *found, const char *what)
{
    return vg_fail(VG_INVALID, "%s: %s.%s is %s; it must be %s", r->path, section, key, type_name(found), what);
}

static vg_status get_string(const reader *r, const json_t *object, const char *section, const char *key, const char **text, size_t *size)
{
    const json_t *value = json_object_get(object, key);
    *text = NULL;
    *size = 0;
    if (!json_is_string(value))
        return expected(r, section, key, value, "a string");
    *text = json_string_value(value);
    *size = json_string_length(value);
    return VG_OK;
}

/* A string of one character. */
static vg_status get_character(const reader *r, const json_t *object, const char *section, const char *key, const char **text, size_t *size)
{
    size_t length = 0;
    VG_TRY(get_string(r, object, section, key, text, size));
    if (*size > 0)
        vg_utf8_get(*text, &length);
    return length > 0 && length == *size
               ? VG_OK
               : vg_fail(VG_INVALID, "%s: %s.%s is \"%s\"; it must be one character", r->path, section, key, *text);
}

/* fallback: 0 or 1 where the key may be missing or null, -1 where it must be there. */
static vg_status get_bool(const reader *r, const json_t *object, const char *section, const char *key, int fallback, bool *value)
{
    const json_t *found = json_object_get(object, key);
    *value = fallback > 0;
    if (fallback >= 0 && (found == NULL || json_is_null(found)))
        return VG_OK;
    if (!json_is_boolean(found))
        return expected(r, section, key, found, "true or false");
    *value = json_is_true(found);
    return VG_OK;
}

static vg_status get_integer(const reader *r, const json_t *object, const char *section, const char *key, int64_t *value)
{
    const json_t *found = json_object_get(object, key);
    if (!json_is_integer(found) || json_integer_value(found) < 0)
        return expected(r, section, key, found, "a whole number >= 0");
    *value = json_integer_value(found);
    return VG_OK;
}

static vg_status copy_string(const char *text, size_t size, char **copy)
{
    VG_TRY(VG_NEW(copy, (int64_t)size + 1, "bytes of a string"));
    memcpy(*copy, text, size);
    return VG_OK;
}

/* ---- sections that are one object or a Sequence of them ------------------------------------------------------------- */

static vg_status refuse_kind(const reader *r, const char *section, const char *type, const char *list, const kind_row *rows)
{
    char known[512] = "";
    for (; rows->type != NULL; rows++) {
        strncat(known, rows->type, sizeof known - strlen(known) - 1);
        strncat(known, ", ", sizeof known - strlen(known) - 1);
    }
    strncat(known, list != NULL ? "Sequence" : "", sizeof known - strlen(known) - 1);
    return vg_fail(VG_INVALID, "%s: %s of type \"%s\" is not supported; supported are %s", r->path, section, type, known);
}

/* `list`: the key of a Sequence's members. */
static vg_status read_section(const reader *r, const json_t *object, const char *section, const char *list, const kind_row *rows, int depth)
{
    const char *type;
    size_t size, i;
    if (object == NULL || json_is_null(object))
        return VG_OK;
    if (!json_is_object(object))
        return vg_fail(VG_INVALID, "%s: %s is %s; it must be an object", r->path, section, type_name(object));
    VG_TRY(get_string(r, object, section, "type", &type, &size));
    if (strcmp(type, "Sequence") == 0) {
        const json_t *members = json_object_get(object, list), *member;
        if (!json_is_array(members))
            return expected(r, section, list, members, "an array");
        if (depth == MOST_NESTED)
            return vg_fail(VG_INVALID, "%s: %s: Sequences are nested more than %d deep", r->path, section, MOST_NESTED);
        json_array_foreach(members, i, member) VG_TRY(read_section(r, member, section, list, rows, depth + 1));
        return VG_OK;
    }
    for (const kind_row *row = rows; row->type != NULL; row++)
        if (strcmp(type, row->type) == 0)
            return row->read(r, object);
    return refuse_kind(r, section, type, list, rows);
}

static vg_status within(const reader *r, const char *section, vg_status status)
{
    return status == VG_OK ? VG_OK : vg_fail_within(status, "%s: %s: ", r->path, section);
}

/* pattern: {"String": s} or {"Regex": s} */
static vg_status read_pattern(const reader *r, const json_t *object, const char *section, vg_pattern *pattern)
{
    const char *text;
    size_t size;
    const json_t *value = json_object_get(object, "pattern");
    if (!json_is_object(value) || json_object_size(value) != 1)
        return expected(r, section, "pattern", value, "{\"String\": ...} or {\"Regex\": ...}");
    bool literal = json_object_get(value, "String") != NULL;
    VG_TRY(get_string(r, value, section, literal ? "String" : "Regex", &text, &size));
    return within(r, section, vg_pattern_compile(text, size, literal, pattern));
}

static vg_status new_step(vg_steps *steps, vg_step_kind kind, vg_step **step)
{
    VG_TRY(vg_grow((void **)&steps->at, &steps->room, steps->count + 1, sizeof *steps->at, "steps of a tokenizer"));
    *step = &steps->at[steps->count++];
    **step = (vg_step){.kind = kind};
    return VG_OK;
}

static vg_status set_content(vg_step *step, const char *text, size_t size)
{
    step->content_size = size;
    return copy_string(text, size, &step->content);
}

static vg_status new_split(vg_steps *steps, const char *regex, vg_split_kind kind, bool invert)
{
    vg_step *step;
    VG_TRY(new_step(steps, VG_STEP_SPLIT, &step));
    step->split = kind;
    step->pattern.invert = invert;
    return vg_pattern_compile(regex, strlen(regex), false, &step->pattern);
}

/* ---- normalizers -------------------------------------------------------------------------------------------------- */

static vg_status read_prepend(const reader *r, const json_t *object)
{
    vg_step *step;
    const char *text;
    size_t size;
    VG_TRY(get_string(r, object, "normalizer", "prepend", &text, &size));
    VG_TRY(new_step(&r->tokenizer->normalizer, VG_STEP_PREPEND, &step));
    return set_content(step, text, size);
}

static vg_status read_replace(const reader *r, const json_t *object)
{
    vg_step *step;
    const char *text;
    size_t size;
    VG_TRY(get_string(r, object, "normalizer", "content", &text, &size));
    VG_TRY(new_step(&r->tokenizer->normalizer, VG_STEP_REPLACE, &step));
    VG_TRY(set_content(step, text, size));
    return read_pattern(r, object, "normalizer", &step->pattern);
}

static vg_status read_form(const reader *r, const json_t *object)
{
    vg_step *step;
    const char *type = json_string_value(json_object_get(object, "type")); /* NFC, NFD, NFKC, NFKD */
    VG_TRY(new_step(&r->tokenizer->normalizer, VG_STEP_NORMALIZE, &step));
    step->compatible = type[2] == 'K';
    step->composed = type[strlen(type) - 1] == 'C';
    return VG_OK;
}

static vg_status read_lowercase(const reader *r, const json_t *object)
{
    vg_step *step;
    (void)object;
    return new_step(&r->tokenizer->normalizer, VG_STEP_LOWERCASE, &step);
}

static vg_status read_strip(const reader *r, const json_t *object)
{
    vg_step *step;
    VG_TRY(new_step(&r->tokenizer->normalizer, VG_STEP_STRIP, &step));
    VG_TRY(get_bool(r, object, "normalizer", "strip_left", -1, &step->left));
    return get_bool(r, object, "normalizer", "strip_right", -1, &step->right);
}

static const kind_row normalizers[] = {
    {"Prepend", read_prepend}, {"Replace", read_replace},     {"NFC", read_form},    {"NFD", read_form}, {"NFKC", read_form},
    {"NFKD", read_form},       {"Lowercase", read_lowercase}, {"Strip", read_strip}, {NULL, NULL},
};

/* ---- pre-tokenizers ----------------------------------------------------------------------------------------------- */

static vg_status read_byte_level(const reader *r, const json_t *object)
{
    vg_steps *steps = &r->tokenizer->pre_tokenizer;
    vg_step *step;
    bool prefix, regex;
    VG_TRY(get_bool(r, object, "pre_tokenizer", "add_prefix_space", -1, &prefix));
    VG_TRY(get_bool(r, object, "pre_tokenizer", "use_regex", 1, &regex));
    if (prefix) {
        VG_TRY(new_step(steps, VG_STEP_PREPEND, &step));
        step->unless_there = true;
        VG_TRY(set_content(step, " ", 1));
    }
    if (regex)
        VG_TRY(new_split(steps, gpt2_split, VG_SPLIT_ISOLATED, false));
    return new_step(steps, VG_STEP_BYTES, &step);
}

static vg_status read_split(const reader *r, const json_t *object)
{
    static const char *const behaviors[] = {"Removed", "Isolated", "MergedWithPrevious", "MergedWithNext", "Contiguous"};
    vg_step *step;
    const char *behavior;
    size_t size, kind = 0;
    VG_TRY(get_string(r, object, "pre_tokenizer", "behavior", &behavior, &size));
    while (kind < 5 && strcmp(behavior, behaviors[kind]) != 0)
        kind++;
    if (kind == 5)
        return vg_fail(
            VG_INVALID,
            "%s: pre_tokenizer.behavior is \"%s\"; it must be Removed, Isolated, MergedWithPrevious, MergedWithNext or Contiguous", r->path,
            behavior);
    VG_TRY(new_step(&r->tokenizer->pre_tokenizer, VG_STEP_SPLIT, &step));
    step->split = (vg_split_kind)kind;
    VG_TRY(get_bool(r, object, "pre_tokenizer", "invert", -1, &step->pattern.invert));
    return read_pattern(r, object, "pre_tokenizer", &step->pattern);
}

/* prepend_scheme: always (default), first, never; the older add_prefix_space: false stands for never. */
static vg_status get_scheme(const reader *r, const json_t *object, const char *section, const char **scheme)
{
    size_t size;
    bool prefix;
    *scheme = "always";
    if (json_object_get(object, "prepend_scheme") != NULL)
        VG_TRY(get_string(r, object, section, "prepend_scheme", scheme, &size));
    if (strcmp(*scheme, "always") != 0 && strcmp(*scheme, "first") != 0 && strcmp(*scheme, "never") != 0)
        return vg_fail(VG_INVALID, "%s: %s.prepend_scheme is \"%s\"; it must be always, first or never", r->path, section, *scheme);
    VG_TRY(get_bool(r, object, section, "add_prefix_space", 1, &prefix));
    if (!prefix && strcmp(*scheme, "never") != 0)
        return vg_fail(VG_INVALID, "%s: %s: add_prefix_space is false but prepend_scheme is \"%s\"", r->path, section, *scheme);
    return VG_OK;
}

static vg_status read_metaspace(const reader *r, const json_t *object)
{
    vg_steps *steps = &r->tokenizer->pre_tokenizer;
    vg_step *step;
    const char *replacement, *scheme;
    size_t size;
    bool split;
    VG_TRY(get_character(r, object, "pre_tokenizer", "replacement", &replacement, &size));
    VG_TRY(get_scheme(r, object, "pre_tokenizer", &scheme));
    VG_TRY(get_bool(r, object, "pre_tokenizer", "split", 1, &split));
    VG_TRY(new_step(steps, VG_STEP_REPLACE, &step));
    VG_TRY(set_content(step, replacement, size));
    VG_TRY(vg_pattern_compile(" ", 1, true, &step->pattern));
    if (strcmp(scheme, "never") != 0) {
        VG_TRY(new_step(steps, VG_STEP_PREPEND, &step));
        step->unless_there = true;
        step->only_first = strcmp(scheme, "first") == 0;
        VG_TRY(set_content(step, replacement, size));
    }
    if (!split)
        return VG_OK;
    VG_TRY(new_step(steps, VG_STEP_SPLIT, &step));
    step->split = VG_SPLIT_WITH_NEXT;
    return vg_pattern_compile(replacement, size, true, &step->pattern);
}

static vg_status read_digits(const reader *r, const json_t *object)
{
    bool individual;
    VG_TRY(get_bool(r, object, "pre_tokenizer", "individual_digits", -1, &individual));
    return new_split(&r->tokenizer->pre_tokenizer, "\\p{N}", individual ? VG_SPLIT_ISOLATED : VG_SPLIT_CONTIGUOUS, false);
}

static vg_status read_whitespace_split(const reader *r, const json_t *object)
{
    (void)object;
    return new_split(&r->tokenizer->pre_tokenizer, "\\s", VG_SPLIT_REMOVED, false);
}

static const kind_row pre_tokenizers[] = {
    {"ByteLevel", read_byte_level},
    {"Split", read_split},
    {"Metaspace", read_metaspace},
    {"Digits", read_digits},
    {"WhitespaceSplit", read_whitespace_split},
    {NULL, NULL},
};

/* ---- decoders ----------------------------------------------------------------------------------------------------- */

static vg_status new_decode(const reader *r, vg_decode_kind kind, vg_decode_step **step)
{
    vg_decoder *decoder = &r->tokenizer->decoder;
    VG_TRY(vg_grow((void **)&decoder->at, &decoder->room, decoder->count + 1, sizeof *decoder->at, "steps of a decoder"));
    *step = &decoder->at[decoder->count++];
    **step = (vg_decode_step){.kind = kind};
    return VG_OK;
}

static vg_status decode_bytes(const reader *r, const json_t *object)
{
    vg_decode_step *step;
    (void)object;
    return new_decode(r, VG_DECODE_BYTES, &step);
}

static vg_status decode_fallback(const reader *r, const json_t *object)
{
    vg_decode_step *step;
    (void)object;
    return new_decode(r, VG_DECODE_BYTE_FALLBACK, &step);
}

static vg_status decode_fuse(const reader *r, const json_t *object)
{
    vg_decode_step *step;
    (void)object;
    return new_decode(r, VG_DECODE_FUSE, &step);
}

static vg_status decode_replace(const reader *r, const json_t *object)
{
    vg_decode_step *step;
    const char *text;
    VG_TRY(new_decode(r, VG_DECODE_REPLACE, &step));
    VG_TRY(get_string(r, object, "decoder", "content", &text, &step->content_size));
    VG_TRY(copy_string(text, step->content_size, &step->content));
    return read_pattern(r, object, "decoder", &step->pattern);
}

static vg_status decode_strip(const reader *r, const json_t *object)
{
    vg_decode_step *step;
    const char *text;
    VG_TRY(new_decode(r, VG_DECODE_STRIP, &step));
    VG_TRY(get_character(r, object, "decoder", "content", &text, &step->content_size));
    VG_TRY(get_integer(r, object, "decoder", "start", &step->start));
    VG_TRY(get_integer(r, object, "decoder", "stop", &step->stop));
    return copy_string(text, step->content_size, &step->content);
}

static vg_status decode_metaspace(const reader *r, const json_t *object)
{
    vg_decode_step *step;
    const char *text, *scheme;
    VG_TRY(new_decode(r, VG_DECODE_METASPACE, &step));
    VG_TRY(get_character(r, object, "decoder", "replacement", &text, &step->content_size));
    VG_TRY(get_scheme(r, object, "decoder", &scheme));
    step->prepended = strcmp(scheme, "never") != 0;
    return copy_string(text, step->content_size, &step->content);
}

static const kind_row decoders[] = {
    {"ByteLevel", decode_bytes},
    {"Replace", decode_replace},
    {"ByteFallback", decode_fallback},
    {"Fuse", decode_fuse},
    {"Strip", decode_strip},
    {"Metaspace", decode_metaspace},
    {NULL, NULL},
};

/* ---- post-processors ---------------------------------------------------------------------------------------------- */

static vg_status process_byte_level(const reader *r, const json_t *object)
{
    bool trim, prefix;
    VG_TRY(get_bool(r, object, "post_processor", "trim_offsets", -1, &trim));
    VG_TRY(get_bool(r, object, "post_processor", "add_prefix_space", -1, &prefix));
    if (trim)
        r->tokenizer->trim_keeps_prefix = prefix;
    r->tokenizer->trim_offsets |= trim;
    return VG_OK;
}

/* single: [{"SpecialToken": {"id": name}}, {"Sequence": ...}, ...]; special_tokens: {name: {"ids": [id, ...]}} */
static vg_status process_template(const reader *r, const json_t *object)
{
    const char *name;
    size_t size;
    const json_t *single = json_object_get(object, "single"), *tokens = json_object_get(object, "special_tokens");
    if (!json_is_array(single))
        return expected(r, "post_processor", "single", single, "an array");
    const json_t *first = json_object_get(json_array_get(single, 0), "SpecialToken");
    if (first == NULL)
        return VG_OK;
    VG_TRY(get_string(r, first, "post_processor.single[0]", "id", &name, &size));
    const json_t *ids = json_object_get(json_object_get(tokens, name), "ids"), *id = json_array_get(ids, 0);
    if (!json_is_integer(id) || json_integer_value(id) < 0 || json_integer_value(id) >= r->tokenizer->vocabulary.size ||
        r->tokenizer->vocabulary.tokens[json_integer_value(id)].text == NULL)
        return vg_fail(VG_INVALID, "%s: post_processor.special_tokens has no id of the vocabulary for \"%s\"", r->path, name);
    r->tokenizer->bos = (int32_t)json_integer_value(id);
    return VG_OK;
}

static const kind_row post_processors[] = {{"ByteLevel", process_byte_level}, {"TemplateProcessing", process_template}, {NULL, NULL}};

/* ---- model -------------------------------------------------------------------------------------------------------- */

static vg_status read_options(const reader *r, const json_t *model)
{
    static const char *const affixes[] = {"continuing_subword_prefix", "end_of_word_suffix"};
    vg_vocabulary *vocabulary = &r->tokenizer->vocabulary;
    const json_t *type = json_object_get(model, "type"), *dropout = json_object_get(model, "dropout");
    const json_t *unknown = json_object_get(model, "unk_token");
    if (type != NULL && !json_is_string(type))
        return expected(r, "model", "type", type, "a string");
    if (type != NULL ? strcmp(json_string_value(type), "BPE") != 0 : json_object_get(model, "merges") == NULL)
        return vg_fail(VG_INVALID, "%s: model of type \"%s\" is not supported; supported is BPE", r->path,
                       type != NULL ? json_string_value(type) : "");
    if (dropout != NULL && !json_is_null(dropout) && !(json_is_number(dropout) && json_number_value(dropout) == 0))
        return vg_fail(VG_INVALID, "%s: model.dropout makes tokens random; it must be null or 0", r->path);
    for (size_t i = 0; i < 2; i++) {
        const json_t *affix = json_object_get(model, affixes[i]);
        if (affix != NULL && !json_is_null(affix) && !(json_is_string(affix) && json_string_length(affix) == 0))
            return vg_fail(VG_INVALID, "%s: model.%s is not supported; it must be null or \"\"", r->path, affixes[i]);
    }
    VG_TRY(get_bool(r, model, "model", "byte_fallback", 0, &vocabulary->byte_fallback));
    VG_TRY(get_bool(r, model, "model", "fuse_unk", 0, &vocabulary->fuse_unknown));
    VG_TRY(get_bool(r, model, "model", "ignore_merges", 0, &vocabulary->ignore_merges));
    if (unknown == NULL || json_is_null(unknown))
        return VG_OK;
    if (!json_is_string(unknown))
        return expected(r, "model", "unk_token", unknown, "a string or null");
    return copy_string(json_string_value(unknown), json_string_length(unknown), &vocabulary->unknown);
}

static vg_status check_id(const reader *r, const char *token, const json_t *id)
{
    if (!json_is_integer(id))
        return vg_fail(VG_INVALID, "%s: the id of token \"%s\" is %s; it must be a whole number", r->path, token, type_name(id));
    if (json_integer_value(id) < 0 || json_integer_value(id) >= MOST_IDS)
        return vg_fail(VG_INVALID, "%s: the id of token \"%s\" is %lld; it must be from 0 to %d", r->path, token,
                       (long long)json_integer_value(id), MOST_IDS - 1);
    return VG_OK;
}

static vg_status read_tokens(const reader *r, const json_t *tokens, size_t merges, int64_t ids)
{
    vg_vocabulary *vocabulary = &r->tokenizer->vocabulary;
    json_t *object = (json_t *)(uintptr_t)tokens, *id;
    const char *token;
    size_t bytes = 0;
    json_object_foreach(object, token, id)
    {
        VG_TRY(check_id(r, token, id));
        ids = json_integer_value(id) >= ids ? json_integer_value(id) + 1 : ids;
        bytes += strlen(token);
    }
    VG_TRY(vg_vocabulary_create(vocabulary, ids, json_object_size(tokens), merges, bytes));
    json_object_foreach(object, token, id)
    {
        const vg_token *other = &vocabulary->tokens[json_integer_value(id)];
        if (other->text != NULL)
            return vg_fail(VG_INVALID, "%s: tokens \"%.*s\" and \"%s\" have the same id %lld", r->path, (int)other->size, other->text,
                           token, (long long)json_integer_value(id));
        vg_vocabulary_add(vocabulary, (int32_t)json_integer_value(id), token, strlen(token));
    }
    vg_vocabulary_finish(vocabulary);
    return VG_OK;
}

/* A merge is "left right" or ["left", "right"]. */
static vg_status merge_parts(const reader *r, const json_t *merge, size_t number, const char *part[2], size_t size[2])
{
    if (json_is_array(merge) && json_array_size(merge) == 2) {
        for (size_t i = 0; i < 2; i++) {
            part[i] = json_string_value(json_array_get(merge, i));
            size[i] = json_string_length(json_array_get(merge, i));
        }
        if (part[0] != NULL && part[1] != NULL)
            return VG_OK;
    } else if (json_is_string(merge)) {
        const char *text = json_string_value(merge), *blank = strchr(text, ' ');
        if (blank != NULL && strchr(blank + 1, ' ') == NULL) {
            part[0] = text, size[0] = (size_t)(blank - text);
            part[1] = blank + 1, size[1] = json_string_length(merge) - size[0] - 1;
            return VG_OK;
        }
    }
    return vg_fail(VG_INVALID, "%s: merge %zu is neither \"left right\" nor [\"left\", \"right\"]", r->path, number);
}

static vg_status find_part(const reader *r, size_t number, const char *text, size_t size, int32_t *id)
{
    *id = vg_vocabulary_find(&r->tokenizer->vocabulary, text, size);
    return *id >= 0 ? VG_OK : vg_fail(VG_INVALID, "%s: merge %zu: \"%.*s\" is not in the vocabulary", r->path, number, (int)size, text);
}

static vg_status read_merge(const reader *r, const json_t *merge, size_t rank, vg_text *joined)
{
    const char *part[2];
    size_t size[2];
    int32_t left, right, merged;
    VG_TRY(merge_parts(r, merge, rank, part, size));
    VG_TRY(find_part(r, rank, part[0], size[0], &left));
    VG_TRY(find_part(r, rank, part[1], size[1], &right));
    vg_text_clear(joined);
    VG_TRY(vg_text_append(joined, part[0], size[0], (vg_origin){0}));
    VG_TRY(vg_text_append(joined, part[1], size[1], (vg_origin){0}));
    VG_TRY(find_part(r, rank, joined->bytes, joined->size, &merged));
    vg_vocabulary_merge(&r->tokenizer->vocabulary, (uint32_t)rank, left, right, merged);
    return VG_OK;
}

static vg_status read_merges(const reader *r, const json_t *merges)
{
    vg_text joined = {0};
    vg_status status = VG_OK;
    size_t i, rank = 0;
    const json_t *merge;
    json_array_foreach(merges, i, merge)
    {
        if (json_is_string(merge) && strncmp(json_string_value(merge), "#version", 8) == 0)
            continue; /* the first line of a merges.txt */
        VG_GO(read_merge(r, merge, rank++, &joined));
    }
done:
    vg_text_free(&joined);
    return status;
}

static vg_status read_model(const reader *r, const json_t *model, int64_t ids)
{
    if (!json_is_object(model))
        return vg_fail(VG_INVALID, "%s: model is %s; it must be an object", r->path, type_name(model));
    VG_TRY(read_options(r, model));
    const json_t *tokens = json_object_get(model, "vocab"), *merges = json_object_get(model, "merges");
    if (!json_is_object(tokens))
        return expected(r, "model", "vocab", tokens, "an object");
    if (!json_is_array(merges))
        return expected(r, "model", "merges", merges, "an array");
    VG_TRY(read_tokens(r, tokens, json_array_size(merges), ids));
    return read_merges(r, merges);
}

/* ---- added tokens ------------------------------------------------------------------------------------------------- */

/* The id that the next added token must have for its embedding to be its own: the reference gives new tokens the ids after the
 * vocabulary's in their order, whatever the file says. */
static vg_status place_added(const reader *r, vg_added *added, int64_t *next)
{
    vg_vocabulary *vocabulary = &r->tokenizer->vocabulary;
    int32_t known = vg_vocabulary_find(vocabulary, added->content, added->content_size);
    int64_t given = known >= 0 ? known : (*next)++;
    if (given != added->id)
        return vg_fail(VG_INVALID, "%s: added token \"%s\" has id %d, but %s %lld", r->path, added->content, added->id,
                       known >= 0 ? "in the vocabulary it is" : "the next free id is", (long long)given);
    if (known < 0 && vocabulary->tokens[given].text != NULL)
        return vg_fail(VG_INVALID, "%s: added token \"%s\" has id %d, which is that of \"%.*s\"", r->path, added->content, added->id,
                       (int)vocabulary->tokens[given].size, vocabulary->tokens[given].text);
    if (known < 0)
        vocabulary->tokens[given] = (vg_token){added->content, (uint32_t)added->content_size};
    return VG_OK;
}

static vg_status read_added(const reader *r, const json_t *object, vg_added *added)
{
    const char *content;
    VG_TRY(get_string(r, object, "added_tokens[]", "content", &content, &added->content_size));
    if (added->content_size == 0)
        return vg_fail(VG_INVALID, "%s: an added token is empty", r->path);
    VG_TRY(check_id(r, content, json_object_get(object, "id")));
    added->id = (int32_t)json_integer_value(json_object_get(object, "id"));
    VG_TRY(copy_string(content, added->content_size, &added->content));
    VG_TRY(get_bool(r, object, "added_tokens[]", "single_word", -1, &added->single_word));
    VG_TRY(get_bool(r, object, "added_tokens[]", "lstrip", -1, &added->lstrip));
    VG_TRY(get_bool(r, object, "added_tokens[]", "rstrip", -1, &added->rstrip));
    VG_TRY(get_bool(r, object, "added_tokens[]", "normalized", -1, &added->normalized));
    return get_bool(r, object, "added_tokens[]", "special", -1, &added->special);
}

/* Before the vocabulary, whose size depends on the ids here. */
static vg_status read_added_tokens(const reader *r, const json_t *list, int64_t *ids)
{
    vg_added_tokens *added = &r->tokenizer->added;
    if (list == NULL || json_is_null(list))
        return VG_OK;
    if (!json_is_array(list))
        return vg_fail(VG_INVALID, "%s: added_tokens is %s; it must be an array", r->path, type_name(list));
    VG_TRY(VG_NEW(&added->at, (int64_t)json_array_size(list), "added tokens"));
    for (; added->count < json_array_size(list); added->count++) {
        vg_added *token = &added->at[added->count];
        vg_status status = read_added(r, json_array_get(list, added->count), token);
        if (status != VG_OK) {
            free(token->content);
            return status;
        }
        *ids = token->id >= *ids ? token->id + 1 : *ids;
    }
    return VG_OK;
}

static vg_status finish_added(const reader *r, size_t tokens)
{
    vg_tokenizer *tokenizer = r->tokenizer;
    vg_added_tokens *added = &tokenizer->added;
    int64_t next = (int64_t)tokens;
    for (size_t i = 0; i < added->count; i++) {
        VG_TRY(within(r, "added_tokens", vg_added_normalize(&added->at[i], &tokenizer->normalizer)));
        VG_TRY(place_added(r, &added->at[i], &next));
    }
    VG_TRY(VG_NEW(&tokenizer->texts, tokenizer->vocabulary.size, "tokens"));
    for (int64_t id = 0; id < tokenizer->vocabulary.size; id++)
        tokenizer->texts[id] = tokenizer->vocabulary.tokens[id];
    for (size_t i = 0; i < added->count; i++)
        tokenizer->texts[added->at[i].id] = (vg_token){added->at[i].pattern, (uint32_t)added->at[i].pattern_size};
    return within(r, "added_tokens", vg_added_index(added));
}

/* ---- the whole ---------------------------------------------------------------------------------------------------- */

static vg_status read_all(const reader *r, const json_t *root)
{
    const json_t *model = json_object_get(root, "model"), *decoder = json_object_get(root, "decoder");
    int64_t ids = 0;
    if (!json_is_object(root))
        return vg_fail(VG_INVALID, "%s: is %s; a tokenizer.json is an object", r->path, type_name(root));
    VG_TRY(read_section(r, json_object_get(root, "normalizer"), "normalizer", "normalizers", normalizers, 0));
    VG_TRY(read_section(r, json_object_get(root, "pre_tokenizer"), "pre_tokenizer", "pretokenizers", pre_tokenizers, 0));
    VG_TRY(read_section(r, decoder, "decoder", "decoders", decoders, 0));
    r->tokenizer->decoder.there = decoder != NULL && !json_is_null(decoder);
    VG_TRY(read_added_tokens(r, json_object_get(root, "added_tokens"), &ids));
    VG_TRY(read_model(r, model, ids));
    VG_TRY(finish_added(r, json_object_size(json_object_get(model, "vocab"))));
    return read_section(r, json_object_get(root, "post_processor"), "post_processor", "processors", post_processors, 0);
}

vg_status vg_tokenizer_parse(const char *path, const char *bytes, size_t size, vg_tokenizer **tokenizer)
{
    json_error_t error;
    *tokenizer = NULL;
    json_t *root = json_loadb(bytes != NULL ? bytes : "", size, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &error);
    if (root == NULL)
        return vg_fail(VG_INVALID, "%s:%d: is not JSON: %s", path, error.line, error.text);
    vg_status status = VG_NEW(tokenizer, 1, "tokenizer");
    if (status == VG_OK) {
        reader r = {path, *tokenizer};
        (*tokenizer)->bos = -1;
        status = read_all(&r, root);
    }
    json_decref(root);
    if (status != VG_OK) {
        vg_tokenizer_close(*tokenizer);
        *tokenizer = NULL;
    }
    return status;
}
