/* plan: what a run was decided to be, once, as lines "field: value". Its public lines determine the numbers and stand in /provenance; the
 * journal of an unfinished file holds them with the study's text and what the inputs were, so that only the same work is gone on with, and
 * what differs is named. Numbers that this node's memory or the number of ranks suggested are kept when the work goes on elsewhere. */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "run.h"
#include "voxgrad_version.h"

/* The value of a field of a plan; false where it has none. */
static bool find_field(const char *plan, const char *field, const char **value, int *size)
{
    size_t length = strlen(field);
    vg_lines lines = {.text = plan, .size = strlen(plan)};
    while (vg_lines_next(&lines))
        if (lines.length > length + 1 && memcmp(lines.line, field, length) == 0 && lines.line[length] == ':') {
            *value = lines.line + length + 2;
            *size = (int)(lines.length - length) - 2;
            return true;
        }
    return false;
}

int64_t vg_plan_kept(const vg_study *study, const char *planned, const char *field, int64_t otherwise)
{
    const char *value;
    int size;
    int64_t kept;
    if (planned == NULL || study->memory > 0 || !find_field(planned, field, &value, &size) ||
        !vg_parse_integer(value, (size_t)size, &kept) || kept < 1)
        return otherwise;
    return kept;
}

/* What this machine has, or, where the user accepts another one, what the plan was begun with. */
static const char *hardware(const vg_study *study, const char *planned, const char *field, const char *here, int *size)
{
    const char *value;
    if (planned == NULL || !study->how.accept_hardware || !find_field(planned, field, &value, size)) {
        *size = (int)strlen(here);
        return here;
    }
    if ((size_t)*size != strlen(here) || strncmp(value, here, (size_t)*size) != 0)
        vg_log(VG_LOG_WARNING, "begun with %s %.*s, goes on with %s: the last digits of what is done from now on may differ", field, *size,
               value, here);
    return value;
}

vg_status vg_plan_text(const vg_study *study, const vg_device *device, const char *planned, const char *stage, const char *choices,
                       char **plan)
{
    char kind[sizeof device->name];
    int kind_size, core_size;
    const char *type = strchr(device->name, '('); /* "cpu (Haswell kernels, 2 threads)": cpu; "cuda:1 (NAME, sm_90)": cuda (NAME, sm_90) */
    bool numbered = strchr(device->name, ':') != NULL;
    snprintf(kind, sizeof kind, "%.*s%s%s", (int)strcspn(device->name, ": ("), device->name, numbered && type != NULL ? " " : "",
             numbered && type != NULL ? type : "");
    const char *shown = hardware(study, planned, "device", kind, &kind_size);
    const char *core = hardware(study, planned, "blas", vg_device_blas_core(), &core_size);
    return vg_format(plan, "stage: %s\ndevice: %.*s\nblas: %.*s\n%s", stage, kind_size, shown, core_size, core, choices);
}

/* Every line of the study, so that the first one that differs is named. */
static vg_status whole_text(const vg_study *study, const char *plan, const char *inputs, char **whole)
{
    char memory[32] = "auto", *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    if (out == NULL)
        return vg_fail(VG_NO_MEMORY, "no memory for a plan");
    if (study->memory > 0)
        snprintf(memory, sizeof memory, "%lld", (long long)study->memory);
    fprintf(out, "%sversion: %s (%s)\nmemory: %s\n", plan, VOXGRAD_VERSION, VOXGRAD_COMMIT, memory);
    vg_lines lines = {.text = study->text, .size = strlen(study->text)};
    while (vg_lines_next(&lines))
        fprintf(out, "study line %lld: %.*s\n", (long long)lines.number, (int)lines.length, lines.line);
    fprintf(out, "%s", inputs);
    if (fclose(out) != 0) {
        free(text);
        return vg_fail(VG_NO_MEMORY, "no memory for a plan");
    }
    *whole = text;
    return VG_OK;
}

