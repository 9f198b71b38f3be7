/* model: what config.json and the table of families say, and the weights as the engine reads them.
 * Inside the room: families.c is the table, config.c reads config.json, rotary.c the angles,
 * weights.c puts the weights in their place, model.c opens the whole. */
#ifndef VOXGRAD_LM_MODEL_H
#define VOXGRAD_LM_MODEL_H

#include "safetensors.h"
#include "voxgrad/lm.h"

/* ---- families -------------------------------------------------------------------------------------------------- */

/* What a tensor is for. Those up to VG_HEAD are there once, the others in every block. */
typedef enum {
    VG_EMBEDDING,
    VG_POSITION,
    VG_FINAL_NORM,
    VG_HEAD,
    VG_NORM1, /* before attention */
    VG_NORM2, /* before the MLP */
    VG_QUERY,
    VG_KEY,
    VG_VALUE,
    VG_QKV, /* the three in one, instead */
    VG_OUT,
    VG_GATE,
    VG_UP,
    VG_DOWN,
    VG_ROLES
} vg_role;
#define VG_BIT(role) (1u << (role))

/* How the block's two writes meet the residual: the MLP reads what attention wrote; or both read the block's input, through one norm
 * or through two. */
typedef enum { VG_SEQUENTIAL, VG_PARALLEL, VG_PARALLEL_TWO_NORMS } vg_block_kind;

/* Order of the rows of a VG_QKV tensor: all queries, all keys, all values; or query, key, value of each head in turn. */
typedef enum { VG_STACKED, VG_BY_HEAD } vg_qkv_order;

typedef struct {
    const char *name;                  /* config.json's model_type */
    const char *prefix;                /* before all names but the head's; a checkpoint of the bare decoder leaves it out */
    const char *block;                 /* after it, before a block's names: printf's, with the layer */
    const char *tensors[VG_ROLES];     /* without ".weight", ".bias"; NULL: the family has none */
    unsigned biases;                   /* VG_BIT of the roles with a bias */
    unsigned attention_bias, mlp_bias; /* further ones where the config has these keys true */
    const char *ignored[4];            /* ends of names of buffers that old checkpoints carry */
    vg_norm_kind norm;
    vg_block_kind blocks;
    vg_qkv_order qkv;
    bool transposed;        /* matrices of blocks are stored (in, out) */
    bool tied, sliding;     /* where the config is silent: head = embedding; attention reaches back `sliding_window` only */
    double rotary_fraction; /* of a head's entries, where the config is silent; 0: learned positions */
    struct {                /* names of the config's keys, in this family */
        const char *width, *layers, *heads, *mlp_width, *positions, *activation, *norm_eps;
    } keys;
    struct { /* switches that must have the value given (NULL at the end) */
        const char *key;
        bool value;
    } only[3];
} vg_family;

/* The row of that name, or NULL; the names of all rows, for messages. */
const vg_family *vg_family_find(const char *name);
void vg_family_list(char *text, size_t size);

/* ---- config ------------------------------------------------------------------------------------------------------ */

typedef enum { VG_ROPE_PLAIN, VG_ROPE_LINEAR, VG_ROPE_LLAMA3 } vg_rope_scaling;

typedef struct {
    vg_model_shape shape;
    const vg_family *family;
    vg_block_kind blocks;
    vg_act_kind activation;
    bool tied, gated;
    unsigned biases;
    double initializer_range;
    int64_t rotary; /* entries of each head that turn; 0: learned positions */
    vg_rope_scaling scaling;
    double theta, factor, low_factor, high_factor, old_positions;
} vg_config;

/* Reads a config.json's bytes. `path` is for messages. Errors: VG_INVALID (file, key, what is there and what may be). */
vg_status vg_config_parse(const char *path, const uint8_t *data, size_t size, vg_config *config);

/* The angle a position adds, for each of the rotary / 2 pairs (Su et al. 2021, section 3.2.2; scaled as the config says). */
void vg_rotary_frequencies(const vg_config *config, double *frequency);

