/* cpu_ridge: centring, moments, unions of segments and the choice of penalties on the CPU (encoding.md, "Ridge"). Every column (voxel) is
 * worked on alone and in a fixed order of rows, so any division of columns among threads gives the same bits. Sums are in double, through
 * loops that the compiler makes wide; the widest vectors of the processor are chosen when the program starts. */
#include <float.h>
#include <math.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>

#include "cpu.h"
#include "cpu_ridge.h"

enum {
    ACROSS = 256, /* columns that are centred together: long enough runs of memory */
    AHEAD = 4,    /* rows */
    LANES = 8,
    PIECE = 1024, /* numbers of a sum that one thread takes at a time, */
    BLOCK = 4,    /* and lanes of them that are added up together */
};

/* ---- a tile of responses, centred --------------------------------------------------------------------------------- */

static int64_t source_row(const vg_ridge_center *c, int64_t t)
{
    return c->order != NULL ? c->order[t] : t;
}

/* What is seen of columns on the way: dead are those that are all one number, or hold one that is none, or too large for `type`. */
typedef struct {
    double low[ACROSS], high[ACROSS];
    bool fine[ACROSS];
} range;

/* Asks for a row of the responses, which lie far apart in memory, a few rows before it is read. */
static inline void fetch(const vg_ridge_center *c, int64_t t, int64_t first, int64_t n)
{
    int64_t size = c->from == VG_F32 ? 4 : 8;
    const char *row = (const char *)c->y + (source_row(c, t) * c->ld + first) * size;
    for (int64_t byte = 0; byte < n * size; byte += 64)
        __builtin_prefetch(row + byte);
}

/* mean (n) of the rows of one segment; the rows are copied where they need not be converted. */
VG_CLONES static void copy_and_sum(const vg_ridge_center *c, int64_t s, int64_t first, int64_t n, double *mean, range *r)
{
    double row[ACROSS], sum[ACROSS] = {0};
    range seen = *r;
    for (int64_t t = c->begin[s]; t < c->begin[s + 1]; t++) {
        if (t + AHEAD < c->rows)
            fetch(c, t + AHEAD, first, n);
        load(c->from, c->y, source_row(c, t) * c->ld + first, n, row);
        for (int64_t v = 0; v < n; v++) {
            sum[v] += row[v];
            seen.low[v] = row[v] < seen.low[v] ? row[v] : seen.low[v];
            seen.high[v] = row[v] > seen.high[v] ? row[v] : seen.high[v];
        }
        if (c->from == c->type)
            store(c->type, c->centred, t * c->columns + first, n, row);
    }
    int64_t rows = c->begin[s + 1] - c->begin[s];
    for (int64_t v = 0; v < n; v++) {
        seen.fine[v] &= isfinite(sum[v]);
        mean[v] = rows > 0 ? sum[v] / (double)rows : 0.0;
    }
    *r = seen;
}

/* Takes the mean off the rows of one segment; gives the mean of what was rounded, and the sum of squares about it. */
VG_CLONES static void center_segment(const vg_ridge_center *c, int64_t s, int64_t first, int64_t n, const double *mean)
{
    double row[ACROSS], sum[ACROSS] = {0}, square[ACROSS] = {0};
    for (int64_t t = c->begin[s]; t < c->begin[s + 1]; t++) {
        if (c->from == c->type)
            load(c->type, c->centred, t * c->columns + first, n, row);
        else
            load(c->from, c->y, source_row(c, t) * c->ld + first, n, row);
        for (int64_t v = 0; v < n; v++)
            row[v] -= mean[v];
        store(c->type, c->centred, t * c->columns + first, n, row);
        load(c->type, c->centred, t * c->columns + first, n, row); /* rounded: a constant stays one exactly */
        for (int64_t v = 0; v < n; v++) {
            sum[v] += row[v];
            square[v] += row[v] * row[v];
        }
    }
    int64_t rows = c->begin[s + 1] - c->begin[s];
    for (int64_t v = 0; v < n; v++) {
        double left = rows > 0 ? sum[v] / (double)rows : 0.0; /* of rounding alone, so that nothing is lost below */
        double about = square[v] - left * sum[v];
        square[v] = about > 0 ? about : 0.0;
        sum[v] = mean[v] + left;
    }
    store(VG_F64, c->mean, s * c->columns + first, n, sum);
    store(VG_F64, c->square, s * c->columns + first, n, square);
}

/* Dead columns become 0 throughout. */
static void bury(const vg_ridge_center *c, int64_t first, int64_t n, const range *r)
{
    double limit = c->type == VG_F32 ? (double)FLT_MAX / 4 : DBL_MAX, nothing = 0;
    for (int64_t v = 0; v < n; v++) {
        bool dead = !r->fine[v] || r->low[v] == r->high[v] || r->low[v] < -limit || r->high[v] > limit;
        c->dead[first + v] = dead;
        for (int64_t t = 0; t < c->rows && dead; t++)
            store(c->type, c->centred, t * c->columns + first + v, 1, &nothing);
        for (int64_t s = 0; s < c->segments && dead; s++)
            c->mean[s * c->columns + first + v] = c->square[s * c->columns + first + v] = 0.0;
    }
}

