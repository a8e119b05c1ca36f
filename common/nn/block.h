/* The pre-norm transformer block of both towers (reference: perception_models core/vision_encoder/pe.py):
 *
 *   x += drop(ls_1 out_proj(attention(in_proj(ln_1 x))))      q and k rotated when a table is given
 *   x += drop(ls_2 c_proj(gelu(c_fc(ln_2 x))))
 *
 * ls, LayerScale, only where registered; drop, DropPath, only where asked for. */
#ifndef NN_BLOCK_H
#define NN_BLOCK_H

#include "ops/ops.h"
#include "tensor/parameters.h"

struct block {
    int64_t width, heads;
    struct tensor *ln_1_weight, *ln_1_bias, *in_weight, *in_bias, *out_weight, *out_bias;
    struct tensor *ln_2_weight, *ln_2_bias, *fc_weight, *fc_bias, *proj_weight, *proj_bias;
    struct tensor *ls_1, *ls_2; /* or NULL */
};

/* Register the parameters under "prefix.ln_1.weight" ... in PE's order. */
void block_register(struct block *block, struct parameters *p, const char *prefix, int64_t width, int64_t heads,
                    int64_t mlp, bool layer_scale);

/* x [n, width] -> [n, width], one segment of the tape; x is consumed when not recording.  keep [2, sequences] on the
 * device: op_branch's for both branches, of sequences of one length; NULL: nothing is dropped. */
struct tensor *block_forward(struct tape *t, const struct block *block, struct tensor *x, struct sequences s,
                             bool causal, const struct rotary_table *rope, const float *keep);

/* Multiply-adds of one forward pass over n rows whose sequences have `squares` = sum of squared lengths. */
double block_macs(const struct block *block, double n, double squares);

/* The layer norm, linear, and MLP pieces that others register too. */
void register_pair(struct parameters *p, const char *prefix, const char *name, int64_t out, int64_t in,
                   struct tensor **weight, struct tensor **bias); /* in 0: a norm of width out */

#endif
