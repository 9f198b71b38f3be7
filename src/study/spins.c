/* spins: do two spaces prefer the same layers in the same places, more than maps as smooth as theirs do anyway? One of the maps is turned
 * on the sphere, the right hemisphere as the mirror image of the left (Alexander-Bloch et al. 2018, NeuroImage 178:540-551): every vertex
 * takes the layer of the vertex nearest to its turned place; where one of both has none (no voxel, none that passes, the medial wall), it
 * is left out. A rotation's nearest vertices are found once for all pairs of spaces and subjects, who lie on one surface. Layers are whole
 * numbers: sums over vertices are exact. The ranks take the rotations in turn, by their number, and a rank's threads its own. */
#include <math.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>

#include "choices.h"

/* ---- spheres ----------------------------------------------------------------------------------------------------------------------- */

static const char *const keys[] = {"surface.left_sphere", "surface.right_sphere"}, *const sides[] = {"left", "right"};

vg_status vg_spheres_open(const vg_study *study, vg_spheres *spheres)
{
    *spheres = (vg_spheres){0};
    for (int h = 0; h < 2; h++) {
        vg_status status = *study->sphere[h] != '\0' ? vg_sphere_open(study->sphere[h], &spheres->side[h]) : VG_OK;
        if (status != VG_OK)
            return vg_fail_within(status, "%s: %s: ", study->path, keys[h]);
    }
    return VG_OK;
}

void vg_spheres_free(vg_spheres *spheres)
{
    vg_sphere_free(spheres->side[0]);
    vg_sphere_free(spheres->side[1]);
}

vg_status vg_spheres_match(const vg_study *study, const vg_spheres *spheres, const char *subject, const vg_responses *responses, bool *lies)
{
    vg_space space = vg_responses_space(responses);
    *lies = false;
    if (spheres->side[0] == NULL && spheres->side[1] == NULL)
        return VG_OK;
    for (int h = 0; h < 2; h++) {
        if (space.vertices[h] == 0)
            continue;
        if (spheres->side[h] == NULL)
            return vg_fail(VG_INVALID, "%s: %s: is missing, and subject %s has a %s hemisphere: give both spheres, or none", study->path,
                           keys[h], subject, sides[h]);
        if (vg_sphere_vertices(spheres->side[h]) != space.vertices[h])
            return vg_fail(VG_INVALID,
                           "%s: %s: %s has %lld vertices, the %s hemisphere of subject %s %lld: give the sphere of the surface that the "
                           "responses lie on, or none",
                           study->path, keys[h], study->sphere[h], (long long)vg_sphere_vertices(spheres->side[h]), sides[h], subject,
                           (long long)space.vertices[h]);
        *lies = true;
    }
    return VG_OK;
}

/* ---- before the fits ---------------------------------------------------------------------------------------------- */

typedef struct fit_spins {
    vg_spheres spheres;
    bool *lies;              /* (subjects) on the spheres */
    int64_t count, subjects; /* rotations; subjects that lie there */
    int64_t left, vertices;  /* of the left sphere; of both */
    int16_t *odd, *even;     /* (layered space, subject, vertices) preferred layer of odd and even folds; -1: none */
} fit_spins;

vg_status vg_spins_prepare(fit_job *job)
{
    fit_spins *s;
    VG_TRY(VG_NEW(&job->statistics->choices->spins, 1, "spins"));
    s = job->statistics->choices->spins;
    VG_TRY(VG_NEW(&s->lies, job->subject_count, "subjects"));
    VG_TRY(vg_spheres_open(job->study, &s->spheres));
    for (int64_t i = 0; i < job->subject_count; i++) {
        const fit_subject *subject = &job->subjects[i];
        VG_TRY(vg_spheres_match(job->study, &s->spheres, subject->study->name, subject->runs[0], &s->lies[i]));
        s->subjects += s->lies[i];
    }
    for (int h = 0; h < 2; h++)
        s->vertices += s->spheres.side[h] != NULL ? vg_sphere_vertices(s->spheres.side[h]) : 0;
    s->left = s->spheres.side[0] != NULL ? vg_sphere_vertices(s->spheres.side[0]) : 0;
    s->count = s->subjects > 0 ? job->study->null.spins : 0;
    return VG_OK;
}

void vg_spins_free(fit_choices *c)
{
    fit_spins *s = c->spins;
    if (s == NULL)
        return;
    vg_spheres_free(&s->spheres);
    free(s->lies);
    free(s->odd);
    free(s->even);
    free(s);
}

