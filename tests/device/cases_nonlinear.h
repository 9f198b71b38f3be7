/* cases of the nonlinear operations: fwd against the float64 reference, vjp and jvp against its central differences, and vjp against
 * jvp through <u, J v> = <J' u, v>. */
#ifndef VOXGRAD_TESTS_DEVICE_CASES_NONLINEAR_H
#define VOXGRAD_TESTS_DEVICE_CASES_NONLINEAR_H

#include "bed.h"
#include "reference.h"

static inline void widen(int64_t n, const float *x, double *wide)
{
    for (int64_t i = 0; i < n; i++)
        wide[i] = (double)x[i];
}

/* |<u, J v> - <J' u, v>| against the size of its terms, from what the device gave. */
static inline void check_adjoint(bed *b, int64_t n, const float *u, const float *jv, const float *ju, const float *v, double allowed)
{
    double left = 0, right = 0, size = 0;
    for (int64_t i = 0; i < n; i++) {
        left += (double)u[i] * (double)jv[i];
        right += (double)ju[i] * (double)v[i];
        size += (double)u[i] * (double)jv[i] * (double)u[i] * (double)jv[i];
    }
    bed_error(b, fabs(left - right) / (sqrt(size) + 1e-30), allowed);
}

/* ---- norm ------------------------------------------------------------------------------------------------------------------ */

typedef struct {
    vg_norm n;
    const float *x;
    reference_norm reference;
} norm_case;

/* kind, rows, columns, gap of x, gap of y, with bias, mean of x in tenths */
static inline norm_case make_norm(bed *b)
{
    const int64_t *s = b->shape;
    norm_case c = {.n = {.kind = (vg_norm_kind)s[0], .eps = 1e-5f, .rows = s[1], .columns = s[2], .ldx = s[2] + s[3], .ldy = s[2] + s[4]}};
    float *x = malloc((size_t)(c.n.rows * c.n.ldx) * sizeof *x + 1);
    for (int64_t i = 0; i < c.n.rows * c.n.ldx; i++)
        x[i] = bed_normal(b) + 0.1f * (float)s[6];
    c.x = bed_put(b, x, (size_t)(c.n.rows * c.n.ldx) * sizeof *x);
    free(x);
    c.n.weight = bed_floats(b, c.n.columns, 1);
    c.n.bias = s[5] ? bed_floats(b, c.n.columns, 1) : NULL;
    c.reference = (reference_norm){c.n.kind, (double)c.n.eps, bed_host(b, c.n.weight), c.n.bias != NULL ? bed_host(b, c.n.bias) : NULL};
    return c;
}

static inline void case_norm(bed *b)
{
    norm_case c = make_norm(b);
    float *y = bed_room(b, c.n.rows * c.n.ldy);
    BED_CALL(b, b->device->ops->norm(b->device, &c.n, c.x, y));
    b->bytes = 8.0 * (double)(c.n.rows * c.n.columns);
    if (b->timed)
        return;
    double *wanted = bed_doubles(c.n.rows * c.n.ldy), *row = bed_doubles(c.n.columns);
    for (int64_t i = 0; i < c.n.rows * c.n.ldy; i++)
        wanted[i] = NAN;
    for (int64_t i = 0; i < c.n.rows && b->judge; i++) {
        widen(c.n.columns, bed_host(b, c.x) + i * c.n.ldx, row);
        reference_norm_row(&c.reference, c.n.columns, row, wanted + i * c.n.ldy);
    }
    bed_expect(b, y, wanted, 5e-7);
    free(wanted);
    free(row);
}

/* added: dx was there before */
static inline void case_norm_vjp(bed *b)
{
    norm_case c = make_norm(b);
    bool add = b->shape[7];
    int64_t n = c.n.columns, size = c.n.rows * n;
    float *dy = bed_floats(b, size, 1), *dx = add ? bed_floats(b, size, 1) : bed_room(b, size);
    BED_CALL(b, b->device->ops->norm_vjp(b->device, &c.n, c.x, dy, add, dx));
    b->bytes = (add ? 16.0 : 12.0) * (double)size;
    if (b->timed)
        return;
    double *wanted = bed_doubles(size), *row = bed_doubles(n), *u = bed_doubles(n);
    for (int64_t i = 0; i < c.n.rows && b->judge; i++) {
        widen(n, bed_host(b, c.x) + i * c.n.ldx, row);
        widen(n, bed_host(b, dy) + i * n, u);
        reference_vjp(reference_norm_row, &c.reference, n, row, u, wanted + i * n);
        for (int64_t j = 0; j < n && add; j++)
            wanted[i * n + j] += (double)bed_host(b, dx)[i * n + j];
    }
    bed_expect(b, dx, wanted, 2e-6);
    free(wanted);
    free(row);
    free(u);
}

