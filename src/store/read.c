/* read: any HDF5 file, ours or a user's. What a file says of its sizes and types is checked before it is believed; reals become reals,
 * integers integers, strings UTF-8, or the message says which object is not what it should be. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "h5.h"
#include "io.h"

struct vg_store_file {
    char *path;
    hid_t file;
};

vg_status vg_store_open(const char *path, vg_store_file **file)
{
    vg_h5_quiet();
    *file = NULL;
    if (access(path, R_OK) != 0)
        return vg_io_fail(path, "cannot be read");
    VG_TRY(VG_NEW(file, 1, "files"));
    vg_status status = vg_format(&(*file)->path, "%s", path);
    hid_t access_list = vg_h5_access();
    errno = 0;
    (*file)->file = status == VG_OK ? H5Fopen(path, H5F_ACC_RDONLY, access_list) : H5I_INVALID_HID;
    if (status == VG_OK && (*file)->file < 0)
        status = vg_h5_fail(VG_INVALID, path, NULL, "is not an HDF5 file, or damaged");
    H5Pclose(access_list);
    if (status != VG_OK) {
        vg_store_close(*file);
        *file = NULL;
    }
    return status;
}

void vg_store_close(vg_store_file *file)
{
    if (file == NULL)
        return;
    if (file->file >= 0)
        H5Fclose(file->file);
    free(file->path);
    free(file);
}

const char *vg_store_path(const vg_store_file *file)
{
    return file->path;
}

static vg_status wrong(const vg_store_file *file, const char *path, const char *what)
{
    return vg_fail(VG_INVALID, "%s: %s: %s", file->path, path, what);
}

bool vg_store_has(const vg_store_file *file, const char *path)
{
    return strcmp(path, "/") == 0 || H5Oexists_by_name(file->file, path, H5P_DEFAULT) > 0;
}

bool vg_store_is_dataset(const vg_store_file *file, const char *path)
{
    hid_t object = vg_store_has(file, path) ? H5Oopen(file->file, path, H5P_DEFAULT) : H5I_INVALID_HID;
    bool dataset = object >= 0 && H5Iget_type(object) == H5I_DATASET;
    if (object >= 0)
        H5Oclose(object);
    return dataset;
}

bool vg_store_has_attribute(const vg_store_file *file, const char *path, const char *name)
{
    char *beside;
    if (H5Aexists_by_name(file->file, path, name, H5P_DEFAULT) > 0)
        return true;
    if (vg_format(&beside, "%s.%s", path, name) != VG_OK)
        return false;
    bool there = vg_store_has(file, beside);
    free(beside);
    return there;
}

/* ---- types ---------------------------------------------------------------------------------------------------------------- */

/* The nearest type of ours; false where there is none. h5py's booleans are an enumeration over one byte. */
static bool nearest_type(hid_t type, vg_store_type *nearest)
{
    size_t size = H5Tget_size(type);
    switch (H5Tget_class(type)) {
    case H5T_FLOAT:
        *nearest = size <= 4 ? VG_STORE_F32 : VG_STORE_F64;
        return true;
    case H5T_INTEGER:
        *nearest = size == 1 && H5Tget_sign(type) == H5T_SGN_NONE ? VG_STORE_U8
                   : size == 4 && H5Tget_sign(type) == H5T_SGN_2  ? VG_STORE_I32
                                                                  : VG_STORE_I64;
        return true;
    case H5T_ENUM:
        *nearest = size == 1 ? VG_STORE_U8 : VG_STORE_I64;
        return true;
    case H5T_STRING:
        *nearest = VG_STORE_TEXT;
        return true;
    case H5T_COMPOUND:
        *nearest = VG_STORE_TABLE;
        return true;
    default:
        return false;
    }
}

static hid_t memory_type(vg_store_type type)
{
    switch (type) {
    case VG_STORE_F32:
        return H5T_NATIVE_FLOAT;
    case VG_STORE_F64:
        return H5T_NATIVE_DOUBLE;
    case VG_STORE_U8:
        return H5T_NATIVE_UINT8;
    case VG_STORE_I32:
        return H5T_NATIVE_INT32;
    case VG_STORE_I64:
        return H5T_NATIVE_INT64;
    case VG_STORE_TEXT:
    case VG_STORE_TABLE:
        break;
    }
    return H5I_INVALID_HID;
}

