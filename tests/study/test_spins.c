/* Protects: spins of the sphere say no more than is there, and find what is. Layers turned with their vertices correlate as numbers do;
 * maps that are smooth and have nothing to do with each other have a p that is uniform, where shuffled vertices would call most of them
 * alike; a map and itself have the smallest p there is. And a whole study on two spheres: spaces that prefer the same layers in the same
 * places are told from one that prefers others; without spheres, or on no surface, there is no p, and it is said why. SIMULATED data. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "choices.h"
#include "icosphere.h"
#include "simulated.h"

/* ---- correlations of turned layers -------------------------------------------------------------------------------------------------- */

static void layers_correlate_as_numbers_do(void **state)
{
    (void)state;
    enum { N = 200 };
    int16_t x[N], y[N];
    int32_t from[N], same[N];
    double mean_x = 0, mean_y = 0, xx = 0, yy = 0, xy = 0;
    int n = 0;
    for (int v = 0; v < N; v++) {
        same[v] = v;
        from[v] = (7 * v + 3) % N;
        x[v] = (int16_t)(vg_random_bits(1, VG_RANDOM_TEST, (uint64_t)v) % 14) - 1;
        y[v] = (int16_t)(vg_random_bits(2, VG_RANDOM_TEST, (uint64_t)v) % 14) - 1;
    }
    for (int v = 0; v < N; v++) {
        if (x[from[v]] < 0 || y[v] < 0)
            continue;
        mean_x += x[from[v]];
        mean_y += y[v];
        n++;
    }
    assert_true(n > 150 && n < N);
    for (int v = 0; v < N; v++) {
        if (x[from[v]] < 0 || y[v] < 0)
            continue;
        double a = x[from[v]] - mean_x / n, b = y[v] - mean_y / n;
        xx += a * a;
        yy += b * b;
        xy += a * b;
    }
    assert_true(fabs(vg_spin_correlation(x, y, from, N) - xy / sqrt(xx * yy)) < 1e-12);
    assert_true(vg_spin_correlation(x, x, same, N) == 1);
    const int16_t flat[4] = {2, 2, 2, 2}, up[4] = {0, 1, 2, -1}, two[4] = {0, 1, -1, -1};
    assert_true(isnan(vg_spin_correlation(flat, up, same, 4)));
    assert_true(isnan(vg_spin_correlation(up, two, same, 4)));
    assert_true(vg_spin_correlation(up, up, same, 4) == 1);
}

/* ---- smooth maps
 * ------------------------------------------------------------------------------------------------------------------------- */

enum { CUTS = 3, VERTICES = 642, BUMPS = 12, STEPS = 8 };

/* Layers 0 .. 7 of a sum of bumps at random places, which looks the same from everywhere; the last eighth has none. */
static void smooth_layers(const icosphere *sphere, uint64_t seed, int16_t *layers)
{
    double place[BUMPS][3], value[VERTICES], sorted[VERTICES];
    for (uint64_t k = 0; k < BUMPS; k++) {
        double length = 0;
        for (int d = 0; d < 3; d++) {
            place[k][d] = vg_random_normal(seed, VG_RANDOM_TEST, 3 * k + (uint64_t)d);
            length += place[k][d] * place[k][d];
        }
        for (int d = 0; d < 3; d++)
            place[k][d] /= sqrt(length);
    }
    for (int64_t v = 0; v < VERTICES; v++) {
        value[v] = 0;
        for (uint64_t k = 0; k < BUMPS; k++) {
            double dot = 0;
            for (int d = 0; d < 3; d++)
                dot += sphere->place[v][d] * place[k][d];
            value[v] += vg_random_normal(seed, VG_RANDOM_TEST, 1000 + k) * exp(6 * (dot - 1));
        }
        sorted[v] = value[v];
    }
    qsort(sorted, VERTICES, sizeof *sorted, ascending);
    for (int64_t v = 0; v < VERTICES; v++) {
        int64_t rank = 0;
        while (sorted[rank] < value[v])
            rank++;
        int step = (int)(rank * (STEPS + 1) / VERTICES);
        layers[v] = (int16_t)(step < STEPS ? step : -1);
    }
}

