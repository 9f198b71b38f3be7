/* Protects: the engine against transformers in float64: every family's hidden states, logits, attention, input and layer gradients and
 * tangents, and a trained model's, which says what its authors show. */
#include "bed.h"
#include "npy.h"

static npy golden(const char *model, const char *what)
{
    char name[128];
    snprintf(name, sizeof name, "lm/%s_%s.npy", model, what);
    return npy_read(name);
}

/* Rows `rows` (or all of them) of layers first .. of a device array of layers, against a golden (layers, rows, width). */
static void check_layers(const bench *b, const char *what, float *const *layer, int64_t first, int64_t S, const int64_t *rows, npy expected,
                         double bound)
{
    int64_t W = b->shape->width;
    assert_int_equal(expected.shape[0], b->shape->layers + 1 - first);
    for (int64_t l = 0; l < expected.shape[0]; l++) {
        float *host = fetch(b, layer[first + l], S * W);
        for (int64_t r = 0; r < expected.shape[1]; r++)
            memmove(host + r * W, host + (rows != NULL ? rows[r] : r) * W, (size_t)W * sizeof *host);
        char label[128];
        snprintf(label, sizeof label, "%s of layer %lld", what, (long long)(first + l));
        near_to(label, host, expected.data + l * expected.shape[1] * W, expected.shape[1] * W, bound);
        free(host);
    }
    free(expected.data);
}

static void check_vector(const char *what, const bench *b, const float *from, npy expected, double bound)
{
    float *host = fetch(b, from, expected.count);
    near_to(what, host, expected.data, expected.count, bound);
    free(host);
    free(expected.data);
}

/* Everything the oracle wrote for one window, from a tape of everything and from one of the causal cone. */
static void check_model(const char *name, bench *b, const int64_t *rows, const int64_t *logit_rows)
{
    npy text = golden(name, "tokens"), logits = golden(name, "logits"), direction = golden(name, "direction");
    int64_t S = text.count - 1, W = b->shape->width, V = b->shape->vocabulary, L = b->shape->layers;
    int32_t tokens[64], next = (int32_t)text.data[S];
    for (int64_t t = 0; t < S; t++)
        tokens[t] = (int32_t)text.data[t];
    float *dx = malloc((size_t)(S * W) * sizeof *dx);
    for (int64_t i = 0; i < S * W; i++)
        dx[i] = (float)direction.data[i];
    for (int everywhere = 1; everywhere >= 0; everywhere--) {
        vg_rows row = {.groups = 1, .members = 1, .length = S, .tokens = tokens};
        vg_tape *tape;
        vg_cotangents back;
        vg_tangents ahead;
        must(vg_engine_forward(b->engine, &row, true, everywhere, &tape));
        must(vg_engine_vjp(b->engine, tape, target(b, tape, &next), 0, true, &back));
        must(vg_engine_jvp(b->engine, tape, 1, put(b, dx, S * W), NULL, true, &ahead));
        for (int64_t i = 0; i < logits.shape[0] && everywhere; i++) {
            float *host = fetch(b, tape->logits + logit_rows[i] * V, V);
            near_to("logits", host, logits.data + i * V, V, 2e-5);
            free(host);
        }
        float *host = fetch(b, tape->logits + (everywhere ? S - 1 : 0) * V, V);
        near_to("logits of the last position", host, logits.data + (logits.shape[0] - 1) * V, V, 2e-5);
        free(host);
        if (everywhere) {
            check_layers(b, "hidden state", tape->layer, 0, S, rows, golden(name, "layers"), 2e-5);
            check_layers(b, "gradient", back.layer, 1, S, rows, golden(name, "gradient_layers"), 1e-4);
            check_layers(b, "tangent", ahead.layer, 0, S, rows, golden(name, "tangent_layers"), 1e-4);
        }
        npy attention = golden(name, "attention");
        for (int64_t l = 0; l < L; l++) {
            host = fetch(b, tape->attention[l], b->shape->heads * S);
            near_to("attention", host, attention.data + l * b->shape->heads * S, b->shape->heads * S, 2e-5);
            free(host);
        }
        free(attention.data);
        check_vector("final", b, tape->final + (everywhere ? (S - 1) * W : 0), golden(name, "final"), 2e-5);
        check_vector("input gradient", b, back.input, golden(name, "gradient"), 1e-4);
        check_vector("tangent of the logits", b, ahead.logits, golden(name, "tangent_logits"), 1e-4);
        vg_engine_reset(b->engine);
    }
    free(dx);
    free(text.data);
    free(logits.data);
    free(direction.data);
}

