/* evidence: one source, or the difference of two, under the observed responses and under every shift: its numbers, their p, and the
 * datasets and tables that say so. The ranks count the shifts they made; counts are whole numbers. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "choices.h"

/* Room for one view of a source or a difference. */
typedef struct {
    float *map, *other_map;
    double *derived, *other_derived;
} view_room;

static vg_status make_room(const fit_job *job, view_room *room)
{
    const fit_statistics *s = job->statistics;
    VG_TRY(VG_NEW(&room->map, 2 * s->voxels, "maps"));
    VG_TRY(VG_NEW(&room->derived, 2 * s->derived.total, "maps"));
    room->other_map = room->map + s->voxels;
    room->other_derived = room->derived + s->derived.total;
    return VG_OK;
}

/* A space under a shift has no map any more, only what was derived of it. */
static void see_source(const fit_job *job, fit_source source, int64_t view, float *map, double *derived)
{
    const fit_choices *c = job->statistics->choices;
    if (source.choice >= 0) {
        vg_choice_map(job, &c->choices[source.choice], view, map);
        vg_statistics_derive(job, map, derived);
    } else {
        memcpy(derived, c->kept[source.space * c->views + view], (size_t)job->statistics->derived.total * sizeof(double));
    }
}

static void see(const fit_job *job, fit_source a, const fit_source *b, int64_t view, view_room *room)
{
    const fit_statistics *s = job->statistics;
    see_source(job, a, view, room->map, room->derived);
    if (b == NULL)
        return;
    see_source(job, *b, view, room->other_map, room->other_derived);
    for (int64_t v = 0; v < s->voxels; v++)
        room->map[v] -= room->other_map[v];
    for (int64_t i = 0; i < s->derived.total; i++)
        room->derived[i] -= room->other_derived[i];
}

/* The observed map of a space lies where it was summarised. */
static vg_status fetch_map(fit_job *job, fit_source source, float *map)
{
    const fit_choices *c = job->statistics->choices;
    int root = (int)(source.space % vg_comm_ranks(job->comm));
    if (source.choice >= 0)
        return VG_OK;
    if (vg_comm_rank(job->comm) == root)
        memcpy(map, c->maps[source.space], (size_t)job->statistics->voxels * sizeof(float));
    return vg_comm_broadcast(job->comm, map, (size_t)job->statistics->voxels * sizeof(float), root);
}

/* counts (2, voxels + derived.total): shifts whose number is no smaller, no larger than the observed one. */
static void count_view(const fit_job *job, const fit_evidence *e, bool voxels, const view_room *room, int64_t *counts)
{
    const fit_statistics *s = job->statistics;
    int64_t *below = counts + s->voxels + s->derived.total;
    for (int64_t v = 0; voxels && v < s->voxels; v++) {
        counts[v] += room->map[v] >= e->map[v];
        below[v] += room->map[v] <= e->map[v];
    }
    counts += s->voxels;
    below += s->voxels;
    for (int64_t i = 0; i < s->derived.total; i++) {
        counts[i] += room->derived[i] >= e->derived[i] - 1e-12;
        below[i] += room->derived[i] <= e->derived[i] + 1e-12;
    }
}

static void make_p(const fit_job *job, const int64_t *counts, bool two_sided, const fit_evidence *e)
{
    const fit_statistics *s = job->statistics;
    int64_t numbers = s->voxels + s->derived.total;
    int64_t shifts = s->null->shift_count;
    for (int64_t i = 0; i < numbers; i++) {
        double observed = i < s->voxels ? (double)e->map[i] : e->derived[i - s->voxels];
        double p = two_sided ? vg_null_p_two_sided(counts[i], counts[numbers + i], shifts) : (double)(counts[i] + 1) / (double)(shifts + 1);
        e->p[i] = isnan(observed) ? (double)NAN : p;
    }
}

static vg_status take_observed(fit_job *job, fit_source a, const fit_source *b, view_room *room, fit_evidence *e)
{
    const fit_statistics *s = job->statistics;
    float *map = room->map;
    see(job, a, NULL, 0, room);
    VG_TRY(fetch_map(job, a, map));
    memcpy(e->map, map, (size_t)s->voxels * sizeof(float));
    memcpy(e->derived, room->derived, (size_t)s->derived.total * sizeof(double));
    if (b == NULL)
        return VG_OK;
    see(job, *b, NULL, 0, room);
    VG_TRY(fetch_map(job, *b, map));
    for (int64_t v = 0; v < s->voxels; v++)
        e->map[v] -= map[v];
    for (int64_t i = 0; i < s->derived.total; i++)
        e->derived[i] -= room->derived[i];
    return VG_OK;
}

