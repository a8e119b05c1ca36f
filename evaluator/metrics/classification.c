/* The metric classification: clip_benchmark's figures of scores or of labels.
 *
 *   truth        the class of each sample (labels.h)
 *   predictions  .npy [samples, classes] of scores, or the predicted class of each sample (labels.h: no acc5 then)
 *
 * mean_per_class_recall is over the classes that the truth has. */
#include <stdlib.h>

#include "base/memory.h"
#include "base/str.h"
#include "data/npy.h"
#include "evaluator/classification.h"
#include "evaluator/metrics/labels.h"
#include "evaluator/metrics/metric.h"
#include "nn/tally.h"

extern const struct metric metric_classification;

struct self {
    int32_t *labels; /* [count] */
    int32_t *ranks;  /* [count] classes ahead of the right one; of labels: whether they are wrong */
    double *hits;    /* [count] */
    int64_t count;
    bool scored; /* by scores, not labels */
};

static int same_count(const struct self *x, const char *path, int64_t count, const char *truth, struct error *error)
{
    if (count == x->count) return 0;
    return error_set(error, ERROR_FAILED, "%s: %ld samples, %s has %ld", path, (long)count, truth, (long)x->count);
}

static int rank_scores(struct self *x, const struct npy *npy, const char *path, const char *truth, struct error *error)
{
    int64_t classes = npy->shape[1];
    if (same_count(x, path, npy->shape[0], truth, error) < 0 ||
        labels_check(truth, x->labels, x->count, classes, "classes", error) < 0)
        return -1;
    double *row = mem_alloc((size_t)classes, sizeof *row);
    int rc = 0;
    for (int64_t i = 0; i < x->count && rc == 0; i++) {
        npy_reals(npy, i * classes, classes, row);
        rc = labels_check_scores(path, i, row, classes, error);
        x->ranks[i] = (int32_t)labels_rank(row, classes, x->labels[i]);
    }
    free(row);
    x->scored = true;
    return rc;
}

static int compare_labels(struct self *x, const char *path, const char *truth, struct error *error)
{
    int32_t *predicted;
    int64_t count;
    if (labels_read(path, &predicted, &count, error) < 0) return -1;
    int rc = same_count(x, path, count, truth, error);
    for (int64_t i = 0; i < x->count && rc == 0; i++) x->ranks[i] = predicted[i] != x->labels[i];
    free(predicted);
    return rc;
}

static int rank_all(struct self *x, const char *path, const char *truth, struct error *error)
{
    struct npy npy = {0};
    int rc = str_ends_with(path, ".npy") ? npy_open(&npy, path, error) : 0;
    if (rc == 0) rc = npy.dims == 2 ? rank_scores(x, &npy, path, truth, error) : compare_labels(x, path, truth, error);
    npy_close(&npy);
    return rc;
}

static void report(const struct self *x, json_t *figures)
{
    struct world alone = {.size = 1, .node_ranks = 1};
    int64_t classes = 0;
    for (int64_t i = 0; i < x->count; i++) classes = x->labels[i] >= classes ? (int64_t)x->labels[i] + 1 : classes;
    struct tally tally;
    tally_open(&tally, classes);
    for (int64_t i = 0; i < x->count; i++) tally_add(&tally, x->labels[i], x->ranks[i]);
    struct classification_scores scores = tally_scores(&tally, &alone);
    tally_close(&tally);
    classification_figures(figures, &scores);
    if (!x->scored) json_object_del(figures, "acc5");
}

static int open_classification(void *self, const char *truth, const char *predictions, struct metric_result *result,
                               struct error *error)
{
    struct self *x = self;
    if (labels_read(truth, &x->labels, &x->count, error) < 0 ||
        labels_check(truth, x->labels, x->count, LABELS_CLASSES, "classes at most", error) < 0)
        return -1;
    x->ranks = mem_alloc((size_t)x->count, sizeof *x->ranks);
    x->hits = mem_alloc((size_t)x->count, sizeof *x->hits);
    if (rank_all(x, predictions, truth, error) < 0) return -1;
    for (int64_t i = 0; i < x->count; i++) x->hits[i] = x->ranks[i] < 1;
    report(x, result->figures);
    result->units = result->samples = x->count;
    result->values = x->hits;
    return 0;
}

static void close_classification(void *self)
{
    struct self *x = self;
    free(x->labels);
    free(x->ranks);
    free(x->hits);
}

const struct metric metric_classification = {
    .name = "classification",
    .summary = "classes of samples: acc1, acc5, mean_per_class_recall",
    .headline = "acc1",
    .bytes = sizeof(struct self),
    .open = open_classification,
    .close = close_classification,
};
