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
    if (study->atlas.region_count > 0 && study->atlas.column_count == 0 && study->atlas.columns_file == NULL)
        return vg_fail(VG_INVALID, "%s: atlas.regions: needs atlas.columns, the names of the responses' columns", study->path);
    return VG_OK;
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
            free(subject->runs[r].path);
        }
        free(subject->runs);
        vg_keys_free(vg_subject_keys, subject);
    }
    free(study->responses.subjects);
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
    for (int64_t i = 0; i < study->atlas.column_count; i++)
        free(study->atlas.columns[i]);
    free(study->atlas.columns);
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
    vg_keys_free(vg_study_keys, study);
    free(study);
}
