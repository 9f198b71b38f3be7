/* cases of the linear operations. Shapes: the numbers a case reads from b->shape, in the order of the first line of its function. */
#ifndef VOXGRAD_TESTS_DEVICE_CASES_LINEAR_H
#define VOXGRAD_TESTS_DEVICE_CASES_LINEAR_H

#include "bed.h"

enum { SHARE_NOTHING, SHARE_A, SHARE_B, SHARE_BOTH };

typedef struct {
    int64_t rows, columns, ld, stride; /* as stored */
} stored;

static inline stored store(int64_t rows, int64_t columns, int64_t gap, bool shared)
{
    int64_t ld = columns + gap;
    return (stored){rows, columns, ld, shared ? 0 : rows * ld + 3 * gap};
}

static inline int64_t stored_size(stored s, int64_t batch)
{
    return s.stride * (batch > 0 ? batch - 1 : 0) + s.rows * s.ld;
}

static inline double number(vg_type type, const void *x, int64_t i)
{
    return type == VG_F32 ? (double)((const float *)x)[i] : ((const double *)x)[i];
}

static inline void gemm_reference(bed *b, const vg_gemm *g, int64_t size)
{
    const void *a_host = bed_host(b, g->a), *b_host = bed_host(b, g->b), *c_host = bed_host(b, g->c);
    double *wanted = bed_doubles(size), *row = bed_doubles(g->n);
    for (int64_t i = 0; i < size; i++)
        wanted[i] = NAN;
    for (int64_t item = 0; item < g->batch; item++)
        for (int64_t i = 0; i < g->m; i++) {
            memset(row, 0, (size_t)g->n * sizeof *row);
            for (int64_t p = 0; p < g->k; p++) {
                double x = number(g->type, a_host, item * g->stride_a + (g->transpose_a ? p * g->lda + i : i * g->lda + p));
                for (int64_t j = 0; j < g->n; j++)
                    row[j] += x * number(g->type, b_host, item * g->stride_b + (g->transpose_b ? j * g->ldb + p : p * g->ldb + j));
            }
            for (int64_t j = 0; j < g->n; j++) {
                int64_t at = item * g->stride_c + i * g->ldc + j;
                wanted[at] = g->alpha * row[j] + (g->beta == 0 ? 0 : g->beta * number(g->type, c_host, at));
            }
        }
    bed_expect_any(b, g->c, g->type, wanted, g->type == VG_F32 ? 2e-6 : 1e-14);
    free(wanted);
    free(row);
}

/* type, op(a), op(b), m, n, k, batch, beta, gap, shared. gap: what leading dimensions are wider than rows, and batch items are apart */
static inline void case_gemm(bed *b)
{
    const int64_t *s = b->shape;
    vg_gemm g = {.type = (vg_type)s[0], .transpose_a = s[1], .transpose_b = s[2], .m = s[3], .n = s[4], .k = s[5], .batch = s[6]};
    int64_t beta = s[7], gap = s[8], shared = s[9];
    stored x = store(g.transpose_a ? g.k : g.m, g.transpose_a ? g.m : g.k, gap, shared & SHARE_A);
    stored y = store(g.transpose_b ? g.n : g.k, g.transpose_b ? g.k : g.n, 2 * gap, shared & SHARE_B), z = store(g.m, g.n, gap, false);
    int64_t size = stored_size(z, g.batch);
    bool wide = g.type == VG_F64;
    g.alpha = b->timed ? 1.0 : 0.75;
    g.beta = (double)beta;
    g.a = wide ? (void *)bed_wide(b, stored_size(x, g.batch), 1) : (void *)bed_floats(b, stored_size(x, g.batch), 1);
    g.b = wide ? (void *)bed_wide(b, stored_size(y, g.batch), 1) : (void *)bed_floats(b, stored_size(y, g.batch), 1);
    if (beta == 0)
        g.c = bed_put(b, NULL, (size_t)size * (wide ? sizeof(double) : sizeof(float)));
    else
        g.c = wide ? (void *)bed_wide(b, size, 1) : (void *)bed_floats(b, size, 1);
    g.lda = x.ld;
    g.ldb = y.ld;
    g.ldc = z.ld;
    g.stride_a = x.stride;
    g.stride_b = y.stride;
    g.stride_c = z.stride;
    double before = vg_device_flops(b->device);
    BED_CALL(b, b->device->ops->gemm(b->device, &g));
    b->flops = 2.0 * (double)g.m * (double)g.n * (double)g.k * (double)g.batch;
    if (b->timed)
        return;
    bed_check(b, vg_device_flops(b->device) - before == b->flops, "counted other work than it did");
    gemm_reference(b, &g, size);
}

