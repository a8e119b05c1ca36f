/* Losses of a detector: a block a picture adds up in a fixed order; backward a thread an element. */

/* ln(1 + e^x); e^x / (1 + e^x) */
static __device__ __forceinline__ float softplus(float x)
{
    return fmaxf(x, 0) + log1pf(expf(-fabsf(x)));
}
static __device__ __forceinline__ float logistic(float x)
{
    return 1 / (1 + expf(-x));
}

/* Thread 0 of a picture's block: out = before + weight * the sum over the block. */
static __device__ __forceinline__ void picture_loss(float *out, const float *before, double sum, float weight)
{
    sum = block_sum(sum);
    if (threadIdx.x == 0) out[blockIdx.x] = (before ? before[blockIdx.x] : 0) + (float)(sum * (double)weight);
}

static __device__ __forceinline__ void put_slope(real *to, float slope, bool accumulate)
{
    from_float(to, slope + (accumulate ? to_float(*to) : 0));
}

static __global__ void focal_kernel(float *out, const float *before, const real *x, const int32_t *targets,
                                    int64_t rows, int64_t cols, float weight)
{
    int64_t first = blockIdx.x * rows;
    double sum = 0;
    for (int64_t i = threadIdx.x; i < rows * cols; i += THREADS) {
        float v = to_float(x[first * cols + i]), p = logistic(v), q = logistic(-v);
        bool hit = i % cols == targets[first + i / cols];
        sum += (double)(hit ? 0.25f * q * q * softplus(-v) : 0.75f * p * p * softplus(v));
    }
    picture_loss(out, before, sum, weight);
}

static void focal_forward(struct device *d, float *out, const float *before, const real *x, const int32_t *targets,
                          int64_t pictures, int64_t rows, int64_t cols, float weight)
{
    LAUNCH(d, focal_kernel, pictures, THREADS, 0, out, before, x, targets, rows, cols, weight);
}

static __global__ void focal_backward_kernel(real *dx, const float *d_out, const real *x, const int32_t *targets,
                                             int64_t total, int64_t rows, int64_t cols, float weight, bool accumulate)
{
    int64_t at = (int64_t)blockIdx.x * THREADS + threadIdx.x, r = at / cols;
    if (at >= total) return;
    float v = to_float(x[at]), p = logistic(v), q = logistic(-v);
    float slope = at % cols == targets[r] ? -0.25f * q * q * (2 * p * softplus(-v) + q)
                                          : 0.75f * p * p * (2 * q * softplus(v) + p);
    put_slope(&dx[at], d_out[r / rows] * weight * slope, accumulate);
}

static void focal_backward(struct device *d, real *dx, const float *d_out, const real *x, const int32_t *targets,
                           int64_t pictures, int64_t rows, int64_t cols, float weight, bool accumulate)
{
    int64_t total = pictures * rows * cols;
    LAUNCH(d, focal_backward_kernel, divide_up(total, THREADS), THREADS, 0, dx, d_out, x, targets, total, rows, cols,
           weight, accumulate);
}

/* Two boxes around a point: their intersection, union and hull. */
struct overlap {
    float x[4], width, height;
    float inner_width, inner_height, inter;
    float outer_width, outer_height, hull, whole;
};

#define GIOU_EPS 1e-7f

static __device__ __forceinline__ struct overlap overlap_of(const real *x, const float *truth, float side)
{
    struct overlap o;
    for (int i = 0; i < 4; i++) o.x[i] = side * to_float(x[i]);
    o.width = o.x[0] + o.x[2], o.height = o.x[1] + o.x[3];
    o.inner_width = fminf(o.x[0], truth[0]) + fminf(o.x[2], truth[2]);
    o.inner_height = fminf(o.x[1], truth[1]) + fminf(o.x[3], truth[3]);
    o.inter = o.inner_width > 0 && o.inner_height > 0 ? o.inner_width * o.inner_height : 0;
    o.outer_width = fmaxf(o.x[0], truth[0]) + fmaxf(o.x[2], truth[2]);
    o.outer_height = fmaxf(o.x[1], truth[1]) + fmaxf(o.x[3], truth[3]);
    o.hull = o.outer_width * o.outer_height;
    o.whole = o.width * o.height + (truth[0] + truth[2]) * (truth[1] + truth[3]) - o.inter;
    return o;
}

