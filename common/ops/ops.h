/* The ops: what models are written in.  Each computes at once and records itself on the tape (autograd/tape.h).
 *
 * Tensors are matrices; shapes below are [rows, cols].  A wrong shape is our own bug and fails a check that names the
 * op. Optional tensors may be NULL.  Arrays (starts, ids, pixels, tables) lie in device memory and are borrowed until
 * the backward pass is over. */
#ifndef OPS_OPS_H
#define OPS_OPS_H

#include "autograd/tape.h"

/* y [n, out] = in(x) w^T + bias + residual,  x [n, in], w [out, in], bias [1, out], residual [n, out].
 * in(x) is x, GELU(x) (exact, erf), or layer norm of x with scale, shift [1, in] and eps 1e-5. */
struct linear {
    struct tensor *weight, *bias, *residual;
    struct tensor *norm_scale, *norm_shift; /* both or none */
    bool gelu_input;                        /* x was made by an op_linear with gelu_output */
    bool gelu_output;                       /* the result goes into an op_linear with gelu_input, and nowhere else */
};
struct tensor *op_linear(struct tape *t, struct tensor *x, struct linear linear);

/* y [n, out] = x w,  x [n, in], w [in, out]: CLIP's projections are stored this way round. */
struct tensor *op_project(struct tape *t, struct tensor *x, struct tensor *w);

/* Layer norm over columns, eps 1e-5; or another. */
struct tensor *op_norm(struct tape *t, struct tensor *x, struct tensor *scale, struct tensor *shift);
struct tensor *op_norm_eps(struct tape *t, struct tensor *x, struct tensor *scale, struct tensor *shift, float eps);

/* Root-mean-square norm over columns: y = x / sqrt(mean(x^2) + eps) * scale. */
struct tensor *op_rms(struct tape *t, struct tensor *x, struct tensor *scale, float eps);

/* SwiGLU: x [n, 2 w] = a | b -> silu(a) b [n, w]. */
struct tensor *op_gate(struct tape *t, struct tensor *x);

/* Cross entropy [n, 1], float: -ln softmax(x weight^T + bias)[targets] of each row, x [n, width], weight [vocabulary,
 * width], bias [1, vocabulary] or NULL. */
struct tensor *op_loss(struct tape *t, struct tensor *x, struct tensor *weight, struct tensor *bias,
                       const int32_t *targets);

/* x weight^T + bias [n, vocabulary], float; inference only. */
struct tensor *op_logits(struct tape *t, struct tensor *x, struct tensor *weight, struct tensor *bias);

/* (x - mean) * scale, column by column; mean, scale [1, cols].  No gradient flows: for features that stay as they are.
 * */
struct tensor *op_standardize(struct tape *t, struct tensor *x, struct tensor *mean, struct tensor *scale);

/* Attention over packed sequences (backend/kernels.h).  Self-attention: qkv [n, 3 width] and kv NULL, q_start =
 * k_start. Cross-attention: q [nq, width], kv [nk, 2 width].  Result [n or nq, width]. */
struct sequences {
    int64_t count;
    const int32_t *q_start, *k_start; /* [count + 1] */
    int64_t q_longest, k_longest;     /* rows of the longest sequence */
    bool uniform;                     /* all are that long */
};
struct tensor *op_attention(struct tape *t, struct tensor *q_or_qkv, struct tensor *kv, int64_t heads,
                            struct sequences s, bool causal);
/* The same with k and v [nk, width] made from different inputs. */
struct tensor *op_attention_apart(struct tape *t, struct tensor *q, struct tensor *k, struct tensor *v, int64_t heads,
                                  struct sequences s);

/* Causal self-attention with fewer heads of k and v than of q (GQA): qkv [n, (heads + 2 kv_heads) head_dim] = q | k | v
 * -> [n, heads head_dim]. */
struct tensor *op_grouped_attention(struct tape *t, struct tensor *qkv, int64_t heads, int64_t kv_heads,
                                    struct sequences s);

/* The same for rows that go on where their sequences are: keys and values are put into a cache of pages
 * (backend/kernels.h), then attended to. Inference only. */
