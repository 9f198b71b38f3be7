/* cpu_score: the scores of all penalties on the CPU (encoding.md, "Ridge", 4), from products of held-out rows or from pairs of directions.
 * Every column (voxel) is worked on alone and in a fixed order of rows, so any division of columns among threads gives the same bits.
 * Groups of COLUMNS neighbours share one pass, in double. */
#include <math.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>

#include "cpu.h"
#include "cpu_ridge.h"

enum {
    COLUMNS = 64, /* of a group whose scores are made together */
    ROWS = 8,     /* of it that are folded at a time */
};

/* ---- scores of all penalties ------------------------------------------------------------------------------------------- */

/* What one thread works with: `padded` vectors a column (the products, the responses as the last one, zeros up to a multiple of 4),
 * ROWS rows of them, and their Gram, element (j, l), j <= l, at gram[(j * padded + l) * COLUMNS]. */
typedef struct {
    int64_t vectors, padded;
    double *packed, *gram;
} folding;

static void pack(const vg_ridge_score *s, int64_t row, int64_t rows, int64_t first, int64_t n, folding *f)
{
    for (int64_t j = 0; j < f->vectors; j++) {
        const void *from = j < s->rank ? s->products : s->y;
        int64_t at = ((j < s->rank ? j * s->rows : 0) + row) * s->columns + first;
        for (int64_t i = 0; i < rows; i++)
            load(s->type, from, at + i * s->columns, n, f->packed + (j * ROWS + i) * COLUMNS);
    }
}

typedef double lanes __attribute__((vector_size(64)));
enum { LANES = 8 };

/* gram += packed' packed, four vectors against four, 8 columns at a time. */
VG_CLONES static void fold(int64_t rows, const folding *f)
{
    for (int64_t jb = 0; jb < f->padded; jb += 4) {
        for (int64_t lb = jb; lb < f->padded; lb += 4) {
            for (int64_t v = 0; v < COLUMNS; v += LANES) {
                lanes sum[4][4], a[4], b[4];
                for (int j = 0; j < 4; j++)
                    for (int l = 0; l < 4; l++)
                        sum[j][l] = *(const lanes *)(f->gram + ((jb + j) * f->padded + lb + l) * COLUMNS + v);
                for (int64_t i = 0; i < rows; i++) {
                    for (int j = 0; j < 4; j++) {
                        a[j] = *(const lanes *)(f->packed + ((jb + j) * ROWS + i) * COLUMNS + v);
                        b[j] = *(const lanes *)(f->packed + ((lb + j) * ROWS + i) * COLUMNS + v);
                    }
                    for (int j = 0; j < 4; j++)
                        for (int l = 0; l < 4; l++)
                            sum[j][l] += a[j] * b[l];
                }
                for (int j = 0; j < 4; j++)
                    for (int l = 0; l < 4; l++)
                        *(lanes *)(f->gram + ((jb + j) * f->padded + lb + l) * COLUMNS + v) = sum[j][l];
            }
        }
    }
}

/* c b, c Q c and c o of one penalty for a group of columns; c (rank) of every column lies at c + j * stride_j + v * stride_v. */
typedef struct {
    double cross[COLUMNS], size[COLUMNS], offset[COLUMNS];
} predicted;

VG_CLONES static void predict(const vg_ridge_score *s, const folding *f, const double *offset, const double *c, bool one, predicted *p)
{
    memset(p, 0, sizeof *p);
    for (int64_t j = 0; j < s->rank; j++) {
        const double *gram = f->gram + j * f->padded * COLUMNS, *cj = c + j * COLUMNS;
        double inner[COLUMNS];
        for (int64_t v = 0; v < COLUMNS; v++)
            inner[v] = (one ? c[j] : cj[v]) * gram[j * COLUMNS + v];
        for (int64_t l = j + 1; l < s->rank; l++)
            for (int64_t v = 0; v < COLUMNS; v++)
                inner[v] += 2.0 * (one ? c[l] : c[l * COLUMNS + v]) * gram[l * COLUMNS + v];
        for (int64_t v = 0; v < COLUMNS; v++) {
            double here = one ? c[j] : cj[v];
            p->size[v] += here * inner[v];
            p->cross[v] += here * gram[s->rank * COLUMNS + v];
            p->offset[v] += here * offset[j * COLUMNS + v];
        }
    }
}

