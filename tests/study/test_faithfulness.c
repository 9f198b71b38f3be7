/* Protects: faithfulness says what its definition says. A slow plain twin: every erased window is run from its first token, alone, and
 * everything after that is written out once more, for deletion and for masks. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "voxgrad/study.h"

enum { WORDS = 23, K = 4, CONTEXT = 9, METHODS = 2 };
static const char text[] = "the farmer walks home. she sees a dog, and it sees her? the dogs were small; they sleep near the old house. we";
static const char *const methods[METHODS] = {"gradient_norm", "erasure"};

typedef struct {
    char folder[64];
    vg_device *device;
    vg_model *model;
    vg_engine *engine;
    vg_passage passage;
    float *values[METHODS];
    uint8_t *valid[METHODS];
} twin;

static void must(vg_status status)
{
    if (status != VG_OK)
        fail_msg("%s", vg_message());
}

static void model_path(char *path, size_t size)
{
    snprintf(path, size, "%s/jobs/demo/model", getenv("VG_SOURCE"));
}

static void write_study(const twin *t, char *path, size_t size)
{
    char words[128], model[4096], copy[sizeof text], *rest;
    snprintf(words, sizeof words, "%s/story.tsv", t->folder);
    model_path(model, sizeof model);
    FILE *file = fopen(words, "w");
    assert_non_null(file);
    fprintf(file, "onset\toffset\tword\n");
    strcpy(copy, text);
    int n = 0;
    for (char *word = strtok_r(copy, " ", &rest); word != NULL; word = strtok_r(NULL, " ", &rest), n++)
        fprintf(file, "%d\t%d.5\t%s\n", n, n, word);
    fclose(file);
    assert_int_equal(n, WORDS);
    snprintf(path, size, "%s/study.yaml", t->folder);
    file = fopen(path, "w");
    assert_non_null(file);
    fprintf(file,
            "study: faith\noutput: out\ndevice: cpu\nthreads: 1\nseed: 3\nmodel: {name: m, path: %s}\ncontext: {words: %d}\nfeatures:\n"
            "  - {method: %s, words: %d}\n  - {method: activations}\n  - {method: %s, words: %d}\n"
            "stories:\n  - {name: s, words: story.tsv}\nresponses:\n  tr: 1.0\n  subjects:\n    - {name: x, runs: {s: none.txt}}\n",
            model, CONTEXT, methods[0], K, methods[1], K);
    fclose(file);
}

/* The scores, which other tests hold against oracles. */
static void explain(twin *t)
{
    const vg_context context = {.words = CONTEXT, .target = VG_TARGET_LOG_PROB, .bos = true};
    vg_space_request requests[METHODS] = {{0}};
    vg_attribution *a;
    const vg_word_block *blocks;
    for (int m = 0; m < METHODS; m++) {
        requests[m] = (vg_space_request){.method = methods[m], .words = K};
        t->values[m] = calloc(WORDS * K, sizeof(float));
        t->valid[m] = calloc(WORDS * K, 1);
    }
    must(vg_attribution_create(t->model, &t->passage, &context, requests, METHODS, &(vg_attribution_plan){.batch_tokens = 4096}, &a));
    assert_int_equal(vg_attribution_blocks(a, &blocks), 1);
    must(vg_attribution_run(a, 0, &(vg_block_values){.values = t->values, .valid = t->valid}));
    vg_attribution_free(a);
}

static void begin(twin *t)
{
    char path[4096], file[4200];
    int64_t word_end[WORDS], n = 0;
    vg_tokenizer *tokenizer;
    *t = (twin){.folder = "/tmp/vg_faithful_XXXXXX"};
    assert_non_null(mkdtemp(t->folder));
    model_path(path, sizeof path);
    snprintf(file, sizeof file, "%s/tokenizer.json", path);
    for (size_t i = 1; i <= strlen(text); i++)
        if (text[i] == ' ' || text[i] == '\0')
            word_end[n++] = (int64_t)i;
    must(vg_device_open("cpu", 0, 1, &t->device));
    must(vg_model_open(t->device, path, NULL, &t->model));
    must(vg_tokenizer_open(file, &tokenizer));
    must(vg_passage_create(tokenizer, vg_model_get_shape(t->model)->vocabulary, text, strlen(text), word_end, WORDS, &t->passage));
    vg_tokenizer_close(tokenizer);
    must(vg_engine_create(t->model, (size_t)64 << 20, &t->engine));
    explain(t);
}

