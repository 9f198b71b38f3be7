/* design: the features of a space, factored once for every training set (encoding.md, "Ridge", 1-3).
 * Primal, p features: the training Gram G = V' diag(w) V (rows of V are eigenvectors); predictions on held-out features H (m, p) are
 * H V' diag(d_a(w)) V C of the cross-products C = X' y. Dual, n training rows: the same with the products of rows K for G, the held-out
 * rows' products with training rows for H, and y for C. factor.c makes of H, V and w what a tile of voxels is multiplied with.
 * Everything is centred by the training rows: in G and H, and, for C, by a column that multiplies the sums of y. */
#include <float.h>
#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "ridge.h"

static _Atomic int64_t factorizations;

int64_t vg_ridge_factorizations(void)
{
    return atomic_load(&factorizations);
}

/* A design in the making. Matrices of one batch of sets: gram (sets, n, n) on the device becomes their eigenvectors. */
typedef struct {
    vg_ridge_design *design;
    vg_device *device;
    int64_t rows, columns, n;   /* n: side of the Grams */
    double *x, *x_there;        /* (T, p) about the mean of all rows: host, device */
    double *scale;              /* (p) sum of squares of the columns of x */
    double *products;           /* host: X' X (p, p), or dual X X' (T, T) */
    double *gram, *w;           /* device: (batch, n, n), (batch, n) */
    double *gram_here, *w_here; /* host: the same */
} building;

/* ---- the device ------------------------------------------------------------------------------------------------ */

vg_status ridge_multiply(vg_device *d, bool transpose_a, bool transpose_b, int64_t m, int64_t n, int64_t k, double alpha, const double *a,
                         int64_t lda, const double *b, int64_t ldb, double beta, double *c)
{
    vg_gemm g = {.type = VG_F64, .transpose_a = transpose_a, .transpose_b = transpose_b, .m = m, .n = n, .k = k, .batch = 1};
    g.alpha = alpha;
    g.beta = beta;
    g.a = a;
    g.lda = lda;
    g.b = b;
    g.ldb = ldb;
    g.c = c;
    g.ldc = n;
    return d->ops->gemm(d, &g);
}

static vg_status device_new(vg_device *d, double **x, int64_t count)
{
    return d->ops->alloc(d, (size_t)(count > 0 ? count : 1) * sizeof(double), (void **)x);
}

void ridge_device_free(vg_device *d, void *x)
{
    if (x != NULL)
        d->ops->free(d, x);
}

static vg_status down(vg_device *d, double *host, const double *there, int64_t count)
{
    return d->ops->down(d, host, there, (size_t)count * sizeof(double));
}

static vg_status up(vg_device *d, double *there, const double *host, int64_t count)
{
    return d->ops->up(d, there, host, (size_t)count * sizeof(double));
}

vg_status ridge_send(vg_device *d, vg_type type, const double *host, int64_t count, void **there)
{
    VG_TRY(d->ops->alloc(d, (size_t)(count > 0 ? count : 1) * ridge_size(type), there));
    if (type == VG_F64)
        return d->ops->up(d, *there, host, (size_t)count * sizeof(double));
    float *narrow;
    VG_TRY(VG_NEW(&narrow, count, "numbers of a design"));
    for (int64_t i = 0; i < count; i++)
        narrow[i] = (float)host[i];
    vg_status status = d->ops->up(d, *there, narrow, (size_t)count * sizeof(float));
    free(narrow);
    return status;
}

/* ---- features ----------------------------------------------------------------------------------------------------------------- */

static vg_status take_features(building *b, vg_samples features)
{
    VG_TRY(VG_NEW(&b->x, b->rows * b->columns, "numbers of features"));
    VG_TRY(VG_NEW(&b->scale, b->columns, "features"));
    for (int64_t t = 0; t < b->rows; t++) {
        for (int64_t j = 0; j < b->columns; j++) {
            int64_t at = t * features.ld + j;
            double x = features.type == VG_F32 ? (double)((const float *)features.data)[at] : ((const double *)features.data)[at];
            if (!isfinite(x))
                return vg_fail(VG_INVALID, "features: row %lld, column %lld is not finite", (long long)t + 1, (long long)j + 1);
            b->x[t * b->columns + j] = x;
        }
    }
    for (int64_t j = 0; j < b->columns; j++) {
        double sum = 0;
        for (int64_t t = 0; t < b->rows; t++)
            sum += b->x[t * b->columns + j];
        for (int64_t t = 0; t < b->rows; t++) {
            double *x = &b->x[t * b->columns + j];
            *x -= sum / (double)b->rows;
            b->scale[j] += *x * *x;
        }
    }
    return VG_OK;
}

