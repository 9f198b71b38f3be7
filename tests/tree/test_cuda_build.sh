#!/usr/bin/env bash
# Protects, in a build by nvcc (VOXGRAD_CUDA=ON): the module has machine code for sm_80 and sm_90; no kernel spills registers or, but those that
# call long functions of the library, keeps a stack; and on a machine without a GPU the program falls back with one line (auto), or ends
# with exit 3 (cuda), and CUDA's libraries, hundreds of MB, are not loaded unless the driver counts a GPU.
# shellcheck source-path=SCRIPTDIR
. "$(dirname "${BASH_SOURCE[0]}")/../study/common.sh"
if [ "${VG_CUDA-}" != ON ]; then
    echo "skipped: this build is without nvcc"
    exit 77
fi
! readelf -d "$VG_BUILD/voxgrad_cuda.so" | grep -q 'NEEDED.*nccl' || fault "the module does not load where NCCL is missing"
nvcc=$(command -v nvcc || echo "${CUDA_HOME:-/usr/local/cuda}/bin/nvcc")
# The module's kernels once more, for what ptxas says of them: of every kernel a line "FILE ARCHITECTURE KERNEL REGISTERS STACK SPILLS".
mkdir usage
# shellcheck disable=SC2016
printf '%s\0' "$VG_SOURCE"/kernels/*.cu | xargs -0 -n 1 -P "$(nproc)" bash -c '
    "$0" -std=c++17 -O3 -fatbin -gencode arch=compute_80,code=sm_80 -gencode arch=compute_90,code=sm_90 -Xptxas=-v "-I$VG_SOURCE/include" \
        -o "usage/$(basename "$1").fatbin" "$1" >"usage/$(basename "$1")" 2>&1' "$nvcc" || fault "kernels do not compile: $(grep -h error usage/*)"
for file in usage/*.cu; do
    awk -v file="$(basename "$file")" '
        /Compiling entry function/ {gsub(/\047/, ""); kernel = $(NF - 2); architecture = $NF}
        /Function properties for/ {within = $NF == kernel ? kernel : kernel " in " $NF}
        /bytes stack frame/ {stack = $1; spills = $5 + $9}
        /Used [0-9]+ registers/ {print file, architecture, kernel, $5, stack, spills}
        /bytes stack frame/ && ($1 > 0 || $5 + $9 > 0) {print file, architecture, within, "-", $1, $5 + $9}' "$file" >>kernels
done
for architecture in sm_80 sm_90; do
    n=$(awk -v a="$architecture" '$2 == a && $4 != "-"' kernels | wc -l)
    entries=$(grep -ohE '__global__ void [a-z_]+' "$VG_SOURCE"/kernels/*.cu | sort -u | wc -l)
    echo "$architecture: $n kernels of $entries templates and functions, the largest with $(awk -v a="$architecture" '$2 == a && $4 > m {m = $4} END {print m}' kernels) registers"
    [ "$n" -ge "$entries" ] || fault "ptxas tells of $n kernels for $architecture, there are at least $entries"
done
awk '$5 > 0 || $6 > 0' kernels >stacks
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

# loads COUNT: does a program that looks for a GPU load cuBLAS, where a driver (not a real one) counts so many?
loads() {
    printf 'int cuInit(unsigned flags) { return (int)flags; }\nint cuDeviceGetCount(int *n) { *n = %d; return 0; }\n' "$1" | gcc -shared -fPIC -xc - -o libcuda.so.1 || fault "no driver"
    env -u VOXGRAD_CUDA_MODULE LD_LIBRARY_PATH="$PWD:${LD_LIBRARY_PATH-}" LD_DEBUG=files "$VG_PROGRAM" info >stdout 2>stderr || fault "info fails: $(tail stderr)"
    grep -q 'device cuda: none' stdout || fault "a GPU is found where there is none: $(cat stdout)"
    grep -q 'calling init: .*libcublas' stderr
}
! loads 0 || fault "cuBLAS is loaded though the driver counts no GPU"
loads 1 || fault "cuBLAS is not loaded though the driver counts a GPU"
finish