/* Why there are no spins of so many subjects on spheres; NULL: there are. */
static const char *why_none(const vg_study *study, int64_t subjects)
{
    return subjects == 0            ? "the responses do not lie on a surface (no voxel has a hemisphere and a vertex)"
           : study->null.spins == 0 ? "null.spins is 0"
                                    : NULL;
}

vg_status vg_spins_about(const fit_job *job, char **about)
{
    const fit_spins *s = job->statistics->choices->spins;
    if (s->count > 0)
        return vg_format(about, "%lld rotations, of the spheres that %lld of %lld subjects lie on", (long long)s->count,
                         (long long)s->subjects, (long long)job->subject_count);
    return vg_format(about, "none: %s",
                     s->vertices == 0 ? "surface.left_sphere and surface.right_sphere are not given" : why_none(job->study, s->subjects));
}

void vg_spins_check(const vg_study *study, int64_t subjects, FILE *out)
{
    const char *none = why_none(study, subjects);
    if (none == NULL && study->null.shifts == 0)
        none = "a layer is preferred where it passes its null: null.shifts";
    if (*study->sphere[0] == '\0' && *study->sphere[1] == '\0')
        return;
    if (none != NULL)
        fprintf(out, "spins: none: %s\n", none);
    else
        fprintf(out, "spins: %lld rotations of the spheres of %lld subjects, smallest p %.2g, where two spaces have layers\n",
                (long long)study->null.spins, (long long)subjects, 1 / (double)(study->null.spins + 1));
}

/* ---- maps on the vertices ---------------------------------------------------------------------------------------------------------- */

/* state: the layer of each voxel of a subject, where it passes. */
static void place_layers(const fit_spins *s, const fit_subject *subject, const float *state, const uint8_t *passes, int16_t *layers)
{
    memset(layers, -1, (size_t)s->vertices * sizeof *layers);
    for (int64_t v = 0; v < subject->voxels; v++) {
        vg_voxel voxel = vg_responses_voxel(subject->runs[0], v);
        if (passes[v] && !isnan(state[v]) && voxel.hemisphere != '\0')
            layers[(voxel.hemisphere == 'R' ? s->left : 0) + voxel.vertex] = (int16_t)state[v];
    }
}

static vg_status place_all(fit_job *job)
{
    const fit_statistics *t = job->statistics;
    const fit_choices *c = t->choices;
    fit_spins *s = c->spins;
    VG_TRY(VG_NEW(&s->odd, c->layered_count * job->subject_count * s->vertices, "preferred layers"));
    VG_TRY(VG_NEW(&s->even, c->layered_count * job->subject_count * s->vertices, "preferred layers"));
    for (int64_t n = 0; n < c->layered_count * job->subject_count; n++) {
        const fit_choice *choice = &c->choices[n / job->subject_count];
        int64_t i = n % job->subject_count, at = t->offset[i];
        const float *state = choice->state[0] + 2 * c->outer * t->voxels + at;
        if (!s->lies[i])
            continue;
        place_layers(s, &job->subjects[i], state + STATE_ODD_LAYER * t->voxels, choice->passes + at, s->odd + n * s->vertices);
        place_layers(s, &job->subjects[i], state + STATE_EVEN_LAYER * t->voxels, choice->passes + at, s->even + n * s->vertices);
    }
    return VG_OK;
}

/* ---- correlations -------------------------------------------------------------------------------------------------------------------- */

double vg_spin_correlation(const int16_t *x, const int16_t *y, const int32_t *from, int64_t vertices)
{
    int64_t n = 0, sx = 0, sy = 0, xx = 0, yy = 0, xy = 0;
    for (int64_t v = 0; v < vertices; v++) {
        int64_t a = y[v] >= 0 ? x[from[v]] : -1, b = y[v];
        if (a < 0)
            continue;
        n++;
        sx += a;
        sy += b;
        xx += a * a;
        yy += b * b;
        xy += a * b;
    }
    double across = (double)(n * xy - sx * sy), along = (double)(n * xx - sx * sx), aside = (double)(n * yy - sy * sy);
    return n >= 3 && along > 0 && aside > 0 ? across / sqrt(along * aside) : (double)NAN;
}

