/* contrasts: differences A less B of two sources over subjects: maps under /group/contrasts/A--B, regions in /contrast_regions. */
#include <stdlib.h>
#include <string.h>

#include "choices.h"

/* ---- which -------------------------------------------------------------------------------------------------------------------------- */

/* What a study's text names: a family, a layered space (its best layer), or a space. Several models may have a space of this name. */
static vg_status find_source(const fit_job *job, const char *text, fit_source *source)
{
    const fit_choices *c = job->statistics->choices;
    int64_t found = 0;
    for (int64_t i = 0; i < c->choice_count; i++) {
        const fit_choice *choice = &c->choices[i];
        char full[1024];
        snprintf(full, sizeof full, "%s/%s", choice->model, choice->name);
        if (strcmp(text, choice->name) != 0 && strcmp(text, full) != 0)
            continue;
        *source = (fit_source){-1, i};
        found++;
    }
    for (int64_t i = 0; i < job->space_count && found == 0; i++)
        if (vg_space_is(job->spaces[i].any, text)) {
            *source = (fit_source){i, -1};
            for (int64_t j = i + 1; j < job->space_count; j++)
                found += vg_space_is(job->spaces[j].any, text);
            found++;
        }
    if (found == 1)
        return VG_OK;
    if (found > 1)
        return vg_fail(VG_INVALID, "%s: contrasts: \"%s\" is the name of %lld spaces; write MODEL/NAME or MODEL/NAME/LL", job->study->path,
                       text, (long long)found);
    return vg_fail(VG_INVALID, "%s: contrasts: there is no space \"%s\"; spaces are MODEL/NAME or MODEL/NAME/LL", job->study->path, text);
}

/* Whether `all` takes it: a layered space as a whole, a space without layers; not a family, nor what equal_size made. */
static int64_t list_whole(const fit_job *job, fit_source *sources)
{
    const fit_choices *c = job->statistics->choices;
    int64_t count = 0;
    for (int64_t i = 0; i < c->layered_count; i++)
        if (job->spaces[c->choices[i].spaces[0]].principal == 0)
            sources[count++] = (fit_source){-1, i};
    for (int64_t i = 0; i < job->space_count; i++)
        if (job->spaces[i].any->layer == NULL && job->spaces[i].principal == 0)
            sources[count++] = (fit_source){i, -1};
    return count;
}

static const vg_store_space *any_of(const fit_job *job, fit_source source)
{
    const fit_choices *c = job->statistics->choices;
    return job->spaces[source.choice >= 0 ? c->choices[source.choice].spaces[0] : source.space].any;
}

/* Methods within a model, and models within a method. */
static vg_status cross(fit_job *job)
{
    enum { MOST = 1000 };
    fit_source *sources;
    int64_t pairs = 0;
    VG_TRY(VG_NEW(&sources, 2 * job->space_count, "contrasts"));
    int64_t count = list_whole(job, sources);
    vg_status status = VG_OK;
    for (int64_t i = 0; i < count; i++)
        for (int64_t j = i + 1; status == VG_OK && j < count; j++) {
            const vg_store_space *a = any_of(job, sources[i]), *b = any_of(job, sources[j]);
            if (strcmp(a->model, b->model) != 0 && strcmp(a->name, b->name) != 0)
                continue;
            if (++pairs > MOST)
                status = vg_fail(VG_INVALID, "%s: contrasts: all are more than %d; list those that are wanted", job->study->path, MOST);
            else
                status = vg_difference_add(job, sources[i], sources[j], false);
        }
    free(sources);
    return status;
}

vg_status vg_contrasts_list(fit_job *job)
{
    const vg_study *study = job->study;
    if (study->contrasts.all)
        return cross(job);
    for (int64_t i = 0; i < study->contrasts.count; i++) {
        fit_source a, b;
        VG_TRY(find_source(job, study->contrasts.names[2 * i], &a));
        VG_TRY(find_source(job, study->contrasts.names[2 * i + 1], &b));
        VG_TRY(vg_difference_add(job, a, b, false));
    }
    return VG_OK;
}

