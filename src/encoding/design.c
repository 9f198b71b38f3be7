/* design: the features of a space, factored once for every training set (encoding.md, "Ridge", 1-3).
 * Primal, p features: the training Gram G = V' diag(w) V (rows of V are eigenvectors); predictions on held-out features H (m, p) are
 * H V' diag(d_a(w)) V C of the cross-products C = X' y. Dual, n training rows: the same with the products of rows K for G, the held-out
 * rows' products with training rows for H, and y for C. gram.c makes G or K and H, factor.c what a tile of voxels is multiplied with. All
 * of them are about the means of the training rows, and no other row has a part in them. */
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

/* ---- batches of sets -------------------------------------------------------------------------------------------------- */

static void free_set(ridge_making *s)
{
    free(s->mean);
    free(s->by);
    free(s->held_out);
}

/* Of ascending eigenvalues w (n), all but the largest become 0: directions that a factor leaves out. */
static void keep_principal(int64_t principal, int64_t n, double *w)
{
    for (int64_t j = 0; principal > 0 && j < n - principal; j++)
        w[j] = 0;
}

static vg_status factor_batch(ridge_building *b, int64_t first, int64_t count)
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
        sets[i] = (ridge_making){.building = b, .plan = b->design->plan, .device = d, .set = &set[i], .dual = b->design->dual, .n = n};
        sets[i].columns = b->columns;
        sets[i].vectors = b->gram + i * n * n;
        sets[i].w = b->w_here + i * n;
    }
    VG_GO(ridge_make_grams(b, sets, count));
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
static vg_status factor_all(ridge_building *b)
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

static vg_status build(ridge_building *b, vg_samples features)
{
    VG_TRY(ridge_take_features(b, features));
    if (!b->design->dual)
        VG_TRY(ridge_send(b->device, b->design->plan->type, b->x, b->rows * b->columns, &b->design->features));
    return factor_all(b);
}

/* ---- public ---------------------------------------------------------------------------------------------------------------------- */

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
    return ridge_design_create(device, plan, features, NULL, 0, design);
}

vg_status vg_ridge_design_principal(vg_device *device, const vg_ridge_plan *plan, vg_samples features, int64_t principal,
                                    vg_ridge_design **design)
{
    return ridge_design_create(device, plan, features, NULL, principal, design);
}

vg_status ridge_design_create(vg_device *device, const vg_ridge_plan *plan, vg_samples features, const double *weight, int64_t principal,
                              vg_ridge_design **design)
{
    *design = NULL;
    VG_TRY(check(plan, features));
    ridge_building b = {.device = device, .rows = features.rows, .columns = features.columns, .weight = weight};
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
    free(b.mean);
    free(b.square);
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
