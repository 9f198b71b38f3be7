/* fit: the state of a fit, shared by its files: fit_spaces.c, fit_subjects.c, fit_regions.c (what is there), fit_nuisance.c, fit_scores.c
 * (what is fitted), fit_layout.c (what will be written), fit.c (groups, tiles, the run), fit_blocks.c (tiles of voxels through the ridge),
 * fit_share.c (designs from rank to rank), fit_summary.c and fit_group.c (regions and groups). Known to study alone. */
#ifndef VOXGRAD_STUDY_FIT_H
#define VOXGRAD_STUDY_FIT_H

#include "run.h"

/* A feature space: one dataset a story. */
typedef struct {
    const vg_store_space *any;      /* its row of one story, for names */
    const vg_store_space **stories; /* (story_count), NULL where a story has none */
    int64_t mean, sem;              /* datasets under /group; -1: the subjects' voxels differ */
    int64_t unique, unique_sem;     /* of nuisance as a band */
    int64_t principal;              /* above 0: a space cut to so many principal components of its design, and */
    const vg_store_space *whole;    /* the one it was cut from (families.c) */
} fit_space;

/* A part of a subject's rows: a story, heard in one run or, averaged, in several (repeats). */
typedef struct {
    int64_t story, rows; /* rows: of each run, before trimming */
    int64_t *runs, count;
} fit_part;

typedef struct {
    const vg_study_subject *study;
    vg_responses **runs; /* (study->run_count) */
    fit_part *parts;     /* in the order of their first runs */
    int64_t part_count;
    int64_t rows, voxels;
    int64_t group; /* of subjects with the same stories and rows: they share designs */
    bool usable;
    vg_atlas atlas;
    vg_regions regions;
    int64_t voxel_table;
    int64_t *score, *r2, *alpha; /* (space_count) datasets */
    int64_t *joint, *split, *unique, *weights, *cc_norm;
    int64_t *inner, *folds; /* of spaces that are chosen among: scores by outer fold */
    int64_t explainable;    /* dataset, where there are repeats */
} fit_subject;

/* What is left of the nuisance for a space: all of it, or what the space itself is not. Its design, and the spaces it is made of. */
typedef struct {
    int64_t *list, count;
    vg_ridge_design *design; /* NULL: nothing is left */
} fit_without;

/* Subjects with the same rows of the same stories. */
typedef struct {
    const fit_subject *pattern;
    int64_t *run_rows, run_count; /* of each part, after trimming */
    fit_without *without;
    int64_t without_count;
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
    int64_t space_count, chunk_size; /* spaces fitted in one reading of the responses, at most; */
    int64_t spaces_together;         /* as memory has it; the file's plan keeps it */
    int64_t *chunk, chunk_count;     /* chunk[c] .. chunk[c + 1] - 1: cut where products are not shared, so that memory changes no bit */
    int64_t chunk_at;                /* the one at hand */
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
    float **scores;                    /* (space of the chunk * tile_count + tile): this rank's own, what is tested (vg_fit_banded) */
    float **plain;                     /* the same, of scores, where scores holds unique variance */
    vg_banded **banded;                /* as designs: with the nuisance; */
    int64_t *without;                  /* and which of the group's `without` it is compared with */
    vg_regressed **regressed;          /* or the nuisance taken out */
    vg_ridge_design **designs;         /* (group * chunk_size + space of the chunk) of the chunk at hand; NULL where not yet needed */
    struct fit_statistics *statistics; /* statistics.h */
} fit_job;

/* The spaces of a features file, in job->spaces. Not collective. */
vg_status vg_fit_collect_spaces(fit_job *job, const char *path);

/* Opens all runs of all subjects and compares rows with stories. Not collective. */
vg_status vg_fit_open_subjects(fit_job *job);
void vg_fit_close_subject(fit_subject *subject);

/* Subjects without a usable voxel: an error, or left out, as the study says. Collective. */
vg_status vg_fit_drop_unusable(fit_job *job);

/* atlas and regions of every subject. Not collective. */
vg_status vg_fit_all_regions(fit_job *job);

/* Outer folds, gap, training rows and how many of these overlap with test rows, as attributes of a subject's group. Not collective. */
vg_status vg_leakage_add(fit_job *job, const fit_subject *subject, const char *path);

