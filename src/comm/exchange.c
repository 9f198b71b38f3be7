/* exchange: bytes between ranks, of any size (MPI counts in int: what is larger goes in pieces), and the sum whose order is
 * that of the parts, not of the ranks (architecture.md, "Plan, blocks, determinism"). */
#include <stdlib.h>
#include <string.h>

#include "comm_mpi.h"

enum { PIECE = 1 << 28, TAG = 7 };          /* bytes a message */
static const int64_t SLICE_BYTES = 1 << 26; /* of all parts together, in a step of the ordered sum */

static int piece_size(size_t left)
{
    return left < PIECE ? (int)left : PIECE;
}

vg_status vg_comm_broadcast(vg_comm *comm, void *data, size_t bytes, int root)
{
    if (comm->ranks == 1)
        return VG_OK;
    for (size_t at = 0; at < bytes; at += PIECE)
        VG_MPI_WAIT(comm, MPI_Ibcast((char *)data + at, piece_size(bytes - at), MPI_BYTE, root, comm->world, request), "broadcasting");
    comm->traffic.collectives++;
    comm->traffic.bytes += comm->rank == root ? (int64_t)bytes : 0;
    return VG_OK;
}

vg_status vg_comm_send(vg_comm *comm, const void *data, size_t bytes, int to)
{
    for (size_t at = 0; at < bytes; at += PIECE) {
        VG_MPI_WAIT(comm, MPI_Isend((const char *)data + at, piece_size(bytes - at), MPI_BYTE, to, TAG, comm->world, request), "sending");
        comm->traffic.messages++;
    }
    comm->traffic.bytes += (int64_t)bytes;
    return VG_OK;
}

vg_status vg_comm_receive(vg_comm *comm, void *data, size_t bytes, int from)
{
    for (size_t at = 0; at < bytes; at += PIECE)
        VG_MPI_WAIT(comm, MPI_Irecv((char *)data + at, piece_size(bytes - at), MPI_BYTE, from, TAG, comm->world, request), "receiving");
    return VG_OK;
}

vg_status vg_comm_total(const vg_comm *comm, const size_t *sizes, size_t *total)
{
    *total = 0;
    for (int r = 0; r < comm->ranks; r++)
        if (__builtin_add_overflow(*total, sizes[r], total) || *total > PTRDIFF_MAX)
            return vg_fail(VG_NO_MEMORY, "the pieces of %d ranks are together more than any memory holds", comm->ranks);
    return VG_OK;
}

vg_status vg_comm_sizes(vg_comm *comm, size_t bytes, size_t *sizes)
{
    uint64_t size = bytes;
    _Static_assert(sizeof(size_t) == sizeof size, "sizes travel as 64 bits");
    sizes[comm->rank] = bytes;
    if (comm->ranks == 1)
        return VG_OK;
    VG_MPI_WAIT(comm, MPI_Iallgather(&size, 1, MPI_UINT64_T, sizes, 1, MPI_UINT64_T, comm->world, request), "gathering sizes");
    comm->traffic.collectives++;
    return VG_OK;
}

/* Room for the pieces of all ranks; the same answer on every rank. */
static vg_status make_room(const vg_comm *comm, const size_t *sizes, bool wanted, void **all, size_t *total)
{
    VG_TRY(vg_comm_total(comm, sizes, total));
    return wanted ? vg_allocate(all, (int64_t)*total, 1, "bytes from all ranks") : VG_OK;
}

static vg_status collect(vg_comm *comm, const void *mine, const size_t *sizes, int root, char *all)
{
    if (comm->rank != root)
        return vg_comm_send(comm, mine, sizes[comm->rank], root);
    for (int r = 0; r < comm->ranks; all += sizes[r++]) {
        if (r != root)
            VG_TRY(vg_comm_receive(comm, all, sizes[r], r));
        else if (sizes[r] > 0 && all != NULL)
            memcpy(all, mine, sizes[r]);
    }
    return VG_OK;
}

static vg_status gather(vg_comm *comm, const void *mine, size_t bytes, int root, bool everywhere, void **all, size_t *sizes)
{
    size_t total;
    *all = NULL;
    VG_TRY(vg_comm_sizes(comm, bytes, sizes));
    vg_status status;
    VG_AGREE_GO(comm, make_room(comm, sizes, everywhere || comm->rank == root, all, &total));
    VG_GO(collect(comm, mine, sizes, root, *all));
    if (everywhere)
        status = vg_comm_broadcast(comm, *all, total, root);
done:
    if (status != VG_OK) {
        free(*all);
        *all = NULL;
    }
    return status;
}

vg_status vg_comm_gather(vg_comm *comm, const void *mine, size_t bytes, int root, void **all, size_t *sizes)
{
    return gather(comm, mine, bytes, root, false, all, sizes);
}

vg_status vg_comm_allgather(vg_comm *comm, const void *mine, size_t bytes, void **all, size_t *sizes)
{
    return gather(comm, mine, bytes, 0, true, all, sizes);
}

/* Where in the gathered parts each index lies: place[index]. Errors: VG_DEFECT unless every index is there once. */
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

vg_status vg_comm_places(vg_comm *comm, int64_t total, int64_t count, const int64_t *indices, int64_t **place)
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

static void add_in_order(const double *parts, const int64_t *place, int64_t total, int64_t width, double *sum)
{
    for (int64_t j = 0; j < width; j++)
        sum[j] = total > 0 ? parts[place[0] * width + j] : 0.0;
    for (int64_t i = 1; i < total; i++)
        for (int64_t j = 0; j < width; j++)
            sum[j] += parts[place[i] * width + j];
}

/* Columns first .. first + width - 1 of all parts to rank 0, added there. */
static vg_status sum_slice(vg_comm *comm, const int64_t *place, int64_t total, int64_t length, int64_t count, const double *parts,
                           int64_t first, int64_t width, double *mine, size_t *sizes, double *sum)
{
    void *all;
    for (int64_t i = 0; i < count; i++)
        memcpy(mine + i * width, parts + i * length + first, (size_t)width * sizeof *mine);
    VG_TRY(vg_comm_gather(comm, mine, (size_t)(count * width) * sizeof *mine, 0, &all, sizes));
    if (comm->rank == 0)
        add_in_order(all, place, total, width, sum + first);
    free(all);
    return VG_OK;
}

vg_status vg_comm_ordered_sum(vg_comm *comm, int64_t total, int64_t length, int64_t count, const int64_t *indices, const double *parts,
                              double *sum)
{
    vg_status status;
    int64_t *place = NULL, slice = SLICE_BYTES / 8 / (total > 0 ? total : 1);
    size_t *sizes = NULL;
    double *mine = NULL;
    slice = slice < 1 ? 1 : slice > length ? length : slice;
    VG_TRY(vg_comm_places(comm, total, count, indices, &place));
    status = VG_NEW(&sizes, comm->ranks, "ranks");
    if (status == VG_OK)
        status = VG_NEW(&mine, count * slice, "numbers of a sum");
    VG_AGREE_GO(comm, status);
    for (int64_t first = 0; first < length; first += slice)
        VG_GO(
            sum_slice(comm, place, total, length, count, parts, first, length - first < slice ? length - first : slice, mine, sizes, sum));
    status = vg_comm_broadcast(comm, sum, (size_t)length * sizeof *sum, 0);
done:
    free(place);
    free(sizes);
    free(mine);
    return status;
}
