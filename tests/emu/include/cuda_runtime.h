/* CUDA C++ as the emulation has it: what a kernel's source needs to be compiled by the host's compiler. Threads of a block are fibers
 * (tests/emu/fibers.cpp), blocks run one after another, so that a shared variable is a static one. */
#ifndef EMU_CUDA_RUNTIME_H
#define EMU_CUDA_RUNTIME_H

#include <cstdint>
#include <functional>
#include <math.h>
#include <string.h>
#include <tuple>
#include <type_traits>

#include "cuda_runtime_api.h"

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __shared__ static
#define __launch_bounds__(...)
#define __align__(bytes) __attribute__((aligned(bytes)))

struct dim3 {
    unsigned x, y, z;
    constexpr dim3(unsigned across = 1, unsigned down = 1, unsigned deep = 1) : x(across), y(down), z(deep)
    {
    }
};
extern dim3 threadIdx, blockIdx, blockDim, gridDim;

void __syncthreads();
void __syncwarp(unsigned mask = 0xffffffffu);

/* Leaves `bytes` at `mine` for the warp's other lanes and fetches what lane `from` left. */
void emu_exchange(unsigned mask, void *mine, size_t bytes, unsigned from);
unsigned emu_lane();

template <class T> T __shfl_sync(unsigned mask, T value, int from)
{
    emu_exchange(mask, &value, sizeof value, (unsigned)from % 32u);
    return value;
}

template <class T> T __shfl_xor_sync(unsigned mask, T value, int bits)
{
    emu_exchange(mask, &value, sizeof value, emu_lane() ^ (unsigned)bits);
    return value;
}

/* ---- launches ---- */

/* A kernel's argument: a device address becomes the address the emulation has it at, where it lies in live memory; *bad is set where
 * it does not. Structs are not taken: a pointer in one could not be checked. */
void *emu_device_address(const void *address, bool *bad);

template <class T> T emu_argument(T value, bool *bad)
{
    static_assert(std::is_pointer<T>::value || std::is_arithmetic<T>::value || std::is_enum<T>::value, "kernels take numbers and pointers");
    if constexpr (std::is_pointer<T>::value)
        return (T)emu_device_address((const void *)value, bad);
    else
        return value;
}

/* Runs one thread of a kernel. */
typedef std::function<void()> emu_thread;
cudaError_t emu_launch(const char *name, bool fibers, bool bad, dim3 grid, dim3 block, cudaStream_t stream, const emu_thread &thread);

template <class... P, class... A>
cudaError_t emu_launch_kernel(const char *name, bool fibers, void (*kernel)(P...), dim3 grid, dim3 block, cudaStream_t stream, A... values)
{
    bool bad = false;
    std::tuple<P...> arguments{emu_argument<P>(static_cast<P>(values), &bad)...};
    return emu_launch(name, fibers, bad, grid, block, stream, [kernel, arguments] { std::apply(kernel, arguments); });
}

/* Kernels whose threads wait for each other, and those (flat) whose threads do not. */
#define VG_LAUNCH(kernel, grid, block, stream, ...) emu_launch_kernel(#kernel, true, kernel, grid, block, stream, __VA_ARGS__)
#define VG_LAUNCH_FLAT(kernel, grid, block, stream, ...) emu_launch_kernel(#kernel, false, kernel, grid, block, stream, __VA_ARGS__)

#endif
