/* Kernels over rows: norms, rotary embedding, residual branches, patches and tokens, embeddings, gathers, sums.
 *
 * A warp takes a row where a row is reduced; its elements stay in registers when they fit.  All are bound by memory:
 * each reads its inputs once, 16 bytes a thread at a time, and sums over rows go through partial sums in a fixed order.
 * */

enum { WARPS = THREADS / WARP, ROW_VECTORS = 8 }; /* a warp holds rows of up to 8 x 32 x 8 elements */

static bool whole(int64_t cols, const void *a, const void *b)
{
    return cols % 8 == 0 && aligned16(a) && aligned16(b);
}

/* --- layer norm --- */

/* y = norm(x); one warp a row, V vectors of W elements a lane. */
template <int W, int V>
static __global__ void __launch_bounds__(THREADS)
    norm_forward_kernel(real *y, float *mean, float *rstd, const real *x, const float *scale, const float *shift,
                        int64_t rows, int cols, float eps)
{
    int64_t row = (int64_t)blockIdx.x * WARPS + threadIdx.x / WARP;
    int lane = threadIdx.x % WARP;
    if (row >= rows) return;
    pack<W, real> v[V];
    float sum = 0, squares = 0;
#pragma unroll
    for (int k = 0; k < V; k++) {
        int col = (k * WARP + lane) * W;
        if (col < cols) v[k] = load<W>(x + row * cols + col);
        for (int i = 0; i < W && col < cols; i++) sum += to_float(v[k].value[i]);
    }
    float m = warp_sum(sum) / (float)cols;
#pragma unroll
    for (int k = 0; k < V; k++) {
        int col = (k * WARP + lane) * W;
        for (int i = 0; i < W && col < cols; i++)
            squares += (to_float(v[k].value[i]) - m) * (to_float(v[k].value[i]) - m);
    }
    float s = rsqrtf(warp_sum(squares) / (float)cols + eps);
#pragma unroll
    for (int k = 0; k < V; k++) {
        int col = (k * WARP + lane) * W;
        if (col >= cols) continue;
        pack<W, float> a = load<W>(scale + col), b = load<W>(shift + col);
        for (int i = 0; i < W; i++)
            from_float(&v[k].value[i], (to_float(v[k].value[i]) - m) * s * a.value[i] + b.value[i]);
        store<W>(y + row * cols + col, v[k]);
    }
    if (lane == 0) mean[row] = m, rstd[row] = s;
}

/* Call f<W, V> for the number of vectors a lane needs. */
#define BY_WIDTH(call, cols, wide) \
    do { \
        int64_t vectors = divide_up(cols, WARP * ((wide) ? 8 : 1)); \
        CHECK(vectors <= ((wide) ? ROW_VECTORS : 64), "a row of %ld", (long)(cols)); \
        if (!(wide)) { \
            if (vectors <= 8) \
                call(1, 8); \
            else \
                call(1, 64); \
        } else if (vectors == 1) \
            call(8, 1); \
        else if (vectors == 2) \
            call(8, 2); \
        else if (vectors == 3) \
            call(8, 3); \
        else if (vectors == 4) \
            call(8, 4); \
        else if (vectors <= 6) \
            call(8, 6); \
        else \
            call(8, 8); \
    } while (0)

static void norm_forward(struct device *d, real *y, float *mean, float *rstd, const real *x, const float *scale,
                         const float *shift, int64_t rows, int64_t cols, float eps)
{
#define CALL(W, V) \
    LAUNCH(d, (norm_forward_kernel<W, V>), divide_up(rows, WARPS), THREADS, 0, y, mean, rstd, x, scale, shift, rows, \
           (int)cols, eps)
    BY_WIDTH(CALL, cols, whole(cols, x, y) && whole(cols, scale, shift));
#undef CALL
}

/* dx of rows, and this block's sums of the parameter gradients into partial [blocks, 2, cols] (NULL: not wanted).  The
 * rows of a warp are warp, warp + warps, ...: what belongs to a column stays in one lane's registers until the end. */
