#!/usr/bin/env bash
# Protects: a disk that is full is found before the first block, with exit 3 and what is missing, of the features' file and of the results';
# nothing lies under a final name; where room is made the same command goes on, on other ranks too, and writes what an undisturbed run does.
# shellcheck source-path=SCRIPTDIR
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
mkdir disk
if ! mount -t tmpfs -o size=16m tmpfs disk 2>/dev/null; then
    echo "skipped: no tmpfs may be mounted here"
    exit 77
fi
several && cd study || exit 1
"$VG_PROGRAM" run -q -o whole study.yaml >table || fault "an undisturbed run failed"

# fill BYTES: leaves so many bytes of the disk free.
fill() {
    local free
    rm -f ../disk/ballast
    free=$(df --output=avail -B 1 ../disk | tail -n 1)
    head -c $((free - $1)) /dev/zero >../disk/ballast
}
# full RANKS FILE: the run ends for want of room for FILE.
full() {
    ranks "$1" "$VG_PROGRAM" run -o ../disk/out study.yaml >/dev/null 2>stderr
    code=$?
    [ $code -eq 3 ] || fault "$2, $1 ranks: exit $code: $(cat stderr)"
    grep -qE "$2.*(bytes|MB).*(space|room|left|free)" stderr || fault "$2, $1 ranks: it is not said what is missing: $(cat stderr)"
    [ ! -e "../disk/out/$2" ] || fault "$2 is there, on a full disk"
    [ ! -e ../disk/out/voxgrad.lock ] || fault "the lock is left"
}
features=$(stat -c %s whole/features.h5)
fill 40960
full 1 features.h5
full 3 features.h5
fill $((2 * features)) # the features and their journal, and no more
full 2 results.h5
rm ../disk/ballast
ranks 3 "$VG_PROGRAM" run -q -o ../disk/out study.yaml >again.table 2>stderr || fault "with room: $(cat stderr)"
for file in features.h5 features.h5.sum results.h5 results.h5.sum; do cmp "whole/$file" "../disk/out/$file" || fault "$file differs"; done
cmp table again.table || fault "another table"
cd "$folder" || exit 1
finish
