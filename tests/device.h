/* device: which back end a test that is written once for all of them runs on. */
#ifndef VOXGRAD_TESTS_DEVICE_H
#define VOXGRAD_TESTS_DEVICE_H

#include <stdlib.h>

/* VG_DEVICE ("cuda" in the emulation's build), else the CPU. */
static inline const char *test_device_spec(void)
{
    const char *spec = getenv("VG_DEVICE");
    return spec != NULL && *spec != '\0' ? spec : "cpu";
}

#endif
