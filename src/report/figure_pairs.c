/* Differences of two: families (shares of voxels that each wins, and ties) and contrasts (a grid of pair x region, signed). */
#include <math.h>
#include <string.h>

#include "figure_tables.h"

enum { TOP = 20, ROW = 12 };

/* ---- families ------------------------------------------------------------------------------------------------------------------------ */

enum { MEAN, SEM, WON_A, TIED, WON_B };

/* Shares of the voxels, side by side. */
static void draw_shares(const report *r, const figure_table *t, int64_t row, const svg_axis *axis, double y, FILE *svg)
{
    static const char *const class[] = {"mean c0", "tied", "mean c1"};
    double from = 0;
    char text[700];
    for (int part = 0; part < 3; part++) {
        double share = t->numbers[WON_A + part][row], x = svg_place(axis, from);
        if (!isfinite(share))
            continue;
        snprintf(text, sizeof text, "%s: %.1f %% of voxels", part == 1 ? "tie" : report_short(r, t->texts[part / 2][row]), 100 * share);
        svg_bar(svg, (svg_mark){class[part], -1, share, text}, x, y + 1.5, svg_place(axis, from + share) - x, ROW - 3);
        from += share;
    }
    if (isfinite(t->numbers[MEAN][row])) {
        snprintf(text, sizeof text, "%+.4f \302\261 %.4f", t->numbers[MEAN][row], t->numbers[SEM][row]);
        svg_text(svg, SVG_PAGE - 4, y + 8, "end", "small", text);
    }
}

static void draw_family_legend(double x, FILE *svg)
{
    static const char *const class[] = {"c0", "tied", "c1"}, *const names[] = {"won by the first", "tie", "won by the second"};
    for (int i = 0; i < 3; i++) {
        svg_box(svg, class[i], x, 4, 5, 5);
        svg_text(svg, x + 8, 9, "start", "", names[i]);
        x += svg_width(names[i]) + 22;
    }
    svg_text(svg, SVG_PAGE - 4, 9, "end", "small", "first less second, \302\261 SEM");
}

vg_status report_draw_families(const report *r, FILE *svg, FILE *csv, const char **missing)
{
    static const char columns[] = "a,b,region|mean,sem,won_a,tied,won_b";
    figure_table t;
    char text[700];
    vg_status status;
    VG_GO(report_table_read(r, "/families/comparisons", columns, &t));
    if (t.count == 0) {
        *missing = "Families were not compared: families: makes it (auto: explanations against activations).";
        goto done;
    }
    double labels = 60, bottom = TOP + 6 + ROW * (double)t.count;
    for (int64_t i = 0; i < t.count; i++) {
        snprintf(text, sizeof text, "%s | %s, %s", report_short(r, t.texts[0][i]), report_short(r, t.texts[1][i]), t.texts[2][i]);
        labels = fmin(fmax(labels, svg_width(text) + 6), 260);
    }
    svg_axis axis = {0, 1, 0.2, labels + 6, SVG_PAGE - 90};
    svg_begin(svg, SVG_PAGE, bottom + 26, "Families compared: shares of voxels that each wins, and ties");
    draw_family_legend(axis.from, svg);
    svg_axis_across(svg, &axis, TOP, bottom, "share of voxels");
    report_table_header(columns, csv);
    for (int64_t i = 0; i < t.count; i++) {
        double y = TOP + 6 + ROW * (double)i;
        report_table_row(&t, i, csv);
        snprintf(text, sizeof text, "%s | %s, %s", report_short(r, t.texts[0][i]), report_short(r, t.texts[1][i]), t.texts[2][i]);
        svg_text(svg, labels, y + 8, "end", "", text);
        draw_shares(r, &t, i, &axis, y, svg);
    }
    svg_end(svg);
done:
    report_table_free(&t);
    return status;
}

/* ---- contrasts ----------------------------------------------------------------------------------------------------------------------- */

/* More pairs than these are in tables/contrasts.csv alone. */
enum { MOST_PAIRS = 60, MOST_WRITTEN = 12 };

static bool same_pair(const figure_table *t, int64_t a, int64_t b)
{
    return strcmp(t->texts[0][a], t->texts[0][b]) == 0 && strcmp(t->texts[1][a], t->texts[1][b]) == 0;
}

