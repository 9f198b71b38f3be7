/* cublas: the products of cuBLAS, by CBLAS on one thread. The shorter forms of a float (TF32, bfloat16) are made by rounding the factors,
 * so that a key that asks for them shows. */
#include <cblas.h>
#include <cstring>
#include <vector>

#include "cublas_v2.h"
#include "emu.h"

struct cublasContext {
    cudaStream_t stream = nullptr;
    void *workspace = nullptr;
};

namespace
{

struct factor {
    const void *data;
    int64_t ld, stride;
    CBLAS_TRANSPOSE op;
};

struct product {
    int64_t m, n, k, batch, ldc, stride_c;
    factor a, b;
    void *c;
    double alpha, beta;
    bool wide;
    int dropped; /* bits of a float's fraction that a factor loses */
};

/* Elements from the first to one past the last of all matrices (rows x columns in memory, column-major). */
size_t extent(int64_t rows, int64_t columns, int64_t ld, int64_t stride, int64_t batch)
{
    return rows == 0 || columns == 0 ? 0 : (size_t)(stride * (batch - 1) + (columns - 1) * ld + rows);
}

/* To the nearest number of so many bits less, ties to even. */
float shortened(float value, int dropped)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    bits += ((1u << (dropped - 1)) - 1) + (bits >> dropped & 1);
    bits &= ~((1u << dropped) - 1);
    memcpy(&value, &bits, sizeof bits);
    return value;
}

const float *shorten(const float *x, int64_t rows, int64_t columns, int64_t ld, int dropped, std::vector<float> &room)
{
    if (dropped == 0)
        return x;
    room.assign((size_t)(ld * columns), 0);
    for (int64_t j = 0; j < columns; j++)
        for (int64_t i = 0; i < rows; i++)
            room[(size_t)(j * ld + i)] = shortened(x[j * ld + i], dropped);
    return room.data();
}

void multiply(const product &p, int64_t i)
{
    int m = (int)p.m, n = (int)p.n, k = (int)p.k, lda = (int)p.a.ld, ldb = (int)p.b.ld, ldc = (int)p.ldc;
    if (p.wide) {
        cblas_dgemm(CblasColMajor, p.a.op, p.b.op, m, n, k, p.alpha, (const double *)p.a.data + i * p.a.stride, lda,
                    (const double *)p.b.data + i * p.b.stride, ldb, p.beta, (double *)p.c + i * p.stride_c, ldc);
        return;
    }
    std::vector<float> room_a, room_b;
    bool ta = p.a.op == CblasTrans, tb = p.b.op == CblasTrans;
    const float *a = shorten((const float *)p.a.data + i * p.a.stride, ta ? p.k : p.m, ta ? p.m : p.k, p.a.ld, p.dropped, room_a);
    const float *b = shorten((const float *)p.b.data + i * p.b.stride, tb ? p.n : p.k, tb ? p.k : p.n, p.b.ld, p.dropped, room_b);
    cblas_sgemm(CblasColMajor, p.a.op, p.b.op, m, n, k, (float)p.alpha, a, lda, b, ldb, (float)p.beta, (float *)p.c + i * p.stride_c, ldc);
}

bool is_fine(const product &p)
{
    bool ta = p.a.op == CblasTrans, tb = p.b.op == CblasTrans;
    return p.m >= 0 && p.n >= 0 && p.k >= 0 && p.batch >= 0 && p.a.ld >= (ta ? p.k : p.m) && p.b.ld >= (tb ? p.n : p.k) && p.ldc >= p.m &&
           p.a.ld > 0 && p.b.ld > 0 && p.ldc > 0;
}

bool reach_all(product *p)
{
    bool bad = false, ta = p->a.op == CblasTrans, tb = p->b.op == CblasTrans;
    size_t size = p->wide ? 8 : 4;
    p->a.data = emu_reach(p->a.data, size * extent(ta ? p->k : p->m, ta ? p->m : p->k, p->a.ld, p->a.stride, p->batch), &bad);
    p->b.data = emu_reach(p->b.data, size * extent(tb ? p->n : p->k, tb ? p->k : p->n, p->b.ld, p->b.stride, p->batch), &bad);
    p->c = emu_reach(p->c, size * extent(p->m, p->n, p->ldc, p->stride_c, p->batch), &bad);
    return !bad;
}

} // namespace

cublasStatus_t cublasCreate_v2(cublasHandle_t *handle)
{
    openblas_set_num_threads(1);
    *handle = new cublasContext;
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasDestroy_v2(cublasHandle_t handle)
{
    delete handle;
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasSetStream_v2(cublasHandle_t handle, cudaStream_t stream)
{
    handle->stream = stream;
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasGetProperty(libraryPropertyType, int *value)
{
    *value = 0; /* no version: an emulation */
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasSetWorkspace_v2(cublasHandle_t handle, void *workspace, size_t bytes)
{
    bool bad = false;
    emu_reach(workspace, bytes, &bad);
    handle->workspace = workspace;
    return bad ? CUBLAS_STATUS_INVALID_VALUE : CUBLAS_STATUS_SUCCESS;
}

const char *cublasGetStatusString(cublasStatus_t status)
{
#define NAME(name, value) \
    if (status == name)   \
        return #name;
    EMU_BLAS_STATUS(NAME)
    return "CUBLAS_STATUS_UNKNOWN";
}

cublasStatus_t cublasGemmStridedBatchedEx_64(cublasHandle_t handle, cublasOperation_t transa, cublasOperation_t transb, int64_t m,
                                             int64_t n, int64_t k, const void *alpha, const void *A, cudaDataType type_a, int64_t lda,
                                             long long int stride_a, const void *B, cudaDataType type_b, int64_t ldb,
                                             long long int stride_b, const void *beta, void *C, cudaDataType type_c, int64_t ldc,
                                             long long int stride_c, int64_t batch, cublasComputeType_t compute, cublasGemmAlgo_t)
{
    bool wide = type_a == CUDA_R_64F;
    product p = {m,
                 n,
                 k,
                 batch,
                 ldc,
                 stride_c,
                 {A, lda, stride_a, transa == CUBLAS_OP_T ? CblasTrans : CblasNoTrans},
                 {B, ldb, stride_b, transb == CUBLAS_OP_T ? CblasTrans : CblasNoTrans},
                 C,
                 0,
                 0,
                 wide,
                 0};
    if (type_a != type_b || type_a != type_c || (compute == CUBLAS_COMPUTE_64F) != wide || !is_fine(p))
        return CUBLAS_STATUS_INVALID_VALUE;
    p.alpha = wide ? *(const double *)alpha : *(const float *)alpha;
    p.beta = wide ? *(const double *)beta : *(const float *)beta;
    p.dropped = compute == CUBLAS_COMPUTE_32F_FAST_TF32 ? 13 : compute == CUBLAS_COMPUTE_32F_FAST_16BF ? 16 : 0;
    if (m == 0 || n == 0 || batch == 0)
        return CUBLAS_STATUS_SUCCESS;
    if (!reach_all(&p))
        return CUBLAS_STATUS_INVALID_VALUE;
    cudaError_t error = emu_enqueue(handle->stream, [p] {
        for (int64_t i = 0; i < p.batch; i++)
            multiply(p, i);
        return cudaSuccess;
    });
    return error == cudaSuccess ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_EXECUTION_FAILED;
}
