/* Protects: the program finds what the program planted. `voxgrad simulate` makes responses of known spaces, weights and lag, r2 0.2 of
 * their variance; `voxgrad run` ranks the planted space first in more than 95 of 100 of its voxels, gives it smaller penalties than noise
 * gets, finds the weights, column by column, and the lag, delay by delay. SIMULATED data. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "simulated.h"

enum { SPACES = 3, EACH = 40, V = 4 * EACH, COLUMNS = 3, DELAYS = 8, FOLDS = 4, SEED = 5 };

static const char *const names[] = {"one", "two", "three", "rate_length"};

static const char text[] =
    "study: recovery\noutput: %s/out\ndevice: cpu\nthreads: 1\nmodel: {name: grammar, path: %s/jobs/demo/model}\n"
    "features:\n  - {method: random, name: one, size: 3, seed: 1}\n  - {method: random, name: two, size: 3, seed: 2}\n"
    "  - {method: random, name: three, size: 3, seed: 3}\n  - {method: rate_length}\n"
    "stories: [{name: story, words: %s/jobs/demo/story.TextGrid, tier: words}]\n"
    "responses: {tr: 1.0, subjects: [{name: s1, runs: {story: \"%s/made.h5:/responses\"}}]}\n"
    "alignment: {delays: [1, 2, 3, 4, 5, 6, 7, 8]}\n"
    "ridge: {alphas: {min: 1, max: 100000, count: 6}, outer_folds: 4, inner_folds: 3, weights: true}\n"
    "atlas: {columns: %s/regions.txt}\n"
    "simulate:\n  seed: 5\n  lag: 4.5\n  regions:\n    ONE: {space: one, voxels: 40, r2: 0.2}\n    TWO: {space: two, voxels: 40, r2: 0.2}\n"
    "    THREE: {space: three, voxels: 40, r2: 0.2}\n    STRONG: {space: one, voxels: 40, r2: 0.6}\n";

static vg_store_file *run(simulated *s)
{
    const char *source = getenv("VG_SOURCE"), *program = getenv("VG_PROGRAM");
    char command[1024];
    vg_store_file *results;
    assert_non_null(source);
    assert_non_null(program);
    snprintf(s->path, sizeof s->path, "%s/study.yaml", s->folder);
    FILE *file = fopen(s->path, "w");
    assert_non_null(file);
    fprintf(file, text, s->folder, source, source, s->folder, s->folder);
    fclose(file);
    snprintf(command, sizeof command, "'%s' simulate -q '%s' && '%s' run -q '%s' >'%s/table'", program, s->path, program, s->path,
             s->folder);
    assert_int_equal(system(command), 0);
    snprintf(s->path, sizeof s->path, "%s/out/results.h5", s->folder);
    assert_int_equal(vg_store_open(s->path, &results), VG_OK);
    return results;
}

static double *of_space(const vg_store_file *results, int space, const char *what, int64_t count)
{
    char path[128];
    snprintf(path, sizeof path, "/subjects/s1/grammar/%s/%s", names[space], what);
    return read_all(results, path, NULL, count);
}

static void the_planted_space_ranks_first(double *const scores[4])
{
    int first[SPACES] = {0};
    for (int v = 0; v < SPACES * EACH; v++) {
        int planted = v / EACH, better = 0;
        for (int i = 0; i < 4; i++)
            better += i != planted && scores[i][v] >= scores[planted][v];
        first[planted] += better == 0;
    }
    for (int i = 0; i < SPACES; i++) {
        print_message("%s: planted space first in %d of %d voxels\n", names[i], first[i], EACH);
        assert_true(first[i] > 0.95 * EACH);
    }
}

/* The best penalty is the noise's variance over the weights': of r2 0.6 a sixth of that of 0.2. Geometric means over voxels and folds. */
static void stronger_signals_get_smaller_penalties(const double *alphas)
{
    double weak = 0, strong = 0;
    for (int k = 0; k < FOLDS; k++)
        for (int v = 0; v < EACH; v++) {
            weak += log10(alphas[k * V + v]) / (FOLDS * EACH);
            strong += log10(alphas[k * V + SPACES * EACH + v]) / (FOLDS * EACH);
        }
    print_message("penalty 10^%.1f at r2 0.2, 10^%.1f at r2 0.6\n", weak, strong);
    assert_true(weak - strong > 0.3 && weak - strong < 1.3);
}

/* Response to a word after d seconds, as simulate.c has it (up to its size). */
static double response(int d)
{
    return pow(d / 4.5, 5) * exp(5 * (1 - d / 4.5));
}

/* Of voxels first .. first + EACH - 1, the mean cosine between the weights that a voxel's columns were planted with and those found along
 * the response; energy (DELAYS): squared weights of each delay, those of the wrong sign taken off, so that noise goes away. */
static double find_weights(const double *weights, int first, double *energy)
{
    double mean = 0;
    for (int v = first; v < first + EACH; v++) {
        double xy = 0, xx = 0, yy = 0;
        for (int j = 0; j < COLUMNS; j++) {
            double made = vg_random_normal(2 * SEED, VG_RANDOM_SIMULATION, (uint64_t)(v * COLUMNS + j)), found = 0;
            for (int d = 0; d < DELAYS; d++) {
                double w = weights[(d * COLUMNS + j) * V + v];
                energy[d] += w * made > 0 ? w * w : -w * w;
                found += response(d + 1) * w;
            }
            xy += made * found;
            xx += made * made;
            yy += found * found;
        }
        mean += xy / sqrt(xx * yy) / EACH;
    }
    return mean;
}

static void weights_and_lag_are_found(double *const weights[4])
{
    double energy[DELAYS] = {0}, strong = find_weights(weights[0], SPACES * EACH, energy), weak = 0;
    int most = 0;
    for (int i = 0; i < SPACES; i++)
        weak += find_weights(weights[i], i * EACH, energy) / SPACES;
    for (int d = 0; d < DELAYS; d++)
        most = energy[d] > energy[most] ? d : most;
    print_message("weights planted and found: cosine %.2f at r2 0.2, %.2f at r2 0.6; the largest are %d s after the word\n", weak, strong,
                  most + 1);
    assert_true(weak > 0.9 && strong > 0.95);
    assert_in_range(most + 1, 4, 5);
}

static void what_is_planted_is_found(void **state)
{
    (void)state;
    simulated s;
    simulated_begin(&s, 1);
    vg_store_file *results = run(&s);
    double *scores[4], *alphas[4], *weights[4];
    for (int i = 0; i < 4; i++) {
        scores[i] = of_space(results, i, "score", V);
        alphas[i] = of_space(results, i, "alpha", FOLDS * V);
        weights[i] = of_space(results, i, "weights", (int64_t)DELAYS * COLUMNS * V);
    }
    the_planted_space_ranks_first(scores);
    stronger_signals_get_smaller_penalties(alphas[0]);
    weights_and_lag_are_found(weights);
    for (int i = 0; i < 4; i++) {
        free(scores[i]);
        free(alphas[i]);
        free(weights[i]);
    }
    vg_store_close(results);
    simulated_end(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(what_is_planted_is_found)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
