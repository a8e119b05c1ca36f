/* Kernels over maps.  Convolutions gather what each pixel sees into scratch, a strip of pixels at a time, for the
 * products of linear layers; sums over strips go in order.  Elsewhere a thread makes an element, or a block the norm of
 * a group of a picture. */

/* --- convolution --- */

/* Elements of a strip: enough to fill a GPU, few beside the maps. */
enum { STRIP_ELEMENTS = 1 << 25 };

/* out [pixels, taps * channels] from pixel `first` on: W channels a thread.  `back`: pixels of `from` gather the rows
 * of `to` that saw them, tap by tap. */
template <int W>
static __global__ void gather_taps_kernel(real *out, const real *x, struct convolve c, bool back, int channels,
                                          int64_t first, int64_t total)
{
    int64_t at = ((int64_t)blockIdx.x * THREADS + threadIdx.x) * W;
    if (at >= total) return;
    int depth = (int)(c.kernel * c.kernel) * channels, column = (int)(at % depth), tap = column / channels;
    int64_t pixel = first + at / depth, i = tap / c.kernel - c.padding, j = tap % c.kernel - c.padding;
    struct extent here = back ? c.from : c.to, there = back ? c.to : c.from;
    int64_t px = pixel % here.width, py = pixel / here.width % here.height, n = pixel / here.width / here.height;
    int64_t y = back ? py - i : py * c.stride + i, x0 = back ? px - j : px * c.stride + j;
    bool seen = y >= 0 && x0 >= 0;
    if (back) {
        seen = seen && y % c.stride == 0 && x0 % c.stride == 0;
        y /= c.stride;
        x0 /= c.stride;
    }
    pack<W, real> v;
    for (int k = 0; k < W; k++) from_float(&v.value[k], 0);
    if (seen && y < there.height && x0 < there.width)
        v = load<W>(x + ((n * there.height + y) * there.width + x0) * channels + column % channels);
    store<W>(out + at, v);
}

static void gather_taps(struct device *d, real *out, const real *x, const struct convolve *c, bool back, int64_t first,
                        int64_t pixels)
{
    int64_t channels = back ? c->out : c->in, total = pixels * c->kernel * c->kernel * channels;
    if (whole(channels, x, out))
        LAUNCH(d, gather_taps_kernel<8>, divide_up(total, 8 * THREADS), THREADS, 0, out, x, *c, back, (int)channels,
               first, total);
    else
        LAUNCH(d, gather_taps_kernel<1>, divide_up(total, THREADS), THREADS, 0, out, x, *c, back, (int)channels, first,
               total);
}

/* Pixels of a strip whose rows have `depth` elements. */
static int64_t strip_pixels(int64_t pixels, int64_t depth)
{
    int64_t most = STRIP_ELEMENTS / depth / 128 * 128;
    return most < 128 ? 128 : most < pixels ? most : pixels;
}

static void convolve_forward(struct device *d, real *y, const real *x, const real *w, const real *b,
                             const struct convolve *c)
{
    int64_t depth = c->kernel * c->kernel * c->in, pixels = c->pictures * extent_area(c->to),
            strip = strip_pixels(pixels, depth);
    real *seen = (real *)cuda_scratch(d, (size_t)(strip * depth) * sizeof(real));
    for (int64_t p = 0; p < pixels; p += strip) {
        int64_t count = pixels - p < strip ? pixels - p : strip;
        struct linear_prepare plain = {};
        gather_taps(d, seen, x, c, false, p, count);
        linear_forward(d, y + p * c->out, NULL, seen, w, b, NULL, count, depth, c->out, plain);
    }
}

/* w [out, taps * in] -> [taps * out, in]. */
static __global__ void turn_weights_kernel(real *turned, const real *w, int64_t taps, int64_t out, int64_t in,
                                           int64_t total)
{
    int64_t at = (int64_t)blockIdx.x * THREADS + threadIdx.x, row = at / in;
    if (at < total) turned[at] = w[(row % out * taps + row / out) * in + at % in];
}

