/* Ranks of positives, counted block by block. */
#include "nn/score.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/memory.h"

enum { BLOCK = 256 };

const int recall_at[RECALL_LEVELS] = {1, 5, 10};

struct scores {
    struct device *device;
    const float *queries, *items;
    int64_t query_count, item_count, dim;
};

/* NaN is never larger: a score that is none would rank first. */
static void check_row(const float *scores, int64_t count, int64_t query)
{
    for (int64_t i = 0; i < count; i++)
        CHECK(isfinite(scores[i]), "the score of query %ld and item %ld is %g", (long)query, (long)i,
              (double)scores[i]);
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
            judge(context, b * BLOCK + r, block + r * s->item_count);
        }
    }
    mem_unmap(block, (size_t)(BLOCK * s->item_count), sizeof *block);
}

/* How many items beat item `which`. */
static int64_t rank_of(const float *scores, int64_t count, int64_t which)
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
    p->rank[text] = (int32_t)rank_of(scores, p->items, p->owner[text]);
}

static void judge_image(void *context, int64_t image, const float *scores)
{
    struct retrieval_pass *p = context;
    int64_t best = -1;
    for (int64_t k = p->texts_of[image]; k < p->texts_of[image + 1]; k++) {
        int64_t text = p->order[k];
        if (best < 0 || scores[text] > scores[best] || (scores[text] == scores[best] && text < best)) best = text;
    }
    p->rank[image] = best < 0 ? (int32_t)p->items : (int32_t)rank_of(scores, p->items, best);
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

/* Ranks found by all ranks -> recalls, median. */
static void summarise(const struct world *world, int32_t *rank, int64_t count, double recall[RECALL_LEVELS],
                      double *median)
{
    for (int64_t b = 0; b * BLOCK < count && world->size > 1; b++)
        world_broadcast(world, rank + b * BLOCK,
                        (size_t)(count - b * BLOCK < BLOCK ? count - b * BLOCK : BLOCK) * sizeof *rank,
                        (int)(b % world->size));
    score_ranks(rank, count, recall, median);
}

struct retrieval_scores score_retrieval(struct device *device, const struct world *world, const float *images,
                                        int64_t image_count, const float *texts, const int32_t *owner,
                                        int64_t text_count, int64_t dim)
{
    struct retrieval_scores out = {0};
    int64_t *texts_of = mem_zalloc((size_t)image_count + 2, sizeof *texts_of),
            most = image_count > text_count ? image_count : text_count;
    int32_t *order = mem_alloc((size_t)text_count, sizeof *order), *rank = mem_zalloc((size_t)most, sizeof *rank);
    for (int64_t i = 0; i < text_count; i++) texts_of[owner[i] + 1]++;
    for (int64_t i = 0; i < image_count; i++) texts_of[i + 1] += texts_of[i];
    int64_t *at = mem_alloc((size_t)image_count + 1, sizeof *at);
    memcpy(at, texts_of, (size_t)(image_count + 1) * sizeof *at);
    for (int64_t i = 0; i < text_count; i++) order[at[owner[i]]++] = (int32_t)i;

    struct retrieval_pass pass = {
        .owner = owner, .texts_of = texts_of, .order = order, .items = image_count, .rank = rank};
    struct scores by_text = {device, texts, images, text_count, image_count, dim};
    each(&by_text, world, judge_text, &pass);
    summarise(world, rank, text_count, out.image, &out.image_median_rank);
    pass.items = text_count;
    struct scores by_image = {device, images, texts, image_count, text_count, dim};
    each(&by_image, world, judge_image, &pass);
    summarise(world, rank, image_count, out.text, &out.text_median_rank);
    free(texts_of);
    free(order);
    free(rank);
    free(at);
    return out;
}

struct class_pass {
    const int32_t *labels;
    int64_t classes, *seen, *hit1, *hit5; /* [classes] each */
};

static void judge_class(void *context, int64_t image, const float *scores)
{
    struct class_pass *p = context;
    int32_t label = p->labels[image];
    if (label < 0) return;
    CHECK(label < p->classes, "image %ld has label %d of %ld", (long)image, label, (long)p->classes);
    int64_t rank = rank_of(scores, p->classes, label);
    p->seen[label]++;
    p->hit1[label] += rank < 1;
    p->hit5[label] += rank < 5;
}

struct classification_scores score_classification(struct device *device, const struct world *world, const float *images,
                                                  const int32_t *labels, int64_t image_count, const float *classes,
                                                  int64_t class_count, int64_t dim)
{
    struct classification_scores out = {0};
    int64_t *counts = mem_zalloc((size_t)class_count * 3, sizeof *counts);
    struct class_pass pass = {labels, class_count, counts, counts + class_count, counts + 2 * class_count};
    struct scores s = {device, images, classes, image_count, class_count, dim};
    each(&s, world, judge_class, &pass);
    int64_t hit1 = 0, hit5 = 0, present = 0;
    double recall = 0;
    for (int64_t c = 0; c < class_count; c++) {
        int64_t seen = world_sum(world, pass.seen[c]), one = world_sum(world, pass.hit1[c]),
                five = world_sum(world, pass.hit5[c]);
        if (!seen) continue;
        out.samples += seen;
        hit1 += one;
        hit5 += five;
        present++;
        recall += (double)one / (double)seen;
    }
    free(counts);
    out.unlabelled = image_count - out.samples;
    if (!out.samples) return out;
    out.acc1 = (double)hit1 / (double)out.samples;
    out.acc5 = (double)hit5 / (double)out.samples;
    out.mean_per_class_recall = recall / (double)present;
    return out;
}
