/* results: subcommands that look at what is there: table, info. */
#include "cli.h"

vg_status vg_command_table(int argc, char **argv)
{
    static const vg_command_help help = {
        "table RESULTS.h5 [--what WHAT] [--csv]",
        "Prints what a study found: space x region (the mean over subjects of the region's mean score, and its SEM), or one of its tables.",
        "  voxgrad table results/demo/results.h5\n"
        "  voxgrad table results/demo/results.h5 --what methods          average scores by model and method\n"
        "  voxgrad table results/demo/results.h5 --what models --csv     models in every region, for a figure\n"
        "  voxgrad table results/demo/results.h5 --what layers --csv >layers.csv\n",
        1, false};
    static const char *what;
    static bool csv;
    const vg_option options[] = {{"what", 'w', "WHAT", "regions, layers, methods, models, contrasts, correlation or profile", &what, NULL},
                                 {"csv", 'c', NULL, "comma-separated, a row each", NULL, &csv},
                                 {0}};
    bool proceed;
    VG_TRY(vg_command_parse(&help, options, argc, argv, &proceed));
    if (!proceed)
        return VG_OK;
    return what == NULL && !csv ? vg_report_regions(argv[0], stdout)
                                : vg_report_table(argv[0], what != NULL ? what : "regions", csv, stdout);
}

vg_status vg_command_info(int argc, char **argv)
{
    static const vg_command_help help = {"info", "Prints version, libraries and devices.", "  voxgrad info\n", 0, false};
    const vg_option options[] = {{0}};
    bool proceed;
    VG_TRY(vg_command_parse(&help, options, argc, argv, &proceed));
    return proceed ? vg_study_info(stdout) : VG_OK;
}
