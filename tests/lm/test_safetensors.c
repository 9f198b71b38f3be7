/* Protects: weights files. Exact conversion of float16 and bfloat16, sharded models, and the refusal, by name, of every way in which
 * a file can lie about its tensors: cut off, overlapping, with holes, of impossible shapes, types and offsets, or not JSON at all. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "safetensors.h"

/* A file's bytes: length, header, then `size` bytes of data (0, 1, 2 ...) in memory of exactly that size. */
static uint8_t *make(const char *header, size_t size, size_t *total)
{
    uint64_t length = strlen(header);
    *total = 8 + length + size;
    uint8_t *bytes = malloc(*total);
    memcpy(bytes, &length, 8);
    memcpy(bytes + 8, header, length);
    for (size_t i = 0; i < size; i++)
        bytes[8 + length + i] = (uint8_t)i;
    return bytes;
}

static vg_status parse(const char *header, size_t size)
{
    size_t total;
    uint8_t *bytes = make(header, size, &total);
    vg_tensors tensors = {0};
    vg_status status = vg_tensors_parse("m", bytes, total, &tensors);
    vg_tensors_close(&tensors);
    free(bytes);
    return status;
}

static void files_that_lie_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *header;
        size_t size;
        const char *says; /* NULL: good */
    } cases[] = {
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}", 8, NULL},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[],\"data_offsets\":[0,4]},\"__metadata__\":{\"format\":\"pt\"}}", 4, NULL},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[0,7],\"data_offsets\":[0,0]},\"b\":{\"dtype\":\"U8\",\"shape\":[3],\"data_offsets\":[0,3]}}",
         3, NULL},
        {"{}", 0, NULL},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}", 7, "is it cut off"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}", 9, "1 bytes of data belong to no tensor"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[4,12]}}", 12, "begins at byte 4"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]},\"b\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[4,12]}}",
         12, "tensor \"b\" begins at byte 4 of the data, before byte 8"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[3],\"data_offsets\":[0,8]}}", 8, "(3) of F32 takes 12 bytes, data_offsets give it 8"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[8,0]}}", 8, "not a range"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[-8,0]}}", 8, "not a range"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0]}}", 8, "no data_offsets"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8.0]}}", 8, "no data_offsets"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[-2],\"data_offsets\":[0,8]}}", 8, "whole numbers >= 0"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1.5],\"data_offsets\":[0,8]}}", 8, "whole numbers >= 0"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":7,\"data_offsets\":[0,8]}}", 8, "no shape"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1,1,1,1,1,1,1,1,1],\"data_offsets\":[0,4]}}", 4, "at most 8 dimensions"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[4294967296,4294967296],\"data_offsets\":[0,0]}}", 0, "too large"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[4611686018427387904],\"data_offsets\":[0,0]}}", 0, "too large"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,9223372036854775807]}}", 8, "is it cut off"},
        {"{\"a\":{\"dtype\":\"F8\",\"shape\":[2],\"data_offsets\":[0,2]}}", 2, "dtype F8 is not supported"},
        {"{\"a\":{\"shape\":[2],\"data_offsets\":[0,2]}}", 2, "dtype (missing)"},
        {"{\"a\":3}", 0, "dtype (missing)"},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0,0]},\"a\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0,0]}}", 0,
         "not a JSON object"},
        {"[]", 0, "not a JSON object"},
        {"{\"a\"", 0, "not a JSON object"},
        {"", 0, "not a JSON object"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        vg_status status = parse(cases[i].header, cases[i].size);
        if ((status == VG_OK) != (cases[i].says == NULL) || (status != VG_OK && strstr(vg_message(), cases[i].says) == NULL))
            fail_msg("case %zu: %d %s", i, status, vg_message());
        if (status != VG_OK)
            assert_int_equal(status, VG_INVALID);
    }
}

/* Every beginning of a good file, and every file with one byte changed, is read or refused without harm. */
static void no_byte_is_trusted(void **state)
{
    (void)state;
    size_t total;
    uint8_t *bytes = make("{\"a\":{\"dtype\":\"F16\",\"shape\":[2,1],\"data_offsets\":[0,4]}}", 4, &total);
    for (size_t n = 0; n < total; n++) {
        uint8_t *part = malloc(n > 0 ? n : 1);
        vg_tensors tensors = {0};
        memcpy(part, bytes, n);
        assert_int_equal(vg_tensors_parse("m", part, n, &tensors), VG_INVALID);
        vg_tensors_close(&tensors);
        free(part);
    }
    int refused = 0;
    for (size_t at = 0; at < total - 4; at++) {
        for (int bit = 0; bit < 8; bit++) {
            vg_tensors tensors = {0};
            bytes[at] ^= (uint8_t)(1 << bit);
            refused += vg_tensors_parse("m", bytes, total, &tensors) != VG_OK;
            vg_tensors_close(&tensors);
            bytes[at] ^= (uint8_t)(1 << bit);
        }
    }
    assert_true(refused > 400);
    free(bytes);
}

static float read_one(const char *type, uint32_t bits, int size)
{
    char header[128];
    size_t total;
    float value = -7.0f;
    snprintf(header, sizeof header, "{\"a\":{\"dtype\":\"%s\",\"shape\":[1],\"data_offsets\":[0,%d]}}", type, size);
    uint8_t *bytes = make(header, (size_t)size, &total);
    vg_tensors tensors = {0};
    memcpy(bytes + total - size, &bits, (size_t)size);
    assert_int_equal(vg_tensors_parse("m", bytes, total, &tensors), VG_OK);
    if (vg_tensor_read(&tensors.tensors[0], &value) != VG_OK)
        value = NAN;
    vg_tensors_close(&tensors);
    free(bytes);
    return value;
}

