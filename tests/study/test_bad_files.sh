#!/usr/bin/env bash
# Protects: what a study names and what is wrong with it: stories, models, responses, features.h5, the output folder. One message that says
# what, where, what to do; the right exit code; every rank ends; nothing half-written under a final name. TextGrids in UTF-16 are read.
# shellcheck source-path=SCRIPTDIR disable=SC2016
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
tiny
skipped=0
skip() {
    echo "skipped: $*"
    skipped=1
}

# ---- stories --------------------------------------------------------------------------------------------------------------------------
refused 1 2 'story.TextGrid: .*No such file' 'rm story.TextGrid'
refused 3 2 'story.TextGrid: .*No such file' 'rm story.TextGrid'
refused 1 2 'story.TextGrid:[0-9]+: .*cut off' 'head -c 9000 ../base/story.TextGrid >story.TextGrid'
refused 3 2 'story.TextGrid:[0-9]+: .*cut off' 'head -c 9000 ../base/story.TextGrid >story.TextGrid'
refused 1 2 'story.TextGrid: begins as UTF-16 but is not valid UTF-16' 'iconv -f UTF-8 -t UTF-16 ../base/story.TextGrid | head -c 9001 >story.TextGrid'
refused 1 2 'story.TextGrid:20: interval ends \(2.273 s\) before it starts \(2.600 s\)' "sed -i '20s/xmin = .*/xmin = 2.600/' story.TextGrid"
refused 1 2 'story.TextGrid:28: interval starts .* before the one before it ends' "sed -i '25s/xmax = .*/xmax = 9.500/' story.TextGrid"
refused 1 2 'story.TextGrid: no tier "wrds"; it has "words"' "sed -i 's/tier: words/tier: wrds/' study.yaml"
refused 1 2 'story.TextGrid: is empty' 'printf "" >story.TextGrid'
refused 1 2 'story.TextGrid: has no words' "sed -i 's/text = .*/text = \"\"/' story.TextGrid"

# UTF-16, both orders of bytes, gives the same features as UTF-8
for encoding in UTF-8 UTF-16LE UTF-16BE; do
    rm -rf case && cp -r base case
    if [ "$encoding" != UTF-8 ]; then
        { if [ "$encoding" = UTF-16LE ]; then printf '\377\376'; else printf '\376\377'; fi; iconv -f UTF-8 -t "$encoding" base/story.TextGrid; } >case/story.TextGrid
    fi
    (cd case && "$VG_PROGRAM" features -q study.yaml) || fault "a TextGrid in $encoding is refused"
    cp case/out/features.h5 "$encoding.h5"
    cmp UTF-8.h5 "$encoding.h5" || fault "a TextGrid in $encoding gives other features"
done

# ---- models -----------------------------------------------------------------------------------------------------------------------------
header="LC_ALL=C sed -i"
refused 1 2 'model/tokenizer.json: .*No such file' 'rm -r model'
refused 3 2 'model: neither model.safetensors nor model.safetensors.index.json is there' 'rm model/model.safetensors'
refused 1 2 'model/tokenizer.json: .*No such file' 'rm model/tokenizer.json'
refused 1 2 'model: tensor "model.layers.0.mlp.up_proj.weight" \(172, 64\) is missing' "$header 's/model.layers.0.mlp.up_proj.weight/model.layers.0.mlp.uq_proj.weight/' model/model.safetensors"
refused 3 2 'model: tensor "model.layers.0.mlp.up_proj.weight" \(172, 64\) is missing' "$header 's/model.layers.0.mlp.up_proj.weight/model.layers.0.mlp.uq_proj.weight/' model/model.safetensors"
refused 1 2 '"model.layers.0.mlp.up_proj.weight" has shape \(64, 172\); the config calls for \(172, 64\)' "$header '1s/\\[172,64\\],\"data_offsets\":\\[109696/[64,172],\"data_offsets\":[109696/' model/model.safetensors"
refused 1 2 'model.safetensors: tensor .*: is it cut off' 'head -c 300000 ../base/model/model.safetensors >model/model.safetensors'
refused 1 2 'model.safetensors: not a safetensors file, or cut off' 'head -c 100 ../base/model/model.safetensors >model/model.safetensors'
refused 1 2 'config.json: .*hidden_size' "sed -i '/hidden_size/d' model/config.json"
refused 1 2 'config.json: "model_type": "grulf" is not known; known ones: llama' "sed -i 's/\"llama\"/\"grulf\"/' model/config.json"
refused 1 2 'config.json:[0-9]+: not JSON' "sed -i 's/}//' model/config.json"
refused 1 2 'gives token 700, beyond the model.s vocabulary of 512' "sed -i -E 's/(\"model\": \\{.*\"▁the\": )[0-9]+/\\1700/' model/tokenizer.json && ! cmp -s model/tokenizer.json ../base/model/tokenizer.json"
refused 1 2 'window of word 8 has 17 tokens, more than the model.s 16 positions; make context.words smaller' "sed -i 's/\"max_position_embeddings\": 256/\"max_position_embeddings\": 16/' model/config.json"
refused 3 2 'window of word 8 has 17 tokens, more than the model.s 16 positions; make context.words smaller' "sed -i 's/\"max_position_embeddings\": 256/\"max_position_embeddings\": 16/' model/config.json"
refused 1 2 'features: gradient_norm: words: 13 must be between 1 and 12, the words that every window' "sed -i 's/words: 4/words: 13/' study.yaml"
refused 1 2 'features: activations: layer 9 is not there; there are 00' "sed -i 's/layers: .0, final./layers: [9]/' study.yaml"

