/* Protects: NIfTI and GIFTI as nibabel writes them (tests/brain/files, by tests/oracle/make_brain_goldens.py) are read to the last bit:
 * types, byte order, scaling, compression, orientation, hemispheres, labels; maps that are written are read back; cut files are refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "scratch.h"
#include "voxgrad/brain.h"

/* One of four paths in turn. */
static const char *join(const char *directory, const char *name)
{
    static char paths[4][8192];
    static int turn;
    char *path = paths[turn++ % 4];
    snprintf(path, sizeof paths[0], "%s/%s", directory, name);
    return path;
}

static const char *given(const char *name)
{
    char directory[4096];
    snprintf(directory, sizeof directory, "%s/tests/brain/files", getenv("VG_SOURCE"));
    return join(directory, name);
}

static vg_responses *open_one(const char *path, const char *mask)
{
    vg_responses *responses;
    if (vg_responses_open(&path, 1, mask, &responses) != VG_OK)
        fail_msg("%s", vg_message());
    return responses;
}

static float *read_all(vg_responses *responses)
{
    int64_t rows = vg_responses_rows(responses), voxels = vg_responses_voxels(responses);
    float *data = malloc((size_t)(rows * voxels) * sizeof *data);
    assert_int_equal(vg_responses_read(responses, 0, (vg_matrix){data, rows, voxels, voxels}), VG_OK);
    return data;
}

/* Voxel (i, j, k) of volume t is ((3 i + j) 4 + k) 5 + t in all of them. */
static void volumes_are_read_as_nibabel_wrote_them(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        double slope, intercept;
        bool placed;
    } cases[] = {{"scaled.nii.gz", .5, -3, true}, {"two.nii", 1, 0, true}, {"big.nii", 1, 0, false}};
    for (size_t c = 0; c < 3; c++) {
        vg_responses *responses = open_one(given(cases[c].name), NULL);
        assert_int_equal(vg_responses_rows(responses), 5);
        assert_int_equal(vg_responses_voxels(responses), 24);
        float *data = read_all(responses), some[5 * 7];
        for (int64_t v = 0; v < 24; v++) {
            vg_voxel voxel = vg_responses_voxel(responses, v);
            assert_int_equal(v, voxel.i + 2 * (voxel.j + 3 * voxel.k));
            for (int t = 0; t < 5; t++)
                assert_true(data[t * 24 + v] ==
                            (float)(cases[c].slope * (((3 * voxel.i + voxel.j) * 4 + voxel.k) * 5 + t) + cases[c].intercept));
        }
        assert_int_equal(vg_responses_read(responses, 11, (vg_matrix){some, 5, 7, 7}), VG_OK);
        for (int t = 0; t < 5; t++)
            assert_memory_equal(some + 7 * t, data + 24 * t + 11, sizeof(float) * 7);
        vg_space space = vg_responses_space(responses);
        assert_int_equal(space.dimensions[2], 4);
        assert_int_equal(space.vertices[0], 0);
        if (cases[c].placed)
            assert_true(space.affine[0][0] == -2 && space.affine[1][2] == .5 && space.affine[2][3] == -72);
        else
            assert_true(space.affine[2][2] == 3);
        free(data);
        vg_responses_close(responses);
    }
}

static void a_mask_leaves_its_voxels(void **state)
{
    (void)state;
    vg_responses *all = open_one(given("two.nii"), NULL), *some = open_one(given("two.nii"), given("labels.nii.gz"));
    float *everything = read_all(all), *masked = read_all(some);
    assert_int_equal(vg_responses_voxels(some), 16);
    for (int64_t v = 0; v < 16; v++) {
        vg_voxel voxel = vg_responses_voxel(some, v);
        assert_true(((3 * voxel.i + voxel.j) * 4 + voxel.k) * 5 % 3 != 0);
        for (int t = 0; t < 5; t++)
            assert_true(masked[t * 16 + v] == everything[t * 24 + voxel.i + 2 * (voxel.j + 3 * voxel.k)]);
    }
    free(everything);
    free(masked);
    vg_responses_close(all);
    vg_responses_close(some);
}

