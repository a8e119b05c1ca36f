/* Kernels over maps other than convolutions: maps of another extent, and what goes element by element. */

/* --- maps of another extent --- */

/* y = x, or y += x. */
static void put_row(float *y, const float *x, int64_t count, bool accumulate)
{
    if (!accumulate)
        memcpy(y, x, (size_t)count * sizeof *y);
    else
        for (int64_t i = 0; i < count; i++) y[i] += x[i];
}

/* Rows of `factor` pixels are whole in both maps. */
static void spread(struct device *d, float *to, const float *from, const struct map_change *m, int64_t factor,
                   bool back, bool accumulate)
{
    int64_t run = factor * m->width;
#pragma omp parallel for num_threads(d->threads) schedule(static)
    for (int64_t line = 0; line < m->pictures * m->to.height; line++)
        for (int64_t x = 0; x < m->from.width; x++) {
            int64_t wide = line * m->from.width + x;
            int64_t deep = (line / factor * m->from.width + x) * factor + line % factor;
            put_row(to + (back ? deep : wide) * run, from + (back ? wide : deep) * run, run, accumulate);
        }
}

static void spread_forward(struct device *d, float *y, const float *x, const struct map_change *m, int64_t factor)
{
    spread(d, y, x, m, factor, false, false);
}

static void spread_backward(struct device *d, float *dx, const float *dy, const struct map_change *m, int64_t factor,
                            bool accumulate)
{
    spread(d, dx, dy, m, factor, true, accumulate);
}

static void max_pool_forward(struct device *d, float *y, const float *x, const struct map_change *m, int64_t kernel,
                             int64_t stride)
{
    int64_t width = m->width, line = m->from.width * width;
#pragma omp parallel for num_threads(d->threads) schedule(static)
    for (int64_t pixel = 0; pixel < m->pictures * extent_area(m->to); pixel++) {
        int64_t at = pixel / m->to.width % m->to.height * stride, n = pixel / extent_area(m->to);
        const float *from = x + (n * m->from.height + at) * line + pixel % m->to.width * stride * width;
        float *to = y + pixel * width;
        memcpy(to, from, (size_t)width * sizeof *to);
        for (int64_t k = 1; k < kernel * kernel; k++) {
            const float *other = from + k / kernel * line + k % kernel * width;
            for (int64_t i = 0; i < width; i++) to[i] = other[i] > to[i] ? other[i] : to[i];
        }
    }
}

/* Maps are worked on by pictures and strips of columns; what is summed over many rows is summed as float over SUM_ROWS
 * of them, then as double. */
enum { STRIP = 64, SUM_ROWS = 64 };
struct map_strip {
    int64_t picture, first, count; /* columns [first, first + count) */
};
static int64_t map_strips(int64_t pictures, int64_t width)
{
    return pictures * ((width + STRIP - 1) / STRIP);
}
static struct map_strip map_strip(int64_t task, int64_t width)
{
    int64_t strips = (width + STRIP - 1) / STRIP, first = task % strips * STRIP;
    return (struct map_strip){task / strips, first, width - first < STRIP ? width - first : STRIP};
}

static void clear_strip(float *x, int64_t rows, int64_t width, int64_t count)
{
    for (int64_t r = 0; r < rows; r++) memset(x + r * width, 0, (size_t)count * sizeof *x);
}

/* The slope goes to the first of the window's pixels that is as large as the largest. */
static void window_backward(float *dx, const float *dy, const float *x, int64_t line, int64_t width, int64_t kernel,
                            int64_t count)
{
    float top[STRIP], slope[STRIP];
    for (int64_t i = 0; i < count; i++) top[i] = x[i], slope[i] = dy[i];
    for (int64_t k = 1; k < kernel * kernel; k++) {
        const float *from = x + k / kernel * line + k % kernel * width;
        for (int64_t i = 0; i < count; i++) top[i] = from[i] > top[i] ? from[i] : top[i];
    }
    for (int64_t k = 0; k < kernel * kernel; k++) {
        const float *from = x + k / kernel * line + k % kernel * width;
        float *to = dx + k / kernel * line + k % kernel * width;
        for (int64_t i = 0; i < count; i++) {
            float part = from[i] == top[i] ? slope[i] : 0;
            to[i] += part;
            slope[i] -= part;
        }
    }
}