static void convolve_backward_input(struct device *d, real *dx, const real *dy, const real *w, const struct convolve *c,
                                    bool accumulate)
{
    int64_t taps = c->kernel * c->kernel, depth = taps * c->out, pixels = c->pictures * extent_area(c->from),
            strip = strip_pixels(pixels, depth), weights = divide_up(depth * c->in, 8) * 8;
    real *turned = (real *)cuda_scratch(d, (size_t)(weights + strip * depth) * sizeof(real)), *seen = turned + weights;
    LAUNCH(d, turn_weights_kernel, divide_up(depth * c->in, THREADS), THREADS, 0, turned, w, taps, c->out, c->in,
           depth * c->in);
    for (int64_t p = 0; p < pixels; p += strip) {
        int64_t count = pixels - p < strip ? pixels - p : strip;
        gather_taps(d, seen, dy, c, true, p, count);
        matmul(d, dx + p * c->in, false, c->in, seen, depth, false, turned, c->in, true, count, c->in, depth,
               accumulate);
    }
}

static void convolve_backward_weight(struct device *d, float *dw, float *db, const real *dy, const real *x,
                                     const struct convolve *c, bool accumulate_w, bool accumulate_b)
{
    int64_t depth = c->kernel * c->kernel * c->in, pixels = c->pictures * extent_area(c->to),
            strip = strip_pixels(pixels, depth);
    real *seen = (real *)cuda_scratch(d, (size_t)(strip * depth) * sizeof(real));
    for (int64_t p = 0; p < pixels; p += strip) {
        int64_t count = pixels - p < strip ? pixels - p : strip;
        struct linear_prepare plain = {};
        gather_taps(d, seen, x, c, false, p, count);
        linear_backward_weight(d, dw, NULL, dy + p * c->out, seen, count, depth, c->out, plain, accumulate_w || p > 0,
                               false);
    }
    if (db) sum_rows(d, db, dy, pixels, c->out, accumulate_b);
}

/* --- maps of another extent --- */

/* A thread an element of the result, or, back, of what it was made from. */
static __global__ void spread_kernel(real *to, const real *from, struct map_change m, int64_t factor, int64_t total,
                                     bool back, bool accumulate)
{
    int64_t at = (int64_t)blockIdx.x * THREADS + threadIdx.x;
    if (at >= total) return;
    int64_t run = factor * m.width, in = at % run, x = at / run % m.from.width, line = at / run / m.from.width;
    int64_t deep = ((line / factor * m.from.width + x) * factor + line % factor) * run + in;
    if (!back)
        to[at] = from[deep];
    else
        from_float(&to[deep], to_float(from[at]) + (accumulate ? to_float(to[deep]) : 0));
}

static int64_t change_count(const struct map_change *m)
{
    return m->pictures * extent_area(m->to) * m->width;
}

static void spread_forward(struct device *d, real *y, const real *x, const struct map_change *m, int64_t factor)
{
    LAUNCH(d, spread_kernel, divide_up(change_count(m), THREADS), THREADS, 0, y, x, *m, factor, change_count(m), false,
           false);
}

static void spread_backward(struct device *d, real *dx, const real *dy, const struct map_change *m, int64_t factor,
                            bool accumulate)
{
    LAUNCH(d, spread_kernel, divide_up(change_count(m), THREADS), THREADS, 0, dx, dy, *m, factor, change_count(m), true,
           accumulate);
}

/* The first of a window's elements that none exceeds; x: its first, of one channel. */
static __device__ int64_t window_top(const real *x, int64_t line, int64_t width, int64_t kernel)
{
    int64_t best = 0;
    for (int64_t k = 1; k < kernel * kernel; k++)
        if (to_float(x[k / kernel * line + k % kernel * width]) >
            to_float(x[best / kernel * line + best % kernel * width]))
            best = k;
    return best;
}

