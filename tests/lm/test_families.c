/* Protects: opening a model. Each wrong config key, and each missing, extra, misshapen, cut-off or not finite tensor, is refused before any
 * work by a message that names file, key or tensor, what is there and what was expected; what old and bare checkpoints carry beside is
 * accepted; random copies are what they say; rotary angles are those of the papers. */
#include <jansson.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "device.h"
#include "model.h"
#include "safetensors.h"

static vg_device *device;
static char folder[64];

/* ---- a copy of a golden model, with its header to change --------------------------------------------------------------- */

static void path_of(const char *family, const char *name, char *path, size_t size)
{
    snprintf(path, size, "%s/tests/golden/models/%s/%s", getenv("VG_SOURCE"), family, name);
}

static void write_bytes(const char *name, const void *bytes, size_t size)
{
    char path[128];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, size, file), size);
    fclose(file);
}

static int make_folder(void **state)
{
    (void)state;
    strcpy(folder, "/tmp/vg_model_XXXXXX");
    return mkdtemp(folder) == NULL;
}

static int remove_folder(void **state)
{
    (void)state;
    char path[128];
    snprintf(path, sizeof path, "%s/config.json", folder);
    unlink(path);
    snprintf(path, sizeof path, "%s/model.safetensors", folder);
    unlink(path);
    return rmdir(folder);
}

typedef struct {
    json_t *header;
    uint8_t *data;
    size_t size;
} weights;

static weights read_weights(const char *family)
{
    char path[4096];
    vg_file file;
    uint64_t length;
    path_of(family, "model.safetensors", path, sizeof path);
    assert_int_equal(vg_file_open(path, &file), VG_OK);
    memcpy(&length, file.data, 8);
    weights w = {.header = json_loadb((const char *)file.data + 8, length, 0, NULL), .size = file.size - 8 - length};
    w.data = malloc(w.size + 64);
    memcpy(w.data, file.data + 8 + length, w.size);
    vg_file_close(&file);
    assert_non_null(w.header);
    return w;
}

static void write_weights(weights *w)
{
    char *text = json_dumps(w->header, JSON_COMPACT);
    uint64_t length = strlen(text);
    uint8_t *bytes = malloc(8 + length + w->size);
    memcpy(bytes, &length, 8);
    memcpy(bytes + 8, text, length);
    memcpy(bytes + 8 + length, w->data, w->size);
    write_bytes("model.safetensors", bytes, 8 + length + w->size);
    free(bytes);
    free(text);
    free(w->data);
    json_decref(w->header);
}

static void write_config(const char *family, const char *key, const char *value)
{
    char path[4096];
    path_of(family, "config.json", path, sizeof path);
    json_t *config = json_load_file(path, 0, NULL);
    assert_non_null(config);
    if (key != NULL && value == NULL)
        json_object_del(config, key);
    if (key != NULL && value != NULL)
        json_object_set_new(config, key, json_loads(value, JSON_DECODE_ANY, NULL));
    char *text = json_dumps(config, 0);
    write_bytes("config.json", text, strlen(text));
    free(text);
    json_decref(config);
}

static void rename_tensor(weights *w, const char *from, const char *to)
{
    json_t *entry = json_incref(json_object_get(w->header, from));
    assert_non_null(entry);
    json_object_del(w->header, from);
    json_object_set_new(w->header, to, entry);
}

static void add_tensor(weights *w, const char *name)
{
    json_object_set_new(
        w->header, name,
        json_pack("{s:s,s:[i],s:[I,I]}", "dtype", "U8", "shape", 2, "data_offsets", (json_int_t)w->size, (json_int_t)w->size + 2));
    w->size += 2;
}

static void expect(vg_status expected, const char *says)
{
    vg_model *model;
    vg_status status = vg_model_open(device, folder, NULL, &model);
    if (status != expected || (says != NULL && strstr(vg_message(), says) == NULL))
        fail_msg("status %d, \"%s\" does not say \"%s\"", status, vg_message(), says != NULL ? says : "");
    if (status != VG_OK) {
        assert_null(model);
        assert_non_null(strstr(vg_message(), folder));
    }
    vg_model_close(model);
}

/* ---- tensors ------------------------------------------------------------------------------------------------------------ */

