#!/usr/bin/env bash
# Submits a study to Slurm: checks it, takes memory and time from the check's estimate, and calls sbatch.
set -euo pipefail
jobs=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)

usage() {
    cat <<'USAGE'
Usage: jobs/submit.sh [OPTIONS] STUDY.yaml [-- sbatch's options]

Runs `voxgrad check`, asks Slurm for as many ranks as you say, for a quarter more memory than the check says is needed, and for twice the
time that it estimates and ten minutes, and submits jobs/voxgrad.sbatch. Run it where your jobs shall begin: it takes this folder along.

  --ranks N     MPI ranks (default 2)
  --cores N     cores a rank (default 1)
  --per-node N  ranks a node (default: as Slurm places them); on CPUs they hold one copy of a model's weights, which is then counted once
  --gpus        a GPU a rank
  --memory SIZE memory a rank may take (16G), where this login node is smaller than the nodes: the plan is made for it
  --array N     N array tasks that make the features, without MPI, then a job that merges them and one that fits
  --dry-run     print the commands instead of submitting

Examples:
  jobs/submit.sh --ranks 8 study.yaml
  jobs/submit.sh --ranks 4 --cores 32 study.yaml -- --ntasks-per-socket=1 --partition=long
  jobs/submit.sh --gpus --ranks 4 study.yaml -- --partition=gpu --account=lab
  jobs/submit.sh --array 16 --ranks 8 study.yaml

Exit status: 0 submitted, 2 the study or an option has a fault; otherwise sbatch's.
USAGE
}

ranks=2 cores=1 node=0 gpus=no tasks=0 run=yes study=''
how=() # options of voxgrad
while [ $# -gt 0 ]; do
    case "$1" in
    --ranks | --cores | --per-node | --array)
        [[ "${2-}" =~ ^[1-9][0-9]{0,5}$ ]] || { echo "submit.sh: $1: a number is expected" >&2 && exit 2; }
        case "$1" in --ranks) ranks=$2 ;; --cores) cores=$2 ;; --per-node) node=$2 ;; --array) tasks=$2 ;; esac
        shift 2
        ;;
    --memory)
        [[ "${2-}" =~ ^[1-9] ]] || { echo "submit.sh: --memory: a size is expected, like 16G" >&2 && exit 2; }
        how=(--memory "$2")
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
checked=("${how[@]}")
[ "$gpus" = no ] || checked+=(--device cuda)
[ "$node" -eq 0 ] || checked+=(--ranks "$node")
estimate=$("$VOXGRAD" check "${checked[@]}" -- "$study") || exit 2
printf '%s\n' "$estimate"

# Lines of check: "memory needed a rank: 812 MB, ...", "time: about 351 core-seconds (features 195.8, factorisations 10.9 a rank, fits 143.8), ...".
megabytes=$(sed -n 's/^memory needed a rank: \([0-9]*\) MB.*/\1/p' <<<"$estimate")
read -r features factorisations fits <<<"$(sed -nE 's/^time: .*\(features ([0-9]+)[.0-9]*, factorisations ([0-9]+)[.0-9]* a rank, fits ([0-9]+)[.0-9]*\).*/\1 \2 \3/p' <<<"$estimate")"
output=$(sed -n 's/^files: \(.*\)\/features.h5, .*/\1/p' <<<"$estimate")
if [ -z "$megabytes" ] || [ -z "$fits" ] || [ -z "$output" ]; then
    echo "submit.sh: voxgrad check printed no estimate" >&2
    exit 5
fi
megabytes=$((megabytes * 5 / 4 + 256)) # voxgrad plans for 80 % of what it may have
# minutes SECONDS RANKS [SECONDS OF EACH]: twice the time of SECONDS shared by so many ranks, and ten minutes.
minutes() { echo $((2 * ($1 / ($2 * cores) + ${3:-0} / cores) / 60 + 10)); }
options=(--ntasks="$ranks" --cpus-per-task="$cores" --time="$(minutes $((features + fits)) "$ranks" "$factorisations")")
if [ "$node" -gt 0 ]; then
    node=$((node < ranks ? node : ranks))
    options+=(--ntasks-per-node="$node" --mem="$((megabytes * node))M")
else
    options+=(--mem-per-cpu="$(((megabytes + cores - 1) / cores))M")
fi
[ "$gpus" = no ] || options+=(--gpus-per-task=1)

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
    each=(--cpus-per-task="$cores" --mem-per-cpu="$(((megabytes + cores - 1) / cores))M" --time="$(minutes "$features" "$tasks")")
    [ "$gpus" = no ] || each+=(--gpus-per-task=1)
    array=$(submit sbatch --parsable --array="1-$tasks" "${each[@]}" "$@" "$jobs/array.sbatch" "$study" "${how[@]}")
    printf 'array job %s\n' "${array%%;*}"
    merge=$(printf '%q merge %q/features.h5 %q/part-*-of-%s/features.h5.part' "$VOXGRAD" "$output" "$output" "$tasks")
    merged=$(submit sbatch --parsable --dependency="afterok:${array%%;*}" --kill-on-invalid-dep=yes --ntasks=1 --time=60 --job-name=voxgrad-merge --output=%x-%j.log "$@" --wrap="$merge")
    printf 'merge job %s\n' "${merged%%;*}"
    options+=(--dependency="afterok:${merged%%;*}" --kill-on-invalid-dep=yes)
fi
job=$(submit sbatch --parsable "${options[@]}" "$@" "$jobs/voxgrad.sbatch" "$study" "${how[@]}")
printf 'job %s; how far it is: voxgrad status %s\n' "${job%%;*}" "$output"
