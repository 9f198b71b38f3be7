/* study: reads a study file whole and checks what its parts say of each other. */
#include <stdlib.h>
#include <string.h>

#include "keys.h"

vg_status vg_parse_memory(const char *text, int64_t *bytes)
{
    size_t length = strlen(text);
    double unit = 1, value;
    if (length > 0 && strchr("kKmMgGtT", text[length - 1]) != NULL) {
        unit = strchr("kK", text[length - 1]) ? 1e3 : strchr("mM", text[length - 1]) ? 1e6 : strchr("gG", text[length - 1]) ? 1e9 : 1e12;
        length--;
    }
    if (!vg_parse_double(text, length, &value) || !(value > 0) || !(value * unit < 9e18))
        return vg_fail(VG_INVALID, "\"%s\" is not a number of bytes like 4G or 800M", text);
    *bytes = (int64_t)(value * unit);
    return VG_OK;
}

static vg_status match_runs(vg_study *study)
{
    for (int64_t s = 0; s < study->responses.subject_count; s++) {
        vg_study_subject *subject = &study->responses.subjects[s];
        for (int64_t r = 0; r < subject->run_count; r++) {
            vg_study_run *run = &subject->runs[r];
            for (run->story = 0; run->story < study->story_count; run->story++)
                if (strcmp(study->stories[run->story].name, run->story_name) == 0)
                    break;
            if (run->story == study->story_count)
                return vg_fail(VG_INVALID,
                               "%s:%d: responses.subjects: %s: no story is called \"%s\"; the stories' names are under stories:",
                               study->path, run->line, subject->name, run->story_name);
        }
    }
    return VG_OK;
}

static vg_status check_split(const vg_study *study)
{
    for (int64_t i = 0; i < study->split.test_count; i++) {
        int64_t s = 0;
        while (s < study->story_count && strcmp(study->stories[s].name, study->split.test[i]) != 0)
            s++;
        if (s == study->story_count)
            return vg_fail(VG_INVALID, "%s: split.test: no story is called \"%s\"", study->path, study->split.test[i]);
    }
    if (study->split.test_count > 0 && study->split.test_count >= study->story_count)
        return vg_fail(VG_INVALID, "%s: split.test: no story is left to train on", study->path);
    return VG_OK;
}

/* Nuisance that is no feature of the study is a method's own space, and becomes one: it is ranked beside the others. */
static vg_status add_control(const vg_yaml *yaml, vg_study *study, const char *name)
{
    const char *const *methods = vg_space_methods();
    size_t length = strcspn(name, "/");
    for (int64_t i = 0; i < study->feature_count; i++)
        if (strlen(study->features[i].name) == length && strncmp(study->features[i].name, name, length) == 0)
            return VG_OK;
    int64_t m = 0;
    while (methods[m] != NULL && strcmp(methods[m], name) != 0)
        m++;
    if (methods[m] == NULL)
        return vg_fail(VG_INVALID, "%s: nuisance: \"%s\" is neither a feature of the study nor a method%s%s", study->path, name,
                       vg_nearest(name, methods) != NULL ? "; did you mean " : "",
                       vg_nearest(name, methods) != NULL ? vg_nearest(name, methods) : "");
    vg_study_feature *grown = realloc(study->features, (size_t)(study->feature_count + 1) * sizeof *grown);
    if (grown == NULL)
        return vg_fail(VG_NO_MEMORY, "no memory for a list of %lld features", (long long)study->feature_count + 1);
    study->features = grown;
    vg_study_feature *feature = &grown[study->feature_count];
    *feature = (vg_study_feature){0};
    struct fy_parse_cfg settings = {.search_path = "", .flags = FYPCF_QUIET};
    struct fy_document *nothing = fy_document_build_from_string(&settings, "{}", 2);
    if (nothing == NULL)
        return vg_fail(VG_NO_MEMORY, "no memory for a feature");
    study->feature_count++;
    vg_status status = vg_keys_read(yaml, fy_document_root(nothing), "nuisance", vg_feature_keys, study, feature);
    fy_document_destroy(nothing);
    free(feature->method);
    free(feature->name);
    feature->method = feature->name = NULL;
    if (status == VG_OK)
        status = vg_format(&feature->method, "%s", name);
    return status == VG_OK ? vg_format(&feature->name, "%s", name) : status;
}

static vg_status add_controls(const vg_yaml *yaml, vg_study *study)
{
    for (int64_t i = 0; i < study->nuisance.space_count; i++)
        VG_TRY(add_control(yaml, study, study->nuisance.spaces[i]));
    return VG_OK;
}

