/* keys: one row for every key of a study: where it goes, its default, what it may be, what it means. Reading, validation, --help and the
 * README's table all come from these rows. A key with a shape of its own (a list, a section with free names) has a function. */
#ifndef VOXGRAD_STUDY_KEYS_H
#define VOXGRAD_STUDY_KEYS_H

#include "voxgrad/study.h"
#include "yaml.h"

typedef enum { VG_KEY_TEXT, VG_KEY_PATH, VG_KEY_REAL, VG_KEY_WHOLE, VG_KEY_OWN } vg_key_kind;

typedef vg_status vg_key_reader(const vg_yaml *yaml, struct fy_node *node, const char *key, vg_study *study, void *item);

typedef struct {
    const char *path; /* "alignment.delays"; in a list's items from the item on ("name") */
    vg_key_kind kind;
    size_t offset;        /* into the struct that the section fills; unused by VG_KEY_OWN */
    const char *standard; /* the default as text; NULL: must be given (VG_KEY_OWN: left to the reader's section) */
    const char *choices;  /* of a text: "a|b|c", or NULL for any */
    double least, most;   /* of a number; both 0: any */
    vg_key_reader *read;  /* of VG_KEY_OWN */
    const char *meaning;
} vg_key;

extern const vg_key vg_study_keys[], vg_model_keys[], vg_feature_keys[], vg_story_keys[], vg_subject_keys[], vg_region_keys[],
    vg_nuisance_keys[];

/* Fills `item` from a mapping by a table of keys (ended by a row without path): first the defaults, then what the file says. */
vg_status vg_keys_read(const vg_yaml *yaml, struct fy_node *mapping, const char *section, const vg_key *keys, vg_study *study, void *item);

/* Gives back the texts of an item. */
void vg_keys_free(const vg_key *keys, void *item);

/* The readers of keys with a shape of their own (readers.c). */
vg_key_reader vg_key_model, vg_key_models, vg_key_features, vg_key_stories, vg_key_subjects, vg_key_runs, vg_key_delays, vg_key_trim,
    vg_key_filter, vg_key_alphas, vg_key_gap, vg_key_layers, vg_key_baseline, vg_key_columns, vg_key_regions, vg_key_planted, vg_key_memory,
    vg_key_stall;

/* Those of responses, atlas files and nuisance (readers_responses.c). */
vg_key_reader vg_key_labels, vg_key_nuisance, vg_key_nuisance_spaces, vg_key_nuisance_files, vg_key_split;

/* A list of texts; a name as one part of a path; every item of a list by its table of keys, items of `size` bytes. */
vg_status vg_read_items(const vg_yaml *yaml, struct fy_node *node, const char *key, const vg_key *keys, vg_study *study, void **items,
                        size_t size, int64_t *count);
vg_status vg_read_texts(const vg_yaml *yaml, struct fy_node *node, const char *key, char ***texts, int64_t *count);
vg_status vg_read_name(const vg_yaml *yaml, struct fy_node *node, const char *key, const char *name, const char *what);

/* Those of the statistics (readers_statistics.c). */
vg_key_reader vg_key_min_shift, vg_key_equal_size, vg_key_families, vg_key_contrasts, vg_key_profile_spaces, vg_key_profile_words;
/* What they read. */
void vg_keys_free_statistics(vg_study *study);

#endif
