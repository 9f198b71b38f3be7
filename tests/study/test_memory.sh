#!/usr/bin/env bash
# Protects: --memory changes how many spaces share a reading of the responses, and no bit of results.h5; nor do ranks, with a nuisance band and
# a null.
# shellcheck source-path=SCRIPTDIR
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
tiny
cd base || exit 1
sed -i 's/layers: \[0, final\]/layers: all/' study.yaml
echo 'null: {shifts: 3}' >>study.yaml
"$VG_PROGRAM" features -q study.yaml || fault "no features"
for nuisance in none band; do
    [ "$nuisance" = none ] || echo 'nuisance: {spaces: [gradient_norm], draws: 3}' >>study.yaml
    for memory in 4G 40M 1M; do
        "$VG_PROGRAM" fit -v -m "$memory" study.yaml >/dev/null 2>"log.$memory" || fault "$nuisance, $memory: no fit"
        grep -o 'in [0-9]* readings' "log.$memory" || fault "$nuisance, $memory: the log does not say how many readings"
        mv out/results.h5 "results.$nuisance.$memory"
        cmp "results.$nuisance.4G" "results.$nuisance.$memory" || fault "$nuisance, $memory: other results"
    done
    [ "$(grep -o 'in [0-9]* readings' log.4G)" != "$(grep -o 'in [0-9]* readings' log.1M)" ] || fault "memory changed nothing: the test is empty"
    ranks 3 "$VG_PROGRAM" fit -q study.yaml >/dev/null || fault "$nuisance: no fit on 3 ranks"
    cmp "results.$nuisance.4G" out/results.h5 || fault "$nuisance: other results on 3 ranks"
done
finish
