/* passage: a story's tokens, and which word each belongs to. The text is tokenized once, as a whole, and never word by word: a word's
 * tokens follow from byte offsets (attribution.md, "Tokenizer"; encoding.md, "Defaults, exactly"). */
#include <stdlib.h>
#include <string.h>

#include "voxgrad/attribution.h"

static vg_status check_ids(const vg_tokens *tokens, int64_t vocabulary)
{
    for (int64_t t = 0; t < tokens->count; t++)
        if (tokens->ids[t] < 0 || tokens->ids[t] >= vocabulary)
            return vg_fail(
                VG_INVALID,
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

/* Characters of each word (code points), and whether it closes a sentence. */
static vg_status describe_words(const char *text, const int64_t *word_end, vg_passage *passage)
{
    VG_TRY(VG_NEW(&passage->characters, passage->words, "words of a story"));
    VG_TRY(VG_NEW(&passage->ends, passage->words, "words of a story"));
    for (int64_t w = 0, i = 0; w < passage->words; w++) {
        for (; i < word_end[w]; i++)
            passage->characters[w] += text[i] != ' ' && ((unsigned char)text[i] & 0xC0) != 0x80;
        passage->ends[w] = word_end[w] > 0 && strchr(".!?", text[word_end[w] - 1]) != NULL;
    }
    return VG_OK;
}

vg_status vg_passage_create(const vg_tokenizer *tokenizer, int64_t vocabulary, const char *text, size_t size, const int64_t *word_end,
                            int64_t words, vg_passage *passage)
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
    VG_GO(describe_words(text, word_end, passage));
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
    free(passage->characters);
    free(passage->ends);
    free(passage->onset);
    *passage = (vg_passage){0};
}
