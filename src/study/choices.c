/* choices: the layered spaces and families of a study, and the running best of each under the observed responses and every shift of this
 * rank. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "choices.h"

/* ---- names --------------------------------------------------------------------------------------------------------------------- */

bool vg_space_is(const vg_store_space *space, const char *text)
{
    char full[1024], named[1024];
    const char *layer = space->layer != NULL ? space->layer : "", *slash = space->layer != NULL ? "/" : "";
    snprintf(full, sizeof full, "%s/%s%s%s", space->model, space->name, slash, layer);
    snprintf(named, sizeof named, "%s/%s", space->model, space->name);
    const char *without = full + strlen(space->model) + 1;
    return strcmp(text, full) == 0 || strcmp(text, named) == 0 || strcmp(text, without) == 0 || strcmp(text, space->name) == 0;
}

vg_status vg_source_name(const fit_job *job, fit_source source, char **name)
{
    if (source.choice >= 0) {
        const fit_choice *choice = &job->statistics->choices->choices[source.choice];
        return vg_format(name, "%s%s%s", choice->model, *choice->model != '\0' ? "/" : "", choice->name);
    }
    const vg_store_space *space = job->spaces[source.space].any;
    return vg_format(name, "%s/%s%s%s", space->model, space->name, space->layer != NULL ? "/" : "",
                     space->layer != NULL ? space->layer : "");
}

vg_status vg_map_add(fit_job *job, int64_t voxels, const char *units, int64_t *dataset, const char *format, ...)
{
    char path[1400];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(path, sizeof path, format, arguments);
    va_end(arguments);
    if (length < 0 || (size_t)length >= sizeof path)
        return vg_fail(VG_INVALID, "the names of %.80s... are too long together", path);
    VG_TRY(vg_layout_dataset(job->layout, path, VG_STORE_F32, 0, 1, &voxels, dataset));
    return vg_layout_text(job->layout, path, "units", units);
}

/* ---- which there are ------------------------------------------------------------------------------------------------------------ */

vg_status vg_choice_add(fit_choices *c, const char *model, const char *name, bool layered, const int64_t *spaces, int64_t count)
{
    fit_choice *grown = realloc(c->choices, (size_t)(c->choice_count + 1) * sizeof *grown);
    if (grown == NULL)
        return vg_fail(VG_NO_MEMORY, "no memory for a list of families");
    c->choices = grown;
    fit_choice *choice = &grown[c->choice_count++];
    *choice = (fit_choice){.layered = layered, .count = count, .mean = -1, .sem = -1, .group_p = -1, .group_q = -1, .group_center = -1};
    c->layered_count += layered;
    VG_TRY(vg_format(&choice->model, "%s", model));
    VG_TRY(vg_format(&choice->name, "%s", name));
    VG_TRY(VG_NEW(&choice->spaces, count, "spaces"));
    for (int64_t i = 0; i < count; i++) {
        choice->spaces[i] = spaces[i];
        c->chosen[spaces[i]] = true;
    }
    return VG_OK;
}

/* Layers follow each other in the list of spaces. */
static vg_status list_layered(fit_job *job)
{
    int64_t *members, count;
    VG_TRY(VG_NEW(&members, job->space_count, "spaces"));
    vg_status status = VG_OK;
    for (int64_t first = 0; status == VG_OK && first < job->space_count; first += count) {
        const vg_store_space *at = job->spaces[first].any;
        for (count = 0; first + count < job->space_count; count++) {
            const vg_store_space *other = job->spaces[first + count].any;
            if (strcmp(at->model, other->model) != 0 || strcmp(at->name, other->name) != 0)
                break;
            members[count] = first + count;
        }
        if (count > 1)
            status = vg_choice_add(job->statistics->choices, at->model, at->name, true, members, count);
    }
    free(members);
    return status;
}

vg_status vg_difference_add(fit_job *job, fit_source a, fit_source b, bool families)
{
    fit_choices *c = job->statistics->choices;
    fit_difference *grown = realloc(c->differences, (size_t)(c->difference_count + 1) * sizeof *grown);
    if (grown == NULL)
        return vg_fail(VG_NO_MEMORY, "no memory for a list of contrasts");
    c->differences = grown;
    fit_difference *d = &grown[c->difference_count++];
    *d = (fit_difference){.a = a, .b = b, .families = families, .mean = -1, .sem = -1, .group_p = -1, .group_q = -1, .group_winner = -1};
    d->row = families ? c->family_differences : c->difference_count - 1 - c->family_differences;
    c->family_differences += families;
    if (a.space >= 0)
        c->contrasted[a.space] = true;
    if (b.space >= 0)
        c->contrasted[b.space] = true;
    VG_TRY(vg_source_name(job, a, &d->a_name));
    return vg_source_name(job, b, &d->b_name);
}

