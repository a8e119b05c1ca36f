/* Every op against a float64 reference, forward and backward, on every instruction level this machine has.
 *
 * One case table: a case names its inputs, how the op is called, and the same formula in double.  The output must agree
 * with the formula; the gradient of sum(weights * output) must agree with central differences of the formula.  Bounds:
 * float32 rounding (6e-8) times the root of the longest sum, times a margin of 20; differences of the double formula
 * add about 1e-8. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "ops/dense.h"
#include "ops/detection.h"
#include "ops/gram.h"
#include "ops/prompted.h"
#include "test/harness.h"

enum { INPUTS = 8 };

struct op_case {
    const char *name;
    int64_t shape[INPUTS][2]; /* rows, cols; rows 0: not there */
    struct tensor *(*run)(struct tape *t, struct tensor **in, const struct op_case *c);
    void (*reference)(const double *const *in, double *out, const struct op_case *c);
    int64_t out[2];
    int flags, heads, kv_heads;
    int64_t map[6];      /* of maps: pictures, height, width; kernel, stride, padding, or height, width of the result */
    double depth;        /* length of the longest sum */
    unsigned parameters; /* inputs that are parameters, a bit each: their gradient is float */
};

/* Arrays of a case on the device it runs on, given back after it. */
static struct device *on;
static struct {
    void *block;
    size_t bytes;
} brought[32];
static int brought_count;

static void *bring(const void *host, size_t bytes)
{
    void *there = on->kernels->map(on, bytes);
    on->kernels->upload(on, there, host, bytes);
    on->kernels->wait(on);
    brought[brought_count].block = there;
    brought[brought_count++].bytes = bytes;
    return there;
}

enum { GELU = 1, CAUSAL = 2, HIDDEN = 4, RAGGED = 8, CORNERS = 16, INFERENCE = 32 };

static double gelu(double x)
{
    return 0.5 * x * (1 + erf(x / sqrt(2)));
}

static void normed(const double *x, const double *scale, const double *shift, double *y, int64_t cols)
{
    double mean = 0, var = 0;
    for (int64_t i = 0; i < cols; i++) mean += x[i] / (double)cols;
    for (int64_t i = 0; i < cols; i++) var += (x[i] - mean) * (x[i] - mean) / (double)cols;
    for (int64_t i = 0; i < cols; i++) y[i] = (x[i] - mean) / sqrt(var + 1e-5) * scale[i] + shift[i];
}

/* in: x, weight, bias, residual, scale, shift */
static struct tensor *run_linear(struct tape *t, struct tensor **in, const struct op_case *c)
{
    return op_linear(t, in[0], (struct linear){in[1], in[2], in[3], in[4], in[5], c->flags & GELU, false});
}

static void reference_linear(const double *const *in, double *out, const struct op_case *c)
{
    int64_t rows = c->shape[0][0], width = c->shape[0][1], outs = c->shape[1][0];
    double *x = malloc((size_t)width * sizeof *x);
    for (int64_t r = 0; r < rows; r++) {
        memcpy(x, in[0] + r * width, (size_t)width * sizeof *x);
        if (in[4]) normed(in[0] + r * width, in[4], in[5], x, width);
        for (int64_t i = 0; c->flags & GELU && i < width; i++) x[i] = gelu(x[i]);
        for (int64_t o = 0; o < outs; o++) {
            double sum = (in[2] ? in[2][o] : 0) + (in[3] ? in[3][r * outs + o] : 0);
            for (int64_t i = 0; i < width; i++) sum += x[i] * in[1][o * width + i];
            out[r * outs + o] = sum;
        }
    }
    free(x);
}

/* in: x, fc weight, fc bias, -, proj weight, proj bias; a residual block's MLP, whose layers know of each other */
static struct tensor *run_mlp(struct tape *t, struct tensor **in, const struct op_case *c)
{
    (void)c;
    struct tensor *hidden = op_linear(t, in[0], (struct linear){.weight = in[1], .bias = in[2], .gelu_output = true});
    return op_linear(t, hidden, (struct linear){.weight = in[4], .bias = in[5], .residual = in[0], .gelu_input = true});
}

static void reference_mlp(const double *const *in, double *out, const struct op_case *c)
{
    int64_t rows = c->shape[0][0], width = c->shape[0][1], wide = c->shape[1][0];
    double *hidden = malloc((size_t)wide * sizeof *hidden);
    for (int64_t r = 0; r < rows; r++) {
        for (int64_t h = 0; h < wide; h++) {
            double sum = in[2][h];
            for (int64_t i = 0; i < width; i++) sum += in[0][r * width + i] * in[1][h * width + i];
            hidden[h] = gelu(sum);
        }
        for (int64_t o = 0; o < width; o++) {
            double sum = in[5][o] + in[0][r * width + o];
            for (int64_t h = 0; h < wide; h++) sum += hidden[h] * in[4][o * wide + h];
            out[r * width + o] = sum;
        }
    }
    free(hidden);
}

static struct tensor *run_project(struct tape *t, struct tensor **in, const struct op_case *c)
{
    (void)c;
    return op_project(t, in[0], in[1]);
}

static void reference_project(const double *const *in, double *out, const struct op_case *c)
{
    int64_t rows = c->shape[0][0], width = c->shape[0][1], outs = c->shape[1][1];
    for (int64_t r = 0; r < rows; r++)
        for (int64_t o = 0; o < outs; o++) {
            double sum = 0;
            for (int64_t i = 0; i < width; i++) sum += in[0][r * width + i] * in[1][i * outs + o];
            out[r * outs + o] = sum;
        }
}

static struct tensor *run_norm(struct tape *t, struct tensor **in, const struct op_case *c)
{
    (void)c;
    return op_norm(t, in[0], in[1], in[2]);
}

static void reference_norm(const double *const *in, double *out, const struct op_case *c)
{
    for (int64_t r = 0; r < c->shape[0][0]; r++)
        normed(in[0] + r * c->shape[0][1], in[1], in[2], out + r * c->shape[0][1], c->shape[0][1]);
}

/* Sequence starts: equal parts, or ragged 1, 2, 3 ... rows. */
static int32_t starts_store[2][16];
static struct sequences cut(const struct op_case *c)
{
    bool ragged = c->flags & RAGGED, cross = c->shape[1][0];
    int64_t count = ragged ? 4 : 3;
    struct sequences s = {.count = count,
                          .q_start = starts_store[0],
                          .k_start = starts_store[cross],
                          .uniform = !ragged,
                          .q_longest = ragged ? 4 : c->shape[0][0] / count,
                          .k_longest = ragged ? 4 : c->shape[cross][0] / count};
    for (int64_t i = 0; i <= s.count; i++) {
        starts_store[0][i] = (int32_t)(c->flags & RAGGED ? i * (i + 1) / 2 : i * c->shape[0][0] / s.count);
        starts_store[1][i] = (int32_t)(i * c->shape[1][0] / s.count);
    }
    return s;
}

static struct tensor *run_attention(struct tape *t, struct tensor **in, const struct op_case *c)
{
    struct sequences s = cut(c);
    s.q_start = bring(s.q_start, sizeof starts_store[0]);
    s.k_start = bring(s.k_start, sizeof starts_store[0]);
    if (c->kv_heads) return op_grouped_attention(t, in[0], c->heads, c->kv_heads, s);
    if (in[2]) return op_attention_apart(t, in[0], in[1], in[2], c->heads, s);
    return op_attention(t, in[0], in[1], c->heads, s, c->flags & CAUSAL);
}

static void reference_attention(const double *const *in, double *out, const struct op_case *c)
{
    struct sequences s = cut(c);
    int64_t width = c->out[1], hd = width / c->heads, ld_q = c->shape[0][1], ld_kv = in[1] ? c->shape[1][1] : ld_q;
    int kv_heads = c->kv_heads ? c->kv_heads : c->heads;
    const double *keys = in[1] ? in[1] : in[0] + width, *values = in[2] ? in[2] : keys + kv_heads * hd;
    double *p = malloc(4096 * sizeof *p);
    for (int64_t n = 0; n < s.count; n++)
        for (int h = 0; h < c->heads; h++)
            for (int64_t i = s.q_start[n]; i < s.q_start[n + 1]; i++) {
                int64_t shared = h / (c->heads / kv_heads) * hd;
                double total = 0;
                int64_t k0 = s.k_start[n], end = c->flags & CAUSAL ? k0 + i - s.q_start[n] + 1 : s.k_start[n + 1];
                for (int64_t j = k0; j < end; j++) {
                    double dot = 0;
                    for (int64_t d = 0; d < hd; d++) dot += in[0][i * ld_q + h * hd + d] * keys[j * ld_kv + shared + d];
                    total += p[j - k0] = exp(dot / sqrt((double)hd));
                }
                for (int64_t d = 0; d < hd; d++) {
                    double sum = 0;
                    for (int64_t j = k0; j < end; j++) sum += p[j - k0] / total * values[j * ld_kv + shared + d];
                    out[i * width + h * hd + d] = sum;
                }
            }
    free(p);
}

