/* memory: device memory of the emulation. One memfd is mapped twice: the address that callers get is without any access for ever, so that
 * host code that touches device memory faults; the emulation itself works at the alias, a constant further. An address that is used must
 * lie in a live allocation. New memory holds not-a-numbers; under AddressSanitizer all of the alias but live allocations is poisoned,
 * and so are the gaps between the pieces of an arena and what it has taken back. */
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <string>

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "emu.h"

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(address, bytes)
#define ASAN_UNPOISON_MEMORY_REGION(address, bytes)
#endif

namespace
{

struct allocation {
    size_t bytes;
    int device;
};

struct pool {
    char *host = nullptr, *alias = nullptr;
    size_t size = 0, capacity = 0; /* of the mapping; of a device */
    std::map<size_t, allocation> live;
    std::map<int, size_t> used, peak;
    int memory = -1;
};

const size_t GAP = 4096, UNIT = 256, FILLED = 64u << 20;

size_t number(const char *name, size_t otherwise)
{
    const char *text = getenv(name);
    return text != nullptr && *text != '\0' ? strtoull(text, nullptr, 10) : otherwise;
}

void report();

pool &the_pool()
{
    static pool p;
    if (p.host != nullptr)
        return p;
    p.capacity = number("VG_EMU_MEMORY", (size_t)16 << 30);
    p.size = 4 * p.capacity;
    p.memory = memfd_create("emulated device memory", MFD_CLOEXEC);
    if (p.memory < 0 || ftruncate(p.memory, (off_t)p.size) != 0) {
        perror("emulated device memory");
        abort();
    }
    void *host = mmap(nullptr, p.size, PROT_NONE, MAP_SHARED | MAP_NORESERVE, p.memory, 0);
    void *alias = mmap(nullptr, p.size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, p.memory, 0);
    if (host == MAP_FAILED || alias == MAP_FAILED) {
        perror("emulated device memory");
        abort();
    }
    p.host = (char *)host;
    p.alias = (char *)alias;
    atexit(report);
    return p;
}

void report()
{
    const char *path = getenv("VG_EMU_REPORT");
    if (path == nullptr)
        return;
    size_t most = 0;
    for (auto &of_device : the_pool().peak)
        most = std::max(most, of_device.second);
    std::string line = std::to_string(most) + "\n";
    int file = open(path, O_WRONLY | O_APPEND | O_CREAT, 0666);
    if (file >= 0 && write(file, line.data(), line.size()) == (ssize_t)line.size())
        close(file);
}

/* Where `bytes` fit, with gaps on both sides; the pool's size where they do not. */
size_t find_place(const pool &p, size_t bytes)
{
    size_t at = GAP;
    for (const auto &piece : p.live) {
        if (at + bytes + GAP <= piece.first)
            return at;
        at = (piece.first + piece.second.bytes + GAP + UNIT - 1) / UNIT * UNIT;
    }
    return at + bytes + GAP <= p.size ? at : p.size;
}

std::map<size_t, allocation>::iterator find(pool &p, size_t offset)
{
    auto after = p.live.upper_bound(offset);
    return after == p.live.begin() ? p.live.end() : std::prev(after);
}

/* Whether some of it is behind the fence of an arena. One byte is only an address, and may be one past the end. */
bool is_closed(void *at, size_t bytes)
{
#ifdef __SANITIZE_ADDRESS__
    return bytes > 1 && __asan_region_is_poisoned(at, bytes) != nullptr;
#else
    (void)at;
    (void)bytes;
    return false;
#endif
}

} // namespace

#ifdef __SANITIZE_ADDRESS__
/* The fence of an arena in device memory (vg_arena). Not where streams run late: what was asked for before a piece was given back is then
 * still to be done. */
extern "C" __attribute__((visibility("default"))) void vg_memory_fence(void *piece, size_t open, size_t closed)
{
    const char *order = getenv("VG_EMU_ORDER");
    pool &p = the_pool();
    char *at = p.alias + ((char *)piece - p.host);
    if (order != nullptr && strcmp(order, "backward") == 0)
        return;
    ASAN_UNPOISON_MEMORY_REGION(at, open);
    ASAN_POISON_MEMORY_REGION(at + open, closed);
}
#endif

