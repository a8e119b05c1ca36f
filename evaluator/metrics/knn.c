/* The metric knn: classes of features by their nearest neighbours, as pe-evaluator probe --kind knn finds them
 * (DINOv2's protocol, nn/knn.h).
 *
 *   truth        a folder with the classes to learn from and those to be tested on: train.txt and test.txt, or .npy
 *                (labels.h), a number for each row of
 *   predictions  a folder with train.npy [samples, dim] and test.npy [samples, dim], of any length of rows: what
 *                pe-evaluator embed --output writes */
#include <stdlib.h>

#include "base/fs.h"
#include "base/memory.h"
#include "base/str.h"
#include "evaluator/classification.h"
#include "evaluator/metrics/features.h"
#include "evaluator/metrics/labels.h"
#include "evaluator/metrics/metric.h"
#include "evaluator/neighbours.h"

extern const struct metric metric_knn;

/* Samples to learn from, or to be tested on. */
struct part {
    float *rows;      /* [count, dim] */
    int64_t *samples; /* [count] 0, 1, .. */
    int32_t *labels;  /* [count] */
    int64_t count, dim;
};

struct self {
    char *k_list; /* options */
    double temperature;
    struct part train, test;
    double *hits; /* [test.count] whether acc1 counts it as right */
};

#define AT(field) offsetof(struct self, field)
/* clang-format off */
static const struct option options[] = {
    {OPTION_STRING, "knn-k", AT(k_list), NEIGHBOURS_K, 0, 0, NULL, NEIGHBOURS_K_DOC},
    {OPTION_REAL, "knn-temperature", AT(temperature), NEIGHBOURS_TEMPERATURE, 1e-3, 1e3, NULL, NEIGHBOURS_TEMPERATURE_DOC},
    {0}};
/* clang-format on */

static char *path_in(const char *folder, const char *name, const char *ending)
{
    struct str out = {0};
    str_printf(&out, "%s/%s.%s", folder, name, ending);
    return str_steal(&out);
}

static int read_labels(struct part *p, const char *folder, const char *name, struct error *error)
{
    char *text = path_in(folder, name, "txt"), *array = path_in(folder, name, "npy");
    bool either = fs_exists(text), other = fs_exists(array);
    int rc = either != other ? labels_read(either ? text : array, &p->labels, &p->count, error)
                             : error_set(error, ERROR_FAILED,
                                         "%s: give the class of each row of the %s features in %s.txt or %s.npy; "
                                         "%s is there",
                                         folder, name, name, name, either ? "each" : "neither");
    if (rc == 0)
        rc = labels_check(either ? text : array, p->labels, p->count, LABELS_CLASSES, "classes at most", error);
    free(text);
    free(array);
    return rc;
}

static int read_rows(struct part *p, const char *folder, const char *name, const char *truth, struct error *error)
{
    char *path = path_in(folder, name, "npy");
    int64_t count = 0;
    int rc = features_read(path, &p->rows, &count, &p->dim, error);
    if (rc == 0 && count != p->count)
        rc = error_set(error, ERROR_FAILED, "%s: %ld rows, %s has %ld classes of %s samples", path, (long)count, truth,
                       (long)p->count, name);
    int64_t bare = rc == 0 ? knn_unit(p->rows, p->count, p->dim) : -1;
    if (bare >= 0)
        rc = error_set(error, ERROR_FAILED, "%s: row %ld is all zeroes: it has no direction", path, (long)bare);
    if (rc == 0) p->samples = mem_alloc((size_t)p->count, sizeof *p->samples);
    for (int64_t i = 0; i < p->count && rc == 0; i++) p->samples[i] = i;
    free(path);
    return rc;
}

static int read_all(struct self *x, const char *truth, const char *folder, struct error *error)
{
    if (read_labels(&x->train, truth, "train", error) < 0 || read_labels(&x->test, truth, "test", error) < 0 ||
        read_rows(&x->train, folder, "train", truth, error) < 0 ||
        read_rows(&x->test, folder, "test", truth, error) < 0)
        return -1;
    if (x->train.dim == x->test.dim) return 0;
    return error_set(error, ERROR_FAILED, "%s: train.npy has features of %ld, test.npy of %ld: of one model?", folder,
                     (long)x->train.dim, (long)x->test.dim);
}

static int64_t most_of(const struct part *p)
{
    int64_t most = 0;
    for (int64_t i = 0; i < p->count; i++) most = p->labels[i] > most ? p->labels[i] : most;
    return most;
}

static struct class_stock take_stock(const struct self *x, int64_t classes)
{
    int64_t *train = mem_zalloc((size_t)classes, sizeof *train), *test = mem_zalloc((size_t)classes, sizeof *test);
    for (int64_t i = 0; i < x->train.count; i++) train[x->train.labels[i]]++;
    for (int64_t i = 0; i < x->test.count; i++) test[x->test.labels[i]]++;
    struct class_stock stock = class_stock_of(train, test, classes);
    free(train);
    free(test);
    return stock;
}

static struct labelled_rows rows_of(const struct part *p)
{
    return (struct labelled_rows){p->rows, p->samples, p->labels, p->count, p->dim};
}

static int judge(struct self *x, const struct neighbours *n, int64_t classes, json_t *figures, struct error *error)
{
    struct world alone = {.size = 1, .node_ranks = 1};
    struct device device;
    struct labelled_rows train = rows_of(&x->train), test = rows_of(&x->test);
    if (device_open(&device, "cpu", "fp32", NULL, 0, 0, error) < 0) return -1;
    int64_t *ranks = mem_alloc((size_t)(test.count * n->count), sizeof *ranks);
    int rc = neighbours_score(n, &device, &alone, &train, &test, classes, ranks, figures, error);
    x->hits = mem_alloc((size_t)test.count, sizeof *x->hits);
    for (int64_t i = 0; i < test.count && rc == 0; i++) x->hits[i] = ranks[i * n->count + n->headline] == 0;
    free(ranks);
    device_close(&device);
    return rc;
}

static int open_knn(void *self, const char *truth, const char *predictions, struct metric_result *result,
                    struct error *error)
{
    struct self *x = self;
    struct neighbours n;
    if (neighbours_parse(&n, "--knn-k", x->k_list, x->temperature, error) < 0 ||
        read_all(x, truth, predictions, error) < 0 || neighbours_check(&n, x->train.count, error) < 0)
        return -1;
    int64_t train = most_of(&x->train), test = most_of(&x->test), classes = (train > test ? train : test) + 1;
    struct class_stock stock = take_stock(x, classes);
    class_stock_warn(&stock);
    if (judge(x, &n, classes, result->figures, error) < 0) return -1;
    class_stock_figures(result->figures, &stock);
    result->units = result->samples = x->test.count;
    result->values = x->hits;
    return 0;
}

static void close_part(struct part *p)
{
    free(p->rows);
    free(p->samples);
    free(p->labels);
}

static void close_knn(void *self)
{
    struct self *x = self;
    close_part(&x->train);
    close_part(&x->test);
    free(x->hits);
}

const struct metric metric_knn = {
    .name = "knn",
    .summary =
        "classes by the nearest features: truth/train.txt, test.txt (or .npy), a class a line; predictions/train.npy, "
        "test.npy, a row each: acc1, acc5, mean_per_class_recall, knn_K_acc1",
    .headline = "acc1",
    .options = options,
    .bytes = sizeof(struct self),
    .open = open_knn,
    .close = close_knn,
};
