/* Losses of dense maps, and depth from bins.  A warp takes a pixel; what it found of it (lse, depth, sums) waits in
 * scratch for the gradient, where a block takes a cell of the grid and collects from the pixels that see it, in order.
 * */

/* The pixels of an axis that may see place g of the grid: [first, end). */
static __device__ void pixels_around(int64_t g, int64_t to, int64_t from, int64_t *first, int64_t *end)
{
    float step = (float)to / (float)from;
    *first = g == 0 ? 0 : (int64_t)fmaxf(((float)g - .5f) * step - 1.5f, 0);
    *end = g == from - 1 ? to : (int64_t)(((float)g + 1.5f) * step + 1.5f);
    if (*end > to) *end = to;
}

/* How much of place g pixel i sees. */
static __device__ float seen_share(int64_t i, int64_t g, int64_t to, int64_t from)
{
    int64_t low, high;
    float weight;
    bilinear(i, to, from, false, &low, &high, &weight);
    return (low == g ? 1 - weight : 0) + (high == g ? weight : 0);
}

/* Where a pixel lies among four rows of its picture's grid, and their weights. */
struct corners {
    int64_t at[4];
    float weight[4];
};

static __device__ struct corners corners_of(struct grid_view v, int64_t pixel)
{
    int64_t y0, y1, x0, x1;
    float wy, wx;
    bilinear(pixel / v.to.width, v.to.height, v.from.height, false, &y0, &y1, &wy);
    bilinear(pixel % v.to.width, v.to.width, v.from.width, false, &x0, &x1, &wx);
    return {{y0 * v.from.width + x0, y0 * v.from.width + x1, y1 * v.from.width + x0, y1 * v.from.width + x1},
            {(1 - wy) * (1 - wx), (1 - wy) * wx, wy * (1 - wx), wy * wx}};
}

static __device__ float seen_at(const real *x, const struct corners *c, int64_t cols, int64_t k)
{
    float sum = 0;
    for (int i = 0; i < 4; i++) sum += c->weight[i] * to_float(x[c->at[i] * cols + k]);
    return sum;
}

/* out [pictures] = sums of values [pictures, count] * scale, by a block each. */
static __global__ void picture_sums_kernel(float *out, const float *values, int64_t count, double scale)
{
    double sum = 0;
    for (int64_t i = threadIdx.x; i < count; i += THREADS) sum += (double)values[blockIdx.x * count + i];
    sum = block_sum(sum);
    if (threadIdx.x == 0) out[blockIdx.x] = (float)(sum * scale);
}

/* --- cross entropy --- */

static __global__ void pixel_kernel(float *loss, float *lse, const real *logits, const uint16_t *targets,
                                    struct grid_view v, int64_t classes, int64_t ignored)
{
    int64_t area = v.to.height * v.to.width, at = (int64_t)blockIdx.x * WARPS + threadIdx.x / WARP;
    int lane = threadIdx.x % WARP;
    if (at >= v.pictures * area) return;
    const real *x = logits + at / area * (v.from.height * v.from.width) * classes;
    struct corners c = corners_of(v, at % area);
    bool counts = targets[at] != ignored;
    float top = -INFINITY, sum = 0;
    for (int64_t k = lane; k < classes && counts; k += WARP) top = fmaxf(top, seen_at(x, &c, classes, k));
    top = warp_max(top);
    for (int64_t k = lane; k < classes && counts; k += WARP) sum += expf(seen_at(x, &c, classes, k) - top);
    sum = warp_sum(sum);
    if (lane) return;
    lse[at] = counts ? top + logf(sum) : 0;
    loss[at] = counts ? lse[at] - seen_at(x, &c, classes, targets[at]) : 0;
}

static __global__ void pixel_slope_kernel(real *slope, const float *lse, const real *logits, const uint16_t *targets,
                                          struct grid_view v, int64_t classes, int64_t ignored)
{
    int64_t area = v.to.height * v.to.width, grid = v.from.height * v.from.width;
    int64_t n = blockIdx.x / grid, cell = blockIdx.x % grid, y0, y1, x0, x1;
    const real *x = logits + n * grid * classes;
    pixels_around(cell / v.from.width, v.to.height, v.from.height, &y0, &y1);
    pixels_around(cell % v.from.width, v.to.width, v.from.width, &x0, &x1);
    for (int64_t k = threadIdx.x; k < classes; k += THREADS) {
        float sum = 0;
        for (int64_t row = y0; row < y1; row++) {
            float down = seen_share(row, cell / v.from.width, v.to.height, v.from.height);
            for (int64_t column = x0; column < x1 && down > 0; column++) {
                float share = down * seen_share(column, cell % v.from.width, v.to.width, v.from.width);
                int64_t at = n * area + row * v.to.width + column;
                if (!(share > 0) || targets[at] == ignored) continue;
                struct corners c = corners_of(v, at - n * area);
                sum += share * (expf(seen_at(x, &c, classes, k) - lse[at]) - (targets[at] == k ? 1.f : 0.f));
            }
        }
        from_float(&slope[(n * grid + cell) * classes + k], sum / (float)area);
    }
}