template <int W, int V>
static __global__ void __launch_bounds__(THREADS, 1)
    norm_backward_kernel(real *dx, float *partial, const real *dy, const real *x, const float *mean, const float *rstd,
                         const float *scale, int64_t rows, int cols, bool accumulate)
{
    SHARED_FLOATS(sums); /* [2, cols] */
    int lane = threadIdx.x % WARP, warp = threadIdx.x / WARP;
    float to_scale[V][W], to_shift[V][W];
#pragma unroll
    for (int k = 0; k < V; k++)
        for (int i = 0; i < W; i++) to_scale[k][i] = to_shift[k][i] = 0;
    for (int64_t row = (int64_t)blockIdx.x * WARPS + warp; row < rows; row += (int64_t)gridDim.x * WARPS) {
        pack<W, real> g[V], v[V];
        float sum = 0, sum_x = 0, m = mean[row], s = rstd[row];
#pragma unroll
        for (int k = 0; k < V; k++) {
            int col = (k * WARP + lane) * W;
            if (col >= cols) continue;
            g[k] = load<W>(dy + row * cols + col);
            v[k] = load<W>(x + row * cols + col);
            for (int i = 0; i < W; i++) {
                float slope = to_float(g[k].value[i]), centred = (to_float(v[k].value[i]) - m) * s;
                to_scale[k][i] += slope * centred;
                to_shift[k][i] += slope;
                sum += slope * scale[col + i];
                sum_x += slope * scale[col + i] * centred;
            }
        }
        if (!dx) continue;
        sum = warp_sum(sum) / (float)cols;
        sum_x = warp_sum(sum_x) / (float)cols;
#pragma unroll
        for (int k = 0; k < V; k++) {
            int col = (k * WARP + lane) * W;
            if (col >= cols) continue;
            pack<W, real> out;
            if (accumulate) out = load<W>(dx + row * cols + col);
            for (int i = 0; i < W; i++) {
                float centred = (to_float(v[k].value[i]) - m) * s;
                float value = s * (to_float(g[k].value[i]) * scale[col + i] - sum - centred * sum_x);
                from_float(&out.value[i], accumulate ? to_float(out.value[i]) + value : value);
            }
            store<W>(dx + row * cols + col, out);
        }
    }
    if (!partial) return;
    /* the warps of a block add up one after the other */
    for (int turn = 0; turn < WARPS; turn++) {
        if (turn == warp)
#pragma unroll
            for (int k = 0; k < V; k++)
                for (int i = 0; i < W; i++) {
                    int col = (k * WARP + lane) * W + i;
                    if (col >= cols) continue;
                    sums[col] = turn ? sums[col] + to_scale[k][i] : to_scale[k][i];
                    sums[cols + col] = turn ? sums[cols + col] + to_shift[k][i] : to_shift[k][i];
                }
        __syncthreads();
    }
    for (int i = threadIdx.x; i < 2 * cols; i += THREADS) partial[(int64_t)blockIdx.x * 2 * cols + i] = sums[i];
}

/* out[c] (+)= sum over parts of partial [parts, stride], c < cols.  A block takes 32 columns; each of its warps every
 * eighth part. */
static __global__ void sum_partials_kernel(float *out, const float *partial, int parts, int64_t stride, int64_t cols,
                                           bool accumulate)
{
    __shared__ float sums[WARPS][WARP];
    int lane = threadIdx.x % WARP, warp = threadIdx.x / WARP;
    int64_t c = (int64_t)blockIdx.x * WARP + lane;
    float sum = 0;
#pragma unroll 4
    for (int p = warp; p < parts && c < cols; p += WARPS) sum += partial[p * stride + c];
    sums[warp][lane] = sum;
    __syncthreads();
    if (warp || c >= cols) return;
    for (int w = 1; w < WARPS; w++) sum += sums[w][lane];
    out[c] = accumulate ? out[c] + sum : sum;
}

static void sum_partials(struct device *d, float *out, const float *partial, int64_t parts, int64_t stride,
                         int64_t cols, bool accumulate)
{
    if (out)
        LAUNCH(d, sum_partials_kernel, divide_up(cols, WARP), THREADS, 0, out, partial, (int)parts, stride, cols,
               accumulate);
}

static void norm_backward(struct device *d, real *dx, float *d_scale, float *d_shift, const real *dy, const real *x,
                          const float *mean, const float *rstd, const float *scale, int64_t rows, int64_t cols,
                          bool accumulate_x, bool accumulate_scale, bool accumulate_shift)
{
    int64_t most = 2 * (int64_t)state_of(d)->processors,
            blocks = divide_up(rows, WARPS) < most ? divide_up(rows, WARPS) : most;
    bool wanted = d_scale || d_shift;
    float *partial = wanted ? (float *)cuda_scratch(d, (size_t)(blocks * 2 * cols) * sizeof(float)) : NULL;
#define CALL(W, V) \
    LAUNCH(d, (norm_backward_kernel<W, V>), blocks, THREADS, (size_t)(2 * cols) * sizeof(float), dx, partial, dy, x, \
           mean, rstd, scale, rows, (int)cols, accumulate_x)
    BY_WIDTH(CALL, cols, whole(cols, x, dy) && aligned16(dx));
#undef CALL
    if (!wanted) return;
    sum_partials(d, d_scale, partial, blocks, 2 * cols, cols, accumulate_scale);
    sum_partials(d, d_shift, partial + cols, blocks, 2 * cols, cols, accumulate_shift);
}

