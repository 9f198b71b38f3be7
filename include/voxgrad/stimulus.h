/* stimulus: the words of a story, each with its onset and offset, from the files in which the field keeps them. Nothing here is collective.
 */
#ifndef VOXGRAD_STIMULUS_H
#define VOXGRAD_STIMULUS_H

#include "voxgrad/base.h"

/* A word as it was heard: UTF-8 without white space around it (inner runs of it are one space), 0 <= onset <= offset in seconds of the
 * stimulus; onsets never decrease. */
typedef struct {
    const char *text;
    double onset, offset;
    bool interpolated; /* the file gives no times for this word (a clitic, a word the aligner did not find) */
} vg_word;

typedef struct {
    char *path, *name; /* the file, and its name without folder and extension */
    vg_word *words;    /* (count), at least one */
    int64_t count;
    int64_t interpolated; /* words without times of their own; they lie evenly between their timed neighbours */
    int64_t mended;       /* words of a table whose offset lay before their onset; it is the next word's onset instead (warned of) */
    int64_t pauses;       /* intervals that are no words: empty, or a pause mark (sp sil <p> # ...) */
    char *characters;     /* the words' bytes, one after another */
} vg_story;

/* Reads the words of a story. The format is known by extension, else by content:
 *   TextGrid   Praat's long and short text files; `tier`: the interval tier's name, NULL: the only interval tier
 *   table      .tsv (BIDS events and others) and .csv with a header line; `tier`: the column with the words, NULL: the first there is of
 *              word, words, text, token, trial_type, value. Times: onset (start, xmin, ...) and offset (end, xmax, ...) or duration, in s
 *   Gentle     .json of the forced aligner (`tier` is not used)
 * `offset` (s) is added to all times. A word whose times are missing (`n/a`, empty, not found in the audio) is kept, since the language
 * model must read what was heard: untimed words between two timed ones share the time from the offset of the one to the onset of the other
 * evenly. `story` is the caller's, to be given to vg_story_free (also after a failure it may be).
 * Errors: VG_INVALID with file and line (not there; cut off; no such tier or column, with those there are; reversed, overlapping, negative
 * or non-finite times; untimed words at an end of the story; no words at all), VG_NO_MEMORY. */
vg_status vg_story_open(const char *path, const char *tier, double offset, vg_story *story);
void vg_story_free(vg_story *story);

/* The same from `size` bytes of UTF-8 in memory; `path` is for the format and for messages. */
vg_status vg_story_parse(const char *path, const char *text, size_t size, const char *tier, double offset, vg_story *story);

/* The story as one text: its words joined by single spaces, NUL after its end, to be given to free(). Word n has the bytes
 * [begin[n], end[n]): they tile the text, since the space before a word belongs to that word. begin and end have room for story->count. */
vg_status vg_story_text(const vg_story *story, char **text, int64_t *begin, int64_t *end);

/* The name of format i, NULL past the last (for help and messages). */
const char *vg_story_format(int i);

#endif
