/* Prints, of 1000 numbers in 12 parts dealt to the ranks: the CRC32C of their sum as doubles by ncclAllReduce, and those of their sum as
 * integers, of the least and of the largest. tests/emu/test_nccl.sh compares them over ranks and seeds: the first must differ. */
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <vector>

#define OMPI_SKIP_MPICXX 1
#include <mpi.h>

#include "emu.h"
#include "nccl.h"
extern "C" {
#include "voxgrad/base.h"
}

static const int64_t COUNT = 1000, PARTS = 12;

static double number(int64_t part, int64_t i)
{
    return (double)((part * 7919 + i * 104729) % 1000003 + 1) / 3.0 * (part % 3 == 0 ? 1e12 : 1.0);
}

static bool finished(ncclComm_t comm)
{
    ncclResult_t state = ncclInProgress;
    while (state == ncclInProgress)
        if (ncclCommGetAsyncError(comm, &state) != ncclSuccess)
            return false;
    return state == ncclSuccess;
}

/* The reduction of these numbers over all ranks. */
static bool reduce(ncclComm_t comm, cudaStream_t stream, void *numbers, ncclDataType_t type, ncclRedOp_t op)
{
    void *there = nullptr;
    size_t bytes = (size_t)COUNT * 8;
    bool fine = cudaMalloc(&there, bytes) == cudaSuccess &&
                cudaMemcpyAsync(there, numbers, bytes, cudaMemcpyHostToDevice, stream) == cudaSuccess &&
                cudaStreamSynchronize(stream) == cudaSuccess;
    ncclResult_t started = fine ? ncclAllReduce(there, there, (size_t)COUNT, type, op, comm, stream) : ncclSystemError;
    fine = (started == ncclSuccess || started == ncclInProgress) && finished(comm);
    return fine && cudaMemcpyAsync(numbers, there, bytes, cudaMemcpyDeviceToHost, stream) == cudaSuccess && cudaFree(there) == cudaSuccess;
}

int main(int argc, char **argv)
{
    int rank, ranks;
    ncclUniqueId id;
    ncclComm_t comm;
    cudaStream_t stream;
    ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
    config.blocking = 0;
    MPI_Init(&argc, &argv);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &ranks);
    bool fine = cudaSetDevice(rank) == cudaSuccess && cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking) == cudaSuccess &&
                ncclGetUniqueId(&id) == ncclSuccess && MPI_Bcast(&id, sizeof id, MPI_BYTE, 0, MPI_COMM_WORLD) == MPI_SUCCESS &&
                ncclCommInitRankConfig(&comm, ranks, id, rank, &config) == ncclInProgress && finished(comm);
    std::vector<double> sum((size_t)COUNT, 0.0);
    std::vector<int64_t> whole((size_t)COUNT, 0), least, largest;
    for (int64_t part = rank; part < PARTS; part += ranks)
        for (int64_t i = 0; i < COUNT; i++) {
            sum[(size_t)i] += number(part, i);
            whole[(size_t)i] += (int64_t)number(part, i);
        }
    least = largest = std::vector<int64_t>((size_t)COUNT, rank % 3 == 0 ? 5 : 7);
    fine = fine && reduce(comm, stream, sum.data(), ncclFloat64, ncclSum) && reduce(comm, stream, whole.data(), ncclInt64, ncclSum) &&
           reduce(comm, stream, least.data(), ncclInt64, ncclMin) && reduce(comm, stream, largest.data(), ncclInt64, ncclMax);
    if (rank == 0 && fine)
        printf("%08x %08x %lld %lld\n", vg_crc32c(0, sum.data(), sum.size() * 8), vg_crc32c(0, whole.data(), whole.size() * 8),
               (long long)least[0], (long long)largest[0]);
    if (fine)
        ncclCommDestroy(comm);
    else
        fprintf(stderr, "rank %d: %s\n", rank, ncclGetLastError(nullptr));
    MPI_Finalize();
    return fine ? 0 : 1;
}
