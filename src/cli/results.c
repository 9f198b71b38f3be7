/* results: subcommands that look at what is there: table, info. */
#include "cli.h"

vg_status vg_command_table(int argc, char **argv)
{
    static const vg_command_help help = {"table RESULTS.h5",
                                         "Prints space x region: the mean over subjects of the region's mean score, and its SEM.",
                                         "  voxgrad table results/demo/results.h5\n", 1, false};
    const vg_option options[] = {{0}};
    bool proceed;
    VG_TRY(vg_command_parse(&help, options, argc, argv, &proceed));
    return proceed ? vg_report_regions(argv[0], stdout) : VG_OK;
}

vg_status vg_command_info(int argc, char **argv)
{
    static const vg_command_help help = {"info", "Prints version, libraries and devices.", "  voxgrad info\n", 0, false};
    const vg_option options[] = {{0}};
    bool proceed;
    VG_TRY(vg_command_parse(&help, options, argc, argv, &proceed));
    return proceed ? vg_study_info(stdout) : VG_OK;
}
