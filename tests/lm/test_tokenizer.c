/* Protects: that texts become the reference's tokens, ids and offsets, for every kind of tokenizer that is supported, on all planes of
 * Unicode; that decoding gives the reference's text; that long texts take no longer than they should; that a tokenizer.json that is
 * broken or of another kind is refused with a reason, and never guessed at. Goldens: tests/oracle/make_tokenizer_goldens.py. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "npy.h"
#include "tokenizer.h"

/* ---- texts and tokenizers ------------------------------------------------------------------------------------------ */

typedef struct {
    char *bytes;
    size_t size;
} string;

static string *texts;
static size_t text_count;

static int read_texts(void **state)
{
    (void)state;
    npy codes = npy_read("tokenizer_texts.npy");
    texts = calloc((size_t)codes.count, sizeof *texts);
    for (int64_t i = 0; i < codes.count; text_count++) {
        string *text = &texts[text_count];
        text->bytes = malloc((size_t)(4 * (codes.count - i)) + 1);
        for (; codes.data[i] >= 0; i++)
            text->size += vg_utf8_put((uint32_t)codes.data[i], text->bytes + text->size);
        i++;
    }
    free(codes.data);
    return text_count > 500 ? 0 : -1;
}

static int free_texts(void **state)
{
    (void)state;
    for (size_t i = 0; i < text_count; i++)
        free(texts[i].bytes);
    free(texts);
    return 0;
}

/* A file of the real data; the test is skipped where it is not there. */
static void data_path(const char *name, char path[4096])
{
    const char *data = getenv("VG_DATA");
    snprintf(path, 4096, "%s/%s", data != NULL ? data : "(VG_DATA is not set)", name);
    if (access(path, R_OK) != 0) {
        print_message("skipped: %s is not there; set VG_DATA to the folder of real data\n", path);
        skip();
    }
}

static void golden_path(const char *name, char path[4096])
{
    const char *source = getenv("VG_SOURCE");
    snprintf(path, 4096, "%s/tests/golden/tokenizers/%s.json", source != NULL ? source : ".", name);
}

static vg_tokenizer *open_file(const char *path)
{
    vg_tokenizer *tokenizer;
    if (vg_tokenizer_open(path, &tokenizer) != VG_OK)
        fail_msg("%s", vg_message());
    return tokenizer;
}

static vg_tokens encode(const vg_tokenizer *tokenizer, const char *text, size_t size)
{
    vg_tokens tokens;
    if (vg_tokenizer_encode(tokenizer, text, size, &tokens) != VG_OK)
        fail_msg("%s", vg_message());
    return tokens;
}

static char *decode(const vg_tokenizer *tokenizer, const int32_t *ids, int64_t count)
{
    char *text;
    if (vg_tokenizer_decode(tokenizer, ids, count, &text) != VG_OK)
        fail_msg("%s", vg_message());
    return text;
}

/* ---- the reference's tokens ---------------------------------------------------------------------------------------- */

/* CRC32C of all (id, begin, end) and of the text that the ids decode to. */
static int32_t digest(const vg_tokenizer *tokenizer, const string *text)
{
    vg_tokens tokens = encode(tokenizer, text->bytes, text->size);
    uint32_t crc = 0;
    for (int64_t t = 0; t < tokens.count; t++) {
        int32_t row[] = {tokens.ids[t], (int32_t)tokens.begin[t], (int32_t)tokens.end[t]};
        crc = vg_crc32c(crc, row, sizeof row);
    }
    char *decoded = decode(tokenizer, tokens.ids, tokens.count);
    crc = vg_crc32c(crc, decoded, strlen(decoded));
    free(decoded);
    vg_tokens_free(&tokens);
    return (int32_t)crc;
}

