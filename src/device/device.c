/* device: opens a back end by its spec. The CPU back end is part of the library; the CUDA one is the module voxgrad_cuda.so, looked
 * for at run time (beside the program, in ../lib/voxgrad, in the folder it was installed to; VOXGRAD_CUDA_MODULE names another
 * file), so that one binary runs on machines with and without CUDA's libraries. */
#include <cblas.h>
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "backend.h"

#ifndef VG_MODULE_FOLDER
#define VG_MODULE_FOLDER "/usr/local/lib/voxgrad"
#endif

enum { PATH_SIZE = 4096 };

/* Folder of the running program, without a slash at its end; "" where it cannot be told. */
static void program_folder(char folder[PATH_SIZE])
{
    ssize_t length = readlink("/proc/self/exe", folder, PATH_SIZE - 1);
    folder[length > 0 ? length : 0] = '\0';
    char *slash = strrchr(folder, '/');
    if (slash != NULL)
        *slash = '\0';
}

/* The places where the module may be, in order; false past the last. */
static bool module_place(int i, char path[PATH_SIZE + 64])
{
    const char *named = getenv("VOXGRAD_CUDA_MODULE");
    char folder[PATH_SIZE];
    program_folder(folder);
    if (named != NULL && *named != '\0')
        return i == 0 && snprintf(path, PATH_SIZE, "%s", named) > 0;
    if (i == 0)
        return snprintf(path, PATH_SIZE + 64, "%s/voxgrad_cuda.so", folder) > 0;
    if (i == 1)
        return snprintf(path, PATH_SIZE + 64, "%s/../lib/voxgrad/voxgrad_cuda.so", folder) > 0;
    return i == 2 && snprintf(path, PATH_SIZE + 64, "%s", VG_MODULE_FOLDER "/voxgrad_cuda.so") > 0;
}

/* NULL, and the message says why, where there is no module that loads. */
static void *load_module(void)
{
    char path[PATH_SIZE + 64];
    for (int i = 0; module_place(i, path); i++) {
        if (access(path, R_OK) != 0)
            continue;
        void *module = dlopen(path, RTLD_NOW | RTLD_LOCAL);
        const char *why = module == NULL ? dlerror() : NULL;
        if (module == NULL)
            vg_fail(VG_NO_DEVICE, "the CUDA back end does not load: %s", why != NULL ? why : path);
        return module;
    }
    vg_fail(VG_NO_DEVICE, "there is no CUDA back end: voxgrad_cuda.so is neither beside the program nor in " VG_MODULE_FOLDER
                          " (-DVOXGRAD_CUDA=ON builds it; VOXGRAD_CUDA_MODULE may name it)");
    return NULL;
}

static vg_status open_cuda(int gpu, int local_rank, vg_device **device)
{
    void *module = load_module();
    if (module == NULL)
        return VG_NO_DEVICE;
    vg_cuda_open_function *open_function;
    *(void **)&open_function = dlsym(module, "vg_cuda_open");
    vg_backend_host host = {.size = sizeof(vg_device_ops), .fail = vg_fail, .log = vg_log};
    vg_status status = open_function != NULL ? open_function(&host, gpu, local_rank, device)
                                             : vg_fail(VG_NO_DEVICE, "voxgrad_cuda.so has no vg_cuda_open: it is not of this version");
    if (status != VG_OK || *device == NULL) {
        dlclose(module);
        return status != VG_OK ? status : vg_fail(VG_DEFECT, "vg_cuda_open gave no device");
    }
    ((vg_backend *)(*device)->state)->module = module;
    return VG_OK;
}

static vg_status open_auto(int local_rank, int threads, vg_device **device)
{
    vg_status status = open_cuda(-1, local_rank, device);
    if (status != VG_NO_DEVICE)
        return status;
    VG_TRY(vg_cpu_open(threads, device));
    vg_log(VG_LOG_INFO, "device: %s; no GPU is used (voxgrad info says why)", (*device)->name);
    vg_log(VG_LOG_DEBUG, "no GPU: %s", vg_message());
    return VG_OK;
}

vg_status vg_device_open(const char *spec, int local_rank, int threads, vg_device **device)
{
    *device = NULL;
    if (threads < 0)
        return vg_fail(VG_INVALID, "%d threads; give a number from 1, or 0 for all cores this process may use", threads);
    if (local_rank < 0)
        return vg_fail(VG_INVALID, "local rank %d is negative", local_rank);
    if (strcmp(spec, "auto") == 0)
        return open_auto(local_rank, threads, device);
    if (strcmp(spec, "cpu") == 0)
        return vg_cpu_open(threads, device);
    if (strcmp(spec, "cuda") == 0)
        return open_cuda(-1, local_rank, device);
    int64_t gpu;
    if (strncmp(spec, "cuda:", 5) == 0 && vg_parse_integer(spec + 5, strlen(spec + 5), &gpu) && gpu >= 0 && gpu <= 4096)
        return open_cuda((int)gpu, local_rank, device);
    return vg_fail(VG_INVALID, "device \"%s\" is unknown; there are auto, cpu, cuda and cuda:N (N counts GPUs from 0)", spec);
}

void vg_device_close(vg_device *device)
{
    if (device == NULL)
        return;
    vg_backend *backend = device->state;
    void *module = backend->module;
    backend->close(device);
    if (module != NULL)
        dlclose(module);
}

vg_status vg_device_allocate(vg_device *device, void **memory, int64_t count, size_t size)
{
    size_t bytes;
    *memory = NULL;
    if (count < 0)
        return vg_fail(VG_DEFECT, "a negative number of elements on the device (%lld)", (long long)count);
    if (__builtin_mul_overflow((size_t)count, size, &bytes))
        return vg_fail(VG_NO_MEMORY, "%lld elements of %zu bytes are more than any device holds", (long long)count, size);
    return device->ops->alloc(device, bytes, memory);
}

double vg_device_flops(const vg_device *device)
{
    return ((const vg_backend *)device->state)->flops;
}

void vg_device_add_flops(vg_device *device, const vg_device *part)
{
    ((vg_backend *)device->state)->flops += vg_device_flops(part);
}

void *vg_device_symbol(const vg_device *device, const char *name)
{
    void *module = ((const vg_backend *)device->state)->module;
    return module != NULL ? dlsym(module, name) : NULL;
}

const char *vg_device_blas_core(void)
{
    return openblas_get_corename();
}

const char *vg_device_blas_version(void)
{
    return openblas_get_config();
}