/* The features and a column of ones, for the cross-products of tiles. */
static vg_status send_features(building *b)
{
    double *wide;
    int64_t p = b->columns;
    VG_TRY(VG_NEW(&wide, b->rows * (p + 1), "numbers of features"));
    for (int64_t t = 0; t < b->rows; t++) {
        memcpy(wide + t * (p + 1), b->x + t * p, (size_t)p * sizeof(double));
        wide[t * (p + 1) + p] = 1;
    }
    vg_status status = ridge_send(b->device, b->design->plan->type, wide, b->rows * (p + 1), &b->design->features);
    free(wide);
    return status;
}

static void means(const building *b, const vg_range *ranges, int64_t count, int64_t rows, double *mean)
{
    memset(mean, 0, (size_t)b->columns * sizeof(double));
    for (int64_t i = 0; i < count; i++)
        for (int64_t t = ranges[i].begin; t < ranges[i].end; t++)
            for (int64_t j = 0; j < b->columns; j++)
                mean[j] += b->x[t * b->columns + j];
    for (int64_t j = 0; j < b->columns && rows > 0; j++)
        mean[j] /= (double)rows;
}

/* A sum of squares that is only the rounding of a constant's. */
static bool is_nothing(double square, double scale)
{
    return square <= 1e-13 * scale;
}

/* 1 / standard deviation over the training rows; 0 for a column that is constant in them. */
static void scales(const building *b, ridge_making *s)
{
    const vg_fold *fold = s->set->fold;
    for (int64_t j = 0; j < b->columns; j++) {
        double square = 0;
        for (int64_t i = 0; i < fold->train_ranges; i++)
            for (int64_t t = fold->train[i].begin; t < fold->train[i].end; t++) {
                double x = b->x[t * b->columns + j] - s->mean[j];
                square += x * x;
            }
        s->by[j] = is_nothing(square, b->scale[j]) ? 0.0 : b->design->plan->standardize ? sqrt((double)fold->train_rows / square) : 1.0;
    }
}

/* ---- Grams of training sets ------------------------------------------------------------------------------------------------------ */

/* The rows of a set's complement, or of the set itself where that is shorter, added to or taken from G (p, p) on the device. */
static vg_status primal_sum(const building *b, const vg_fold *fold, double *gram)
{
    int64_t p = b->columns, at = 0;
    bool direct = 2 * fold->train_rows <= b->rows;
    if (!direct)
        VG_TRY(up(b->device, gram, b->products, p * p));
    double beta = direct ? 0.0 : 1.0;
    for (int64_t i = 0; i <= fold->train_ranges; i++) {
        bool last = i == fold->train_ranges;
        int64_t begin = direct ? (last ? b->rows : fold->train[i].begin) : at;
        int64_t end = direct ? (last ? b->rows : fold->train[i].end) : (last ? b->rows : fold->train[i].begin);
        at = last ? b->rows : fold->train[i].end;
        if (begin == end)
            continue;
        const double *x = b->x_there + begin * p;
        VG_TRY(ridge_multiply(b->device, true, false, p, p, end - begin, direct ? 1.0 : -1.0, x, p, x, p, beta, gram));
        beta = 1.0;
    }
    return VG_OK;
}

static vg_status primal_gram(const building *b, ridge_making *s, double *gram, double *here)
{
    int64_t p = b->columns;
    VG_TRY(primal_sum(b, s->set->fold, gram));
    VG_TRY(down(b->device, here, gram, p * p));
    for (int64_t i = 0; i < p; i++)
        for (int64_t j = 0; j < p; j++)
            here[i * p + j] = s->by[i] * s->by[j] * (here[i * p + j] - (double)s->set->fold->train_rows * s->mean[i] * s->mean[j]);
    return VG_OK;
}

