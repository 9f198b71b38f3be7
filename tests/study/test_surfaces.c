/* Protects: responses on both hemispheres, with labels of both: which voxel lies where in results.h5, the Destrieux regions by themselves
 * and of one hemisphere, voxels that are constant or not finite; the same of a volume with a mask; and what is refused: hemispheres in the
 * wrong place, labels of another surface, a region that the atlas does not know, runs shorter than delays, fewer rows than folds. SIMULATED
 * data. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "simulated.h"

enum { ROWS = 60, SIDE = 8 };

static const char heading[] = "features: [{name: own, file: own.npy}]\nalignment: {delays: [1], filter: none}\n"
                              "ridge: {alphas: [1, 100], outer_folds: 3, inner_folds: 2}\n";
static const char stories[] = "[{name: story, words: story.tsv}]";
static const char sides[] = "responses:\n  tr: 1.0\n  subjects: [{name: s1, runs: {story: {lh: lh.func.gii, rh: rh.func.gii}}}]\n";

/* Time courses of one hemisphere; vertex 2 is constant, vertex 3 has a NaN. */
static void write_side(simulated *s, char hemisphere, int64_t vertices)
{
    vg_space space = {.vertices = {vertices, vertices}};
    float *y = ar1_columns(ROWS, vertices, 0.3, (uint64_t)hemisphere);
    vg_voxel voxels[2 * SIDE];
    const char *names[ROWS];
    for (int64_t v = 0; v < vertices; v++)
        voxels[v] = (vg_voxel){hemisphere, (int32_t)v, -1, -1, -1};
    for (int64_t t = 0; t < ROWS; t++) {
        names[t] = "volume";
        y[t * vertices + 2] = 1;
    }
    y[5 * vertices + 3] = NAN;
    snprintf(s->path, sizeof s->path, "%s/%s.func.gii", s->folder, hemisphere == 'L' ? "lh" : "rh");
    assert_int_equal(vg_map_write(s->path, &space, hemisphere, voxels, (vg_matrix){y, ROWS, vertices, vertices}, names), VG_OK);
    free(y);
}

/* Labels: vertices 0 .. 3 are the transverse gyrus (HG), 4 and 5 the superior temporal sulcus (STS), the rest unknown. */
static void write_labels(simulated *s, char hemisphere, int64_t vertices)
{
    snprintf(s->path, sizeof s->path, "%s/%s.label.gii", s->folder, hemisphere == 'L' ? "lh" : "rh");
    FILE *file = fopen(s->path, "w");
    assert_non_null(file);
    fprintf(file,
            "<?xml version=\"1.0\"?><GIFTI Version=\"1.0\" NumberOfDataArrays=\"1\"><MetaData><MD><Name>AnatomicalStructurePrimary</Name>"
            "<Value>%s</Value></MD></MetaData><LabelTable><Label Key=\"0\">Unknown</Label><Label Key=\"1\">G_temp_sup-G_T_transv</Label>"
            "<Label Key=\"2\">S_temporal_sup</Label></LabelTable><DataArray Intent=\"NIFTI_INTENT_LABEL\" DataType=\"NIFTI_TYPE_INT32\" "
            "ArrayIndexingOrder=\"RowMajorOrder\" Dimensionality=\"1\" Dim0=\"%d\" Encoding=\"ASCII\" Endian=\"LittleEndian\" "
            "ExternalFileName=\"\" ExternalFileOffset=\"\"><MetaData/><Data>",
            hemisphere == 'L' ? "CortexLeft" : "CortexRight", (int)vertices);
    for (int64_t v = 0; v < vertices; v++)
        fprintf(file, "%d ", v < 4 ? 1 : v < 6 ? 2 : 0);
    fprintf(file, "</Data></DataArray></GIFTI>");
    fclose(file);
}

static void make_surfaces(simulated *s)
{
    simulated_begin(s, ROWS);
    float *own = ar1_columns(ROWS, 2, 0.5, 1);
    simulated_write(s, "own", own, 2);
    free(own);
    for (int i = 0; i < 2; i++) {
        write_side(s, "LR"[i], SIDE);
        write_labels(s, "LR"[i], SIDE);
    }
}