static vg_status allocate(const fit_job *job, view_room *room, int64_t **counts, fit_evidence *e)
{
    const fit_statistics *s = job->statistics;
    VG_TRY(make_room(job, room));
    VG_TRY(VG_NEW(&e->map, s->voxels, "maps"));
    VG_TRY(VG_NEW(&e->derived, s->derived.total, "maps"));
    VG_TRY(VG_NEW(counts, 2 * (s->voxels + s->derived.total), "counts of shifts"));
    return s->null != NULL ? VG_NEW(&e->p, s->voxels + s->derived.total, "p-values") : VG_OK;
}

vg_status vg_evidence_collect(fit_job *job, fit_source a, const fit_source *b, bool voxels, fit_evidence *e)
{
    const fit_statistics *s = job->statistics;
    view_room room = {0};
    int64_t *counts = NULL;
    vg_status status;
    *e = (fit_evidence){0};
    VG_AGREE_GO(job->comm, allocate(job, &room, &counts, e));
    VG_GO(take_observed(job, a, b, &room, e));
    if (s->null == NULL)
        goto done;
    for (int64_t view = 1; view < s->choices->views; view++) {
        see(job, a, b, view, &room);
        count_view(job, e, voxels, &room, counts);
    }
    VG_GO(vg_sum_integers(job->comm, counts, 2 * (s->voxels + s->derived.total)));
    make_p(job, counts, b != NULL, e);
done:
    free(room.map);
    free(room.derived);
    free(counts);
    return status;
}

void vg_evidence_free(fit_evidence *e)
{
    free(e->map);
    free(e->derived);
    free(e->p);
    *e = (fit_evidence){0};
}

vg_status vg_evidence_settle(fit_job *job, fit_source a, const fit_source *b, bool voxels, evidence_write *write, const void *of)
{
    fit_evidence e;
    vg_status status = vg_evidence_collect(job, a, b, voxels, &e);
    if (status == VG_OK)
        status = vg_comm_agree(job->comm, vg_comm_rank(job->comm) == 0 ? write(job, &e, of) : VG_OK);
    vg_evidence_free(&e);
    return status;
}

/* ---- numbers of shifts --------------------------------------------------------------------------------------------------------------- */

void vg_tally_count(fit_tally *t, double observed, double x)
{
    if (isnan(x))
        return;
    t->above += x >= observed - 1e-12;
    t->below += x <= observed + 1e-12;
    t->sum += vg_to_exact(x);
    t->count++;
}

vg_status vg_tally_sum(fit_job *job, fit_tally *tallies, int64_t count)
{
    return vg_sum_integers(job->comm, (int64_t *)tallies, count * (int64_t)(sizeof *tallies / sizeof(int64_t)));
}

double vg_tally_mean(const fit_tally *t)
{
    return t->count > 0 ? vg_from_exact(t->sum) / (double)t->count : (double)NAN;
}

double vg_tally_above(const fit_tally *t)
{
    return (double)(t->above + 1) / (double)(t->count + 1);
}

double vg_tally_both(const fit_tally *t)
{
    return vg_null_p_two_sided(t->above, t->below, t->count);
}

/* ---- maps ------------------------------------------------------------------------------------------------------------------------- */

vg_status vg_evidence_write_subjects(fit_job *job, int64_t first, int64_t each, const float *map)
{
    for (int64_t i = 0; i < job->subject_count; i++)
        VG_TRY(vg_store_write(job->store, first + i * each, NULL, NULL, map + job->statistics->offset[i]));
    return VG_OK;
}

vg_status vg_evidence_q(const fit_job *job, const fit_evidence *e, double *q)
{
    for (int64_t i = 0; i < job->subject_count; i++) {
        int64_t at = job->statistics->offset[i];
        VG_TRY(vg_fdr(e->p + at, job->subjects[i].voxels, q + at));
    }
    return VG_OK;
}

static vg_status write_doubles(fit_job *job, int64_t dataset, const double *values, int64_t count, float *narrow)
{
    for (int64_t i = 0; i < count; i++)
        narrow[i] = (float)values[i];
    return vg_store_write(job->store, dataset, NULL, NULL, narrow);
}

