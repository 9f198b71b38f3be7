#!/usr/bin/env bash
# Protects: the demo's story is the same in its three forms (the words of story.txt, of story.TextGrid and of story.tsv, in order, with the same
# times), its intervals follow each other without gap or overlap, and the demo's files stay small enough to be part of the project.
set -u
cd "$VG_SOURCE/jobs/demo" || exit 1
folder=$(mktemp -d) && trap 'rm -rf -- "$folder"' EXIT
faults=0
fault() { echo "$1"; faults=$((faults + 1)); }

grep -o '[^[:space:]]*' story.txt >"$folder/txt"
tail -n +2 story.tsv >"$folder/tsv"
# interval lines come in threes: xmin, xmax, text
awk '/^            xmin = / {begin = $3}
     /^            xmax = / {end = $3; if (begin + 0 != last + 0 || end + 0 <= begin + 0) print "interval at " begin ": gap, overlap or empty" > "/dev/stderr"; last = end}
     /^            text = "/ {word = $3; gsub(/^"|"$/, "", word); if (word != "") print word "\t" begin "\t" end}' story.TextGrid \
    >"$folder/grid" 2>"$folder/gaps"

[ "$(wc -l <"$folder/txt")" -ge 600 ] || fault "story.txt has $(wc -l <"$folder/txt") words"
cut -f 1 "$folder/tsv" | cmp - "$folder/txt" || fault "story.tsv has other words than story.txt"
cmp "$folder/grid" "$folder/tsv" || fault "story.TextGrid has other words or times than story.tsv"
[ ! -s "$folder/gaps" ] || fault "story.TextGrid: $(cat "$folder/gaps")"
stated=$(sed -n 's/^ *intervals: size = //p' story.TextGrid)
[ "$stated" -eq "$(grep -c '^ *text = "' story.TextGrid)" ] || fault "story.TextGrid states $stated intervals and has others"
size=$(du -sk --apparent-size . | cut -f 1)
[ "$size" -lt 1536 ] || fault "jobs/demo has grown to $size kB"
[ "$faults" -eq 0 ]
