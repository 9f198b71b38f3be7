#!/usr/bin/env bash
# Submits a study to Slurm: checks it, takes memory and time from the check's estimate, and calls sbatch.
set -euo pipefail
jobs=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)

usage() {
    cat <<'USAGE'
Usage: jobs/submit.sh [OPTIONS] STUDY.yaml [-- sbatch's options]

Runs `voxgrad check`, asks Slurm for as many ranks as you say, for the memory a rank that the check says is needed, and for twice the time
that it estimates (at least 10 minutes), and submits jobs/voxgrad.sbatch.

  --ranks N    MPI ranks, each with a socket's cores (default 2)
  --gpus       a GPU a rank
  --cores N    cores a rank (default: what Slurm gives)
  --array N    N array tasks that make the features, without MPI, then a job that merges them and fits
  --dry-run    print the commands instead of submitting

Examples:
  jobs/submit.sh --ranks 8 study.yaml
  jobs/submit.sh --gpus --ranks 4 study.yaml -- --partition=gpu --account=lab
  jobs/submit.sh --array 16 --ranks 8 study.yaml

Exit status: 0 submitted, 2 the study or an option has a fault; otherwise sbatch's.
USAGE
}

ranks=2 cores='' gpus=no tasks=0 run=yes study=''
while [ $# -gt 0 ]; do
    case "$1" in
    --ranks | --cores | --array)
        [[ "${2-}" =~ ^[1-9][0-9]{0,5}$ ]] || { echo "submit.sh: $1: a number is expected" >&2 && exit 2; }
        case "$1" in --ranks) ranks=$2 ;; --cores) cores=$2 ;; --array) tasks=$2 ;; esac
        shift 2
        ;;
    --gpus) gpus=yes && shift ;;
    --dry-run) run=no && shift ;;
    -h | --help) usage && exit 0 ;;
    --) shift && break ;;
    -*) usage >&2 && exit 2 ;;
    *)
        [ -z "$study" ] || { usage >&2 && exit 2; }
        study=$1 && shift
        ;;
    esac
done
[ -n "$study" ] || { usage >&2 && exit 2; }

export VOXGRAD_JOBS=$jobs
# shellcheck source=jobs/environment.sh
. "$jobs/environment.sh"
estimate=$("$VOXGRAD" check -- "$study") || exit 2
printf '%s\n' "$estimate"

# "memory needed a rank: 812 MB" and "time: 1.25 core-hours": lines of check.
megabytes=$(sed -n 's/^memory needed a rank: \([0-9]*\) MB.*/\1/p' <<<"$estimate")
core_seconds=$(sed -n 's/^time: .* \([0-9]*\) core-seconds.*/\1/p' <<<"$estimate")
output=$(sed -n 's/^files: \(.*\)\/features.h5, .*/\1/p' <<<"$estimate")
if [ -z "$megabytes" ] || [ -z "$core_seconds" ] || [ -z "$output" ]; then
    echo "submit.sh: voxgrad check printed no estimate" >&2
    exit 5
fi
each=${cores:-1}
minutes=$((core_seconds * 2 / (ranks * each) / 60 + 10))
options=(--ntasks="$ranks" --mem-per-cpu="$(((megabytes + each - 1) / each + 256))M" --time="$minutes")
[ -z "$cores" ] || options+=(--cpus-per-task="$cores")
if [ "$gpus" = yes ]; then options+=(--gpus-per-task=1); fi

# submit COMMAND...: prints it, or runs it; sbatch prints the job's number.
submit() {
    if [ "$run" = no ]; then
        printf '%q ' "$@" >&2 && printf '\n' >&2
        echo JOB
    else
        "$@"
    fi
}

if [ "$tasks" -gt 0 ]; then
    array=$(submit sbatch --parsable --array="1-$tasks" --mem-per-cpu="$((megabytes + 256))M" --time="$((core_seconds * 2 / tasks / 60 + 10))" "$@" "$jobs/array.sbatch" "$study")
    printf 'array job %s\n' "$array"
    merge=$(printf '%q merge %q/features.h5 %q/part-*-of-%s/features.h5.part' "$VOXGRAD" "$output" "$output" "$tasks")
    merged=$(submit sbatch --parsable --dependency="afterok:$array" --ntasks=1 --time=60 --job-name=voxgrad-merge --output=%x-%j.log "$@" --wrap="$merge")
    printf 'merge job %s\n' "$merged"
    options+=(--dependency="afterok:$merged")
fi
job=$(submit sbatch --parsable "${options[@]}" "$@" "$jobs/voxgrad.sbatch" "$study")
printf 'job %s; how far it is: voxgrad status %s\n' "$job" "$output"
