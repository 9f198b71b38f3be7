/* figure b: scores by method and model; a row is a feature (its best layer over all voxels, where it has layers). Left: mean over all
 * voxels; right: the region that an explanation predicts best, with the band of the null and the noise ceiling. And, drawn alike, the
 * variance that a feature explains beyond the controls. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "figure_rows.h"

static double value_at(const report *r, bool tested, int64_t space, int64_t region)
{
    const report_cell *cell = report_cell_at(r, space, region);
    return tested ? cell->tested : cell->mean;
}

/* The region with the largest mean (of what is tested, or of scores) of an explanation, or of anything, where there are controls alone;
 * -1: no score at all. */
static int64_t best_region(const report *r, bool tested)
{
    int64_t best = -1;
    double most = -INFINITY;
    for (int pass = 0; pass < 2 && best < 0; pass++)
        for (int64_t i = 0; i < r->space_count; i++)
            for (int64_t g = 0; g < r->region_count && (pass == 1 || !r->spaces[i].control); g++)
                if (value_at(r, tested, i, g) > most) {
                    most = value_at(r, tested, i, g);
                    best = g;
                }
    return best;
}

static vg_status null_band(const report *r, bool tested, double *band)
{
    *band = NAN;
    return tested && r->null_largest != NULL ? report_quantile(r->null_largest, r->shifts, 0.95, band) : VG_OK;
}

/* region -1: all voxels. */
static vg_status fill(const report *r, const int64_t *spaces, int64_t rows, int64_t region, report_rows *p)
{
    p->axis = "score (Pearson's r)";
    VG_TRY(VG_NEW(&p->values, rows * r->subject_count, "scores"));
    for (int64_t row = 0; row < rows; row++)
        for (int64_t s = 0; s < r->subject_count; s++)
            p->values[row * r->subject_count + s] =
                region < 0 ? r->whole[spaces[row] * r->subject_count + s] : report_subject_at(r, r->by_subject, spaces[row], region, s);
    p->ceiling = region >= 0 ? r->ceiling[region] : r->ceiling_all;
    VG_TRY(null_band(r, !r->unique, &p->null));
    return report_rows_sem(rows, r->subject_count, p);
}

vg_status report_draw_scores(const report *r, FILE *svg, FILE *csv, const char **missing)
{
    report_rows panels[2] = {{.title = "all voxels"}, {0}};
    int64_t *spaces = NULL, rows = 0, region = best_region(r, false);
    char title[300];
    vg_status status;
    if (region < 0) {
        *missing = r->unfinished ? "No space has been fitted yet." : "No space has a finite score: every voxel's score is NaN.";
        return VG_OK;
    }
    snprintf(title, sizeof title, "best region: %s", r->regions[region]);
    panels[1].title = title;
    VG_GO(VG_NEW(&spaces, r->entry_count, "spaces"));
    for (int64_t e = 0; e < r->entry_count; e++)
        if (r->entries[e].best >= 0)
            spaces[rows++] = r->entries[e].best;
    VG_GO(fill(r, spaces, rows, -1, &panels[0]));
    VG_GO(fill(r, spaces, rows, region, &panels[1]));
    report_rows_draw(r, "Scores by method and model: a row a feature, dots subjects, diamonds means", spaces, rows, panels, 2, svg, csv);
done:
    for (int i = 0; i < 2; i++) {
        free(panels[i].values);
        free(panels[i].sem);
    }
    free(spaces);
    return status;
}

/* ---- unique variance ----------------------------------------------------------------------------------------------------------- */

static vg_status read_unique(const report *r, int64_t space, double *by_subject)
{
    for (int64_t s = 0; s < r->subject_count; s++) {
        double *values = NULL;
        char *path;
        by_subject[s] = NAN;
        VG_TRY(vg_format(&path, "/subjects/%s/%s/unique", r->subjects[s], r->spaces[space].path));
        vg_status status = VG_OK;
        if (vg_store_is_dataset(r->file, path)) {
            status = VG_NEW(&values, r->about[s].voxels, "unique variance");
            if (status == VG_OK)
                status = vg_store_read(r->file, path, NULL, VG_STORE_F64, NULL, NULL, values);
            if (status == VG_OK)
                by_subject[s] = report_average(values, r->about[s].voxels, 1).mean;
        }
        free(values);
        free(path);
        VG_TRY(status);
    }
    return VG_OK;
}

/* Spaces with unique variance, and its mean over all voxels of every subject. */
static vg_status list_unique(const report *r, int64_t *spaces, int64_t *rows, double *values)
{
    *rows = 0;
    for (int64_t i = 0; i < r->space_count; i++) {
        double *at = values + *rows * r->subject_count;
        VG_TRY(read_unique(r, i, at));
        if (r->spaces[i].whole && report_average(at, r->subject_count, 1).n > 0)
            spaces[(*rows)++] = i;
    }
    return VG_OK;
}

vg_status report_draw_unique(const report *r, FILE *svg, FILE *csv, const char **missing)
{
    report_rows panels[2] = {{.title = "all voxels"}, {0}};
    int64_t *spaces = NULL, rows = 0, region = best_region(r, true), each = r->space_count * r->subject_count;
    char title[300];
    vg_status status;
    VG_GO(VG_NEW(&spaces, r->space_count, "spaces"));
    VG_GO(VG_NEW(&panels[0].values, each, "unique variance"));
    VG_GO(VG_NEW(&panels[1].values, each, "unique variance"));
    VG_GO(list_unique(r, spaces, &rows, panels[0].values));
    if (rows == 0) {
        *missing = "Unique variance beyond the controls was not computed: nuisance: {spaces: [rate_length, position]} makes it.";
        goto done;
    }
    int count = region < 0 ? 1 : 2;
    snprintf(title, sizeof title, "best region: %s", region < 0 ? "" : r->regions[region]);
    panels[1].title = title;
    for (int64_t i = 0; count > 1 && i < rows * r->subject_count; i++)
        panels[1].values[i] = report_subject_at(r, r->unique_by, spaces[i / r->subject_count], region, i % r->subject_count);
    for (int i = 0; i < count; i++) {
        panels[i].axis = "unique variance (r\302\262)";
        panels[i].ceiling = NAN;
        VG_GO(null_band(r, r->unique, &panels[i].null));
        VG_GO(report_rows_sem(rows, r->subject_count, &panels[i]));
    }
    report_rows_draw(r, "Unique variance beyond the controls: a row a feature", spaces, rows, panels, count, svg, csv);
done:
    for (int i = 0; i < 2; i++) {
        free(panels[i].values);
        free(panels[i].sem);
    }
    free(spaces);
    return status;
}
