/* What the files of this room share: the handle, and the one way from MPI's codes to a status. */
#ifndef VOXGRAD_COMM_MPI_H
#define VOXGRAD_COMM_MPI_H

#include <mpi.h>

#include "voxgrad/comm.h"

struct vg_comm {
    int rank, ranks, local_rank, local_ranks;
    MPI_Comm world; /* MPI_COMM_NULL: this process alone, no call to MPI ever */
};

/* VG_OK, or VG_NO_DEVICE with MPI's own words. */
vg_status vg_mpi_status(int code, const char *what);
#define VG_MPI(call, what) VG_TRY(vg_mpi_status((call), (what)))

#endif
