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
    const char *family;                                    /* row of the table of families ("llama") */
    int64_t vocabulary, width, layers, heads, kv_heads, head_size, mlp_width, positions; /* positions: the longest window */
    int32_t bos;                                           /* the config's bos token, or -1 */
    vg_norm_kind norm;
    float norm_eps;
    bool learned_positions, has_biases;
} vg_model_shape;

/* Opens FOLDER/config.json and model.safetensors (or the sharded index) and puts the weights on the device in float32.
 * random: the same shapes with random weights from `seed` (an untrained copy; config.json is enough).
 * Errors, before any work: VG_INVALID naming the file and the key or tensor, with the shape found and the one expected. */
typedef struct {
    bool random;
    uint64_t seed;
} vg_model_options;
vg_status vg_model_open(vg_device *device, const char *folder, const vg_model_options *options, vg_model **model);
void vg_model_close(vg_model *model);
const vg_model_shape *vg_model_get_shape(const vg_model *model);

/* CRC32C over config and weights, for provenance and plans. */
uint32_t vg_model_hash(const vg_model *model);

/* The embedding table (vocabulary, width), on the host; owned by the model. */
const float *vg_model_embedding(const vg_model *model);

/* ---- the engine (attribution.md, "One engine" and "The causal cone") ------------------------------------------------ */

/* A batch of B = groups x members rows, LEFT-padded: every row ends at the same, last position, where f is read. Row b's real
 * tokens are at positions start[b] .. prefix + length - 1, counted from the prefix's first position; its position numbers count
 * from 0 there. The members of a group share one prefix. All pointers are host memory but `embeddings`. */
typedef struct vg_prefix vg_prefix;
typedef struct {
    int64_t groups, members, length;
    const int32_t *start;      /* (B) */
    const int32_t *tokens;     /* (B, length); what stands before start[b] does not matter (but must be >= 0) */
    const float *embeddings;   /* device, (B, length, width), before positions are added; NULL: looked up from the tokens */
    const uint8_t *hidden;     /* (B, prefix + length): keys that nobody attends to; NULL: none */
    const vg_prefix *prefix;   /* NULL: none */
} vg_rows;

/* What forward left: everything that vjp and jvp need, and what spaces read. Device memory of the engine's arena, valid until
 * vg_engine_reset. S = length; in the last block only the last position is computed unless `everywhere`. */
typedef struct {
    vg_rows rows;
    int64_t prefix;              /* positions of the prefix, 0 without */
    bool everywhere;
    float **layer;               /* [0 .. layers]: (B, S, width) input embedding, then each block's output; [layers]: (B, 1, width) unless everywhere */
    float *final;                /* (B, 1, width) after the final norm; (B, S, width) where everywhere */
    float *logits;               /* (B, 1, vocabulary); (B, S, vocabulary) where everywhere */
    float **attention;           /* [layers]: (groups, kv_heads, members, heads / kv_heads, queries, prefix + S); queries = S, 1 in the last block */
    struct vg_tape_layer *inner; /* the engine's own */
} vg_tape;

/* Cotangents from one backward sweep over positions from .. S - 1 (earlier ones cannot be asked for and cost nothing). */
typedef struct {
    float *input;  /* (B, S - from, width): df/dx, before positions */
    float **layer; /* [0 .. layers]: (B, S - from, width) df/dy of each block's output, [layers]: (B, 1, width); NULL unless asked for */
} vg_cotangents;

typedef struct vg_engine vg_engine;

/* An engine works in one arena of `bytes` of device memory; vg_engine_bytes says what a batch takes (an upper bound). */
vg_status vg_engine_create(vg_model *model, size_t bytes, vg_engine **engine);
void vg_engine_free(vg_engine *engine);
void vg_engine_reset(vg_engine *engine);

/* keep: what later calls may ask of the tape. NONE gives layers, final and logits only. */
typedef enum { VG_KEEP_NONE, VG_KEEP_TAPE } vg_keep;

vg_status vg_engine_prefix(vg_engine *engine, const vg_rows *rows, vg_prefix **prefix);
vg_status vg_engine_forward(vg_engine *engine, const vg_rows *rows, vg_keep keep, bool everywhere, vg_tape **tape);
/* dlogits: device, (B, vocabulary), the gradient of each row's f (device op `target`). */
vg_status vg_engine_vjp(vg_engine *engine, const vg_tape *tape, const float *dlogits, int64_t from, bool layers, vg_cotangents *out);

#endif