/* ---- memory ----------------------------------------------------------------------------------------------------------------------- */

static int64_t my_shifts(const fit_job *job)
{
    const fit_null *null = job->statistics->null;
    int64_t mine = 0, ranks = vg_comm_ranks(job->comm), rank = vg_comm_rank(job->comm);
    for (int64_t i = 0; null != NULL && i < null->shift_count; i++)
        mine += i / null->batch % ranks == rank;
    return mine;
}

static int64_t state_rows(const fit_choices *c, const fit_choice *choice)
{
    return 2 * c->outer + (choice->layered ? STATE_ROWS : 0);
}

/* What is remembered of all shifts must fit beside the fits. */
static vg_status check_memory(const fit_job *job)
{
    const fit_statistics *s = job->statistics;
    const fit_choices *c = s->choices;
    double bytes = 0, limit = (double)vg_memory_of(job->study, vg_comm_local_ranks(job->comm)).bytes;
    for (int64_t i = 0; i < c->choice_count; i++)
        bytes += (double)(state_rows(c, &c->choices[i]) * c->views * s->voxels) * sizeof(float);
    for (int64_t i = 0; i < job->space_count; i++)
        bytes += c->contrasted[i] ? (double)(c->views * s->derived.total) * sizeof(double) : 0;
    if (bytes <= 0.4 * limit)
        return VG_OK;
    return vg_fail(
        VG_NO_MEMORY,
        "layers, families and contrasts remember %.1f GB of %lld shifts a rank, and a rank may take %.1f GB in all: use more ranks, "
        "fewer null.shifts, families: none or layers: none",
        bytes / 1e9, (long long)c->views - 1, limit / 1e9);
}

static vg_status make_states(const fit_job *job)
{
    const fit_statistics *s = job->statistics;
    fit_choices *c = s->choices;
    for (int64_t i = 0; i < c->choice_count; i++) {
        fit_choice *choice = &c->choices[i];
        int64_t numbers = state_rows(c, choice) * s->voxels;
        VG_TRY(VG_NEW(&choice->state, c->views, "shifts"));
        for (int64_t view = 0; view < c->views; view++) {
            VG_TRY(VG_NEW(&choice->state[view], numbers, "scores of the best spaces"));
            for (int64_t n = 0; n < numbers; n++)
                choice->state[view][n] = NAN;
        }
        if (s->null == NULL || !choice->layered)
            continue;
        VG_TRY(VG_NEW(&choice->center, 2 * (s->voxels + s->derived.total), "centres of mass"));
        VG_TRY(VG_NEW(&choice->passes, s->voxels, "voxels"));
        VG_TRY(VG_NEW(&choice->inner, choice->count * s->derived.group, "scores of layers"));
    }
    VG_TRY(VG_NEW(&c->kept, job->space_count * c->views, "contrasts"));
    VG_TRY(VG_NEW(&c->maps, job->space_count, "contrasts"));
    for (int64_t i = 0; i < job->space_count * c->views; i++)
        if (c->contrasted[i / c->views])
            VG_TRY(VG_NEW(&c->kept[i], s->derived.total, "contrasts"));
    return VG_NEW(&c->over, job->space_count * c->views * s->over.count, "regions");
}

vg_status vg_choices_prepare(fit_job *job)
{
    fit_choices *c;
    VG_TRY(VG_NEW(&job->statistics->choices, 1, "choices"));
    c = job->statistics->choices;
    c->views = 1 + my_shifts(job);
    for (int64_t g = 0; g < job->group_count; g++)
        c->outer = job->groups[g].folds->outer_count > c->outer ? job->groups[g].folds->outer_count : c->outer;
    VG_TRY(VG_NEW(&c->chosen, job->space_count, "spaces"));
    VG_TRY(VG_NEW(&c->contrasted, job->space_count, "spaces"));
    if (strcmp(job->study->statistics.layers, "none") != 0)
        VG_TRY(list_layered(job));
    VG_TRY(vg_families_list(job));
    VG_TRY(vg_families_pair(job));
    VG_TRY(vg_contrasts_list(job));
    VG_TRY(vg_spins_prepare(job));
    VG_TRY(check_memory(job));
    return make_states(job);
}

