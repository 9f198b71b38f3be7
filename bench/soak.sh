#!/usr/bin/env bash
# A soak: the demo study again and again under AddressSanitizer, killed at random instants on changing numbers of ranks, gone on with until it is
# whole, and compared byte by byte with an undisturbed run. Made by hand, not by continuous integration: bench/results/soak.md is its log.
set -uo pipefail
root=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)

usage() {
    cat <<'USAGE'
Usage: bench/soak.sh [MINUTES] [SEED]

Needs build/asan (cmake --preset asan && cmake --build --preset asan). 30 minutes, seed 1 unless said. Prints a report in Markdown.
Exit status: 0 no wrong byte, no report of a sanitizer; 1 otherwise; 2 there is no build.
USAGE
}
case "${1-}" in
-h | --help) usage && exit 0 ;;
esac
minutes=${1:-30} seed=${2:-1}
[[ "$minutes" =~ ^[0-9]+$ && "$seed" =~ ^[0-9]+$ ]] || { usage >&2 && exit 2; }
[ -x "$root/build/asan/voxgrad" ] || { usage >&2 && exit 2; }

export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_btl_vader_single_copy_mechanism=none
export ASAN_OPTIONS=detect_leaks=1:fast_unwind_on_malloc=0:intercept_tls_get_addr=0 LSAN_OPTIONS=suppressions=$root/tests/lsan.supp:print_suppressions=0
export UBSAN_OPTIONS=print_stacktrace=1
folder=$(mktemp -d) && trap 'rm -rf -- "$folder"' EXIT
cd "$folder" && cp "$root/build/asan/voxgrad" . || exit 1 # a copy: builds may go on meanwhile
program=$folder/voxgrad
export VG_DEMO=$folder/whole
study=$root/jobs/demo/study.yaml
began=$SECONDS RANDOM=$seed
if ! "$program" simulate -q "$study" 2>errors || ! "$program" run -q "$study" >table 2>errors; then
    cat errors >&2
    exit 1
fi
took=$((SECONDS - began))

runs=0 kills=0 whole=0 wrong=0 failures=0
while [ $((SECONDS - began)) -lt $((minutes * 60)) ]; do
    n=$((RANDOM % 3 + 1))
    runs=$((runs + 1))
    mpirun -n $n --oversubscribe --bind-to none "$program" run -q -o again "$study" >again.table 2>log &
    launcher=$!
    wait=$((RANDOM % (took + took / 2 + 1)))
    for ((tenths = 0; tenths < wait * 10; tenths++)); do
        kill -0 $launcher 2>/dev/null || break
        sleep 0.1
    done
    members=$(pgrep -P $launcher | tr '\n' ' ')
    if [ -n "$members" ]; then
        kills=$((kills + 1))
        case $((RANDOM % 3)) in
        0) kill -9 "${members%% *}" ;;
        1) for member in $members; do kill -9 "$member"; done ;;
        2) kill -9 $launcher ;;
        esac 2>/dev/null
    fi
    wait $launcher 2>/dev/null
    code=$?
    for member in $members; do
        for _ in $(seq 600); do
            kill -0 "$member" 2>/dev/null || break
            sleep 0.1
        done
    done
    grep -E 'ERROR: (Address|Leak)Sanitizer|runtime error' log >>reports
    case $code in
    0)
        whole=$((whole + 1))
        for file in features.h5 features.h5.sum results.h5 results.h5.sum; do cmp -s "whole/$file" "again/$file" || wrong=$((wrong + 1)); done
        cmp -s table again.table || wrong=$((wrong + 1))
        rm -rf again
        ;;
    2 | 3 | 5) failures=$((failures + 1)) && tail -n 3 log >>errors ;;
    esac
done
touch reports errors
cat <<REPORT
# Soak

\`bench/soak.sh $minutes $seed\`, $(date -u +%F), $("$program" --version), $(nproc) cores, AddressSanitizer (with leaks) and UndefinedBehaviorSanitizer.
The demo study (simulated responses), killed with \`kill -9\` (a rank, all ranks, or mpirun) at random instants, on 1 to 3 ranks.

| | |
|---|---|
| minutes | $(((SECONDS - began) / 60)) |
| an undisturbed run | $took s |
| runs begun | $runs |
| killed | $kills |
| gone on with until whole, and compared | $whole |
| files or tables with a wrong byte | $wrong |
| runs that refused or failed | $failures |
| reports of the sanitizers | $(wc -l <reports) |
REPORT
sed 's/^/    /' reports errors
[ $((wrong + failures)) -eq 0 ] && [ ! -s reports ]
