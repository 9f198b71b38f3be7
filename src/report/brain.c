/* brain: the group's maps and the surfaces they lie on, for the page's turning brain: positions and values as float16, triangles as uint16
 * (uint32 where there are more vertices), labels of the atlas as uint16. JSON:
 *   hemispheres  [{side, count, positions, faces, wide, labels}]     labels: 0 none, else 1 + index into regions
 *   maps         [{label, name, kind, least, most, values: [a hemisphere each]}]  kind "score", or "winner" (1, 0: tie, -1) */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "report.h"

/* A page that a mailbox takes: of more maps, the best layer of each feature comes first, and the page says how many are left out. */
enum { MOST_BYTES = 9000000, MOST_REGIONS = 65535 };

typedef struct {
    int64_t voxels;
    int32_t *vertex;
    char **hemisphere, **region;
    vg_surface surface[2];
    char **regions; /* distinct, not owned */
    int64_t region_count;
} brain;

static vg_status read_voxels(const report *r, brain *b)
{
    char *path;
    int64_t *vertex = NULL, count = 0;
    vg_status status;
    VG_TRY(vg_format(&path, "/subjects/%s/voxels", r->subjects[0]));
    VG_GO(vg_store_read_texts(r->file, path, "hemisphere", &b->hemisphere, &count));
    b->voxels = count;
    VG_GO(vg_store_read_texts(r->file, path, "region", &b->region, &count));
    VG_GO(VG_NEW(&vertex, count, "vertices"));
    VG_GO(VG_NEW(&b->vertex, count, "vertices"));
    VG_GO(VG_NEW(&b->regions, count, "regions"));
    VG_GO(vg_store_read(r->file, path, "vertex", VG_STORE_I64, NULL, NULL, vertex));
    for (int64_t v = 0; v < count; v++)
        b->vertex[v] = (int32_t)vertex[v];
done:
    free(vertex);
    free(path);
    return status;
}

static void free_brain(brain *b)
{
    vg_store_names_free(b->hemisphere, b->hemisphere != NULL ? b->voxels : 0);
    vg_store_names_free(b->region, b->region != NULL ? b->voxels : 0);
    free(b->vertex);
    free(b->regions);
    for (int h = 0; h < 2; h++)
        vg_surface_free(&b->surface[h]);
}

static bool lies_in(const brain *b, int64_t voxel, int h)
{
    return b->hemisphere[voxel][0] == (h == 0 ? 'L' : 'R');
}

static vg_status open_surfaces(const report *r, brain *b)
{
    for (int h = 0; h < 2; h++) {
        if (r->surface[h] == NULL)
            continue;
        VG_TRY(vg_surface_open(r->surface[h], &b->surface[h]));
        for (int64_t v = 0; v < b->voxels; v++)
            if (lies_in(b, v, h) && (b->vertex[v] < 0 || b->vertex[v] >= b->surface[h].vertices))
                return vg_fail(VG_INVALID, "%s: has %lld vertices; the results have a vertex %d in this hemisphere: is it another surface?",
                               r->surface[h], (long long)b->surface[h].vertices, b->vertex[v]);
    }
    return VG_OK;
}

/* ---- numbers as base64 --------------------------------------------------------------------------------------------------------- */

static vg_status write_halves(const float *values, int64_t count, FILE *json)
{
    uint16_t *halves;
    VG_TRY(VG_NEW(&halves, count, "halves"));
    for (int64_t i = 0; i < count; i++)
        halves[i] = encode_half(values[i]);
    fputc('"', json);
    encode_base64(json, halves, (size_t)count * sizeof *halves);
    fputc('"', json);
    free(halves);
    return VG_OK;
}

static vg_status write_faces(const vg_surface *surface, FILE *json)
{
    bool wide = surface->vertices > UINT16_MAX;
    int64_t count = 3 * surface->faces;
    uint16_t *narrow = NULL;
    fprintf(json, ",\"wide\":%s,\"faces\":\"", wide ? "true" : "false");
    if (!wide)
        VG_TRY(VG_NEW(&narrow, count, "triangles"));
    for (int64_t i = 0; i < count && !wide; i++)
        narrow[i] = (uint16_t)surface->face[i];
    encode_base64(json, wide ? (const void *)surface->face : narrow, (size_t)count * (wide ? sizeof *surface->face : sizeof *narrow));
    fputc('"', json);
    free(narrow);
    return VG_OK;
}

