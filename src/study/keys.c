/* keys: the tables of a study's keys, and the one function that reads a section by its table. */
#include <stdlib.h>
#include <string.h>

#include "keys.h"

#define AT(field) offsetof(vg_study, field)
#define OWN VG_KEY_OWN, 0

const vg_key vg_study_keys[] = {
    {"study", VG_KEY_TEXT, AT(name), "study", NULL, 0, 0, NULL, "name of the study, for tables"},
    {"output", VG_KEY_PATH, AT(output), "results", NULL, 0, 0, NULL, "folder for features.h5, results.h5, run.json"},
    {"seed", VG_KEY_WHOLE, AT(seed), "0", NULL, 0, 0, NULL, "of all random numbers"},
    {"device", VG_KEY_TEXT, AT(device), "auto", NULL, 0, 0, NULL, "cpu, cuda, cuda:N, or auto"},
    {"threads", VG_KEY_WHOLE, AT(threads), "0", NULL, 0, 4096, NULL, "a rank's threads; 0: the cores it may use (never changes a result)"},
    {"memory", OWN, NULL, NULL, 0, 0, vg_key_memory,
     "bytes a rank may take (4G, 800M); default: its share of what the machine lets it have"},
    {"stall", OWN, "30min", NULL, 0, 0, vg_key_stall, "a rank silent for so long (90s, 30min, 2h) while others wait is named, and all end"},
    {"model", OWN, NULL, NULL, 0, 0, vg_key_model, "{name, path, init, seed}: a Hugging Face folder"},
    {"models", OWN, NULL, NULL, 0, 0, vg_key_models, "a list of such models"},
    {"context.words", VG_KEY_WHOLE, AT(context.words), "40", NULL, 1, 1e6, NULL, "words before each word that the model sees"},
    {"context.tokens", VG_KEY_WHOLE, AT(context.tokens), "0", NULL, 0, 1e6, NULL, "above 0: so many tokens instead of words"},
    {"context.mode", VG_KEY_TEXT, AT(context.mode), "sliding", "sliding|anchored|growing", 0, 0, NULL,
     "its start moves with every word; stays while the window grows from half to whole; stays at the story's beginning"},
    {"context.bos", VG_KEY_TEXT, AT(context.bos), "auto", "auto|none", 0, 0, NULL,
     "auto: the config's BOS token in front, where it has one"},
    {"target.token", VG_KEY_TEXT, AT(target.token), "next", "next|argmax", 0, 0, NULL, "the token really heard, or the model's own choice"},
    {"target.of", VG_KEY_TEXT, AT(target.of), "log_prob", "log_prob|logit|prob|surprisal|contrast|entropy|kl", 0, 0, NULL,
     "what is explained"},
    {"target.span", VG_KEY_TEXT, AT(target.span), "first", "first|word", 0, 0, NULL, "the word's first token, or all of them: the sum"},
    {"features", OWN, NULL, NULL, 0, 0, vg_key_features, "a list of {method, name, words, ...}, or {name, file: made elsewhere}"},
    {"stories", OWN, NULL, NULL, 0, 0, vg_key_stories, "a list of {name, words: TextGrid/TSV/JSON, tier, offset}"},
    {"responses.tr", VG_KEY_REAL, AT(responses.tr), "2.0", NULL, 1e-3, 1e3, NULL, "seconds between rows"},
    {"responses.start", VG_KEY_REAL, AT(responses.start), "0.0", NULL, 0, 0, NULL, "story time of row 0, s"},
    {"responses.on_bad_subject", VG_KEY_TEXT, AT(responses.on_bad_subject), "error", "error|skip", 0, 0, NULL,
     "a subject without a usable voxel: stop, or leave it out"},
    {"responses.mask", VG_KEY_PATH, AT(responses.mask), "", NULL, 0, 0, NULL,
     "voxels that are read: a file like the responses, not zero there"},
    {"responses.subjects", OWN, NULL, NULL, 0, 0, vg_key_subjects, "a list of {name, runs: {STORY: file}}"},
    {"alignment.downsample", VG_KEY_TEXT, AT(alignment.downsample), "mean", "mean|sum|lanczos", 0, 0, NULL, "words to TRs"},
    {"alignment.anchor", VG_KEY_TEXT, AT(alignment.anchor), "onset", "onset|midpoint|offset", 0, 0, NULL, "which time of a word counts"},
    {"alignment.hrf", VG_KEY_TEXT, AT(alignment.hrf), "none", "none|spm|glover", 0, 0, NULL,
     "a response function instead of delayed copies: words convolved with it (downsample and delays are not used)"},
    {"alignment.delays", OWN, "[1, 2, 3, 4, 5]", NULL, 0, 0, vg_key_delays, "FIR delays in TRs"},
    {"alignment.trim", OWN, "[0, 0]", NULL, 0, 0, vg_key_trim, "rows dropped at both ends of a run, after delaying"},
    {"alignment.filter", OWN, "{high_pass: 128}", NULL, 0, 0, vg_key_filter,
     "of the responses: {high_pass: s}, {savgol: {window: s, order: n}}, {polynomial: n}, none"},
    {"alignment.standardize", VG_KEY_TEXT, AT(alignment.standardize), "run", "run|train", 0, 0, NULL,
     "features and responses: z-score per run, or by the training rows of each fold"},
    {"alignment.assume_filtered", VG_KEY_TEXT, AT(alignment.assume_filtered), "false", "false|true", 0, 0, NULL,
     "true: the responses are clean of slow drift, and no filter is applied"},
    {"ridge.alphas", OWN, "{min: 1.0e-1, max: 1.0e8, count: 20}", NULL, 0, 0, vg_key_alphas,
     "penalties: {min, max, count}, spaced evenly in the logarithm, or a list"},
    {"ridge.outer_folds", VG_KEY_WHOLE, AT(ridge.outer_folds), "5", NULL, 2, 1e4, NULL, "contiguous blocks that are scored"},
    {"ridge.inner_folds", VG_KEY_WHOLE, AT(ridge.inner_folds), "5", NULL, 2, 1e4, NULL, "contiguous blocks that choose the penalty"},
    {"ridge.gap", OWN, "auto", NULL, 0, 0, vg_key_gap, "training rows dropped beside held-out ones; auto: the longest delay"},
    {"ridge.score", VG_KEY_TEXT, AT(ridge.score), "correlation", "correlation|r2", 0, 0, NULL,
     "what chooses the penalty and is reported: mean r over outer folds, or r2 pooled over them"},
    {"ridge.alpha", VG_KEY_TEXT, AT(ridge.alpha), "voxel", "voxel|region|global", 0, 0, NULL,
     "who shares a penalty: no one, the voxels of an atlas label, or all of a subject (whose voxels are then read at once)"},
    {"ridge.weights", VG_KEY_TEXT, AT(ridge.weights), "false", "false|true", 0, 0, NULL,
     "weights refitted on all rows, with the geometric mean of the outer folds' penalties"},
    {"split.test", OWN, NULL, NULL, 0, 0, vg_key_split, "a list of stories: the one outer test set, instead of outer folds"},
    {"nuisance", OWN, NULL, NULL, 0, 0, vg_key_nuisance,
     "a list of features (those of the study, or controls), or {spaces, files, mode, draws}"},
    {"null.shifts", VG_KEY_WHOLE, AT(null.shifts), "0", NULL, 0, 1e6, NULL,
     "shifts of the responses against the story, refitted: p = (exceeded + 1) / (shifts + 1); 0: no p"},
    {"null.min_shift", OWN, "auto", NULL, 0, 0, vg_key_min_shift,
     "least shift in rows, to either side; auto: 1, any shift; more makes p too small (a shift scores like its neighbours)"},
    {"null.spins", VG_KEY_WHOLE, AT(null.spins), "1000", NULL, 0, 1e6, NULL,
     "rotations of the spheres (surface.left_sphere, right_sphere) that two spaces' preferred layers are compared under; 0: none"},
    {"statistics.bootstrap", VG_KEY_WHOLE, AT(statistics.bootstrap), "1000", NULL, 0, 1e6, NULL,
     "draws of listeners for the intervals of means and ceilings; 0: none"},
    {"statistics.level", VG_KEY_REAL, AT(statistics.level), "0.05", NULL, 1e-6, 1, NULL,
     "q below which a voxel has a preferred layer, or a winner among families"},
    {"statistics.ceiling", VG_KEY_TEXT, AT(statistics.ceiling), "auto", "auto|none", 0, 0, NULL,
     "correlation between subjects; auto: where two or more have the same voxels and rows"},
    {"statistics.layers", VG_KEY_TEXT, AT(statistics.layers), "auto", "auto|none", 0, 0, NULL,
     "best, preferred and central layer of every space with layers"},
    {"statistics.equal_size", OWN, "none", NULL, 0, 0, vg_key_equal_size,
     "families at equal size, too: every space cut to so many principal components of its delayed columns, or auto: the smallest space's"},
    {"families", OWN, "auto", NULL, 0, 0, vg_key_families,
     "{FAMILY: [space, ...]}; auto: explanation and representation of each model; none"},
    {"contrasts", OWN, "none", NULL, 0, 0, vg_key_contrasts,
     "a list of [A, B], each MODEL/NAME, MODEL/NAME/LL or a family; all: methods within a model, models within a method; none"},
    {"profile.spaces", OWN, "none", NULL, 0, 0, vg_key_profile_spaces,
     "spaces of word scores whose words are told apart: a list, all, none"},
    {"profile.words", OWN, "[1, 2, 5, 10, 20]", NULL, 0, 0, vg_key_profile_words, "how many of the last words alone"},
    {"atlas.columns", OWN, NULL, NULL, 0, 0, vg_key_columns,
     "labels of the responses' columns, in order: a list, or a file with a label a line; each label is a region unless regions are given"},
    {"atlas.labels", OWN, NULL, NULL, 0, 0, vg_key_labels,
     "a label a vertex or voxel: .annot, .label.gii (a file, a list, or {lh: , rh: }), or NIfTI; instead of columns"},
    {"atlas.table", VG_KEY_PATH, AT(atlas.table), "", NULL, 0, 0, NULL, "names of NIfTI labels: lines of number and name"},
    {"atlas.region_hemisphere", VG_KEY_TEXT, AT(atlas.region_hemisphere), "both", "both|left|right", 0, 0, NULL,
     "where regions are looked for; without regions: the language regions of the Destrieux atlas, where labels are its"},
    {"atlas.regions", OWN, NULL, NULL, 0, 0, vg_key_regions, "{REGION: [label, ...]}"},
    {"surface.left", VG_KEY_PATH, AT(surface[0]), "", NULL, 0, 0, NULL,
     "surface of the left hemisphere, for the report's brain: FreeSurfer geometry (lh.inflated) or GIFTI"},
    {"surface.right", VG_KEY_PATH, AT(surface[1]), "", NULL, 0, 0, NULL, "and of the right one"},
    {"surface.left_sphere", VG_KEY_PATH, AT(sphere[0]), "", NULL, 0, 0, NULL,
     "the left hemisphere's vertices on a sphere, for spins: FreeSurfer geometry (lh.sphere.reg) or GIFTI"},
    {"surface.right_sphere", VG_KEY_PATH, AT(sphere[1]), "", NULL, 0, 0, NULL, "and the right one's"},
    {"simulate.seed", VG_KEY_WHOLE, AT(simulate.seed), "0", NULL, 0, 0, NULL, "of the simulated brain"},
    {"simulate.lag", VG_KEY_REAL, AT(simulate.lag), "4.5", NULL, 0.1, 60, NULL, "seconds from a word to the peak of the response to it"},
    {"simulate.noise.ar1", VG_KEY_REAL, AT(simulate.ar1), "0.4", NULL, 0, 0.99, NULL, "autocorrelation of the noise from row to row"},
    {"simulate.tail", VG_KEY_REAL, AT(simulate.tail), "10.0", NULL, 0, 1e4, NULL, "seconds of rows after the last word"},
    {"simulate.regions", OWN, NULL, NULL, 0, 0, vg_key_planted,
     "{REGION: {space: NAME or NAME/LL, voxels: n, r2: share of variance}}, from the first voxel on"},
    {0},
};