vg_status vg_cpu_ridge_center(vg_device *d, const vg_ridge_center *c)
{
    VG_PARALLEL(c->rows * c->columns)
    for (int64_t first = 0; first < c->columns; first += ACROSS) {
        double mean[ACROSS];
        range r;
        int64_t n = vg_min(ACROSS, c->columns - first);
        for (int64_t v = 0; v < n; v++) {
            r.low[v] = INFINITY;
            r.high[v] = -INFINITY;
            r.fine[v] = true;
        }
        for (int64_t s = 0; s < c->segments; s++) {
            copy_and_sum(c, s, first, n, mean, &r);
            center_segment(c, s, first, n, mean);
        }
        bury(c, first, n, &r);
    }
    return VG_OK;
}

/* ---- spread of every held-out set ---------------------------------------------------------------------------------- */

/* A union of segments, and every segment's means (segments, columns). */
typedef struct {
    const int32_t *begin, *segment;
    int64_t count, columns;
    const double *mean;
} segment_union;

static int64_t rows_of(const segment_union *u, int64_t i)
{
    return u->begin[u->segment[i] + 1] - u->begin[u->segment[i]];
}

/* The means of columns first .. first + n - 1, and the number of rows. */
VG_CLONES static int64_t take_means(const segment_union *u, int64_t first, int64_t n, double *mean)
{
    int64_t rows = 0;
    memset(mean, 0, (size_t)n * sizeof *mean);
    for (int64_t i = 0; i < u->count; i++) {
        double here = (double)rows_of(u, i);
        const double *from = u->mean + u->segment[i] * u->columns + first;
        for (int64_t v = 0; v < n; v++)
            mean[v] += here * from[v];
        rows += rows_of(u, i);
    }
    for (int64_t v = 0; v < n; v++)
        mean[v] = rows > 0 ? mean[v] / (double)rows : 0.0;
    return rows;
}

/* And the sums of squares about them, from the segments' own (the parallel-variance formula of Chan, Golub & LeVeque 1983, eq. 2.1). */
VG_CLONES static int64_t pool(const segment_union *u, const double *squares, int64_t first, int64_t n, double *mean, double *square)
{
    int64_t rows = take_means(u, first, n, mean);
    memset(square, 0, (size_t)n * sizeof *square);
    for (int64_t i = 0; i < u->count; i++) {
        double here = (double)rows_of(u, i);
        const double *from = u->mean + u->segment[i] * u->columns + first, *spread = squares + u->segment[i] * u->columns + first;
        for (int64_t v = 0; v < n; v++)
            square[v] += spread[v] + here * (from[v] - mean[v]) * (from[v] - mean[v]);
    }
    return rows;
}

/* Values that are all one number leave no more than the rounding of their mean, squared; a float32 that differs leaves 1e-14. */
static bool is_constant(int64_t rows, double mean, double square)
{
    return square <= 1e-24 * (double)rows * mean * mean;
}

static void spread_columns(const vg_ridge_spread *s, int64_t set, int64_t first, int64_t n)
{
    double mean[ACROSS], square[ACROSS], train_mean[ACROSS], train_square[ACROSS];
    int64_t test = s->test_begin[set], train = s->train_begin[set];
    const segment_union held_out = {s->begin, s->test + test, s->test_begin[set + 1] - test, s->columns, s->mean};
    const segment_union training = {s->begin, s->train + train, s->train_begin[set + 1] - train, s->columns, s->mean};
    int64_t rows = pool(&held_out, s->square, first, n, mean, square);
    int64_t trained = pool(&training, s->square, first, n, train_mean, train_square);
    for (int64_t v = 0; v < n; v++) {
        int64_t at = set * s->columns + first + v;
        s->variance[at] = is_constant(rows, mean[v], square[v]) ? 0.0 : square[v];
        s->shift[at] = mean[v] - train_mean[v];
        s->constant[at] = is_constant(trained, train_mean[v], train_square[v]);
    }
}

vg_status vg_cpu_ridge_spread(vg_device *d, const vg_ridge_spread *s)
{
    VG_PARALLEL(s->sets * s->columns * s->segments)
    for (int64_t i = 0; i < s->sets; i++)
        for (int64_t first = 0; first < s->columns; first += ACROSS)
            spread_columns(s, i, first, vg_min(ACROSS, s->columns - first));
    return VG_OK;
}

/* ---- unions of segments ---------------------------------------------------------------------------------------------- */

typedef double lanes __attribute__((vector_size(64)));
typedef double loose_lanes __attribute__((vector_size(64), aligned(8), may_alias));
typedef float loose_floats __attribute__((vector_size(32), aligned(4), may_alias));

