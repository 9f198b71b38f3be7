/* gather: rows fetched by an index, and added by one; to and from (rows, columns), index (rows).
 * Bytes, for rows x columns elements: gather_rows 8 (what an index < 0 leaves out is not read), scatter_add_rows 12 at most; an index is
 * read once a row of a warp. Occupancy on sm_90: no shared memory, at most 32 registers: full. */
#include "common.h"

/* to (rows, columns) row i = from row index[i], zeros where index[i] < 0. */
template <int WIDE>
static __global__ void gather_rows(int64_t n, int64_t columns, const float *from, int64_t ld_from, const int32_t *index, float *to,
                                   int64_t ld_to)
{
    for (int64_t i = first_thread() * WIDE; i < n; i += all_threads() * WIDE) {
        int64_t column, row = divide(i, columns, &column), source = index[row];
        pack<WIDE> here = {};
        if (source >= 0)
            here = load<WIDE>(from + source * ld_from + column);
        store(to + row * ld_to + column, here);
    }
}

cudaError_t vg_gpu_gather_rows(cudaStream_t stream, int64_t rows, int64_t columns, const float *from, int64_t ld_from, const int32_t *index,
                               float *to, int64_t ld_to)
{
    int64_t n = rows * columns;
    if (n <= 0)
        return cudaSuccess;
    return is_wide(from, columns, ld_from) && is_wide(to, columns, ld_to)
               ? VG_LAUNCH_FLAT((gather_rows<4>), blocks_for(n / 4, THREADS), THREADS, stream, n, columns, from, ld_from, index, to, ld_to)
               : VG_LAUNCH_FLAT((gather_rows<1>), blocks_for(n, THREADS), THREADS, stream, n, columns, from, ld_from, index, to, ld_to);
}

/* to row index[i] += from row i, in order of i. A block takes row i, and, where no earlier row goes to the same place, all rows that go
 * there: the sums' order is kept without atomics; the indices are looked through once for every row. */
static __global__ void scatter_add_rows(int64_t rows, int64_t columns, const float *from, int64_t ld_from, const int32_t *index, float *to,
                                        int64_t ld_to)
{
    for (int64_t i = blockIdx.x; i < rows; i += gridDim.x) {
        int32_t place = index[i];
        bool mine = place >= 0;
        for (int64_t j = 0; mine && j < i; j++)
            mine = index[j] != place;
        for (int64_t column = threadIdx.x; mine && column < columns; column += blockDim.x) {
            float sum = to[place * ld_to + column];
            for (int64_t j = i; j < rows; j++)
                if (index[j] == place)
                    sum += from[j * ld_from + column];
            to[place * ld_to + column] = sum;
        }
    }
}

cudaError_t vg_gpu_scatter_add_rows(cudaStream_t stream, int64_t rows, int64_t columns, const float *from, int64_t ld_from,
                                    const int32_t *index, float *to, int64_t ld_to)
{
    if (rows <= 0 || columns <= 0)
        return cudaSuccess;
    return VG_LAUNCH_FLAT(scatter_add_rows, blocks_for(rows, 1), THREADS, stream, rows, columns, from, ld_from, index, to, ld_to);
}
