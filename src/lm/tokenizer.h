/* tokenizer (private to the room): tokenizer.json compiled into two short lists of operations on pieces of text, one table of
 * tokens and one of merges. Every byte of a working text remembers the bytes of the original text that it stands for
 * (its origin), so that offsets survive normalization. What each operation does is what the reference does, the
 * `tokenizers` library (Hugging Face, 0.23), offsets included. */
#ifndef VOXGRAD_LM_TOKENIZER_H
#define VOXGRAD_LM_TOKENIZER_H

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "voxgrad/lm.h"

/* ---- text ----------------------------------------------------------------------------------------------------- */

typedef struct {
    uint32_t begin, end; /* bytes of the original text */
} vg_origin;

/* A stretch of a working text. An added token is a piece that is done: `id` >= 0. */
typedef struct {
    size_t begin, end;          /* bytes of the working text */
    int32_t id;                 /* -1: still text */
    uint32_t start;             /* where the piece began in the original text when it was cut */
    vg_origin origin;           /* of an added token */
    uint32_t leading, trailing; /* blanks that an added token took with it, in characters */
} vg_piece;

typedef struct {
    char *bytes;
    vg_origin *origin; /* (size) */
    size_t size, capacity;
    size_t limit; /* VG_INVALID beyond it; 0: none */
    vg_piece *pieces;
    size_t count, room;
} vg_text;

/* How long a text may become on its way: normalization forms make a character at most 18 times as long; a file that makes more of it is
 * broken or means harm. */
#define VG_LONGEST(size) (64 * (size) + 65536)

void vg_text_clear(vg_text *text);
void vg_text_free(vg_text *text);
vg_status vg_text_append(vg_text *text, const char *bytes, size_t size, vg_origin origin);
vg_status vg_text_copy(vg_text *text, const vg_text *from, size_t begin, size_t end);
vg_status vg_text_piece(vg_text *text, vg_piece piece);

vg_status vg_text_cut(vg_text *text, const vg_text *from, size_t begin, size_t end);
void vg_text_take_pieces(vg_text *text, vg_text *from);

/* Makes room for `wanted` elements, doubling. */
vg_status vg_grow(void **memory, size_t *capacity, size_t wanted, size_t size, const char *what);

/* One code point of valid UTF-8, and how many bytes it takes; and the way back. */
uint32_t vg_utf8_get(const char *bytes, size_t *length);
size_t vg_utf8_put(uint32_t code, char bytes[4]);
bool vg_is_space(uint32_t code); /* Unicode's White_Space */

/* How many characters at each end are blanks, GPT-2's letter for one included. */
void vg_count_blanks(const char *bytes, size_t size, uint32_t *leading, uint32_t *trailing);

/* ---- patterns ------------------------------------------------------------------------------------------------- */

/* A pattern in the reference's syntax (Oniguruma) or a literal string, compiled by PCRE2. */
typedef struct {
    pcre2_code *code;
    bool invert; /* what does not match counts as the match */
} vg_pattern;

typedef struct {
    size_t begin, end;
    bool match;
} vg_span;

typedef struct {
    vg_span *at;
    size_t count, room;
    pcre2_match_data *match; /* made by the first match */
} vg_spans;
void vg_spans_free(vg_spans *spans);

vg_status vg_pattern_compile(const char *text, size_t size, bool literal, vg_pattern *pattern);
void vg_pattern_free(vg_pattern *pattern);

/* Cuts a text into spans, matches and what lies between; together they cover it. */
vg_status vg_pattern_spans(const vg_pattern *pattern, const char *text, size_t size, vg_spans *spans);

/* Translates Oniguruma's syntax to PCRE2's. *translated is the caller's, to be given to free(). */
vg_status vg_pattern_translate(const char *text, size_t size, char **translated, size_t *translated_size);

/* ---- operations ----------------------------------------------------------------------------------------------- */

typedef enum {
    VG_STEP_PREPEND,   /* content before the piece */
    VG_STEP_REPLACE,   /* matches by content */
    VG_STEP_SPLIT,     /* one piece into several */
    VG_STEP_BYTES,     /* every byte by its printable character (GPT-2's alphabet) */
    VG_STEP_NORMALIZE, /* to a Unicode normalization form */
    VG_STEP_LOWERCASE,
    VG_STEP_STRIP, /* blanks at the ends */
} vg_step_kind;

typedef enum { VG_SPLIT_REMOVED, VG_SPLIT_ISOLATED, VG_SPLIT_WITH_PREVIOUS, VG_SPLIT_WITH_NEXT, VG_SPLIT_CONTIGUOUS } vg_split_kind;

typedef struct {
    vg_step_kind kind;
    vg_pattern pattern;
    char *content;
    size_t content_size;
    vg_split_kind split;
    bool unless_there, only_first; /* PREPEND: not where it already stands; only where the text begins */
    bool left, right;              /* STRIP */
    bool composed, compatible;     /* NORMALIZE: NFC and NFKC; NFKC and NFKD */
} vg_step;

typedef struct {
    vg_step *at;
    size_t count, room;
} vg_steps;

/* Runs the steps on all pieces that are still text; `spare` is working space, and swapped with `text` on the way. */
vg_status vg_steps_run(const vg_steps *steps, vg_text *text, vg_text *spare, vg_spans *spans);
void vg_steps_free(vg_steps *steps);

