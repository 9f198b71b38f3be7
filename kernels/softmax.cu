/* softmax: the causal softmax of attention, in place, with its derivative; rows and what they see as vg_softmax says (device.h), a warp a
 * row, sums in double. y = exp(scale (x - max)) / sum over what is seen, dx = scale y (dx - sum_j y_j dx_j) (the Jacobian is symmetric: vjp
 * and jvp are one), zeros elsewhere; what is not seen is not used. A row is read from memory once and then from cache: bytes, for n
 * elements, softmax 8 n, derivative 4 n (1 + 2 directions) when y stays in cache between directions. Occupancy on sm_90: no shared memory;
 * 40 registers (softmax), 56 (derivative), blocks of 4 warps: 48, 36 of 64 warps. */
#include "common.h"

/* What a row sees: keys first .. end - 1 but those with hidden[key] != 0. */
struct view {
    int64_t first, end;
    const uint8_t *hidden;
};

static __device__ view view_of_row(int64_t row, int64_t kv_heads, int64_t members, int64_t repeats, int64_t queries, int64_t keys,
                                   const int32_t *start, const uint8_t *hidden)
{
    int64_t query, repeat, member, head;
    int64_t group = divide(divide(divide(divide(row, queries, &query), repeats, &repeat), members, &member), kv_heads, &head);
    int64_t b = group * members + member, first = start[b], end = keys - queries + query + 1;
    first = first < 0 ? 0 : first > keys ? keys : first;
    return view{first, end > first ? end : first, hidden != NULL ? hidden + b * keys : NULL};
}

static __device__ bool sees(view v, int64_t key)
{
    return key >= v.first && key < v.end && (v.hidden == NULL || v.hidden[key] == 0);
}

static __global__ void softmax(int64_t rows, int64_t kv_heads, int64_t members, int64_t repeats, int64_t queries, int64_t keys, float scale,
                               const int32_t *start, const uint8_t *hidden, float *x)
{
    for (int64_t i = (int64_t)blockIdx.x * blockDim.y + threadIdx.y; i < rows; i += (int64_t)gridDim.x * blockDim.y) {
        view v = view_of_row(i, kv_heads, members, repeats, queries, keys, start, hidden);
        float *row = x + i * keys, largest = -INFINITY;
        double sum = 0.0;
        for (int64_t j = threadIdx.x; j < keys; j += WARP)
            if (sees(v, j) && scale * row[j] > largest)
                largest = scale * row[j];
        largest = warp_largest(largest);
        for (int64_t j = threadIdx.x; j < keys; j += WARP)
            if (sees(v, j))
                sum += (double)expf(scale * row[j] - largest);
        sum = warp_sum(sum);
        float factor = (float)(1.0 / sum);
        bool something = largest > -INFINITY;
        for (int64_t j = threadIdx.x; j < keys; j += WARP)
            row[j] = something && sees(v, j) ? factor * expf(scale * row[j] - largest) : 0.0f;
    }
}

static __global__ void softmax_jvp(int64_t rows, int64_t kv_heads, int64_t members, int64_t repeats, int64_t queries, int64_t keys,
                                   float scale, const int32_t *start, const uint8_t *hidden, const float *y, int64_t directions, float *dx)
{
    for (int64_t i = (int64_t)blockIdx.x * blockDim.y + threadIdx.y; i < rows; i += (int64_t)gridDim.x * blockDim.y) {
        view v = view_of_row(i, kv_heads, members, repeats, queries, keys, start, hidden);
        const float *primal = y + i * keys;
        for (int64_t direction = 0; direction < directions; direction++) {
            float *row = dx + (direction * rows + i) * keys;
            double dot = 0.0;
            for (int64_t j = threadIdx.x; j < keys; j += WARP)
                if (sees(v, j))
                    dot += (double)primal[j] * (double)row[j];
            float shift = (float)warp_sum(dot);
            for (int64_t j = threadIdx.x; j < keys; j += WARP)
                row[j] = sees(v, j) ? scale * primal[j] * (row[j] - shift) : 0.0f;
        }
    }
}

static int64_t rows_of(const vg_softmax *s)
{
    return s->groups * s->kv_heads * s->members * s->repeats * s->queries;
}

cudaError_t vg_gpu_softmax(cudaStream_t stream, const vg_softmax *s, float *x)
{
    int64_t rows = rows_of(s);
    if (rows <= 0 || s->keys <= 0)
        return cudaSuccess;
    return VG_LAUNCH(softmax, blocks_for(rows, WARPS), dim3(WARP, WARPS), stream, rows, s->kv_heads, s->members, s->repeats, s->queries,
                     s->keys, s->scale, s->start, s->hidden, x);
}

cudaError_t vg_gpu_softmax_jvp(cudaStream_t stream, const vg_softmax *s, const float *y, int64_t directions, float *dx)
{
    int64_t rows = rows_of(s);
    if (rows <= 0 || s->keys <= 0 || directions <= 0)
        return cudaSuccess;
    return VG_LAUNCH(softmax_jvp, blocks_for(rows, WARPS), dim3(WARP, WARPS), stream, rows, s->kv_heads, s->members, s->repeats, s->queries,
                     s->keys, s->scale, s->start, s->hidden, y, directions, dx);
}
