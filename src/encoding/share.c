/* share: a design made by one rank comes to the others, bit by bit: the features of its space, and what every set needs of its
 * eigenvectors. The layout of sets follows from the folds, which every rank has. */
#include <stdlib.h>

#include "ridge.h"
#include "voxgrad/comm.h"

/* The shape of a factor, as it travels. */
typedef struct {
    int64_t by_directions, near, rows, rank, width, directions, trains, tests;
} shape;

/* Memory of the device that a design holds beside its layout. */
typedef struct {
    void **memory;
    size_t bytes;
} part;

enum { PARTS = 12 }; /* of a factor at most */

static int64_t list_parts(const vg_ridge_plan *plan, ridge_factor *f, bool near, part parts[PARTS])
{
    const int64_t n = f->directions, alphas = plan->alpha_count;
    const size_t size = ridge_size(plan->type), wide = sizeof(double);
    int64_t count = 0;
    if (f->trains > 0)
        parts[count++] = (part){(void **)&f->apart, (size_t)(f->trains * f->width) * wide};
    if (f->tests > 0)
        parts[count++] = (part){(void **)&f->held_apart, (size_t)(f->tests * f->width) * wide};
    if (!f->by_directions) {
        parts[count++] = (part){&f->left, (size_t)(f->rank * (f->rows + 1) * f->width) * size};
        parts[count++] = (part){(void **)&f->coefficient, (size_t)(alphas * f->rank) * wide};
        return count;
    }
    parts[count++] = (part){(void **)&f->whiten, (size_t)(n * f->width) * wide};
    parts[count++] = (part){(void **)&f->lift, (size_t)(n * f->width) * wide};
    parts[count++] = (part){(void **)&f->pairs, (size_t)(n * n) * wide};
    parts[count++] = (part){(void **)&f->diagonal, (size_t)n * wide};
    parts[count++] = (part){(void **)&f->lean, (size_t)n * wide};
    parts[count++] = (part){(void **)&f->filter, (size_t)(alphas * n) * wide};
    parts[count++] = (part){(void **)&f->slope, (size_t)(alphas * n) * wide};
    if (near)
        parts[count++] = (part){(void **)&f->near, (size_t)(n * n) * wide};
    return count;
}

static part features_part(vg_ridge_design *design)
{
    int64_t numbers = design->dual ? 0 : design->plan->folds->rows * design->columns;
    return (part){&design->features, (size_t)numbers * ridge_size(design->plan->type)};
}

static shape shape_of(const ridge_factor *f)
{
    return (shape){f->by_directions, f->near != NULL, f->rows, f->rank, f->width, f->directions, f->trains, f->tests};
}

static vg_status make_part(vg_device *device, part p)
{
    return device->ops->alloc(device, p.bytes > 0 ? p.bytes : 1, p.memory);
}

/* An empty design of that shape, for what is to come. */
static vg_status make_empty(vg_ridge_design *design, const shape *shapes, int64_t sets)
{
    part parts[PARTS];
    VG_TRY(ridge_layout_create(design->device, design->plan->folds, &design->layout));
    if (design->layout.sets != sets)
        return vg_fail(VG_DEFECT, "ranks differ in their folds: %lld sets here, %lld there", (long long)design->layout.sets,
                       (long long)sets);
    VG_TRY(VG_NEW(&design->factor, design->layout.sets, "factors"));
    if (!design->dual)
        VG_TRY(make_part(design->device, features_part(design)));
    for (int64_t i = 0; shapes != NULL && i < sets; i++) {
        const shape *s = &shapes[i];
        ridge_factor *f = &design->factor[i];
        *f = (ridge_factor){.by_directions = s->by_directions != 0, .rows = s->rows, .rank = s->rank, .width = s->width};
        f->directions = s->directions;
        f->trains = s->trains;
        f->tests = s->tests;
        int64_t count = list_parts(design->plan, f, s->near != 0, parts);
        for (int64_t k = 0; k < count; k++)
            VG_TRY(make_part(design->device, parts[k]));
    }
    return VG_OK;
}

static vg_status move_parts(vg_comm *comm, int root, vg_ridge_design *design)
{
    part parts[PARTS], features = features_part(design);
    VG_TRY(vg_comm_device_broadcast(comm, design->features, features.bytes, root));
    for (int64_t i = 0; i < design->layout.sets; i++) {
        int64_t count = list_parts(design->plan, &design->factor[i], design->factor[i].near != NULL, parts);
        for (int64_t k = 0; k < count; k++)
            VG_TRY(vg_comm_device_broadcast(comm, *parts[k].memory, parts[k].bytes, root));
    }
    return VG_OK;
}

/* head: columns, dual, sets; shapes (sets), new memory on every rank. */
static vg_status move_shapes(vg_comm *comm, int root, const vg_ridge_design *design, int64_t head[3], shape **shapes)
{
    bool mine = vg_comm_rank(comm) == root;
    *shapes = NULL;
    VG_AGREE(comm, mine && design == NULL ? vg_fail(VG_DEFECT, "the design to be shared is not there") : VG_OK);
    if (mine && design != NULL)
        head[0] = design->columns, head[1] = design->dual, head[2] = design->layout.sets;
    VG_TRY(vg_comm_broadcast(comm, head, 3 * sizeof *head, root));
    VG_AGREE(comm, VG_NEW(shapes, head[2], "factors"));
    for (int64_t i = 0; mine && design != NULL && i < head[2]; i++)
        (*shapes)[i] = shape_of(&design->factor[i]);
    return vg_comm_broadcast(comm, *shapes, (size_t)head[2] * sizeof **shapes, root);
}

static vg_status receive_empty(vg_device *device, const vg_ridge_plan *plan, const int64_t head[3], const shape *shapes,
                               vg_ridge_design **design)
{
    VG_TRY(VG_NEW(design, 1, "a ridge design"));
    **design = (vg_ridge_design){.device = device, .plan = plan, .columns = head[0], .dual = head[1] != 0};
    return make_empty(*design, shapes, head[2]);
}

vg_status vg_ridge_design_share(vg_comm *comm, int root, vg_device *device, const vg_ridge_plan *plan, vg_ridge_design **design)
{
    int64_t head[3] = {0};
    shape *shapes = NULL;
    bool mine = vg_comm_rank(comm) == root;
    vg_status status;
    if (!mine)
        *design = NULL;
    VG_GO(move_shapes(comm, root, *design, head, &shapes));
    VG_AGREE_GO(comm, mine ? VG_OK : receive_empty(device, plan, head, shapes, design));
    status = move_parts(comm, root, *design);
done:
    free(shapes);
    if (status != VG_OK && !mine) {
        vg_ridge_design_free(*design);
        *design = NULL;
    }
    return status;
}
