/* path.h: what the parts of path integrals share: an integral to its tolerance (integral.c), a window as nodes (path_tile.c), and the walk
 * over a word's nodes (path.c). */
#ifndef VG_ATTRIBUTION_PATH_H
#define VG_ATTRIBUTION_PATH_H

#include "sweep.h"

enum { VG_MOST_NODES = 64 };

/* One entry's integral of one word. */
typedef struct {
    vg_entry *entry;
    int64_t size, columns;   /* of the integrand; of all outputs */
    double *sum;             /* (size) over nodes, half at both ends */
    double *integral;        /* (size) */
    double *values, *before; /* (columns) with the panels so far, and with half of them */
    double *change[2];       /* (outputs) norm of the outputs' last change, and of the one before */
    double rate, error;      /* rate: the sum of df/da, like sum */
    int64_t nodes;
    bool active, rated; /* rated: the residual is taken for this word */
} vg_path_integral;

vg_status vg_integrals_make(vg_attribution *a, int64_t sweep, vg_path_integral **made, int64_t *count);
void vg_integrals_free(vg_path_integral *all, int64_t count);
void vg_integral_begin(vg_path_integral *integral, int64_t word);

/* The outputs' values with `panels` panels; from 16 on, whether that is enough. change: f(x) - f(x'). */
void vg_integral_evaluate(const vg_attribution *a, vg_path_integral *integral, int64_t panels, double change);

/* Whether all that moves is attributed, so that the scores themselves say what their sum is. */
bool vg_is_attributed(const vg_entry *entry);

/* A window of a word as rows of nodes: its own positions, on the device. */
typedef struct {
    const vg_window *window;
    int64_t length, attributed; /* own positions; the first of them that belongs to the K words */
    int32_t seen, target;
    int32_t *segment;             /* host (K + 3) */
    uint8_t *moved;               /* device (length) */
    float *x, *base, *difference; /* device (length, width) */
} vg_path_track;

typedef struct {
    vg_attribution *a;
    const vg_sweep_plan *plan;
    vg_prefix *prefix; /* of the word's group; NULL: nothing stays real before what moves */
    int64_t tracks;    /* parts of the word */
    vg_path_track *track;
    vg_path_integral *integrals;
    int64_t count;
    double ends[2];       /* f(x), f(x') */
    double *part, *total; /* host: the integrand of one track at the nodes of a tile, and of all: (VG_MOST_NODES, largest size) */
} vg_path_walk;

/* What a tile says of its nodes beside the integrands: f; df/da by the jvp; and the sum of all scores, which is df/da where all that moves
 * is attributed. */
typedef struct {
    double f[VG_MOST_NODES], rate[VG_MOST_NODES], attributed[VG_MOST_NODES];
} vg_path_reading;

/* The window of row b: its embeddings, baseline and difference on the device. Takes from the engine's arena; track->segment is the caller's
 * to free. */
vg_status vg_track_begin(vg_path_walk *walk, const vg_batch *batch, int64_t b, vg_path_track *track);

/* `nodes` nodes of one track, at place (0: x' .. 1: x): their integrands added to walk->total, the rest to r. */
vg_status vg_track_run(vg_path_walk *walk, vg_path_track *track, int64_t nodes, const float *place, vg_path_reading *r);

#endif