/* `row`: the tokenizer's of the digests. */
static void check_digests(const vg_tokenizer *tokenizer, int row)
{
    npy digests = npy_read("tokenizer_digests.npy");
    assert_int_equal(digests.shape[1], text_count);
    int differences = 0;
    for (size_t i = 0; i < text_count; i++) {
        if (digest(tokenizer, &texts[i]) != (int32_t)digests.data[row * digests.shape[1] + (int64_t)i]) {
            print_message("text %zu has other tokens than the reference's: \"%.*s\"\n", i, (int)texts[i].size, texts[i].bytes);
            differences++;
        }
    }
    free(digests.data);
    assert_int_equal(differences, 0);
}

/* Rows of (text, id, begin, end), token by token: the same as the digests, for the texts written by hand, and readable where it fails. */
static void check_tokens(const vg_tokenizer *tokenizer, const char *golden)
{
    npy rows = npy_read(golden);
    int64_t row = 0;
    assert_int_equal(rows.shape[1], 4);
    for (int64_t i = 0; row < rows.shape[0]; i++) {
        vg_tokens tokens = encode(tokenizer, texts[i].bytes, texts[i].size);
        for (int64_t t = 0; t < tokens.count; t++, row++) {
            const double *expected = rows.data + 4 * row;
            assert_true(row < rows.shape[0]);
            assert_int_equal(i, expected[0]);
            assert_int_equal(tokens.ids[t], expected[1]);
            assert_int_equal(tokens.begin[t], expected[2]);
            assert_int_equal(tokens.end[t], expected[3]);
        }
        vg_tokens_free(&tokens);
    }
    free(rows.data);
}

static void check_real(const char *file, const char *golden, int row, int32_t bos, int64_t size)
{
    char path[4096];
    data_path(file, path);
    vg_tokenizer *tokenizer = open_file(path);
    check_tokens(tokenizer, golden);
    check_digests(tokenizer, row);
    assert_int_equal(vg_tokenizer_bos(tokenizer), bos);
    assert_int_equal(vg_tokenizer_size(tokenizer), size);
    vg_tokenizer_close(tokenizer);
}

static void gpt2_is_the_reference(void **state)
{
    (void)state;
    check_real("tokenizers/gpt2/tokenizer.json", "tokenizer_gpt2.npy", 0, -1, 50257);
}

static void llama2_is_the_reference(void **state)
{
    (void)state;
    check_real("tokenizers/llama2/tokenizer.json", "tokenizer_llama2.npy", 1, 1, 32000);
}

static void stories_is_the_reference(void **state)
{
    (void)state;
    check_real("stories260K/tokenizer.json", "tokenizer_stories260K.npy", 2, 1, 512);
}

static void small_kinds_are_the_reference(void **state)
{
    (void)state;
    static const char *const names[] = {"llama3", "qwen2", "metaspace", "fallback"};
    for (int i = 0; i < 4; i++) {
        char path[4096];
        golden_path(names[i], path);
        vg_tokenizer *tokenizer = open_file(path);
        print_message("%s\n", names[i]);
        check_digests(tokenizer, 3 + i);
        vg_tokenizer_close(tokenizer);
    }
}

/* ---- llama.cpp's vectors -------------------------------------------------------------------------------------------- */

static void check_vectors(const vg_tokenizer *tokenizer, const char *name, bool but_leading_blanks)
{
    static const char between[] = "\n__ggml_vocab_test__\n";
    char path[4096], *inputs, *outputs, *line, *rest;
    size_t size, outputs_size;
    int checked = 0;
    snprintf(path, sizeof path, "%s/tokenizers/test-vectors/%s.inp", getenv("VG_DATA"), name);
    assert_int_equal(vg_text_read(path, &inputs, &size), VG_OK);
    snprintf(path, sizeof path, "%s/tokenizers/test-vectors/%s.out", getenv("VG_DATA"), name);
    assert_int_equal(vg_text_read(path, &outputs, &outputs_size), VG_OK);
    rest = outputs;
    for (char *text = inputs, *end; text != NULL; text = end != NULL ? end + strlen(between) : NULL) {
        end = strstr(text, between);
        line = strsep(&rest, "\n");
        assert_non_null(line);
        vg_tokens tokens = encode(tokenizer, text, end != NULL ? (size_t)(end - text) : strlen(text));
        if (!but_leading_blanks || text[0] != ' ') {
            checked++;
            for (int64_t t = 0; t < tokens.count; t++)
                assert_int_equal(tokens.ids[t], strtol(line, &line, 10));
            assert_int_equal(strspn(line, " "), strlen(line));
        }
        vg_tokens_free(&tokens);
    }
    print_message("%s: %d texts\n", name, checked);
    assert_int_equal(checked, but_leading_blanks ? 32 : 47);
    free(inputs);
    free(outputs);
}

