/* The calls of cuBLAS that voxgrad makes, as NVIDIA declares them (see emu_runtime_calls.h). */
#ifdef __cplusplus
extern "C" {
#endif
cublasStatus_t cublasCreate_v2(cublasHandle_t *handle);
cublasStatus_t cublasDestroy_v2(cublasHandle_t handle);
cublasStatus_t cublasSetStream_v2(cublasHandle_t handle, cudaStream_t stream);
cublasStatus_t cublasSetWorkspace_v2(cublasHandle_t handle, void *workspace, size_t bytes);
cublasStatus_t cublasGetProperty(libraryPropertyType type, int *value);
const char *cublasGetStatusString(cublasStatus_t status);
cublasStatus_t cublasGemmStridedBatchedEx_64(cublasHandle_t handle, cublasOperation_t transa, cublasOperation_t transb, int64_t m,
                                             int64_t n, int64_t k, const void *alpha, const void *A, cudaDataType type_a, int64_t lda,
                                             long long int stride_a, const void *B, cudaDataType type_b, int64_t ldb,
                                             long long int stride_b, const void *beta, void *C, cudaDataType type_c, int64_t ldc,
                                             long long int stride_c, int64_t batch, cublasComputeType_t compute,
                                             cublasGemmAlgo_t algorithm);
#ifdef __cplusplus
}
#endif
