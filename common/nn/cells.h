/* Cells of a detector's levels and boxes in pixels: which box a cell is to find, and which boxes are found.
 *
 * The rules are torchvision 0.29's FCOS (models/detection/fcos.py), in float as there:
 * - a cell stands at (column, row) * (pixels of the picture / cells, rounded down), without half a cell; its side is
 *   the level's stride;
 * - it may find a box whose middle is less than 1.5 sides away in x and y, that it lies inside of, and whose farthest
 *   edge is more than 4 and less than 8 sides away (on the first level also nearer, on the last also farther);
 * - of several the smallest: 1e8 - area is the largest as float, so areas 8 apart may be equal; then the first;
 * - a class at a cell scores sqrt(sigmoid(logit) sigmoid(centre-ness)).  On each level scores above the threshold, the
 *   best of them, become boxes, cut to the picture; of a class, boxes that overlap a better one too much are left out.
 *
 * Not as there: equal scores go in order of cells and classes; with a side of 7 (patches of 14) torchvision's anchors
 * are rounded to 8. */
#ifndef NN_CELLS_H
#define NN_CELLS_H

#include "base/extent.h"
#include "nn/pyramid.h"

struct cell_level {
    struct extent grid, step; /* cells; pixels from one to the next */
    int64_t first;            /* cells of a picture on the levels before */
    float side;
};
/* patch is even, and the picture has 2 x 2 patches at least.  Returns the cells of all levels. */
int64_t cells_levels(struct extent size, int64_t patch, struct cell_level levels[PYRAMID_LEVELS]);

struct box {
    float edges[4]; /* x0, y0, x1, y1 */
    int32_t class;
};

/* What is true of each cell, level after level: the box it is to find, -1: none; and of that box the class, distances
 * [cells, 4] to its left, upper, right and lower edge, and centre-ness; 0s and -1 where there is none.  `boxes` may be
 * NULL, or where the box's number goes. */
void cells_targets(const struct cell_level levels[PYRAMID_LEVELS], const struct box *found, int64_t count,
                   int32_t *boxes, int32_t *classes, float *distances, float *centreness);

struct found_box {
    struct box box;
    float score;
};
struct found_rules {
    double threshold, overlap; /* of scores, of boxes (intersection / union) */
    int64_t level_most, most;  /* of a level before, of a picture after overlaps are left out */
};
/* What one picture's level says: [cells, classes], [cells, 4], [cells]. */
struct cell_outputs {
    const float *logits, *distances, *centreness;
};
/* Best first; found [rules->most].  Returns how many; -1: a number is not finite. */
int64_t cells_find(const struct cell_level levels[PYRAMID_LEVELS], struct extent size,
                   const struct cell_outputs outputs[PYRAMID_LEVELS], int64_t classes, const struct found_rules *rules,
                   struct found_box *found);

#endif
