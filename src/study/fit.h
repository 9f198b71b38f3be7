/* fit: the state of a fit, shared by its three files: fit.c (what is there, what will be written), fit_blocks.c (tiles of voxels through
 * the ridge), fit_summary.c (regions and groups). Known to study alone. */
#ifndef VOXGRAD_STUDY_FIT_H
#define VOXGRAD_STUDY_FIT_H

#include "run.h"

/* A feature space: one dataset a story. */
typedef struct {
    const vg_store_space *any;      /* its row of one story, for names */
    const vg_store_space **stories; /* (story_count), NULL where a story has none */
    int64_t mean, sem;              /* datasets under /group; -1: the subjects' voxels differ */
    int64_t principal;              /* above 0: a space cut to so many principal components of its design, and */
    const vg_store_space *whole;    /* the one it was cut from (families.c) */
} fit_space;

typedef struct {
    const vg_study_subject *study;
    vg_responses **runs; /* (study->run_count) */
    int64_t rows, voxels;
    int64_t group; /* of subjects with the same stories and rows: they share designs */
    bool usable;
    vg_atlas atlas;
    vg_regions regions;
    int64_t voxel_table;
    int64_t *score, *r2, *alpha; /* (space_count) datasets */
    int64_t *inner, *folds;      /* and of spaces that are chosen among: scores by outer fold */
} fit_subject;

/* Subjects with the same rows of the same stories. */
typedef struct {
    const fit_subject *pattern;
    int64_t *run_rows; /* after trimming */
    vg_folds *folds;
    vg_ridge_plan plan;
} fit_group;

/* A tile of voxels of one subject. */
typedef struct {
    int64_t subject, first, count;
} fit_tile;

typedef struct {
    vg_comm *comm;
    const vg_study *study;
    vg_device *device;
    vg_store_file *features;
    vg_store_space *listed;
    int64_t listed_count;
    fit_space *spaces;
    int64_t space_count, chunk_size; /* spaces fitted in one reading of the responses */
    fit_subject *subjects;
    int64_t subject_count;
    fit_group *groups;
    int64_t group_count;
    fit_tile *tiles;
    double *cost;
    int *owner;
    int64_t tile_count, fitted_voxels;
    bool same_voxels; /* all subjects have the same number: group maps make sense */
    bool simulated;
    int64_t region_table, region_rows; /* rows a space */
    double busy;                       /* s of this rank's tiles */
    vg_layout *layout;
    char *plan;
    vg_store *store;
    float **scores;                    /* (space of the chunk * tile_count + tile): this rank's own */
    vg_ridge_design **designs;         /* (group * chunk_size + space of the chunk) of the chunk at hand; NULL where not yet needed */
    struct fit_statistics *statistics; /* statistics.h */
} fit_job;

/* Chunk of spaces first .. first + count - 1: this rank's tiles. Not collective. The designs made for it stay until vg_fit_chunk_end. */
vg_status vg_fit_chunk(fit_job *job, int64_t first, int64_t count);
void vg_fit_chunk_end(fit_job *job);

/* Spaces that are cut for families of equal size join the list; and go (families.c). */
vg_status vg_families_cut(fit_job *job);
void vg_families_uncut(fit_space *space);

/* Designs of the chunk for one group of subjects, in job->designs; those that are there stay. Not collective. */
vg_status vg_fit_designs(fit_job *job, int64_t group, int64_t first, int64_t count);

/* Scores as they are stored (float32), so that what is read back chooses alike. */
static inline void vg_fit_round(double *scores, int64_t count)
{
    for (int64_t i = 0; i < count; i++)
        scores[i] = (double)(float)scores[i];
}

/* The design of one space for the subjects of a group, before it is factored: x.data to be given to free(). */
vg_status vg_fit_features(const fit_job *job, const fit_group *group, const fit_space *space, vg_matrix *x);

/* The tile's responses of all runs, filtered and standardised run by run, one below the other; states: which voxels can be fitted. */
vg_status vg_fit_read(const fit_job *job, const fit_subject *subject, const fit_tile *tile, vg_matrix y, uint8_t *states);

/* This rank's tiles of one space of the chunk, one after another, to be given to free(); and what all ranks packed, back to maps, one
 * subject after another. */
vg_status vg_fit_pack(const fit_job *job, int64_t in_chunk, float **mine, size_t *bytes);
void vg_fit_unpack(const fit_job *job, const float *all, const size_t *sizes, float *maps);

/* Regions and groups of one space of the chunk, on one rank, from all ranks' tiles. Collective. */
vg_status vg_fit_summarize(fit_job *job, int64_t chunk_first, int64_t space);

#endif
