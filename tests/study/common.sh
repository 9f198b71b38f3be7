# What the shell tests of whole runs share. Source it; it makes $folder, removed at the end, and leaves in it.
# shellcheck shell=bash
set -u
folder=$(mktemp -d) && trap 'umount "$folder/disk" 2>/dev/null; rm -rf -- "$folder"' EXIT
cd "$folder" || exit 1
faults=0
fault() {
    echo "FAULT: $*"
    faults=$((faults + 1))
}

# ranks N COMMAND...: on N MPI ranks of this machine, ended after five minutes.
ranks() {
    local n=$1
    shift
    timeout -k 5 300 mpirun -n "$n" --oversubscribe --bind-to none "$@"
}

# tiny: the folder base/ with a study so small that it can be run a hundred times: the first 40 s of the demo's story, its model, and two
# listeners of 48 rows x 4 columns made of sines. SIMULATED, of course. Every key stands on a line of its own, or is told apart by its name.
tiny() {
    local demo=$VG_SOURCE/jobs/demo intervals=120
    mkdir base
    cp -r "$demo/model" base/model
    head -n $((14 + 4 * intervals)) "$demo/story.TextGrid" | sed "s/intervals: size = .*/intervals: size = $intervals/" >base/story.TextGrid
    for subject in 1 2; do
        awk -v s="$subject" 'BEGIN {for (t = 0; t < 48; t++) {for (v = 0; v < 4; v++) printf "%.4f ", sin(t * t * 12.9898 + v * 78.233 + s); print ""}}' >"base/$subject.txt"
    done
    cat >base/study.yaml <<'STUDY'
study: tiny
output: out
device: cpu
threads: 1
model: {name: grammar, path: model}
context: {words: 12}
target: {of: log_prob}
features:
  - {method: gradient_norm, words: 4}
  - {method: activations, layers: [0, final]}
stories:
  - {name: story, words: story.TextGrid, tier: words}
responses:
  tr: 1.0
  subjects:
    - {name: a, runs: {story: 1.txt}}
    - {name: b, runs: {story: 2.txt}}
alignment: {delays: [1, 2], filter: none}
ridge: {alphas: [1, 100], outer_folds: 2, inner_folds: 2}
atlas: {columns: [left, right, top, bottom]}
STUDY
}

# several: the folder study/ with a larger one: six listeners, a nuisance as a band, whose splits let memory hold one space at a time, a null: borders everywhere, all of it in a
# second or two.
several() {
    local intervals=400
    tiny
    mv base study
    head -n $((14 + 4 * intervals)) "$VG_SOURCE/jobs/demo/story.TextGrid" | sed "s/intervals: size = .*/intervals: size = $intervals/" >study/story.TextGrid
    for subject in 1 2 3 4 5 6; do
        awk -v s="$subject" 'BEGIN {for (t = 0; t < 150; t++) {for (v = 0; v < 4; v++) printf "%.4f ", sin(t * t * 12.9898 + v * 78.233 + s); print ""}}' >"study/$subject.txt"
    done
    sed -i -e '/name: b,/a\    - {name: c, runs: {story: 3.txt}}\n    - {name: d, runs: {story: 4.txt}}\n    - {name: e, runs: {story: 5.txt}}\n    - {name: f, runs: {story: 6.txt}}' \
        -e 's/^study: .*/study: several\nmemory: 102M\nstall: 10s\nnuisance: {spaces: [gradient_norm], mode: band, draws: 2}\nnull: {shifts: 100}/' -e 's/layers: \[0, final\]/layers: all/' study/study.yaml
}

# refused RANKS CODE SAYS SETUP [COMMAND]: a copy of base/, changed by SETUP (shell, run in it), is refused by COMMAND (run -q study.yaml):
# with this exit code, one message that matches SAYS, nothing on standard output, no results.h5, no features.h5 but a whole one, no lock left.
cases=0
refused() {
    local ranks=$1 code=$2 says=$3 setup=$4 command=${5:-run -q study.yaml} status lines
    cases=$((cases + 1))
    rm -rf case && cp -r base case
    (cd case && eval "$setup") || fault "$setup: failed"
    if [ "$ranks" -eq 1 ]; then
        # shellcheck disable=SC2086
        (cd case && timeout -k 5 120 "$VG_PROGRAM" $command >stdout 2>stderr)
    else
        # shellcheck disable=SC2086
        (cd case && ranks "$ranks" "$VG_PROGRAM" $command >stdout 2>stderr)
    fi
    status=$?
    [ -z "${VG_SHOW-}" ] || grep '^voxgrad' case/stderr # every message, for whoever wants to read them
    lines=$(grep -c '^voxgrad' case/stderr)
    if [ "$status" -ne "$code" ] || [ "$lines" -ne 1 ] || ! grep -qE -- "$says" case/stderr; then
        fault "$setup: exit $status ($code was expected), $lines messages, \"$says\" was expected in:"
        cut -c 1-400 case/stderr
    fi
    [ ! -s case/stdout ] || fault "$setup: prints results: $(head -c 200 case/stdout)"
    [ ! -e case/out/results.h5 ] || fault "$setup: left results.h5"
    [ ! -e case/out/features.h5 ] || [ -e case/out/features.h5.sum ] || fault "$setup: left features.h5 without its checksums"
    [ ! -e case/out/voxgrad.lock ] || [[ $setup == *voxgrad.lock* ]] || fault "$setup: left the lock"
}

# flip FILE AT [BITS]: inverts one byte, or these bits of it.
flip() {
    local byte
    byte=$(od -An -tu1 -j "$2" -N 1 "$1")
    printf "%b" "\\x$(printf %02x $((byte ^ ${3-255})))" | dd of="$1" bs=1 seek="$2" conv=notrunc status=none
}

finish() {
    echo "$faults faults"
    [ "$faults" -eq 0 ]
    exit
}
