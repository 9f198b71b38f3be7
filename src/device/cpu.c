/* cpu: the CPU back end's handle, memory and table. The operations are in cpu_*.c, a family a file. */
#include <cblas.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "cpu.h"
#include "cpu_ridge.h"

/* Cores that a cgroup's quota leaves (Linux' "cpu.max": microseconds, or "max", and the period), or INT32_MAX. */
static int64_t quota_cores(void)
{
    FILE *file = fopen("/sys/fs/cgroup/cpu.max", "r");
    if (file == NULL)
        return INT32_MAX;
    long long quota = 0, period = 0;
    int fields = fscanf(file, "%lld %lld", &quota, &period);
    fclose(file);
    return fields == 2 && quota > 0 && period > 0 ? vg_max(1, (quota + period / 2) / period) : INT32_MAX;
}

static int usable_cores(void)
{
    cpu_set_t set;
    int64_t cores = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
    return (int)vg_max(1, vg_min(cores, quota_cores()));
}

static vg_status allocate(vg_device *d, size_t bytes, void **memory)
{
    (void)d;
    *memory = NULL;
    if (bytes > PTRDIFF_MAX - 64)
        return vg_fail(VG_NO_MEMORY, "%zu bytes are more than any memory holds", bytes);
    size_t rounded = (bytes + 63) / 64 * 64;
    *memory = aligned_alloc(64, rounded > 0 ? rounded : 64);
    if (*memory == NULL)
        return vg_fail(VG_NO_MEMORY, "no memory for the device: %.1f MB more are needed", (double)bytes / 1e6);
#ifdef VG_SANITIZE
    memset(*memory, 0xFF, rounded); /* not-a-number: what is read before it was written shows */
#endif
    return VG_OK;
}

static void release(vg_device *d, void *memory)
{
    (void)d;
    free(memory);
}

static vg_status up(vg_device *d, void *to, const void *host, size_t bytes)
{
    (void)d;
    if (bytes > 0)
        memcpy(to, host, bytes);
    return VG_OK;
}

static vg_status down(vg_device *d, void *host, const void *from, size_t bytes)
{
    (void)d;
    if (bytes > 0)
        memcpy(host, from, bytes);
    return VG_OK;
}

static vg_status synchronise(vg_device *d)
{
    (void)d;
    return VG_OK;
}

/* The host's memory is this device's own. */
static vg_status nothing_ahead(vg_device *d, const vg_ridge_center *c)
{
    (void)d;
    (void)c;
    return VG_OK;
}

static const vg_device_ops ops = {
    .alloc = allocate,
    .free = release,
    .up = up,
    .down = down,
    .copy = vg_cpu_copy,
    .fill = vg_cpu_fill,
    .sync = synchronise,
    .gemm = vg_cpu_gemm,
    .axpby = vg_cpu_axpby,
    .hadamard = vg_cpu_hadamard,
    .add_row = vg_cpu_add_row,
    .column_sum = vg_cpu_column_sum,
    .scale_rows = vg_cpu_scale_rows,
    .gather_rows = vg_cpu_gather_rows,
    .scatter_add_rows = vg_cpu_scatter_add_rows,
    .rotate = vg_cpu_rotate,
    .norm = vg_cpu_norm,
    .norm_vjp = vg_cpu_norm_vjp,
    .norm_jvp = vg_cpu_norm_jvp,
    .softmax = vg_cpu_softmax,
    .softmax_vjp = vg_cpu_softmax_vjp,
    .softmax_jvp = vg_cpu_softmax_jvp,
    .act = vg_cpu_act,
    .act_vjp = vg_cpu_act_vjp,
    .act_jvp = vg_cpu_act_jvp,
    .target = vg_cpu_target,
    .interpolate = vg_cpu_interpolate,
    .accumulate = vg_cpu_accumulate,
    .reduce = vg_cpu_reduce,
    .eigh = vg_cpu_eigh,
    .ridge_center = vg_cpu_ridge_center,
    .ridge_ahead = nothing_ahead,
    .ridge_spread = vg_cpu_ridge_spread,
    .ridge_combine = vg_cpu_ridge_combine,
    .ridge_join = vg_cpu_ridge_join,
    .ridge_score = vg_cpu_ridge_score,
    .ridge_choose = vg_cpu_ridge_choose,
    .ridge_quadratic = vg_cpu_ridge_quadratic,
};

static void close_cpu(vg_device *device)
{
    free(device->state);
    free(device);
}

vg_status vg_cpu_open(int threads, vg_device **device)
{
    vg_cpu *cpu;
    VG_TRY(VG_NEW(&cpu, 1, "the CPU back end"));
    cpu->backend.close = close_cpu;
    vg_status status = VG_NEW(device, 1, "the CPU back end");
    if (status != VG_OK) {
        free(cpu);
        return status;
    }
    openblas_set_num_threads(1); /* the parallelism is ours: over pieces */
    (*device)->ops = &ops;
    (*device)->state = cpu;
    (*device)->host = true;
    (*device)->threads = threads > 0 ? threads : usable_cores();
    snprintf((*device)->name, sizeof(*device)->name, "cpu (%s kernels, %d thread%s)", vg_device_blas_core(), (*device)->threads,
             (*device)->threads == 1 ? "" : "s");
    return VG_OK;
}
