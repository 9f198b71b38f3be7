/* fit_subjects: the listeners of a fit: their files, whether these fit the stories, and whether there is anything to fit. */
#include <stdlib.h>
#include <string.h>

#include "fit.h"

vg_status vg_run_open(const vg_study *study, const vg_study_subject *subject, int64_t run, vg_responses **responses)
{
    const vg_study_run *at = &subject->runs[run];
    const char *mask = *subject->mask != '\0' ? subject->mask : study->responses.mask;
    VG_TRY(vg_responses_open((const char *const *)at->files, at->file_count, *mask != '\0' ? mask : NULL, responses));
    int64_t last = vg_responses_voxels(*responses) - 1;
    if (at->sided && last >= 0 &&
        (vg_responses_voxel(*responses, 0).hemisphere == 'R' || vg_responses_voxel(*responses, last).hemisphere == 'L')) {
        vg_responses_close(*responses);
        *responses = NULL;
        return vg_fail(VG_INVALID, "%s, %s: lh is of the right hemisphere, or rh of the left (their metadata, or their names, say so)",
                       at->files[0], at->files[1]);
    }
    return VG_OK;
}

/* Runs of one story are repeats, and must be equally long. */
static vg_status find_parts(fit_subject *subject)
{
    const vg_study_subject *listed = subject->study;
    VG_TRY(VG_NEW(&subject->parts, listed->run_count, "runs"));
    for (int64_t r = 0; r < listed->run_count; r++) {
        int64_t p = 0, rows = vg_responses_rows(subject->runs[r]);
        while (p < subject->part_count && subject->parts[p].story != listed->runs[r].story)
            p++;
        fit_part *part = &subject->parts[p];
        if (p == subject->part_count) {
            subject->part_count++;
            *part = (fit_part){.story = listed->runs[r].story, .rows = rows};
            VG_TRY(VG_NEW(&part->runs, listed->run_count, "runs"));
        } else if (rows != part->rows) {
            return vg_fail(VG_INVALID, "%s: has %lld rows; the first repeat of story %s has %lld", listed->runs[r].path, (long long)rows,
                           listed->runs[r].story_name, (long long)part->rows);
        }
        part->runs[part->count++] = r;
    }
    return VG_OK;
}

static vg_status open_runs(fit_job *job, fit_subject *subject)
{
    const vg_study_subject *listed = subject->study;
    int64_t trimmed = job->study->alignment.trim[0] + job->study->alignment.trim[1];
    VG_TRY(VG_NEW(&subject->runs, listed->run_count, "runs"));
    for (int64_t r = 0; r < listed->run_count; r++) {
        const char *path = listed->runs[r].path;
        VG_TRY(vg_run_open(job->study, listed, r, &subject->runs[r]));
        int64_t rows = vg_responses_rows(subject->runs[r]), voxels = vg_responses_voxels(subject->runs[r]);
        if (r > 0 && voxels != subject->voxels)
            return vg_fail(VG_INVALID, "%s: has %lld columns; the first run of this subject has %lld", path, (long long)voxels,
                           (long long)subject->voxels);
        if (rows <= trimmed)
            return vg_fail(VG_INVALID, "%s: has %lld rows, and alignment.trim drops %lld", path, (long long)rows, (long long)trimmed);
        for (int64_t d = 0; strcmp(job->study->alignment.hrf, "none") == 0 && d < job->study->alignment.delay_count; d++)
            if (job->study->alignment.delays[d] >= rows)
                return vg_fail(VG_INVALID, "%s: has %lld rows, and alignment.delays has one of %lld", path, (long long)rows,
                               (long long)job->study->alignment.delays[d]);
        subject->voxels = voxels;
    }
    VG_TRY(find_parts(subject));
    for (int64_t p = 0; p < subject->part_count; p++)
        subject->rows += subject->parts[p].rows - trimmed;
    return VG_OK;
}

/* A scan may end a little before its story; when a tenth of the rows or more is not there, story and run are hardly a pair. */
static vg_status check_first(const fit_job *job, const char *path, const char *story, int64_t rows, int64_t needed)
{
    if (rows >= needed)
        return VG_OK;
    if (rows * 10 <= needed * 9)
        return vg_fail(VG_INVALID, "%s: has %lld rows; the words of story %s go on to row %lld (responses.start, responses.tr)", path,
                       (long long)rows, story, (long long)needed);
    if (vg_comm_rank(job->comm) == 0)
        vg_log(VG_LOG_WARNING, "%s: has %lld rows; the words of story %s go on to row %lld, so the last of them predict nothing", path,
               (long long)rows, story, (long long)needed);
    return VG_OK;
}

/* All subjects must have the same number of rows for a story, and about as many as its words need. */
static vg_status check_rows(const fit_job *job)
{
    for (int64_t s = 0; s < job->study->story_count; s++) {
        double *onsets = NULL, *offsets = NULL;
        char **texts = NULL;
        int64_t words = 0, needed = 0;
        const char *first = NULL;
        int64_t expected = 0;
        vg_status status = vg_features_words(job->features, job->study->stories[s].name, &texts, &onsets, &offsets, &words);
        if (status == VG_OK)
            needed = vg_rows_needed(onsets, words, job->study->responses.start, job->study->responses.tr);
        for (int64_t i = 0; status == VG_OK && i < job->subject_count; i++) {
            const fit_subject *subject = &job->subjects[i];
            for (int64_t r = 0; status == VG_OK && r < subject->study->run_count; r++) {
                if (subject->study->runs[r].story != s)
                    continue;
                int64_t rows = vg_responses_rows(subject->runs[r]);
                if (first == NULL) {
                    first = subject->study->name;
                    expected = rows;
                    status = check_first(job, subject->study->runs[r].path, job->study->stories[s].name, rows, needed);
                } else if (rows != expected) {
                    status = vg_fail(VG_INVALID, "%s: has %lld rows; subject %s has %lld for story %s", subject->study->runs[r].path,
                                     (long long)rows, first, (long long)expected, job->study->stories[s].name);
                }
            }
        }
        vg_store_names_free(texts, words);
        free(onsets);
        free(offsets);
        VG_TRY(status);
    }
    return VG_OK;
}

