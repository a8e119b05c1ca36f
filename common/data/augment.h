/* Pictures for the towers: the exact preprocessing of evaluation, and PE's training augmentation.
 *
 * Evaluation: the whole picture squashed to size x size as PIL does (resize.h).
 * Training (PE Tab. 18): random resized crop (area scale, aspect ratio as in torchvision), brightness and saturation
 * jitter as PIL's ImageEnhance does them, horizontal flip.  Draws are counter-based: the same (seed, epoch, sample)
 * gives the same picture.  The crop is decoded alone and, for JPEG, at the smallest DCT scale that is not below the
 * target size. */
#ifndef DATA_AUGMENT_H
#define DATA_AUGMENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/rng.h"
#include "config/options.h"
#include "data/image.h"

struct augmentation {
    double scale_min, scale_max;   /* of the area; scale_min 1: no crop, the squash of evaluation */
    double ratio_min, ratio_max;   /* width / height */
    double brightness, saturation; /* factors from [1 - x, 1 + x] */
    double flip;                   /* probability */
    /* scale_min 1 alone: not the squash, but the largest part of the picture whose width / height is the picture's
     * times a factor from [ratio_min, ratio_max]. */
    bool stretch;
};

/* The same as options of a program say it. */
struct augment_settings {
    char *kind;
    double scale_min, scale_max, ratio_min, ratio_max, brightness, saturation, flip;
};
extern const struct option augment_options[];
int augmentation_of(struct augmentation *augmentation, const struct augment_settings *config, struct error *error);

/* bytes (JPEG, PNG, WebP) -> out [size, size, 3], without `border` pixels on each side. */
int augment_evaluation(const uint8_t *bytes, size_t len, int64_t max_pixels, int border, int size, uint8_t *out,
                       struct error *error);
int augment_training(const uint8_t *bytes, size_t len, int64_t max_pixels, int size,
                     const struct augmentation *augmentation, uint64_t seed, uint64_t epoch, uint64_t sample,
                     uint8_t *out, struct error *error);
/* What of a picture of this size it shows, in its pixels: for what lies beside the picture, as a map of it does. */
struct augment_view {
    int x, y, width, height;
    bool flipped;
};
struct augment_view augment_view_of(int width, int height, const struct augmentation *augmentation, uint64_t seed,
                                    uint64_t epoch, uint64_t sample);
/* The same for a decoded picture: augmentation NULL for evaluation. */
void augment_image(const struct image *image, int size, const struct augmentation *augmentation, uint64_t seed,
                   uint64_t epoch, uint64_t sample, uint8_t *out);
/* Brightness, then saturation of pixels [count, 3], by factors drawn from [1 - x, 1 + x]. */
void augment_colours(struct rng *rng, double brightness, double saturation, uint8_t *pixels, int64_t count);
/* Left becomes right: pixels [size, size, 3]. */
void augment_mirror(uint8_t *pixels, int size);

#endif
