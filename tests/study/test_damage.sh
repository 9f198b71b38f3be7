#!/usr/bin/env bash
# Protects: a byte that changed anywhere in features.h5 or results.h5 (every 4 kB piece in turn) is noticed before anything is read: fit, table and
# check refuse the file by its checksums, naming piece and datasets; names that lead elsewhere, or are no names, are refused or written rightly;
# nothing is written outside of the output folder, and files are for whom the umask says.
# shellcheck source-path=SCRIPTDIR
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
tiny
cd base || exit 1
"$VG_PROGRAM" run -q study.yaml >/dev/null || fault "run failed"

# ---- every piece ----------------------------------------------------------------------------------------------------------------------------
# noticed FILE AT COMMAND...: exit 2, and a message that names file and piece.
noticed() {
    local file=$1 at=$2
    shift 2
    "$VG_PROGRAM" "$@" >stdout 2>stderr && fault "$*: took $file damaged at $at"
    grep -qE "$file: .*(damaged|checksum)" stderr || fault "$* with $file damaged at $at: $(cat stderr)"
    [ ! -s stdout ] || [ "$1" = check ] || fault "$*: printed something of a damaged file"
}
for file in features results; do
    pieces=0
    size=$(stat -c %s out/$file.h5)
    for ((at = 0; at < size; at += 4096)); do
        pieces=$((pieces + 1))
        where=$((at + at / 4 % 4093))
        [ "$where" -lt "$size" ] || where=$((size - 1))
        flip out/$file.h5 "$where" 16
        if [ $file = features ]; then
            noticed out/features.h5 "$where" fit -q study.yaml
        else
            noticed out/results.h5 "$where" table out/results.h5
        fi
        [ $((pieces % 8)) -ne 1 ] || noticed out/$file.h5 "$where" check study.yaml
        flip out/$file.h5 "$where" 16
    done
    echo "$file.h5: $pieces pieces"
    truncate -s $((size - 1)) out/$file.h5
    noticed_says=$("$VG_PROGRAM" check study.yaml 2>&1 >/dev/null) && fault "a cut off $file.h5 was taken"
    [[ $noticed_says == *"has $((size - 1)) bytes, but $size were written"* ]] || fault "a cut off $file.h5: $noticed_says"
    rm -r out && "$VG_PROGRAM" run -q study.yaml >/dev/null
done
grep -qE '^[0-9a-f]{8} /' out/features.h5.sum || fault "the checksums name no datasets"
cd "$folder" && rm -r base/out || exit 1

# ---- names ----------------------------------------------------------------------------------------------------------------------------------------
long=$(printf 'x%.0s' $(seq 4096))
refused 1 2 'story.*("\.\./story"|/)' 'sed -i "s/name: story,/name: ..\/story,/; s/{story:/{..\/story:/" study.yaml'
refused 1 2 'model.*(\.\.|/)' 'sed -i "s/name: grammar,/name: ..,/" study.yaml'
refused 1 2 'subject.*/' 'sed -i "s/name: a,/name: a\/b,/" study.yaml'
refused 1 2 'longer than 255|too long|4096' "sed -i 's/name: a,/name: $long,/' study.yaml"
refused 1 2 'UTF-8' 'printf "\n# \xff\n" >>study.yaml'
refused 1 2 'UTF-8' 'sed -i "s/name: a,/name: \"\\\\xff\\\\xfe\",/" study.yaml; printf "study: \"\xc3\x28\"\n" >study.yaml'
refused 1 2 'cannot be (read|made)|too long' "sed -i 's/^output: .*/output: $long/' study.yaml"
# what is odd but a name goes through, whole
rm -rf case && cp -r base case && rm -rf case/out
odd=$'it\'s "quoted" $(touch owned) `touch owned`; rm -rf \\ \u00e9'
python=$(printf '%s' "$odd" | sed 's/\\/\\\\/g; s/"/\\"/g')
sed -i "s|^study: .*|study: \"$(printf '%s' "$python" | sed 's/[&|\\]/\\&/g')\"|; s|name: a,|name: \"$(printf '%s' "$python" | sed 's/[&|\\]/\\&/g')\",|" case/study.yaml
(cd case && umask 027 && "$VG_PROGRAM" run -q -o "$(printf 'a b\n%s' 'c"d')" study.yaml >table 2>stderr) || fault "odd names: $(cat case/stderr)"
[ -e "$(printf 'case/a b\nc"d')/results.h5" ] || fault "odd names: no results"
[ -z "$(find . -name 'owned*')" ] || fault "a name was given to a shell"
[ -z "$(find "$(printf 'case/a b\nc"d')" -type f -perm /027)" ] || fault "the umask was not obeyed: $(ls -l case/a*)"
# nothing outside of the output folder
rm -rf case && cp -r base case && rm -rf case/out
find case -type f | sort >before
(cd case && "$VG_PROGRAM" run -q study.yaml >/dev/null)
find case -type f -not -path 'case/out/*' | sort >after
cmp before after || fault "written outside of the output folder: $(diff before after)"
finish
