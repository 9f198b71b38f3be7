/* features: every word of every story, explained by every model: features.h5. Blocks of words go to the ranks; each writes its own rows. */
#include <stdlib.h>
#include <string.h>

#include "run.h"

/* A space of one story in the file. */
typedef struct {
    vg_store_space_datasets datasets;
    int64_t columns;
} placed;

/* A block of one model's words in one story. */
typedef struct {
    int64_t model, story, block;
} unit;

typedef struct {
    vg_comm *comm;
    const vg_study *study;
    vg_device *device;
    vg_stories stories;
    vg_file_features files; /* made elsewhere */
    vg_explained *models;   /* (model_count) */
    placed **spaces;        /* (model_count * story_count) -> outputs */
    vg_layout *layout;
    unit *units;
    double *cost;
    int *owner;
    int64_t unit_count, most_outputs;
    vg_memory memory;
    double busy; /* s of this rank's work */
    char *path, *plan, *inputs;
    vg_store *store;
} job;

static int64_t models_used(const vg_study *study)
{
    return vg_explains(study) ? study->model_count : 0;
}

/* ---- layout --------------------------------------------------------------------------------------------------------------- */

static vg_status column_names(const vg_attribution *attribution, int64_t o, int64_t columns, char ***names)
{
    char name[64];
    VG_TRY(VG_NEW(names, columns, "column names"));
    for (int64_t c = 0; c < columns; c++) {
        vg_attribution_column(attribution, o, c, name, sizeof name);
        VG_TRY(vg_format(&(*names)[c], "%s", name));
    }
    return VG_OK;
}

static vg_status add_space(job *j, int64_t m, int64_t s, int64_t o, const vg_output *output, placed *at)
{
    char **names = NULL;
    vg_status status;
    VG_GO(column_names(j->models[m].attributions[s], o, output->columns, &names));
    vg_store_space space = {.story = j->study->stories[s].name,
                            .model = j->study->models[m].name,
                            .name = output->name,
                            .layer = *output->layer != '\0' ? output->layer : NULL,
                            .method = output->method,
                            .words = j->stories.stories[s].count,
                            .columns = output->columns,
                            .column_names = (const char *const *)names,
                            .sees_word = output->sees_word,
                            .path = output->path,
                            .tolerance = output->tolerance};
    at->columns = output->columns;
    VG_GO(vg_features_add_space(j->layout, &space, &at->datasets));
done:
    vg_store_names_free(names, names != NULL ? output->columns : 0);
    return status;
}

static vg_status add_words(job *j, int64_t s, int64_t *dataset)
{
    const vg_story *story = &j->stories.stories[s];
    size_t longest = 1;
    for (int64_t w = 0; w < story->count; w++)
        longest = strlen(story->words[w].text) > longest ? strlen(story->words[w].text) : longest;
    return vg_features_add_words(j->layout, j->study->stories[s].name, story->count, longest, dataset);
}

static vg_status make_layout(job *j, int64_t *word_tables)
{
    int64_t stories = j->study->story_count;
    VG_TRY(vg_layout_new(&j->layout));
    for (int64_t s = 0; s < stories; s++)
        VG_TRY(add_words(j, s, &word_tables[s]));
    for (int64_t m = 0; m < models_used(j->study); m++)
        for (int64_t s = 0; s < stories; s++) {
            const vg_output *outputs;
            int64_t count = vg_attribution_outputs(j->models[m].attributions[s], &outputs);
            j->most_outputs = count > j->most_outputs ? count : j->most_outputs;
            VG_TRY(VG_NEW(&j->spaces[m * stories + s], count, "spaces"));
            for (int64_t o = 0; o < count; o++)
                VG_TRY(add_space(j, m, s, o, &outputs[o], &j->spaces[m * stories + s][o]));
        }
    VG_TRY(vg_files_add(j->study, j->layout, &j->files));
    return vg_provenance_add(j->layout, j->study, j->plan, j->models);
}

