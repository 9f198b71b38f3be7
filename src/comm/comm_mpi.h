/* What the files of this room share: the handle, and the one way from MPI's codes to a status. */
#ifndef VOXGRAD_COMM_MPI_H
#define VOXGRAD_COMM_MPI_H

#include <mpi.h>

#include "voxgrad/comm.h"

struct vg_comm {
    int rank, ranks, local_rank, local_ranks;
    MPI_Comm world; /* MPI_COMM_NULL: this process alone, no call to MPI ever */
    /* watch.c */
    MPI_Comm control;            /* words between ranks that no collective call waits for */
    double stall, *heard;        /* s; (ranks) when each was last heard of */
    int64_t settled, told, stop; /* failures that all ranks agreed on; before which one this rank told the others, was told, to stop */
    vg_comm_traffic traffic;
};

/* VG_OK, or VG_NO_DEVICE with MPI's own words. */
vg_status vg_mpi_status(int code, const char *what);
#define VG_MPI(call, what) VG_TRY(vg_mpi_status((call), (what)))

/* Begins and ends the words between ranks. Collective. */
vg_status vg_watch_begin(vg_comm *comm);
void vg_watch_end(vg_comm *comm);

/* Waits for a request without burning the core, answering the others meanwhile; ends all ranks when one is silent for too long. */
vg_status vg_watch_wait(vg_comm *comm, MPI_Request *request, const char *what);

/* Begins a call of MPI that gives a request, and waits for it. */
#define VG_MPI_WAIT(comm, call, what)                   \
    do {                                                \
        MPI_Request request_;                           \
        MPI_Request *request = &request_;               \
        VG_MPI(call, what);                             \
        VG_TRY(vg_watch_wait((comm), request, (what))); \
    } while (0)

/* Tells the other ranks to stop at their next border. */
void vg_watch_tell_stop(vg_comm *comm);

#endif
