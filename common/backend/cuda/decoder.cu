/* Kernels of language models and of what stands before them: RMS norm, gated activation, softmax cross entropy, and
 * rows put, averaged and pooled.  All but the norms are element by element and bound by memory. */

/* --- RMS norm: a warp a row --- */

static __global__ void rms_forward_kernel(real *y, float *rstd, const real *x, const float *scale, int64_t rows,
                                          int64_t cols, float eps)
{
    int64_t r = (int64_t)blockIdx.x * WARPS + threadIdx.x / WARP;
    int lane = threadIdx.x % WARP;
    if (r >= rows) return;
    float s = rsqrtf(row_dot(x + r * cols, x + r * cols, cols, lane) / (float)cols + eps);
    if (rstd && lane == 0) rstd[r] = s;
    for (int64_t i = lane; i < cols; i += WARP) from_float(&y[r * cols + i], to_float(x[r * cols + i]) * s * scale[i]);
}

static void rms_forward(struct device *d, real *y, float *rstd, const real *x, const float *scale, int64_t rows,
                        int64_t cols, float eps)
{
    LAUNCH(d, rms_forward_kernel, divide_up(rows, WARPS), THREADS, 0, y, rstd, x, scale, rows, cols, eps);
}

static __global__ void rms_backward_kernel(real *dx, const real *dy, const real *x, const float *rstd,
                                           const float *scale, int64_t rows, int64_t cols, bool accumulate)
{
    int64_t r = (int64_t)blockIdx.x * WARPS + threadIdx.x / WARP;
    int lane = threadIdx.x % WARP;
    if (r >= rows) return;
    const real *row = x + r * cols, *g = dy + r * cols;
    float s = rstd[r], slope = 0;
    for (int64_t i = lane; i < cols; i += WARP) slope += to_float(g[i]) * scale[i] * to_float(row[i]);
    slope = warp_sum(slope) * s * s / (float)cols;
    for (int64_t i = lane; i < cols; i += WARP) {
        float v = s * (to_float(g[i]) * scale[i] - to_float(row[i]) * slope);
        real *to = &dx[r * cols + i];
        from_float(to, accumulate ? to_float(*to) + v : v);
    }
}

/* A thread sums a column over the rows of its block's chunk. */
static __global__ void rms_scale_kernel(float *partial, const real *dy, const real *x, const float *rstd, int64_t rows,
                                        int64_t cols, int64_t chunk)
{
    int64_t columns = divide_up(cols, THREADS), k = blockIdx.x / columns,
            i = blockIdx.x % columns * THREADS + threadIdx.x;
    if (i >= cols) return;
    float sum = 0;
    for (int64_t r = k * chunk; r < rows && r < (k + 1) * chunk; r++)
        sum += to_float(dy[r * cols + i]) * to_float(x[r * cols + i]) * rstd[r];
    partial[k * cols + i] = sum;
}

static __global__ void rms_scale_sum_kernel(float *d_scale, const float *partial, int64_t chunks, int64_t cols,
                                            bool accumulate)
{
    int64_t i = (int64_t)blockIdx.x * THREADS + threadIdx.x;
    if (i >= cols) return;
    float sum = accumulate ? d_scale[i] : 0;
    for (int64_t k = 0; k < chunks; k++) sum += partial[k * cols + i];
    d_scale[i] = sum;
}

static void rms_backward(struct device *d, real *dx, float *d_scale, const real *dy, const real *x, const float *rstd,
                         const float *scale, int64_t rows, int64_t cols, bool accumulate_x, bool accumulate_scale)
{
    if (d_scale) { /* first: dx may lie where dy does */
        int64_t chunk = divide_up(rows, 64), chunks = divide_up(rows, chunk);
        float *partial = (float *)cuda_scratch(d, (size_t)(chunks * cols) * sizeof *partial);
        LAUNCH(d, rms_scale_kernel, chunks * divide_up(cols, THREADS), THREADS, 0, partial, dy, x, rstd, rows, cols,
               chunk);
        LAUNCH(d, rms_scale_sum_kernel, divide_up(cols, THREADS), THREADS, 0, d_scale, partial, chunks, cols,
               accumulate_scale);
    }
    if (dx)
        LAUNCH(d, rms_backward_kernel, divide_up(rows, WARPS), THREADS, 0, dx, dy, x, rstd, scale, rows, cols,
               accumulate_x);
}

