/* entries: what a study asks for, held against the table of spaces and the model: choices become numbers, entries become outputs
 * (datasets) and sweeps. Two entries share a sweep where all that fixes its batches is the same; so no value depends on what was asked
 * beside it. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "sweep.h"

/* ---- choices -------------------------------------------------------------------------------------------------------------- */

static const char *const reduces[] = {"sum", "mean", "l1", "l2", "last", NULL};
static const char *const normalizes[] = {"none", "sum", "max", NULL};
static const char *const signs[] = {"keep", "abs", NULL};
static const char *const places[] = {"context", "word", NULL};
static const char *const erasures[] = {"delete", "zero", "replace", "mask", "value_zeroing", NULL};
static const char *const paths[] = {"window", "recent", NULL};
static const char *const baselines[] = {"mean_scaled", "mean", "zero", "token", NULL};
static const char *const sites[] = {"block", "mlp", "attn", NULL};
static const char *const position_choices[] = {"last", "sum", NULL};
static const char *const forms[] = {"net", "l1", "share", NULL};

/* The index of a text among choices; the first where it is NULL or empty. */
static vg_status choose(const vg_entry *entry, const char *key, const char *text, const char *const *choices, int *index)
{
    *index = 0;
    if (text == NULL || *text == '\0')
        return VG_OK;
    for (int i = 0; choices[i] != NULL; i++)
        if (strcmp(choices[i], text) == 0) {
            *index = i;
            return VG_OK;
        }
    const char *near = vg_nearest(text, choices);
    return vg_fail(VG_INVALID, "features: %s: %s: no \"%s\"; did you mean %s?", entry->name, key, text, near != NULL ? near : choices[0]);
}

/* `reduce` means something else for every space: the table says what it may be, the default first. */
static vg_status choose_reduce(vg_entry *entry)
{
    const char *text = entry->request.reduce, *allowed = entry->space->reduces;
    int index;
    if (text == NULL || *text == '\0' || strcmp(text, "auto") == 0) {
        entry->reduce = VG_REDUCE_SUM;
        for (int i = 0; allowed != NULL && reduces[i] != NULL; i++)
            if (strncmp(allowed, reduces[i], strlen(reduces[i])) == 0)
                entry->reduce = (vg_reduce)i;
        return VG_OK;
    }
    VG_TRY(choose(entry, "reduce", text, reduces, &index));
    entry->reduce = (vg_reduce)index;
    const char *found = allowed != NULL ? strstr(allowed, text) : NULL;
    if (found == NULL)
        return vg_fail(VG_INVALID, "features: %s: reduce: %s is nothing that %s can do (%s)", entry->name, text, entry->space->method,
                       allowed != NULL ? allowed : "it has no reduce");
    return VG_OK;
}

static vg_status choose_all(vg_entry *entry)
{
    const vg_space_request *request = &entry->request;
    int index;
    VG_TRY(choose_reduce(entry));
    VG_TRY(choose(entry, "normalize", request->normalize, normalizes, &index));
    entry->normalize = (vg_normalize)index;
    VG_TRY(choose(entry, "sign", request->sign, signs, &index));
    entry->absolute = index == 1;
    VG_TRY(choose(entry, "at", request->at, places, &index));
    entry->at_word = index == 1;
    VG_TRY(choose(entry, "erase", request->erase, erasures, &index));
    entry->erase = (vg_erase)index;
    VG_TRY(choose(entry, "path", request->path, paths, &index));
    entry->recent = index == 1;
    VG_TRY(choose(entry, "baseline", request->baseline, baselines, &index));
    entry->baseline = (vg_baseline)index;
    VG_TRY(choose(entry, "site", request->site, sites, &index));
    entry->site = (vg_site)index;
    VG_TRY(choose(entry, "positions", request->positions, position_choices, &index));
    entry->sum_positions = index == 1;
    VG_TRY(choose(entry, "form", request->form, forms, &index));
    entry->form = (vg_influence)index;
    if ((entry->normalize != VG_NORMALIZE_NONE || entry->absolute) && !entry->space->signed_scores && !request->by_word)
        return vg_fail(VG_INVALID, "features: %s: normalize and sign are for scores of words, which %s has none of", entry->name,
                       entry->space->method);
    return VG_OK;
}

/* ---- one entry ------------------------------------------------------------------------------------------------------------ */

