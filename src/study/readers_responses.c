/* readers_responses: the keys of a study that say which files hold responses, labels and nuisance, and which stories test. */
#include <stdlib.h>
#include <string.h>

#include "keys.h"

/* ---- files that stand side by side ------------------------------------------------------------------------------------------- */

static vg_status add_file(const vg_yaml *yaml, struct fy_node *node, const char *key, char **files, int64_t *count)
{
    char *path;
    VG_TRY(vg_yaml_text(yaml, node, key, &path));
    vg_status status = vg_path_beside(yaml->path, path, &files[*count]);
    free(path);
    *count += status == VG_OK;
    return status;
}

/* A file, a list of files, or {lh: file, rh: file}. */
static vg_status read_files(const vg_yaml *yaml, struct fy_node *node, const char *key, char ***files, int64_t *count)
{
    static const char *const sides[] = {"lh", "rh"};
    if (fy_node_is_scalar(node)) {
        VG_TRY(VG_NEW(files, 1, key));
        return add_file(yaml, node, key, *files, count);
    }
    if (fy_node_is_sequence(node) && fy_node_sequence_item_count(node) > 0) {
        VG_TRY(VG_NEW(files, fy_node_sequence_item_count(node), key));
        for (int i = 0; i < fy_node_sequence_item_count(node); i++)
            VG_TRY(add_file(yaml, fy_node_sequence_get_by_index(node, i), key, *files, count));
        return VG_OK;
    }
    int found = 0;
    VG_TRY(VG_NEW(files, 2, key));
    for (int i = 0; i < 2; i++) {
        struct fy_node *side = fy_node_is_mapping(node) ? fy_node_mapping_lookup_by_string(node, sides[i], (size_t)-1) : NULL;
        if (side == NULL)
            continue;
        found++;
        VG_TRY(add_file(yaml, side, key, *files, count));
    }
    if (found > 0 && fy_node_mapping_item_count(node) == found)
        return VG_OK;
    return vg_yaml_fail(yaml, node, key, "a file, a list of files, or {lh: file, rh: file} is expected here");
}

vg_status vg_key_labels(const vg_yaml *yaml, struct fy_node *node, const char *key, vg_study *study, void *item)
{
    (void)item;
    return read_files(yaml, node, key, &study->atlas.labels, &study->atlas.label_count);
}

/* ---- subjects ---------------------------------------------------------------------------------------------------------------- */

vg_status vg_key_subjects(const vg_yaml *yaml, struct fy_node *node, const char *key, vg_study *study, void *item)
{
    (void)item;
    VG_TRY(vg_read_items(yaml, node, key, vg_subject_keys, study, (void **)&study->responses.subjects, sizeof *study->responses.subjects,
                         &study->responses.subject_count));
    for (int64_t i = 0; i < study->responses.subject_count; i++) {
        const vg_study_subject *subject = &study->responses.subjects[i];
        struct fy_node *entry = fy_node_sequence_get_by_index(node, (int)i);
        VG_TRY(vg_read_name(yaml, entry, key, subject->name, "subject"));
        if (subject->run_count == 0)
            return vg_yaml_fail(yaml, entry, key, "subject %s has no runs: {STORY: file}", subject->name);
        for (int64_t j = 0; j < i; j++)
            if (strcmp(subject->name, study->responses.subjects[j].name) == 0)
                return vg_yaml_fail(yaml, entry, key, "\"%s\" is there twice", subject->name);
    }
    return VG_OK;
}

/* Stories may stand below in the file: names are matched once all is read (study.c); until then `story` is the line, for messages. */
static vg_status read_run(const vg_yaml *yaml, struct fy_node_pair *pair, const char *key, vg_study_run *run)
{
    VG_TRY(vg_yaml_text(yaml, fy_node_pair_key(pair), key, &run->story_name));
    if (fy_node_pair_value(pair) == NULL)
        return vg_yaml_fail(yaml, fy_node_pair_key(pair), key, "story %s has no file", run->story_name);
    run->line = vg_yaml_line(fy_node_pair_key(pair));
    VG_TRY(read_files(yaml, fy_node_pair_value(pair), key, &run->files, &run->file_count));
    run->path = run->files[0];
    run->sided = fy_node_is_mapping(fy_node_pair_value(pair)) && run->file_count == 2;
    return VG_OK;
}

/* {STORY: file, ...}, or a list of such, in which a story may stand several times. */
vg_status vg_key_runs(const vg_yaml *yaml, struct fy_node *node, const char *key, vg_study *study, void *item)
{
    (void)study;
    vg_study_subject *subject = item;
    int mappings = fy_node_is_sequence(node) ? fy_node_sequence_item_count(node) : 1, total = 0;
    for (int i = 0; i < mappings; i++) {
        struct fy_node *mapping = fy_node_is_sequence(node) ? fy_node_sequence_get_by_index(node, i) : node;
        if (!fy_node_is_mapping(mapping) || fy_node_mapping_item_count(mapping) < 1)
            return vg_yaml_fail(yaml, node, key, "{STORY: file} is expected here, or a list of such");
        total += fy_node_mapping_item_count(mapping);
    }
    VG_TRY(VG_NEW(&subject->runs, total, key));
    for (int i = 0; i < mappings; i++) {
        struct fy_node *mapping = fy_node_is_sequence(node) ? fy_node_sequence_get_by_index(node, i) : node;
        void *previous = NULL;
        struct fy_node_pair *pair;
        while ((pair = fy_node_mapping_iterate(mapping, &previous)) != NULL)
            VG_TRY(read_run(yaml, pair, key, &subject->runs[subject->run_count++]));
    }
    return VG_OK;
}

/* ---- nuisance, split ------------------------------------------------------------------------------------------------------------ */

vg_status vg_key_nuisance_spaces(const vg_yaml *yaml, struct fy_node *node, const char *key, vg_study *study, void *item)
{
    (void)item;
    return vg_read_texts(yaml, node, key, &study->nuisance.spaces, &study->nuisance.space_count);
}

vg_status vg_key_nuisance_files(const vg_yaml *yaml, struct fy_node *node, const char *key, vg_study *study, void *item)
{
    (void)item;
    if (!fy_node_is_sequence(node))
        return vg_yaml_fail(yaml, node, key, "a list of files is expected here");
    return read_files(yaml, node, key, &study->nuisance.files, &study->nuisance.file_count);
}

/* A list of features, the rest by default; or a section with keys of its own. */
vg_status vg_key_nuisance(const vg_yaml *yaml, struct fy_node *node, const char *key, vg_study *study, void *item)
{
    if (fy_node_is_mapping(node))
        return vg_keys_read(yaml, node, key, vg_nuisance_keys, study, study);
    struct fy_parse_cfg settings = {.search_path = "", .flags = FYPCF_QUIET};
    struct fy_document *nothing = fy_document_build_from_string(&settings, "{}", 2);
    if (nothing == NULL)
        return vg_fail(VG_NO_MEMORY, "no memory for the defaults of %s", key);
    vg_status status = vg_keys_read(yaml, fy_document_root(nothing), key, vg_nuisance_keys, study, study);
    fy_document_destroy(nothing);
    return status == VG_OK ? vg_key_nuisance_spaces(yaml, node, key, study, item) : status;
}

vg_status vg_key_split(const vg_yaml *yaml, struct fy_node *node, const char *key, vg_study *study, void *item)
{
    (void)item;
    return vg_read_texts(yaml, node, key, &study->split.test, &study->split.test_count);
}
