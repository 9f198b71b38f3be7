/* figure_rows: rows of feature spaces with subjects as dots; what figure b and the unique variance are drawn by. */
#include "figure_rows.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { TOP = 26, ROW = 13 };

/* Each subject's level over all rows; NaN where a row is missing. Returns how many have one. */
static int64_t find_levels(int64_t rows, int64_t subjects, const double *values, double *level, double *grand)
{
    int64_t n = 0;
    *grand = 0;
    for (int64_t s = 0; s < subjects; s++) {
        level[s] = 0;
        for (int64_t c = 0; c < rows; c++)
            level[s] += values[c * subjects + s] / (double)rows;
        n += isfinite(level[s]) != 0;
        *grand += isfinite(level[s]) ? level[s] : 0.0;
    }
    *grand /= (double)n;
    return n;
}

vg_status report_rows_sem(int64_t rows, int64_t subjects, report_rows *panel)
{
    double *level, grand;
    VG_TRY(VG_NEW(&panel->sem, rows, "scores"));
    VG_TRY(VG_NEW(&level, subjects, "scores"));
    int64_t n = find_levels(rows, subjects, panel->values, level, &grand);
    for (int64_t c = 0; c < rows; c++) {
        double sum = 0, squares = 0;
        for (int64_t s = 0; s < subjects; s++) {
            double x = isfinite(level[s]) ? panel->values[c * subjects + s] - level[s] + grand : 0.0;
            sum += x;
            squares += x * x;
        }
        double variance = n > 1 ? fmax(0.0, (squares - sum * sum / (double)n) / (double)(n - 1)) : 0.0;
        panel->sem[c] = n > 1 && rows > 1 ? sqrt(variance / (double)n * (double)rows / (double)(rows - 1)) : (double)NAN;
    }
    free(level);
    return VG_OK;
}

static svg_axis axis_of(int64_t count, const report_rows *p, double from, double to)
{
    double least = 0, most = -INFINITY;
    for (int64_t i = 0; i < count; i++) {
        least = p->values[i] < least ? p->values[i] : least;
        most = p->values[i] > most ? p->values[i] : most;
    }
    if (p->null > most)
        most = p->null;
    if (p->ceiling > most)
        most = p->ceiling;
    return svg_axis_make(least, fmax(most, 0), from, to);
}

static void write_row(const report *r, const report_rows *p, const report_space *space, int64_t row, FILE *csv)
{
    for (int64_t s = 0; s <= r->subject_count; s++) {
        bool mean = s == r->subject_count;
        encode_csv(csv, p->title);
        fputc(',', csv);
        encode_csv(csv, space->model);
        fputc(',', csv);
        encode_csv(csv, space->name);
        fprintf(csv, ",%s,%s,", space->layer, mean ? "mean" : "subject");
        encode_csv(csv, mean ? "" : r->subjects[s]);
        fputc(',', csv);
        encode_number(csv, mean ? report_average(p->values + row * r->subject_count, r->subject_count, 1).mean
                                : p->values[row * r->subject_count + s]);
        fputc(',', csv);
        if (mean)
            encode_number(csv, p->sem[row]);
        fputc('\n', csv);
    }
}

static void draw_row(const report *r, const report_rows *p, const svg_axis *axis, const report_space *space, int64_t row, double y,
                     FILE *svg)
{
    const double *values = p->values + row * r->subject_count;
    char title[600];
    int colour = 0;
    while (colour < r->model_count - 1 && strcmp(r->models[colour], space->model) != 0)
        colour++;
    for (int64_t s = 0; s < r->subject_count; s++) {
        if (!isfinite(values[s]))
            continue;
        snprintf(title, sizeof title, "%s, %s: %.4f", space->label, r->subjects[s], values[s]);
        double lift = r->subject_count > 1 ? ((double)(s % 5) - 2) * 1.1 : 0;
        svg_dot(svg, (svg_mark){"dot", colour, values[s], title}, svg_place(axis, values[s]), y + lift, 1.6);
    }
    double mean = report_average(values, r->subject_count, 1).mean, sem = p->sem[row];
    if (!isfinite(mean))
        return;
    if (isfinite(sem))
        svg_line(svg, "bar", svg_place(axis, mean - sem), y, svg_place(axis, mean + sem), y);
    snprintf(title, sizeof title, "%s: mean %.4f", space->label, mean);
    svg_note(title, sizeof title, "within-subject SEM", sem);
    svg_diamond(svg, (svg_mark){"mean", colour, mean, title}, svg_place(axis, mean), y, 3.2);
}

static void draw_ceiling(const report_rows *p, const svg_axis *axis, double bottom, FILE *svg)
{
    char text[64];
    double x = svg_place(axis, p->ceiling);
    svg_line(svg, "ceiling", x, TOP - 4, x, bottom);
    snprintf(text, sizeof text, "ceiling %.2f", p->ceiling);
    svg_text(svg, x, TOP - 6, "end", "small", text);
}

static void draw_panel(const report *r, const int64_t *spaces, int64_t rows, const report_rows *p, double from, double to, FILE *svg,
                       FILE *csv)
{
    svg_axis axis = axis_of(rows * r->subject_count, p, from, to);
    double bottom = TOP + ROW * (double)rows;
    svg_text(svg, from, 9, "start", "head", p->title);
    if (isfinite(p->null))
        svg_box(svg, "null", axis.from, TOP - 4, svg_place(&axis, p->null) - axis.from, bottom - TOP + 4);
    svg_axis_across(svg, &axis, TOP - 4, bottom, p->axis);
    if (isfinite(p->ceiling))
        draw_ceiling(p, &axis, bottom, svg);
    for (int64_t row = 0; row < rows; row++) {
        const report_space *space = &r->spaces[spaces[row]];
        draw_row(r, p, &axis, space, row, TOP + ROW * ((double)row + .5) - 2, svg);
        write_row(r, p, space, row, csv);
    }
}

void report_rows_draw(const report *r, const char *about, const int64_t *spaces, int64_t rows, const report_rows *panels, int count,
                      FILE *svg, FILE *csv)
{
    double labels = 40;
    for (int64_t row = 0; row < rows; row++)
        labels = fmax(labels, svg_width(r->spaces[spaces[row]].label));
    labels = fmin(labels + 6, 200);
    svg_begin(svg, SVG_PAGE, TOP + ROW * (double)rows + 26, about);
    for (int64_t row = 0; row < rows; row++)
        svg_text(svg, labels - 2, TOP + ROW * ((double)row + .5), "end", "", r->spaces[spaces[row]].label);
    double each = (SVG_PAGE - labels - 10) / count;
    fprintf(csv, "scope,model,name,layer,kind,subject,score,sem_within_subject\n");
    for (int i = 0; i < count; i++)
        draw_panel(r, spaces, rows, &panels[i], labels + each * i + 8, labels + each * (i + 1) - 14, svg, csv);
    svg_end(svg);
}
