/* tokenizer_json: tokenizer.json (format 1.0 of the `tokenizers` library) into a vg_tokenizer. What its sections may hold are rows of
 * tables (tokenizer_kinds.c); what is not in them is refused with the list of what is. Keys that change nothing here (truncation, padding,
 * version) are passed over. */
#include <stdlib.h>
#include <string.h>

#include "tokenizer_json.h"

enum { MOST_NESTED = 8 };

/* ---- values of a key, of the type they must have ------------------------------------------------------------------ */

const char *vg_json_type(const json_t *value)
{
    static const char *const names[] = {"an object", "an array", "a string", "an integer", "a real number", "true", "false", "null"};
    return value != NULL ? names[json_typeof(value)] : "nothing";
}

vg_status vg_json_expected(const vg_reader *r, const char *section, const char *key, const json_t *found, const char *what)
{
    return vg_fail(VG_INVALID, "%s: %s.%s is %s; it must be %s", r->path, section, key, vg_json_type(found), what);
}

vg_status vg_json_string(const vg_reader *r, const json_t *object, const char *section, const char *key, const char **text, size_t *size)
{
    const json_t *value = json_object_get(object, key);
    *text = NULL;
    *size = 0;
    if (!json_is_string(value))
        return vg_json_expected(r, section, key, value, "a string");
    *text = json_string_value(value);
    *size = json_string_length(value);
    return VG_OK;
}

vg_status vg_json_character(const vg_reader *r, const json_t *object, const char *section, const char *key, const char **text, size_t *size)
{
    size_t length = 0;
    VG_TRY(vg_json_string(r, object, section, key, text, size));
    if (*size > 0)
        vg_utf8_get(*text, &length);
    return length > 0 && length == *size
               ? VG_OK
               : vg_fail(VG_INVALID, "%s: %s.%s is \"%s\"; it must be one character", r->path, section, key, *text);
}

vg_status vg_json_bool(const vg_reader *r, const json_t *object, const char *section, const char *key, int fallback, bool *value)
{
    const json_t *found = json_object_get(object, key);
    *value = fallback > 0;
    if (fallback >= 0 && (found == NULL || json_is_null(found)))
        return VG_OK;
    if (!json_is_boolean(found))
        return vg_json_expected(r, section, key, found, "true or false");
    *value = json_is_true(found);
    return VG_OK;
}

vg_status vg_json_integer(const vg_reader *r, const json_t *object, const char *section, const char *key, int64_t *value)
{
    const json_t *found = json_object_get(object, key);
    if (!json_is_integer(found) || json_integer_value(found) < 0)
        return vg_json_expected(r, section, key, found, "a whole number >= 0");
    *value = json_integer_value(found);
    return VG_OK;
}

vg_status vg_json_copy(const char *text, size_t size, char **copy)
{
    VG_TRY(VG_NEW(copy, (int64_t)size + 1, "bytes of a string"));
    memcpy(*copy, text, size);
    return VG_OK;
}

/* ---- sections that are one object or a Sequence of them ------------------------------------------------------------- */

static vg_status refuse_kind(const vg_reader *r, const char *section, const char *type, const vg_kind *kinds)
{
    char known[512] = "";
    size_t used = 0;
    for (; kinds->type != NULL && used < sizeof known; kinds++)
        used += (size_t)snprintf(known + used, sizeof known - used, "%s, ", kinds->type);
    return vg_fail(VG_INVALID, "%s: %s of type \"%s\" is not supported; supported are %sSequence", r->path, section, type, known);
}

vg_status vg_json_section(const vg_reader *r, const json_t *object, const char *section, const char *list, const vg_kind *kinds, int depth)
{
    const char *type;
    size_t size;
    if (object == NULL || json_is_null(object))
        return VG_OK;
    if (!json_is_object(object))
        return vg_fail(VG_INVALID, "%s: %s is %s; it must be an object", r->path, section, vg_json_type(object));
    VG_TRY(vg_json_string(r, object, section, "type", &type, &size));
    if (strcmp(type, "Sequence") == 0) {
        const json_t *members = json_object_get(object, list);
        if (!json_is_array(members))
            return vg_json_expected(r, section, list, members, "an array");
        if (depth == MOST_NESTED)
            return vg_fail(VG_INVALID, "%s: %s: Sequences are nested more than %d deep", r->path, section, MOST_NESTED);
        for (size_t i = 0; i < json_array_size(members); i++)
            VG_TRY(vg_json_section(r, json_array_get(members, i), section, list, kinds, depth + 1));
        return VG_OK;
    }
    for (const vg_kind *row = kinds; row->type != NULL; row++)
        if (strcmp(type, row->type) == 0)
            return row->read(r, object);
    return refuse_kind(r, section, type, kinds);
}

vg_status vg_json_within(const vg_reader *r, const char *section, vg_status status)
{
    return status == VG_OK ? VG_OK : vg_fail_within(status, "%s: %s: ", r->path, section);
}

/* ---- the whole ---------------------------------------------------------------------------------------------------- */

static vg_status read_all(const vg_reader *r, const json_t *root)
{
    if (!json_is_object(root))
        return vg_fail(VG_INVALID, "%s: is %s; a tokenizer.json is an object", r->path, vg_json_type(root));
    VG_TRY(vg_read_kinds(r, root));
    VG_TRY(vg_read_model(r, root));
    return vg_read_post_processor(r, root);
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
        vg_reader r = {path, *tokenizer};
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