static bool is_real(vg_store_type type)
{
    return type == VG_STORE_F32 || type == VG_STORE_F64;
}

/* ---- datasets ------------------------------------------------------------------------------------------------------------- */

/* An open dataset, or an attribute: what it holds, and of which extent. */
typedef struct {
    hid_t object, type, space; /* type: of the member, where one is read */
    vg_store_about about;
    int64_t elements;
} opened;

static void close_opened(opened *o)
{
    if (o->type > 0)
        H5Tclose(o->type);
    if (o->space > 0)
        H5Sclose(o->space);
    if (o->object > 0)
        H5Oclose(o->object);
}

static vg_status read_extent(const vg_store_file *file, const char *path, opened *o)
{
    hsize_t extent[H5S_MAX_RANK];
    H5S_class_t class = H5Sget_simple_extent_type(o->space);
    if (class != H5S_SIMPLE && class != H5S_SCALAR)
        return wrong(file, path, "is empty (a null dataspace)");
    o->about.dimensions = H5Sget_simple_extent_dims(o->space, extent, NULL);
    o->elements = 1;
    for (int d = 0; d < o->about.dimensions; d++) {
        if (extent[d] > INT64_MAX)
            return wrong(file, path, "has an impossible shape");
        if (d < VG_STORE_DIMENSIONS)
            o->about.shape[d] = (int64_t)extent[d];
        VG_TRY(vg_multiply(o->elements, (int64_t)extent[d], path, &o->elements));
    }
    return VG_OK;
}

/* The member's type instead of the table's. */
static vg_status take_member(const vg_store_file *file, const char *path, const char *member, opened *o)
{
    int index = H5Tget_class(o->type) == H5T_COMPOUND ? H5Tget_member_index(o->type, member) : -1;
    if (index < 0)
        return vg_fail(VG_INVALID, "%s: %s: has no column \"%s\"", file->path, path, member);
    hid_t type = H5Tget_member_type(o->type, (unsigned)index);
    H5Tclose(o->type);
    o->type = type;
    return VG_OK;
}

static vg_status open_dataset(const vg_store_file *file, const char *path, const char *member, opened *o)
{
    *o = (opened){0};
    if (!vg_store_has(file, path))
        return wrong(file, path, "is not there");
    o->object = H5Oopen(file->file, path, H5P_DEFAULT);
    if (o->object < 0)
        return vg_h5_fail(VG_INVALID, file->path, path, "cannot be opened");
    if (H5Iget_type(o->object) != H5I_DATASET) {
        close_opened(o);
        return wrong(file, path, "is a group where a dataset is expected");
    }
    o->type = H5Dget_type(o->object);
    o->space = H5Dget_space(o->object);
    vg_status status = o->type < 0 || o->space < 0 ? vg_h5_fail(VG_INVALID, file->path, path, "cannot be opened") : VG_OK;
    if (status == VG_OK)
        status = read_extent(file, path, o);
    if (status == VG_OK && member != NULL)
        status = take_member(file, path, member, o);
    if (status == VG_OK && !nearest_type(o->type, &o->about.type))
        status = wrong(file, path, "has a type that is neither number, text nor table");
    if (status != VG_OK)
        close_opened(o);
    return status;
}

bool vg_store_has_member(const vg_store_file *file, const char *path, const char *member)
{
    opened o;
    if (!vg_store_is_dataset(file, path) || open_dataset(file, path, NULL, &o) != VG_OK)
        return false;
    bool there = H5Tget_class(o.type) == H5T_COMPOUND && H5Tget_member_index(o.type, member) >= 0;
    close_opened(&o);
    return there;
}

vg_status vg_store_describe(const vg_store_file *file, const char *path, vg_store_about *about)
{
    opened o;
    *about = (vg_store_about){0};
    VG_TRY(open_dataset(file, path, NULL, &o));
    *about = o.about;
    close_opened(&o);
    return VG_OK;
}

