/* fit: features.h5 and responses to results.h5. Subjects and tiles of voxels go to the ranks; spaces that fit into memory together share
 * one reading of the responses; subjects who heard the same rows share the factored designs. */
#include <stdlib.h>
#include <string.h>

#include "choices.h"
#include "statistics.h"

/* ---- features ------------------------------------------------------------------------------------------------------------- */

static bool same_text(const char *a, const char *b)
{
    return (a == NULL && b == NULL) || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

static bool same_space(const vg_store_space *a, const vg_store_space *b)
{
    return same_text(a->model, b->model) && same_text(a->name, b->name) && same_text(a->layer, b->layer);
}

static int64_t story_index(const vg_study *study, const char *name)
{
    for (int64_t s = 0; s < study->story_count; s++)
        if (strcmp(study->stories[s].name, name) == 0)
            return s;
    return -1;
}

/* Datasets of the same model, name and layer in several stories are one space. */
static vg_status collect_spaces(fit_job *job, const char *path)
{
    VG_TRY(vg_store_open(path, &job->features));
    VG_TRY(vg_features_list(job->features, &job->listed, &job->listed_count));
    VG_TRY(VG_NEW(&job->spaces, job->listed_count, "spaces"));
    for (int64_t i = 0; i < job->listed_count; i++) {
        int64_t story = story_index(job->study, job->listed[i].story), at = 0;
        if (story < 0)
            continue;
        while (at < job->space_count && !same_space(job->spaces[at].any, &job->listed[i]))
            at++;
        fit_space *space = &job->spaces[at];
        if (at == job->space_count) {
            job->space_count++;
            space->any = &job->listed[i];
            VG_TRY(VG_NEW(&space->stories, job->study->story_count, "stories"));
        }
        space->stories[story] = &job->listed[i];
        if (space->any->columns != job->listed[i].columns)
            return vg_fail(VG_INVALID, "%s: %s/%s has %lld columns in story %s and %lld in story %s", path, space->any->model,
                           space->any->name, (long long)space->any->columns, space->any->story, (long long)job->listed[i].columns,
                           job->listed[i].story);
    }
    if (job->space_count == 0)
        return vg_fail(VG_INVALID, "%s: has no features of the study's stories; \"voxgrad features\" makes them", path);
    return vg_families_cut(job);
}

/* ---- subjects --------------------------------------------------------------------------------------------------------------- */

static vg_status open_runs(fit_job *job, fit_subject *subject)
{
    const vg_study_subject *listed = subject->study;
    int64_t trimmed = job->study->alignment.trim[0] + job->study->alignment.trim[1];
    VG_TRY(VG_NEW(&subject->runs, listed->run_count, "runs"));
    for (int64_t r = 0; r < listed->run_count; r++) {
        const char *path = listed->runs[r].path;
        VG_TRY(vg_responses_open(&path, 1, NULL, &subject->runs[r]));
        int64_t rows = vg_responses_rows(subject->runs[r]), voxels = vg_responses_voxels(subject->runs[r]);
        if (r > 0 && voxels != subject->voxels)
            return vg_fail(VG_INVALID, "%s: has %lld columns; the first run of this subject has %lld", path, (long long)voxels,
                           (long long)subject->voxels);
        if (rows <= trimmed)
            return vg_fail(VG_INVALID, "%s: has %lld rows, and alignment.trim drops %lld", path, (long long)rows, (long long)trimmed);
        for (int64_t d = 0; d < job->study->alignment.delay_count; d++)
            if (job->study->alignment.delays[d] >= rows)
                return vg_fail(VG_INVALID, "%s: has %lld rows, and alignment.delays has one of %lld", path, (long long)rows,
                               (long long)job->study->alignment.delays[d]);
        subject->voxels = voxels;
        subject->rows += rows - trimmed;
    }
    return VG_OK;
}

/* A scan may end a little before its story; when a tenth of the rows or more is not there, story and run are hardly a pair. */
static vg_status check_first(const fit_job *job, const char *path, const char *story, int64_t rows, int64_t needed)
{
    if (rows >= needed)
        return VG_OK;
    if (rows * 10 <= needed * 9)
        return vg_fail(VG_INVALID, "%s: has %lld rows; the words of story %s go on to row %lld (responses.start, responses.tr)", path,
                       (long long)rows, story, (long long)needed);
    if (vg_comm_rank(job->comm) == 0)
        vg_log(VG_LOG_WARNING, "%s: has %lld rows; the words of story %s go on to row %lld, so the last of them predict nothing", path,
               (long long)rows, story, (long long)needed);
    return VG_OK;
}

/* All subjects must have the same number of rows for a story, and about as many as its words need. */
static vg_status check_rows(const fit_job *job)
{
    for (int64_t s = 0; s < job->study->story_count; s++) {
        double *onsets = NULL, *offsets = NULL;
        char **texts = NULL;
        int64_t words = 0, needed = 0;
        const char *first = NULL;
        int64_t expected = 0;
        vg_status status = vg_features_words(job->features, job->study->stories[s].name, &texts, &onsets, &offsets, &words);
        if (status == VG_OK)
            needed = vg_rows_needed(onsets, words, job->study->responses.start, job->study->responses.tr);
        for (int64_t i = 0; status == VG_OK && i < job->subject_count; i++) {
            const fit_subject *subject = &job->subjects[i];
            for (int64_t r = 0; status == VG_OK && r < subject->study->run_count; r++) {
                if (subject->study->runs[r].story != s)
                    continue;
                int64_t rows = vg_responses_rows(subject->runs[r]);
                if (first == NULL) {
                    first = subject->study->name;
                    expected = rows;
                    status = check_first(job, subject->study->runs[r].path, job->study->stories[s].name, rows, needed);
                } else if (rows != expected) {
                    status = vg_fail(VG_INVALID, "%s: has %lld rows; subject %s has %lld for story %s", subject->study->runs[r].path,
                                     (long long)rows, first, (long long)expected, job->study->stories[s].name);
                }
            }
        }
        vg_store_names_free(texts, words);
        free(onsets);
        free(offsets);
        VG_TRY(status);
    }
    return VG_OK;
}

/* Looks at tiles until one has a voxel that varies in every run. */
static vg_status find_usable(fit_subject *subject)
{
    enum { TILE = 4096 };
    for (int64_t first = 0; first < subject->voxels && !subject->usable; first += TILE) {
        int64_t count = subject->voxels - first < TILE ? subject->voxels - first : TILE;
        uint8_t *states;
        VG_TRY(VG_NEW(&states, count, "voxel states"));
        vg_status status = VG_OK;
        for (int64_t r = 0; status == VG_OK && r < subject->study->run_count; r++) {
            vg_matrix run = {.rows = vg_responses_rows(subject->runs[r]), .columns = count, .ld = count};
            status = VG_NEW(&run.data, run.rows * count, "responses");
            if (status == VG_OK)
                status = vg_responses_read(subject->runs[r], first, run);
            if (status == VG_OK)
                vg_voxels_judge(run, states);
            free(run.data);
        }
        subject->usable = vg_voxels_count(states, count).usable > 0;
        free(states);
        VG_TRY(status);
    }
    return VG_OK;
}

static void close_subject(fit_subject *subject)
{
    for (int64_t r = 0; subject->runs != NULL && r < subject->study->run_count; r++)
        vg_responses_close(subject->runs[r]);
    vg_atlas_free(&subject->atlas);
    vg_regions_free(&subject->regions);
    free(subject->runs);
    free(subject->score);
    free(subject->r2);
    free(subject->alpha);
    free(subject->inner);
    free(subject->folds);
    *subject = (fit_subject){0};
}

/* Subjects are looked at by one rank each; all learn what it found. */
static vg_status drop_unusable(fit_job *job)
{
    int rank = vg_comm_rank(job->comm), ranks = vg_comm_ranks(job->comm);
    vg_status status = VG_OK;
    int64_t kept = 0;
    for (int64_t i = rank; status == VG_OK && i < job->subject_count; i += ranks)
        status = find_usable(&job->subjects[i]);
    VG_AGREE(job->comm, status);
    for (int64_t i = 0; i < job->subject_count; i++) {
        uint8_t usable = job->subjects[i].usable;
        VG_TRY(vg_comm_broadcast(job->comm, &usable, 1, (int)(i % ranks)));
        job->subjects[i].usable = usable != 0;
    }
    bool skip = strcmp(job->study->responses.on_bad_subject, "skip") == 0;
    for (int64_t i = 0; i < job->subject_count; i++) {
        fit_subject *subject = &job->subjects[i];
        const char *name = subject->study->name, *path = subject->study->runs[0].path;
        if (subject->usable) {
            job->subjects[kept++] = *subject;
            continue;
        }
        if (!skip)
            return vg_fail(VG_INVALID,
                           "subject %s has no usable voxel: every column of %s is constant or not finite; mend it, take the subject out, "
                           "or set on_bad_subject: skip",
                           name, path);
        if (rank == 0)
            vg_log(VG_LOG_WARNING, "subject %s has no usable voxel (every column of %s is constant or not finite): skipped", name, path);
        close_subject(subject);
    }
    for (int64_t i = kept; i < job->subject_count; i++)
        job->subjects[i] = (fit_subject){0};
    job->subject_count = kept;
    return kept > 0 ? VG_OK : vg_fail(VG_INVALID, "no subject has a usable voxel");
}

/* ---- regions ------------------------------------------------------------------------------------------------------------------ */

static vg_status read_labels(const vg_study *study, char ***labels, int64_t *count)
{
    char *text;
    size_t size;
    VG_TRY(vg_text_read(study->atlas.columns_file, &text, &size));
    vg_lines lines = {.path = study->atlas.columns_file, .text = text, .size = size};
    int64_t total = 0;
    while (vg_lines_next(&lines))
        total++;
    vg_status status = VG_NEW(labels, total, "labels");
    lines = (vg_lines){.path = study->atlas.columns_file, .text = text, .size = size};
    while (status == VG_OK && vg_lines_next(&lines)) {
        status = vg_format(&(*labels)[*count], "%.*s", (int)lines.length, lines.line);
        *count += status == VG_OK;
    }
    free(text);
    return status;
}

/* Labels may repeat: columns of one label are one region. */
static vg_status label_atlas(const fit_subject *subject, char **labels, int64_t count, vg_atlas *atlas)
{
    if (count != subject->voxels)
        return vg_fail(VG_INVALID, "subject %s has %lld columns, and atlas.columns labels %lld", subject->study->name,
                       (long long)subject->voxels, (long long)count);
    VG_TRY(VG_NEW(&atlas->labels, count, "labels"));
    VG_TRY(VG_NEW(&atlas->names, count, "labels"));
    atlas->voxels = count;
    for (int64_t v = 0; v < count; v++) {
        int64_t n = v > 0 && strcmp(labels[v], labels[v - 1]) == 0 ? atlas->labels[v - 1] : 0;
        while (n < atlas->name_count && strcmp(atlas->names[n], labels[v]) != 0)
            n++;
        if (n == atlas->name_count) {
            VG_TRY(vg_store_name_check(labels[v], strlen(labels[v]), "region"));
            VG_TRY(vg_format(&atlas->names[n], "%s", labels[v]));
            atlas->name_count++;
        }
        atlas->labels[v] = (int32_t)n;
    }
    return VG_OK;
}

static vg_status make_regions(const vg_study *study, fit_subject *subject, char **labels, int64_t label_count)
{
    if (label_count > 0)
        VG_TRY(label_atlas(subject, labels, label_count, &subject->atlas));
    else
        VG_TRY(vg_atlas_columns(subject->runs[0], NULL, 0, &subject->atlas));
    vg_region_rule *rules;
    VG_TRY(VG_NEW(&rules, study->atlas.region_count, "regions"));
    vg_status status = VG_OK;
    for (int64_t i = 0; status == VG_OK && i < study->atlas.region_count; i++) {
        const char **members;
        status = VG_NEW(&members, study->atlas.regions[i].member_count + 1, "regions");
        for (int64_t m = 0; status == VG_OK && m < study->atlas.regions[i].member_count; m++)
            members[m] = study->atlas.regions[i].members[m];
        rules[i] = (vg_region_rule){.name = study->atlas.regions[i].name, .labels = members};
    }
    if (status == VG_OK)
        status = vg_regions_create(&subject->atlas, rules, study->atlas.region_count, &subject->regions);
    for (int64_t i = 0; i < study->atlas.region_count; i++)
        free((void *)rules[i].labels);
    free(rules);
    return status;
}

/* Columns without names and without labels: one region of all. */
static vg_status whole_as_region(fit_subject *subject)
{
    VG_TRY(VG_NEW(&subject->atlas.labels, subject->voxels, "labels"));
    VG_TRY(VG_NEW(&subject->atlas.names, 1, "labels"));
    VG_TRY(vg_format(&subject->atlas.names[0], "all"));
    subject->atlas.voxels = subject->voxels;
    subject->atlas.name_count = 1;
    return vg_regions_create(&subject->atlas, NULL, 0, &subject->regions);
}

/* Beside the regions "all": every voxel, for averages. */
static vg_status add_whole(fit_subject *subject)
{
    vg_regions *regions = &subject->regions;
    for (int64_t r = 0; r < regions->count; r++)
        if (strcmp(regions->regions[r].name, "all") == 0)
            return VG_OK;
    vg_region *grown = realloc(regions->regions, (size_t)(regions->count + 1) * sizeof *grown);
    if (grown == NULL)
        return vg_fail(VG_NO_MEMORY, "no memory for %lld regions", (long long)regions->count + 1);
    regions->regions = grown;
    vg_region *whole = &grown[regions->count];
    *whole = (vg_region){.count = subject->voxels};
    VG_TRY(vg_format(&whole->name, "all"));
    regions->count++;
    VG_TRY(VG_NEW(&whole->voxels, subject->voxels, "regions"));
    for (int64_t v = 0; v < subject->voxels; v++)
        whole->voxels[v] = v;
    return VG_OK;
}

static vg_status all_regions(fit_job *job)
{
    const vg_study *study = job->study;
    char **labels = study->atlas.columns;
    int64_t count = study->atlas.column_count;
    vg_status status = VG_OK;
    if (study->atlas.columns_file != NULL)
        status = read_labels(study, &labels, &count);
    for (int64_t i = 0; status == VG_OK && i < job->subject_count; i++) {
        fit_subject *subject = &job->subjects[i];
        if (count == 0 && vg_responses_names(subject->runs[0]) == NULL)
            status = whole_as_region(subject);
        else
            status = make_regions(study, subject, labels, count);
        if (status == VG_OK)
            status = add_whole(subject);
        job->region_rows += subject->regions.count;
    }
    if (study->atlas.columns_file != NULL)
        vg_store_names_free(labels, count);
    return status;
}

/* ---- groups of subjects, folds, tiles ------------------------------------------------------------------------------------------ */

static bool same_runs(const fit_subject *a, const fit_subject *b)
{
    if (a->study->run_count != b->study->run_count)
        return false;
    for (int64_t r = 0; r < a->study->run_count; r++)
        if (a->study->runs[r].story != b->study->runs[r].story || vg_responses_rows(a->runs[r]) != vg_responses_rows(b->runs[r]))
            return false;
    return true;
}

static vg_status make_group(fit_job *job, const fit_subject *subject, fit_group *group)
{
    const vg_study *study = job->study;
    int64_t gap = study->ridge.gap;
    for (int64_t d = 0; study->ridge.gap < 0 && d < study->alignment.delay_count; d++)
        gap = study->alignment.delays[d] > gap ? study->alignment.delays[d] : gap;
    group->pattern = subject;
    VG_TRY(VG_NEW(&group->run_rows, subject->study->run_count, "runs"));
    for (int64_t r = 0; r < subject->study->run_count; r++)
        group->run_rows[r] = vg_responses_rows(subject->runs[r]) - study->alignment.trim[0] - study->alignment.trim[1];
    const vg_folds_options options = {.run_rows = group->run_rows,
                                      .runs = subject->study->run_count,
                                      .outer_folds = study->ridge.outer_folds,
                                      .inner_folds = study->ridge.inner_folds,
                                      .gap = gap};
    vg_status status = vg_folds_create(&options, &group->folds);
    if (status != VG_OK)
        return vg_fail_within(status, "ridge.outer_folds, inner_folds, gap: ");
    group->plan = (vg_ridge_plan){
        .folds = group->folds, .alphas = study->ridge.alphas, .alpha_count = study->ridge.alpha_count, .type = VG_F32, .r2 = VG_R2_POOLED};
    return VG_OK;
}

static vg_status make_groups(fit_job *job)
{
    VG_TRY(VG_NEW(&job->groups, job->subject_count, "groups"));
    for (int64_t i = 0; i < job->subject_count; i++) {
        fit_subject *subject = &job->subjects[i];
        int64_t g = 0;
        while (g < job->group_count && !same_runs(job->groups[g].pattern, subject))
            g++;
        subject->group = g;
        if (g == job->group_count) {
            job->group_count++;
            VG_TRY(make_group(job, subject, &job->groups[g]));
        }
    }
    return VG_OK;
}

/* A tile holds a whole number of the solver's tiles, 4096 voxels or a few more; as many spaces share a reading as fit into half the memory.
 */
static vg_status make_tiles(fit_job *job, const char *planned, int64_t memory)
{
    int64_t *columns;
    VG_TRY(VG_NEW(&columns, job->space_count, "spaces"));
    for (int64_t i = 0; i < job->space_count; i++)
        columns[i] = job->spaces[i].any->columns * job->study->alignment.delay_count;
    vg_ridge_cost cost = {.tile = 1};
    vg_status status = VG_OK;
    int64_t kept = vg_plan_kept(job->study, planned, "spaces_together", 0);
    job->chunk_size = kept > 0 && kept < job->space_count ? kept : job->space_count;
    for (int64_t g = 0; status == VG_OK && g < job->group_count; g++) {
        status = vg_ridge_estimate(&job->groups[g].plan, columns, job->chunk_size, &cost);
        while (status == VG_OK && kept == 0 && job->chunk_size > 1 &&
               (cost.design_bytes + cost.build_bytes + cost.fit_bytes) * (double)job->group_count + vg_null_bytes(job) >
                   0.5 * (double)memory) {
            job->chunk_size = (job->chunk_size + 1) / 2;
            status = vg_ridge_estimate(&job->groups[g].plan, columns, job->chunk_size, &cost);
        }
    }
    free(columns);
    VG_TRY(status);
    int64_t total = 0;
    for (int pass = 0; pass < 2; pass++) {
        job->tile_count = 0;
        for (int64_t i = 0; i < job->subject_count; i++) {
            const fit_subject *subject = &job->subjects[i];
            int64_t wide = (4095 / cost.tile + 1) * cost.tile;
            for (int64_t first = 0; first < subject->voxels; first += wide, job->tile_count++) {
                if (pass == 0)
                    continue;
                int64_t count = subject->voxels - first < wide ? subject->voxels - first : wide;
                job->tiles[job->tile_count] = (fit_tile){i, first, count};
                job->cost[job->tile_count] = cost.voxel_flops * (double)count;
            }
        }
        total = job->tile_count;
        if (pass == 0) {
            VG_TRY(VG_NEW(&job->tiles, total, "tiles"));
            VG_TRY(VG_NEW(&job->cost, total, "tiles"));
            VG_TRY(VG_NEW(&job->owner, total, "tiles"));
        }
    }
    VG_TRY(VG_NEW(&job->scores, job->chunk_size * total, "scores"));
    VG_TRY(VG_NEW(&job->designs, job->group_count * job->chunk_size, "designs"));
    return vg_assign_blocks(job->cost, total, vg_comm_ranks(job->comm), job->owner);
}

/* ---- layout ---------------------------------------------------------------------------------------------------------------------- */

static vg_status space_path(const char *above, const fit_space *space, const char *what, char **path)
{
    return vg_format(path, "%s/%s/%s%s%s%s%s", above, space->any->model, space->any->name, space->any->layer != NULL ? "/" : "",
                     space->any->layer != NULL ? space->any->layer : "", what != NULL ? "/" : "", what != NULL ? what : "");
}

static vg_status add_values(fit_job *job, const char *above, const fit_space *space, const char *what, int64_t rows, int64_t columns,
                            const char *units, int64_t *dataset)
{
    char *path;
    VG_TRY(space_path(above, space, what, &path));
    int64_t shape[2] = {rows > 0 ? rows : columns, columns};
    vg_status status = vg_layout_dataset(job->layout, path, VG_STORE_F32, 0, rows > 0 ? 2 : 1, shape, dataset);
    if (status == VG_OK)
        status = vg_layout_text(job->layout, path, "units", units);
    free(path);
    return status;
}

static vg_status add_voxels(fit_job *job, fit_subject *subject)
{
    size_t longest = 1;
    for (int64_t n = 0; n < subject->atlas.name_count; n++)
        longest = strlen(subject->atlas.names[n]) > longest ? strlen(subject->atlas.names[n]) : longest;
    const vg_store_member members[] = {{"hemisphere", VG_STORE_TEXT, 1}, {"vertex", VG_STORE_I32, 0}, {"i", VG_STORE_I32, 0},
                                       {"j", VG_STORE_I32, 0},           {"k", VG_STORE_I32, 0},      {"region", VG_STORE_TEXT, longest},
                                       {"usable", VG_STORE_U8, 0}};
    char *path;
    VG_TRY(vg_format(&path, "/subjects/%s/voxels", subject->study->name));
    vg_status status =
        vg_layout_table(job->layout, path, members, sizeof members / sizeof *members, subject->voxels, &subject->voxel_table);
    free(path);
    return status;
}

static vg_status add_subject(fit_job *job, fit_subject *subject)
{
    char *above;
    VG_TRY(VG_NEW(&subject->score, job->space_count, "datasets"));
    VG_TRY(VG_NEW(&subject->r2, job->space_count, "datasets"));
    VG_TRY(VG_NEW(&subject->alpha, job->space_count, "datasets"));
    VG_TRY(VG_NEW(&subject->inner, job->space_count, "datasets"));
    VG_TRY(VG_NEW(&subject->folds, job->space_count, "datasets"));
    VG_TRY(add_voxels(job, subject));
    VG_TRY(vg_format(&above, "/subjects/%s", subject->study->name));
    vg_status status = VG_OK;
    int64_t outer = job->groups[subject->group].folds->outer_count;
    for (int64_t i = 0; status == VG_OK && i < job->space_count; i++) {
        const fit_space *space = &job->spaces[i];
        status = add_values(job, above, space, "score", 0, subject->voxels, "mean over outer folds of Pearson's r", &subject->score[i]);
        if (status == VG_OK)
            status = add_values(job, above, space, "r2", 0, subject->voxels,
                                "1 - sum SSE / sum SST over outer folds, penalties chosen by r2", &subject->r2[i]);
        if (status == VG_OK)
            status =
                add_values(job, above, space, "alpha", outer, subject->voxels, "penalty chosen in each outer fold", &subject->alpha[i]);
        if (status == VG_OK && vg_choices_want(job, i))
            status = add_values(job, above, space, "inner", outer, subject->voxels,
                                "of each outer fold: the chosen penalty's mean score over inner folds", &subject->inner[i]);
        if (status == VG_OK && vg_choices_want(job, i))
            status = add_values(job, above, space, "folds", outer, subject->voxels, "score of each outer fold", &subject->folds[i]);
    }
    free(above);
    return status;
}

static vg_status add_regions(fit_job *job)
{
    size_t subject = 1, model = 1, name = 1, region = 1;
    for (int64_t i = 0; i < job->subject_count; i++) {
        size_t length = strlen(job->subjects[i].study->name);
        subject = length > subject ? length : subject;
        for (int64_t r = 0; r < job->subjects[i].regions.count; r++) {
            length = strlen(job->subjects[i].regions.regions[r].name);
            region = length > region ? length : region;
        }
    }
    for (int64_t i = 0; i < job->space_count; i++) {
        size_t a = strlen(job->spaces[i].any->model), b = strlen(job->spaces[i].any->name);
        model = a > model ? a : model;
        name = b > name ? b : name;
    }
    const vg_store_member members[] = {{"subject", VG_STORE_TEXT, subject},
                                       {"model", VG_STORE_TEXT, model},
                                       {"name", VG_STORE_TEXT, name},
                                       {"layer", VG_STORE_TEXT, 8},
                                       {"region", VG_STORE_TEXT, region},
                                       {"n", VG_STORE_I64, 0},
                                       {"mean", VG_STORE_F64, 0},
                                       {"sem", VG_STORE_F64, 0},
                                       {"p", VG_STORE_F64, 0}}; /* the last one with a null alone */
    int64_t count = (int64_t)(sizeof members / sizeof *members) - (job->study->null.shifts == 0);
    VG_TRY(vg_layout_table(job->layout, "/regions", members, count, job->space_count * job->region_rows, &job->region_table));
    return vg_layout_text(job->layout, "/regions", "units",
                          "mean: of the voxels' scores (Pearson's r); sem: over voxels; n: voxels with a score");
}

static const char simulated_note[] = "SIMULATED responses with a known truth (voxgrad simulate), not a brain";

static vg_status make_layout(fit_job *job)
{
    VG_TRY(vg_layout_new(&job->layout));
    for (int64_t i = 0; i < job->subject_count; i++)
        VG_TRY(add_subject(job, &job->subjects[i]));
    for (int64_t i = 0; i < job->space_count; i++) {
        fit_space *space = &job->spaces[i];
        space->mean = space->sem = -1;
        if (!job->same_voxels)
            continue;
        VG_TRY(add_values(job, "/group", space, "mean", 0, job->subjects[0].voxels, "mean over subjects of their scores", &space->mean));
        VG_TRY(
            add_values(job, "/group", space, "sem", 0, job->subjects[0].voxels, "standard error over subjects of that mean", &space->sem));
    }
    VG_TRY(add_regions(job));
    VG_TRY(vg_statistics_layout(job));
    if (job->simulated) {
        VG_TRY(vg_layout_text(job->layout, "/", "simulated", simulated_note));
        VG_TRY(vg_layout_text(job->layout, "/subjects", "simulated", simulated_note));
        VG_TRY(vg_layout_text(job->layout, "/regions", "simulated", simulated_note));
    }
    return vg_provenance_add(job->layout, job->study, job->plan, NULL);
}

/* ---- the run ---------------------------------------------------------------------------------------------------------------------- */

/* Only files that voxgrad simulate wrote carry the attribute. Before the runs are opened: HDF5 wants one way of opening a file at a time.
 */
static vg_status find_simulated(fit_job *job)
{
    const vg_study *study = job->study;
    for (int64_t i = 0; i < study->responses.subject_count; i++)
        for (int64_t r = 0; r < study->responses.subjects[i].run_count; r++) {
            const char *path = study->responses.subjects[i].runs[r].path, *colon = strstr(path, ".h5:");
            if (colon == NULL)
                continue;
            char *file_path;
            vg_store_file *file;
            VG_TRY(vg_format(&file_path, "%.*s", (int)(colon - path + 3), path));
            vg_status status = vg_store_open(file_path, &file);
            free(file_path);
            VG_TRY(status);
            job->simulated |= vg_store_has_attribute(file, colon + 4, "simulated");
            vg_store_close(file);
        }
    return VG_OK;
}

static vg_status open_subjects(fit_job *job)
{
    const vg_study *study = job->study;
    VG_TRY(find_simulated(job));
    VG_TRY(VG_NEW(&job->subjects, study->responses.subject_count, "subjects"));
    for (int64_t i = 0; i < study->responses.subject_count; i++) {
        job->subjects[i].study = &study->responses.subjects[i];
        job->subject_count++;
        VG_TRY(open_runs(job, &job->subjects[i]));
    }
    return check_rows(job);
}

static vg_status prepare(fit_job *job, const char *planned)
{
    char choices[96];
    VG_TRY(all_regions(job));
    VG_TRY(make_groups(job));
    job->same_voxels = true;
    for (int64_t i = 1; i < job->subject_count; i++)
        job->same_voxels &= job->subjects[i].voxels == job->subjects[0].voxels;
    VG_TRY(make_tiles(job, planned, vg_plan_memory(job->study, vg_comm_local_ranks(job->comm))));
    snprintf(choices, sizeof choices, "tiles: %lld\nspaces_together: %lld\n", (long long)job->tile_count, (long long)job->chunk_size);
    VG_TRY(vg_plan_text(job->study, job->device, planned, "fit", choices, &job->plan));
    VG_TRY(vg_statistics_prepare(job));
    return make_layout(job);
}

static vg_status fit_all(fit_job *job)
{
    int64_t mine = 0;
    for (int64_t t = 0; t < job->tile_count; t++) {
        job->fitted_voxels += job->tiles[t].count * job->space_count;
        mine += job->owner[t] == vg_comm_rank(job->comm) ? job->tiles[t].count : 0;
    }
    job->fitted_voxels += vg_null_fits(job);
    vg_progress_begin("fits", mine * job->space_count + vg_null_steps(job), "voxels");
    for (int64_t first = 0; first < job->space_count; first += job->chunk_size) {
        int64_t count = job->space_count - first < job->chunk_size ? job->space_count - first : job->chunk_size;
        double since = vg_seconds();
        vg_status status = vg_fit_chunk(job, first, count);
        job->busy += vg_seconds() - since;
        VG_AGREE(job->comm, status);
        VG_TRY(vg_null_chunk(job, first, count));
        for (int64_t i = 0; i < count; i++)
            VG_TRY(vg_fit_summarize(job, first, first + i));
        vg_fit_chunk_end(job);
    }
    VG_TRY(vg_statistics_finish(job));
    vg_progress_end();
    return VG_OK;
}

/* The file: begun, or gone on with. */
static vg_status begin_file(fit_job *job, const char *features_path, const char *path)
{
    int64_t chunks = (job->space_count + job->chunk_size - 1) / job->chunk_size;
    char *inputs = NULL;
    vg_store_plan plan = {.path = path,
                          .blocks = chunks * job->tile_count + job->space_count + vg_statistics_blocks(job),
                          .regions = 5 * job->chunk_size + 4 + vg_statistics_regions(job)};
    vg_status status = vg_comm_agree(job->comm, vg_plan_fit_inputs(job->study, features_path, &inputs));
    if (status == VG_OK)
        status = vg_plan_begin(job->comm, job->study, job->plan, inputs, &plan, job->layout, &job->store);
    free(inputs);
    VG_TRY(status);
    /* Summaries, statistics and the null need each other's state, which no file holds: they are made again from the tiles' scores. */
    vg_store_forget(job->store, chunks * job->tile_count);
    return vg_run_begin(job->comm, job->study, job->device, "fit");
}

static vg_status decide(fit_job *job, const char *path)
{
    char *planned = NULL;
    if (!job->study->how.restart)
        VG_TRY(vg_store_planned(job->comm, path, &planned));
    vg_status status = vg_comm_agree(job->comm, prepare(job, planned));
    free(planned);
    return status;
}

static vg_status fit(fit_job *job, const char *features_path, const char *path)
{
    const vg_study *study = job->study;
    double began = vg_seconds();
    bool summed;
    if (study->responses.subject_count == 0)
        return vg_fail(VG_INVALID, "%s: responses.subjects: is missing: a list of {name, runs: {STORY: file}}", study->path);
    VG_AGREE(job->comm, vg_device_open(study->device, vg_comm_local_rank(job->comm), vg_thread_count(study, job->comm), &job->device));
    VG_TRY(vg_store_verify(job->comm, features_path, &summed));
    VG_AGREE(job->comm, collect_spaces(job, features_path));
    VG_AGREE(job->comm, open_subjects(job));
    VG_TRY(drop_unusable(job));
    VG_TRY(decide(job, path));
    VG_TRY(begin_file(job, features_path, path));
    VG_TRY(fit_all(job));
    VG_TRY(vg_load_note(job->comm, "fit", vg_seconds() - began, job->busy));
    VG_TRY(vg_store_finish(job->store));
    double seconds = vg_seconds() - began;
    vg_log(VG_LOG_INFO, "fit: %lld subjects, %lld spaces, %lld voxel fits on %lld factorisations a rank, %.2f s, %.0f voxels/s: %s",
           (long long)job->subject_count, (long long)job->space_count, (long long)job->fitted_voxels, (long long)vg_ridge_factorizations(),
           seconds, (double)job->fitted_voxels / seconds, path);
    return vg_run_note(job->comm, study, job->device, "fit", seconds, "voxels_per_second", (double)job->fitted_voxels / seconds);
}

static void free_job(fit_job *job)
{
    vg_store_free(job->store);
    vg_layout_free(job->layout);
    vg_statistics_free(job);
    vg_fit_chunk_end(job);
    free(job->designs);
    for (int64_t i = 0; job->scores != NULL && i < job->chunk_size * job->tile_count; i++)
        free(job->scores[i]);
    for (int64_t i = 0; job->groups != NULL && i < job->group_count; i++) {
        vg_folds_free(job->groups[i].folds);
        free(job->groups[i].run_rows);
    }
    for (int64_t i = 0; job->subjects != NULL && i < job->subject_count; i++)
        close_subject(&job->subjects[i]);
    for (int64_t i = 0; job->spaces != NULL && i < job->space_count; i++) {
        vg_families_uncut(&job->spaces[i]);
        free(job->spaces[i].stories);
    }
    if (job->listed != NULL)
        vg_features_list_free(job->listed, job->listed_count);
    vg_store_close(job->features);
    vg_device_close(job->device);
    free(job->scores);
    free(job->groups);
    free(job->subjects);
    free(job->spaces);
    free(job->tiles);
    free(job->cost);
    free(job->owner);
    free(job->plan);
}

vg_status vg_study_fit(vg_comm *comm, const vg_study *study, const char *features_path)
{
    fit_job job = {.comm = comm, .study = study};
    char *standard = NULL, *path = NULL;
    vg_status status;
    VG_GO(vg_output_make(comm, study));
    VG_GO(vg_comm_agree(comm, vg_output_path(study, "features.h5", &standard)));
    VG_GO(vg_comm_agree(comm, vg_output_path(study, "results.h5", &path)));
    VG_GO(fit(&job, features_path != NULL ? features_path : standard, path));
done:
    free_job(&job);
    free(standard);
    free(path);
    return status;
}
