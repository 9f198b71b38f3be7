/* gram: features about the means of their segments; of a training set its means, its scales and its Gram, and the rows held out from it.
 * Every number of a set is made of its own rows alone: the products of a segment are about that segment's mean, and of several they are
 *     sum_s X_s' X_s + n_s d_s' d_s,   d_s = mean of s - mean of all
 * (Chan, Golub & LeVeque 1983, Am Stat 37:242-247, eq. 2.1, of products and of many parts). Primal, p x p, for K sets of S segments: T p^2
 * multiplications for the products and K S p^2 for the means, and as many additions. Dual, n x n: T^2 p for the products of rows, about
 * their segments' means too, and K S (T + S) p for those of rows and means. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ridge.h"

static int64_t rows_of(const ridge_layout *l, int64_t segment)
{
    return l->begin[segment + 1] - l->begin[segment];
}

/* ---- features ----------------------------------------------------------------------------------------------------------------- */

/* One segment about its mean. What is summed are differences from the first row: a constant column becomes exactly 0. */
static void center_segment(ridge_building *b, int64_t segment)
{
    int64_t p = b->columns, begin = b->design->layout.begin[segment], n = rows_of(&b->design->layout, segment);
    double *x = b->x + begin * p, *mean = b->mean + segment * p, *square = b->square + segment * p, *first = square;
    memcpy(first, x, (size_t)p * sizeof(double));
    for (int64_t t = 0; t < n; t++)
        for (int64_t j = 0; j < p; j++) {
            x[t * p + j] -= first[j];
            mean[j] += x[t * p + j] / (double)n;
        }
    for (int64_t t = 0; t < n; t++)
        for (int64_t j = 0; j < p; j++)
            x[t * p + j] -= mean[j];
    for (int64_t j = 0; j < p; j++) {
        mean[j] += first[j];
        square[j] = 0;
    }
    for (int64_t t = 0; t < n; t++)
        for (int64_t j = 0; j < p; j++)
            square[j] += x[t * p + j] * x[t * p + j];
}

vg_status ridge_take_features(ridge_building *b, vg_samples features)
{
    const ridge_layout *l = &b->design->layout;
    VG_TRY(VG_NEW(&b->x, b->rows * b->columns, "numbers of features"));
    VG_TRY(VG_NEW(&b->mean, l->segments * b->columns, "features"));
    VG_TRY(VG_NEW(&b->square, l->segments * b->columns, "features"));
    for (int64_t t = 0; t < b->rows; t++) {
        for (int64_t j = 0; j < b->columns; j++) {
            int64_t at = t * features.ld + j;
            double x = features.type == VG_F32 ? (double)((const float *)features.data)[at] : ((const double *)features.data)[at];
            if (!isfinite(x))
                return vg_fail(VG_INVALID, "features: row %lld, column %lld is not finite", (long long)t + 1, (long long)j + 1);
            b->x[t * b->columns + j] = x;
        }
    }
    for (int64_t s = 0; s < l->segments; s++)
        center_segment(b, s);
    return VG_OK;
}

/* ---- means and scales ---------------------------------------------------------------------------------------------------------- */

/* The mean (p) of all rows of some segments; as differences from the first one's, so that a constant stays what it is. */
static void pool(const ridge_building *b, const int32_t *list, int64_t count, double *mean)
{
    const ridge_layout *l = &b->design->layout;
    int64_t p = b->columns, rows = 0;
    const double *first = b->mean + list[0] * p;
    for (int64_t i = 0; i < count; i++)
        rows += rows_of(l, list[i]);
    memcpy(mean, first, (size_t)p * sizeof(double));
    for (int64_t i = 1; i < count; i++) {
        double part = (double)rows_of(l, list[i]) / (double)rows;
        for (int64_t j = 0; j < p; j++)
            mean[j] += part * (b->mean[list[i] * p + j] - first[j]);
    }
}

vg_status ridge_send_apart(const ridge_building *b, const int32_t *list, int64_t count, double **there)
{
    int64_t p = b->columns;
    double *mean = NULL, *apart = NULL;
    vg_status status;
    *there = NULL;
    if (count < 2)
        return VG_OK;
    VG_GO(VG_NEW(&mean, p, "features"));
    VG_GO(VG_NEW(&apart, count * p, "means of segments"));
    pool(b, list, count, mean);
    for (int64_t i = 0; i < count; i++)
        for (int64_t j = 0; j < p; j++)
            apart[i * p + j] = (double)rows_of(&b->design->layout, list[i]) * (b->mean[list[i] * p + j] - mean[j]);
    VG_GO(ridge_send(b->device, VG_F64, apart, count * p, (void **)there));
done:
    free(mean);
    free(apart);
    return status;
}

