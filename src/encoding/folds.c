/* folds: which rows train and which are held out (encoding.md, "Folds" and "Defaults, exactly").
 * Sets are marked row by row and then written as ranges. One cut serves outer and inner folds: the rows that may train are divided
 * by whole runs where two or more are among them, else into contiguous blocks, earlier ones longer. */
#include <stdlib.h>
#include <string.h>

#include "voxgrad/encoding.h"

/* The rows (T), all of them: their run, and marks of the set in the making. */
typedef struct {
    const vg_folds_options *options;
    int64_t rows;
    int64_t *run;
    uint8_t *held, *near;
} marks;

static vg_status to_ranges(const uint8_t *chosen, int64_t rows, vg_range **ranges, int64_t *count, int64_t *total)
{
    int64_t starts = 0;
    for (int64_t t = 0; t < rows; t++)
        starts += chosen[t] && (t == 0 || !chosen[t - 1]);
    VG_TRY(VG_NEW(ranges, starts, "ranges of a fold"));
    *count = *total = 0;
    for (int64_t t = 0; t < rows; t++) {
        if (!chosen[t])
            continue;
        if (t == 0 || !chosen[t - 1])
            (*ranges)[(*count)++].begin = t;
        (*ranges)[*count - 1].end = t + 1;
        (*total)++;
    }
    return VG_OK;
}

/* near: the rows at most `gap` away, within their run, from a held-out one. */
static void mark_near(marks *m)
{
    memset(m->near, 0, (size_t)m->rows);
    int64_t since = -1; /* the last held-out row of this run */
    for (int64_t t = 0; t < m->rows; t++) {
        since = m->held[t] ? t : since >= 0 && m->run[since] == m->run[t] ? since : -1;
        m->near[t] |= since >= 0 && t - since <= m->options->gap;
    }
    for (int64_t t = m->rows - 1, until = -1; t >= 0; t--) {
        until = m->held[t] ? t : until >= 0 && m->run[until] == m->run[t] ? until : -1;
        m->near[t] |= until >= 0 && until - t <= m->options->gap;
    }
}

/* The fold that holds out m->held from the rows `may` (T) train on. */
static vg_status make_fold(marks *m, const uint8_t *may, const char *which, int64_t number, vg_fold *fold)
{
    mark_near(m);
    for (int64_t t = 0; t < m->rows; t++)
        m->near[t] = may[t] && !m->near[t];
    VG_TRY(to_ranges(m->near, m->rows, &fold->train, &fold->train_ranges, &fold->train_rows));
    VG_TRY(to_ranges(m->held, m->rows, &fold->test, &fold->test_ranges, &fold->test_rows));
    if (fold->train_rows == 0)
        return vg_fail(VG_INVALID, "%s fold %lld: no row is left to train on; make the gap (%lld) smaller or the folds fewer", which,
                       (long long)number + 1, (long long)m->options->gap);
    return VG_OK;
}

/* The first of block k's `count` things when n things are cut into `folds` blocks. */
static int64_t block_begin(int64_t n, int64_t folds, int64_t k)
{
    int64_t longer = n % folds;
    return k * (n / folds) + (k < longer ? k : longer);
}

/* Numbers of what is cut, by row: runs (in order) where there are two or more among the rows `may`, else the rows themselves. -1: not
 * among them. */
static int64_t number_units(const marks *m, const uint8_t *may, int64_t *unit, bool *by_runs)
{
    int64_t runs = 0, rows = 0, last = -1;
    for (int64_t t = 0; t < m->rows; t++) {
        if (may[t] && m->run[t] != last)
            runs++;
        last = may[t] ? m->run[t] : last;
    }
    *by_runs = runs >= 2;
    last = -1;
    runs = 0;
    for (int64_t t = 0; t < m->rows; t++) {
        unit[t] = -1;
        if (!may[t])
            continue;
        runs += m->run[t] != last;
        last = m->run[t];
        unit[t] = *by_runs ? runs - 1 : rows++;
    }
    return *by_runs ? runs : rows;
}

static vg_status cut(marks *m, const uint8_t *may, int64_t wanted, const char *which, vg_fold **folds, int64_t *count)
{
    int64_t *unit;
    VG_TRY(VG_NEW(&unit, m->rows, "rows of a fold"));
    bool by_runs;
    int64_t units = number_units(m, may, unit, &by_runs);
    if (by_runs && units < wanted)
        wanted = units;
    vg_status status = VG_OK;
    if (wanted < 2 || units < wanted)
        status = vg_fail(VG_INVALID, "%lld %s folds of %lld rows: there must be at least 2 folds and a row for each", (long long)wanted,
                         which, (long long)units);
    if (status == VG_OK)
        status = VG_NEW(folds, wanted, "folds");
    for (int64_t k = 0; status == VG_OK && k < wanted; k++) {
        int64_t begin = block_begin(units, wanted, k), end = block_begin(units, wanted, k + 1);
        for (int64_t t = 0; t < m->rows; t++)
            m->held[t] = unit[t] >= begin && unit[t] < end;
        *count = k + 1;
        status = make_fold(m, may, which, k, &(*folds)[k]);
    }
    free(unit);
    return status;
}

