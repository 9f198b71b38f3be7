#!/usr/bin/env bash
# Protects: --memory changes how many spaces share a reading of the responses, and no bit of results.h5; nor do ranks, with a nuisance band and
# a null. Ranks of a node map one copy of a model's weights (float16 in its file), which is gone when they are. What check says that
# the demo's ranks need is what they took, to 30 %; of a node whose four ranks hold one copy of a model, what they held together (PSS).
# shellcheck source-path=SCRIPTDIR
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
tiny
cd base || exit 1
sed -i 's/layers: \[0, final\]/layers: all/' study.yaml
echo 'null: {shifts: 3}' >>study.yaml
"$VG_PROGRAM" features -q study.yaml || fault "no features"
for nuisance in none band; do
    [ "$nuisance" = none ] || echo 'nuisance: {spaces: [gradient_norm], draws: 3}' >>study.yaml
    for memory in 4G 40M 1M; do
        "$VG_PROGRAM" fit -v -m "$memory" study.yaml >/dev/null 2>"log.$memory" || fault "$nuisance, $memory: no fit"
        grep -o 'in [0-9]* readings' "log.$memory" || fault "$nuisance, $memory: the log does not say how many readings"
        mv out/results.h5 "results.$nuisance.$memory"
        cmp "results.$nuisance.4G" "results.$nuisance.$memory" || fault "$nuisance, $memory: other results"
    done
    [ "$(grep -o 'in [0-9]* readings' log.4G)" != "$(grep -o 'in [0-9]* readings' log.1M)" ] || fault "memory changed nothing: the test is empty"
    ranks 3 "$VG_PROGRAM" fit -q study.yaml >/dev/null || fault "$nuisance: no fit on 3 ranks"
    cmp "results.$nuisance.4G" out/results.h5 || fault "$nuisance: other results on 3 ranks"
done

# ---- what check says -------------------------------------------------------------------------------------------------------------------------
if [[ $VG_BUILD != *asan* ]]; then # a sanitizer takes as much again for itself
    export VG_DEMO=$PWD/demo
    demo=$VG_SOURCE/jobs/demo/study.yaml
    "$VG_PROGRAM" simulate -q -d cpu -t 1 "$demo" || fault "no simulated responses"
    "$VG_PROGRAM" fit -q -d cpu -t 1 "$demo" >/dev/null || fault "no fit of the demo"
    said=$("$VG_PROGRAM" check -d cpu -t 1 "$demo" | sed -n 's/^memory needed a rank: \([0-9]*\) MB.*/\1/p')
    took=$(sed -n 's/.*"peak_bytes": \([0-9]*\).*/\1/p' demo/run.json | sort -n | tail -n 1)
    awk -v said="$said" -v took="$took" 'BEGIN {exit !(said * 1e6 < 1.3 * took && said * 1e6 > 0.7 * took)}' || fault "check says $said MB, and $took bytes were taken"
fi

# ---- what check says of a node: an untrained model of 140 MB, whose copy is counted once ---------------------------------------------------------
if [[ $VG_BUILD != *asan* ]]; then
    mkdir -p wide/model && cp model/tokenizer.json wide/model && head -n $((14 + 4 * 60)) "$VG_SOURCE/jobs/demo/story.TextGrid" | sed 's/intervals: size = .*/intervals: size = 60/' >wide/story.TextGrid
    sed -e 's/"hidden_size": .*/"hidden_size": 512,/; s/"intermediate_size": .*/"intermediate_size": 1376,/; s/"num_hidden_layers": .*/"num_hidden_layers": 12,/' model/config.json >wide/model/config.json
    cat >wide/study.yaml <<'STUDY'
output: wide/out
device: cpu
threads: 1
memory: 300M
model: {name: wide, path: model, init: random}
context: {words: 8}
features: [{method: gradient_norm, words: 4}, {method: gradient_x_input, words: 4}]
stories: [{name: story, words: story.TextGrid, tier: words}]
STUDY
    # needs RANKS: megabytes of a node.
    needs() { "$VG_PROGRAM" check --ranks "$1" wide/study.yaml | sed -nE 's/^memory needed a (rank|node of [0-9]* ranks): ([0-9]*) MB.*/\2/p' | tail -n 1; }
    one=$(needs 1) four=$(needs 4) eight=$(needs 8)
    echo "a node of 1, 4, 8 ranks: $one, $four, $eight MB"
    if [ $((four - one)) -gt 350 ] || [ $((eight - four)) -gt 450 ]; then fault "the weights are counted more than once"; fi
    mpirun -n 4 --oversubscribe --bind-to none "$VG_PROGRAM" features -q -o wide/out wide/study.yaml 2>log &
    launcher=$! took=0
    while kill -0 $launcher 2>/dev/null; do
        now=0
        for pid in $(pgrep -P $launcher); do now=$((now + $(awk '/^Pss:/ {n = $2} END {print n + 0}' "/proc/$pid/smaps_rollup" 2>/dev/null || echo 0))); done
        took=$((now > took ? now : took))
        sleep 0.02
    done
    wait $launcher || fault "no features of the wide model: $(cat log)"
    echo "four ranks held $((took * 1024 / 1000000)) MB"
    awk -v said="$four" -v took="$took" 'BEGIN {exit !(said * 1e6 < 1.3 * took * 1024 && said * 1e6 > 0.7 * took * 1024)}' || fault "check says $four MB of a node, and $took kB were held"
fi

# ---- one copy of the weights -----------------------------------------------------------------------------------------------------------------
"$VG_PROGRAM" features -q --restart -o alone study.yaml || fault "no features"
sed -e 's/^features:/&\n  - {method: integrated_gradients, words: 4, steps: 256}/' study.yaml >long.yaml # long enough to be looked at
mkdir tmp
export SLURM_TMPDIR=$PWD/tmp
mpirun -n 4 --oversubscribe --bind-to none "$VG_PROGRAM" features -q -o long long.yaml >/dev/null 2>log &
launcher=$!
until [ -e long/features.h5.part.journal ] || ! kill -0 $launcher 2>/dev/null; do sleep 0.01; done
maps=$(for pid in $(pgrep -P $launcher); do awk '/voxgrad-.*\.weights/ {print $5, $2}' "/proc/$pid/maps"; done)
[ "$(sort -u <<<"$maps" | wc -l) $(wc -l <<<"$maps")" = "1 4" ] || fault "the ranks do not map one file: $maps"
[[ $(sort -u <<<"$maps") == *r--s ]] || fault "the copy is not mapped for reading alone: $maps"
kill -USR1 $launcher
wait $launcher
[ $? -eq 4 ] || fault "not stopped: $(cat log)"
[ -z "$(ls -A tmp)" ] || fault "the copy is left: $(ls tmp)"
mount -t tmpfs -o size=16k tmpfs tmp 2>/dev/null || echo "no tmpfs may be mounted here: a full SLURM_TMPDIR was not tried"
ranks 2 "$VG_PROGRAM" features study.yaml >/dev/null 2>log || fault "no features beside a full SLURM_TMPDIR: $(cat log)"
cmp alone/features.h5 out/features.h5 || fault "features.h5 differs on 2 ranks"
! mountpoint -q tmp || [ "$(grep -c 'holds the weights on its own: .* no room' log)" -eq 1 ] || fault "a full SLURM_TMPDIR: no line says so: $(cat log)"
umount tmp 2>/dev/null
finish
