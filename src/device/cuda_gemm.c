/* cuda_gemm: products by cuBLAS, symmetric eigenproblems by cuSOLVER. Their matrices are column-major: our row-major c = a b is their c' =
 * b' a', and a symmetric matrix is its own transpose. */
#include <math.h>
#include <stdlib.h>

#include "cuda_backend.h"
#include "kernels.h"

static vg_status multiply(vg_device *d, const vg_gemm *g)
{
    float alpha = (float)g->alpha, beta = (float)g->beta;
    bool wide = g->type == VG_F64;
    cudaDataType type = wide ? CUDA_R_64F : CUDA_R_32F;
    cublasOperation_t a = g->transpose_a ? CUBLAS_OP_T : CUBLAS_OP_N, b = g->transpose_b ? CUBLAS_OP_T : CUBLAS_OP_N;
    static const cublasComputeType_t compute[] = {
        [VG_FLOAT32] = CUBLAS_COMPUTE_32F, [VG_TF32] = CUBLAS_COMPUTE_32F_FAST_TF32, [VG_BF16] = CUBLAS_COMPUTE_32F_FAST_16BF};
    const void *by_alpha = wide ? (const void *)&g->alpha : &alpha, *by_beta = wide ? (const void *)&g->beta : &beta;
    VG_CUBLAS(d, cublasGemmStridedBatchedEx_64(vg_cuda_of(d)->blas, b, a, g->n, g->m, g->k, by_alpha, g->b, type, g->ldb, g->stride_b, g->a,
                                               type, g->lda, g->stride_a, by_beta, g->c, type, g->ldc, g->stride_c, g->batch,
                                               wide ? CUBLAS_COMPUTE_64F : compute[g->precision], CUBLAS_GEMM_DEFAULT));
    return VG_OK;
}

vg_status vg_cuda_gemm(vg_device *d, const vg_gemm *asked)
{
    if (!vg_gemm_is_fine(asked))
        return vg_cuda_host.fail(VG_DEFECT, VG_GEMM_FAULT, VG_GEMM_NUMBERS(asked));
    vg_gemm g = vg_gemm_joined(asked);
    if (g.m == 0 || g.n == 0 || g.batch == 0)
        return VG_OK;
    if (g.k == 0) {
        VG_CUDA(d, vg_gpu_scale_matrices(vg_cuda_of(d)->compute, g.type, g.batch, g.m, g.n, g.beta, g.c, g.ldc, g.stride_c));
        return VG_OK;
    }
    vg_cuda_of(d)->backend.flops += 2.0 * (double)g.m * (double)g.n * (double)g.k * (double)g.batch;
    return multiply(d, &g);
}

/* ---- eigenproblems ------------------------------------------------------------------------------------------------------- */

/* Problems of one call of cuSOLVER: all of a batch where they are small, else one. */
typedef struct {
    int64_t batch, n;
    size_t on_device, on_host;
    void *work, *host; /* host: also holds info and w for a look */
    int *info;         /* device (batch) */
} eigenproblem;

static vg_status size_up(vg_device *d, const double *a, const double *w, eigenproblem *e)
{
    vg_cuda *cuda = vg_cuda_of(d);
    if (e->batch > 1)
        VG_CUSOLVER(d, cusolverDnXsyevBatched_bufferSize(cuda->solver, cuda->solver_params, CUSOLVER_EIG_MODE_VECTOR,
                                                         CUBLAS_FILL_MODE_UPPER, e->n, CUDA_R_64F, a, e->n, CUDA_R_64F, w, CUDA_R_64F,
                                                         &e->on_device, &e->on_host, e->batch));
    else
        VG_CUSOLVER(d, cusolverDnXsyevd_bufferSize(cuda->solver, cuda->solver_params, CUSOLVER_EIG_MODE_VECTOR, CUBLAS_FILL_MODE_UPPER,
                                                   e->n, CUDA_R_64F, a, e->n, CUDA_R_64F, w, CUDA_R_64F, &e->on_device, &e->on_host));
    size_t rounded = (e->on_device + 255) / 256 * 256, look = (size_t)e->batch * (sizeof(int) + (size_t)e->n * sizeof(double));
    VG_TRY(vg_cuda_scratch(d, rounded + (size_t)e->batch * sizeof(int), &e->work));
    e->info = (int *)((char *)e->work + rounded);
    e->host = malloc(e->on_host > look ? e->on_host : look);
    return e->host != NULL ? VG_OK : vg_cuda_host.fail(VG_NO_MEMORY, "no memory for an eigenproblem: %zu bytes", e->on_host + look);
}

