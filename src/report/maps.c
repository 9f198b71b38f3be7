/* maps: what the field's viewers open: one file a map, of the group (maps/) and of each subject (maps/SUBJECT/), on the surface
 * (maps/lh.MODEL.NAME.LL.mean.shape.gii, FreeSurfer's prefix and Connectome Workbench's extension) or in the volume (.nii.gz). The
 * space that the voxels lie in stands in attributes of /subjects/SUBJECT/voxels (study's fit): vertices_left, vertices_right; dimension_i,
 * _j, _k and affine (12 numbers, row by row). */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "report.h"

/* One subject's voxels and where they lie. */
typedef struct {
    const report *r;
    vg_space space;
    vg_voxel *voxels;
    int64_t count;
    bool side[2], volume; /* which hemispheres have voxels; voxels with i, j, k */
} places;

static vg_status attribute(const report *r, const char *path, const char *name, int64_t *value)
{
    double number = 0;
    if (vg_store_has_attribute(r->file, path, name))
        VG_TRY(vg_store_attribute_number(r->file, path, name, &number));
    *value = (int64_t)number;
    return VG_OK;
}

static vg_status read_affine(const report *r, const char *path, vg_space *space)
{
    char *text;
    if (!vg_store_has_attribute(r->file, path, "affine"))
        return VG_OK;
    VG_TRY(vg_store_attribute_text(r->file, path, "affine", &text));
    size_t at = 0, size, length = strlen(text);
    const char *field;
    for (int i = 0; i < 12; i++)
        if (!vg_field_next(text, length, ' ', &at, &field, &size) || !vg_parse_double(field, size, &space->affine[i / 4][i % 4])) {
            free(text);
            return vg_fail(VG_INVALID, "%s: %s: its attribute affine is not 12 numbers", r->path, path);
        }
    free(text);
    return VG_OK;
}

static vg_status read_space(const report *r, const char *path, vg_space *space)
{
    VG_TRY(attribute(r, path, "vertices_left", &space->vertices[0]));
    VG_TRY(attribute(r, path, "vertices_right", &space->vertices[1]));
    VG_TRY(attribute(r, path, "dimension_i", &space->dimensions[0]));
    VG_TRY(attribute(r, path, "dimension_j", &space->dimensions[1]));
    VG_TRY(attribute(r, path, "dimension_k", &space->dimensions[2]));
    return read_affine(r, path, space);
}

static vg_status read_numbers(const report *r, const char *path, places *p)
{
    static const char *const members[] = {"vertex", "i", "j", "k"};
    int64_t *numbers;
    VG_TRY(VG_NEW(&numbers, p->count, "voxels"));
    vg_status status = VG_OK;
    for (int m = 0; m < 4 && status == VG_OK; m++) {
        status = vg_store_read(r->file, path, members[m], VG_STORE_I64, NULL, NULL, numbers);
        for (int64_t v = 0; v < p->count && status == VG_OK; v++) {
            int32_t number = (int32_t)numbers[v];
            int32_t *to[] = {&p->voxels[v].vertex, &p->voxels[v].i, &p->voxels[v].j, &p->voxels[v].k};
            *to[m] = number;
        }
    }
    free(numbers);
    return status;
}

static vg_status read_places(const report *r, int64_t subject, places *p)
{
    char *path, **hemisphere = NULL;
    int64_t count = 0;
    vg_status status;
    *p = (places){.r = r, .count = r->about[subject].voxels};
    VG_TRY(vg_format(&path, "/subjects/%s/voxels", r->subjects[subject]));
    VG_GO(read_space(r, path, &p->space));
    VG_GO(VG_NEW(&p->voxels, p->count, "voxels"));
    VG_GO(vg_store_read_texts(r->file, path, "hemisphere", &hemisphere, &count));
    VG_GO(read_numbers(r, path, p));
    for (int64_t v = 0; v < p->count; v++) {
        p->voxels[v].hemisphere = hemisphere[v][0];
        for (int h = 0; h < 2; h++)
            p->side[h] |= p->space.vertices[h] > 0 && hemisphere[v][0] == (h == 0 ? 'L' : 'R');
        p->volume |= p->space.dimensions[0] > 0 && hemisphere[v][0] == '\0' && p->voxels[v].i >= 0;
    }
done:
    vg_store_names_free(hemisphere, count);
    free(path);
    return status;
}

/* ---- writing -------------------------------------------------------------------------------------------------------------------- */

