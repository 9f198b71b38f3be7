#!/usr/bin/env bash
# Protects, on an emulated GPU (EMU, no GPU): every feature space, and every target, context and kind of path integral, against the goldens of
# torch in float64 by the tests of tests/attribution, as on the CPU. Of the goldens' words only one or two are looked at (VG_GOLDEN_WORDS): the
# emulation is some forty times slower than the CPU. All words are looked at on the CPU, and by tests/gpu.sh on a GPU.
set -u
if [ "${VG_CUDA-}" != EMU ]; then
    echo "skipped: this build has no emulated GPU (cmake --preset emu)"
    exit 77
fi
skipped=0
for try in "spaces 2" "paths 1"; do
    VG_GOLDEN_WORDS=${try#* } timeout -k 5 600 "$VG_BUILD/tests/attribution_test_${try% *}"
    status=$?
    [ "$status" -ne 77 ] || skipped=77
    [ "$status" -eq 0 ] || [ "$status" -eq 77 ] || exit 1
done
exit "$skipped"
