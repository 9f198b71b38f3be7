/* linear: the linear operations that are no products, by threads that work alone on 16 bytes where the shape allows it; formula and shapes
 * stand before each. Bytes, for n elements: fill 4 n; axpby 12 n (8 n where b is 0); hadamard 16 n (12 n); add_row, scale_rows and
 * scale_matrices 8 n (in float64 16 n); column_sum 4 n.
 * Occupancy on sm_90: no shared memory but column_sum's 2 kB, at most 32 registers: full; scale_matrices 36: 48 of 64 warps. */
#include "common.h"

template <int WIDE> static __global__ void fill(float *x, int64_t n, float value)
{
    pack<WIDE> all;
    for (int w = 0; w < WIDE; w++)
        all.v[w] = value;
    for (int64_t i = first_thread() * WIDE; i < n; i += all_threads() * WIDE)
        store(x + i, all);
}

cudaError_t vg_gpu_fill(cudaStream_t stream, float *x, int64_t n, float value)
{
    if (n <= 0)
        return cudaSuccess;
    return is_wide(x, n, n) ? VG_LAUNCH_FLAT((fill<4>), blocks_for(n / 4, THREADS), THREADS, stream, x, n, value)
                            : VG_LAUNCH_FLAT((fill<1>), blocks_for(n, THREADS), THREADS, stream, x, n, value);
}

/* y = a x + b y; y is not read where b is 0. */
template <int WIDE> static __global__ void axpby(int64_t n, float a, const float *x, float b, float *y)
{
    for (int64_t i = first_thread() * WIDE; i < n; i += all_threads() * WIDE) {
        pack<WIDE> here = load<WIDE>(x + i), old = {};
        if (b != 0.0f)
            old = load<WIDE>(y + i);
        for (int w = 0; w < WIDE; w++)
            here.v[w] = b != 0.0f ? a * here.v[w] + b * old.v[w] : a * here.v[w];
        store(y + i, here);
    }
}

cudaError_t vg_gpu_axpby(cudaStream_t stream, int64_t n, float a, const float *x, float b, float *y)
{
    if (n <= 0)
        return cudaSuccess;
    return is_wide(x, n, n) && is_wide(y, n, n) ? VG_LAUNCH_FLAT((axpby<4>), blocks_for(n / 4, THREADS), THREADS, stream, n, a, x, b, y)
                                                : VG_LAUNCH_FLAT((axpby<1>), blocks_for(n, THREADS), THREADS, stream, n, a, x, b, y);
}

/* z = x y + b z; z is not read where b is 0. */
template <int WIDE> static __global__ void hadamard(int64_t n, const float *x, const float *y, float b, float *z)
{
    for (int64_t i = first_thread() * WIDE; i < n; i += all_threads() * WIDE) {
        pack<WIDE> one = load<WIDE>(x + i), other = load<WIDE>(y + i), old = {};
        if (b != 0.0f)
            old = load<WIDE>(z + i);
        for (int w = 0; w < WIDE; w++)
            one.v[w] = b != 0.0f ? one.v[w] * other.v[w] + b * old.v[w] : one.v[w] * other.v[w];
        store(z + i, one);
    }
}

cudaError_t vg_gpu_hadamard(cudaStream_t stream, int64_t n, const float *x, const float *y, float b, float *z)
{
    if (n <= 0)
        return cudaSuccess;
    return is_wide(x, n, n) && is_wide(y, n, n) && is_wide(z, n, n)
               ? VG_LAUNCH_FLAT((hadamard<4>), blocks_for(n / 4, THREADS), THREADS, stream, n, x, y, b, z)
               : VG_LAUNCH_FLAT((hadamard<1>), blocks_for(n, THREADS), THREADS, stream, n, x, y, b, z);
}

/* x (rows, columns) += row (columns). */
template <int WIDE> static __global__ void add_row(int64_t n, int64_t columns, const float *row, float *x)
{
    for (int64_t i = first_thread() * WIDE; i < n; i += all_threads() * WIDE) {
        int64_t column;
        divide(i, columns, &column);
        pack<WIDE> here = load<WIDE>(x + i), add = load<WIDE>(row + column);
        for (int w = 0; w < WIDE; w++)
            here.v[w] += add.v[w];
        store(x + i, here);
    }
}