/* --- element by element --- */

template <int W>
static __global__ void rotary_kernel(real *x, int64_t ld, int64_t total, int heads, int pairs, const float *cosine,
                                     const float *sine, int64_t tokens, const int32_t *places, float sign)
{
    /* a thread turns W / 2 pairs */
    int64_t at = (int64_t)blockIdx.x * THREADS + threadIdx.x;
    if (at >= total) return;
    int per_head = 2 * pairs / W, group = (int)(at % per_head), head = (int)(at / per_head % heads);
    int64_t row = at / per_head / heads;
    real *p = x + row * ld + (int64_t)head * 2 * pairs + group * W;
    int64_t place = (places ? places[row] : row % tokens) * pairs + group * W / 2;
    const float *c = cosine + place, *s = sine + place;
    pack<W, real> v = load<W>(p);
    for (int i = 0; i < W / 2; i++) {
        float a = to_float(v.value[2 * i]), b = to_float(v.value[2 * i + 1]), t = sign * s[i];
        from_float(&v.value[2 * i], a * c[i] - b * t);
        from_float(&v.value[2 * i + 1], b * c[i] + a * t);
    }
    store<W>(p, v);
}

static void rotary(struct device *d, real *x, int64_t ld, int64_t rows, int64_t heads, int64_t head_dim,
                   const float *cosine, const float *sine, int64_t tokens, const int32_t *places, bool inverse)
{
    bool wide = head_dim % 8 == 0 && ld % 8 == 0 && aligned16(x);
    int64_t total = rows * heads * head_dim / (wide ? 8 : 2);
    float sign = inverse ? -1.f : 1.f;
    int64_t blocks = divide_up(total, THREADS);
    if (wide)
        LAUNCH(d, rotary_kernel<8>, blocks, THREADS, 0, x, ld, total, (int)heads, (int)(head_dim / 2), cosine, sine,
               tokens, places, sign);
    else
        LAUNCH(d, rotary_kernel<2>, blocks, THREADS, 0, x, ld, total, (int)heads, (int)(head_dim / 2), cosine, sine,
               tokens, places, sign);
}

template <int W>
static __global__ void branch_forward_kernel(real *y, const real *x, const real *branch, const float *gamma,
                                             const float *keep, int64_t count, int64_t cols, int64_t run)
{
    int64_t at = ((int64_t)blockIdx.x * THREADS + threadIdx.x) * W;
    if (at >= count) return;
    float k = keep ? keep[at / cols / run] : 1;
    pack<W, real> a = load<W>(x + at), b = load<W>(branch + at);
    for (int i = 0; i < W; i++)
        from_float(&a.value[i], to_float(a.value[i]) + k * (gamma ? gamma[at % cols + i] : 1) * to_float(b.value[i]));
    store<W>(y + at, a);
}

static void branch_forward(struct device *d, real *y, const real *x, const real *branch, const float *gamma,
                           const float *keep, int64_t rows, int64_t cols, int64_t sequences)
{
    int64_t count = rows * cols;
    if (whole(cols, x, branch) && aligned16(y))
        LAUNCH(d, branch_forward_kernel<8>, divide_up(count, 8 * THREADS), THREADS, 0, y, x, branch, gamma, keep, count,
               cols, rows / sequences);
    else
        LAUNCH(d, branch_forward_kernel<1>, divide_up(count, THREADS), THREADS, 0, y, x, branch, gamma, keep, count,
               cols, rows / sequences);
}

/* A block takes a run of rows and 32 columns a warp lane-wise: partial [chunks, cols] of d_gamma. */
enum { CHUNK_ROWS = 128 };
static __global__ void branch_backward_kernel(real *d_branch, float *partial, const real *dy, const real *branch,
                                              const float *gamma, const float *keep, int64_t rows, int64_t cols,
                                              int64_t run)
{
    int64_t strips = divide_up(cols, THREADS), c = blockIdx.x % strips * THREADS + threadIdx.x,
            chunk = blockIdx.x / strips;
    if (c >= cols) return;
    float sum = 0, scale = gamma ? gamma[c] : 1;
    for (int64_t r = chunk * CHUNK_ROWS; r < rows && r < (chunk + 1) * CHUNK_ROWS; r++) {
        float g = (keep ? keep[r / run] : 1) * to_float(dy[r * cols + c]);
        if (partial) sum += g * to_float(branch[r * cols + c]);
        from_float(&d_branch[r * cols + c], g * scale);
    }
    if (partial) partial[chunk * cols + c] = sum;
}

