/* comm: several processes (ranks) as one. MPI behind one handle; no other room includes mpi.h.
 *
 * "Collective" means: every rank calls it, in the same order, with arguments that agree where the comment says so. Every
 * collective call here returns the same status and leaves the same message on every rank: no rank goes on alone, none hangs.
 * On one rank all of it works without a message being sent. One thread calls (the one that started). MPI's own failures are
 * VG_NO_DEVICE: the wires are a resource. */
#ifndef VOXGRAD_COMM_H
#define VOXGRAD_COMM_H

#include "voxgrad/base.h"
#include "voxgrad/device.h"

typedef struct vg_comm vg_comm;

/* ---- start and end ----------------------------------------------------------------------------------------------- */

/* Starts MPI (once a process; under mpirun, srun, or alone without either) and takes all its ranks. Collective.
 * Nothing else in voxgrad starts MPI: what does not call this (`--help`, `check`, `status`) needs none.
 * Errors: VG_DEFECT (started twice), VG_NO_DEVICE. */
vg_status vg_comm_start(vg_comm **comm);

/* This process alone, without MPI, even under mpirun. Any number of them. Not collective. */
vg_status vg_comm_alone(vg_comm **comm);

/* Ends what start began (MPI cannot be started again in this process), frees the handle; NULL is nothing. Collective.
 * Open files of the store are closed before. */
void vg_comm_finish(vg_comm *comm);

/* Ends this process and, under MPI, all others, at once: for main(), where a rank fails while the others cannot be reached by
 * vg_comm_agree. Not collective; does not return. */
_Noreturn void vg_comm_abort(vg_comm *comm, int exit_code);

int vg_comm_rank(const vg_comm *comm); /* 0 .. ranks - 1 */
int vg_comm_ranks(const vg_comm *comm);
int vg_comm_local_rank(const vg_comm *comm); /* among the ranks that share this node's memory */
int vg_comm_local_ranks(const vg_comm *comm);

/* What carries messages: "Open MPI v4.1.4", and ", NCCL 2.18.5" where GPUs are linked. Not collective. */
void vg_comm_library(const vg_comm *comm, char *text, size_t size);

/* ---- agreement --------------------------------------------------------------------------------------------------- */

/* What happened to one happened to all: VG_OK where every rank brings VG_OK; else, on every rank, the status and the message
 * of the lowest rank that failed (of one that was merely asked to stop where none failed). To be called before a collective call that a
 * failing rank would not reach. Collective. */
vg_status vg_comm_agree(vg_comm *comm, vg_status mine);

/* Passes up a failure of this or any other rank, as VG_TRY and VG_GO do a call's own. */
#define VG_AGREE(comm, call)                                                    \
    do {                                                                        \
        vg_status vg_mine_ = (call), vg_all_ = vg_comm_agree((comm), vg_mine_); \
        vg_all_ = vg_all_ != VG_OK ? vg_all_ : vg_mine_;                        \
        if (vg_all_ != VG_OK)                                                   \
            return vg_all_;                                                     \
    } while (0)
#define VG_AGREE_GO(comm, call)                       \
    do {                                              \
        vg_status vg_mine_ = (call);                  \
        status = vg_comm_agree((comm), vg_mine_);     \
        status = status != VG_OK ? status : vg_mine_; \
        if (status != VG_OK)                          \
            goto done;                                \
    } while (0)

/* The border of a block of work: has this rank or any other been asked to stop (vg_interrupted), or failed? Tells the others, answers their
 * questions whether this rank lives. Not collective; costs nothing where nobody asked. Errors: VG_INTERRUPTED, which a failure of another
 * rank outweighs at the next vg_comm_agree. */
vg_status vg_comm_border(vg_comm *comm);

/* How long a rank may neither reach a border nor wait for the others before those that wait name it and end all; s, 0: for ever (so it
 * is until this is called). Not collective. */
void vg_comm_set_stall(vg_comm *comm, double seconds);

/* What went out from this rank so far, for those who count: messages, bytes, collective calls; and borders, a block of work each. */
typedef struct {
    int64_t messages, bytes, collectives, borders;
} vg_comm_traffic;
vg_comm_traffic vg_comm_get_traffic(const vg_comm *comm);

/* Waits until all ranks are here. Collective. */
vg_status vg_comm_barrier(vg_comm *comm);

/* ---- exchange ---------------------------------------------------------------------------------------------------- */

/* `bytes` bytes of `root` to all ranks, any size; `bytes` and `root` agree. Collective. */
vg_status vg_comm_broadcast(vg_comm *comm, void *data, size_t bytes, int root);

/* The pieces of all ranks, of unequal sizes, one after another in the order of ranks.
 *   mine   `bytes` bytes (NULL where 0)
 *   all    new memory, to be given to free(); of gather: on `root` alone, NULL elsewhere
 *   sizes  (ranks), caller's memory, filled on every rank
 * Collective. Errors: VG_NO_MEMORY. */
vg_status vg_comm_gather(vg_comm *comm, const void *mine, size_t bytes, int root, void **all, size_t *sizes);
vg_status vg_comm_allgather(vg_comm *comm, const void *mine, size_t bytes, void **all, size_t *sizes);

/* ---- exchange of memory of a device --------------------------------------------------------------------------------- */

/* Lends the ranks' devices to the calls below, until vg_comm_detach. They go by NCCL where every rank drives a GPU of its own (host, PCI
 * bus id), else by MPI through host memory (pinned, for a GPU); rank 0 says so in one line where GPUs are driven and NCCL is not used. What
 * arrives is the same bytes either way. A call waits for what was asked of the device before, and has ended on this rank when it returns.
 * Collective. Errors: VG_DEFECT (attached twice), VG_NO_MEMORY. */
vg_status vg_comm_attach(vg_comm *comm, vg_device *device);

/* Before the device is closed, after a failure too; nothing where nothing is attached. Collective. */
void vg_comm_detach(vg_comm *comm);

/* As vg_comm_broadcast and vg_comm_gather, but `data`, `mine` and `all` (to be given to the device's free) are memory of the attached
 * device; sizes are the host's. Collective. Errors: those, and VG_DEFECT (nothing attached), VG_NO_DEVICE: a failure of one rank's device
 * or of NCCL, or no answer for VOXGRAD_LINK_TIMEOUT seconds (environment; 300), is the same status on all ranks, and what is moved
 * afterwards goes by MPI. */
vg_status vg_comm_device_broadcast(vg_comm *comm, void *data, size_t bytes, int root);
vg_status vg_comm_device_gather(vg_comm *comm, const void *mine, size_t bytes, int root, void **all, size_t *sizes);

/* sum[j] = part_0[j] + part_1[j] + ... + part_(total-1)[j], added in this order whatever rank holds which part: the result does not depend
 * on the number of ranks, bit by bit. The parts are moved, then added by rank 0's device.
 *   total    number of parts on all ranks together, length: numbers in a part; both agree
 *   indices  (count) which parts this rank holds, the host's; every index below `total` is on exactly one rank
 *   parts    (count, length) row-major, of the device
 *   sum      (length) on every rank, of the device
 * Collective. Errors: those, and VG_DEFECT (an index missing, twice or out of range). */
vg_status vg_comm_device_ordered_sum(vg_comm *comm, int64_t total, int64_t length, int64_t count, const int64_t *indices,
                                     const double *parts, double *sum);

#endif
