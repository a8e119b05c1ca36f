/* A rank sums its slices from the last to the first, joining nodes as they come. */
#include "evaluator/slices.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "dist/share.h"

enum { FEW = 64, SHORT = 512, LONG = 2048 };

int64_t slices_of(int64_t samples)
{
    int64_t few = samples / SHORT < FEW ? samples / SHORT : FEW, many = samples / LONG;
    return many > few ? many : few > 1 ? few : 1;
}

void slices_open(struct slices *s, const struct world *world, int threads, const int64_t *samples, int64_t rows,
                 int64_t total)
{
    int64_t count = slices_of(total), row = 0;
    *s = (struct slices){.world = world,
                         .threads = threads,
                         .count = count,
                         .first = share_first(count, world->size, world->rank),
                         .end = share_first(count, world->size, world->rank + 1)};
    s->starts = mem_alloc((size_t)(s->end - s->first + 1), sizeof *s->starts);
    for (int64_t i = s->first; i <= s->end; i++) {
        while (row < rows && samples[row] < share_first(total, count, i)) row++;
        s->starts[i - s->first] = row;
    }
}

void slices_close(struct slices *s)
{
    free(s->starts);
    *s = (struct slices){0};
}

int64_t slices_longest(const struct slices *s)
{
    int64_t longest = 0;
    for (int64_t i = 0; i < s->end - s->first; i++)
        if (s->starts[i + 1] - s->starts[i] > longest) longest = s->starts[i + 1] - s->starts[i];
    return longest;
}

static void add(double *sum, const double *other, int64_t count, int threads)
{
    enum { PIECE = 1 << 14 };
#pragma omp parallel for num_threads(threads) schedule(static) if (threads > 1 && count > PIECE)
    for (int64_t i = 0; i < count; i++) sum[i] += other[i];
}

void slices_sum(const struct slices *s, int64_t width,
                void (*leaf)(void *self, int64_t first, int64_t end, double *sums), void *self, double *out)
{
    int buffers = tree_buffers(s->count, s->first, s->end);
    double *block = mem_map((size_t)(buffers * width), sizeof *block);
    struct tree tree = {.leaves = s->count};
    float *into;
    const float *from;
    for (int i = 0; i < buffers; i++) tree_lend(&tree, (void *)(block + i * width));
    for (int64_t i = s->end - 1; i >= s->first; i--) {
        float *sums = tree_take(&tree);
        leaf(self, s->starts[i - s->first], s->starts[i - s->first + 1], (void *)sums);
        tree_put(&tree, i, sums);
        while (tree_join(&tree, &into, &from)) add((void *)into, (const void *)from, width, s->threads);
    }
    world_reduce_wide(s->world, &tree, width, 0);
    if (!s->world->rank) memcpy(out, tree.node[0].sum, (size_t)width * sizeof *out);
    world_broadcast(s->world, out, (size_t)width * sizeof *out, 0);
    mem_unmap(block, (size_t)(buffers * width), sizeof *block);
}
