/* Matrix products: our row-major matrices are cuBLAS's column-major ones transposed, so y = x w^T is  y^T [out, rows] =
 * w x^T.
 *
 * In bfloat16 bias, residual, GELU, its slope and the gradient of the bias ride on the products (cuBLASLt's GELU is the
 * tanh form: at most 5e-4 from the exact one, less than bfloat16 keeps).  In float, and where cuBLASLt has no such
 * product, kernels of our own follow it, with the exact GELU. */

enum { NARROW = sizeof(real) == 2 };
static const cudaDataType_t REAL_TYPE = NARROW ? CUDA_R_16BF : CUDA_R_32F;

static __device__ __forceinline__ float gelu_of(float x)
{
    return 0.5f * x * (1 + erff(x * 0.70710678118654752f));
}

static __device__ __forceinline__ float gelu_slope(float x)
{
    return 0.5f * (1 + erff(x * 0.70710678118654752f)) + x * 0.39894228040143268f * expf(-0.5f * x * x);
}

/* y = GELU(x), or, with gate, y = x * GELU'(gate). */
template <int W> static __global__ void gelu_kernel(real *y, const real *x, const real *gate, int64_t count)
{
    int64_t at = ((int64_t)blockIdx.x * THREADS + threadIdx.x) * W;
    if (at >= count) return;
    pack<W, real> v = load<W>(x + at), g;
    if (gate) g = load<W>(gate + at);
    for (int i = 0; i < W; i++)
        from_float(&v.value[i],
                   gate ? to_float(v.value[i]) * gelu_slope(to_float(g.value[i])) : gelu_of(to_float(v.value[i])));
    store<W>(y + at, v);
}

static void gelu(struct device *d, real *y, const real *x, const real *gate, int64_t count)
{
    if (whole(count, x, y) && aligned16(gate))
        LAUNCH(d, gelu_kernel<8>, divide_up(count, 8 * THREADS), THREADS, 0, y, x, gate, count);
    else
        LAUNCH(d, gelu_kernel<1>, divide_up(count, THREADS), THREADS, 0, y, x, gate, count);
}

static __global__ void add_bias_kernel(real *y, const real *bias, int64_t count, int64_t cols)
{
    int64_t at = (int64_t)blockIdx.x * THREADS + threadIdx.x;
    if (at < count) from_float(&y[at], to_float(y[at]) + to_float(bias[at % cols]));
}

/* A product that must work: without epilogue every type and shape does. */
static void must(struct device *d, const struct product *p)
{
    CHECK(cuda_product(d, p), "cuBLASLt has no product [%ld, %ld] over %ld", (long)p->m, (long)p->n, (long)p->k);
}

/* The input as the product reads it: x itself, or what was kept of it, or prepared now into scratch. */
static const real *prepared(struct device *d, const real *x, int64_t rows, int64_t in, struct linear_prepare p)
{
    if (p.kind == LINEAR_PLAIN) return x;
    if (p.kept) return p.kept;
    CHECK(p.kind == LINEAR_GELU, "the norm of an input was not kept");
    real *now = (real *)cuda_scratch(d, (size_t)(rows * in) * sizeof(real));
    gelu(d, now, x, NULL, rows * in);
    return now;
}

static void linear_forward(struct device *d, real *y, real *gelu_out, const real *x, const real *w, const real *b,
                           const real *residual, int64_t rows, int64_t in, int64_t out, struct linear_prepare prepare)
{
    if (prepare.kind == LINEAR_NORM)
        norm_forward(d, prepare.kept, prepare.mean, prepare.rstd, x, prepare.scale, prepare.shift, rows, in, 1e-5f);
    struct product p = {.rows = 1,
                        .transpose_a = true,
                        .m = out,
                        .n = rows,
                        .k = in,
                        .lda = in,
                        .ldb = in,
                        .ldc = out,
                        .ldd = out,
                        .a = w,
                        .b = prepared(d, x, rows, in, prepare),
                        .c = residual,
                        .d = y,
                        .type = REAL_TYPE,
                        .out = REAL_TYPE,
                        .epilogue = CUBLASLT_EPILOGUE_DEFAULT};
    if (NARROW && gelu_out && b && out % 8 == 0) {
        struct product fused = p;
        fused.d = gelu_out;
        fused.aux = y;
        fused.bias = (void *)b;
        fused.epilogue = CUBLASLT_EPILOGUE_GELU_AUX_BIAS;
        if (cuda_product(d, &fused)) return;
    }
    bool biased = false;
    if (b) {
        struct product fused = p;
        fused.bias = (void *)b;
        fused.epilogue = CUBLASLT_EPILOGUE_BIAS;
        biased = cuda_product(d, &fused);
    }
    if (!biased) must(d, &p);
    if (b && !biased) LAUNCH(d, add_bias_kernel, divide_up(rows * out, THREADS), THREADS, 0, y, b, rows * out, out);
    if (gelu_out) gelu(d, gelu_out, y, NULL, rows * out);
}

