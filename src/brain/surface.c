/* surface: the mesh that vertices lie on, as FreeSurfer keeps it (lh.inflated: triangles, big-endian; FreeSurfer wiki,
 * "TriangleSurfaceFileFormat") or as GIFTI (a pointset and a triangle array). Known apart by their first bytes, since FreeSurfer's files
 * have no extension. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "gifti_image.h"
#include "voxgrad/brain.h"

void vg_surface_free(vg_surface *surface)
{
    free(surface->position);
    free(surface->face);
    *surface = (vg_surface){0};
}

static vg_status allocate(const char *path, int64_t vertices, int64_t faces, vg_surface *surface)
{
    if (vertices < 3 || faces < 1 || vertices > INT32_MAX || faces > INT32_MAX)
        return vg_fail(VG_INVALID, "%s: has %lld vertices and %lld triangles: is it cut off, or no surface?", path, (long long)vertices,
                       (long long)faces);
    surface->vertices = vertices;
    surface->faces = faces;
    VG_TRY(VG_NEW(&surface->position, 3 * vertices, "vertices of a surface"));
    return VG_NEW(&surface->face, 3 * faces, "triangles of a surface");
}

static vg_status check(const char *path, const vg_surface *surface)
{
    for (int64_t i = 0; i < 3 * surface->faces; i++)
        if (surface->face[i] < 0 || surface->face[i] >= surface->vertices)
            return vg_fail(VG_INVALID, "%s: triangle %lld has vertex %d of %lld", path, (long long)(i / 3), surface->face[i],
                           (long long)surface->vertices);
    for (int64_t i = 0; i < 3 * surface->vertices; i++)
        if (!isfinite(surface->position[i]))
            return vg_fail(VG_INVALID, "%s: vertex %lld has a position that is not finite", path, (long long)(i / 3));
    return VG_OK;
}

/* ---- FreeSurfer --------------------------------------------------------------------------------------------------------------- */

static uint32_t big_endian(const uint8_t *b)
{
    return (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
}

/* Magic number, a line of comment and an empty one, two counts, then positions (float32) and triangles (int32). */
static vg_status read_freesurfer(const char *path, const vg_file *file, vg_surface *surface)
{
    const uint8_t *end = file->data + file->size, *at = memmem(file->data + 3, file->size - 3, "\n\n", 2);
    if (at == NULL || end - at < 10)
        return vg_fail(VG_INVALID, "%s: ends within its head: is it cut off?", path);
    at += 2;
    int64_t vertices = (int32_t)big_endian(at), faces = (int32_t)big_endian(at + 4);
    at += 8;
    if (vertices < 0 || faces < 0 || (end - at) / 12 < vertices + faces)
        return vg_fail(VG_INVALID, "%s: %lld vertices and %lld triangles do not fit into the file: is it cut off?", path,
                       (long long)vertices, (long long)faces);
    VG_TRY(allocate(path, vertices, faces, surface));
    for (int64_t i = 0; i < 3 * vertices; i++, at += 4) {
        uint32_t bits = big_endian(at);
        memcpy(&surface->position[i], &bits, sizeof bits);
    }
    for (int64_t i = 0; i < 3 * faces; i++, at += 4)
        surface->face[i] = (int32_t)big_endian(at);
    return VG_OK;
}

/* ---- GIFTI --------------------------------------------------------------------------------------------------------------------- */

static const giiDataArray *find_array(const gifti_image *image, int intent, int type)
{
    for (int i = 0; i < image->numDA; i++) {
        const giiDataArray *array = image->darray[i];
        if (array->intent == intent && array->datatype == type && array->num_dim == 2 && array->dims[1] == 3 &&
            array->ind_ord == GIFTI_IND_ORD_ROW_MAJOR)
            return array;
    }
    return NULL;
}

static vg_status read_gifti(const char *path, vg_surface *surface)
{
    gifti_image *image = NULL;
    VG_TRY(vg_gifti_open(path, &image));
    const giiDataArray *points = find_array(image, NIFTI_INTENT_POINTSET, NIFTI_TYPE_FLOAT32);
    const giiDataArray *triangles = find_array(image, NIFTI_INTENT_TRIANGLE, NIFTI_TYPE_INT32);
    vg_status status = VG_OK;
    if (points == NULL || triangles == NULL)
        status = vg_fail(VG_INVALID, "%s: holds no surface: a pointset (float32) and a triangle array (int32), three columns each", path);
    else
        status = allocate(path, points->dims[0], triangles->dims[0], surface);
    if (status == VG_OK && points != NULL && triangles != NULL) {
        memcpy(surface->position, points->data, 3 * (size_t)surface->vertices * sizeof *surface->position);
        memcpy(surface->face, triangles->data, 3 * (size_t)surface->faces * sizeof *surface->face);
    }
    gifti_free_image(image);
    return status;
}

static bool ends_in(const char *path, const char *end)
{
    size_t length = strlen(path), wanted = strlen(end);
    return length >= wanted && strcasecmp(path + length - wanted, end) == 0;
}

vg_status vg_surface_open(const char *path, vg_surface *surface)
{
    vg_file file;
    *surface = (vg_surface){0};
    VG_TRY(vg_file_open(path, &file));
    vg_status status;
    if (file.size > 3 && memcmp(file.data, "\xff\xff\xfe", 3) == 0)
        status = read_freesurfer(path, &file, surface);
    else if (ends_in(path, ".gii") || ends_in(path, ".gii.gz"))
        status = read_gifti(path, surface);
    else
        status = vg_fail(VG_INVALID, "%s: is no surface: neither FreeSurfer's triangles (lh.inflated) nor GIFTI (.gii, .gii.gz)", path);
    vg_file_close(&file);
    if (status == VG_OK)
        status = check(path, surface);
    if (status != VG_OK)
        vg_surface_free(surface);
    return status;
}
