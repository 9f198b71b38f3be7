/* families: explanation against representation, or whatever families a study names. Of each the best space is chosen per voxel and outer
 * fold on inner folds; a voxel has a winner only where the difference passes its own null and inner and outer folds agree on its sign, and
 * is a tie elsewhere. At equal size all spaces are cut to as many principal components. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "choices.h"

/* ---- which -------------------------------------------------------------------------------------------------------------------------- */

static const char *const explanation[] = {"gradient_norm", "gradient_x_input",  "integrated_gradients", "erasure",
                                          "attention",     "layer_conductance", "layer_influence",      NULL};
static const char *const representation[] = {"activations", NULL};

/* A family before its spaces are found: of one model by methods, or as the study lists it. */
typedef struct {
    const char *model; /* NULL: of any */
    char *name;
    const char *const *methods;
    const vg_study_family *listed;
} family_rule;

static bool holds(const family_rule *rule, const vg_store_space *space)
{
    if (rule->listed != NULL) {
        for (int64_t i = 0; i < rule->listed->member_count; i++)
            if (vg_space_is(space, rule->listed->members[i]))
                return true;
        return false;
    }
    for (int i = 0; rule->methods[i] != NULL; i++)
        if (space->method != NULL && strcmp(space->model, rule->model) == 0 && strcmp(space->method, rule->methods[i]) == 0)
            return true;
    return false;
}

static vg_status name_rules(const vg_study *study, family_rule *rules)
{
    for (int64_t i = 0; i < study->families.count; i++) {
        rules[i].listed = &study->families.list[i];
        VG_TRY(vg_format(&rules[i].name, "%s", study->families.list[i].name));
    }
    for (int64_t i = 0; study->families.automatic && i < study->model_count; i++) {
        const char *model = study->models[i].name, *before = study->model_count > 1 ? model : "", *dot = study->model_count > 1 ? "." : "";
        rules[2 * i] = (family_rule){.model = model, .methods = explanation};
        rules[2 * i + 1] = (family_rule){.model = model, .methods = representation};
        VG_TRY(vg_format(&rules[2 * i].name, "%s%sexplanation", before, dot));
        VG_TRY(vg_format(&rules[2 * i + 1].name, "%s%srepresentation", before, dot));
    }
    return VG_OK;
}

static vg_status make_rules(const vg_study *study, family_rule **rules, int64_t *count)
{
    *count = study->families.automatic ? 2 * study->model_count : study->families.count;
    VG_TRY(VG_NEW(rules, *count, "families"));
    return name_rules(study, *rules);
}

static void free_rules(family_rule *rules, int64_t count)
{
    for (int64_t i = 0; rules != NULL && i < count; i++)
        free(rules[i].name);
    free(rules);
}

/* The members of a family; at equal size, the cut copy of each space that has one. */
static int64_t find_members(const fit_job *job, const family_rule *rule, bool equal, int64_t *members)
{
    int64_t count = 0;
    for (int64_t i = 0; i < job->space_count; i++) {
        if (job->spaces[i].principal > 0 || !holds(rule, job->spaces[i].any))
            continue;
        members[count] = i;
        for (int64_t j = 0; equal && j < job->space_count; j++)
            if (job->spaces[j].principal > 0 && job->spaces[j].whole == job->spaces[i].any)
                members[count] = j;
        count++;
    }
    return count;
}

static int64_t principal_of(const fit_job *job)
{
    for (int64_t i = 0; i < job->space_count; i++)
        if (job->spaces[i].principal > 0)
            return job->spaces[i].principal;
    return 0;
}

