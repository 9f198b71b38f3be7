#!/usr/bin/env bash
# Protects: what the README says of reading results elsewhere is run as it stands there: h5py, pandas and nilearn in a virtual environment of its
# own, R where it is installed; and nibabel finds maps with the shape, intent, structure and affine that viewers go by. Names of the README's study
# become those of the sample. Skipped where packages cannot be fetched; the environment is kept in build/ for the next time.
set -u
environment=$VG_SOURCE/build/readme-environment
folder=$(mktemp -d) && trap 'rm -rf -- "$folder"' EXIT
faults=0
fault() {
    echo "FAULT: $*"
    faults=$((faults + 1))
}
skip() {
    echo "skipped: $*"
    exit 77
}

mkdir -p "$VG_SOURCE/build"
exec 9>"$VG_SOURCE/build/readme-environment.lock" && flock 9
if [ ! -e "$environment/whole" ]; then
    command -v python3 >/dev/null || skip "python3 is not here"
    rm -rf -- "$environment"
    python3 -m venv "$environment" >/dev/null 2>&1 || skip "no virtual environment can be made (python3-venv)"
    timeout 400 "$environment/bin/pip" install --quiet --retries 1 --timeout 15 h5py pandas nilearn matplotlib >"$folder/pip" 2>&1 ||
        skip "the packages cannot be fetched: $(tail -n 1 "$folder/pip")"
    touch "$environment/whole"
fi

mkdir "$folder/results"
"$VG_BUILD/tests/report_test_page" "$folder/results" 10242 || fault "no sample"
"$VG_PROGRAM" report -q "$folder/results" || fault "no report"
cd "$folder" || exit 1

# snippet LANGUAGE N: the Nth block of the language in the section, with the sample's names.
snippet() {
    sed -n '/^## Reading results elsewhere/,/^## Calling/p' "$VG_SOURCE/README.md" |
        awk -v language="$1" -v wanted="$2" '$0 == "```" language {n++; on = n == wanted; next} /^```/ {on = 0} on' | sed 's/gpt2/alpha/g; s/s01/s2/g'
}
for n in 1 2 3; do
    snippet python "$n" >"$n.py"
    [ -s "$n.py" ] || fault "the README has no block $n"
done
echo 'assert score.shape == (20484,)' >>1.py
echo 'assert scores.pivot_table("mean", ["model", "name", "layer"], "region").shape == (12, 3)' >>2.py
for n in 1 2 3; do
    MPLBACKEND=agg "$environment/bin/python" -W ignore "$n.py" >"$n.out" 2>&1 || fault "block $n: $(tail -n 3 "$n.out")"
done
[ -s map.png ] || fault "nilearn drew no map"

mkdir volume
"$VG_BUILD/tests/report_test_page" volume 0 2 || fault "no sample of a volume"
"$VG_PROGRAM" report -q volume || fault "no report of a volume"
"$environment/bin/python" - <<'PYTHON' || fault "nibabel finds other maps"
import nibabel, numpy, h5py
results = h5py.File("results/results.h5")
for h, side in enumerate(["Left", "Right"]):
    image = nibabel.load(f"results/report/maps/{'lr'[h]}h.alpha.gradient_norm.mean.shape.gii")
    assert len(image.darrays) == 1 and image.darrays[0].data.shape == (10242,) and image.darrays[0].data.dtype == numpy.float32
    assert image.darrays[0].intent == nibabel.nifti1.intent_codes["NIFTI_INTENT_SHAPE"]
    assert image.meta["AnatomicalStructurePrimary"] == "Cortex" + side
    assert image.darrays[0].meta["Name"] == "alpha/gradient_norm mean"
    assert numpy.array_equal(image.darrays[0].data, results["group/alpha/gradient_norm/mean"][10242 * h : 10242 * (h + 1)])
image = nibabel.load("volume/report/maps/alpha.gradient_norm.mean.nii.gz")
assert image.shape == (5, 3, 2) and image.header["sform_code"] > 0
assert numpy.allclose(image.affine, [[-2, 0, 0, 90], [0, 2, 0, -126], [0, 0, 2.5, -72], [0, 0, 0, 1]])
mean = h5py.File("volume/results.h5")["group/alpha/gradient_norm/mean"][:]
assert numpy.array_equal(image.get_fdata(dtype=numpy.float32).ravel(order="F"), mean)
PYTHON

if command -v Rscript >/dev/null; then
    snippet r 1 >1.R
    Rscript 1.R >R.out 2>&1 || fault "R: $(tail -n 3 R.out)"
    grep -q "alpha .*<script>\|alpha .*STS" R.out || fault "R prints no scores: $(cat R.out)"
else
    echo "R is not here: its block was not run"
fi
echo "$faults faults"
[ "$faults" -eq 0 ]
