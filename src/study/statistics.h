/* statistics: how surely. What a fit hands over once scores are there: means over subjects by region (statistics.c) and the null of the
 * shifted stimulus (null.c, null_pass.c). Known to study alone. */
#ifndef VOXGRAD_STUDY_STATISTICS_H
#define VOXGRAD_STUDY_STATISTICS_H

#include "fit.h"

#define VG_INTERVAL 0.95 /* of subjects' resampled means and ceilings */

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
    double *largest, *region_largest; /* (shift_count) over group maps, and over regions; -inf where another rank has done the shift */
    /* of the chunk at hand */
    float *observed;          /* (space of the chunk, all voxels) */
    double *observed_derived; /* (space of the chunk, derived) */
    int32_t *exceeded;        /* (space of the chunk, all voxels + derived): shifts whose number was no smaller than the observed one */
    float *maps;              /* (batch, space of the chunk, all voxels) */
    double *derived;          /* (space of the chunk, derived) */
    int64_t *sum;             /* (space of the chunk, all voxels + derived): of scores over this rank's shifts, in 2^-40 */
} fit_null;

typedef struct fit_statistics {
    int64_t voxels;  /* of all subjects */
    int64_t *offset; /* (subjects) of a subject's voxels among all subjects' */
    fit_derived derived;
    fit_over over;
    double **group;    /* (space) -> (derived.total), on the rank that summarised it, for the last p */
    double *over_p;    /* (space, over), there too */
    double *over_null; /* the same: means over shifts */
    double *plain;     /* (2, space, over), there too: mean score and its standard error, where unique variance is tested */
    double *rows;      /* (space, derived.rows) region means of every subject: of what this rank summarised, at the end of all */
    fit_null *null;    /* NULL: no shifts */
    struct fit_ceilings *ceilings; /* NULL: none; ceilings.c */
    struct fit_choices *choices;   /* choices.h */
    struct fit_profile *profile;   /* NULL: none; profile.c */
} fit_statistics;

/* One region over subjects: mean, its standard error, and a bootstrap interval over listeners, which is no test of chance. */
typedef struct {
    vg_summary summary;
    double interval[2];
} fit_over_summary;

/* ---- for fit.c and fit_summary.c -------------------------------------------------------------------------------------------- */

/* After the tiles are cut; before the layout is made; what plan.blocks and plan.regions need. Not collective. */
vg_status vg_statistics_prepare(fit_job *job);
vg_status vg_statistics_layout(fit_job *job);
int64_t vg_statistics_blocks(const fit_job *job);
int64_t vg_statistics_regions(const fit_job *job);
void vg_statistics_free(fit_job *job);

/* On the rank that summarises a space: maps of all subjects, one after another, of what is tested; plain: of the scores, NULL where these
 * are tested. Its writes belong to the summary's block. */
vg_status vg_statistics_space(fit_job *job, int64_t in_chunk, int64_t space, const float *maps, const float *plain);

/* After the last chunk: what needs all spaces. Collective. */
vg_status vg_statistics_finish(fit_job *job);

/* ---- the null ------------------------------------------------------------------------------------------------------------------ */

/* Bytes of the null beside a chunk's fits; voxel fits of all ranks, and of this one. */
double vg_null_bytes(const fit_job *job);
int64_t vg_null_fits(const fit_job *job);
int64_t vg_null_steps(const fit_job *job);

/* The chunk at hand, whose scores and designs are there, against every shift. Collective. */
vg_status vg_null_chunk(fit_job *job, int64_t first, int64_t count);

/* p of a subject's region into its record of /regions, where there is a null. */
vg_status vg_null_put_region(const fit_job *job, int64_t in_chunk, int64_t row, void *record);

/* For statistics.c. */
vg_status vg_null_prepare(fit_job *job);
vg_status vg_null_layout(fit_job *job);
vg_status vg_null_write(fit_job *job, int64_t in_chunk, int64_t space);
vg_status vg_null_finish(fit_job *job);
vg_status vg_null_write_largest(fit_job *job, int64_t space);
void vg_null_free(fit_null *null);

/* ---- ceilings ------------------------------------------------------------------------------------------------------------------- */

/* Correlation between subjects on the rows that are tested (ceilings.c); nothing where there are fewer than two subjects, or other voxels.
 * After it, vg_ceilings_of says the ceiling of a region over subjects; NaN where its interval holds 0 or there is none. finish: collective;
 * writes as rank 0, for a block of its own. */
vg_status vg_ceilings_prepare(fit_job *job);
vg_status vg_ceilings_layout(fit_job *job);
vg_status vg_ceilings_finish(fit_job *job);
double vg_ceilings_of(const fit_job *job, int64_t region);
void vg_ceilings_free(struct fit_ceilings *ceilings);

/* ---- the profile over preceding words (profile.c): as the ceilings ------------------------------------------------------------------- */

vg_status vg_profile_prepare(fit_job *job);
vg_status vg_profile_layout(fit_job *job);
vg_status vg_profile_finish(fit_job *job);
void vg_profile_free(struct fit_profile *profile);

/* ---- small pieces --------------------------------------------------------------------------------------------------------------- */

/* Adds x (n) of all ranks, on all of them: whole numbers, so that their order does not matter. Collective. */
vg_status vg_sum_integers(vg_comm *comm, int64_t *x, int64_t n);

/* Numbers in [-2^20, 2^20] as whole ones, for sums that do not depend on their order. */
static inline int64_t vg_to_exact(double x)
{
    return (int64_t)(x * 1099511627776.0 + (x < 0 ? -0.5 : 0.5)); /* 2^40 */
}
static inline double vg_from_exact(int64_t x)
{
    return (double)x / 1099511627776.0;
}

/* A record of a table in the making: the first failure stays in status. */
typedef struct {
    const vg_layout *layout;
    int64_t table;
    void *at;
    vg_status status;
} fit_record;
void vg_record_text(fit_record *record, const char *member, const char *text);
void vg_record_integer(fit_record *record, const char *member, int64_t value);
void vg_record_number(fit_record *record, const char *member, double value);

/* The longest model, name and region, for the texts of tables. */
void vg_statistics_longest(const fit_job *job, size_t *model, size_t *name, size_t *region);

/* summaries (over.count) of rows (derived.rows): what each subject's regions say, or differences of that. */
vg_status vg_over_summarize(const fit_job *job, const double *rows, fit_over_summary *summaries);

/* derived (job->statistics->derived.total) of one map. */
void vg_statistics_derive(const fit_job *job, const float *map, double *derived);

#endif
