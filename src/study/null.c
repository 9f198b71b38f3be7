/* null: which shifts, what they cost, and what is written of them. The responses of all subjects are shifted in a circle by the same rows
 * against the story and everything is fitted anew (null_pass.c); p = (k + 1) / (shifts + 1), k shifts scoring no less than the observed
 * (encoding.md, "What the study answers, and how surely"). Counts are whole numbers: ranks may share the shifts as they like. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "statistics.h"

enum { BATCH = 8, PACK = 4096 };

/* ---- which shifts ---------------------------------------------------------------------------------------------------------------- */

/* By itself every shift of the circle but 0: these and the observed responses are one group, and p is exact but for the seam (Hemerik &
 * Goeman 2018, TEST 27:811-825). A shift scores like its neighbours; where those of 0 are left out, the observed responses stand alone
 * among clusters and are the largest too often (measured: 5.8 % below .05, two-sided 6.1 %, in 80 rows away from 0 by 11). */
static int64_t least_shift(const vg_study *study)
{
    return study->null.min_shift >= 0 ? study->null.min_shift : 1;
}

vg_status vg_null_plan(const vg_study *study, const int64_t *run_rows, int64_t runs, int64_t *shifts, int64_t *count)
{
    vg_status status = vg_null_shifts(run_rows, runs, least_shift(study), study->null.shifts, (uint64_t)study->seed, shifts, count);
    return status == VG_OK ? VG_OK : vg_fail_within(status, "%s: null.min_shift: ", study->path);
}

/* What no voxel can reach. By Benjamini & Hochberg, m of V voxels that all have the smallest p have q = V p / m. */
static void print_reach(const vg_study *study, int64_t count, int64_t voxels, FILE *out)
{
    double level = study->statistics.level, least = 1 / (double)(count + 1);
    int64_t shifts = (int64_t)ceil(1 / level), both = 2 * shifts, most = (int64_t)ceil((double)voxels * least / level);
    if (least >= level)
        fprintf(out, "null: too few shifts: no voxel can have q below statistics.level %g, which takes %lld\n", level, (long long)shifts);
    else if (most > 1)
        fprintf(out,
                "null: q below %g takes %lld of a subject's %lld voxels with the smallest p; against the largest of all voxels and spaces "
                "one can have it\n",
                level, (long long)most, (long long)voxels);
    if (2 * least >= level)
        fprintf(out, "null: too few shifts: no voxel can have a winner among families: a difference's p is two-sided, and it takes %lld\n",
                (long long)both);
}

vg_status vg_null_check(const vg_study *study, int64_t shortest_run, int64_t voxels, double flops, FILE *out)
{
    int64_t *shifts, count;
    if (study->null.shifts == 0)
        return VG_OK;
    VG_TRY(VG_NEW(&shifts, study->null.shifts, "shifts"));
    vg_status status = vg_null_plan(study, &shortest_run, 1, shifts, &count);
    free(shifts);
    VG_TRY(status);
    fprintf(out, "null: %lld shifts, smallest p %.2g (two-sided %.2g), %.3g GFLOP\n", (long long)count, 1.0 / (double)(count + 1),
            2.0 / (double)(count + 1), flops * (double)count / 1e9);
    if (count < study->null.shifts)
        fprintf(out, "null: %lld shifts were asked for; the shortest run of %lld rows has no more\n", (long long)study->null.shifts,
                (long long)shortest_run);
    if (least_shift(study) > 1)
        fprintf(out, "null: null.min_shift %lld: p will be too small, the more so the fewer rows there are; 1 is exact\n",
                (long long)least_shift(study));
    print_reach(study, count, voxels, out);
    return VG_OK;
}

/* The runs of all subjects at once: a shift must fit the shortest. */
static vg_status choose_shifts(const fit_job *job, fit_null *null)
{
    int64_t *rows, runs = 0;
    for (int64_t g = 0; g < job->group_count; g++)
        runs += job->groups[g].run_count;
    VG_TRY(VG_NEW(&rows, runs, "runs"));
    runs = 0;
    for (int64_t g = 0; g < job->group_count; g++)
        for (int64_t r = 0; r < job->groups[g].run_count; r++)
            rows[runs++] = job->groups[g].run_rows[r];
    vg_status status = VG_NEW(&null->shifts, job->study->null.shifts, "shifts");
    if (status == VG_OK)
        status = vg_null_plan(job->study, rows, runs, null->shifts, &null->shift_count);
    free(rows);
    return status;
}

