#!/usr/bin/env bash
# What every operation of the device table moves or computes in one call, and how long an NVIDIA H200 may take for it at the fractions that
# the battery (tests/gpu.sh) demands. Nothing is measured here: the GPU column is filled from a page of bench/gpu.sh, when there is one.
set -euo pipefail
root=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)

usage() {
    cat <<'USAGE'
Usage: bench/roofline.sh [BUILD]

Writes bench/results/roofline.md from the counts of tests/device/test_device in BUILD (build/release).
USAGE
}

# Lines of test_device --count: operation, ten numbers, how many bytes or FLOPs.
rows() {
    awk '$NF == "bytes" || $NF == "FLOPs" {
        shape = $2
        for (i = 3; i <= 11; i++) shape = shape " " $i
        sub(/( 0)+$/, "", shape)
        if ($NF == "bytes")
            printf "| %s | %s | %.4g MB | 80 %% of a copy | %.1f | |\n", $1, shape, $12 / 1e6, $12 / (0.8 * 4.8e12) * 1e6
        else
            printf "| %s | %s | %.4g GFLOP | %s | | |\n", $1, shape, $12 / 1e9, $1 ~ /^ridge_(score|quadratic)$/ ? "60 % of a product" : ""
    }'
}

page() {
    cat <<'PAGE'
# Counted against the limit

What one call of each operation does at the shapes that are timed (the numbers that the case of this name reads in tests/device), counted by
the case itself. Bytes: each input read once, each output written once. Demanded: the fraction of a device copy (bytes) or of a cuBLAS product
of the same type (FLOPs), both measured by the battery in the same call. At most: the time of a call at 80 % of an H200's 4.8 TB/s
(NVIDIA's data sheet); for FLOPs the ceiling is known only when it is measured. Made by `bench/roofline.sh`.

**GPU: not yet measured**, so its column is empty.

| operation | shape | one call | demanded | at most, us | GPU |
|---|---|---|---|---|---|
PAGE
    rows
}

main() {
    case "${1-}" in
    -h | --help) usage && return ;;
    -*) usage >&2 && return 2 ;;
    esac
    local program="${1:-$root/build/release}/tests/device_test_device"
    [ -x "$program" ] || { echo "$program is not there: build voxgrad first" >&2 && return 1; }
    mkdir -p "$root/bench/results"
    "$program" --count >"$root/bench/results/roofline.md.part"
    page <"$root/bench/results/roofline.md.part" >"$root/bench/results/roofline.md"
    rm -- "$root/bench/results/roofline.md.part"
    echo "$root/bench/results/roofline.md"
}

[ "${BASH_SOURCE[0]}" != "$0" ] || main "$@"
