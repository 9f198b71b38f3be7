/* layout: the rows are cut wherever a training or a held-out set begins or ends; between two cuts lies a segment, and every set is a union
 * of segments (encoding.md, "Ridge", 1). Products are made once a segment and added up, or taken from the total, a set. */
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

/* The lists in the making: (sets * segments) at most each; terms twice that and the total's. */
typedef struct {
    int32_t *test_begin, *test, *train_begin, *train, *term;
    float *sign;
    int64_t tests, trains, terms;
} lists;

static void add_term(lists *l, int64_t segment, float sign)
{
    l->term[l->terms] = (int32_t)segment;
    l->sign[l->terms++] = sign;
}

/* The terms of a union of segments, shorter of the two ways. */
static void add_terms(lists *l, const int32_t *segments, int64_t count, int64_t all, int64_t *first, int64_t *terms)
{
    *first = l->terms;
    if (2 * count <= all + 1) {
        for (int64_t i = 0; i < count; i++)
            add_term(l, segments[i], 1);
    } else {
        add_term(l, all, 1);
        for (int64_t s = 0, i = 0; s < all; s++) {
            if (i < count && segments[i] == s)
                i++;
            else
                add_term(l, s, -1);
        }
    }
    *terms = l->terms - *first;
}

static void list_set(ridge_layout *layout, ridge_set *set, lists *l)
{
    const vg_fold *fold = set->fold;
    int64_t test = l->tests, train = l->trains;
    for (int64_t s = 0; s < layout->segments; s++) {
        if (contains(fold->test, fold->test_ranges, layout->begin[s]))
            l->test[l->tests++] = (int32_t)s;
        if (contains(fold->train, fold->train_ranges, layout->begin[s]))
            l->train[l->trains++] = (int32_t)s;
    }
    add_terms(l, l->train + train, l->trains - train, layout->segments, &set->train_term, &set->train_terms);
    add_terms(l, l->test + test, l->tests - test, layout->segments, &set->test_term, &set->test_terms);
}

static vg_status make_lists(ridge_layout *layout, lists *l)
{
    int64_t most = layout->sets * layout->segments;
    VG_TRY(VG_NEW(&l->test_begin, layout->sets + 1, "sets of rows"));
    VG_TRY(VG_NEW(&l->train_begin, layout->sets + 1, "sets of rows"));
    VG_TRY(VG_NEW(&l->test, most, "segments of sets"));
    VG_TRY(VG_NEW(&l->train, most, "segments of sets"));
    VG_TRY(VG_NEW(&l->term, 2 * (most + layout->sets) + layout->segments, "terms of sets"));
    VG_TRY(VG_NEW(&l->sign, 2 * (most + layout->sets) + layout->segments, "terms of sets"));
    for (int64_t i = 0; i < layout->sets; i++) {
        list_set(layout, &layout->set[i], l);
        l->test_begin[i + 1] = (int32_t)l->tests;
        l->train_begin[i + 1] = (int32_t)l->trains;
    }
    layout->total_term = l->terms;
    for (int64_t s = 0; s < layout->segments; s++)
        add_term(l, s, 1);
    return VG_OK;
}

static vg_status send(vg_device *d, const void *host, int64_t count, void **there)
{
    size_t bytes = (size_t)count * 4;
    VG_TRY(d->ops->alloc(d, bytes, there));
    return d->ops->up(d, *there, host, bytes);
}

vg_status ridge_layout_create(vg_device *device, const vg_folds *folds, ridge_layout *layout)
{
    *layout = (ridge_layout){.device = device, .rows = folds->rows};
    lists l = {0};
    vg_status status;
    VG_GO(make_segments(folds, layout));
    VG_GO(make_sets(folds, layout));
    VG_GO(make_lists(layout, &l));
    VG_GO(send(device, layout->begin, layout->segments + 1, (void **)&layout->begin_there));
    VG_GO(send(device, l.test_begin, layout->sets + 1, (void **)&layout->test_begin));
    VG_GO(send(device, l.train_begin, layout->sets + 1, (void **)&layout->train_begin));
    VG_GO(send(device, l.test, l.tests, (void **)&layout->test));
    VG_GO(send(device, l.train, l.trains, (void **)&layout->train));
    VG_GO(send(device, l.term, l.terms, (void **)&layout->term));
    VG_GO(send(device, l.sign, l.terms, (void **)&layout->sign));
done:
    free(l.test_begin);
    free(l.train_begin);
    free(l.test);
    free(l.train);
    free(l.term);
    free(l.sign);
    if (status != VG_OK)
        ridge_layout_free(layout);
    return status;
}

void ridge_layout_free(ridge_layout *layout)
{
    void *there[] = {layout->begin_there, layout->test_begin, layout->test, layout->train_begin, layout->train, layout->term, layout->sign};
    for (size_t i = 0; i < sizeof there / sizeof there[0]; i++)
        if (there[i] != NULL)
            layout->device->ops->free(layout->device, there[i]);
    free(layout->begin);
    free(layout->set);
    *layout = (ridge_layout){0};
}