static void both_hemispheres(void **state)
{
    (void)state;
    simulated s;
    char text[1024], **names;
    int64_t count;
    make_surfaces(&s);
    snprintf(text, sizeof text, "%s%satlas: {labels: {lh: lh.label.gii, rh: rh.label.gii}}\n", heading, sides);
    vg_store_file *results = simulated_run(&s, text);
    double *vertex = read_all(results, "/subjects/s1/voxels", "vertex", 2 * SIDE),
           *usable = read_all(results, "/subjects/s1/voxels", "usable", 2 * SIDE);
    double *score = read_all(results, "/subjects/s1/files/own/score", NULL, 2 * SIDE);
    for (int v = 0; v < 2 * SIDE; v++) {
        bool dead = v % SIDE == 2 || v % SIDE == 3;
        assert_true(vertex[v] == v % SIDE && (usable[v] != 0) == !dead && isnan(score[v]) == dead);
    }
    assert_int_equal(vg_store_read_texts(results, "/subjects/s1/voxels", "hemisphere", &names, &count), VG_OK);
    assert_string_equal(names[0], "L");
    assert_string_equal(names[SIDE], "R");
    vg_store_names_free(names, count);
    assert_int_equal(vg_store_read_texts(results, "/subjects/s1/voxels", "region", &names, &count), VG_OK);
    assert_string_equal(names[SIDE + 4], "S_temporal_sup");
    vg_store_names_free(names, count);
    /* HG, STS, and both of either hemisphere; and all */
    static const char *const regions[] = {"HG", "STS", "HG lh", "STS lh", "HG rh", "STS rh", "all"};
    static const int voxels[] = {4, 4, 2, 2, 2, 2, 12};
    double *n = read_all(results, "/regions", "n", 7);
    assert_int_equal(vg_store_read_texts(results, "/regions", "region", &names, &count), VG_OK);
    assert_int_equal(count, 7);
    for (int r = 0; r < 7; r++) {
        assert_string_equal(names[r], regions[r]);
        assert_true(n[r] == voxels[r]);
    }
    vg_store_names_free(names, count);
    free(vertex);
    free(usable);
    free(score);
    free(n);
    vg_store_close(results);
    snprintf(text, sizeof text, "%s%satlas: {labels: {lh: lh.label.gii, rh: rh.label.gii}, region_hemisphere: right}\n", heading, sides);
    results = simulated_run(&s, text);
    assert_int_equal(vg_store_read_texts(results, "/regions", "region", &names, &count), VG_OK);
    assert_int_equal(count, 3);
    assert_string_equal(names[0], "HG rh");
    vg_store_names_free(names, count);
    vg_store_close(results);
    simulated_end(&s);
}

static void a_volume_and_its_mask(void **state)
{
    (void)state;
    simulated s;
    make_surfaces(&s);
    vg_space space = {.dimensions = {3, 2, 1}, .affine = {{2, 0, 0, 0}, {0, 2, 0, 0}, {0, 0, 2, 0}}};
    vg_voxel voxels[6];
    const char *names[ROWS];
    float *y = ar1_columns(ROWS, 6, 0.3, 9), mask[6] = {0, 1, 1, 0, 0, 1};
    for (int v = 0; v < 6; v++)
        voxels[v] = (vg_voxel){'\0', -1, v % 3, v / 3, 0};
    for (int t = 0; t < ROWS; t++)
        names[t] = "volume";
    snprintf(s.path, sizeof s.path, "%s/y.nii.gz", s.folder);
    assert_int_equal(vg_map_write(s.path, &space, '\0', voxels, (vg_matrix){y, ROWS, 6, 6}, names), VG_OK);
    snprintf(s.path, sizeof s.path, "%s/mask.nii", s.folder);
    assert_int_equal(vg_map_write(s.path, &space, '\0', voxels, (vg_matrix){mask, 1, 6, 6}, names), VG_OK);
    char text[1024];
    snprintf(text, sizeof text, "%sresponses: {tr: 1.0, mask: mask.nii, subjects: [{name: s1, runs: {story: y.nii.gz}}]}\n", heading);
    vg_store_file *results = simulated_run(&s, text);
    double *i = read_all(results, "/subjects/s1/voxels", "i", 3), *j = read_all(results, "/subjects/s1/voxels", "j", 3);
    assert_true(i[0] == 1 && i[1] == 2 && i[2] == 2 && j[0] == 0 && j[1] == 0 && j[2] == 1);
    free(i);
    free(j);
    free(y);
    vg_store_close(results);
    simulated_end(&s);
}

