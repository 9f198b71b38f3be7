/* figure_tables: reading the statistics' tables for figures, which draw their rows in their order. */
#include "figure_tables.h"

#include <stdlib.h>
#include <string.h>

static bool has_rows(const report *r, const char *path)
{
    vg_store_about about;
    return !r->unfinished && vg_store_is_dataset(r->file, path) && vg_store_describe(r->file, path, &about) == VG_OK && about.shape[0] > 0;
}

vg_status report_table_read(const report *r, const char *path, const char *columns, figure_table *t)
{
    bool text = true;
    *t = (figure_table){0};
    if (!has_rows(r, path))
        return VG_OK;
    for (int texts = 0, numbers = 0; *columns != '\0';) {
        char name[32];
        size_t n = strcspn(columns, ",|");
        snprintf(name, sizeof name, "%.*s", (int)n, columns);
        if (text)
            VG_TRY(vg_store_read_texts(r->file, path, name, &t->texts[texts++], &t->count));
        else
            VG_TRY(report_numbers(r, path, name, t->count, &t->numbers[numbers++]));
        text = text && columns[n] != '|';
        columns += n + (columns[n] != '\0');
    }
    return VG_OK;
}

void report_table_free(figure_table *t)
{
    for (int i = 0; i < TABLE_TEXTS; i++)
        if (t->texts[i] != NULL)
            vg_store_names_free(t->texts[i], t->count);
    for (int i = 0; i < TABLE_NUMBERS; i++)
        free(t->numbers[i]);
}

void report_table_header(const char *columns, FILE *csv)
{
    for (; *columns != '\0'; columns++)
        fputc(*columns == '|' ? ',' : *columns, csv);
    fputc('\n', csv);
}

void report_table_row(const figure_table *t, int64_t row, FILE *csv)
{
    for (int i = 0; i < TABLE_TEXTS && t->texts[i] != NULL; i++) {
        encode_csv(csv, t->texts[i][row]);
        fputc(',', csv);
    }
    for (int i = 0; i < TABLE_NUMBERS && t->numbers[i] != NULL; i++) {
        encode_number(csv, t->numbers[i][row]);
        fputc(i + 1 < TABLE_NUMBERS && t->numbers[i + 1] != NULL ? ',' : '\n', csv);
    }
}

const char *report_short(const report *r, const char *space)
{
    size_t length = r->model_count == 1 ? strlen(r->models[0]) : 0;
    return length > 0 && strncmp(space, r->models[0], length) == 0 && (space[length] == '/' || space[length] == '.') ? space + length + 1
                                                                                                                     : space;
}