static void half_precisions_are_exact(void **state)
{
    (void)state;
    for (uint32_t bits = 0; bits < 0x10000; bits++) { /* all of binary16, from its definition */
        int exponent = (int)(bits >> 10 & 31), fraction = (int)(bits & 1023);
        double expected = exponent == 0 ? ldexp(fraction, -24) : ldexp(1024 + fraction, exponent - 25);
        float found =
            bits % 7 == 0 || exponent == 0 || exponent >= 30 ? read_one("F16", bits, 2) : (float)(bits >> 15 ? -expected : expected);
        if (exponent == 31)
            assert_true(isnan(found)); /* infinities and NaNs are refused */
        else
            assert_true((double)found == (bits >> 15 ? -expected : expected) && !signbit(found) == !(bits >> 15));
    }
    assert_true(read_one("BF16", 0x3F80, 2) == 1.0f);
    assert_true(read_one("BF16", 0xC049, 2) == -3.140625f);
    assert_true(read_one("BF16", 0x0001, 2) == 0x1p-133f);
    assert_true(read_one("F32", 0x3DCCCCCD, 4) == 0.1f);
    assert_true(isnan(read_one("F32", 0x7FC00000, 4)));
    assert_non_null(strstr(vg_message(), "tensor \"a\" (1): element 0 is nan"));
    assert_true(isnan(read_one("BF16", 0xFF80, 2)));
    assert_true(isnan(read_one("I32", 1, 4)));
    assert_non_null(strstr(vg_message(), "dtype I32 is not supported"));
}

/* ---- folders ------------------------------------------------------------------------------------------------------------ */

static char folder[64];

static void write_bytes(const char *name, const void *bytes, size_t size)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, size, file), size);
    fclose(file);
}

static void write_file(const char *name, const char *header, size_t size)
{
    size_t total;
    uint8_t *bytes = make(header, size, &total);
    write_bytes(name, bytes, total);
    free(bytes);
}

static void write_text(const char *name, const char *text)
{
    write_bytes(name, text, strlen(text));
}

static int make_folder(void **state)
{
    (void)state;
    strcpy(folder, "/tmp/vg_tensors_XXXXXX");
    return mkdtemp(folder) == NULL;
}

static int remove_folder(void **state)
{
    (void)state;
    static const char *const names[] = {"one.safetensors", "two.safetensors", "model.safetensors", "model.safetensors.index.json"};
    char path[256];
    for (int i = 0; i < 4; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        unlink(path);
    }
    return rmdir(folder);
}

static void expect_refusal(const char *says)
{
    vg_tensors tensors;
    vg_status status = vg_tensors_open(folder, &tensors);
    vg_tensors_close(&tensors);
    assert_int_equal(status, VG_INVALID);
    if (strstr(vg_message(), says) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", vg_message(), says);
}

static void a_model_may_be_in_several_files(void **state)
{
    (void)state;
    vg_tensors tensors;
    float values[2];
    expect_refusal("neither model.safetensors nor");
    write_file("one.safetensors", "{\"b\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}", 4);
    write_file("two.safetensors", "{\"a\":{\"dtype\":\"BF16\",\"shape\":[2],\"data_offsets\":[0,4]}}", 4);
    write_text("model.safetensors.index.json", "{\"weight_map\":{\"a\":\"two.safetensors\",\"b\":\"one.safetensors\"}}");
    assert_int_equal(vg_tensors_open(folder, &tensors), VG_OK);
    assert_int_equal(tensors.count, 2);
    assert_null(vg_tensors_find(&tensors, "c"));
    const vg_tensor *a = vg_tensors_find(&tensors, "a");
    assert_non_null(a);
    assert_int_equal(vg_tensor_read(a, values), VG_OK);
    assert_non_null(strstr(a->path, "two.safetensors"));
    vg_tensors_close(&tensors);

    write_text("model.safetensors.index.json", "{\"weight_map\":{\"a\":\"one.safetensors\",\"b\":\"one.safetensors\"}}");
    expect_refusal("tensor \"a\" is not in one.safetensors");
    write_text("model.safetensors.index.json", "{\"weight_map\":{\"a\":\"../two.safetensors\"}}");
    expect_refusal("not the name of a file in this folder");
    write_text("model.safetensors.index.json", "{\"weight_map\":{\"a\":\"three.safetensors\"}}");
    expect_refusal("three.safetensors: cannot be read");
    write_text("model.safetensors.index.json", "{\"weight_map\":{}}");
    expect_refusal("no \"weight_map\"");
    write_text("model.safetensors.index.json", "");
    expect_refusal("not JSON");
    write_file("two.safetensors", "{\"b\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}", 4);
    write_text("model.safetensors.index.json", "{\"weight_map\":{\"a\":\"two.safetensors\",\"b\":\"one.safetensors\"}}");
    expect_refusal("tensor \"b\" is in");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(files_that_lie_are_refused),
        cmocka_unit_test(no_byte_is_trusted),
        cmocka_unit_test(half_precisions_are_exact),
        cmocka_unit_test_setup_teardown(a_model_may_be_in_several_files, make_folder, remove_folder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
