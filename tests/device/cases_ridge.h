/* cases of the ridge operations (encoding.md, "Ridge"), each against its definition written out: moments from the rows themselves, scores
 * from the predictions of every penalty. Columns 0, 1, 2 .. of some inputs are what real responses hold: constants, not-a-numbers. */
#ifndef VOXGRAD_TESTS_DEVICE_CASES_RIDGE_H
#define VOXGRAD_TESTS_DEVICE_CASES_RIDGE_H

#include "bed.h"

static inline double ridge_number(vg_type type, const void *x, int64_t i)
{
    return type == VG_F32 ? (double)((const float *)x)[i] : ((const double *)x)[i];
}

/* count random numbers of a type, on the device. */
static inline void *ridge_numbers(bed *b, vg_type type, int64_t count)
{
    return type == VG_F32 ? (void *)bed_floats(b, count, 1) : (void *)bed_wide(b, count, 1);
}

/* Borders of `segments` segments of `rows` rows, the last one empty where there are several. */
static inline int32_t *ridge_borders(int64_t segments, int64_t rows)
{
    int32_t *begin = calloc((size_t)segments + 1, sizeof *begin);
    int64_t filled = segments > 1 ? segments - 1 : segments;
    for (int64_t s = 1; s <= segments; s++)
        begin[s] = (int32_t)(s < filled ? s * rows / filled : rows);
    return begin;
}

/* ---- center ----------------------------------------------------------------------------------------------------------------- */

/* The responses, on the host: column 1 constant, column 3 with a value that is none. */
static inline void *ridge_responses(bed *b, vg_type type, int64_t rows, int64_t columns, int64_t ld)
{
    size_t size = type == VG_F32 ? sizeof(float) : sizeof(double);
    void *y = calloc((size_t)(rows * ld) + 1, size);
    for (int64_t i = 0; i < rows * ld; i++) {
        double value = i % ld == 1 ? 0.1 : 5.0 + bed_normal(b);
        if ((i % ld == 3 && i / ld == rows / 2) || i % ld >= columns)
            value = NAN;
        if (type == VG_F32)
            ((float *)y)[i] = (float)value;
        else
            ((double *)y)[i] = value;
    }
    return y;
}

/* from, type, rows, columns, gap, segments, reversed */
static inline void case_ridge_center(bed *b)
{
    const int64_t *s = b->shape;
    int64_t rows = s[2], columns = s[3], ld = columns + s[4], segments = s[5];
    vg_ridge_center c = {.from = (vg_type)s[0], .type = (vg_type)s[1], .rows = rows, .columns = columns, .ld = ld, .segments = segments};
    void *y = ridge_responses(b, c.from, rows, columns, ld);
    int32_t *order = calloc((size_t)rows + 1, sizeof *order), *begin = ridge_borders(segments, rows);
    for (int64_t t = 0; t < rows; t++)
        order[t] = (int32_t)(s[6] ? rows - 1 - t : t);
    c.y = y;
    c.order = s[6] ? order : NULL;
    c.begin = bed_put(b, begin, (size_t)(segments + 1) * sizeof *begin);
    c.centred = bed_put(b, NULL, (size_t)(rows * columns) * (c.type == VG_F32 ? sizeof(float) : sizeof(double)));
    c.mean = bed_put(b, NULL, (size_t)(segments * columns) * sizeof(double));
    c.square = bed_put(b, NULL, (size_t)(segments * columns) * sizeof(double));
    c.dead = bed_put(b, NULL, (size_t)columns);
    BED_CALL(b, b->device->ops->ridge_center(b->device, &c));
    b->bytes = (double)(rows * columns) * (c.type == VG_F32 ? 8.0 : 16.0);
    double *centred = bed_doubles(rows * columns), *mean = bed_doubles(segments * columns), *square = bed_doubles(segments * columns);
    uint8_t *dead = bed_take(b, c.dead);
    for (int64_t v = 0; v < columns && b->judge; v++) {
        bool alive = v != 1 && v != 3;
        for (int64_t i = 0; i < segments; i++) {
            int64_t n = begin[i + 1] - begin[i];
            double *about = &mean[i * columns + v];
            for (int64_t t = begin[i]; t < begin[i + 1] && alive; t++)
                *about += ridge_number(c.from, y, order[t] * ld + v) / (double)n;
            for (int64_t t = begin[i]; t < begin[i + 1]; t++) {
                centred[t * columns + v] = alive ? ridge_number(c.from, y, order[t] * ld + v) - *about : 0;
                square[i * columns + v] += pow(centred[t * columns + v], 2);
            }
        }
        bed_check(b, dead[v] == (alive ? 0 : 1), "dead columns are others");
    }
    if (!b->timed) {
        double allowed = c.type == VG_F32 ? 1e-6 : 1e-12;
        bed_expect_any(b, c.centred, c.type, centred, allowed);
        double *got = bed_take(b, c.mean), away = 0; /* against the responses' spread, which is 1 */
        for (int64_t i = 0; i < segments * columns && b->judge; i++)
            away = fmax(away, fabs(got[i] - mean[i]));
        bed_error(b, away, allowed);
        free(got);
        bed_expect_any(b, c.square, VG_F64, square, allowed);
    }
    free(y);
    free(order);
    free(begin);
    free(centred);
    free(mean);
    free(square);
    free(dead);
}