static void gpt2_vectors(void **state)
{
    (void)state;
    char path[4096];
    data_path("tokenizers/gpt2/tokenizer.json", path);
    vg_tokenizer *tokenizer = open_file(path);
    check_vectors(tokenizer, "ggml-vocab-gpt-2.gguf", false);
    vg_tokenizer_close(tokenizer);
}

/* The vectors are SentencePiece's, which puts a blank before every text. The tokenizer.json at hand puts none before a text that begins
 * with one (Metaspace, "first"), so the reference, too, has other tokens there. Its older form (a Prepend normalizer) is SentencePiece's.
 */
static void llama2_vectors(void **state)
{
    (void)state;
    char path[4096];
    data_path("tokenizers/llama2/tokenizer.json", path);
    vg_tokenizer *tokenizer = open_file(path);
    check_vectors(tokenizer, "ggml-vocab-llama-spm.gguf", true);
    vg_tokenizer_close(tokenizer);

    json_t *file = json_load_file(path, 0, NULL);
    json_object_set_new(file, "pre_tokenizer", json_null());
    json_object_set_new(file, "normalizer",
                        json_pack("{s:s, s:[{s:s, s:s}, {s:s, s:{s:s}, s:s}]}", "type", "Sequence", "normalizers", "type", "Prepend",
                                  "prepend", "\xE2\x96\x81", "type", "Replace", "pattern", "String", " ", "content", "\xE2\x96\x81"));
    char *changed = json_dumps(file, 0);
    assert_int_equal(vg_tokenizer_parse("changed", changed, strlen(changed), &tokenizer), VG_OK);
    check_vectors(tokenizer, "ggml-vocab-llama-spm.gguf", false);
    vg_tokenizer_close(tokenizer);
    free(changed);
    json_decref(file);
}

/* ---- identities ------------------------------------------------------------------------------------------------------ */

/* 100,000 words, and 500,000 times one letter, which is one piece: merging that is not n log n takes hours. */
static void long_texts_take_no_longer_than_they_should(void **state)
{
    (void)state;
    static const char *const words[] = {"the", "listener's", "voxels", "answered", "slowly,",
                                        "and", "Alice",      "saw",    "(3.14)",   "extraordinary"};
    static const char *const files[] = {"tokenizers/gpt2/tokenizer.json", "tokenizers/llama2/tokenizer.json", "stories260K/tokenizer.json"};
    char *text, path[4096];
    for (int file = 0; file < 3; file++) {
        data_path(files[file], path); /* skips where it is not there: nothing is held by then */
        vg_tokenizer *tokenizer = open_file(path);
        assert_non_null(text = malloc(2000000));
        for (int kind = 0; kind < 2; kind++) {
            size_t size = 0;
            for (uint64_t i = 0; i < (kind == 0 ? 100000 : 0); i++)
                size += (size_t)sprintf(text + size, "%s%s", i > 0 ? " " : "", words[vg_random_bits(0, VG_RANDOM_TEST, i) % 10]);
            if (kind == 1)
                memset(text, 'a', size = 500000);
            text[size] = '\0';
            double start = vg_seconds();
            vg_tokens tokens = encode(tokenizer, text, size);
            print_message("%s: %zu bytes, %lld tokens in %.3f s\n", files[file], size, (long long)tokens.count, vg_seconds() - start);
            char *decoded = decode(tokenizer, tokens.ids, tokens.count);
            assert_string_equal(decoded, text);
            for (int64_t t = 1; t < tokens.count; t++)
                assert_true(tokens.begin[t] >= tokens.begin[t - 1] && tokens.end[t] >= tokens.begin[t]);
            assert_int_equal(tokens.begin[0], 0);
            assert_int_equal(tokens.end[tokens.count - 1], size);
            free(decoded);
            vg_tokens_free(&tokens);
        }
        vg_tokenizer_close(tokenizer);
        free(text);
    }
}

