#!/usr/bin/env bash
# Protects: spins of the sphere are the same bytes on 1, 2, 3 and 5 ranks and on any number of threads, and they are counted; check says how many
# there will be, or why none; spheres that are none, or those of another surface, are refused with their place, on one rank and on three.
# shellcheck source-path=SCRIPTDIR disable=SC2016
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
tiny
vertices=40

# gifti FILE SIDE ARRAYS: a file of such arrays, each "INTENT TYPE ROWS COLUMNS" in front of its numbers, a line each.
gifti() {
    awk -v side="$2" 'BEGIN {
            print "<?xml version=\"1.0\"?><GIFTI Version=\"1.0\" NumberOfDataArrays=\"" ARGC - 1 "\"><MetaData><MD><Name>AnatomicalStructurePrimary" \
                "</Name><Value>Cortex" side "</Value></MD></MetaData><LabelTable/>"
            for (i = 1; i < ARGC; i++) {
                split(ARGV[i], part, " ")
                print "<DataArray Intent=\"NIFTI_INTENT_" part[1] "\" DataType=\"NIFTI_TYPE_" part[2] "\" ArrayIndexingOrder=\"RowMajorOrder\"" \
                    " Dimensionality=\"2\" Dim0=\"" part[3] "\" Dim1=\"" part[4] "\" Encoding=\"ASCII\" Endian=\"LittleEndian\"" \
                    " ExternalFileName=\"\" ExternalFileOffset=\"\"><MetaData/><Data>"
                for (n = 5; n in part; n++) print part[n]
                print "</Data></DataArray>"
            }
            print "</GIFTI>"
        }' "${@:3}" >"$1"
}

# places N [BUMP]: N places along a spiral on the sphere of 100 mm, the last so many times further out.
places() {
    awk -v n="$1" -v bump="${2-1}" 'BEGIN {
        for (v = 0; v < n; v++) {
            z = 1 - (2 * v + 1) / n; r = (v == n - 1 ? bump : 1) * 100; a = v * 2.39996323
            printf "%.6f %.6f %.6f ", r * sqrt(1 - z * z) * cos(a), r * sqrt(1 - z * z) * sin(a), r * z
        }
    }'
}
sphere() {
    gifti "$1" "$2" "POINTSET FLOAT32 $3 3 $(places "$3" "${4-1}")" 'TRIANGLE INT32 1 3 0 1 2'
}

# A word a second, and responses that follow an activation of the word before, from the sphere's pole down of layer 01, 02, 03 and 04.
words=120
tr -s '[:space:]' '\n' <"$VG_SOURCE/jobs/demo/story.txt" | head -n "$words" |
    awk 'BEGIN {print "onset\toffset\tword"} {printf "%.2f\t%.2f\t%s\n", NR - 0.75, NR - 0.25, $0}' >base/story.tsv
sed -i -E -e 's/story: ([12]).txt/story: {lh: \1.Left.func.gii, rh: \1.Right.func.gii}/' -e '/^atlas/d' -e 's/layers: .*}/layers: all}/' \
    -e 's/words: story.TextGrid, tier: words/words: story.tsv/' -e 's/delays: .1, 2./delays: [1]/' \
    -e '/method: activations/a\  - {name: heard, method: activations, layers: all, at: word}' base/study.yaml
cat >>base/study.yaml <<'MORE'
null: {shifts: 19, spins: 20}
statistics: {level: 0.3, bootstrap: 0}
surface: {left_sphere: left.surf.gii, right_sphere: right.surf.gii}
MORE
(cd base && "$VG_PROGRAM" features -q study.yaml) || fault "no features"
for layer in 01 02 03 04; do
    h5dump -y -w 1 -o numbers -d "/stories/story/features/grammar/activations/$layer" -s 0,0 -c "$words,1" base/out/features.h5 >/dev/null
    awk 'NF {print $1 + 0}' numbers >"$layer.column"
    [ "$(grep -c . "$layer.column")" -eq "$words" ] || fault "layer $layer: not $words numbers"
