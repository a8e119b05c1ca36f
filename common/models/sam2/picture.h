/* Pictures as SAM 2 wants them: size x size whatever their shape, resampled in floats (bilinear, antialiased: PyTorch's
 * interpolate), then centred and scaled by ImageNet's mean and deviation. */
#ifndef MODELS_SAM2_PICTURE_H
#define MODELS_SAM2_PICTURE_H

#include <stdint.h>

#include "base/extent.h"

/* pixels [height, width, 3] -> out [size, size, 3]. */
void sam2_picture(const uint8_t *pixels, struct extent from, int64_t size, float *out, int threads);

#endif