/* Pair number `pair` of two different spaces: a's map is turned by `from`; the mean over subjects. */
static double correlate(const fit_job *job, int64_t pair, const int32_t *from)
{
    const fit_choices *c = job->statistics->choices;
    const fit_spins *s = c->spins;
    int64_t a = pair / (c->layered_count - 1), b = pair % (c->layered_count - 1), n = 0;
    double sum = 0;
    b += b >= a;
    for (int64_t i = 0; i < job->subject_count; i++) {
        double r = s->lies[i] ? vg_spin_correlation(s->odd + (a * job->subject_count + i) * s->vertices,
                                                    s->even + (b * job->subject_count + i) * s->vertices, from, s->vertices)
                              : (double)NAN;
        sum += isnan(r) ? 0 : r;
        n += !isnan(r);
    }
    return n > 0 ? sum / (double)n : (double)NAN;
}

void vg_spheres_turn(const vg_spheres *spheres, uint64_t seed, int64_t spin, int32_t *from)
{
    vg_rotation rotation[2];
    int64_t first = 0;
    vg_spin_make(seed, (uint64_t)spin, &rotation[0], &rotation[1]);
    for (int h = 0; h < 2; h++) {
        int64_t count = spheres->side[h] != NULL ? vg_sphere_vertices(spheres->side[h]) : 0;
        if (count > 0)
            vg_sphere_turn(spheres->side[h], &rotation[h], from + first);
        for (int64_t v = 0; v < count; v++)
            from[first + v] += (int32_t)first;
        first += count;
    }
}

/* Room of the threads: from (threads, vertices), tallies (threads, pairs); observed (pairs). */
typedef struct {
    int threads;
    int64_t pairs;
    int32_t *from;
    fit_tally *tallies;
    double *observed;
} spin_room;

static vg_status make_room(const fit_job *job, spin_room *room)
{
    const fit_choices *c = job->statistics->choices;
    *room = (spin_room){.threads = vg_thread_count(job->study, job->comm), .pairs = c->layered_count * (c->layered_count - 1)};
    VG_TRY(VG_NEW(&room->from, room->threads * c->spins->vertices, "rotations"));
    VG_TRY(VG_NEW(&room->tallies, room->threads * room->pairs, "rotations"));
    VG_TRY(VG_NEW(&room->observed, room->pairs, "rotations"));
    for (int64_t v = 0; v < c->spins->vertices; v++)
        room->from[v] = (int32_t)v;
    for (int64_t pair = 0; pair < room->pairs; pair++)
        room->observed[pair] = correlate(job, pair, room->from);
    return VG_OK;
}

/* Spins rank, rank + ranks, ... */
static void count_mine(const fit_job *job, const spin_room *room)
{
    const fit_spins *s = job->statistics->choices->spins;
    int64_t rank = vg_comm_rank(job->comm), ranks = vg_comm_ranks(job->comm);
#pragma omp parallel for schedule(dynamic) num_threads(room->threads)
    for (int64_t spin = rank; spin < s->count; spin += ranks) {
        int32_t *from = room->from + omp_get_thread_num() * s->vertices;
        fit_tally *tallies = room->tallies + omp_get_thread_num() * room->pairs;
        vg_spheres_turn(&s->spheres, (uint64_t)job->study->seed, spin, from);
        for (int64_t pair = 0; pair < room->pairs; pair++)
            if (!isnan(room->observed[pair]))
                vg_tally_count(&tallies[pair], room->observed[pair], correlate(job, pair, from));
        vg_progress_step(1);
    }
}

vg_status vg_spins_count(fit_job *job, fit_tally *tallies)
{
    const fit_spins *s = job->statistics->choices->spins;
    spin_room room = {0};
    vg_status status;
    if (s->count == 0 || job->statistics->choices->layered_count < 2)
        return VG_OK;
    VG_GO(place_all(job));
    VG_GO(make_room(job, &room));
    vg_progress_end(); /* of the fits, which are done */
    vg_progress_begin("spins", (s->count + vg_comm_ranks(job->comm) - 1) / vg_comm_ranks(job->comm), "rotations");
    count_mine(job, &room);
    vg_progress_end();
    for (int64_t i = 0; i < room.threads * room.pairs; i++) {
        fit_tally *sum = &tallies[i % room.pairs];
        sum->above += room.tallies[i].above;
        sum->below += room.tallies[i].below;
        sum->sum += room.tallies[i].sum;
        sum->count += room.tallies[i].count;
    }
done:
    free(room.from);
    free(room.tallies);
    free(room.observed);
    return status;
}