static vg_status add_family(fit_job *job, const family_rule *rule, int64_t principal)
{
    int64_t *members;
    char *name = NULL;
    VG_TRY(VG_NEW(&members, job->space_count, "spaces"));
    int64_t count = find_members(job, rule, principal > 0, members);
    vg_status status = VG_OK;
    if (count == 0 && rule->listed != NULL)
        status = vg_fail(VG_INVALID, "%s: families: %s: none of its members is a space; spaces are NAME, MODEL/NAME or MODEL/NAME/LL",
                         job->study->path, rule->name);
    else if (principal > 0)
        status = vg_format(&name, "%s.pc%lld", rule->name, (long long)principal);
    else
        status = vg_format(&name, "%s", rule->name);
    if (status == VG_OK && count > 0)
        status = vg_choice_add(job->statistics->choices, "", name, false, members, count);
    free(name);
    free(members);
    return status;
}

vg_status vg_families_list(fit_job *job)
{
    family_rule *rules = NULL;
    int64_t count = 0, principal = principal_of(job);
    vg_status status = make_rules(job->study, &rules, &count);
    for (int64_t i = 0; status == VG_OK && i < count; i++)
        status = add_family(job, &rules[i], 0);
    for (int64_t i = 0; status == VG_OK && principal > 0 && i < count; i++)
        status = add_family(job, &rules[i], principal);
    free_rules(rules, count);
    return status;
}

/* The two of a model, or all pairs of those listed; whole ones with whole ones, cut ones with cut ones. */
vg_status vg_families_pair(fit_job *job)
{
    fit_choices *c = job->statistics->choices;
    for (int64_t i = c->layered_count; i < c->choice_count; i++)
        for (int64_t j = i + 1; j < c->choice_count; j++) {
            const fit_choice *a = &c->choices[i], *b = &c->choices[j];
            const char *cut_a = strstr(a->name, ".pc"), *cut_b = strstr(b->name, ".pc");
            const char *model_a = job->spaces[a->spaces[0]].any->model, *model_b = job->spaces[b->spaces[0]].any->model;
            if ((cut_a == NULL) != (cut_b == NULL) || (job->study->families.automatic && strcmp(model_a, model_b) != 0))
                continue;
            VG_TRY(vg_difference_add(job, (fit_source){-1, i}, (fit_source){-1, j}, true));
        }
    return VG_OK;
}

/* ---- equal size ------------------------------------------------------------------------------------------------------------------------
 */

static bool in_a_family(const family_rule *rules, int64_t count, const vg_store_space *space)
{
    for (int64_t i = 0; i < count; i++)
        if (holds(&rules[i], space))
            return true;
    return false;
}

/* Columns of the delayed design. */
static int64_t columns_of(const fit_job *job, const fit_space *space)
{
    const vg_align_options options = vg_align_of(job->study, 0);
    return vg_align_columns(&options, space->any->columns);
}

static vg_status cut(const fit_space *whole, int64_t principal, fit_space *space)
{
    vg_store_space *any;
    char *name;
    VG_TRY(VG_NEW(&any, 1, "spaces"));
    *any = *whole->any;
    *space = (fit_space){.any = any, .stories = whole->stories, .whole = whole->any, .principal = principal};
    VG_TRY(vg_format(&name, "%s.pc%lld", whole->any->name, (long long)principal));
    any->name = name;
    return VG_OK;
}

vg_status vg_families_cut(fit_job *job)
{
    family_rule *rules = NULL;
    int64_t count = 0, principal = job->study->statistics.equal_size, wholes = job->space_count;
    vg_status status;
    if (principal == 0)
        return VG_OK;
    VG_GO(make_rules(job->study, &rules, &count));
    for (int64_t i = 0; i < wholes; i++)
        if (job->study->statistics.equal_size < 0 && in_a_family(rules, count, job->spaces[i].any) &&
            (principal < 0 || columns_of(job, &job->spaces[i]) < principal))
            principal = columns_of(job, &job->spaces[i]); /* auto: the smallest */
    fit_space *grown = realloc(job->spaces, (size_t)(2 * wholes) * sizeof *grown);
    if (grown == NULL)
        VG_GO(vg_fail(VG_NO_MEMORY, "no memory for %lld spaces", (long long)(2 * wholes)));
    job->spaces = grown;
    for (int64_t i = 0; i < wholes && principal > 0; i++) {
        if (!in_a_family(rules, count, grown[i].any) || columns_of(job, &grown[i]) <= principal)
            continue;
        grown[job->space_count] = (fit_space){0};
        VG_GO(cut(&grown[i], principal, &grown[job->space_count++]));
    }
    status = VG_OK;
done:
    free_rules(rules, count);
    return status;
}

