/* responses: the table of formats; the files of one run side by side, a mask over them; which voxels can be fitted; do the rows fit. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "responses.h"

static const vg_response_format *const formats[] = {&vg_text_responses,  &vg_npy_responses,   &vg_hdf5_responses,
                                                    &vg_gifti_responses, &vg_nifti_responses, NULL};

typedef struct {
    const vg_response_format *format;
    vg_response_file file;
    char *path;
} run_part;

struct vg_responses {
    int64_t rows, columns; /* all columns of all files */
    run_part *parts;
    int64_t part_count;
    int64_t *chosen; /* (voxels) columns that the mask leaves; NULL: all */
    int64_t voxels;
    const char **names;
};

/* Whether path ends in extension, or (HDF5) has it before a colon. */
static bool has_extension(const char *path, const char *extension)
{
    size_t length = strlen(extension);
    const char *colon = strrchr(path, ':');
    size_t size = strlen(path), before = colon != NULL ? (size_t)(colon - path) : size;
    return (size >= length && strcasecmp(path + size - length, extension) == 0) ||
           (before >= length && strncasecmp(path + before - length, extension, length) == 0);
}

static vg_status find_format(const char *path, const vg_response_format **format)
{
    char known[512];
    size_t used = 0;
    for (const vg_response_format *const *f = formats; *f != NULL; f++)
        for (const char *const *e = (*f)->extensions; *e != NULL; e++) {
            if (has_extension(path, *e)) {
                *format = *f;
                return VG_OK;
            }
            used += (size_t)snprintf(known + used, sizeof known - used, " %s", *e);
        }
    return vg_fail(VG_INVALID, "%s: is not of a known format; those there are end in%s", path, known);
}

static vg_status open_part(const char *path, run_part *part)
{
    VG_TRY(vg_format(&part->path, "%s", path));
    part->file.path = part->path;
    VG_TRY(find_format(path, &part->format));
    return part->format->open(&part->file);
}

static void close_part(run_part *part)
{
    if (part->format != NULL && part->file.state != NULL)
        part->format->close(&part->file);
    free(part->path);
}

static vg_status open_parts(const char *const *paths, int64_t count, vg_responses *responses)
{
    VG_TRY(VG_NEW(&responses->parts, count, "files"));
    responses->part_count = count;
    for (int64_t i = 0; i < count; i++) {
        run_part *part = &responses->parts[i];
        VG_TRY(open_part(paths[i], part));
        if (i > 0 && part->file.rows != responses->rows)
            return vg_fail(VG_INVALID, "%s: has %lld rows, but %s beside it has %lld", paths[i], (long long)part->file.rows, paths[0],
                           (long long)responses->rows);
        responses->rows = part->file.rows;
        responses->columns += part->file.columns;
    }
    responses->voxels = responses->columns;
    return VG_OK;
}

/* ---- reading ------------------------------------------------------------------------------------------------------------ */

static const run_part *part_of(const vg_responses *responses, int64_t column, int64_t *within)
{
    const run_part *part = responses->parts;
    while (column >= part->file.columns)
        column -= part++->file.columns;
    *within = column;
    return part;
}

int64_t vg_responses_columns(const vg_responses *responses)
{
    return responses->columns;
}

int64_t vg_responses_column(const vg_responses *responses, int64_t v)
{
    return responses->chosen != NULL ? responses->chosen[v] : v;
}

/* Columns first .. of all files, whatever the mask. */
static vg_status read_columns(const vg_responses *responses, int64_t first, vg_matrix out)
{
    for (int64_t done = 0; done < out.columns;) {
        int64_t within;
        const run_part *part = part_of(responses, first + done, &within);
        int64_t left = part->file.columns - within, columns = left < out.columns - done ? left : out.columns - done;
        vg_matrix piece = {.data = out.data + done, .rows = out.rows, .columns = columns, .ld = out.ld};
        VG_TRY(part->format->read(&part->file, within, piece));
        done += columns;
    }
    return VG_OK;
}

