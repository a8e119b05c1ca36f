/* k nearest neighbours, as DINOv2 evaluates with them (dinov2 eval/knn.py).
 *
 *   neighbours = the `most` items of the largest cosine with a query
 *   weights    = softmax over them of cosine / temperature
 *   votes of a class among the first k = the sum of the weights of its items there
 *
 * Rows are float32 of unit length (knn_unit).  A cosine's bits depend on its two rows alone; of equal ones the item of
 * the lower sample number is nearer, of equal votes the lower class is ahead, and a class nobody voted for is no
 * answer.  So neighbours and figures do not depend on which rank holds what, nor on threads. */
#ifndef NN_KNN_H
#define NN_KNN_H

#include "backend/device.h"
#include "nn/labelled.h"
#include "nn/score.h"

struct neighbour {
    float similarity;
    int32_t label;
    int64_t sample;
};

struct knn_settings {
    const int64_t *k; /* [k_count] ascending; the last is `most` */
    int64_t k_count;
    double temperature; /* DINOv2: 0.07 */
};

/* Scale rows [count, dim] to unit length.  The first that has none (zero, or not finite), or -1. */
int64_t knn_unit(float *rows, int64_t count, int64_t dim);

/* (all) For each query of this rank, in order: its `most` neighbours among the items of all ranks, nearest first.
 * device: a CPU.  most: at most as many as there are items.  -1 when a signal ends it, between two blocks. */
int knn_search(struct device *device, const struct world *world, const struct labelled_rows *items,
               const struct labelled_rows *queries, int64_t most,
               void (*judge)(void *self, int64_t query, const struct neighbour *nearest), void *self,
               struct error *error);

/* weights [most] of nearest [most], 1 together; votes [classes] of the first k. */
void knn_weigh(double *weights, const struct neighbour *nearest, int64_t most, double temperature);
void knn_vote(double *votes, int64_t classes, const struct neighbour *nearest, const double *weights, int64_t k);

/* (all) The queries' labels held against the votes; scores [settings->k_count].  ranks [queries, k_count]: of each
 * query how many classes are ahead of its own, NEVER where nobody voted for it (nn/tally.h); NULL: not wanted. */
int knn_score(struct device *device, const struct world *world, const struct labelled_rows *items,
              const struct labelled_rows *queries, int64_t classes, const struct knn_settings *settings,
              struct classification_scores *scores, int64_t *ranks, struct error *error);

#endif