/* The grid's rows and columns, in the order of the table: the rows of one pair follow one another, and all have the same regions. */
typedef struct {
    int64_t pairs, columns;
    double most, labels, wide, slant; /* slant: what the regions' names take below */
} grid;

static grid measure(const report *r, const figure_table *t)
{
    grid g = {.labels = 60};
    char text[700];
    while (g.columns < t->count && same_pair(t, 0, g.columns))
        g.columns++;
    g.pairs = t->count / g.columns;
    g.pairs = g.pairs < MOST_PAIRS ? g.pairs : MOST_PAIRS;
    for (int64_t i = 0; i < g.columns; i++)
        g.slant = fmin(fmax(g.slant, svg_width(t->texts[2][i]) * 0.75 + 8), 70);
    for (int64_t i = 0; i < g.pairs * g.columns; i++) {
        g.most = fabs(t->numbers[0][i]) > g.most ? fabs(t->numbers[0][i]) : g.most;
        snprintf(text, sizeof text, "%s less %s", report_short(r, t->texts[0][i]), report_short(r, t->texts[1][i]));
        g.labels = fmin(fmax(g.labels, svg_width(text) + 6), 240);
    }
    g.wide = fmin(48, (SVG_PAGE - 4 - g.labels) / (double)g.columns);
    return g;
}

static void draw_difference(const report *r, const figure_table *t, int64_t row, const grid *g, double x, double y, FILE *svg)
{
    double mean = t->numbers[0][row], p = t->numbers[2][row];
    char text[1400];
    snprintf(text, sizeof text, "%s less %s, %s", report_short(r, t->texts[0][row]), report_short(r, t->texts[1][row]), t->texts[2][row]);
    svg_note(text, sizeof text, "mean", mean);
    svg_note(text, sizeof text, "SEM", t->numbers[1][row]);
    svg_note(text, sizeof text, "p", p);
    svg_note(text, sizeof text, "q", t->numbers[3][row]);
    svg_signed(svg, (svg_mark){"cell", -1, mean, text}, mean / (g->most > 0 ? g->most : 1), x, y, g->wide - .6, ROW - .6);
    if (!isfinite(mean) || g->columns > MOST_WRITTEN)
        return;
    snprintf(text, sizeof text, "%+.3f%s", mean, p <= 0.05 ? "*" : "");
    svg_text(svg, x + g->wide / 2, y + 8, "middle", "over", text);
}

vg_status report_draw_contrasts(const report *r, FILE *svg, FILE *csv, const char **missing)
{
    static const char columns[] = "a,b,region|mean,sem,p,q";
    figure_table t;
    char text[700];
    vg_status status;
    VG_GO(report_table_read(r, "/contrast_regions", columns, &t));
    if (t.count == 0) {
        *missing = "No contrasts were asked for: contrasts: all, or a list of [A, B].";
        goto done;
    }
    const grid g = measure(r, &t);
    double bottom = TOP + ROW * (double)g.pairs;
    svg_begin(svg, SVG_PAGE, bottom + g.slant, "Contrasts: mean over subjects of the difference, in each region");
    snprintf(text, sizeof text, "difference of scores; orange: the first is larger, blue: the second%s",
             g.pairs * g.columns < t.count ? " (more pairs are in tables/contrasts.csv)" : "");
    svg_text(svg, g.labels, 9, "start", "small", text);
    report_table_header(columns, csv);
    for (int64_t i = 0; i < g.pairs * g.columns; i++) {
        double x = g.labels + 4 + g.wide * (double)(i % g.columns), y = TOP + ROW * (double)(i / g.columns);
        report_table_row(&t, i, csv);
        draw_difference(r, &t, i, &g, x, y, svg);
        if (i < g.columns)
            svg_text_turned(svg, x + g.wide / 2 + 2, bottom + 7, -55, "end", "small", t.texts[2][i]);
        if (i % g.columns != 0)
            continue;
        snprintf(text, sizeof text, "%s less %s", report_short(r, t.texts[0][i]), report_short(r, t.texts[1][i]));
        svg_text(svg, g.labels, y + 8, "end", "", text);
    }
    svg_end(svg);
done:
    report_table_free(&t);
    return status;
}
