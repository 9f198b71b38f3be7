/* The constants of NCCL that voxgrad, or a test of the emulation, uses (see emu_runtime_values.h). */
#define EMU_NCCL_RESULTS(row)                                                                                                        \
    row(ncclSuccess, 0) row(ncclUnhandledCudaError, 1) row(ncclSystemError, 2) row(ncclInternalError, 3) row(ncclInvalidArgument, 4) \
        row(ncclInvalidUsage, 5) row(ncclRemoteError, 6) row(ncclInProgress, 7)
#define EMU_NCCL_TYPES(row) \
    row(ncclInt8, 0) row(ncclUint8, 1) row(ncclInt32, 2) row(ncclInt64, 4) row(ncclUint64, 5) row(ncclFloat32, 7) row(ncclFloat64, 8)
#define EMU_NCCL_OPERATIONS(row) row(ncclSum, 0) row(ncclMax, 2) row(ncclMin, 3)
