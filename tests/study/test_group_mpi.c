/* Protects: maps over subjects are the mean and standard error of the scores that are there, the bits of a loop over subjects on the host,
 * whichever rank holds which tile; a voxel that one subject has has no error, one that nobody has no mean. Runs on 3 ranks (ctest) and any
 * other number, on the device that VG_DEVICE names ("cpu"). Simulated scores. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "fit.h"
#include "ranks.h"

enum { SUBJECTS = 7, VOXELS = 1000, WIDE = 300, PLACES = 4, TILES = SUBJECTS * PLACES };

static float score(int64_t subject, int64_t voxel)
{
    float x = 0.4f * (float)vg_random_normal(3, VG_RANDOM_TEST, (uint64_t)(subject * VOXELS + voxel));
    bool dead =
        voxel % 50 == 0 ? subject >= voxel / 50 % (SUBJECTS + 1) : (subject + voxel) % 31 == 0; /* of a voxel's first, so many live */
    return dead ? NAN : voxel == 77 ? 0.25f : x;
}

static void expect(int64_t voxel, float *mean, float *sem)
{
    double sum = 0, squares = 0, n = 0;
    for (int64_t i = 0; i < SUBJECTS; i++) {
        double x = (double)score(i, voxel);
        sum += isfinite(x) ? x : 0;
        n += isfinite(x) != 0;
    }
    for (int64_t i = 0; i < SUBJECTS; i++) {
        double away = (double)score(i, voxel) - sum / n;
        squares += isfinite(away) ? away * away : 0;
    }
    *mean = n > 0 ? (float)(sum / n) : NAN;
    *sem = n > 1 ? (float)sqrt(squares / (n - 1) / n) : NAN;
}

/* Tile t is rank t * step % ranks', or, where step is 0, the last rank's. */
static void check(int64_t step)
{
    fit_tile tiles[TILES];
    int owner[TILES], ranks = vg_comm_ranks(comm);
    float *scores[TILES] = {0}, mean[VOXELS], sem[VOXELS];
    for (int64_t t = 0; t < TILES; t++) {
        int64_t first = t % PLACES * WIDE;
        tiles[t] = (fit_tile){t / PLACES, first, VOXELS - first < WIDE ? VOXELS - first : WIDE};
        owner[t] = step > 0 ? (int)(t * step % ranks) : ranks - 1;
        if (owner[t] != vg_comm_rank(comm))
            continue;
        scores[t] = malloc((size_t)tiles[t].count * sizeof(float));
        for (int64_t v = 0; v < tiles[t].count; v++)
            scores[t][v] = score(t / PLACES, first + v);
    }
    const fit_job job = {.comm = comm, .device = device, .subject_count = SUBJECTS, .tiles = tiles, .owner = owner, .tile_count = TILES};
    assert_int_equal(vg_fit_group(&job, scores, mean, sem), VG_OK);
    for (int64_t v = 0; v < VOXELS; v++) {
        float expected[2];
        expect(v, &expected[0], &expected[1]);
        if ((isnan(expected[0]) ? !isnan(mean[v]) : mean[v] != expected[0]) ||
            (isnan(expected[1]) ? !isnan(sem[v]) : sem[v] != expected[1]))
            fail_msg("voxel %lld: %.9g +- %.9g, and %.9g +- %.9g was expected", (long long)v, (double)mean[v], (double)sem[v],
                     (double)expected[0], (double)expected[1]);
    }
    assert_true(isnan(mean[0]) && !isnan(mean[50]) && isnan(sem[50]) && !isnan(sem[100]) && mean[77] == 0.25f && sem[77] == 0);
    for (int64_t t = 0; t < TILES; t++)
        free(scores[t]);
}

static void a_group_is_its_subjects_whoever_holds_them(void **state)
{
    (void)state;
    for (int64_t step = 0; step < 3; step++)
        check(step);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_group_is_its_subjects_whoever_holds_them)};
    return ranks_begin() ? ranks_end(cmocka_run_group_tests(tests, NULL, NULL)) : 1;
}
