/* zscore: the one way to standardise a column, shared by responses and designs. */
#ifndef VOXGRAD_SRC_BRAIN_ZSCORE_H
#define VOXGRAD_SRC_BRAIN_ZSCORE_H

#include <stdint.h>

enum { VG_TILE = 16 }; /* columns worked on at once: one cache line of float32 */

/* z-scores rows of a tile (rows, VG_TILE) in place: population standard deviation, sums in row order. A column whose deviation is not above
 * 1e-10 of `largest` (its largest absolute value before filtering) holds only rounding and becomes 0; one with NaN stays NaN. */
void vg_zscore_tile(double *tile, int64_t rows, const double *largest);

#endif
