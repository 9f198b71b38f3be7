/* cuda_backend: what the files of the CUDA back end share: its handle, and how a call is checked. They are a module of their own (device.c
 * loads it) and reach the program through vg_cuda_host alone. */
#ifndef VOXGRAD_DEVICE_CUDA_BACKEND_H
#define VOXGRAD_DEVICE_CUDA_BACKEND_H

#include <cublas_v2.h>
#include <cuda_runtime_api.h>
#include <cusolverDn.h>

#include "backend.h"

enum { VG_PINNED = 2 }; /* buffers on the way to the device: one is filled while the other travels */

typedef struct {
    vg_backend backend;
    int gpu;
    cudaStream_t compute, copies;
    cudaEvent_t computed, copied[VG_PINNED]; /* copied: the buffer may be filled again */
    void *pinned[VG_PINNED];                 /* NULL until the first tile */
    struct {                                 /* a tile that comes before it is asked for (cuda_ridge.c) */
        vg_ridge_center tile;                /* no columns: none */
        int64_t sent;                        /* pieces of it */
        void *memory;                        /* device; grows, and is kept */
        size_t size;
        cudaEvent_t read; /* the last tile that came so has been used */
    } ahead;
    cublasHandle_t blas;
    cusolverDnHandle_t solver;
    cusolverDnParams_t solver_params;
    void *blas_workspace;
    void *scratch; /* of one operation; grows, and is kept */
    size_t scratch_size;
    int64_t *fault; /* device: what a kernel found wrong */
} vg_cuda;

static inline vg_cuda *vg_cuda_of(const vg_device *d)
{
    return d->state;
}

extern vg_backend_host vg_cuda_host;

/* The status of a call that returned `error`, with call, file, line and device in the message. */
vg_status vg_cuda_check(const vg_device *d, cudaError_t error, const char *call, const char *file, int line);
vg_status vg_cublas_check(const vg_device *d, cublasStatus_t status, const char *call, const char *file, int line);
vg_status vg_cusolver_check(const vg_device *d, cusolverStatus_t status, const char *call, const char *file, int line);
#define VG_CUDA(d, call) VG_TRY(vg_cuda_check((d), (call), #call, __FILE__, __LINE__))
#define VG_CUBLAS(d, call) VG_TRY(vg_cublas_check((d), (call), #call, __FILE__, __LINE__))
#define VG_CUSOLVER(d, call) VG_TRY(vg_cusolver_check((d), (call), #call, __FILE__, __LINE__))

/* Device memory of at least `bytes` that holds until the next operation asks for some. */
vg_status vg_cuda_scratch(vg_device *d, size_t bytes, void **memory);

vg_status vg_cuda_allocate(vg_device *d, size_t bytes, void **memory);

/* The table's memory operations (cuda.c), and the ones that are more than a launch. */
vg_status vg_cuda_alloc(vg_device *d, size_t bytes, void **memory);
void vg_cuda_free(vg_device *d, void *memory);
vg_status vg_cuda_up(vg_device *d, void *to, const void *host, size_t bytes);
vg_status vg_cuda_down(vg_device *d, void *host, const void *from, size_t bytes);
vg_status vg_cuda_copy(vg_device *d, float *to, int64_t ld_to, const float *from, int64_t ld_from, int64_t rows, int64_t columns);
vg_status vg_cuda_sync(vg_device *d);
vg_status vg_cuda_gemm(vg_device *d, const vg_gemm *g);
vg_status vg_cuda_eigh(vg_device *d, int64_t batch, int64_t n, double *a, double *w);

vg_status vg_cuda_ridge_center(vg_device *d, const vg_ridge_center *c);
vg_status vg_cuda_ridge_ahead(vg_device *d, const vg_ridge_center *c);
vg_status vg_cuda_ridge_score(vg_device *d, const vg_ridge_score *s);

extern const vg_device_ops vg_cuda_ops;

#endif
