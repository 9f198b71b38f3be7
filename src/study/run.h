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

/* What a rank may hold. bytes: the study's memory, else 80 % of what machine and cgroup let this node have, shared by its ranks. sharers:
 * the node's ranks, which hold one copy of a model's weights between them on a CPU and count a part of it each. Where the study says what a
 * rank may hold (1), a whole copy is counted: the plan is then the same for any number of ranks. */
typedef struct {
    int64_t bytes;
    int sharers;
} vg_memory;
vg_memory vg_memory_of(const vg_study *study, int local_ranks);

/* What the machine has, or the least that this process's control groups let it have. root: before /proc and /sys, "" but in tests. */
int64_t vg_machine_memory(const char *root);

/* The least bytes and sharers of any rank, so that all make the same plan. Collective. */
vg_status vg_memory_plan(vg_comm *comm, const vg_study *study, vg_memory *memory);

/* One run's responses, with the mask of its subject or study. */
vg_status vg_run_open(const vg_study *study, const vg_study_subject *subject, int64_t run, vg_responses **responses);

/* The gap between training and held-out rows; how words become rows of a run; how responses are filtered; and whether both are z-scored per
 * run (else by the training rows of each fold). */
int64_t vg_fold_gap(const vg_study *study);
vg_align_options vg_align_of(const vg_study *study, int64_t rows);
vg_filter_options vg_filter_of(const vg_study *study);
bool vg_standardize_runs(const vg_study *study);

/* Training rows, over all outer folds, that share a TR of the story with a test row through the delays. run_rows: of each run, trimmed. */
int64_t vg_leakage_overlap(const vg_study *study, const int64_t *run_rows, int64_t runs, const vg_folds *folds);

/* ---- the plan (plan.c) -------------------------------------------------------------------------------------------------- */

/* The number that the plan of an unfinished file (vg_store_planned, may be NULL) has for a field, where the study leaves it to voxgrad. */
int64_t vg_plan_kept(const vg_study *study, const char *planned, const char *field, int64_t otherwise);

/* The public lines: stage, device, blas, and `choices` ("field: value\n" ...). A new string. */
vg_status vg_plan_text(const vg_study *study, const vg_device *device, const char *planned, const char *stage, const char *choices,
                       char **plan);

/* Begins or goes on with a file. `plan`: the public lines; `inputs`: lines that say what went in; of store_plan: path, blocks, regions.
 * Collective. */
vg_status vg_plan_begin(vg_comm *comm, const vg_study *study, const char *plan, const char *inputs, vg_store_plan *store_plan,
                        const vg_layout *layout, vg_store **store);

/* A file of the nuisance, its names filled in (fit_nuisance.c). A new string. */
vg_status vg_nuisance_path(const char *pattern, const char *subject, const char *story, char **path);

/* What goes into a fit, as lines of a plan. A new string. file: a line of one file's size and age. */
vg_status vg_plan_fit_inputs(const vg_study *study, const char *features, char **inputs);
vg_status vg_plan_file(FILE *out, const char *field, const char *path);

/* The field of a model's and story's batches (in window positions). A new string. */
vg_status vg_batch_field(const vg_study *study, int64_t model, int64_t story, char **field);

/* ---- stories and models ------------------------------------------------------------------------------------------------ */

typedef struct {
    vg_story *stories; /* (study->story_count) */
    char **texts;      /* joined words */
    int64_t **word_end;
} vg_stories;
vg_status vg_stories_open(const vg_study *study, vg_stories *stories);
void vg_stories_free(const vg_study *study, vg_stories *stories);

/* One model with every story as its tokens, ready to be explained. memory: what the rank may hold, for all of the study's models;
 * planned: the plan of an unfinished file, whose batches are kept, or NULL. */
typedef struct {
    vg_model *model;
    vg_passage *passages;          /* (story_count) */
    vg_attribution **attributions; /* (story_count) */
} vg_explained;
vg_status vg_explained_open(const vg_study *study, const vg_stories *stories, vg_device *device, int64_t model, vg_memory memory,
                            const char *planned, vg_explained *explained);

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
 * a failure. add: their spaces, into the layout of features.h5; write: their values, for the block this rank works at (two writes a file);
 * plan: lines of a plan that say which files. */
vg_status vg_files_open(const vg_study *study, const vg_stories *stories, vg_file_features *files);
vg_status vg_files_check(const vg_study *study, const vg_file_features *files);
vg_status vg_files_add(const vg_study *study, vg_layout *layout, vg_file_features *files);
vg_status vg_files_write(const vg_study *study, vg_store *store, const vg_file_features *files);
vg_status vg_files_plan(const vg_study *study, FILE *out);
void vg_files_close(vg_file_features *files);

/* ---- features made before (features_kept.c) --------------------------------------------------------------------------- */

/* What goes into the features, as lines of a plan. A new string. */
vg_status vg_plan_features_inputs(const vg_study *study, const vg_stories *stories, const vg_explained *models, char **inputs);

/* Is the finished features.h5 at `path` undamaged and made by this program from this study, plan, stories and models? Collective; a damaged
 * or other file is simply not current, with a line in the log that says what differs. */
