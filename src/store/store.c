/* store: makes a file under construction, or goes on with one. Rank 0 makes part and journal with all their space; every rank then opens
 * both by its own descriptors and never touches HDF5 until the file is sealed. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "h5.h"
#include "io.h"
#include "store_file.h"

/* ---- the journal's header on every rank ---------------------------------------------------------------------------------- */

/* Do all ranks bring the same plan and the same layout? Collective. */
static vg_status compare_ranks(vg_store *store, const vg_store_plan *plan)
{
    int64_t mine[4] = {vg_layout_crc(store->layout), vg_crc32c(0, plan->plan, strlen(plan->plan)), plan->blocks, plan->regions}, first[4];
    memcpy(first, mine, sizeof first);
    VG_TRY(vg_comm_broadcast(store->comm, first, sizeof first, 0));
    bool same = memcmp(first, mine, sizeof first) == 0;
    return vg_comm_agree(store->comm, same ? VG_OK : vg_fail(VG_DEFECT, "%s: ranks differ in plan or layout", store->path));
}

/* Rank 0's header to all ranks. Collective. */
static vg_status share_header(vg_store *store)
{
    uint8_t *bytes = NULL;
    int64_t size = 0;
    vg_status status = VG_OK;
    if (vg_comm_rank(store->comm) == 0) {
        status = vg_journal_pack(&store->journal, &bytes);
        size = store->journal.header_bytes;
    }
    VG_AGREE_GO(store->comm, status);
    VG_GO(vg_comm_broadcast(store->comm, &size, sizeof size, 0));
    if (vg_comm_rank(store->comm) != 0)
        status = VG_NEW(&bytes, size, "bytes of a journal");
    VG_AGREE_GO(store->comm, status);
    VG_GO(vg_comm_broadcast(store->comm, bytes, (size_t)size, 0));
    if (vg_comm_rank(store->comm) != 0)
        status = vg_journal_parse(store->journal_path, bytes, (size_t)size, &store->journal);
    status = vg_comm_agree(store->comm, status);
done:
    free(bytes);
    return status;
}

/* Descriptors and memory of this rank, once its header is there. */
static vg_status open_rank(vg_store *store)
{
    const vg_journal *journal = &store->journal;
    VG_TRY(vg_io_open(store->part, O_RDWR, &store->data));
    VG_TRY(vg_io_open(store->journal_path, O_RDWR, &store->slots));
    VG_TRY(VG_NEW(&store->regions, journal->regions, "regions of a block"));
    VG_TRY(VG_NEW(&store->pending, VG_STORE_GROUP * journal->slot_bytes, "bytes of slots"));
    VG_TRY(VG_NEW(&store->whole, journal->blocks, "blocks"));
    VG_TRY(VG_NEW(&store->mine, journal->blocks, "blocks"));
    store->grouped = store->began = vg_seconds();
    return VG_OK;
}

static vg_status begin(vg_comm *comm, const vg_store_plan *plan, const vg_layout *layout, vg_store **made)
{
    vg_store *store;
    *made = NULL;
    VG_TRY(VG_NEW(&store, 1, "stores"));
    *made = store;
    store->comm = comm;
    store->layout = layout;
    store->sparse = plan->sparse;
    store->data = store->slots = -1;
    VG_TRY(vg_format(&store->path, "%s", plan->path));
    VG_TRY(vg_format(&store->part, "%s.part", plan->path));
    VG_TRY(vg_format(&store->journal_path, "%s.part.journal", plan->path));
    VG_TRY(vg_format(&store->journal_new, "%s.part.journal.new", plan->path));
    if (plan->blocks < 0 || plan->regions < 1)
        return vg_fail(VG_DEFECT, "%s: a plan of %lld blocks and %lld regions", plan->path, (long long)plan->blocks,
                       (long long)plan->regions);
    return VG_OK;
}

/* ---- a new file ---------------------------------------------------------------------------------------------------------- */

