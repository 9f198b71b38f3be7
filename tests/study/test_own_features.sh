#!/usr/bin/env bash
# Protects: features that a user made elsewhere are fitted like ours: a .npy a story through the study (`file:`), and an HDF5 file in our
# layout through `fit --features`; those that do not fit the words, or are not numbers, are refused with both counts.
# shellcheck source-path=SCRIPTDIR disable=SC2016
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
{ command -v h5dump && command -v h5repack; } >/dev/null || { echo "skipped: h5dump and h5repack are not here (apt-get install hdf5-tools)"; exit 77; }
tiny

# npy TYPE ROWS COLUMNS FILE: standard input as NumPy writes it, version 1.0
npy() {
    { printf '\223NUMPY\001\000\166\000'; printf "%-117s\n" "{'descr': '$1', 'fortran_order': False, 'shape': ($2, $3), }"; cat; } >"$4"
}

# the same numbers under another name: what gradient_norm gave, as float32 and as float64
(cd base && "$VG_PROGRAM" run -q study.yaml >table) || fault "run failed"
path=/stories/story/features/grammar/gradient_norm
words=$(h5dump -H -d "$path" base/out/features.h5 | sed -nE 's/.*SIMPLE \{ \( ([0-9]+), 4 \).*/\1/p')
h5dump -d "$path" -b LE -o floats base/out/features.h5 >/dev/null
h5dump -d "$path" -y -w 1 -m %.9g -o numbers base/out/features.h5 >/dev/null
tr -d ' ,' <numbers | grep -c . | grep -qx "$((4 * words))" || fault "h5dump gave other than $words x 4 numbers"
cp -r base own
npy '<f4' "$words" 4 own/story.npy <floats
sed -i 's/^features:/&\n  - {name: mine, file: "{STORY}.npy"}/' own/study.yaml
(cd own && rm -r out && ranks 3 "$VG_PROGRAM" run -q study.yaml >table) || fault "a study with a .npy is refused"
for dataset in mine mine.valid; do
    h5dump -d "/stories/story/features/files/$dataset" -b LE -o "$dataset.raw" own/out/features.h5 >/dev/null || fault "no $dataset in features.h5"
done
cmp floats mine.raw || fault "features from a .npy come out changed"
tr -d '\001' <mine.valid.raw | cmp - /dev/null || fault "features from a .npy are not all valid"
h5dump -a /stories/story/features/files/mine/method own/out/features.h5 | grep -q '"file"' || fault "the method of features made elsewhere is not \"file\""
scores() { sed -nE "s|^$1 +||p" "$2"; }
[ -n "$(scores files/mine own/table)" ] || fault "no scores of files/mine"
[ "$(scores files/mine own/table)" = "$(scores grammar/gradient_norm own/table)" ] || fault "the same numbers from a .npy score otherwise"
[ "$(scores grammar/gradient_norm own/table)" = "$(scores grammar/gradient_norm base/table)" ] || fault "features beside them change a score"

# alone, without a model; as text; more than one story
cp -r own alone
sed -i -e '/method:/d' -e '/^model/d' -e 's/{STORY}.npy/{STORY}.txt/' alone/study.yaml
rm -r alone/out alone/model
tr -d ' ,' <numbers | grep . | paste -d ' ' - - - - >alone/story.txt
(cd alone && "$VG_PROGRAM" run -q study.yaml >table) || fault "a study of features made elsewhere alone is refused"
[ "$(scores files/mine alone/table)" = "$(scores files/mine own/table)" ] || fault "the same numbers as text score otherwise"

# refused, with both counts, before a block is computed
rm -rf base && mv own base && rm -r base/out
short=$((words - 8))
refused 1 2 "features: mine: story.npy: has $short rows, and story story has $words words" "head -c \$((128 + 16 * $short)) story.npy | sed '1s/($words, /($short, /; 1s/ \$/  /' >x; mv x story.npy"
refused 3 2 "features: mine: story.npy: .*(cut off|bytes)" "truncate -s 1000 story.npy"
refused 1 2 "features: mine: the value of word 3 of story story in column 2 is not finite" 'printf "\000\000\300\177" | dd of=story.npy bs=1 seek=$((128 + 4 * 9)) conv=notrunc status=none'
refused 3 2 "features: mine: the value of word 3 of story story in column 2 is not finite" 'printf "\000\000\300\177" | dd of=story.npy bs=1 seek=$((128 + 4 * 9)) conv=notrunc status=none'
refused 1 2 'features: mine: story.npy: holds numbers of another type' "LC_ALL=C sed -i '1s/<f4/<i4/' story.npy"
refused 1 2 'features: mine: story.npy: .*No such file' 'rm story.npy'
refused 1 2 'features: mine: file: needs \{STORY\} in its name: there are 2 stories' "sed -i -e 's/{STORY}.npy/story.npy/' -e 's/^  - {name: story.*/&\n  - {name: more, words: story.TextGrid}/' study.yaml"
refused 1 2 'features: mine: has 2 columns for story more and 4 for story story' \
    "awk '{print \$1, \$2}' ../alone/story.txt >more.txt; cp ../alone/story.txt .; sed -i -e 's/{STORY}.npy/{STORY}.txt/' -e 's/^  - {name: story.*/&\n  - {name: more, words: story.TextGrid}/' study.yaml"

# an HDF5 file in our layout, written by something else (chunks, compression, no checksums beside it) gives the same results
(cd base && "$VG_PROGRAM" run -q study.yaml >table) || fault "run failed"
h5repack -f GZIP=6 base/out/features.h5 mine.h5 || fault "h5repack failed"
! cmp -s base/out/features.h5 mine.h5 || fault "h5repack changed nothing"
(cd base && ranks 2 "$VG_PROGRAM" fit -q --features ../mine.h5 -o ../theirs study.yaml >/dev/null) || fault "fit refuses a file made elsewhere"
cmp base/out/results.h5 theirs/results.h5 || fault "a file made elsewhere with the same numbers gives other results"
[ ! -e theirs/features.h5 ] || fault "fit --features wrote features.h5"
echo "$cases cases"
finish
