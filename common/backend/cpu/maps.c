/* Kernels over maps: convolutions, whose pixels are gathered while they are packed for the product, and what goes with
 * them. */

/* --- convolution --- */

/* For each tap (i, j) of the kernel and each pixel the row that it reads: [taps, pixels], -1 outside.  `back`: the
 * pixels are those of the input, the rows those of the output that see them. */
static void tap_rows(struct device *d, int32_t *rows, const struct convolve *c, bool back)
{
    struct extent at = back ? c->from : c->to, other = back ? c->to : c->from;
    int64_t pixels = c->pictures * extent_area(at), taps = c->kernel * c->kernel;
#pragma omp parallel for num_threads(d->threads) schedule(static)
    for (int64_t line = 0; line < taps * c->pictures * at.height; line++) {
        int64_t tap = line / (c->pictures * at.height), n = line / at.height % c->pictures, y = line % at.height;
        int64_t i = tap / c->kernel - c->padding, j = tap % c->kernel - c->padding;
        int32_t *to = rows + tap * pixels + (n * at.height + y) * at.width;
        int64_t row = back ? (y - i) / c->stride : y * c->stride + i;
        bool inside = row >= 0 && row < other.height && (!back || (y >= i && (y - i) % c->stride == 0));
        for (int64_t x = 0; x < at.width; x++) {
            int64_t col = back ? (x - j) / c->stride : x * c->stride + j;
            bool within = inside && col >= 0 && col < other.width && (!back || (x >= j && (x - j) % c->stride == 0));
            to[x] = within ? (int32_t)((n * other.height + row) * other.width + col) : -1;
        }
    }
}

static void convolve_forward(struct device *d, float *y, const float *x, const float *w, const float *b,
                             const struct convolve *c)
{
    if (winograd_serves(c)) {
        struct tiles t = tiles_of(c->pictures, c->to, c->from, c->padding);
        winograd(d, y, x, w, b, &t, c->in, c->out, false, false);
        return;
    }
    int64_t taps = c->kernel * c->kernel, pixels = c->pictures * extent_area(c->to), depth = taps * c->in;
    device_reserve(d, (size_t)(taps * pixels));
    int32_t *rows = (int32_t *)d->extra[0];
    tap_rows(d, rows, c, false);
    struct operand seen =
                       {.data = x, .ld = c->in, .prepare = GATHER, .gathered = rows, .lines = pixels, .piece = c->in},
                   weights = {.data = w, .ld = depth};
    gemm(d->scratch, d->threads, pixels, c->out, depth, &seen, &weights, y, c->out, (struct epilogue){.bias = b});
}

/* dx = sum over taps of the dy that saw the pixel by that tap, times the weights of the tap: these are first laid out
 * tap by tap, [taps * out, in]. */
static void convolve_backward_input(struct device *d, float *dx, const float *dy, const float *w,
                                    const struct convolve *c, bool accumulate)
{
    if (winograd_serves(c)) {
        struct tiles t = tiles_of(c->pictures, c->from, c->to, 2 - c->padding);
        winograd(d, dx, dy, w, NULL, &t, c->out, c->in, true, accumulate);
        return;
    }
    int64_t taps = c->kernel * c->kernel, pixels = c->pictures * extent_area(c->from), depth = taps * c->out;
    device_reserve(d, (size_t)(taps * pixels + depth * c->in));
    float *turned = d->extra[0];
    int32_t *rows = (int32_t *)(turned + depth * c->in);
    tap_rows(d, rows, c, true);
#pragma omp parallel for num_threads(d->threads) schedule(static)
    for (int64_t k = 0; k < depth; k++)
        memcpy(turned + k * c->in, w + (k % c->out * taps + k / c->out) * c->in, (size_t)c->in * sizeof *w);
    struct operand seen = {.data = dy,
                           .ld = c->out,
                           .prepare = GATHER,
                           .gathered = rows,
                           .lines = pixels,
                           .piece = c->out},
                   weights = {.data = turned, .ld = c->in, .k_rows = 1};
    gemm(d->scratch, d->threads, pixels, c->in, depth, &seen, &weights, dx, c->in,
         (struct epilogue){.accumulate = accumulate});
}

