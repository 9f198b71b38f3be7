/* ranks: begin and end of a test that runs on several ranks, each with the device that VG_DEVICE names (device.h), lent to vg_comm. */
#ifndef VOXGRAD_TESTS_RANKS_H
#define VOXGRAD_TESTS_RANKS_H

#include <stdio.h>

#include "device.h"
#include "voxgrad/comm.h"

static vg_comm *comm;
static vg_device *device;

static bool ranks_begin(void)
{
    vg_status status = vg_comm_start(&comm);
    if (status == VG_OK)
        status = vg_comm_agree(comm, vg_device_open(test_device_spec(), vg_comm_local_rank(comm), 1, &device));
    if (status == VG_OK)
        status = vg_comm_attach(comm, device);
    if (status != VG_OK)
        fprintf(stderr, "%s\n", vg_message());
    return status == VG_OK;
}

/* The program's exit status. */
static int ranks_end(int failures)
{
    if (failures > 0)
        vg_comm_abort(comm, 1); /* the other ranks may wait for ever */
    vg_comm_detach(comm);
    vg_device_close(device);
    vg_comm_finish(comm);
    return 0;
}

#endif
