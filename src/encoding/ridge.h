/* ridge.h: what the files of ridge share (encoding.md, "Ridge"). layout.c: folds as segments and sets; sums.c: what a set's products are
 * added up from; estimate.c: which form, how much; design.c: features and eigenvectors, by way of gram.c (their products); factor.c: what
 * a set needs of them, by way of basis.c (few functions for many penalties) or quadratic.c (pairs of directions); tile.c: a tile of
 * responses scored; ridge.c: all tiles. */
#ifndef VOXGRAD_ENCODING_RIDGE_H
#define VOXGRAD_ENCODING_RIDGE_H

#include "voxgrad/encoding.h"

/* ---- layout: every training and held-out set as a union of segments -------------------------------------------------- */

/* A set: one training set and the rows held out from it, as segments train[train .. train + trains - 1] and test[...] of the layout. Its
 * training products are added up from slots term[term .. term + terms - 1]: segments, or running sums of the outer fold it belongs to. */
typedef struct {
    const vg_fold *fold;
    int64_t train, trains, test, tests, term, terms;
} ridge_set;

/* A running sum of an outer fold, of segments and of running sums before it: slot segments + its number in the fold. */
typedef struct {
    int64_t term, terms;
} ridge_sum;

/* Sets: the outer folds where they test anything (nested), then the inner folds of outer fold 0, of 1, ... */
typedef struct {
    vg_device *device;
    int64_t rows, segments, sets, outer_sets, slots; /* slots: segments and the most running sums of an outer fold */
    ridge_set *set;
    ridge_sum *sum;
    int64_t *first_sum;            /* (outer folds + 1) of outer fold k: first_sum[k] .. first_sum[k + 1] - 1 */
    int32_t *begin, *train, *test; /* host: (segments + 1) first rows; segments of all sets */
    int32_t *begin_there, *train_there, *test_there, *train_begin, *test_begin, *term; /* device */
} ridge_layout;
vg_status ridge_layout_create(vg_device *device, const vg_folds *folds, ridge_layout *layout);
void ridge_layout_free(ridge_layout *layout);

/* The terms and running sums of a layout whose sets are there; `term` is to be given to free(). */
vg_status ridge_make_sums(const vg_folds *folds, ridge_layout *layout, int32_t **term, int64_t *terms);

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

/* What a set needs of a design, on the device, in one of two forms.
 * By rows: left (rank rows + rank, width) times the training cross-products (primal, width p) or the training responses (dual, width n) is
 * the predictions of the basis functions on the held-out rows, about their mean, and then (last `rank` rows) sqrt(n) times their means.
 * By directions (quadratic.c; primal): whiten and lift (n, p) times the training and the held-out cross-products; then pairs and near
 * (n, n; NULL: the diagonal alone); tables (alphas, n) and rows (n) as vg_ridge_quadratic wants them.
 * Primal: apart (trains, p), of every training segment its rows times the distance of its mean from the set's, makes of sums of segments'
 * products those of the set; held_apart (tests, p) of the held-out ones, by directions. NULL and 0: one segment is the whole set. */
typedef struct {
    bool by_directions;
    int64_t rows, rank, width, trains, tests;
    double *apart, *held_apart;
    void *left;
    double *coefficient; /* (alphas, rank) */
    int64_t directions;
    double *whiten, *lift, *pairs, *near, *diagonal, *lean, *filter, *slope;
} ridge_factor;
void ridge_factor_free(vg_device *device, ridge_factor *factor);

struct vg_ridge_design {
    vg_device *device;
    const vg_ridge_plan *plan;
    int64_t columns;
    bool dual;
    int64_t principal; /* above 0: so many principal components of each training set, the largest */
    ridge_layout layout;
    void *features;       /* primal: (T, p), about the means of segments */
    ridge_factor *factor; /* (sets) */
};

