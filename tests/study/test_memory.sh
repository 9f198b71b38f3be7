#!/usr/bin/env bash
# Protects: --memory changes how many spaces share a reading of the responses, and no bit of results.h5; nor do ranks, with a nuisance band and
# a null. Ranks of a node map one copy of a model's weights (float16 in its file), which is gone when they are. What check says that
# the demo's ranks need is what they took, to 30 %.
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