static void threads_share_a_tokenizer(void **state)
{
    (void)state;
    char path[4096];
    golden_path("metaspace", path);
    vg_tokenizer *tokenizer = open_file(path);
    npy digests = npy_read("tokenizer_digests.npy");
    int differences = 0;
#pragma omp parallel for num_threads(4) reduction(+ : differences)
    for (int i = 0; i < (int)text_count; i++)
        differences += digest(tokenizer, &texts[i]) != (int32_t)digests.data[5 * digests.shape[1] + i];
    assert_int_equal(differences, 0);
    free(digests.data);
    vg_tokenizer_close(tokenizer);
}

static void tokens_are_found_by_text(void **state)
{
    (void)state;
    char path[4096];
    golden_path("llama3", path);
    vg_tokenizer *tokenizer = open_file(path);
    int32_t bos = vg_tokenizer_id(tokenizer, "<|begin_of_text|>");
    assert_int_equal(bos, vg_tokenizer_bos(tokenizer));
    assert_int_equal(vg_tokenizer_id(tokenizer, "<|end_of_text|>"), vg_tokenizer_size(tokenizer) - 1);
    assert_int_equal(vg_tokenizer_id(tokenizer, "<|end_of_text"), -1);
    assert_true(vg_tokenizer_id(tokenizer, "a") >= 0);
    vg_tokens tokens = encode(tokenizer, "a", 1);
    assert_int_equal(tokens.count, 1);
    assert_int_equal(tokens.ids[0], vg_tokenizer_id(tokenizer, "a"));
    vg_tokens_free(&tokens);
    vg_tokenizer_close(tokenizer);
}

/* Every byte is a token here, so any bytes can be asked for. */
static void bytes_that_are_no_text_decode_to_replacements(void **state)
{
    (void)state;
    static const struct {
        const char *bytes, *expected;
    } cases[] = {
        {"caf\xC3\xA9", "caf\xC3\xA9"},
        {"\xC3", "\xEF\xBF\xBD"},
        {"\xFFz", "\xEF\xBF\xBDz"},
        {"\xF0\x9F\x98z", "\xEF\xBF\xBDz"},                       /* the beginning of a character counts once */
        {"\xED\xA0\x80", "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD"}, /* of a surrogate every byte */
        {"\xE2\x82\xE2\x82\xAC", "\xEF\xBF\xBD\xE2\x82\xAC"},
    };
    char path[4096];
    golden_path("qwen2", path);
    vg_tokenizer *tokenizer = open_file(path);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int32_t ids[8];
        int64_t count = 0;
        for (const char *byte = cases[i].bytes; *byte != '\0'; byte++) {
            char letter[5] = "";
            vg_utf8_put(vg_byte_letter((uint8_t)*byte), letter);
            ids[count++] = vg_tokenizer_id(tokenizer, letter);
        }
        char *text = decode(tokenizer, ids, count);
        assert_string_equal(text, cases[i].expected);
        free(text);
    }
    for (unsigned byte = 0; byte < 256; byte++)
        assert_int_equal(vg_letter_byte(vg_byte_letter((uint8_t)byte)), byte);
    char *text;
    assert_int_equal(vg_tokenizer_decode(tokenizer, (int32_t[]){0, -1}, 2, &text), VG_INVALID);
    assert_int_equal(vg_tokenizer_decode(tokenizer, &(int32_t){(int32_t)vg_tokenizer_size(tokenizer)}, 1, &text), VG_INVALID);
    assert_non_null(strstr(vg_message(), "not in the vocabulary"));
    vg_tokenizer_close(tokenizer);
}

/* ---- bad input ------------------------------------------------------------------------------------------------------ */

