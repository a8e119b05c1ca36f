/* The symmetric InfoNCE loss over the global batch (PE section 2.1; CLIP), without its N x N matrix.
 *
 *   l[i, j] = scale <image_i, text_j>
 *   loss = 1 / 2N sum_i ( lse_j l[i, j] + lse_j l[j, i] - 2 l[i, i] )
 *
 * The batch is cut into `slices`; rank r owns slices r * slices / size ... .  Text blocks of one slice visit all ranks in turn;
 * logits exist as strips [STRIP rows, one slice of columns], formed once for the softmax statistics and once for the gradient.
 * Partial results are combined in an order fixed by the slices alone, so loss and gradients are bit-identical on any number
 * of ranks, and equal the full-matrix loss up to rounding. */
#ifndef NN_CONTRASTIVE_H
#define NN_CONTRASTIVE_H

#include "backend/device.h"
#include "dist/world.h"

struct contrastive_result {
    double loss;           /* of the global batch, the same on all ranks */
    double logit_scale;    /* d loss / d logit_scale (the ln), the same on all ranks */
    double accuracy;       /* share of images whose own text has the largest logit, of the global batch */
};

/* images, texts [local, dim]: this rank's features, unit length; local = global / world size.  d_images, d_texts: gradients,
 * overwritten, or both NULL for the loss alone.  scale = exp(logit_scale). */
struct contrastive_result contrastive_loss(struct device *device, const struct world *world, const float *images, const float *texts,
                                           float *d_images, float *d_texts, int64_t local, int64_t dim, int slices, float scale);

#endif
