/* build: makes the HDF5 file of a layout. All groups, attributes and contiguous datasets at once and allocated early, without
 * times, in the earliest format: afterwards only raw data change, in place, so that a killed run's file opens (architecture.md,
 * "Files") and its bytes do not depend on who wrote them. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "h5.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "data go to the file as they lie in memory: little-endian");

enum { ALIGN_FROM = 1 << 16, ALIGNMENT = 4096 }; /* datasets of 64 kB and more begin at a page */

void vg_h5_quiet(void)
{
    H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
}

static herr_t keep_innermost(unsigned n, const H5E_error2_t *error, void *words)
{
    if (n == 0)
        snprintf(words, 256, "%s", error->desc);
    return 0;
}

vg_status vg_h5_fail(vg_status status, const char *file, const char *object, const char *what)
{
    char words[256] = "no more is known";
    int code = errno;
    H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, keep_innermost, words);
    H5Eclear2(H5E_DEFAULT);
    bool full = strstr(words, "errno = 28,") != NULL || strstr(words, "errno = 122,") != NULL || code == ENOSPC || code == EDQUOT;
    return vg_fail(full ? VG_NO_SPACE : status, "%s: %s%s%s (HDF5: %s)", file, object != NULL ? object : "", object != NULL ? ": " : "",
                   full ? "the disk is full" : what, words);
}

hid_t vg_h5_access(void)
{
    hid_t access = H5Pcreate(H5P_FILE_ACCESS);
    H5Pset_fapl_sec2(access);
    H5Pset_libver_bounds(access, H5F_LIBVER_EARLIEST, H5F_LIBVER_V18);
    H5Pset_fclose_degree(access, H5F_CLOSE_STRONG);
    H5Pset_alignment(access, ALIGN_FROM, ALIGNMENT);
#if H5_VERSION_GE(1, 10, 7)
    H5Pset_file_locking(access, false, true);
#endif
    return access;
}

hid_t vg_h5_type(vg_store_type type, size_t size)
{
    hid_t made;
    switch (type) {
    case VG_STORE_F32:
        return H5Tcopy(H5T_IEEE_F32LE);
    case VG_STORE_F64:
        return H5Tcopy(H5T_IEEE_F64LE);
    case VG_STORE_U8:
        return H5Tcopy(H5T_STD_U8LE);
    case VG_STORE_I32:
        return H5Tcopy(H5T_STD_I32LE);
    case VG_STORE_I64:
        return H5Tcopy(H5T_STD_I64LE);
    case VG_STORE_TEXT:
        made = H5Tcopy(H5T_C_S1);
        H5Tset_size(made, size);
        H5Tset_strpad(made, H5T_STR_NULLPAD);
        H5Tset_cset(made, H5T_CSET_UTF8);
        return made;
    case VG_STORE_TABLE:
        break;
    }
    return H5I_INVALID_HID;
}

static hid_t entry_type(const vg_layout_entry *entry)
{
    if (entry->type != VG_STORE_TABLE)
        return vg_h5_type(entry->type, entry->element);
    hid_t table = H5Tcreate(H5T_COMPOUND, entry->element);
    for (int64_t m = 0; m < entry->member_count; m++) {
        hid_t type = vg_h5_type(entry->members[m].type, entry->members[m].size);
        H5Tinsert(table, entry->members[m].name, entry->members[m].offset, type);
        H5Tclose(type);
    }
    return table;
}

/* A file while it is built: property lists made once. */
typedef struct {
    const char *path;
    bool measuring; /* in memory, names only */
    hid_t file, link, data, group, attribute;
} builder;

static void begin_lists(builder *b)
{
    b->link = H5Pcreate(H5P_LINK_CREATE);
    H5Pset_create_intermediate_group(b->link, 1);
    H5Pset_char_encoding(b->link, H5T_CSET_UTF8);
    b->data = H5Pcreate(H5P_DATASET_CREATE);
    H5Pset_layout(b->data, H5D_CONTIGUOUS);
    H5Pset_alloc_time(b->data, H5D_ALLOC_TIME_EARLY);
    H5Pset_fill_time(b->data, H5D_FILL_TIME_NEVER);
    H5Pset_obj_track_times(b->data, false);
    if (b->measuring)
        H5Pset_alloc_time(b->data, H5D_ALLOC_TIME_LATE);
    b->group = H5Pcreate(H5P_GROUP_CREATE);
    H5Pset_obj_track_times(b->group, false);
    b->attribute = H5Pcreate(H5P_ATTRIBUTE_CREATE);
    H5Pset_char_encoding(b->attribute, H5T_CSET_UTF8);
}

static void end_lists(builder *b)
{
    H5Pclose(b->link);
    H5Pclose(b->data);
    H5Pclose(b->group);
    H5Pclose(b->attribute);
}

/* A dataset of `type`, which is closed here; its data, where given, and its place in the file. */
static vg_status make_dataset(builder *b, const char *path, hid_t type, int dimensions, const int64_t *shape, const void *value,
                              int64_t *offset)
{
    hsize_t extent[VG_STORE_DIMENSIONS];
    bool empty = false;
    for (int d = 0; d < dimensions; d++) {
        extent[d] = (hsize_t)shape[d];
        empty = empty || shape[d] == 0;
    }
    hid_t space = dimensions > 0 ? H5Screate_simple(dimensions, extent, NULL) : H5Screate(H5S_SCALAR);
    hid_t dataset = H5Dcreate2(b->file, path, type, space, b->link, b->data, H5P_DEFAULT);
    bool good = dataset >= 0;
    if (good && value != NULL && !empty)
        good = H5Dwrite(dataset, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, value) >= 0;
    if (good && !b->measuring && offset != NULL) {
        haddr_t at = H5Dget_offset(dataset);
        good = empty || at != HADDR_UNDEF;
        *offset = empty ? 0 : (int64_t)at;
    }
    vg_status status = good ? VG_OK : vg_h5_fail(VG_INVALID, b->path, path, "cannot be made");
    H5Tclose(type);
    H5Sclose(space);
    if (dataset >= 0)
        H5Dclose(dataset);
    return status;
}

