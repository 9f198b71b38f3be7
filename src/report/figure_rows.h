/* figure_rows: a figure whose rows are feature spaces: a dot a subject, a diamond the mean, a bar its within-subject standard error. Known
 * to report alone. */
#ifndef VOXGRAD_REPORT_FIGURE_ROWS_H
#define VOXGRAD_REPORT_FIGURE_ROWS_H

#include "svg.h"

/* One panel; panels of a figure share their rows. */
typedef struct {
    const char *title, *axis; /* of the panel; of its horizontal axis */
    double *values;           /* (rows, subjects); NaN: no mark */
    double *sem;              /* (rows): filled by report_rows_sem */
    double null, ceiling;     /* where the null's band ends, and the ceiling's line; NaN: none */
} report_rows;

/* Within-subject standard errors of the rows (Cousineau 2005, with Morey's 2008 correction), from subjects who have all rows. */
vg_status report_rows_sem(int64_t rows, int64_t subjects, report_rows *panel);

/* spaces (rows): which space a row is; about: what a screen reader says. The table has a row a mark: scope (the panel), model, name, layer,
 * kind (subject or mean), subject, score, sem_within_subject. */
void report_rows_draw(const report *r, const char *about, const int64_t *spaces, int64_t rows, const report_rows *panels, int count,
                      FILE *svg, FILE *csv);

#endif
