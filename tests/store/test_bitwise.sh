#!/usr/bin/env bash
# Protects: the bytes of a file, and of its checksums, do not depend on the number of ranks that wrote it, nor on the time.
set -eu
program="$VG_BUILD/tests/store_test_store_mpi"
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

for ranks in 1 2 3 5; do
    mkdir "$folder/$ranks"
    mpirun -n "$ranks" --oversubscribe --bind-to none "$program" write "$folder/$ranks/sample.h5"
    [ "$(cd "$folder/$ranks" && echo *)" = "sample.h5 sample.h5.sum" ] || { echo "left over: $(ls "$folder/$ranks")"; exit 1; }
    cmp "$folder/1/sample.h5" "$folder/$ranks/sample.h5"
    cmp "$folder/1/sample.h5.sum" "$folder/$ranks/sample.h5.sum"
    sleep 1 # a time stamp would differ
done
echo "$(stat -c %s "$folder/1/sample.h5") bytes are the same on 1, 2, 3 and 5 ranks"