static void every_family_is_transformers(void **state)
{
    (void)state;
    static const int64_t logit_rows[] = {0, 4, 7};
    for (int i = 0; i < FAMILIES; i++) {
        bench b = open_family(families[i]);
        assert_string_equal(b.shape->family, families[i]);
        check_model(families[i], &b, NULL, logit_rows);
        close_bench(&b);
    }
}

static bool open_stories(bench *b)
{
    char folder[4096];
    snprintf(folder, sizeof folder, "%s/stories260K", getenv("VG_DATA") != NULL ? getenv("VG_DATA") : "");
    char config[4200];
    snprintf(config, sizeof config, "%s/config.json", folder);
    FILE *file = fopen(config, "rb");
    if (file == NULL) {
        printf("skipped: no stories260K in VG_DATA (jobs/get-data.sh)\n");
        return false;
    }
    fclose(file);
    *b = open_bench(folder);
    return true;
}

static void a_trained_model_is_transformers(void **state)
{
    (void)state;
    static const int64_t rows[] = {0, 13, 19}, logit_rows[] = {13, 19};
    bench b;
    if (!open_stories(&b))
        skip();
    check_model("stories260K", &b, rows, logit_rows);
    close_bench(&b);
}

/* Greedy text from BOS: the ids that transformers chooses, and, through the tokenizer, the sentences that the model's authors show. */
static void a_trained_model_speaks(void **state)
{
    (void)state;
    static const char says[] =
        "Once upon a time, there was a little girl named Lily. She loved to play outside in the park. One day, she saw a big, red ball.";
    char path[4096], *said;
    vg_tokenizer *tokenizer;
    bench b;
    if (!open_stories(&b))
        skip();
    npy text = golden("stories260K", "greedy");
    int32_t tokens[128] = {1};
    for (int64_t n = 1; n < text.count; n++) {
        vg_rows row = {.groups = 1, .members = 1, .length = n, .tokens = tokens};
        vg_tape *tape;
        must(vg_engine_forward(b.engine, &row, false, false, &tape));
        float *logits = fetch(&b, tape->logits, b.shape->vocabulary);
        for (int32_t v = 1; v < b.shape->vocabulary; v++)
            tokens[n] = logits[v] > logits[tokens[n]] ? v : tokens[n];
        free(logits);
        vg_engine_reset(b.engine);
        assert_int_equal(tokens[n], (int32_t)text.data[n]);
    }
    snprintf(path, sizeof path, "%s/stories260K/tokenizer.json", getenv("VG_DATA"));
    must(vg_tokenizer_open(path, &tokenizer));
    assert_int_equal(vg_tokenizer_bos(tokenizer), tokens[0]);
    must(vg_tokenizer_decode(tokenizer, tokens + 1, text.count - 1, &said));
    if (strncmp(said, says, strlen(says)) != 0)
        fail_msg("it says \"%s\"", said);
    free(said);
    vg_tokenizer_close(tokenizer);
    free(text.data);
    close_bench(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_family_is_transformers),
        cmocka_unit_test(a_trained_model_is_transformers),
        cmocka_unit_test(a_trained_model_speaks),
    };
    return run_on_device("engine_goldens", tests, sizeof tests / sizeof *tests);
}
