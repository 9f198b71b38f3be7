/* study: what the user asks for (the YAML study), what that costs (check), and the work itself (features, fit, run). The table of keys with
 * their defaults and meanings is src/study/keys.c. */
#ifndef VOXGRAD_STUDY_H
#define VOXGRAD_STUDY_H

#include "voxgrad/attribution.h"
#include "voxgrad/base.h"
#include "voxgrad/brain.h"
#include "voxgrad/comm.h"
#include "voxgrad/store.h"

typedef struct {
    char *name, *path, *init, *dtype, *precision;
    int64_t seed; /* of random weights */
} vg_study_model;

typedef struct {
    char *method, *name, *reduce, *normalize, *sign, *at, *erase, *replacement, *path, *baseline, *strict, *site, *positions, *by_word,
        *form;
    char *baseline_token; /* of baseline: {token: STRING} */
    int64_t words, max_steps, steps, residual_every, size, seed;
    double baseline_scale, tolerance, ar1;
    bool all_layers, final_layer;
    int64_t *layers;
    int64_t layer_count;
    char *file; /* features made elsewhere: .npy (words, columns); "": none */
} vg_study_feature;

typedef struct {
    char *name, *words, *tier;
    double offset;
} vg_study_story;

/* A run: a subject's responses to one story. Two runs of a subject with one story are repeats. */
typedef struct {
    int64_t story; /* index into stories */
    char *story_name;
    char **files; /* (file_count) side by side: both hemispheres, left first */
    int64_t file_count;
    bool sided;       /* they were given as lh and rh */
    const char *path; /* the first of them */
    int line;         /* in the study's file */
} vg_study_run;

typedef struct {
    char *name, *mask;
    vg_study_run *runs;
    int64_t run_count;
} vg_study_subject;

typedef struct {
    char *name;
    char **members; /* labels */
    int64_t member_count;
    /* simulate: what is planted in the region */
    char *space;
    int64_t voxels;
    double r2;
} vg_study_region;

/* Spaces that compete together: NAME, MODEL/NAME or MODEL/NAME/LL. */
typedef struct {
    char *name, **members;
    int64_t member_count;
} vg_study_family;

typedef struct {
    char *path, *text; /* the file as it was read */
    char *name, *output, *device;
    int64_t seed, threads, memory; /* memory: bytes a rank, 0 = what the machine lets it have */
    vg_study_model *models;
    int64_t model_count;
    struct {
        int64_t words, tokens;
        char *mode, *bos;
    } context;
    struct {
        char *token, *of, *span;
    } target;
    vg_study_feature *features;
    int64_t feature_count;
    vg_study_story *stories;
    int64_t story_count;
    struct {
        double tr, start;
        char *on_bad_subject, *mask;
        vg_study_subject *subjects;
        int64_t subject_count;
    } responses;
    struct {
        char *downsample, *anchor, *hrf, *standardize, *assume_filtered;
        int64_t *delays;
        int64_t delay_count;
        int64_t trim[2];
        char *filter; /* none, high_pass, savgol, polynomial */
        double high_pass, savgol_window;
        int64_t savgol_order, polynomial;
    } alignment;
    struct {
        int64_t alpha_count;
        double *alphas; /* (alpha_count) made from min, max and count, or listed */
        char *score, *alpha, *weights;
        int64_t outer_folds, inner_folds, gap; /* gap -1: the longest delay */
    } ridge;
    struct {
        char **spaces; /* names of features (NAME or NAME/LL), */
        int64_t space_count;
        char **files; /* and files of rows; {SUBJECT} and {STORY} stand for their names */
        int64_t file_count, draws;
        char *mode;
    } nuisance;
    struct {
        char **test; /* stories that are the one outer test set */
        int64_t test_count;
    } split;
    struct {
        int64_t shifts, min_shift; /* 0 shifts: no null; min_shift -1: 1 */
        int64_t spins;             /* where there are spheres */
    } null;
    struct {
        int64_t bootstrap;      /* draws of listeners */
        double level;           /* q below which a voxel passes */
        char *ceiling, *layers; /* auto, none */
        int64_t equal_size;     /* principal components that families are compared at: 0 none, -1 auto */
    } statistics;
    struct {
        bool automatic; /* explanation and representation of each model */
        vg_study_family *list;
        int64_t count;
    } families;
    struct {
        bool all;
        char **names; /* (count, 2) */
        int64_t count;
    } contrasts;
    struct {
        bool all;
        char **spaces;
        int64_t space_count, *words, word_count;
    } profile;
    struct {
        char **columns; /* labels of the responses' columns, in their order; or */
        int64_t column_count;
        char **labels; /* files with a label a voxel, side by side as the responses; or */
        int64_t label_count;
        char *table, *region_hemisphere;
        char *columns_file; /* a text with a label a line, a line a column; "" */
        vg_study_region *regions;
        int64_t region_count;
    } atlas;
    char *surface[2]; /* left and right, for the report's brain; "": none */
    char *sphere[2];  /* and for spins */
    struct {
        int64_t seed;
        double lag, ar1, tail;
        vg_study_region *regions;
        int64_t region_count;
    } simulate;
    double stall;             /* s */
    struct {                  /* how this run goes about it: options of the command line, never the study's */
        bool restart;         /* throw unfinished work away */
        bool accept_hardware; /* go on with it on another type of CPU or GPU */
        bool keep_features;   /* leave a finished features.h5 of the same plan as it is */
        int64_t part, parts;  /* features: this task's share of the blocks, part 1 .. parts; 0: all */
        int node_ranks;       /* ranks of this node, which hold one copy of a model between them; 0 or 1: alone */
        bool paper;           /* check: models are planned for, and not read */
        const char *only;     /* features: blocks of "model=NAME" or "story=NAME" alone; NULL: all */
    } how;
} vg_study;