/* directions */
static inline void case_norm_jvp(bed *b)
{
    norm_case c = make_norm(b);
    int64_t directions = b->shape[7], n = c.n.columns, size = c.n.rows * n;
    float *dx = bed_floats(b, directions * size, 1), *dy = bed_room(b, directions * size);
    BED_CALL(b, b->device->ops->norm_jvp(b->device, &c.n, c.x, directions, dx, dy));
    b->bytes = 4.0 * (double)size * (1.0 + 2.0 * (double)directions);
    if (b->timed)
        return;
    double *wanted = bed_doubles(directions * size), *row = bed_doubles(n), *v = bed_doubles(n);
    for (int64_t i = 0; i < directions * c.n.rows && b->judge; i++) {
        widen(n, bed_host(b, c.x) + i % c.n.rows * c.n.ldx, row);
        widen(n, bed_host(b, dx) + i * n, v);
        reference_jvp(reference_norm_row, &c.reference, n, row, v, wanted + i * n);
    }
    bed_expect(b, dy, wanted, 2e-6);
    if (directions == 1) {
        float *u = bed_floats(b, size, 1), *ju = bed_room(b, size);
        bed_check(b, b->device->ops->norm_vjp(b->device, &c.n, c.x, u, false, ju) == VG_OK, vg_message());
        float *jv_host = bed_take(b, dy), *ju_host = bed_take(b, ju);
        check_adjoint(b, size, bed_host(b, u), jv_host, ju_host, bed_host(b, dx), 1e-5);
        free(jv_host);
        free(ju_host);
    }
    free(wanted);
    free(row);
    free(v);
}

/* ---- softmax --------------------------------------------------------------------------------------------------------------- */

typedef struct {
    vg_softmax s;
    int64_t rows;
    uint8_t *sees; /* host: (rows, keys) */
} softmax_case;

/* groups, kv_heads, members, repeats, queries, keys, with hidden keys, largest start, directions */
static inline softmax_case make_softmax(bed *b)
{
    const int64_t *s = b->shape;
    softmax_case c = {.s = {s[0], s[1], s[2], s[3], s[4], s[5], 0.35f, NULL, NULL}, .rows = s[0] * s[1] * s[2] * s[3] * s[4]};
    c.s.start = bed_integers(b, s[0] * s[2], 0, (int32_t)s[7]);
    if (s[6]) {
        uint8_t *hidden = malloc((size_t)(s[0] * s[2] * s[5]) + 1);
        for (int64_t i = 0; i < s[0] * s[2] * s[5]; i++)
            hidden[i] = vg_random_bits(7, VG_RANDOM_TEST, b->drawn++) % 3 == 0;
        c.s.hidden = bed_put(b, hidden, (size_t)(s[0] * s[2] * s[5]));
        free(hidden);
    }
    c.sees = malloc((size_t)(c.rows * s[5]) + 1);
    int64_t at = 0;
    for (int64_t group = 0; group < s[0]; group++)
        for (int64_t head = 0; head < s[1]; head++)
            for (int64_t member = 0; member < s[2]; member++)
                for (int64_t repeat = 0; repeat < s[3]; repeat++)
                    for (int64_t query = 0; query < s[4]; query++)
                        for (int64_t key = 0; key < s[5]; key++) {
                            int64_t row = group * s[2] + member;
                            c.sees[at++] = key >= bed_host_integers(b, c.s.start)[row] && key <= s[5] - s[4] + query &&
                                           (c.s.hidden == NULL || ((const uint8_t *)bed_host(b, c.s.hidden))[row * s[5] + key] == 0);
                        }
    return c;
}

/* Random numbers for what is seen; what is not seen is not a number. */
static inline float *seen_floats(bed *b, const softmax_case *c, int64_t copies, double scale)
{
    int64_t size = c->rows * c->s.keys;
    float *x = malloc((size_t)(copies * size) * sizeof *x + 1);
    for (int64_t i = 0; i < copies * size; i++)
        x[i] = c->sees[i % size] ? (float)scale * bed_normal(b) : NAN;
    float *data = bed_put(b, x, (size_t)(copies * size) * sizeof *x);
    free(x);
    return data;
}

