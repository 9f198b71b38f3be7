/* report: what a person looks at, made from results.h5 alone. Nothing here is collective. */
#ifndef VOXGRAD_REPORT_H
#define VOXGRAD_REPORT_H

#include "voxgrad/base.h"

/* Prints space x region: the mean over subjects of the region's mean score, and the standard error of that mean over subjects.
 * Simulated responses are called so. Errors: VG_INVALID (not a results.h5). */
vg_status vg_report_regions(const char *results_path, FILE *out);

#endif
