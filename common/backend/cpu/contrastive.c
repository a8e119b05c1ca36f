/* Strips of the contrastive logits: softmax statistics of rows and columns, and the gradient. */

/* (max, sum) += (m, s) of further terms. */
static void merge(float *max, float *sum, float m, float s)
{
    if (m > *max) {
        *sum = *sum * expf(*max - m) + s;
        *max = m;
    } else
        *sum += s * expf(m - *max);
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

static void strip_cols(float *col_max, float *col_sum, const float *s, int64_t ld, int64_t rows, int64_t c, int64_t n,
                       float scale)
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

static void softmax_stats(struct device *d, float *row_max, float *row_sum, float *col_max, float *col_sum,
                          const float *s, int64_t ld, int64_t rows, int64_t cols, const float *log_scale)
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

static double gradient_row(float *to, const float *s, int64_t cols, float row_lse, const float *col_lse,
                           int64_t diagonal, float scale, float weight)
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
        if (n < LANES)
            vec_store_part(to + i, g * scale, n);
        else
            vec_store(to + i, g * scale);
    }
    double total = vec_sum(part);
    if (diagonal >= 0 && diagonal < cols) {
        to[diagonal] -= 2 * weight * scale;
        total -= 2. * weight * at_diagonal;
    }
    return total;
}

static void contrastive_gradient(struct device *d, float *g, double *sum, const float *s, int64_t ld,
                                 const float *row_lse, const float *col_lse, int64_t rows, int64_t cols,
                                 int64_t diagonal, const float *log_scale, float weight)
{
    float scale = expf(*log_scale);
    device_reserve(d, 2 * (size_t)rows);
    double *part = (double *)d->extra[0], total = 0;
#pragma omp parallel for num_threads(d->threads) schedule(static)
    for (int64_t r = 0; r < rows; r++)
        part[r] = gradient_row(g + r * ld, s + r * ld, cols, row_lse[r], col_lse, r + diagonal, scale, weight);
    for (int64_t r = 0; r < rows; r++) total += part[r];
    *sum += total;
}

/* One row of distill_gradient; sums[0] grows by the slope's part, sums[1] by the divergence. */
static void distill_row(float *to, double sums[2], const float *s, const float *t, int64_t cols, float row_lse,
                        const float *col_lse, float teacher_row_lse, const float *teacher_col_lse, float scale,
                        float teacher_scale, float weight, bool accumulate)
{
    vec slopes = vec_splat(0), divergence = vec_splat(0);
    for (int64_t i = 0; i < cols; i += LANES) {
        int64_t n = cols - i < LANES ? cols - i : LANES;
        bool whole = n == LANES;
        vec raw = whole ? vec_load(s + i) : vec_load_part(s + i, n, 0),
            other = whole ? vec_load(t + i) : vec_load_part(t + i, n, 0);
        vec lse = whole ? vec_load(col_lse + i) : vec_load_part(col_lse + i, n, 1e30f);
        vec teacher_lse = whole ? vec_load(teacher_col_lse + i) : vec_load_part(teacher_col_lse + i, n, 1e30f);
        vec own = raw * scale, taught = other * teacher_scale;
        vec p = own - row_lse, q = taught - teacher_row_lse, p_col = own - lse, q_col = taught - teacher_lse;
        vec q_row_e = vec_exp(q), q_col_e = vec_exp(q_col);
        vec g = (vec_exp(p) + vec_exp(p_col) - q_row_e - q_col_e) * weight,
            d = q_row_e * (q - p) + q_col_e * (q_col - p_col);
        if (!whole)
            for (int64_t k = n; k < LANES; k++) g[k] = d[k] = 0;
        slopes += g * raw;
        divergence += d;
        g *= scale;
        if (whole)
            vec_store(to + i, accumulate ? g + vec_load(to + i) : g);
        else
            vec_store_part(to + i, accumulate ? g + vec_load_part(to + i, n, 0) : g, n);
    }
    sums[0] = vec_sum(slopes);
    sums[1] = vec_sum(divergence);
}

static void distill_gradient(struct device *d, float *g, double *total, double *divergence, const float *s,
                             const float *t, int64_t ld, const float *row_lse, const float *col_lse,
                             const float *teacher_row_lse, const float *teacher_col_lse, int64_t rows, int64_t cols,
                             const float *log_scale, const float *teacher_log_scale, float weight, bool accumulate)
{
    float scale = expf(*log_scale), teacher_scale = expf(*teacher_log_scale);
    device_reserve(d, 4 * (size_t)rows);
    double *part = (double *)d->extra[0];
#pragma omp parallel for num_threads(d->threads) schedule(static)
    for (int64_t r = 0; r < rows; r++)
        distill_row(g + r * ld, part + 2 * r, s + r * ld, t + r * ld, cols, row_lse[r], col_lse, teacher_row_lse[r],
                    teacher_col_lse, scale, teacher_scale, weight, accumulate);
    for (int64_t r = 0; r < rows; r++) *total += part[2 * r], *divergence += part[2 * r + 1];
}

static void contrastive_loss(struct device *d, double *loss, double *hits, const float *x, const float *y,
                             const float *row_lse, const float *col_lse, const float *row_max, int64_t rows,
                             int64_t cols, const float *log_scale)
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

static void tree_sum(struct device *d, double *values, int64_t rows, int64_t cols)
{
    (void)d;
    for (int64_t width = 1; width < rows; width *= 2)
        for (int64_t n = 0; n + width < rows; n += 2 * width)
            for (int64_t i = 0; i < cols; i++) values[n * cols + i] += values[(n + width) * cols + i];
}

static void scale_gradient(struct device *d, float *g, const double *sum, const float *log_scale)
{
    (void)d;
    *g = (float)(*sum * (double)expf(*log_scale));
}
