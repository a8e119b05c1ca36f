/* Mask regularisation (PE section 2.1): a share of the batch is seen a second time with some patches hidden; the tokens that come out at
 * the hidden places are pulled towards those of the full view by their cosine.  The full view is the target (no gradient), and the
 * masked view never enters the contrastive loss.  Hidden patches keep their position and lose their content (zero), so nothing is added
 * to the model.  Tokens are compared after ln_post. */
#ifndef TRAINER_MASK_H
#define TRAINER_MASK_H

#include "trainer/run.h"

struct mask {
    int64_t images, hidden; /* images seen masked; hidden patches of each */
    const uint8_t *pixels;
    int size;
    uint8_t *map;           /* [images * patches] 1: hidden */
    int32_t *rows;          /* [images * hidden] token rows of the hidden patches */
    struct tensor target;   /* [images * hidden, width] */
};

/* Draw the patches of the first images of the slice at batch row `row`, and keep their target tokens from `tokens`. */
void mask_targets(struct mask *mask, struct run *run, const struct batch *batch, int64_t row, const struct tensor *tokens);
/* Forward and backward of the masked view; returns sum of (1 - cosine) / hidden patches of the global batch. */
double mask_learn(struct mask *mask, struct run *run);

#endif
