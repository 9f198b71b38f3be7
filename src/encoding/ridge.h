/* ridge.h: what the files of ridge share (encoding.md, "Ridge"). layout.c: folds as segments and sets; basis.c: few functions for many
 * penalties; design.c: features factored for every set; ridge.c: tiles of responses scored. */
#ifndef VOXGRAD_ENCODING_RIDGE_H
#define VOXGRAD_ENCODING_RIDGE_H

#include "voxgrad/encoding.h"

/* ---- layout: every training and held-out set as a union of segments -------------------------------------------------- */

/* A set: one training set and the rows held out from it. Its segments stand in the layout's lists; as sums of per-segment products, the
 * training set is the terms [train_term, train_term + train_terms): its segments, or the total (segment number `segments`) less the others.
 */
typedef struct {
    const vg_fold *fold;
    int64_t train_term, train_terms, test_term, test_terms;
} ridge_set;

/* Sets: the outer folds where they test anything (nested), then the inner folds of outer fold 0, of 1, ... Lists live on the device. */
typedef struct {
    vg_device *device;
    int64_t rows, segments, sets, outer_sets;
    ridge_set *set;
    int32_t *begin;                                                 /* host: (segments + 1) first rows */
    int32_t *begin_there, *test_begin, *test, *train_begin, *train; /* device: vg_ridge_spread */
    int32_t *term;                                                  /* device: segments of all sums */
    float *sign;                                                    /* device: and their signs */
    int64_t total_term;                                             /* the terms 0 .. segments - 1 of the total start here */
} ridge_layout;
vg_status ridge_layout_create(vg_device *device, const vg_folds *folds, ridge_layout *layout);
void ridge_layout_free(ridge_layout *layout);

/* ---- basis: the filters 1 / (w + alpha) of all penalties, from few functions of w -------------------------------------- */

/* 1 / (w[i] + alphas[a]) = sum_j coefficient[a, j] phi[j, i], for predictions whose part i is `weight[i]` large: to `tolerance` of the
 * whole prediction, for a response of white noise. phi (rank, n) and coefficient (alphas, rank) are to be given to free(). */
typedef struct {
    int64_t rank;
    double *phi, *coefficient;
} ridge_basis;
vg_status ridge_basis_create(const double *alphas, int64_t alpha_count, const double *w, const double *weight, int64_t n, double tolerance,
                             ridge_basis *basis);
void ridge_basis_free(ridge_basis *basis);

/* ---- design ------------------------------------------------------------------------------------------------------------- */

/* What a set needs of a design, on the device. left (rank rows + rank, width): its product with the training cross-products (primal, width
 * p + 1) or the training responses (dual, width n) is the predictions of the basis functions on the held-out rows, about their mean, and
 * then (last `rank` rows) sqrt(n) times their means. press (rows, p + 1) or NULL: makes of the held-out cross-products the responses that
 * belong to a compressed form of more held-out rows than features. */
typedef struct {
    int64_t rows, rank, width;
    void *left, *press;
    double *coefficient; /* (alphas, rank) */
} ridge_factor;

struct vg_ridge_design {
    vg_device *device;
    const vg_ridge_plan *plan;
    int64_t columns;
    bool dual;
    ridge_layout layout;
    void *features;       /* primal: (T, p + 1), about the mean of all rows, and a column of ones */
    ridge_factor *factor; /* (sets) */
};

/* The bytes of one number of a type. */
static inline size_t ridge_size(vg_type type)
{
    return type == VG_F32 ? sizeof(float) : sizeof(double);
}

/* An element further on, of either type. */
static inline void *ridge_at(vg_type type, const void *x, int64_t elements)
{
    return (char *)(uintptr_t)x + (size_t)elements * ridge_size(type);
}

/* How many segments the folds' sets make of the rows. */
vg_status ridge_count_segments(const vg_folds *folds, int64_t *segments);

/* The width of a space's part of the cross-products: its columns and one for the sums; 0 for the dual form, which has none. */
int64_t ridge_cross_width(const vg_ridge_plan *plan, int64_t columns);

/* Spaces first .. the one returned - 1 share one product with a tile, `total` wide: so many that it is large enough to be fast. */
int64_t ridge_stack_end(const int64_t *widths, int64_t first, int64_t count, int64_t *total);

/* Whether T rows of p features are better solved through their T x T products: fewer operations a voxel. */
bool ridge_is_dual(const vg_ridge_plan *plan, int64_t columns);

#endif