static const int32_t identity[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
static float rotary_cosine[64], rotary_sine[64];
static struct rotary_table rotary_place;
static const int32_t row_places[6] = {2, 0, 1, 1, 2, 0};
static struct tensor *run_rotary(struct tape *t, struct tensor **in, const struct op_case *c)
{
    for (int i = 0; i < 64; i++) rotary_cosine[i] = cosf((float)i * .7f), rotary_sine[i] = sinf((float)i * .7f);
    rotary_place = (struct rotary_table){.tokens = 3,
                                         .cosine = bring(rotary_cosine, sizeof rotary_cosine),
                                         .sine = bring(rotary_sine, sizeof rotary_sine)};
    /* in place: give it a copy that belongs to the tape */
    struct tensor *x = op_gather(t, in[0], bring(identity, sizeof identity), in[0]->rows);
    if (!c->kv_heads) return op_rotary(t, x, c->heads, &rotary_place);
    return op_rotary_places(t, x, c->heads, c->kv_heads, &rotary_place, bring(row_places, sizeof row_places));
}

static void reference_rotary(const double *const *in, double *out, const struct op_case *c)
{
    int64_t cols = c->shape[0][1], kv_heads = c->kv_heads ? c->kv_heads : c->heads,
            hd = cols / (c->heads + 2 * kv_heads), pairs = hd / 2;
    for (int64_t r = 0; r < c->shape[0][0]; r++)
        for (int64_t i = 0; i < cols; i++) {
            int64_t pair = i % hd / 2, at = (c->kv_heads ? row_places[r] : r % 3) * pairs + pair;
            const double *x = in[0] + r * cols;
            double cosine = rotary_cosine[at], sine = rotary_sine[at];
            out[r * cols + i] = i >= cols - kv_heads * hd ? x[i]
                                : i % 2                   ? x[i] * cosine + x[i - 1] * sine
                                                          : x[i] * cosine - x[i + 1] * sine;
        }
}

/* Two pictures; heads: the patch, kv_heads: patches side by side */
static uint8_t pixel_store[1024];
static struct extent pixel_size(const struct op_case *c)
{
    return (struct extent){c->out[0] / 2 / c->kv_heads * c->heads, c->kv_heads * c->heads};
}

static struct tensor *run_patches(struct tape *t, struct tensor **in, const struct op_case *c)
{
    (void)in;
    for (size_t i = 0; i < sizeof pixel_store; i++) pixel_store[i] = (uint8_t)(i * 2654435761u >> 24);
    return op_patches(t, bring(pixel_store, sizeof pixel_store), 2, pixel_size(c), c->heads);
}

static void reference_patches(const double *const *in, double *out, const struct op_case *c)
{
    struct extent size = pixel_size(c);
    int64_t patch = c->heads, width = c->out[1], across = c->kv_heads, down = size.height / patch;
    (void)in;
    for (int64_t n = 0; n < 2; n++)
        for (int64_t y = 0; y < size.height; y++)
            for (int64_t x = 0; x < size.width; x++)
                for (int64_t k = 0; k < 3; k++) {
                    int64_t row = (n * down + y / patch) * across + x / patch;
                    int64_t column = (k * patch + y % patch) * patch + x % patch;
                    out[row * width + column] =
                        pixel_store[((n * size.height + y) * size.width + x) * 3 + k] / 127.5 - 1;
                }
}

/* heads: rows of the grid of patches, 0: it is square */
static struct extent patch_grid(const struct op_case *c)
{
    int64_t count = c->shape[0][0] / 3, height = c->heads ? c->heads : (int64_t)sqrt((double)count);
    return (struct extent){height, count / height};
}

static const uint8_t hidden_map[16] = {0, 1, 0, 0, 1, 1, 0, 0, 0, 1, 0, 0};
static struct tensor *run_tokens(struct tape *t, struct tensor **in, const struct op_case *c)
{
    struct extent from = extent_square((int64_t)sqrt((double)c->shape[2][0]));
    return op_tokens(t, in[0], in[1], in[2], from, patch_grid(c),
                     c->flags & HIDDEN ? bring(hidden_map, sizeof hidden_map) : NULL, 3);
}

/* Row t of a table whose grid of from x from, after `first` rows, is seen as one of `to`. */
static double position(const double *table, int64_t t, int64_t i, int64_t first, int64_t from, struct extent to,
                       int64_t w)
{
    if (t < first) return table[t * w + i];
    int64_t y = (t - first) / to.width, x = (t - first) % to.width;
    double fy = fmax(0, ((double)y + .5) * (double)from / (double)to.height - .5),
           fx = fmax(0, ((double)x + .5) * (double)from / (double)to.width - .5);
    int64_t y0 = (int64_t)fy, x0 = (int64_t)fx, y1 = y0 + 1 < from ? y0 + 1 : y0, x1 = x0 + 1 < from ? x0 + 1 : x0;
    double wy = fy - (double)y0, wx = fx - (double)x0;
    const double *g = table + first * w + i;
    return (1 - wy) * ((1 - wx) * g[(y0 * from + x0) * w] + wx * g[(y0 * from + x1) * w]) +
           wy * ((1 - wx) * g[(y1 * from + x0) * w] + wx * g[(y1 * from + x1) * w]);
}

static void reference_tokens(const double *const *in, double *out, const struct op_case *c)
{
    int64_t width = c->shape[0][1], count = c->shape[0][0] / 3, first = in[1] != NULL, tokens = count + first;
    int64_t from = (int64_t)sqrt((double)c->shape[2][0]);
    for (int64_t n = 0; n < 3; n++)
        for (int64_t t = 0; t < tokens; t++)
            for (int64_t i = 0; i < width; i++) {
                int64_t p = n * count + t - first;
                double content = t < first ? in[1][i] : c->flags & HIDDEN && hidden_map[p] ? 0 : in[0][p * width + i];
                out[(n * tokens + t) * width + i] = content + position(in[2], t, i, first, from, patch_grid(c), width);
            }
}

/* in: x, branch, gamma; three sequences, one of them dropped */
static const float kept[3] = {1.25f, 0, 1.25f};
static struct tensor *run_branch(struct tape *t, struct tensor **in, const struct op_case *c)
{
    return op_branch(t, in[0], in[1], in[2], c->flags & HIDDEN ? bring(kept, sizeof kept) : NULL, 3);
}

static void reference_branch(const double *const *in, double *out, const struct op_case *c)
{
    int64_t rows = c->out[0], w = c->out[1];
    for (int64_t i = 0; i < rows * w; i++)
        out[i] = in[0][i] +
                 (c->flags & HIDDEN ? (double)kept[i / w / (rows / 3)] : 1) * (in[2] ? in[2][i % w] : 1) * in[1][i];
}

static struct tensor *run_rms(struct tape *t, struct tensor **in, const struct op_case *c)
{
    (void)c;
    return op_rms(t, in[0], in[1], 1e-5f);
}

static void reference_rms(const double *const *in, double *out, const struct op_case *c)
{
    int64_t w = c->out[1];
    for (int64_t r = 0; r < c->out[0]; r++) {
        double squares = 0;
        for (int64_t i = 0; i < w; i++) squares += in[0][r * w + i] * in[0][r * w + i] / (double)w;
        for (int64_t i = 0; i < w; i++) out[r * w + i] = in[0][r * w + i] / sqrt(squares + 1e-5) * in[1][i];
    }
}

static struct tensor *run_gate(struct tape *t, struct tensor **in, const struct op_case *c)
{
    (void)c;
    return op_gate(t, in[0]);
}

static void reference_gate(const double *const *in, double *out, const struct op_case *c)
{
    int64_t w = c->out[1];
    for (int64_t r = 0; r < c->out[0]; r++)
        for (int64_t i = 0; i < w; i++) {
            double a = in[0][r * 2 * w + i];
            out[r * w + i] = a / (1 + exp(-a)) * in[0][r * 2 * w + w + i];
        }
}

static const int32_t target_store[12] = {3, 0, 30, 8, 1, 7, 2, 11, 29, 3, 5, 6};
static struct tensor *run_loss(struct tape *t, struct tensor **in, const struct op_case *c)
{
    (void)c;
    return op_loss(t, in[0], in[1], in[2], bring(target_store, sizeof target_store));
}

static void reference_loss(const double *const *in, double *out, const struct op_case *c)
{
    int64_t w = c->shape[0][1], words = c->shape[1][0];
    for (int64_t r = 0; r < c->out[0]; r++) {
        double total = 0, own = 0;
        for (int64_t v = 0; v < words; v++) {
            double logit = in[2] ? in[2][v] : 0;
            for (int64_t i = 0; i < w; i++) logit += in[0][r * w + i] * in[1][v * w + i];
            total += exp(logit);
            if (v == target_store[r]) own = logit;
        }
        out[r] = log(total) - own;
    }
}

/* Features, their mean and their scale are constants: no gradient is asked for. */
static struct tensor *run_standardize(struct tape *t, struct tensor **in, const struct op_case *c)
{
    (void)c;
    for (int i = 0; i < 3; i++) in[i]->needs_grad = false;
    return op_standardize(t, in[0], in[1], in[2]);
}

static void reference_standardize(const double *const *in, double *out, const struct op_case *c)
{
    for (int64_t i = 0; i < c->out[0] * c->out[1]; i++)
        out[i] = (in[0][i] - in[1][i % c->out[1]]) * in[2][i % c->out[1]];
}

static const int32_t put_index[4] = {5, 0, 2, 7};
static struct tensor *run_put(struct tape *t, struct tensor **in, const struct op_case *c)
{
    (void)c;
    return op_put(t, op_gather(t, in[0], bring(identity, sizeof identity), in[0]->rows), in[1],
                  bring(put_index, sizeof put_index));
}

static void reference_put(const double *const *in, double *out, const struct op_case *c)
{
    int64_t w = c->out[1];
    memcpy(out, in[0], (size_t)(c->out[0] * w) * sizeof *out);
    for (int r = 0; r < 4; r++) memcpy(out + put_index[r] * w, in[1] + r * w, (size_t)w * sizeof *out);
}

static const int32_t group_starts[5] = {0, 1, 9, 10, 13};
static struct tensor *run_mean(struct tape *t, struct tensor **in, const struct op_case *c)
{
    return op_mean(t, in[0], bring(group_starts, sizeof group_starts), c->out[0]);
}

static void reference_mean(const double *const *in, double *out, const struct op_case *c)
{
    int64_t w = c->out[1];
    memset(out, 0, (size_t)(c->out[0] * w) * sizeof *out);
    for (int g = 0; g < c->out[0]; g++)
        for (int r = group_starts[g]; r < group_starts[g + 1]; r++)
            for (int64_t i = 0; i < w; i++)
                out[g * w + i] += in[0][r * w + i] / (group_starts[g + 1] - group_starts[g]);
}

/* heads: the factor; the grid is six a side */
static struct tensor *run_pool(struct tape *t, struct tensor **in, const struct op_case *c)
{
    return op_pool(t, in[0], in[0]->rows / 36, 6, c->heads);
}

static void reference_pool(const double *const *in, double *out, const struct op_case *c)
{
    int64_t w = c->out[1], f = c->heads, side = 6 / f;
    for (int64_t cell = 0; cell < c->out[0]; cell++)
        for (int64_t i = 0; i < w; i++) {
            double sum = 0;
            for (int64_t y = 0; y < f; y++)
                for (int64_t x = 0; x < f; x++)
                    sum +=
                        in[0][(cell / (side * side) * 36 + (cell / side % side * f + y) * 6 + cell % side * f + x) * w +
                              i];
            out[cell * w + i] = sum / (double)(f * f);
        }
}

/* Two pictures whose grid, heads x kv_heads, is seen at other extents. */
static struct map grid_of(const struct op_case *c)
{
    return (struct map){2, {c->heads, c->kv_heads}};
}

static struct extent seen_extent(const struct op_case *c)
{
    return c->flags & HIDDEN ? (struct extent){3, 4} : (struct extent){7, 9};
}

/* Column k of picture n's grid of `from` as pixel (y, x) of `to` sees it. */
static double seen(const double *grid, int64_t n, struct extent from, struct extent to, int64_t y, int64_t x, int64_t w,
                   int64_t k)
{
    double fy = fmax(0, ((double)y + .5) * (double)from.height / (double)to.height - .5),
           fx = fmax(0, ((double)x + .5) * (double)from.width / (double)to.width - .5);
    int64_t y0 = (int64_t)fy, x0 = (int64_t)fx, y1 = y0 + 1 < from.height ? y0 + 1 : y0,
            x1 = x0 + 1 < from.width ? x0 + 1 : x0;
    double wy = fy - (double)y0, wx = fx - (double)x0;
    const double *g = grid + n * extent_area(from) * w + k;
    return (1 - wy) * ((1 - wx) * g[(y0 * from.width + x0) * w] + wx * g[(y0 * from.width + x1) * w]) +
           wy * ((1 - wx) * g[(y1 * from.width + x0) * w] + wx * g[(y1 * from.width + x1) * w]);
}

enum { IGNORED = 300, PIXELS = 2 * 63 };
static uint16_t class_store[PIXELS];
static struct tensor *run_pixel_loss(struct tape *t, struct tensor **in, const struct op_case *c)
{
    for (int i = 0; i < PIXELS; i++) class_store[i] = (uint16_t)(i % 5 == 3 ? IGNORED : i * 7 % c->shape[0][1]);
    return op_pixel_loss(t, in[0], grid_of(c), seen_extent(c), bring(class_store, sizeof class_store), IGNORED);
}

static void reference_pixel_loss(const double *const *in, double *out, const struct op_case *c)
{
    struct extent to = seen_extent(c);
    int64_t w = c->shape[0][1], area = extent_area(to);
    for (int64_t n = 0; n < 2; n++) {
        out[n] = 0;
        for (int64_t at = 0; at < area; at++) {
            double total = 0, own = 0;
            int64_t target = class_store[n * area + at];
            if (target == IGNORED) continue;
            for (int64_t k = 0; k < w; k++) {
                double l = seen(in[0], n, grid_of(c).size, to, at / to.width, at % to.width, w, k);
                total += exp(l);
                if (k == target) own = l;
            }
            out[n] += (log(total) - own) / (double)area;
        }
    }
}

static double depth_of(const double *logits, int64_t n, const struct op_case *c, struct extent to, int64_t at)
{
    double sum = 0, moment = 0;
    int64_t bins = c->shape[0][1];
    for (int64_t k = 0; k < bins; k++) {
        double a = fmax(0, seen(logits, n, grid_of(c).size, to, at / to.width, at % to.width, bins, k)) + 0.1;
        sum += a;
        moment += a * (0.5 + 9.5 * (double)k / (double)(bins - 1));
    }
    return moment / sum;
}

static struct tensor *run_bins(struct tape *t, struct tensor **in, const struct op_case *c)
{
    return op_bins(t, in[0], grid_of(c), seen_extent(c), 0.5f, 10);
}

static void reference_bins(const double *const *in, double *out, const struct op_case *c)
{
    struct extent to = seen_extent(c);
    for (int64_t i = 0; i < 2 * extent_area(to); i++)
        out[i] = depth_of(in[0], i / extent_area(to), c, to, i % extent_area(to));
}

/* Depth at twice the grid, held against truth at seen_extent; some of it is none, some too far. */
static float truth_store[PIXELS];
static struct extent twice(const struct op_case *c)
{
    return (struct extent){2 * c->heads, 2 * c->kv_heads};
}

static struct tensor *run_depth_loss(struct tape *t, struct tensor **in, const struct op_case *c)
{
    for (int i = 0; i < PIXELS; i++) truth_store[i] = i % 7 == 2 ? 0 : (float)(i % 13 + 1);
    struct tensor *depth = op_bins(t, in[0], grid_of(c), twice(c), 0.5f, 10);
    return op_depth_loss(t, depth, (struct map){2, twice(c)}, seen_extent(c), bring(truth_store, sizeof truth_store),
                         10, c->flags & CAUSAL ? 0 : 1);
}

static void reference_depth_loss(const double *const *in, double *out, const struct op_case *c)
{
    struct extent to = seen_extent(c);
    double grid[2 * 4 * 30];
    for (int64_t i = 0; i < 2 * extent_area(twice(c)); i++)
        grid[i] = depth_of(in[0], i / extent_area(twice(c)), c, twice(c), i % extent_area(twice(c)));
    for (int64_t n = 0; n < 2; n++) {
        double sum = 0, squares = 0, count = 0;
        for (int64_t at = 0; at < extent_area(to); at++) {
            double truth = (double)truth_store[n * extent_area(to) + at];
            if (truth <= 0 || truth >= 10) continue;
            double g = log(seen(grid, n, twice(c), to, at / to.width, at % to.width, 1, 0) + 1e-3) - log(truth + 1e-3);
            sum += g, squares += g * g, count++;
        }
        double variance = c->flags & CAUSAL ? 0 : (squares - sum * sum / count) / (count - 1);
        out[n] = sqrt(variance + 0.15 * (sum / count) * (sum / count));
    }
}

static const int32_t word_ids[7] = {3, -1, 3, 8, -1, 3, 0}, word_order[7] = {1, 4, 6, 0, 2, 5, 3};
static struct tensor *run_words(struct tape *t, struct tensor **in, const struct op_case *c)
{
    (void)c;
    return op_embed(t, in[0], NULL, bring(word_ids, sizeof word_ids), NULL, bring(word_order, sizeof word_order), 7);
}

static void reference_words(const double *const *in, double *out, const struct op_case *c)
{
    int64_t w = c->out[1];
    for (int64_t r = 0; r < 7; r++)
        for (int64_t i = 0; i < w; i++) out[r * w + i] = word_ids[r] < 0 ? 0 : in[0][word_ids[r] * w + i];
}

static const int32_t ids[7] = {3, 0, 3, 8, 1, 3, 0}, places[7] = {0, 1, 2, 0, 1, 0, 1},
                     order[7] = {1, 6, 4, 0, 2, 5, 3};
static struct tensor *run_embed(struct tape *t, struct tensor **in, const struct op_case *c)
{
    (void)c;
    return op_embed(t, in[0], in[1], bring(ids, sizeof ids), bring(places, sizeof places), bring(order, sizeof order),
                    7);
}

static void reference_embed(const double *const *in, double *out, const struct op_case *c)
{
    int64_t w = c->out[1];
    for (int64_t r = 0; r < 7; r++)
        for (int64_t i = 0; i < w; i++) out[r * w + i] = in[0][ids[r] * w + i] + in[1][places[r] * w + i];
}

static const int32_t chosen[6] = {3, 0, 8, 1, 7, 2};
static struct tensor *run_gather(struct tape *t, struct tensor **in, const struct op_case *c)
{
    (void)c;
    return op_gather(t, in[0], bring(chosen, sizeof chosen), 6);
}

static void reference_gather(const double *const *in, double *out, const struct op_case *c)
{
    for (int64_t r = 0; r < 6; r++)
        memcpy(out + r * c->out[1], in[0] + chosen[r] * c->out[1], (size_t)c->out[1] * sizeof *out);
}

static struct tensor *run_repeat(struct tape *t, struct tensor **in, const struct op_case *c)
{
    return op_repeat(t, in[0], c->out[0]);
}

static void reference_repeat(const double *const *in, double *out, const struct op_case *c)
{
    for (int64_t r = 0; r < c->out[0]; r++) memcpy(out + r * c->out[1], in[0], (size_t)c->out[1] * sizeof *out);
}

static struct tensor *run_normalize(struct tape *t, struct tensor **in, const struct op_case *c)
{
    (void)c;
    return op_normalize(t, in[0]);
}

static void reference_normalize(const double *const *in, double *out, const struct op_case *c)
{
    for (int64_t r = 0; r < c->out[0]; r++) {
        double squares = 0;
        for (int64_t i = 0; i < c->out[1]; i++) squares += pow(in[0][r * c->out[1] + i], 2);
        for (int64_t i = 0; i < c->out[1]; i++) out[r * c->out[1] + i] = in[0][r * c->out[1] + i] / sqrt(squares);
    }
}

/* The second input of cosine is a constant: its gradient is not asked for. */
static struct tensor *run_cosine(struct tape *t, struct tensor **in, const struct op_case *c)
{
    (void)c;
    in[1]->needs_grad = false;
    return op_cosine(t, in[0], in[1]);
}

static double cosine(const double *x, const double *y, int64_t w)
{
    double xy = 0, xx = 0, yy = 0;
    for (int64_t i = 0; i < w; i++) xy += x[i] * y[i], xx += x[i] * x[i], yy += y[i] * y[i];
    return xy / sqrt(xx * yy);
}

static void reference_cosine(const double *const *in, double *out, const struct op_case *c)
{
    int64_t w = c->shape[0][1];
    for (int64_t r = 0; r < c->out[0]; r++) out[r] = cosine(in[0] + r * w, in[1] + r * w, w);
}

/* Two pictures. */
static struct tensor *run_gram(struct tape *t, struct tensor **in, const struct op_case *c)
{
    (void)c;
    in[1]->needs_grad = false;
    return op_gram_loss(t, in[0], in[1], 2, 2);
}

static void reference_gram(const double *const *in, double *out, const struct op_case *c)
{
    int64_t rows = c->shape[0][0] / 2, w = c->shape[0][1], p = c->shape[1][1];
    for (int64_t n = 0; n < 2; n++) {
        const double *z = in[0] + n * rows * w, *t = in[1] + n * rows * p;
        out[n] = 0;
        for (int64_t i = 0; i < rows; i++)
            for (int64_t j = 0; j < rows; j++) {
                double taught = exp(2 * (cosine(t + i * p, t + j * p, p) - 1));
                out[n] += pow(cosine(z + i * w, z + j * w, w) - taught, 2) / (double)(rows * rows);
            }
    }
}

static struct map map_of(const struct op_case *c)
{
    return (struct map){c->map[0], {c->map[1], c->map[2]}};
}

/* in: x, weight, bias */
static struct tensor *run_convolve(struct tape *t, struct tensor **in, const struct op_case *c)
{
    if (c->flags & HIDDEN) in[0]->needs_grad = false;
    return op_convolve(t, in[0], map_of(c), (struct convolution){in[1], in[2], c->map[3], c->map[4], c->map[5]});
}

static void reference_convolve(const double *const *in, double *out, const struct op_case *c)
{
    int64_t height = c->map[1], width = c->map[2], kernel = c->map[3], stride = c->map[4], padding = c->map[5];
    int64_t down = (height + 2 * padding - kernel) / stride + 1, across = (width + 2 * padding - kernel) / stride + 1;
    int64_t channels = c->shape[0][1], outs = c->out[1];
    for (int64_t r = 0; r < c->out[0]; r++)
        for (int64_t o = 0; o < outs; o++) {
            double sum = in[2] ? in[2][o] : 0;
            for (int64_t tap = 0; tap < kernel * kernel; tap++) {
                int64_t y = r / across % down * stride + tap / kernel - padding,
                        x = r % across * stride + tap % kernel - padding;
                if (y < 0 || x < 0 || y >= height || x >= width) continue;
                const double *from = in[0] + ((r / (down * across) * height + y) * width + x) * channels;
                for (int64_t i = 0; i < channels; i++)
                    sum += from[i] * in[1][(o * kernel * kernel + tap) * channels + i];
            }
            out[r * outs + o] = sum;
        }
}

/* One layer twice over: its gradients and that of x are added up. */
static struct tensor *run_convolve_twice(struct tape *t, struct tensor **in, const struct op_case *c)
{
    return op_branch(t, run_convolve(t, in, c), run_convolve(t, in, c), NULL, NULL, 1);
}

static void reference_convolve_twice(const double *const *in, double *out, const struct op_case *c)
{
    reference_convolve(in, out, c);
    for (int64_t i = 0; i < c->out[0] * c->out[1]; i++) out[i] *= 2;
}

/* A map that two convolutions and what comes after them read: gradients are added up. */
static struct tensor *run_tower(struct tape *t, struct tensor **in, const struct op_case *c)
{
    struct map map = map_of(c);
    struct convolution layer = {in[1], in[2], 3, 1, 1};
    struct tensor *x = op_convolve(t, in[0], map, layer);
    x = op_relu(t, op_group_norm(t, x, map, 2, in[3], in[4]));
    x = op_branch(t, op_convolve(t, x, map, layer), op_affine(t, x, in[3], in[4]), NULL, NULL, 1);
    return op_branch(t, x, op_gelu(t, x), NULL, NULL, 1);
}

static void group_normed(double *x, int64_t groups, const double *scale, const double *shift, const struct op_case *c)
{
    int64_t cols = c->out[1], area = c->map[1] * c->map[2], width = cols / groups;
    for (int64_t n = 0; n < c->map[0]; n++)
        for (int64_t g = 0; g < groups; g++) {
            double mean = 0, variance = 0, *at = x + n * area * cols + g * width;
            for (int64_t i = 0; i < area * width; i++)
                mean += at[i / width * cols + i % width] / (double)(area * width);
            for (int64_t i = 0; i < area * width; i++)
                variance += pow(at[i / width * cols + i % width] - mean, 2) / (double)(area * width);
            for (int64_t i = 0; i < area * width; i++) {
                double *value = at + i / width * cols + i % width;
                *value = (*value - mean) / sqrt(variance + 1e-5) * scale[g * width + i % width] +
                         shift[g * width + i % width];
            }
        }
}

static void reference_tower(const double *const *in, double *out, const struct op_case *c)
{
    int64_t cols = c->out[1], count = c->out[0] * cols;
    double *hidden = malloc((size_t)count * sizeof *hidden);
    struct op_case layer = *c;
    memcpy(layer.map + 3, (int64_t[]){3, 1, 1}, sizeof(int64_t[3]));
    reference_convolve(in, hidden, &layer);
    group_normed(hidden, 2, in[3], in[4], c);
    for (int64_t i = 0; i < count; i++) hidden[i] = fmax(hidden[i], 0);
    const double *again[INPUTS] = {hidden, in[1], in[2]};
    reference_convolve(again, out, &layer);
    for (int64_t i = 0; i < count; i++) {
        out[i] += hidden[i] * in[3][i % cols] + in[4][i % cols];
        out[i] += gelu(out[i]);
    }
    free(hidden);
}

/* heads: groups */
static struct tensor *run_group_norm(struct tape *t, struct tensor **in, const struct op_case *c)
{
    return op_group_norm(t, in[0], map_of(c), c->heads, in[1], in[2]);
}

static void reference_group_norm(const double *const *in, double *out, const struct op_case *c)
{
    memcpy(out, in[0], (size_t)(c->out[0] * c->out[1]) * sizeof *out);
    group_normed(out, c->heads, in[1], in[2], c);
}

static struct tensor *run_affine(struct tape *t, struct tensor **in, const struct op_case *c)
{
    (void)c;
    return op_affine(t, in[0], in[1], in[2]);
}

static void reference_affine(const double *const *in, double *out, const struct op_case *c)
{
    for (int64_t i = 0; i < c->out[0] * c->out[1]; i++) out[i] = in[0][i] * in[1][i % c->out[1]] + in[2][i % c->out[1]];
}

static struct tensor *run_activation(struct tape *t, struct tensor **in, const struct op_case *c)
{
    return c->flags & GELU ? op_gelu(t, in[0]) : op_relu(t, in[0]);
}

static void reference_activation(const double *const *in, double *out, const struct op_case *c)
{
    for (int64_t i = 0; i < c->out[0] * c->out[1]; i++) out[i] = c->flags & GELU ? gelu(in[0][i]) : fmax(in[0][i], 0);
}

static struct tensor *run_spread(struct tape *t, struct tensor **in, const struct op_case *c)
{
    return op_spread(t, in[0], map_of(c), c->map[3]);
}

static void reference_spread(const double *const *in, double *out, const struct op_case *c)
{
    int64_t factor = c->map[3], across = c->map[2] * factor, cols = c->out[1];
    for (int64_t r = 0; r < c->out[0]; r++) {
        int64_t y = r / across, x = r % across, from = y / factor * c->map[2] + x / factor;
        int64_t part = y % factor * factor + x % factor;
        memcpy(out + r * cols, in[0] + (from * factor * factor + part) * cols, (size_t)cols * sizeof *out);
    }
}

static struct tensor *run_max_pool(struct tape *t, struct tensor **in, const struct op_case *c)
{
    return op_max_pool(t, in[0], map_of(c), c->map[3], c->map[4]);
}

static void reference_max_pool(const double *const *in, double *out, const struct op_case *c)
{
    int64_t height = c->map[1], width = c->map[2], kernel = c->map[3], stride = c->map[4], cols = c->out[1];
    int64_t down = (height - kernel) / stride + 1, across = (width - kernel) / stride + 1;
    for (int64_t i = 0; i < c->out[0] * cols; i++) {
        int64_t r = i / cols, y = r / across % down * stride, x = r % across * stride, n = r / (down * across);
        out[i] = -INFINITY;
        for (int64_t k = 0; k < kernel * kernel; k++)
            out[i] = fmax(out[i], in[0][((n * height + y + k / kernel) * width + x + k % kernel) * cols + i % cols]);
    }
}

static struct tensor *run_resize(struct tape *t, struct tensor **in, const struct op_case *c)
{
    return op_resize(t, in[0], map_of(c), (struct extent){c->map[3], c->map[4]}, c->flags & CORNERS);
}

static double sampled(double i, double from, double to, bool corners)
{
    return corners ? to > 1 ? i * (from - 1) / (to - 1) : 0 : fmin(fmax((i + .5) * from / to - .5, 0), from - 1);
}

static void reference_resize(const double *const *in, double *out, const struct op_case *c)
{
    int64_t height = c->map[1], width = c->map[2], down = c->map[3], across = c->map[4], cols = c->out[1];
    for (int64_t i = 0; i < c->out[0] * cols; i++) {
        int64_t r = i / cols, n = r / (down * across);
        double y = sampled((double)(r / across % down), (double)height, (double)down, c->flags & CORNERS),
               x = sampled((double)(r % across), (double)width, (double)across, c->flags & CORNERS);
        out[i] = 0;
        for (int64_t k = 0; k < height * width; k++) { /* each pixel's tent */
            double share = fmax(0, 1 - fabs(y - (double)(k / width))) * fmax(0, 1 - fabs(x - (double)(k % width)));
            out[i] += share * in[0][(n * height * width + k) * cols + i % cols];
        }
    }
}

enum { A = 1, B = 2, C = 4, D = 8, E = 16, F = 32 }; /* inputs that are parameters */
/* Three pictures; every third row is of none, or -1. in: the first map's x, and a second's; the first counts twice */
enum { PICTURES = 3 };
static int32_t foreground_store[64];
static float distance_store[256], share_store[64];

static void make_truths(void)
{
    for (int i = 0; i < 64; i++) foreground_store[i] = i % 3 ? i % 5 : -1;
    for (int i = 0; i < 64; i++) share_store[i] = i % 3 ? (float)(i % 7) / 7 : -1;
    for (int i = 0; i < 256; i++) distance_store[i] = 1 + (float)(i * 37 % 50) / 9;
}

static struct tensor *run_focal(struct tape *t, struct tensor **in, const struct op_case *c)
{
    (void)c;
    make_truths();
    const int32_t *targets = bring(foreground_store, sizeof foreground_store);
    struct tensor *y = op_focal(t, NULL, in[0], targets, PICTURES, 0.5f);
    y = op_focal(t, y, in[1], targets, PICTURES, 2);
    return op_focal(t, y, in[0], targets, PICTURES, 0.25f);
}

static double focal(const double *x, const struct op_case *c, int n, int64_t picture)
{
    int64_t rows = c->shape[n][0] / PICTURES, cols = c->shape[n][1];
    double sum = 0;
    for (int64_t r = picture * rows; r < (picture + 1) * rows; r++)
        for (int64_t k = 0; k < cols; k++) {
            double p = 1 / (1 + exp(-x[r * cols + k]));
            sum += k == foreground_store[r] ? -.25 * pow(1 - p, 2) * log(p) : -.75 * p * p * log(1 - p);
        }
    return sum;
}

static void reference_focal(const double *const *in, double *out, const struct op_case *c)
{
    for (int64_t p = 0; p < PICTURES; p++) out[p] = 0.75 * focal(in[0], c, 0, p) + 2 * focal(in[1], c, 1, p);
}

static struct tensor *run_giou(struct tape *t, struct tensor **in, const struct op_case *c)
{
    (void)c;
    make_truths();
    const int32_t *targets = bring(foreground_store, sizeof foreground_store);
    const float *truths = bring(distance_store, sizeof distance_store);
    struct tensor *y = op_giou(t, NULL, in[0], truths, targets, PICTURES, 3, 0.5f);
    return op_giou(t, y, in[0], truths, targets, PICTURES, 6, 1);
}

static double giou(const double *x, const float *truth, double side)
{
    double a[4], width, height, inter, whole, hull;
    for (int i = 0; i < 4; i++) a[i] = side * x[i];
    width = fmin(a[0], (double)truth[0]) + fmin(a[2], (double)truth[2]);
    height = fmin(a[1], (double)truth[1]) + fmin(a[3], (double)truth[3]);
    inter = width > 0 && height > 0 ? width * height : 0;
    whole = (a[0] + a[2]) * (a[1] + a[3]) + (double)(truth[0] + truth[2]) * (double)(truth[1] + truth[3]) - inter;
    hull = (fmax(a[0], (double)truth[0]) + fmax(a[2], (double)truth[2])) *
           (fmax(a[1], (double)truth[1]) + fmax(a[3], (double)truth[3]));
    return inter / (whole + 1e-7) - (hull - whole) / (hull + 1e-7);
}

static void reference_giou(const double *const *in, double *out, const struct op_case *c)
{
    for (int64_t p = 0, r = 0; p < PICTURES; p++) {
        out[p] = 0;
        for (; r < (p + 1) * c->shape[0][0] / PICTURES; r++)
            if (foreground_store[r] >= 0)
                out[p] += 0.5 * (1 - giou(in[0] + 4 * r, distance_store + 4 * r, 3)) + 1 -
                          giou(in[0] + 4 * r, distance_store + 4 * r, 6);
    }
}

static struct tensor *run_binary(struct tape *t, struct tensor **in, const struct op_case *c)
{
    (void)c;
    make_truths();
    const float *targets = bring(share_store, sizeof share_store);
    struct tensor *y = op_binary(t, NULL, in[0], targets, PICTURES, 0.5f);
    return op_binary(t, y, in[0], targets, PICTURES, 1);
}

static void reference_binary(const double *const *in, double *out, const struct op_case *c)
{
    for (int64_t p = 0, r = 0; p < PICTURES; p++) {
        out[p] = 0;
        for (; r < (p + 1) * c->shape[0][0] / PICTURES; r++)
            if (share_store[r] >= 0) out[p] += 1.5 * (log(1 + exp(in[0][r])) - in[0][r] * (double)share_store[r]);
    }
}

/* --- few tokens beside a map: .map = {prompts, tokens} --- */

static struct token_heads token_heads_of(const struct op_case *c)
{
    return (struct token_heads){c->map[0], c->map[1], c->heads, c->map[2]};
}

static struct tensor *run_heads(struct tape *t, struct tensor **in, const struct op_case *c)
{
    bool apart = c->out[0] > c->shape[0][0];
    return apart ? op_heads_apart(t, in[0], token_heads_of(c), 0.5f) : op_heads_together(t, in[0], token_heads_of(c));
}

static void reference_heads(const double *const *in, double *out, const struct op_case *c)
{
    struct token_heads h = token_heads_of(c);
    int64_t width = c->out[1];
    for (int64_t n = 0; n < h.prompts * h.tokens * h.heads * width; n++) {
        int64_t column = n % width, head = n / width % h.heads, token = n / width / h.heads;
        int64_t many = ((token / h.tokens * h.heads + head) * h.tokens + token % h.tokens) * width + column;
        bool own = column / h.head_dim == head;
        if (c->out[0] > c->shape[0][0])
            out[many] = own ? in[0][token * width + column] / 2 : 0;
        else if (own)
            out[token * width + column] = in[0][many];
    }
}

/* in: q, map, places */
static struct tensor *run_map_to_tokens(struct tape *t, struct tensor **in, const struct op_case *c)
{
    return op_map_to_tokens(t, in[0], in[1], in[2], token_heads_of(c));
}

static void reference_map_to_tokens(const double *const *in, double *out, const struct op_case *c)
{
    struct token_heads h = token_heads_of(c);
    int64_t rows = c->shape[2][0], width = c->out[1], columns = h.heads * h.tokens;
    bool shared = c->shape[1][0] == rows;
    for (int64_t n = 0; n < h.prompts * columns; n++) {
        const double *map = in[1] + (shared ? 0 : n / columns * rows * width);
        double total = 0;
        memset(out + n * width, 0, (size_t)width * sizeof *out);
        for (int64_t r = 0; r < rows; r++) {
            double dot = 0;
            for (int64_t i = 0; i < width; i++)
                dot += in[0][n * width + i] * (map[r * width + i] + in[2][r * width + i]);
            total += exp(dot);
            for (int64_t i = 0; i < width; i++) out[n * width + i] += exp(dot) * map[r * width + i];
        }
        for (int64_t i = 0; i < width; i++) out[n * width + i] /= total;
    }
}

/* in: map, places or (with one map for all) what it is seen as, k, k_bias, v, bias, scale, shift */
static struct tensor *run_tokens_to_map(struct tape *t, struct tensor **in, const struct op_case *c)
{
    bool shared = c->shape[0][0] == c->shape[1][0];
    struct map_update u = {in[2], in[3], in[4], in[5], shared ? NULL : in[1], shared ? in[1] : NULL, in[6], in[7]};
    return op_tokens_to_map(t, in[0], u, token_heads_of(c));
}

static void reference_tokens_to_map(const double *const *in, double *out, const struct op_case *c)
{
    struct token_heads h = token_heads_of(c);
    int64_t rows = c->shape[1][0], seen = c->shape[1][1], width = c->out[1], columns = h.heads * h.tokens;
    bool shared = c->shape[0][0] == rows;
    double *x = malloc((size_t)width * sizeof *x);
    for (int64_t n = 0; n < h.prompts * rows; n++) {
        int64_t p = n / rows, r = n % rows;
        const double *map = in[0] + (shared ? r : n) * width;
        for (int64_t i = 0; i < width; i++) x[i] = map[i] + in[5][i];
        for (int64_t head = 0; head < h.heads; head++) {
            double weight[16], total = 0;
            for (int64_t t = 0; t < h.tokens; t++) {
                int64_t column = p * columns + head * h.tokens + t;
                double dot = in[3] ? in[3][column] : 0;
                for (int64_t i = 0; i < seen; i++)
                    dot += in[2][column * seen + i] * (in[1][r * seen + i] + (shared ? 0 : map[i]));
                total += weight[t] = exp(dot);
            }
            for (int64_t t = 0; t < h.tokens; t++)
                for (int64_t i = 0; i < width; i++)
                    x[i] += weight[t] / total * in[4][(p * columns + head * h.tokens + t) * width + i];
        }
        normed(x, in[6], in[7], out + n * width, width);
    }
    free(x);
}

static struct tensor *run_products(struct tape *t, struct tensor **in, const struct op_case *c)
{
    return op_prompt_products(t, in[0], in[1], c->map[0]);
}

static void reference_products(const double *const *in, double *out, const struct op_case *c)
{
    int64_t rows = c->out[0] / c->map[0], columns = c->out[1], width = c->shape[0][1];
    for (int64_t i = 0; i < c->out[0] * columns; i++) {
        const double *x = in[0] + i / columns * width,
                     *w = in[1] + (i / columns / rows * columns + i % columns) * width;
        out[i] = 0;
        for (int64_t k = 0; k < width; k++) out[i] += x[k] * w[k];
    }
}

static const struct op_case cases[] = {
    {"linear", {{5, 7}, {9, 7}}, run_linear, reference_linear, {5, 9}, .depth = 9, .parameters = B},
    {"linear_bias_residual",
     {{17, 33}, {41, 33}, {1, 41}, {17, 41}},
     run_linear,
     reference_linear,
     {17, 41},
     .depth = 41,
     .parameters = B | C},
    {"linear_blocks",
     {{131, 403}, {70, 403}, {1, 70}},
     run_linear,
     reference_linear,
     {131, 70},
     .depth = 403,
     .parameters = B | C},
    {"linear_even",
     {{64, 96}, {128, 96}, {1, 128}, {64, 128}},
     run_linear,
     reference_linear,
     {64, 128},
     .depth = 128,
     .parameters = B | C},
    {"linear_gelu",
     {{19, 45}, {38, 45}, {1, 38}, {19, 38}},
     run_linear,
     reference_linear,
     {19, 38},
     .flags = GELU,
     .depth = 45,
     .parameters = B | C},
    {"linear_norm",
     {{21, 50}, {35, 50}, {1, 35}, {0}, {1, 50}, {1, 50}},
     run_linear,
     reference_linear,
     {21, 35},
     .depth = 50,
     .parameters = B | C | E | F},
    {"linear_norm_blocks",
     {{70, 390}, {40, 390}, {1, 40}, {0}, {1, 390}, {1, 390}},
     run_linear,
     reference_linear,
     {70, 40},
     .depth = 390,
     .parameters = B | C | E | F},
    {"mlp",
     {{24, 32}, {64, 32}, {1, 64}, {0}, {32, 64}, {1, 32}},
     run_mlp,
     reference_mlp,
     {24, 32},
     .depth = 96,
     .parameters = B | C | E | F},
    {"project", {{13, 36}, {36, 20}}, run_project, reference_project, {13, 20}, .depth = 36, .parameters = B},
    {"norm", {{70, 37}, {1, 37}, {1, 37}}, run_norm, reference_norm, {70, 37}, .depth = 70, .parameters = B | C},
    {"norm_wide",
     {{3, 200}, {1, 200}, {1, 200}},
     run_norm,
     reference_norm,
     {3, 200},
     .depth = 200,
     .parameters = B | C},
    {"norm_1536",
     {{2, 1536}, {1, 1536}, {1, 1536}},
     run_norm,
     reference_norm,
     {2, 1536},
     .depth = 1536,
     .parameters = B | C},
    {"attention", {{51, 3 * 24}}, run_attention, reference_attention, {51, 24}, .heads = 3, .depth = 24},
    {"attention_96", {{111, 3 * 96}}, run_attention, reference_attention, {111, 96}, .heads = 1, .depth = 111},
    {"attention_causal",
     {{36, 3 * 32}},
     run_attention,
     reference_attention,
     {36, 32},
     .heads = 2,
     .flags = CAUSAL,
     .depth = 32},
    {"attention_ragged",
     {{10, 3 * 16}},
     run_attention,
     reference_attention,
     {10, 16},
     .heads = 2,
     .flags = CAUSAL | RAGGED,
     .depth = 16},
    {"attention_pool", {{3, 24}, {39, 48}}, run_attention, reference_attention, {3, 24}, .heads = 4, .depth = 24},
    {"attention_pool_192",
     {{3, 192}, {201, 384}},
     run_attention,
     reference_attention,
     {3, 192},
     .heads = 1,
     .depth = 192},
    {"attention_apart",
     {{3, 24}, {39, 24}, {39, 24}},
     run_attention,
     reference_attention,
     {3, 24},
     .heads = 4,
     .depth = 24},
    {"attention_blocks",
     {{3 * 260, 3 * 8}},
     run_attention,
     reference_attention,
     {3 * 260, 8},
     .heads = 2,
     .depth = 300},
    {"attention_grouped",
     {{36, 6 * 16}},
     run_attention,
     reference_attention,
     {36, 64},
     .heads = 4,
     .kv_heads = 1,
     .flags = CAUSAL,
     .depth = 32},
    {"attention_grouped_ragged",
     {{10, 8 * 32}},
     run_attention,
     reference_attention,
     {10, 128},
     .heads = 4,
     .kv_heads = 2,
     .flags = CAUSAL | RAGGED,
     .depth = 32},
    {"rms", {{70, 37}, {1, 37}}, run_rms, reference_rms, {70, 37}, .depth = 70, .parameters = B},
    {"rms_wide", {{3, 2048}, {1, 2048}}, run_rms, reference_rms, {3, 2048}, .depth = 2048, .parameters = B},
    {"gate", {{9, 2 * 37}}, run_gate, reference_gate, {9, 37}, .depth = 4},
    {"loss", {{12, 24}, {31, 24}}, run_loss, reference_loss, {12, 1}, .depth = 31, .parameters = B},
    {"loss_bias", {{12, 24}, {31, 24}, {1, 31}}, run_loss, reference_loss, {12, 1}, .depth = 31, .parameters = B | C},
    {"standardize",
     {{9, 37}, {1, 37}, {1, 37}},
     run_standardize,
     reference_standardize,
     {9, 37},
     .depth = 3,
     .parameters = B | C},
    {"pixel_loss", {{24, 21}}, run_pixel_loss, reference_pixel_loss, {2, 1}, .heads = 3, .kv_heads = 4, .depth = 63},
    {"pixel_loss_down",
     {{60, 5}},
     run_pixel_loss,
     reference_pixel_loss,
     {2, 1},
     .heads = 6,
     .kv_heads = 5,
     .flags = HIDDEN,
     .depth = 63},
    {"bins", {{24, 37}}, run_bins, reference_bins, {126, 1}, .heads = 3, .kv_heads = 4, .depth = 63},
    {"bins_down",
     {{60, 4}},
     run_bins,
     reference_bins,
     {24, 1},
     .heads = 6,
     .kv_heads = 5,
     .flags = HIDDEN,
     .depth = 63},
    {"depth_loss", {{24, 16}}, run_depth_loss, reference_depth_loss, {2, 1}, .heads = 3, .kv_heads = 4, .depth = 63},
    {"depth_loss_mean",
     {{60, 9}},
     run_depth_loss,
     reference_depth_loss,
     {2, 1},
     .heads = 6,
     .kv_heads = 5,
     .flags = HIDDEN | CAUSAL,
     .depth = 63},
    {"put", {{9, 12}, {4, 12}}, run_put, reference_put, {9, 12}, .depth = 3},
    {"mean", {{13, 10}}, run_mean, reference_mean, {4, 10}, .depth = 8},
    {"pool", {{72, 10}}, run_pool, reference_pool, {18, 10}, .heads = 2, .depth = 4},
    {"pool_thirds", {{36, 7}}, run_pool, reference_pool, {4, 7}, .heads = 3, .depth = 9},
    {"rotary", {{6, 3 * 24}}, run_rotary, reference_rotary, {6, 72}, .heads = 2, .depth = 2},
    {"rotary_places", {{6, 4 * 16}}, run_rotary, reference_rotary, {6, 64}, .heads = 2, .kv_heads = 1, .depth = 2},
    {"branch", {{12, 20}, {12, 20}}, run_branch, reference_branch, {12, 20}, .flags = HIDDEN, .depth = 2},
    {"branch_scaled",
     {{12, 20}, {12, 20}, {1, 20}},
     run_branch,
     reference_branch,
     {12, 20},
     .flags = HIDDEN,
     .depth = 12,
     .parameters = C},
    {"branch_plain",
     {{12, 20}, {12, 20}, {1, 20}},
     run_branch,
     reference_branch,
     {12, 20},
     .depth = 12,
     .parameters = C},
    {"tokens", {{12, 10}, {1, 10}, {5, 10}}, run_tokens, reference_tokens, {15, 10}, .depth = 3, .parameters = B | C},
    {"tokens_hidden",
     {{12, 10}, {1, 10}, {5, 10}},
     run_tokens,
     reference_tokens,
     {15, 10},
     .flags = HIDDEN,
     .depth = 3,
     .parameters = B | C},
    {"tokens_no_class",
     {{12, 10}, {0}, {4, 10}},
     run_tokens,
     reference_tokens,
     {12, 10},
     .depth = 3,
     .parameters = B | C},
    {"tokens_grid_up",
     {{75, 6}, {1, 6}, {1 + 9, 6}},
     run_tokens,
     reference_tokens,
     {78, 6},
     .depth = 75,
     .parameters = B | C},
    {"tokens_grid_down",
     {{27, 70}, {0}, {36, 70}},
     run_tokens,
     reference_tokens,
     {27, 70},
     .depth = 27,
     .parameters = B | C},
    {"tokens_grid_wide",
     {{72, 6}, {1, 6}, {1 + 16, 6}},
     run_tokens,
     reference_tokens,
     {75, 6},
     .heads = 3,
     .depth = 24,
     .parameters = B | C},
    {"tokens_grid_high",
     {{30, 7}, {0}, {9, 7}},
     run_tokens,
     reference_tokens,
     {30, 7},
     .heads = 5,
     .depth = 10,
     .parameters = B | C},
    {"patches", {{0}}, run_patches, reference_patches, {18, 27}, .heads = 3, .kv_heads = 3, .depth = 1},
    {"patches_wide", {{0}}, run_patches, reference_patches, {20, 12}, .heads = 2, .kv_heads = 5, .depth = 1},
    {"patches_high", {{0}}, run_patches, reference_patches, {12, 48}, .heads = 4, .kv_heads = 2, .depth = 1},
    {"embed", {{9, 12}, {3, 12}}, run_embed, reference_embed, {7, 12}, .depth = 3, .parameters = A | B},
    {"embed_words", {{9, 12}}, run_words, reference_words, {7, 12}, .depth = 3, .parameters = A},
    {"gather", {{9, 12}}, run_gather, reference_gather, {6, 12}, .depth = 3},
    {"repeat", {{1, 70}}, run_repeat, reference_repeat, {6, 70}, .depth = 6, .parameters = A},
    {"normalize", {{7, 45}}, run_normalize, reference_normalize, {7, 45}, .depth = 45},
    {"cosine", {{7, 45}, {7, 45}}, run_cosine, reference_cosine, {7, 1}, .depth = 45},
    {"gram_loss", {{26, 9}, {26, 6}}, run_gram, reference_gram, {2, 1}, .depth = 169},
    {"convolve",
     {{2 * 5 * 7, 3}, {4, 27}, {1, 4}},
     run_convolve,
     reference_convolve,
     {70, 4},
     .map = {2, 5, 7, 3, 1, 1},
     .depth = 70,
     .parameters = B | C},
    {"convolve_wide",
     {{2 * 5 * 4, 32}, {40, 288}},
     run_convolve,
     reference_convolve,
     {40, 40},
     .map = {2, 5, 4, 3, 1, 1},
     .depth = 360,
     .parameters = B},
    {"convolve_deep",
     {{2 * 3 * 4, 50}, {34, 450}, {1, 34}},
     run_convolve,
     reference_convolve,
     {24, 34},
     .map = {2, 3, 4, 3, 1, 1},
     .depth = 450,
     .parameters = B | C},
    {"convolve_stride",
     {{2 * 7 * 8, 16}, {20, 144}, {1, 20}},
     run_convolve,
     reference_convolve,
     {32, 20},
     .map = {2, 7, 8, 3, 2, 1},
     .depth = 144,
     .parameters = B | C},
    {"convolve_patches",
     {{3 * 6 * 6, 9}, {20, 36}, {1, 20}},
     run_convolve,
     reference_convolve,
     {27, 20},
     .map = {3, 6, 6, 2, 2, 0},
     .depth = 36,
     .parameters = B | C},
    {"convolve_inside",
     {{2 * 6 * 5, 8}, {5, 72}},
     run_convolve,
     reference_convolve,
     {24, 5},
     .map = {2, 6, 5, 3, 1, 0},
     .depth = 72,
     .parameters = B},
    {"convolve_far",
     {{4 * 3, 8}, {5, 200}},
     run_convolve,
     reference_convolve,
     {9, 5},
     .map = {1, 4, 3, 5, 2, 3},
     .depth = 200,
     .parameters = B},
    {"convolve_one",
     {{2 * 5 * 3, 24}, {18, 24}, {1, 18}},
     run_convolve,
     reference_convolve,
     {30, 18},
     .map = {2, 5, 3, 1, 1, 0},
     .depth = 30,
     .parameters = B | C},
    {"convolve_one_stride",
     {{2 * 5 * 4, 24}, {18, 24}, {1, 18}},
     run_convolve,
     reference_convolve,
     {12, 18},
     .map = {2, 5, 4, 1, 2, 0},
     .depth = 24,
     .parameters = B | C},
    {"convolve_frozen",
     {{2 * 5 * 4, 24}, {18, 216}, {1, 18}},
     run_convolve,
     reference_convolve,
     {40, 18},
     .flags = HIDDEN,
     .map = {2, 5, 4, 3, 1, 1},
     .depth = 216,
     .parameters = B | C},
    {"tower",
     {{2 * 4 * 5, 6}, {6, 54}, {1, 6}, {1, 6}, {1, 6}},
     run_tower,
     reference_tower,
     {40, 6},
     .map = {2, 4, 5},
     .depth = 2000,
     .parameters = B | C | D | E},
    {"convolve_tiles",
     {{8 * 9, 32}, {48, 288}, {1, 48}},
     run_convolve,
     reference_convolve,
     {72, 48},
     .map = {1, 8, 9, 3, 1, 1},
     .depth = 400,
     .parameters = B | C},
    {"convolve_tiles_inside",
     {{11 * 10, 32}, {32, 288}},
     run_convolve,
     reference_convolve,
     {72, 32},
     .map = {1, 11, 10, 3, 1, 0},
     .depth = 400,
     .parameters = B},
    {"convolve_tiles_outside",
     {{2 * 7 * 6, 32}, {32, 288}, {1, 32}},
     run_convolve,
     reference_convolve,
     {2 * 9 * 8, 32},
     .map = {2, 7, 6, 3, 1, 2},
     .depth = 400,
     .parameters = B | C},
    {"convolve_tiles_twice",
     {{8 * 8, 32}, {32, 288}, {1, 32}},
     run_convolve_twice,
     reference_convolve_twice,
     {64, 32},
     .map = {1, 8, 8, 3, 1, 1},
     .depth = 800,
     .parameters = B | C},
    {"group_norm",
     {{2 * 5 * 7, 12}, {1, 12}, {1, 12}},
     run_group_norm,
     reference_group_norm,
     {70, 12},
     .heads = 4,
     .map = {2, 5, 7},
     .depth = 105,
     .parameters = B | C},
    {"group_norm_wide",
     {{2 * 11 * 7, 80}, {1, 80}, {1, 80}},
     run_group_norm,
     reference_group_norm,
     {154, 80},
     .heads = 5,
     .map = {2, 11, 7},
     .depth = 1232,
     .parameters = B | C},
    {"group_norm_channels",
     {{2 * 3 * 4, 70}, {1, 70}, {1, 70}},
     run_group_norm,
     reference_group_norm,
     {24, 70},
     .heads = 70,
     .map = {2, 3, 4},
     .depth = 24,
     .parameters = B | C},
    {"group_norm_one",
     {{2 * 3 * 4, 300}, {1, 300}, {1, 300}},
     run_group_norm,
     reference_group_norm,
     {24, 300},
     .heads = 1,
     .map = {2, 3, 4},
     .depth = 3600,
     .parameters = B | C},
    {"affine",
     {{150, 70}, {1, 70}, {1, 70}},
     run_affine,
     reference_affine,
     {150, 70},
     .depth = 150,
     .parameters = B | C},
    {"relu", {{9, 37}}, run_activation, reference_activation, {9, 37}, .depth = 1},
    {"gelu", {{9, 37}}, run_activation, reference_activation, {9, 37}, .flags = GELU, .depth = 4},
    {"spread", {{2 * 3 * 4, 4 * 5}}, run_spread, reference_spread, {96, 5}, .map = {2, 3, 4, 2}, .depth = 1},
    {"spread_fours", {{2 * 3, 16 * 3}}, run_spread, reference_spread, {96, 3}, .map = {1, 2, 3, 4}, .depth = 1},
    {"max_pool", {{2 * 7 * 6, 5}}, run_max_pool, reference_max_pool, {18, 5}, .map = {2, 7, 6, 2, 2}, .depth = 1},
    {"max_pool_overlapping",
     {{2 * 7 * 8, 5}},
     run_max_pool,
     reference_max_pool,
     {2 * 5 * 6, 5},
     .map = {2, 7, 8, 3, 1},
     .depth = 9},
    {"max_pool_every_second",
     {{2 * 5 * 4, 5}},
     run_max_pool,
     reference_max_pool,
     {12, 5},
     .map = {2, 5, 4, 1, 2},
     .depth = 1},
    {"resize_up", {{2 * 3 * 4, 5}}, run_resize, reference_resize, {2 * 7 * 8, 5}, .map = {2, 3, 4, 7, 8}, .depth = 9},
    {"resize_corners",
     {{2 * 3 * 4, 70}},
     run_resize,
     reference_resize,
     {2 * 7 * 8, 70},
     .flags = CORNERS,
     .map = {2, 3, 4, 7, 8},
     .depth = 9},
    {"resize_down", {{2 * 9 * 8, 5}}, run_resize, reference_resize, {2 * 4 * 3, 5}, .map = {2, 9, 8, 4, 3}, .depth = 4},
    {"resize_down_corners",
     {{2 * 9 * 8, 5}},
     run_resize,
     reference_resize,
     {2 * 4, 5},
     .flags = CORNERS,
     .map = {2, 9, 8, 4, 1},
     .depth = 4},
    {"focal", {{24, 7}, {9, 3}}, run_focal, reference_focal, {PICTURES, 1}, .depth = 70},
    {"giou", {{24, 4}}, run_giou, reference_giou, {PICTURES, 1}, .depth = 16},
    {"binary", {{48, 1}}, run_binary, reference_binary, {PICTURES, 1}, .depth = 32},
    {"heads_apart",
     {{6, 20}},
     run_heads,
     reference_heads,
     {24, 20},
     .flags = INFERENCE,
     .heads = 4,
     .map = {2, 3, 5},
     .depth = 1},
    {"heads_together",
     {{24, 20}},
     run_heads,
     reference_heads,
     {6, 20},
     .flags = INFERENCE,
     .heads = 4,
     .map = {2, 3, 5},
     .depth = 1},
    {"map_to_tokens",
     {{24, 8}, {2 * 400, 8}, {400, 8}},
     run_map_to_tokens,
     reference_map_to_tokens,
     {24, 8},
     .flags = INFERENCE,
     .heads = 4,
     .map = {2, 3, 2},
     .depth = 400},
    {"map_to_tokens_shared",
     {{24, 8}, {400, 8}, {400, 8}},
     run_map_to_tokens,
     reference_map_to_tokens,
     {24, 8},
     .flags = INFERENCE,
     .heads = 4,
     .map = {2, 3, 2},
     .depth = 400},
    {"tokens_to_map",
     {{2 * 400, 8}, {400, 8}, {24, 8}, {24, 1}, {24, 8}, {1, 8}, {1, 8}, {1, 8}},
     run_tokens_to_map,
     reference_tokens_to_map,
     {2 * 400, 8},
     .flags = INFERENCE,
     .heads = 4,
     .map = {2, 3, 2},
     .depth = 100},
    {"tokens_to_map_shared",
     {{70, 8}, {70, 6}, {24, 6}, {0}, {24, 8}, {1, 8}, {1, 8}, {1, 8}},
     run_tokens_to_map,
     reference_tokens_to_map,
     {2 * 70, 8},
     .flags = INFERENCE,
     .heads = 4,
     .map = {2, 3, 2},
     .depth = 100},
    {"prompt_products",
     {{2 * 9, 8}, {2 * 4, 8}},
     run_products,
     reference_products,
     {2 * 9, 4},
     .flags = INFERENCE,
     .map = {2},
     .depth = 8},
};

static double weighted(const struct op_case *c, const double *const *in, const float *weight, double *out)
{
    double sum = 0;
    c->reference(in, out, c);
    for (int64_t i = 0; i < c->out[0] * c->out[1]; i++) sum += (double)weight[i] * out[i];
    return sum;
}

/* Central differences at some elements of input n. */
static void check_gradient(const struct op_case *c, double **in, int n, const float *grad, const float *weight,
                           double *out, double bound)
{
    int64_t count = c->shape[n][0] * c->shape[n][1], picks = count < 12 ? count : 12;
    float got[12], want[12];
    char what[64];
    double largest = 0;
    for (int64_t i = 0; i < count; i++) largest = fabs((double)grad[i]) > largest ? fabs((double)grad[i]) : largest;
    for (int64_t k = 0; k < picks; k++) {
        int64_t at = count * k / picks + (count > 24 ? k % 2 : 0);
        double keep = in[n][at], h = 1e-5;
        in[n][at] = keep + h;
        double up = weighted(c, (const double *const *)in, weight, out);
        in[n][at] = keep - h;
        double down = weighted(c, (const double *const *)in, weight, out);
        in[n][at] = keep;
        got[k] = grad[at];
        want[k] = (float)((up - down) / (2 * h));
    }
    snprintf(what, sizeof what, "%s on %s: gradient of input %d", c->name, on->kernels->name, n);
    /* the bound is relative to the largest of those picked; the gradient's largest may lie elsewhere */
    double top = 0;
    for (int64_t k = 0; k < picks; k++) top = fabs((double)want[k]) > top ? fabs((double)want[k]) : top;
    test_close(what, got, want, picks, top > 0 && largest > top ? bound * fmin(largest / top, 10) : bound);
}

struct case_data {
    struct tensor store[INPUTS], *in[INPUTS];
    double *wide[INPUTS];
    float *host[INPUTS];
};

/* Random inputs, as the device's type holds them. */
static void make_inputs(struct case_data *d, const struct op_case *c, struct rng *rng)
{
    for (int n = 0; n < INPUTS; n++) {
        int64_t count = c->shape[n][0] * c->shape[n][1];
        if (!count) continue;
        struct tensor *t = &d->store[n];
        *t = (struct tensor){.rows = c->shape[n][0],
                             .cols = c->shape[n][1],
                             .needs_grad = true,
                             .parameter = c->parameters >> n & 1,
                             .segment = -1,
                             .slot = -1};
        d->host[n] = malloc((size_t)count * sizeof(float));
        d->wide[n] = malloc((size_t)count * sizeof(double));
        for (int64_t i = 0; i < count; i++) d->host[n][i] = (float)rng_normal(rng);
        t->data = test_to_device(on, d->host[n], count, false);
        test_from_device(on, d->host[n], t->data, count, false);
        t->master = test_to_device(on, d->host[n], count, true);
        for (int64_t i = 0; i < count; i++) d->wide[n][i] = (double)d->host[n][i];
        if (t->parameter) t->grad = on->kernels->map(on, (size_t)count * sizeof(float));
        d->in[n] = t;
    }
}

static void free_inputs(struct case_data *d)
{
    for (int n = 0; n < INPUTS; n++) {
        struct tensor *t = &d->store[n];
        if (!d->in[n]) continue;
        size_t count = (size_t)tensor_count(t);
        on->kernels->unmap(on, t->data, count * on->kernels->real_bytes);
        on->kernels->unmap(on, t->master, count * sizeof(float));
        if (t->parameter) on->kernels->unmap(on, t->grad, count * sizeof(float));
        free(d->host[n]);
        free(d->wide[n]);
    }
    for (int i = 0; i < brought_count; i++) on->kernels->unmap(on, brought[i].block, brought[i].bytes);
    brought_count = 0;
}

/* Rounding of float32 (6e-8), or of the results and what lies between when the device computes in bfloat16 (4e-3 an
 * operation). */
static double bound_of(const struct op_case *c)
{
    return on->kernels->real_bytes == sizeof(float) ? 20 * 6e-8 * sqrt(c->depth + 10) : 2e-2;
}

/* The gradients of sum(weight * y). */
static void check_backward(struct tape *tape, const struct op_case *c, struct case_data *d, struct tensor *y,
                           float *weight, double *out)
{
    int64_t outs = tensor_count(y);
    float *seed = test_to_device(on, weight, outs, true);
    if (!y->wide) { /* what arrives is rounded */
        void *rounded = test_to_device(on, weight, outs, false);
        test_from_device(on, weight, rounded, outs, false);
        on->kernels->unmap(on, rounded, (size_t)outs * on->kernels->real_bytes);
    }
    tape_seed(tape, y, seed);
    tape_backward(tape, 0, 1);
    for (int n = 0; n < INPUTS; n++) {
        if (!d->in[n] || !d->in[n]->needs_grad) continue;
        test_from_device(on, d->host[n], d->in[n]->grad, tensor_count(d->in[n]), d->in[n]->parameter);
        check_gradient(c, d->wide, n, d->host[n], weight, out, bound_of(c) + 1e-7);
    }
    on->kernels->unmap(on, seed, (size_t)outs * sizeof *seed);
}

static void run_case(const struct op_case *c, struct device *device, bool recompute)
{
    struct tape tape;
    struct case_data d = {0};
    on = device;
    tape_init(&tape, device);
    struct rng rng = rng_open(7, RNG_TEST, (uint64_t)c->depth, (uint64_t)c->out[0]);
    make_inputs(&d, c, &rng);
    int64_t outs = c->out[0] * c->out[1];
    float *weight = malloc((size_t)outs * sizeof *weight), *want = malloc((size_t)outs * sizeof *want),
          *got = malloc((size_t)outs * sizeof *got);
    double *out = malloc((size_t)outs * sizeof *out), bound = bound_of(c);
    for (int64_t i = 0; i < outs; i++) weight[i] = (float)rng_normal(&rng);

    tape.recording = !(c->flags & INFERENCE);
    tape.recompute = recompute;
    tape_open_segment(&tape);
    struct tensor *y = tape_close_segment(&tape, NULL, c->run(&tape, d.in, c));
    test_from_device(device, got, y->data, outs, y->wide);
    EXPECT(y->rows == c->out[0] && y->cols == c->out[1], "%s: [%ld, %ld]", c->name, (long)y->rows, (long)y->cols);
    c->reference((const double *const *)d.wide, out, c);
    for (int64_t i = 0; i < outs; i++) want[i] = (float)out[i];
    test_close(c->name, got, want, outs, bound);
    if (tape.recording) check_backward(&tape, c, &d, y, weight, out);
    free_inputs(&d);
    free(weight);
    free(want);
    free(got);
    free(out);
    tape_free(&tape);
}

/* Sums of columns and of their squares. */
static void column_sums(struct device *d)
{
    enum { N = 37, COLS = 70 };
    float x[N * COLS], got[2 * COLS], want[2 * COLS];
    double sums[2 * COLS], wide[2 * COLS] = {0};
    struct rng rng = rng_open(2, RNG_TEST, 0, 0);
    for (int i = 0; i < N * COLS; i++) x[i] = (float)rng_normal(&rng);
    void *there = test_to_device(d, x, N * COLS, false), *out = d->kernels->map(d, sizeof sums);
    test_from_device(d, x, there, N * COLS, false);
    d->kernels->column_sums(d, out, there, N, COLS);
    d->kernels->download(d, sums, out, sizeof sums);
    for (int i = 0; i < N * COLS; i++) {
        wide[i % COLS] += (double)x[i];
        wide[COLS + i % COLS] += (double)x[i] * (double)x[i];
    }
    for (int i = 0; i < 2 * COLS; i++) got[i] = (float)sums[i], want[i] = (float)wide[i];
    test_close("column_sums", got, want, 2 * COLS, 1e-7);
    d->kernels->unmap(d, there, sizeof x / sizeof *x * d->kernels->real_bytes);
    d->kernels->unmap(d, out, sizeof sums);
}

static void run_device(const char *name, const char *precision, const char *level)
{
    struct device device;
    struct error error = {0};
    if (device_open(&device, name, precision, level, 2, 0, &error) < 0) {
        EXPECT(!strcmp(name, "cpu"), "%s", error.text);
        printf("  %s: not on this machine\n", level);
        return;
    }
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        run_case(&cases[i], &device, false);
        if (!(cases[i].flags & INFERENCE)) run_case(&cases[i], &device, true);
    }
    column_sums(&device);
    device_close(&device);
}