/* Products of rows with the features of this set's scaling. */
static vg_status row_products(building *b, const double *by)
{
    int64_t p = b->columns;
    double *scaled = NULL, *there = NULL;
    vg_status status;
    VG_GO(VG_NEW(&scaled, b->rows * p, "numbers of features"));
    VG_GO(device_new(b->device, &there, b->rows * b->rows));
    for (int64_t t = 0; t < b->rows; t++)
        for (int64_t j = 0; j < p; j++)
            scaled[t * p + j] = b->x[t * p + j] * (by != NULL ? by[j] : 1.0);
    VG_GO(up(b->device, b->x_there, scaled, b->rows * p));
    VG_GO(ridge_multiply(b->device, false, true, b->rows, b->rows, p, 1.0, b->x_there, p, b->x_there, p, 0.0, there));
    VG_GO(down(b->device, b->products, there, b->rows * b->rows));
done:
    free(scaled);
    ridge_device_free(b->device, there);
    return status;
}

/* row[i] = product of row t with training row i, less its mean over i. */
static void dual_row(const building *b, const vg_fold *fold, int64_t t, double *row)
{
    double sum = 0;
    int64_t n = 0;
    for (int64_t i = 0; i < fold->train_ranges; i++)
        for (int64_t u = fold->train[i].begin; u < fold->train[i].end; u++) {
            row[n] = b->products[t * b->rows + u];
            sum += row[n++];
        }
    for (int64_t i = 0; i < n; i++)
        row[i] -= sum / (double)n;
}

/* Takes the mean row off `rows` rows (n); the mean is left in `mean`. */
static void center_rows(double *x, int64_t rows, int64_t n, int64_t ld, double *mean)
{
    memset(mean, 0, (size_t)n * sizeof(double));
    for (int64_t i = 0; i < rows; i++)
        for (int64_t j = 0; j < n; j++)
            mean[j] += x[i * ld + j];
    for (int64_t j = 0; j < n; j++)
        mean[j] /= (double)rows;
    for (int64_t i = 0; i < rows; i++)
        for (int64_t j = 0; j < n; j++)
            x[i * ld + j] -= mean[j];
}

/* K (n, n) of the training rows, centred; zeros beyond them (a batch shares the largest n). Held-out rows against them as well:
 * (m, n), still about the training mean alone. */
static vg_status dual_gram(building *b, ridge_making *s, double *here)
{
    const vg_fold *fold = s->set->fold;
    int64_t n = fold->train_rows;
    double *mean;
    if (b->design->plan->standardize)
        VG_TRY(row_products(b, s->by));
    VG_TRY(VG_NEW(&mean, n, "training rows"));
    memset(here, 0, (size_t)(b->n * b->n) * sizeof(double));
    for (int64_t i = 0, row = 0; i < fold->train_ranges; i++)
        for (int64_t t = fold->train[i].begin; t < fold->train[i].end; t++)
            dual_row(b, fold, t, here + b->n * row++);
    center_rows(here, n, n, b->n, mean);
    s->m = fold->test_rows;
    s->width = n;
    vg_status status = VG_NEW(&s->held_out, (s->m + 1) * b->n, "numbers of held-out rows");
    for (int64_t i = 0, row = 0; status == VG_OK && i < fold->test_ranges; i++)
        for (int64_t t = fold->test[i].begin; t < fold->test[i].end; t++, row++) {
            dual_row(b, fold, t, s->held_out + row * b->n);
            for (int64_t j = 0; j < n; j++)
                s->held_out[row * b->n + j] -= mean[j];
        }
    free(mean);
    return status;
}

/* ---- held-out rows ------------------------------------------------------------------------------------------------------------------ */

static vg_status primal_held_out(const building *b, ridge_making *s)
{
    const vg_fold *fold = s->set->fold;
    int64_t p = b->columns;
    s->m = fold->test_rows;
    s->width = p;
    VG_TRY(VG_NEW(&s->held_out, (s->m + 1) * p, "numbers of held-out rows"));
    double *x = s->held_out;
    for (int64_t i = 0; i < fold->test_ranges; i++)
        for (int64_t t = fold->test[i].begin; t < fold->test[i].end; t++, x += p)
            for (int64_t j = 0; j < p; j++)
                x[j] = s->by[j] * (b->x[t * p + j] - s->mean[j]);
    return VG_OK;
}

