/* cuda_kernels: the operations of the table that are one launch of kernels/ each, on the compute stream, and the table of all of them. */
#include "cuda_backend.h"
#include "kernels.h"

/* One operation: its name, its parameters after the device, and what the launcher is given after the stream. */
#define OPERATION(name, parameters, arguments)                                                              \
    static vg_status name parameters                                                                        \
    {                                                                                                       \
        return vg_cuda_check(d, vg_gpu_##name WITH_STREAM(arguments), "vg_gpu_" #name, __FILE__, __LINE__); \
    }
#define UNPACK(...) __VA_ARGS__
#define WITH_STREAM(arguments) (vg_cuda_of(d)->compute, UNPACK arguments)

OPERATION(fill, (vg_device * d, float *x, int64_t n, float value), (x, n, value))
OPERATION(axpby, (vg_device * d, int64_t n, float a, const float *x, float b, float *y), (n, a, x, b, y))
OPERATION(hadamard, (vg_device * d, int64_t n, const float *x, const float *y, float b, float *z), (n, x, y, b, z))
OPERATION(add_row, (vg_device * d, int64_t rows, int64_t columns, const float *row, float *x), (rows, columns, row, x))
OPERATION(column_sum, (vg_device * d, int64_t rows, int64_t columns, const float *x, float b, float *sum), (rows, columns, x, b, sum))
OPERATION(scale_rows, (vg_device * d, int64_t rows, int64_t columns, const float *scale, float *x), (rows, columns, scale, x))
OPERATION(gather_rows,
          (vg_device * d, int64_t rows, int64_t columns, const float *from, int64_t ld_from, const int32_t *index, float *to,
           int64_t ld_to),
          (rows, columns, from, ld_from, index, to, ld_to))
OPERATION(scatter_add_rows,
          (vg_device * d, int64_t rows, int64_t columns, const float *from, int64_t ld_from, const int32_t *index, float *to,
           int64_t ld_to),
          (rows, columns, from, ld_from, index, to, ld_to))

OPERATION(norm, (vg_device * d, const vg_norm *n, const float *x, float *y), (n, x, y))
OPERATION(norm_vjp, (vg_device * d, const vg_norm *n, const float *x, const float *dy, bool add, float *dx), (n, x, dy, add, dx))
OPERATION(norm_jvp, (vg_device * d, const vg_norm *n, const float *x, int64_t directions, const float *dx, float *dy),
          (n, x, directions, dx, dy))
OPERATION(softmax_jvp, (vg_device * d, const vg_softmax *s, const float *y, int64_t directions, float *dx), (s, y, directions, dx))
OPERATION(act, (vg_device * d, vg_act_kind kind, int64_t n, const float *x, const float *gate, float *y), (kind, n, x, gate, y))
OPERATION(act_vjp,
          (vg_device * d, vg_act_kind kind, int64_t n, const float *x, const float *gate, const float *dy, float *dx, float *dgate),
          (kind, n, x, gate, dy, dx, dgate))
OPERATION(act_jvp,
          (vg_device * d, vg_act_kind kind, int64_t n, const float *x, const float *gate, int64_t directions, const float *dx,
           const float *dgate, float *dy),
          (kind, n, x, gate, directions, dx, dgate, dy))

OPERATION(interpolate,
          (vg_device * d, int64_t windows, int64_t nodes, int64_t rows_each, int64_t columns, const float *x, const float *base,
           const uint8_t *moved, const float *a, float *out),
          (windows, nodes, rows_each, columns, x, base, moved, a, out))
OPERATION(accumulate, (vg_device * d, int64_t windows, int64_t nodes, int64_t n, const float *weight, const float *g, double *total),
          (windows, nodes, n, weight, g, total))
OPERATION(reduce,
          (vg_device * d, vg_reduction kind, int64_t segments, const int32_t *offset, int64_t columns, const float *x, const float *y,
           float *out),
          (kind, segments, offset, columns, x, y, out))

OPERATION(ridge_spread, (vg_device * d, const vg_ridge_spread *s), (s))
OPERATION(ridge_combine, (vg_device * d, const vg_ridge_combine *c), (c))
OPERATION(ridge_join, (vg_device * d, const vg_ridge_join *j), (j))
OPERATION(ridge_choose, (vg_device * d, const vg_ridge_choose *c), (c))
OPERATION(ridge_quadratic, (vg_device * d, const vg_ridge_quadratic *q), (q))

/* ---- operations that look at their arguments first, or call a launcher otherwise --------------------------------------------- */

static vg_status rotate(vg_device *d, int64_t rows, int64_t heads, int64_t head_size, int64_t half, const int32_t *position,
                        const float *cosine, const float *sine, float sign, float *x, int64_t ld)
{
    if (2 * half > head_size || heads * head_size > ld)
        return vg_cuda_host.fail(VG_DEFECT, "rotate: %lld pairs in %lld heads of %lld, rows of %lld", (long long)half, (long long)heads,
                                 (long long)head_size, (long long)ld);
    VG_CUDA(d, vg_gpu_rotate(vg_cuda_of(d)->compute, rows, heads, head_size, half, position, cosine, sine, sign, x, ld));
    return VG_OK;
}

static vg_status softmax(vg_device *d, const vg_softmax *s, float *x)
{
    if (!(s->scale > 0.0f))
        return vg_cuda_host.fail(VG_DEFECT, "softmax: a scale of %g", (double)s->scale);
    VG_CUDA(d, vg_gpu_softmax(vg_cuda_of(d)->compute, s, x));
    return VG_OK;
}

static vg_status softmax_vjp(vg_device *d, const vg_softmax *s, const float *y, float *dy)
{
    return softmax_jvp(d, s, y, 1, dy);
}

static vg_status target(vg_device *d, vg_target_kind kind, int64_t rows, int64_t n, float *logits, int32_t *token, const float *reference,
                        bool gradient, double *f)
{
    vg_cuda *cuda = vg_cuda_of(d);
    int64_t fault = 0;
    if (rows <= 0)
        return VG_OK;
    if (n < (kind == VG_TARGET_CONTRAST ? 2 : 1))
        return vg_cuda_host.fail(VG_DEFECT, "target: %lld logits a row", (long long)n);
    if (kind == VG_TARGET_KL && reference == NULL)
        return vg_cuda_host.fail(VG_DEFECT, "target: a divergence without a reference");
    VG_CUDA(d, cudaMemsetAsync(cuda->fault, 0, sizeof fault, cuda->compute));
    VG_CUDA(d, vg_gpu_target(cuda->compute, kind, rows, n, logits, token, reference, gradient, f, cuda->fault));
    VG_TRY(d->ops->down(d, &fault, cuda->fault, sizeof fault));
    return fault == 0 ? VG_OK : vg_cuda_host.fail(VG_DEFECT, "target: a token is not below %lld", (long long)n);
}

const vg_device_ops vg_cuda_ops = {
    .alloc = vg_cuda_alloc,
    .free = vg_cuda_free,
    .up = vg_cuda_up,
    .down = vg_cuda_down,
    .copy = vg_cuda_copy,
    .sync = vg_cuda_sync,
    .gemm = vg_cuda_gemm,
    .eigh = vg_cuda_eigh,
    .ridge_center = vg_cuda_ridge_center,
    .ridge_ahead = vg_cuda_ridge_ahead,
    .ridge_score = vg_cuda_ridge_score,
    .fill = fill,
    .axpby = axpby,
    .hadamard = hadamard,
    .add_row = add_row,
    .column_sum = column_sum,
    .scale_rows = scale_rows,
    .gather_rows = gather_rows,
    .scatter_add_rows = scatter_add_rows,
    .rotate = rotate,
    .norm = norm,
    .norm_vjp = norm_vjp,
    .norm_jvp = norm_jvp,
    .softmax = softmax,
    .softmax_vjp = softmax_vjp,
    .softmax_jvp = softmax_jvp,
    .act = act,
    .act_vjp = act_vjp,
    .act_jvp = act_jvp,
    .target = target,
    .interpolate = interpolate,
    .accumulate = accumulate,
    .reduce = reduce,
    .ridge_spread = ridge_spread,
    .ridge_combine = ridge_combine,
    .ridge_join = ridge_join,
    .ridge_choose = ridge_choose,
    .ridge_quadratic = ridge_quadratic,
};