done
rm -r base/out
for subject in 1 2; do
    for side in Left Right; do
        gifti "base/$subject.$side.func.gii" "$side" "NONE FLOAT32 $vertices $words $(paste ./*.column | awk -v s="$subject" -v n="$vertices" '
            {for (l = 1; l <= 4; l++) x[NR, l] = $l}
            END {for (v = 0; v < n; v++) for (t = 1; t <= NR; t++) printf "%.4f ", x[t - 1, int(4 * v / n) + 1] + sin(t * t * 12.9898 + v * 78.233 + s) / 20}')"
    done
done
sphere base/left.surf.gii Left "$vertices"
sphere base/right.surf.gii Right "$vertices"

# what is refused
for n in 1 3; do
    refused "$n" 2 'study.yaml: surface.right_sphere: right.surf.gii has 41 vertices, the right hemisphere of subject a 40: give the sphere of' \
        'sphere right.surf.gii Right 41'
    refused "$n" 2 'study.yaml: surface.left_sphere: left.surf.gii: is no sphere: vertex [0-9]+ is 100 mm from the origin, vertex 39 110 mm; give' \
        'sphere left.surf.gii Left 40 1.1'
    refused "$n" 2 'study.yaml: surface.right_sphere: is missing, and subject a has a right hemisphere: give both spheres, or none' \
        "sed -i 's/, right_sphere: .*}/}/' study.yaml"
    refused "$n" 2 'surface.left_sphere: left.surf.gii: .*No such file' 'rm left.surf.gii'
done
refused 1 2 'surface.left_sphere: 1.Left.func.gii: holds no surface' "sed -i 's/left.surf/1.Left.func/' study.yaml"
refused 1 2 'study.yaml:21: null.spin: unknown key; did you mean "spins"' "sed -i 's/spins: 20/spin: 20/' study.yaml" 'check -q study.yaml'
refused 1 2 'study.yaml:21: null.spins: -1 is not between 0' "sed -i 's/spins: 20/spins: -1/' study.yaml" 'check -q study.yaml'
refused 1 2 'study.yaml:23: surface.left_spher: unknown key; did you mean "left_sphere"' "sed -i 's/left_sphere/left_spher/' study.yaml" 'check -q study.yaml'
rm -rf case

cd base || exit 1
said() {
    sed "$1" study.yaml >other.yaml
    "$VG_PROGRAM" check -q other.yaml | grep -q "^spins: $2" || fault "$1: check does not say: $2"
}
sphere other.surf.gii Right 41
sed 's/right.surf/other.surf/' study.yaml >other.yaml
"$VG_PROGRAM" check -q other.yaml 2>&1 | grep -q 'surface.right_sphere: other.surf.gii has 41 vertices' || fault "check takes the sphere of another surface"
said '' '20 rotations of the spheres of 2 subjects, smallest p 0.048'
said 's/shifts: 19, //' 'none: a layer is preferred where it passes its null'
said 's/spins: 20/spins: 0/' 'none: null.spins is 0'

for n in 1 2 3 5; do
    ranks "$n" "$VG_PROGRAM" run -q study.yaml >/dev/null || fault "$n ranks: run failed"
    mv out "out.$n"
    cmp out.1/results.h5 "out.$n/results.h5" || fault "$n ranks: other results"
done
"$VG_PROGRAM" run -q --threads 3 study.yaml >/dev/null || fault "3 threads: run failed"
cmp out.1/results.h5 out/results.h5 || fault "3 threads: other results"
"$VG_PROGRAM" table out.1/results.h5 --what correlation --csv >correlation.csv || fault "no table of correlations"
cat correlation.csv
awk -F, 'NR == 1 {for (i = 1; i <= NF; i++) at[$i] = i; next}
    {rows++; counted += $at["spins"] == 20 && $at["p_spin"] > 0.0476 && $at["p_spin"] <= 1 && $at["spin_mean"] != ""}
    END {exit !(rows == 2 && counted == 2)}' correlation.csv || fault "not every row has its spins"
finish
