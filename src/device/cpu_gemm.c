/* cpu_gemm: products and symmetric eigenproblems, by BLAS and LAPACK on one thread a piece. A product is cut into whole batch items
 * where these are small and into tiles of rows and columns where they are large; never along k, so no sum is split. */
#include <cblas.h>
#include <lapacke.h>

#include "cpu.h"

typedef struct {
    int64_t rows, columns; /* of a tile of c */
    int64_t items;         /* batch items of a piece; more than 1 only where a tile is the whole of c */
} tiling;

static int64_t pieces_of(const vg_gemm *g, tiling t)
{
    return (g->m + t.rows - 1) / t.rows * ((g->n + t.columns - 1) / t.columns) * ((g->batch + t.items - 1) / t.items);
}

/* From the shape alone. A tile's larger side is halved until there are FEW pieces, or MANY where tiles stay LARGE; no further, because BLAS
 * packs both operands anew for every tile (measured on one core: 2000 x 768 x 768 whole 198 GFLOP/s, in tiles of 512 x 512 183, of 128 x
 * 128 143). Small batch items are put together. */
static tiling choose_tiling(const vg_gemm *g)
{
    enum { FEW = 8, MANY = 32, LARGE = 512, LEAST = 128, UNIT = 16, SHORT = 1 << 20 };
    tiling t = {.rows = g->m, .columns = g->n, .items = 1};
    double work = (double)g->m * (double)g->n * (double)g->k;
    if (work < SHORT) {
        t.items = vg_min(g->batch, 1 + (int64_t)(SHORT / (work + 1)));
        return t;
    }
    for (int64_t pieces = g->batch; (double)t.rows * (double)t.columns * (double)g->k > SHORT; pieces = pieces_of(g, t)) {
        int64_t *side = t.rows > t.columns ? &t.rows : &t.columns, half = ((*side + 1) / 2 + UNIT - 1) / UNIT * UNIT;
        if (pieces >= MANY || (pieces >= FEW && *side <= LARGE) || half < LEAST)
            break;
        *side = half;
    }
    return t;
}

static void multiply(const vg_gemm *g, int64_t item, int64_t row, int64_t column, int64_t rows, int64_t columns)
{
    CBLAS_TRANSPOSE ta = g->transpose_a ? CblasTrans : CblasNoTrans, tb = g->transpose_b ? CblasTrans : CblasNoTrans;
    int64_t a = item * g->stride_a + (g->transpose_a ? row : row * g->lda);
    int64_t b = item * g->stride_b + (g->transpose_b ? column * g->ldb : column);
    int64_t c = item * g->stride_c + row * g->ldc + column;
    int m = (int)rows, n = (int)columns, k = (int)g->k, lda = (int)g->lda, ldb = (int)g->ldb, ldc = (int)g->ldc;
    if (g->type == VG_F32)
        cblas_sgemm(CblasRowMajor, ta, tb, m, n, k, (float)g->alpha, (const float *)g->a + a, lda, (const float *)g->b + b, ldb,
                    (float)g->beta, (float *)g->c + c, ldc);
    else
        cblas_dgemm(CblasRowMajor, ta, tb, m, n, k, g->alpha, (const double *)g->a + a, lda, (const double *)g->b + b, ldb, g->beta,
                    (double *)g->c + c, ldc);
}

static void zero_or_scale(const vg_gemm *g, int64_t item)
{
    for (int64_t i = 0; i < g->m; i++)
        for (int64_t j = 0; j < g->n; j++) {
            int64_t at = item * g->stride_c + i * g->ldc + j;
            if (g->type == VG_F32)
                ((float *)g->c)[at] = g->beta == 0 ? 0 : (float)g->beta * ((float *)g->c)[at];
            else
                ((double *)g->c)[at] = g->beta == 0 ? 0 : g->beta * ((double *)g->c)[at];
        }
}

vg_status vg_cpu_gemm(vg_device *d, const vg_gemm *asked)
{
    if (!vg_gemm_is_fine(asked))
        return vg_fail(VG_DEFECT, VG_GEMM_FAULT, VG_GEMM_NUMBERS(asked));
    vg_gemm joined = vg_gemm_joined(asked);
    const vg_gemm *g = &joined;
    if (g->m == 0 || g->n == 0 || g->batch == 0)
        return VG_OK;
    if (g->k == 0) {
        for (int64_t item = 0; item < g->batch; item++)
            zero_or_scale(g, item);
        return VG_OK;
    }
    tiling t = choose_tiling(g);
    int64_t across = (g->n + t.columns - 1) / t.columns, tiles = (g->m + t.rows - 1) / t.rows * across, pieces = pieces_of(g, t);
    double work = (double)g->m * (double)g->n * (double)g->k * (double)g->batch;
    VG_PARALLEL_UNEVEN(work)
    for (int64_t piece = 0; piece < pieces; piece++) {
        int64_t row = piece % tiles / across * t.rows, column = piece % tiles % across * t.columns, first = piece / tiles * t.items;
        for (int64_t item = first; item < vg_min(first + t.items, g->batch); item++)
            multiply(g, item, row, column, vg_min(t.rows, g->m - row), vg_min(t.columns, g->n - column));
    }
    ((vg_backend *)d->state)->flops += 2.0 * work;
    return VG_OK;
}

/* LAPACK's columns are our rows, and a symmetric matrix is its own transpose: no copy either way. */
vg_status vg_cpu_eigh(vg_device *d, int64_t batch, int64_t n, double *a, double *w)
{
    enum { LARGEST = 32766 }; /* dsyevd's workspace of 1 + 6 n + 2 n^2 numbers must be countable in 32 bits */
    if (batch < 0 || n < 0)
        return vg_fail(VG_DEFECT, "eigh: batch %lld, n %lld", (long long)batch, (long long)n);
    if (n > LARGEST)
        return vg_fail(VG_INVALID, "an eigenproblem of %lld rows; the largest that LAPACK takes is %d", (long long)n, LARGEST);
    if (n == 0)
        return VG_OK;
    int64_t failed = -1;
    lapack_int fault = 0;
    VG_PARALLEL_UNEVEN(batch * n * n * n)
    for (int64_t i = 0; i < batch; i++) {
        lapack_int info = LAPACKE_dsyevd(LAPACK_COL_MAJOR, 'V', 'U', (lapack_int)n, a + i * n * n, (lapack_int)n, w + i * n);
        if (info != 0)
#pragma omp critical(vg_eigh)
        {
            if (failed < 0 || i < failed) {
                failed = i;
                fault = info;
            }
        }
    }
    if (failed < 0)
        return VG_OK;
    if (fault == LAPACK_WORK_MEMORY_ERROR || fault == LAPACK_TRANSPOSE_MEMORY_ERROR)
        return vg_fail(VG_NO_MEMORY, "no memory for an eigenproblem: %.1f MB more are needed", 8e-6 * (double)(1 + 6 * n + 2 * n * n));
    return vg_fail(VG_DEFECT, "eigenproblem %lld of %lld (%lld rows): %s", (long long)failed, (long long)batch, (long long)n,
                   fault < 0 ? "the matrix holds a not-a-number" : "dsyevd did not converge");
}
