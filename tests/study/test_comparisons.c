/* Protects: what compares spaces says no more than is there, and finds what is. 200 small studies whose listeners share autocorrelated
 * responses that have nothing to do with the features: 5 % of voxels, of group means, of paired differences are below .05 within the
 * binomial band, p is uniform, and the best of six spaces gains nothing over one. Planted spaces rank first, win against another family,
 * are the preferred layer, and two spaces whose preference agrees are found to agree; the ceiling is that of the planted noise. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "simulated.h"

static void write_responses(simulated *s, int subject, const float *y, int64_t voxels)
{
    char name[32];
    snprintf(name, sizeof name, "s%d", subject + 1);
    simulated_write(s, name, y, voxels);
}

/* ---- nothing is there -------------------------------------------------------------------------------------------------------------- */

enum { STUDIES = 200, ROWS = 80, VOXELS = 4, SUBJECTS = 3 };

static const char null_keys[] =
    "features:\n"
    "  - {name: f1, file: f1.npy}\n  - {name: f2, file: f2.npy}\n  - {name: f3, file: f3.npy}\n"
    "  - {name: f4, file: f4.npy}\n  - {name: f5, file: f5.npy}\n  - {name: f6, file: f6.npy}\n"
    "responses:\n  tr: 1.0\n  subjects:\n"
    "    - {name: s1, runs: {story: s1.npy}}\n    - {name: s2, runs: {story: s2.npy}}\n    - {name: s3, runs: {story: s3.npy}}\n"
    "alignment: {delays: [1], filter: none}\n"
    "ridge: {alphas: [1, 100], outer_folds: 3, inner_folds: 2}\n"
    "null: {shifts: 39}\n"
    "statistics: {bootstrap: 0, ceiling: none}\n"
    "contrasts: [[f1, f2]]\n"
    "families: {six: [f1, f2, f3, f4, f5, f6], one: [f1]}\n";

/* Where a p or a score of the voxels stands. */
static const char *const null_paths[] = {"/subjects/s1/files/f1/p",
                                         "/group/files/f1/p",
                                         "/group/contrasts/files.f1--files.f2/p",
                                         "/families/maps/six/subjects/s1/p",
                                         "/families/maps/six/group/p",
                                         "/families/maps/six--one/subjects/s1/p",
                                         "/families/maps/six/group/mean",
                                         "/families/maps/one/group/mean"};
enum { PATHS = 8, P_PATHS = 6 };

static void run_null_study(int64_t number, double *const *values)
{
    simulated s;
    uint64_t seed = 1000 * (uint64_t)(number + 1);
    simulated_begin(&s, ROWS);
    for (int i = 0; i < 6; i++) {
        char name[32];
        float *x = ar1_columns(ROWS, 2, 0.5, seed + (uint64_t)i);
        snprintf(name, sizeof name, "f%d", i + 1);
        simulated_write(&s, name, x, 2);
        free(x);
    }
    for (int i = 0; i < SUBJECTS; i++) {
        float *y = ar1_columns(ROWS, VOXELS, 0.6, seed + 10);
        for (int64_t v = 0; v < VOXELS; v++)
            add_ar1(y, ROWS, VOXELS, v, 0.6, 0.7, seed + 20 + (uint64_t)i);
        write_responses(&s, i, y, VOXELS);
        free(y);
    }
    char keys[sizeof null_keys + 32]; /* shifts of its own: p is what it says over draws of shifts, too */
    snprintf(keys, sizeof keys, "%sseed: %lld\n", null_keys, (long long)number);
    vg_store_file *results = simulated_run(&s, keys);
    for (int i = 0; i < PATHS; i++) {
        double *read = read_all(results, null_paths[i], NULL, VOXELS);
        memcpy(values[i] + number * VOXELS, read, VOXELS * sizeof *read);
        free(read);
    }
    vg_store_close(results);
    simulated_end(&s);
}

