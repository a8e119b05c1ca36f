/* Nearest neighbours, and bilinear maps a row at a time. */
#include "serve/soft_masks.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "data/wide.h"

/* Where each of `to` positions falls among `from`: PIL adds up the steps. */
static int32_t *nearest(int64_t from, int64_t to)
{
    int32_t *list = mem_alloc((size_t)to, sizeof *list);
    double step = (double)from / (double)to, at = step * 0.5;
    for (int64_t i = 0; i < to; i++, at += step) list[i] = (int32_t)(at < (double)from ? at : (double)(from - 1));
    return list;
}

void soft_from_mask(const uint16_t *mask, struct extent size, float *soft, struct extent grid, int64_t labels)
{
    int32_t *rows = nearest(size.height, grid.height), *columns = nearest(size.width, grid.width);
    memset(soft, 0, (size_t)(extent_area(grid) * labels) * sizeof *soft);
    for (int64_t cell = 0; cell < extent_area(grid); cell++) {
        int64_t number = mask[rows[cell / grid.width] * size.width + columns[cell % grid.width]];
        soft[cell * labels + (number < labels ? number : 0)] = 1;
    }
    free(rows);
    free(columns);
}

/* Pixel i between two cells, as torch's upsampling finds them. */
struct between {
    int64_t low, high;
    float weight; /* of high */
};

static struct between between(int64_t i, int64_t stride, int64_t cells)
{
    float at = (float)(1. / (double)stride) * ((float)i + .5f) - .5f;
    if (at < 0) at = 0;
    int64_t low = (int64_t)at;
    return (struct between){low, low + 1 < cells ? low + 1 : low, at - (float)low};
}

/* A soft map on its way to pixels. */
struct upsampling {
    struct extent grid, size; /* size: grid times stride */
    int64_t labels, stride;
    float *across;      /* [labels, grid.height, size.width] */
    float *low, *range; /* [labels] of the pixels of each number; range 0: it is nowhere */
};

static void widen(const struct upsampling *u, const float *soft, int64_t label, int64_t row)
{
    float *to = u->across + (label * u->grid.height + row) * u->size.width;
    for (int64_t x = 0; x < u->size.width; x++) {
        struct between b = between(x, u->stride, u->grid.width);
        const float *from = soft + row * u->grid.width * u->labels + label;
        to[x] = (1 - b.weight) * from[b.low * u->labels] + b.weight * from[b.high * u->labels];
    }
}

/* Row y of a number's map in pixels. */
WIDE static void pixels_of(const struct upsampling *u, int64_t label, int64_t y, float *out)
{
    struct between b = between(y, u->stride, u->grid.height);
    const float *map = u->across + label * u->grid.height * u->size.width;
    const float *upper = map + b.low * u->size.width, *lower = map + b.high * u->size.width;
    for (int64_t x = 0; x < u->size.width; x++) out[x] = (1 - b.weight) * upper[x] + b.weight * lower[x];
}

/* low, high [width]: of each column. */
WIDE static void include(const float *row, int64_t width, float *low, float *high)
{
    for (int64_t x = 0; x < width; x++) {
        low[x] = row[x] < low[x] ? row[x] : low[x];
        high[x] = row[x] > high[x] ? row[x] : high[x];
    }
}

/* row, low, high [size.width]: scratch */
static void find_range(const struct upsampling *u, int64_t label, float *row, float *low, float *high)
{
    int64_t width = u->size.width;
    for (int64_t x = 0; x < width; x++) low[x] = INFINITY, high[x] = -INFINITY;
    for (int64_t y = 0; y < u->size.height; y++) {
        pixels_of(u, label, y, row);
        include(row, width, low, high);
    }
    for (int64_t x = 1; x < width; x++) {
        low[0] = fminf(low[0], low[x]);
        high[0] = fmaxf(high[0], high[x]);
    }
    u->low[label] = high[0] > 0 ? low[0] : 0;
    u->range[label] = high[0] > 0 ? high[0] - low[0] : 0;
}

/* best, which [width]: the largest so far, and whose it is. */
WIDE static void compete(const float *row, int64_t width, float low, float range, uint16_t label, float *best,
                         uint16_t *which)
{
    for (int64_t x = 0; x < width; x++) {
        float share = range > 0 ? (row[x] - low) / range : 0;
        bool wins = share > best[x];
        best[x] = wins ? share : best[x];
        which[x] = wins ? label : which[x];
    }
}

static void decide(const struct upsampling *u, int64_t y, const int32_t *columns, int64_t width, float *row,
                   float *best, uint16_t *which, uint16_t *out)
{
    for (int64_t x = 0; x < u->size.width; x++) best[x] = -INFINITY, which[x] = 0;
    for (int64_t l = 0; l < u->labels; l++) {
        pixels_of(u, l, y, row);
        compete(row, u->size.width, u->low[l], u->range[l], (uint16_t)l, best, which);
    }
    for (int64_t x = 0; x < width; x++) out[x] = which[columns[x]];
}

void soft_to_mask(const float *soft, struct extent grid, int64_t labels, int64_t stride, uint16_t *mask,
                  struct extent size, int threads)
{
    struct upsampling u = {.grid = grid, .labels = labels, .stride = stride};
    u.size = (struct extent){grid.height * stride, grid.width * stride};
    u.across = mem_alloc((size_t)(labels * grid.height * u.size.width), sizeof *u.across);
    u.low = mem_alloc((size_t)labels, sizeof *u.low);
    u.range = mem_alloc((size_t)labels, sizeof *u.range);
    int32_t *rows = nearest(u.size.height, size.height), *columns = nearest(u.size.width, size.width);
#pragma omp parallel num_threads(threads)
    {
        float *row = mem_alloc((size_t)(3 * u.size.width), sizeof *row);
        float *best = row + u.size.width, *other = best + u.size.width;
        uint16_t *which = mem_alloc((size_t)u.size.width, sizeof *which);
#pragma omp for schedule(static)
        for (int64_t i = 0; i < labels * grid.height; i++) widen(&u, soft, i / grid.height, i % grid.height);
#pragma omp for schedule(dynamic, 1)
        for (int64_t l = 0; l < labels; l++) find_range(&u, l, row, best, other);
#pragma omp for schedule(static)
        for (int64_t y = 0; y < size.height; y++)
            decide(&u, rows[y], columns, size.width, row, best, which, mask + y * size.width);
        free(row);
        free(which);
    }
    free(u.across);
    free(u.low);
    free(u.range);
    free(rows);
    free(columns);
}
