/* Protects: the same numbers come out of text, .npy and HDF5, whole or by ranges of columns, side by side, under a mask; every broken file
 * is refused where it is broken; regions find their columns. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <hdf5.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "npy.h"
#include "responses.h"
#include "scratch.h"
#include "voxgrad/brain.h"

static const char *path_of(const char *name)
{
    static char path[4096];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static const char *write_file(const char *name, const void *bytes, size_t size)
{
    FILE *file = fopen(path_of(name), "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, size, file), size);
    fclose(file);
    return path_of(name);
}

static const char *write_text(const char *name, const char *text)
{
    return write_file(name, text, strlen(text));
}

static vg_responses *open_one(const char *path)
{
    vg_responses *responses;
    if (vg_responses_open(&path, 1, NULL, &responses) != VG_OK)
        fail_msg("%s", vg_message());
    return responses;
}

static void expect(vg_responses *responses, int64_t first, int64_t columns, const float *values)
{
    int64_t rows = vg_responses_rows(responses), ld = columns + 2;
    float *data = calloc((size_t)(rows * ld), sizeof *data);
    for (int64_t i = 0; i < rows * ld; i++)
        data[i] = -77;
    assert_int_equal(vg_responses_read(responses, first, (vg_matrix){data, rows, columns, ld}), VG_OK);
    for (int64_t t = 0; t < rows; t++) {
        for (int64_t v = 0; v < columns; v++)
            assert_true(data[t * ld + v] == values[t * columns + v]);
        assert_true(data[t * ld + columns] == -77 && data[t * ld + columns + 1] == -77);
    }
    free(data);
}

/* ---- the same 2 x 3 numbers in every format -------------------------------------------------------------------------------------- */

static const float numbers[] = {1, -2.5f, 3, 4, 5, 1e6f}, last_two[] = {-2.5f, 3, 5, 1e6f};

/* A .npy of version 1 or 2 as NumPy writes it. */
static const char *write_npy(const char *name, int version, const char *type, bool fortran, const char *shape, int cut)
{
    uint8_t bytes[512] = "\x93NUMPY";
    char header[256];
    bool wide = type[2] == '8', big = type[0] == '>';
    int length =
        snprintf(header, sizeof header, "{'descr': '%s', 'fortran_order': %s, 'shape': %s, }", type, fortran ? "True" : "False", shape);
    size_t lead = version == 1 ? 10 : 12, at = lead + (size_t)length;
    bytes[6] = (uint8_t)version;
    bytes[8] = (uint8_t)length;
    memcpy(bytes + lead, header, (size_t)length);
    for (int i = 0; i < 6; i++) {
        int from = fortran ? i % 2 * 3 + i / 2 : i;
        double d = (double)numbers[from];
        float f = numbers[from];
        uint8_t value[8];
        size_t size = wide ? 8 : 4;
        memcpy(value, wide ? (void *)&d : (void *)&f, size);
        for (size_t b = 0; b < size; b++)
            bytes[at + b] = value[big ? size - 1 - b : b];
        at += size;
    }
    return write_file(name, bytes, at - (size_t)cut);
}

