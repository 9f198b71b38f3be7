/* profile: which of the preceding words carry a space's score. A space whose columns belong to words (K of them, or K a head) is fitted
 * once more with the last 1, 2, 5, ... words alone, and without each word in turn: what the brain's prediction loses then, in pooled r2
 * with a penalty of its own, is unique to that word. Over regions alone: /profile. No null: it would cost as many fits again for every
 * shift. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "choices.h"

/* One cut of a space: its last `word` words alone, or all but the word `word` places back; word 0: all of it. */
typedef struct {
    bool last;
    int64_t word;
} profile_cut;

/* One space of the profile. */
typedef struct {
    int64_t space, words, *word; /* K; (columns) how many places back a column's word is, from 1 */
    profile_cut *cuts;           /* the whole first */
    int64_t cut_count, row;      /* in units of regions */
} profile_space;

typedef struct fit_profile {
    profile_space *at;
    int64_t count, rows, table;
} fit_profile;

/* ---- which ----------------------------------------------------------------------------------------------------------------------------
 */

static bool wanted(const vg_study *study, const vg_store_space *space)
{
    for (int64_t i = 0; i < study->profile.space_count; i++)
        if (vg_space_is(space, study->profile.spaces[i]))
            return true;
    return study->profile.all;
}

/* "word -3", "layer 01 head 02 word -3": 3. Columns without names: the words in their order, the latest last. 0: of no word. */
static int64_t word_of(const vg_store_space *space, int64_t column)
{
    const char *name = space->column_names != NULL ? space->column_names[column] : NULL;
    int64_t back;
    if (name == NULL)
        return space->columns - column;
    const char *at = strstr(name, "word -");
    return at != NULL && vg_parse_integer(at + 6, strlen(at + 6), &back) && back > 0 ? back : 0;
}

static vg_status list_cuts(const vg_study *study, profile_space *p)
{
    VG_TRY(VG_NEW(&p->cuts, 2 + study->profile.word_count + p->words, "cuts of a space"));
    p->cuts[p->cut_count++] = (profile_cut){true, 0};
    for (int64_t i = 0; i < study->profile.word_count; i++)
        if (study->profile.words[i] < p->words)
            p->cuts[p->cut_count++] = (profile_cut){true, study->profile.words[i]};
    for (int64_t word = 1; word <= p->words; word++)
        p->cuts[p->cut_count++] = (profile_cut){false, word};
    return VG_OK;
}

/* False (p->words 0) for a space with a column that is of no word, or with one word alone. */
static vg_status describe(const fit_job *job, int64_t space, profile_space *p)
{
    const vg_store_space *any = job->spaces[space].any;
    *p = (profile_space){.space = space};
    VG_TRY(VG_NEW(&p->word, any->columns, "words of columns"));
    for (int64_t j = 0; j < any->columns; j++) {
        p->word[j] = word_of(any, j);
        p->words = p->word[j] > p->words ? p->word[j] : p->words;
        if (p->word[j] == 0) {
            p->words = 0;
            return VG_OK;
        }
    }
    if (p->words < 2)
        p->words = 0;
    return p->words > 0 ? list_cuts(job->study, p) : VG_OK;
}

vg_status vg_profile_prepare(fit_job *job)
{
    const vg_study *study = job->study;
    fit_profile *profile;
    if (!study->profile.all && study->profile.space_count == 0)
        return VG_OK;
    VG_TRY(VG_NEW(&job->statistics->profile, 1, "profile"));
    profile = job->statistics->profile;
    VG_TRY(VG_NEW(&profile->at, job->space_count, "spaces"));
    for (int64_t i = 0; i < job->space_count; i++) {
        profile_space *p = &profile->at[profile->count];
        const vg_store_space *any = job->spaces[i].any;
        if (job->spaces[i].principal > 0 || !wanted(study, any) || (study->profile.all && any->column_names == NULL))
            continue;
        VG_TRY(describe(job, i, p));
        if (p->words > 0) {
            p->row = profile->rows;
            profile->rows += p->cut_count;
            profile->count++;
        } else {
            free(p->word);
            *p = (profile_space){0};
            if (!study->profile.all)
                return vg_fail(VG_INVALID, "%s: profile.spaces: %s/%s has no columns of two words or more", study->path, any->model,
                               any->name);
        }
    }
    return profile->count > 0 ? VG_OK : vg_fail(VG_INVALID, "%s: profile.spaces: there is no such space of word scores", study->path);
}

void vg_profile_free(fit_profile *profile)
{
    for (int64_t i = 0; profile != NULL && profile->at != NULL && i < profile->count; i++) {
        free(profile->at[i].word);
        free(profile->at[i].cuts);
    }
    if (profile != NULL)
        free(profile->at);
    free(profile);
}

