/* Losses of a detector that predicts at every cell of several maps (FCOS: Tian et al. 2019; torchvision's): each adds
 * what a map costs to what came before,
 *
 *   y [pictures, 1] = before + weight * sum over the rows of each picture        float; before NULL: 0
 *
 * so that a chain of them over losses and maps ends in one number a picture.  x holds the rows of one picture after the
 * other, as many of each.  What the sums are divided by is the caller's `weight`.  Targets lie in device memory. */
#ifndef OPS_DETECTION_H
#define OPS_DETECTION_H

#include "autograd/tape.h"

/* Focal loss of logits x [n, classes] (alpha .25, gamma 2; Lin et al. 2017), each class a question of its own.
 * targets [n]: the class there, -1: none. */
struct tensor *op_focal(struct tape *t, struct tensor *before, struct tensor *x, const int32_t *targets,
                        int64_t pictures, float weight);

/* 1 - GIoU (Rezatofighi et al. 2019) of boxes side * x, x [n, 4], and truths [n, 4], both as distances from the cell to
 * the left, upper, right and lower edge; where targets [n] is -1 there is no box. */
struct tensor *op_giou(struct tape *t, struct tensor *before, struct tensor *x, const float *truths,
                       const int32_t *targets, int64_t pictures, float side, float weight);

/* Binary cross entropy of logits x [n, 1] and targets [n], 0 to 1; below 0: none. */
struct tensor *op_binary(struct tape *t, struct tensor *before, struct tensor *x, const float *targets,
                         int64_t pictures, float weight);

#endif
