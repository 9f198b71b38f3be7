/* fibers: the threads of a block. Where threads wait for each other every thread is a fiber with a stack of its own. A warp's lanes run
 * until they exchange numbers or meet at a barrier; a lane that waits hands over to the next one. On x86-64 that takes a few nanoseconds,
 * elsewhere swapcontext, which asks the operating system for the signal mask. Threads that do not wait for each other are a plain loop.
 * Threads and blocks run in order or backward: a right kernel makes the same bits. */
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include <pthread.h>
#include <sys/mman.h>
#include <ucontext.h>

#include "cuda_runtime.h"
#include "emu.h"

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/common_interface_defs.h>
#endif

dim3 threadIdx, blockIdx, blockDim, gridDim;

/* For the race build: which thread of which block runs, and how many barriers the block has met at. */
uint64_t emu_block_number, emu_launch_number;
uint32_t emu_epoch, emu_thread_number;
bool emu_in_kernel, emu_backward;

namespace
{

enum { THREADS = 1024, WARP = 32 };
const size_t STACK = 128 * 1024;
#ifdef __SANITIZE_ADDRESS__
size_t scheduler_size;
#endif

enum place { READY, AT_WARP, AT_BLOCK, DONE };

/* Where a stack was left. */
struct context {
    void *top;
#ifndef __x86_64__
    ucontext_t slow;
#endif
};

struct fiber {
    context at;
    char *stack;
    dim3 index;
    place where;
    bool made;
    void *shadow; /* AddressSanitizer's */
};

struct exchange {
    unsigned char value[2][WARP][8];
    int turn[WARP];
};

fiber fibers[THREADS], scheduler;
exchange exchanges[THREADS / WARP];
fiber *running;
const std::function<void()> *job;

#ifdef __x86_64__
/* Pushes what a function must keep, leaves the stack's top at *from, and goes on with the stack `to`. */
extern "C" void emu_switch(void **from, void *to);
asm(".text\n"
    ".type emu_switch, @function\n"
    "emu_switch:\n"
    "    push %rbp; push %rbx; push %r12; push %r13; push %r14; push %r15\n"
    "    mov %rsp, (%rdi)\n"
    "    mov %rsi, %rsp\n"
    "    pop %r15; pop %r14; pop %r13; pop %r12; pop %rbx; pop %rbp\n"
    "    ret\n");

void switch_stack(context *from, context *to)
{
    emu_switch(&from->top, to->top);
}

void make_context(context *c, char *stack, void (*life)())
{
    void **top = (void **)(stack + STACK) - 2; /* at entry of a function the stack is 8 off a multiple of 16 */
    top[0] = (void *)life;
    c->top = top - 6;
}
#else
void switch_stack(context *from, context *to)
{
    swapcontext(&from->slow, &to->slow);
}

void make_context(context *c, char *stack, void (*life)())
{
    getcontext(&c->slow);
    c->slow.uc_stack.ss_sp = stack;
    c->slow.uc_stack.ss_size = STACK;
    c->slow.uc_link = nullptr;
    makecontext(&c->slow, life, 0);
}
#endif

/* Leaves `from` and goes on where `to` was left; comes back when somebody goes on here. */
void go(fiber *from, fiber *to)
{
    running = to;
    threadIdx = to->index;
    emu_thread_number = to != &scheduler ? (uint32_t)(to - fibers) : 0;
#ifdef __SANITIZE_ADDRESS__
    __sanitizer_start_switch_fiber(&from->shadow, to->stack, to == &scheduler ? scheduler_size : STACK);
#endif
    switch_stack(&from->at, &to->at);
#ifdef __SANITIZE_ADDRESS__
    __sanitizer_finish_switch_fiber(from->shadow, nullptr, nullptr);
#endif
}

/* The next lane of a warp that can run, from lane i on in the order of the launch. */
fiber *next_ready(fiber *lanes, int i)
{
    for (; i >= 0 && i < WARP; i += emu_backward ? -1 : 1)
        if (lanes[i].where == READY)
            return lanes + i;
    return nullptr;
}

/* Frees a warp all of whose lanes wait for each other. */
bool free_warp(fiber *lanes)
{
    for (int i = 0; i < WARP; i++)
        if (lanes[i].where != AT_WARP)
            return false;
    for (int i = 0; i < WARP; i++)
        lanes[i].where = READY;
    return true;
}

/* The running thread waits: the next lane goes on, or the first where all wait for each other, or the scheduler where the warp is stuck. */
void wait_at(place where)
{
    fiber *me = running, *lanes = fibers + (me - fibers) / WARP * WARP;
    me->where = where;
    fiber *next = next_ready(lanes, (int)(me - lanes));
    if (next == nullptr && where == AT_WARP && free_warp(lanes))
        next = lanes + (emu_backward ? WARP - 1 : 0);
    if (next != me)
        go(me, next != nullptr ? next : &scheduler);
}

/* The life of a fiber: it does a job, and says so. */
void live()
{
#ifdef __SANITIZE_ADDRESS__
    __sanitizer_finish_switch_fiber(nullptr, nullptr, nullptr);
#endif
    for (;;) {
        (*job)();
        wait_at(DONE);
    }
}

void make(fiber *f)
{
    if (f->stack == nullptr)
        f->stack = (char *)mmap(nullptr, STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    make_context(&f->at, f->stack, live);
    f->made = true;
}

/* Runs a warp until all of its threads are at the block's barrier or done; false where some wait for others that will not come. */
bool run_warp(unsigned warp)
{
    fiber *lanes = fibers + warp * WARP;
    while (fiber *next = next_ready(lanes, emu_backward ? WARP - 1 : 0))
        go(&scheduler, next);
    for (int i = 0; i < WARP; i++)
        if (lanes[i].where == AT_WARP)
            return false;
    return true;
}

/* The scheduler's stack is the one that it was called on. */
void find_scheduler()
{
#ifdef __SANITIZE_ADDRESS__
    pthread_attr_t attributes;
    void *bottom;
    if (scheduler.stack != nullptr)
        return;
    pthread_getattr_np(pthread_self(), &attributes);
    pthread_attr_getstack(&attributes, &bottom, &scheduler_size);
    pthread_attr_destroy(&attributes);
    scheduler.stack = (char *)bottom;
#endif
}

const char *run_fibers(unsigned threads)
{
    find_scheduler();
    for (unsigned i = 0; i < threads / WARP; i++)
        memset(exchanges[i].turn, 0, sizeof exchanges[i].turn);
    for (unsigned i = 0; i < threads; i++) {
        if (!fibers[i].made)
            make(&fibers[i]);
        fibers[i].where = READY;
        fibers[i].index = dim3(i % blockDim.x, i / blockDim.x % blockDim.y, i / blockDim.x / blockDim.y);
    }
    for (;;) {
        unsigned done = 0, warps = threads / WARP;
        for (unsigned i = 0; i < warps; i++)
            if (!run_warp(emu_backward ? warps - 1 - i : i))
                return "some lanes of a warp wait for others that do not come";
        for (unsigned i = 0; i < threads; i++)
            done += fibers[i].where == DONE;
        if (done == threads)
            return nullptr;
        if (done > 0)
            return "some threads left before a barrier";
        emu_epoch++;
        for (unsigned i = 0; i < threads; i++)
            fibers[i].where = READY;
    }
}

} // namespace

bool emu_run_blocks(const char *name, bool with_fibers, bool backward, const std::function<void()> &thread)
{
    unsigned threads = blockDim.x * blockDim.y * blockDim.z;
    uint64_t across = gridDim.x, down = gridDim.y, blocks = across * down * gridDim.z;
    const char *fault = nullptr;
    job = &thread;
    emu_backward = backward;
    running = nullptr;
    emu_launch_number++;
    emu_in_kernel = true;
    for (uint64_t i = 0; i < blocks && fault == nullptr; i++) {
        uint64_t block = backward ? blocks - 1 - i : i;
        blockIdx = dim3((unsigned)(block % across), (unsigned)(block / across % down), (unsigned)(block / across / down));
        emu_block_number = block;
        emu_epoch = 0;
        if (with_fibers)
            fault = run_fibers(threads);
        else
            thread();
    }
    emu_in_kernel = false;
    if (fault == nullptr && emu_races != nullptr && emu_races() > 0)
        fault = "threads touch the same memory without a barrier between them";
    if (fault == nullptr)
        return true;
    fprintf(stderr, "emulated GPU: %s, block %llu: %s\n", name, (unsigned long long)emu_block_number, fault);
    for (unsigned i = 0; i < threads; i++)
        fibers[i].made = false;
    return false;
}

unsigned emu_lane()
{
    return emu_thread_number % WARP;
}

void __syncthreads()
{
    if (running == nullptr || !emu_in_kernel)
        abort(); /* launched as flat */
    wait_at(AT_BLOCK);
}

void __syncwarp(unsigned mask)
{
    if (mask != 0xffffffffu)
        abort();
    wait_at(AT_WARP);
}

/* Two places a lane, used in turn: nobody can be two exchanges ahead. */
template <size_t BYTES> static void swap_values(void *mine, unsigned from)
{
    unsigned lane = emu_lane();
    exchange *e = &exchanges[emu_thread_number / WARP];
    int turn = e->turn[lane] ^= 1;
    memcpy(e->value[turn][lane], mine, BYTES);
    wait_at(AT_WARP);
    memcpy(mine, e->value[turn][from], BYTES);
}

void emu_exchange(unsigned mask, void *mine, size_t bytes, unsigned from)
{
    if (mask == 0xffffffffu && bytes == 4) /* sizes that the compiler knows: exchanges are most of what the emulation does */
        swap_values<4>(mine, from);
    else if (mask == 0xffffffffu && bytes == 8)
        swap_values<8>(mine, from);
    else
        abort();
}