static void pixel_loss(struct device *d, float *loss, real *slope, const real *logits, const uint16_t *targets,
                       struct grid_view v, int64_t classes, int64_t ignored)
{
    int64_t area = extent_area(v.to), pixels = v.pictures * area;
    float *each = (float *)cuda_scratch(d, (size_t)(2 * pixels) * sizeof *each), *lse = each + pixels;
    LAUNCH(d, pixel_kernel, divide_up(pixels, WARPS), THREADS, 0, each, lse, logits, targets, v, classes, ignored);
    LAUNCH(d, picture_sums_kernel, v.pictures, THREADS, 0, loss, each, area, 1 / (double)area);
    if (slope)
        LAUNCH(d, pixel_slope_kernel, v.pictures * extent_area(v.from), THREADS, 0, slope, lse, logits, targets, v,
               classes, ignored);
}

/* --- depth from bins --- */

static __device__ float bin_centre(int64_t k, int64_t bins, float low, float high)
{
    return low + (high - low) * (float)k / (float)(bins - 1);
}

/* depth (NULL: not wanted); found [pixels, 2]: depth and the sum of the bins (NULL: not wanted). */
static __global__ void bins_kernel(real *depth, float *found, const real *logits, struct grid_view v, int64_t bins,
                                   float low, float high)
{
    int64_t area = v.to.height * v.to.width, at = (int64_t)blockIdx.x * WARPS + threadIdx.x / WARP;
    int lane = threadIdx.x % WARP;
    if (at >= v.pictures * area) return;
    const real *x = logits + at / area * (v.from.height * v.from.width) * bins;
    struct corners c = corners_of(v, at % area);
    float sum = 0, moment = 0;
    for (int64_t k = lane; k < bins; k += WARP) {
        float a = fmaxf(seen_at(x, &c, bins, k), 0) + .1f;
        sum += a;
        moment += a * bin_centre(k, bins, low, high);
    }
    sum = warp_sum(sum);
    moment = warp_sum(moment);
    if (lane) return;
    if (depth) from_float(&depth[at], moment / sum);
    if (found) found[2 * at] = moment / sum, found[2 * at + 1] = sum;
}

static __global__ void bins_slope_kernel(real *d_logits, const real *d_depth, const float *found, const real *logits,
                                         struct grid_view v, int64_t bins, float low, float high, bool accumulate)
{
    int64_t area = v.to.height * v.to.width, grid = v.from.height * v.from.width;
    int64_t n = blockIdx.x / grid, cell = blockIdx.x % grid, y0, y1, x0, x1;
    const real *x = logits + n * grid * bins;
    pixels_around(cell / v.from.width, v.to.height, v.from.height, &y0, &y1);
    pixels_around(cell % v.from.width, v.to.width, v.from.width, &x0, &x1);
    for (int64_t k = threadIdx.x; k < bins; k += THREADS) {
        float sum = 0;
        for (int64_t row = y0; row < y1; row++) {
            float down = seen_share(row, cell / v.from.width, v.to.height, v.from.height);
            for (int64_t column = x0; column < x1 && down > 0; column++) {
                float share = down * seen_share(column, cell % v.from.width, v.to.width, v.from.width);
                int64_t at = n * area + row * v.to.width + column;
                if (!(share > 0)) continue;
                struct corners c = corners_of(v, at - n * area);
                if (!(seen_at(x, &c, bins, k) > 0)) continue;
                sum += share * to_float(d_depth[at]) * (bin_centre(k, bins, low, high) - found[2 * at]) /
                       found[2 * at + 1];
            }
        }
        real *to = &d_logits[(n * grid + cell) * bins + k];
        from_float(to, accumulate ? to_float(*to) + sum : sum);
    }
}

static void bins_forward(struct device *d, real *depth, const real *logits, struct grid_view v, int64_t bins, float low,
                         float high)
{
    LAUNCH(d, bins_kernel, divide_up(v.pictures * extent_area(v.to), WARPS), THREADS, 0, depth, (float *)NULL, logits,
           v, bins, low, high);
}