static vg_status resolve_layers(const vg_model_shape *shape, vg_entry *entry)
{
    const vg_space_request *request = &entry->request;
    int64_t least = entry->space->sweep == VG_SWEEP_PATH && entry->site != VG_SITE_BLOCK ? 1 : 0;
    bool all = request->all_layers || (request->layer_count == 0 && !request->final_layer);
    int64_t named = all ? shape->layers + 1 - least : request->layer_count;
    bool final = entry->space->final_layer && (all || request->final_layer);
    if (request->final_layer && !entry->space->final_layer)
        return vg_fail(VG_INVALID, "features: %s: %s has no layer final", entry->name, entry->space->method);
    entry->outputs = named + final;
    VG_TRY(VG_NEW(&entry->layers, entry->outputs, "layers"));
    for (int64_t i = 0; i < named; i++) {
        entry->layers[i] = all ? i + least : request->layers[i];
        if (entry->layers[i] < least || entry->layers[i] > shape->layers)
            return vg_fail(VG_INVALID, "features: %s: layer %lld is not there; there are %02lld .. %02lld%s", entry->name,
                           (long long)entry->layers[i], (long long)least, (long long)shape->layers,
                           entry->space->final_layer ? " (00: the embedding) and final" : "");
    }
    if (final)
        entry->layers[named] = shape->layers + 1;
    return VG_OK;
}

/* Where K is neither columns nor what moves on the path it only says how rows are cut: no more than there are words. */
static vg_status check_words(const vg_attribution *a, vg_entry *entry)
{
    int64_t most = a->context.tokens > 0 || a->context.mode == VG_CONTEXT_GROWING ? INT32_MAX : a->context.words;
    if (a->context.mode == VG_CONTEXT_ANCHORED && a->context.tokens == 0)
        most -= a->context.words / 2;
    if (entry->columns != VG_COLUMNS_WORDS && entry->columns != VG_COLUMNS_HEADS && !entry->recent && entry->request.words > most)
        entry->request.words = most > 1 ? most : 1;
    if (entry->request.words >= 1 && entry->request.words <= (most > 1 ? most : 1))
        return VG_OK;
    return vg_fail(VG_INVALID, "features: %s: words: %lld must be between 1 and %lld, the words that every window of this context has",
                   entry->name, (long long)entry->request.words, (long long)most);
}

static bool is_power_of_two(int64_t n)
{
    return n > 0 && (n & (n - 1)) == 0;
}

static vg_status check_path(const vg_attribution *a, vg_entry *entry)
{
    vg_space_request *request = &entry->request;
    int64_t vocabulary = vg_model_get_shape(a->model)->vocabulary;
    request->tolerance = request->tolerance == 0 ? 1e-2 : request->tolerance;
    request->max_steps = request->max_steps == 0 ? 256 : request->max_steps;
    request->residual_every = request->residual_every == 0 ? 16 : request->residual_every;
    request->baseline_scale = request->baseline_scale == 0 ? 1 : request->baseline_scale;
    if (!(request->baseline_scale > 0 && request->baseline_scale <= 1e6))
        return vg_fail(VG_INVALID, "features: %s: baseline_scale: %g must be above 0 (baseline: zero is the one of size 0)", entry->name,
                       request->baseline_scale);
    if (!(request->tolerance > 0))
        return vg_fail(VG_INVALID, "features: %s: tolerance: %g must be above 0", entry->name, request->tolerance);
    if (request->max_steps < 16 || request->max_steps > 1 << 20 || !is_power_of_two(request->max_steps))
        return vg_fail(VG_INVALID, "features: %s: max_steps: %lld; panels are halved from 16 on: 16, 32, 64, ...", entry->name,
                       (long long)request->max_steps);
    if (request->steps < 0 || request->steps > 1 << 20)
        return vg_fail(VG_INVALID, "features: %s: steps: %lld must be between 1 and %d (0: to the tolerance)", entry->name,
                       (long long)request->steps, 1 << 20);
    if (entry->baseline == VG_BASELINE_TOKEN && (request->baseline_token < 0 || request->baseline_token >= vocabulary))
        return vg_fail(VG_INVALID, "features: %s: baseline: token %d is not in the model's vocabulary of %lld", entry->name,
                       (int)request->baseline_token, (long long)vocabulary);
    return VG_OK;
}

static vg_columns columns_of(const vg_entry *entry)
{
    return entry->request.by_word && entry->space->columns == VG_COLUMNS_UNITS ? VG_COLUMNS_WORDS : entry->space->columns;
}

