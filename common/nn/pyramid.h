/* ViTDet's simple feature pyramid (Li et al. 2022; Detectron2's SimpleFeaturePyramid): maps of five strides from the
 * one map of a plain encoder, for a detector on top.
 *
 *   patch / 2   spread to 2 x 2 cells (a transposed convolution)  \
 *   patch       the map itself                                     > 1x1 -> norm -> 3x3 -> norm
 *   2 patch     max pool of 2 x 2                                 /
 *   4 patch     3x3, stride 2, of the level before
 *   8 patch     3x3, stride 2, of ReLU of the level before
 *
 * The first three are ViTDet's (whose patch / 4 is left out): convolutions without bias, norms over channels, eps 1e-6.
 * The last two are torchvision's LastLevelP6P7, which FCOS adds.  Strides are those of the patch, whatever it is. */
#ifndef NN_PYRAMID_H
#define NN_PYRAMID_H

#include "ops/maps.h"
#include "tensor/parameters.h"

enum { PYRAMID_LEVELS = 5, PYRAMID_PARAMETERS = 24 };

/* Cells of each level over a picture whose encoder has this grid, 2 x 2 cells at least. */
void pyramid_extents(struct extent grid, struct extent levels[PYRAMID_LEVELS]);

/* A parameter as its owner registers it.  Convolutions are [out, kernel^2 in], columns in order (y, x, channel), the
 * transposed one is [2 * 2 * out, in], rows in order (y, x, channel). */
struct named_shape {
    char name[40];
    int ndim;
    int64_t shape[2];
};

void pyramid_parameters(struct named_shape list[PYRAMID_PARAMETERS], int64_t width, int64_t channels);
/* By its name, as PyTorch's modules begin: norms 1 and 0, convolutions U(+-1 / sqrt(fan in)); those of the last two
 * levels U(+-sqrt(3 / fan in)), with biases of 0. */
void pyramid_draw(struct parameter *parameter, uint64_t seed);

/* x [pictures * area, width], which needs no gradient; p: tensors of the parameters, in their order.  Each level is a
 * segment of the tape. */
void pyramid_forward(struct tape *t, struct tensor *const *p, struct tensor *x, struct map map,
                     struct tensor *levels[PYRAMID_LEVELS]);

#endif
