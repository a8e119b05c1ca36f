/* The transformer block: five fused ops. */
#include "nn/block.h"

#include <stdio.h>

void register_pair(struct parameters *p, const char *prefix, const char *name, int64_t out, int64_t in,
                   struct tensor **weight, struct tensor **bias)
{
    char full[256];
    /* packed projections are called in_proj_weight, all others NAME.weight */
    const char *joint = name[__builtin_strlen(name) - 1] == '_' ? "" : ".", *dot = *prefix ? "." : "";
    snprintf(full, sizeof full, "%s%s%s%sweight", prefix, dot, name, joint);
    *weight = parameters_add(p, full, in ? 2 : 1, (int64_t[]){out, in});
    snprintf(full, sizeof full, "%s%s%s%sbias", prefix, dot, name, joint);
    *bias = parameters_add(p, full, 1, &out);
}

void block_register(struct block *b, struct parameters *p, const char *prefix, int64_t width, int64_t heads,
                    int64_t mlp, bool layer_scale)
{
    *b = (struct block){.width = width, .heads = heads};
    register_pair(p, prefix, "attn.in_proj_", 3 * width, width, &b->in_weight, &b->in_bias);
    register_pair(p, prefix, "attn.out_proj", width, width, &b->out_weight, &b->out_bias);
    register_pair(p, prefix, "ln_1", width, 0, &b->ln_1_weight, &b->ln_1_bias);
    register_pair(p, prefix, "ln_2", width, 0, &b->ln_2_weight, &b->ln_2_bias);
    register_pair(p, prefix, "mlp.c_fc", mlp, width, &b->fc_weight, &b->fc_bias);
    register_pair(p, prefix, "mlp.c_proj", width, mlp, &b->proj_weight, &b->proj_bias);
    if (!layer_scale) return;
    char name[256];
    snprintf(name, sizeof name, "%s.ls_1.gamma", prefix);
    b->ls_1 = parameters_add(p, name, 1, &width);
    snprintf(name, sizeof name, "%s.ls_2.gamma", prefix);
    b->ls_2 = parameters_add(p, name, 1, &width);
}

/* x + branch, the branch being linear's result. */
static struct tensor *add_branch(struct tape *t, struct tensor *x, struct tensor *in, struct linear linear,
                                 struct tensor *gamma, const float *keep, int64_t sequences)
{
    if (gamma || keep) return op_branch(t, x, op_linear(t, in, linear), gamma, keep, sequences);
    linear.residual = x;
    return op_linear(t, in, linear);
}

struct tensor *block_forward(struct tape *t, const struct block *b, struct tensor *x, struct sequences s, bool causal,
                             const struct rotary_table *rope, const float *keep)
{
    tape_open_segment(t);
    struct tensor *qkv = op_linear(
        t, x,
        (struct linear){
            .weight = b->in_weight, .bias = b->in_bias, .norm_scale = b->ln_1_weight, .norm_shift = b->ln_1_bias});
    if (rope) qkv = op_rotary(t, qkv, b->heads, rope);
    struct tensor *heads = op_attention(t, qkv, NULL, b->heads, s, causal);
    struct tensor *mixed =
        add_branch(t, x, heads, (struct linear){.weight = b->out_weight, .bias = b->out_bias}, b->ls_1, keep, s.count);
    struct tensor *hidden = op_linear(t, mixed,
                                      (struct linear){.weight = b->fc_weight,
                                                      .bias = b->fc_bias,
                                                      .norm_scale = b->ln_2_weight,
                                                      .norm_shift = b->ln_2_bias,
                                                      .gelu_output = true});
    struct linear proj = {.weight = b->proj_weight, .bias = b->proj_bias, .gelu_input = true};
    struct tensor *y = add_branch(t, mixed, hidden, proj, b->ls_2, keep ? keep + s.count : NULL, s.count);
    return tape_close_segment(t, x, y);
}

double block_macs(const struct block *b, double n, double squares)
{
    double width = (double)b->width, mlp = (double)b->fc_weight->rows;
    return n * (4 * width * width + 2 * width * mlp) + 2 * squares * width;
}