static void text_that_is_not_utf8_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {"a\xFF", "\xC3", "\xED\xA0\x80", "\xC0\x80", "\xF5\x80\x80\x80", "ok \xE2\x82"};
    char path[4096];
    golden_path("llama3", path);
    vg_tokenizer *tokenizer = open_file(path);
    vg_tokens tokens;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(vg_tokenizer_encode(tokenizer, bad[i], strlen(bad[i]), &tokens), VG_INVALID);
        assert_non_null(strstr(vg_message(), "not UTF-8"));
        assert_int_equal(tokens.count, 0);
    }
    vg_tokenizer_close(tokenizer);
}

#define MODEL "\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0,\"b\":1,\"ab\":2},\"merges\":[\"a b\"]}"
#define ADDED(id, content)                                                                                \
    "{\"id\":" id ",\"content\":\"" content "\",\"single_word\":false,\"lstrip\":false,\"rstrip\":false," \
    "\"normalized\":false,\"special\":true}"
#define SPLIT(regex)                                                                                          \
    "{\"pre_tokenizer\":{\"type\":\"Split\",\"pattern\":{\"Regex\":\"" regex "\"},\"behavior\":\"Isolated\"," \
    "\"invert\":false}," MODEL "}"

/* What is wrong, and a part of the message that says so; NULL: nothing is wrong. */
static const struct {
    const char *json, *message;
} files[] = {
    {"{" MODEL "}", NULL},
    {"", "not JSON"},
    {"[1, 2", "not JSON"},
    {"{\"a\": 1}x", "not JSON"},
    {"{\"model\": {}, \"model\": {}}", "duplicate"},
    {"{\"model\": {\"type\": \"BPE\xFF\"}}", "byte 0xff"},
    {"[]", "a tokenizer.json is an object"},
    {"{}", "model is nothing"},
    {"{\"model\":null}", "model is null"},
    {"{\"model\":{}}", "supported is BPE"},
    {"{\"model\":{\"type\":\"WordPiece\",\"vocab\":{}}}", "model of type \"WordPiece\" is not supported; supported is BPE"},
    {"{\"model\":{\"type\":\"Unigram\",\"vocab\":[]}}", "Unigram"},
    {"{\"model\":{\"type\":3,\"vocab\":{},\"merges\":[]}}", "model.type is an integer"},
    {"{\"model\":{\"type\":\"BPE\",\"merges\":[]}}", "model.vocab is nothing"},
    {"{\"model\":{\"type\":\"BPE\",\"vocab\":[],\"merges\":[]}}", "model.vocab is an array"},
    {"{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0}}}", "model.merges is nothing"},
    {"{\"model\":{\"vocab\":{\"a\":0},\"merges\":[]}}", NULL}, /* GPT-2's own file names no type */
    {"{\"model\":{\"vocab\":{\"a\":\"0\"},\"merges\":[]}}", "the id of token \"a\" is a string"},
    {"{\"model\":{\"vocab\":{\"a\":-1},\"merges\":[]}}", "must be from 0"},
    {"{\"model\":{\"vocab\":{\"a\":99999999999},\"merges\":[]}}", "must be from 0"},
    {"{\"model\":{\"vocab\":{\"a\":0,\"b\":0},\"merges\":[]}}", "the same id 0"},
    {"{\"model\":{\"vocab\":{\"a\":0},\"merges\":[\"a\"]}}", "merge 0 is neither"},
    {"{\"model\":{\"vocab\":{\"a\":0},\"merges\":[\"a a a\"]}}", "merge 0 is neither"},
    {"{\"model\":{\"vocab\":{\"a\":0},\"merges\":[[\"a\"]]}}", "merge 0 is neither"},
    {"{\"model\":{\"vocab\":{\"a\":0},\"merges\":[[\"a\",1]]}}", "merge 0 is neither"},
    {"{\"model\":{\"vocab\":{\"a\":0},\"merges\":[7]}}", "merge 0 is neither"},
    {"{\"model\":{\"vocab\":{\"a\":0},\"merges\":[\"a x\"]}}", "merge 0: \"x\" is not in the vocabulary"},
    {"{\"model\":{\"vocab\":{\"a\":0},\"merges\":[\"a a\"]}}", "merge 0: \"aa\" is not in the vocabulary"},
    {"{\"model\":{\"vocab\":{\"a\":0,\"aa\":1},\"merges\":[\"#version: 0.2\",[\"a\",\"a\"]]}}", NULL},
    {"{\"model\":{\"vocab\":{},\"merges\":[],\"dropout\":0.1}}", "dropout"},
    {"{\"model\":{\"vocab\":{},\"merges\":[],\"end_of_word_suffix\":\"</w>\"}}", "end_of_word_suffix is not supported"},
    {"{\"model\":{\"vocab\":{},\"merges\":[],\"byte_fallback\":1}}", "model.byte_fallback is an integer"},
    {"{\"model\":{\"vocab\":{},\"merges\":[],\"unk_token\":[]}}", "model.unk_token is an array"},
    {"{\"added_tokens\":{}," MODEL "}", "added_tokens is an object"},
    {"{\"added_tokens\":[3]," MODEL "}", "content is nothing"},
    {"{\"added_tokens\":[" ADDED("3", "<s>") "]," MODEL "}", NULL},
    {"{\"added_tokens\":[" ADDED("3", "<s>") "," ADDED("3", "</s>") "]," MODEL "}", "the next free id is 4"},
    {"{\"added_tokens\":[" ADDED("3", "<s>") "," ADDED("4", "<s>") "]," MODEL "}", "are the same"},
    {"{\"added_tokens\":[" ADDED("1", "<s>") "]," MODEL "}", "the next free id is 3"},
    {"{\"added_tokens\":[" ADDED("0", "b") "]," MODEL "}", "in the vocabulary it is 1"},
    {"{\"added_tokens\":[" ADDED("3.5", "<s>") "]," MODEL "}", "a real number"},
    {"{\"added_tokens\":[" ADDED("3", "") "]," MODEL "}", "is empty"},
    {"{\"added_tokens\":[{\"id\":3,\"content\":\"<s>\"}]," MODEL "}", "single_word is nothing"},
    {"{\"normalizer\":3," MODEL "}", "normalizer is an integer"},
    {"{\"normalizer\":{}," MODEL "}", "normalizer.type is nothing"},
    {"{\"normalizer\":{\"type\":\"Precompiled\"}," MODEL "}", "normalizer of type \"Precompiled\" is not supported; supported are Prepend, "
                                                              "Replace, NFC, NFD, NFKC, NFKD, Lowercase, Strip, Sequence"},
    {"{\"normalizer\":{\"type\":\"Sequence\"}," MODEL "}", "normalizers is nothing"},
    {"{\"normalizer\":{\"type\":\"Prepend\",\"prepend\":1}," MODEL "}", "prepend is an integer"},
    {"{\"normalizer\":{\"type\":\"Replace\",\"content\":\"\",\"pattern\":\"x\"}," MODEL "}", "pattern is a string"},
    {"{\"normalizer\":{\"type\":\"Replace\",\"content\":\"\",\"pattern\":{\"Glob\":\"x\"}}," MODEL "}", "Regex is nothing"},
    {"{\"normalizer\":{\"type\":\"Strip\",\"strip_left\":true}," MODEL "}", "strip_right is nothing"},
    {"{\"pre_tokenizer\":{\"type\":\"BertPreTokenizer\"}," MODEL "}", "supported are ByteLevel, Split"},
    {"{\"pre_tokenizer\":{\"type\":\"ByteLevel\"}," MODEL "}", "add_prefix_space is nothing"},
    {"{\"pre_tokenizer\":{\"type\":\"Metaspace\",\"replacement\":\"__\"}," MODEL "}", "must be one character"},
    {"{\"pre_tokenizer\":{\"type\":\"Metaspace\",\"replacement\":\"_\",\"prepend_scheme\":\"last\"}," MODEL "}",
     "must be always, first or never"},
    {"{\"pre_tokenizer\":{\"type\":\"Metaspace\",\"replacement\":\"_\",\"add_prefix_space\":false}," MODEL "}",
     "add_prefix_space is false"},
    {"{\"pre_tokenizer\":{\"type\":\"Split\",\"behavior\":\"Dropped\"}," MODEL "}", "behavior is \"Dropped\""},
    {"{\"post_processor\":{\"type\":\"BertProcessing\"}," MODEL "}", "supported are ByteLevel, TemplateProcessing"},
    {"{\"post_processor\":{\"type\":\"TemplateProcessing\"}," MODEL "}", "single is nothing"},
    {"{\"post_processor\":{\"type\":\"TemplateProcessing\",\"single\":[{\"SpecialToken\":{\"id\":\"x\"}}]}," MODEL "}",
     "no id of the vocabulary"},
    {"{\"post_processor\":{\"type\":\"TemplateProcessing\",\"single\":[{\"SpecialToken\":{\"id\":\"x\"}}],\"special_tokens\":"
     "{\"x\":{\"ids\":[3]}}}," MODEL "}",
     "no id of the vocabulary"},
    {"{\"decoder\":{\"type\":\"WordPiece\"}," MODEL "}",
     "supported are ByteLevel, Replace, ByteFallback, Fuse, Strip, Metaspace, Sequence"},
    {"{\"decoder\":{\"type\":\"Strip\",\"content\":\" \",\"start\":-1,\"stop\":0}," MODEL "}", "start is an integer"},
    {SPLIT("a|b"), NULL},
    {SPLIT("(a"), "missing closing parenthesis"},
    {SPLIT("a**"), "quantifier does not follow"},
    {SPLIT("[z-a]"), "range out of order"},
    {SPLIT("\\\\p{Greekish}"), "regular expression"},
    {SPLIT("[[:alpha:]]"), "a class inside a class is not supported"},
    {SPLIT("[a-z&&[^b]]"), "is not supported"},
    {SPLIT("[\\\\W]"), "inside a class is not supported"},
    {SPLIT("a{2}+"), "a repeated interval is not supported"},
    {SPLIT("(?m:.)"), "this kind of group is not supported"},
    {SPLIT("(*UTF)a"), "this kind of group is not supported"},
    {SPLIT("\\\\K"), "this escape is not supported"},
    {SPLIT("\\\\"), "this escape is not supported"},
    {SPLIT("\\\\x{110000}"), "regular expression"},
};