static void convolve_backward_weight(struct device *d, float *dw, float *db, const float *dy, const float *x,
                                     const struct convolve *c, bool accumulate_w, bool accumulate_b)
{
    int64_t taps = c->kernel * c->kernel, pixels = c->pictures * extent_area(c->to);
    if (db) sum_rows(d, db, dy, pixels, c->out, accumulate_b);
    if (winograd_serves(c)) {
        struct tiles t = tiles_of(c->pictures, c->to, c->from, c->padding);
        winograd_weight(d, dw, dy, x, &t, c->in, c->out, accumulate_w);
        return;
    }
    device_reserve(d, (size_t)(taps * pixels));
    int32_t *rows = (int32_t *)d->extra[0];
    tap_rows(d, rows, c, false);
    struct operand slopes = {.data = dy, .ld = c->out, .k_rows = 1};
    for (int64_t tap = 0; tap < taps; tap++) {
        struct operand seen = {
            .data = x, .ld = c->in, .k_rows = 1, .prepare = GATHER, .gathered = rows + tap * pixels, .piece = c->in};
        gemm(d->scratch, d->threads, c->out, c->in, pixels, &slopes, &seen, dw + tap * c->in, taps * c->in,
             (struct epilogue){.accumulate = accumulate_w});
    }
}

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

/* Maps are worked on by pictures and strips of columns. */
enum { STRIP = 64 };
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

/* --- group norm --- */

/* A task is some whole groups of a picture, about STRIP columns.  Columns are summed SUM_ROWS rows at a time as float,
 * and these sums as double. */
enum { SUM_ROWS = 64 };

struct group_task {
    int64_t picture, group, end, column, count; /* groups [group, end), `count` columns from `column` on */
    int64_t width, area, cols;                  /* columns of a group; of the map */
    const float *x;                             /* the picture from `column` on */
};

static int64_t group_tasks(int64_t cols, int64_t groups)
{
    int64_t width = cols / groups, together = STRIP / width > 1 ? STRIP / width : 1;
    return (groups + together - 1) / together;
}

static struct group_task group_task(const float *x, int64_t task, int64_t area, int64_t cols, int64_t groups)
{
    int64_t tasks = group_tasks(cols, groups), width = cols / groups, first = task % tasks * groups / tasks,
            end = (task % tasks + 1) * groups / tasks;
    return (struct group_task){.picture = task / tasks,
                               .group = first,
                               .end = end,
                               .column = first * width,
                               .count = (end - first) * width,
                               .width = width,
                               .area = area,
                               .cols = cols,
                               .x = x + task / tasks * area * cols + first * width};
}

static inline __attribute__((always_inline)) void sum_strip(double *sums, const float *x, const float *centre,
                                                            bool squares, int64_t rows, int64_t cols, int64_t count)
{
    float part[STRIP] = {0};
    for (int64_t r = 0; r < rows; r++)
        for (int64_t i = 0; i < count; i++) {
            float v = x[r * cols + i] - centre[i];
            part[i] += squares ? v * v : v;
        }
    for (int64_t i = 0; i < count; i++) sums[i] += (double)part[i];
}

/* For each group the mean of x - centre over its pixels, or of its squares, in each of its columns of `means`. */
static void group_means(double *means, const struct group_task *g, const float *centre, bool squares)
{
    for (int64_t i = 0; i < g->count; i++) means[i] = 0;
    for (int64_t r = 0; r < g->area; r += SUM_ROWS)
        for (int64_t i = 0; i < g->count; i += STRIP) {
            int64_t rows = g->area - r < SUM_ROWS ? g->area - r : SUM_ROWS;
            const float *x = g->x + r * g->cols + i;
            if (g->count - i >= STRIP)
                sum_strip(means + i, x, centre + i, squares, rows, g->cols, STRIP);
            else
                sum_strip(means + i, x, centre + i, squares, rows, g->cols, g->count - i);
        }
    for (int64_t i = 0; i < g->count; i += g->width) {
        double sum = 0;
        for (int64_t k = i; k < i + g->width; k++) sum += means[k];
        for (int64_t k = i; k < i + g->width; k++) means[k] = sum / (double)(g->area * g->width);
    }
}

