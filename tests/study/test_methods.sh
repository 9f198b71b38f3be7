#!/usr/bin/env bash
# Protects: what a study says of path methods reaches them: `baseline: pad` is the config's pad token, as {token: ...} of the same token is;
# without a pad token it is refused; `zero` warns with its reason; `strict` makes a word that does not converge an error that names it. A
# weight that is not a number is refused by the tensor's name.
# shellcheck source-path=SCRIPTDIR
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
tiny
sed -i 's/{method: gradient_norm, words: 4}/{method: integrated_gradients, words: 4, baseline: BASELINE}/; /activations/d' base/study.yaml
token=$(sed -nE 's/.*"▁the": ([0-9]+).*/\1/p' base/model/tokenizer.json | head -n 1)
[ -n "$token" ] || fault "the demo's model has no token for \"the\""

# with BASELINE SETUP: features of a copy of base/, in case/
with() {
    rm -rf case && cp -r base case
    (cd case && sed -i "s/BASELINE/$1/" study.yaml && eval "${2-}" && "$VG_PROGRAM" features study.yaml) 2>stderr
}
pad="sed -i 's/{/{\"pad_token_id\": $token,/' model/config.json"
values() { h5dump -b LE -o values.bin -d /stories/story/features/grammar/integrated_gradients case/out/features.h5 >/dev/null && cat values.bin; }

with pad "$pad" || fault "baseline pad: $(cat stderr)"
values >pad.bin
with '{token: "▁the"}' || fault "baseline token: $(cat stderr)"
values >token.bin
with mean_scaled || fault "baseline mean_scaled: $(cat stderr)"
values >mean.bin
cmp pad.bin token.bin || fault "pad is not its token"
[ -s pad.bin ] || fault "no values"
! cmp -s pad.bin mean.bin || fault "pad is the mean"
with zero || fault "baseline zero: $(cat stderr)"
grep -q 'baseline zero: this model has no biases and no learned positions' stderr || fault "zero: $(cat stderr)"

sed -i 's/BASELINE/mean_scaled/' base/study.yaml
refused 1 2 'baseline: pad: this model.s config.json names no pad token' "sed -i 's/mean_scaled/pad/' study.yaml"
refused 3 2 'baseline: pad: this model.s config.json names no pad token' "sed -i 's/mean_scaled/pad/' study.yaml"
refused 1 2 'word [0-9]+: error .* above the tolerance of 1e-12; raise max_steps' "sed -i 's/mean_scaled/mean_scaled, tolerance: 1.0e-12, max_steps: 16, strict: true/' study.yaml"
refused 3 2 'word [0-9]+: error .* above the tolerance of 1e-12; raise max_steps' "sed -i 's/mean_scaled/mean_scaled, tolerance: 1.0e-12, max_steps: 16, strict: true/' study.yaml"
refused 1 2 'model.safetensors: tensor ".*" .*: element [0-9]+ is -?nan; weights must be finite' \
    "printf '\\377\\377\\377\\377' | dd of=model/model.safetensors bs=1 seek=$(($(stat -c %s base/model/model.safetensors) - 4)) conv=notrunc status=none"
finish
