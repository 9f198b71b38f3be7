/* Protects: FreeSurfer's annotations in both versions, hemispheres side by side, under a mask; the built-in Destrieux regions are those
 * that nibabel finds; broken annotations are refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "atlas.h"
#include "npy.h"
#include "scratch.h"

/* A big-endian annotation under construction. */
typedef struct {
    uint8_t bytes[1024];
    size_t size;
} writer;

static void put(writer *w, uint32_t value)
{
    for (int shift = 24; shift >= 0; shift -= 8)
        w->bytes[w->size++] = (uint8_t)(value >> shift);
}

static void put_string(writer *w, const char *text)
{
    put(w, (uint32_t)strlen(text) + 1);
    memcpy(w->bytes + w->size, text, strlen(text) + 1);
    w->size += strlen(text) + 1;
}

/* Five vertices: A B A (unknown colour) B; A = (1, 2, 3), B = (200, 0, 255). */
static writer annotation(int version)
{
    static const uint32_t a = 1 + (2 << 8) + (3 << 16), b = 200 + (255 << 16);
    const uint32_t colours[] = {a, b, a, 77, b};
    writer w = {.size = 0};
    put(&w, 5);
    for (uint32_t v = 5; v-- > 0;) { /* in any order */
        put(&w, v);
        put(&w, colours[v]);
    }
    put(&w, 1);
    if (version == 2) {
        put(&w, (uint32_t)-2);
        put(&w, 9);
        put_string(&w, "source.txt");
    }
    put(&w, 2);
    if (version == 1)
        put_string(&w, "source.txt");
    static const uint32_t parts[2][4] = {{1, 2, 3, 0}, {200, 0, 255, 0}};
    for (uint32_t i = 0; i < 2; i++) {
        if (version == 2)
            put(&w, i);
        put_string(&w, i == 0 ? "A" : "B");
        for (int j = 0; j < 4; j++)
            put(&w, parts[i][j]);
    }
    return w;
}

static const char *write_file(const char *name, const void *bytes, size_t size, char *path)
{
    snprintf(path, 4096, "%s/%s", folder, name);
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, size, file), size);
    fclose(file);
    return path;
}

static void both_versions_are_read(void **state)
{
    (void)state;
    for (int version = 1; version <= 2; version++) {
        writer w = annotation(version);
        vg_atlas atlas;
        if (vg_annot_parse("x.annot", w.bytes, w.size, &atlas) != VG_OK)
            fail_msg("%s", vg_message());
        static const int32_t labels[] = {0, 1, 0, -1, 1};
        assert_int_equal(atlas.voxels, 5);
        assert_memory_equal(atlas.labels, labels, sizeof labels);
        assert_int_equal(atlas.name_count, 2);
        assert_string_equal(atlas.names[0], "A");
        assert_string_equal(atlas.names[1], "B");
        vg_atlas_free(&atlas);
        for (size_t size = 0; size < w.size; size++) /* cut anywhere */
            assert_int_equal(vg_annot_parse("x.annot", w.bytes, size, &atlas), VG_INVALID);
        w.bytes[3] = 4; /* fewer vertices than are named */
        assert_int_equal(vg_annot_parse("x.annot", w.bytes, w.size, &atlas), VG_INVALID);
        w.bytes[0] = 0x7F;
        assert_int_equal(vg_annot_parse("x.annot", w.bytes, w.size, &atlas), VG_INVALID);
        assert_non_null(strstr(vg_message(), "do not fit"));
    }
}

static void hemispheres_stand_side_by_side(void **state)
{
    (void)state;
    char lh[4096], rh[4096], data[4096], mask[4096];
    writer w = annotation(2);
    write_file("lh.two.annot", w.bytes, w.size, lh);
    write_file("rh.two.annot", w.bytes, w.size, rh);
    write_file("run.txt", "1 2 3 4 5 6 7 8 9 10\n2 3 4 5 6 7 8 9 10 11\n", 43, data);
    write_file("mask.txt", "1 1 0 1 1 1 1 1 1 1\n", 20, mask);
    const char *files[] = {lh, rh}, *run = data;
    vg_responses *responses;
    vg_atlas atlas;
    vg_regions regions;
    assert_int_equal(vg_responses_open(&run, 1, mask, &responses), VG_OK);
    assert_int_equal(vg_atlas_open(files, 2, NULL, responses, &atlas), VG_OK);
    assert_int_equal(atlas.voxels, 9);
    const vg_region_rule rules[] = {{"a", (const char *const[]){"A", NULL}},
                                    {"right", (const char *const[]){"rh:A", "rh:B", NULL}},
                                    {"b", (const char *const[]){"lh:B", NULL}}};
    assert_int_equal(vg_regions_create(&atlas, rules, 3, &regions), VG_OK);
    static const int64_t a[] = {0, 4, 6}, right[] = {4, 5, 6, 8}, b[] = {1, 3};
    assert_int_equal(regions.regions[0].count, 3);
    assert_memory_equal(regions.regions[0].voxels, a, sizeof a);
    assert_int_equal(regions.regions[1].count, 4);
    assert_memory_equal(regions.regions[1].voxels, right, sizeof right);
    assert_int_equal(regions.regions[2].count, 2);
    assert_memory_equal(regions.regions[2].voxels, b, sizeof b);
    vg_regions_free(&regions);
    assert_int_equal(vg_regions_create(&atlas, NULL, 0, &regions), VG_OK);
    assert_int_equal(regions.count, 4);
    assert_string_equal(regions.regions[3].name, "rh:B");
    vg_regions_free(&regions);
    vg_atlas_free(&atlas);
    assert_int_equal(vg_atlas_open(files, 1, NULL, responses, &atlas), VG_INVALID);
    assert_non_null(strstr(vg_message(), "labels for 5 vertices or voxels, the responses have 10"));
    const char *wrong[] = {lh, data};
    assert_int_equal(vg_atlas_open(wrong, 2, NULL, responses, &atlas), VG_INVALID);
    assert_non_null(strstr(vg_message(), "not an atlas of a known format"));
    vg_responses_close(responses);
}

