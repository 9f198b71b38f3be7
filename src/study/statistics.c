/* statistics: numbers over subjects. Group means by voxel and by region, with the p of the null where there is one; what can be said only
 * once all spaces are there (the largest of all) is written at the end, a block a space. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "choices.h"

/* ---- small pieces ------------------------------------------------------------------------------------------------------------ */

void vg_record_text(fit_record *record, const char *member, const char *text)
{
    if (record->status == VG_OK)
        record->status = vg_layout_put_text(record->layout, record->table, record->at, member, text);
}

void vg_record_integer(fit_record *record, const char *member, int64_t value)
{
    if (record->status == VG_OK)
        record->status = vg_layout_put_integer(record->layout, record->table, record->at, member, value);
}

void vg_record_number(fit_record *record, const char *member, double value)
{
    if (record->status == VG_OK)
        record->status = vg_layout_put_number(record->layout, record->table, record->at, member, value);
}

vg_status vg_sum_integers(vg_comm *comm, int64_t *x, int64_t n)
{
    enum { PIECE = 1 << 20 };
    int ranks = vg_comm_ranks(comm);
    size_t *sizes;
    vg_status status = VG_OK;
    VG_AGREE(comm, VG_NEW(&sizes, ranks, "ranks"));
    for (int64_t first = 0; ranks > 1 && status == VG_OK && first < n; first += PIECE) {
        int64_t count = n - first < PIECE ? n - first : PIECE;
        void *all = NULL;
        status = vg_comm_allgather(comm, x + first, (size_t)count * sizeof(int64_t), &all, sizes);
        for (int64_t i = 0; status == VG_OK && i < count; i++) {
            x[first + i] = 0;
            for (int r = 0; r < ranks; r++)
                x[first + i] += ((const int64_t *)all)[r * count + i];
        }
        free(all);
    }
    free(sizes);
    return status;
}

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
#pragma omp parallel for schedule(static) if (voxels >= 8192)
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
    VG_TRY(VG_NEW(&s->over_p, job->space_count * s->over.count, "regions"));
    VG_TRY(VG_NEW(&s->over_null, job->space_count * s->over.count, "regions"));
    VG_TRY(VG_NEW(&s->plain, 2 * job->space_count * s->over.count, "regions"));
    VG_TRY(VG_NEW(&s->rows, job->space_count * s->derived.rows, "regions"));
    VG_TRY(vg_ceilings_prepare(job));
    VG_TRY(vg_profile_prepare(job));
    VG_TRY(vg_null_prepare(job));
    return vg_choices_prepare(job);
}

void vg_statistics_longest(const fit_job *job, size_t *model, size_t *name, size_t *region)
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
    vg_statistics_longest(job, &model, &name, &region);
    vg_store_member members[20] = {{"model", VG_STORE_TEXT, model},   {"name", VG_STORE_TEXT, name},   {"layer", VG_STORE_TEXT, 8},
                                   {"region", VG_STORE_TEXT, region}, {"subjects", VG_STORE_I64, 0},   {"mean", VG_STORE_F64, 0},
                                   {"sem", VG_STORE_F64, 0},          {"sem_within", VG_STORE_F64, 0}, {"low", VG_STORE_F64, 0},
                                   {"high", VG_STORE_F64, 0},         {"fraction", VG_STORE_F64, 0}};
    static const char *const banded[] = {"unique", "unique_sem"}, *const tested[] = {"p", "q", "p_largest", "null_mean"};
    int64_t count = 11;
    for (int i = 0; vg_fit_banded(job->study) && i < 2; i++)
        members[count++] = (vg_store_member){banded[i], VG_STORE_F64, 0};
    for (int i = 0; job->statistics->null != NULL && i < 4; i++)
        members[count++] = (vg_store_member){tested[i], VG_STORE_F64, 0};
    VG_TRY(vg_layout_table(job->layout, "/group_regions", members, count, job->space_count * over->count, &over->table));
    VG_TRY(vg_layout_text(
        job->layout, "/group_regions", "units",
        "mean, sem: over subjects of their region means of scores; unique, unique_sem: the same of unique variance, which is tested where "
        "it "
        "is there. Of what is tested: sem_within: within subjects, over all spaces of the region; low, high: bootstrap interval over "
        "listeners, which says nothing of chance; p: of the mean, against the shifted responses; q: p by Benjamini & Hochberg over the "
        "regions of a space; p_largest: against the largest of all spaces and regions; null_mean: of the shifts. fraction: of the region's "
        "ceiling, where its "
        "interval does not hold 0: mean over it (unique over its square)"));
    VG_TRY(vg_layout_text(job->layout, "/group_regions", "tested", vg_fit_banded(job->study) ? "unique" : "mean"));
    VG_TRY(vg_layout_number(job->layout, "/group_regions", "level", VG_INTERVAL));
    VG_TRY(vg_layout_integer(job->layout, "/group_regions", "draws", job->study->statistics.bootstrap));
    VG_TRY(vg_ceilings_layout(job));
    VG_TRY(vg_profile_layout(job));
    VG_TRY(vg_choices_layout(job));
    return vg_null_layout(job);
}