static vg_status solve(vg_device *d, double *a, double *w, const eigenproblem *e)
{
    vg_cuda *cuda = vg_cuda_of(d);
    if (e->batch > 1)
        VG_CUSOLVER(d, cusolverDnXsyevBatched(cuda->solver, cuda->solver_params, CUSOLVER_EIG_MODE_VECTOR, CUBLAS_FILL_MODE_UPPER, e->n,
                                              CUDA_R_64F, a, e->n, CUDA_R_64F, w, CUDA_R_64F, e->work, e->on_device, e->host, e->on_host,
                                              e->info, e->batch));
    else
        VG_CUSOLVER(d,
                    cusolverDnXsyevd(cuda->solver, cuda->solver_params, CUSOLVER_EIG_MODE_VECTOR, CUBLAS_FILL_MODE_UPPER, e->n, CUDA_R_64F,
                                     a, e->n, CUDA_R_64F, w, CUDA_R_64F, e->work, e->on_device, e->host, e->on_host, e->info));
    return d->ops->sync(d); /* the host's buffer is in use until then */
}

/* cuSOLVER says in `info` what did not converge, and makes not-a-numbers of those it is given. */
static vg_status look(vg_device *d, const double *w, const eigenproblem *e, int64_t first)
{
    double *values = e->host;
    int *info = (int *)(values + e->batch * e->n);
    VG_TRY(d->ops->down(d, values, w, (size_t)(e->batch * e->n) * sizeof *values));
    VG_TRY(d->ops->down(d, info, e->info, (size_t)e->batch * sizeof *info));
    for (int64_t i = 0; i < e->batch; i++) {
        const char *fault = info[i] != 0 ? "cuSOLVER did not converge" : NULL;
        for (int64_t j = 0; j < e->n; j++)
            fault = isfinite(values[i * e->n + j]) ? fault : "the matrix holds a not-a-number, or cuSOLVER made one";
        if (fault != NULL)
            return vg_cuda_host.fail(VG_DEFECT, "%s: eigenproblem %lld (%lld rows): %s (info %d)", d->name, (long long)first + i,
                                     (long long)e->n, fault, info[i]);
    }
    return VG_OK;
}

static vg_status solve_some(vg_device *d, int64_t first, int64_t batch, int64_t n, double *a, double *w)
{
    eigenproblem e = {.batch = batch, .n = n};
    double *matrices = a + first * n * n, *values = w + first * n;
    vg_status status;
    VG_GO(size_up(d, matrices, values, &e));
    VG_GO(solve(d, matrices, values, &e));
    VG_GO(look(d, values, &e, first));
done:
    free(e.host);
    return status;
}

vg_status vg_cuda_eigh(vg_device *d, int64_t batch, int64_t n, double *a, double *w)
{
    enum { SMALL = 256 }; /* rows up to which cuSOLVER's batched form is meant */
    if (batch < 0 || n < 0)
        return vg_cuda_host.fail(VG_DEFECT, "eigh: batch %lld, n %lld", (long long)batch, (long long)n);
    if (n == 0 || batch == 0)
        return VG_OK;
    if (n <= SMALL)
        return solve_some(d, 0, batch, n, a, w);
    for (int64_t i = 0; i < batch; i++)
        VG_TRY(solve_some(d, i, 1, n, a, w));
    return VG_OK;
}