static void max_pool_backward(struct device *d, float *dx, const float *dy, const float *x, const struct map_change *m,
                              int64_t kernel, int64_t stride, bool accumulate)
{
    int64_t width = m->width, line = m->from.width * width;
#pragma omp parallel for num_threads(d->threads) schedule(static)
    for (int64_t task = 0; task < map_strips(m->pictures, width); task++) {
        struct map_strip s = map_strip(task, width);
        int64_t start = s.picture * extent_area(m->from) * width + s.first;
        if (!accumulate) clear_strip(dx + start, extent_area(m->from), width, s.count);
        for (int64_t r = 0; r < extent_area(m->to); r++) {
            int64_t at = start + r / m->to.width * stride * line + r % m->to.width * stride * width;
            window_backward(dx + at, dy + (s.picture * extent_area(m->to) + r) * width + s.first, x + at, line, width,
                            kernel, s.count);
        }
    }
}

static void resize_forward(struct device *d, float *y, const float *x, const struct map_change *m, bool corners)
{
    int64_t width = m->width;
#pragma omp parallel for num_threads(d->threads) schedule(static)
    for (int64_t line = 0; line < m->pictures * m->to.height; line++) {
        int64_t y0, y1, x0, x1;
        float wy, wx;
        bilinear(line % m->to.height, m->to.height, m->from.height, corners, &y0, &y1, &wy);
        const float *picture = x + line / m->to.height * extent_area(m->from) * width,
                    *upper = picture + y0 * m->from.width * width, *lower = picture + y1 * m->from.width * width;
        for (int64_t c = 0; c < m->to.width; c++) {
            bilinear(c, m->to.width, m->from.width, corners, &x0, &x1, &wx);
            float *to = y + (line * m->to.width + c) * width;
            for (int64_t i = 0; i < width; i++)
                to[i] = (1 - wy) * ((1 - wx) * upper[x0 * width + i] + wx * upper[x1 * width + i]) +
                        wy * ((1 - wx) * lower[x0 * width + i] + wx * lower[x1 * width + i]);
        }
    }
}

/* y (+)= share * x */
static void add_share(float *restrict y, const float *restrict x, float share, int64_t count)
{
    for (int64_t i = 0; i < count; i++) y[i] += share * x[i];
}

/* Each line is first gathered along itself, then goes to the two lines it was made of. */
static void resize_backward(struct device *d, float *dx, const float *dy, const struct map_change *m, bool corners,
                            bool accumulate)
{
    int64_t width = m->width, across = m->from.width;
    device_reserve(d, (size_t)(across * STRIP));
#pragma omp parallel for num_threads(d->threads) schedule(static)
    for (int64_t task = 0; task < map_strips(m->pictures, width); task++) {
        struct map_strip s = map_strip(task, width);
        float *to = dx + s.picture * extent_area(m->from) * width + s.first, *line = d->extra[omp_get_thread_num()];
        const float *from = dy + s.picture * extent_area(m->to) * width + s.first;
        if (!accumulate) clear_strip(to, extent_area(m->from), width, s.count);
        for (int64_t y = 0; y < m->to.height; y++) {
            int64_t low, high;
            float weight;
            memset(line, 0, (size_t)(across * s.count) * sizeof *line);
            for (int64_t x = 0; x < m->to.width; x++, from += width) {
                bilinear(x, m->to.width, across, corners, &low, &high, &weight);
                add_share(line + low * s.count, from, 1 - weight, s.count);
                add_share(line + high * s.count, from, weight, s.count);
            }
            bilinear(y, m->to.height, m->from.height, corners, &low, &high, &weight);
            for (int64_t x = 0; x < across; x++) {
                add_share(to + (low * across + x) * width, line + x * s.count, 1 - weight, s.count);
                add_share(to + (high * across + x) * width, line + x * s.count, weight, s.count);
            }
        }
    }
}