void vg_families_uncut(fit_space *space)
{
    if (space->principal == 0)
        return;
    if (space->any != NULL)
        free((void *)space->any->name);
    free((void *)space->any);
    space->stories = NULL; /* the whole one's */
}

/* ---- layout ------------------------------------------------------------------------------------------------------------------------- */

static vg_status layout_family(fit_job *job, fit_choice *choice)
{
    int64_t voxels = job->statistics->derived.group, dataset;
    bool null = job->statistics->null != NULL;
    const char *name = choice->name;
    choice->each = null ? 2 : 1;
    for (int64_t i = 0; i < job->subject_count; i++) {
        const char *subject = job->subjects[i].study->name;
        VG_TRY(vg_map_add(job, job->subjects[i].voxels, "score of the best space of the family, chosen per outer fold on inner folds",
                          &dataset, "/families/maps/%s/subjects/%s/score", name, subject));
        if (i == 0)
            choice->score = dataset;
        if (null)
            VG_TRY(vg_map_add(job, job->subjects[i].voxels, "of score: the same choice made of every shift", &dataset,
                              "/families/maps/%s/subjects/%s/p", name, subject));
    }
    choice->p = choice->score + 1;
    if (!job->same_voxels)
        return VG_OK;
    VG_TRY(vg_map_add(job, voxels, "mean over subjects of score", &choice->mean, "/families/maps/%s/group/mean", name));
    VG_TRY(vg_map_add(job, voxels, "standard error over subjects of mean", &choice->sem, "/families/maps/%s/group/sem", name));
    if (!null)
        return VG_OK;
    VG_TRY(vg_map_add(job, voxels, "of mean, against shifts", &choice->group_p, "/families/maps/%s/group/p", name));
    return vg_map_add(job, voxels, "p by Benjamini & Hochberg", &choice->group_q, "/families/maps/%s/group/q", name);
}

static const char winner_units[] = "1: a, -1: b (difference with q below level, of the sign the inner folds say), 0: a tie";

static vg_status layout_pair(fit_job *job, fit_difference *d)
{
    char above[1200];
    int64_t voxels = job->statistics->derived.group, dataset;
    bool null = job->statistics->null != NULL;
    snprintf(above, sizeof above, "/families/maps/%s--%s", d->a_name, d->b_name);
    d->each = null ? 4 : 1;
    for (int64_t i = 0; i < job->subject_count; i++) {
        const char *subject = job->subjects[i].study->name;
        int64_t n = job->subjects[i].voxels;
        VG_TRY(vg_map_add(job, n, "score of a less score of b", &dataset, "%s/subjects/%s/difference", above, subject));
        if (i == 0)
            d->difference = dataset;
        if (!null)
            continue;
        VG_TRY(
            vg_map_add(job, n, "of difference, against the same shifts of both, two-sided", &dataset, "%s/subjects/%s/p", above, subject));
        VG_TRY(vg_map_add(job, n, "p by Benjamini & Hochberg", &dataset, "%s/subjects/%s/q", above, subject));
        VG_TRY(vg_map_add(job, n, winner_units, &dataset, "%s/subjects/%s/winner", above, subject));
    }
    if (!job->same_voxels)
        return VG_OK;
    VG_TRY(vg_map_add(job, voxels, "mean over subjects of difference", &d->mean, "%s/group/mean", above));
    VG_TRY(vg_map_add(job, voxels, "standard error over subjects of the paired differences", &d->sem, "%s/group/sem", above));
    if (!null)
        return VG_OK;
    VG_TRY(vg_map_add(job, voxels, "of mean, against the same shifts of both, two-sided", &d->group_p, "%s/group/p", above));
    VG_TRY(vg_map_add(job, voxels, "p by Benjamini & Hochberg", &d->group_q, "%s/group/q", above));
    return vg_map_add(job, voxels, winner_units, &d->group_winner, "%s/group/winner", above);
}

