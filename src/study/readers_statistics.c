/* readers_statistics: the keys of the statistics that have a shape of their own. */
#include <stdlib.h>
#include <string.h>

#include "keys.h"
#include "voxgrad/store.h"

static bool is_word(struct fy_node *node, const char *word)
{
    size_t length;
    const char *text = fy_node_is_scalar(node) ? fy_node_get_scalar(node, &length) : NULL;
    return text != NULL && length == strlen(word) && memcmp(text, word, length) == 0;
}

vg_status vg_key_min_shift(const vg_yaml *yaml, struct fy_node *node, const char *key, vg_study *study, void *item)
{
    (void)item;
    study->null.min_shift = -1;
    if (is_word(node, "auto"))
        return VG_OK;
    VG_TRY(vg_yaml_whole(yaml, node, key, &study->null.min_shift));
    return study->null.min_shift >= 1
               ? VG_OK
               : vg_yaml_fail(yaml, node, key, "auto, or a number of rows from 1 on, not %lld", (long long)study->null.min_shift);
}

static vg_status read_texts(const vg_yaml *yaml, struct fy_node *node, const char *key, char ***texts, int64_t *count)
{
    *count = 0;
    if (!fy_node_is_sequence(node) || fy_node_sequence_item_count(node) < 1)
        return vg_yaml_fail(yaml, node, key, "a list of names is expected here");
    VG_TRY(VG_NEW(texts, fy_node_sequence_item_count(node), key));
    for (int i = 0; i < fy_node_sequence_item_count(node); i++) {
        VG_TRY(vg_yaml_text(yaml, fy_node_sequence_get_by_index(node, i), key, &(*texts)[i]));
        (*count)++;
    }
    return VG_OK;
}

vg_status vg_key_equal_size(const vg_yaml *yaml, struct fy_node *node, const char *key, vg_study *study, void *item)
{
    (void)item;
    study->statistics.equal_size = is_word(node, "auto") ? -1 : 0;
    if (is_word(node, "none") || is_word(node, "auto"))
        return VG_OK;
    VG_TRY(vg_yaml_whole(yaml, node, key, &study->statistics.equal_size));
    return study->statistics.equal_size >= 1 ? VG_OK : vg_yaml_fail(yaml, node, key, "none, auto, or a number of columns from 1 on");
}

static vg_status read_family(const vg_yaml *yaml, struct fy_node_pair *pair, const char *key, vg_study *study)
{
    vg_study_family *family = &study->families.list[study->families.count++];
    struct fy_node *name = fy_node_pair_key(pair), *members = fy_node_pair_value(pair);
    VG_TRY(vg_yaml_text(yaml, name, key, &family->name));
    if (vg_store_name_check(family->name, strlen(family->name), "family") != VG_OK || strstr(family->name, "--") != NULL)
        return vg_yaml_fail(yaml, name, key, "\"%s\" cannot be the name of a family", family->name);
    for (int64_t i = 0; i + 1 < study->families.count; i++)
        if (strcmp(study->families.list[i].name, family->name) == 0)
            return vg_yaml_fail(yaml, name, key, "\"%s\" is there twice", family->name);
    if (members == NULL)
        return vg_yaml_fail(yaml, name, key, "family %s has no spaces", family->name);
    return read_texts(yaml, members, key, &family->members, &family->member_count);
}

vg_status vg_key_families(const vg_yaml *yaml, struct fy_node *node, const char *key, vg_study *study, void *item)
{
    (void)item;
    void *previous = NULL;
    struct fy_node_pair *pair;
    study->families.automatic = is_word(node, "auto");
    if (is_word(node, "auto") || is_word(node, "none"))
        return VG_OK;
    if (!fy_node_is_mapping(node) || fy_node_mapping_item_count(node) < 1)
        return vg_yaml_fail(yaml, node, key, "auto, none, or {FAMILY: [space, ...]} is expected here");
    VG_TRY(VG_NEW(&study->families.list, fy_node_mapping_item_count(node), key));
    while ((pair = fy_node_mapping_iterate(node, &previous)) != NULL)
        VG_TRY(read_family(yaml, pair, key, study));
    return VG_OK;
}

vg_status vg_key_contrasts(const vg_yaml *yaml, struct fy_node *node, const char *key, vg_study *study, void *item)
{
    (void)item;
    study->contrasts.all = is_word(node, "all");
    if (is_word(node, "all") || is_word(node, "none"))
        return VG_OK;
    if (!fy_node_is_sequence(node) || fy_node_sequence_item_count(node) < 1)
        return vg_yaml_fail(yaml, node, key, "all, none, or a list of [A, B] is expected here");
    int64_t count = fy_node_sequence_item_count(node);
    VG_TRY(VG_NEW(&study->contrasts.names, 2 * count, key));
    study->contrasts.count = count;
    for (int64_t i = 0; i < count; i++) {
        struct fy_node *pair = fy_node_sequence_get_by_index(node, (int)i);
        if (!fy_node_is_sequence(pair) || fy_node_sequence_item_count(pair) != 2)
            return vg_yaml_fail(yaml, pair, key, "two names of spaces are expected here: [A, B]");
        for (int j = 0; j < 2; j++)
            VG_TRY(vg_yaml_text(yaml, fy_node_sequence_get_by_index(pair, j), key, &study->contrasts.names[2 * i + j]));
        if (strcmp(study->contrasts.names[2 * i], study->contrasts.names[2 * i + 1]) == 0)
            return vg_yaml_fail(yaml, pair, key, "\"%s\" less itself is nothing", study->contrasts.names[2 * i]);
    }
    return VG_OK;
}

vg_status vg_key_profile_spaces(const vg_yaml *yaml, struct fy_node *node, const char *key, vg_study *study, void *item)
{
    (void)item;
    study->profile.all = is_word(node, "all");
    if (is_word(node, "all") || is_word(node, "none"))
        return VG_OK;
    return read_texts(yaml, node, key, &study->profile.spaces, &study->profile.space_count);
}

vg_status vg_key_profile_words(const vg_yaml *yaml, struct fy_node *node, const char *key, vg_study *study, void *item)
{
    (void)item;
    if (!fy_node_is_sequence(node) || fy_node_sequence_item_count(node) < 1)
        return vg_yaml_fail(yaml, node, key, "a list of numbers of words is expected here");
    int64_t count = fy_node_sequence_item_count(node);
    free(study->profile.words);
    VG_TRY(VG_NEW(&study->profile.words, count, key));
    study->profile.word_count = count;
    for (int64_t i = 0; i < count; i++) {
        struct fy_node *at = fy_node_sequence_get_by_index(node, (int)i);
        VG_TRY(vg_yaml_whole(yaml, at, key, &study->profile.words[i]));
        if (study->profile.words[i] < 1)
            return vg_yaml_fail(yaml, at, key, "a number of words from 1 on, not %lld", (long long)study->profile.words[i]);
    }
    return VG_OK;
}

static void free_texts(char **texts, int64_t count)
{
    for (int64_t i = 0; texts != NULL && i < count; i++)
        free(texts[i]);
    free(texts);
}

void vg_keys_free_statistics(vg_study *study)
{
    for (int64_t i = 0; study->families.list != NULL && i < study->families.count; i++) {
        free_texts(study->families.list[i].members, study->families.list[i].member_count);
        free(study->families.list[i].name);
    }
    free(study->families.list);
    free_texts(study->contrasts.names, 2 * study->contrasts.count);
    free_texts(study->profile.spaces, study->profile.space_count);
    free(study->profile.words);
}