static vg_status list_units(job *j)
{
    int64_t stories = j->study->story_count, total = 0;
    const vg_word_block *blocks;
    for (int64_t m = 0; m < models_used(j->study); m++)
        for (int64_t s = 0; s < stories; s++)
            total += vg_attribution_blocks(j->models[m].attributions[s], &blocks);
    VG_TRY(VG_NEW(&j->units, total, "blocks"));
    VG_TRY(VG_NEW(&j->cost, total, "blocks"));
    VG_TRY(VG_NEW(&j->owner, total, "blocks"));
    for (int64_t m = 0; m < models_used(j->study); m++)
        for (int64_t s = 0; s < stories; s++) {
            int64_t count = vg_attribution_blocks(j->models[m].attributions[s], &blocks);
            for (int64_t b = 0; b < count; b++) {
                j->cost[j->unit_count] = blocks[b].cost;
                j->units[j->unit_count++] = (unit){m, s, b};
            }
        }
    return vg_assign_blocks(j->cost, total, vg_comm_ranks(j->comm), j->owner);
}

/* ---- work ------------------------------------------------------------------------------------------------------------------ */

static vg_status write_words(job *j, const int64_t *word_tables)
{
    for (int64_t s = 0; s < j->study->story_count; s++) {
        const vg_story *story = &j->stories.stories[s];
        size_t element = vg_layout_element(j->layout, word_tables[s]);
        char *records = NULL;
        vg_status status;
        VG_GO(vg_allocate((void **)&records, story->count, element, "words"));
        for (int64_t w = 0; w < story->count; w++) {
            char *record = records + (size_t)w * element;
            VG_GO(vg_layout_put_text(j->layout, word_tables[s], record, "text", story->words[w].text));
            VG_GO(vg_layout_put_number(j->layout, word_tables[s], record, "onset", story->words[w].onset));
            VG_GO(vg_layout_put_number(j->layout, word_tables[s], record, "offset", story->words[w].offset));
        }
        VG_GO(vg_store_write(j->store, word_tables[s], NULL, NULL, records));
    done:
        free(records);
        VG_TRY(status);
    }
    return VG_OK;
}

/* Layers of one entry share nodes, residual and error. */
static vg_status write_output(job *j, const vg_word_block *block, const placed *spaces, int64_t o, const vg_block_values *r)
{
    const vg_store_space_datasets *to = &spaces[o].datasets;
    int64_t offset[2] = {block->first, 0}, size[2] = {block->count, spaces[o].columns};
    VG_TRY(vg_store_write(j->store, to->values, offset, size, r->values[o]));
    VG_TRY(vg_store_write(j->store, to->valid, offset, size, r->valid[o]));
    if (to->nodes < 0 || (o > 0 && to->nodes == spaces[o - 1].datasets.nodes))
        return VG_OK;
    VG_TRY(vg_store_write(j->store, to->nodes, offset, size, r->nodes[o]));
    VG_TRY(vg_store_write(j->store, to->residual, offset, size, r->residual[o]));
    return vg_store_write(j->store, to->error, offset, size, r->error[o]);
}

static vg_status run_unit(job *j, const unit *u)
{
    vg_attribution *attribution = j->models[u->model].attributions[u->story];
    const placed *spaces = j->spaces[u->model * j->study->story_count + u->story];
    const vg_word_block *blocks;
    const vg_output *outputs;
    int64_t count = vg_attribution_outputs(attribution, &outputs);
    vg_attribution_blocks(attribution, &blocks);
    const vg_word_block *block = &blocks[u->block];
    vg_block_values values;
    vg_status status;
    VG_GO(vg_block_values_create(attribution, block->count, &values));
    VG_GO(vg_attribution_run(attribution, u->block, &values));
    for (int64_t o = 0; o < count; o++)
        VG_GO(write_output(j, block, spaces, o, &values));
    vg_progress_step(block->count);
done:
    vg_block_values_free(attribution, &values);
    return status;
}

/* Only the one that is at work holds memory for its batches. */
static void rest(const job *j, const unit *next)
{
    for (int64_t m = 0; m < models_used(j->study); m++)
        for (int64_t s = 0; s < j->study->story_count; s++)
            if (m != next->model || s != next->story)
                vg_attribution_rest(j->models[m].attributions[s]);
}

