/* bench attribution: explanations of a model of a named shape, with random weights and a random story of one token a word. What is timed is
 * one block of words, all of whose windows are full, as a study runs it. Work is counted (2 m n k a product) and compared with the rate at
 * which this machine multiplies matrices of the size of an MLP's, measured in turn. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cli.h"

/* Shapes by the config.json of the models they are named after. */
static const struct {
    const char *name, *config;
} shapes[] = {
    {"stories260K", "{\"model_type\": \"llama\", \"hidden_size\": 64, \"num_hidden_layers\": 5, \"num_attention_heads\": 8,"
                    "\"num_key_value_heads\": 4, \"intermediate_size\": 172, \"vocab_size\": 512, \"max_position_embeddings\": 512,"
                    "\"tie_word_embeddings\": true, \"hidden_act\": \"silu\", \"rms_norm_eps\": 1e-5, \"bos_token_id\": 1}"},
    {"gpt2", "{\"model_type\": \"gpt2\", \"n_embd\": 768, \"n_layer\": 12, \"n_head\": 12, \"n_positions\": 1024, \"vocab_size\": 50257,"
             "\"activation_function\": \"gelu_new\", \"layer_norm_epsilon\": 1e-5, \"bos_token_id\": 50256}"},
    {"gpt2-xl",
     "{\"model_type\": \"gpt2\", \"n_embd\": 1600, \"n_layer\": 48, \"n_head\": 25, \"n_positions\": 1024, \"vocab_size\": 50257,"
     "\"bos_token_id\": 50256}"},
    {"phi-2", "{\"model_type\": \"phi\", \"hidden_size\": 2560, \"num_hidden_layers\": 32, \"num_attention_heads\": 32,"
              "\"intermediate_size\": 10240, \"vocab_size\": 51200, \"max_position_embeddings\": 2048, \"partial_rotary_factor\": 0.4,"
              "\"hidden_act\": \"gelu_new\", \"layer_norm_eps\": 1e-5, \"bos_token_id\": 50256}"},
    {"llama2-7b", "{\"model_type\": \"llama\", \"hidden_size\": 4096, \"num_hidden_layers\": 32, \"num_attention_heads\": 32,"
                  "\"num_key_value_heads\": 32, \"intermediate_size\": 11008, \"vocab_size\": 32000, \"max_position_embeddings\": 4096,"
                  "\"hidden_act\": \"silu\", \"rms_norm_eps\": 1e-5, \"bos_token_id\": 1}"},
    {"llama3-8b", "{\"model_type\": \"llama\", \"hidden_size\": 4096, \"num_hidden_layers\": 32, \"num_attention_heads\": 32,"
                  "\"num_key_value_heads\": 8, \"intermediate_size\": 14336, \"vocab_size\": 128256, \"max_position_embeddings\": 8192,"
                  "\"rope_theta\": 500000.0, \"hidden_act\": \"silu\", \"rms_norm_eps\": 1e-5, \"bos_token_id\": 128000}"},
};
enum { SHAPES = sizeof shapes / sizeof *shapes, MOST_REPEATS = 100, MOST_TOGETHER = 16 };

typedef struct {
    const char *model, *methods, *window, *context, *attributed, *path, *steps, *erase, *words, *repeats, *batch, *device, *threads;
} arguments;

typedef struct {
    const arguments *given;
    int64_t window, attributed, steps, words, repeats, batch, threads;
    vg_context_mode mode;
    bool warm;
    vg_device *device;
    vg_model *model;
    vg_passage passage;
    float *memory; /* device: the product that is the yardstick */
} bench;

/* ---- arguments ------------------------------------------------------------------------------------------------------------- */

static vg_status whole(const char *name, const char *text, int64_t least, int64_t most, int64_t *value)
{
    if (!vg_parse_integer(text, strlen(text), value) || *value < least || *value > most)
        return vg_fail(VG_INVALID, "--%s %s: a whole number from %lld to %lld is expected", name, text, (long long)least, (long long)most);
    return VG_OK;
}

