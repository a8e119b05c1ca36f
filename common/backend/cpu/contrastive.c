/* Strips of the contrastive logits: softmax statistics of rows and columns, and the gradient. */

static void strip_row_max(const float *s, int64_t cols, float scale, float *max, float *sum)
{
    vec top = vec_splat(-INFINITY), total = vec_splat(0);
    int64_t i = 0;
    for (; i + LANES <= cols; i += LANES) top = vec_max(top, vec_load(s + i));
    vec rest = vec_load_part(s + i, cols - i, -INFINITY);
    float m = vec_top(vec_max(top, rest)) * scale;
    for (i = 0; i + LANES <= cols; i += LANES) total += vec_exp(vec_load(s + i) * scale - m);
    if (i < cols) total += vec_exp(rest * scale - m);
    *max = m;
    *sum = vec_sum(total);
}

static void strip_cols(float *col_max, float *col_sum, const float *s, int64_t ld, int64_t rows, int64_t c, int64_t n, float scale)
{
    vec top = vec_splat(-INFINITY), total = vec_splat(0);
    for (int64_t r = 0; r < rows; r++) {
        vec l = n < LANES ? vec_load_part(s + r * ld + c, n, -INFINITY) : vec_load(s + r * ld + c);
        top = vec_max(top, l * scale);
    }
    for (int64_t r = 0; r < rows; r++) {
        vec l = n < LANES ? vec_load_part(s + r * ld + c, n, 0) : vec_load(s + r * ld + c);
        total += vec_exp(l * scale - top);
    }
    vec_store_part(col_max + c, top, n < LANES ? n : LANES);
    vec_store_part(col_sum + c, total, n < LANES ? n : LANES);
}

static void softmax_stats(struct device *d, float *row_max, float *row_sum, float *col_max, float *col_sum, const float *s, int64_t ld,
                          int64_t rows, int64_t cols, float scale)
{
#pragma omp parallel for num_threads(d->threads) schedule(static)
    for (int64_t r = 0; r < rows; r++) strip_row_max(s + r * ld, cols, scale, row_max + r, row_sum + r);
#pragma omp parallel for num_threads(d->threads) schedule(static)
    for (int64_t c = 0; c < cols; c += LANES) strip_cols(col_max, col_sum, s, ld, rows, c, cols - c, scale);
}

static double gradient_row(float *s, int64_t cols, float row_lse, const float *col_lse, int64_t diagonal, float scale, float weight)
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
        if (n < LANES) vec_store_part(s + i, g * scale, n);
        else vec_store(s + i, g * scale);
    }
    double total = vec_sum(part);
    if (diagonal >= 0 && diagonal < cols) {
        s[diagonal] -= 2 * weight * scale;
        total -= 2. * weight * at_diagonal;
    }
    return total;
}

static double contrastive_gradient(struct device *d, float *s, int64_t ld, const float *row_lse, const float *col_lse, int64_t rows,
                                   int64_t cols, int64_t diagonal, float scale, float weight)
{
    device_reserve(d, 2 * (size_t)rows);
    double *part = (double *)d->extra[0];
#pragma omp parallel for num_threads(d->threads) schedule(static)
    for (int64_t r = 0; r < rows; r++) part[r] = gradient_row(s + r * ld, cols, row_lse[r], col_lse, r + diagonal, scale, weight);
    double total = 0;
    for (int64_t r = 0; r < rows; r++) total += part[r];
    return total;
}
