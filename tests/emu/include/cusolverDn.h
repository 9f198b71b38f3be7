/* cuSOLVER as the emulation has it (tests/emu/cusolver.cpp): the part of NVIDIA's header of this name that voxgrad uses. */
#ifndef EMU_CUSOLVERDN_H
#define EMU_CUSOLVERDN_H

#include "cublas_v2.h"

typedef struct cusolverDnContext *cusolverDnHandle_t;
typedef struct cusolverDnParams *cusolverDnParams_t;
typedef enum { EMU_SOLVER_STATUS(EMU_VALUE) } cusolverStatus_t;
typedef enum { EMU_SOLVER_MODES(EMU_VALUE) } cusolverEigMode_t;

#include "emu_solver_calls.h"

#endif
