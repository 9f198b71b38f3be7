/* device: the operation table that everything above is written on, once. Two back ends fill it: cpu.c (OpenMP over fixed
 * pieces that call single-threaded BLAS and LAPACK) and, loaded at run time, cuda.c.
 *
 * Memory: pointers named here are device memory of that device unless "host" is said; host code never dereferences them.
 * Row-major throughout, leading dimensions explicit, all extents int64_t and any of them may be zero.
 * Determinism: a result depends on the call's arguments alone, never on the number of threads (architecture.md).
 * Every call returns a status: VG_NO_MEMORY (the bytes needed), VG_NO_DEVICE (call, file, line, device), VG_DEFECT (misuse).
 * Nothing is collective. One thread calls; the work inside is parallel. Calls are ordered; `down` and `sync` wait. */
#ifndef VOXGRAD_DEVICE_H
#define VOXGRAD_DEVICE_H

#include "voxgrad/base.h"

typedef struct vg_device vg_device;
typedef enum { VG_F32, VG_F64 } vg_type;

/* ---- arguments of the operations -------------------------------------------------------------------------------- */

/* How much of a float's fraction a product may take of its factors: all 23 bits, 10, or 7; sums are float in any case. A back end may take
 * more; the CPU takes all. */
typedef enum { VG_FLOAT32, VG_TF32, VG_BF16 } vg_precision;

/* For i < batch: c_i (m, n) = alpha op(a_i) op(b_i) + beta c_i, x_i at x + i * stride_x elements (a stride of 0 shares one matrix).
 * op(a) is (m, k), op(b) (k, n). beta == 0 never reads c. */
typedef struct {
    vg_type type;
    vg_precision precision; /* of VG_F32 */
    bool transpose_a, transpose_b;
    int64_t m, n, k, batch;
    double alpha, beta;
    const void *a, *b;
    void *c;
    int64_t lda, ldb, ldc, stride_a, stride_b, stride_c;
} vg_gemm;

/* y = (x - mean) / sqrt(var + eps) * weight + bias (VG_LAYER_NORM; Ba et al. 2016, eq. 4), or
 * y = x / sqrt(mean(x^2) + eps) * weight (VG_RMS_NORM; Zhang & Sennrich 2019, eq. 4), row by row. bias may be NULL. */
typedef enum { VG_RMS_NORM, VG_LAYER_NORM } vg_norm_kind;
typedef struct {
    vg_norm_kind kind;
    float eps;
    int64_t rows, columns, ldx, ldy; /* of x and y; in vjp and jvp the tangents and cotangents are dense */
    const float *weight, *bias;
} vg_norm;

/* The scores of attention, as one matrix. A batch row b = group * members + member (members of a group share one prefix of keys);
 * query heads come in kv_heads x repeats. The rows of the matrix are (group, kv_head, member, repeat, query), its columns `keys`
 * (the prefix's first). Query q may see the keys start[b] .. keys - queries + q, but not those with hidden[b * keys + key] != 0.
 * A row that may see nothing is all zeros. What lies at keys that are not seen is never used and may be anything. */
typedef struct {
    int64_t groups, kv_heads, members, repeats, queries, keys;
    float scale;           /* > 0; on the scores, before the exponential */
    const int32_t *start;  /* (groups * members) */
    const uint8_t *hidden; /* (groups * members, keys) or NULL */
} vg_softmax;

/* y = act(x), or, where gated, y = act(x) * gate (gated MLP; Shazeer 2020, eq. 6). GELU_TANH: Hendrycks & Gimpel 2016, section 2. */
typedef enum { VG_GELU, VG_GELU_TANH, VG_SILU, VG_RELU } vg_act_kind;

/* What f is, from the logits of a row (attribution.md). */
typedef enum {
    VG_TARGET_LOG_PROB,
    VG_TARGET_LOGIT,
    VG_TARGET_PROB,
    VG_TARGET_SURPRISAL, /* -log p, in bits */
    VG_TARGET_CONTRAST,  /* logit of the token minus the largest other logit */
    VG_TARGET_ENTROPY,   /* of the distribution, in bits; the token is not used */
    VG_TARGET_KL,        /* sum_v q_v log(q_v / p_v) against a reference's log-probabilities log q, in nats */
} vg_target_kind;

/* How the values of a segment of rows become one number. */
typedef enum { VG_SUM, VG_L1, VG_L2, VG_DOT } vg_reduction;

/* ---- arguments of ridge (encoding.md, "Ridge"); matrices are dense, voxels v are columns ------------------------- */

