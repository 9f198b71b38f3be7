/* backend: what device.c and a back end know of each other. A back end's `state` begins with a vg_backend; the CUDA back end is a
 * module that is loaded at run time and reaches the program only through the vg_backend_host that it is handed, so that it needs
 * none of the program's symbols and has no message of its own. */
#ifndef VOXGRAD_DEVICE_BACKEND_H
#define VOXGRAD_DEVICE_BACKEND_H

#include "voxgrad/device.h"

typedef struct {
    double flops;                     /* counted since the device was opened */
    void (*close)(vg_device *device); /* frees the state and the device */
    void *module;                     /* of dlopen, or NULL */
} vg_backend;

/* What a module may call. `size` is sizeof(vg_device_ops): a module built for another table refuses. */
typedef struct {
    size_t size;
    vg_status (*fail)(vg_status status, const char *format, ...) __attribute__((format(printf, 2, 3)));
    void (*log)(vg_log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));
} vg_backend_host;

/* The module's one symbol, "vg_cuda_open". gpu: the one asked for, or -1: local_rank modulo the number there is.
 * Errors: VG_NO_DEVICE (no GPU, no driver, one too old; another table), VG_NO_MEMORY. */
typedef vg_status vg_cuda_open_function(const vg_backend_host *host, int gpu, int local_rank, vg_device **device);

vg_status vg_cpu_open(int threads, vg_device **device);

/* What every back end asks of a product, and the message where it is not so. */
#define VG_GEMM_FAULT "gemm: m %lld, n %lld, k %lld, batch %lld do not go with lda %lld, ldb %lld, ldc %lld, stride_c %lld"
#define VG_GEMM_NUMBERS(g)                                                                                                    \
    (long long)(g)->m, (long long)(g)->n, (long long)(g)->k, (long long)(g)->batch, (long long)(g)->lda, (long long)(g)->ldb, \
        (long long)(g)->ldc, (long long)(g)->stride_c
static inline bool vg_gemm_is_fine(const vg_gemm *g)
{
    int64_t columns_a = g->transpose_a ? g->m : g->k, columns_b = g->transpose_b ? g->k : g->n;
    return g->m >= 0 && g->n >= 0 && g->k >= 0 && g->batch >= 0 && g->lda >= columns_a && g->ldb >= columns_b && g->ldc >= g->n &&
           g->k <= INT32_MAX && g->lda <= INT32_MAX && g->ldb <= INT32_MAX && g->ldc <= INT32_MAX &&
           (g->batch < 2 || g->m == 0 || g->n == 0 || g->stride_c != 0);
}

/* One matrix b for all items whose rows of a and c follow on each other: one tall product. */
static inline vg_gemm vg_gemm_joined(const vg_gemm *g)
{
    vg_gemm tall = *g;
    if (g->batch > 1 && !g->transpose_a && g->stride_b == 0 && g->stride_a == g->m * g->lda && g->stride_c == g->m * g->ldc) {
        tall.m *= g->batch;
        tall.batch = 1;
    }
    return tall;
}

#endif
