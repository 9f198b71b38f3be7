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
 *   correlation  whether two spaces prefer the same layers, against shifts and against spins of the sphere
 *   profile    which of the preceding words carry a score, and how many are needed
 * Errors: VG_INVALID (not a results.h5; the study wrote no such table; no such `what`, with the nearest). */
vg_status vg_report_table(const char *results_path, const char *what, bool csv, FILE *out);

/* Where the report goes and what it is made from beside results.h5; all NULL: beside the results. */
typedef struct {
    const char *output;     /* folder; NULL: report/ beside the results */
    const char *features;   /* features.h5; NULL: the one beside the results, where there is one */
    const char *surface[2]; /* left and right surface (FreeSurfer geometry or GIFTI); NULL: those that run.json beside the results names */
} vg_report_options;

/* Makes index.html (one file, no network), figures/ (SVG), tables/ (CSV) and maps/ (GIFTI, NIfTI) from a results.h5, from the
 * results.h5.part of a running study, or from a folder that has one of them. What is not in the results is said on the page. Rank 0 alone
 * calls it. Errors: VG_INVALID (not a results.h5; damaged; a surface that is not one or has another number of vertices; not writable),
 * VG_NO_SPACE. */
vg_status vg_report_write(const char *results, const vg_report_options *options);

#endif