void *emu_reach(const void *address, size_t bytes, bool *bad)
{
    if (address == nullptr || bytes == 0)
        return (void *)address;
    pool &p = the_pool();
    const char *at = (const char *)address;
    if (at >= p.host && at < p.host + p.size) {
        size_t offset = (size_t)(at - p.host);
        auto piece = find(p, offset);
        if (piece != p.live.end() && offset + bytes <= piece->first + piece->second.bytes && !is_closed(p.alias + offset, bytes))
            return p.alias + offset;
    }
    fprintf(stderr, "emulated GPU: %p, %zu bytes, is not in live device memory\n", address, bytes);
    *bad = true;
    return nullptr;
}

bool emu_is_device_memory(const void *address)
{
    const pool &p = the_pool();
    return (const char *)address >= p.alias && (const char *)address < p.alias + p.size;
}

/* One past the end of an allocation is an address that arithmetic may make; it must not be read, and the alias' poison sees to that. */
void *emu_device_address(const void *address, bool *bad)
{
    pool &p = the_pool();
    const char *at = (const char *)address;
    if (address != nullptr && at > p.host && at <= p.host + p.size) {
        auto piece = find(p, (size_t)(at - p.host) - 1);
        if (piece != p.live.end() && (size_t)(at - p.host) == piece->first + piece->second.bytes)
            return p.alias + (at - p.host);
    }
    return emu_reach(address, 1, bad);
}

cudaError_t cudaMalloc(void **memory, size_t bytes)
{
    *memory = nullptr;
    if (emu_sticky_error() != cudaSuccess)
        return emu_sticky_error();
    pool &p = the_pool();
    int device = emu_current_device();
    size_t place = find_place(p, bytes);
    if (emu_fault("alloc") || bytes > p.capacity - std::min(p.capacity, p.used[device]) || place == p.size)
        return cudaErrorMemoryAllocation;
    p.live[place] = {bytes, device};
    p.used[device] += bytes;
    p.peak[device] = std::max(p.peak[device], p.used[device]);
    ASAN_POISON_MEMORY_REGION(p.alias + place - GAP, bytes + 2 * GAP);
    ASAN_UNPOISON_MEMORY_REGION(p.alias + place, bytes);
    memset(p.alias + place, 0xFF, std::min(bytes, FILLED));
    *memory = p.host + place;
    return cudaSuccess;
}

cudaError_t cudaFree(void *memory)
{
    if (memory == nullptr)
        return cudaSuccess;
    cudaDeviceSynchronize();
    pool &p = the_pool();
    size_t offset = (size_t)((char *)memory - p.host);
    auto piece = p.live.find(offset);
    if ((char *)memory < p.host || offset >= p.size || piece == p.live.end()) {
        fprintf(stderr, "emulated GPU: %p is given back and was not given\n", memory);
        return cudaErrorInvalidValue;
    }
    size_t bytes = piece->second.bytes, first = (offset + 4095) / 4096 * 4096, last = (offset + bytes) / 4096 * 4096;
    p.used[piece->second.device] -= bytes;
    p.live.erase(piece);
    ASAN_POISON_MEMORY_REGION(p.alias + offset, bytes);
    if (last > first)
        fallocate(p.memory, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)first, (off_t)(last - first));
    return cudaSuccess;
}

cudaError_t cudaMemGetInfo(size_t *free_bytes, size_t *total)
{
    pool &p = the_pool();
    *total = p.capacity;
    *free_bytes = p.capacity - p.used[emu_current_device()];
    return emu_sticky_error();
}

static std::map<const char *, size_t> &pinned()
{
    static std::map<const char *, size_t> pieces;
    return pieces;
}

bool emu_is_pinned(const void *host)
{
    auto after = pinned().upper_bound((const char *)host);
    return after != pinned().begin() && (const char *)host < std::prev(after)->first + std::prev(after)->second;
}

cudaError_t cudaHostAlloc(void **memory, size_t bytes, unsigned)
{
    *memory = aligned_alloc(4096, (bytes + 4095) / 4096 * 4096);
    if (*memory == nullptr)
        return cudaErrorMemoryAllocation;
    pinned()[(const char *)*memory] = bytes;
    return emu_sticky_error();
}

cudaError_t cudaFreeHost(void *memory)
{
    if (memory == nullptr)
        return cudaSuccess;
    if (pinned().erase((const char *)memory) == 0) {
        fprintf(stderr, "emulated GPU: %p is given back and was not given\n", memory);
        return cudaErrorInvalidValue;
    }
    cudaDeviceSynchronize();
    free(memory);
    return cudaSuccess;
}
