/* interrupt: a wish to stop, as a signal brings it. The handler sets a flag and no more; whoever works asks at the borders of blocks. */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>

#include "voxgrad/base.h"

static volatile sig_atomic_t caught;

static void note(int number)
{
    caught = number;
}

void vg_interrupt_catch(void)
{
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = note;
    action.sa_flags = SA_RESTART;
    sigaction(SIGUSR1, &action, NULL);
    action.sa_flags = (int)(SA_RESTART | SA_RESETHAND); /* a second one ends at once */
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    if (getenv("OMPI_COMM_WORLD_SIZE") != NULL || getenv("PMIX_RANK") != NULL)
        prctl(PR_SET_PDEATHSIG, SIGKILL); /* mpirun or slurmstepd killed: nobody would end this rank */
}

const char *vg_interrupted(void)
{
    return caught == 0 ? NULL : caught == SIGUSR1 ? "SIGUSR1" : caught == SIGTERM ? "SIGTERM" : "SIGINT";
}
