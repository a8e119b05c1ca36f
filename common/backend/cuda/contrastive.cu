/* Strips of the contrastive logits: softmax statistics of rows and columns, the gradient, and the loss. */

/* A block a row. */
static __global__ void row_stats_kernel(float *row_max, float *row_sum, const float *s, int64_t ld, int64_t cols,
                                        const float *log_scale)
{
    __shared__ float maxima[WARP], sums[WARP];
    float scale = expf(*log_scale), max = -INFINITY, sum = 0;
    const float *row = s + blockIdx.x * ld;
    for (int64_t i = threadIdx.x; i < cols; i += THREADS) max = fmaxf(max, row[i] * scale);
    max = warp_max(max);
    for (int64_t i = threadIdx.x; i < cols; i += THREADS) sum += expf(row[i] * scale - max);
    sum = warp_sum(max == -INFINITY ? 0.f : sum);
    if (threadIdx.x % WARP == 0) maxima[threadIdx.x / WARP] = max, sums[threadIdx.x / WARP] = sum;
    __syncthreads();
    if (threadIdx.x) return;
    for (int w = 0; w < WARPS; w++) merge_stat(row_max + blockIdx.x, row_sum + blockIdx.x, maxima[w], sums[w]);
}

/* Statistics of COLUMN_ROWS rows of each column into part_max, part_sum [chunks, cols]. */
enum { COLUMN_ROWS = 64 };
static __global__ void column_parts_kernel(float *part_max, float *part_sum, const float *s, int64_t ld, int64_t rows,
                                           int64_t cols, const float *log_scale)
{
    int64_t strips = divide_up(cols, THREADS), c = blockIdx.x % strips * THREADS + threadIdx.x,
            chunk = blockIdx.x / strips;
    int64_t first = chunk * COLUMN_ROWS, end = first + COLUMN_ROWS < rows ? first + COLUMN_ROWS : rows;
    if (c >= cols) return;
    float scale = expf(*log_scale), max = -INFINITY, sum = 0;
    for (int64_t r = first; r < end; r++) max = fmaxf(max, s[r * ld + c] * scale);
    for (int64_t r = first; r < end; r++) sum += expf(s[r * ld + c] * scale - max);
    part_max[chunk * cols + c] = max;
    part_sum[chunk * cols + c] = sum;
}

/* Merge parts [parts, cols] into (max, sum), or, with lse, write ln of their sum. */
static __global__ void merge_kernel(float *max, float *sum, float *lse, const float *part_max, const float *part_sum,
                                    int64_t parts, int64_t cols)
{
    int64_t c = (int64_t)blockIdx.x * THREADS + threadIdx.x;
    if (c >= cols) return;
    float m = lse ? -INFINITY : max[c], t = lse ? 0 : sum[c];
    for (int64_t p = 0; p < parts; p++) merge_stat(&m, &t, part_max[p * cols + c], part_sum[p * cols + c]);
    if (lse)
        lse[c] = m + logf(t);
    else
        max[c] = m, sum[c] = t;
}

static void softmax_stats(struct device *d, float *row_max, float *row_sum, float *col_max, float *col_sum,
                          const float *s, int64_t ld, int64_t rows, int64_t cols, const float *log_scale)
{
    int64_t chunks = divide_up(rows, COLUMN_ROWS);
    float *part = (float *)cuda_scratch(d, (size_t)(2 * chunks * cols) * sizeof(float));
    LAUNCH(d, row_stats_kernel, rows, THREADS, 0, row_max, row_sum, s, ld, cols, log_scale);
    LAUNCH(d, column_parts_kernel, chunks * divide_up(cols, THREADS), THREADS, 0, part, part + chunks * cols, s, ld,
           rows, cols, log_scale);
    LAUNCH(d, merge_kernel, divide_up(cols, THREADS), THREADS, 0, col_max, col_sum, (float *)NULL, part,
           part + chunks * cols, chunks, cols);
}

static void merge_stats(struct device *d, float *lse, const float *max, const float *sum, int64_t parts, int64_t count)
{
    LAUNCH(d, merge_kernel, divide_up(count, THREADS), THREADS, 0, (float *)NULL, (float *)NULL, lse, max, sum, parts,
           count);
}

/* A block a row; total [rows]. */
static __global__ void gradient_kernel(real *g, double *total, const float *s, int64_t ld, const float *row_lse,
                                       const float *col_lse, int64_t cols, int64_t diagonal, const float *log_scale,
                                       float weight)
{
    int64_t r = blockIdx.x;
    float scale = expf(*log_scale), lse = row_lse[r];
    double sum = 0;
    for (int64_t i = threadIdx.x; i < cols; i += THREADS) {
        float raw = s[r * ld + i], l = raw * scale;
        float slope = (expf(l - lse) + expf(l - col_lse[i]) - (i == r + diagonal ? 2.f : 0.f)) * weight;
        sum += (double)(slope * raw);
        from_float(&g[r * ld + i], slope * scale);
    }
    sum = block_sum(sum);
    if (threadIdx.x == 0) total[r] = sum;
}

static void contrastive_gradient(struct device *d, real *g, double *total, const float *s, int64_t ld,
                                 const float *row_lse, const float *col_lse, int64_t rows, int64_t cols,
                                 int64_t diagonal, const float *log_scale, float weight)
{
    double *each = (double *)cuda_scratch(d, (size_t)rows * sizeof *each);
    LAUNCH(d, gradient_kernel, rows, THREADS, 0, g, each, s, ld, row_lse, col_lse, cols, diagonal, log_scale, weight);
    LAUNCH(d, sum_doubles_kernel, 1, THREADS, 0, total, each, rows, true);
}

