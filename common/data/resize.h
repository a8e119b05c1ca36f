/* Antialiased resampling, bit-equal to PIL's Image.resize(..., box): a filter (bilinear: a triangle; bicubic: a = -0.5)
 * whose width grows with the reduction, 22-bit fixed-point weights, the horizontal pass first and rounded to 8 bits. */
#ifndef DATA_RESIZE_H
#define DATA_RESIZE_H

#include "data/image.h"

/* Bilinear: the box [x0, x1) x [y0, y1) (in pixels, may be fractional, inside the image) of image -> out [height,
 * width, 3]. */
void resize_box(const struct image *image, double x0, double y0, double x1, double y1, uint8_t *out, int width,
                int height);

/* The whole image, bilinear and bicubic. */
void resize_image(const struct image *image, uint8_t *out, int width, int height);
void resize_bicubic(const struct image *image, uint8_t *out, int width, int height);

#endif
