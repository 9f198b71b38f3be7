/* tokenizer_bpe: the table of tokens, the table of merges, and byte-pair encoding of one piece (Sennrich et al. 2016,
 * "Neural machine translation of rare words with subword units"): again and again the adjacent pair of the lowest rank, leftmost
 * first, becomes one token. A linked list and a heap of candidate pairs: n log n for a piece of n characters, however long. */
#include <stdlib.h>
#include <string.h>

#include "tokenizer.h"

static uint64_t hash_text(const char *text, size_t size)
{
    uint64_t hash = 0xCBF29CE484222325u; /* FNV-1a */
    for (size_t i = 0; i < size; i++)
        hash = (hash ^ (uint8_t)text[i]) * 0x100000001B3u;
    return hash ^ hash >> 29;
}

static uint64_t hash_pair(uint64_t pair)
{
    pair *= 0x9E3779B97F4A7C15u; /* Fibonacci hashing */
    return pair ^ pair >> 32;
}

static size_t table_size(size_t entries)
{
    size_t size = 16;
    while (size < 2 * entries)
        size *= 2;
    return size;
}

vg_status vg_vocabulary_create(vg_vocabulary *vocabulary, int64_t ids, size_t tokens, size_t merges, size_t bytes)
{
    vocabulary->size = ids;
    vocabulary->slot_count = table_size(tokens);
    vocabulary->pair_count = table_size(merges);
    VG_TRY(VG_NEW(&vocabulary->tokens, ids, "tokens"));
    VG_TRY(VG_NEW(&vocabulary->text, (int64_t)bytes, "bytes of tokens"));
    VG_TRY(VG_NEW(&vocabulary->slots, (int64_t)vocabulary->slot_count, "slots of tokens"));
    VG_TRY(VG_NEW(&vocabulary->pairs, (int64_t)vocabulary->pair_count, "slots of merges"));
    VG_TRY(VG_NEW(&vocabulary->ranks, (int64_t)vocabulary->pair_count, "ranks of merges"));
    VG_TRY(VG_NEW(&vocabulary->merged, (int64_t)merges, "merges"));
    memset(vocabulary->pairs, 0xFF, vocabulary->pair_count * sizeof *vocabulary->pairs);
    return VG_OK;
}

void vg_vocabulary_free(vg_vocabulary *vocabulary)
{
    free(vocabulary->tokens);
    free(vocabulary->text);
    free(vocabulary->slots);
    free(vocabulary->pairs);
    free(vocabulary->ranks);
    free(vocabulary->merged);
    free(vocabulary->unknown);
    *vocabulary = (vg_vocabulary){0};
}

int32_t vg_vocabulary_find(const vg_vocabulary *vocabulary, const char *text, size_t size)
{
    size_t mask = vocabulary->slot_count - 1;
    for (size_t slot = hash_text(text, size) & mask; vocabulary->slots[slot] != 0; slot = (slot + 1) & mask) {
        const vg_token *token = &vocabulary->tokens[vocabulary->slots[slot] - 1];
        if (token->size == size && memcmp(token->text, text, size) == 0)
            return vocabulary->slots[slot] - 1;
    }
    return -1;
}

void vg_vocabulary_add(vg_vocabulary *vocabulary, int32_t id, const char *text, size_t size)
{
    char *copy = vocabulary->text + vocabulary->text_used;
    memcpy(copy, text, size);
    vocabulary->text_used += size;
    vocabulary->tokens[id] = (vg_token){copy, (uint32_t)size};
    size_t mask = vocabulary->slot_count - 1, slot = hash_text(text, size) & mask;
    while (vocabulary->slots[slot] != 0)
        slot = (slot + 1) & mask;
    vocabulary->slots[slot] = id + 1;
}

/* The slot of a pair, or the empty one where it would stand. */
static size_t find_pair(const vg_vocabulary *vocabulary, int32_t left, int32_t right)
{
    uint64_t pair = (uint64_t)left << 32 | (uint32_t)right;
    size_t mask = vocabulary->pair_count - 1, slot = hash_pair(pair) & mask;
    while (vocabulary->pairs[slot] != pair && vocabulary->pairs[slot] != UINT64_MAX)
        slot = (slot + 1) & mask;
    return slot;
}

void vg_vocabulary_merge(vg_vocabulary *vocabulary, uint32_t rank, int32_t left, int32_t right, int32_t merged)
{
    size_t slot = find_pair(vocabulary, left, right);
    vocabulary->pairs[slot] = (uint64_t)left << 32 | (uint32_t)right;
    vocabulary->ranks[slot] = rank;
    vocabulary->merged[rank] = merged;
}

void vg_vocabulary_finish(vg_vocabulary *vocabulary)
{
    for (unsigned byte = 0; byte < 256; byte++) {
        char name[8];
        snprintf(name, sizeof name, "<0x%02X>", byte);
        vocabulary->fallback[byte] = vg_vocabulary_find(vocabulary, name, 6);
    }
    vocabulary->unknown_id = -1;
    if (vocabulary->unknown != NULL)
        vocabulary->unknown_id = vg_vocabulary_find(vocabulary, vocabulary->unknown, strlen(vocabulary->unknown));
}

/* ---- a piece as a list of symbols --------------------------------------------------------------------------------- */

static void add_symbol(vg_word *word, int32_t id, size_t size)
{
    int32_t at = (int32_t)word->count;
    if (at > 0)
        word->symbols[at - 1].next = at;
    word->symbols[word->count++] = (vg_symbol){id, (uint32_t)size, at - 1, -1};
}

