/* model: opens a model's folder, or draws one from a seed: what it is (config.json, the hash over all that says so), how much memory its
 * weights take and where that comes from: the device, or the one copy that the ranks of a node share. weights.c fills it. */
#include <stdlib.h>
#include <string.h>

#include "model.h"
#include "safetensors.h"
#include "voxgrad_version.h"

static vg_status take_config(const char *path, const uint8_t *data, size_t size, vg_model *model)
{
    VG_TRY(vg_config_parse(path, data, size, &model->config));
    model->hash = vg_crc32c(0, data, size);
    return VG_NEW(&model->blocks, model->config.shape.layers, "blocks");
}

static vg_status read_config(const char *folder, vg_model *model)
{
    char *path;
    vg_file file = {0};
    vg_status status;
    VG_TRY(vg_format(&path, "%s/config.json", folder));
    VG_GO(vg_file_open(path, &file));
    VG_GO(take_config(path, file.data, file.size, model));
done:
    vg_file_close(&file);
    free(path);
    return status;
}

/* A checkpoint of the bare decoder has no prefix. */
static const char *find_prefix(const vg_family *family, const vg_tensors *tensors)
{
    char name[96];
    snprintf(name, sizeof name, "%s.weight", family->tensors[VG_EMBEDDING]);
    return vg_tensors_find(tensors, name) != NULL ? "" : family->prefix;
}

/* The node's copy of the weights, where there may be one; else there is a line in the log, and memory stays to be taken. */
static void share_memory(vg_model *model, const char *folder, size_t bytes, bool *whole)
{
    uint32_t key = vg_crc32c(model->hash, VOXGRAD_COMMIT, strlen(VOXGRAD_COMMIT));
    if (folder == NULL || !model->device->host || model->stream != NULL)
        return;
    if (vg_node_copy_open(folder, key, bytes, &model->shared, whole) != VG_OK) {
        vg_log(VG_LOG_INFO, "every rank holds the weights on its own: %s", vg_message());
        return;
    }
    model->memory = vg_node_copy_data(model->shared);
    vg_log(VG_LOG_DEBUG, "weights: the node's copy %s is %s", vg_node_copy_path(model->shared), *whole ? "there" : "made");
}

/* Memory for the weights; whole: they are there already. */
static vg_status take_memory(vg_model *model, const char *folder, size_t bytes, bool *whole)
{
    vg_arena arena = {.size = bytes};
    *whole = false;
    share_memory(model, folder, bytes, whole);
    arena.memory = model->memory;
    if (model->shared == NULL)
        VG_TRY(vg_device_allocate(model->device, &arena.memory, (int64_t)bytes, 1));
    model->memory = arena.memory;
    VG_TRY(vg_weights_take(model, &arena));
    if (!model->device->host)
        return VG_NEW(&model->host_embedding, model->config.shape.vocabulary * model->config.shape.width, "embeddings");
    model->host_embedding = model->embedding;
    return VG_OK;
}

/* The bytes of the weights, and each one's place, on paper. */
static vg_status measure(vg_model *model, size_t *bytes)
{
    vg_arena paper = {.memory = (void *)256, .size = PTRDIFF_MAX};
    VG_TRY(vg_weights_take(model, &paper));
    *bytes = paper.used;
    model->bytes = paper.used;
    if (!model->device->host)
        model->bytes += (size_t)(model->config.shape.vocabulary * model->config.shape.width) * sizeof(float);
    return VG_OK;
}

/* One block at a time. */
static vg_status shrink(vg_model *model, size_t *bytes)
{
    VG_TRY(VG_NEW(&model->stream, 1, "model"));
    model->stream->held = -1;
    VG_TRY(measure(model, bytes));
    return vg_weights_stream(model);
}

/* All blocks in memory, or one at a time, as the limit says. */
static vg_status settle(vg_model *model, const vg_model_options *options, size_t *bytes)
{
    size_t limit = options->memory > 0 ? (size_t)options->memory : SIZE_MAX;
    size_t sharers = model->device->host && options->sharers > 1 ? (size_t)options->sharers : 1;
    VG_TRY(measure(model, bytes));
    if (model->bytes / sharers > limit) {
        VG_TRY(shrink(model, bytes));
        if (model->bytes > limit)
            return vg_fail(VG_NO_MEMORY,
                           "the model takes %.0f MB even with one of its %lld blocks at a time; %.0f MB may be taken (--memory)",
                           1e-6 * (double)model->bytes, (long long)model->config.shape.layers, 1e-6 * (double)limit);
    }
    if (options->paper && model->stream == NULL) {
        size_t whole = model->bytes;
        VG_TRY(shrink(model, bytes));
        model->paper = true;
        model->bytes = whole;
    }
    return VG_OK;
}

