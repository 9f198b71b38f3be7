#!/usr/bin/env bash
# Protects, on an emulated GPU (EMU, no GPU): memory that runs out, launches that fail, eigenproblems that do not converge or come back as no
# numbers, and a device that vanishes, end with the right exit status and a message that says where; what was finished before is kept, and a
# run that goes on makes the bytes of an undisturbed one. What `check` says of memory is no less than what the device is asked for.
# shellcheck source-path=SCRIPTDIR
. "$(dirname "${BASH_SOURCE[0]}")/../study/common.sh"
if [ "${VG_CUDA-}" != EMU ]; then
    echo "skipped: this build has no emulated GPU (cmake --preset emu)"
    exit 77
fi
tiny
sed -i 's/device: cpu/device: cuda/' base/study.yaml

# run COMMAND...: in a fresh copy of base/, in the folder case.
run() {
    rm -rf case && cp -r base case
    (cd case && timeout -k 5 200 "$VG_PROGRAM" "$@" >stdout 2>stderr)
}

VG_EMU_REPORT=$PWD/peak run run -q study.yaml || fault "run failed: $(cat case/stderr)"
mv case whole
"$VG_PROGRAM" check base/study.yaml >checked || fault "check failed"
said=$(sed -nE 's/.*peak device memory: at most ([0-9]+) bytes.*/\1/p' checked)
[ "${said:-0}" -ge "$(sort -n peak | tail -n 1)" ] || fault "check says at most ${said:-nothing} of device memory, and $(sort -n peak | tail -n 1) bytes were taken"

# broken FAULT CODE SAYS [MEMORY]: a run with this fault injected, on a device of so many bytes, ends so.
broken() {
    VG_EMU_FAULT=$1 VG_EMU_MEMORY=${4-} run run -q study.yaml
    local status=$?
    [ "$status" -eq "$2" ] || fault "$1: exit $status, $2 was expected: $(cat case/stderr)"
    grep -qE -- "$3" case/stderr || fault "$1: \"$3\" was expected in: $(cat case/stderr)"
    [ ! -e case/out/results.h5 ] || fault "$1: left results.h5"
}
broken alloc:9 3 'cuda:0 .*: no memory on the device: [0-9]+ bytes more are needed'
broken none 3 'no memory on the device: [0-9]+ bytes more are needed' 40000000
broken launch:200 3 'cuda:0 .*vg_gpu_[a-z_]+ \(cuda_[a-z]+\.c:[0-9]+\): .*cudaErrorLaunchFailure'
broken solver:1 5 'eigenproblem 0 .*did not converge \(info 1\)'
broken solver-nan:1 5 'eigenproblem 0 .*not-a-number'
broken vanish:900 3 'cuda:0 .*cudaErrorECCUncorrectable'

# While voxels are fitted the features are whole; the run goes on from there.
broken solver:3 5 'did not converge'
[ -e case/out/features.h5.sum ] || fault "what was finished before the fault is not kept"
(cd case && "$VG_PROGRAM" run -q study.yaml >stdout 2>stderr) || fault "the run does not go on: $(cat case/stderr)"
for file in features.h5 results.h5; do
    cmp "whole/out/$file" "case/out/$file" || fault "$file of the run that went on differs"
done

# ---- a device that is lost in the middle of the work ---------------------------------------------------------------------------------------------
# Seven spaces of six listeners with a nuisance as a band, one space at a time: 63 blocks of fits. What was done is kept, and not done again.
rm -rf base && several && cd study || exit 1
sed -i '/^null:/d; /^stall:/d; s/device: cpu/device: cuda/' study.yaml

# made LOG: how many factorisations the fits of a run took.
made() {
    sed -nE 's/.* on ([0-9]+) factorisations a rank.*/\1/p' "$1"
}
"$VG_PROGRAM" run -o whole study.yaml >stdout 2>log || fault "the study fails: $(cat log)"
of_whole=$(made log)

# lost CALLS RANKS RANK COMMAND FILE: a rank's device is lost at so many calls of the runtime while COMMAND makes FILE on so many ranks, every one
# of which ends with 3. The same command then goes on from there.
# shellcheck disable=SC2016
lost() {
    local kept
    rm -rf out statuses && mkdir out
    [ "$4" = features ] || cp whole/features.h5 whole/features.h5.sum out
    VG_EMU_DEVICES=$2 VG_EMU_FAULT=vanish:$1@$3 timeout -k 5 200 mpirun -n "$2" --oversubscribe --bind-to none \
        bash -c '"$0" "$1" -q -o out study.yaml; echo "$?" >>statuses' "$VG_PROGRAM" "$4" >stdout 2>log
    [ "$(sort statuses | uniq -c | awk '{print $1, $2}')" = "$2 3" ] || fault "vanish:$1@$3: exit statuses $(paste -sd ' ' statuses): $(cat log)"
    kept=$("$VG_PROGRAM" status out | sed -nE "s/^$5: ([0-9]+) of [0-9]+ blocks.*/\1/p")
    [ "${kept:-0}" -gt 0 ] || fault "vanish:$1@$3: nothing of $5 is kept: $("$VG_PROGRAM" status out)"
    "$VG_PROGRAM" "$4" -o out study.yaml >stdout 2>log || fault "vanish:$1@$3: the run does not go on: $(cat log)"
    echo "lost with ${kept:-no} blocks of $5 done"
    for file in features.h5 results.h5; do
        [ "$4$file" = featuresresults.h5 ] || cmp "whole/$file" "out/$file" || fault "vanish:$1@$3: $file of the run that went on differs"
    done
}
lost 12000 1 0 fit results
[ "$(made log)" -lt "$of_whole" ] || fault "all of $of_whole factorisations were made again"
lost 6000 2 1 fit results
lost 4000 1 0 features features
finish
