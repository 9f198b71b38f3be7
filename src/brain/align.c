/* align: from rows of words to the design of a run. A sparse operator W (grid rows, words) brings words to volumes - mean, sum, lanczos, or
 * a response function - and delayed copies are cut from the grid; both a tile of features at a time, in double. Lanczos: w(x) = sinc(x)
 * sinc(x / 3), |x| < 3 TRs (Duchon 1979); SPM and Glover: vg_hrf_value. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "voxgrad/brain.h"
#include "zscore.h"

static const double lanczos_window = 3, hrf_seconds = 32;

/* Rows first .. first + rows - 1 of the TR grid; row g takes the words word[begin[g]] .. with their weights, over divisor[g]. */
typedef struct {
    int64_t first, rows;
    int64_t *begin; /* (rows + 1) */
    int64_t *word;
    double *weight;
    double *divisor; /* (rows); 0: silent */
} word_operator;

/* ---- the words' moments ------------------------------------------------------------------------------------------------------- */

static double moment_of(double onset, double offset, vg_anchor anchor)
{
    return anchor == VG_ANCHOR_ONSET ? onset : anchor == VG_ANCHOR_OFFSET ? offset : onset + (offset - onset) / 2;
}

double vg_hrf_value(vg_hrf hrf, double t)
{
    if (!(t > 0 && t <= hrf_seconds))
        return 0;
    if (hrf == VG_HRF_SPM) /* t^5 e^-t / 5! - t^15 e^-t / 15! / 6 */
        return exp(5 * log(t) - t) / 120 - exp(15 * log(t) - t) / 1307674368000.0 / 6;
    if (hrf == VG_HRF_GLOVER)
        return pow(t / 5.4, 6) * exp(-(t - 5.4) / 0.9) - 0.35 * pow(t / 10.8, 12) * exp(-(t - 10.8) / 0.9);
    return 0;
}

static double lanczos(double x)
{
    if (x == 0)
        return 1;
    return fabs(x) < lanczos_window ? lanczos_window * sin(M_PI * x) * sin(M_PI * x / lanczos_window) / (M_PI * M_PI * x * x) : 0;
}

/* The weight of a word at `moment` in grid row r. */
static double weight_of(const vg_align_options *options, double moment, int64_t r)
{
    double position = (moment - options->start) / options->tr;
    if (options->hrf != VG_HRF_NONE)
        return vg_hrf_value(options->hrf, options->start + (double)r * options->tr - moment);
    if (options->downsample == VG_DOWNSAMPLE_LANCZOS)
        return lanczos(position - ((double)r + 0.5));
    return floor(position) == (double)r;
}

/* Grid rows that a word may touch: [*from, *to), within the grid; generous, since weight_of decides. */
static void reach(const vg_align_options *options, const word_operator *grid, double moment, int64_t *from, int64_t *to)
{
    double row = floor((moment - options->start) / options->tr);
    double before = options->downsample == VG_DOWNSAMPLE_LANCZOS ? lanczos_window + 1 : 0, after = before;
    if (options->hrf != VG_HRF_NONE) {
        before = 1;
        after = ceil(hrf_seconds / options->tr) + 1;
    }
    double first = (double)grid->first, last = (double)(grid->first + grid->rows - 1);
    double low = fmax(row - before, first), high = fmin(row + after, last);
    *from = low <= high ? (int64_t)low : 0;
    *to = low <= high ? (int64_t)high + 1 : 0;
}

/* ---- the operator ---------------------------------------------------------------------------------------------------------------- */

static void free_operator(word_operator *grid)
{
    free(grid->begin);
    free(grid->word);
    free(grid->weight);
    free(grid->divisor);
}

/* Counts (fill = false) or writes the entries of each grid row, words in their order. */
static void visit(const vg_align_options *options, word_operator *grid, const double *moments, int64_t words, bool fill)
{
    for (int64_t n = 0; n < words; n++) {
        int64_t from, to;
        reach(options, grid, moments[n], &from, &to);
        for (int64_t r = from; r < to; r++) {
            double weight = weight_of(options, moments[n], r);
            int64_t g = r - grid->first;
            if (weight == 0)
                continue;
            if (fill) {
                grid->word[grid->begin[g]] = n;
                grid->weight[grid->begin[g]] = weight;
            }
            grid->begin[g]++;
        }
    }
}

/* Turns counts into places, or, after filling, ends of rows into their beginnings. */
static int64_t sum_counts(int64_t *begin, int64_t rows)
{
    int64_t total = 0;
    for (int64_t g = 0; g < rows; g++) {
        int64_t count = begin[g];
        begin[g] = total;
        total += count;
    }
    return begin[rows] = total;
}

