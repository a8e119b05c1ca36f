/* Blocks of queries visit all ranks; each keeps short lists of the nearest among its own items, and the owner merges.
 * A thread takes a part of the block through all items, so that the scores it looks at are still in its cache.
 *
 *   for each rank's block of queries:  broadcast -> products with the items, a strip at a time -> lists -> gather */
#include "nn/knn.h"

#include <math.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/memory.h"
#include "dist/stopping.h"
#include "nn/tally.h"

enum { PART = 504, STRIP = 768 };             /* queries and items of a product: whole panels of all kernels */
enum { LINE = 32 };                           /* scores that are compared at once */
enum { GATHER_BYTES = 1 << 28, FEWEST = 32 }; /* what the neighbours of a block may take on all ranks; queries */

int64_t knn_unit(float *rows, int64_t count, int64_t dim)
{
    for (int64_t i = 0; i < count; i++) {
        float *row = rows + i * dim;
        double squares = 0;
        for (int64_t k = 0; k < dim; k++) squares += (double)row[k] * (double)row[k];
        if (!(squares > 0) || !isfinite(squares)) return i;
        double scale = 1 / sqrt(squares);
        for (int64_t k = 0; k < dim; k++) row[k] = (float)(row[k] * scale);
    }
    return -1;
}

/* --- the nearest of a list --- */

static bool nearer(const struct neighbour *a, const struct neighbour *b)
{
    return a->similarity > b->similarity || (a->similarity == b->similarity && a->sample < b->sample);
}

static void swap(struct neighbour *a, struct neighbour *b)
{
    struct neighbour t = *a;
    *a = *b;
    *b = t;
}

/* Hoare's partition of list [count >= 2], no two of which are equal: none of the first, as many as returned (and fewer
 * than count), is farther than any of the rest. */
static int64_t divide(struct neighbour *list, int64_t count)
{
    int64_t i = -1, j = count, middle = (count - 1) / 2;
    if (nearer(&list[count - 1], &list[0])) swap(&list[0], &list[count - 1]);
    if (nearer(&list[count - 1], &list[middle])) swap(&list[middle], &list[count - 1]);
    if (nearer(&list[middle], &list[0])) swap(&list[0], &list[middle]);
    struct neighbour pivot = list[middle];
    for (;;) {
        do i++;
        while (nearer(&list[i], &pivot));
        do j--;
        while (nearer(&pivot, &list[j]));
        if (i >= j) return j + 1;
        swap(&list[i], &list[j]);
    }
}

/* The nearest `most` of list [count] come first, the farthest of them last. */
static void choose(struct neighbour *list, int64_t count, int64_t most)
{
    while (count > 1) {
        int64_t first = divide(list, count);
        if (most <= first) {
            count = first;
        } else {
            list += first;
            count -= first;
            most -= first;
        }
    }
}

static void sort(struct neighbour *list, int64_t count)
{
    while (count > 1) {
        int64_t first = divide(list, count);
        sort(list, first);
        list += first;
        count -= first;
    }
}

/* --- the items of this rank --- */

/* The nearest so far: list [2 * most], and what one must be nearer than to matter. */
struct shortlist {
    struct neighbour *list;
    int64_t count;
    float floor;
};

struct search {
    struct device *device;
    const struct world *world;
    const struct labelled_rows *items;
    int64_t most, block;
    float *scores;             /* [threads, PART, STRIP] */
    struct neighbour *lists;   /* [threads, PART, 2 * most] */
    struct shortlist *queries; /* [threads, PART] */
    struct neighbour *found;   /* [block, most] */
    struct neighbour *all;     /* [ranks, block, most] of all ranks; NULL when there is one */
};

static bool any_above(const float *scores, float floor)
{
    int above = 0;
    for (int i = 0; i < LINE; i++) above |= scores[i] > floor;
    return above;
}

static void shorten(struct shortlist *q, int64_t most)
{
    if (q->count <= most) return;
    choose(q->list, q->count, most);
    q->count = most;
    q->floor = q->list[most - 1].similarity;
}

/* Items come in the order of their samples: one that is only as near as the farthest that counts is behind it. */
static void take(struct shortlist *q, int64_t most, const float *scores, const struct labelled_rows *items,
                 int64_t first, int64_t count)
{
    for (int64_t i = 0; i < count; i += LINE) {
        int64_t end = i + LINE < count ? i + LINE : count;
        if (end - i == LINE && !any_above(scores + i, q->floor)) continue;
        for (int64_t j = i; j < end; j++) {
            if (!(scores[j] > q->floor)) continue;
            q->list[q->count++] = (struct neighbour){scores[j], items->labels[first + j], items->samples[first + j]};
            if (q->count == 2 * most) shorten(q, most);
        }
    }
}

