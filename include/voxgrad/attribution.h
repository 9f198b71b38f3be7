/* attribution: the words before each word of a story, and what they did to the model's prediction of it. Feature spaces are rows of
 * one table (src/attribution/spaces.c). Words are rows everywhere. Nothing here is collective: a block of words is one unit of work, and
 * a space's values depend on the block and on the space's own entry, never on what else is asked for.
 *
 * The window of word n: BOS (where asked for), then the tokens before the word; f is read at its last position. K words before word n are
 * attributed: column j belongs to word n - K + j. */
#ifndef VOXGRAD_ATTRIBUTION_H
#define VOXGRAD_ATTRIBUTION_H

#include "voxgrad/base.h"
#include "voxgrad/device.h"
#include "voxgrad/lm.h"

typedef struct vg_attribution vg_attribution;

/* ---- a story as tokens --------------------------------------------------------------------------------------------- */

/* The joined text tokenized once. A token belongs to the word that holds its last character (the space before a word is that word's), so
 * word w has the tokens first[w] .. first[w + 1] - 1; none where a tokenizer drew it into its neighbour. */
typedef struct {
    int64_t words, tokens;
    int32_t *ids;        /* (tokens) */
    int64_t *first;      /* (words + 1) */
    int32_t *characters; /* (words) of the word's text; NULL: not known */
    uint8_t *ends;       /* (words) 1 where a sentence ends: the word's text closes with . ! or ?; NULL: not known */
    double *onset;       /* (words) s; NULL: not known (vg_passage_create does not: set it) */
} vg_passage;

/* text: the words joined by single spaces; word_end[w]: the byte after word w. To be given to vg_passage_free.
 * Errors: the tokenizer's; VG_INVALID (an id beyond the model's `vocabulary`). */
vg_status vg_passage_create(const vg_tokenizer *tokenizer, int64_t vocabulary, const char *text, size_t size, const int64_t *word_end,
                            int64_t words, vg_passage *passage);
void vg_passage_free(vg_passage *passage);

/* ---- what is asked for --------------------------------------------------------------------------------------------- */

/* One entry of a study's `features`. Choices are texts, as in the study; NULL (and 0 of a number) is the default. */
typedef struct {
    const char *method;           /* row of the table of spaces */
    const char *name;             /* the dataset's name; NULL: the method */
    int64_t words;                /* K: words before the target that are attributed */
    bool all_layers, final_layer; /* spaces with a dataset per layer: 00 .. layers (and `final`, of activations), or the list */
    const int64_t *layers;
    int64_t layer_count;
    const char *reduce;    /* over a word's tokens: sum, mean, l1, l2; which of them depends on the method */
    const char *normalize; /* each row: none, sum (its magnitudes sum to 1), max (its largest magnitude is 1) */
    const char *sign;      /* keep, abs */
    const char *at;        /* activations: context, word */
    const char *erase;     /* erasure: delete, zero, replace, mask, value_zeroing */
    int32_t replacement;   /* erasure by replace: the token */
    /* integrated_gradients, layer_conductance, layer_influence */
    const char *path;     /* window: the whole window moves; recent: the K words alone */
    const char *baseline; /* mean_scaled, mean, zero, token */
    int32_t baseline_token;
    double baseline_scale;  /* 1: a factor on it */
    double tolerance;       /* 1e-2: of a word's scores, relative */
    int64_t max_steps;      /* 256: panels at most, 16 2^n */
    int64_t steps;          /* exactly so many panels (steps + 1 nodes), whatever the error; 0: to the tolerance */
    int64_t residual_every; /* 16: integrated_gradients with path window: every so many words; 0: the default, < 0: never */
    bool strict;            /* a word that does not converge is an error */
    const char *site;       /* layer_conductance of a block's output, or of what its mlp or attn writes: block, mlp, attn */
    const char *positions;  /* layer_conductance: last, sum */
    bool by_word;           /* layer_conductance: K columns, the part of each input word */
    const char *form;       /* layer_influence: net, l1, share */
    int64_t size;           /* random: columns */
    double ar1;             /* random: autocorrelation from word to word */
    uint64_t seed;          /* random */
} vg_space_request;

/* The methods there are, NULL at the end (for messages and --help). */
const char *const *vg_space_methods(void);

/* Whether a method (with by_word, where it has that) gives one number for each of the K words. */
bool vg_space_scores_words(const char *method, bool by_word);

typedef enum {
    VG_CONTEXT_SLIDING,  /* the window's start moves with every word */
    VG_CONTEXT_ANCHORED, /* it stays while the window grows from half its length to all of it, then moves on by half */
    VG_CONTEXT_GROWING,  /* it stays at the story's beginning until the model takes no more */
} vg_context_mode;

