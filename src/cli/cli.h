/* cli: a subcommand is one file and one row of the table in main.c. */
#ifndef VOXGRAD_CLI_CLI_H
#define VOXGRAD_CLI_CLI_H

#include "voxgrad/report.h"
#include "voxgrad/study.h"

typedef vg_status vg_command_main(int argc, char **argv);

vg_command_main vg_command_run, vg_command_features, vg_command_fit, vg_command_check, vg_command_simulate, vg_command_table,
    vg_command_report, vg_command_info, vg_command_bench, vg_command_faithfulness, vg_command_explain_brain, vg_command_status,
    vg_command_merge;

/* bench: a bench is one file and one row of the table in bench.c. */
vg_command_main vg_bench_attribution, vg_bench_encoding, vg_bench_study, vg_bench_tokenizer;

/* Parses options (the command's own and the common ones: --help, --quiet, --verbose). *proceed is false after --help, which prints usage,
 * options and examples. `wanted` operands are needed. */
typedef struct {
    const char *usage, *summary, *examples;
    int wanted; /* operands; -n: n or more */
    bool keys;  /* --help goes on with the table of the study's keys */
} vg_command_help;
vg_status vg_command_parse(const vg_command_help *help, const vg_option *options, int argc, char **argv, bool *proceed);

/* The study at argv[0] with --output, --device, --threads, --memory laid over it. */
typedef struct {
    const char *output, *device, *threads, *memory, *part, *only;
    bool resume, restart, accept_hardware;
} vg_study_overrides;
#define VG_STUDY_OPTIONS(o)                                                                               \
    {"output", 'o', "DIR", "folder for the results (instead of the study's output:)", &(o).output, NULL}, \
        {"device", 'd', "SPEC", "cpu, cuda, cuda:N or auto", &(o).device, NULL},                          \
        {"threads", 't', "N", "threads a rank; never changes a result", &(o).threads, NULL},              \
    {                                                                                                     \
        "memory", 'm', "SIZE", "memory a rank may take: 4G, 800M", &(o).memory, NULL                      \
    }
/* How unfinished work is gone on with. */
#define VG_RESUME_OPTIONS(o)                                                                                                             \
    {"resume", 0, NULL, "go on where an earlier run was stopped or killed (so it is anyway)", NULL, &(o).resume},                        \
        {"restart", 0, NULL, "throw unfinished work away and begin anew", NULL, &(o).restart},                                           \
    {                                                                                                                                    \
        "accept-different-hardware", 0, NULL, "resume on another type of CPU or GPU: last digits may differ", NULL, &(o).accept_hardware \
    }
vg_status vg_command_study(const char *path, const vg_study_overrides *overrides, vg_study **study);

/* Starts MPI, reads the study on every rank and does `work` on it, which a signal ends at a border, and a silent rank after the study's
 * `stall`. A failure is said once, by rank 0. work: collective. */
typedef vg_status vg_study_work(vg_comm *comm, vg_study *study, const void *context);
vg_status vg_command_collective(const char *path, const vg_study_overrides *overrides, vg_study_work *work, const void *context);

#endif