/* A table type of this one member, to be closed. */
static hid_t with_member(hid_t type, const char *member)
{
    if (member == NULL)
        return H5Tcopy(type);
    hid_t table = H5Tcreate(H5T_COMPOUND, H5Tget_size(type));
    if (H5Tinsert(table, member, 0, type) >= 0)
        return table;
    H5Tclose(table);
    return H5I_INVALID_HID;
}

/* Selects the part asked for; *memory is its own space. Errors: VG_INVALID (outside). */
static vg_status select_part(const vg_store_file *file, const char *path, opened *o, const int64_t *offset, const int64_t *count,
                             hid_t *memory)
{
    hsize_t begin[VG_STORE_DIMENSIONS], size[VG_STORE_DIMENSIONS];
    bool none = false;
    if (o->about.dimensions > VG_STORE_DIMENSIONS)
        return vg_fail(VG_INVALID, "%s: %s: has %d dimensions; at most %d can be read", file->path, path, o->about.dimensions,
                       VG_STORE_DIMENSIONS);
    for (int d = 0; d < o->about.dimensions; d++) {
        int64_t first = offset != NULL ? offset[d] : 0, many = count != NULL ? count[d] : o->about.shape[d];
        if (first < 0 || many < 0 || many > o->about.shape[d] || first > o->about.shape[d] - many)
            return vg_fail(VG_INVALID, "%s: %s: elements %lld to %lld are asked for in a dimension of %lld", file->path, path,
                           (long long)first, (long long)first + (long long)many, (long long)o->about.shape[d]);
        begin[d] = (hsize_t)first;
        size[d] = (hsize_t)many;
        none = none || many == 0;
    }
    if (o->about.dimensions == 0) {
        *memory = H5Screate(H5S_SCALAR);
        return VG_OK;
    }
    *memory = H5Screate_simple(o->about.dimensions, size, NULL);
    if (none) {
        H5Sselect_none(*memory);
        H5Sselect_none(o->space);
    } else {
        H5Sselect_hyperslab(o->space, H5S_SELECT_SET, begin, NULL, size, NULL);
    }
    return VG_OK;
}

vg_status vg_store_read(const vg_store_file *file, const char *path, const char *member, vg_store_type type, const int64_t *offset,
                        const int64_t *count, void *values)
{
    opened o;
    hid_t memory = 0, number = 0;
    vg_status status;
    if (memory_type(type) < 0)
        return vg_fail(VG_DEFECT, "%s: read as a type that is no number", path);
    VG_TRY(open_dataset(file, path, member, &o));
    if (o.about.type == VG_STORE_TEXT || o.about.type == VG_STORE_TABLE)
        VG_GO(wrong(file, path, member != NULL ? "the column holds text where numbers are expected" : "is no array of numbers"));
    if (is_real(o.about.type) && !is_real(type))
        VG_GO(wrong(file, path, "holds real numbers where whole ones are expected"));
    VG_GO(select_part(file, path, &o, offset, count, &memory));
    number = with_member(memory_type(type), member);
    status = H5Dread(o.object, number, memory, o.space, H5P_DEFAULT, values) >= 0
                 ? VG_OK
                 : vg_h5_fail(VG_INVALID, file->path, path, "cannot be read");
done:
    if (number > 0)
        H5Tclose(number);
    if (memory > 0)
        H5Sclose(memory);
    close_opened(&o);
    return status;
}

/* ---- texts ---------------------------------------------------------------------------------------------------------------- */

void vg_store_names_free(char **names, int64_t count)
{
    for (int64_t i = 0; names != NULL && i < count; i++)
        free(names[i]);
    free(names);
}

static vg_status copy_text(const vg_store_file *file, const char *path, const char *text, size_t size, char **copy)
{
    if (vg_utf8_valid(text, size) != size)
        return wrong(file, path, "holds a text that is not UTF-8");
    VG_TRY(VG_NEW(copy, (int64_t)size + 1, "bytes of a text"));
    if (size > 0)
        memcpy(*copy, text, size);
    return VG_OK;
}

