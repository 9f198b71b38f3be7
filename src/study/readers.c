/* readers: the keys of a study that have a shape of their own: lists of models, features and stories, delays, penalties, regions. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "keys.h"
#include "voxgrad/store.h"

/* ---- small pieces ---------------------------------------------------------------------------------------------------------- */

static bool is_word(struct fy_node *node, const char *word)
{
    size_t length;
    const char *text = fy_node_is_scalar(node) ? fy_node_get_scalar(node, &length) : NULL;
    return text != NULL && length == strlen(word) && memcmp(text, word, length) == 0;
}

static vg_status sequence(const vg_yaml *yaml, struct fy_node *node, const char *key, int64_t *count)
{
    *count = 0;
    if (!fy_node_is_sequence(node) || fy_node_sequence_item_count(node) < 1)
        return vg_yaml_fail(yaml, node, key, "a list with at least one entry is expected here");
    *count = fy_node_sequence_item_count(node);
    return VG_OK;
}

static vg_status read_wholes(const vg_yaml *yaml, struct fy_node *node, const char *key, int64_t **values, int64_t *count)
{
    VG_TRY(sequence(yaml, node, key, count));
    free(*values);
    VG_TRY(VG_NEW(values, *count, key));
    for (int64_t i = 0; i < *count; i++)
        VG_TRY(vg_yaml_whole(yaml, fy_node_sequence_get_by_index(node, (int)i), key, &(*values)[i]));
    return VG_OK;
}

vg_status vg_read_name(const vg_yaml *yaml, struct fy_node *node, const char *key, const char *name, const char *what)
{
    if (vg_store_name_check(name, strlen(name), what) == VG_OK)
        return VG_OK;
    char fault[512];
    snprintf(fault, sizeof fault, "%s", vg_message());
    return vg_yaml_fail(yaml, node, key, "%s", fault);
}

/* Every item of a list by its table of keys; items of `size` bytes whose first member of interest is a name. */
vg_status vg_read_items(const vg_yaml *yaml, struct fy_node *node, const char *key, const vg_key *keys, vg_study *study, void **items,
                        size_t size, int64_t *count)
{
    VG_TRY(sequence(yaml, node, key, count));
    VG_TRY(vg_allocate(items, *count, size, key));
    for (int64_t i = 0; i < *count; i++) {
        char section[256];
        snprintf(section, sizeof section, "%s[%lld]", key, (long long)i);
        VG_TRY(vg_keys_read(yaml, fy_node_sequence_get_by_index(node, (int)i), section, keys, study, (char *)*items + (size_t)i * size));
    }
    return VG_OK;
}

static vg_status check_twice(const vg_yaml *yaml, struct fy_node *node, const char *key, const char *a, const char *b)
{
    return strcmp(a, b) != 0 ? VG_OK : vg_yaml_fail(yaml, node, key, "\"%s\" is there twice", a);
}

/* ---- models, features, stories ---------------------------------------------------------------------------------------------- */

vg_status vg_key_model(const vg_yaml *yaml, struct fy_node *node, const char *key, vg_study *study, void *item)
{
    (void)item;
    if (study->model_count > 0)
        return vg_yaml_fail(yaml, node, key, "model and models are both there; keep one");
    VG_TRY(VG_NEW(&study->models, 1, key));
    study->model_count = 1;
    VG_TRY(vg_keys_read(yaml, node, key, vg_model_keys, study, study->models));
    return vg_read_name(yaml, node, key, study->models->name, "model");
}

vg_status vg_key_models(const vg_yaml *yaml, struct fy_node *node, const char *key, vg_study *study, void *item)
{
    (void)item;
    if (study->model_count > 0)
        return vg_yaml_fail(yaml, node, key, "model and models are both there; keep one");
    VG_TRY(vg_read_items(yaml, node, key, vg_model_keys, study, (void **)&study->models, sizeof *study->models, &study->model_count));
    for (int64_t i = 0; i < study->model_count; i++) {
        VG_TRY(vg_read_name(yaml, node, key, study->models[i].name, "model"));
        for (int64_t j = 0; j < i; j++)
            VG_TRY(check_twice(yaml, node, key, study->models[i].name, study->models[j].name));
    }
    return VG_OK;
}

