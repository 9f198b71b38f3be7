/* figure c: models across regions. A panel a feature (its best layer over all voxels), a line a model: the mean over subjects of the
 * region's mean score, and its standard error. Regions in the order of the study, left and right beside each other where the atlas knows
 * them. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "svg.h"

enum { HIGH = 96, LEFT = 34, BETWEEN = 14 };

typedef struct {
    const char **names; /* of features: a panel each */
    int64_t count;
    double least, most, labels;
} panels;

static vg_status list_panels(const report *r, panels *p)
{
    VG_TRY(VG_NEW(&p->names, r->entry_count, "panels"));
    p->most = -INFINITY;
    for (int64_t e = 0; e < r->entry_count; e++) {
        const report_entry *entry = &r->entries[e];
        int64_t at = 0;
        if (entry->best < 0)
            continue;
        while (at < p->count && strcmp(p->names[at], entry->name) != 0)
            at++;
        if (at == p->count)
            p->names[p->count++] = entry->name;
        for (int64_t g = 0; g < r->region_count; g++) {
            const report_cell *cell = report_cell_at(r, entry->best, g);
            double half = isfinite(cell->sem) ? cell->sem : 0;
            p->least = cell->mean - half < p->least ? cell->mean - half : p->least;
            p->most = cell->mean + half > p->most ? cell->mean + half : p->most;
        }
    }
    for (int64_t g = 0; g < r->region_count; g++) {
        p->labels = fmax(p->labels, svg_width(r->regions[g]));
        p->most = r->ceiling[g] > p->most ? r->ceiling[g] : p->most;
    }
    return VG_OK;
}

static void write_row(const report *r, int64_t space, int64_t region, FILE *csv)
{
    const report_cell *cell = report_cell_at(r, space, region);
    encode_csv(csv, r->spaces[space].model);
    fputc(',', csv);
    encode_csv(csv, r->spaces[space].name);
    fprintf(csv, ",%s,", r->spaces[space].layer);
    encode_csv(csv, r->regions[region]);
    fprintf(csv, ",%lld,", (long long)cell->subjects);
    encode_number(csv, cell->mean);
    fputc(',', csv);
    encode_number(csv, cell->sem);
    fputc(',', csv);
    encode_number(csv, cell->p);
    fputc(',', csv);
    encode_number(csv, cell->p_largest);
    fputc('\n', csv);
}

/* One model's marks in a panel; those whose p against the largest of all spaces and regions is at most .05 carry a star. */
static void draw_model(const report *r, int64_t space, int colour, const svg_axis *axis, double x0, double step, FILE *svg, FILE *csv)
{
    char title[700];
    for (int64_t g = 0; g < r->region_count; g++) {
        const report_cell *cell = report_cell_at(r, space, g);
        double x = x0 + step * ((double)g + 0.5 + 0.12 * (colour - (double)(r->model_count - 1) / 2)), y = svg_place(axis, cell->mean);
        write_row(r, space, g, csv);
        if (!isfinite(cell->mean))
            continue;
        if (isfinite(cell->sem))
            svg_line(svg, "bar", x, svg_place(axis, cell->mean - cell->sem), x, svg_place(axis, cell->mean + cell->sem));
        snprintf(title, sizeof title, "%s, %s, %lld subjects", r->spaces[space].label, r->regions[g], (long long)cell->subjects);
        svg_note(title, sizeof title, "mean", cell->mean);
        svg_note(title, sizeof title, "SEM", cell->sem);
        svg_note(title, sizeof title, "p", cell->p);
        svg_note(title, sizeof title, "p against the largest of all", cell->p_largest);
        svg_dot(svg, (svg_mark){"mean", colour, cell->mean, title}, x, y, 2.6);
        if (cell->p_largest <= 0.05)
            svg_text(svg, x, svg_place(axis, cell->mean + (isfinite(cell->sem) ? cell->sem : 0)) - 3, "middle", "head", "*");
    }
}

static void draw_panel(const report *r, const panels *p, const char *name, double x0, double x1, double top, bool first, FILE *svg,
                       FILE *csv)
{
    svg_axis axis = svg_axis_make(p->least, p->most, top + HIGH, top + 12);
    double step = (x1 - x0) / (double)r->region_count;
    svg_text(svg, x0, top + 6, "start", "head", name);
    svg_axis_up(svg, &axis, x0, x1, first ? "score (Pearson's r)" : "");
    for (int64_t g = 0; g < r->region_count; g++) {
        double x = x0 + step * ((double)g + 0.5);
        svg_text_turned(svg, x + 2, top + HIGH + 6, -55, "end", "small", r->regions[g]);
        if (isfinite(r->ceiling[g]))
            svg_line(svg, "ceiling", x - step * .4, svg_place(&axis, r->ceiling[g]), x + step * .4, svg_place(&axis, r->ceiling[g]));
    }
    for (int64_t e = 0; e < r->entry_count; e++) {
        int colour = 0;
        if (strcmp(r->entries[e].name, name) != 0 || r->entries[e].best < 0)
            continue;
        while (strcmp(r->models[colour], r->entries[e].model) != 0)
            colour++;
        draw_model(r, r->entries[e].best, colour, &axis, x0, step, svg, csv);
    }
}

static void draw_legend(const report *r, double y, FILE *svg)
{
    double x = LEFT;
    char class[8];
    for (int m = 0; m < r->model_count; m++) {
        snprintf(class, sizeof class, "c%d", m % 8);
        svg_box(svg, class, x, y - 5, 5, 5);
        svg_text(svg, x + 8, y, "start", "", r->models[m]);
        x += svg_width(r->models[m]) + 22;
    }
}

vg_status report_draw_regions(const report *r, FILE *svg, FILE *csv, const char **missing)
{
    panels p = {0};
    vg_status status;
    VG_GO(list_panels(r, &p));
    if (p.count == 0 || r->region_count == 0) {
        *missing = r->unfinished ? "No space has been fitted yet." : "No space has a finite score in any region.";
        goto done;
    }
    int64_t columns = r->region_count > 14 ? 1 : p.count > 1 ? 2 : 1, lines = (p.count + columns - 1) / columns;
    double tall = HIGH + BETWEEN + fmin(p.labels * 0.75 + 8, 70), each = (SVG_PAGE - 4.0) / (double)columns;
    svg_begin(svg, SVG_PAGE, tall * (double)lines + 14,
              "Models across regions: a panel a feature, a colour a model, mean and standard error over subjects");
    fprintf(csv, "model,name,layer,region,subjects,mean,sem,p,p_largest\n");
    draw_legend(r, 8, svg);
    for (int64_t i = 0; i < p.count; i++) {
        int64_t line = i / columns;
        double x0 = each * (double)(i % columns) + LEFT, x1 = each * (double)(i % columns + 1) - 4;
        draw_panel(r, &p, p.names[i], x0, x1, 14 + tall * (double)line, i % columns == 0, svg, csv);
    }
    svg_end(svg);
done:
    free((void *)p.names);
    return status;
}
