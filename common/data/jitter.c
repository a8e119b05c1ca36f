/* Scale, window, flip. */
#include "data/jitter.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/rng.h"
#include "data/augment.h"
#include "data/resize.h"

enum { GREY = 128 };

/* The picture, `side` pixels a side, in the upper left. */
static void put_small(const struct image *image, int side, int size, uint8_t *out)
{
    uint8_t *small = mem_alloc((size_t)side * (size_t)side * 3, 1);
    resize_image(image, small, side, side);
    memset(out, GREY, (size_t)size * (size_t)size * 3);
    for (int y = 0; y < side; y++)
        memcpy(out + (size_t)y * (size_t)size * 3, small + (size_t)y * (size_t)side * 3, (size_t)side * 3);
    free(small);
}

struct placement jitter_picture(const struct image *image, int size, const struct jitter *jitter, uint64_t seed,
                                uint64_t epoch, uint64_t sample, uint8_t *out)
{
    struct rng rng = rng_open(seed, RNG_CROP, epoch, sample);
    double scale = jitter ? rng_range(&rng, jitter->scale_min, jitter->scale_max) : 1;
    int side = (int)fmax(lround(scale * size), 1), spare = side > size ? side - size : 0;
    double left = (double)rng_below(&rng, (uint64_t)spare + 1), top = (double)rng_below(&rng, (uint64_t)spare + 1);
    bool flipped = jitter && rng_uniform(&rng) < jitter->flip;
    struct placement p = {(double)side / image->width, (double)side / image->height, left, top, flipped};
    if (side < size)
        put_small(image, side, size, out);
    else
        resize_box(image, left / p.scale_x, top / p.scale_y, fmin((left + size) / p.scale_x, image->width),
                   fmin((top + size) / p.scale_y, image->height), out, size, size);
    if (flipped) augment_mirror(out, size);
    return p;
}