typedef struct {
    vg_context_mode mode;
    int64_t words;         /* words of context before each word; */
    int64_t tokens;        /* or, above 0, tokens of it */
    vg_target_kind target; /* kl: the divergence of the prediction from the one that BOS alone gives */
    bool argmax;           /* the model's own choice instead of the token that was heard */
    bool whole_word;       /* all tokens of the word, each after those before it, instead of the first: their sum */
    bool bos;              /* the model's BOS in front */
    const float
        *seed; /* NULL, or (words, width): gradient_norm and gradient_x_input explain not the prediction of word n but the product of */
    int64_t seed_layer; /* seed's row n with this layer's state at the last position before it; outlives the attribution */
} vg_context;

/* What limits and fixes the batches: part of a run's plan. */
typedef struct {
    int64_t batch_tokens; /* window positions a batch may hold (at least one window goes through) */
    size_t bytes;         /* device memory that a batch may take: batch_tokens is halved until it does; 0: no limit */
} vg_attribution_plan;

/* What a batch may take where a run may hold `memory` bytes beside this model: the rest, but at most half of the model's own or 1.25 GB. */
size_t vg_attribution_room(const vg_model *model, int64_t memory);

/* One dataset: a space, or one layer of it. */
typedef struct {
    const char *method, *name;
    char layer[16]; /* "03", "final"; "" where the space has none */
    int64_t columns;
    bool sees_word;        /* whether row n has seen word n */
    bool path;             /* a path method: nodes, residual and error for every word, the same for all layers of the entry */
    double tolerance;      /* of a path method; 0: a fixed number of steps */
    double baseline_ratio; /* of a path method: the baseline's norm over the median norm of the embeddings */
} vg_output;

/* The name of a column ("word -3", "unit 17", "layer 02 head 05 word -1"): of outputs[output]. */
void vg_attribution_column(const vg_attribution *attribution, int64_t output, int64_t column, char *name, size_t size);

typedef struct {
    int64_t first, count; /* words */
    double cost;          /* counted FLOPs, about */
} vg_word_block;

/* ---- the work ------------------------------------------------------------------------------------------------------- */

/* Keeps model and passage, which must outlive it; copies the rest. To be given to vg_attribution_free.
 * Errors: VG_INVALID (unknown method or choice, a layer beyond the model's, a window longer than the model's positions, K beyond the
 * context), VG_NO_MEMORY (one window takes more than plan->bytes: how much). */
vg_status vg_attribution_create(vg_model *model, const vg_passage *passage, const vg_context *context, const vg_space_request *requests,
                                int64_t count, const vg_attribution_plan *plan, vg_attribution **attribution);
void vg_attribution_free(vg_attribution *attribution);

int64_t vg_attribution_outputs(const vg_attribution *attribution, const vg_output **outputs);
int64_t vg_attribution_blocks(const vg_attribution *attribution, const vg_word_block **blocks);

/* What the user should know of an entry's choices before it is run ("baseline zero: ..."), one text after another; NULL after the last. */
const char *vg_attribution_warning(const vg_attribution *attribution, int64_t index);

/* The batch_tokens that the plan came to. */
int64_t vg_attribution_batch(const vg_attribution *attribution);

/* Gives back device memory until the next block is run. */
void vg_attribution_rest(vg_attribution *attribution);

/* Device memory of the largest block, bytes; and counted FLOPs of all blocks. */
size_t vg_attribution_bytes(const vg_attribution *attribution);
double vg_attribution_flops(const vg_attribution *attribution);

/* Where a block's results go, host memory, an array per output, written whole: values and valid (block's words, columns); of path methods
 * also (block's words): nodes used (0 where the word has no value), residual |sum of all scores - (f(x) - f(x'))| (NaN where it was not
 * taken), and the error reached, relative, as extrapolated (NaN where it is not known: a fixed number of steps). These three may be NULL,
 * and so may each array of them; layers of one entry get the same. */
typedef struct {
    float *const *values;
    uint8_t *const *valid;
    int32_t *const *nodes;
    float *const *residual, *const *error;
} vg_block_values;

/* Room for the results of a block of at most `words` words. To be given to vg_block_values_free, after a failure too; that
 * takes one that is all NULL. Errors: VG_NO_MEMORY. */
vg_status vg_block_values_create(const vg_attribution *attribution, int64_t words, vg_block_values *values);
void vg_block_values_free(const vg_attribution *attribution, vg_block_values *values);

/* One block. Errors: the engine's; VG_INVALID (`strict`, and a word did not converge: which). */
vg_status vg_attribution_run(vg_attribution *attribution, int64_t block, const vg_block_values *values);

/* f of a block's words with sets of the `words` words before each of them erased, all that came earlier being as it was: the tokens
 * deleted, or (mask) hidden from attention. gone (sets, block's words, `words`): not 0 where the word goes; column j is word n - words + j.
 * whole (block's words): f(x); f (sets, block's words). NaN where a word has no prediction, and in f where none of the erased words is in
 * the window or no token would be left. Errors: the engine's. */
vg_status vg_attribution_erase(vg_attribution *attribution, int64_t block, int64_t words, bool mask, int64_t sets, const uint8_t *gone,
                               double *whole, double *f);

/* Words of path methods that did not converge by max_steps so far, summed over entries. */
int64_t vg_attribution_unconverged(const vg_attribution *attribution);

#endif
