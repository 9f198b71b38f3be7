/* atlas: a label for every voxel, from columns or from files side by side, and regions as unions of labels. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "atlas.h"
#include "responses.h"

void vg_atlas_free(vg_atlas *atlas)
{
    for (int64_t i = 0; atlas->names != NULL && i < atlas->name_count; i++)
        free(atlas->names[i]);
    free(atlas->names);
    free(atlas->labels);
    free(atlas->hemispheres);
    *atlas = (vg_atlas){0};
}

static int64_t find_name(const char *const *names, int64_t count, const char *wanted)
{
    for (int64_t i = 0; i < count; i++)
        if (strcmp(names[i], wanted) == 0)
            return i;
    return -1;
}

/* "... has no WANTED; the nearest is ..." */
static vg_status no_such_name(const char *const *names, int64_t count, const char *what, const char *wanted)
{
    const char **known;
    VG_TRY(VG_NEW(&known, count + 1, "names"));
    for (int64_t i = 0; i < count; i++)
        known[i] = names[i];
    const char *nearest = vg_nearest(wanted, known);
    free(known);
    if (nearest != NULL)
        return vg_fail(VG_INVALID, "%s \"%s\" is not there; did you mean \"%s\"?", what, wanted, nearest);
    return vg_fail(VG_INVALID, "%s \"%s\" is not there (there are %lld, the first is \"%s\")", what, wanted, (long long)count,
                   count > 0 ? names[0] : "");
}

static vg_status label_columns(const vg_responses *responses, const char *const *names, int64_t count, vg_atlas *atlas)
{
    const char *const *own = vg_responses_names(responses);
    int64_t voxels = atlas->voxels;
    VG_TRY(VG_NEW(&atlas->labels, voxels, "labels"));
    VG_TRY(VG_NEW(&atlas->names, count, "names of labels"));
    atlas->name_count = count;
    for (int64_t v = 0; v < voxels; v++)
        atlas->labels[v] = own == NULL || names == NULL ? (int32_t)v : -1;
    for (int64_t i = 0; i < count; i++) {
        const char *name = names != NULL ? names[i] : own != NULL ? own[i] : "";
        VG_TRY(vg_format(&atlas->names[i], "%s", name));
        if (names != NULL && find_name(names, i, names[i]) >= 0)
            return vg_fail(VG_INVALID, "columns: \"%s\" stands there twice", names[i]);
        if (names == NULL || own == NULL)
            continue;
        int64_t v = find_name(own, voxels, names[i]);
        if (v < 0)
            return no_such_name(own, voxels, "column", names[i]);
        atlas->labels[v] = (int32_t)i;
    }
    return VG_OK;
}

vg_status vg_atlas_columns(const vg_responses *responses, const char *const *names, int64_t count, vg_atlas *atlas)
{
    *atlas = (vg_atlas){.voxels = vg_responses_voxels(responses)};
    bool named = vg_responses_names(responses) != NULL;
    if (names == NULL && !named)
        return vg_fail(VG_INVALID, "the responses do not name their columns: give %lld names (`columns: [...]`)", (long long)atlas->voxels);
    if (names != NULL && !named && count != atlas->voxels)
        return vg_fail(VG_INVALID, "columns: %lld names for %lld columns that have none of their own", (long long)count,
                       (long long)atlas->voxels);
    if (atlas->voxels > INT32_MAX)
        return vg_fail(VG_INVALID, "columns: %lld are too many to be labels", (long long)atlas->voxels);
    vg_status status = label_columns(responses, names, names != NULL ? count : atlas->voxels, atlas);
    if (status != VG_OK)
        vg_atlas_free(atlas);
    return status;
}

/* ---- files side by side -------------------------------------------------------------------------------------------------------- */

char vg_hemisphere_of(const char *path)
{
    static const struct {
        const char *mark;
        char hemisphere;
    } marks[] = {{"lh.", 'L'},    {"rh.", 'R'}, {".lh", 'L'}, {".rh", 'R'},  {"hemi-l", 'L'},
                 {"hemi-r", 'R'}, {".l.", 'L'}, {".r.", 'R'}, {"left", 'L'}, {"right", 'R'}};
    const char *slash = strrchr(path, '/'), *base = slash != NULL ? slash + 1 : path;
    for (size_t i = 0; i < sizeof marks / sizeof *marks; i++) {
        const char *found = strcasestr(base, marks[i].mark);
        bool lead = marks[i].mark[0] == 'l' || marks[i].mark[0] == 'r' || marks[i].mark[0] == 'h'; /* not in the middle of a word */
        if (found != NULL && (!lead || found == base || strchr("._-", found[-1]) != NULL))
            return marks[i].hemisphere;
    }
    return '\0';
}