static void ops_portable(void)
{
    run_device("cpu", "fp32", "portable");
}
static void ops_v3(void)
{
    run_device("cpu", "fp32", "x86-64-v3");
}
static void ops_v4(void)
{
    run_device("cpu", "fp32", "x86-64-v4");
}
static void ops_cuda_fp32(void)
{
    run_device("cuda", "fp32", NULL);
}
static void ops_cuda_bf16(void)
{
    run_device("cuda", "bf16", NULL);
}

/* The same bits from 1, 2 and 3 threads. */
static void ops_threads(void)
{
    struct error error = {0};
    enum { ROWS = 300, IN = 500, OUT = 90 };
    float *x = malloc(sizeof(float[ROWS * IN])), *w = malloc(sizeof(float[OUT * IN])), *y[3], *dw[3];
    struct rng rng = rng_open(1, RNG_TEST, 0, 0);
    for (int i = 0; i < ROWS * IN; i++) x[i] = (float)rng_normal(&rng);
    for (int i = 0; i < OUT * IN; i++) w[i] = (float)rng_normal(&rng);
    for (int threads = 1; threads <= 3; threads++) {
        struct device d;
        if (device_open(&d, "cpu", "fp32", NULL, threads, 0, &error) < 0) EXPECT(0, "%s", error.text);
        float *out = y[threads - 1] = malloc(sizeof(float[ROWS * OUT])),
              *grad = dw[threads - 1] = malloc(sizeof(float[OUT * IN]));
        d.kernels->linear_forward(&d, out, NULL, x, w, NULL, NULL, ROWS, IN, OUT,
                                  (struct linear_prepare){.kind = LINEAR_GELU});
        d.kernels->linear_backward_weight(&d, grad, NULL, out, x, ROWS, IN, OUT,
                                          (struct linear_prepare){.kind = LINEAR_PLAIN}, false, false);
        EXPECT(!memcmp(out, y[0], sizeof(float[ROWS * OUT])), "forward with %d threads", threads);
        EXPECT(!memcmp(grad, dw[0], sizeof(float[OUT * IN])), "backward with %d threads", threads);
        device_close(&d);
    }
    for (int i = 0; i < 3; i++) free(y[i]), free(dw[i]);
    free(x);
    free(w);
}