static __global__ void giou_kernel(float *out, const float *before, const real *x, const float *truths,
                                   const int32_t *targets, int64_t rows, float side, float weight)
{
    int64_t first = blockIdx.x * rows;
    double sum = 0;
    for (int64_t r = first + threadIdx.x; r < first + rows; r += THREADS) {
        if (targets[r] < 0) continue;
        struct overlap o = overlap_of(x + 4 * r, truths + 4 * r, side);
        sum += (double)(1 - o.inter / (o.whole + GIOU_EPS) + (o.hull - o.whole) / (o.hull + GIOU_EPS));
    }
    picture_loss(out, before, sum, weight);
}

static void giou_forward(struct device *d, float *out, const float *before, const real *x, const float *truths,
                         const int32_t *targets, int64_t pictures, int64_t rows, float side, float weight)
{
    LAUNCH(d, giou_kernel, pictures, THREADS, 0, out, before, x, truths, targets, rows, side, weight);
}

static __device__ __forceinline__ float giou_slope(const struct overlap *o, int i, float truth)
{
    float across = i % 2 ? o->width : o->height, inner = i % 2 ? o->inner_width : o->inner_height,
          outer = i % 2 ? o->outer_width : o->outer_height;
    float smaller = o->x[i] < truth ? 1 : o->x[i] > truth ? 0 : 0.5f;
    float inter = o->inter > 0 ? smaller * inner : 0, hull = (1 - smaller) * outer, whole = across - inter;
    float a = o->whole + GIOU_EPS, b = o->hull + GIOU_EPS;
    return -(inter - o->inter / a * whole) / a + (hull - whole - (o->hull - o->whole) / b * hull) / b;
}

/* A thread a row. */
static __global__ void giou_backward_kernel(real *dx, const float *d_out, const real *x, const float *truths,
                                            const int32_t *targets, int64_t total, int64_t rows, float side,
                                            float weight, bool accumulate)
{
    int64_t r = (int64_t)blockIdx.x * THREADS + threadIdx.x;
    if (r >= total) return;
    struct overlap o = overlap_of(x + 4 * r, truths + 4 * r, side);
    for (int i = 0; i < 4; i++) {
        float slope = targets[r] < 0 ? 0 : d_out[r / rows] * weight * side * giou_slope(&o, i, truths[4 * r + i]);
        put_slope(&dx[4 * r + i], slope, accumulate);
    }
}

static void giou_backward(struct device *d, real *dx, const float *d_out, const real *x, const float *truths,
                          const int32_t *targets, int64_t pictures, int64_t rows, float side, float weight,
                          bool accumulate)
{
    int64_t total = pictures * rows;
    LAUNCH(d, giou_backward_kernel, divide_up(total, THREADS), THREADS, 0, dx, d_out, x, truths, targets, total, rows,
           side, weight, accumulate);
}

static __global__ void binary_kernel(float *out, const float *before, const real *x, const float *targets, int64_t rows,
                                     float weight)
{
    int64_t first = blockIdx.x * rows;
    double sum = 0;
    for (int64_t r = first + threadIdx.x; r < first + rows; r += THREADS) {
        float v = to_float(x[r]);
        sum += targets[r] < 0 ? 0 : (double)(softplus(v) - v * targets[r]);
    }
    picture_loss(out, before, sum, weight);
}

static void binary_forward(struct device *d, float *out, const float *before, const real *x, const float *targets,
                           int64_t pictures, int64_t rows, float weight)
{
    LAUNCH(d, binary_kernel, pictures, THREADS, 0, out, before, x, targets, rows, weight);
}

static __global__ void binary_backward_kernel(real *dx, const float *d_out, const real *x, const float *targets,
                                              int64_t total, int64_t rows, float weight, bool accumulate)
{
    int64_t r = (int64_t)blockIdx.x * THREADS + threadIdx.x;
    if (r >= total) return;
    float slope = targets[r] < 0 ? 0 : logistic(to_float(x[r])) - targets[r];
    put_slope(&dx[r], d_out[r / rows] * weight * slope, accumulate);
}

static void binary_backward(struct device *d, real *dx, const float *d_out, const real *x, const float *targets,
                            int64_t pictures, int64_t rows, float weight, bool accumulate)
{
    int64_t total = pictures * rows;
    LAUNCH(d, binary_backward_kernel, divide_up(total, THREADS), THREADS, 0, dx, d_out, x, targets, total, rows, weight,
           accumulate);
}