vg_status vg_features_current(vg_comm *comm, const vg_study *study, const vg_stories *stories, const vg_explained *models, const char *plan,
                              const char *path, bool *current);

/* ---- cost (cost.c) ------------------------------------------------------------------------------------------------------ */

/* Core-seconds a GFLOP (seconds, on a GPU): of the features, of factorisations, of fits to a subject's tiles, and of those to the null's
 * shifts, whose tiles hold many subjects' voxels. */
typedef struct {
    double features, designs, fits, shifts;
} vg_rates;

/* Counted work and memory of a study; what the factorisations take is of every rank. */
typedef struct {
    double feature_flops, engine_bytes, shared_bytes; /* engine: with a rank's own weights; shared: the copy of all of a node's ranks */
    int node_ranks;
    double design_flops, fit_flops, shift_flops, fit_bytes, least_bytes;
} vg_cost;

/* What is fitted: `each` designs a space (its own and, with a nuisance as a band, one a draw), columns (spaces, each); voxels of all
 * subjects and of the largest; shifts of the null. */
typedef struct {
    const int64_t *columns;
    int64_t spaces, each, voxels, most, shifts;
} vg_fit_shape;

/* Columns of some of a study's designs, for a measurement. */
enum { VG_BENCH_SPACES = 16 };
typedef struct {
    int64_t columns[VG_BENCH_SPACES], count;
} vg_bench_columns;

/* The rates of a file that `voxgrad bench study` wrote; NULL: the program's own. */
vg_status vg_rates_read(const char *path, vg_rates *rates);

vg_status vg_cost_fit(const vg_ridge_plan *plan, const vg_fit_shape *shape, double memory, vg_cost *total);

/* Prints time and memory. Errors: VG_NO_MEMORY (what is needed at least is more than `memory`). */
vg_status vg_cost_print(const vg_cost *cost, const vg_rates *rates, double memory, FILE *out);

/* Runs a few blocks of the study's features, and fits of random numbers of its shapes: tiles of `most` voxels, and of `voxels`. */
vg_status vg_bench_features(const vg_study *study, vg_device *device, double *rate, vg_bench_columns *columns);
vg_status vg_bench_fit(const vg_ridge_plan *plan, vg_device *device, const vg_bench_columns *columns, int64_t most, int64_t voxels,
                       vg_rates *rates);

/* ---- the null of the stimulus (null.c) ------------------------------------------------------------------------------- */

/* The study's shifts for these runs: shifts (study->null.shifts) and how many there are. Errors: VG_INVALID (null.min_shift leaves none).
 */
vg_status vg_null_plan(const vg_study *study, const int64_t *run_rows, int64_t runs, int64_t *shifts, int64_t *count);

/* Prints what the null will cost, the smallest p it can reach, and what no voxel (of `voxels` of a subject) can then be, for `check`;
 * nothing where there is none. */
vg_status vg_null_check(const vg_study *study, int64_t shortest_run, int64_t voxels, double flops, FILE *out);

/* ---- spheres that maps are turned on (spins.c) -------------------------------------------------------------------- */

typedef struct {
    vg_sphere *side[2]; /* left, right; NULL: not given */
} vg_spheres;

/* The study's; to be given to vg_spheres_free, also after a failure. match: whether a subject's responses lie on them. Errors: VG_INVALID
 * (another number of vertices; a hemisphere without its sphere). */
vg_status vg_spheres_open(const vg_study *study, vg_spheres *spheres);
vg_status vg_spheres_match(const vg_study *study, const vg_spheres *spheres, const char *subject, const vg_responses *responses,
                           bool *lies);
void vg_spheres_free(vg_spheres *spheres);

/* Prints the spins there will be of so many subjects on the spheres, for `check`; nothing where no sphere is given. */
void vg_spins_check(const vg_study *study, int64_t subjects, FILE *out);

/* ---- what is written beside the numbers -------------------------------------------------------------------------------- */

/* /provenance of a file: version, commit, config text, plan, model hashes; only what determines the numbers. */
vg_status vg_provenance_add(vg_layout *layout, const vg_study *study, const char *plan, const vg_explained *models);

/* Does unit number `index` of the features, of this model and story, belong to this task (study->how)? */
bool vg_is_part(const vg_study *study);
bool vg_part_has(const vg_study *study, const vg_study_model *model, const vg_study_story *story, int64_t index);

/* Says how evenly the work lay on the ranks. Collective. */
vg_status vg_load_note(vg_comm *comm, const char *stage, double seconds, double busy);

/* OUTPUT/run.json: hosts, ranks, threads, times of each stage; begin: that a stage is at work. Rank 0 writes; collective. */
vg_status vg_run_begin(vg_comm *comm, const vg_study *study, const vg_device *device, const char *stage);
vg_status vg_run_note(vg_comm *comm, const vg_study *study, const vg_device *device, const char *stage, double seconds,
                      const char *rate_name, double rate);

/* OUTPUT/NAME; the folder is made where it is missing. A new string. */
vg_status vg_output_path(const vg_study *study, const char *name, char **path);
/* A folder and those above it; above: of a file's path, the folder it lies in. */
vg_status vg_folder_make(const char *path, bool above);
vg_status vg_output_make(vg_comm *comm, const vg_study *study);

#endif
