/* choices: what compares spaces. A choice is the best of several spaces, chosen per voxel and outer fold on inner folds and scored on outer
 * test rows: a layered space's best layer, a family's best space. Its null makes the same choice under every shift, so that many spaces
 * gain nothing over one. What must be remembered of each shift is one running best, not a map a space. choices.c: which there are, and
 * their running best; evidence.c: a choice, or the difference of two sources, against the null; layers.c, families.c, contrasts.c: what is
 * written of them. Known to study alone. */
#ifndef VOXGRAD_STUDY_CHOICES_H
#define VOXGRAD_STUDY_CHOICES_H

#include "statistics.h"

/* Rows of a choice's state after the inner and outer scores of each outer fold: for a layered space alone. */
enum { STATE_INNER, STATE_PREFERRED, STATE_ODD, STATE_ODD_LAYER, STATE_EVEN, STATE_EVEN_LAYER, STATE_ROWS };

typedef struct {
    char *model, *name; /* of a layered space; model "": a family */
    int64_t *spaces, count;
    bool layered;
    float **state;   /* (views) -> (rows, voxels) */
    int64_t *center; /* layered, with a null: (2, voxels + derived.total) sum over layers of excess x layer and of excess, in 2^-40 */
    uint8_t *passes; /* layered, with a null: (voxels) the best layer passes */
    int64_t *inner;  /* and the same voxels in all subjects: (count, derived.group) sum over subjects of inner scores, in 2^-40 */
    int64_t score, p, preferred, center_map; /* datasets of the first subject; the others follow, `each` further on */
    int64_t each;
    int64_t mean, sem, group_p, group_q, group_preferred, group_center;
} fit_choice;

/* A space or a choice; the other is -1. */
typedef struct {
    int64_t space, choice;
} fit_source;

/* a less b: a contrast, over subjects alone; or two families, with a winner in every voxel. */
typedef struct {
    fit_source a, b;
    char *a_name, *b_name;
    bool families;
    int64_t difference, p, q, winner, each; /* datasets of the first subject */
    int64_t mean, sem, group_p, group_q, group_winner;
    int64_t row; /* of its table, in regions */
} fit_difference;

typedef struct fit_choices {
    int64_t views;       /* the observed responses, and this rank's shifts */
    int64_t outer, rows; /* most outer folds; rows of a layered state */
    fit_choice *choices;
    int64_t choice_count, layered_count; /* layered ones first */
    fit_difference *differences;
    int64_t difference_count, family_differences; /* those of families first */
    bool *chosen, *contrasted;                    /* (space) a member of some choice; a side of some contrast */
    double **kept;                                /* (space, views) -> derived of a contrasted space */
    float **maps;                                 /* (space) -> (voxels) of a contrasted space, where it was summarised */
    double *over;                                 /* (space, views, over.count) region means over subjects */
    int64_t layer_table, family_table, difference_table, contrast_table, correlation_table, influence_table;
    struct fit_influences *influences; /* influence.c */
    struct fit_spins *spins;           /* spins.c */
} fit_choices;

/* ---- which there are (choices.c) --------------------------------------------------------------------------------------------- */

/* prepare, layout, finish and free are called by statistics.c; blocks: how many blocks of work finish commits, from `block` on. */
vg_status vg_choices_prepare(fit_job *job);
vg_status vg_choices_layout(fit_job *job);
int64_t vg_choices_blocks(const fit_job *job);
vg_status vg_choices_finish(fit_job *job, int64_t block);
void vg_choices_free(fit_job *job);

/* MODEL/NAME/LL, MODEL/NAME, NAME/LL, NAME. */
bool vg_space_is(const vg_store_space *space, const char *text);

/* MODEL/NAME[/LL], or a family's name; a new string. */
vg_status vg_source_name(const fit_job *job, fit_source source, char **name);

/* The contrasts of the study, and pairs of families, into the differences (contrasts.c, families.c). */
vg_status vg_contrasts_list(fit_job *job);
vg_status vg_families_list(fit_job *job);
vg_status vg_families_pair(fit_job *job);
vg_status vg_choice_add(fit_choices *c, const char *model, const char *name, bool layered, const int64_t *spaces, int64_t count);
vg_status vg_difference_add(fit_job *job, fit_source a, fit_source b, bool families);

/* ---- while fits are made ------------------------------------------------------------------------------------------------------ */

/* Scores of one space for voxels at .. at + count - 1 of all subjects': inner and fold (outer, ld). view: 0, or 1 + this rank's number of
 * a shift. */
bool vg_choices_want(const fit_job *job, int64_t space);
void vg_choices_take(const fit_job *job, int64_t space, int64_t view, int64_t at, int64_t count, const double *inner, const double *fold,
                     int64_t ld, int64_t outer);

/* Of a whole map of one space: its derived numbers under a view, and the observed map where it is summarised. */
void vg_choices_derived(const fit_job *job, int64_t space, int64_t view, const double *derived);
vg_status vg_choices_observed(const fit_job *job, int64_t space, const float *map, const double *derived);

/* The score of a choice under a view: map (voxels). */
void vg_choice_map(const fit_job *job, const fit_choice *choice, int64_t view, float *map);

/* ---- evidence (evidence.c) -------------------------------------------------------------------------------------------------------- */

/* The observed numbers of a source, or of a difference, and their p: one-sided of a source, of a difference twice the smaller tail. */
typedef struct {
    float *map;      /* (voxels) */
    double *derived; /* (derived.total) */
    double *p;       /* (voxels + derived.total); NULL without a null */
} fit_evidence;

