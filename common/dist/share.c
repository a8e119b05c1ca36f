/* The choice of slices. */
#include "dist/share.h"

#include <stdbool.h>
#include <stdio.h>

static bool is_power(int64_t n)
{
    return (n & (n - 1)) == 0;
}

/* Of ranks that are a power of two and divide the batch. */
static int64_t choose_power(int64_t batch, int64_t ranks, int64_t samples)
{
    int64_t slices = ranks > SLICES_PER_RANK ? ranks : SLICES_PER_RANK;
    while (slices > ranks && (batch % slices || batch / slices < samples)) slices /= 2;
    return slices;
}

/* Of any other; 0: there is none. */
static int64_t choose_even(int64_t batch, int64_t ranks)
{
    int64_t best = 0;
    double least = 0;
    for (int64_t slices = ranks; slices <= batch && slices <= SLICES_PER_RANK * ranks; slices++) {
        if (batch % slices) continue;
        double busiest = (double)((slices + ranks - 1) / ranks * ranks) / (double)slices; /* 1: all have the same */
        if (!best || busiest < least) best = slices, least = busiest;
        if (least <= 1.125) break;
    }
    return best;
}

/* Names the nearest batch that would do. */
static int64_t refuse(int64_t batch, int64_t slices, const char *count, struct error *error)
{
    int64_t below = batch / slices * slices, above = below + slices;
    return error_set(error, ERROR_USAGE, "--global-batch-size %ld does not divide into %s slices; %ld does",
                     (long)batch, count, (long)(below && batch - below <= above - batch ? below : above));
}

int64_t slices_choose(int64_t asked, int64_t batch, int64_t ranks, int64_t samples, struct error *error)
{
    int64_t most = asked ? asked : batch;
    char count[64];
    if (ranks > most)
        return error_set(error, ERROR_USAGE, "%ld ranks share %ld %s: use at most %ld ranks, or %s", (long)ranks,
                         (long)most, asked ? "slices" : "samples a step", (long)most,
                         asked ? "more --slices" : "a larger --global-batch-size");
    snprintf(count, sizeof count, "%ld", (long)asked);
    if (asked) return batch % asked ? refuse(batch, asked, count, error) : asked;
    bool power = is_power(ranks) && batch % ranks == 0;
    int64_t slices = power ? choose_power(batch, ranks, samples) : choose_even(batch, ranks);
    snprintf(count, sizeof count, "%ld to %ld", (long)ranks, (long)(SLICES_PER_RANK * ranks));
    return slices ? slices : refuse(batch, ranks, count, error);
}
