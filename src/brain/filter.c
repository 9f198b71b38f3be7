/* filter: slow drift out of responses, then z-scores; a tile (T, 16) of voxels at a time, in double. Every filter is linear, y - S y:
 *   high_pass, polynomial   S projects on an orthonormal basis Q (T, K): S = Q Q'. For high_pass Q is the mean and the discrete cosines
 *                           cos(pi (2 t + 1) k / (2 T)), k = 1 .. floor(2 T tr / seconds) (orthogonal as they stand; Ahmed et al. 1974)
 *   savgol                  S fits a polynomial of `order` in a window about each row (Savitzky & Golay 1964), P (w, order + 1) orthonormal
 * on the window: inner rows take the middle of P P', the first and last w / 2 rows that of the first and last whole window. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "voxgrad/brain.h"
#include "zscore.h"

struct vg_filter {
    vg_filter_kind kind;
    int64_t rows;
    int64_t window;  /* savgol: w, else rows */
    int64_t columns; /* of the basis */
    double *basis;   /* (window, columns) */
    double *middle;  /* savgol: (window) weights of an inner row */
};

/* ---- bases ---------------------------------------------------------------------------------------------------------------- */

static void cosine_basis(double *basis, int64_t rows, int64_t columns)
{
    for (int64_t t = 0; t < rows; t++)
        for (int64_t k = 0; k < columns; k++)
            basis[t * columns + k] =
                k == 0 ? sqrt(1.0 / (double)rows)
                       : sqrt(2.0 / (double)rows) * cos(M_PI * (double)((2 * t + 1) * k % (4 * rows)) / (double)(2 * rows));
}

/* Takes from column k its parts along earlier ones, twice (Giraud et al. 2005: twice is enough), and makes its length 1. */
static void orthonormalise(double *basis, int64_t rows, int64_t columns, int64_t k)
{
    for (int pass = 0; pass < 2; pass++)
        for (int64_t j = 0; j < k; j++) {
            double dot = 0;
            for (int64_t t = 0; t < rows; t++)
                dot += basis[t * columns + j] * basis[t * columns + k];
            for (int64_t t = 0; t < rows; t++)
                basis[t * columns + k] -= dot * basis[t * columns + j];
        }
    double square = 0;
    for (int64_t t = 0; t < rows; t++)
        square += basis[t * columns + k] * basis[t * columns + k];
    for (int64_t t = 0; t < rows; t++)
        basis[t * columns + k] /= sqrt(square);
}

/* Polynomials of degree 0 .. columns - 1, orthonormal on the rows (Vandermonde with Arnoldi; Brubeck, Nakatsukasa & Trefethen 2021). */
static void polynomial_basis(double *basis, int64_t rows, int64_t columns)
{
    for (int64_t k = 0; k < columns; k++) {
        for (int64_t t = 0; t < rows; t++) {
            double x = rows > 1 ? 2.0 * (double)t / (double)(rows - 1) - 1.0 : 0, *row = basis + t * columns;
            row[k] = k == 0 ? 1 : x * row[k - 1];
        }
        orthonormalise(basis, rows, columns, k);
    }
}

/* ---- making a filter ---------------------------------------------------------------------------------------------------------- */

static vg_status choose_shape(const vg_filter_options *options, double tr, vg_filter *filter)
{
    int64_t rows = filter->rows;
    bool timed = options->kind == VG_FILTER_HIGH_PASS || options->kind == VG_FILTER_SAVGOL;
    if (timed && !(options->seconds > 0 && isfinite(options->seconds)))
        return vg_fail(VG_INVALID, "a filter needs a time above 0 s, not %g", options->seconds);
    filter->window = rows;
    if (options->kind == VG_FILTER_HIGH_PASS) {
        double count = floor(2.0 * (double)rows * tr / options->seconds);
        filter->columns = 1 + (count < (double)rows ? (int64_t)count : rows);
    } else {
        if (options->order < 0)
            return vg_fail(VG_INVALID, "the order of a filter is negative (%lld)", (long long)options->order);
        filter->columns = 1 + (options->order < rows ? options->order : rows);
    }
    if (options->kind == VG_FILTER_SAVGOL) {
        double window = floor(options->seconds / tr + 0.5);
        filter->window = window <= (double)rows ? (int64_t)window | 1 : INT64_MAX;
        if (filter->window > rows)
            return vg_fail(VG_INVALID, "savgol: a window of %g s (%g rows) is longer than a run of %lld rows", options->seconds, window,
                           (long long)rows);
    }
    if (filter->columns >= filter->window)
        return vg_fail(VG_INVALID, "the filter takes %lld components out of %lld rows and leaves nothing; make it slower or the run longer",
                       (long long)filter->columns, (long long)filter->window);
    return VG_OK;
}