/* found [most] = the list sorted, and nobody where this rank has fewer items. */
static void settle(struct shortlist *q, struct neighbour *found, int64_t most)
{
    static const struct neighbour nobody = {-INFINITY, -1, INT64_MAX};
    shorten(q, most);
    sort(q->list, q->count);
    memcpy(found, q->list, (size_t)q->count * sizeof *found);
    for (int64_t i = q->count; i < most; i++) found[i] = nobody;
}

/* `count` queries, at most PART, by one thread. */
static void search_part(const struct search *s, int thread, const float *queries, int64_t count,
                        struct neighbour *found)
{
    const struct labelled_rows *items = s->items;
    int64_t dim = items->dim, most = s->most, place = (int64_t)thread * PART;
    struct device device = device_of_thread(s->device, thread);
    struct shortlist *lists = s->queries + place;
    float *scores = s->scores + place * STRIP;
    for (int64_t q = 0; q < count; q++) lists[q] = (struct shortlist){s->lists + (place + q) * 2 * most, 0, -INFINITY};
    for (int64_t first = 0; first < items->count; first += STRIP) {
        int64_t strip = items->count - first < STRIP ? items->count - first : STRIP;
        device.kernels->matmul(&device, scores, true, strip, queries, dim, false, items->rows + first * dim, dim, false,
                               count, strip, dim, false);
        for (int64_t q = 0; q < count; q++) take(&lists[q], most, scores + q * strip, items, first, strip);
    }
    for (int64_t q = 0; q < count; q++) settle(&lists[q], found + q * most, most);
}

static void search_items(struct search *s, const float *queries, int64_t count)
{
    int threads = s->device->threads;
    int64_t part = (count + threads - 1) / threads < PART ? (count + threads - 1) / threads : PART;
#pragma omp parallel for num_threads(threads) schedule(dynamic, 1) if (threads > 1)
    for (int64_t q = 0; q < count; q += part)
        search_part(s, omp_get_thread_num(), queries + q * s->items->dim, count - q < part ? count - q : part,
                    s->found + q * s->most);
}

/* --- all ranks --- */

/* found [most] of a query = the nearest of what the ranks found for it. */
static void merge(struct search *s, int64_t count, int64_t query)
{
    struct neighbour *out = s->found + query * s->most;
    int64_t at[s->world->size];
    memset(at, 0, sizeof at);
    for (int64_t i = 0; i < s->most; i++) {
        int best = 0;
        const struct neighbour *nearest = NULL;
        for (int r = 0; r < s->world->size; r++) {
            const struct neighbour *next = s->all + (r * count + query) * s->most + at[r];
            if (at[r] < s->most && (!nearest || nearer(next, nearest))) nearest = next, best = r;
        }
        out[i] = *nearest;
        at[best]++;
    }
}

static void gather(struct search *s, int64_t count, bool own)
{
    world_gather_all(s->world, s->found, (size_t)(count * s->most) * sizeof *s->found, s->all);
    if (!own) return;
#pragma omp parallel for num_threads(s->device->threads) schedule(static) if (s->device->threads > 1)
    for (int64_t q = 0; q < count; q++) merge(s, count, q);
}

static void open_search(struct search *s)
{
    int64_t ranks = s->world->size, places = (int64_t)s->device->threads * PART;
    s->block = world_max(s->world, places);
    while (s->block > FEWEST && ranks * s->block * s->most * (int64_t)sizeof *s->all > GATHER_BYTES) s->block /= 2;
    s->scores = mem_map((size_t)(places * STRIP), sizeof *s->scores);
    s->queries = mem_alloc((size_t)places, sizeof *s->queries);
    s->lists = mem_alloc((size_t)(places * 2 * s->most), sizeof *s->lists);
    s->found = mem_alloc((size_t)(s->block * s->most), sizeof *s->found);
    if (ranks > 1) s->all = mem_alloc((size_t)(ranks * s->block * s->most), sizeof *s->all);
}

static void close_search(struct search *s)
{
    mem_unmap(s->scores, (size_t)s->device->threads * PART * STRIP, sizeof *s->scores);
    free(s->queries);
    free(s->lists);
    free(s->found);
    free(s->all);
}

/* (all) The neighbours of `count` queries of rank `root`, where they are: guests holds them there already. */
static int visit(struct search *s, float *guests, int64_t count, int root, struct error *error)
{
    if (world_agree(s->world, stopping_alone("run it again", error), error) < 0) return -1;
    world_broadcast(s->world, guests, (size_t)(count * s->items->dim) * sizeof *guests, root);
    search_items(s, guests, count);
    if (s->world->size > 1) gather(s, count, root == s->world->rank);
    return 0;
}

