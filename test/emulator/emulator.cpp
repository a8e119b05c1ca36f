/* Thread blocks as fibers.  A fiber runs until it ends or waits: for all of its block at a barrier, or for all of its
 * warp (in a shuffle). */
#include <cuda_runtime.h>
#include <sys/mman.h>

#include <cstdio>
#include <cstdlib>
#include <vector>

#include "emulator.h"

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/common_interface_defs.h>
#endif

emulator_index threadIdx, blockIdx, blockDim, gridDim;

enum { LARGEST_BLOCK = 1024, LANES = 32, STACK = 256 << 10, LARGEST_VALUE = 16 };
enum state { READY, AT_BARRIER, IN_SHUFFLE, ENDED };

struct fiber {
    void *stack_pointer;
    char *stack;
    enum state state;
    unsigned char value[LARGEST_VALUE]; /* given to a shuffle */
    void *sanitizer;
};

static struct {
    fiber fibers[LARGEST_BLOCK];
    void *scheduler; /* its stack pointer */
    void *sanitizer;
    const void *scheduler_stack;
    size_t scheduler_size;
    unsigned current, threads;
    const std::function<void()> *body;
    std::vector<float> shared;
} block;

/* Save this stack's place in *from, go on at `to`. */
extern "C" void emulator_switch(void **from, void *to);
asm(".text\n.type emulator_switch, @function\nemulator_switch:\n"
    "pushq %rbp\npushq %rbx\npushq %r12\npushq %r13\npushq %r14\npushq %r15\n"
    "movq %rsp, (%rdi)\nmovq %rsi, %rsp\n"
    "popq %r15\npopq %r14\npopq %r13\npopq %r12\npopq %rbx\npopq %rbp\nret\n");

static void to_scheduler(fiber *f, bool last)
{
#ifdef __SANITIZE_ADDRESS__
    __sanitizer_start_switch_fiber(last ? NULL : &f->sanitizer, block.scheduler_stack, block.scheduler_size);
#endif
    (void)last;
    emulator_switch(&f->stack_pointer, block.scheduler);
#ifdef __SANITIZE_ADDRESS__
    __sanitizer_finish_switch_fiber(f->sanitizer, &block.scheduler_stack, &block.scheduler_size);
#endif
}

static void enter(void)
{
#ifdef __SANITIZE_ADDRESS__
    __sanitizer_finish_switch_fiber(NULL, &block.scheduler_stack, &block.scheduler_size);
#endif
    (*block.body)();
    fiber *f = &block.fibers[block.current];
    f->state = ENDED;
    to_scheduler(f, true);
    abort();
}

static void to_fiber(unsigned n)
{
    block.current = n;
    threadIdx.x = n;
    fiber *f = &block.fibers[n];
#ifdef __SANITIZE_ADDRESS__
    __sanitizer_start_switch_fiber(&block.sanitizer, f->stack, STACK);
#endif
    emulator_switch(&block.scheduler, f->stack_pointer);
#ifdef __SANITIZE_ADDRESS__
    __sanitizer_finish_switch_fiber(block.sanitizer, NULL, NULL);
#endif
}

static void prepare(fiber *f)
{
    if (!f->stack) {
        f->stack =
            (char *)mmap(NULL, STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (f->stack == MAP_FAILED) abort();
    }
    void **top = (void **)(f->stack + STACK);
    *--top = NULL;
    *--top = (void *)enter;
    for (int i = 0; i < 6; i++) *--top = NULL;
    f->stack_pointer = top;
    f->state = READY;
}

static void wait_as(enum state state)
{
    fiber *f = &block.fibers[block.current];
    f->state = state;
    to_scheduler(f, false);
}

void __syncthreads(void)
{
    wait_as(AT_BARRIER);
}
void __syncwarp(void)
{
    wait_as(IN_SHUFFLE);
}

void emulator_shuffle(void *value, size_t bytes, unsigned source)
{
    unsigned lane = block.current, warp = lane / LANES * LANES;
    if (bytes > LARGEST_VALUE || source >= LANES || warp + source >= block.threads) abort();
    memcpy(block.fibers[lane].value, value, bytes);
    wait_as(IN_SHUFFLE); /* all have given */
    if (block.fibers[warp + source].state == ENDED)
        fprintf(stderr, "emulator: a shuffle reads a lane that has ended\n"), abort();
    memcpy(value, block.fibers[warp + source].value, bytes);
    wait_as(IN_SHUFFLE); /* all have taken */
}

/* Release the threads [first, end) if all that have not ended wait in this state; true when any was. */
static bool release(unsigned first, unsigned end, enum state state)
{
    bool any = false;
    for (unsigned i = first; i < end; i++) {
        if (block.fibers[i].state == ENDED) continue;
        if (block.fibers[i].state != state) return false;
        any = true;
    }
    for (unsigned i = first; i < end && any; i++)
        if (block.fibers[i].state == state) block.fibers[i].state = READY;
    return any;
}

static void run_block(void)
{
    for (unsigned i = 0; i < block.threads; i++) prepare(&block.fibers[i]);
    for (;;) {
        bool ran = false, all = true;
        for (unsigned i = 0; i < block.threads; i++) {
            if (block.fibers[i].state == READY) to_fiber(i), ran = true;
            all = all && block.fibers[i].state == ENDED;
        }
        if (all) return;
        for (unsigned w = 0; w < block.threads; w += LANES)
            ran = release(w, w + LANES < block.threads ? w + LANES : block.threads, IN_SHUFFLE) || ran;
        ran = release(0, block.threads, AT_BARRIER) || ran;
        if (!ran)
            fprintf(stderr, "emulator: threads of block %u wait for others that do not come\n", blockIdx.x), abort();
    }
}

float *emulator_shared(void)
{
    return block.shared.data();
}

void emulator_run(unsigned blocks, unsigned threads, size_t shared, const std::function<void()> &body)
{
    if (threads > LARGEST_BLOCK) fprintf(stderr, "emulator: %u threads in a block\n", threads), abort();
    block.threads = threads;
    block.body = &body;
    blockDim.x = threads;
    gridDim.x = blocks;
    for (unsigned b = 0; b < blocks; b++) {
        blockIdx.x = b;
        block.shared.assign((shared + sizeof(float) - 1) / sizeof(float), NAN);
        run_block();
    }
}
