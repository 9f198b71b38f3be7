/* Protects: what a study makes of its keys. Nuisance as a band: unique variance is r2 with it less r2 without, goes to the space that has
 * something of its own and not to its copy, is split into parts that add up, and is what p, group and regions speak of; nuisance regressed
 * out leaves nothing of what it made. Scores by r2; penalties of a region or of all are the same for its voxels; weights predict; stories
 * as folds and as the test set; repeats are averaged and say what could be explained. All data are SIMULATED. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "simulated.h"

enum { ROWS = 160, V = 12 };

/* Three features: one that some voxels answer to, nuisance that all answer to, and the nuisance's copy with a little noise. */
static void make_study(simulated *s)
{
    simulated_begin(s, ROWS);
    float *own = ar1_columns(ROWS, 2, 0.5, 1), *nuisance = ar1_columns(ROWS, 2, 0.5, 2), *copy = ar1_columns(ROWS, 2, 0.5, 3);
    for (int64_t i = 0; i < 2 * ROWS; i++)
        copy[i] = nuisance[i] + 0.05f * copy[i];
    simulated_write(s, "own", own, 2);
    simulated_write(s, "known", nuisance, 2);
    simulated_write(s, "copy", copy, 2);
    for (uint64_t i = 0; i < 4; i++) {
        char name[32];
        float *y = ar1_columns(ROWS, V, 0.3, 20 + i);
        for (int64_t t = 1; t < ROWS; t++)
            for (int64_t v = 0; v < V; v++)
                y[t * V + v] += 1.5f * nuisance[(t - 1) * 2] + (v < V / 2 ? 1.5f * own[(t - 1) * 2 + 1] : 0);
        snprintf(name, sizeof name, "s%d", (int)i + 1);
        simulated_write(s, name, y, V);
        free(y);
    }
    free(own);
    free(nuisance);
    free(copy);
}

static const char features[] = "features:\n"
                               "  - {name: own, file: own.npy}\n"
                               "  - {name: copy, file: copy.npy}\n"
                               "  - {name: known, file: known.npy}\n"
                               "alignment: {delays: [1, 2], filter: none}\n"
                               "responses:\n  tr: 1.0\n  subjects:\n"
                               "    - {name: s1, runs: {story: s1.npy}}\n"
                               "    - {name: s2, runs: {story: s2.npy}}\n"
                               "atlas: {columns: [a, a, a, a, a, a, b, b, b, b, b, b]}\n";

static vg_store_file *run(simulated *s, const char *keys)
{
    char text[4096];
    snprintf(text, sizeof text, "%s%s", features, keys);
    return simulated_run(s, text);
}

static const char folds[] = "ridge: {alphas: {min: 0.1, max: 10000, count: 6}, outer_folds: 4, inner_folds: 3}\n";

static double *of_space(const vg_store_file *results, const char *space, const char *what, int64_t count)
{
    char path[128];
    snprintf(path, sizeof path, "/subjects/s1/files/%s/%s", space, what);
    return read_all(results, path, NULL, count);
}

