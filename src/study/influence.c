/* influence: are the layers that move the model's prediction (layer_influence, in the form its entry names) those that predict the brain?
 * Over the layers of a model, with depth taken out of both, since both may just grow with it; against the shifted responses. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "choices.h"

/* What layers of a model do to its prediction (a layer_influence space), and a layered space of the same model. */
typedef struct {
    int64_t space, choice, count;
    double *influence;      /* (count) of layer, mean over words */
    int64_t *layer, *score; /* (count) its number; its space */
} fit_influence;

typedef struct fit_influences {
    fit_influence *at;
    int64_t count;
} fit_influences;

/* The layer that a column of layer_influence speaks of ("layer 03"), among the layers of a layered space: its member, or -1. */
static int64_t member_of(const fit_job *job, const fit_choice *choice, const char *column, int64_t *number)
{
    if (strncmp(column, "layer ", 6) != 0 || !vg_parse_integer(column + 6, strlen(column + 6), number))
        return -1;
    for (int64_t m = 0; m < choice->count; m++) {
        const char *layer = job->spaces[choice->spaces[m]].any->layer;
        int64_t here;
        if (layer != NULL && vg_parse_integer(layer, strlen(layer), &here) && here == *number)
            return m;
    }
    return -1;
}

/* sum (columns), words: over the valid rows of all stories. */
static vg_status sum_influence(const fit_job *job, const fit_space *space, double *sum, int64_t *words)
{
    for (int64_t i = 0; i < job->study->story_count; i++) {
        const vg_store_space *at = space->stories[i];
        float *values = NULL;
        uint8_t *valid = NULL;
        vg_status status;
        if (at == NULL)
            continue;
        VG_GO(VG_NEW(&values, at->words * at->columns, "layer influence"));
        VG_GO(VG_NEW(&valid, at->words * at->columns, "layer influence"));
        VG_GO(vg_features_read(job->features, at, values, valid));
        for (int64_t n = 0; n < at->words; n++)
            for (int64_t j = 0; j < at->columns && valid[n * at->columns]; j++)
                sum[j] += (double)values[n * at->columns + j];
        for (int64_t n = 0; n < at->words; n++)
            *words += valid[n * at->columns];
    done:
        free(values);
        free(valid);
        VG_TRY(status);
    }
    return VG_OK;
}

static vg_status fill_influence(const fit_job *job, int64_t space, int64_t index, fit_influence *influence)
{
    const vg_store_space *any = job->spaces[space].any;
    const fit_choice *choice = &job->statistics->choices->choices[index];
    double *sum;
    int64_t words = 0, number;
    *influence = (fit_influence){.space = space, .choice = index};
    VG_TRY(VG_NEW(&influence->influence, any->columns, "layer influence"));
    VG_TRY(VG_NEW(&influence->layer, any->columns, "layer influence"));
    VG_TRY(VG_NEW(&influence->score, any->columns, "layer influence"));
    VG_TRY(VG_NEW(&sum, any->columns, "layer influence"));
    vg_status status = sum_influence(job, &job->spaces[space], sum, &words);
    for (int64_t j = 0; status == VG_OK && words > 0 && any->column_names != NULL && j < any->columns; j++) {
        int64_t m = member_of(job, choice, any->column_names[j], &number);
        if (m < 0)
            continue;
        influence->influence[influence->count] = sum[j] / (double)words;
        influence->layer[influence->count] = number;
        influence->score[influence->count++] = choice->spaces[m];
    }
    free(sum);
    return status;
}

vg_status vg_influences_list(fit_job *job)
{
    fit_choices *c = job->statistics->choices;
    fit_influences *list;
    VG_TRY(VG_NEW(&c->influences, 1, "layer influence"));
    list = c->influences;
    VG_TRY(VG_NEW(&list->at, job->space_count * c->layered_count, "layer influence"));
    for (int64_t i = 0; i < job->space_count; i++) {
        const vg_store_space *space = job->spaces[i].any;
        if (space->method == NULL || strcmp(space->method, "layer_influence") != 0)
            continue;
        for (int64_t n = 0; n < c->layered_count; n++) {
            fit_influence *at = &list->at[list->count];
            if (strcmp(c->choices[n].model, space->model) != 0)
                continue;
            list->count++;
            VG_TRY(fill_influence(job, i, n, at));
        }
    }
    return VG_OK;
}

void vg_influences_free(fit_choices *c)
{
    for (int64_t i = 0; c->influences != NULL && i < c->influences->count; i++) {
        free(c->influences->at[i].influence);
        free(c->influences->at[i].layer);
        free(c->influences->at[i].score);
    }
    if (c->influences != NULL)
        free(c->influences->at);
    free(c->influences);
}

