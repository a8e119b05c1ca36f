/* Integers until the last division. */
#include "nn/tally.h"

#include <stdlib.h>

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

struct classification_scores tally_scores(const struct tally *t, const struct world *world)
{
    struct classification_scores out = {0};
    int64_t hit1 = 0, hit5 = 0, present = 0;
    for (int64_t c = 0; c < t->classes; c++) {
        int64_t seen = world_sum(world, t->seen[c]), one = world_sum(world, t->hit1[c]);
        hit5 += world_sum(world, t->hit5[c]);
        if (!seen) continue;
        out.samples += seen;
        hit1 += one;
        present++;
        out.mean_per_class_recall += (double)one / (double)seen;
    }
    if (!out.samples) return out;
    out.acc1 = (double)hit1 / (double)out.samples;
    out.acc5 = (double)hit5 / (double)out.samples;
    out.mean_per_class_recall /= (double)present;
    return out;
}
