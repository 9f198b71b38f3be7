/* encoding: how well features predict responses. Folds; ridge regression that factors once, scores every penalty and reads the
 * responses once; correlations, the null of the shifted stimulus, ceilings, false discovery rates.
 *
 * Rows are volumes (TRs), t of T, run after run; columns are features (p) or voxels (v of V). Nothing here is collective but
 * vg_ridge_design_share: each rank fits its own tiles of voxels. A result depends on the arguments alone, bit by bit, never on the number
 * of threads. */
#ifndef VOXGRAD_ENCODING_H
#define VOXGRAD_ENCODING_H

#include "voxgrad/base.h"
#include "voxgrad/comm.h"
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
    int64_t tile;     /* voxels a tile, 0: by rows and columns (vg_ridge_estimate), */
    bool gpu;         /* for a GPU's memory, not for a CPU's cache */
} vg_ridge_plan;

/* The features of one space, factored for every training set of the plan: shared by all subjects and voxels of a story.
 * Holds device memory; to be given to vg_ridge_design_free before the device is closed. */
typedef struct vg_ridge_design vg_ridge_design;

/* features (T, p). Errors: VG_INVALID (rows do not match the folds, p = 0, a value that is not finite: row and column; a penalty that is
 * not a positive number), VG_NO_MEMORY. */
vg_status vg_ridge_design_create(vg_device *device, const vg_ridge_plan *plan, vg_samples features, vg_ridge_design **design);
void vg_ridge_design_free(vg_ridge_design *design);

/* The design that rank `root` has made comes to all ranks, from device to device, bit by bit what each would have made itself. *design: in
 * on root, out elsewhere (NULL after a failure); plan: as root's. Collective; `device` is attached to comm. Errors: those of
 * vg_comm_device_broadcast, VG_DEFECT (ranks differ in their folds). */
vg_status vg_ridge_design_share(vg_comm *comm, int root, vg_device *device, const vg_ridge_plan *plan, vg_ridge_design **design);

/* The same of the first `principal` principal components of the features (0: all), found anew in every training set: spaces of different
 * size, compared at equal size. */
vg_status vg_ridge_design_principal(vg_device *device, const vg_ridge_plan *plan, vg_samples features, int64_t principal,
                                    vg_ridge_design **design);

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
    double *fold_loss;   /* (outer, v) SSE of each outer fold's test rows, and the */
    double *fold_total;  /* (outer, v) SST that r2 divides by (VG_R2_MEAN: about the test rows' own mean); both 0 where not nested */
    int64_t ld;
} vg_ridge_result;

/* Fits `count` spaces (designs of one plan and device) to responses (T, v), reading the responses once. order (T) or NULL: row t is
 * responded to by row order[t] (the null's shifts, without a copy). Reads, never keeps, its arguments.
 * Tiles of so many voxels as vg_ridge_estimate says are cut from column 0 on: a caller who splits voxels splits at multiples of it.
 * Errors: VG_INVALID (rows do not match, designs of different plans), VG_NO_MEMORY. */
vg_status vg_ridge_fit(vg_ridge_design *const *designs, int64_t count, vg_samples responses, const int32_t *order,
                       const vg_ridge_result *results);

/* The same with penalties shared: label (v), numbers 0 .. labels - 1, voxels of one number get the penalty whose inner scores have the
 * largest mean over them; label NULL: vg_ridge_fit. Nested folds alone. Holds 8 outer penalties bytes a voxel and space, twice. */
vg_status vg_ridge_fit_shared(vg_ridge_design *const *designs, int64_t count, vg_samples responses, const int32_t *order,
                              const int32_t *label, int64_t labels, const vg_ridge_result *results);

/* What spaces of `columns` features cost, for `check`. Of the penalties' products a rank of 12 is assumed (measured: 6 to 12). Bytes are of
 * host and device together: held by all designs, beside that while the largest is made, and beside that by a fit. Operations: a voxel of a
 * fit of all spaces, and all factorisations. tile: the voxels a tile of such a fit (the plan's, where it says). */
typedef struct {
    int64_t tile;
    double design_bytes, build_bytes, fit_bytes, voxel_flops, design_flops;
} vg_ridge_cost;
vg_status vg_ridge_estimate(const vg_ridge_plan *plan, const int64_t *columns, int64_t count, vg_ridge_cost *cost);

/* Where a list of spaces may be cut: border (count + 1) becomes 0 at i where spaces i - 1 and i share a product with the responses. A list
 * that is cut elsewhere, and fitted piece by piece with the plan's own tile, gives the same bits. */
vg_status vg_ridge_borders(const vg_ridge_plan *plan, const int64_t *columns, int64_t count, uint8_t *border);

/* Whether it takes less time to move designs of that cost to another rank than to make them there (32 operations of a factorisation a byte:
 * 3 GFLOP/s against 0.1 GB/s, or a GPU's 300 against 10). The same on all ranks. */
bool vg_ridge_sharing_pays(const vg_ridge_cost *cost);

