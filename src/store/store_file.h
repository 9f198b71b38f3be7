/* A file under construction, as store.c (make, resume), write.c (fill) and finish.c (seal) share it. */
#ifndef VOXGRAD_STORE_FILE_H
#define VOXGRAD_STORE_FILE_H

#include "journal.h"
#include "layout.h"

enum { VG_STORE_GROUP = 64 }; /* blocks committed at once */

struct vg_store {
    vg_comm *comm;
    const vg_layout *layout;
    char *path, *part, *journal_path, *journal_new;
    bool sparse;     /* a task's part of the work: space is taken by what is written */
    int data, slots; /* descriptors of part and journal; -1: closed */
    vg_journal journal;
    vg_region *regions; /* of the block under work */
    int64_t region_count;
    uint8_t *pending; /* packed slots of blocks whose data may not be on the disk yet */
    int64_t pending_blocks[VG_STORE_GROUP];
    int pending_count;
    double grouped; /* when a group was last committed, s */
    double began;   /* when the block under work was begun, s */
    uint8_t *whole; /* (blocks) on all ranks, when resumed */
    uint8_t *mine;  /* (blocks) committed by this rank since */
    int64_t whole_count;
};

/* Reads a block's slot into bytes (slot_bytes) and compares its data with its checksums; what is torn or damaged is told in the log. */
vg_status vg_block_is_whole(vg_store *store, int64_t block, uint8_t *bytes, bool *whole);

/* How a region lies in its dataset: `runs` stretches of `bytes` bytes. */
typedef struct {
    int64_t runs, bytes, begin, strides[VG_STORE_DIMENSIONS], counts[VG_STORE_DIMENSIONS];
    int outer;
} vg_runs;

/* false: the region is not within the dataset. */
bool vg_runs_of(const vg_layout_entry *entry, const vg_region *region, vg_runs *runs);

/* Where run number `run` begins, in bytes from the dataset's first. */
int64_t vg_runs_at(const vg_runs *runs, int64_t run);

#endif
