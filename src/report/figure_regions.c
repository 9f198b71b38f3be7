/* figure c: models across regions. A panel a feature (its best layer over all voxels), a colour a model: the mean over subjects of the
 * region's mean score, and its standard error. Regions in the order of the study; where one is there as left and right ("HG lh", "HG rh",
 * or "lh:HG", "rh:HG"), these stand beside each other, and their mean is left to the tables. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "svg.h"

enum { HIGH = 96, LEFT = 34, BETWEEN = 14 };

/* A place on the axis: a region, or its left and right part. */
typedef struct {
    char name[128];
    int64_t region[2]; /* left and right; -1: none; not sided: region[0] alone */
    bool sided;
} site;

typedef struct {
    const char **names; /* of features: a panel each */
    int64_t count;
    site *sites;
    int64_t site_count;
    double least, most, labels;
} panels;

/* ---- sites ----------------------------------------------------------------------------------------------------------------------- */

/* The region's name without its side; returns 0 left, 1 right, -1 neither. */
static int part_name(const char *region, char *name, size_t size)
{
    static const char *const before[] = {"lh:", "rh:"}, *const after[] = {" lh", " rh"};
    snprintf(name, size, "%s", region);
    for (int h = 0; h < 2; h++) {
        if (strncmp(region, before[h], 3) == 0) {
            snprintf(name, size, "%s", region + 3);
            return h;
        }
        if (report_ends_in(name, after[h])) {
            name[strlen(name) - 3] = '\0';
            return h;
        }
    }
    return -1;
}

static site *find_site(const panels *p, const char *name)
{
    for (int64_t i = 0; i < p->site_count; i++)
        if (strcmp(p->sites[i].name, name) == 0)
            return &p->sites[i];
    return NULL;
}

static vg_status list_sites(const report *r, panels *p)
{
    VG_TRY(VG_NEW(&p->sites, r->region_count, "regions"));
    for (int64_t g = 0; g < r->region_count; g++) {
        char name[128];
        int side = part_name(r->regions[g], name, sizeof name);
        site *at = find_site(p, name);
        if (at == NULL) {
            at = &p->sites[p->site_count++];
            *at = (site){.region = {-1, -1}};
            snprintf(at->name, sizeof at->name, "%s", name);
        }
        if (side >= 0 && !at->sided)
            at->region[0] = -1; /* the mean of both steps back */
        at->sided |= side >= 0;
        if (side >= 0 || !at->sided)
            at->region[side > 0] = g;
        p->labels = fmax(p->labels, svg_width(name));
    }
    return VG_OK;
}

/* ---- panels ---------------------------------------------------------------------------------------------------------------------- */

static void widen(panels *p, double value)
{
    p->least = value < p->least ? value : p->least;
    p->most = value > p->most ? value : p->most;
}

static vg_status list_panels(const report *r, panels *p)
{
    VG_TRY(list_sites(r, p));
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
            widen(p, cell->mean - half);
            widen(p, cell->mean + half);
            widen(p, r->ceiling[g]);
        }
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

/* One model's mark of a region; where its p against the largest of all spaces and regions is at most .05 it carries a star. */
static void draw_mark(const report *r, int64_t space, int64_t region, int colour, const svg_axis *axis, double x, FILE *svg)
{
    char title[700];
    const report_cell *cell = report_cell_at(r, space, region);
    double half = isfinite(cell->sem) ? cell->sem : 0;
    if (!isfinite(cell->mean))
        return;
    if (isfinite(cell->sem))
        svg_line(svg, "bar", x, svg_place(axis, cell->mean - half), x, svg_place(axis, cell->mean + half));
    snprintf(title, sizeof title, "%s, %s, %lld subjects", r->spaces[space].label, r->regions[region], (long long)cell->subjects);
    svg_note(title, sizeof title, "mean", cell->mean);
    svg_note(title, sizeof title, "SEM", cell->sem);
    if (r->unique)
        svg_note(title, sizeof title, "unique variance", cell->tested);
    svg_note(title, sizeof title, "p", cell->p);
    svg_note(title, sizeof title, "p against the largest of all", cell->p_largest);
    svg_dot(svg, (svg_mark){"mean", colour, cell->mean, title}, x, svg_place(axis, cell->mean), 2.6);
    if (cell->p_largest <= 0.05)
        svg_text(svg, x, svg_place(axis, cell->mean + half) - 3, "middle", "head", "*");
}

static void draw_ceiling(double ceiling, const svg_axis *axis, double x, double half, FILE *svg)
{
    if (isfinite(ceiling))
        svg_line(svg, "ceiling", x - half, svg_place(axis, ceiling), x + half, svg_place(axis, ceiling));
}

/* All models at one region, whose place is x - half .. x + half. */
static void draw_region(const report *r, const char *name, int64_t region, const svg_axis *axis, double x, double half, FILE *svg,
                        FILE *csv)
{
    draw_ceiling(r->ceiling[region], axis, x, half * .8, svg);
    for (int64_t e = 0; e < r->entry_count; e++) {
        int colour = 0;
        if (strcmp(r->entries[e].name, name) != 0 || r->entries[e].best < 0)
            continue;
        while (strcmp(r->models[colour], r->entries[e].model) != 0)
            colour++;
        write_row(r, r->entries[e].best, region, csv);
        draw_mark(r, r->entries[e].best, region, colour, axis,
                  x + half * 1.4 / (double)r->model_count * (colour - (double)(r->model_count - 1) / 2), svg);
    }
}

static void draw_panel(const report *r, const panels *p, const char *name, double x0, double x1, double top, bool first, FILE *svg,
                       FILE *csv)
{
    static const char *const sides[] = {"L", "R"};
    svg_axis axis = svg_axis_make(p->least, p->most, top + HIGH, top + 12);
    double half = (x1 - x0) / (double)p->site_count / 2;
    svg_text(svg, x0, top + 6, "start", "head", name);
    svg_axis_up(svg, &axis, x0, x1, first ? "score (Pearson's r)" : "");
    for (int64_t i = 0; i < p->site_count; i++) {
        const site *at = &p->sites[i];
        double x = x0 + half * (2 * (double)i + 1);
        svg_text_turned(svg, x + 2, top + HIGH + (at->sided ? 14 : 6), -55, "end", "small", at->name);
        if (!at->sided)
            draw_region(r, name, at->region[0], &axis, x, half, svg, csv);
        for (int h = 0; h < 2 && at->sided; h++) {
            double own = x + (h == 0 ? -.45 : .45) * half;
            svg_text(svg, own, top + HIGH + 7, "middle", "small", sides[h]);
            if (at->region[h] >= 0)
                draw_region(r, name, at->region[h], &axis, own, half * .4, svg, csv);
        }
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
    double tall = HIGH + BETWEEN + fmin(p.labels * 0.75 + 16, 70), each = (SVG_PAGE - 4.0) / (double)columns;
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
    free(p.sites);
    return status;
}