static inline void case_copy(bed *b)
{
    int64_t rows = b->shape[0], columns = b->shape[1], ld_to = columns + b->shape[2], ld_from = columns + b->shape[3];
    float *from = bed_floats(b, rows * ld_from, 1), *to = bed_room(b, rows * ld_to);
    BED_CALL(b, b->device->ops->copy(b->device, to, ld_to, from, ld_from, rows, columns));
    b->bytes = 8.0 * (double)(rows * columns);
    if (b->timed)
        return;
    double *wanted = bed_doubles(rows * ld_to);
    for (int64_t i = 0; i < rows * ld_to; i++)
        wanted[i] = i % ld_to < columns ? (double)bed_host(b, from)[i / ld_to * ld_from + i % ld_to] : NAN;
    bed_expect(b, to, wanted, 0.5e-300);
    free(wanted);
}

static inline void case_fill(bed *b)
{
    int64_t n = b->shape[0];
    float *x = bed_room(b, n);
    BED_CALL(b, b->device->ops->fill(b->device, x, n, -2.5f));
    b->bytes = 4.0 * (double)n;
    if (b->timed)
        return;
    double *wanted = bed_doubles(n);
    for (int64_t i = 0; i < n; i++)
        wanted[i] = -2.5;
    bed_expect(b, x, wanted, 0.5e-300);
    free(wanted);
}

/* second: axpby's b in tenths; 0 must not read y */
static inline void case_axpby(bed *b)
{
    int64_t n = b->shape[0];
    float factor = 0.1f * (float)b->shape[1];
    float *x = bed_floats(b, n, 1), *y = factor == 0 ? bed_room(b, n) : bed_floats(b, n, 1);
    BED_CALL(b, b->device->ops->axpby(b->device, n, 1.7f, x, factor, y));
    b->bytes = (factor == 0 ? 8.0 : 12.0) * (double)n;
    if (b->timed)
        return;
    double *wanted = bed_doubles(n);
    for (int64_t i = 0; i < n; i++)
        wanted[i] = (double)1.7f * (double)bed_host(b, x)[i] + (factor == 0 ? 0 : (double)factor * (double)bed_host(b, y)[i]);
    bed_expect(b, y, wanted, 1e-7);
    free(wanted);
}

static inline void case_hadamard(bed *b)
{
    int64_t n = b->shape[0];
    float factor = 0.1f * (float)b->shape[1];
    float *x = bed_floats(b, n, 1), *y = bed_floats(b, n, 1), *z = factor == 0 ? bed_room(b, n) : bed_floats(b, n, 1);
    BED_CALL(b, b->device->ops->hadamard(b->device, n, x, y, factor, z));
    b->bytes = (factor == 0 ? 12.0 : 16.0) * (double)n;
    if (b->timed)
        return;
    double *wanted = bed_doubles(n);
    for (int64_t i = 0; i < n; i++)
        wanted[i] = (double)bed_host(b, x)[i] * (double)bed_host(b, y)[i] + (factor == 0 ? 0 : (double)factor * (double)bed_host(b, z)[i]);
    bed_expect(b, z, wanted, 1e-7);
    free(wanted);
}

static inline void case_add_row(bed *b)
{
    int64_t rows = b->shape[0], columns = b->shape[1];
    float *row = bed_floats(b, columns, 1), *x = bed_floats(b, rows * columns, 1);
    BED_CALL(b, b->device->ops->add_row(b->device, rows, columns, row, x));
    b->bytes = 8.0 * (double)(rows * columns);
    if (b->timed)
        return;
    double *wanted = bed_doubles(rows * columns);
    for (int64_t i = 0; i < rows * columns; i++)
        wanted[i] = (double)bed_host(b, x)[i] + (double)bed_host(b, row)[i % columns];
    bed_expect(b, x, wanted, 1e-7);
    free(wanted);
}

