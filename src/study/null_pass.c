/* null_pass: one chunk of spaces through every shift. The ranks take batches of shifts in turn; a batch reads the responses once, tile by
 * tile, and fits them to each of its shifts. What comes of a shift, a map of scores of all subjects, is treated as the observed map was:
 * group and region means are derived from it, and all numbers are compared with the observed ones. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "statistics.h"

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

/* A pack's scores of one shift (count, pack->columns) to their places in the shift's maps (count, all voxels). */
static void place(const fit_job *job, const fit_pack *pack, int64_t count, const double *scores, float *maps)
{
    int64_t column = 0;
    for (int64_t t = pack->first; t < pack->end; t++) {
        const fit_tile *tile = &job->tiles[t];
        int64_t at = job->statistics->offset[tile->subject] + tile->first;
        for (int64_t c = 0; c < count; c++)
            for (int64_t v = 0; v < tile->count; v++)
                maps[c * job->statistics->voxels + at + v] = (float)scores[c * pack->columns + column + v];
        column += tile->count;
    }
}

static vg_status fit_pack_shifts(fit_job *job, const fit_pack *pack, int64_t count, const int64_t *shifts, int64_t shift_count)
{
    const fit_group *group = &job->groups[pack->group];
    fit_null *null = job->statistics->null;
    vg_matrix y = {.rows = group->pattern->rows, .columns = pack->columns, .ld = pack->columns};
    vg_ridge_result *results = NULL;
    double *scores = NULL;
    int32_t *order = NULL;
    vg_status status;
    VG_GO(VG_NEW(&y.data, y.rows * y.columns, "responses"));
    VG_GO(VG_NEW(&order, y.rows, "a shift"));
    VG_GO(VG_NEW(&scores, count * pack->columns, "scores"));
    VG_GO(VG_NEW(&results, count, "scores"));
    VG_GO(read_pack(job, pack, y));
    for (int64_t c = 0; c < count; c++)
        results[c] = (vg_ridge_result){.score = scores + c * pack->columns, .ld = pack->columns};
    for (int64_t i = 0; i < shift_count; i++) {
        vg_null_order(group->run_rows, group->pattern->study->run_count, shifts[i], order);
        VG_GO(vg_ridge_fit(job->designs + pack->group * job->chunk_size, count, (vg_samples){VG_F32, y.data, y.rows, y.columns, y.ld},
                           order, results));
        place(job, pack, count, scores, null->maps + i * count * job->statistics->voxels);
        vg_progress_step(pack->columns * count);
    }
done:
    free(y.data);
    free(results);
    free(scores);
    free(order);
    return status;
}

/* One space's map under one shift against the observed one. */
static void count_map(fit_job *job, int64_t c, const float *map, int64_t shift)
{
    fit_statistics *s = job->statistics;
    fit_null *null = s->null;
    const float *observed = null->observed + c * s->voxels;
    double *derived = null->derived + c * s->derived.total;
    int32_t *exceeded = null->exceeded + c * (s->voxels + s->derived.total);
    for (int64_t v = 0; v < s->voxels; v++)
        exceeded[v] += map[v] >= observed[v];
    vg_statistics_derive(job, map, derived);
    vg_null_count(null->observed_derived + c * s->derived.total, derived, s->derived.total, exceeded + s->voxels);
    double *largest = null->space_largest + c * 2 * null->shift_count;
    largest[shift] = vg_null_largest(derived, s->derived.group);
    largest[null->shift_count + shift] = vg_null_largest(derived + s->derived.group + s->derived.rows, s->derived.over);
}

/* One batch: shifts number at[0 .. n - 1]. */
static vg_status run_batch(fit_job *job, int64_t first, int64_t count, const int64_t *at, int64_t n)
{
    fit_null *null = job->statistics->null;
    int64_t *shifts;
    VG_TRY(VG_NEW(&shifts, n, "shifts"));
    for (int64_t i = 0; i < n; i++)
        shifts[i] = null->shifts[at[i]];
    vg_status status = VG_OK;
    for (int64_t i = 0; status == VG_OK && i < null->pack_count; i++) {
        status = vg_fit_designs(job, null->packs[i].group, first, count);
        if (status == VG_OK)
            status = fit_pack_shifts(job, &null->packs[i], count, shifts, n);
    }
    free(shifts);
    VG_TRY(status);
    for (int64_t i = 0; i < n; i++) {
        for (int64_t c = 0; c < count; c++)
            count_map(job, c, null->maps + (i * count + c) * job->statistics->voxels, at[i]);
        null->done[at[i]] = 1;
    }
    return VG_OK;
}

/* This rank's share of the shifts that are not yet done, batch by batch: borders where the work may stop and be gone on with. */
static vg_status run_batches(fit_job *job, int64_t first, int64_t count)
{
    fit_null *null = job->statistics->null;
    int64_t ranks = vg_comm_ranks(job->comm), rank = vg_comm_rank(job->comm), left = 0, *at;
    VG_TRY(VG_NEW(&at, null->shift_count, "shifts"));
    for (int64_t i = 0; i < null->shift_count; i++)
        if (!null->done[i])
            at[left++] = i;
    for (int64_t i = 0; rank > 0 && i < null->shift_count; i++)
        null->done[i] = 0; /* rank 0 answers for what was done before */
    vg_status status = VG_OK;
    for (int64_t begin = rank * null->batch; status == VG_OK && begin < left; begin += ranks * null->batch) {
        int64_t n = left - begin < null->batch ? left - begin : null->batch;
        status = run_batch(job, first, count, at + begin, n);
        if (status == VG_OK)
            status = vg_null_save(job, first, count, false);
        if (status == VG_OK)
            status = vg_comm_border(job->comm);
    }
    free(at);
    if (status == VG_OK || status == VG_INTERRUPTED)
        VG_TRY(vg_null_save(job, first, count, true));
    return status;
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
    free(all);
    all = NULL;
    int64_t shifts = 2 * s->null->shift_count;
    double *largest = s->null->space_largest + c * shifts;
    VG_GO(vg_comm_gather(job->comm, largest, (size_t)shifts * sizeof *largest, root, &all, sizes));
    for (int64_t i = 0; rank == root && i < shifts; i++)
        for (int r = 0; r < ranks; r++)
            largest[i] = fmax(largest[i], ((const double *)all)[r * shifts + i]);
done:
    free(sizes);
    free(all);
    return status;
}

vg_status vg_null_chunk(fit_job *job, int64_t first, int64_t count)
{
    int64_t chunks = (job->space_count + job->chunk_size - 1) / job->chunk_size, whole = 0;
    if (job->statistics->null == NULL)
        return VG_OK;
    for (int64_t c = 0; c < count; c++)
        whole += vg_store_whole(job->store, chunks * job->tile_count + first + c);
    if (whole == count)
        return VG_OK;
    VG_TRY(gather_observed(job, count));
    VG_TRY(vg_null_load(job, first, count));
    VG_AGREE(job->comm, run_batches(job, first, count));
    for (int64_t c = 0; c < count; c++)
        VG_TRY(add_counts(job, c, first + c));
    return VG_OK;
}