static void refused(simulated *s, const char *says, const char *format, ...)
{
    char text[1024];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    vg_status status = simulated_try(s, stories, text, NULL);
    if (status != VG_INVALID || strstr(vg_message(), says) == NULL)
        fail_msg("\"%s\" was expected, not status %d and \"%s\"", says, (int)status, vg_message());
}

static void what_does_not_fit_is_refused(void **state)
{
    (void)state;
    simulated s;
    make_surfaces(&s);
    refused(&s, "lh is of the right hemisphere",
            "%sresponses: {tr: 1.0, subjects: [{name: s1, runs: {story: {lh: rh.func.gii, rh: lh.func.gii}}}]}\n", heading);
    refused(&s, "labels the right hemisphere where subject s1 has the left one", "%s%satlas: {labels: [rh.label.gii, lh.label.gii]}\n",
            heading, sides);
    refused(&s, "atlas.regions: ", "%s%satlas: {labels: {lh: lh.label.gii, rh: rh.label.gii}, regions: {A: [S_temporal_sub]}}\n", heading,
            sides);
    assert_non_null(strstr(vg_message(), "S_temporal_sup")); /* the nearest that there is */
    write_labels(&s, 'R', SIDE + 1);
    refused(&s, "labels for 17 vertices", "%s%satlas: {labels: {lh: lh.label.gii, rh: rh.label.gii}}\n", heading, sides);
    refused(&s, "alignment.delays has one of 70", "features: [{name: own, file: own.npy}]\nalignment: {delays: [1, 70], filter: none}\n%s",
            sides);
    refused(&s, "ridge.outer_folds",
            "features: [{name: own, file: own.npy}]\nalignment: {delays: [1], filter: none}\nridge: {outer_folds: 61}\n%s", sides);
    refused(&s, "no story is called", "%s%ssplit: {test: [other]}\n", heading, sides);
    refused(&s, "no story is left to train on", "%s%ssplit: {test: [story]}\n", heading, sides);
    refused(&s, "neither a feature of the study nor a method", "%s%snuisance: [rate_lenght]\n", heading, sides);
    refused(&s, "columns and labels are both there", "%s%satlas: {labels: lh.label.gii, columns: [a]}\n", heading, sides);
    refused(&s, "{lh: file, rh: file}", "%sresponses: {tr: 1.0, subjects: [{name: s1, runs: {story: {left: a.gii}}}]}\n", heading);
    simulated_end(&s);
}

/* One penalty is a grid too. */
static void one_penalty(void **state)
{
    (void)state;
    simulated s;
    make_surfaces(&s);
    char text[1024];
    snprintf(text, sizeof text,
             "features: [{name: own, file: own.npy}]\nalignment: {delays: [1], filter: none}\nridge: {alphas: [10], outer_folds: 3, "
             "inner_folds: 2}\n%s",
             sides);
    vg_store_file *results = simulated_run(&s, text);
    double *alpha = read_all(results, "/subjects/s1/files/own/alpha", NULL, 3 * 2 * SIDE);
    assert_true(alpha[0] == 10 && isnan(alpha[2]));
    free(alpha);
    vg_store_close(results);
    simulated_end(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_hemispheres),
        cmocka_unit_test(a_volume_and_its_mask),
        cmocka_unit_test(what_does_not_fit_is_refused),
        cmocka_unit_test(one_penalty),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
