/* cpu_ridge: the ridge rows of the operation table on the CPU; see include/voxgrad/device.h for what each does. */
#ifndef VOXGRAD_CPU_RIDGE_H
#define VOXGRAD_CPU_RIDGE_H

#include <string.h>

#include "voxgrad/device.h"

/* n numbers of a type from x + at into doubles, and back. */
static inline void load(vg_type type, const void *x, int64_t at, int64_t n, double *out)
{
    if (type == VG_F32) {
        const float *from = (const float *)x + at;
        for (int64_t v = 0; v < n; v++)
            out[v] = (double)from[v];
    } else {
        memcpy(out, (const double *)x + at, (size_t)n * sizeof(double));
    }
}

static inline void store(vg_type type, void *x, int64_t at, int64_t n, const double *from)
{
    if (type == VG_F32) {
        float *out = (float *)x + at;
        for (int64_t v = 0; v < n; v++)
            out[v] = (float)from[v];
    } else {
        memcpy((double *)x + at, from, (size_t)n * sizeof(double));
    }
}

vg_status vg_cpu_ridge_center(vg_device *d, const vg_ridge_center *c);
vg_status vg_cpu_ridge_spread(vg_device *d, const vg_ridge_spread *s);
vg_status vg_cpu_ridge_combine(vg_device *d, const vg_ridge_combine *c);
vg_status vg_cpu_ridge_join(vg_device *d, const vg_ridge_join *j);
vg_status vg_cpu_ridge_score(vg_device *d, const vg_ridge_score *s);
vg_status vg_cpu_ridge_choose(vg_device *d, const vg_ridge_choose *c);
vg_status vg_cpu_ridge_quadratic(vg_device *d, const vg_ridge_quadratic *q);

#endif
