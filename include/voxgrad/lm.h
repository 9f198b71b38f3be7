/* lm: decoder language models from Hugging Face folders; their tokenizers; and the one engine of explanations:
 * prefix, forward, vjp, jvp on batches of rows. Nothing here is collective. */
#ifndef VOXGRAD_LM_H
#define VOXGRAD_LM_H

#include "voxgrad/base.h"
#include "voxgrad/device.h"

/* ---- tokenizer ---------------------------------------------------------------------------------------------------- */

typedef struct vg_tokenizer vg_tokenizer;

/* The tokens of a text: ids, and for each the bytes [begin, end) of the text, as it was before normalization, that it covers. Of a
 * multi-byte character that became several byte tokens: the whole character. Of a character that only the normalizer put there (the
 * blank before the first word): that of the character it stands before. Tokens may cover a blank before their word, and may overlap. */
typedef struct {
    int64_t count;
    int32_t *ids;
    int64_t *begin, *end;
} vg_tokens;

/* Reads tokenizer.json (BPE: byte-level, or SentencePiece-style with byte fallback): what the `tokenizers` library of Hugging Face does
 * with it, ids and offsets alike. Its keys `truncation` and `padding` are not used. A tokenizer may be used by many threads at once.
 * Errors: VG_INVALID (not there, not JSON, a kind that is not supported: which, and what is), VG_NO_MEMORY. */
vg_status vg_tokenizer_open(const char *path, vg_tokenizer **tokenizer);
void vg_tokenizer_close(vg_tokenizer *tokenizer);

/* Encodes `size` bytes of UTF-8, without BOS or other additions of the post-processor. `tokens` is the caller's: vg_tokens_free.
 * Takes n log n time, also where the tokenizer splits nothing. As in the reference, a character that has neither token nor byte tokens
 * becomes the tokenizer's unknown token, or nothing where it has none. Errors: VG_INVALID (not UTF-8, longer than 2 GB). */
vg_status vg_tokenizer_encode(const vg_tokenizer *tokenizer, const char *text, size_t size, vg_tokens *tokens);
void vg_tokens_free(vg_tokens *tokens);

/* The text of ids, special tokens included; a new string, to be given to free(). Bytes that are no UTF-8 become U+FFFD.
 * Errors: VG_INVALID (an id that is not in the vocabulary). */
vg_status vg_tokenizer_decode(const vg_tokenizer *tokenizer, const int32_t *ids, int64_t count, char **text);

/* The id of an added or ordinary token by its exact text, or -1; the number of ids (the greatest one plus 1). */
int32_t vg_tokenizer_id(const vg_tokenizer *tokenizer, const char *token);
int64_t vg_tokenizer_size(const vg_tokenizer *tokenizer);

/* The id that the post-processor puts first, or -1 where it puts none. */
int32_t vg_tokenizer_bos(const vg_tokenizer *tokenizer);

/* ---- model -------------------------------------------------------------------------------------------------------- */

typedef struct vg_model vg_model;

typedef struct {
    const char *family;                                                                  /* row of the table of families ("llama") */
    int64_t vocabulary, width, layers, heads, kv_heads, head_size, mlp_width, positions; /* positions: the longest window */
    int32_t bos;                                                                         /* the config's bos token, or -1 */
    int32_t pad;                                                                         /* its pad token, or -1 */
    vg_norm_kind norm;
    float norm_eps;
    bool learned_positions, has_biases;
    int64_t block_parameters; /* entries of one block's matrices: 2 FLOPs each a position */
} vg_model_shape;

/* memory: bytes of device and host memory that the model may hold, 0: no limit. Where float32 weights do not fit, the blocks are read from
 * the files (as they are kept there, by memory map) and converted one by one whenever they are run; no number changes by that.
 * random: the same shapes with random weights from `seed` (an untrained copy; config.json is enough): matrices are normal with the config's
 * initializer_range (0.02 where it has none), norms 1, biases 0. precision: of products, where the device is faster with less.
 * share: a folder of this node, or NULL: processes that open the same model on the CPU with the same folder hold one copy of its weights
 * between them, in a file there that the last of them removes. Where that cannot be, each holds its own, with a line in the log. sharers:
 * how many they are, each of which counts its part of the copy against `memory`; 0 or 1: the whole is counted.
 * paper: for a plan alone: what vg_model_bytes and vg_model_is_streamed say is planned for as ever, but nothing is read but what is outside
 * of the blocks, and vg_model_hash is of the config. */
typedef struct {
    bool random;
    uint64_t seed;
    int64_t memory;
    vg_precision precision;
    const char *share;
    int sharers;
    bool paper;
} vg_model_options;

