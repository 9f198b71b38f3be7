/* features_kept: are the features that are there those that this study would make? */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "run.h"
#include "voxgrad_version.h"

static uint32_t words_crc(const vg_story *story)
{
    uint32_t crc = 0;
    for (int64_t w = 0; w < story->count; w++) {
        const double times[2] = {story->words[w].onset, story->words[w].offset};
        crc = vg_crc32c(crc, story->words[w].text, strlen(story->words[w].text) + 1);
        crc = vg_crc32c(crc, times, sizeof times);
    }
    return crc;
}

vg_status vg_plan_features_inputs(const vg_study *study, const vg_stories *stories, const vg_explained *models, char **inputs)
{
    size_t size;
    FILE *out = open_memstream(inputs, &size);
    if (out == NULL)
        return vg_fail(VG_NO_MEMORY, "no memory for a plan");
    for (int64_t s = 0; s < study->story_count; s++)
        fprintf(out, "words of %s: %lld, checksum %08x\n", study->stories[s].name, (long long)stories->stories[s].count,
                (unsigned)words_crc(&stories->stories[s]));
    for (int64_t m = 0; vg_explains(study) && m < study->model_count; m++)
        fprintf(out, "model %s: checksum %08x\n", study->models[m].name, (unsigned)vg_model_hash(models[m].model));
    vg_status status = vg_files_plan(study, out);
    if (fclose(out) != 0 && status == VG_OK)
        status = vg_fail(VG_NO_MEMORY, "no memory for a plan");
    return status;
}

/* VG_OK where the file's attribute is this text; else a message that says what differs. */
static vg_status compare(const vg_store_file *file, const char *name, const char *wanted)
{
    char *text;
    VG_TRY(vg_store_attribute_text(file, "/provenance", name, &text));
    bool same = strcmp(text, wanted) == 0;
    free(text);
    return same ? VG_OK : vg_fail(VG_INVALID, "another %s", name);
}

static vg_status compare_words(const vg_store_file *file, const char *name, const vg_story *story)
{
    char **texts = NULL;
    double *onsets = NULL, *offsets = NULL;
    int64_t count = 0;
    vg_status status = vg_features_words(file, name, &texts, &onsets, &offsets, &count);
    bool same = status == VG_OK && count == story->count;
    for (int64_t w = 0; same && w < count; w++)
        same = strcmp(texts[w], story->words[w].text) == 0 && onsets[w] == story->words[w].onset && offsets[w] == story->words[w].offset;
    vg_store_names_free(texts, count);
    free(onsets);
    free(offsets);
    VG_TRY(status);
    return same ? VG_OK : vg_fail(VG_INVALID, "other words of story %s", name);
}

static vg_status compare_all(const vg_study *study, const vg_stories *stories, const vg_explained *models, const char *plan,
                             const vg_store_file *file)
{
    char name[300], hash[16];
    VG_TRY(compare(file, "version", VOXGRAD_VERSION));
    VG_TRY(compare(file, "commit", VOXGRAD_COMMIT));
    VG_TRY(compare(file, "plan", plan));
    VG_TRY(compare(file, "config", study->text));
    for (int64_t s = 0; s < study->story_count; s++)
        VG_TRY(compare_words(file, study->stories[s].name, &stories->stories[s]));
    for (int64_t m = 0; vg_explains(study) && m < study->model_count; m++) {
        snprintf(name, sizeof name, "model_%s_crc32c", study->models[m].name);
        snprintf(hash, sizeof hash, "%08x", (unsigned)vg_model_hash(models[m].model));
        VG_TRY(compare(file, name, hash));
    }
    for (int64_t i = 0; i < study->feature_count; i++)
        if (*study->features[i].file != '\0')
            return vg_fail(VG_INVALID, "%s was made elsewhere and may have changed", study->features[i].name);
    return VG_OK;
}

static vg_status look(const vg_study *study, const vg_stories *stories, const vg_explained *models, const char *plan, const char *path)
{
    vg_store_file *file;
    VG_TRY(vg_store_open(path, &file));
    vg_status status = compare_all(study, stories, models, plan, file);
    vg_store_close(file);
    return status;
}

vg_status vg_features_current(vg_comm *comm, const vg_study *study, const vg_stories *stories, const vg_explained *models, const char *plan,
                              const char *path, bool *current)
{
    bool summed = false;
    uint8_t there = vg_comm_rank(comm) == 0 && !study->how.restart && access(path, R_OK) == 0 && !vg_store_unfinished(path);
    *current = false;
    VG_TRY(vg_comm_broadcast(comm, &there, 1, 0));
    if (!there)
        return VG_OK;
    vg_status status = vg_store_verify(comm, path, &summed);
    if (status == VG_OK && !summed)
        return VG_OK;
    if (status == VG_OK && vg_comm_rank(comm) == 0)
        status = look(study, stories, models, plan, path);
    if (status != VG_OK && vg_comm_rank(comm) == 0)
        vg_log(VG_LOG_INFO, "features: %s is there, but: %s; it is made anew", path, vg_message());
    *current = status == VG_OK;
    there = *current;
    VG_TRY(vg_comm_broadcast(comm, &there, 1, 0));
    *current = there != 0;
    return VG_OK;
}
