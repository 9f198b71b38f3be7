/* NCCL over MPI: what voxgrad's communicators (non-blocking, one device a rank, rank numbers those of MPI_COMM_WORLD) do, and what NCCL
 * refuses: two ranks on one device, an operation while the one before is under way, memory that is not the device's. Sums are made in an
 * order of ranks that a seed (VG_EMU_NCCL_SEED) and the number of the operation shuffle, so that whoever adds floating-point numbers by
 * ncclAllReduce does not get the same bits twice. Kinds of VG_EMU_FAULT: nccl (the N-th operation fails), nccl-hang (it never ends). */
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <random>
#include <string>
#include <vector>

#define OMPI_SKIP_MPICXX 1
#include <mpi.h>
#include <unistd.h>

#include "emu.h"
#include "nccl.h"

struct ncclComm {
    int rank = 0, ranks = 0, generation = 0, operations = 0;
    ncclResult_t state = ncclInProgress;
    bool hangs = false;
    std::vector<MPI_Request> requests;
    std::function<ncclResult_t()> after; /* when all requests are through */
};

namespace
{

const size_t PIECE = (size_t)1 << 30; /* MPI counts in int */
int generations = 0, group_depth = 0;
std::vector<ncclComm *> in_group;
std::string last_error;

ncclResult_t refuse(ncclResult_t result, const std::string &why)
{
    last_error = why;
    return result;
}

/* MPI keeps the order of messages between two ranks; those of an aborted communicator are never taken for a later one's. */
int tag(const ncclComm *comm)
{
    return 1000 + comm->generation % 20000;
}

void post(ncclComm *comm, void *data, size_t bytes, int peer, bool send)
{
    for (size_t at = 0; at < bytes && !comm->hangs; at += PIECE) {
        int size = (int)std::min(PIECE, bytes - at);
        MPI_Request request;
        if (send)
            MPI_Isend((char *)data + at, size, MPI_BYTE, peer, tag(comm), MPI_COMM_WORLD, &request);
        else
            MPI_Irecv((char *)data + at, size, MPI_BYTE, peer, tag(comm), MPI_COMM_WORLD, &request);
        comm->requests.push_back(request);
    }
}

void progress(ncclComm *comm)
{
    int done = 0;
    if (comm->state != ncclInProgress || comm->hangs)
        return;
    if (emu_sticky_error() != cudaSuccess) {
        comm->state = refuse(ncclUnhandledCudaError, "the device is lost");
        return;
    }
    MPI_Testall((int)comm->requests.size(), comm->requests.data(), &done, MPI_STATUSES_IGNORE);
    if (!done)
        return;
    comm->requests.clear();
    comm->state = comm->after ? comm->after() : ncclSuccess;
    comm->after = nullptr;
}

/* Before an operation: may it begin? */
ncclResult_t enter(ncclComm *comm)
{
    if (comm == nullptr)
        return refuse(ncclInvalidArgument, "no communicator");
    if (emu_sticky_error() != cudaSuccess)
        return refuse(ncclUnhandledCudaError, "the device is lost");
    bool open = std::find(in_group.begin(), in_group.end(), comm) != in_group.end();
    if (!open && comm->state == ncclInProgress)
        return refuse(ncclInvalidUsage, "the operation before is under way");
    if (!open && comm->state != ncclSuccess)
        return comm->state;
    if (emu_fault("nccl"))
        return comm->state = refuse(ncclSystemError, "a failure that was asked for (VG_EMU_FAULT)");
    comm->hangs |= emu_fault("nccl-hang");
    if (!open) {
        comm->operations++;
        comm->state = ncclInProgress;
        if (group_depth > 0)
            in_group.push_back(comm);
    }
    return group_depth > 0 ? ncclSuccess : ncclInProgress;
}

size_t size_of(ncclDataType_t type)
{
    switch (type) {
    case ncclInt8:
    case ncclUint8:
        return 1;
    case ncclInt32:
    case ncclFloat32:
        return 4;
    default:
        return 8;
    }
}

/* Memory of the device as the emulation sees it. */
ncclResult_t reach(ncclComm *comm, const void *address, size_t bytes, void **seen)
{
    bool bad = false;
    *seen = emu_reach(address, bytes, &bad);
    return bad ? comm->state = refuse(ncclInvalidArgument, "memory that is not the device's") : ncclSuccess;
}

struct place {
    char id[NCCL_UNIQUE_ID_BYTES], host[128], bus[32];
};

template <class T>
void combine(T *sum, const std::vector<std::vector<char>> &parts, const std::vector<int> &order, size_t count, ncclRedOp_t op)
{
    for (size_t i = 0; i < order.size(); i++) {
        const T *part = (const T *)parts[(size_t)order[i]].data();
        for (size_t j = 0; j < count; j++)
            if (i == 0)
                sum[j] = part[j];
            else
                sum[j] = op == ncclMax ? std::max(sum[j], part[j]) : op == ncclMin ? std::min(sum[j], part[j]) : (T)(sum[j] + part[j]);
    }
}

std::vector<int> shuffled(const ncclComm *comm)
{
    const char *text = getenv("VG_EMU_NCCL_SEED");
    std::mt19937 random((unsigned)(text != nullptr ? atoi(text) : 1) + 7919u * (unsigned)comm->operations);
    std::vector<int> order;
    for (int r = 0; r < comm->ranks; r++)
        order.push_back(r);
    for (size_t i = order.size(); i > 1; i--)
        std::swap(order[i - 1], order[random() % i]);
    return order;
}

} // namespace

