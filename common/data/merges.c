/* The table of pairs, and merging with a linked list of symbols and a heap of candidates. */
#include "data/merges.h"

#include <stdlib.h>

#include "base/memory.h"

struct merge {
    uint64_t pair; /* 0: an empty slot */
    int32_t rank, result;
};

/* Of symbols in a row; -1: none. */
struct neighbours {
    int32_t previous, next;
};

/* A pair that may be merged, unless another merge takes one of its symbols first. */
struct candidate {
    uint64_t order; /* rank << 32 | place of the left symbol */
    const struct merge *merge;
};

/* A row on its way. */
struct row {
    const struct merges *merges;
    int32_t *ids;
    struct neighbours *of;
    struct candidate *heap;
    int64_t candidates;
};

static uint64_t pair_of(int32_t left, int32_t right)
{
    return ((uint64_t)(uint32_t)left << 32 | (uint32_t)right) + 1;
}

/* The slot of the pair, or the empty one where it would be. */
static struct merge *slot_of(const struct merges *m, uint64_t pair)
{
    for (uint64_t at = pair * 0x9e3779b97f4a7c15 >> 32;; at++) { /* 2^64 by the golden ratio */
        struct merge *slot = &m->slots[at & m->mask];
        if (!slot->pair || slot->pair == pair) return slot;
    }
}

static void grow(struct merges *m)
{
    struct merges old = *m;
    m->mask = old.slots ? 2 * old.mask + 1 : 1023;
    m->slots = mem_zalloc(m->mask + 1, sizeof *m->slots);
    for (uint64_t i = 0; old.slots && i <= old.mask; i++)
        if (old.slots[i].pair) *slot_of(m, old.slots[i].pair) = old.slots[i];
    free(old.slots);
}

void merges_add(struct merges *m, int32_t left, int32_t right, int32_t rank, int32_t result)
{
    if (2 * (uint64_t)m->count >= m->mask) grow(m);
    struct merge *slot = slot_of(m, pair_of(left, right));
    if (slot->pair) return;
    *slot = (struct merge){pair_of(left, right), rank, result};
    m->count++;
}

void merges_free(struct merges *m)
{
    free(m->slots);
    *m = (struct merges){0};
}

static void heap_push(struct row *w, struct candidate c)
{
    int64_t at = w->candidates++;
    for (; at > 0 && c.order < w->heap[(at - 1) / 2].order; at = (at - 1) / 2) w->heap[at] = w->heap[(at - 1) / 2];
    w->heap[at] = c;
}

static struct candidate heap_pop(struct row *w)
{
    struct candidate top = w->heap[0], last = w->heap[--w->candidates];
    int64_t at = 0;
    for (int64_t child; (child = 2 * at + 1) < w->candidates; at = child) {
        if (child + 1 < w->candidates && w->heap[child + 1].order < w->heap[child].order) child++;
        if (w->heap[child].order >= last.order) break;
        w->heap[at] = w->heap[child];
    }
    w->heap[at] = last;
    return top;
}

/* May the symbol at `left` be merged with the one after it? */
static void offer(struct row *w, int32_t left)
{
    int32_t right = left < 0 ? -1 : w->of[left].next;
    if (right < 0) return;
    const struct merge *merge = slot_of(w->merges, pair_of(w->ids[left], w->ids[right]));
    if (merge->pair) heap_push(w, (struct candidate){(uint64_t)merge->rank << 32 | (uint32_t)left, merge});
}

int64_t merges_apply(const struct merges *m, int32_t *ids, int64_t count)
{
    if (count < 2 || !m->count) return count;
    struct neighbours *of = mem_alloc((size_t)count, sizeof *of);
    struct row w = {m, ids, of, mem_alloc(3 * (size_t)count, sizeof *w.heap), 0}; /* a merge offers two pairs more */
    for (int32_t i = 0; i < count; i++) of[i] = (struct neighbours){i - 1, i + 1 < count ? i + 1 : -1};
    for (int32_t i = 0; i < count; i++) offer(&w, i);
    while (w.candidates) {
        struct candidate c = heap_pop(&w);
        int32_t left = (int32_t)(uint32_t)c.order, right = of[left].next;
        if (right < 0 || pair_of(ids[left], ids[right]) != c.merge->pair) continue; /* overtaken by another merge */
        ids[left] = c.merge->result;
        ids[right] = -1; /* in no pair of the table */
        of[left].next = of[right].next;
        if (of[right].next >= 0) of[of[right].next].previous = left;
        offer(&w, left);
        offer(&w, of[left].previous);
    }
    int64_t kept = 0;
    for (int32_t i = 0; i >= 0; i = of[i].next) ids[kept++] = ids[i];
    free(w.heap);
    free(of);
    return kept;
}
