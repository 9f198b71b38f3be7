/* kernels: the launchers of kernels/, one for each operation of the device table that is no product (include/voxgrad/device.h says what
 * each does; pointers are device memory). A launcher queues work on the stream, waits for nothing, and returns what the launch returned. */
#ifndef VOXGRAD_KERNELS_H
#define VOXGRAD_KERNELS_H

#include <cuda_runtime_api.h>

#include "voxgrad/device.h"

#ifdef __cplusplus
extern "C" {
#endif

/* linear.cu */
cudaError_t vg_gpu_fill(cudaStream_t stream, float *x, int64_t n, float value);
cudaError_t vg_gpu_axpby(cudaStream_t stream, int64_t n, float a, const float *x, float b, float *y);
cudaError_t vg_gpu_hadamard(cudaStream_t stream, int64_t n, const float *x, const float *y, float b, float *z);
cudaError_t vg_gpu_add_row(cudaStream_t stream, int64_t rows, int64_t columns, const float *row, float *x);
cudaError_t vg_gpu_column_sum(cudaStream_t stream, int64_t rows, int64_t columns, const float *x, float b, float *sum);
cudaError_t vg_gpu_scale_rows(cudaStream_t stream, int64_t rows, int64_t columns, const float *scale, float *x);
/* c = beta c of batch matrices, zeros where beta is 0: a product over nothing */
cudaError_t vg_gpu_scale_matrices(cudaStream_t stream, vg_type type, int64_t batch, int64_t rows, int64_t columns, double beta, void *c,
                                  int64_t ld, int64_t stride);

/* gather.cu */
cudaError_t vg_gpu_gather_rows(cudaStream_t stream, int64_t rows, int64_t columns, const float *from, int64_t ld_from, const int32_t *index,
                               float *to, int64_t ld_to);
cudaError_t vg_gpu_scatter_add_rows(cudaStream_t stream, int64_t rows, int64_t columns, const float *from, int64_t ld_from,
                                    const int32_t *index, float *to, int64_t ld_to);

/* rope.cu */
cudaError_t vg_gpu_rotate(cudaStream_t stream, int64_t rows, int64_t heads, int64_t head_size, int64_t half, const int32_t *position,
                          const float *cosine, const float *sine, float sign, float *x, int64_t ld);

/* norm.cu */
cudaError_t vg_gpu_norm(cudaStream_t stream, const vg_norm *n, const float *x, float *y);
cudaError_t vg_gpu_norm_vjp(cudaStream_t stream, const vg_norm *n, const float *x, const float *dy, bool add, float *dx);
cudaError_t vg_gpu_norm_jvp(cudaStream_t stream, const vg_norm *n, const float *x, int64_t directions, const float *dx, float *dy);

/* softmax.cu */
cudaError_t vg_gpu_softmax(cudaStream_t stream, const vg_softmax *s, float *x);
cudaError_t vg_gpu_softmax_jvp(cudaStream_t stream, const vg_softmax *s, const float *y, int64_t directions, float *dx);

/* act.cu */
cudaError_t vg_gpu_act(cudaStream_t stream, vg_act_kind kind, int64_t n, const float *x, const float *gate, float *y);
cudaError_t vg_gpu_act_vjp(cudaStream_t stream, vg_act_kind kind, int64_t n, const float *x, const float *gate, const float *dy, float *dx,
                           float *dgate);
cudaError_t vg_gpu_act_jvp(cudaStream_t stream, vg_act_kind kind, int64_t n, const float *x, const float *gate, int64_t directions,
                           const float *dx, const float *dgate, float *dy);

/* target.cu; *fault becomes 1 where a token is not below n */
cudaError_t vg_gpu_target(cudaStream_t stream, vg_target_kind kind, int64_t rows, int64_t n, float *logits, int32_t *token,
                          const float *reference, bool gradient, double *f, int64_t *fault);

/* path.cu */
cudaError_t vg_gpu_interpolate(cudaStream_t stream, int64_t windows, int64_t nodes, int64_t rows_each, int64_t columns, const float *x,
                               const float *base, const uint8_t *moved, const float *a, float *out);
cudaError_t vg_gpu_accumulate(cudaStream_t stream, int64_t windows, int64_t nodes, int64_t n, const float *weight, const float *g,
                              double *total);

/* reduce.cu */
cudaError_t vg_gpu_reduce(cudaStream_t stream, vg_reduction kind, int64_t segments, const int32_t *offset, int64_t columns, const float *x,
                          const float *y, float *out);

/* ridge.cu; center: y is the tile on the device, (rows, columns) dense, in its order, and may be where `centred` is */
cudaError_t vg_gpu_ridge_center(cudaStream_t stream, const vg_ridge_center *c, const void *y);
cudaError_t vg_gpu_ridge_spread(cudaStream_t stream, const vg_ridge_spread *s);
cudaError_t vg_gpu_ridge_combine(cudaStream_t stream, const vg_ridge_combine *c);
cudaError_t vg_gpu_ridge_join(cudaStream_t stream, const vg_ridge_join *j);
cudaError_t vg_gpu_ridge_choose(cudaStream_t stream, const vg_ridge_choose *c);

/* score.cu; score: gram is room for vg_gpu_ridge_gram_size(s) doubles */
int64_t vg_gpu_ridge_gram_size(const vg_ridge_score *s);
cudaError_t vg_gpu_ridge_score(cudaStream_t stream, const vg_ridge_score *s, double *gram);
cudaError_t vg_gpu_ridge_quadratic(cudaStream_t stream, const vg_ridge_quadratic *q);

#ifdef __cplusplus
}
#endif

#endif