/* --- rows --- */

static __global__ void put_kernel(real *out, const real *x, const int32_t *index, int64_t total, int64_t width)
{
    int64_t at = (int64_t)blockIdx.x * THREADS + threadIdx.x;
    if (at >= total) return;
    real *to = &out[index[at / width] * width + at % width];
    if (x)
        *to = x[at];
    else
        from_float(to, 0);
}

static void put_rows(struct device *d, real *out, const real *x, const int32_t *index, int64_t rows, int64_t width)
{
    LAUNCH(d, put_kernel, divide_up(rows * width, THREADS), THREADS, 0, out, x, index, rows * width, width);
}

static __global__ void mean_kernel(real *out, const real *x, const int32_t *starts, int64_t total, int64_t width)
{
    int64_t at = (int64_t)blockIdx.x * THREADS + threadIdx.x;
    if (at >= total) return;
    int64_t g = at / width, i = at % width;
    float sum = 0, share = 1 / (float)(starts[g + 1] - starts[g]);
    for (int64_t r = starts[g]; r < starts[g + 1]; r++) sum += to_float(x[r * width + i]) * share;
    from_float(&out[at], sum);
}

static void mean_rows(struct device *d, real *out, const real *x, const int32_t *starts, int64_t groups, int64_t width)
{
    LAUNCH(d, mean_kernel, divide_up(groups * width, THREADS), THREADS, 0, out, x, starts, groups * width, width);
}

static __global__ void mean_backward_kernel(real *dx, const real *dy, const int32_t *starts, int64_t total,
                                            int64_t width, bool accumulate)
{
    int64_t at = (int64_t)blockIdx.x * THREADS + threadIdx.x;
    if (at >= total) return;
    int64_t g = at / width, i = at % width;
    float share = to_float(dy[at]) / (float)(starts[g + 1] - starts[g]);
    for (int64_t r = starts[g]; r < starts[g + 1]; r++) {
        real *to = &dx[r * width + i];
        from_float(to, share + (accumulate ? to_float(*to) : 0));
    }
}

static void mean_rows_backward(struct device *d, real *dx, const real *dy, const int32_t *starts, int64_t groups,
                               int64_t width, bool accumulate)
{
    LAUNCH(d, mean_backward_kernel, divide_up(groups * width, THREADS), THREADS, 0, dx, dy, starts, groups * width,
           width, accumulate);
}

static __global__ void pool_kernel(real *out, const real *x, int64_t total, int64_t grid, int64_t factor, int64_t width)
{
    int64_t at = (int64_t)blockIdx.x * THREADS + threadIdx.x;
    if (at >= total) return;
    int64_t side = grid / factor, cell = at / width, i = at % width;
    int64_t image = cell / (side * side), y = cell / side % side * factor, c = cell % side * factor;
    float sum = 0, share = 1 / (float)(factor * factor);
    for (int64_t k = 0; k < factor * factor; k++)
        sum += to_float(x[((image * grid + y + k / factor) * grid + c + k % factor) * width + i]) * share;
    from_float(&out[at], sum);
}

static void pool_grid(struct device *d, real *out, const real *x, int64_t images, int64_t grid, int64_t factor,
                      int64_t width)
{
    int64_t total = images * (grid / factor) * (grid / factor) * width;
    LAUNCH(d, pool_kernel, divide_up(total, THREADS), THREADS, 0, out, x, total, grid, factor, width);
}

static __global__ void pool_backward_kernel(real *dx, const real *dy, int64_t total, int64_t grid, int64_t factor,
                                            int64_t width, bool accumulate)
{
    int64_t at = (int64_t)blockIdx.x * THREADS + threadIdx.x;
    if (at >= total) return;
    int64_t side = grid / factor, row = at / width, i = at % width;
    int64_t image = row / (grid * grid), y = row / grid % grid / factor, c = row % grid / factor;
    float g = to_float(dy[((image * side + y) * side + c) * width + i]) / (float)(factor * factor);
    from_float(&dx[at], g + (accumulate ? to_float(dx[at]) : 0));
}

