#!/usr/bin/env bash
# Scaling, counted: what 1, 2, 4 and 8 ranks do and send for one study (strong), and for one that grows with them (weak). Counts come from
# run.json and say the same on a busy machine; times would not. bench/results/scaling.md has the tables.
set -euo pipefail
root=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)

usage() {
    cat <<'USAGE'
Usage: bench/scaling.sh

Needs build/release. Prints two tables in Markdown: strong and weak scaling of a study of the demo's story and model, and SIMULATED responses
(sines): for K parts, 100 K intervals of the story and 2 K listeners x 40 voxels, 8 spaces, a null of 20 shifts. Some minutes.
Exit status: 0 done, 1 results differ between ranks, 2 there is no build.
USAGE
}
case "${1-}" in
'') ;;
-h | --help) usage && exit 0 ;;
*) usage >&2 && exit 2 ;;
esac
program=$root/build/release/voxgrad demo=$root/jobs/demo
[ -x "$program" ] || { usage >&2 && exit 2; }
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_btl_vader_single_copy_mechanism=none
folder=$(mktemp -d) && trap 'rm -rf -- "$folder"' EXIT
cd "$folder" && cp -r "$demo/model" model

# make K: study-K.yaml, of K parts.
make() {
    local k=$1 intervals=$((100 * $1)) rows
    head -n $((14 + 4 * intervals)) "$demo/story.TextGrid" | sed "s/intervals: size = .*/intervals: size = $intervals/" >"story-$k.TextGrid"
    rows=$(tail -n 2 "story-$k.TextGrid" | awk '/xmax/ {print int(4 * $3) - 4}')
    cat >"study-$k.yaml" <<STUDY
study: part-$k
output: out-$k
device: cpu
threads: 1
model: {name: grammar, path: model}
target: {of: log_prob}
features:
  - {method: gradient_norm, words: 10}
  - {method: gradient_x_input, words: 10}
  - {method: activations, layers: all}
stories:
  - {name: story, words: story-$k.TextGrid, tier: words}
alignment: {delays: [2, 3, 4, 5], filter: none}
ridge: {alphas: {min: 1.0e-1, max: 1.0e+8, count: 20}, outer_folds: 3, inner_folds: 3}
null: {shifts: 20, min_shift: 4}
atlas: {columns: [$(seq -s ', ' -f 'v%g' 40)]}
responses:
  tr: 0.25
  subjects:
STUDY
    for ((s = 1; s <= 2 * k; s++)); do
        awk -v s="$s" -v rows="$rows" 'BEGIN {for (t = 0; t < rows; t++) {for (v = 0; v < 40; v++) printf "%.4f ", sin(t * t * 12.9898 + v * 78.233 + s); print ""}}' >"$k-$s.txt"
        echo "    - {name: s$s, runs: {story: $k-$s.txt}}" >>"study-$k.yaml"
    done
}

# row RANKS STUDY: a row of the table, of the last stage's notes (which count from a rank's begin).
row() {
    awk -v ranks="$1" '
        /^  "fit": / {here = 1}
        here && match($0, /"[a-z_]+": [0-9.]+/) {
            split(substr($0, RSTART, RLENGTH), part, /": /)
            name = substr(part[1], 2)
            sum[name] += part[2]
            if (part[2] > most[name]) most[name] = part[2]
        }
        END {
            printf "| %d | %d | %d | %d | %d | %d | %d | %d |\n", ranks, sum["blocks"], most["blocks"], sum["bytes_sent"], most["messages"],
                most["collective_calls"], most["read_calls"], most["write_calls"]
        }' "$2/run.json"
}
head_of_table() {
    printf '\n%s\n\n' "$1"
    echo '| ranks | blocks, all ranks | blocks, most of a rank | bytes sent, all ranks | messages, most of a rank | collective calls | read calls, most of a rank | write calls, most of a rank |'
    echo '|---|---|---|---|---|---|---|---|'
}
run() {
    rm -rf "out-$2"
    mpirun -n "$1" --oversubscribe --bind-to none "$program" run -q "study-$2.yaml" >table 2>log || { cat log >&2 && exit 1; }
}

for k in 1 2 4 8; do make $k; done
head_of_table 'Strong: 8 parts.'
for n in 1 2 4 8; do
    run $n 8
    row $n out-8
    [ $n -eq 1 ] && cp out-8/results.h5 one.h5
    cmp one.h5 out-8/results.h5 || exit 1
done
head_of_table 'Weak: a part a rank.'
for n in 1 2 4 8; do
    run $n $n
    row $n out-$n
done
