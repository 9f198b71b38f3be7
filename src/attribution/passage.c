/* passage: a story's tokens, and which word each belongs to. The text is tokenized once, as a whole, and never word by word: a word's
 * tokens follow from byte offsets (attribution.md, "Tokenizer"; encoding.md, "Defaults, exactly"). */
#include <stdlib.h>
#include <string.h>

#include "voxgrad/attribution.h"

static vg_status check_ids(const vg_tokens *tokens, int64_t vocabulary)
{
    for (int64_t t = 0; t < tokens->count; t++)
        if (tokens->ids[t] < 0 || tokens->ids[t] >= vocabulary)
            return vg_fail(VG_INVALID,
                           "the tokenizer gives token %d, beyond the model's vocabulary of %lld: do tokenizer.json and config.json belong together?",
                           (int)tokens->ids[t], (long long)vocabulary);
    return VG_OK;
}

/* A token's last byte is end - 1; word w holds the bytes word_end[w - 1] .. word_end[w] - 1. */
static void assign(const vg_tokens *tokens, const int64_t *word_end, int64_t words, int64_t *first)
{
    int64_t t = 0;
    for (int64_t w = 0; w < words; w++) {
        first[w] = t;
        while (t < tokens->count && tokens->end[t] <= word_end[w])
            t++;
    }
    first[words] = tokens->count;
}

vg_status vg_passage_create(const vg_tokenizer *tokenizer, int64_t vocabulary, const char *text, size_t size, const int64_t *word_end, int64_t words,
                            vg_passage *passage)
{
    vg_tokens tokens = {0};
    *passage = (vg_passage){.words = words};
    vg_status status;
    VG_GO(vg_tokenizer_encode(tokenizer, text, size, &tokens));
    VG_GO(check_ids(&tokens, vocabulary));
    passage->tokens = tokens.count;
    VG_GO(VG_NEW(&passage->ids, tokens.count, "tokens of a story"));
    if (tokens.count > 0)
        memcpy(passage->ids, tokens.ids, (size_t)tokens.count * sizeof *passage->ids);
    VG_GO(VG_NEW(&passage->first, words + 1, "words of a story"));
    assign(&tokens, word_end, words, passage->first);
done:
    vg_tokens_free(&tokens);
    if (status != VG_OK)
        vg_passage_free(passage);
    return status;
}

void vg_passage_free(vg_passage *passage)
{
    free(passage->ids);
    free(passage->first);
    *passage = (vg_passage){0};
}
