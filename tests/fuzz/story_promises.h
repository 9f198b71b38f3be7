/* story_promises: what stimulus.h promises of every story that is read. */
#ifndef VOXGRAD_TESTS_STORY_PROMISES_H
#define VOXGRAD_TESTS_STORY_PROMISES_H

#include <stdlib.h>
#include <string.h>

#include "voxgrad/stimulus.h"

static inline void try_story(const char *path, const uint8_t *bytes, size_t size, const char *tier)
{
    vg_story story;
    if (vg_story_parse(path, (const char *)bytes, size, tier, 0, &story) != VG_OK)
        return;
    if (story.count < 1)
        abort();
    for (int64_t n = 0; n < story.count; n++) {
        const vg_word *word = &story.words[n];
        bool ordered = n == 0 || word->onset >= word[-1].onset;
        if (word->text[0] == '\0' || word->text[0] == ' ' || !(word->onset >= 0) || !(word->offset >= word->onset) || !ordered)
            abort();
    }
    char *text = NULL;
    int64_t *begin = calloc((size_t)story.count, sizeof *begin), *end = calloc((size_t)story.count, sizeof *end);
    if (vg_story_text(&story, &text, begin, end) != VG_OK || begin[0] != 0 || end[story.count - 1] != (int64_t)strlen(text))
        abort();
    for (int64_t n = 1; n < story.count; n++)
        if (begin[n] != end[n - 1] || text[begin[n]] != ' ')
            abort();
    free(begin);
    free(end);
    free(text);
    vg_story_free(&story);
}

#endif