/* Opens FOLDER/config.json and model.safetensors (or the sharded index) and puts the weights on the device in float32.
 * options may be NULL. The model is the caller's (vg_model_close) and keeps the device, which must outlive it.
 * Errors, before any work: VG_INVALID naming the file and the key or tensor, with the shape found and the one expected; VG_NO_MEMORY. */
vg_status vg_model_open(vg_device *device, const char *folder, const vg_model_options *options, vg_model **model);

/* A model of the shape that a config.json's text describes, with random weights from `seed` (for measuring). Errors: as above. */
vg_status vg_model_draw(vg_device *device, const char *config, uint64_t seed, vg_model **model);
void vg_model_close(vg_model *model);
const vg_model_shape *vg_model_get_shape(const vg_model *model);
vg_device *vg_model_device(const vg_model *model);

/* Device and host memory that the model holds; whether its blocks are brought one by one; whether the node's processes hold it together. */
size_t vg_model_bytes(const vg_model *model);
bool vg_model_is_streamed(const vg_model *model);
bool vg_model_is_shared(const vg_model *model);

/* CRC32C over config and weights (of a random copy: config and seed), for provenance and plans. */
uint32_t vg_model_hash(const vg_model *model);

/* The embedding table (vocabulary, width), on the host; owned by the model. */
const float *vg_model_embedding(const vg_model *model);

/* ---- the engine (attribution.md, "One engine" and "The causal cone") ------------------------------------------------ */

/* A batch of B = groups x members rows (row b = group * members + member), LEFT-padded: every row ends at the same, last position,
 * where f is read. The members of a group share one prefix; a row is what it sees of the prefix, then its own tokens. Its position
 * numbers count from 0 at its first real token, padding left out. All pointers are host memory but `embeddings`; they are read
 * during the call, never kept. */
typedef struct vg_prefix vg_prefix;
typedef struct {
    int64_t groups, members, length;
    const int32_t *start;    /* (B) the row's own real tokens are start[b] .. length - 1; NULL: all */
    const int32_t *tokens;   /* (B, length); what stands before start[b] does not matter. NULL where embeddings are given */
    const float *embeddings; /* device, (B, length, width), before positions are added, finite in the padding too; NULL: looked up */
    const uint8_t *hidden;   /* (B, prefix + length): not 0 for keys that nobody attends to; NULL: none */
    const uint8_t *silent;   /* (B, length): not 0 for own tokens whose value vectors are zero in every block; NULL: none */
    const vg_prefix *prefix; /* of `groups` rows; NULL: none */
    const int32_t *seen;     /* (B) the row sees the prefix's positions before seen[b] only and goes on from there; NULL: all */
} vg_rows;

/* What forward left: what vjp and jvp need, and what spaces read. Device memory of the engine's arena, valid until the engine is
 * reset or released. S = length. Unless `everywhere`, the last block and the head are computed at the last position alone. */
typedef struct vg_tape {
    int64_t groups, members, length, prefix; /* prefix: positions of the prefix, 0 without */
    bool kept, everywhere;
    float **layer;         /* [0 .. layers]: (B, S, width): what enters the first block (embedding and learned position), then each block's
                            * output; [layers]: (B, 1, width) unless everywhere */
    float *final;          /* (B, 1, width) after the final norm; (B, S, width) where everywhere */
    float *logits;         /* (B, 1, vocabulary); (B, S, vocabulary) where everywhere */
    float **attention;     /* [0 .. layers - 1]: weights from the last position: (groups, kv_heads, members, heads / kv_heads, prefix + S);
                            * query head h = kv_head * (heads / kv_heads) + repeat */
    struct vg_pass *inner; /* the engine's own */
} vg_tape;

/* Cotangents from one backward sweep over positions from .. S - 1 (earlier ones cannot be asked for and cost nothing).
 * Zero in the padding. `layer` and `attention` are NULL unless asked for. */
typedef struct {
    int64_t from;
    float *input;      /* (B, S - from, width): df/dx, before positions */
    float **layer;     /* [0 .. layers] df/dy of tape->layer[l]: (B, S - from, width), [layers]: (B, 1, width) unless everywhere */
    float **attention; /* [0 .. layers - 1] df/d(what block l's attention writes to the residual), shaped like layer[l + 1];
                        * what its MLP writes has layer[l + 1] itself */
} vg_cotangents;

/* Tangents from one forward sweep: d/da along each direction. */
typedef struct {
    int64_t directions;
    float **layer;     /* [0 .. layers]: (directions, B, S, width), [layers]: (directions, B, 1, width) unless everywhere */
    float **attention; /* [0 .. layers - 1]: of what block l's attention writes to the residual, shaped like layer[l + 1]; what its
                        * MLP writes is layer[l + 1] - layer[l] - attention[l] */
    float *logits;     /* (directions, B, vocabulary) at the last position; NULL unless asked for */
} vg_tangents;

