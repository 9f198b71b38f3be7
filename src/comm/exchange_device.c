/* exchange_device: memory of devices between ranks, by the link where there is one (attach.c), else piece by piece through `stage`, which
 * the link's module has pinned. MPI never sees an address of a device. What moves is bytes; a sum is made by the device, in the order of
 * its parts. */
#include <stdlib.h>
#include <string.h>

#include "comm_mpi.h"

enum { SLICE_BYTES = STAGE_BYTES }; /* of all parts together, in a step of the ordered sum */

static vg_status check_attached(const vg_comm *comm)
{
    return comm->device != NULL ? VG_OK : vg_fail(VG_DEFECT, "memory of a device is to be exchanged, and none is attached");
}

static size_t piece_size(size_t bytes, size_t at)
{
    return at >= bytes ? 0 : bytes - at < STAGE_BYTES ? bytes - at : STAGE_BYTES;
}

/* A copy from pinned memory may still be under way when `up` returns, and the stage is wanted again. */
static vg_status stage_up(vg_comm *comm, void *to, size_t bytes)
{
    if (bytes == 0)
        return VG_OK;
    VG_TRY(comm->device->ops->up(comm->device, to, comm->stage, bytes));
    return comm->device->ops->sync(comm->device);
}

static vg_status stage_down(vg_comm *comm, const void *from, size_t bytes)
{
    return bytes > 0 ? comm->device->ops->down(comm->device, comm->stage, from, bytes) : VG_OK;
}

/* ---- broadcast ------------------------------------------------------------------------------------------------------ */

static vg_status staged_broadcast(vg_comm *comm, char *data, size_t bytes, int root)
{
    vg_status mine = VG_OK;
    for (size_t at = 0; at < bytes; at += STAGE_BYTES) {
        size_t piece = piece_size(bytes, at);
        if (comm->rank == root)
            mine = stage_down(comm, data + at, piece);
        VG_AGREE(comm, mine);
        VG_TRY(vg_comm_broadcast(comm, comm->stage, piece, root));
        if (comm->rank != root)
            mine = stage_up(comm, data + at, piece);
    }
    return vg_comm_agree(comm, mine);
}

vg_status vg_comm_device_broadcast(vg_comm *comm, void *data, size_t bytes, int root)
{
    VG_TRY(check_attached(comm));
    if (comm->ranks == 1 || bytes == 0)
        return VG_OK;
    if (comm->link == NULL)
        return staged_broadcast(comm, data, bytes, root);
    vg_status ready = comm->device->ops->sync(comm->device);
    return vg_link_wait(comm, ready == VG_OK ? comm->ops->broadcast(comm->link, data, bytes, root) : ready);
}

/* ---- gather --------------------------------------------------------------------------------------------------------- */

/* On the root: the piece at `at` of every rank's share, into its place. A failure of the device is kept for the next agreement: the others
 * go on sending meanwhile. */
static vg_status take_pieces(vg_comm *comm, const void *mine, const size_t *sizes, size_t at, char *all, vg_status *kept)
{
    for (int r = 0; r < comm->ranks; all += sizes[r++]) {
        size_t piece = piece_size(sizes[r], at);
        if (piece > 0 && r != comm->rank)
            VG_TRY(vg_comm_receive(comm, comm->stage, piece, r));
        else if (piece > 0 && *kept == VG_OK)
            *kept = stage_down(comm, (const char *)mine + at, piece);
        if (piece > 0 && *kept == VG_OK)
            *kept = stage_up(comm, all + at, piece);
    }
    return VG_OK;
}

static vg_status staged_gather(vg_comm *comm, const void *mine, const size_t *sizes, int root, void *all)
{
    size_t most = 0;
    vg_status kept = VG_OK;
    for (int r = 0; r < comm->ranks; r++)
        most = sizes[r] > most ? sizes[r] : most;
    for (size_t at = 0; at < most; at += STAGE_BYTES) {
        size_t piece = piece_size(sizes[comm->rank], at);
        if (comm->rank != root && piece > 0)
            kept = stage_down(comm, (const char *)mine + at, piece);
        VG_AGREE(comm, kept);
        if (comm->rank == root)
            VG_TRY(take_pieces(comm, mine, sizes, at, all, &kept));
        else
            VG_TRY(vg_comm_send(comm, comm->stage, piece, root));
    }
    return vg_comm_agree(comm, kept);
}

/* `all` is there on the root, large enough for all `sizes`. */
static vg_status gather_into(vg_comm *comm, const void *mine, const size_t *sizes, int root, void *all)
{
    if (comm->link == NULL)
        return staged_gather(comm, mine, sizes, root, all);
    vg_status ready = comm->device->ops->sync(comm->device);
    return vg_link_wait(comm, ready == VG_OK ? comm->ops->gather(comm->link, mine, sizes, root, all) : ready);
}

static void release(vg_comm *comm, void **memory)
{
    if (*memory != NULL)
        comm->device->ops->free(comm->device, *memory);
    *memory = NULL;
}

vg_status vg_comm_device_gather(vg_comm *comm, const void *mine, size_t bytes, int root, void **all, size_t *sizes)
{
    size_t total;
    vg_status status;
    *all = NULL;
    VG_TRY(check_attached(comm));
    VG_TRY(vg_comm_sizes(comm, bytes, sizes));
    VG_TRY(vg_comm_total(comm, sizes, &total));
    VG_AGREE_GO(comm, comm->rank == root ? comm->device->ops->alloc(comm->device, total, all) : VG_OK);
    status = gather_into(comm, mine, sizes, root, *all);
done:
    if (status != VG_OK)
        release(comm, all);
    return status;
}

