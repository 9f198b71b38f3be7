/* features: the layout of features.h5 and its reader. One table of words a story; a dataset (words, columns) a space and layer, and what
 * belongs to it beside it: NAME.valid, NAME.nodes, NAME.residual, NAME.error (NAME/LL.valid where a space has layers). */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "layout.h"

static const char *const BESIDE[] = {".valid", ".nodes", ".residual", ".error", ".columns"};

static bool stands_beside(const char *name)
{
    size_t size = strlen(name);
    for (size_t i = 0; i < sizeof BESIDE / sizeof *BESIDE; i++) {
        size_t end = strlen(BESIDE[i]);
        if (size >= end && strcmp(name + size - end, BESIDE[i]) == 0)
            return true;
    }
    return false;
}

/* ---- writing: rows of a layout ---------------------------------------------------------------------------------------------- */

vg_status vg_features_add_words(vg_layout *layout, const char *story, int64_t words, size_t text_size, int64_t *dataset)
{
    const vg_store_member members[] = {{"text", VG_STORE_TEXT, text_size}, {"onset", VG_STORE_F64, 0}, {"offset", VG_STORE_F64, 0}};
    char *path;
    VG_TRY(vg_store_name_check(story, strlen(story), "story"));
    VG_TRY(vg_format(&path, "/stories/%s/words", story));
    vg_status status = vg_layout_table(layout, path, members, 3, words, dataset);
    if (status == VG_OK)
        status = vg_layout_text(layout, path, "units", "onset, offset: s");
    free(path);
    return status;
}

static vg_status check_name(const char *name, const char *what)
{
    VG_TRY(vg_store_name_check(name, strlen(name), what));
    if (stands_beside(name))
        return vg_fail(VG_INVALID, "%s \"%s\": names that end in .valid, .nodes, .residual, .error or .columns are taken; choose another",
                       what, name);
    return VG_OK;
}

/* The path of a space without and with its layer; both to be given to free(). */
static vg_status space_paths(const vg_store_space *space, char **base, char **path)
{
    VG_TRY(vg_format(base, "/stories/%s/features/%s/%s", space->story, space->model, space->name));
    return space->layer != NULL ? vg_format(path, "%s/%s", *base, space->layer) : vg_format(path, "%s", *base);
}

/* A dataset BASE.WHAT of one number a word, unless a layer before this one brought it. */
static vg_status add_shared(vg_layout *layout, const char *base, const char *what, vg_store_type type, int64_t words, int64_t *dataset)
{
    char *path;
    VG_TRY(vg_format(&path, "%s.%s", base, what));
    vg_status status = VG_OK;
    *dataset = -1;
    for (int64_t i = layout->entry_count - 1; i >= 0 && *dataset < 0; i--)
        if (strcmp(layout->entries[i].path, path) == 0)
            *dataset = i;
    if (*dataset < 0)
        status = vg_layout_dataset(layout, path, type, 0, 1, &words, dataset);
    free(path);
    return status;
}

static vg_status add_attributes(vg_layout *layout, const vg_store_space *space, const char *path)
{
    VG_TRY(vg_layout_text(layout, path, "method", space->method));
    VG_TRY(vg_layout_text(layout, path, "layer", space->layer != NULL ? space->layer : ""));
    if (space->sees_word >= 0)
        VG_TRY(vg_layout_integer(layout, path, "sees_word", space->sees_word));
    if (space->column_names != NULL)
        VG_TRY(vg_layout_texts(layout, path, "columns", space->column_names, space->columns));
    return VG_OK;
}

static vg_status add_path(vg_layout *layout, const vg_store_space *space, const char *base, vg_store_space_datasets *d)
{
    VG_TRY(add_shared(layout, base, "nodes", VG_STORE_I32, space->words, &d->nodes));
    VG_TRY(add_shared(layout, base, "residual", VG_STORE_F32, space->words, &d->residual));
    VG_TRY(add_shared(layout, base, "error", VG_STORE_F32, space->words, &d->error));
    if (d->error < layout->entry_count - 1)
        return VG_OK; /* of a layer before this one */
    return vg_layout_number(layout, layout->entries[d->error].path, "tolerance", space->tolerance);
}