static inline void case_column_sum(bed *b)
{
    int64_t rows = b->shape[0], columns = b->shape[1];
    float factor = 0.1f * (float)b->shape[2];
    float *x = bed_floats(b, rows * columns, 1), *sum = factor == 0 ? bed_room(b, columns) : bed_floats(b, columns, 1);
    BED_CALL(b, b->device->ops->column_sum(b->device, rows, columns, x, factor, sum));
    b->bytes = 4.0 * (double)(rows * columns);
    if (b->timed)
        return;
    double *wanted = bed_doubles(columns);
    for (int64_t j = 0; j < columns; j++) {
        wanted[j] = factor == 0 ? 0 : (double)factor * (double)bed_host(b, sum)[j];
        for (int64_t i = 0; i < rows; i++)
            wanted[j] += (double)bed_host(b, x)[i * columns + j];
    }
    bed_expect(b, sum, wanted, 1e-6);
    free(wanted);
}

static inline void case_scale_rows(bed *b)
{
    int64_t rows = b->shape[0], columns = b->shape[1];
    float *scale = bed_floats(b, rows, 1), *x = bed_floats(b, rows * columns, 1);
    BED_CALL(b, b->device->ops->scale_rows(b->device, rows, columns, scale, x));
    b->bytes = 8.0 * (double)(rows * columns);
    if (b->timed)
        return;
    double *wanted = bed_doubles(rows * columns);
    for (int64_t i = 0; i < rows * columns; i++)
        wanted[i] = (double)bed_host(b, x)[i] * (double)bed_host(b, scale)[i / columns];
    bed_expect(b, x, wanted, 1e-7);
    free(wanted);
}

/* table: rows to gather from; indices from -1 */
static inline void case_gather_rows(bed *b)
{
    int64_t rows = b->shape[0], columns = b->shape[1], table = b->shape[2], ld_from = columns + b->shape[3], ld_to = columns + b->shape[4];
    float *from = bed_floats(b, table * ld_from, 1), *to = bed_room(b, rows * ld_to);
    int32_t *index = bed_integers(b, rows, -1, (int32_t)table - 1);
    BED_CALL(b, b->device->ops->gather_rows(b->device, rows, columns, from, ld_from, index, to, ld_to));
    b->bytes = 8.0 * (double)(rows * columns);
    if (b->timed)
        return;
    double *wanted = bed_doubles(rows * ld_to);
    for (int64_t i = 0; i < rows * ld_to; i++) {
        int32_t source = bed_host_integers(b, index)[i / ld_to];
        wanted[i] = i % ld_to >= columns ? NAN : source < 0 ? 0 : (double)bed_host(b, from)[source * ld_from + i % ld_to];
    }
    bed_expect(b, to, wanted, 0.5e-300);
    free(wanted);
}

static inline void case_scatter_add_rows(bed *b)
{
    int64_t rows = b->shape[0], columns = b->shape[1], table = b->shape[2], ld_from = columns + b->shape[3], ld_to = columns + b->shape[4];
    float *from = bed_floats(b, rows * ld_from, 1), *to = bed_floats(b, table * ld_to, 1);
    int32_t *index = bed_integers(b, rows, -1, (int32_t)table - 1);
    BED_CALL(b, b->device->ops->scatter_add_rows(b->device, rows, columns, from, ld_from, index, to, ld_to));
    b->bytes = 12.0 * (double)(rows * columns);
    if (b->timed)
        return;
    double *wanted = bed_doubles(table * ld_to);
    for (int64_t i = 0; i < table * ld_to; i++)
        wanted[i] = i % ld_to >= columns ? NAN : (double)bed_host(b, to)[i];
    for (int64_t i = 0; i < rows; i++)
        for (int64_t j = 0; j < columns && bed_host_integers(b, index)[i] >= 0; j++)
            wanted[bed_host_integers(b, index)[i] * ld_to + j] += (double)bed_host(b, from)[i * ld_from + j];
    bed_expect(b, to, wanted, 5e-7);
    free(wanted);
}

