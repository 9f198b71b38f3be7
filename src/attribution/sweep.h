/* sweep: what attribution's files share: entries, batches of windows, and the kinds of sweeps through the model that fill them. */
#ifndef VOXGRAD_ATTRIBUTION_SWEEP_H
#define VOXGRAD_ATTRIBUTION_SWEEP_H

#include "voxgrad/attribution.h"

/* ---- windows and batches (batch.c) ------------------------------------------------------------------------------------ */

/* Where the window of a word lies: BOS (maybe) and the tokens from .. to - 1 of the passage; f is of the token at `to`. With whole-word
 * targets a word has a window (a part) for each of its tokens. */
typedef struct {
    int64_t word, part, from, to, length; /* length: with BOS */
} vg_window;

/* The windows of one block, left-padded. A row's last `length` positions are its own and hold the K attributed words; the rest lies in the
 * prefix, which the members of a group share, because their windows begin at the same token. Rows b = group * members + member; a group
 * with fewer words than members repeats its last one (spare). */
typedef struct {
    int64_t groups, members, rows, prefix, length;
    vg_window *windows;     /* (rows) */
    uint8_t *spare;         /* (rows) 1: a repetition, not to be read */
    int32_t *prefix_start;  /* (groups) first real position in the prefix */
    int32_t *seen;          /* (rows) what the row sees of the prefix ends here */
    int32_t *start;         /* (rows) first real position of the row's own */
    int32_t *prefix_tokens; /* (groups, prefix) */
    int32_t *tokens;        /* (rows, length) */
    int32_t *target;        /* (rows) the token that was heard */
    int32_t *
        segment; /* (rows * (K + 2) + 1) offsets into the rows * length positions: what comes before the K words, each word, what follows */
} vg_batch;

/* How a batch is made from a block of words. */
typedef struct {
    int64_t words;   /* K */
    bool everything; /* the prefix holds the whole window, own positions are not made (erasure) */
    bool own_word;   /* windows go on to the word's own last token, and hold nothing else of their own (activations at: word) */
    bool parts;      /* a window for each token of the word (whole-word targets) */
    bool together;   /* the parts of a word are one group */
} vg_batch_kind;

vg_status vg_batch_make(const vg_attribution *a, const vg_batch_kind *kind, const vg_word_block *block, vg_batch *batch);
void vg_batch_free(vg_batch *batch);
void vg_window_of(const vg_attribution *a, int64_t word, vg_window *window);

/* The token at position i of a window. */
int32_t vg_window_token(const vg_attribution *a, const vg_window *window, int64_t i);

/* Positions begin .. end - 1 of the window that belong to a word (empty where it has none there). */
void vg_window_word(const vg_attribution *a, const vg_window *window, int64_t word, int64_t *begin, int64_t *end);

/* ---- entries ------------------------------------------------------------------------------------------------------------- */

typedef enum { VG_REDUCE_SUM, VG_REDUCE_MEAN, VG_REDUCE_L1, VG_REDUCE_L2, VG_REDUCE_LAST } vg_reduce;
typedef enum { VG_NORMALIZE_NONE, VG_NORMALIZE_SUM, VG_NORMALIZE_MAX } vg_normalize;
typedef enum { VG_ERASE_DELETE, VG_ERASE_ZERO, VG_ERASE_REPLACE, VG_ERASE_MASK, VG_ERASE_VALUES } vg_erase;
typedef enum { VG_BASELINE_MEAN_SCALED, VG_BASELINE_MEAN, VG_BASELINE_ZERO, VG_BASELINE_TOKEN } vg_baseline;
typedef enum { VG_SITE_BLOCK, VG_SITE_MLP, VG_SITE_ATTN } vg_site;
typedef enum { VG_INFLUENCE_NET, VG_INFLUENCE_L1, VG_INFLUENCE_SHARE } vg_influence;

/* What an integrand reads. */
typedef enum {
    VG_NEED_SCORES = 1, /* scores */
    VG_NEED_LAST = 2,   /* cotangents of the last position, tangents */
    VG_NEED_ALL = 4,    /* cotangents of all positions that move, tangents */
    VG_NEED_WORDS = 8,  /* cotangents of the last position; makes its own tangents, word by word */
} vg_need;