/* A tile of responses, centred segment by segment: of y (rows, columns) of `from` with leading dimension ld, in HOST memory (a file's
 * view), row t is taken from row order[t] (NULL: t; host memory too). Rows are cut into segments begin[s] .. begin[s + 1] - 1; of each and
 * every column the mean and the sum of squares about it: mean, square (segments, columns); centred (rows, columns) of `type` = y - mean of
 * the segment. dead (columns): 1 where a column is constant or has a value that is not finite; its centred values, means and squares are 0.
 */
typedef struct {
    vg_type from, type;
    int64_t rows, columns, ld, segments;
    const void *y;
    const int32_t *order, *begin;
    void *centred;
    double *mean, *square;
    uint8_t *dead;
} vg_ridge_center;

/* For set i < sets, a union of segments test[test_begin[i] .. test_begin[i + 1] - 1] (and the same for train), from the segments' moments:
 * variance (sets, columns), the sum of squares of the held-out responses about their mean, exactly 0 where they are constant; shift (sets,
 * columns) = mean of test - mean of train; constant (sets, columns) = 1 where the training responses are (a model predicts their mean). */
typedef struct {
    int64_t sets, segments, columns;
    const int32_t *begin, *test_begin, *test, *train_begin, *train; /* begin: of the segments' rows */
    const double *mean, *square;
    double *variance, *shift;
    uint8_t *constant;
} vg_ridge_spread;

/* Cross-products (rows, columns) of a union of segments, from those of its parts, each about the means of its own segments: out, of type
 * `to` = sum over i < terms of x + term[i] * stride, then sum over i < segments of apart[i, row] * mean[segment[i], column]; added in
 * double, in that order. apart (segments, rows): a segment's rows times the distance of its features' means from those of the union; mean:
 * the responses', as ridge_center gives them. With them the sum is about the means of the union (Chan, Golub & LeVeque 1983, Am Stat
 * 37:242-247).
 */
typedef struct {
    vg_type type, to;
    int64_t rows, columns, terms, stride;
    const int32_t *term;
    const void *x;
    int64_t segments;
    const int32_t *segment;
    const double *apart, *mean;
    void *out;
} vg_ridge_combine;

/* The rows of segments segment[0 .. segments - 1], one below the other, about the mean of all of them: centred and mean are what
 * ridge_center gives, begin as there; out (rows of them, columns) of `type`. */
typedef struct {
    vg_type type;
    int64_t columns, segments;
    const int32_t *begin, *segment;
    const void *centred;
    const double *mean;
    void *out;
} vg_ridge_join;

/* What r products of a voxel say about every penalty. products (r, rows, columns): the predictions of r basis functions on the held-out
 * rows, about their mean; coefficient (penalties, r) makes predictions of them. y (rows, columns): the responses. With b = products' y and
 * Q = products' products of a voxel, in double: r = c b / sqrt(c Q c variance), 0 where prediction or responses are constant.
 * offset o (r, columns), for loss alone: mean over held-out rows of the predictions less the training mean, times sqrt(n); then
 * SSE = variance + n shift^2 - 2 (c b + sqrt(n) shift c o) + c (Q + o o') c and SST = variance + n shift^2.
 * Added: correlation (penalties, columns) += weight r; loss += SSE and total (columns) += SST, or, where `by_fold`, loss += weight
 * SSE / variance (weight where variance is 0) and total is left alone. correlation or loss may be NULL.
 * choice (columns) or NULL: only that penalty is scored, and correlation or loss is (columns). */
typedef struct {
    vg_type type;
    int64_t rows, columns, rank, penalties, held_out; /* held_out: n; rows may be fewer, or a compressed form of them */
    const void *products, *offset, *y;
    const double *coefficient, *variance, *shift;
    const uint8_t *constant;
    const int32_t *choice;
    double weight;
    bool by_fold;
    double *correlation, *loss, *total;
} vg_ridge_score;

/* The same scores from n directions, a training set's eigenvectors, scaled (encoding.md, "Ridge"; src/encoding/quadratic.c has the
 * formula): z (n, columns) is what a voxel's training responses bring to each, held (n, columns) what its held-out responses do,
 * far (n, columns) and near (n, columns; NULL: diagonal (n) times z) are sums over pairs of directions. With d = filter and e = slope
 * (penalties, n): b = sum_i d z held, Q = sum_i 2 e z far + d^2 z near, o = sum_i d z lean, lean (n); then r, SSE and SST as above, `score`
 * holding what they need (rows, rank, type, products, offset, y and coefficient are not looked at). All in double. */
typedef struct {
    vg_ridge_score score;
    int64_t directions;
    const double *z, *held, *far, *near, *diagonal, *lean, *filter, *slope;
} vg_ridge_quadratic;

/* The best penalty a column: the largest score, or (`smallest`) the smallest; the one that stands first in ascending (penalties) among
 * those within `equal` of it, or, with `smallest`, within `equal` times it. choice and best (columns): which, and its score. */
