/* fit_group: maps over subjects, the mean of a voxel's finite scores and its standard error with n - 1. Ranks split subjects and voxels, so
 * that the sums over subjects go through vg_comm: every rank brings its tiles, from GPU to GPU where there are some, and they are added in
 * the order of subjects; the sums do not know how many ranks there were. Tiles of all subjects have the same borders (make_tiles in fit.c):
 * a place is one tile of each. */
#include <math.h>
#include <stdlib.h>

#include "fit.h"

/* Scores (count) of a subject that are there, and 1 for each: part (2, count). */
static void put_scores(const float *scores, int64_t count, double *part)
{
    for (int64_t v = 0; v < count; v++) {
        bool there = isfinite(scores[v]);
        part[v] = there ? (double)scores[v] : 0.0;
        part[count + v] = there;
    }
}

/* Their squares about the mean: part (count). */
static void put_squares(const float *scores, const double *mean, int64_t count, double *part)
{
    for (int64_t v = 0; v < count; v++) {
        double away = (double)scores[v] - mean[v];
        part[v] = isfinite(scores[v]) ? away * away : 0.0;
    }
}

/* sum (length) over all subjects, on every rank, of parts (held, length): of those subjects that this rank has. Collective. */
static vg_status sum_subjects(const fit_job *job, int64_t held, const int64_t *subjects, int64_t length, const double *parts, double *sum)
{
    vg_device *d = job->device;
    double *parts_there = NULL, *sum_there = NULL;
    vg_status status = VG_DEVICE_NEW(d, &parts_there, held * length);
    if (status == VG_OK)
        status = VG_DEVICE_NEW(d, &sum_there, length);
    if (status == VG_OK && held > 0)
        status = d->ops->up(d, parts_there, parts, (size_t)(held * length) * sizeof *parts);
    VG_AGREE_GO(job->comm, status);
    VG_GO(vg_comm_device_ordered_sum(job->comm, job->subject_count, length, held, subjects, parts_there, sum_there));
    status = vg_comm_agree(job->comm, d->ops->down(d, sum, sum_there, (size_t)length * sizeof *sum));
done:
    d->ops->free(d, parts_there);
    d->ops->free(d, sum_there);
    return status;
}

/* The subjects whose tile of this place is this rank's: subjects (all of them at most), how many. */
static int64_t find_mine(const fit_job *job, int64_t places, int64_t place, int64_t *subjects)
{
    int64_t held = 0;
    for (int64_t i = 0; i < job->subject_count; i++)
        if (job->owner[i * places + place] == vg_comm_rank(job->comm))
            subjects[held++] = i;
    return held;
}

/* mean and sem (count) of a place, on every rank. Collective. */
static vg_status summarize_place(const fit_job *job, float *const *scores, int64_t place, float *mean, float *sem)
{
    int64_t places = job->tile_count / job->subject_count, count = job->tiles[place].count, held = 0, *subjects;
    double *parts = NULL, *sum = NULL;
    vg_status status = VG_NEW(&subjects, job->subject_count, "subjects");
    if (status == VG_OK) {
        held = find_mine(job, places, place, subjects);
        status = VG_NEW(&parts, held * 2 * count, "group maps");
    }
    if (status == VG_OK)
        status = VG_NEW(&sum, 4 * count, "group maps");
    VG_AGREE_GO(job->comm, status);
    double *n = sum + count, *middle = n + count, *squares = middle + count;
    for (int64_t i = 0; i < held; i++)
        put_scores(scores[subjects[i] * places + place], count, parts + i * 2 * count);
    VG_GO(sum_subjects(job, held, subjects, 2 * count, parts, sum));
    for (int64_t v = 0; v < count; v++)
        middle[v] = n[v] > 0 ? sum[v] / n[v] : (double)NAN;
    for (int64_t i = 0; i < held; i++)
        put_squares(scores[subjects[i] * places + place], middle, count, parts + i * count);
    VG_GO(sum_subjects(job, held, subjects, count, parts, squares));
    for (int64_t v = 0; v < count; v++) {
        mean[v] = (float)middle[v];
        sem[v] = n[v] > 1 ? (float)sqrt(squares[v] / (n[v] - 1) / n[v]) : NAN;
    }
done:
    free(subjects);
    free(parts);
    free(sum);
    return status;
}

vg_status vg_fit_group(const fit_job *job, float *const *scores, float *mean, float *sem)
{
    int64_t places = job->tile_count / job->subject_count;
    for (int64_t place = 0; place < places; place++)
        VG_TRY(summarize_place(job, scores, place, mean + job->tiles[place].first, sem + job->tiles[place].first));
    return VG_OK;
}
