# What the shell tests of whole runs share. Source it; it makes $folder, removed at the end, and leaves in it.
# shellcheck shell=bash
set -u
folder=$(mktemp -d) && trap 'rm -rf -- "$folder"' EXIT
cd "$folder" || exit 1
faults=0
fault() {
    echo "FAULT: $*"
    faults=$((faults + 1))
}

# ranks N COMMAND...: on N MPI ranks of this machine, ended after five minutes.
ranks() {
    local n=$1
    shift
    timeout -k 5 300 mpirun -n "$n" --oversubscribe --bind-to none "$@"
}

finish() {
    echo "$faults faults"
    [ "$faults" -eq 0 ]
    exit
}