/* b NULL: of a alone. voxels: p of the voxels too (both are choices). Collective; to be given to vg_evidence_free. */
vg_status vg_evidence_collect(fit_job *job, fit_source a, const fit_source *b, bool voxels, fit_evidence *evidence);
void vg_evidence_free(fit_evidence *evidence);

/* The same, handed to `write` with `of` on rank 0, which writes. Collective. */
typedef vg_status evidence_write(fit_job *job, const fit_evidence *evidence, const void *of);
vg_status vg_evidence_settle(fit_job *job, fit_source a, const fit_source *b, bool voxels, evidence_write *write, const void *of);

/* A map of all subjects' voxels to the datasets first, first + each, ... of the subjects; mean, sem, p, q over subjects (-1: none). */
vg_status vg_evidence_write_subjects(fit_job *job, int64_t first, int64_t each, const float *map);
vg_status vg_evidence_write_group(fit_job *job, const fit_evidence *evidence, int64_t mean, int64_t sem, int64_t p, int64_t q);

/* q (voxels): of each subject's voxels. */
vg_status vg_evidence_q(const fit_job *job, const fit_evidence *evidence, double *q);

/* A map of the group's voxels to a dataset: decide says a voxel's number, from its q among them. Nothing where subjects' voxels differ. */
typedef float evidence_decide(const fit_job *job, const fit_evidence *evidence, const void *of, int64_t voxel, double q);
vg_status vg_evidence_write_decided(fit_job *job, const fit_evidence *evidence, int64_t dataset, evidence_decide *decide, const void *of);

/* Rows of a table for every region over subjects, after `before` times as many: region, subjects, mean, sem, low, high[, p, q]; the rest
 * of a region's record is put there by `put`. */
typedef void evidence_put(const fit_job *job, const fit_evidence *evidence, const void *of, int64_t region, fit_record *record);
vg_status vg_evidence_write_table(fit_job *job, const fit_evidence *evidence, int64_t table, int64_t before, evidence_put *put,
                                  const void *of);

/* The members of such a table after those of its own: count is added to. */
void vg_evidence_members(const fit_job *job, vg_store_member *members, int64_t *count);

/* ---- numbers of shifts -------------------------------------------------------------------------------------------- */

/* This rank's shifts against the observed number: how many are no smaller, no larger; their sum, in 2^-40, and how many there are. */
typedef struct {
    int64_t above, below, sum, count;
} fit_tally;
void vg_tally_count(fit_tally *tally, double observed, double x);
vg_status vg_tally_sum(fit_job *job, fit_tally *tallies, int64_t count); /* over the ranks; collective */
double vg_tally_mean(const fit_tally *tally);
double vg_tally_above(const fit_tally *tally); /* p, one-sided */
double vg_tally_both(const fit_tally *tally);  /* p, two-sided */

/* ---- layers (layers.c), families (families.c), contrasts (contrasts.c) --------------------------------------------------------------- */

/* The layers of a space against the mean of the null, for the centre of mass: after the chunk's null. null_sum (voxels + derived.total). */
void vg_layers_center(const fit_job *job, int64_t space, const float *observed, const double *derived, const int64_t *null_sum);

vg_status vg_layers_layout(fit_job *job);
vg_status vg_layers_finish(fit_job *job, int64_t choice); /* one choice that is layered; collective */
vg_status vg_layers_finish_tables(fit_job *job);          /* collective */
vg_status vg_agreement_finish(fit_job *job);              /* agreement.c: /layers/correlation; collective */

/* Spins, the second null of /layers/correlation (spins.c). prepare: spheres are opened and compared with the responses; about: what there
 * is, or why there is nothing, a new string; count: this rank's spins into tallies (pairs, as the table has them). Not collective. */
vg_status vg_spins_prepare(fit_job *job);
vg_status vg_spins_about(const fit_job *job, char **about);
vg_status vg_spins_count(fit_job *job, fit_tally *tallies);
void vg_spins_free(fit_choices *c);

/* Where a spin turns the vertices of both spheres, left first: from (vertices) is the vertex that each takes its layer from. And r of
 * layers y with the layers x so turned, over the vertices that have both (-1: none); NaN of fewer than 3, or where one is constant. */
void vg_spheres_turn(const vg_spheres *spheres, uint64_t seed, int64_t spin, int32_t *from);
double vg_spin_correlation(const int16_t *x, const int16_t *y, const int32_t *from, int64_t vertices);

vg_status vg_influences_list(fit_job *job); /* influence.c: /layers/influence */
int64_t vg_influences_count(const fit_job *job);
vg_status vg_influences_finish(fit_job *job); /* collective */
void vg_influences_free(fit_choices *c);
vg_status vg_families_layout(fit_job *job);
vg_status vg_families_finish(fit_job *job, int64_t choice);      /* one choice that is a family; collective */
vg_status vg_families_compare(fit_job *job, int64_t difference); /* collective */
vg_status vg_contrasts_layout(fit_job *job);
vg_status vg_contrasts_finish(fit_job *job, int64_t difference); /* collective */

/* A float32 dataset over voxels. */
vg_status vg_map_add(fit_job *job, int64_t voxels, const char *units, int64_t *dataset, const char *format, ...)
    __attribute__((format(printf, 5, 6)));

#endif