static vg_status read_arguments(const arguments *given, bench *b)
{
    static const char *const modes[] = {"sliding", "anchored", "growing"};
    b->given = given;
    VG_TRY(whole("window", given->window, 2, 1 << 20, &b->window));
    VG_TRY(whole("attributed", given->attributed, 1, b->window - 1, &b->attributed));
    VG_TRY(whole("steps", given->steps, 0, 1 << 16, &b->steps));
    VG_TRY(whole("words", given->words, 1, 1 << 20, &b->words));
    VG_TRY(whole("repeats", given->repeats, 1, MOST_REPEATS, &b->repeats));
    VG_TRY(whole("batch", given->batch, 1, 1 << 20, &b->batch));
    VG_TRY(whole("threads", given->threads, 0, 4096, &b->threads));
    for (int i = 0; i < 3; i++)
        if (strcmp(given->context, modes[i]) == 0) {
            b->mode = (vg_context_mode)i;
            return VG_OK;
        }
    return vg_fail(VG_INVALID, "--context %s: sliding, anchored or growing is expected", given->context);
}

static vg_status find_shape(const char *name, const char **config)
{
    const char *names[SHAPES + 1] = {NULL};
    for (int i = 0; i < SHAPES; i++) {
        names[i] = shapes[i].name;
        *config = shapes[i].config;
        if (strcmp(name, shapes[i].name) == 0)
            return VG_OK;
    }
    const char *near = vg_nearest(name, names);
    return vg_fail(VG_INVALID, "--model %s: there is no such shape; did you mean %s?", name, near != NULL ? near : shapes[0].name);
}

/* ---- the story and its blocks --------------------------------------------------------------------------------------------------- */

static vg_status make_passage(bench *b)
{
    int64_t words = b->window + b->batch + b->words, vocabulary = vg_model_get_shape(b->model)->vocabulary;
    b->passage = (vg_passage){.words = words, .tokens = words};
    VG_TRY(VG_NEW(&b->passage.ids, words, "tokens of a story"));
    VG_TRY(VG_NEW(&b->passage.first, words + 1, "words of a story"));
    for (int64_t w = 0; w < words; w++) {
        b->passage.ids[w] = (int32_t)(vg_random_bits(0, VG_RANDOM_TEST, (uint64_t)w) % (uint64_t)vocabulary);
        b->passage.first[w + 1] = w + 1;
    }
    return VG_OK;
}

static vg_status plan_words(const bench *b, const vg_space_request *requests, int64_t count, vg_attribution **attribution)
{
    const vg_context context = {.mode = b->mode, .tokens = b->window - 1, .target = VG_TARGET_LOG_PROB, .bos = true};
    const vg_attribution_plan plan = {.batch_tokens = b->batch, .bytes = vg_attribution_room(b->model, INT64_MAX)};
    return vg_attribution_create(b->model, &b->passage, &context, requests, count, &plan, attribution);
}

/* The first block whose windows are all full, and the story cut behind `words` words of it. */
static vg_status plan_block(bench *b, const vg_space_request *requests, int64_t count, vg_attribution **attribution, int64_t *block)
{
    const vg_word_block *blocks;
    b->passage.words = b->passage.tokens;
    VG_TRY(plan_words(b, requests, count, attribution));
    int64_t blocks_count = vg_attribution_blocks(*attribution, &blocks), i = 0;
    while (i + 1 < blocks_count && blocks[i].first < b->window)
        i++;
    b->passage.words = blocks[i].first + (b->words < blocks[i].count ? b->words : blocks[i].count);
    *block = i;
    vg_attribution_free(*attribution);
    return plan_words(b, requests, count, attribution);
}

/* ---- measuring ------------------------------------------------------------------------------------------------------------------ */

enum { ROWS = 2048, OUT = 3072, IN = 768, PRODUCTS = 4 };

/* What a stretch of work took. Processor time is what it would have taken alone on a machine that is busy with other things. */
typedef struct {
    double wall, processor;
} spent;

static spent now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (spent){vg_seconds(), (double)t.tv_sec + 1e-9 * (double)t.tv_nsec};
}

/* Seconds of one product of the size of GPT-2's MLP at 2048 positions. */
static vg_status measure_product(bench *b, spent *each)
{
    const float *x = b->memory, *w = x + ROWS * IN;
    const vg_gemm g = {.transpose_b = true,
                       .m = ROWS,
                       .n = OUT,
                       .k = IN,
                       .batch = 1,
                       .alpha = 1,
                       .lda = IN,
                       .ldb = IN,
                       .ldc = OUT,
                       .a = x,
                       .b = w,
                       .c = b->memory + (ROWS + OUT) * IN};
    spent begin = now();
    for (int i = 0; i < PRODUCTS; i++)
        VG_TRY(b->device->ops->gemm(b->device, &g));
    VG_TRY(b->device->ops->sync(b->device));
    spent end = now();
    *each = (spent){(end.wall - begin.wall) / PRODUCTS, (end.processor - begin.processor) / PRODUCTS};
    return VG_OK;
}