/* ---- preparation ------------------------------------------------------------------------------------------------------------------- */

static vg_status make_packs(const fit_job *job, fit_null *null)
{
    VG_TRY(VG_NEW(&null->packs, job->tile_count, "tiles"));
    fit_pack *pack = null->packs;
    for (int64_t t = 0; t < job->tile_count; t++) {
        int64_t group = job->subjects[job->tiles[t].subject].group, count = job->tiles[t].count;
        if (null->pack_count == 0 || pack->group != group || pack->columns + count > PACK) {
            pack = &null->packs[null->pack_count++];
            *pack = (fit_pack){.group = group, .first = t};
        }
        pack->end = t + 1;
        pack->columns += count;
    }
    return VG_OK;
}

vg_status vg_null_prepare(fit_job *job)
{
    fit_statistics *s = job->statistics;
    if (job->study->null.shifts == 0)
        return VG_OK;
    VG_TRY(VG_NEW(&s->null, 1, "the null"));
    fit_null *null = s->null;
    VG_TRY(choose_shifts(job, null));
    VG_TRY(make_packs(job, null));
    int64_t ranks = vg_comm_ranks(job->comm), share = (null->shift_count + ranks - 1) / ranks;
    null->batch = share < BATCH ? share : BATCH;
    VG_TRY(VG_NEW(&null->largest, 2 * null->shift_count, "shifts"));
    null->region_largest = null->largest + null->shift_count;
    for (int64_t i = 0; i < 2 * null->shift_count; i++)
        null->largest[i] = -(double)INFINITY;
    VG_TRY(VG_NEW(&null->observed, job->chunk_size * s->voxels, "the null"));
    VG_TRY(VG_NEW(&null->observed_derived, job->chunk_size * s->derived.total, "the null"));
    VG_TRY(VG_NEW(&null->exceeded, job->chunk_size * (s->voxels + s->derived.total), "the null"));
    VG_TRY(VG_NEW(&null->maps, null->batch * job->chunk_size * s->voxels, "the null"));
    VG_TRY(VG_NEW(&null->sum, job->chunk_size * (s->voxels + s->derived.total), "the null"));
    return VG_NEW(&null->derived, job->chunk_size * s->derived.total, "the null");
}

/* Before the statistics are prepared: for the size of chunks. */
double vg_null_bytes(const fit_job *job)
{
    double voxels = 0, widest = 0;
    if (job->study->null.shifts == 0)
        return 0;
    for (int64_t i = 0; i < job->subject_count; i++) {
        voxels += (double)job->subjects[i].voxels;
        widest = (double)job->subjects[i].voxels > widest ? (double)job->subjects[i].voxels : widest;
    }
    return (double)job->chunk_size * (voxels * (8 + 4 * (2 + BATCH)) + 28 * (widest + 2 * (double)job->region_rows));
}

int64_t vg_null_fits(const fit_job *job)
{
    const fit_null *null = job->statistics->null;
    return null == NULL ? 0 : null->shift_count * job->statistics->voxels * job->space_count;
}

int64_t vg_null_steps(const fit_job *job)
{
    const fit_null *null = job->statistics->null;
    int64_t mine = 0, rank = vg_comm_rank(job->comm), ranks = vg_comm_ranks(job->comm);
    if (null == NULL)
        return 0;
    for (int64_t i = 0; i < null->shift_count; i++)
        mine += i / null->batch % ranks == rank;
    return mine * job->statistics->voxels * job->space_count;
}

void vg_null_free(fit_null *null)
{
    if (null == NULL)
        return;
    free(null->shifts);
    free(null->packs);
    free(null->p);
    free(null->largest);
    free(null->observed);
    free(null->observed_derived);
    free(null->exceeded);
    free(null->maps);
    free(null->derived);
    free(null->sum);
    free(null);
}

/* ---- layout -------------------------------------------------------------------------------------------------------------------------- */