static int64_t open_spheres(const icosphere *sphere, const char *folder, vg_spheres *spheres)
{
    char path[2][128];
    vg_study study = {.path = "study.yaml", .sphere = {path[0], path[1]}};
    for (int h = 0; h < 2; h++) {
        snprintf(path[h], sizeof path[h], "%s/%ch.sphere", folder, h == 0 ? 'l' : 'r');
        icosphere_write(sphere, 1, path[h]);
    }
    assert_int_equal(vg_spheres_open(&study, spheres), VG_OK);
    return vg_sphere_vertices(spheres->side[0]) + vg_sphere_vertices(spheres->side[1]);
}

/* from (2 * VERTICES): what a test that knows nothing of smoothness would do. */
static void shuffle(uint64_t seed, uint64_t number, int32_t *from)
{
    for (int32_t v = 0; v < 2 * VERTICES; v++)
        from[v] = v;
    for (uint64_t v = 2 * VERTICES - 1; v > 0; v--) {
        uint64_t other = vg_random_bits(seed, VG_RANDOM_TEST, number * 2 * VERTICES + v) % (v + 1);
        int32_t kept = from[v];
        from[v] = from[other];
        from[other] = kept;
    }
}

static void unrelated_smooth_maps_are_not_alike(void **state)
{
    (void)state;
    enum { STUDIES = 300, SPINS = 39 };
    simulated s;
    vg_spheres spheres;
    static int16_t x[2 * VERTICES], y[2 * VERTICES];
    static int32_t from[2 * VERTICES];
    double p[STUDIES];
    int shuffled = 0;
    simulated_begin(&s, 1);
    icosphere *sphere = icosphere_make(CUTS);
    assert_int_equal(open_spheres(sphere, s.folder, &spheres), 2 * VERTICES);
    for (uint64_t i = 0; i < STUDIES; i++) {
        fit_tally spins = {0}, shuffles = {0};
        for (uint64_t h = 0; h < 2; h++) {
            smooth_layers(sphere, 10 * i + h + 1, x + h * VERTICES);
            smooth_layers(sphere, 10 * i + h + 3, y + h * VERTICES);
        }
        for (int32_t v = 0; v < 2 * VERTICES; v++)
            from[v] = v;
        double observed = vg_spin_correlation(x, y, from, 2 * VERTICES);
        for (int n = 0; n < SPINS; n++) {
            vg_spheres_turn(&spheres, i, n, from);
            vg_tally_count(&spins, observed, vg_spin_correlation(x, y, from, 2 * VERTICES));
            shuffle(i, (uint64_t)n, from);
            vg_tally_count(&shuffles, observed, vg_spin_correlation(x, y, from, 2 * VERTICES));
        }
        assert_int_equal(spins.count, SPINS);
        p[i] = vg_tally_above(&spins);
        shuffled += vg_tally_above(&shuffles) <= 0.05;
    }
    check_uniform("p of spins, unrelated smooth maps", p, STUDIES);
    print_message("shuffled vertices: %d of %d below .05\n", shuffled, STUDIES);
    assert_true(shuffled > 0.2 * STUDIES);
    free(sphere);
    vg_spheres_free(&spheres);
    simulated_end(&s);
}

/* Left and right are turned each within itself, as mirror images; a map with itself is never as alike again. */
static void a_map_is_most_like_itself(void **state)
{
    (void)state;
    simulated s;
    vg_spheres spheres;
    static int16_t x[2 * VERTICES];
    static int32_t from[2 * VERTICES];
    simulated_begin(&s, 1);
    icosphere *sphere = icosphere_make(CUTS);
    assert_int_equal(open_spheres(sphere, s.folder, &spheres), 2 * VERTICES);
    for (uint64_t i = 0; i < 5; i++) {
        fit_tally spins = {0};
        smooth_layers(sphere, 100 + i, x);
        smooth_layers(sphere, 200 + i, x + VERTICES);
        for (int n = 0; n < 99; n++) {
            vg_spheres_turn(&spheres, i, n, from);
            for (int32_t v = 0; v < VERTICES; v++)
                assert_true(from[v] >= 0 && from[v] < VERTICES && from[VERTICES + v] >= VERTICES && from[VERTICES + v] < 2 * VERTICES);
            vg_tally_count(&spins, 1, vg_spin_correlation(x, x, from, 2 * VERTICES));
        }
        assert_true(vg_tally_above(&spins) == 0.01);
    }
    free(sphere);
    vg_spheres_free(&spheres);
    simulated_end(&s);
}

