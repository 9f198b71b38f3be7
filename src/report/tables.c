/* tables: the tables of a results.h5 as rows of text: tidy CSV for figures, or columns side by side for eyes. Each is put together from one
 * or two of the file's tables; a number that a table does not have, or that is not one, is an empty cell. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "voxgrad/report.h"
#include "voxgrad/store.h"

enum { COLUMNS = 20 };

/* Rows of `count` cells, each a string of its own. */
typedef struct {
    const char *const *columns;
    int64_t count;
    char ***rows;
    int64_t row_count, room;
} table;

/* ---- cells ---------------------------------------------------------------------------------------------------------------------- */

static bool is_text(const char *column)
{
    static const char *const texts[] = {"model",     "name",   "layer",   "region", "a",       "b",      "family", "kind",
                                        "influence", "scores", "model_a", "name_a", "model_b", "name_b", NULL};
    for (int i = 0; texts[i] != NULL; i++)
        if (strcmp(texts[i], column) == 0)
            return true;
    return false;
}

/* One column of a table of the file as text, "" where the table has none; to be given to vg_store_names_free. */
static vg_status read_column(const vg_store_file *file, const char *path, const char *column, int64_t rows, char ***cells)
{
    bool there = vg_store_has_member(file, path, column);
    if (there && is_text(column)) {
        int64_t count;
        return vg_store_read_texts(file, path, column, cells, &count);
    }
    double *numbers;
    VG_TRY(VG_NEW(cells, rows, "cells"));
    VG_TRY(VG_NEW(&numbers, rows, "cells"));
    vg_status status = there ? vg_store_read(file, path, column, VG_STORE_F64, NULL, NULL, numbers) : VG_OK;
    for (int64_t i = 0; status == VG_OK && i < rows; i++)
        status = there && isfinite(numbers[i]) ? vg_format(&(*cells)[i], "%.6g", numbers[i]) : vg_format(&(*cells)[i], "%s", "");
    free(numbers);
    return status;
}

static vg_status add_row(table *t, char **cells)
{
    if (t->row_count == t->room) {
        int64_t room = 2 * t->room + 64;
        char ***grown = realloc(t->rows, (size_t)room * sizeof *grown);
        if (grown == NULL)
            return vg_fail(VG_NO_MEMORY, "no memory for a table of %lld rows", (long long)room);
        t->rows = grown;
        t->room = room;
    }
    t->rows[t->row_count++] = cells;
    return VG_OK;
}

/* What of a table of the file becomes rows. */
typedef struct {
    const char *path, *layer;                          /* layer: of all its rows, NULL: its own */
    bool (*wants)(const table *t, char *const *cells); /* NULL: all rows */
} source;

static vg_status add_source(const vg_store_file *file, const source *from, table *t)
{
    vg_store_about about;
    char **columns[COLUMNS] = {0};
    vg_status status;
    if (!vg_store_has(file, from->path))
        return VG_OK;
    VG_TRY(vg_store_describe(file, from->path, &about));
    int64_t rows = about.shape[0];
    for (int64_t c = 0; c < t->count; c++)
        VG_GO(read_column(file, from->path, t->columns[c], rows, &columns[c]));
    for (int64_t i = 0; i < rows; i++) {
        char **cells;
        VG_GO(VG_NEW(&cells, t->count, "cells"));
        for (int64_t c = 0; c < t->count; c++) {
            bool layer = from->layer != NULL && strcmp(t->columns[c], "layer") == 0;
            if (columns[c] == NULL)
                continue;
            cells[c] = columns[c][i];
            columns[c][i] = NULL;
            if (layer) {
                free(cells[c]);
                cells[c] = NULL;
                VG_GO(vg_format(&cells[c], "%s", from->layer));
            }
        }
        if (from->wants == NULL || from->wants(t, cells))
            VG_GO(add_row(t, cells));
        else
            vg_store_names_free(cells, t->count);
    }
    status = VG_OK;
done:
    for (int64_t c = 0; c < t->count; c++)
        if (columns[c] != NULL)
            vg_store_names_free(columns[c], rows);
    return status;
}

static const char *cell(const table *t, char *const *cells, const char *column)
{
    for (int64_t c = 0; c < t->count; c++)
        if (strcmp(t->columns[c], column) == 0)
            return cells[c];
    return "";
}

/* ---- which rows -------------------------------------------------------------------------------------------------------------------- */

static bool has_layer(const table *t, char *const *cells)
{
    return *cell(t, cells, "layer") != '\0';
}

