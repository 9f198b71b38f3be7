/* results: subcommands that look at what is there: table, info. */
#include "cli.h"
#include "voxgrad_version.h"

vg_status vg_command_table(int argc, char **argv)
{
    static const vg_command_help help = {"table RESULTS.h5", "Prints space x region: the mean over subjects of the region's mean score, and its SEM.",
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
    if (!proceed)
        return VG_OK;
    vg_device *device;
    printf("voxgrad %s (%s)\n", VOXGRAD_VERSION, VOXGRAD_COMMIT);
    printf("BLAS kernels: %s\n", vg_device_blas_core());
    VG_TRY(vg_device_open("cpu", 0, 0, &device));
    printf("device cpu: %s\n", device->name);
    vg_device_close(device);
    if (vg_device_open("cuda", 0, 0, &device) == VG_OK) {
        printf("device cuda: %s\n", device->name);
        vg_device_close(device);
    } else {
        printf("device cuda: none (%s)\n", vg_message());
    }
    printf("methods:");
    for (const char *const *method = vg_space_methods(); *method != NULL; method++)
        printf(" %s", *method);
    printf("\n");
    return VG_OK;
}
