/* statistics: how surely. What a fit hands over once scores are there: means over subjects by region (statistics.c) and the null of the
 * shifted stimulus (null.c, null_pass.c). Known to study alone. */
#ifndef VOXGRAD_STUDY_STATISTICS_H
#define VOXGRAD_STUDY_STATISTICS_H

#include "fit.h"

/* Numbers derived from one space's map of scores (all subjects' voxels, one subject after another), which the null treats like the voxels
 * themselves: group means of `group` voxels (0 where the subjects' voxels differ), the region means of every subject, and the region means
 * over subjects. */
typedef struct {
    int64_t group, rows, over; /* how many of each: voxels of one subject, job->region_rows, regions over subjects */
    int64_t total;
} fit_derived;

/* Regions over subjects are those of one name. */
typedef struct {
    int64_t count;
    const char **names; /* borrowed from the subjects' regions */
    int64_t *of;        /* (job->region_rows) the region that a subject's region belongs to */
    int64_t table;
} fit_over;

/* Consecutive tiles of subjects of one group, fitted to a shift side by side: few columns a subject would leave a fit idle. */
typedef struct {
    int64_t group, first, end, columns; /* tiles first .. end - 1 of job->tiles */
} fit_pack;

typedef struct {
    int64_t shift_count, *shifts;
    int64_t batch; /* shifts at a time: the responses are read once for all of them */
    fit_pack *packs;
    int64_t pack_count;
    int64_t *p, *group_p, *group_q, *group_largest_p; /* datasets: (space * subjects + subject), (space) */
    int64_t shift_table, largest_table;
    int64_t exceeded_table, space_largest_table; /* of each space: for going on, and for readers */
    double *largest, *region_largest;            /* (shift_count) over group maps, and over regions, of all spaces this rank summarised */
    /* of the chunk at hand */
    float *observed;          /* (space of the chunk, all voxels) */
    double *observed_derived; /* (space of the chunk, derived) */
    int32_t *exceeded;        /* (space of the chunk, all voxels + derived): shifts whose number was no smaller than the observed one */
    double *space_largest;    /* (space of the chunk, 2, shift_count): largest and region_largest of one; -inf where not done here */
    uint8_t *done;            /* (shift_count) by this rank, or by a run before this one */
    double saved;             /* when this rank's share is to be written beside the file next, s */
    float *maps;              /* (batch, space of the chunk, all voxels) */
    double *derived;          /* (space of the chunk, derived) */
} fit_null;

typedef struct fit_statistics {
    int64_t voxels;  /* of all subjects */
    int64_t *offset; /* (subjects) of a subject's voxels among all subjects' */
    fit_derived derived;
    fit_over over;
    double **group;                        /* (space) -> (derived.group), on the rank that summarised it, for the last p */
    double *over_mean, *over_sem, *over_p; /* (space, over) */
    int64_t *over_n;
    fit_null *null; /* NULL: no shifts */
} fit_statistics;

/* ---- for fit.c and fit_summary.c -------------------------------------------------------------------------------------------- */

/* After the tiles are cut; before the layout is made; what plan.blocks and plan.regions need. Not collective. */
vg_status vg_statistics_prepare(fit_job *job);
vg_status vg_statistics_layout(fit_job *job);
int64_t vg_statistics_blocks(const fit_job *job);
int64_t vg_statistics_regions(const fit_job *job);
void vg_statistics_free(fit_job *job);

/* On the rank that summarises a space: maps of all subjects, one after another. Its writes belong to the summary's block. */
vg_status vg_statistics_space(fit_job *job, int64_t in_chunk, int64_t space, const float *maps);

/* After the last chunk: what needs all spaces. Collective. */
vg_status vg_statistics_finish(fit_job *job);

/* ---- the null ------------------------------------------------------------------------------------------------------------------ */

/* Bytes of the null beside a chunk's fits; voxel fits of all ranks, and of this one. */
double vg_null_bytes(const fit_job *job);
int64_t vg_null_fits(const fit_job *job);
int64_t vg_null_steps(const fit_job *job);

/* The chunk at hand, whose scores and designs are there, against every shift. Collective. */
vg_status vg_null_chunk(fit_job *job, int64_t first, int64_t count);

/* Of a space that was whole when the work was resumed: what later steps need of it. */
vg_status vg_statistics_recall(fit_job *job, int64_t space, const float *maps);

/* p of a subject's region into its record of /regions, where there is a null. */
vg_status vg_null_put_region(const fit_job *job, int64_t in_chunk, int64_t row, void *record);

/* For statistics.c. */
vg_status vg_null_prepare(fit_job *job);
vg_status vg_null_layout(fit_job *job);
vg_status vg_null_write(fit_job *job, int64_t in_chunk, int64_t space);
vg_status vg_null_finish(fit_job *job);
vg_status vg_null_write_shifts(fit_job *job);
vg_status vg_null_write_largest(fit_job *job, int64_t space);
void vg_null_free(fit_null *null);
vg_status vg_null_recall(fit_job *job, int64_t space);
vg_status vg_null_join(fit_job *job, const double *largest);

/* ---- the null's own notes, beside the file (null_save.c) ----------------------------------------------------------------------- */

/* load: what runs before this one noted of the chunk at hand; rank 0 takes it all, every rank learns which shifts are done. Collective.
 * save: this rank's share, when the last one is long enough ago or it must be now. forget: removes all notes; rank 0. */
vg_status vg_null_load(fit_job *job, int64_t first, int64_t count);
vg_status vg_null_save(fit_job *job, int64_t first, int64_t count, bool now);
void vg_null_forget(const fit_job *job);

/* derived (job->statistics->derived.total) of one map. */
void vg_statistics_derive(const fit_job *job, const float *map, double *derived);

#endif
