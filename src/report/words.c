/* words: the story itself for the page: each word, and for every feature whose columns are the K words before it, how much each of these
 * explains it, as float16. Read from the features.h5 beside the results. */
#include <stdlib.h>
#include <string.h>

#include "report.h"

/* A page that a mailbox takes: stories beyond this are left out, and the page says how many. */
enum { MOST_BYTES = 4000000, MOST_COLUMNS = 64 };

/* Columns word-K ... word-1: the K words before the target. */
static bool is_by_word(const vg_store_space *space)
{
    static const char *const methods[] = {"gradient_norm", "gradient_x_input", "integrated_gradients", "erasure"};
    bool known = false;
    for (size_t i = 0; i < sizeof methods / sizeof *methods; i++)
        known |= space->method != NULL && strcmp(space->method, methods[i]) == 0;
    return known && space->layer == NULL && space->columns >= 1 && space->columns <= MOST_COLUMNS;
}

static vg_status write_space(const report *r, const vg_store_space *space, FILE *json)
{
    float *values = NULL;
    uint8_t *valid = NULL;
    int64_t count;
    vg_status status;
    VG_TRY(vg_multiply(space->words, space->columns, "words", &count));
    VG_GO(VG_NEW(&values, count, "words"));
    VG_GO(VG_NEW(&valid, count, "words"));
    VG_GO(vg_features_read(r->features, space, values, valid));
    fputs("{\"model\":", json);
    encode_json(json, space->model);
    fputs(",\"name\":", json);
    encode_json(json, space->name);
    fprintf(json, ",\"columns\":%lld,\"values\":\"", (long long)space->columns);
    for (int64_t i = 0; i < count; i++) {
        uint16_t half = encode_half(valid[i] != 0 ? values[i] : 0.0f);
        memcpy((char *)values + 2 * i, &half, sizeof half); /* halves take the place of the floats before them */
    }
    encode_base64(json, values, (size_t)count * 2);
    fputs("\"}", json);
done:
    free(values);
    free(valid);
    return status;
}

static vg_status write_words(const report *r, const char *story, FILE *json)
{
    char **texts = NULL;
    double *onsets = NULL;
    int64_t count = 0;
    vg_status status = vg_features_words(r->features, story, &texts, &onsets, NULL, &count);
    if (status == VG_OK) {
        fputs("\"words\":[", json);
        for (int64_t w = 0; w < count; w++) {
            fputs(w > 0 ? "," : "", json);
            encode_json(json, texts[w]);
        }
        fputs("],\"onsets\":[", json);
        for (int64_t w = 0; w < count; w++)
            fprintf(json, "%s%.2f", w > 0 ? "," : "", onsets[w]);
        fputc(']', json);
    }
    vg_store_names_free(texts, count);
    free(onsets);
    return status;
}

/* All spaces of one story: listed[first .. first + count - 1]. */
static vg_status write_story(const report *r, const vg_store_space *listed, int64_t count, FILE *json)
{
    int64_t written = 0;
    fputs("{\"name\":", json);
    encode_json(json, listed->story);
    fputc(',', json);
    VG_TRY(write_words(r, listed->story, json));
    fputs(",\"spaces\":[", json);
    for (int64_t i = 0; i < count; i++)
        if (is_by_word(&listed[i])) {
            fputs(written++ > 0 ? "," : "", json);
            VG_TRY(write_space(r, &listed[i], json));
        }
    fputs("]}", json);
    return VG_OK;
}

static int64_t bytes_of(const vg_store_space *listed, int64_t count)
{
    int64_t bytes = 12 * listed->words;
    for (int64_t i = 0; i < count; i++)
        bytes += is_by_word(&listed[i]) ? listed[i].words * listed[i].columns * 8 / 3 : 0;
    return bytes;
}

static vg_status write_stories(const report *r, const vg_store_space *listed, int64_t listed_count, FILE *json)
{
    int64_t written = 0, left_out = 0, bytes = 0;
    fputs("{\"stories\":[", json);
    for (int64_t first = 0, count; first < listed_count; first += count) {
        for (count = 1; first + count < listed_count && strcmp(listed[first + count].story, listed[first].story) == 0;)
            count++;
        bytes += bytes_of(listed + first, count);
        if (bytes > MOST_BYTES && written > 0) {
            left_out++;
            continue;
        }
        fputs(written++ > 0 ? "," : "", json);
        VG_TRY(write_story(r, listed + first, count, json));
    }
    fprintf(json, "],\"left_out\":%lld}", (long long)left_out);
    return VG_OK;
}

vg_status report_words(const report *r, FILE *json, const char **missing)
{
    vg_store_space *listed = NULL;
    int64_t count = 0;
    bool any = false;
    if (r->features == NULL) {
        *missing = "There is no features.h5 beside the results (--features FILE says where it is).";
        return fputs("null", json) < 0 ? vg_fail(VG_NO_MEMORY, "report: no memory") : VG_OK;
    }
    VG_TRY(vg_features_list(r->features, &listed, &count));
    for (int64_t i = 0; i < count; i++)
        any |= is_by_word(&listed[i]);
    vg_status status = VG_OK;
    if (any) {
        status = write_stories(r, listed, count, json);
    } else {
        *missing = "No feature explains word by word: gradient_norm, gradient_x_input, integrated_gradients and erasure do.";
        fputs("null", json);
    }
    vg_features_list_free(listed, count);
    return status;
}
