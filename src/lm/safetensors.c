/* safetensors: reads the format that Hugging Face keeps weights in, by memory map, trusting nothing.
 * A file is a little-endian u64 N, N bytes of JSON {name: {"dtype", "shape", "data_offsets": [begin, end]}, "__metadata__": {..}},
 * then the data, which the tensors cover without overlap or hole (huggingface/safetensors, README, "Format"). A model of several files has
 * an index {"weight_map": {name: file}}. Values become float32: binary16 and bfloat16 exactly. */
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "safetensors.h"

enum { HEADER_LIMIT = 100000000 }; /* the reference implementation's */

const char *vg_shape_text(int dimensions, const int64_t *shape)
{
    static _Thread_local char buffers[4][192];
    static _Thread_local unsigned turn;
    char *text = buffers[turn++ % 4];
    size_t used = 1;
    memcpy(text, "(", 2);
    for (int i = 0; i < dimensions && used < 160; i++)
        used += (size_t)snprintf(text + used, 24, "%s%lld", i > 0 ? ", " : "", (long long)shape[i]);
    memcpy(text + used, ")", 2);
    return text;
}

static vg_status parse_type(const char *path, const char *name, json_t *entry, vg_tensor *tensor, int64_t *size)
{
    static const struct {
        const char *name;
        vg_tensor_type type;
        int64_t size;
    } types[] = {{"F32", VG_TENSOR_F32, 4},   {"F16", VG_TENSOR_F16, 2},   {"BF16", VG_TENSOR_BF16, 2}, {"F64", VG_TENSOR_OTHER, 8},
                 {"I64", VG_TENSOR_OTHER, 8}, {"I32", VG_TENSOR_OTHER, 4}, {"I16", VG_TENSOR_OTHER, 2}, {"I8", VG_TENSOR_OTHER, 1},
                 {"U64", VG_TENSOR_OTHER, 8}, {"U32", VG_TENSOR_OTHER, 4}, {"U16", VG_TENSOR_OTHER, 2}, {"U8", VG_TENSOR_OTHER, 1},
                 {"BOOL", VG_TENSOR_OTHER, 1}};
    const char *type = json_string_value(json_object_get(entry, "dtype"));
    for (size_t i = 0; type != NULL && i < sizeof types / sizeof *types; i++) {
        if (strcmp(type, types[i].name) == 0) {
            tensor->type = types[i].type;
            *size = types[i].size;
            snprintf(tensor->type_name, sizeof tensor->type_name, "%s", type);
            return VG_OK;
        }
    }
    return vg_fail(VG_INVALID, "%s: tensor \"%s\": dtype %s is not supported; F32, F16 and BF16 are", path, name,
                   type != NULL ? type : "(missing)");
}

static vg_status parse_shape(const char *path, const char *name, json_t *entry, vg_tensor *tensor)
{
    json_t *shape = json_object_get(entry, "shape");
    if (!json_is_array(shape) || json_array_size(shape) > VG_TENSOR_DIMENSIONS)
        return vg_fail(VG_INVALID, "%s: tensor \"%s\": no shape of at most %d dimensions", path, name, VG_TENSOR_DIMENSIONS);
    tensor->dimensions = (int)json_array_size(shape);
    tensor->count = 1;
    for (int i = 0; i < tensor->dimensions; i++) {
        json_t *extent = json_array_get(shape, (size_t)i);
        if (!json_is_integer(extent) || json_integer_value(extent) < 0)
            return vg_fail(VG_INVALID, "%s: tensor \"%s\": its shape has something else than whole numbers >= 0", path, name);
        tensor->shape[i] = json_integer_value(extent);
        if (vg_multiply(tensor->count, tensor->shape[i], name, &tensor->count) != VG_OK)
            return vg_fail_within(VG_INVALID, "%s: tensor ", path);
    }
    return VG_OK;
}

