/* nccl: links between GPUs by NCCL, one GPU a rank (link.h). Part of the CUDA module alone, which loads without NCCL: the library
 * (libnccl.so.2; VOXGRAD_NCCL in the environment names another file) is looked for when the ranks want to be linked, and where it is
 * missing they exchange through MPI. Communicators are non-blocking, so that a rank whose neighbour fails can give up. Only bytes are
 * moved: the order of sums inside ncclAllReduce and ncclReduce depends on the ranks and the wires, so they may serve integers, least and
 * largest values, and none is needed here (architecture.md, "Plan, blocks, determinism"). Operations run on a stream of their own; what was
 * asked of the device before has ended when one starts (exchange_device.c). */
#include <assert.h>
#include <cuda_runtime_api.h>
#include <dlfcn.h>
#include <nccl.h>
#include <stdlib.h>
#include <string.h>

#include "link.h"

struct vg_link {
    ncclComm_t comm; /* NULL once given up */
    cudaStream_t stream;
    int rank, ranks;
    const char *what; /* is under way */
    char bus[VG_LINK_BUS];
};

static const vg_link_host *host;

/* NCCL's calls that are made here, under their names. */
#define NCCL_CALLS(X)         \
    X(ncclGetVersion)         \
    X(ncclGetUniqueId)        \
    X(ncclCommInitRankConfig) \
    X(ncclCommFinalize)       \
    X(ncclCommDestroy)        \
    X(ncclCommAbort)          \
    X(ncclCommGetAsyncError)  \
    X(ncclGetErrorString)     \
    X(ncclGetLastError)       \
    X(ncclBroadcast)          \
    X(ncclSend)               \
    X(ncclRecv)               \
    X(ncclGroupStart)         \
    X(ncclGroupEnd)
#define CALL(name) __typeof__(&name) name;
static struct {
    NCCL_CALLS(CALL)
} nccl;

static vg_status find_call(void *library, const char *file, const char *name, void *call)
{
    *(void **)call = dlsym(library, name);
    return *(void **)call != NULL ? VG_OK : host->fail(VG_NO_DEVICE, "%s has no %s: NCCL 2.14 or newer is needed", file, name);
}

static vg_status find_nccl(void)
{
    const char *named = getenv("VOXGRAD_NCCL"), *file = named != NULL && *named != '\0' ? named : "libnccl.so.2";
    if (nccl.ncclGroupEnd != NULL)
        return VG_OK;
    void *library = dlopen(file, RTLD_NOW | RTLD_LOCAL); /* for as long as the program runs */
    const char *why = library == NULL ? dlerror() : NULL;
    if (library == NULL)
        return host->fail(VG_NO_DEVICE, "%s (VOXGRAD_NCCL may name the file)", why != NULL ? why : file);
#define FIND(name) VG_TRY(find_call(library, file, #name, &nccl.name));
    NCCL_CALLS(FIND)
    return VG_OK;
}

static vg_status cuda_status(cudaError_t code, const char *call, int line, const char *bus)
{
    if (code == cudaSuccess)
        return VG_OK;
    return host->fail(code == cudaErrorMemoryAllocation ? VG_NO_MEMORY : VG_NO_DEVICE, "nccl.c:%d: %s on GPU %s failed: %s", line, call,
                      bus, cudaGetErrorString(code));
}
#define CUDA(call, bus) VG_TRY(cuda_status((call), #call, __LINE__, (bus)))

/* What a non-blocking call has only begun is no failure: poll says how it ended. */
static vg_status nccl_status(ncclResult_t code, const char *call, int line, const vg_link *link)
{
    if (code == ncclSuccess || code == ncclInProgress)
        return VG_OK;
    const char *more = nccl.ncclGetLastError(link != NULL ? link->comm : NULL);
    return host->fail(VG_NO_DEVICE, "nccl.c:%d: %s on GPU %s failed: %s (%s)", line, call, link != NULL ? link->bus : "?",
                      nccl.ncclGetErrorString(code), more != NULL ? more : "");
}
#define NCCL(call, link) VG_TRY(nccl_status((call), &(#call)[sizeof "nccl"], __LINE__, (link)))

static vg_status find_bus(char bus[VG_LINK_BUS])
{
    int device = -1;
    CUDA(cudaGetDevice(&device), "?");
    CUDA(cudaDeviceGetPCIBusId(bus, VG_LINK_BUS, device), "?");
    return VG_OK;
}

static vg_status pin(size_t bytes, void **memory)
{
    CUDA(cudaHostAlloc(memory, bytes, cudaHostAllocDefault), "?");
    return VG_OK;
}

static void unpin(void *memory)
{
    cudaFreeHost(memory);
}