typedef struct {
    int64_t penalties, columns;
    const double *score;
    bool smallest;
    const int32_t *ascending;
    double equal;
    int32_t *choice;
    double *best;
} vg_ridge_choose;

/* ---- the table --------------------------------------------------------------------------------------------------- */

typedef struct {
    /* memory; `up` and `down` are host -> device and device -> host */
    vg_status (*alloc)(vg_device *d, size_t bytes, void **memory);
    void (*free)(vg_device *d, void *memory);
    vg_status (*up)(vg_device *d, void *to, const void *host, size_t bytes);
    vg_status (*down)(vg_device *d, void *host, const void *from, size_t bytes);
    vg_status (*copy)(vg_device *d, float *to, int64_t ld_to, const float *from, int64_t ld_from, int64_t rows, int64_t columns);
    vg_status (*fill)(vg_device *d, float *x, int64_t n, float value);
    vg_status (*sync)(vg_device *d);

    /* linear */
    vg_status (*gemm)(vg_device *d, const vg_gemm *g);
    vg_status (*axpby)(vg_device *d, int64_t n, float a, const float *x, float b, float *y); /* y = a x + b y; b == 0 never reads y */
    vg_status (*hadamard)(vg_device *d, int64_t n, const float *x, const float *y, float b, float *z);         /* z = x * y + b z */
    vg_status (*add_row)(vg_device *d, int64_t rows, int64_t columns, const float *row, float *x);             /* x += row, dense */
    vg_status (*column_sum)(vg_device *d, int64_t rows, int64_t columns, const float *x, float b, float *sum); /* in order of rows */
    vg_status (*scale_rows)(vg_device *d, int64_t rows, int64_t columns, const float *scale, float *x);
    /* to row i = from row index[i]; zeros where index[i] < 0 */
    vg_status (*gather_rows)(vg_device *d, int64_t rows, int64_t columns, const float *from, int64_t ld_from, const int32_t *index,
                             float *to, int64_t ld_to);
    /* to row index[i] += from row i, in order of i; skipped where index[i] < 0 */
    vg_status (*scatter_add_rows)(vg_device *d, int64_t rows, int64_t columns, const float *from, int64_t ld_from, const int32_t *index,
                                  float *to, int64_t ld_to);
    /* Rotary positions (Su et al. 2021, eq. 34) in place on the first 2 * half entries of each head, pairs (i, i + half); x is (rows, heads
     * * head_size) with leading dimension ld; row r is at position[r]; cosine and sine are tables (positions, half). sign -1 rotates back
     * (the transpose). */
    vg_status (*rotate)(vg_device *d, int64_t rows, int64_t heads, int64_t head_size, int64_t half, const int32_t *position,
                        const float *cosine, const float *sine, float sign, float *x, int64_t ld);

    /* nonlinear: fwd, vjp (cotangent dy -> dx), jvp (tangents dx -> dy, `directions` of them stacked, the primal read once).
     * dx of the vjp is ADDED where `add`. The primal x is what fwd was given. */
    vg_status (*norm)(vg_device *d, const vg_norm *n, const float *x, float *y);
    vg_status (*norm_vjp)(vg_device *d, const vg_norm *n, const float *x, const float *dy, bool add, float *dx);
    vg_status (*norm_jvp)(vg_device *d, const vg_norm *n, const float *x, int64_t directions, const float *dx, float *dy);
    vg_status (*softmax)(vg_device *d, const vg_softmax *s, float *x);                      /* in place */
    vg_status (*softmax_vjp)(vg_device *d, const vg_softmax *s, const float *y, float *dy); /* in place; includes the scale */
    vg_status (*softmax_jvp)(vg_device *d, const vg_softmax *s, const float *y, int64_t directions,
                             float *dx); /* in place; includes the scale */
    /* gate NULL: not gated. vjp: writes dx and, gated, dgate. jvp: dgate NULL where not gated. All dense, n elements. */
    vg_status (*act)(vg_device *d, vg_act_kind kind, int64_t n, const float *x, const float *gate, float *y);
    vg_status (*act_vjp)(vg_device *d, vg_act_kind kind, int64_t n, const float *x, const float *gate, const float *dy, float *dx,
                         float *dgate);
    vg_status (*act_jvp)(vg_device *d, vg_act_kind kind, int64_t n, const float *x, const float *gate, int64_t directions, const float *dx,
                         const float *dgate, float *dy);

    /* f of each row of logits (rows, n) for token[row] in double, and its gradient in place of the logits. `reference` (rows, n): log q,
     * for VG_TARGET_KL alone. token[row] < 0: the row's largest logit (the first of equals), whose index is written back; not for ENTROPY
     * and KL, which use no token (it may be NULL). A gradient is wanted where `gradient`. VG_DEFECT: no logits, for CONTRAST fewer than
     * two. */
    vg_status (*target)(vg_device *d, vg_target_kind kind, int64_t rows, int64_t n, float *logits, int32_t *token, const float *reference,
                        bool gradient, double *f);

    /* paths: rows (windows, nodes, rows_each, columns) between baseline and input: out = base + a[node] (x - base) where moved[window *
     * rows_each + row], x elsewhere; x and base (windows, rows_each, columns). */
    vg_status (*interpolate)(vg_device *d, int64_t windows, int64_t nodes, int64_t rows_each, int64_t columns, const float *x,
                             const float *base, const uint8_t *moved, const float *a, float *out);
    /* sum over nodes, in their order, of weight[node] * g (windows, nodes, n) added to total (windows, n), kept in double. */
    vg_status (*accumulate)(vg_device *d, int64_t windows, int64_t nodes, int64_t n, const float *weight, const float *g, double *total);

    /* per segment: rows offset[s] .. offset[s + 1] - 1 of x (and y, for VG_DOT) become out[s]; sums in double, in order. Empty: 0. */
    vg_status (*reduce)(vg_device *d, vg_reduction kind, int64_t segments, const int32_t *offset, int64_t columns, const float *x,
                        const float *y, float *out);

    /* ridge (encoding.md): float64 symmetric eigenproblems, ascending: a (batch, n, n) becomes eigenvectors in ROWS (row i belongs to
     * w[i]). */
    vg_status (*eigh)(vg_device *d, int64_t batch, int64_t n, double *a, double *w);
    vg_status (*ridge_center)(vg_device *d, const vg_ridge_center *c);
    /* A tile that ridge_center will be asked for next begins to come to the device, as much of it as need not be waited for, at every call;
     * what c->y and c->order point at stays as it is until then. NULL: none will be asked for. Changes no result. */
    vg_status (*ridge_ahead)(vg_device *d, const vg_ridge_center *c);
    vg_status (*ridge_spread)(vg_device *d, const vg_ridge_spread *s);
    vg_status (*ridge_combine)(vg_device *d, const vg_ridge_combine *c);
    vg_status (*ridge_join)(vg_device *d, const vg_ridge_join *j);
    vg_status (*ridge_score)(vg_device *d, const vg_ridge_score *s);
    vg_status (*ridge_choose)(vg_device *d, const vg_ridge_choose *c);
    vg_status (*ridge_quadratic)(vg_device *d, const vg_ridge_quadratic *q);
} vg_device_ops;