/* ---- layout ------------------------------------------------------------------------------------------------------------------------- */

static vg_status layout_maps(fit_job *job, fit_difference *d)
{
    char above[1200];
    int64_t voxels = job->statistics->derived.group;
    snprintf(above, sizeof above, "/group/contrasts/%s--%s", d->a_name, d->b_name);
    for (char *at = above + strlen("/group/contrasts/"); *at != '\0'; at++)
        *at = *at == '/' ? '.' : *at; /* one part of a path */
    VG_TRY(vg_map_add(job, voxels, "mean over subjects of score of a less score of b", &d->mean, "%s/mean", above));
    VG_TRY(vg_map_add(job, voxels, "standard error over subjects of the paired differences", &d->sem, "%s/sem", above));
    VG_TRY(vg_layout_text(job->layout, above, "a", d->a_name));
    VG_TRY(vg_layout_text(job->layout, above, "b", d->b_name));
    if (job->statistics->null == NULL)
        return VG_OK;
    VG_TRY(vg_map_add(job, voxels, "of mean, against the same shifts of both, two-sided", &d->group_p, "%s/p", above));
    return vg_map_add(job, voxels, "p by Benjamini & Hochberg", &d->group_q, "%s/q", above);
}

vg_status vg_contrasts_layout(fit_job *job)
{
    fit_choices *c = job->statistics->choices;
    size_t name = 1, region = 1;
    int64_t count = 3, contrasts = c->difference_count - c->family_differences;
    if (contrasts == 0)
        return VG_OK;
    for (int64_t i = c->family_differences; i < c->difference_count; i++) {
        fit_difference *d = &c->differences[i];
        name = strlen(d->a_name) > name ? strlen(d->a_name) : name;
        name = strlen(d->b_name) > name ? strlen(d->b_name) : name;
        if (job->same_voxels)
            VG_TRY(layout_maps(job, d));
    }
    for (int64_t g = 0; g < job->statistics->over.count; g++)
        region = strlen(job->statistics->over.names[g]) > region ? strlen(job->statistics->over.names[g]) : region;
    vg_store_member members[16] = {{"a", VG_STORE_TEXT, name}, {"b", VG_STORE_TEXT, name}, {"region", VG_STORE_TEXT, region}};
    vg_evidence_members(job, members, &count);
    VG_TRY(vg_layout_table(job->layout, "/contrast_regions", members, count, contrasts * job->statistics->over.count, &c->contrast_table));
    return vg_layout_text(job->layout, "/contrast_regions", "units",
                          "mean, sem: of the paired differences a less b over subjects of region means (sem is within subjects); low, "
                          "high: bootstrap interval over listeners, which says nothing of chance; p: of mean, against the same shifts of "
                          "both, two-sided; q: over the regions of a contrast");
}

/* ---- finish ------------------------------------------------------------------------------------------------------------------------- */

static void put(const fit_job *job, const fit_evidence *e, const void *of, int64_t g, fit_record *record)
{
    const fit_difference *d = of;
    (void)job;
    (void)e;
    (void)g;
    vg_record_text(record, "a", d->a_name);
    vg_record_text(record, "b", d->b_name);
}

static vg_status write(fit_job *job, const fit_evidence *e, const void *of)
{
    const fit_difference *d = of;
    VG_TRY(vg_evidence_write_group(job, e, d->mean, d->sem, d->group_p, d->group_q));
    return vg_evidence_write_table(job, e, job->statistics->choices->contrast_table, d->row, put, d);
}

vg_status vg_contrasts_finish(fit_job *job, int64_t index)
{
    const fit_difference *d = &job->statistics->choices->differences[index];
    return vg_evidence_settle(job, d->a, &d->b, false, write, d);
}