static void nuisance_as_a_band(void **state)
{
    (void)state;
    simulated s;
    make_study(&s);
    char keys[512];
    snprintf(keys, sizeof keys, "%snuisance: [known]\nnull: {shifts: 19}\n", folds);
    vg_store_file *results = run(&s, keys);
    double *own = of_space(results, "own", "unique", V), *copy = of_space(results, "copy", "unique", V);
    double *joint = of_space(results, "own", "r2_with_nuisance", V), *split = of_space(results, "own", "split", 2 * V);
    double *known = of_space(results, "known", "unique", V), *r2 = of_space(results, "known", "r2", V),
           *p = of_space(results, "own", "p", V);
    double *group = read_all(results, "/group/files/own/unique", NULL, V),
           *other = read_all(results, "/subjects/s2/files/own/unique", NULL, V);
    /* /regions: spaces (in the file's order: copy, known, own) x subjects x regions a, b, all */
    double *regions = read_all(results, "/regions", "unique", 18), *over = read_all(results, "/group_regions", "unique", 9);
    for (int64_t v = 0; v < V; v++) {
        assert_true(v < V / 2 ? own[v] > 0.15 && p[v] < 0.051 : own[v] < 0.08);
        assert_true(fabs(copy[v]) < 0.08);
        assert_true(fabs(split[v] + split[V + v] - joint[v]) < 1e-5);
        assert_true(split[V + v] > 0.1); /* the nuisance's part */
        assert_true(fabs(known[v] - (r2[v])) < 1e-5);
        assert_true(fabs(own[v] + r2[v] - joint[v]) < 1e-5);
        assert_true(fabs(group[v] - ((own[v] + other[v]) / 2)) < 1e-6);
    }
    double mean = 0;
    for (int64_t v = 0; v < V / 2; v++)
        mean += own[v] / (V / 2);
    assert_true(fabs(regions[12] - (mean)) < 1e-6);
    assert_true(fabs(over[6] - ((regions[12] + regions[15]) / 2)) < 1e-9);
    double *memory[] = {own, copy, joint, split, known, r2, p, group, other, regions, over};
    for (size_t i = 0; i < sizeof memory / sizeof *memory; i++)
        free(memory[i]);
    vg_store_close(results);
    simulated_end(&s);
}

static void nuisance_regressed_out(void **state)
{
    (void)state;
    simulated s;
    make_study(&s);
    char keys[512];
    snprintf(keys, sizeof keys, "%snuisance: {spaces: [known], mode: regress}\n", folds);
    vg_store_file *results = run(&s, keys);
    double *own = of_space(results, "own", "score", V), *copy = of_space(results, "copy", "score", V);
    for (int64_t v = 0; v < V; v++) {
        assert_true(v < V / 2 ? own[v] > 0.4 : fabs(own[v]) < 0.3);
        assert_true(fabs(copy[v]) < 0.3);
    }
    assert_false(vg_store_has(results, "/subjects/s1/files/own/unique"));
    free(own);
    free(copy);
    vg_store_close(results);
    /* the same from a file of rows, as motion would be: the nuisance itself, one second later */
    results = run(&s, "ridge: {alphas: [1, 100], outer_folds: 4, inner_folds: 3}\nnuisance: {files: [\"{SUBJECT}.npy\"], mode: regress}\n");
    double *nothing = of_space(results, "own", "score", V);
    for (int64_t v = 0; v < V; v++)
        assert_true(!(fabs(nothing[v]) > 0.5)); /* the responses themselves were regressed out */
    free(nothing);
    vg_store_close(results);
    simulated_end(&s);
}

/* Cut to as many components as the smaller space has columns, beside the nuisance either way: what a space has of its own is still found.
 */
static void equal_size_beside_the_nuisance(void **state)
{
    (void)state;
    static const char *const modes[] = {"band", "regress"};
    simulated s;
    make_study(&s);
    float *wide = ar1_columns(ROWS, 8, 0.5, 4), *own = ar1_columns(ROWS, 2, 0.5, 1);
    for (int64_t t = 0; t < ROWS; t++)
        for (int64_t j = 0; j < 8; j++)
            wide[t * 8 + j] = own[t * 2 + j % 2] + 0.3f * wide[t * 8 + j];
    simulated_write(&s, "wide", wide, 8);
    free(wide);
    free(own);
    for (int i = 0; i < 2; i++) {
        char text[2048], keys[512];
        snprintf(keys, sizeof keys,
                 "ridge: {alphas: [0.1, 10, 1000], outer_folds: 4, inner_folds: 3, weights: true}\n"
                 "nuisance: {spaces: [known], mode: %s, draws: 4}\nstatistics: {equal_size: auto}\n"
                 "families: {wide: [wide], own: [own]}\n",
                 modes[i]);
        snprintf(text, sizeof text, "features:\n  - {name: wide, file: wide.npy}\n%s%s", features + strlen("features:\n"), keys);
        vg_store_file *results = simulated_run(&s, text);
        const char *what = i == 0 ? "unique" : "score";
        double *cut = of_space(results, "wide.pc4", what, V), *whole = of_space(results, "wide", what, V);
        double *mean = read_all(results, "/families/maps/wide.pc4--own.pc4/group/mean", NULL, V);
        for (int64_t v = 0; v < V; v++) {
            assert_true(v < V / 2 ? cut[v] > (i == 0 ? 0.1 : 0.35) : cut[v] < (i == 0 ? 0.08 : 0.3));
            assert_true(cut[v] != whole[v] && isfinite(mean[v]));
        }
        assert_false(vg_store_has(results, "/subjects/s1/files/own.pc4"));
        assert_true(vg_store_has(results, "/subjects/s1/files/wide/weights"));
        assert_false(vg_store_has(results, "/subjects/s1/files/wide.pc4/weights")); /* they would be of components, one set a fold */
        free(cut);
        free(whole);
        free(mean);
        vg_store_close(results);
    }
    simulated_end(&s);
}

