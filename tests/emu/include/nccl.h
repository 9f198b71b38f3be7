/* NCCL as the emulation has it (tests/emu/nccl.cpp): the part of NVIDIA's header of this name that voxgrad uses. */
#ifndef EMU_NCCL_H
#define EMU_NCCL_H

#include <limits.h>
#include <stddef.h>

#include "cuda_runtime_api.h"
#include "emu_nccl_values.h"

typedef struct ncclComm *ncclComm_t;
#define NCCL_UNIQUE_ID_BYTES 128
typedef struct {
    char internal[NCCL_UNIQUE_ID_BYTES];
} ncclUniqueId;
typedef enum { EMU_NCCL_RESULTS(EMU_VALUE) } ncclResult_t;
typedef enum { EMU_NCCL_TYPES(EMU_VALUE) } ncclDataType_t;
typedef enum { EMU_NCCL_OPERATIONS(EMU_VALUE) } ncclRedOp_t;

/* Of NVIDIA's configuration the one choice that voxgrad makes, and the mark of one that was initialised. */
typedef struct {
    unsigned magic;
    int blocking;
} ncclConfig_t;
#define NCCL_CONFIG_INITIALIZER \
    {                           \
        0xcafebeefu, INT_MIN    \
    }

#pragma GCC visibility push(default) /* src/comm/nccl.c looks them up by name */
#include "emu_nccl_calls.h"
#pragma GCC visibility pop

#endif
