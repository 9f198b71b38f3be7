#!/usr/bin/env bash
# Protects: a study with a fault is refused with exit 2 and one message: file, line, key, what is wrong, and what to do; on one rank and on three.
# shellcheck source-path=SCRIPTDIR disable=SC2016
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
tiny

# bad SAYS SED: a change of the study that is refused, by `check`, which reads it as all commands do and starts no MPI.
bad() {
    refused 1 2 "$1" "sed -i -E '$2' study.yaml" 'check -q study.yaml'
}

# the file itself
refused 1 2 'nowhere.yaml: .*No such file' '' 'run -q nowhere.yaml'
refused 3 2 'nowhere.yaml: .*No such file' '' 'run -q nowhere.yaml'
refused 1 2 'study.yaml: .*(not YAML|empty)' ': >study.yaml'
refused 1 2 'study.yaml:[0-9]+: .*UTF-8' 'printf "name: \377\n" >>study.yaml'
refused 1 2 'usage: voxgrad run' '' 'run -q'
refused 1 2 'no command "rum"; did you mean run' '' 'rum study.yaml'
refused 1 2 'unknown option.*--outptu.*--output' '' 'run --outptu x study.yaml'
refused 1 2 '--threads none: a number' '' 'run --threads none study.yaml'
refused 1 2 '--memory: .*a number of bytes like' '' 'run --memory much study.yaml'

# syntax
bad 'study.yaml:(8|9): is not valid YAML' 's/^target: .*/target: {of: log_prob/'
bad 'study.yaml:[0-9]+: is not valid YAML' 's/^seed.*//; s/^responses:/responses: [/'
refused 1 2 'study.yaml:1: study: a section of "key: value" lines' 'echo just words >study.yaml'
refused 1 2 'study.yaml:1: study: a section of "key: value" lines' 'echo "[1, 2]" >study.yaml'

# unknown keys, at every level
bad 'study.yaml:6: contxt: unknown key; did you mean "context"' 's/^context/contxt/'
bad 'study.yaml:6: context.word: unknown key; did you mean "words"' 's/words: 12/word: 12/'
bad 'study.yaml:5: model.pth: unknown key; did you mean "path"' 's/path:/pth:/'
bad 'study.yaml:9: features\[0\].methd: unknown key; did you mean "method"' '9s/method/methd/'
bad 'study.yaml:12: stories\[0\].teir: unknown key; did you mean "tier"' 's/tier/teir/'
bad 'study.yaml:14: responses.trr: unknown key; did you mean "tr"' 's/^  tr:/  trr:/'
bad 'study.yaml:16: responses.subjects\[0\].run: unknown key; did you mean "runs"' '16s/runs/run/'
bad 'study.yaml:18: alignment.delay: unknown key; did you mean "delays"' 's/delays/delay/'
bad 'study.yaml:19: ridge.alphs: unknown key; did you mean "alphas"' 's/alphas/alphs/'
bad 'study.yaml:19: ridge.alphas: unknown key; \{min, max, count\}' 's/\[1, 100\]/{min: 1, most: 3}/'
bad 'study.yaml:21: simulate.regions.A.voxel: unknown key; did you mean "voxels"' '$a simulate: {regions: {A: {voxel: 3}}}'
bad 'study.yaml:21: simulate.noise.ar: unknown key; did you mean "ar1"' '$a simulate: {noise: {ar: 3}}'
bad 'study.yaml:21: qqqqqqqq: unknown key; --help' '$a qqqqqqqq: 1'

# wrong type
bad 'study.yaml:6: context.words: "many" is not a whole number' 's/words: 12/words: many/'
bad 'study.yaml:6: context.words: "1.5" is not a whole number' 's/words: 12/words: 1.5/'
bad 'study.yaml:14: responses.tr: "two" is not a number' 's/tr: 1.0/tr: two/'
bad 'study.yaml:14: responses.tr: "nan" is not a number' 's/tr: 1.0/tr: nan/'
bad 'study.yaml:[56]: (study|context): a section' 's/^context: .*/context: 12/'
bad 'study.yaml:[0-9]+: features: a list' 's/^features:/features: none/; /^  - \{method/d'
bad 'study.yaml:1: study: a single value' 's/^study: .*/study: [tiny]/'
bad 'study.yaml:20: atlas.columns: a single value' 's/left, right/left, [right]/'
bad 'study.yaml:2: output: (has no value|.*)' 's/^output: .*/output: {a: b}/'

