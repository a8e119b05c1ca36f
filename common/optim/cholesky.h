/* Cholesky's factor of a symmetric matrix, inverted: what turns a quadratic form into a sum of squares. */
#ifndef OPTIM_CHOLESKY_H
#define OPTIM_CHOLESKY_H

#include <stdint.h>

/* out [n, n], lower triangular, such that a^-1 = out^T out; a [n, n] positive definite, of which the lower half is
 * read and overwritten.  About 2/3 n^3 operations over `threads` threads; the bits do not depend on how many.  -1: a is
 * not positive definite, as far as double can tell. */
int cholesky_inverse(double *out, double *a, int64_t n, int threads);

#endif
