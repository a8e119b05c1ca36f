/* The table of kernels: everything a device must be able to compute, and the memory it computes in.
 *
 * The CPU table (cpu/table.c) is complete, plain C, and the oracle for any other; ops call through the table and never
 * ask which device they are on.  Arrays lie in memory of the device unless said to be host memory.  All matrices are
 * row-major of shape [rows, cols] without gaps unless a leading dimension (ld, in elements) is given.
 *
 * `real` is the type a table computes in: activations, their gradients and the weights as the products read them.  A
 * table is compiled for one type (float on the CPU; float or bfloat16 with CUDA); everyone else sees void.  What is
 * written as float or double is that type in every table: norm parameters, statistics, gradients of parameters, master
 * weights, features of unit length. Sums are taken in float or wider whatever `real` is.
 *
 * Outputs come first.  Where `accumulate` is a parameter, false means overwrite.  Kernels do not fail: shapes are
 * checked by the ops.  They may return before their work is done; what is called later sees the results.  CPU results
 * never depend on the number of threads. */
#ifndef BACKEND_KERNELS_H
#define BACKEND_KERNELS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/extent.h"

#ifndef BACKEND_REAL
typedef void real;
#else
typedef BACKEND_REAL real;
#endif

struct device;

/* How weights are kept beside activations in float: bfloat16, or whole numbers of 8 bits with a float for each 64 of a
 * row to multiply by. */
enum packing { PACKING_FP32, PACKING_BF16, PACKING_INT8 };

/* What happens to the input of a linear layer on its way in.  A CPU does it while packing; a table that `keeps_inputs`
 * stores the result: of the norm in `kept`, written by linear_forward; of GELU where the layer that made the input put
 * it. */
enum linear_input { LINEAR_PLAIN, LINEAR_GELU, LINEAR_NORM };
struct linear_prepare {
    enum linear_input kind;
    float *mean, *rstd;         /* [rows], LINEAR_NORM: written forward, read backward */
    const float *scale, *shift; /* [in],   LINEAR_NORM */
    real *kept;                 /* [rows, in], NULL unless the table keeps inputs */
};

/* Scaled dot-product attention over packed sequences.  Sequence s owns rows q_start[s] .. q_start[s + 1] of q and o and
 * rows k_start[s] .. k_start[s + 1] of k and v.  Heads are contiguous slices of head_dim columns.
 *   P = softmax(q k^T / sqrt(head_dim))  (causal: key j only for j <= i),   o = P v
 * lse [q rows, heads] holds log sum exp of the scaled scores for the backward pass; NULL when only inferring. */
struct attention {
    int64_t sequences, heads, kv_heads, head_dim; /* heads / kv_heads neighbouring heads of q share one of k and v */
    const int32_t *q_start, *k_start;             /* [sequences + 1] each */
    int64_t q_rows;                               /* of all sequences */
    int64_t q_longest, k_longest;                 /* rows of the longest sequence */
    bool uniform;                                 /* all sequences are that long */
    bool causal;
    const real *q, *k, *v;
    int64_t ld_q, ld_kv;
    real *o; /* [q rows, heads * head_dim] */
    float *lse;
    /* backward only: d_o like o; d_q, d_k, d_v like q, k, v with the same leading dimensions, overwritten */
    const real *d_o;
    real *d_q, *d_k, *d_v;
};

/* Attention of new rows to all that came before them in their sequences, whose keys and values lie in pages.  Row r is
 * at place places[r] of a sequence that has pages tables[sequence_of[r] * table_pages + ...]; its own key and value are
 * there already.  Inference only. A row's result does not depend on the other rows. */
struct cached_attention {
    int64_t rows, heads, kv_heads, head_dim;
    const real *q; /* [rows, ld] heads first */
    int64_t ld;
    const real *keys, *values;               /* [pages, page_rows, kv_heads * head_dim] */
    int64_t page_rows, table_pages, longest; /* longest: places[r] + 1 at most */
    const int32_t *tables, *sequence_of, *places;
    real *o; /* [rows, heads * head_dim] */
};

/* One update of a part of the flat parameter store (tensor/parameters.h), all tensors at once.  The store is cut into
 * blocks of SQUARE_BLOCK floats, none of which two parameters share; owner [count / SQUARE_BLOCK] is the parameter of
 * each, -1 where nothing is to be updated.  `factor` multiplies the gradients; 0 (the norm was not finite) leaves
 * everything as it is. */
