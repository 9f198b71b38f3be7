/* statistics: numbers over subjects. Group means by voxel and by region, with the p of the null where there is one; what can be said only
 * once all spaces are there (the largest of all) is written at the end, a block a space. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "statistics.h"

/* ---- regions over subjects --------------------------------------------------------------------------------------------------- */

static vg_status match_regions(const fit_job *job, fit_over *over)
{
    VG_TRY(VG_NEW(&over->names, job->region_rows, "regions"));
    VG_TRY(VG_NEW(&over->of, job->region_rows, "regions"));
    int64_t row = 0;
    for (int64_t i = 0; i < job->subject_count; i++)
        for (int64_t r = 0; r < job->subjects[i].regions.count; r++, row++) {
            const char *name = job->subjects[i].regions.regions[r].name;
            int64_t at = 0;
            while (at < over->count && strcmp(over->names[at], name) != 0)
                at++;
            if (at == over->count)
                over->names[over->count++] = name;
            over->of[row] = at;
        }
    return VG_OK;
}

static double mean_of(const float *map, const int64_t *index, int64_t count)
{
    double sum = 0;
    int64_t n = 0;
    for (int64_t i = 0; i < count; i++) {
        double x = (double)map[index[i]];
        sum += isfinite(x) ? x : 0.0;
        n += isfinite(x) != 0;
    }
    return n > 0 ? sum / (double)n : (double)NAN;
}

static void mean_maps(const fit_job *job, const float *map, double *mean)
{
    int64_t voxels = job->statistics->derived.group;
#pragma omp parallel for schedule(static)
    for (int64_t v = 0; v < voxels; v++) {
        double sum = 0;
        int64_t n = 0;
        for (int64_t i = 0; i < job->subject_count; i++) {
            double x = (double)map[i * voxels + v];
            sum += isfinite(x) ? x : 0.0;
            n += isfinite(x) != 0;
        }
        mean[v] = n > 0 ? sum / (double)n : (double)NAN;
    }
}

void vg_statistics_derive(const fit_job *job, const float *map, double *derived)
{
    const fit_statistics *s = job->statistics;
    double *rows = derived + s->derived.group, *over = rows + s->derived.rows;
    int64_t row = 0;
    mean_maps(job, map, derived);
    for (int64_t i = 0; i < job->subject_count; i++)
        for (int64_t r = 0; r < job->subjects[i].regions.count; r++, row++) {
            const vg_region *region = &job->subjects[i].regions.regions[r];
            rows[row] = mean_of(map + s->offset[i], region->voxels, region->count);
        }
    for (int64_t g = 0; g < s->over.count; g++) {
        double sum = 0;
        int64_t n = 0;
        for (row = 0; row < s->derived.rows; row++)
            if (s->over.of[row] == g && isfinite(rows[row])) {
                sum += rows[row];
                n++;
            }
        over[g] = n > 0 ? sum / (double)n : (double)NAN;
    }
}

/* ---- before the fits ------------------------------------------------------------------------------------------------------------ */

vg_status vg_statistics_prepare(fit_job *job)
{
    fit_statistics *s;
    VG_TRY(VG_NEW(&job->statistics, 1, "statistics"));
    s = job->statistics;
    VG_TRY(VG_NEW(&s->offset, job->subject_count, "subjects"));
    for (int64_t i = 0; i < job->subject_count; i++) {
        s->offset[i] = s->voxels;
        s->voxels += job->subjects[i].voxels;
    }
    VG_TRY(match_regions(job, &s->over));
    s->derived = (fit_derived){.group = job->same_voxels ? job->subjects[0].voxels : 0, .rows = job->region_rows, .over = s->over.count};
    s->derived.total = s->derived.group + s->derived.rows + s->derived.over;
    VG_TRY(VG_NEW(&s->group, job->space_count, "group maps"));
    VG_TRY(VG_NEW(&s->over_mean, job->space_count * s->over.count, "regions"));
    VG_TRY(VG_NEW(&s->over_sem, job->space_count * s->over.count, "regions"));
    VG_TRY(VG_NEW(&s->over_p, job->space_count * s->over.count, "regions"));
    VG_TRY(VG_NEW(&s->over_n, job->space_count * s->over.count, "regions"));
    return vg_null_prepare(job);
}