static inline void case_softmax(bed *b)
{
    softmax_case c = make_softmax(b);
    int64_t n = c.s.keys;
    float *x = seen_floats(b, &c, 1, b->shape[8] ? 30 : 4);
    BED_CALL(b, b->device->ops->softmax(b->device, &c.s, x));
    b->bytes = 8.0 * (double)(c.rows * n);
    if (!b->timed) {
        double *wanted = bed_doubles(c.rows * n), *row = bed_doubles(n);
        for (int64_t i = 0; i < c.rows && b->judge; i++) {
            widen(n, bed_host(b, x) + i * n, row);
            reference_softmax what = {(double)c.s.scale, c.sees + i * n};
            reference_softmax_row(&what, n, row, wanted + i * n);
        }
        bed_expect(b, x, wanted, b->shape[8] ? 3e-6 : 5e-7); /* scores rounded to float carry an error of their size */
        free(wanted);
        free(row);
    }
    free(c.sees);
}

/* The primal that vjp and jvp get: the softmax's own result (rounded), and the scores it came from. */
static inline float *softmax_primal(bed *b, const softmax_case *c, double *scores)
{
    int64_t n = c->s.keys;
    float *y = malloc((size_t)(c->rows * n) * sizeof *y + 1);
    double *row = bed_doubles(n);
    for (int64_t i = 0; i < c->rows; i++) {
        for (int64_t j = 0; j < n; j++)
            scores[i * n + j] = 2 * (double)bed_normal(b);
        reference_softmax what = {(double)c->s.scale, c->sees + i * n};
        reference_softmax_row(&what, n, scores + i * n, row);
        for (int64_t j = 0; j < n; j++)
            y[i * n + j] = (float)row[j];
    }
    float *data = bed_put(b, y, (size_t)(c->rows * n) * sizeof *y);
    free(y);
    free(row);
    return data;
}

static inline void softmax_derivative(bed *b, bool forward)
{
    softmax_case c = make_softmax(b);
    int64_t directions = forward ? b->shape[8] : 1, n = c.s.keys, size = c.rows * n;
    double *scores = bed_doubles(size), *wanted = bed_doubles(directions * size), *v = bed_doubles(n);
    float *y = softmax_primal(b, &c, scores), *dx = seen_floats(b, &c, directions, 1);
    vg_device *d = b->device;
    BED_CALL(b, forward ? d->ops->softmax_jvp(d, &c.s, y, directions, dx) : d->ops->softmax_vjp(d, &c.s, y, dx));
    b->bytes = 4.0 * (double)size * (1.0 + 2.0 * (double)directions);
    for (int64_t i = 0; i < directions * c.rows && b->judge; i++) {
        for (int64_t j = 0; j < n; j++)
            v[j] = c.sees[i * n % (size > 0 ? size : 1) + j] ? (double)bed_host(b, dx)[i * n + j] : 0;
        reference_softmax what = {(double)c.s.scale, c.sees + i % c.rows * n};
        if (forward)
            reference_jvp(reference_softmax_row, &what, n, scores + i % c.rows * n, v, wanted + i * n);
        else
            reference_vjp(reference_softmax_row, &what, n, scores + i % c.rows * n, v, wanted + i * n);
    }
    if (!b->timed)
        bed_expect(b, dx, wanted, 1e-6);
    if (!b->timed && forward && directions == 1) {
        float *u = bed_floats(b, size, 1), *jv = bed_take(b, dx);
        const float *direction = bed_host(b, dx);
        float *v_seen = calloc((size_t)size + 1, sizeof *v_seen), *u_host = calloc((size_t)size + 1, sizeof *u_host);
        memcpy(u_host, bed_host(b, u), (size_t)size * sizeof *u_host);
        for (int64_t i = 0; i < size; i++)
            v_seen[i] = c.sees[i] ? direction[i] : 0;
        bed_check(b, d->ops->softmax_vjp(d, &c.s, y, u) == VG_OK, vg_message());
        float *ju = bed_take(b, u);
        check_adjoint(b, size, u_host, jv, ju, v_seen, 1e-5);
        free(jv);
        free(ju);
        free(v_seen);
        free(u_host);
    }
    free(scores);
    free(wanted);
    free(v);
    free(c.sees);
}

static inline void case_softmax_vjp(bed *b)
{
    softmax_derivative(b, false);
}

static inline void case_softmax_jvp(bed *b)
{
    softmax_derivative(b, true);
}

/* ---- act ------------------------------------------------------------------------------------------------------------------- */