/* Words that this rank kept though their path had not converged. */
static void warn_unconverged(const job *j)
{
    for (int64_t m = 0; m < models_used(j->study); m++)
        for (int64_t s = 0; s < j->study->story_count; s++) {
            int64_t words = vg_attribution_unconverged(j->models[m].attributions[s]);
            if (words > 0)
                vg_log(VG_LOG_WARNING,
                       "model %s, story %s: %lld words did not converge by max_steps and are kept (NAME.error above the tolerance)",
                       j->study->models[m].name, j->study->stories[s].name, (long long)words);
        }
}

/* Is this unit this rank's, of this task's part, and not yet whole? */
static bool is_mine(const job *j, int64_t i)
{
    const unit *u = &j->units[i];
    return j->owner[i] == vg_comm_rank(j->comm) && vg_part_has(j->study, &j->study->models[u->model], &j->study->stories[u->story], i) &&
           !vg_store_whole(j->store, i + 1);
}

/* Block 0 of the file is the words and what was made elsewhere; the units follow. */
static vg_status run_units(job *j, const int64_t *word_tables)
{
    int rank = vg_comm_rank(j->comm);
    int64_t words = 0;
    const vg_word_block *blocks;
    double began = vg_seconds();
    for (int64_t i = 0; i < j->unit_count; i++) {
        vg_attribution_blocks(j->models[j->units[i].model].attributions[j->units[i].story], &blocks);
        words += is_mine(j, i) ? blocks[j->units[i].block].count : 0;
    }
    if (rank == 0 && vg_part_has(j->study, j->study->models, j->study->stories, 0) && !vg_store_whole(j->store, 0)) {
        VG_TRY(write_words(j, word_tables));
        VG_TRY(vg_files_write(j->study, j->store, &j->files));
        VG_TRY(vg_store_commit(j->store, 0));
    }
    vg_progress_begin("features", words, "words");
    for (int64_t i = 0; i < j->unit_count; i++) {
        if (!is_mine(j, i))
            continue;
        if (i > 0 && (j->units[i].model != j->units[i - 1].model || j->units[i].story != j->units[i - 1].story))
            rest(j, &j->units[i]);
        VG_TRY(run_unit(j, &j->units[i]));
        VG_TRY(vg_store_commit(j->store, i + 1));
    }
    vg_progress_end();
    j->busy = vg_seconds() - began;
    warn_unconverged(j);
    return VG_OK;
}

/* What the numbers depend on beside the study: one line for each model and story. */
static vg_status describe_plan(job *j, const char *planned)
{
    char *choices, *longer;
    VG_TRY(vg_format(&choices, "%s", ""));
    vg_status status = VG_OK;
    for (int64_t i = 0; status == VG_OK && i < models_used(j->study) * j->study->story_count; i++) {
        int64_t m = i / j->study->story_count, s = i % j->study->story_count;
        char *field = NULL;
        status = vg_batch_field(j->study, m, s, &field);
        if (status == VG_OK)
            status = vg_format(&longer, "%s%s: %lld\n", choices, field, (long long)vg_attribution_batch(j->models[m].attributions[s]));
        free(field);
        if (status != VG_OK)
            break;
        free(choices);
        choices = longer;
    }
    if (status == VG_OK)
        status = vg_plan_text(j->study, j->device, planned, "features", choices, &j->plan);
    free(choices);
    return status;
}

static vg_status prepare(job *j, const char *planned, int64_t *word_tables)
{
    const vg_study *study = j->study;
    int64_t models = models_used(study);
    VG_TRY(vg_device_open(study->device, vg_comm_local_rank(j->comm), vg_thread_count(study, j->comm), &j->device));
    VG_TRY(vg_stories_open(study, &j->stories));
    VG_TRY(vg_files_open(study, &j->stories, &j->files));
    if (vg_comm_rank(j->comm) == 0)
        VG_TRY(vg_files_check(study, &j->files));
    VG_TRY(VG_NEW(&j->models, models, "models"));
    VG_TRY(VG_NEW(&j->spaces, models * study->story_count, "spaces"));
    for (int64_t m = 0; m < models; m++)
        VG_TRY(vg_explained_open(study, &j->stories, j->device, m, j->memory, planned, &j->models[m]));
    VG_TRY(describe_plan(j, planned));
    VG_TRY(vg_plan_features_inputs(study, &j->stories, j->models, &j->inputs));
    VG_TRY(make_layout(j, word_tables));
    return list_units(j);
}