/* Unicode's normalization forms and full lowercase of one piece, appended to `out`. */
vg_status vg_normalize(const vg_step *step, const vg_text *text, const vg_piece *piece, vg_text *out);
vg_status vg_lowercase(const vg_text *text, const vg_piece *piece, vg_text *out);

/* GPT-2's alphabet: a printable code point for every byte, and back (-1: not of the alphabet). */
uint32_t vg_byte_letter(uint8_t byte);
int vg_letter_byte(uint32_t code);

/* ---- vocabulary ----------------------------------------------------------------------------------------------- */

typedef struct {
    const char *text; /* in the vocabulary's own memory; NULL: no such id */
    uint32_t size;
} vg_token;

typedef struct {
    vg_token *tokens; /* (size), by id */
    int64_t size;
    char *text; /* of all tokens */
    size_t text_used;
    int32_t *slots; /* open addressing: id + 1 by the text's hash, 0 empty */
    size_t slot_count;
    uint64_t *pairs; /* open addressing: left << 32 | right, UINT64_MAX empty */
    uint32_t *ranks;
    size_t pair_count;
    int32_t *merged; /* by rank: the id that a merge makes */
    int32_t fallback[256];
    bool byte_fallback, fuse_unknown, ignore_merges;
    char *unknown;      /* NULL: unknown characters are dropped */
    int32_t unknown_id; /* -1: not in the vocabulary */
} vg_vocabulary;

/* Room for ids below `ids`, that many tokens with that many bytes together, and merges. */
vg_status vg_vocabulary_create(vg_vocabulary *vocabulary, int64_t ids, size_t tokens, size_t merges, size_t bytes);
void vg_vocabulary_free(vg_vocabulary *vocabulary);
int32_t vg_vocabulary_find(const vg_vocabulary *vocabulary, const char *text, size_t size);

/* All ids and ranks are checked by the caller. */
void vg_vocabulary_add(vg_vocabulary *vocabulary, int32_t id, const char *text, size_t size);
void vg_vocabulary_merge(vg_vocabulary *vocabulary, uint32_t rank, int32_t left, int32_t right, int32_t merged);
void vg_vocabulary_finish(vg_vocabulary *vocabulary); /* once all tokens are there */

/* A token of a piece while it is merged: its id, its bytes of the piece, its neighbours. */
typedef struct {
    int32_t id;
    uint32_t size; /* 0: merged away */
    int32_t previous, next;
} vg_symbol;

typedef struct {
    vg_symbol *symbols;
    size_t count, room;
    uint64_t *heap; /* rank << 32 | position */
    size_t heap_count, heap_room;
} vg_word;

/* The tokens of one piece, in word->symbols (those of size 0 are no longer there). */
vg_status vg_vocabulary_split(const vg_vocabulary *vocabulary, const char *text, size_t size, vg_word *word);

/* ---- added tokens --------------------------------------------------------------------------------------------- */

typedef struct {
    char *content; /* as it stands in texts */
    char *pattern; /* what is looked for: normalized where `normalized` */
    size_t content_size, pattern_size;
    int32_t id;
    bool single_word, lstrip, rstrip, normalized, special;
} vg_added;

typedef struct {
    vg_added *at;
    size_t count;
    int32_t *order;        /* (count): by first byte of the pattern, longest first */
    int32_t first[2][257]; /* [normalized][byte]: where in `order` the patterns begin */
    vg_pattern word;       /* \w */
} vg_added_tokens;

/* Sets the pattern of a token; then, once all have one, the index. Errors: VG_INVALID (two are the same, one is empty). */
vg_status vg_added_normalize(vg_added *token, const vg_steps *normalizer);
vg_status vg_added_index(vg_added_tokens *added);
vg_status vg_added_split(const vg_added_tokens *added, bool normalized, vg_text *text, vg_text *spare, vg_spans *spans);
void vg_added_free(vg_added_tokens *added);

/* ---- decoding ------------------------------------------------------------------------------------------------- */

typedef enum {
    VG_DECODE_BYTES,
    VG_DECODE_REPLACE,
    VG_DECODE_BYTE_FALLBACK,
    VG_DECODE_FUSE,
    VG_DECODE_STRIP,
    VG_DECODE_METASPACE,
} vg_decode_kind;

typedef struct {
    vg_decode_kind kind;
    vg_pattern pattern;
    char *content;
    size_t content_size;
    int64_t start, stop; /* STRIP */
    bool prepended;      /* METASPACE */
} vg_decode_step;

typedef struct {
    vg_decode_step *at;
    size_t count, room;
    bool there; /* false: tokens are joined by blanks */
} vg_decoder;

vg_status vg_decoder_run(const vg_decoder *decoder, const vg_token *tokens, size_t count, char **text);
void vg_decoder_free(vg_decoder *decoder);

/* ---- the whole ------------------------------------------------------------------------------------------------ */

struct vg_tokenizer {
    vg_vocabulary vocabulary;
    vg_added_tokens added;
    vg_steps normalizer, pre_tokenizer;
    vg_decoder decoder;
    vg_token *texts; /* by id, as they are decoded: a normalized added token by what it is in normalized text */
    int32_t bos;
    bool trim_offsets, trim_keeps_prefix;
};

/* Reads the bytes of a tokenizer.json; `path` is what messages call it. */
vg_status vg_tokenizer_parse(const char *path, const char *bytes, size_t size, vg_tokenizer **tokenizer);

#endif