struct update {
    float *p, *m, *v, *g; /* [count]; g: gradient, for LAMB then the direction */
    real *compute; /* [count] the weights as products read them, written along with p; NULL when that is p itself */
    int64_t count;
    const int32_t *owner;
    const float *decay;      /* of each parameter; 0: no decay, and no trust ratio */
    const float *rates;      /* of each parameter: factor of `rate` */
    const float *factor;     /* [1] */
    double *p_sums, *g_sums; /* LAMB: block sums of squares of p and of the direction, [count / SQUARE_BLOCK] */
    const double *weight_squares, *update_squares; /* LAMB: the same summed by parameter */
    float rate, beta1, beta2, eps;
    float correct1, correct2; /* 1 - beta^step */
};

/* Grids [pictures * area of from] that are seen at `to`: half-pixel centres, edges repeated. */
struct grid_view {
    int64_t pictures;
    struct extent from, to;
};

/* A convolution of maps: pictures of pixels, a row each, pixel by pixel, row by row.  Pixel (y, x) of `to` sees pixels
 * (stride y + i - padding, stride x + j - padding) of `from`, i, j < kernel; those outside are zero. */
struct convolve {
    int64_t pictures;
    struct extent from, to;
    int64_t in, out; /* channels */
    int64_t kernel, stride, padding;
};

/* Maps of one extent made from maps of another, channel by channel. */
struct map_change {
    int64_t pictures;
    struct extent from, to;
    int64_t width; /* channels of the result */
};

enum activation { ACTIVATION_RELU, ACTIVATION_GELU };

/* Rows of [prompts, tokens] with `heads` slices of head_dim columns. */
struct token_heads {
    int64_t prompts, tokens, heads, head_dim;
};

/* A map and the tokens of many prompts that attend to each other.  Projections of the map were multiplied into the
 * tokens' side, so that its rows are read as they are: x [rows, width] of each prompt, or one map for all (shared).
 * They are compared as x + places, places [rows, width], or as `seen` [rows, seen_width], one for all.  A column is a
 * head of a token: columns = heads * tokens, the tokens of a head side by side. */
struct prompted_map {
    int64_t prompts, rows, width, columns, tokens, seen_width;
    bool shared;
    const real *x, *places, *seen;
};

struct kernels {
    const char *name;  /* "cpu/x86-64-v4", "cuda/bf16" ... */
    size_t real_bytes; /* of one `real` */
    bool keeps_inputs; /* see struct linear_prepare */
    int strip_rows;    /* rows of logits that make a good strip of the contrastive loss */
    int slice_columns; /* texts it wants to meet at a time; 0: the slices as they are */

    size_t (*scratch_floats)(void); /* packing space a thread needs */

    /* --- memory --- */
    void *(*map)(struct device *d, size_t bytes); /* zeroed */
    void (*unmap)(struct device *d, void *block, size_t bytes);
    void *(*host_map)(struct device *d, size_t bytes); /* host memory that uploads read without waiting; zeroed */
    void (*host_unmap)(struct device *d, void *block, size_t bytes);
    /* Address space that gets memory behind it with `commit`, for arenas (base/memory.h); NULL where arenas do it
     * themselves. */
    void *(*reserve)(struct device *d, size_t bytes);
    void (*commit)(void *d, void *base, size_t from, size_t to);
    void (*release)(void *d, void *base, size_t bytes, size_t committed);
    /* Bytes of host memory -> device.  `from` must stay as it is until `wait`, or a fetch begun later has ended. */
    void (*upload)(struct device *d, void *to, const void *from, size_t bytes);
    void (*download)(struct device *d, void *to, const void *from,
                     size_t bytes); /* device -> host memory, done on return */
    void (*copy)(struct device *d, void *to, const void *from, size_t bytes);
    void (*wait)(struct device *d); /* until all that was called is done */

    /* A large host buffer on its way to the kernels beside their work.  stage: begin, returns where kernels will find
     * it (slots are numbered; the same slot of the same size is used again).  staged: kernels called from now on may
     * read it.  stage_done: those called so far were the last.  `host` must stay as it is until the slot is staged
     * again. */
    const void *(*stage)(struct device *d, int slot, const void *host, size_t bytes);
    void (*staged)(struct device *d, int slot);
    void (*stage_done)(struct device *d, int slot);
    /* Device -> host without waiting at once: what `from` holds after the kernels called so far. */
    void (*fetch_begin)(struct device *d, int slot, const void *from, size_t bytes);
    void (*fetch_end)(struct device *d, int slot, void *to);

