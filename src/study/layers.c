/* layers: of a layered space, the best layer per voxel and the layers that carry it (encoding.md, "What the study answers"): the preferred
 * layer, where the best one passes its null, and the centre of mass of scores less their null mean. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "choices.h"

/* ---- centre of mass --------------------------------------------------------------------------------------------------------------- */

static void add_excess(double observed, int64_t null_sum, int64_t shifts, int64_t layer, int64_t *by_layer, int64_t *plain)
{
    double excess = observed - vg_from_exact(null_sum) / (double)shifts;
    if (isnan(excess) || excess <= 0)
        return;
    *plain += vg_to_exact(excess);
    *by_layer += layer * vg_to_exact(excess);
}

void vg_layers_center(const fit_job *job, int64_t space, const float *observed, const double *derived, const int64_t *null_sum)
{
    const fit_statistics *s = job->statistics;
    int64_t shifts = s->null->shift_count, numbers = s->voxels + s->derived.total;
    for (int64_t i = 0; i < s->choices->layered_count; i++) {
        const fit_choice *choice = &s->choices->choices[i];
        for (int64_t m = 0; m < choice->count; m++) {
            if (choice->spaces[m] != space)
                continue;
            for (int64_t n = 0; n < numbers; n++)
                add_excess(n < s->voxels ? (double)observed[n] : derived[n - s->voxels], null_sum[n], shifts, m, choice->center + n,
                           choice->center + numbers + n);
        }
    }
}

static double center_of(const fit_job *job, const fit_choice *choice, int64_t n)
{
    int64_t numbers = job->statistics->voxels + job->statistics->derived.total, whole = choice->center[numbers + n];
    return whole > 0 ? (double)choice->center[n] / (double)whole : (double)NAN;
}

/* ---- layout ------------------------------------------------------------------------------------------------------------------------- */

static vg_status layout_subject(fit_job *job, fit_choice *choice, int64_t i)
{
    const char *subject = job->subjects[i].study->name;
    int64_t voxels = job->subjects[i].voxels, at[4];
    VG_TRY(vg_map_add(job, voxels, "score of the best layer, chosen per outer fold on inner folds", &at[0],
                      "/layers/maps/%s/%s/subjects/%s/score", choice->model, choice->name, subject));
    choice->each = 1;
    if (job->statistics->null != NULL) {
        VG_TRY(vg_map_add(job, voxels, "of score: the same choice made of every shift", &at[1], "/layers/maps/%s/%s/subjects/%s/p",
                          choice->model, choice->name, subject));
        VG_TRY(vg_map_add(job, voxels,
                          "layer (by its place in `layers`) with the largest mean inner score; NaN where the best layer does not pass",
                          &at[2], "/layers/maps/%s/%s/subjects/%s/preferred", choice->model, choice->name, subject));
        VG_TRY(
            vg_map_add(job, voxels,
                       "mean place in `layers`, weighted by score less its null mean, clipped at 0; NaN where the best layer does not pass",
                       &at[3], "/layers/maps/%s/%s/subjects/%s/center_of_mass", choice->model, choice->name, subject));
        choice->each = 4;
    }
    if (i == 0) {
        choice->score = at[0];
        choice->p = at[0] + 1;
        choice->preferred = at[0] + 2;
        choice->center_map = at[0] + 3;
    }
    return VG_OK;
}