static __global__ void max_pool_kernel(real *y, const real *x, struct map_change m, int64_t kernel, int64_t stride,
                                       int64_t total)
{
    int64_t at = (int64_t)blockIdx.x * THREADS + threadIdx.x, pixel = at / m.width, line = m.from.width * m.width;
    if (at >= total) return;
    int64_t n = pixel / m.to.width / m.to.height, row = pixel / m.to.width % m.to.height * stride;
    x += (n * m.from.height + row) * line + pixel % m.to.width * stride * m.width + at % m.width;
    int64_t top = window_top(x, line, m.width, kernel);
    y[at] = x[top / kernel * line + top % kernel * m.width];
}

static void max_pool_forward(struct device *d, real *y, const real *x, const struct map_change *m, int64_t kernel,
                             int64_t stride)
{
    LAUNCH(d, max_pool_kernel, divide_up(change_count(m), THREADS), THREADS, 0, y, x, *m, kernel, stride,
           change_count(m));
}

/* Each element asks the windows it lies in. */
static __global__ void max_pool_backward_kernel(real *dx, const real *dy, const real *x, struct map_change m,
                                                int64_t kernel, int64_t stride, int64_t total, bool accumulate)
{
    int64_t at = (int64_t)blockIdx.x * THREADS + threadIdx.x, pixel = at / m.width, line = m.from.width * m.width;
    if (at >= total) return;
    int64_t n = pixel / m.from.width / m.from.height, py = pixel / m.from.width % m.from.height,
            px = pixel % m.from.width;
    float sum = 0;
    for (int64_t oy = py < kernel ? 0 : (py - kernel) / stride + 1; oy * stride <= py && oy < m.to.height; oy++)
        for (int64_t ox = px < kernel ? 0 : (px - kernel) / stride + 1; ox * stride <= px && ox < m.to.width; ox++) {
            const real *window = x + (n * m.from.height + oy * stride) * line + ox * stride * m.width + at % m.width;
            if (window_top(window, line, m.width, kernel) == (py - oy * stride) * kernel + px - ox * stride)
                sum += to_float(dy[((n * m.to.height + oy) * m.to.width + ox) * m.width + at % m.width]);
        }
    from_float(&dx[at], accumulate ? to_float(dx[at]) + sum : sum);
}

static void max_pool_backward(struct device *d, real *dx, const real *dy, const real *x, const struct map_change *m,
                              int64_t kernel, int64_t stride, bool accumulate)
{
    int64_t total = m->pictures * extent_area(m->from) * m->width;
    LAUNCH(d, max_pool_backward_kernel, divide_up(total, THREADS), THREADS, 0, dx, dy, x, *m, kernel, stride, total,
           accumulate);
}

static __global__ void resize_kernel(real *y, const real *x, struct map_change m, bool corners, int64_t total)
{
    int64_t at = (int64_t)blockIdx.x * THREADS + threadIdx.x, pixel = at / m.width;
    if (at >= total) return;
    int64_t y0, y1, x0, x1;
    float wy, wx;
    bilinear(pixel / m.to.width % m.to.height, m.to.height, m.from.height, corners, &y0, &y1, &wy);
    bilinear(pixel % m.to.width, m.to.width, m.from.width, corners, &x0, &x1, &wx);
    x += pixel / m.to.width / m.to.height * m.from.height * m.from.width * m.width + at % m.width;
    const real *upper = x + y0 * m.from.width * m.width, *lower = x + y1 * m.from.width * m.width;
    float top = (1 - wx) * to_float(upper[x0 * m.width]) + wx * to_float(upper[x1 * m.width]);
    float bottom = (1 - wx) * to_float(lower[x0 * m.width]) + wx * to_float(lower[x1 * m.width]);
    from_float(&y[at], (1 - wy) * top + wy * bottom);
}

