#!/usr/bin/env bash
# Protects, on emulated GPUs (EMU, no GPU): the same bytes on 1, 2 and 4 ranks with a device each, and on 2 ranks with one device, where NCCL is
# not used and one line says so; a rank whose NCCL fails or answers no more, whose device vanishes, has no memory left, refuses a launch or
# solves no eigenproblem: all ranks end with the same status, soon; where NCCL cannot even be joined, or its library is missing (on one rank, on
# all), MPI serves and one line says so. Sums of doubles by ncclAllReduce are not such bytes: the emulation shows it.
# shellcheck source-path=SCRIPTDIR
. "$(dirname "${BASH_SOURCE[0]}")/../study/common.sh"
if [ "${VG_CUDA-}" != EMU ]; then
    echo "skipped: this build has no emulated GPU (cmake --preset emu)"
    exit 77
fi
tests=$VG_BUILD/tests

# ---- exchange, shared designs, sums over subjects ----------------------------------------------------------------------------------------------------------
for program in comm_test_exchange_device_mpi encoding_test_share_mpi study_test_group_mpi; do
    for try in "4 forward" "4 backward" "2 backward"; do
        n=${try% *} order=${try#* }
        VG_DEVICE=cuda VG_EMU_DEVICES=$n VG_EMU_ORDER=$order ranks "$n" "$tests/$program" >log 2>&1 || fault "$program on $n ranks, $order: $(tail -n 20 log)"
        ! grep -q "not NCCL" log || fault "$program on $n ranks with a device each does not use NCCL"
    done
    VG_DEVICE=cuda VG_EMU_DEVICES=1 ranks 2 "$tests/$program" >log 2>&1 || fault "$program on 2 ranks and one device: $(tail -n 20 log)"
    [ "$(grep -c 'through the hosts. memory and MPI, not NCCL: ranks 0 and 1 drive the same GPU' log)" -eq 1 ] || fault "$program on one device: no line, or several: $(cat log)"
done

# ---- a floating-point all-reduce would show ------------------------------------------------------------------------------------------------
for n in 1 2 4; do
    for seed in 1 2; do
        VG_EMU_DEVICES=$n VG_EMU_NCCL_SEED=$seed ranks "$n" "$VG_BUILD/tests/emu/emu_reduction" >>sums || fault "emu_reduction fails on $n ranks"
    done
done
[ "$(cut -d ' ' -f 1 sums | sort -u | wc -l)" -ge 3 ] || fault "sums of doubles by ncclAllReduce are the same whatever the ranks and the seed: $(cat sums)"
[ "$(cut -d ' ' -f 2 sums | sort -u | wc -l)" -eq 1 ] || fault "sums of integers by ncclAllReduce depend on ranks or seed: $(cat sums)"

# ---- a study ----------------------------------------------------------------------------------------------------------------------------------
tiny
(cd base && "$VG_PROGRAM" features -q study.yaml) || fault "features failed" # on the CPU: the emulated language model is tried elsewhere
sed -i 's/device: cpu/device: cuda/' base/study.yaml

# fit DEVICES RANKS: in the folder case; every rank's exit status into case/statuses, what they said into case/log.
# shellcheck disable=SC2016
fit() {
    rm -rf case && cp -r base case
    (cd case && VG_EMU_DEVICES=$1 timeout -k 5 120 mpirun -n "$2" --oversubscribe --bind-to none \
        bash -c '"$0" fit -q study.yaml; echo "$?" >>statuses' "$VG_PROGRAM" >log 2>&1)
    [ "$(wc -l <case/statuses)" -eq "$2" ] || fault "of $2 ranks $(wc -l <case/statuses) ended: $(cat case/log)"
}

fit 1 1
mv case/out/results.h5 one.h5 || fault "no results on 1 rank: $(cat case/log)"
for devices in 2 4 1; do
    n=$((devices == 1 ? 2 : devices))
    fit "$devices" "$n"
    cmp one.h5 case/out/results.h5 || fault "$n ranks on $devices devices: results differ: $(cat case/log)"
done

# ---- faults -----------------------------------------------------------------------------------------------------------------------------------
export VOXGRAD_LINK_TIMEOUT=5
# broken FAULT SAYS [STATUS]: 4 ranks with a device each all end with 3, or STATUS, and one message says why.
broken() {
    local began=$SECONDS
    VG_EMU_FAULT=$1 fit 4 4
    [ "$(sort -u case/statuses)" = "${3-3}" ] || fault "$1: exit statuses $(paste -sd ' ' case/statuses); $(cat case/log)"
    grep -qE -- "$2" case/log || fault "$1: \"$2\" was expected in: $(cat case/log)"
    [ ! -e case/out/results.h5 ] || fault "$1: left results.h5"
    [ $((SECONDS - began)) -lt 60 ] || fault "$1: the ranks took $((SECONDS - began)) s to end"
}
broken nccl:4@2 'ncclBroadcast.* on GPU 0000:03:00.0 failed: ncclSystemError'
broken nccl:9@0 'ncclBroadcast.* on GPU 0000:01:00.0 failed: ncclSystemError'
broken nccl-hang:6@1 "other ranks. GPUs have not answered for 5 s"
broken alloc:9@2 'cuda:2 .*no memory on the device: [0-9]+ bytes more are needed'
broken launch:20@1 'cuda:1 .*vg_gpu_[a-z_]+ .*cudaErrorLaunchFailure'
broken solver:1@1 'cuda:1 .*did not converge' 5
broken solver-nan:1@0 'cuda:0 .*not-a-number' 5
for call in 30 300 600; do # while features are factored, designs shared, voxels fitted
    broken "vanish:$call@1" 'cuda:1|GPU 0000:02:00.0'
done

VG_EMU_FAULT=nccl:1@1 fit 4 4
[ "$(sort -u case/statuses)" = 0 ] || fault "NCCL that cannot be joined is not replaced by MPI: $(cat case/log)"
cmp one.h5 case/out/results.h5 || fault "NCCL that cannot be joined changes the results"

# ---- no library --------------------------------------------------------------------------------------------------------------------------------
# missing RANK: there is no NCCL for this rank (all: for none): the same bytes, by way of MPI, and one line says so.
# shellcheck disable=SC2016
missing() {
    rm -rf case && cp -r base case
    (cd case && VG_EMU_DEVICES=2 MISSING=$1 timeout -k 5 120 mpirun -n 2 --oversubscribe --bind-to none \
        bash -c '[ "$MISSING" != all ] && [ "$MISSING" != "$OMPI_COMM_WORLD_RANK" ] || export VOXGRAD_NCCL=/nowhere/libnccl.so.2; exec "$0" fit study.yaml' "$VG_PROGRAM" >log 2>&1) ||
        fault "a missing NCCL ends the run: $(cat case/log)"
    cmp one.h5 case/out/results.h5 || fault "without NCCL results differ"
    [ "$(grep -c 'not NCCL: /nowhere/libnccl.so.2: cannot open' case/log)" -eq 1 ] || fault "no line, or several, that NCCL is missing for $1: $(cat case/log)"
}
missing all
missing 0
missing 1
finish
