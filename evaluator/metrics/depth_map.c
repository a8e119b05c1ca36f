/* Reading and resizing of depth maps. */
#include "evaluator/metrics/depth_map.h"

#include <math.h>
#include <stdlib.h>

#include "base/memory.h"
#include "base/str.h"
#include "data/mask.h"
#include "data/npy.h"
#include "evaluator/metrics/pairs.h"

static int read_png(const char *path, double scale, struct depth_map *map, struct error *error)
{
    struct mask mask;
    if (mask_read(path, PAIRS_MOST_PIXELS, &mask, error) < 0) return -1;
    int rc = mask.palette
                 ? error_set(error, ERROR_FAILED, "%s: palette indices are no depth: save it as 16-bit grey", path)
                 : 0;
    if (rc == 0) {
        int64_t n = (int64_t)mask.height * mask.width;
        *map = (struct depth_map){mask.height, mask.width, mem_alloc((size_t)n, sizeof(double))};
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

static int read_npy(const char *path, struct depth_map *map, struct error *error)
{
    struct npy npy;
    int rc = npy_open(&npy, path, error);
    if (rc == 0) rc = check_shape(&npy, path, error);
    if (rc == 0) {
        *map = (struct depth_map){npy.shape[npy.dims - 2], npy.shape[npy.dims - 1],
                                  mem_alloc((size_t)npy.count, sizeof(double))};
        npy_reals(&npy, 0, npy.count, map->metres);
    }
    for (int64_t i = 0; rc == 0 && i < npy.count; i++)
        if (!isfinite(map->metres[i]))
            rc = error_set(error, ERROR_FAILED, "%s: %g at row %ld, column %ld", path, map->metres[i],
                           (long)(i / map->width), (long)(i % map->width));
    npy_close(&npy);
    return rc;
}

/* Where the centre of pixel `to` of `count` lies among `from` pixels: the lower one, and how far to the next. */
static int64_t place(int64_t to, int64_t count, int64_t from, double *share)
{
    double at = ((double)to + .5) * (double)from / (double)count - .5;
    at = at < 0 ? 0 : at > (double)(from - 1) ? (double)(from - 1) : at;
    *share = at - floor(at);
    return (int64_t)at;
}

struct depth_map depth_map_resized(const struct depth_map *in, int64_t height, int64_t width)
{
    struct depth_map out = {height, width, mem_alloc((size_t)(height * width), sizeof(double))};
    for (int64_t y = 0; y < height; y++) {
        double down, right;
        int64_t top = place(y, height, in->height, &down);
        const double *upper = in->metres + top * in->width, *lower = top + 1 < in->height ? upper + in->width : upper;
        for (int64_t x = 0; x < width; x++) {
            int64_t left = place(x, width, in->width, &right), next = left + 1 < in->width ? left + 1 : left;
            out.metres[y * width + x] = (1 - down) * ((1 - right) * upper[left] + right * upper[next]) +
                                        down * ((1 - right) * lower[left] + right * lower[next]);
        }
    }
    return out;
}

int depth_map_read(const char *path, double scale, struct depth_map *map, struct error *error)
{
    return str_ends_with(path, ".npy") ? read_npy(path, map, error) : read_png(path, scale, map, error);
}
