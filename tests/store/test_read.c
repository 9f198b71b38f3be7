/* Protects: features come back as they were written; a user's own file in this layout reads as well (as h5py writes it: variable-length
 * strings, float64, chunks and filters, booleans); and what is wrong with a file is said, with file and dataset. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <hdf5.h>
#include <math.h>

#include "folder.h"
#include "sample.h"

static vg_comm *comm;

/* ---- ours --------------------------------------------------------------------------------------------------------------------- */

static void features_come_back_as_written(void **state)
{
    (void)state;
    sample s = sample_new();
    vg_store_plan plan = sample_plan(path);
    vg_store *store;
    MUST(vg_store_create(comm, &plan, s.layout, &store));
    for (int64_t b = 0; b < BLOCKS; b++)
        sample_block(&s, store, b);
    MUST(vg_store_finish(store));
    vg_store_free(store);
    vg_layout_free(s.layout);

    vg_store_file *file;
    vg_store_space *spaces;
    int64_t count;
    MUST(vg_store_open(path, &file));
    MUST(vg_features_list(file, &spaces, &count));
    assert_int_equal(count, 3);
    static const char *const names[] = {"conductance", "conductance", "gradient_norm"}, *const layers[] = {"00", "final", NULL};
    for (int i = 0; i < 3; i++) {
        assert_string_equal(spaces[i].story, "caf\xC3\xA9");
        assert_string_equal(spaces[i].model, "gpt-2.small");
        assert_string_equal(spaces[i].name, names[i]);
        assert_int_equal(spaces[i].words, WORDS);
        assert_int_equal(spaces[i].columns, i < 2 ? UNITS : K);
        assert_int_equal(spaces[i].path, i < 2);
        assert_int_equal(spaces[i].sees_word, i == 2);
        if (layers[i] == NULL)
            assert_null(spaces[i].layer);
        else
            assert_string_equal(spaces[i].layer, layers[i]);
    }
    assert_string_equal(spaces[0].method, "layer_conductance");
    assert_null(spaces[0].column_names);
    assert_string_equal(spaces[2].column_names[9], "word-1");
    float *values = calloc(WORDS * UNITS, sizeof *values);
    uint8_t *valid = calloc(WORDS * UNITS, 1);
    MUST(vg_features_read(file, &spaces[2], values, valid));
    for (int64_t j = 0; j < WORDS * K; j++)
        assert_true(values[j] == sample_value(j / K, j % K) && valid[j] == 1);
    free(values);
    free(valid);
    vg_features_list_free(spaces, count);

    char **texts, *text;
    double *onsets, *offsets, number;
    MUST(vg_features_words(file, "caf\xC3\xA9", &texts, &onsets, &offsets, &count));
    assert_int_equal(count, WORDS);
    assert_string_equal(texts[1499], "w\xC3\xB6rter1499");
    assert_true(onsets[2] == 0.5 && offsets[2] == 0.5 + 0.2);
    vg_store_names_free(texts, count);
    free(onsets);
    free(offsets);

    /* what the report reads of a results.h5 */
    int32_t vertex[3];
    double alpha[2][4], ceiling[VOXELS];
    MUST(vg_store_read(file, "/subjects/s18/voxels", "vertex", VG_STORE_I32, (int64_t[]){100}, (int64_t[]){3}, vertex));
    assert_true(vertex[0] == 95 && vertex[2] == 97);
    MUST(vg_store_read(file, "/subjects/s18/voxels", "ceiling", VG_STORE_F64, NULL, NULL, ceiling));
    assert_true(ceiling[332] == 332 / 7.0);
    MUST(vg_store_read(file, "/subjects/s18/gpt2/gradient_norm/alpha", NULL, VG_STORE_F64, (int64_t[]){3, 10}, (int64_t[]){2, 4}, alpha));
    assert_true(alpha[0][0] == 3 * VOXELS + 10 && alpha[1][3] == 4 * VOXELS + 13);
    MUST(vg_store_read(file, "/subjects/s18/nothing", NULL, VG_STORE_F32, NULL, NULL, NULL));
    MUST(vg_store_read_texts(file, "/subjects/s18/voxels", "region", &texts, &count));
    assert_string_equal(texts[51], "r\xC3\xA9gion1");
    vg_store_names_free(texts, count);
    MUST(vg_store_attribute_texts(file, "/subjects/s18/gpt2/attention", "columns", &texts, &count));
    assert_int_equal(count, COLUMNS_LARGE); /* too large for an attribute: found beside it */
    assert_string_equal(texts[6999], "l09_h09_k069");
    vg_store_names_free(texts, count);
    MUST(vg_store_attribute_text(file, "/provenance", "version", &text));
    assert_string_equal(text, "0.1.0");
    free(text);
    MUST(vg_store_attribute_text(file, "/provenance", "config", &text));
    assert_string_equal(text, "");
    free(text);
    MUST(vg_store_attribute_number(file, "/provenance", "half", &number));
    assert_true(number == 0.5);
    MUST(vg_store_list(file, "/subjects/s18/gpt2", &texts, &count));
    assert_int_equal(count, 3);
    assert_string_equal(texts[0], "attention");
    assert_string_equal(texts[1], "attention.columns");
    assert_string_equal(texts[2], "gradient_norm");
    vg_store_names_free(texts, count);
    assert_true(vg_store_has(file, "/subjects/s18") && !vg_store_is_dataset(file, "/subjects/s18"));
    assert_true(vg_store_is_dataset(file, "/subjects/s18/voxels") && !vg_store_has(file, "/subjects/s19/voxels"));
    vg_store_close(file);
}

