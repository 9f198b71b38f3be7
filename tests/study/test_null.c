/* Protects: p-values mean what they say. Listeners share responses that are autocorrelated and have nothing to do with the features: 5 % of
 * voxels, of group means are below .05, within the binomial band (2.6 standard deviations), and p is uniform (Kolmogorov and Smirnov at
 * 1 %), where a t-test over the same listeners finds several times as many. A planted signal gets the smallest p there is, for the voxel,
 * the group, the region, and against the largest of all. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "simulated.h"

enum { ROWS = 160, VOXELS = 400, SUBJECTS = 4, SHIFTS = 99 };

static const char keys[] = "features:\n"
                           "  - {name: narrow, file: narrow.npy}\n"
                           "  - {name: wide, file: wide.npy}\n"
                           "responses:\n"
                           "  tr: 1.0\n"
                           "  subjects:\n"
                           "    - {name: s1, runs: {story: s1.npy}}\n"
                           "    - {name: s2, runs: {story: s2.npy}}\n"
                           "    - {name: s3, runs: {story: s3.npy}}\n"
                           "    - {name: s4, runs: {story: s4.npy}}\n"
                           "alignment: {delays: [1, 2], filter: none}\n"
                           "ridge: {alphas: {min: 1, max: 10000, count: 5}, outer_folds: 4, inner_folds: 3}\n"
                           "null: {shifts: 99}\n";

/* Responses: shared AR(1), and noise of each listener's own; in the first `planted` voxels the first column of `narrow`, 1 s before, too.
 */
static void make_study(simulated *s, int64_t planted, uint64_t seed)
{
    simulated_begin(s, ROWS);
    float *narrow = ar1_columns(ROWS, 2, 0.5, seed), *wide = ar1_columns(ROWS, 5, 0.5, seed + 1);
    simulated_write(s, "narrow", narrow, 2);
    simulated_write(s, "wide", wide, 5);
    for (int64_t i = 0; i < SUBJECTS; i++) {
        char name[32];
        float *y = ar1_columns(ROWS, VOXELS, 0.6, seed + 2);
        for (int64_t v = 0; v < VOXELS; v++) {
            add_ar1(y, ROWS, VOXELS, v, 0.6, 0.7, seed + 10 + (uint64_t)i);
            for (int64_t t = 1; v < planted && t < ROWS; t++)
                y[t * VOXELS + v] += 3 * narrow[(t - 1) * 2];
        }
        snprintf(name, sizeof name, "s%lld", (long long)(i + 1));
        simulated_write(s, name, y, VOXELS);
        free(y);
    }
    free(narrow);
    free(wide);
}

static void unrelated_features_are_found_in_one_voxel_of_twenty(void **state)
{
    (void)state;
    static const char *const spaces[] = {"narrow", "wide"};
    enum { STUDIES = 2 };
    double *voxels[2], *groups[2];
    int64_t by_t = 0;
    for (int i = 0; i < 2; i++) {
        voxels[i] = malloc(STUDIES * VOXELS * sizeof(double));
        groups[i] = malloc(STUDIES * VOXELS * sizeof(double));
    }
    for (int64_t run = 0; run < STUDIES; run++) {
        simulated s;
        make_study(&s, 0, 100 * (uint64_t)(run + 1));
        vg_store_file *results = simulated_run(&s, keys);
        for (int i = 0; i < 2; i++) {
            char path[64];
            snprintf(path, sizeof path, "/subjects/s1/files/%s/p", spaces[i]);
            double *p = read_all(results, path, NULL, VOXELS);
            memcpy(voxels[i] + run * VOXELS, p, VOXELS * sizeof *p);
            free(p);
            snprintf(path, sizeof path, "/group/files/%s/p", spaces[i]);
            p = read_all(results, path, NULL, VOXELS);
            memcpy(groups[i] + run * VOXELS, p, VOXELS * sizeof *p);
            free(p);
        }
        double *mean = read_all(results, "/group/files/wide/mean", NULL, VOXELS),
               *sem = read_all(results, "/group/files/wide/sem", NULL, VOXELS);
        for (int64_t v = 0; v < VOXELS; v++)
            by_t += mean[v] / sem[v] > 2.3534; /* t of 3 degrees of freedom, one-sided .05 */
        free(mean);
        free(sem);
        vg_store_close(results);
        simulated_end(&s);
    }
    for (int i = 0; i < 2; i++) {
        check_uniform(i == 0 ? "voxels, 2 columns" : "voxels, 5 columns", voxels[i], STUDIES * VOXELS);
        check_uniform(i == 0 ? "group means, 2 columns" : "group means, 5 columns", groups[i], STUDIES * VOXELS);
        free(voxels[i]);
        free(groups[i]);
    }
    print_message("a t-test over the same listeners: %d of %d\n", (int)by_t, STUDIES * VOXELS);
    assert_true(by_t > STUDIES * VOXELS / 10);
}

