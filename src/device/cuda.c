/* cuda: the CUDA back end's handle and memory. A module that device.c loads: one GPU, one stream for the work and one for copies that
 * the work need not wait for. Products and eigenproblems are in cuda_gemm.c, launches and the table in cuda_kernels.c, what ridge needs
 * more in cuda_ridge.c. */
#include <stdlib.h>
#include <string.h>

#include "cuda_backend.h"

enum {
    OLDEST = 8,                /* compute capability: sm_80 */
    BLAS_WORKSPACE = 32 << 20, /* given to cuBLAS, so that it takes the same way every time (its manual, "Results reproducibility") */
};

vg_backend_host vg_cuda_host;

/* ---- errors ------------------------------------------------------------------------------------------------------------ */

static const char *name_of_file(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash != NULL ? slash + 1 : path;
}

static vg_status failed(const vg_device *d, const char *what, const char *call, const char *file, int line)
{
    int length = (int)strcspn(call, "(");
    return vg_cuda_host.fail(VG_NO_DEVICE, "%s: %.*s (%s:%d): %s", d->name, length, call, name_of_file(file), line, what);
}

vg_status vg_cuda_check(const vg_device *d, cudaError_t error, const char *call, const char *file, int line)
{
    char what[160];
    if (error == cudaSuccess)
        return VG_OK;
    cudaGetLastError(); /* what can be forgotten is */
    snprintf(what, sizeof what, "%s (%s)", cudaGetErrorString(error), cudaGetErrorName(error));
    return failed(d, what, call, file, line);
}

vg_status vg_cublas_check(const vg_device *d, cublasStatus_t status, const char *call, const char *file, int line)
{
    return status == CUBLAS_STATUS_SUCCESS ? VG_OK : failed(d, cublasGetStatusString(status), call, file, line);
}

vg_status vg_cusolver_check(const vg_device *d, cusolverStatus_t status, const char *call, const char *file, int line)
{
    char what[64];
    snprintf(what, sizeof what, "cuSOLVER's status %d", (int)status);
    return status == CUSOLVER_STATUS_SUCCESS ? VG_OK : failed(d, what, call, file, line);
}

/* ---- memory ------------------------------------------------------------------------------------------------------------ */

vg_status vg_cuda_allocate(vg_device *d, size_t bytes, void **memory)
{
    *memory = NULL;
    cudaError_t error = cudaMalloc(memory, bytes > 0 ? bytes : 1);
    if (error != cudaErrorMemoryAllocation)
        return vg_cuda_check(d, error, "cudaMalloc(", __FILE__, __LINE__);
    size_t free_bytes = 0, total = 0;
    *memory = NULL;
    cudaGetLastError();
    VG_CUDA(d, cudaMemGetInfo(&free_bytes, &total));
    return vg_cuda_host.fail(VG_NO_MEMORY, "%s: no memory on the device: %zu bytes more are needed, %zu of its %zu are free", d->name,
                             bytes, free_bytes, total);
}

vg_status vg_cuda_alloc(vg_device *d, size_t bytes, void **memory)
{
    VG_CUDA(d, cudaSetDevice(vg_cuda_of(d)->gpu));
    return vg_cuda_allocate(d, bytes, memory);
}

void vg_cuda_free(vg_device *d, void *memory)
{
    (void)d;
    if (memory != NULL)
        cudaFree(memory);
}

vg_status vg_cuda_scratch(vg_device *d, size_t bytes, void **memory)
{
    vg_cuda *cuda = vg_cuda_of(d);
    if (bytes > cuda->scratch_size) {
        vg_cuda_free(d, cuda->scratch);
        cuda->scratch = NULL;
        cuda->scratch_size = 0;
        VG_TRY(vg_cuda_allocate(d, bytes, &cuda->scratch));
        cuda->scratch_size = bytes;
    }
    *memory = cuda->scratch;
    return VG_OK;
}

vg_status vg_cuda_sync(vg_device *d)
{
    VG_CUDA(d, cudaStreamSynchronize(vg_cuda_of(d)->compute));
    return VG_OK;
}

