/* layers: a heat map of layer x region for each feature that has layers: the mean over subjects of the region's mean score, all maps on one
 * scale; the best layer of each region is outlined. And which layers carry the score, where the best one passes its null. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "figure_tables.h"

enum { TOP = 30, HIGH = 11, BETWEEN = 14 };

static void find_range(const report *r, double *least, double *most)
{
    *least = INFINITY;
    *most = -INFINITY;
    for (int64_t i = 0; i < r->space_count; i++)
        for (int64_t g = 0; g < r->region_count && r->entries[r->spaces[i].entry].layers > 1; g++) {
            double mean = report_cell_at(r, i, g)->mean;
            *least = mean < *least ? mean : *least;
            *most = mean > *most ? mean : *most;
        }
}

static int64_t best_layer(const report *r, const report_entry *entry, int64_t region)
{
    int64_t best = -1;
    for (int64_t i = entry->first; i < entry->first + entry->layers; i++)
        if (isfinite(report_cell_at(r, i, region)->mean) &&
            (best < 0 || report_cell_at(r, i, region)->mean > report_cell_at(r, best, region)->mean))
            best = i;
    return best;
}

static void write_row(const report *r, int64_t space, int64_t region, FILE *csv)
{
    const report_cell *cell = report_cell_at(r, space, region);
    encode_csv(csv, r->spaces[space].model);
    fputc(',', csv);
    encode_csv(csv, r->spaces[space].name);
    fprintf(csv, ",%s,", r->spaces[space].layer);
    encode_csv(csv, r->regions[region]);
    fputc(',', csv);
    encode_number(csv, cell->mean);
    fputc(',', csv);
    encode_number(csv, cell->sem);
    fputc('\n', csv);
}

static void draw_entry(const report *r, const report_entry *entry, double x0, double wide, double y, double low, double high, FILE *svg,
                       FILE *csv)
{
    char title[700];
    snprintf(title, sizeof title, "%s%s%s", r->model_count > 1 ? entry->model : "", r->model_count > 1 ? "/" : "", entry->name);
    svg_text(svg, x0, y - 4, "start", "head", title);
    for (int64_t l = 0; l < entry->layers; l++) {
        int64_t space = entry->first + l;
        svg_text(svg, x0 - 4, y + HIGH * ((double)l + 0.75), "end", "", r->spaces[space].layer);
        for (int64_t g = 0; g < r->region_count; g++) {
            const report_cell *cell = report_cell_at(r, space, g);
            snprintf(title, sizeof title, "layer %s, %s", r->spaces[space].layer, r->regions[g]);
            svg_note(title, sizeof title, "mean", cell->mean);
            svg_note(title, sizeof title, "SEM", cell->sem);
            svg_cell(svg, (svg_mark){"cell", -1, cell->mean, title}, (cell->mean - low) / (high > low ? high - low : 1),
                     x0 + wide * (double)g, y + HIGH * (double)l, wide - .6, HIGH - .6);
            write_row(r, space, g, csv);
        }
    }
    for (int64_t g = 0; g < r->region_count; g++) {
        int64_t best = best_layer(r, entry, g);
        if (best >= 0)
            svg_box(svg, "best", x0 + wide * (double)g + .4, y + HIGH * (double)(best - entry->first) + .4, wide - 1.4, HIGH - 1.4);
    }
}

vg_status report_draw_layers(const report *r, FILE *svg, FILE *csv, const char **missing)
{
    double least, most, tall = TOP, labels = 0, y = TOP;
    for (int64_t e = 0; e < r->entry_count; e++)
        tall += r->entries[e].layers > 1 ? HIGH * (double)r->entries[e].layers + BETWEEN : 0;
    find_range(r, &least, &most);
    if (tall <= TOP || !(least <= most)) {
        *missing = tall <= TOP ? "No feature has layers: activations, layer_conductance and layer_influence do (layers: all)."
                               : "No layer has a finite score.";
        return VG_OK;
    }
    for (int64_t g = 0; g < r->region_count; g++)
        labels = fmax(labels, svg_width(r->regions[g]));
    double wide = fmin(48, (SVG_PAGE - 40.0) / (double)r->region_count), slant = fmin(labels * 0.75 + 8, 70);
    svg_begin(svg, SVG_PAGE, tall + slant, "Layers by region: mean score, the best layer of each region outlined");
    svg_scale_bar(svg, 70, 2, 120, least, most, "mean score (Pearson's r)");
    fprintf(csv, "model,name,layer,region,mean,sem\n");
    for (int64_t e = 0; e < r->entry_count; e++) {
        if (r->entries[e].layers < 2)
            continue;
        draw_entry(r, &r->entries[e], 36, wide, y, least, most, svg, csv);
        y += HIGH * (double)r->entries[e].layers + BETWEEN;
    }
    for (int64_t g = 0; g < r->region_count; g++)
        svg_text_turned(svg, 36 + wide * ((double)g + .5) + 2, y - BETWEEN + 6, -55, "end", "small", r->regions[g]);
    svg_end(svg);
    return VG_OK;
}

/* ---- preferred layers -------------------------------------------------------------------------------------------------------------- */

