/* config: a model's config.json, by the keys and defaults of its family's row. Whatever the engine would not compute as the model was
 * trained (another attention scale, norms on queries, quantised weights, an unknown activation or rotary scaling) is refused by name. */
#include <jansson.h>
#include <string.h>

#include "model.h"

/* No extent of a model comes near; products of two stay far below int64_t. */
enum { EXTENT_LIMIT = 1 << 24, LAYER_LIMIT = 4096 };

typedef struct {
    const char *path;
    json_t *json, *rope; /* rope: "rope_parameters" or "rope_scaling", perhaps NULL */
} source;

static bool absent(json_t *value)
{
    return value == NULL || json_is_null(value);
}

static const char *kind(json_t *value)
{
    static const char *const names[] = {"an object", "an array", "a string", "a whole number", "a number", "true", "false", "null"};
    return names[json_typeof(value)];
}

/* A whole number in 1 .. EXTENT_LIMIT; `otherwise` where the key is absent, an error where that is 0. */
static vg_status get_extent(const source *s, const char *key, int64_t otherwise, int64_t *extent)
{
    json_t *value = json_object_get(s->json, key);
    *extent = otherwise;
    if (absent(value))
        return otherwise > 0 ? VG_OK : vg_fail(VG_INVALID, "%s: \"%s\" is missing", s->path, key);
    if (!json_is_integer(value))
        return vg_fail(VG_INVALID, "%s: \"%s\" is %s, not a whole number", s->path, key, kind(value));
    *extent = json_integer_value(value);
    if (*extent < 1 || *extent > EXTENT_LIMIT)
        return vg_fail(VG_INVALID, "%s: \"%s\" is %lld; it must be between 1 and %d", s->path, key, (long long)*extent, EXTENT_LIMIT);
    return VG_OK;
}

static vg_status get_number(const char *path, json_t *object, const char *key, double otherwise, double *number)
{
    json_t *value = json_object_get(object, key);
    *number = otherwise;
    if (absent(value))
        return VG_OK;
    if (!json_is_number(value) || !(json_number_value(value) >= 0.0) || json_number_value(value) > 1e12)
        return vg_fail(VG_INVALID, "%s: \"%s\" must be a number between 0 and 1e12", path, key);
    *number = json_number_value(value);
    return VG_OK;
}

static vg_status get_switch(const source *s, const char *key, bool otherwise, bool *on)
{
    json_t *value = json_object_get(s->json, key);
    *on = absent(value) ? otherwise : json_is_true(value);
    if (!absent(value) && !json_is_boolean(value))
        return vg_fail(VG_INVALID, "%s: \"%s\" is %s, not true or false", s->path, key, kind(value));
    return VG_OK;
}

static vg_status find_family(const source *s, vg_config *config)
{
    const char *type = json_string_value(json_object_get(s->json, "model_type"));
    char known[256] = "";
    vg_family_list(known, sizeof known);
    if (type == NULL)
        return vg_fail(VG_INVALID, "%s: \"model_type\" is missing; known ones: %s", s->path, known);
    config->family = vg_family_find(type);
    if (config->family == NULL)
        return vg_fail(VG_INVALID, "%s: \"model_type\": \"%s\" is not known; known ones: %s", s->path, type, known);
    config->shape.family = config->family->name;
    if (!absent(json_object_get(s->json, "quantization_config")))
        return vg_fail(VG_INVALID, "%s: quantised weights (\"quantization_config\") are not supported", s->path);
    for (int i = 0; config->family->only[i].key != NULL; i++) {
        bool on, wanted = config->family->only[i].value;
        VG_TRY(get_switch(s, config->family->only[i].key, wanted, &on));
        if (on != wanted)
            return vg_fail(VG_INVALID, "%s: \"%s\": %s is not supported", s->path, config->family->only[i].key, on ? "true" : "false");
    }
    return VG_OK;
}