static vg_status open_or_make_group(builder *b, const char *path, hid_t *object)
{
    *object = H5Oopen(b->file, path, H5P_DEFAULT);
    if (*object >= 0)
        return VG_OK;
    *object = H5Gcreate2(b->file, path, b->link, b->group, H5P_DEFAULT);
    return *object >= 0 ? VG_OK : vg_h5_fail(VG_INVALID, b->path, path, "cannot be made");
}

static vg_status make_attribute(builder *b, const vg_layout_attribute *a)
{
    hid_t object;
    VG_TRY(open_or_make_group(b, a->path, &object));
    if (a->beside) {
        char *path;
        H5Oclose(object);
        VG_TRY(vg_format(&path, "%s.%s", a->path, a->name));
        vg_status status = make_dataset(b, path, vg_h5_type(a->type, a->element), a->count < 0 ? 0 : 1, &a->count, a->value, NULL);
        free(path);
        return status;
    }
    hsize_t extent = (hsize_t)a->count;
    hid_t type = vg_h5_type(a->type, a->element);
    hid_t space = a->count < 0 ? H5Screate(H5S_SCALAR) : H5Screate_simple(1, &extent, NULL);
    hid_t attribute = H5Acreate2(object, a->name, type, space, b->attribute, H5P_DEFAULT);
    vg_status status = VG_OK;
    if (attribute < 0 || (a->count != 0 && H5Awrite(attribute, type, a->value) < 0)) {
        status = vg_h5_fail(VG_INVALID, b->path, a->path, "an attribute cannot be made");
        status = vg_fail_within(status, "attribute \"%s\": ", a->name);
    }
    if (attribute >= 0)
        H5Aclose(attribute);
    H5Sclose(space);
    H5Tclose(type);
    H5Oclose(object);
    return status;
}

static vg_status make_all(builder *b, const vg_layout *layout, int64_t *offsets)
{
    for (int64_t i = 0; i < layout->entry_count; i++) {
        const vg_layout_entry *entry = &layout->entries[i];
        VG_TRY(make_dataset(b, entry->path, entry_type(entry), entry->dimensions, entry->shape, NULL, &offsets[i]));
    }
    for (int64_t i = 0; i < layout->attribute_count; i++)
        VG_TRY(make_attribute(b, &layout->attributes[i]));
    if (H5Fflush(b->file, H5F_SCOPE_GLOBAL) < 0)
        return vg_h5_fail(VG_INVALID, b->path, NULL, "cannot be written");
    return VG_OK;
}

static vg_status build(builder *b, hid_t access, const vg_layout *layout, int64_t *offsets)
{
    hid_t creation = H5Pcreate(H5P_FILE_CREATE);
    H5Pset_obj_track_times(creation, false);
    errno = 0;
    b->file = H5Fcreate(b->path, H5F_ACC_TRUNC, creation, access);
    H5Pclose(creation);
    if (b->file < 0)
        return vg_h5_fail(VG_INVALID, b->path, NULL, "cannot be made");
    begin_lists(b);
    vg_status status = make_all(b, layout, offsets);
    end_lists(b);
    return status;
}

vg_status vg_h5_measure(const vg_layout *layout, int64_t *bytes)
{
    builder b = {.path = "a file in memory", .measuring = true};
    hsize_t names = 0;
    vg_h5_quiet();
    VG_TRY(vg_layout_check(layout));
    hid_t access = vg_h5_access();
    H5Pset_fapl_core(access, 1 << 16, false);
    vg_status status = build(&b, access, layout, NULL);
    H5Pclose(access);
    if (b.file >= 0) {
        H5Fget_filesize(b.file, &names);
        H5Fclose(b.file);
    }
    VG_TRY(status);
    *bytes = (int64_t)names;
    for (int64_t i = 0; i < layout->entry_count; i++)
        if (__builtin_add_overflow(*bytes, layout->entries[i].bytes, bytes) || __builtin_add_overflow(*bytes, ALIGNMENT + 2048, bytes))
            return vg_fail(VG_NO_SPACE, "the datasets have together more than 9.2e18 bytes");
    return VG_OK;
}

vg_status vg_h5_build(const char *path, const vg_layout *layout, int64_t *offsets)
{
    builder b = {.path = path};
    vg_h5_quiet();
    hid_t access = vg_h5_access();
    vg_status status = build(&b, access, layout, offsets);
    H5Pclose(access);
    errno = 0;
    if (status == VG_NO_SPACE && truncate(path, 0) != 0) /* HDF5 1.10 crashes at exit over a file that it cannot close: make it room */
        errno = 0;
    if (b.file >= 0 && H5Fclose(b.file) < 0 && status == VG_OK)
        status = vg_h5_fail(VG_INVALID, path, NULL, "cannot be closed");
    if (status != VG_OK)
        unlink(path);
    return status;
}