static void broken_files_are_refused_with_a_reason(void **state)
{
    (void)state;
    vg_tokenizer *tokenizer;
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        vg_status status = vg_tokenizer_parse("t.json", files[i].json, strlen(files[i].json), &tokenizer);
        if (status != (files[i].message != NULL ? VG_INVALID : VG_OK))
            fail_msg("%s: status %d, %s", files[i].json, (int)status, vg_message());
        if (status != VG_OK && (strstr(vg_message(), files[i].message) == NULL || strncmp(vg_message(), "t.json", 6) != 0))
            fail_msg("%s: \"%s\" is not in \"%s\"", files[i].json, files[i].message, vg_message());
        if (status != VG_OK)
            assert_null(tokenizer);
        vg_tokenizer_close(tokenizer);
    }
    assert_int_equal(vg_tokenizer_open("/nowhere/tokenizer.json", &tokenizer), VG_INVALID);
    assert_non_null(strstr(vg_message(), "/nowhere/tokenizer.json"));
}

static void cut_files_are_refused(void **state)
{
    (void)state;
    char path[4096];
    golden_path("metaspace", path);
    vg_file file;
    vg_tokenizer *tokenizer;
    assert_int_equal(vg_file_open(path, &file), VG_OK);
    for (size_t size = 0; size + 2 < file.size; size += 13)
        assert_int_equal(vg_tokenizer_parse("cut", (const char *)file.data, size, &tokenizer), VG_INVALID);
    vg_file_close(&file);
}

