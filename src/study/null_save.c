/* null_save: the null of one chunk of spaces takes long and is whole only at its end, so each rank notes its share now and then in a file
 * of its own beside results.h5.part, RESULTS.h5.part.null-RANK: which shifts it has done, their counts and largest numbers. Counts are
 * whole numbers that add up in any order: a run that goes on takes the notes of any number of ranks. A note that is torn, of other work, or
 * of shifts that another note has, is left alone: those shifts are done again. */
#include <dirent.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "statistics.h"

static const double LEAST_SECONDS = 10, LEAST_RATIO = 20; /* between notes; and times what writing one takes */

/* A note: this head, done (shifts), padding to 8, exceeded (count, numbers), space_largest (count, 2, shifts), CRC32C of all that. */
typedef struct {
    char magic[8];
    int64_t first, count, numbers, shifts;
    uint32_t work, unused;
} head;

static head head_of(const fit_job *job, int64_t first, int64_t count)
{
    const fit_statistics *s = job->statistics;
    return (head){.magic = "vgnull1",
                  .first = first,
                  .count = count,
                  .numbers = s->voxels + s->derived.total,
                  .shifts = s->null->shift_count,
                  .work = vg_store_identity(job->store)};
}

static size_t done_bytes(const head *h)
{
    return ((size_t)h->shifts + 7) / 8 * 8;
}

static size_t note_bytes(const head *h)
{
    size_t counts = ((size_t)(h->count * h->numbers) * sizeof(int32_t) + 7) / 8 * 8;
    return sizeof *h + done_bytes(h) + counts + (size_t)(h->count * 2 * h->shifts) * sizeof(double) + 8;
}

/* Where the parts of a note lie. */
static void parts_of(const head *h, uint8_t *note, uint8_t **done, int32_t **exceeded, double **largest, uint32_t **crc)
{
    *done = note + sizeof *h;
    *exceeded = (int32_t *)(void *)(*done + done_bytes(h));
    *crc = (uint32_t *)(void *)(note + note_bytes(h) - 8);
    *largest = (double *)(void *)(note + note_bytes(h) - 8) - h->count * 2 * h->shifts;
}

vg_status vg_null_save(fit_job *job, int64_t first, int64_t count, bool now)
{
    fit_null *null = job->statistics->null;
    const head h = head_of(job, first, count);
    uint8_t *note, *done;
    int32_t *exceeded;
    double *largest, began = vg_seconds();
    uint32_t *crc;
    char *path = NULL;
    if (!now && began < null->saved)
        return VG_OK;
    VG_TRY(VG_NEW(&note, (int64_t)note_bytes(&h), "notes of the null"));
    parts_of(&h, note, &done, &exceeded, &largest, &crc);
    memcpy(note, &h, sizeof h);
    memcpy(done, null->done, (size_t)h.shifts);
    memcpy(exceeded, null->exceeded, (size_t)(count * h.numbers) * sizeof *exceeded);
    memcpy(largest, null->space_largest, (size_t)(count * 2 * h.shifts) * sizeof *largest);
    *crc = vg_crc32c(0, note, note_bytes(&h) - 8);
    vg_status status = vg_format(&path, "%s.part.null-%d", vg_store_name(job->store), vg_comm_rank(job->comm));
    if (status == VG_OK)
        status = vg_store_replace(path, note, note_bytes(&h));
    free(path);
    free(note);
    double took = vg_seconds() - began;
    null->saved = vg_seconds() + (took * LEAST_RATIO > LEAST_SECONDS ? took * LEAST_RATIO : LEAST_SECONDS);
    return status;
}

/* ---- reading ------------------------------------------------------------------------------------------------------------------- */

typedef void visitor(fit_job *job, const char *path, const head *wanted);