/* The longest text of each member of the tables. */
static void longest_names(const fit_job *job, size_t *model, size_t *name, size_t *region)
{
    *model = *name = *region = 1;
    for (int64_t i = 0; i < job->space_count; i++) {
        size_t a = strlen(job->spaces[i].any->model), b = strlen(job->spaces[i].any->name);
        *model = a > *model ? a : *model;
        *name = b > *name ? b : *name;
    }
    for (int64_t g = 0; g < job->statistics->over.count; g++) {
        size_t length = strlen(job->statistics->over.names[g]);
        *region = length > *region ? length : *region;
    }
}

vg_status vg_statistics_layout(fit_job *job)
{
    fit_over *over = &job->statistics->over;
    size_t model, name, region;
    longest_names(job, &model, &name, &region);
    const vg_store_member members[] = {{"model", VG_STORE_TEXT, model},   {"name", VG_STORE_TEXT, name}, {"layer", VG_STORE_TEXT, 8},
                                       {"region", VG_STORE_TEXT, region}, {"subjects", VG_STORE_I64, 0}, {"mean", VG_STORE_F64, 0},
                                       {"sem", VG_STORE_F64, 0},          {"p", VG_STORE_F64, 0},        {"q", VG_STORE_F64, 0},
                                       {"p_largest", VG_STORE_F64, 0}};
    int64_t count = (int64_t)(sizeof members / sizeof *members) - (job->statistics->null == NULL ? 3 : 0);
    VG_TRY(vg_layout_table(job->layout, "/group_regions", members, count, job->space_count * over->count, &over->table));
    VG_TRY(vg_layout_text(
        job->layout, "/group_regions", "units",
        "mean, sem: over subjects of their region means (Pearson's r); p: of that mean, against the shifted responses; q: p by "
        "Benjamini & Hochberg over the regions of a space; p_largest: against the largest of all spaces and regions"));
    return vg_null_layout(job);
}

int64_t vg_statistics_blocks(const fit_job *job)
{
    return job->space_count + 1; /* the last word on each space; the null's own tables */
}

int64_t vg_statistics_regions(const fit_job *job)
{
    return job->subject_count + 6;
}

/* ---- one space ------------------------------------------------------------------------------------------------------------------- */

static vg_status summarize_regions(fit_job *job, int64_t space, const double *rows)
{
    fit_statistics *s = job->statistics;
    double *values;
    VG_TRY(VG_NEW(&values, s->derived.rows, "regions"));
    for (int64_t g = 0; g < s->over.count; g++) {
        int64_t n = 0;
        for (int64_t row = 0; row < s->derived.rows; row++)
            if (s->over.of[row] == g)
                values[n++] = rows[row];
        vg_summary summary = vg_summarize(values, n);
        int64_t at = space * s->over.count + g;
        s->over_n[at] = summary.n;
        s->over_mean[at] = summary.mean;
        s->over_sem[at] = summary.sem;
    }
    free(values);
    return VG_OK;
}

vg_status vg_statistics_space(fit_job *job, int64_t in_chunk, int64_t space, const float *maps)
{
    fit_statistics *s = job->statistics;
    VG_TRY(VG_NEW(&s->group[space], s->derived.total, "group maps"));
    vg_statistics_derive(job, maps, s->group[space]);
    VG_TRY(summarize_regions(job, space, s->group[space] + s->derived.group));
    return vg_null_write(job, in_chunk, space);
}

vg_status vg_statistics_recall(fit_job *job, int64_t space, const float *maps)
{
    fit_statistics *s = job->statistics;
    VG_TRY(VG_NEW(&s->group[space], s->derived.total, "group maps"));
    vg_statistics_derive(job, maps, s->group[space]);
    VG_TRY(summarize_regions(job, space, s->group[space] + s->derived.group));
    return vg_null_recall(job, space);
}

