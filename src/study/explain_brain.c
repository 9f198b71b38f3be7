/* explain_brain: which words drive a voxel's or region's predicted response (encoding.md, "Brain-target attribution"). The prediction is
 * linear in the states of a layer: with a_n the state before word n, the rows of its TR's delayed copies add up to g_n . a_n, where
 * g_n[j] = sum over delays k, as far as the copy lies within the run, of weight[k, j] / (sd[k, j] words in the TR). Down from the layer g_n
 * is the cotangent of one vjp of the model: gradient_norm and gradient_x_input of word n, of the K words before it. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "run.h"

typedef struct {
    const vg_study *study;
    const vg_brain_question *question;
    const vg_study_subject *subject;
    int64_t model, layer;
    vg_store_file *features, *results;
    const vg_store_space *space; /* of the first story */
    vg_store_space *listed;
    int64_t listed_count, columns; /* of the design */
    double *weights;               /* (columns): of the voxel, or their mean over the region */
    vg_stories stories;
    vg_explained explained;
    float **seeds; /* (stories) -> (words, width), zeros for stories that the subject has not heard */
} explaining;

/* ---- the question -------------------------------------------------------------------------------------------------------- */

static vg_status find_subject(explaining *e)
{
    for (int64_t i = 0; i < e->study->responses.subject_count; i++)
        if (strcmp(e->study->responses.subjects[i].name, e->question->subject) == 0)
            e->subject = &e->study->responses.subjects[i];
    return e->subject != NULL ? VG_OK : vg_fail(VG_INVALID, "--subject %s: the study has no such subject", e->question->subject);
}

/* MODEL/NAME/LL, or NAME/LL of the first model; a space of activations, read before the word. */
static vg_status find_space(explaining *e)
{
    VG_TRY(vg_features_list(e->features, &e->listed, &e->listed_count));
    for (int64_t i = 0; i < e->listed_count && e->space == NULL; i++) {
        const vg_store_space *s = &e->listed[i];
        char with[600], without[600];
        snprintf(with, sizeof with, "%s/%s/%s", s->model, s->name, s->layer != NULL ? s->layer : "");
        snprintf(without, sizeof without, "%s/%s", s->name, s->layer != NULL ? s->layer : "");
        if (strcmp(with, e->question->space) == 0 || strcmp(without, e->question->space) == 0)
            e->space = s;
    }
    int64_t layer = 0;
    if (e->space == NULL || e->space->method == NULL || strcmp(e->space->method, "activations") != 0 || e->space->layer == NULL ||
        !vg_parse_integer(e->space->layer, strlen(e->space->layer), &layer))
        return vg_fail(VG_INVALID, "--space %s: a space of activations of one layer is wanted: NAME/LL or MODEL/NAME/LL",
                       e->question->space);
    for (int64_t i = 0; i < e->study->feature_count; i++)
        if (strcmp(e->study->features[i].name, e->space->name) == 0 && strcmp(e->study->features[i].at, "context") != 0)
            return vg_fail(VG_INVALID, "--space %s: states before the word (at: context) can be explained by the words before it",
                           e->question->space);
    e->layer = layer;
    for (e->model = 0; e->model < e->study->model_count; e->model++)
        if (strcmp(e->study->models[e->model].name, e->space->model) == 0)
            return VG_OK;
    return vg_fail(VG_INVALID, "--space %s: the study has no model \"%s\"", e->question->space, e->space->model);
}

/* Is a voxel of this label asked for: the label itself, or one of the study's region of that name. */
static bool is_wanted(const explaining *e, const char *label)
{
    if (strcmp(label, e->question->region) == 0)
        return true;
    for (int64_t r = 0; r < e->study->atlas.region_count; r++)
        for (int64_t m = 0; m < e->study->atlas.regions[r].member_count; m++)
            if (strcmp(e->study->atlas.regions[r].name, e->question->region) == 0 &&
                strcmp(e->study->atlas.regions[r].members[m], label) == 0)
                return true;
    return false;
}

