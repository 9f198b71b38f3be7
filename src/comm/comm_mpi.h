/* What the files of this room share: the handle, and the one way from MPI's codes to a status. */
#ifndef VOXGRAD_COMM_MPI_H
#define VOXGRAD_COMM_MPI_H

#include <mpi.h>

#include "link.h"
#include "voxgrad/comm.h"

enum { STAGE_BYTES = 1 << 24 }; /* of host memory, through which a device's memory goes without a link */

struct vg_comm {
    int rank, ranks, local_rank, local_ranks;
    MPI_Comm world; /* MPI_COMM_NULL: this process alone, no call to MPI ever */

    /* what vg_comm_attach found (attach.c) */
    vg_device *device;
    const vg_link_ops *ops; /* of the device's module; NULL: a device without links */
    vg_link *link;          /* NULL: through the host */
    void *stage;            /* STAGE_BYTES of host memory, pinned by `ops` where there are any */
    MPI_Request *told;      /* (ranks) messages of a failure (wait.c) */
    double patience;        /* s to wait for an operation of the link */

    /* watch.c */
    MPI_Comm control;     /* words between ranks that no collective call waits for */
    double stall, *heard; /* s; (ranks) when each was last heard of */
    int64_t settled;      /* failures that all ranks agreed on; */
    int64_t asked, stop;  /* before which one this rank asked the others, was asked, to stop */
    vg_comm_traffic traffic;
};

/* VG_OK, or VG_NO_DEVICE with MPI's own words. */
vg_status vg_mpi_status(int code, const char *what);
#define VG_MPI(call, what) VG_TRY(vg_mpi_status((call), (what)))

/* ---- exchange.c --------------------------------------------------------------------------------------------------- */

vg_status vg_comm_sizes(vg_comm *comm, size_t bytes, size_t *sizes);              /* of all ranks */
vg_status vg_comm_total(const vg_comm *comm, const size_t *sizes, size_t *total); /* VG_NO_MEMORY: overflow */
vg_status vg_comm_send(vg_comm *comm, const void *data, size_t bytes, int to);    /* of any size */
vg_status vg_comm_receive(vg_comm *comm, void *data, size_t bytes, int from);

/* ---- attach.c, wait.c --------------------------------------------------------------------------------------------- */

/* Where a rank's device is; bus "" where it has no links. */
typedef struct {
    char host[256], bus[VG_LINK_BUS];
} vg_link_place;

/* Whether every rank drives a GPU of its own, so that links can be made; else why not, in words ("" where no rank drives any). */
bool vg_link_places_differ(const vg_link_place *places, int ranks, char *why, size_t size);

/* Waits for the operation that this rank started with the status `started`: the same status on all ranks. After a failure the link is given
 * up on all of them. Collective. */
vg_status vg_link_wait(vg_comm *comm, vg_status started);

/* ---- watch.c ------------------------------------------------------------------------------------------------------ */

/* Begins and ends the words between ranks. Collective. */
vg_status vg_watch_begin(vg_comm *comm);
void vg_watch_end(vg_comm *comm);

/* Waits for a request without burning the core, answering the others meanwhile; ends all ranks when one is silent for too long. */
vg_status vg_watch_wait(vg_comm *comm, MPI_Request *request, const char *what);

/* Takes in what the others have said since, and answers them. */
void vg_watch_listen(vg_comm *comm);

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