static vg_status make_folder(const char *above, const char *name, char **folder)
{
    VG_TRY(vg_format(folder, "%s/maps%s%s", above, *name != '\0' ? "/" : "", name));
    if (mkdir(*folder, 0777) == 0 || errno == EEXIST)
        return VG_OK;
    vg_status status = vg_fail(errno == ENOSPC ? VG_NO_SPACE : VG_INVALID, "%s: cannot be made: %s", *folder, strerror(errno));
    free(*folder);
    return status;
}

/* FOLDER/[lh.]MODEL.NAME[.LL].WHAT.(shape.gii|nii.gz) */
static vg_status write_files(const places *p, const report_space *space, const char *what, vg_matrix maps, const char *folder)
{
    static const char *const prefixes[] = {"lh.", "rh.", ""}, *const extensions[] = {"shape.gii", "shape.gii", "nii.gz"};
    const char *layer = space->layer;
    for (int part = 0; part < 3; part++) {
        char *path, *label;
        if (!(part < 2 ? p->side[part] : p->volume))
            continue;
        VG_TRY(vg_format(&label, "%s %s", space->path, what));
        vg_status status = vg_format(&path, "%s/%s%s.%s%s%s.%s.%s", folder, prefixes[part], space->model, space->name,
                                     *layer != '\0' ? "." : "", layer, what, extensions[part]);
        if (status == VG_OK) {
            status = vg_map_write(path, &p->space, "LR"[part], p -> voxels, maps, (const char *const *)&label);
            free(path);
        }
        free(label);
        VG_TRY(status);
    }
    return VG_OK;
}

/* The map at ABOVE/MODEL/NAME[/LL]/WHAT of results.h5, where there is one for these voxels. */
static vg_status write_map(const places *p, const char *above, const report_space *space, const char *what, const char *folder)
{
    vg_store_about about;
    float *map = NULL;
    char *path;
    VG_TRY(vg_format(&path, "%s/%s/%s", above, space->path, what));
    vg_status status = VG_OK;
    if (vg_store_is_dataset(p->r->file, path) && vg_store_describe(p->r->file, path, &about) == VG_OK && about.dimensions == 1 &&
        about.shape[0] == p->count) {
        status = VG_NEW(&map, p->count, "map");
        if (status == VG_OK)
            status = vg_store_read(p->r->file, path, NULL, VG_STORE_F32, NULL, NULL, map);
        if (status == VG_OK)
            status = write_files(p, space, what, (vg_matrix){.data = map, .rows = 1, .columns = p->count, .ld = p->count}, folder);
    }
    free(map);
    free(path);
    return status;
}

static const char *const group_maps[] = {"mean", "unique", "q", NULL}, *const subject_maps[] = {"score", "unique", NULL};

static vg_status write_folder(const report *r, const places *p, const char *above, const char *name, const char *const *what,
                              const char *output)
{
    char *folder;
    VG_TRY(make_folder(output, name, &folder));
    vg_status status = VG_OK;
    for (int64_t i = 0; status == VG_OK && i < r->space_count; i++) {
        for (int w = 0; status == VG_OK && what[w] != NULL && r->spaces[i].whole; w++)
            status = write_map(p, above, &r->spaces[i], what[w], folder);
        vg_progress_step(1);
    }
    free(folder);
    return status;
}

static vg_status write_subject(const report *r, int64_t subject, const places *p, const char *output)
{
    char *above;
    if (subject == 0 && !r->unfinished) /* the group's maps lie on the voxels that all subjects share */
        VG_TRY(write_folder(r, p, "/group", "", group_maps, output));
    VG_TRY(vg_format(&above, "/subjects/%s", r->subjects[subject]));
    vg_status status = write_folder(r, p, above, r->subjects[subject], subject_maps, output);
    free(above);
    return status;
}

vg_status report_maps(const report *r, const char *folder, const char **missing)
{
    vg_status status = VG_OK;
    *missing = "the responses do not say where their voxels lie";
    for (int64_t s = 0; s < r->subject_count && status == VG_OK; s++) {
        places p;
        status = read_places(r, s, &p);
        if (status == VG_OK && (p.side[0] || p.side[1] || p.volume)) {
            if (*missing != NULL)
                vg_progress_begin("maps", r->space_count * (r->subject_count + !r->unfinished), "spaces");
            *missing = NULL;
            status = write_subject(r, s, &p, folder);
        }
        free(p.voxels);
    }
    if (*missing == NULL)
        vg_progress_end();
    return status;
}