/* Every file RESULTS.h5.part.null-*, in the order the folder gives them. */
static vg_status for_notes(const fit_job *job, visitor *visit, const head *wanted)
{
    const char *name = vg_store_name(job->store), *slash = strrchr(name, '/');
    char *folder, *prefix = NULL;
    VG_TRY(vg_format(&folder, "%.*s", slash != NULL ? (int)(slash - name) : 1, slash != NULL ? name : "."));
    vg_status status = vg_format(&prefix, "%s.part.null-", slash != NULL ? slash + 1 : name);
    DIR *files = status == VG_OK ? opendir(folder) : NULL;
    struct dirent *entry;
    while (files != NULL && (entry = readdir(files)) != NULL) {
        char *path;
        if (strncmp(entry->d_name, prefix, strlen(prefix)) != 0 || vg_format(&path, "%s/%s", folder, entry->d_name) != VG_OK)
            continue;
        visit((fit_job *)(uintptr_t)job, path, wanted);
        free(path);
    }
    if (files != NULL)
        closedir(files);
    free(folder);
    free(prefix);
    return status;
}

/* Adds one note to what rank 0 knows. */
static void take_note(fit_job *job, const char *path, const head *wanted)
{
    fit_null *null = job->statistics->null;
    vg_file file;
    uint8_t *note, *done;
    int32_t *exceeded;
    double *largest;
    uint32_t *crc;
    size_t size = note_bytes(wanted);
    if (vg_file_open(path, &file) != VG_OK)
        return;
    bool good = file.size == size && memcmp(file.data, wanted, sizeof *wanted) == 0;
    note = (uint8_t *)(uintptr_t)file.data;
    if (good) {
        parts_of(wanted, note, &done, &exceeded, &largest, &crc);
        good = *crc == vg_crc32c(0, note, size - 8);
    }
    for (int64_t i = 0; good && i < wanted->shifts; i++)
        good = !(done[i] && null->done[i]);
    for (int64_t i = 0; good && i < wanted->count * wanted->numbers; i++)
        null->exceeded[i] += exceeded[i];
    for (int64_t i = 0; good && i < wanted->count * 2 * wanted->shifts; i++)
        if (done[i % wanted->shifts])
            null->space_largest[i] = largest[i];
    for (int64_t i = 0; good && i < wanted->shifts; i++)
        null->done[i] |= done[i];
    vg_file_close(&file);
}

/* All notes; where work goes on (`wanted`) but rank 0's, which has them all. */
static void remove_note(fit_job *job, const char *path, const head *wanted)
{
    (void)job;
    size_t length = strlen(path);
    if (wanted == NULL || length < 7 || strcmp(path + length - 7, ".null-0") != 0)
        unlink(path);
}

vg_status vg_null_load(fit_job *job, int64_t first, int64_t count)
{
    fit_null *null = job->statistics->null;
    const head wanted = head_of(job, first, count);
    int64_t before = 0;
    vg_status status = VG_OK;
    memset(null->exceeded, 0, (size_t)(count * wanted.numbers) * sizeof *null->exceeded);
    memset(null->done, 0, (size_t)wanted.shifts);
    for (int64_t i = 0; i < count * 2 * wanted.shifts; i++)
        null->space_largest[i] = -(double)INFINITY;
    null->saved = vg_seconds() + LEAST_SECONDS;
    if (vg_comm_rank(job->comm) == 0) {
        status = for_notes(job, take_note, &wanted);
        for (int64_t i = 0; i < wanted.shifts; i++)
            before += null->done[i];
    }
    VG_AGREE(job->comm, status);
    VG_TRY(vg_comm_broadcast(job->comm, null->done, (size_t)wanted.shifts, 0));
    if (vg_comm_rank(job->comm) == 0 && before > 0) {
        vg_log(VG_LOG_INFO, "null: going on from %lld of %lld shifts", (long long)before, (long long)wanted.shifts);
        status = vg_null_save(job, first, count, true);
        if (status == VG_OK)
            status = for_notes(job, remove_note, &wanted);
    }
    return vg_comm_agree(job->comm, status);
}

void vg_null_forget(const fit_job *job)
{
    if (job->statistics->null != NULL)
        for_notes(job, remove_note, NULL);
}
