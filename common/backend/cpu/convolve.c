/* Convolutions: in fewer products where that serves (winograd.c), else with pixels that are gathered while they are
 * packed for the product. */

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
