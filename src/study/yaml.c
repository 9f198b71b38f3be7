/* yaml: see yaml.h. libfyaml keeps the file's marks, so every fault can name its line. */
#include <stdlib.h>
#include <string.h>

#include "yaml.h"

/* libfyaml's own diagnostics, collected instead of printed. */
static vg_status syntax_fault(const char *path, struct fy_diag *diagnostics)
{
    void *previous = NULL;
    struct fy_diag_error *error = fy_diag_errors_iterate(diagnostics, &previous);
    if (error == NULL)
        return vg_fail(VG_INVALID, "%s: is not YAML, or is empty", path);
    return vg_fail(VG_INVALID, "%s:%d: is not valid YAML: %s", path, error->line, error->msg);
}

vg_status vg_yaml_open(const char *path, vg_yaml *yaml)
{
    *yaml = (vg_yaml){0};
    struct fy_diag_cfg quiet;
    fy_diag_cfg_default(&quiet);
    quiet.fp = NULL;
    quiet.output_fn = NULL;
    struct fy_diag *diagnostics = fy_diag_create(&quiet);
    if (diagnostics == NULL)
        return vg_fail(VG_NO_MEMORY, "no memory for %s", path);
    fy_diag_set_collect_errors(diagnostics, true);
    vg_status status;
    VG_GO(vg_format(&yaml->path, "%s", path));
    VG_GO(vg_text_read(path, &yaml->text, &yaml->size));
    struct fy_parse_cfg settings = {.search_path = "", .flags = FYPCF_QUIET | FYPCF_COLLECT_DIAG, .diag = diagnostics};
    yaml->document = fy_document_build_from_string(&settings, yaml->text, yaml->size);
    if (yaml->document == NULL || fy_document_root(yaml->document) == NULL)
        status = syntax_fault(path, diagnostics);
done:
    if (status != VG_OK)
        vg_yaml_close(yaml);
    fy_diag_destroy(diagnostics);
    return status;
}

void vg_yaml_close(vg_yaml *yaml)
{
    fy_document_destroy(yaml->document);
    free(yaml->path);
    free(yaml->text);
    *yaml = (vg_yaml){0};
}

/* A node's own token, or that of the first scalar below it. */
static struct fy_token *first_token(struct fy_node *node)
{
    for (int depth = 0; node != NULL && depth < 64; depth++) {
        void *previous = NULL;
        if (fy_node_is_scalar(node))
            return fy_node_get_scalar_token(node);
        if (fy_node_is_mapping(node)) {
            struct fy_node_pair *pair = fy_node_mapping_iterate(node, &previous);
            node = pair != NULL ? fy_node_pair_key(pair) : NULL;
        } else {
            node = fy_node_sequence_iterate(node, &previous);
        }
    }
    return NULL;
}

int vg_yaml_line(struct fy_node *node)
{
    struct fy_token *token = first_token(node);
    const struct fy_mark *mark = token != NULL ? fy_token_start_mark(token) : NULL;
    return mark != NULL ? mark->line + 1 : 1;
}

vg_status(vg_yaml_fail)(const vg_yaml *yaml, struct fy_node *node, const char *key, const char *format, ...)
{
    char text[1024];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    return vg_fail(VG_INVALID, "%s:%d: %s: %s", yaml->path, vg_yaml_line(node), key, text);
}

/* One ${...} that begins at `from` ("${"): its value is appended; *end is set behind the brace. */
static vg_status expand_one(const vg_yaml *yaml, struct fy_node *node, const char *key, const char *from, const char **end, char **out)
{
    const char *brace = strchr(from, '}');
    if (brace == NULL)
        return vg_yaml_fail(yaml, node, key, "\"${\" without \"}\"");
    char name[128];
    const char *fallback = strstr(from, ":-");
    const char *stop = fallback != NULL && fallback < brace ? fallback : brace;
    size_t length = (size_t)(stop - from - 2);
    if (length == 0 || length >= sizeof name)
        return vg_yaml_fail(yaml, node, key, "\"${...}\" needs the name of an environment variable");
    memcpy(name, from + 2, length);
    name[length] = '\0';
    const char *value = getenv(name);
    char *joined;
    if ((value == NULL || *value == '\0') && stop == brace)
        return vg_yaml_fail(yaml, node, key, "the environment variable %s is not set; set it, or write ${%s:-default}", name, name);
    if (value != NULL && *value != '\0')
        VG_TRY(vg_format(&joined, "%s%s", *out, value));
    else
        VG_TRY(vg_format(&joined, "%s%.*s", *out, (int)(brace - stop - 2), stop + 2));
    free(*out);
    *out = joined;
    *end = brace + 1;
    return VG_OK;
}

vg_status vg_yaml_text(const vg_yaml *yaml, struct fy_node *node, const char *key, char **text)
{
    size_t length;
    const char *raw = fy_node_is_scalar(node) ? fy_node_get_scalar(node, &length) : NULL;
    *text = NULL;
    if (raw == NULL)
        return vg_yaml_fail(yaml, node, key, "a single value is expected here, not a list or a section");
    if (memchr(raw, '\0', length) != NULL)
        return vg_yaml_fail(yaml, node, key, "has a NUL character");
    char *copy = NULL;
    vg_status status;
    VG_GO(vg_format(&copy, "%.*s", (int)length, raw));
    VG_GO(vg_format(text, "%s", ""));
    for (const char *at = copy; *at != '\0';) {
        const char *dollar = strstr(at, "${");
        char *joined;
        VG_GO(vg_format(&joined, "%s%.*s", *text, (int)(dollar != NULL ? (size_t)(dollar - at) : strlen(at)), at));
        free(*text);
        *text = joined;
        if (dollar == NULL)
            break;
        VG_GO(expand_one(yaml, node, key, dollar, &at, text));
    }
done:
    free(copy);
    if (status != VG_OK) {
        free(*text);
        *text = NULL;
    }
    return status;
}

vg_status vg_yaml_real(const vg_yaml *yaml, struct fy_node *node, const char *key, double *value)
{
    char *text;
    VG_TRY(vg_yaml_text(yaml, node, key, &text));
    bool good = vg_parse_double(text, strlen(text), value) && *value - *value == 0.0;
    vg_status status = good ? VG_OK : vg_yaml_fail(yaml, node, key, "\"%s\" is not a number", text);
    free(text);
    return status;
}

vg_status vg_yaml_whole(const vg_yaml *yaml, struct fy_node *node, const char *key, int64_t *value)
{
    char *text;
    VG_TRY(vg_yaml_text(yaml, node, key, &text));
    vg_status status =
        vg_parse_integer(text, strlen(text), value) ? VG_OK : vg_yaml_fail(yaml, node, key, "\"%s\" is not a whole number", text);
    free(text);
    return status;
}
