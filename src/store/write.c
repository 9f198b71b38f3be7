/* write: blocks into a file under construction. Data go in place with pwrite, each rank by its own descriptor; a block's slot in
 * the journal follows fdatasync of that descriptor, many blocks at once (architecture.md, "Files"). */
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "io.h"
#include "store_file.h"

static const double GROUP_SECONDS = 5.0;

bool vg_runs_of(const vg_layout_entry *entry, const vg_region *region, vg_runs *runs)
{
    int64_t shape[VG_STORE_DIMENSIONS], stride = (int64_t)entry->element;
    *runs = (vg_runs){.runs = 1};
    for (int d = 0; d < VG_STORE_DIMENSIONS; d++) {
        shape[d] = d < entry->dimensions ? entry->shape[d] : 1;
        if (region->offset[d] < 0 || region->count[d] < 1 || region->offset[d] > shape[d] - region->count[d])
            return false;
        runs->counts[d] = region->count[d];
    }
    for (int d = VG_STORE_DIMENSIONS - 1; d >= 0; d--) {
        runs->strides[d] = stride;
        runs->begin += region->offset[d] * stride;
        stride *= shape[d];
    }
    int inner = VG_STORE_DIMENSIONS - 1; /* a run: a stretch of this dimension, all of those after it */
    while (inner > 0 && region->count[inner] == shape[inner])
        inner--;
    runs->bytes = region->count[inner] * runs->strides[inner];
    runs->outer = inner;
    for (int d = 0; d < inner; d++)
        runs->runs *= region->count[d];
    return true;
}

int64_t vg_runs_at(const vg_runs *runs, int64_t run)
{
    int64_t at = runs->begin;
    for (int d = runs->outer - 1; d >= 0; d--) {
        at += run % runs->counts[d] * runs->strides[d];
        run /= runs->counts[d];
    }
    return at;
}

/* Does `next` go on downwards where `last` ends? Then one checksum continues the other. */
static bool continues(const vg_region *last, const vg_region *next)
{
    if (last->dataset != next->dataset || next->offset[0] != last->offset[0] + last->count[0])
        return false;
    for (int d = 1; d < VG_STORE_DIMENSIONS; d++)
        if (last->offset[d] != next->offset[d] || last->count[d] != next->count[d])
            return false;
    return true;
}

/* Notes a region of the block under work, with its data's checksum. */
static vg_status note(vg_store *store, const vg_region *next, const void *data, size_t size)
{
    vg_region *last = NULL;
    for (int64_t i = store->region_count - 1; i >= 0 && last == NULL; i--)
        if (continues(&store->regions[i], next))
            last = &store->regions[i];
    if (last != NULL) {
        last->count[0] += next->count[0];
        last->crc = vg_crc32c(last->crc, data, size);
        return VG_OK;
    }
    if (store->region_count == store->journal.regions)
        return vg_fail(VG_DEFECT, "%s: a block writes more than the %lld regions of its plan", store->path,
                       (long long)store->journal.regions);
    store->regions[store->region_count] = *next;
    store->regions[store->region_count++].crc = vg_crc32c(0, data, size);
    return VG_OK;
}

static vg_status make_region(const vg_store *store, int64_t dataset, const int64_t *offset, const int64_t *count, vg_region *region)
{
    if (dataset < 0 || dataset >= store->layout->entry_count)
        return vg_fail(VG_DEFECT, "%s: no dataset number %lld", store->path, (long long)dataset);
    const vg_layout_entry *entry = &store->layout->entries[dataset];
    *region = (vg_region){.dataset = dataset};
    for (int d = 0; d < VG_STORE_DIMENSIONS; d++) {
        bool there = d < entry->dimensions;
        region->offset[d] = there && offset != NULL ? offset[d] : 0;
        region->count[d] = !there ? 1 : count != NULL ? count[d] : entry->shape[d];
    }
    return VG_OK;
}

