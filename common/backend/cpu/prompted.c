/* Attention between a map and the few tokens of each of many prompts.  A block of rows is read once and stays in the
 * cache for both products; a prompt's blocks are taken in order, so that no result depends on threads. */

enum { BLOCK_ROWS = KC };

static void heads_apart(struct device *d, float *out, const float *x, float scale, const struct token_heads *h)
{
    int64_t width = h->heads * h->head_dim, each = h->heads * h->tokens;
#pragma omp parallel for num_threads(d->threads) schedule(static)
    for (int64_t r = 0; r < h->prompts * each; r++) {
        int64_t head = r % each / h->tokens, token = r / each * h->tokens + r % h->tokens;
        float *to = out + r * width;
        memset(to, 0, (size_t)width * sizeof *to);
        for (int64_t i = head * h->head_dim; i < (head + 1) * h->head_dim; i++) to[i] = x[token * width + i] * scale;
    }
}

static void heads_together(struct device *d, float *out, const float *x, const struct token_heads *h)
{
    int64_t width = h->heads * h->head_dim, each = h->heads * h->tokens;
#pragma omp parallel for num_threads(d->threads) schedule(static)
    for (int64_t r = 0; r < h->prompts * h->tokens; r++)
        for (int64_t head = 0; head < h->heads; head++) {
            const float *from = x + (r / h->tokens * each + head * h->tokens + r % h->tokens) * width;
            memcpy(out + r * width + head * h->head_dim, from + head * h->head_dim, (size_t)h->head_dim * sizeof *out);
        }
}

/* The rows of a block as they are compared. */
static struct operand seen_rows(float *space, const struct prompted_map *p, const float *x, int64_t first, int64_t n)
{
    if (p->seen) return (struct operand){.data = p->seen + first * p->seen_width, .ld = p->seen_width};
    const float *from = x + first * p->width, *place = p->places + first * p->width;
    for (int64_t i = 0; i < n * p->width; i++) space[i] = from[i] + place[i];
    return (struct operand){.data = space, .ld = p->width};
}

/* Columns c .. of scores s [n, m] -> exp(s - top); what was summed with smaller tops is scaled to theirs. */
static void raise_columns(float *s, float *top, float *sum, float *out, const struct prompted_map *p, int64_t n)
{
    int64_t m = p->columns;
    for (int64_t c = 0; c < m; c += LANES) {
        int64_t w = m - c < LANES ? m - c : LANES;
        vec was = vec_load_part(top + c, w, 0), now = was, total;
        for (int64_t r = 0; r < n; r++)
            now = vec_max(now, w < LANES ? vec_load_part(s + r * m + c, w, 0) : vec_load(s + r * m + c));
        vec shrink = vec_exp(was - now);
        total = vec_load_part(sum + c, w, 0) * shrink;
        for (int64_t r = 0; r < n; r++) {
            vec e = vec_exp((w < LANES ? vec_load_part(s + r * m + c, w, 0) : vec_load(s + r * m + c)) - now);
            total += e;
            if (w < LANES)
                vec_store_part(s + r * m + c, e, w);
            else
                vec_store(s + r * m + c, e);
        }
        vec_store_part(top + c, now, w);
        vec_store_part(sum + c, total, w);
        for (int64_t i = 0; i < w; i++)
            for (int64_t k = 0; shrink[i] != 1 && k < p->width; k++) out[(c + i) * p->width + k] *= shrink[i];
    }
}