static double correlation_of(double cross, double size, double variance)
{
    double scale = sqrt(size * variance);
    return scale > 0 ? cross / scale : 0.0;
}

/* Adds what one penalty scores to row `a` of the results. */
static void add_scores(const vg_ridge_score *s, const predicted *p, int64_t a, int64_t first, int64_t n)
{
    double held_out = (double)s->held_out, root = sqrt(held_out);
    for (int64_t v = 0; v < n; v++) {
        double variance = s->variance[first + v], use = s->constant[first + v] ? 0.0 : 1.0;
        if (s->correlation != NULL)
            s->correlation[a * s->columns + first + v] += s->weight * correlation_of(use * p->cross[v], p->size[v], variance);
        if (s->loss == NULL)
            continue;
        double shift = s->shift[first + v];
        double error = variance + held_out * shift * shift +
                       use * (p->size[v] + p->offset[v] * p->offset[v] - 2.0 * (p->cross[v] + root * shift * p->offset[v]));
        if (s->by_fold)
            error = variance > 0 ? s->weight * error / variance : s->weight;
        s->loss[a * s->columns + first + v] += error;
    }
}

static void add_totals(const vg_ridge_score *s, int64_t first, int64_t n)
{
    for (int64_t v = first; v < first + n; v++)
        s->total[v] += s->variance[v] + (double)s->held_out * s->shift[v] * s->shift[v];
}

static void score_group(const vg_ridge_score *s, int64_t first, folding *f, double *offset, double *chosen)
{
    int64_t n = vg_min(COLUMNS, s->columns - first);
    predicted p;
    memset(f->gram, 0, (size_t)(f->padded * f->padded * COLUMNS) * sizeof(double));
    for (int64_t row = 0; row < s->rows; row += ROWS) {
        int64_t rows = vg_min(ROWS, s->rows - row);
        pack(s, row, rows, first, n, f);
        fold(rows, f);
    }
    for (int64_t j = 0; s->loss != NULL && j < s->rank; j++)
        load(s->type, s->offset, j * s->columns + first, n, offset + j * COLUMNS);
    if (s->choice == NULL) {
        for (int64_t a = 0; a < s->penalties; a++) {
            predict(s, f, offset, s->coefficient + a * s->rank, true, &p);
            add_scores(s, &p, a, first, n);
        }
    } else {
        for (int64_t j = 0; j < s->rank; j++)
            for (int64_t v = 0; v < n; v++)
                chosen[j * COLUMNS + v] = s->coefficient[s->choice[first + v] * s->rank + j];
        predict(s, f, offset, chosen, false, &p);
        add_scores(s, &p, 0, first, n);
    }
    if (s->loss != NULL && !s->by_fold)
        add_totals(s, first, n);
}

vg_status vg_cpu_ridge_score(vg_device *d, const vg_ridge_score *s)
{
    int64_t vectors = s->rank + 1, padded = (vectors + 3) / 4 * 4;
    int64_t packed = padded * ROWS * COLUMNS, gram = padded * padded * COLUMNS, small = s->rank * COLUMNS;
    double *scratch;
    VG_TRY(VG_NEW(&scratch, (packed + gram + 2 * small) * d->threads, "numbers of ridge scores"));
#pragma omp parallel num_threads(d->threads) if (s->columns > COLUMNS && d->threads > 1)
    {
        double *mine = scratch + (packed + gram + 2 * small) * omp_get_thread_num();
        folding f = {vectors, padded, mine, mine + packed};
#pragma omp for schedule(static)
        for (int64_t first = 0; first < s->columns; first += COLUMNS)
            score_group(s, first, &f, mine + packed + gram, mine + packed + gram + small);
    }
    free(scratch);
    return VG_OK;
}

/* ---- scores of all penalties from directions ------------------------------------------------------------------------------ */

enum { PARTS = 4, AT_ONCE = 4 }; /* products a direction; penalties that share one reading of them */

