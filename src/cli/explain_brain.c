/* explain_brain: the subcommand explain-brain. */
#include <stdlib.h>
#include <string.h>

#include "cli.h"

static vg_status read_number(const char *option, const char *text, int64_t least, int64_t *value)
{
    if (text == NULL || (vg_parse_integer(text, strlen(text), value) && *value >= least))
        return VG_OK;
    return vg_fail(VG_INVALID, "%s %s: a whole number from %lld on is expected", option, text, (long long)least);
}

static vg_status ask(const char *path, const vg_study_overrides *overrides, const char *to, vg_brain_question *question)
{
    vg_study *study;
    char *output = NULL;
    VG_TRY(vg_command_study(path, overrides, &study));
    vg_status status = vg_format(&output, to != NULL ? "%s" : "%s/brain.h5", to != NULL ? to : study->output);
    question->output = output;
    if (status == VG_OK)
        status = vg_study_explain_brain(study, question, stdout);
    free(output);
    vg_study_free(study);
    return status;
}

vg_status vg_command_explain_brain(int argc, char **argv)
{
    static const vg_command_help help = {
        "explain-brain [OPTIONS] STUDY.yaml",
        "Says which words drive the predicted response of a voxel or region: the gradient of the prediction by the words before each "
        "word,\n"
        "through the ridge weights (a study with ridge: {weights: true}, already run), the delays and the model. Writes OUTPUT/brain.h5.",
        "  voxgrad explain-brain --subject s01 --space activations/06 --region STS study.yaml\n"
        "  voxgrad explain-brain --subject s01 --space activations/06 --voxel 1200 --words 20 --file v1200.h5 study.yaml\n",
        1, false};
    vg_study_overrides overrides = {0};
    vg_brain_question question = {.words = 10};
    const char *voxel = NULL, *words = NULL, *file = NULL;
    const vg_option options[] = {VG_STUDY_OPTIONS(overrides),
                                 {"subject", 's', "NAME", "whose prediction", &question.subject, NULL},
                                 {"space", 0, "NAME/LL", "a space of activations, one layer", &question.space, NULL},
                                 {"region", 0, "REGION", "the mean over its voxels, or", &question.region, NULL},
                                 {"voxel", 0, "N", "one voxel, from 0 on", &voxel, NULL},
                                 {"words", 'k', "K", "words before each word; default 10", &words, NULL},
                                 {"file", 'f', "FILE.h5", "what is written; default OUTPUT/brain.h5", &file, NULL},
                                 {0}};
    bool proceed;
    VG_TRY(vg_command_parse(&help, options, argc, argv, &proceed));
    if (!proceed)
        return VG_OK;
    VG_TRY(read_number("--voxel", voxel, 0, &question.voxel));
    VG_TRY(read_number("--words", words, 1, &question.words));
    if (question.subject == NULL || question.space == NULL || (question.region == NULL) == (voxel == NULL))
        return vg_fail(VG_INVALID, "explain-brain: --subject, --space, and either --region or --voxel are needed");
    return ask(argv[0], &overrides, file, &question);
}
