#!/usr/bin/env bash
# Protects: a study's features and scores are the same on the CPU and on an emulated GPU (EMU, no GPU) within 1e-5 of their size, penalties up to ties, and the
# same bytes on the emulated GPU for 1, 2 and 4 ranks with a device each, forward and backward; `precision` shows in features, and stays near.
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

for precision in tf32 bf16; do
    try "$precision" 1 "s/device: cpu/device: cuda/; s/path: model}/path: model, precision: $precision}/"
    ! cmp -s "gpu/out/features.h5" "$precision/out/features.h5" || fault "precision: $precision changes nothing"
    near 0.7 cpu/out/features.h5 "$precision/out/features.h5" /stories/story/features/grammar/activations
done
finish
