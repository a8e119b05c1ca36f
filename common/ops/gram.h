/* What tokens of a picture say of each other: the matrix of their cosines, held against a teacher's (PE section 5). */
#ifndef OPS_GRAM_H
#define OPS_GRAM_H

#include "autograd/tape.h"

/* [pictures, 1], float: the mean over all pairs (i, j) of a picture's rows of
 *
 *   (cos(z_i, z_j) - exp(sharpness (cos(t_i, t_j) - 1)))^2
 *
 * z [pictures * n, width]; teacher [pictures * n, columns], to which no gradient flows.  The matrices exist in tiles,
 * one triangle of them, as both are symmetric.  The gradient by z is made in the forward pass, while they are there,
 * and kept like z until the backward pass multiplies it. */
struct tensor *op_gram_loss(struct tape *t, struct tensor *z, struct tensor *teacher, int64_t pictures,
                            float sharpness);

#endif
