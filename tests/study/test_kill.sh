#!/usr/bin/env bash
# Protects: a run killed in the middle (kill -9: of a run alone, of one rank of three) leaves nothing under a final name; other ranks end; the
# next run takes the folder over, says so, and gives the bytes of a run that was never disturbed.
# shellcheck source-path=SCRIPTDIR
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
export VG_DEMO=$folder/demo
cp -r "$VG_SOURCE/jobs/demo" study
sed -i -e 's/layers: all/layers: [2]/' -e 's/voxels: 500/voxels: 250/' study/study.yaml

"$VG_PROGRAM" simulate -q study/study.yaml || fault "simulate failed"
"$VG_PROGRAM" run -q study/study.yaml >/dev/null || fault "run failed"

# killed STAGE FILE COMMAND...: COMMAND is begun, and killed as soon as FILE.part is there with its journal. False where it was over before.
killed() {
    local file=$1 pid victim
    shift
    "$@" >/dev/null 2>killed.log &
    pid=$!
    for _ in $(seq 3000); do
        [ ! -e "$file.part.journal" ] || break
        kill -0 "$pid" 2>/dev/null || break
        sleep 0.01
    done
    victim=$pid
    [ "$1" != mpirun ] || victim=$(pgrep -P "$pid" | tail -n 1)
    kill -9 "$victim" 2>/dev/null
    wait "$pid" 2>/dev/null
    [ $? -gt 1 ] || { fault "$file: the run was not killed"; return; }
    [ -e "$file.part" ] || fault "$file.part is not there: not killed in the middle: $(cat killed.log)"
    [ ! -e "$file" ] || fault "$file: is there after a kill"
    ! pgrep -P "$pid" >/dev/null || fault "$file: ranks are left"
}

# again COMMAND FILES...: the next run works, in the same folder.
again() {
    local command=$1 file
    shift
    "$VG_PROGRAM" "$command" -o out study/study.yaml >/dev/null 2>log || { fault "$command after a kill: $(cat log)"; return; }
    grep -q 'out/voxgrad.lock: process .* is gone; taking its place' log || fault "$command after a kill does not say that it takes the folder over"
    for file in "$@"; do
        cmp "$VG_DEMO/$file" "out/$file" || fault "$command after a kill: $file differs"
    done
    [ -z "$(find out -name '*.part*' -o -name '*.lock')" ] || fault "$command after a kill: left $(ls out)"
}

many=(mpirun -n 3 --oversubscribe --bind-to none "$VG_PROGRAM")
killed out/features.h5 "$VG_PROGRAM" features -q -o out study/study.yaml
again features features.h5
rm -rf out
killed out/features.h5 "${many[@]}" features -q -o out study/study.yaml
again run features.h5 results.h5
rm out/results.h5
killed out/results.h5 "$VG_PROGRAM" fit -q -o out study/study.yaml
again fit results.h5
rm out/results.h5
killed out/results.h5 "${many[@]}" fit -q -o out study/study.yaml
again fit results.h5
finish
