#!/usr/bin/env bash
# A study of a whole brain's size, from start to end: SIMULATED responses of 20 subjects, 20,484 voxels (fsaverage5's vertices), 1,000 volumes;
# 30 spaces of 8 columns at 5 delays, nested folds of the defaults. Then the same responses of one subject against 1,000 shifts of one space;
# and 200,000 voxels of one subject in a quarter of the memory that they take. Times and peak memory are those of run.json; a Markdown table on
# standard output.
#
#     bench/whole_brain.sh [RANKS] [SUBJECTS]        2 ranks, 20 subjects; needs build/release, and 2.5 GB of $TMPDIR
set -euo pipefail
root=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)
case "${1-}" in
-h | --help) sed -n '2,7s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" && exit 0 ;;
esac
ranks=${1-2} subjects=${2-20} program=$root/build/release/voxgrad
[ -x "$program" ] || { echo "bench/whole_brain.sh: build it first: cmake --preset release && cmake --build --preset release" >&2 && exit 2; }
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
folder=$(mktemp -d)
trap 'rm -rf -- "$folder"' EXIT
cd "$folder"
cp -r "$root/jobs/demo/model" model

# The words of the demo's story again and again, three a second, for 990 s; the tail makes 1,000 volumes of them.
{
    printf 'onset\tduration\tword\n'
    sed -nE 's/^ *text = "([^"]+)"$/\1/p' "$root/jobs/demo/story.TextGrid" | awk '{w[NR] = $0} END {
        for (i = 0; i < 2970; i++) printf "%.3f\t%.3f\t%s\n", i / 3, 1 / 3, w[i % NR + 1]}'
} >story.tsv

# study NAME VOXELS SUBJECTS SPACES LINE...: a study of so many voxels, of the first so many subjects and spaces; its responses lie in VOXELS/.
study() {
    local name=$1 voxels=$2 count=$3 spaces=$4 i
    shift 4
    mkdir -p "$voxels"
    {
        printf 'study: whole_brain\noutput: %s\ndevice: cpu\nmodel: {name: grammar, path: model}\n' "$name"
        printf 'context: {words: 20}\nfeatures:\n  - {method: gradient_norm, words: 8}\n'
        for ((i = 1; i < spaces; i++)); do printf '  - {method: random, name: random%02d, size: 8}\n' "$i"; done
        printf 'stories:\n  - {name: story, words: story.tsv}\nresponses:\n  tr: 1.0\n  subjects:\n'
        for ((i = 1; i <= count; i++)); do printf '    - {name: s%02d, runs: {story: "%d/s%02d.h5:/responses"}}\n' "$i" "$voxels" "$i"; done
        printf 'alignment: {delays: [2, 3, 4, 5, 6]}\natlas: {columns: %d/regions.txt}\n' "$voxels"
        printf 'simulate:\n  seed: 1\n  regions:\n    PLANTED: {voxels: 2000, space: gradient_norm, r2: 0.1}\n    REST: {voxels: %d}\n  tail: 10.0\n' $((voxels - 2000))
        printf '%s\n' "$@"
    } >"$name.yaml"
}

run() {
    mpirun -n "$ranks" --oversubscribe --bind-to none "$program" run -q -o "$1" "${@:2}" "$1.yaml" >"$1.table" 2>"$1.log" || { cat "$1.log" >&2 && exit 1; }
}

# said NAME STAGE: seconds of a stage; peak NAME: bytes that the largest rank held.
said() {
    awk -v stage="\"$2\":" '$1 == stage {here = 1} here && $1 == "\"seconds\":" {printf "%.0f", $2; exit}' "$1/run.json"
}
peak() {
    grep -oE '"peak_bytes": *[0-9]+' "$1/run.json" | grep -oE '[0-9]+$' | sort -n | tail -n 1 | awk '{printf "%.0f", $1 / 1e6}'
}

study whole 20484 "$subjects" 30
study null 20484 1 1 'null: {shifts: 1000}'
study large 200000 1 1
"$program" simulate -q whole.yaml
"$program" simulate -q large.yaml
rows=$(h5dump -H -d /responses 20484/s01.h5 | grep -oE '\( [0-9]+' | head -n 1 | tr -dc 0-9)
bytes=$((rows * 200000 * 4))
run whole
run null
run large --memory "$((bytes / 4000000))M"

cat <<TABLE
Machine: $(sed -n 's/^model name[[:space:]]*: //p' /proc/cpuinfo | head -n 1), $(nproc) cores. $("$program" --version). $ranks ranks. SIMULATED responses of $rows rows.

| what | features, s | fits, s | peak memory of a rank, MB |
|---|---|---|---|
| $subjects subjects x 20,484 voxels, 30 spaces of 40 columns, nested 5 x 5 folds | $(said whole features) | $(said whole fit) | $(peak whole) |
| one subject, one space, 1,000 shifts with penalties chosen anew | $(said null features) | $(said null fit) | $(peak null) |
| 200,000 voxels of one subject, $((bytes / 1000000)) MB, one space, --memory $((bytes / 4000000))M | $(said large features) | $(said large fit) | $(peak large) |
TABLE
