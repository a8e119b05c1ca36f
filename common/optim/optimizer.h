/* AdamW and LAMB over the flat parameter store, their state sharded over ranks (ZeRO-1).
 *
 * LAMB (You et al. 2020; details as timm's optim/lamb.py, which PE's paper leaves open): gradients are clipped by their global
 * norm; u = m^ / (sqrt(v^) + eps) + decay p; p -= lr * |p| / |u| * u per tensor, the ratio 1 where a norm is 0 or no decay applies.
 * Decay applies to matrices only: not to vectors (norms, biases, class token) nor the logit scale.
 *
 * Rank r owns floats [r * total / size, (r + 1) * total / size), a whole number of blocks.  Norms are summed from blocks of 4096 in one
 * fixed order, so the update is bit-identical for any number of ranks, sharded or not. */
#ifndef OPTIM_OPTIMIZER_H
#define OPTIM_OPTIMIZER_H

#include "backend/device.h"
#include "dist/world.h"
#include "tensor/parameters.h"

enum optimizer_kind { OPTIMIZER_ADAMW, OPTIMIZER_LAMB };

struct optimizer {
    enum optimizer_kind kind;
    double beta1, beta2, eps, decay, clip; /* clip 0: none */
    bool sharded;
    struct device *device;
    const struct world *world;
    struct parameters *parameters;
    int64_t first, end;   /* the floats this rank updates */
    float *m, *v;         /* [end - first] */
    double *sums, *other; /* [total / SQUARE_BLOCK] sums of squares by block */
};

/* Zeroed moments; kind, betas, eps, decay, clip and sharded are set by the caller before. */
void optimizer_open(struct optimizer *o, struct device *device, const struct world *world, struct parameters *parameters);
void optimizer_close(struct optimizer *o);

/* (all) gradients [total]: this rank's sum; consumed.  step counts from 1.  Returns the global gradient norm before clipping; when it
 * is not finite nothing is changed. */
double optimizer_step(struct optimizer *o, float *gradients, double rate, int64_t step);

#endif