static vg_status check_entry(const vg_attribution *a, vg_entry *entry)
{
    const vg_space_request *request = &entry->request;
    if (request->by_word && (entry->site != VG_SITE_BLOCK || entry->sum_positions))
        return vg_fail(VG_INVALID, "features: %s: by_word is of a block's output at the last position: no site, no positions beside it",
                       entry->name);
    if (entry->space->final_layer && !entry->at_word && entry->reduce == VG_REDUCE_MEAN)
        return vg_fail(VG_INVALID, "features: %s: reduce: mean is over the word's own tokens (at: word); at: context is one position",
                       entry->name);
    if (strcmp(entry->space->method, "random") == 0 && (request->size < 1 || request->size > 1 << 20 || !(fabs(request->ar1) < 1)))
        return vg_fail(VG_INVALID, "features: %s: random needs size: 1 .. %d columns, and ar1 between -1 and 1", entry->name, 1 << 20);
    if (entry->erase == VG_ERASE_REPLACE && (request->replacement < 0 || request->replacement >= vg_model_get_shape(a->model)->vocabulary))
        return vg_fail(VG_INVALID, "features: %s: erase: replace: token %d is not in the model's vocabulary", entry->name,
                       (int)request->replacement);
    if (strcmp(entry->space->method, "rate_length") == 0 && (a->passage->onset == NULL || a->passage->characters == NULL))
        return vg_fail(VG_INVALID, "features: %s: this story has no times of its words, which a word rate is made of", entry->name);
    if (strcmp(entry->space->method, "position") == 0 && a->passage->ends == NULL)
        return vg_fail(VG_INVALID, "features: %s: this story has no texts of its words, which end its sentences", entry->name);
    if (entry->space->sweep == VG_SWEEP_PATH)
        VG_TRY(check_path(a, entry));
    return entry->space->layered ? resolve_layers(vg_model_get_shape(a->model), entry) : VG_OK;
}

static vg_need need_of(const vg_entry *entry)
{
    if (entry->space->size == vg_scores_size)
        return VG_NEED_SCORES;
    return entry->request.by_word ? VG_NEED_WORDS : entry->sum_positions ? VG_NEED_ALL : VG_NEED_LAST;
}

static vg_status resolve_entry(const vg_attribution *a, const vg_space_request *request, vg_entry *entry)
{
    entry->request = *request;
    entry->space = request->method != NULL ? vg_space_find(request->method) : NULL;
    if (entry->space == NULL) {
        const char *near = vg_nearest(request->method != NULL ? request->method : "", vg_space_methods());
        return vg_fail(VG_INVALID, "features: no method \"%s\"; did you mean %s?", request->method != NULL ? request->method : "",
                       near != NULL ? near : vg_space_methods()[0]);
    }
    VG_TRY(vg_format(&entry->name, "%s", request->name != NULL ? request->name : request->method));
    VG_TRY(choose_all(entry));
    entry->columns = columns_of(entry);
    VG_TRY(check_words(a, entry));
    entry->need = entry->space->sweep == VG_SWEEP_PATH ? need_of(entry) : (vg_need)0;
    entry->outputs = 1;
    return check_entry(a, entry);
}

/* ---- outputs --------------------------------------------------------------------------------------------------------------- */

static int64_t count_names(const char *names)
{
    int64_t count = 1;
    for (; *names != '\0'; names++)
        count += *names == '|';
    return count;
}

static int64_t count_columns(const vg_attribution *a, const vg_entry *entry)
{
    const vg_model_shape *shape = vg_model_get_shape(a->model);
    switch (entry->columns) {
    case VG_COLUMNS_WORDS:
        return entry->request.words;
    case VG_COLUMNS_UNITS:
        return strcmp(entry->space->method, "random") == 0 ? entry->request.size : shape->width;
    case VG_COLUMNS_HEADS:
        return shape->layers * shape->heads * entry->request.words;
    case VG_COLUMNS_LAYERS:
        return shape->layers;
    case VG_COLUMNS_NAMED:
        break;
    }
    return count_names(entry->space->names);
}

