/* Layer norm and L2 normalisation: row-wise reductions. */

static inline float dot(const float *a, const float *b, int64_t n)
{
    vec sum = vec_splat(0);
    int64_t i = 0;
    for (; i + LANES <= n; i += LANES) sum += vec_load(a + i) * vec_load(b + i);
    float total = vec_sum(sum);
    for (; i < n; i++) total += a[i] * b[i];
    return total;
}

static void norm_stats(struct device *d, float *mean, float *rstd, const float *x, int64_t rows, int64_t cols,
                       float eps)
{
#pragma omp parallel for num_threads(d->threads) schedule(static)
    for (int64_t r = 0; r < rows; r++) {
        const float *row = x + r * cols;
        vec sum = vec_splat(0), squares = vec_splat(0);
        int64_t i = 0;
        float total = 0, spread = 0;
        for (; i + LANES <= cols; i += LANES) sum += vec_load(row + i);
        for (; i < cols; i++) total += row[i];
        float m = (total + vec_sum(sum)) / (float)cols;
        for (i = 0; i + LANES <= cols; i += LANES) {
            vec centred = vec_load(row + i) - m;
            squares += centred * centred;
        }
        for (; i < cols; i++) spread += (row[i] - m) * (row[i] - m);
        mean[r] = m;
        rstd[r] = 1 / sqrtf((spread + vec_sum(squares)) / (float)cols + eps);
    }
}

static void norm_forward(struct device *d, float *y, float *mean, float *rstd, const float *x, const float *scale,
                         const float *shift, int64_t rows, int64_t cols, float eps)
{
    norm_stats(d, mean, rstd, x, rows, cols, eps);
#pragma omp parallel for num_threads(d->threads) schedule(static)
    for (int64_t r = 0; r < rows; r++)
        for (int64_t i = 0; i < cols; i++)
            y[r * cols + i] = (x[r * cols + i] - mean[r]) * rstd[r] * scale[i] + shift[i];
}

/* dx of one row; x^ = (x - mean) rstd, g = dy scale:  dx = rstd (g - mean(g) - x^ mean(g x^)). */
static void norm_backward_row(float *dx, const float *dy, const float *x, float mean, float rstd, const float *scale,
                              int64_t cols, bool accumulate)
{
    vec sum = vec_splat(0), sum_x = vec_splat(0);
    int64_t i = 0;
    float tail = 0, tail_x = 0;
    for (; i + LANES <= cols; i += LANES) {
        vec g = vec_load(dy + i) * vec_load(scale + i);
        sum += g;
        sum_x += g * (vec_load(x + i) - mean);
    }
    for (; i < cols; i++) tail += dy[i] * scale[i], tail_x += dy[i] * scale[i] * (x[i] - mean);
    float mean_g = (tail + vec_sum(sum)) / (float)cols, slope = (tail_x + vec_sum(sum_x)) * rstd * rstd / (float)cols;
    for (i = 0; i < cols; i++) {
        float g = rstd * (dy[i] * scale[i] - mean_g - (x[i] - mean) * slope);
        dx[i] = accumulate ? dx[i] + g : g;
    }
}

static void norm_backward(struct device *d, float *dx, float *d_scale, float *d_shift, const float *dy, const float *x,
                          const float *mean, const float *rstd, const float *scale, int64_t rows, int64_t cols,
                          bool accumulate_x, bool accumulate_scale, bool accumulate_shift)
{
    /* Parameter gradients are summed over chunks of rows whose number depends on the shape alone, then over the chunks.
     * */
    int64_t chunk = rows / 64 > 32 ? rows / 64 : 32, chunks = (rows + chunk - 1) / chunk;
    device_reserve(d, (size_t)(chunks * 2 * cols));
    float *partial = d->extra[0];
#pragma omp parallel for num_threads(d->threads) schedule(dynamic, 1)
    for (int64_t k = 0; k < chunks; k++) {
        float *to_scale = partial + k * 2 * cols, *to_shift = to_scale + cols;
        memset(to_scale, 0, 2 * (size_t)cols * sizeof *to_scale);
        for (int64_t r = k * chunk; r < rows && r < (k + 1) * chunk; r++) {
            const float *g = dy + r * cols, *row = x + r * cols;
            float m = mean[r], s = rstd[r];
            for (int64_t i = 0; i < cols; i++) {
                to_scale[i] += g[i] * (row[i] - m) * s;
                to_shift[i] += g[i];
            }
            if (dx) norm_backward_row(dx + r * cols, g, row, m, s, scale, cols, accumulate_x);
        }
    }
    for (int64_t i = 0; i < cols; i++) {
        float a = 0, b = 0;
        for (int64_t k = 0; k < chunks; k++) a += partial[k * 2 * cols + i], b += partial[k * 2 * cols + cols + i];
        if (d_scale) d_scale[i] = accumulate_scale ? d_scale[i] + a : a;
        if (d_shift) d_shift[i] = accumulate_shift ? d_shift[i] + b : b;
    }
}

