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

/* The first of the pixels from x on of one channel, `line` floats a row of the picture, that none exceeds: i, j. */
static void window_top(const float *x, int64_t line, int64_t width, int64_t kernel, int64_t *row, int64_t *col)
{
    float top = x[0];
    *row = *col = 0;
    for (int64_t i = 0; i < kernel; i++)
        for (int64_t j = 0; j < kernel; j++)
            if (x[i * line + j * width] > top) top = x[i * line + j * width], *row = i, *col = j;
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

/* Each pixel asks the windows it lies in. */
static void max_pool_backward(struct device *d, float *dx, const float *dy, const float *x, const struct map_change *m,
                              int64_t kernel, int64_t stride, bool accumulate)
{
    int64_t width = m->width, line = m->from.width * width;
#pragma omp parallel for num_threads(d->threads) schedule(static)
    for (int64_t pixel = 0; pixel < m->pictures * extent_area(m->from); pixel++) {
        int64_t n = pixel / extent_area(m->from), py = pixel / m->from.width % m->from.height,
                px = pixel % m->from.width;
        float *to = dx + pixel * width;
        if (!accumulate) memset(to, 0, (size_t)width * sizeof *to);
        for (int64_t oy = py < kernel ? 0 : (py - kernel) / stride + 1; oy * stride <= py && oy < m->to.height; oy++)
            for (int64_t ox = px < kernel ? 0 : (px - kernel) / stride + 1; ox * stride <= px && ox < m->to.width;
                 ox++) {
                const float *window = x + (n * m->from.height + oy * stride) * line + ox * stride * width;
                const float *g = dy + ((n * m->to.height + oy) * m->to.width + ox) * width;
                for (int64_t i = 0; i < width; i++) {
                    int64_t row, col;
                    window_top(window + i, line, width, kernel, &row, &col);
                    if (oy * stride + row == py && ox * stride + col == px) to[i] += g[i];
                }
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

/* A strip of columns of a picture a thread, rows in order. */
static void resize_backward(struct device *d, float *dx, const float *dy, const struct map_change *m, bool corners,
                            bool accumulate)
{
    enum { STRIP = 64 };
    int64_t width = m->width, strips = (width + STRIP - 1) / STRIP;
    if (!accumulate) memset(dx, 0, (size_t)(m->pictures * extent_area(m->from) * width) * sizeof *dx);
#pragma omp parallel for num_threads(d->threads) schedule(static)
    for (int64_t task = 0; task < m->pictures * strips; task++) {
        int64_t n = task / strips, first = task % strips * STRIP, count = width - first < STRIP ? width - first : STRIP;
        float *to = dx + n * extent_area(m->from) * width + first;
        const float *from = dy + n * extent_area(m->to) * width + first;
        for (int64_t row = 0; row < extent_area(m->to); row++) {
            int64_t y0, y1, x0, x1;
            float wy, wx;
            bilinear(row / m->to.width, m->to.height, m->from.height, corners, &y0, &y1, &wy);
            bilinear(row % m->to.width, m->to.width, m->from.width, corners, &x0, &x1, &wx);
            float *a = to + (y0 * m->from.width + x0) * width, *b = to + (y0 * m->from.width + x1) * width,
                  *c = to + (y1 * m->from.width + x0) * width, *e = to + (y1 * m->from.width + x1) * width;
            const float *g = from + row * width;
            for (int64_t i = 0; i < count; i++) {
                a[i] += (1 - wy) * (1 - wx) * g[i];
                b[i] += (1 - wy) * wx * g[i];
                c[i] += wy * (1 - wx) * g[i];
                e[i] += wy * wx * g[i];
            }
        }
    }
}

/* --- group norm --- */

/* A task is some whole groups of a picture, about SUM_STRIP columns.  Columns are summed SUM_ROWS rows at a time as
 * float, and these sums as double. */
enum { SUM_STRIP = 64, SUM_ROWS = 64 };

struct group_task {
    int64_t picture, group, end, column, count; /* groups [group, end), `count` columns from `column` on */
    int64_t width, area, cols;                  /* columns of a group; of the map */
    const float *x;                             /* the picture from `column` on */
};

static int64_t group_tasks(int64_t cols, int64_t groups)
{
    int64_t width = cols / groups, together = SUM_STRIP / width > 1 ? SUM_STRIP / width : 1;
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
    float part[SUM_STRIP] = {0};
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
        for (int64_t i = 0; i < g->count; i += SUM_STRIP) {
            int64_t rows = g->area - r < SUM_ROWS ? g->area - r : SUM_ROWS;
            const float *x = g->x + r * g->cols + i;
            if (g->count - i >= SUM_STRIP)
                sum_strip(means + i, x, centre + i, squares, rows, g->cols, SUM_STRIP);
            else
                sum_strip(means + i, x, centre + i, squares, rows, g->cols, g->count - i);
        }
    for (int64_t i = 0; i < g->count; i += g->width) {
        double sum = 0;
        for (int64_t k = i; k < i + g->width; k++) sum += means[k];
        for (int64_t k = i; k < i + g->width; k++) means[k] = sum / (double)(g->area * g->width);
    }
}

/* A thread's space: for each column two doubles and three floats. */
enum { GROUP_SPACE = 8 };
struct group_space {
    double *a, *b;
    float *p, *q, *r;
};
static struct group_space group_space(struct device *d, int64_t cols)
{
    double *a = (double *)d->extra[omp_get_thread_num()];
    float *p = (float *)(a + 2 * cols);
    return (struct group_space){a, a + cols, p, p + cols, p + 2 * cols};
}

static void group_norm_forward(struct device *d, float *y, float *mean, float *rstd, const float *x, const float *scale,
                               const float *shift, int64_t pictures, int64_t area, int64_t cols, int64_t groups)
{
    device_reserve(d, (size_t)(GROUP_SPACE * cols));
#pragma omp parallel for num_threads(d->threads) schedule(static)
    for (int64_t task = 0; task < pictures * group_tasks(cols, groups); task++) {
        struct group_task g = group_task(x, task, area, cols, groups);
        struct group_space s = group_space(d, cols);
        for (int64_t i = 0; i < g.count; i++) s.p[i] = 0;
        group_means(s.a, &g, s.p, false);
        for (int64_t i = 0; i < g.count; i++) s.p[i] = (float)s.a[i];
        group_means(s.b, &g, s.p, true);
        for (int64_t i = 0; i < g.count; i++) {
            int64_t at = g.picture * groups + g.group + i / g.width;
            mean[at] = s.p[i];
            rstd[at] = 1 / sqrtf((float)s.b[i] + 1e-5f);
            s.q[i] = rstd[at] * scale[g.column + i];
        }
        for (int64_t r = 0; r < area; r++) {
            float *to = y + (g.x - x) + r * cols;
            for (int64_t i = 0; i < g.count; i++) to[i] = (g.x[r * cols + i] - s.p[i]) * s.q[i] + shift[g.column + i];
        }
    }
}

/* Sums of dy and of dy (x - mean) over a picture, column by column. */
static void group_slopes(struct group_space s, const struct group_task *g, const float *dy)
{
    for (int64_t i = 0; i < g->count; i++) s.a[i] = s.b[i] = 0;
    for (int64_t r0 = 0; r0 < g->area; r0 += SUM_ROWS)
        for (int64_t i0 = 0; i0 < g->count; i0 += SUM_STRIP) {
            float plain[SUM_STRIP] = {0}, along[SUM_STRIP] = {0};
            int64_t count = g->count - i0 < SUM_STRIP ? g->count - i0 : SUM_STRIP;
            for (int64_t r = r0; r < g->area && r < r0 + SUM_ROWS; r++)
                for (int64_t i = 0; i < count; i++) {
                    float slope = dy[r * g->cols + i0 + i];
                    plain[i] += slope;
                    along[i] += slope * (g->x[r * g->cols + i0 + i] - s.p[i0 + i]);
                }
            for (int64_t i = 0; i < count; i++) s.a[i0 + i] += (double)plain[i], s.b[i0 + i] += (double)along[i];
        }
}

/* x^ = (x - mean) rstd, h = dy scale:  dx = rstd (h - mean(h) - x^ mean(h x^)), means over a group of a picture. */
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
        for (int64_t i = 0; i < g.count; i++) s.p[i] = m[i / g.width];
        group_slopes(s, &g, dy + (g.x - x));
        for (int64_t i = 0; i < g.count; i++) {
            double *to = sums + g.picture * 2 * cols + g.column + i;
            to[0] = s.a[i];
            to[cols] = s.b[i] * (double)v[i / g.width];
        }
        for (int64_t i = 0; i < g.count && dx; i += g.width) {
            double along = 0, plain = 0, share = (double)v[i / g.width] / (double)(area * g.width);
            for (int64_t k = i; k < i + g.width; k++) {
                plain += s.a[k] * (double)scale[g.column + k] * share;
                along += s.b[k] * (double)scale[g.column + k] * share;
            }
            for (int64_t k = i; k < i + g.width; k++) {
                s.q[k] = (float)plain;
                s.r[k] = (float)along * v[i / g.width] * v[i / g.width];
                s.p[k] = m[i / g.width];
            }
        }
        for (int64_t r = 0; r < area && dx; r++) {
            int64_t at = (g.x - x) + r * cols;
            for (int64_t i = 0; i < g.count; i++) {
                float slope =
                    dy[at + i] * scale[g.column + i] * v[i / g.width] - s.q[i] - (x[at + i] - s.p[i]) * s.r[i];
                dx[at + i] = accumulate_x ? dx[at + i] + slope : slope;
            }
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
    for (int64_t c = 0; c < cols; c += SUM_STRIP) {
        double sums[2][SUM_STRIP] = {0};
        int64_t count = cols - c < SUM_STRIP ? cols - c : SUM_STRIP;
        for (int64_t r0 = 0; r0 < rows; r0 += SUM_ROWS) {
            float plain[SUM_STRIP] = {0}, along[SUM_STRIP] = {0};
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