/* A sum of squares that is only the rounding of a constant's. */
static bool is_nothing(double square, int64_t rows, double mean)
{
    return square <= 1e-24 * (double)rows * mean * mean;
}

/* 1, or 1 / standard deviation over the training rows, times the weight; 0 for a column that is constant in them. */
static void make_scales(ridge_making *s)
{
    const ridge_building *b = s->building;
    const ridge_layout *l = &b->design->layout;
    for (int64_t j = 0; j < s->columns; j++) {
        double square = 0;
        for (int64_t i = s->set->train; i < s->set->train + s->set->trains; i++) {
            int64_t at = l->train[i] * s->columns + j;
            double apart = b->mean[at] - s->mean[j];
            square += b->square[at] + (double)rows_of(l, l->train[i]) * apart * apart;
        }
        double n = (double)s->set->fold->train_rows;
        s->by[j] = is_nothing(square, s->set->fold->train_rows, s->mean[j]) ? 0.0 : s->plan->standardize ? sqrt(n / square) : 1.0;
        s->by[j] *= b->weight != NULL ? b->weight[j] : 1.0;
    }
}

/* ---- primal ------------------------------------------------------------------------------------------------------------------------ */

static bool trains_on(const ridge_making *s, int64_t segment)
{
    const int32_t *list = s->building->design->layout.train + s->set->train;
    for (int64_t i = 0; i < s->set->trains; i++)
        if (list[i] == segment)
            return true;
    return false;
}

/* How many segments from this one on belong to the same training sets of the batch; and whether any. */
static int64_t same_sets(const ridge_making *sets, int64_t count, int64_t segment, bool *any)
{
    int64_t segments = sets[0].building->design->layout.segments, end = segment + 1;
    *any = false;
    for (int64_t i = 0; i < count; i++)
        *any |= trains_on(&sets[i], segment);
    for (; end < segments; end++)
        for (int64_t i = 0; i < count; i++)
            if (trains_on(&sets[i], end) != trains_on(&sets[i], segment))
                return end - segment;
    return end - segment;
}

/* X' X of rows about their segments' means, added to the Grams of the sets that train on them. */
static vg_status add_products(ridge_building *b, const ridge_making *sets, int64_t count, double *there)
{
    const ridge_layout *l = &b->design->layout;
    int64_t p = b->columns;
    bool any;
    for (int64_t s = 0, next; s < l->segments; s = next) {
        next = s + same_sets(sets, count, s, &any);
        if (!any)
            continue;
        const double *x = b->x_there + l->begin[s] * p;
        VG_TRY(ridge_multiply(b->device, true, false, p, p, l->begin[next] - l->begin[s], 1.0, x, p, x, p, 0.0, there));
        VG_TRY(b->device->ops->down(b->device, b->products, there, (size_t)(p * p) * sizeof(double)));
        for (int64_t i = 0; i < count; i++) {
            double *gram = b->gram_here + i * p * p;
            int64_t numbers = trains_on(&sets[i], s) ? p * p : 0;
            for (int64_t e = 0; e < numbers; e++)
                gram[e] += b->products[e];
        }
    }
    return VG_OK;
}

/* Adds the products of the segments' means, and scales. */
static vg_status finish_gram(ridge_building *b, const ridge_making *s, double *gram)
{
    const ridge_layout *l = &b->design->layout;
    int64_t p = b->columns, count = s->set->trains;
    double *apart;
    VG_TRY(VG_NEW(&apart, count * p, "means of segments"));
    for (int64_t i = 0; i < count; i++) {
        int64_t segment = l->train[s->set->train + i];
        for (int64_t j = 0; j < p; j++)
            apart[i * p + j] = sqrt((double)rows_of(l, segment)) * (b->mean[segment * p + j] - s->mean[j]);
    }
    vg_status status = ridge_product(b->device, true, false, p, p, count, apart, p, apart, p, b->products);
    for (int64_t i = 0; i < p && status == VG_OK; i++)
        for (int64_t j = 0; j < p; j++)
            gram[i * p + j] = s->by[i] * s->by[j] * (gram[i * p + j] + b->products[i * p + j]);
    free(apart);
    return status;
}