static double divisor_of(const vg_align_options *options, const double *weights, int64_t count)
{
    double sum = 0, absolute = 0;
    for (int64_t i = 0; i < count; i++) {
        sum += weights[i];
        absolute += fabs(weights[i]);
    }
    if (options->hrf != VG_HRF_NONE || options->downsample == VG_DOWNSAMPLE_SUM)
        return count > 0;
    if (options->downsample == VG_DOWNSAMPLE_LANCZOS)
        return sum > absolute / 2 ? sum : 0;
    return sum;
}

static vg_status make_operator(const vg_align_options *options, const double *moments, int64_t words, word_operator *grid)
{
    VG_TRY(VG_NEW(&grid->begin, grid->rows + 1, "rows of the TR grid"));
    VG_TRY(VG_NEW(&grid->divisor, grid->rows, "rows of the TR grid"));
    visit(options, grid, moments, words, false);
    int64_t total = sum_counts(grid->begin, grid->rows);
    VG_TRY(VG_NEW(&grid->word, total, "words of the TR grid"));
    VG_TRY(VG_NEW(&grid->weight, total, "words of the TR grid"));
    visit(options, grid, moments, words, true);
    memmove(grid->begin + 1, grid->begin, (size_t)grid->rows * sizeof *grid->begin);
    grid->begin[0] = 0;
    for (int64_t g = 0; g < grid->rows; g++)
        grid->divisor[g] = divisor_of(options, grid->weight + grid->begin[g], grid->begin[g + 1] - grid->begin[g]);
    return VG_OK;
}

/* Features first .. first + VG_TILE - 1 (0 beyond the last) on the grid: out (grid rows, VG_TILE). */
static void apply_operator(const word_operator *grid, vg_matrix features, int64_t first, double *out)
{
    int64_t width = features.columns - first < VG_TILE ? features.columns - first : VG_TILE;
    for (int64_t g = 0; g < grid->rows; g++) {
        double *row = out + g * VG_TILE;
        memset(row, 0, VG_TILE * sizeof *row);
        if (grid->divisor[g] == 0)
            continue;
        for (int64_t i = grid->begin[g]; i < grid->begin[g + 1]; i++) {
            const float *word = features.data + grid->word[i] * features.ld + first;
            for (int64_t j = 0; j < width; j++)
                row[j] += grid->weight[i] * (double)word[j];
        }
        for (int64_t j = 0; j < width; j++)
            row[j] /= grid->divisor[g];
    }
}

/* ---- the design -------------------------------------------------------------------------------------------------------------------- */

/* Without an HRF the delays; with one a single copy that is not delayed. */
static int64_t copies(const vg_align_options *options, const int64_t **delays)
{
    static const int64_t none = 0;
    *delays = options->hrf == VG_HRF_NONE ? options->delays : &none;
    return options->hrf == VG_HRF_NONE ? options->delay_count : 1;
}

int64_t vg_align_columns(const vg_align_options *options, int64_t features)
{
    const int64_t *delays;
    return features * copies(options, &delays);
}

static vg_status check_delays(const vg_align_options *options, int64_t *longest)
{
    const int64_t *delays;
    int64_t count = copies(options, &delays);
    *longest = 0;
    if (count < 1)
        return vg_fail(VG_INVALID, "delays: at least one is needed (0 for none)");
    for (int64_t k = 0; k < count; k++) {
        if (delays[k] < 0)
            return vg_fail(VG_INVALID, "delays: %lld is negative", (long long)delays[k]);
        if (delays[k] >= options->rows)
            return vg_fail(VG_INVALID, "delays: %lld rows are no shorter than the run (%lld rows)", (long long)delays[k],
                           (long long)options->rows);
        for (int64_t i = 0; i < k; i++)
            if (delays[i] == delays[k])
                return vg_fail(VG_INVALID, "delays: %lld stands there twice", (long long)delays[k]);
        *longest = delays[k] > *longest ? delays[k] : *longest;
    }
    return VG_OK;
}

static vg_status check(vg_matrix features, const vg_align_options *options, vg_matrix design)
{
    const int64_t *trim = options->trim;
    if (!(options->tr > 0 && isfinite(options->tr)) || !isfinite(options->start))
        return vg_fail(VG_INVALID, "alignment: the TR must be above 0 s and the start a number (TR %g s, start %g s)", options->tr,
                       options->start);
    if (features.rows < 1 || features.columns < 1)
        return vg_fail(VG_INVALID, "alignment: there are no words or no features");
    if (trim[0] < 0 || trim[1] < 0 || trim[1] > options->rows || trim[0] >= options->rows - trim[1])
        return vg_fail(VG_INVALID, "trim [%lld, %lld] leaves nothing of a run of %lld rows", (long long)trim[0], (long long)trim[1],
                       (long long)options->rows);
    int64_t rows = options->rows - trim[0] - trim[1];
    if (design.rows != rows || design.columns != vg_align_columns(options, features.columns))
        return vg_fail(VG_INVALID, "alignment: the design is %lld x %lld, not %lld x %lld", (long long)rows,
                       (long long)vg_align_columns(options, features.columns), (long long)design.rows, (long long)design.columns);
    for (int64_t n = 0; n < features.rows; n++)
        for (int64_t j = 0; j < features.columns; j++)
            if (!isfinite(features.data[n * features.ld + j]))
                return vg_fail(VG_INVALID, "features: column %lld of word %lld is not finite", (long long)j + 1, (long long)n + 1);
    return VG_OK;
}

