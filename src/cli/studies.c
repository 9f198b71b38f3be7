/* studies: the subcommands that work on a study: run, features, fit, check, simulate. */
#include <stdlib.h>
#include <string.h>

#include "cli.h"

/* What one of them does, on all ranks. */
typedef struct {
    const char *features; /* fit: another features.h5 */
    bool make_features, fit, simulate, report;
} work;

/* The table, then the report: where that cannot be made, the results still stand. */
static vg_status show(const vg_study *study, const work *what)
{
    char *path;
    const vg_report_options options = {.features = what->features, .surface = {study->surface[0], study->surface[1]}};
    VG_TRY(vg_format(&path, "%s/results.h5", study->output));
    vg_status status = vg_report_regions(path, stdout);
    if (status == VG_OK && what->report && vg_report_write(path, &options) != VG_OK)
        vg_log(VG_LOG_WARNING, "the results are whole, but no report was made of them: %s; \"voxgrad report %s\" tries again", vg_message(),
               path);
    free(path);
    return status;
}

static vg_status make(vg_comm *comm, const vg_study *study, const work *what)
{
    if (what->make_features)
        VG_TRY(vg_study_make_features(comm, study));
    if (what->simulate)
        VG_TRY(vg_study_simulate(comm, study));
    if (!what->fit)
        return VG_OK;
    VG_TRY(vg_study_fit(comm, study, what->features));
    return vg_comm_agree(comm, vg_comm_rank(comm) == 0 ? show(study, what) : VG_OK);
}

/* In a folder where no other run is at work. */
static vg_status work_on(vg_comm *comm, vg_study *study, const void *context)
{
    const work *what = context;
    vg_store_lock *lock;
    study->how.keep_features = what->make_features && (what->fit || what->simulate);
    VG_TRY(vg_study_hold(comm, study, &lock));
    vg_status status = make(comm, study, what);
    vg_study_release(lock);
    return status;
}

vg_status vg_command_run(int argc, char **argv)
{
    static const vg_command_help help = {
        "run [OPTIONS] STUDY.yaml",
        "Explains the models over the stories (features.h5), fits the responses (results.h5), prints space x region, and makes the report\n"
        "(report/index.html; \"voxgrad report --help\").",
        "  voxgrad run study.yaml\n  mpirun -n 4 voxgrad run study.yaml\n  srun --mpi=pmix voxgrad run --device cuda study.yaml\n", 1,
        true};
    vg_study_overrides overrides = {0};
    const vg_option options[] = {VG_STUDY_OPTIONS(overrides), VG_RESUME_OPTIONS(overrides), {0}};
    bool proceed;
    VG_TRY(vg_command_parse(&help, options, argc, argv, &proceed));
    return proceed ? vg_command_collective(argv[0], &overrides, work_on, &(work){.make_features = true, .fit = true, .report = true})
                   : VG_OK;
}

vg_status vg_command_features(int argc, char **argv)
{
    static const vg_command_help help = {"features [OPTIONS] STUDY.yaml",
                                         "Explains the models over the stories and writes OUTPUT/features.h5.",
                                         "  mpirun -n 4 voxgrad features study.yaml\n"
                                         "  voxgrad features --part 3/8 study.yaml      # a task of eight; then: voxgrad merge\n",
                                         1, true};
    vg_study_overrides overrides = {0};
    const vg_option options[] = {
        VG_STUDY_OPTIONS(overrides),
        VG_RESUME_OPTIONS(overrides),
        {"part", 0, "I/N", "the I-th of N shares of the work, into OUTPUT/part-I-of-N, for voxgrad merge", &overrides.part, NULL},
        {"only", 0, "model=NAME", "that model's work alone, or story=NAME's, into OUTPUT/only-model-NAME", &overrides.only, NULL},
        {0}};
    bool proceed;
    VG_TRY(vg_command_parse(&help, options, argc, argv, &proceed));
    return proceed ? vg_command_collective(argv[0], &overrides, work_on, &(work){.make_features = true}) : VG_OK;
}

vg_status vg_command_fit(int argc, char **argv)
{
    static const vg_command_help help = {
        "fit [OPTIONS] STUDY.yaml",
        "Fits the responses from OUTPUT/features.h5, or another file of that layout, and writes OUTPUT/results.h5.",
        "  mpirun -n 4 voxgrad fit study.yaml\n  voxgrad fit --features mine.h5 study.yaml\n", 1, true};
    vg_study_overrides overrides = {0};
    work what = {.fit = true};
    const vg_option options[] = {VG_STUDY_OPTIONS(overrides),
                                 VG_RESUME_OPTIONS(overrides),
                                 {"features", 'f', "FILE.h5", "features made before, or elsewhere", &what.features, NULL},
                                 {0}};
    bool proceed;
    VG_TRY(vg_command_parse(&help, options, argc, argv, &proceed));
    return proceed ? vg_command_collective(argv[0], &overrides, work_on, &what) : VG_OK;
}

vg_status vg_command_simulate(int argc, char **argv)
{
    static const vg_command_help help = {
        "simulate [OPTIONS] STUDY.yaml",
        "Makes the features, then writes SIMULATED responses with the truth that the study's simulate: section plants,\n"
        "to the files that its subjects name (.h5).",
        "  voxgrad simulate jobs/demo/study.yaml\n", 1, true};
    vg_study_overrides overrides = {0};
    const vg_option options[] = {VG_STUDY_OPTIONS(overrides), {0}};
    bool proceed;
    VG_TRY(vg_command_parse(&help, options, argc, argv, &proceed));
    return proceed ? vg_command_collective(argv[0], &overrides, work_on, &(work){.make_features = true, .simulate = true}) : VG_OK;
}

static vg_status take_ranks(const char *ranks, vg_study *study)
{
    int64_t number = 1;
    if (ranks != NULL && (!vg_parse_integer(ranks, strlen(ranks), &number) || number < 1 || number > 4096))
        return vg_fail(VG_INVALID, "--ranks %s: a number from 1 on is expected", ranks);
    study->how.node_ranks = (int)number;
    return VG_OK;
}

vg_status vg_command_check(int argc, char **argv)
{
    static const vg_command_help help = {
        "check [OPTIONS] STUDY.yaml",
        "Validates a study and prints passes, FLOPs, time, memory a rank and files, without computing. Never starts MPI.",
        "  voxgrad check study.yaml\n  voxgrad check --ranks 8 study.yaml      # eight ranks a node, which share its memory and one copy "
        "of the weights\n  voxgrad bench study study.yaml >rates.json && voxgrad check --rates rates.json study.yaml\n",
        1, true};
    vg_study_overrides overrides = {0};
    const char *rates = NULL, *ranks = NULL;
    const vg_option options[] = {VG_STUDY_OPTIONS(overrides),
                                 {"rates", 'r', "FILE.json", "rates that voxgrad bench study measured", &rates, NULL},
                                 {"ranks", 'n', "N", "ranks that will run on a node (default 1)", &ranks, NULL},
                                 {0}};
    bool proceed;
    VG_TRY(vg_command_parse(&help, options, argc, argv, &proceed));
    if (!proceed)
        return VG_OK;
    vg_study *study;
    VG_TRY(vg_command_study(argv[0], &overrides, &study));
    study->how.paper = true;
    vg_status status = take_ranks(ranks, study);
    if (status == VG_OK)
        status = vg_study_check(study, rates, stdout);
    vg_study_free(study);
    return status;
}