static vg_status finish_feature(const vg_yaml *yaml, struct fy_node *node, const char *key, vg_study_feature *feature)
{
    bool made_elsewhere = *feature->file != '\0';
    if (made_elsewhere == (*feature->method != '\0'))
        return vg_yaml_fail(yaml, node, key, "give a method, or a file with features made elsewhere (and a name)");
    if (*feature->name == '\0') {
        free(feature->name);
        VG_TRY(vg_format(&feature->name, "%s", feature->method));
    }
    return vg_read_name(yaml, node, key, feature->name, "feature");
}

vg_status vg_key_features(const vg_yaml *yaml, struct fy_node *node, const char *key, vg_study *study, void *item)
{
    (void)item;
    VG_TRY(
        vg_read_items(yaml, node, key, vg_feature_keys, study, (void **)&study->features, sizeof *study->features, &study->feature_count));
    for (int64_t i = 0; i < study->feature_count; i++) {
        struct fy_node *entry = fy_node_sequence_get_by_index(node, (int)i);
        VG_TRY(finish_feature(yaml, entry, key, &study->features[i]));
        for (int64_t j = 0; j < i; j++)
            if (strcmp(study->features[i].name, study->features[j].name) == 0)
                return vg_yaml_fail(yaml, entry, key, "two entries are called \"%s\"; give one a name of its own (name: ...)",
                                    study->features[i].name);
    }
    return VG_OK;
}

vg_status vg_key_layers(const vg_yaml *yaml, struct fy_node *node, const char *key, vg_study *study, void *item)
{
    (void)study;
    vg_study_feature *feature = item;
    int64_t count;
    if (is_word(node, "all")) {
        feature->all_layers = true;
        return VG_OK;
    }
    VG_TRY(sequence(yaml, node, key, &count));
    VG_TRY(VG_NEW(&feature->layers, count, key));
    for (int64_t i = 0; i < count; i++) {
        struct fy_node *entry = fy_node_sequence_get_by_index(node, (int)i);
        if (is_word(entry, "final"))
            feature->final_layer = true;
        else
            VG_TRY(vg_yaml_whole(yaml, entry, key, &feature->layers[feature->layer_count++]));
    }
    return VG_OK;
}

/* A word, or {token: STRING}. */
vg_status vg_key_baseline(const vg_yaml *yaml, struct fy_node *node, const char *key, vg_study *study, void *item)
{
    static const char *const known[] = {"mean_scaled", "mean", "zero", "pad", NULL};
    vg_study_feature *feature = item;
    (void)study;
    free(feature->baseline);
    feature->baseline = NULL;
    struct fy_node *token = fy_node_is_mapping(node) ? fy_node_mapping_lookup_by_string(node, "token", (size_t)-1) : NULL;
    if (token != NULL && fy_node_mapping_item_count(node) == 1) {
        VG_TRY(vg_format(&feature->baseline, "token"));
        free(feature->baseline_token);
        feature->baseline_token = NULL;
        return vg_yaml_text(yaml, token, key, &feature->baseline_token);
    }
    for (int i = 0; known[i] != NULL; i++)
        if (is_word(node, known[i]))
            return vg_format(&feature->baseline, "%s", known[i]);
    return vg_yaml_fail(yaml, node, key, "mean_scaled, mean, zero, pad or {token: STRING} is expected here");
}

vg_status vg_key_stories(const vg_yaml *yaml, struct fy_node *node, const char *key, vg_study *study, void *item)
{
    (void)item;
    VG_TRY(vg_read_items(yaml, node, key, vg_story_keys, study, (void **)&study->stories, sizeof *study->stories, &study->story_count));
    for (int64_t i = 0; i < study->story_count; i++) {
        VG_TRY(vg_read_name(yaml, node, key, study->stories[i].name, "story"));
        for (int64_t j = 0; j < i; j++)
            VG_TRY(check_twice(yaml, node, key, study->stories[i].name, study->stories[j].name));
    }
    return VG_OK;
}