static int compare_offsets(const void *a, const void *b)
{
    const int64_t *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

/* CRC32C of everything in the part that is not a dataset's data: what must not change any more. */
static vg_status metadata_crc(const vg_store *store, int descriptor, uint32_t *crc)
{
    const vg_layout *layout = store->layout;
    int64_t(*extents)[2], at = 0;
    vg_status status = VG_OK;
    VG_TRY(VG_NEW(&extents, layout->entry_count + 1, "datasets"));
    for (int64_t i = 0; i < layout->entry_count; i++) {
        bool empty = layout->entries[i].bytes == 0;
        extents[i][0] = empty ? 0 : store->journal.offsets[i];
        extents[i][1] = extents[i][0] + layout->entries[i].bytes;
    }
    extents[layout->entry_count][0] = extents[layout->entry_count][1] = store->journal.file_bytes;
    qsort(extents, (size_t)layout->entry_count, sizeof *extents, compare_offsets);
    *crc = 0;
    for (int64_t i = 0; i <= layout->entry_count && status == VG_OK; i++) {
        if (extents[i][0] > at)
            status = vg_io_crc(descriptor, store->part, at, extents[i][0] - at, crc);
        if (extents[i][1] > at)
            at = extents[i][1];
    }
    free(extents);
    return status;
}

/* "N bytes are needed": for the part, as far as it is known, and the journal. */
static vg_status no_space(const vg_store *store, int64_t needed)
{
    struct statvfs about;
    char *folder;
    VG_TRY(vg_path_beside(store->path, ".", &folder));
    double available = statvfs(folder, &about) == 0 ? (double)about.f_bavail * (double)about.f_frsize : 0.0;
    free(folder);
    return vg_fail(VG_NO_SPACE, "%s: %lld bytes (%.1f MB) are needed, %.1f MB are free there; make room or choose another output folder",
                   store->path, (long long)needed, (double)needed / 1e6, available / 1e6);
}

/* Is there room for `needed` bytes? Taken for a moment, since what statvfs says knows no quotas; asked of the kernel itself, since libc
 * would fill the file where the file system cannot reserve. */
static vg_status probe_space(const vg_store *store, int64_t needed)
{
    int descriptor;
    VG_TRY(vg_io_open(store->part, O_WRONLY | O_CREAT | O_EXCL, &descriptor));
    bool full = fallocate(descriptor, 0, 0, needed) != 0 && (errno == ENOSPC || errno == EDQUOT || errno == EFBIG);
    close(descriptor);
    return full ? no_space(store, needed) : VG_OK;
}

/* The part: its names, then its space, then all of that to the disk. */
static vg_status make_part(vg_store *store)
{
    struct stat about;
    int descriptor = -1;
    vg_status status;
    VG_TRY(vg_h5_build(store->part, store->layout, store->journal.offsets));
    VG_GO(vg_io_open(store->part, O_RDWR, &descriptor));
    if (fstat(descriptor, &about) != 0)
        VG_GO(vg_io_fail(store->part, "cannot be measured"));
    store->journal.file_bytes = about.st_size;
    if (!store->sparse)
        VG_GO(vg_io_reserve(descriptor, store->part, about.st_size));
    VG_GO(vg_io_sync(descriptor, store->part));
    VG_GO(metadata_crc(store, descriptor, &store->journal.metadata_crc));
done:
    if (descriptor >= 0)
        close(descriptor);
    return status;
}

/* The journal, under its name only when it is whole: from then on the file is one that can be resumed. */
static vg_status make_journal(vg_store *store)
{
    uint8_t *bytes = NULL;
    int descriptor = -1;
    vg_status status;
    VG_GO(vg_journal_pack(&store->journal, &bytes));
    VG_GO(vg_io_open(store->journal_new, O_RDWR | O_CREAT | O_EXCL, &descriptor));
    VG_GO(vg_io_reserve(descriptor, store->journal_new, store->journal.header_bytes + store->journal.blocks * store->journal.slot_bytes));
    VG_GO(vg_io_write(descriptor, store->journal_new, bytes, (size_t)store->journal.header_bytes, 0));
    VG_GO(vg_io_sync(descriptor, store->journal_new));
    VG_GO(vg_io_rename(store->journal_new, store->journal_path));
    VG_GO(vg_io_sync_folder(store->path));
done:
    if (descriptor >= 0)
        close(descriptor);
    free(bytes);
    return status;
}

/* Takes away what a run before this one, or a failing this one, began. */
static void remove_unfinished(const vg_store *store)
{
    unlink(store->journal_path);
    unlink(store->journal_new);
    unlink(store->part);
}

/* Rank 0's share of making a file. Nothing is left where it fails. */
static vg_status make_files(vg_store *store, const vg_store_plan *plan)
{
    vg_journal *journal = &store->journal;
    int64_t needed;
    *journal = (vg_journal){.blocks = plan->blocks,
                            .regions = plan->regions,
                            .datasets = store->layout->entry_count,
                            .plan_bytes = (int64_t)strlen(plan->plan),
                            .layout_crc = vg_layout_crc(store->layout)};
    VG_TRY(VG_NEW(&journal->offsets, journal->datasets, "offsets"));
    VG_TRY(vg_format(&journal->plan, "%s", plan->plan));
    VG_TRY(vg_journal_measure(journal));
    if (vg_store_unfinished(store->path) && !plan->overwrite)
        return vg_fail(VG_INVALID, "%s: an unfinished run left it; resume that run, or overwrite it", store->part);
    remove_unfinished(store);
    VG_TRY(vg_h5_measure(store->layout, &needed));
    if (__builtin_add_overflow(needed, journal->header_bytes + journal->blocks * journal->slot_bytes, &needed))
        return vg_fail(VG_NO_SPACE, "%s: more than 9.2e18 bytes are needed", store->path);
    vg_status status = store->sparse ? VG_OK : probe_space(store, needed);
    if (status == VG_OK)
        status = make_part(store);
    if (status == VG_OK)
        status = make_journal(store);
    if (status != VG_OK)
        remove_unfinished(store);
    return status == VG_NO_SPACE ? no_space(store, needed) : status;
}

vg_status vg_store_create(vg_comm *comm, const vg_store_plan *plan, const vg_layout *layout, vg_store **store)
{
    vg_status status;
    VG_AGREE_GO(comm, begin(comm, plan, layout, store));
    VG_GO(compare_ranks(*store, plan));
    VG_AGREE_GO(comm, vg_comm_rank(comm) == 0 ? make_files(*store, plan) : VG_OK);
    VG_GO(share_header(*store));
    VG_AGREE_GO(comm, open_rank(*store));
done:
    if (status != VG_OK) {
        vg_store_free(*store);
        *store = NULL;
    }
    return status;
}

/* ---- going on with an unfinished file ------------------------------------------------------------------------------------- */

bool vg_store_unfinished(const char *path)
{
    char *part = NULL, *journal = NULL;
    bool there = vg_format(&part, "%s.part", path) == VG_OK && vg_format(&journal, "%s.part.journal", path) == VG_OK &&
                 access(part, F_OK) == 0 && access(journal, F_OK) == 0;
    free(part);
    free(journal);
    return there;
}

/* Is the part still what the journal says was made? */
static vg_status check_part(vg_store *store)
{
    struct stat about;
    int descriptor;
    uint32_t crc = 0;
    VG_TRY(vg_io_open(store->part, O_RDONLY, &descriptor));
    vg_status status = VG_OK;
    if (fstat(descriptor, &about) != 0)
        status = vg_io_fail(store->part, "cannot be measured");
    else if (about.st_size != store->journal.file_bytes)
        status = vg_fail(VG_INVALID, "%s: has %lld bytes instead of %lld; it cannot be resumed", store->part, (long long)about.st_size,
                         (long long)store->journal.file_bytes);
    if (status == VG_OK)
        status = metadata_crc(store, descriptor, &crc);
    if (status == VG_OK && crc != store->journal.metadata_crc)
        status = vg_fail(VG_INVALID, "%s: its structure is damaged; it cannot be resumed", store->part);
    close(descriptor);
    return status;
}

/* Do all datasets lie within the file, as the layout has them? */
static bool offsets_fit(const vg_store *store)
{
    for (int64_t i = 0; i < store->journal.datasets; i++) {
        int64_t at = store->journal.offsets[i], bytes = store->layout->entries[i].bytes;
        if (at < 0 || bytes > store->journal.file_bytes || at > store->journal.file_bytes - bytes)
            return false;
    }
    return true;
}

/* Rank 0's share of resuming. */
static vg_status read_files(vg_store *store, const vg_store_plan *plan)
{
    vg_file file;
    if (!vg_store_unfinished(store->path))
        return vg_fail(VG_INVALID, "%s: there is no unfinished %s with its journal to resume", store->path, store->part);
    VG_TRY(vg_file_open(store->journal_path, &file));
    vg_status status = vg_journal_parse(store->journal_path, file.data, file.size, &store->journal);
    size_t size = file.size;
    vg_file_close(&file);
    VG_TRY(status);
    const vg_journal *journal = &store->journal;
    VG_TRY(vg_journal_compare(store->part, journal->plan, plan->plan, plan->accept));
    if (journal->layout_crc != vg_layout_crc(store->layout) || journal->datasets != store->layout->entry_count ||
        journal->blocks != plan->blocks || journal->regions != plan->regions)
        return vg_fail(VG_INVALID, "%s: was begun with other datasets or blocks (by another version?); begin anew with --restart",
                       store->part);
    if ((int64_t)size < journal->header_bytes + journal->blocks * journal->slot_bytes || !offsets_fit(store))
        return vg_fail(VG_INVALID, "%s: is damaged; the unfinished file cannot be resumed", store->journal_path);
    return check_part(store);
}

/* Are the data of a region those that were committed? */
static vg_status region_holds(const vg_store *store, const vg_region *region, bool *holds)
{
    uint32_t crc = 0;
    vg_runs runs;
    *holds = false;
    if (region->dataset < 0 || region->dataset >= store->journal.datasets ||
        !vg_runs_of(&store->layout->entries[region->dataset], region, &runs))
        return VG_OK;
    for (int64_t r = 0; r < runs.runs; r++)
        VG_TRY(vg_io_crc(store->data, store->part, store->journal.offsets[region->dataset] + vg_runs_at(&runs, r), runs.bytes, &crc));
    *holds = crc == region->crc;
    return VG_OK;
}

vg_status vg_block_is_whole(vg_store *store, int64_t block, uint8_t *bytes, bool *whole)
{
    const vg_journal *journal = &store->journal;
    vg_slot slot;
    *whole = false;
    VG_TRY(vg_io_read(store->slots, store->journal_path, bytes, (size_t)journal->slot_bytes,
                      journal->header_bytes + block * journal->slot_bytes));
    if (!vg_slot_parse(journal, block, bytes, &slot, store->regions)) {
        bool blank = true;
        for (int64_t i = 0; i < journal->slot_bytes && blank; i++)
            blank = bytes[i] == 0;
        if (!blank)
            vg_log(VG_LOG_WARNING, "%s: the slot of block %lld is torn; the block is done again", store->journal_path, (long long)block);
        return VG_OK;
    }
    for (int64_t i = 0; i < slot.regions; i++) {
        VG_TRY(region_holds(store, &store->regions[i], whole));
        if (!*whole) {
            bool known = store->regions[i].dataset >= 0 && store->regions[i].dataset < journal->datasets;
            vg_log(VG_LOG_WARNING, "%s: %s: data of block %lld are damaged; the block is done again", store->part,
                   known ? store->layout->entries[store->regions[i].dataset].path : "?", (long long)block);
            return VG_OK;
        }
    }
    *whole = true;
    return VG_OK;
}

/* Every rank checks its share of the blocks; all learn which are whole. Collective. */
static vg_status find_whole(vg_store *store)
{
    int rank = vg_comm_rank(store->comm), ranks = vg_comm_ranks(store->comm);
    vg_status status = VG_OK;
    int64_t *found = NULL, count = 0;
    size_t *sizes = NULL;
    void *all = NULL;
    bool whole;
    status = VG_NEW(&found, store->journal.blocks / ranks + 1, "blocks");
    if (status == VG_OK)
        status = VG_NEW(&sizes, ranks, "ranks");
    for (int64_t b = rank; b < store->journal.blocks && status == VG_OK; b += ranks) {
        status = vg_block_is_whole(store, b, store->pending, &whole);
        if (status == VG_OK && whole)
            found[count++] = b;
    }
    VG_AGREE_GO(store->comm, status);
    VG_GO(vg_comm_allgather(store->comm, found, (size_t)count * sizeof *found, &all, sizes));
    for (int r = 0; r < ranks; r++)
        store->whole_count += (int64_t)(sizes[r] / sizeof *found);
    for (int64_t i = 0; i < store->whole_count; i++)
        store->whole[((int64_t *)all)[i]] = 1;
done:
    free(found);
    free(sizes);
    free(all);
    return status;
}

vg_status vg_store_resume(vg_comm *comm, const vg_store_plan *plan, const vg_layout *layout, vg_store **store)
{
    vg_status status;
    VG_AGREE_GO(comm, begin(comm, plan, layout, store));
    VG_GO(compare_ranks(*store, plan));
    VG_AGREE_GO(comm, vg_comm_rank(comm) == 0 ? read_files(*store, plan) : VG_OK);
    VG_GO(share_header(*store));
    VG_AGREE_GO(comm, open_rank(*store));
    VG_GO(find_whole(*store));
done:
    if (status != VG_OK) {
        vg_store_free(*store);
        *store = NULL;
    }
    return status;
}

vg_status vg_store_planned(vg_comm *comm, const char *path, char **planned)
{
    vg_file file;
    vg_journal journal = {0};
    char *name = NULL;
    vg_status status = VG_OK;
    int64_t size = 0;
    *planned = NULL;
    if (vg_comm_rank(comm) == 0 && vg_store_unfinished(path)) {
        status = vg_format(&name, "%s.part.journal", path);
        if (status == VG_OK)
            status = vg_file_open(name, &file);
        if (status == VG_OK) {
            status = vg_journal_parse(name, file.data, file.size, &journal);
            vg_file_close(&file);
        }
        size = status == VG_OK ? journal.plan_bytes + 1 : 0;
    }
    free(name);
    VG_AGREE_GO(comm, status);
    VG_GO(vg_comm_broadcast(comm, &size, sizeof size, 0));
    if (size == 0)
        goto done;
    VG_AGREE_GO(comm, VG_NEW(planned, size, "bytes of a plan"));
    if (journal.plan != NULL) /* rank 0 */
        memcpy(*planned, journal.plan, (size_t)size);
    status = vg_comm_broadcast(comm, *planned, (size_t)size, 0);
done:
    vg_journal_free(&journal);
    return status;
}

vg_status vg_store_begin(vg_comm *comm, const vg_store_plan *plan, const vg_layout *layout, vg_store **store)
{
    uint8_t resume = vg_comm_rank(comm) == 0 && !plan->overwrite && vg_store_unfinished(plan->path);
    VG_TRY(vg_comm_broadcast(comm, &resume, 1, 0));
    if (!resume)
        return vg_store_create(comm, plan, layout, store);
    VG_TRY(vg_store_resume(comm, plan, layout, store));
    vg_log(VG_LOG_INFO, "%s.part: going on from %lld whole blocks of %lld", plan->path, (long long)(*store)->whole_count,
           (long long)plan->blocks);
    return VG_OK;
}

bool vg_store_whole(const vg_store *store, int64_t block)
{
    return block >= 0 && block < store->journal.blocks && store->whole[block] != 0;
}

void vg_store_forget(vg_store *store, int64_t first)
{
    for (int64_t b = first; b < store->journal.blocks; b++) {
        store->whole_count -= store->whole[b];
        store->whole[b] = 0;
    }
}

int64_t vg_store_whole_count(const vg_store *store)
{
    return store->whole_count;
}

void vg_store_free(vg_store *store)
{
    if (store == NULL)
        return;
    if (store->pending_count > 0)
        vg_store_flush(store); /* what can be saved is; what cannot is done again */
    if (store->data >= 0)
        close(store->data);
    if (store->slots >= 0)
        close(store->slots);
    vg_journal_free(&store->journal);
    free(store->path);
    free(store->part);
    free(store->journal_path);
    free(store->journal_new);
    free(store->regions);
    free(store->pending);
    free(store->whole);
    free(store->mine);
    free(store);
}
