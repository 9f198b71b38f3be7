#!/usr/bin/env bash
# Protects: unfinished work is gone on with. Ranks, all ranks or mpirun are killed (kill -9) at random instants, again and again, on changing
# numbers of ranks; what comes out in the end is, bit by bit, what an undisturbed run writes. Work that does not fit the study is refused with
# what differs; damaged slots and data are found by their checksums and done again; signals stop at a block's border; no rank outlives its run.
# shellcheck source-path=SCRIPTDIR
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
several && cd study || exit 1
began=$EPOCHREALTIME
"$VG_PROGRAM" run -q -o whole study.yaml >table || fault "an undisturbed run failed"
took=$(awk -v a="$began" -v b="$EPOCHREALTIME" 'BEGIN {print b - a}')

# launch N ARGUMENTS...: begins voxgrad on N ranks in the background; sets $launcher and $members, the processes of its ranks.
launch() {
    local n=$1
    shift
    mpirun -n "$n" --oversubscribe --bind-to none "$VG_PROGRAM" "$@" >stdout 2>stderr &
    launcher=$!
    members=
    for _ in $(seq 500); do
        members=$(pgrep -P "$launcher" | tr '\n' ' ')
        [ "$(wc -w <<<"$members")" -lt "$n" ] || break
        kill -0 "$launcher" 2>/dev/null || break
        sleep 0.01
    done
}

# gone: waits until launcher and ranks are; sets $code.
gone() {
    local member
    for _ in $(seq 600); do
        member=
        for pid in $launcher $members; do
            case $(ps -o stat= -p "$pid" 2>/dev/null) in
            '' | Z*) ;;
            *) member=$pid ;;
            esac
        done
        [ -n "$member" ] || break
        sleep 0.1
    done
    [ -z "$member" ] || fault "process $member is left a minute after its run was killed"
    wait "$launcher" 2>/dev/null
    code=$?
}

same() {
    local file
    for file in features.h5 features.h5.sum results.h5 results.h5.sum; do
        cmp "whole/$file" "out/$file" || fault "$1: $file differs"
    done
    [ -z "$(find out -name '*.part*' -o -name '*.lock' -o -name '*.new')" ] || fault "$1: left $(ls out)"
}

# ---- killed, again and again ------------------------------------------------------------------------------------------------------------
instants=${VG_KILLS:-10} # VG_KILLS=25: as often as was promised once (bench/results/soak.md)
read -r -a waits <<<"$(awk -v n="$instants" -v took="$took" 'BEGIN {srand(20240607); for (i = 0; i < n; i++) printf "%.3f ", took * (0.1 + 1.4 * rand())}')"
finished=0
for i in "${!waits[@]}"; do
    launch $((i % 3 + 1)) run -o out study.yaml
    sleep "${waits[$i]}"
    case $((i / 2 % 3)) in
    0) kill -9 "${members%% *}" 2>/dev/null ;;
    1) for pid in $members; do kill -9 "$pid" 2>/dev/null; done ;;
    2) kill -9 "$launcher" 2>/dev/null ;;
    esac
    gone
    if [ "$code" -eq 0 ] && [ -e out/results.h5 ] && [ ! -e out/results.h5.part ]; then
        same "kill $i"
        rm -rf out
        finished=$((finished + 1))
    elif [ "$code" -eq 2 ] || [ "$code" -eq 5 ]; then
        fault "kill $i: exit $code: $(cat stderr)"
    fi
done
ranks 2 "$VG_PROGRAM" run -q -o out study.yaml >again.table 2>stderr || fault "the last run failed: $(cat stderr)"
same "after the last kill"
cmp table again.table || fault "another table"
echo "$instants kills, $finished times nothing was left to kill"