/* What a space is read from. */
typedef enum {
    VG_SWEEP_WINDOW,  /* a forward of all windows and, where asked for, their gradients down to the K words */
    VG_SWEEP_WORD,    /* a forward of all windows on to the words themselves */
    VG_SWEEP_ERASURE, /* a forward for each erased word */
    VG_SWEEP_PATH,    /* forward, vjp, jvp along a path, word by word */
    VG_SWEEP_HOST,    /* the story itself */
} vg_sweep_kind;

/* A sweep: what two entries must have in common to share it, since it fixes the batches; and what they want of it. */
typedef struct {
    vg_sweep_kind kind;
    int64_t words; /* K */
    vg_erase erase;
    int32_t token; /* of erasure or baseline */
    bool recent;
    vg_baseline baseline;
    double scale; /* of the baseline */
    int64_t steps;
    bool gradient;  /* some entry of a window sweep reads df/dx */
    unsigned needs; /* vg_need of the entries of a path sweep */
} vg_sweep_plan;

typedef enum { VG_COLUMNS_WORDS, VG_COLUMNS_UNITS, VG_COLUMNS_HEADS, VG_COLUMNS_LAYERS, VG_COLUMNS_NAMED } vg_columns;

typedef struct vg_space vg_space;

/* An entry of the study, resolved against the model. */
typedef struct {
    const vg_space *space;
    vg_space_request request;
    char *name;
    vg_reduce reduce;
    vg_normalize normalize;
    vg_erase erase;
    vg_baseline baseline;
    vg_site site;
    vg_influence form;
    vg_columns columns;
    bool absolute, at_word, recent, sum_positions;
    int64_t *layers; /* layer of each output; the model's layer count + 1 stands for `final` */
    int64_t outputs, first_output, sweep;
    vg_need need; /* of a path space */
    int64_t unconverged;
} vg_entry;

/* ---- sweeps --------------------------------------------------------------------------------------------------------------- */

/* A window sweep, as its spaces see it. */
typedef struct {
    const vg_attribution *attribution;
    int64_t words, width, layers;
    vg_device *device;
    const vg_batch *batch;
    const vg_tape *tape;
    float *x;               /* device (rows, length, width): the input embeddings */
    const float *gradients; /* device (rows, length, width): df/dx, of all parts of a word in the row of its first; or NULL */
    int32_t *segment;       /* device copy of batch->segment */
    int32_t *token;         /* device (rows), the targets */
    float *product;         /* device (rows, length, width), free to use */
    float *logits;          /* device (rows, vocabulary), free to use */
    float *reduced;         /* device (rows * (K + 2)) */
    float *host;            /* host (rows * (K + 2)) */
} vg_window_sweep;

/* A tile of a path sweep: some nodes of one window's path, as its spaces see it. Rows are nodes. */
typedef struct {
    const vg_attribution *attribution;
    vg_engine *engine;
    vg_device *device;
    int64_t words, width, layers;
    int64_t nodes, length;  /* own positions */
    const int32_t *segment; /* host (K + 3): offsets into the own positions: what comes before the K words, each word, what follows */
    const vg_tape *tape;
    const float *difference;         /* device (length, width): x - x' where it moves, else 0 */
    const double *scores;            /* host (nodes, K + 2): sum over a segment of df/dx (x - x') */
    const vg_cotangents *cotangents; /* of the last position, or of all that move (VG_NEED_ALL) */
    const vg_tangents *tangents;     /* d/da, one direction */
} vg_tile;

/* A row of the table of spaces. */
struct vg_space {
    const char *method;
    vg_sweep_kind sweep;
    vg_columns columns;
    const char *reduces; /* what `reduce` may be, with blanks, the default first; NULL: nothing */
    const char *names;   /* VG_COLUMNS_NAMED: "rate|characters|tokens" */
    bool gradient;       /* reads df/dx */
    bool layered;        /* a dataset per layer */
    bool final_layer;    /* has a layer `final` */
    bool signed_scores;  /* normalize and sign make sense */
    bool sees_word;      /* whatever the target */
    bool sees_target;    /* through the target, when that is the heard token */
    /* One of these. Window sweeps: values (rows, columns), host, for output `index`. */
    vg_status (*read)(const vg_window_sweep *sweep, const vg_entry *entry, int64_t index, float *values);
    /* Host: values (block's words, columns). */
    vg_status (*describe)(const vg_attribution *a, const vg_entry *entry, const vg_word_block *block, float *values);
    /* Path sweeps: the integrand of all outputs at the tile's nodes: values (nodes, size), host; and from the integral (size) the outputs'
     * values, all of them one after the other (NULL: they are the integral). change: f(x) - f(x'). */
    int64_t (*size)(const vg_attribution *a, const vg_entry *entry);
    vg_status (*integrand)(const vg_tile *tile, const vg_entry *entry, double *values);
    void (*finish)(const vg_attribution *a, const vg_entry *entry, const double *integral, double change, double *values);
};