/* ---- after the last one ------------------------------------------------------------------------------------------------------------ */

/* The rows of one space in /group_regions. */
static vg_status write_over(fit_job *job, int64_t space)
{
    const fit_statistics *s = job->statistics;
    const vg_store_space *named = job->spaces[space].any;
    int64_t G = s->over.count, offset = space * G, table = s->over.table;
    const double *mean = s->over_mean + offset, *p = s->over_p + offset;
    size_t element = vg_layout_element(job->layout, table);
    char *records = NULL;
    double *q = NULL;
    vg_status status;
    VG_GO(vg_allocate((void **)&records, G, element, "regions"));
    VG_GO(VG_NEW(&q, 2 * G, "regions"));
    if (s->null != NULL) {
        VG_GO(vg_fdr(p, G, q));
        vg_null_p_largest(mean, G, s->null->region_largest, s->null->shift_count, q + G);
    }
    for (int64_t g = 0; g < G; g++) {
        char *record = records + (size_t)g * element;
        VG_GO(vg_layout_put_text(job->layout, table, record, "model", named->model));
        VG_GO(vg_layout_put_text(job->layout, table, record, "name", named->name));
        VG_GO(vg_layout_put_text(job->layout, table, record, "layer", named->layer != NULL ? named->layer : ""));
        VG_GO(vg_layout_put_text(job->layout, table, record, "region", s->over.names[g]));
        VG_GO(vg_layout_put_integer(job->layout, table, record, "subjects", s->over_n[offset + g]));
        VG_GO(vg_layout_put_number(job->layout, table, record, "mean", mean[g]));
        VG_GO(vg_layout_put_number(job->layout, table, record, "sem", s->over_sem[offset + g]));
        if (s->null == NULL)
            continue;
        VG_GO(vg_layout_put_number(job->layout, table, record, "p", p[g]));
        VG_GO(vg_layout_put_number(job->layout, table, record, "q", q[g]));
        VG_GO(vg_layout_put_number(job->layout, table, record, "p_largest", q[G + g]));
    }
    VG_GO(vg_store_write(job->store, table, &offset, &G, records));
done:
    free(records);
    free(q);
    return status;
}

static vg_status finish_spaces(fit_job *job, int64_t block)
{
    for (int64_t space = 0; space < job->space_count; space++) {
        if (space % vg_comm_ranks(job->comm) != vg_comm_rank(job->comm) || vg_store_whole(job->store, block + space))
            continue;
        VG_TRY(write_over(job, space));
        VG_TRY(vg_null_write_largest(job, space));
        VG_TRY(vg_store_commit(job->store, block + space));
    }
    return VG_OK;
}

vg_status vg_statistics_finish(fit_job *job)
{
    int64_t chunks = (job->space_count + job->chunk_size - 1) / job->chunk_size, block = chunks * job->tile_count + job->space_count;
    vg_status status = VG_OK;
    VG_TRY(vg_null_finish(job));
    VG_AGREE(job->comm, finish_spaces(job, block));
    if (vg_comm_rank(job->comm) == 0 && !vg_store_whole(job->store, block + job->space_count)) {
        status = vg_null_write_shifts(job);
        if (status == VG_OK)
            status = vg_store_commit(job->store, block + job->space_count);
    }
    VG_AGREE(job->comm, status);
    if (vg_comm_rank(job->comm) == 0)
        vg_null_forget(job);
    return VG_OK;
}

void vg_statistics_free(fit_job *job)
{
    fit_statistics *s = job->statistics;
    if (s == NULL)
        return;
    vg_null_free(s->null);
    for (int64_t i = 0; s->group != NULL && i < job->space_count; i++)
        free(s->group[i]);
    free(s->group);
    free(s->offset);
    free((void *)s->over.names);
    free(s->over.of);
    free(s->over_mean);
    free(s->over_sem);
    free(s->over_p);
    free(s->over_n);
    free(s);
    job->statistics = NULL;
}
