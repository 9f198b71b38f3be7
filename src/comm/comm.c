/* comm: start and end of MPI, who is who, and agreement on failures. */
#include <stdlib.h>
#include <string.h>

#include "comm_mpi.h"

vg_status vg_mpi_status(int code, const char *what)
{
    if (code == MPI_SUCCESS)
        return VG_OK;
    char words[MPI_MAX_ERROR_STRING] = "";
    int length = 0;
    MPI_Error_string(code, words, &length);
    return vg_fail(VG_NO_DEVICE, "MPI: %s failed: %s", what, words);
}

/* Which of the ranks that share this node's memory is this one, and how many are they? */
static vg_status find_neighbours(vg_comm *comm)
{
    MPI_Comm node;
    VG_MPI(MPI_Comm_split_type(comm->world, MPI_COMM_TYPE_SHARED, comm->rank, MPI_INFO_NULL, &node), "looking for this node's ranks");
    MPI_Comm_rank(node, &comm->local_rank);
    MPI_Comm_size(node, &comm->local_ranks);
    VG_MPI(MPI_Comm_free(&node), "looking for this node's ranks");
    return VG_OK;
}

static vg_status join_world(vg_comm *comm)
{
    VG_MPI(MPI_Comm_dup(MPI_COMM_WORLD, &comm->world), "making a communicator");
    VG_MPI(MPI_Comm_set_errhandler(comm->world, MPI_ERRORS_RETURN), "making a communicator");
    MPI_Comm_rank(comm->world, &comm->rank);
    MPI_Comm_size(comm->world, &comm->ranks);
    VG_TRY(vg_watch_begin(comm));
    return find_neighbours(comm);
}

vg_status vg_comm_start(vg_comm **comm)
{
    int started = 0, level;
    *comm = NULL;
    MPI_Initialized(&started);
    if (started)
        return vg_fail(VG_DEFECT, "MPI is started twice");
    VG_MPI(MPI_Init_thread(NULL, NULL, MPI_THREAD_FUNNELED, &level), "starting");
    VG_TRY(vg_comm_alone(comm));
    vg_status status = join_world(*comm);
    if (status != VG_OK) {
        vg_comm_finish(*comm);
        *comm = NULL;
    }
    return status;
}

vg_status vg_comm_alone(vg_comm **comm)
{
    VG_TRY(VG_NEW(comm, 1, "communicators"));
    **comm = (vg_comm){.ranks = 1, .local_ranks = 1, .world = MPI_COMM_NULL, .control = MPI_COMM_NULL};
    return VG_OK;
}

void vg_comm_finish(vg_comm *comm)
{
    if (comm == NULL)
        return;
    if (comm->world != MPI_COMM_NULL) {
        vg_watch_end(comm);
        MPI_Comm_free(&comm->world);
        MPI_Finalize();
    }
    free(comm);
}

_Noreturn void vg_comm_abort(vg_comm *comm, int exit_code)
{
    if (comm != NULL && comm->world != MPI_COMM_NULL)
        MPI_Abort(comm->world, exit_code);
    _Exit(exit_code);
}

int vg_comm_rank(const vg_comm *comm)
{
    return comm->rank;
}

int vg_comm_ranks(const vg_comm *comm)
{
    return comm->ranks;
}

int vg_comm_local_rank(const vg_comm *comm)
{
    return comm->local_rank;
}

int vg_comm_local_ranks(const vg_comm *comm)
{
    return comm->local_ranks;
}

/* MPI says it in words of its own: "Open MPI v4.1.4, package: ...", "MPICH Version:  4.0.2\nMPICH Release date: ...". */
void vg_comm_library(const vg_comm *comm, char *text, size_t size)
{
    char version[MPI_MAX_LIBRARY_VERSION_STRING];
    int length, nccl = comm->link != NULL ? comm->ops->version() : 0;
    MPI_Get_library_version(version, &length); /* allowed before MPI starts */
    version[strcspn(version, ",\n")] = '\0';
    int used = snprintf(text, size, "%s", version);
    if (nccl > 0 && used > 0 && (size_t)used < size)
        snprintf(text + used, size - (size_t)used, ", NCCL %d.%d.%d", nccl / 10000, nccl / 100 % 100, nccl % 100);
}

vg_status vg_comm_agree(vg_comm *comm, vg_status mine)
{
    struct {
        int32_t status;
        char message[2048];
    } fault;
    if (comm->ranks == 1)
        return mine;
    int none = 2 * comm->ranks, first = mine == VG_OK ? none : mine == VG_INTERRUPTED ? comm->ranks + comm->rank : comm->rank;
    if (mine != VG_OK)
        vg_watch_tell_stop(comm);
    VG_MPI_WAIT(comm, MPI_Iallreduce(MPI_IN_PLACE, &first, 1, MPI_INT, MPI_MIN, comm->world, request), "agreeing");
    comm->traffic.collectives++;
    if (first == none)
        return VG_OK;
    first %= comm->ranks;
    comm->settled++;
    memset(&fault, 0, sizeof fault);
    fault.status = (int32_t)mine;
    snprintf(fault.message, sizeof fault.message, "%s", vg_message());
    VG_MPI_WAIT(comm, MPI_Ibcast(&fault, (int)sizeof fault, MPI_BYTE, first, comm->world, request), "agreeing");
    return vg_fail((vg_status)fault.status, "%s", fault.message);
}

vg_comm_traffic vg_comm_get_traffic(const vg_comm *comm)
{
    return comm->traffic;
}

vg_status vg_comm_barrier(vg_comm *comm)
{
    if (comm->ranks == 1)
        return VG_OK;
    VG_MPI_WAIT(comm, MPI_Ibarrier(comm->world, request), "waiting for the other ranks");
    comm->traffic.collectives++;
    return VG_OK;
}
