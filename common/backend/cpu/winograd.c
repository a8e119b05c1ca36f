/* Convolutions of 3 x 3 with stride 1 in fewer products: Winograd's F(2 x 2, 3 x 3) (Lavin and Gray 2016).
 *
 * Four pixels of the result, a tile, need 16 products a pair of channels in place of 36:
 *
 *   y = A^T ((G w G^T) * (B^T x B)) A,   x: the 4 x 4 pixels seen,  w: 3 x 3,  * element by element
 *
 *         1   0  -1   0           1   0   0
 *   B^T = 0   1   1   0      G = .5  .5  .5     A^T = 1  1  1  0
 *         0  -1   1   0          .5 -.5  .5           0  1 -1 -1
 *         0   1   0  -1           0   0   1
 *
 * The products of each of the 16 places over all channels are a matrix product.  The gradient of x is such a
 * convolution too; that of w is the transpose of the formula:  dw = G^T (sum over tiles of (A dy A^T) * (B^T x B)) G.
 *
 * The order of a pixel's sums depends neither on other pictures nor on threads. */

enum { PLACES = 16, TILE_STRIP = MR * (60 / MR) }; /* tiles whose transforms stay in a core's cache */

/* Maps of 3 x 3 where it pays: whole vectors of channels, on any level; not for the smallest pictures, whose weights
 * would cost more than their pixels. */
static bool winograd_serves(const struct convolve *c)
{
    return c->kernel == 3 && c->stride == 1 && c->padding <= 2 && c->in % 16 == 0 && c->out % 16 == 0 && c->in >= 32 &&
           c->out >= 32 && extent_area(c->to) >= 64;
}

struct tiles {
    int64_t pictures, down, across; /* tiles of a picture */
    struct extent made, seen;       /* of pictures of the result and of what it sees */
    int64_t padding;
};

static struct tiles tiles_of(int64_t pictures, struct extent made, struct extent seen, int64_t padding)
{
    return (struct tiles){pictures, (made.height + 1) / 2, (made.width + 1) / 2, made, seen, padding};
}

static int64_t tile_count(const struct tiles *t)
{
    return t->pictures * t->down * t->across;
}

/* side x side pixels of a picture from a tile's corner on, cols channels each: where each lies, and the step from one
 * channel to the next; outside it is zeros and 0. */
struct window {
    const float *at[PLACES];
    int64_t step[PLACES];
};
static void tile_window(struct window *w, const struct tiles *t, int64_t tile, const float *x, struct extent size,
                        int64_t padding, int side, int64_t cols)
{
    static const float zeros[LANES];
    int64_t n = tile / (t->down * t->across), top = tile / t->across % t->down * 2 - padding,
            left = tile % t->across * 2 - padding;
    for (int k = 0; k < side * side; k++) {
        int64_t y = top + k / side, c = left + k % side;
        bool inside = y >= 0 && c >= 0 && y < size.height && c < size.width;
        w->at[k] = inside ? x + ((n * size.height + y) * size.width + c) * cols : zeros;
        w->step[k] = inside;
    }
}

/* v [places, strip, cols]: B^T x B of tiles first .. first + count. */
static void tiles_seen(float *v, int64_t strip, const struct tiles *t, int64_t first, int64_t count, const float *x,
                       int64_t cols)
{
    for (int64_t tile = 0; tile < count; tile++) {
        struct window w;
        tile_window(&w, t, first + tile, x, t->seen, t->padding, 4, cols);
        for (int64_t c = 0; c < cols; c += LANES) {
            vec d[PLACES], e[PLACES];
            for (int k = 0; k < PLACES; k++) d[k] = vec_load(w.at[k] + c * w.step[k]);
            for (int j = 0; j < 4; j++) {
                e[j] = d[j] - d[8 + j];
                e[4 + j] = d[4 + j] + d[8 + j];
                e[8 + j] = d[8 + j] - d[4 + j];
                e[12 + j] = d[4 + j] - d[12 + j];
            }
            for (int i = 0; i < PLACES; i += 4) {
                float *to = v + (i * strip + tile) * cols + c;
                vec_store(to, e[i] - e[i + 2]);
                vec_store(to + strip * cols, e[i + 1] + e[i + 2]);
                vec_store(to + 2 * strip * cols, e[i + 2] - e[i + 1]);
                vec_store(to + 3 * strip * cols, e[i + 1] - e[i + 3]);
            }
        }
    }
}

/* v [places, strip, cols]: A dy A^T of tiles first .. first + count. */
static void tiles_spread(float *v, int64_t strip, const struct tiles *t, int64_t first, int64_t count, const float *dy,
                         int64_t cols)
{
    for (int64_t tile = 0; tile < count; tile++) {
        struct window w;
        tile_window(&w, t, first + tile, dy, t->made, 0, 2, cols);
        for (int64_t c = 0; c < cols; c += LANES) {
            vec e[8];
            for (int j = 0; j < 2; j++) {
                vec a = vec_load(w.at[j] + c * w.step[j]), b = vec_load(w.at[2 + j] + c * w.step[2 + j]);
                e[j] = a;
                e[2 + j] = a + b;
                e[4 + j] = a - b;
                e[6 + j] = -b;
            }
            for (int i = 0; i < 4; i++) {
                float *to = v + (4 * i * strip + tile) * cols + c;
                vec_store(to, e[2 * i]);
                vec_store(to + strip * cols, e[2 * i] + e[2 * i + 1]);
                vec_store(to + 2 * strip * cols, e[2 * i] - e[2 * i + 1]);
                vec_store(to + 3 * strip * cols, -e[2 * i + 1]);
            }
        }
    }
}

