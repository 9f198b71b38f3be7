#!/usr/bin/env bash
# Protects: every script is clean for shellcheck and can be run; the list of packages holds every library of the build; get-data.sh tells a good file
# from a missing and from a different one; scripts refuse what they do not know with exit 2.
set -u
cd "$VG_SOURCE" || exit 1
faults=0
fault() { echo "$1"; faults=$((faults + 1)); }

# expect STATUS COMMAND...: runs it, its output in $output.
expect() {
    local wanted=$1 status
    shift
    output=$("$@" 2>&1)
    status=$?
    [ "$status" -eq "$wanted" ] || fault "$*: exit $status where $wanted was expected: $output"
}
says() { [[ "$output" == *"$1"* ]] || fault "expected \"$1\" in: $output"; }

mapfile -d '' scripts < <(find . -path ./build -prune -o -path ./results -prune -o -type f \( -name '*.sh' -o -name '*.sbatch' -o -path ./.ci/run \) -print0)
[ "${#scripts[@]}" -ge 6 ] || fault "found only ${#scripts[@]} scripts"
for script in jobs/demo.sh jobs/get-data.sh jobs/packages.sh jobs/submit.sh jobs/voxgrad.sbatch jobs/array.sbatch bench/soak.sh bench/scaling.sh tests/run.sh tests/gpu.sh bench/gpu.sh bench/roofline.sh .ci/run; do
    [ -x "$script" ] || fault "$script is not executable"
done

# packages: as many libraries as the build looks for, and none but names of packages
expect 0 jobs/packages.sh build
rows=$(grep -cE '^ *"[^" ]+ [a-z0-9-]+"' cmake/dependencies.cmake)
[ "$(grep -c -e '-dev$' <<<"$output")" -eq "$((rows + 1))" ] || fault "packages.sh: $rows libraries and libopenmpi-dev were expected: $output"
! grep -vE '^[a-z0-9.+-]+$' <<<"$output" || fault "packages.sh: not the name of a package"
for script in jobs/demo.sh jobs/packages.sh jobs/get-data.sh jobs/submit.sh tests/run.sh tests/gpu.sh bench/gpu.sh bench/roofline.sh; do
    expect 0 "$script" --help
    says Usage:
    expect 2 "$script" --no-such-option
    says Usage:
done

# get-data.sh on a made-up folder, with a space in its name
folder=$(mktemp -d) && trap 'rm -rf -- "$folder"' EXIT
data="$folder/my data"
mkdir -p "$data/alice"
echo good >"$data/alice/one two.txt"
echo good >"$data/three.txt"
(cd "$data" && sha256sum "alice/one two.txt" three.txt) >"$folder/sums"
expect 0 jobs/get-data.sh --sums "$folder/sums" "$data"
says "ok         alice/one two.txt"
says "2 ok, 0 missing, 0 different"
echo bad >"$data/three.txt"
expect 2 jobs/get-data.sh --sums "$folder/sums" "$data"
says "different  three.txt"
rm "$data/alice/one two.txt"
expect 2 jobs/get-data.sh --sums "$folder/sums" "$data"
says "missing    alice/one two.txt"
says "0 ok, 1 missing, 1 different"
expect 2 jobs/get-data.sh "$folder/nowhere"
says "no such folder"
expect 0 jobs/get-data.sh
while read -r _ path; do
    says "${path%%/*}/"
done <jobs/data.sha256

[ "$faults" -eq 0 ] || exit 1
if ! command -v shellcheck >/dev/null; then
    echo "shellcheck is not here: the scripts were run, but not checked by it (apt-get install shellcheck)"
    exit 77
fi
shellcheck -x "${scripts[@]}"
