/* What the ranks of a world do together, on however many there are (world.sh starts it on 1 to 8): sums in the one
 * tree, gathering of uneven shares, and two groups of it that work at the same time. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "dist/comm.h"
#include "dist/queue.h"
#include "dist/share.h"
#include "test/harness.h"

static struct world everyone; /* a case takes no arguments */

/* Element i of leaf's vector. */
static float value(int64_t leaf, int64_t i)
{
    return sinf((float)(leaf * 7919 + i % 65521)) * (float)(1 + i % 13);
}

/* Leaves [first, first + count) of element i, as dist/tree.h has it. */
static float expected(int64_t first, int64_t count, int64_t i)
{
    int64_t left = 1;
    if (count == 1) return value(first, i);
    while (2 * left < count) left *= 2;
    return expected(first, left, i) + expected(first + left, count - left, i);
}

/* Rows of two columns. */
static double sum_of(const double *values, int64_t rows)
{
    int64_t left = 1;
    if (rows == 1) return *values;
    while (2 * left < rows) left *= 2;
    return sum_of(values, left) + sum_of(values + 2 * left, rows - left);
}

/* This rank's nodes of `leaves` vectors of `count`; the buffers are in `memory`. */
static struct tree sums_of(const struct world *w, int64_t leaves, int64_t count, float **memory)
{
    int64_t first = share_first(leaves, w->size, w->rank), end = share_first(leaves, w->size, w->rank + 1);
    int buffers = tree_buffers(leaves, first, end);
    struct tree t = {.leaves = leaves};
    float *into;
    const float *from;
    *memory = mem_alloc((size_t)(buffers * count), sizeof **memory);
    for (int i = 0; i < buffers; i++) tree_lend(&t, *memory + i * count);
    for (int64_t leaf = end - 1; leaf >= first; leaf--) {
        float *sum = tree_take(&t);
        for (int64_t i = 0; i < count; i++) sum[i] = value(leaf, i);
        tree_put(&t, leaf, sum);
        while (tree_join(&t, &into, &from))
            for (int64_t i = 0; i < count; i++) into[i] += from[i];
    }
    return t;
}

static void expect_sum(const char *what, const struct tree *t, int64_t first, int64_t end)
{
    for (int64_t i = first; i < end; i++)
        if (t->node[0].sum[i] != expected(0, t->leaves, i)) {
            EXPECT(0, "%s of %ld leaves: element %ld is %.9g, want %.9g", what, (long)t->leaves, (long)i,
                   (double)t->node[0].sum[i], (double)expected(0, t->leaves, i));
            return;
        }
}

static void reduce_scattered(const struct world *w, int64_t leaves, int64_t units, int64_t unit)
{
    float *memory;
    struct tree t = sums_of(w, leaves, units * unit, &memory);
    world_reduce_scatter(w, &t, units, unit);
    expect_sum("reduce-scatter", &t, share_first(units, w->size, w->rank) * unit,
               share_first(units, w->size, w->rank + 1) * unit);
    free(memory);
}

static void reduced(const struct world *w, int64_t leaves, int64_t count)
{
    for (int root = 0; root < w->size; root++) {
        float *memory;
        struct tree t = sums_of(w, leaves, count, &memory);
        world_reduce(w, &t, count, root);
        if (w->rank == root) expect_sum("reduce", &t, 0, count);
        free(memory);
    }
}

static void gathered(const struct world *w, int64_t units, size_t unit)
{
    unsigned char *data = mem_zalloc((size_t)units, unit);
    int64_t first = share_first(units, w->size, w->rank) * (int64_t)unit,
            end = share_first(units, w->size, w->rank + 1) * (int64_t)unit, wrong = 0;
    for (int64_t i = first; i < end; i++) data[i] = (unsigned char)(i * 131 >> 3);
    world_gather(w, data, units, unit);
    for (int64_t i = 0; i < units * (int64_t)unit; i++) wrong += data[i] != (unsigned char)(i * 131 >> 3);
    EXPECT(!wrong, "%ld units of %zu bytes: %ld bytes are wrong", (long)units, unit, (long)wrong);
    free(data);
}

static void sums(void)
{
    const struct world *w = &everyone;
    for (int64_t leaves = w->size; leaves <= 3 * w->size + 2; leaves++) {
        reduce_scattered(w, leaves, 5, 3); /* some ranks have no part */
        reduce_scattered(w, leaves, 2 * w->size + 1, 100);
        reduced(w, leaves, 77);
    }
    reduce_scattered(w, 13, 100, 4096);
    reduce_scattered(w, w->size, w->size + 1, 300000); /* parts of several messages */
    reduced(w, 11, 600000);
}