#undef AT
#define AT(field) offsetof(vg_study_model, field)
const vg_key vg_model_keys[] = {
    {"name", VG_KEY_TEXT, AT(name), NULL, NULL, 0, 0, NULL, "its name in files and tables"},
    {"path", VG_KEY_PATH, AT(path), NULL, NULL, 0, 0, NULL, "folder with config.json, model.safetensors, tokenizer.json"},
    {"dtype", VG_KEY_TEXT, AT(dtype), "float32", "float32", 0, 0, NULL, "numbers that the model computes in"},
    {"precision", VG_KEY_TEXT, AT(precision), "float32", "float32|tf32|bf16", 0, 0, NULL,
     "what a GPU's products may take of their factors: all, 10 or 7 bits of the fraction (faster); a CPU takes all"},
    {"init", VG_KEY_TEXT, AT(init), "trained", "trained|random", 0, 0, NULL, "random: an untrained copy of the same shape"},
    {"seed", VG_KEY_WHOLE, AT(seed), "0", NULL, 0, 0, NULL, "of random weights"},
    {0},
};

#undef AT
#define AT(field) offsetof(vg_study_feature, field)
const vg_key vg_feature_keys[] = {
    {"method", VG_KEY_TEXT, AT(method), "", NULL, 0, 0, NULL, "which space; voxgrad info lists them"},
    {"name", VG_KEY_TEXT, AT(name), "", NULL, 0, 0, NULL, "its name in files and tables; default: the method"},
    {"words", VG_KEY_WHOLE, AT(words), "10", NULL, 1, 1e5, NULL, "K: words before the target that are attributed"},
    {"layers", OWN, NULL, NULL, 0, 0, vg_key_layers, "all, or a list of 0 .. layers and final"},
    {"at", VG_KEY_TEXT, AT(at), "context", "context|word", 0, 0, NULL,
     "activations: the state that predicts the word, or the word's own once read"},
    {"reduce", VG_KEY_TEXT, AT(reduce), "auto", "auto|sum|mean|l1|l2|last", 0, 0, NULL,
     "over a word's tokens: gradient_norm (sum, mean, l2), gradient_x_input (l2, l1, sum, mean), integrated_gradients, attention (sum, "
     "mean), activations at "
     "word (last, mean), static (mean, sum); auto: the first"},
    {"normalize", VG_KEY_TEXT, AT(normalize), "none", "none|sum|max", 0, 0, NULL,
     "each row of word scores by the sum or the largest of their magnitudes"},
    {"sign", VG_KEY_TEXT, AT(sign), "keep", "keep|abs", 0, 0, NULL, "of word scores"},
    {"erase", VG_KEY_TEXT, AT(erase), "delete", "delete|zero|replace|mask|value_zeroing", 0, 0, NULL, "erasure: how a word goes"},
    {"replacement", VG_KEY_TEXT, AT(replacement), "", NULL, 0, 0, NULL, "erasure by replace: the token put in its place"},
    {"path", VG_KEY_TEXT, AT(path), "window", "window|recent", 0, 0, NULL,
     "path methods: what moves: the whole window, or the K words alone"},
    {"baseline", OWN, "mean_scaled", NULL, 0, 0, vg_key_baseline, "path methods: mean_scaled, mean, zero, pad, or {token: STRING}"},
    {"baseline_scale", VG_KEY_REAL, AT(baseline_scale), "1.0", NULL, 1e-6, 1e6, NULL, "path methods: a factor on the baseline"},
    {"tolerance", VG_KEY_REAL, AT(tolerance), "1.0e-2", NULL, 1e-12, 1, NULL, "path methods: relative error of a word's scores"},
    {"max_steps", VG_KEY_WHOLE, AT(max_steps), "256", NULL, 16, 1048576, NULL, "path methods: panels at most: 16, 32, 64, ..."},
    {"steps", VG_KEY_WHOLE, AT(steps), "0", NULL, 0, 1048576, NULL, "path methods: exactly so many panels; 0: to the tolerance"},
    {"residual_every", VG_KEY_WHOLE, AT(residual_every), "16", NULL, 1, 1e9, NULL,
     "integrated_gradients, path window: completeness is looked at for every so many words"},
    {"strict", VG_KEY_TEXT, AT(strict), "false", "false|true", 0, 0, NULL, "path methods: a word that does not converge is an error"},
    {"site", VG_KEY_TEXT, AT(site), "block", "block|mlp|attn", 0, 0, NULL,
     "layer_conductance: of the block's output, or of what its MLP or attention writes"},
    {"positions", VG_KEY_TEXT, AT(positions), "last", "last|sum", 0, 0, NULL,
     "layer_conductance: units at the last position, or summed over positions"},
    {"by_word", VG_KEY_TEXT, AT(by_word), "false", "false|true", 0, 0, NULL, "layer_conductance: K columns, the part of each input word"},
    {"form", VG_KEY_TEXT, AT(form), "net", "net|l1|share", 0, 0, NULL,
     "layer_influence: what a block writes, the residual's units, or its share of the total"},
    {"size", VG_KEY_WHOLE, AT(size), "10", NULL, 1, 1048576, NULL, "random: columns"},
    {"ar1", VG_KEY_REAL, AT(ar1), "0.5", NULL, -0.999, 0.999, NULL, "random: autocorrelation from word to word"},
    {"seed", VG_KEY_WHOLE, AT(seed), "0", NULL, 0, 0, NULL, "random"},
    {"file", VG_KEY_PATH, AT(file), "", NULL, 0, 0, NULL,
     "features made elsewhere: .npy (words, columns); {STORY} stands for the story's name"},
    {0},
};