/* A design in the making. Matrices of one batch of sets: gram (sets, n, n) on the device becomes their eigenvectors. */
typedef struct {
    vg_ridge_design *design;
    vg_device *device;
    int64_t rows, columns, n;   /* n: side of the Grams */
    double *x, *x_there;        /* (T, p) about the means of segments: host, device */
    double *mean, *square;      /* (segments, p) these means, and sums of squares about them */
    const double *weight;       /* (p) what standardised columns are multiplied with; NULL: 1 */
    double *products;           /* host: products of some features (p, p), or dual X X' (T, T) */
    double *gram, *w;           /* device: (batch, n, n), (batch, n) */
    double *gram_here, *w_here; /* host: the same */
} ridge_building;

/* A set in the making: means of the features over its training rows, and what they are scaled by (0 for a constant column); held-out rows H
 * (m, n) about their own mean and, as row m, sqrt(m) times that mean; n, the side of the Gram, and in the dual form the first `width` of
 * its columns. vectors (n, n, rows are eigenvectors) on the device, w (n) on the host. */
typedef struct {
    const ridge_building *building;
    const vg_ridge_plan *plan;
    vg_device *device;
    const ridge_set *set;
    bool dual;
    int64_t columns, m, n, width;
    double *mean, *by; /* (p) */
    double *held_out;
    const double *vectors, *w;
} ridge_making;

/* gram.c: x, mean and square of a design. Errors: VG_INVALID (a value that is not finite: row and column). */
vg_status ridge_take_features(ridge_building *building, vg_samples features);

/* Means, scales, held-out rows and (into gram_here) the Grams of a batch of sets. */
vg_status ridge_make_grams(ridge_building *building, ridge_making *sets, int64_t count);

/* On the device (count, p): of segments list[0 .. count - 1], rows of each times the distance of its mean from that of all of them. NULL
 * where there is but one, and none of that is left. */
vg_status ridge_send_apart(const ridge_building *building, const int32_t *list, int64_t count, double **there);

/* vg_ridge_design_create, of columns that are multiplied with weight (p) after they were standardised by training rows. */
vg_status ridge_design_create(vg_device *device, const vg_ridge_plan *plan, vg_samples features, const double *weight, int64_t principal,
                              vg_ridge_design **design);

/* Makes the factor: by directions where that takes fewer operations a voxel, else by rows. */
vg_status ridge_make_factor(const ridge_making *s, ridge_factor *factor);

/* The part of it that is made by directions; projected (m + 1, n) is H V'. */
vg_status ridge_make_quadratic(const ridge_making *s, const double *projected, ridge_factor *factor);

/* How far down an eigenvalue is no more than rounding of the largest. */
double ridge_least_eigenvalue(const double *w, int64_t n);

/* Numbers of `type` on the device, from doubles of the host. */
vg_status ridge_send(vg_device *device, vg_type type, const double *host, int64_t count, void **there);

/* c (m, n) = alpha op(a) op(b) + beta c, doubles on the device. */
vg_status ridge_multiply(vg_device *device, bool transpose_a, bool transpose_b, int64_t m, int64_t n, int64_t k, double alpha,
                         const double *a, int64_t lda, const double *b, int64_t ldb, double beta, double *c);

/* The same of host matrices, c = op(a) op(b); and rows of eigenvectors in place of gram (n, n) with their ascending eigenvalues w
 * (split.c).
 */
vg_status ridge_product(vg_device *device, bool transpose_a, bool transpose_b, int64_t m, int64_t n, int64_t k, const double *a,
                        int64_t lda, const double *b, int64_t ldb, double *c);
vg_status ridge_eigenvectors(vg_device *device, int64_t n, double *gram, double *w);

/* Frees memory of the device, NULL too. */
void ridge_device_free(vg_device *device, void *memory);

/* ---- banded (banded.c, split.c, principal.c) ------------------------------------------------------------------------------ */

/* One outer fold, alone: a plan of it, and the bands as its training rows make them. */
typedef struct {
    vg_folds folds;
    vg_ridge_plan plan;
    vg_banded *banded;
} banded_fold;