static uint16_t region_number(brain *b, char *name)
{
    int64_t at = 0;
    if (*name == '\0')
        return 0;
    while (at < b->region_count && strcmp(b->regions[at], name) != 0)
        at++;
    if (at == b->region_count && at < MOST_REGIONS)
        b->regions[b->region_count++] = name;
    return (uint16_t)(at < MOST_REGIONS ? at + 1 : 0);
}

static vg_status write_labels(brain *b, int h, FILE *json)
{
    uint16_t *labels;
    VG_TRY(VG_NEW(&labels, b->surface[h].vertices, "labels"));
    for (int64_t v = 0; v < b->voxels; v++)
        if (lies_in(b, v, h))
            labels[b->vertex[v]] = region_number(b, b->region[v]);
    fputs(",\"labels\":\"", json);
    encode_base64(json, labels, (size_t)b->surface[h].vertices * sizeof *labels);
    fputc('"', json);
    free(labels);
    return VG_OK;
}

static vg_status write_hemispheres(brain *b, FILE *json)
{
    const char *comma = "";
    fputs("\"hemispheres\":[", json);
    for (int h = 0; h < 2; h++) {
        const vg_surface *surface = &b->surface[h];
        if (surface->vertices == 0)
            continue;
        fprintf(json, "%s{\"side\":\"%s\",\"count\":%lld,\"positions\":", comma, h == 0 ? "left" : "right", (long long)surface->vertices);
        VG_TRY(write_halves(surface->position, 3 * surface->vertices, json));
        VG_TRY(write_faces(surface, json));
        VG_TRY(write_labels(b, h, json));
        fputc('}', json);
        comma = ",";
    }
    fputs("],\"regions\":[", json);
    for (int64_t i = 0; i < b->region_count; i++) {
        fputs(i > 0 ? "," : "", json);
        encode_json(json, b->regions[i]);
    }
    fputc(']', json);
    return VG_OK;
}

/* ---- maps ------------------------------------------------------------------------------------------------------------------------ */

typedef struct {
    const report *r;
    brain *b;
    FILE *json;
    int64_t written, left_out, bytes;
} map_writer;

static vg_status write_values(const map_writer *w, const float *map)
{
    const char *comma = "";
    for (int h = 0; h < 2; h++) {
        int64_t count = w->b->surface[h].vertices;
        float *values;
        if (count == 0)
            continue;
        VG_TRY(VG_NEW(&values, count, "map"));
        for (int64_t v = 0; v < count; v++)
            values[v] = NAN;
        for (int64_t v = 0; v < w->b->voxels; v++)
            if (lies_in(w->b, v, h))
                values[w->b->vertex[v]] = map[v];
        fputs(comma, w->json);
        vg_status status = write_halves(values, count, w->json);
        free(values);
        VG_TRY(status);
        comma = ",";
    }
    return VG_OK;
}

static void write_range(const float *map, int64_t count, FILE *json)
{
    double least = INFINITY, most = -INFINITY;
    for (int64_t v = 0; v < count; v++) {
        least = fmin(least, (double)map[v]); /* of two numbers the one that is no NaN */
        most = fmax(most, (double)map[v]);
    }
    fputs(",\"least\":", json);
    encode_json_number(json, least);
    fputs(",\"most\":", json);
    encode_json_number(json, most);
}

