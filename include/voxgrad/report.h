/* report: what a person looks at, made from results.h5 alone. Nothing here is collective. */
#ifndef VOXGRAD_REPORT_H
#define VOXGRAD_REPORT_H

#include "voxgrad/base.h"

/* Prints space x region: the mean over subjects of the region's mean score, and the standard error of that mean over subjects.
 * Simulated responses are called so. Errors: VG_INVALID (not a results.h5). */
vg_status vg_report_regions(const char *results_path, FILE *out);
/* What a results.h5 says, as rows of names and numbers: tidy CSV, or columns side by side. what:
 *   regions    every space in every region over subjects
 *   layers     spaces with layers, layer by layer and the best layer (chosen on inner folds)
 *   methods    averages over all voxels, by model and method: layered ones by their best layer
 *   models     methods in every region, model beside model
 *   contrasts  differences: those of the study's contrasts, and of families, with the shares of voxels won and tied
 *   profile    which of the preceding words carry a score, and how many are needed
 * Errors: VG_INVALID (not a results.h5; the study wrote no such table; no such `what`, with the nearest). */
vg_status vg_report_table(const char *results_path, const char *what, bool csv, FILE *out);

#endif
