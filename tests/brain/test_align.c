/* Protects: words reach the rows of a run as encoding.md says (numpy's goldens), borders and silence included; bad options are refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "npy.h"
#include "voxgrad/brain.h"
#include "voxgrad/stimulus.h"

static const int64_t delays[] = {1, 2, 4}, no_delay[] = {0};

static vg_align_options golden_options(void)
{
    return (vg_align_options){.tr = 0.72, .start = 7.4, .rows = 40, .delays = delays, .delay_count = 3, .standardize = true};
}

typedef struct {
    npy times;
    float *features;
    double *onset, *offset;
    int64_t words, columns;
} words;

static words read_words(void)
{
    npy features = npy_read("brain_features.npy");
    words w = {.times = npy_read("brain_times.npy"), .words = features.shape[0], .columns = features.shape[1]};
    w.features = malloc((size_t)features.count * sizeof *w.features);
    w.onset = malloc((size_t)w.words * sizeof *w.onset);
    w.offset = malloc((size_t)w.words * sizeof *w.offset);
    for (int64_t i = 0; i < features.count; i++)
        w.features[i] = (float)features.data[i];
    for (int64_t n = 0; n < w.words; n++) {
        w.onset[n] = w.times.data[2 * n];
        w.offset[n] = w.times.data[2 * n + 1];
    }
    free(features.data);
    return w;
}

static void free_words(words *w)
{
    free(w->times.data);
    free(w->features);
    free(w->onset);
    free(w->offset);
}

/* The design's columns `chosen` (all where NULL) against the golden. */
static void compare(const char *golden_name, vg_align_options options, const int64_t *chosen)
{
    words w = read_words();
    npy golden = npy_read(golden_name);
    int64_t rows = options.rows - options.trim[0] - options.trim[1], columns = vg_align_columns(&options, w.columns), ld = columns + 3;
    float *design = malloc((size_t)(rows * ld) * sizeof *design);
    for (int64_t i = 0; i < rows * ld; i++)
        design[i] = -77;
    vg_matrix features = {.data = w.features, .rows = w.words, .columns = w.columns, .ld = w.columns};
    vg_matrix out = {.data = design, .rows = rows, .columns = columns, .ld = ld};
    if (vg_align(features, w.onset, w.offset, &options, out, NULL) != VG_OK)
        fail_msg("%s: %s", golden_name, vg_message());
    assert_int_equal(golden.shape[0], rows);
    double worst = 0;
    for (int64_t t = 0; t < rows; t++) {
        for (int64_t j = 0; j < golden.shape[1]; j++) {
            double difference = fabs((double)design[t * ld + (chosen != NULL ? chosen[j] : j)] - golden.data[t * golden.shape[1] + j]);
            assert_true(difference < 1e-6);
            worst = fmax(worst, difference);
        }
        for (int64_t j = columns; j < ld; j++)
            assert_true(design[t * ld + j] == -77);
    }
    print_message("%s: largest difference %.2g\n", golden_name, worst);
    free(golden.data);
    free(design);
    free_words(&w);
}

static void designs_agree_with_numpy(void **state)
{
    (void)state;
    vg_align_options options = golden_options();
    compare("brain_align_mean.npy", options, NULL);
    options.downsample = VG_DOWNSAMPLE_SUM;
    options.anchor = VG_ANCHOR_OFFSET;
    options.trim[0] = 3;
    options.trim[1] = 2;
    compare("brain_align_sum_trim.npy", options, (const int64_t[]){0, 17, 34});
    options = golden_options();
    options.downsample = VG_DOWNSAMPLE_LANCZOS;
    compare("brain_align_lanczos.npy", options, (const int64_t[]){0, 5, 17, 34});
    options.hrf = VG_HRF_SPM;
    compare("brain_align_spm.npy", options, NULL);
    options.hrf = VG_HRF_GLOVER;
    compare("brain_align_glover.npy", options, NULL);
    options = golden_options();
    options.anchor = VG_ANCHOR_MIDPOINT;
    options.delays = no_delay;
    options.delay_count = 1;
    options.standardize = false;
    compare("brain_align_raw.npy", options, NULL);
}

