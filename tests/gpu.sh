#!/usr/bin/env bash
# The battery for a machine with an NVIDIA GPU: what emulation cannot prove, and what only a GPU can be measured by. Builds for the GPU that
# is there, runs the tests of label gpu, compute-sanitizer where the machine allows it, then bench/gpu.sh, which writes the page.
# Without a GPU it says so and exits 77, which ctest takes for skipped.
set -uo pipefail
root=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)
build="$root/build/gpu"
logs="$root/build/logs"
failed=0

usage() {
    cat <<'USAGE'
Usage: tests/gpu.sh [--gpu N] [--no-bench]

Installs the Debian packages that are missing, builds voxgrad for GPU N (0) in build/gpu, runs the tests of label gpu on it, then compute-sanitizer (memcheck, racecheck) over the
device table, then bench/gpu.sh, which writes bench/results/gpu-DATE-COMMIT.md. Each step has a limit; all but the first take less than 8
minutes.
Exit status: 0 all passed, 1 something failed, 77 there is no GPU or no nvcc.

  --gpu N      which GPU, as nvidia-smi counts
  --no-bench   only the tests
USAGE
}

say() {
    printf '%-22s %s\n' "$1" "$2" | tee -a "$logs/gpu-summary.log"
}

# step NAME SECONDS COMMAND...: runs it within a limit, its output in a log; says how it went, and the end of the log where it failed.
step() {
    local name=$1 limit=$2 begin=$SECONDS status
    shift 2
    timeout -k 5 "$limit" "$@" >"$logs/gpu-$name.log" 2>&1
    status=$?
    if [ "$status" -eq 0 ]; then
        say "$name" "passed ($((SECONDS - begin)) s)"
    elif [ "$status" -eq 124 ]; then
        say "$name" "FAILED: not done after $limit s: $logs/gpu-$name.log"
    else
        say "$name" "FAILED with $status ($((SECONDS - begin)) s): $logs/gpu-$name.log"
    fi
    [ "$status" -eq 0 ] || { tail -n 40 "$logs/gpu-$name.log" | sed 's/^/    /' && failed=1; }
    return "$status"
}

nvcc_path() {
    command -v nvcc || { [ -x "${CUDA_HOME:-/usr/local/cuda}/bin/nvcc" ] && echo "${CUDA_HOME:-/usr/local/cuda}/bin/nvcc"; }
}

# sanitize TOOL SECONDS: over the device table, which launches every kernel with every shape.
sanitize() {
    local tool=$1 limit=$2 program="$build/tests/device_test_device"
    if ! compute-sanitizer --tool "$tool" true >"$logs/gpu-$tool.log" 2>&1; then
        say "$tool" "left out: $(tail -n 1 "$logs/gpu-$tool.log")"
        return
    fi
    step "$tool" "$limit" compute-sanitizer --tool "$tool" --error-exitcode 9 "$program"
}

main() {
    local gpu=0 bench=yes capability began=$SECONDS
    while [ $# -gt 0 ]; do
        case "$1" in
        --gpu) gpu=${2?"--gpu wants a number"} && shift ;;
        --no-bench) bench=no ;;
        -h | --help) usage && return ;;
        *) usage >&2 && return 2 ;;
        esac
        shift
    done
    if ! capability=$(nvidia-smi --id="$gpu" --query-gpu=compute_cap --format=csv,noheader 2>/dev/null); then
        echo "There is no GPU $gpu here (nvidia-smi finds none): the battery is skipped."
        return 77
    fi
    if ! nvcc_path >/dev/null; then
        echo "There is a GPU but no nvcc (neither on PATH nor in CUDA_HOME): the battery is skipped."
        return 77
    fi
    export CUDA_VISIBLE_DEVICES=$gpu CUDA_DEVICE_ORDER=PCI_BUS_ID VG_DEVICE=cuda VOXGRAD_CUDA_MODULE=$build/voxgrad_cuda.so
    mkdir -p "$logs" && rm -f -- "$logs"/gpu-*.log
    nvidia-smi --id="$gpu" --query-gpu=name,driver_version --format=csv,noheader

    "$root/jobs/packages.sh" --install tests >"$logs/gpu-packages.log" 2>&1 || say packages "not all could be installed: $logs/gpu-packages.log"
    step configure 40 cmake -S "$root" -B "$build" -DCMAKE_BUILD_TYPE=Release -DVOXGRAD_CUDA=ON -DVOXGRAD_WERROR=ON \
        -DCMAKE_CUDA_ARCHITECTURES="${capability/./}" || return 1
    step build 110 cmake --build "$build" --parallel "$(nproc)" || return 1
    step tests 80 ctest --test-dir "$build" -L '^gpu$' --no-tests=error --output-on-failure
    if PATH=$PATH:${CUDA_HOME:-/usr/local/cuda}/bin && command -v compute-sanitizer >/dev/null; then
        sanitize memcheck 45
        sanitize racecheck 45
    else
        say sanitizer "left out: compute-sanitizer is not here"
    fi
    if [ "$bench" = yes ]; then
        step bench 120 "$root/bench/gpu.sh" --gpu "$gpu" --build "$build" --notes "$logs/gpu-summary.log" && tail -n 1 "$logs/gpu-bench.log"
    fi
    echo "$((SECONDS - began)) s in all"
    return "$failed"
}

main "$@"
