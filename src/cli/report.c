/* report: the subcommand that makes a folder to look at from a results.h5. */
#include "cli.h"

vg_status vg_command_report(int argc, char **argv)
{
    static const vg_command_help help = {
        "report [OPTIONS] RESULTS",
        "Makes index.html (one file, no network), figures/ (SVG), tables/ (CSV) and maps/ (GIFTI, NIfTI) from a results.h5, from the\n"
        "results.h5.part of a study that still runs, or from a folder that has one of them. What is missing is said on the page.",
        "  voxgrad report results/results.h5\n  voxgrad report -o page --left lh.inflated --right rh.inflated results\n", 1, false};
    vg_report_options made = {0};
    const vg_option options[] = {
        {"output", 'o', "DIR", "folder of the report (default: report/ beside the results)", &made.output, NULL},
        {"features", 'f', "FILE.h5", "features.h5 of the study (default: beside the results)", &made.features, NULL},
        {"left", 0, "FILE", "surface of the left hemisphere: FreeSurfer geometry or GIFTI (default: the study's)", &made.surface[0], NULL},
        {"right", 0, "FILE", "surface of the right hemisphere", &made.surface[1], NULL},
        {0}};
    bool proceed;
    VG_TRY(vg_command_parse(&help, options, argc, argv, &proceed));
    return proceed ? vg_report_write(argv[0], &made) : VG_OK;
}
