/* A map and the tokens of many prompts.  Prompt by prompt: products over scratch, and between them softmax and norm. */

static __global__ void heads_kernel(real *out, const real *x, float scale, struct token_heads h, bool apart,
                                    int64_t total)
{
    int64_t at = (int64_t)blockIdx.x * THREADS + threadIdx.x;
    if (at >= total) return;
    int64_t width = h.heads * h.head_dim, column = at % width, row = at / width, head = column / h.head_dim;
    if (apart) {
        int64_t of = row / h.tokens % h.heads, token = row / h.tokens / h.heads * h.tokens + row % h.tokens;
        from_float(&out[at], of == head ? to_float(x[token * width + column]) * scale : 0);
    } else
        out[at] = x[((row / h.tokens * h.heads + head) * h.tokens + row % h.tokens) * width + column];
}

static void heads_apart(struct device *d, real *out, const real *x, float scale, const struct token_heads *h)
{
    int64_t total = h->prompts * h->heads * h->tokens * h->heads * h->head_dim;
    LAUNCH(d, heads_kernel, divide_up(total, THREADS), THREADS, 0, out, x, scale, *h, true, total);
}

static void heads_together(struct device *d, real *out, const real *x, const struct token_heads *h)
{
    int64_t total = h->prompts * h->tokens * h->heads * h->head_dim;
    LAUNCH(d, heads_kernel, divide_up(total, THREADS), THREADS, 0, out, x, 1.f, *h, false, total);
}

static __global__ void add_places_kernel(real *out, const real *x, const real *places, int64_t count)
{
    int64_t at = (int64_t)blockIdx.x * THREADS + threadIdx.x;
    if (at < count) from_float(&out[at], to_float(x[at]) + to_float(places[at]));
}

static const real *seen_rows(struct device *d, real *space, const struct prompted_map *p, const real *x)
{
    if (p->seen) return p->seen;
    LAUNCH(d, add_places_kernel, divide_up(p->rows * p->width, THREADS), THREADS, 0, space, x, p->places,
           p->rows * p->width);
    return space;
}

/* A block a row of scores. */
static __global__ void __launch_bounds__(THREADS) softmax_row_kernel(real *out, const float *s, int64_t cols)
{
    __shared__ float shared[WARPS];
    const float *row = s + blockIdx.x * cols;
    float top = -INFINITY, sum = 0;
    for (int64_t i = threadIdx.x; i < cols; i += THREADS) top = fmaxf(top, row[i]);
    top = warp_max(top);
    if (threadIdx.x % WARP == 0) shared[threadIdx.x / WARP] = top;
    __syncthreads();
    for (int i = 0; i < WARPS; i++) top = fmaxf(top, shared[i]);
    for (int64_t i = threadIdx.x; i < cols; i += THREADS) sum += expf(row[i] - top);
    sum = block_sum(sum);
    __syncthreads();
    if (threadIdx.x == 0) shared[0] = sum;
    __syncthreads();
    for (int64_t i = threadIdx.x; i < cols; i += THREADS)
        from_float(&out[blockIdx.x * cols + i], expf(row[i] - top) / shared[0]);
}

static void map_to_tokens(struct device *d, real *out, const real *q, const struct prompted_map *p)
{
    int64_t m = p->columns, size = p->rows * p->width;
    float *s = (float *)cuda_scratch(d, (size_t)(m * p->rows) * (sizeof(float) + sizeof(real)) +
                                            (size_t)size * sizeof(real));
    real *weights = (real *)(s + m * p->rows), *space = weights + m * p->rows;
    for (int64_t n = 0; n < p->prompts; n++) {
        const real *x = p->x + (p->shared ? 0 : n * size);
        matmul(d, s, true, p->rows, q + n * m * p->width, p->width, false, seen_rows(d, space, p, x), p->width, false,
               m, p->rows, p->width, false);
        LAUNCH(d, softmax_row_kernel, m, THREADS, 0, weights, s, p->rows);
        matmul(d, out + n * m * p->width, false, p->width, weights, p->rows, false, x, p->width, true, m, p->width,
               p->rows, false);
    }
}

