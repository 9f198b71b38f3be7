/* gifti: surfaces' functional data and labels through giftiio (Harwell et al. 2008, "GIFTI surface data format"). Functional: T arrays of V
 * values, or one of (V, T). What giftiio prints of a bad file is off; we say it once. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "atlas.h"
#include "gifti_image.h"
#include "gunzip.h"
#include "responses.h"

/* ---- opening ------------------------------------------------------------------------------------------------------------- */

vg_status vg_gifti_open(const char *path, gifti_image **image)
{
    vg_gunzipped plain;
    vg_file file;
    VG_TRY(vg_file_open(path, &file)); /* says why a file cannot be read */
    vg_file_close(&file);
    VG_TRY(vg_gunzip(path, &plain));
    vg_status status = vg_file_open(plain.path, &file);
    if (status == VG_OK)
        status = vg_gifti_check(path, &file);
    vg_file_close(&file);
    if (status == VG_OK) {
        gifti_set_verb(0);
        *image = gifti_read_image(plain.path, 1);
    }
    vg_gunzip_close(&plain);
    VG_TRY(status);
    if (*image == NULL)
        return vg_fail(VG_INVALID, "%s: cannot be read as GIFTI: is it cut off?", path);
    bool whole = (*image)->numDA > 0 && (*image)->darray != NULL;
    for (int i = 0; whole && i < (*image)->numDA; i++)
        whole = (*image)->darray[i] != NULL && (*image)->darray[i]->data != NULL && (*image)->darray[i]->nvals > 0;
    if (whole)
        return VG_OK;
    gifti_free_image(*image);
    *image = NULL;
    return vg_fail(VG_INVALID, "%s: has no data, or is cut off", path);
}

/* Not gifti_get_meta_value: that takes for granted that every value has a name. */
static const char *structure_of(const giiMetaData *meta)
{
    for (int i = 0; i < meta->length; i++)
        if (meta->name[i] != NULL && strcmp(meta->name[i], "AnatomicalStructurePrimary") == 0)
            return meta->value[i];
    return NULL;
}

/* The structure that a file says it holds, else what its name says. */
static char hemisphere_of(const char *path, const gifti_image *image)
{
    const char *structure = structure_of(&image->meta);
    if (structure == NULL)
        structure = structure_of(&image->darray[0]->meta);
    if (structure != NULL && strcasecmp(structure, "CortexLeft") == 0)
        return 'L';
    if (structure != NULL && strcasecmp(structure, "CortexRight") == 0)
        return 'R';
    return vg_hemisphere_of(path);
}

/* ---- functional ------------------------------------------------------------------------------------------------------------ */

static vg_status check_arrays(vg_response_file *file, const gifti_image *image)
{
    const giiDataArray *first = image->darray[0];
    bool table = image->numDA == 1 && first->num_dim == 2;
    for (int i = 0; i < image->numDA; i++) {
        const giiDataArray *array = image->darray[i];
        if (array->intent == NIFTI_INTENT_POINTSET || array->intent == NIFTI_INTENT_TRIANGLE)
            return vg_fail(VG_INVALID, "%s: holds a surface, not responses", file->path);
        if (!(table || array->num_dim == 1 || (array->num_dim == 2 && array->dims[1] == 1)) || array->dims[0] != first->dims[0])
            return vg_fail(VG_INVALID, "%s: array %d has another shape than one value for each of %d vertices", file->path, i + 1,
                           first->dims[0]);
    }
    file->columns = first->dims[0];
    file->rows = table ? first->dims[1] : image->numDA;
    return VG_OK;
}

static vg_status open_gifti(vg_response_file *file)
{
    gifti_image *image = NULL;
    VG_TRY(vg_gifti_open(file->path, &image));
    file->state = image;
    VG_TRY(check_arrays(file, image));
    if (gifti_convert_to_float(image) != 0)
        return vg_fail(VG_INVALID, "%s: holds no numbers that can be read as float32", file->path);
    file->surface = true;
    file->hemisphere = hemisphere_of(file->path, image);
    return VG_OK;
}

static vg_status read_gifti(const vg_response_file *file, int64_t first, vg_matrix out)
{
    const gifti_image *image = file->state;
    const giiDataArray *table = image->darray[0];
    bool by_vertex = image->numDA == 1 && table->ind_ord == GIFTI_IND_ORD_ROW_MAJOR; /* (V, T), T fastest */
    for (int64_t t = 0; t < out.rows; t++) {
        const float *values = image->numDA > 1 ? image->darray[t]->data : table->data;
        for (int64_t v = 0; v < out.columns; v++) {
            int64_t vertex = first + v;
            int64_t at = image->numDA > 1 ? vertex : by_vertex ? vertex * file->rows + t : t * file->columns + vertex;
            out.data[t * out.ld + v] = values[at];
        }
    }
    return VG_OK;
}

static void close_gifti(vg_response_file *file)
{
    gifti_free_image(file->state);
}

const vg_response_format vg_gifti_responses = {
    .name = "GIFTI", .extensions = {".gii", ".gii.gz"}, .open = open_gifti, .read = read_gifti, .close = close_gifti};

/* ---- labels ---------------------------------------------------------------------------------------------------------------- */

static vg_status take_labels(const char *path, const gifti_image *image, vg_atlas *atlas)
{
    const giiLabelTable *table = &image->labeltable;
    const giiDataArray *array = image->darray[0];
    if (array->datatype != NIFTI_TYPE_INT32 || array->num_dim < 1 || array->nvals != array->dims[0] || table->length < 1)
        return vg_fail(VG_INVALID, "%s: does not hold labels: one whole number for each vertex, and a table of names", path);
    atlas->voxels = array->nvals;
    VG_TRY(VG_NEW(&atlas->labels, atlas->voxels, "labels"));
    VG_TRY(VG_NEW(&atlas->names, table->length, "names of labels"));
    VG_TRY(VG_NEW(&atlas->hemispheres, table->length, "hemispheres of labels"));
    atlas->name_count = table->length;
    for (int i = 0; i < table->length; i++) {
        VG_TRY(vg_format(&atlas->names[i], "%s", table->label[i] != NULL ? table->label[i] : ""));
        atlas->hemispheres[i] = hemisphere_of(path, image);
    }
    for (int64_t v = 0; v < atlas->voxels; v++) {
        int32_t key = ((const int32_t *)array->data)[v];
        atlas->labels[v] = -1;
        for (int i = 0; i < table->length && atlas->labels[v] < 0; i++)
            atlas->labels[v] = table->key[i] == key ? i : -1;
    }
    return VG_OK;
}

vg_status vg_gifti_labels(const char *path, const char *table, vg_atlas *atlas)
{
    gifti_image *image = NULL;
    (void)table;
    *atlas = (vg_atlas){0};
    VG_TRY(vg_gifti_open(path, &image));
    vg_status status = take_labels(path, image, atlas);
    gifti_free_image(image);
    if (status != VG_OK)
        vg_atlas_free(atlas);
    return status;
}