    /* --- products --- */

    /* y = in(x) w^T + b + residual.  x [rows, in], w [out, in], b [out] or NULL, residual [rows, out] or NULL (may be
     * y). gelu [rows, out]: GELU(y) as well (then residual is NULL); NULL unless the table keeps inputs. */
    void (*linear_forward)(struct device *d, real *y, real *gelu, const real *x, const real *w, const real *b,
                           const real *residual, int64_t rows, int64_t in, int64_t out, struct linear_prepare prepare);
    /* dx (+)= dy w;  with gate [rows, in]: dx = (dy w) * GELU'(gate), then accumulate must be false. */
    void (*linear_backward_input)(struct device *d, real *dx, const real *dy, const real *w, const real *gate,
                                  int64_t rows, int64_t in, int64_t out, bool accumulate);
    /* dw (+)= dy^T in(x), db (+)= column sums of dy (db may be NULL). */
    void (*linear_backward_weight)(struct device *d, float *dw, float *db, const real *dy, const real *x, int64_t rows,
                                   int64_t in, int64_t out, struct linear_prepare prepare, bool accumulate_w,
                                   bool accumulate_b);
    /* c (+)= a b with a [m, k] (or [k, m] when a_rows_k), b [k, n] when b_rows_k, else [n, k].  c: float when wide,
     * else real. */
    void (*matmul)(struct device *d, void *c, bool wide, int64_t ld_c, const real *a, int64_t ld_a, bool a_rows_k,
                   const real *b, int64_t ld_b, bool b_rows_k, int64_t m, int64_t n, int64_t k, bool accumulate);

    /* Weights [out, in] in fewer bytes beside activations in float, for inference; NULL in a table that has nothing to
     * gain by it.  packed: packed_bytes of zeroed memory, filled by rows; in even but for PACKING_FP32;
     * y = x w^T + residual (NULL: none; not y); embed_packed as embed_forward without positions. */
    size_t (*packed_bytes)(enum packing kind, int64_t out, int64_t in);
    void (*pack_rows)(enum packing kind, void *packed, const float *rows, int64_t first, int64_t count, int64_t in);
    void (*linear_packed)(struct device *d, real *y, const real *x, enum packing kind, const void *packed,
                          const real *residual, int64_t rows, int64_t in, int64_t out);
    void (*embed_packed)(struct device *d, real *out, enum packing kind, const void *table, const int32_t *ids,
                         int64_t rows, int64_t width);

    /* --- rows --- */

    /* Layer norm: y = (x - mean) * rstd * scale + shift,  rstd = 1 / sqrt(variance + eps).  mean, rstd [rows] are
     * written. */
    void (*norm_forward)(struct device *d, real *y, float *mean, float *rstd, const real *x, const float *scale,
                         const float *shift, int64_t rows, int64_t cols, float eps);
    /* dx (+)=, d_scale (+)=, d_shift (+)=; dx may be dy (then accumulate_x is false).  Any output may be NULL. */
    void (*norm_backward)(struct device *d, real *dx, float *d_scale, float *d_shift, const real *dy, const real *x,
                          const float *mean, const float *rstd, const float *scale, int64_t rows, int64_t cols,
                          bool accumulate_x, bool accumulate_scale, bool accumulate_shift);

    /* Root-mean-square norm: y = x * rstd * scale,  rstd [rows] = 1 / sqrt(mean(x^2) + eps).  Backward as
     * norm_backward. */
    void (*rms_forward)(struct device *d, real *y, float *rstd, const real *x, const float *scale, int64_t rows,
                        int64_t cols, float eps);
    void (*rms_backward)(struct device *d, real *dx, float *d_scale, const real *dy, const real *x, const float *rstd,
                         const float *scale, int64_t rows, int64_t cols, bool accumulate_x, bool accumulate_scale);

    void (*attention_forward)(struct device *d, const struct attention *a);
    void (*attention_backward)(struct device *d, const struct attention *a);

