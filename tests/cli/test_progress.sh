#!/usr/bin/env bash
# Protects: what a user sees of long work: on a terminal a bar for each stage (features, fits, maps) with rate and remaining time; in a log
# plain lines, at most one a minute and one at the end; no colour, with NO_COLOR or without; nothing with --quiet. Results stay apart, on
# standard output. SIMULATED responses. (How often lines come: tests/base/test_progress.c.)
set -u
command -v script >/dev/null || { echo "skipped: script (bsdutils) is not here" && exit 77; }
folder=$(mktemp -d) && trap 'rm -rf -- "$folder"' EXIT
cd "$folder" || exit 1
faults=0
fault() { echo "FAULT: $*" && faults=$((faults + 1)); }
escape=$(printf '\033')

head -n 121 "$VG_SOURCE/jobs/demo/story.tsv" >story.tsv
cat >study.yaml <<STUDY
study: small
output: out
device: cpu
model: {name: grammar, path: $VG_SOURCE/jobs/demo/model}
context: {words: 10}
features: [{method: gradient_norm, words: 4}]
stories: [{name: story, words: story.tsv}]
responses: {tr: 1.0, subjects: [{name: s1, runs: {story: "s1.h5:/responses"}}]}
alignment: {delays: [2, 3]}
ridge: {alphas: [1, 100], outer_folds: 3, inner_folds: 2}
atlas: {columns: regions.txt}
simulate: {regions: {A: {voxels: 9, space: gradient_norm, r2: 0.3}}}
STUDY
"$VG_PROGRAM" simulate -q study.yaml || fault "no responses"
mkdir volume
"$VG_BUILD/tests/report_test_page" volume 0 2 || fault "no sample"

# on_terminal FILE COMMAND...: what a terminal gets of its standard error.
on_terminal() {
    local file=$1
    shift
    script -qec "$* >stdout" "$file" >/dev/null </dev/null || fault "$* failed on a terminal"
}
bar() { # FILE TITLE UNIT
    tr '\r' '\n' <"$1" | grep -qE "$2 \[#{24}\] ([0-9]+)/\1 $3, [0-9.e+]+/s, [0-9]+:[0-9]{2}$" || fault "$1: no bar of $2: $(tail -n 3 "$1")"
    tr '\r' '\n' <"$1" | grep -qE "$2 \[[#.]{24}\] [0-9]+/[0-9]+ $3, .* left" || echo "$1: $2 took less than a tenth of a second"
}
for colour in with without; do
    [ "$colour" = with ] || export NO_COLOR=1
    on_terminal "$colour.run" "$VG_PROGRAM" run --restart study.yaml
    on_terminal "$colour.report" "$VG_PROGRAM" report volume
    bar "$colour.run" features words
    bar "$colour.run" fits voxels
    bar "$colour.report" maps spaces
    ! grep -q "$escape\[[0-9;]*m" "$colour.run" "$colour.report" || fault "NO_COLOR=${NO_COLOR-}: colours on a terminal"
done
unset NO_COLOR

began=$SECONDS
"$VG_PROGRAM" run --restart study.yaml >table 2>log || fault "the run failed"
most=$(((SECONDS - began) / 60 + 1))
! grep -q "[$escape$(printf '\r')]" log || fault "a log with control characters"
for stage in features fits; do
    lines=$(grep -cE "^voxgrad: $stage: [0-9]+ of [0-9]+ (words|voxels), " log)
    { [ "$lines" -ge 1 ] && [ "$lines" -le "$most" ]; } || fault "$lines lines of $stage in a log of $most minutes"
done
grep -q gradient_norm table || fault "no table on standard output"
! grep -q "features:" table || fault "progress on standard output"
"$VG_PROGRAM" run -q --restart study.yaml >table 2>log || fault "the quiet run failed"
[ ! -s log ] || fault "--quiet says: $(head -n 2 log)"
echo "$faults faults"
[ "$faults" -eq 0 ]