/* ---- alignment ---------------------------------------------------------------------------------------------------------------- */

vg_status vg_key_delays(const vg_yaml *yaml, struct fy_node *node, const char *key, vg_study *study, void *item)
{
    (void)item;
    VG_TRY(read_wholes(yaml, node, key, &study->alignment.delays, &study->alignment.delay_count));
    for (int64_t i = 0; i < study->alignment.delay_count; i++) {
        if (study->alignment.delays[i] < 0 || study->alignment.delays[i] > 1000)
            return vg_yaml_fail(yaml, node, key, "a delay of %lld TRs; delays are 0 .. 1000", (long long)study->alignment.delays[i]);
        for (int64_t j = 0; j < i; j++)
            if (study->alignment.delays[i] == study->alignment.delays[j])
                return vg_yaml_fail(yaml, node, key, "delay %lld is there twice", (long long)study->alignment.delays[i]);
    }
    return VG_OK;
}

vg_status vg_key_trim(const vg_yaml *yaml, struct fy_node *node, const char *key, vg_study *study, void *item)
{
    (void)item;
    int64_t *trim = NULL, count;
    vg_status status = read_wholes(yaml, node, key, &trim, &count);
    if (status == VG_OK && (count != 2 || trim[0] < 0 || trim[1] < 0))
        status = vg_yaml_fail(yaml, node, key, "two numbers of rows are expected: [at the start, at the end]");
    if (status == VG_OK)
        memcpy(study->alignment.trim, trim, sizeof study->alignment.trim);
    free(trim);
    return status;
}

static vg_status read_savgol(const vg_yaml *yaml, struct fy_node *value, const char *key, vg_study *study)
{
    struct fy_node *window = fy_node_is_mapping(value) ? fy_node_mapping_lookup_by_string(value, "window", (size_t)-1) : NULL;
    struct fy_node *order = fy_node_is_mapping(value) ? fy_node_mapping_lookup_by_string(value, "order", (size_t)-1) : NULL;
    if (window == NULL || order == NULL)
        return vg_yaml_fail(yaml, value, key, "{window: seconds, order: polynomial order} is expected here");
    VG_TRY(vg_yaml_real(yaml, window, key, &study->alignment.savgol_window));
    return vg_yaml_whole(yaml, order, key, &study->alignment.savgol_order);
}

vg_status vg_key_filter(const vg_yaml *yaml, struct fy_node *node, const char *key, vg_study *study, void *item)
{
    (void)item;
    free(study->alignment.filter);
    study->alignment.filter = NULL;
    if (is_word(node, "none"))
        return vg_format(&study->alignment.filter, "none");
    void *previous = NULL;
    struct fy_node_pair *pair = fy_node_is_mapping(node) ? fy_node_mapping_iterate(node, &previous) : NULL;
    if (pair == NULL || fy_node_mapping_item_count(node) != 1 || fy_node_pair_value(pair) == NULL)
        return vg_yaml_fail(yaml, node, key,
                            "none, {high_pass: seconds}, {savgol: {window: seconds, order: n}} or {polynomial: n} is expected here");
    VG_TRY(vg_yaml_text(yaml, fy_node_pair_key(pair), key, &study->alignment.filter));
    struct fy_node *value = fy_node_pair_value(pair);
    if (strcmp(study->alignment.filter, "high_pass") == 0) {
        VG_TRY(vg_yaml_real(yaml, value, key, &study->alignment.high_pass));
        return study->alignment.high_pass > 0 ? VG_OK : vg_yaml_fail(yaml, value, key, "the period must be above 0 s");
    }
    if (strcmp(study->alignment.filter, "savgol") == 0)
        return read_savgol(yaml, value, key, study);
    if (strcmp(study->alignment.filter, "polynomial") == 0)
        return vg_yaml_whole(yaml, value, key, &study->alignment.polynomial);
    return vg_yaml_fail(yaml, node, key, "no filter \"%s\"; there are none, high_pass, savgol, polynomial", study->alignment.filter);
}

