/* Protects: the way from a voxel's weights back to the words. Of the embedding layer the answer is known: word n's part in the prediction
 * is its last token's embedding times what weights, delays, scaling and the number of words in the TR make of it (written out here once
 * more), and no earlier word has a part. Of deeper layers earlier words have one; their gradients are tested by finite differences in
 * lm/test_engine. Questions that cannot be answered are refused. Responses are SIMULATED (sines). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "simulated.h"
#include <sys/wait.h>

enum { WIDTH = 64, V = 4, DELAYS = 2, K = 4, ROWS = 48 };

static char folder[] = "/tmp/vg_brain_XXXXXX";

static int run(const char *format, ...)
{
    char text[2048];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    return system(text);
}

/* The tiny study of common.sh, with weights. */
static int make(void **state)
{
    (void)state;
    if (mkdtemp(folder) == NULL)
        return 1;
    const char *source = getenv("VG_SOURCE");
    if (run("cd '%s' && { printf 'onset\\toffset\\tword\\n'; i=0; for w in $(head -c 900 '%s/jobs/demo/story.txt'); do "
            "awk -v i=$i -v w=\"$w\" 'BEGIN {printf \"%%.2f\\t%%.2f\\t%%s\\n\", 0.3 * i + 0.05, 0.3 * i + 0.3, w}'; i=$((i + 1)); done; } "
            "| "
            "head -n 131 > story.tsv",
            folder, source) != 0)
        return 1;
    if (run("cd '%s' && awk 'BEGIN {for (t = 0; t < %d; t++) {for (v = 0; v < %d; v++) printf \"%%.4f \", sin(t * t * 12.9898 + v * "
            "78.233); "
            "print \"\"}}' > y.txt && cat > study.yaml <<STUDY\n"
            "output: out\ndevice: cpu\nthreads: 1\nmodel: {name: grammar, path: %s/jobs/demo/model}\ncontext: {words: 12}\n"
            "features: [{method: activations, layers: [0, 2]}]\nstories: [{name: story, words: story.tsv}]\n"
            "responses:\n  tr: 1.0\n  subjects: [{name: a, runs: {story: y.txt}}]\nalignment: {delays: [1, 2], filter: none}\n"
            "ridge: {alphas: [1, 100], outer_folds: 2, inner_folds: 2, weights: true}\natlas: {columns: [left, right, left, "
            "right]}\nSTUDY\n",
            folder, ROWS, V, source) != 0)
        return 1;
    return run("cd '%s' && '%s' run -q study.yaml > table", folder, getenv("VG_PROGRAM"));
}

static int clean(void **state)
{
    (void)state;
    return run("rm -rf '%s'", folder);
}

static int ask(const char *options)
{
    return run("cd '%s' && '%s' explain-brain -q --words %d --subject a %s study.yaml > words 2> log", folder, getenv("VG_PROGRAM"), K,
               options);
}

static vg_store_file *open_file(const char *name)
{
    char path[128];
    vg_store_file *file;
    snprintf(path, sizeof path, "%s/%s", folder, name);
    assert_int_equal(vg_store_open(path, &file), VG_OK);
    return file;
}

/* g_n . a_n and the L1 norm of g_n for voxel v, written out. */
static void expect(const double *a, const double *weights, const double *onset, int64_t words, int v, double *product, double *norm)
{
    static double design[ROWS * DELAYS * WIDTH];
    memset(design, 0, sizeof design);
    for (int r = 0; r < ROWS; r++)
        for (int d = 0; d < DELAYS; d++) {
            int64_t count = 0;
            for (int64_t n = 0; n < words; n++) {
                if ((int64_t)floor(onset[n]) != r - d - 1)
                    continue;
                count++;
                for (int j = 0; j < WIDTH; j++)
                    design[(r * DELAYS + d) * WIDTH + j] += a[n * WIDTH + j];
            }
            for (int j = 0; count > 0 && j < WIDTH; j++)
                design[(r * DELAYS + d) * WIDTH + j] /= (double)count;
        }
    for (int64_t n = 0; n < words; n++) {
        int64_t together = 0;
        for (int64_t m = 0; m < words; m++)
            together += floor(onset[m]) == floor(onset[n]);
        product[n] = norm[n] = 0;
        for (int j = 0; j < WIDTH; j++) {
            double g = 0;
            for (int d = 0; d < DELAYS; d++) {
                double mean = 0, square = 0;
                for (int r = 0; r < ROWS; r++)
                    mean += design[(r * DELAYS + d) * WIDTH + j] / ROWS;
                for (int r = 0; r < ROWS; r++)
                    square += pow(design[(r * DELAYS + d) * WIDTH + j] - mean, 2) / ROWS;
                if ((int64_t)floor(onset[n]) + d + 1 < ROWS)
                    g += weights[(d * WIDTH + j) * V + v] / sqrt(square) / (double)together;
            }
            product[n] += g * a[n * WIDTH + j];
            norm[n] += fabs(g);
        }
    }
}