#undef AT
#define AT(field) offsetof(vg_study_story, field)
const vg_key vg_story_keys[] = {
    {"name", VG_KEY_TEXT, AT(name), NULL, NULL, 0, 0, NULL, "its name in files and tables"},
    {"words", VG_KEY_PATH, AT(words), NULL, NULL, 0, 0, NULL, "words with onset and offset: TextGrid, TSV/CSV, Gentle JSON"},
    {"tier", VG_KEY_TEXT, AT(tier), "", NULL, 0, 0, NULL, "tier of a TextGrid; default: its only interval tier"},
    {"offset", VG_KEY_REAL, AT(offset), "0.0", NULL, 0, 0, NULL, "added to all times, s"},
    {0},
};

#undef AT
#define AT(field) offsetof(vg_study_subject, field)
const vg_key vg_subject_keys[] = {
    {"name", VG_KEY_TEXT, AT(name), NULL, NULL, 0, 0, NULL, "its name in files and tables"},
    {"mask", VG_KEY_PATH, AT(mask), "", NULL, 0, 0, NULL, "of this subject, instead of responses.mask"},
    {"runs", OWN, NULL, NULL, 0, 0, vg_key_runs,
     "{STORY: responses, rows x voxels: text, .npy, FILE.h5:/dataset, NIfTI, GIFTI as {lh: , rh: }}, or a list of such; a story twice: "
     "repeats"},
    {0},
};

