/* watch: ranks look after each other. A rank that is asked to stop, or fails, tells the others, who stop at their next block border; a rank
 * that waits asks the others now and then whether they live, and one that answers for too long neither from a border nor from a wait is
 * named, and all end. Waiting sleeps: Open MPI's own waiting would take the core from this node's other ranks. */
#include <stdlib.h>
#include <time.h>

#include "comm_mpi.h"

enum { CONTROL = 9, PATIENT_POLLS = 2000 };
typedef enum { WORD_STOP, WORD_ASK, WORD_HERE } word;

/* A word, and before which agreement on a failure it was said: one that has been settled since asks for nothing more. */
typedef struct {
    int64_t word, settled;
} message;

vg_status vg_watch_begin(vg_comm *comm)
{
    comm->asked = comm->stop = -1;
    VG_MPI(MPI_Comm_dup(comm->world, &comm->control), "making a communicator");
    VG_MPI(MPI_Comm_set_errhandler(comm->control, MPI_ERRORS_RETURN), "making a communicator");
    return VG_NEW(&comm->heard, comm->ranks, "ranks");
}

void vg_watch_end(vg_comm *comm)
{
    if (comm->control != MPI_COMM_NULL)
        MPI_Comm_free(&comm->control);
    free(comm->heard);
    comm->heard = NULL;
}

/* Few bytes, which MPI takes over at once; that a rank is gone is found elsewhere. */
static void say(vg_comm *comm, int to, word what)
{
    const message said = {what, comm->settled};
    MPI_Request request;
    if (MPI_Isend(&said, sizeof said, MPI_BYTE, to, CONTROL, comm->control, &request) == MPI_SUCCESS)
        MPI_Wait(&request, MPI_STATUS_IGNORE);
}

static void say_to_others(vg_comm *comm, word what)
{
    for (int r = 0; r < comm->ranks; r++)
        if (r != comm->rank)
            say(comm, r, what);
}

void vg_watch_tell_stop(vg_comm *comm)
{
    if (comm->asked < comm->settled && comm->world != MPI_COMM_NULL)
        say_to_others(comm, WORD_STOP);
    comm->asked = comm->settled;
}

/* What the others have said since. */
void vg_watch_listen(vg_comm *comm)
{
    for (;;) {
        int there = 0;
        message heard;
        MPI_Status from;
        if (MPI_Iprobe(MPI_ANY_SOURCE, CONTROL, comm->control, &there, &from) != MPI_SUCCESS || !there)
            return;
        if (MPI_Recv(&heard, sizeof heard, MPI_BYTE, from.MPI_SOURCE, CONTROL, comm->control, MPI_STATUS_IGNORE) != MPI_SUCCESS)
            return;
        comm->heard[from.MPI_SOURCE] = vg_seconds();
        if (heard.word == WORD_STOP && heard.settled > comm->stop)
            comm->stop = heard.settled;
        if (heard.word == WORD_ASK)
            say(comm, from.MPI_SOURCE, WORD_HERE);
    }
}

vg_status vg_comm_border(vg_comm *comm)
{
    const char *signal = vg_interrupted();
    comm->traffic.borders++;
    if (comm->ranks > 1)
        vg_watch_listen(comm);
    if (signal != NULL)
        vg_watch_tell_stop(comm);
    if (signal != NULL)
        return vg_fail(VG_INTERRUPTED, "stopped by %s; what is done is kept, and the same command goes on from there", signal);
    return comm->stop >= comm->settled && comm->ranks > 1
               ? vg_fail(VG_INTERRUPTED, "stopped by another rank; what is done is kept, and the same command goes on from there")
               : VG_OK;
}

void vg_comm_set_stall(vg_comm *comm, double seconds)
{
    comm->stall = seconds;
}

/* Ends all ranks. The lowest rank that lives says why. */
static void give_up(vg_comm *comm, int silent, double seconds, const char *what)
{
    int speaker = silent == 0 ? 1 : 0;
    if (comm->rank == speaker)
        vg_log(VG_LOG_ERROR,
               "rank %d has been silent for %.0f s (stall:) while the others wait for it (%s); all ranks end; what is done is "
               "kept, and the same command goes on from there",
               silent, seconds, what);
    else
        nanosleep(&(struct timespec){.tv_sec = 2}, NULL);
    vg_comm_abort(comm, vg_exit_code(VG_INTERRUPTED));
}

/* Is a rank silent since the wait began, or longer? Asks the others, a few times within the limit. */
static void watch_others(vg_comm *comm, double began, double *asked, const char *what)
{
    double now = vg_seconds();
    if (comm->stall <= 0 || now - began < comm->stall / 4)
        return;
    for (int r = 0; r < comm->ranks; r++) {
        double last = comm->heard[r] > began ? comm->heard[r] : began;
        if (r != comm->rank && now - last > comm->stall)
            give_up(comm, r, now - last, what);
    }
    if (now - *asked > comm->stall / 4) {
        say_to_others(comm, WORD_ASK);
        *asked = now;
    }
}

vg_status vg_watch_wait(vg_comm *comm, MPI_Request *request, const char *what)
{
    double began = vg_seconds(), asked = began;
    for (int64_t polls = 0;; polls++) {
        int done = 0;
        VG_MPI(MPI_Test(request, &done, MPI_STATUS_IGNORE), what);
        if (done)
            return VG_OK;
        if (polls < PATIENT_POLLS)
            continue;
        vg_watch_listen(comm);
        watch_others(comm, began, &asked, what);
        nanosleep(&(struct timespec){.tv_nsec = 100000}, NULL); /* a large message moves on by a piece (32 kB) a test */
    }
}