static vg_status check_parts(const vg_study *study)
{
    bool needs_model = false;
    for (int64_t i = 0; i < study->feature_count; i++)
        needs_model |= *study->features[i].method != '\0';
    if (study->story_count == 0)
        return vg_fail(VG_INVALID, "%s: stories: is missing: a list of {name, words}", study->path);
    if (study->feature_count == 0)
        return vg_fail(VG_INVALID, "%s: features: is missing: a list of {method: ...}", study->path);
    if (needs_model && study->model_count == 0)
        return vg_fail(VG_INVALID, "%s: model: is missing: {name, path}", study->path);
    for (int64_t i = 0; i < study->feature_count && study->story_count > 1; i++)
        if (*study->features[i].file != '\0' && strstr(study->features[i].file, "{STORY}") == NULL)
            return vg_fail(VG_INVALID, "%s: features: %s: file: needs {STORY} in its name: there are %lld stories, a file each",
                           study->path, study->features[i].name, (long long)study->story_count);
    bool columns = study->atlas.column_count > 0 || study->atlas.columns_file != NULL, labels = study->atlas.label_count > 0;
    if (columns && labels)
        return vg_fail(VG_INVALID, "%s: atlas: columns and labels are both there; keep one", study->path);
    if (study->atlas.region_count > 0 && !columns && !labels)
        return vg_fail(VG_INVALID, "%s: atlas.regions: needs atlas.labels, or atlas.columns, the names of the responses' columns",
                       study->path);
    return check_split(study);
}

vg_status vg_study_open(const char *path, vg_study **opened)
{
    vg_yaml yaml;
    vg_study *study = NULL;
    *opened = NULL;
    VG_TRY(vg_yaml_open(path, &yaml));
    vg_status status;
    VG_GO(VG_NEW(&study, 1, "study"));
    VG_GO(vg_format(&study->path, "%s", path));
    VG_GO(vg_format(&study->text, "%s", yaml.text));
    VG_GO(vg_keys_read(&yaml, fy_document_root(yaml.document), "", vg_study_keys, study, study));
    VG_GO(add_controls(&yaml, study));
    VG_GO(check_parts(study));
    VG_GO(match_runs(study));
done:
    vg_yaml_close(&yaml);
    if (status == VG_OK)
        *opened = study;
    else
        vg_study_free(study);
    return status;
}

static void free_regions(vg_study_region *regions, int64_t count)
{
    for (int64_t i = 0; i < count; i++) {
        for (int64_t m = 0; m < regions[i].member_count; m++)
            free(regions[i].members[m]);
        free(regions[i].members);
        free(regions[i].name);
        vg_keys_free(vg_region_keys, &regions[i]);
    }
    free(regions);
}

static void free_subjects(vg_study *study)
{
    for (int64_t s = 0; s < study->responses.subject_count; s++) {
        vg_study_subject *subject = &study->responses.subjects[s];
        for (int64_t r = 0; r < subject->run_count; r++) {
            free(subject->runs[r].story_name);
            for (int64_t f = 0; f < subject->runs[r].file_count; f++)
                free(subject->runs[r].files[f]);
            free(subject->runs[r].files);
        }
        free(subject->runs);
        vg_keys_free(vg_subject_keys, subject);
    }
    free(study->responses.subjects);
}

static void free_texts(char **texts, int64_t count)
{
    for (int64_t i = 0; i < count; i++)
        free(texts[i]);
    free(texts);
}

void vg_study_free(vg_study *study)
{
    if (study == NULL)
        return;
    for (int64_t i = 0; i < study->model_count; i++)
        vg_keys_free(vg_model_keys, &study->models[i]);
    for (int64_t i = 0; i < study->feature_count; i++) {
        vg_keys_free(vg_feature_keys, &study->features[i]);
        free(study->features[i].baseline);
        free(study->features[i].baseline_token);
        free(study->features[i].layers);
    }
    for (int64_t i = 0; i < study->story_count; i++)
        vg_keys_free(vg_story_keys, &study->stories[i]);
    free_subjects(study);
    free_regions(study->atlas.regions, study->atlas.region_count);
    free_regions(study->simulate.regions, study->simulate.region_count);
    free_texts(study->atlas.columns, study->atlas.column_count);
    free_texts(study->atlas.labels, study->atlas.label_count);
    free_texts(study->nuisance.spaces, study->nuisance.space_count);
    free_texts(study->nuisance.files, study->nuisance.file_count);
    free_texts(study->split.test, study->split.test_count);
    free(study->atlas.columns_file);
    free(study->alignment.delays);
    free(study->alignment.filter);
    free(study->ridge.alphas);
    free(study->models);
    free(study->features);
    free(study->stories);
    free(study->path);
    free(study->text);
    vg_keys_free_statistics(study);
    vg_keys_free(vg_nuisance_keys, study);
    vg_keys_free(vg_study_keys, study);
    free(study);
}