    /* cache[slots[r]] = x[r] of width columns, x with leading dimension ld; and attention to it. */
    void (*cache_store)(struct device *d, real *cache, const real *x, int64_t ld, const int32_t *slots, int64_t rows,
                        int64_t width);
    void (*cached_attention)(struct device *d, const struct cached_attention *a);

    /* Rotate pairs (2i, 2i+1) of each head of x [rows, heads * head_dim] (leading dimension ld) in place:
     *   (a, b) -> (a cos - b sin, b cos + a sin);  inverse negates the sine.
     * Row r uses row places[r], or r % tokens where places is NULL, of cosine, sine [tokens, head_dim / 2]. */
    void (*rotary)(struct device *d, real *x, int64_t ld, int64_t rows, int64_t heads, int64_t head_dim,
                   const float *cosine, const float *sine, int64_t tokens, const int32_t *places, bool inverse);

    /* y = x + keep * gamma * branch: a residual branch with LayerScale gamma [cols] (or NULL) and DropPath keep
     * [sequences] (or NULL), one value for each of the rows / sequences consecutive rows.  y may be x.  Backward:
     * d_branch = keep * gamma * dy; d_gamma (+)= sum over rows of keep * branch * dy. */
    void (*branch_forward)(struct device *d, real *y, const real *x, const real *branch, const float *gamma,
                           const float *keep, int64_t rows, int64_t cols, int64_t sequences);
    void (*branch_backward)(struct device *d, real *d_branch, float *d_gamma, const real *dy, const real *branch,
                            const float *gamma, const float *keep, int64_t rows, int64_t cols, int64_t sequences,
                            bool accumulate_gamma);

    /* out [images * grid, 3 * patch^2], columns in order (channel, y, x), of pixels / 127.5 - 1;  pixels [images,
     * height, width, 3] uint8, cut into a grid of height/patch x width/patch. */
    void (*patches)(struct device *d, real *out, const uint8_t *pixels, int64_t images, struct extent size,
                    int64_t patch);

    /* out row (n, 0) = class_token + positions[0], row (n, t + 1) = patch (n, t) + positions[t + 1]; without
     * class_token rows are (n, t).  hidden [images * patches] or NULL: where it is 1 the patch counts as zero. 
     * Backward: d_patches may be NULL. */
    void (*tokens_forward)(struct device *d, real *out, const real *patches, const real *class_token,
                           const real *positions, const uint8_t *hidden, int64_t images, int64_t count, int64_t width);
    void (*tokens_backward)(struct device *d, real *d_patches, float *d_class, float *d_positions, const real *dy,
                            const uint8_t *hidden, int64_t images, int64_t count, int64_t width, bool accumulate_class,
                            bool accumulate_positions);

    /* Bilinear resampling (half-pixel centres, edges clamped) of a grid of rows, `first` rows before it copied:
     * out [first + area of to, width] from x [first + area of from, width]. */
    void (*grid_resize)(struct device *d, real *out, const real *x, int64_t first, struct extent to, struct extent from,
                        int64_t width);
    void (*grid_resize_backward)(struct device *d, float *dx, const float *dy, int64_t first, struct extent to,
                                 struct extent from, int64_t width, bool accumulate);

    /* out[r] = table[ids[r]] + positions[places[r]]; backward adds into both.  Without positions (NULL, as places) the
     * first term alone; an id of -1 stands for a row of zeros.  order [rows]: the rows sorted by id (stable), so that
     * one writer meets all rows of an id, in order. */
    void (*embed_forward)(struct device *d, real *out, const real *table, const real *positions, const int32_t *ids,
                          const int32_t *places, int64_t rows, int64_t width);
    void (*embed_backward)(struct device *d, float *d_table, float *d_positions, const real *dy, const int32_t *ids,
                           const int32_t *places, const int32_t *order, int64_t rows, int64_t width,
                           int64_t position_count);

