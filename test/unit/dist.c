/* Who gets what and who adds what: shares, slices and the tree of sums, of any number of slices over any number of
 * ranks. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "dist/share.h"
#include "dist/tree.h"
#include "test/harness.h"

enum { MOST = 70 };

static void shares(void)
{
    for (int64_t count = 1; count <= MOST; count++)
        for (int64_t parts = 1; parts <= count + 3; parts++) {
            EXPECT(share_first(count, parts, 0) == 0 && share_first(count, parts, parts) == count, "%ld in %ld",
                   (long)count, (long)parts);
            for (int64_t r = 0; r < parts; r++) {
                int64_t first = share_first(count, parts, r), end = share_first(count, parts, r + 1);
                EXPECT(end - first == count / parts || end - first == count / parts + 1, "share %ld is [%ld, %ld)",
                       (long)r, (long)first, (long)end);
                for (int64_t i = first; i < end; i++)
                    EXPECT(share_owner(count, parts, i) == r, "%ld of %ld in %ld: %ld", (long)i, (long)count,
                           (long)parts, (long)share_owner(count, parts, i));
            }
        }
    int64_t large = (int64_t)1 << 40;
    EXPECT(share_first(large, 4096, 4095) == large / 4096 * 4095 && share_owner(large, 4096, large - 1) == 4095,
           "large counts overflow");
}

static void chosen(int64_t want, int64_t asked, int64_t batch, int64_t ranks, int64_t samples, const char *says)
{
    struct error error = {0};
    int64_t got = slices_choose(asked, batch, ranks, samples, &error);
    EXPECT(got == want && !says == !error.code && (!says || strstr(error.text, says)),
           "batch %ld on %ld ranks: %ld slices (%s), want %ld (%s)", (long)batch, (long)ranks, (long)got, error.text,
           (long)want, says ? says : "");
}

static void slices(void)
{
    /* powers of two: up to 8 or the ranks, as long as slices are large enough */
    chosen(8, 0, 4096, 1, 32, NULL);
    chosen(4, 0, 128, 2, 32, NULL);
    chosen(2, 0, 32, 2, 32, NULL);
    chosen(1, 0, 7, 1, 32, NULL);
    chosen(2, 0, 6, 2, 1, NULL);
    chosen(16, 0, 64, 16, 32, NULL);
    chosen(4096, 0, 65536, 4096, 32, NULL);
    /* others: even shares where the batch allows, else nearly */
    chosen(3, 0, 48, 3, 32, NULL);
    chosen(24, 0, 4800, 24, 32, NULL);
    chosen(8, 0, 4096, 3, 32, NULL);
    chosen(64, 0, 4096, 24, 32, NULL);
    chosen(50, 0, 100, 8, 1, NULL);
    chosen(5, 5, 20, 3, 32, NULL);
    chosen(-1, 0, 97, 3, 32, "--global-batch-size 97 does not divide into 3 to 24 slices; 96 does");
    chosen(-1, 8, 20, 2, 32, "--global-batch-size 20 does not divide into 8 slices; 16 does");
    chosen(-1, 8, 4, 2, 32, "4 does not divide into 8 slices; 8 does");
    chosen(-1, 2, 20, 3, 32, "3 ranks share 2 slices: use at most 2 ranks, or more --slices");
    chosen(-1, 0, 4, 5, 32, "5 ranks share 4 samples a step: use at most 4 ranks, or a larger --global-batch-size");
}

/* An expression as a number: a + b is b + a, but (a + b) + c is not a + (b + c).  It stands where a sum's first two
 * floats would. */
static uint64_t plus(uint64_t a, uint64_t b)
{
    uint64_t x = (a + b) * 0x9e3779b97f4a7c15u ^ (a ^ b);
    return (x ^ x >> 29) * 0xbf58476d1ce4e5b9u + (a * b);
}

static uint64_t read(const float *sum)
{
    uint64_t x;
    memcpy(&x, sum, sizeof x);
    return x;
}

static void join(float *into, const float *from)
{
    uint64_t x = plus(read(into), read(from));
    memcpy(into, &x, sizeof x);
}

/* The sum of leaves [first, first + count): a tree splits at the largest power of two below its size. */
static uint64_t whole(int64_t first, int64_t count)
{
    int64_t left = 1;
    if (count == 1) return (uint64_t)first + 1000;
    while (2 * left < count) left *= 2;
    return plus(whole(first, left), whole(first + left, count - left));
}

static void add_up(struct tree *t, float (*buffers)[2], int64_t leaves, int64_t first, int64_t end)
{
    float *into;
    const float *from;
    *t = (struct tree){.leaves = leaves};
    for (int i = 0; i < tree_buffers(leaves, first, end); i++) tree_lend(t, buffers[i]);
    for (int64_t leaf = end - 1; leaf >= first; leaf--) {
        float *sum = tree_take(t);
        uint64_t x = (uint64_t)leaf + 1000;
        memcpy(sum, &x, sizeof x);
        tree_put(t, leaf, sum);
        while (tree_join(t, &into, &from)) join(into, from);
    }
}

