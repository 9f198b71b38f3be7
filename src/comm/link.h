/* link: what comm asks of a back end whose devices reach each other without the host. The CUDA module exports the function VG_LINK_OPEN
 * (src/comm/nccl.c is part of it, and of nothing else); the program itself needs no NCCL. Nothing here waits: an operation is started, then
 * polled, so that whoever polls can listen to the other ranks and give up. Compiled as C and, in the module, as C++. */
#ifndef VOXGRAD_COMM_LINK_H
#define VOXGRAD_COMM_LINK_H

#include "voxgrad/base.h"

#ifdef __cplusplus
extern "C" {
#endif

#define VG_LINK_OPEN "vg_nccl_links"
enum { VG_LINK_NAME = 128, VG_LINK_BUS = 32 };

typedef struct vg_link vg_link; /* this rank's end of a communicator; at most one operation under way */

/* What a module may call. */
typedef struct {
    vg_status (*fail)(vg_status status, const char *format, ...) __attribute__((format(printf, 2, 3)));
} vg_link_host;

/* Of the device that this thread has opened last. Errors: VG_NO_DEVICE (call, file, line, device), VG_NO_MEMORY. */
typedef struct {
    size_t size; /* of this table: another version's is not used */
    vg_status (*bus)(char bus[VG_LINK_BUS]);
    vg_status (*pin)(size_t bytes, void **memory); /* host memory for copies; to be given to unpin */
    void (*unpin)(void *memory);

    int (*version)(void); /* 21805: 2.18.5 */

    /* A name is made by one rank and brought to all; each then joins, and polls until that is done. A link is to be given to leave. */
    vg_status (*name)(char name[VG_LINK_NAME]);
    vg_status (*join)(const char name[VG_LINK_NAME], int rank, int ranks, vg_link **link);
    vg_status (*broadcast)(vg_link *link, void *data, size_t bytes, int root);
    /* sizes (ranks); all: on root, the pieces in the order of ranks; mine may be NULL where its size is 0 */
    vg_status (*gather)(vg_link *link, const void *mine, const size_t *sizes, int root, void *all);
    vg_status (*finish)(vg_link *link); /* the last operation: after it, leave(link, true) */
    vg_status (*poll)(vg_link *link, bool *done);
    void (*leave)(vg_link *link, bool finished); /* not finished: what is under way is given up, here and sooner or later on all ranks */
} vg_link_ops;

typedef const vg_link_ops *vg_link_open_function(const vg_link_host *host);
__attribute__((visibility("default"))) vg_link_open_function vg_nccl_links;

#ifdef __cplusplus
}
#endif

#endif
