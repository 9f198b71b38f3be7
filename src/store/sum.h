/* NAME.h5.sum: a text,
 *     voxgrad checksums 1
 *     bytes 8388700
 *     piece 4194304
 *     1a2b3c4d /stories/alice/words .. /stories/alice/features/gpt2/erasure
 *     ...                                     one line a piece: its CRC32C, the first and last dataset in it ("-": none)
 *     end 9f8e7d6c                            CRC32C of all lines above */
#ifndef VOXGRAD_STORE_SUM_H
#define VOXGRAD_STORE_SUM_H

#include "voxgrad/store.h"

enum { VG_SUM_PIECE = 1 << 22 };

typedef struct {
    int64_t bytes, piece, pieces;
    uint32_t *crcs;      /* (pieces) */
    const char **labels; /* (pieces) into the text, label_sizes long */
    size_t *label_sizes;
} vg_sum;

/* Out of any bytes, which outlive the sum. Errors: VG_INVALID (damaged; `path` is for the message). */
vg_status vg_sum_parse(const char *path, const char *text, size_t size, vg_sum *sum);
void vg_sum_free(vg_sum *sum);

/* CRC32C of pieces first .. first + count - 1 of a file of `bytes` bytes, into crcs (count). */
vg_status vg_sum_pieces(const char *path, int64_t bytes, int64_t piece, int64_t first, int64_t count, uint32_t *crcs);

/* The share of `rank`: contiguous, so that the lowest failing rank has the lowest failing piece. */
void vg_sum_share(int64_t pieces, int rank, int ranks, int64_t *first, int64_t *count);

#endif
