#!/usr/bin/env bash
# Protects: what the emulation declares of NCCL is what NVIDIA's header declares, where that is here; a declaration that differs is found.
set -u
for folder in "${NCCL_HOME-}/include" "${CUDA_HOME:-/usr/local/cuda}/include" /usr/include; do
    [ -e "$folder/nccl.h" ] && break
done
runtime=
for other in "$folder" "${CUDA_HOME:-/usr/local/cuda}/include" /usr/include; do
    [ ! -e "$other/cuda_runtime.h" ] || { runtime=$other && break; }
done
if [ ! -e "$folder/nccl.h" ] || [ -z "$runtime" ]; then
    echo "skipped: NVIDIA's nccl.h or cuda_runtime.h is not here"
    exit 77
fi
temporary=$(mktemp -d) && trap 'rm -rf -- "$temporary"' EXIT
cp "$VG_SOURCE"/tests/emu/include/emu_nccl_*.h "$temporary"
cat >"$temporary/drift.c" <<'C'
#include <nccl.h>
#include "emu_nccl_calls.h"
#include "emu_nccl_values.h"
#define SAME(name, value) _Static_assert((int)name == (value), #name);
EMU_NCCL_RESULTS(SAME)
EMU_NCCL_TYPES(SAME)
EMU_NCCL_OPERATIONS(SAME)
_Static_assert(NCCL_UNIQUE_ID_BYTES == 128 && sizeof(ncclUniqueId) == 128, "ncclUniqueId");
static const ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
int blocking(void);
int blocking(void) { return config.blocking; }
C
compiles() { gcc -std=c17 -fsyntax-only -isystem "$folder" -isystem "$runtime" "$temporary/drift.c"; }
faults=0
compiles || faults=1

# differs FILE SED: such a declaration must not pass.
differs() {
    cp "$VG_SOURCE/tests/emu/include/$1" "$temporary"
    sed -i "$2" "$temporary/$1"
    ! cmp -s "$VG_SOURCE/tests/emu/include/$1" "$temporary/$1" || { echo "$2 changes nothing" && faults=1; }
    ! compiles 2>/dev/null || { echo "$1 with $2 is taken for NVIDIA's" && faults=1; }
    cp "$VG_SOURCE/tests/emu/include/$1" "$temporary"
}
differs emu_nccl_calls.h 's/int root/long root/'
differs emu_nccl_calls.h 's/ncclSend(const void \*sendbuff/ncclSend(void *sendbuff/'
differs emu_nccl_values.h 's/ncclInt64, 4/ncclInt64, 6/'
echo "$faults faults, against $folder/nccl.h"
exit "$faults"
