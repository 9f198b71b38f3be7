/* sweep: one batch of windows through the model, and what the spaces read from it. Known to attribution alone. */
#ifndef VOXGRAD_ATTRIBUTION_SWEEP_H
#define VOXGRAD_ATTRIBUTION_SWEEP_H

#include "voxgrad/attribution.h"

/* Where the window of a word lies: BOS (maybe) and the tokens from .. to - 1 of the passage. */
typedef struct {
    int64_t word, from, to, length; /* length: with BOS */
} vg_window;

/* The windows of one block, left-padded: prefix + length positions, of which the last `length` hold the K attributed words of every row. */
typedef struct {
    int64_t rows, prefix, length;
    vg_window *windows;      /* (rows) */
    int32_t *prefix_start;   /* (rows) first real position in the prefix */
    int32_t *seen;           /* (rows) prefix: all of it is seen; 0: the row is shorter, and its prefix is one token that nobody sees */
    int32_t *start;          /* (rows) first real position of the row's own */
    int32_t *prefix_tokens;  /* (rows, prefix) */
    int32_t *tokens;         /* (rows, length) */
    int32_t *target;         /* (rows) the token that was heard */
    int32_t *segment;        /* (rows * (K + 1) + 1) offsets into the rows * length positions: what comes before the K words, then each word */
} vg_batch;

typedef struct {
    int64_t words;      /* K */
    bool gradient;      /* whether any space of the sweep wants df/dx */
    vg_device *device;
    int64_t width, layers;
    const vg_batch *batch;
    const vg_tape *tape;
    float *x;               /* device (rows, length, width): the input embeddings */
    const float *gradients; /* device (rows, length, width): df/dx, or NULL */
    int32_t *segment;       /* device copy of batch->segment */
    float *product;         /* device (rows, length, width), free to use */
    float *reduced;         /* device (rows * (K + 1)) */
    float *host;            /* host (rows * (K + 1)) */
} vg_sweep;

typedef struct vg_space vg_space;

/* An entry of the study, resolved against the model. */
typedef struct {
    const vg_space *space;
    vg_space_request request;
    char *name;
    int64_t *layers;     /* layer of each output; the model's layer count + 1 stands for `final` */
    int64_t outputs, first_output, sweep;
} vg_entry;

/* A row of the table of spaces. */
struct vg_space {
    const char *method;
    bool gradient;  /* reads df/dx */
    bool layered;   /* a dataset per layer, `width` columns; else K columns */
    bool sees_word; /* through the target, when that is the heard token */
    /* Fills values (rows, columns), host, for output `index` of the entry. */
    vg_status (*compute)(const vg_sweep *sweep, const vg_entry *entry, int64_t index, float *values);
};

const vg_space *vg_space_find(const char *method);

/* batch.c */
void vg_window_of(const vg_passage *passage, const vg_context *context, bool bos, int64_t word, vg_window *window);
vg_status vg_batch_make(const vg_passage *passage, const vg_context *context, int32_t bos, int64_t k, const vg_word_block *block, vg_batch *batch);
void vg_batch_free(vg_batch *batch);

#endif
