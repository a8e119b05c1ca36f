/* No encoder: the pixels themselves, of pictures scaled to a few by a few, as layer 0 of none.  What a probe finds in
 * them is what needs no features. */
#ifndef MODELS_PIXELS_H
#define MODELS_PIXELS_H

#include "models/encoder.h"

enum { PIXELS_SIZE = 16 };

/* Each feature of a picture is its PIXELS_SIZE^2 pixels, row by row, red green blue in [-1, 1]. */
struct encoder encoder_of_pixels(void);

#endif
