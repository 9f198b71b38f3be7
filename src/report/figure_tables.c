/* Figures of the tables that the statistics write: context profile (lines over words), layer influence against score (dots with their
 * null), families compared (shares of voxels won, tied, lost). Each reads one table of results.h5, and draws its rows in their order. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "svg.h"

/* A table with texts a, b, c, d and numbers x, y, z, w; columns beyond those it has are NULL. */
enum { TEXTS = 5, NUMBERS = 5 };
typedef struct {
    int64_t count;
    char **texts[TEXTS];
    double *numbers[NUMBERS];
} table;

static vg_status read_table(const report *r, const char *path, const char *const *texts, const char *const *numbers, table *t)
{
    int64_t count = 0;
    for (int i = 0; i < TEXTS && texts[i] != NULL; i++) {
        VG_TRY(vg_store_read_texts(r->file, path, texts[i], &t->texts[i], &count));
        t->count = count;
    }
    for (int i = 0; i < NUMBERS && numbers[i] != NULL; i++)
        VG_TRY(report_numbers(r, path, numbers[i], t->count, &t->numbers[i]));
    return VG_OK;
}

static void free_table(table *t)
{
    for (int i = 0; i < TEXTS; i++)
        if (t->texts[i] != NULL)
            vg_store_names_free(t->texts[i], t->count);
    for (int i = 0; i < NUMBERS; i++)
        free(t->numbers[i]);
}

static void write_row(const table *t, int64_t row, FILE *csv)
{
    for (int i = 0; i < TEXTS && t->texts[i] != NULL; i++) {
        encode_csv(csv, t->texts[i][row]);
        fputc(',', csv);
    }
    for (int i = 0; i < NUMBERS && t->numbers[i] != NULL; i++) {
        encode_number(csv, t->numbers[i][row]);
        fputc(i + 1 < NUMBERS && t->numbers[i + 1] != NULL ? ',' : '\n', csv);
    }
}

static bool is_there(const report *r, const char *path)
{
    vg_store_about about;
    return !r->unfinished && vg_store_is_dataset(r->file, path) && vg_store_describe(r->file, path, &about) == VG_OK && about.shape[0] > 0;
}

/* ---- context profile -------------------------------------------------------------------------------------------------------------- */

enum { HIGH = 90, TOP = 14, LEFT = 36 };

static bool same_line(const table *t, int64_t a, int64_t b)
{
    for (int i = 0; i < TEXTS; i++)
        if (strcmp(t->texts[i][a], t->texts[i][b]) != 0)
            return false;
    return true;
}

/* Same model, name, layer and kind (texts 0, 1, 2, 4): lines of one panel, a region each. */
static bool same_panel(const table *t, int64_t a, int64_t b)
{
    return strcmp(t->texts[0][a], t->texts[0][b]) == 0 && strcmp(t->texts[1][a], t->texts[1][b]) == 0 &&
           strcmp(t->texts[2][a], t->texts[2][b]) == 0 && strcmp(t->texts[4][a], t->texts[4][b]) == 0;
}

static int region_colour(const report *r, const char *region)
{
    int at = 0;
    while (at < r->region_count && strcmp(r->regions[at], region) != 0)
        at++;
    return at;
}

static void range_of(const table *t, int64_t panel, int column, double *least, double *most)
{
    *least = column == 1 ? 0 : INFINITY;
    *most = -INFINITY;
    for (int64_t i = 0; i < t->count; i++) {
        double value = t->numbers[column][i];
        if (!same_panel(t, panel, i) || !isfinite(value))
            continue;
        *least = value < *least ? value : *least;
        *most = value > *most ? value : *most;
    }
}