/* Maps likewise: convolutions in tiles and tap by tap, and the sums of a group norm; and a picture gives the same
 * beside others as alone. */
static void maps_threads(void)
{
    struct error error = {0};
    enum { PICTURES = 3, SIDE = 9, ROWS = PICTURES * SIDE * SIDE, IN = 48, OUT = 32, TAPS = 9, ALL = ROWS * IN };
    struct rng rng = rng_open(1, RNG_TEST, 0, 1);
    float *x = malloc(sizeof(float[ALL])), *w = malloc(sizeof(float[OUT * TAPS * IN])), *first[2] = {0};
    for (int i = 0; i < ALL; i++) x[i] = (float)rng_normal(&rng);
    for (int i = 0; i < OUT * TAPS * IN; i++) w[i] = (float)rng_normal(&rng);
    enum { Y, DX, DW, NORM, DN, DS, PARTS };
    for (int run = 0; run < 6; run++) {
        int threads = run / 2 + 1, stride = run % 2 + 1, to = stride == 1 ? SIDE : (SIDE + 1) / 2;
        struct device d;
        if (device_open(&d, "cpu", "fp32", NULL, threads, 0, &error) < 0) EXPECT(0, "%s", error.text);
        struct convolve c = {PICTURES, extent_square(SIDE), extent_square(to), IN, OUT, 3, stride, 1};
        float *out = calloc(PARTS * ALL, sizeof *out), *at[PARTS], stats[2][PICTURES * 4], shift[IN] = {0}, alone[ALL];
        for (int i = 0; i < PARTS; i++) at[i] = out + i * ALL;
        d.kernels->convolve_forward(&d, at[Y], x, w, NULL, &c);
        d.kernels->convolve_backward_input(&d, at[DX], at[Y], w, &c, false);
        d.kernels->convolve_backward_weight(&d, at[DW], NULL, at[Y], x, &c, false, false);
        d.kernels->group_norm_forward(&d, at[NORM], stats[0], stats[1], x, w, w, PICTURES, SIDE * SIDE, IN, 4);
        d.kernels->group_norm_backward(&d, at[DN], at[DS], shift, at[NORM], x, stats[0], stats[1], w, PICTURES,
                                       SIDE * SIDE, IN, 4, false, false, false);
        if (!first[run % 2]) first[run % 2] = out;
        EXPECT(!memcmp(out, first[run % 2], sizeof(float[PARTS * ALL])), "stride %d, %d threads", stride, threads);
        c.pictures = 1;
        d.kernels->convolve_forward(&d, alone, x + 2 * SIDE * SIDE * IN, w, NULL, &c);
        EXPECT(!memcmp(alone, at[Y] + 2 * to * to * OUT, sizeof(float) * (size_t)(to * to * OUT)), "a picture alone");
        if (out != first[run % 2]) free(out);
        device_close(&d);
    }
    free(x);
    free(w);
    for (int i = 0; i < 2; i++) free(first[i]);
}

int main(int argc, char **argv)
{
    static const struct test gpu[] = {{"ops_cuda_fp32", ops_cuda_fp32}, {"ops_cuda_bf16", ops_cuda_bf16}, {0}};
    static const struct test cpu[] = {{"ops_portable", ops_portable},
                                      {"ops_v3", ops_v3},
                                      {"ops_v4", ops_v4},
                                      {"ops_threads", ops_threads},
                                      {"maps_threads", maps_threads},
                                      {0}};
    return test_main(argc, argv, device_count() ? gpu : cpu);
}
