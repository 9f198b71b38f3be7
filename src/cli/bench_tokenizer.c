/* bench tokenizer: a text of so many words, drawn from syllables, once through a tokenizer.json. */
#include <stdlib.h>
#include <string.h>

#include "cli.h"

/* Words of one to four syllables, some with a comma or a full stop behind them, some capital. */
static vg_status make_text(int64_t words, char **text, size_t *size)
{
    static const char *const syllables[] = {"the", "ra", "in", "mon", "stra", "ble", "o", "ver", "ing", "lis", "ten", "er", "wa", "s"};
    enum { SYLLABLES = sizeof syllables / sizeof *syllables, LONGEST = 20 };
    VG_TRY(VG_NEW(text, words * LONGEST, "a text"));
    char *at = *text;
    for (int64_t w = 0; w < words; w++) {
        uint64_t bits = vg_random_bits(0, VG_RANDOM_TEST, (uint64_t)w);
        char *begin = at;
        for (uint64_t i = 0; i <= bits % 4; i++)
            at = stpcpy(at, syllables[(bits >> (8 + 8 * i)) % SYLLABLES]);
        if (bits >> 48 & 1)
            *begin = (char)(*begin - 'a' + 'A');
        if ((bits >> 49) % 8 == 0)
            *at++ = (bits >> 52 & 1) != 0 ? ',' : '.';
        *at++ = ' ';
    }
    *size = (size_t)(at - *text) - 1;
    return VG_OK;
}

static vg_status measure(const char *path, int64_t words)
{
    vg_tokenizer *tokenizer = NULL;
    vg_tokens tokens = {0};
    char *text = NULL;
    size_t size;
    vg_status status;
    VG_GO(make_text(words, &text, &size));
    VG_GO(vg_tokenizer_open(path, &tokenizer));
    double begin = vg_seconds();
    VG_GO(vg_tokenizer_encode(tokenizer, text, size, &tokens));
    double seconds = vg_seconds() - begin;
    printf("{\"bench\": \"tokenizer\", \"words\": %lld, \"bytes\": %zu, \"tokens\": %lld, \"seconds\": %.6g, \"words_per_second\": %.6g}\n",
           (long long)words, size, (long long)tokens.count, seconds, (double)words / seconds);
done:
    vg_tokens_free(&tokens);
    vg_tokenizer_close(tokenizer);
    free(text);
    return status;
}

vg_status vg_bench_tokenizer(int argc, char **argv)
{
    static const vg_command_help help = {"bench tokenizer [OPTIONS] TOKENIZER.json",
                                         "Tokenizes a text of drawn words, once, on one thread: a JSON object on standard output.",
                                         "  voxgrad bench tokenizer models/gpt2/tokenizer.json\n", 1, false};
    const char *words = "100000";
    int64_t count;
    const vg_option options[] = {{"words", 'n', "N", "100000", &words, NULL}, {0}};
    bool proceed;
    VG_TRY(vg_command_parse(&help, options, argc, argv, &proceed));
    if (!proceed)
        return VG_OK;
    if (!vg_parse_integer(words, strlen(words), &count) || count < 1 || count > 100000000)
        return vg_fail(VG_INVALID, "--words %s: a whole number from 1 to 100000000 is expected", words);
    return measure(argv[0], count);
}