/* ---- a user's ----------------------------------------------------------------------------------------------------------------- */

typedef struct {
    char *text;
    double onset;
} heard;

static void put(hid_t file, const char *name, hid_t type, hid_t memory, int dimensions, const hsize_t *shape, const void *data)
{
    hid_t link = H5Pcreate(H5P_LINK_CREATE), creation = H5Pcreate(H5P_DATASET_CREATE), space = H5Screate_simple(dimensions, shape, NULL);
    H5Pset_create_intermediate_group(link, 1);
    if (shape[0] > 0 && H5Tget_class(type) == H5T_FLOAT) {
        H5Pset_chunk(creation, dimensions, shape);
        H5Pset_shuffle(creation);
        H5Pset_deflate(creation, 4);
    }
    hid_t dataset = H5Dcreate2(file, name, type, space, link, creation, H5P_DEFAULT);
    assert_true(dataset >= 0);
    if (data != NULL)
        assert_true(H5Dwrite(dataset, memory, H5S_ALL, H5S_ALL, H5P_DEFAULT, data) >= 0);
    H5Dclose(dataset);
    H5Sclose(space);
    H5Pclose(link);
    H5Pclose(creation);
}

static void put_words(hid_t file, const char *story, hsize_t count, const double *onsets)
{
    char name[64];
    heard words[8];
    hid_t text = H5Tcopy(H5T_C_S1), table = H5Tcreate(H5T_COMPOUND, sizeof(heard));
    H5Tset_size(text, H5T_VARIABLE);
    H5Tset_cset(text, H5T_CSET_UTF8);
    H5Tinsert(table, "text", HOFFSET(heard, text), text);
    H5Tinsert(table, "onset", HOFFSET(heard, onset), H5T_NATIVE_DOUBLE);
    for (hsize_t i = 0; i < count; i++)
        words[i] = (heard){i == 1 ? "na\xC3\xAFve" : "word", onsets[i]};
    snprintf(name, sizeof name, "/stories/%s/words", story);
    put(file, name, table, table, 1, &count, words);
    H5Tclose(text);
    H5Tclose(table);
}