int knn_search(struct device *device, const struct world *world, const struct labelled_rows *items,
               const struct labelled_rows *queries, int64_t most,
               void (*judge)(void *self, int64_t query, const struct neighbour *nearest), void *self,
               struct error *error)
{
    struct search s = {.device = device, .world = world, .items = items, .most = most};
    int64_t dim = items->dim, all = world_sum(world, items->count);
    int64_t *counts = mem_alloc((size_t)world->size, sizeof *counts);
    CHECK(most > 0 && most <= all && dim == queries->dim, "%ld of %ld items, %ld and %ld columns", (long)most,
          (long)all, (long)dim, (long)queries->dim);
    world_gather_all(world, &queries->count, sizeof *counts, counts);
    open_search(&s);
    float *guests = mem_alloc((size_t)(s.block * dim), sizeof *guests);
    int rc = 0;
    for (int root = 0; root < world->size; root++)
        for (int64_t first = 0; first < counts[root] && rc == 0; first += s.block) {
            int64_t count = counts[root] - first < s.block ? counts[root] - first : s.block;
            bool own = root == world->rank;
            if (own) memcpy(guests, queries->rows + first * dim, (size_t)(count * dim) * sizeof *guests);
            rc = visit(&s, guests, count, root, error);
            for (int64_t q = 0; q < count && own && rc == 0; q++) judge(self, first + q, s.found + q * most);
        }
    free(guests);
    free(counts);
    close_search(&s);
    return rc;
}

/* --- votes --- */

void knn_weigh(double *weights, const struct neighbour *nearest, int64_t most, double temperature)
{
    double sum = 0;
    for (int64_t i = 0; i < most; i++)
        sum += weights[i] = exp((nearest[i].similarity - nearest[0].similarity) / temperature);
    for (int64_t i = 0; i < most; i++) weights[i] /= sum;
}

void knn_vote(double *votes, int64_t classes, const struct neighbour *nearest, const double *weights, int64_t k)
{
    memset(votes, 0, (size_t)classes * sizeof *votes);
    for (int64_t i = 0; i < k; i++) {
        CHECK(nearest[i].label >= 0 && nearest[i].label < classes, "label %d of %ld", nearest[i].label, (long)classes);
        votes[nearest[i].label] += weights[i];
    }
}

struct jury {
    const struct knn_settings *settings;
    const int32_t *labels;
    double *weights, *votes; /* [most], [classes] */
    struct tally *tallies;   /* [k_count] */
    int64_t *ranks;          /* [queries, k_count] or NULL */
};

static int64_t rank_of(const double *votes, int64_t classes, int32_t label)
{
    int64_t rank = 0;
    if (!(votes[label] > 0)) return NEVER;
    for (int64_t c = 0; c < classes; c++) rank += votes[c] > votes[label] || (votes[c] == votes[label] && c < label);
    return rank;
}

static void judge(void *self, int64_t query, const struct neighbour *nearest)
{
    const struct jury *j = self;
    const struct knn_settings *c = j->settings;
    knn_weigh(j->weights, nearest, c->k[c->k_count - 1], c->temperature);
    for (int64_t i = 0; i < c->k_count; i++) {
        struct tally *t = &j->tallies[i];
        knn_vote(j->votes, t->classes, nearest, j->weights, c->k[i]);
        int64_t rank = rank_of(j->votes, t->classes, j->labels[query]);
        tally_add(t, j->labels[query], rank);
        if (j->ranks) j->ranks[query * c->k_count + i] = rank;
    }
}

int knn_score(struct device *device, const struct world *world, const struct labelled_rows *items,
              const struct labelled_rows *queries, int64_t classes, const struct knn_settings *settings,
              struct classification_scores *scores, int64_t *ranks, struct error *error)
{
    int64_t count = settings->k_count, most = settings->k[count - 1];
    struct jury jury = {settings,
                        queries->labels,
                        mem_alloc((size_t)most, sizeof *jury.weights),
                        mem_alloc((size_t)classes, sizeof *jury.votes),
                        mem_alloc((size_t)count, sizeof *jury.tallies),
                        ranks};
    for (int64_t i = 0; i < count; i++) tally_open(&jury.tallies[i], classes);
    int rc = knn_search(device, world, items, queries, most, judge, &jury, error);
    for (int64_t i = 0; i < count; i++) {
        scores[i] = tally_scores(&jury.tallies[i], world);
        tally_close(&jury.tallies[i]);
    }
    free(jury.weights);
    free(jury.votes);
    free(jury.tallies);
    return rc;
}
