/* provenance: what determines the numbers goes into the files; where and how fast they were made goes into run.json beside them. */
#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "run.h"
#include "voxgrad_version.h"

/* Name and version of BLAS: its kernels are of the machine that goes on with a file, and stand in the plan. */
static vg_status add_libraries(vg_layout *layout)
{
    const char *blas = vg_device_blas_version();
    size_t name = strcspn(blas, " "), version = blas[name] == ' ' ? 1 + strcspn(blas + name + 1, " ") : 0;
    char *text;
    VG_TRY(vg_format(&text, "%.*s\n%s\n", (int)(name + version), blas, vg_store_library()));
    vg_status status = vg_layout_text(layout, "/provenance", "libraries", text);
    free(text);
    return status;
}

vg_status vg_provenance_add(vg_layout *layout, const vg_study *study, const char *plan, const vg_explained *models)
{
    VG_TRY(vg_layout_text(layout, "/provenance", "version", VOXGRAD_VERSION));
    VG_TRY(vg_layout_text(layout, "/provenance", "commit", VOXGRAD_COMMIT));
    VG_TRY(add_libraries(layout));
    VG_TRY(vg_layout_text(layout, "/provenance", "config", study->text));
    VG_TRY(vg_layout_text(layout, "/provenance", "plan", plan));
    VG_TRY(vg_layout_integer(layout, "/provenance", "seed", study->seed));
    for (int64_t m = 0; models != NULL && m < study->model_count; m++) {
        char name[300], hash[16];
        if (models[m].model == NULL)
            continue;
        snprintf(name, sizeof name, "model_%s_crc32c", study->models[m].name);
        snprintf(hash, sizeof hash, "%08x", (unsigned)vg_model_hash(models[m].model));
        VG_TRY(vg_layout_text(layout, "/provenance", name, hash));
    }
    return VG_OK;
}

vg_status vg_output_path(const vg_study *study, const char *name, char **path)
{
    return vg_format(path, "%s/%s", study->output, name);
}

/* One after another, from the top. */
static vg_status make_folders(char *path)
{
    for (char *at = path + 1;; at++) {
        char end = *at;
        if (end != '/' && end != '\0')
            continue;
        *at = '\0';
        int fault = mkdir(path, 0777) != 0 && errno != EEXIST ? errno : 0;
        struct stat about;
        if (stat(path, &about) == 0 && !S_ISDIR(about.st_mode))
            return vg_fail(VG_INVALID, "%s: is a file, where the output folder should be; choose another with --output", path);
        if (fault != 0)
            return vg_fail(VG_INVALID, "%.1000s: the output folder cannot be made: %s; choose another with --output", path,
                           strerror(fault));
        *at = end;
        if (end == '\0')
            break;
    }
    if (access(path, W_OK | X_OK) != 0)
        return vg_fail(VG_INVALID, "%s: the output folder is not writable: %s; choose another with --output", path, strerror(errno));
    return VG_OK;
}

vg_status vg_folder_make(const char *path, bool above)
{
    char *folder, *slash;
    VG_TRY(vg_format(&folder, "%s", path));
    slash = strrchr(folder, '/');
    if (above && slash != NULL)
        *slash = '\0';
    vg_status status = above && slash == NULL ? VG_OK : make_folders(folder);
    free(folder);
    return status;
}

vg_status vg_output_make(vg_comm *comm, const vg_study *study)
{
    return vg_comm_agree(comm, vg_comm_rank(comm) == 0 ? vg_folder_make(study->output, false) : VG_OK);
}

vg_status vg_study_hold(vg_comm *comm, const vg_study *study, vg_store_lock **lock)
{
    VG_TRY(vg_output_make(comm, study));
    return vg_store_lock_take(comm, study->output, lock);
}

void vg_study_release(vg_store_lock *lock)
{
    vg_store_lock_free(lock);
}

/* Where the surfaces lie on this machine: [left, right], null for none; what a later "voxgrad report" draws the brain by. */
static json_t *describe_surfaces(const vg_study *study)
{
    json_t *list = json_array();
    for (int h = 0; h < 2; h++) {
        char *path = *study->surface[h] != '\0' ? realpath(study->surface[h], NULL) : NULL;
        json_array_append_new(list, path != NULL ? json_string(path) : json_null());
        free(path);
    }
    return list;
}

/* what: "began" or "ended" now */
static vg_status write_note(const vg_study *study, const char *stage, const char *what, json_t *entry)
{
    char *path = NULL, when[32];
    time_t now = time(NULL);
    struct tm utc;
    vg_status status = vg_output_path(study, "run.json", &path);
    if (status != VG_OK)
        return status;
    strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&now, &utc));
    json_object_set_new(entry, what, json_string(when));
    json_t *note = json_load_file(path, 0, NULL);
    if (!json_is_object(note)) {
        json_decref(note);
        note = json_object();
    }
    json_object_set_new(note, "voxgrad", json_string(VOXGRAD_VERSION " (" VOXGRAD_COMMIT ")"));
    json_object_set_new(note, "study", json_string(study->name));
    json_object_set_new(note, "surface", describe_surfaces(study));
    json_object_set(note, stage, entry);
    if (json_dump_file(note, path, JSON_INDENT(2)) != 0)
        status = vg_fail(VG_NO_SPACE, "%s: cannot be written: %s", path, strerror(errno));
    json_decref(note);
    free(path);
    return status;
}