static void scores_by_r2_and_weights(void **state)
{
    (void)state;
    simulated s;
    make_study(&s);
    vg_store_file *results = run(&s, "ridge: {alphas: [0.1, 10, 1000], outer_folds: 4, inner_folds: 3, score: r2, weights: true}\n");
    double *score = of_space(results, "own", "score", V), *r2 = of_space(results, "own", "r2", V),
           *weights = of_space(results, "own", "weights", 4 * V);
    for (int64_t v = 0; v < V; v++) {
        assert_true(score[v] == r2[v] && (v < V / 2 ? score[v] > 0.1 : score[v] < 0.1));
        for (int j = 0; v < V / 2 && j < 4; j++) /* delay 1, column 1 made the responses */
            assert_true(j == 1 ? weights[j * V + v] > 0.3 : fabs(weights[j * V + v]) < weights[V + v] / 2);
    }
    free(score);
    free(r2);
    free(weights);
    vg_store_close(results);
    simulated_end(&s);
}

static void shared_penalties(void **state)
{
    (void)state;
    simulated s;
    make_study(&s);
    for (int global = 0; global < 2; global++) {
        char keys[256];
        snprintf(keys, sizeof keys, "ridge: {alphas: {min: 0.1, max: 10000, count: 6}, outer_folds: 4, inner_folds: 3, alpha: %s}\n",
                 global ? "global" : "region");
        vg_store_file *results = run(&s, keys);
        double *alpha = of_space(results, "own", "alpha", 4 * V);
        bool differ = false;
        for (int64_t k = 0; k < 4; k++)
            for (int64_t v = 0; v < V; v++) {
                assert_true(alpha[k * V + v] == alpha[k * V + (global ? 0 : v / (V / 2) * (V / 2))]);
                differ |= alpha[k * V + v] != alpha[k * V];
            }
        assert_true(differ == !global);
        free(alpha);
        vg_store_close(results);
    }
    simulated_end(&s);
}

/* What is planted in the test rows of a fold alone is not found: with `standardize: train` that fold's penalties and the scores that chose
 * them stay what they are, bit by bit; with `run`, which scales a run by all of its rows, the penalties do, and the scores but for
 * rounding.
 */