static hid_t boolean(void) /* as h5py writes numpy's bool */
{
    hid_t type = H5Tenum_create(H5T_STD_I8LE);
    int8_t value = 0;
    H5Tenum_insert(type, "FALSE", &value);
    value = 1;
    H5Tenum_insert(type, "TRUE", &value);
    return type;
}

static void a_users_file_reads_as_well(void **state)
{
    (void)state;
    const double onsets[3] = {0.5, 1.0, 1.0}, values[6] = {1, 2, 3, NAN, 5, 1e-300};
    const int8_t valid[6] = {1, 1, 1, 0, 1, 1};
    const int32_t counts[3] = {1, -2, 3};
    const hsize_t two[2] = {3, 2}, one[2] = {3, 1};
    hid_t file = H5Fcreate(path, H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT), flag = boolean();
    put_words(file, "mine", 3, onsets);
    put(file, "/stories/mine/features/gpt2/erasure", H5T_IEEE_F64BE, H5T_NATIVE_DOUBLE, 2, two, values);
    put(file, "/stories/mine/features/gpt2/erasure.valid", flag, flag, 2, two, valid);
    put(file, "/stories/mine/features/me/layers/03", H5T_STD_I16LE, H5T_NATIVE_INT32, 2, one, counts);
    put_words(file, "silent", 2, onsets);
    H5Tclose(flag);
    H5Fclose(file);

    vg_store_file *mine;
    vg_store_space *spaces;
    int64_t count;
    float read[6];
    uint8_t ok[6];
    MUST(vg_store_open(path, &mine));
    MUST(vg_features_list(mine, &spaces, &count));
    assert_int_equal(count, 2);
    assert_int_equal(spaces[0].sees_word, -1);
    assert_string_equal(spaces[0].method, "erasure");
    MUST(vg_features_read(mine, &spaces[0], read, ok));
    assert_true(read[0] == 1 && read[2] == 3 && read[3] == 0 && read[4] == 5 && read[5] == 0);
    assert_true(ok[0] == 1 && ok[3] == 0);
    MUST(vg_features_read(mine, &spaces[1], read, ok));
    assert_true(read[0] == 1 && read[1] == -2 && read[2] == 3 && ok[0] == 1 && ok[2] == 1);
    assert_string_equal(spaces[1].layer, "03");
    vg_features_list_free(spaces, count);
    char **texts;
    double *begin;
    MUST(vg_features_words(mine, "mine", &texts, &begin, NULL, &count));
    assert_string_equal(texts[1], "na\xC3\xAFve");
    assert_true(begin[0] == 0.5);
    vg_store_names_free(texts, count);
    free(begin);
    vg_store_close(mine);
}

