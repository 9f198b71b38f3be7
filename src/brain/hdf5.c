/* hdf5: a dataset (T, V) of an HDF5 file, named FILE.h5:/path; read by hyperslabs, so that what is not asked for is not read.
 * HDF5's own error printing is off while it works: what went wrong is said once, in our words. */
#include <hdf5.h>
#include <stdlib.h>
#include <string.h>

#include "responses.h"

typedef struct {
    char *path; /* of the file; the dataset's name follows its NUL */
    hid_t file, dataset;
} hdf5_source;

typedef struct {
    H5E_auto2_t function;
    void *data;
} printing;

static printing hush(void)
{
    printing before = {0};
    H5Eget_auto2(H5E_DEFAULT, &before.function, &before.data);
    H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
    return before;
}

static void speak(printing before)
{
    H5Eset_auto2(H5E_DEFAULT, before.function, before.data);
}

typedef struct {
    char text[1024];
    size_t used;
} listing;

static herr_t list_one(hid_t object, const char *name, const H5O_info_t *about, void *data)
{
    (void)object;
    listing *list = data;
    if (about->type == H5O_TYPE_DATASET && list->used < sizeof list->text)
        list->used +=
            (size_t)snprintf(list->text + list->used, sizeof list->text - list->used, "%s/%.100s", list->used > 0 ? ", " : "", name);
    return 0;
}

static vg_status no_dataset(const hdf5_source *source, const char *name)
{
    listing list = {.text = ""};
    H5Ovisit2(source->file, H5_INDEX_NAME, H5_ITER_INC, list_one, &list, H5O_INFO_BASIC);
    if (name == NULL)
        return vg_fail(VG_INVALID, "%s: say which dataset is meant, as %s:/NAME; it has %s", source->path, source->path,
                       list.used > 0 ? list.text : "none");
    return vg_fail(VG_INVALID, "%s: has no dataset %s; it has %s", source->path, name, list.used > 0 ? list.text : "none");
}

/* Shape and kind of numbers. */
static vg_status check_dataset(vg_response_file *file, const hdf5_source *source)
{
    hsize_t shape[2] = {0};
    hid_t space = H5Dget_space(source->dataset), type = H5Dget_type(source->dataset);
    H5T_class_t kind = H5Tget_class(type);
    int dimensions = H5Sget_simple_extent_ndims(space);
    if (dimensions == 2)
        H5Sget_simple_extent_dims(space, shape, NULL);
    H5Tclose(type);
    H5Sclose(space);
    if (dimensions != 2 || shape[0] == 0 || shape[1] == 0 || shape[0] > INT32_MAX || shape[1] > INT64_MAX / 8)
        return vg_fail(VG_INVALID, "%s: is not a table of volumes x voxels (it has %d dimensions)", file->path, dimensions);
    if (kind != H5T_FLOAT && kind != H5T_INTEGER)
        return vg_fail(VG_INVALID, "%s: does not hold numbers", file->path);
    file->rows = (int64_t)shape[0];
    file->columns = (int64_t)shape[1];
    return VG_OK;
}

static vg_status open_dataset(vg_response_file *file, hdf5_source *source, const char *name)
{
    hid_t access = H5Pcreate(H5P_FILE_ACCESS); /* no locks of HDF5's own, as everywhere in voxgrad: a file is opened in one way only */
#if H5_VERSION_GE(1, 10, 7)
    H5Pset_file_locking(access, false, true);
#endif
    source->file = H5Fopen(source->path, H5F_ACC_RDONLY, access);
    H5Pclose(access);
    if (source->file < 0)
        return vg_fail(VG_INVALID, "%s: cannot be read as HDF5 (not there, cut off, or open for writing elsewhere)", source->path);
    if (name != NULL)
        source->dataset = H5Dopen2(source->file, name, H5P_DEFAULT);
    if (source->dataset < 0)
        return no_dataset(source, name);
    return check_dataset(file, source);
}

static vg_status open_hdf5(vg_response_file *file)
{
    hdf5_source *source;
    VG_TRY(VG_NEW(&source, 1, "HDF5 file"));
    source->file = source->dataset = H5I_INVALID_HID;
    file->state = source;
    VG_TRY(vg_format(&source->path, "%s", file->path));
    char *colon = strstr(source->path, ":/");
    const char *name = colon != NULL ? colon + 1 : NULL;
    if (colon != NULL)
        *colon = '\0';
    printing before = hush();
    vg_status status = open_dataset(file, source, name);
    speak(before);
    return status;
}

static vg_status read_hdf5(const vg_response_file *file, int64_t first, vg_matrix out)
{
    const hdf5_source *source = file->state;
    hsize_t start[2] = {0, (hsize_t)first}, count[2] = {(hsize_t)out.rows, (hsize_t)out.columns};
    hsize_t origin[2] = {0, 0}, memory_shape[2] = {(hsize_t)out.rows, (hsize_t)out.ld};
    printing before = hush();
    hid_t space = H5Dget_space(source->dataset), memory = H5Screate_simple(2, memory_shape, NULL);
    bool done = H5Sselect_hyperslab(space, H5S_SELECT_SET, start, NULL, count, NULL) >= 0 &&
                H5Sselect_hyperslab(memory, H5S_SELECT_SET, origin, NULL, count, NULL) >= 0 &&
                H5Dread(source->dataset, H5T_NATIVE_FLOAT, memory, space, H5P_DEFAULT, out.data) >= 0;
    H5Sclose(memory);
    H5Sclose(space);
    speak(before);
    return done ? VG_OK : vg_fail(VG_INVALID, "%s: cannot be read (cut off, or a filter that is not there)", file->path);
}

static void close_hdf5(vg_response_file *file)
{
    hdf5_source *source = file->state;
    if (source == NULL)
        return;
    if (source->dataset >= 0)
        H5Dclose(source->dataset);
    if (source->file >= 0)
        H5Fclose(source->file);
    free(source->path);
    free(source);
}

const vg_response_format vg_hdf5_responses = {
    .name = "HDF5", .extensions = {".h5", ".hdf5", ".hf5"}, .open = open_hdf5, .read = read_hdf5, .close = close_hdf5};