static vg_status read_shape(const source *s, vg_config *config)
{
    const vg_family *family = config->family;
    vg_model_shape *shape = &config->shape;
    int64_t sliding, head_size;
    bool slides;
    VG_TRY(get_extent(s, "vocab_size", 0, &shape->vocabulary));
    VG_TRY(get_extent(s, family->keys.width, 0, &shape->width));
    VG_TRY(get_extent(s, family->keys.layers, 0, &shape->layers));
    if (shape->layers > LAYER_LIMIT)
        return vg_fail(VG_INVALID, "%s: \"%s\" is %lld; more than %d are not supported", s->path, family->keys.layers,
                       (long long)shape->layers, LAYER_LIMIT);
    VG_TRY(get_extent(s, family->keys.heads, 0, &shape->heads));
    VG_TRY(get_extent(s, "num_key_value_heads", shape->heads, &shape->kv_heads));
    VG_TRY(get_extent(s, family->keys.mlp_width, 4 * shape->width, &shape->mlp_width));
    VG_TRY(get_extent(s, family->keys.positions, 0, &shape->positions));
    if (shape->kv_heads < 1 || shape->heads % shape->kv_heads != 0)
        return vg_fail(VG_INVALID, "%s: %lld heads do not share %lld key/value heads evenly", s->path, (long long)shape->heads,
                       (long long)shape->kv_heads);
    head_size = shape->width % shape->heads == 0 ? shape->width / shape->heads : 0;
    if (head_size == 0 && absent(json_object_get(s->json, "head_dim")))
        return vg_fail(VG_INVALID, "%s: \"%s\": %lld heads do not share a width of %lld evenly, and there is no \"head_dim\"", s->path,
                       family->keys.heads, (long long)shape->heads, (long long)shape->width);
    VG_TRY(get_extent(s, "head_dim", head_size, &shape->head_size));
    if (shape->heads * shape->head_size > EXTENT_LIMIT)
        return vg_fail(VG_INVALID, "%s: %lld heads of size %lld are too large", s->path, (long long)shape->heads,
                       (long long)shape->head_size);
    VG_TRY(get_switch(s, "use_sliding_window", family->sliding, &slides));
    VG_TRY(get_extent(s, "sliding_window", shape->positions, &sliding));
    if (slides && sliding < shape->positions)
        shape->positions = sliding; /* within its window such a model is an ordinary one */
    return VG_OK;
}

static vg_status read_activation(const source *s, vg_config *config)
{
    static const struct {
        const char *name;
        vg_act_kind kind;
    } known[] = {{"silu", VG_SILU},          {"swish", VG_SILU},          {"gelu", VG_GELU},
                 {"gelu_new", VG_GELU_TANH}, {"gelu_fast", VG_GELU_TANH}, {"gelu_pytorch_tanh", VG_GELU_TANH},
                 {"relu", VG_RELU}};
    const char *key = config->family->keys.activation, *name = json_string_value(json_object_get(s->json, key));
    char list[128];
    size_t used = 0;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        used += (size_t)snprintf(list + used, sizeof list - used, "%s%s", used > 0 ? ", " : "", known[i].name);
        if (name != NULL && strcmp(known[i].name, name) == 0) {
            config->activation = known[i].kind;
            return VG_OK;
        }
    }
    return vg_fail(VG_INVALID, "%s: \"%s\" is %s; known ones: %s", s->path, key, name != NULL ? name : "missing or not a string", list);
}

static vg_status read_scaling(const source *s, vg_config *config)
{
    const char *type = json_string_value(json_object_get(s->rope, "rope_type"));
    if (type == NULL)
        type = json_string_value(json_object_get(s->rope, "type"));
    if (type == NULL || strcmp(type, "default") == 0)
        return VG_OK;
    config->scaling = strcmp(type, "linear") == 0 ? VG_ROPE_LINEAR : VG_ROPE_LLAMA3;
    if (config->scaling == VG_ROPE_LLAMA3 && strcmp(type, "llama3") != 0)
        return vg_fail(VG_INVALID, "%s: rotary scaling \"%s\" is not supported; default, linear and llama3 are", s->path, type);
    VG_TRY(get_number(s->path, s->rope, "factor", 0.0, &config->factor));
    VG_TRY(get_number(s->path, s->rope, "low_freq_factor", 1.0, &config->low_factor));
    VG_TRY(get_number(s->path, s->rope, "high_freq_factor", 4.0, &config->high_factor));
    VG_TRY(get_number(s->path, s->rope, "original_max_position_embeddings", (double)config->shape.positions, &config->old_positions));
    if (!(config->factor >= 1.0) || !(config->high_factor > config->low_factor))
        return vg_fail(VG_INVALID, "%s: rotary scaling \"%s\" needs a factor >= 1 and high_freq_factor > low_freq_factor", s->path, type);
    return VG_OK;
}