/* ---- spread ----------------------------------------------------------------------------------------------------------------- */

/* Mean and sum of squares about it, of column v over the rows of some segments, from the rows; rows there are. */
static inline int64_t ridge_pooled(const double *y, int64_t columns, int64_t v, const int32_t *begin, const int32_t *list, int64_t count,
                                   double *mean, double *square)
{
    int64_t rows = 0;
    *mean = *square = 0;
    for (int pass = 0; pass < 2; pass++) {
        for (int64_t i = 0; i < count; i++)
            for (int64_t t = begin[list[i]]; t < begin[list[i] + 1]; t++) {
                rows += pass == 0;
                *(pass == 0 ? mean : square) += pass == 0 ? y[t * columns + v] : pow(y[t * columns + v] - *mean, 2);
            }
        if (pass == 0 && rows > 0)
            *mean /= (double)rows;
    }
    return rows;
}

/* sets, segments (more than one), columns, rows. Set i holds out segments i and i + 1 (cyclically) and trains on the others. Column 1 is
 * constant in segments 0 and 1, column 2 in all others. */
static inline void case_ridge_spread(bed *b)
{
    const int64_t *s = b->shape;
    int64_t sets = s[0], segments = s[1], columns = s[2], rows = s[3];
    int32_t *begin = ridge_borders(segments, rows);
    int32_t *test = calloc((size_t)(2 * sets) + 1, sizeof *test), *train = calloc((size_t)(segments * sets) + 1, sizeof *train);
    int32_t *test_begin = calloc((size_t)sets + 1, sizeof *test_begin), *train_begin = calloc((size_t)sets + 1, sizeof *train_begin);
    for (int64_t i = 0; i < sets; i++) {
        test_begin[i + 1] = test_begin[i];
        train_begin[i + 1] = train_begin[i];
        for (int32_t g = 0; g < segments; g++) {
            if (g == i % segments || g == (i + 1) % segments)
                test[test_begin[i + 1]++] = g;
            else
                train[train_begin[i + 1]++] = g;
        }
    }
    double *y = bed_doubles(rows * columns), *mean = bed_doubles(segments * columns), *square = bed_doubles(segments * columns);
    for (int64_t i = 0; i < rows * columns; i++) {
        bool early = i / columns < begin[2], still = (i % columns == 1 && early) || (i % columns == 2 && !early);
        y[i] = still ? 0.1 : (double)bed_normal(b);
    }
    for (int32_t g = 0; g < segments; g++)
        for (int64_t v = 0; v < columns; v++)
            ridge_pooled(y, columns, v, begin, &g, 1, &mean[g * columns + v], &square[g * columns + v]);
    vg_ridge_spread r = {.sets = sets, .segments = segments, .columns = columns};
    r.begin = bed_put(b, begin, (size_t)(segments + 1) * sizeof *begin);
    r.test_begin = bed_put(b, test_begin, (size_t)(sets + 1) * sizeof *begin);
    r.train_begin = bed_put(b, train_begin, (size_t)(sets + 1) * sizeof *begin);
    r.test = bed_put(b, test, (size_t)test_begin[sets] * sizeof *test);
    r.train = bed_put(b, train, (size_t)train_begin[sets] * sizeof *train);
    r.mean = bed_put(b, mean, (size_t)(segments * columns) * sizeof *mean);
    r.square = bed_put(b, square, (size_t)(segments * columns) * sizeof *square);
    r.variance = bed_put(b, NULL, (size_t)(sets * columns) * sizeof(double));
    r.shift = bed_put(b, NULL, (size_t)(sets * columns) * sizeof(double));
    r.constant = bed_put(b, NULL, (size_t)(sets * columns));
    BED_CALL(b, b->device->ops->ridge_spread(b->device, &r));
    b->bytes = 16.0 * (double)(sets * segments * columns);
    double *variance = bed_doubles(sets * columns), *shift = bed_doubles(sets * columns), *got = bed_take(b, r.variance);
    uint8_t *constant = bed_take(b, r.constant);
    for (int64_t i = 0; i < sets * columns && b->judge; i++) {
        int64_t set = i / columns, v = i % columns;
        double held, learnt, spread;
        ridge_pooled(y, columns, v, begin, test + test_begin[set], test_begin[set + 1] - test_begin[set], &held, &variance[i]);
        ridge_pooled(y, columns, v, begin, train + train_begin[set], train_begin[set + 1] - train_begin[set], &learnt, &spread);
        shift[i] = held - learnt;
        bed_check(b, constant[i] == (spread < 1e-20), "constant training responses are others");
        bed_check(b, (got[i] == 0) == (variance[i] < 1e-20), "constant held-out responses have a variance, or others none");
    }
    if (!b->timed) {
        bed_expect_any(b, r.variance, VG_F64, variance, 1e-12);
        bed_expect_any(b, r.shift, VG_F64, shift, 1e-12);
    }
    void *owned[] = {begin, test, train, test_begin, train_begin, y, mean, square, variance, shift, got, constant};
    for (size_t i = 0; i < sizeof owned / sizeof *owned; i++)
        free(owned[i]);
}

