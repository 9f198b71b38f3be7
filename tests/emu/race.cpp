/* race: finds threads of a kernel that touch the same word without a barrier between them, one of them writing. In the race build kernels/
 * is compiled with -fsanitize=thread and linked with these hooks instead of the compiler's library (which knows no fibers). For every word
 * that kernels touch: who read and who wrote it last, in which block, after how many barriers. Between blocks of one launch nothing is
 * ordered. A launch with a race fails. Local variables are nobody else's and not looked at. */
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <vector>

#include <link.h>

#include "cuda_runtime.h"
#include "emu.h"

extern uint64_t emu_block_number, emu_launch_number;
extern uint32_t emu_epoch;
extern bool emu_in_kernel;

namespace
{

struct touch {
    uint64_t block;
    uint32_t epoch, thread; /* thread: 1 + its number; 0: nobody */
    bool others;            /* more than this thread, in this epoch */
};

struct word {
    uintptr_t key;
    uint64_t launch;
    touch read, written;
};

enum { SHOWN = 3 };
const size_t ROOM = (size_t)1 << 20;
std::vector<word> table(ROOM);
uint64_t launch_checked = 0;
unsigned races = 0;
size_t used = 0;
uintptr_t statics_begin = 1, statics_end = 0;

/* Where this module's variables are: shared memory is among them. */
int find_statics(dl_phdr_info *info, size_t, void *)
{
    uintptr_t here = (uintptr_t)&races;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        uintptr_t begin = info->dlpi_addr + info->dlpi_phdr[i].p_vaddr, end = begin + info->dlpi_phdr[i].p_memsz;
        if (info->dlpi_phdr[i].p_type == PT_LOAD && here >= begin && here < end) {
            statics_begin = begin;
            statics_end = end;
        }
    }
    return 0;
}

bool is_static(uintptr_t at)
{
    if (statics_end == 0)
        dl_iterate_phdr(find_statics, nullptr);
    return at >= statics_begin && at < statics_end;
}

/* What the emulation itself keeps up to date from inside the kernels' files. */
bool is_own(uintptr_t at)
{
    uintptr_t index = (uintptr_t)&threadIdx, number = (uintptr_t)&emu_thread_number;
    return (at >= index && at < index + sizeof threadIdx) || (at >= number && at < number + sizeof emu_thread_number);
}

word *find(uintptr_t key)
{
    if (launch_checked != emu_launch_number) {
        launch_checked = emu_launch_number;
        races = 0;
        used = 0;
    }
    size_t size = table.size();
    if (2 * used > size) { /* larger; what is known of this launch is brought along */
        std::vector<word> old(2 * size);
        old.swap(table);
        used = 0;
        for (const word &w : old)
            if (w.launch == emu_launch_number)
                *find(w.key) = w;
        size = table.size();
    }
    for (size_t i = (key * 0x9E3779B97F4A7C15ull >> 20) % size;; i = (i + 1) % size) {
        word *w = &table[i];
        if (w->launch == emu_launch_number && w->key != key)
            continue;
        if (w->launch != emu_launch_number) {
            *w = word{key, emu_launch_number, {}, {}};
            used++;
        }
        return w;
    }
}

/* Whether what was done before may happen at the same time as what this thread does now. */
bool clashes(const touch &before, bool shared)
{
    if (before.thread == 0)
        return false;
    if (before.block != emu_block_number)
        return !shared;
    return before.epoch == emu_epoch && (before.others || before.thread != emu_thread_number + 1);
}

void note(touch *t)
{
    bool same = t->thread != 0 && t->block == emu_block_number && t->epoch == emu_epoch;
    bool others = same && (t->others || t->thread != emu_thread_number + 1);
    *t = touch{emu_block_number, emu_epoch, emu_thread_number + 1, others};
}

void access(void *address, size_t bytes, bool writes)
{
    uintptr_t at = (uintptr_t)address;
    if (!emu_in_kernel)
        return;
    bool shared = is_static(at);
    if ((!shared && !emu_is_device_memory(address)) || is_own(at))
        return;
    for (uintptr_t piece = at; piece < at + bytes; piece += bytes < 4 ? 1 : 4) {
        word *w = find(bytes < 4 ? ~piece : piece / 4); /* bytes lie in words of their own */
        bool clash = clashes(w->written, shared) || (writes && clashes(w->read, shared));
        if (clash && races++ < SHOWN)
            fprintf(stderr, "emulated GPU: race: block %llu, thread %u %s %s memory that thread %u of block %llu %s\n",
                    (unsigned long long)emu_block_number, emu_thread_number, writes ? "writes" : "reads", shared ? "shared" : "device",
                    (clashes(w->written, shared) ? w->written : w->read).thread - 1,
                    (unsigned long long)(clashes(w->written, shared) ? w->written : w->read).block,
                    clashes(w->written, shared) ? "writes" : "reads");
        note(writes ? &w->written : &w->read);
    }
}

} // namespace

unsigned emu_races()
{
    return launch_checked == emu_launch_number ? races : 0;
}

/* The compiler's calls. */
extern "C" {
#define HOOKS(bytes)                             \
    void __tsan_read##bytes(void *at)            \
    {                                            \
        access(at, bytes, false);                \
    }                                            \
    void __tsan_write##bytes(void *at)           \
    {                                            \
        access(at, bytes, true);                 \
    }                                            \
    void __tsan_unaligned_read##bytes(void *at)  \
    {                                            \
        access(at, bytes, false);                \
    }                                            \
    void __tsan_unaligned_write##bytes(void *at) \
    {                                            \
        access(at, bytes, true);                 \
    }
HOOKS(1)
HOOKS(2)
HOOKS(4)
HOOKS(8)
HOOKS(16)

void __tsan_read_range(void *at, unsigned long bytes)
{
    access(at, bytes, false);
}

void __tsan_write_range(void *at, unsigned long bytes)
{
    access(at, bytes, true);
}

void __tsan_init()
{
}
void __tsan_func_entry(void *)
{
}
void __tsan_func_exit()
{
}
void __tsan_vptr_update(void **, void *)
{
}
void __tsan_vptr_read(void **)
{
}
}
