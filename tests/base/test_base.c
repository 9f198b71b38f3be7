/* Protects: the error path, text in every encoding, numbers, lines, options, random numbers, checksums, the arena. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "voxgrad/base.h"

static void write_file(const char *path, const void *data, size_t size)
{
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(data, 1, size, file), size);
    fclose(file);
}

static void messages_are_kept_and_prefixed(void **state)
{
    (void)state;
    assert_int_equal(vg_fail(VG_INVALID, "row %d", 3), VG_INVALID);
    assert_int_equal(vg_fail_within(VG_INVALID, "subject %s: ", "s18"), VG_INVALID);
    assert_string_equal(vg_message(), "subject s18: row 3");
    assert_int_equal(vg_exit_code(VG_INVALID), 2);
    assert_int_equal(vg_exit_code(VG_NO_MEMORY), 3);
    assert_int_equal(vg_exit_code(VG_NO_SPACE), 3);
    assert_int_equal(vg_exit_code(VG_INTERRUPTED), 4);
    assert_int_equal(vg_exit_code(VG_DEFECT), 5);
}

static void impossible_sizes_are_refused(void **state)
{
    (void)state;
    double *x = NULL;
    assert_int_equal(VG_NEW(&x, INT64_MAX, "numbers"), VG_NO_MEMORY);
    assert_int_equal(VG_NEW(&x, INT64_MAX / 8, "numbers"), VG_NO_MEMORY);
    assert_int_equal(VG_NEW(&x, -1, "numbers"), VG_DEFECT);
    int64_t product;
    assert_int_equal(vg_multiply(INT64_MAX, 2, "shape", &product), VG_INVALID);
    assert_int_equal(VG_NEW(&x, 0, "numbers"), VG_OK);
    free(x);
    vg_arena arena = {.memory = (void *)256, .size = 1024};
    float *piece;
    assert_int_equal(VG_TAKE(&arena, &piece, 65, "a"), VG_OK);
    assert_int_equal(arena.used, 512);
    assert_int_equal(VG_TAKE(&arena, &piece, 129, "b"), VG_NO_MEMORY);
}

static void text_is_read_in_every_encoding(void **state)
{
    (void)state;
    char path[] = "/tmp/vg_base_XXXXXX";
    int descriptor = mkstemp(path);
    close(descriptor);
    char *text;
    size_t size;
    static const struct {
        const char *bytes;
        size_t size;
        const char *expected; /* NULL: refused */
    } cases[] = {
        {"caf\xC3\xA9\n", 6, "caf\xC3\xA9\n"},
        {"\xEF\xBB\xBFhi", 5, "hi"},
        {"\xFF\xFEh\0i\0\xE9\0", 8, "hi\xC3\xA9"},
        {"\xFE\xFF\0h\xD8\x3D\xDE\x00", 8, "h\xF0\x9F\x98\x80"},
        {"\xFF\xFEh\0i", 5, NULL},
        {"\xFE\xFF\xD8\x3D\0h", 6, NULL},
        {"a\n\xFF", 3, NULL},
        {"\xC0\x80", 2, NULL},
        {"\xED\xA0\x80", 3, NULL},
        {"", 0, ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        write_file(path, cases[i].bytes, cases[i].size);
        vg_status status = vg_text_read(path, &text, &size);
        assert_int_equal(status, cases[i].expected != NULL ? VG_OK : VG_INVALID);
        if (status == VG_OK) {
            assert_string_equal(text, cases[i].expected);
            assert_int_equal(size, strlen(cases[i].expected));
        }
        free(text);
    }
    unlink(path);
    assert_int_equal(vg_text_read(path, &text, &size), VG_INVALID);
    assert_non_null(strstr(vg_message(), path));
    assert_int_equal(vg_text_read("/tmp", &text, &size), VG_INVALID);
}

static void lines_and_fields(void **state)
{
    (void)state;
    vg_lines lines = {.path = "x", .text = "a\tb\r\n\nlast", .size = 10};
    assert_true(vg_lines_next(&lines));
    assert_int_equal(lines.length, 3);
    size_t at = 0, n;
    const char *field;
    assert_true(vg_field_next(lines.line, lines.length, '\t', &at, &field, &n));
    assert_true(vg_field_next(lines.line, lines.length, '\t', &at, &field, &n));
    assert_int_equal(*field, 'b');
    assert_false(vg_field_next(lines.line, lines.length, '\t', &at, &field, &n));
    assert_true(vg_lines_next(&lines));
    assert_int_equal(lines.length, 0);
    assert_true(vg_lines_next(&lines));
    assert_int_equal(lines.number, 3);
    assert_int_equal(lines.length, 4);
    assert_false(vg_lines_next(&lines));
    int fields = 0;
    for (at = 0; vg_field_next(",x,", 3, ',', &at, &field, &n);)
        fields++;
    assert_int_equal(fields, 3);
    fields = 0;
    for (at = 0; vg_field_next("  1   2 ", 8, ' ', &at, &field, &n);)
        fields++;
    assert_int_equal(fields, 2);
}

