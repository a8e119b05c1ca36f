/* Reading, resizing, measuring. */
#include "evaluator/metrics/depth_map.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/str.h"
#include "data/mask.h"
#include "data/npy.h"
#include "evaluator/metrics/pairs.h"

static const char *const figure_keys[DEPTH_FIGURES] = {"a1",   "a2",       "a3",     "abs_rel", "sq_rel",
                                                       "rmse", "rmse_log", "log_10", "silog"};

static int read_png(struct depth_map *map, const char *path, double scale, struct error *error)
{
    struct mask mask;
    if (mask_read(path, PAIRS_MOST_PIXELS, &mask, error) < 0) return -1;
    int rc = mask.palette
                 ? error_set(error, ERROR_FAILED, "%s: palette indices are no depth: save it as 16-bit grey", path)
                 : 0;
    if (rc == 0) {
        int64_t n = (int64_t)mask.height * mask.width;
        *map = (struct depth_map){{mask.height, mask.width}, mem_alloc((size_t)n, sizeof(double))};
        for (int64_t i = 0; i < n; i++) map->metres[i] = mask.pixels[i] / scale;
    }
    mask_free(&mask);
    return rc;
}

/* [height, width], with any number of 1 before. */
static int check_shape(const struct npy *npy, const char *path, struct error *error)
{
    bool fits = npy->dims >= 2 && npy->count > 0 && npy->count <= PAIRS_MOST_PIXELS;
    for (int d = 0; d < npy->dims - 2; d++) fits = fits && npy->shape[d] == 1;
    return fits ? 0 : error_set(error, ERROR_FAILED, "%s: no array [height, width] of one depth map", path);
}

static int read_npy(struct depth_map *map, const char *path, struct error *error)
{
    struct npy npy;
    int rc = npy_open(&npy, path, error);
    if (rc == 0) rc = check_shape(&npy, path, error);
    if (rc == 0) {
        *map = (struct depth_map){{npy.shape[npy.dims - 2], npy.shape[npy.dims - 1]},
                                  mem_alloc((size_t)npy.count, sizeof(double))};
        npy_reals(&npy, 0, npy.count, map->metres);
    }
    for (int64_t i = 0; rc == 0 && i < npy.count; i++)
        if (!isfinite(map->metres[i]))
            rc = error_set(error, ERROR_FAILED, "%s: %g at row %ld, column %ld", path, map->metres[i],
                           (long)(i / map->size.width), (long)(i % map->size.width));
    npy_close(&npy);
    return rc;
}

int depth_map_read(struct depth_map *map, const char *path, double scale, struct error *error)
{
    *map = (struct depth_map){0};
    return str_ends_with(path, ".npy") ? read_npy(map, path, error) : read_png(map, path, scale, error);
}

/* Where the centre of pixel `to` of `count` lies among `from` pixels: the lower one, and how far to the next. */
static int64_t place(int64_t to, int64_t count, int64_t from, double *share)
{
    double at = ((double)to + .5) * (double)from / (double)count - .5;
    at = at < 0 ? 0 : at > (double)(from - 1) ? (double)(from - 1) : at;
    *share = at - floor(at);
    return (int64_t)at;
}

struct depth_map depth_map_resized(const struct depth_map *in, struct extent size)
{
    struct depth_map out = {size, mem_alloc((size_t)extent_area(size), sizeof(double))};
    int64_t from = in->size.width;
    for (int64_t y = 0; y < size.height; y++) {
        double down, right;
        int64_t top = place(y, size.height, in->size.height, &down);
        const double *upper = in->metres + top * from, *lower = top + 1 < in->size.height ? upper + from : upper;
        for (int64_t x = 0; x < size.width; x++) {
            int64_t left = place(x, size.width, from, &right), next = left + 1 < from ? left + 1 : left;
            out.metres[y * size.width + x] = (1 - down) * ((1 - right) * upper[left] + right * upper[next]) +
                                             down * ((1 - right) * lower[left] + right * lower[next]);
        }
    }
    return out;
}

static bool inside(const struct depth_range *range, const struct depth_map *map, int64_t at)
{
    int64_t row = at / map->size.width, column = at % map->size.width;
    return !range->eigen || (row >= 45 && row < 471 && column >= 41 && column < 601);
}

bool depth_map_measure(struct depth_figures *out, const struct depth_range *range, const struct depth_map *truth,
                       const struct depth_map *predicted)
{
    double sum[DEPTH_FIGURES] = {0}, logs = 0, n = 0;
    for (int64_t at = 0; at < extent_area(truth->size); at++) {
        double g = truth->metres[at], p = fmin(fmax(predicted->metres[at], range->min), range->max);
        if (!(g > range->min && g < range->max) || !inside(range, truth, at)) continue;
        double ratio = fmax(p / g, g / p), off = p - g, d = log(p) - log(g);
        sum[DEPTH_A1] += ratio < 1.25;
        sum[DEPTH_A2] += ratio < 1.25 * 1.25;
        sum[DEPTH_A3] += ratio < 1.25 * 1.25 * 1.25;
        sum[DEPTH_ABS_REL] += fabs(off) / g;
        sum[DEPTH_SQ_REL] += off * off / g;
        sum[DEPTH_RMSE] += off * off;
        sum[DEPTH_RMSE_LOG] += d * d;
        sum[DEPTH_LOG_10] += fabs(d) / log(10);
        logs += d;
        n++;
    }
    if (!(n > 0)) return false;
    *out = (struct depth_figures){.squares = sum[DEPTH_RMSE], .pixels = n};
    for (int k = 0; k < DEPTH_FIGURES; k++) out->of[k] = sum[k] / n;
    out->of[DEPTH_SILOG] = 100 * sqrt(fmax(sum[DEPTH_RMSE_LOG] / n - logs / n * (logs / n), 0));
    out->of[DEPTH_RMSE_LOG] = sqrt(sum[DEPTH_RMSE_LOG] / n);
    out->of[DEPTH_RMSE] = sqrt(sum[DEPTH_RMSE] / n);
    return true;
}

void depth_figures_report(const struct depth_figures *pictures, int64_t count, json_t *figures)
{
    struct depth_figures sum = {0};
    for (const struct depth_figures *p = pictures; p < pictures + count; p++) {
        for (int k = 0; k < DEPTH_FIGURES; k++) sum.of[k] += p->of[k];
        sum.squares += p->squares;
        sum.pixels += p->pixels;
    }
    for (int k = 0; k < DEPTH_FIGURES; k++)
        json_object_set_new(figures, figure_keys[k], json_real(sum.of[k] / (double)count));
    json_object_set_new(figures, "rmse_pooled", json_real(sqrt(sum.squares / sum.pixels)));
    json_object_set_new(figures, "pixels", json_integer((json_int_t)sum.pixels));
}
