/* Correlations with their null: layer influence against layer score, and the layers that two spaces prefer. A row a pair: a dot the
 * correlation, a tick the mean of its null, its p at the right. */
#include <math.h>
#include <string.h>

#include "figure_tables.h"

enum { TOP = 14, ROW = 12 };

/* What a figure of this kind draws: which of the table's numbers are which. `say` writes the label of a row. */
typedef struct {
    const char *path, *columns, *about, *axis, *missing;
    int shown, plain, null, p, spun; /* plain: a number said beside; spun: the mean of spins, and then their p; -1: none */
    const char *plain_name, *count_name;
    void (*say)(const report *r, const figure_table *t, int64_t row, char *label, size_t size);
} correlations;

static bool has_spins(const correlations *c, const figure_table *t, int64_t row)
{
    return c->spun >= 0 && isfinite(t->numbers[c->spun + 1][row]);
}

static void draw_row(const correlations *c, const figure_table *t, int64_t row, const char *label, const svg_axis *axis, double y,
                     FILE *svg)
{
    char text[800];
    double value = t->numbers[c->shown][row], null = t->numbers[c->null][row], p = t->numbers[c->p][row];
    if (isfinite(null))
        svg_line(svg, "bar", svg_place(axis, null), y - 4, svg_place(axis, null), y + 4);
    if (!isfinite(value)) {
        snprintf(text, sizeof text, "%.0f %s: no r", t->numbers[0][row], c->count_name);
        svg_text(svg, SVG_PAGE - 4, y + 2, "end", "small", text);
        return;
    }
    snprintf(text, sizeof text, "%s, %.0f %s", label, t->numbers[0][row], c->count_name);
    svg_note(text, sizeof text, "r", value);
    if (c->plain >= 0)
        svg_note(text, sizeof text, c->plain_name, t->numbers[c->plain][row]);
    svg_note(text, sizeof text, "null's mean", null);
    svg_note(text, sizeof text, "p", p);
    if (c->spun >= 0) {
        svg_note(text, sizeof text, "spins' mean", t->numbers[c->spun][row]);
        svg_note(text, sizeof text, "p of spins", t->numbers[c->spun + 1][row]);
    }
    svg_dot(svg, (svg_mark){"mean", 0, value, text}, svg_place(axis, value), y, 2.6);
    if (isfinite(p)) {
        int length = snprintf(text, sizeof text, "p %.3f", p);
        if (has_spins(c, t, row))
            snprintf(text + length, sizeof text - (size_t)length, ", spins %.3f", t->numbers[c->spun + 1][row]);
        svg_text(svg, SVG_PAGE - 4, y + 2, "end", "small", text);
    }
}

/* What is said below the rows. */
static const char *note(const correlations *c, const figure_table *t)
{
    bool some = c->spun < 0;
    for (int64_t i = 0; i < t->count; i++)
        some |= has_spins(c, t, i);
    return some ? "" : "No spins of the sphere: they take responses on a surface, and surface: {left_sphere: FILE, right_sphere: FILE}.";
}

static vg_status draw(const report *r, const correlations *c, FILE *svg, FILE *csv, const char **missing)
{
    figure_table t;
    char label[700];
    vg_status status;
    VG_GO(report_table_read(r, c->path, c->columns, &t));
    if (t.count == 0) {
        *missing = c->missing;
        goto done;
    }
    double labels = 60, bottom = TOP + 6 + ROW * (double)t.count;
    for (int64_t i = 0; i < t.count; i++) {
        c->say(r, &t, i, label, sizeof label);
        labels = fmin(fmax(labels, svg_width(label) + 6), 260);
    }
    const char *below = note(c, &t);
    svg_axis axis = {-1, 1, 0.5, labels + 4, SVG_PAGE - (c->spun >= 0 ? 100 : 60)};
    svg_begin(svg, SVG_PAGE, bottom + (*below != '\0' ? 38 : 26), c->about);
    svg_axis_across(svg, &axis, TOP, bottom, c->axis);
    report_table_header(c->columns, csv);
    for (int64_t i = 0; i < t.count; i++) {
        double y = TOP + 6 + ROW * ((double)i + .5);
        report_table_row(&t, i, csv);
        c->say(r, &t, i, label, sizeof label);
        svg_text(svg, labels, y + 2, "end", "", label);
        draw_row(c, &t, i, label, &axis, y, svg);
    }
    if (*below != '\0')
        svg_text(svg, SVG_PAGE - 4, bottom + 34, "end", "small", below);
    svg_end(svg);
done:
    report_table_free(&t);
    return status;
}

/* ---- layer influence against score ------------------------------------------------------------------------------------------------- */

static void say_influence(const report *r, const figure_table *t, int64_t row, char *label, size_t size)
{
    bool models = r->model_count > 1;
    snprintf(label, size, "%s%s%s ~ %s, %s", models ? t->texts[0][row] : "", models ? ": " : "", t->texts[1][row], t->texts[2][row],
             t->texts[3][row]);
}

vg_status report_draw_influence(const report *r, FILE *svg, FILE *csv, const char **missing)
{
    static const correlations influence = {
        "/layers/influence",
        "model,influence,scores,region|layers,r,r_partial,null_mean,p",
        "Layer influence against layer score, depth taken out",
        "influence against score: r over layers, depth taken out (tick: mean of the null)",
        "Layer influence was not set against scores: it takes a layer_influence feature, a feature with all layers (activations), and "
        "null: {shifts: N}.",
        2,
        1,
        3,
        4,
        -1,
        "r with depth",
        "layers",
        say_influence};
    return draw(r, &influence, svg, csv, missing);
}

/* ---- layers that two spaces prefer ------------------------------------------------------------------------------------------------- */

static void say_pair(const report *r, const figure_table *t, int64_t row, char *label, size_t size)
{
    bool models = r->model_count > 1;
    snprintf(label, size, "%s%s%s ~ %s%s%s", models ? t->texts[0][row] : "", models ? "/" : "", t->texts[1][row],
             models ? t->texts[2][row] : "", models ? "/" : "", t->texts[3][row]);
}

vg_status report_draw_correlation(const report *r, FILE *svg, FILE *csv, const char **missing)
{
    static const correlations correlation = {
        "/layers/correlation",
        "model_a,name_a,model_b,name_b|voxels,r,null_mean,p,spin_mean,p_spin,spins",
        "Do two features prefer the same layers?",
        "preferred layers: r over voxels, odd folds against even ones (tick: mean of the null)",
        "Preferred layers were not compared: it takes two features with layers, and null: {shifts: N}.",
        1,
        -1,
        2,
        3,
        4,
        "",
        "voxels",
        say_pair};
    return draw(r, &correlation, svg, csv, missing);
}
