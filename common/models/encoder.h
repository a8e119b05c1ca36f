/* An encoder: what turns pictures into rows, layer by layer, whichever model it is.
 *
 *   pictures -> layer 0 (what enters the first block) -> layer 1 -> ... -> layer `layers`
 *
 * One pass serves any set of layers: rows reach a tap while they are there (autograd/tape.h), and feature() makes of
 * them, on the tap's branch, what stands for a picture. */
#ifndef MODELS_ENCODER_H
#define MODELS_ENCODER_H

#include "models/vision.h"

enum feature {
    FEATURE_TOKENS, /* all rows of a picture as they are: `lead` rows (class token), then its grid row by row */
    FEATURE_GRID,   /* those of its grid */
    FEATURE_PAIRS,  /* the same, each with the class token beside it: [rows, 2 width] */
    FEATURE_CLASS,  /* its class token */
    FEATURE_MEAN,   /* the mean of its grid */
    FEATURE_POOLED, /* the model's own pooling (attention, or the class token after its norm) before the projection */
    FEATURE_EMBEDDING, /* pooled, projected, unit length; of a video: of the average of its frames' projections */
    FEATURE_FRAMES,    /* the same of each frame, averaged over a video and then shorter than 1 */
    FEATURES
};

/* The rows of a layer. */
struct layer_shape {
    int64_t width;
    int64_t lead;   /* rows of a picture before those of its grid */
    int64_t stride; /* pixels a cell of the grid is wide and high */
};

struct encoder {
    int64_t layers, size; /* layers: 0 .. layers can be tapped; pixels a side of the pictures it was made for */
    struct layer_shape (*shape)(const void *self, int64_t layer);
    /* Columns of this feature of a layer, 0: the model has no such feature. */
    int64_t (*columns)(const void *self, int64_t layer, enum feature feature);
    /* Layers 0 .. taps->layers; recorded when the tape is recording. */
    void (*forward)(void *self, struct tape *tape, const struct pictures *pictures, const struct taps *taps);
    /* rows: what a tap of this pass was given.  [pictures, columns], FEATURE_EMBEDDING [samples, columns];
     * FEATURE_TOKENS: rows itself, FEATURE_GRID, FEATURE_PAIRS: a row a cell. */
    struct tensor *(*feature)(void *self, struct tape *tape, struct tensor *rows, const struct pictures *pictures,
                              enum feature feature);
    void *self;
};

/* PE's vision tower, whole or (layers below its own) cut; it must outlive the encoder. */
struct encoder encoder_of_vision(struct vision *vision, int64_t layers);

static inline int64_t encoder_rows(const struct layer_shape *shape, struct extent size) /* of a picture of this size */
{
    return shape->lead + extent_area(extent_grid(size, shape->stride));
}

#endif
