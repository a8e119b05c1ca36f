/* Features of a picture as colours: what is alike to the encoder has one colour (paper, B.3.2).
 *
 *   y = x / 2 + gauss(x) / 2      3 x 3 cells, sigma 1, the grid mirrored at its edges
 *   c = the first three principal components of y over the grid's cells, each divided by its deviation
 *   L = 60 + 17 c1,  C = 35 |(c2, c3)|, at most 75,  h = angle of (c2, c3)      in CIELAB's LCh, then sRGB
 *
 * c is cut off at +-2.  The sign of a component is the one that makes the sum of its cubes positive.  The ranges of L
 * and C are ours, the paper gives none. */
#ifndef EVALUATOR_PRINCIPAL_H
#define EVALUATOR_PRINCIPAL_H

#include "base/extent.h"
#include "data/image.h"

enum { PRINCIPAL = 3 };

/* The components before they are divided: scores [PRINCIPAL, rows] of x [rows, width] around its mean, in double.
 * Returns the share of the variance that they hold, 0 where there is none; the bits do not depend on `threads`. */
double principal_scores(const double *x, int64_t rows, int64_t width, double *scores, int threads);
/* features [grid, width], all finite -> a pixel a cell; image_free.  Returns the share. */
double principal_colours(const float *features, struct extent grid, int64_t width, struct image *out, int threads);

#endif
