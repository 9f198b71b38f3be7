/* cases of path operations and segment reductions. */
#ifndef VOXGRAD_TESTS_DEVICE_CASES_PATHS_H
#define VOXGRAD_TESTS_DEVICE_CASES_PATHS_H

#include "bed.h"

/* windows, nodes, rows each, columns. The first node is at 0, the last at 1: there the ends must come out to the bit. */
static inline void case_interpolate(bed *b)
{
    const int64_t *s = b->shape;
    int64_t windows = s[0], nodes = s[1], rows = s[2], columns = s[3], out_size = windows * nodes * rows * columns;
    float *x = bed_floats(b, windows * rows * columns, 1), *base = bed_floats(b, windows * rows * columns, 1), *out = bed_room(b, out_size);
    uint8_t *moved_host = malloc((size_t)(windows * rows) + 1);
    for (int64_t i = 0; i < windows * rows; i++)
        moved_host[i] = vg_random_bits(7, VG_RANDOM_TEST, b->drawn++) % 4 != 0;
    uint8_t *moved = bed_put(b, moved_host, (size_t)(windows * rows));
    float *a_host = malloc((size_t)nodes * sizeof *a_host + 1);
    for (int64_t i = 0; i < nodes; i++)
        a_host[i] = nodes > 1 ? (float)i / (float)(nodes - 1) : 0.3f;
    float *a = bed_put(b, a_host, (size_t)nodes * sizeof *a_host);
    BED_CALL(b, b->device->ops->interpolate(b->device, windows, nodes, rows, columns, x, base, moved, a, out));
    b->bytes = 4.0 * (double)out_size;
    if (!b->timed) {
        double *wanted = bed_doubles(out_size);
        float *got = bed_take(b, out);
        for (int64_t i = 0; i < out_size; i++) {
            int64_t column = i % columns, row = i / columns % rows, node = i / columns / rows % nodes, window = i / columns / rows / nodes;
            int64_t source = window * rows + row;
            float end = bed_host(b, x)[source * columns + column], start = bed_host(b, base)[source * columns + column];
            float at = moved_host[source] ? a_host[node] : 1;
            wanted[i] = (double)start + (double)at * ((double)end - (double)start);
            bed_check(b, (at != 0 && at != 1) || got[i] == (at == 0 ? start : end), "a path's end is not exact");
        }
        bed_expect(b, out, wanted, 2e-7);
        free(got);
        free(wanted);
    }
    free(moved_host);
    free(a_host);
}

/* windows, nodes, n */
static inline void case_accumulate(bed *b)
{
    int64_t windows = b->shape[0], nodes = b->shape[1], n = b->shape[2];
    float *weight = bed_floats(b, nodes, 1), *g = bed_floats(b, windows * nodes * n, 1);
    double *total = bed_wide(b, windows * n, 1);
    BED_CALL(b, b->device->ops->accumulate(b->device, windows, nodes, n, weight, g, total));
    b->bytes = 4.0 * (double)(windows * nodes * n) + 16.0 * (double)(windows * n);
    if (b->timed)
        return;
    double *wanted = bed_doubles(windows * n);
    for (int64_t i = 0; i < windows * n; i++) {
        wanted[i] = ((const double *)(const void *)bed_host(b, total))[i];
        for (int64_t node = 0; node < nodes; node++)
            wanted[i] += (double)bed_host(b, weight)[node] * (double)bed_host(b, g)[(i / n * nodes + node) * n + i % n];
    }
    bed_expect_any(b, total, VG_F64, wanted, 1e-14);
    free(wanted);
}

/* kind, segments, columns, most rows a segment (some have none), rows before the first segment */
static inline void case_reduce(bed *b)
{
    vg_reduction kind = (vg_reduction)b->shape[0];
    int64_t segments = b->shape[1], columns = b->shape[2], most = b->shape[3];
    int32_t *offset_host = malloc((size_t)(segments + 1) * sizeof *offset_host);
    offset_host[0] = (int32_t)b->shape[4];
    for (int64_t i = 0; i < segments; i++)
        offset_host[i + 1] = offset_host[i] + (int32_t)(vg_random_bits(7, VG_RANDOM_TEST, b->drawn++) % (uint64_t)(most + 1));
    int64_t size = offset_host[segments] * columns;
    int32_t *offset = bed_put(b, offset_host, (size_t)(segments + 1) * sizeof *offset);
    float *x = bed_floats(b, size, 1), *y = kind == VG_DOT ? bed_floats(b, size, 1) : NULL, *out = bed_room(b, segments);
    BED_CALL(b, b->device->ops->reduce(b->device, kind, segments, offset, columns, x, y, out));
    b->bytes = (kind == VG_DOT ? 8.0 : 4.0) * (double)size;
    if (!b->timed) {
        double *wanted = bed_doubles(segments);
        for (int64_t s = 0; s < segments; s++) {
            for (int64_t i = offset_host[s] * columns; i < offset_host[s + 1] * columns; i++) {
                double v = (double)bed_host(b, x)[i];
                wanted[s] += kind == VG_SUM ? v : kind == VG_L1 ? fabs(v) : kind == VG_L2 ? v * v : v * (double)bed_host(b, y)[i];
            }
            wanted[s] = kind == VG_L2 ? sqrt(wanted[s]) : wanted[s];
        }
        bed_expect(b, out, wanted, 1e-7);
        free(wanted);
    }
    free(offset_host);
}

#endif