cudaError_t vg_gpu_add_row(cudaStream_t stream, int64_t rows, int64_t columns, const float *row, float *x)
{
    int64_t n = rows * columns;
    if (n <= 0)
        return cudaSuccess;
    return is_wide(x, columns, columns) && is_wide(row, columns, columns)
               ? VG_LAUNCH_FLAT((add_row<4>), blocks_for(n / 4, THREADS), THREADS, stream, n, columns, row, x)
               : VG_LAUNCH_FLAT((add_row<1>), blocks_for(n, THREADS), THREADS, stream, n, columns, row, x);
}

/* x (rows, columns) *= scale (rows), row by row. */
template <int WIDE> static __global__ void scale_rows(int64_t n, int64_t columns, const float *scale, float *x)
{
    for (int64_t i = first_thread() * WIDE; i < n; i += all_threads() * WIDE) {
        int64_t column;
        float by = scale[divide(i, columns, &column)];
        pack<WIDE> here = load<WIDE>(x + i);
        for (int w = 0; w < WIDE; w++)
            here.v[w] *= by;
        store(x + i, here);
    }
}

cudaError_t vg_gpu_scale_rows(cudaStream_t stream, int64_t rows, int64_t columns, const float *scale, float *x)
{
    int64_t n = rows * columns;
    if (n <= 0)
        return cudaSuccess;
    return is_wide(x, columns, columns) ? VG_LAUNCH_FLAT((scale_rows<4>), blocks_for(n / 4, THREADS), THREADS, stream, n, columns, scale, x)
                                        : VG_LAUNCH_FLAT((scale_rows<1>), blocks_for(n, THREADS), THREADS, stream, n, columns, scale, x);
}

enum { SLICES = 8 }; /* of the rows, summed apart and then in order */

/* sum (columns) = sum over rows of x + b sum, in double. A block takes 32 columns, each of its warps a slice of the rows. */
static __global__ void column_sum(int64_t rows, int64_t columns, const float *x, float b, float *sum)
{
    __shared__ double part[SLICES][WARP];
    int64_t column = (int64_t)blockIdx.x * WARP + threadIdx.x, each = (rows + SLICES - 1) / SLICES, first = each * threadIdx.y;
    int64_t last = first + each < rows ? first + each : rows;
    double total = 0.0;
    for (int64_t i = first; column < columns && i < last; i++)
        total += (double)x[i * columns + column];
    part[threadIdx.y][threadIdx.x] = total;
    __syncthreads();
    if (threadIdx.y == 0 && column < columns) {
        for (int slice = 1; slice < SLICES; slice++)
            total += part[slice][threadIdx.x];
        sum[column] = (float)(total + (b == 0.0f ? 0.0 : (double)b * (double)sum[column]));
    }
}

cudaError_t vg_gpu_column_sum(cudaStream_t stream, int64_t rows, int64_t columns, const float *x, float b, float *sum)
{
    if (columns <= 0)
        return cudaSuccess;
    return VG_LAUNCH(column_sum, (unsigned)((columns + WARP - 1) / WARP), dim3(WARP, SLICES), stream, rows, columns, x, b, sum);
}

template <class T>
static __global__ void scale_matrices(int64_t n, int64_t rows, int64_t columns, double beta, T *c, int64_t ld, int64_t stride)
{
    for (int64_t i = first_thread(); i < n; i += all_threads()) {
        int64_t column, row, item = divide(divide(i, columns, &column), rows, &row), at = item * stride + row * ld + column;
        c[at] = beta == 0 ? (T)0 : (T)(beta * (double)c[at]);
    }
}

cudaError_t vg_gpu_scale_matrices(cudaStream_t stream, vg_type type, int64_t batch, int64_t rows, int64_t columns, double beta, void *c,
                                  int64_t ld, int64_t stride)
{
    int64_t n = batch * rows * columns;
    if (n <= 0)
        return cudaSuccess;
    if (type == VG_F32)
        return VG_LAUNCH_FLAT((scale_matrices<float>), blocks_for(n, THREADS), THREADS, stream, n, rows, columns, beta, (float *)c, ld,
                              stride);
    return VG_LAUNCH_FLAT((scale_matrices<double>), blocks_for(n, THREADS), THREADS, stream, n, rows, columns, beta, (double *)c, ld,
                          stride);
}
