#!/usr/bin/env bash
# Protects: statistics are the same bytes on 1, 2 and 3 ranks; the table says p and what it is, and says that nothing is significant where there
# is no null; check says what p can be reached; keys of the statistics that cannot be met are refused with their place.
# shellcheck source-path=SCRIPTDIR disable=SC2016
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
tiny

# bad SAYS SED: as in test_bad_study.sh
bad() {
    refused 1 2 "$1" "sed -i -E '$2' study.yaml" 'check -q study.yaml'
}
bad 'study.yaml:21: null.shift: unknown key; did you mean "shifts"' '$a null: {shift: 9}'
bad 'study.yaml:21: null.shifts: -1 is not between 0' '$a null: {shifts: -1}'
bad 'study.yaml:21: null.min_shift: auto, or a number of rows from 1 on, not 0' '$a null: {shifts: 9, min_shift: 0}'
refused 3 2 'study.yaml: null.min_shift: no shift of 30 rows' "sed -i '\$a null: {shifts: 9, min_shift: 30}' study.yaml"
rm -rf case

cd base || exit 1
"$VG_PROGRAM" run -q study.yaml >table || fault "no study without a null"
grep -q 'nothing here is called significant' table || fault "without a null the table does not say that nothing is significant"
grep -q ' p 0' table && fault "without a null there is a p"
rm -rf out

echo 'null: {shifts: 9}' >>study.yaml
"$VG_PROGRAM" check -q study.yaml | grep -q 'null: 9 shifts of 12 rows or more, smallest p 0.1,' || fault "check does not say what p can be reached"
for n in 1 2 3; do
    ranks "$n" "$VG_PROGRAM" run -q study.yaml >"table.$n" || fault "$n ranks: run failed"
    mv out "out.$n"
    cmp out.1/results.h5 "out.$n/results.h5" || fault "$n ranks: other results"
    cmp table.1 "table.$n" || fault "$n ranks: another table"
done
cat table.1
[ "$(grep -c ' p [01][.]' table.1)" -eq 3 ] || fault "not every space has its p"
grep -q '9 shifts' table.1 || fault "the table does not say what p is"

# more shifts than there are
sed -i 's/shifts: 9/shifts: 1000/' study.yaml
"$VG_PROGRAM" check -q study.yaml | grep -q 'null: 25 shifts .*smallest p 0.038' || fault "check does not say that there are 25 shifts"
finish
