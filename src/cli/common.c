/* common: what all subcommands share: options, help, the study with its overrides, MPI's start and end. */
#include <stdlib.h>
#include <string.h>

#include "cli.h"

enum { MOST_OPTIONS = 24 };

vg_status vg_command_parse(const vg_command_help *help, const vg_option *options, int argc, char **argv, bool *proceed)
{
    static bool wants_help, quiet, verbose;
    vg_option table[MOST_OPTIONS] = {0};
    int count = 0, operands;
    for (; options->name != NULL && count < MOST_OPTIONS - 4; options++)
        table[count++] = *options;
    table[count++] = (vg_option){"quiet", 'q', NULL, "warnings and errors only", NULL, &quiet};
    table[count++] = (vg_option){"verbose", 'v', NULL, "say more", NULL, &verbose};
    table[count++] = (vg_option){"help", 'h', NULL, "this page", NULL, &wants_help};
    *proceed = false;
    VG_TRY(vg_options_parse(table, argc, argv, &operands));
    if (wants_help) {
        printf("usage: voxgrad %s\n\n%s\n\noptions:\n", help->usage, help->summary);
        vg_options_print(table, stdout);
        printf("\nexamples:\n%s\nexit codes: 0 done, 2 bad usage or input, 3 resources (memory, disk, device), 4 interrupted, 5 a defect "
               "in voxgrad\n",
               help->examples);
        if (help->keys) {
            printf("\n");
            vg_study_print_keys(stdout);
        }
        return VG_OK;
    }
    if (help->wanted < 0 ? operands < -help->wanted : operands != help->wanted)
        return vg_fail(VG_INVALID, "usage: voxgrad %s", help->usage);
    argv[operands] = NULL; /* as main's own: NULL after the last */
    vg_log_configure(quiet ? VG_LOG_WARNING : verbose ? VG_LOG_DEBUG : VG_LOG_INFO, 0, 1);
    *proceed = true;
    return VG_OK;
}

static vg_status replace_text(char **text, const char *by)
{
    if (by == NULL)
        return VG_OK;
    char *copy;
    VG_TRY(vg_format(&copy, "%s", by));
    free(*text);
    *text = copy;
    return VG_OK;
}

/* The task's own folder, below the study's. */
static vg_status part_folder(vg_study *study, const char *name)
{
    char *folder;
    VG_TRY(vg_format(&folder, "%s/%s", study->output, name));
    free(study->output);
    study->output = folder;
    return VG_OK;
}

/* "i/n" */
static bool parse_part(const char *text, int64_t *part, int64_t *parts)
{
    const char *slash = strchr(text, '/');
    return slash != NULL && vg_parse_integer(text, (size_t)(slash - text), part) && vg_parse_integer(slash + 1, strlen(slash + 1), parts) &&
           *part >= 1 && *part <= *parts && *parts <= 100000;
}

/* "model=NAME" or "story=NAME", of the study. */
static bool is_known(const vg_study *study, const char *only)
{
    for (int64_t m = 0; strncmp(only, "model=", 6) == 0 && m < study->model_count; m++)
        if (strcmp(only + 6, study->models[m].name) == 0)
            return true;
    for (int64_t s = 0; strncmp(only, "story=", 6) == 0 && s < study->story_count; s++)
        if (strcmp(only + 6, study->stories[s].name) == 0)
            return true;
    return false;
}

/* --part and --only: the blocks of one task of many. */
static vg_status take_part(const vg_study_overrides *overrides, vg_study *study)
{
    char name[300];
    if (overrides->part == NULL && overrides->only == NULL)
        return VG_OK;
    if (overrides->part != NULL && overrides->only != NULL)
        return vg_fail(VG_INVALID, "--part and --only: one of them");
    if (overrides->part != NULL) {
        if (!parse_part(overrides->part, &study->how.part, &study->how.parts))
            return vg_fail(VG_INVALID, "--part %s: i/n is expected, from 1/n to n/n", overrides->part);
        snprintf(name, sizeof name, "part-%lld-of-%lld", (long long)study->how.part, (long long)study->how.parts);
        return part_folder(study, name);
    }
    if (!is_known(study, overrides->only))
        return vg_fail(VG_INVALID, "--only %s: model=NAME or story=NAME is expected, of this study", overrides->only);
    study->how.only = overrides->only;
    snprintf(name, sizeof name, "only-%.5s-%.255s", overrides->only, overrides->only + 6);
    return part_folder(study, name);
}

static vg_status lay_over(const vg_study_overrides *overrides, vg_study *study)
{
    VG_TRY(replace_text(&study->output, overrides->output));
    VG_TRY(replace_text(&study->device, overrides->device));
    if (overrides->threads != NULL &&
        (!vg_parse_integer(overrides->threads, strlen(overrides->threads), &study->threads) || study->threads < 1 || study->threads > 4096))
        return vg_fail(VG_INVALID, "--threads %s: a number from 1 on is expected", overrides->threads);
    if (overrides->memory != NULL && vg_parse_memory(overrides->memory, &study->memory) != VG_OK)
        return vg_fail_within(VG_INVALID, "--memory: ");
    if (overrides->resume && overrides->restart)
        return vg_fail(VG_INVALID, "--resume and --restart: one of them");
    study->how.restart = overrides->restart;
    study->how.accept_hardware = overrides->accept_hardware;
    return take_part(overrides, study);
}

vg_status vg_command_study(const char *path, const vg_study_overrides *overrides, vg_study **study)
{
    VG_TRY(vg_study_open(path, study));
    vg_status status = lay_over(overrides, *study);
    if (status != VG_OK) {
        vg_study_free(*study);
        *study = NULL;
    }
    return status;
}

/* MPI is started before the study is read: every rank reads it and finds the same fault. */
vg_status vg_command_collective(const char *path, const vg_study_overrides *overrides, vg_study_work *work, const void *context)
{
    vg_comm *comm;
    vg_study *study = NULL;
    vg_interrupt_catch();
    VG_TRY(vg_comm_start(&comm));
    vg_log_rank(vg_comm_rank(comm), vg_comm_ranks(comm));
    vg_status status = vg_comm_agree(comm, vg_command_study(path, overrides, &study));
    if (status == VG_OK && study != NULL) {
        vg_comm_set_stall(comm, study->stall);
        study->how.node_ranks = vg_comm_local_ranks(comm);
        status = work(comm, study, context);
    }
    if (status != VG_OK) { /* the same message on every rank: rank 0 says it, before mpirun sees another rank fail and ends all */
        if (vg_comm_rank(comm) == 0)
            vg_log(VG_LOG_ERROR, "%s", vg_message());
        vg_fail(status, "%s", "");
    }
    vg_study_free(study);
    vg_comm_finish(comm);
    return status;
}