static void draw_profile(const report *r, const table *t, int64_t panel, double x0, double x1, double top, FILE *svg)
{
    double least, most, first, last;
    char title[700];
    bool without = strcmp(t->texts[4][panel], "without") == 0;
    range_of(t, panel, 1, &least, &most);
    range_of(t, panel, 0, &first, &last);
    svg_axis up = svg_axis_make(least, most, top + HIGH, top + 10), across = {first, last > first ? last : first + 1, 1, x0 + 6, x1 - 6};
    snprintf(title, sizeof title, "%s/%s%s%s", t->texts[0][panel], t->texts[1][panel], *t->texts[2][panel] != '\0' ? "/" : "",
             t->texts[2][panel]);
    svg_text(svg, x0, top + 4, "start", "head", title);
    svg_axis_up(svg, &up, x0, x1, without ? "r\302\262 lost without the word" : "score (Pearson's r)");
    svg_text(svg, (x0 + x1) / 2, top + HIGH + 20, "middle", "", without ? "words back" : "the last words alone");
    for (int64_t i = 0, before = -1; i < t->count; i++) {
        double value = t->numbers[1][i], x = svg_place(&across, t->numbers[0][i]);
        if (!same_panel(t, panel, i) || !isfinite(value))
            continue;
        if (before >= 0 && same_line(t, before, i))
            svg_line(svg, "link", svg_place(&across, t->numbers[0][before]), svg_place(&up, t->numbers[1][before]), x,
                     svg_place(&up, value));
        snprintf(title, sizeof title, "%s, word %.0f: %.4f", t->texts[3][i], t->numbers[0][i], value);
        svg_note(title, sizeof title, "SEM", t->numbers[2][i]);
        svg_dot(svg, (svg_mark){"mean", region_colour(r, t->texts[3][i]), value, title}, x, svg_place(&up, value), 2.2);
        snprintf(title, sizeof title, "%.0f", t->numbers[0][i]);
        svg_text(svg, x, top + HIGH + 10, "middle", "small", title);
        before = i;
    }
}

static void draw_region_legend(const report *r, double y, FILE *svg)
{
    double x = LEFT;
    char class[8];
    for (int g = 0; g < r->region_count && x < SVG_PAGE - 40; g++) {
        snprintf(class, sizeof class, "c%d", g % 8);
        svg_box(svg, class, x, y - 5, 5, 5);
        svg_text(svg, x + 8, y, "start", "", r->regions[g]);
        x += svg_width(r->regions[g]) + 20;
    }
}

vg_status report_draw_profile(const report *r, FILE *svg, FILE *csv, const char **missing)
{
    static const char *const texts[TEXTS] = {"model", "name", "layer", "region", "kind"}, *const numbers[NUMBERS] = {"word", "mean", "sem"};
    table t = {0};
    int64_t panels = 0, at = 0;
    vg_status status;
    if (!is_there(r, "/profile")) {
        *missing = "No context profile was computed: profile: {spaces: [NAME, ...]} makes one.";
        return VG_OK;
    }
    VG_GO(read_table(r, "/profile", texts, numbers, &t));
    for (int64_t i = 0; i < t.count; i++)
        panels += i == 0 || !same_panel(&t, i - 1, i);
    double tall = HIGH + 36, each = SVG_PAGE / 2.0;
    int64_t lines = (panels + 1) / 2;
    svg_begin(svg, SVG_PAGE, tall * (double)lines + TOP + 4, "Which preceding word carries the score");
    draw_region_legend(r, 8, svg);
    fprintf(csv, "model,name,layer,region,kind,word,mean,sem\n");
    for (int64_t i = 0; i < t.count; i++) {
        write_row(&t, i, csv);
        if (i > 0 && same_panel(&t, i - 1, i))
            continue;
        int64_t line = at / 2;
        draw_profile(r, &t, i, each * (double)(at % 2) + LEFT, each * (double)(at % 2 + 1) - 6, TOP + 4 + tall * (double)line, svg);
        at++;
    }
    svg_end(svg);
done:
    free_table(&t);
    return status;
}

/* ---- layer influence against score ------------------------------------------------------------------------------------------------- */

enum { ROW = 12 };