void vg_choices_free(fit_job *job)
{
    fit_choices *c = job->statistics->choices;
    if (c == NULL)
        return;
    for (int64_t i = 0; i < c->choice_count; i++) {
        fit_choice *choice = &c->choices[i];
        for (int64_t view = 0; choice->state != NULL && view < c->views; view++)
            free(choice->state[view]);
        free(choice->state);
        free(choice->model);
        free(choice->name);
        free(choice->spaces);
        free(choice->center);
        free(choice->passes);
        free(choice->inner);
    }
    for (int64_t i = 0; i < c->difference_count; i++) {
        free(c->differences[i].a_name);
        free(c->differences[i].b_name);
    }
    for (int64_t i = 0; c->kept != NULL && i < job->space_count * c->views; i++)
        free(c->kept[i]);
    for (int64_t i = 0; c->maps != NULL && i < job->space_count; i++)
        free(c->maps[i]);
    vg_influences_free(c);
    vg_spins_free(c);
    free(c->choices);
    free(c->differences);
    free(c->chosen);
    free(c->contrasted);
    free(c->kept);
    free(c->maps);
    free(c->over);
    free(c);
}

/* ---- while fits are made ---------------------------------------------------------------------------------------------------------- */

bool vg_choices_want(const fit_job *job, int64_t space)
{
    return job->statistics->choices->chosen[space];
}

/* Mean of every second fold from `first` on. */
static float mean_of_folds(const double *fold, int64_t ld, int64_t first, int64_t step, int64_t outer)
{
    double sum = 0;
    int64_t n = 0;
    for (int64_t k = first; k < outer; k += step, n++)
        sum += fold[k * ld];
    return n > 0 ? (float)(sum / (double)n) : NAN;
}

/* state[row] becomes x, and state[row + 1] the layer, where x is better; row + 1 steps of `voxels`. */
static void keep_best(float *state, int64_t voxels, float x, float layer)
{
    if (!isnan(x) && !(x <= state[0])) { /* the first, too */
        state[0] = x;
        state[voxels] = layer;
    }
}

static void take(const fit_choices *c, const fit_choice *choice, float layer, float *state, int64_t voxels, const double *inner,
                 const double *fold, int64_t ld, int64_t outer)
{
    for (int64_t k = 0; k < outer; k++) {
        float here = (float)inner[k * ld], *best = state + k * voxels;
        if (!isnan(here) && !(here <= *best)) {
            *best = here;
            best[c->outer * voxels] = (float)fold[k * ld];
        }
    }
    if (!choice->layered || isnan(inner[0]))
        return;
    float *more = state + 2 * c->outer * voxels;
    keep_best(more + STATE_INNER * voxels, voxels, mean_of_folds(inner, ld, 0, 1, outer), layer);
    keep_best(more + STATE_ODD * voxels, voxels, mean_of_folds(fold, ld, 0, 2, outer), layer);
    keep_best(more + STATE_EVEN * voxels, voxels, mean_of_folds(fold, ld, 1, 2, outer), layer);
}

/* Of one voxel of all subjects' to the sum of its layer over subjects. */
static void add_inner(const fit_job *job, const fit_choice *choice, int64_t member, int64_t at, double inner)
{
    int64_t voxels = job->statistics->derived.group;
    if (choice->inner != NULL && voxels > 0 && !isnan(inner))
        choice->inner[member * voxels + at % voxels] += vg_to_exact(inner);
}

void vg_choices_take(const fit_job *job, int64_t space, int64_t view, int64_t at, int64_t count, const double *inner, const double *fold,
                     int64_t ld, int64_t outer)
{
    const fit_choices *c = job->statistics->choices;
    for (int64_t i = 0; i < c->choice_count; i++) {
        const fit_choice *choice = &c->choices[i];
        for (int64_t m = 0; m < choice->count; m++)
            for (int64_t v = 0; choice->spaces[m] == space && v < count; v++) {
                take(c, choice, (float)m, choice->state[view] + at + v, job->statistics->voxels, inner + v, fold + v, ld, outer);
                if (view == 0)
                    add_inner(job, choice, m, at + v, (double)mean_of_folds(inner + v, ld, 0, 1, outer));
            }
    }
}

void vg_choices_derived(const fit_job *job, int64_t space, int64_t view, const double *derived)
{
    const fit_statistics *s = job->statistics;
    const fit_choices *c = s->choices;
    memcpy(c->over + (space * c->views + view) * s->over.count, derived + s->derived.group + s->derived.rows,
           (size_t)s->over.count * sizeof(double));
    if (c->contrasted[space])
        memcpy(c->kept[space * c->views + view], derived, (size_t)s->derived.total * sizeof(double));
}

