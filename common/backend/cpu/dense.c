/* Losses of dense maps, and depth from bins.  Rows of a grid are mixed down to a row of pixels' height, then pixels
 * take what lies left and right of them; a band is the rows of pixels between two rows of the grid.  Gradients go to
 * both of these: bands of even number are worked on first, then the odd ones, so no two threads meet. */
#include <stdlib.h>

static int64_t padded(int64_t columns)
{
    return (columns + LANES - 1) / LANES * LANES;
}

/* Rows of pixels [first, end) whose upper row of the grid is `band`. */
static void band_rows(int64_t band, int64_t to, int64_t from, int64_t *first, int64_t *end)
{
    int64_t low, high;
    float weight;
    for (*first = 0; *first < to; ++*first) {
        bilinear(*first, to, from, false, &low, &high, &weight);
        if (low >= band) break;
    }
    for (*end = *first; *end < to; ++*end) {
        bilinear(*end, to, from, false, &low, &high, &weight);
        if (low > band) break;
    }
}

/* out [width, padded cols] = a row of the grid x (of one picture) as seen from row `row` of the pixels. */
static void mix_rows(float *out, const float *x, const struct grid_view *v, int64_t row, int64_t cols, float pad)
{
    int64_t low, high, width = v->from.width, stride = padded(cols);
    float weight;
    bilinear(row, v->to.height, v->from.height, false, &low, &high, &weight);
    for (int64_t at = 0; at < width; at++) {
        const float *a = x + (low * width + at) * cols, *b = x + (high * width + at) * cols;
        float *to = out + at * stride;
        for (int64_t k = 0; k < cols; k++) to[k] = (1 - weight) * a[k] + weight * b[k];
        for (int64_t k = cols; k < stride; k++) to[k] = pad;
    }
}

/* The other way: dx (one picture's) += scale * mixed at the two rows. */
static void unmix_rows(float *dx, const float *mixed, const struct grid_view *v, int64_t row, int64_t cols, float scale)
{
    int64_t low, high, width = v->from.width, stride = padded(cols);
    float weight;
    bilinear(row, v->to.height, v->from.height, false, &low, &high, &weight);
    for (int64_t at = 0; at < width; at++) {
        float *a = dx + (low * width + at) * cols, *b = dx + (high * width + at) * cols;
        const float *from = mixed + at * stride;
        for (int64_t k = 0; k < cols; k++) {
            a[k] += (1 - weight) * scale * from[k];
            b[k] += weight * scale * from[k];
        }
    }
}

/* What a pixel sees left and right of it. */
struct sides {
    const float *left, *right;
    float *to_left, *to_right; /* their gradients */
    float weight;              /* of the right one */
};

static struct sides sides_of(const float *mixed, float *slopes, const struct grid_view *v, int64_t x, int64_t stride)
{
    int64_t low, high;
    struct sides s;
    bilinear(x, v->to.width, v->from.width, false, &low, &high, &s.weight);
    s.left = mixed + low * stride;
    s.right = mixed + high * stride;
    s.to_left = slopes + low * stride;
    s.to_right = slopes + high * stride;
    return s;
}

static inline vec seen(const struct sides *s, int64_t k)
{
    return (1 - s->weight) * vec_load(s->left + k) + s->weight * vec_load(s->right + k);
}

static inline void give_back(const struct sides *s, int64_t k, vec slope)
{
    vec_store(s->to_left + k, vec_load(s->to_left + k) + (1 - s->weight) * slope);
    vec_store(s->to_right + k, vec_load(s->to_right + k) + s->weight * slope);
}

/* --- cross entropy --- */

/* The loss of a pixel; line [stride] is scratch. */
static float pixel(const struct sides *s, float *line, int64_t stride, int64_t target, bool slopes)
{
    vec top = vec_splat(-INFINITY), sum = vec_splat(0);
    for (int64_t k = 0; k < stride; k += LANES) {
        vec l = seen(s, k);
        vec_store(line + k, l);
        top = vec_max(top, l);
    }
    float max = vec_top(top), own = line[target];
    for (int64_t k = 0; k < stride; k += LANES) {
        vec e = vec_exp(vec_load(line + k) - max);
        vec_store(line + k, e);
        sum += e;
    }
    float total = vec_sum(sum), share = 1 / total;
    if (!slopes) return max + logf(total) - own;
    for (int64_t k = 0; k < stride; k += LANES) give_back(s, k, vec_load(line + k) * share);
    s->to_left[target] -= 1 - s->weight;
    s->to_right[target] -= s->weight;
    return max + logf(total) - own;
}

