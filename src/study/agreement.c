/* agreement: do two layered spaces prefer the same layers in the same voxels? The preference of one is taken from odd outer folds, of the
 * other from even ones, so that they share no noise; against the shifted responses, since unrelated ones agree already; and on surfaces
 * against spins of the sphere (spins.c). */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "choices.h"

/* Pearson's r of x and y over the n places where `mask` says; NaN for fewer than 3, or where one is constant. */
static double correlate(const float *x, const float *y, const uint8_t *a, const uint8_t *b, int64_t n)
{
    double mean_x = 0, mean_y = 0, xx = 0, yy = 0, xy = 0;
    int64_t count = 0;
    for (int64_t v = 0; v < n; v++)
        if (a[v] && b[v]) {
            mean_x += (double)x[v];
            mean_y += (double)y[v];
            count++;
        }
    for (int64_t v = 0; v < n; v++)
        if (a[v] && b[v]) {
            double dx = (double)x[v] - mean_x / (double)count, dy = (double)y[v] - mean_y / (double)count;
            xx += dx * dx;
            yy += dy * dy;
            xy += dx * dy;
        }
    return count >= 3 && xx > 0 && yy > 0 ? xy / sqrt(xx * yy) : (double)NAN;
}

/* Mean over subjects of the correlation of a's preference on odd folds with b's on even ones. */
static double agreement(const fit_job *job, const fit_choice *a, const fit_choice *b, int64_t view, int64_t *subjects)
{
    const fit_statistics *s = job->statistics;
    int64_t outer = s->choices->outer;
    const float *odd = a->state[view] + (2 * outer + STATE_ODD_LAYER) * s->voxels;
    const float *even = b->state[view] + (2 * outer + STATE_EVEN_LAYER) * s->voxels;
    double sum = 0;
    *subjects = 0;
    for (int64_t i = 0; i < job->subject_count; i++) {
        int64_t at = s->offset[i];
        double r = correlate(odd + at, even + at, a->passes + at, b->passes + at, job->subjects[i].voxels);
        sum += isnan(r) ? 0 : r;
        *subjects += !isnan(r);
    }
    return *subjects > 0 ? sum / (double)*subjects : (double)NAN;
}

static void put_null(fit_record *record, double r, const fit_tally *shifts, const fit_tally *spins)
{
    vg_record_number(record, "null_mean", vg_tally_mean(shifts));
    vg_record_number(record, "p", isnan(r) ? (double)NAN : vg_tally_above(shifts));
    vg_record_integer(record, "spins", spins->count);
    vg_record_number(record, "spin_mean", vg_tally_mean(spins));
    vg_record_number(record, "p_spin", spins->count == 0 ? (double)NAN : vg_tally_above(spins));
}

static vg_status write_agreement(fit_job *job, const fit_tally *shifts, const fit_tally *spins)
{
    const fit_choices *c = job->statistics->choices;
    size_t element = vg_layout_element(job->layout, c->correlation_table);
    int64_t pair = 0;
    char *records;
    VG_TRY(vg_allocate((void **)&records, c->layered_count * (c->layered_count - 1), element, "layers"));
    vg_status status = VG_OK;
    for (int64_t i = 0; i < c->layered_count; i++)
        for (int64_t j = 0; j < c->layered_count; j++) {
            if (i == j || status != VG_OK)
                continue;
            const fit_choice *a = &c->choices[i], *b = &c->choices[j];
            fit_record record = {job->layout, c->correlation_table, records + (size_t)pair * element, VG_OK};
            int64_t subjects, voxels = 0;
            double r = agreement(job, a, b, 0, &subjects);
            for (int64_t v = 0; v < job->statistics->voxels; v++)
                voxels += a->passes[v] && b->passes[v];
            vg_record_text(&record, "model_a", a->model);
            vg_record_text(&record, "name_a", a->name);
            vg_record_text(&record, "model_b", b->model);
            vg_record_text(&record, "name_b", b->name);
            vg_record_integer(&record, "subjects", subjects);
            vg_record_integer(&record, "voxels", voxels);
            vg_record_number(&record, "r", r);
            put_null(&record, r, &shifts[pair], &spins[pair]);
            status = record.status;
            pair++;
        }
    if (status == VG_OK)
        status = vg_store_write(job->store, c->correlation_table, NULL, NULL, records);
    free(records);
    return status;
}

static void count_shifts(const fit_job *job, fit_tally *tallies)
{
    const fit_choices *c = job->statistics->choices;
    int64_t subjects;
    for (int64_t i = 0; i < c->layered_count; i++)
        for (int64_t j = 0; j < c->layered_count; j++) {
            if (i == j)
                continue;
            double observed = agreement(job, &c->choices[i], &c->choices[j], 0, &subjects);
            for (int64_t view = 1; view < c->views; view++)
                vg_tally_count(tallies, observed, agreement(job, &c->choices[i], &c->choices[j], view, &subjects));
            tallies++;
        }
}

vg_status vg_agreement_finish(fit_job *job)
{
    const fit_choices *c = job->statistics->choices;
    int64_t pairs = c->layered_count * (c->layered_count - 1);
    fit_tally *shifts, *spins;
    VG_AGREE(job->comm, VG_NEW(&shifts, 2 * pairs, "layers"));
    spins = shifts + pairs;
    count_shifts(job, shifts);
    vg_status status = vg_comm_agree(job->comm, vg_spins_count(job, spins));
    if (status == VG_OK)
        status = vg_tally_sum(job, shifts, 2 * pairs);
    if (status == VG_OK)
        status = vg_comm_agree(job->comm, vg_comm_rank(job->comm) == 0 ? write_agreement(job, shifts, spins) : VG_OK);
    free(shifts);
    return status;
}
