/* cpu_softmax: the causal softmax of attention, in place, with vjp and jvp. A row touches its visible keys alone (what is computed for the
 * others may be anything, not-a-number included) and writes zeros elsewhere. Sums in double. */
#include <math.h>
#include <string.h>

#include "cpu.h"
#include "cpu_math.h"

typedef struct {
    int64_t from, to;      /* keys that query and padding allow */
    const uint8_t *hidden; /* (keys), or NULL */
} visible;

static visible visible_keys(const vg_softmax *s, int64_t row)
{
    int64_t query = row % s->queries, block = row / s->queries / s->repeats;
    int64_t member = block % s->members, group = block / s->members / s->kv_heads, b = group * s->members + member;
    visible v = {.from = vg_max(0, s->start[b]), .to = s->keys - s->queries + query + 1};
    v.from = vg_min(v.from, s->keys);
    v.to = vg_max(v.to, v.from);
    v.hidden = s->hidden != NULL ? s->hidden + b * s->keys : NULL;
    return v;
}

static void clear_invisible(visible v, int64_t keys, float *x)
{
    memset(x, 0, (size_t)v.from * sizeof *x);
    memset(x + v.to, 0, (size_t)(keys - v.to) * sizeof *x);
}

VG_CLONES static float scaled_maximum(int64_t n, float scale, const uint8_t *hidden, float *x)
{
    float largest = -INFINITY;
    if (hidden == NULL) {
#pragma omp simd reduction(max : largest)
        for (int64_t j = 0; j < n; j++) {
            x[j] *= scale;
            largest = x[j] > largest ? x[j] : largest;
        }
    } else {
#pragma omp simd reduction(max : largest)
        for (int64_t j = 0; j < n; j++) {
            x[j] = hidden[j] != 0 ? -INFINITY : x[j] * scale;
            largest = x[j] > largest ? x[j] : largest;
        }
    }
    return largest;
}

VG_CLONES static void softmax_row(int64_t n, float scale, const uint8_t *hidden, float *x)
{
    float largest = scaled_maximum(n, scale, hidden, x);
    if (largest == -INFINITY) {
        memset(x, 0, (size_t)n * sizeof *x);
        return;
    }
    double sum = 0.0;
#pragma omp simd reduction(+ : sum)
    for (int64_t j = 0; j < n; j++) {
        x[j] = exp_single(x[j] - largest);
        sum += (double)x[j];
    }
    float inverse = (float)(1.0 / sum);
#pragma omp simd
    for (int64_t j = 0; j < n; j++)
        x[j] *= inverse;
}

/* dx = scale * y * (dx - sum_j y_j dx_j), which serves vjp and jvp: the Jacobian is symmetric. */
VG_CLONES static void derivative_row(int64_t n, float scale, const uint8_t *hidden, const float *y, float *dx)
{
    double dot = 0.0;
    if (hidden == NULL) {
#pragma omp simd reduction(+ : dot)
        for (int64_t j = 0; j < n; j++)
            dot += (double)y[j] * (double)dx[j];
        float shift = (float)dot;
#pragma omp simd
        for (int64_t j = 0; j < n; j++)
            dx[j] = scale * y[j] * (dx[j] - shift);
    } else {
#pragma omp simd reduction(+ : dot)
        for (int64_t j = 0; j < n; j++)
            dot += hidden[j] != 0 ? 0.0 : (double)y[j] * (double)dx[j];
        float shift = (float)dot;
#pragma omp simd
        for (int64_t j = 0; j < n; j++)
            dx[j] = hidden[j] != 0 ? 0.0f : scale * y[j] * (dx[j] - shift);
    }
}

static int64_t count_rows(const vg_softmax *s)
{
    return s->groups * s->kv_heads * s->members * s->repeats * s->queries;
}

vg_status vg_cpu_softmax(vg_device *d, const vg_softmax *s, float *x)
{
    int64_t rows = s->keys > 0 ? count_rows(s) : 0;
    VG_PARALLEL(rows * s->keys)
    for (int64_t row = 0; row < rows; row++) {
        visible v = visible_keys(s, row);
        float *at = x + row * s->keys;
        clear_invisible(v, s->keys, at);
        softmax_row(v.to - v.from, s->scale, v.hidden != NULL ? v.hidden + v.from : NULL, at + v.from);
    }
    return VG_OK;
}

vg_status vg_cpu_softmax_vjp(vg_device *d, const vg_softmax *s, const float *y, float *dy)
{
    return vg_cpu_softmax_jvp(d, s, y, 1, dy);
}

vg_status vg_cpu_softmax_jvp(vg_device *d, const vg_softmax *s, const float *y, int64_t directions, float *dx)
{
    int64_t rows = s->keys > 0 ? count_rows(s) : 0;
    VG_PARALLEL(rows * s->keys * directions)
    for (int64_t row = 0; row < rows; row++) {
        visible v = visible_keys(s, row);
        for (int64_t direction = 0; direction < directions; direction++) {
            float *at = dx + (direction * rows + row) * s->keys;
            clear_invisible(v, s->keys, at);
            derivative_row(v.to - v.from, s->scale, v.hidden != NULL ? v.hidden + v.from : NULL, y + row * s->keys + v.from, at + v.from);
        }
    }
    return VG_OK;
}