/* The sum over the pixels of a band. */
static double pixel_band(struct device *d, float *slope, const float *logits, const uint16_t *targets,
                         const struct grid_view *v, int64_t band, int64_t classes, int64_t ignored)
{
    int64_t stride = padded(classes), row = v->from.width * stride, first, end;
    float *mixed = d->extra[omp_get_thread_num()], *slopes = mixed + row, *line = slopes + row;
    double sum = 0;
    band_rows(band, v->to.height, v->from.height, &first, &end);
    for (int64_t y = first; y < end; y++) {
        mix_rows(mixed, logits, v, y, classes, -1e30f);
        if (slope) memset(slopes, 0, (size_t)row * sizeof *slopes);
        for (int64_t x = 0; x < v->to.width; x++) {
            int64_t target = targets[y * v->to.width + x];
            if (target == ignored) continue;
            struct sides s = sides_of(mixed, slopes, v, x, stride);
            sum += (double)pixel(&s, line, stride, target, slope != NULL);
        }
        if (slope) unmix_rows(slope, slopes, v, y, classes, 1 / (float)extent_area(v->to));
    }
    return sum;
}

static void pixel_loss(struct device *d, float *loss, float *slope, const float *logits, const uint16_t *targets,
                       struct grid_view v, int64_t classes, int64_t ignored)
{
    int64_t bands = v.from.height, grid = extent_area(v.from) * classes, area = extent_area(v.to);
    double *sums = mem_alloc((size_t)(v.pictures * bands), sizeof *sums);
    device_reserve(d, (size_t)((2 * v.from.width + 1) * padded(classes)));
    if (slope) memset(slope, 0, (size_t)(v.pictures * grid) * sizeof *slope);
    for (int odd = 0; odd < 2; odd++)
#pragma omp parallel for num_threads(d->threads) schedule(dynamic) collapse(2)
        for (int64_t n = 0; n < v.pictures; n++)
            for (int64_t band = odd; band < bands; band += 2)
                sums[n * bands + band] = pixel_band(d, slope ? slope + n * grid : NULL, logits + n * grid,
                                                    targets + n * area, &v, band, classes, ignored);
    for (int64_t n = 0; n < v.pictures; n++) {
        double sum = 0;
        for (int64_t band = 0; band < bands; band++) sum += sums[n * bands + band];
        loss[n] = (float)(sum / (double)area);
    }
    free(sums);
}

/* --- depth from bins --- */

/* Centres, and what is added to each: 0 behind the last, where `mixed` is negative. */
static void lay_bins(float *centres, float *least, int64_t bins, float low, float high)
{
    for (int64_t k = 0; k < padded(bins); k++) {
        centres[k] = k < bins ? low + (high - low) * (float)k / (float)(bins - 1) : 0;
        least[k] = k < bins ? 0.1f : 0;
    }
}

/* The depth of a pixel, and the sum of its bins. */
static float pixel_depth(const struct sides *s, const float *centres, const float *least, int64_t stride, float *sum)
{
    vec all = vec_splat(0), moment = vec_splat(0);
    for (int64_t k = 0; k < stride; k += LANES) {
        vec a = vec_max(seen(s, k), vec_splat(0)) + vec_load(least + k);
        all += a;
        moment += a * vec_load(centres + k);
    }
    *sum = vec_sum(all);
    return vec_sum(moment) / *sum;
}

static void bins_forward(struct device *d, float *depth, const float *logits, struct grid_view v, int64_t bins,
                         float low, float high)
{
    int64_t stride = padded(bins), grid = extent_area(v.from) * bins;
    device_reserve(d, (size_t)((v.from.width + 2) * stride));
#pragma omp parallel for num_threads(d->threads) schedule(static)
    for (int64_t row = 0; row < v.pictures * v.to.height; row++) {
        float *centres = d->extra[omp_get_thread_num()], *least = centres + stride, *mixed = least + stride, sum;
        lay_bins(centres, least, bins, low, high);
        mix_rows(mixed, logits + row / v.to.height * grid, &v, row % v.to.height, bins, -1);
        for (int64_t x = 0; x < v.to.width; x++) {
            struct sides s = sides_of(mixed, mixed, &v, x, stride);
            depth[row * v.to.width + x] = pixel_depth(&s, centres, least, stride, &sum);
        }
    }
}

static void bins_band(struct device *d, float *d_logits, const float *d_depth, const float *logits,
                      const struct grid_view *v, int64_t band, int64_t bins, float low, float high)
{
    int64_t stride = padded(bins), row = v->from.width * stride, first, end;
    float *centres = d->extra[omp_get_thread_num()], *least = centres + stride, *mixed = least + stride;
    float *slopes = mixed + row, sum;
    lay_bins(centres, least, bins, low, high);
    band_rows(band, v->to.height, v->from.height, &first, &end);
    for (int64_t y = first; y < end; y++) {
        mix_rows(mixed, logits, v, y, bins, -1);
        memset(slopes, 0, (size_t)row * sizeof *slopes);
        for (int64_t x = 0; x < v->to.width; x++) {
            struct sides s = sides_of(mixed, slopes, v, x, stride);
            float depth = pixel_depth(&s, centres, least, stride, &sum), g = d_depth[y * v->to.width + x] / sum;
            for (int64_t k = 0; k < stride; k += LANES) {
                vec slope = g * (vec_load(centres + k) - depth);
                give_back(&s, k, vec_select(seen(&s, k) > 0.f, slope, vec_splat(0)));
            }
        }
        unmix_rows(d_logits, slopes, v, y, bins, 1);
    }
}