static vg_status open_annot(const char *path, const char *table, vg_atlas *atlas)
{
    (void)table;
    vg_file file;
    VG_TRY(vg_file_open(path, &file));
    vg_status status = vg_annot_parse(path, file.data, file.size, atlas);
    vg_file_close(&file);
    return status;
}

static const struct {
    const char *extension;
    vg_status (*open)(const char *path, const char *table, vg_atlas *atlas);
} formats[] = {{".annot", open_annot},
               {".gii", vg_gifti_labels},
               {".gii.gz", vg_gifti_labels},
               {".nii", vg_nifti_labels},
               {".nii.gz", vg_nifti_labels}};

static vg_status open_labels(const char *path, const char *table, vg_atlas *atlas)
{
    for (size_t f = 0; f < sizeof formats / sizeof *formats; f++) {
        size_t length = strlen(formats[f].extension), size = strlen(path);
        if (size >= length && strcasecmp(path + size - length, formats[f].extension) == 0)
            return formats[f].open(path, table, atlas);
    }
    return vg_fail(VG_INVALID, "%s: is not an atlas of a known format (.annot .gii .nii)", path);
}

/* Puts `next` behind `all`: its voxels after the others', its names as its own. Takes next's memory. */
static vg_status append(vg_atlas *all, vg_atlas *next, char hemisphere)
{
    vg_atlas sum = {.voxels = all->voxels + next->voxels, .name_count = all->name_count + next->name_count};
    vg_status status = VG_NEW(&sum.labels, sum.voxels, "labels");
    if (status == VG_OK)
        status = VG_NEW(&sum.names, sum.name_count, "names of labels");
    if (status == VG_OK)
        status = VG_NEW(&sum.hemispheres, sum.name_count, "hemispheres of labels");
    for (int64_t v = 0; v < sum.voxels && status == VG_OK; v++) {
        int32_t label = v < all->voxels ? all->labels[v] : next->labels[v - all->voxels];
        sum.labels[v] = v < all->voxels || label < 0 ? label : label + (int32_t)all->name_count;
    }
    for (int64_t i = 0; i < sum.name_count && status == VG_OK; i++) {
        vg_atlas *from = i < all->name_count ? all : next;
        int64_t at = i < all->name_count ? i : i - all->name_count;
        sum.names[i] = from->names[at];
        from->names[at] = NULL;
        sum.hemispheres[i] = from == all ? all->hemispheres[at] : hemisphere;
    }
    vg_atlas_free(next);
    vg_atlas_free(all);
    *all = sum;
    return status;
}

/* Leaves the labels of the responses' voxels. */
static vg_status pick_voxels(const vg_responses *responses, vg_atlas *atlas)
{
    int32_t *labels;
    int64_t voxels = vg_responses_voxels(responses);
    VG_TRY(VG_NEW(&labels, voxels, "labels"));
    for (int64_t v = 0; v < voxels; v++)
        labels[v] = atlas->labels[vg_responses_column(responses, v)];
    free(atlas->labels);
    atlas->labels = labels;
    atlas->voxels = voxels;
    return VG_OK;
}

vg_status vg_atlas_open(const char *const *paths, int64_t count, const char *table, const vg_responses *responses, vg_atlas *atlas)
{
    vg_status status = VG_OK;
    int64_t columns = vg_responses_columns(responses);
    *atlas = (vg_atlas){0};
    for (int64_t i = 0; i < count; i++) {
        vg_atlas next;
        VG_GO(open_labels(paths[i], table, &next));
        VG_GO(append(atlas, &next, vg_hemisphere_of(paths[i])));
    }
    if (atlas->voxels != columns)
        VG_GO(vg_fail(VG_INVALID, "%s: the atlas has labels for %lld vertices or voxels, the responses have %lld",
                      count > 0 ? paths[0] : "atlas", (long long)atlas->voxels, (long long)columns));
    VG_GO(pick_voxels(responses, atlas));
done:
    if (status != VG_OK)
        vg_atlas_free(atlas);
    return status;
}

/* ---- regions ------------------------------------------------------------------------------------------------------------------- */