vg_status vg_families_layout(fit_job *job)
{
    fit_choices *c = job->statistics->choices;
    size_t text = 1, region = 1;
    int64_t families = c->choice_count - c->layered_count, count = 2;
    if (families == 0)
        return VG_OK;
    for (int64_t i = c->layered_count; i < c->choice_count; i++) {
        text = strlen(c->choices[i].name) > text ? strlen(c->choices[i].name) : text;
        VG_TRY(layout_family(job, &c->choices[i]));
    }
    for (int64_t i = 0; i < c->family_differences; i++)
        VG_TRY(layout_pair(job, &c->differences[i]));
    for (int64_t g = 0; g < job->statistics->over.count; g++)
        region = strlen(job->statistics->over.names[g]) > region ? strlen(job->statistics->over.names[g]) : region;
    vg_store_member alone[16] = {{"family", VG_STORE_TEXT, text}, {"region", VG_STORE_TEXT, region}};
    vg_evidence_members(job, alone, &count);
    VG_TRY(vg_layout_table(job->layout, "/families/regions", alone, count, families * job->statistics->over.count, &c->family_table));
    VG_TRY(vg_layout_text(job->layout, "/families/regions", "units", "as in /group_regions, of the best space of the family"));
    vg_store_member pairs[16] = {{"a", VG_STORE_TEXT, text}, {"b", VG_STORE_TEXT, text}, {"region", VG_STORE_TEXT, region}};
    count = 3;
    vg_evidence_members(job, pairs, &count);
    for (int i = 0; i < (job->statistics->null != NULL ? 3 : 0); i++)
        pairs[count++] = (vg_store_member){i == 0 ? "won_a" : i == 1 ? "won_b" : "tied", VG_STORE_F64, 0};
    VG_TRY(vg_layout_table(job->layout, "/families/comparisons", pairs, count, c->family_differences * job->statistics->over.count,
                           &c->difference_table));
    return vg_layout_text(job->layout, "/families/comparisons", "units",
                          "as in /contrast_regions; won_a, won_b, tied: shares of usable voxels, mean over subjects");
}

/* ---- one family ------------------------------------------------------------------------------------------------------------------------
 */

static void put_family(const fit_job *job, const fit_evidence *e, const void *of, int64_t g, fit_record *record)
{
    const fit_choice *choice = of;
    (void)job;
    (void)e;
    (void)g;
    vg_record_text(record, "family", choice->name);
}

static vg_status write_family(fit_job *job, const fit_evidence *e, const void *of)
{
    const fit_choices *c = job->statistics->choices;
    const fit_choice *choice = of;
    float *p;
    VG_TRY(vg_evidence_write_subjects(job, choice->score, choice->each, e->map));
    VG_TRY(vg_evidence_write_group(job, e, choice->mean, choice->sem, choice->group_p, choice->group_q));
    VG_TRY(VG_NEW(&p, job->statistics->voxels, "p-values"));
    for (int64_t v = 0; e->p != NULL && v < job->statistics->voxels; v++)
        p[v] = (float)e->p[v];
    vg_status status = e->p != NULL ? vg_evidence_write_subjects(job, choice->p, choice->each, p) : VG_OK;
    free(p);
    VG_TRY(status);
    return vg_evidence_write_table(job, e, c->family_table, choice - c->choices - c->layered_count, put_family, choice);
}

vg_status vg_families_finish(fit_job *job, int64_t index)
{
    return vg_evidence_settle(job, (fit_source){-1, index}, NULL, true, write_family, &job->statistics->choices->choices[index]);
}