/* An engine works in one arena of `bytes` of device memory, taken in order and given back all at once (reset) or down to a mark
 * (release). Callers may take their own pieces from it (vg_engine_arena); what they take lives and dies with the rest. */
typedef struct vg_engine vg_engine;
vg_status vg_engine_create(vg_model *model, size_t bytes, vg_engine **engine);
void vg_engine_free(vg_engine *engine);
vg_arena *vg_engine_arena(vg_engine *engine);

typedef struct {
    size_t device, host;
} vg_mark;
vg_mark vg_engine_mark(const vg_engine *engine);
void vg_engine_release(vg_engine *engine, vg_mark mark);
void vg_engine_reset(vg_engine *engine);

/* The embeddings of `count` tokens (host, all in the vocabulary) to x (count, width), device, before positions: for rows whose embeddings
 * are wanted themselves. Takes 4 bytes a token, up to 256, of the arena. */
vg_status vg_engine_embed(vg_engine *engine, int64_t count, const int32_t *tokens, float *x);

/* What one batch is going to ask, to know its memory beforehand: prefix, then forward, then (where vjp) vjp, then (where directions > 0)
 * jvp, without a release between. The bytes are those that these calls take, exactly (the calls themselves are run on paper);
 * `others` are the caller's own pieces. Errors: VG_INVALID (larger than 32-bit indices reach). */
typedef struct {
    int64_t groups, members, length, prefix;
    bool keep, everywhere, masked; /* masked: rows have hidden, seen, or, with a prefix, start */
    bool vjp, layers;              /* layers: of vjp */
    int64_t from;
    int64_t directions;
    bool prefix_moves, logits; /* of jvp: a tangent through the prefix; tangents of the logits */
    size_t others;
} vg_load;
vg_status vg_engine_bytes(const vg_model *model, const vg_load *load, size_t *bytes);

/* The work of the load's matrix products, 2 m n k each: what vg_device_flops counts when it is done. */
vg_status vg_engine_flops(const vg_model *model, const vg_load *load, double *flops);

/* Keys and values of every block for `rows` of one member each, to be the prefix of later rows; may itself go on from a prefix (of which
 * it sees everything). keep: leaves a tape for vg_engine_prefix_jvp. */
vg_status vg_engine_prefix(vg_engine *engine, const vg_rows *rows, bool keep, vg_prefix **prefix);

/* One row of a prefix as a prefix of one group, which reads the memory of the whole. Errors: VG_NO_MEMORY. */
vg_status vg_engine_prefix_group(vg_engine *engine, const vg_prefix *whole, int64_t group, vg_prefix **one);

/* keep: leaves what vjp and jvp need; without it the tape has layer, final, logits and attention only.
 * Errors (all of the engine's calls): VG_INVALID (a token out of the vocabulary, a row longer than the model's positions: row and number),
 * VG_NO_MEMORY (the arena is too small), VG_DEFECT (misuse), the device's. */
vg_status vg_engine_forward(vg_engine *engine, const vg_rows *rows, bool keep, bool everywhere, vg_tape **tape);

/* dlogits: device, (B, vocabulary): the gradient of each row's f by its logits at the last position (device operation `target`). */
vg_status vg_engine_vjp(vg_engine *engine, const vg_tape *tape, const float *dlogits, int64_t from, bool layers, vg_cotangents *out);

/* The same from a cotangent of a layer's state at the last position, dstate: device, (B, width): out->input is the gradient of
 * <dstate, tape->layer[layer] at the last position>. Takes what vg_engine_vjp takes at most. */
vg_status vg_engine_vjp_state(vg_engine *engine, const vg_tape *tape, int64_t layer, const float *dstate, int64_t from, vg_cotangents *out);

/* dx: device, (directions, B, S, width), the tangents of the input embeddings. dprefix: the tangent of the tape's prefix
 * (vg_engine_prefix_jvp, same directions), NULL where it does not move. df/da of a row is the dot product of df/dlogits with
 * `logits`, or, for nothing, of df/dlayer[layers] with layer[layers]. */
typedef struct vg_prefix_tangent vg_prefix_tangent;
vg_status vg_engine_jvp(vg_engine *engine, const vg_tape *tape, int64_t directions, const float *dx, const vg_prefix_tangent *dprefix,
                        bool logits, vg_tangents *out);

/* The tangent of a prefix's keys and values; dx: device, (directions, groups, length, width). */
vg_status vg_engine_prefix_jvp(vg_engine *engine, const vg_prefix *prefix, int64_t directions, const float *dx,
                               vg_prefix_tangent **tangent);

#endif