/* ---- ordered sum ---------------------------------------------------------------------------------------------------- */

/* Where among the gathered parts each index lies: place[index]. Errors: VG_DEFECT unless every index is there once. */
static vg_status order_parts(const int64_t *indices, size_t found, int64_t total, int64_t *place)
{
    for (int64_t i = 0; i < total; i++)
        place[i] = -1;
    for (size_t i = 0; i < found; i++) {
        if (indices[i] < 0 || indices[i] >= total)
            return vg_fail(VG_DEFECT, "ordered sum: part %lld of %lld", (long long)indices[i], (long long)total);
        if (place[indices[i]] >= 0)
            return vg_fail(VG_DEFECT, "ordered sum: part %lld is there twice", (long long)indices[i]);
        place[indices[i]] = (int64_t)i;
    }
    for (int64_t i = 0; i < total; i++)
        if (place[i] < 0)
            return vg_fail(VG_DEFECT, "ordered sum: part %lld is on no rank", (long long)i);
    return VG_OK;
}

/* place (total), as every rank's `indices` say; to be given to free(). Collective. */
static vg_status find_places(vg_comm *comm, int64_t total, int64_t count, const int64_t *indices, int64_t **place)
{
    size_t *sizes = NULL, found = 0;
    void *all = NULL;
    vg_status status = VG_NEW(&sizes, comm->ranks, "ranks");
    *place = NULL;
    if (status == VG_OK)
        status = VG_NEW(place, total, "parts of a sum");
    VG_AGREE_GO(comm, status);
    VG_GO(vg_comm_allgather(comm, indices, (size_t)count * sizeof *indices, &all, sizes));
    for (int r = 0; r < comm->ranks; r++)
        found += sizes[r] / sizeof *indices;
    status = order_parts(all, found, total, *place);
done:
    free(sizes);
    free(all);
    if (status != VG_OK) {
        free(*place);
        *place = NULL;
    }
    return status;
}

/* What the steps of a sum share: columns first .. first + width - 1 of all parts at a time. Memory of the device, but for sizes. */
typedef struct {
    int64_t total, length, count, slice;
    double *mine;  /* (count, slice), where there are several slices */
    int32_t *term; /* on rank 0 (total): where part i lies among the gathered */
    size_t *sizes; /* (ranks) bytes of a slice */
} summing;

static vg_status send_order(vg_device *d, const int64_t *place, summing *s)
{
    int32_t *term = NULL;
    vg_status status;
    VG_GO(VG_NEW(&term, s->total, "parts of a sum"));
    for (int64_t i = 0; i < s->total; i++)
        term[i] = (int32_t)place[i];
    VG_GO(VG_DEVICE_NEW(d, &s->term, s->total));
    VG_GO(d->ops->up(d, s->term, term, (size_t)s->total * sizeof *term));
    status = d->ops->sync(d);
done:
    free(term);
    return status;
}

static vg_status prepare_sum(vg_comm *comm, const int64_t *place, summing *s)
{
    VG_TRY(VG_NEW(&s->sizes, comm->ranks, "ranks"));
    if (s->slice < s->length)
        VG_TRY(VG_DEVICE_NEW(comm->device, &s->mine, s->count * s->slice));
    return comm->rank == 0 ? send_order(comm->device, place, s) : VG_OK;
}

/* This rank's parts of a slice, one after another. A double is two floats to `copy`, which only moves them. */
static vg_status cut_slice(vg_device *d, const double *parts, int64_t first, int64_t width, const summing *s, const double **mine)
{
    *mine = s->mine != NULL ? s->mine : parts;
    return s->mine == NULL || s->count == 0
               ? VG_OK
               : d->ops->copy(d, (float *)s->mine, 2 * width, (const float *)(parts + first), 2 * s->length, s->count, 2 * width);
}

static vg_status sum_slice(vg_comm *comm, const double *parts, int64_t first, int64_t width, const summing *s, double *sum)
{
    vg_device *d = comm->device;
    const double *mine;
    void *all;
    VG_AGREE(comm, cut_slice(d, parts, first, width, s, &mine));
    VG_TRY(vg_comm_device_gather(comm, mine, (size_t)(s->count * width) * sizeof *mine, 0, &all, s->sizes));
    const vg_ridge_combine c = {.type = VG_F64,
                                .to = VG_F64,
                                .rows = 1,
                                .columns = width,
                                .terms = s->total,
                                .stride = width,
                                .term = s->term,
                                .x = all,
                                .out = sum + first};
    vg_status status = comm->rank == 0 ? d->ops->ridge_combine(d, &c) : VG_OK;
    release(comm, &all);
    VG_AGREE(comm, status);
    return vg_comm_device_broadcast(comm, sum + first, (size_t)width * sizeof *sum, 0);
}

vg_status vg_comm_device_ordered_sum(vg_comm *comm, int64_t total, int64_t length, int64_t count, const int64_t *indices,
                                     const double *parts, double *sum)
{
    VG_TRY(check_attached(comm));
    summing s = {.total = total, .length = length, .count = count, .slice = SLICE_BYTES / 8 / (total > 0 ? total : 1)};
    int64_t *place;
    vg_status status;
    s.slice = s.slice < 1 ? 1 : s.slice > length ? length : s.slice;
    VG_TRY(find_places(comm, total, count, indices, &place));
    VG_AGREE_GO(comm, prepare_sum(comm, place, &s));
    for (int64_t first = 0; first < length; first += s.slice)
        VG_GO(sum_slice(comm, parts, first, length - first < s.slice ? length - first : s.slice, &s, sum));
done:
    free(place);
    free(s.sizes);
    release(comm, (void **)&s.mine);
    release(comm, (void **)&s.term);
    return status;
}
