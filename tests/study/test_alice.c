/* Protects: a study of Alice by the defaults, without nuisance, on real listeners, against an independent float64 implementation
 * (tests/oracle/alice.py): features to 1e-3 relative, scores to 2e-3 (or as far as penalties tied within 1e-5 move them), penalties equal
 * where they are not tied. Skipped, with a message, where the data are not there. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "npy.h"
#include "voxgrad/store.h"

enum { SPACES = 9, SUBJECTS = 27, REGIONS = 6, FOLDS = 5, ROWS = 60, K = 10, WIDTH = 64 };

static const char *const spaces[SPACES] = {"gradient_norm",  "gradient_x_input", "activations/00", "activations/01",   "activations/02",
                                           "activations/03", "activations/04",   "activations/05", "activations/final"};
static const char *const subjects[SUBJECTS] = {"s18", "s22", "s23", "s24", "s26", "s28", "s30", "s31", "s35",
                                               "s36", "s37", "s38", "s39", "s40", "s41", "s42", "s43", "s44",
                                               "s45", "s46", "s47", "s48", "s49", "s50", "s51", "s52", "s53"};
static char folder[] = "/tmp/vg_alice_XXXXXX";
static bool there;

/* The study that the oracle makes: all by default, no nuisance, no null. */
static int write_study(const char *data)
{
    char path[128];
    snprintf(path, sizeof path, "%s/study.yaml", folder);
    FILE *file = fopen(path, "w");
    if (file == NULL)
        return 1;
    fprintf(file,
            "study: alice\nmodel: {name: stories260K, path: \"%s/stories260K\"}\n"
            "features:\n  - {method: gradient_norm}\n  - {method: gradient_x_input}\n  - {method: activations, layers: all}\n"
            "stories:\n  - {name: chapter1, words: \"%s/alice/stim/DownTheRabbitHoleFinal_exp120_pad_1.TextGrid\", tier: word}\n"
            "atlas: {columns: [LATL, RATL, LPTL, LIPL, LPreM, LIFG]}\n"
            "responses:\n  tr: 2.0\n  start: 20.0\n  on_bad_subject: skip\n  subjects:\n",
            data, data);
    for (int i = 0; i < SUBJECTS; i++) {
        fprintf(file, "    - {name: %s, runs: {chapter1: \"%s/alice/10mm/%s-timecourses.txt\"}}\n", subjects[i], data, subjects[i]);
        if (strcmp(subjects[i], "s31") == 0)
            fprintf(file, "    - {name: s33, runs: {chapter1: \"%s/alice/10mm/s33-timecourses.txt\"}}\n", data);
    }
    return fclose(file);
}

