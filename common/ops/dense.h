/* Ops of heads that say something of every pixel.  A map is pictures whose rows lie row by row: [pictures * area,
 * columns].  What a head gives on its grid is seen at the extent of the truth bilinearly (half-pixel centres, edges
 * repeated: torch's interpolate with align_corners false); what is seen is never stored. */
#ifndef OPS_DENSE_H
#define OPS_DENSE_H

#include "ops/maps.h"

/* Mean over all pixels of a picture of the cross entropy of logits [map, classes] seen at `to`: [pictures, 1], float.
 * targets [pictures, area of to]: classes; `ignored` (no class, or beyond 65535) adds nothing, yet counts, as in
 * mmsegmentation's losses. */
struct tensor *op_pixel_loss(struct tape *t, struct tensor *logits, struct map from, struct extent to,
                             const uint16_t *targets, int64_t ignored);

/* AdaBins with linear bins, as DINOv2's depth heads: depth [pictures * area of to, 1] = sum w c of logits [map, bins]
 * seen at `to`, w = (max(logit, 0) + 0.1) made to sum to 1, c from low to high in equal steps. */
struct tensor *op_bins(struct tape *t, struct tensor *logits, struct map from, struct extent to, float low, float high);

/* SigLoss of each picture: [pictures, 1], float: sqrt(spread var(g) + 0.15 mean(g)^2), g = ln(p + 0.001) -
 * ln(t + 0.001) over pixels with 0 < t < most; var with n - 1.  depth [map, 1] is seen at `to`, truth [pictures, area
 * of to].  spread is 1; 0 leaves the mean alone (its first steps in DINOv2). */
struct tensor *op_depth_loss(struct tape *t, struct tensor *depth, struct map from, struct extent to,
                             const float *truth, float most, float spread);

#endif
