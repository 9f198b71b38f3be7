/* ridge: centring, moments and sums of a tile of responses, and the choice of penalties (encoding.md, "Ridge"; device.h has formulas and
 * shapes). A thread takes a column (voxel) or an element, in the order of rows, segments and terms; neighbours read neighbouring columns.
 * Bytes, of an element as wide as its type:
 *   center   the tile read three times (the second and third time from cache where it fits), written once
 *   spread   16 a set, segment and column, and 17 written a set and column
 *   combine  terms + 1 elements
 *   choose   8 a penalty and column, twice, the second time from cache; 12 written a column
 * Occupancy on sm_90: no shared memory; combine and choose 32 registers: full; spread 48: 40 of 64 warps; center 64, and blocks of one
 * warp, of which 32 fit: half, with a thread a column, so that tiles should be thousands of columns wide. */
#include <float.h>

#include "common.h"

/* Takes the mean of a column off; where it is constant or not finite, 0 throughout. low and high as in cpu_ridge.c. */
template <class FROM, class TO>
static __global__ void center(int64_t rows, int64_t columns, int64_t segments, const FROM *y, const int32_t *begin, double limit,
                              TO *centred, double *mean_of, double *square_of, uint8_t *dead)
{
    for (int64_t v = first_thread(); v < columns; v += all_threads()) {
        double mean = 0.0, low = INFINITY, high = -INFINITY;
        for (int64_t t = 0; t < rows; t++) {
            double here = (double)y[t * columns + v];
            mean += here;
            low = here < low ? here : low;
            high = here > high ? here : high;
        }
        bool gone = !isfinite(mean) || low == high || low < -limit || high > limit;
        mean = gone ? 0.0 : mean / (double)rows;
        dead[v] = gone;
        for (int64_t s = 0; s < segments; s++) {
            double sum = 0.0, square = 0.0;
            int64_t first = begin[s], last = begin[s + 1];
            for (int64_t t = first; t < last; t++) {
                TO here = gone ? (TO)0 : (TO)((double)y[t * columns + v] - mean);
                centred[t * columns + v] = here;
                sum += (double)here;
            }
            sum = last > first ? sum / (double)(last - first) : 0.0;
            for (int64_t t = first; t < last; t++) {
                double away = (double)centred[t * columns + v] - sum;
                square += away * away;
            }
            mean_of[s * columns + v] = sum;
            square_of[s * columns + v] = square;
        }
    }
}

template <class FROM, class TO> static cudaError_t launch_center(cudaStream_t stream, const vg_ridge_center *c, const void *y, double limit)
{
    return VG_LAUNCH_FLAT((center<FROM, TO>), blocks_for(c->columns, WARP), WARP, stream, c->rows, c->columns, c->segments, (const FROM *)y,
                          c->begin, limit, (TO *)c->centred, c->mean, c->square, c->dead);
}

cudaError_t vg_gpu_ridge_center(cudaStream_t stream, const vg_ridge_center *c, const void *y)
{
    if (c->columns <= 0)
        return cudaSuccess;
    if (c->type == VG_F32)
        return c->from == VG_F32 ? launch_center<float, float>(stream, c, y, (double)FLT_MAX / 4)
                                 : launch_center<double, float>(stream, c, y, (double)FLT_MAX / 4);
    return c->from == VG_F32 ? launch_center<float, double>(stream, c, y, DBL_MAX) : launch_center<double, double>(stream, c, y, DBL_MAX);
}

/* Mean and sum of squares about it of a union of segments (the parallel-variance formula of Chan, Golub & LeVeque 1983, eq. 2.1). */
static __device__ int64_t pool(int64_t columns, const int32_t *begin, const double *mean_of, const double *square_of, const int32_t *list,
                               int64_t count, int64_t v, double *mean, double *square)
{
    int64_t rows = 0;
    double sum = 0.0, about = 0.0;
    for (int64_t i = 0; i < count; i++) {
        int64_t here = begin[list[i] + 1] - begin[list[i]];
        sum += (double)here * mean_of[list[i] * columns + v];
        rows += here;
    }
    double middle = rows > 0 ? sum / (double)rows : 0.0;
    for (int64_t i = 0; i < count; i++) {
        double away = mean_of[list[i] * columns + v] - middle;
        about += square_of[list[i] * columns + v] + (double)(begin[list[i] + 1] - begin[list[i]]) * away * away;
    }
    *mean = middle;
    *square = about;
    return rows;
}