static void branch_backward(struct device *d, real *d_branch, float *d_gamma, const real *dy, const real *branch,
                            const float *gamma, const float *keep, int64_t rows, int64_t cols, int64_t sequences,
                            bool accumulate_gamma)
{
    int64_t chunks = divide_up(rows, CHUNK_ROWS);
    float *partial = d_gamma ? (float *)cuda_scratch(d, (size_t)(chunks * cols) * sizeof(float)) : NULL;
    LAUNCH(d, branch_backward_kernel, chunks * divide_up(cols, THREADS), THREADS, 0, d_branch, partial, dy, branch,
           gamma, keep, rows, cols, rows / sequences);
    if (d_gamma) sum_partials(d, d_gamma, partial, chunks, cols, cols, accumulate_gamma);
}

template <typename A, typename B> static __global__ void add_kernel(A *y, const B *x, int64_t count)
{
    for (int64_t i = (int64_t)blockIdx.x * THREADS + threadIdx.x; i < count; i += (int64_t)gridDim.x * THREADS)
        from_float(&y[i], to_float(y[i]) + to_float(x[i]));
}

template <typename A, typename B> static __global__ void convert_kernel(A *y, const B *x, int64_t count)
{
    for (int64_t i = (int64_t)blockIdx.x * THREADS + threadIdx.x; i < count; i += (int64_t)gridDim.x * THREADS)
        from_float(&y[i], to_float(x[i]));
}

template <int W> static __global__ void add_wide_kernel(real *y, const real *x, int64_t count)
{
    int64_t at = ((int64_t)blockIdx.x * THREADS + threadIdx.x) * W;
    if (at >= count) return;
    pack<W, real> a = load<W>(y + at), b = load<W>(x + at);
    for (int i = 0; i < W; i++) from_float(&a.value[i], to_float(a.value[i]) + to_float(b.value[i]));
    store<W>(y + at, a);
}

/* Enough blocks to fill the GPU; each then takes its share of the elements in strides. */
static int64_t blocks_for(int64_t count)
{
    return divide_up(count, THREADS) < 2048 ? divide_up(count, THREADS) : 2048;
}

static void add(struct device *d, float *y, const float *x, int64_t count)
{
    LAUNCH(d, (add_kernel<float, float>), blocks_for(count), THREADS, 0, y, x, count);
}

static void add_real(struct device *d, real *y, const real *x, int64_t count)
{
    if (whole(count, x, y))
        LAUNCH(d, add_wide_kernel<8>, divide_up(count, 8 * THREADS), THREADS, 0, y, x, count);
    else
        LAUNCH(d, add_wide_kernel<1>, divide_up(count, THREADS), THREADS, 0, y, x, count);
}

static __global__ void fill_kernel(float *y, float value, int64_t count)
{
    for (int64_t i = (int64_t)blockIdx.x * THREADS + threadIdx.x; i < count; i += (int64_t)gridDim.x * THREADS)
        y[i] = value;
}

static void fill(struct device *d, float *y, float value, int64_t count)
{
    LAUNCH(d, fill_kernel, blocks_for(count), THREADS, 0, y, value, count);
}

static void round_real(struct device *d, real *y, const float *x, int64_t count)
{
    if ((const void *)y != (const void *)x)
        LAUNCH(d, (convert_kernel<real, float>), blocks_for(count), THREADS, 0, y, x, count);
}

/* --- sums --- */

/* partial [blocks] of a sum of floats, then one block adds the partial sums. */
static __global__ void sum_floats_kernel(double *partial, const float *x, int64_t count)
{
    double sum = 0;
    for (int64_t i = (int64_t)blockIdx.x * THREADS + threadIdx.x; i < count; i += (int64_t)gridDim.x * THREADS)
        sum += (double)x[i];
    sum = block_sum(sum);
    if (threadIdx.x == 0) partial[blockIdx.x] = sum;
}

/* *out (+)= sum of x [count], by one block. */
static __global__ void sum_doubles_kernel(double *out, const double *x, int64_t count, bool accumulate)
{
    double sum = 0;
    for (int64_t i = threadIdx.x; i < count; i += blockDim.x) sum += x[i];
    sum = block_sum(sum);
    if (threadIdx.x == 0) *out = accumulate ? *out + sum : sum;
}

static void sum_floats(struct device *d, double *sum, const float *x, int64_t count)
{
    int64_t blocks = divide_up(count, 16 * THREADS) < 1024 ? divide_up(count, 16 * THREADS) : 1024;
    double *partial = (double *)cuda_scratch(d, (size_t)blocks * sizeof *partial);
    LAUNCH(d, sum_floats_kernel, blocks, THREADS, 0, partial, x, count);
    LAUNCH(d, sum_doubles_kernel, 1, THREADS, 0, sum, partial, blocks, false);
}