/* --- element by element --- */

static void affine_forward(struct device *d, float *y, const float *x, const float *scale, const float *shift,
                           int64_t rows, int64_t cols)
{
#pragma omp parallel for num_threads(d->threads) schedule(static)
    for (int64_t r = 0; r < rows; r++)
        for (int64_t i = 0; i < cols; i++) y[r * cols + i] = x[r * cols + i] * scale[i] + shift[i];
}

/* A strip of columns a thread, rows in order. */
static void affine_backward(struct device *d, float *dx, float *d_scale, float *d_shift, const float *dy,
                            const float *x, const float *scale, int64_t rows, int64_t cols, bool accumulate_x,
                            bool accumulate_scale, bool accumulate_shift)
{
#pragma omp parallel for num_threads(d->threads) schedule(static)
    for (int64_t c = 0; c < cols; c += STRIP) {
        double sums[2][STRIP] = {0};
        int64_t count = cols - c < STRIP ? cols - c : STRIP;
        for (int64_t r0 = 0; r0 < rows; r0 += SUM_ROWS) {
            float plain[STRIP] = {0}, along[STRIP] = {0};
            for (int64_t r = r0; r < rows && r < r0 + SUM_ROWS; r++)
                for (int64_t i = 0; i < count; i++) {
                    float slope = dy[r * cols + c + i];
                    plain[i] += slope;
                    along[i] += slope * x[r * cols + c + i];
                    if (dx) dx[r * cols + c + i] = slope * scale[c + i] + (accumulate_x ? dx[r * cols + c + i] : 0);
                }
            for (int64_t i = 0; i < count; i++) sums[0][i] += (double)plain[i], sums[1][i] += (double)along[i];
        }
        for (int64_t i = 0; i < count; i++) {
            if (d_scale) d_scale[c + i] = (float)sums[1][i] + (accumulate_scale ? d_scale[c + i] : 0);
            if (d_shift) d_shift[c + i] = (float)sums[0][i] + (accumulate_shift ? d_shift[c + i] : 0);
        }
    }
}

static void activation_forward(struct device *d, float *y, const float *x, enum activation kind, int64_t count)
{
#pragma omp parallel for num_threads(d->threads) schedule(static)
    for (int64_t i = 0; i < count; i += LANES) {
        int64_t n = count - i < LANES ? count - i : LANES;
        vec v = n < LANES ? vec_load_part(x + i, n, 0) : vec_load(x + i);
        v = kind == ACTIVATION_RELU ? vec_max(v, vec_splat(0)) : vec_gelu(v);
        if (n < LANES)
            vec_store_part(y + i, v, n);
        else
            vec_store(y + i, v);
    }
}

static void activation_backward(struct device *d, float *dx, const float *dy, const float *x, enum activation kind,
                                int64_t count, bool accumulate)
{
#pragma omp parallel for num_threads(d->threads) schedule(static)
    for (int64_t i = 0; i < count; i += LANES) {
        int64_t n = count - i < LANES ? count - i : LANES;
        vec v = n < LANES ? vec_load_part(x + i, n, 0) : vec_load(x + i),
            g = n < LANES ? vec_load_part(dy + i, n, 0) : vec_load(dy + i);
        g = kind == ACTIVATION_RELU ? vec_select(v > 0, g, vec_splat(0)) : g * vec_gelu_slope(v);
        if (accumulate) g += n < LANES ? vec_load_part(dx + i, n, 0) : vec_load(dx + i);
        if (n < LANES)
            vec_store_part(dx + i, g, n);
        else
            vec_store(dx + i, g);
    }
}