/* Values that are all one number leave no more than the rounding of their mean, squared; a float32 that differs leaves 1e-14. */
static __device__ bool is_constant(int64_t rows, double mean, double square)
{
    return square <= 1e-24 * (double)rows * mean * mean;
}

static __global__ void spread(int64_t n, int64_t columns, const int32_t *begin, const int32_t *test_begin, const int32_t *test,
                              const int32_t *train_begin, const int32_t *train, const double *mean_of, const double *square_of,
                              double *variance, double *shift, uint8_t *constant)
{
    for (int64_t i = first_thread(); i < n; i += all_threads()) {
        int64_t v, set = divide(i, columns, &v);
        double mean, square, train_mean, train_square;
        int64_t rows =
            pool(columns, begin, mean_of, square_of, test + test_begin[set], test_begin[set + 1] - test_begin[set], v, &mean, &square);
        int64_t others = pool(columns, begin, mean_of, square_of, train + train_begin[set], train_begin[set + 1] - train_begin[set], v,
                              &train_mean, &train_square);
        variance[i] = is_constant(rows, mean, square) ? 0.0 : square;
        shift[i] = mean - train_mean;
        constant[i] = is_constant(others, train_mean, train_square);
    }
}

cudaError_t vg_gpu_ridge_spread(cudaStream_t stream, const vg_ridge_spread *s)
{
    int64_t n = s->sets * s->columns;
    if (n <= 0)
        return cudaSuccess;
    return VG_LAUNCH_FLAT(spread, blocks_for(n, THREADS), THREADS, stream, n, s->columns, s->begin, s->test_begin, s->test, s->train_begin,
                          s->train, s->mean, s->square, s->variance, s->shift, s->constant);
}

/* out (n) = sum over terms, in their order, of sign times a segment's element; in double. */
template <class FROM, class TO>
static __global__ void combine(int64_t n, int64_t terms, const int32_t *segment, const float *sign, int64_t stride, const FROM *x, TO *out)
{
    for (int64_t i = first_thread(); i < n; i += all_threads()) {
        double sum = 0.0;
        for (int64_t term = 0; term < terms; term++)
            sum += (double)sign[term] * (double)x[segment[term] * stride + i];
        out[i] = (TO)sum;
    }
}

cudaError_t vg_gpu_ridge_combine(cudaStream_t stream, vg_type type, int64_t n, int64_t terms, const int32_t *segment, const float *sign,
                                 int64_t stride, const void *x, vg_type to, void *out)
{
    if (n <= 0)
        return cudaSuccess;
    unsigned blocks = blocks_for(n, THREADS);
    if (type == VG_F64)
        return VG_LAUNCH_FLAT((combine<double, double>), blocks, THREADS, stream, n, terms, segment, sign, stride, (const double *)x,
                              (double *)out);
    return to == VG_F64 ? VG_LAUNCH_FLAT((combine<float, double>), blocks, THREADS, stream, n, terms, segment, sign, stride,
                                         (const float *)x, (double *)out)
                        : VG_LAUNCH_FLAT((combine<float, float>), blocks, THREADS, stream, n, terms, segment, sign, stride,
                                         (const float *)x, (float *)out);
}

/* The best penalty of a column, and of those that are as good, the first in ascending. */
static __global__ void choose(int64_t penalties, int64_t columns, const double *score, bool smallest, const int32_t *ascending,
                              double equal, int32_t *choice, double *best_of)
{
    for (int64_t v = first_thread(); v < columns; v += all_threads()) {
        double sign = smallest ? -1.0 : 1.0, best = score[v];
        for (int64_t a = 1; a < penalties; a++)
            best = sign * fmax(sign * best, sign * score[a * columns + v]);
        double enough = best - sign * equal * (smallest ? fabs(best) : 1.0);
        bool found = false;
        for (int64_t i = 0; !found && i < penalties; i++) {
            int32_t a = ascending[i];
            double here = score[a * columns + v];
            found = sign * here >= sign * enough;
            if (found) {
                choice[v] = a;
                best_of[v] = here;
            }
        }
    }
}

cudaError_t vg_gpu_ridge_choose(cudaStream_t stream, const vg_ridge_choose *c)
{
    if (c->columns <= 0 || c->penalties <= 0)
        return cudaSuccess;
    return VG_LAUNCH_FLAT(choose, blocks_for(c->columns, THREADS), THREADS, stream, c->penalties, c->columns, c->score, c->smallest,
                          c->ascending, c->equal, c->choice, c->best);
}
