/* Kernels that move rows: patches, tokens, embeddings, gathers, and the resampling of a grid of rows. */

static void patches(struct device *d, float *out, const uint8_t *pixels, int64_t images, struct extent size,
                    int64_t patch)
{
    struct extent grid = extent_grid(size, patch);
    int64_t width = 3 * patch * patch;
#pragma omp parallel for num_threads(d->threads) schedule(static)
    for (int64_t row = 0; row < images * grid.height; row++) {
        int64_t n = row / grid.height, gy = row % grid.height;
        for (int64_t gx = 0; gx < grid.width; gx++) {
            float *to = out + (row * grid.width + gx) * width;
            for (int64_t y = 0; y < patch; y++) {
                const uint8_t *from = pixels + ((n * size.height + gy * patch + y) * size.width + gx * patch) * 3;
                for (int64_t x = 0; x < patch; x++)
                    for (int c = 0; c < 3; c++)
                        to[(c * patch + y) * patch + x] = (float)from[3 * x + c] * (1 / 127.5f) - 1;
            }
        }
    }
}

static void tokens_forward(struct device *d, float *out, const float *patches_in, const float *class_token,
                           const float *positions, const uint8_t *hidden, int64_t images, int64_t count, int64_t width)
{
    int64_t first = class_token != NULL, tokens = count + first;
#pragma omp parallel for num_threads(d->threads) schedule(static)
    for (int64_t row = 0; row < images * tokens; row++) {
        int64_t n = row / tokens, t = row % tokens;
        const float *position = positions + t * width, *content = class_token;
        if (t >= first) {
            int64_t p = n * count + t - first;
            content = hidden && hidden[p] ? NULL : patches_in + p * width;
        }
        for (int64_t i = 0; i < width; i++) out[row * width + i] = (content ? content[i] : 0) + position[i];
    }
}

static void tokens_backward(struct device *d, float *d_patches, float *d_class, float *d_positions, const float *dy,
                            const uint8_t *hidden, int64_t images, int64_t count, int64_t width, bool accumulate_class,
                            bool accumulate_positions)
{
    int64_t first = d_class != NULL, tokens = count + first;
#pragma omp parallel for num_threads(d->threads) schedule(static)
    for (int64_t t = 0; t < tokens; t++) {
        float *to = d_positions + t * width;
        if (!accumulate_positions) memset(to, 0, (size_t)width * sizeof *to);
        for (int64_t n = 0; n < images; n++) {
            const float *g = dy + (n * tokens + t) * width;
            for (int64_t i = 0; i < width; i++) to[i] += g[i];
            if (t < first || !d_patches) continue;
            int64_t p = n * count + t - first;
            if (hidden && hidden[p])
                memset(d_patches + p * width, 0, (size_t)width * sizeof *d_patches);
            else
                memcpy(d_patches + p * width, g, (size_t)width * sizeof *d_patches);
        }
    }
    for (int64_t i = 0; first && i < width; i++) {
        float sum = 0;
        for (int64_t n = 0; n < images; n++) sum += dy[n * tokens * width + i];
        d_class[i] = accumulate_class ? d_class[i] + sum : sum;
    }
}

/* Where position i of `to` falls among `from`, by half-pixel centres or, with corners, first on first and last on last:
 * the two neighbours and the weight of the second. */
static void bilinear(int64_t i, int64_t to, int64_t from, bool corners, int64_t *low, int64_t *high, float *weight)
{
    float at = ((float)i + .5f) * (float)from / (float)to - .5f;
    if (corners) at = to > 1 ? (float)i * (float)(from - 1) / (float)(to - 1) : 0;
    if (at < 0) at = 0;
    *low = (int64_t)at;
    *high = *low + 1 < from ? *low + 1 : *low;
    *weight = at - (float)*low;
}

static void grid_resize(struct device *d, float *out, const float *x, int64_t first, struct extent to,
                        struct extent from, int64_t width)
{
    memcpy(out, x, (size_t)(first * width) * sizeof *out);
    out += first * width;
    x += first * width;
#pragma omp parallel for num_threads(d->threads) schedule(static)
    for (int64_t row = 0; row < extent_area(to); row++) {
        int64_t y0, y1, x0, x1;
        float wy, wx;
        bilinear(row / to.width, to.height, from.height, false, &y0, &y1, &wy);
        bilinear(row % to.width, to.width, from.width, false, &x0, &x1, &wx);
        const float *a = x + (y0 * from.width + x0) * width, *b = x + (y0 * from.width + x1) * width;
        const float *c = x + (y1 * from.width + x0) * width, *e = x + (y1 * from.width + x1) * width;
        for (int64_t i = 0; i < width; i++)
            out[row * width + i] = (1 - wy) * ((1 - wx) * a[i] + wx * b[i]) + wy * ((1 - wx) * c[i] + wx * e[i]);
    }
}

