/* null_pass: one chunk of spaces through every shift. The ranks take batches of shifts in turn; a batch reads the responses once, tile by
 * tile, and fits them to each of its shifts. What comes of a shift, a map of scores of all subjects, is treated as the observed map was:
 * group and region means are derived from it, and all numbers are compared with the observed ones. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "choices.h"

/* The observed scores of all ranks' tiles, on every rank. */
static vg_status gather_observed(fit_job *job, int64_t count)
{
    fit_statistics *s = job->statistics;
    size_t *sizes = NULL;
    vg_status status;
    VG_GO(vg_comm_agree(job->comm, VG_NEW(&sizes, vg_comm_ranks(job->comm), "ranks")));
    for (int64_t c = 0; c < count; c++) {
        float *mine = NULL, *observed = s->null->observed + c * s->voxels;
        void *all = NULL;
        size_t bytes = 0;
        status = vg_comm_agree(job->comm, vg_fit_pack(job, c, &mine, &bytes));
        if (status == VG_OK)
            status = vg_comm_allgather(job->comm, mine, bytes, &all, sizes);
        if (status == VG_OK) {
            vg_fit_unpack(job, all, sizes, observed);
            vg_statistics_derive(job, observed, s->null->observed_derived + c * s->derived.total);
        }
        free(mine);
        free(all);
        if (status != VG_OK)
            goto done;
    }
done:
    free(sizes);
    return status;
}

/* The responses of a pack, its tiles side by side. */
static vg_status read_pack(const fit_job *job, const fit_pack *pack, vg_matrix y)
{
    int64_t column = 0;
    for (int64_t t = pack->first; t < pack->end; t++) {
        const fit_tile *tile = &job->tiles[t];
        uint8_t *states;
        VG_TRY(VG_NEW(&states, tile->count, "voxel states"));
        vg_matrix part = {.data = y.data + column, .rows = y.rows, .columns = tile->count, .ld = y.ld};
        vg_status status = vg_fit_read(job, &job->subjects[tile->subject], tile, part, states);
        free(states);
        VG_TRY(status);
        column += tile->count;
    }
    return VG_OK;
}

/* The fits of a pack to one shift: what is tested, and inner and outer scores of spaces that are chosen among. */
typedef struct {
    const fit_pack *pack;
    int64_t first, count, outer; /* spaces; outer folds */
    fit_values *values;
    double *numbers;
    int32_t *label; /* who shares a penalty; NULL: no one */
    int64_t labels;
} pack_fits;

/* Who shares a penalty, over the tiles of a pack. */
static vg_status label_pack(const fit_job *job, pack_fits *f)
{
    const fit_pack *pack = f->pack;
    int64_t column = 0;
    if (strcmp(job->study->ridge.alpha, "voxel") == 0)
        return VG_OK;
    VG_TRY(VG_NEW(&f->label, pack->columns, "voxel labels"));
    for (int64_t t = pack->first; t < pack->end; column += job->tiles[t].count, t++) {
        const fit_tile *tile = &job->tiles[t];
        VG_TRY(vg_fit_labels(job, &job->subjects[tile->subject], tile->first, tile->count, f->label + column, &f->labels));
    }
    return VG_OK;
}

static vg_status make_fits(const fit_job *job, const fit_pack *pack, int64_t first, int64_t count, pack_fits *f)
{
    int64_t columns = pack->columns, outer = job->groups[pack->group].folds->outer_count;
    *f = (pack_fits){.pack = pack, .first = first, .count = count, .outer = outer};
    VG_TRY(VG_NEW(&f->values, count, "scores"));
    VG_TRY(VG_NEW(&f->numbers, count * (1 + 2 * outer) * columns, "scores"));
    for (int64_t c = 0; c < count; c++) {
        double *at = f->numbers + c * (1 + 2 * outer) * columns;
        f->values[c] = vg_fit_banded(job->study) ? (fit_values){.unique = at} : (fit_values){.score = at};
        if (vg_choices_want(job, first + c)) {
            f->values[c].inner = at + columns;
            f->values[c].fold = at + (1 + outer) * columns;
        }
    }
    return label_pack(job, f);
}

static void free_fits(pack_fits *f)
{
    free(f->values);
    free(f->numbers);
    free(f->label);
}

/* A pack's scores of one shift to their places in the shift's maps (count, all voxels), and to the choices' view of it. */
static void place(const fit_job *job, const pack_fits *f, int64_t view, float *maps)
{
    int64_t column = 0;
    for (int64_t c = 0; c < f->count; c++)
        if (f->values[c].inner != NULL)
            vg_fit_round(f->values[c].inner, 2 * f->outer * f->pack->columns); /* fold follows */
    for (int64_t t = f->pack->first; t < f->pack->end; t++) {
        const fit_tile *tile = &job->tiles[t];
        int64_t at = job->statistics->offset[tile->subject] + tile->first;
        for (int64_t c = 0; c < f->count; c++) {
            const fit_values *values = &f->values[c];
            const double *tested = vg_fit_banded(job->study) ? values->unique : values->score;
            for (int64_t v = 0; v < tile->count; v++)
                maps[c * job->statistics->voxels + at + v] = (float)tested[column + v];
            if (values->inner != NULL)
                vg_choices_take(job, f->first + c, view, at, tile->count, values->inner + column, values->fold + column, f->pack->columns,
                                f->outer);
        }
        column += tile->count;
    }
}

/* This rank's number of a shift, as the choices count them: view 0 are the observed responses. */
static int64_t view_of(const fit_job *job, int64_t shift)
{
    int64_t batch = job->statistics->null->batch, ranks = vg_comm_ranks(job->comm);
    return 1 + shift / (batch * ranks) * batch + shift % batch;
}