struct cache_layer {
    void *keys, *values; /* [pages, page_rows, kv_heads * head_dim] real */
    int64_t page_rows;
};
struct cache_rows {
    const int32_t *slots;                /* [n] page * page_rows + row within it, where a row's key goes */
    const int32_t *sequence_of, *places; /* [n] */
    const int32_t *tables;               /* [sequences, table_pages] */
    int64_t table_pages, longest;
};
struct tensor *op_cached_attention(struct tape *t, struct tensor *qkv, int64_t heads, int64_t kv_heads,
                                   struct cache_layer layer, struct cache_rows rows);

/* Rotate the q and k thirds of qkv [n, 3 width] in place; row r is at place r % tokens of cosine, sine [tokens,
 * width/heads/2]. */
struct rotary_table {
    int64_t tokens;
    float *cosine, *sine;
};
struct tensor *op_rotary(struct tape *t, struct tensor *qkv, int64_t heads, const struct rotary_table *table);

/* The same for the q and k heads of grouped attention; row r is at places[r]. */
struct tensor *op_rotary_places(struct tape *t, struct tensor *qkv, int64_t heads, int64_t kv_heads,
                                const struct rotary_table *table, const int32_t *places);

/* [images * (height/patch) (width/patch), 3 patch^2] from pixels uint8 [images, height, width, 3], scaled to [-1, 1].
 */
struct tensor *op_patches(struct tape *t, const uint8_t *pixels, int64_t images, struct extent size, int64_t patch);

/* Put the class token (optional) before each image's patches and add positions; hidden [patch rows]: 1 = treat as zero.
 * positions [area of from (+1), w] of a grid `from` is resampled (bilinear; the class row copied) to `to`, the grid of
 * the patches. */
struct tensor *op_tokens(struct tape *t, struct tensor *patches, struct tensor *class_token, struct tensor *positions,
                         struct extent from, struct extent to, const uint8_t *hidden, int64_t images);

/* table[ids] + positions[places], both [n] and in range (positions NULL: the first alone; id -1: zeros); order [n]: the
 * rows sorted by id, equal ids in order of rows. */
struct tensor *op_embed(struct tape *t, struct tensor *table, struct tensor *positions, const int32_t *ids,
                        const int32_t *places, const int32_t *order, int64_t n);

/* y = x + keep * gamma * branch: LayerScale gamma [1, cols] (or NULL); DropPath keep [sequences] (or NULL), 0 or 1 /
 * keep probability for each of the sequences equal runs of rows. */
struct tensor *op_branch(struct tape *t, struct tensor *x, struct tensor *branch, struct tensor *gamma,
                         const float *keep, int64_t sequences);

struct tensor *op_gather(struct tape *t, struct tensor *x, const int32_t *index,
                         int64_t n); /* rows x[index], none twice */
/* Rows x[index[2 r]] | x[index[2 r + 1]] beside each other: [n, 2 cols]; inference only. */
struct tensor *op_beside(struct tape *t, struct tensor *x, const int32_t *index, int64_t n);
/* x with rows[i] in place of its row index[i], none twice.  In place: x is not to be used again. */
struct tensor *op_put(struct tape *t, struct tensor *x, struct tensor *rows, const int32_t *index);
/* Means of rows starts[g] .. starts[g + 1], starts [groups + 1]. */
struct tensor *op_mean(struct tape *t, struct tensor *x, const int32_t *starts, int64_t groups);
/* Grids of rows averaged in cells: x [images grid^2, w] -> [images (grid / factor)^2, w]. */
struct tensor *op_pool(struct tape *t, struct tensor *x, int64_t images, int64_t grid, int64_t factor);
struct tensor *op_repeat(struct tape *t, struct tensor *x, int64_t n); /* the row x [1, w], n times */
struct tensor *op_normalize(struct tape *t, struct tensor *x);         /* rows of length 1, as float */

/* [n, 1], float: cosine of each row of x with the same row of target; no gradient flows to target. */
struct tensor *op_cosine(struct tape *t, struct tensor *x, struct tensor *target);

#endif
