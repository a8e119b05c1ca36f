/* The kinds of depth heads. */
#ifndef EVALUATOR_HEADS_DEPTH_H
#define EVALUATOR_HEADS_DEPTH_H

#include "evaluator/heads/dense_head.h"

/* A kind's own options begin with these. */
struct depth_settings {
    struct dense_settings dense;
    bool class_token;      /* each cell has it beside it, where the encoder has one */
    int64_t bins, warming; /* steps whose loss is that of the mean alone */
    int64_t channels;      /* DPT */
};

extern const struct head_kind head_depth_linear, head_depth_dpt;

static inline const struct depth_settings *depth_of(const struct heads *h)
{
    return heads_own(h);
}

enum feature depth_feature(const struct heads *h);
/* SigLoss of depth [map, 1] against the lesson's targets. */
struct tensor *depth_head_loss(const struct heads *h, struct tape *t, struct tensor *depth, struct map from,
                               const struct lesson *lesson);

#endif