struct vg_device {
    const vg_device_ops *ops;
    char name[96];       /* "cpu (Haswell kernels, 2 threads)" */
    char libraries[128]; /* of the back end's module: "CUDA 12.6, cuBLAS 12.6.4, cuSOLVER 11.7.1"; "" of the CPU: vg_device_blas_version */
    int threads;
    bool host;   /* its memory is this process's own, its work that of `threads` cores */
    void *state; /* the back end's own */
};

/* Opens the back end of a spec: "cpu", "cuda", "cuda:N", "auto" (a GPU where there is one, else the CPU with one log line). CUDA is the
 * module voxgrad_cuda.so beside the program, in ../lib/voxgrad or where it was installed; the environment's VOXGRAD_CUDA_MODULE names
 * another. local_rank chooses among several GPUs. threads: OpenMP threads of the CPU back end, 0 = the cores this process may use. The
 * device is to be given to vg_device_close. Errors: VG_INVALID (unknown spec), VG_NO_DEVICE. */
vg_status vg_device_open(const char *spec, int local_rank, int threads, vg_device **device);
void vg_device_close(vg_device *device);

/* Typed allocation. */
#define VG_DEVICE_NEW(device, pointer, count) vg_device_allocate((device), (void **)(pointer), (count), sizeof **(pointer))
vg_status vg_device_allocate(vg_device *device, void **memory, int64_t count, size_t size);

/* The counted work since the device was opened (for throughput): 2 m n k batch a product. */
double vg_device_flops(const vg_device *device);

/* Counts as this device's what `part` has done for it. */
void vg_device_add_flops(vg_device *device, const vg_device *part);

/* What the back end's module exports under this name beside the table (comm's links between GPUs); NULL where it does not, or is no module.
 */
void *vg_device_symbol(const vg_device *device, const char *name);
#define VG_DEVICE_FENCE "vg_memory_fence" /* vg_arena's fence, of a back end that watches what its memory is used for */

/* The kernels BLAS chose for this processor ("Haswell"), part of a plan's identity. */
const char *vg_device_blas_core(void);
const char *vg_device_blas_version(void); /* "OpenBLAS 0.3.21 ...", as BLAS says it */

#endif