static vg_status find_voxels(const explaining *e, int64_t voxels, uint8_t *wanted)
{
    char path[600];
    char **labels;
    int64_t count = 0, found = 0;
    if (e->question->region == NULL) {
        if (e->question->voxel < 0 || e->question->voxel >= voxels)
            return vg_fail(VG_INVALID, "--voxel %lld: voxels are 0 .. %lld", (long long)e->question->voxel, (long long)voxels - 1);
        wanted[e->question->voxel] = 1;
        return VG_OK;
    }
    snprintf(path, sizeof path, "/subjects/%s/voxels", e->question->subject);
    VG_TRY(vg_store_read_texts(e->results, path, "region", &labels, &count));
    for (int64_t v = 0; v < voxels && v < count; v++)
        found += wanted[v] = is_wanted(e, labels[v]);
    vg_store_names_free(labels, count);
    return found > 0 ? VG_OK
                     : vg_fail(VG_INVALID, "--region %s: no voxel of subject %s has this label", e->question->region, e->question->subject);
}

/* Mean over the wanted voxels of their weights; dead voxels are left out. */
static vg_status read_weights(explaining *e)
{
    char path[800];
    vg_store_about about;
    double *all = NULL;
    uint8_t *wanted = NULL;
    vg_status status;
    snprintf(path, sizeof path, "/subjects/%s/%s/%s/%s/weights", e->question->subject, e->space->model, e->space->name, e->space->layer);
    if (!vg_store_has(e->results, path))
        return vg_fail(VG_INVALID, "results.h5 has no weights of subject %s, %s; fit with ridge: {weights: true}", e->question->subject,
                       e->question->space);
    VG_GO(vg_store_describe(e->results, path, &about));
    const int64_t *shape = about.shape;
    const vg_align_options options = vg_align_of(e->study, 0);
    e->columns = shape[0];
    if (e->columns != vg_align_columns(&options, e->space->columns))
        VG_GO(vg_fail(VG_INVALID, "%s: has %lld rows; the study's alignment makes %lld columns", path, (long long)e->columns,
                      (long long)vg_align_columns(&options, e->space->columns)));
    VG_GO(VG_NEW(&all, shape[0] * shape[1], "weights"));
    VG_GO(VG_NEW(&wanted, shape[1], "voxels"));
    VG_GO(VG_NEW(&e->weights, e->columns, "weights"));
    VG_GO(find_voxels(e, shape[1], wanted));
    VG_GO(vg_store_read(e->results, path, NULL, VG_STORE_F64, NULL, NULL, all));
    int64_t count = 0;
    for (int64_t v = 0; v < shape[1]; v++) {
        if (!wanted[v] || !isfinite(all[v]))
            continue;
        count++;
        for (int64_t j = 0; j < e->columns; j++)
            e->weights[j] += all[j * shape[1] + v];
    }
    for (int64_t j = 0; j < e->columns; j++)
        e->weights[j] /= (double)count;
    if (count == 0)
        VG_GO(vg_fail(VG_INVALID, "%s: no voxel that was asked for has weights", path));
done:
    free(all);
    free(wanted);
    return status;
}

/* ---- from weights to cotangents ------------------------------------------------------------------------------------------------ */

static const vg_store_space *space_of(const explaining *e, int64_t story)
{
    for (int64_t i = 0; i < e->listed_count; i++) {
        const vg_store_space *s = &e->listed[i];
        if (strcmp(s->story, e->study->stories[story].name) == 0 && strcmp(s->model, e->space->model) == 0 &&
            strcmp(s->name, e->space->name) == 0 && s->layer != NULL && strcmp(s->layer, e->space->layer) == 0)
            return s;
    }
    return NULL;
}

