#!/usr/bin/env bash
# The demo: from a bare Debian or Ubuntu machine to a table of scores. Installs, builds, simulates two brains whose truth is
# known (jobs/demo/study.yaml), and asks which explanation of the language model predicts which region.
set -euo pipefail
root=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)
study="$root/jobs/demo/study.yaml"
output="$root/results/demo"
program="$root/build/release/voxgrad"

usage() {
    cat <<'USAGE'
Usage: jobs/demo.sh [--no-packages]

Installs what voxgrad needs (as root or through sudo), builds it in build/release, simulates the responses of two
listeners to a story, and runs the study jobs/demo/study.yaml on 2 MPI ranks. Results go to results/demo.

  --no-packages  do not look for or install Debian packages; take what is there

Exit status: 0 done, 2 packages are missing and cannot be installed; otherwise that of the step which failed.
USAGE
}

step() {
    printf '\n==> %s\n' "$*"
}

# Two ranks on any machine: root in a container, fewer cores than ranks, no permission to read another process's memory.
mpi() {
    local allow=()
    [ "$(id -u)" -ne 0 ] || allow=(OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1)
    env "${allow[@]}" OMPI_MCA_btl_vader_single_copy_mechanism=none mpirun -n 2 --oversubscribe --bind-to none "$@"
}

# Without the tests, which need a library more. `cmake --preset release` by hand turns them on again.
build() {
    local log="$root/build/demo.log"
    mkdir -p "$root/build"
    if ! (cd "$root" && cmake --preset release -DVOXGRAD_TESTS=OFF && cmake --build --preset release --parallel "$(nproc)") >"$log" 2>&1; then
        tail -n 40 "$log" >&2
        echo "The build failed; all of its output is in $log" >&2
        return 1
    fi
}

# The responses are a function of the study, the story and the model: made again only when one of these is newer.
responses_are_current() {
    local made="$output/simulated/regions.txt"
    [ -e "$made" ] && [ -z "$(find "$root/jobs/demo" -type f -newer "$made" -print -quit)" ]
}

main() {
    local install=yes
    case "${1-}" in
    '') ;;
    --no-packages) install=no ;;
    -h | --help) usage && return ;;
    *) usage >&2 && return 2 ;;
    esac

    if [ "$install" = yes ]; then
        step "1/4 Packages"
        "$root/jobs/packages.sh" --install build
    fi
    step "2/4 Building voxgrad in $root/build/release (what the compiler says: build/demo.log)"
    build
    step "3/4 Simulating two listeners, 2,000 voxels each, into $output/simulated"
    if responses_are_current; then
        echo "They are already there, and newer than the study."
    else
        "$program" simulate "$study"
    fi
    step "4/4 Explaining the story's words and predicting the voxels, on 2 MPI ranks"
    rm -rf -- "$output"/features.h5* "$output"/results.h5* "$output/report" "$output/run.json"
    mpi "$program" run "$study" | tee "$output/scores.txt"

    step "Done. The responses were simulated: REGION_A answers to gradient_norm, REGION_B to gradient_x_input,
    REGION_C to the activations of layer 02, REGION_D to nothing; so should the table say."
    echo "Files in $output:"
    (cd "$output" && find . -type f -not -path './simulated/*' | sort | sed 's|^\./|    |')
}

main "$@"
