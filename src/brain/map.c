/* map: scores on the surface or in the volume that they belong to, for the field's viewers. NaN where there is no voxel. */
#include <errno.h>
#include <gifti_io.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "map.h"

/* Places map m of the voxels at `places` (-1: not in this file) into `out` of `size` values. */
static void place(vg_matrix maps, int64_t m, const int64_t *places, float *out, int64_t size)
{
    for (int64_t i = 0; i < size; i++)
        out[i] = NAN;
    for (int64_t v = 0; v < maps.columns; v++)
        if (places[v] >= 0)
            out[places[v]] = maps.data[m * maps.ld + v];
}

/* ---- GIFTI -------------------------------------------------------------------------------------------------------------------- */

static vg_status find_vertices(const char *path, const vg_voxel *voxels, int64_t count, char hemisphere, int64_t vertices, int64_t *places)
{
    int64_t found = 0;
    for (int64_t v = 0; v < count; v++) {
        bool here = voxels[v].hemisphere == hemisphere;
        if (here && (voxels[v].vertex < 0 || voxels[v].vertex >= vertices))
            return vg_fail(VG_INVALID, "%s: vertex %d is not one of %lld", path, voxels[v].vertex, (long long)vertices);
        places[v] = here ? voxels[v].vertex : -1;
        found += here;
    }
    return found > 0 ? VG_OK : vg_fail(VG_INVALID, "%s: no voxel lies in this hemisphere", path);
}

static vg_status write_gifti(const char *path, char hemisphere, int64_t vertices, const int64_t *places, vg_matrix maps,
                             const char *const *names)
{
    int dimensions[GIFTI_DARRAY_DIM_LEN] = {(int)vertices};
    gifti_set_verb(0);
    gifti_image *image = gifti_create_image((int)maps.rows, NIFTI_INTENT_SHAPE, NIFTI_TYPE_FLOAT32, 1, dimensions, 1);
    if (image == NULL)
        return vg_fail(VG_NO_MEMORY, "%s: no memory for %lld maps of %lld vertices", path, (long long)maps.rows, (long long)vertices);
    gifti_add_to_meta(&image->meta, "AnatomicalStructurePrimary", hemisphere == 'L' ? "CortexLeft" : "CortexRight", 1);
    for (int m = 0; m < (int)maps.rows; m++) {
        giiDataArray *array = image->darray[m];
        array->encoding = GIFTI_ENCODING_B64GZ;
        gifti_add_to_meta(&array->meta, "Name", names[m], 1);
        place(maps, m, places, array->data, vertices);
    }
    errno = 0;
    int fault = gifti_write_image(image, path, 1);
    gifti_free_image(image);
    if (fault != 0)
        return vg_fail(errno == ENOSPC ? VG_NO_SPACE : VG_INVALID, "%s: cannot be written: %s", path, strerror(errno));
    return VG_OK;
}

/* ---- both ------------------------------------------------------------------------------------------------------------------------ */

static vg_status find_voxels(const char *path, const vg_space *space, const vg_voxel *voxels, int64_t count, int64_t *places)
{
    const int64_t *n = space->dimensions;
    for (int64_t v = 0; v < count; v++) {
        int64_t i = voxels[v].i, j = voxels[v].j, k = voxels[v].k;
        if (i < 0 || j < 0 || k < 0 || i >= n[0] || j >= n[1] || k >= n[2])
            return vg_fail(VG_INVALID, "%s: voxel %lld %lld %lld is not in a volume of %lld x %lld x %lld", path, (long long)i,
                           (long long)j, (long long)k, (long long)n[0], (long long)n[1], (long long)n[2]);
        places[v] = i + n[0] * (j + n[1] * k);
    }
    return VG_OK;
}

static vg_status write_volume(const char *path, const vg_space *space, const int64_t *places, vg_matrix maps)
{
    const int64_t *n = space->dimensions;
    int64_t voxels, all;
    float *values;
    VG_TRY(vg_multiply(n[0], n[1], path, &voxels));
    VG_TRY(vg_multiply(voxels, n[2], path, &voxels));
    VG_TRY(vg_multiply(voxels, maps.rows, path, &all));
    VG_TRY(VG_NEW(&values, all, "voxels of maps"));
    for (int64_t m = 0; m < maps.rows; m++)
        place(maps, m, places, values + m * voxels, voxels);
    vg_status status = vg_nifti_write(path, space, values, maps.rows);
    free(values);
    return status;
}

static bool ends_in(const char *path, const char *extension)
{
    size_t length = strlen(extension), size = strlen(path);
    return size >= length && strcasecmp(path + size - length, extension) == 0;
}

vg_status vg_map_write(const char *path, const vg_space *space, char hemisphere, const vg_voxel *voxels, vg_matrix maps,
                       const char *const *names)
{
    bool surface = ends_in(path, ".gii"), volume = ends_in(path, ".nii") || ends_in(path, ".nii.gz");
    int64_t *places;
    if (!surface && !volume)
        return vg_fail(VG_INVALID, "%s: maps are written as .gii, .nii or .nii.gz", path);
    if (surface && hemisphere != 'L' && hemisphere != 'R')
        return vg_fail(VG_INVALID, "%s: a surface's map is of the left or of the right hemisphere", path);
    if (maps.rows < 1 || maps.columns < 1 || maps.rows > INT32_MAX)
        return vg_fail(VG_INVALID, "%s: there is nothing to write", path);
    VG_TRY(VG_NEW(&places, maps.columns, "places of voxels"));
    vg_status status;
    if (surface) {
        int64_t vertices = space->vertices[hemisphere == 'R'];
        status = find_vertices(path, voxels, maps.columns, hemisphere, vertices, places);
        if (status == VG_OK)
            status = write_gifti(path, hemisphere, vertices, places, maps, names);
    } else {
        status = find_voxels(path, space, voxels, maps.columns, places);
        if (status == VG_OK)
            status = write_volume(path, space, places, maps);
    }
    free(places);
    return status;
}