/* kind, n, gated, spread of x in tenths, directions */
static inline float *act_input(bed *b)
{
    int64_t n = b->shape[1];
    float *x = malloc((size_t)n * sizeof *x + 1);
    for (int64_t i = 0; i < n; i++) {
        x[i] = 0.1f * (float)b->shape[3] * bed_normal(b);
        if (fabsf(x[i]) < 1e-3f)
            x[i] = 1e-3f; /* away from where relu has no derivative */
    }
    float *data = bed_put(b, x, (size_t)n * sizeof *x);
    free(x);
    return data;
}

static inline void case_act(bed *b)
{
    vg_act_kind kind = (vg_act_kind)b->shape[0];
    int64_t n = b->shape[1];
    float *x = act_input(b), *gate = b->shape[2] ? bed_floats(b, n, 1) : NULL, *y = bed_room(b, n);
    BED_CALL(b, b->device->ops->act(b->device, kind, n, x, gate, y));
    b->bytes = (gate != NULL ? 12.0 : 8.0) * (double)n;
    if (b->timed)
        return;
    double *wanted = bed_doubles(n);
    for (int64_t i = 0; i < n; i++)
        wanted[i] = reference_act(kind, (double)bed_host(b, x)[i]) * (gate != NULL ? (double)bed_host(b, gate)[i] : 1);
    bed_expect(b, y, wanted, 3e-7);
    free(wanted);
}

static inline void case_act_vjp(bed *b)
{
    vg_act_kind kind = (vg_act_kind)b->shape[0];
    int64_t n = b->shape[1];
    float *x = act_input(b), *gate = b->shape[2] ? bed_floats(b, n, 1) : NULL, *dy = bed_floats(b, n, 1);
    float *dx = bed_room(b, n), *dgate = gate != NULL ? bed_room(b, n) : NULL;
    BED_CALL(b, b->device->ops->act_vjp(b->device, kind, n, x, gate, dy, dx, dgate));
    b->bytes = (gate != NULL ? 20.0 : 12.0) * (double)n;
    if (b->timed)
        return;
    double *wanted = bed_doubles(n), *wanted_gate = bed_doubles(n);
    for (int64_t i = 0; i < n; i++) {
        double at = (double)bed_host(b, x)[i], u = (double)bed_host(b, dy)[i];
        wanted[i] = u * reference_act_slope(kind, at) * (gate != NULL ? (double)bed_host(b, gate)[i] : 1);
        wanted_gate[i] = u * reference_act(kind, at);
    }
    bed_expect(b, dx, wanted, 5e-7);
    if (gate != NULL)
        bed_expect(b, dgate, wanted_gate, 5e-7);
    free(wanted);
    free(wanted_gate);
}

static inline void act_adjoint(bed *b, const float *x, const float *gate, const float *v, const float *vgate, const float *jv)
{
    vg_act_kind kind = (vg_act_kind)b->shape[0];
    int64_t n = b->shape[1];
    float *u = bed_floats(b, n, 1), *ju = bed_room(b, n), *jgate = gate != NULL ? bed_room(b, n) : NULL;
    bed_check(b, b->device->ops->act_vjp(b->device, kind, n, x, gate, u, ju, jgate) == VG_OK, vg_message());
    float *jv_host = bed_take(b, jv), *ju_host = bed_take(b, ju);
    if (gate != NULL) { /* <J' u, v> has two parts; fold the gate's into the first */
        float *jgate_host = bed_take(b, jgate), *one = malloc((size_t)n * sizeof *one + 1);
        for (int64_t i = 0; i < n; i++) {
            ju_host[i] = (float)((double)ju_host[i] * (double)bed_host(b, v)[i] + (double)jgate_host[i] * (double)bed_host(b, vgate)[i]);
            one[i] = 1;
        }
        check_adjoint(b, n, bed_host(b, u), jv_host, ju_host, one, 1e-5);
        free(jgate_host);
        free(one);
    } else {
        check_adjoint(b, n, bed_host(b, u), jv_host, ju_host, bed_host(b, v), 1e-5);
    }
    free(jv_host);
    free(ju_host);
}

