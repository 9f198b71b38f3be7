/* figure_tables: a table of results.h5 as the figures read it, and rows of labelled marks. Known to report alone. */
#ifndef VOXGRAD_REPORT_FIGURE_TABLES_H
#define VOXGRAD_REPORT_FIGURE_TABLES_H

#include "svg.h"

/* Columns of texts and of numbers, in the order in which a figure names them; what the file's table does not have is NaN. */
enum { TABLE_TEXTS = 5, TABLE_NUMBERS = 7 };
typedef struct {
    int64_t count;
    char **texts[TABLE_TEXTS];
    double *numbers[TABLE_NUMBERS];
} figure_table;

/* columns: "text,text|number,number", as in tables/. Sets the table to no rows where results.h5 has no such table, or not yet. */
vg_status report_table_read(const report *r, const char *path, const char *columns, figure_table *t);
void report_table_free(figure_table *t);

/* The header that belongs to the columns, and a row. */
void report_table_header(const char *columns, FILE *csv);
void report_table_row(const figure_table *t, int64_t row, FILE *csv);

/* MODEL/NAME without the model, where the study has one alone. */
const char *report_short(const report *r, const char *space);

#endif
