/* cuBLAS as the emulation has it (tests/emu/cublas.cpp): the part of NVIDIA's header of this name that voxgrad uses. */
#ifndef EMU_CUBLAS_V2_H
#define EMU_CUBLAS_V2_H

#include <stdint.h>

#include "cuda_runtime_api.h"
#include "emu_blas_values.h"

typedef struct cublasContext *cublasHandle_t;
typedef enum { EMU_BLAS_STATUS(EMU_VALUE) } cublasStatus_t;
typedef enum { EMU_BLAS_OPERATIONS(EMU_VALUE) } cublasOperation_t;
typedef enum { EMU_BLAS_FILLS(EMU_VALUE) } cublasFillMode_t;
typedef enum { EMU_BLAS_COMPUTE(EMU_VALUE) } cublasComputeType_t;
typedef enum { EMU_BLAS_ALGORITHMS(EMU_VALUE) } cublasGemmAlgo_t;
#define cublasCreate cublasCreate_v2
#define cublasDestroy cublasDestroy_v2
#define cublasSetStream cublasSetStream_v2
#define cublasSetWorkspace cublasSetWorkspace_v2

#include "emu_blas_calls.h"

#endif