/* rows, heads, head size, pairs, positions, gap, sign */
static inline void case_rotate(bed *b)
{
    const int64_t *s = b->shape;
    int64_t rows = s[0], heads = s[1], head_size = s[2], half = s[3], positions = s[4], ld = heads * head_size + s[5];
    float sign = (float)s[6];
    float *host = malloc((size_t)(2 * positions * half) * sizeof *host + 1);
    for (int64_t i = 0; i < positions * half; i++) {
        double angle = (double)(i / half) * pow(10000, -(double)(i % half) / (double)half);
        host[i] = (float)cos(angle);
        host[positions * half + i] = (float)sin(angle);
    }
    size_t table = (size_t)(positions * half) * sizeof *host;
    float *x = bed_floats(b, rows * ld, 1), *cosine = bed_put(b, host, table), *sine = bed_put(b, host + positions * half, table);
    int32_t *position = bed_integers(b, rows, 0, (int32_t)positions - 1);
    BED_CALL(b, b->device->ops->rotate(b->device, rows, heads, head_size, half, position, cosine, sine, sign, x, ld));
    b->bytes = 16.0 * (double)(rows * heads * half);
    if (!b->timed) {
        double *wanted = bed_doubles(rows * ld);
        for (int64_t i = 0; i < rows * ld; i++) {
            int64_t column = i % ld, in_head = column % head_size, pair = in_head % (half > 0 ? half : 1);
            int64_t row = bed_host_integers(b, position)[i / ld] * half + pair;
            bool turned = column < heads * head_size && in_head < 2 * half, high = in_head >= half;
            double mine = (double)bed_host(b, x)[i], cos_ = turned ? (double)host[row] : 1,
                   sin_ = turned ? (double)host[positions * half + row] : 0;
            double mate = turned ? (double)bed_host(b, x)[high ? i - half : i + half] : 0;
            wanted[i] = turned ? mine * cos_ + (high ? 1 : -1) * (double)sign * mate * sin_ : NAN;
        }
        bed_expect(b, x, wanted, 1e-7);
        free(wanted);
    }
    free(host);
}

/* Symmetric problems: the residual, orthogonality and order say all; vectors are not unique. */
static inline void case_eigh(bed *b)
{
    int64_t batch = b->shape[0], n = b->shape[1];
    double *start = bed_doubles(batch * n * n), *root = bed_doubles(n * n);
    for (int64_t i = 0; i < batch; i++) {
        for (int64_t j = 0; j < n * n; j++)
            root[j] = vg_random_normal(7, VG_RANDOM_TEST, b->drawn++);
        for (int64_t j = 0; j < n * n; j++)
            start[i * n * n + j] = root[j] + root[j % n * n + j / n];
    }
    double *a = bed_put(b, start, (size_t)(batch * n * n) * sizeof *a), *w = bed_put(b, NULL, (size_t)(batch * n) * sizeof *w);
    BED_CALL(b, b->device->ops->eigh(b->device, batch, n, a, w));
    b->flops = 9.0 * (double)batch * (double)n * (double)n * (double)n;
    if (!b->timed) {
        double *vectors = bed_take(b, a), *values = bed_take(b, w), residual = 0, size = 0, skew = 0;
        for (int64_t i = 0; i < batch * n && b->judge; i++) {
            const double *problem = start + i / n * n * n, *v = vectors + i * n;
            bed_check(b, i % n == 0 || values[i] >= values[i - 1], "eigenvalues do not ascend");
            for (int64_t r = 0; r < n; r++) {
                double product = 0, dot = 0;
                for (int64_t c = 0; c < n; c++) {
                    product += problem[r * n + c] * v[c];
                    dot += vectors[(i / n * n + r) * n + c] * v[c];
                    size += problem[r * n + c] * problem[r * n + c] / (double)n;
                }
                residual += (product - values[i] * v[r]) * (product - values[i] * v[r]);
                skew = fmax(skew, fabs(dot - (r == i % n)));
            }
        }
        bed_error(b, size > 0 ? sqrt(residual / size) : 0, 1e-13);
        bed_error(b, skew, 1e-12);
        free(vectors);
        free(values);
    }
    free(start);
    free(root);
}

#endif