static int ascending(const void *x, const void *y)
{
    double a = *(const double *)x, b = *(const double *)y;
    return (a > b) - (a < b);
}

static double median(double *x, int64_t n)
{
    qsort(x, (size_t)n, sizeof *x, ascending);
    return 0.5 * (x[(n - 1) / 2] + x[n / 2]);
}

/* The most memory this process ever held, bytes. */
static int64_t peak_memory(void)
{
    long long kilobytes = 0;
    char line[256];
    FILE *status = fopen("/proc/self/status", "r");
    while (status != NULL && fgets(line, sizeof line, status) != NULL)
        if (sscanf(line, "VmHWM: %lld", &kilobytes) == 1)
            break;
    if (status != NULL)
        fclose(status);
    return 1024 * (int64_t)kilobytes;
}

/* block: what one round took; product: what the yardstick took. */
static void print_result(const bench *b, const char *method, int64_t batch, int64_t words, double flops, spent block, spent product)
{
    const vg_model_shape *shape = vg_model_get_shape(b->model);
    double each = block.wall / (double)words, gemm = 2.0 * ROWS * OUT * IN;
    printf("{\"bench\": \"attribution\", \"model\": \"%s\", \"width\": %lld, \"layers\": %lld, \"device\": \"%s\", \"method\": \"%s\", "
           "\"window\": %lld, \"context\": \"%s\", \"attributed\": %lld, \"path\": \"%s\", \"steps\": %lld, \"batch_tokens\": %lld, "
           "\"words\": %lld, \"repeats\": %lld, ",
           b->given->model, (long long)shape->width, (long long)shape->layers, b->device->name, method, (long long)b->window,
           b->given->context, (long long)b->attributed, b->given->path, (long long)b->steps, (long long)batch, (long long)words,
           (long long)b->repeats);
    printf("\"seconds_per_word\": %.6g, \"words_per_second\": %.6g, \"tokens_per_second\": %.6g, \"gflop_per_word\": %.6g, "
           "\"gflops\": %.6g, \"gemm_gflops\": %.6g, \"fraction_of_gemm\": %.4f, \"cpu_seconds_per_word\": %.6g, "
           "\"cpu_fraction_of_gemm\": %.4f, \"peak_bytes\": %lld}\n",
           each, 1 / each, (double)b->window / each, 1e-9 * flops / (double)words, 1e-9 * flops / block.wall, 1e-9 * gemm / product.wall,
           flops / block.wall * product.wall / gemm, block.processor / (double)words, flops / block.processor * product.processor / gemm,
           (long long)peak_memory());
    fflush(stdout);
}

/* One untimed round for first touches, then `repeats` rounds, each after a yardstick. */
static vg_status measure(bench *b, vg_attribution *a, int64_t block, const char *method)
{
    double wall[MOST_REPEATS], processor[MOST_REPEATS], product_wall[MOST_REPEATS], product_processor[MOST_REPEATS], flops = 0;
    const vg_word_block *blocks;
    vg_block_values values;
    vg_attribution_blocks(a, &blocks);
    vg_status status;
    VG_GO(vg_block_values_create(a, blocks[block].count, &values));
    if (b->warm)
        VG_GO(vg_attribution_run(a, block, &values));
    for (int64_t i = 0; i < b->repeats; i++) {
        spent product;
        VG_GO(measure_product(b, &product));
        double before = vg_device_flops(b->device);
        spent begin = now();
        VG_GO(vg_attribution_run(a, block, &values));
        VG_GO(b->device->ops->sync(b->device));
        spent end = now();
        flops = vg_device_flops(b->device) - before;
        wall[i] = end.wall - begin.wall;
        processor[i] = end.processor - begin.processor;
        product_wall[i] = product.wall;
        product_processor[i] = product.processor;
    }
    print_result(b, method, vg_attribution_batch(a), blocks[block].count, flops,
                 (spent){median(wall, b->repeats), median(processor, b->repeats)},
                 (spent){median(product_wall, b->repeats), median(product_processor, b->repeats)});
done:
    vg_block_values_free(a, &values);
    return status;
}

