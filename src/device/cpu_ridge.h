/* cpu_ridge: the ridge rows of the operation table on the CPU; see include/voxgrad/device.h for what each does. */
#ifndef VOXGRAD_CPU_RIDGE_H
#define VOXGRAD_CPU_RIDGE_H

#include "voxgrad/device.h"

vg_status vg_cpu_ridge_center(vg_device *d, const vg_ridge_center *c);
vg_status vg_cpu_ridge_spread(vg_device *d, const vg_ridge_spread *s);
vg_status vg_cpu_ridge_combine(vg_device *d, vg_type type, int64_t n, int64_t terms, const int32_t *segment, const float *sign,
                               int64_t stride, const void *x, void *out);
vg_status vg_cpu_ridge_score(vg_device *d, const vg_ridge_score *s);
vg_status vg_cpu_ridge_choose(vg_device *d, const vg_ridge_choose *c);
vg_status vg_cpu_ridge_combine_wide(vg_device *d, vg_type type, int64_t n, int64_t terms, const int32_t *segment, const float *sign,
                                    int64_t stride, const void *x, double *out);
vg_status vg_cpu_ridge_quadratic(vg_device *d, const vg_ridge_quadratic *q);

#endif