static void unrelated_features_are_not_found(void **state)
{
    (void)state;
    double *values[PATHS], mean[2] = {0}, square = 0;
    int64_t n = STUDIES * VOXELS, studies = 0;
    for (int i = 0; i < PATHS; i++)
        values[i] = malloc((size_t)n * sizeof(double));
    for (; studies < STUDIES; studies++)
        run_null_study(studies, values);
    assert_int_equal(studies, STUDIES);
    for (int64_t e = 0; e < n; e++)
        for (int i = 0; i < 2; i++)
            mean[i] += values[P_PATHS + i][e] / (double)n;
    for (int64_t e = 0; e < n; e++)
        square += pow(values[P_PATHS][e] - values[P_PATHS + 1][e] - mean[0] + mean[1], 2);
    double error = sqrt(square / (double)n / (double)(n - 1));
    print_message("mean score of the best of six %.4f, of one %.4f, difference %.4f +- %.4f\n", mean[0], mean[1], mean[0] - mean[1], error);
    assert_true(fabs(mean[0] - mean[1]) < 3 * error);
    for (int i = 0; i < PATHS; i++) {
        if (i < P_PATHS)
            check_uniform(null_paths[i], values[i], n);
        free(values[i]);
    }
}

/* ---- what is planted is found ----------------------------------------------------------------------------------------------------------
 */

enum { LONG = 600, MANY = 60, LISTENERS = 2 };

/* r2 of the voxel's variance is x, one row later. */
static void plant(float *y, int64_t v, int64_t voxels, const float *x, int64_t columns, int64_t column, double r2)
{
    double by = sqrt(r2 / (1 - r2));
    for (int64_t t = 1; t < LONG; t++)
        y[t * voxels + v] += (float)(by * (double)x[(t - 1) * columns + column]);
}

static const char planted_keys[] =
    "features: [{name: a, file: a.npy}, {name: b, file: b.npy}, {name: c, file: c.npy}]\n"
    "responses: {tr: 1.0, subjects: [{name: s1, runs: {story: s1.npy}}, {name: s2, runs: {story: s2.npy}}]}\n"
    "alignment: {delays: [1, 2], filter: none}\n"
    "ridge: {alphas: [1, 10, 100, 1000], outer_folds: 4, inner_folds: 3}\n"
    "null: {shifts: 199}\n"
    "contrasts: [[a, c], [b, a]]\n"
    "families: {a: [a], bc: [b, c]}\n"
    "atlas: {columns: %s}\n";

static double *map_of(const vg_store_file *file, const char *format, const char *name, int64_t voxels)
{
    char path[256];
    snprintf(path, sizeof path, format, name);
    return read_all(file, path, NULL, voxels);
}

/* a is planted in the first third of the voxels, b in the second, nothing in the third; r2 0.2. */
static void planted_spaces_rank_first_and_win(void **state)
{
    (void)state;
    simulated s;
    simulated_begin(&s, LONG);
    float *x[3];
    for (int i = 0; i < 3; i++) {
        const char name[2] = {(char)('a' + i), '\0'};
        x[i] = ar1_columns(LONG, 2, 0.3, 50 + (uint64_t)i);
        simulated_write(&s, name, x[i], 2);
    }
    for (int i = 0; i < LISTENERS; i++) {
        float *y = ar1_columns(LONG, MANY, 0.4, 60 + (uint64_t)i);
        for (int64_t v = 0; v < 2 * MANY / 3; v++)
            plant(y, v, MANY, x[v / (MANY / 3)], 2, v % 2, 0.2);
        write_responses(&s, i, y, MANY);
        free(y);
    }
    char columns[MANY * 8 + 8] = "[", keys[sizeof planted_keys + sizeof columns];
    for (int v = 0; v < MANY; v++)
        strcat(columns, v < MANY / 3 ? "in_a, " : v < 2 * MANY / 3 ? "in_b, " : "none, ");
    strcpy(columns + strlen(columns) - 2, "]");
    snprintf(keys, sizeof keys, planted_keys, columns);
    vg_store_file *results = simulated_run(&s, keys);
    double *score[3], *winner = map_of(results, "/families/maps/%s/subjects/s1/winner", "a--bc", MANY);
    for (int i = 0; i < 3; i++) {
        const char name[2] = {(char)('a' + i), '\0'};
        score[i] = map_of(results, "/subjects/s1/files/%s/score", name, MANY);
    }
    int first = 0, won = 0, tied = 0;
    for (int v = 0; v < MANY; v++) {
        int planted = v / (MANY / 3), other = 1 - planted;
        if (planted < 2)
            first += score[planted][v] > score[other][v] && score[planted][v] > score[2][v];
        if (planted < 2)
            won += winner[v] == (planted == 0 ? 1 : -1);
        else
            tied += winner[v] == 0;
    }
    print_message("planted space first in %d of %d, its family wins in %d, ties elsewhere %d of %d\n", first, 2 * MANY / 3, won, tied,
                  MANY / 3);
    assert_true(first > 0.95 * 2 * MANY / 3);
    assert_true(won > 0.85 * 2 * MANY / 3);
    assert_true(tied > 0.85 * MANY / 3);
    /* contrasts: a--c, b--a x regions in_a, in_b, none, all */
    double *mean = read_all(results, "/contrast_regions", "mean", 8), *p = read_all(results, "/contrast_regions", "p", 8);
    assert_true(mean[0] > 0.2 && p[0] <= 0.011);
    assert_true(p[2] > 0.011);                    /* a--c where nothing is */
    assert_true(mean[4] < -0.2 && p[4] <= 0.011); /* b--a in a's region */
    assert_true(mean[5] > 0.2 && p[5] <= 0.011);
    /* the paired differences' standard error and the regions' own */
    double *region = read_all(results, "/regions", "mean", 24), *sem = read_all(results, "/contrast_regions", "sem", 8);
    double one = region[0] - region[16], two = region[4] - region[20]; /* space a less c, of s1 and s2, in_a */
    assert_true(fabs(mean[0] - ((one + two) / 2)) < 1e-6);
    assert_true(fabs(sem[0] - (fabs(one - two) / 2)) < 1e-6);
    double *shares = read_all(results, "/families/comparisons", "won_a", 4);
    assert_true(shares[0] > 0.85 && shares[1] == 0);
    double *numbers[] = {mean, p, region, sem, shares, winner, score[0], score[1], score[2]};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        free(numbers[i]);
    for (int i = 0; i < 3; i++)
        free(x[i]);
    vg_store_close(results);
    simulated_end(&s);
}