static void pool_grid_backward(struct device *d, real *dx, const real *dy, int64_t images, int64_t grid, int64_t factor,
                               int64_t width, bool accumulate)
{
    int64_t total = images * grid * grid * width;
    LAUNCH(d, pool_backward_kernel, divide_up(total, THREADS), THREADS, 0, dx, dy, total, grid, factor, width,
           accumulate);
}

/* --- SwiGLU --- */

static __global__ void gate_forward_kernel(real *y, const real *x, int64_t total, int64_t cols)
{
    int64_t at = (int64_t)blockIdx.x * THREADS + threadIdx.x;
    if (at >= total) return;
    const real *row = x + at / cols * 2 * cols + at % cols;
    float a = to_float(row[0]), b = to_float(row[cols]);
    from_float(&y[at], a / (1 + expf(-a)) * b);
}

static void gate_forward(struct device *d, real *y, const real *x, int64_t rows, int64_t cols)
{
    LAUNCH(d, gate_forward_kernel, divide_up(rows * cols, THREADS), THREADS, 0, y, x, rows * cols, cols);
}

static __global__ void gate_backward_kernel(real *dx, const real *dy, const real *x, int64_t total, int64_t cols)
{
    int64_t at = (int64_t)blockIdx.x * THREADS + threadIdx.x;
    if (at >= total) return;
    int64_t place = at / cols * 2 * cols + at % cols;
    float a = to_float(x[place]), b = to_float(x[place + cols]), g = to_float(dy[at]), s = 1 / (1 + expf(-a));
    from_float(&dx[place], g * b * s * (1 + a * (1 - s)));
    from_float(&dx[place + cols], g * a * s);
}

static void gate_backward(struct device *d, real *dx, const real *dy, const real *x, int64_t rows, int64_t cols)
{
    LAUNCH(d, gate_backward_kernel, divide_up(rows * cols, THREADS), THREADS, 0, dx, dy, x, rows * cols, cols);
}

/* --- softmax cross entropy: a block a row --- */

static __global__ void softmax_loss_kernel(float *loss, float *lse, const float *logits, const int32_t *targets,
                                           int64_t cols)
{
    __shared__ float maxima[THREADS], sums[THREADS];
    const float *l = logits + (int64_t)blockIdx.x * cols;
    float max = -INFINITY, sum = 0;
    for (int64_t i = threadIdx.x; i < cols; i += THREADS) merge_stat(&max, &sum, l[i], 1);
    maxima[threadIdx.x] = max;
    sums[threadIdx.x] = sum;
    for (int half = THREADS / 2; half > 0; half /= 2) {
        __syncthreads();
        if ((int)threadIdx.x < half)
            merge_stat(&maxima[threadIdx.x], &sums[threadIdx.x], maxima[threadIdx.x + half], sums[threadIdx.x + half]);
    }
    if (threadIdx.x) return;
    lse[blockIdx.x] = maxima[0] + logf(sums[0]);
    loss[blockIdx.x] = lse[blockIdx.x] - l[targets[blockIdx.x]];
}

static void softmax_loss(struct device *d, float *loss, float *lse, const float *logits, const int32_t *targets,
                         int64_t rows, int64_t cols)
{
    LAUNCH(d, softmax_loss_kernel, rows, THREADS, 0, loss, lse, logits, targets, cols);
}

static __global__ void softmax_gradient_kernel(real *g, const float *logits, const float *lse, const int32_t *targets,
                                               const float *weight, int64_t cols)
{
    int64_t r = blockIdx.x;
    for (int64_t i = threadIdx.x; i < cols; i += THREADS)
        from_float(&g[r * cols + i], weight[r] * (expf(logits[r * cols + i] - lse[r]) - (i == targets[r] ? 1.f : 0.f)));
}

static void softmax_gradient(struct device *d, real *g, const float *logits, const float *lse, const int32_t *targets,
                             const float *weight, int64_t rows, int64_t cols)
{
    LAUNCH(d, softmax_gradient_kernel, rows, THREADS, 0, g, logits, lse, targets, weight, cols);
}
