/* layout: the description of a file before there is one. Built up call by call, then made into a file by build.c. */
#include "layout.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { NAME_BYTES = 255, ATTRIBUTE_BYTES = 64000 }; /* HDF5: a message of an object header holds less than 64 KiB */

vg_status vg_store_name_check(const char *name, size_t size, const char *what)
{
    if (size == 0)
        return vg_fail(VG_INVALID, "the name of a %s is empty", what);
    if (size > NAME_BYTES)
        return vg_fail(VG_INVALID, "%s \"%.40s...\": %zu bytes are too long for a name; at most %d are allowed", what, name, size,
                       NAME_BYTES);
    if (memchr(name, '\0', size) != NULL)
        return vg_fail(VG_INVALID, "%s \"%s\": a name must not hold a NUL", what, name);
    if (vg_utf8_valid(name, size) != size)
        return vg_fail(VG_INVALID, "%s \"%.*s\": is not UTF-8", what, (int)size, name);
    if (memchr(name, '/', size) != NULL)
        return vg_fail(VG_INVALID, "%s \"%.*s\": a name must not hold '/'", what, (int)size, name);
    if ((size == 1 && name[0] == '.') || (size == 2 && name[0] == '.' && name[1] == '.'))
        return vg_fail(VG_INVALID, "%s \"%.*s\": \".\" and \"..\" are no names", what, (int)size, name);
    return VG_OK;
}

static vg_status check_path(const char *path)
{
    if (path[0] != '/')
        return vg_fail(VG_INVALID, "path \"%s\": must begin with '/'", path);
    if (path[1] == '\0')
        return VG_OK;
    for (const char *at = path + 1;; at++) {
        size_t size = strcspn(at, "/");
        vg_status status = vg_store_name_check(at, size, "part of a path");
        if (status != VG_OK)
            return vg_fail_within(status, "path \"%s\": ", path);
        at += size;
        if (*at == '\0')
            return VG_OK;
    }
}

/* Room for one more in a list that doubles; what is new is zero. */
static vg_status grow(void **list, int64_t count, int64_t *room, size_t size)
{
    void *larger;
    if (count < *room)
        return VG_OK;
    int64_t wanted = *room > 0 ? 2 * *room : 16;
    VG_TRY(vg_allocate(&larger, wanted, size, "rows of a layout"));
    if (count > 0)
        memcpy(larger, *list, (size_t)count * size);
    free(*list);
    *list = larger;
    *room = wanted;
    return VG_OK;
}

vg_status vg_layout_new(vg_layout **layout)
{
    return VG_NEW(layout, 1, "layouts");
}

static void free_entry(vg_layout_entry *entry)
{
    for (int64_t m = 0; m < entry->member_count; m++)
        free(entry->members[m].name);
    free(entry->members);
    free(entry->path);
}

static void free_attribute(vg_layout_attribute *attribute)
{
    free(attribute->path);
    free(attribute->name);
    free(attribute->value);
}

void vg_layout_free(vg_layout *layout)
{
    if (layout == NULL)
        return;
    for (int64_t i = 0; i < layout->entry_count; i++)
        free_entry(&layout->entries[i]);
    for (int64_t i = 0; i < layout->attribute_count; i++)
        free_attribute(&layout->attributes[i]);
    free(layout->entries);
    free(layout->attributes);
    free(layout);
}

static vg_status element_size(vg_store_type type, size_t size, const char *path, size_t *element)
{
    static const size_t sizes[] = {[VG_STORE_F32] = 4, [VG_STORE_F64] = 8, [VG_STORE_U8] = 1, [VG_STORE_I32] = 4, [VG_STORE_I64] = 8};
    if (type == VG_STORE_TEXT && (size < 1 || size > 1 << 20))
        return vg_fail(VG_INVALID, "%s: a text of %zu bytes; 1 to 1,048,576 are possible", path, size);
    if (type == VG_STORE_TABLE)
        return vg_fail(VG_DEFECT, "%s: a table within a table", path);
    *element = type == VG_STORE_TEXT ? size : sizes[type];
    return VG_OK;
}