vg_status vg_plan_begin(vg_comm *comm, const vg_study *study, const char *plan, const char *inputs, vg_store_plan *store_plan,
                        const vg_layout *layout, vg_store **store)
{
    char *whole = NULL;
    vg_status status;
    VG_GO(vg_comm_agree(comm, whole_text(study, plan, inputs, &whole)));
    store_plan->plan = whole;
    store_plan->overwrite = study->how.restart;
    store_plan->sparse = study->how.parts > 0 || study->how.only != NULL;
    status = vg_store_begin(comm, store_plan, layout, store);
done:
    free(whole);
    store_plan->plan = NULL;
    return status;
}

vg_status vg_plan_file(FILE *out, const char *field, const char *path)
{
    struct stat about;
    const char *colon = strstr(path, ".h5:");
    char *file;
    VG_TRY(vg_format(&file, "%.*s", colon != NULL ? (int)(colon - path) + 3 : (int)strlen(path), path));
    bool there = stat(file, &about) == 0;
    free(file);
    if (there)
        fprintf(out, "%s: %lld bytes, changed at %lld\n", field, (long long)about.st_size, (long long)about.st_mtime);
    return VG_OK;
}

/* Of a file of our own by its checksums, whatever its name and age; else by its size and age. */
static vg_status plan_features(FILE *out, const char *features)
{
    char *sum, *text;
    size_t size;
    VG_TRY(vg_format(&sum, "%s.sum", features));
    bool summed = access(sum, R_OK) == 0;
    vg_status status = VG_OK;
    if (summed)
        status = vg_text_read(sum, &text, &size);
    free(sum);
    if (!summed)
        return vg_plan_file(out, "features", features);
    VG_TRY(status);
    fprintf(out, "features: checksum %08x\n", (unsigned)vg_crc32c(0, text, size));
    free(text);
    return VG_OK;
}

/* One run of one subject: its files, and the nuisance's that go with it. */
static vg_status plan_run(FILE *out, const vg_study *study, const vg_study_subject *subject, const vg_study_run *run)
{
    char *field, *path;
    VG_TRY(vg_format(&field, "responses of %s to %s", subject->name, run->story_name));
    vg_status status = VG_OK;
    for (int64_t f = 0; status == VG_OK && f < run->file_count; f++)
        status = vg_plan_file(out, field, run->files[f]);
    free(field);
    for (int64_t f = 0; status == VG_OK && f < study->nuisance.file_count; f++) {
        VG_TRY(vg_nuisance_path(study->nuisance.files[f], subject->name, run->story_name, &path));
        status = vg_plan_file(out, study->nuisance.files[f], path);
        free(path);
    }
    return status;
}

/* Masks, atlas and spheres. */
static vg_status plan_voxels(FILE *out, const vg_study *study)
{
    VG_TRY(vg_plan_file(out, "responses.mask", study->responses.mask));
    for (int64_t i = 0; i < study->responses.subject_count; i++)
        VG_TRY(vg_plan_file(out, "mask", study->responses.subjects[i].mask));
    for (int64_t f = 0; f < study->atlas.label_count; f++)
        VG_TRY(vg_plan_file(out, "atlas.labels", study->atlas.labels[f]));
    if (study->atlas.columns_file != NULL)
        VG_TRY(vg_plan_file(out, "atlas.columns", study->atlas.columns_file));
    VG_TRY(vg_plan_file(out, "surface.left_sphere", study->sphere[0]));
    VG_TRY(vg_plan_file(out, "surface.right_sphere", study->sphere[1]));
    return vg_plan_file(out, "atlas.table", study->atlas.table);
}

vg_status vg_plan_fit_inputs(const vg_study *study, const char *features, char **inputs)
{
    size_t size;
    FILE *out = open_memstream(inputs, &size);
    if (out == NULL)
        return vg_fail(VG_NO_MEMORY, "no memory for a plan");
    vg_status status = plan_features(out, features);
    for (int64_t i = 0; status == VG_OK && i < study->responses.subject_count; i++)
        for (int64_t r = 0; status == VG_OK && r < study->responses.subjects[i].run_count; r++)
            status = plan_run(out, study, &study->responses.subjects[i], &study->responses.subjects[i].runs[r]);
    if (status == VG_OK)
        status = plan_voxels(out, study);
    if (fclose(out) != 0 && status == VG_OK)
        status = vg_fail(VG_NO_MEMORY, "no memory for a plan");
    return status;
}