ncclResult_t ncclGetUniqueId(ncclUniqueId *id)
{
    memset(id, 0, sizeof *id);
    snprintf(id->internal, sizeof id->internal, "%ld %u", (long)getpid(), std::random_device()());
    return emu_sticky_error() == cudaSuccess ? ncclSuccess : refuse(ncclUnhandledCudaError, "the device is lost");
}

ncclResult_t ncclCommInitRankConfig(ncclComm_t *made, int ranks, ncclUniqueId id, int rank, ncclConfig_t *config)
{
    int started = 0;
    *made = nullptr;
    MPI_Initialized(&started);
    if (!started || config == nullptr || config->magic != 0xcafebeefu || config->blocking != 0 || rank < 0 || rank >= ranks)
        return refuse(ncclInvalidArgument, "the emulation has non-blocking communicators under MPI alone");
    generations++;
    if (emu_sticky_error() != cudaSuccess || emu_fault("nccl"))
        return refuse(ncclUnhandledCudaError, "the device is lost, or a failure was asked for (VG_EMU_FAULT)");
    ncclComm *comm = *made = new ncclComm;
    comm->rank = rank;
    comm->ranks = ranks;
    comm->generation = generations;
    comm->hangs = emu_fault("nccl-hang");
    auto places = new std::vector<place>((size_t)ranks);
    place *mine = &(*places)[(size_t)rank];
    memcpy(mine->id, id.internal, sizeof mine->id);
    gethostname(mine->host, sizeof mine->host - 1);
    cudaDeviceGetPCIBusId(mine->bus, sizeof mine->bus, emu_current_device());
    for (int r = 0; r < ranks; r++)
        if (r != rank) {
            post(comm, mine, sizeof *mine, r, true);
            post(comm, &(*places)[(size_t)r], sizeof *mine, r, false);
        }
    comm->after = [places, ranks] {
        std::vector<place> all = *places;
        delete places;
        for (int a = 0; a < ranks; a++)
            for (int b = 0; b < a; b++) {
                if (memcmp(all[(size_t)a].id, all[(size_t)b].id, sizeof all[0].id) != 0)
                    return refuse(ncclInvalidArgument, "ranks of different communicators meet");
                if (strcmp(all[(size_t)a].host, all[(size_t)b].host) == 0 && strcmp(all[(size_t)a].bus, all[(size_t)b].bus) == 0)
                    return refuse(ncclInvalidUsage, std::string("Duplicate GPU detected: both ranks are on ") + all[(size_t)a].bus);
            }
        return ncclSuccess;
    };
    return ncclInProgress;
}

ncclResult_t ncclCommGetAsyncError(ncclComm_t comm, ncclResult_t *state)
{
    if (comm == nullptr)
        return refuse(ncclInvalidArgument, "no communicator");
    progress(comm);
    *state = comm->state;
    return ncclSuccess;
}

ncclResult_t ncclCommFinalize(ncclComm_t comm)
{
    return enter(comm);
}

ncclResult_t ncclCommDestroy(ncclComm_t comm)
{
    if (comm->state == ncclInProgress)
        fprintf(stderr, "emulated NCCL: a communicator is destroyed while an operation is under way\n");
    delete comm;
    return ncclSuccess;
}

/* What was sent and not received stays where it is: nobody else has its tag. */
ncclResult_t ncclCommAbort(ncclComm_t comm)
{
    for (MPI_Request &request : comm->requests)
        if (request != MPI_REQUEST_NULL) {
            MPI_Cancel(&request);
            MPI_Request_free(&request);
        }
    delete comm;
    return ncclSuccess;
}

