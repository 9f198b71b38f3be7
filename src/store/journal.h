/* The journal NAME.h5.part.journal: a header, then one slot of fixed size a block, written at its own place by the rank that did it.
 * All numbers little-endian.
 *   header   "vgjrnl2\n", eight int64 (see vg_journal), CRC32C of layout and of the file's metadata, the datasets' offsets in the
 *            file, the plan's text, CRC32C of all this; zeros up to a multiple of 4096
 *   slot     block, rank, number of regions, when it was done (Unix time, microseconds), how long it took (microseconds); the regions;
 *            CRC32C of all this. Anything else there: the block is not whole. The times are for `voxgrad status` alone. */
#ifndef VOXGRAD_STORE_JOURNAL_H
#define VOXGRAD_STORE_JOURNAL_H

#include "voxgrad/store.h"

/* What one write wrote: elements offset .. offset + count - 1, and the CRC32C of them in row-major order. */
typedef struct {
    int64_t dataset, offset[VG_STORE_DIMENSIONS], count[VG_STORE_DIMENSIONS];
    uint32_t crc, unused;
} vg_region;

typedef struct {
    int64_t header_bytes, file_bytes, blocks, regions, slot_bytes, datasets, plan_bytes, offsets_at;
    uint32_t layout_crc, metadata_crc;
    int64_t *offsets; /* (datasets) */
    char *plan;
} vg_journal;

typedef struct {
    int64_t block, rank, regions, ended, took;
} vg_slot;

/* Sizes of a journal whose counts, plan and offsets are set. Errors: VG_INVALID (too large). */
vg_status vg_journal_measure(vg_journal *journal);

/* The header as bytes (header_bytes of them), to be given to free(). */
vg_status vg_journal_pack(const vg_journal *journal, uint8_t **bytes);

/* A header out of any bytes; `journal` owns offsets and plan (vg_journal_free). `path` is for the message.
 * Errors: VG_INVALID (damaged). */
vg_status vg_journal_parse(const char *path, const void *bytes, size_t size, vg_journal *journal);
void vg_journal_free(vg_journal *journal);

/* Compares plans line by line. Errors: VG_INVALID, naming the first field that differs and is not among `accept`. */
vg_status vg_journal_compare(const char *path, const char *old, const char *new, const char *const *accept);

/* A slot to and from slot_bytes bytes. Parsing gives false unless all of it is sound and of this block. */
void vg_slot_pack(const vg_journal *journal, const vg_slot *slot, const vg_region *regions, uint8_t *bytes);
bool vg_slot_parse(const vg_journal *journal, int64_t block, const uint8_t *bytes, vg_slot *slot, vg_region *regions);

#endif