/* Makes a file with one fault and gives the message of reading it all. */
static const char *fault(int which)
{
    const double onsets[2][3] = {{0.5, 1.0, 1.5}, {0.5, 0.4, NAN}};
    const double values[12] = {1, 2, 3, 4, 5, which == 1 ? NAN : which == 2 ? 1e300 : 6};
    const uint8_t valid[6] = {1, 1, 1, 1, which == 3 ? 2 : 1, 1};
    const hsize_t shapes[][3] = {{3, 2}, {6}, {2, 3}, {3, 2, 1}, {3, 4}};
    hid_t file = H5Fcreate(path, H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT), text = H5Tcopy(H5T_C_S1);
    const char *name = "/stories/mine/features/gpt2/erasure";
    H5Tset_size(text, 2);
    if (which != 4)
        put_words(file, "mine", 3, onsets[which == 5]);
    if (which == 6)
        put(file, name, H5T_IEEE_F64LE, H5T_NATIVE_DOUBLE, 1, shapes[1], values);
    else if (which == 7)
        put(file, name, H5T_IEEE_F64LE, H5T_NATIVE_DOUBLE, 2, shapes[2], values);
    else if (which == 8)
        put(file, name, H5T_IEEE_F64LE, H5T_NATIVE_DOUBLE, 3, shapes[3], values);
    else if (which == 9)
        put(file, name, text, text, 2, shapes[0], "aabbccddeeff");
    else
        put(file, name, H5T_IEEE_F64LE, H5T_NATIVE_DOUBLE, 2, shapes[0], values);
    if (which == 10)
        put(file, "/stories/mine/features/gpt2/erasure.valid", H5T_STD_U8LE, H5T_NATIVE_DOUBLE, 2, shapes[4], values);
    else if (which != 11)
        put(file, "/stories/mine/features/gpt2/erasure.valid", H5T_STD_U8LE, H5T_NATIVE_UINT8, 2, shapes[0], valid);
    H5Tclose(text);
    H5Fclose(file);

    vg_store_file *mine;
    vg_store_space *spaces;
    int64_t count, words;
    float read[6];
    uint8_t ok[6];
    char **texts;
    double *begin;
    MUST(vg_store_open(path, &mine));
    vg_status status = vg_features_list(mine, &spaces, &count);
    if (status == VG_OK)
        status = vg_features_read(mine, &spaces[0], read, ok);
    vg_features_list_free(spaces, count);
    if (status == VG_OK) {
        status = vg_features_words(mine, "mine", &texts, &begin, NULL, &words);
        if (status == VG_OK) {
            vg_store_names_free(texts, words);
            free(begin);
        }
    }
    vg_store_close(mine);
    assert_true(status == VG_OK || status == VG_INVALID);
    return status == VG_OK ? "" : vg_message();
}

static void what_is_wrong_with_a_file_is_said(void **state)
{
    (void)state;
    static const char *const said[] = {
        "", /* nothing is wrong */
        "/stories/mine/features/gpt2/erasure: word 2, column 1: nan is not a finite number",
        "word 2, column 1: inf is not a finite number",
        "erasure.valid: word 2, column 0: 2; must be 0 or 1",
        "/stories/mine/words: is not there",
        "word 1: its onset (0.4 s) is before",
        "must be an array (words, columns) of numbers",
        "has 2 rows for the 3 words",
        "must be an array (words, columns) of numbers",
        "must be an array (words, columns) of numbers",
        "erasure.valid: is (3, 4), but (3, 2) belongs there",
        "", /* no `valid`: all are */
    };
    for (int which = 0; which < (int)(sizeof said / sizeof *said); which++) {
        const char *message = fault(which);
        if (said[which][0] == '\0') {
            assert_string_equal(message, "");
        } else {
            assert_non_null(strstr(message, said[which]));
            assert_int_equal(strncmp(message, path, strlen(path)), 0);
        }
    }
}