/* Eigendecompositions of training sets made by this process so far. */
int64_t vg_ridge_factorizations(void);

/* Weights of a fit on all rows with given penalties, alpha (v): weights (p, v), ld = v, of features centred (and with plan->standardize
 * z-scored) over all rows. Dead voxels are NaN. One factorisation a call: pass many voxels at once. Errors: as vg_ridge_design_create. */
vg_status vg_ridge_weights(vg_device *device, const vg_ridge_plan *plan, vg_samples features, vg_samples responses, const double *alpha,
                           double *weights);

/* ---- banded ridge: one penalty a band of features (encoding.md, "Banded ridge") ------------------------------------------- */

/* Draws of band weights, weights (draws, bands), each a row of positive numbers of sum 1: equal ones, then Dirichlet of concentration 1 and
 * 0.1 in turn; the same numbers for the same seed, however many draws. Band b's penalty is alpha / weight[b]. */
void vg_band_weights(int64_t bands, int64_t draws, uint64_t seed, double *weights);

/* Bands (T, p_b) factored for every draw: penalties are searched over the draws x the plan's grid. Holds `draws` designs of sum p_b columns
 * on the device (vg_ridge_estimate for each), and up to 128 MB of the host for splits; to be given to vg_banded_free. Errors: as
 * vg_ridge_design_create. */
typedef struct vg_banded vg_banded;
vg_status vg_banded_create(vg_device *device, const vg_ridge_plan *plan, const vg_samples *bands, int64_t band_count, const double *weights,
                           int64_t draws, vg_banded **banded);
void vg_banded_free(vg_banded *banded);

/* The same with the first band cut to its first `principal` principal components, found anew in the training rows of each outer fold (by
 * which, with plan->standardize, all bands are z-scored). Nested folds alone. Holds `draws` designs a fold. */
vg_status vg_banded_principal(vg_device *device, const vg_ridge_plan *plan, const vg_samples *bands, int64_t band_count, int64_t principal,
                              const double *weights, int64_t draws, vg_banded **banded);

/* Per voxel and outer fold, draw and penalty with the best inner r2, earlier draw where equal; r2 (v) pooled over outer test rows. The
 * unique variance of a band is r2 of all bands less r2 of a vg_banded without it. Any pointer may be NULL; rows of tables are ld apart. */
typedef struct {
    double *r2;       /* (v) */
    double *alpha;    /* (outer, v) */
    double *inner_r2; /* (outer, v) */
    int32_t *draw;    /* (outer, v); -1 for a dead voxel */
    int64_t ld;
    double *split; /* (bands, v) product measure, pooled: what each band adds to r2, their sum; needs alpha and draw; NULL: none */
    double *fold_loss, *fold_total; /* (outer, v) as of vg_ridge_result */
} vg_banded_result;
vg_status vg_banded_fit(vg_banded *banded, vg_samples responses, const int32_t *order, const vg_banded_result *result);

/* ---- nuisance regressed out (encoding.md, "Alignment") ------------------------------------------------------------------- */

/* Ridge on what ordinary least squares on a nuisance (T, q) leaves of features and responses, outer fold by outer fold, with coefficients
 * of the fold's training rows; principal: as of vg_ridge_design_principal, of what is left. Scores and r2 are those of the residual test
 * rows. Nested folds alone; several results' pointers may be NULL. Holds one design a fold; to be given to vg_regressed_free. Errors: as
 * vg_ridge_design_create, vg_ridge_fit. */
typedef struct vg_regressed vg_regressed;
vg_status vg_regressed_create(vg_device *device, const vg_ridge_plan *plan, vg_samples features, vg_samples nuisance, int64_t principal,
                              vg_regressed **regressed);
vg_status vg_regressed_fit(const vg_regressed *regressed, vg_samples responses, const int32_t *order, const vg_ridge_result *result);
void vg_regressed_free(vg_regressed *regressed);

/* ---- scores ------------------------------------------------------------------------------------------------------- */

/* r (columns): Pearson's r of each column of a with that column of b; NaN where one is constant or not finite.
 * Errors: VG_INVALID (shapes differ). */
vg_status vg_correlations(vg_samples a, vg_samples b, double *r);

/* The best of `spaces` per voxel and outer fold by what the inner folds say, smaller number where equal: inner and fold (spaces, outer,
 * voxels) are fits' inner_score and fold_score. best (outer, voxels) or NULL: which, -1 for a dead voxel; score (voxels): mean over outer
 * folds of fold_score of the best. The choice never sees a test row. */
void vg_best_space(const double *inner, const double *fold, int64_t spaces, int64_t outer, int64_t voxels, int32_t *best, double *score);

/* Of numbers, those that are not NaN: how many, mean, standard error of the mean (n - 1; NaN for fewer than 2). */
typedef struct {
    int64_t n;
    double mean, sem;
} vg_summary;
vg_summary vg_summarize(const double *x, int64_t n);

/* Of the differences a[i] - b[i], pair by pair: paired comparison of two conditions over subjects. */
vg_summary vg_summarize_pairs(const double *a, const double *b, int64_t n);

