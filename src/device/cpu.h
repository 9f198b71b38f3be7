/* cpu: what the files of the CPU back end share. Every operation is an OpenMP loop over pieces whose borders follow from the shape
 * alone; a piece is one call of a plain function on one thread, so the number of threads cannot change a result. */
#ifndef VOXGRAD_DEVICE_CPU_H
#define VOXGRAD_DEVICE_CPU_H

#include "backend.h"

/* The compiler makes a function so marked three times, for AVX-512, AVX2 and any x86-64, and the processor picks one at load time. */
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && __GNUC__ >= 12 && !defined(VG_SANITIZE)
#define VG_CLONES __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define VG_CLONES
#endif

typedef struct {
    vg_backend backend;
} vg_cpu;

enum {
    VG_PIECE = 16384, /* elements of an elementwise operation that one thread takes at a time */
    VG_SMALL = 32768, /* elements below which waking the threads costs more than the work */
};

static inline int64_t vg_min(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static inline int64_t vg_max(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* An OpenMP loop over independent pieces of `work` elements in all; `d` is the device. */
#define VG_PRAGMA(text) _Pragma(#text)
#define VG_PARALLEL(work) VG_PRAGMA(omp parallel for schedule(static) num_threads(d->threads) if ((work) >= VG_SMALL && d->threads > 1))
/* The same where pieces are few and large or unlike. */
#define VG_PARALLEL_UNEVEN(work) VG_PRAGMA(omp parallel for schedule(dynamic) num_threads(d->threads) if ((work) >= VG_SMALL && d->threads > 1))

vg_status vg_cpu_gemm(vg_device *d, const vg_gemm *g);
vg_status vg_cpu_eigh(vg_device *d, int64_t batch, int64_t n, double *a, double *w);

vg_status vg_cpu_copy(vg_device *d, float *to, int64_t ld_to, const float *from, int64_t ld_from, int64_t rows, int64_t columns);
vg_status vg_cpu_fill(vg_device *d, float *x, int64_t n, float value);
vg_status vg_cpu_axpby(vg_device *d, int64_t n, float a, const float *x, float b, float *y);
vg_status vg_cpu_hadamard(vg_device *d, int64_t n, const float *x, const float *y, float b, float *z);
vg_status vg_cpu_add_row(vg_device *d, int64_t rows, int64_t columns, const float *row, float *x);
vg_status vg_cpu_column_sum(vg_device *d, int64_t rows, int64_t columns, const float *x, float b, float *sum);
vg_status vg_cpu_scale_rows(vg_device *d, int64_t rows, int64_t columns, const float *scale, float *x);
vg_status vg_cpu_gather_rows(vg_device *d, int64_t rows, int64_t columns, const float *from, int64_t ld_from, const int32_t *index,
                             float *to, int64_t ld_to);
vg_status vg_cpu_scatter_add_rows(vg_device *d, int64_t rows, int64_t columns, const float *from, int64_t ld_from, const int32_t *index,
                                  float *to, int64_t ld_to);
vg_status vg_cpu_rotate(vg_device *d, int64_t rows, int64_t heads, int64_t head_size, int64_t half, const int32_t *position,
                        const float *cosine, const float *sine, float sign, float *x, int64_t ld);

vg_status vg_cpu_norm(vg_device *d, const vg_norm *n, const float *x, float *y);
vg_status vg_cpu_norm_vjp(vg_device *d, const vg_norm *n, const float *x, const float *dy, bool add, float *dx);
vg_status vg_cpu_norm_jvp(vg_device *d, const vg_norm *n, const float *x, int64_t directions, const float *dx, float *dy);
vg_status vg_cpu_softmax(vg_device *d, const vg_softmax *s, float *x);
vg_status vg_cpu_softmax_vjp(vg_device *d, const vg_softmax *s, const float *y, float *dy);
vg_status vg_cpu_softmax_jvp(vg_device *d, const vg_softmax *s, const float *y, int64_t directions, float *dx);
vg_status vg_cpu_act(vg_device *d, vg_act_kind kind, int64_t n, const float *x, const float *gate, float *y);
vg_status vg_cpu_act_vjp(vg_device *d, vg_act_kind kind, int64_t n, const float *x, const float *gate, const float *dy, float *dx,
                         float *dgate);
vg_status vg_cpu_act_jvp(vg_device *d, vg_act_kind kind, int64_t n, const float *x, const float *gate, int64_t directions, const float *dx,
                         const float *dgate, float *dy);
vg_status vg_cpu_target(vg_device *d, vg_target_kind kind, int64_t rows, int64_t n, float *logits, int32_t *token, const float *reference,
                        bool gradient, double *f);

vg_status vg_cpu_interpolate(vg_device *d, int64_t windows, int64_t nodes, int64_t rows_each, int64_t columns, const float *x,
                             const float *base, const uint8_t *moved, const float *a, float *out);
vg_status vg_cpu_accumulate(vg_device *d, int64_t windows, int64_t nodes, int64_t n, const float *weight, const float *g, double *total);
vg_status vg_cpu_reduce(vg_device *d, vg_reduction kind, int64_t segments, const int32_t *offset, int64_t columns, const float *x,
                        const float *y, float *out);

#endif