const vg_space *vg_space_find(const char *method);

/* ---- the whole ------------------------------------------------------------------------------------------------------------ */

struct vg_attribution {
    vg_model *model;
    vg_device *device;
    const vg_passage *passage;
    vg_context context;
    vg_attribution_plan plan;
    int32_t bos;
    int64_t entry_count, output_count, block_count, sweep_count, warning_count;
    vg_entry *entries;
    vg_output *outputs;
    vg_word_block *blocks;
    vg_sweep_plan *sweeps;
    char **warnings;
    float *mean;                   /* (width) mean of the embedding table; NULL where no path asks for it */
    double mean_norm, median_norm; /* of the table's mean, and the median of its rows */
    size_t bytes;
    double flops;
    vg_engine *engine;
    float *kl_reference; /* host (vocabulary): log-probabilities after BOS alone; NULL until needed */
};

/* entries.c: requests against the tables; outputs, sweeps, warnings. */
vg_status vg_entries_resolve(vg_attribution *a, const vg_space_request *requests);

/* Where one block's results of an entry go. */
typedef struct {
    const vg_word_block *block;
    const vg_block_values *to;
} vg_sink;

/* Puts the values of a word's row into output `output`, normalized and signed as the entry says; NaN: not valid. */
void vg_sink_put(const vg_attribution *a, const vg_sink *sink, const vg_entry *entry, int64_t index, int64_t word, const float *values);

/* Each kind of sweep: what one block takes of memory (device bytes of the engine) and work, and the sweep itself. */
typedef struct {
    size_t bytes;
    double flops;
} vg_cost;
vg_status vg_window_cost(const vg_attribution *a, const vg_sweep_plan *plan, const vg_word_block *block, vg_cost *cost);
vg_status vg_window_run(vg_attribution *a, int64_t sweep, const vg_sink *sink);
vg_status vg_erasure_cost(const vg_attribution *a, const vg_sweep_plan *plan, const vg_word_block *block, vg_cost *cost);
vg_status vg_erasure_run(vg_attribution *a, int64_t sweep, const vg_sink *sink);
vg_status vg_path_cost(const vg_attribution *a, const vg_sweep_plan *plan, const vg_word_block *block, vg_cost *cost);
vg_status vg_path_run(vg_attribution *a, int64_t sweep, const vg_sink *sink);

/* f of `rows` rows of logits (vocabulary), device, which become its gradient where asked for; token: device (rows), negative: the largest,
 * which is written back. f: host. Takes from the engine's arena. (target.c) */
vg_status vg_target_take(vg_attribution *a, int64_t rows, float *logits, int32_t *token, bool gradient, double *f);
size_t vg_target_bytes(const vg_attribution *a, int64_t rows);

/* Spaces' functions outside of spaces.c. */
vg_status vg_describe_rate_length(const vg_attribution *a, const vg_entry *entry, const vg_word_block *block, float *values);
vg_status vg_describe_position(const vg_attribution *a, const vg_entry *entry, const vg_word_block *block, float *values);
vg_status vg_describe_static(const vg_attribution *a, const vg_entry *entry, const vg_word_block *block, float *values);
vg_status vg_describe_random(const vg_attribution *a, const vg_entry *entry, const vg_word_block *block, float *values);
int64_t vg_scores_size(const vg_attribution *a, const vg_entry *entry);
vg_status vg_scores_integrand(const vg_tile *tile, const vg_entry *entry, double *values);
int64_t vg_conductance_size(const vg_attribution *a, const vg_entry *entry);
vg_status vg_conductance_integrand(const vg_tile *tile, const vg_entry *entry, double *values);
size_t vg_conductance_bytes(const vg_attribution *a, int64_t nodes, int64_t length);
int64_t vg_conductance_directions(const vg_attribution *a, int64_t words, int64_t nodes, int64_t length);
int64_t vg_influence_size(const vg_attribution *a, const vg_entry *entry);
vg_status vg_influence_integrand(const vg_tile *tile, const vg_entry *entry, double *values);
void vg_influence_finish(const vg_attribution *a, const vg_entry *entry, const double *integral, double change, double *values);

#endif