static void linear_backward_input(struct device *d, real *dx, const real *dy, const real *w, const real *gate,
                                  int64_t rows, int64_t in, int64_t out, bool accumulate)
{
    struct product p = {.rows = 1,
                        .m = in,
                        .n = rows,
                        .k = out,
                        .lda = in,
                        .ldb = out,
                        .ldc = in,
                        .ldd = in,
                        .a = w,
                        .b = dy,
                        .c = accumulate ? dx : NULL,
                        .d = dx,
                        .type = REAL_TYPE,
                        .out = REAL_TYPE,
                        .epilogue = CUBLASLT_EPILOGUE_DEFAULT};
    if (NARROW && gate && in % 8 == 0) {
        struct product fused = p;
        fused.aux = (void *)gate;
        fused.epilogue = CUBLASLT_EPILOGUE_DGELU;
        if (cuda_product(d, &fused)) return;
    }
    must(d, &p);
    if (gate) gelu(d, dx, dx, gate, rows * in);
}

static void linear_backward_weight(struct device *d, float *dw, float *db, const real *dy, const real *x, int64_t rows,
                                   int64_t in, int64_t out, struct linear_prepare prepare, bool accumulate_w,
                                   bool accumulate_b)
{
    struct product p = {.rows = 2,
                        .transpose_b = true,
                        .m = in,
                        .n = out,
                        .k = rows,
                        .lda = in,
                        .ldb = out,
                        .ldc = in,
                        .ldd = in,
                        .a = prepared(d, x, rows, in, prepare),
                        .b = dy,
                        .c = accumulate_w ? dw : NULL,
                        .d = dw,
                        .type = REAL_TYPE,
                        .out = CUDA_R_32F,
                        .epilogue = CUBLASLT_EPILOGUE_DEFAULT};
    bool scratch_in_use = prepare.kind != LINEAR_PLAIN && !prepare.kept;
    if (NARROW && db && !scratch_in_use) {
        /* the epilogue overwrites: what is to be added to is added to afterwards */
        float *sums = accumulate_b ? (float *)cuda_scratch(d, (size_t)out * sizeof *sums) : db;
        struct product fused = p;
        fused.bias = sums;
        fused.epilogue = CUBLASLT_EPILOGUE_BGRADB;
        if (cuda_product(d, &fused)) {
            if (accumulate_b) add(d, db, sums, out);
            return;
        }
    }
    must(d, &p);
    if (db) sum_rows(d, db, dy, rows, out, accumulate_b);
}

static void matmul(struct device *d, void *c, bool wide, int64_t ld_c, const real *a, int64_t ld_a, bool a_rows_k,
                   const real *b, int64_t ld_b, bool b_rows_k, int64_t m, int64_t n, int64_t k, bool accumulate)
{
    struct product p = {.rows = a_rows_k ? 2 : 1,
                        .transpose_a = !b_rows_k,
                        .transpose_b = a_rows_k,
                        .m = n,
                        .n = m,
                        .k = k,
                        .lda = ld_b,
                        .ldb = ld_a,
                        .ldc = ld_c,
                        .ldd = ld_c,
                        .a = b,
                        .b = a,
                        .c = accumulate ? c : NULL,
                        .d = c,
                        .type = REAL_TYPE,
                        .out = wide ? CUDA_R_32F : REAL_TYPE,
                        .epilogue = CUBLASLT_EPILOGUE_DEFAULT};
    must(d, &p);
}