/* ---- ridge ---------------------------------------------------------------------------------------------------------------------- */

static vg_status spaced_alphas(const vg_yaml *yaml, struct fy_node *node, const char *key, vg_study *study)
{
    double least = 1e-1, most = 1e8;
    int64_t count = 20;
    void *previous = NULL;
    struct fy_node_pair *pair;
    while ((pair = fy_node_mapping_iterate(node, &previous)) != NULL) {
        struct fy_node *name = fy_node_pair_key(pair), *value = fy_node_pair_value(pair);
        if (value == NULL)
            return vg_yaml_fail(yaml, node, key, "{min: , max: , count: } is expected here");
        if (is_word(name, "min"))
            VG_TRY(vg_yaml_real(yaml, value, key, &least));
        else if (is_word(name, "max"))
            VG_TRY(vg_yaml_real(yaml, value, key, &most));
        else if (is_word(name, "count"))
            VG_TRY(vg_yaml_whole(yaml, value, key, &count));
        else
            return vg_yaml_fail(yaml, name, key, "unknown key; {min, max, count} or a list of penalties");
    }
    if (!(least > 0) || !(most >= least) || count < 1 || count > 10000)
        return vg_yaml_fail(yaml, node, key, "0 < min <= max and 1 <= count <= 10000 are needed");
    VG_TRY(VG_NEW(&study->ridge.alphas, count, "penalties"));
    study->ridge.alpha_count = count;
    double low = log10(least), high = log10(most);
    for (int64_t a = 0; a < count; a++)
        study->ridge.alphas[a] = pow(10.0, count > 1 ? low + (high - low) * (double)a / (double)(count - 1) : low);
    return VG_OK;
}

vg_status vg_key_alphas(const vg_yaml *yaml, struct fy_node *node, const char *key, vg_study *study, void *item)
{
    (void)item;
    free(study->ridge.alphas);
    study->ridge.alphas = NULL;
    if (fy_node_is_mapping(node))
        return spaced_alphas(yaml, node, key, study);
    VG_TRY(sequence(yaml, node, key, &study->ridge.alpha_count));
    VG_TRY(VG_NEW(&study->ridge.alphas, study->ridge.alpha_count, "penalties"));
    for (int64_t a = 0; a < study->ridge.alpha_count; a++) {
        struct fy_node *entry = fy_node_sequence_get_by_index(node, (int)a);
        VG_TRY(vg_yaml_real(yaml, entry, key, &study->ridge.alphas[a]));
        if (!(study->ridge.alphas[a] > 0))
            return vg_yaml_fail(yaml, entry, key, "a penalty must be above 0, not %g", study->ridge.alphas[a]);
    }
    return VG_OK;
}

vg_status vg_key_gap(const vg_yaml *yaml, struct fy_node *node, const char *key, vg_study *study, void *item)
{
    (void)item;
    study->ridge.gap = -1;
    if (is_word(node, "auto"))
        return VG_OK;
    VG_TRY(vg_yaml_whole(yaml, node, key, &study->ridge.gap));
    return study->ridge.gap >= 0 ? VG_OK : vg_yaml_fail(yaml, node, key, "the gap must be auto or a number of rows from 0 on");
}

/* "4G", "800M", "2.5G", or bytes. */
vg_status vg_key_memory(const vg_yaml *yaml, struct fy_node *node, const char *key, vg_study *study, void *item)
{
    (void)item;
    char *text;
    VG_TRY(vg_yaml_text(yaml, node, key, &text));
    vg_status status = vg_parse_memory(text, &study->memory);
    free(text);
    return status == VG_OK ? VG_OK : vg_yaml_fail(yaml, node, key, "a number of bytes like 4G or 800M is expected here");
}