/* The bytes of a character as tokens; false where one of them has none. */
static bool fall_back(const vg_vocabulary *vocabulary, const char *bytes, size_t size, vg_word *word)
{
    for (size_t i = 0; i < size; i++)
        if (vocabulary->fallback[(uint8_t)bytes[i]] < 0)
            return false;
    for (size_t i = 0; i < size; i++)
        add_symbol(word, vocabulary->fallback[(uint8_t)bytes[i]], 1);
    return true;
}

/* One symbol for each character. Unknown ones become the unknown token, several in a row one where they are to be fused; it is added
 * when the next known character comes, after any bytes that were fallen back to between them, as in the reference. */
static vg_status list_symbols(const vg_vocabulary *vocabulary, const char *text, size_t size, vg_word *word)
{
    size_t unknown = 0, length;
    word->count = 0;
    VG_TRY(vg_grow((void **)&word->symbols, &word->room, size, sizeof *word->symbols, "symbols"));
    for (size_t at = 0; at < size; at += length) {
        vg_utf8_get(text + at, &length);
        int32_t id = vg_vocabulary_find(vocabulary, text + at, length);
        if (id < 0 && vocabulary->byte_fallback && fall_back(vocabulary, text + at, length, word))
            continue;
        if (id < 0 && vocabulary->unknown == NULL)
            continue;
        if (id < 0 && vocabulary->unknown_id < 0)
            return vg_fail(VG_INVALID, "the tokenizer knows no token for \"%.*s\", and its unk_token \"%s\" is not in its vocabulary",
                           (int)length, text + at, vocabulary->unknown);
        if (unknown > 0 && (id >= 0 || !vocabulary->fuse_unknown)) {
            add_symbol(word, vocabulary->unknown_id, unknown);
            unknown = 0;
        }
        if (id >= 0)
            add_symbol(word, id, length);
        else
            unknown += length;
    }
    if (unknown > 0)
        add_symbol(word, vocabulary->unknown_id, unknown);
    return VG_OK;
}

/* ---- the heap of candidates: rank << 32 | position, so that the least is the lowest rank, leftmost ------------------- */

static void heap_push(vg_word *word, uint64_t key)
{
    size_t at = word->heap_count++;
    while (at > 0 && word->heap[(at - 1) / 2] > key) {
        word->heap[at] = word->heap[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    word->heap[at] = key;
}

static uint64_t heap_pop(vg_word *word)
{
    uint64_t top = word->heap[0], key = word->heap[--word->heap_count];
    size_t at = 0, child;
    while ((child = 2 * at + 1) < word->heap_count) {
        if (child + 1 < word->heap_count && word->heap[child + 1] < word->heap[child])
            child++;
        if (word->heap[child] >= key)
            break;
        word->heap[at] = word->heap[child];
        at = child;
    }
    word->heap[at] = key;
    return top;
}

/* The pair that begins at a symbol becomes a candidate, if it can be merged. */
static void consider(const vg_vocabulary *vocabulary, vg_word *word, int32_t at)
{
    if (at < 0 || word->symbols[at].next < 0)
        return;
    size_t slot = find_pair(vocabulary, word->symbols[at].id, word->symbols[word->symbols[at].next].id);
    if (vocabulary->pairs[slot] != UINT64_MAX)
        heap_push(word, (uint64_t)vocabulary->ranks[slot] << 32 | (uint32_t)at);
}

/* Merges all candidates. One is stale where its pair is no longer there; two merges of one result count as the same, as in the reference.
 */
static vg_status merge_symbols(const vg_vocabulary *vocabulary, vg_word *word)
{
    vg_symbol *symbols = word->symbols;
    word->heap_count = 0;
    VG_TRY(vg_grow((void **)&word->heap, &word->heap_room, 3 * word->count, sizeof *word->heap, "candidates")); /* n first, 2 a merge */
    for (size_t i = 0; i + 1 < word->count; i++)
        consider(vocabulary, word, (int32_t)i);
    while (word->heap_count > 0) {
        uint64_t key = heap_pop(word);
        int32_t at = (int32_t)(key & UINT32_MAX), right = symbols[at].next, merged = vocabulary->merged[key >> 32];
        if (symbols[at].size == 0 || right < 0)
            continue;
        size_t slot = find_pair(vocabulary, symbols[at].id, symbols[right].id);
        if (vocabulary->pairs[slot] == UINT64_MAX || vocabulary->merged[vocabulary->ranks[slot]] != merged)
            continue;
        symbols[at].id = merged;
        symbols[at].size += symbols[right].size;
        symbols[at].next = symbols[right].next;
        symbols[right].size = 0;
        if (symbols[at].next >= 0)
            symbols[symbols[at].next].previous = at;
        consider(vocabulary, word, symbols[at].previous);
        consider(vocabulary, word, at);
    }
    return VG_OK;
}

vg_status vg_vocabulary_split(const vg_vocabulary *vocabulary, const char *text, size_t size, vg_word *word)
{
    int32_t whole = vocabulary->ignore_merges ? vg_vocabulary_find(vocabulary, text, size) : -1;
    if (whole >= 0) {
        VG_TRY(vg_grow((void **)&word->symbols, &word->room, 1, sizeof *word->symbols, "symbols"));
        word->count = 0;
        add_symbol(word, whole, size);
        return VG_OK;
    }
    VG_TRY(list_symbols(vocabulary, text, size, word));
    return merge_symbols(vocabulary, word);
}