vg_status vg_profile_layout(fit_job *job)
{
    fit_profile *profile = job->statistics->profile;
    size_t model = 1, name = 1, region = 1;
    if (profile == NULL)
        return VG_OK;
    vg_statistics_longest(job, &model, &name, &region);
    const vg_store_member members[] = {{"model", VG_STORE_TEXT, model},   {"name", VG_STORE_TEXT, name}, {"layer", VG_STORE_TEXT, 8},
                                       {"region", VG_STORE_TEXT, region}, {"kind", VG_STORE_TEXT, 7},    {"word", VG_STORE_I64, 0},
                                       {"subjects", VG_STORE_I64, 0},     {"mean", VG_STORE_F64, 0},     {"sem", VG_STORE_F64, 0}};
    VG_TRY(vg_layout_table(job->layout, "/profile", members, sizeof members / sizeof *members, profile->rows * job->statistics->over.count,
                           &profile->table));
    return vg_layout_text(job->layout, "/profile", "units",
                          "last: mean score (Pearson's r) of the last `word` words alone; without: pooled r2 of all words less that "
                          "without the word `word` places back; over subjects, of region means");
}

/* ---- fits ------------------------------------------------------------------------------------------------------------------------------
 */

static bool keeps(profile_cut cut, int64_t word)
{
    return cut.word == 0 || (cut.last ? word <= cut.word : word != cut.word);
}

/* The columns of a design that a cut keeps; a column of words stands there once a delay. */
static vg_status cut_design(const fit_job *job, const fit_group *group, const profile_space *p, profile_cut cut, vg_matrix x,
                            vg_ridge_design **design)
{
    int64_t columns = job->spaces[p->space].any->columns, kept = 0;
    float *narrow;
    VG_TRY(VG_NEW(&narrow, x.rows * x.columns, "a design"));
    for (int64_t j = 0; j < x.columns; j++)
        kept += keeps(cut, p->word[j % columns]);
    for (int64_t t = 0; t < x.rows; t++)
        for (int64_t j = 0, to = 0; j < x.columns; j++)
            if (keeps(cut, p->word[j % columns]))
                narrow[t * kept + to++] = x.data[t * x.ld + j];
    vg_status status = vg_ridge_design_create(job->device, &group->plan, (vg_samples){VG_F32, narrow, x.rows, kept, kept}, design);
    free(narrow);
    return status;
}

static vg_status make_designs(const fit_job *job, int64_t group, const profile_space *p, vg_ridge_design **designs)
{
    vg_matrix x;
    VG_TRY(vg_fit_features(job, &job->groups[group], &job->spaces[p->space], &x));
    vg_status status = VG_OK;
    for (int64_t i = 0; status == VG_OK && i < p->cut_count; i++)
        status = cut_design(job, &job->groups[group], p, p->cuts[i], x, &designs[i]);
    free(x.data);
    return status;
}

/* maps (cuts, voxels): scores of `last`, differences of r2 of `without`. */
static vg_status fit_tile_cuts(fit_job *job, const profile_space *p, vg_ridge_design *const *designs, const fit_tile *tile, float *maps)
{
    const fit_subject *subject = &job->subjects[tile->subject];
    vg_matrix y = {.rows = subject->rows, .columns = tile->count, .ld = tile->count};
    uint8_t *states = NULL;
    double *numbers = NULL;
    vg_ridge_result *results = NULL;
    vg_status status;
    VG_GO(VG_NEW(&y.data, y.rows * y.columns, "responses"));
    VG_GO(VG_NEW(&states, tile->count, "voxel states"));
    VG_GO(VG_NEW(&numbers, 2 * p->cut_count * tile->count, "scores"));
    VG_GO(VG_NEW(&results, p->cut_count, "scores"));
    for (int64_t i = 0; i < p->cut_count; i++)
        results[i] =
            (vg_ridge_result){.score = numbers + 2 * i * tile->count, .r2 = numbers + (2 * i + 1) * tile->count, .ld = tile->count};
    VG_GO(vg_fit_read(job, subject, tile, y, states));
    VG_GO(vg_ridge_fit(designs, p->cut_count, (vg_samples){VG_F32, y.data, y.rows, y.columns, y.ld}, NULL, results));
    for (int64_t i = 0; i < p->cut_count; i++) {
        float *map = maps + i * job->statistics->voxels + job->statistics->offset[tile->subject] + tile->first;
        for (int64_t v = 0; v < tile->count; v++)
            map[v] = (float)(p->cuts[i].last ? results[i].score[v] : results[0].r2[v] - results[i].r2[v]);
    }
done:
    free(y.data);
    free(states);
    free(numbers);
    free(results);
    return status;
}