int64_t vg_statistics_blocks(const fit_job *job)
{
    return job->space_count + 2 + vg_choices_blocks(job); /* the last word on each space; the null's own tables; ceilings and profile */
}

int64_t vg_statistics_regions(const fit_job *job)
{
    return 4 * job->subject_count + 16 + job->space_count;
}

/* ---- one space ------------------------------------------------------------------------------------------------------------------- */

vg_status vg_over_summarize(const fit_job *job, const double *rows, fit_over_summary *summaries)
{
    const fit_statistics *s = job->statistics;
    double *values;
    VG_TRY(VG_NEW(&values, s->derived.rows, "regions"));
    vg_status status = VG_OK;
    for (int64_t g = 0; status == VG_OK && g < s->over.count; g++) {
        int64_t n = 0;
        for (int64_t row = 0; row < s->derived.rows; row++)
            if (s->over.of[row] == g)
                values[n++] = rows[row];
        summaries[g].summary = vg_summarize(values, n);
        status =
            vg_bootstrap_mean(values, n, job->study->statistics.bootstrap, (uint64_t)job->study->seed, VG_INTERVAL, summaries[g].interval);
    }
    free(values);
    return status;
}

/* The scores, where unique variance is what is tested. */
static vg_status summarize_plain(fit_job *job, int64_t space, const float *plain)
{
    fit_statistics *s = job->statistics;
    int64_t count = s->over.count;
    double *derived = NULL;
    fit_over_summary *over = NULL;
    vg_status status;
    VG_GO(VG_NEW(&derived, s->derived.total, "regions"));
    VG_GO(VG_NEW(&over, count, "regions"));
    vg_statistics_derive(job, plain, derived);
    VG_GO(vg_over_summarize(job, derived + s->derived.group, over));
    for (int64_t g = 0; g < count; g++) {
        s->plain[space * count + g] = over[g].summary.mean;
        s->plain[(job->space_count + space) * count + g] = over[g].summary.sem;
    }
done:
    free(derived);
    free(over);
    return status;
}

vg_status vg_statistics_space(fit_job *job, int64_t in_chunk, int64_t space, const float *maps, const float *plain)
{
    fit_statistics *s = job->statistics;
    if (plain != NULL)
        VG_TRY(summarize_plain(job, space, plain));
    VG_TRY(VG_NEW(&s->group[space], s->derived.total, "group maps"));
    vg_statistics_derive(job, maps, s->group[space]);
    memcpy(s->rows + space * s->derived.rows, s->group[space] + s->derived.group, (size_t)s->derived.rows * sizeof(double));
    VG_TRY(vg_choices_observed(job, space, maps, s->group[space]));
    if (s->null != NULL)
        vg_layers_center(job, space, maps, s->group[space], s->null->sum + in_chunk * (s->voxels + s->derived.total));
    return vg_null_write(job, in_chunk, space);
}

/* ---- after the last one ------------------------------------------------------------------------------------------------------------ */

/* Region means of every space, on every rank. */
static vg_status gather_rows(fit_job *job)
{
    fit_statistics *s = job->statistics;
    int ranks = vg_comm_ranks(job->comm), rank = vg_comm_rank(job->comm);
    int64_t n = s->derived.rows;
    for (int root = 0; root < ranks; root++) {
        int64_t count = (job->space_count - root + ranks - 1) / ranks;
        double *own = NULL;
        VG_AGREE(job->comm, VG_NEW(&own, count * n, "regions"));
        for (int64_t i = 0; rank == root && i < count; i++)
            memcpy(own + i * n, s->rows + (root + i * ranks) * n, (size_t)n * sizeof(double));
        vg_status status = vg_comm_broadcast(job->comm, own, (size_t)(count * n) * sizeof(double), root);
        for (int64_t i = 0; status == VG_OK && i < count; i++)
            memcpy(s->rows + (root + i * ranks) * n, own + i * n, (size_t)n * sizeof(double));
        free(own);
        VG_TRY(status);
    }
    return VG_OK;
}

/* sem (over): within subjects, of one space among all spaces, region by region. */
static vg_status within_subjects(const fit_job *job, int64_t space, double *sem)
{
    const fit_statistics *s = job->statistics;
    double *x = NULL;
    vg_summary *summary = NULL;
    vg_status status;
    VG_GO(VG_NEW(&x, s->derived.rows * job->space_count, "regions"));
    VG_GO(VG_NEW(&summary, job->space_count, "spaces"));
    for (int64_t g = 0; g < s->over.count; g++) {
        int64_t n = 0;
        for (int64_t row = 0; row < s->derived.rows; row++) {
            if (s->over.of[row] != g)
                continue;
            for (int64_t i = 0; i < job->space_count; i++)
                x[n * job->space_count + i] = s->rows[i * s->derived.rows + row];
            n++;
        }
        vg_within_subjects(x, n, job->space_count, summary);
        sem[g] = summary[space].sem;
    }
done:
    free(x);
    free(summary);
    return status;
}

/* What write_over says of a space: numbers over regions. */
typedef struct {
    fit_over_summary *summaries;
    double *within, *mean, *q, *largest; /* of one piece, from `within` on */
} over_numbers;