/* Where the tensor's bytes are: begin and end within the data, as long as shape and type say. */
static vg_status parse_place(const char *path, const char *name, json_t *entry, int64_t type_size, size_t room, vg_tensor *tensor,
                             size_t *begin)
{
    json_t *offsets = json_object_get(entry, "data_offsets");
    json_t *first = json_array_get(offsets, 0), *last = json_array_get(offsets, 1);
    if (json_array_size(offsets) != 2 || !json_is_integer(first) || !json_is_integer(last))
        return vg_fail(VG_INVALID, "%s: tensor \"%s\": no data_offsets [begin, end]", path, name);
    int64_t from = json_integer_value(first), to = json_integer_value(last), bytes;
    if (from < 0 || to < from)
        return vg_fail(VG_INVALID, "%s: tensor \"%s\": data_offsets [%lld, %lld] are not a range", path, name, (long long)from,
                       (long long)to);
    if ((uint64_t)to > room)
        return vg_fail(VG_INVALID, "%s: tensor \"%s\": its data end at byte %lld, the file has %zu bytes of data: is it cut off?", path,
                       name, (long long)to, room);
    if (vg_multiply(tensor->count, type_size, name, &bytes) != VG_OK)
        return vg_fail_within(VG_INVALID, "%s: tensor ", path);
    if (bytes != to - from)
        return vg_fail(VG_INVALID, "%s: tensor \"%s\": %s of %s takes %lld bytes, data_offsets give it %lld", path, name,
                       vg_shape_text(tensor->dimensions, tensor->shape), tensor->type_name, (long long)bytes, (long long)(to - from));
    *begin = (size_t)from;
    return VG_OK;
}

static vg_status add_tensor(vg_tensors *tensors, const vg_tensor *tensor, const char *name)
{
    if (tensors->count == tensors->room) {
        int64_t room = tensors->room > 0 ? 2 * tensors->room : 64;
        vg_tensor *larger;
        VG_TRY(VG_NEW(&larger, room, "tensors"));
        if (tensors->count > 0)
            memcpy(larger, tensors->tensors, (size_t)tensors->count * sizeof *larger);
        free(tensors->tensors);
        tensors->tensors = larger;
        tensors->room = room;
    }
    vg_tensor *added = &tensors->tensors[tensors->count];
    *added = *tensor;
    VG_TRY(vg_format(&added->name, "%s", name));
    tensors->count++;
    return VG_OK;
}

static int by_place(const void *a, const void *b)
{
    const vg_tensor *x = a, *y = b;
    if (x->data != y->data)
        return x->data < y->data ? -1 : 1;
    return (x->count > 0) - (y->count > 0);
}

/* The tensors tile the data: no overlap, no hole, nothing after the last. */
static vg_status check_tiling(const char *path, const uint8_t *data, size_t room, vg_tensor *tensors, int64_t count)
{
    static const int64_t sizes[] = {4, 2, 2};
    size_t at = 0;
    qsort(tensors, (size_t)count, sizeof *tensors, by_place);
    for (int64_t i = 0; i < count; i++) {
        const vg_tensor *t = &tensors[i];
        size_t begin = (size_t)(t->data - data);
        if (begin != at)
            return vg_fail(VG_INVALID, "%s: tensor \"%s\" begins at byte %zu of the data, %s byte %zu where the one before it ends", path,
                           t->name, begin, begin < at ? "before" : "after", at);
        int64_t size = t->type != VG_TENSOR_OTHER          ? sizes[t->type]
                       : strcmp(t->type_name, "BOOL") == 0 ? 1
                                                           : strtol(t->type_name + 1, NULL, 10) / 8;
        at += (size_t)(t->count * size);
    }
    if (at != room)
        return vg_fail(VG_INVALID, "%s: %zu bytes of data belong to no tensor", path, room - at);
    return VG_OK;
}

static vg_status parse_entries(const char *path, json_t *header, const uint8_t *data, size_t room, vg_tensors *tensors)
{
    const char *name;
    json_t *entry;
    json_object_foreach(header, name, entry)
    {
        vg_tensor tensor = {.path = tensors->paths[tensors->path_count - 1]};
        int64_t type_size = 0;
        size_t begin = 0;
        if (strcmp(name, "__metadata__") == 0)
            continue;
        VG_TRY(parse_type(path, name, entry, &tensor, &type_size));
        VG_TRY(parse_shape(path, name, entry, &tensor));
        VG_TRY(parse_place(path, name, entry, type_size, room, &tensor, &begin));
        tensor.data = data + begin;
        VG_TRY(add_tensor(tensors, &tensor, name));
    }
    return VG_OK;
}

static vg_status keep_path(vg_tensors *tensors, const char *path)
{
    char **paths = realloc(tensors->paths, (size_t)(tensors->path_count + 1) * sizeof *paths);
    if (paths == NULL)
        return vg_fail(VG_NO_MEMORY, "no memory for a path");
    tensors->paths = paths;
    VG_TRY(vg_format(&paths[tensors->path_count], "%s", path));
    tensors->path_count++;
    return VG_OK;
}

