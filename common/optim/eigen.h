/* The leading eigenvectors of a symmetric matrix without negative eigenvalues: what principal components are made of.
 */
#ifndef OPTIM_EIGEN_H
#define OPTIM_EIGEN_H

#include <stdbool.h>
#include <stdint.h>

/* a [n, n] -> values [count] descending, vectors [count, n] of unit length, zero where a has no more eigenvalues above
 * 0; their signs are whatever comes.  Subspace iteration with Rayleigh-Ritz steps in double, from a fixed start, until
 * |a v - value v| <= tolerance x the first value; false: it was not reached.  The bits do not depend on `threads`. */
bool eigen_leading(double *values, double *vectors, const double *a, int64_t n, int64_t count, double tolerance,
                   int threads);

#endif