/* ---- weights ------------------------------------------------------------------------------------------------------- */

typedef struct {
    float *weight, *bias; /* device; (out, in), (out) or NULL */
    int64_t in, out;
} vg_linear;

typedef struct {
    float *weight, *bias; /* device; (width); bias NULL in RMSNorm */
} vg_norm_weights;

typedef struct {
    vg_norm_weights norm1, norm2; /* norm2.weight NULL in VG_PARALLEL */
    vg_linear qkv;                /* rows: queries (heads), keys (kv_heads), values (kv_heads) */
    vg_linear out;
    vg_linear gate, up; /* gate.weight NULL where the MLP is not gated */
    vg_linear down;
} vg_block;

/* Where not all blocks fit into memory: they share one place, and are brought there from the files, or drawn, when they are run. */
typedef struct {
    vg_tensors tensors;
    const char *prefix;
    bool random;
    uint64_t seed;
    float *values, *turned; /* host: room for a block's largest tensor */
    int64_t held;           /* the block that is there; -1: none */
} vg_stream;

/* One copy a node of a model's weights, in `folder` (node_copy.c). `key` says whose. *whole: it is there, and may be read alone; else the
 * caller writes all of `data` (page-aligned, bytes), then seals it. To be given to vg_node_copy_free, which removes a copy that is not
 * sealed or that nobody else uses. Errors, all of which a copy of one's own is the way out of: VG_NO_SPACE, VG_INVALID (the folder, or a
 * file that is another user's), VG_NO_MEMORY. */
typedef struct vg_node_copy vg_node_copy;
vg_status vg_node_copy_open(const char *folder, uint32_t key, size_t bytes, vg_node_copy **copy, bool *whole);
vg_status vg_node_copy_seal(vg_node_copy *copy);
void *vg_node_copy_data(const vg_node_copy *copy);
const char *vg_node_copy_path(const vg_node_copy *copy);
void vg_node_copy_free(vg_node_copy *copy);

struct vg_model {
    vg_device *device;
    vg_config config;
    vg_precision precision; /* of products */
    vg_stream *stream;      /* NULL: all blocks are there */
    bool paper;             /* the stream is but for a plan, which may have all blocks there */
    size_t bytes;           /* device and host memory that it holds */
    float *memory;          /* device: all that follows */
    vg_node_copy *shared;   /* whose data `memory` is, or NULL */
    float *embedding, *position;
    vg_norm_weights final_norm;
    vg_linear head;
    vg_block *blocks;       /* host array, (layers) */
    float *cosine, *sine;   /* (positions, rotary / 2) */
    float *host_embedding;  /* host; on the CPU, `embedding` itself */
    int64_t before, stride; /* numbers before the blocks, and of one block, in `memory` */
    uint32_t hash;
};

/* Gives every tensor its place in the arena; blocks that are streamed share one. Errors: VG_NO_MEMORY. */
vg_status vg_weights_take(vg_model *model, vg_arena *arena);

/* Holds the files against what config and family call for. `prefix`: before the tensors' names in these files.
 * Errors: VG_INVALID (tensor missing, left over, of another shape or type: file, name, shape found and shape expected). */
vg_status vg_weights_check(const vg_model *model, const char *folder, const char *prefix, const vg_tensors *tensors);

/* Fills every place: from the files, or, where `tensors` is NULL, from the seed. Errors: VG_INVALID (a not-a-number in a tensor),
 * VG_NO_MEMORY. */
vg_status vg_weights_fill(const vg_model *model, const char *prefix, const vg_tensors *tensors, uint64_t seed);

/* Room for a block's largest tensor, to bring blocks by. Errors: VG_NO_MEMORY. */
vg_status vg_weights_stream(vg_model *model);

/* Has block l's weights in their place. */
vg_status vg_model_bring(const vg_model *model, int64_t l);

#endif
