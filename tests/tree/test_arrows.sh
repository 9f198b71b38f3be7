#!/usr/bin/env bash
# Protects the arrows of the architecture: which room may include which. The table is the one place where they are written.
set -u
cd "$VG_SOURCE" || exit 1
declare -A may=(
    [base]="" [device]="base" [comm]="base device" [store]="base comm" [stimulus]="base" [lm]="base device"
    [attribution]="base device lm stimulus" [brain]="base stimulus" [encoding]="base device comm"
    [study]="base device comm store stimulus lm attribution brain encoding"
    [report]="base comm store stimulus brain" [cli]="base comm study report encoding"
)
faults=0
fault() { echo "$1"; faults=$((faults + 1)); }

for folder in src/*/; do
    room=$(basename "$folder")
    [ -n "${may[$room]+known}" ] || { fault "src/$room is not a room of the table"; continue; }
    while IFS=: read -r file line text; do
        [[ $text =~ [\<\"]([^\>\"]+)[\>\"] ]] || { fault "$file:$line: what does it include?"; continue; }
        header=${BASH_REMATCH[1]}
        case "$header" in
        voxgrad/*) other=${header#voxgrad/} other=${other%.h}
            [ "$other" = "$room" ] || [[ " ${may[$room]} " == *" $other "* ]] || fault "$file:$line: $room must not include $header" ;;
        mpi.h) [ "$room" = comm ] || [ "$room" = store ] || fault "$file:$line: mpi.h belongs to src/comm" ;;
        nccl.h) [ "$room" = comm ] || fault "$file:$line: nccl.h belongs to src/comm" ;;
        cuda*|cublas*|cusolver*|kernels.h) [ "$room" = device ] || [ "$room" = comm ] || fault "$file:$line: $header belongs to src/device" ;;
        */*) [[ "$header" != ../* ]] || fault "$file:$line: reaches into another folder" ;;
        *) [[ "$text" != *\"* ]] || [ -e "$folder$header" ] || [[ $header =~ ^(voxgrad_version|report_assets)\.h$ ]] || fault "$file:$line: $header is not in $folder" ;;
        esac
    done < <(grep -nE '^ *# *include' "$folder"*.c "$folder"*.h 2>/dev/null)
done
for header in include/voxgrad/*.h; do
    room=$(basename "$header" .h)
    [ "$room" = voxgrad ] && continue
    while read -r other; do
        [[ " ${may[$room]} " == *" $other "* ]] || fault "$header: must not include voxgrad/$other.h"
    done < <(sed -nE 's/.*#include "voxgrad\/(.*)\.h".*/\1/p' "$header")
done
echo "$faults arrows against the architecture"
[ "$faults" -eq 0 ]