/* The weights, in memory. What the model is has been hashed before. */
static vg_status place_weights(vg_model *model, const vg_model_options *options, const char *prefix, const vg_tensors *tensors)
{
    size_t bytes;
    bool whole;
    VG_TRY(settle(model, options, &bytes));
    VG_TRY(take_memory(model, options->share, bytes, &whole));
    if (whole)
        return VG_OK;
    VG_TRY(vg_weights_fill(model, prefix, tensors, options->seed));
    return model->shared != NULL ? vg_node_copy_seal(model->shared) : VG_OK;
}

static vg_status draw_model(vg_model *model, const vg_model_options *options)
{
    model->hash = vg_crc32c(model->hash, &options->seed, sizeof options->seed);
    VG_TRY(place_weights(model, options, "", NULL));
    if (model->stream != NULL) {
        model->stream->random = true;
        model->stream->seed = options->seed;
        model->stream->prefix = "";
    }
    return VG_OK;
}

static uint32_t hash_file(uint32_t crc, const vg_file *file)
{
    const size_t piece = (size_t)64 << 20;
    for (size_t at = 0; at < file->size; at += piece) {
        crc = vg_crc32c(crc, file->data + at, file->size - at < piece ? file->size - at : piece);
        vg_file_forget(file);
    }
    return crc;
}

static vg_status open_model(vg_model *model, const char *folder, const vg_model_options *options, vg_tensors *tensors)
{
    size_t bytes;
    VG_TRY(read_config(folder, model));
    model->precision = options->precision;
    if (options->precision != VG_FLOAT32)
        model->hash = vg_crc32c(model->hash, &options->precision, sizeof options->precision);
    if (options->random)
        return draw_model(model, options);
    VG_TRY(measure(model, &bytes));
    VG_TRY(vg_tensors_open(folder, tensors));
    const char *prefix = find_prefix(model->config.family, tensors);
    VG_TRY(vg_weights_check(model, folder, prefix, tensors));
    for (int64_t i = 0; !options->paper && i < tensors->file_count; i++)
        model->hash = hash_file(model->hash, &tensors->files[i]);
    VG_TRY(place_weights(model, options, prefix, tensors));
    if (model->stream != NULL) {
        model->stream->prefix = prefix;
        model->stream->tensors = *tensors;
        *tensors = (vg_tensors){0};
    }
    return VG_OK;
}

vg_status vg_model_open(vg_device *device, const char *folder, const vg_model_options *options, vg_model **model)
{
    static const vg_model_options trained = {0};
    vg_tensors tensors = {0};
    VG_TRY(VG_NEW(model, 1, "model"));
    (*model)->device = device;
    vg_status status = open_model(*model, folder, options != NULL ? options : &trained, &tensors);
    vg_tensors_close(&tensors);
    if (status != VG_OK) {
        vg_model_close(*model);
        *model = NULL;
    }
    return status;
}

vg_status vg_model_draw(vg_device *device, const char *config, uint64_t seed, vg_model **model)
{
    VG_TRY(VG_NEW(model, 1, "model"));
    (*model)->device = device;
    vg_status status = take_config("config", (const uint8_t *)config, strlen(config), *model);
    if (status == VG_OK)
        status = draw_model(*model, &(vg_model_options){.random = true, .seed = seed});
    if (status != VG_OK) {
        vg_model_close(*model);
        *model = NULL;
    }
    return status;
}

void vg_model_close(vg_model *model)
{
    if (model == NULL)
        return;
    if (model->host_embedding != model->embedding)
        free(model->host_embedding);
    if (model->shared == NULL && model->memory != NULL)
        model->device->ops->free(model->device, model->memory);
    vg_node_copy_free(model->shared);
    if (model->stream != NULL) {
        vg_tensors_close(&model->stream->tensors);
        free(model->stream->values);
        free(model->stream->turned);
    }
    free(model->stream);
    free(model->blocks);
    free(model);
}

size_t vg_model_bytes(const vg_model *model)
{
    return model->bytes;
}

vg_device *vg_model_device(const vg_model *model)
{
    return model->device;
}

bool vg_model_is_streamed(const vg_model *model)
{
    return model->stream != NULL && !model->paper;
}

bool vg_model_is_shared(const vg_model *model)
{
    return model->shared != NULL;
}

const vg_model_shape *vg_model_get_shape(const vg_model *model)
{
    return &model->config.shape;
}

uint32_t vg_model_hash(const vg_model *model)
{
    return model->hash;
}

const float *vg_model_embedding(const vg_model *model)
{
    return model->host_embedding;
}
