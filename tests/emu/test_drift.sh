#!/usr/bin/env bash
# Protects: what the emulation declares of the CUDA runtime, cuBLAS and cuSOLVER is what NVIDIA's headers declare, where a toolkit is here; a
# declaration that differs is found.
set -u
toolkit=${CUDA_HOME:-/usr/local/cuda}/include
[ -e "$toolkit/cusolverDn.h" ] || toolkit=/usr/include
if [ ! -e "$toolkit/cusolverDn.h" ]; then
    echo "skipped: NVIDIA's headers are not here"
    exit 77
fi
temporary=$(mktemp -d) && trap 'rm -rf -- "$temporary"' EXIT
headers=$VG_SOURCE/tests/emu/include
cp "$headers"/emu_*.h "$temporary"
cat >"$temporary/drift.c" <<'C'
#include <cublas_v2.h>
#include <cuda_runtime_api.h>
#include <cusolverDn.h>
#include "emu_blas_calls.h"
#include "emu_blas_values.h"
#include "emu_runtime_calls.h"
#include "emu_runtime_values.h"
#include "emu_solver_calls.h"
#define SAME(name, value) _Static_assert((int)name == (value), #name);
EMU_RUNTIME_ERRORS(SAME)
EMU_RUNTIME_COPIES(SAME)
EMU_RUNTIME_FLAGS(SAME)
EMU_BLAS_STATUS(SAME)
EMU_BLAS_OPERATIONS(SAME)
EMU_BLAS_FILLS(SAME)
EMU_BLAS_COMPUTE(SAME)
EMU_BLAS_ALGORITHMS(SAME)
EMU_SOLVER_STATUS(SAME)
EMU_SOLVER_MODES(SAME)
SAME(MAJOR_VERSION, 0) SAME(MINOR_VERSION, 1) SAME(PATCH_LEVEL, 2)
SAME(CUDA_R_32F, 0) SAME(CUDA_R_64F, 1) SAME(CUDA_R_16BF, 14)
_Static_assert(sizeof(((struct cudaDeviceProp *)0)->name) == 256, "cudaDeviceProp");
C
compiles() { gcc -std=c17 -fsyntax-only -isystem "$toolkit" "$temporary/drift.c"; }
faults=0
compiles || faults=1

# differs FILE SED: such a declaration must not pass.
differs() {
    sed -i "$2" "$temporary/$1"
    ! cmp -s "$headers/$1" "$temporary/$1" || { echo "$2 changes nothing" && faults=1; }
    ! compiles 2>/dev/null || { echo "$1 with $2 is taken for NVIDIA's" && faults=1; }
    cp "$headers/$1" "$temporary"
}
differs emu_runtime_calls.h 's/cudaMalloc(void \*\*memory, size_t/cudaMalloc(void **memory, int/'
differs emu_runtime_values.h 's/cudaErrorLaunchFailure, 719/cudaErrorLaunchFailure, 720/'
differs emu_blas_calls.h 's/long long int stride_c/int stride_c/'
differs emu_solver_calls.h 's/int \*info, int64_t batch/int64_t batch, int *info/'
echo "$faults faults, against $toolkit"
exit "$faults"
