/* Scores over features in host memory, as clip_benchmark defines them, on a CPU device; computed in blocks of rows,
 * shared over the ranks, the same on any number.
 *
 * Of equal scores the item of the lower index is ahead, as in a stable sort: an encoder whose features are all the same
 * always names the same class or picture, and so scores what chance does.  Features must be finite (checked), at least
 * one query and one item. */
#ifndef NN_SCORE_H
#define NN_SCORE_H

#include "backend/device.h"
#include "dist/world.h"

enum { RECALL_LEVELS = 3 };
extern const int recall_at[RECALL_LEVELS]; /* 1, 5, 10 */

struct retrieval_scores {
    double image[RECALL_LEVELS];                /* text -> image recall@K */
    double text[RECALL_LEVELS];                 /* image -> text recall@K: any of the image's texts counts */
    double image_median_rank, text_median_rank; /* from 1 */
};

/* How many of scores [count] are ahead of that of `which`. */
int64_t score_rank(const float *scores, int64_t count, int64_t which);
/* Ranks from 0 of the right items -> the share below each recall_at, and the median from 1; sorts them. */
void score_ranks(int32_t *rank, int64_t count, double recall[RECALL_LEVELS], double *median);

/* (all) texts [text_count, dim] belong to image owner[i] of images [image_count, dim]; all rows at most of unit length,
 * the same on all ranks.
 * dual_softmax: what an image (a text) is scored with goes down as others want it too, s becomes
 *   text -> image  s[t, i] exp(s[t, i]) / sum of exp(s[u, i]) over texts u;  image -> text likewise over images
 * (PE's evaluation of videos; it sees all queries at once). */
struct retrieval_scores score_retrieval(struct device *device, const struct world *world, const float *images,
                                        int64_t image_count, const float *texts, const int32_t *owner,
                                        int64_t text_count, int64_t dim, bool dual_softmax);

struct classification_scores {
    double acc1, acc5, mean_per_class_recall; /* the last over the classes that samples have */
    double deviation;                         /* standard error of acc1 */
    int64_t samples;                          /* those with a label; label < 0: left out */
};
/* (all) labels [image_count] below class_count; classes [class_count, dim]. */
struct classification_scores score_classification(struct device *device, const struct world *world, const float *images,
                                                  const int32_t *labels, int64_t image_count, const float *classes,
                                                  int64_t class_count, int64_t dim);

/* What the scores above say of each query, for who wants to look at examples. */
struct nearest {
    int64_t most;    /* items of each query, best first */
    int32_t *items;  /* [queries, most] */
    float *scores;   /* [queries, most] */
    int32_t *places; /* [queries] of the right item among all, from 0; -1: there is none */
};
/* (all) right [query_count]: an item, -1: none.  sums as of dual_softmax: with it, the queries are all texts (or all
 * images) and the items all images (texts).  most: at most item_count.  nearest_free frees. */
struct nearest score_nearest(struct device *device, const struct world *world, const float *queries,
                             int64_t query_count, const float *items, int64_t item_count, int64_t dim,
                             const int32_t *right, int64_t most, bool dual_softmax);
void nearest_free(struct nearest *nearest);

#endif