static bool has_no_layer(const table *t, char *const *cells)
{
    return !has_layer(t, cells);
}

static bool is_average(const table *t, char *const *cells)
{
    return strcmp(cell(t, cells, "region"), "all") == 0;
}

static bool is_average_without_layer(const table *t, char *const *cells)
{
    return is_average(t, cells) && has_no_layer(t, cells);
}

/* ---- order --------------------------------------------------------------------------------------------------------------------------- */

/* Rows of `models`: by name, region, model; those of the file's order where these are the same. */
static const table *sorted;

static int compare(const void *a, const void *b)
{
    char *const *x = *(char **const *)a, *const *y = *(char **const *)b;
    static const char *const by[] = {"name", "layer", "region", "model"};
    for (size_t i = 0; i < sizeof by / sizeof *by; i++) {
        int order = strcmp(cell(sorted, x, by[i]), cell(sorted, y, by[i]));
        if (order != 0)
            return order;
    }
    return 0;
}

/* ---- the tables ---------------------------------------------------------------------------------------------------------------------- */

static const char *const region_columns[] = {"model", "name", "layer",    "region", "subjects", "mean",      "sem", "sem_within",
                                             "low",   "high", "fraction", "p",      "q",        "p_largest", NULL};
static const char *const layer_columns[] = {"model", "name", "layer", "region", "subjects", "mean",           "sem",
                                            "low",   "high", "p",     "q",      "passing",  "center_of_mass", NULL};
static const char *const method_columns[] = {"model", "name", "layer", "region", "subjects", "mean", "sem", "low", "high", "p", "q", NULL};
static const char *const pair_columns[] = {"a",    "b", "region", "subjects", "mean",  "sem",  "low",
                                           "high", "p", "q",      "won_a",    "won_b", "tied", NULL};
static const char *const correlation_columns[] = {"model_a",   "name_a", "model_b",   "name_b", "subjects", "voxels", "r",
                                                  "null_mean", "p",      "spin_mean", "p_spin", "spins",    NULL};
static const char *const profile_columns[] = {"model", "name", "layer", "region", "kind", "word", "subjects", "mean", "sem", NULL};

#define BEST                            \
    {                                   \
        "/layers/regions", "best", NULL \
    }

/* A column that the file's tables do not have (p without a null) has empty cells. */
static const struct {
    const char *what;
    const char *const *columns;
    source sources[2];
    bool by_model;
    const char *legend, *missing;
} recipes[] = {
    {"regions",
     region_columns,
     {{"/group_regions", NULL, NULL}},
     false,
     "Mean over subjects of the region's mean score (Pearson's r); low, high: bootstrap over listeners",
     ""},
    {"layers",
     layer_columns,
     {{"/group_regions", NULL, has_layer}, BEST},
     false,
     "Layers, and the best one (chosen per voxel and outer fold on inner folds); center_of_mass by place among the layers, from 0",
     "no space of this study has layers"},
    {"methods",
     method_columns,
     {{"/group_regions", NULL, is_average_without_layer}, {"/layers/regions", "best", is_average}},
     false,
     "Mean over subjects of the mean score of all voxels, by model and method; best: the best layer, chosen on inner folds",
     ""},
    {"models",
     method_columns,
     {{"/group_regions", NULL, has_no_layer}, BEST},
     true,
     "Methods in every region, model beside model; best: the best layer, chosen on inner folds",
     ""},
    {"contrasts",
     pair_columns,
     {{"/contrast_regions", NULL, NULL}, {"/families/comparisons", NULL, NULL}},
     false,
     "a less b, mean over subjects; p against the same shifts of both, two-sided; won_a, won_b, tied: shares of voxels, families alone",
     "this study has no contrasts (contrasts: all, or a list) and no two families"},
    {"correlation",
     correlation_columns,
     {{"/layers/correlation", NULL, NULL}},
     false,
     "Layers that a prefers on odd folds and b on even ones, over voxels where both pass; p against shifts, p_spin against rotations of "
     "the sphere (spins 0: no spheres were given, or the responses lie on no surface)",
     "this study did not compare layers: it takes two spaces with layers and null: {shifts: N}"},
    {"profile",
     profile_columns,
     {{"/profile", NULL, NULL}},
     false,
     "last: score (r) of the last `word` words alone; without: r2 of all less r2 without the word `word` places back",
     "this study has no profile (profile: {spaces: all, or a list})"},
};

enum { RECIPES = sizeof recipes / sizeof *recipes };

/* ---- printing ------------------------------------------------------------------------------------------------------------------------ */