static void hemispheres_are_known_by_their_names(void **state)
{
    (void)state;
    static const struct {
        const char *path;
        char hemisphere;
    } cases[] = {{"a/lh.x.annot", 'L'},  {"rh.x.annot", 'R'},         {"sub-1_hemi-L_bold.func.gii", 'L'},
                 {"x.rh.gii", 'R'},      {"100307.L.atlas.gii", 'L'}, {"curv_right.gii", 'R'},
                 {"left/x.annot", '\0'}, {"copyright.annot", '\0'},   {"x.annot", '\0'}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_int_equal(vg_hemisphere_of(cases[i].path), cases[i].hemisphere);
}

static void the_destrieux_regions_are_nibabels(void **state)
{
    (void)state;
    const char *data = getenv("VG_DATA");
    char lh[4096], rh[4096], run[4096];
    snprintf(lh, sizeof lh, "%s/fsaverage5/lh.aparc-a2009s_mics.annot", data != NULL ? data : "");
    snprintf(rh, sizeof rh, "%s/fsaverage5/rh.aparc-a2009s_mics.annot", data != NULL ? data : "");
    if (data == NULL || access(lh, R_OK) != 0) {
        print_message("skipped: %s is not there (VG_DATA)\n", lh);
        skip();
    }
    char header[256], *zeros = calloc(128 + 20484, 4);
    int length =
        snprintf(header, sizeof header, "\x93NUMPY\x01%c\x76%c{'descr': '<f4', 'fortran_order': False, 'shape': (1, 20484), }", 0, 0);
    memcpy(zeros, header, (size_t)length);
    memset(zeros + length, ' ', 128 - (size_t)length);
    write_file("zeros.npy", zeros, 128 + 4 * 20484, run);
    free(zeros);
    const char *files[] = {lh, rh}, *one = run;
    vg_responses *responses;
    vg_atlas atlas;
    vg_regions regions;
    vg_region_rule rules[VG_DESTRIEUX_RULES];
    if (vg_responses_open(&one, 1, NULL, &responses) != VG_OK || vg_atlas_open(files, 2, NULL, responses, &atlas) != VG_OK)
        fail_msg("%s", vg_message());
    assert_int_equal(vg_destrieux_rules(&atlas, rules), 18);
    assert_int_equal(vg_regions_create(&atlas, rules, 18, &regions), VG_OK);
    npy golden = npy_read("brain_destrieux.npy"); /* hemisphere x region x (vertices, sum of their numbers) */
    for (int i = 0; i < 18; i++) {
        const vg_region *region = &regions.regions[i];
        const double *left = golden.data + i % 6 * 2, *right = left + 12;
        double count = i < 6 ? left[0] + right[0] : i < 12 ? left[0] : right[0], sum = 0;
        double expected = i < 6 ? left[1] + right[1] + 10242 * right[0] : i < 12 ? left[1] : right[1] + 10242 * right[0];
        for (int64_t v = 0; v < region->count; v++)
            sum += (double)region->voxels[v];
        assert_true((double)region->count == count && sum == expected);
    }
    assert_string_equal(regions.regions[0].name, "HG");
    assert_string_equal(regions.regions[17].name, "LatS rh");
    free(golden.data);
    vg_regions_free(&regions);
    vg_atlas_free(&atlas);
    vg_responses_close(responses);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_versions_are_read),
        cmocka_unit_test(hemispheres_stand_side_by_side),
        cmocka_unit_test(hemispheres_are_known_by_their_names),
        cmocka_unit_test(the_destrieux_regions_are_nibabels),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
