/* bench: the table of what can be measured. A bench is one file, a row here, and JSON lines on standard output. */
#include <string.h>

#include "cli.h"

static const struct {
    const char *name;
    vg_command_main *run;
    const char *summary;
} benches[] = {
    {"attribution", vg_bench_attribution, "explanations of a model of a named shape with random weights: words/s, GFLOP/s"},
    {"encoding", vg_bench_encoding, "ridge on arrays of a given size: voxels/s, GFLOP/s, bytes read"},
    {"study", vg_bench_study, "a few blocks of a study's own work: rates for voxgrad check --rates"},
    {"tokenizer", vg_bench_tokenizer, "a text of 100,000 words through a tokenizer.json: words/s"},
};

enum { BENCHES = sizeof benches / sizeof *benches };

static void print_help(void)
{
    printf("usage: voxgrad bench WHAT [OPTIONS]\n\nMeasures this machine; prints a JSON object a line.\n\n");
    for (int i = 0; i < BENCHES; i++)
        printf("  %-12s %s\n", benches[i].name, benches[i].summary);
    printf("\noptions:\n  -h, --help                   this page\n\n\"voxgrad bench WHAT --help\" says more, with examples.\n");
}

vg_status vg_command_bench(int argc, char **argv)
{
    const char *names[BENCHES + 1] = {NULL};
    const char *wanted = argc > 1 ? argv[1] : "--help";
    if (strcmp(wanted, "--help") == 0 || strcmp(wanted, "-h") == 0) {
        print_help();
        return argc > 1 ? VG_OK : vg_fail(VG_INVALID, "bench: which? (the list is above)");
    }
    for (int i = 0; i < BENCHES; i++) {
        names[i] = benches[i].name;
        if (strcmp(wanted, benches[i].name) == 0)
            return benches[i].run(argc - 1, argv + 1);
    }
    const char *near = vg_nearest(wanted, names);
    return vg_fail(VG_INVALID, "bench: no \"%s\"; %s%s", wanted, near != NULL ? "did you mean " : "voxgrad bench --help lists them",
                   near != NULL ? near : "");
}