static inline void case_act_jvp(bed *b)
{
    vg_act_kind kind = (vg_act_kind)b->shape[0];
    int64_t n = b->shape[1], directions = b->shape[4];
    float *x = act_input(b), *gate = b->shape[2] ? bed_floats(b, n, 1) : NULL, *dx = bed_floats(b, directions * n, 1);
    float *dgate = gate != NULL ? bed_floats(b, directions * n, 1) : NULL, *dy = bed_room(b, directions * n);
    BED_CALL(b, b->device->ops->act_jvp(b->device, kind, n, x, gate, directions, dx, dgate, dy));
    b->bytes = 4.0 * (double)n * (gate != NULL ? 2 + 3 * (double)directions : 1 + 2 * (double)directions);
    if (b->timed)
        return;
    double *wanted = bed_doubles(directions * n);
    for (int64_t i = 0; i < directions * n; i++) {
        double at = (double)bed_host(b, x)[i % n];
        wanted[i] = reference_act_slope(kind, at) * (double)bed_host(b, dx)[i] * (gate != NULL ? (double)bed_host(b, gate)[i % n] : 1);
        if (gate != NULL)
            wanted[i] += reference_act(kind, at) * (double)bed_host(b, dgate)[i];
    }
    bed_expect(b, dy, wanted, 5e-7);
    if (directions == 1)
        act_adjoint(b, x, gate, dx, dgate, dy);
    free(wanted);
}

/* ---- target ---------------------------------------------------------------------------------------------------------------- */

/* The reference's log-probabilities, some of them of nothing (-inf); together 0.7, for the formula does not need them to be 1. */
static inline float *target_reference(bed *b, int64_t rows, int64_t n)
{
    float *log_q = malloc((size_t)(rows * n) * sizeof *log_q + 1);
    for (int64_t i = 0; i < rows; i++) {
        double sum = 0;
        for (int64_t j = 0; j < n; j++) {
            log_q[i * n + j] = j % 7 == 3 ? -INFINITY : 2 * bed_normal(b);
            sum += exp((double)log_q[i * n + j]);
        }
        for (int64_t j = 0; j < n; j++)
            log_q[i * n + j] = (float)((double)log_q[i * n + j] - log(sum / 0.7));
    }
    float *data = bed_put(b, log_q, (size_t)(rows * n) * sizeof *log_q);
    free(log_q);
    return data;
}

static inline void target_gradient(vg_target_kind kind, int64_t n, double *z, int64_t token, const float *log_q, double *gradient)
{
    for (int64_t j = 0; j < n; j++) {
        double at = z[j];
        z[j] = at + reference_step;
        double ahead = reference_target(kind, n, z, token, log_q);
        z[j] = at - reference_step;
        gradient[j] = (ahead - reference_target(kind, n, z, token, log_q)) / (2 * reference_step);
        z[j] = at;
    }
}

/* kind, rows, n, with gradient, lowest token (-1: the model's own choice), spread of logits */
static inline void case_target(bed *b)
{
    const int64_t *s = b->shape;
    vg_target_kind kind = (vg_target_kind)s[0];
    int64_t rows = s[1], n = s[2];
    float *logits = bed_floats(b, rows * n, (double)s[5]), *log_q = kind == VG_TARGET_KL ? target_reference(b, rows, n) : NULL;
    int32_t *token = bed_integers(b, rows, (int32_t)s[4], s[4] < 0 ? -1 : (int32_t)n - 1);
    double *f = bed_put(b, NULL, (size_t)rows * sizeof *f), *wanted = bed_doubles(rows * n), *wanted_f = bed_doubles(rows),
           *z = bed_doubles(n);
    BED_CALL(b, b->device->ops->target(b->device, kind, rows, n, logits, token, log_q, s[3], f));
    b->bytes = (s[3] ? 8.0 : 4.0) * (double)(rows * n);
    int32_t *chosen = bed_take(b, token);
    for (int64_t i = 0; i < rows && b->judge; i++) {
        const float *row = bed_host(b, logits) + i * n;
        int64_t best = 0, t = bed_host_integers(b, token)[i];
        for (int64_t j = 0; j < n; j++)
            best = row[j] > row[best] ? j : best;
        bool wants = kind != VG_TARGET_ENTROPY && kind != VG_TARGET_KL;
        bed_check(b, chosen[i] == (wants && t < 0 ? best : t), "wrote back another token");
        widen(n, row, z);
        wanted_f[i] = reference_target(kind, n, z, t < 0 ? best : t, log_q != NULL ? bed_host(b, log_q) + i * n : NULL);
        if (s[3])
            target_gradient(kind, n, z, t < 0 ? best : t, log_q != NULL ? bed_host(b, log_q) + i * n : NULL, wanted + i * n);
    }
    if (!b->timed) {
        bed_expect_any(b, f, VG_F64, wanted_f, 1e-12);
        if (s[3])
            bed_expect(b, logits, wanted, 1e-6);
    }
    free(chosen);
    free(wanted);
    free(wanted_f);
    free(z);
}

#endif