static void grid_resize_backward(struct device *d, float *dx, const float *dy, int64_t first, struct extent to,
                                 struct extent from, int64_t width, bool accumulate)
{
    for (int64_t i = 0; i < first * width; i++) dx[i] = accumulate ? dx[i] + dy[i] : dy[i];
    dx += first * width;
    dy += first * width;
    if (!accumulate) memset(dx, 0, (size_t)(extent_area(from) * width) * sizeof *dx);
#pragma omp parallel for num_threads(d->threads) schedule(static)
    for (int64_t strip = 0; strip < width; strip += 64) { /* a strip of columns a thread, rows in order */
        int64_t end = strip + 64 < width ? strip + 64 : width;
        for (int64_t row = 0; row < extent_area(to); row++) {
            int64_t y0, y1, x0, x1;
            float wy, wx;
            bilinear(row / to.width, to.height, from.height, false, &y0, &y1, &wy);
            bilinear(row % to.width, to.width, from.width, false, &x0, &x1, &wx);
            for (int64_t i = strip; i < end; i++) {
                float g = dy[row * width + i];
                dx[(y0 * from.width + x0) * width + i] += (1 - wy) * (1 - wx) * g;
                dx[(y0 * from.width + x1) * width + i] += (1 - wy) * wx * g;
                dx[(y1 * from.width + x0) * width + i] += wy * (1 - wx) * g;
                dx[(y1 * from.width + x1) * width + i] += wy * wx * g;
            }
        }
    }
}

static void embed_forward(struct device *d, float *out, const float *table, const float *positions, const int32_t *ids,
                          const int32_t *places, int64_t rows, int64_t width)
{
#pragma omp parallel for num_threads(d->threads) schedule(static)
    for (int64_t r = 0; r < rows; r++) {
        const float *word = table + ids[r] * width, *place = positions ? positions + places[r] * width : NULL;
        for (int64_t i = 0; i < width; i++) out[r * width + i] = (ids[r] < 0 ? 0 : word[i]) + (place ? place[i] : 0);
    }
}

static void embed_backward(struct device *d, float *d_table, float *d_positions, const float *dy, const int32_t *ids,
                           const int32_t *places, const int32_t *order, int64_t rows, int64_t width,
                           int64_t position_count)
{
    (void)order, (void)position_count;
#pragma omp parallel for num_threads(d->threads) schedule(static)
    for (int64_t strip = 0; strip < width; strip += 64) {
        int64_t end = strip + 64 < width ? strip + 64 : width;
        for (int64_t r = 0; r < rows; r++)
            for (int64_t i = strip; i < end; i++) {
                if (ids[r] >= 0) d_table[ids[r] * width + i] += dy[r * width + i];
                if (d_positions) d_positions[places[r] * width + i] += dy[r * width + i];
            }
    }
}

static void gather_rows(struct device *d, float *out, const float *x, const int32_t *index, int64_t rows, int64_t width)
{
    (void)d;
    for (int64_t r = 0; r < rows; r++) memcpy(out + r * width, x + index[r] * width, (size_t)width * sizeof *out);
}

static void scatter_rows_add(struct device *d, float *x, const float *y, const int32_t *index, int64_t rows,
                             int64_t width)
{
    (void)d;
    for (int64_t r = 0; r < rows; r++)
        for (int64_t i = 0; i < width; i++) x[index[r] * width + i] += y[r * width + i];
}

static void put_rows(struct device *d, float *out, const float *x, const int32_t *index, int64_t rows, int64_t width)
{
    (void)d;
    for (int64_t r = 0; r < rows; r++) {
        if (x)
            memcpy(out + index[r] * width, x + r * width, (size_t)width * sizeof *out);
        else
            memset(out + index[r] * width, 0, (size_t)width * sizeof *out);
    }
}

static void mean_rows(struct device *d, float *out, const float *x, const int32_t *starts, int64_t groups,
                      int64_t width)
{
#pragma omp parallel for num_threads(d->threads) schedule(static)
    for (int64_t g = 0; g < groups; g++) {
        float *to = out + g * width, share = 1 / (float)(starts[g + 1] - starts[g]);
        memset(to, 0, (size_t)width * sizeof *to);
        for (int64_t r = starts[g]; r < starts[g + 1]; r++)
            for (int64_t i = 0; i < width; i++) to[i] += x[r * width + i] * share;
    }
}

