/* Integers until the last division. */
#include "nn/tally.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/memory.h"

void tally_open(struct tally *t, int64_t classes)
{
    *t = (struct tally){.classes = classes, .seen = mem_zalloc((size_t)classes * 3, sizeof *t->seen)};
    t->hit1 = t->seen + classes;
    t->hit5 = t->hit1 + classes;
}

void tally_close(struct tally *t)
{
    free(t->seen);
    *t = (struct tally){0};
}

void tally_add(struct tally *t, int32_t label, int64_t rank)
{
    CHECK(label >= 0 && label < t->classes, "label %d of %ld", label, (long)t->classes);
    t->seen[label]++;
    t->hit1[label] += rank < 1;
    t->hit5[label] += rank < 5;
}

/* counts [count] of all ranks, added up. */
static void add_counts(const struct world *world, int64_t *counts, int64_t count)
{
    enum { PIECE = 4096 };
    int64_t *all = mem_alloc((size_t)world->size * PIECE, sizeof *all);
    for (int64_t at = 0; at < count && world->size > 1; at += PIECE) {
        int64_t n = count - at < PIECE ? count - at : PIECE;
        world_gather_all(world, counts + at, (size_t)n * sizeof *counts, all);
        memset(counts + at, 0, (size_t)n * sizeof *counts);
        for (int64_t i = 0; i < n * world->size; i++) counts[at + i % n] += all[i];
    }
    free(all);
}

struct classification_scores tally_scores(struct tally *t, const struct world *world)
{
    struct classification_scores out = {0};
    int64_t hit1 = 0, hit5 = 0, present = 0;
    add_counts(world, t->seen, 3 * t->classes);
    for (int64_t c = 0; c < t->classes; c++) {
        if (!t->seen[c]) continue;
        out.samples += t->seen[c];
        hit1 += t->hit1[c];
        hit5 += t->hit5[c];
        present++;
        out.mean_per_class_recall += (double)t->hit1[c] / (double)t->seen[c];
    }
    if (!out.samples) return out;
    out.acc1 = (double)hit1 / (double)out.samples;
    out.acc5 = (double)hit5 / (double)out.samples;
    out.mean_per_class_recall /= (double)present;
    if (out.samples > 1) out.deviation = sqrt(out.acc1 * (1 - out.acc1) / (double)(out.samples - 1));
    return out;
}