static void each_fault_of_a_tensor_is_named(void **state)
{
    (void)state;
    static const char up[] = "model.layers.1.mlp.up_proj.weight";
    write_config("llama", NULL, NULL);
    weights w = read_weights("llama");
    write_weights(&w);
    expect(VG_OK, NULL);

    w = read_weights("llama");
    rename_tensor(&w, up, "model.layers.1.mlp.upward.weight");
    write_weights(&w);
    expect(VG_INVALID, "tensor \"model.layers.1.mlp.up_proj.weight\" (24, 16) is missing");

    w = read_weights("llama");
    add_tensor(&w, "model.layers.2.mlp.up_proj.weight");
    write_weights(&w);
    expect(VG_INVALID, "tensor \"model.layers.2.mlp.up_proj.weight\" (2) is not one of a llama model as the config describes it");

    w = read_weights("llama");
    json_object_set_new(json_object_get(w.header, up), "shape", json_pack("[i,i]", 16, 24));
    write_weights(&w);
    expect(VG_INVALID, "tensor \"model.layers.1.mlp.up_proj.weight\" has shape (16, 24); the config calls for (24, 16)");

    w = read_weights("llama");
    json_object_set_new(json_object_get(w.header, "model.norm.weight"), "shape", json_pack("[i,i]", 16, 1));
    write_weights(&w);
    expect(VG_INVALID, "tensor \"model.norm.weight\" has shape (16, 1); the config calls for (16)");

    w = read_weights("llama");
    json_object_set_new(json_object_get(w.header, up), "dtype", json_string("I16"));
    write_weights(&w);
    expect(VG_INVALID, "tensor \"model.layers.1.mlp.up_proj.weight\": dtype I16 is not supported; F32, F16 and BF16 are");

    w = read_weights("llama");
    json_int_t begin = json_integer_value(json_array_get(json_object_get(json_object_get(w.header, up), "data_offsets"), 0));
    w.data[begin + 7] = 0x7E; /* the fourth value: a NaN */
    write_weights(&w);
    expect(VG_INVALID, "tensor \"model.layers.1.mlp.up_proj.weight\" (24, 16): element 3 is nan");

    w = read_weights("llama");
    w.size -= 1;
    write_weights(&w);
    expect(VG_INVALID, "is it cut off");
}

static void old_and_bare_checkpoints_are_accepted(void **state)
{
    (void)state;
    write_config("gpt2", NULL, NULL);
    weights w = read_weights("gpt2");
    const char *name;
    json_t *entry, *bare = json_object();
    json_object_foreach(w.header, name, entry) json_object_set(bare, strncmp(name, "transformer.", 12) == 0 ? name + 12 : name, entry);
    json_decref(w.header);
    w.header = bare;
    add_tensor(&w, "h.0.attn.bias");
    add_tensor(&w, "h.1.attn.masked_bias");
    add_tensor(&w, "lm_head.weight"); /* tied: the head is the embedding */
    write_weights(&w);
    expect(VG_OK, NULL);

    w = read_weights("gpt2");
    add_tensor(&w, "transformer.h.0.attn.c_attn.scale");
    write_weights(&w);
    expect(VG_INVALID, "is not one of a gpt2 model");
}

/* ---- config ------------------------------------------------------------------------------------------------------------- */

