/* Pictures for what looks at places in them: where a point of the picture has come to lie is known.
 *
 * Evaluation: the whole picture squashed to size x size (data/augment.h).  Training: large-scale jitter (Ghiasi et al.
 * 2021; Detectron2's ResizeScale and FixedSizeCrop): squashed to a side of size * scale; of what is larger a random
 * window is seen, what is smaller lies in the upper left of a grey square; then flipped or not.  Draws are functions of
 * (seed, epoch, sample). */
#ifndef DATA_JITTER_H
#define DATA_JITTER_H

#include "data/image.h"

struct jitter {
    double scale_min, scale_max, flip; /* scale uniform from [min, max]; probability */
};

/* A point (x, y) of the picture is seen at x * scale_x - left, y * scale_y - top; with `flipped` at size minus that x.
 */
struct placement {
    double scale_x, scale_y, left, top;
    bool flipped;
};

/* out [size, size, 3]; jitter NULL: as in evaluation. */
struct placement jitter_picture(const struct image *image, int size, const struct jitter *jitter, uint64_t seed,
                                uint64_t epoch, uint64_t sample, uint8_t *out);

#endif