static vg_status add_datasets(vg_layout *layout, const vg_store_space *space, const char *base, const char *path,
                              vg_store_space_datasets *d)
{
    const int64_t shape[2] = {space->words, space->columns};
    char *valid;
    VG_TRY(vg_layout_dataset(layout, path, VG_STORE_F32, 0, 2, shape, &d->values));
    VG_TRY(vg_format(&valid, "%s.valid", path));
    vg_status status = vg_layout_dataset(layout, valid, VG_STORE_U8, 0, 2, shape, &d->valid);
    free(valid);
    VG_TRY(status);
    if (space->path)
        VG_TRY(add_path(layout, space, base, d));
    return add_attributes(layout, space, path);
}

vg_status vg_features_add_space(vg_layout *layout, const vg_store_space *space, vg_store_space_datasets *datasets)
{
    char *base = NULL, *path = NULL;
    *datasets = (vg_store_space_datasets){-1, -1, -1, -1, -1};
    VG_TRY(vg_store_name_check(space->story, strlen(space->story), "story"));
    VG_TRY(vg_store_name_check(space->model, strlen(space->model), "model"));
    VG_TRY(check_name(space->name, "feature"));
    if (space->layer != NULL)
        VG_TRY(check_name(space->layer, "layer"));
    vg_status status = space_paths(space, &base, &path);
    if (status == VG_OK)
        status = add_datasets(layout, space, base, path, datasets);
    free(base);
    free(path);
    return status;
}

/* ---- reading ------------------------------------------------------------------------------------------------------------------ */

typedef struct {
    vg_store_space *spaces;
    int64_t count, room;
} space_list;

/* The spaces of a list own their texts. */
static void free_space(vg_store_space *space)
{
    const char *const texts[] = {space->story, space->model, space->name, space->layer, space->method};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        free((char *)texts[i]);
    vg_store_names_free((char **)space->column_names, space->columns);
}

void vg_features_list_free(vg_store_space *spaces, int64_t count)
{
    for (int64_t i = 0; spaces != NULL && i < count; i++)
        free_space(&spaces[i]);
    free(spaces);
}

static vg_status read_columns(const vg_store_file *file, const char *path, vg_store_space *space)
{
    char **names;
    int64_t count;
    if (!vg_store_has_attribute(file, path, "columns"))
        return VG_OK;
    VG_TRY(vg_store_attribute_texts(file, path, "columns", &names, &count));
    if (count != space->columns) {
        vg_store_names_free(names, count);
        return vg_fail(VG_INVALID, "%s: %s: attribute \"columns\" has %lld names for %lld columns", vg_store_path(file), path,
                       (long long)count, (long long)space->columns);
    }
    space->column_names = (const char *const *)names;
    return VG_OK;
}

static vg_status read_attributes(const vg_store_file *file, const char *path, vg_store_space *space)
{
    double sees = -1.0;
    char *method;
    if (vg_store_has_attribute(file, path, "method"))
        VG_TRY(vg_store_attribute_text(file, path, "method", &method));
    else
        VG_TRY(vg_format(&method, "%s", space->name));
    space->method = method;
    if (vg_store_has_attribute(file, path, "sees_word")) {
        VG_TRY(vg_store_attribute_number(file, path, "sees_word", &sees));
        if (sees != 0.0 && sees != 1.0)
            return vg_fail(VG_INVALID, "%s: %s: attribute \"sees_word\" is %g; it must be 0 or 1", vg_store_path(file), path, sees);
    }
    space->sees_word = (int)sees;
    return read_columns(file, path, space);
}

/* Does the dataset at `path` have the shape of this space's values? */
static vg_status check_shape(const vg_store_file *file, const char *path, const vg_store_space *space)
{
    vg_store_about about;
    VG_TRY(vg_store_describe(file, path, &about));
    if (about.type == VG_STORE_TEXT || about.type == VG_STORE_TABLE || about.dimensions != 2)
        return vg_fail(VG_INVALID, "%s: %s: must be an array (words, columns) of numbers", vg_store_path(file), path);
    if (about.shape[0] != space->words || about.shape[1] != space->columns)
        return vg_fail(VG_INVALID, "%s: %s: is (%lld, %lld), but (%lld, %lld) belongs there", vg_store_path(file), path,
                       (long long)about.shape[0], (long long)about.shape[1], (long long)space->words, (long long)space->columns);
    return VG_OK;
}

