/* Ops on maps: pictures of pixels as rows, [pictures * height * width, channels], pixel by pixel, row by row.  That is
 * how the grid of an encoder lies.
 *
 * Shapes of weights and maps are checked: a wrong one is our own bug.  To add two maps, op_branch without gamma and
 * keep. */
#ifndef OPS_MAPS_H
#define OPS_MAPS_H

#include "ops/ops.h"

struct map {
    int64_t pictures;
    struct extent size;
};

/* weight [out, kernel^2 * in], columns in order (y, x, channel): PyTorch's [out, in, y, x] with channels last; bias [1,
 * out] or NULL; pixels outside are zero.  Result [pictures * area of convolution_extent, out].  An input that needs no
 * gradient costs none. */
struct convolution {
    struct tensor *weight, *bias;
    int64_t kernel, stride, padding;
};
struct extent convolution_extent(struct extent from, int64_t kernel, int64_t stride, int64_t padding);
struct tensor *op_convolve(struct tape *t, struct tensor *x, struct map from, struct convolution c);

/* Each pixel becomes factor x factor pixels: x [.., factor^2 * c], columns in order (y, x, channel) -> [.. * factor^2,
 * c].  After op_linear with weight [factor^2 * out, in] this is a transposed convolution whose kernel is its stride. */
struct tensor *op_spread(struct tape *t, struct tensor *x, struct map from, int64_t factor);

/* No padding; pixels that fill no whole step are left out.  Kernel 1 takes every `stride`th pixel. */
struct tensor *op_max_pool(struct tape *t, struct tensor *x, struct map from, int64_t kernel, int64_t stride);

/* Bilinear without antialiasing: PyTorch's interpolate. */
struct tensor *op_resize(struct tape *t, struct tensor *x, struct map from, struct extent to, bool align_corners);

/* Group norm over a picture's pixels and cols / groups neighbouring channels, eps 1e-5; scale, shift [1, cols]. */
struct tensor *op_group_norm(struct tape *t, struct tensor *x, struct map from, int64_t groups, struct tensor *scale,
                             struct tensor *shift);

/* x * scale + shift, column by column; scale, shift [1, cols]: a batch norm whose statistics are fixed. */
struct tensor *op_affine(struct tape *t, struct tensor *x, struct tensor *scale, struct tensor *shift);

struct tensor *op_relu(struct tape *t, struct tensor *x);
struct tensor *op_gelu(struct tape *t, struct tensor *x); /* exact, erf */

#endif