/* The number after `name` in a file of /proc; 0 where there is none. */
static long long find_number(const char *path, const char *name)
{
    char line[256];
    long long number = 0;
    FILE *file = fopen(path, "r");
    while (file != NULL && fgets(line, sizeof line, file) != NULL)
        if (strncmp(line, name, strlen(name)) == 0)
            number = strtoll(line + strlen(name), NULL, 10);
    if (file != NULL)
        fclose(file);
    return number;
}

static double seconds_of(struct timeval time)
{
    return (double)time.tv_sec + 1e-6 * (double)time.tv_usec;
}

/* This rank: where it runs, and what it took since it began: core-seconds, the most memory it held, blocks, what it sent, its file
 * operations. As JSON; a new string. */
static vg_status describe_rank(vg_comm *comm, const vg_device *device, char **text)
{
    char where[512], host[256] = "";
    /* not getrusage's ru_maxrss: that is the process's that started this one, where it held more */
    long long reads = find_number("/proc/self/io", "syscr:"), writes = find_number("/proc/self/io", "syscw:");
    long long peak = 1024 * find_number("/proc/self/status", "VmHWM:");
    struct rusage used;
    vg_comm_traffic traffic = vg_comm_get_traffic(comm);
    gethostname(host, sizeof host - 1);
    snprintf(where, sizeof where, "%s, process %ld, %s", host, (long)getpid(), device->name);
    getrusage(RUSAGE_SELF, &used);
    json_t *entry = json_pack("{s:i, s:s%, s:f, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "rank", vg_comm_rank(comm), "where", where,
                              vg_utf8_valid(where, strlen(where)), "core_seconds", seconds_of(used.ru_utime) + seconds_of(used.ru_stime),
                              "peak_bytes", (json_int_t)peak, "blocks", (json_int_t)traffic.borders, "messages",
                              (json_int_t)traffic.messages, "bytes_sent", (json_int_t)traffic.bytes, "collective_calls",
                              (json_int_t)traffic.collectives, "read_calls", (json_int_t)reads, "write_calls", (json_int_t)writes);
    *text = entry != NULL ? json_dumps(entry, JSON_COMPACT) : NULL;
    json_decref(entry);
    return *text != NULL ? VG_OK : vg_fail(VG_NO_MEMORY, "no memory for a note on this rank");
}

/* Libraries that do not determine the numbers, or are the back end's: a file goes on on others. The rest stand in /provenance. */
static void describe_libraries(const vg_comm *comm, const vg_device *device, char *text, size_t size)
{
    char messages[256];
    vg_comm_library(comm, messages, sizeof messages);
    snprintf(text, size, "%s%s%s", messages, *device->libraries != '\0' ? ", " : "", device->libraries);
}

/* {"ranks": n, "libraries": text, "where": [one object a rank]}; on ranks but 0 NULL. Collective. */
static vg_status describe(vg_comm *comm, const vg_device *device, json_t **entry)
{
    char *mine = NULL;
    void *all = NULL;
    int ranks = vg_comm_ranks(comm);
    size_t *sizes = NULL;
    *entry = NULL;
    vg_status status = VG_NEW(&sizes, ranks, "ranks");
    if (status == VG_OK)
        status = describe_rank(comm, device, &mine);
    VG_AGREE_GO(comm, status);
    VG_GO(vg_comm_gather(comm, mine, strlen(mine), 0, &all, sizes));
    if (vg_comm_rank(comm) == 0) {
        char libraries[400];
        json_t *list = json_array();
        const char *at = all;
        describe_libraries(comm, device, libraries, sizeof libraries);
        for (int r = 0; r < ranks; at += sizes[r++])
            json_array_append_new(list, json_loadb(at, sizes[r], 0, NULL));
        *entry = json_pack("{s:i, s:s, s:o}", "ranks", ranks, "libraries", libraries, "where", list);
    }
done:
    free(mine);
    free(all);
    free(sizes);
    return status;
}

vg_status vg_run_begin(vg_comm *comm, const vg_study *study, const vg_device *device, const char *stage)
{
    json_t *entry;
    VG_TRY(describe(comm, device, &entry));
    vg_status status = entry != NULL ? write_note(study, stage, "began", entry) : VG_OK;
    json_decref(entry);
    return vg_comm_agree(comm, status);
}

vg_status vg_run_note(vg_comm *comm, const vg_study *study, const vg_device *device, const char *stage, double seconds,
                      const char *rate_name, double rate)
{
    json_t *entry;
    vg_status status = VG_OK;
    VG_TRY(describe(comm, device, &entry));
    if (entry != NULL) {
        json_object_set_new(entry, "seconds", json_real(seconds));
        json_object_set_new(entry, rate_name, json_real(rate));
        status = write_note(study, stage, "ended", entry);
    }
    json_decref(entry);
    return vg_comm_agree(comm, status);
}