/* ---- layers
 * ------------------------------------------------------------------------------------------------------------------------------ */

enum { LAYERS = 4 };

/* Layer v % 4 of the first space is planted in voxel v of the first 40, r2 0.2; the second space is the first with noise of its own. */
static void planted_layers_are_preferred(void **state)
{
    (void)state;
    simulated s;
    float *x[2][LAYERS];
    simulated_begin(&s, LONG);
    for (int l = 0; l < LAYERS; l++) {
        x[0][l] = ar1_columns(LONG, 1, 0.3, 70 + (uint64_t)l);
        x[1][l] = calloc(LONG, sizeof(float));
        memcpy(x[1][l], x[0][l], LONG * sizeof(float));
        add_ar1(x[1][l], LONG, 1, 0, 0.3, 0.5, 80 + (uint64_t)l);
    }
    simulated_write_layers(&s, 2, (const char *const[]){"first", "second"}, LAYERS, &x[0][0]);
    for (int i = 0; i < LISTENERS; i++) { /* the second one answers to the next layer, and less */
        float *y = ar1_columns(LONG, MANY, 0.4, 90 + (uint64_t)i);
        for (int64_t v = 0; v < 40; v++)
            plant(y, v, MANY, x[0][(v + i) % LAYERS], 1, 0, i == 0 ? 0.2 : 0.05);
        write_responses(&s, i, y, MANY);
        free(y);
    }
    vg_store_file *results =
        simulated_fit(&s,
                      "features: [{name: unused, file: none.npy}]\n"
                      "responses: {tr: 1.0, subjects: [{name: s1, runs: {story: s1.npy}}, {name: s2, runs: {story: s2.npy}}]}\n"
                      "alignment: {delays: [1], filter: none}\n"
                      "ridge: {alphas: [1, 100], outer_folds: 4, inner_folds: 3}\n"
                      "null: {shifts: 199}\n",
                      "layers.h5");
    double *preferred = map_of(results, "/layers/maps/made/%s/subjects/s1/preferred", "first", MANY);
    double *center = map_of(results, "/layers/maps/made/%s/subjects/s1/center_of_mass", "first", MANY);
    double *group = read_all(results, "/layers/maps/made/first/group/preferred", NULL, MANY);
    int right = 0, near = 0, none = 0, together = 0;
    for (int v = 0; v < MANY; v++) {
        right += v < 40 && preferred[v] == v % LAYERS;
        near += v < 40 && fabs(center[v] - v % LAYERS) < 0.75;
        none += v >= 40 && isnan(preferred[v]) && isnan(center[v]) && isnan(group[v]);
        together += v < 40 && group[v] == v % LAYERS;
    }
    print_message("the planted layer is preferred in %d of 40 voxels, of the group in %d, the centre of mass is near in %d; nowhere else: "
                  "%d of 20\n",
                  right, together, near, none);
    assert_true(right > 38 && together > 36 && near > 34 && none >= 18);
    double *r = read_all(results, "/layers/correlation", "r", 2), *p = read_all(results, "/layers/correlation", "p", 2);
    assert_true(r[0] > 0.8 && r[1] > 0.8 && p[0] <= 0.006 && p[1] <= 0.006);
    free(r);
    free(p);
    free(preferred);
    free(center);
    free(group);
    for (int l = 0; l < LAYERS; l++) {
        free(x[0][l]);
        free(x[1][l]);
    }
    vg_store_close(results);
    simulated_end(&s);
}

