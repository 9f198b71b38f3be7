/* cpu_softmax: the causal softmax of attention, in place, with vjp and jvp. A row touches its visible keys alone (what is computed for the
 * others may be anything, not-a-number included) and writes zeros elsewhere. Sums in double. */
#include <math.h>
#include <string.h>

#include "cpu.h"
#include "cpu_math.h"

/* What the queries of one block (a batch row and a head) may see. */
typedef struct {
    int64_t from;          /* the first key after the padding */
    const uint8_t *hidden; /* (keys), or NULL */
} view;

static view view_of_block(const vg_softmax *s, int64_t block)
{
    int64_t member = block / s->repeats % s->members, group = block / s->repeats / s->members / s->kv_heads,
            b = group * s->members + member;
    return (view){vg_min(vg_max(0, s->start[b]), s->keys), s->hidden != NULL ? s->hidden + b * s->keys : NULL};
}

/* One past the last key that a query sees. */
static int64_t end_of_view(const vg_softmax *s, view v, int64_t query)
{
    return vg_max(v.from, s->keys - s->queries + query + 1);
}

static void clear(float *x, int64_t from, int64_t to)
{
    for (int64_t j = from; j < to; j++)
        x[j] = 0.0f;
}

VG_CLONES static void hide(int64_t n, const uint8_t *hidden, float value, float *x)
{
#pragma omp simd
    for (int64_t j = 0; j < n; j++)
        x[j] = hidden[j] != 0 ? value : x[j];
}

/* A row is worked on LANES keys at a time, its rest in a padded copy, so that all of it is vector code; maximum and sum are kept lane by
 * lane and folded in halves. */
enum { LANES = 16 };

static inline void scale_lanes(float scale, float *x, float *largest)
{
#pragma omp simd
    for (int l = 0; l < LANES; l++) {
        x[l] *= scale;
        largest[l] = x[l] > largest[l] ? x[l] : largest[l];
    }
}

static inline void exponentiate_lanes(float shift, float *x, double *sum)
{
#pragma omp simd
    for (int l = 0; l < LANES; l++)
        x[l] = exp_single(x[l] - shift);
#pragma omp simd
    for (int l = 0; l < LANES; l++)
        sum[l] += (double)x[l];
}

static inline float fold_maximum(float *lane)
{
    for (int half = LANES / 2; half > 0; half /= 2)
        for (int l = 0; l < half; l++)
            lane[l] = lane[l + half] > lane[l] ? lane[l + half] : lane[l];
    return lane[0];
}

static inline double fold_sum(double *lane)
{
    for (int half = LANES / 2; half > 0; half /= 2)
        for (int l = 0; l < half; l++)
            lane[l] += lane[l + half];
    return lane[0];
}

VG_CLONES static void softmax_row(int64_t n, float scale, float *x)
{
    int64_t whole = n - n % LANES, rest = n % LANES;
    float tail[LANES], largest[LANES];
    double sum[LANES] = {0};
    for (int64_t l = 0; l < LANES; l++) {
        tail[l] = l < rest ? x[whole + l] * scale : -INFINITY;
        largest[l] = tail[l];
    }
    for (int64_t j = 0; j < whole; j += LANES)
        scale_lanes(scale, x + j, largest);
    float shift = fold_maximum(largest);
    if (shift == -INFINITY) {
        clear(x, 0, n);
        return;
    }
    for (int64_t j = 0; j < whole; j += LANES)
        exponentiate_lanes(shift, x + j, sum);
    exponentiate_lanes(shift, tail, sum);
    float factor = (float)(1.0 / fold_sum(sum));
#pragma omp simd
    for (int64_t j = 0; j < whole; j++)
        x[j] *= factor;
    for (int64_t l = 0; l < rest; l++)
        x[whole + l] = factor * tail[l];
}

/* dx = scale * y * (dx - sum_j y_j dx_j), which serves vjp and jvp: the Jacobian is symmetric. */
VG_CLONES static void derivative_row(int64_t n, float scale, const float *y, float *dx)
{
    double dot = 0.0;
#pragma omp simd reduction(+ : dot)
    for (int64_t j = 0; j < n; j++)
        dot += (double)y[j] * (double)dx[j];
    float shift = (float)dot;
#pragma omp simd
    for (int64_t j = 0; j < n; j++)
        dx[j] = scale * y[j] * (dx[j] - shift);
}

enum { QUERIES = 16 }; /* of a piece */

static int64_t blocks_of(const vg_softmax *s)
{
    return s->groups * s->kv_heads * s->members * s->repeats;
}

vg_status vg_cpu_softmax(vg_device *d, const vg_softmax *s, float *x)
{
    if (!(s->scale > 0.0f))
        return vg_fail(VG_DEFECT, "softmax: a scale of %g", (double)s->scale);
    int64_t across = (s->queries + QUERIES - 1) / QUERIES, pieces = blocks_of(s) * across;
    VG_PARALLEL(4 * blocks_of(s) * s->queries * s->keys)
    for (int64_t piece = 0; piece < pieces; piece++) {
        int64_t block = piece / across, first = piece % across * QUERIES, last = vg_min(first + QUERIES, s->queries);
        view v = view_of_block(s, block);
        for (int64_t query = first; query < last; query++) {
            float *row = x + (block * s->queries + query) * s->keys;
            int64_t end = end_of_view(s, v, query);
            if (v.hidden != NULL)
                hide(end - v.from, v.hidden + v.from, -INFINITY, row + v.from);
            softmax_row(end - v.from, s->scale, row + v.from);
            clear(row, 0, v.from);
            clear(row, end, s->keys);
        }
    }
    return VG_OK;
}

vg_status vg_cpu_softmax_vjp(vg_device *d, const vg_softmax *s, const float *y, float *dy)
{
    return vg_cpu_softmax_jvp(d, s, y, 1, dy);
}

vg_status vg_cpu_softmax_jvp(vg_device *d, const vg_softmax *s, const float *y, int64_t directions, float *dx)
{
    int64_t across = (s->queries + QUERIES - 1) / QUERIES, pieces = blocks_of(s) * across, size = blocks_of(s) * s->queries * s->keys;
    VG_PARALLEL(size * directions)
    for (int64_t piece = 0; piece < pieces; piece++) {
        int64_t block = piece / across, first = piece % across * QUERIES, last = vg_min(first + QUERIES, s->queries);
        view v = view_of_block(s, block);
        for (int64_t query = first; query < last; query++) {
            int64_t at = (block * s->queries + query) * s->keys, end = end_of_view(s, v, query);
            for (float *row = dx + at; row < dx + directions * size; row += size) {
                if (v.hidden != NULL)
                    hide(end - v.from, v.hidden + v.from, 0.0f, row + v.from);
                derivative_row(end - v.from, s->scale, y + at + v.from, row + v.from);
                clear(row, 0, v.from);
                clear(row, end, s->keys);
            }
        }
    }
    return VG_OK;
}
