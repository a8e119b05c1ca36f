/* Tiles of the matrices of tokens (ops/gram.c). */

/* A block a row; each [rows]. */
static __global__ void gram_kernel(real *e, double *each, const float *s, const float *t, int64_t cols, float sharpness,
                                   float scale)
{
    int64_t r = blockIdx.x;
    double sum = 0;
    for (int64_t i = r * cols + threadIdx.x; i < (r + 1) * cols; i += THREADS) {
        float apart = s[i] - expf((t[i] - 1) * sharpness);
        sum += (double)(apart * apart);
        from_float(&e[i], apart * scale);
    }
    sum = block_sum(sum);
    if (threadIdx.x == 0) each[r] = sum;
}

static __global__ void gram_loss_kernel(float *loss, const double *each, int64_t rows, float weight, bool accumulate)
{
    double sum = 0;
    for (int64_t r = threadIdx.x; r < rows; r += THREADS) sum += each[r];
    sum = block_sum(sum);
    if (threadIdx.x == 0) *loss = (accumulate ? *loss : 0) + (float)((double)weight * sum);
}

static void gram_difference(struct device *d, real *e, float *loss, const float *s, const float *t, int64_t rows,
                            int64_t cols, float sharpness, float scale, float weight, bool accumulate)
{
    double *each = (double *)cuda_scratch(d, (size_t)rows * sizeof *each);
    LAUNCH(d, gram_kernel, rows, THREADS, 0, e, each, s, t, cols, sharpness, scale);
    LAUNCH(d, gram_loss_kernel, 1, THREADS, 0, loss, each, rows, weight, accumulate);
}
