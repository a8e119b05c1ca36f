/* How large a picture is in pixels, or a grid in cells. */
#ifndef BASE_EXTENT_H
#define BASE_EXTENT_H

#include <stdbool.h>
#include <stdint.h>

struct extent {
    int64_t height, width;
};

static inline struct extent extent_square(int64_t side)
{
    struct extent e = {side, side};
    return e;
}

static inline int64_t extent_area(struct extent e)
{
    return e.height * e.width;
}

static inline bool extent_same(struct extent a, struct extent b)
{
    return a.height == b.height && a.width == b.width;
}

/* The grid of whole cells, `cell` pixels a side, of a picture. */
static inline struct extent extent_grid(struct extent e, int64_t cell)
{
    struct extent grid = {e.height / cell, e.width / cell};
    return grid;
}

#endif