static const char *write_hdf5(const char *name, hid_t type, int dimensions)
{
    static char with_dataset[4200];
    hsize_t shape[3] = {2, 3, 1};
    hid_t file = H5Fcreate(path_of(name), H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
    hid_t group = H5Gcreate2(file, "sub", H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT), space = H5Screate_simple(dimensions, shape, NULL);
    hid_t dataset = H5Dcreate2(group, "bold", type, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    if (H5Tget_class(type) == H5T_FLOAT)
        H5Dwrite(dataset, H5T_NATIVE_FLOAT, H5S_ALL, H5S_ALL, H5P_DEFAULT, numbers);
    H5Dclose(dataset);
    H5Sclose(space);
    H5Gclose(group);
    H5Fclose(file);
    snprintf(with_dataset, sizeof with_dataset, "%s:/sub/bold", path_of(name));
    return with_dataset;
}

static void every_format_gives_the_same_numbers(void **state)
{
    (void)state;
    for (int i = 0; i < 10; i++) {
        const char *path = i == 0   ? write_text("a.txt", "  1 -2.5\t3\n\n# remark\n4 5 1e6")
                           : i == 1 ? write_text("a.csv", "1,-2.5, 3\r\n4,5,1000000\r\n")
                           : i == 2 ? write_text("a.tsv", "\"left\"\tright\tmid\n1\t-2.5\t3\n4\t5\t1e6\n")
                           : i == 3 ? write_npy("a.npy", 1, "<f4", false, "(2, 3)", 0)
                           : i == 4 ? write_npy("a.npy", 1, "<f8", false, "(2, 3)", 0)
                           : i == 5 ? write_npy("a.npy", 1, ">f4", true, "(2, 3)", 0)
                           : i == 6 ? write_npy("a.npy", 2, "<f8", true, "(2,3)", 0)
                           : i == 7 ? write_npy("a.npy", 1, ">f8", false, "(2, 3)", 0)
                           : i == 8 ? write_hdf5("a.h5", H5T_IEEE_F32LE, 2)
                                    : write_hdf5("a.hdf5", H5T_IEEE_F64BE, 2);
        vg_responses *responses = open_one(path);
        assert_int_equal(vg_responses_rows(responses), 2);
        assert_int_equal(vg_responses_voxels(responses), 3);
        assert_int_equal(vg_responses_voxel(responses, 2).vertex, -1);
        expect(responses, 0, 3, numbers);
        expect(responses, 1, 2, last_two);
        if (i == 2)
            assert_string_equal(vg_responses_names(responses)[0], "left");
        else
            assert_null(vg_responses_names(responses));
        float data[6];
        assert_int_equal(vg_responses_read(responses, 1, (vg_matrix){data, 2, 3, 3}), VG_INVALID);
        assert_int_equal(vg_responses_read(responses, 0, (vg_matrix){data, 1, 3, 3}), VG_INVALID);
        vg_responses_close(responses);
    }
}

static void numpys_own_files_are_read(void **state)
{
    (void)state;
    char path[4096];
    snprintf(path, sizeof path, "%s/tests/golden/brain_responses.npy", getenv("VG_SOURCE"));
    npy golden = npy_read("brain_responses.npy");
    float *values = malloc((size_t)golden.count * sizeof *values);
    for (int64_t i = 0; i < golden.count; i++)
        values[i] = (float)golden.data[i];
    vg_responses *responses = open_one(path);
    expect(responses, 0, golden.shape[1], values);
    vg_responses_close(responses);
    free(values);
    free(golden.data);
}

static void files_stand_side_by_side_under_a_mask(void **state)
{
    (void)state;
    char left[4096], right[4096], mask[4096];
    snprintf(left, sizeof left, "%s", write_text("left.txt", "a b c\n1 2 3\n4 5 6\n"));
    snprintf(right, sizeof right, "%s", write_text("right.tsv", "d e\n7 8\n9 10\n"));
    const char *both[] = {left, right};
    vg_responses *responses;
    assert_int_equal(vg_responses_open(both, 2, NULL, &responses), VG_OK);
    expect(responses, 1, 3, (const float[]){2, 3, 7, 5, 6, 9});
    assert_string_equal(vg_responses_names(responses)[4], "e");
    vg_responses_close(responses);
    snprintf(mask, sizeof mask, "%s", write_text("mask.txt", "1\n0\n0.5\nnan\n1\n"));
    assert_int_equal(vg_responses_open(both, 2, mask, &responses), VG_OK);
    assert_int_equal(vg_responses_voxels(responses), 3);
    expect(responses, 0, 3, (const float[]){1, 3, 8, 4, 6, 10});
    expect(responses, 1, 1, (const float[]){3, 6});
    assert_string_equal(vg_responses_names(responses)[2], "e");
    vg_responses_close(responses);
    write_text("mask.txt", "1 0\n");
    assert_int_equal(vg_responses_open(both, 2, mask, &responses), VG_INVALID);
    assert_non_null(strstr(vg_message(), "a mask of 1 x 2"));
    write_text("mask.txt", "0 0 0 0 0\n");
    assert_int_equal(vg_responses_open(both, 2, mask, &responses), VG_INVALID);
    assert_non_null(strstr(vg_message(), "leaves no voxel"));
    write_text("right.tsv", "7 8\n");
    assert_int_equal(vg_responses_open(both, 2, NULL, &responses), VG_INVALID);
    assert_non_null(strstr(vg_message(), "has 1 rows, but"));
}

/* ---- broken files ----------------------------------------------------------------------------------------------------------------- */

static void refused(const char *path, const char *says)
{
    vg_responses *responses;
    if (vg_responses_open(&path, 1, NULL, &responses) != VG_INVALID)
        fail_msg("%s was read", path);
    if (strstr(vg_message(), says) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", vg_message(), says);
    assert_null(responses);
}

static void broken_files_are_refused_where_they_are_broken(void **state)
{
    (void)state;
    refused("no/such.txt", "no/such.txt: cannot be read");
    refused("no/such.npy", "no/such.npy");
    refused("no/such.h5:/x", "no/such.h5: cannot be read");
    refused("story.mp3", "not of a known format; those there are end in .txt");
    refused(write_text("b.txt", ""), "is empty");
    refused(write_text("b.txt", "# only a remark\n"), "no rows");
    refused(write_text("b.txt", "a b\n"), "no rows");
    refused(write_text("b.txt", "1 2\n3\n"), "b.txt:2: has 1 numbers where the lines before have 2");
    refused(write_text("b.txt", "a b\n3 4\n1 2 3\n"), "b.txt:3: has 3 numbers");
    refused(write_text("b.txt", "1 2\n3 four\n"), "b.txt:2: \"four\" (column 2) is not a number");
    refused(write_text("b.txt", "1 two\n3 4\n"), "b.txt:1: \"two\" (column 2)");
    refused(write_text("b.csv", "1,2\n,4\n"), "b.csv:2: \"\" (column 1)");
    refused(write_npy("b.npy", 1, "<f4", false, "(2, 3)", 1), "cut off?");
    refused(write_npy("b.npy", 1, "<f4", false, "(2, 3)", 60), "cut off");
    refused(write_npy("b.npy", 1, "<i4", false, "(2, 3)", 0), "another type");
    refused(write_npy("b.npy", 1, "<f4", false, "(6,)", 0), "two dimensions");
    refused(write_npy("b.npy", 1, "<f4", false, "(1, 2, 3)", 0), "two dimensions");
    refused(write_npy("b.npy", 1, "<f4", false, "(0, 3)", 0), "two dimensions");
    refused(write_npy("b.npy", 1, "<f4", false, "(-2, 3)", 0), "shape");
    refused(write_npy("b.npy", 1, "<f4", false, "(9223372036854775807, 3)", 0), "too large");
    refused(write_npy("b.npy", 1, "<f4", false, "(4611686018427387904, 1)", 0), "too large");
    refused(write_npy("b.npy", 1, "<f4", false, "(99999999999999999999, 1)", 0), "shape");
    refused(write_npy("b.npy", 7, "<f4", false, "(2, 3)", 0), "not a .npy");
    refused(write_text("b.npy", "1 2 3\n4 5 6 7 8 9"), "not a .npy");
    refused(write_hdf5("b.h5", H5T_IEEE_F32LE, 3), "3 dimensions");
    refused(write_hdf5("b.h5", H5T_C_S1, 2), "does not hold numbers");
    char path[4200];
    write_hdf5("b.h5", H5T_IEEE_F32LE, 2);
    snprintf(path, sizeof path, "%s", path_of("b.h5"));
    refused(path, "b.h5:/NAME; it has /sub/bold");
    snprintf(path, sizeof path, "%s:/sub/cold", path_of("b.h5"));
    refused(path, "no dataset /sub/cold; it has /sub/bold");
    truncate(path_of("b.h5"), 900);
    refused(path, "b.h5: cannot be read as HDF5");
    vg_responses *responses;
    assert_int_equal(vg_responses_open(NULL, 0, NULL, &responses), VG_INVALID);
}

/* Cut anywhere, a .npy is refused. */
static void a_npy_cut_anywhere_is_refused(void **state)
{
    (void)state;
    vg_file file;
    vg_npy_header header;
    assert_int_equal(vg_file_open(write_npy("c.npy", 1, "<f8", false, "(2, 3)", 0), &file), VG_OK);
    assert_int_equal(vg_npy_parse("c.npy", file.data, file.size, &header), VG_OK);
    for (size_t size = 0; size < file.size; size++)
        assert_int_equal(vg_npy_parse("c.npy", file.data, size, &header), VG_INVALID);
    vg_file_close(&file);
}

static void numbers_that_are_not_finite_are_values(void **state)
{
    (void)state;
    vg_responses *responses = open_one(write_text("d.txt", "1 nan n/a\n-inf 1e999 2\n"));
    float data[6];
    assert_int_equal(vg_responses_read(responses, 0, (vg_matrix){data, 2, 3, 3}), VG_OK);
    assert_true(isnan(data[1]) && isnan(data[2]) && isinf(data[3]) && isinf(data[4]));
    vg_responses_close(responses);
}

/* ---- atlases and regions ------------------------------------------------------------------------------------------------------------ */

static void columns_become_regions(void **state)
{
    (void)state;
    vg_responses *plain = open_one(write_text("e.txt", "1 2 3\n4 5 6\n")),
                 *named = open_one(write_text("f.txt", "LIFG RATL LATL\n1 2 3\n4 5 6\n"));
    const char *names[] = {"LATL", "RATL", "LIFG"};
    vg_atlas atlas;
    vg_regions regions;
    assert_int_equal(vg_atlas_columns(plain, names, 3, &atlas), VG_OK);
    assert_int_equal(atlas.labels[2], 2);
    const vg_region_rule rules[] = {{"ATL", (const char *const[]){"LATL", "RATL", NULL}}, {"IFG", (const char *const[]){"LIFG", NULL}}};
    assert_int_equal(vg_regions_create(&atlas, rules, 2, &regions), VG_OK);
    assert_int_equal(regions.count, 2);
    assert_int_equal(regions.regions[0].count, 2);
    assert_true(regions.regions[0].voxels[0] == 0 && regions.regions[0].voxels[1] == 1 && regions.regions[1].voxels[0] == 2);
    vg_regions_free(&regions);
    const vg_region_rule wrong[] = {{"ATL", (const char *const[]){"LATLE", NULL}}}, twice[] = {rules[0], rules[0]};
    assert_int_equal(vg_regions_create(&atlas, wrong, 1, &regions), VG_INVALID);
    assert_non_null(strstr(vg_message(), "region ATL: label \"LATLE\" is not there; did you mean \"LATL\"?"));
    assert_int_equal(vg_regions_create(&atlas, twice, 2, &regions), VG_INVALID);
    vg_atlas_free(&atlas);

    assert_int_equal(vg_atlas_columns(named, names, 2, &atlas), VG_OK); /* chosen by name */
    assert_true(atlas.labels[0] == -1 && atlas.labels[1] == 1 && atlas.labels[2] == 0);
    assert_int_equal(vg_regions_create(&atlas, NULL, 0, &regions), VG_OK);
    assert_int_equal(regions.count, 2);
    assert_string_equal(regions.regions[0].name, "LATL");
    assert_int_equal(regions.regions[0].voxels[0], 2);
    vg_regions_free(&regions);
    vg_atlas_free(&atlas);
    assert_int_equal(vg_atlas_columns(named, NULL, 0, &atlas), VG_OK);
    assert_int_equal(atlas.name_count, 3);
    vg_atlas_free(&atlas);

    assert_int_equal(vg_atlas_columns(plain, names, 2, &atlas), VG_INVALID);
    assert_non_null(strstr(vg_message(), "2 names for 3 columns"));
    assert_int_equal(vg_atlas_columns(plain, NULL, 0, &atlas), VG_INVALID);
    const char *unknown[] = {"LIFC"}, *same[] = {"LATL", "LATL"};
    assert_int_equal(vg_atlas_columns(named, unknown, 1, &atlas), VG_INVALID);
    assert_non_null(strstr(vg_message(), "did you mean \"LIFG\"?"));
    assert_int_equal(vg_atlas_columns(named, same, 2, &atlas), VG_INVALID);
    vg_responses_close(plain);
    vg_responses_close(named);
}

/* ---- real data ------------------------------------------------------------------------------------------------------------------------
 */

static void alice_has_27_listeners_and_one_of_zeros(void **state)
{
    (void)state;
    const char *data = getenv("VG_DATA");
    char path[4096];
    snprintf(path, sizeof path, "%s/alice/10mm/s18-timecourses.txt", data != NULL ? data : "");
    if (data == NULL || access(path, R_OK) != 0) {
        print_message("skipped: %s is not there (VG_DATA)\n", path);
        skip();
    }
    float run[362 * 6];
    vg_matrix all = {run, 362, 6, 6};
    for (int i = 0; i < 2; i++) {
        uint8_t states[6] = {0};
        snprintf(path, sizeof path, "%s/alice/10mm/s%d-timecourses.txt", data, i == 0 ? 18 : 33);
        vg_responses *responses = open_one(path);
        assert_int_equal(vg_responses_rows(responses), 362);
        assert_int_equal(vg_responses_voxels(responses), 6);
        assert_int_equal(vg_responses_read(responses, 0, all), VG_OK);
        vg_voxels_judge(all, states);
        assert_int_equal(vg_voxels_count(states, 6).usable, i == 0 ? 6 : 0);
        assert_int_equal(vg_voxels_count(states, 6).constant, i == 0 ? 0 : 6);
        if (i == 0)
            assert_true(run[0] == 72.152703f && run[6 + 5] == 163.95853f);
        vg_responses_close(responses);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_format_gives_the_same_numbers),
        cmocka_unit_test(numpys_own_files_are_read),
        cmocka_unit_test(files_stand_side_by_side_under_a_mask),
        cmocka_unit_test(broken_files_are_refused_where_they_are_broken),
        cmocka_unit_test(a_npy_cut_anywhere_is_refused),
        cmocka_unit_test(numbers_that_are_not_finite_are_values),
        cmocka_unit_test(columns_become_regions),
        cmocka_unit_test(alice_has_27_listeners_and_one_of_zeros),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
