/* Mask regularisation (PE section 2.1): a share of the batch is seen a second time with some patches hidden; the tokens
 * that come out at the hidden places are pulled towards those of the full view by their cosine.  The full view is the
 * target (no gradient), and the masked view never enters the contrastive loss.  Hidden patches keep their position and
 * lose their content (zero), so nothing is added to the model.  Tokens are compared after ln_post. */
#ifndef TRAINER_MASK_H
#define TRAINER_MASK_H

#include "trainer/trainer.h"

struct mask {
    int64_t images, hidden; /* images seen masked; hidden patches of each */
    const uint8_t *pixels;
    int size;
    const uint8_t *map;   /* [images * patches] 1: hidden; on the device */
    const int32_t *rows;  /* [images * hidden] token rows of the hidden patches; on the device */
    struct tensor target; /* [images * hidden, width] */
};

/* Draw the patches of the first images of the slice, and keep their target tokens from slice->tokens. */
void mask_targets(struct mask *mask, struct trainer *trainer, const struct slice *slice);
/* Forward of the masked view and the seed of its backward pass; *cosines (on the device) becomes the sum over hidden
 * patches. */
void mask_forward(struct mask *mask, struct trainer *trainer, double *cosines);
/* (all) Of the global batch, on the device. */
double *mask_sum(struct trainer *trainer);
/* Hidden patches of the global batch: the mask loss is 1 - sum of cosines / this. */
double mask_rows(const struct trainer *trainer, int size);
size_t mask_host_bytes(const struct trainer *trainer); /* of a slice, at most */

#endif