/* Every value of a good file in turn becomes one of another type: the file is refused, or, where null stands for a default, read. */
static int try_types(json_t *root, json_t *at)
{
    int tried = 0;
    bool array = json_is_array(at);
    for (size_t i = 0; i < (array ? json_array_size(at) : json_object_size(at)) && i < 12; i++) {
        void *iterator = array ? NULL : json_object_iter(at);
        for (size_t step = 0; step < i && !array; step++)
            iterator = json_object_iter_next(at, iterator);
        json_t *old = json_incref(array ? json_array_get(at, i) : json_object_iter_value(iterator));
        json_t *others[] = {json_null(), json_true(), json_integer(-5), json_real(0.5), json_string("?"), json_array(), json_object()};
        for (size_t k = 0; k < 7; k++, tried++) {
            if (array)
                json_array_set_new(at, i, others[k]);
            else
                json_object_iter_set_new(at, iterator, others[k]);
            char *text = json_dumps(root, 0);
            vg_tokenizer *tokenizer;
            vg_status status = vg_tokenizer_parse("t.json", text, strlen(text), &tokenizer);
            assert_true(status == VG_OK || status == VG_INVALID);
            vg_tokenizer_close(tokenizer);
            free(text);
        }
        if (array)
            json_array_set(at, i, old);
        else
            json_object_iter_set(at, iterator, old);
        if (json_is_object(old) || json_is_array(old))
            tried += try_types(root, old);
        json_decref(old);
    }
    return tried;
}

