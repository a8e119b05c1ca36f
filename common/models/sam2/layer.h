/* Weight and bias of a linear layer or of a norm, side by side. */
#ifndef MODELS_SAM2_LAYER_H
#define MODELS_SAM2_LAYER_H

#include "nn/block.h"

/* Named prefix.name.weight and .bias; in 0: a norm of width out. */
static inline void layer_register(struct parameters *p, struct tensor *pair[2], const char *prefix, const char *name,
                                  int64_t out, int64_t in)
{
    register_pair(p, prefix, name, out, in, &pair[0], &pair[1]);
}

static inline struct tensor *layer_forward(struct tape *t, struct tensor *x, struct tensor *const pair[2],
                                           struct tensor *residual)
{
    return op_linear(t, x, (struct linear){.weight = pair[0], .bias = pair[1], .residual = residual});
}

#endif
