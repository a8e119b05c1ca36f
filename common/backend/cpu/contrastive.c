/* Strips of the contrastive logits: softmax statistics of rows and columns, and the gradient. */

/* (max, sum) += (m, s) of further terms. */
static void merge(float *max, float *sum, float m, float s)
{
    if (m > *max) {
        *sum = *sum * expf(*max - m) + s;
        *max = m;
    } else *sum += s * expf(m - *max);
}

static void strip_row(const float *s, int64_t cols, float scale, float *max, float *sum)
{
    vec top = vec_splat(-INFINITY), total = vec_splat(0);
    int64_t i = 0;
    for (; i + LANES <= cols; i += LANES) top = vec_max(top, vec_load(s + i));
    vec rest = vec_load_part(s + i, cols - i, -INFINITY);
    float m = vec_top(vec_max(top, rest)) * scale;
    for (i = 0; i + LANES <= cols; i += LANES) total += vec_exp(vec_load(s + i) * scale - m);
    if (i < cols) total += vec_exp(rest * scale - m);
    merge(max, sum, m, vec_sum(total));
}

static void strip_cols(float *col_max, float *col_sum, const float *s, int64_t ld, int64_t rows, int64_t c, int64_t n, float scale)
{
    float max[LANES], sum[LANES];
    vec top = vec_splat(-INFINITY), total = vec_splat(0);
    for (int64_t r = 0; r < rows; r++) {
        vec l = n < LANES ? vec_load_part(s + r * ld + c, n, -INFINITY) : vec_load(s + r * ld + c);
        top = vec_max(top, l * scale);
    }
    for (int64_t r = 0; r < rows; r++) {
        vec l = n < LANES ? vec_load_part(s + r * ld + c, n, 0) : vec_load(s + r * ld + c);
        total += vec_exp(l * scale - top);
    }
    vec_store(max, top);
    vec_store(sum, total);
    for (int64_t i = 0; i < LANES && i < n; i++) merge(col_max + c + i, col_sum + c + i, max[i], sum[i]);
}

static void softmax_stats(struct device *d, float *row_max, float *row_sum, float *col_max, float *col_sum, const float *s, int64_t ld,
                          int64_t rows, int64_t cols, const float *log_scale)
{
    float scale = expf(*log_scale);
#pragma omp parallel for num_threads(d->threads) schedule(static)
    for (int64_t r = 0; r < rows; r++) strip_row(s + r * ld, cols, scale, row_max + r, row_sum + r);
#pragma omp parallel for num_threads(d->threads) schedule(static)
    for (int64_t c = 0; c < cols; c += LANES) strip_cols(col_max, col_sum, s, ld, rows, c, cols - c, scale);
}

static void merge_stats(struct device *d, float *lse, const float *max, const float *sum, int64_t parts, int64_t count)
{
#pragma omp parallel for num_threads(d->threads) schedule(static)
    for (int64_t i = 0; i < count; i++) {
        float m = -INFINITY, s = 0;
        for (int64_t a = 0; a < parts; a++) merge(&m, &s, max[a * count + i], sum[a * count + i]);
        lse[i] = m + logf(s);
    }
}

static double gradient_row(float *to, const float *s, int64_t cols, float row_lse, const float *col_lse, int64_t diagonal, float scale, float weight)
{
    vec part = vec_splat(0);
    int64_t i = 0;
    float at_diagonal = diagonal >= 0 && diagonal < cols ? s[diagonal] : 0;
    for (; i < cols; i += LANES) {
        int64_t n = cols - i;
        vec raw = n < LANES ? vec_load_part(s + i, n, 0) : vec_load(s + i);
        vec lse = n < LANES ? vec_load_part(col_lse + i, n, INFINITY) : vec_load(col_lse + i);
        vec l = raw * scale;
        vec g = (vec_exp(l - row_lse) + vec_exp(l - lse)) * weight;
        part += g * raw;
        if (n < LANES) vec_store_part(to + i, g * scale, n);
        else vec_store(to + i, g * scale);
    }
    double total = vec_sum(part);
    if (diagonal >= 0 && diagonal < cols) {
        to[diagonal] -= 2 * weight * scale;
        total -= 2. * weight * at_diagonal;
    }
    return total;
}

static void contrastive_gradient(struct device *d, float *g, double *sum, const float *s, int64_t ld, const float *row_lse, const float *col_lse,
                                 int64_t rows, int64_t cols, int64_t diagonal, const float *log_scale, float weight)
{
    float scale = expf(*log_scale);
    device_reserve(d, 2 * (size_t)rows);
    double *part = (double *)d->extra[0], total = 0;
#pragma omp parallel for num_threads(d->threads) schedule(static)
    for (int64_t r = 0; r < rows; r++) part[r] = gradient_row(g + r * ld, s + r * ld, cols, row_lse[r], col_lse, r + diagonal, scale, weight);
    for (int64_t r = 0; r < rows; r++) total += part[r];
    *sum += total;
}

static void contrastive_loss(struct device *d, double *loss, double *hits, const float *x, const float *y, const float *row_lse, const float *col_lse,
                             const float *row_max, int64_t rows, int64_t cols, const float *log_scale)
{
    double scale = (double)expf(*log_scale);
    device_reserve(d, 2 * (size_t)rows);
    double *own = (double *)d->extra[0];
#pragma omp parallel for num_threads(d->threads) schedule(static)
    for (int64_t i = 0; i < rows; i++) {
        own[i] = 0;
        for (int64_t c = 0; c < cols; c++) own[i] += (double)x[i * cols + c] * (double)y[i * cols + c];
        own[i] *= scale;
    }
    *loss = *hits = 0;
    for (int64_t i = 0; i < rows; i++) {
        *loss += (double)row_lse[i] + (double)col_lse[i] - 2 * own[i];
        *hits += own[i] >= (double)row_max[i] - 1e-5 * scale;
    }
}

static void tree_sum(struct device *d, double *values, int64_t count)
{
    (void)d;
    for (int64_t width = 1; width < count; width *= 2)
        for (int64_t n = 0; n + width < count; n += 2 * width) values[n] += values[n + width];
}

static void scale_gradient(struct device *d, float *g, const double *sum, const float *log_scale)
{
    (void)d;
    *g = (float)(*sum * (double)expf(*log_scale));
}