void vg_attribution_column(const vg_attribution *a, int64_t output, int64_t column, char *name, size_t size)
{
    const vg_entry *entry = a->entries;
    while (output >= entry->first_output + entry->outputs)
        entry++;
    int64_t k = entry->request.words, heads = vg_model_get_shape(a->model)->heads;
    const char *text = entry->space->names;
    switch (entry->columns) {
    case VG_COLUMNS_WORDS:
        snprintf(name, size, "word %lld", (long long)column - k);
        break;
    case VG_COLUMNS_UNITS:
        snprintf(name, size, "unit %lld", (long long)column);
        break;
    case VG_COLUMNS_HEADS:
        snprintf(name, size, "layer %02lld head %02lld word %lld", (long long)column / k / heads + 1, (long long)column / k % heads,
                 (long long)column % k - k);
        break;
    case VG_COLUMNS_LAYERS:
        snprintf(name, size, "layer %02lld", (long long)column + 1);
        break;
    case VG_COLUMNS_NAMED:
        for (; column > 0; column--)
            text = strchr(text, '|') + 1;
        snprintf(name, size, "%.*s", (int)strcspn(text, "|"), text);
        break;
    }
}

static double baseline_ratio(const vg_attribution *a, const vg_entry *entry)
{
    int64_t width = vg_model_get_shape(a->model)->width;
    if (entry->baseline == VG_BASELINE_ZERO)
        return 0;
    if (entry->baseline != VG_BASELINE_TOKEN)
        return entry->request.baseline_scale * (entry->baseline == VG_BASELINE_MEAN ? a->mean_norm / a->median_norm : 1);
    const float *row = vg_model_embedding(a->model) + entry->request.baseline_token * width;
    double square = 0;
    for (int64_t i = 0; i < width; i++)
        square += (double)row[i] * (double)row[i];
    return entry->request.baseline_scale * sqrt(square) / a->median_norm;
}

static void describe_outputs(const vg_attribution *a, const vg_entry *entry)
{
    const vg_model_shape *shape = vg_model_get_shape(a->model);
    for (int64_t i = 0; i < entry->outputs; i++) {
        vg_output *output = &a->outputs[entry->first_output + i];
        *output = (vg_output){.method = entry->space->method, .name = entry->name, .columns = count_columns(a, entry)};
        output->sees_word = entry->space->sees_word || entry->at_word || (entry->space->sees_target && !a->context.argmax);
        output->path = entry->space->sweep == VG_SWEEP_PATH;
        output->tolerance = entry->request.steps > 0 ? 0 : entry->request.tolerance;
        output->baseline_ratio = output->path ? baseline_ratio(a, entry) : 0;
        if (entry->space->layered && entry->layers[i] > shape->layers)
            snprintf(output->layer, sizeof output->layer, "final");
        else if (entry->space->layered)
            snprintf(output->layer, sizeof output->layer, "%02d", (int)entry->layers[i]);
    }
}

/* ---- sweeps ---------------------------------------------------------------------------------------------------------------- */

static vg_sweep_plan sweep_of(const vg_entry *entry)
{
    vg_sweep_plan plan = {.kind = entry->space->sweep, .words = entry->request.words};
    if (entry->at_word)
        plan = (vg_sweep_plan){.kind = VG_SWEEP_WORD, .words = 1};
    if (plan.kind == VG_SWEEP_HOST)
        plan.words = 0;
    if (plan.kind == VG_SWEEP_ERASURE) {
        plan.erase = entry->erase;
        plan.token = entry->erase == VG_ERASE_REPLACE ? entry->request.replacement : 0;
    }
    if (plan.kind == VG_SWEEP_PATH) {
        plan.recent = entry->recent;
        plan.baseline = entry->baseline;
        plan.token = entry->baseline == VG_BASELINE_TOKEN ? entry->request.baseline_token : 0;
        plan.steps = entry->request.steps;
        plan.scale = entry->request.baseline_scale;
    }
    return plan;
}

static bool same_sweep(const vg_sweep_plan *x, const vg_sweep_plan *y)
{
    return x->kind == y->kind && x->words == y->words && x->erase == y->erase && x->token == y->token && x->recent == y->recent &&
           x->baseline == y->baseline && x->scale == y->scale && x->steps == y->steps;
}

static void join_sweep(vg_attribution *a, vg_entry *entry)
{
    const vg_sweep_plan plan = sweep_of(entry);
    int64_t s = 0;
    while (s < a->sweep_count && !same_sweep(&a->sweeps[s], &plan))
        s++;
    if (s == a->sweep_count)
        a->sweeps[a->sweep_count++] = plan;
    a->sweeps[s].gradient |= entry->space->gradient;
    a->sweeps[s].needs |= (unsigned)entry->need;
    entry->sweep = s;
}

/* ---- baselines and warnings -------------------------------------------------------------------------------------------------- */

static int ascending(const void *x, const void *y)
{
    double a = *(const double *)x, b = *(const double *)y;
    return (a > b) - (a < b);
}