enum { ROW = 12, HEAD = 34 };
enum { CENTER, P, PASSING };

/* The entry that a row of the table is about; NULL: it has no layers here. */
static const report_entry *entry_of(const report *r, const figure_table *t, int64_t row)
{
    for (int64_t e = 0; e < r->entry_count; e++)
        if (strcmp(r->entries[e].model, t->texts[0][row]) == 0 && strcmp(r->entries[e].name, t->texts[1][row]) == 0)
            return &r->entries[e];
    return NULL;
}

static bool begins_entry(const figure_table *t, int64_t row)
{
    return row == 0 || strcmp(t->texts[0][row], t->texts[0][row - 1]) != 0 || strcmp(t->texts[1][row], t->texts[1][row - 1]) != 0;
}

/* The layers' names as the axis of an entry's rows. */
static svg_axis draw_head(const report *r, const report_entry *entry, double y, double rows, FILE *svg)
{
    char title[600];
    svg_axis axis = {0, fmax(1, (double)entry->layers - 1), 1, 100, SVG_PAGE - 110};
    snprintf(title, sizeof title, "%s%s%s", r->model_count > 1 ? entry->model : "", r->model_count > 1 ? "/" : "", entry->name);
    svg_text(svg, axis.from, y + 8, "start", "head", title);
    for (int64_t l = 0; l < entry->layers; l++) {
        double x = svg_place(&axis, (double)l);
        svg_line(svg, "grid", x, y + 21, x, y + 22 + ROW * rows);
        svg_text(svg, x, y + 18, "middle", "small", r->spaces[entry->first + l].layer);
    }
    return axis;
}

static void draw_preference(const figure_table *t, int64_t row, const svg_axis *axis, double y, FILE *svg)
{
    char text[600];
    double center = t->numbers[CENTER][row], p = t->numbers[P][row], passing = t->numbers[PASSING][row];
    bool passes = p <= 0.05;
    svg_text(svg, axis->from - 12, y + 2, "end", "", t->texts[2][row]);
    snprintf(text, sizeof text, "%.0f %% of voxels pass, p %.3f", 100 * passing, p);
    svg_text(svg, SVG_PAGE - 4, y + 2, "end", "small", isfinite(p) && isfinite(passing) ? text : "no score");
    if (!isfinite(center))
        return;
    snprintf(text, sizeof text, "%s: centre of mass at layer place %.2f%s", t->texts[2][row], center,
             passes ? "" : ", but the best layer does not pass");
    svg_note(text, sizeof text, "p", p);
    svg_note(text, sizeof text, "share of voxels that pass", passing);
    svg_dot(svg, (svg_mark){passes ? "mean" : "unsure", passes ? 0 : -1, center, text}, svg_place(axis, center), y, 2.8);
}

vg_status report_draw_preferred(const report *r, FILE *svg, FILE *csv, const char **missing)
{
    static const char columns[] = "model,name,region|center_of_mass,p,passing";
    figure_table t;
    double y = 0;
    int64_t heads = 0, row = 0;
    svg_axis axis = {0};
    vg_status status;
    VG_GO(report_table_read(r, "/layers/regions", columns, &t));
    if (t.count == 0 || r->shifts == 0) {
        *missing = "A layer is preferred only where the best one passes its null: it takes a feature with layers, and null: {shifts: N}.";
        goto done;
    }
    for (int64_t i = 0; i < t.count; i++)
        heads += begins_entry(&t, i);
    svg_begin(svg, SVG_PAGE, HEAD * (double)heads + ROW * (double)t.count + 4, "Which layers carry the score of each region");
    report_table_header(columns, csv);
    for (; row < t.count; row++) {
        const report_entry *entry = entry_of(r, &t, row);
        if (begins_entry(&t, row) && entry != NULL) {
            int64_t rows = 1;
            while (row + rows < t.count && !begins_entry(&t, row + rows))
                rows++;
            axis = draw_head(r, entry, y, (double)rows, svg);
            y += HEAD;
        }
        report_table_row(&t, row, csv);
        if (entry == NULL)
            continue;
        draw_preference(&t, row, &axis, y - 6, svg);
        y += ROW;
    }
    svg_end(svg);
done:
    report_table_free(&t);
    return status;
}
