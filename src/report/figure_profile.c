/* Context profile: which of the preceding words carries the score. A panel a space and kind (the last words alone; all but one word), a
 * line a region. */
#include <math.h>
#include <string.h>

#include "figure_tables.h"

enum { HIGH = 90, TOP = 14, LEFT = 36 };
enum { MODEL, NAME, LAYER, REGION, KIND };
enum { WORD, MEAN, SEM };
static const char columns[] = "model,name,layer,region,kind|word,mean,sem";

/* Rows of one panel: all texts but the region are the same. */
static bool same_panel(const figure_table *t, int64_t a, int64_t b)
{
    for (int i = 0; i < TABLE_TEXTS; i++)
        if (i != REGION && strcmp(t->texts[i][a], t->texts[i][b]) != 0)
            return false;
    return true;
}

static bool first_of_panel(const figure_table *t, int64_t row)
{
    for (int64_t i = 0; i < row; i++)
        if (same_panel(t, i, row))
            return false;
    return true;
}

/* The row of the same line, with a value, whose word comes before this one's; -1: none. */
static int64_t row_before(const figure_table *t, int64_t row)
{
    int64_t before = -1;
    for (int64_t i = 0; i < t->count; i++)
        if (same_panel(t, i, row) && strcmp(t->texts[REGION][i], t->texts[REGION][row]) == 0 && isfinite(t->numbers[MEAN][i]) &&
            t->numbers[WORD][i] < t->numbers[WORD][row] && (before < 0 || t->numbers[WORD][i] > t->numbers[WORD][before]))
            before = i;
    return before;
}

/* Does an earlier row of the panel have this word? */
static bool has_tick(const figure_table *t, int64_t row)
{
    for (int64_t i = 0; i < row; i++)
        if (same_panel(t, i, row) && t->numbers[WORD][i] == t->numbers[WORD][row])
            return true;
    return false;
}

/* The regions' colours; the average over all voxels is black. */
static int region_colour(const report *r, const char *region)
{
    int at = 0;
    while (at < r->region_count && strcmp(r->regions[at], region) != 0)
        at++;
    return at == r->region_count ? 6 : at % 6;
}

static void range_of(const figure_table *t, int64_t panel, int column, double *least, double *most)
{
    *least = column == MEAN ? 0 : INFINITY;
    *most = -INFINITY;
    for (int64_t i = 0; i < t->count; i++) {
        double value = t->numbers[column][i];
        if (!same_panel(t, panel, i) || !isfinite(value))
            continue;
        *least = value < *least ? value : *least;
        *most = value > *most ? value : *most;
    }
}

static void draw_point(const report *r, const figure_table *t, int64_t row, const svg_axis *across, const svg_axis *up, FILE *svg)
{
    char text[700];
    double value = t->numbers[MEAN][row], x = svg_place(across, t->numbers[WORD][row]);
    int colour = region_colour(r, t->texts[REGION][row]);
    int64_t before = row_before(t, row);
    if (!has_tick(t, row)) {
        snprintf(text, sizeof text, "%.0f", t->numbers[WORD][row]);
        svg_text(svg, x, up->from + 10, "middle", "small", text);
    }
    if (!isfinite(value))
        return;
    if (before >= 0) {
        snprintf(text, sizeof text, "course s%d", colour);
        svg_line(svg, text, svg_place(across, t->numbers[WORD][before]), svg_place(up, t->numbers[MEAN][before]), x, svg_place(up, value));
    }
    snprintf(text, sizeof text, "%s, word %.0f: %.4f", t->texts[REGION][row], t->numbers[WORD][row], value);
    svg_note(text, sizeof text, "SEM", t->numbers[SEM][row]);
    svg_dot(svg, (svg_mark){"mean", colour, value, text}, x, svg_place(up, value), 2.2);
}

static void draw_panel(const report *r, const figure_table *t, int64_t panel, double x0, double x1, double top, FILE *svg)
{
    double least, most, first, last;
    char title[700];
    bool without = strcmp(t->texts[KIND][panel], "without") == 0;
    range_of(t, panel, MEAN, &least, &most);
    range_of(t, panel, WORD, &first, &last);
    svg_axis up = svg_axis_make(least, most, top + HIGH, top + 10), across = {first, last > first ? last : first + 1, 1, x0 + 6, x1 - 6};
    snprintf(title, sizeof title, "%s%s%s%s%s", r->model_count > 1 ? t->texts[MODEL][panel] : "", r->model_count > 1 ? "/" : "",
             t->texts[NAME][panel], *t->texts[LAYER][panel] != '\0' ? "/" : "", t->texts[LAYER][panel]);
    svg_text(svg, x0, top + 4, "start", "head", title);
    svg_axis_up(svg, &up, x0, x1, without ? "r\302\262 lost without the word" : "score (Pearson's r)");
    svg_text(svg, (x0 + x1) / 2, top + HIGH + 20, "middle", "", without ? "the word so many places back" : "so many last words alone");
    for (int64_t i = 0; i < t->count; i++)
        if (same_panel(t, panel, i))
            draw_point(r, t, i, &across, &up, svg);
}

/* Of the regions that the table has, where they are drawn first. */
static void draw_legend(const report *r, const figure_table *t, double y, FILE *svg)
{
    double x = LEFT;
    char class[8];
    for (int64_t i = 0; i < t->count && same_panel(t, 0, i) && x < SVG_PAGE - 40; i++) {
        bool again = false;
        for (int64_t j = 0; j < i; j++)
            again |= strcmp(t->texts[REGION][i], t->texts[REGION][j]) == 0;
        if (again)
            continue;
        snprintf(class, sizeof class, "c%d", region_colour(r, t->texts[REGION][i]));
        svg_box(svg, class, x, y - 5, 5, 5);
        svg_text(svg, x + 8, y, "start", "", t->texts[REGION][i]);
        x += svg_width(t->texts[REGION][i]) + 20;
    }
}

vg_status report_draw_profile(const report *r, FILE *svg, FILE *csv, const char **missing)
{
    figure_table t;
    int64_t panels = 0, at = 0;
    vg_status status;
    VG_GO(report_table_read(r, "/profile", columns, &t));
    if (t.count == 0) {
        *missing = "No context profile was computed: profile: {spaces: [NAME, ...]} makes one.";
        goto done;
    }
    for (int64_t i = 0; i < t.count; i++)
        panels += first_of_panel(&t, i);
    double tall = HIGH + 36, each = SVG_PAGE / 2.0;
    svg_begin(svg, SVG_PAGE, tall * (double)((panels + 1) / 2) + TOP + 4, "Which preceding word carries the score");
    draw_legend(r, &t, 8, svg);
    report_table_header(columns, csv);
    for (int64_t i = 0; i < t.count; i++) {
        report_table_row(&t, i, csv);
        if (!first_of_panel(&t, i))
            continue;
        int64_t line = at / 2;
        draw_panel(r, &t, i, each * (double)(at % 2) + LEFT, each * (double)(at % 2 + 1) - 6, TOP + 4 + tall * (double)line, svg);
        at++;
    }
    svg_end(svg);
done:
    report_table_free(&t);
    return status;
}