static void labels_of_a_volume_have_names(void **state)
{
    (void)state;
    vg_responses *responses = open_one(given("two.nii"), NULL);
    const char *atlas_path = given("labels.nii.gz"), *table = join(folder, "names.tsv");
    vg_atlas atlas;
    FILE *file = fopen(table, "w");
    fputs("index\tname\n0\tnothing\n20\tSTS\tred\n", file);
    fclose(file);
    assert_int_equal(vg_atlas_open(&atlas_path, 1, table, responses, &atlas), VG_OK);
    assert_int_equal(atlas.name_count, 2);
    assert_string_equal(atlas.names[0], "10");
    assert_string_equal(atlas.names[1], "STS");
    for (int64_t v = 0; v < 24; v++) {
        vg_voxel voxel = vg_responses_voxel(responses, v);
        int number = ((3 * voxel.i + voxel.j) * 4 + voxel.k) * 5;
        assert_int_equal(atlas.labels[v], number % 3 - 1);
    }
    vg_atlas_free(&atlas);
    assert_int_equal(vg_atlas_open(&atlas_path, 1, join(folder, "none.tsv"), responses, &atlas), VG_INVALID);
    const char *no_labels = given("scaled.nii.gz");
    assert_int_equal(vg_atlas_open(&no_labels, 1, NULL, responses, &atlas), VG_INVALID);
    assert_non_null(strstr(vg_message(), "one volume, not 5"));
    vg_responses_close(responses);
}

/* Vertex v of volume t is (6 t + v) / 4. */
static void surfaces_are_read_as_nibabel_wrote_them(void **state)
{
    (void)state;
    const char *both[] = {given("series.func.gii"), given("table_right.func.gii.gz")};
    vg_responses *responses;
    if (vg_responses_open(both, 2, NULL, &responses) != VG_OK)
        fail_msg("%s", vg_message());
    assert_int_equal(vg_responses_rows(responses), 4);
    assert_int_equal(vg_responses_voxels(responses), 12);
    float *data = read_all(responses);
    for (int64_t v = 0; v < 12; v++) {
        vg_voxel voxel = vg_responses_voxel(responses, v);
        assert_int_equal(voxel.hemisphere, v < 6 ? 'L' : 'R');
        assert_int_equal(voxel.vertex, v % 6);
        for (int t = 0; t < 4; t++)
            assert_true(data[12 * t + v] == (float)(6 * t + v % 6) / 4);
    }
    vg_space space = vg_responses_space(responses);
    assert_true(space.vertices[0] == 6 && space.vertices[1] == 6 && space.dimensions[0] == 0);
    free(data);
    vg_responses_close(responses);

    responses = open_one(given("series.func.gii"), NULL);
    const char *labels = given("lh.labels.label.gii");
    vg_atlas atlas;
    if (vg_atlas_open(&labels, 1, NULL, responses, &atlas) != VG_OK)
        fail_msg("%s", vg_message());
    static const int32_t expected[] = {1, 0, 2, 2, 1, -1};
    assert_memory_equal(atlas.labels, expected, sizeof expected);
    assert_string_equal(atlas.names[2], "STS");
    assert_int_equal(atlas.hemispheres[2], 'L');
    vg_atlas_free(&atlas);
    const char *series = given("series.func.gii");
    assert_int_equal(vg_atlas_open(&series, 1, NULL, responses, &atlas), VG_INVALID);
    assert_non_null(strstr(vg_message(), "does not hold labels"));
    vg_responses_close(responses);
}

/* ---- maps ----------------------------------------------------------------------------------------------------------------------- */