/* `split`: one outer fold whose test rows are whole runs. */
static vg_status hold_out_runs(marks *m, const uint8_t *may, vg_folds *folds)
{
    const vg_folds_options *options = m->options;
    memset(m->held, 0, (size_t)m->rows);
    for (int64_t i = 0; i < options->test_count; i++) {
        if (options->test_runs[i] < 0 || options->test_runs[i] >= options->runs)
            return vg_fail(VG_INVALID, "split: there is no run %lld, only %lld runs", (long long)options->test_runs[i] + 1,
                           (long long)options->runs);
        for (int64_t t = 0; t < m->rows; t++)
            m->held[t] |= m->run[t] == options->test_runs[i];
    }
    VG_TRY(VG_NEW(&folds->outer, 1, "folds"));
    folds->outer_count = 1;
    return make_fold(m, may, "outer", 0, &folds->outer[0]);
}

static vg_status make_outer(marks *m, const uint8_t *may, vg_folds *folds)
{
    const vg_folds_options *options = m->options;
    folds->nested = true;
    if (options->test_runs != NULL)
        return hold_out_runs(m, may, folds);
    if (options->outer_folds != 1)
        return cut(m, may, options->outer_folds, "outer", &folds->outer, &folds->outer_count);
    folds->nested = false;
    memset(m->held, 0, (size_t)m->rows);
    VG_TRY(VG_NEW(&folds->outer, 1, "folds"));
    folds->outer_count = 1;
    return make_fold(m, may, "outer", 0, &folds->outer[0]);
}

static vg_status make_all(marks *m, uint8_t *may, vg_folds *folds)
{
    memset(may, 1, (size_t)m->rows);
    VG_TRY(make_outer(m, may, folds));
    for (int64_t k = 0; k < folds->outer_count; k++) {
        vg_fold *outer = &folds->outer[k];
        memset(may, 0, (size_t)m->rows);
        for (int64_t i = 0; i < outer->train_ranges; i++)
            memset(may + outer->train[i].begin, 1, (size_t)(outer->train[i].end - outer->train[i].begin));
        if (cut(m, may, m->options->inner_folds, "inner", &outer->inner, &outer->inner_count) != VG_OK)
            return vg_fail_within(VG_INVALID, "outer fold %lld: ", (long long)k + 1);
    }
    return VG_OK;
}

static vg_status check_runs(const vg_folds_options *options, int64_t *rows)
{
    *rows = 0;
    if (options->runs < 1 || options->gap < 0)
        return vg_fail(VG_INVALID, "folds need at least one run and a gap of 0 or more");
    for (int64_t i = 0; i < options->runs; i++) {
        if (options->run_rows[i] < 1 || __builtin_add_overflow(*rows, options->run_rows[i], rows))
            return vg_fail(VG_INVALID, "run %lld has %lld rows", (long long)i + 1, (long long)options->run_rows[i]);
    }
    return VG_OK;
}

vg_status vg_folds_create(const vg_folds_options *options, vg_folds **folds)
{
    *folds = NULL;
    marks m = {.options = options};
    uint8_t *may = NULL;
    vg_status status;
    VG_TRY(check_runs(options, &m.rows));
    VG_GO(VG_NEW(folds, 1, "folds"));
    (*folds)->rows = m.rows;
    VG_GO(VG_NEW(&m.run, m.rows, "rows of folds"));
    VG_GO(VG_NEW(&m.held, m.rows, "rows of folds"));
    VG_GO(VG_NEW(&m.near, m.rows, "rows of folds"));
    VG_GO(VG_NEW(&may, m.rows, "rows of folds"));
    for (int64_t i = 0, t = 0; i < options->runs; i++)
        for (int64_t end = t + options->run_rows[i]; t < end; t++)
            m.run[t] = i;
    VG_GO(make_all(&m, may, *folds));
done:
    free(m.run);
    free(m.held);
    free(m.near);
    free(may);
    if (status != VG_OK) {
        vg_folds_free(*folds);
        *folds = NULL;
    }
    return status;
}

static void free_folds(vg_fold *folds, int64_t count)
{
    for (int64_t k = 0; k < count; k++) {
        free(folds[k].train);
        free(folds[k].test);
        free_folds(folds[k].inner, folds[k].inner_count);
    }
    free(folds);
}

void vg_folds_free(vg_folds *folds)
{
    if (folds == NULL)
        return;
    free_folds(folds->outer, folds->outer_count);
    free(folds);
}