/* y (+)= A^T m A + bias, m [places, strip, cols] of tiles first .. first + count. */
static void tiles_made(float *y, const struct tiles *t, int64_t first, int64_t count, const float *m, int64_t strip,
                       int64_t cols, const float *bias, bool accumulate)
{
    for (int64_t tile = 0; tile < count; tile++) {
        int64_t at = first + tile, n = at / (t->down * t->across), row = at / t->across % t->down * 2,
                col = at % t->across * 2;
        float *to = y + ((n * t->made.height + row) * t->made.width + col) * cols;
        int64_t line = t->made.width * cols;
        bool below = row + 1 < t->made.height, right = col + 1 < t->made.width;
        for (int64_t c = 0; c < cols; c += LANES) {
            vec p[8], v[4], b = bias ? vec_load(bias + c) : vec_splat(0);
            for (int j = 0; j < 4; j++) {
                const float *from = m + (j * strip + tile) * cols + c;
                vec one = vec_load(from + 4 * strip * cols), two = vec_load(from + 8 * strip * cols);
                p[j] = vec_load(from) + one + two;
                p[4 + j] = one - two - vec_load(from + 12 * strip * cols);
            }
            for (int i = 0; i < 2; i++) {
                v[2 * i] = p[4 * i] + p[4 * i + 1] + p[4 * i + 2] + b;
                v[2 * i + 1] = p[4 * i + 1] - p[4 * i + 2] - p[4 * i + 3] + b;
            }
            for (int k = 0; k < 4; k++) {
                float *pixel = to + k / 2 * line + k % 2 * cols + c;
                if ((k / 2 && !below) || (k % 2 && !right)) continue;
                vec_store(pixel, accumulate ? vec_load(pixel) + v[k] : v[k]);
            }
        }
    }
}

/* u [places, out, in] = G w G^T; turned: of w turned by half a circle. */
static void weights_seen(struct device *d, float *u, const float *w, int64_t out, int64_t in, bool turned)
{
#pragma omp parallel for num_threads(d->threads) schedule(static)
    for (int64_t o = 0; o < out; o++)
        for (int64_t c = 0; c < in; c += LANES) {
            vec g[9], e[12];
            for (int k = 0; k < 9; k++) g[k] = vec_load(w + (o * 9 + (turned ? 8 - k : k)) * in + c);
            for (int j = 0; j < 3; j++) {
                vec ends = .5f * (g[j] + g[6 + j]), middle = .5f * g[3 + j];
                e[j] = g[j];
                e[3 + j] = ends + middle;
                e[6 + j] = ends - middle;
                e[9 + j] = g[6 + j];
            }
            for (int i = 0; i < 4; i++) {
                float *to = u + (4 * i * out + o) * in + c;
                vec ends = .5f * (e[3 * i] + e[3 * i + 2]), middle = .5f * e[3 * i + 1];
                vec_store(to, e[3 * i]);
                vec_store(to + out * in, ends + middle);
                vec_store(to + 2 * out * in, ends - middle);
                vec_store(to + 3 * out * in, e[3 * i + 2]);
            }
        }
}

/* dw (+)= G^T u G. */
static void weights_made(struct device *d, float *dw, const float *u, int64_t out, int64_t in, bool accumulate)
{
#pragma omp parallel for num_threads(d->threads) schedule(static)
    for (int64_t o = 0; o < out; o++)
        for (int64_t c = 0; c < in; c += LANES) {
            vec e[12];
            for (int j = 0; j < 4; j++) {
                const float *from = u + (j * out + o) * in + c;
                vec one = vec_load(from + 4 * out * in), two = vec_load(from + 8 * out * in);
                e[j] = vec_load(from) + .5f * (one + two);
                e[4 + j] = .5f * (one - two);
                e[8 + j] = .5f * (one + two) + vec_load(from + 12 * out * in);
            }
            for (int k = 0; k < 9; k++) {
                const vec *r = e + k / 3 * 4;
                vec v = k % 3 == 0   ? r[0] + .5f * (r[1] + r[2])
                        : k % 3 == 1 ? .5f * (r[1] - r[2])
                                     : .5f * (r[1] + r[2]) + r[3];
                float *to = dw + (o * 9 + k) * in + c;
                vec_store(to, accumulate ? vec_load(to) + v : v);
            }
        }
}

