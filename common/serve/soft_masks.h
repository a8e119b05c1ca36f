/* Masks (the number of its object in each pixel, 0 the background) and soft maps (a share of each number in each cell
 * of a grid), as DINO's tracking turns one into the other.
 *
 *   mask -> soft    the pixel at the middle of a cell, as PIL's nearest neighbour finds it; 1 for its number
 *   soft -> mask    bilinear to `stride` pixels a cell; each number's map, where any of it is above 0, stretched to
 *                   0 .. 1; the largest wins, of equal ones the lower number; then PIL's nearest neighbour to the
 *                   mask's size
 *
 * A map that is the same everywhere stretches to 0 (the reference divides 0 by 0). */
#ifndef SERVE_SOFT_MASKS_H
#define SERVE_SOFT_MASKS_H

#include "base/extent.h"

/* mask [size], soft [cells, labels]; a number from `labels` on (void) counts as background. */
void soft_from_mask(const uint16_t *mask, struct extent size, float *soft, struct extent grid, int64_t labels);
void soft_to_mask(const float *soft, struct extent grid, int64_t labels, int64_t stride, uint16_t *mask,
                  struct extent size, int threads);

#endif