static void each_fault_of_a_config_is_named(void **state)
{
    (void)state;
    static const struct {
        const char *family, *key, *value, *says; /* value NULL: the key is taken out */
    } cases[] = {
        {"llama", "model_type", "\"bert\"", "\"bert\" is not known; known ones: llama, mistral, qwen2, gpt2, phi, gpt_neox"},
        {"llama", "model_type", NULL, "\"model_type\" is missing"},
        {"llama", "hidden_size", NULL, "\"hidden_size\" is missing"},
        {"llama", "hidden_size", "\"16\"", "\"hidden_size\" is a string, not a whole number"},
        {"llama", "hidden_size", "0", "must be between 1 and"},
        {"llama", "num_hidden_layers", "16777217", "must be between 1 and"},
        {"llama", "num_hidden_layers", "4097", "more than 4096 are not supported"},
        {"llama", "num_hidden_layers", "3", "tensor \"model.layers.2.input_layernorm.weight\" (16) is missing"},
        {"llama", "num_hidden_layers", "1", "tensor \"model.layers.1"},
        {"llama", "num_key_value_heads", "3", "4 heads do not share 3 key/value heads evenly"},
        {"llama", "vocab_size", "98", "has shape (97, 16); the config calls for (98, 16)"},
        {"llama", "head_dim", "8", "has shape (24, 16); the config calls for (32, 16)"},
        {"llama", "head_dim", "5", "rotary positions on 1 of a head of 5"},
        {"llama", "hidden_act", "\"mish\"", "\"hidden_act\" is mish; known ones: silu"},
        {"llama", "hidden_act", NULL, "\"hidden_act\" is missing"},
        {"llama", "attention_bias", "true", "tensor \"model.layers.0.self_attn.q_proj.bias\" (24) is missing"},
        {"llama", "attention_bias", "1", "\"attention_bias\" is a whole number, not true or false"},
        {"llama", "tie_word_embeddings", "false", NULL},
        {"llama", "tie_word_embeddings", "true", NULL},
        {"llama", "rms_norm_eps", "-1", "\"rms_norm_eps\" must be a number"},
        {"llama", "quantization_config", "{}", "quantised weights"},
        {"llama", "rope_parameters", "{\"rope_type\":\"yarn\",\"factor\":2}", "rotary scaling \"yarn\" is not supported"},
        {"llama", "rope_parameters", "{\"rope_type\":\"linear\"}", "needs a factor >= 1"},
        {"llama", "rope_parameters", "{\"rope_theta\":0.5}", "cannot be"},
        {"gpt2", "n_embd", "20", "tensor \"transformer.wte.weight\" has shape (97, 16); the config calls for (97, 20)"},
        {"gpt2", "n_head", "3", "\"n_head\": 3 heads do not share a width of 16 evenly"},
        {"gpt2", "scale_attn_by_inverse_layer_idx", "true", "\"scale_attn_by_inverse_layer_idx\": true is not supported"},
        {"gpt2", "n_inner", NULL, "has shape (16, 24); the config calls for (16, 64)"},
        {"phi", "qk_layernorm", "true", "\"qk_layernorm\": true is not supported"},
        {"gpt_neox", "attention_bias", "false", "\"attention_bias\": false is not supported"},
        {"gpt_neox", "use_parallel_residual", "false", NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        weights w = read_weights(cases[i].family);
        write_weights(&w);
        write_config(cases[i].family, cases[i].key, cases[i].value);
        expect(cases[i].says == NULL ? VG_OK : VG_INVALID, cases[i].says);
    }
    write_bytes("config.json", "{\n\n\"a\": }", 9);
    expect(VG_INVALID, "config.json:3: not JSON");
    write_bytes("config.json", "", 0);
    expect(VG_INVALID, "the file is empty");
    write_bytes("config.json", "[1]", 3);
    expect(VG_INVALID, "is not a JSON object");
}

static vg_config parse(const char *text)
{
    vg_config config;
    if (vg_config_parse("config.json", (const uint8_t *)text, strlen(text), &config) != VG_OK)
        fail_msg("%s", vg_message());
    return config;
}

/* Shapes of published models, from their config.json's keys. */
static void published_configs_are_understood(void **state)
{
    (void)state;
    vg_config llama = parse(
        "{\"model_type\":\"llama\",\"hidden_size\":4096,\"intermediate_size\":14336,\"num_hidden_layers\":32,\"num_attention_heads\":32,"
        "\"num_key_value_heads\":8,\"vocab_size\":128256,\"max_position_embeddings\":131072,\"hidden_act\":\"silu\",\"rms_norm_eps\":1e-5,"
        "\"rope_theta\":500000.0,\"bos_token_id\":128000,\"rope_scaling\":{\"factor\":8.0,\"low_freq_factor\":1.0,"
        "\"high_freq_factor\":4.0,\"original_max_position_embeddings\":8192,\"rope_type\":\"llama3\"}}");
    double frequency[64];
    assert_int_equal(llama.shape.head_size, 128);
    assert_int_equal(llama.shape.bos, 128000);
    assert_false(llama.tied);
    vg_rotary_frequencies(&llama, frequency);
    assert_true(frequency[0] == 1.0);
    assert_true(fabs(frequency[63] / (pow(500000.0, -126.0 / 128.0) / 8.0) - 1.0) < 1e-12); /* wavelength 2.5e6 > 8192: slowed */
    assert_true(fabs(frequency[28] / pow(500000.0, -56.0 / 128.0) - 1.0) < 1e-12);          /* wavelength 1957 < 8192 / 4: as it was */
    assert_true(frequency[32] < pow(500000.0, -64.0 / 128.0) && frequency[32] > pow(500000.0, -64.0 / 128.0) / 8.0);
    vg_config mistral = parse(
        "{\"model_type\":\"mistral\",\"hidden_size\":4096,\"intermediate_size\":14336,\"num_hidden_layers\":32,\"num_attention_heads\":32,"
        "\"num_key_value_heads\":8,\"vocab_size\":32000,\"max_position_embeddings\":32768,\"sliding_window\":4096,\"hidden_act\":"
        "\"silu\"}");
    assert_int_equal(mistral.shape.positions, 4096);
    vg_config phi = parse(
        "{\"model_type\":\"phi\",\"hidden_size\":2560,\"intermediate_size\":10240,\"num_hidden_layers\":32,\"num_attention_heads\":32,"
        "\"vocab_size\":51200,\"max_position_embeddings\":2048,\"partial_rotary_factor\":0.4,\"hidden_act\":\"gelu_new\"}");
    assert_int_equal(phi.rotary, 32);
    assert_int_equal(phi.shape.kv_heads, 32);
    assert_true(phi.shape.has_biases && phi.shape.norm == VG_LAYER_NORM);
    vg_config pythia = parse(
        "{\"model_type\":\"gpt_neox\",\"hidden_size\":768,\"intermediate_size\":3072,\"num_hidden_layers\":12,\"num_attention_heads\":12,"
        "\"vocab_size\":50304,\"max_position_embeddings\":2048,\"rotary_pct\":0.25,\"rotary_emb_base\":10000,\"hidden_act\":\"gelu\"}");
    assert_int_equal(pythia.rotary, 16);
    assert_int_equal(pythia.blocks, VG_PARALLEL_TWO_NORMS);
    vg_config qwen = parse(
        "{\"model_type\":\"qwen2\",\"hidden_size\":896,\"intermediate_size\":4864,\"num_hidden_layers\":24,\"num_attention_heads\":14,"
        "\"num_key_value_heads\":2,\"vocab_size\":151936,\"max_position_embeddings\":32768,\"sliding_window\":4096,\"use_sliding_window\":"
        "false,"
        "\"hidden_act\":\"silu\",\"rope_theta\":1000000.0,\"tie_word_embeddings\":true}");
    assert_int_equal(qwen.shape.positions, 32768);
    assert_true(qwen.tied && qwen.theta == 1e6);
    vg_config gpt2 = parse("{\"model_type\":\"gpt2\",\"n_embd\":768,\"n_layer\":12,\"n_head\":12,\"n_positions\":1024,\"vocab_size\":50257,"
                           "\"activation_function\":\"gelu_new\",\"layer_norm_epsilon\":1e-5,\"n_ctx\":1024,\"n_inner\":null}");
    assert_true(gpt2.tied && gpt2.shape.learned_positions && gpt2.shape.mlp_width == 3072 && gpt2.activation == VG_GELU_TANH);
}

static void no_byte_of_a_config_is_trusted(void **state)
{
    (void)state;
    char path[4096];
    vg_file file;
    vg_config config;
    path_of("llama", "config.json", path, sizeof path);
    assert_int_equal(vg_file_open(path, &file), VG_OK);
    uint8_t *bytes = malloc(file.size);
    memcpy(bytes, file.data, file.size);
    for (size_t n = 0; n + 2 < file.size; n++)
        assert_int_equal(vg_config_parse("c", bytes, n, &config), VG_INVALID);
    for (size_t at = 0; at < file.size; at++) {
        for (int bit = 0; bit < 8; bit++) {
            bytes[at] ^= (uint8_t)(1 << bit);
            vg_config_parse("c", bytes, file.size, &config);
            bytes[at] ^= (uint8_t)(1 << bit);
        }
    }
    assert_int_equal(vg_config_parse("c", bytes, file.size, &config), VG_OK);
    free(bytes);
    vg_file_close(&file);
}

/* ---- random copies, hashes --------------------------------------------------------------------------------------------------- */

static float *fetch(const float *from, int64_t count)
{
    float *host = malloc((size_t)count * sizeof *host);
    assert_int_equal(device->ops->down(device, host, from, (size_t)count * sizeof *host), VG_OK);
    return host;
}

static void a_random_copy_is_untrained(void **state)
{
    (void)state;
    vg_model *model, *again, *other, *trained;
    char golden[4096];
    write_config("gpt2", "initializer_range", "0.05");
    path_of("gpt2", "", golden, sizeof golden);
    assert_int_equal(vg_model_open(device, folder, &(vg_model_options){.random = true, .seed = 4}, &model), VG_OK);
    assert_int_equal(vg_model_open(device, folder, &(vg_model_options){.random = true, .seed = 4}, &again), VG_OK);
    assert_int_equal(vg_model_open(device, folder, &(vg_model_options){.random = true, .seed = 5}, &other), VG_OK);
    assert_int_equal(vg_model_open(device, golden, NULL, &trained), VG_OK);
    int64_t count = 97 * 16;
    assert_memory_equal(vg_model_embedding(model), vg_model_embedding(again), (size_t)count * sizeof(float));
    assert_memory_not_equal(vg_model_embedding(model), vg_model_embedding(other), (size_t)count * sizeof(float));
    assert_int_equal(vg_model_hash(model), vg_model_hash(again));
    assert_int_not_equal(vg_model_hash(model), vg_model_hash(other));
    assert_int_not_equal(vg_model_hash(model), vg_model_hash(trained));
    float *embedding = fetch(model->embedding, count), *norm = fetch(model->blocks[1].norm2.weight, 16),
          *bias = fetch(model->blocks[1].qkv.bias, 48);
    float *first = fetch(model->blocks[0].out.weight, 256), *second = fetch(model->blocks[1].out.weight, 256);
    double square = 0.0;
    for (int64_t i = 0; i < count; i++)
        square += (double)embedding[i] * embedding[i] / (double)count;
    assert_true(fabs(sqrt(square) / 0.05 - 1.0) < 0.08); /* four standard errors of 1,552 draws */
    assert_memory_equal(embedding, vg_model_embedding(model), (size_t)count * sizeof(float));
    assert_memory_not_equal(first, second, 256 * sizeof(float));
    for (int i = 0; i < 16; i++)
        assert_true(norm[i] == 1.0f && bias[i] == 0.0f);
    float *buffers[] = {embedding, norm, bias, first, second};
    for (int i = 0; i < 5; i++)
        free(buffers[i]);
    vg_model *models[] = {model, again, other, trained};
    for (int i = 0; i < 4; i++)
        vg_model_close(models[i]);
}

/* GPT-2 keeps matrices as (in, out), GPT-NeoX queries, keys and values head by head: both arrive as (out, in), all queries first. */
static void matrices_are_turned_as_the_engine_reads_them(void **state)
{
    (void)state;
    static const char *const names[2][2] = {{"gpt2", "transformer.h.1.attn.c_attn.weight"},
                                            {"gpt_neox", "gpt_neox.layers.1.attention.query_key_value.weight"}};
    for (int f = 0; f < 2; f++) {
        char golden[4096];
        vg_model *model;
        vg_tensors tensors;
        float file[48 * 16];
        path_of(names[f][0], "", golden, sizeof golden);
        assert_int_equal(vg_model_open(device, golden, NULL, &model), VG_OK);
        assert_int_equal(vg_tensors_open(golden, &tensors), VG_OK);
        assert_int_equal(vg_tensor_read(vg_tensors_find(&tensors, names[f][1]), file), VG_OK);
        float *found = fetch(model->blocks[1].qkv.weight, 48 * 16);
        for (int part = 0; part < 3; part++)
            for (int h = 0; h < 4; h++)
                for (int d = 0; d < 4; d++)
                    for (int in = 0; in < 16; in++)
                        assert_true(found[((part * 4 + h) * 4 + d) * 16 + in] ==
                                    (f == 0 ? file[in * 48 + (part * 4 + h) * 4 + d] : file[((h * 3 + part) * 4 + d) * 16 + in]));
        free(found);
        vg_tensors_close(&tensors);
        vg_model_close(model);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(each_fault_of_a_tensor_is_named, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(old_and_bare_checkpoints_are_accepted, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(each_fault_of_a_config_is_named, make_folder, remove_folder),
        cmocka_unit_test(published_configs_are_understood),
        cmocka_unit_test(no_byte_of_a_config_is_trusted),
        cmocka_unit_test_setup_teardown(a_random_copy_is_untrained, make_folder, remove_folder),
        cmocka_unit_test(matrices_are_turned_as_the_engine_reads_them),
    };
    if (vg_device_open(test_device_spec(), 0, 0, &device) != VG_OK) {
        fprintf(stderr, "%s\n", vg_message());
        return 1;
    }
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    vg_device_close(device);
    return failed;
}
