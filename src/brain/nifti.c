/* nifti: volumes of NIfTI-1 and -2 through nifticlib: 4-D responses and 3-D labels. Uncompressed files are mapped, so that what is not
 * asked for is not read; compressed ones are loaded whole. Voxels: i fastest, then j, k; volumes one after another; value = slope * stored
 * + intercept where the header gives a slope. */
#include <math.h>
#include <nifti2_io.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <zlib.h>

#include "atlas.h"
#include "gunzip.h"
#include "responses.h"

typedef struct {
    nifti_image *image;
    vg_file file; /* mapped; decompressed to memory where it was compressed */
    const uint8_t *data;
    bool swapped;
} nifti_volume;

static bool is_numeric(int type)
{
    return type == DT_UINT8 || type == DT_INT8 || type == DT_UINT16 || type == DT_INT16 || type == DT_UINT32 || type == DT_INT32 ||
           type == DT_UINT64 || type == DT_INT64 || type == DT_FLOAT32 || type == DT_FLOAT64;
}

static void take_space(const nifti_image *image, vg_space *space)
{
    const double spacing[3] = {image->dx, image->dy, image->dz};
    for (int r = 0; r < 3; r++) {
        space->dimensions[r] = image->dim[r + 1];
        for (int c = 0; c < 4; c++)
            space->affine[r][c] = image->sform_code > 0   ? image->sto_xyz.m[r][c]
                                  : image->qform_code > 0 ? image->qto_xyz.m[r][c]
                                  : r == c                ? spacing[r]
                                                          : 0;
    }
}

static vg_status check_header(vg_response_file *file, const nifti_image *image)
{
    int64_t voxels, values, bytes;
    if (!is_numeric(image->datatype))
        return vg_fail(VG_INVALID, "%s: holds values of a type that is no plain number (%s)", file->path,
                       nifti_datatype_string(image->datatype));
    for (int d = 1; d <= 7; d++)
        if (d <= image->dim[0] && (image->dim[d] < 1 || (d > 4 && image->dim[d] != 1)))
            return vg_fail(VG_INVALID, "%s: is not 3-D or 4-D: dimension %d is %lld", file->path, d, (long long)image->dim[d]);
    if (image->dim[0] < 3 || image->nx > INT32_MAX || image->ny > INT32_MAX || image->nz > INT32_MAX)
        return vg_fail(VG_INVALID, "%s: is not 3-D or 4-D", file->path);
    VG_TRY(vg_multiply(image->nx, image->ny, file->path, &voxels));
    VG_TRY(vg_multiply(voxels, image->nz, file->path, &voxels));
    file->rows = image->dim[0] > 3 ? image->nt : 1;
    file->columns = voxels;
    VG_TRY(vg_multiply(voxels, file->rows, file->path, &values));
    VG_TRY(vg_multiply(values, image->nbyper, file->path, &bytes));
    take_space(image, &file->space);
    return VG_OK;
}

/* Not nifti_image_load, which turns NaN into 0. */
static vg_status map_data(const vg_response_file *file, nifti_volume *volume)
{
    const nifti_image *image = volume->image;
    vg_gunzipped plain;
    VG_TRY(vg_gunzip(image->iname, &plain));
    vg_status status = vg_file_open(plain.path, &volume->file);
    vg_gunzip_close(&plain);
    VG_TRY(status);
    uint64_t needed = (uint64_t)file->rows * (uint64_t)file->columns * (uint64_t)image->nbyper;
    if (image->iname_offset < 0 || (uint64_t)image->iname_offset > volume->file.size ||
        needed > volume->file.size - (uint64_t)image->iname_offset)
        return vg_fail(VG_INVALID, "%s: %lld volumes of %lld voxels need %llu bytes, it has %zu: is it cut off?", file->path,
                       (long long)file->rows, (long long)file->columns, (unsigned long long)needed, volume->file.size);
    volume->data = volume->file.data + image->iname_offset;
    volume->swapped = image->swapsize > 1 && image->byteorder != nifti_short_order();
    return VG_OK;
}

static int64_t raw_integer(const uint8_t *bytes, int size, bool big_endian)
{
    uint64_t value = 0;
    for (int i = 0; i < size; i++)
        value |= (uint64_t)bytes[i] << 8 * (big_endian ? size - 1 - i : i);
    return size == 2 ? (int16_t)value : size == 4 ? (int32_t)value : (int64_t)value;
}