/* What HDF5 read, as texts of our own. `size`: bytes of an element, `variable`: elements are pointers. */
static vg_status copy_texts(const vg_store_file *file, const char *path, const void *raw, int64_t count, size_t size, bool variable,
                            bool spaces, char **texts)
{
    for (int64_t i = 0; i < count; i++) {
        const char *text = variable ? ((char *const *)raw)[i] : (const char *)raw + (size_t)i * size;
        size_t length = text == NULL ? 0 : variable ? strlen(text) : strnlen(text, size);
        while (spaces && length > 0 && text[length - 1] == ' ')
            length--;
        VG_TRY(copy_text(file, path, text, length, &texts[i]));
    }
    return VG_OK;
}

/* All texts of an opened dataset or attribute, at most 2^31 of them. */
static vg_status read_texts(const vg_store_file *file, const char *path, const char *member, opened *o, char ***texts)
{
    void *raw = NULL;
    vg_status status;
    bool variable = H5Tis_variable_str(o->type) > 0, is_attribute = H5Iget_type(o->object) == H5I_ATTR;
    bool spaces = !variable && H5Tget_strpad(o->type) == H5T_STR_SPACEPAD;
    size_t size = variable ? sizeof(char *) : H5Tget_size(o->type);
    hid_t type = with_member(o->type, member);
    *texts = NULL;
    if (o->elements > INT32_MAX)
        VG_GO(wrong(file, path, "holds more texts than can be read"));
    VG_GO(vg_allocate(&raw, o->elements, size, "bytes of texts"));
    VG_GO(VG_NEW(texts, o->elements, "texts"));
    if (o->elements > 0 &&
        (is_attribute ? H5Aread(o->object, type, raw) : H5Dread(o->object, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, raw)) < 0)
        VG_GO(vg_h5_fail(VG_INVALID, file->path, path, "cannot be read"));
    status = copy_texts(file, path, raw, o->elements, size, variable, spaces, *texts);
    if (variable && o->elements > 0)
        H5Dvlen_reclaim(type, o->space, H5P_DEFAULT, raw);
done:
    free(raw);
    H5Tclose(type);
    if (status != VG_OK) {
        vg_store_names_free(*texts, o->elements);
        *texts = NULL;
    }
    return status;
}

vg_status vg_store_read_texts(const vg_store_file *file, const char *path, const char *member, char ***texts, int64_t *count)
{
    opened o;
    *texts = NULL;
    *count = 0;
    VG_TRY(open_dataset(file, path, member, &o));
    vg_status status = VG_OK;
    if (o.about.type != VG_STORE_TEXT)
        status = vg_fail(VG_INVALID, "%s: %s: %s%s holds no texts", file->path, path, member != NULL ? "column " : "",
                         member != NULL ? member : "it");
    else if (o.about.dimensions > 1)
        status = wrong(file, path, "is no list of texts: it has more than one dimension");
    if (status == VG_OK)
        status = read_texts(file, path, member, &o, texts);
    if (status == VG_OK)
        *count = o.elements;
    close_opened(&o);
    return status;
}

/* ---- attributes ----------------------------------------------------------------------------------------------------------- */

/* The attribute, or the dataset PATH.NAME in its stead. */
static vg_status open_attribute(const vg_store_file *file, const char *path, const char *name, opened *o)
{
    *o = (opened){0};
    if (H5Aexists_by_name(file->file, path, name, H5P_DEFAULT) <= 0) {
        char *beside;
        VG_TRY(vg_format(&beside, "%s.%s", path, name));
        vg_status status = vg_store_has(file, beside) ? open_dataset(file, beside, NULL, o)
                                                      : vg_fail(VG_INVALID, "%s: %s: has no attribute \"%s\"", file->path, path, name);
        free(beside);
        return status;
    }
    o->object = H5Aopen_by_name(file->file, path, name, H5P_DEFAULT, H5P_DEFAULT);
    if (o->object < 0)
        return vg_h5_fail(VG_INVALID, file->path, path, "an attribute cannot be opened");
    o->type = H5Aget_type(o->object);
    o->space = H5Aget_space(o->object);
    vg_status status = read_extent(file, path, o);
    if (status == VG_OK && !nearest_type(o->type, &o->about.type))
        status = vg_fail(VG_INVALID, "%s: %s: attribute \"%s\" is neither number nor text", file->path, path, name);
    if (status != VG_OK)
        close_opened(o);
    return status;
}