/* wanted (name_count): which labels make up the region. */
static vg_status gather_voxels(const vg_atlas *atlas, const uint8_t *wanted, vg_region *region)
{
    for (int64_t v = 0; v < atlas->voxels; v++)
        region->count += atlas->labels[v] >= 0 && wanted[atlas->labels[v]];
    VG_TRY(VG_NEW(&region->voxels, region->count, "voxels of a region"));
    int64_t used = 0;
    for (int64_t v = 0; v < atlas->voxels; v++)
        if (atlas->labels[v] >= 0 && wanted[atlas->labels[v]])
            region->voxels[used++] = v;
    return VG_OK;
}

/* Whether label i is what a rule calls `wanted`. */
static bool is_called(const vg_atlas *atlas, int64_t i, const char *wanted)
{
    bool left = strncmp(wanted, "lh:", 3) == 0, right = strncmp(wanted, "rh:", 3) == 0;
    if (strcmp(atlas->names[i], wanted) == 0)
        return true;
    char hemisphere = atlas->hemispheres != NULL ? atlas->hemispheres[i] : '\0';
    return ((left && hemisphere == 'L') || (right && hemisphere == 'R')) && strcmp(atlas->names[i], wanted + 3) == 0;
}

static vg_status follow_rule(const vg_atlas *atlas, const vg_region_rule *rule, uint8_t *wanted, vg_regions *regions)
{
    for (int64_t i = 0; i < regions->count; i++)
        if (strcmp(regions->regions[i].name, rule->name) == 0)
            return vg_fail(VG_INVALID, "regions: two are named \"%s\"", rule->name);
    vg_region *region = &regions->regions[regions->count++];
    VG_TRY(vg_format(&region->name, "%s", rule->name));
    memset(wanted, 0, (size_t)atlas->name_count);
    for (const char *const *label = rule->labels; *label != NULL; label++) {
        bool found = false;
        for (int64_t i = 0; i < atlas->name_count; i++)
            if (is_called(atlas, i, *label))
                wanted[i] = found = true;
        if (!found)
            return vg_fail_within(no_such_name((const char *const *)atlas->names, atlas->name_count, "label", *label),
                                  "region %s: ", rule->name);
    }
    VG_TRY(gather_voxels(atlas, wanted, region));
    return region->count > 0 ? VG_OK : vg_fail(VG_INVALID, "region %s: no voxel has its labels", rule->name);
}

/* One region a label that has voxels, in the atlas's order. */
static vg_status follow_labels(const vg_atlas *atlas, uint8_t *wanted, vg_regions *regions)
{
    for (int64_t i = 0; i < atlas->name_count; i++) {
        vg_region *region = &regions->regions[regions->count];
        char hemisphere = atlas->hemispheres != NULL ? atlas->hemispheres[i] : '\0';
        memset(wanted, 0, (size_t)atlas->name_count);
        wanted[i] = 1;
        VG_TRY(gather_voxels(atlas, wanted, region));
        if (region->count == 0) {
            free(region->voxels);
            region->voxels = NULL;
            continue;
        }
        regions->count++;
        VG_TRY(vg_format(&region->name, "%s%s", hemisphere == 'L' ? "lh:" : hemisphere == 'R' ? "rh:" : "", atlas->names[i]));
    }
    return VG_OK;
}

vg_status vg_regions_create(const vg_atlas *atlas, const vg_region_rule *rules, int64_t rule_count, vg_regions *regions)
{
    uint8_t *wanted = NULL;
    vg_status status = VG_OK;
    *regions = (vg_regions){0};
    VG_GO(VG_NEW(&wanted, atlas->name_count, "labels"));
    VG_GO(VG_NEW(&regions->regions, rule_count > 0 ? rule_count : atlas->name_count, "regions"));
    for (int64_t i = 0; i < rule_count; i++)
        VG_GO(follow_rule(atlas, &rules[i], wanted, regions));
    if (rule_count == 0)
        VG_GO(follow_labels(atlas, wanted, regions));
done:
    free(wanted);
    if (status != VG_OK)
        vg_regions_free(regions);
    return status;
}

void vg_regions_free(vg_regions *regions)
{
    for (int64_t i = 0; regions->regions != NULL && i < regions->count; i++) {
        free(regions->regions[i].name);
        free(regions->regions[i].voxels);
    }
    free(regions->regions);
    *regions = (vg_regions){0};
}