/* ---- a whole study
 * ------------------------------------------------------------------------------------------------------------------------ */

enum { ROWS = 500, SIDE = 162, LAYERS = 3, SPACES = 3, PAIRS = SPACES * (SPACES - 1) };

static const char study_keys[] = "features: [{name: unused, file: none.npy}]\n"
                                 "responses: {tr: 1.0, subjects: [{name: s1, runs: {story: {lh: lh.func.gii, rh: rh.func.gii}}}]}\n"
                                 "alignment: {delays: [1], filter: none}\nridge: {alphas: [1, 100], outer_folds: 4, inner_folds: 3}\n";

/* The layer that is planted at a vertex: of the first two spaces by its height, of the third by what lies before and behind. */
static int planted(const icosphere *sphere, int space, int64_t v)
{
    double x = sphere->place[v][space < 2 ? 2 : 1];
    return x < -1. / 3 ? 0 : x < 1. / 3 ? 1 : 2;
}

static void write_side(simulated *s, const icosphere *sphere, char hemisphere, float *const *x)
{
    vg_space space = {.vertices = {SIDE, SIDE}};
    float *y = ar1_columns(ROWS, SIDE, 0.3, (uint64_t)hemisphere);
    vg_voxel voxels[SIDE];
    const char *names[ROWS];
    for (int64_t v = 0; v < SIDE; v++) {
        voxels[v] = (vg_voxel){hemisphere, (int32_t)v, -1, -1, -1};
        for (int64_t t = 1; t < ROWS; t++)
            for (int n = 0; n < SPACES; n += 2)
                y[t * SIDE + v] += 0.8f * x[n * LAYERS + planted(sphere, n, v)][t - 1];
        y[v] = v < 5 ? NAN : y[v]; /* no voxel */
    }
    for (int64_t t = 0; t < ROWS; t++)
        names[t] = "volume";
    snprintf(s->path, sizeof s->path, "%s/%s.func.gii", s->folder, hemisphere == 'L' ? "lh" : "rh");
    assert_int_equal(vg_map_write(s->path, &space, hemisphere, voxels, (vg_matrix){y, ROWS, SIDE, SIDE}, names), VG_OK);
    free(y);
}

/* Space "a" and, with noise of its own, "b" are planted by the same map of layers, "c" by another. */
static void make_study(simulated *s)
{
    float *x[SPACES * LAYERS];
    icosphere *sphere = icosphere_make(2);
    simulated_begin(s, ROWS);
    for (int i = 0; i < SPACES * LAYERS; i++)
        x[i] = ar1_columns(ROWS, 1, 0.3, 70 + (uint64_t)i);
    for (int l = 0; l < LAYERS; l++) {
        memcpy(x[LAYERS + l], x[l], ROWS * sizeof *x[l]);
        add_ar1(x[LAYERS + l], ROWS, 1, 0, 0.3, 0.5, 80 + (uint64_t)l);
    }
    simulated_write_layers(s, SPACES, (const char *const[]){"a", "b", "c"}, LAYERS, x);
    for (int h = 0; h < 2; h++) {
        char path[128];
        write_side(s, sphere, "LR"[h], x);
        snprintf(path, sizeof path, "%s/%ch.sphere", s->folder, "lr"[h]);
        icosphere_write(sphere, 1, path);
    }
    for (int i = 0; i < SPACES * LAYERS; i++)
        free(x[i]);
    free(sphere);
}

