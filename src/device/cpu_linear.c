/* cpu_linear: the linear operations but products. Bound by memory: a piece is a stretch of elements or a block of rows; sums over
 * rows are cut by columns, so that every column is summed in the order of its rows. */
#include <string.h>

#include "cpu.h"

/* Rows of `columns` elements that make a piece. */
static int64_t rows_of_piece(int64_t columns)
{
    return vg_max(1, VG_PIECE / vg_max(1, columns));
}

vg_status vg_cpu_copy(vg_device *d, float *to, int64_t ld_to, const float *from, int64_t ld_from, int64_t rows, int64_t columns)
{
    if (columns == 0)
        return VG_OK;
    if (ld_to == columns && ld_from == columns) { /* dense: cut it as one row */
        columns *= rows;
        rows = columns > 0;
    }
    int64_t across = (columns + VG_PIECE - 1) / VG_PIECE;
    VG_PARALLEL(rows * columns)
    for (int64_t piece = 0; piece < rows * across; piece++) {
        int64_t i = piece / across, j = piece % across * VG_PIECE;
        memcpy(to + i * ld_to + j, from + i * ld_from + j, (size_t)vg_min(VG_PIECE, columns - j) * sizeof *to);
    }
    return VG_OK;
}

vg_status vg_cpu_fill(vg_device *d, float *x, int64_t n, float value)
{
    VG_PARALLEL(n)
    for (int64_t i = 0; i < n; i++)
        x[i] = value;
    return VG_OK;
}

VG_CLONES static void axpby_piece(int64_t n, float a, const float *x, float b, float *y)
{
    if (b == 0.0f) {
#pragma omp simd
        for (int64_t i = 0; i < n; i++)
            y[i] = a * x[i];
    } else {
#pragma omp simd
        for (int64_t i = 0; i < n; i++)
            y[i] = a * x[i] + b * y[i];
    }
}

vg_status vg_cpu_axpby(vg_device *d, int64_t n, float a, const float *x, float b, float *y)
{
    VG_PARALLEL(n)
    for (int64_t i = 0; i < n; i += VG_PIECE)
        axpby_piece(vg_min(VG_PIECE, n - i), a, x + i, b, y + i);
    return VG_OK;
}

VG_CLONES static void hadamard_piece(int64_t n, const float *x, const float *y, float b, float *z)
{
    if (b == 0.0f) {
#pragma omp simd
        for (int64_t i = 0; i < n; i++)
            z[i] = x[i] * y[i];
    } else {
#pragma omp simd
        for (int64_t i = 0; i < n; i++)
            z[i] = x[i] * y[i] + b * z[i];
    }
}

vg_status vg_cpu_hadamard(vg_device *d, int64_t n, const float *x, const float *y, float b, float *z)
{
    VG_PARALLEL(n)
    for (int64_t i = 0; i < n; i += VG_PIECE)
        hadamard_piece(vg_min(VG_PIECE, n - i), x + i, y + i, b, z + i);
    return VG_OK;
}

VG_CLONES static void add_row_piece(int64_t rows, int64_t columns, const float *row, float *x)
{
    for (int64_t i = 0; i < rows; i++) {
#pragma omp simd
        for (int64_t j = 0; j < columns; j++)
            x[i * columns + j] += row[j];
    }
}

vg_status vg_cpu_add_row(vg_device *d, int64_t rows, int64_t columns, const float *row, float *x)
{
    int64_t step = rows_of_piece(columns);
    VG_PARALLEL(rows * columns)
    for (int64_t i = 0; i < rows; i += step)
        add_row_piece(vg_min(step, rows - i), columns, row, x + i * columns);
    return VG_OK;
}

enum { SUM_COLUMNS = 64 };

VG_CLONES static void column_sum_piece(int64_t rows, int64_t columns, int64_t wide, const float *x, float b, float *sum)
{
    double total[SUM_COLUMNS] = {0};
    for (int64_t i = 0; i < rows; i++) {
#pragma omp simd
        for (int64_t j = 0; j < wide; j++)
            total[j] += (double)x[i * columns + j];
    }
    for (int64_t j = 0; j < wide; j++)
        sum[j] = (float)(total[j] + (b == 0.0f ? 0.0 : (double)b * (double)sum[j]));
}