static vg_status check_space(const vg_store_file *file, const char *base, const char *path, int64_t words, vg_store_space *space)
{
    vg_store_about about;
    char *beside;
    VG_TRY(vg_store_describe(file, path, &about));
    space->words = about.shape[0];
    space->columns = about.dimensions == 2 ? about.shape[1] : 0;
    VG_TRY(check_shape(file, path, space));
    if (space->words != words)
        return vg_fail(VG_INVALID, "%s: %s: has %lld rows for the %lld words of its story", vg_store_path(file), path,
                       (long long)space->words, (long long)words);
    VG_TRY(vg_format(&beside, "%s.nodes", base));
    space->path = vg_store_has(file, beside);
    free(beside);
    VG_TRY(vg_format(&beside, "%s.valid", path));
    vg_status status = vg_store_has(file, beside) ? check_shape(file, beside, space) : VG_OK;
    free(beside);
    VG_TRY(status);
    return read_attributes(file, path, space);
}

static vg_status copy_name(const char *name, const char **copy)
{
    char *made = NULL;
    vg_status status = vg_format(&made, "%s", name);
    *copy = made;
    return status;
}

static vg_status add_found(space_list *list, const vg_store_file *file, const char *story, const char *model, const char *name,
                           const char *layer, int64_t words)
{
    vg_store_space space = {0};
    char *base = NULL, *path = NULL;
    vg_status status;
    VG_GO(copy_name(story, &space.story));
    VG_GO(copy_name(model, &space.model));
    VG_GO(copy_name(name, &space.name));
    if (layer != NULL)
        VG_GO(copy_name(layer, &space.layer));
    VG_GO(space_paths(&space, &base, &path));
    VG_GO(check_space(file, base, path, words, &space));
    if (list->count == list->room) {
        int64_t room = list->room > 0 ? 2 * list->room : 16;
        vg_store_space *larger;
        VG_GO(VG_NEW(&larger, room, "feature spaces"));
        if (list->count > 0)
            memcpy(larger, list->spaces, (size_t)list->count * sizeof *larger);
        free(list->spaces);
        list->spaces = larger;
        list->room = room;
    }
    list->spaces[list->count++] = space;
done:
    free(base);
    free(path);
    if (status != VG_OK)
        free_space(&space);
    return status;
}

/* One NAME under a model: a dataset, or a group of layers. */
static vg_status find_layers(space_list *list, const vg_store_file *file, const char *story, const char *model, const char *name,
                             int64_t words)
{
    char *path, **layers = NULL;
    int64_t count = 0;
    if (stands_beside(name))
        return VG_OK;
    VG_TRY(vg_format(&path, "/stories/%s/features/%s/%s", story, model, name));
    bool single = vg_store_is_dataset(file, path);
    vg_status status = single ? VG_OK : vg_store_list(file, path, &layers, &count);
    free(path);
    if (single)
        return add_found(list, file, story, model, name, NULL, words);
    for (int64_t l = 0; l < count && status == VG_OK; l++)
        if (!stands_beside(layers[l]))
            status = add_found(list, file, story, model, name, layers[l], words);
    vg_store_names_free(layers, count);
    return status;
}

static vg_status find_names(space_list *list, const vg_store_file *file, const char *story, const char *model, int64_t words)
{
    char *path, **names = NULL;
    int64_t count = 0;
    VG_TRY(vg_format(&path, "/stories/%s/features/%s", story, model));
    vg_status status = vg_store_list(file, path, &names, &count);
    free(path);
    for (int64_t i = 0; i < count && status == VG_OK; i++)
        status = find_layers(list, file, story, model, names[i], words);
    vg_store_names_free(names, count);
    return status;
}

static vg_status count_words(const vg_store_file *file, const char *story, int64_t *words)
{
    vg_store_about about;
    char *path;
    VG_TRY(vg_format(&path, "/stories/%s/words", story));
    vg_status status = vg_store_describe(file, path, &about);
    if (status == VG_OK && (about.type != VG_STORE_TABLE || about.dimensions != 1))
        status = vg_fail(VG_INVALID, "%s: %s: must be a table with columns text, onset and offset", vg_store_path(file), path);
    free(path);
    *words = about.shape[0];
    return status;
}

static vg_status find_models(space_list *list, const vg_store_file *file, const char *story)
{
    char *path, **models = NULL;
    int64_t count = 0, words;
    VG_TRY(count_words(file, story, &words));
    VG_TRY(vg_format(&path, "/stories/%s/features", story));
    vg_status status = vg_store_has(file, path) ? vg_store_list(file, path, &models, &count) : VG_OK;
    free(path);
    for (int64_t i = 0; i < count && status == VG_OK; i++)
        status = find_names(list, file, story, models[i], words);
    vg_store_names_free(models, count);
    return status;
}