# ---- one message that names it ------------------------------------------------------------------------------------------------------------
rm -rf out
launch 3 run -q -o out study.yaml
while [ ! -e out/features.h5.part.journal ] && kill -0 "$launcher" 2>/dev/null; do sleep 0.01; done
kill -9 "$(cut -d ' ' -f 2 <<<"$members")"
gone
[ "$code" -ne 0 ] || fault "a rank was killed, and the run says that all is well"
[ "$(grep -c 'process rank . .*exited on signal 9' stderr)" -eq 1 ] || fault "no message names the killed rank: $(cat stderr)"

# ---- a rank that is silent -------------------------------------------------------------------------------------------------------------------
rm -rf out
launch 3 run -q -o out study.yaml
while [ ! -e out/features.h5.part.journal ] && kill -0 "$launcher" 2>/dev/null; do sleep 0.01; done
kill -STOP "$(cut -d ' ' -f 2 <<<"$members")"
gone
[ "$code" -eq 4 ] || fault "a silent rank: exit $code: $(cat stderr)"
[ "$(grep -c 'rank . has been silent for' stderr)" -eq 1 ] || fault "no message names the silent rank: $(cat stderr)"

# ---- a graceful stop ---------------------------------------------------------------------------------------------------------------------------
# stopped SIGNAL N FILE: voxgrad on N ranks, asked by mpirun's SIGNAL to stop as soon as FILE is there.
stopped() {
    launch "$2" run -o out study.yaml
    while [ ! -e "out/$3" ] && kill -0 "$launcher" 2>/dev/null; do sleep 0.01; done
    kill -"$1" "$launcher"
    gone
    [ "$code" -eq 4 ] || fault "SIG$1 on $2 ranks: exit $code: $(cat stderr)"
    [ "$(grep -c 'stopped by SIG' stderr)" -eq 1 ] || fault "SIG$1 on $2 ranks: no single message: $(cat stderr)"
    [ -e "out/${3%.journal}" ] || fault "SIG$1 on $2 ranks: no unfinished file"
    [ ! -e out/voxgrad.lock ] || fault "SIG$1 on $2 ranks: the lock is left"
}
rm -rf out
stopped USR1 3 features.h5.part.journal
# shows PATTERN: status says so.
shows() {
    local text
    text=$("$VG_PROGRAM" status out) || fault "status failed"
    grep -qE "$1" <<<"$text" || fault "status does not say \"$1\": $text"
}
shows '^features: [0-9]+ of [0-9]+ blocks, .* 3 ranks since'
stopped USR1 2 results.h5.part.journal
shows '^features: done'
shows '^results: [0-9]+ of'
"$VG_PROGRAM" run -q -o out study.yaml >/dev/null || fault "after stops: failed"
same "after stops"
shows '^results: done'