# ---- responses --------------------------------------------------------------------------------------------------------------------------
refused 1 2 '1.txt: .*No such file' 'rm 1.txt'
refused 3 2 '2.txt: .*No such file' 'rm 2.txt'
refused 1 2 '1.txt: has 36 rows; the words of story story go on to row 42' 'for f in 1 2; do head -n 36 ../base/$f.txt >$f.txt; done'
refused 1 2 '2.txt: has 40 rows; subject a has 48' 'head -n 40 ../base/2.txt >2.txt'
refused 3 2 '2.txt: has 40 rows; subject a has 48' 'head -n 40 ../base/2.txt >2.txt'
refused 1 2 '1.txt:7: has 3 numbers where the lines before have 4' "sed -i '7s/[^ ]* //' 1.txt"
refused 1 2 '1.txt:7: "x1" \(column 1\) is not a number' "sed -i '7s/^[^ ]*/x1/' 1.txt"
refused 1 2 'subject a has 4 columns, and atlas.columns labels 3' "sed -i 's/, bottom//' study.yaml"
refused 3 2 'subject a has 4 columns, and atlas.columns labels 3' "sed -i 's/, bottom//' study.yaml"
refused 1 2 'short.txt: has 3 columns; the first run of this subject has 4' \
    "awk '{print \$1, \$2, \$3}' 1.txt >short.txt; sed -i -e 's/^  - {name: story.*/&\n  - {name: more, words: story.TextGrid}/' -e 's/story: 1.txt/story: 1.txt, more: short.txt/' study.yaml"
refused 1 2 'subject b has no usable voxel: .*on_bad_subject: skip' "sed -i 's/[^ ][^ ]*/nan/g' 2.txt"
refused 3 2 'subject b has no usable voxel: .*on_bad_subject: skip' "sed -i 's/[^ ][^ ]*/nan/g' 2.txt"
refused 1 2 '1.txt: has 48 rows, and alignment.delays has one of 60' "sed -i 's/delays: .1, 2./delays: [1, 60]/' study.yaml"
refused 1 2 'ridge.outer_folds.*60 outer folds of 48 rows' "sed -i 's/outer_folds: 2/outer_folds: 60/' study.yaml"
refused 3 2 'ridge.outer_folds.*60 outer folds of 48 rows' "sed -i 's/outer_folds: 2/outer_folds: 60/' study.yaml"
refused 1 2 '1.txt: has 48 rows, and alignment.trim drops 50' "sed -i 's/filter: none/filter: none, trim: [25, 25]/' study.yaml"
refused 1 2 'device "kuda" is unknown; there are' '' 'run -q --device kuda study.yaml'
! "$VG_PROGRAM" info | grep -q 'device cuda: none' || refused 1 3 'there is no (CUDA back end|GPU here that CUDA can use): ' '' 'run -q --device cuda study.yaml'

# a column of NaN: its scores are NaN, it is marked and left out of the count; the other columns are as they were
rm -rf case && cp -r base case
awk '{$2 = "nan"; print}' base/1.txt >case/1.txt
for which in base case; do
    (cd "$which" && ranks 2 "$VG_PROGRAM" run -q -o "../out-$which" study.yaml) >/dev/null || fault "$which: run failed"