/* sum += by times a block of n numbers at x; one that is not whole is filled up in `part`. */
static inline void add_block(const double *x, int64_t n, double by, double *part, lanes *sum)
{
    if (n < BLOCK * LANES) {
        memcpy(part, x, (size_t)n * sizeof(double));
        x = part;
    }
    for (int k = 0; k < BLOCK; k++)
        sum[k] += by * *(const loose_lanes *)(x + k * LANES);
}

/* Columns first .. end - 1 of one row of the sum, block by block. */
VG_CLONES static void combine_piece(const vg_ridge_combine *c, int64_t row, int64_t first, int64_t end)
{
    double part[BLOCK * LANES] = {0};
    for (int64_t v = first; v < end; v += BLOCK * LANES) {
        lanes sum[BLOCK] = {{0}};
        int64_t n = vg_min(BLOCK * LANES, end - v);
        for (int64_t i = 0; i < c->terms; i++) {
            int64_t at = c->term[i] * c->stride + row * c->columns + v;
            if (c->type == VG_F32 && n == BLOCK * LANES) {
                const float *x = (const float *)c->x + at;
                for (int k = 0; k < BLOCK; k++)
                    sum[k] += __builtin_convertvector(*(const loose_floats *)(x + k * LANES), lanes);
            } else if (c->type == VG_F32) {
                load(VG_F32, c->x, at, n, part);
                add_block(part, BLOCK * LANES, 1.0, part, sum);
            } else {
                add_block((const double *)c->x + at, n, 1.0, part, sum);
            }
        }
        for (int64_t i = 0; i < c->segments; i++)
            add_block(c->mean + c->segment[i] * c->columns + v, n, c->apart[i * c->rows + row], part, sum);
        memcpy(part, sum, sizeof sum);
        store(c->to, c->out, row * c->columns + v, n, part);
    }
}

vg_status vg_cpu_ridge_combine(vg_device *d, const vg_ridge_combine *c)
{
    int64_t pieces = (c->columns + PIECE - 1) / PIECE; /* of a row */
    VG_PARALLEL(c->rows * c->columns * (c->terms + c->segments))
    for (int64_t i = 0; i < c->rows * pieces; i++) {
        int64_t first = i % pieces * PIECE;
        combine_piece(c, i / pieces, first, vg_min(first + PIECE, c->columns));
    }
    return VG_OK;
}

/* One row with the distance of its segment's mean from that of all. */
static inline void join_row(const vg_ridge_join *j, int64_t from, int64_t to, int64_t n, const double *shift)
{
    if (j->type == VG_F32) {
        const float *x = (const float *)j->centred + from;
        float *out = (float *)j->out + to;
        for (int64_t v = 0; v < n; v++)
            out[v] = (float)((double)x[v] + shift[v]);
    } else {
        const double *x = (const double *)j->centred + from;
        double *out = (double *)j->out + to;
        for (int64_t v = 0; v < n; v++)
            out[v] = x[v] + shift[v];
    }
}

VG_CLONES static void join_columns(const vg_ridge_join *j, int64_t first, int64_t n)
{
    double mean[ACROSS], shift[ACROSS];
    int64_t to = 0;
    const segment_union all = {j->begin, j->segment, j->segments, j->columns, j->mean};
    take_means(&all, first, n, mean);
    for (int64_t i = 0; i < j->segments; i++) {
        for (int64_t v = 0; v < n; v++)
            shift[v] = j->mean[j->segment[i] * j->columns + first + v] - mean[v];
        for (int64_t t = j->begin[j->segment[i]]; t < j->begin[j->segment[i] + 1]; t++, to++)
            join_row(j, t * j->columns + first, to * j->columns + first, n, shift);
    }
}

vg_status vg_cpu_ridge_join(vg_device *d, const vg_ridge_join *j)
{
    VG_PARALLEL(j->columns * ACROSS)
    for (int64_t first = 0; first < j->columns; first += ACROSS)
        join_columns(j, first, vg_min(ACROSS, j->columns - first));
    return VG_OK;
}

/* ---- the best penalty -------------------------------------------------------------------------------------------------- */

vg_status vg_cpu_ridge_choose(vg_device *d, const vg_ridge_choose *c)
{
    VG_PARALLEL(c->columns * c->penalties)
    for (int64_t v = 0; v < c->columns; v++) {
        double best = c->score[v], sign = c->smallest ? -1.0 : 1.0;
        for (int64_t a = 1; a < c->penalties; a++)
            best = sign * fmax(sign * best, sign * c->score[a * c->columns + v]);
        double enough = best - sign * c->equal * (c->smallest ? fabs(best) : 1.0);
        for (int64_t i = 0; i < c->penalties; i++) {
            int32_t a = c->ascending[i];
            if (sign * c->score[a * c->columns + v] >= sign * enough) {
                c->choice[v] = a;
                c->best[v] = c->score[a * c->columns + v];
                break;
            }
        }
    }
    return VG_OK;
}
