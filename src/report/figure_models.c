/* figure d: models compared on gradient norm and gradient x input, paired by subject: a line is a subject, its ends the mean scores over
 * all voxels under each model; the difference to the first model with its standard error over subjects stands below. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "svg.h"

enum { HIGH = 110, TOP = 16, LEFT = 36 };

static const char *const compared[] = {"gradient_norm", "gradient_x_input"};
enum { COMPARED = sizeof compared / sizeof *compared };

static int64_t find(const report *r, const char *model, const char *name)
{
    for (int64_t e = 0; e < r->entry_count; e++)
        if (strcmp(r->entries[e].model, model) == 0 && strcmp(r->entries[e].name, name) == 0)
            return r->entries[e].best;
    return -1;
}

static int64_t models_with(const report *r, const char *name)
{
    int64_t count = 0;
    for (int64_t m = 0; m < r->model_count; m++)
        count += find(r, r->models[m], name) >= 0;
    return count;
}

/* kind: "subject", or "mean" with its difference from the first model. */
static void write_row(const char *name, const char *model, const char *subject, double score, report_mean difference, FILE *csv)
{
    const double numbers[] = {score, difference.mean, difference.sem};
    encode_csv(csv, name);
    fputc(',', csv);
    encode_csv(csv, model);
    fputs(subject != NULL ? ",subject," : ",mean,", csv);
    encode_csv(csv, subject != NULL ? subject : "");
    for (int n = 0; n < 3; n++) {
        fputc(',', csv);
        encode_number(csv, numbers[n]);
    }
    fputc('\n', csv);
}

/* Of the scores of two spaces, paired by subject; NaN of a space and itself. */
static vg_status find_difference(const report *r, int64_t space, int64_t first, report_mean *difference)
{
    double *differences;
    *difference = (report_mean){0, NAN, NAN};
    if (space == first)
        return VG_OK;
    VG_TRY(VG_NEW(&differences, r->subject_count, "scores"));
    for (int64_t s = 0; s < r->subject_count; s++)
        differences[s] = r->whole[space * r->subject_count + s] - r->whole[first * r->subject_count + s];
    *difference = report_average(differences, r->subject_count, 1);
    free(differences);
    return VG_OK;
}

static void draw_difference(report_mean m, double x, double y, FILE *svg)
{
    char text[80];
    if (!isfinite(m.mean))
        return;
    if (isfinite(m.sem))
        snprintf(text, sizeof text, "%+.4f \302\261 %.4f", m.mean, m.sem);
    else
        snprintf(text, sizeof text, "%+.4f", m.mean);
    svg_text(svg, x, y, "middle", "small", text);
}

static vg_status draw_panel(const report *r, const char *name, double x0, double x1, FILE *svg, FILE *csv)
{
    int64_t count = models_with(r, name), at = 0, before = -1, first = -1;
    double least = 0, most = -INFINITY, step = (x1 - x0) / (double)count;
    char title[600];
    for (int64_t m = 0; m < r->model_count; m++) {
        int64_t space = find(r, r->models[m], name);
        for (int64_t s = 0; space >= 0 && s < r->subject_count; s++) {
            double score = r->whole[space * r->subject_count + s];
            least = score < least ? score : least;
            most = score > most ? score : most;
        }
    }
    svg_axis axis = svg_axis_make(least, most, TOP + HIGH, TOP + 4);
    svg_text(svg, x0, 9, "start", "head", name);
    svg_axis_up(svg, &axis, x0, x1, "score (Pearson's r)");
    for (int64_t m = 0; m < r->model_count; m++) {
        int64_t space = find(r, r->models[m], name);
        if (space < 0)
            continue;
        double x = x0 + step * ((double)at + 0.5);
        first = first < 0 ? space : first;
        for (int64_t s = 0; s < r->subject_count; s++) {
            double score = r->whole[space * r->subject_count + s],
                   last = before >= 0 ? r->whole[before * r->subject_count + s] : (double)NAN;
            write_row(name, r->models[m], r->subjects[s], score, (report_mean){0, NAN, NAN}, csv);
            if (!isfinite(score))
                continue;
            if (isfinite(last))
                svg_line(svg, "link", x - step, svg_place(&axis, last), x, svg_place(&axis, score));
            snprintf(title, sizeof title, "%s, %s: %.4f", r->models[m], r->subjects[s], score);
            svg_dot(svg, (svg_mark){"dot", (int)m, score, title}, x, svg_place(&axis, score), 1.8);
        }
        report_mean mean = report_average(r->whole + space * r->subject_count, r->subject_count, 1), difference;
        VG_TRY(find_difference(r, space, first, &difference));
        write_row(name, r->models[m], NULL, mean.mean, difference, csv);
        snprintf(title, sizeof title, "%s: mean %.4f over %lld subjects", r->models[m], mean.mean, (long long)mean.n);
        if (isfinite(mean.mean))
            svg_diamond(svg, (svg_mark){"mean", (int)m, mean.mean, title}, x, svg_place(&axis, mean.mean), 3.4);
        svg_text(svg, x, TOP + HIGH + 10, "middle", "", r->models[m]);
        draw_difference(difference, x, TOP + HIGH + 19, svg);
        before = space;
        at++;
    }
    return VG_OK;
}

vg_status report_draw_models(const report *r, FILE *svg, FILE *csv, const char **missing)
{
    int64_t panels = 0, at = 0;
    for (int c = 0; c < COMPARED; c++)
        panels += models_with(r, compared[c]) > 1;
    if (panels == 0) {
        *missing = "Models are compared where two or more of them have gradient_norm or gradient_x_input: list them under models:.";
        return VG_OK;
    }
    svg_begin(svg, SVG_PAGE, TOP + HIGH + 26, "Models compared, paired by subject");
    fprintf(csv, "name,model,kind,subject,score,difference,difference_sem\n");
    for (int c = 0; c < COMPARED; c++) {
        double each = (double)SVG_PAGE / (double)panels;
        if (models_with(r, compared[c]) < 2)
            continue;
        VG_TRY(draw_panel(r, compared[c], each * (double)at + LEFT, each * (double)(at + 1) - 8, svg, csv));
        at++;
    }
    svg_end(svg);
    return VG_OK;
}
