/* main: the table of subcommands. Messages and exit codes of the whole program end here; nothing below calls exit. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"
#include "voxgrad_version.h"

static const struct {
    const char *name;
    vg_command_main *run;
    const char *summary;
} commands[] = {
    {"run", vg_command_run, "features, then fit, then the table of scores and the report"},
    {"features", vg_command_features, "explain every word of the stories: features.h5"},
    {"fit", vg_command_fit, "predict the responses from features.h5: results.h5"},
    {"check", vg_command_check, "validate a study and estimate its cost, without computing"},
    {"simulate", vg_command_simulate, "write simulated responses with a known truth"},
    {"status", vg_command_status, "how far the work in an output folder is"},
    {"merge", vg_command_merge, "put the parts of array tasks together"},
    {"faithfulness", vg_command_faithfulness, "whether the words that a method ranks first are those the model used"},
    {"table", vg_command_table, "print the scores of a results.h5"},
    {"report", vg_command_report, "make the page, figures, tables and maps of a results.h5"},
    {"explain-brain", vg_command_explain_brain, "which words drive a voxel's or region's predicted response"},
    {"bench", vg_command_bench, "measure the speed of this machine, as JSON"},
    {"info", vg_command_info, "build, libraries, devices"},
};

enum { COMMANDS = sizeof commands / sizeof *commands };

static void print_help(void)
{
    printf("voxgrad explains a language model word by word, and asks how well each explanation predicts the brain.\n\n"
           "usage: voxgrad COMMAND [OPTIONS] ...\n       mpirun -n 4 voxgrad run STUDY.yaml\n\ncommands:\n");
    for (int i = 0; i < COMMANDS; i++)
        printf("  %-13s %s\n", commands[i].name, commands[i].summary);
    printf("\n\"voxgrad COMMAND --help\" says more, with examples.\n");
}

static vg_status unknown_command(const char *name)
{
    const char *names[COMMANDS + 1] = {NULL};
    for (int i = 0; i < COMMANDS; i++)
        names[i] = commands[i].name;
    const char *near = vg_nearest(name, names);
    return vg_fail(VG_INVALID, "no command \"%s\"; %s%s", name, near != NULL ? "did you mean " : "voxgrad --help lists them",
                   near != NULL ? near : "");
}

static vg_status dispatch(int argc, char **argv)
{
    if (argc < 2)
        return vg_fail(VG_INVALID, "which command? voxgrad --help lists them");
    if (strcmp(argv[1], "--version") == 0) {
        printf("voxgrad %s (%s)\n", VOXGRAD_VERSION, VOXGRAD_COMMIT);
        return VG_OK;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 || strcmp(argv[1], "help") == 0) {
        print_help();
        return VG_OK;
    }
    for (int i = 0; i < COMMANDS; i++)
        if (strcmp(argv[1], commands[i].name) == 0)
            return commands[i].run(argc - 1, argv + 1);
    return unknown_command(argv[1]);
}

/* GNU's OpenMP lets threads that wait burn their core for long: with more threads than free cores a study took 78 s instead of 10
 * (measured, two ranks on two busy cores). It reads its settings before main, so they are set, and the program begins once more. */
static void wait_briefly(char **argv)
{
    if (getenv("GOMP_SPINCOUNT") == NULL && getenv("OMP_WAIT_POLICY") == NULL && setenv("GOMP_SPINCOUNT", "1000", 1) == 0)
        execv("/proc/self/exe", argv); /* where that fails, all goes on, slower */
}

int main(int argc, char **argv)
{
    wait_briefly(argv);
    vg_status status = dispatch(argc, argv);
    if (status != VG_OK && *vg_message() != '\0') /* empty: rank 0 has said it */
        vg_log(VG_LOG_ERROR, "%s", vg_message());
    if (fflush(stdout) != 0 && status == VG_OK)
        status = VG_NO_SPACE;
    return vg_exit_code(status);
}
