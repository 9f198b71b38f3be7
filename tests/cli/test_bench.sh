#!/usr/bin/env bash
# Protects: `voxgrad bench attribution` measures what it is asked to measure and says so in JSON, one object a line; wrong shapes, methods
# and numbers are refused with exit code 2 before any work.
set -u
faults=0
fault() { echo "$1"; faults=$((faults + 1)); }

# number KEY LINE: the value of a key that is a number.
number() { sed -nE "s/.*\"$1\": ([0-9.e+-]+)[,}].*/\1/p" <<<"$2"; }
more_than() { awk -v a="${1:-0}" -v b="$2" 'BEGIN { exit !(a > b) }'; }

out=$("$VG_PROGRAM" bench attribution --device cpu --model stories260K --methods gradient_norm+erasure,integrated_gradients,surprisal \
    --window 24 --words 3 --steps 15 --repeats 2 --attributed 4 2>/dev/null) || fault "bench attribution failed"
[ "$(wc -l <<<"$out")" -eq 3 ] || fault "not a line for each of three: $out"
for what in gradient_norm+erasure integrated_gradients surprisal; do
    line=$(grep -F "\"method\": \"$what\"" <<<"$out") || fault "no line of $what"
    [ "$(number words "$line") $(number window "$line")" = "3 24" ] || fault "$what: not what was asked for: $line"
    for key in seconds_per_word words_per_second tokens_per_second gflop_per_word gflops gemm_gflops fraction_of_gemm peak_bytes; do
        more_than "$(number $key "$line")" 0 || fault "$what: $key is not above 0: $line"
    done
done
# The counted work of a forward pass of 24 tokens through 5 blocks: at least the matrices' own, at most twice that.
line=$(grep -F '"method": "surprisal"' <<<"$out")
least=$(awk 'BEGIN { print 2e-9 * 23 * 4 * (64 * 64 * 2 + 64 * 32 * 2 + 3 * 64 * 172) }')
more_than "$(number gflop_per_word "$line")" "$least" || fault "too little work was counted: $line"
more_than "$(awk -v x="$least" 'BEGIN { print 3 * x }')" "$(number gflop_per_word "$line")" || fault "too much work was counted: $line"

out=$("$VG_PROGRAM" bench tokenizer --words 1000 "$VG_SOURCE/jobs/demo/model/tokenizer.json" 2>/dev/null) || fault "bench tokenizer failed"
[ "$(number words "$out")" = 1000 ] || fault "tokenizer: not what was asked for: $out"
more_than "$(number tokens "$out")" 999 || fault "tokenizer: fewer tokens than words: $out"

# the work of all threads is counted: the same on two as on one, and at least the products of rows with responses
encoding=(encoding -q --device cpu --rows 200 --columns 20 --voxels 3000 --spaces 2)
one=$("$VG_PROGRAM" bench "${encoding[@]}" --threads 1) || fault "bench encoding failed"
two=$("$VG_PROGRAM" bench "${encoding[@]}" --threads 2) || fault "bench encoding failed on two threads"
[ "$(number gflop "$one")" = "$(number gflop "$two")" ] || fault "encoding: another count of work on two threads: $one, $two"
more_than "$(number gflop "$two")" "$(awk 'BEGIN { print 2e-9 * 2 * 200 * 20 * 3000 }')" || fault "encoding: too little work was counted: $two"

# refused WANTED OPTIONS...
refused() {
    local wanted=$1 said
    shift
    said=$("$VG_PROGRAM" bench "$@" 2>&1 >/dev/null)
    [ $? -eq 2 ] || fault "bench $*: not exit code 2"
    grep -qF -- "$wanted" <<<"$said" || fault "bench $*: said \"$said\""
}
refused 'did you mean attribution' attributions
refused 'did you mean gpt2' attribution --model gpt
refused 'did you mean gradient_norm' attribution --model stories260K --methods gradient_nrm
refused '--window 1' attribution --window 1
refused '--context round' attribution --context round
refused "more than the model's 512 positions" attribution --model stories260K --window 600 --device cpu
echo "$faults faults"
[ "$faults" -eq 0 ]
