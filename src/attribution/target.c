/* target: f of every row, and its gradient by the logits. The reference of kl is what the model predicts after BOS alone: the prediction
 * without any context. */
#include <math.h>
#include <stdlib.h>

#include "sweep.h"

size_t vg_target_bytes(const vg_attribution *a, int64_t rows)
{
    size_t vocabulary = (size_t)vg_model_get_shape(a->model)->vocabulary;
    size_t reference = a->context.target == VG_TARGET_KL ? ((size_t)rows + 1) * vocabulary * sizeof(float) : 0;
    return reference + (size_t)rows * (sizeof(double) + sizeof(int32_t)) + 4 * 256;
}

/* Log-probabilities (vocabulary) after BOS alone. */
static vg_status make_reference(vg_attribution *a)
{
    int64_t vocabulary = vg_model_get_shape(a->model)->vocabulary;
    const vg_load load = {.groups = 1, .members = 1, .length = 1};
    const vg_rows rows = {.groups = 1, .members = 1, .length = 1, .tokens = &a->bos};
    vg_engine *engine = NULL;
    vg_tape *tape;
    size_t bytes;
    float *reference = NULL;
    double largest = -INFINITY, sum = 0;
    vg_status status;
    VG_GO(vg_engine_bytes(a->model, &load, &bytes));
    VG_GO(vg_engine_create(a->model, bytes, &engine));
    VG_GO(vg_engine_forward(engine, &rows, false, false, &tape));
    VG_GO(VG_NEW(&reference, vocabulary, "log-probabilities"));
    VG_GO(a->device->ops->down(a->device, reference, tape->logits, (size_t)vocabulary * sizeof *reference));
    for (int64_t v = 0; v < vocabulary; v++)
        largest = fmax(largest, (double)reference[v]);
    for (int64_t v = 0; v < vocabulary; v++)
        sum += exp((double)reference[v] - largest);
    for (int64_t v = 0; v < vocabulary; v++)
        reference[v] = (float)((double)reference[v] - largest - log(sum));
    a->kl_reference = reference;
    reference = NULL;
done:
    free(reference);
    vg_engine_free(engine);
    return status;
}

/* The reference once for every row. */
static vg_status put_reference(vg_attribution *a, int64_t rows, float **reference)
{
    const vg_device_ops *ops = a->device->ops;
    int64_t vocabulary = vg_model_get_shape(a->model)->vocabulary;
    vg_arena *arena = vg_engine_arena(a->engine);
    float *one;
    int32_t *index;
    if (a->kl_reference == NULL)
        VG_TRY(make_reference(a));
    VG_TRY(VG_TAKE(arena, &one, vocabulary, "reference"));
    VG_TRY(VG_TAKE(arena, &index, rows, "reference"));
    VG_TRY(VG_TAKE(arena, reference, rows * vocabulary, "reference"));
    VG_TRY(ops->up(a->device, one, a->kl_reference, (size_t)vocabulary * sizeof *one));
    VG_TRY(ops->fill(a->device, (float *)index, rows, 0.0f)); /* row 0, rows times: a float's 0 is an integer's */
    return ops->gather_rows(a->device, rows, vocabulary, one, vocabulary, index, *reference, vocabulary);
}

vg_status vg_target_take(vg_attribution *a, int64_t rows, float *logits, int32_t *token, bool gradient, double *f)
{
    const vg_device_ops *ops = a->device->ops;
    vg_mark mark = vg_engine_mark(a->engine);
    float *reference = NULL;
    double *there;
    VG_TRY(VG_TAKE(vg_engine_arena(a->engine), &there, rows, "targets"));
    if (a->context.target == VG_TARGET_KL)
        VG_TRY(put_reference(a, rows, &reference));
    VG_TRY(ops->target(a->device, a->context.target, rows, vg_model_get_shape(a->model)->vocabulary, logits, token, reference, gradient,
                       there));
    VG_TRY(ops->down(a->device, f, there, (size_t)rows * sizeof *f));
    vg_engine_release(a->engine, mark);
    return VG_OK;
}
