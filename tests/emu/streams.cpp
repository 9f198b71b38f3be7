/* streams: devices, streams, events, copies and launches of the emulation. A stream made with VG_EMU_ORDER=backward does nothing until
 * somebody waits for it, and then only as much as must be: a wait that a program forgot leaves it with old numbers. Work that fails makes
 * every later call return what it failed with. */
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <string>
#include <vector>

#include "cuda_runtime.h"
#include "emu.h"

struct CUstream_st {
    bool backward = false, asked_before = false;
    uint64_t asked = 0, done = 0;
    std::deque<std::function<cudaError_t()>> work;
};

struct CUevent_st {
    CUstream_st *stream = nullptr;
    uint64_t after = 0; /* as many pieces of work of the stream */
};

namespace
{

cudaError_t sticky = cudaSuccess, last = cudaSuccess;
int current_device = 0;
std::vector<CUstream_st *> streams;

/* Does what a stream was asked to until `count` pieces are done. */
cudaError_t drain(CUstream_st *stream, uint64_t count)
{
    while (stream->done < count && !stream->work.empty()) {
        std::function<cudaError_t()> work = std::move(stream->work.front());
        stream->work.pop_front();
        stream->done++;
        if (sticky == cudaSuccess)
            sticky = work();
    }
    return sticky;
}

bool direction_is(const char *wanted)
{
    const char *order = getenv("VG_EMU_ORDER");
    return order != nullptr && strcmp(order, wanted) == 0;
}

cudaError_t note(cudaError_t error)
{
    if (error != cudaSuccess)
        last = error;
    return error;
}

/* A call of the runtime: it may be the one at which the device vanishes. */
cudaError_t enter()
{
    if (sticky == cudaSuccess && emu_fault("vanish"))
        sticky = cudaErrorECCUncorrectable;
    return note(sticky);
}

bool on_device(cudaMemcpyKind kind, bool to)
{
    return kind == cudaMemcpyDeviceToDevice || (to ? kind == cudaMemcpyHostToDevice : kind == cudaMemcpyDeviceToHost);
}

} // namespace

cudaError_t emu_sticky_error()
{
    return sticky;
}

void emu_set_sticky_error(cudaError_t error)
{
    sticky = error;
}

int emu_current_device()
{
    return current_device;
}

int emu_device_count()
{
    const char *text = getenv("VG_EMU_DEVICES");
    return text != nullptr && *text != '\0' ? atoi(text) : 1;
}

bool emu_fault(const char *kind)
{
    static std::string what;
    static long wanted = -1, seen = 0;
    if (wanted < 0) {
        const char *text = getenv("VG_EMU_FAULT");
        std::string all = text != nullptr ? text : "";
        size_t colon = all.find(':'), at = all.find('@');
        bool here = at == std::string::npos || atoi(all.c_str() + at + 1) == current_device;
        what = all.substr(0, colon);
        wanted = colon != std::string::npos && here ? atol(all.c_str() + colon + 1) : 0;
    }
    return wanted > 0 && what == kind && ++seen == wanted;
}

bool emu_runs_backward(cudaStream_t stream)
{
    return stream != nullptr && stream->backward;
}

cudaError_t emu_enqueue(cudaStream_t stream, const std::function<cudaError_t()> &work)
{
    if (stream == nullptr) {
        fprintf(stderr, "emulated GPU: work on the default stream\n");
        return note(cudaErrorInvalidResourceHandle);
    }
    stream->work.push_back(work);
    stream->asked++;
    return stream->backward ? sticky : note(drain(stream, stream->asked));
}

/* ---- devices ---- */

cudaError_t cudaGetDeviceCount(int *count)
{
    *count = emu_device_count();
    return *count > 0 ? cudaSuccess : note(cudaErrorNoDevice);
}

cudaError_t cudaSetDevice(int device)
{
    if (device < 0 || device >= emu_device_count())
        return note(cudaErrorInvalidDevice);
    current_device = device;
    return enter();
}

cudaError_t cudaGetDevice(int *device)
{
    *device = current_device;
    return enter();
}

cudaError_t cudaGetDeviceProperties(cudaDeviceProp *properties, int device)
{
    if (device < 0 || device >= emu_device_count())
        return note(cudaErrorInvalidDevice);
    size_t unused;
    *properties = {};
    snprintf(properties->name, sizeof properties->name, "emulated, no GPU");
    properties->major = 9;
    cudaMemGetInfo(&unused, &properties->totalGlobalMem);
    return enter();
}

cudaError_t cudaDeviceGetPCIBusId(char *id, int length, int device)
{
    snprintf(id, (size_t)length, "0000:%02X:00.0", device + 1);
    return enter();
}

cudaError_t cudaDriverGetVersion(int *version)
{
    *version = CUDART_VERSION;
    return cudaSuccess;
}

cudaError_t cudaRuntimeGetVersion(int *version)
{
    *version = CUDART_VERSION;
    return cudaSuccess;
}

cudaError_t cudaDeviceSynchronize(void)
{
    for (CUstream_st *stream : streams)
        drain(stream, stream->asked);
    return enter();
}

cudaError_t cudaPeekAtLastError(void)
{
    return sticky != cudaSuccess ? sticky : last;
}

cudaError_t cudaGetLastError(void)
{
    cudaError_t error = cudaPeekAtLastError();
    last = cudaSuccess;
    return error;
}

const char *cudaGetErrorName(cudaError_t error)
{
#define NAME(name, value) \
    if (error == name)    \
        return #name;
    EMU_RUNTIME_ERRORS(NAME)
    return "cudaErrorUnknown";
}

const char *cudaGetErrorString(cudaError_t error)
{
    return error == cudaErrorMemoryAllocation ? "out of memory" : cudaGetErrorName(error);
}