# ---- what does not fit is refused -----------------------------------------------------------------------------------------------------------------
rm out/results.h5*
launch 1 fit -o out study.yaml
while [ ! -e out/results.h5.part.journal ] && kill -0 "$launcher" 2>/dev/null; do sleep 0.01; done
sleep 0.1
kill -USR1 "$launcher"
gone
[ -e out/results.h5.part ] || fault "nothing is left to go on with"
cp -r out kept
# unfit SAYS SETUP ARGUMENTS...: going on after SETUP is refused with this message, and leaves the work alone.
unfit() {
    local says=$1 setup=$2 status
    shift 2
    rm -rf other && mkdir other && cp -p study.yaml story.TextGrid ./*.txt other && cp -r model other && cp -rp kept other/out
    (cd other && eval "$setup" && "$VG_PROGRAM" "$@" >/dev/null 2>stderr)
    status=$?
    if [ "$status" -ne 2 ] || ! grep -qE -- "$says" other/stderr; then
        fault "$setup: exit $status, \"$says\" was expected: $(cat other/stderr)"
    fi
    cmp kept/results.h5.part other/out/results.h5.part || fault "$setup: refused, but changed"
}
unfit '"study line 1" was study: several and is now study: other' 'sed -i "s/^study: .*/study: other/" study.yaml' fit -o out study.yaml
unfit '"study line [0-9]+" was ridge: .* and is now' 'sed -i "s/alphas: .1, 100./alphas: [1, 10]/" study.yaml' fit -o out study.yaml
unfit '"responses of c to story" was .* bytes' 'touch -d 2001-01-01 3.txt' fit -o out study.yaml
unfit '"memory" was 102000000 and is now 103000000' ':' fit -m 103M -o out study.yaml
unfit 'one of them' ':' fit --resume --restart -o out study.yaml
core=$("$VG_PROGRAM" info | sed -n 's/^BLAS kernels: //p')
if [ "$core" != Haswell ] && [ "$(OPENBLAS_CORETYPE=Haswell "$VG_PROGRAM" info | sed -n 's/^BLAS kernels: //p')" = Haswell ]; then
    unfit "\"blas\" was $core and is now Haswell" 'export OPENBLAS_CORETYPE=Haswell' fit -o out study.yaml
    (cd other && OPENBLAS_CORETYPE=Haswell "$VG_PROGRAM" fit --accept-different-hardware -o out study.yaml >/dev/null 2>stderr) || fault "accepted hardware: $(cat other/stderr)"
    grep -q 'going on from' other/stderr || fault "accepted hardware: begun anew: $(cat other/stderr)"
    grep -q "begun with blas $core" other/stderr || fault "accepted hardware is not told: $(cat other/stderr)"
fi
rm -rf other && mkdir other && cp -p study.yaml story.TextGrid ./*.txt other && cp -r model other && cp -rp kept other/out
sed -i 's/^study: .*/study: other/' other/study.yaml
(cd other && "$VG_PROGRAM" run -q --restart -o out study.yaml >/dev/null) || fault "--restart failed"
! (cd other && find out -name '*.part*' | grep -q .) || fault "--restart left unfinished work"

# ---- damage -----------------------------------------------------------------------------------------------------------------------------------
# damaged SAYS FILE AT...: the work is gone on with, which says so, and gives the same bytes.
damaged() {
    local says=$1 file=$2
    shift 2
    rm -rf out && cp -rp kept out
    for at in "$@"; do flip "out/$file" "$at"; done
    "$VG_PROGRAM" fit -o out study.yaml >/dev/null 2>stderr || fault "$file damaged at $*: $(cat stderr)"
    grep -qE "$says" stderr || fault "$file damaged at $*: not told: $(cat stderr)"
    same "$file damaged at $*"
}
header=$(od -An -td8 -j 8 -N 8 kept/results.h5.part.journal)
slot=$(od -An -td8 -j 40 -N 8 kept/results.h5.part.journal)
damaged 'the slot of block 0 is torn' results.h5.part.journal $((header + 30))
damaged 'the slot of block 1 is torn' results.h5.part.journal $((header + slot + 50)) $((header + slot + 60))
# The first byte that a whole block wrote: its first region's dataset, which the header says where to find (journal.h).
dataset=$(od -An -td8 -j $((header + 40)) -N 8 kept/results.h5.part.journal)
damaged 'data of block 0 are damaged; the block is done again' results.h5.part $(($(od -An -td8 -j $((80 + 8 * dataset)) -N 8 kept/results.h5.part.journal)))
rm -rf out && cp -rp kept out && flip out/results.h5.part.journal 100
"$VG_PROGRAM" fit -o out study.yaml >/dev/null 2>stderr && fault "a damaged journal was taken"
grep -q 'header is damaged; the unfinished file cannot be resumed' stderr || fault "a damaged journal: $(cat stderr)"
# Anywhere: data are found and done again, or were to be written anyway; the structure is refused.
size=$(stat -c %s kept/results.h5.part)
for part in 0 13 29 47 63; do
    rm -rf out && cp -rp kept out && flip out/results.h5.part $((size * part / 64))
    if "$VG_PROGRAM" fit -o out study.yaml >/dev/null 2>stderr; then
        same "data damaged at $part/64"
    else
        grep -q 'its structure is damaged' stderr || fault "data damaged at $part/64: $(cat stderr)"
    fi
done
finish
