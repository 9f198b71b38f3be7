/* The constants of the CUDA runtime that voxgrad uses, NAME = VALUE. The emulation makes its enumerations of them; the drift test compares
 * each with NVIDIA's own. */
#define EMU_RUNTIME_ERRORS(row)                                                                                              \
    row(cudaSuccess, 0) row(cudaErrorInvalidValue, 1) row(cudaErrorMemoryAllocation, 2) row(cudaErrorInitializationError, 3) \
        row(cudaErrorInvalidConfiguration, 9) row(cudaErrorInsufficientDriver, 35) row(cudaErrorDevicesUnavailable, 46)      \
            row(cudaErrorNoDevice, 100) row(cudaErrorInvalidDevice, 101) row(cudaErrorECCUncorrectable, 214)                 \
                row(cudaErrorInvalidResourceHandle, 400) row(cudaErrorNotReady, 600) row(cudaErrorIllegalAddress, 700)       \
                    row(cudaErrorLaunchFailure, 719) row(cudaErrorUnknown, 999)
#define EMU_RUNTIME_COPIES(row)                                                                                                 \
    row(cudaMemcpyHostToHost, 0) row(cudaMemcpyHostToDevice, 1) row(cudaMemcpyDeviceToHost, 2) row(cudaMemcpyDeviceToDevice, 3) \
        row(cudaMemcpyDefault, 4)
#define EMU_RUNTIME_FLAGS(row)                                                                                      \
    row(cudaStreamNonBlocking, 1) row(cudaStreamDefault, 0) row(cudaEventDefault, 0) row(cudaEventDisableTiming, 2) \
        row(cudaHostAllocDefault, 0)