static int run_study(void **state)
{
    (void)state;
    char command[8192];
    const char *data = getenv("VG_DATA"), *program = getenv("VG_PROGRAM");
    snprintf(command, sizeof command, "%s/alice/10mm/s18-timecourses.txt", data != NULL ? data : "");
    there = data != NULL && program != NULL && access(command, R_OK) == 0;
    if (!there) {
        print_message("skipped: the Alice data are not at VG_DATA (jobs/get-data.sh says where they come from)\n");
        return 0;
    }
    if (mkdtemp(folder) == NULL || write_study(data) != 0)
        return 1;
    snprintf(command, sizeof command,
             "mpirun -n 2 --oversubscribe --bind-to none '%s' run -o '%s' '%s/study.yaml' > '%s/table' 2> '%s/log'", program, folder,
             folder, folder, folder);
    int status = system(command);
    if (status != 0) {
        snprintf(command, sizeof command, "cat '%s/log'", folder);
        if (system(command) != 0)
            print_message("no log\n");
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

static int clean(void **state)
{
    (void)state;
    char command[64];
    snprintf(command, sizeof command, "rm -rf %s", folder);
    return there ? system(command) : 0;
}

static vg_store_file *open_result(const char *name)
{
    char path[128];
    vg_store_file *file;
    snprintf(path, sizeof path, "%s/%s", folder, name);
    assert_int_equal(vg_store_open(path, &file), VG_OK);
    return file;
}

static void compare_features(const vg_store_file *file, const npy *rows, const char *space, const double *golden, int64_t columns)
{
    char path[256];
    float values[WIDTH];
    double most = 0, worst = 0;
    for (int64_t i = 0; i < ROWS * columns; i++)
        most = fmax(most, fabs(golden[i]));
    snprintf(path, sizeof path, "/stories/chapter1/features/stories260K/%s", space);
    for (int64_t i = 0; i < ROWS; i++) {
        int64_t offset[2] = {(int64_t)rows->data[i * 5], 0}, count[2] = {1, columns};
        assert_int_equal(vg_store_read(file, path, NULL, VG_STORE_F32, offset, count, values), VG_OK);
        for (int64_t c = 0; c < columns; c++) {
            double error = fabs((double)values[c] - golden[i * columns + c]) / (fabs(golden[i * columns + c]) + 1e-3 * most);
            worst = fmax(worst, error);
        }
    }
    print_message("%s: largest relative error %.2e\n", space, worst);
    assert_true(worst < 1e-3);
}

static void features_equal_the_oracle(void **state)
{
    (void)state;
    if (!there)
        skip();
    vg_store_file *file = open_result("features.h5");
    npy rows = npy_read("alice_rows.npy"), gradients = npy_read("alice_gradients.npy"), activations = npy_read("alice_activations.npy");
    static const char *const layers[] = {"activations/00", "activations/02", "activations/05", "activations/final"};
    for (int i = 0; i < 2; i++)
        compare_features(file, &rows, spaces[i], gradients.data + i * ROWS * K, K);
    for (int i = 0; i < 4; i++)
        compare_features(file, &rows, layers[i], activations.data + i * ROWS * WIDTH, WIDTH);
    vg_store_close(file);
    free(rows.data);
    free(gradients.data);
    free(activations.data);
}

static void scores_equal_the_oracle(void **state)
{
    (void)state;
    if (!there)
        skip();
    vg_store_file *file = open_result("results.h5");
    npy golden = npy_read("alice_scores.npy"), alphas = npy_read("alice_alphas.npy"), lead = npy_read("alice_lead.npy"),
        slack = npy_read("alice_slack.npy");
    double worst = 0;
    int64_t tied = 0, others = 0;
    for (int64_t i = 0; i < SPACES; i++)
        for (int64_t s = 0; s < SUBJECTS; s++) {
            char path[256];
            double score[REGIONS], alpha[FOLDS * REGIONS];
            snprintf(path, sizeof path, "/subjects/%s/stories260K/%s/score", subjects[s], spaces[i]);
            assert_int_equal(vg_store_read(file, path, NULL, VG_STORE_F64, NULL, NULL, score), VG_OK);
            snprintf(path, sizeof path, "/subjects/%s/stories260K/%s/alpha", subjects[s], spaces[i]);
            assert_int_equal(vg_store_read(file, path, NULL, VG_STORE_F64, NULL, NULL, alpha), VG_OK);
            for (int64_t v = 0; v < REGIONS; v++) {
                int64_t at = (i * SUBJECTS + s) * REGIONS + v;
                double error = fabs(score[v] - golden.data[at]);
                bool equal = true;
                for (int64_t k = 0; k < FOLDS; k++) {
                    double place = alphas.data[((i * FOLDS + k) * SUBJECTS + s) * REGIONS + v];
                    equal &= fabs(log10(alpha[k * REGIONS + v]) - (-1 + 9 * place / 19)) < 1e-6;
                }
                tied += lead.data[at] < 1e-5;
                others += !equal;
                if (lead.data[at] >= 1e-5)
                    assert_true(equal);
                if (error > 2e-3 + slack.data[at])
                    print_message("%s %s region %d: %.5f, the oracle has %.5f\n", spaces[i], subjects[s], (int)v, score[v],
                                  golden.data[at]);
                assert_true(error <= 2e-3 + slack.data[at]);
                worst = equal ? fmax(worst, error) : worst;
            }
        }
    print_message("largest difference of a score with the same penalties: %.2e; other penalties: %d of %d, all among %d ties\n", worst,
                  (int)others, SPACES * SUBJECTS * REGIONS, (int)tied);
    assert_true(worst <= 2e-3);
    vg_store_close(file);
    free(golden.data);
    free(alphas.data);
    free(lead.data);
    free(slack.data);
}

static void the_empty_listener_is_named_and_left_out(void **state)
{
    (void)state;
    if (!there)
        skip();
    char path[128], log[65536];
    snprintf(path, sizeof path, "%s/log", folder);
    FILE *stream = fopen(path, "r");
    assert_non_null(stream);
    log[fread(log, 1, sizeof log - 1, stream)] = '\0';
    fclose(stream);
    assert_non_null(strstr(log, "subject s33 has no usable voxel"));
    vg_store_file *file = open_result("results.h5");
    assert_false(vg_store_has(file, "/subjects/s33"));
    assert_false(vg_store_has_attribute(file, "/regions", "simulated"));
    vg_store_close(file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(features_equal_the_oracle),
        cmocka_unit_test(scores_equal_the_oracle),
        cmocka_unit_test(the_empty_listener_is_named_and_left_out),
    };
    return cmocka_run_group_tests(tests, run_study, clean);
}
