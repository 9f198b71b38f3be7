/* emu: what the files of the emulated GPU share (cuda.md, "EMU"). It is a test of the logic of src/device/cuda*.c, src/comm/nccl.c and
 * kernels/, and no GPU. Read from the environment, when the first call is made:
 *   VG_EMU_DEVICES  devices there are (1)             VG_EMU_MEMORY  bytes each has (16 GiB)
 *   VG_EMU_ORDER    forward (default): threads and blocks in order, every stream's work done at once; backward: the other way round, and
 *                   a stream's work left until somebody waits for it. Read again for every stream that is made.
 *   VG_EMU_FAULT    WHAT:N or WHAT:N@DEVICE: the N-th (from 1) call of a kind fails: alloc, launch, solver (info says it did not
 *                   converge), solver-nan (results are not numbers), vanish (this and every later call of the runtime)
 *                   nccl (the N-th of NCCL's calls that begin something), nccl-hang (it never ends, on this rank)
 *   VG_EMU_NCCL_SEED  of the order in which ncclAllReduce adds (1)
 *   VG_EMU_REPORT   a file to which, at the end, one line is added: the most bytes of device memory that were held at once */
#ifndef EMU_H
#define EMU_H

#include <functional>

#include "cuda_runtime_api.h"

/* The address at which the emulation itself reaches device memory: NULL stays; *bad where [address, address + bytes) is not all in one
 * live allocation. */
void *emu_reach(const void *address, size_t bytes, bool *bad);

/* Whether the emulation has device memory at this address (one of its own, of emu_reach). */
bool emu_is_device_memory(const void *address);

/* Races that were found in the launch that runs (race.cpp); always 0 but in the race build. */
unsigned emu_races() __attribute__((weak));

/* Whether host memory is of cudaHostAlloc. */
bool emu_is_pinned(const void *host);

/* Work of a library's call on a stream; its result, if it is not success, is what later calls of the runtime return. */
cudaError_t emu_enqueue(cudaStream_t stream, const std::function<cudaError_t()> &work);
bool emu_runs_backward(cudaStream_t stream);

/* What later calls return: the device is lost. */
cudaError_t emu_sticky_error();
void emu_set_sticky_error(cudaError_t error);
int emu_current_device();
int emu_device_count();

/* Whether this call is the one that is to fail (VG_EMU_FAULT). */
bool emu_fault(const char *kind);

/* Runs all blocks of a launch; false where threads did not meet at a barrier (it says so on standard error). */
bool emu_run_blocks(const char *name, bool fibers, bool backward, const std::function<void()> &thread);

#endif