static vg_status fit_tiles(fit_job *job, const profile_space *p, float *maps)
{
    vg_ridge_design **designs;
    VG_TRY(VG_NEW(&designs, job->group_count * p->cut_count, "designs"));
    vg_status status = VG_OK;
    for (int64_t t = 0; status == VG_OK && t < job->tile_count; t++) {
        int64_t group = job->subjects[job->tiles[t].subject].group;
        if (job->owner[t] != vg_comm_rank(job->comm))
            continue;
        if (designs[group * p->cut_count] == NULL)
            status = make_designs(job, group, p, designs + group * p->cut_count);
        if (status == VG_OK)
            status = fit_tile_cuts(job, p, designs + group * p->cut_count, &job->tiles[t], maps);
    }
    for (int64_t i = 0; i < job->group_count * p->cut_count; i++)
        vg_ridge_design_free(designs[i]);
    free(designs);
    return status;
}

static vg_status gather(fit_job *job, int64_t cuts, float *maps)
{
    const fit_statistics *s = job->statistics;
    for (int64_t t = 0; t < job->tile_count && vg_comm_ranks(job->comm) > 1; t++)
        for (int64_t i = 0; i < cuts; i++)
            VG_TRY(vg_comm_broadcast(job->comm, maps + i * s->voxels + s->offset[job->tiles[t].subject] + job->tiles[t].first,
                                     (size_t)job->tiles[t].count * sizeof(float), job->owner[t]));
    return VG_OK;
}

/* ---- table --------------------------------------------------------------------------------------------------------------------------- */

static void put(const fit_job *job, const profile_space *p, profile_cut cut, int64_t g, const vg_summary *summary, fit_record *record)
{
    const vg_store_space *any = job->spaces[p->space].any;
    vg_record_text(record, "model", any->model);
    vg_record_text(record, "name", any->name);
    vg_record_text(record, "layer", any->layer != NULL ? any->layer : "");
    vg_record_text(record, "region", job->statistics->over.names[g]);
    vg_record_text(record, "kind", cut.last ? "last" : "without");
    vg_record_integer(record, "word", cut.word > 0 ? cut.word : p->words);
    vg_record_integer(record, "subjects", summary->n);
    vg_record_number(record, "mean", summary->mean);
    vg_record_number(record, "sem", summary->sem);
}

static vg_status write_cuts(fit_job *job, const profile_space *p, const float *maps)
{
    const fit_statistics *s = job->statistics;
    int64_t table = s->profile->table, over = s->over.count, rows = p->cut_count * over, offset = p->row * over;
    size_t element = vg_layout_element(job->layout, table);
    char *records = NULL;
    double *derived = NULL;
    fit_over_summary *summaries = NULL;
    vg_status status;
    VG_GO(vg_allocate((void **)&records, rows, element, "profile"));
    VG_GO(VG_NEW(&derived, s->derived.total, "profile"));
    VG_GO(VG_NEW(&summaries, over, "profile"));
    for (int64_t i = 0; i < p->cut_count; i++) {
        vg_statistics_derive(job, maps + i * s->voxels, derived);
        VG_GO(vg_over_summarize(job, derived + s->derived.group, summaries));
        for (int64_t g = 0; g < over; g++) {
            fit_record record = {job->layout, table, records + (size_t)(i * over + g) * element, VG_OK};
            put(job, p, p->cuts[i], g, &summaries[g].summary, &record);
            VG_GO(record.status);
        }
    }
    VG_GO(vg_store_write(job->store, table, &offset, &rows, records));
done:
    free(records);
    free(derived);
    free(summaries);
    return status;
}

static vg_status finish_space(fit_job *job, const profile_space *p)
{
    float *maps = NULL;
    vg_status status = VG_NEW(&maps, p->cut_count * job->statistics->voxels, "profile");
    if (status == VG_OK)
        status = fit_tiles(job, p, maps);
    status = vg_comm_agree(job->comm, status);
    if (status == VG_OK)
        status = gather(job, p->cut_count, maps);
    if (status == VG_OK)
        status = vg_comm_agree(job->comm, vg_comm_rank(job->comm) == 0 ? write_cuts(job, p, maps) : VG_OK);
    free(maps);
    return status;
}

vg_status vg_profile_finish(fit_job *job)
{
    const fit_profile *profile = job->statistics->profile;
    for (int64_t i = 0; profile != NULL && i < profile->count; i++)
        VG_TRY(finish_space(job, &profile->at[i]));
    return VG_OK;
}