/* Plan, layout and units; what an unfinished file was begun with is kept. */
static vg_status decide(job *j, int64_t *word_tables)
{
    char *planned = NULL;
    vg_status status;
    VG_GO(vg_comm_agree(j->comm, vg_output_path(j->study, "features.h5", &j->path)));
    if (!j->study->how.restart)
        VG_GO(vg_store_planned(j->comm, j->path, &planned));
    VG_GO(vg_memory_plan(j->comm, j->study, &j->memory));
    status = vg_comm_agree(j->comm, prepare(j, planned, word_tables));
done:
    free(planned);
    return status;
}

static vg_status features(job *j, int64_t *word_tables)
{
    double began = vg_seconds();
    bool current = false;
    vg_status status;
    VG_GO(decide(j, word_tables));
    if (j->study->how.keep_features)
        VG_GO(vg_features_current(j->comm, j->study, &j->stories, j->models, j->plan, j->path, &current));
    if (current) {
        vg_log(VG_LOG_INFO, "features: %s is whole and of this study and plan: kept (--restart makes it anew)", j->path);
        goto done;
    }
    vg_store_plan plan = {
        .path = j->path, .blocks = j->unit_count + 1, .regions = 5 * j->most_outputs + j->study->story_count + 2 * j->files.count + 1};
    VG_GO(vg_plan_begin(j->comm, j->study, j->plan, j->inputs, &plan, j->layout, &j->store));
    VG_GO(vg_run_begin(j->comm, j->study, j->device, "features"));
    VG_GO(vg_comm_agree(j->comm, run_units(j, word_tables)));
    VG_GO(vg_load_note(j->comm, "features", vg_seconds() - began, j->busy));
    if (vg_is_part(j->study)) {
        VG_GO(vg_comm_agree(j->comm, vg_store_flush(j->store)));
        vg_log(VG_LOG_INFO, "features: this task's part is done: %s.part; \"voxgrad merge\" puts the parts together", j->path);
        goto done;
    }
    VG_GO(vg_store_finish(j->store));
    double seconds = vg_seconds() - began;
    int64_t words = 0;
    for (int64_t s = 0; s < j->study->story_count; s++)
        words += j->stories.stories[s].count * (vg_explains(j->study) ? j->study->model_count : 1);
    double rate = (double)words / seconds;
    vg_log(VG_LOG_INFO, "features: %lld words in %.2f s, %.*f words/s: %s", (long long)words, seconds, rate < 10 ? 3 : 0, rate, j->path);
    VG_GO(vg_run_note(j->comm, j->study, j->device, "features", seconds, "words_per_second", rate));
done:
    return status;
}

vg_status vg_study_make_features(vg_comm *comm, const vg_study *study)
{
    job j = {.comm = comm, .study = study};
    int64_t *word_tables = NULL;
    vg_status status = vg_comm_agree(comm, VG_NEW(&word_tables, study->story_count, "stories"));
    if (status == VG_OK)
        status = vg_output_make(comm, study);
    if (status == VG_OK)
        status = features(&j, word_tables);
    vg_store_free(j.store);
    vg_layout_free(j.layout);
    for (int64_t i = 0; j.spaces != NULL && i < models_used(study) * study->story_count; i++)
        free(j.spaces[i]);
    for (int64_t m = 0; j.models != NULL && m < models_used(study); m++)
        vg_explained_free(study, &j.models[m]);
    vg_files_close(&j.files);
    vg_stories_free(study, &j.stories);
    vg_device_close(j.device);
    free(j.models);
    free(j.spaces);
    free(j.units);
    free(j.cost);
    free(j.owner);
    free(j.path);
    free(j.plan);
    free(j.inputs);
    free(word_tables);
    return status;
}
