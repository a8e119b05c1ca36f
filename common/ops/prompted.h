/* Ops of a decoder that asks one map many questions: each prompt has a few tokens, which read the map and write to it
 * (SAM's mask decoder; Kirillov et al. 2023).  There are far fewer tokens than rows, so projections of the map are
 * multiplied into the tokens' side and its rows are read as they are:
 *
 *   (W_k x) . q = x . (W_k^T q)        a bias of k adds the same to all rows of a softmax and is dropped
 *   sum_n p_n (W_v x_n + b) = W_v (sum_n p_n x_n) + b
 *
 * Tokens lie [prompts * tokens, width]; their heads apart [prompts * heads * tokens, width], the tokens of a head side
 * by side.  Maps lie [prompts * rows, width], or [rows, width]: one for all prompts.  Inference only. */
#ifndef OPS_PROMPTED_H
#define OPS_PROMPTED_H

#include "autograd/tape.h"

struct token_heads; /* backend/kernels.h: prompts, tokens, heads, head_dim */

/* A row for each head, which holds the columns of its head times `scale`, and zeros; and back: from each row the
 * columns of its head. */
struct tensor *op_heads_apart(struct tape *t, struct tensor *x, struct token_heads heads, float scale);
struct tensor *op_heads_together(struct tape *t, struct tensor *x, struct token_heads heads);

/* [prompts * heads * tokens, width]: means of the map's rows, weighted by the softmax over them of q . (x + places); q
 * of the same shape, scaled; places [rows, width]. */
struct tensor *op_map_to_tokens(struct tape *t, struct tensor *q, struct tensor *x, struct tensor *places,
                                struct token_heads heads);

/* norm(x + bias + sum of v weighted by the softmax over the tokens of each head of seen . k + k_bias): [prompts * rows,
 * width].  k [prompts * heads * tokens, width of seen], scaled, v [.., width], k_bias [.., 1] or NULL.  What is seen is
 * x + places, or, with one map for all, `seen` [rows, any].  A map for each prompt is overwritten. */
struct map_update {
    struct tensor *k, *k_bias, *v, *bias;
    struct tensor *places, *seen; /* one of them */
    struct tensor *scale, *shift; /* of the norm, eps 1e-5 */
};
struct tensor *op_tokens_to_map(struct tape *t, struct tensor *x, struct map_update update, struct token_heads heads);

/* Products of the rows of each prompt: x [prompts * rows, width], w [prompts * columns, width] -> [prompts * rows,
 * columns], float. */
struct tensor *op_prompt_products(struct tape *t, struct tensor *x, struct tensor *w, int64_t prompts);

#endif