static vg_status primal_grams(ridge_building *b, const ridge_making *sets, int64_t count)
{
    int64_t p = b->columns;
    void *there = NULL;
    vg_status status;
    VG_GO(b->device->ops->alloc(b->device, (size_t)(p * p) * sizeof(double), &there));
    VG_GO(add_products(b, sets, count, there));
    for (int64_t i = 0; i < count; i++)
        VG_GO(finish_gram(b, &sets[i], b->gram_here + i * p * p));
done:
    ridge_device_free(b->device, there);
    return status;
}

static void primal_held_out(ridge_making *s)
{
    const ridge_building *b = s->building;
    const ridge_layout *l = &b->design->layout;
    int64_t p = s->columns;
    double *to = s->held_out;
    for (int64_t i = s->set->test; i < s->set->test + s->set->tests; i++) {
        const double *mean = b->mean + l->test[i] * p;
        for (int64_t t = l->begin[l->test[i]]; t < l->begin[l->test[i] + 1]; t++, to += p)
            for (int64_t j = 0; j < p; j++)
                to[j] = s->by[j] * (b->x[t * p + j] + (mean[j] - s->mean[j]));
    }
}

/* ---- dual -------------------------------------------------------------------------------------------------------------------------- */

/* What the products of rows about a set's mean are made of: those of rows about their segments' means are the building's products;
 * distances of segments' means from the set's, times rows (segments, T), and times each other (segments, segments). */
typedef struct {
    double *rows, *means;
    int32_t *segment; /* (T) the segment of a row */
} distances;

static vg_status row_products(ridge_building *b, const double *by)
{
    int64_t p = b->columns;
    double *scaled = NULL;
    void *there = NULL;
    vg_status status;
    VG_GO(VG_NEW(&scaled, b->rows * p, "numbers of features"));
    VG_GO(b->device->ops->alloc(b->device, (size_t)(b->rows * b->rows) * sizeof(double), &there));
    for (int64_t t = 0; t < b->rows; t++)
        for (int64_t j = 0; j < p; j++)
            scaled[t * p + j] = b->x[t * p + j] * (by != NULL ? by[j] : 1.0);
    VG_GO(b->device->ops->up(b->device, b->x_there, scaled, (size_t)(b->rows * p) * sizeof(double)));
    VG_GO(ridge_multiply(b->device, false, true, b->rows, b->rows, p, 1.0, b->x_there, p, b->x_there, p, 0.0, there));
    VG_GO(b->device->ops->down(b->device, b->products, there, (size_t)(b->rows * b->rows) * sizeof(double)));
done:
    free(scaled);
    ridge_device_free(b->device, there);
    return status;
}

static vg_status measure(const ridge_building *b, const ridge_making *s, distances *d)
{
    const ridge_layout *l = &b->design->layout;
    int64_t p = b->columns, segments = l->segments;
    double *apart = NULL;
    void *apart_there = NULL, *there = NULL;
    vg_status status;
    VG_GO(VG_NEW(&apart, segments * p, "means of segments"));
    VG_GO(VG_NEW(&d->rows, segments * b->rows, "products of means"));
    VG_GO(VG_NEW(&d->means, segments * segments, "products of means"));
    VG_GO(VG_NEW(&d->segment, b->rows, "rows"));
    for (int64_t i = 0; i < segments; i++) {
        for (int64_t j = 0; j < p; j++)
            apart[i * p + j] = (s->plan->standardize ? s->by[j] : 1.0) * (b->mean[i * p + j] - s->mean[j]);
        for (int64_t t = l->begin[i]; t < l->begin[i + 1]; t++)
            d->segment[t] = (int32_t)i;
    }
    VG_GO(ridge_send(b->device, VG_F64, apart, segments * p, &apart_there));
    VG_GO(b->device->ops->alloc(b->device, (size_t)(segments * b->rows) * sizeof(double), &there));
    VG_GO(ridge_multiply(b->device, false, true, segments, b->rows, p, 1.0, apart_there, p, b->x_there, p, 0.0, there));
    VG_GO(b->device->ops->down(b->device, d->rows, there, (size_t)(segments * b->rows) * sizeof(double)));
    VG_GO(ridge_product(b->device, false, true, segments, segments, p, apart, p, apart, p, d->means));
done:
    free(apart);
    ridge_device_free(b->device, apart_there);
    ridge_device_free(b->device, there);
    return status;
}

/* row[i] = product of row t with training row i, both about the training mean. */
static void dual_row(const ridge_making *s, const distances *d, int64_t t, double *row)
{
    const ridge_building *b = s->building;
    const ridge_layout *l = &b->design->layout;
    const double *here = d->rows + d->segment[t] * b->rows;
    for (int64_t i = s->set->train; i < s->set->train + s->set->trains; i++) {
        int64_t other = l->train[i];
        double shift = d->rows[other * b->rows + t] + d->means[d->segment[t] * l->segments + other];
        for (int64_t u = l->begin[other]; u < l->begin[other + 1]; u++)
            *row++ = b->products[t * b->rows + u] + here[u] + shift;
    }
}

