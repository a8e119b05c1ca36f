/* The metric depth: maps of metric depth (Eigen et al. 2014), of each picture alone, then the mean over pictures.
 *
 *   truth        .png of 16-bit grey, --depth-scale to the metre (NYU: 1000)
 *   predictions  of the same name: .png likewise, or .npy in metres.  Of another size, they are resized bilinearly
 *                (pixel centres, edges repeated, no antialiasing: align_corners false)
 *
 * Over the pixels with --depth-min < g < --depth-max, inside the crop, p clamped to [min, max], d = log p - log g:
 *   a1 a2 a3   share of max(p/g, g/p) < 1.25, 1.25^2, 1.25^3     abs_rel    mean |p - g| / g
 *   sq_rel     mean (p - g)^2 / g                                rmse       sqrt(mean (p - g)^2)
 *   rmse_log   sqrt(mean d^2)                                    log_10     mean |log10 p - log10 g|
 *   silog      100 sqrt(mean d^2 - (mean d)^2)
 *   rmse_pooled is over the pixels of all pictures together, as some report it: a few per cent off. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "evaluator/metrics/depth_map.h"
#include "evaluator/metrics/metric.h"
#include "evaluator/metrics/pairs.h"

extern const struct metric metric_depth;

enum { A1, A2, A3, ABS_REL, SQ_REL, RMSE, RMSE_LOG, LOG_10, SILOG, FIGURES };
static const char *const figure_keys[FIGURES] = {"a1",   "a2",       "a3",     "abs_rel", "sq_rel",
                                                 "rmse", "rmse_log", "log_10", "silog"};

struct picture {
    double figures[FIGURES];
    double squares, pixels; /* sum of (p - g)^2; pixels that count */
};

struct self {
    char *list, *crop; /* options, to max */
    double scale, min, max;
    struct pairs pairs;
    struct picture *pictures; /* [pairs.count] */
    double *values;           /* [pairs.count] rmse */
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

/* --- a picture --- */

static bool inside(const struct self *x, const struct depth_map *map, int64_t at)
{
    int64_t row = at / map->width, column = at % map->width;
    return strcmp(x->crop, "eigen") || (row >= 45 && row < 471 && column >= 41 && column < 601);
}

static int measure(struct self *x, int64_t i, const struct depth_map *truth, const struct depth_map *predicted,
                   struct error *error)
{
    double sum[FIGURES] = {0}, logs = 0, n = 0;
    for (int64_t at = 0; at < truth->height * truth->width; at++) {
        double g = truth->metres[at], p = fmin(fmax(predicted->metres[at], x->min), x->max);
        if (!(g > x->min && g < x->max) || !inside(x, truth, at)) continue;
        double ratio = fmax(p / g, g / p), off = p - g, d = log(p) - log(g);
        sum[A1] += ratio < 1.25;
        sum[A2] += ratio < 1.25 * 1.25;
        sum[A3] += ratio < 1.25 * 1.25 * 1.25;
        sum[ABS_REL] += fabs(off) / g;
        sum[SQ_REL] += off * off / g;
        sum[RMSE] += off * off;
        sum[RMSE_LOG] += d * d;
        sum[LOG_10] += fabs(d) / log(10);
        logs += d;
        n++;
    }
    if (!n)
        return error_set(error, ERROR_FAILED,
                         "%s: no depth between --depth-min and --depth-max: leave it out (--depth-list)",
                         x->pairs.truth[i]);
    struct picture *out = &x->pictures[i];
    out->squares = sum[RMSE];
    out->pixels = n;
    for (int k = 0; k < FIGURES; k++) out->figures[k] = sum[k] / n;
    out->figures[SILOG] = 100 * sqrt(fmax(sum[RMSE_LOG] / n - logs / n * (logs / n), 0));
    out->figures[RMSE_LOG] = sqrt(sum[RMSE_LOG] / n);
    out->figures[RMSE] = x->values[i] = sqrt(sum[RMSE] / n);
    return 0;
}

static int read_pair(void *self, int64_t i, struct error *error)
{
    struct self *x = self;
    const char *path = x->pairs.predicted[i];
    struct depth_map truth = {0}, predicted = {0};
    int rc = depth_map_read(x->pairs.truth[i], x->scale, &truth, error);
    if (rc == 0 && !strcmp(x->crop, "eigen") && (truth.height != 480 || truth.width != 640))
        rc = error_set(error, ERROR_FAILED, "%s: %ld x %ld: --depth-crop eigen is for 640 x 480", x->pairs.truth[i],
                       (long)truth.width, (long)truth.height);
    if (rc == 0) rc = depth_map_read(path, x->scale, &predicted, error);
    if (rc == 0 && (predicted.height != truth.height || predicted.width != truth.width)) {
        struct depth_map fitted = depth_map_resized(&predicted, truth.height, truth.width);
        free(predicted.metres);
        predicted = fitted;
    }
    if (rc == 0) rc = measure(x, i, &truth, &predicted, error);
    free(truth.metres);
    free(predicted.metres);
    return rc;
}

/* --- all of them --- */

static void report(const struct self *x, json_t *figures)
{
    struct picture sum = {0};
    for (const struct picture *p = x->pictures; p < x->pictures + x->pairs.count; p++) {
        for (int k = 0; k < FIGURES; k++) sum.figures[k] += p->figures[k];
        sum.squares += p->squares;
        sum.pixels += p->pixels;
    }
    for (int k = 0; k < FIGURES; k++)
        json_object_set_new(figures, figure_keys[k], json_real(sum.figures[k] / (double)x->pairs.count));
    json_object_set_new(figures, "rmse_pooled", json_real(sqrt(sum.squares / sum.pixels)));
    json_object_set_new(figures, "pixels", json_integer((json_int_t)sum.pixels));
}

static int open_depth(void *self, const char *truth, const char *predictions, struct metric_result *result,
                      struct error *error)
{
    struct self *x = self;
    if (!(x->min < x->max)) return error_set(error, ERROR_USAGE, "--depth-min %g is not below --depth-max", x->min);
    if (pairs_open(&x->pairs, truth, x->list, predictions, ".npy", error) < 0) return -1;
    x->pictures = mem_zalloc((size_t)x->pairs.count, sizeof *x->pictures);
    x->values = mem_zalloc((size_t)x->pairs.count, sizeof *x->values);
    if (pairs_each(x->pairs.count, read_pair, x, error) < 0) return -1;
    report(x, result->figures);
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
