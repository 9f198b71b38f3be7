/* exchange: bytes between ranks, of any size (MPI counts in int: what is larger goes in pieces). */
#include <stdlib.h>
#include <string.h>

#include "comm_mpi.h"

enum { PIECE = 1 << 28, TAG = 7 }; /* bytes a message */

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