#undef AT
#define AT(field) offsetof(vg_study_region, field)
const vg_key vg_region_keys[] = {
    {"space", VG_KEY_TEXT, AT(space), "none", NULL, 0, 0, NULL, "what is planted: NAME, NAME/LL, or none"},
    {"voxels", VG_KEY_WHOLE, AT(voxels), NULL, NULL, 1, 1e8, NULL, "of the region, in each subject"},
    {"r2", VG_KEY_REAL, AT(r2), "0.0", NULL, 0, 0.999, NULL, "share of a voxel's variance that the planted space explains"},
    {0},
};
#undef AT
#define AT(field) offsetof(vg_study, nuisance.field)
const vg_key vg_nuisance_keys[] = {
    {"spaces", OWN, NULL, NULL, 0, 0, vg_key_nuisance_spaces, "a list of features, NAME or NAME/LL"},
    {"files", OWN, NULL, NULL, 0, 0, vg_key_nuisance_files,
     "a list of files, rows as the responses' (motion), filtered as these; {SUBJECT} and {STORY} stand for their names"},
    {"mode", VG_KEY_TEXT, AT(mode), "band", "band|regress", 0, 0, NULL,
     "band: a penalty of its own, and unique variance beyond it; regress: taken out of features and responses fold by fold"},
    {"draws", VG_KEY_WHOLE, AT(draws), "20", NULL, 1, 10000, NULL, "band: random pairs of penalties tried, each with all of the grid"},
    {0},
};
#undef AT