static void rms_forward(struct device *d, float *y, float *rstd, const float *x, const float *scale, int64_t rows,
                        int64_t cols, float eps)
{
#pragma omp parallel for num_threads(d->threads) schedule(static)
    for (int64_t r = 0; r < rows; r++) {
        float s = 1 / sqrtf(dot(x + r * cols, x + r * cols, cols) / (float)cols + eps);
        if (rstd) rstd[r] = s;
        for (int64_t i = 0; i < cols; i++) y[r * cols + i] = x[r * cols + i] * s * scale[i];
    }
}

/* x^ = x rstd, g = dy scale:  dx = rstd (g - x^ mean(g x^));  d_scale = sum of dy x^, summed like those of
 * norm_backward. */
static void rms_backward(struct device *d, float *dx, float *d_scale, const float *dy, const float *x,
                         const float *rstd, const float *scale, int64_t rows, int64_t cols, bool accumulate_x,
                         bool accumulate_scale)
{
    int64_t chunk = rows / 64 > 32 ? rows / 64 : 32, chunks = (rows + chunk - 1) / chunk;
    device_reserve(d, (size_t)(chunks * cols));
    float *partial = d->extra[0];
#pragma omp parallel for num_threads(d->threads) schedule(dynamic, 1)
    for (int64_t k = 0; k < chunks; k++) {
        float *to_scale = partial + k * cols;
        memset(to_scale, 0, (size_t)cols * sizeof *to_scale);
        for (int64_t r = k * chunk; r < rows && r < (k + 1) * chunk; r++) {
            const float *g = dy + r * cols, *row = x + r * cols;
            float s = rstd[r], slope = 0;
            for (int64_t i = 0; i < cols; i++) to_scale[i] += g[i] * row[i] * s;
            if (!dx) continue;
            for (int64_t i = 0; i < cols; i++) slope += g[i] * scale[i] * row[i];
            slope *= s * s / (float)cols;
            for (int64_t i = 0; i < cols; i++) {
                float v = s * (g[i] * scale[i] - row[i] * slope);
                dx[r * cols + i] = accumulate_x ? dx[r * cols + i] + v : v;
            }
        }
    }
    for (int64_t i = 0; d_scale && i < cols; i++) {
        float sum = 0;
        for (int64_t k = 0; k < chunks; k++) sum += partial[k * cols + i];
        d_scale[i] = accumulate_scale ? d_scale[i] + sum : sum;
    }
}

static void normalize_forward(struct device *d, float *y, float *norm, const float *x, int64_t rows, int64_t cols)
{
#pragma omp parallel for num_threads(d->threads) schedule(static)
    for (int64_t r = 0; r < rows; r++) {
        float length = sqrtf(dot(x + r * cols, x + r * cols, cols));
        float inverse = 1 / (length > 1e-12f ? length : 1e-12f);
        if (norm) norm[r] = length;
        for (int64_t i = 0; i < cols; i++) y[r * cols + i] = x[r * cols + i] * inverse;
    }
}

static void normalize_backward(struct device *d, float *dx, const float *dy, const float *y, const float *norm,
                               int64_t rows, int64_t cols, bool accumulate)
{
#pragma omp parallel for num_threads(d->threads) schedule(static)
    for (int64_t r = 0; r < rows; r++) {
        float along = dot(dy + r * cols, y + r * cols, cols), inverse = 1 / (norm[r] > 1e-12f ? norm[r] : 1e-12f);
        for (int64_t i = r * cols; i < (r + 1) * cols; i++) {
            float g = (dy[i] - y[i] * along) * inverse;
            dx[i] = accumulate ? dx[i] + g : g;
        }
    }
}

static float length_of(const float *x, int64_t cols)
{
    float length = sqrtf(dot(x, x, cols));
    return length > 1e-8f ? length : 1e-8f;
}

static void cosine_forward(struct device *d, float *cosine, const float *x, const float *y, int64_t rows, int64_t cols)
{
#pragma omp parallel for num_threads(d->threads) schedule(static)
    for (int64_t r = 0; r < rows; r++)
        cosine[r] =
            dot(x + r * cols, y + r * cols, cols) / (length_of(x + r * cols, cols) * length_of(y + r * cols, cols));
}

static void cosine_backward(struct device *d, float *dx, const float *x, const float *y, const float *weight,
                            int64_t rows, int64_t cols, bool accumulate)
{
#pragma omp parallel for num_threads(d->threads) schedule(static)
    for (int64_t r = 0; r < rows; r++) {
        const float *a = x + r * cols, *b = y + r * cols;
        float la = length_of(a, cols), lb = length_of(b, cols), cosine = dot(a, b, cols) / (la * lb);
        for (int64_t i = 0; i < cols; i++) {
            float g = weight[r] * (b[i] / lb - a[i] / la * cosine) / la;
            dx[r * cols + i] = accumulate ? dx[r * cols + i] + g : g;
        }
    }
}
