/* tokenizer_kinds: the kinds of normalizers, pre-tokenizers, decoders and post-processors, one row and one short function each: what an
 * object of tokenizer.json becomes as steps. A new kind is a new row, and where its work is new, a new step (tokenizer_text.c). */
#include <stdlib.h>
#include <string.h>

#include "tokenizer_json.h"

/* GPT-2's own split (github.com/openai/gpt-2, encoder.py), which ByteLevel stands for. */
static const char gpt2_split[] = "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";

/* ---- steps ----------------------------------------------------------------------------------------------------------- */

/* pattern: {"String": s} or {"Regex": s} */
static vg_status read_pattern(const vg_reader *r, const json_t *object, const char *section, vg_pattern *pattern)
{
    const char *text;
    size_t size;
    const json_t *value = json_object_get(object, "pattern");
    if (!json_is_object(value) || json_object_size(value) != 1)
        return vg_json_expected(r, section, "pattern", value, "{\"String\": ...} or {\"Regex\": ...}");
    bool literal = json_object_get(value, "String") != NULL;
    VG_TRY(vg_json_string(r, value, section, literal ? "String" : "Regex", &text, &size));
    return vg_json_within(r, section, vg_pattern_compile(text, size, literal, pattern));
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
    return vg_json_copy(text, size, &step->content);
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

static vg_status read_prepend(const vg_reader *r, const json_t *object)
{
    vg_step *step;
    const char *text;
    size_t size;
    VG_TRY(vg_json_string(r, object, "normalizer", "prepend", &text, &size));
    VG_TRY(new_step(&r->tokenizer->normalizer, VG_STEP_PREPEND, &step));
    return set_content(step, text, size);
}

static vg_status read_replace(const vg_reader *r, const json_t *object)
{
    vg_step *step;
    const char *text;
    size_t size;
    VG_TRY(vg_json_string(r, object, "normalizer", "content", &text, &size));
    VG_TRY(new_step(&r->tokenizer->normalizer, VG_STEP_REPLACE, &step));
    VG_TRY(set_content(step, text, size));
    return read_pattern(r, object, "normalizer", &step->pattern);
}

static vg_status read_form(const vg_reader *r, const json_t *object)
{
    vg_step *step;
    const char *type = json_string_value(json_object_get(object, "type")); /* NFC, NFD, NFKC, NFKD */
    VG_TRY(new_step(&r->tokenizer->normalizer, VG_STEP_NORMALIZE, &step));
    step->compatible = type[2] == 'K';
    step->composed = type[strlen(type) - 1] == 'C';
    return VG_OK;
}

static vg_status read_lowercase(const vg_reader *r, const json_t *object)
{
    vg_step *step;
    (void)object;
    return new_step(&r->tokenizer->normalizer, VG_STEP_LOWERCASE, &step);
}

static vg_status read_strip(const vg_reader *r, const json_t *object)
{
    vg_step *step;
    VG_TRY(new_step(&r->tokenizer->normalizer, VG_STEP_STRIP, &step));
    VG_TRY(vg_json_bool(r, object, "normalizer", "strip_left", -1, &step->left));
    return vg_json_bool(r, object, "normalizer", "strip_right", -1, &step->right);
}

static const vg_kind normalizers[] = {
    {"Prepend", read_prepend}, {"Replace", read_replace},     {"NFC", read_form},    {"NFD", read_form}, {"NFKC", read_form},
    {"NFKD", read_form},       {"Lowercase", read_lowercase}, {"Strip", read_strip}, {NULL, NULL},
};

/* ---- pre-tokenizers ----------------------------------------------------------------------------------------------- */

static vg_status read_byte_level(const vg_reader *r, const json_t *object)
{
    vg_steps *steps = &r->tokenizer->pre_tokenizer;
    vg_step *step;
    bool prefix, regex;
    VG_TRY(vg_json_bool(r, object, "pre_tokenizer", "add_prefix_space", -1, &prefix));
    VG_TRY(vg_json_bool(r, object, "pre_tokenizer", "use_regex", 1, &regex));
    if (prefix) {
        VG_TRY(new_step(steps, VG_STEP_PREPEND, &step));
        step->unless_there = true;
        VG_TRY(set_content(step, " ", 1));
    }
    if (regex)
        VG_TRY(new_split(steps, gpt2_split, VG_SPLIT_ISOLATED, false));
    return new_step(steps, VG_STEP_BYTES, &step);
}

static vg_status read_split(const vg_reader *r, const json_t *object)
{
    static const char *const behaviors[] = {"Removed", "Isolated", "MergedWithPrevious", "MergedWithNext", "Contiguous"};
    vg_step *step;
    const char *behavior;
    size_t size, kind = 0;
    VG_TRY(vg_json_string(r, object, "pre_tokenizer", "behavior", &behavior, &size));
    while (kind < 5 && strcmp(behavior, behaviors[kind]) != 0)
        kind++;
    if (kind == 5)
        return vg_fail(
            VG_INVALID,
            "%s: pre_tokenizer.behavior is \"%s\"; it must be Removed, Isolated, MergedWithPrevious, MergedWithNext or Contiguous", r->path,
            behavior);
    VG_TRY(new_step(&r->tokenizer->pre_tokenizer, VG_STEP_SPLIT, &step));
    step->split = (vg_split_kind)kind;
    VG_TRY(vg_json_bool(r, object, "pre_tokenizer", "invert", -1, &step->pattern.invert));
    return read_pattern(r, object, "pre_tokenizer", &step->pattern);
}

/* prepend_scheme: always (default), first, never; the older add_prefix_space: false stands for never. */
static vg_status get_scheme(const vg_reader *r, const json_t *object, const char *section, const char **scheme)
{
    size_t size;
    bool prefix;
    *scheme = "always";
    if (json_object_get(object, "prepend_scheme") != NULL)
        VG_TRY(vg_json_string(r, object, section, "prepend_scheme", scheme, &size));
    if (strcmp(*scheme, "always") != 0 && strcmp(*scheme, "first") != 0 && strcmp(*scheme, "never") != 0)
        return vg_fail(VG_INVALID, "%s: %s.prepend_scheme is \"%s\"; it must be always, first or never", r->path, section, *scheme);
    VG_TRY(vg_json_bool(r, object, section, "add_prefix_space", 1, &prefix));
    if (!prefix && strcmp(*scheme, "never") != 0)
        return vg_fail(VG_INVALID, "%s: %s: add_prefix_space is false but prepend_scheme is \"%s\"", r->path, section, *scheme);
    return VG_OK;
}

static vg_status read_metaspace(const vg_reader *r, const json_t *object)
{
    vg_steps *steps = &r->tokenizer->pre_tokenizer;
    vg_step *step;
    const char *replacement, *scheme;
    size_t size;
    bool split;
    VG_TRY(vg_json_character(r, object, "pre_tokenizer", "replacement", &replacement, &size));
    VG_TRY(get_scheme(r, object, "pre_tokenizer", &scheme));
    VG_TRY(vg_json_bool(r, object, "pre_tokenizer", "split", 1, &split));
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

static vg_status read_digits(const vg_reader *r, const json_t *object)
{
    bool individual;
    VG_TRY(vg_json_bool(r, object, "pre_tokenizer", "individual_digits", -1, &individual));
    return new_split(&r->tokenizer->pre_tokenizer, "\\p{N}", individual ? VG_SPLIT_ISOLATED : VG_SPLIT_CONTIGUOUS, false);
}

static vg_status read_whitespace_split(const vg_reader *r, const json_t *object)
{
    (void)object;
    return new_split(&r->tokenizer->pre_tokenizer, "\\s", VG_SPLIT_REMOVED, false);
}

static const vg_kind pre_tokenizers[] = {
    {"ByteLevel", read_byte_level},
    {"Split", read_split},
    {"Metaspace", read_metaspace},
    {"Digits", read_digits},
    {"WhitespaceSplit", read_whitespace_split},
    {NULL, NULL},
};

/* ---- decoders ----------------------------------------------------------------------------------------------------- */

static vg_status new_decode(const vg_reader *r, vg_decode_kind kind, vg_decode_step **step)
{
    vg_decoder *decoder = &r->tokenizer->decoder;
    VG_TRY(vg_grow((void **)&decoder->at, &decoder->room, decoder->count + 1, sizeof *decoder->at, "steps of a decoder"));
    *step = &decoder->at[decoder->count++];
    **step = (vg_decode_step){.kind = kind};
    return VG_OK;
}

static vg_status decode_bytes(const vg_reader *r, const json_t *object)
{
    vg_decode_step *step;
    (void)object;
    return new_decode(r, VG_DECODE_BYTES, &step);
}

static vg_status decode_fallback(const vg_reader *r, const json_t *object)
{
    vg_decode_step *step;
    (void)object;
    return new_decode(r, VG_DECODE_BYTE_FALLBACK, &step);
}

static vg_status decode_fuse(const vg_reader *r, const json_t *object)
{
    vg_decode_step *step;
    (void)object;
    return new_decode(r, VG_DECODE_FUSE, &step);
}

static vg_status decode_replace(const vg_reader *r, const json_t *object)
{
    vg_decode_step *step;
    const char *text;
    VG_TRY(new_decode(r, VG_DECODE_REPLACE, &step));
    VG_TRY(vg_json_string(r, object, "decoder", "content", &text, &step->content_size));
    VG_TRY(vg_json_copy(text, step->content_size, &step->content));
    return read_pattern(r, object, "decoder", &step->pattern);
}

static vg_status decode_strip(const vg_reader *r, const json_t *object)
{
    vg_decode_step *step;
    const char *text;
    VG_TRY(new_decode(r, VG_DECODE_STRIP, &step));
    VG_TRY(vg_json_character(r, object, "decoder", "content", &text, &step->content_size));
    VG_TRY(vg_json_integer(r, object, "decoder", "start", &step->start));
    VG_TRY(vg_json_integer(r, object, "decoder", "stop", &step->stop));
    return vg_json_copy(text, step->content_size, &step->content);
}

static vg_status decode_metaspace(const vg_reader *r, const json_t *object)
{
    vg_decode_step *step;
    const char *text, *scheme;
    VG_TRY(new_decode(r, VG_DECODE_METASPACE, &step));
    VG_TRY(vg_json_character(r, object, "decoder", "replacement", &text, &step->content_size));
    VG_TRY(get_scheme(r, object, "decoder", &scheme));
    step->prepended = strcmp(scheme, "never") != 0;
    return vg_json_copy(text, step->content_size, &step->content);
}

static const vg_kind decoders[] = {
    {"ByteLevel", decode_bytes},
    {"Replace", decode_replace},
    {"ByteFallback", decode_fallback},
    {"Fuse", decode_fuse},
    {"Strip", decode_strip},
    {"Metaspace", decode_metaspace},
    {NULL, NULL},
};

/* ---- post-processors ---------------------------------------------------------------------------------------------- */

static vg_status process_byte_level(const vg_reader *r, const json_t *object)
{
    bool trim, prefix;
    VG_TRY(vg_json_bool(r, object, "post_processor", "trim_offsets", -1, &trim));
    VG_TRY(vg_json_bool(r, object, "post_processor", "add_prefix_space", -1, &prefix));
    if (trim)
        r->tokenizer->trim_keeps_prefix = prefix;
    r->tokenizer->trim_offsets |= trim;
    return VG_OK;
}

/* single: [{"SpecialToken": {"id": name}}, {"Sequence": ...}, ...]; special_tokens: {name: {"ids": [id, ...]}} */
static vg_status process_template(const vg_reader *r, const json_t *object)
{
    const char *name;
    size_t size;
    const json_t *single = json_object_get(object, "single"), *tokens = json_object_get(object, "special_tokens");
    if (!json_is_array(single))
        return vg_json_expected(r, "post_processor", "single", single, "an array");
    const json_t *first = json_object_get(json_array_get(single, 0), "SpecialToken");
    if (first == NULL)
        return VG_OK;
    VG_TRY(vg_json_string(r, first, "post_processor.single[0]", "id", &name, &size));
    const json_t *ids = json_object_get(json_object_get(tokens, name), "ids"), *id = json_array_get(ids, 0);
    if (!json_is_integer(id) || json_integer_value(id) < 0 || json_integer_value(id) >= r->tokenizer->vocabulary.size ||
        r->tokenizer->vocabulary.tokens[json_integer_value(id)].text == NULL)
        return vg_fail(VG_INVALID, "%s: post_processor.special_tokens has no id of the vocabulary for \"%s\"", r->path, name);
    r->tokenizer->bos = (int32_t)json_integer_value(id);
    return VG_OK;
}

static const vg_kind post_processors[] = {{"ByteLevel", process_byte_level}, {"TemplateProcessing", process_template}, {NULL, NULL}};

/* ---- the sections -------------------------------------------------------------------------------------------------- */

vg_status vg_read_kinds(const vg_reader *r, const json_t *root)
{
    const json_t *decoder = json_object_get(root, "decoder");
    VG_TRY(vg_json_section(r, json_object_get(root, "normalizer"), "normalizer", "normalizers", normalizers, 0));
    VG_TRY(vg_json_section(r, json_object_get(root, "pre_tokenizer"), "pre_tokenizer", "pretokenizers", pre_tokenizers, 0));
    r->tokenizer->decoder.there = decoder != NULL && !json_is_null(decoder);
    return vg_json_section(r, decoder, "decoder", "decoders", decoders, 0);
}

vg_status vg_read_post_processor(const vg_reader *r, const json_t *root)
{
    return vg_json_section(r, json_object_get(root, "post_processor"), "post_processor", "processors", post_processors, 0);
}
