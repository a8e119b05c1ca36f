/* Ranks of positives, counted block by block. */
#include "nn/score.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/memory.h"
#include "nn/tally.h"

enum { BLOCK = 256 };

const int recall_at[RECALL_LEVELS] = {1, 5, 10};

struct scores {
    struct device *device;
    const float *queries, *items;
    int64_t query_count, item_count, dim;
    const double *sums; /* [item_count] of the exponentials of an item's scores over the queries; NULL: plain scores */
};

/* NaN is never larger: a score that is none would rank first. */
static void check_row(const float *scores, int64_t count, int64_t query)
{
    for (int64_t i = 0; i < count; i++)
        CHECK(isfinite(scores[i]), "the score of query %ld and item %ld is %g", (long)query, (long)i,
              (double)scores[i]);
}

/* The second softmax of each score. */
static void weigh(const struct scores *s, float *scores)
{
    for (int64_t i = 0; i < s->item_count; i++)
        scores[i] = (float)((double)scores[i] * exp((double)scores[i]) / s->sums[i]);
}

/* For each query of this rank's blocks: call `judge` with its scores. */
static void each(const struct scores *s, const struct world *world, void (*judge)(void *, int64_t, const float *),
                 void *context)
{
    float *block = mem_map((size_t)(BLOCK * s->item_count), sizeof *block);
    for (int64_t b = world->rank; b * BLOCK < s->query_count; b += world->size) {
        int64_t rows = s->query_count - b * BLOCK < BLOCK ? s->query_count - b * BLOCK : BLOCK;
        s->device->kernels->matmul(s->device, block, true, s->item_count, s->queries + b * BLOCK * s->dim, s->dim,
                                   false, s->items, s->dim, false, rows, s->item_count, s->dim, false);
        for (int64_t r = 0; r < rows; r++) {
            check_row(block + r * s->item_count, s->item_count, b * BLOCK + r);
            if (s->sums) weigh(s, block + r * s->item_count);
            judge(context, b * BLOCK + r, block + r * s->item_count);
        }
    }
    mem_unmap(block, (size_t)(BLOCK * s->item_count), sizeof *block);
}

int64_t score_rank(const float *scores, int64_t count, int64_t which)
{
    int64_t rank = 0;
    for (int64_t i = 0; i < count; i++) rank += scores[i] > scores[which] || (scores[i] == scores[which] && i < which);
    return rank;
}

struct retrieval_pass {
    const int32_t *owner;
    const int64_t *texts_of; /* [images + 1] into `order`, for image -> text */
    const int32_t *order;
    int64_t items;
    int32_t *rank; /* [queries] */
};

static void judge_text(void *context, int64_t text, const float *scores)
{
    struct retrieval_pass *p = context;
    p->rank[text] = (int32_t)score_rank(scores, p->items, p->owner[text]);
}

static void judge_image(void *context, int64_t image, const float *scores)
{
    struct retrieval_pass *p = context;
    int64_t best = -1;
    for (int64_t k = p->texts_of[image]; k < p->texts_of[image + 1]; k++) {
        int64_t text = p->order[k];
        if (best < 0 || scores[text] > scores[best] || (scores[text] == scores[best] && text < best)) best = text;
    }
    p->rank[image] = best < 0 ? (int32_t)p->items : (int32_t)score_rank(scores, p->items, best);
}

static int by_value(const void *a, const void *b)
{
    int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;
    return (x > y) - (x < y);
}

void score_ranks(int32_t *rank, int64_t count, double recall[RECALL_LEVELS], double *median)
{
    for (int k = 0; k < RECALL_LEVELS; k++) {
        int64_t hits = 0;
        for (int64_t i = 0; i < count; i++) hits += rank[i] < recall_at[k];
        recall[k] = (double)hits / (double)count;
    }
    qsort(rank, (size_t)count, sizeof *rank, by_value);
    *median = rank[count / 2] + 1;
}

/* What each rank has found for the queries of its blocks reaches all: [queries] things of `size` bytes. */
static void share(const struct world *world, void *found, int64_t queries, size_t size)
{
    for (int64_t b = 0; b * BLOCK < queries && world->size > 1; b++)
        world_broadcast(world, (char *)found + (size_t)(b * BLOCK) * size,
                        (size_t)(queries - b * BLOCK < BLOCK ? queries - b * BLOCK : BLOCK) * size,
                        (int)(b % world->size));
}

struct sum_pass {
    int64_t items;
    double *sums; /* [queries] */
};

static void judge_sum(void *context, int64_t query, const float *scores)
{
    struct sum_pass *p = context;
    double sum = 0;
    for (int64_t i = 0; i < p->items; i++) sum += exp((double)scores[i]);
    p->sums[query] = sum;
}

/* For each query the sum of the exponentials of its scores; the caller frees. */
static double *sum_queries(const struct scores *s, const struct world *world)
{
    struct sum_pass pass = {s->item_count, mem_alloc((size_t)s->query_count, sizeof *pass.sums)};
    each(s, world, judge_sum, &pass);
    share(world, pass.sums, s->query_count, sizeof *pass.sums);
    return pass.sums;
}

/* Ranks found by all ranks -> recalls, median. */
static void summarise(const struct world *world, int32_t *rank, int64_t count, double recall[RECALL_LEVELS],
                      double *median)
{
    share(world, rank, count, sizeof *rank);
    score_ranks(rank, count, recall, median);
}