/* Looks at tiles until one has a voxel that varies in every run. */
static vg_status find_usable(fit_subject *subject)
{
    enum { TILE = 4096 };
    for (int64_t first = 0; first < subject->voxels && !subject->usable; first += TILE) {
        int64_t count = subject->voxels - first < TILE ? subject->voxels - first : TILE;
        uint8_t *states;
        VG_TRY(VG_NEW(&states, count, "voxel states"));
        vg_status status = VG_OK;
        for (int64_t r = 0; status == VG_OK && r < subject->study->run_count; r++) {
            vg_matrix run = {.rows = vg_responses_rows(subject->runs[r]), .columns = count, .ld = count};
            status = VG_NEW(&run.data, run.rows * count, "responses");
            if (status == VG_OK)
                status = vg_responses_read(subject->runs[r], first, run);
            if (status == VG_OK)
                vg_voxels_judge(run, states);
            free(run.data);
        }
        subject->usable = vg_voxels_count(states, count).usable > 0;
        free(states);
        VG_TRY(status);
    }
    return VG_OK;
}

void vg_fit_close_subject(fit_subject *subject)
{
    for (int64_t r = 0; subject->runs != NULL && r < subject->study->run_count; r++)
        vg_responses_close(subject->runs[r]);
    vg_atlas_free(&subject->atlas);
    vg_regions_free(&subject->regions);
    for (int64_t p = 0; subject->parts != NULL && p < subject->part_count; p++)
        free(subject->parts[p].runs);
    free(subject->parts);
    free(subject->runs);
    free(subject->score);
    *subject = (fit_subject){0};
}

/* Subjects are looked at by one rank each; all learn what it found. */
vg_status vg_fit_drop_unusable(fit_job *job)
{
    int rank = vg_comm_rank(job->comm), ranks = vg_comm_ranks(job->comm);
    vg_status status = VG_OK;
    int64_t kept = 0;
    for (int64_t i = rank; status == VG_OK && i < job->subject_count; i += ranks)
        status = find_usable(&job->subjects[i]);
    VG_AGREE(job->comm, status);
    for (int64_t i = 0; i < job->subject_count; i++) {
        uint8_t usable = job->subjects[i].usable;
        VG_TRY(vg_comm_broadcast(job->comm, &usable, 1, (int)(i % ranks)));
        job->subjects[i].usable = usable != 0;
    }
    bool skip = strcmp(job->study->responses.on_bad_subject, "skip") == 0;
    for (int64_t i = 0; i < job->subject_count; i++) {
        fit_subject *subject = &job->subjects[i];
        const char *name = subject->study->name, *path = subject->study->runs[0].path;
        if (subject->usable) {
            job->subjects[kept++] = *subject;
            continue;
        }
        if (!skip)
            return vg_fail(VG_INVALID,
                           "subject %s has no usable voxel: every column of %s is constant or not finite; mend it, take the subject out, "
                           "or set on_bad_subject: skip",
                           name, path);
        if (rank == 0)
            vg_log(VG_LOG_WARNING, "subject %s has no usable voxel (every column of %s is constant or not finite): skipped", name, path);
        vg_fit_close_subject(subject);
    }
    for (int64_t i = kept; i < job->subject_count; i++)
        job->subjects[i] = (fit_subject){0};
    job->subject_count = kept;
    return kept > 0 ? VG_OK : vg_fail(VG_INVALID, "no subject has a usable voxel");
}

/* Only files that voxgrad simulate wrote carry the attribute. Before the runs are opened: HDF5 wants one way of opening a file at a time.
 */
static vg_status find_simulated(fit_job *job)
{
    const vg_study *study = job->study;
    for (int64_t i = 0; i < study->responses.subject_count; i++)
        for (int64_t r = 0; r < study->responses.subjects[i].run_count; r++) {
            const char *path = study->responses.subjects[i].runs[r].path, *colon = strstr(path, ".h5:");
            if (colon == NULL)
                continue;
            char *file_path;
            vg_store_file *file;
            VG_TRY(vg_format(&file_path, "%.*s", (int)(colon - path + 3), path));
            vg_status status = vg_store_open(file_path, &file);
            free(file_path);
            VG_TRY(status);
            job->simulated |= vg_store_has_attribute(file, colon + 4, "simulated");
            vg_store_close(file);
        }
    return VG_OK;
}

vg_status vg_fit_open_subjects(fit_job *job)
{
    const vg_study *study = job->study;
    VG_TRY(find_simulated(job));
    VG_TRY(VG_NEW(&job->subjects, study->responses.subject_count, "subjects"));
    for (int64_t i = 0; i < study->responses.subject_count; i++) {
        job->subjects[i].study = &study->responses.subjects[i];
        job->subject_count++;
        VG_TRY(open_runs(job, &job->subjects[i]));
    }
    return check_rows(job);
}
