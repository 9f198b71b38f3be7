/* run: what features, fit, check and simulate share. Known to study alone. */
#ifndef VOXGRAD_STUDY_RUN_H
#define VOXGRAD_STUDY_RUN_H

#include "voxgrad/brain.h"
#include "voxgrad/encoding.h"
#include "voxgrad/stimulus.h"
#include "voxgrad/store.h"
#include "voxgrad/study.h"

/* ---- blocks of work and who does them ------------------------------------------------------------------------------- */

/* Ranks by estimated cost: sorted, dearest first, round-robin. owner[i] is the rank of block i. */
vg_status vg_assign_blocks(const double *cost, int64_t blocks, int ranks, int *owner);

/* The study's threads, else the cores this rank is bound to, else its share of the node's. */
int vg_thread_count(const vg_study *study, const vg_comm *comm);

/* Bytes this rank may take: the study's memory, else 80 % of what machine and cgroup let this node have, shared by its ranks. */
int64_t vg_memory_limit(const vg_study *study, int local_ranks);

/* The least that any rank may take, so that all make the same plan. Collective. */
vg_status vg_memory_plan(vg_comm *comm, const vg_study *study, int64_t *bytes);

/* One run's responses, with the mask of its subject or study. */
vg_status vg_run_open(const vg_study *study, const vg_study_subject *subject, int64_t run, vg_responses **responses);

/* The gap between training and held-out rows; how words become rows of a run; how responses are filtered; and whether both are z-scored per
 * run (else by the training rows of each fold). */
int64_t vg_fold_gap(const vg_study *study);
vg_align_options vg_align_of(const vg_study *study, int64_t rows);
vg_filter_options vg_filter_of(const vg_study *study);
bool vg_standardize_runs(const vg_study *study);

/* ---- stories and models ------------------------------------------------------------------------------------------------ */

typedef struct {
    vg_story *stories; /* (study->story_count) */
    char **texts;      /* joined words */
    int64_t **word_end;
} vg_stories;
vg_status vg_stories_open(const vg_study *study, vg_stories *stories);
void vg_stories_free(const vg_study *study, vg_stories *stories);

/* One model with every story as its tokens, ready to be explained. memory: bytes that the rank may hold, for all of the study's models. */
typedef struct {
    vg_model *model;
    vg_passage *passages;          /* (story_count) */
    vg_attribution **attributions; /* (story_count) */
} vg_explained;
vg_status vg_explained_open(const vg_study *study, const vg_stories *stories, vg_device *device, int64_t model, int64_t memory,
                            vg_explained *explained);
/* The windows and targets of a study; the batches of a model's words. */
vg_context vg_context_of(const vg_study *study);
vg_attribution_plan vg_plan_of(const vg_model *model, int64_t memory);
void vg_explained_free(const vg_study *study, vg_explained *explained);

/* ---- features made elsewhere (files.c) ---------------------------------------------------------------------------------- */

/* One entry with a `file`, for one story. */
typedef struct {
    int64_t feature, story;
    vg_responses *table; /* (words, columns) */
    vg_store_space_datasets datasets;
} vg_file_feature;

typedef struct {
    vg_file_feature *at;
    int64_t count;
} vg_file_features;

/* Does any feature of the study need a model? */
bool vg_explains(const vg_study *study);

/* Opens the files and compares their rows with the stories' words; check: all values are finite. To be given to vg_files_close, also after
 * a failure. add: their spaces, into the layout of features.h5; write: their values, for the block this rank works at (two writes a file).
 */
vg_status vg_files_open(const vg_study *study, const vg_stories *stories, vg_file_features *files);
vg_status vg_files_check(const vg_study *study, const vg_file_features *files);
vg_status vg_files_add(const vg_study *study, vg_layout *layout, vg_file_features *files);
vg_status vg_files_write(const vg_study *study, vg_store *store, const vg_file_features *files);
void vg_files_close(vg_file_features *files);

/* ---- the null of the stimulus (null.c) ------------------------------------------------------------------------------- */

/* The study's shifts for these runs: shifts (study->null.shifts) and how many there are. Errors: VG_INVALID (null.min_shift leaves none).
 */
vg_status vg_null_plan(const vg_study *study, const int64_t *run_rows, int64_t runs, int64_t *shifts, int64_t *count);

/* Prints what the null will cost and the smallest p it can reach, for `check`; nothing where there is none. */
vg_status vg_null_check(const vg_study *study, int64_t shortest_run, double flops, FILE *out);

/* ---- what is written beside the numbers -------------------------------------------------------------------------------- */

/* /provenance of a file: version, commit, config text, plan, model hashes; only what determines the numbers. */
vg_status vg_provenance_add(vg_layout *layout, const vg_study *study, const char *plan, const vg_explained *models);

/* OUTPUT/run.json: hosts, ranks, threads, times of each stage. Rank 0 writes; collective. */
vg_status vg_run_note(vg_comm *comm, const vg_study *study, const vg_device *device, const char *stage, double seconds,
                      const char *rate_name, double rate);

/* OUTPUT/NAME; the folder is made where it is missing. A new string. */
vg_status vg_output_path(const vg_study *study, const char *name, char **path);
/* A folder and those above it; above: of a file's path, the folder it lies in. */
vg_status vg_folder_make(const char *path, bool above);
vg_status vg_output_make(vg_comm *comm, const vg_study *study);

#endif