/* Texts by the image they belong to: order [texts_of[i], texts_of[i + 1]) are those of image i. */
static void sort_by_owner(const int32_t *owner, int64_t text_count, int64_t image_count, int64_t *texts_of,
                          int32_t *order)
{
    for (int64_t i = 0; i < text_count; i++) texts_of[owner[i] + 1]++;
    for (int64_t i = 0; i < image_count; i++) texts_of[i + 1] += texts_of[i];
    int64_t *at = mem_alloc((size_t)image_count + 1, sizeof *at);
    memcpy(at, texts_of, (size_t)(image_count + 1) * sizeof *at);
    for (int64_t i = 0; i < text_count; i++) order[at[owner[i]]++] = (int32_t)i;
    free(at);
}

struct retrieval_scores score_retrieval(struct device *device, const struct world *world, const float *images,
                                        int64_t image_count, const float *texts, const int32_t *owner,
                                        int64_t text_count, int64_t dim, bool dual_softmax)
{
    struct retrieval_scores out = {0};
    int64_t *texts_of = mem_zalloc((size_t)image_count + 2, sizeof *texts_of),
            most = image_count > text_count ? image_count : text_count;
    int32_t *order = mem_alloc((size_t)text_count, sizeof *order), *rank = mem_zalloc((size_t)most, sizeof *rank);
    double *of_images = NULL, *of_texts = NULL;
    sort_by_owner(owner, text_count, image_count, texts_of, order);
    struct scores by_text = {device, texts, images, text_count, image_count, dim},
                  by_image = {device, images, texts, image_count, text_count, dim};
    if (dual_softmax) {
        of_images = sum_queries(&by_image, world);
        of_texts = sum_queries(&by_text, world);
        by_text.sums = of_images;
        by_image.sums = of_texts;
    }
    struct retrieval_pass pass = {
        .owner = owner, .texts_of = texts_of, .order = order, .items = image_count, .rank = rank};
    each(&by_text, world, judge_text, &pass);
    summarise(world, rank, text_count, out.image, &out.image_median_rank);
    pass.items = text_count;
    each(&by_image, world, judge_image, &pass);
    summarise(world, rank, image_count, out.text, &out.text_median_rank);
    free(texts_of);
    free(order);
    free(rank);
    free(of_images);
    free(of_texts);
    return out;
}

struct class_pass {
    const int32_t *labels;
    struct tally tally;
};

static void judge_class(void *context, int64_t image, const float *scores)
{
    struct class_pass *p = context;
    int32_t label = p->labels[image];
    if (label < 0) return;
    CHECK(label < p->tally.classes, "image %ld has label %d of %ld", (long)image, label, (long)p->tally.classes);
    tally_add(&p->tally, label, score_rank(scores, p->tally.classes, label));
}

struct classification_scores score_classification(struct device *device, const struct world *world, const float *images,
                                                  const int32_t *labels, int64_t image_count, const float *classes,
                                                  int64_t class_count, int64_t dim)
{
    struct class_pass pass = {.labels = labels};
    struct scores s = {device, images, classes, image_count, class_count, dim};
    tally_open(&pass.tally, class_count);
    each(&s, world, judge_class, &pass);
    struct classification_scores out = tally_scores(&pass.tally, world);
    tally_close(&pass.tally);
    return out;
}

/* --- examples --- */

struct nearest_pass {
    struct nearest *found;
    const int32_t *right;
    int64_t items;
};

/* The best items, by insertion: an equal score does not pass one that came before. */
static void judge_nearest(void *context, int64_t query, const float *scores)
{
    struct nearest_pass *p = context;
    int64_t most = p->found->most, count = 0;
    int32_t *items = p->found->items + query * most;
    for (int64_t i = 0; i < p->items; i++) {
        int64_t at = count < most ? count : most;
        while (at > 0 && scores[i] > scores[items[at - 1]]) at--;
        if (at == most) continue;
        if (count < most) count++;
        memmove(items + at + 1, items + at, (size_t)(count - 1 - at) * sizeof *items);
        items[at] = (int32_t)i;
    }
    for (int64_t k = 0; k < most; k++) p->found->scores[query * most + k] = scores[items[k]];
    int32_t right = p->right[query];
    p->found->places[query] = right < 0 ? -1 : (int32_t)score_rank(scores, p->items, right);
}

struct nearest score_nearest(struct device *device, const struct world *world, const float *queries,
                             int64_t query_count, const float *items, int64_t item_count, int64_t dim,
                             const int32_t *right, int64_t most, bool dual_softmax)
{
    CHECK(most >= 1 && most <= item_count, "%ld of %ld items", (long)most, (long)item_count);
    struct nearest out = {.most = most};
    size_t n = (size_t)(query_count * most);
    out.items = mem_alloc(n, sizeof *out.items);
    out.scores = mem_alloc(n, sizeof *out.scores);
    out.places = mem_alloc((size_t)query_count, sizeof *out.places);
    struct scores s = {device, queries, items, query_count, item_count, dim},
                  other = {device, items, queries, item_count, query_count, dim};
    double *sums = dual_softmax ? sum_queries(&other, world) : NULL;
    s.sums = sums;
    struct nearest_pass pass = {&out, right, item_count};
    each(&s, world, judge_nearest, &pass);
    share(world, out.items, query_count, (size_t)most * sizeof *out.items);
    share(world, out.scores, query_count, (size_t)most * sizeof *out.scores);
    share(world, out.places, query_count, sizeof *out.places);
    free(sums);
    return out;
}

void nearest_free(struct nearest *n)
{
    free(n->items);
    free(n->scores);
    free(n->places);
    *n = (struct nearest){0};
}
