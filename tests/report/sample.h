/* Made-up results.h5 and features.h5 of every shape that the report has to bear: SIMULATED numbers that are functions of their indices. The
 * surface is an octahedron in FreeSurfer's format unless the sample has the 10,242 vertices of fsaverage5. Names try to be markup. */
#ifndef VOXGRAD_TESTS_REPORT_SAMPLE_H
#define VOXGRAD_TESTS_REPORT_SAMPLE_H

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "voxgrad/store.h"

typedef struct {
    int subjects, models;       /* 1 .. */
    int layers;                 /* of activations, in each model; 0: the space gradient_norm alone */
    int vertices;               /* of each hemisphere; 0: voxels without a place */
    bool nan, null, statistics; /* all scores NaN; p-values; the tables of the statistics */
    bool features;              /* features.h5 beside it */
    bool unfinished;            /* leaves results.h5.part, the last space not yet fitted */
    bool sides, unique;         /* regions are of the left and the right; variance beyond a nuisance is what is tested */
} sample;

#define MUST(call)                                                                       \
    do {                                                                                 \
        if ((call) != VG_OK) {                                                           \
            fprintf(stderr, "%s:%d: %s: %s\n", __FILE__, __LINE__, #call, vg_message()); \
            abort();                                                                     \
        }                                                                                \
    } while (0)

enum { SAMPLE_REGIONS = 3, SAMPLE_VOXELS = 30, SAMPLE_SHIFTS = 39, SAMPLE_WORDS = 60, SAMPLE_K = 5, SAMPLE_MOST = 256 };
static const char *const sample_regions[SAMPLE_REGIONS] = {"HG", "<script>boom()</script>", "STS \"&\" more"};
static const char *const sample_sides[SAMPLE_REGIONS] = {"HG", "STS lh", "STS rh"};
static const char *const sample_subjects[] = {"<b>s1<", "s2", "s3", "s4"};
static const char *const sample_models[] = {"alpha", "be<ta", "gamma"};

typedef struct {
    const char *model, *name;
    char layer[16], path[128];
} sample_space;

static inline int sample_spaces(const sample *s, sample_space *spaces)
{
    static const char *const names[] = {"gradient_norm", "gradient_x_input", "rate_length"};
    int count = 0;
    for (int m = 0; m < s->models; m++) {
        for (int l = 0; l < s->layers; l++) {
            sample_space *space = &spaces[count++];
            *space = (sample_space){.model = sample_models[m], .name = "activations"};
            snprintf(space->layer, sizeof space->layer, "%02d", l);
            snprintf(space->path, sizeof space->path, "%s/activations/%02d", space->model, l);
        }
        for (int n = 0; n < (s->layers > 0 ? 3 : 1); n++) {
            sample_space *space = &spaces[count++];
            *space = (sample_space){.model = sample_models[m], .name = names[n]};
            snprintf(space->path, sizeof space->path, "%s/%s", space->model, names[n]);
        }
    }
    return count;
}

static inline int64_t sample_voxels(const sample *s)
{
    return s->vertices > 0 ? 2 * (int64_t)s->vertices : SAMPLE_VOXELS;
}

static inline const char *sample_region_name(const sample *s, int region)
{
    return (s->sides ? sample_sides : sample_regions)[region];
}

static inline int sample_region(const sample *s, int64_t voxel)
{
    return (int)(voxel % sample_voxels(s) * SAMPLE_REGIONS / sample_voxels(s));
}

/* Space, subject and voxel as numbers between about -.05 and .35. */
static inline float sample_score(const sample *s, int space, int subject, int64_t voxel)
{
    if (s->nan)
        return NAN;
    return (float)(0.15 + 0.1 * sin(0.7 * space + 0.9 * sample_region(s, voxel)) + 0.05 * sin(0.01 * (double)voxel + subject) +
                   0.004 * subject);
}

static inline double sample_region_mean(const sample *s, int space, int subject, int region)
{
    double sum = 0;
    int64_t n = 0;
    for (int64_t v = 0; v < sample_voxels(s); v++)
        if (sample_region(s, v) == region) {
            sum += (double)sample_score(s, space, subject, v);
            n++;
        }
    return sum / (double)n;
}

/* Unique variance, correlations with a null, and the like: numbers that are told apart. */
static inline double sample_unique(const sample *s, int space, int subject, int region)
{
    return sample_region_mean(s, space, subject, region) / 10 - 0.02;
}
static inline double sample_difference(int pair, int region)
{
    return 0.02 * region - 0.015 * pair;
}

/* The first region does not pass the null, the others do. */
static inline float sample_q(const sample *s, int64_t voxel)
{
    return s->nan ? NAN : sample_region(s, voxel) == 0 ? 0.4f : 0.01f;
}

/* ---- writing ------------------------------------------------------------------------------------------------------------------ */

typedef struct {
    const sample *about;
    vg_layout *layout;
    sample_space spaces[SAMPLE_MOST];
    int count;
    int64_t voxels[4], scores[SAMPLE_MOST][4], unique[SAMPLE_MOST][4], mean[SAMPLE_MOST], q[SAMPLE_MOST], regions, group, largest, ceiling,
        profile, influence, families, winner, layers, correlation, contrasts, center, preferred[4], difference;
} sample_file;

static inline char *sample_path(const char *format, const char *a, const char *b)
{
    static char paths[4][512];
    static int at;
    char *path = paths[at++ % 4];
    snprintf(path, sizeof paths[0], format, a, b);
    return path;
}

/* Preferred layers, what two spaces agree on, and contrasts. */
static inline void sample_layout_layers(sample_file *f, int64_t voxels)
{
    static const char *const names[] = {"00", "01", "02"};
    const sample *s = f->about;
    const vg_store_member layers[] = {{"model", VG_STORE_TEXT, 16}, {"name", VG_STORE_TEXT, 24},  {"region", VG_STORE_TEXT, 64},
                                      {"p", VG_STORE_F64, 0},       {"passing", VG_STORE_F64, 0}, {"center_of_mass", VG_STORE_F64, 0}};
    const vg_store_member correlation[] = {{"model_a", VG_STORE_TEXT, 16}, {"name_a", VG_STORE_TEXT, 24}, {"model_b", VG_STORE_TEXT, 16},
                                           {"name_b", VG_STORE_TEXT, 24},  {"voxels", VG_STORE_I64, 0},   {"r", VG_STORE_F64, 0},
                                           {"null_mean", VG_STORE_F64, 0}, {"p", VG_STORE_F64, 0},        {"spins", VG_STORE_I64, 0},
                                           {"spin_mean", VG_STORE_F64, 0}, {"p_spin", VG_STORE_F64, 0}};
    const vg_store_member contrasts[] = {{"a", VG_STORE_TEXT, 40},  {"b", VG_STORE_TEXT, 40}, {"region", VG_STORE_TEXT, 64},
                                         {"mean", VG_STORE_F64, 0}, {"sem", VG_STORE_F64, 0}, {"p", VG_STORE_F64, 0},
                                         {"q", VG_STORE_F64, 0}};
    MUST(vg_layout_table(f->layout, "/layers/regions", layers, 6, SAMPLE_REGIONS, &f->layers));
    MUST(vg_layout_table(f->layout, "/layers/correlation", correlation, 11, 2, &f->correlation));
    MUST(vg_layout_table(f->layout, "/contrast_regions", contrasts, 7, 2 * SAMPLE_REGIONS, &f->contrasts));
    MUST(vg_layout_dataset(f->layout, "/group/contrasts/alpha.gradient_norm--be<ta.gradient_norm/mean", VG_STORE_F32, 0, 1, &voxels,
                           &f->difference));
    MUST(vg_layout_dataset(f->layout, "/layers/maps/alpha/activations/group/center_of_mass", VG_STORE_F32, 0, 1, &voxels, &f->center));
    for (int i = 0; i < s->subjects; i++)
        MUST(vg_layout_dataset(f->layout, sample_path("/layers/maps/alpha/activations/subjects/%s/preferred%s", sample_subjects[i], ""),
                               VG_STORE_F32, 0, 1, &voxels, &f->preferred[i]));
    MUST(vg_layout_texts(f->layout, "/layers/maps/alpha/activations", "layers", names, 3));
}

static inline void sample_layout(sample_file *f)
{
    const sample *s = f->about;
    int64_t voxels = sample_voxels(s), largest[2] = {2, SAMPLE_SHIFTS};
    const vg_store_member place[] = {{"hemisphere", VG_STORE_TEXT, 1}, {"vertex", VG_STORE_I32, 0}, {"i", VG_STORE_I32, 0},
                                     {"j", VG_STORE_I32, 0},           {"k", VG_STORE_I32, 0},      {"region", VG_STORE_TEXT, 64},
                                     {"usable", VG_STORE_U8, 0}};
    const vg_store_member regions[] = {{"subject", VG_STORE_TEXT, 16}, {"model", VG_STORE_TEXT, 16},  {"name", VG_STORE_TEXT, 24},
                                       {"layer", VG_STORE_TEXT, 8},    {"region", VG_STORE_TEXT, 64}, {"n", VG_STORE_I64, 0},
                                       {"mean", VG_STORE_F64, 0},      {"sem", VG_STORE_F64, 0},      {"unique", VG_STORE_F64, 0}};
    const vg_store_member group[] = {{"model", VG_STORE_TEXT, 16},   {"name", VG_STORE_TEXT, 24},    {"layer", VG_STORE_TEXT, 8},
                                     {"region", VG_STORE_TEXT, 64},  {"subjects", VG_STORE_I64, 0},  {"mean", VG_STORE_F64, 0},
                                     {"sem", VG_STORE_F64, 0},       {"p", VG_STORE_F64, 0},         {"q", VG_STORE_F64, 0},
                                     {"p_largest", VG_STORE_F64, 0}, {"null_mean", VG_STORE_F64, 0}, {"unique", VG_STORE_F64, 0},
                                     {"unique_sem", VG_STORE_F64, 0}};
    MUST(vg_layout_new(&f->layout));
    for (int i = 0; i < s->subjects; i++) {
        MUST(vg_layout_table(f->layout, sample_path("/subjects/%s/voxels%s", sample_subjects[i], ""), place, 7, voxels, &f->voxels[i]));
        for (int p = 0; p < f->count; p++)
            MUST(vg_layout_dataset(f->layout, sample_path("/subjects/%s/%s/score", sample_subjects[i], f->spaces[p].path), VG_STORE_F32, 0,
                                   1, &voxels, &f->scores[p][i]));
        for (int p = 0; s->unique && p < f->count; p++)
            MUST(vg_layout_dataset(f->layout, sample_path("/subjects/%s/%s/unique", sample_subjects[i], f->spaces[p].path), VG_STORE_F32, 0,
                                   1, &voxels, &f->unique[p][i]));
    }
    for (int i = 0; i < s->subjects; i++) {
        const char *at = sample_path("/subjects/%s/voxels%s", sample_subjects[i], "");
        MUST(vg_layout_integer(f->layout, at, s->vertices > 0 ? "vertices_left" : "dimension_i", s->vertices > 0 ? s->vertices : 5));
        MUST(vg_layout_integer(f->layout, at, s->vertices > 0 ? "vertices_right" : "dimension_j", s->vertices > 0 ? s->vertices : 3));
        if (s->vertices == 0) {
            MUST(vg_layout_integer(f->layout, at, "dimension_k", SAMPLE_VOXELS / 15));
            MUST(vg_layout_text(f->layout, at, "affine", "-2 0 0 90 0 2 0 -126 0 0 2.5 -72"));
        }
    }
    for (int i = 0; i < s->subjects; i++) {
        const char *at = sample_path("/subjects/%s%s", sample_subjects[i], "");
        MUST(vg_layout_integer(f->layout, at, "outer_folds", 5));
        MUST(vg_layout_integer(f->layout, at, "gap", 4));
        MUST(vg_layout_integer(f->layout, at, "training_rows", 1408));
        MUST(vg_layout_integer(f->layout, at, "overlapping_rows", 17 + i));
    }
    for (int p = 0; p < f->count; p++)
        MUST(
            vg_layout_dataset(f->layout, sample_path("/group/%s/mean%s", f->spaces[p].path, ""), VG_STORE_F32, 0, 1, &voxels, &f->mean[p]));
    for (int p = 0; s->null && p < f->count; p++)
        MUST(vg_layout_dataset(f->layout, sample_path("/group/%s/q%s", f->spaces[p].path, ""), VG_STORE_F32, 0, 1, &voxels, &f->q[p]));
    MUST(vg_layout_table(f->layout, "/regions", regions, s->unique ? 9 : 8, (int64_t)f->count * s->subjects * SAMPLE_REGIONS, &f->regions));
    MUST(vg_layout_table(f->layout, "/group_regions", group,
                         s->unique ? 13
                         : s->null ? 11
                                   : 7,
                         (int64_t)f->count * SAMPLE_REGIONS, &f->group));
    MUST(vg_layout_text(f->layout, "/regions", "simulated", "SIMULATED"));
    MUST(vg_layout_text(f->layout, "/group_regions", "tested", s->unique ? "unique" : "mean"));
    MUST(vg_layout_text(f->layout, "/provenance", "config", "study: \"<i>sample</i>\"\n# <script>boom()</script>\n"));
    MUST(vg_layout_text(f->layout, "/provenance", "version", "0.0.0"));
    if (s->null) {
        MUST(vg_layout_dataset(f->layout, "/null/largest", VG_STORE_F64, 0, 2, largest, &f->largest));
        MUST(vg_layout_integer(f->layout, "/group_regions", "shifts", SAMPLE_SHIFTS));
    }
    if (s->statistics) {
        const vg_store_member ceiling[] = {{"region", VG_STORE_TEXT, 64}, {"ceiling", VG_STORE_F64, 0}};
        const vg_store_member profile[] = {{"model", VG_STORE_TEXT, 16},  {"name", VG_STORE_TEXT, 24}, {"layer", VG_STORE_TEXT, 8},
                                           {"region", VG_STORE_TEXT, 64}, {"kind", VG_STORE_TEXT, 8},  {"word", VG_STORE_I64, 0},
                                           {"mean", VG_STORE_F64, 0},     {"sem", VG_STORE_F64, 0}};
        const vg_store_member influence[] = {
            {"model", VG_STORE_TEXT, 16},   {"influence", VG_STORE_TEXT, 24}, {"scores", VG_STORE_TEXT, 24},
            {"region", VG_STORE_TEXT, 64},  {"layers", VG_STORE_I64, 0},      {"r", VG_STORE_F64, 0},
            {"r_partial", VG_STORE_F64, 0}, {"null_mean", VG_STORE_F64, 0},   {"p", VG_STORE_F64, 0}};
        const vg_store_member families[] = {{"a", VG_STORE_TEXT, 16},   {"b", VG_STORE_TEXT, 16}, {"region", VG_STORE_TEXT, 64},
                                            {"mean", VG_STORE_F64, 0},  {"sem", VG_STORE_F64, 0}, {"won_a", VG_STORE_F64, 0},
                                            {"won_b", VG_STORE_F64, 0}, {"tied", VG_STORE_F64, 0}};
        MUST(vg_layout_table(f->layout, "/ceiling/regions", ceiling, 2, SAMPLE_REGIONS, &f->ceiling));
        MUST(vg_layout_table(f->layout, "/profile", profile, 8, 2 * SAMPLE_REGIONS * SAMPLE_K, &f->profile));
        MUST(vg_layout_table(f->layout, "/layers/influence", influence, 9, SAMPLE_REGIONS, &f->influence));
        MUST(vg_layout_table(f->layout, "/families/comparisons", families, 8, SAMPLE_REGIONS, &f->families));
        MUST(vg_layout_dataset(f->layout, "/families/maps/explanation--representation/group/winner", VG_STORE_F32, 0, 1, &voxels,
                               &f->winner));
        sample_layout_layers(f, voxels);
    }
}

/* A row of a table under construction. */
typedef struct {
    const sample_file *f;
    int64_t dataset;
    size_t element;
    char *records, *record;
} sample_table;

static inline sample_table sample_table_begin(const sample_file *f, int64_t dataset, int64_t rows)
{
    size_t element = vg_layout_element(f->layout, dataset);
    char *records = calloc((size_t)rows + 1, element);
    return (sample_table){f, dataset, element, records, records - element};
}
static inline void sample_put(sample_table *t, const char *member, const char *text)
{
    MUST(vg_layout_put_text(t->f->layout, t->dataset, t->record, member, text));
}
static inline void sample_number(sample_table *t, const char *member, double value)
{
    MUST(vg_layout_put_number(t->f->layout, t->dataset, t->record, member, value));
}
static inline void sample_integer(sample_table *t, const char *member, int64_t value)
{
    MUST(vg_layout_put_integer(t->f->layout, t->dataset, t->record, member, value));
}
static inline void sample_table_end(sample_table *t, vg_store *store)
{
    MUST(vg_store_write(store, t->dataset, NULL, NULL, t->records));
    free(t->records);
}

static inline void sample_fill_voxels(const sample_file *f, vg_store *store)
{
    const sample *s = f->about;
    for (int i = 0; i < s->subjects; i++) {
        sample_table t = sample_table_begin(f, f->voxels[i], sample_voxels(s));
        for (int64_t v = 0; v < sample_voxels(s); v++) {
            t.record += t.element;
            sample_put(&t, "hemisphere", s->vertices == 0 ? "" : v < s->vertices ? "L" : "R");
            sample_integer(&t, "vertex", s->vertices == 0 ? -1 : v % s->vertices);
            sample_integer(&t, "i", s->vertices == 0 ? v % 5 : -1);
            sample_integer(&t, "j", s->vertices == 0 ? v / 5 % 3 : -1);
            sample_integer(&t, "k", s->vertices == 0 ? v / 15 : -1);
            sample_put(&t, "region", sample_region_name(s, sample_region(s, v)));
            sample_integer(&t, "usable", !s->nan);
        }
        sample_table_end(&t, store);
    }
}

static inline void sample_fill_regions(const sample_file *f, int spaces, vg_store *store)
{
    const sample *s = f->about;
    sample_table t = sample_table_begin(f, f->regions, (int64_t)f->count * s->subjects * SAMPLE_REGIONS);
    for (int p = 0; p < spaces; p++)
        for (int i = 0; i < s->subjects; i++)
            for (int g = 0; g < SAMPLE_REGIONS; g++) {
                t.record += t.element;
                sample_put(&t, "subject", sample_subjects[i]);
                sample_put(&t, "model", f->spaces[p].model);
                sample_put(&t, "name", f->spaces[p].name);
                sample_put(&t, "layer", f->spaces[p].layer);
                sample_put(&t, "region", sample_region_name(s, g));
                sample_number(&t, "mean", sample_region_mean(s, p, i, g));
                if (s->unique)
                    sample_number(&t, "unique", sample_unique(s, p, i, g));
                sample_number(&t, "sem", 0.001);
            }
    sample_table_end(&t, store);
}

static inline void sample_fill_group(const sample_file *f, vg_store *store)
{
    const sample *s = f->about;
    sample_table t = sample_table_begin(f, f->group, (int64_t)f->count * SAMPLE_REGIONS);
    for (int p = 0; p < f->count; p++)
        for (int g = 0; g < SAMPLE_REGIONS; g++) {
            double mean = 0, squares = 0;
            for (int i = 0; i < s->subjects; i++)
                mean += sample_region_mean(s, p, i, g) / s->subjects;
            for (int i = 0; i < s->subjects; i++)
                squares += pow(sample_region_mean(s, p, i, g) - mean, 2);
            t.record += t.element;
            sample_put(&t, "model", f->spaces[p].model);
            sample_put(&t, "name", f->spaces[p].name);
            sample_put(&t, "layer", f->spaces[p].layer);
            sample_put(&t, "region", sample_region_name(s, g));
            sample_integer(&t, "subjects", s->nan ? 0 : s->subjects);
            sample_number(&t, "mean", mean);
            sample_number(&t, "sem", s->subjects > 1 ? sqrt(squares / (s->subjects - 1) / s->subjects) : (double)NAN);
            for (int n = 0; s->null && n < 3; n++)
                sample_number(&t, n == 0 ? "p" : n == 1 ? "q" : "p_largest", s->nan ? (double)NAN : mean > 0.2 && !s->unique ? 0.025 : 0.5);
            if (s->null)
                sample_number(&t, "null_mean", -0.001 * (g + 1));
            for (int n = 0; s->unique && n < 2; n++)
                sample_number(&t, n == 0 ? "unique" : "unique_sem", n == 0 ? mean / 10 - 0.02 : 0.001);
        }
    sample_table_end(&t, store);
    for (int p = 0; p < f->count; p++) {
        float *mean = calloc((size_t)sample_voxels(s), sizeof *mean);
        for (int64_t v = 0; v < sample_voxels(s); v++)
            for (int i = 0; i < s->subjects; i++)
                mean[v] += sample_score(s, p, i, v) / (float)s->subjects;
        MUST(vg_store_write(store, f->mean[p], NULL, NULL, mean));
        for (int64_t v = 0; v < sample_voxels(s); v++)
            mean[v] = sample_q(s, v);
        if (s->null)
            MUST(vg_store_write(store, f->q[p], NULL, NULL, mean));
        free(mean);
    }
    if (s->null) {
        double largest[2 * SAMPLE_SHIFTS];
        for (int i = 0; i < 2 * SAMPLE_SHIFTS; i++)
            largest[i] = 0.1 + 0.002 * (i % SAMPLE_SHIFTS);
        MUST(vg_store_write(store, f->largest, NULL, NULL, largest));
    }
}

static inline void sample_fill_layers(const sample_file *f, vg_store *store)
{
    sample_table t = sample_table_begin(f, f->layers, SAMPLE_REGIONS);
    for (int g = 0; g < SAMPLE_REGIONS; g++) {
        t.record += t.element;
        sample_put(&t, "model", "alpha");
        sample_put(&t, "name", "activations");
        sample_put(&t, "region", sample_region_name(f->about, g));
        sample_number(&t, "p", g == 0 ? 0.025 : 0.5);
        sample_number(&t, "passing", 0.5 - 0.1 * g);
        sample_number(&t, "center_of_mass", 0.4 + 0.7 * g);
    }
    sample_table_end(&t, store);
    t = sample_table_begin(f, f->correlation, 2);
    for (int i = 0; i < 2; i++) {
        t.record += t.element;
        sample_put(&t, "model_a", sample_models[i]);
        sample_put(&t, "name_a", "activations");
        sample_put(&t, "model_b", sample_models[1 - i]);
        sample_put(&t, "name_b", "activations");
        sample_integer(&t, "voxels", i == 0 ? 9 : 2);
        sample_number(&t, "r", i == 0 ? 0.6 : (double)NAN); /* of the second there are too few voxels */
        sample_number(&t, "null_mean", 0.45);
        sample_number(&t, "p", i == 0 ? 0.125 : (double)NAN);
        bool spun = i == 0 && f->about->vertices > 0;
        sample_integer(&t, "spins", spun ? 49 : 0);
        sample_number(&t, "spin_mean", spun ? 0.05 : (double)NAN);
        sample_number(&t, "p_spin", spun ? 0.02 : (double)NAN);
    }
    sample_table_end(&t, store);
    t = sample_table_begin(f, f->contrasts, 2 * SAMPLE_REGIONS);
    for (int i = 0; i < 2 * SAMPLE_REGIONS; i++) {
        t.record += t.element;
        sample_put(&t, "a", "alpha/gradient_norm");
        sample_put(&t, "b", i < SAMPLE_REGIONS ? "be<ta/gradient_norm" : "alpha/rate_length");
        sample_put(&t, "region", sample_region_name(f->about, i % SAMPLE_REGIONS));
        sample_number(&t, "mean", sample_difference(i / SAMPLE_REGIONS, i % SAMPLE_REGIONS));
        sample_number(&t, "sem", 0.004);
        sample_number(&t, "p", i == 1 ? 0.025 : 0.5);
        sample_number(&t, "q", 0.5);
    }
    sample_table_end(&t, store);
}

static inline void sample_fill_statistics(const sample_file *f, vg_store *store)
{
    static const char *const kinds[] = {"last", "without"};
    const sample *s = f->about;
    float *winner = calloc((size_t)sample_voxels(s), sizeof *winner);
    sample_table t = sample_table_begin(f, f->ceiling, SAMPLE_REGIONS);
    for (int g = 0; g < SAMPLE_REGIONS; g++) {
        t.record += t.element;
        sample_put(&t, "region", sample_region_name(s, g));
        sample_number(&t, "ceiling", 0.4 + 0.01 * g);
    }
    sample_table_end(&t, store);
    t = sample_table_begin(f, f->profile, 2 * SAMPLE_REGIONS * SAMPLE_K);
    for (int i = 0; i < 2 * SAMPLE_REGIONS * SAMPLE_K; i++) {
        t.record += t.element;
        sample_put(&t, "model", sample_models[0]);
        sample_put(&t, "name", "gradient_norm");
        sample_put(&t, "region", sample_region_name(s, i / SAMPLE_K % SAMPLE_REGIONS));
        sample_put(&t, "kind", kinds[i / SAMPLE_K / SAMPLE_REGIONS]);
        sample_integer(&t, "word", i % SAMPLE_K + 1);
        sample_number(&t, "mean", 0.1 + 0.01 * i);
        sample_number(&t, "sem", 0.01);
    }
    sample_table_end(&t, store);
    t = sample_table_begin(f, f->influence, SAMPLE_REGIONS);
    for (int g = 0; g < SAMPLE_REGIONS; g++) {
        t.record += t.element;
        sample_put(&t, "model", sample_models[0]);
        sample_put(&t, "influence", "layer_influence");
        sample_put(&t, "scores", "activations");
        sample_put(&t, "region", sample_region_name(s, g));
        sample_integer(&t, "layers", 12);
        sample_number(&t, "r", 0.5);
        sample_number(&t, "r_partial", -0.3 + 0.3 * g);
        sample_number(&t, "null_mean", 0.1);
        sample_number(&t, "p", 0.04);
    }
    sample_table_end(&t, store);
    t = sample_table_begin(f, f->families, SAMPLE_REGIONS);
    for (int g = 0; g < SAMPLE_REGIONS; g++) {
        t.record += t.element;
        sample_put(&t, "a", "explanation");
        sample_put(&t, "b", "representation");
        sample_put(&t, "region", sample_region_name(s, g));
        sample_number(&t, "mean", 0.01 * g);
        sample_number(&t, "sem", 0.005);
        sample_number(&t, "won_a", 0.2);
        sample_number(&t, "won_b", 0.3);
        sample_number(&t, "tied", 0.5);
    }
    sample_table_end(&t, store);
    for (int64_t v = 0; v < sample_voxels(s); v++)
        winner[v] = (float)(v / 7 % 3 - 1);
    MUST(vg_store_write(store, f->winner, NULL, NULL, winner));
    MUST(vg_store_write(store, f->difference, NULL, NULL, winner));
    for (int64_t v = 0; v < sample_voxels(s); v++)
        winner[v] = v % 2 == 0 ? (float)(v / 2 % 3) : NAN; /* as preferred layers: half of the voxels pass */
    MUST(vg_store_write(store, f->center, NULL, NULL, winner));
    for (int i = 0; i < s->subjects; i++)
        MUST(vg_store_write(store, f->preferred[i], NULL, NULL, winner));
    free(winner);
    sample_fill_layers(f, store);
}

static inline void sample_write_results(const sample *s, const char *folder)
{
    sample_file *f = calloc(1, sizeof *f);
    vg_comm *comm;
    vg_store *store;
    f->about = s;
    f->count = sample_spaces(s, f->spaces);
    sample_layout(f);
    MUST(vg_comm_alone(&comm));
    const vg_store_plan plan = {
        .path = sample_path("%s/results.h5%s", folder, ""), .plan = "sample: 1\n", .blocks = 1, .regions = 100000, .overwrite = true};
    MUST(vg_store_create(comm, &plan, f->layout, &store));
    int whole = f->count - (s->unfinished ? 1 : 0);
    sample_fill_voxels(f, store);
    for (int p = 0; p < whole; p++)
        for (int i = 0; i < s->subjects; i++) {
            float *score = calloc((size_t)sample_voxels(s), sizeof *score);
            for (int64_t v = 0; v < sample_voxels(s); v++)
                score[v] = sample_score(s, p, i, v);
            MUST(vg_store_write(store, f->scores[p][i], NULL, NULL, score));
            for (int64_t v = 0; v < sample_voxels(s); v++)
                score[v] = score[v] / 10 - 0.02f;
            if (s->unique)
                MUST(vg_store_write(store, f->unique[p][i], NULL, NULL, score));
            free(score);
        }
    sample_fill_regions(f, whole, store);
    if (!s->unfinished) {
        sample_fill_group(f, store);
        if (s->statistics)
            sample_fill_statistics(f, store);
        MUST(vg_store_commit(store, 0));
        MUST(vg_store_finish(store));
    }
    vg_store_free(store);
    vg_layout_free(f->layout);
    vg_comm_finish(comm);
    free(f);
}

/* ---- features and surfaces ------------------------------------------------------------------------------------------------------ */

static inline float sample_attribution(int64_t word, int column)
{
    return (float)sin(0.3 * (double)word + column);
}

static inline void sample_write_features(const char *folder)
{
    static const char *const names[] = {"gradient_norm", "integrated_gradients"};
    vg_layout *layout;
    vg_comm *comm;
    vg_store *store;
    vg_store_space_datasets at[2];
    int64_t words;
    MUST(vg_layout_new(&layout));
    MUST(vg_features_add_words(layout, "<story>", SAMPLE_WORDS, 48, &words));
    for (int i = 0; i < 2; i++)
        MUST(vg_features_add_space(layout,
                                   &(vg_store_space){.story = "<story>",
                                                     .model = "alpha",
                                                     .name = names[i],
                                                     .method = names[i],
                                                     .words = SAMPLE_WORDS,
                                                     .columns = SAMPLE_K,
                                                     .path = i == 1,
                                                     .tolerance = 0.01},
                                   &at[i]));
    MUST(vg_comm_alone(&comm));
    const vg_store_plan plan = {
        .path = sample_path("%s/features.h5%s", folder, ""), .plan = "sample: 1\n", .blocks = 1, .regions = 1000, .overwrite = true};
    MUST(vg_store_create(comm, &plan, layout, &store));
    size_t element = vg_layout_element(layout, words);
    char *records = calloc(SAMPLE_WORDS, element);
    for (int w = 0; w < SAMPLE_WORDS; w++) {
        char text[48];
        snprintf(text, sizeof text, w == 7 ? "</script><script>boom()</script>" : w == 9 ? "<img src=x onerror=boom()>" : "word%d", w);
        MUST(vg_layout_put_text(layout, words, records + (size_t)w * element, "text", text));
        MUST(vg_layout_put_number(layout, words, records + (size_t)w * element, "onset", 0.4 * w));
        MUST(vg_layout_put_number(layout, words, records + (size_t)w * element, "offset", 0.4 * w + 0.3));
    }
    MUST(vg_store_write(store, words, NULL, NULL, records));
    free(records);
    float values[SAMPLE_WORDS * SAMPLE_K], residual[SAMPLE_WORDS], error[SAMPLE_WORDS];
    uint8_t valid[SAMPLE_WORDS * SAMPLE_K];
    int32_t nodes[SAMPLE_WORDS];
    for (int w = 0; w < SAMPLE_WORDS; w++) {
        nodes[w] = w < 5 ? 257 : 17; /* the last two of these have converged all the same */
        error[w] = w < 3 ? 0.02f + 0.01f * (float)w : 0.001f;
        residual[w] = w % 16 == 0 ? 0.001f : NAN;
        for (int k = 0; k < SAMPLE_K; k++) {
            values[w * SAMPLE_K + k] = sample_attribution(w, k);
            valid[w * SAMPLE_K + k] = w - SAMPLE_K + k >= 0;
        }
    }
    for (int i = 0; i < 2; i++) {
        MUST(vg_store_write(store, at[i].values, NULL, NULL, values));
        MUST(vg_store_write(store, at[i].valid, NULL, NULL, valid));
    }
    MUST(vg_store_write(store, at[1].nodes, NULL, NULL, nodes));
    MUST(vg_store_write(store, at[1].residual, NULL, NULL, residual));
    MUST(vg_store_write(store, at[1].error, NULL, NULL, error));
    MUST(vg_store_commit(store, 0));
    MUST(vg_store_finish(store));
    vg_store_free(store);
    vg_layout_free(layout);
    vg_comm_finish(comm);
}

static inline void sample_big_endian(FILE *file, uint32_t bits)
{
    for (int shift = 24; shift >= 0; shift -= 8)
        fputc((int)(bits >> shift & 255), file);
}

/* An octahedron of 100 mm across, in FreeSurfer's format. */
static inline void sample_write_surface(const char *path)
{
    static const float position[6][3] = {{50, 0, 0}, {-50, 0, 0}, {0, 50, 0}, {0, -50, 0}, {0, 0, 50}, {0, 0, -50}};
    static const uint32_t face[8][3] = {{0, 2, 4}, {2, 1, 4}, {1, 3, 4}, {3, 0, 4}, {2, 0, 5}, {1, 2, 5}, {3, 1, 5}, {0, 3, 5}};
    FILE *file = fopen(path, "wb");
    fputs("\xff\xff\xfe"
          "made for a test\n\n",
          file);
    sample_big_endian(file, 6);
    sample_big_endian(file, 8);
    for (int i = 0; i < 18; i++) {
        uint32_t bits;
        memcpy(&bits, &position[i / 3][i % 3], sizeof bits);
        sample_big_endian(file, bits);
    }
    for (int i = 0; i < 24; i++)
        sample_big_endian(file, face[i / 3][i % 3]);
    fclose(file);
}

static inline void sample_write(const sample *s, const char *folder)
{
    sample_write_results(s, folder);
    if (s->features)
        sample_write_features(folder);
    if (s->vertices == 6) {
        sample_write_surface(sample_path("%s/lh.sample%s", folder, ""));
        sample_write_surface(sample_path("%s/rh.sample%s", folder, ""));
    }
}

#endif