/* A thread's space: for each column of a task two sums and four floats. */
enum { GROUP_SPACE = 8 };
struct group_space {
    double *a, *b;
    float *mean, *by, *plain, *along;
};
static struct group_space group_space(struct device *d, int64_t cols)
{
    double *a = (double *)d->extra[omp_get_thread_num()];
    float *mean = (float *)(a + 2 * cols);
    return (struct group_space){a, a + cols, mean, mean + cols, mean + 2 * cols, mean + 3 * cols};
}

static inline __attribute__((always_inline)) void norm_columns(float *restrict y, const float *restrict x,
                                                               const float *restrict mean, const float *restrict by,
                                                               const float *restrict shift, int64_t count)
{
    for (int64_t i = 0; i < count; i++) y[i] = (x[i] - mean[i]) * by[i] + shift[i];
}

static void group_norm_forward(struct device *d, float *y, float *mean, float *rstd, const float *x, const float *scale,
                               const float *shift, int64_t pictures, int64_t area, int64_t cols, int64_t groups)
{
    device_reserve(d, (size_t)(GROUP_SPACE * cols));
#pragma omp parallel for num_threads(d->threads) schedule(static)
    for (int64_t task = 0; task < pictures * group_tasks(cols, groups); task++) {
        struct group_task g = group_task(x, task, area, cols, groups);
        struct group_space s = group_space(d, cols);
        for (int64_t i = 0; i < g.count; i++) s.mean[i] = 0;
        group_means(s.a, &g, s.mean, false);
        for (int64_t i = 0; i < g.count; i++) s.mean[i] = (float)s.a[i];
        group_means(s.b, &g, s.mean, true);
        for (int64_t i = 0; i < g.count; i++) {
            int64_t at = g.picture * groups + g.group + i / g.width;
            mean[at] = s.mean[i];
            rstd[at] = 1 / sqrtf((float)s.b[i] + 1e-5f);
            s.by[i] = rstd[at] * scale[g.column + i];
        }
        for (int64_t r = 0; r < area; r++)
            norm_columns(y + (g.x - x) + r * cols, g.x + r * cols, s.mean, s.by, shift + g.column, g.count);
    }
}

static inline __attribute__((always_inline)) void slopes_strip(double *plain, double *along, const float *dy,
                                                               const float *x, const float *mean, int64_t rows,
                                                               int64_t cols, int64_t count)
{
    float sums[2][STRIP] = {0};
    for (int64_t r = 0; r < rows; r++)
        for (int64_t i = 0; i < count; i++) {
            sums[0][i] += dy[r * cols + i];
            sums[1][i] += dy[r * cols + i] * (x[r * cols + i] - mean[i]);
        }
    for (int64_t i = 0; i < count; i++) plain[i] += (double)sums[0][i], along[i] += (double)sums[1][i];
}

/* Sums of dy, a, and of dy (x - mean), b, over a picture, column by column. */
static void group_slopes(struct group_space s, const struct group_task *g, const float *dy)
{
    for (int64_t i = 0; i < g->count; i++) s.a[i] = s.b[i] = 0;
    for (int64_t r = 0; r < g->area; r += SUM_ROWS)
        for (int64_t i = 0; i < g->count; i += STRIP) {
            int64_t rows = g->area - r < SUM_ROWS ? g->area - r : SUM_ROWS, at = r * g->cols + i;
            if (g->count - i >= STRIP)
                slopes_strip(s.a + i, s.b + i, dy + at, g->x + at, s.mean + i, rows, g->cols, STRIP);
            else
                slopes_strip(s.a + i, s.b + i, dy + at, g->x + at, s.mean + i, rows, g->cols, g->count - i);
        }
}