/* Sizes of an entry whose element and shape are set, and its place at the end of the layout, which then owns it. */
static vg_status add_entry(vg_layout *layout, vg_layout_entry *entry, const char *path, int64_t *dataset)
{
    VG_TRY(check_path(path));
    if (path[1] == '\0')
        return vg_fail(VG_INVALID, "path \"/\": is a group");
    entry->bytes = (int64_t)entry->element;
    for (int d = 0; d < entry->dimensions; d++) {
        if (entry->shape[d] < 0)
            return vg_fail(VG_DEFECT, "%s: a shape of %lld", path, (long long)entry->shape[d]);
        VG_TRY(vg_multiply(entry->bytes, entry->shape[d], path, &entry->bytes));
    }
    VG_TRY(grow((void **)&layout->entries, layout->entry_count, &layout->entry_room, sizeof *layout->entries));
    VG_TRY(vg_format(&entry->path, "%s", path));
    if (dataset != NULL)
        *dataset = layout->entry_count;
    layout->entries[layout->entry_count++] = *entry;
    return VG_OK;
}

vg_status vg_layout_dataset(vg_layout *layout, const char *path, vg_store_type type, size_t size, int dimensions, const int64_t *shape,
                            int64_t *dataset)
{
    vg_layout_entry entry = {.type = type, .dimensions = dimensions};
    if (dimensions < 1 || dimensions > VG_STORE_DIMENSIONS)
        return vg_fail(VG_DEFECT, "%s: %d dimensions; 1 to %d are possible", path, dimensions, VG_STORE_DIMENSIONS);
    VG_TRY(element_size(type, size, path, &entry.element));
    memcpy(entry.shape, shape, (size_t)dimensions * sizeof *shape);
    return add_entry(layout, &entry, path, dataset);
}

static vg_status add_member(vg_layout_entry *entry, const vg_store_member *member, const char *path)
{
    vg_layout_member *made = &entry->members[entry->member_count];
    vg_status status = vg_store_name_check(member->name, strlen(member->name), "column");
    if (status != VG_OK)
        return vg_fail_within(status, "%s: ", path);
    for (int64_t m = 0; m < entry->member_count; m++)
        if (strcmp(entry->members[m].name, member->name) == 0)
            return vg_fail(VG_INVALID, "%s: column \"%s\" is there twice", path, member->name);
    *made = (vg_layout_member){.type = member->type, .offset = entry->element};
    VG_TRY(element_size(member->type, member->size, path, &made->size));
    VG_TRY(vg_format(&made->name, "%s", member->name));
    entry->member_count++;
    entry->element += made->size;
    return VG_OK;
}

vg_status vg_layout_table(vg_layout *layout, const char *path, const vg_store_member *members, int64_t count, int64_t rows,
                          int64_t *dataset)
{
    vg_layout_entry entry = {.type = VG_STORE_TABLE, .dimensions = 1, .shape = {rows}};
    vg_status status = VG_OK;
    if (count < 1)
        return vg_fail(VG_DEFECT, "%s: a table without columns", path);
    VG_GO(VG_NEW(&entry.members, count, "columns of a table"));
    for (int64_t m = 0; m < count; m++)
        VG_GO(add_member(&entry, &members[m], path));
    status = add_entry(layout, &entry, path, dataset);
done:
    if (status != VG_OK)
        free_entry(&entry);
    return status;
}

/* Takes `value` over, whatever comes of it. */
static vg_status add_attribute(vg_layout *layout, const char *path, const char *name, vg_store_type type, size_t element, int64_t count,
                               void *value)
{
    vg_layout_attribute made = {.type = type, .element = element, .count = count, .value = value};
    vg_status status;
    VG_GO(check_path(path));
    VG_GO(vg_store_name_check(name, strlen(name), "attribute"));
    VG_GO(grow((void **)&layout->attributes, layout->attribute_count, &layout->attribute_room, sizeof *layout->attributes));
    VG_GO(vg_format(&made.path, "%s", path));
    VG_GO(vg_format(&made.name, "%s", name));
    made.beside = (count < 0 ? element : element * (size_t)count) > ATTRIBUTE_BYTES;
    if (made.beside && path[1] == '\0')
        VG_GO(vg_fail(VG_INVALID, "attribute \"%s\" of \"/\": is too large", name));
    layout->attributes[layout->attribute_count++] = made;
    return VG_OK;
done:
    free_attribute(&made);
    return status;
}