/* partial [chunks, cols]: sums of CHUNK_ROWS rows. */
static __global__ void sum_rows_kernel(float *partial, const real *x, int64_t rows, int64_t cols)
{
    int64_t strips = divide_up(cols, THREADS), c = blockIdx.x % strips * THREADS + threadIdx.x,
            chunk = blockIdx.x / strips;
    if (c >= cols) return;
    float sum = 0;
    for (int64_t r = chunk * CHUNK_ROWS; r < rows && r < (chunk + 1) * CHUNK_ROWS; r++)
        sum += to_float(x[r * cols + c]);
    partial[chunk * cols + c] = sum;
}

static void sum_rows(struct device *d, float *out, const real *x, int64_t rows, int64_t width, bool accumulate)
{
    int64_t chunks = divide_up(rows, CHUNK_ROWS);
    float *partial = (float *)cuda_scratch(d, (size_t)(chunks * width) * sizeof *partial);
    LAUNCH(d, sum_rows_kernel, chunks * divide_up(width, THREADS), THREADS, 0, partial, x, rows, width);
    sum_partials(d, out, partial, chunks, width, width, accumulate);
}

/* A thread adds up a column. */
static __global__ void column_sums_kernel(double *sums, const real *x, int64_t rows, int64_t cols)
{
    int64_t c = (int64_t)blockIdx.x * THREADS + threadIdx.x;
    if (c >= cols) return;
    double sum = 0, squares = 0;
    for (int64_t r = 0; r < rows; r++) {
        double value = (double)to_float(x[r * cols + c]);
        sum += value;
        squares += value * value;
    }
    sums[c] = sum;
    sums[cols + c] = squares;
}

static void column_sums(struct device *d, double *sums, const real *x, int64_t rows, int64_t cols)
{
    LAUNCH(d, column_sums_kernel, divide_up(cols, THREADS), THREADS, 0, sums, x, rows, cols);
}

static __global__ void standardize_kernel(real *y, const real *x, const float *mean, const float *scale, int64_t total,
                                          int64_t cols)
{
    int64_t at = (int64_t)blockIdx.x * THREADS + threadIdx.x;
    if (at < total) from_float(&y[at], (to_float(x[at]) - mean[at % cols]) * scale[at % cols]);
}

static void standardize(struct device *d, real *y, const real *x, const float *mean, const float *scale, int64_t rows,
                        int64_t cols)
{
    LAUNCH(d, standardize_kernel, divide_up(rows * cols, THREADS), THREADS, 0, y, x, mean, scale, rows * cols, cols);
}

static __global__ void add_row_kernel(float *y, const float *row, int64_t total, int64_t cols)
{
    int64_t at = (int64_t)blockIdx.x * THREADS + threadIdx.x;
    if (at < total) y[at] += row[at % cols];
}

static void add_row(struct device *d, float *y, const float *row, int64_t rows, int64_t cols)
{
    LAUNCH(d, add_row_kernel, divide_up(rows * cols, THREADS), THREADS, 0, y, row, rows * cols, cols);
}

/* --- patches and tokens --- */

/* A thread makes one element; neighbours read neighbouring pixels. */
static __global__ void patches_kernel(real *out, const uint8_t *pixels, int64_t total, int height, int width, int patch)
{
    int64_t at = (int64_t)blockIdx.x * THREADS + threadIdx.x;
    if (at >= total) return;
    int down = height / patch, across = width / patch, columns = 3 * patch * patch, in = (int)(at % columns);
    int64_t p = at / columns;
    int c = in / (patch * patch), y = in / patch % patch, x = in % patch;
    int gx = (int)(p % across), gy = (int)(p / across % down);
    int64_t n = p / across / down;
    uint8_t value = pixels[((n * height + gy * patch + y) * width + gx * patch + x) * 3 + c];
    from_float(&out[at], (float)value * (1 / 127.5f) - 1);
}

static void patches(struct device *d, real *out, const uint8_t *pixels, int64_t images, struct extent size,
                    int64_t patch)
{
    int64_t total = images * extent_area(extent_grid(size, patch)) * 3 * patch * patch;
    LAUNCH(d, patches_kernel, divide_up(total, THREADS), THREADS, 0, out, pixels, total, (int)size.height,
           (int)size.width, (int)patch);
}

static __global__ void tokens_forward_kernel(real *out, const real *in, const real *class_token, const real *positions,
                                             const uint8_t *hidden, int64_t total, int64_t count, int64_t width)
{
    int64_t at = (int64_t)blockIdx.x * THREADS + threadIdx.x;
    if (at >= total) return;
    int64_t first = class_token != NULL, tokens = count + first, i = at % width, row = at / width, n = row / tokens,
            t = row % tokens;
    float value;
    if (t < first)
        value = to_float(class_token[i]);
    else {
        int64_t p = n * count + t - first;
        value = hidden && hidden[p] ? 0 : to_float(in[p * width + i]);
    }
    from_float(&out[at], value + to_float(positions[t * width + i]));
}