/* What the design's columns of this story are divided by: their standard deviations over its rows (0: nothing). */
static vg_status measure(const explaining *e, const vg_store_space *space, const vg_story *story, int64_t rows, double *sd)
{
    vg_align_options options = vg_align_of(e->study, rows);
    int64_t kept = rows - options.trim[0] - options.trim[1], words = story->count;
    vg_matrix features = {.rows = space->words, .columns = space->columns, .ld = space->columns};
    vg_matrix design = {.rows = kept, .columns = e->columns, .ld = e->columns};
    double *onset = NULL;
    uint8_t *valid = NULL;
    vg_align_counts counts;
    vg_status status;
    options.standardize = false;
    VG_GO(VG_NEW(&features.data, space->words * space->columns, "features"));
    VG_GO(VG_NEW(&valid, space->words * space->columns, "features"));
    VG_GO(VG_NEW(&design.data, kept * e->columns, "a design"));
    VG_GO(VG_NEW(&onset, 2 * words, "onsets"));
    for (int64_t w = 0; w < words; w++) {
        onset[w] = story->words[w].onset;
        onset[words + w] = story->words[w].offset;
    }
    VG_GO(vg_features_read(e->features, space, features.data, valid));
    VG_GO(vg_align(features, onset, onset + words, &options, design, &counts));
    for (int64_t j = 0; j < e->columns; j++) {
        double mean = 0, square = 0;
        for (int64_t t = 0; t < kept; t++)
            mean += (double)design.data[t * design.ld + j] / (double)kept;
        for (int64_t t = 0; t < kept; t++)
            square += pow((double)design.data[t * design.ld + j] - mean, 2) / (double)kept;
        sd[j] = sqrt(square);
    }
done:
    free(features.data);
    free(valid);
    free(design.data);
    free(onset);
    return status;
}

static int64_t row_of_word(const vg_study *study, const vg_word *word)
{
    const char *anchor = study->alignment.anchor;
    double moment = strcmp(anchor, "offset") == 0     ? word->offset
                    : strcmp(anchor, "midpoint") == 0 ? (word->onset + word->offset) / 2
                                                      : word->onset;
    return (int64_t)floor((moment - study->responses.start) / study->responses.tr);
}

/* g_n of every word of a story that lasts `rows` rows. */
static void make_seeds(const explaining *e, const vg_story *story, int64_t rows, const double *sd, float *seeds)
{
    const vg_study *study = e->study;
    int64_t p = e->columns / study->alignment.delay_count;
    for (int64_t n = 0; n < story->count; n++) {
        int64_t row = row_of_word(study, &story->words[n]), words = 0;
        for (int64_t m = 0; m < story->count; m++)
            words += row_of_word(study, &story->words[m]) == row;
        double share = strcmp(study->alignment.downsample, "sum") == 0 ? 1.0 : 1.0 / (double)words;
        for (int64_t k = 0; k < study->alignment.delay_count; k++) {
            int64_t at = row + study->alignment.delays[k];
            if (at < study->alignment.trim[0] || at >= rows - study->alignment.trim[1])
                continue;
            for (int64_t j = 0; j < p; j++)
                if (sd[k * p + j] > 0)
                    seeds[n * p + j] += (float)(share * e->weights[k * p + j] / sd[k * p + j]);
        }
    }
}

static vg_status seed_story(explaining *e, int64_t s)
{
    const vg_story *story = &e->stories.stories[s];
    const vg_store_space *space = space_of(e, s);
    VG_TRY(VG_NEW(&e->seeds[s], story->count * e->space->columns, "cotangents"));
    for (int64_t r = 0; space != NULL && r < e->subject->run_count; r++) {
        vg_responses *responses;
        double *sd;
        if (e->subject->runs[r].story != s)
            continue;
        VG_TRY(vg_run_open(e->study, e->subject, r, &responses));
        int64_t rows = vg_responses_rows(responses);
        vg_responses_close(responses);
        VG_TRY(VG_NEW(&sd, e->columns, "standard deviations"));
        vg_status status = measure(e, space, story, rows, sd);
        if (status == VG_OK)
            make_seeds(e, story, rows, sd, e->seeds[s]);
        free(sd);
        return status; /* repeats share the design */
    }
    return VG_OK;
}