/* Rows of the segments of a list against the training rows. */
static void dual_rows(const ridge_making *s, const distances *d, const int32_t *list, int64_t count, double *to)
{
    const ridge_layout *l = &s->building->design->layout;
    for (int64_t i = 0; i < count; i++)
        for (int64_t t = l->begin[list[i]]; t < l->begin[list[i] + 1]; t++, to += s->n)
            dual_row(s, d, t, to);
}

/* K (n, n) of the training rows, zeros beyond them (a batch shares the largest n), and the held-out rows against them. */
static vg_status dual_gram(ridge_building *b, ridge_making *s, double *gram)
{
    const ridge_layout *l = &b->design->layout;
    distances d = {0};
    vg_status status = s->plan->standardize ? row_products(b, s->by) : VG_OK;
    if (status == VG_OK)
        status = measure(b, s, &d);
    if (status == VG_OK) {
        dual_rows(s, &d, l->train + s->set->train, s->set->trains, gram);
        dual_rows(s, &d, l->test + s->set->test, s->set->tests, s->held_out);
    }
    free(d.rows);
    free(d.means);
    free(d.segment);
    return status;
}

/* ---- held-out rows ------------------------------------------------------------------------------------------------------------------ */

/* Held-out rows about their mean, which becomes the last row, times sqrt(m). */
static void split_mean(const ridge_making *s)
{
    int64_t ld = s->n, m = s->m;
    double *mean = s->held_out + m * ld;
    for (int64_t i = 0; i < m; i++)
        for (int64_t j = 0; j < s->width; j++)
            mean[j] += s->held_out[i * ld + j] / (double)m;
    for (int64_t i = 0; i < m; i++)
        for (int64_t j = 0; j < s->width; j++)
            s->held_out[i * ld + j] -= mean[j];
    for (int64_t j = 0; j < s->width; j++)
        mean[j] *= sqrt((double)m);
}

/* A column of held-out features that is constant but for rounding is 0. */
static void clear_constants(const ridge_making *s)
{
    int64_t p = s->columns, m = s->m;
    for (int64_t j = 0; j < p; j++) {
        double square = 0;
        for (int64_t i = 0; i < m; i++)
            square += s->held_out[i * p + j] * s->held_out[i * p + j];
        bool nothing = is_nothing(square, 1, s->held_out[m * p + j]); /* the last row is sqrt(m) times the mean */
        for (int64_t i = 0; nothing && i < m; i++)
            s->held_out[i * p + j] = 0;
    }
}

/* ---- batches of sets -------------------------------------------------------------------------------------------------- */

/* The products that all sets share, once: the dual form's, where every set scales by itself it makes its own. */
static vg_status begin_products(ridge_building *b)
{
    int64_t side = b->design->dual ? b->rows : b->columns, count = b->rows * b->columns;
    VG_TRY(b->device->ops->alloc(b->device, (size_t)count * sizeof(double), (void **)&b->x_there));
    VG_TRY(VG_NEW(&b->products, side * side, "products of features"));
    if (!b->design->dual)
        return b->device->ops->up(b->device, b->x_there, b->x, (size_t)count * sizeof(double));
    return b->design->plan->standardize ? VG_OK : row_products(b, NULL);
}

vg_status ridge_make_grams(ridge_building *b, ridge_making *sets, int64_t count)
{
    const ridge_layout *l = &b->design->layout;
    if (b->products == NULL)
        VG_TRY(begin_products(b));
    for (int64_t i = 0; i < count; i++) {
        ridge_making *s = &sets[i];
        s->m = s->set->fold->test_rows;
        s->width = s->dual ? s->set->fold->train_rows : s->columns;
        VG_TRY(VG_NEW(&s->mean, s->columns, "features"));
        VG_TRY(VG_NEW(&s->by, s->columns, "features"));
        VG_TRY(VG_NEW(&s->held_out, (s->m + 1) * s->n, "numbers of held-out rows"));
        pool(b, l->train + s->set->train, s->set->trains, s->mean);
        make_scales(s);
        if (s->dual)
            VG_TRY(dual_gram(b, s, b->gram_here + i * s->n * s->n));
        else
            primal_held_out(s);
        split_mean(s);
        if (!s->dual)
            clear_constants(s);
    }
    return b->design->dual ? VG_OK : primal_grams(b, sets, count);
}