static void what_is_in_test_rows_alone_is_not_found(void **state)
{
    (void)state;
    static const char *const modes[] = {"train", "run"};
    simulated s;
    for (int mode = 0; mode < 2; mode++) {
        double *alpha[2], *inner[2], *score[2];
        make_study(&s);
        for (int planted = 0; planted < 2; planted++) {
            if (planted) {
                float *y = ar1_columns(ROWS, V, 0.3, 20), *own = ar1_columns(ROWS, 2, 0.5, 1), *nuisance = ar1_columns(ROWS, 2, 0.5, 2);
                for (int64_t t = 1; t < ROWS; t++)
                    for (int64_t v = 0; v < V; v++) {
                        y[t * V + v] += 1.5f * nuisance[(t - 1) * 2] + (v < V / 2 ? 1.5f * own[(t - 1) * 2 + 1] : 0);
                        y[t * V + v] += t < ROWS / 4 ? 50 * own[(t - 1) * 2] : 0; /* the first fold's test rows */
                    }
                simulated_write(&s, "s1", y, V);
                free(y);
                free(own);
                free(nuisance);
            }
            char text[2048];
            snprintf(text, sizeof text,
                     "%sridge: {alphas: [0.1, 10, 1000, 100000], outer_folds: 4, inner_folds: 3}\nfamilies: {own: [own]}\n", features);
            char *filter = strstr(text, "filter: none"), with[64];
            int length = snprintf(with, sizeof with, "filter: none, standardize: %s", modes[mode]);
            memmove(filter + length, filter + 12, strlen(filter + 12) + 1);
            memcpy(filter, with, (size_t)length);
            vg_store_file *results = simulated_run(&s, text);
            alpha[planted] = of_space(results, "own", "alpha", 4 * V);
            inner[planted] = of_space(results, "own", "inner", 4 * V);
            score[planted] = of_space(results, "own", "score", V);
            vg_store_close(results);
        }
        assert_memory_equal(alpha[0], alpha[1], V * sizeof(double)); /* of the first fold */
        assert_true(memcmp(inner[0] + V, inner[1] + V, 3 * V * sizeof(double)) != 0);
        for (int64_t v = 0; v < V; v++) {
            assert_true(mode == 0 ? inner[0][v] == inner[1][v] : fabs(inner[0][v] - inner[1][v]) < 3e-6);
            assert_true(v >= V / 2 || score[0][v] > 0.3);
        }
        for (int i = 0; i < 2; i++) {
            free(alpha[i]);
            free(inner[i]);
            free(score[i]);
        }
        simulated_end(&s);
    }
}

/* Two stories (the same words): each in turn, or one of them, is tested; a story heard twice. */
static void stories_and_repeats(void **state)
{
    (void)state;
    simulated s;
    make_study(&s);
    static const char stories[] =
        "features:\n  - {name: own, file: \"own{STORY}.npy\"}\nalignment: {delays: [1, 2], filter: none, hrf: %s}\n"
        "ridge: {alphas: [0.1, 10, 1000], outer_folds: 4, inner_folds: 3}\n"
        "responses:\n  tr: 1.0\n  subjects:\n    - name: s1\n"
        "      runs:\n        - {story: s1.npy, second: s2.npy}\n        - {second: s3.npy}\n%s";
    char text[2048], command[256];
    snprintf(command, sizeof command, "cd '%s' && cp own.npy ownstory.npy && cp own.npy ownsecond.npy", s.folder);
    assert_int_equal(system(command), 0);
    for (int i = 0; i < 3; i++) {
        snprintf(text, sizeof text, stories, i == 2 ? "glover" : "none", i == 1 ? "split: {test: [second]}\n" : "");
        /* a second story, in the list that simulated_run begins */
        vg_store_file *results = simulated_run_stories(&s, "[{name: story, words: story.tsv}, {name: second, words: story.tsv}]", text);
        int64_t outer = i == 1 ? 1 : 2;
        double *alpha = of_space(results, "own", "alpha", outer * V), *score = of_space(results, "own", "score", V);
        double *explainable = read_all(results, "/subjects/s1/explainable", NULL, V), *norm = of_space(results, "own", "cc_norm", V);
        for (int64_t v = 0; v < V; v++) {
            assert_true(i == 2 || (v < V / 2 ? score[v] > 0.4 : fabs(score[v]) < 0.4));
            assert_true(explainable[v] > 0.2 && explainable[v] < 1); /* both repeats answer to the nuisance */
            assert_true(fabs(norm[v]) >= fabs(score[v]));
        }
        free(alpha);
        free(score);
        free(explainable);
        free(norm);
        vg_store_close(results);
    }
    simulated_end(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nuisance_as_a_band),
        cmocka_unit_test(nuisance_regressed_out),
        cmocka_unit_test(equal_size_beside_the_nuisance),
        cmocka_unit_test(scores_by_r2_and_weights),
        cmocka_unit_test(shared_penalties),
        cmocka_unit_test(what_is_in_test_rows_alone_is_not_found),
        cmocka_unit_test(stories_and_repeats),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
