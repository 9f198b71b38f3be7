/* merge: unfinished files that tasks made side by side, each with some of the blocks of one plan, into one. All have the same structure,
 * byte by byte; what a task did is in its journal, and goes over region by region, with its checksums looked at. The layout is read from
 * the file: the study is not needed. */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "h5.h"
#include "io.h"
#include "store_file.h"

/* ---- the layout of an unfinished file ---------------------------------------------------------------------------------------- */

typedef struct {
    const vg_journal *journal;
    vg_layout_entry *entries; /* (journal->datasets), in the journal's order */
    vg_status status;
} finder;

static vg_status describe(hid_t dataset, const char *name, vg_layout_entry *entry)
{
    hsize_t extent[VG_STORE_DIMENSIONS] = {0};
    hid_t type = H5Dget_type(dataset), space = H5Dget_space(dataset);
    int dimensions = H5Sget_simple_extent_ndims(space);
    bool good = dimensions >= 1 && dimensions <= VG_STORE_DIMENSIONS && H5Sget_simple_extent_dims(space, extent, NULL) >= 0;
    entry->element = H5Tget_size(type);
    entry->dimensions = dimensions;
    H5Tclose(type);
    H5Sclose(space);
    if (!good)
        return vg_fail(VG_INVALID, "/%s: is no dataset of voxgrad's", name);
    entry->bytes = (int64_t)entry->element;
    for (int d = 0; d < dimensions; d++) {
        entry->shape[d] = (int64_t)extent[d];
        entry->bytes *= entry->shape[d];
    }
    return vg_format(&entry->path, "/%s", name);
}

/* The journal knows where each of its datasets begins in the file. */
static herr_t look_at(hid_t file, const char *name, const H5O_info_t *about, void *data)
{
    finder *find = data;
    if (about->type != H5O_TYPE_DATASET)
        return 0;
    hid_t dataset = H5Dopen2(file, name, H5P_DEFAULT);
    haddr_t at = H5Dget_offset(dataset);
    for (int64_t i = 0; find->status == VG_OK && at != HADDR_UNDEF && i < find->journal->datasets; i++)
        if (find->journal->offsets[i] == (int64_t)at && find->entries[i].path == NULL)
            find->status = describe(dataset, name, &find->entries[i]);
    H5Dclose(dataset);
    return find->status == VG_OK ? 0 : -1;
}

/* Datasets without elements have no place and stay without a path: nothing is ever written to them. */
static vg_status read_layout(const char *part, const vg_journal *journal, vg_layout **layout)
{
    finder find = {.journal = journal};
    vg_h5_quiet();
    VG_TRY(vg_layout_new(layout));
    VG_TRY(VG_NEW(&(*layout)->entries, journal->datasets, "datasets"));
    (*layout)->entry_count = (*layout)->entry_room = journal->datasets;
    find.entries = (*layout)->entries;
    hid_t access = vg_h5_access(), file = H5Fopen(part, H5F_ACC_RDONLY, access);
    H5Pclose(access);
    if (file < 0)
        return vg_h5_fail(VG_INVALID, part, NULL, "cannot be opened");
#if H5_VERSION_GE(1, 12, 0)
    H5Ovisit3(file, H5_INDEX_NAME, H5_ITER_NATIVE, look_at, &find, H5O_INFO_BASIC);
#else
    H5Ovisit(file, H5_INDEX_NAME, H5_ITER_NATIVE, look_at, &find);
#endif
    H5Fclose(file);
    return find.status == VG_OK ? VG_OK : vg_fail_within(find.status, "%s: ", part);
}

/* ---- parts ---------------------------------------------------------------------------------------------------------------------- */

/* One of the files to be put together: `store` as if it were resumed. */
static vg_status open_part(vg_comm *comm, const char *path, vg_layout *shared, vg_store **part)
{
    vg_file file;
    vg_store *store;
    size_t length = strlen(path);
    bool named = length > 5 && strcmp(path + length - 5, ".part") == 0;
    VG_TRY(VG_NEW(part, 1, "stores"));
    store = *part;
    store->comm = comm;
    store->data = store->slots = -1;
    store->layout = shared;
    VG_TRY(vg_format(&store->path, "%.*s", (int)(named ? length - 5 : length), path));
    VG_TRY(vg_format(&store->part, "%s.part", store->path));
    VG_TRY(vg_format(&store->journal_path, "%s.part.journal", store->path));
    if (!vg_store_unfinished(store->path))
        return vg_fail(VG_INVALID, "%s: there is no such part with its journal", store->part);
    VG_TRY(vg_file_open(store->journal_path, &file));
    vg_status status = vg_journal_parse(store->journal_path, file.data, file.size, &store->journal);
    vg_file_close(&file);
    VG_TRY(status);
    VG_TRY(vg_io_open(store->part, O_RDONLY, &store->data));
    VG_TRY(vg_io_open(store->journal_path, O_RDONLY, &store->slots));
    VG_TRY(VG_NEW(&store->regions, store->journal.regions, "regions of a block"));
    VG_TRY(VG_NEW(&store->pending, store->journal.slot_bytes, "bytes of slots"));
    return VG_NEW(&store->whole, store->journal.blocks, "blocks");
}