vg_status vg_store_attribute_texts(const vg_store_file *file, const char *path, const char *name, char ***texts, int64_t *count)
{
    opened o;
    *texts = NULL;
    *count = 0;
    VG_TRY(open_attribute(file, path, name, &o));
    vg_status status = VG_OK;
    if (o.about.type != VG_STORE_TEXT || o.about.dimensions > 1)
        status = vg_fail(VG_INVALID, "%s: %s: attribute \"%s\" is no text", file->path, path, name);
    if (status == VG_OK)
        status = read_texts(file, path, NULL, &o, texts);
    if (status == VG_OK)
        *count = o.elements;
    close_opened(&o);
    return status;
}

vg_status vg_store_attribute_text(const vg_store_file *file, const char *path, const char *name, char **text)
{
    char **texts;
    int64_t count;
    *text = NULL;
    VG_TRY(vg_store_attribute_texts(file, path, name, &texts, &count));
    vg_status status = VG_OK;
    if (count != 1) {
        status = vg_fail(VG_INVALID, "%s: %s: attribute \"%s\" is a list, not one text", file->path, path, name);
    } else {
        *text = texts[0];
        texts[0] = NULL;
    }
    vg_store_names_free(texts, count);
    return status;
}

vg_status vg_store_attribute_number(const vg_store_file *file, const char *path, const char *name, double *value)
{
    opened o;
    VG_TRY(open_attribute(file, path, name, &o));
    vg_status status = VG_OK;
    if (o.about.type == VG_STORE_TEXT || o.about.type == VG_STORE_TABLE || o.elements != 1 || H5Iget_type(o.object) != H5I_ATTR)
        status = vg_fail(VG_INVALID, "%s: %s: attribute \"%s\" is not one number", file->path, path, name);
    else if (H5Aread(o.object, H5T_NATIVE_DOUBLE, value) < 0)
        status = vg_h5_fail(VG_INVALID, file->path, path, "an attribute cannot be read");
    close_opened(&o);
    return status;
}

/* ---- names in a group ----------------------------------------------------------------------------------------------------- */

typedef struct {
    char **names;
    int64_t count, room;
    vg_status status;
} names_list;

static herr_t keep_name(hid_t group, const char *name, const H5L_info_t *info, void *data)
{
    names_list *list = data;
    (void)group;
    (void)info;
    if (list->count == list->room) {
        int64_t room = list->room > 0 ? 2 * list->room : 16;
        char **larger = realloc(list->names, (size_t)room * sizeof *larger);
        if (larger == NULL) {
            list->status = vg_fail(VG_NO_MEMORY, "no memory for %lld names", (long long)room);
            return -1;
        }
        list->names = larger;
        list->room = room;
    }
    list->status = vg_format(&list->names[list->count], "%s", name);
    list->count += list->status == VG_OK;
    return list->status == VG_OK ? 0 : -1;
}

vg_status vg_store_list(const vg_store_file *file, const char *group, char ***names, int64_t *count)
{
    H5G_info_t about;
    names_list list = {0};
    *names = NULL;
    *count = 0;
    if (!vg_store_has(file, group))
        return wrong(file, group, "is not there");
    if (H5Gget_info_by_name(file->file, group, &about, H5P_DEFAULT) < 0)
        return wrong(file, group, "is not a group");
    herr_t code = H5Literate_by_name(file->file, group, H5_INDEX_NAME, H5_ITER_INC, NULL, keep_name, &list, H5P_DEFAULT);
    if (code < 0) {
        vg_store_names_free(list.names, list.count);
        return list.status != VG_OK ? list.status : vg_h5_fail(VG_INVALID, file->path, group, "cannot be listed");
    }
    *names = list.names;
    *count = list.count;
    return VG_OK;
}
