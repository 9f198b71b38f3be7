#!/usr/bin/env bash
# How long the Alice study takes. Listeners, story and model of jobs/alice.yaml with both gradients and all activations: all features of the
# story, the fits of one space of all subjects, and what starting and ending a run adds to an empty MPI program: medians over several runs.
# Then jobs/alice.yaml itself, once, to its end: all seven explanations, controls, nuisance band, null. A Markdown table on standard output.
#
#     bench/alice.sh DATA [RUNS]        DATA: the folder of jobs/get-data.sh; RUNS: 5; needs build/release
set -euo pipefail
root=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)
if [ $# -lt 1 ] || [ ! -e "$1/alice" ]; then
    echo "usage: bench/alice.sh DATA [RUNS]; DATA is a folder that jobs/get-data.sh has checked" >&2
    exit 2
fi
VG_DATA=$(cd -- "$1" && pwd)
runs=${2-5}
export VG_DATA OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
folder=$(mktemp -d)
trap 'rm -rf -- "$folder"' EXIT
ranks=(mpirun -n 2 --oversubscribe --bind-to none)

cat >"$folder/empty.c" <<'PROGRAM'
#include <mpi.h>
int main(int argc, char **argv)
{
    return MPI_Init(&argc, &argv) || MPI_Finalize();
}
PROGRAM
mpicc -O2 -o "$folder/empty" "$folder/empty.c"

# Wall seconds of a command.
wall() {
    local begin end
    begin=$(date +%s%N)
    "$@" >"$folder/log" 2>&1 || { cat "$folder/log" >&2 && exit 1; }
    end=$(date +%s%N)
    echo $(((end - begin) / 1000000)) | awk '{printf "%.3f\n", $1 / 1000}'
}

# What a stage says of itself in run.json.
said() {
    awk -v stage="\"$1\":" '$1 == stage {here = 1} here && $1 == "\"seconds\":" {print $2 + 0; exit}' "$folder/results/run.json"
}

median() {
    sort -n | awk '{x[NR] = $1} END {printf "%.2f", (x[int((NR + 1) / 2)] + x[int(NR / 2) + 1]) / 2}'
}

# The study with its results here; with the cheap spaces and no statistics; and with one space alone.
sed "s|^output:.*|output: $folder/results|" "$root/jobs/alice.yaml" >"$folder/whole.yaml"
sed -e '/^  - {method:/{/gradient_/!d}' -e '/^nuisance:/d' -e '/^null:/d' -e 's/^stories:/  - {method: activations, layers: all}\n&/' "$folder/whole.yaml" >"$folder/small.yaml"
sed '/^  - {method:/{/gradient_norm/!d}' "$folder/small.yaml" >"$folder/one.yaml"

for _ in $(seq "$runs"); do
    wall "${ranks[@]}" "$folder/empty" >>"$folder/empty.times"
    wall "${ranks[@]}" "$root/build/release/voxgrad" features "$folder/small.yaml" >"$folder/wall"
    said features >>"$folder/features.times"
    awk -v said="$(said features)" -v empty="$(tail -n 1 "$folder/empty.times")" '{print $1 - said - empty}' "$folder/wall" >>"$folder/start.times"
done
"${ranks[@]}" "$root/build/release/voxgrad" features "$folder/one.yaml" >"$folder/log" 2>&1
for _ in $(seq "$runs"); do
    wall "${ranks[@]}" "$root/build/release/voxgrad" fit "$folder/one.yaml" >/dev/null
    said fit >>"$folder/fit.times"
done
rm -rf "$folder/results"
study=$(wall "${ranks[@]}" "$root/build/release/voxgrad" run "$folder/whole.yaml")

cat <<TABLE
Machine: $(sed -n 's/^model name[[:space:]]*: //p' /proc/cpuinfo | head -n 1), $(nproc) cores. $("$root/build/release/voxgrad" --version). 2 ranks, median of $runs runs.

| what | seconds |
|---|---|
| both gradients and all activations of the story's words | $(median <"$folder/features.times") |
| fits of one space, 27 subjects x 6 regions | $(median <"$folder/fit.times") |
| an empty MPI program | $(median <"$folder/empty.times") |
| start and end beyond it | $(median <"$folder/start.times") |
| jobs/alice.yaml to its end, once | $study (features $(said features), fit $(said fit)) |
TABLE