/* ---- combine ---------------------------------------------------------------------------------------------------------------- */

/* type, type of the sum, rows, columns, terms, gap between parts, segments */
static inline void case_ridge_combine(bed *b)
{
    const int64_t *s = b->shape;
    vg_ridge_combine c = {.type = (vg_type)s[0], .to = (vg_type)s[1], .rows = s[2], .columns = s[3], .terms = s[4], .segments = s[6]};
    int64_t n = c.rows * c.columns;
    c.stride = n + s[5];
    c.x = ridge_numbers(b, c.type, 5 * c.stride);
    c.term = bed_integers(b, c.terms, 0, 4);
    c.segment = bed_integers(b, c.segments, 0, 6);
    c.apart = bed_wide(b, c.segments * c.rows, 1);
    c.mean = bed_wide(b, 7 * c.columns, 1);
    c.out = bed_put(b, NULL, (size_t)n * (c.to == VG_F32 ? sizeof(float) : sizeof(double)));
    BED_CALL(b, b->device->ops->ridge_combine(b->device, &c));
    b->bytes = (double)n * ((double)c.terms * (c.type == VG_F32 ? 4.0 : 8.0) + (c.to == VG_F32 ? 4.0 : 8.0));
    if (b->timed)
        return;
    double *wanted = bed_doubles(n);
    for (int64_t i = 0; i < n; i++) {
        for (int64_t t = 0; t < c.terms; t++)
            wanted[i] += ridge_number(c.type, bed_host(b, c.x), bed_host_integers(b, c.term)[t] * c.stride + i);
        for (int64_t g = 0; g < c.segments; g++)
            wanted[i] += ridge_number(VG_F64, bed_host(b, c.apart), g * c.rows + i / c.columns) *
                         ridge_number(VG_F64, bed_host(b, c.mean), bed_host_integers(b, c.segment)[g] * c.columns + i % c.columns);
    }
    bed_expect_any(b, c.out, c.to, wanted, c.to == VG_F32 ? 1e-7 : 1e-14);
    free(wanted);
}

/* ---- join ------------------------------------------------------------------------------------------------------------------- */