/* Older configs keep these keys at the top and call them by family, newer ones in "rope_parameters". */
static vg_status read_rotary(const source *s, vg_config *config)
{
    double fraction = config->family->rotary_fraction;
    if (fraction == 0.0) {
        config->shape.learned_positions = true;
        return VG_OK;
    }
    config->theta = 10000.0;
    VG_TRY(get_number(s->path, s->json, "rotary_emb_base", config->theta, &config->theta));
    VG_TRY(get_number(s->path, s->json, "rope_theta", config->theta, &config->theta));
    VG_TRY(get_number(s->path, s->rope, "rope_theta", config->theta, &config->theta));
    VG_TRY(get_number(s->path, s->json, "rotary_pct", fraction, &fraction));
    VG_TRY(get_number(s->path, s->json, "partial_rotary_factor", fraction, &fraction));
    VG_TRY(get_number(s->path, s->rope, "partial_rotary_factor", fraction, &fraction));
    config->rotary = (int64_t)((double)config->shape.head_size * (fraction < 1.0 ? fraction : 1.0));
    if (config->rotary < 2 || config->rotary % 2 != 0 || fraction > 1.0 || config->theta < 1.0)
        return vg_fail(VG_INVALID, "%s: rotary positions on %g of a head of %lld entries with base %g cannot be", s->path, fraction,
                       (long long)config->shape.head_size, config->theta);
    return read_scaling(s, config);
}

/* A token that the config names, or -1. */
static int32_t token_of(const source *s, const char *key, int64_t vocabulary)
{
    json_t *token = json_object_get(s->json, key);
    bool there = json_is_integer(token) && json_integer_value(token) >= 0 && json_integer_value(token) < vocabulary;
    return there ? (int32_t)json_integer_value(token) : -1;
}

static vg_status read_rest(const source *s, vg_config *config)
{
    const vg_family *family = config->family;
    bool attention_bias, mlp_bias, parallel;
    double eps;
    config->shape.norm = family->norm;
    VG_TRY(get_number(s->path, s->json, family->keys.norm_eps, family->norm == VG_RMS_NORM ? 1e-6 : 1e-5, &eps));
    config->shape.norm_eps = (float)eps;
    config->shape.bos = token_of(s, "bos_token_id", config->shape.vocabulary);
    config->shape.pad = token_of(s, "pad_token_id", config->shape.vocabulary);
    VG_TRY(get_number(s->path, s->json, "initializer_range", 0.02, &config->initializer_range));
    VG_TRY(get_switch(s, "tie_word_embeddings", family->tied, &config->tied));
    VG_TRY(get_switch(s, "attention_bias", family->attention_bias == 0, &attention_bias));
    VG_TRY(get_switch(s, "mlp_bias", false, &mlp_bias));
    config->biases = family->biases | (attention_bias ? family->attention_bias : 0) | (mlp_bias ? family->mlp_bias : 0);
    config->shape.has_biases = config->biases != 0;
    config->gated = family->tensors[VG_GATE] != NULL;
    vg_model_shape *shape = &config->shape;
    shape->block_parameters = shape->width * shape->head_size * (2 * shape->heads + 2 * shape->kv_heads) +
                              shape->width * shape->mlp_width * (config->gated ? 3 : 2);
    VG_TRY(get_switch(s, "use_parallel_residual", true, &parallel));
    config->blocks = family->blocks == VG_PARALLEL_TWO_NORMS && !parallel ? VG_SEQUENTIAL : family->blocks;
    return VG_OK;
}

static vg_status read_config(source *s, vg_config *config)
{
    if (!json_is_object(s->json))
        return vg_fail(VG_INVALID, "%s: is not a JSON object", s->path);
    s->rope = json_object_get(s->json, "rope_parameters");
    if (absent(s->rope))
        s->rope = json_object_get(s->json, "rope_scaling");
    VG_TRY(find_family(s, config));
    VG_TRY(read_shape(s, config));
    VG_TRY(read_activation(s, config));
    VG_TRY(read_rotary(s, config));
    return read_rest(s, config);
}

vg_status vg_config_parse(const char *path, const uint8_t *data, size_t size, vg_config *config)
{
    json_error_t fault;
    *config = (vg_config){0};
    source s = {.path = path, .json = size > 0 ? json_loadb((const char *)data, size, JSON_REJECT_DUPLICATES, &fault) : NULL};
    if (s.json == NULL)
        return vg_fail(VG_INVALID, "%s:%d: not JSON: %s", path, size > 0 ? fault.line : 1, size > 0 ? fault.text : "the file is empty");
    vg_status status = read_config(&s, config);
    json_decref(s.json);
    return status;
}