static void tokens_forward(struct device *d, real *out, const real *in, const real *class_token, const real *positions,
                           const uint8_t *hidden, int64_t images, int64_t count, int64_t width)
{
    int64_t total = images * (count + (class_token != NULL)) * width;
    LAUNCH(d, tokens_forward_kernel, divide_up(total, THREADS), THREADS, 0, out, in, class_token, positions, hidden,
           total, count, width);
}

/* A thread sums one element of the position table over all images. */
static __global__ void tokens_backward_kernel(real *d_patches, float *d_class, float *d_positions, const real *dy,
                                              const uint8_t *hidden, int64_t images, int64_t count, int64_t width,
                                              int64_t first, bool accumulate_class, bool accumulate_positions)
{
    int64_t at = (int64_t)blockIdx.x * THREADS + threadIdx.x, tokens = count + first;
    if (at >= tokens * width) return;
    int64_t t = at / width, i = at % width;
    float sum = 0;
    for (int64_t n = 0; n < images; n++) {
        real g = dy[(n * tokens + t) * width + i];
        sum += to_float(g);
        if (t < first || !d_patches) continue;
        int64_t p = n * count + t - first;
        if (hidden && hidden[p]) from_float(&g, 0);
        d_patches[p * width + i] = g;
    }
    d_positions[at] = accumulate_positions ? d_positions[at] + sum : sum;
    if (t < first) d_class[i] = accumulate_class ? d_class[i] + sum : sum;
}

static void tokens_backward(struct device *d, real *d_patches, float *d_class, float *d_positions, const real *dy,
                            const uint8_t *hidden, int64_t images, int64_t count, int64_t width, bool accumulate_class,
                            bool accumulate_positions)
{
    int64_t first = d_class != NULL;
    LAUNCH(d, tokens_backward_kernel, divide_up((count + first) * width, THREADS), THREADS, 0, d_patches, d_class,
           d_positions, dy, hidden, images, count, width, first, accumulate_class, accumulate_positions);
}

/* Where position i of `to` falls among `from`, by half-pixel centres or, with corners, first on first and last on last:
 * the two neighbours and the weight of the second. */
static __device__ void bilinear(int64_t i, int64_t to, int64_t from, bool corners, int64_t *low, int64_t *high,
                                float *weight)
{
    float at = ((float)i + .5f) * (float)from / (float)to - .5f;
    if (corners) at = to > 1 ? (float)i * (float)(from - 1) / (float)(to - 1) : 0;
    if (at < 0) at = 0;
    *low = (int64_t)at;
    *high = *low + 1 < from ? *low + 1 : *low;
    *weight = at - (float)*low;
}

static __global__ void grid_resize_kernel(real *out, const real *x, int64_t first, struct extent to, struct extent from,
                                          int64_t width)
{
    int64_t at = (int64_t)blockIdx.x * THREADS + threadIdx.x;
    if (at >= (first + to.height * to.width) * width) return;
    int64_t row = at / width - first, i = at % width;
    if (row < 0) {
        out[at] = x[at];
        return;
    }
    int64_t y0, y1, x0, x1;
    float wy, wx;
    bilinear(row / to.width, to.height, from.height, false, &y0, &y1, &wy);
    bilinear(row % to.width, to.width, from.width, false, &x0, &x1, &wx);
    const real *upper = x + (first + y0 * from.width) * width + i, *lower = x + (first + y1 * from.width) * width + i;
    float top = (1 - wx) * to_float(upper[x0 * width]) + wx * to_float(upper[x1 * width]);
    float bottom = (1 - wx) * to_float(lower[x0 * width]) + wx * to_float(lower[x1 * width]);
    from_float(&out[at], (1 - wy) * top + wy * bottom);
}

static void grid_resize(struct device *d, real *out, const real *x, int64_t first, struct extent to, struct extent from,
                        int64_t width)
{
    LAUNCH(d, grid_resize_kernel, divide_up((first + extent_area(to)) * width, THREADS), THREADS, 0, out, x, first, to,
           from, width);
}