static vg_status make_basis(vg_filter *filter)
{
    int64_t size, w = filter->window, columns = filter->columns;
    VG_TRY(vg_multiply(w, columns, "a filter", &size));
    VG_TRY(VG_NEW(&filter->basis, size, "numbers of a filter"));
    if (filter->kind == VG_FILTER_HIGH_PASS)
        cosine_basis(filter->basis, w, columns);
    else
        polynomial_basis(filter->basis, w, columns);
    if (filter->kind != VG_FILTER_SAVGOL)
        return VG_OK;
    VG_TRY(VG_NEW(&filter->middle, w, "numbers of a filter"));
    const double *centre = filter->basis + w / 2 * columns;
    for (int64_t i = 0; i < w; i++)
        for (int64_t k = 0; k < columns; k++)
            filter->middle[i] += centre[k] * filter->basis[i * columns + k];
    return VG_OK;
}

vg_status vg_filter_create(const vg_filter_options *options, double tr, int64_t rows, vg_filter **filter)
{
    *filter = NULL;
    if (!(tr > 0 && isfinite(tr)) || rows < 1)
        return vg_fail(VG_INVALID, "a run needs rows and a TR above 0 s (%lld rows, TR %g s)", (long long)rows, tr);
    VG_TRY(VG_NEW(filter, 1, "filter"));
    (*filter)->kind = options->kind;
    (*filter)->rows = rows;
    vg_status status = options->kind == VG_FILTER_NONE ? VG_OK : choose_shape(options, tr, *filter);
    if (status == VG_OK && options->kind != VG_FILTER_NONE)
        status = make_basis(*filter);
    if (status != VG_OK) {
        vg_filter_free(*filter);
        *filter = NULL;
    }
    return status;
}

void vg_filter_free(vg_filter *filter)
{
    if (filter == NULL)
        return;
    free(filter->basis);
    free(filter->middle);
    free(filter);
}

/* ---- applying it: y and smooth are tiles (rows, VG_TILE) ------------------------------------------------------------------------ */

/* smooth = Q Q' y on `rows` rows of the basis; c (columns, VG_TILE) is scratch. */
static void project(const vg_filter *filter, const double *y, double *smooth, double *c, int64_t first, int64_t count)
{
    int64_t rows = filter->window, columns = filter->columns;
    memset(c, 0, (size_t)(columns * VG_TILE) * sizeof *c);
    for (int64_t t = 0; t < rows; t++)
        for (int64_t k = 0; k < columns; k++)
            for (int v = 0; v < VG_TILE; v++)
                c[k * VG_TILE + v] += filter->basis[t * columns + k] * y[t * VG_TILE + v];
    memset(smooth + first * VG_TILE, 0, (size_t)(count * VG_TILE) * sizeof *smooth);
    for (int64_t t = first; t < first + count; t++)
        for (int64_t k = 0; k < columns; k++)
            for (int v = 0; v < VG_TILE; v++)
                smooth[t * VG_TILE + v] += filter->basis[t * columns + k] * c[k * VG_TILE + v];
}

static void savgol(const vg_filter *filter, const double *y, double *smooth, double *c)
{
    int64_t w = filter->window, half = w / 2, last = filter->rows - w;
    project(filter, y, smooth, c, 0, half);
    project(filter, y + last * VG_TILE, smooth + last * VG_TILE, c, half + 1, half);
    for (int64_t t = half; t < filter->rows - half; t++) {
        double sum[VG_TILE] = {0};
        for (int64_t i = 0; i < w; i++)
            for (int v = 0; v < VG_TILE; v++)
                sum[v] += filter->middle[i] * y[(t - half + i) * VG_TILE + v];
        memcpy(smooth + t * VG_TILE, sum, sizeof sum);
    }
}

/* The mean of each column goes first, so that what a filter keeps is not lost beside it. */
static void take_means(double *y, int64_t rows)
{
    double mean[VG_TILE] = {0};
    for (int64_t t = 0; t < rows; t++)
        for (int v = 0; v < VG_TILE; v++)
            mean[v] += y[t * VG_TILE + v];
    for (int64_t t = 0; t < rows; t++)
        for (int v = 0; v < VG_TILE; v++)
            y[t * VG_TILE + v] -= mean[v] / (double)rows;
}

static void filter_tile(const vg_filter *filter, double *y, double *smooth, double *c)
{
    if (filter->kind == VG_FILTER_NONE)
        return;
    take_means(y, filter->rows); /* every filter but none keeps the mean, so taking it changes nothing but the rounding */
    if (filter->kind == VG_FILTER_SAVGOL)
        savgol(filter, y, smooth, c);
    else
        project(filter, y, smooth, c, 0, filter->rows);
    for (int64_t i = 0; i < filter->rows * VG_TILE; i++)
        y[i] -= smooth[i];
}