/* mean (regions), count (regions): of the scores of the voxels v with region[v] = that number (-1: none); NaN scores are not counted; the
 * mean of none is NaN. */
void vg_region_means(const double *score, const int32_t *region, int64_t voxels, int64_t regions, double *mean, int64_t *count);

/* x (subjects, conditions): mean of each condition and its within-subject standard error: each subject's own mean over conditions taken
 * off, times sqrt(c / (c - 1)) (Morey 2008, Tutor Quant Methods Psychol 4:61-64). A subject with a NaN is left out. summary (conditions).
 */
void vg_within_subjects(const double *x, int64_t subjects, int64_t conditions, vg_summary *summary);

/* Percentile bootstrap over subjects of the mean of x (n), NaN left out: interval[0], interval[1] hold `level` (0.95) of `draws` resampled
 * means. An interval over listeners; it says nothing about chance. Errors: VG_NO_MEMORY. */
vg_status vg_bootstrap_mean(const double *x, int64_t n, int64_t draws, uint64_t seed, double level, double interval[2]);

/* ---- the null of the stimulus: shifted responses (encoding.md, "What the study answers") ------------------------------ */

/* Distinct shifts, min_shift <= |s| <= T / 2 of the shortest run (forwards or backwards, so that those near 0 are near it in every run),
 * drawn without replacement: `wanted` of them, or as many as there are. The same for all voxels, spaces and subjects of a story. With
 * min_shift 1 they and 0 are drawn from one group, and p is what it says; with more, 0 stands alone among shifts that score like their
 * neighbours, and p is too small. shifts (wanted). Smallest p: 1 / (count + 1). Errors: VG_INVALID (the shortest run leaves none). */
vg_status vg_null_shifts(const int64_t *run_rows, int64_t runs, int64_t min_shift, int64_t wanted, uint64_t seed, int64_t *shifts,
                         int64_t *count);

/* The order (T) of vg_ridge_fit that shifts responses circularly by `shift` within each run: row t is given that of t - shift. */
void vg_null_order(const int64_t *run_rows, int64_t runs, int64_t shift, int32_t *order);

/* After each draw of the null: exceeded (n) += 1 where null >= observed (to 1e-12). Then p = (exceeded + 1) / (draws + 1); NaN where
 * observed is. */
void vg_null_count(const double *observed, const double *null, int64_t n, int32_t *exceeded);
void vg_null_p(const double *observed, const int32_t *exceeded, int64_t draws, int64_t n, double *p);

/* p of a difference, which may be surprising in either direction: twice the smaller tail, at most 1. above, below: draws whose number was
 * no smaller, no larger than the observed one. */
double vg_null_p_two_sided(int64_t above, int64_t below, int64_t draws);

/* The largest number that is not NaN (for the max-statistic over voxels and spaces), -inf where there is none; and p of observed (n)
 * against the draws' largest (draws). */
double vg_null_largest(const double *null, int64_t n);
void vg_null_p_largest(const double *observed, int64_t n, const double *largest, int64_t draws, double *p);

/* q (n): Benjamini & Hochberg 1995 (J R Stat Soc B 57:289-300), step-up, as adjusted p; NaN stays and is not counted. Errors: VG_NO_MEMORY.
 */
vg_status vg_fdr(const double *p, int64_t n, double *q);

/* ---- ceilings ----------------------------------------------------------------------------------------------------------- */

/* Inter-subject correlation of `subjects` responses (T, v) to one story, filtered and cut alike. pairs (subjects (subjects - 1) / 2, v): r
 * of subjects (0, 1), (0, 2), ..., (1, 2), ...; leave_one_out (subjects, v): r of each with the mean of the others' z-scores (it grows with
 * the number of subjects). NaN where a subject's voxel is dead (left out of the others' mean). Either may be NULL. Errors: VG_INVALID
 * (shapes). */
vg_status vg_isc(const vg_samples *responses, int64_t subjects, double *pairs, double *leave_one_out);

/* ceiling (v) = sqrt of the mean pairwise r, a negative mean giving minus the root of its size; low, high (v): percentile bootstrap over
 * subjects (pairs of a subject with its own copy left out), `level` of `draws`. Fractions of the ceiling are worth showing where low > 0.
 */
vg_status vg_ceiling(const double *pairs, int64_t subjects, int64_t voxels, int64_t draws, uint64_t seed, double level, double *ceiling,
                     double *low, double *high);

/* Of `repeats` responses (T, v) of one subject to one story: explainable (v), the part of a single repeat's variance that repeats (signal
 * power over total power; Sahani & Linden 2003, NIPS 15, eq. 3), and best (v), the largest r that a model can have with the mean of the
 * repeats, by which a score with that mean is divided to give CC_norm (Schoppe et al. 2016, Front Comput Neurosci 10:10, eq. 4, 8). NaN
 * where nothing repeats. */
vg_status vg_explainable(const vg_samples *responses, int64_t repeats, double *explainable, double *best);

#endif
