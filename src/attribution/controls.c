/* controls: spaces that need no pass through the model: what is known of the words themselves, and noise. An explanation of the model
 * is worth something beyond these (encoding.md, "Feature spaces beside the model's"). */
#include <math.h>
#include <stdlib.h>

#include "sweep.h"

/* Words whose onset is within half a window of this one's, per second. */
static double word_rate(const vg_passage *passage, int64_t word)
{
    const double window = 2.0;
    int64_t before = word, after = word;
    while (before > 0 && passage->onset[word] - passage->onset[before - 1] <= window / 2)
        before--;
    while (after + 1 < passage->words && passage->onset[after + 1] - passage->onset[word] <= window / 2)
        after++;
    return (double)(after - before + 1) / window;
}

/* Words per second about the word, its characters, its tokens. */
vg_status vg_describe_rate_length(const vg_attribution *a, const vg_entry *entry, const vg_word_block *block, float *values)
{
    const vg_passage *passage = a->passage;
    (void)entry;
    for (int64_t i = 0; i < block->count; i++) {
        int64_t word = block->first + i;
        values[3 * i] = (float)word_rate(passage, word);
        values[3 * i + 1] = (float)passage->characters[word];
        values[3 * i + 2] = (float)(passage->first[word + 1] - passage->first[word]);
    }
    return VG_OK;
}

/* The word's place in the story, from 0 to 1, and in its sentence, from 0 on; where no text ends a sentence the latter is 0. */
vg_status vg_describe_position(const vg_attribution *a, const vg_entry *entry, const vg_word_block *block, float *values)
{
    const vg_passage *passage = a->passage;
    bool sentences = false;
    int64_t since = 0;
    (void)entry;
    for (int64_t w = 0; w < passage->words; w++)
        sentences |= passage->ends[w] != 0;
    for (int64_t w = 0; w < block->first + block->count; w++) {
        if (w >= block->first) {
            float *row = values + 2 * (w - block->first);
            row[0] = passage->words > 1 ? (float)((double)w / (double)(passage->words - 1)) : 0.0f;
            row[1] = sentences ? (float)since : 0.0f;
        }
        since = passage->ends[w] != 0 ? 0 : since + 1;
    }
    return VG_OK;
}

/* Mean (or sum) of the word's own token embeddings; a word without tokens has none. */
vg_status vg_describe_static(const vg_attribution *a, const vg_entry *entry, const vg_word_block *block, float *values)
{
    const vg_passage *passage = a->passage;
    int64_t width = vg_model_get_shape(a->model)->width;
    const float *table = vg_model_embedding(a->model);
    for (int64_t i = 0; i < block->count; i++) {
        int64_t begin = passage->first[block->first + i], end = passage->first[block->first + i + 1];
        for (int64_t c = 0; c < width; c++) {
            double sum = 0;
            for (int64_t t = begin; t < end; t++)
                sum += (double)table[passage->ids[t] * width + c];
            values[i * width + c] = end == begin ? NAN : (float)(entry->reduce == VG_REDUCE_MEAN ? sum / (double)(end - begin) : sum);
        }
    }
    return VG_OK;
}

/* AR(1) noise of variance 1 from word to word: z_n = r z_(n-1) + sqrt(1 - r^2) e_n, every column for itself. */
vg_status vg_describe_random(const vg_attribution *a, const vg_entry *entry, const vg_word_block *block, float *values)
{
    const vg_space_request *request = &entry->request;
    int64_t words = a->passage->words;
    double fresh = sqrt(1 - request->ar1 * request->ar1);
    for (int64_t c = 0; c < request->size; c++) {
        double z = 0;
        for (int64_t w = 0; w < block->first + block->count; w++) {
            double e = vg_random_normal(request->seed, VG_RANDOM_SPACE, (uint64_t)(c * words + w));
            z = w == 0 ? e : request->ar1 * z + fresh * e;
            if (w >= block->first)
                values[(w - block->first) * request->size + c] = (float)z;
        }
    }
    return VG_OK;
}
