/* bench study: rates of a study's own work on this machine, for check. */
#include "cli.h"
#include "voxgrad/study.h"

vg_status vg_bench_study(int argc, char **argv)
{
    static const vg_command_help help = {
        "bench study [OPTIONS] STUDY.yaml",
        "Runs a few blocks of a study's work, some seconds, and prints as JSON how long a GFLOP of each kind takes\n"
        "on this machine: rates for voxgrad check. Never starts MPI.",
        "  voxgrad bench study study.yaml >rates.json\n", 1, false};
    vg_study_overrides overrides = {0};
    const vg_option options[] = {VG_STUDY_OPTIONS(overrides), {0}};
    bool proceed;
    VG_TRY(vg_command_parse(&help, options, argc, argv, &proceed));
    if (!proceed)
        return VG_OK;
    vg_study *study;
    VG_TRY(vg_command_study(argv[0], &overrides, &study));
    vg_status status = vg_study_bench(study, stdout);
    vg_study_free(study);
    return status;
}