/* Sums of all ranks meet for the part of rank `part`; returns how many travelled. */
static int meet(struct tree *of, int64_t leaves, int64_t ranks, int64_t part)
{
    int64_t into, from;
    int sent = 0;
    for (int height = 1; height <= tree_height(leaves); height++)
        for (int64_t first = 0; first < leaves; first += (int64_t)1 << height) {
            int64_t last = first + ((int64_t)1 << height) - 1;
            if (share_owner(leaves, ranks, first) == share_owner(leaves, ranks, last < leaves ? last : leaves - 1))
                continue;
            if (!tree_meet(leaves, first, height, share_first(leaves, ranks, part), &into, &from)) continue;
            int64_t keeper = share_owner(leaves, ranks, into), giver = share_owner(leaves, ranks, from);
            join(tree_at(&of[keeper], into), tree_at(&of[giver], from));
            sent += keeper != giver;
        }
    return sent;
}

/* Every cut into shares gives the expression of one rank, in the first sum of whoever it is for, and a rank sends a
 * node's part at most once. */
static void trees(void)
{
    static struct tree of[MOST];
    static float buffers[MOST][TREE_NODES][2];
    for (int64_t leaves = 1; leaves <= MOST; leaves++) {
        uint64_t want = whole(0, leaves);
        for (int64_t ranks = 1; ranks <= leaves; ranks++)
            for (int64_t part = 0; part < ranks; part++) {
                int nodes = 0;
                for (int64_t r = 0; r < ranks; r++) {
                    add_up(&of[r], buffers[r], leaves, share_first(leaves, ranks, r),
                           share_first(leaves, ranks, r + 1));
                    nodes += of[r].count;
                }
                int sent = meet(of, leaves, ranks, part);
                EXPECT(read(of[part].node[0].sum) == want, "%ld slices on %ld ranks: part %ld is another sum",
                       (long)leaves, (long)ranks, (long)part);
                EXPECT(sent < nodes, "%ld slices on %ld ranks: %d nodes, %d sent", (long)leaves, (long)ranks, nodes,
                       sent);
            }
    }
}

static void buffers(void)
{
    for (int k = 0; k <= 20; k++) {
        int64_t slices = (int64_t)1 << k;
        EXPECT(tree_buffers(slices, 0, slices) == k + 1, "%ld slices: %d buffers", (long)slices,
               tree_buffers(slices, 0, slices));
        EXPECT(tree_buffers(8 * slices, 3 * slices, 4 * slices) == k + 1, "a share of %ld: %d buffers", (long)slices,
               tree_buffers(8 * slices, 3 * slices, 4 * slices));
    }
    EXPECT(tree_buffers(24, 7, 8) == 1 && tree_buffers(24, 7, 9) == 2 && tree_buffers(7, 4, 7) == 3, "small shares");
    EXPECT(tree_buffers(1000003, 333334, 666668) <= 2 * 20, "%d buffers", tree_buffers(1000003, 333334, 666668));
}

static double sum_of(const double *values, int64_t rows, int64_t cols)
{
    int64_t left = 1;
    if (rows == 1) return *values;
    while (2 * left < rows) left *= 2;
    return sum_of(values, left, cols) + sum_of(values + left * cols, rows - left, cols);
}

/* The device's kernel is the same tree. */
static void tree_sum(void)
{
    enum { COLS = 3 };
    struct error error = {0};
    struct device device;
    static double values[MOST * COLS];
    if (device_open(&device, device_count() ? "cuda" : "cpu", "fp32", NULL, 1, 0, &error) < 0)
        EXPECT(0, "%s", error.text);
    const struct kernels *k = device.kernels;
    double *there = k->map(&device, sizeof values), got[COLS];
    struct rng rng = rng_open(1, RNG_TEST, 0, 0);
    for (int64_t rows = 1; rows <= MOST; rows++) {
        for (int64_t i = 0; i < rows * COLS; i++) values[i] = rng_normal(&rng);
        k->upload(&device, there, values, sizeof values);
        k->tree_sum(&device, there, rows, COLS);
        k->download(&device, got, there, sizeof got);
        for (int i = 0; i < COLS; i++)
            EXPECT(got[i] == sum_of(values + i, rows, COLS), "%ld rows: %.17g, want %.17g", (long)rows, got[i],
                   sum_of(values + i, rows, COLS));
    }
    k->unmap(&device, there, sizeof values);
    device_close(&device);
}

int main(int argc, char **argv)
{
    return test_main(argc, argv,
                     (struct test[]){{"shares", shares},
                                     {"slices", slices},
                                     {"trees", trees},
                                     {"tree_buffers", buffers},
                                     {"tree_sum", tree_sum},
                                     {0}});
}