/* Chosen columns: whole spans of up to SPAN columns are read, and what is chosen is picked out of them. */
static vg_status read_chosen(const vg_responses *responses, int64_t first, vg_matrix out)
{
    enum { SPAN = 1024 };
    float *span;
    VG_TRY(VG_NEW(&span, responses->rows * SPAN, "numbers of a span of voxels"));
    vg_status status = VG_OK;
    for (int64_t done = 0; done < out.columns;) {
        const int64_t *chosen = responses->chosen + first + done;
        int64_t count = 1;
        while (done + count < out.columns && chosen[count] - chosen[0] < SPAN)
            count++;
        vg_matrix whole = {.data = span, .rows = out.rows, .columns = chosen[count - 1] - chosen[0] + 1, .ld = SPAN};
        VG_GO(read_columns(responses, chosen[0], whole));
        for (int64_t t = 0; t < out.rows; t++)
            for (int64_t v = 0; v < count; v++)
                out.data[t * out.ld + done + v] = span[t * SPAN + chosen[v] - chosen[0]];
        done += count;
    }
done:
    free(span);
    return status;
}

vg_status vg_responses_read(vg_responses *responses, int64_t first, vg_matrix out)
{
    if (out.rows != responses->rows || first < 0 || out.columns < 0 || out.columns > responses->voxels - first || out.ld < out.columns)
        return vg_fail(VG_INVALID, "%s: columns %lld .. %lld of %lld rows are not there (it has %lld x %lld)", responses->parts[0].path,
                       (long long)first, (long long)(first + out.columns - 1), (long long)out.rows, (long long)responses->rows,
                       (long long)responses->voxels);
    return responses->chosen != NULL ? read_chosen(responses, first, out) : read_columns(responses, first, out);
}

/* ---- opening ------------------------------------------------------------------------------------------------------------ */

/* The mask: one row with as many columns as the responses, or as many rows with one column. */
static vg_status choose_columns(const char *mask, vg_responses *responses)
{
    vg_responses *flags = NULL;
    float *values = NULL;
    vg_status status = VG_OK;
    VG_TRY(vg_responses_open(&mask, 1, NULL, &flags));
    int64_t rows = flags->rows, columns = flags->columns;
    if (!((rows == 1 && columns == responses->columns) || (columns == 1 && rows == responses->columns))) {
        status = vg_fail(VG_INVALID, "%s: is a mask of %lld x %lld, but %s has %lld voxels", mask, (long long)rows, (long long)columns,
                         responses->parts[0].path, (long long)responses->columns);
        goto done;
    }
    VG_GO(VG_NEW(&values, rows * columns, "numbers of a mask"));
    VG_GO(vg_responses_read(flags, 0, (vg_matrix){.data = values, .rows = rows, .columns = columns, .ld = columns}));
    VG_GO(VG_NEW(&responses->chosen, responses->columns, "voxels of a mask"));
    responses->voxels = 0;
    for (int64_t v = 0; v < responses->columns; v++)
        if (values[v] != 0 && !isnan(values[v]))
            responses->chosen[responses->voxels++] = v;
    if (responses->voxels == 0)
        status = vg_fail(VG_INVALID, "%s: the mask leaves no voxel", mask);
done:
    free(values);
    vg_responses_close(flags);
    return status;
}

/* Names, where every file has them. */
static vg_status gather_names(vg_responses *responses)
{
    for (int64_t i = 0; i < responses->part_count; i++)
        if (responses->parts[i].file.names == NULL)
            return VG_OK;
    VG_TRY(VG_NEW(&responses->names, responses->voxels, "names of columns"));
    for (int64_t v = 0; v < responses->voxels; v++) {
        int64_t within;
        const run_part *part = part_of(responses, vg_responses_column(responses, v), &within);
        responses->names[v] = part->file.names[within];
    }
    return VG_OK;
}

vg_status vg_responses_open(const char *const *paths, int64_t count, const char *mask, vg_responses **responses)
{
    *responses = NULL;
    if (count < 1)
        return vg_fail(VG_INVALID, "a run needs at least one file of responses");
    VG_TRY(VG_NEW(responses, 1, "responses"));
    vg_status status = open_parts(paths, count, *responses);
    if (status == VG_OK && mask != NULL)
        status = choose_columns(mask, *responses);
    if (status == VG_OK)
        status = gather_names(*responses);
    if (status != VG_OK) {
        vg_responses_close(*responses);
        *responses = NULL;
    }
    return status;
}