static void the_embedding_layer_is_known(void **state)
{
    (void)state;
    assert_int_equal(ask("--space activations/00 --voxel 2"), 0);
    vg_store_file *features = open_file("out/features.h5"), *results = open_file("out/results.h5"), *brain = open_file("out/brain.h5");
    vg_store_about about;
    assert_int_equal(vg_store_describe(features, "/stories/story/features/grammar/activations/00", &about), VG_OK);
    int64_t words = about.shape[0];
    assert_true(words > 100 && about.shape[1] == WIDTH);
    double *a = read_all(features, "/stories/story/features/grammar/activations/00", NULL, words * WIDTH),
           *onset = read_all(features, "/stories/story/words", "onset", words),
           *weights = read_all(results, "/subjects/a/grammar/activations/00/weights", NULL, DELAYS * WIDTH * V),
           *gxi = read_all(brain, "/stories/story/brain/gradient_x_input", NULL, words * K),
           *norm = read_all(brain, "/stories/story/brain/gradient_norm", NULL, words * K);
    double *product = malloc((size_t)words * sizeof *product), *expected = malloc((size_t)words * sizeof *expected);
    expect(a, weights, onset, words, 2, product, expected);
    double largest = 0, worst = 0;
    for (int64_t n = 1; n < words; n++) {
        largest = fmax(largest, fabs(product[n]));
        worst = fmax(worst, fmax(fabs(gxi[n * K + K - 1] - product[n]), fabs(norm[n * K + K - 1] - expected[n])));
        for (int j = 0; j < K - 1; j++)
            assert_true(gxi[n * K + j] == 0 && norm[n * K + j] == 0);
    }
    print_message("largest part %.3f, largest difference %.1e\n", largest, worst);
    assert_true(largest > 0 && worst < 1e-4 * largest);
    double *memory[] = {a, onset, weights, gxi, norm, product, expected};
    for (size_t i = 0; i < sizeof memory / sizeof *memory; i++)
        free(memory[i]);
    vg_store_close(features);
    vg_store_close(results);
    vg_store_close(brain);
}

static void deeper_layers_see_earlier_words(void **state)
{
    (void)state;
    assert_int_equal(ask("--space grammar/activations/02 --region left"), 0);
    vg_store_file *brain = open_file("out/brain.h5");
    vg_store_about about;
    assert_int_equal(vg_store_describe(brain, "/stories/story/brain/gradient_norm", &about), VG_OK);
    double *norm = read_all(brain, "/stories/story/brain/gradient_norm", NULL, about.shape[0] * K);
    for (int64_t n = K; n < 100; n++)
        for (int j = 0; j < K; j++)
            assert_true(norm[n * K + j] > 0);
    free(norm);
    vg_store_close(brain);
    assert_int_equal(run("grep -q 'words whose gradient x input' '%s/words'", folder), 0);
}

static void bad_questions(void **state)
{
    (void)state;
    static const char *const bad[][2] = {
        {"--space activations/00 --voxel 4", "voxels are 0 .. 3"},
        {"--space activations/00 --region nowhere", "no voxel of subject a has this label"},
        {"--space gradient_norm --voxel 0", "a space of activations of one layer"},
        {"--space activations/01 --voxel 0", "a space of activations of one layer"},
        {"--space activations/00", "either --region or --voxel"},
        {"--subject b --space activations/00 --voxel 0", "no such subject"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(WEXITSTATUS(ask(bad[i][0])), 2);
        if (run("grep -q -- '%s' '%s/log'", bad[i][1], folder) != 0)
            fail_msg("%s: \"%s\" was expected", bad[i][0], bad[i][1]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_embedding_layer_is_known),
        cmocka_unit_test(deeper_layers_see_earlier_words),
        cmocka_unit_test(bad_questions),
    };
    return cmocka_run_group_tests(tests, make, clean);
}