/* "90s", "30min", "2h", or seconds. */
vg_status vg_key_stall(const vg_yaml *yaml, struct fy_node *node, const char *key, vg_study *study, void *item)
{
    static const struct {
        const char *name;
        double seconds;
    } units[] = {{"min", 60}, {"h", 3600}, {"s", 1}, {"", 1}};
    (void)item;
    char *text;
    bool good = false;
    VG_TRY(vg_yaml_text(yaml, node, key, &text));
    for (size_t i = 0; !good && i < sizeof units / sizeof *units; i++) {
        size_t length = strlen(text), unit = strlen(units[i].name);
        if (length <= unit || strcmp(text + length - unit, units[i].name) != 0)
            continue;
        good = vg_parse_double(text, length - unit, &study->stall) && study->stall >= 1 && study->stall < 1e9;
        study->stall *= units[i].seconds;
    }
    free(text);
    return good ? VG_OK : vg_yaml_fail(yaml, node, key, "a time like 90s, 30min or 2h is expected here");
}

/* ---- regions ---------------------------------------------------------------------------------------------------------------------- */

vg_status vg_read_texts(const vg_yaml *yaml, struct fy_node *node, const char *key, char ***texts, int64_t *count)
{
    int64_t wanted;
    VG_TRY(sequence(yaml, node, key, &wanted));
    VG_TRY(VG_NEW(texts, wanted, key));
    while (*count < wanted) {
        VG_TRY(vg_yaml_text(yaml, fy_node_sequence_get_by_index(node, (int)*count), key, &(*texts)[*count]));
        (*count)++;
    }
    return VG_OK;
}

/* A list of labels, or the file that holds them. */
vg_status vg_key_columns(const vg_yaml *yaml, struct fy_node *node, const char *key, vg_study *study, void *item)
{
    (void)item;
    if (!fy_node_is_scalar(node))
        return vg_read_texts(yaml, node, key, &study->atlas.columns, &study->atlas.column_count);
    char *path;
    VG_TRY(vg_yaml_text(yaml, node, key, &path));
    vg_status status = vg_path_beside(yaml->path, path, &study->atlas.columns_file);
    free(path);
    return status;
}

static vg_status named_regions(const vg_yaml *yaml, struct fy_node *node, const char *key, vg_study_region **regions, int64_t *count)
{
    if (!fy_node_is_mapping(node) || fy_node_mapping_item_count(node) < 1)
        return vg_yaml_fail(yaml, node, key, "{REGION: ...} is expected here");
    VG_TRY(VG_NEW(regions, fy_node_mapping_item_count(node), key));
    void *previous = NULL;
    struct fy_node_pair *pair;
    while ((pair = fy_node_mapping_iterate(node, &previous)) != NULL) {
        vg_study_region *region = &(*regions)[(*count)++];
        VG_TRY(vg_yaml_text(yaml, fy_node_pair_key(pair), key, &region->name));
        VG_TRY(vg_read_name(yaml, node, key, region->name, "region"));
        if (fy_node_pair_value(pair) == NULL)
            return vg_yaml_fail(yaml, fy_node_pair_key(pair), key, "region %s is empty", region->name);
    }
    return VG_OK;
}

static struct fy_node *value_at(struct fy_node *mapping, int64_t index)
{
    return fy_node_pair_value(fy_node_mapping_get_by_index(mapping, (int)index));
}

vg_status vg_key_regions(const vg_yaml *yaml, struct fy_node *node, const char *key, vg_study *study, void *item)
{
    (void)item;
    VG_TRY(named_regions(yaml, node, key, &study->atlas.regions, &study->atlas.region_count));
    for (int64_t i = 0; i < study->atlas.region_count; i++)
        VG_TRY(vg_read_texts(yaml, value_at(node, i), key, &study->atlas.regions[i].members, &study->atlas.regions[i].member_count));
    return VG_OK;
}

vg_status vg_key_planted(const vg_yaml *yaml, struct fy_node *node, const char *key, vg_study *study, void *item)
{
    (void)item;
    VG_TRY(named_regions(yaml, node, key, &study->simulate.regions, &study->simulate.region_count));
    for (int64_t i = 0; i < study->simulate.region_count; i++) {
        char section[256];
        snprintf(section, sizeof section, "%s.%s", key, study->simulate.regions[i].name);
        VG_TRY(vg_keys_read(yaml, value_at(node, i), section, vg_region_keys, study, &study->simulate.regions[i]));
    }
    return VG_OK;
}