static vg_status check_text(const char *path, const char *name, const char *text)
{
    size_t size = strlen(text);
    if (vg_utf8_valid(text, size) != size)
        return vg_fail(VG_INVALID, "%s: attribute \"%s\" is not UTF-8", path, name);
    return VG_OK;
}

vg_status vg_layout_text(vg_layout *layout, const char *path, const char *name, const char *text)
{
    char *copy;
    VG_TRY(check_text(path, name, text));
    VG_TRY(vg_format(&copy, "%s", text));
    size_t size = strlen(text);
    return add_attribute(layout, path, name, VG_STORE_TEXT, size > 0 ? size : 1, -1, copy);
}

vg_status vg_layout_texts(vg_layout *layout, const char *path, const char *name, const char *const *texts, int64_t count)
{
    size_t element = 1;
    char *copy;
    for (int64_t i = 0; i < count; i++) {
        VG_TRY(check_text(path, name, texts[i]));
        if (strlen(texts[i]) > element)
            element = strlen(texts[i]);
    }
    VG_TRY(vg_allocate((void **)&copy, count, element, "texts of an attribute"));
    for (int64_t i = 0; i < count; i++)
        memcpy(copy + (size_t)i * element, texts[i], strlen(texts[i]));
    return add_attribute(layout, path, name, VG_STORE_TEXT, element, count, copy);
}

vg_status vg_layout_integer(vg_layout *layout, const char *path, const char *name, int64_t value)
{
    int64_t *copy;
    VG_TRY(VG_NEW(&copy, 1, "numbers"));
    *copy = value;
    return add_attribute(layout, path, name, VG_STORE_I64, sizeof value, -1, copy);
}

vg_status vg_layout_number(vg_layout *layout, const char *path, const char *name, double value)
{
    double *copy;
    VG_TRY(VG_NEW(&copy, 1, "numbers"));
    *copy = value;
    return add_attribute(layout, path, name, VG_STORE_F64, sizeof value, -1, copy);
}

size_t vg_layout_element(const vg_layout *layout, int64_t dataset)
{
    return layout->entries[dataset].element;
}

/* The member of this name and kind, or NULL and the message. */
static const vg_layout_member *find_member(const vg_layout *layout, int64_t dataset, const char *name, bool text)
{
    const vg_layout_entry *entry = &layout->entries[dataset];
    for (int64_t m = 0; m < entry->member_count; m++) {
        const vg_layout_member *member = &entry->members[m];
        if (strcmp(member->name, name) == 0 && (member->type == VG_STORE_TEXT) == text)
            return member;
    }
    vg_fail(VG_DEFECT, "%s: no column \"%s\" of %s", entry->path, name, text ? "texts" : "numbers");
    return NULL;
}

vg_status vg_layout_put_text(const vg_layout *layout, int64_t dataset, void *record, const char *member, const char *text)
{
    const vg_layout_member *found = find_member(layout, dataset, member, true);
    const char *path = layout->entries[dataset].path;
    size_t size = strlen(text);
    if (found == NULL)
        return VG_DEFECT;
    if (size > found->size)
        return vg_fail(VG_INVALID, "%s: \"%.40s...\" has %zu bytes, column \"%s\" has room for %zu", path, text, size, member, found->size);
    if (vg_utf8_valid(text, size) != size)
        return vg_fail(VG_INVALID, "%s: a text of column \"%s\" is not UTF-8", path, member);
    memset((char *)record + found->offset, 0, found->size);
    memcpy((char *)record + found->offset, text, size);
    return VG_OK;
}

