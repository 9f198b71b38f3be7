#!/usr/bin/env bash
# Protects: --memory. Less of it makes smaller batches, and no feature changes by more than rounding (1e-6 of its space's largest value, 5e-6
# of gradients); at last the model's blocks are brought one by one, which changes nothing (tests/lm/test_stream); too little is refused with
# exit code 3 and the number that is needed; the plan stands in the file; and for one plan neither ranks nor threads change a byte.
# shellcheck source-path=SCRIPTDIR
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
tiny
sed -i -e 's/^features:/&\n  - {method: integrated_gradients, words: 4}\n  - {method: layer_conductance, words: 4, layers: [1]}\n  - {method: erasure, words: 4}/' \
    -e 's/{method: gradient_norm, words: 4}/&\n  - {method: gradient_x_input, words: 4}\n  - {method: attention, words: 4}/' base/study.yaml

# features NAME N OPTIONS...: NAME.h5 on N ranks
features() {
    local name=$1 n=$2
    shift 2
    (cd base && ranks "$n" "$VG_PROGRAM" features -q -o "../$name" "$@" study.yaml) 2>"$name.log" || fault "$name: $(cat "$name.log")"
}
features large 1 --memory 4G
features middle 1 --memory 114M
features small 1 --memory 103M
for name in large middle small; do
    h5dump -a /provenance/plan "$name/features.h5" | grep -o 'batch_tokens: [^ ]* [0-9]*' >"$name.plan"
done
if cmp -s large.plan middle.plan || cmp -s middle.plan small.plan; then fault "another memory makes no other plan: $(cat ./*.plan)"; fi

# numbers FOLDER DATASET: one a line
numbers() {
    h5dump -b LE -o numbers.bin -d "/stories/story/features/grammar/$2" "$1/features.h5" >/dev/null && od -An -v -w4 -tf4 numbers.bin
}
# difference: of two columns of numbers, how many, the largest of the first, the largest difference relative to it
difference() {
    awk '{ a = $1 < 0 ? -$1 : $1; d = $1 - $2; d = d < 0 ? -d : d; if (a > m) m = a; if (d > e) e = d } END { print NR, m, (m > 0 ? e / m : 1) }'
}
# Gradients of a log-probability p carry 1 - p as a factor, whose error is that of the logits, 1e-6 to 3e-6 in float32 (measured: all columns
# of a word move together, by up to 5e-6 of themselves).
bound() {
    case "$1" in
    gradient_*) echo 5e-6 ;;
    *) echo 1e-6 ;;
    esac
}
compared=0
for space in gradient_norm gradient_x_input attention integrated_gradients layer_conductance/01 erasure activations/00 activations/final; do
    for name in middle small; do
        numbers large "$space" >first
        numbers "$name" "$space" >second
        read -r count _ worst < <(paste first second | difference)
        if [ "$count" -lt 400 ] || ! awk -v x="$worst" -v most="$(bound "$space")" 'BEGIN { exit !(x <= most) }'; then
            fault "$space of $name: $count numbers, differs by $worst"
        fi
        compared=$((compared + 1))
    done
done

# one plan: the same bytes
features ranks 3 --memory 114M
features threads 1 --memory 114M --threads 2
for name in ranks threads; do cmp middle/features.h5 "$name/features.h5" || fault "$name change bytes"; done

# activations alone take little memory: the blocks are brought one by one
sed '/method: [gile]/d; /attention/d' base/study.yaml >base/activations.yaml
"$VG_PROGRAM" features -o streamed --memory 101M base/activations.yaml 2>streamed.log || fault "101M: $(cat streamed.log)"
grep -q 'brought one by one' streamed.log || fault "101M: the blocks are not brought one by one: $(cat streamed.log)"
numbers large activations/final >first
numbers streamed activations/final >second
read -r count _ worst < <(paste first second | difference)
awk -v x="$worst" -v n="$count" 'BEGIN { exit !(x <= 1e-6 && n > 1000) }' || fault "blocks brought one by one change activations: $worst"

(cd base && "$VG_PROGRAM" features -q -o ../none --memory 100M study.yaml) 2>none.log
[ $? -eq 3 ] || fault "100M: not exit code 3"
grep -Eq 'model takes [0-9]+ MB|takes [0-9]+ MB beside the model' none.log || fault "100M: said $(cat none.log)"
# shellcheck disable=SC2154
echo "$compared comparisons, $faults faults"
[ "$faults" -eq 0 ]
