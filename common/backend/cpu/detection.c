/* Losses of a detector: a loss a row, then the rows of each picture added in order. */

/* out = before + weight * sums of each [pictures * rows]. */
static void sum_pictures(float *out, const float *before, const double *each, int64_t pictures, int64_t rows,
                         float weight)
{
    for (int64_t n = 0; n < pictures; n++) {
        double sum = 0;
        for (int64_t r = 0; r < rows; r++) sum += each[n * rows + r];
        out[n] = (before ? before[n] : 0) + (float)(sum * (double)weight);
    }
}

static double *room_of_rows(struct device *d, int64_t rows)
{
    device_reserve(d, 2 * (size_t)rows);
    return (double *)d->extra[0];
}

/* ln(1 + e^x) */
static float softplus(float x)
{
    return fmaxf(x, 0) + log1pf(expf(-fabsf(x)));
}

/* e^x / (1 + e^x) */
static float logistic(float x)
{
    return 1 / (1 + expf(-x));
}

static void focal_forward(struct device *d, float *out, const float *before, const float *x, const int32_t *targets,
                          int64_t pictures, int64_t rows, int64_t cols, float weight)
{
    double *each = room_of_rows(d, pictures * rows);
#pragma omp parallel for num_threads(d->threads) schedule(static)
    for (int64_t r = 0; r < pictures * rows; r++) {
        each[r] = 0;
        for (int64_t k = 0; k < cols; k++) {
            float v = x[r * cols + k], p = logistic(v), q = logistic(-v);
            each[r] += (double)(k == targets[r] ? 0.25f * q * q * softplus(-v) : 0.75f * p * p * softplus(v));
        }
    }
    sum_pictures(out, before, each, pictures, rows, weight);
}

static void focal_backward(struct device *d, float *dx, const float *d_out, const float *x, const int32_t *targets,
                           int64_t pictures, int64_t rows, int64_t cols, float weight, bool accumulate)
{
#pragma omp parallel for num_threads(d->threads) schedule(static)
    for (int64_t r = 0; r < pictures * rows; r++)
        for (int64_t k = 0; k < cols; k++) {
            float v = x[r * cols + k], p = logistic(v), q = logistic(-v), *to = dx + r * cols + k;
            float slope = k == targets[r] ? -0.25f * q * q * (2 * p * softplus(-v) + q)
                                          : 0.75f * p * p * (2 * q * softplus(v) + p);
            *to = d_out[r / rows] * weight * slope + (accumulate ? *to : 0);
        }
}

/* Two boxes around a point: their intersection, union and hull. */
struct overlap {
    float x[4], width, height;              /* of the first */
    float inner_width, inner_height, inter; /* 0 where they do not meet */
    float outer_width, outer_height, hull, whole;
};

static const float giou_eps = 1e-7f;

static struct overlap overlap_of(const float *x, const float *truth, float side)
{
    struct overlap o;
    for (int i = 0; i < 4; i++) o.x[i] = side * x[i];
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

static void giou_forward(struct device *d, float *out, const float *before, const float *x, const float *truths,
                         const int32_t *targets, int64_t pictures, int64_t rows, float side, float weight)
{
    double *each = room_of_rows(d, pictures * rows);
#pragma omp parallel for num_threads(d->threads) schedule(static)
    for (int64_t r = 0; r < pictures * rows; r++) {
        each[r] = 0;
        if (targets[r] < 0) continue;
        struct overlap o = overlap_of(x + 4 * r, truths + 4 * r, side);
        each[r] = (double)(1 - o.inter / (o.whole + giou_eps) + (o.hull - o.whole) / (o.hull + giou_eps));
    }
    sum_pictures(out, before, each, pictures, rows, weight);
}

/* The loss by a distance of the first box.  across: its side that does not depend on it; where both boxes have the edge
 * at one place the slopes on either side are averaged, as PyTorch does. */
static float giou_slope(const struct overlap *o, int i, float truth)
{
    float across = i % 2 ? o->width : o->height, inner = i % 2 ? o->inner_width : o->inner_height,
          outer = i % 2 ? o->outer_width : o->outer_height;
    float smaller = o->x[i] < truth ? 1 : o->x[i] > truth ? 0 : 0.5f;
    float inter = o->inter > 0 ? smaller * inner : 0, hull = (1 - smaller) * outer, whole = across - inter;
    float a = o->whole + giou_eps, b = o->hull + giou_eps;
    return -(inter - o->inter / a * whole) / a + (hull - whole - (o->hull - o->whole) / b * hull) / b;
}

static void giou_backward(struct device *d, float *dx, const float *d_out, const float *x, const float *truths,
                          const int32_t *targets, int64_t pictures, int64_t rows, float side, float weight,
                          bool accumulate)
{
#pragma omp parallel for num_threads(d->threads) schedule(static)
    for (int64_t r = 0; r < pictures * rows; r++) {
        float *to = dx + 4 * r;
        if (!accumulate) memset(to, 0, 4 * sizeof *to);
        if (targets[r] < 0) continue;
        struct overlap o = overlap_of(x + 4 * r, truths + 4 * r, side);
        for (int i = 0; i < 4; i++) to[i] += d_out[r / rows] * weight * side * giou_slope(&o, i, truths[4 * r + i]);
    }
}

static void binary_forward(struct device *d, float *out, const float *before, const float *x, const float *targets,
                           int64_t pictures, int64_t rows, float weight)
{
    double *each = room_of_rows(d, pictures * rows);
#pragma omp parallel for num_threads(d->threads) schedule(static)
    for (int64_t r = 0; r < pictures * rows; r++)
        each[r] = targets[r] < 0 ? 0 : (double)(softplus(x[r]) - x[r] * targets[r]);
    sum_pictures(out, before, each, pictures, rows, weight);
}

static void binary_backward(struct device *d, float *dx, const float *d_out, const float *x, const float *targets,
                            int64_t pictures, int64_t rows, float weight, bool accumulate)
{
#pragma omp parallel for num_threads(d->threads) schedule(static)
    for (int64_t r = 0; r < pictures * rows; r++) {
        float slope = targets[r] < 0 ? 0 : logistic(x[r]) - targets[r];
        dx[r] = d_out[r / rows] * weight * slope + (accumulate ? dx[r] : 0);
    }
}
