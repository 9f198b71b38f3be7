/* fit_summary: regions and groups. The scores of one space come together on one rank (each space on another), by MPI and on the host, which
 * they have come to anyway to be written: regions and statistics want a subject's whole map in one place, and add in the order of voxels.
 * Sums over subjects are fit_group.c's. Neither knows how many ranks there were. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "statistics.h"

/* Mean, and standard error with n - 1, of the finite values. */
typedef struct {
    int64_t n;
    double mean, sem;
} summary;

static summary summarize(const float *values, const int64_t *index, int64_t count)
{
    summary s = {0, NAN, NAN};
    double sum = 0, squares = 0;
    for (int64_t i = 0; i < count; i++) {
        double x = (double)values[index[i]];
        sum += isfinite(x) ? x : 0.0;
        s.n += isfinite(x) != 0;
    }
    if (s.n == 0)
        return s;
    s.mean = sum / (double)s.n;
    for (int64_t i = 0; i < count; i++) {
        double x = (double)values[index[i]];
        squares += isfinite(x) ? (x - s.mean) * (x - s.mean) : 0.0;
    }
    if (s.n > 1)
        s.sem = sqrt(squares / (double)(s.n - 1) / (double)s.n);
    return s;
}

/* maps, plain: of all subjects, one after another; plain NULL where maps are scores themselves. */
static vg_status write_regions(fit_job *job, int64_t in_chunk, int64_t space, const float *maps, const float *plain)
{
    const vg_store_space *named = job->spaces[space].any;
    size_t element = vg_layout_element(job->layout, job->region_table);
    char *records;
    vg_status status;
    int64_t row = 0;
    VG_TRY(vg_allocate((void **)&records, job->region_rows, element, "regions"));
    for (int64_t i = 0, first = 0; i < job->subject_count; first += job->subjects[i].voxels, i++) {
        const fit_subject *subject = &job->subjects[i];
        for (int64_t r = 0; r < subject->regions.count; r++) {
            const vg_region *region = &subject->regions.regions[r];
            summary s = summarize((plain != NULL ? plain : maps) + first, region->voxels, region->count);
            char *record = records + (size_t)row++ * element;
            VG_GO(vg_layout_put_text(job->layout, job->region_table, record, "subject", subject->study->name));
            VG_GO(vg_layout_put_text(job->layout, job->region_table, record, "model", named->model));
            VG_GO(vg_layout_put_text(job->layout, job->region_table, record, "name", named->name));
            VG_GO(vg_layout_put_text(job->layout, job->region_table, record, "layer", named->layer != NULL ? named->layer : ""));
            VG_GO(vg_layout_put_text(job->layout, job->region_table, record, "region", region->name));
            VG_GO(vg_layout_put_integer(job->layout, job->region_table, record, "n", s.n));
            VG_GO(vg_layout_put_number(job->layout, job->region_table, record, "mean", s.mean));
            VG_GO(vg_layout_put_number(job->layout, job->region_table, record, "sem", s.sem));
            if (plain != NULL) {
                summary u = summarize(maps + first, region->voxels, region->count);
                VG_GO(vg_layout_put_number(job->layout, job->region_table, record, "unique", u.mean));
                VG_GO(vg_layout_put_number(job->layout, job->region_table, record, "unique_sem", u.sem));
            }
            VG_GO(vg_null_put_region(job, in_chunk, row - 1, record));
        }
    }
    int64_t offset = space * job->region_rows;
    VG_GO(vg_store_write(job->store, job->region_table, &offset, &job->region_rows, records));
done:
    free(records);
    return status;
}

static vg_status pack(const fit_job *job, float *const *table, int64_t in_chunk, float **mine, size_t *bytes)
{
    int64_t total = 0;
    for (int64_t t = 0; t < job->tile_count; t++)
        total += job->owner[t] == vg_comm_rank(job->comm) ? job->tiles[t].count : 0;
    *bytes = (size_t)total * sizeof(float);
    VG_TRY(VG_NEW(mine, total, "scores"));
    float *at = *mine;
    for (int64_t t = 0; t < job->tile_count; t++) {
        if (job->owner[t] != vg_comm_rank(job->comm))
            continue;
        memcpy(at, table[in_chunk * job->tile_count + t], (size_t)job->tiles[t].count * sizeof(float));
        at += job->tiles[t].count;
    }
    return VG_OK;
}

vg_status vg_fit_pack(const fit_job *job, int64_t in_chunk, float **mine, size_t *bytes)
{
    return pack(job, job->scores, in_chunk, mine, bytes);
}