    /* out[r] = x[index[r]]; backward x[index[r]] += y[r], no index twice. */
    void (*gather_rows)(struct device *d, real *out, const real *x, const int32_t *index, int64_t rows, int64_t width);
    void (*scatter_rows_add)(struct device *d, real *x, const real *y, const int32_t *index, int64_t rows,
                             int64_t width);
    /* out[index[r]] = x[r], or 0 where x is NULL; no index twice. */
    void (*put_rows)(struct device *d, real *out, const real *x, const int32_t *index, int64_t rows, int64_t width);
    /* out[g] = mean of rows starts[g] .. starts[g + 1] of x, none empty; backward dx[r] (+)= dy[g] / rows of g. */
    void (*mean_rows)(struct device *d, real *out, const real *x, const int32_t *starts, int64_t groups, int64_t width);
    void (*mean_rows_backward)(struct device *d, real *dx, const real *dy, const int32_t *starts, int64_t groups,
                               int64_t width, bool accumulate);
    /* Mean over cells of factor x factor of grids of rows: x [images * grid * grid, width] -> out [images * (grid /
     * factor)^2, width]. */
    void (*pool_grid)(struct device *d, real *out, const real *x, int64_t images, int64_t grid, int64_t factor,
                      int64_t width);
    void (*pool_grid_backward)(struct device *d, real *dx, const real *dy, int64_t images, int64_t grid, int64_t factor,
                               int64_t width, bool accumulate);
    /* y [rows, cols] = silu(a) b of x [rows, 2 cols] = a | b,  silu(a) = a / (1 + exp(-a));  backward overwrites dx. */
    void (*gate_forward)(struct device *d, real *y, const real *x, int64_t rows, int64_t cols);
    void (*gate_backward)(struct device *d, real *dx, const real *dy, const real *x, int64_t rows, int64_t cols);

    /* out[r] = x[0] for all rows; backward sums rows in order. */
    void (*repeat_row)(struct device *d, real *out, const real *x, int64_t rows, int64_t width);
    void (*sum_rows)(struct device *d, float *out, const real *x, int64_t rows, int64_t width, bool accumulate);

    /* y = x / max(|x|, 1e-12), norm [rows] = |x| kept for backward, where dx may be dy when real is float. */
    void (*normalize_forward)(struct device *d, float *y, float *norm, const real *x, int64_t rows, int64_t cols);
    void (*normalize_backward)(struct device *d, real *dx, const float *dy, const float *y, const float *norm,
                               int64_t rows, int64_t cols, bool accumulate);
    /* cosine [rows] of x and y row by row; dx (+)= d cosine / dx * weight, y held fixed. */
    void (*cosine_forward)(struct device *d, float *cosine, const real *x, const real *y, int64_t rows, int64_t cols);
    void (*cosine_backward)(struct device *d, real *dx, const real *x, const real *y, const float *weight, int64_t rows,
                            int64_t cols, bool accumulate);

    /* Softmax cross entropy: lse [rows] = log sum exp of logits [rows, cols], loss [rows] = lse - logit of targets[r].
     * Gradient: g = weight[r] * (exp(logit - lse) - [target]); g may be logits when real is float. */
    void (*softmax_loss)(struct device *d, float *loss, float *lse, const float *logits, const int32_t *targets,
                         int64_t rows, int64_t cols);
    void (*softmax_gradient)(struct device *d, real *g, const float *logits, const float *lse, const int32_t *targets,
                             const float *weight, int64_t rows, int64_t cols);

    /* y [rows, cols] += row [cols]. */
    void (*add_row)(struct device *d, float *y, const float *row, int64_t rows, int64_t cols);
    /* y = (x - mean) * scale, column by column: mean, scale [cols]. */
    void (*standardize)(struct device *d, real *y, const real *x, const float *mean, const float *scale, int64_t rows,
                        int64_t cols);
    /* sums [2, cols]: of x over the rows, and of its squares. */
    void (*column_sums)(struct device *d, double *sums, const real *x, int64_t rows, int64_t cols);

    void (*add)(struct device *d, float *y, const float *x, int64_t count);    /* y += x */
    void (*add_real)(struct device *d, real *y, const real *x, int64_t count); /* the same for activations */
    void (*fill)(struct device *d, float *y, float value, int64_t count);
    void (*sum_floats)(struct device *d, double *sum, const float *x, int64_t count); /* *sum = sum in double */
    void (*round)(struct device *d, real *y, const float *x, int64_t count);          /* y = x as real */

    /* --- maps: a pixel is a row --- */