void vg_zscore_tile(double *tile, int64_t rows, const double *largest)
{
    double square[VG_TILE] = {0}, scale[VG_TILE];
    take_means(tile, rows);
    for (int64_t t = 0; t < rows; t++)
        for (int v = 0; v < VG_TILE; v++)
            square[v] += tile[t * VG_TILE + v] * tile[t * VG_TILE + v];
    for (int v = 0; v < VG_TILE; v++) {
        double deviation = sqrt(square[v] / (double)rows);
        scale[v] = deviation <= 1e-10 * largest[v] ? 0 : 1 / deviation;
    }
    for (int64_t t = 0; t < rows; t++)
        for (int v = 0; v < VG_TILE; v++)
            tile[t * VG_TILE + v] *= scale[v];
}

/* Columns v .. of run into the tile (the rest of it 0), a column with a value that is not finite all NaN; their largest absolute values. */
static int64_t load_tile(vg_matrix run, int64_t v, double *tile, double *largest)
{
    int64_t width = run.columns - v < VG_TILE ? run.columns - v : VG_TILE;
    bool broken[VG_TILE] = {false};
    for (int i = 0; i < VG_TILE; i++)
        largest[i] = 0;
    for (int64_t t = 0; t < run.rows; t++)
        for (int i = 0; i < VG_TILE; i++) {
            double value = i < width ? (double)run.data[t * run.ld + v + i] : 0;
            tile[t * VG_TILE + i] = value;
            broken[i] = broken[i] || !isfinite(value);
            largest[i] = fabs(value) > largest[i] ? fabs(value) : largest[i];
        }
    for (int i = 0; i < width; i++)
        for (int64_t t = 0; broken[i] && t < run.rows; t++)
            tile[t * VG_TILE + i] = NAN;
    return width;
}

static void store_tile(const double *tile, vg_matrix out, int64_t v, int64_t width)
{
    for (int64_t t = 0; t < out.rows; t++)
        for (int64_t i = 0; i < width; i++)
            out.data[t * out.ld + v + i] = (float)tile[t * VG_TILE + i];
}

vg_status vg_filter_apply(const vg_filter *filter, vg_matrix run, const int64_t trim[2], bool standardize, vg_matrix out)
{
    if (trim[0] < 0 || trim[1] < 0 || trim[1] > filter->rows || trim[0] >= filter->rows - trim[1])
        return vg_fail(VG_INVALID, "trim [%lld, %lld] leaves nothing of a run of %lld rows", (long long)trim[0], (long long)trim[1],
                       (long long)filter->rows);
    if (run.rows != filter->rows || out.columns != run.columns || out.rows != run.rows - trim[0] - trim[1])
        return vg_fail(VG_INVALID, "a filter for %lld rows cannot turn %lld x %lld into %lld x %lld", (long long)filter->rows,
                       (long long)run.rows, (long long)run.columns, (long long)out.rows, (long long)out.columns);
    int64_t tiles = (run.columns + VG_TILE - 1) / VG_TILE, scratch = (2 * filter->rows + filter->columns) * VG_TILE;
    bool failed = false;
#pragma omp parallel
    {
        double *y = NULL, largest[VG_TILE];
        if (VG_NEW(&y, scratch, "numbers of a tile of voxels") != VG_OK) {
#pragma omp atomic write
            failed = true;
        }
#pragma omp for schedule(static)
        for (int64_t i = 0; i < tiles; i++) {
            if (y == NULL)
                continue;
            int64_t width = load_tile(run, i * VG_TILE, y, largest);
            filter_tile(filter, y, y + filter->rows * VG_TILE, y + 2 * filter->rows * VG_TILE);
            double *kept = y + trim[0] * VG_TILE;
            if (standardize)
                vg_zscore_tile(kept, out.rows, largest);
            store_tile(kept, out, i * VG_TILE, width);
        }
        free(y);
    }
    if (failed)
        return vg_fail(VG_NO_MEMORY, "no memory for a tile of voxels: %.1f MB a thread are needed", (double)scratch * 8e-6);
    return VG_OK;
}

vg_status vg_standardize(vg_matrix m)
{
    if (m.rows < 1)
        return vg_fail(VG_INVALID, "nothing to standardise: no rows");
    vg_filter none = {.kind = VG_FILTER_NONE, .rows = m.rows};
    return vg_filter_apply(&none, m, (const int64_t[2]){0, 0}, true, m);
}
