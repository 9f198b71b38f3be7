/* bed: the device that the tests of the solver share. */
#ifndef VOXGRAD_TESTS_ENCODING_BED_H
#define VOXGRAD_TESTS_ENCODING_BED_H

#include "device.h"
#include "voxgrad/device.h"

static vg_device *device;

static inline int open_device(void **state)
{
    (void)state;
    return vg_device_open(test_device_spec(), 0, 2, &device) == VG_OK ? 0 : -1;
}

static inline int close_device(void **state)
{
    (void)state;
    vg_device_close(device);
    return 0;
}

#endif