static void end(twin *t)
{
    for (int m = 0; m < METHODS; m++) {
        free(t->values[m]);
        free(t->valid[m]);
    }
    char command[128];
    snprintf(command, sizeof command, "rm -rf -- %s", t->folder);
    assert_int_equal(system(command), 0); /* NOLINT */
    vg_engine_free(t->engine);
    vg_passage_free(&t->passage);
    vg_model_close(t->model);
    vg_device_close(t->device);
}

/* log p(word n's first token | its window less the words that are gone), from scratch. */
static double log_probability(twin *t, int64_t n, const bool *gone, bool mask)
{
    int32_t tokens[256], target = t->passage.ids[t->passage.first[n]];
    uint8_t hidden[256] = {0};
    int64_t count = 0, vocabulary = vg_model_get_shape(t->model)->vocabulary;
    if (vg_model_get_shape(t->model)->bos >= 0)
        tokens[count++] = vg_model_get_shape(t->model)->bos;
    for (int64_t w = n > CONTEXT ? n - CONTEXT : 0; w < n; w++)
        for (int64_t i = t->passage.first[w]; i < t->passage.first[w + 1]; i++) {
            bool goes = w >= n - K && gone[w - n + K];
            hidden[count] = goes && mask;
            if (mask || !goes)
                tokens[count++] = t->passage.ids[i];
        }
    const vg_rows rows = {.groups = 1, .members = 1, .length = count, .tokens = tokens, .hidden = mask ? hidden : NULL};
    vg_tape *tape;
    must(vg_engine_forward(t->engine, &rows, false, false, &tape));
    double sum = 0, largest = -INFINITY;
    for (int64_t v = 0; v < vocabulary; v++)
        largest = fmax(largest, (double)tape->logits[v]);
    for (int64_t v = 0; v < vocabulary; v++)
        sum += exp((double)tape->logits[v] - largest);
    double f = (double)tape->logits[target] - largest - log(sum);
    vg_engine_reset(t->engine);
    return f;
}

/* Loss of log-probability for a ranking (score, larger first) of the columns that are there. */
static double loss(twin *t, int64_t n, const double *score, const bool *there, int percent, bool sufficiency, bool mask)
{
    bool gone[K] = {false}, nothing[K] = {false};
    int64_t count = 0;
    for (int j = 0; j < K; j++)
        count += there[j];
    int64_t firsts = (int64_t)ceil((double)percent * (double)count / 100.0 - 1e-9);
    for (int j = 0; j < K; j++) {
        int64_t before = 0; /* how many stand before j */
        for (int i = 0; i < K; i++)
            before += there[i] && (score[i] > score[j] || (score[i] == score[j] && i < j));
        gone[j] = there[j] && (before < firsts) == !sufficiency;
    }
    return log_probability(t, n, nothing, mask) - log_probability(t, n, gone, mask);
}

typedef struct {
    double value, random, difference, sem;
    long words;
} row;