/* nifticlib believes the number of dimensions in the header, whatever it is: that is checked before it sees the file.
 * NIfTI-1: 348 bytes, dim[8] of int16 at 40; NIfTI-2: 540 bytes, dim[8] of int64 at 16. */
static vg_status check_raw_header(const char *path)
{
    uint8_t bytes[540];
    char *header = nifti_findhdrname(path);
    gzFile file = gzopen(header != NULL ? header : path, "rb");
    int count = file != NULL ? gzread(file, bytes, sizeof bytes) : 0;
    if (file != NULL)
        gzclose(file);
    free(header);
    if (count < 348)
        return vg_fail(VG_INVALID, "%s: is too short for NIfTI: is it cut off?", path);
    for (int big_endian = 0; big_endian < 2; big_endian++) {
        int64_t size = raw_integer(bytes, 4, big_endian);
        int width = size == 540 ? 8 : 2;
        const uint8_t *dimension = bytes + (size == 540 ? 16 : 40);
        int64_t dimensions = raw_integer(dimension, width, big_endian);
        if (size != 348 && size != 540)
            continue;
        bool sane = dimensions >= 1 && dimensions <= 7 && count >= size;
        for (int64_t d = 1; sane && d <= dimensions; d++)
            sane = raw_integer(dimension + d * width, width, big_endian) >= 1;
        return sane ? VG_OK : vg_fail(VG_INVALID, "%s: its header is cut off, or its dimensions are none", path);
    }
    return vg_fail(VG_INVALID, "%s: does not begin as NIfTI-1 or NIfTI-2", path);
}

static vg_status open_nifti(vg_response_file *file)
{
    nifti_volume *volume;
    vg_file probe;
    VG_TRY(vg_file_open(file->path, &probe)); /* says why a file cannot be read */
    vg_file_close(&probe);
    VG_TRY(VG_NEW(&volume, 1, "volume"));
    file->state = volume;
    nifti_set_debug_level(0);
    VG_TRY(check_raw_header(file->path));
    volume->image = nifti_image_read(file->path, 0);
    if (volume->image == NULL)
        return vg_fail(VG_INVALID, "%s: cannot be read as NIfTI: is it cut off?", file->path);
    VG_TRY(check_header(file, volume->image));
    return map_data(file, volume);
}

/* The stored value at `bytes`, of any alignment and byte order. */
static double stored_value(const uint8_t *bytes, int type, int size, bool swapped)
{
    union {
        uint8_t bytes[8], u1;
        int8_t i1;
        uint16_t u2;
        int16_t i2;
        uint32_t u4;
        int32_t i4;
        uint64_t u8;
        int64_t i8;
        float f4;
        double f8;
    } value = {{0}};
    for (int i = 0; i < size; i++)
        value.bytes[i] = bytes[swapped ? size - 1 - i : i];
    switch (type) {
    case DT_UINT8:
        return value.u1;
    case DT_INT8:
        return value.i1;
    case DT_UINT16:
        return value.u2;
    case DT_INT16:
        return value.i2;
    case DT_UINT32:
        return value.u4;
    case DT_INT32:
        return value.i4;
    case DT_UINT64:
        return (double)value.u8;
    case DT_INT64:
        return (double)value.i8;
    case DT_FLOAT32:
        return (double)value.f4;
    default:
        return value.f8;
    }
}

static vg_status read_nifti(const vg_response_file *file, int64_t first, vg_matrix out)
{
    const nifti_volume *volume = file->state;
    const nifti_image *image = volume->image;
    bool scaled = image->scl_slope != 0 && isfinite(image->scl_slope) && isfinite(image->scl_inter);
    for (int64_t t = 0; t < out.rows; t++) {
        const uint8_t *at = volume->data + (t * file->columns + first) * image->nbyper;
        for (int64_t v = 0; v < out.columns; v++, at += image->nbyper) {
            double value = stored_value(at, image->datatype, image->nbyper, volume->swapped);
            out.data[t * out.ld + v] = (float)(scaled ? image->scl_slope * value + image->scl_inter : value);
        }
    }
    return VG_OK;
}

static void close_nifti(vg_response_file *file)
{
    nifti_volume *volume = file->state;
    if (volume == NULL)
        return;
    vg_file_close(&volume->file);
    if (volume->image != NULL)
        nifti_image_free(volume->image);
    free(volume);
}

const vg_response_format vg_nifti_responses = {
    .name = "NIfTI", .extensions = {".nii", ".nii.gz", ".hdr", ".img"}, .open = open_nifti, .read = read_nifti, .close = close_nifti};

