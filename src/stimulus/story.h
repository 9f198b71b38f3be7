/* story: what readers of stories share. A reader hands over words as they come; the builder knows what is a word, checks times, and at
 * the end makes the story (untimed words included). Adding a format: one file with a reader, one row in story.c. */
#ifndef VOXGRAD_SRC_STIMULUS_STORY_H
#define VOXGRAD_SRC_STIMULUS_STORY_H

#include "voxgrad/stimulus.h"

/* A word while its story is read; NaN: the file does not say. */
typedef struct {
    int64_t at; /* first of its bytes in `characters`, which end in NUL */
    double onset, offset;
} vg_story_draft;

typedef struct {
    const char *path;
    const char *unit; /* between path and number in messages: ":" (lines) or ": word " */
    vg_story_draft *words;
    int64_t count, capacity;
    char *characters;
    int64_t used, room;
    double latest_onset, latest_offset; /* of the last timed interval, pauses included */
    int64_t pauses, mended;
} vg_story_builder;

/* An interval with these times (s; NaN: unknown) at line or word `number`: a word, or a pause. Errors: VG_INVALID (negative, infinite,
 * reversed, earlier than or overlapping the interval before), VG_NO_MEMORY. */
vg_status vg_story_add(vg_story_builder *builder, int64_t number, const char *text, size_t size, double onset, double offset);

vg_status vg_textgrid_read(vg_story_builder *builder, const char *text, size_t size, const char *tier);
vg_status vg_events_read(vg_story_builder *builder, const char *text, size_t size, const char *column);
vg_status vg_gentle_read(vg_story_builder *builder, const char *text, size_t size, const char *unused);

#endif
