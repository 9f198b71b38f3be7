/* What the files of this room know of a layout: datasets and attributes in the order in which they were asked for. */
#ifndef VOXGRAD_STORE_LAYOUT_H
#define VOXGRAD_STORE_LAYOUT_H

#include "voxgrad/store.h"

typedef struct {
    char *name;
    vg_store_type type;
    size_t size, offset;
} vg_layout_member;

typedef struct {
    char *path;
    vg_store_type type;
    size_t element; /* bytes of one */
    int dimensions;
    int64_t shape[VG_STORE_DIMENSIONS];
    int64_t bytes;
    vg_layout_member *members;
    int64_t member_count;
} vg_layout_entry;

typedef struct {
    char *path, *name;
    vg_store_type type; /* TEXT, I64 or F64 */
    size_t element;
    int64_t count; /* -1: a scalar */
    void *value;
    bool beside; /* too large for an object header: the dataset PATH.NAME */
} vg_layout_attribute;

struct vg_layout {
    vg_layout_entry *entries;
    vg_layout_attribute *attributes;
    int64_t entry_count, entry_room, attribute_count, attribute_room;
};

/* A number of everything that a layout says. */
uint32_t vg_layout_crc(const vg_layout *layout);

/* Errors: VG_INVALID (a path that is there twice). */
vg_status vg_layout_check(const vg_layout *layout);

#endif