static double pearson(const double *x, const double *y, int64_t n)
{
    double mean_x = 0, mean_y = 0, xx = 0, yy = 0, xy = 0;
    for (int64_t i = 0; i < n; i++) {
        mean_x += x[i] / (double)n;
        mean_y += y[i] / (double)n;
    }
    for (int64_t i = 0; i < n; i++) {
        xx += (x[i] - mean_x) * (x[i] - mean_x);
        yy += (y[i] - mean_y) * (y[i] - mean_y);
        xy += (x[i] - mean_x) * (y[i] - mean_y);
    }
    return xx > 0 && yy > 0 ? xy / sqrt(xx * yy) : (double)NAN;
}

/* r of influence with score over layers, plain and with depth taken out of both; partial NaN for fewer than 4 layers. */
static void influence_against_score(const fit_job *job, const fit_influence *f, int64_t view, int64_t g, double *scores, double *plain,
                                    double *partial)
{
    const fit_choices *c = job->statistics->choices;
    double *depth = scores + f->count;
    for (int64_t l = 0; l < f->count; l++) {
        scores[l] = c->over[(f->score[l] * c->views + view) * job->statistics->over.count + g];
        depth[l] = (double)f->layer[l];
    }
    double xy = pearson(f->influence, scores, f->count), xz = pearson(f->influence, depth, f->count), yz = pearson(scores, depth, f->count);
    double rest = (1 - xz * xz) * (1 - yz * yz);
    *plain = xy;
    *partial = f->count >= 4 && rest > 1e-12 ? (xy - xz * yz) / sqrt(rest) : (double)NAN;
}

static void put_influence(const fit_job *job, const fit_influence *f, int64_t g, const fit_tally *t, double *scores, fit_record *record)
{
    const fit_statistics *s = job->statistics;
    double plain, partial;
    influence_against_score(job, f, 0, g, scores, &plain, &partial);
    vg_record_text(record, "model", job->spaces[f->space].any->model);
    vg_record_text(record, "influence", job->spaces[f->space].any->name);
    vg_record_text(record, "scores", s->choices->choices[f->choice].name);
    vg_record_text(record, "region", s->over.names[g]);
    vg_record_integer(record, "layers", f->count);
    vg_record_number(record, "r", plain);
    vg_record_number(record, "r_partial", partial);
    vg_record_number(record, "null_mean", vg_tally_mean(t));
    vg_record_number(record, "p", isnan(partial) ? (double)NAN : vg_tally_both(t));
}

/* This rank's shifts, for every row of the table. */
static void count_shifts(const fit_job *job, double *scores, fit_tally *tallies)
{
    const fit_choices *c = job->statistics->choices;
    int64_t over = job->statistics->over.count;
    for (int64_t row = 0; row < c->influences->count * over; row++) {
        const fit_influence *f = &c->influences->at[row / over];
        double plain, observed, partial;
        influence_against_score(job, f, 0, row % over, scores, &plain, &observed);
        for (int64_t view = 1; view < c->views; view++) {
            influence_against_score(job, f, view, row % over, scores, &plain, &partial);
            vg_tally_count(&tallies[row], observed, partial);
        }
    }
}

static vg_status write_influence(fit_job *job, double *scores, const fit_tally *tallies)
{
    const fit_choices *c = job->statistics->choices;
    int64_t over = job->statistics->over.count, rows = c->influences->count * over;
    size_t element = vg_layout_element(job->layout, c->influence_table);
    char *records;
    VG_TRY(vg_allocate((void **)&records, rows, element, "layer influence"));
    vg_status status = VG_OK;
    for (int64_t row = 0; status == VG_OK && row < rows; row++) {
        fit_record record = {job->layout, c->influence_table, records + (size_t)row * element, VG_OK};
        put_influence(job, &c->influences->at[row / over], row % over, &tallies[row], scores, &record);
        status = record.status;
    }
    if (status == VG_OK)
        status = vg_store_write(job->store, c->influence_table, NULL, NULL, records);
    free(records);
    return status;
}

int64_t vg_influences_count(const fit_job *job)
{
    return job->statistics->choices->influences->count;
}

vg_status vg_influences_finish(fit_job *job)
{
    const fit_influences *list = job->statistics->choices->influences;
    int64_t rows = list->count * job->statistics->over.count, widest = 1;
    fit_tally *tallies = NULL;
    double *scores = NULL;
    vg_status status;
    for (int64_t i = 0; i < list->count; i++)
        widest = list->at[i].count > widest ? list->at[i].count : widest;
    status = VG_NEW(&tallies, rows, "layer influence");
    if (status == VG_OK)
        status = VG_NEW(&scores, 2 * widest, "layer influence");
    VG_GO(vg_comm_agree(job->comm, status));
    count_shifts(job, scores, tallies);
    VG_GO(vg_tally_sum(job, tallies, rows));
    status = vg_comm_agree(job->comm, vg_comm_rank(job->comm) == 0 ? write_influence(job, scores, tallies) : VG_OK);
done:
    free(tallies);
    free(scores);
    return status;
}
