/* ridge: centring, moments and unions of segments of a tile of responses, and the choice of penalties (encoding.md, "Ridge"; device.h has
 * formulas and shapes). A thread takes a column (voxel) or an element, in the order of rows, segments and terms; neighbours read
 * neighbouring columns. Bytes, of an element as wide as its type:
 *   center   the tile read twice (the second time from cache where a segment of it fits), written once
 *   spread   16 a set, segment and column, and 17 written a set and column
 *   combine  terms + 1 elements; means and distances from cache
 *   join     two elements
 *   choose   8 a penalty and column, twice, the second time from cache; 12 written a column
 * Occupancy on sm_90: no shared memory; combine and choose 32 registers: full; join 40: 48 of 64 warps; spread 48: 40; center 56, and
 * blocks of one warp, of which 32 fit: half, with a thread a column, so that tiles should be thousands of columns wide. */
#include <float.h>

#include "common.h"

/* Takes its mean off every segment of a column; a column that is constant, not finite or beyond the limit is 0 throughout. y may be where
 * centred is. */
template <class FROM, class TO>
static __global__ void center(int64_t rows, int64_t columns, int64_t segments, const FROM *y, const int32_t *begin, double limit,
                              TO *centred, double *mean_of, double *square_of, uint8_t *dead)
{
    for (int64_t v = first_thread(); v < columns; v += all_threads()) {
        double low = INFINITY, high = -INFINITY;
        bool fine = true;
        for (int64_t s = 0; s < segments; s++) {
            double mean = 0.0, sum = 0.0, square = 0.0;
            int64_t first = begin[s], last = begin[s + 1];
            for (int64_t t = first; t < last; t++) {
                double here = (double)y[t * columns + v];
                mean += here;
                low = here < low ? here : low;
                high = here > high ? here : high;
            }
            fine = fine && isfinite(mean);
            mean = last > first ? mean / (double)(last - first) : 0.0;
            for (int64_t t = first; t < last; t++) {
                TO here = (TO)((double)y[t * columns + v] - mean);
                centred[t * columns + v] = here;
                sum += (double)here;
                square += (double)here * (double)here;
            }
            double left = last > first ? sum / (double)(last - first) : 0.0; /* of rounding alone */
            mean_of[s * columns + v] = mean + left;
            square_of[s * columns + v] = fmax(square - left * sum, 0.0);
        }
        bool gone = !fine || low == high || low < -limit || high > limit;
        dead[v] = gone;
        for (int64_t t = 0; gone && t < rows; t++)
            centred[t * columns + v] = (TO)0;
        for (int64_t s = 0; gone && s < segments; s++)
            mean_of[s * columns + v] = square_of[s * columns + v] = 0.0;
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

/* Sums of parts, and what makes them sums about the means of all. */
template <class FROM, class TO>
static __global__ void combine(int64_t rows, int64_t columns, int64_t terms, int64_t stride, const int32_t *term, const FROM *x,
                               int64_t segments, const int32_t *segment, const double *apart, const double *mean, TO *out)
{
    for (int64_t i = first_thread(); i < rows * columns; i += all_threads()) {
        int64_t v, row = divide(i, columns, &v);
        double sum = 0.0;
        for (int64_t t = 0; t < terms; t++)
            sum += (double)x[term[t] * stride + i];
        for (int64_t s = 0; s < segments; s++)
            sum += apart[s * rows + row] * mean[segment[s] * columns + v];
        out[i] = (TO)sum;
    }
}

template <class FROM, class TO> static cudaError_t launch_combine(cudaStream_t stream, const vg_ridge_combine *c)
{
    return VG_LAUNCH_FLAT((combine<FROM, TO>), blocks_for(c->rows * c->columns, THREADS), THREADS, stream, c->rows, c->columns, c->terms,
                          c->stride, c->term, (const FROM *)c->x, c->segments, c->segment, c->apart, c->mean, (TO *)c->out);
}

cudaError_t vg_gpu_ridge_combine(cudaStream_t stream, const vg_ridge_combine *c)
{
    if (c->rows <= 0 || c->columns <= 0)
        return cudaSuccess;
    if (c->type == VG_F64)
        return c->to == VG_F64 ? launch_combine<double, double>(stream, c) : launch_combine<double, float>(stream, c);
    return c->to == VG_F64 ? launch_combine<float, double>(stream, c) : launch_combine<float, float>(stream, c);
}

/* A thread takes one segment's rows of a column: where they go and the mean of all follow from the list. */
template <class TYPE>
static __global__ void join(int64_t columns, int64_t segments, const int32_t *begin, const int32_t *segment, const TYPE *centred,
                            const double *mean_of, TYPE *out)
{
    for (int64_t i = first_thread(); i < segments * columns; i += all_threads()) {
        int64_t v, mine = divide(i, columns, &v), rows = 0, to = 0;
        double mean = 0.0;
        for (int64_t s = 0; s < segments; s++) {
            int64_t here = begin[segment[s] + 1] - begin[segment[s]];
            mean += (double)here * mean_of[segment[s] * columns + v];
            to += s < mine ? here : 0;
            rows += here;
        }
        double shift = rows > 0 ? mean_of[segment[mine] * columns + v] - mean / (double)rows : 0.0;
        for (int64_t t = begin[segment[mine]]; t < begin[segment[mine] + 1]; t++, to++)
            out[to * columns + v] = (TYPE)((double)centred[t * columns + v] + shift);
    }
}

template <class TYPE> static cudaError_t launch_join(cudaStream_t stream, const vg_ridge_join *j)
{
    return VG_LAUNCH_FLAT(join<TYPE>, blocks_for(j->segments * j->columns, THREADS), THREADS, stream, j->columns, j->segments, j->begin,
                          j->segment, (const TYPE *)j->centred, j->mean, (TYPE *)j->out);
}

cudaError_t vg_gpu_ridge_join(cudaStream_t stream, const vg_ridge_join *j)
{
    if (j->segments <= 0 || j->columns <= 0)
        return cudaSuccess;
    return j->type == VG_F64 ? launch_join<double>(stream, j) : launch_join<float>(stream, j);
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