/* ---- down to the words ------------------------------------------------------------------------------------------------------------ */

/* values (2, words, K): gradient_norm, and gradient_x_input summed over a word's tokens, with its sign. */
static vg_status explain_story(const explaining *e, int64_t s, float *values, uint8_t *valid)
{
    int64_t K = e->question->words, words = e->stories.stories[s].count, block_count;
    const vg_space_request requests[] = {{.method = "gradient_norm", .words = K},
                                         {.method = "gradient_x_input", .words = K, .reduce = "sum"}};
    vg_context context = vg_context_of(e->study);
    const vg_attribution_plan plan = vg_plan_of(e->explained.model, vg_memory_of(e->study, 1).bytes);
    vg_attribution *attribution;
    const vg_word_block *blocks;
    context.whole_word = false;
    context.seed = e->seeds[s];
    context.seed_layer = e->layer;
    VG_TRY(vg_attribution_create(e->explained.model, &e->explained.passages[s], &context, requests, 2, &plan, &attribution));
    block_count = vg_attribution_blocks(attribution, &blocks);
    vg_status status = VG_OK;
    vg_progress_begin("words", words, "words");
    for (int64_t b = 0; status == VG_OK && b < block_count; b++) {
        int64_t at = blocks[b].first * K;
        float *to[] = {values + at, values + words * K + at};
        uint8_t *there[] = {valid + at, valid + words * K + at};
        status = vg_attribution_run(attribution, b, &(vg_block_values){.values = to, .valid = there});
        vg_progress_step(blocks[b].count);
    }
    vg_progress_end();
    vg_attribution_free(attribution);
    return status;
}

/* ---- what is written ------------------------------------------------------------------------------------------------------------------
 */

static vg_status layout(const explaining *e, vg_layout *l, int64_t *datasets)
{
    const vg_brain_question *q = e->question;
    for (int64_t s = 0; s < e->study->story_count; s++) {
        const char *const names[] = {"gradient_norm", "gradient_x_input"};
        const char *const units[] = {
            "L1 norm of the gradient of word n's part in the predicted response, by the K words before it (column j: word "
            "n - K + j)",
            "gradient times input, summed over a word's tokens, with its sign"};
        int64_t shape[] = {e->stories.stories[s].count, q->words};
        for (int i = 0; i < 2; i++) {
            char path[600];
            snprintf(path, sizeof path, "/stories/%s/brain/%s", e->study->stories[s].name, names[i]);
            VG_TRY(vg_layout_dataset(l, path, VG_STORE_F32, 0, 2, shape, &datasets[2 * s + i]));
            VG_TRY(vg_layout_text(l, path, "units", units[i]));
        }
    }
    VG_TRY(vg_layout_text(l, "/", "subject", q->subject));
    VG_TRY(vg_layout_text(l, "/", "space", q->space));
    if (q->region != NULL)
        VG_TRY(vg_layout_text(l, "/", "region", q->region));
    else
        VG_TRY(vg_layout_integer(l, "/", "voxel", q->voxel));
    return vg_provenance_add(l, e->study, "stage: explain-brain\n", NULL);
}

/* The words that move the prediction most: magnitudes of gradient x input, over all words n that they precede. */
static vg_status print_words(const explaining *e, int64_t s, const float *gxi, const uint8_t *valid, FILE *out)
{
    enum { SHOWN = 10 };
    const vg_story *story = &e->stories.stories[s];
    int64_t K = e->question->words;
    double *sum;
    VG_TRY(VG_NEW(&sum, story->count, "words"));
    for (int64_t n = 0; n < story->count; n++)
        for (int64_t j = 0; j < K; j++)
            if (n - K + j >= 0 && valid[n * K + j])
                sum[n - K + j] += (double)gxi[n * K + j];
    fprintf(out, "story %s: words whose gradient x input adds up to most\n", e->study->stories[s].name);
    for (int i = 0; i < SHOWN && i < story->count; i++) {
        int64_t best = 0;
        for (int64_t w = 1; w < story->count; w++)
            best = fabs(sum[w]) > fabs(sum[best]) ? w : best;
        fprintf(out, "  %10.3f s  %-20s %+.4g\n", story->words[best].onset, story->words[best].text, sum[best]);
        sum[best] = 0;
    }
    free(sum);
    return VG_OK;
}