/* job->layout, with all dataset numbers in spaces and subjects. Not collective. */
vg_status vg_fit_layout(fit_job *job);

/* Chunk of spaces first .. first + count - 1: this rank's tiles. Not collective. The designs made for it stay until vg_fit_chunk_end. */
vg_status vg_fit_chunk(fit_job *job, int64_t first, int64_t count);
void vg_fit_chunk_end(fit_job *job);

/* The design of one space for a group. Not collective. */
vg_status vg_fit_design(const fit_job *job, const fit_group *group, const fit_space *space, vg_ridge_design **design);

/* Spaces that are cut for families of equal size join the list; and go (families.c). */
vg_status vg_families_cut(fit_job *job);
void vg_families_uncut(fit_space *space);

/* Designs of the chunk for one group of subjects, in job->designs; those that are there stay. Not collective. */
vg_status vg_fit_designs(fit_job *job, int64_t group, int64_t first, int64_t count);

/* Whether the nuisance is a band (and unique variance what is tested), or regressed out. */
bool vg_fit_banded(const vg_study *study);
bool vg_fit_regressed(const vg_study *study);

/* Whether what is tested is a part of variance (unique variance, or ridge.score: r2), not a correlation. */
bool vg_tests_r2(const vg_study *study);

/* The columns of a space's nuisance, 0 where there is none. */
vg_status vg_nuisance_columns(const fit_job *job, int64_t space, int64_t *columns);

/* What the nuisance adds to the chunk's designs of one group; those that are there stay. Not collective. */
vg_status vg_nuisance_designs(fit_job *job, int64_t group, int64_t first, int64_t count);
void vg_nuisance_end(fit_job *job);

/* Scores of one space, (v) each, NULL where not wanted: score (mean r over outer folds, or pooled r2, as ridge.score says) and the
 * penalties (outer, v) that go with it, pooled r2; with the nuisance as a band: pooled r2 of both, what each of them adds to it (space,
 * nuisance; v), and unique, r2 of both less r2 of the nuisance without the space. For choices among spaces, of what is tested: inner
 * (outer, v), what the inner folds say, and fold (outer, v), each outer fold's part: their mean is unique, or the score. */
typedef struct {
    double *score, *r2, *alpha, *joint, *split, *unique, *inner, *fold;
} fit_values;

/* Fits the chunk's first `count` spaces of a group to responses y; order as in vg_ridge_fit; label (v): whose penalties are shared,
 * `labels` of them, or NULL. Not collective. */
vg_status vg_fit_score(const fit_job *job, int64_t group, int64_t count, vg_samples y, const int32_t *order, const int32_t *label,
                       int64_t labels, const fit_values *values);

/* Labels of voxels first .. first + count - 1 for ridge.alpha region or global, numbers from *labels on, which is moved on; NULL: voxel. */
vg_status vg_fit_labels(const fit_job *job, const fit_subject *subject, int64_t first, int64_t count, int32_t *label, int64_t *labels);

/* Designs of the chunk that cost more to make than to move (fit_share.c): each is made by one rank and brought to all; vg_fit_designs finds
 * them there and makes the others where they are needed. Collective. */
vg_status vg_fit_share(fit_job *job, int64_t first, int64_t count);

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

/* The space that these responses' voxels lie in, as attributes of the dataset at `path` (fit_place.c). */
vg_status vg_fit_place(vg_layout *layout, const char *path, const vg_responses *responses);

/* Voxels a tile, the last of a subject of `voxels` perhaps excepted. */
int64_t vg_fit_tile_width(const vg_study *study, bool gpu, int64_t solver_tile, int64_t voxels);

/* Maps over subjects, mean and sem (voxels), on every rank, of scores (tile_count): this rank's tiles, where all subjects have the same
 * voxels. Collective. */
vg_status vg_fit_group(const fit_job *job, float *const *scores, float *mean, float *sem);

/* Regions and groups of one space of the chunk, on one rank, from all ranks' tiles. Collective. */
vg_status vg_fit_summarize(fit_job *job, int64_t chunk_first, int64_t space);

#endif
