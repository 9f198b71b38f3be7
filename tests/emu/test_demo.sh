#!/usr/bin/env bash
# Protects: the whole demo study, words to report, on 2 ranks with an emulated GPU each (EMU, no GPU): the same planted truth is found, in the same
# table but for its last digits, with features and scores within 1e-5 of their size of the CPU's. Responses are simulated.
# shellcheck source-path=SCRIPTDIR
. "$(dirname "${BASH_SOURCE[0]}")/../study/common.sh"
if [ "${VG_CUDA-}" != EMU ] || ! command -v h5diff >/dev/null; then
    echo "skipped: this build has no emulated GPU (cmake --preset emu), or h5diff is not here (apt-get install hdf5-tools)"
    exit 77
fi
export VG_DEMO=$folder/demo
for device in cpu cuda; do
    cp -r "$VG_SOURCE/jobs/demo" "$device" && sed -i "s/^device: auto/device: $device/" "$device/study.yaml"
    grep -q "^device: $device" "$device/study.yaml" || fault "the demo's study does not say device: auto"
done
"$VG_PROGRAM" simulate -q cpu/study.yaml || fault "simulate failed"
"$VG_PROGRAM" run -q -o "$folder/on-cpu" cpu/study.yaml >cpu.table || fault "the run on the CPU failed"
VG_EMU_DEVICES=2 ranks 2 "$VG_PROGRAM" run -q -t 1 -o "$folder/on-cuda" cuda/study.yaml >cuda.table || fault "the run on 2 emulated GPUs failed"
cat cuda.table

# The tables have four digits: the last one may differ.
paste -d ' ' cpu.table cuda.table | awk '/^grammar\// {
    n++
    for (i = 2; i <= NF / 2; i++)
        if (($i - $(i + NF / 2)) ^ 2 > 1.1e-4 ^ 2) {print "differs: " $0; bad = 1}
} END {exit bad || n != 8}' || fault "the tables differ"

# near DELTA FILE GROUP: all numbers of the group are.
near() {
    h5diff -d "$1" "on-cpu/$2" "on-cuda/$2" "$3" >differences 2>&1 || fault "$2: $3 differs by more than $1: $(head -n 20 differences)"
}
# 1e-5 of the largest number that a space holds (activations up to 7, gradients' norms up to 300, x input up to 30)
near 7e-5 features.h5 /stories/story/features/grammar/activations
near 3e-3 features.h5 /stories/story/features/grammar/gradient_norm
near 3e-4 features.h5 /stories/story/features/grammar/gradient_x_input
for subject in sim01 sim02; do
    for space in gradient_norm gradient_x_input activations/00 activations/02 activations/final; do
        at=/subjects/$subject/grammar/$space
        near 1e-5 results.h5 "$at/score"
        # of 5 x 2,000 penalties, those of voxels to which two are as good to 1e-5
        others=$(h5diff on-cpu/results.h5 on-cuda/results.h5 "$at/alpha" | sed -n 's/ differences\? found//p')
        [ "${others:-0}" -le 10 ] || fault "$at: $others penalties are others"
    done
done
finish
