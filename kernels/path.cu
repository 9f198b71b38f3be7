/* path: rows between a baseline and an input at many nodes, and sums over nodes by quadrature weights.
 *   interpolate  out (windows, nodes, rows, columns) = (1 - a) base + a x, which is base + a (x - base) and exact at both ends, where
 *                moved[window, row]; x elsewhere. x and base (windows, rows, columns) are read once for all nodes: 4 (nodes + 2) bytes an
 *                element of x.
 *   accumulate   total (windows, n), double, += sum over nodes in their order of weight[node] g (windows, nodes, n): 4 nodes + 16 bytes an
 *                element of total.
 * Occupancy on sm_90: no shared memory, 32 registers: full. */
#include "common.h"

template <int WIDE>
static __global__ void interpolate(int64_t n, int64_t nodes, int64_t rows_each, int64_t columns, const float *x, const float *base,
                                   const uint8_t *moved, const float *a, float *out)
{
    for (int64_t i = first_thread() * WIDE; i < n; i += all_threads() * WIDE) {
        int64_t column, within, row = divide(i, columns, &column), window = divide(i, rows_each * columns, &within);
        pack<WIDE> end = load<WIDE>(x + i), begin = load<WIDE>(base + i);
        bool moves = moved[row] != 0;
        for (int64_t node = 0; node < nodes; node++) {
            float place = a[node], rest = 1.0f - place;
            pack<WIDE> here = end;
            for (int w = 0; moves && w < WIDE; w++)
                here.v[w] = rest * begin.v[w] + place * end.v[w];
            store(out + (window * nodes + node) * rows_each * columns + within, here);
        }
    }
}

cudaError_t vg_gpu_interpolate(cudaStream_t stream, int64_t windows, int64_t nodes, int64_t rows_each, int64_t columns, const float *x,
                               const float *base, const uint8_t *moved, const float *a, float *out)
{
    int64_t n = windows * rows_each * columns;
    if (n <= 0 || nodes <= 0)
        return cudaSuccess;
    return is_wide(x, columns, columns) && is_wide(base, columns, columns) && is_wide(out, columns, columns)
               ? VG_LAUNCH_FLAT((interpolate<4>), blocks_for(n / 4, THREADS), THREADS, stream, n, nodes, rows_each, columns, x, base, moved,
                                a, out)
               : VG_LAUNCH_FLAT((interpolate<1>), blocks_for(n, THREADS), THREADS, stream, n, nodes, rows_each, columns, x, base, moved, a,
                                out);
}

static __global__ void accumulate(int64_t all, int64_t nodes, int64_t n, const float *weight, const float *g, double *total)
{
    for (int64_t i = first_thread(); i < all; i += all_threads()) {
        int64_t within, window = divide(i, n, &within);
        double sum = total[i];
        for (int64_t node = 0; node < nodes; node++)
            sum += (double)weight[node] * (double)g[(window * nodes + node) * n + within];
        total[i] = sum;
    }
}

cudaError_t vg_gpu_accumulate(cudaStream_t stream, int64_t windows, int64_t nodes, int64_t n, const float *weight, const float *g,
                              double *total)
{
    if (windows * n <= 0 || nodes <= 0)
        return cudaSuccess;
    return VG_LAUNCH_FLAT(accumulate, blocks_for(windows * n, THREADS), THREADS, stream, windows * n, nodes, n, weight, g, total);
}
