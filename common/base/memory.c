/* Checked allocation, arenas over reserved address space, and this process's memory figures. */
#include "base/memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include "base/check.h"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#define POISON(p, n) ASAN_POISON_MEMORY_REGION(p, n)
#define UNPOISON(p, n) ASAN_UNPOISON_MEMORY_REGION(p, n)
#define RED_ZONE 64
#else
#define POISON(p, n) ((void)(p), (void)(n))
#define UNPOISON(p, n) ((void)(p), (void)(n))
#define RED_ZONE 0
#endif

enum { ALIGN = 256 };      /* bytes: whole cache lines, and what GPUs load best */
enum { COMMIT = 1 << 25 }; /* device memory comes in pieces of 32 MiB */

static size_t bytes_of(size_t count, size_t size)
{
    size_t bytes;
    CHECK(!__builtin_mul_overflow(count, size, &bytes), "%zu x %zu bytes", count, size);
    return bytes;
}

void *mem_alloc(size_t count, size_t size)
{
    size_t bytes = bytes_of(count, size);
    void *block = malloc(bytes ? bytes : 1);
    CHECK(block, "out of memory for %zu bytes", bytes);
    return block;
}

void *mem_zalloc(size_t count, size_t size)
{
    size_t bytes = bytes_of(count, size);
    void *block = calloc(1, bytes ? bytes : 1);
    CHECK(block, "out of memory for %zu bytes", bytes);
    return block;
}

void *mem_realloc(void *block, size_t count, size_t size)
{
    size_t bytes = bytes_of(count, size);
    void *grown = realloc(block, bytes ? bytes : 1);
    CHECK(grown, "out of memory for %zu bytes", bytes);
    return grown;
}

char *mem_strdup(const char *text)
{
    size_t bytes = strlen(text) + 1;
    return memcpy(mem_alloc(bytes, 1), text, bytes);
}

/* Address space without memory behind it yet; NULL when the system refuses that much. */
static void *reserve(size_t bytes)
{
    void *base = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (base == MAP_FAILED) return NULL;
#ifdef MADV_HUGEPAGE
    madvise(base, bytes, MADV_HUGEPAGE);
#endif
    return base;
}

void *mem_map(size_t count, size_t size)
{
    size_t bytes = bytes_of(count, size);
    void *block = bytes ? reserve(bytes) : NULL;
    CHECK(block || !bytes, "out of memory for %zu bytes", bytes);
    return block;
}

void mem_unmap(void *block, size_t count, size_t size)
{
    if (block) munmap(block, bytes_of(count, size));
}

/* Where address space is limited (ulimit -v) arenas share it: one takes no more than this part. */
static size_t fair_share(size_t wanted)
{
    enum { ARENAS = 32 };
    struct rlimit limit;
    if (getrlimit(RLIMIT_AS, &limit) < 0 || limit.rlim_cur == RLIM_INFINITY) return wanted;
    size_t share = limit.rlim_cur / ARENAS & ~(size_t)(COMMIT - 1);
    return wanted < share || !share ? wanted : share;
}

void arena_open(struct arena *arena, size_t limit)
{
    enum { LEAST = 1 << 28 };
    *arena = (struct arena){.limit = fair_share(limit)};
    /* where the system grants less for another reason (strict overcommit) a smaller arena will do */
    while (!(arena->base = reserve(arena->limit)) && arena->limit > LEAST) arena->limit /= 2;
    CHECK(arena->base, "cannot reserve %zu bytes of address space", arena->limit);
}

void arena_close(struct arena *arena)
{
    if (!arena->base) return;
    if (arena->release) {
        arena->release(arena->context, arena->base, arena->limit, arena->committed);
        *arena = (struct arena){0};
        return;
    }
    UNPOISON(arena->base, arena->peak);
    munmap(arena->base, arena->limit);
    *arena = (struct arena){0};
}

void *arena_take(struct arena *arena, size_t count, size_t size)
{
    size_t bytes = (bytes_of(count, size) + ALIGN - 1) & ~(size_t)(ALIGN - 1);
    CHECK(bytes + RED_ZONE <= arena->limit - arena->used, "arena of %zu bytes is full: %zu used, %zu wanted",
          arena->limit, arena->used, bytes);
    void *block = arena->base + arena->used;
    arena->used += bytes + RED_ZONE;
    if (arena->used > arena->peak) arena->peak = arena->used;
    if (arena->commit) {
        size_t wanted = (arena->used + COMMIT - 1) / COMMIT * COMMIT;
        if (wanted > arena->committed) {
            arena->commit(arena->context, arena->base, arena->committed, wanted);
            arena->committed = wanted;
        }
        return block;
    }
    UNPOISON(block, bytes);
    return block;
}

void arena_release(struct arena *arena, size_t mark)
{
    CHECK(mark <= arena->used, "mark %zu above %zu", mark, arena->used);
    if (!arena->commit) POISON(arena->base + mark, arena->used - mark);
    arena->used = mark;
}

void mem_usage(size_t *now, size_t *peak)
{
    *now = *peak = 0;
    FILE *status = fopen("/proc/self/status", "r");
    if (!status) return;
    char line[256];
    while (fgets(line, sizeof line, status)) {
        size_t kib;
        if (sscanf(line, "VmHWM: %zu kB", &kib) == 1) *peak = kib << 10;
        if (sscanf(line, "VmRSS: %zu kB", &kib) == 1) *now = kib << 10;
    }
    fclose(status);
}