static void a_planted_signal_gets_the_smallest_p(void **state)
{
    (void)state;
    enum { PLANTED = 10 };
    simulated s;
    make_study(&s, PLANTED, 7);
    vg_store_file *results = simulated_run(&s, keys);
    static const char *const paths[] = {"/subjects/s1/files/narrow/p", "/subjects/s4/files/narrow/p", "/group/files/narrow/p",
                                        "/group/files/narrow/p_largest"};
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        double *p = read_all(results, paths[i], NULL, VOXELS);
        int64_t elsewhere = 0;
        for (int64_t v = 0; v < VOXELS; v++) {
            if (v < PLANTED)
                assert_float_equal(p[v], 1.0 / (SHIFTS + 1), 1e-6);
            assert_true(p[v] >= 1.0 / (SHIFTS + 1) - 1e-6 && p[v] <= 1);
            elsewhere += v >= PLANTED && p[v] < 0.05;
        }
        if (i == 3)
            assert_true(elsewhere == 0); /* against the largest of 800 means, noise is not found */
        free(p);
    }
    double *q = read_all(results, "/group/files/narrow/q", NULL, VOXELS), *p = read_all(results, "/group/files/narrow/p", NULL, VOXELS);
    double shifts;
    for (int64_t v = 0; v < VOXELS; v++)
        assert_true(q[v] >= p[v] && q[v] <= 1);
    assert_int_equal(vg_store_attribute_number(results, "/group_regions", "shifts", &shifts), VG_OK);
    assert_true(shifts == SHIFTS);
    free(p);
    free(q);
    vg_store_close(results);
    simulated_end(&s);
}

/* The table's rows over subjects are what the subjects' rows say, and the regions' p lies with the planted one. */
static void regions_have_their_own_p(void **state)
{
    (void)state;
    simulated s;
    make_study(&s, VOXELS / 2, 8);
    char text[sizeof keys + VOXELS * 8 + 64] = "";
    size_t length = (size_t)snprintf(text, sizeof text, "%satlas: {columns: [", keys);
    for (int v = 0; v < VOXELS; v++)
        length += (size_t)snprintf(text + length, sizeof text - length, "%s%s", v > 0 ? ", " : "", v < VOXELS / 2 ? "here" : "none");
    snprintf(text + length, sizeof text - length, "]}\n");
    vg_store_file *results = simulated_run(&s, text);
    /* 2 spaces x 4 subjects x 3 regions; 2 spaces x 3 regions: narrow here, narrow none, narrow all, wide here, wide none, wide all */
    double *mean = read_all(results, "/regions", "mean", 24), *p = read_all(results, "/regions", "p", 24);
    double *over = read_all(results, "/group_regions", "mean", 6), *over_p = read_all(results, "/group_regions", "p", 6);
    double *largest = read_all(results, "/group_regions", "p_largest", 6);
    for (int i = 0; i < 6; i++) {
        const double *rows = mean + i / 3 * 12 + i % 3;
        assert_float_equal(over[i], (rows[0] + rows[3] + rows[6] + rows[9]) / 4, 1e-12);
    }
    for (int subject = 0; subject < 4; subject++) {
        assert_float_equal(p[3 * subject], 0.01, 1e-12);
        assert_float_equal(mean[3 * subject + 2], (mean[3 * subject] + mean[3 * subject + 1]) / 2, 1e-6);
    }
    assert_float_equal(over_p[0], 0.01, 1e-12);
    assert_float_equal(largest[0], 0.01, 1e-12);
    assert_true(over_p[1] > 0.01 && over_p[4] > 0.01);
    free(mean);
    free(p);
    free(over);
    free(over_p);
    free(largest);
    vg_store_close(results);
    simulated_end(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(unrelated_features_are_found_in_one_voxel_of_twenty),
        cmocka_unit_test(a_planted_signal_gets_the_smallest_p),
        cmocka_unit_test(regions_have_their_own_p),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
