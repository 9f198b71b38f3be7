/* Protects: how a back end is asked for, what is said where there is none, and that misuse of an operation is an error, not a crash. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "voxgrad/device.h"

/* AddressSanitizer, like the C library, is to say no to what is too large, instead of ending the program. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
    return "allocator_may_return_null=1";
}

static void specs_are_understood(void **state)
{
    (void)state;
    vg_device *d;
    static const char *const wrong[] = {"", "gpu", "CPU", "cuda:", "cuda:x", "cuda:-1", "cuda:99999999999999999999", "cuda1", "cpu:1"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        assert_int_equal(vg_device_open(wrong[i], 0, 1, &d), VG_INVALID);
        assert_null(d);
        assert_non_null(strstr(vg_message(), "cuda:N"));
    }
    assert_int_equal(vg_device_open("cpu", 0, -1, &d), VG_INVALID);
    assert_int_equal(vg_device_open("cpu", -1, 1, &d), VG_INVALID);
    assert_int_equal(vg_device_open("cpu", 0, 3, &d), VG_OK);
    assert_int_equal(d->threads, 3);
    assert_non_null(strstr(d->name, "3 threads"));
    assert_non_null(strstr(d->name, vg_device_blas_core()));
    vg_device_close(d);
    assert_int_equal(vg_device_open("cpu", 0, 0, &d), VG_OK);
    assert_in_range(d->threads, 1, sysconf(_SC_NPROCESSORS_ONLN));
    vg_device_close(d);
    vg_device_close(NULL);
}

static void a_missing_module_is_named(void **state)
{
    (void)state;
    vg_device *d;
    setenv("VOXGRAD_CUDA_MODULE", "/nowhere/voxgrad_cuda.so", 1);
    assert_int_equal(vg_device_open("cuda", 0, 1, &d), VG_NO_DEVICE);
    assert_null(d);
    assert_non_null(strstr(vg_message(), "voxgrad_cuda.so"));
    assert_int_equal(vg_device_open("cuda:3", 0, 1, &d), VG_NO_DEVICE);
    assert_int_equal(vg_device_open("auto", 0, 1, &d), VG_OK);
    assert_int_equal(strncmp(d->name, "cpu (", 5), 0);
    vg_device_close(d);
}

static void what_is_no_module_is_refused(void **state)
{
    (void)state;
    char path[] = "/tmp/vg_module_XXXXXX";
    int descriptor = mkstemp(path);
    assert_int_equal(write(descriptor, "no library", 10), 10);
    close(descriptor);
    setenv("VOXGRAD_CUDA_MODULE", path, 1);
    vg_device *d;
    assert_int_equal(vg_device_open("cuda", 0, 1, &d), VG_NO_DEVICE);
    assert_non_null(strstr(vg_message(), path));
    unlink(path);
    setenv("VOXGRAD_CUDA_MODULE", "/nowhere", 1);
}

static void sizes_are_checked(void **state)
{
    (void)state;
    vg_device *d;
    assert_int_equal(vg_device_open("cpu", 0, 1, &d), VG_OK);
    float *x;
    assert_int_equal(VG_DEVICE_NEW(d, &x, -1), VG_DEFECT);
    assert_int_equal(VG_DEVICE_NEW(d, &x, INT64_MAX), VG_NO_MEMORY);
    assert_int_equal(VG_DEVICE_NEW(d, &x, INT64_MAX / 8), VG_NO_MEMORY);
    assert_null(x);
    assert_int_equal(VG_DEVICE_NEW(d, &x, 0), VG_OK);
    d->ops->free(d, x);
    d->ops->free(d, NULL);
    vg_device_close(d);
}

static void misuse_is_an_error(void **state)
{
    (void)state;
    vg_device *d;
    assert_int_equal(vg_device_open("cpu", 0, 1, &d), VG_OK);
    float x[64] = {0};
    double f[4], w[2], a[4] = {1, NAN, NAN, 1};
    int32_t token[2] = {1, 8};
    const vg_gemm fine = {.type = VG_F32,
                          .m = 2,
                          .n = 2,
                          .k = 2,
                          .batch = 2,
                          .alpha = 1,
                          .a = x,
                          .b = x,
                          .c = x + 32,
                          .lda = 2,
                          .ldb = 2,
                          .ldc = 2,
                          .stride_a = 4,
                          .stride_b = 4,
                          .stride_c = 4};
    assert_int_equal(d->ops->gemm(d, &fine), VG_OK);
    for (int fault = 0; fault < 6; fault++) {
        vg_gemm g = fine;
        *(fault == 0   ? &g.m
          : fault == 1 ? &g.lda
          : fault == 2 ? &g.ldb
          : fault == 3 ? &g.ldc
          : fault == 4 ? &g.batch
                       : &g.stride_c) = fault == 0 || fault == 4 ? -1
                                        : fault == 5             ? 0
                                                                 : 1;
        assert_int_equal(d->ops->gemm(d, &g), VG_DEFECT);
    }
    assert_int_equal(d->ops->target(d, VG_TARGET_LOGIT, 2, 8, x, token, NULL, false, f), VG_DEFECT);
    assert_int_equal(d->ops->target(d, VG_TARGET_CONTRAST, 1, 1, x, token, NULL, false, f), VG_DEFECT);
    assert_int_equal(d->ops->target(d, VG_TARGET_KL, 1, 8, x, NULL, NULL, false, f), VG_DEFECT);
    assert_int_equal(d->ops->eigh(d, 1, 2, a, w), VG_DEFECT);
    assert_non_null(strstr(vg_message(), "not-a-number"));
    assert_int_equal(d->ops->eigh(d, 1, 40000, a, w), VG_INVALID);
    assert_int_equal(d->ops->rotate(d, 1, 1, 4, 3, token, x, x, 1, x, 4), VG_DEFECT);
    vg_device_close(d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(specs_are_understood), cmocka_unit_test(a_missing_module_is_named), cmocka_unit_test(what_is_no_module_is_refused),
        cmocka_unit_test(sizes_are_checked),    cmocka_unit_test(misuse_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