    /* y [pixels of to, out] = w over the pixels seen + b;  w [out, kernel^2 * in], columns in order (i, j, channel); b
     * [out] or NULL.  Backward as that of linear layers. */
    void (*convolve_forward)(struct device *d, real *y, const real *x, const real *w, const real *b,
                             const struct convolve *c);
    void (*convolve_backward_input)(struct device *d, real *dx, const real *dy, const real *w, const struct convolve *c,
                                    bool accumulate);
    void (*convolve_backward_weight)(struct device *d, float *dw, float *db, const real *dy, const real *x,
                                     const struct convolve *c, bool accumulate_w, bool accumulate_b);
    /* Each pixel's row is the square of factor^2 pixels it becomes, in order (y, x, channel). */
    void (*spread_forward)(struct device *d, real *y, const real *x, const struct map_change *m, int64_t factor);
    void (*spread_backward)(struct device *d, real *dx, const real *dy, const struct map_change *m, int64_t factor,
                            bool accumulate);
    /* Largest of each kernel x kernel pixels, every `stride`, none outside; the gradient goes to the first of them. */
    void (*max_pool_forward)(struct device *d, real *y, const real *x, const struct map_change *m, int64_t kernel,
                             int64_t stride);
    void (*max_pool_backward)(struct device *d, real *dx, const real *dy, const real *x, const struct map_change *m,
                              int64_t kernel, int64_t stride, bool accumulate);
    /* Bilinear: half-pixel centres with edges clamped, or, with corners, first on first and last on last pixel. */
    void (*resize_forward)(struct device *d, real *y, const real *x, const struct map_change *m, bool corners);
    void (*resize_backward)(struct device *d, real *dx, const real *dy, const struct map_change *m, bool corners,
                            bool accumulate);
    /* Norm of each picture's groups of cols / groups neighbouring channels over its `area` pixels: y = (x - mean) *
     * rstd * scale + shift, rstd = 1 / sqrt(variance + 1e-5), mean, rstd [pictures, groups] written.  Backward as
     * norm_backward; dx is not dy. */
    void (*group_norm_forward)(struct device *d, real *y, float *mean, float *rstd, const real *x, const float *scale,
                               const float *shift, int64_t pictures, int64_t area, int64_t cols, int64_t groups);
    void (*group_norm_backward)(struct device *d, real *dx, float *d_scale, float *d_shift, const real *dy,
                                const real *x, const float *mean, const float *rstd, const float *scale,
                                int64_t pictures, int64_t area, int64_t cols, int64_t groups, bool accumulate_x,
                                bool accumulate_scale, bool accumulate_shift);
    /* y = x * scale + shift, column by column; scale, shift [cols].  Backward: any output may be NULL. */
    void (*affine_forward)(struct device *d, real *y, const real *x, const float *scale, const float *shift,
                           int64_t rows, int64_t cols);
    void (*affine_backward)(struct device *d, real *dx, float *d_scale, float *d_shift, const real *dy, const real *x,
                            const float *scale, int64_t rows, int64_t cols, bool accumulate_x, bool accumulate_scale,
                            bool accumulate_shift);
    /* y = f(x);  dx (+)= dy f'(x), ReLU's slope at 0 being 0. */
    void (*activation_forward)(struct device *d, real *y, const real *x, enum activation kind, int64_t count);
    void (*activation_backward)(struct device *d, real *dx, const real *dy, const real *x, enum activation kind,
                                int64_t count, bool accumulate);

    /* --- few tokens beside a map (struct prompted_map); inference only --- */

    /* Rows [prompts, tokens, width] <-> [prompts, heads, tokens, width]: apart, a row holds the slice of its head,
     * times scale, and zeros; together takes from each the slice of its head. */
    void (*heads_apart)(struct device *d, real *out, const real *x, float scale, const struct token_heads *h);
    void (*heads_together)(struct device *d, real *out, const real *x, const struct token_heads *h);
    /* out [prompts * columns, width] = P x,  P = softmax over the map's rows of q (x + places)^T, q like out. */
    void (*map_to_tokens)(struct device *d, real *out, const real *q, const struct prompted_map *p);
    /* y [prompts * rows, width] = norm(x + bias + P v),  P = softmax over the tokens of each head of seen k^T + k_bias;
     * k [prompts * columns, seen_width (width with places)], k_bias [prompts * columns] or NULL, v [prompts * columns,
     * width], bias [width]; scale and shift [width] of the norm, eps 1e-5.  y may be x. */
    void (*tokens_to_map)(struct device *d, real *y, const real *k, const real *k_bias, const real *v, const real *bias,
                          const float *scale, const float *shift, const struct prompted_map *p);

    /* --- detection losses: of each picture's `rows` rows --- */