static vg_status make_name(char name[VG_LINK_NAME])
{
    ncclUniqueId id;
    VG_TRY(find_nccl());
    NCCL(nccl.ncclGetUniqueId(&id), NULL);
    static_assert(sizeof id.internal == VG_LINK_NAME, "a link's name is NCCL's");
    memcpy(name, id.internal, VG_LINK_NAME);
    return VG_OK;
}

static vg_status begin_join(const char name[VG_LINK_NAME], vg_link *link)
{
    ncclUniqueId id;
    ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
    config.blocking = 0;
    VG_TRY(find_nccl());
    memcpy(id.internal, name, VG_LINK_NAME);
    VG_TRY(find_bus(link->bus));
    CUDA(cudaStreamCreateWithFlags(&link->stream, cudaStreamNonBlocking), link->bus);
    NCCL(nccl.ncclCommInitRankConfig(&link->comm, link->ranks, id, link->rank, &config), link);
    return VG_OK;
}

static void leave(vg_link *link, bool finished)
{
    if (link == NULL)
        return;
    if (link->comm != NULL && finished)
        nccl.ncclCommDestroy(link->comm);
    else if (link->comm != NULL)
        nccl.ncclCommAbort(link->comm);
    if (link->stream != NULL)
        cudaStreamDestroy(link->stream);
    free(link);
}

static vg_status join(const char name[VG_LINK_NAME], int rank, int ranks, vg_link **made)
{
    vg_link *link = (vg_link *)calloc(1, sizeof *link);
    *made = NULL;
    if (link == NULL)
        return host->fail(VG_NO_MEMORY, "no memory for a link between GPUs");
    link->rank = rank;
    link->ranks = ranks;
    link->what = "joining";
    vg_status status = begin_join(name, link);
    if (status != VG_OK)
        leave(link, false);
    else
        *made = link;
    return status;
}

static vg_status broadcast(vg_link *link, void *data, size_t bytes, int root)
{
    link->what = "a broadcast";
    NCCL(nccl.ncclBroadcast(data, data, bytes, ncclUint8, root, link->comm, link->stream), link);
    return VG_OK;
}

/* Every piece from its rank to the root, in one group. */
static vg_status gather_pieces(vg_link *link, const void *mine, const size_t *sizes, int root, void *all)
{
    char *to = (char *)all;
    if (link->rank != root && sizes[link->rank] > 0)
        NCCL(nccl.ncclSend(mine, sizes[link->rank], ncclUint8, root, link->comm, link->stream), link);
    for (int r = 0; link->rank == root && r < link->ranks; to += sizes[r++])
        if (r != root && sizes[r] > 0)
            NCCL(nccl.ncclRecv(to, sizes[r], ncclUint8, r, link->comm, link->stream), link);
    return VG_OK;
}

static vg_status gather(vg_link *link, const void *mine, const size_t *sizes, int root, void *all)
{
    size_t before = 0;
    link->what = "a gathering";
    for (int r = 0; r < root; r++)
        before += sizes[r];
    NCCL(nccl.ncclGroupStart(), link);
    vg_status status = gather_pieces(link, mine, sizes, root, all);
    ncclResult_t ended = nccl.ncclGroupEnd(); /* after a failure too: a group left open would swallow all that follows */
    VG_TRY(status);
    VG_TRY(nccl_status(ended, "ncclGroupEnd()", __LINE__, link));
    if (link->rank == root && sizes[root] > 0)
        CUDA(cudaMemcpyAsync((char *)all + before, mine, sizes[root], cudaMemcpyDeviceToDevice, link->stream), link->bus);
    return VG_OK;
}

static vg_status finish(vg_link *link)
{
    link->what = "the end";
    NCCL(nccl.ncclCommFinalize(link->comm), link);
    return VG_OK;
}

static vg_status poll(vg_link *link, bool *done)
{
    ncclResult_t state = ncclSuccess;
    *done = false;
    NCCL(nccl.ncclCommGetAsyncError(link->comm, &state), link);
    if (state == ncclInProgress)
        return VG_OK;
    VG_TRY(nccl_status(state, link->what, __LINE__, link));
    cudaError_t code = cudaStreamQuery(link->stream);
    if (code == cudaErrorNotReady) {
        cudaGetLastError(); /* or the next launch would be taken for a failed one */
        return VG_OK;
    }
    *done = true;
    return cuda_status(code, link->what, __LINE__, link->bus);
}

/* Of a library that has been found: a link has been joined. */
static int version(void)
{
    int number = 0;
    return nccl.ncclGetVersion != NULL && nccl.ncclGetVersion(&number) == ncclSuccess ? number : 0;
}

static const vg_link_ops links = {sizeof(vg_link_ops), find_bus, pin,    unpin, version, make_name, join,
                                  broadcast,           gather,   finish, poll,  leave};

const vg_link_ops *vg_nccl_links(const vg_link_host *program)
{
    host = program;
    return &links;
}