/* A strip of the student's and the teacher's similarities with the sums of their softmaxes. */
struct lesson {
    const float *s, *t, *row_lse, *col_lse, *teacher_row_lse, *teacher_col_lse, *log_scale, *teacher_log_scale;
    int64_t ld, cols;
    float weight;
    bool accumulate;
};

/* A block a row; each [2, rows]. */
static __global__ void distill_kernel(real *g, double *each, struct lesson a)
{
    int64_t r = blockIdx.x;
    float scale = expf(*a.log_scale), teacher_scale = expf(*a.teacher_log_scale);
    double slopes = 0, divergence = 0;
    for (int64_t i = threadIdx.x; i < a.cols; i += THREADS) {
        float raw = a.s[r * a.ld + i], own = raw * scale, taught = a.t[r * a.ld + i] * teacher_scale;
        float p = own - a.row_lse[r], q = taught - a.teacher_row_lse[r], p_col = own - a.col_lse[i],
              q_col = taught - a.teacher_col_lse[i];
        float q_e = expf(q), q_col_e = expf(q_col), slope = (expf(p) + expf(p_col) - q_e - q_col_e) * a.weight;
        slopes += (double)(slope * raw);
        divergence += (double)(q_e * (q - p) + q_col_e * (q_col - p_col));
        real *to = &g[r * a.ld + i];
        from_float(to, slope * scale + (a.accumulate ? to_float(*to) : 0));
    }
    slopes = block_sum(slopes);
    divergence = block_sum(divergence);
    if (threadIdx.x == 0) each[r] = slopes, each[gridDim.x + r] = divergence;
}

static void distill_gradient(struct device *d, real *g, double *total, double *divergence, const float *s,
                             const float *t, int64_t ld, const float *row_lse, const float *col_lse,
                             const float *teacher_row_lse, const float *teacher_col_lse, int64_t rows, int64_t cols,
                             const float *log_scale, const float *teacher_log_scale, float weight, bool accumulate)
{
    double *each = (double *)cuda_scratch(d, (size_t)(2 * rows) * sizeof *each);
    struct lesson a = {s,  t,    row_lse, col_lse,   teacher_row_lse, teacher_col_lse, log_scale, teacher_log_scale,
                       ld, cols, weight,  accumulate};
    LAUNCH(d, distill_kernel, rows, THREADS, 0, g, each, a);
    LAUNCH(d, sum_doubles_kernel, 1, THREADS, 0, total, each, rows, true);
    LAUNCH(d, sum_doubles_kernel, 1, THREADS, 0, divergence, each + rows, rows, true);
}

/* each [2, rows]: loss and hit of every row, a warp a row. */
static __global__ void loss_kernel(double *each, const real *x, const real *y, const float *row_lse,
                                   const float *col_lse, const float *row_max, int64_t rows, int64_t cols,
                                   const float *log_scale)
{
    int64_t r = (int64_t)blockIdx.x * WARPS + threadIdx.x / WARP;
    if (r >= rows) return;
    float scale = expf(*log_scale), own = row_dot(x + r * cols, y + r * cols, cols, threadIdx.x % WARP) * scale;
    if (threadIdx.x % WARP) return;
    each[r] = (double)row_lse[r] + (double)col_lse[r] - 2. * (double)own;
    each[rows + r] = own >= row_max[r] - (sizeof(real) == sizeof(float) ? 1e-5f : 1e-3f) * scale ? 1. : 0.;
}

static void contrastive_loss(struct device *d, double *loss, double *hits, const real *x, const real *y,
                             const float *row_lse, const float *col_lse, const float *row_max, int64_t rows,
                             int64_t cols, const float *log_scale)
{
    double *each = (double *)cuda_scratch(d, (size_t)(2 * rows) * sizeof *each);
    LAUNCH(d, loss_kernel, divide_up(rows, WARPS), THREADS, 0, each, x, y, row_lse, col_lse, row_max, rows, cols,
           log_scale);
    LAUNCH(d, sum_doubles_kernel, 1, THREADS, 0, loss, each, rows, false);
    LAUNCH(d, sum_doubles_kernel, 1, THREADS, 0, hits, each + rows, rows, false);
}

/* A thread a column. */
static __global__ void tree_sum_kernel(double *values, int64_t rows, int64_t cols)
{
    int64_t i = blockIdx.x * (int64_t)THREADS + threadIdx.x;
    if (i >= cols) return;
    for (int64_t width = 1; width < rows; width *= 2)
        for (int64_t n = 0; n + width < rows; n += 2 * width) values[n * cols + i] += values[(n + width) * cols + i];
}

static void tree_sum(struct device *d, double *values, int64_t rows, int64_t cols)
{
    LAUNCH(d, tree_sum_kernel, divide_up(cols, THREADS), THREADS, 0, values, rows, cols);
}

static __global__ void scale_gradient_kernel(float *g, const double *sum, const float *log_scale)
{
    *g = (float)(*sum * (double)expf(*log_scale));
}

static void scale_gradient(struct device *d, float *g, const double *sum, const float *log_scale)
{
    LAUNCH(d, scale_gradient_kernel, 1, 1, 0, g, sum, log_scale);
}