vg_status vg_evidence_write_group(fit_job *job, const fit_evidence *e, int64_t mean, int64_t sem, int64_t p, int64_t q)
{
    const fit_statistics *s = job->statistics;
    int64_t voxels = s->derived.group;
    double *numbers = NULL, *over = NULL;
    float *narrow = NULL;
    vg_status status = VG_OK;
    if (!job->same_voxels)
        return VG_OK;
    VG_GO(VG_NEW(&numbers, voxels, "group maps"));
    VG_GO(VG_NEW(&narrow, voxels, "group maps"));
    VG_GO(VG_NEW(&over, job->subject_count, "subjects"));
    VG_GO(write_doubles(job, mean, e->derived, voxels, narrow));
    for (int64_t v = 0; v < voxels; v++) {
        for (int64_t i = 0; i < job->subject_count; i++)
            over[i] = (double)e->map[i * voxels + v];
        numbers[v] = vg_summarize(over, job->subject_count).sem;
    }
    VG_GO(write_doubles(job, sem, numbers, voxels, narrow));
    if (e->p == NULL)
        goto done;
    VG_GO(write_doubles(job, p, e->p + s->voxels, voxels, narrow));
    VG_GO(vg_fdr(e->p + s->voxels, voxels, numbers));
    VG_GO(write_doubles(job, q, numbers, voxels, narrow));
done:
    free(numbers);
    free(narrow);
    free(over);
    return status;
}

vg_status vg_evidence_write_decided(fit_job *job, const fit_evidence *e, int64_t dataset, evidence_decide *decide, const void *of)
{
    const fit_statistics *s = job->statistics;
    int64_t voxels = s->derived.group;
    double *q = NULL;
    float *map = NULL;
    vg_status status;
    if (!job->same_voxels)
        return VG_OK;
    VG_GO(VG_NEW(&q, voxels, "q-values"));
    VG_GO(VG_NEW(&map, voxels, "group maps"));
    VG_GO(vg_fdr(e->p + s->voxels, voxels, q));
    for (int64_t v = 0; v < voxels; v++)
        map[v] = decide(job, e, of, v, q[v]);
    VG_GO(vg_store_write(job->store, dataset, NULL, NULL, map));
done:
    free(q);
    free(map);
    return status;
}

/* ---- tables -------------------------------------------------------------------------------------------------------------------------- */

void vg_evidence_members(const fit_job *job, vg_store_member *members, int64_t *count)
{
    static const char *const names[] = {"mean", "sem", "low", "high", "p", "q"};
    members[(*count)++] = (vg_store_member){"subjects", VG_STORE_I64, 0};
    for (int i = 0; i < (job->statistics->null != NULL ? 6 : 4); i++)
        members[(*count)++] = (vg_store_member){names[i], VG_STORE_F64, 0};
}

static void put_record(const fit_job *job, const fit_over_summary *summary, int64_t g, const double *p, const double *q, fit_record *record)
{
    vg_record_text(record, "region", job->statistics->over.names[g]);
    vg_record_integer(record, "subjects", summary->summary.n);
    vg_record_number(record, "mean", summary->summary.mean);
    vg_record_number(record, "sem", summary->summary.sem);
    vg_record_number(record, "low", summary->interval[0]);
    vg_record_number(record, "high", summary->interval[1]);
    if (p != NULL) {
        vg_record_number(record, "p", p[g]);
        vg_record_number(record, "q", q[g]);
    }
}

vg_status vg_evidence_write_table(fit_job *job, const fit_evidence *e, int64_t table, int64_t before, evidence_put *put, const void *of)
{
    const fit_statistics *s = job->statistics;
    int64_t count = s->over.count, over = s->derived.group + s->derived.rows, offset = before * count;
    const double *p = e->p != NULL ? e->p + s->voxels + over : NULL;
    size_t element = vg_layout_element(job->layout, table);
    fit_over_summary *summaries = NULL;
    double *q = NULL;
    char *records = NULL;
    vg_status status;
    VG_GO(VG_NEW(&summaries, count, "regions"));
    VG_GO(VG_NEW(&q, count, "regions"));
    VG_GO(vg_allocate((void **)&records, count, element, "regions"));
    VG_GO(vg_over_summarize(job, e->derived + s->derived.group, summaries));
    if (p != NULL)
        VG_GO(vg_fdr(p, count, q));
    for (int64_t g = 0; g < count; g++) {
        fit_record record = {job->layout, table, records + (size_t)g * element, VG_OK};
        put_record(job, &summaries[g], g, p, q, &record);
        put(job, e, of, g, &record);
        VG_GO(record.status);
    }
    VG_GO(vg_store_write(job->store, table, &offset, &count, records));
done:
    free(summaries);
    free(q);
    free(records);
    return status;
}