vg_status vg_features_list(const vg_store_file *file, vg_store_space **spaces, int64_t *count)
{
    space_list list = {0};
    char **stories;
    int64_t story_count;
    *spaces = NULL;
    *count = 0;
    VG_TRY(vg_store_list(file, "/stories", &stories, &story_count));
    vg_status status = VG_OK;
    for (int64_t i = 0; i < story_count && status == VG_OK; i++)
        status = find_models(&list, file, stories[i]);
    vg_store_names_free(stories, story_count);
    if (status != VG_OK) {
        vg_features_list_free(list.spaces, list.count);
        return status;
    }
    *spaces = list.spaces;
    *count = list.count;
    return VG_OK;
}

/* What is not valid counts as 0, whatever a user's file holds there. */
static vg_status check_values(const vg_store_file *file, const char *path, const vg_store_space *space, float *values, const uint8_t *valid)
{
    for (int64_t i = 0; i < space->words * space->columns; i++) {
        long long word = (long long)(i / space->columns), column = (long long)(i % space->columns);
        if (valid[i] > 1)
            return vg_fail(VG_INVALID, "%s: %s.valid: word %lld, column %lld: %d; must be 0 or 1", vg_store_path(file), path, word, column,
                           valid[i]);
        if (valid[i] == 0 && !isfinite(values[i]))
            values[i] = 0.0f;
        if (!isfinite(values[i]))
            return vg_fail(VG_INVALID, "%s: %s: word %lld, column %lld: %g is not a finite number (in float32)", vg_store_path(file), path,
                           word, column, (double)values[i]);
    }
    return VG_OK;
}

vg_status vg_features_read(const vg_store_file *file, const vg_store_space *space, float *values, uint8_t *valid)
{
    char *base = NULL, *path = NULL, *beside = NULL;
    vg_status status;
    VG_GO(space_paths(space, &base, &path));
    VG_GO(vg_format(&beside, "%s.valid", path));
    VG_GO(check_shape(file, path, space));
    VG_GO(vg_store_read(file, path, NULL, VG_STORE_F32, NULL, NULL, values));
    if (vg_store_has(file, beside)) {
        VG_GO(check_shape(file, beside, space));
        VG_GO(vg_store_read(file, beside, NULL, VG_STORE_U8, NULL, NULL, valid));
    } else {
        memset(valid, 1, (size_t)(space->words * space->columns));
    }
    status = check_values(file, path, space, values, valid);
done:
    free(base);
    free(path);
    free(beside);
    return status;
}

static vg_status read_times(const vg_store_file *file, const char *path, const char *member, int64_t count, double **times)
{
    VG_TRY(VG_NEW(times, count, "times of words"));
    VG_TRY(vg_store_read(file, path, member, VG_STORE_F64, NULL, NULL, *times));
    for (int64_t i = 0; i < count; i++)
        if (!isfinite((*times)[i]) || (i > 0 && (*times)[i] < (*times)[i - 1] && strcmp(member, "onset") == 0))
            return vg_fail(VG_INVALID, "%s: %s: word %lld: its %s (%g s) is %s", vg_store_path(file), path, (long long)i, member,
                           (*times)[i], isfinite((*times)[i]) ? "before that of the word before it" : "not a finite number");
    return VG_OK;
}

vg_status vg_features_words(const vg_store_file *file, const char *story, char ***texts, double **onsets, double **offsets, int64_t *count)
{
    char *path;
    double *begin = NULL, *end = NULL;
    *texts = NULL;
    *count = 0;
    VG_TRY(vg_format(&path, "/stories/%s/words", story));
    vg_status status;
    VG_GO(count_words(file, story, count));
    VG_GO(vg_store_read_texts(file, path, "text", texts, count));
    VG_GO(read_times(file, path, "onset", *count, &begin));
    if (offsets != NULL)
        VG_GO(read_times(file, path, "offset", *count, &end));
    *onsets = begin;
    if (offsets != NULL)
        *offsets = end;
done:
    free(path);
    if (status != VG_OK) {
        vg_store_names_free(*texts, *count);
        *texts = NULL;
        free(begin);
        free(end);
    }
    return status;
}
