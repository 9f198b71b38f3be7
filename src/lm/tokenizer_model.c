/* tokenizer_model: the model of tokenizer.json (BPE), its vocabulary and merges, and the tokens added to it. */
#include <stdlib.h>
#include <string.h>

#include "tokenizer_json.h"

enum { MOST_IDS = 1 << 22 };

/* ---- model -------------------------------------------------------------------------------------------------------- */

static vg_status read_options(const vg_reader *r, const json_t *model)
{
    static const char *const affixes[] = {"continuing_subword_prefix", "end_of_word_suffix"};
    vg_vocabulary *vocabulary = &r->tokenizer->vocabulary;
    const json_t *type = json_object_get(model, "type"), *dropout = json_object_get(model, "dropout");
    const json_t *unknown = json_object_get(model, "unk_token");
    if (type != NULL && !json_is_string(type))
        return vg_json_expected(r, "model", "type", type, "a string");
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
    VG_TRY(vg_json_bool(r, model, "model", "byte_fallback", 0, &vocabulary->byte_fallback));
    VG_TRY(vg_json_bool(r, model, "model", "fuse_unk", 0, &vocabulary->fuse_unknown));
    VG_TRY(vg_json_bool(r, model, "model", "ignore_merges", 0, &vocabulary->ignore_merges));
    if (unknown == NULL || json_is_null(unknown))
        return VG_OK;
    if (!json_is_string(unknown))
        return vg_json_expected(r, "model", "unk_token", unknown, "a string or null");
    return vg_json_copy(json_string_value(unknown), json_string_length(unknown), &vocabulary->unknown);
}

static vg_status check_id(const vg_reader *r, const char *token, const json_t *id)
{
    if (!json_is_integer(id))
        return vg_fail(VG_INVALID, "%s: the id of token \"%s\" is %s; it must be a whole number", r->path, token, vg_json_type(id));
    if (json_integer_value(id) < 0 || json_integer_value(id) >= MOST_IDS)
        return vg_fail(VG_INVALID, "%s: the id of token \"%s\" is %lld; it must be from 0 to %d", r->path, token,
                       (long long)json_integer_value(id), MOST_IDS - 1);
    return VG_OK;
}

static vg_status read_tokens(const vg_reader *r, const json_t *tokens, size_t merges, int64_t ids)
{
    vg_vocabulary *vocabulary = &r->tokenizer->vocabulary;
    json_t *object = (json_t *)tokens, *id;
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
static vg_status merge_parts(const vg_reader *r, const json_t *merge, size_t number, const char *part[2], size_t size[2])
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

static vg_status find_part(const vg_reader *r, size_t number, const char *text, size_t size, int32_t *id)
{
    *id = vg_vocabulary_find(&r->tokenizer->vocabulary, text, size);
    return *id >= 0 ? VG_OK : vg_fail(VG_INVALID, "%s: merge %zu: \"%.*s\" is not in the vocabulary", r->path, number, (int)size, text);
}

static vg_status read_merge(const vg_reader *r, const json_t *merge, size_t rank, vg_text *joined)
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

static vg_status read_merges(const vg_reader *r, const json_t *merges)
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

static vg_status read_vocabulary(const vg_reader *r, const json_t *model, int64_t ids)
{
    if (!json_is_object(model))
        return vg_fail(VG_INVALID, "%s: model is %s; it must be an object", r->path, vg_json_type(model));
    VG_TRY(read_options(r, model));
    const json_t *tokens = json_object_get(model, "vocab"), *merges = json_object_get(model, "merges");
    if (!json_is_object(tokens))
        return vg_json_expected(r, "model", "vocab", tokens, "an object");
    if (!json_is_array(merges))
        return vg_json_expected(r, "model", "merges", merges, "an array");
    VG_TRY(read_tokens(r, tokens, json_array_size(merges), ids));
    return read_merges(r, merges);
}

/* ---- added tokens ------------------------------------------------------------------------------------------------- */

/* The id that the next added token must have for its embedding to be its own: the reference gives new tokens the ids after the
 * vocabulary's in their order, whatever the file says. */
static vg_status place_added(const vg_reader *r, vg_added *added, int64_t *next)
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

static vg_status read_added(const vg_reader *r, const json_t *object, vg_added *added)
{
    const char *content;
    VG_TRY(vg_json_string(r, object, "added_tokens[]", "content", &content, &added->content_size));
    if (added->content_size == 0)
        return vg_fail(VG_INVALID, "%s: an added token is empty", r->path);
    VG_TRY(check_id(r, content, json_object_get(object, "id")));
    added->id = (int32_t)json_integer_value(json_object_get(object, "id"));
    VG_TRY(vg_json_copy(content, added->content_size, &added->content));
    VG_TRY(vg_json_bool(r, object, "added_tokens[]", "single_word", -1, &added->single_word));
    VG_TRY(vg_json_bool(r, object, "added_tokens[]", "lstrip", -1, &added->lstrip));
    VG_TRY(vg_json_bool(r, object, "added_tokens[]", "rstrip", -1, &added->rstrip));
    VG_TRY(vg_json_bool(r, object, "added_tokens[]", "normalized", -1, &added->normalized));
    return vg_json_bool(r, object, "added_tokens[]", "special", -1, &added->special);
}

/* Before the vocabulary, whose size depends on the ids here. */
static vg_status read_added_tokens(const vg_reader *r, const json_t *list, int64_t *ids)
{
    vg_added_tokens *added = &r->tokenizer->added;
    if (list == NULL || json_is_null(list))
        return VG_OK;
    if (!json_is_array(list))
        return vg_fail(VG_INVALID, "%s: added_tokens is %s; it must be an array", r->path, vg_json_type(list));
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

static vg_status finish_added(const vg_reader *r, size_t tokens)
{
    vg_tokenizer *tokenizer = r->tokenizer;
    vg_added_tokens *added = &tokenizer->added;
    int64_t next = (int64_t)tokens;
    for (size_t i = 0; i < added->count; i++) {
        VG_TRY(vg_json_within(r, "added_tokens", vg_added_normalize(&added->at[i], &tokenizer->normalizer)));
        VG_TRY(place_added(r, &added->at[i], &next));
    }
    VG_TRY(VG_NEW(&tokenizer->texts, tokenizer->vocabulary.size, "tokens"));
    for (int64_t id = 0; id < tokenizer->vocabulary.size; id++)
        tokenizer->texts[id] = tokenizer->vocabulary.tokens[id];
    for (size_t i = 0; i < added->count; i++)
        tokenizer->texts[added->at[i].id] = (vg_token){added->at[i].pattern, (uint32_t)added->at[i].pattern_size};
    return vg_json_within(r, "added_tokens", vg_added_index(added));
}

vg_status vg_read_model(const vg_reader *r, const json_t *root)
{
    const json_t *model = json_object_get(root, "model");
    int64_t ids = 0;
    VG_TRY(read_added_tokens(r, json_object_get(root, "added_tokens"), &ids));
    VG_TRY(read_vocabulary(r, model, ids));
    return finish_added(r, json_object_size(json_object_get(model, "vocab")));
}
