/* report: what the files of this room share. A report is loaded once (results.c); figures, tables, maps and the page are made from it.
 * Numbers that are not there are NaN; everything is drawn in the order of the file. Known to report alone. */
#ifndef VOXGRAD_REPORT_REPORT_H
#define VOXGRAD_REPORT_REPORT_H

#include "voxgrad/brain.h"
#include "voxgrad/report.h"
#include "voxgrad/store.h"

/* ---- results.c: results.h5 in memory -------------------------------------------------------------------------------- */

/* One feature space. `whole`: its scores are there (a running study fills one space after another). */
typedef struct {
    char *model, *name, *layer; /* layer: "" where the space has none */
    char *label, *path;         /* for people: without the model where there is one only; MODEL/NAME[/LL] */
    bool control, whole;        /* control: no explanation of the model, but what any explanation must beat */
    int64_t entry;              /* into entries: the layers of one name are one entry */
} report_space;

/* What the study calls a feature: all layers of a model's name. `best`: the layer with the largest mean over voxels and subjects; -1: no
 * layer has a score. */
typedef struct {
    const char *model, *name;
    int64_t first, layers, best;
} report_entry;

/* A region's mean over subjects: of scores, and of what is tested, which p, q, p_largest and null_mean are about (NaN without a null). */
typedef struct {
    int64_t subjects;
    double mean, sem, tested, tested_sem, p, q, p_largest, null_mean;
} report_cell;

typedef struct {
    int64_t voxels, usable;
} report_subject;

typedef struct {
    vg_store_file *file, *features; /* features: NULL where there is no features.h5 */
    const char *path, *features_path;
    char *folder, *title; /* that the results lie in; the study's name */
    bool simulated, unfinished;
    bool unique; /* what is tested: variance beyond the nuisance; else scores */
    char **subjects;
    report_subject *about; /* (subject_count) */
    int64_t subject_count;
    char **models;
    int64_t model_count;
    report_space *spaces;
    int64_t space_count;
    report_entry *entries;
    int64_t entry_count;
    char **regions;
    int64_t region_count;
    report_cell *cells;   /* (space, region) */
    double *by_subject;   /* (space, region, subject): the region's mean score, */
    double *unique_by;    /* and its mean unique variance; NaN where there is none */
    double *whole;        /* (space, subject): mean score over all voxels of the subject */
    double *ceiling;      /* (region): the noise ceiling; NaN: not computed, or its interval holds 0 */
    double ceiling_all;   /* of all voxels */
    int64_t shifts;       /* of the null; 0: there is none */
    double *null_largest; /* (shifts): of each, the largest region mean of what is tested, over all spaces and regions */
    char *surface[2];     /* left and right surface; NULL: none */
} report;

vg_status report_load(const char *results_path, const vg_report_options *options, report *r);
void report_free(report *r);

static inline const report_cell *report_cell_at(const report *r, int64_t space, int64_t region)
{
    return &r->cells[space * r->region_count + region];
}
/* Of what: by_subject or unique_by. */
static inline double report_subject_at(const report *r, const double *what, int64_t space, int64_t region, int64_t subject)
{
    return what[(space * r->region_count + region) * r->subject_count + subject];
}

bool report_ends_in(const char *text, const char *end);

/* Mean and standard error of the finite values; NaN without any, and without two. */
typedef struct {
    int64_t n;
    double mean, sem;
} report_mean;
report_mean report_average(const double *values, int64_t count, int64_t stride);

/* A column of numbers of a table; NaN where the table does not have it. numbers is given to free(). */
vg_status report_numbers(const report *r, const char *path, const char *member, int64_t count, double **numbers);

/* The value below which `share` of the values lie (linear between neighbours); sorts a copy. NaN without values. */
vg_status report_quantile(const double *values, int64_t count, double share, double *quantile);

/* ---- answer.c: the question and the answer in three sentences ------------------------------------------------------- */

vg_status report_answer(const report *r, FILE *html);

/* ---- figures: each draws itself and writes the same numbers as a table ---------------------------------------------- */

/* Draws into svg and csv (both made by the caller). Sets *missing to a sentence (what is missing, which key makes it), and draws nothing,
 * where its numbers are not there. */
typedef vg_status report_drawer(const report *r, FILE *svg, FILE *csv, const char **missing);
report_drawer report_draw_scores, report_draw_unique, report_draw_regions, report_draw_models, report_draw_layers, report_draw_preferred,
    report_draw_correlation, report_draw_influence, report_draw_profile, report_draw_families, report_draw_contrasts;

/* ---- what the page holds beside figures ------------------------------------------------------------------------------- */

/* JSON for the page's script, and *missing as above (then JSON null is written). */
vg_status report_brain(const report *r, FILE *json, const char **missing);
vg_status report_words(const report *r, FILE *json, const char **missing);

/* HTML: convergence, voxels, null, provenance. */
vg_status report_quality(const report *r, FILE *html);

/* maps/: one file a space and hemisphere, of the group and of each subject; *missing as above. */
vg_status report_maps(const report *r, const char *folder, const char **missing);

/* tables/scores.csv: subject, model, name, layer, region, n, mean, sem, p as /regions has them; tables/group.csv likewise. */
vg_status report_tables(const report *r, const char *folder);

/* index.html, with figures and tables beside it. */
vg_status report_page(const report *r, const char *folder);

/* ---- encode.c: text and numbers for HTML, SVG, JSON and CSV ----------------------------------------------------------- */

void encode_html(FILE *out, const char *text);    /* & < > " escaped; for text and attributes of HTML and SVG */
void encode_json(FILE *out, const char *text);    /* a string with its quotes; < as \u003c, so that no tag can end the script */
void encode_csv(FILE *out, const char *text);     /* quoted where need be */
void encode_number(FILE *out, double value);      /* shortest of 9 digits; "" for NaN (CSV) */
void encode_json_number(FILE *out, double value); /* the same; null for NaN */
void encode_base64(FILE *out, const void *data, size_t size);
uint16_t encode_half(float value); /* IEEE binary16, to nearest even */

/* A stream into memory, for what is written twice; text is given to free(). Errors: VG_NO_MEMORY. */
typedef struct {
    FILE *stream;
    char *text;
    size_t size;
} report_buffer;
vg_status report_buffer_open(report_buffer *buffer);
vg_status report_buffer_close(report_buffer *buffer);
void report_buffer_free(report_buffer *buffer);

/* FOLDER/NAME with this text. Errors: VG_NO_SPACE, VG_INVALID. */
vg_status report_write_file(const char *folder, const char *name, const char *text, size_t size);

/* ---- assets.c: the parts of the page that are the same for every study, taken in when voxgrad is built ----------------- */

typedef struct {
    const char *text;
    size_t size;
    const char *sha256; /* in hexadecimal; NULL where the page's policy does not need it */
} report_asset;
typedef enum { ASSET_STYLE, ASSET_SCRIPT, ASSET_D3, ASSET_THREE, ASSET_D3_LICENCE, ASSET_THREE_LICENCE } report_asset_name;
report_asset report_asset_get(report_asset_name name);

#endif
