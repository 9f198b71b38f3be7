/* The CUDA runtime as the emulation has it (tests/emu/memory.cpp, streams.cpp): the part of NVIDIA's header of this name that voxgrad uses.
 */
#ifndef EMU_CUDA_RUNTIME_API_H
#define EMU_CUDA_RUNTIME_API_H

#include <stddef.h>

#include "emu_runtime_values.h"

#define CUDART_VERSION 12060
#define EMU_VALUE(name, value) name = (value),
typedef enum cudaError { EMU_RUNTIME_ERRORS(EMU_VALUE) } cudaError_t;
enum cudaMemcpyKind { EMU_RUNTIME_COPIES(EMU_VALUE) };
#define cudaStreamDefault 0x00
#define cudaStreamNonBlocking 0x01
#define cudaEventDefault 0x00
#define cudaEventDisableTiming 0x02
#define cudaHostAllocDefault 0x00
typedef struct CUstream_st *cudaStream_t;
typedef struct CUevent_st *cudaEvent_t;

struct cudaDeviceProp {
    char name[256];
    size_t totalGlobalMem;
    int major, minor;
};

/* From library_types.h. */
typedef enum libraryPropertyType_t { MAJOR_VERSION, MINOR_VERSION, PATCH_LEVEL } libraryPropertyType;
typedef enum cudaDataType_t { CUDA_R_32F = 0, CUDA_R_64F = 1, CUDA_R_16BF = 14 } cudaDataType;

#include "emu_runtime_calls.h"

#endif