/* Held-out rows about their mean, which becomes the last row, times sqrt(m); a column that is constant but for rounding is 0. */
static void split_mean(const building *b, ridge_making *s)
{
    int64_t ld = b->n;
    double *mean = s->held_out + s->m * ld;
    center_rows(s->held_out, s->m, s->width, ld, mean);
    for (int64_t j = 0; j < s->width; j++) {
        double square = 0;
        for (int64_t i = 0; i < s->m; i++)
            square += s->held_out[i * ld + j] * s->held_out[i * ld + j];
        bool nothing = !b->design->dual && is_nothing(square, s->by[j] * s->by[j] * b->scale[j]);
        for (int64_t i = 0; nothing && i < s->m; i++)
            s->held_out[i * ld + j] = 0;
        mean[j] *= sqrt((double)s->m);
    }
}

/* ---- batches of sets -------------------------------------------------------------------------------------------------- */

static vg_status prepare_set(building *b, ridge_making *s, int64_t i)
{
    const vg_fold *fold = s->set->fold;
    double *gram = b->gram_here + i * b->n * b->n;
    VG_TRY(VG_NEW(&s->mean, b->columns, "features"));
    VG_TRY(VG_NEW(&s->by, b->columns, "features"));
    VG_TRY(VG_NEW(&s->test_mean, b->columns, "features"));
    means(b, fold->test, fold->test_ranges, fold->test_rows, s->test_mean);
    means(b, fold->train, fold->train_ranges, fold->train_rows, s->mean);
    scales(b, s);
    if (b->design->dual) {
        VG_TRY(dual_gram(b, s, gram));
    } else {
        VG_TRY(primal_gram(b, s, b->gram + i * b->n * b->n, gram));
        VG_TRY(primal_held_out(b, s));
    }
    split_mean(b, s);
    return VG_OK;
}

static void free_set(ridge_making *s)
{
    free(s->mean);
    free(s->by);
    free(s->test_mean);
    free(s->held_out);
}

/* Of ascending eigenvalues w (n), all but the largest become 0: directions that a factor leaves out. */
static void keep_principal(int64_t principal, int64_t n, double *w)
{
    for (int64_t j = 0; principal > 0 && j < n - principal; j++)
        w[j] = 0;
}

static vg_status factor_batch(building *b, int64_t first, int64_t count)
{
    ridge_making *sets = NULL;
    vg_device *d = b->device;
    const ridge_set *set = b->design->layout.set + first;
    vg_status status;
    b->n = b->design->dual ? 0 : b->columns;
    for (int64_t i = 0; i < count && b->design->dual; i++)
        b->n = set[i].fold->train_rows > b->n ? set[i].fold->train_rows : b->n;
    int64_t n = b->n;
    VG_GO(VG_NEW(&sets, count, "sets of rows"));
    VG_GO(device_new(d, &b->gram, count * n * n));
    VG_GO(device_new(d, &b->w, count * n));
    VG_GO(VG_NEW(&b->gram_here, count * n * n, "products of features"));
    VG_GO(VG_NEW(&b->w_here, count * n, "eigenvalues"));
    for (int64_t i = 0; i < count; i++) {
        sets[i] =
            (ridge_making){.plan = b->design->plan, .device = d, .set = &set[i], .dual = b->design->dual, .columns = b->columns, .n = n};
        sets[i].vectors = b->gram + i * n * n;
        sets[i].w = b->w_here + i * n;
        VG_GO(prepare_set(b, &sets[i], i));
    }
    VG_GO(up(d, b->gram, b->gram_here, count * n * n));
    VG_GO(d->ops->eigh(d, count, n, b->gram, b->w));
    atomic_fetch_add(&factorizations, count);
    VG_GO(down(d, b->w_here, b->w, count * n));
    for (int64_t i = 0; i < count; i++) {
        keep_principal(b->design->principal, n, b->w_here + i * n);
        VG_GO(ridge_make_factor(&sets[i], &b->design->factor[first + i]));
    }
done:
    for (int64_t i = 0; sets != NULL && i < count; i++)
        free_set(&sets[i]);
    free(sets);
    ridge_device_free(d, b->gram);
    ridge_device_free(d, b->w);
    free(b->gram_here);
    free(b->w_here);
    b->gram = b->w = b->gram_here = b->w_here = NULL;
    return status;
}

