/* The choice of a grid, and the cutting. */
#include "models/tiles.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/memory.h"
#include "data/resize.h"

enum { TILES_MOST = 128, GRIDS_MOST = 1024 }; /* grids of at most 128 tiles are 645 */

struct arrangement {
    int across, down;
};

/* All grids of at most `most` tiles: those of one shape together, shapes in order of their largest grid, as the
 * reference lists them. */
static int arrangements(int most, struct arrangement *list)
{
    struct arrangement all[GRIDS_MOST];
    int count = 0, listed = 0;
    for (int tiles = most; tiles > 0; tiles--)
        for (int across = 1; across <= tiles; across++)
            if (tiles % across == 0 && count < GRIDS_MOST) all[count++] = (struct arrangement){across, tiles / across};
    for (int i = 0; i < count; i++) {
        bool seen = false;
        for (int k = 0; k < i; k++) seen |= all[k].across * all[i].down == all[i].across * all[k].down;
        for (int k = i; k < count && !seen; k++)
            if (all[k].across * all[i].down == all[i].across * all[k].down) list[listed++] = all[k];
    }
    return listed;
}

/* The side by which canvases are compared: of the picture fitted into the canvas with its shape kept. */
static double fitted_side(int width, int height, double canvas_width, double canvas_height)
{
    double shape = (double)width / height, factor = fmin(canvas_width / width, canvas_height / height);
    double w, h;
    if (shape > 1)
        w = factor * width, h = floor(w / shape);
    else
        h = factor * height, w = floor(h * shape);
    return shape < 1 ? w : h;
}

static bool nearer(const struct arrangement *a, const struct arrangement *best, double shape)
{
    double k = (double)a->across / a->down;
    if (shape >= 1 ? k > shape : k <= shape) return false;
    if (!best) return true;
    double other = (double)best->across / best->down;
    double gap = shape >= 1 ? fabs(k - shape) : fabs(1 / k - 1 / shape);
    double old = shape >= 1 ? fabs(other - shape) : fabs(1 / other - 1 / shape);
    if (k == other) return shape >= 1 ? a->across > best->across : a->down > best->down; /* the largest of this shape */
    return gap < old;
}

void tiles_grid(int width, int height, int size, int most, int *across, int *down)
{
    struct arrangement list[GRIDS_MOST];
    const struct arrangement *best = NULL;
    CHECK(most >= 1 && most <= TILES_MOST, "%d tiles", most);
    int count = arrangements(most, list);
    double side = 0, shape = (double)width / height;
    for (int i = 0; i < count; i++) {
        if (list[i].across * size < width || list[i].down * size < height) continue;
        double fitted = fitted_side(width, height, list[i].across * size, list[i].down * size);
        if (best && fitted < side) continue;
        best = &list[i];
        side = fitted;
    }
    for (int i = 0; i < count && (!best || side == 0); i++)
        if (nearer(&list[i], best, shape)) best = &list[i];
    *across = best->across;
    *down = best->down;
}

int tiles_cut(const struct image *image, int size, int most, uint8_t *pixels)
{
    size_t tile = (size_t)size * (size_t)size * 3, row = (size_t)size * 3;
    int across, down;
    resize_bicubic(image, pixels, size, size);
    if (most < 1) return 1;
    tiles_grid(image->width, image->height, size, most, &across, &down);
    uint8_t *canvas = mem_alloc((size_t)(across * down), tile);
    resize_bicubic(image, canvas, across * size, down * size);
    for (int y = 0; y < down * size; y++)
        for (int x = 0; x < across; x++) {
            size_t number = (size_t)(1 + y / size * across + x);
            memcpy(pixels + number * tile + (size_t)(y % size) * row,
                   canvas + ((size_t)y * (size_t)across + (size_t)x) * row, row);
        }
    free(canvas);
    return 1 + across * down;
}

int tiles_cut_all(struct image *pictures, int count, int size, int most, uint8_t *pixels)
{
    int made = 0;
    for (int i = 0; i < count; i++) {
        made += tiles_cut(&pictures[i], size, most, pixels + (size_t)made * (size_t)size * (size_t)size * 3);
        image_free(&pictures[i]);
    }
    return made;
}
