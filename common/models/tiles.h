/* A picture as a Perception LM takes it: a thumbnail, and tiles of the same size that show it larger. */
#ifndef MODELS_TILES_H
#define MODELS_TILES_H

#include "data/image.h"

/* The grid of at most `most` tiles (1 to 128) of `size` pixels for a picture (transformers'
 * image_processing_perception_lm.py): the smallest loss of shape that needs no reduction. */
void tiles_grid(int width, int height, int size, int most, int *across, int *down);

/* Thumbnail, then the tiles row by row, at most `most` of them (0: none): pixels [1 + tiles, size, size, 3].  Returns
 * how many. */
int tiles_cut(const struct image *image, int size, int most, uint8_t *pixels);

/* Pictures one behind the other, which are freed; pixels [as many as that makes, size, size, 3].  Returns how many. */
int tiles_cut_all(struct image *pictures, int count, int size, int most, uint8_t *pixels);

#endif
