/* annot: FreeSurfer's surface annotations, all numbers big-endian int32. The vertices: count, then (vertex, colour) pairs, colour = r + 256
 * g + 65536 b; then a flag, and a table of names and colours in one of two versions: old   entries > 0, source's name, then (name, r, g, b,
 * transparency) for each 2     -2, greatest number of entries, source's name, entries that follow, then (index, name, r, g, b,
 * transparency) for each Source: FreeSurfer wiki, "LabelsClutsAnnotationFiles". */
#include <stdlib.h>
#include <string.h>

#include "atlas.h"

typedef struct {
    const char *path;
    const uint8_t *bytes;
    size_t size, at;
} reader;

static vg_status next_integer(reader *r, int32_t *value)
{
    *value = 0;
    if (r->size - r->at < 4)
        return vg_fail(VG_INVALID, "%s: ends at byte %zu, within its numbers: is it cut off?", r->path, r->size);
    const uint8_t *b = r->bytes + r->at;
    *value = (int32_t)((uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3]);
    r->at += 4;
    return VG_OK;
}

/* A number of things that each take at least `least` bytes of what is left. */
static vg_status next_count(reader *r, size_t least, const char *what, int32_t *count)
{
    VG_TRY(next_integer(r, count));
    if (*count < 0 || (size_t)*count > (r->size - r->at) / least)
        return vg_fail(VG_INVALID, "%s: %d %s do not fit into the file: is it cut off, or no .annot?", r->path, *count, what);
    return VG_OK;
}

/* A counted string; the bytes stay where they are. */
static vg_status next_string(reader *r, const char **text, int32_t *length)
{
    *text = (const char *)r->bytes + r->at;
    VG_TRY(next_count(r, 1, "bytes of a name", length));
    *text += 4;
    r->at += (size_t)*length;
    return VG_OK;
}

static vg_status read_entry(reader *r, bool indexed, char **name, int32_t *colour)
{
    const char *text;
    int32_t length, index, part[4];
    if (indexed)
        VG_TRY(next_integer(r, &index));
    VG_TRY(next_string(r, &text, &length));
    for (int i = 0; i < 4; i++)
        VG_TRY(next_integer(r, &part[i]));
    *colour = (int32_t)((uint32_t)part[0] + ((uint32_t)part[1] << 8) + ((uint32_t)part[2] << 16));
    return vg_format(name, "%.*s", (int)strnlen(text, (size_t)length), text);
}

/* Where the table begins: the number of its entries, and their version. */
static vg_status read_table_head(reader *r, int32_t *entries, bool *indexed)
{
    const char *source;
    int32_t flag, length;
    *indexed = false;
    if (r->at == r->size)
        return vg_fail(VG_INVALID, "%s: has no table of names", r->path);
    VG_TRY(next_integer(r, &flag));
    VG_TRY(next_integer(r, entries));
    if (flag != 1 || *entries == 0 || (*entries < 0 && *entries != -2))
        return vg_fail(VG_INVALID, "%s: has no table of names, or one of an unknown version (%d)", r->path, *entries);
    if (*entries == -2) {
        *indexed = true;
        VG_TRY(next_integer(r, entries));
    }
    VG_TRY(next_string(r, &source, &length));
    if (*indexed)
        VG_TRY(next_integer(r, entries));
    if (*entries < 1 || (size_t)*entries > (r->size - r->at) / 20)
        return vg_fail(VG_INVALID, "%s: a table of %d names does not fit into the file: is it cut off?", r->path, *entries);
    return VG_OK;
}

static vg_status read_table(reader *r, vg_atlas *atlas, int32_t **colours)
{
    int32_t entries = 0;
    bool indexed = false;
    VG_TRY(read_table_head(r, &entries, &indexed));
    VG_TRY(VG_NEW(colours, entries, "colours of labels"));
    VG_TRY(VG_NEW(&atlas->names, entries, "names of labels"));
    VG_TRY(VG_NEW(&atlas->hemispheres, entries, "hemispheres of labels"));
    atlas->name_count = entries;
    for (int32_t i = 0; i < entries; i++)
        VG_TRY(read_entry(r, indexed, &atlas->names[i], &(*colours)[i]));
    return VG_OK;
}

/* Pairs of vertex and colour: the colours, by vertex, go where the labels will be. */
static vg_status read_vertices(reader *r, vg_atlas *atlas)
{
    int32_t count, vertex;
    VG_TRY(next_count(r, 8, "vertices", &count));
    if (count == 0)
        return vg_fail(VG_INVALID, "%s: has no vertices", r->path);
    atlas->voxels = count;
    VG_TRY(VG_NEW(&atlas->labels, count, "labels"));
    for (int32_t i = 0; i < count; i++)
        atlas->labels[i] = -1;
    for (int32_t i = 0; i < count; i++) {
        VG_TRY(next_integer(r, &vertex));
        if (vertex < 0 || vertex >= count)
            return vg_fail(VG_INVALID, "%s: vertex %d is not one of %d: no .annot?", r->path, vertex, count);
        VG_TRY(next_integer(r, &atlas->labels[vertex]));
    }
    return VG_OK;
}

static vg_status parse(reader *r, vg_atlas *atlas, int32_t **colours)
{
    VG_TRY(read_vertices(r, atlas));
    VG_TRY(read_table(r, atlas, colours));
    for (int64_t v = 0; v < atlas->voxels; v++) {
        int32_t colour = atlas->labels[v], label = -1;
        for (int32_t i = 0; i < atlas->name_count && label < 0; i++)
            label = (*colours)[i] == colour ? i : -1;
        atlas->labels[v] = label;
    }
    return VG_OK;
}

vg_status vg_annot_parse(const char *path, const uint8_t *bytes, size_t size, vg_atlas *atlas)
{
    reader r = {.path = path, .bytes = bytes, .size = size};
    int32_t *colours = NULL;
    *atlas = (vg_atlas){0};
    vg_status status = parse(&r, atlas, &colours);
    free(colours);
    if (status != VG_OK)
        vg_atlas_free(atlas);
    return status;
}
