#!/usr/bin/env bash
# Everything that continuous integration checks, from a bare Debian or Ubuntu machine: packages, the form of the sources, then the
# tests in three builds: optimised (with the CUDA back end where nvcc is), under AddressSanitizer and UndefinedBehaviorSanitizer, and with the
# GPU emulated on the CPU, where what runs on a device is tried. Scripts are checked by tests/tree.
# Then each fuzzer of tests/fuzz looks for faults for VG_FUZZ_SECONDS, 60 if not set, one a core at a time, by clang's libFuzzer; 0 leaves that out,
# and the seeds are replayed and altered in the tests of both builds, that is all. VG_FUZZ_SEED=0 searches elsewhere each time; by default a search
# can be repeated.
# Every step runs, whatever became of the others; logs are in build/logs.
set -uo pipefail
root=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)
logs="$root/build/logs"
jobs=$(nproc)
failed=0
VG_FUZZ_SECONDS=${VG_FUZZ_SECONDS-60}
export VG_FUZZ_SECONDS

usage() {
    cat <<'USAGE'
Usage: tests/run.sh [--no-packages]          VG_FUZZ_SECONDS=600 tests/run.sh

Builds voxgrad three times (build/release, build/asan, build/emu: an emulated GPU; warnings are errors) and runs all tests in the first two,
those that use a device in the third. Prints each step as it ends, and ctest's summaries last. Exit status: 0 all passed, 1 something failed, 2 packages are missing and cannot be installed.

  --no-packages  do not look for or install Debian packages; take what is there
USAGE
}

say() {
    printf '%-16s %s\n' "$1" "$2"
}

# step NAME COMMAND...: runs it with its output in a log; shows the end of the log when it fails.
step() {
    local name=$1 begin=$SECONDS status
    shift
    printf '%-16s ' "$name"
    "$@" >"$logs/$name.log" 2>&1
    status=$?
    if [ "$status" -eq 0 ]; then
        echo "passed ($((SECONDS - begin)) s)"
    else
        echo "FAILED ($((SECONDS - begin)) s): $logs/$name.log"
        sed 's/^/    /' "$logs/$name.log" | tail -n 60
        failed=1
    fi
    return "$status"
}

# at_least_14 TOOL: is it here, and new enough to know what .clang-format and .clang-tidy ask for?
at_least_14() {
    local major
    major=$("$1" --version 2>/dev/null | sed -nE 's/.*version ([0-9]+)\..*/\1/p' | head -n 1)
    [ "${major:-0}" -ge 14 ]
}

sources() {
    local folders=()
    for folder in src include tests kernels; do
        [ ! -d "$root/$folder" ] || folders+=("$root/$folder")
    done
    find "${folders[@]}" -type f \( "$@" \) -print0
}

check_format() {
    sources -name '*.c' -o -name '*.h' -o -name '*.cu' -o -name '*.cpp' | xargs -0 clang-format --dry-run -Werror
}

check_tidy() {
    find "$root/src" -name '*.c' ! -path '*/device/cuda*' ! -path '*/comm/nccl*' -print0 |
        xargs -0 -n 1 -P "$jobs" clang-tidy -p "$root/build/release" --quiet &&
        find "$root/src/device" "$root/src/comm" \( -name 'cuda*.c' -o -name 'nccl*.c' \) -print0 |
        xargs -0 -n 1 -P "$jobs" clang-tidy -p "$root/build/emu" --quiet
}

build() {
    cd "$root" && cmake --preset "$1" -DVOXGRAD_WERROR=ON && cmake --build --preset "$1" --parallel "$jobs"
}

run_tests() {
    local some=()
    # Not attribution/ itself, which takes the emulation many minutes: emu/test_attribution runs it on a word or two of its goldens.
    [ "$1" != emu ] || some=(--tests-regex '^(device|lm|encoding|comm|emu)/')
    cd "$root" && ctest --preset "$1" --parallel "$jobs" --no-tests=error "${some[@]}"
}

# The lines from "... tests passed" on: how many, which failed, which were skipped.
summary() {
    printf '\n%s\n' "$1"
    sed -n '/tests passed/,$p' "$logs/test-$1.log"
}

# fuzz_one FUZZER: what it finds beyond the committed seeds stays in build/fuzz.
fuzz_one() {
    local name work status
    name=$(basename "$1") && name=${name#fuzz_}
    work="$root/build/fuzz/found/$name"
    mkdir -p "$work"
    "$1" -seed="${VG_FUZZ_SEED-7}" -max_total_time="$VG_FUZZ_SECONDS" -timeout=60 -rss_limit_mb=2048 -artifact_prefix="$work/fault-" "$work" "$root/tests/fuzz/corpus/$name" \
        >"$work.log" 2>&1
    status=$?
    echo "$name: $(grep -E '^#[0-9]+' "$work.log" | tail -n 1)"
    [ "$status" -eq 0 ] || tail -n 30 "$work.log"
    return "$status"
}

fuzz() {
    cd "$root" && cmake --preset fuzz && cmake --build --preset fuzz --parallel "$jobs" || return
    export -f fuzz_one
    export root
    # shellcheck disable=SC2016
    find "$root/build/fuzz/tests" -maxdepth 1 -name 'fuzz_*' -type f -perm -u+x -print0 | xargs -0 -n 1 -P "$jobs" bash -c 'fuzz_one "$1"' fuzz
}

# libFuzzer is there when a program that needs it can be built.
has_fuzzer() {
    command -v clang >/dev/null && echo 'int LLVMFuzzerTestOneInput(const char *b, unsigned long n) { return b && n ? 0 : 0; }' |
        clang -x c -fsanitize=fuzzer,address -fopenmp -o /dev/null - 2>/dev/null
}

main() {
    local install=yes variant
    case "${1-}" in
    '') ;;
    --no-packages) install=no ;;
    -h | --help) usage && return ;;
    *) usage >&2 && return 2 ;;
    esac
    mkdir -p "$logs" && rm -f -- "$logs"/*.log
    if [ "$install" = yes ]; then
        step packages "$root/jobs/packages.sh" --install tests || return 2
        "$root/jobs/packages.sh" --install checks >"$logs/checks.log" 2>&1 || say "checks" "not all could be installed: $logs/checks.log"
    fi

    if at_least_14 clang-format; then
        step format check_format
    else
        say format "left out: clang-format 14 or newer is not here"
    fi
    for variant in release asan emu; do
        step "build-$variant" build "$variant" && step "test-$variant" run_tests "$variant"
    done
    if at_least_14 clang-tidy && [ -e "$root/build/release/compile_commands.json" ]; then
        step tidy check_tidy
    else
        say tidy "left out: clang-tidy 14 or newer is not here"
    fi

    [ "$install" = no ] || [ "$VG_FUZZ_SECONDS" = 0 ] || "$root/jobs/packages.sh" --install fuzz >"$logs/fuzz-packages.log" 2>&1
    if [ "$VG_FUZZ_SECONDS" = 0 ]; then
        say fuzz "left out: VG_FUZZ_SECONDS is 0"
    elif has_fuzzer; then
        step fuzz fuzz
    else
        say fuzz "left out: clang with libFuzzer and OpenMP is not here"
    fi

    for variant in emu asan release; do
        [ ! -e "$logs/test-$variant.log" ] || summary "$variant"
    done
    return "$failed"
}

main "$@"
