/* brain: the group's maps and the surfaces they lie on, for the page's turning brain: positions and values as float16, triangles as uint16
 * (uint32 where there are more vertices), labels of the atlas as uint16. JSON:
 *   hemispheres  [{side, count, positions, faces, wide, labels}]     labels: 0 none, else 1 + index into regions
 *   maps         [{kind, name, label, least, most, layers?, passes?, values: [a hemisphere each]}]
 *   tested, level, shifts    what q is of; a vertex passes where q < level (passes: uint8); shifts of the null, 0: there is none
 * kind: "score"; "difference" (of a contrast); "winner" (1, 0: tie, -1); "layer" (places among `layers`; NaN where the best does not pass).
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "report.h"

/* A page that a mailbox takes: of more maps, the best layer of each feature comes first, and the page says how many are left out. */
enum { MOST_BYTES = 9000000, MOST_REGIONS = 65535 };

/* What the page shows of a map at first, where there is a null: the false discovery rate among the vertices that pass. */
static const float LEVEL = 0.05f;

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

/* Where q of the map at ABOVE is below the level: a byte a vertex. Nothing of a running study, whose q are not there yet. */
static vg_status write_passing(const map_writer *w, const char *above)
{
    const brain *b = w->b;
    char *path;
    float *q = NULL;
    uint8_t *passes = NULL;
    vg_status status;
    VG_TRY(vg_format(&path, "%s/q", above));
    status = VG_OK;
    if (w->r->unfinished || !vg_store_is_dataset(w->r->file, path))
        goto done;
    VG_GO(VG_NEW(&q, b->voxels, "map"));
    VG_GO(vg_store_read(w->r->file, path, NULL, VG_STORE_F32, NULL, NULL, q));
    const char *comma = ",\"passes\":[";
    for (int h = 0; h < 2; h++) {
        int64_t count = b->surface[h].vertices;
        if (count == 0)
            continue;
        VG_GO(VG_NEW(&passes, count, "map"));
        for (int64_t v = 0; v < b->voxels; v++)
            if (lies_in(b, v, h))
                passes[b->vertex[v]] = q[v] < LEVEL;
        fprintf(w->json, "%s\"", comma);
        encode_base64(w->json, passes, (size_t)count);
        fputc('"', w->json);
        comma = ",";
        free(passes);
        passes = NULL;
    }
    fputc(']', w->json);
done:
    free(passes);
    free(q);
    free(path);
    return status;
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

/* What a map is. layers: the group that has them as an attribute; NULL: none. */
typedef struct {
    const char *kind, *name, *label, *layers;
} map_about;

static vg_status write_layers(const map_writer *w, const char *group)
{
    char **layers = NULL;
    int64_t count = 0;
    VG_TRY(vg_store_attribute_texts(w->r->file, group, "layers", &layers, &count));
    fputs(",\"layers\":[", w->json);
    for (int64_t l = 0; l < count; l++) {
        fputs(l > 0 ? "," : "", w->json);
        encode_json(w->json, layers[l]);
    }
    fputc(']', w->json);
    vg_store_names_free(layers, count);
    return VG_OK;
}

static vg_status write_map_json(map_writer *w, const float *map, const char *above, const map_about *about)
{
    fprintf(w->json, "%s{\"kind\":\"%s\",\"name\":", w->written++ > 0 ? "," : "", about->kind);
    encode_json(w->json, about->name);
    fputs(",\"label\":", w->json);
    encode_json(w->json, about->label);
    write_range(map, w->b->voxels, w->json);
    if (about->layers != NULL)
        VG_TRY(write_layers(w, about->layers));
    if (strcmp(about->kind, "score") == 0 || strcmp(about->kind, "difference") == 0)
        VG_TRY(write_passing(w, above));
    fputs(",\"values\":[", w->json);
    VG_TRY(write_values(w, map));
    fputs("]}", w->json);
    return VG_OK;
}

/* One map of all voxels at ABOVE/WHAT of results.h5; nothing where it is not there or lies on other voxels. */
static vg_status write_map(map_writer *w, const char *above, const char *what, map_about about)
{
    vg_store_about shape;
    char *path;
    float *map = NULL;
    int64_t each = (w->b->surface[0].vertices + w->b->surface[1].vertices) * 4; /* 3 bytes a vertex, in base64 */
    vg_status status;
    VG_TRY(vg_format(&path, "%s/%s", above, what));
    status = VG_OK;
    if (!vg_store_is_dataset(w->r->file, path))
        goto done;
    VG_GO(vg_store_describe(w->r->file, path, &shape));
    if (shape.dimensions != 1 || shape.shape[0] != w->b->voxels)
        goto done;
    if (w->bytes + each > MOST_BYTES) {
        w->left_out++;
        goto done;
    }
    w->bytes += each;
    VG_GO(VG_NEW(&map, w->b->voxels, "map"));
    VG_GO(vg_store_read(w->r->file, path, NULL, VG_STORE_F32, NULL, NULL, map));
    status = write_map_json(w, map, above, &about);
done:
    free(map);
    free(path);
    return status;
}

/* Of each feature its best layer; then the others. */
static vg_status write_spaces(map_writer *w, bool best)
{
    for (int64_t i = 0; i < w->r->space_count; i++) {
        const report_space *space = &w->r->spaces[i];
        char above[700];
        if ((w->r->entries[space->entry].best == i) != best || !space->whole)
            continue;
        snprintf(above, sizeof above, "/group/%s", space->path);
        VG_TRY(write_map(w, above, "mean", (map_about){"score", space->name, space->label, NULL}));
    }
    return VG_OK;
}

/* Every group A--B of `above`: of families (above/A--B/group/winner), of contrasts (above/A--B/mean). */
static vg_status write_pairs(map_writer *w, const char *above, const char *what, const char *kind)
{
    char **names = NULL;
    int64_t count = 0;
    vg_status status = VG_OK;
    if (w->r->unfinished || !vg_store_has(w->r->file, above))
        return VG_OK;
    VG_TRY(vg_store_list(w->r->file, above, &names, &count));
    for (int64_t i = 0; status == VG_OK && i < count; i++) {
        char group[1400], label[1400];
        const char *parted = strstr(names[i], "--");
        if (parted == NULL)
            continue;
        snprintf(group, sizeof group, "%s/%s", above, names[i]);
        snprintf(label, sizeof label, "%.*s less %s", (int)(parted - names[i]), names[i], parted + 2);
        status = write_map(w, group, what, (map_about){kind, names[i], label, NULL});
    }
    vg_store_names_free(names, count);
    return status;
}

/* Of each feature with layers where its best one passes: the group's centre of mass, or every subject's preferred layer. */
static vg_status write_preferred(map_writer *w, bool group)
{
    const report *r = w->r;
    for (int64_t e = 0; e < r->entry_count && !r->unfinished; e++) {
        const report_entry *entry = &r->entries[e];
        char layers[700], above[1000], label[1000];
        const char *model = r->model_count > 1 ? entry->model : "", *slash = r->model_count > 1 ? "/" : "";
        snprintf(layers, sizeof layers, "/layers/maps/%s/%s", entry->model, entry->name);
        for (int64_t s = 0; s < (group ? 1 : r->subject_count); s++) {
            snprintf(above, sizeof above, group ? "%s/group" : "%s/subjects/%s", layers, r->subjects[s]);
            snprintf(label, sizeof label, group ? "%s%s%s, group's centre of mass" : "%s%s%s, preferred by %s", model, slash, entry->name,
                     r->subjects[s]);
            VG_TRY(write_map(w, above, group ? "center_of_mass" : "preferred", (map_about){"layer", entry->name, label, layers}));
        }
    }
    return VG_OK;
}

/* What is most looked at comes first: a page holds so much. */
static vg_status write_maps(map_writer *w)
{
    fputs(",\"maps\":[", w->json);
    VG_TRY(write_spaces(w, true));
    VG_TRY(write_pairs(w, "/families/maps", "group/winner", "winner"));
    VG_TRY(write_preferred(w, true));
    VG_TRY(write_spaces(w, false));
    VG_TRY(write_pairs(w, "/group/contrasts", "mean", "difference"));
    VG_TRY(write_preferred(w, false));
    fprintf(w->json, "],\"tested\":\"%s\",\"level\":%g,\"shifts\":%lld,\"left_out\":%lld", w->r->unique ? "unique variance" : "score",
            (double)LEVEL, (long long)w->r->shifts, (long long)w->left_out);
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
