/* regions: the printed table of scores, space x region, from /group_regions of results.h5. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "voxgrad/report.h"
#include "voxgrad/store.h"

typedef struct {
    char **model, **name, **layer, **region;
    int64_t count, *subjects;
    double *mean, *sem, *p; /* p: NULL without a null */
    double shifts;
    bool unique; /* mean and sem are of unique variance, not of scores */
} table;

static vg_status read_numbers(const vg_store_file *file, const char *member, int64_t count, double **numbers)
{
    VG_TRY(VG_NEW(numbers, count, "scores"));
    return vg_store_read(file, "/group_regions", member, VG_STORE_F64, NULL, NULL, *numbers);
}

/* What a study tests: scores, or the variance that a space explains beyond the nuisance. */
static vg_status find_tested(const vg_store_file *file, bool *unique)
{
    char *tested;
    *unique = false;
    if (!vg_store_has_attribute(file, "/group_regions", "tested"))
        return VG_OK;
    VG_TRY(vg_store_attribute_text(file, "/group_regions", "tested", &tested));
    *unique = strcmp(tested, "unique") == 0;
    free(tested);
    return VG_OK;
}

static vg_status read_table(const vg_store_file *file, table *t)
{
    VG_TRY(vg_store_read_texts(file, "/group_regions", "model", &t->model, &t->count));
    VG_TRY(vg_store_read_texts(file, "/group_regions", "name", &t->name, &t->count));
    VG_TRY(vg_store_read_texts(file, "/group_regions", "layer", &t->layer, &t->count));
    VG_TRY(vg_store_read_texts(file, "/group_regions", "region", &t->region, &t->count));
    VG_TRY(VG_NEW(&t->subjects, t->count, "scores"));
    VG_TRY(vg_store_read(file, "/group_regions", "subjects", VG_STORE_I64, NULL, NULL, t->subjects));
    VG_TRY(find_tested(file, &t->unique));
    VG_TRY(read_numbers(file, t->unique ? "unique" : "mean", t->count, &t->mean));
    VG_TRY(read_numbers(file, t->unique ? "unique_sem" : "sem", t->count, &t->sem));
    if (!vg_store_has_attribute(file, "/group_regions", "shifts"))
        return VG_OK;
    VG_TRY(vg_store_attribute_number(file, "/group_regions", "shifts", &t->shifts));
    return read_numbers(file, "p", t->count, &t->p);
}

static void free_table(table *t)
{
    vg_store_names_free(t->model, t->count);
    vg_store_names_free(t->name, t->count);
    vg_store_names_free(t->layer, t->count);
    vg_store_names_free(t->region, t->count);
    free(t->subjects);
    free(t->mean);
    free(t->sem);
    free(t->p);
}

static bool same_space(const table *t, int64_t i, int64_t j)
{
    return strcmp(t->model[i], t->model[j]) == 0 && strcmp(t->name[i], t->name[j]) == 0 && strcmp(t->layer[i], t->layer[j]) == 0;
}

/* The first row of each different value, in the order of the file. */
static int64_t distinct(const table *t, bool spaces, int64_t *first)
{
    int64_t found = 0;
    for (int64_t i = 0; i < t->count; i++) {
        int64_t j = 0;
        while (j < found && !(spaces ? same_space(t, i, first[j]) : strcmp(t->region[i], t->region[first[j]]) == 0))
            j++;
        if (j == found)
            first[found++] = i;
    }
    return found;
}

/* "-" where no subject has a score; no standard error of one subject. */
static void print_cell(const table *t, int64_t space, const char *region, FILE *out)
{
    int64_t i = 0;
    while (i < t->count && !(same_space(t, i, space) && strcmp(t->region[i], region) == 0))
        i++;
    if (i == t->count || t->subjects[i] == 0)
        fprintf(out, "  %16s%s", "-", t->p != NULL ? "         " : "");
    else if (isnan(t->sem[i]))
        fprintf(out, "  %7.4f         ", t->mean[i]);
    else
        fprintf(out, "  %7.4f +- %.4f", t->mean[i], t->sem[i]);
    if (i < t->count && t->subjects[i] > 0 && t->p != NULL)
        fprintf(out, "  p %.3f", t->p[i]);
}

static void print_rows(const table *t, const int64_t *spaces, int64_t space_count, const int64_t *regions, int64_t region_count, FILE *out)
{
    int width = 12, cell = t->p != NULL ? 25 : 16;
    for (int64_t s = 0; s < space_count; s++) {
        int length = (int)(strlen(t->model[spaces[s]]) + strlen(t->name[spaces[s]]) + strlen(t->layer[spaces[s]])) + 2;
        width = length > width ? length : width;
    }
    fprintf(out, "%-*s", width, "space");
    for (int64_t r = 0; r < region_count; r++)
        fprintf(out, "  %*.*s", cell - (t->p != NULL ? 1 : 0), cell, t->region[regions[r]]);
    fprintf(out, "\n");
    for (int64_t s = 0; s < space_count; s++) {
        char name[1024];
        int64_t i = spaces[s];
        snprintf(name, sizeof name, "%s/%s%s%s", t->model[i], t->name[i], *t->layer[i] != '\0' ? "/" : "", t->layer[i]);
        fprintf(out, "%-*s", width, name);
        for (int64_t r = 0; r < region_count; r++)
            print_cell(t, i, t->region[regions[r]], out);
        fprintf(out, "\n");
    }
}

static void print_legend(const table *t, FILE *out)
{
    int64_t subjects = 0;
    for (int64_t i = 0; i < t->count; i++)
        subjects = t->subjects[i] > subjects ? t->subjects[i] : subjects;
    fprintf(out, "Mean over %lld subject%s of the region's mean %s, +- standard error over subjects\n", (long long)subjects,
            subjects == 1 ? "" : "s",
            t->unique ? "unique variance (r2 with the nuisance less r2 of the nuisance alone)" : "score (Pearson's r)");
    if (t->p == NULL)
        fprintf(out, "No null was computed (null: {shifts: N}): nothing here is called significant.\n\n");
    else
        fprintf(
            out,
            "p: of this mean, against %.0f shifts of all responses by the same rows, refitted (%.2g is the smallest there can be); not "
            "corrected "
            "for\nthe number of spaces and regions: /group_regions has q (regions of a space) and p_largest (all spaces and regions)\n\n",
            t->shifts, 1 / (t->shifts + 1));
}

static vg_status print(const vg_store_file *file, const table *t, FILE *out)
{
    int64_t *spaces, *regions;
    VG_TRY(VG_NEW(&spaces, t->count, "spaces"));
    vg_status status = VG_NEW(&regions, t->count, "regions");
    if (status == VG_OK) {
        int64_t space_count = distinct(t, true, spaces), region_count = distinct(t, false, regions);
        if (vg_store_has_attribute(file, "/regions", "simulated"))
            fprintf(out, "SIMULATED responses with a known truth, not a brain.\n");
        print_legend(t, out);
        print_rows(t, spaces, space_count, regions, region_count, out);
        free(regions);
    }
    free(spaces);
    return status;
}

vg_status vg_report_regions(const char *results_path, FILE *out)
{
    vg_store_file *file;
    table t = {0};
    VG_TRY(vg_store_open_checked(results_path, &file));
    vg_status status = read_table(file, &t);
    if (status == VG_OK)
        status = print(file, &t, out);
    free_table(&t);
    vg_store_close(file);
    return status;
}