/* "a+b": the spaces a and b, asked for together. The text is taken apart. */
static vg_status run_methods(bench *b, const char *methods)
{
    vg_space_request requests[MOST_TOGETHER] = {{0}};
    int64_t count = 0, block;
    char *copy, *rest;
    vg_attribution *a = NULL;
    VG_TRY(vg_format(&copy, "%s", methods));
    vg_status status = VG_OK;
    for (char *one = strtok_r(copy, "+", &rest); one != NULL && count < MOST_TOGETHER; one = strtok_r(NULL, "+", &rest))
        requests[count++] = (vg_space_request){.method = one,
                                               .words = b->attributed,
                                               .path = b->given->path,
                                               .steps = b->steps,
                                               .erase = b->given->erase,
                                               .all_layers = true,
                                               .residual_every = -1,
                                               .size = 1};
    VG_GO(plan_block(b, requests, count, &a, &block));
    VG_GO(measure(b, a, block, methods));
done:
    vg_attribution_free(a);
    free(copy);
    return status;
}

static vg_status run_all(bench *b)
{
    const char *config;
    char *copy = NULL, *rest;
    vg_status status;
    VG_GO(find_shape(b->given->model, &config));
    VG_GO(vg_device_open(b->given->device, 0, (int)b->threads, &b->device));
    VG_GO(vg_model_draw(b->device, config, 0, &b->model));
    VG_GO(make_passage(b));
    VG_GO(VG_DEVICE_NEW(b->device, &b->memory, (ROWS + OUT) * IN + ROWS * OUT));
    VG_GO(b->device->ops->fill(b->device, b->memory, (ROWS + OUT) * IN, 0.5f));
    VG_GO(vg_format(&copy, "%s", b->given->methods));
    for (char *methods = strtok_r(copy, ",", &rest); methods != NULL; methods = strtok_r(NULL, ",", &rest))
        VG_GO(run_methods(b, methods));
done:
    free(copy);
    vg_passage_free(&b->passage);
    if (b->memory != NULL)
        b->device->ops->free(b->device, b->memory);
    vg_model_close(b->model);
    if (b->device != NULL)
        vg_device_close(b->device);
    return status;
}

vg_status vg_bench_attribution(int argc, char **argv)
{
    static const vg_command_help help = {
        "bench attribution [OPTIONS]",
        "Explains a random story with a model of a named shape and random weights: a JSON object a line on standard output.\n"
        "Shapes: stories260K, gpt2, gpt2-xl, phi-2, llama2-7b, llama3-8b. Rates are medians over the repeats; gflops are counted.",
        "  voxgrad bench attribution --model gpt2 --methods gradient_norm+gradient_x_input,erasure\n"
        "  voxgrad bench attribution --methods integrated_gradients --steps 49 --path recent --words 4\n"
        "  voxgrad bench attribution --methods gradient_norm --window 1000 --context anchored\n",
        0, false};
    arguments given = {"gpt2", "gradient_norm+gradient_x_input", "64", "sliding", "10", "window", "0", "delete", "64", "5", "4096", "auto",
                       "0"};
    bench b = {0};
    bool cold = false;
    const vg_option options[] = {
        {"model", 'M', "SHAPE", "gpt2 (see above)", &given.model, NULL},
        {"methods", 'f', "LIST", "spaces, by commas; a+b: both in one sweep (gradient_norm+gradient_x_input)", &given.methods, NULL},
        {"window", 'w', "TOKENS", "64, with BOS", &given.window, NULL},
        {"context", 'c', "MODE", "sliding, anchored or growing", &given.context, NULL},
        {"attributed", 'k', "K", "words before the target that are attributed: 10", &given.attributed, NULL},
        {"path", 'p', "PATH", "of path spaces: window or recent", &given.path, NULL},
        {"steps", 's', "N", "of path spaces: exactly N panels (N + 1 nodes); 0: to the tolerance", &given.steps, NULL},
        {"erase", 'e', "KIND", "of erasure: delete, zero, mask, value_zeroing", &given.erase, NULL},
        {"words", 'n', "N", "words timed, at most a block: 64", &given.words, NULL},
        {"repeats", 'r', "N", "5", &given.repeats, NULL},
        {"cold", 'C', NULL, "without the untimed round that comes first", NULL, &cold},
        {"batch", 'b', "TOKENS", "window positions a batch may hold, where memory allows: 4096", &given.batch, NULL},
        {"device", 'd', "SPEC", "cpu, cuda, cuda:N or auto", &given.device, NULL},
        {"threads", 't', "N", "0: the cores this process may use", &given.threads, NULL},
        {0}};
    bool proceed;
    VG_TRY(vg_command_parse(&help, options, argc, argv, &proceed));
    if (!proceed)
        return VG_OK;
    b.warm = !cold;
    VG_TRY(read_arguments(&given, &b));
    return run_all(&b);
}