/* Batches hold sets of like size: the outer ones, then the inner ones of each outer fold; at most about 1 GB of Grams. */
static vg_status factor_all(building *b)
{
    const ridge_layout *layout = &b->design->layout;
    const vg_folds *folds = b->design->plan->folds;
    int64_t side = b->design->dual ? b->rows : b->columns;
    int64_t most = (int64_t)1 << 30, first = 0;
    most = most / (side * side * 8) > 1 ? most / (side * side * 8) : 1;
    for (int64_t k = -1; k < folds->outer_count; k++) {
        int64_t count = k < 0 ? layout->outer_sets : folds->outer[k].inner_count;
        for (int64_t done = 0; done < count; done += most)
            VG_TRY(factor_batch(b, first + done, count - done < most ? count - done : most));
        first += count;
    }
    return VG_OK;
}

static vg_status make_products(building *b)
{
    int64_t p = b->columns, side = b->design->dual ? b->rows : p;
    VG_TRY(device_new(b->device, &b->x_there, b->rows * p));
    VG_TRY(VG_NEW(&b->products, side * side, "products of features"));
    if (b->design->dual)
        return b->design->plan->standardize ? VG_OK : row_products(b, NULL);
    VG_TRY(up(b->device, b->x_there, b->x, b->rows * p));
    double *there;
    VG_TRY(device_new(b->device, &there, p * p));
    vg_status status = ridge_multiply(b->device, true, false, p, p, b->rows, 1.0, b->x_there, p, b->x_there, p, 0.0, there);
    if (status == VG_OK)
        status = down(b->device, b->products, there, p * p);
    ridge_device_free(b->device, there);
    return status;
}

static vg_status build(building *b, vg_samples features)
{
    VG_TRY(take_features(b, features));
    VG_TRY(make_products(b));
    if (!b->design->dual)
        VG_TRY(send_features(b));
    return factor_all(b);
}

/* ---- public
 * ---------------------------------------------------------------------------------------------------------------------------------- */

static vg_status check(const vg_ridge_plan *plan, vg_samples features)
{
    if (features.rows != plan->folds->rows)
        return vg_fail(VG_INVALID, "features have %lld rows, the folds %lld", (long long)features.rows, (long long)plan->folds->rows);
    if (features.columns < 1)
        return vg_fail(VG_INVALID, "a feature space has no columns");
    if (plan->alpha_count < 1)
        return vg_fail(VG_INVALID, "no penalty is given");
    for (int64_t a = 0; a < plan->alpha_count; a++)
        if (!(plan->alphas[a] > 0) || !isfinite(plan->alphas[a]))
            return vg_fail(VG_INVALID, "penalty %g is not a positive number", plan->alphas[a]);
    return VG_OK;
}

vg_status vg_ridge_design_create(vg_device *device, const vg_ridge_plan *plan, vg_samples features, vg_ridge_design **design)
{
    return vg_ridge_design_principal(device, plan, features, 0, design);
}

vg_status vg_ridge_design_principal(vg_device *device, const vg_ridge_plan *plan, vg_samples features, int64_t principal,
                                    vg_ridge_design **design)
{
    *design = NULL;
    VG_TRY(check(plan, features));
    building b = {.device = device, .rows = features.rows, .columns = features.columns};
    vg_status status;
    VG_GO(VG_NEW(design, 1, "a ridge design"));
    b.design = *design;
    *b.design = (vg_ridge_design){
        .device = device, .plan = plan, .columns = features.columns, .principal = principal, .dual = ridge_is_dual(plan, features.columns)};
    VG_GO(ridge_layout_create(device, plan->folds, &b.design->layout));
    VG_GO(VG_NEW(&b.design->factor, b.design->layout.sets, "factors"));
    VG_GO(build(&b, features));
done:
    free(b.x);
    free(b.scale);
    free(b.products);
    ridge_device_free(device, b.x_there);
    if (status != VG_OK) {
        vg_ridge_design_free(*design);
        *design = NULL;
    }
    return status;
}

void vg_ridge_design_free(vg_ridge_design *design)
{
    if (design == NULL)
        return;
    for (int64_t i = 0; design->factor != NULL && i < design->layout.sets; i++)
        ridge_factor_free(design->device, &design->factor[i]);
    free(design->factor);
    ridge_device_free(design->device, design->features);
    ridge_layout_free(&design->layout);
    free(design);
}