static void values_of_any_type_do_no_harm(void **state)
{
    (void)state;
    char path[4096];
    static const char *const names[] = {"metaspace", "llama3"};
    for (int i = 0; i < 2; i++) {
        golden_path(names[i], path);
        json_t *root = json_load_file(path, 0, NULL);
        assert_non_null(root);
        assert_true(try_types(root, root) > 500);
        json_decref(root);
    }
}

/* A replacement that doubles every letter, forty times over. */
static void texts_that_explode_are_refused(void **state)
{
    (void)state;
    char json[8192] = "{\"normalizer\":{\"type\":\"Sequence\",\"normalizers\":[";
    for (int i = 0; i < 40; i++)
        strcat(json, i > 0 ? ",{\"type\":\"Replace\",\"pattern\":{\"String\":\"a\"},\"content\":\"aa\"}"
                           : "{\"type\":\"Replace\",\"pattern\":{\"String\":\"a\"},\"content\":\"aa\"}");
    strcat(json, "]}," MODEL "}");
    vg_tokenizer *tokenizer;
    vg_tokens tokens;
    assert_int_equal(vg_tokenizer_parse("t.json", json, strlen(json), &tokenizer), VG_OK);
    assert_int_equal(vg_tokenizer_encode(tokenizer, "b", 1, &tokens), VG_OK);
    vg_tokens_free(&tokens);
    assert_int_equal(vg_tokenizer_encode(tokenizer, "ab", 2, &tokens), VG_INVALID);
    assert_non_null(strstr(vg_message(), "makes more than"));
    vg_tokenizer_close(tokenizer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gpt2_is_the_reference),
        cmocka_unit_test(llama2_is_the_reference),
        cmocka_unit_test(stories_is_the_reference),
        cmocka_unit_test(small_kinds_are_the_reference),
        cmocka_unit_test(gpt2_vectors),
        cmocka_unit_test(llama2_vectors),
        cmocka_unit_test(long_texts_take_no_longer_than_they_should),
        cmocka_unit_test(threads_share_a_tokenizer),
        cmocka_unit_test(tokens_are_found_by_text),
        cmocka_unit_test(bytes_that_are_no_text_decode_to_replacements),
        cmocka_unit_test(text_that_is_not_utf8_is_refused),
        cmocka_unit_test(broken_files_are_refused_with_a_reason),
        cmocka_unit_test(cut_files_are_refused),
        cmocka_unit_test(values_of_any_type_do_no_harm),
        cmocka_unit_test(texts_that_explode_are_refused),
    };
    return cmocka_run_group_tests(tests, read_texts, free_texts);
}
