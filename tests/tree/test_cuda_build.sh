#!/usr/bin/env bash
# Protects, in a build by nvcc (VOXGRAD_CUDA=ON): the module has machine code for sm_80 and sm_90; no kernel spills registers or, but those that
# call long functions of the library, keeps a stack; and on a machine without a GPU the program falls back with one line (auto), or ends
# with exit 3 (cuda).
# shellcheck source-path=SCRIPTDIR
. "$(dirname "${BASH_SOURCE[0]}")/../study/common.sh"
if [ "${VG_CUDA-}" != ON ]; then
    echo "skipped: this build is without nvcc"
    exit 77
fi
nvcc=$(command -v nvcc || echo "${CUDA_HOME:-/usr/local/cuda}/bin/nvcc")
for kernel in "$VG_SOURCE"/kernels/*.cu; do
    for architecture in sm_80 sm_90; do
        "$nvcc" -std=c++17 -arch="$architecture" -cubin -Xptxas=-v "-I$VG_SOURCE/include" -o cubin "$kernel" >usage 2>&1 || fault "$kernel for $architecture: $(cat usage)"
        grep -q 'stack frame' usage || fault "$kernel for $architecture: ptxas says nothing of its stack"
        awk -v where="$(basename "$kernel"), $architecture" '
            /Function properties for/ {name = $NF}
            /bytes stack frame/ && $0 !~ /^ *0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads/ {print where ": " name ":" $0}' usage >>stacks
    done
done
[ ! -s stacks ] || fault "kernels with a stack or spills: $(cat stacks)"

if nvidia-smi >/dev/null 2>&1; then
    echo "there is a GPU here: what happens without one is not tried"
    finish
fi
tiny
for device in auto cuda; do
    rm -rf case && cp -r base case && sed -i "s/device: cpu/device: $device/" case/study.yaml
    (cd case && "$VG_PROGRAM" features study.yaml >stdout 2>stderr)
    status=$?
    [ "$device" = auto ] || { [ "$status" -eq 3 ] && grep -q 'no GPU' case/stderr; } || fault "cuda without a GPU: exit $status: $(cat case/stderr)"
    [ "$device" = cuda ] || { [ "$status" -eq 0 ] && [ "$(grep -c 'no GPU is used' case/stderr)" -eq 1 ]; } || fault "auto without a GPU: exit $status: $(cat case/stderr)"
done
finish
