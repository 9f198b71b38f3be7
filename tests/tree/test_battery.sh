#!/usr/bin/env bash
# Protects: the battery says so and is skipped where there is no GPU, or no nvcc for one; the limits of its steps add up to less than 8 minutes;
# the rows of its page are the measured lines, each against the ceiling of its own kind (tried on lines of the CPU's back end: no page is made
# of them); the table of bench/roofline.sh is whole, and no GPU's time stands in it without a page.
# shellcheck source-path=SCRIPTDIR
set -u
faults=0
fault() { echo "$1"; faults=$((faults + 1)); }
folder=$(mktemp -d) && trap 'rm -rf -- "$folder"' EXIT
mkdir "$folder/none" "$folder/some"

# expect STATUS SAYS COMMAND...
expect() {
    local wanted=$1 says=$2 status output
    shift 2
    output=$("$@" 2>&1)
    status=$?
    [ "$status" -eq "$wanted" ] || fault "$*: exit $status where $wanted was expected: $output"
    [[ $output == *"$says"* ]] || fault "$*: \"$says\" was expected in: $output"
}

printf '#!/bin/sh\nexit 6\n' >"$folder/none/nvidia-smi"
printf '#!/bin/sh\necho 9.0\n' >"$folder/some/nvidia-smi"
chmod +x "$folder"/*/nvidia-smi
tools=/usr/bin:/bin
expect 77 "no GPU 0 here" env PATH="$folder/none:$tools" "$VG_SOURCE/tests/gpu.sh"
expect 77 "no GPU 0 here" env PATH="$folder/none:$tools" "$VG_SOURCE/bench/gpu.sh"
if ! PATH=$tools command -v nvcc >/dev/null; then
    expect 77 "no nvcc" env PATH="$folder/some:$tools" CUDA_HOME=/nowhere "$VG_SOURCE/tests/gpu.sh"
fi
expect 1 "is not there" env PATH="$folder/some:$tools" "$VG_SOURCE/bench/gpu.sh" --build "$folder"

# A page from a program that is none: every part of it is there, and a model that cannot be timed does not lose it.
mkdir -p "$folder/build/tests"
cat >"$folder/build/tests/device_test_device" <<'SH'
#!/bin/sh
echo "a name"
[ "$2" = ceilings ] && echo "copy 1 100000000 0 0 0 0 0 0 0 0   best 2.000 ms, median 4.000 ms: 400.0 GB/s, a core 400.0"
[ "$2" = all ] && echo "fill 20000000 0 0 0 0 0 0 0 0 0   best 1.000 ms, median 1.000 ms: 100.0 GB/s, a core 100.0"
exit 0
SH
cat >"$folder/build/voxgrad" <<'SH'
#!/bin/sh
case "$*" in *gpt2*) echo '{"model": "gpt2", "method": "some", "words_per_second": 7, "gflops": 8, "gemm_gflops": 16, "fraction_of_gemm": 0.5, "x": 1}' ;; *) exit 3 ;; esac
SH
chmod +x "$folder"/build/voxgrad "$folder"/build/tests/*
expect 0 "$folder/made.md" env PATH="$folder/some:$tools" "$VG_SOURCE/bench/gpu.sh" --build "$folder/build" --models "gpt2 huge" --out "$folder/made.md"
for row in '| driver_version | 9.0 |' '| device copy | 200 GB/s |' '| fill | 20000000 | 1.0000 | 100.0 GB/s | 50 % | 80 % |' '| gpt2 | some | 7 | 8 GFLOP/s | 0.5 |' '| huge | not timed | | | |'; do
    grep -qxF -- "$row" "$folder/made.md" || fault "no row $row in $(cat "$folder/made.md")"
done
! grep -F '| a | name' "$folder/made.md" || fault "the device's name is taken for an operation"

# The limits of all steps, and 5 s each to end one that is over its limit, are less than 8 minutes.
limits=$(sed -nE 's/^ *(step|sanitize) [a-z]+ ([0-9]+).*/\2/p' "$VG_SOURCE/tests/gpu.sh")
steps=$(wc -w <<<"$limits") seconds=$(awk '{s += $1 + 5} END {print s}' <<<"$limits")
{ [ "$steps" -eq 6 ] && [ "$seconds" -lt 480 ]; } || fault "the $steps steps of tests/gpu.sh may take $seconds s"

# shellcheck source=../../bench/gpu.sh
. "$VG_SOURCE/bench/gpu.sh"
set +e
program=$VG_BUILD/tests/device_test_device
"$program" --bench scale_rows cpu 1 >"$folder/timings" && "$program" --bench eigh cpu 1 | head -n 2 >>"$folder/timings"
lines=$(grep -c median "$folder/timings")
table "$folder/timings" "$folder/timings" >"$folder/page"
rows=$(grep -cE '^\| (scale_rows|eigh) \|' "$folder/page")
[ "$rows" -eq "$lines" ] || fault "$lines lines became $rows rows"
for operation in scale_rows eigh; do # the best of a kind is its own ceiling
    grep -qE "^\| $operation \|.* 100 % \|" "$folder/page" || fault "$operation: nothing reaches the ceiling that it is itself: $(cat "$folder/page")"
done
awk -F'|' '/^\| (scale_rows|eigh)/ {p = $6 + 0; if (p <= 0 || p > 100) exit 1}' "$folder/page" || fault "a fraction is not one: $(cat "$folder/page")"
grep -q '^| product, float32 | 0.0 TFLOP/s |$' "$folder/page" || fault "a product was not measured and has a rate"
median=$(sed -n '/^scale_rows/{s/.*median \([0-9.]*\) ms.*/\1/p;q}' "$folder/timings")
grep -qE "^\| scale_rows \|.*\| ${median}[0-9]* \|" "$folder/page" || fault "the median $median ms is not on the page"

# The table of what each operation may take at most has every operation of the device table, as it is counted, and no GPU's time but from a page.
roofline=$VG_SOURCE/bench/results/roofline.md
sed -n '/^static const operation operations/,/^};/s/^ *{"\([a-z_]*\)".*/\1/p' "$VG_SOURCE/tests/device/test_device.c" | sort >"$folder/operations"
awk -F' *[|] *' '/^\| [a-z_]+ \| [0-9]/ {print $2}' "$roofline" | sort -u >"$folder/counted"
{ [ -s "$folder/operations" ] && cmp "$folder/operations" "$folder/counted"; } || fault "bench/results/roofline.md is of other operations: run bench/roofline.sh"
# shellcheck source=../../bench/roofline.sh
. "$VG_SOURCE/bench/roofline.sh"
set +e
for operation in softmax_jvp ridge_quadratic; do
    "$program" --count "$operation" | rows >"$folder/rows"
    { [ -s "$folder/rows" ] && ! grep -vxFf "$roofline" "$folder/rows"; } || fault "bench/results/roofline.md counts $operation otherwise: run bench/roofline.sh"
done
if ! ls "$VG_SOURCE"/bench/results/gpu-*.md >/dev/null 2>&1 && grep -E '^\| [a-z_]+ \| [0-9]' "$roofline" | grep -qv '| |$'; then
    fault "bench/results/roofline.md has times of a GPU, and there is no page of one"
fi
echo "$faults faults"
[ "$faults" -eq 0 ]