struct vg_banded {
    vg_device *device;
    const vg_ridge_plan *plan;
    vg_ridge_design **designs; /* (draws) */
    int64_t draws, band_count, columns;
    int64_t *band;              /* (columns) the band of a column */
    double *features, *weights; /* (T, columns) the bands side by side, (draws, band_count) */
    double **kept; /* (outer, draws) split.c's eigenvectors and eigenvalues, once made, while they take BANDED_KEEPS bytes at most */
    int64_t kept_bytes;
    banded_fold *folds; /* (outer) in place of all that: the first band cut to principal components; NULL: not cut */
};
enum { BANDED_KEEPS = 128 << 20 };

/* split (band_count, v), rows ld apart: the product measure of every band, of the draws and penalties chosen (outer, v; ld too). */
vg_status ridge_split(vg_banded *banded, vg_samples responses, const int32_t *order, const vg_banded_result *chosen, double *split);

/* ---- fits ----------------------------------------------------------------------------------------------------------------- */

/* Spaces first .. end - 1, side by side: features (T, columns) of all that are primal. */
typedef struct {
    int64_t first, end, columns;
    void *features;
    bool owned;
} ridge_stack;

/* Penalties shared by voxels (shared.c), by r and by r2: a first pass fills curve (space, outer, penalty, all voxels), the mean over inner
 * folds of r, or r2; then, where chosen, a second one takes choice (space, outer, all voxels). */
typedef struct {
    bool chosen;
    double *curve[2];
    int32_t *choice[2];
} ridge_shared;

/* vg_ridge_fit, or one pass of shared.c. */
vg_status ridge_fit_pass(vg_ridge_design *const *designs, int64_t count, vg_samples responses, const int32_t *order,
                         const vg_ridge_result *results, const ridge_shared *shared);

/* One call of vg_ridge_fit; shared by the tiles, which read it only. */
typedef struct {
    const vg_ridge_plan *plan;
    const ridge_layout *layout;
    vg_ridge_design *const *designs;
    int64_t count, tile, stacks;
    int64_t *widths; /* (count) of the cross-products */
    ridge_stack *stack;
    bool correlation, loss;
    vg_samples responses;
    const int32_t *order;
    const vg_ridge_result *results;
    const ridge_shared *shared; /* or NULL */
} ridge_call;

/* The working memory of one tile at a time on one device (a CPU device of one thread shares memory with the designs' device). */
typedef struct ridge_tile ridge_tile;
vg_status ridge_tile_create(vg_device *device, const ridge_call *call, ridge_tile **tile);
void ridge_tile_free(ridge_tile *tile);

/* Fits columns column .. column + voxels - 1 of the responses, and writes their results. */
vg_status ridge_tile_fit(ridge_tile *tile, int64_t column, int64_t voxels);

/* The bytes of one number of a type. */
static inline size_t ridge_size(vg_type type)
{
    return type == VG_F32 ? sizeof(float) : sizeof(double);
}

/* An element further on, of either type. */
static inline void *ridge_at(vg_type type, const void *x, int64_t elements)
{
    return (char *)x + (size_t)elements * ridge_size(type);
}

/* How many segments the folds' sets make of the rows. */
vg_status ridge_count_segments(const vg_folds *folds, int64_t *segments);

/* The width of a space's part of the cross-products: its columns; 0 for the dual form, which has none. */
int64_t ridge_cross_width(const vg_ridge_plan *plan, int64_t columns);

/* Spaces first .. the one returned - 1 share one product with a tile, `total` wide: so many that it is large enough to be fast, and that
 * the segments' products stay near the processor. */
int64_t ridge_stack_end(const int64_t *widths, int64_t first, int64_t count, int64_t segments, int64_t *total);

/* Whether T rows of p features are better solved through their T x T products: fewer operations a voxel. */
bool ridge_is_dual(const vg_ridge_plan *plan, int64_t columns);

#endif