static void gathering(void)
{
    gathered(&everyone, 3, 8);
    gathered(&everyone, everyone.size, 32);
    gathered(&everyone, 1000, 48);
    gathered(&everyone, 2 * everyone.size + 1, 700001);
    gathered(&everyone, 301, 16384);
}

/* Through device memory: a GPU's where there is one. */
static void summed(const struct world *w)
{
    struct error error = {0};
    struct device device;
    struct comm comm;
    static double all[24 * 2], want[24 * 2];
    const char *name = device_count() ? "cuda" : "cpu";
    if (device_open(&device, name, "fp32", NULL, 1, w->node_rank, &error) < 0 ||
        comm_open(&comm, w, &device, "auto", &error) < 0)
        EXPECT(0, "%s", error.text);
    const struct kernels *k = device.kernels;
    double *there = k->map(&device, sizeof all);
    for (int64_t rows = w->size; rows <= 24; rows += 3) {
        int64_t first = share_first(rows, w->size, w->rank), end = share_first(rows, w->size, w->rank + 1);
        for (int64_t i = 0; i < rows * 2; i++) want[i] = (double)value(i, i) / 3;
        memset(all, 0, sizeof all);
        memcpy(all + 2 * first, want + 2 * first, (size_t)(2 * (end - first)) * sizeof *all);
        k->upload(&device, there, all, sizeof all);
        comm_sum(&comm, there, rows, 2);
        k->download(&device, all, there, sizeof all);
        for (int i = 0; i < 2; i++)
            EXPECT(all[i] == sum_of(want + i, rows), "%ld rows: %.17g, want %.17g", (long)rows, all[i],
                   sum_of(want + i, rows));
    }
    k->unmap(&device, there, sizeof all);
    comm_close(&comm);
    device_close(&device);
}

static void doubles(void)
{
    summed(&everyone);
}

/* Items of a queue, some given back: each is taken once. */
static void hand_out(const struct world *w)
{
    enum { ITEMS = 100 };
    struct queue q;
    int64_t item, taken = 0, sum = 0;
    int more;
    queue_open(&q, w, ITEMS);
    while ((more = queue_take(&q, &item)) >= 0) {
        if (more)
            taken++, sum += item;
        else
            usleep(50);
    }
    queue_close(&q);
    EXPECT(world_sum(w, taken) == ITEMS && world_sum(w, sum) == ITEMS * (ITEMS - 1) / 2, "%ld taken here", (long)taken);
}

/* The even ranks and the odd ones work on their own, at the same time and at different things. */
static void groups(void)
{
    int colour = everyone.rank % 2;
    struct world half = world_split(&everyone, colour);
    EXPECT(half.size == (everyone.size + 1 - colour) / 2 && half.rank == everyone.rank / 2, "rank %d of %d", half.rank,
           half.size);
    EXPECT(half.node_ranks == half.size && half.node_rank == half.rank, "rank %d of %d on this host", half.node_rank,
           half.node_ranks);
    for (int turn = 0; turn < 3; turn++) {
        struct error error = {0};
        if (colour) hand_out(&half);
        reduce_scattered(&half, 2 * half.size + 1, 20, 4096);
        gathered(&half, 7, 100000);
        if (!colour) hand_out(&half);
        EXPECT(world_max(&half, everyone.rank) == (everyone.size - 1 - colour) / 2 * 2 + colour,
               "the maximum is of another group");
        EXPECT(world_agree(&half, colour && !half.rank ? error_set(&error, ERROR_FAILED, "odd") : 0, &error) == -colour,
               "errors cross groups");
    }
    summed(&half);
    world_free(&half);
    EXPECT(world_sum(&everyone, 1) == everyone.size, "the world of all is still there");
}

/* A mistake in one group ends the other as well, which waits. */
static void abort_in_group(void)
{
    struct world half = world_split(&everyone, everyone.rank % 2);
    CHECK(everyone.rank != 1, "rank %d of all, %d of its group", everyone.rank, half.rank);
    world_barrier(&everyone);
}

int main(int argc, char **argv)
{
    struct error error = {0};
    everyone = world_join(&argc, &argv);
    if (argc > 1 && !strcmp(argv[1], "abort")) abort_in_group();
    if (test_main(argc, argv,
                  (struct test[]){{"sums_in_one_tree", sums},
                                  {"gathering", gathering},
                                  {"sums_of_doubles", doubles},
                                  {"groups", groups},
                                  {0}}))
        error_set(&error, ERROR_FAILED, "a case failed");
    return world_leave(&everyone, &error);
}
