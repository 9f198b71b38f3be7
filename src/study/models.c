/* models: the stories as words, and each model with the stories as its tokens. */
#include <math.h>
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

/* The one token that a text of the study stands for. */
static vg_status find_token(const vg_tokenizer *tokenizer, const char *name, const char *key, const char *text, int32_t *token)
{
    vg_tokens tokens = {0};
    *token = vg_tokenizer_id(tokenizer, text);
    if (*token >= 0)
        return VG_OK;
    VG_TRY(vg_tokenizer_encode(tokenizer, text, strlen(text), &tokens));
    int64_t count = tokens.count;
    *token = count == 1 ? tokens.ids[0] : -1;
    vg_tokens_free(&tokens);
    return count == 1 ? VG_OK
                      : vg_fail(VG_INVALID, "features: %s: %s: \"%s\" is %lld tokens of this model; one is needed", name, key, text,
                                (long long)count);
}

static vg_status find_tokens(const vg_study_feature *feature, const vg_tokenizer *tokenizer, const vg_model *model,
                             vg_space_request *request)
{
    if (strcmp(feature->erase, "replace") == 0)
        VG_TRY(find_token(tokenizer, feature->name, "replacement", feature->replacement, &request->replacement));
    if (strcmp(feature->baseline, "token") == 0)
        VG_TRY(find_token(tokenizer, feature->name, "baseline: token", feature->baseline_token, &request->baseline_token));
    if (strcmp(feature->baseline, "pad") == 0) {
        request->baseline = "token";
        request->baseline_token = vg_model_get_shape(model)->pad;
        if (request->baseline_token < 0)
            return vg_fail(VG_INVALID, "features: %s: baseline: pad: this model's config.json names no pad token (pad_token_id)",
                           feature->name);
    }
    return VG_OK;
}

static vg_status make_requests(const vg_study *study, const vg_tokenizer *tokenizer, const vg_model *model, vg_space_request **requests,
                               int64_t *count)
{
    *count = 0;
    VG_TRY(VG_NEW(requests, study->feature_count, "features"));
    for (int64_t i = 0; i < study->feature_count; i++) {
        const vg_study_feature *feature = &study->features[i];
        if (*feature->method == '\0')
            continue;
        vg_space_request *request = &(*requests)[(*count)++];
        *request = (vg_space_request){.method = feature->method,
                                      .name = feature->name,
                                      .words = feature->words,
                                      .all_layers = feature->all_layers,
                                      .final_layer = feature->final_layer,
                                      .layers = feature->layers,
                                      .layer_count = feature->layer_count,
                                      .reduce = feature->reduce,
                                      .normalize = feature->normalize,
                                      .sign = feature->sign,
                                      .at = feature->at,
                                      .erase = feature->erase,
                                      .path = feature->path,
                                      .baseline = feature->baseline,
                                      .baseline_scale = feature->baseline_scale,
                                      .tolerance = feature->tolerance,
                                      .max_steps = feature->max_steps,
                                      .steps = feature->steps,
                                      .residual_every = feature->residual_every,
                                      .strict = strcmp(feature->strict, "true") == 0,
                                      .site = feature->site,
                                      .positions = feature->positions,
                                      .by_word = strcmp(feature->by_word, "true") == 0,
                                      .form = feature->form,
                                      .size = feature->size,
                                      .ar1 = feature->ar1,
                                      .seed = (uint64_t)feature->seed};
        VG_TRY(find_tokens(feature, tokenizer, model, request));
    }
    return VG_OK;
}

static vg_target_kind target_kind(const char *of)
{
    static const char *const names[] = {
        [VG_TARGET_LOG_PROB] = "log_prob", [VG_TARGET_LOGIT] = "logit",     [VG_TARGET_PROB] = "prob", [VG_TARGET_SURPRISAL] = "surprisal",
        [VG_TARGET_CONTRAST] = "contrast", [VG_TARGET_ENTROPY] = "entropy", [VG_TARGET_KL] = "kl"};
    int kind = 0;
    while (strcmp(names[kind], of) != 0) /* keys.c allows these alone */
        kind++;
    return (vg_target_kind)kind;
}

static vg_context_mode context_mode(const char *mode)
{
    return strcmp(mode, "anchored") == 0 ? VG_CONTEXT_ANCHORED : strcmp(mode, "growing") == 0 ? VG_CONTEXT_GROWING : VG_CONTEXT_SLIDING;
}

/* Window positions a block of words may hold where memory allows: products are tall enough for BLAS, and a block's forward takes seconds.
 */
enum { BATCH_TOKENS = 4096 };

vg_attribution_plan vg_plan_of(const vg_model *model, int64_t memory)
{
    return (vg_attribution_plan){.batch_tokens = BATCH_TOKENS, .bytes = vg_attribution_room(model, memory)};
}

vg_context vg_context_of(const vg_study *study)
{
    return (vg_context){.mode = context_mode(study->context.mode),
                        .words = study->context.words,
                        .tokens = study->context.tokens,
                        .whole_word = strcmp(study->target.span, "word") == 0,
                        .target = target_kind(study->target.of),
                        .argmax = strcmp(study->target.token, "argmax") == 0,
                        .bos = strcmp(study->context.bos, "auto") == 0};
}

static vg_status put_onsets(const vg_story *story, vg_passage *passage)
{
    VG_TRY(VG_NEW(&passage->onset, story->count, "onsets"));
    for (int64_t w = 0; w < story->count; w++)
        passage->onset[w] = story->words[w].onset;
    return VG_OK;
}

vg_status vg_batch_field(const vg_study *study, int64_t m, int64_t s, char **field)
{
    return vg_format(field, "batch_tokens: %s/%s", study->models[m].name, study->stories[s].name);
}

