/* cusolver: symmetric eigenproblems of cuSOLVER, by LAPACKE on one thread. */
#include <cstring>
#include <lapacke.h>
#include <limits>

#include "cusolverDn.h"
#include "emu.h"

struct cusolverDnContext {
    cudaStream_t stream = nullptr;
};
struct cusolverDnParams {
};

namespace
{

/* What a real solver would want as workspace: so that callers must bring some. */
size_t workspace(int64_t n, int64_t batch)
{
    return (size_t)(batch * (2 * n * n + 6 * n + 1)) * sizeof(double);
}

cusolverStatus_t sizes(int64_t n, int64_t lda, cudaDataType type, int64_t batch, size_t *on_device, size_t *on_host)
{
    if (n < 0 || lda < n || type != CUDA_R_64F)
        return CUSOLVER_STATUS_INVALID_VALUE;
    *on_device = workspace(n, batch);
    *on_host = 64;
    return CUSOLVER_STATUS_SUCCESS;
}

cusolverStatus_t solve(cusolverDnHandle_t handle, int64_t n, cudaDataType type, void *a, int64_t lda, void *w, void *on_device,
                       size_t bytes, void *on_host, int *info, int64_t batch)
{
    bool bad = false;
    double *matrix = (double *)emu_reach(a, (size_t)(batch * n * lda) * sizeof(double), &bad);
    double *values = (double *)emu_reach(w, (size_t)(batch * n) * sizeof(double), &bad);
    int *faults = (int *)emu_reach(info, (size_t)batch * sizeof(int), &bad);
    emu_reach(on_device, bytes, &bad);
    if (bad || type != CUDA_R_64F || bytes < workspace(n, batch) || on_device == nullptr || on_host == nullptr)
        return CUSOLVER_STATUS_INVALID_VALUE;
    bool diverge = emu_fault("solver"), broken = emu_fault("solver-nan");
    cudaError_t error = emu_enqueue(handle->stream, [=] {
        for (int64_t i = 0; i < batch; i++) {
            lapack_int found =
                LAPACKE_dsyevd(LAPACK_COL_MAJOR, 'V', 'U', (lapack_int)n, matrix + i * n * lda, (lapack_int)lda, values + i * n);
            faults[i] = diverge ? 1 : found < 0 ? 0 : (int)found; /* cuSOLVER does not look for not-a-numbers */
            if (found < 0 || broken)
                for (int64_t j = 0; j < n; j++)
                    values[i * n + j] = std::numeric_limits<double>::quiet_NaN();
        }
        return cudaSuccess;
    });
    return error == cudaSuccess ? CUSOLVER_STATUS_SUCCESS : CUSOLVER_STATUS_EXECUTION_FAILED;
}

} // namespace

cusolverStatus_t cusolverDnCreate(cusolverDnHandle_t *handle)
{
    *handle = new cusolverDnContext;
    return CUSOLVER_STATUS_SUCCESS;
}

cusolverStatus_t cusolverDnDestroy(cusolverDnHandle_t handle)
{
    delete handle;
    return CUSOLVER_STATUS_SUCCESS;
}

cusolverStatus_t cusolverDnSetStream(cusolverDnHandle_t handle, cudaStream_t stream)
{
    handle->stream = stream;
    return CUSOLVER_STATUS_SUCCESS;
}

cusolverStatus_t cusolverGetProperty(libraryPropertyType, int *value)
{
    *value = 0; /* no version: an emulation */
    return CUSOLVER_STATUS_SUCCESS;
}

cusolverStatus_t cusolverDnCreateParams(cusolverDnParams_t *params)
{
    *params = new cusolverDnParams;
    return CUSOLVER_STATUS_SUCCESS;
}

cusolverStatus_t cusolverDnDestroyParams(cusolverDnParams_t params)
{
    delete params;
    return CUSOLVER_STATUS_SUCCESS;
}

cusolverStatus_t cusolverDnXsyevd_bufferSize(cusolverDnHandle_t, cusolverDnParams_t, cusolverEigMode_t, cublasFillMode_t, int64_t n,
                                             cudaDataType type_a, const void *, int64_t lda, cudaDataType, const void *, cudaDataType,
                                             size_t *on_device, size_t *on_host)
{
    return sizes(n, lda, type_a, 1, on_device, on_host);
}

cusolverStatus_t cusolverDnXsyevd(cusolverDnHandle_t handle, cusolverDnParams_t, cusolverEigMode_t, cublasFillMode_t, int64_t n,
                                  cudaDataType type_a, void *A, int64_t lda, cudaDataType, void *W, cudaDataType, void *buffer_on_device,
                                  size_t on_device, void *buffer_on_host, size_t, int *info)
{
    return solve(handle, n, type_a, A, lda, W, buffer_on_device, on_device, buffer_on_host, info, 1);
}

cusolverStatus_t cusolverDnXsyevBatched_bufferSize(cusolverDnHandle_t, cusolverDnParams_t, cusolverEigMode_t, cublasFillMode_t, int64_t n,
                                                   cudaDataType type_a, const void *, int64_t lda, cudaDataType, const void *, cudaDataType,
                                                   size_t *on_device, size_t *on_host, int64_t batch)
{
    return sizes(n, lda, type_a, batch, on_device, on_host);
}

cusolverStatus_t cusolverDnXsyevBatched(cusolverDnHandle_t handle, cusolverDnParams_t, cusolverEigMode_t, cublasFillMode_t, int64_t n,
                                        cudaDataType type_a, void *A, int64_t lda, cudaDataType, void *W, cudaDataType,
                                        void *buffer_on_device, size_t on_device, void *buffer_on_host, size_t, int *info, int64_t batch)
{
    return solve(handle, n, type_a, A, lda, W, buffer_on_device, on_device, buffer_on_host, info, batch);
}