static vg_status count_over(const fit_job *job, int64_t space, over_numbers *numbers)
{
    const fit_statistics *s = job->statistics;
    int64_t count = s->over.count;
    VG_TRY(VG_NEW(&numbers->summaries, count, "regions"));
    VG_TRY(VG_NEW(&numbers->within, 4 * count, "regions"));
    numbers->mean = numbers->within + count;
    numbers->q = numbers->mean + count;
    numbers->largest = numbers->q + count;
    VG_TRY(vg_over_summarize(job, s->rows + space * s->derived.rows, numbers->summaries));
    VG_TRY(within_subjects(job, space, numbers->within));
    for (int64_t g = 0; g < count; g++)
        numbers->mean[g] = numbers->summaries[g].summary.mean;
    if (s->null == NULL)
        return VG_OK;
    vg_null_p_largest(numbers->mean, count, s->null->region_largest, s->null->shift_count, numbers->largest);
    return vg_fdr(s->over_p + space * count, count, numbers->q);
}

static void put_over(const fit_job *job, int64_t space, int64_t g, const over_numbers *numbers, fit_record *record)
{
    const fit_statistics *s = job->statistics;
    const vg_store_space *named = job->spaces[space].any;
    const fit_over_summary *at = &numbers->summaries[g];
    vg_record_text(record, "model", named->model);
    vg_record_text(record, "name", named->name);
    vg_record_text(record, "layer", named->layer != NULL ? named->layer : "");
    vg_record_text(record, "region", s->over.names[g]);
    vg_record_integer(record, "subjects", at->summary.n);
    bool banded = vg_fit_banded(job->study);
    int64_t plain = space * s->over.count + g;
    double ceiling = vg_ceilings_of(job, g);
    vg_record_number(record, "mean", banded ? s->plain[plain] : at->summary.mean);
    vg_record_number(record, "sem", banded ? s->plain[job->space_count * s->over.count + plain] : at->summary.sem);
    if (banded) {
        vg_record_number(record, "unique", at->summary.mean);
        vg_record_number(record, "unique_sem", at->summary.sem);
    }
    vg_record_number(record, "sem_within", numbers->within[g]);
    vg_record_number(record, "low", at->interval[0]);
    vg_record_number(record, "high", at->interval[1]);
    vg_record_number(record, "fraction", at->summary.mean / (vg_tests_r2(job->study) ? ceiling * ceiling : ceiling));
    if (s->null == NULL)
        return;
    vg_record_number(record, "p", s->over_p[space * s->over.count + g]);
    vg_record_number(record, "q", numbers->q[g]);
    vg_record_number(record, "p_largest", numbers->largest[g]);
    vg_record_number(record, "null_mean", s->over_null[space * s->over.count + g]);
}

/* The rows of one space in /group_regions. */
static vg_status write_over(fit_job *job, int64_t space)
{
    const fit_over *over = &job->statistics->over;
    int64_t offset = space * over->count;
    size_t element = vg_layout_element(job->layout, over->table);
    char *records = NULL;
    over_numbers numbers = {0};
    vg_status status;
    VG_GO(vg_allocate((void **)&records, over->count, element, "regions"));
    VG_GO(count_over(job, space, &numbers));
    for (int64_t g = 0; g < over->count; g++) {
        fit_record record = {job->layout, over->table, records + (size_t)g * element, VG_OK};
        put_over(job, space, g, &numbers, &record);
        VG_GO(record.status);
    }
    VG_GO(vg_store_write(job->store, over->table, &offset, &over->count, records));
done:
    free(records);
    free(numbers.summaries);
    free(numbers.within);
    return status;
}

static vg_status finish_spaces(fit_job *job, int64_t block)
{
    for (int64_t space = 0; space < job->space_count; space++) {
        if (space % vg_comm_ranks(job->comm) != vg_comm_rank(job->comm))
            continue;
        VG_TRY(write_over(job, space));
        VG_TRY(vg_null_write_largest(job, space));
        VG_TRY(vg_store_commit(job->store, block + space));
    }
    return VG_OK;
}

vg_status vg_statistics_finish(fit_job *job)
{
    int64_t block = job->chunk_count * job->tile_count + job->space_count;
    bool first = vg_comm_rank(job->comm) == 0;
    VG_TRY(gather_rows(job));
    VG_TRY(vg_null_finish(job));
    VG_AGREE(job->comm, first ? vg_store_commit(job->store, block + job->space_count) : VG_OK);
    VG_TRY(vg_ceilings_finish(job));
    VG_TRY(vg_profile_finish(job));
    VG_AGREE(job->comm, first ? vg_store_commit(job->store, block + job->space_count + 1) : VG_OK);
    VG_AGREE(job->comm, finish_spaces(job, block));
    return vg_choices_finish(job, block + job->space_count + 2);
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
    vg_ceilings_free(s->ceilings);
    vg_choices_free(job);
    vg_profile_free(s->profile);
    free(s->over_p);
    free(s->over_null);
    free(s->plain);
    free(s->rows);
    free(s);
    job->statistics = NULL;
}
