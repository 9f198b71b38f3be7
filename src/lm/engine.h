/* engine: what the engine's files share. engine.c owns memory and the public calls, engine_rows.c brings a batch to the device,
 * engine_forward.c, engine_vjp.c and engine_jvp.c are the three sweeps. All arithmetic is the device table's.
 *
 * Letters, through all of them: G groups, M members, B = G M rows, S own positions, P positions of the prefix, H query heads in
 * K key/value heads x R repeats, D head size, Q queries of a block (S; 1 in the last block unless everywhere; 0 there in a prefix).
 * Heads lie apart: queries (G, K, M, R, Q, D), own keys and values (G, K, M, S, D), the prefix's (G, K, P, D); so the scores of a group's
 * members against its prefix are one product per (g, k), those against own keys one per (g, k, m), both straight into rows (G, K, M, R, Q)
 * of P + S columns. */
#ifndef VOXGRAD_LM_ENGINE_H
#define VOXGRAD_LM_ENGINE_H

#include "model.h"

struct vg_engine {
    const vg_model *model;
    vg_device *device;
    bool paper;   /* only counts memory and work: takes pieces, runs nothing */
    double flops; /* of the products, counted on paper */
    vg_arena arena;
    void **owned; /* host memory given back by release */
    size_t owned_count, owned_room;
};

/* Runs one operation of the device table, and passes a failure up. */
#define VG_RUN(engine, operation, ...) VG_TRY((engine)->paper ? VG_OK : (engine)->device->ops->operation((engine)->device, __VA_ARGS__))

/* Has block l's weights in their place before it is run. */
#define VG_BRING(engine, l) VG_TRY((engine)->paper ? VG_OK : vg_model_bring((engine)->model, (l)))

/* Zeroed host memory that lives until the engine is released below it. */
vg_status vg_engine_own(vg_engine *engine, void **memory, int64_t count, size_t size);
#define VG_OWN(engine, pointer, count) vg_engine_own((engine), (void **)(pointer), (count), sizeof **(pointer))

/* A batch of products c (m, n) = a (m, k) b (k, n) + scale c, counted where the engine runs on paper. Matrix i of a factor begins at
 * data + i stride, its rows (as they lie) are ld apart. */
typedef struct {
    int64_t batch, m, n, k;
} vg_extents;
typedef struct {
    const float *data;
    int64_t ld, stride;
    bool transposed;
} vg_factor;
vg_status vg_product(vg_engine *engine, vg_extents size, vg_factor a, vg_factor b, double scale, float *c, int64_t ldc, int64_t stride);

/* Which rows of D entries of a projection (B, T, heads, D) go where when heads are set apart, and back. heads: all (H + 2 K), the queries
 * (H), or keys and values (2 K). apart[i]: where row i of the parts, one after the other, comes from; together: the inverse. Device. */
typedef struct {
    int64_t count;
    int32_t *apart, *together;
} vg_heads;
typedef enum { VG_HEADS_ALL, VG_HEADS_QUERY, VG_HEADS_KEY_VALUE } vg_heads_kind;

/* What a block leaves behind. */
typedef struct {
    float *input;               /* (B, S, width) */
    float *query, *key, *value; /* heads apart, positions turned in; one piece */
    float *attention;           /* (G, K, M, R, Q, P + S) */
    float *middle;              /* (B, Q, width): after the attention's write; sequential blocks only */
    float *gate, *up;           /* (B, Q, mlp) before the activation; gate NULL where there is none */
    int64_t queries;
} vg_block_tape;

/* A batch on the device and the blocks it went through. */
typedef struct vg_pass {
    int64_t G, M, B, S, P;
    int64_t last_queries; /* Q of the last block */
    bool keep;
    const vg_prefix *prefix;
    int32_t *host_position;    /* host (B, S) */
    int32_t *start, *position; /* device (B), (B, S) */
    int32_t *last_position;    /* device (B) */
    uint8_t *hidden;           /* device (B, P + S) or NULL */
    float *voice;              /* device (G, K, M, S): 0 where a value is silent; NULL: none is */
    vg_heads all, query, key_value, last_query;
    vg_block_tape *block; /* host (layers) */
} vg_pass;

struct vg_prefix {
    int64_t groups, length; /* P: with what it goes on from */
    int32_t *start;         /* host (groups): first real position */
    float **key, **value;   /* [layers]: (G, K, P, D) */
    vg_pass *pass;          /* of its own positions; blocks kept where asked */
    bool kept;
};

struct vg_prefix_tangent {
    int64_t directions;
    float **key, **value; /* [layers]: (directions, G, K, P, D) */
};

/* ---- engine_rows.c ---- */

/* Checks rows and puts on the device what the sweeps need of them. */
vg_status vg_pass_begin(vg_engine *engine, const vg_rows *rows, int64_t last_queries, bool keep, vg_pass **pass);

/* layer[0] (B, S, width): the rows' embeddings, with learned positions where the model has them. */
vg_status vg_pass_embed(vg_engine *engine, const vg_pass *pass, const vg_rows *rows, float *layer);

/* Index arrays for T positions of the pass's rows. */
vg_status vg_heads_make(vg_engine *engine, const vg_pass *pass, vg_heads_kind kind, int64_t T, vg_heads *heads);

/* ---- shared by the sweeps (engine_forward.c) ---- */

/* Some positions of (B, S, width): all, or the last of each row. */
typedef struct {
    float *data;
    int64_t rows, ld;
} vg_view;
vg_view vg_last(float *x, int64_t rows, int64_t positions, int64_t width, int64_t wanted);

/* y (rows, out) = x (rows, in) w^T + scale y, then (where bias) + bias; rows of x and y ld apart. w is rows first .. first + out - 1 of the
 * map. */
vg_status vg_linear_run(vg_engine *engine, const vg_linear *map, int64_t first, int64_t out, bool bias, vg_view x, double scale, float *y);

/* dx (rows, in) = dy (rows, out) w + scale dx: its transpose. */
vg_status vg_linear_back(vg_engine *engine, const vg_linear *map, int64_t first, int64_t out, const float *dy, double scale, vg_view dx);

/* Products against keys or values, over the prefix's columns and the own ones of matrices with P + S columns:
 * wide (rows, P + S) = scale wide + narrow (rows, D) keys^T, and narrow = scale narrow + wide values; Q queries a row and repeat.
 * own NULL or prefix NULL: that part is left as it is (narrow: adds nothing). */
vg_status vg_widen(vg_engine *engine, const vg_pass *pass, int64_t Q, const float *narrow, const float *own, const float *prefix,
                   double scale, float *wide);
vg_status vg_narrow(vg_engine *engine, const vg_pass *pass, int64_t Q, const float *wide, const float *own, const float *prefix,
                    double scale, float *narrow);

vg_softmax vg_pass_softmax(const vg_engine *engine, const vg_pass *pass, int64_t Q);
vg_norm vg_pass_norm(const vg_engine *engine, const vg_norm_weights *weights, vg_view x);

/* All blocks but for what comes after them: layer[l] must have room; [0] is there. With a prefix to make, fills its keys and values. */
vg_status vg_pass_forward(vg_engine *engine, vg_pass *pass, float **layer, float **last_attention, vg_prefix *make);

#endif
