/* table: a text of numbers, (rows, columns): responses of regions, nuisance regressors. Between numbers blanks and tabs, or one comma;
 * a first line without any number names the columns. As a format of responses, and as vg_table. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "responses.h"

typedef struct {
    vg_table *table;
    int64_t capacity; /* values there is room for */
} table_growth;

/* The next field, blanks and double quotes around it taken off. */
static bool next_field(const vg_lines *line, char separator, size_t *at, const char **field, size_t *size)
{
    if (!vg_field_next(line->line, line->length, separator, at, field, size))
        return false;
    while (*size > 0 && strchr(" \t", **field) != NULL) {
        (*field)++;
        (*size)--;
    }
    while (*size > 0 && strchr(" \t", (*field)[*size - 1]) != NULL)
        (*size)--;
    if (*size >= 2 && **field == '"' && (*field)[*size - 1] == '"') {
        (*field)++;
        *size -= 2;
    }
    return true;
}

static bool parse_value(const char *field, size_t size, double *value)
{
    if ((size == 3 && memcmp(field, "n/a", 3) == 0) || (size == 2 && memcmp(field, "NA", 2) == 0)) {
        *value = NAN;
        return true;
    }
    return vg_parse_double(field, size, value);
}

static char separator_of(const vg_lines *line)
{
    return memchr(line->line, ',', line->length) != NULL ? ',' : ' ';
}

static void count_fields(const vg_lines *line, int64_t *fields, int64_t *numbers)
{
    const char *field;
    size_t at = 0, size;
    double value;
    *fields = *numbers = 0;
    while (next_field(line, separator_of(line), &at, &field, &size)) {
        (*fields)++;
        *numbers += parse_value(field, size, &value);
    }
}

static vg_status take_names(const vg_lines *line, vg_table *table)
{
    const char *field;
    size_t at = 0, size;
    VG_TRY(VG_NEW(&table->names, table->columns, "names of columns"));
    for (int64_t i = 0; next_field(line, separator_of(line), &at, &field, &size); i++)
        VG_TRY(vg_format(&table->names[i], "%.*s", (int)(size < 4096 ? size : 4096), field));
    return VG_OK;
}

static vg_status make_room(table_growth *growing)
{
    vg_table *table = growing->table;
    int64_t used = table->rows * table->columns, wanted;
    if (used + table->columns <= growing->capacity)
        return VG_OK;
    double *values;
    VG_TRY(vg_multiply(2, used + table->columns, "a table", &wanted));
    VG_TRY(VG_NEW(&values, wanted, "numbers of a table"));
    if (used > 0)
        memcpy(values, table->values, (size_t)used * sizeof *values);
    free(table->values);
    table->values = values;
    growing->capacity = wanted;
    return VG_OK;
}

static vg_status take_row(const vg_lines *line, table_growth *growing)
{
    vg_table *table = growing->table;
    VG_TRY(make_room(growing));
    double *row = table->values + table->rows * table->columns;
    const char *field;
    size_t at = 0, size;
    int64_t count = 0;
    for (; next_field(line, separator_of(line), &at, &field, &size); count++)
        if (count < table->columns && !parse_value(field, size, &row[count]))
            return vg_fail(VG_INVALID, "%s:%lld: \"%.*s\" (column %lld) is not a number", line->path, (long long)line->number,
                           (int)(size < 40 ? size : 40), field, (long long)count + 1);
    if (count != table->columns)
        return vg_fail(VG_INVALID, "%s:%lld: has %lld numbers where the lines before have %lld: is the file cut off?", line->path,
                       (long long)line->number, (long long)count, (long long)table->columns);
    table->rows++;
    return VG_OK;
}

static bool is_passed_over(const vg_lines *line)
{
    size_t at = 0;
    while (at < line->length && strchr(" \t", line->line[at]) != NULL && line->line[at] != '\0')
        at++;
    return at == line->length || line->line[at] == '#';
}

static vg_status read_lines(vg_lines *lines, vg_table *table)
{
    table_growth growing = {.table = table};
    while (vg_lines_next(lines)) {
        if (is_passed_over(lines))
            continue;
        if (table->columns == 0) {
            int64_t numbers;
            count_fields(lines, &table->columns, &numbers);
            if (numbers == 0) {
                VG_TRY(take_names(lines, table));
                continue;
            }
        }
        VG_TRY(take_row(lines, &growing));
    }
    if (table->rows == 0)
        return vg_fail(VG_INVALID, "%s: has no rows of numbers", lines->path);
    return VG_OK;
}

vg_status vg_table_parse(const char *path, const char *text, size_t size, vg_table *table)
{
    *table = (vg_table){0};
    vg_lines lines = {.path = path, .text = text, .size = size};
    vg_status status = size > 0 ? read_lines(&lines, table) : vg_fail(VG_INVALID, "%s: is empty", path);
    if (status != VG_OK)
        vg_table_free(table);
    return status;
}

vg_status vg_table_open(const char *path, vg_table *table)
{
    char *text;
    size_t size;
    *table = (vg_table){0};
    VG_TRY(vg_text_read(path, &text, &size));
    vg_status status = vg_table_parse(path, text, size, table);
    free(text);
    return status;
}

void vg_table_free(vg_table *table)
{
    for (int64_t i = 0; table->names != NULL && i < table->columns; i++)
        free(table->names[i]);
    free(table->names);
    free(table->values);
    *table = (vg_table){0};
}

/* ---- as responses ------------------------------------------------------------------------------------------------------ */

static vg_status open_text(vg_response_file *file)
{
    vg_table *table;
    VG_TRY(VG_NEW(&table, 1, "table"));
    file->state = table;
    VG_TRY(vg_table_open(file->path, table));
    file->rows = table->rows;
    file->columns = table->columns;
    file->names = table->names;
    return VG_OK;
}

static vg_status read_text(const vg_response_file *file, int64_t first, vg_matrix out)
{
    const vg_table *table = file->state;
    for (int64_t t = 0; t < out.rows; t++)
        for (int64_t v = 0; v < out.columns; v++)
            out.data[t * out.ld + v] = (float)table->values[t * table->columns + first + v];
    return VG_OK;
}

static void close_text(vg_response_file *file)
{
    vg_table_free(file->state);
    free(file->state);
}

const vg_response_format vg_text_responses = {
    .name = "text", .extensions = {".txt", ".tsv", ".csv", ".dat", ".1D"}, .open = open_text, .read = read_text, .close = close_text};
