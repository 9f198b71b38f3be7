/* winners: two families, voxel by voxel: whose best space is better, where the difference passes its null (families.c says which). */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "choices.h"

/* Mean over outer folds of the best inner score: what says which family is better without a test row. */
static double inner_score(const fit_job *job, const fit_choice *choice, int64_t v)
{
    const fit_choices *c = job->statistics->choices;
    double sum = 0;
    int64_t n = 0;
    for (int64_t k = 0; k < c->outer; k++) {
        double x = (double)choice->state[0][k * job->statistics->voxels + v];
        sum += isnan(x) ? 0 : x;
        n += !isnan(x);
    }
    return n > 0 ? sum / (double)n : (double)NAN;
}

static float decide(double difference, double inner, double q, double level)
{
    if (isnan(difference))
        return NAN;
    return q < level && difference * inner > 0 ? (difference > 0 ? 1.0f : -1.0f) : 0.0f;
}

static vg_status decide_subjects(const fit_job *job, const fit_difference *d, const fit_evidence *e, double *q, float *winner)
{
    const fit_choices *c = job->statistics->choices;
    VG_TRY(vg_evidence_q(job, e, q));
    for (int64_t v = 0; v < job->statistics->voxels; v++) {
        double inner = inner_score(job, &c->choices[d->a.choice], v) - inner_score(job, &c->choices[d->b.choice], v);
        winner[v] = decide((double)e->map[v], inner, q[v], job->study->statistics.level);
    }
    return VG_OK;
}

static float decide_group(const fit_job *job, const fit_evidence *e, const void *of, int64_t v, double q)
{
    const fit_difference *d = of;
    const fit_choice *choices = job->statistics->choices->choices;
    double inner = 0;
    for (int64_t i = 0; i < job->subject_count; i++) {
        int64_t at = i * job->statistics->derived.group + v;
        double of_subject = inner_score(job, &choices[d->a.choice], at) - inner_score(job, &choices[d->b.choice], at);
        inner += isnan(of_subject) ? 0 : of_subject;
    }
    return decide(e->derived[v], inner, q, job->study->statistics.level);
}

static vg_status write_maps(fit_job *job, const fit_difference *d, const fit_evidence *e, const double *q, const float *winner)
{
    const fit_statistics *s = job->statistics;
    float *map;
    VG_TRY(vg_evidence_write_subjects(job, d->difference, d->each, e->map));
    VG_TRY(vg_evidence_write_group(job, e, d->mean, d->sem, d->group_p, d->group_q));
    if (e->p == NULL)
        return VG_OK;
    VG_TRY(VG_NEW(&map, s->voxels, "maps"));
    for (int64_t v = 0; v < s->voxels; v++)
        map[v] = (float)e->p[v];
    vg_status status = vg_evidence_write_subjects(job, d->difference + 1, d->each, map);
    for (int64_t v = 0; v < s->voxels; v++)
        map[v] = (float)q[v];
    if (status == VG_OK)
        status = vg_evidence_write_subjects(job, d->difference + 2, d->each, map);
    if (status == VG_OK)
        status = vg_evidence_write_subjects(job, d->difference + 3, d->each, winner);
    free(map);
    return status == VG_OK ? vg_evidence_write_decided(job, e, d->group_winner, decide_group, d) : status;
}

/* Share of a region's usable voxels with this winner, mean over the subjects that have it. */
static double share(const fit_job *job, const float *winner, int64_t g, float who)
{
    const fit_statistics *s = job->statistics;
    double sum = 0;
    int64_t row = 0, subjects = 0;
    for (int64_t i = 0; i < job->subject_count; i++)
        for (int64_t r = 0; r < job->subjects[i].regions.count; r++, row++) {
            const vg_region *region = &job->subjects[i].regions.regions[r];
            int64_t won = 0, usable = 0;
            for (int64_t n = 0; s->over.of[row] == g && n < region->count; n++) {
                float here = winner[s->offset[i] + region->voxels[n]];
                won += here == who;
                usable += !isnan(here);
            }
            sum += usable > 0 ? (double)won / (double)usable : 0;
            subjects += usable > 0;
        }
    return subjects > 0 ? sum / (double)subjects : (double)NAN;
}

typedef struct {
    const fit_difference *of;
    const float *winner;
} decided;

static void put(const fit_job *job, const fit_evidence *e, const void *of, int64_t g, fit_record *record)
{
    const decided *at = of;
    vg_record_text(record, "a", at->of->a_name);
    vg_record_text(record, "b", at->of->b_name);
    if (e->p == NULL)
        return;
    vg_record_number(record, "won_a", share(job, at->winner, g, 1));
    vg_record_number(record, "won_b", share(job, at->winner, g, -1));
    vg_record_number(record, "tied", share(job, at->winner, g, 0));
}

static vg_status write(fit_job *job, const fit_evidence *e, const void *of)
{
    const fit_difference *d = of;
    double *q = NULL;
    float *winner = NULL;
    vg_status status;
    VG_GO(VG_NEW(&q, job->statistics->voxels, "q-values"));
    VG_GO(VG_NEW(&winner, job->statistics->voxels, "winners"));
    if (e->p != NULL)
        VG_GO(decide_subjects(job, d, e, q, winner));
    VG_GO(write_maps(job, d, e, q, winner));
    VG_GO(vg_evidence_write_table(job, e, job->statistics->choices->difference_table, d->row, put, &(decided){d, winner}));
done:
    free(q);
    free(winner);
    return status;
}

vg_status vg_families_compare(fit_job *job, int64_t index)
{
    const fit_difference *d = &job->statistics->choices->differences[index];
    return vg_evidence_settle(job, d->a, &d->b, true, write, d);
}