static void mean_rows_backward(struct device *d, float *dx, const float *dy, const int32_t *starts, int64_t groups,
                               int64_t width, bool accumulate)
{
#pragma omp parallel for num_threads(d->threads) schedule(static)
    for (int64_t g = 0; g < groups; g++) {
        float share = 1 / (float)(starts[g + 1] - starts[g]);
        for (int64_t r = starts[g]; r < starts[g + 1]; r++)
            for (int64_t i = 0; i < width; i++)
                dx[r * width + i] = dy[g * width + i] * share + (accumulate ? dx[r * width + i] : 0);
    }
}

static void pool_grid(struct device *d, float *out, const float *x, int64_t images, int64_t grid, int64_t factor,
                      int64_t width)
{
    int64_t side = grid / factor;
    float share = 1 / (float)(factor * factor);
#pragma omp parallel for num_threads(d->threads) schedule(static)
    for (int64_t cell = 0; cell < images * side * side; cell++) {
        int64_t image = cell / (side * side), y = cell / side % side * factor, c = cell % side * factor;
        float *to = out + cell * width;
        memset(to, 0, (size_t)width * sizeof *to);
        for (int64_t k = 0; k < factor * factor; k++) {
            const float *from = x + ((image * grid + y + k / factor) * grid + c + k % factor) * width;
            for (int64_t i = 0; i < width; i++) to[i] += from[i] * share;
        }
    }
}

static void pool_grid_backward(struct device *d, float *dx, const float *dy, int64_t images, int64_t grid,
                               int64_t factor, int64_t width, bool accumulate)
{
    int64_t side = grid / factor;
    float share = 1 / (float)(factor * factor);
#pragma omp parallel for num_threads(d->threads) schedule(static)
    for (int64_t row = 0; row < images * grid * grid; row++) {
        int64_t image = row / (grid * grid), y = row / grid % grid / factor, c = row % grid / factor;
        const float *from = dy + ((image * side + y) * side + c) * width;
        for (int64_t i = 0; i < width; i++)
            dx[row * width + i] = from[i] * share + (accumulate ? dx[row * width + i] : 0);
    }
}

static inline vec sigmoid(vec x)
{
    return 1.f / (1.f + vec_exp(-x));
}

static void gate_forward(struct device *d, float *y, const float *x, int64_t rows, int64_t cols)
{
#pragma omp parallel for num_threads(d->threads) schedule(static)
    for (int64_t r = 0; r < rows; r++) {
        const float *a = x + r * 2 * cols, *b = a + cols;
        for (int64_t i = 0; i < cols; i += LANES) {
            int64_t n = cols - i;
            vec v = n < LANES ? vec_load_part(a + i, n, 0) : vec_load(a + i),
                w = n < LANES ? vec_load_part(b + i, n, 0) : vec_load(b + i);
            v = v * sigmoid(v) * w;
            if (n < LANES)
                vec_store_part(y + r * cols + i, v, n);
            else
                vec_store(y + r * cols + i, v);
        }
    }
}

static void gate_backward(struct device *d, float *dx, const float *dy, const float *x, int64_t rows, int64_t cols)
{
#pragma omp parallel for num_threads(d->threads) schedule(static)
    for (int64_t r = 0; r < rows; r++) {
        const float *a = x + r * 2 * cols, *b = a + cols, *g = dy + r * cols;
        float *da = dx + r * 2 * cols, *db = da + cols;
        for (int64_t i = 0; i < cols; i += LANES) {
            int64_t n = cols - i < LANES ? cols - i : LANES;
            vec v = vec_load_part(a + i, n, 0), w = vec_load_part(b + i, n, 0), e = vec_load_part(g + i, n, 0),
                s = sigmoid(v);
            vec_store_part(da + i, e * w * s * (1.f + v * (1.f - s)), n);
            vec_store_part(db + i, e * v * s, n);
        }
    }
}

static void softmax_loss(struct device *d, float *loss, float *lse, const float *logits, const int32_t *targets,
                         int64_t rows, int64_t cols)
{
#pragma omp parallel for num_threads(d->threads) schedule(static)
    for (int64_t r = 0; r < rows; r++) {
        const float *l = logits + r * cols;
        vec top = vec_splat(-INFINITY), sum = vec_splat(0);
        int64_t whole = cols / LANES * LANES;
        for (int64_t i = 0; i < whole; i += LANES) top = vec_max(top, vec_load(l + i));
        vec rest = vec_load_part(l + whole, cols - whole, -INFINITY);
        float max = vec_top(vec_max(top, rest));
        for (int64_t i = 0; i < whole; i += LANES) sum += vec_exp(vec_load(l + i) - max);
        lse[r] = max + logf(vec_sum(sum + vec_exp(rest - max)));
        loss[r] = lse[r] - l[targets[r]];
    }
}

