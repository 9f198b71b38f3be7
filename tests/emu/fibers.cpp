/* fibers: the threads of a block. Where threads wait for each other every thread is a fiber with a stack of its own, made once by
 * makecontext and then switched to by _setjmp and _longjmp (swapcontext would ask the operating system for the signal mask every time).
 * A warp's lanes run until they exchange numbers or meet at a barrier. Threads that do not wait for each other are a plain loop.
 * Threads and blocks run in order or backward: a right kernel makes the same bits. */
#include <csetjmp>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include <sys/mman.h>
#include <ucontext.h>

#include "cuda_runtime.h"
#include "emu.h"

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/common_interface_defs.h>
#endif

dim3 threadIdx, blockIdx, blockDim, gridDim;

/* For the race build: which thread of which block runs, and how many barriers the block has met at. */
extern "C" {
uint64_t emu_block_number, emu_launch_number;
uint32_t emu_epoch;
uint32_t emu_thread_number;
bool emu_in_kernel;
}

namespace
{

enum { THREADS = 1024, WARP = 32 };
const size_t STACK = 128 * 1024;

enum place { READY, AT_WARP, AT_BLOCK, DONE };

struct fiber {
    jmp_buf at;
    ucontext_t context;
    char *stack;
    dim3 index;
    place where;
    bool made;
    void *shadow; /* AddressSanitizer's */
};

struct exchange {
    unsigned char value[2][WARP][16];
    int turn[WARP];
};

fiber fibers[THREADS];
exchange exchanges[THREADS / WARP];
fiber *running;
jmp_buf scheduler;
const std::function<void()> *job;

#ifdef __SANITIZE_ADDRESS__
void *scheduler_shadow;
const void *scheduler_bottom;
size_t scheduler_size;
void leave_stack(void **shadow, const void *bottom, size_t size)
{
    __sanitizer_start_switch_fiber(shadow, bottom, size);
}
void reach_stack(void *shadow, const void **bottom, size_t *size)
{
    __sanitizer_finish_switch_fiber(shadow, bottom, size);
}
#endif

/* Leaves here and goes on where `to` was left; comes back when somebody goes on from `from`. */
void jump(jmp_buf from, jmp_buf to)
{
    if (_setjmp(from) == 0)
        _longjmp(to, 1);
}

void to_scheduler()
{
    fiber *me = running;
#ifdef __SANITIZE_ADDRESS__
    leave_stack(&me->shadow, scheduler_bottom, scheduler_size);
#endif
    jump(me->at, scheduler);
#ifdef __SANITIZE_ADDRESS__
    reach_stack(me->shadow, &scheduler_bottom, &scheduler_size);
#endif
}

void to_fiber(fiber *f)
{
    running = f;
    threadIdx = f->index;
    emu_thread_number = (uint32_t)(f - fibers);
#ifdef __SANITIZE_ADDRESS__
    leave_stack(&scheduler_shadow, f->stack, STACK);
#endif
    jump(scheduler, f->at);
#ifdef __SANITIZE_ADDRESS__
    reach_stack(scheduler_shadow, nullptr, nullptr);
#endif
}

ucontext_t making;

/* The first time that a fiber leaves, to who made it. */
__attribute__((noinline)) void first_leave(fiber *me)
{
#ifdef __SANITIZE_ADDRESS__
    reach_stack(nullptr, &scheduler_bottom, &scheduler_size);
    leave_stack(&me->shadow, scheduler_bottom, scheduler_size);
#endif
    if (_setjmp(me->at) == 0)
        swapcontext(&me->context, &making);
#ifdef __SANITIZE_ADDRESS__
    reach_stack(running->shadow, &scheduler_bottom, &scheduler_size);
#endif
}

/* The life of a fiber: it waits for a job, does it, and says so. */
void live()
{
    first_leave(running);
    for (;;) {
        (*job)();
        running->where = DONE;
        to_scheduler();
    }
}

void make(fiber *f)
{
    if (f->stack == nullptr)
        f->stack = (char *)mmap(nullptr, STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    getcontext(&f->context);
    f->context.uc_stack.ss_sp = f->stack;
    f->context.uc_stack.ss_size = STACK;
    f->context.uc_link = nullptr;
    makecontext(&f->context, live, 0);
    running = f;
#ifdef __SANITIZE_ADDRESS__
    leave_stack(&scheduler_shadow, f->stack, STACK);
#endif
    swapcontext(&making, &f->context);
#ifdef __SANITIZE_ADDRESS__
    reach_stack(scheduler_shadow, nullptr, nullptr);
#endif
    f->made = true;
}

/* Runs a warp until all of its threads are at the block's barrier or done; false where some wait for others that will not come. */
bool run_warp(unsigned warp, bool backward)
{
    fiber *lanes = fibers + warp * WARP;
    for (;;) {
        for (int i = 0; i < WARP; i++) {
            fiber *f = lanes + (backward ? WARP - 1 - i : i);
            if (f->where == READY)
                to_fiber(f);
        }
        int waiting = 0;
        for (int i = 0; i < WARP; i++)
            waiting += lanes[i].where == AT_WARP;
        if (waiting == 0)
            return true;
        if (waiting < WARP)
            return false;
        for (int i = 0; i < WARP; i++)
            lanes[i].where = READY;
    }
}

const char *run_fibers(unsigned threads, bool backward)
{
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
            if (!run_warp(backward ? warps - 1 - i : i, backward))
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

void run_plain(unsigned threads, bool backward)
{
    running = nullptr;
    for (unsigned i = 0; i < threads; i++) {
        unsigned t = backward ? threads - 1 - i : i;
        threadIdx = dim3(t % blockDim.x, t / blockDim.x % blockDim.y, t / blockDim.x / blockDim.y);
        emu_thread_number = t;
        (*job)();
    }
}

} // namespace

bool emu_run_blocks(const char *name, bool with_fibers, bool backward, const std::function<void()> &thread)
{
    unsigned threads = blockDim.x * blockDim.y * blockDim.z;
    uint64_t across = gridDim.x, down = gridDim.y, blocks = across * down * gridDim.z;
    const char *fault = nullptr;
    job = &thread;
    emu_launch_number++;
    emu_in_kernel = true;
    for (uint64_t i = 0; i < blocks && fault == nullptr; i++) {
        uint64_t block = backward ? blocks - 1 - i : i;
        blockIdx = dim3((unsigned)(block % across), (unsigned)(block / across % down), (unsigned)(block / across / down));
        emu_block_number = block;
        emu_epoch = 0;
        if (with_fibers)
            fault = run_fibers(threads, backward);
        else
            run_plain(threads, backward);
    }
    emu_in_kernel = false;
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
    running->where = AT_BLOCK;
    to_scheduler();
}

void __syncwarp(unsigned mask)
{
    if (mask != 0xffffffffu)
        abort();
    running->where = AT_WARP;
    to_scheduler();
}

/* Two places a lane, used in turn: nobody can be two exchanges ahead. */
void emu_exchange(unsigned mask, void *mine, size_t bytes, unsigned from)
{
    if (mask != 0xffffffffu || bytes > sizeof exchanges[0].value[0][0])
        abort();
    unsigned lane = emu_lane();
    exchange *e = &exchanges[emu_thread_number / WARP];
    int turn = e->turn[lane] ^= 1;
    memcpy(e->value[turn][lane], mine, bytes);
    __syncwarp();
    memcpy(mine, e->value[turn][from], bytes);
}