vg_status vg_tensors_parse(const char *path, const uint8_t *data, size_t size, vg_tensors *tensors)
{
    uint64_t length = 0;
    for (size_t i = 0; i < 8 && i < size; i++)
        length |= (uint64_t)data[i] << 8 * i;
    if (size < 8 || length > HEADER_LIMIT || length > size - 8)
        return vg_fail(VG_INVALID, "%s: not a safetensors file, or cut off: %zu bytes, header of %llu", path, size,
                       (unsigned long long)length);
    json_error_t fault;
    json_t *header = json_loadb((const char *)data + 8, (size_t)length, JSON_REJECT_DUPLICATES, &fault);
    if (!json_is_object(header)) {
        json_decref(header);
        return vg_fail(VG_INVALID, "%s: its header is not a JSON object: %s", path, fault.text);
    }
    vg_status status;
    int64_t before = tensors->count;
    size_t room = size - 8 - (size_t)length;
    VG_GO(keep_path(tensors, path));
    VG_GO(parse_entries(path, header, data + 8 + length, room, tensors));
    if (tensors->count > before)
        VG_GO(check_tiling(path, data + 8 + length, room, tensors->tensors + before, tensors->count - before));
done:
    json_decref(header);
    return status;
}

static vg_status open_file(const char *path, vg_tensors *tensors)
{
    vg_file *files = realloc(tensors->files, (size_t)(tensors->file_count + 1) * sizeof *files);
    if (files == NULL)
        return vg_fail(VG_NO_MEMORY, "no memory for a file");
    tensors->files = files;
    VG_TRY(vg_file_open(path, &files[tensors->file_count]));
    vg_file *file = &files[tensors->file_count++];
    return vg_tensors_parse(path, file->data, file->size, tensors);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const vg_tensor *)a)->name, ((const vg_tensor *)b)->name);
}

static int by_wanted_name(const void *name, const void *tensor)
{
    return strcmp(name, ((const vg_tensor *)tensor)->name);
}

static vg_status sort_by_name(vg_tensors *tensors)
{
    if (tensors->count > 0)
        qsort(tensors->tensors, (size_t)tensors->count, sizeof *tensors->tensors, by_name);
    for (int64_t i = 1; i < tensors->count; i++)
        if (by_name(&tensors->tensors[i - 1], &tensors->tensors[i]) == 0)
            return vg_fail(VG_INVALID, "%s: tensor \"%s\" is in %s too", tensors->tensors[i].path, tensors->tensors[i].name,
                           tensors->tensors[i - 1].path);
    return VG_OK;
}

/* Opens each file that the index names, once, and holds every tensor to the file the index says. */
static vg_status open_shards(const char *folder, const char *index_path, json_t *map, vg_tensors *tensors)
{
    const char *name;
    json_t *entry;
    if (!json_is_object(map) || json_object_size(map) == 0)
        return vg_fail(VG_INVALID, "%s: no \"weight_map\"", index_path);
    json_object_foreach(map, name, entry)
    {
        const char *file = json_string_value(entry);
        char *path;
        bool known = false;
        if (file == NULL || file[0] == '\0' || strchr(file, '/') != NULL)
            return vg_fail(VG_INVALID, "%s: tensor \"%s\": not the name of a file in this folder", index_path, name);
        VG_TRY(vg_format(&path, "%s/%s", folder, file));
        for (int64_t i = 0; i < tensors->path_count; i++)
            known = known || strcmp(tensors->paths[i], path) == 0;
        vg_status status = known ? VG_OK : open_file(path, tensors);
        free(path);
        VG_TRY(status);
    }
    VG_TRY(sort_by_name(tensors));
    json_object_foreach(map, name, entry)
    {
        const vg_tensor *tensor = vg_tensors_find(tensors, name);
        const char *file = json_string_value(entry);
        if (tensor == NULL || strcmp(tensor->path + strlen(folder) + 1, file) != 0)
            return vg_fail(VG_INVALID, "%s: tensor \"%s\" is not in %s", index_path, name, file);
    }
    return VG_OK;
}

