/* attribution: the words before each word of a story, and what they did to the model's prediction of it. Feature spaces are rows of
 * one table (spaces.c); their definitions are attribution.md's. Words are rows everywhere. Nothing here is collective: a block of words
 * is one unit of work, and its values depend on the block alone. */
#ifndef VOXGRAD_ATTRIBUTION_H
#define VOXGRAD_ATTRIBUTION_H

#include "voxgrad/base.h"
#include "voxgrad/device.h"
#include "voxgrad/lm.h"

/* ---- a story as tokens --------------------------------------------------------------------------------------------- */

/* The joined text tokenized once. A token belongs to the word that holds its last character (the space before a word is that word's), so
 * word w has the tokens first[w] .. first[w + 1] - 1; none where a tokenizer drew it into its neighbour. */
typedef struct {
    int64_t words, tokens;
    int32_t *ids;   /* (tokens) */
    int64_t *first; /* (words + 1) */
} vg_passage;

/* text: the words joined by single spaces; word_end[w]: the byte after word w. To be given to vg_passage_free.
 * Errors: the tokenizer's; VG_INVALID (an id beyond the model's `vocabulary`). */
vg_status vg_passage_create(const vg_tokenizer *tokenizer, int64_t vocabulary, const char *text, size_t size, const int64_t *word_end, int64_t words,
                            vg_passage *passage);
void vg_passage_free(vg_passage *passage);

/* ---- what is asked for --------------------------------------------------------------------------------------------- */

/* One entry of a study's `features`. */
typedef struct {
    const char *method; /* row of the table of spaces */
    const char *name;   /* the dataset's name; NULL: the method */
    int64_t words;      /* K: words before the target that are attributed */
    bool all_layers, final_layer; /* activations: every layer 00 .. layers, and `final`; or the list */
    const int64_t *layers;
    int64_t layer_count;
    bool reduce_mean;   /* gradient_norm: the mean over a word's tokens instead of their sum */
} vg_space_request;

/* The methods there are, NULL at the end (for messages and --help). */
const char *const *vg_space_methods(void);

typedef struct {
    int64_t words;         /* words of context before each word */
    vg_target_kind target; /* of the first token of the word */
    bool argmax;           /* the model's own choice instead of the token that was heard */
    bool bos;              /* the model's BOS in front */
} vg_context;

/* What limits and fixes the batches: part of a run's plan. */
typedef struct {
    int64_t batch_tokens; /* window positions a block may hold (at least one word goes through) */
} vg_attribution_plan;

/* One dataset: a space, or one layer of it. */
typedef struct {
    const char *method, *name;
    char layer[16]; /* "03", "final"; "" where the space has none */
    int64_t columns;
    bool sees_word; /* whether row n has seen word n */
    double scale;   /* unused columns are 0 */
} vg_output;

typedef struct {
    int64_t first, count; /* words */
    double cost;          /* counted FLOPs, about */
} vg_word_block;

/* ---- the work ------------------------------------------------------------------------------------------------------- */

typedef struct vg_attribution vg_attribution;

/* Keeps model and passage, which must outlive it; copies the rest. To be given to vg_attribution_free.
 * Errors: VG_INVALID (unknown method, a layer beyond the model's, a window longer than the model's positions, K beyond the context),
 * VG_NO_MEMORY (the engine's arena). */
vg_status vg_attribution_create(vg_model *model, const vg_passage *passage, const vg_context *context, const vg_space_request *requests, int64_t count,
                                const vg_attribution_plan *plan, vg_attribution **attribution);
void vg_attribution_free(vg_attribution *attribution);

int64_t vg_attribution_outputs(const vg_attribution *attribution, const vg_output **outputs);
int64_t vg_attribution_blocks(const vg_attribution *attribution, const vg_word_block **blocks);

/* Device memory of the largest block, bytes; and counted FLOPs of all blocks. */
size_t vg_attribution_bytes(const vg_attribution *attribution);
double vg_attribution_flops(const vg_attribution *attribution);

/* One block: values[i] and valid[i] are host (block's words, outputs[i].columns), written whole. */
vg_status vg_attribution_run(vg_attribution *attribution, int64_t block, float *const *values, uint8_t *const *valid);

#endif