/* ---- labels ---------------------------------------------------------------------------------------------------------------- */

static int compare_numbers(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Distinct numbers other than 0, ascending, in place; how many. */
static int64_t distinct(double *numbers, int64_t count)
{
    int64_t kept = 0;
    qsort(numbers, (size_t)count, sizeof *numbers, compare_numbers);
    for (int64_t i = 0; i < count; i++)
        if (numbers[i] != 0 && (kept == 0 || numbers[i] != numbers[kept - 1]))
            numbers[kept++] = numbers[i];
    return kept;
}

/* The name of a number in a table of lines "number name ..."; the number itself where it has none. */
static vg_status name_of(const char *path, const char *text, size_t size, double number, char **name)
{
    vg_lines lines = {.path = path, .text = text, .size = size};
    while (vg_lines_next(&lines)) {
        char separator = memchr(lines.line, '\t', lines.length) != NULL ? '\t' : memchr(lines.line, ',', lines.length) != NULL ? ',' : ' ';
        const char *field;
        size_t at = 0, length;
        double key;
        if (!vg_field_next(lines.line, lines.length, separator, &at, &field, &length) || !vg_parse_double(field, length, &key) ||
            key != number)
            continue;
        if (vg_field_next(lines.line, lines.length, separator, &at, &field, &length) && length > 0)
            return vg_format(name, "%.*s", (int)(length < 1024 ? length : 1024), field);
    }
    return vg_format(name, "%.17g", number);
}

static vg_status name_labels(const char *table, const double *numbers, vg_atlas *atlas)
{
    char *text = NULL;
    size_t size = 0;
    vg_status status = VG_OK;
    VG_TRY(VG_NEW(&atlas->names, atlas->name_count, "names of labels"));
    VG_TRY(VG_NEW(&atlas->hemispheres, atlas->name_count, "hemispheres of labels"));
    if (table != NULL)
        VG_TRY(vg_text_read(table, &text, &size));
    for (int64_t i = 0; i < atlas->name_count && status == VG_OK; i++)
        status = name_of(table, text, size, numbers[i], &atlas->names[i]);
    free(text);
    return status;
}

static vg_status take_labels(vg_responses *volume, const char *table, float *values, double *numbers, vg_atlas *atlas)
{
    int64_t voxels = vg_responses_voxels(volume);
    if (vg_responses_rows(volume) != 1)
        return vg_fail(VG_INVALID, "an atlas is one volume, not %lld", (long long)vg_responses_rows(volume));
    VG_TRY(vg_responses_read(volume, 0, (vg_matrix){.data = values, .rows = 1, .columns = voxels, .ld = voxels}));
    for (int64_t v = 0; v < voxels; v++) {
        if (values[v] != floorf(values[v]) || fabsf(values[v]) > 1 << 24)
            return vg_fail(VG_INVALID, "voxel %lld of the atlas is %g, which is no label", (long long)v, (double)values[v]);
        numbers[v] = (double)values[v];
    }
    atlas->name_count = distinct(numbers, voxels);
    if (atlas->name_count == 0)
        return vg_fail(VG_INVALID, "the atlas has no labels, only zeros");
    VG_TRY(name_labels(table, numbers, atlas));
    VG_TRY(VG_NEW(&atlas->labels, voxels, "labels"));
    atlas->voxels = voxels;
    for (int64_t v = 0; v < voxels; v++) {
        double key = (double)values[v];
        const double *found = bsearch(&key, numbers, (size_t)atlas->name_count, sizeof key, compare_numbers);
        atlas->labels[v] = found != NULL ? (int32_t)(found - numbers) : -1;
    }
    return VG_OK;
}

vg_status vg_nifti_labels(const char *path, const char *table, vg_atlas *atlas)
{
    vg_responses *volume = NULL;
    float *values = NULL;
    double *numbers = NULL;
    *atlas = (vg_atlas){0};
    VG_TRY(vg_responses_open(&path, 1, NULL, &volume));
    vg_status status = VG_NEW(&values, vg_responses_voxels(volume), "voxels of an atlas");
    if (status == VG_OK)
        status = VG_NEW(&numbers, vg_responses_voxels(volume), "voxels of an atlas");
    if (status == VG_OK) {
        status = take_labels(volume, table, values, numbers, atlas);
        if (status == VG_INVALID)
            vg_fail_within(status, "%s: ", path);
    }
    free(values);
    free(numbers);
    vg_responses_close(volume);
    if (status != VG_OK)
        vg_atlas_free(atlas);
    return status;
}