/* A thread gathers one element of the small table from all of the large one. */
static __global__ void grid_backward_kernel(float *dx, const float *dy, int64_t first, struct extent to,
                                            struct extent from, int64_t width, bool accumulate)
{
    int64_t at = (int64_t)blockIdx.x * THREADS + threadIdx.x;
    if (at >= (first + from.height * from.width) * width) return;
    int64_t row = at / width - first, i = at % width;
    float sum = 0;
    if (row < 0) sum = dy[at];
    for (int64_t y = 0; y < to.height && row >= 0; y++) {
        int64_t y0, y1;
        float wy;
        bilinear(y, to.height, from.height, false, &y0, &y1, &wy);
        float in_y = (y0 == row / from.width ? 1 - wy : 0) + (y1 == row / from.width ? wy : 0);
        if (in_y == 0) continue;
        for (int64_t x = 0; x < to.width; x++) {
            int64_t x0, x1;
            float wx;
            bilinear(x, to.width, from.width, false, &x0, &x1, &wx);
            float in_x = (x0 == row % from.width ? 1 - wx : 0) + (x1 == row % from.width ? wx : 0);
            if (in_x != 0) sum += in_y * in_x * dy[(first + y * to.width + x) * width + i];
        }
    }
    dx[at] = accumulate ? dx[at] + sum : sum;
}

static void grid_resize_backward(struct device *d, float *dx, const float *dy, int64_t first, struct extent to,
                                 struct extent from, int64_t width, bool accumulate)
{
    LAUNCH(d, grid_backward_kernel, divide_up((first + extent_area(from)) * width, THREADS), THREADS, 0, dx, dy, first,
           to, from, width, accumulate);
}

/* --- embeddings and gathers --- */

static __global__ void embed_forward_kernel(real *out, const real *table, const real *positions, const int32_t *ids,
                                            const int32_t *places, int64_t total, int64_t width)
{
    int64_t at = (int64_t)blockIdx.x * THREADS + threadIdx.x;
    if (at >= total) return;
    int64_t r = at / width, i = at % width;
    from_float(&out[at], (ids[r] < 0 ? 0 : to_float(table[ids[r] * width + i])) +
                             (positions ? to_float(positions[places[r] * width + i]) : 0));
}

static void embed_forward(struct device *d, real *out, const real *table, const real *positions, const int32_t *ids,
                          const int32_t *places, int64_t rows, int64_t width)
{
    LAUNCH(d, embed_forward_kernel, divide_up(rows * width, THREADS), THREADS, 0, out, table, positions, ids, places,
           rows * width, width);
}

/* The block of the first row of an id (in sorted order) adds all rows of it. */
static __global__ void embed_table_kernel(float *d_table, const real *dy, const int32_t *ids, const int32_t *order,
                                          int64_t rows, int64_t width)
{
    int64_t first = blockIdx.x;
    int32_t id = ids[order[first]];
    if (id < 0 || (first > 0 && ids[order[first - 1]] == id)) return;
    for (int64_t i = threadIdx.x; i < width; i += THREADS) {
        float sum = 0;
        for (int64_t r = first; r < rows && ids[order[r]] == id; r++) sum += to_float(dy[order[r] * width + i]);
        d_table[id * width + i] += sum;
    }
}

static __global__ void embed_positions_kernel(float *d_positions, const real *dy, const int32_t *places, int64_t rows,
                                              int64_t width)
{
    int64_t place = blockIdx.x;
    for (int64_t i = threadIdx.x; i < width; i += THREADS) {
        float sum = 0;
        for (int64_t r = 0; r < rows; r++)
            if (places[r] == place) sum += to_float(dy[r * width + i]);
        d_positions[place * width + i] += sum;
    }
}

static void embed_backward(struct device *d, float *d_table, float *d_positions, const real *dy, const int32_t *ids,
                           const int32_t *places, const int32_t *order, int64_t rows, int64_t width,
                           int64_t position_count)
{
    LAUNCH(d, embed_table_kernel, rows, THREADS, 0, d_table, dy, ids, order, rows, width);
    if (d_positions)
        LAUNCH(d, embed_positions_kernel, position_count, THREADS, 0, d_positions, dy, places, rows, width);
}

static __global__ void gather_kernel(real *out, const real *x, const int32_t *index, int64_t total, int64_t width)
{
    int64_t at = (int64_t)blockIdx.x * THREADS + threadIdx.x;
    if (at < total) out[at] = x[index[at / width] * width + at % width];
}

static void gather_rows(struct device *d, real *out, const real *x, const int32_t *index, int64_t rows, int64_t width)
{
    LAUNCH(d, gather_kernel, divide_up(rows * width, THREADS), THREADS, 0, out, x, index, rows * width, width);
}

static __global__ void scatter_kernel(real *x, const real *y, const int32_t *index, int64_t total, int64_t width)
{
    int64_t at = (int64_t)blockIdx.x * THREADS + threadIdx.x;
    if (at >= total) return;
    real *to = x + index[at / width] * width + at % width;
    from_float(to, to_float(*to) + to_float(y[at]));
}

static void scatter_rows_add(struct device *d, real *x, const real *y, const int32_t *index, int64_t rows,
                             int64_t width)
{
    LAUNCH(d, scatter_kernel, divide_up(rows * width, THREADS), THREADS, 0, x, y, index, rows * width, width);
}

