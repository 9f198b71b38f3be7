#!/usr/bin/env bash
# The one list of Debian and Ubuntu packages (Debian 12, Ubuntu 24.04 or newer) that voxgrad stands on. The libraries are read from
# cmake/dependencies.cmake, where the build looks for them; the tools are named here.
set -euo pipefail
root=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)

usage() {
    cat <<'USAGE'
Usage: jobs/packages.sh [--install] build|tests|checks|fuzz

Prints the Debian packages that voxgrad needs, one a line:
  build   to build and to run
  tests   to build and to run the tests (what `build` names is among them)
  checks  for the checks of the sources, which are left out where these are missing
  fuzz    to build tests/fuzz as libFuzzers, likewise

With --install, installs those that are missing, as root or through sudo. Where neither is possible it prints the
command and exits with 2.

Examples:
  jobs/packages.sh --install tests
  sudo apt-get install $(jobs/packages.sh build)
USAGE
}

libraries() {
    sed -n '/^set(voxgrad_rows/,/)$/s/^ *"[^" ]* \([^" ]*\)".*/\1/p' "$root/cmake/dependencies.cmake"
}

# What the report's page is made with.
page() {
    sed -n '/^set(report_rows/,/)$/s/^ *"[^ ]* [^ ]* \([^" ]*\)".*/\1/p' "$root/cmake/report.cmake" | sort -u
}

packages() {
    case "$1" in
    build) printf '%s\n' build-essential cmake pkg-config openmpi-bin libopenmpi-dev && libraries && page ;;
    tests) packages build && printf '%s\n' libcmocka-dev hdf5-tools procps slurmctld slurmd slurm-client munge ;;
    checks) printf '%s\n' shellcheck clang-format clang-tidy chromium openssl ;;
    fuzz) fuzz_packages ;;
    esac
}

# libFuzzer's runtime has the version of the distribution's clang in its name.
fuzz_packages() {
    local runtime
    runtime=$(apt-cache depends clang 2>/dev/null | sed -nE 's/.*Depends: clang-([0-9]+)$/libclang-rt-\1-dev/p' | head -n 1)
    printf '%s\n' clang libomp-dev "${runtime:-libclang-rt-dev}"
}

is_installed() {
    [ "$(dpkg-query --show --showformat='${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        env DEBIAN_FRONTEND=noninteractive "$@"
    else
        sudo env DEBIAN_FRONTEND=noninteractive "$@"
    fi
}

install_missing() {
    local missing=() package
    while read -r package; do
        is_installed "$package" || missing+=("$package")
    done < <(packages "$1")
    if [ "${#missing[@]}" -eq 0 ]; then
        echo "All packages are here."
        return
    fi
    local line="apt-get install --no-install-recommends ${missing[*]}"
    if [ "$(id -u)" -ne 0 ] && ! command -v sudo >/dev/null; then
        printf 'Packages are missing, and only root can install them. As root:\n\n    %s\n\n' "$line" >&2
        exit 2
    fi
    echo "Installing ${missing[*]}"
    if ! as_root apt-get -qq update || ! as_root apt-get -qq -y -o Dpkg::Use-Pty=0 install --no-install-recommends "${missing[@]}" >/dev/null; then
        printf 'The packages could not be installed. As root:\n\n    apt-get update && %s\n\n' "$line" >&2
        exit 2
    fi
}

install=no
[ "${1-}" != --install ] || { install=yes && shift; }
case "${1-}" in
build | tests | checks | fuzz) ;;
-h | --help) usage && exit 0 ;;
*) usage >&2 && exit 2 ;;
esac
if [ "$install" = no ]; then
    packages "$1"
elif command -v dpkg-query >/dev/null && command -v apt-get >/dev/null; then
    install_missing "$1"
else
    echo "Not Debian or Ubuntu: going on with what is installed. What there would be needed: $(packages "$1" | paste -sd ' ')"
fi