static vg_status open_index(const char *folder, const char *path, vg_tensors *tensors)
{
    vg_file file;
    json_error_t fault = {.text = "empty"};
    VG_TRY(vg_file_open(path, &file));
    json_t *index = file.size > 0 ? json_loadb((const char *)file.data, file.size, JSON_REJECT_DUPLICATES, &fault) : NULL;
    vg_status status = index != NULL ? open_shards(folder, path, json_object_get(index, "weight_map"), tensors)
                                     : vg_fail(VG_INVALID, "%s: not JSON: %s", path, fault.text);
    json_decref(index);
    vg_file_close(&file);
    return status;
}

vg_status vg_tensors_open(const char *folder, vg_tensors *tensors)
{
    char *single = NULL, *index = NULL;
    vg_status status;
    *tensors = (vg_tensors){0};
    VG_GO(vg_format(&single, "%s/model.safetensors", folder));
    VG_GO(vg_format(&index, "%s/model.safetensors.index.json", folder));
    if (access(single, F_OK) == 0) {
        VG_GO(open_file(single, tensors));
        VG_GO(sort_by_name(tensors));
    } else if (access(index, F_OK) == 0) {
        VG_GO(open_index(folder, index, tensors));
    } else {
        status = vg_fail(VG_INVALID, "%s: neither model.safetensors nor model.safetensors.index.json is there", folder);
    }
done:
    free(single);
    free(index);
    return status;
}

void vg_tensors_forget(const vg_tensors *tensors)
{
    for (int64_t i = 0; i < tensors->file_count; i++)
        vg_file_forget(&tensors->files[i]);
}

void vg_tensors_close(vg_tensors *tensors)
{
    for (int64_t i = 0; i < tensors->count; i++)
        free(tensors->tensors[i].name);
    for (int64_t i = 0; i < tensors->path_count; i++)
        free(tensors->paths[i]);
    for (int64_t i = 0; i < tensors->file_count; i++)
        vg_file_close(&tensors->files[i]);
    free(tensors->tensors);
    free(tensors->paths);
    free(tensors->files);
    *tensors = (vg_tensors){0};
}

const vg_tensor *vg_tensors_find(const vg_tensors *tensors, const char *name)
{
    return tensors->count > 0 ? bsearch(name, tensors->tensors, (size_t)tensors->count, sizeof *tensors->tensors, by_wanted_name) : NULL;
}

static float from_bits(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, 4);
    return value;
}

/* IEEE 754 binary16: a subnormal is its fraction times 2^-24; otherwise the exponent moves by 127 - 15. */
static float from_half(uint16_t half)
{
    uint32_t sign = (uint32_t)(half & 0x8000) << 16, exponent = half >> 10 & 0x1F, fraction = half & 0x3FF;
    if (exponent == 0) {
        float value = (float)fraction * 0x1p-24f;
        return sign != 0 ? -value : value;
    }
    return from_bits(sign | (exponent == 0x1F ? 0xFFu : exponent + 112) << 23 | fraction << 13);
}

static void read_values(const vg_tensor *tensor, float *values)
{
    const uint8_t *data = tensor->data;
    if (tensor->count == 0)
        return;
    if (tensor->type == VG_TENSOR_F32) {
        memcpy(values, data, (size_t)tensor->count * sizeof(float));
        return;
    }
#pragma omp parallel for schedule(static)
    for (int64_t i = 0; i < tensor->count; i++) {
        uint16_t bits = (uint16_t)(data[2 * i] | data[2 * i + 1] << 8);
        values[i] = tensor->type == VG_TENSOR_F16 ? from_half(bits) : from_bits((uint32_t)bits << 16);
    }
}

vg_status vg_tensor_read(const vg_tensor *tensor, float *values)
{
    if (tensor->type == VG_TENSOR_OTHER)
        return vg_fail(VG_INVALID, "%s: tensor \"%s\": dtype %s is not supported; F32, F16 and BF16 are", tensor->path, tensor->name,
                       tensor->type_name);
    read_values(tensor, values);
    int64_t first = tensor->count;
#pragma omp parallel for schedule(static) reduction(min : first)
    for (int64_t i = 0; i < tensor->count; i++)
        first = !isfinite(values[i]) && i < first ? i : first;
    if (first == tensor->count)
        return VG_OK;
    return vg_fail(VG_INVALID, "%s: tensor \"%s\" %s: element %lld is %g; weights must be finite", tensor->path, tensor->name,
                   vg_shape_text(tensor->dimensions, tensor->shape), (long long)first, (double)values[first]);
}