/* The row of the table, percent 0: AOPC. */
static row wanted(twin *t, int m, bool mask, bool sufficiency, int percent)
{
    double differences[WORDS];
    row r = {0};
    for (int64_t n = 1; n < WORDS; n++) {
        double own[K], chance[K], x = 0, y = 0;
        bool there[K];
        int steps = 0;
        for (int j = 0; j < K; j++) {
            own[j] = (double)t->values[m][n * K + j];
            chance[j] = vg_random_uniform(3, VG_RANDOM_RANKING, (uint64_t)(n * K + j));
            there[j] = t->valid[0][n * K + j] && t->valid[1][n * K + j];
        }
        for (int q = percent == 0 ? 10 : percent; q <= (percent == 0 ? 100 : percent); q += 10, steps++) {
            x += loss(t, n, own, there, q, sufficiency, mask);
            y += loss(t, n, chance, there, q, sufficiency, mask);
        }
        differences[r.words++] = (x - y) / steps;
        r.value += x / steps;
        r.random += y / steps;
    }
    r.value /= (double)r.words;
    r.random /= (double)r.words;
    r.difference = r.value - r.random;
    for (long i = 0; i < r.words; i++)
        r.sem += (differences[i] - r.difference) * (differences[i] - r.difference);
    r.sem = sqrt(r.sem / (double)(r.words - 1) / (double)r.words);
    return r;
}

static void check_row(twin *t, char *line)
{
    char model[32], method[64], erase[16], measure[32], percent[16];
    row found;
    int columns;
    assert_int_equal(sscanf(line, "%31[^,],%63[^,],,%d,%15[^,],%31[^,],%15[^,],%lf,%lf,%lf,%lf,%ld", model, method, &columns, erase,
                            measure, percent, &found.value, &found.random, &found.difference, &found.sem, &found.words),
                     11);
    assert_int_equal(columns, K);
    const row right = wanted(t, strcmp(method, methods[1]) == 0, strcmp(erase, "mask") == 0, strcmp(measure, "sufficiency") == 0,
                             strcmp(percent, "aopc") == 0 ? 0 : atoi(percent));
    const double x[] = {found.value, found.random, found.difference, found.sem},
                 y[] = {right.value, right.random, right.difference, right.sem};
    assert_int_equal(found.words, right.words);
    for (int i = 0; i < 4; i++)
        if (!(fabs(x[i] - y[i]) <= 2e-5))
            fail_msg("number %d of %s: the twin has %.8g", i, line, y[i]);
}

static void test_twin(void **state)
{
    (void)state;
    char path[128], line[512], printed[8192] = "";
    twin t;
    vg_study *study;
    vg_comm *comm;
    begin(&t);
    write_study(&t, path, sizeof path);
    must(vg_study_open(path, &study));
    must(vg_comm_alone(&comm));
    FILE *csv = tmpfile(), *out = tmpfile();
    assert_non_null(csv);
    assert_non_null(out);
    must(vg_study_faithfulness(comm, study, 1, out, csv));
    rewind(csv);
    rewind(out);
    assert_non_null(fgets(line, sizeof line, csv));
    int rows = 0;
    for (; fgets(line, sizeof line, csv) != NULL; rows++)
        check_row(&t, line);
    assert_int_equal(rows, METHODS * 2 * 2 * 11);
    printed[fread(printed, 1, sizeof printed - 1, out)] = '\0';
    assert_non_null(strstr(printed, "m/gradient_norm "));
    assert_non_null(strstr(printed, "m/erasure "));
    assert_null(strstr(printed, "activations"));
    assert_null(strstr(printed, "nan"));
    fclose(csv);
    fclose(out);
    vg_comm_finish(comm);
    vg_study_free(study);
    end(&t);
}

/* The best single word to delete is what erasure ranks first: no other ranking can lose more at the first step. */
static void test_erasure_is_best_at_one_word(void **state)
{
    (void)state;
    twin t;
    begin(&t);
    for (int64_t n = K; n < WORDS; n++) {
        double best = -INFINITY, own[K];
        bool there[K] = {true, true, true, true};
        for (int j = 0; j < K; j++) {
            bool gone[K] = {false}, nothing[K] = {false};
            gone[j] = true;
            best = fmax(best, log_probability(&t, n, nothing, false) - log_probability(&t, n, gone, false));
            own[j] = (double)t.values[1][n * K + j];
        }
        assert_float_equal(loss(&t, n, own, there, 10, false, false), best, 1e-5);
    }
    end(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_twin),
        cmocka_unit_test(test_erasure_is_best_at_one_word),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
