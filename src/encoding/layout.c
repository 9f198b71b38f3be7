/* layout: the rows are cut wherever a training or a held-out set begins or ends; between two cuts lies a segment, and every set is a union
 * of segments (encoding.md, "Ridge", 1). Products are made once a segment and added up for every set (sums.c). */
#include <stdlib.h>
#include <string.h>

#include "ridge.h"

static void mark_cuts(const vg_range *ranges, int64_t count, uint8_t *cut)
{
    for (int64_t i = 0; i < count; i++)
        cut[ranges[i].begin] = cut[ranges[i].end] = 1;
}

static void mark_fold(const vg_fold *fold, uint8_t *cut)
{
    mark_cuts(fold->train, fold->train_ranges, cut);
    mark_cuts(fold->test, fold->test_ranges, cut);
    for (int64_t j = 0; j < fold->inner_count; j++)
        mark_fold(&fold->inner[j], cut);
}

/* cut (T + 1): 1 where a segment begins, and at the end. */
static vg_status make_cuts(const vg_folds *folds, uint8_t **cut, int64_t *segments)
{
    VG_TRY(VG_NEW(cut, folds->rows + 1, "cuts of rows"));
    (*cut)[0] = (*cut)[folds->rows] = 1;
    for (int64_t k = 0; k < folds->outer_count; k++)
        mark_fold(&folds->outer[k], *cut);
    *segments = 0;
    for (int64_t t = 0; t < folds->rows; t++)
        *segments += (*cut)[t];
    return VG_OK;
}

vg_status ridge_count_segments(const vg_folds *folds, int64_t *segments)
{
    uint8_t *cut;
    VG_TRY(make_cuts(folds, &cut, segments));
    free(cut);
    return VG_OK;
}

static vg_status make_segments(const vg_folds *folds, ridge_layout *layout)
{
    uint8_t *cut;
    VG_TRY(make_cuts(folds, &cut, &layout->segments));
    vg_status status = VG_NEW(&layout->begin, layout->segments + 1, "segments");
    for (int64_t t = 0, s = 0; status == VG_OK && t <= folds->rows; t++)
        if (cut[t])
            layout->begin[s++] = (int32_t)t;
    free(cut);
    return status;
}

static vg_status make_sets(const vg_folds *folds, ridge_layout *layout)
{
    layout->outer_sets = folds->nested ? folds->outer_count : 0;
    layout->sets = layout->outer_sets;
    for (int64_t k = 0; k < folds->outer_count; k++)
        layout->sets += folds->outer[k].inner_count;
    VG_TRY(VG_NEW(&layout->set, layout->sets, "sets of rows"));
    ridge_set *set = layout->set;
    for (int64_t k = 0; k < layout->outer_sets; k++)
        (set++)->fold = &folds->outer[k];
    for (int64_t k = 0; k < folds->outer_count; k++)
        for (int64_t j = 0; j < folds->outer[k].inner_count; j++)
            (set++)->fold = &folds->outer[k].inner[j];
    return VG_OK;
}

static bool contains(const vg_range *ranges, int64_t count, int64_t row)
{
    for (int64_t i = 0; i < count; i++)
        if (row >= ranges[i].begin && row < ranges[i].end)
            return true;
    return false;
}

/* Of every set its segments: lists of all sets, and where each one's begin (sets + 1). */
static vg_status list_segments(ridge_layout *layout, int32_t *train_begin, int32_t *test_begin)
{
    int64_t most = layout->sets * layout->segments, trains = 0, tests = 0;
    VG_TRY(VG_NEW(&layout->train, most, "segments of sets"));
    VG_TRY(VG_NEW(&layout->test, most, "segments of sets"));
    for (int64_t i = 0; i < layout->sets; i++) {
        ridge_set *set = &layout->set[i];
        const vg_fold *fold = set->fold;
        set->train = trains;
        set->test = tests;
        for (int64_t s = 0; s < layout->segments; s++) {
            if (contains(fold->train, fold->train_ranges, layout->begin[s]))
                layout->train[trains++] = (int32_t)s;
            if (contains(fold->test, fold->test_ranges, layout->begin[s]))
                layout->test[tests++] = (int32_t)s;
        }
        set->trains = trains - set->train;
        set->tests = tests - set->test;
        train_begin[i + 1] = (int32_t)trains;
        test_begin[i + 1] = (int32_t)tests;
    }
    return VG_OK;
}

static vg_status send(vg_device *d, const int32_t *host, int64_t count, int32_t **there)
{
    size_t bytes = (size_t)count * sizeof *host;
    VG_TRY(d->ops->alloc(d, bytes, (void **)there));
    return d->ops->up(d, *there, host, bytes);
}

vg_status ridge_layout_create(vg_device *device, const vg_folds *folds, ridge_layout *layout)
{
    *layout = (ridge_layout){.device = device, .rows = folds->rows};
    int32_t *train_begin = NULL, *test_begin = NULL, *term = NULL;
    int64_t terms;
    vg_status status;
    VG_GO(make_segments(folds, layout));
    VG_GO(make_sets(folds, layout));
    VG_GO(VG_NEW(&train_begin, layout->sets + 1, "sets of rows"));
    VG_GO(VG_NEW(&test_begin, layout->sets + 1, "sets of rows"));
    VG_GO(list_segments(layout, train_begin, test_begin));
    VG_GO(ridge_make_sums(folds, layout, &term, &terms));
    VG_GO(send(device, layout->begin, layout->segments + 1, &layout->begin_there));
    VG_GO(send(device, train_begin, layout->sets + 1, &layout->train_begin));
    VG_GO(send(device, test_begin, layout->sets + 1, &layout->test_begin));
    VG_GO(send(device, layout->train, train_begin[layout->sets], &layout->train_there));
    VG_GO(send(device, layout->test, test_begin[layout->sets], &layout->test_there));
    VG_GO(send(device, term, terms, &layout->term));
done:
    free(train_begin);
    free(test_begin);
    free(term);
    if (status != VG_OK)
        ridge_layout_free(layout);
    return status;
}

void ridge_layout_free(ridge_layout *layout)
{
    int32_t *there[] = {layout->begin_there, layout->train_there, layout->test_there,
                        layout->train_begin, layout->test_begin,  layout->term};
    for (size_t i = 0; i < sizeof there / sizeof there[0]; i++)
        if (there[i] != NULL)
            layout->device->ops->free(layout->device, there[i]);
    free(layout->set);
    free(layout->sum);
    free(layout->first_sum);
    free(layout->begin);
    free(layout->train);
    free(layout->test);
    *layout = (ridge_layout){0};
}