static void softmax_gradient(struct device *d, float *g, const float *logits, const float *lse, const int32_t *targets,
                             const float *weight, int64_t rows, int64_t cols)
{
#pragma omp parallel for num_threads(d->threads) schedule(static)
    for (int64_t r = 0; r < rows; r++) {
        float *to = g + r * cols, w = weight[r];
        for (int64_t i = 0; i < cols; i += LANES) {
            int64_t n = cols - i;
            if (n >= LANES)
                vec_store(to + i, w * vec_exp(vec_load(logits + r * cols + i) - lse[r]));
            else
                vec_store_part(to + i, w * vec_exp(vec_load_part(logits + r * cols + i, n, 0) - lse[r]), n);
        }
        to[targets[r]] -= w;
    }
}

static void repeat_row(struct device *d, float *out, const float *x, int64_t rows, int64_t width)
{
    (void)d;
    for (int64_t r = 0; r < rows; r++) memcpy(out + r * width, x, (size_t)width * sizeof *out);
}

static void add_row(struct device *d, float *y, const float *row, int64_t rows, int64_t cols)
{
#pragma omp parallel for num_threads(d->threads) schedule(static)
    for (int64_t r = 0; r < rows; r++)
        for (int64_t i = 0; i < cols; i++) y[r * cols + i] += row[i];
}

static void standardize(struct device *d, float *y, const float *x, const float *mean, const float *scale, int64_t rows,
                        int64_t cols)
{
#pragma omp parallel for num_threads(d->threads) schedule(static)
    for (int64_t r = 0; r < rows; r++)
        for (int64_t i = 0; i < cols; i++) y[r * cols + i] = (x[r * cols + i] - mean[i]) * scale[i];
}

static void column_sums(struct device *d, double *sums, const float *x, int64_t rows, int64_t cols)
{
    enum { STRIP = 64 };
#pragma omp parallel for num_threads(d->threads) schedule(static)
    for (int64_t strip = 0; strip < cols; strip += STRIP) {
        int64_t end = strip + STRIP < cols ? strip + STRIP : cols;
        for (int64_t i = strip; i < end; i++) sums[i] = sums[cols + i] = 0;
        for (int64_t r = 0; r < rows; r++)
            for (int64_t i = strip; i < end; i++) {
                double value = (double)x[r * cols + i];
                sums[i] += value;
                sums[cols + i] += value * value;
            }
    }
}

static void add(struct device *d, float *y, const float *x, int64_t count)
{
#pragma omp parallel for num_threads(d->threads) schedule(static)
    for (int64_t i = 0; i < count; i++) y[i] += x[i];
}

static void sum_floats(struct device *d, double *sum, const float *x, int64_t count)
{
    (void)d;
    *sum = 0;
    for (int64_t i = 0; i < count; i++) *sum += (double)x[i];
}

static void round_real(struct device *d, float *y, const float *x, int64_t count)
{
    (void)d;
    if (y != x) memcpy(y, x, (size_t)count * sizeof *y);
}

/* Row r belongs to sequence r / (rows / sequences). */
static void branch_forward(struct device *d, float *y, const float *x, const float *branch, const float *gamma,
                           const float *keep, int64_t rows, int64_t cols, int64_t sequences)
{
#pragma omp parallel for num_threads(d->threads) schedule(static)
    for (int64_t r = 0; r < rows; r++) {
        float k = keep ? keep[r / (rows / sequences)] : 1;
        for (int64_t i = 0; i < cols; i++)
            y[r * cols + i] = x[r * cols + i] + k * (gamma ? gamma[i] : 1) * branch[r * cols + i];
    }
}

static void branch_backward(struct device *d, float *d_branch, float *d_gamma, const float *dy, const float *branch,
                            const float *gamma, const float *keep, int64_t rows, int64_t cols, int64_t sequences,
                            bool accumulate_gamma)
{
#pragma omp parallel for num_threads(d->threads) schedule(static)
    for (int64_t strip = 0; strip < cols; strip += 64) {
        int64_t end = strip + 64 < cols ? strip + 64 : cols;
        for (int64_t i = strip; i < end && d_gamma && !accumulate_gamma; i++) d_gamma[i] = 0;
        for (int64_t r = 0; r < rows; r++) {
            float k = keep ? keep[r / (rows / sequences)] : 1;
            for (int64_t i = strip; i < end; i++) {
                float g = k * dy[r * cols + i];
                if (d_gamma) d_gamma[i] += g * branch[r * cols + i];
                d_branch[r * cols + i] = g * (gamma ? gamma[i] : 1);
            }
        }
    }
}

static void fill(struct device *d, float *y, float value, int64_t count)
{
#pragma omp parallel for num_threads(d->threads) schedule(static)
    for (int64_t i = 0; i < count; i++) y[i] = value;
}
