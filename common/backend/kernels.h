/* The table of kernels: everything a device must be able to compute.
 *
 * The CPU table (cpu/table.c) is complete, plain C, and the oracle for any other; ops call through the table and never
 * ask which device they are on.  All matrices are row-major float32 of shape [rows, cols] without gaps unless a leading
 * dimension (ld, in elements) is given.  Outputs come first.  Where `accumulate` is a parameter, false means overwrite.
 * Kernels do not fail: shapes are checked by the ops.  Results never depend on the number of threads. */
#ifndef BACKEND_KERNELS_H
#define BACKEND_KERNELS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct device;

/* What happens to the input of a linear layer on its way in; done while packing, so it is never stored. */
enum linear_input { LINEAR_PLAIN, LINEAR_GELU, LINEAR_NORM };
struct linear_prepare {
    enum linear_input kind;
    const float *mean, *rstd;   /* [rows], LINEAR_NORM */
    const float *scale, *shift; /* [in],   LINEAR_NORM */
};

/* Scaled dot-product attention over packed sequences.  Sequence s owns rows q_start[s] .. q_start[s + 1] of q and o and
 * rows k_start[s] .. k_start[s + 1] of k and v.  Heads are contiguous slices of head_dim columns.
 *   P = softmax(q k^T / sqrt(head_dim))  (causal: key j only for j <= i),   o = P v
 * lse [q rows, heads] holds log sum exp of the scaled scores for the backward pass; NULL when only inferring. */
struct attention {
    int64_t sequences, heads, head_dim;
    const int32_t *q_start, *k_start; /* [sequences + 1] each, host memory */
    bool causal;
    const float *q, *k, *v;
    int64_t ld_q, ld_kv;
    float *o, *lse; /* o [q rows, heads * head_dim] */
    /* backward only: d_o like o; d_q, d_k, d_v like q, k, v with the same leading dimensions, overwritten */
    const float *d_o;
    float *d_q, *d_k, *d_v;
};

struct adam_step {
    float lr, beta1, beta2, eps, decay;
    float correct1, correct2; /* 1 - beta^step */
    float clip;               /* gradients are multiplied by this first */
};

struct kernels {
    const char *name; /* "cpu/x86-64-v4" ... */

    size_t (*scratch_floats)(void); /* packing space a thread needs */

    /* y = in(x) w^T + b + residual.  x [rows, in], w [out, in], b [out] or NULL, residual [rows, out] or NULL (may be y). */
    void (*linear_forward)(struct device *d, float *y, const float *x, const float *w, const float *b, const float *residual,
                           int64_t rows, int64_t in, int64_t out, struct linear_prepare prepare);
    /* dx (+)= dy w;  with gate [rows, in]: dx = (dy w) * GELU'(gate), then accumulate must be false. */
    void (*linear_backward_input)(struct device *d, float *dx, const float *dy, const float *w, const float *gate, int64_t rows,
                                  int64_t in, int64_t out, bool accumulate);
    /* dw (+)= dy^T in(x), db (+)= column sums of dy (db may be NULL). */
    void (*linear_backward_weight)(struct device *d, float *dw, float *db, const float *dy, const float *x, int64_t rows, int64_t in,
                                   int64_t out, struct linear_prepare prepare, bool accumulate_w, bool accumulate_b);
    /* c (+)= a b with a [m, k] (or [k, m] when a_rows_k), b [k, n] when b_rows_k, else [n, k]. */
    void (*matmul)(struct device *d, float *c, int64_t ld_c, const float *a, int64_t ld_a, bool a_rows_k, const float *b, int64_t ld_b,
                   bool b_rows_k, int64_t m, int64_t n, int64_t k, bool accumulate);

    /* Layer norm: y = (x - mean) * rstd * scale + shift,  rstd = 1 / sqrt(variance + eps).  mean, rstd [rows]. */
    void (*norm_stats)(struct device *d, float *mean, float *rstd, const float *x, int64_t rows, int64_t cols, float eps);
    void (*norm_forward)(struct device *d, float *y, const float *mean, const float *rstd, const float *x, const float *scale,
                         const float *shift, int64_t rows, int64_t cols);
    /* dx (+)=, d_scale (+)=, d_shift (+)=; dx may be dy (then accumulate_x is false).  Any output may be NULL. */
    void (*norm_backward)(struct device *d, float *dx, float *d_scale, float *d_shift, const float *dy, const float *x,
                          const float *mean, const float *rstd, const float *scale, int64_t rows, int64_t cols, bool accumulate_x,
                          bool accumulate_scale, bool accumulate_shift);

    void (*attention_forward)(struct device *d, const struct attention *a);
    void (*attention_backward)(struct device *d, const struct attention *a);

    /* Rotate pairs (2i, 2i+1) of each head of x [rows, heads * head_dim] (leading dimension ld) in place:
     *   (a, b) -> (a cos - b sin, b cos + a sin);  inverse negates the sine.
     * Row r uses row r % tokens of cosine, sine [tokens, head_dim / 2]. */
    void (*rotary)(struct device *d, float *x, int64_t ld, int64_t rows, int64_t heads, int64_t head_dim, const float *cosine,
                   const float *sine, int64_t tokens, bool inverse);

