/* tokenizer: a text to ids with offsets. In the reference's order: added tokens are cut out, the rest is normalized, normalized added
 * tokens are cut out, the rest is split into pieces, each piece is encoded, and last its offsets are trimmed of blanks where the
 * post-processor wants that. */
#include <stdlib.h>
#include <string.h>

#include "tokenizer.h"

typedef struct {
    vg_text text, spare;
    vg_spans spans;
    vg_word word;
    vg_tokens tokens;
    size_t room[3];
} encoder;

vg_status vg_tokenizer_open(const char *path, vg_tokenizer **tokenizer)
{
    vg_file file;
    *tokenizer = NULL;
    VG_TRY(vg_file_open(path, &file));
    vg_status status = vg_tokenizer_parse(path, (const char *)file.data, file.size, tokenizer);
    vg_file_close(&file);
    return status;
}

void vg_tokenizer_close(vg_tokenizer *tokenizer)
{
    if (tokenizer == NULL)
        return;
    vg_vocabulary_free(&tokenizer->vocabulary);
    vg_added_free(&tokenizer->added);
    vg_steps_free(&tokenizer->normalizer);
    vg_steps_free(&tokenizer->pre_tokenizer);
    vg_decoder_free(&tokenizer->decoder);
    free(tokenizer->texts);
    free(tokenizer);
}

static vg_status add_token(encoder *e, int32_t id, vg_origin origin)
{
    size_t wanted = (size_t)e->tokens.count + 1;
    VG_TRY(vg_grow((void **)&e->tokens.ids, &e->room[0], wanted, sizeof *e->tokens.ids, "tokens"));
    VG_TRY(vg_grow((void **)&e->tokens.begin, &e->room[1], wanted, sizeof *e->tokens.begin, "tokens"));
    VG_TRY(vg_grow((void **)&e->tokens.end, &e->room[2], wanted, sizeof *e->tokens.end, "tokens"));
    e->tokens.ids[e->tokens.count] = id;
    e->tokens.begin[e->tokens.count] = origin.begin;
    e->tokens.end[e->tokens.count++] = origin.end;
    return VG_OK;
}

/* Moves a token's offsets inwards over the blanks that it has at its ends, character by character of the text. The first token's one
 * leading blank stays where the post-processor supposes that it was added to the text. */
static void trim(const vg_tokenizer *tokenizer, const char *text, size_t size, uint32_t leading, uint32_t trailing, vg_tokens *tokens)
{
    int64_t last = tokens->count - 1, *begin = &tokens->begin[last], *end = &tokens->end[last], at = *end;
    if ((last == 0 || *begin == 0) && tokenizer->trim_keeps_prefix && leading == 1)
        leading = 0;
    for (; leading > 0 && *begin < *end; leading--)
        do
            ++*begin;
        while (*begin < (int64_t)size && (text[*begin] & 0xC0) == 0x80);
    for (; trailing > 0 && at > 0; trailing--)
        do
            at--;
        while (at > 0 && (text[at] & 0xC0) == 0x80);
    if (trailing == 0)
        *end = at > *begin ? at : *begin;
}

static vg_status encode_piece(const vg_tokenizer *tokenizer, encoder *e, const vg_piece *piece, const char *text, size_t size)
{
    uint32_t leading, trailing;
    size_t at = piece->begin;
    VG_TRY(vg_vocabulary_split(&tokenizer->vocabulary, e->text.bytes + at, piece->end - at, &e->word));
    for (size_t i = 0; i < e->word.count; i++) {
        const vg_symbol *symbol = &e->word.symbols[i];
        if (symbol->size == 0)
            continue;
        vg_origin origin = {e->text.origin[at].begin, e->text.origin[at + symbol->size - 1].end};
        at += symbol->size;
        VG_TRY(add_token(e, symbol->id, origin));
        if (tokenizer->trim_offsets) {
            const vg_token *token = &tokenizer->vocabulary.tokens[symbol->id];
            vg_count_blanks(token->text, token->size, &leading, &trailing);
            trim(tokenizer, text, size, leading, trailing, &e->tokens);
        }
    }
    return VG_OK;
}