/* One map of all voxels at a path of results.h5; nothing where it is not there or lies on other voxels. */
static vg_status write_map(map_writer *w, const char *path, const char *kind, const char *name, const char *label)
{
    vg_store_about about;
    float *map;
    int64_t each = (w->b->surface[0].vertices + w->b->surface[1].vertices) * 8 / 3;
    if (!vg_store_is_dataset(w->r->file, path))
        return VG_OK;
    VG_TRY(vg_store_describe(w->r->file, path, &about));
    if (about.dimensions != 1 || about.shape[0] != w->b->voxels)
        return VG_OK;
    if (w->bytes + each > MOST_BYTES) {
        w->left_out++;
        return VG_OK;
    }
    w->bytes += each;
    VG_TRY(VG_NEW(&map, w->b->voxels, "map"));
    vg_status status = vg_store_read(w->r->file, path, NULL, VG_STORE_F32, NULL, NULL, map);
    if (status == VG_OK) {
        fprintf(w->json, "%s{\"kind\":\"%s\",\"name\":", w->written++ > 0 ? "," : "", kind);
        encode_json(w->json, name);
        fputs(",\"label\":", w->json);
        encode_json(w->json, label);
        write_range(map, w->b->voxels, w->json);
        fputs(",\"values\":[", w->json);
        status = write_values(w, map);
        fputs("]}", w->json);
    }
    free(map);
    return status;
}

static vg_status write_space(map_writer *w, const report_space *space)
{
    char *path;
    VG_TRY(vg_format(&path, "/group/%s/mean", space->path));
    vg_status status = space->whole ? write_map(w, path, "score", space->name, space->label) : VG_OK;
    free(path);
    return status;
}

/* /families/maps/A--B/group/winner */
static vg_status write_winners(map_writer *w)
{
    char **names = NULL;
    int64_t count = 0;
    vg_status status = VG_OK;
    if (w->r->unfinished || !vg_store_has(w->r->file, "/families/maps"))
        return VG_OK;
    VG_TRY(vg_store_list(w->r->file, "/families/maps", &names, &count));
    for (int64_t i = 0; status == VG_OK && i < count; i++) {
        char *path;
        if (strstr(names[i], "--") == NULL)
            continue;
        status = vg_format(&path, "/families/maps/%s/group/winner", names[i]);
        if (status == VG_OK)
            status = write_map(w, path, "winner", names[i], names[i]);
        free(status == VG_OK ? path : NULL);
    }
    vg_store_names_free(names, count);
    return status;
}

static vg_status write_maps(map_writer *w)
{
    const report *r = w->r;
    fputs(",\"maps\":[", w->json);
    for (int pass = 0; pass < 2; pass++)
        for (int64_t i = 0; i < r->space_count; i++)
            if ((r->entries[r->spaces[i].entry].best == i) == (pass == 0))
                VG_TRY(write_space(w, &r->spaces[i]));
    VG_TRY(write_winners(w));
    fprintf(w->json, "],\"left_out\":%lld", (long long)w->left_out);
    return VG_OK;
}

vg_status report_brain(const report *r, FILE *json, const char **missing)
{
    brain b = {0};
    bool surface = false;
    vg_status status;
    VG_GO(read_voxels(r, &b));
    for (int64_t v = 0; v < b.voxels; v++)
        surface |= b.hemisphere[v][0] != '\0';
    if (!surface)
        *missing = "The responses do not lie on a surface (no voxel has a hemisphere and a vertex); maps/ has what can be mapped.";
    else if (r->surface[0] == NULL && r->surface[1] == NULL)
        *missing = "No surface was given: surface: {left: FILE, right: FILE} (FreeSurfer or GIFTI, lh.inflated and rh.inflated), or "
                   "voxgrad report --left FILE --right FILE.";
    else if (!vg_store_has(r->file, "/group"))
        *missing = "There is no map of the group: the subjects' voxels differ. maps/ has those of each subject.";
    if (*missing != NULL)
        goto done;
    VG_GO(open_surfaces(r, &b));
    map_writer w = {.r = r, .b = &b, .json = json};
    fputc('{', json);
    VG_GO(write_hemispheres(&b, json));
    VG_GO(write_maps(&w));
    fputc('}', json);
    if (w.written == 0)
        *missing = r->unfinished ? "No space has been fitted yet." : "There is no map of the group.";
done:
    free_brain(&b);
    return status;
}