static void resize_forward(struct device *d, real *y, const real *x, const struct map_change *m, bool corners)
{
    LAUNCH(d, resize_kernel, divide_up(change_count(m), THREADS), THREADS, 0, y, x, *m, corners, change_count(m));
}

/* Positions [*first, *end) of `to` hold all that read position i of `from`, and perhaps others. */
static __device__ void readers(int64_t i, int64_t to, int64_t from, bool corners, int64_t *first, int64_t *end)
{
    float step = corners ? from > 1 ? (float)(to - 1) / (float)(from - 1) : (float)to : (float)to / (float)from;
    float shift = corners ? 0 : .5f;
    int64_t low = (int64_t)floorf(((float)(i - 1) + shift) * step - shift) - 1,
            high = (int64_t)ceilf(((float)(i + 1) + shift) * step - shift) + 2;
    *first = low < 0 ? 0 : low;
    *end = high > to ? to : high;
}

/* How much of position i of `from` is in position k of `to`. */
static __device__ float reads(int64_t k, int64_t to, int64_t i, int64_t from, bool corners)
{
    int64_t low, high;
    float weight;
    bilinear(k, to, from, corners, &low, &high, &weight);
    return (low == i ? 1 - weight : 0) + (high == i ? weight : 0);
}

static __global__ void resize_backward_kernel(real *dx, const real *dy, struct map_change m, bool corners,
                                              int64_t total, bool accumulate)
{
    int64_t at = (int64_t)blockIdx.x * THREADS + threadIdx.x, pixel = at / m.width;
    if (at >= total) return;
    int64_t n = pixel / m.from.width / m.from.height, py = pixel / m.from.width % m.from.height,
            px = pixel % m.from.width, top, bottom, left, right;
    readers(py, m.to.height, m.from.height, corners, &top, &bottom);
    readers(px, m.to.width, m.from.width, corners, &left, &right);
    float sum = 0;
    for (int64_t y = top; y < bottom; y++) {
        float in_y = reads(y, m.to.height, py, m.from.height, corners);
        for (int64_t x = left; x < right && in_y != 0; x++)
            sum += in_y * reads(x, m.to.width, px, m.from.width, corners) *
                   to_float(dy[((n * m.to.height + y) * m.to.width + x) * m.width + at % m.width]);
    }
    from_float(&dx[at], accumulate ? to_float(dx[at]) + sum : sum);
}

static void resize_backward(struct device *d, real *dx, const real *dy, const struct map_change *m, bool corners,
                            bool accumulate)
{
    int64_t total = m->pictures * extent_area(m->from) * m->width;
    LAUNCH(d, resize_backward_kernel, divide_up(total, THREADS), THREADS, 0, dx, dy, *m, corners, total, accumulate);
}

/* --- group norm: a block a group of a picture --- */

/* The block's sum, for all its threads. */
static __device__ float shared_sum(float x)
{
    __shared__ float all;
    double sum = block_sum((double)x);
    if (threadIdx.x == 0) all = (float)sum;
    __syncthreads();
    return all;
}

static __global__ void __launch_bounds__(THREADS)
    group_norm_kernel(real *y, float *mean, float *rstd, const real *x, const float *scale, const float *shift,
                      int64_t area, int cols, int groups)
{
    int width = cols / groups, group = (int)(blockIdx.x % groups);
    int64_t first = blockIdx.x / groups * area * cols + group * width, count = area * width;
    float sum = 0, squares = 0;
    for (int64_t i = threadIdx.x; i < count; i += THREADS) sum += to_float(x[first + i / width * cols + i % width]);
    float m = shared_sum(sum) / (float)count;
    for (int64_t i = threadIdx.x; i < count; i += THREADS) {
        float centred = to_float(x[first + i / width * cols + i % width]) - m;
        squares += centred * centred;
    }
    float s = rsqrtf(shared_sum(squares) / (float)count + 1e-5f);
    for (int64_t i = threadIdx.x; i < count; i += THREADS) {
        int64_t at = first + i / width * cols + i % width, column = group * width + i % width;
        from_float(&y[at], (to_float(x[at]) - m) * s * scale[column] + shift[column]);
    }
    if (threadIdx.x == 0) mean[blockIdx.x] = m, rstd[blockIdx.x] = s;
}