/* ---- reading ------------------------------------------------------------------------------------------------------------- */

static vg_status check_choice(const vg_yaml *yaml, struct fy_node *node, const char *key, const vg_key *row, const char *text)
{
    if (row->choices == NULL)
        return VG_OK;
    size_t length = strlen(text);
    for (const char *at = row->choices; length > 0; at++) {
        size_t n = strcspn(at, "|");
        if (n == length && strncmp(at, text, n) == 0)
            return VG_OK;
        at += n;
        if (*at == '\0')
            break;
    }
    return vg_yaml_fail(yaml, node, key, "\"%s\" is none of %s", text, row->choices);
}

static vg_status check_range(const vg_yaml *yaml, struct fy_node *node, const char *key, const vg_key *row, double value)
{
    if ((row->least == 0 && row->most == 0) || (value >= row->least && value <= row->most))
        return VG_OK;
    return vg_yaml_fail(yaml, node, key, "%g is not between %g and %g", value, row->least, row->most);
}

/* A path in a study is relative to the study's file; ".h5:/dataset" stays behind it. */
static vg_status replace_path(const vg_yaml *yaml, char **text)
{
    char *joined;
    if (**text == '\0')
        return VG_OK;
    VG_TRY(vg_path_beside(yaml->path, *text, &joined));
    free(*text);
    *text = joined;
    return VG_OK;
}