/* From pageable memory the runtime has read all of `host` when the call returns. */
vg_status vg_cuda_up(vg_device *d, void *to, const void *host, size_t bytes)
{
    if (bytes > 0)
        VG_CUDA(d, cudaMemcpyAsync(to, host, bytes, cudaMemcpyHostToDevice, vg_cuda_of(d)->compute));
    return VG_OK;
}

vg_status vg_cuda_down(vg_device *d, void *host, const void *from, size_t bytes)
{
    if (bytes > 0)
        VG_CUDA(d, cudaMemcpyAsync(host, from, bytes, cudaMemcpyDeviceToHost, vg_cuda_of(d)->compute));
    return vg_cuda_sync(d);
}

vg_status vg_cuda_copy(vg_device *d, float *to, int64_t ld_to, const float *from, int64_t ld_from, int64_t rows, int64_t columns)
{
    size_t size = sizeof *to;
    if (rows > 0 && columns > 0)
        VG_CUDA(d, cudaMemcpy2DAsync(to, (size_t)ld_to * size, from, (size_t)ld_from * size, (size_t)columns * size, (size_t)rows,
                                     cudaMemcpyDeviceToDevice, vg_cuda_of(d)->compute));
    return VG_OK;
}

/* ---- opening and closing ------------------------------------------------------------------------------------------------- */

/* Gives back what there is of a back end, opened in full or not. */
static void close_cuda(vg_device *device)
{
    vg_cuda *cuda = vg_cuda_of(device);
    if (cuda->solver_params != NULL)
        cusolverDnDestroyParams(cuda->solver_params);
    if (cuda->solver != NULL)
        cusolverDnDestroy(cuda->solver);
    if (cuda->blas != NULL)
        cublasDestroy(cuda->blas);
    void *memory[] = {cuda->blas_workspace, cuda->scratch, cuda->ahead.memory, cuda->fault};
    for (size_t i = 0; i < sizeof memory / sizeof memory[0]; i++)
        vg_cuda_free(device, memory[i]);
    for (int i = 0; i < VG_PINNED; i++) {
        if (cuda->pinned[i] != NULL)
            cudaFreeHost(cuda->pinned[i]);
        if (cuda->copied[i] != NULL)
            cudaEventDestroy(cuda->copied[i]);
    }
    if (cuda->computed != NULL)
        cudaEventDestroy(cuda->computed);
    if (cuda->ahead.read != NULL)
        cudaEventDestroy(cuda->ahead.read);
    if (cuda->copies != NULL)
        cudaStreamDestroy(cuda->copies);
    if (cuda->compute != NULL)
        cudaStreamDestroy(cuda->compute);
    free(cuda);
    free(device);
}

/* Which GPU, and whether there is one. */
static vg_status choose(vg_device *device, int gpu, int local_rank)
{
    int count = 0;
    cudaError_t error = cudaGetDeviceCount(&count);
    if (error != cudaSuccess || count == 0) {
        cudaGetLastError();
        return vg_cuda_host.fail(VG_NO_DEVICE, "there is no GPU here that CUDA can use: %s",
                                 error != cudaSuccess ? cudaGetErrorString(error) : "cudaGetDeviceCount counts none");
    }
    if (gpu >= count)
        return vg_cuda_host.fail(VG_NO_DEVICE, "there is no cuda:%d: CUDA counts %d GPU%s, from cuda:0", gpu, count, count == 1 ? "" : "s");
    vg_cuda_of(device)->gpu = gpu >= 0 ? gpu : local_rank % count;
    return VG_OK;
}