static __global__ void repeat_kernel(real *out, const real *x, int64_t total, int64_t width)
{
    int64_t at = (int64_t)blockIdx.x * THREADS + threadIdx.x;
    if (at < total) out[at] = x[at % width];
}

static void repeat_row(struct device *d, real *out, const real *x, int64_t rows, int64_t width)
{
    LAUNCH(d, repeat_kernel, divide_up(rows * width, THREADS), THREADS, 0, out, x, rows * width, width);
}

/* --- unit length and cosine: a warp a row --- */

template <typename T> static __device__ float row_dot(const T *a, const real *b, int64_t cols, int lane)
{
    float sum = 0;
    for (int64_t i = lane; i < cols; i += WARP) sum += to_float(a[i]) * to_float(b[i]);
    return warp_sum(sum);
}

static __global__ void normalize_forward_kernel(float *y, float *norm, const real *x, int64_t rows, int64_t cols)
{
    int64_t r = (int64_t)blockIdx.x * WARPS + threadIdx.x / WARP;
    int lane = threadIdx.x % WARP;
    if (r >= rows) return;
    float length = sqrtf(row_dot(x + r * cols, x + r * cols, cols, lane)), inverse = 1 / fmaxf(length, 1e-12f);
    for (int64_t i = lane; i < cols; i += WARP) y[r * cols + i] = to_float(x[r * cols + i]) * inverse;
    if (lane == 0 && norm) norm[r] = length;
}

static void normalize_forward(struct device *d, float *y, float *norm, const real *x, int64_t rows, int64_t cols)
{
    LAUNCH(d, normalize_forward_kernel, divide_up(rows, WARPS), THREADS, 0, y, norm, x, rows, cols);
}

static __global__ void normalize_backward_kernel(real *dx, const float *dy, const float *y, const float *norm,
                                                 int64_t rows, int64_t cols, bool accumulate)
{
    int64_t r = (int64_t)blockIdx.x * WARPS + threadIdx.x / WARP;
    int lane = threadIdx.x % WARP;
    if (r >= rows) return;
    float along = 0, inverse = 1 / fmaxf(norm[r], 1e-12f);
    for (int64_t i = lane; i < cols; i += WARP) along += dy[r * cols + i] * y[r * cols + i];
    along = warp_sum(along);
    for (int64_t i = r * cols + lane; i < (r + 1) * cols; i += WARP) {
        float g = (dy[i] - y[i] * along) * inverse;
        from_float(&dx[i], accumulate ? to_float(dx[i]) + g : g);
    }
}

static void normalize_backward(struct device *d, real *dx, const float *dy, const float *y, const float *norm,
                               int64_t rows, int64_t cols, bool accumulate)
{
    LAUNCH(d, normalize_backward_kernel, divide_up(rows, WARPS), THREADS, 0, dx, dy, y, norm, rows, cols, accumulate);
}

/* dx NULL: the cosine; else its gradient. */
static __global__ void cosine_kernel(float *cosine, real *dx, const real *x, const real *y, const float *weight,
                                     int64_t rows, int64_t cols, bool accumulate)
{
    int64_t r = (int64_t)blockIdx.x * WARPS + threadIdx.x / WARP;
    int lane = threadIdx.x % WARP;
    if (r >= rows) return;
    const real *a = x + r * cols, *b = y + r * cols;
    float la = fmaxf(sqrtf(row_dot(a, a, cols, lane)), 1e-8f), lb = fmaxf(sqrtf(row_dot(b, b, cols, lane)), 1e-8f);
    float c = row_dot(a, b, cols, lane) / (la * lb);
    if (cosine && lane == 0) cosine[r] = c;
    for (int64_t i = lane; i < cols && dx; i += WARP) {
        float g = weight[r] * (to_float(b[i]) / lb - to_float(a[i]) / la * c) / la;
        from_float(&dx[r * cols + i], accumulate ? to_float(dx[r * cols + i]) + g : g);
    }
}

static void cosine_forward(struct device *d, float *cosine, const real *x, const real *y, int64_t rows, int64_t cols)
{
    LAUNCH(d, cosine_kernel, divide_up(rows, WARPS), THREADS, 0, cosine, (real *)NULL, x, y, (const float *)NULL, rows,
           cols, false);
}

static void cosine_backward(struct device *d, real *dx, const real *x, const real *y, const float *weight, int64_t rows,
                            int64_t cols, bool accumulate)
{
    LAUNCH(d, cosine_kernel, divide_up(rows, WARPS), THREADS, 0, (float *)NULL, dx, x, y, weight, rows, cols,
           accumulate);
}
