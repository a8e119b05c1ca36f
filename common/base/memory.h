/* Memory: checked allocation and arenas.
 *
 * mem_* end the job when the machine has no memory left: there is nothing a caller could do better.
 *
 * An arena is a stack for everything whose life is a step or a segment.  It reserves address space once and takes
 * pages from the system as they are first touched, so pointers stay valid and nothing is copied when it grows:
 *
 *   base |== tensors of segment 0 ==|== segment 1 ==|......... reserved, untouched .........| limit
 *                                   ^ mark          ^ used
 *
 * arena_release(mark) forgets everything above the mark.  All blocks are aligned to 256 bytes; under AddressSanitizer
 * a red zone follows each block and released memory is poisoned. */
#ifndef BASE_MEMORY_H
#define BASE_MEMORY_H

#include <stddef.h>
#include <stdint.h>

/* count x size bytes, uninitialised or zeroed; overflow of the product is a failed check.  Caller frees with free(). */
void *mem_alloc(size_t count, size_t size) __attribute__((malloc, warn_unused_result));
void *mem_zalloc(size_t count, size_t size) __attribute__((malloc, warn_unused_result));
void *mem_realloc(void *block, size_t count, size_t size) __attribute__((warn_unused_result));
char *mem_strdup(const char *text) __attribute__((malloc, warn_unused_result));

struct arena {
    unsigned char *base;
    size_t used, limit, peak; /* bytes */
    /* Memory that is not the host's (backend/device.h): commit puts memory behind bytes [from, to) of base, release
     * gives all back. */
    void (*commit)(void *context, void *base, size_t from, size_t to);
    void (*release)(void *context, void *base, size_t limit, size_t committed);
    void *context;
    size_t committed;
};

/* Reserve `limit` bytes of address space (no memory yet), or less where the system does not grant that much. */
void arena_open(struct arena *arena, size_t limit);
void arena_close(struct arena *arena);

/* count x size uninitialised bytes, valid until a release below them. */
void *arena_take(struct arena *arena, size_t count, size_t size) __attribute__((warn_unused_result));

static inline size_t arena_mark(const struct arena *arena)
{
    return arena->used;
}
void arena_release(struct arena *arena, size_t mark);

/* A large buffer of its own, zeroed by the system, aligned to 64 bytes, backed by huge pages where offered. */
void *mem_map(size_t count, size_t size) __attribute__((warn_unused_result));
void mem_unmap(void *block, size_t count, size_t size);

/* Bytes of memory this process holds now and at most so far (Linux: VmRSS, VmHWM of /proc/self/status; else 0). */
void mem_usage(size_t *now, size_t *peak);

#endif
