/* wait: until an operation of a link has ended on this rank, or has failed on any. A rank that fails tells the others by a message of no
 * bytes, which they look for while they poll: without it they would wait for a neighbour that will never answer. Then all agree over MPI,
 * and after a failure every rank gives its end of the link up. */
#include <sched.h>
#include <time.h>

#include "comm_mpi.h"

enum { FAULT_TAG = 8 };

/* Between polls: a short operation is not slept through, a long one not waited for by a whole core. */
static void rest(int64_t polls)
{
    if (polls < 1000)
        sched_yield();
    else
        nanosleep(&(struct timespec){.tv_nsec = polls < 10000 ? 20000 : 500000}, NULL);
}

/* VG_OK too where another rank has failed: why, it will say when all agree. */
static vg_status poll_until_done(vg_comm *comm)
{
    double began = vg_seconds();
    bool done = false;
    int heard = 0;
    for (int64_t polls = 0; !done && !heard; polls++) {
        VG_TRY(comm->ops->poll(comm->link, &done));
        VG_MPI(MPI_Iprobe(MPI_ANY_SOURCE, FAULT_TAG, comm->world, &heard, MPI_STATUS_IGNORE), "listening to the other ranks");
        if (!done && !heard && vg_seconds() - began > comm->patience)
            return vg_fail(VG_NO_DEVICE, "rank %d: the other ranks' GPUs have not answered for %g s (VOXGRAD_LINK_TIMEOUT)", comm->rank,
                           comm->patience);
        if (!done) {
            vg_watch_listen(comm);
            rest(polls);
        }
    }
    return VG_OK;
}

static vg_status tell_others(vg_comm *comm)
{
    for (int r = 0; r < comm->ranks; r++) {
        comm->told[r] = MPI_REQUEST_NULL;
        if (r != comm->rank)
            VG_MPI(MPI_Isend(NULL, 0, MPI_BYTE, r, FAULT_TAG, comm->world, &comm->told[r]), "telling the other ranks");
    }
    return VG_OK;
}

/* Takes in what was told, so that it is not taken for another failure later. */
static vg_status hear_all(vg_comm *comm, int told)
{
    int tellers = told;
    VG_MPI(MPI_Allreduce(MPI_IN_PLACE, &tellers, 1, MPI_INT, MPI_SUM, comm->world), "agreeing");
    for (int i = told; i < tellers; i++)
        VG_MPI(MPI_Recv(NULL, 0, MPI_BYTE, MPI_ANY_SOURCE, FAULT_TAG, comm->world, MPI_STATUS_IGNORE), "listening to the other ranks");
    if (told)
        VG_MPI(MPI_Waitall(comm->ranks, comm->told, MPI_STATUSES_IGNORE), "telling the other ranks");
    return VG_OK;
}

vg_status vg_link_wait(vg_comm *comm, vg_status started)
{
    vg_status mine = started == VG_OK ? poll_until_done(comm) : started;
    if (mine != VG_OK && tell_others(comm) != VG_OK)
        return VG_NO_DEVICE;
    vg_status status = vg_comm_agree(comm, mine);
    if (status == VG_OK)
        return VG_OK;
    comm->ops->leave(comm->link, false);
    comm->link = NULL;
    vg_status heard = hear_all(comm, mine != VG_OK);
    return heard == VG_OK ? status : heard;
}