/* type, rows, columns, segments there are, of them joined (every other one, from the last on) */
static inline void case_ridge_join(bed *b)
{
    const int64_t *s = b->shape;
    vg_ridge_join j = {.type = (vg_type)s[0], .columns = s[2], .segments = s[4]};
    int32_t *begin = ridge_borders(s[3], s[1]), *segment = calloc((size_t)s[4] + 1, sizeof *segment);
    int64_t rows = 0;
    for (int64_t i = 0; i < j.segments; i++) {
        segment[i] = (int32_t)(s[3] - 1 - 2 * i);
        rows += begin[segment[i] + 1] - begin[segment[i]];
    }
    j.begin = bed_put(b, begin, (size_t)(s[3] + 1) * sizeof *begin);
    j.segment = bed_put(b, segment, (size_t)j.segments * sizeof *segment);
    j.centred = ridge_numbers(b, j.type, s[1] * j.columns);
    j.mean = bed_wide(b, s[3] * j.columns, 10);
    j.out = bed_put(b, NULL, (size_t)(rows * j.columns) * (j.type == VG_F32 ? sizeof(float) : sizeof(double)));
    BED_CALL(b, b->device->ops->ridge_join(b->device, &j));
    b->bytes = (double)(rows * j.columns) * (j.type == VG_F32 ? 8.0 : 16.0);
    double *wanted = bed_doubles(rows * j.columns);
    for (int64_t v = 0; v < j.columns && b->judge; v++) {
        double mean = 0;
        for (int64_t i = 0; i < j.segments && rows > 0; i++)
            mean += (double)(begin[segment[i] + 1] - begin[segment[i]]) / (double)rows *
                    ridge_number(VG_F64, bed_host(b, j.mean), segment[i] * j.columns + v);
        for (int64_t i = 0, to = 0; i < j.segments; i++)
            for (int64_t t = begin[segment[i]]; t < begin[segment[i] + 1]; t++, to++)
                wanted[to * j.columns + v] = ridge_number(j.type, bed_host(b, j.centred), t * j.columns + v) +
                                             ridge_number(VG_F64, bed_host(b, j.mean), segment[i] * j.columns + v) - mean;
    }
    if (!b->timed)
        bed_expect_any(b, j.out, j.type, wanted, j.type == VG_F32 ? 1e-7 : 1e-14);
    free(begin);
    free(segment);
    free(wanted);
}

/* ---- score ------------------------------------------------------------------------------------------------------------------ */

typedef struct {
    const vg_ridge_score *s;
    const void *products, *offset, *y; /* on the host, as all below */
    const double *coefficient, *variance, *shift;
    const uint8_t *constant;
} score_inputs;

/* Pearson's r and the squared error of one penalty and column, from its predictions; constant training responses predict their mean. */
static inline void score_reference(const score_inputs *in, int64_t a, int64_t v, double *r, double *error)
{
    const vg_ridge_score *s = in->s;
    double cross = 0, size = 0, offset = 0, n = (double)s->held_out, shift = in->shift[v], variance = in->variance[v];
    for (int64_t t = 0; t < s->rows && !in->constant[v]; t++) {
        double prediction = 0;
        for (int64_t j = 0; j < s->rank; j++)
            prediction += in->coefficient[a * s->rank + j] * ridge_number(s->type, in->products, (j * s->rows + t) * s->columns + v);
        cross += prediction * ridge_number(s->type, in->y, t * s->columns + v);
        size += prediction * prediction;
    }
    for (int64_t j = 0; j < s->rank && !in->constant[v]; j++)
        offset += in->coefficient[a * s->rank + j] * ridge_number(s->type, in->offset, j * s->columns + v);
    *r = size * variance > 0 ? cross / sqrt(size * variance) : 0;
    *error = variance + n * shift * shift - 2 * (cross + sqrt(n) * shift * offset) + size + offset * offset;
}

