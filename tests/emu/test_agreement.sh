#!/usr/bin/env bash
# Protects: a study's features and scores are the same on the CPU and on an emulated GPU (EMU, no GPU) within 1e-5 of their size, penalties up to ties, and the
# same bytes on the emulated GPU for 1, 2 and 4 ranks with a device each, forward and backward; `precision` shows in features, and no more than its rounding allows.
# shellcheck source-path=SCRIPTDIR
. "$(dirname "${BASH_SOURCE[0]}")/../study/common.sh"
if [ "${VG_CUDA-}" != EMU ] || ! command -v h5diff >/dev/null; then
    echo "skipped: this build has no emulated GPU (cmake --preset emu), or h5diff is not here (apt-get install hdf5-tools)"
    exit 77
fi
tiny

# try NAME RANKS SED: the study, changed so, in a folder of that name.
try() {
    cp -r base "$1" && sed -i "$3" "$1/study.yaml"
    (cd "$1" && VG_EMU_DEVICES=$2 ranks "$2" "$VG_PROGRAM" run -q study.yaml >stdout 2>stderr) || fault "$1 failed: $(cat "$1/stderr")"
}
try cpu 1 ''
try gpu 1 's/device: cpu/device: cuda/'
try gpus 2 's/device: cpu/device: cuda/'
VG_EMU_ORDER=backward try all 4 's/device: cpu/device: cuda/'
for file in features.h5 results.h5; do
    cmp "gpu/out/$file" "gpus/out/$file" || fault "$file: other bytes on 2 ranks"
    cmp "gpu/out/$file" "all/out/$file" || fault "$file: other bytes on 4 ranks, backward"
done

# near DELTA FILE-A FILE-B GROUP: all numbers of the group are.
near() {
    h5diff -d "$1" "$2" "$3" "$4" >differences 2>&1 || fault "$2 and $3 differ in $4 by more than $1: $(head -n 20 differences)"
}
# 1e-5 of the largest number that a space holds (activations up to 7, gradients' norms up to 300): small entries are sums of large ones
near 7e-5 cpu/out/features.h5 gpu/out/features.h5 /stories/story/features/grammar/activations
near 3e-3 cpu/out/features.h5 gpu/out/features.h5 /stories/story/features/grammar/gradient_norm
near 1e-5 cpu/out/results.h5 gpu/out/results.h5 /subjects

# How far activations are from the CPU's, root mean square of the differences over that of the activations.
away() {
    for file in cpu "$1"; do
        h5dump -d /stories/story/features/grammar/activations/final -y -w 1 -o "numbers-$file" "$file/out/features.h5" >dump || fault "h5dump: $(cat dump)"
    done
    paste -d ' ' <(tr -d , <numbers-cpu) <(tr -d , <"numbers-$1") | awk 'NF == 2 {d += ($1 - $2) ^ 2; x += $1 ^ 2} END {printf "%.3g\n", sqrt(d / x)}'
}

# Six products follow on each other in each of the model's four blocks (projection, scores, mixture, projection, gate and up, down). Both factors
# of each are rounded, by u of their size at most (u = 2^-11 for TF32, 2^-8 for bfloat16), one number independently of the others, so that the
# squares of 48 errors add: what comes out is off by sqrt(48) u at most, where nothing on the way makes errors grow; and by more than u / 10, for
# rounding is all that differs.
for precision in "tf32 2048" "bf16 256"; do
    name=${precision% *} u=${precision#* }
    try "$name" 1 "s/device: cpu/device: cuda/; s/path: model}/path: model, precision: $name}/"
    off=$(away "$name")
    echo "precision $name: activations off by $off of their size, 2^-8 is 0.0039, 2^-11 0.00049"
    awk -v off="$off" -v u="$u" 'BEGIN {exit !(off > 0.1 / u && off <= sqrt(48) / u)}' || fault "precision: $name: activations are off by $off of their size"
done
finish