/* u (n, PARTS, LANES) of columns first .. first + lanes - 1: z far, z near, z held, z lean. */
static void make_parts(const vg_ridge_quadratic *q, int64_t first, int64_t count, double *u)
{
    for (int64_t i = 0; i < q->directions; i++, u += PARTS * LANES) {
        const double *z = q->z + i * q->score.columns + first, *far = q->far + i * q->score.columns + first;
        const double *held = q->held + i * q->score.columns + first;
        const double *near = q->near != NULL ? q->near + i * q->score.columns + first : NULL;
        for (int64_t v = 0; v < LANES; v++) {
            double here = v < count ? z[v] : 0.0;
            u[v] = v < count ? 2.0 * here * far[v] : 0.0;
            u[LANES + v] = near == NULL ? q->diagonal[i] * here * here : v < count ? here * near[v] : 0.0;
            u[2 * LANES + v] = v < count ? here * held[v] : 0.0;
            u[3 * LANES + v] = q->lean[i] * here;
        }
    }
}

typedef struct {
    lanes cross[AT_ONCE], size[AT_ONCE], offset[AT_ONCE];
} contracted;

/* Of AT_ONCE penalties: d and e (n) each. */
VG_CLONES static void contract(int64_t n, const double *u, const double *const *d, const double *const *e, contracted *out)
{
    contracted sum = {0};
    for (int64_t i = 0; i < n; i++) {
        const lanes *part = (const lanes *)(u + i * PARTS * LANES);
        for (int a = 0; a < AT_ONCE; a++) {
            sum.size[a] += e[a][i] * part[0] + (d[a][i] * d[a][i]) * part[1];
            sum.cross[a] += d[a][i] * part[2];
            sum.offset[a] += d[a][i] * part[3];
        }
    }
    *out = sum;
}

/* Of one column's own penalty. */
static void contract_one(int64_t n, const double *u, const double *d, const double *e, double *cross, double *size, double *offset)
{
    *cross = *size = *offset = 0;
    for (int64_t i = 0; i < n; i++, u += PARTS * LANES) {
        *size += e[i] * u[0] + d[i] * d[i] * u[LANES];
        *cross += d[i] * u[2 * LANES];
        *offset += d[i] * u[3 * LANES];
    }
}

static void score_chosen(const vg_ridge_quadratic *q, int64_t first, int64_t count, const double *u)
{
    predicted p;
    for (int64_t v = 0; v < count; v++) {
        int64_t at = q->score.choice[first + v] * q->directions;
        contract_one(q->directions, u + v, q->filter + at, q->slope + at, &p.cross[v], &p.size[v], &p.offset[v]);
    }
    add_scores(&q->score, &p, 0, first, count);
}

static void score_directions(const vg_ridge_quadratic *q, int64_t first, int64_t count, double *u)
{
    int64_t n = q->directions;
    make_parts(q, first, count, u);
    if (q->score.choice != NULL) {
        score_chosen(q, first, count, u);
        return;
    }
    for (int64_t a = 0; a < q->score.penalties; a += AT_ONCE) {
        const double *d[AT_ONCE], *e[AT_ONCE];
        contracted sums;
        predicted p;
        for (int64_t i = 0; i < AT_ONCE; i++) {
            int64_t which = vg_min(a + i, q->score.penalties - 1);
            d[i] = q->filter + which * n;
            e[i] = q->slope + which * n;
        }
        contract(n, u, d, e, &sums);
        for (int64_t i = 0; i < AT_ONCE && a + i < q->score.penalties; i++) {
            memcpy(p.cross, &sums.cross[i], sizeof sums.cross[i]);
            memcpy(p.size, &sums.size[i], sizeof sums.size[i]);
            memcpy(p.offset, &sums.offset[i], sizeof sums.offset[i]);
            add_scores(&q->score, &p, a + i, first, count);
        }
    }
}

vg_status vg_cpu_ridge_quadratic(vg_device *d, const vg_ridge_quadratic *q)
{
    double *scratch;
    int64_t each = (q->directions + 1) * PARTS * LANES;
    VG_TRY(VG_NEW(&scratch, each * d->threads, "numbers of ridge scores"));
#pragma omp parallel num_threads(d->threads) if (q->score.columns > COLUMNS && d->threads > 1)
    {
        double *mine = scratch + each * omp_get_thread_num();
#pragma omp for schedule(static)
        for (int64_t first = 0; first < q->score.columns; first += LANES) {
            int64_t count = vg_min(LANES, q->score.columns - first);
            score_directions(q, first, count, mine);
            if (q->score.loss != NULL && !q->score.by_fold)
                add_totals(&q->score, first, count);
        }
    }
    free(scratch);
    return VG_OK;
}
