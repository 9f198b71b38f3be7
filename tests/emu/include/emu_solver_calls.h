/* The calls of cuSOLVER that voxgrad makes, as NVIDIA declares them (see emu_runtime_calls.h). */
#ifdef __cplusplus
extern "C" {
#endif
cusolverStatus_t cusolverDnCreate(cusolverDnHandle_t *handle);
cusolverStatus_t cusolverDnDestroy(cusolverDnHandle_t handle);
cusolverStatus_t cusolverDnSetStream(cusolverDnHandle_t handle, cudaStream_t stream);
cusolverStatus_t cusolverGetProperty(libraryPropertyType type, int *value);
cusolverStatus_t cusolverDnCreateParams(cusolverDnParams_t *params);
cusolverStatus_t cusolverDnDestroyParams(cusolverDnParams_t params);
cusolverStatus_t cusolverDnXsyevd_bufferSize(cusolverDnHandle_t handle, cusolverDnParams_t params, cusolverEigMode_t jobz,
                                             cublasFillMode_t uplo, int64_t n, cudaDataType type_a, const void *A, int64_t lda,
                                             cudaDataType type_w, const void *W, cudaDataType compute, size_t *on_device, size_t *on_host);
cusolverStatus_t cusolverDnXsyevd(cusolverDnHandle_t handle, cusolverDnParams_t params, cusolverEigMode_t jobz, cublasFillMode_t uplo,
                                  int64_t n, cudaDataType type_a, void *A, int64_t lda, cudaDataType type_w, void *W, cudaDataType compute,
                                  void *buffer_on_device, size_t on_device, void *buffer_on_host, size_t on_host, int *info);
cusolverStatus_t cusolverDnXsyevBatched_bufferSize(cusolverDnHandle_t handle, cusolverDnParams_t params, cusolverEigMode_t jobz,
                                                   cublasFillMode_t uplo, int64_t n, cudaDataType type_a, const void *A, int64_t lda,
                                                   cudaDataType type_w, const void *W, cudaDataType compute, size_t *on_device,
                                                   size_t *on_host, int64_t batch);
cusolverStatus_t cusolverDnXsyevBatched(cusolverDnHandle_t handle, cusolverDnParams_t params, cusolverEigMode_t jobz, cublasFillMode_t uplo,
                                        int64_t n, cudaDataType type_a, void *A, int64_t lda, cudaDataType type_w, void *W,
                                        cudaDataType compute, void *buffer_on_device, size_t on_device, void *buffer_on_host,
                                        size_t on_host, int *info, int64_t batch);
#ifdef __cplusplus
}
#endif
