#!/usr/bin/env bash
# Protects: the demo study from stories to scores: the planted truth is recovered (the planted space wins in its region, a region planted with
# nothing stays within noise), everything simulated says so, and both files are the same bytes on 1, 2, 3 and 5 ranks and 1 and 2 threads a rank.
# shellcheck source-path=SCRIPTDIR
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
study=$VG_SOURCE/jobs/demo/study.yaml
export VG_DEMO=$folder/demo

ranks 2 "$VG_PROGRAM" simulate -q "$study" || fault "simulate failed"
ranks 2 "$VG_PROGRAM" run -q "$study" >table || fault "run failed"
cat table
head -n 1 table | grep -q SIMULATED || fault "the table does not say that the responses are simulated"

# winner COLUMN EXPECTED: the space with the largest score in a column of the table (its mean is field 2 + 3 (COLUMN - 1)).
winner() {
    local best
    best=$(awk -v c="$1" '/^grammar\//{x = $(2 + 3 * (c - 1)); if (n++ == 0 || x > most) {most = x; name = $1}} END {print name, most}' table)
    echo "region $1: $best"
    [ "${best% *}" = "grammar/$2" ] || fault "region $1 was planted with $2, and $best wins"
    awk -v x="${best#* }" 'BEGIN {exit !(x > 0.1)}' || fault "region $1: the planted space scores only ${best#* }"
}
winner 1 gradient_norm
winner 2 gradient_x_input
winner 3 activations/02
# 1,000 voxels without signal: the mean of r over voxels and two subjects has a standard error near .002; .02 is far outside what noise does
awk '/^grammar\//{x = $11; if (x > 0.02 || x < -0.02) {print "REGION_D: " $1 " scores " x; bad = 1}} END {exit bad}' table || fault "a region planted with nothing is predicted"

for n in 1 2 3 5; do
    for threads in 1 2; do
        [ "$n$threads" != 52 ] || continue
        ranks "$n" "$VG_PROGRAM" run -q -t "$threads" -o "$folder/again" "$study" >again.table || fault "$n ranks, $threads threads: run failed"
        for file in features.h5 results.h5; do
            cmp "$VG_DEMO/$file" "again/$file" || fault "$n ranks, $threads threads: $file differs"
        done
        cmp table again.table || fault "$n ranks, $threads threads: another table"
        rm -rf again
    done
done

left=$(find "$VG_DEMO" -name '*.part*' -o -name '*.lock')
[ -z "$left" ] || fault "left behind: $left"
for attribute in /regions /subjects; do
    h5dump -a "$attribute/simulated" "$VG_DEMO/results.h5" 2>/dev/null | grep -q SIMULATED || ! command -v h5dump >/dev/null || fault "results.h5: $attribute does not say that it is simulated"
done
finish