/* A thread a group of neighbouring scores. */
static __global__ void softmax_groups_kernel(real *out, const float *s, const real *bias, int64_t columns, int64_t size,
                                             int64_t groups)
{
    int64_t at = (int64_t)blockIdx.x * THREADS + threadIdx.x;
    if (at >= groups) return;
    float top = -INFINITY, sum = 0;
    for (int64_t i = at * size; i < (at + 1) * size; i++)
        top = fmaxf(top, s[i] + (bias ? to_float(bias[i % columns]) : 0));
    for (int64_t i = at * size; i < (at + 1) * size; i++)
        sum += expf(s[i] + (bias ? to_float(bias[i % columns]) : 0) - top);
    for (int64_t i = at * size; i < (at + 1) * size; i++)
        from_float(&out[i], expf(s[i] + (bias ? to_float(bias[i % columns]) : 0) - top) / sum);
}

/* A warp a row: y = norm(x + added + bias). */
static __global__ void __launch_bounds__(THREADS)
    norm_sum_kernel(real *y, const real *x, const float *added, const real *bias, const float *scale,
                    const float *shift, int64_t rows, int64_t cols)
{
    int64_t row = (int64_t)blockIdx.x * WARPS + threadIdx.x / WARP;
    if (row >= rows) return;
    float sum = 0, squares = 0;
    for (int64_t i = threadIdx.x % WARP; i < cols; i += WARP)
        sum += to_float(x[row * cols + i]) + added[row * cols + i] + to_float(bias[i]);
    float mean = warp_sum(sum) / (float)cols;
    for (int64_t i = threadIdx.x % WARP; i < cols; i += WARP) {
        float v = to_float(x[row * cols + i]) + added[row * cols + i] + to_float(bias[i]) - mean;
        squares += v * v;
    }
    float rstd = rsqrtf(warp_sum(squares) / (float)cols + 1e-5f);
    for (int64_t i = threadIdx.x % WARP; i < cols; i += WARP) {
        float v = to_float(x[row * cols + i]) + added[row * cols + i] + to_float(bias[i]) - mean;
        from_float(&y[row * cols + i], v * rstd * scale[i] + shift[i]);
    }
}

static void tokens_to_map(struct device *d, real *y, const real *k, const real *k_bias, const real *v, const real *bias,
                          const float *scale, const float *shift, const struct prompted_map *p)
{
    int64_t m = p->columns, size = p->rows * p->width, width = p->seen ? p->seen_width : p->width;
    float *s = (float *)cuda_scratch(d, (size_t)(m * p->rows) * (sizeof(float) + sizeof(real)) +
                                            (size_t)size * (sizeof(float) + sizeof(real))),
          *added = s + m * p->rows;
    real *weights = (real *)(added + size), *space = weights + m * p->rows;
    for (int64_t n = 0; n < p->prompts; n++) {
        const real *x = p->x + (p->shared ? 0 : n * size);
        matmul(d, s, true, m, seen_rows(d, space, p, x), width, false, k + n * m * width, width, false, p->rows, m,
               width, false);
        LAUNCH(d, softmax_groups_kernel, divide_up(p->rows * m / p->tokens, THREADS), THREADS, 0, weights, s,
               k_bias ? k_bias + n * m : NULL, m, p->tokens, p->rows * m / p->tokens);
        matmul(d, added, true, p->width, weights, m, false, v + n * m * p->width, p->width, true, p->rows, p->width, m,
               false);
        LAUNCH(d, norm_sum_kernel, divide_up(p->rows, WARPS), THREADS, 0, y + n * size, x, added, bias, scale, shift,
               p->rows, p->width);
    }
}