    /* out [images * (size/patch)^2, 3 * patch^2], columns in order (channel, y, x), of pixels / 127.5 - 1;
     * pixels [images, size, size, 3] uint8. */
    void (*patches)(struct device *d, float *out, const uint8_t *pixels, int64_t images, int64_t size, int64_t patch);

    /* out row (n, 0) = class_token + positions[0], row (n, t + 1) = patch (n, t) + positions[t + 1]; without class_token rows
     * are (n, t).  hidden [images * patches] or NULL: where it is 1 the patch counts as zero. */
    void (*tokens_forward)(struct device *d, float *out, const float *patches, const float *class_token, const float *positions,
                           const uint8_t *hidden, int64_t images, int64_t count, int64_t width);
    void (*tokens_backward)(struct device *d, float *d_patches, float *d_class, float *d_positions, const float *dy,
                            const uint8_t *hidden, int64_t images, int64_t count, int64_t width, bool accumulate_class,
                            bool accumulate_positions);

    /* Bilinear resampling (half-pixel centres, edges clamped) of a grid of rows: out [to * to, width] from x [from * from, width]. */
    void (*grid_resize)(struct device *d, float *out, const float *x, int64_t to, int64_t from, int64_t width);
    void (*grid_resize_backward)(struct device *d, float *dx, const float *dy, int64_t to, int64_t from, int64_t width, bool accumulate);

    /* out[r] = table[ids[r]] + positions[places[r]]; backward adds into both (zeroing them first unless accumulating). */
    void (*embed_forward)(struct device *d, float *out, const float *table, const float *positions, const int32_t *ids,
                          const int32_t *places, int64_t rows, int64_t width);
    void (*embed_backward)(struct device *d, float *d_table, float *d_positions, const float *dy, const int32_t *ids,
                           const int32_t *places, int64_t rows, int64_t width);

    void (*gather_rows)(struct device *d, float *out, const float *x, const int32_t *index, int64_t rows, int64_t width);
    void (*scatter_rows_add)(struct device *d, float *x, const float *y, const int32_t *index, int64_t rows, int64_t width);
    /* out[r] = x[0] for all rows; backward sums rows in order. */
    void (*repeat_row)(struct device *d, float *out, const float *x, int64_t rows, int64_t width);
    void (*sum_rows)(struct device *d, float *out, const float *x, int64_t rows, int64_t width, bool accumulate);

    /* y = x / max(|x|, 1e-12), norm [rows] = |x| kept for backward. */
    void (*normalize_forward)(struct device *d, float *y, float *norm, const float *x, int64_t rows, int64_t cols);
    void (*normalize_backward)(struct device *d, float *dx, const float *dy, const float *y, const float *norm, int64_t rows,
                               int64_t cols, bool accumulate);
    /* cosine [rows] of x and y row by row; dx (+)= d cosine / dx * weight, y held fixed. */
    void (*cosine_forward)(struct device *d, float *cosine, const float *x, const float *y, int64_t rows, int64_t cols);
    void (*cosine_backward)(struct device *d, float *dx, const float *x, const float *y, const float *weight, int64_t rows,
                            int64_t cols, bool accumulate);

    void (*add)(struct device *d, float *y, const float *x, int64_t count); /* y += x */
    void (*fill)(struct device *d, float *y, float value, int64_t count);

    /* Softmax statistics of a strip of logits l = scale * s, s [rows, cols] with leading dimension ld:
     *   row_max, row_sum [rows]: max and sum of exp(l - max) over the columns;  col_max, col_sum [cols] likewise over the rows. */
    void (*softmax_stats)(struct device *d, float *row_max, float *row_sum, float *col_max, float *col_sum, const float *s, int64_t ld,
                          int64_t rows, int64_t cols, float scale);
    /* s -> gradient of the symmetric InfoNCE by s, in place:  g = weight * (exp(l - row_lse) + exp(l - col_lse) - 2 [diagonal])
     * where the diagonal is at column r + diagonal (none when outside); times scale.  Returns sum over the strip of g * s (before
     * the scale), the gradient of the scale itself. */
    double (*contrastive_gradient)(struct device *d, float *s, int64_t ld, const float *row_lse, const float *col_lse, int64_t rows,
                                   int64_t cols, int64_t diagonal, float scale, float weight);

    /* Sum of squares in double, over blocks of 4096 elements: out [ceil(count / 4096)]. */
    void (*square_sums)(struct device *d, double *out, const float *x, int64_t count);
    /* Moments of Adam with bias correction;  update = m^ / (sqrt(v^) + eps) + decay * p.
     * adam_apply: p -= lr * update.  lamb_update: leaves `update` in g. */
    void (*adam_apply)(struct device *d, float *p, float *m, float *v, const float *g, int64_t count, struct adam_step step);
    void (*lamb_update)(struct device *d, float *g, float *m, float *v, const float *p, int64_t count, struct adam_step step);
    void (*lamb_apply)(struct device *d, float *p, const float *update, float rate, int64_t count); /* p -= rate * update */
};

enum { SQUARE_BLOCK = 4096 };

#endif