static vg_status encode(const vg_tokenizer *tokenizer, encoder *e, const char *text, size_t size)
{
    for (size_t at = 0, length; at < size; at += length) {
        vg_utf8_get(text + at, &length);
        VG_TRY(vg_text_append(&e->text, text + at, length, (vg_origin){(uint32_t)at, (uint32_t)(at + length)}));
    }
    VG_TRY(vg_text_piece(&e->text, (vg_piece){.end = size, .id = -1}));
    VG_TRY(vg_added_split(&tokenizer->added, false, &e->text, &e->spare, &e->spans));
    VG_TRY(vg_steps_run(&tokenizer->normalizer, &e->text, &e->spare, &e->spans));
    VG_TRY(vg_added_split(&tokenizer->added, true, &e->text, &e->spare, &e->spans));
    VG_TRY(vg_steps_run(&tokenizer->pre_tokenizer, &e->text, &e->spare, &e->spans));
    for (size_t i = 0; i < e->text.count; i++) {
        const vg_piece *piece = &e->text.pieces[i];
        if (piece->id < 0) {
            VG_TRY(encode_piece(tokenizer, e, piece, text, size));
            continue;
        }
        VG_TRY(add_token(e, piece->id, piece->origin));
        if (tokenizer->trim_offsets)
            trim(tokenizer, text, size, piece->leading, piece->trailing, &e->tokens);
    }
    return VG_OK;
}

vg_status vg_tokenizer_encode(const vg_tokenizer *tokenizer, const char *text, size_t size, vg_tokens *tokens)
{
    *tokens = (vg_tokens){0};
    if (size > INT32_MAX)
        return vg_fail(VG_INVALID, "a text of more than 2 GB; encode it in parts");
    size_t valid = vg_utf8_valid(text, size);
    if (valid < size)
        return vg_fail(VG_INVALID, "the text to encode is not UTF-8 at byte %zu (%02x)", valid, (unsigned)(uint8_t)text[valid]);
    size_t limit = VG_LONGEST(size) < INT32_MAX ? VG_LONGEST(size) : INT32_MAX;
    encoder e = {.text.limit = limit, .spare.limit = limit};
    vg_status status = encode(tokenizer, &e, text, size);
    if (status == VG_OK)
        *tokens = e.tokens;
    else
        vg_tokens_free(&e.tokens);
    vg_text_free(&e.text);
    vg_text_free(&e.spare);
    vg_spans_free(&e.spans);
    free(e.word.symbols);
    free(e.word.heap);
    return status;
}

void vg_tokens_free(vg_tokens *tokens)
{
    free(tokens->ids);
    free(tokens->begin);
    free(tokens->end);
    *tokens = (vg_tokens){0};
}

vg_status vg_tokenizer_decode(const vg_tokenizer *tokenizer, const int32_t *ids, int64_t count, char **text)
{
    vg_token *tokens;
    *text = NULL;
    VG_TRY(VG_NEW(&tokens, count, "tokens"));
    for (int64_t i = 0; i < count; i++) {
        bool known = ids[i] >= 0 && ids[i] < tokenizer->vocabulary.size && tokenizer->texts[ids[i]].text != NULL;
        if (!known) {
            free(tokens);
            return vg_fail(VG_INVALID, "token %lld to decode: id %d is not in the vocabulary of %lld", (long long)i, ids[i],
                           (long long)tokenizer->vocabulary.size);
        }
        tokens[i] = tokenizer->texts[ids[i]];
    }
    vg_status status = vg_decoder_run(&tokenizer->decoder, tokens, (size_t)count, text);
    free(tokens);
    return status;
}

int32_t vg_tokenizer_id(const vg_tokenizer *tokenizer, const char *token)
{
    size_t size = strlen(token);
    for (size_t i = 0; i < tokenizer->added.count; i++)
        if (tokenizer->added.at[i].content_size == size && memcmp(tokenizer->added.at[i].content, token, size) == 0)
            return tokenizer->added.at[i].id;
    return vg_vocabulary_find(&tokenizer->vocabulary, token, size);
}

int64_t vg_tokenizer_size(const vg_tokenizer *tokenizer)
{
    return tokenizer->vocabulary.size;
}

int32_t vg_tokenizer_bos(const vg_tokenizer *tokenizer)
{
    return tokenizer->bos;
}