static vg_status layout_group(fit_job *job, fit_choice *choice)
{
    int64_t voxels = job->statistics->derived.group;
    const char *model = choice->model, *name = choice->name;
    if (!job->same_voxels)
        return VG_OK;
    VG_TRY(vg_map_add(job, voxels, "mean over subjects of the best layer's score", &choice->mean, "/layers/maps/%s/%s/group/mean", model,
                      name));
    VG_TRY(vg_map_add(job, voxels, "standard error over subjects of mean", &choice->sem, "/layers/maps/%s/%s/group/sem", model, name));
    if (job->statistics->null == NULL)
        return VG_OK;
    VG_TRY(vg_map_add(job, voxels, "of mean, against shifts", &choice->group_p, "/layers/maps/%s/%s/group/p", model, name));
    VG_TRY(vg_map_add(job, voxels, "p by Benjamini & Hochberg", &choice->group_q, "/layers/maps/%s/%s/group/q", model, name));
    VG_TRY(vg_map_add(job, voxels, "layer (by its place in `layers`) with the largest mean inner score over subjects; NaN as below",
                      &choice->group_preferred, "/layers/maps/%s/%s/group/preferred", model, name));
    return vg_map_add(job, voxels, "as of a subject, of group means; NaN where the best layer does not pass", &choice->group_center,
                      "/layers/maps/%s/%s/group/center_of_mass", model, name);
}

static vg_status layout_choice(fit_job *job, fit_choice *choice)
{
    const char **layers;
    char *path = NULL;
    for (int64_t i = 0; i < job->subject_count; i++)
        VG_TRY(layout_subject(job, choice, i));
    VG_TRY(layout_group(job, choice));
    VG_TRY(VG_NEW(&layers, choice->count, "layers"));
    for (int64_t m = 0; m < choice->count; m++)
        layers[m] = job->spaces[choice->spaces[m]].any->layer != NULL ? job->spaces[choice->spaces[m]].any->layer : "";
    vg_status status = vg_format(&path, "/layers/maps/%s/%s", choice->model, choice->name);
    if (status == VG_OK)
        status = vg_layout_texts(job->layout, path, "layers", layers, choice->count);
    free(path);
    free((void *)layers);
    return status;
}

static vg_status layout_correlation(fit_job *job, size_t text)
{
    fit_choices *c = job->statistics->choices;
    int64_t pairs = c->layered_count * (c->layered_count - 1);
    char *spins;
    const vg_store_member agree[] = {{"model_a", VG_STORE_TEXT, text}, {"name_a", VG_STORE_TEXT, text}, {"model_b", VG_STORE_TEXT, text},
                                     {"name_b", VG_STORE_TEXT, text},  {"subjects", VG_STORE_I64, 0},   {"voxels", VG_STORE_I64, 0},
                                     {"r", VG_STORE_F64, 0},           {"null_mean", VG_STORE_F64, 0},  {"p", VG_STORE_F64, 0},
                                     {"spins", VG_STORE_I64, 0},       {"spin_mean", VG_STORE_F64, 0},  {"p_spin", VG_STORE_F64, 0}};
    VG_TRY(vg_layout_table(job->layout, "/layers/correlation", agree, sizeof agree / sizeof *agree, pairs, &c->correlation_table));
    VG_TRY(vg_layout_text(job->layout, "/layers/correlation", "units",
                          "r: over voxels where both best layers pass, between the layer that is best on odd outer folds of a and on even "
                          "ones of b, mean over subjects; null_mean, p: of the same under shifts, one-sided; spins, spin_mean, p_spin: "
                          "rotations of a's layers on the sphere that left enough places where both pass, and the same under them; NaN "
                          "where there is none"));
    VG_TRY(vg_spins_about(job, &spins));
    vg_status status = vg_layout_text(job->layout, "/layers/correlation", "spins", spins);
    free(spins);
    return status;
}

static vg_status layout_tables(fit_job *job, size_t text)
{
    fit_choices *c = job->statistics->choices;
    const vg_store_member influence[] = {
        {"model", VG_STORE_TEXT, text},  {"influence", VG_STORE_TEXT, text}, {"scores", VG_STORE_TEXT, text},
        {"region", VG_STORE_TEXT, text}, {"layers", VG_STORE_I64, 0},        {"r", VG_STORE_F64, 0},
        {"r_partial", VG_STORE_F64, 0},  {"null_mean", VG_STORE_F64, 0},     {"p", VG_STORE_F64, 0}};
    VG_TRY(layout_correlation(job, text));
    VG_TRY(vg_influences_list(job));
    VG_TRY(vg_layout_table(job->layout, "/layers/influence", influence, sizeof influence / sizeof *influence,
                           vg_influences_count(job) * job->statistics->over.count, &c->influence_table));
    return vg_layout_text(job->layout, "/layers/influence", "units",
                          "r: over layers, between influence (mean over words) and score (mean over subjects); r_partial: depth taken out "
                          "of both; null_mean, p: of r_partial under shifts, two-sided");
}

