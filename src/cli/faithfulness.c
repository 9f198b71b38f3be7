/* faithfulness: the subcommand that asks of each method's ranking of words whether the model used them. */
#include <string.h>

#include "cli.h"

typedef struct {
    const char *csv, *every;
    int64_t one_in;
} choices;

static vg_status ask(vg_comm *comm, vg_study *study, const void *context)
{
    const choices *chosen = context;
    FILE *csv = NULL;
    bool mine = vg_comm_rank(comm) == 0 && chosen->csv != NULL;
    if (mine)
        csv = fopen(chosen->csv, "w");
    VG_TRY(vg_comm_agree(comm, mine && csv == NULL ? vg_fail(VG_INVALID, "--csv %s: cannot be written", chosen->csv) : VG_OK));
    vg_status status = vg_study_faithfulness(comm, study, chosen->one_in, stdout, csv);
    bool whole = csv == NULL || fclose(csv) == 0;
    if (status == VG_INTERRUPTED)
        vg_fail(status, "stopped; nothing is kept: the same command begins anew");
    return vg_comm_agree(comm, status != VG_OK || whole ? status : vg_fail(VG_NO_SPACE, "--csv %s: cannot be written", chosen->csv));
}

vg_status vg_command_faithfulness(int argc, char **argv)
{
    static const vg_command_help help = {
        "faithfulness [OPTIONS] STUDY.yaml",
        "Asks of each method of the study that gives a number for each of the K words before a word (gradient_norm, gradient_x_input,\n"
        "integrated_gradients, erasure, layer_conductance by_word: true) whether its ranking says what the model used:\n"
        "comprehensiveness and sufficiency, by deleting and by masking words, less those of a random ranking. Needs no responses' files.\n"
        "Words of a story are not independent of each other: the standard errors are too small where f wanders slowly.",
        "  voxgrad faithfulness study.yaml\n  mpirun -n 4 voxgrad faithfulness --every 10 --csv faithful.csv study.yaml\n", 1, true};
    vg_study_overrides overrides = {0};
    choices chosen = {.every = "1"};
    const vg_option options[] = {VG_STUDY_OPTIONS(overrides),
                                 {"csv", 'c', "FILE", "also as a tidy table, with every fraction of the words", &chosen.csv, NULL},
                                 {"every", 'e', "N", "one block of words in N alone (1: all)", &chosen.every, NULL},
                                 {0}};
    bool proceed;
    VG_TRY(vg_command_parse(&help, options, argc, argv, &proceed));
    if (!proceed)
        return VG_OK;
    if (!vg_parse_integer(chosen.every, strlen(chosen.every), &chosen.one_in) || chosen.one_in < 1)
        return vg_fail(VG_INVALID, "--every %s: a whole number from 1 on is expected", chosen.every);
    return vg_command_collective(argv[0], &overrides, ask, &chosen);
}