vg_status vg_choices_observed(const fit_job *job, int64_t space, const float *map, const double *derived)
{
    const fit_choices *c = job->statistics->choices;
    vg_choices_derived(job, space, 0, derived);
    if (!c->contrasted[space])
        return VG_OK;
    VG_TRY(VG_NEW(&c->maps[space], job->statistics->voxels, "contrasts"));
    memcpy(c->maps[space], map, (size_t)job->statistics->voxels * sizeof(float));
    return VG_OK;
}

void vg_choice_map(const fit_job *job, const fit_choice *choice, int64_t view, float *map)
{
    const fit_choices *c = job->statistics->choices;
    int64_t voxels = job->statistics->voxels;
    const float *fold = choice->state[view] + c->outer * voxels;
    for (int64_t v = 0; v < voxels; v++) {
        double sum = 0;
        int64_t n = 0;
        for (int64_t k = 0; k < c->outer; k++)
            if (!isnan(fold[k * voxels + v])) {
                sum += (double)fold[k * voxels + v];
                n++;
            }
        map[v] = n > 0 ? (float)(sum / (double)n) : NAN;
    }
}

/* ---- layout and finish --------------------------------------------------------------------------------------------------------------- */

vg_status vg_choices_layout(fit_job *job)
{
    VG_TRY(vg_layers_layout(job));
    VG_TRY(vg_families_layout(job));
    return vg_contrasts_layout(job);
}

int64_t vg_choices_blocks(const fit_job *job)
{
    return job->statistics->choices->choice_count + job->statistics->choices->difference_count + 1;
}

/* The observed state of all ranks' tiles, on every rank. */
static vg_status gather_state(fit_job *job, const fit_choice *choice)
{
    const fit_statistics *s = job->statistics;
    int64_t rows = state_rows(s->choices, choice);
    for (int64_t t = 0; t < job->tile_count && vg_comm_ranks(job->comm) > 1; t++) {
        const fit_tile *tile = &job->tiles[t];
        float *state = choice->state[0] + s->offset[tile->subject] + tile->first, *packed;
        VG_AGREE(job->comm, VG_NEW(&packed, rows * tile->count, "scores of the best spaces"));
        for (int64_t i = 0; i < rows; i++)
            memcpy(packed + i * tile->count, state + i * s->voxels, (size_t)tile->count * sizeof(float));
        vg_status status = vg_comm_broadcast(job->comm, packed, (size_t)(rows * tile->count) * sizeof(float), job->owner[t]);
        for (int64_t i = 0; i < rows; i++)
            memcpy(state + i * s->voxels, packed + i * tile->count, (size_t)tile->count * sizeof(float));
        free(packed);
        VG_TRY(status);
    }
    return VG_OK;
}

/* Region means of the observed responses come from the ranks that summarised. */
static vg_status gather_over(fit_job *job)
{
    const fit_statistics *s = job->statistics;
    const fit_choices *c = s->choices;
    for (int64_t i = 0; i < job->space_count; i++) {
        int root = (int)(i % vg_comm_ranks(job->comm));
        VG_TRY(vg_comm_broadcast(job->comm, c->over + i * c->views * s->over.count, (size_t)s->over.count * sizeof(double), root));
        if (c->contrasted[i])
            VG_TRY(vg_comm_broadcast(job->comm, c->kept[i * c->views], (size_t)s->derived.total * sizeof(double), root));
    }
    return VG_OK;
}

vg_status vg_choices_finish(fit_job *job, int64_t block)
{
    const fit_choices *c = job->statistics->choices;
    bool first = vg_comm_rank(job->comm) == 0;
    VG_TRY(gather_over(job));
    for (int64_t i = 0; i < c->choice_count; i++) {
        VG_TRY(gather_state(job, &c->choices[i]));
        VG_TRY(c->choices[i].layered ? vg_layers_finish(job, i) : vg_families_finish(job, i));
        VG_AGREE(job->comm, first ? vg_store_commit(job->store, block++) : VG_OK);
    }
    for (int64_t i = 0; i < c->difference_count; i++) {
        VG_TRY(c->differences[i].families ? vg_families_compare(job, i) : vg_contrasts_finish(job, i));
        VG_AGREE(job->comm, first ? vg_store_commit(job->store, block++) : VG_OK);
    }
    VG_TRY(vg_layers_finish_tables(job));
    VG_AGREE(job->comm, first ? vg_store_commit(job->store, block) : VG_OK);
    return VG_OK;
}