ncclResult_t ncclGetVersion(int *version)
{
    *version = 0; /* an emulation */
    return ncclSuccess;
}

const char *ncclGetErrorString(ncclResult_t result)
{
#define NAME(name, value) \
    if (result == name)   \
        return #name;
    EMU_NCCL_RESULTS(NAME)
    return "unknown";
}

const char *ncclGetLastError(ncclComm_t)
{
    return last_error.c_str();
}

ncclResult_t ncclBroadcast(const void *from, void *to, size_t count, ncclDataType_t type, int root, ncclComm_t comm, cudaStream_t)
{
    ncclResult_t entered = enter(comm), reached;
    void *data;
    size_t bytes = count * size_of(type);
    if (entered != ncclSuccess && entered != ncclInProgress)
        return entered;
    if (from != to)
        return comm->state = refuse(ncclInvalidArgument, "the emulation broadcasts in place alone");
    if ((reached = reach(comm, to, bytes, &data)) != ncclSuccess)
        return reached;
    for (int r = 0; r < comm->ranks && comm->rank == root; r++)
        if (r != root)
            post(comm, data, bytes, r, true);
    if (comm->rank != root)
        post(comm, data, bytes, root, false);
    return entered;
}

static ncclResult_t point_to_point(void *data, size_t bytes, int peer, ncclComm_t comm, bool send)
{
    ncclResult_t entered = enter(comm), reached;
    void *seen;
    if (entered != ncclSuccess && entered != ncclInProgress)
        return entered;
    if (peer < 0 || peer >= comm->ranks || peer == comm->rank)
        return comm->state = refuse(ncclInvalidArgument, "the emulation sends to other ranks alone");
    if ((reached = reach(comm, data, bytes, &seen)) != ncclSuccess)
        return reached;
    post(comm, seen, bytes, peer, send);
    return entered;
}

ncclResult_t ncclSend(const void *data, size_t count, ncclDataType_t type, int peer, ncclComm_t comm, cudaStream_t)
{
    return point_to_point((void *)data, count * size_of(type), peer, comm, true);
}

ncclResult_t ncclRecv(void *data, size_t count, ncclDataType_t type, int peer, ncclComm_t comm, cudaStream_t)
{
    return point_to_point(data, count * size_of(type), peer, comm, false);
}

ncclResult_t ncclGroupStart(void)
{
    group_depth++;
    return ncclSuccess;
}

ncclResult_t ncclGroupEnd(void)
{
    if (group_depth == 0)
        return refuse(ncclInvalidUsage, "a group ends that has not begun");
    if (--group_depth > 0)
        return ncclSuccess;
    ncclResult_t result = ncclSuccess;
    for (ncclComm *comm : in_group)
        result = result == ncclSuccess || result == ncclInProgress ? comm->state : result;
    in_group.clear();
    return result;
}

ncclResult_t ncclAllReduce(const void *from, void *to, size_t count, ncclDataType_t type, ncclRedOp_t op, ncclComm_t comm, cudaStream_t)
{
    ncclResult_t entered = enter(comm), reached;
    void *source, *target;
    size_t bytes = count * size_of(type);
    if (entered != ncclSuccess && entered != ncclInProgress)
        return entered;
    if ((reached = reach(comm, from, bytes, &source)) != ncclSuccess || (reached = reach(comm, to, bytes, &target)) != ncclSuccess)
        return reached;
    auto parts = std::make_shared<std::vector<std::vector<char>>>((size_t)comm->ranks, std::vector<char>(bytes));
    memcpy((*parts)[(size_t)comm->rank].data(), source, bytes);
    for (int r = 0; r < comm->ranks; r++)
        if (r != comm->rank) {
            post(comm, (*parts)[(size_t)comm->rank].data(), bytes, r, true);
            post(comm, (*parts)[(size_t)r].data(), bytes, r, false);
        }
    std::vector<int> order = shuffled(comm);
    comm->after = [=] {
        switch (type) {
        case ncclInt32:
            combine((int32_t *)target, *parts, order, count, op);
            return ncclSuccess;
        case ncclInt64:
            combine((int64_t *)target, *parts, order, count, op);
            return ncclSuccess;
        case ncclUint64:
            combine((uint64_t *)target, *parts, order, count, op);
            return ncclSuccess;
        case ncclFloat32:
            combine((float *)target, *parts, order, count, op);
            return ncclSuccess;
        case ncclFloat64:
            combine((double *)target, *parts, order, count, op);
            return ncclSuccess;
        default:
            return refuse(ncclInvalidArgument, "the emulation reduces no numbers of this type");
        }
    };
    return entered;
}
