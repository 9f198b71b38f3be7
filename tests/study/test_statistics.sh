#!/usr/bin/env bash
# Protects: statistics are the same bytes on 1, 2, 3 and 5 ranks, with two models, layers, contrasts, families at equal size and the profile; the
# tables say p and what it is, and say that nothing is significant where there is no null; check says what p can be reached; keys of the
# statistics that cannot be met are refused with their place.
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
bad 'study.yaml:21: statistics.equal_size: none, auto, or a number of columns' '$a statistics: {equal_size: 0}'
bad 'study.yaml:21: statistics.level: 2 is not between' '$a statistics: {level: 2}'
bad 'study.yaml:21: statistics.bootstraps: unknown key; did you mean "bootstrap"' '$a statistics: {bootstraps: 9}'
bad 'study.yaml:21: families: auto, none, or .*expected here' '$a families: [gradient_norm]'
bad 'study.yaml:21: families: "a--b" cannot be the name of a family' '$a families: {a--b: [gradient_norm]}'
bad 'study.yaml:21: contrasts: two names of spaces are expected here' '$a contrasts: [[gradient_norm]]'
bad 'study.yaml:21: contrasts: "activations" less itself is nothing' '$a contrasts: [[activations, activations]]'
bad 'study.yaml:21: profile.words: a number of words from 1 on, not 0' '$a profile: {words: [0]}'
run_bad() {
    refused 2 2 "$1" "sed -i '$2' study.yaml; mkdir -p out; cp ../made.h5 out/features.h5; cp ../made.h5.sum out/features.h5.sum" 'fit -q study.yaml'
}
(cd base && "$VG_PROGRAM" features -q study.yaml && mv out/features.h5 ../made.h5 && mv out/features.h5.sum ../made.h5.sum && rm -r out) || fault "no features"
run_bad 'contrasts: there is no space "gradient_normal"' '$a contrasts: [[gradient_normal, activations]]'
run_bad 'contrasts: "activations/07" .*|there is no space "activations/07"' '$a contrasts: [[gradient_norm, activations/07]]'
run_bad 'families: none_such: none of its members is a space' '$a families: {none_such: [erasure], some: [gradient_norm]}'
run_bad 'profile.spaces: .*activations has no columns of two words' '$a profile: {spaces: [activations]}'
refused 3 2 'study.yaml: null.min_shift: no shift of 30 rows' "sed -i '\$a null: {shifts: 9, min_shift: 30}' study.yaml"
rm -rf case

cd base || exit 1
"$VG_PROGRAM" run -q study.yaml >table || fault "no study without a null"
grep -q 'nothing here is called significant' table || fault "without a null the table does not say that nothing is significant"
grep -q ' p 0' table && fault "without a null there is a p"
rm -rf out

cp study.yaml plain.yaml
cat >>study.yaml <<'MORE'
null: {shifts: 9}
contrasts: all
statistics: {equal_size: 4}
profile: {spaces: all, words: [1, 2]}
MORE
sed -i 's/^model: .*/models: [{name: grammar, path: model}, {name: untrained, path: model, init: random}]/; s/layers: .*}/layers: all}/' study.yaml
sed -i '/method: activations/a\  - {method: layer_influence, max_steps: 16}' study.yaml
# said SHIFTS SAYS: check says that of a null of so many shifts
said() {
    sed "s/shifts: 9/shifts: $1/" study.yaml >other.yaml
    "$VG_PROGRAM" check -q other.yaml | grep -qE "null: $2" || fault "$1 shifts: check does not say: $2"
}
said 9 '9 shifts, smallest p 0.1 '
said 9 'too few shifts: no voxel can have q below statistics.level 0.05, which takes 20'
said 9 'too few shifts: no voxel can have a winner among families: .* it takes 40'
said 25 'q below 0.05 takes 4 of a subject.s 4 voxels with the smallest p'
said '25, min_shift: 4' 'null.min_shift 4: p will be too small'
"$VG_PROGRAM" check -q study.yaml >checked
grep -q '^fits: 8 voxels x 32 spaces' checked || fault "check does not count spaces cut to equal size: $(grep ^fits: checked)"
grep -q '^profile: 14 fits of every voxel more' checked || fault "check does not count the profile: $(grep ^profile: checked)"
said 1000 '47 shifts, smallest p 0.021'
"$VG_PROGRAM" check -q other.yaml | grep -q 'too few' && fault "47 shifts are said to be too few"
for n in 1 2 3 5; do
    ranks "$n" "$VG_PROGRAM" run -q study.yaml >"table.$n" || fault "$n ranks: run failed"
    mv out "out.$n"
    cmp out.1/results.h5 "out.$n/results.h5" || fault "$n ranks: other results"
    cmp table.1 "table.$n" || fault "$n ranks: another table"
