/* files: features made elsewhere, an entry of the study with a `file`: one table (words, columns) a story, copied into features.h5 under
 * the model name "files", so that a user's own features are fitted and compared like ours. Any format that responses may have is read. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "run.h"

bool vg_explains(const vg_study *study)
{
    for (int64_t i = 0; i < study->feature_count; i++)
        if (*study->features[i].method != '\0')
            return true;
    return false;
}

/* The entry's path for one story: every {STORY} is its name. */
static vg_status path_of_story(const char *path, const char *story, char **made)
{
    static const char mark[] = "{STORY}";
    VG_TRY(vg_format(made, "%s", ""));
    for (const char *at = path; at != NULL;) {
        const char *next = strstr(at, mark);
        char *longer;
        int length = next != NULL ? (int)(next - at) : (int)strlen(at);
        vg_status status = vg_format(&longer, "%s%.*s%s", *made, length, at, next != NULL ? story : "");
        free(*made);
        *made = status == VG_OK ? longer : NULL;
        VG_TRY(status);
        at = next != NULL ? next + strlen(mark) : NULL;
    }
    return VG_OK;
}

static vg_status open_table(const vg_study_feature *feature, const char *story, int64_t words, vg_responses **table)
{
    char *path;
    VG_TRY(path_of_story(feature->file, story, &path));
    const char *const paths[] = {path};
    vg_status status = vg_responses_open(paths, 1, NULL, table);
    if (status == VG_OK && vg_responses_rows(*table) != words)
        status = vg_fail(VG_INVALID, "%s: has %lld rows, and story %s has %lld words; a row a word is expected", path,
                         (long long)vg_responses_rows(*table), story, (long long)words);
    free(path);
    return status == VG_OK ? VG_OK : vg_fail_within(status, "features: %s: ", feature->name);
}

vg_status vg_files_open(const vg_study *study, const vg_stories *stories, vg_file_features *files)
{
    int64_t most = study->feature_count * study->story_count;
    VG_TRY(VG_NEW(&files->at, most, "features"));
    for (int64_t i = 0; i < study->feature_count; i++) {
        const vg_study_feature *feature = &study->features[i];
        for (int64_t s = 0; *feature->file != '\0' && s < study->story_count; s++) {
            vg_file_feature *at = &files->at[files->count++];
            *at = (vg_file_feature){.feature = i, .story = s};
            VG_TRY(open_table(feature, study->stories[s].name, stories->stories[s].count, &at->table));
            int64_t columns = vg_responses_voxels(at->table);
            if (s > 0 && columns != vg_responses_voxels(at[-1].table))
                return vg_fail(VG_INVALID, "features: %s: has %lld columns for story %s and %lld for story %s", feature->name,
                               (long long)columns, study->stories[s].name, (long long)vg_responses_voxels(at[-1].table),
                               study->stories[s - 1].name);
        }
    }
    return VG_OK;
}

vg_status vg_files_plan(const vg_study *study, FILE *out)
{
    for (int64_t i = 0; i < study->feature_count; i++)
        for (int64_t s = 0; *study->features[i].file != '\0' && s < study->story_count; s++) {
            char *path, *field = NULL;
            VG_TRY(path_of_story(study->features[i].file, study->stories[s].name, &path));
            vg_status status = vg_format(&field, "features %s of %s", study->features[i].name, study->stories[s].name);
            if (status == VG_OK)
                status = vg_plan_file(out, field, path);
            free(field);
            free(path);
            VG_TRY(status);
        }
    return VG_OK;
}

void vg_files_close(vg_file_features *files)
{
    for (int64_t i = 0; i < files->count; i++)
        vg_responses_close(files->at[i].table);
    free(files->at);
    *files = (vg_file_features){0};
}

/* values (words, columns), all finite; to be given to free(). */
static vg_status read_values(const vg_study *study, const vg_file_feature *at, vg_matrix *values)
{
    *values = (vg_matrix){.rows = vg_responses_rows(at->table), .columns = vg_responses_voxels(at->table)};
    values->ld = values->columns;
    int64_t count;
    VG_TRY(vg_multiply(values->rows, values->columns, "features", &count));
    VG_TRY(VG_NEW(&values->data, count, "features made elsewhere"));
    vg_status status = vg_responses_read(at->table, 0, *values);
    for (int64_t i = 0; status == VG_OK && i < count; i++)
        if (!isfinite(values->data[i]))
            status = vg_fail(VG_INVALID, "features: %s: the value of word %lld of story %s in column %lld is not finite",
                             study->features[at->feature].name, (long long)(i / values->columns) + 1, study->stories[at->story].name,
                             (long long)(i % values->columns) + 1);
    if (status != VG_OK) {
        free(values->data);
        values->data = NULL;
    }
    return status;
}

vg_status vg_files_check(const vg_study *study, const vg_file_features *files)
{
    for (int64_t i = 0; i < files->count; i++) {
        vg_matrix values;
        VG_TRY(read_values(study, &files->at[i], &values));
        free(values.data);
    }
    return VG_OK;
}

vg_status vg_files_add(const vg_study *study, vg_layout *layout, vg_file_features *files)
{
    for (int64_t i = 0; i < files->count; i++) {
        vg_file_feature *at = &files->at[i];
        const vg_store_space space = {.story = study->stories[at->story].name,
                                      .model = "files",
                                      .name = study->features[at->feature].name,
                                      .method = "file",
                                      .words = vg_responses_rows(at->table),
                                      .columns = vg_responses_voxels(at->table),
                                      .column_names = vg_responses_names(at->table),
                                      .sees_word = -1};
        VG_TRY(vg_features_add_space(layout, &space, &at->datasets));
    }
    return VG_OK;
}

vg_status vg_files_write(const vg_study *study, vg_store *store, const vg_file_features *files)
{
    for (int64_t i = 0; i < files->count; i++) {
        vg_matrix values;
        uint8_t *valid = NULL;
        vg_status status;
        VG_TRY(read_values(study, &files->at[i], &values));
        VG_GO(VG_NEW(&valid, values.rows * values.columns, "features made elsewhere"));
        memset(valid, 1, (size_t)(values.rows * values.columns));
        VG_GO(vg_store_write(store, files->at[i].datasets.values, NULL, NULL, values.data));
        VG_GO(vg_store_write(store, files->at[i].datasets.valid, NULL, NULL, valid));
    done:
        free(values.data);
        free(valid);
        VG_TRY(status);
    }
    return VG_OK;
}