/* The batch that an unfinished file was begun with, whatever this machine's memory suggests. */
static vg_status keep_batch(const vg_study *study, const char *planned, int64_t m, int64_t s, vg_attribution_plan *plan)
{
    char *field;
    VG_TRY(vg_batch_field(study, m, s, &field));
    int64_t kept = vg_plan_kept(study, planned, field, 0);
    free(field);
    if (kept > 0)
        *plan = (vg_attribution_plan){.batch_tokens = kept};
    return VG_OK;
}

static vg_status explain_story(const vg_study *study, const vg_stories *stories, const vg_tokenizer *tokenizer,
                               const vg_space_request *requests, int64_t count, int64_t memory, const char *planned, int64_t m, int64_t s,
                               vg_explained *explained)
{
    const vg_context context = vg_context_of(study);
    vg_attribution_plan plan = vg_plan_of(explained->model, memory);
    VG_TRY(keep_batch(study, planned, m, s, &plan));
    const char *text = stories->texts[s];
    VG_TRY(vg_passage_create(tokenizer, vg_model_get_shape(explained->model)->vocabulary, text, strlen(text), stories->word_end[s],
                             stories->stories[s].count, &explained->passages[s]));
    VG_TRY(put_onsets(&stories->stories[s], &explained->passages[s]));
    vg_status status =
        vg_attribution_create(explained->model, &explained->passages[s], &context, requests, count, &plan, &explained->attributions[s]);
    return status == VG_OK ? VG_OK : vg_fail_within(status, "story %s: ", study->stories[s].name);
}

/* Where the ranks of a node share a copy of the weights: its own temporary folder. */
static const char *node_folder(const vg_study *study)
{
    static const char *const names[] = {"SLURM_TMPDIR", "TMPDIR"};
    if (study->how.node_ranks < 2 || study->how.paper)
        return NULL;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const char *folder = getenv(names[i]);
        if (folder != NULL && *folder != '\0')
            return folder;
    }
    return "/tmp";
}

/* Batches and sharers were planned for a copy that the node's ranks hold together: without one, a rank of its own memory must have room. */
static vg_status check_room(const vg_study *study, const vg_study_model *model, const vg_explained *explained, int64_t share, int sharers)
{
    double needed = 0, weights = (double)vg_model_bytes(explained->model);
    if (sharers < 2 || study->how.paper || vg_model_is_shared(explained->model) || vg_model_is_streamed(explained->model))
        return VG_OK;
    for (int64_t s = 0; s < study->story_count; s++)
        needed = fmax(needed, weights + (double)vg_attribution_bytes(explained->attributions[s]));
    return needed <= (double)share
               ? VG_OK
               : vg_fail(VG_NO_MEMORY,
                         "model %s: %.0f MB are needed for each rank to hold its weights on its own, and %.0f MB may be taken; make room "
                         "for %.0f MB in %s (SLURM_TMPDIR, TMPDIR), where the ranks of a node hold one copy, or take fewer ranks a node",
                         model->name, 1e-6 * needed, 1e-6 * (double)share, 1e-6 * weights, node_folder(study));
}

vg_status vg_explained_open(const vg_study *study, const vg_stories *stories, vg_device *device, int64_t m, vg_memory memory,
                            const char *planned, vg_explained *explained)
{
    const vg_study_model *model = &study->models[m];
    const int64_t program = 100000000, share = (memory.bytes - program) / study->model_count; /* program: its own and its libraries' */
    const int sharers = device->host ? memory.sharers : 1;
    const vg_model_options options = {.random = strcmp(model->init, "random") == 0,
                                      .seed = (uint64_t)model->seed,
                                      .precision = strcmp(model->precision, "tf32") == 0   ? VG_TF32
                                                   : strcmp(model->precision, "bf16") == 0 ? VG_BF16
                                                                                           : VG_FLOAT32,
                                      .share = node_folder(study),
                                      .sharers = sharers,
                                      .paper = study->how.paper,
                                      .memory = (int64_t)(0.8 * (double)share) + 1};
    vg_tokenizer *tokenizer = NULL;
    vg_space_request *requests = NULL;
    int64_t count;
    vg_status status;
    if (share < 1)
        return vg_fail(VG_NO_MEMORY,
                       "memory: %.0f MB may be taken; the program and its libraries are counted as %.0f MB (memory:, --memory)",
                       1e-6 * (double)memory.bytes, 1e-6 * (double)program);
    VG_GO(VG_NEW(&explained->passages, study->story_count, "stories"));
    VG_GO(VG_NEW(&explained->attributions, study->story_count, "stories"));
    VG_GO(open_tokenizer(model, &tokenizer));
    VG_GO(vg_model_open(device, model->path, &options, &explained->model));
    if (vg_model_is_streamed(explained->model))
        vg_log(VG_LOG_INFO, "model %s: its blocks are brought one by one: all of them would not fit into %.0f MB", model->name,
               1e-6 * (double)options.memory);
    VG_GO(make_requests(study, tokenizer, explained->model, &requests, &count));
    size_t weights = vg_model_bytes(explained->model),
           others = vg_model_is_streamed(explained->model) ? 0 : weights - weights / (size_t)sharers;
    for (int64_t s = 0; s < study->story_count; s++)
        VG_GO(explain_story(study, stories, tokenizer, requests, count, share + (int64_t)others, planned, m, s, explained));
    VG_GO(check_room(study, model, explained, share, sharers));
    for (int64_t i = 0; vg_attribution_warning(explained->attributions[0], i) != NULL; i++)
        vg_log(VG_LOG_WARNING, "model %s: %s", model->name, vg_attribution_warning(explained->attributions[0], i));
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