static void silence_and_words_out_of_reach_are_counted(void **state)
{
    (void)state;
    words w = read_words();
    npy golden = npy_read("brain_align_counts.npy");
    vg_align_options options = golden_options();
    vg_align_counts counts;
    float *design = malloc(40 * 51 * sizeof *design);
    vg_matrix features = {.data = w.features, .rows = w.words, .columns = 17, .ld = 17};
    assert_int_equal(vg_align(features, w.onset, w.offset, &options, (vg_matrix){design, 40, 51, 51}, &counts), VG_OK);
    assert_int_equal(counts.silent, golden.data[0]);
    assert_int_equal(counts.before, golden.data[1]);
    assert_int_equal(counts.after, golden.data[2]);
    assert_true(counts.silent > 0 && counts.before > 0 && counts.after > 0);
    free(golden.data);
    free(design);
    free_words(&w);
}

/* A word that was heard before the first volume is in the delayed copies; the order of words does not matter. */
static void what_was_heard_before_the_run_is_known(void **state)
{
    (void)state;
    float features[] = {3, 5}, design[6];
    double onset[] = {12.0, 9.5}, offset[] = {12.5, 10};
    int64_t two[] = {0, 1};
    vg_align_options options = {.tr = 2, .start = 10, .rows = 3, .delays = two, .delay_count = 2};
    assert_int_equal(vg_align((vg_matrix){features, 2, 1, 1}, onset, offset, &options, (vg_matrix){design, 3, 2, 2}, NULL), VG_OK);
    static const float expected[] = {0, 5, 3, 0, 0, 3};
    assert_memory_equal(design, expected, sizeof expected);
}

static void response_functions_have_their_known_shape(void **state)
{
    (void)state;
    assert_true(vg_hrf_value(VG_HRF_SPM, 0) == 0 && vg_hrf_value(VG_HRF_SPM, 33) == 0 && vg_hrf_value(VG_HRF_GLOVER, -1) == 0);
    assert_true(fabs(vg_hrf_value(VG_HRF_SPM, 5) - 0.175441162195) < 1e-11); /* scipy: gamma.pdf(5, 6) - gamma.pdf(5, 16) / 6 */
    assert_true(fabs(vg_hrf_value(VG_HRF_GLOVER, 5.4) - (1 - .35 * pow(.5, 12) * exp(6))) < 1e-12);
    assert_true(vg_hrf_value(VG_HRF_SPM, 16) < 0);
}

static void bad_alignments_are_refused(void **state)
{
    (void)state;
    float features[] = {1, NAN}, design[8];
    double onset[] = {0}, never[] = {INFINITY};
    static const int64_t negative[] = {-1}, long_delay[] = {4}, twice[] = {1, 1};
    vg_align_options good = {.tr = 1, .rows = 4, .delays = no_delay, .delay_count = 1}, bad;
    vg_matrix one = {features, 1, 1, 1}, out = {design, 4, 1, 1};
    assert_int_equal(vg_align(one, onset, onset, &good, out, NULL), VG_OK);
#define REFUSED(change, f, t, o, says)                              \
    bad = good;                                                     \
    change;                                                         \
    assert_int_equal(vg_align(f, t, t, &bad, o, NULL), VG_INVALID); \
    if (strstr(vg_message(), says) == NULL)                         \
    fail_msg("\"%s\" does not say \"%s\"", vg_message(), says)
    REFUSED(bad.tr = 0, one, onset, out, "TR");
    REFUSED(bad.start = NAN, one, onset, out, "start");
    REFUSED(bad.delays = negative, one, onset, out, "negative");
    REFUSED(bad.delays = long_delay, one, onset, out, "4 rows are no shorter than the run (4 rows)");
    REFUSED((bad.delays = twice, bad.delay_count = 2), one, onset, ((vg_matrix){design, 4, 2, 2}), "twice");
    REFUSED(bad.delay_count = 0, one, onset, ((vg_matrix){design, 4, 0, 1}), "at least one");
    REFUSED((bad.trim[0] = 2, bad.trim[1] = 2), one, onset, out, "leaves nothing");
    REFUSED(bad.trim[1] = INT64_MAX, one, onset, out, "leaves nothing");
    REFUSED((void)0, one, onset, ((vg_matrix){design, 3, 1, 1}), "the design is 4 x 1, not 3 x 1");
    REFUSED((void)0, one, never, out, "time of word 1");
    REFUSED((void)0, ((vg_matrix){features, 1, 2, 2}), onset, ((vg_matrix){design, 4, 2, 2}), "column 2 of word 1");
    REFUSED((void)0, ((vg_matrix){features, 0, 1, 1}), onset, out, "no words");
}