vg_status vg_cpu_column_sum(vg_device *d, int64_t rows, int64_t columns, const float *x, float b, float *sum)
{
    VG_PARALLEL(rows * columns)
    for (int64_t j = 0; j < columns; j += SUM_COLUMNS)
        column_sum_piece(rows, columns, vg_min(SUM_COLUMNS, columns - j), x + j, b, sum + j);
    return VG_OK;
}

VG_CLONES static void scale_rows_piece(int64_t rows, int64_t columns, const float *scale, float *x)
{
    for (int64_t i = 0; i < rows; i++) {
#pragma omp simd
        for (int64_t j = 0; j < columns; j++)
            x[i * columns + j] *= scale[i];
    }
}

vg_status vg_cpu_scale_rows(vg_device *d, int64_t rows, int64_t columns, const float *scale, float *x)
{
    int64_t step = rows_of_piece(columns);
    VG_PARALLEL(rows * columns)
    for (int64_t i = 0; i < rows; i += step)
        scale_rows_piece(vg_min(step, rows - i), columns, scale + i, x + i * columns);
    return VG_OK;
}

vg_status vg_cpu_gather_rows(vg_device *d, int64_t rows, int64_t columns, const float *from, int64_t ld_from, const int32_t *index,
                             float *to, int64_t ld_to)
{
    if (columns == 0)
        return VG_OK;
    VG_PARALLEL(rows * columns)
    for (int64_t i = 0; i < rows; i++) {
        if (index[i] >= 0)
            memcpy(to + i * ld_to, from + index[i] * ld_from, (size_t)columns * sizeof *to);
        else
            memset(to + i * ld_to, 0, (size_t)columns * sizeof *to);
    }
    return VG_OK;
}

VG_CLONES static void scatter_add_piece(int64_t rows, int64_t wide, const float *from, int64_t ld_from, const int32_t *index, float *to,
                                        int64_t ld_to)
{
    for (int64_t i = 0; i < rows; i++) {
        if (index[i] < 0)
            continue;
        const float *source = from + i * ld_from;
        float *target = to + index[i] * ld_to;
#pragma omp simd
        for (int64_t j = 0; j < wide; j++)
            target[j] += source[j];
    }
}

vg_status vg_cpu_scatter_add_rows(vg_device *d, int64_t rows, int64_t columns, const float *from, int64_t ld_from, const int32_t *index,
                                  float *to, int64_t ld_to)
{
    enum { WIDE = 64 };
    VG_PARALLEL(rows * columns)
    for (int64_t j = 0; j < columns; j += WIDE)
        scatter_add_piece(rows, vg_min(WIDE, columns - j), from + j, ld_from, index, to + j, ld_to);
    return VG_OK;
}

VG_CLONES static void rotate_row(int64_t heads, int64_t head_size, int64_t half, const float *cosine, const float *sine, float sign,
                                 float *x)
{
    for (int64_t h = 0; h < heads; h++) {
        float *low = x + h * head_size, *high = low + half;
#pragma omp simd
        for (int64_t i = 0; i < half; i++) {
            float u = low[i], v = high[i], s = sign * sine[i];
            low[i] = u * cosine[i] - v * s;
            high[i] = v * cosine[i] + u * s;
        }
    }
}

vg_status vg_cpu_rotate(vg_device *d, int64_t rows, int64_t heads, int64_t head_size, int64_t half, const int32_t *position,
                        const float *cosine, const float *sine, float sign, float *x, int64_t ld)
{
    if (2 * half > head_size || heads * head_size > ld)
        return vg_fail(VG_DEFECT, "rotate: %lld pairs in %lld heads of %lld, rows of %lld", (long long)half, (long long)heads,
                       (long long)head_size, (long long)ld);
    VG_PARALLEL(rows * heads * half)
    for (int64_t r = 0; r < rows; r++)
        rotate_row(heads, head_size, half, cosine + position[r] * half, sine + position[r] * half, sign, x + r * ld);
    return VG_OK;
}
