/* Protects: spins turn maps as Alexander-Bloch et al. (2018) do: the nearest vertex is the one that a search through all of them finds, on
 * even and uneven spheres; rotations are rotations, uniform over all of them, and the right hemisphere's is the mirror image of the left
 * one's; what is no sphere is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "icosphere.h"
#include "scratch.h"
#include "voxgrad/brain.h"

static vg_sphere *open_sphere(const char *path)
{
    vg_sphere *sphere;
    if (vg_sphere_open(path, &sphere) != VG_OK)
        fail_msg("%s", vg_message());
    return sphere;
}

static const char *write_sphere(const icosphere *s, double bump)
{
    static char path[128];
    snprintf(path, sizeof path, "%s/lh.sphere", folder);
    icosphere_write(s, bump, path);
    return path;
}

static const vg_rotation nothing = {{{1, 0, 0}, {0, 1, 0}, {0, 0, 1}}};

/* Of all vertices, the nearest to where the rotation turns vertex v. */
static int32_t look_everywhere(const double (*place)[3], int64_t vertices, const vg_rotation *rotation, int64_t v)
{
    double to[3], least = INFINITY;
    int32_t nearest = 0;
    for (int d = 0; d < 3; d++)
        to[d] = rotation->at[d][0] * place[v][0] + rotation->at[d][1] * place[v][1] + rotation->at[d][2] * place[v][2];
    for (int64_t u = 0; u < vertices; u++) {
        double x = place[u][0] - to[0], y = place[u][1] - to[1], z = place[u][2] - to[2], square = x * x + y * y + z * z;
        nearest = square < least ? (int32_t)u : nearest;
        least = fmin(least, square);
    }
    return nearest;
}

/* Places as the file has them, at distance 1. */
static double (*read_places(const char *path, int64_t *vertices))[3]
{
    vg_surface surface;
    assert_int_equal(vg_surface_open(path, &surface), VG_OK);
    double(*place)[3] = malloc((size_t)surface.vertices * sizeof *place);
    for (int64_t v = 0; v < surface.vertices; v++) {
        double x = (double)surface.position[3 * v], y = (double)surface.position[3 * v + 1], z = (double)surface.position[3 * v + 2];
        double radius = sqrt(x * x + y * y + z * z);
        place[v][0] = x / radius;
        place[v][1] = y / radius;
        place[v][2] = z / radius;
    }
    *vertices = surface.vertices;
    vg_surface_free(&surface);
    return place;
}

static void check_nearest(const char *path, int spins, int64_t step)
{
    vg_sphere *sphere = open_sphere(path);
    int64_t vertices;
    double(*place)[3] = read_places(path, &vertices);
    assert_int_equal(vg_sphere_vertices(sphere), vertices);
    int32_t *nearest = malloc((size_t)vertices * sizeof *nearest);
    vg_sphere_turn(sphere, &nothing, nearest);
    for (int64_t v = 0; v < vertices; v++)
        assert_int_equal(nearest[v], v);
    for (int i = 0; i < spins; i++) {
        vg_rotation left, right;
        vg_spin_make(3, (uint64_t)i, &left, &right);
        vg_sphere_turn(sphere, i % 2 == 0 ? &left : &right, nearest);
        for (int64_t v = i % step; v < vertices; v += step)
            if (nearest[v] != look_everywhere((const double(*)[3])place, vertices, i % 2 == 0 ? &left : &right, v))
                fail_msg("%s: spin %d, vertex %d: not %d is the nearest", path, i, (int)v, (int)nearest[v]);
    }
    free(nearest);
    free(place);
    vg_sphere_free(sphere);
}

static void the_nearest_vertex_is_found(void **state)
{
    (void)state;
    for (int cuts = 0; cuts <= 3; cuts++) {
        icosphere *s = icosphere_make(cuts);
        assert_int_equal(s->vertices, 10 * (1 << 2 * cuts) + 2);
        check_nearest(write_sphere(s, 1), 20, 1);
        free(s);
    }
}

/* Vertices that crowd at one pole, as those of a registered sphere do somewhere: nothing for many cells around the other one. */
static void also_where_vertices_crowd(void **state)
{
    (void)state;
    icosphere *s = icosphere_make(3);
    for (int64_t v = 0; v < s->vertices; v++) {
        double length = 0;
        s->place[v][2] += 1.2 * (1 + s->place[v][2]);
        for (int d = 0; d < 3; d++)
            length += s->place[v][d] * s->place[v][d];
        for (int d = 0; d < 3; d++)
            s->place[v][d] /= sqrt(length);
    }
    check_nearest(write_sphere(s, 1), 20, 1);
    free(s);
}

static void on_a_real_sphere_too(void **state)
{
    (void)state;
    static const char *const names[] = {"fsaverage5/lh.sphere.reg", "fsaverage5/nilearn/sphere_right.gii.gz"};
    const char *data = getenv("VG_DATA");
    char path[4096];
    for (int i = 0; i < 2; i++) {
        snprintf(path, sizeof path, "%s/%s", data != NULL ? data : "", names[i]);
        if (data == NULL || access(path, R_OK) != 0) {
            print_message("skipped: %s is not there (VG_DATA)\n", path);
            skip();
        }
        check_nearest(path, 10, 97);
    }
}

/* ---- rotations ------------------------------------------------------------------------------------------------------------------ */