static void spaces_that_prefer_alike_are_found(void **state)
{
    (void)state;
    simulated s;
    char text[1024], *about;
    make_study(&s);
    snprintf(text, sizeof text, "%snull: {shifts: 79, spins: 199}\nsurface: {left_sphere: lh.sphere, right_sphere: rh.sphere}\n",
             study_keys);
    vg_store_file *results = simulated_fit(&s, text, "layers.h5");
    static const char *const names[] = {"r", "p", "spin_mean", "p_spin", "spins"};
    double *n[5];
    for (int i = 0; i < 5; i++)
        n[i] = read_all(results, "/layers/correlation", names[i], PAIRS);
    for (int i = 0; i < PAIRS; i++) {
        print_message("pair %d: r %.3f, p %.3f, spins' mean %.3f, p_spin %.3f of %g\n", i, n[0][i], n[1][i], n[2][i], n[3][i], n[4][i]);
        bool alike = i == 0 || i == 2; /* a b, a c, b a, ... */
        assert_true(n[4][i] == 199 && fabs(n[2][i]) < 0.1);
        assert_true(alike ? n[0][i] > 0.9 && n[3][i] == 1. / 200 : fabs(n[0][i]) < 0.3 && n[3][i] > 0.05);
    }
    assert_int_equal(vg_store_attribute_text(results, "/layers/correlation", "spins", &about), VG_OK);
    assert_string_equal(about, "199 rotations, of the spheres that 1 of 1 subjects lie on");
    free(about);
    for (int i = 0; i < 5; i++)
        free(n[i]);
    vg_store_close(results);
    simulated_end(&s);
}

/* Runs the study with these keys: there are no spins, and the table says why. */
static void expect_none(simulated *s, const char *keys, const char *why)
{
    char *about;
    vg_store_file *results = simulated_fit(s, keys, "layers.h5");
    double *p = read_all(results, "/layers/correlation", "p", PAIRS), *spun = read_all(results, "/layers/correlation", "p_spin", PAIRS),
           *mean = read_all(results, "/layers/correlation", "spin_mean", PAIRS),
           *spins = read_all(results, "/layers/correlation", "spins", PAIRS);
    assert_true(p[0] <= 0.05 && isnan(spun[0]) && isnan(mean[0]) && spins[0] == 0);
    assert_int_equal(vg_store_attribute_text(results, "/layers/correlation", "spins", &about), VG_OK);
    assert_string_equal(about, why);
    free(about);
    free(p);
    free(spun);
    free(mean);
    free(spins);
    vg_store_close(results);
}

static void without_spheres_there_are_no_spins(void **state)
{
    (void)state;
    simulated s;
    char text[1024];
    make_study(&s);
    snprintf(text, sizeof text, "%snull: {shifts: 39}\n", study_keys);
    expect_none(&s, text, "none: surface.left_sphere and surface.right_sphere are not given");
    snprintf(text, sizeof text, "%snull: {shifts: 39, spins: 0}\nsurface: {left_sphere: lh.sphere, right_sphere: rh.sphere}\n", study_keys);
    expect_none(&s, text, "none: null.spins is 0");
    float *y = ar1_columns(ROWS, 4, 0.3, 1); /* columns that lie nowhere */
    vg_store_file *file;
    snprintf(s.path, sizeof s.path, "%s/layers.h5", s.folder);
    assert_int_equal(vg_store_open(s.path, &file), VG_OK);
    double *x = read_all(file, "/stories/story/features/made/a/01", NULL, ROWS);
    for (int64_t t = 1; t < ROWS; t++)
        for (int v = 0; v < 4; v++)
            y[t * 4 + v] += (float)x[t - 1];
    vg_store_close(file);
    free(x);
    simulated_write(&s, "plain", y, 4);
    free(y);
    snprintf(text, sizeof text,
             "features: [{name: unused, file: none.npy}]\nresponses: {tr: 1.0, subjects: [{name: s1, runs: {story: plain.npy}}]}\n"
             "alignment: {delays: [1], filter: none}\nridge: {alphas: [1, 100], outer_folds: 4, inner_folds: 3}\nnull: {shifts: 39}\n"
             "surface: {left_sphere: lh.sphere, right_sphere: rh.sphere}\n");
    vg_store_file *results = simulated_fit(&s, text, "layers.h5");
    char *about;
    double *spun = read_all(results, "/layers/correlation", "p_spin", PAIRS);
    assert_true(isnan(spun[0]));
    assert_int_equal(vg_store_attribute_text(results, "/layers/correlation", "spins", &about), VG_OK);
    assert_string_equal(about, "none: the responses do not lie on a surface (no voxel has a hemisphere and a vertex)");
    free(about);
    free(spun);
    vg_store_close(results);
    simulated_end(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(layers_correlate_as_numbers_do),     cmocka_unit_test(unrelated_smooth_maps_are_not_alike),
        cmocka_unit_test(a_map_is_most_like_itself),          cmocka_unit_test(spaces_that_prefer_alike_are_found),
        cmocka_unit_test(without_spheres_there_are_no_spins),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