static void maps_are_read_back(void **state)
{
    (void)state;
    const char *names[] = {"gradient_norm", "activations <12> & more"}, *paths[] = {join(folder, "map.nii.gz"), join(folder, "map.nii")};
    const char *mask = given("labels.nii.gz");
    vg_responses *masked = open_one(given("two.nii"), mask);
    vg_space space = vg_responses_space(masked);
    vg_voxel voxels[16];
    float scores[2 * 16];
    for (int v = 0; v < 16; v++) {
        voxels[v] = vg_responses_voxel(masked, v);
        scores[v] = .25f * (float)v;
        scores[16 + v] = -(float)v;
    }
    vg_responses_close(masked);
    for (int i = 0; i < 2; i++) {
        if (vg_map_write(paths[i], &space, '\0', voxels, (vg_matrix){scores, 2, 16, 16}, names) != VG_OK)
            fail_msg("%s", vg_message());
        vg_responses *map = open_one(paths[i], mask), *whole = open_one(paths[i], NULL);
        assert_int_equal(vg_responses_rows(map), 2);
        float *data = read_all(map), *all = read_all(whole);
        assert_memory_equal(data, scores, sizeof scores);
        int missing = 0;
        for (int v = 0; v < 48; v++)
            missing += isnan(all[v]);
        assert_int_equal(missing, 16);
        vg_space back = vg_responses_space(map);
        assert_memory_equal(&back, &space, sizeof space);
        free(data);
        free(all);
        vg_responses_close(map);
        vg_responses_close(whole);
    }
    vg_voxel surface[3] = {{.hemisphere = 'L', .vertex = 4}, {.hemisphere = 'R', .vertex = 0}, {.hemisphere = 'L', .vertex = 1}};
    vg_space sides = {.vertices = {6, 5}};
    const char *gii = join(folder, "map.shape.gii");
    assert_int_equal(vg_map_write(gii, &sides, 'L', surface, (vg_matrix){scores, 2, 3, 16}, names), VG_OK);
    vg_responses *map = open_one(gii, NULL);
    float *data = read_all(map);
    static const float expected[] = {NAN, .5f, NAN, NAN, 0, NAN, NAN, -2, NAN, NAN, 0, NAN};
    for (int i = 0; i < 12; i++)
        assert_true(data[i] == expected[i] || (isnan(data[i]) && isnan(expected[i])));
    assert_int_equal(vg_responses_voxel(map, 0).hemisphere, 'L');
    free(data);
    vg_responses_close(map);

    assert_int_equal(vg_map_write(gii, &sides, '\0', surface, (vg_matrix){scores, 2, 3, 16}, names), VG_INVALID);
    sides.vertices[0] = 4;
    assert_int_equal(vg_map_write(gii, &sides, 'L', surface, (vg_matrix){scores, 2, 3, 16}, names), VG_INVALID);
    assert_int_equal(vg_map_write(paths[0], &space, '\0', surface, (vg_matrix){scores, 2, 3, 16}, names), VG_INVALID);
    assert_int_equal(vg_map_write("no/such/folder.nii", &space, '\0', voxels, (vg_matrix){scores, 2, 16, 16}, names), VG_INVALID);
    assert_int_equal(
        vg_map_write("no/such/folder.gii", &(vg_space){.vertices = {6, 6}}, 'L', surface, (vg_matrix){scores, 2, 3, 16}, names),
        VG_INVALID);
    assert_int_equal(vg_map_write("map.png", &space, '\0', voxels, (vg_matrix){scores, 2, 16, 16}, names), VG_INVALID);
}

/* ---- encodings -------------------------------------------------------------------------------------------------------------- */

typedef struct {
    const char *encoding, *endian, *rows[2];
} gifti_text;

/* Two volumes of three vertices. */
static const char *write_gifti(const gifti_text *text)
{
    const char *path = join(folder, "encoded.func.gii");
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs("<?xml version=\"1.0\"?><GIFTI Version=\"1.0\" NumberOfDataArrays=\"2\"><MetaData/><LabelTable/>", file);
    for (int t = 0; t < 2; t++)
        fprintf(file,
                "<DataArray Intent=\"NIFTI_INTENT_TIME_SERIES\" DataType=\"NIFTI_TYPE_FLOAT32\" ArrayIndexingOrder=\"RowMajorOrder\" "
                "Dimensionality=\"1\" Dim0=\"3\" Encoding=\"%s\" Endian=\"%s\" ExternalFileName=\"\" ExternalFileOffset=\"\"><MetaData/>"
                "<Data>%s</Data></DataArray>",
                text->encoding, text->endian, text->rows[t]);
    fputs("</GIFTI>", file);
    fclose(file);
    return path;
}

static void every_encoding_and_byte_order_is_read(void **state)
{
    (void)state;
    static const gifti_text texts[] = {
        {"Base64Binary", "LittleEndian", {"AADAPwAAAMAAAFBA", "AAAAAG8SgzoAUMPI"}},
        {"GZipBase64Binary", "LittleEndian", {"eJxjYDhgz8DAcICBIcABAA5jAlA=", "eJxjYGBgyBdqtmIIOHwCAAt0Axo="}},
        {"Base64Binary", "BigEndian", {"P8AAAMAAAABAUAAA", "AAAAADqDEm/Iw1AA"}},
        {"GZipBase64Binary", "BigEndian", {"eJyzP8DAAEQMDgEMDAATMAJQ", "eJxjYGBgsGoWyj9xOIABAA4RAxo="}},
        {"ASCII", "LittleEndian", {"1.5 -2.0 3.25", "0.0 0.001 -400000.0"}}};
    static const float expected[] = {1.5f, -2, 3.25f, 0, 1e-3f, -4e5f};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        vg_responses *responses = open_one(write_gifti(&texts[i]), NULL);
        assert_int_equal(vg_responses_rows(responses), 2);
        float *data = read_all(responses);
        assert_memory_equal(data, expected, sizeof expected);
        free(data);
        vg_responses_close(responses);
    }
}