static void group_norm_forward(struct device *d, real *y, float *mean, float *rstd, const real *x, const float *scale,
                               const float *shift, int64_t pictures, int64_t area, int64_t cols, int64_t groups)
{
    LAUNCH(d, group_norm_kernel, pictures * groups, THREADS, 0, y, mean, rstd, x, scale, shift, area, (int)cols,
           (int)groups);
}

/* dx, and the picture's sums of the parameters' gradients into partial [pictures, 2, cols]: threads share a channel's
 * pixels, and one adds their sums up in order. */
static __global__ void __launch_bounds__(THREADS)
    group_norm_backward_kernel(real *dx, float *partial, const real *dy, const real *x, const float *mean,
                               const float *rstd, const float *scale, int64_t area, int cols, int groups,
                               bool accumulate)
{
    __shared__ float parts[2][THREADS];
    int width = cols / groups, group = (int)(blockIdx.x % groups), t = threadIdx.x;
    int64_t n = blockIdx.x / groups, first = n * area * cols + group * width, count = area * width;
    float m = mean[blockIdx.x], s = rstd[blockIdx.x], plain = 0, along = 0;
    for (int base = 0; base < width; base += THREADS) {
        int some = width - base < THREADS ? width - base : THREADS, sharing = THREADS / some;
        float to_shift = 0, to_scale = 0;
        for (int64_t p = t / some; p < area && t < sharing * some; p += sharing) {
            int64_t at = first + p * cols + base + t % some;
            to_shift += to_float(dy[at]);
            to_scale += to_float(dy[at]) * (to_float(x[at]) - m) * s;
        }
        parts[0][t] = to_shift;
        parts[1][t] = to_scale;
        __syncthreads();
        if (t < some) {
            for (int k = 1; k < sharing; k++) to_shift += parts[0][k * some + t], to_scale += parts[1][k * some + t];
            int64_t column = group * width + base + t;
            partial[n * 2 * cols + column] = to_scale;
            partial[(n * 2 + 1) * cols + column] = to_shift;
            plain += to_shift * scale[column];
            along += to_scale * scale[column];
        }
        __syncthreads();
    }
    if (!dx) return;
    plain = shared_sum(plain) / (float)count;
    along = shared_sum(along) / (float)count;
    for (int64_t i = t; i < count; i += THREADS) {
        int64_t at = first + i / width * cols + i % width;
        float slope =
            s * (to_float(dy[at]) * scale[group * width + i % width] - plain - (to_float(x[at]) - m) * s * along);
        from_float(&dx[at], accumulate ? to_float(dx[at]) + slope : slope);
    }
}

static void group_norm_backward(struct device *d, real *dx, float *d_scale, float *d_shift, const real *dy,
                                const real *x, const float *mean, const float *rstd, const float *scale,
                                int64_t pictures, int64_t area, int64_t cols, int64_t groups, bool accumulate_x,
                                bool accumulate_scale, bool accumulate_shift)
{
    float *partial = (float *)cuda_scratch(d, (size_t)(pictures * 2 * cols) * sizeof *partial);
    LAUNCH(d, group_norm_backward_kernel, pictures * groups, THREADS, 0, dx, partial, dy, x, mean, rstd, scale, area,
           (int)cols, (int)groups, accumulate_x);
    sum_partials(d, d_scale, partial, pictures, 2 * cols, cols, accumulate_scale);
    sum_partials(d, d_shift, partial + cols, pictures, 2 * cols, cols, accumulate_shift);
}

/* --- element by element --- */

