/* finish: seals a file. The order is such that at no instant a NAME.h5 stands beside checksums that are not its own: the new ones wait as
 * NAME.h5.sum.part, the old ones go, the file takes its name, the checksums take theirs, and only then goes the journal. */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "io.h"
#include "store_file.h"
#include "sum.h"

/* Is every block whole, committed before the resume or by exactly one rank since? Collective. */
static vg_status check_blocks(vg_store *store)
{
    int64_t blocks = store->journal.blocks, count = 0, *mine = NULL, *all = NULL;
    size_t *sizes = NULL, bytes = 0;
    vg_status status = VG_NEW(&mine, blocks, "blocks");
    if (status == VG_OK)
        status = VG_NEW(&sizes, vg_comm_ranks(store->comm), "ranks");
    VG_AGREE_GO(store->comm, status);
    for (int64_t b = 0; b < blocks; b++)
        if (store->mine[b])
            mine[count++] = b;
    VG_GO(vg_comm_allgather(store->comm, mine, (size_t)count * sizeof *mine, (void **)&all, sizes));
    for (int r = 0; r < vg_comm_ranks(store->comm); r++)
        bytes += sizes[r];
    for (size_t i = 0; i < bytes / sizeof *all; i++) {
        if (store->whole[all[i]])
            VG_GO(vg_fail(VG_DEFECT, "%s: block %lld was committed by two ranks", store->path, (long long)all[i]));
        store->whole[all[i]] = 1;
    }
    for (int64_t b = 0; b < blocks; b++)
        if (!store->whole[b])
            VG_GO(vg_fail(VG_DEFECT, "%s: block %lld was never committed", store->path, (long long)b));
    memset(store->mine, 0, (size_t)blocks);
done:
    free(mine);
    free(all);
    free(sizes);
    return status;
}

/* All pieces' checksums, on rank 0. Collective. */
static vg_status sum_all(vg_store *store, int64_t pieces, uint32_t **crcs)
{
    int64_t first, count;
    uint32_t *mine;
    size_t *sizes = NULL;
    vg_sum_share(pieces, vg_comm_rank(store->comm), vg_comm_ranks(store->comm), &first, &count);
    vg_status status = VG_NEW(&mine, count, "checksums");
    if (status == VG_OK)
        status = VG_NEW(&sizes, vg_comm_ranks(store->comm), "ranks");
    if (status == VG_OK)
        status = vg_sum_pieces(store->part, store->journal.file_bytes, VG_SUM_PIECE, first, count, mine);
    status = vg_comm_agree(store->comm, status);
    if (status == VG_OK)
        status = vg_comm_gather(store->comm, mine, (size_t)count * sizeof *mine, 0, (void **)crcs, sizes);
    free(mine);
    free(sizes);
    return status;
}

/* ---- the text of NAME.h5.sum ---------------------------------------------------------------------------------------------- */

typedef struct {
    int64_t begin, end;
    const char *path;
} extent;

static int compare_extents(const void *a, const void *b)
{
    const extent *x = a, *y = b;
    return (x->begin > y->begin) - (x->begin < y->begin);
}

/* The datasets' places in the file, in their order. */
static vg_status find_extents(const vg_store *store, extent **extents, int64_t *count)
{
    *count = 0;
    VG_TRY(VG_NEW(extents, store->journal.datasets, "datasets"));
    for (int64_t i = 0; i < store->journal.datasets; i++) {
        const vg_layout_entry *entry = &store->layout->entries[i];
        int64_t at = store->journal.offsets[i];
        if (entry->bytes > 0)
            (*extents)[(*count)++] = (extent){at, at + entry->bytes, entry->path};
    }
    qsort(*extents, (size_t)*count, sizeof **extents, compare_extents);
    return VG_OK;
}

static void print_pieces(FILE *out, const extent *extents, int64_t count, int64_t bytes, const uint32_t *crcs)
{
    int64_t begin = 0, i = 0; /* extents before i end before this piece */
    for (int64_t p = 0; begin < bytes; p++, begin += VG_SUM_PIECE) {
        while (i < count && extents[i].end <= begin)
            i++;
        int64_t last = i;
        while (last < count && extents[last].begin < begin + VG_SUM_PIECE)
            last++;
        if (last == i)
            fprintf(out, "%08x -\n", crcs[p]);
        else if (last == i + 1)
            fprintf(out, "%08x %s\n", crcs[p], extents[i].path);
        else
            fprintf(out, "%08x %s .. %s\n", crcs[p], extents[i].path, extents[last - 1].path);
    }
}

static vg_status sum_text(const vg_store *store, const uint32_t *crcs, char **text, size_t *size)
{
    extent *extents = NULL;
    int64_t count;
    *text = NULL;
    FILE *out = open_memstream(text, size);
    if (out == NULL)
        return vg_fail(VG_NO_MEMORY, "no memory for checksums");
    vg_status status = find_extents(store, &extents, &count);
    if (status == VG_OK) {
        fprintf(out, "voxgrad checksums 1\nbytes %lld\npiece %d\n", (long long)store->journal.file_bytes, VG_SUM_PIECE);
        print_pieces(out, extents, count, store->journal.file_bytes, crcs);
        fflush(out);
        fprintf(out, "end %08x\n", vg_crc32c(0, *text, *size));
    }
    free(extents);
    if (fclose(out) != 0 && status == VG_OK)
        status = vg_fail(VG_NO_MEMORY, "no memory for checksums");
    return status;
}

/* Rank 0's share of sealing. */
static vg_status rename_all(vg_store *store, const uint32_t *crcs)
{
    char *sum = NULL, *sum_part = NULL, *text = NULL;
    size_t size = 0;
    vg_status status;
    VG_GO(vg_format(&sum, "%s.sum", store->path));
    VG_GO(vg_format(&sum_part, "%s.sum.part", store->path));
    VG_GO(sum_text(store, crcs, &text, &size));
    VG_GO(vg_io_put(sum_part, text, size));
    unlink(sum);
    VG_GO(vg_io_rename(store->part, store->path));
    VG_GO(vg_io_rename(sum_part, sum));
    VG_GO(vg_io_sync_folder(store->path));
    unlink(store->journal_path);
    status = vg_io_sync_folder(store->path);
done:
    free(sum);
    free(sum_part);
    free(text);
    return status;
}

vg_status vg_store_finish(vg_store *store)
{
    vg_comm *comm = store->comm;
    uint32_t *crcs = NULL;
    vg_status status = vg_store_flush(store);
    if (status == VG_OK)
        status = vg_io_sync(store->data, store->part);
    VG_AGREE(comm, status);
    VG_TRY(check_blocks(store));
    int64_t bytes = store->journal.file_bytes;
    VG_TRY(sum_all(store, bytes / VG_SUM_PIECE + (bytes % VG_SUM_PIECE > 0), &crcs));
    status = vg_comm_agree(comm, vg_comm_rank(comm) == 0 ? rename_all(store, crcs) : VG_OK);
    free(crcs);
    return status;
}