static vg_status add_map(fit_job *job, const char *above, const fit_space *space, const char *what, int64_t voxels, const char *units,
                         int64_t *dataset)
{
    const char *layer = space->any->layer;
    char *path;
    VG_TRY(vg_format(&path, "%s/%s/%s%s%s/%s", above, space->any->model, space->any->name, layer != NULL ? "/" : "",
                     layer != NULL ? layer : "", what));
    vg_status status = vg_layout_dataset(job->layout, path, VG_STORE_F32, 0, 1, &voxels, dataset);
    if (status == VG_OK)
        status = vg_layout_text(job->layout, path, "units", units);
    free(path);
    return status;
}

static vg_status layout_space(fit_job *job, int64_t space)
{
    fit_null *null = job->statistics->null;
    const fit_space *at = &job->spaces[space];
    int64_t voxels = job->statistics->derived.group;
    for (int64_t i = 0; i < job->subject_count; i++) {
        char *above;
        VG_TRY(vg_format(&above, "/subjects/%s", job->subjects[i].study->name));
        vg_status status = add_map(job, above, at, "p", job->subjects[i].voxels, "of score, against the shifted responses of this voxel",
                                   &null->p[space * job->subject_count + i]);
        free(above);
        VG_TRY(status);
    }
    if (!job->same_voxels)
        return VG_OK;
    VG_TRY(add_map(job, "/group", at, "p", voxels, "of mean, against the shifted responses of all subjects", &null->group_p[space]));
    VG_TRY(add_map(job, "/group", at, "q", voxels, "p by Benjamini & Hochberg over the voxels of this space", &null->group_q[space]));
    return add_map(job, "/group", at, "p_largest", voxels, "of mean, against the largest mean of all voxels and spaces",
                   &null->group_largest_p[space]);
}

vg_status vg_null_layout(fit_job *job)
{
    fit_null *null = job->statistics->null;
    int64_t spaces = job->space_count, largest[2];
    if (null == NULL)
        return VG_OK;
    VG_TRY(VG_NEW(&null->p, spaces * (job->subject_count + 3), "datasets"));
    null->group_p = null->p + spaces * job->subject_count;
    null->group_q = null->group_p + spaces;
    null->group_largest_p = null->group_q + spaces;
    for (int64_t i = 0; i < spaces; i++)
        VG_TRY(layout_space(job, i));
    largest[0] = 2, largest[1] = null->shift_count;
    VG_TRY(vg_layout_dataset(job->layout, "/null/shifts", VG_STORE_I64, 0, 1, &null->shift_count, &null->shift_table));
    VG_TRY(vg_layout_text(job->layout, "/null/shifts", "units", "rows; within each run, in a circle, the same for all subjects"));
    VG_TRY(vg_layout_integer(job->layout, "/null/shifts", "min_shift", least_shift(job->study)));
    VG_TRY(vg_layout_dataset(job->layout, "/null/largest", VG_STORE_F64, 0, 2, largest, &null->largest_table));
    VG_TRY(vg_layout_text(job->layout, "/null/largest", "units",
                          "of each shift: the largest mean over subjects of all voxels and spaces; of all regions and spaces"));
    return vg_layout_integer(job->layout, "/group_regions", "shifts", null->shift_count);
}

/* ---- writing --------------------------------------------------------------------------------------------------------------------------
 */

static float p_of(const fit_null *null, double observed, int32_t exceeded)
{
    double p;
    vg_null_p(&observed, &exceeded, null->shift_count, 1, &p);
    return (float)p;
}

static vg_status write_narrow(fit_job *job, int64_t dataset, const double *values, int64_t count)
{
    float *narrow;
    VG_TRY(VG_NEW(&narrow, count, "p-values"));
    for (int64_t i = 0; i < count; i++)
        narrow[i] = (float)values[i];
    vg_status status = vg_store_write(job->store, dataset, NULL, NULL, narrow);
    free(narrow);
    return status;
}

