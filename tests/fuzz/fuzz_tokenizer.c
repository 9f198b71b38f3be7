/* fuzz_tokenizer: any bytes as a tokenizer.json, and any text through what was read. libFuzzer's entry; the input is a file, and after
 * its first NUL byte a text to encode. What must hold: no crash, no leak, offsets inside the text, and ids that decode. */
#include "fuzz.h"

#include <stdlib.h>
#include <string.h>

#include "tokenizer.h"

static void check(bool holds)
{
    if (!holds)
        abort();
}

static void run(const vg_tokenizer *tokenizer, const char *text, size_t size)
{
    vg_tokens tokens;
    char *decoded;
    vg_status status = vg_tokenizer_encode(tokenizer, text, size, &tokens);
    check(status == VG_OK || status == VG_INVALID || status == VG_NO_MEMORY);
    if (status != VG_OK)
        return;
    for (int64_t t = 0; t < tokens.count; t++) {
        check(tokens.ids[t] >= 0 && tokens.ids[t] < vg_tokenizer_size(tokenizer));
        check(tokens.begin[t] >= 0 && tokens.begin[t] <= tokens.end[t] && tokens.end[t] <= (int64_t)size);
    }
    status = vg_tokenizer_decode(tokenizer, tokens.ids, tokens.count, &decoded);
    check(status == VG_OK || status == VG_INVALID);
    if (status == VG_OK)
        check(vg_utf8_valid(decoded, strlen(decoded)) == strlen(decoded));
    free(decoded);
    vg_tokens_free(&tokens);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char fixed[] = " The listener's 12  voxels\n caf\xC3\xA9 <s> e\xCC\x81\xF0\x9F\x98\x80\t\xE2\x96\x81x ";
    const uint8_t *end = size > 0 ? memchr(data, 0, size) : NULL;
    size_t length = end != NULL ? (size_t)(end - data) : size;
    vg_tokenizer *tokenizer;
    vg_status status = vg_tokenizer_parse("fuzz", (const char *)data, length, &tokenizer);
    check(status == VG_OK || status == VG_INVALID || status == VG_NO_MEMORY);
    if (status != VG_OK)
        return 0;
    run(tokenizer, fixed, sizeof fixed - 1);
    if (end != NULL)
        run(tokenizer, (const char *)end + 1, size - length - 1);
    vg_tokenizer_close(tokenizer);
    return 0;
}