# out of range, none of the choices
bad 'study.yaml:6: context.words: 0 is not between 1 and' 's/words: 12/words: 0/'
bad 'study.yaml:6: context.words: "99999999999999999999" is not a whole number' 's/words: 12/words: 99999999999999999999/'
bad 'study.yaml:14: responses.tr: 0 is not between' 's/tr: 1.0/tr: 0/'
bad 'study.yaml:7: target.of: "logprob" is none of log_prob\|' 's/log_prob/logprob/'
bad 'study.yaml:18: alignment.delays: a delay of -1' 's/\[1, 2\]/[1, -1]/'
bad 'study.yaml:18: alignment.delays: delay 1 is there twice' 's/\[1, 2\]/[1, 1]/'
bad 'study.yaml:19: ridge.alphas: a penalty must be above 0, not 0' 's/\[1, 100\]/[0, 100]/'
bad 'study.yaml:19: ridge.alphas: a penalty must be above 0, not -1' 's/\[1, 100\]/[1, -1]/'
bad 'study.yaml:19: ridge.alphas: 0 < min' 's/\[1, 100\]/{min: 0, max: 3}/'
bad 'study.yaml:19: ridge.outer_folds: 1 is not between 2' 's/outer_folds: 2/outer_folds: 1/'
bad 'study.yaml:18: alignment.filter: no filter "low_pass"; there are' 's/filter: none/filter: {low_pass: 3}/'

# missing
bad 'study.yaml:5: model: "path" is missing \(folder' 's/, path: model//'
bad 'study.yaml:12: stories\[0\]: "words" is missing' 's/, words: story.TextGrid//'
bad 'study.yaml:16: responses.subjects\[0\]: "name" is missing|subject' '16s/name: a, //'
bad 'study.yaml: stories: is missing' '/^stories/,/^  - .name: story/d'
bad 'study.yaml: features: is missing' '/^features/,/final/d'
bad 'study.yaml: model: is missing' '/^model/d'
refused 1 2 'study.yaml: responses.subjects: is missing' "sed -i '/^responses/,/2.txt/d' study.yaml"
bad 'study.yaml:9: features: give a method, or a file' 's/method: gradient_norm, //'
refused 1 2 'gradiant_norm.*gradient_norm' "sed -i 's/gradient_norm/gradiant_norm/' study.yaml"

# twice
bad 'study.yaml:[0-9]+: .*(twice|duplicate)' '$a study: again'
bad 'study.yaml:[0-9]+: .*(twice|duplicate)' 's/words: 12/words: 12, words: 13/'
bad 'study.yaml:1[67]: responses.subjects: "a" is there twice' 's/name: b/name: a/'
bad 'study.yaml:10: features: two entries are called "gradient_norm"' 's/activations, layers.*/gradient_norm}/'
bad 'study.yaml:16: responses.subjects: a: no story is called "tale"' '16s/story: 1/tale: 1/'

# the environment
bad 'study.yaml:5: model.path: the environment variable VG_UNSET is not set' 's/path: model/path: "${VG_UNSET}"/'
bad 'study.yaml:5: model.path: "\$\{" without' 's/path: model/path: "${VG_UNSET"/'

# all ranks agree, and one speaks
refused 1 2 'study.yaml:6: context.word: unknown key; did you mean "words"' "sed -i 's/words: 12/word: 12/' study.yaml"
refused 3 2 'study.yaml:(8|9): is not valid YAML' "sed -i 's/^target: .*/target: {of: log_prob/' study.yaml"
refused 3 2 'study.yaml:5: model: "path" is missing' "sed -i 's/, path: model//' study.yaml"
refused 3 2 'study.yaml:6: context.word: unknown key; did you mean "words"' "sed -i 's/words: 12/word: 12/' study.yaml"
refused 3 2 'study.yaml:19: ridge.alphas: a penalty must be above 0' "sed -i 's/\[1, 100\]/[0, 100]/' study.yaml"

# the same study without a fault runs, and ${NAME:-default} is expanded
cp -r base good
sed -i 's/path: model/path: "${VG_UNSET:-model}"/' good/study.yaml
(cd good && "$VG_PROGRAM" run -q study.yaml >table) || fault "the study without a fault is refused"
grep -q '^grammar/gradient_norm ' good/table || fault "no table of scores"
echo "$cases cases"
finish