static vg_status read_value(const vg_yaml *yaml, struct fy_node *node, const char *key, const vg_key *row, vg_study *study, void *item)
{
    void *at = (char *)item + row->offset;
    double number;
    switch (row->kind) {
    case VG_KEY_TEXT:
    case VG_KEY_PATH: {
        char **text = at;
        free(*text);
        VG_TRY(vg_yaml_text(yaml, node, key, text));
        if (row->kind == VG_KEY_PATH)
            return replace_path(yaml, text);
        return check_choice(yaml, node, key, row, *text);
    }
    case VG_KEY_REAL:
        VG_TRY(vg_yaml_real(yaml, node, key, &number));
        *(double *)at = number;
        return check_range(yaml, node, key, row, number);
    case VG_KEY_WHOLE:
        VG_TRY(vg_yaml_whole(yaml, node, key, at));
        return check_range(yaml, node, key, row, (double)*(int64_t *)at);
    case VG_KEY_OWN:
        break;
    }
    return row->read(yaml, node, key, study, item);
}

/* The defaults are read like the file's own values, from the table's text. */
static vg_status set_default(const vg_yaml *yaml, const vg_key *row, vg_study *study, void *item)
{
    if (row->standard == NULL)
        return VG_OK;
    if (row->kind == VG_KEY_TEXT && *row->standard == '\0')
        return vg_format((char **)((char *)item + row->offset), "%s", "");
    if (row->kind == VG_KEY_PATH && *row->standard == '\0')
        return vg_format((char **)((char *)item + row->offset), "%s", "");
    struct fy_parse_cfg settings = {.search_path = "", .flags = FYPCF_QUIET};
    struct fy_document *document = fy_document_build_from_string(&settings, row->standard, strlen(row->standard));
    if (document == NULL)
        return vg_fail(VG_DEFECT, "the default of %s is not YAML", row->path);
    vg_status status = read_value(yaml, fy_document_root(document), row->path, row, study, item);
    fy_document_destroy(document);
    return status;
}

/* The names that may stand where `name` stands: of keys, and of sections. */
static vg_status unknown_key(const vg_yaml *yaml, struct fy_node *node, const char *shown, const char *name, const char *prefix,
                             const vg_key *keys)
{
    enum { MOST = 64 };
    char names[MOST][64];
    const char *known[MOST + 1];
    int count = 0;
    size_t skip = strlen(prefix);
    for (; keys->path != NULL && count < MOST; keys++) {
        if (strncmp(keys->path, prefix, skip) != 0)
            continue;
        const char *rest = keys->path + skip;
        snprintf(names[count], sizeof names[count], "%.*s", (int)strcspn(rest, "."), rest);
        known[count] = names[count];
        count++;
    }
    known[count] = NULL;
    const char *near = vg_nearest(name, known);
    if (near != NULL)
        return vg_yaml_fail(yaml, node, shown, "unknown key; did you mean \"%s\"?", near);
    return vg_yaml_fail(yaml, node, shown, "unknown key; --help lists the keys");
}

static const vg_key *find(const vg_key *keys, const char *path, bool *section)
{
    size_t length = strlen(path);
    *section = false;
    for (; keys->path != NULL; keys++) {
        if (strcmp(keys->path, path) == 0)
            return keys;
        *section |= strncmp(keys->path, path, length) == 0 && keys->path[length] == '.';
    }
    return NULL;
}