/* Is `b` a part of the same work as `a`? */
static vg_status compare_parts(const vg_store *a, const vg_store *b)
{
    const vg_journal *x = &a->journal, *y = &b->journal;
    VG_TRY(vg_journal_compare(b->part, x->plan, y->plan, NULL));
    if (x->layout_crc != y->layout_crc || x->metadata_crc != y->metadata_crc || x->blocks != y->blocks || x->regions != y->regions ||
        x->file_bytes != y->file_bytes)
        return vg_fail(VG_INVALID, "%s: has other datasets or blocks than %s; they are no parts of one work", b->part, a->part);
    return VG_OK;
}

static vg_status copy_region(const vg_store *from, const vg_store *to, const vg_region *region, void *buffer, int64_t room)
{
    vg_runs runs;
    vg_runs_of(&to->layout->entries[region->dataset], region, &runs); /* it held, so it fits */
    for (int64_t r = 0; r < runs.runs; r++) {
        int64_t at = to->journal.offsets[region->dataset] + vg_runs_at(&runs, r);
        for (int64_t done = 0; done < runs.bytes; done += room) {
            size_t some = (size_t)(runs.bytes - done < room ? runs.bytes - done : room);
            VG_TRY(vg_io_read(from->data, from->part, buffer, some, at + done));
            VG_TRY(vg_io_write(to->data, to->part, buffer, some, at + done));
        }
    }
    return VG_OK;
}

/* The whole blocks of one part into the merged file. owner: which part had each block, NULL: none yet. */
static vg_status copy_blocks(vg_store *from, vg_store *to, const char **owner, int64_t *copied)
{
    enum { ROOM = 1 << 20 };
    const vg_journal *journal = &to->journal;
    void *buffer;
    VG_TRY(vg_allocate(&buffer, ROOM, 1, "bytes"));
    vg_status status = VG_OK;
    for (int64_t b = 0; b < journal->blocks; b++) {
        vg_slot slot;
        bool whole;
        VG_GO(vg_block_is_whole(from, b, from->pending, &whole));
        if (!whole)
            continue;
        if (owner[b] != NULL)
            VG_GO(vg_fail(VG_INVALID, "block %lld is in %s and in %s; the parts must not overlap", (long long)b, owner[b], from->part));
        owner[b] = from->part;
        vg_slot_parse(journal, b, from->pending, &slot, from->regions);
        for (int64_t r = 0; r < slot.regions; r++)
            VG_GO(copy_region(from, to, &from->regions[r], buffer, ROOM));
        VG_GO(vg_io_write(to->slots, to->journal_path, from->pending, (size_t)journal->slot_bytes,
                          journal->header_bytes + b * journal->slot_bytes));
        to->whole[b] = 1;
        ++*copied;
    }
done:
    free(buffer);
    return status;
}

/* ---- the merged file -------------------------------------------------------------------------------------------------------------- */

/* Structure and journal of the first part, without its blocks. */
static vg_status begin_merged(vg_store *first, vg_store *merged)
{
    uint8_t *bytes = NULL;
    int64_t at = 0;
    vg_status status;
    VG_GO(vg_io_open(merged->part, O_RDWR | O_CREAT | O_EXCL, &merged->data));
    VG_GO(vg_io_reserve(merged->data, merged->part, merged->journal.file_bytes));
    for (int64_t i = 0; at < merged->journal.file_bytes; at = i) { /* what is between the datasets */
        int64_t end = merged->journal.file_bytes, next = end;
        for (int64_t d = 0; d < merged->journal.datasets; d++) {
            int64_t begin = merged->journal.offsets[d];
            if (merged->layout->entries[d].bytes > 0 && begin >= at && begin < end) {
                end = begin;
                next = begin + merged->layout->entries[d].bytes;
            }
        }
        if (end > at) {
            VG_GO(vg_allocate((void **)&bytes, end - at, 1, "bytes of a structure"));
            VG_GO(vg_io_read(first->data, first->part, bytes, (size_t)(end - at), at));
            VG_GO(vg_io_write(merged->data, merged->part, bytes, (size_t)(end - at), at));
            free(bytes);
            bytes = NULL;
        }
        i = next;
    }
    VG_GO(vg_io_sync(merged->data, merged->part));
    VG_GO(vg_journal_pack(&merged->journal, &bytes));
    VG_GO(vg_io_open(merged->journal_path, O_RDWR | O_CREAT | O_EXCL, &merged->slots));
    VG_GO(vg_io_reserve(merged->slots, merged->journal_path,
                        merged->journal.header_bytes + merged->journal.blocks * merged->journal.slot_bytes));
    VG_GO(vg_io_write(merged->slots, merged->journal_path, bytes, (size_t)merged->journal.header_bytes, 0));
done:
    free(bytes);
    return status;
}