static vg_status write_group(fit_job *job, int64_t space, const int32_t *exceeded)
{
    const fit_statistics *s = job->statistics;
    const fit_null *null = s->null;
    int64_t voxels = s->derived.group;
    double *p;
    VG_TRY(VG_NEW(&p, 2 * voxels, "p-values"));
    vg_null_p(s->group[space], exceeded, null->shift_count, voxels, p);
    vg_status status = vg_fdr(p, voxels, p + voxels);
    if (status == VG_OK)
        status = write_narrow(job, null->group_p[space], p, voxels);
    if (status == VG_OK)
        status = write_narrow(job, null->group_q[space], p + voxels, voxels);
    free(p);
    return status;
}

vg_status vg_null_write(fit_job *job, int64_t in_chunk, int64_t space)
{
    fit_statistics *s = job->statistics;
    fit_null *null = s->null;
    float *p;
    if (null == NULL)
        return VG_OK;
    const int32_t *exceeded = null->exceeded + in_chunk * (s->voxels + s->derived.total), *derived = exceeded + s->voxels;
    const float *observed = null->observed + in_chunk * s->voxels;
    VG_TRY(VG_NEW(&p, s->voxels, "p-values"));
    for (int64_t v = 0; v < s->voxels; v++)
        p[v] = p_of(null, (double)observed[v], exceeded[v]);
    vg_status status = VG_OK;
    for (int64_t i = 0; status == VG_OK && i < job->subject_count; i++)
        status = vg_store_write(job->store, null->p[space * job->subject_count + i], NULL, NULL, p + s->offset[i]);
    free(p);
    int64_t over = s->derived.group + s->derived.rows;
    vg_null_p(s->group[space] + over, derived + over, null->shift_count, s->derived.over, s->over_p + space * s->over.count);
    const int64_t *sum = null->sum + in_chunk * (s->voxels + s->derived.total) + s->voxels + over;
    for (int64_t g = 0; g < s->over.count; g++)
        s->over_null[space * s->over.count + g] =
            isnan(s->group[space][over + g]) ? (double)NAN : vg_from_exact(sum[g]) / (double)null->shift_count;
    if (status == VG_OK && job->same_voxels)
        status = write_group(job, space, derived);
    return status;
}

vg_status vg_null_put_region(const fit_job *job, int64_t in_chunk, int64_t row, void *record)
{
    const fit_statistics *s = job->statistics;
    double p;
    if (s->null == NULL)
        return VG_OK;
    int64_t at = s->derived.group + row;
    vg_null_p(s->null->observed_derived + in_chunk * s->derived.total + at,
              s->null->exceeded + in_chunk * (s->voxels + s->derived.total) + s->voxels + at, s->null->shift_count, 1, &p);
    return vg_layout_put_number(job->layout, job->region_table, record, "p", p);
}

vg_status vg_null_write_largest(fit_job *job, int64_t space)
{
    const fit_statistics *s = job->statistics;
    double *p;
    if (s->null == NULL || !job->same_voxels)
        return VG_OK;
    VG_TRY(VG_NEW(&p, s->derived.group, "p-values"));
    vg_null_p_largest(s->group[space], s->derived.group, s->null->largest, s->null->shift_count, p);
    vg_status status = write_narrow(job, s->null->group_largest_p[space], p, s->derived.group);
    free(p);
    return status;
}

/* Every shift was done by one rank: all learn its largest numbers. */
vg_status vg_null_finish(fit_job *job)
{
    fit_null *null = job->statistics->null;
    size_t *sizes = NULL;
    void *all = NULL;
    vg_status status;
    if (null == NULL)
        return VG_OK;
    int64_t numbers = 2 * null->shift_count;
    VG_GO(vg_comm_agree(job->comm, VG_NEW(&sizes, vg_comm_ranks(job->comm), "ranks")));
    VG_GO(vg_comm_allgather(job->comm, null->largest, (size_t)numbers * sizeof(double), &all, sizes));
    for (int64_t i = 0; i < numbers * vg_comm_ranks(job->comm); i++)
        null->largest[i % numbers] = fmax(null->largest[i % numbers], ((const double *)all)[i]);
    if (vg_comm_rank(job->comm) == 0) {
        status = vg_store_write(job->store, null->shift_table, NULL, NULL, null->shifts);
        if (status == VG_OK)
            status = vg_store_write(job->store, null->largest_table, NULL, NULL, null->largest);
    }
    status = vg_comm_agree(job->comm, status);
done:
    free(sizes);
    free(all);
    return status;
}
