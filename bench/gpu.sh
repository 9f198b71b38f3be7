#!/usr/bin/env bash
# Times the operations of the device table on a GPU (tests/device/test_device --bench, one row a shape) and sets each against a ceiling that
# is measured in the same call: a device copy for bytes, a cuBLAS product of the same type for FLOPs; then explanations by whole models
# (voxgrad bench attribution), against a product measured in turn with them. Writes a page of bench/results.
set -euo pipefail
root=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)

usage() {
    cat <<'USAGE'
Usage: bench/gpu.sh [--gpu N] [--build FOLDER] [--models LIST] [--notes FILE] [--out FILE]

Writes bench/results/gpu-DATE-COMMIT.md: device, driver and clocks as found, ceilings, and for every operation and shape the median
time, the rate, and the fraction of its ceiling. The build must have the CUDA back end (tests/gpu.sh makes one in build/gpu).
Exit status: 0 written, 1 something failed, 77 there is no GPU.

  --gpu N         which GPU, as nvidia-smi counts (0)
  --build FOLDER  where voxgrad was built (build/gpu)
  --models LIST   shapes that explain, with random weights (gpt2); "gpt2 llama2-7b" takes minutes and 27 GB more
  --notes FILE    lines to be put on the page (of tests/gpu.sh)
  --out FILE      the page
USAGE
}

query() {
    nvidia-smi --id="$1" --query-gpu="$2" --format=csv,noheader
}

# What the GPU is and how it runs, one row a property.
describe() {
    local property
    echo '| property | as found |'
    echo '|---|---|'
    for property in name driver_version compute_cap memory.total mig.mode.current persistence_mode clocks.sm clocks.mem clocks.max.sm clocks.max.mem \
        power.limit temperature.gpu utilization.gpu; do
        echo "| $property | $(query "$1" "$property" 2>/dev/null || echo 'not told') |"
    done
    echo "| CUDA toolkit | $("$(command -v nvcc || echo "${CUDA_HOME:-/usr/local/cuda}/bin/nvcc")" --version 2>/dev/null | sed -n 's/.*release \([^,]*\).*/\1/p') |"
}

# table CEILINGS TIMINGS: lines of test_device --bench to rows of a page. A line: operation, ten numbers (the shape; of a product and of most of
# ridge the first is the type), "best B ms, median M ms: R UNIT, ..." where R belongs to the best; rates here are of the medians.
table() {
    awk '
    function median_rate() { return rate * best / median }
    {
        median = 0 # the first line of each names the device
        for (i = 1; i <= NF; i++) {
            if ($i == "best") best = $(i + 1)
            if ($i == "median") { median = $(i + 1); rate = $(i + 3); unit = $(i + 4) }
        }
        sub(/,$/, "", unit)
        shape = $2
        for (i = 3; i <= 11; i++) shape = shape " " $i
        sub(/( 0)+$/, "", shape)
        wide = $1 ~ /^(eigh|ridge_quadratic)$/ || ($1 ~ /^(gemm|ridge_)/ && $2 == 1)
        kind = unit == "GB/s" ? "bytes" : wide ? "float64" : "float32"
    }
    NR == FNR {
        if (median > 0 && median_rate() > ceiling[kind]) ceiling[kind] = median_rate()
        next
    }
    FNR == 1 {
        print "| ceiling | measured |\n|---|---|"
        printf "| device copy | %.0f GB/s |\n", ceiling["bytes"]
        printf "| product, float32 | %.1f TFLOP/s |\n| product, float64 | %.1f TFLOP/s |\n\n", ceiling["float32"] / 1000, ceiling["float64"] / 1000
        print "| operation | shape | median, ms | rate | of its ceiling | demanded |\n|---|---|---|---|---|---|"
    }
    median > 0 {
        demanded = kind == "bytes" ? 80 : $1 ~ /^ridge_(score|quadratic)$/ ? 60 : 0
        printf "| %s | %s | %.4f | %.1f %s | %s | %s |\n", $1, shape, median, median_rate(), unit, \
            (ceiling[kind] > 0 ? sprintf("%.0f %%", 100 * median_rate() / ceiling[kind]) : ""), (demanded ? demanded " %" : "")
    }' "$1" "$2"
}

# explain PROGRAM MODEL: rows of a page, of JSON lines; a model that cannot be timed is said to be so.
explain() {
    "$1" bench attribution --device cuda --model "$2" --methods gradient_norm,integrated_gradients --repeats 3 |
        sed -E 's/.*"model": "([^"]*)".*"method": "([^"]*)".*"words_per_second": ([^,]*),.*"gflops": ([^,]*),.*"fraction_of_gemm": ([^,]*),.*/| \1 | \2 | \3 | \4 GFLOP\/s | \5 |/' ||
        echo "| $2 | not timed | | | |"
}

page() {
    local gpu=$1 folder=$2 notes=$3 commit=$4
    echo "# GPU battery of $(date -u +%Y-%m-%d), commit $commit"
    echo
    describe "$gpu"
    echo
    if [ -n "$notes" ]; then
        echo '```'
        cat -- "$notes"
        printf '```\n\n'
    fi
    echo "Operations of the device table, called one after another, each waited for; \`demanded\` holds for shapes that fill the GPU. Shape: the numbers"
    echo "that the case of this name reads in tests/device."
    echo
    table "$folder/ceilings" "$folder/timings"
}

main() {
    local gpu=0 build="$root/build/gpu" models=gpt2 notes='' out='' commit program folder model
    while [ $# -gt 0 ]; do
        case "$1" in
        --gpu | --build | --models | --notes | --out) [ $# -ge 2 ] || { usage >&2 && return 2; } ;;&
        --gpu) gpu=$2 && shift ;;
        --build) build=$2 && shift ;;
        --models) models=$2 && shift ;;
        --notes) notes=$2 && shift ;;
        --out) out=$2 && shift ;;
        -h | --help) usage && return ;;
        *) usage >&2 && return 2 ;;
        esac
        shift
    done
    if ! query "$gpu" name >/dev/null 2>&1; then
        echo "There is no GPU $gpu here (nvidia-smi finds none): nothing is measured."
        return 77
    fi
    program="$build/tests/device_test_device"
    [ -x "$program" ] || { echo "$program is not there; tests/gpu.sh builds it" >&2 && return 1; }
    commit=$(git -C "$root" describe --always --dirty --abbrev=12 2>/dev/null || echo unknown)
    out=${out:-$root/bench/results/gpu-$(date -u +%Y-%m-%d)-$commit.md}
    folder=$(mktemp -d) && trap 'rm -rf -- "${folder-}"' EXIT
    export CUDA_VISIBLE_DEVICES=$gpu CUDA_DEVICE_ORDER=PCI_BUS_ID VOXGRAD_CUDA_MODULE=$build/voxgrad_cuda.so
    "$program" --bench ceilings cuda >"$folder/ceilings"
    "$program" --bench all cuda >"$folder/timings"
    mkdir -p "$(dirname -- "$out")"
    page "$gpu" "$folder" "$notes" "$commit" >"$out"
    printf '\nExplanations of a random story of 64-token windows by models with random weights, three rounds, medians; demanded are 60 %% of the product.\n\n%s\n%s\n' \
        '| model | method | words/s | rate | of a product in float32 |' '|---|---|---|---|---|' >>"$out"
    for model in $models; do
        explain "$build/voxgrad" "$model" >>"$out"
    done
    echo "$out"
}

# Sourced, for its functions, by tests/tree/test_battery.sh.
[ "${BASH_SOURCE[0]}" != "$0" ] || main "$@"