static void numbers(void **state)
{
    (void)state;
    double x;
    int64_t n;
    assert_true(vg_parse_double("-1.5e3", 6, &x));
    assert_true(x == -1500.0);
    assert_true(vg_parse_double("NaN", 3, &x) && isnan(x));
    assert_false(vg_parse_double("1.5 ", 4, &x));
    assert_false(vg_parse_double("1,5", 3, &x));
    assert_false(vg_parse_double("0x10", 4, &x));
    assert_false(vg_parse_double("", 0, &x));
    assert_true(vg_parse_integer("-12", 3, &n) && n == -12);
    assert_false(vg_parse_integer("99999999999999999999", 20, &n));
    assert_false(vg_parse_integer("1.0", 3, &n));
}

static void random_numbers_are_philox(void **state)
{
    (void)state;
    /* Known answer of Philox4x32-10 for a zero counter and key: Random123's kat_vectors, 6627e8d5 e169c58d bc57ac4c 9b00dbd8. */
    assert_int_equal(vg_random_bits(0, (vg_random_purpose)0, 0), 0xe169c58d6627e8d5u);
    assert_int_equal(vg_random_bits(7, VG_RANDOM_TEST, 9), vg_random_bits(7, VG_RANDOM_TEST, 9));
    assert_int_not_equal(vg_random_bits(7, VG_RANDOM_TEST, 9), vg_random_bits(7, VG_RANDOM_SPACE, 9));
    double mean = 0, square = 0;
    for (uint64_t i = 0; i < 100000; i++) {
        double z = vg_random_normal(1, VG_RANDOM_TEST, i);
        mean += z / 1e5;
        square += z * z / 1e5;
    }
    assert_true(fabs(mean) < 0.013 && fabs(square - 1) < 0.018); /* four standard errors */
}

static void checksum_is_crc32c(void **state)
{
    (void)state;
    uint8_t zeros[32] = {0};
    assert_int_equal(vg_crc32c(0, zeros, 32), 0x8A9136AAu); /* RFC 3720, B.4 */
    assert_int_equal(vg_crc32c(0, "123456789", 9), 0xE3069283u);
    assert_int_equal(vg_crc32c(vg_crc32c(0, "1234", 4), "56789", 5), 0xE3069283u);
}

static void options(void **state)
{
    (void)state;
    const char *output = NULL;
    bool quiet = false;
    const vg_option table[] = {{"output", 'o', "DIR", "where", &output, NULL}, {"quiet", 'q', NULL, "hush", NULL, &quiet}, {0}};
    char *good[] = {"run", "-q", "study.yaml", "--output=x", "--", "-odd"};
    int operands;
    assert_int_equal(vg_options_parse(table, 6, good, &operands), VG_OK);
    assert_int_equal(operands, 2);
    assert_string_equal(good[0], "study.yaml");
    assert_string_equal(good[1], "-odd");
    assert_string_equal(output, "x");
    assert_true(quiet);
    char *bad[] = {"run", "--outputs", "x"};
    assert_int_equal(vg_options_parse(table, 3, bad, &operands), VG_INVALID);
    assert_non_null(strstr(vg_message(), "--output"));
    char *missing[] = {"run", "-o"};
    assert_int_equal(vg_options_parse(table, 2, missing, &operands), VG_INVALID);
}

static void paths_and_words(void **state)
{
    (void)state;
    char *path;
    assert_int_equal(vg_path_beside("a/b.yaml", "c", &path), VG_OK);
    assert_string_equal(path, "a/c");
    free(path);
    assert_int_equal(vg_path_beside("b.yaml", "c", &path), VG_OK);
    assert_string_equal(path, "c");
    free(path);
    assert_int_equal(vg_path_beside("a/b.yaml", "/c", &path), VG_OK);
    assert_string_equal(path, "/c");
    free(path);
    const char *known[] = {"delays", "trim", NULL};
    assert_string_equal(vg_nearest("dealys", known), "delays");
    assert_null(vg_nearest("zebra crossing", known));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages_are_kept_and_prefixed),
        cmocka_unit_test(impossible_sizes_are_refused),
        cmocka_unit_test(text_is_read_in_every_encoding),
        cmocka_unit_test(lines_and_fields),
        cmocka_unit_test(numbers),
        cmocka_unit_test(random_numbers_are_philox),
        cmocka_unit_test(checksum_is_crc32c),
        cmocka_unit_test(options),
        cmocka_unit_test(paths_and_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