    /* out [pictures] = before (NULL: 0) + weight * sum of the losses of a picture's rows.  Backward: dx (+)= d_out *
     * weight * slope; rows that are no part of the sum get 0.
     * focal (alpha .25, gamma 2), x [pictures * rows, cols] logits, targets [pictures * rows] a column or -1:
     *   p = sigmoid(x);  .25 (1 - p)^2 -ln p  at the target's column,  .75 p^2 -ln(1 - p)  elsewhere */
    void (*focal_forward)(struct device *d, float *out, const float *before, const real *x, const int32_t *targets,
                          int64_t pictures, int64_t rows, int64_t cols, float weight);
    void (*focal_backward)(struct device *d, real *dx, const float *d_out, const real *x, const int32_t *targets,
                           int64_t pictures, int64_t rows, int64_t cols, float weight, bool accumulate);
    /* 1 - GIoU of the boxes side * x and truths, x, truths [pictures * rows, 4] distances from one point to the left,
     * upper, right and lower edge; where targets is -1 there is none:
     *   GIoU = inter / (union + eps) - (hull - union) / (hull + eps),  eps 1e-7 */
    void (*giou_forward)(struct device *d, float *out, const float *before, const real *x, const float *truths,
                         const int32_t *targets, int64_t pictures, int64_t rows, float side, float weight);
    void (*giou_backward)(struct device *d, real *dx, const float *d_out, const real *x, const float *truths,
                          const int32_t *targets, int64_t pictures, int64_t rows, float side, float weight,
                          bool accumulate);
    /* Cross entropy of sigmoid(x) and targets [pictures * rows], 0 to 1, or below 0: none. */
    void (*binary_forward)(struct device *d, float *out, const float *before, const real *x, const float *targets,
                           int64_t pictures, int64_t rows, float weight);
    void (*binary_backward)(struct device *d, real *dx, const float *d_out, const real *x, const float *targets,
                            int64_t pictures, int64_t rows, float weight, bool accumulate);

    /* --- contrastive loss; log_scale [1] is the ln of the logit scale, exp(log_scale) = scale --- */

    /* Softmax statistics of a strip of logits l = scale * s, s [rows, cols] with leading dimension ld, merged into
     * those of earlier strips:
     *   row_max, row_sum [rows]: max and sum of exp(l - max) over the columns;  col_max, col_sum [cols] likewise over
     *                                                                           the rows. */
    void (*softmax_stats)(struct device *d, float *row_max, float *row_sum, float *col_max, float *col_sum,
                          const float *s, int64_t ld, int64_t rows, int64_t cols, const float *log_scale);
    /* lse [count] = ln of the sum of `parts` statistics max, sum [parts, count], merged in order. */
    void (*merge_stats)(struct device *d, float *lse, const float *max, const float *sum, int64_t parts, int64_t count);
    /* g = gradient of the symmetric InfoNCE by s:  weight * scale * (exp(l - row_lse) + exp(l - col_lse) - 2
     * [diagonal]) where the diagonal is at column r + diagonal (none when outside).  g [rows, cols] with leading
     * dimension ld; may be s when real is float. *total += sum over the strip of g * s / scale, the gradient of the
     * scale itself. */
    void (*contrastive_gradient)(struct device *d, real *g, double *total, const float *s, int64_t ld,
                                 const float *row_lse, const float *col_lse, int64_t rows, int64_t cols,
                                 int64_t diagonal, const float *log_scale, float weight);
    /* Distillation: p, q the softmaxes of l = scale * s and of the teacher's exp(*teacher_log_scale) * t, by row and by
     * column, both strips with leading dimension ld:  g (+)= weight * scale * (p_row + p_col - q_row - q_col),  *total
     * += that of g * s / scale, *divergence += sum of q_row (ln q_row - ln p_row) + q_col (ln q_col - ln p_col). */
    void (*distill_gradient)(struct device *d, real *g, double *total, double *divergence, const float *s,
                             const float *t, int64_t ld, const float *row_lse, const float *col_lse,
                             const float *teacher_row_lse, const float *teacher_col_lse, int64_t rows, int64_t cols,
                             const float *log_scale, const float *teacher_log_scale, float weight, bool accumulate);
    /* Sums over rows i: loss[0] = row_lse + col_lse - 2 own,  hits[0] = count of own >= row_max - 1e-5 scale,  own =
     * scale <x_i, y_i>. */
    void (*contrastive_loss)(struct device *d, double *loss, double *hits, const real *x, const real *y,
                             const float *row_lse, const float *col_lse, const float *row_max, int64_t rows,
                             int64_t cols, const float *log_scale);
    /* values [rows, cols]: row 0 becomes the sum of the rows in the binary tree of dist/tree.h; the others are scratch.
     * */
    void (*tree_sum)(struct device *d, double *values, int64_t rows, int64_t cols);
    void (*scale_gradient)(struct device *d, float *g, const double *sum,
                           const float *log_scale); /* *g = *sum * scale */