static void map_to_tokens(struct device *d, float *out, const float *q, const struct prompted_map *p)
{
    int64_t m = p->columns, width = p->width;
    device_reserve(d, (size_t)(BLOCK_ROWS * (width + m) + 2 * m));
#pragma omp parallel for num_threads(d->threads) schedule(dynamic, 1)
    for (int64_t prompt = 0; prompt < p->prompts; prompt++) {
        float *const *scratch = &d->scratch[omp_get_thread_num()];
        float *space = d->extra[omp_get_thread_num()], *s = space + BLOCK_ROWS * width, *top = s + BLOCK_ROWS * m,
              *sum = top + m, *o = out + prompt * m * width;
        const float *x = p->x + (p->shared ? 0 : prompt * p->rows * width);
        struct operand tokens = {.data = q + prompt * m * width, .ld = width};
        memset(o, 0, (size_t)(m * width) * sizeof *o);
        for (int64_t c = 0; c < m; c++) top[c] = -1e30f, sum[c] = 0;
        for (int64_t first = 0; first < p->rows; first += BLOCK_ROWS) {
            int64_t n = p->rows - first < BLOCK_ROWS ? p->rows - first : BLOCK_ROWS;
            struct operand seen = seen_rows(space, p, x, first, n), weights = {.data = s, .ld = m, .k_rows = 1},
                           rows = {.data = x + first * width, .ld = width, .k_rows = 1};
            gemm(scratch, 1, n, m, width, &seen, &tokens, s, m, (struct epilogue){0});
            raise_columns(s, top, sum, o, p, n);
            gemm(scratch, 1, m, width, n, &weights, &rows, o, width, (struct epilogue){.accumulate = 1});
        }
        for (int64_t c = 0; c < m; c++)
            for (int64_t k = 0; k < width; k++) o[c * width + k] /= sum[c];
    }
}

/* Softmax of each group of neighbouring scores. */
static void softmax_groups(float *s, int64_t groups, int64_t size)
{
    for (int64_t g = 0; g < groups; g++, s += size) {
        float top = s[0], sum = 0;
        for (int64_t i = 1; i < size; i++) top = s[i] > top ? s[i] : top;
        for (int64_t i = 0; i < size; i += LANES) {
            int64_t n = size - i < LANES ? size - i : LANES;
            vec e = vec_exp(vec_load_part(s + i, n, -INFINITY) - top);
            vec_store_part(s + i, e, n);
            for (int64_t k = 0; k < n; k++) sum += s[i + k];
        }
        float share = 1 / sum;
        for (int64_t i = 0; i < size; i++) s[i] *= share;
    }
}

static void tokens_to_map(struct device *d, float *y, const float *k, const float *k_bias, const float *v,
                          const float *bias, const float *scale, const float *shift, const struct prompted_map *p)
{
    int64_t m = p->columns, width = p->width, blocks = (p->rows + BLOCK_ROWS - 1) / BLOCK_ROWS,
            seen_width = p->seen ? p->seen_width : width;
    device_reserve(d, (size_t)(BLOCK_ROWS * (width + m + 2)));
#pragma omp parallel for num_threads(d->threads) schedule(dynamic, 1)
    for (int64_t task = 0; task < p->prompts * blocks; task++) {
        int64_t prompt = task / blocks, first = task % blocks * BLOCK_ROWS,
                n = p->rows - first < BLOCK_ROWS ? p->rows - first : BLOCK_ROWS;
        struct device one = device_of_thread(d, omp_get_thread_num());
        float *space = one.extra[0], *s = space + BLOCK_ROWS * width, *stats = s + BLOCK_ROWS * m;
        const float *x = p->x + (p->shared ? 0 : prompt * p->rows * width);
        float *to = y + (prompt * p->rows + first) * width;
        struct operand seen = seen_rows(space, p, x, first, n),
                       keys = {.data = k + prompt * m * seen_width, .ld = seen_width}, weights = {.data = s, .ld = m},
                       values = {.data = v + prompt * m * width, .ld = width, .k_rows = 1};
        gemm(one.scratch, 1, n, m, seen_width, &seen, &keys, s, m,
             (struct epilogue){.bias = k_bias ? k_bias + prompt * m : NULL});
        softmax_groups(s, n * m / p->tokens, p->tokens);
        gemm(one.scratch, 1, n, width, m, &weights, &values, to, width,
             (struct epilogue){.bias = bias, .residual = x + first * width});
        norm_forward(&one, to, stats, stats + BLOCK_ROWS, to, scale, shift, n, width, 1e-5f);
    }
}