/* A tile of features on the grid -> their columns of the design, delay by delay. */
static void cut_delays(const vg_align_options *options, const word_operator *grid, const double *tile, double *cut, int64_t first,
                       int64_t features, vg_matrix design)
{
    const int64_t *delays;
    int64_t count = copies(options, &delays), width = features - first < VG_TILE ? features - first : VG_TILE;
    for (int64_t k = 0; k < count; k++) {
        const double *from = tile + (options->trim[0] - delays[k] - grid->first) * VG_TILE;
        memcpy(cut, from, (size_t)(design.rows * VG_TILE) * sizeof *cut);
        double largest[VG_TILE] = {0};
        for (int64_t t = 0; t < design.rows; t++)
            for (int j = 0; j < VG_TILE; j++)
                largest[j] = fmax(largest[j], fabs(cut[t * VG_TILE + j]));
        if (options->standardize)
            vg_zscore_tile(cut, design.rows, largest);
        for (int64_t t = 0; t < design.rows; t++)
            for (int64_t j = 0; j < width; j++)
                design.data[t * design.ld + k * features + first + j] = (float)cut[t * VG_TILE + j];
    }
}

static vg_status fill_design(const vg_align_options *options, const word_operator *grid, vg_matrix features, vg_matrix design)
{
    int64_t tiles = (features.columns + VG_TILE - 1) / VG_TILE, scratch = (grid->rows + design.rows) * VG_TILE;
    bool failed = false;
#pragma omp parallel
    {
        double *tile = NULL;
        if (VG_NEW(&tile, scratch, "numbers of a tile of features") != VG_OK) {
#pragma omp atomic write
            failed = true;
        }
#pragma omp for schedule(static)
        for (int64_t i = 0; i < tiles; i++) {
            if (tile == NULL)
                continue;
            apply_operator(grid, features, i * VG_TILE, tile);
            cut_delays(options, grid, tile, tile + grid->rows * VG_TILE, i * VG_TILE, features.columns, design);
        }
        free(tile);
    }
    if (failed)
        return vg_fail(VG_NO_MEMORY, "no memory for a tile of features: %.1f MB a thread are needed", (double)scratch * 8e-6);
    return VG_OK;
}

/* ---- words that are heard, and silence ---------------------------------------------------------------------------- */

static vg_status find_moments(const double *onset, const double *offset, int64_t words, vg_anchor anchor, double *moments)
{
    for (int64_t n = 0; n < words; n++) {
        moments[n] = moment_of(onset[n], offset[n], anchor);
        if (!isfinite(moments[n]))
            return vg_fail(VG_INVALID, "alignment: the time of word %lld is not finite", (long long)n + 1);
    }
    return VG_OK;
}

static vg_status count_words(const vg_align_options *options, const word_operator *grid, const double *moments, int64_t words,
                             vg_align_counts *counts)
{
    uint8_t *heard;
    *counts = (vg_align_counts){.silent = options->rows};
    VG_TRY(VG_NEW(&heard, options->rows, "rows of a run"));
    for (int64_t n = 0; n < words; n++) {
        double row = floor((moments[n] - options->start) / options->tr);
        int64_t from, to;
        reach(options, grid, moments[n], &from, &to);
        bool matters = false;
        for (int64_t r = from; r < to && !matters; r++)
            matters = weight_of(options, moments[n], r) != 0;
        counts->before += !matters && row < 0;
        counts->after += !matters && row >= 0;
        if (row >= 0 && row < (double)options->rows && !heard[(int64_t)row]) {
            heard[(int64_t)row] = 1;
            counts->silent--;
        }
    }
    free(heard);
    return VG_OK;
}

vg_status vg_align(vg_matrix features, const double *onset, const double *offset, const vg_align_options *options, vg_matrix design,
                   vg_align_counts *counts)
{
    word_operator grid = {0};
    double *moments = NULL;
    int64_t longest;
    vg_status status = VG_OK;
    VG_TRY(check(features, options, design));
    VG_TRY(check_delays(options, &longest));
    grid.first = -longest;
    grid.rows = options->rows + longest;
    VG_GO(VG_NEW(&moments, features.rows, "moments of words"));
    VG_GO(find_moments(onset, offset, features.rows, options->anchor, moments));
    VG_GO(make_operator(options, moments, features.rows, &grid));
    VG_GO(fill_design(options, &grid, features, design));
    if (counts != NULL)
        VG_GO(count_words(options, &grid, moments, features.rows, counts));
done:
    free(moments);
    free_operator(&grid);
    return status;
}
