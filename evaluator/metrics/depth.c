/* The metric depth: maps of metric depth (Eigen et al. 2014), of each picture alone, then the mean over pictures.
 *
 *   truth        .png of 16-bit grey, --depth-scale to the metre (NYU: 1000)
 *   predictions  of the same name: .png likewise, or .npy in metres.  Of another size, they are resized bilinearly
 *                (pixel centres, edges repeated, no antialiasing: align_corners false)
 *
 * What is measured over the pixels with --depth-min < g < --depth-max: depth_map.h. */
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/str.h"
#include "evaluator/metrics/depth_map.h"
#include "evaluator/metrics/metric.h"
#include "evaluator/metrics/pairs.h"

extern const struct metric metric_depth;

struct self {
    char *list, *crop; /* options, to max */
    double scale, min, max;
    struct pairs pairs;
    struct depth_range range;
    struct depth_figures *pictures; /* [pairs.count] */
    double *values;                 /* [pairs.count] rmse */
};

#define AT(field) offsetof(struct self, field)
/* clang-format off */
static const struct option options[] = {
    {OPTION_REAL, "depth-scale", AT(scale), "1000", 1e-6, 1e9, NULL, "a metre in .png (NYU: 1000, KITTI: 256)"},
    {OPTION_REAL, "depth-min", AT(min), "0.001", 1e-9, 1e9, NULL, "metres: what is not above it is not scored"},
    {OPTION_REAL, "depth-max", AT(max), "10", 1e-9, 1e9, NULL, "metres: what is not below it is not scored (KITTI: 80)"},
    {OPTION_CHOICE, "depth-crop", AT(crop), "none", 0, 0, "none|eigen", "eigen: rows 45 to 470, columns 41 to 600 of NYU's 480 x 640"},
    {OPTION_STRING, "depth-list", AT(list), NULL, 0, 0, NULL, "file that names the pictures of the truth to score, one a line; else all"},
    {0}};
/* clang-format on */

static int measure(struct self *x, int64_t i, const struct depth_map *truth, const struct depth_map *predicted,
                   struct error *error)
{
    if (!depth_map_measure(&x->pictures[i], &x->range, truth, predicted))
        return error_set(error, ERROR_FAILED,
                         "%s: no depth between --depth-min and --depth-max: leave it out (--depth-list)",
                         x->pairs.truth[i]);
    x->values[i] = x->pictures[i].of[DEPTH_RMSE];
    return 0;
}

static int read_pair(void *self, int64_t i, struct error *error)
{
    struct self *x = self;
    struct depth_map truth = {0}, predicted = {0};
    int rc = depth_map_read(&truth, x->pairs.truth[i], x->scale, error);
    if (rc == 0 && x->range.eigen && (truth.size.height != 480 || truth.size.width != 640))
        rc = error_set(error, ERROR_FAILED, "%s: %ld x %ld: --depth-crop eigen is for 640 x 480", x->pairs.truth[i],
                       (long)truth.size.width, (long)truth.size.height);
    if (rc == 0) rc = depth_map_read(&predicted, x->pairs.predicted[i], x->scale, error);
    if (rc == 0 && !extent_same(predicted.size, truth.size)) {
        struct depth_map fitted = depth_map_resized(&predicted, truth.size);
        free(predicted.metres);
        predicted = fitted;
    }
    if (rc == 0) rc = measure(x, i, &truth, &predicted, error);
    free(truth.metres);
    free(predicted.metres);
    return rc;
}

static int open_depth(void *self, const char *truth, const char *predictions, struct metric_result *result,
                      struct error *error)
{
    struct self *x = self;
    if (!(x->min < x->max)) return error_set(error, ERROR_USAGE, "--depth-min %g is not below --depth-max", x->min);
    x->range = (struct depth_range){x->min, x->max, !strcmp(x->crop, "eigen")};
    if (pairs_open(&x->pairs, truth, x->list, predictions, ".npy", error) < 0) return -1;
    x->pictures = mem_zalloc((size_t)x->pairs.count, sizeof *x->pictures);
    x->values = mem_zalloc((size_t)x->pairs.count, sizeof *x->values);
    if (pairs_each(x->pairs.count, read_pair, x, error) < 0) return -1;
    depth_figures_report(x->pictures, x->pairs.count, result->figures);
    result->units = result->samples = x->pairs.count;
    result->values = x->values;
    result->keys = x->pairs.names;
    return 0;
}

static void close_depth(void *self)
{
    struct self *x = self;
    free(x->pictures);
    free(x->values);
    pairs_close(&x->pairs);
}

const struct metric metric_depth = {
    .name = "depth",
    .summary = "maps of depth in metres: a1 a2 a3, relative and root mean square errors",
    .headline = "rmse",
    .options = options,
    .bytes = sizeof(struct self),
    .open = open_depth,
    .close = close_depth,
};
