/* Pixels of masks.  Each row of the map (a cell) becomes 4 x 4 pixels by two transposed convolutions whose kernel is
 * their stride, so a pixel is made from its cell alone:
 *
 *   fine = gelu(norm(W1[place in the cell] x + b1 + fine1))
 *   pixel = gelu(W2[place] fine + b2 + fine0);  logit = pixel . w
 *
 * Resizing commutes with the last product, and resizing bilinearly to a coarse grid reads few pixels: only those are
 * made. */
#ifndef MODELS_SAM2_UPSCALE_H
#define MODELS_SAM2_UPSCALE_H

#include "models/sam2/decoder.h"

enum { SAM2_PLACES = 4, SAM2_FACTOR = 4 }; /* of a pixel among 2 x 2; pixels along a cell */

/* What of the masks is wanted along one axis: pixel i of `to` lies between wanted[low[i]] and wanted[high[i]], a share
 * `weight` towards the latter. */
struct sam2_axis {
    int64_t to, count;
    int32_t *wanted, *low, *high;
    float *weight;
};

/* Pixels that are made from the same places in cells.  Arrays on the device but `to`. */
struct sam2_pixels {
    int64_t count;
    int32_t *of;   /* [prompts * count] rows of the fine map */
    int32_t *fine; /* [count] rows of fine0 */
    int32_t *to;   /* [count], host: which wanted pixel */
};
struct sam2_cells {
    int64_t count;
    bool all;      /* every cell, in order */
    int32_t *rows; /* [prompts * count] rows of the map */
    int32_t *fine; /* [count] rows of fine1 */
    struct sam2_pixels pixels[SAM2_PLACES];
};

struct sam2_upscale {
    int64_t side, most; /* of the map in cells; prompts */
    struct tensor *first[SAM2_PLACES], *first_bias, *norm[2], *second[SAM2_PLACES], *second_bias;
    struct sam2_axis axis;
    struct sam2_cells cells[SAM2_PLACES];
    int32_t *block; /* all of the device's arrays */
    size_t bytes;
    int32_t *host; /* and what they were brought from */
    bool whole;    /* all pixels are made */
};

void sam2_upscale_register(struct sam2_upscale *u, struct parameters *p, const struct sam2_config *config,
                           int64_t channels);
void sam2_upscale_close(struct sam2_upscale *u, struct device *device);

/* Aim at masks of to x to pixels, made for up to `most` prompts; from all pixels when `whole`. */
void sam2_upscale_aim(struct sam2_upscale *u, struct device *device, int64_t to, int64_t most, bool whole);

/* logits [n, 4, wanted pixels], host memory.  fine1 [4 cells, channels / 4], fine0 [16 cells, channels / 8] of the
 * picture.  Between segments. */
void sam2_upscale(struct tape *t, const struct sam2_upscale *u, const struct sam2_decoded *decoded, int64_t n,
                  struct tensor *fine1, struct tensor *fine0, float *logits);

/* A mask of the wanted pixels at the extent that was aimed at. */
void sam2_upscale_resize(const struct sam2_upscale *u, const float *wanted, float *out);

#endif