/* Shifts begin .. begin + n - 1. */
static vg_status fit_pack_shifts(fit_job *job, const fit_pack *pack, int64_t first, int64_t count, int64_t begin, int64_t n)
{
    const fit_group *group = &job->groups[pack->group];
    fit_null *null = job->statistics->null;
    vg_matrix y = {.rows = group->pattern->rows, .columns = pack->columns, .ld = pack->columns};
    pack_fits fits = {0};
    int32_t *order = NULL;
    vg_status status;
    VG_GO(VG_NEW(&y.data, y.rows * y.columns, "responses"));
    VG_GO(VG_NEW(&order, y.rows, "a shift"));
    VG_GO(make_fits(job, pack, first, count, &fits));
    VG_GO(read_pack(job, pack, y));
    for (int64_t i = 0; i < n; i++) {
        vg_null_order(group->run_rows, group->run_count, null->shifts[begin + i], order);
        VG_GO(vg_fit_score(job, pack->group, count, (vg_samples){VG_F32, y.data, y.rows, y.columns, y.ld}, order, fits.label, fits.labels,
                           fits.values));
        place(job, &fits, view_of(job, begin + i), null->maps + i * count * job->statistics->voxels);
        vg_progress_step(pack->columns * count);
    }
done:
    free(y.data);
    free_fits(&fits);
    free(order);
    return status;
}

static void add_exact(int64_t *sum, double x)
{
    if (isfinite(x))
        *sum += vg_to_exact(x);
}

/* One space's map under one shift against the observed one. */
static void count_map(fit_job *job, int64_t first, int64_t c, const float *map, int64_t shift)
{
    fit_statistics *s = job->statistics;
    fit_null *null = s->null;
    const float *observed = null->observed + c * s->voxels;
    double *derived = null->derived + c * s->derived.total;
    int32_t *exceeded = null->exceeded + c * (s->voxels + s->derived.total);
    int64_t *sum = null->sum + c * (s->voxels + s->derived.total);
    for (int64_t v = 0; v < s->voxels; v++) {
        exceeded[v] += map[v] >= observed[v];
        add_exact(&sum[v], (double)map[v]);
    }
    vg_statistics_derive(job, map, derived);
    for (int64_t i = 0; i < s->derived.total; i++)
        add_exact(&sum[s->voxels + i], derived[i]);
    vg_choices_derived(job, first + c, view_of(job, shift), derived);
    vg_null_count(null->observed_derived + c * s->derived.total, derived, s->derived.total, exceeded + s->voxels);
    null->largest[shift] = fmax(null->largest[shift], vg_null_largest(derived, s->derived.group));
    null->region_largest[shift] =
        fmax(null->region_largest[shift], vg_null_largest(derived + s->derived.group + s->derived.rows, s->derived.over));
}

static vg_status run_batches(fit_job *job, int64_t first, int64_t count)
{
    const fit_statistics *s = job->statistics;
    fit_null *null = s->null;
    int64_t ranks = vg_comm_ranks(job->comm), rank = vg_comm_rank(job->comm);
    memset(null->exceeded, 0, (size_t)(count * (s->voxels + s->derived.total)) * sizeof(int32_t));
    memset(null->sum, 0, (size_t)(count * (s->voxels + s->derived.total)) * sizeof(int64_t));
    for (int64_t begin = rank * null->batch; begin < null->shift_count; begin += ranks * null->batch) {
        int64_t n = null->shift_count - begin < null->batch ? null->shift_count - begin : null->batch;
        for (int64_t i = 0; i < null->pack_count; i++) {
            VG_TRY(vg_fit_designs(job, null->packs[i].group, first, count));
            VG_TRY(fit_pack_shifts(job, &null->packs[i], first, count, begin, n));
        }
        for (int64_t i = 0; i < n; i++)
            for (int64_t c = 0; c < count; c++)
                count_map(job, first, c, null->maps + (i * count + c) * s->voxels, begin + i);
        VG_TRY(vg_comm_border(job->comm));
    }
    return VG_OK;
}

/* The counts of all ranks, added on the rank that will summarise the space. */
static vg_status add_counts(fit_job *job, int64_t c, int64_t space)
{
    const fit_statistics *s = job->statistics;
    int64_t numbers = s->voxels + s->derived.total;
    int32_t *mine = s->null->exceeded + c * numbers;
    int ranks = vg_comm_ranks(job->comm), rank = vg_comm_rank(job->comm), root = (int)(space % ranks);
    size_t *sizes = NULL;
    void *all = NULL;
    vg_status status;
    VG_GO(vg_comm_agree(job->comm, VG_NEW(&sizes, ranks, "ranks")));
    VG_GO(vg_comm_gather(job->comm, mine, (size_t)numbers * sizeof(int32_t), root, &all, sizes));
    for (int64_t i = 0; rank == root && i < numbers; i++) {
        int32_t sum = 0;
        for (int r = 0; r < ranks; r++)
            sum += ((const int32_t *)all)[r * numbers + i];
        mine[i] = sum;
    }
done:
    free(sizes);
    free(all);
    return status;
}

vg_status vg_null_chunk(fit_job *job, int64_t first, int64_t count)
{
    if (job->statistics->null == NULL)
        return VG_OK;
    VG_TRY(gather_observed(job, count));
    VG_AGREE(job->comm, run_batches(job, first, count));
    for (int64_t c = 0; c < count; c++)
        VG_TRY(add_counts(job, c, first + c));
    return job->statistics->choices->layered_count == 0
               ? VG_OK
               : vg_sum_integers(job->comm, job->statistics->null->sum, count * (job->statistics->voxels + job->statistics->derived.total));
}