/* Reads and validates a study; relative paths in it become paths as seen from here. To be given to vg_study_free. Not collective.
 * Errors: VG_INVALID with FILE:LINE: KEY: what is wrong and, for an unknown key, the nearest known one. */
vg_status vg_study_open(const char *path, vg_study **study);
void vg_study_free(vg_study *study);

/* "4G", "800M", or bytes. */
vg_status vg_parse_memory(const char *text, int64_t *bytes);

/* The keys with type, default and meaning, a line each (for --help and the README). */
void vg_study_print_keys(FILE *out);

/* Makes the output folder where it is missing, and takes it for this run (vg_store_lock_take): what is below is called in between.
 * Collective. */
vg_status vg_study_hold(vg_comm *comm, const vg_study *study, vg_store_lock **lock);
void vg_study_release(vg_store_lock *lock);

/* features.h5 from stories and models; results.h5 from features.h5 and responses. Collective. `run` = features, then fit; prints the
 * table of scores on standard output. Errors are the same on every rank; nothing half-written stays under a final name. */
vg_status vg_study_make_features(vg_comm *comm, const vg_study *study);
vg_status vg_study_fit(vg_comm *comm, const vg_study *study, const char *features_path);

/* Which words drive the predicted response of a voxel, or of a region's voxels on average: down from a layer of activations whose weights
 * stand in OUTPUT/results.h5 (ridge.weights). Writes `output` (/stories/STORY/brain/{gradient_norm,gradient_x_input}, words x K) and prints
 * the words that matter most. Not collective. Errors: VG_INVALID (no such subject, space, region, voxel; no weights). */
typedef struct {
    const char *subject, *space; /* NAME/LL or MODEL/NAME/LL */
    const char *region;          /* a label, or a region of the study; NULL: */
    int64_t voxel;               /* a voxel */
    int64_t words;               /* K */
    const char *output;          /* FILE.h5 */
} vg_brain_question;
vg_status vg_study_explain_brain(const vg_study *study, const vg_brain_question *question, FILE *out);

/* Validates everything that can be without computing and prints passes, FLOPs, time, memory a rank and of a node (how.node_ranks), and
 * files. Models are read only with how.paper unset. Never starts MPI. rates: a file that vg_study_bench wrote, or NULL. Errors:
 * VG_NO_MEMORY (it cannot fit; the number that is needed), and a run's own. */
vg_status vg_study_check(const vg_study *study, const char *rates, FILE *out);

/* Measures a few blocks of the study's own work on this machine, some seconds; prints the rates as JSON. Never starts MPI. */
vg_status vg_study_bench(const vg_study *study, FILE *out);

/* Prints version, libraries, devices, methods and formats. Not collective; never starts MPI. */
vg_status vg_study_info(FILE *out);

/* Prints, for each model and each of the study's features that gives a number a word, how faithful its ranking of the words is, less a
 * random ranking's (src/study/faithfulness.c has the definitions); csv: the same and more, tidy, or NULL. every: of so many blocks of words
 * one is read. Rank 0 prints; the numbers do not depend on the ranks. Collective. Errors: VG_INVALID (no such feature). */
vg_status vg_study_faithfulness(vg_comm *comm, const vg_study *study, int64_t every, FILE *out, FILE *csv);

/* Writes responses with a known truth, by the study's `simulate` section; needs its features.h5. Collective. */
vg_status vg_study_simulate(vg_comm *comm, const vg_study *study);

#endif