vg_status vg_layers_layout(fit_job *job)
{
    fit_choices *c = job->statistics->choices;
    size_t text = 1;
    if (c->layered_count == 0)
        return VG_OK;
    for (int64_t i = 0; i < job->space_count; i++) {
        size_t model = strlen(job->spaces[i].any->model), name = strlen(job->spaces[i].any->name);
        text = model > text ? model : text;
        text = name > text ? name : text;
    }
    for (int64_t g = 0; g < job->statistics->over.count; g++)
        text = strlen(job->statistics->over.names[g]) > text ? strlen(job->statistics->over.names[g]) : text;
    for (int64_t i = 0; i < c->layered_count; i++)
        VG_TRY(layout_choice(job, &c->choices[i]));
    vg_store_member members[16] = {{"model", VG_STORE_TEXT, text}, {"name", VG_STORE_TEXT, text}, {"region", VG_STORE_TEXT, text}};
    int64_t count = 3;
    vg_evidence_members(job, members, &count);
    if (job->statistics->null != NULL) {
        members[count++] = (vg_store_member){"passing", VG_STORE_F64, 0};
        members[count++] = (vg_store_member){"center_of_mass", VG_STORE_F64, 0};
    }
    VG_TRY(
        vg_layout_table(job->layout, "/layers/regions", members, count, c->layered_count * job->statistics->over.count, &c->layer_table));
    VG_TRY(vg_layout_text(job->layout, "/layers/regions", "units",
                          "mean, sem, low, high, p, q: as in /group_regions, of the best layer (chosen per voxel and outer fold on inner "
                          "folds); passing: share of voxels whose best layer passes, mean over subjects; center_of_mass: of region means "
                          "less their null mean, by place among the layers"));
    return job->statistics->null != NULL ? layout_tables(job, text) : VG_OK;
}

/* ---- one layered space ----------------------------------------------------------------------------------------------------------------
 */

/* Where the best layer passes, and its maps there. */
static vg_status write_preference(fit_job *job, const fit_choice *choice, const fit_evidence *e, bool write)
{
    const fit_statistics *s = job->statistics;
    const fit_choices *c = s->choices;
    const float *preferred = choice->state[0] + (2 * c->outer + STATE_PREFERRED) * s->voxels;
    double *q = NULL;
    float *map = NULL;
    vg_status status;
    VG_GO(VG_NEW(&q, s->voxels, "q-values"));
    VG_GO(VG_NEW(&map, s->voxels, "layers"));
    VG_GO(vg_evidence_q(job, e, q));
    for (int64_t v = 0; v < s->voxels; v++)
        choice->passes[v] = q[v] < job->study->statistics.level;
    if (!write)
        goto done;
    for (int64_t v = 0; v < s->voxels; v++)
        map[v] = (float)e->p[v];
    VG_GO(vg_evidence_write_subjects(job, choice->p, choice->each, map));
    for (int64_t v = 0; v < s->voxels; v++)
        map[v] = choice->passes[v] ? preferred[v] : NAN;
    VG_GO(vg_evidence_write_subjects(job, choice->preferred, choice->each, map));
    for (int64_t v = 0; v < s->voxels; v++)
        map[v] = choice->passes[v] ? (float)center_of(job, choice, v) : NAN;
    VG_GO(vg_evidence_write_subjects(job, choice->center_map, choice->each, map));
done:
    free(q);
    free(map);
    return status;
}

static float decide_center(const fit_job *job, const fit_evidence *e, const void *of, int64_t v, double q)
{
    (void)e;
    return q < job->study->statistics.level ? (float)center_of(job, of, job->statistics->voxels + v) : NAN;
}

