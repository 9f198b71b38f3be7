/* backend: what device.c and a back end know of each other. A back end's `state` begins with a vg_backend; the CUDA back end is a
 * module that is loaded at run time and reaches the program only through the vg_backend_host that it is handed, so that it needs
 * none of the program's symbols and has no message of its own. */
#ifndef VOXGRAD_DEVICE_BACKEND_H
#define VOXGRAD_DEVICE_BACKEND_H

#include "voxgrad/device.h"

typedef struct {
    double flops;                     /* counted since the device was opened */
    void (*close)(vg_device *device); /* frees the state and the device */
    void *module;                     /* of dlopen, or NULL */
} vg_backend;

/* What a module may call. `size` is sizeof(vg_device_ops): a module built for another table refuses. */
typedef struct {
    size_t size;
    vg_status (*fail)(vg_status status, const char *format, ...) __attribute__((format(printf, 2, 3)));
    void (*log)(vg_log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));
} vg_backend_host;

/* The module's one symbol, "vg_cuda_open". gpu: the one asked for, or -1: local_rank modulo the number there is.
 * Errors: VG_NO_DEVICE (no GPU, no driver, one too old; another table), VG_NO_MEMORY. */
typedef vg_status vg_cuda_open_function(const vg_backend_host *host, int gpu, int local_rank, vg_device **device);

vg_status vg_cpu_open(int threads, vg_device **device);

#endif
