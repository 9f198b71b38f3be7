/* npy: reads the golden files (NumPy's format 1.0, little-endian, C order, f4 f8 i4 i8) into doubles. Tests only. */
#ifndef VOXGRAD_TESTS_NPY_H
#define VOXGRAD_TESTS_NPY_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
    int dimensions;
    int64_t shape[8], count;
    double *data; /* to be given to free() */
} npy;

/* Reads tests/golden/NAME (VG_SOURCE is the checkout) or, with a slash in front, any path; fails the test where it cannot. */
static inline npy npy_read(const char *name)
{
    char path[4096], header[65536];
    const char *source = getenv("VG_SOURCE");
    snprintf(path, sizeof path, name[0] == '/' ? "%s%s" : "%s/tests/golden/%s", name[0] == '/' ? "" : source ? source : ".", name);
    FILE *file = fopen(path, "rb");
    uint8_t lead[10];
    if (file == NULL || fread(lead, 1, 10, file) != 10 || memcmp(lead, "\x93NUMPY\x01", 7) != 0) {
        fprintf(stderr, "%s: not a golden .npy\n", path);
        abort();
    }
    size_t length = (size_t)(lead[8] | lead[9] << 8);
    if (fread(header, 1, length, file) != length)
        abort();
    header[length] = '\0';
    npy array = {.count = 1};
    char *at = strchr(strstr(header, "'shape'"), '(') + 1;
    while (*at != ')') {
        array.shape[array.dimensions] = strtoll(at, &at, 10);
        array.count *= array.shape[array.dimensions++];
        at += strspn(at, ", ");
    }
    const char *type = strchr(strstr(header, "'descr'") + 7, '\'') + 2; /* after '< */
    size_t size = (size_t)(type[1] - '0');
    if (strstr(header, "'fortran_order': True") != NULL || (size != 4 && size != 8))
        abort();
    array.data = malloc((size_t)array.count * sizeof(double) + 8);
    for (int64_t i = 0; i < array.count; i++) {
        union {
            float f4;
            double f8;
            int32_t i4;
            int64_t i8;
        } value;
        if (fread(&value, size, 1, file) != 1)
            abort();
        array.data[i] = type[0] == 'f' ? (size == 4 ? (double)value.f4 : value.f8) : (size == 4 ? (double)value.i4 : (double)value.i8);
    }
    fclose(file);
    return array;
}

#endif
