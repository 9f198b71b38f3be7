/* tokenizer_json (private to the reader of tokenizer.json): values of a key, of the type that they must have, or VG_INVALID naming the
 * file, the section, the key, what is there and what must be. */
#ifndef VOXGRAD_LM_TOKENIZER_JSON_H
#define VOXGRAD_LM_TOKENIZER_JSON_H

#include <jansson.h>

#include "tokenizer.h"

typedef struct {
    const char *path; /* what messages call the file */
    vg_tokenizer *tokenizer;
} vg_reader;

/* A row of a section's table: the `type` of an object, and what reads it. */
typedef struct {
    const char *type;
    vg_status (*read)(const vg_reader *r, const json_t *object);
} vg_kind;

const char *vg_json_type(const json_t *value);
vg_status vg_json_expected(const vg_reader *r, const char *section, const char *key, const json_t *found, const char *what);
vg_status vg_json_string(const vg_reader *r, const json_t *object, const char *section, const char *key, const char **text, size_t *size);
vg_status vg_json_character(const vg_reader *r, const json_t *object, const char *section, const char *key, const char **text,
                            size_t *size);
vg_status vg_json_integer(const vg_reader *r, const json_t *object, const char *section, const char *key, int64_t *value);

/* fallback: 0 or 1 where the key may be missing or null, -1 where it must be there. */
vg_status vg_json_bool(const vg_reader *r, const json_t *object, const char *section, const char *key, int fallback, bool *value);

/* A copy to be given to free(); and the file and section before a message that knows neither. */
vg_status vg_json_copy(const char *text, size_t size, char **copy);
vg_status vg_json_within(const vg_reader *r, const char *section, vg_status status);

/* A section: nothing, an object of one of the kinds, or a Sequence of such objects under the key `list`. */
vg_status vg_json_section(const vg_reader *r, const json_t *object, const char *section, const char *list, const vg_kind *kinds, int depth);

/* The sections. The model needs the ids of the added tokens to know how many there are; these need the model to have an id. */
vg_status vg_read_kinds(const vg_reader *r, const json_t *root);          /* normalizer, pre_tokenizer, decoder */
vg_status vg_read_model(const vg_reader *r, const json_t *root);          /* model, added_tokens */
vg_status vg_read_post_processor(const vg_reader *r, const json_t *root); /* once the ids are known */

#endif
