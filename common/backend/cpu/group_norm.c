/* Group norm over maps.
 *
 * A task is some whole groups of a picture, about STRIP columns.  Columns are summed SUM_ROWS rows at a time as float,
 * and these sums as double. */

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