/* ---- streams and events ---- */

cudaError_t cudaStreamCreateWithFlags(cudaStream_t *stream, unsigned)
{
    *stream = new CUstream_st;
    (*stream)->backward = direction_is("backward");
    streams.push_back(*stream);
    return enter();
}

cudaError_t cudaStreamDestroy(cudaStream_t stream)
{
    drain(stream, stream->asked);
    for (size_t i = 0; i < streams.size(); i++)
        if (streams[i] == stream)
            streams.erase(streams.begin() + (ptrdiff_t)i--);
    delete stream;
    return sticky;
}

cudaError_t cudaStreamSynchronize(cudaStream_t stream)
{
    drain(stream, stream->asked);
    return enter();
}

/* Where streams run late, whoever asks is told "not yet" every other time, which stays the last error until it is fetched. */
static cudaError_t query(CUstream_st *stream, uint64_t count)
{
    if (stream->backward && stream->done < count && (stream->asked_before = !stream->asked_before))
        return note(cudaErrorNotReady);
    drain(stream, count);
    return enter();
}

cudaError_t cudaStreamQuery(cudaStream_t stream)
{
    return query(stream, stream->asked);
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t *event, unsigned)
{
    *event = new CUevent_st;
    return enter();
}

cudaError_t cudaEventDestroy(cudaEvent_t event)
{
    delete event;
    return sticky;
}

cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream)
{
    event->stream = stream;
    event->after = stream->asked;
    return enter();
}

cudaError_t cudaEventQuery(cudaEvent_t event)
{
    return event->stream != nullptr ? query(event->stream, event->after) : enter();
}

cudaError_t cudaEventSynchronize(cudaEvent_t event)
{
    if (event->stream != nullptr)
        drain(event->stream, event->after);
    return enter();
}

cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned)
{
    CUstream_st *other = event->stream;
    uint64_t after = event->after;
    if (other == nullptr)
        return enter();
    return emu_enqueue(stream, [other, after] { return drain(other, after); });
}

/* ---- copies ---- */

static cudaError_t copy_rows(void *to, size_t pitch_to, const void *from, size_t pitch_from, size_t width, size_t height,
                             cudaMemcpyKind kind, cudaStream_t stream)
{
    if (enter() != cudaSuccess || width == 0 || height == 0)
        return sticky;
    bool bad = kind == cudaMemcpyDefault;
    void *there = on_device(kind, true) ? emu_reach(to, (height - 1) * pitch_to + width, &bad) : to;
    const void *here = on_device(kind, false) ? emu_reach(from, (height - 1) * pitch_from + width, &bad) : from;
    if (bad)
        return note(cudaErrorInvalidValue);
    cudaError_t error = emu_enqueue(stream, [=] {
        for (size_t i = 0; i < height; i++)
            memmove((char *)there + i * pitch_to, (const char *)here + i * pitch_from, width);
        return cudaSuccess;
    });
    /* Memory that is not pinned is copied before the call returns. */
    const void *host = kind == cudaMemcpyHostToDevice ? from : kind == cudaMemcpyDeviceToHost ? to : nullptr;
    return host != nullptr && !emu_is_pinned(host) ? note(drain(stream, stream->asked)) : error;
}

cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t bytes, cudaMemcpyKind kind, cudaStream_t stream)
{
    return copy_rows(to, bytes, from, bytes, bytes, 1, kind, stream);
}

cudaError_t cudaMemcpy2DAsync(void *to, size_t pitch_to, const void *from, size_t pitch_from, size_t width, size_t height,
                              cudaMemcpyKind kind, cudaStream_t stream)
{
    if (pitch_to < width || pitch_from < width)
        return note(cudaErrorInvalidValue);
    return copy_rows(to, pitch_to, from, pitch_from, width, height, kind, stream);
}

cudaError_t cudaMemsetAsync(void *memory, int value, size_t bytes, cudaStream_t stream)
{
    bool bad = false;
    void *there = emu_reach(memory, bytes, &bad);
    if (enter() != cudaSuccess || bad)
        return bad ? note(cudaErrorInvalidValue) : sticky;
    return emu_enqueue(stream, [=] {
        memset(there, value, bytes);
        return cudaSuccess;
    });
}

/* ---- launches ---- */

cudaError_t emu_launch(const char *name, bool fibers, bool bad, dim3 grid, dim3 block, cudaStream_t stream, const emu_work &work)
{
    if (enter() != cudaSuccess)
        return sticky;
    if (emu_fault("launch"))
        return note(cudaErrorLaunchFailure);
    if (bad) {
        fprintf(stderr, "emulated GPU: %s is given an address that is not in live device memory\n", name);
        return note(sticky = cudaErrorIllegalAddress);
    }
    uint64_t threads = (uint64_t)block.x * block.y * block.z;
    if (threads == 0 || threads > 1024 || threads % 32 != 0 || grid.x == 0 || grid.y == 0 || grid.z == 0 || grid.x > 2147483647u ||
        grid.y > 65535 || grid.z > 65535) {
        fprintf(stderr, "emulated GPU: %s on a grid of %u x %u x %u blocks of %u x %u x %u threads\n", name, grid.x, grid.y, grid.z,
                block.x, block.y, block.z);
        return note(cudaErrorInvalidConfiguration);
    }
    bool backward = emu_runs_backward(stream);
    cudaError_t error = emu_enqueue(stream, [=] {
        gridDim = grid;
        blockDim = block;
        return emu_run_blocks(name, fibers, backward, work) ? cudaSuccess : cudaErrorLaunchFailure;
    });
    return error != cudaSuccess ? error : cudaGetLastError(); /* as kernels/common.h does: what nobody fetched before counts */
}