/* prefix: "" or "alignment."; shown: where the section stands in the file, for messages. */
static vg_status read_mapping(const vg_yaml *yaml, struct fy_node *mapping, const char *shown, const char *prefix, const vg_key *keys,
                              vg_study *study, void *item)
{
    if (!fy_node_is_mapping(mapping))
        return vg_yaml_fail(yaml, mapping, *shown != '\0' ? shown : "study", "a section of \"key: value\" lines is expected here");
    void *previous = NULL;
    struct fy_node_pair *pair;
    while ((pair = fy_node_mapping_iterate(mapping, &previous)) != NULL) {
        char *name = NULL, *path = NULL, *full = NULL;
        struct fy_node *key_node = fy_node_pair_key(pair), *value = fy_node_pair_value(pair);
        vg_status status;
        bool section;
        VG_GO(vg_yaml_text(yaml, key_node, *shown != '\0' ? shown : "study", &name));
        VG_GO(vg_format(&path, "%s%s", prefix, name));
        VG_GO(vg_format(&full, "%s%s%s", shown, *shown != '\0' ? "." : "", name));
        const vg_key *row = find(keys, path, &section);
        if (row == NULL && !section) {
            status = unknown_key(yaml, key_node, full, name, prefix, keys);
        } else if (value == NULL) {
            status = vg_yaml_fail(yaml, key_node, full, "has no value");
        } else if (row != NULL) {
            status = read_value(yaml, value, full, row, study, item);
        } else {
            char *inner;
            VG_GO(vg_format(&inner, "%s.", path));
            status = read_mapping(yaml, value, full, inner, keys, study, item);
            free(inner);
        }
    done:
        free(name);
        free(path);
        free(full);
        if (status != VG_OK)
            return status;
    }
    return VG_OK;
}

static vg_status require(const vg_yaml *yaml, struct fy_node *mapping, const char *section, const vg_key *keys)
{
    for (; keys->path != NULL; keys++)
        if (keys->standard == NULL && keys->kind != VG_KEY_OWN && fy_node_mapping_lookup_by_string(mapping, keys->path, (size_t)-1) == NULL)
            return vg_yaml_fail(yaml, mapping, section, "\"%s\" is missing (%s)", keys->path, keys->meaning);
    return VG_OK;
}

vg_status vg_keys_read(const vg_yaml *yaml, struct fy_node *mapping, const char *section, const vg_key *keys, vg_study *study, void *item)
{
    for (const vg_key *row = keys; row->path != NULL; row++)
        VG_TRY(set_default(yaml, row, study, item));
    VG_TRY(read_mapping(yaml, mapping, section, "", keys, study, item));
    return require(yaml, mapping, section, keys);
}

void vg_keys_free(const vg_key *keys, void *item)
{
    for (; keys->path != NULL; keys++)
        if (keys->kind == VG_KEY_TEXT || keys->kind == VG_KEY_PATH)
            free(*(char **)((char *)item + keys->offset));
}

/* Two blanks part the columns, whatever their width: the README's table of keys is compared with this (tests/cli/test_readme.sh). */
static void print_table(const char *title, const vg_key *keys, FILE *out)
{
    fprintf(out, "\n%s\n", title);
    for (; keys->path != NULL; keys++)
        fprintf(out, "  %-26s  %-36s  %s%s%s%s\n", keys->path,
                keys->standard == NULL    ? "-"
                : *keys->standard == '\0' ? "\"\""
                                          : keys->standard,
                keys->meaning, keys->choices != NULL ? " (" : "", keys->choices != NULL ? keys->choices : "",
                keys->choices != NULL ? ")" : "");
}

void vg_study_print_keys(FILE *out)
{
    fprintf(
        out,
        "Keys of a study (key, default, meaning). Paths are relative to the study's file; ${NAME} and ${NAME:-default} are expanded.\n");
    print_table("study", vg_study_keys, out);
    print_table("model, models[]", vg_model_keys, out);
    print_table("features[]", vg_feature_keys, out);
    print_table("stories[]", vg_story_keys, out);
    print_table("responses.subjects[]", vg_subject_keys, out);
    print_table("nuisance", vg_nuisance_keys, out);
    print_table("simulate.regions.REGION", vg_region_keys, out);
}