static void rows_are_checked_against_the_story(void **state)
{
    (void)state;
    double onset[] = {3, 19.99, 0};
    assert_int_equal(vg_rows_needed(onset, 3, 0, 2), 10);
    assert_int_equal(vg_rows_needed(onset, 3, 30, 2), 0);
    assert_int_equal(vg_rows_check("s18.txt", 12, 10, 2), VG_OK);
    assert_int_equal(vg_rows_check("s18.txt", 7, 10, 2), VG_INVALID);
    assert_non_null(strstr(vg_message(), "s18.txt: has 7 rows, but its story's words need 10"));
    onset[0] = 1e300;
    assert_int_equal(vg_rows_check("s18.txt", 7, vg_rows_needed(onset, 3, 0, 2), 2), VG_INVALID);
}

/* Alice: row 0 was acquired at 20 s of the story; the published word-rate regressor is our word rate through an HRF (.978 at 20 s). */
static void alice_word_rate_is_the_published_one(void **state)
{
    (void)state;
    const char *folder = getenv("VG_DATA");
    char path[4096];
    vg_story story;
    vg_table rate;
    snprintf(path, sizeof path, "%s/alice/stim/DownTheRabbitHoleFinal_exp120_pad_1.TextGrid", folder != NULL ? folder : "");
    if (folder == NULL || access(path, R_OK) != 0) {
        print_message("skipped: %s is not there (VG_DATA)\n", path);
        skip();
    }
    assert_int_equal(vg_story_open(path, "word", 0, &story), VG_OK);
    snprintf(path, sizeof path, "%s/alice/s18-rate.txt", folder);
    assert_int_equal(vg_table_open(path, &rate), VG_OK);
    assert_int_equal(rate.rows, 362);
    double *onset = malloc((size_t)story.count * sizeof *onset), *offset = malloc((size_t)story.count * sizeof *offset), best = 0,
           at_20 = 0;
    float *ones = malloc((size_t)story.count * sizeof *ones), design[362];
    for (int64_t n = 0; n < story.count; n++) {
        onset[n] = story.words[n].onset;
        offset[n] = story.words[n].offset;
        ones[n] = 1;
    }
    assert_int_equal(vg_rows_needed(onset, story.count, 20, 2), 362);
    for (int shift = -1; shift <= 1; shift++) {
        vg_align_options options = {.tr = 2, .start = 20 + 2 * shift, .rows = 362, .hrf = VG_HRF_SPM, .standardize = true};
        assert_int_equal(vg_align((vg_matrix){ones, story.count, 1, 1}, onset, offset, &options, (vg_matrix){design, 362, 1, 1}, NULL),
                         VG_OK);
        double mean = 0, square = 0, dot = 0;
        for (int t = 0; t < 362; t++)
            mean += rate.values[t] / 362;
        for (int t = 0; t < 362; t++) {
            square += (rate.values[t] - mean) * (rate.values[t] - mean) / 362;
            dot += (rate.values[t] - mean) * (double)design[t] / 362;
        }
        double r = dot / sqrt(square);
        print_message("word rate at start %d s: r = %.3f\n", 20 + 2 * shift, r);
        best = fmax(best, r);
        at_20 = shift == 0 ? r : at_20;
    }
    assert_true(at_20 == best && at_20 > .95);
    free(onset);
    free(offset);
    free(ones);
    vg_table_free(&rate);
    vg_story_free(&story);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(designs_agree_with_numpy),
        cmocka_unit_test(silence_and_words_out_of_reach_are_counted),
        cmocka_unit_test(what_was_heard_before_the_run_is_known),
        cmocka_unit_test(response_functions_have_their_known_shape),
        cmocka_unit_test(bad_alignments_are_refused),
        cmocka_unit_test(rows_are_checked_against_the_story),
        cmocka_unit_test(alice_word_rate_is_the_published_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