done
for part in 'score 0 1' 'score 2 2' 'r2 2 2'; do
    read -r dataset start count <<<"$part"
    for which in base case; do
        h5dump -d "/subjects/a/grammar/gradient_norm/$dataset" -s "$start" -c "$count" "out-$which/results.h5" | tail -n +2 >"$which.numbers"
    done
    cmp base.numbers case.numbers || fault "a column of NaN changes the $dataset of other columns"
done
h5dump -d /subjects/a/grammar/gradient_norm/score -s 1 -c 1 out-case/results.h5 | grep -q nan || fault "a column of NaN has a score"
h5dump -d /subjects/a/voxels -s 1 -c 1 out-case/results.h5 | tr -d ' \n' | grep -q ',0}' || fault "a column of NaN is not marked as unusable"

# ---- features.h5 --------------------------------------------------------------------------------------------------------------------------
(cd base && "$VG_PROGRAM" features -q study.yaml) || fault "features failed"
fit="fit -q study.yaml"
refused 1 2 'out/features.h5: .*No such file' 'rm out/features.h5' "$fit"
refused 1 2 'out/features.h5: is damaged between bytes 0 and' 'printf X | dd of=out/features.h5 bs=1 seek=60000 conv=notrunc status=none' "$fit"
refused 3 2 'out/features.h5: is damaged between bytes 0 and' 'printf X | dd of=out/features.h5 bs=1 seek=60000 conv=notrunc status=none' "$fit"
refused 1 2 'out/features.h5: has 50000 bytes, but' 'truncate -s 50000 out/features.h5' "$fit"
refused 1 2 'mine.h5: is not an HDF5 file' 'cp study.yaml mine.h5' "fit -q -f mine.h5 study.yaml"
refused 1 2 'features.h5.sum: is damaged' 'echo no >out/features.h5.sum' "$fit"
refused 1 2 'has no features of the study.s stories' "sed -i 's/story: /tale: /; s/name: story/name: tale/' study.yaml" "$fit"
rm -r base/out

# ---- the output folder ------------------------------------------------------------------------------------------------------------------
refused 1 2 'out: is a file, where the output folder should be; .*--output' ': >out'
refused 3 2 'out: is a file, where the output folder should be; .*--output' ': >out'
refused 1 2 'out/voxgrad.lock: a run on host elsewhere .*remove this file' 'mkdir out && printf "host: elsewhere\npid: 7\njob: 9\ntime: 2026-01-01T00:00:00Z\n" >out/voxgrad.lock'
refused 3 2 'out/voxgrad.lock: a run on host elsewhere .*remove this file' 'mkdir out && printf "host: elsewhere\npid: 7\njob: 9\ntime: 2026-01-01T00:00:00Z\n" >out/voxgrad.lock'
refused 1 2 'out/voxgrad.lock: another run is at work' 'mkdir out; printf "host: %s\npid: 7\n" "$(hostname)" >out/voxgrad.lock; flock out/voxgrad.lock sleep 20 & echo $! >holder; sleep 0.3'
kill "$(cat case/holder)" 2>/dev/null

if [ "$(id -u)" -ne 0 ]; then
    refused 1 2 'out: the output folder is not writable' 'mkdir out && chmod a-w out'
elif command -v setpriv >/dev/null && chmod a+rx "$folder" && setpriv --reuid 65534 --regid 65534 --clear-groups test -x "$VG_PROGRAM"; then
    cases=$((cases + 1))
    rm -rf case && cp -r base case && mkdir case/out
    (cd case && HOME=$folder timeout 60 setpriv --reuid 65534 --regid 65534 --clear-groups "$VG_PROGRAM" features -q study.yaml) 2>stderr
    status=$?
    if [ "$status" -ne 2 ] || ! grep -q 'out: the output folder is not writable: .*--output' stderr; then
        fault "a folder that is not writable: exit $status, $(cat stderr)"
    fi
else
    skip "a folder that is not writable: this user may write everywhere and cannot become another"
fi

# a full disk is found before the first block; what is needed is said; nothing is left
mkdir -p disk
if mount -t tmpfs -o size=64k tmpfs disk 2>/dev/null; then
    for n in 1 3; do
        refused "$n" 3 'features.h5: [0-9]+ bytes .* are needed, .* are free' '' "run -q -o $folder/disk study.yaml"
        [ -z "$(ls disk)" ] || fault "a full disk: left $(ls disk)"
    done
    umount disk
else
    skip "a full disk: no small file system may be mounted here"
fi

echo "$cases cases"
[ "$faults" -gt 0 ] || [ "$skipped" -eq 0 ] || echo "0 faults, but not all could be tried"
finish