/* dx = dy by - plain - (x - mean) along. */
static inline __attribute__((always_inline)) void slope_columns(float *restrict dx, const float *restrict dy,
                                                                const float *restrict x, struct group_space s,
                                                                int64_t count, bool accumulate)
{
    const float *restrict mean = s.mean, *restrict by = s.by, *restrict plain = s.plain, *restrict along = s.along;
    if (accumulate)
        for (int64_t i = 0; i < count; i++) dx[i] += dy[i] * by[i] - plain[i] - (x[i] - mean[i]) * along[i];
    else
        for (int64_t i = 0; i < count; i++) dx[i] = dy[i] * by[i] - plain[i] - (x[i] - mean[i]) * along[i];
}

/* x^ = (x - mean) rstd, h = dy scale:  dx = rstd (h - mean(h) - x^ mean(h x^)), means over a group of a picture: the
 * columns' by, plain and along of slope_columns. */
static void group_shares(struct group_space s, const struct group_task *g, const float *rstd, const float *scale)
{
    for (int64_t i = 0; i < g->count; i += g->width) {
        float v = rstd[i / g->width];
        double plain = 0, along = 0, share = (double)v / (double)(g->area * g->width);
        for (int64_t k = i; k < i + g->width; k++) {
            plain += s.a[k] * (double)scale[k] * share;
            along += s.b[k] * (double)scale[k] * share;
        }
        for (int64_t k = i; k < i + g->width; k++) {
            s.by[k] = v * scale[k];
            s.plain[k] = (float)plain;
            s.along[k] = (float)along * v * v;
        }
    }
}

static void group_norm_backward(struct device *d, float *dx, float *d_scale, float *d_shift, const float *dy,
                                const float *x, const float *mean, const float *rstd, const float *scale,
                                int64_t pictures, int64_t area, int64_t cols, int64_t groups, bool accumulate_x,
                                bool accumulate_scale, bool accumulate_shift)
{
    device_reserve(d, (size_t)(GROUP_SPACE * cols + 4 * pictures * cols));
    double *sums = (double *)(d->extra[0] + GROUP_SPACE * cols); /* [pictures, 2, cols] */
#pragma omp parallel for num_threads(d->threads) schedule(static)
    for (int64_t task = 0; task < pictures * group_tasks(cols, groups); task++) {
        struct group_task g = group_task(x, task, area, cols, groups);
        struct group_space s = group_space(d, cols);
        const float *m = mean + g.picture * groups + g.group, *v = rstd + g.picture * groups + g.group;
        for (int64_t i = 0; i < g.count; i++) s.mean[i] = m[i / g.width];
        group_slopes(s, &g, dy + (g.x - x));
        for (int64_t i = 0; i < g.count; i++) {
            double *to = sums + g.picture * 2 * cols + g.column + i;
            to[0] = s.a[i];
            to[cols] = s.b[i] * (double)v[i / g.width];
        }
        group_shares(s, &g, v, scale + g.column);
        for (int64_t r = 0; r < area && dx; r++) {
            int64_t at = (g.x - x) + r * cols;
            slope_columns(dx + at, dy + at, x + at, s, g.count, accumulate_x);
        }
    }
    for (int64_t i = 0; i < cols; i++) {
        double plain = 0, along = 0;
        for (int64_t n = 0; n < pictures; n++) plain += sums[n * 2 * cols + i], along += sums[(n * 2 + 1) * cols + i];
        if (d_scale) d_scale[i] = (float)along + (accumulate_scale ? d_scale[i] : 0);
        if (d_shift) d_shift[i] = (float)plain + (accumulate_shift ? d_shift[i] : 0);
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

/* A strip of columns a thread, rows in order, SUM_ROWS of them as float. */
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
