/* Groups by size onto the rank with the least work; without groups a batch is found by its number. */
#include "serve/deal.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/memory.h"

static int64_t smaller(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t larger(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* Samples at a time in a group of pictures of this size. */
static int64_t batch_of(const struct deal *d, struct extent size)
{
    int64_t count = d->batch * extent_area(d->size) / extent_area(size);
    return count > 0 ? count : 1;
}

struct weighed {
    int64_t group, pixels;
};

static int heaviest_first(const void *a, const void *b)
{
    const struct weighed *x = a, *y = b;
    if (x->pixels != y->pixels) return x->pixels > y->pixels ? -1 : 1;
    return x->group < y->group ? -1 : 1;
}

/* owner [group_count]: the rank of each. */
static void choose_owners(const struct picture_group *groups, int64_t count, int ranks, int *owner)
{
    struct weighed *list = mem_alloc((size_t)count, sizeof *list);
    int64_t *load = mem_zalloc((size_t)ranks, sizeof *load);
    for (int64_t g = 0; g < count; g++) list[g] = (struct weighed){g, groups[g].count * extent_area(groups[g].size)};
    qsort(list, (size_t)count, sizeof *list, heaviest_first);
    for (int64_t i = 0; i < count; i++) {
        int least = 0;
        for (int r = 1; r < ranks; r++)
            if (load[r] < load[least]) least = r;
        owner[list[i].group] = least;
        load[least] += list[i].pixels;
    }
    free(list);
    free(load);
}

static void deal_groups(struct deal *d, const struct picture_group *groups)
{
    int *owner = mem_alloc((size_t)d->group_count, sizeof *owner);
    int64_t count = 0, all = 0;
    for (int64_t g = 0; g < d->group_count; g++) {
        int64_t batch = batch_of(d, groups[g].size);
        count += (groups[g].count + batch - 1) / batch;
        all += groups[g].count;
    }
    CHECK(all == d->samples, "%ld samples in groups, %ld in all", (long)all, (long)d->samples);
    d->spans = mem_alloc((size_t)count, sizeof *d->spans);
    d->starts = mem_zalloc((size_t)d->ranks + 1, sizeof *d->starts);
    choose_owners(groups, d->group_count, d->ranks, owner);
    count = 0;
    for (int r = 0; r < d->ranks; r++) {
        d->starts[r] = count;
        int64_t first = 0;
        for (int64_t g = 0; g < d->group_count; first += groups[g++].count)
            for (int64_t at = 0, n; owner[g] == r && at < groups[g].count; at += n) {
                n = smaller(batch_of(d, groups[g].size), groups[g].count - at);
                d->spans[count++] = (struct picture_span){first + at, n, groups[g].stored, groups[g].size};
                d->most = larger(d->most, n);
                d->most_pixels = larger(d->most_pixels, n * extent_area(groups[g].size));
            }
    }
    d->starts[d->ranks] = count;
    free(owner);
}

void deal_open(struct deal *d, int64_t samples, struct extent size, int64_t batch, int ranks,
               const struct picture_group *groups, int64_t group_count)
{
    *d = (struct deal){.samples = samples, .batch = batch, .size = size, .ranks = ranks, .group_count = group_count};
    d->most = group_count ? 0 : smaller(batch, samples);
    d->most_pixels = d->most * extent_area(size);
    if (group_count) deal_groups(d, groups);
}

void deal_close(struct deal *d)
{
    free(d->spans);
    free(d->starts);
    *d = (struct deal){0};
}

int64_t deal_batches(const struct deal *d, int rank)
{
    if (d->group_count) return d->starts[rank + 1] - d->starts[rank];
    int64_t batches = (d->samples + d->batch - 1) / d->batch;
    return (batches - rank + d->ranks - 1) / d->ranks;
}

struct picture_span deal_span(const struct deal *d, int rank, int64_t number)
{
    if (number >= deal_batches(d, rank)) return (struct picture_span){0};
    if (d->group_count) return d->spans[d->starts[rank] + number];
    int64_t first = (number * d->ranks + rank) * d->batch;
    return (struct picture_span){.first = first, .count = smaller(d->batch, d->samples - first), .size = d->size};
}