void vg_responses_close(vg_responses *responses)
{
    if (responses == NULL)
        return;
    for (int64_t i = 0; responses->parts != NULL && i < responses->part_count; i++)
        close_part(&responses->parts[i]);
    free(responses->parts);
    free(responses->chosen);
    free(responses->names);
    free(responses);
}

int64_t vg_responses_rows(const vg_responses *responses)
{
    return responses->rows;
}

int64_t vg_responses_voxels(const vg_responses *responses)
{
    return responses->voxels;
}

const char *const *vg_responses_names(const vg_responses *responses)
{
    return responses->names;
}

vg_voxel vg_responses_voxel(const vg_responses *responses, int64_t v)
{
    int64_t within;
    const run_part *part = part_of(responses, vg_responses_column(responses, v), &within);
    const int64_t *dimensions = part->file.space.dimensions;
    vg_voxel voxel = {.vertex = -1, .i = -1, .j = -1, .k = -1};
    if (part->file.surface) {
        voxel.hemisphere = part->file.hemisphere;
        voxel.vertex = (int32_t)within;
    } else if (dimensions[0] > 0) {
        voxel.i = (int32_t)(within % dimensions[0]);
        voxel.j = (int32_t)(within / dimensions[0] % dimensions[1]);
        voxel.k = (int32_t)(within / dimensions[0] / dimensions[1]);
    }
    return voxel;
}

vg_space vg_responses_space(const vg_responses *responses)
{
    vg_space space = {0};
    for (int64_t i = 0; i < responses->part_count; i++) {
        const vg_response_file *file = &responses->parts[i].file;
        if (file->surface && file->hemisphere != '\0')
            space.vertices[file->hemisphere == 'R'] = file->columns;
        if (file->space.dimensions[0] > 0) {
            memcpy(space.dimensions, file->space.dimensions, sizeof space.dimensions);
            memcpy(space.affine, file->space.affine, sizeof space.affine);
        }
    }
    return space;
}

/* ---- what can be fitted --------------------------------------------------------------------------------------------------- */

void vg_voxels_judge(vg_matrix run, uint8_t *states)
{
#pragma omp parallel for schedule(static)
    for (int64_t v = 0; v < run.columns; v++) {
        bool finite = true, constant = true;
        for (int64_t t = 0; t < run.rows; t++) {
            float value = run.data[t * run.ld + v];
            finite = finite && isfinite(value);
            constant = constant && value == run.data[v];
        }
        uint8_t state = !finite ? VG_VOXEL_NOT_FINITE : constant ? VG_VOXEL_CONSTANT : VG_VOXEL_USABLE;
        states[v] = states[v] > state ? states[v] : state;
    }
}

vg_voxel_counts vg_voxels_count(const uint8_t *states, int64_t voxels)
{
    vg_voxel_counts counts = {0};
    for (int64_t v = 0; v < voxels; v++) {
        counts.usable += states[v] == VG_VOXEL_USABLE;
        counts.constant += states[v] == VG_VOXEL_CONSTANT;
        counts.not_finite += states[v] == VG_VOXEL_NOT_FINITE;
    }
    return counts;
}

int64_t vg_rows_needed(const double *onset, int64_t words, double start, double tr)
{
    double last = -1;
    for (int64_t n = 0; n < words; n++) {
        double row = floor((onset[n] - start) / tr);
        last = row > last ? row : last;
    }
    return last < 1e15 ? (int64_t)last + 1 : INT64_MAX;
}

vg_status vg_rows_check(const char *what, int64_t rows, int64_t needed, int64_t slack)
{
    if (rows - needed <= slack && needed - rows <= slack)
        return VG_OK;
    return vg_fail(VG_INVALID, "%s: has %lld rows, but its story's words need %lld; check `tr`, `start` and the pairing of story and run",
                   what, (long long)rows, (long long)needed);
}