/* c [rows, out] = a [rows, in] times weights packed in passes over `in`; space: of a thread. */
static void multiply_packed(float *space, float *c, const float *a, const float *packed, int64_t rows, int64_t in,
                            int64_t out)
{
    int64_t passes = (in + KC - 1) / KC, depth = (in + passes - 1) / passes, panels = (out + NR - 1) / NR;
    struct operand left = {.data = a, .ld = in};
    for (int64_t k0 = 0; k0 < in; k0 += depth) {
        int64_t kc = in - k0 < depth ? in - k0 : depth;
        const float *b = packed + k0 * panels * NR;
        pack(space, MR, (rows + MR - 1) / MR, &left, 0, rows, k0, kc);
        for (int64_t p = 0; p < panels; p++)
            for (int64_t i = 0; i < rows; i += MR)
                tile(space + i * kc, b + p * NR * kc, kc, c, out, i, p * NR, rows - i < MR ? rows - i : MR,
                     out - p * NR < NR ? out - p * NR : NR, k0 > 0, NULL);
    }
}

/* y (+)= the convolution of x [.., in] with w.  back: w [in, 9, out] is that of the convolution whose gradient this is,
 * else [out, 9, in]. */
static void winograd(struct device *d, float *y, const float *x, const float *w, const float *bias,
                     const struct tiles *t, int64_t in, int64_t out, bool back, bool accumulate)
{
    int64_t panels = (out + NR - 1) / NR, packed_size = in * panels * NR, count = tile_count(t);
    int64_t passes = (in + KC - 1) / KC, depth = (in + passes - 1) / passes;
    int64_t weights = PLACES * (packed_size > in * out ? packed_size : in * out);
    device_reserve(d, (size_t)(2 * weights + PLACES * TILE_STRIP * (in + out)) + LANES);
    float *plain = d->extra[0], *packed = plain + weights;
    weights_seen(d, plain, w, back ? in : out, back ? out : in, back);
#pragma omp parallel for num_threads(d->threads) schedule(dynamic, 1)
    for (int k = 0; k < PLACES; k++) {
        struct operand right = {.data = plain + k * in * out, .ld = back ? out : in, .k_rows = back};
        for (int64_t k0 = 0; k0 < in; k0 += depth)
            pack(packed + k * packed_size + k0 * panels * NR, NR, panels, &right, 0, out, k0,
                 in - k0 < depth ? in - k0 : depth);
    }
#pragma omp parallel for num_threads(d->threads) schedule(dynamic, 1)
    for (int64_t first = 0; first < count; first += TILE_STRIP) {
        int thread = omp_get_thread_num();
        int64_t some = count - first < TILE_STRIP ? count - first : TILE_STRIP;
        float *seen = d->extra[thread] + 2 * weights, *made = seen + PLACES * TILE_STRIP * in;
        tiles_seen(seen, TILE_STRIP, t, first, some, x, in);
        for (int k = 0; k < PLACES; k++)
            multiply_packed(d->scratch[thread], made + k * TILE_STRIP * out, seen + k * TILE_STRIP * in,
                            packed + k * packed_size, some, in, out);
        tiles_made(y, t, first, some, made, TILE_STRIP, out, bias, accumulate);
    }
}

/* A strip of tiles at a time: all threads transform it, then share the 16 products. */
static void winograd_weight(struct device *d, float *dw, const float *dy, const float *x, const struct tiles *t,
                            int64_t in, int64_t out, bool accumulate)
{
    enum { TRANSFORMED = 1 << 21, STEP = 16 }; /* floats of a strip; tiles that a thread transforms at a time */
    int64_t count = tile_count(t), strip = TRANSFORMED / PLACES / (in + out) / STEP * STEP;
    if (strip < STEP) strip = STEP;
    if (strip > KC) strip = KC;
    int64_t half = d->threads > PLACES / 2 ? ((out + 1) / 2 + MR - 1) / MR * MR : out, halves = half < out ? 2 : 1;
    device_reserve(d, (size_t)(PLACES * (in * out + strip * (in + out))));
    float *sums = d->extra[0], *seen = sums + PLACES * in * out, *spread_out = seen + PLACES * strip * in;
    for (int64_t first = 0; first < count; first += strip) {
        int64_t some = count - first < strip ? count - first : strip;
#pragma omp parallel for num_threads(d->threads) schedule(dynamic, 1)
        for (int64_t k = 0; k < some; k += STEP) {
            int64_t n = some - k < STEP ? some - k : STEP;
            tiles_seen(seen + k * in, strip, t, first + k, n, x, in);
            tiles_spread(spread_out + k * out, strip, t, first + k, n, dy, out);
        }
#pragma omp parallel for num_threads(d->threads) schedule(dynamic, 1)
        for (int64_t task = 0; task < PLACES * halves; task++) {
            int64_t k = task / halves, row = task % halves * half, rows = out - row < half ? out - row : half;
            struct operand a = {.data = spread_out + k * strip * out + row, .ld = out, .k_rows = 1},
                           b = {.data = seen + k * strip * in, .ld = in, .k_rows = 1};
            gemm(d->scratch + omp_get_thread_num(), 1, rows, in, some, &a, &b, sums + (k * out + row) * in, in,
                 (struct epilogue){.accumulate = first > 0});
        }
    }
    weights_made(d, dw, sums, out, in, accumulate);
}