/* The bytes of a part of a dataset, as runs of the file; none where a count is 0. what: "write", for a message. */
static vg_status find_runs(const vg_store *store, const vg_region *region, const char *what, vg_runs *runs)
{
    const vg_layout_entry *entry = &store->layout->entries[region->dataset];
    *runs = (vg_runs){0};
    for (int d = 0; d < VG_STORE_DIMENSIONS; d++)
        if (region->count[d] == 0)
            return VG_OK;
    return vg_runs_of(entry, region, runs) ? VG_OK
                                           : vg_fail(VG_DEFECT, "%s: %s: a %s outside of the dataset", store->path, entry->path, what);
}

vg_status vg_store_write(vg_store *store, int64_t dataset, const int64_t *offset, const int64_t *count, const void *data)
{
    vg_region region = {0};
    vg_runs runs;
    VG_TRY(make_region(store, dataset, offset, count, &region));
    VG_TRY(find_runs(store, &region, "write", &runs));
    if (runs.runs == 0)
        return VG_OK;
    VG_TRY(note(store, &region, data, (size_t)(runs.runs * runs.bytes)));
    for (int64_t r = 0; r < runs.runs; r++)
        VG_TRY(vg_io_write(store->data, store->part, (const char *)data + r * runs.bytes, (size_t)runs.bytes,
                           store->journal.offsets[dataset] + vg_runs_at(&runs, r)));
    return VG_OK;
}

vg_status vg_store_read_back(const vg_store *store, int64_t dataset, const int64_t *offset, const int64_t *count, void *data)
{
    vg_region region = {0};
    vg_runs runs;
    VG_TRY(make_region(store, dataset, offset, count, &region));
    VG_TRY(find_runs(store, &region, "read", &runs));
    for (int64_t r = 0; r < runs.runs; r++)
        VG_TRY(vg_io_read(store->data, store->part, (char *)data + r * runs.bytes, (size_t)runs.bytes,
                          store->journal.offsets[dataset] + vg_runs_at(&runs, r)));
    return VG_OK;
}

/* Unix time, microseconds. */
static int64_t clock_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

vg_status vg_store_commit(vg_store *store, int64_t block)
{
    if (block < 0 || block >= store->journal.blocks)
        return vg_fail(VG_DEFECT, "%s: no block number %lld", store->path, (long long)block);
    if (store->whole[block] || store->mine[block])
        return vg_fail(VG_DEFECT, "%s: block %lld is committed twice", store->path, (long long)block);
    double now = vg_seconds();
    vg_slot slot = {.block = block,
                    .rank = vg_comm_rank(store->comm),
                    .regions = store->region_count,
                    .ended = clock_now(),
                    .took = (int64_t)((now - store->began) * 1e6)};
    store->began = now;
    vg_slot_pack(&store->journal, &slot, store->regions, store->pending + store->pending_count * store->journal.slot_bytes);
    store->pending_blocks[store->pending_count++] = block;
    store->mine[block] = 1;
    store->region_count = 0;
    if (store->pending_count == VG_STORE_GROUP || now - store->grouped >= GROUP_SECONDS)
        VG_TRY(vg_store_flush(store));
    return vg_comm_border(store->comm);
}

vg_status vg_store_flush(vg_store *store)
{
    const vg_journal *journal = &store->journal;
    store->grouped = vg_seconds();
    if (store->pending_count == 0)
        return VG_OK;
    if (fdatasync(store->data) != 0)
        return vg_io_fail(store->part, "cannot be brought to the disk");
    for (int i = 0; i < store->pending_count; i++)
        VG_TRY(vg_io_write(store->slots, store->journal_path, store->pending + i * journal->slot_bytes, (size_t)journal->slot_bytes,
                           journal->header_bytes + store->pending_blocks[i] * journal->slot_bytes));
    store->pending_count = 0;
    return VG_OK;
}