static void bins_backward(struct device *d, float *d_logits, const float *d_depth, const float *logits,
                          struct grid_view v, int64_t bins, float low, float high, bool accumulate)
{
    int64_t grid = extent_area(v.from) * bins, area = extent_area(v.to);
    device_reserve(d, (size_t)((2 * v.from.width + 2) * padded(bins)));
    if (!accumulate) memset(d_logits, 0, (size_t)(v.pictures * grid) * sizeof *d_logits);
    for (int odd = 0; odd < 2; odd++)
#pragma omp parallel for num_threads(d->threads) schedule(dynamic) collapse(2)
        for (int64_t n = 0; n < v.pictures; n++)
            for (int64_t band = odd; band < v.from.height; band += 2)
                bins_band(d, d_logits + n * grid, d_depth + n * area, logits + n * grid, &v, band, bins, low, high);
}

/* --- depth in logarithms --- */

#define DEPTH_EPS 0.001f

/* Where a pixel lies among four of the grid, and their weights. */
struct corners {
    int64_t at[4];
    float weight[4];
};

static struct corners corners_of(const struct grid_view *v, int64_t y, int64_t x)
{
    int64_t y0, y1, x0, x1;
    float wy, wx;
    bilinear(y, v->to.height, v->from.height, false, &y0, &y1, &wy);
    bilinear(x, v->to.width, v->from.width, false, &x0, &x1, &wx);
    return (struct corners){
        {y0 * v->from.width + x0, y0 * v->from.width + x1, y1 * v->from.width + x0, y1 * v->from.width + x1},
        {(1 - wy) * (1 - wx), (1 - wy) * wx, wy * (1 - wx), wy * wx}};
}

static float depth_seen(const float *depth, const struct corners *c)
{
    float sum = 0;
    for (int i = 0; i < 4; i++) sum += c->weight[i] * depth[c->at[i]];
    return sum;
}

struct spread {
    double mean, variance, count;
};

static struct spread depth_spread(const float *depth, const float *truth, const struct grid_view *v, float most)
{
    double sum = 0, squares = 0, count = 0;
    for (int64_t at = 0; at < extent_area(v->to); at++) {
        if (!(truth[at] > 0 && truth[at] < most)) continue;
        struct corners c = corners_of(v, at / v->to.width, at % v->to.width);
        double g = (double)(logf(depth_seen(depth, &c) + DEPTH_EPS) - logf(truth[at] + DEPTH_EPS));
        sum += g;
        squares += g * g;
        count++;
    }
    double mean = count > 0 ? sum / count : 0;
    return (struct spread){mean, count > 1 ? fmax((squares - count * mean * mean) / (count - 1), 0) : 0, count};
}

static void depth_slope(float *slope, const float *depth, const float *truth, const struct grid_view *v, float most,
                        float spread, struct spread s, double loss)
{
    memset(slope, 0, (size_t)extent_area(v->from) * sizeof *slope);
    if (!(loss > 0)) return;
    double wide = s.count > 1 ? (double)spread / (s.count - 1) / loss : 0, level = 0.15 * s.mean / s.count / loss;
    for (int64_t at = 0; at < extent_area(v->to); at++) {
        if (!(truth[at] > 0 && truth[at] < most)) continue;
        struct corners c = corners_of(v, at / v->to.width, at % v->to.width);
        float p = depth_seen(depth, &c) + DEPTH_EPS;
        double g = (double)(logf(p) - logf(truth[at] + DEPTH_EPS));
        float by = (float)((g - s.mean) * wide + level) / p;
        for (int i = 0; i < 4; i++) slope[c.at[i]] += c.weight[i] * by;
    }
}

static void depth_loss(struct device *d, float *loss, float *slope, const float *depth, const float *truth,
                       struct grid_view v, float most, float spread)
{
    int64_t grid = extent_area(v.from), area = extent_area(v.to);
#pragma omp parallel for num_threads(d->threads) schedule(dynamic)
    for (int64_t n = 0; n < v.pictures; n++) {
        struct spread s = depth_spread(depth + n * grid, truth + n * area, &v, most);
        double value = sqrt((double)spread * s.variance + 0.15 * s.mean * s.mean);
        loss[n] = (float)value;
        if (slope) depth_slope(slope + n * grid, depth + n * grid, truth + n * area, &v, most, spread, s, value);
    }
}
