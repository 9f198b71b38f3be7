/* models: the stories as words, and each model with the stories as its tokens. */
#include <stdlib.h>
#include <string.h>

#include "run.h"

vg_status vg_stories_open(const vg_study *study, vg_stories *stories)
{
    VG_TRY(VG_NEW(&stories->stories, study->story_count, "stories"));
    VG_TRY(VG_NEW(&stories->texts, study->story_count, "stories"));
    VG_TRY(VG_NEW(&stories->word_end, study->story_count, "stories"));
    for (int64_t s = 0; s < study->story_count; s++) {
        const vg_study_story *story = &study->stories[s];
        VG_TRY(vg_story_open(story->words, *story->tier != '\0' ? story->tier : NULL, story->offset, &stories->stories[s]));
        int64_t *begin;
        VG_TRY(VG_NEW(&begin, stories->stories[s].count, "words"));
        vg_status status = VG_NEW(&stories->word_end[s], stories->stories[s].count, "words");
        if (status == VG_OK)
            status = vg_story_text(&stories->stories[s], &stories->texts[s], begin, stories->word_end[s]);
        free(begin);
        VG_TRY(status);
    }
    return VG_OK;
}

void vg_stories_free(const vg_study *study, vg_stories *stories)
{
    for (int64_t s = 0; s < study->story_count; s++) {
        if (stories->stories != NULL)
            vg_story_free(&stories->stories[s]);
        if (stories->texts != NULL)
            free(stories->texts[s]);
        if (stories->word_end != NULL)
            free(stories->word_end[s]);
    }
    free(stories->stories);
    free(stories->texts);
    free(stories->word_end);
    *stories = (vg_stories){0};
}

static vg_status open_tokenizer(const vg_study_model *model, vg_tokenizer **tokenizer)
{
    char *path;
    VG_TRY(vg_format(&path, "%s/tokenizer.json", model->path));
    vg_status status = vg_tokenizer_open(path, tokenizer);
    free(path);
    return status;
}

static vg_status make_requests(const vg_study *study, vg_space_request **requests, int64_t *count)
{
    *count = 0;
    VG_TRY(VG_NEW(requests, study->feature_count, "features"));
    for (int64_t i = 0; i < study->feature_count; i++) {
        const vg_study_feature *feature = &study->features[i];
        if (*feature->method == '\0')
            continue;
        (*requests)[(*count)++] = (vg_space_request){.method = feature->method,
                                                     .name = feature->name,
                                                     .words = feature->words,
                                                     .all_layers = feature->all_layers,
                                                     .final_layer = feature->final_layer,
                                                     .layers = feature->layers,
                                                     .layer_count = feature->layer_count,
                                                     .reduce_mean = strcmp(feature->reduce, "mean") == 0};
    }
    return VG_OK;
}

static vg_target_kind target_kind(const char *of)
{
    static const char *const names[] = {
        [VG_TARGET_LOG_PROB] = "log_prob",   [VG_TARGET_LOGIT] = "logit",       [VG_TARGET_PROB] = "prob",
        [VG_TARGET_SURPRISAL] = "surprisal", [VG_TARGET_CONTRAST] = "contrast", [VG_TARGET_ENTROPY] = "entropy"};
    int kind = 0;
    while (strcmp(names[kind], of) != 0) /* keys.c allows these alone */
        kind++;
    return (vg_target_kind)kind;
}

static vg_status explain_story(const vg_study *study, const vg_stories *stories, const vg_tokenizer *tokenizer,
                               const vg_space_request *requests, int64_t count, int64_t memory, int64_t s, vg_explained *explained)
{
    const vg_context context = {.words = study->context.words,
                                .target = target_kind(study->target.of),
                                .argmax = strcmp(study->target.token, "argmax") == 0,
                                .bos = strcmp(study->context.bos, "auto") == 0};
    const vg_attribution_plan plan = {.batch_tokens = vg_batch_tokens(study, memory)};
    const char *text = stories->texts[s];
    VG_TRY(vg_passage_create(tokenizer, vg_model_get_shape(explained->model)->vocabulary, text, strlen(text), stories->word_end[s],
                             stories->stories[s].count, &explained->passages[s]));
    vg_status status =
        vg_attribution_create(explained->model, &explained->passages[s], &context, requests, count, &plan, &explained->attributions[s]);
    return status == VG_OK ? VG_OK : vg_fail_within(status, "story %s: ", study->stories[s].name);
}

vg_status vg_explained_open(const vg_study *study, const vg_stories *stories, vg_device *device, int64_t m, int64_t memory,
                            vg_explained *explained)
{
    const vg_study_model *model = &study->models[m];
    const vg_model_options options = {.random = strcmp(model->init, "random") == 0, .seed = (uint64_t)model->seed};
    vg_tokenizer *tokenizer = NULL;
    vg_space_request *requests = NULL;
    int64_t count;
    vg_status status;
    VG_GO(VG_NEW(&explained->passages, study->story_count, "stories"));
    VG_GO(VG_NEW(&explained->attributions, study->story_count, "stories"));
    VG_GO(open_tokenizer(model, &tokenizer));
    VG_GO(vg_model_open(device, model->path, &options, &explained->model));
    VG_GO(make_requests(study, &requests, &count));
    for (int64_t s = 0; s < study->story_count; s++)
        VG_GO(explain_story(study, stories, tokenizer, requests, count, memory, s, explained));
done:
    vg_tokenizer_close(tokenizer);
    free(requests);
    return status;
}

void vg_explained_free(const vg_study *study, vg_explained *explained)
{
    for (int64_t s = 0; s < study->story_count; s++) {
        if (explained->attributions != NULL)
            vg_attribution_free(explained->attributions[s]);
        if (explained->passages != NULL)
            vg_passage_free(&explained->passages[s]);
    }
    vg_model_close(explained->model);
    free(explained->attributions);
    free(explained->passages);
    *explained = (vg_explained){0};
}