static double determinant(const vg_rotation *r)
{
    const double(*m)[3] = r->at;
    return m[0][0] * (m[1][1] * m[2][2] - m[1][2] * m[2][1]) - m[0][1] * (m[1][0] * m[2][2] - m[1][2] * m[2][0]) +
           m[0][2] * (m[1][0] * m[2][1] - m[1][1] * m[2][0]);
}

static void spins_are_rotations_and_mirror_images(void **state)
{
    (void)state;
    for (uint64_t n = 0; n < 200; n++) {
        vg_rotation r[2];
        vg_spin_make(7, n, &r[0], &r[1]);
        for (int h = 0; h < 2; h++) {
            assert_true(fabs(determinant(&r[h]) - 1) < 1e-12);
            for (int i = 0; i < 3; i++)
                for (int j = 0; j < 3; j++) {
                    double dot = 0;
                    for (int k = 0; k < 3; k++)
                        dot += r[h].at[i][k] * r[h].at[j][k];
                    assert_true(fabs(dot - (i == j)) < 1e-12);
                }
        }
        const double place[3] = {0.36, 0.48, 0.8}; /* turned and then mirrored it is where its mirror image is turned to */
        for (int i = 0; i < 3; i++) {
            double left = 0, right = 0;
            for (int j = 0; j < 3; j++) {
                left += r[0].at[i][j] * place[j];
                right += r[1].at[i][j] * (j == 0 ? -place[j] : place[j]);
            }
            assert_true(fabs(right - (i == 0 ? -left : left)) < 1e-12);
        }
    }
    vg_rotation a, b, other;
    vg_spin_make(7, 5, &a, &other);
    vg_spin_make(7, 5, &b, &other);
    assert_memory_equal(&a, &b, sizeof a);
    vg_spin_make(8, 5, &b, &other);
    assert_true(fabs(a.at[0][0] - b.at[0][0]) > 1e-9);
}

/* Of rotations that are uniform, every entry has mean 0 and variance 1/3, products of two different ones mean 0, the trace mean 0 and
 * variance 1, and the angle t a density (1 - cos t) / pi (Kolmogorov and Smirnov). Angles chosen uniformly would fail the last ones. */
static void spins_are_uniform(void **state)
{
    (void)state;
    enum { N = 20000 };
    double *angle = malloc(N * sizeof *angle), sum[9] = {0}, square[9] = {0}, product[81] = {0}, trace = 0, traces = 0, furthest = 0;
    for (int n = 0; n < N; n++) {
        vg_rotation r, right;
        vg_spin_make(1, (uint64_t)n, &r, &right);
        const double *x = &r.at[0][0];
        for (int i = 0; i < 9; i++) {
            sum[i] += x[i];
            square[i] += x[i] * x[i];
            for (int j = 0; j < i; j++)
                product[9 * i + j] += x[i] * x[j];
        }
        double here = x[0] + x[4] + x[8];
        trace += here;
        traces += here * here;
        angle[n] = acos(fmin(1, fmax(-1, (here - 1) / 2)));
    }
    double band = 4 / sqrt(N); /* standard deviations, of which each number here has at most 1 */
    for (int i = 0; i < 9; i++) {
        assert_true(fabs(sum[i] / N) < band * sqrt(1. / 3));
        assert_true(fabs(square[i] / N - 1. / 3) < band);
        for (int j = 0; j < i; j++)
            assert_true(fabs(product[9 * i + j] / N) < band);
    }
    assert_true(fabs(trace / N) < band && fabs(traces / N - 1) < 2 * band);
    for (int n = 0; n < N; n++) { /* against the distribution at 100 angles */
        int bin = (int)(angle[n] / M_PI * 100);
        angle[n] = bin > 99 ? 99 : bin;
    }
    for (int bin = 0; bin < 100; bin++) {
        double t = (bin + 1) * M_PI / 100;
        int64_t below = 0;
        for (int n = 0; n < N; n++)
            below += angle[n] <= bin;
        furthest = fmax(furthest, fabs((double)below / N - (t - sin(t)) / M_PI));
    }
    print_message("largest distance of the angles' distribution %.4f (%.4f)\n", furthest, 1.63 / sqrt(N));
    assert_true(furthest < 1.63 / sqrt(N));
    free(angle);
}

/* ---- what is no sphere ---------------------------------------------------------------------------------------------------------- */

static void refused(const char *path, const char *says)
{
    vg_sphere *sphere;
    assert_int_equal(vg_sphere_open(path, &sphere), VG_INVALID);
    assert_null(sphere);
    if (strstr(vg_message(), says) == NULL)
        fail_msg("\"%s\" was expected, not \"%s\"", says, vg_message());
}

static void what_is_no_sphere_is_refused(void **state)
{
    (void)state;
    icosphere *s = icosphere_make(1);
    vg_sphere_free(open_sphere(write_sphere(s, 1.005)));
    refused(write_sphere(s, 1.02), "is no sphere: vertex ");
    assert_non_null(strstr(vg_message(), "vertex 1 102 mm; give the surface's sphere"));
    refused(write_sphere(s, 0), "vertex 1 is 0 mm from the origin");
    refused("no/such.sphere", "no/such.sphere");
    free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_nearest_vertex_is_found), cmocka_unit_test(also_where_vertices_crowd),
        cmocka_unit_test(on_a_real_sphere_too),        cmocka_unit_test(spins_are_rotations_and_mirror_images),
        cmocka_unit_test(spins_are_uniform),           cmocka_unit_test(what_is_no_sphere_is_refused),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
