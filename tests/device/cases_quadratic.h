/* the case of the ridge operation that works by directions in double: scores from sums over pairs of directions, against their definition
 * written out. */
#ifndef VOXGRAD_TESTS_DEVICE_CASES_QUADRATIC_H
#define VOXGRAD_TESTS_DEVICE_CASES_QUADRATIC_H

#include "bed.h"
#include "cases_ridge.h"

static inline const double *quadratic_host(bed *b, const void *data)
{
    return (const double *)(const void *)bed_host(b, data);
}

/* Random numbers of (directions, columns), `like` (or NULL) times something between 0.5 and 1.5: sums of squares are positive. */
static inline double *quadratic_numbers(bed *b, int64_t count, double size, const double *like)
{
    double *x = bed_doubles(count);
    for (int64_t i = 0; i < count; i++)
        x[i] = like != NULL ? like[i] * (0.5 + vg_random_uniform(7, VG_RANDOM_TEST, b->drawn++))
                            : size * vg_random_normal(7, VG_RANDOM_TEST, b->drawn++);
    double *there = bed_put(b, x, (size_t)count * sizeof *x);
    free(x);
    return there;
}

typedef struct {
    double cross, size, offset;
} quadratic_sums;

static inline quadratic_sums quadratic_reference(bed *b, const vg_ridge_quadratic *q, int64_t a, int64_t v)
{
    quadratic_sums sums = {0};
    for (int64_t i = 0; i < q->directions; i++) {
        int64_t at = i * q->score.columns + v;
        double d = quadratic_host(b, q->filter)[a * q->directions + i], e = quadratic_host(b, q->slope)[a * q->directions + i];
        double z = quadratic_host(b, q->z)[at],
               near = q->near != NULL ? quadratic_host(b, q->near)[at] : quadratic_host(b, q->diagonal)[i] * z;
        sums.cross += d * z * quadratic_host(b, q->held)[at];
        sums.size += 2 * e * z * quadratic_host(b, q->far)[at] + d * d * z * near;
        sums.offset += d * z * quadratic_host(b, q->lean)[i];
    }
    return sums;
}

static inline void quadratic_judge(bed *b, const vg_ridge_quadratic *q)
{
    const vg_ridge_score *s = &q->score;
    int64_t scored = (s->choice != NULL ? 1 : s->penalties) * s->columns;
    double *r = bed_doubles(scored), *loss = bed_doubles(scored), *total = bed_doubles(s->columns), n = (double)s->held_out;
    const double *variance = quadratic_host(b, s->variance), *shift = quadratic_host(b, s->shift);
    const uint8_t *constant = (const void *)bed_host(b, s->constant);
    for (int64_t i = 0; i < scored && b->judge; i++) {
        int64_t v = i % s->columns, a = s->choice != NULL ? bed_host_integers(b, s->choice)[v] : i / s->columns;
        quadratic_sums sums = quadratic_reference(b, q, a, v);
        if (constant[v])
            sums = (quadratic_sums){0};
        double scale = sums.size * variance[v], error = variance[v] + n * shift[v] * shift[v] + sums.size + sums.offset * sums.offset -
                                                        2 * (sums.cross + sqrt(n) * shift[v] * sums.offset);
        error = s->by_fold ? (variance[v] > 0 ? s->weight * error / variance[v] : s->weight) : error;
        r[i] = (s->correlation != NULL ? quadratic_host(b, s->correlation)[i] : 0) + s->weight * (scale > 0 ? sums.cross / sqrt(scale) : 0);
        loss[i] = (s->loss != NULL ? quadratic_host(b, s->loss)[i] : 0) + error;
    }
    for (int64_t v = 0; v < s->columns && s->total != NULL; v++)
        total[v] = s->by_fold ? NAN : quadratic_host(b, s->total)[v] + variance[v] + n * shift[v] * shift[v];
    if (s->correlation != NULL)
        bed_expect_any(b, s->correlation, VG_F64, r, 1e-12);
    if (s->loss != NULL) {
        bed_expect_any(b, s->loss, VG_F64, loss, 1e-12);
        bed_expect_any(b, s->total, VG_F64, total, 1e-13);
    }
    free(r);
    free(loss);
    free(total);
}

/* directions, columns, penalties, held out, what (1 correlation, 2 loss, 3 both), chosen penalty only, by fold, near pairs */
static inline void case_ridge_quadratic(bed *b)
{
    const int64_t *p = b->shape;
    int64_t n = p[0], columns = p[1], scored = (p[5] ? 1 : p[2]) * columns;
    vg_ridge_quadratic q = {.directions = n,
                            .score = {.columns = columns, .penalties = p[2], .held_out = p[3], .weight = 0.25, .by_fold = p[6]}};
    uint8_t *constant = calloc((size_t)columns + 1, 1);
    double *variance = bed_doubles(columns);
    for (int64_t v = 0; v < columns; v++) {
        constant[v] = v % 13 == 5;
        variance[v] = v % 11 == 7 ? 0 : (double)p[3] * (0.5 + vg_random_uniform(7, VG_RANDOM_TEST, b->drawn++));
    }
    q.z = bed_wide(b, n * columns, 1);
    q.held = quadratic_numbers(b, n * columns, 1, NULL);
    q.far = quadratic_numbers(b, n * columns, 0.02, NULL);
    q.near = p[7] ? quadratic_numbers(b, n * columns, 1, quadratic_host(b, q.z)) : NULL;
    double *ones = bed_doubles(n);
    for (int64_t i = 0; i < n; i++)
        ones[i] = 0.5 + vg_random_uniform(7, VG_RANDOM_TEST, b->drawn++);
    q.diagonal = p[7] ? NULL : bed_put(b, ones, (size_t)n * sizeof *ones);
    q.lean = bed_wide(b, n, 0.1);
    q.filter = bed_wide(b, p[2] * n, 1);
    q.slope = bed_wide(b, p[2] * n, 1);
    q.score.variance = bed_put(b, variance, (size_t)columns * sizeof *variance);
    q.score.shift = bed_wide(b, columns, 0.2);
    q.score.constant = bed_put(b, constant, (size_t)columns);
    q.score.choice = p[5] ? bed_integers(b, columns, 0, (int32_t)p[2] - 1) : NULL;
    q.score.correlation = p[4] & 1 ? bed_wide(b, scored, 1) : NULL;
    q.score.loss = p[4] & 2 ? bed_wide(b, scored, 1) : NULL;
    q.score.total = q.score.loss != NULL ? bed_wide(b, columns, 1) : NULL;
    BED_CALL(b, b->device->ops->ridge_quadratic(b->device, &q));
    b->flops = 8.0 * (double)(n * columns * p[2]);
    if (!b->timed)
        quadratic_judge(b, &q);
    free(constant);
    free(variance);
    free(ones);
}

#endif
