#!/usr/bin/env bash
# Protects: the README's table of study keys is the parser's own (keys, defaults, meanings), so that no key is unsaid and none is invented; every
# subcommand and option is in the manual page and in the completion. `tests/cli/test_readme.sh --write PROGRAM` brings the README up to date.
set -u
root=${VG_SOURCE:-$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../.." && pwd)}
program=${VG_PROGRAM:-${2-$root/build/release/voxgrad}}
readme=$root/README.md
begin='<!-- keys: written by test_readme.sh -->' end='<!-- end of keys -->'
faults=0
fault() {
    echo "FAULT: $*"
    faults=$((faults + 1))
}

# What --help says of keys, as Markdown: lines of two blanks and columns parted by two or more; other lines name a section.
table() {
    "$program" run --help | sed -n '/^Keys of a study/,$p' | tail -n +2 | awk -F '  +' '
        /^$/ {next}
        /^  / {gsub(/\|/, "\\|"); gsub(/</, "\\&lt;"); printf "| `%s` | %s | %s |\n", $2, $3 == "-" ? "" : "`" $3 "`", $4; next}
        {printf "\n**%s**\n\n| key | default | meaning |\n|---|---|---|\n", $0}'
}

if [ "${1-}" = --write ]; then
    { sed "/^$begin\$/q" "$readme" && table && printf '\n' && sed -n "/^$end\$/,\$p" "$readme"; } >"$readme.new" && mv -- "$readme.new" "$readme"
    exit
fi

table >"${TMPDIR:-/tmp}/keys.$$"
sed -n "/^$begin\$/,/^$end\$/p" "$readme" | sed '1d;$d' | sed '$d' | diff - "${TMPDIR:-/tmp}/keys.$$" ||
    fault "the README's table of keys is not the parser's; tests/cli/test_readme.sh --write brings it up to date"
rm -f -- "${TMPDIR:-/tmp}/keys.$$"

manual=$root/src/cli/voxgrad.1
commands=$("$program" --help | awk '/^commands:/ {on = 1; next} /^$/ {on = 0} on {print $1}')
[ -n "$commands" ] || fault "voxgrad --help lists no commands"
for command in $commands; do
    grep -q "^\.SS $command\$" "$manual" || fault "the manual page has no section on $command"
    options=$("$program" "$command" --help | sed -n '/^options:/,/^$/p' | grep -oE -- '--[a-z][a-z-]*' | sort -u)
    [ -n "$options" ] || [ "$command" = bench ] || fault "voxgrad $command --help names no options"
    for option in $options; do
        grep -qF -- "${option//-/\\-}" "$manual" || fault "the manual page does not name $option of $command"
    done
done

# complete WORDS...: what the completion offers for the last word.
complete_words() {
    PATH=$(dirname "$program"):$PATH bash -c '. "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _voxgrad; printf "%s\n" "${COMPREPLY[@]}"' - "$root/src/cli/voxgrad.bash" "$@"
}
[ "$(complete_words voxgrad rep)" = report ] || fault "completion of rep: $(complete_words voxgrad rep)"
complete_words voxgrad report --fea | grep -qx -- --features || fault "completion of report --fea: $(complete_words voxgrad report --fea)"
complete_words voxgrad run --he | grep -qx -- --help || fault "completion of run --he: $(complete_words voxgrad run --he)"
! command -v man >/dev/null || LC_ALL=C.UTF-8 MANROFFSEQ='' man --warnings -E UTF-8 -l -Tutf8 -Z "$manual" 2>&1 >/dev/null | grep . && fault "the manual page has faults"
echo "$faults faults"
[ "$faults" -eq 0 ]