done
cat table.1
spaces=$(grep -c '^[a-z]*/' table.1)
[ "$spaces" -gt 10 ] || fault "only $spaces spaces"
[ "$(grep -c ' p [01][.]' table.1)" -eq "$spaces" ] || fault "not every space has its p"
grep -q '9 shifts' table.1 || fault "the table does not say what p is"

# the other tables: rows of as many cells as the header has, each with what it is about
table() {
    "$VG_PROGRAM" table out.1/results.h5 --what "$1" --csv >"$1.csv" || fault "no table $1"
    [ "$(awk -F, '{print NF}' "$1.csv" | sort -u | wc -l)" -eq 1 ] || fault "$1: rows of different lengths"
    "$VG_PROGRAM" table out.1/results.h5 --what "$1" >"$1.txt" || fault "no readable table $1"
    [ "$(grep -c . "$1.txt")" -eq $(($(grep -c . "$1.csv") + 1)) ] || fault "$1: CSV and readable table differ in rows"
}
has() {
    grep -qE "$2" "$1.csv" || fault "$1: no row with $2: $(head -3 "$1.csv")"
}
for what in regions layers methods models contrasts correlation profile; do table "$what"; done
has regions '^untrained,activations.pc4,final,top,2,'
has layers '^grammar,activations,best,all,2,'
has methods '^grammar,gradient_norm,,all,2,'
has methods '^untrained,activations,best,all,2,'
[ "$(grep -c ',all,' methods.csv)" -eq $(($(wc -l <methods.csv) - 1)) ] || fault "methods: something that is no average"
grep -A 1 '^grammar,gradient_norm,,left' models.csv | grep -q '^untrained,gradient_norm,,left' || fault "models do not stand side by side"
has contrasts '^grammar/activations,grammar/gradient_norm,left,2,'
has contrasts '^grammar/gradient_norm,untrained/gradient_norm,left,2,'
has contrasts '^grammar.explanation,grammar.representation,all,2,'
grep -q '^grammar/gradient_norm,untrained/activations' contrasts.csv && fault "contrasts: all crosses methods with models"
has correlation "^grammar,activations,untrained,activations,0,0,,,,,,0$" # no voxel passes, and no sphere is given
has profile '^grammar,gradient_norm,,all,last,2,2,'
has profile '^grammar,gradient_norm,,all,last,4,2,'
has profile '^untrained,gradient_norm,,all,without,4,2,'
whole=$(awk -F, '$1 == "grammar" && $2 == "gradient_norm" && $4 == "all" {print $6}' regions.csv)
[ "$(awk -F, '$1 == "grammar" && $4 == "all" && $5 == "last" && $6 == 4 {print $8}' profile.csv)" = "$whole" ] ||
    fault "the profile of all words is not the space's own score"
"$VG_PROGRAM" table out.1/results.h5 --what layer 2>&1 | grep -q 'did you mean layers' || fault "--what layer is not set right"

# what was not asked for is not there, and said so
"$VG_PROGRAM" run -q plain.yaml >/dev/null || fault "no plain study"
"$VG_PROGRAM" table out/results.h5 --what profile 2>&1 | grep -q 'this study has no profile' || fault "a missing table is not said"
"$VG_PROGRAM" table out/results.h5 --what methods | grep -q 'nothing here is called significant' || fault "methods without a null do not say so"
rm -rf out

finish
