/* Linear layers: matrix products whose operands are prepared (layer norm, GELU) while they are packed. */

static struct operand input_operand(const float *x, int64_t in, struct linear_prepare p)
{
    struct operand op = {.data = x, .ld = in};
    if (p.kind == LINEAR_GELU) op.prepare = GELU;
    if (p.kind == LINEAR_NORM)
        op.prepare = NORM, op.mean = p.mean, op.rstd = p.rstd, op.scale = p.scale, op.shift = p.shift;
    return op;
}

static void linear_forward(struct device *d, float *y, float *gelu, const float *x, const float *w, const float *b,
                           const float *residual, int64_t rows, int64_t in, int64_t out, struct linear_prepare prepare)
{
    (void)gelu;
    if (prepare.kind == LINEAR_NORM) norm_stats(d, prepare.mean, prepare.rstd, x, rows, in, 1e-5f);
    struct operand a = input_operand(x, in, prepare), weights = {.data = w, .ld = in};
    gemm(d->scratch, d->threads, rows, out, in, &a, &weights, y, out,
         (struct epilogue){.bias = b, .residual = residual});
}

static void linear_backward_input(struct device *d, float *dx, const float *dy, const float *w, const float *gate,
                                  int64_t rows, int64_t in, int64_t out, bool accumulate)
{
    struct operand a = {.data = dy, .ld = out}, weights = {.data = w, .ld = in, .k_rows = 1};
    gemm(d->scratch, d->threads, rows, in, out, &a, &weights, dx, in,
         (struct epilogue){.accumulate = accumulate, .gate = gate});
}

/* Column sums, a strip of columns a thread; each column is summed over the rows in order. */
static void sum_rows(struct device *d, float *out, const float *x, int64_t rows, int64_t width, bool accumulate)
{
    enum { STRIP = 4 * LANES };
#pragma omp parallel for num_threads(d->threads) schedule(static)
    for (int64_t c = 0; c < width; c += STRIP) {
        if (c + STRIP <= width) {
            vec sum[4] = {vec_splat(0), vec_splat(0), vec_splat(0), vec_splat(0)};
            for (int64_t r = 0; r < rows; r++)
                for (int i = 0; i < 4; i++) sum[i] += vec_load(x + r * width + c + i * LANES);
            for (int i = 0; i < 4; i++)
                vec_store(out + c + i * LANES, accumulate ? vec_load(out + c + i * LANES) + sum[i] : sum[i]);
            continue;
        }
        for (int64_t i = c; i < width; i++) {
            float sum = 0;
            for (int64_t r = 0; r < rows; r++) sum += x[r * width + i];
            out[i] = accumulate ? out[i] + sum : sum;
        }
    }
}

static void linear_backward_weight(struct device *d, float *dw, float *db, const float *dy, const float *x,
                                   int64_t rows, int64_t in, int64_t out, struct linear_prepare prepare,
                                   bool accumulate_w, bool accumulate_b)
{
    struct operand a = {.data = dy, .ld = out, .k_rows = 1}, b = input_operand(x, in, prepare);
    b.k_rows = 1;
    gemm(d->scratch, d->threads, out, in, rows, &a, &b, dw, in, (struct epilogue){.accumulate = accumulate_w});
    if (db) sum_rows(d, db, dy, rows, out, accumulate_b);
}

static void matmul(struct device *d, void *c, bool wide, int64_t ld_c, const float *a, int64_t ld_a, bool a_rows_k,
                   const float *b, int64_t ld_b, bool b_rows_k, int64_t m, int64_t n, int64_t k, bool accumulate)
{
    (void)wide;
    struct operand left = {.data = a, .ld = ld_a, .k_rows = a_rows_k},
                   right = {.data = b, .ld = ld_b, .k_rows = b_rows_k};
    gemm(d->scratch, d->threads, m, n, k, &left, &right, c, ld_c, (struct epilogue){.accumulate = accumulate});
}
