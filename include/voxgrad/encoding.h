/* encoding: how well features predict responses. Folds; ridge regression that factors once, scores every penalty and reads the
 * responses once; correlations, the null of the shifted stimulus, ceilings, false discovery rates.
 *
 * Rows are volumes (TRs), t of T, run after run; columns are features (p) or voxels (v of V). Nothing here is collective: each rank
 * fits its own tiles of voxels. A result depends on the arguments alone, bit by bit, never on the number of threads. */
#ifndef VOXGRAD_ENCODING_H
#define VOXGRAD_ENCODING_H

#include "voxgrad/base.h"
#include "voxgrad/device.h"

/* A host matrix of either type, row-major, element (i, j) at data[i * ld + j]; owns nothing, may be a mapped file. */
typedef struct {
    vg_type type;
    const void *data;
    int64_t rows, columns, ld;
} vg_samples;

/* ---- folds (encoding.md, "Folds") -------------------------------------------------------------------------------- */

/* Rows begin .. end - 1. */
typedef struct {
    int64_t begin, end;
} vg_range;

/* A training set and the rows held out from it, each as ascending ranges that do not touch; rows in neither were dropped because
 * they lie within the gap. An outer fold has inner folds, which split its training rows again. */
typedef struct vg_fold vg_fold;
struct vg_fold {
    vg_range *train, *test;
    int64_t train_ranges, test_ranges, train_rows, test_rows;
    vg_fold *inner;
    int64_t inner_count;
};

/* nested: what is chosen is chosen on inner folds and scored on outer test rows. Not nested (outer_folds = 1): one outer "fold" that
 * trains on all rows and tests on none; its inner folds are an ordinary cross-validation, whose best mean is the score. */
typedef struct {
    int64_t rows;
    bool nested;
    vg_fold *outer;
    int64_t outer_count;
} vg_folds;

typedef struct {
    const int64_t *run_rows; /* (runs): rows of each run, in order */
    int64_t runs;
    int64_t outer_folds, inner_folds; /* outer_folds 1: not nested */
    int64_t gap;                      /* a training row goes where a held-out row of its run is at most this far away */
    const int64_t *test_runs;         /* (test_count) `split`: these runs are the one outer test set; NULL: none */
    int64_t test_count;
} vg_folds_options;

/* One run: contiguous blocks as equal as can be, earlier ones longer. Two or more runs: whole runs, grouped in the same way where there
 * are more runs than folds, one run a fold where there are fewer. Inner folds: the remaining rows, in order, cut by the same rule
 * (by runs while two or more remain); gaps are measured in rows of the run, before anything was dropped. To be given to vg_folds_free.
 * Errors: VG_INVALID (an empty run, fewer rows than folds, no training row left: which fold, and what to change), VG_NO_MEMORY. */
vg_status vg_folds_create(const vg_folds_options *options, vg_folds **folds);
void vg_folds_free(vg_folds *folds);

/* ---- ridge (encoding.md, "Ridge") -------------------------------------------------------------------------------- */

/* r2 of several folds: 1 - sum SSE / sum SST with SST about the training rows' mean, or the mean over folds of r2 about the held-out
 * rows' own mean, 0 where those are constant (himalaya's and scikit-learn's r2_score). */
typedef enum { VG_R2_POOLED, VG_R2_MEAN } vg_r2_kind;

/* What all fits of a study share. Borrowed by every design made with it: it, its folds and its penalties must outlive them. */
typedef struct {
    const vg_folds *folds;
    const double *alphas; /* (alpha_count) penalties > 0, in any order */
    int64_t alpha_count;
    vg_type type; /* of data and products; eigenproblems, sums over rows and scores are always float64 */
    vg_r2_kind r2;
    bool standardize; /* z-score the features by the training rows of each fold (`standardize: train`), not only centre them */
    int64_t tile;     /* voxels a tile, 0: by rows and columns (vg_ridge_tile) */
} vg_ridge_plan;

/* The features of one space, factored for every training set of the plan: shared by all subjects and voxels of a story.
 * Holds device memory; to be given to vg_ridge_design_free before the device is closed. */
typedef struct vg_ridge_design vg_ridge_design;

/* features (T, p). Errors: VG_INVALID (rows do not match the folds, p = 0, a value that is not finite: row and column; a penalty that is
 * not a positive number), VG_NO_MEMORY. */
vg_status vg_ridge_design_create(vg_device *device, const vg_ridge_plan *plan, vg_samples features, vg_ridge_design **design);
void vg_ridge_design_free(vg_ridge_design *design);

/* Where results of one space go; any pointer may be NULL. Rows of outer-fold tables are `ld` apart. Dead voxels (constant, or with a value
 * that is not finite) are NaN everywhere. Not nested: there is one outer fold, and score = inner_score. */
typedef struct {
    double *score;       /* (v) mean over outer folds of Pearson's r on test rows, penalty chosen by r */
    double *alpha;       /* (outer, v) that penalty: the largest mean r over inner folds, the smaller alpha where equal (to 1e-12) */
    double *fold_score;  /* (outer, v) r of each outer fold */
    double *inner_score; /* (outer, v) the largest mean over inner folds of r: to choose among spaces without looking at test rows */
    double *r2;          /* (v) r2 over the outer folds, penalty chosen by the inner folds' r2 */
    double *r2_alpha;    /* (outer, v) */
    double *inner_r2;    /* (outer, v) */
    int64_t ld;
} vg_ridge_result;

/* Fits `count` spaces (designs of one plan and device) to responses (T, v), reading the responses once. order (T) or NULL: row t is
 * responded to by row order[t] (the null's shifts, without a copy). Reads, never keeps, its arguments.
 * Tiles of vg_ridge_tile() voxels are cut from column 0 on: a caller who splits voxels must split at multiples of it.
 * Errors: VG_INVALID (rows do not match, designs of different plans), VG_NO_MEMORY. */
vg_status vg_ridge_fit(vg_ridge_design *const *designs, int64_t count, vg_samples responses, const int32_t *order,
                       const vg_ridge_result *results);

/* Voxels a tile; bytes of device memory that a design of `columns` features holds, and that a fit of such designs needs beside them
 * (upper bounds, for `check`); floating-point operations a voxel of a fit, and of the factorisations. */
typedef struct {
    int64_t tile;
    double design_bytes, fit_bytes, voxel_flops, design_flops;
} vg_ridge_cost;
vg_status vg_ridge_estimate(const vg_ridge_plan *plan, const int64_t *columns, int64_t count, vg_ridge_cost *cost);

/* Eigendecompositions of training sets made by this process so far. */
int64_t vg_ridge_factorizations(void);

/* ---- scores ------------------------------------------------------------------------------------------------------- */

/* r (columns): Pearson's r of each column of a with that column of b; NaN where one is constant or not finite. */
vg_status vg_correlations(vg_samples a, vg_samples b, double *r);

#endif
