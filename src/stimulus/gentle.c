/* gentle: the JSON of the forced aligner Gentle: {"words": [{"case": "success", "word": "Alice", "start": 1.2, "end": 1.5}, ...]}.
 * "not-found-in-audio" is a word of the transcript without times (kept, interpolated); "not-found-in-transcript" is no word of the story.
 * JSON's lines are not known here: messages count words from 1. */
#include <jansson.h>
#include <math.h>
#include <string.h>

#include "story.h"

static vg_status add_word(vg_story_builder *builder, int64_t number, const json_t *entry)
{
    const char *outcome = json_string_value(json_object_get(entry, "case"));
    const json_t *word = json_object_get(entry, "word"), *start = json_object_get(entry, "start"), *end = json_object_get(entry, "end");
    if (outcome != NULL && strcmp(outcome, "not-found-in-transcript") == 0)
        return VG_OK;
    if (!json_is_string(word) || outcome == NULL)
        return vg_fail(VG_INVALID, "%s: word %lld: has no \"word\" or no \"case\"", builder->path, (long long)number);
    const char *text = json_string_value(word);
    size_t size = json_string_length(word);
    if (memchr(text, 0, size) != NULL)
        return vg_fail(VG_INVALID, "%s: word %lld: contains a NUL character", builder->path, (long long)number);
    if (strcmp(outcome, "not-found-in-audio") == 0)
        return vg_story_add(builder, number, text, size, NAN, NAN);
    if (strcmp(outcome, "success") != 0)
        return vg_fail(VG_INVALID, "%s: word %lld (\"%.60s\"): unknown case \"%.60s\"", builder->path, (long long)number, text, outcome);
    if (!json_is_number(start) || !json_is_number(end))
        return vg_fail(VG_INVALID, "%s: word %lld (\"%.60s\"): is aligned but has no \"start\" or \"end\"", builder->path,
                       (long long)number, text);
    return vg_story_add(builder, number, text, size, json_number_value(start), json_number_value(end));
}

vg_status vg_gentle_read(vg_story_builder *builder, const char *text, size_t size, const char *unused)
{
    (void)unused;
    json_error_t fault;
    json_t *root = json_loadb(text, size, 0, &fault);
    if (root == NULL)
        return vg_fail(VG_INVALID, "%s:%d: %s: is the file cut off?", builder->path, fault.line, fault.text);
    const json_t *words = json_object_get(root, "words");
    vg_status status = VG_OK;
    if (!json_is_array(words))
        status = vg_fail(VG_INVALID, "%s: has no list \"words\": is it Gentle's?", builder->path);
    size_t count = json_array_size(words);
    for (size_t i = 0; i < count && status == VG_OK; i++)
        status = add_word(builder, (int64_t)i + 1, json_array_get(words, i));
    json_decref(root);
    return status;
}
