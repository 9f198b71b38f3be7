/* regions: the table of scores, space x region, from the tidy table /regions of results.h5. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "voxgrad/report.h"
#include "voxgrad/store.h"

typedef struct {
    char **subject, **model, **name, **layer, **region;
    double *mean;
    int64_t count;
} table;

static vg_status read_texts(const vg_store_file *file, const char *member, char ***texts, int64_t *count)
{
    return vg_store_read_texts(file, "/regions", member, texts, count);
}

static vg_status read_table(const vg_store_file *file, table *t)
{
    VG_TRY(read_texts(file, "subject", &t->subject, &t->count));
    VG_TRY(read_texts(file, "model", &t->model, &t->count));
    VG_TRY(read_texts(file, "name", &t->name, &t->count));
    VG_TRY(read_texts(file, "layer", &t->layer, &t->count));
    VG_TRY(read_texts(file, "region", &t->region, &t->count));
    VG_TRY(VG_NEW(&t->mean, t->count, "scores"));
    return vg_store_read(file, "/regions", "mean", VG_STORE_F64, NULL, NULL, t->mean);
}

static void free_table(table *t)
{
    vg_store_names_free(t->subject, t->count);
    vg_store_names_free(t->model, t->count);
    vg_store_names_free(t->name, t->count);
    vg_store_names_free(t->layer, t->count);
    vg_store_names_free(t->region, t->count);
    free(t->mean);
}

static bool same_space(const table *t, int64_t i, int64_t j)
{
    return strcmp(t->model[i], t->model[j]) == 0 && strcmp(t->name[i], t->name[j]) == 0 && strcmp(t->layer[i], t->layer[j]) == 0;
}

/* Mean over subjects of a space in a region, and its standard error; false where no subject has a score there. */
static bool over_subjects(const table *t, int64_t space, const char *region, double *mean, double *sem)
{
    double sum = 0, squares = 0, n = 0;
    for (int pass = 0; pass < 2; pass++) {
        if (pass == 1 && n == 0)
            return false;
        *mean = sum / n;
        for (int64_t i = 0; i < t->count; i++) {
            if (!same_space(t, i, space) || strcmp(t->region[i], region) != 0 || !isfinite(t->mean[i]))
                continue;
            if (pass == 0) {
                sum += t->mean[i];
                n++;
            } else {
                squares += (t->mean[i] - *mean) * (t->mean[i] - *mean);
            }
        }
    }
    *sem = n > 1 ? sqrt(squares / (n - 1) / n) : NAN;
    return true;
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

static void print_rows(const table *t, const int64_t *spaces, int64_t space_count, const int64_t *regions, int64_t region_count, FILE *out)
{
    int width = 12;
    for (int64_t s = 0; s < space_count; s++) {
        int length = (int)(strlen(t->model[spaces[s]]) + strlen(t->name[spaces[s]]) + strlen(t->layer[spaces[s]])) + 2;
        width = length > width ? length : width;
    }
    fprintf(out, "%-*s", width, "space");
    for (int64_t r = 0; r < region_count; r++)
        fprintf(out, "  %16.16s", t->region[regions[r]]);
    fprintf(out, "\n");
    for (int64_t s = 0; s < space_count; s++) {
        char name[1024];
        int64_t i = spaces[s];
        snprintf(name, sizeof name, "%s/%s%s%s", t->model[i], t->name[i], *t->layer[i] != '\0' ? "/" : "", t->layer[i]);
        fprintf(out, "%-*s", width, name);
        for (int64_t r = 0; r < region_count; r++) {
            double mean, sem;
            if (!over_subjects(t, i, t->region[regions[r]], &mean, &sem))
                fprintf(out, "  %16s", "-");
            else if (isnan(sem))
                fprintf(out, "  %7.4f         ", mean);
            else
                fprintf(out, "  %7.4f +- %.4f", mean, sem);
        }
        fprintf(out, "\n");
    }
}

static vg_status print(const vg_store_file *file, const table *t, FILE *out)
{
    int64_t *spaces, *regions;
    VG_TRY(VG_NEW(&spaces, t->count, "spaces"));
    vg_status status = VG_NEW(&regions, t->count, "regions");
    if (status == VG_OK) {
        int64_t space_count = distinct(t, true, spaces), region_count = distinct(t, false, regions), subjects = 0;
        for (int64_t i = 0; i < t->count; i++)
            subjects += i == 0 || strcmp(t->subject[i], t->subject[i - 1]) != 0;
        if (vg_store_has_attribute(file, "/regions", "simulated"))
            fprintf(out, "SIMULATED responses with a known truth, not a brain.\n");
        fprintf(out, "Mean over %lld subject%s of the region's mean score (Pearson's r), +- standard error over subjects\n\n",
                (long long)(space_count > 0 ? subjects / space_count : 0), space_count > 0 && subjects / space_count == 1 ? "" : "s");
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
    VG_TRY(vg_store_open(results_path, &file));
    vg_status status = read_table(file, &t);
    if (status == VG_OK)
        status = print(file, &t, out);
    free_table(&t);
    vg_store_close(file);
    return status;
}