static vg_status open_gpu(vg_device *device)
{
    vg_cuda *cuda = vg_cuda_of(device);
    struct cudaDeviceProp properties;
    snprintf(device->name, sizeof device->name, "cuda:%d", cuda->gpu);
    VG_CUDA(device, cudaSetDevice(cuda->gpu));
    VG_CUDA(device, cudaGetDeviceProperties(&properties, cuda->gpu));
    snprintf(device->name, sizeof device->name, "cuda:%d (%.48s, sm_%d%d)", cuda->gpu, properties.name, properties.major, properties.minor);
    if (properties.major < OLDEST)
        return vg_cuda_host.fail(VG_NO_DEVICE, "%s is too old: voxgrad needs compute capability %d.0 or newer", device->name, OLDEST);
    VG_CUDA(device, cudaStreamCreateWithFlags(&cuda->compute, cudaStreamNonBlocking));
    VG_CUDA(device, cudaStreamCreateWithFlags(&cuda->copies, cudaStreamNonBlocking));
    VG_CUDA(device, cudaEventCreateWithFlags(&cuda->computed, cudaEventDisableTiming));
    VG_CUDA(device, cudaEventCreateWithFlags(&cuda->ahead.read, cudaEventDisableTiming));
    for (int i = 0; i < VG_PINNED; i++)
        VG_CUDA(device, cudaEventCreateWithFlags(&cuda->copied[i], cudaEventDisableTiming));
    return vg_cuda_allocate(device, sizeof *cuda->fault, (void **)&cuda->fault);
}

/* Their versions, as they say them themselves. */
static vg_status name_libraries(vg_device *device)
{
    int runtime, blas[3], solver[3];
    VG_CUDA(device, cudaRuntimeGetVersion(&runtime));
    VG_CUBLAS(device, cublasGetProperty(MAJOR_VERSION, &blas[0]));
    VG_CUBLAS(device, cublasGetProperty(MINOR_VERSION, &blas[1]));
    VG_CUBLAS(device, cublasGetProperty(PATCH_LEVEL, &blas[2]));
    VG_CUSOLVER(device, cusolverGetProperty(MAJOR_VERSION, &solver[0]));
    VG_CUSOLVER(device, cusolverGetProperty(MINOR_VERSION, &solver[1]));
    VG_CUSOLVER(device, cusolverGetProperty(PATCH_LEVEL, &solver[2]));
    snprintf(device->libraries, sizeof device->libraries, "CUDA %d.%d, cuBLAS %d.%d.%d, cuSOLVER %d.%d.%d", runtime / 1000,
             runtime % 1000 / 10, blas[0], blas[1], blas[2], solver[0], solver[1], solver[2]);
    return VG_OK;
}

static vg_status open_libraries(vg_device *device)
{
    vg_cuda *cuda = vg_cuda_of(device);
    VG_CUBLAS(device, cublasCreate(&cuda->blas));
    VG_CUBLAS(device, cublasSetStream(cuda->blas, cuda->compute));
    VG_TRY(vg_cuda_allocate(device, BLAS_WORKSPACE, &cuda->blas_workspace));
    VG_CUBLAS(device, cublasSetWorkspace(cuda->blas, cuda->blas_workspace, BLAS_WORKSPACE));
    VG_CUSOLVER(device, cusolverDnCreate(&cuda->solver));
    VG_CUSOLVER(device, cusolverDnSetStream(cuda->solver, cuda->compute));
    VG_CUSOLVER(device, cusolverDnCreateParams(&cuda->solver_params));
    return VG_OK;
}

__attribute__((visibility("default"))) vg_cuda_open_function vg_cuda_open;

vg_status vg_cuda_open(const vg_backend_host *host, int gpu, int local_rank, vg_device **device)
{
    *device = NULL;
    if (host->size != sizeof(vg_device_ops))
        return host->fail(VG_NO_DEVICE, "the CUDA back end is of another version of voxgrad");
    vg_cuda_host = *host;
    vg_device *opened = calloc(1, sizeof *opened);
    vg_cuda *cuda = calloc(1, sizeof *cuda);
    if (opened == NULL || cuda == NULL) {
        free(opened);
        free(cuda);
        return host->fail(VG_NO_MEMORY, "no memory for the CUDA back end");
    }
    cuda->backend.close = close_cuda;
    opened->ops = &vg_cuda_ops;
    opened->state = cuda;
    opened->threads = 1;
    vg_status status;
    VG_GO(choose(opened, gpu, local_rank));
    VG_GO(open_gpu(opened));
    VG_GO(open_libraries(opened));
    VG_GO(name_libraries(opened));
    *device = opened;
done:
    if (status != VG_OK)
        close_cuda(opened);
    return status;
}