static vg_status write_all(explaining *e, FILE *out)
{
    vg_comm *alone = NULL;
    vg_layout *l = NULL;
    vg_store *store = NULL;
    int64_t *datasets = NULL, stories = e->study->story_count;
    float *values = NULL;
    uint8_t *valid = NULL;
    vg_status status;
    VG_GO(vg_comm_alone(&alone));
    VG_GO(vg_layout_new(&l));
    VG_GO(VG_NEW(&datasets, 2 * stories, "datasets"));
    VG_GO(layout(e, l, datasets));
    vg_store_plan plan = {
        .path = e->question->output, .plan = "stage: explain-brain\n", .blocks = stories, .regions = 2, .overwrite = true};
    VG_GO(vg_store_create(alone, &plan, l, &store));
    for (int64_t s = 0; s < stories; s++) {
        int64_t count = e->stories.stories[s].count * e->question->words;
        free(values);
        free(valid);
        valid = NULL;
        VG_GO(VG_NEW(&values, 2 * count, "explanations"));
        VG_GO(VG_NEW(&valid, 2 * count, "explanations"));
        VG_GO(explain_story(e, s, values, valid));
        VG_GO(vg_store_write(store, datasets[2 * s], NULL, NULL, values));
        VG_GO(vg_store_write(store, datasets[2 * s + 1], NULL, NULL, values + count));
        VG_GO(vg_store_commit(store, s));
        VG_GO(print_words(e, s, values + count, valid, out));
    }
    VG_GO(vg_store_finish(store));
done:
    vg_store_free(store);
    vg_layout_free(l);
    vg_comm_finish(alone);
    free(datasets);
    free(values);
    free(valid);
    return status;
}

static vg_status explain(explaining *e, vg_device *device, FILE *out)
{
    const vg_study *study = e->study;
    char *features = NULL, *results = NULL;
    vg_status status;
    if (strcmp(study->alignment.hrf, "none") != 0 || strcmp(study->alignment.downsample, "lanczos") == 0)
        return vg_fail(VG_INVALID, "explain-brain follows delayed copies (hrf: none) of mean or sum; this study has others");
    VG_GO(vg_output_path(study, "features.h5", &features));
    VG_GO(vg_output_path(study, "results.h5", &results));
    VG_GO(vg_store_open(features, &e->features));
    VG_GO(vg_store_open(results, &e->results));
    VG_GO(find_subject(e));
    VG_GO(find_space(e));
    VG_GO(read_weights(e));
    VG_GO(vg_stories_open(study, &e->stories));
    VG_GO(vg_explained_open(study, &e->stories, device, e->model, vg_memory_of(study, 1), NULL, &e->explained));
    VG_GO(VG_NEW(&e->seeds, study->story_count, "stories"));
    for (int64_t s = 0; s < study->story_count; s++)
        VG_GO(seed_story(e, s));
    VG_GO(write_all(e, out));
done:
    free(features);
    free(results);
    return status;
}

vg_status vg_study_explain_brain(const vg_study *study, const vg_brain_question *question, FILE *out)
{
    explaining e = {.study = study, .question = question};
    vg_device *device;
    VG_TRY(vg_device_open(study->device, 0, (int)study->threads, &device));
    vg_status status = explain(&e, device, out);
    for (int64_t s = 0; e.seeds != NULL && s < study->story_count; s++)
        free(e.seeds[s]);
    free(e.seeds);
    free(e.weights);
    vg_explained_free(study, &e.explained);
    vg_stories_free(study, &e.stories);
    if (e.listed != NULL)
        vg_features_list_free(e.listed, e.listed_count);
    vg_store_close(e.features);
    vg_store_close(e.results);
    vg_device_close(device);
    return status;
}
