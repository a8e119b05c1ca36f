/* AdamW, LAMB and SGD over the flat parameter store, their state sharded over ranks (ZeRO-1).
 *
 * LAMB (You et al. 2020; details as timm's optim/lamb.py, which PE's paper leaves open): gradients are clipped by their
 * global norm; u = m^ / (sqrt(v^) + eps) + decay p; p -= lr * |p| / |u| * u per tensor, the ratio 1 where a norm is 0
 * or no decay applies. Decay applies to matrices only: not to vectors (norms, biases, class token) nor the logit scale.
 *
 * SGD (as PyTorch's, without dampening): m = beta1 m + g + decay p; p -= lr m.  A parameter's own rate is a factor of
 * lr.
 *
 * Rank r owns its share (dist/share.h) of the blocks of SQUARE_BLOCK floats.  Norms are summed from blocks of 4096 in
 * one fixed order, so the update is bit-identical for any number of ranks, sharded or not.  All tensors are updated at
 * once, and nothing waits for the device: norms and the clipping factor stay on it. */
#ifndef OPTIM_OPTIMIZER_H
#define OPTIM_OPTIMIZER_H

#include "dist/comm.h"
#include "tensor/parameters.h"

enum optimizer_kind { OPTIMIZER_ADAMW, OPTIMIZER_LAMB, OPTIMIZER_SGD };

struct optimizer {
    enum optimizer_kind kind;
    double beta1, beta2, eps, decay, clip_norm; /* clip_norm 0: never */
    bool sharded;
    struct comm *comm;
    struct parameters *parameters;
    int64_t first, end; /* the floats this rank updates */
    /* on the device: */
    float *m, *v;                  /* [end - first]; SGD leaves v zero */
    double *blocks, *other_blocks; /* [total / SQUARE_BLOCK] sums of squares */
    double *sums, *other_sums;     /* [parameters] */
    int32_t *first_block;          /* [parameters + 1] */
    int32_t *owner;                /* [total / SQUARE_BLOCK] parameter of each block, -1: none, or frozen */
    float *decays, *rates;         /* [parameters] */
    double *norm;                  /* [1] of the last step's gradient, before clipping */
    float *factor; /* [1] what the last step's gradient was multiplied with; 0: not finite, nothing was changed */
};

/* Zeroed moments; kind, betas, eps, decay, clip_norm and sharded are set by the caller before, and frozen parameters
 * need no gradient. */
void optimizer_open(struct optimizer *o, struct comm *comm, struct parameters *parameters);
void optimizer_close(struct optimizer *o);

/* (all) gradients: the sums over this rank's slices, [total] each, or, when reduced, that of all ranks in this rank's
 * part of the first; consumed.  step counts from 1.  Leaves norm and factor. */
void optimizer_step(struct optimizer *o, const struct tree *gradients, bool reduced, double rate, int64_t step);

#endif