/* The layer with the largest mean over subjects of inner scores; the first where equal. */
static float decide_preferred(const fit_job *job, const fit_evidence *e, const void *of, int64_t v, double q)
{
    const fit_choice *choice = of;
    int64_t best = 0, voxels = job->statistics->derived.group;
    (void)e;
    for (int64_t m = 1; m < choice->count; m++)
        best = choice->inner[m * voxels + v] > choice->inner[best * voxels + v] ? m : best;
    return q < job->study->statistics.level ? (float)best : NAN;
}

/* Share of a region's voxels that pass, mean over the subjects that have it. */
static double passing(const fit_job *job, const fit_choice *choice, int64_t g)
{
    const fit_statistics *s = job->statistics;
    double sum = 0;
    int64_t row = 0, subjects = 0;
    for (int64_t i = 0; i < job->subject_count; i++)
        for (int64_t r = 0; r < job->subjects[i].regions.count; r++, row++) {
            const vg_region *region = &job->subjects[i].regions.regions[r];
            int64_t pass = 0;
            if (s->over.of[row] != g || region->count == 0)
                continue;
            for (int64_t n = 0; n < region->count; n++)
                pass += choice->passes[s->offset[i] + region->voxels[n]];
            sum += (double)pass / (double)region->count;
            subjects++;
        }
    return subjects > 0 ? sum / (double)subjects : (double)NAN;
}

static void put_region(const fit_job *job, const fit_evidence *e, const void *of, int64_t g, fit_record *record)
{
    const fit_statistics *s = job->statistics;
    const fit_choice *choice = of;
    vg_record_text(record, "model", choice->model);
    vg_record_text(record, "name", choice->name);
    if (e->p == NULL)
        return;
    vg_record_number(record, "passing", passing(job, choice, g));
    vg_record_number(record, "center_of_mass", center_of(job, choice, s->voxels + s->derived.group + s->derived.rows + g));
}

static vg_status write_choice(fit_job *job, int64_t index, const fit_evidence *e, bool first)
{
    const fit_choice *choice = &job->statistics->choices->choices[index];
    if (e->p != NULL)
        VG_TRY(write_preference(job, choice, e, first));
    if (!first)
        return VG_OK;
    VG_TRY(vg_evidence_write_subjects(job, choice->score, choice->each, e->map));
    VG_TRY(vg_evidence_write_group(job, e, choice->mean, choice->sem, choice->group_p, choice->group_q));
    if (e->p != NULL) {
        VG_TRY(vg_evidence_write_decided(job, e, choice->group_center, decide_center, choice));
        VG_TRY(vg_evidence_write_decided(job, e, choice->group_preferred, decide_preferred, choice));
    }
    return vg_evidence_write_table(job, e, job->statistics->choices->layer_table, index, put_region, choice);
}

vg_status vg_layers_finish(fit_job *job, int64_t index)
{
    const fit_statistics *s = job->statistics;
    fit_evidence e = {0};
    vg_status status;
    const fit_choice *choice = &s->choices->choices[index];
    if (s->null != NULL)
        VG_TRY(vg_sum_integers(job->comm, choice->center, 2 * (s->voxels + s->derived.total)));
    if (choice->inner != NULL)
        VG_TRY(vg_sum_integers(job->comm, choice->inner, choice->count * s->derived.group));
    VG_GO(vg_evidence_collect(job, (fit_source){-1, index}, NULL, true, &e));
    status = vg_comm_agree(job->comm, write_choice(job, index, &e, vg_comm_rank(job->comm) == 0));
done:
    vg_evidence_free(&e);
    return status;
}

vg_status vg_layers_finish_tables(fit_job *job)
{
    if (job->statistics->null == NULL || job->statistics->choices->layered_count == 0)
        return VG_OK;
    VG_TRY(vg_agreement_finish(job));
    return vg_influences_finish(job);
}