static void bins_backward(struct device *d, real *d_logits, const real *d_depth, const real *logits, struct grid_view v,
                          int64_t bins, float low, float high, bool accumulate)
{
    int64_t pixels = v.pictures * extent_area(v.to);
    float *found = (float *)cuda_scratch(d, (size_t)(2 * pixels) * sizeof *found);
    LAUNCH(d, bins_kernel, divide_up(pixels, WARPS), THREADS, 0, (real *)NULL, found, logits, v, bins, low, high);
    LAUNCH(d, bins_slope_kernel, v.pictures * extent_area(v.from), THREADS, 0, d_logits, d_depth, found, logits, v,
           bins, low, high, accumulate);
}

/* --- depth in logarithms --- */

#define DEPTH_EPS .001f

/* A block takes a picture; stats [pictures, 3] mean, loss, count. */
static __global__ void depth_loss_kernel(float *loss, double *stats, const real *depth, const float *truth,
                                         struct grid_view v, float most, float spread)
{
    int64_t area = v.to.height * v.to.width, grid = v.from.height * v.from.width, n = blockIdx.x;
    double sum = 0, squares = 0, count = 0;
    for (int64_t i = threadIdx.x; i < area; i += THREADS) {
        float t = truth[n * area + i];
        if (!(t > 0 && t < most)) continue;
        struct corners c = corners_of(v, i);
        double g = (double)(logf(seen_at(depth + n * grid, &c, 1, 0) + DEPTH_EPS) - logf(t + DEPTH_EPS));
        sum += g;
        squares += g * g;
        count++;
    }
    sum = block_sum(sum);
    squares = block_sum(squares);
    count = block_sum(count);
    if (threadIdx.x) return;
    double mean = count > 0 ? sum / count : 0;
    double variance = count > 1 ? fmax((squares - count * mean * mean) / (count - 1), 0.0) : 0;
    double value = sqrt((double)spread * variance + 0.15 * mean * mean);
    loss[n] = (float)value;
    stats[3 * n] = mean;
    stats[3 * n + 1] = value;
    stats[3 * n + 2] = count;
}

/* A thread takes a cell of the grid. */
static __global__ void depth_slope_kernel(real *slope, const double *stats, const real *depth, const float *truth,
                                          struct grid_view v, float most, float spread)
{
    int64_t area = v.to.height * v.to.width, grid = v.from.height * v.from.width;
    int64_t index = (int64_t)blockIdx.x * THREADS + threadIdx.x, n = index / grid, cell = index % grid, y0, y1, x0, x1;
    if (index >= v.pictures * grid) return;
    double mean = stats[3 * n], value = stats[3 * n + 1], count = stats[3 * n + 2];
    double wide = count > 1 && value > 0 ? (double)spread / (count - 1) / value : 0;
    double level = value > 0 ? 0.15 * mean / count / value : 0;
    float sum = 0;
    pixels_around(cell / v.from.width, v.to.height, v.from.height, &y0, &y1);
    pixels_around(cell % v.from.width, v.to.width, v.from.width, &x0, &x1);
    for (int64_t row = y0; row < y1; row++) {
        float down = seen_share(row, cell / v.from.width, v.to.height, v.from.height);
        for (int64_t column = x0; column < x1 && down > 0; column++) {
            float share = down * seen_share(column, cell % v.from.width, v.to.width, v.from.width);
            int64_t at = row * v.to.width + column;
            float t = truth[n * area + at];
            if (!(share > 0) || !(t > 0 && t < most)) continue;
            struct corners c = corners_of(v, at);
            float p = seen_at(depth + n * grid, &c, 1, 0) + DEPTH_EPS;
            double g = (double)(logf(p) - logf(t + DEPTH_EPS));
            sum += share * ((float)((g - mean) * wide + level) / p);
        }
    }
    from_float(&slope[index], sum);
}

static void depth_loss(struct device *d, float *loss, real *slope, const real *depth, const float *truth,
                       struct grid_view v, float most, float spread)
{
    double *stats = (double *)cuda_scratch(d, (size_t)(3 * v.pictures) * sizeof *stats);
    LAUNCH(d, depth_loss_kernel, v.pictures, THREADS, 0, loss, stats, depth, truth, v, most, spread);
    if (slope)
        LAUNCH(d, depth_slope_kernel, divide_up(v.pictures * extent_area(v.from), THREADS), THREADS, 0, slope, stats,
               depth, truth, v, most, spread);
}