static vg_status make_merged(vg_comm *comm, const char *path, const vg_store *first, vg_store **made)
{
    vg_store *merged;
    VG_TRY(VG_NEW(made, 1, "stores"));
    merged = *made;
    merged->comm = comm;
    merged->layout = first->layout;
    merged->data = merged->slots = -1;
    VG_TRY(vg_format(&merged->path, "%s", path));
    VG_TRY(vg_format(&merged->part, "%s.part", path));
    VG_TRY(vg_format(&merged->journal_path, "%s.part.journal", path));
    if (access(merged->part, F_OK) == 0)
        return vg_fail(VG_INVALID, "%s: is there already; finish or remove it first", merged->part);
    merged->journal = first->journal;
    merged->journal.offsets = NULL;
    merged->journal.plan = NULL;
    VG_TRY(VG_NEW(&merged->journal.offsets, first->journal.datasets, "offsets"));
    memcpy(merged->journal.offsets, first->journal.offsets, (size_t)first->journal.datasets * sizeof *first->journal.offsets);
    VG_TRY(vg_format(&merged->journal.plan, "%s", first->journal.plan));
    VG_TRY(VG_NEW(&merged->whole, first->journal.blocks, "blocks"));
    return VG_NEW(&merged->mine, first->journal.blocks, "blocks");
}

static vg_status merge_all(vg_store **parts, int64_t count, vg_store *merged, int64_t *whole)
{
    const char **owner;
    VG_TRY(VG_NEW(&owner, merged->journal.blocks, "blocks"));
    vg_status status = begin_merged(parts[0], merged);
    for (int64_t i = 0; status == VG_OK && i < count; i++)
        status = copy_blocks(parts[i], merged, owner, whole);
    free((void *)owner);
    if (status == VG_OK)
        status = vg_io_sync(merged->data, merged->part);
    if (status == VG_OK)
        status = vg_io_sync(merged->slots, merged->journal_path);
    if (status == VG_OK && *whole == merged->journal.blocks)
        status = vg_store_finish(merged);
    if (status != VG_OK) {
        unlink(merged->part);
        unlink(merged->journal_path);
    }
    return status;
}

vg_status vg_store_merge(const char *path, const char *const *paths, int64_t count, int64_t *whole, int64_t *blocks)
{
    vg_comm *comm = NULL;
    vg_layout *layout = NULL;
    vg_store **parts = NULL, *merged = NULL;
    vg_status status;
    *whole = *blocks = 0;
    VG_TRY(vg_comm_alone(&comm));
    VG_GO(VG_NEW(&parts, count, "parts"));
    for (int64_t i = 0; i < count; i++) {
        VG_GO(open_part(comm, paths[i], NULL, &parts[i]));
        if (i == 0)
            VG_GO(read_layout(parts[0]->part, &parts[0]->journal, &layout));
        parts[i]->layout = layout;
        VG_GO(compare_parts(parts[0], parts[i]));
    }
    VG_GO(make_merged(comm, path, parts[0], &merged));
    *blocks = merged->journal.blocks;
    status = merge_all(parts, count, merged, whole);
done:
    vg_store_free(merged);
    for (int64_t i = 0; parts != NULL && i < count; i++)
        vg_store_free(parts[i]);
    free(parts);
    vg_layout_free(layout);
    vg_comm_finish(comm);
    return status;
}

/* ---- how far ----------------------------------------------------------------------------------------------------------------------- */

vg_status vg_store_progress(const char *path, vg_store_block **list, int64_t *count, int64_t *blocks)
{
    vg_comm *comm = NULL;
    vg_store *part = NULL;
    vg_status status;
    *list = NULL;
    *count = 0;
    VG_TRY(vg_comm_alone(&comm));
    VG_GO(open_part(comm, path, NULL, &part));
    *blocks = part->journal.blocks;
    VG_GO(VG_NEW(list, *blocks, "blocks"));
    for (int64_t b = 0; b < *blocks; b++) {
        vg_slot slot;
        VG_GO(vg_io_read(part->slots, part->journal_path, part->pending, (size_t)part->journal.slot_bytes,
                         part->journal.header_bytes + b * part->journal.slot_bytes));
        if (vg_slot_parse(&part->journal, b, part->pending, &slot, part->regions))
            (*list)[(*count)++] =
                (vg_store_block){.block = b, .rank = slot.rank, .ended = 1e-6 * (double)slot.ended, .took = 1e-6 * (double)slot.took};
    }
done:
    vg_store_free(part);
    vg_comm_finish(comm);
    if (status != VG_OK) {
        free(*list);
        *list = NULL;
    }
    return status;
}