static __global__ void affine_kernel(real *y, const real *x, const float *scale, const float *shift, int64_t total,
                                     int64_t cols)
{
    int64_t at = (int64_t)blockIdx.x * THREADS + threadIdx.x;
    if (at < total) from_float(&y[at], to_float(x[at]) * scale[at % cols] + shift[at % cols]);
}

static void affine_forward(struct device *d, real *y, const real *x, const float *scale, const float *shift,
                           int64_t rows, int64_t cols)
{
    LAUNCH(d, affine_kernel, divide_up(rows * cols, THREADS), THREADS, 0, y, x, scale, shift, rows * cols, cols);
}

/* A thread takes a column of CHUNK_ROWS rows: partial [chunks, 2, cols]. */
static __global__ void affine_backward_kernel(real *dx, float *partial, const real *dy, const real *x,
                                              const float *scale, int64_t rows, int64_t cols, bool accumulate)
{
    int64_t strips = divide_up(cols, THREADS), c = blockIdx.x % strips * THREADS + threadIdx.x,
            chunk = blockIdx.x / strips;
    if (c >= cols) return;
    float plain = 0, along = 0;
    for (int64_t r = chunk * CHUNK_ROWS; r < rows && r < (chunk + 1) * CHUNK_ROWS; r++) {
        float slope = to_float(dy[r * cols + c]);
        plain += slope;
        along += slope * to_float(x[r * cols + c]);
        if (dx) from_float(&dx[r * cols + c], slope * scale[c] + (accumulate ? to_float(dx[r * cols + c]) : 0));
    }
    partial[chunk * 2 * cols + c] = along;
    partial[(chunk * 2 + 1) * cols + c] = plain;
}

static void affine_backward(struct device *d, real *dx, float *d_scale, float *d_shift, const real *dy, const real *x,
                            const float *scale, int64_t rows, int64_t cols, bool accumulate_x, bool accumulate_scale,
                            bool accumulate_shift)
{
    int64_t chunks = divide_up(rows, CHUNK_ROWS);
    float *partial = (float *)cuda_scratch(d, (size_t)(chunks * 2 * cols) * sizeof *partial);
    LAUNCH(d, affine_backward_kernel, chunks * divide_up(cols, THREADS), THREADS, 0, dx, partial, dy, x, scale, rows,
           cols, accumulate_x);
    sum_partials(d, d_scale, partial, chunks, 2 * cols, cols, accumulate_scale);
    sum_partials(d, d_shift, partial + cols, chunks, 2 * cols, cols, accumulate_shift);
}

static __global__ void activation_kernel(real *y, const real *x, bool relu, int64_t count)
{
    int64_t at = (int64_t)blockIdx.x * THREADS + threadIdx.x;
    if (at >= count) return;
    float v = to_float(x[at]);
    from_float(&y[at], relu ? fmaxf(v, 0) : gelu_of(v));
}

static void activation_forward(struct device *d, real *y, const real *x, enum activation kind, int64_t count)
{
    LAUNCH(d, activation_kernel, divide_up(count, THREADS), THREADS, 0, y, x, kind == ACTIVATION_RELU, count);
}

static __global__ void activation_backward_kernel(real *dx, const real *dy, const real *x, bool relu, int64_t count,
                                                  bool accumulate)
{
    int64_t at = (int64_t)blockIdx.x * THREADS + threadIdx.x;
    if (at >= count) return;
    float v = to_float(x[at]), slope = to_float(dy[at]) * (relu ? v > 0 : gelu_slope(v));
    from_float(&dx[at], accumulate ? to_float(dx[at]) + slope : slope);
}

static void activation_backward(struct device *d, real *dx, const real *dy, const real *x, enum activation kind,
                                int64_t count, bool accumulate)
{
    LAUNCH(d, activation_backward_kernel, divide_up(count, THREADS), THREADS, 0, dx, dy, x, kind == ACTIVATION_RELU,
           count, accumulate);
}