/* The mean of the embedding table and the median norm of its rows, for baselines. */
static vg_status measure_embedding(vg_attribution *a)
{
    const vg_model_shape *shape = vg_model_get_shape(a->model);
    const float *table = vg_model_embedding(a->model);
    double *sum = NULL, *norm = NULL;
    vg_status status;
    VG_GO(VG_NEW(&a->mean, shape->width, "mean embedding"));
    VG_GO(VG_NEW(&sum, shape->width, "mean embedding"));
    VG_GO(VG_NEW(&norm, shape->vocabulary, "norms of embeddings"));
    for (int64_t v = 0; v < shape->vocabulary; v++)
        for (int64_t i = 0; i < shape->width; i++) {
            double x = (double)table[v * shape->width + i];
            sum[i] += x;
            norm[v] += x * x;
        }
    for (int64_t v = 0; v < shape->vocabulary; v++)
        norm[v] = sqrt(norm[v]);
    qsort(norm, (size_t)shape->vocabulary, sizeof *norm, ascending);
    a->median_norm = 0.5 * (norm[(shape->vocabulary - 1) / 2] + norm[shape->vocabulary / 2]);
    double square = 0;
    for (int64_t i = 0; i < shape->width; i++) {
        a->mean[i] = (float)(sum[i] / (double)shape->vocabulary);
        square += sum[i] / (double)shape->vocabulary * (sum[i] / (double)shape->vocabulary);
    }
    a->mean_norm = sqrt(square);
done:
    free(sum);
    free(norm);
    return status;
}

static vg_status warn(vg_attribution *a, char *text)
{
    char **grown = realloc(a->warnings, (size_t)(a->warning_count + 1) * sizeof *grown);
    if (grown == NULL) {
        free(text);
        return vg_fail(VG_NO_MEMORY, "no memory for a warning");
    }
    a->warnings = grown;
    a->warnings[a->warning_count++] = text;
    return VG_OK;
}

static vg_status warn_of_baseline(vg_attribution *a, const vg_entry *entry)
{
    const vg_model_shape *shape = vg_model_get_shape(a->model);
    double ratio = a->outputs[entry->first_output].baseline_ratio;
    char *text;
    if (entry->baseline == VG_BASELINE_ZERO && shape->norm == VG_RMS_NORM && !shape->has_biases && !shape->learned_positions)
        VG_TRY(vg_format(&text,
                         "features: %s: baseline zero: this model has no biases and no learned positions, and its RMSNorm undoes scaling, "
                         "so f(a x) never "
                         "settles as a goes to 0: the integral depends on where one stops, and many words will not converge; mean_scaled "
                         "does not have this "
                         "fault",
                         entry->name));
    else if (ratio < 0.3)
        VG_TRY(vg_format(
            &text,
            "features: %s: the baseline's norm is %.2g of a median embedding's: norms undo scaling, so the path bends sharply near it and "
            "many words may not converge by max_steps; mean_scaled (ratio 1) does not have this fault",
            entry->name, ratio));
    else
        return VG_OK;
    return warn(a, text);
}

const char *vg_attribution_warning(const vg_attribution *a, int64_t index)
{
    return index < a->warning_count ? a->warnings[index] : NULL;
}

/* ---- all ---------------------------------------------------------------------------------------------------------------------- */

vg_status vg_entries_resolve(vg_attribution *a, const vg_space_request *requests)
{
    bool paths_wanted = false;
    for (int64_t e = 0; e < a->entry_count; e++) {
        vg_entry *entry = &a->entries[e];
        VG_TRY(resolve_entry(a, &requests[e], entry));
        for (int64_t other = 0; other < e; other++)
            if (strcmp(a->entries[other].name, entry->name) == 0)
                return vg_fail(VG_INVALID, "features: two entries are called \"%s\"; give one a name of its own (name: ...)", entry->name);
        entry->first_output = a->output_count;
        a->output_count += entry->outputs;
        paths_wanted |= entry->space->sweep == VG_SWEEP_PATH;
        join_sweep(a, entry);
    }
    if (paths_wanted)
        VG_TRY(measure_embedding(a));
    VG_TRY(VG_NEW(&a->outputs, a->output_count, "outputs"));
    for (int64_t e = 0; e < a->entry_count; e++) {
        describe_outputs(a, &a->entries[e]);
        if (a->entries[e].space->sweep == VG_SWEEP_PATH)
            VG_TRY(warn_of_baseline(a, &a->entries[e]));
    }
    return VG_OK;
}
