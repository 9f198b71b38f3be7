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

/* Runs one thread of a kernel that is launched with fibers, else all threads of a block. */
typedef std::function<void()> emu_work;
cudaError_t emu_launch(const char *name, bool fibers, bool bad, dim3 grid, dim3 block, cudaStream_t stream, const emu_work &work);
extern uint32_t emu_thread_number;
extern bool emu_backward;

/* `call` calls the kernel by its name, so that the compiler sees the loop and what is in it. */
template <bool FIBERS, class... P, class C, class... A>
cudaError_t emu_launch_kernel(const char *name, void (*)(P...), C call, dim3 grid, dim3 block, cudaStream_t stream, A... values)
{
    bool bad = false;
    std::tuple<P...> arguments{emu_argument<P>(static_cast<P>(values), &bad)...};
    if (FIBERS)
        return emu_launch(name, true, bad, grid, block, stream, [=] { std::apply(call, arguments); });
    return emu_launch(name, false, bad, grid, block, stream, [=] {
        const uint32_t threads = block.x * block.y * block.z;
        for (uint32_t i = 0; i < threads; i++) {
            uint32_t t = emu_thread_number = emu_backward ? threads - 1 - i : i;
            threadIdx = dim3(t % block.x, t / block.x % block.y, t / block.x / block.y);
            std::apply(call, arguments);
        }
    });
}

/* Kernels whose threads wait for each other, and those (flat) whose threads do not. */
#define EMU_CALL(kernel) [](auto... arguments) { kernel(arguments...); }
#define VG_LAUNCH(kernel, grid, block, stream, ...) \
    emu_launch_kernel<true>(#kernel, kernel, EMU_CALL(kernel), grid, block, stream, __VA_ARGS__)
#define VG_LAUNCH_FLAT(kernel, grid, block, stream, ...) \
    emu_launch_kernel<false>(#kernel, kernel, EMU_CALL(kernel), grid, block, stream, __VA_ARGS__)

#endif