void vg_fit_unpack(const fit_job *job, const float *all, const size_t *sizes, float *maps)
{
    int ranks = vg_comm_ranks(job->comm);
    for (int rank = 0; rank < ranks; rank++) {
        const float *at = all;
        float *to = maps;
        for (int64_t t = 0; t < job->tile_count; to += job->tiles[t].count, t++) { /* tiles follow each other as the maps do */
            if (job->owner[t] != rank)
                continue;
            memcpy(to, at, (size_t)job->tiles[t].count * sizeof(float));
            at += job->tiles[t].count;
        }
        all += sizes[rank] / sizeof(float);
    }
}

/* All ranks' tiles of a table on the root, as maps of all subjects, one after another; NULL elsewhere. Collective. */
static vg_status gather_maps(fit_job *job, float *const *table, int64_t in_chunk, int root, float **maps)
{
    float *mine = NULL;
    void *all = NULL;
    size_t bytes = 0, *sizes = NULL;
    int64_t total = 0;
    vg_status status;
    *maps = NULL;
    VG_GO(vg_comm_agree(job->comm, VG_NEW(&sizes, vg_comm_ranks(job->comm), "ranks")));
    VG_GO(vg_comm_agree(job->comm, pack(job, table, in_chunk, &mine, &bytes)));
    VG_GO(vg_comm_gather(job->comm, mine, bytes, root, &all, sizes));
    for (int64_t i = 0; i < job->subject_count; i++)
        total += job->subjects[i].voxels;
    if (vg_comm_rank(job->comm) == root) {
        status = VG_NEW(maps, total, "score maps");
        if (status == VG_OK)
            vg_fit_unpack(job, all, sizes, *maps);
    }
    status = vg_comm_agree(job->comm, status);
done:
    free(mine);
    free(all);
    free(sizes);
    return status;
}

/* A table's maps over subjects, made by all ranks, written by one. Collective. */
static vg_status write_group(fit_job *job, float *const *table, int64_t in_chunk, int root, int64_t mean_dataset, int64_t sem_dataset)
{
    int64_t voxels = job->subjects[0].voxels;
    float *mean;
    vg_status status;
    if (mean_dataset < 0)
        return VG_OK;
    VG_AGREE(job->comm, VG_NEW(&mean, 2 * voxels, "group maps"));
    VG_GO(vg_fit_group(job, table + in_chunk * job->tile_count, mean, mean + voxels));
    if (vg_comm_rank(job->comm) == root)
        status = vg_store_write(job->store, mean_dataset, NULL, NULL, mean);
    if (vg_comm_rank(job->comm) == root && status == VG_OK)
        status = vg_store_write(job->store, sem_dataset, NULL, NULL, mean + voxels);
    status = vg_comm_agree(job->comm, status);
done:
    free(mean);
    return status;
}

/* maps: what is tested; plain: the scores, where these are something else. */
static vg_status summarize_maps(fit_job *job, int64_t in_chunk, int64_t space, const float *maps, const float *plain)
{
    VG_TRY(write_regions(job, in_chunk, space, maps, plain));
    VG_TRY(vg_statistics_space(job, in_chunk, space, maps, plain));
    return vg_store_commit(job->store, job->chunk_count * job->tile_count + space);
}

static void forget(float **table, int64_t tiles)
{
    for (int64_t t = 0; t < tiles; t++) {
        free(table[t]);
        table[t] = NULL;
    }
}

vg_status vg_fit_summarize(fit_job *job, int64_t chunk_first, int64_t space)
{
    const fit_space *at = &job->spaces[space];
    int64_t in_chunk = space - chunk_first;
    int root = (int)(space % vg_comm_ranks(job->comm));
    bool banded = vg_fit_banded(job->study);
    float *maps = NULL, *plain = NULL;
    vg_status status;
    VG_GO(write_group(job, banded ? job->plain : job->scores, in_chunk, root, at->mean, at->sem));
    VG_GO(write_group(job, job->scores, in_chunk, root, at->unique, at->unique_sem));
    VG_GO(gather_maps(job, job->scores, in_chunk, root, &maps));
    if (banded)
        VG_GO(gather_maps(job, job->plain, in_chunk, root, &plain));
    status = vg_comm_agree(job->comm, maps != NULL ? summarize_maps(job, in_chunk, space, maps, plain) : VG_OK);
done:
    forget(job->scores + in_chunk * job->tile_count, job->tile_count);
    forget(job->plain + in_chunk * job->tile_count, job->tile_count);
    free(maps);
    free(plain);
    return status;
}
