/* samples.h: columns of a host matrix in blocks of SAMPLES_ACROSS, standardised, for correlations of every kind. */
#ifndef VOXGRAD_ENCODING_SAMPLES_H
#define VOXGRAD_ENCODING_SAMPLES_H

#include "voxgrad/encoding.h"

enum { SAMPLES_ACROSS = 64 };

/* Columns first .. of x, at most SAMPLES_ACROSS, into z (rows, SAMPLES_ACROSS): mean 0 and length 1, so that a sum of products is r; NaN
 * throughout where constant or not finite. Returns how many columns. */
int64_t samples_standardize(const vg_samples *x, int64_t first, double *z);

/* out (n) = sum over rows of a * b, both (rows, SAMPLES_ACROSS). */
void samples_dot(const double *a, const double *b, int64_t rows, int64_t n, double *out);

/* Sorts x (n) and gives the percentiles (1 - level) / 2 and (1 + level) / 2, between neighbours linearly. */
void samples_interval(double *x, int64_t n, double level, double interval[2]);

#endif