static void what_is_not_there_or_of_another_kind_is_refused(void **state)
{
    (void)state;
    const hsize_t shape[4] = {2, 2, 2, 2};
    double numbers[16] = {0}, value;
    char **texts, *text;
    int64_t count, whole[2];
    vg_store_file *file;
    vg_store_about about;
    hid_t made = H5Fcreate(path, H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT), latin = H5Tcopy(H5T_C_S1);
    H5Tset_size(latin, 2);
    put(made, "/group/real", H5T_IEEE_F32LE, H5T_NATIVE_DOUBLE, 1, shape, numbers);
    put(made, "/group/deep", H5T_IEEE_F32LE, H5T_NATIVE_DOUBLE, 4, shape, numbers);
    put(made, "/group/latin", latin, latin, 1, shape, "\xE9 ab");
    H5Tclose(latin);
    H5Fclose(made);

    MUST(vg_store_open(path, &file));
    assert_int_equal(vg_store_read(file, "/group/none", NULL, VG_STORE_F64, NULL, NULL, numbers), VG_INVALID);
    assert_non_null(strstr(vg_message(), "/group/none: is not there"));
    assert_int_equal(vg_store_read(file, "/none/none", NULL, VG_STORE_F64, NULL, NULL, numbers), VG_INVALID);
    assert_int_equal(vg_store_read(file, "/group", NULL, VG_STORE_F64, NULL, NULL, numbers), VG_INVALID);
    assert_non_null(strstr(vg_message(), "is a group"));
    assert_int_equal(vg_store_read(file, "/group/real", NULL, VG_STORE_I64, NULL, NULL, whole), VG_INVALID);
    assert_non_null(strstr(vg_message(), "real numbers where whole ones"));
    assert_int_equal(vg_store_read(file, "/group/real", "column", VG_STORE_F64, NULL, NULL, numbers), VG_INVALID);
    assert_int_equal(vg_store_read(file, "/group/real", NULL, VG_STORE_F64, (int64_t[]){1}, (int64_t[]){2}, numbers), VG_INVALID);
    assert_int_equal(vg_store_read(file, "/group/real", NULL, VG_STORE_F64, (int64_t[]){-1}, (int64_t[]){1}, numbers), VG_INVALID);
    assert_int_equal(vg_store_read(file, "/group/deep", NULL, VG_STORE_F64, NULL, NULL, numbers), VG_INVALID);
    assert_non_null(strstr(vg_message(), "4 dimensions"));
    assert_int_equal(vg_store_read(file, "/group/latin", NULL, VG_STORE_F64, NULL, NULL, numbers), VG_INVALID);
    assert_int_equal(vg_store_read_texts(file, "/group/latin", NULL, &texts, &count), VG_INVALID);
    assert_non_null(strstr(vg_message(), "not UTF-8"));
    assert_int_equal(vg_store_read_texts(file, "/group/real", NULL, &texts, &count), VG_INVALID);
    assert_int_equal(vg_store_list(file, "/group/real", &texts, &count), VG_INVALID);
    assert_int_equal(vg_store_list(file, "/none", &texts, &count), VG_INVALID);
    assert_int_equal(vg_store_attribute_text(file, "/group", "none", &text), VG_INVALID);
    assert_int_equal(vg_store_attribute_number(file, "/group", "none", &value), VG_INVALID);
    assert_int_equal(vg_store_describe(file, "/group/deep", &about), VG_OK);
    assert_int_equal(about.dimensions, 4);
    vg_store_space *spaces;
    assert_int_equal(vg_features_list(file, &spaces, &count), VG_INVALID);
    assert_non_null(strstr(vg_message(), "/stories"));
    vg_store_close(file);

    write_all(path, "\x89HDF\r\n\x1a\n but no more", 21);
    assert_int_equal(vg_store_open(path, &file), VG_INVALID);
    assert_non_null(strstr(vg_message(), "not an HDF5 file"));
    write_all(path, "", 0);
    assert_int_equal(vg_store_open(path, &file), VG_INVALID);
    assert_int_equal(vg_store_open("/nowhere.h5", &file), VG_INVALID);
    assert_non_null(strstr(vg_message(), "No such file"));
    assert_null(file);
}

static void reserved_names_are_refused(void **state)
{
    (void)state;
    static const char *const names[] = {"x.valid", "x.nodes", ".residual", "x.error", "columns.columns", "a/b", ""};
    vg_layout *layout;
    vg_store_space_datasets datasets;
    MUST(vg_layout_new(&layout));
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        vg_store_space space = {.story = "s", .model = "m", .name = names[i], .method = "x", .words = 1, .columns = 1};
        assert_int_equal(vg_features_add_space(layout, &space, &datasets), VG_INVALID);
        assert_true(datasets.values == -1);
    }
    vg_layout_free(layout);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(features_come_back_as_written, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(a_users_file_reads_as_well, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(what_is_wrong_with_a_file_is_said, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(what_is_not_there_or_of_another_kind_is_refused, make_folder, remove_folder),
        cmocka_unit_test(reserved_names_are_refused),
    };
    MUST(vg_comm_alone(&comm));
    int failures = cmocka_run_group_tests(tests, NULL, NULL);
    vg_comm_finish(comm);
    return failures;
}