    /* --- dense losses: maps of a grid seen at another extent, bilinearly; what is seen is never stored --- */

    /* loss [pictures]: the mean over all pixels of softmax cross entropy of logits [grid rows, classes] seen at
     * targets [pixels], 0 where the target is `ignored`.  slope, like logits: the gradient of each picture's loss;
     * NULL: not wanted. */
    void (*pixel_loss)(struct device *d, float *loss, real *slope, const real *logits, const uint16_t *targets,
                       struct grid_view view, int64_t classes, int64_t ignored);
    /* depth [pixels] = sum a_k c_k / sum a_k with a = max(logit, 0) + 0.1 of logits [grid rows, bins] as seen, and
     * centres c from low to high in equal steps; backward d_logits (+)=. */
    void (*bins_forward)(struct device *d, real *depth, const real *logits, struct grid_view view, int64_t bins,
                         float low, float high);
    void (*bins_backward)(struct device *d, real *d_logits, const real *d_depth, const real *logits,
                          struct grid_view view, int64_t bins, float low, float high, bool accumulate);
    /* loss [pictures] = sqrt(spread * variance of g (n - 1) + 0.15 mean(g)^2), g = ln(p + 0.001) - ln(t + 0.001) over
     * the pixels with 0 < t < most: p is depth [grid rows] as seen, t truth [pixels].  0 without such pixels.  slope:
     * as in pixel_loss. */
    void (*depth_loss)(struct device *d, float *loss, real *slope, const real *depth, const float *truth,
                       struct grid_view view, float most, float spread);

    /* --- token matrices --- */

    /* A tile of cosines s and of a teacher's t, [rows, cols] both:  e = scale * a, *loss (+)= weight * sum of a^2 with
     * a = s - exp(sharpness (t - 1)).  e may be s when real is float. */
    void (*gram_difference)(struct device *d, real *e, float *loss, const float *s, const float *t, int64_t rows,
                            int64_t cols, float sharpness, float scale, float weight, bool accumulate);

    /* --- optimizer --- */

    /* Sums of squares in double, over blocks of SQUARE_BLOCK elements: out [count / SQUARE_BLOCK]. */
    void (*square_sums)(struct device *d, double *out, const float *x, int64_t count);
    /* out[i] = sum of blocks first[i] .. first[i + 1] in order. */
    void (*parameter_sums)(struct device *d, double *out, const double *blocks, const int32_t *first,
                           int64_t parameters);
    /* *norm = sqrt(sum of squares [parameters]); *factor = limit / (norm + 1e-6) when limit > 0 and norm > limit, 0
     * when not finite, else 1. */
    void (*clip_factor)(struct device *d, double *norm, float *factor, const double *squares, int64_t parameters,
                        double limit);
    /* In all of them `rate` stands for rate * rates[owner].
     * Moments of Adam with bias correction;  direction = m^ / (sqrt(v^) + eps) + decay * p.
     * adam: p -= rate * direction.  lamb_direction: leaves it in g, and both block sums.  lamb_apply: p -= rate * ratio
     * * g with ratio = |p| / |direction| of the parameter, 1 where its decay or a norm is 0. */
    void (*adam)(struct device *d, const struct update *u);
    void (*lamb_direction)(struct device *d, const struct update *u);
    void (*lamb_apply)(struct device *d, const struct update *u);
    /* Momentum:  m = beta1 m + g + decay p,  p -= rate m. */
    void (*sgd)(struct device *d, const struct update *u);
    /* x = min(max(x, low), high), one value; not when *unless is 0. */
    void (*clamp)(struct device *d, float *x, float low, float high, const float *unless);
};

enum { SQUARE_BLOCK = 4096 };

#endif