static void print_csv_cell(const char *text, FILE *out)
{
    if (strpbrk(text, ",\"\n\r") == NULL) {
        fputs(text, out);
        return;
    }
    fputc('"', out);
    for (; *text != '\0'; text++) {
        if (*text == '"')
            fputc('"', out);
        fputc(*text, out);
    }
    fputc('"', out);
}

static void print_csv(const table *t, FILE *out)
{
    for (int64_t i = -1; i < t->row_count; i++)
        for (int64_t c = 0; c < t->count; c++) {
            print_csv_cell(i < 0 ? t->columns[c] : t->rows[i][c], out);
            fputc(c + 1 < t->count ? ',' : '\n', out);
        }
}

/* A number for eyes: four digits behind the point, where it has one. */
static const char *shown(const table *t, int64_t row, int64_t c, char *room, size_t size)
{
    const char *text = row < 0 ? t->columns[c] : t->rows[row][c];
    double number;
    if (*text == '\0')
        return "-";
    if (row < 0 || is_text(t->columns[c]) || strpbrk(text, ".e") == NULL || !vg_parse_double(text, strlen(text), &number))
        return text;
    snprintf(room, size, "%.4f", number);
    return room;
}

static void print_columns(const table *t, FILE *out)
{
    char room[64];
    int widths[COLUMNS] = {0};
    for (int64_t i = -1; i < t->row_count; i++)
        for (int64_t c = 0; c < t->count; c++) {
            int width = (int)strlen(shown(t, i, c, room, sizeof room));
            widths[c] = width > widths[c] ? width : widths[c];
        }
    for (int64_t i = -1; i < t->row_count; i++)
        for (int64_t c = 0; c < t->count; c++)
            fprintf(out, "%*s%s", is_text(t->columns[c]) ? -widths[c] : widths[c], shown(t, i, c, room, sizeof room),
                    c + 1 < t->count ? "  " : "\n");
}

static void free_table(table *t)
{
    for (int64_t i = 0; i < t->row_count; i++)
        vg_store_names_free(t->rows[i], t->count);
    free(t->rows);
}

static vg_status find_recipe(const char *what, int *found)
{
    const char *names[RECIPES + 1] = {NULL};
    for (*found = 0; *found < RECIPES; ++*found) {
        names[*found] = recipes[*found].what;
        if (strcmp(recipes[*found].what, what) == 0)
            return VG_OK;
    }
    const char *near = vg_nearest(what, names);
    return vg_fail(VG_INVALID, "--what %s: there are regions, layers, methods, models, contrasts, correlation, profile%s%s", what,
                   near != NULL ? "; did you mean " : "", near != NULL ? near : "");
}

static vg_status fill(const vg_store_file *file, int recipe, table *t)
{
    if (!vg_store_has(file, "/group_regions"))
        return vg_fail(VG_INVALID, "%s: is no results.h5 of voxgrad: it has no /group_regions", vg_store_path(file));
    for (int i = 0; i < 2 && recipes[recipe].sources[i].path != NULL; i++)
        VG_TRY(add_source(file, &recipes[recipe].sources[i], t));
    if (t->row_count == 0 && *recipes[recipe].missing != '\0')
        return vg_fail(VG_INVALID, "%s: %s", vg_store_path(file), recipes[recipe].missing);
    if (recipes[recipe].by_model && t->row_count > 0) {
        sorted = t;
        qsort(t->rows, (size_t)t->row_count, sizeof *t->rows, compare);
    }
    return VG_OK;
}

vg_status vg_report_table(const char *results_path, const char *what, bool csv, FILE *out)
{
    int recipe;
    vg_store_file *file;
    VG_TRY(find_recipe(what, &recipe));
    table t = {.columns = recipes[recipe].columns};
    while (t.columns[t.count] != NULL)
        t.count++;
    VG_TRY(vg_store_open(results_path, &file));
    vg_status status = fill(file, recipe, &t);
    if (status == VG_OK && csv) {
        print_csv(&t, out);
    } else if (status == VG_OK) {
        if (vg_store_has_attribute(file, "/regions", "simulated"))
            fprintf(out, "SIMULATED responses with a known truth, not a brain.\n");
        fprintf(out, "%s.%s\n\n", recipes[recipe].legend,
                vg_store_has_attribute(file, "/group_regions", "shifts") ? ""
                                                                         : " No null was computed: nothing here is called significant.");
        print_columns(&t, out);
    }
    free_table(&t);
    vg_store_close(file);
    return status;
}
