/* npy: NumPy's array files, two dimensions, f4 or f8 of either byte order, C or Fortran order; mapped, so that what is not asked for is
 * not read. Source: numpy.lib.format (versions 1.0, 2.0, 3.0). */
#include <stdlib.h>
#include <string.h>

#include "responses.h"

/* What follows 'key': in the header's dictionary, blanks passed over; NULL where there is none. The header is `size` bytes. */
static const char *value_of(const char *header, size_t size, const char *key, const char **end)
{
    *end = header + size;
    const char *found = memmem(header, size, key, strlen(key));
    if (found == NULL)
        return NULL;
    const char *at = found + strlen(key);
    while (at < *end && (*at == ' ' || *at == ':'))
        at++;
    return at < *end ? at : NULL;
}

static vg_status parse_type(const char *path, const char *text, size_t size, vg_npy_header *header)
{
    const char *end, *type = value_of(text, size, "'descr'", &end);
    if (type != NULL && end - type >= 5 && type[0] == '\'' && type[4] == '\'' && (type[1] == '<' || type[1] == '>') && type[2] == 'f' &&
        (type[3] == '4' || type[3] == '8')) {
        header->big_endian = type[1] == '>';
        header->wide = type[3] == '8';
        return VG_OK;
    }
    int shown = type != NULL ? (int)(end - type < 12 ? end - type : 12) : 0;
    return vg_fail(VG_INVALID, "%s: holds numbers of another type than float32 or float64 (%.*s...); convert it with astype", path, shown,
                   type != NULL ? type : "");
}

/* "(rows, columns)" */
static vg_status parse_shape(const char *path, const char *text, size_t size, vg_npy_header *header)
{
    const char *end, *at = value_of(text, size, "'shape'", &end);
    int64_t shape[3] = {0};
    int dimensions = 0;
    if (at == NULL || *at != '(')
        return vg_fail(VG_INVALID, "%s: its header has no shape", path);
    for (at++; at < end && *at != ')' && dimensions < 3; dimensions++) {
        const char *begin = at;
        while (at < end && *at >= '0' && *at <= '9')
            at++;
        if (!vg_parse_integer(begin, (size_t)(at - begin), &shape[dimensions]))
            return vg_fail(VG_INVALID, "%s: its header has no shape that can be read", path);
        while (at < end && (*at == ',' || *at == ' '))
            at++;
    }
    if (at == end || *at != ')' || dimensions != 2 || shape[0] == 0 || shape[1] == 0)
        return vg_fail(VG_INVALID, "%s: is not a table of volumes x voxels (two dimensions, neither of them 0)", path);
    header->rows = shape[0];
    header->columns = shape[1];
    return VG_OK;
}

static vg_status parse_order(const char *path, const char *text, size_t size, vg_npy_header *header)
{
    const char *end, *order = value_of(text, size, "'fortran_order'", &end);
    header->fortran = order != NULL && end - order >= 4 && memcmp(order, "True", 4) == 0;
    if (header->fortran || (order != NULL && end - order >= 5 && memcmp(order, "False", 5) == 0))
        return VG_OK;
    return vg_fail(VG_INVALID, "%s: its header does not say the order of the numbers", path);
}

vg_status vg_npy_parse(const char *path, const uint8_t *bytes, size_t size, vg_npy_header *header)
{
    *header = (vg_npy_header){0};
    if (size < 12 || memcmp(bytes, "\x93NUMPY", 6) != 0 || bytes[6] < 1 || bytes[6] > 3)
        return vg_fail(VG_INVALID, "%s: is not a .npy file (or cut off)", path);
    size_t lead = bytes[6] == 1 ? 10 : 12, length = (size_t)bytes[8] | (size_t)bytes[9] << 8;
    if (bytes[6] > 1)
        length |= (size_t)bytes[10] << 16 | (size_t)bytes[11] << 24;
    if (length > size - lead)
        return vg_fail(VG_INVALID, "%s: is cut off within its header", path);
    const char *text = (const char *)bytes + lead;
    VG_TRY(parse_type(path, text, length, header));
    VG_TRY(parse_order(path, text, length, header));
    VG_TRY(parse_shape(path, text, length, header));
    header->data = (int64_t)(lead + length);
    int64_t numbers, needed;
    VG_TRY(vg_multiply(header->rows, header->columns, path, &numbers));
    VG_TRY(vg_multiply(numbers, header->wide ? 8 : 4, path, &needed));
    if ((uint64_t)needed > size - (size_t)header->data)
        return vg_fail(VG_INVALID, "%s: %lld x %lld numbers need %lld bytes, it has %zu: is it cut off?", path, (long long)header->rows,
                       (long long)header->columns, (long long)needed, size - (size_t)header->data);
    return VG_OK;
}

/* ---- as responses ------------------------------------------------------------------------------------------------------ */

typedef struct {
    vg_file file;
    vg_npy_header header;
} npy_array;

static vg_status open_npy(vg_response_file *file)
{
    npy_array *array;
    VG_TRY(VG_NEW(&array, 1, "array"));
    file->state = array;
    VG_TRY(vg_file_open(file->path, &array->file));
    VG_TRY(vg_npy_parse(file->path, array->file.data, array->file.size, &array->header));
    file->rows = array->header.rows;
    file->columns = array->header.columns;
    return VG_OK;
}

static float decode(const uint8_t *bytes, bool wide, bool big_endian)
{
    uint64_t bits = 0;
    int size = wide ? 8 : 4;
    for (int i = 0; i < size; i++)
        bits |= (uint64_t)bytes[i] << 8 * (big_endian ? size - 1 - i : i);
    if (wide) {
        double value;
        memcpy(&value, &bits, sizeof value);
        return (float)value;
    }
    uint32_t low = (uint32_t)bits;
    float value;
    memcpy(&value, &low, sizeof value);
    return value;
}

static vg_status read_npy(const vg_response_file *file, int64_t first, vg_matrix out)
{
    const npy_array *array = file->state;
    const vg_npy_header *header = &array->header;
    const uint8_t *data = array->file.data + header->data;
    int64_t row = header->fortran ? 1 : header->columns, column = header->fortran ? header->rows : 1, size = header->wide ? 8 : 4;
    for (int64_t t = 0; t < out.rows; t++)
        for (int64_t v = 0; v < out.columns; v++)
            out.data[t * out.ld + v] = decode(data + size * (t * row + (first + v) * column), header->wide, header->big_endian);
    return VG_OK;
}

static void close_npy(vg_response_file *file)
{
    npy_array *array = file->state;
    if (array != NULL)
        vg_file_close(&array->file);
    free(array);
}

const vg_response_format vg_npy_responses = {.name = "npy", .extensions = {".npy"}, .open = open_npy, .read = read_npy, .close = close_npy};
