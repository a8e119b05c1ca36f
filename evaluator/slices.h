/* Sums of doubles over slices of samples, the same on any number of ranks: the leaves of dist/tree.h are slices of a
 * number that depends on the samples alone. */
#ifndef EVALUATOR_SLICES_H
#define EVALUATOR_SLICES_H

#include "dist/world.h"

struct slices {
    const struct world *world; /* no more ranks than slices */
    int threads;
    int64_t count, first, end; /* slices in all; of this rank */
    int64_t *starts;           /* [end - first + 1] their first rows among this rank's */
};

/* Slices of `samples` samples: up to 64 of at least 512, and then of 2048. */
int64_t slices_of(int64_t samples);
/* samples [rows] ascending: the numbers, below `total`, of this rank's rows. */
void slices_open(struct slices *s, const struct world *world, int threads, const int64_t *samples, int64_t rows,
                 int64_t total);
void slices_close(struct slices *s);
int64_t slices_longest(const struct slices *s); /* rows of a slice at most */

/* (all of s->world) out [width] = the sum of what leaf() writes for each slice: sums [width] over rows [first, end). */
void slices_sum(const struct slices *s, int64_t width,
                void (*leaf)(void *self, int64_t first, int64_t end, double *sums), void *self, double *out);

#endif