vg_status report_draw_influence(const report *r, FILE *svg, FILE *csv, const char **missing)
{
    static const char *const texts[TEXTS] = {"model", "influence", "scores", "region"}, *const numbers[NUMBERS] = {
                                                                                            "layers", "r", "r_partial", "null_mean", "p"};
    table t = {0};
    char label[700], title[800];
    vg_status status;
    if (!is_there(r, "/layers/influence")) {
        *missing = "Layer influence was not set against scores: it takes a layer_influence feature, activations of all layers, and null: "
                   "{shifts: N}.";
        return VG_OK;
    }
    VG_GO(read_table(r, "/layers/influence", texts, numbers, &t));
    double labels = 60, bottom = TOP + 6 + ROW * (double)t.count;
    for (int64_t i = 0; i < t.count; i++) {
        snprintf(label, sizeof label, "%s ~ %s, %s", t.texts[1][i], t.texts[2][i], t.texts[3][i]);
        labels = fmin(fmax(labels, svg_width(label) + 6), 260);
    }
    svg_axis axis = svg_axis_make(-1, 1, labels + 4, SVG_PAGE - 60);
    svg_begin(svg, SVG_PAGE, bottom + 26, "Layer influence against layer score, depth taken out");
    svg_axis_across(svg, &axis, TOP, bottom, "correlation over layers, depth taken out (line: mean of the null)");
    fprintf(csv, "model,influence,scores,region,layers,r,r_partial,null_mean,p\n");
    for (int64_t i = 0; i < t.count; i++) {
        double y = TOP + 6 + ROW * ((double)i + .5), partial = t.numbers[2][i], null = t.numbers[3][i];
        write_row(&t, i, csv);
        snprintf(label, sizeof label, "%s ~ %s, %s", t.texts[1][i], t.texts[2][i], t.texts[3][i]);
        svg_text(svg, labels, y + 2, "end", "", label);
        if (isfinite(null))
            svg_line(svg, "bar", svg_place(&axis, null), y - 4, svg_place(&axis, null), y + 4);
        if (!isfinite(partial))
            continue;
        snprintf(title, sizeof title, "%s, %.0f layers", label, t.numbers[0][i]);
        svg_note(title, sizeof title, "r", t.numbers[1][i]);
        svg_note(title, sizeof title, "with depth taken out", partial);
        svg_note(title, sizeof title, "null's mean", null);
        svg_note(title, sizeof title, "p", t.numbers[4][i]);
        svg_dot(svg, (svg_mark){"mean", 0, partial, title}, svg_place(&axis, partial), y, 2.6);
        if (isfinite(t.numbers[4][i])) {
            snprintf(title, sizeof title, "p %.3f", t.numbers[4][i]);
            svg_text(svg, SVG_PAGE - 4, y + 2, "end", "small", title);
        }
    }
    svg_end(svg);
done:
    free_table(&t);
    return status;
}

/* ---- families ------------------------------------------------------------------------------------------------------------------------ */

vg_status report_draw_families(const report *r, FILE *svg, FILE *csv, const char **missing)
{
    static const char *const texts[TEXTS] = {"a", "b", "region"}, *const numbers[NUMBERS] = {"mean", "sem", "won_a", "tied", "won_b"};
    static const char *const class[] = {"mean c0", "tied", "mean c1"};
    table t = {0};
    char text[700];
    vg_status status;
    if (!is_there(r, "/families/comparisons")) {
        *missing = "Families were not compared: families: makes it (auto: explanations against activations).";
        return VG_OK;
    }
    VG_GO(read_table(r, "/families/comparisons", texts, numbers, &t));
    double labels = 60, bottom = TOP + 6 + ROW * (double)t.count;
    for (int64_t i = 0; i < t.count; i++) {
        snprintf(text, sizeof text, "%s | %s, %s", t.texts[0][i], t.texts[1][i], t.texts[2][i]);
        labels = fmin(fmax(labels, svg_width(text) + 6), 260);
    }
    svg_begin(svg, SVG_PAGE, bottom + 26, "Families compared: shares of voxels that each wins, and ties");
    svg_axis axis = {0, 1, 0.25, labels + 6, SVG_PAGE - 90};
    svg_axis_across(svg, &axis, TOP, bottom, "share of voxels: won by the first, tied, won by the second");
    fprintf(csv, "a,b,region,mean,sem,won_a,tied,won_b\n");
    for (int64_t i = 0; i < t.count; i++) {
        double y = TOP + 6 + ROW * (double)i, from = 0;
        write_row(&t, i, csv);
        snprintf(text, sizeof text, "%s | %s, %s", t.texts[0][i], t.texts[1][i], t.texts[2][i]);
        svg_text(svg, labels, y + 8, "end", "", text);
        for (int part = 0; part < 3; part++) {
            double share = t.numbers[2 + part][i], x = svg_place(&axis, from);
            if (!isfinite(share))
                continue;
            snprintf(text, sizeof text, "%s: %.1f %% of voxels",
                     part == 0   ? t.texts[0][i]
                     : part == 1 ? "tie"
                                 : t.texts[1][i],
                     100 * share);
            svg_bar(svg, (svg_mark){class[part], -1, share, text}, x, y + 1.5, svg_place(&axis, from + share) - x, ROW - 3);
            from += share;
        }
        if (isfinite(t.numbers[0][i])) {
            snprintf(text, sizeof text, "%+.4f \302\261 %.4f", t.numbers[0][i], t.numbers[1][i]);
            svg_text(svg, SVG_PAGE - 4, y + 8, "end", "small", text);
        }
    }
    svg_end(svg);
done:
    free_table(&t);
    return status;
}