/* value as the member's type; whole numbers must fit. */
static vg_status put_number(const vg_layout *layout, int64_t dataset, void *record, const char *member, double real, int64_t whole,
                            bool is_whole)
{
    const vg_layout_member *found = find_member(layout, dataset, member, false);
    union {
        float f32;
        double f64;
        uint8_t u8;
        int32_t i32;
        int64_t i64;
    } value;
    if (found == NULL)
        return VG_DEFECT;
    bool fits = found->type == VG_STORE_F32 || found->type == VG_STORE_F64 || is_whole;
    if (found->type == VG_STORE_F32) {
        value.f32 = (float)real;
    } else if (found->type == VG_STORE_F64) {
        value.f64 = real;
    } else if (found->type == VG_STORE_U8) {
        fits = fits && whole >= 0 && whole <= UINT8_MAX;
        value.u8 = (uint8_t)whole;
    } else if (found->type == VG_STORE_I32) {
        fits = fits && whole >= INT32_MIN && whole <= INT32_MAX;
        value.i32 = (int32_t)whole;
    } else {
        value.i64 = whole;
    }
    if (!fits)
        return vg_fail(VG_DEFECT, "%s: %.17g does not fit column \"%s\"", layout->entries[dataset].path, real, member);
    memcpy((char *)record + found->offset, &value, found->size);
    return VG_OK;
}

vg_status vg_layout_put_number(const vg_layout *layout, int64_t dataset, void *record, const char *member, double value)
{
    bool whole = value == rint(value) && fabs(value) < 0x1p53;
    return put_number(layout, dataset, record, member, value, whole ? (int64_t)value : 0, whole);
}

vg_status vg_layout_put_integer(const vg_layout *layout, int64_t dataset, void *record, const char *member, int64_t value)
{
    return put_number(layout, dataset, record, member, (double)value, value, true);
}

static uint32_t crc_text(uint32_t crc, const char *text)
{
    return vg_crc32c(crc, text, strlen(text) + 1);
}

static uint32_t crc_integer(uint32_t crc, int64_t value)
{
    return vg_crc32c(crc, &value, sizeof value);
}

uint32_t vg_layout_crc(const vg_layout *layout)
{
    uint32_t crc = 0;
    for (int64_t i = 0; i < layout->entry_count; i++) {
        const vg_layout_entry *entry = &layout->entries[i];
        crc = crc_integer(crc_integer(crc_text(crc, entry->path), (int64_t)entry->type), (int64_t)entry->element);
        for (int d = 0; d < entry->dimensions; d++)
            crc = crc_integer(crc, entry->shape[d]);
        for (int64_t m = 0; m < entry->member_count; m++)
            crc = crc_integer(crc_integer(crc_text(crc, entry->members[m].name), (int64_t)entry->members[m].type),
                              (int64_t)entry->members[m].size);
    }
    for (int64_t i = 0; i < layout->attribute_count; i++) {
        const vg_layout_attribute *attribute = &layout->attributes[i];
        crc = crc_integer(crc_text(crc_text(crc, attribute->path), attribute->name), (int64_t)attribute->type);
        crc = vg_crc32c(crc_integer(crc, attribute->count), attribute->value,
                        attribute->element * (size_t)(attribute->count < 0 ? 1 : attribute->count));
    }
    return crc;
}

static int compare_paths(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

vg_status vg_layout_check(const vg_layout *layout)
{
    const char **paths;
    vg_status status = VG_OK;
    VG_TRY(VG_NEW(&paths, layout->entry_count, "paths"));
    for (int64_t i = 0; i < layout->entry_count; i++)
        paths[i] = layout->entries[i].path;
    qsort(paths, (size_t)layout->entry_count, sizeof *paths, compare_paths);
    for (int64_t i = 1; i < layout->entry_count && status == VG_OK; i++)
        if (strcmp(paths[i - 1], paths[i]) == 0)
            status = vg_fail(VG_INVALID, "%s: is there twice; give one of them another name", paths[i]);
    free(paths);
    return status;
}