/* type, rows, columns, rank, penalties, held out, what (1 correlation, 2 loss, 3 both), chosen penalty only, by fold */
static inline void case_ridge_score(bed *b)
{
    const int64_t *p = b->shape;
    vg_ridge_score s = {.type = (vg_type)p[0],
                        .rows = p[1],
                        .columns = p[2],
                        .rank = p[3],
                        .penalties = p[4],
                        .held_out = p[5],
                        .weight = 0.25,
                        .by_fold = p[8]};
    int64_t columns = s.columns, scored = (p[7] ? 1 : s.penalties) * columns;
    uint8_t *constant = calloc((size_t)columns + 1, 1);
    double *variance = bed_doubles(columns);
    for (int64_t v = 0; v < columns; v++) {
        constant[v] = v % 13 == 5;
        variance[v] = v % 11 == 7 ? 0 : (double)s.rows * (0.5 + vg_random_uniform(7, VG_RANDOM_TEST, b->drawn++));
    }
    s.products = ridge_numbers(b, s.type, s.rank * s.rows * columns);
    s.offset = ridge_numbers(b, s.type, s.rank * columns);
    s.y = ridge_numbers(b, s.type, s.rows * columns);
    s.coefficient = bed_wide(b, s.penalties * s.rank, 1);
    s.variance = bed_put(b, variance, (size_t)columns * sizeof *variance);
    s.shift = bed_wide(b, columns, 0.2);
    s.constant = bed_put(b, constant, (size_t)columns);
    s.choice = p[7] ? bed_integers(b, columns, 0, (int32_t)s.penalties - 1) : NULL;
    s.correlation = p[6] & 1 ? bed_wide(b, scored, 1) : NULL;
    s.loss = p[6] & 2 ? bed_wide(b, scored, 1) : NULL;
    s.total = s.loss != NULL ? bed_wide(b, columns, 1) : NULL;
    BED_CALL(b, b->device->ops->ridge_score(b->device, &s));
    b->flops = 2.0 * (double)(s.rows * columns) * (double)((s.rank + 1) * (s.rank + 2) / 2);
    if (!b->timed) {
        score_inputs in = {&s,
                           bed_host(b, s.products),
                           bed_host(b, s.offset),
                           bed_host(b, s.y),
                           (const void *)bed_host(b, s.coefficient),
                           variance,
                           (const void *)bed_host(b, s.shift),
                           constant};
        const double *was_r = s.correlation != NULL ? (const void *)bed_host(b, s.correlation) : NULL;
        const double *was_loss = s.loss != NULL ? (const void *)bed_host(b, s.loss) : NULL;
        double *r = bed_doubles(scored), *loss = bed_doubles(scored), *total = bed_doubles(columns);
        for (int64_t i = 0; i < scored && b->judge; i++) {
            int64_t v = i % columns, a = s.choice != NULL ? bed_host_integers(b, s.choice)[v] : i / columns;
            double correlation, error;
            score_reference(&in, a, v, &correlation, &error);
            r[i] = (was_r != NULL ? was_r[i] : 0) + s.weight * correlation;
            error = s.by_fold ? (variance[v] > 0 ? s.weight * error / variance[v] : s.weight) : error;
            loss[i] = (was_loss != NULL ? was_loss[i] : 0) + error;
        }
        for (int64_t v = 0; v < columns && s.total != NULL; v++)
            total[v] = s.by_fold ? NAN
                                 : ((const double *)(const void *)bed_host(b, s.total))[v] + variance[v] +
                                       (double)s.held_out * in.shift[v] * in.shift[v];
        if (s.correlation != NULL)
            bed_expect_any(b, s.correlation, VG_F64, r, 1e-12);
        if (s.loss != NULL) {
            bed_expect_any(b, s.loss, VG_F64, loss, 1e-12);
            bed_expect_any(b, s.total, VG_F64, total, 1e-13);
        }
        free(r);
        free(loss);
        free(total);
    }
    free(constant);
    free(variance);
}

/* ---- choose ----------------------------------------------------------------------------------------------------------------- */

/* penalties, columns, smallest, equal in hundredths. Scores are rounded, so that many are the same. */
static inline void case_ridge_choose(bed *b)
{
    const int64_t *s = b->shape;
    vg_ridge_choose c = {.penalties = s[0], .columns = s[1], .smallest = s[2], .equal = 0.01 * (double)s[3]};
    double *score = bed_doubles(s[0] * s[1]);
    int32_t *ascending = calloc((size_t)s[0] + 1, sizeof *ascending);
    for (int64_t i = 0; i < s[0] * s[1]; i++)
        score[i] = round(10 * (double)bed_normal(b)) / 10 + (s[2] ? 5 : 0);
    for (int64_t a = 0; a < s[0]; a++)
        ascending[a] = (int32_t)((a * 7 + 3) % s[0]); /* a permutation where 7 does not divide the penalties */
    c.score = bed_put(b, score, (size_t)(s[0] * s[1]) * sizeof *score);
    c.ascending = bed_put(b, ascending, (size_t)s[0] * sizeof *ascending);
    c.choice = bed_put(b, NULL, (size_t)s[1] * sizeof *c.choice);
    c.best = bed_put(b, NULL, (size_t)s[1] * sizeof *c.best);
    BED_CALL(b, b->device->ops->ridge_choose(b->device, &c));
    b->bytes = 8.0 * (double)(s[0] * s[1]);
    int32_t *choice = bed_take(b, c.choice);
    double *best = bed_take(b, c.best);
    for (int64_t v = 0; v < s[1] && b->judge && !b->timed; v++) {
        double least = INFINITY, most = -INFINITY;
        for (int64_t a = 0; a < s[0]; a++) {
            least = fmin(least, score[a * s[1] + v]);
            most = fmax(most, score[a * s[1] + v]);
        }
        int32_t wanted = -1;
        for (int64_t i = 0; i < s[0] && wanted < 0; i++) {
            double here = score[ascending[i] * s[1] + v];
            if (s[2] ? here <= least + c.equal * least : here >= most - c.equal)
                wanted = ascending[i];
        }
        bed_check(b, choice[v] == wanted, "chose another penalty");
        bed_check(b, best[v] == score[wanted * s[1] + v], "gave another score than that penalty's");
    }
    free(score);
    free(ascending);
    free(choice);
    free(best);
}

#endif