/* ---- ceilings --------------------------------------------------------------------------------------------------------------------------
 */

/* Listeners share a signal with as much variance as their own noise, in the first half of the voxels: pairs correlate at .5. The other half
 * is noise: its ceiling's interval holds 0, and no fraction is shown. */
static void ceilings_are_those_of_the_noise(void **state)
{
    (void)state;
    enum { FOUR = 4, FEW = 20 };
    simulated s;
    simulated_begin(&s, LONG);
    float *x = ar1_columns(LONG, 1, 0.3, 40), *shared = ar1_columns(LONG, FEW, 0.3, 41);
    simulated_write(&s, "x", x, 1);
    for (int i = 0; i < FOUR; i++) {
        float *y = ar1_columns(LONG, FEW, 0.3, 42 + (uint64_t)i);
        for (int64_t t = 0; t < LONG; t++)
            for (int64_t v = 0; v < FEW / 2; v++)
                y[t * FEW + v] += shared[t * FEW + v];
        write_responses(&s, i, y, FEW);
        free(y);
    }
    vg_store_file *results =
        simulated_run(&s, "features: [{name: x, file: x.npy}]\n"
                          "responses: {tr: 1.0, subjects: [{name: s1, runs: {story: s1.npy}}, {name: s2, runs: {story: s2.npy}},\n"
                          "    {name: s3, runs: {story: s3.npy}}, {name: s4, runs: {story: s4.npy}}]}\n"
                          "alignment: {delays: [1], filter: none}\n"
                          "ridge: {alphas: [1, 100], outer_folds: 3, inner_folds: 2}\n"
                          "atlas: {columns: [y, y, y, y, y, y, y, y, y, y, n, n, n, n, n, n, n, n, n, n]}\n");
    double *isc = read_all(results, "/ceiling/regions", "isc", 3), *ceiling = read_all(results, "/ceiling/regions", "ceiling", 3);
    double *low = read_all(results, "/ceiling/regions", "low", 3), *high = read_all(results, "/ceiling/regions", "high", 3);
    double *map = read_all(results, "/ceiling/isc", NULL, FEW), *others = read_all(results, "/ceiling/leave_one_out", NULL, FEW);
    double *mean = read_all(results, "/group_regions", "mean", 3), *fraction = read_all(results, "/group_regions", "fraction", 3);
    double sum = 0;
    for (int v = 0; v < FEW / 2; v++) {
        sum += map[v] / (FEW / 2);
        assert_true(fabs(map[v] - 0.5) < 0.15 && others[v] > map[v]);
    }
    assert_true(fabs(isc[0] - (sum)) < 1e-6);
    assert_true(fabs(ceiling[0] - (sqrt(isc[0]))) < 1e-12);
    assert_true(low[0] < ceiling[0] && ceiling[0] < high[0] && low[0] > 0.5);
    assert_true(fabs(fraction[0] - (mean[0] / ceiling[0])) < 1e-12);
    assert_true(low[1] <= 0 && isnan(fraction[1]));
    double *numbers[] = {isc, ceiling, low, high, map, others, mean, fraction};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        free(numbers[i]);
    free(x);
    free(shared);
    vg_store_close(results);
    simulated_end(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(unrelated_features_are_not_found),
        cmocka_unit_test(planted_spaces_rank_first_and_win),
        cmocka_unit_test(planted_layers_are_preferred),
        cmocka_unit_test(ceilings_are_those_of_the_noise),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