/* What is said of the numbers is not how they are written. */
static void a_wrong_encoding_is_refused(void **state)
{
    (void)state;
    static const gifti_text texts[] = {
        {"Base32Binary", "LittleEndian", {"AADAPwAAAMAAAFBA", "AAAAAG8SgzoAUMPI"}},
        {"GZipBase64Binary", "LittleEndian", {"AADAPwAAAMAAAFBA", "AAAAAG8SgzoAUMPI"}},
        {"Base64Binary", "LittleEndian", {"eJxjYDhgz8DAcICBIcABAA5jAlA=", "eJxjYGBgyBdqtmIIOHwCAAt0Axo="}},
        {"ASCII", "LittleEndian", {"AADAPwAAAMAAAFBA", "AAAAAG8SgzoAUMPI"}},
        {"Base64Binary", "LittleEndian", {"AADAPwAAAMAAAFBA", "1.5 -2.0 3.25"}},
        {"GZipBase64Binary", "MiddleEndian", {"eJxjYDhgz8DAcICBIcABAA5jAlA=", "eJxjYGBgyBdqtmIIOHwCAAt0Axo="}},
        {"Base64Binary", "LittleEndian", {"AADAPwAAAMAAAFBA", "AAAAAG8S"}}};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        const char *path = write_gifti(&texts[i]);
        vg_responses *responses;
        if (vg_responses_open(&path, 1, NULL, &responses) != VG_INVALID)
            fail_msg("case %d: %s %s was read", (int)i, texts[i].encoding, texts[i].endian);
        print_message("%s\n", vg_message());
        assert_non_null(strstr(vg_message(), "encoded.func.gii"));
    }
}

/* ---- broken files ------------------------------------------------------------------------------------------------------------------ */

static void cut_files_are_refused(void **state)
{
    (void)state;
    static const char *const names[] = {"scaled.nii.gz", "two.nii", "big.nii", "series.func.gii", "table_right.func.gii.gz"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        vg_file whole;
        assert_int_equal(vg_file_open(given(names[i]), &whole), VG_OK);
        const char *path = join(folder, names[i]);
        for (size_t size = 0; size < whole.size - 8; size += 1 + size / 8) {
            FILE *file = fopen(path, "wb");
            fwrite(whole.data, 1, size, file);
            fclose(file);
            vg_responses *responses;
            if (vg_responses_open(&path, 1, NULL, &responses) != VG_INVALID)
                fail_msg("%s was read when cut to %zu bytes", names[i], size);
            if (strstr(vg_message(), names[i]) == NULL)
                fail_msg("\"%s\" does not name %s", vg_message(), names[i]);
        }
        vg_file_close(&whole);
    }
    const char *path = "no/such.nii";
    vg_responses *responses;
    assert_int_equal(vg_responses_open(&path, 1, NULL, &responses), VG_INVALID);
    path = "no/such.func.gii";
    assert_int_equal(vg_responses_open(&path, 1, NULL, &responses), VG_INVALID);
}

static void a_real_surface_map_is_read(void **state)
{
    (void)state;
    const char *data = getenv("VG_DATA"), *path = join(data != NULL ? data : "", "fsaverage5/nilearn/sulc_left.gii.gz");
    if (data == NULL || access(path, R_OK) != 0) {
        print_message("skipped: %s is not there (VG_DATA)\n", path);
        skip();
    }
    vg_responses *responses = open_one(path, NULL);
    assert_int_equal(vg_responses_rows(responses), 1);
    assert_int_equal(vg_responses_voxels(responses), 10242);
    assert_int_equal(vg_responses_voxel(responses, 7).hemisphere, 'L');
    vg_responses_close(responses);
    path = join(data, "fsaverage5/nilearn/pial_left.gii.gz");
    assert_int_equal(vg_responses_open(&path, 1, NULL, &responses), VG_INVALID);
    assert_non_null(strstr(vg_message(), "holds a surface, not responses"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(volumes_are_read_as_nibabel_wrote_them),
        cmocka_unit_test(a_mask_leaves_its_voxels),
        cmocka_unit_test(labels_of_a_volume_have_names),
        cmocka_unit_test(surfaces_are_read_as_nibabel_wrote_them),
        cmocka_unit_test(maps_are_read_back),
        cmocka_unit_test(every_encoding_and_byte_order_is_read),
        cmocka_unit_test(a_wrong_encoding_is_refused),
        cmocka_unit_test(cut_files_are_refused),
        cmocka_unit_test(a_real_surface_map_is_read),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
