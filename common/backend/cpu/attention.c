/* Attention: a task is one head of one sequence, or backward the heads that share one of k and v, done by one thread in
 * its own work space.
 *
 *   S = q k^T  [nq, nk]  ->  P = softmax(S / sqrt(head_dim))  ->  o = P v
 *
 * The backward pass recomputes P from lse, so only lse is kept. */

/* Row of scores -> probabilities over the first n of cols columns (the rest become 0); returns log sum exp. */
static float softmax_row(float *s, int64_t n, int64_t cols, float scale)
{
    vec top = vec_splat(-INFINITY), sum = vec_splat(0);
    int64_t i = 0;
    for (; i + LANES <= n; i += LANES) top = vec_max(top, vec_load(s + i));
    vec rest = vec_load_part(s + i, n - i, -INFINITY);
    float m = vec_top(vec_max(top, rest)) * scale;
    for (i = 0; i + LANES <= n; i += LANES) {
        vec p = vec_exp(vec_load(s + i) * scale - m);
        vec_store(s + i, p);
        sum += p;
    }
    if (i < n) {
        vec p = vec_exp(rest * scale - m);
        vec_store_part(s + i, p, n - i);
        sum += p;
    }
    float total = vec_sum(sum), inverse = 1 / total;
    for (i = 0; i < n; i++) s[i] *= inverse;
    for (; i < cols; i++) s[i] = 0;
    return m + logf(total);
}

/* Queries of a task: their scores stay in the cache. */
enum { QUERIES = 256 };

static void attention_forward(struct device *d, const struct attention *a)
{
    float scale = 1 / sqrtf((float)a->head_dim);
    int64_t ld_o = a->heads * a->head_dim, most = a->q_longest < QUERIES ? a->q_longest : QUERIES,
            blocks = (a->q_longest + QUERIES - 1) / QUERIES;
    device_reserve(d, (size_t)(most * a->k_longest));
#pragma omp parallel for num_threads(d->threads) schedule(dynamic, 1)
    for (int64_t task = 0; task < a->sequences * a->heads * blocks; task++) {
        int64_t s = task / blocks / a->heads, h = task / blocks % a->heads, first = task % blocks * QUERIES,
                column = h * a->head_dim, shared = h / (a->heads / a->kv_heads) * a->head_dim;
        int64_t q0 = a->q_start[s] + first, nq = a->q_start[s + 1] - q0, k0 = a->k_start[s],
                nk = a->k_start[s + 1] - k0;
        if (nq > QUERIES) nq = QUERIES;
        float *const *scratch = &d->scratch[omp_get_thread_num()];
        float *S = d->extra[omp_get_thread_num()];
        struct operand q = {.data = a->q + q0 * a->ld_q + column, .ld = a->ld_q};
        struct operand k = {.data = a->k + k0 * a->ld_kv + shared, .ld = a->ld_kv};
        struct operand v = {.data = a->v + k0 * a->ld_kv + shared, .ld = a->ld_kv, .k_rows = 1};
        gemm(scratch, 1, nq, nk, a->head_dim, &q, &k, S, nk, (struct epilogue){0});
        for (int64_t i = 0; i < nq; i++) {
            float lse = softmax_row(S + i * nk, a->causal ? first + i + 1 : nk, nk, scale);
            if (a->lse) a->lse[(q0 + i) * a->heads + h] = lse;
        }
        struct operand p = {.data = S, .ld = nk};
        gemm(scratch, 1, nq, a->head_dim, nk, &p, &v, a->o + q0 * ld_o + column, ld_o, (struct epilogue){0});
    }
}

/* S, dP [nk] of one row -> P and dS = P (dP - delta) scale in place, over the first n of cols columns. */
static void softmax_backward_row(float *s, float *dp, int64_t n, int64_t cols, float scale, float lse, float delta)
{
    int64_t i = 0;
    for (; i + LANES <= n; i += LANES) {
        vec p = vec_exp(vec_load(s + i) * scale - lse);
        vec_store(s + i, p);
        vec_store(dp + i, p * (vec_load(dp + i) - delta) * scale);
    }
    if (i < n) {
        vec p = vec_exp(vec_load_part(s + i, n - i, 0) * scale - lse);
        vec_store_part(dp + i, p * (vec_load_part(dp + i, n - i, 0) - delta) * scale, n - i);
        vec_store_part(s + i, p, n - i);
    }
    for (i = n; i < cols; i++) s[i] = dp[i] = 0;
}

/* One head of one sequence; `more`: its k and v already have the gradients of another head. */
static void attention_backward_head(struct device *d, const struct attention *a, int64_t s, int64_t h, bool more)
{
    int64_t area = a->q_longest * a->k_longest, ld_o = a->heads * a->head_dim, column = h * a->head_dim;
    int64_t q0 = a->q_start[s], nq = a->q_start[s + 1] - q0, k0 = a->k_start[s], nk = a->k_start[s + 1] - k0;
    int64_t at_q = q0 * a->ld_q + column, at_k = k0 * a->ld_kv + h / (a->heads / a->kv_heads) * a->head_dim,
            at_o = q0 * ld_o + column;
    float scale = 1 / sqrtf((float)a->head_dim);
    float *const *scratch = &d->scratch[omp_get_thread_num()];
    float *P = d->extra[omp_get_thread_num()], *dS = P + area;
    struct operand q = {.data = a->q + at_q, .ld = a->ld_q}, k = {.data = a->k + at_k, .ld = a->ld_kv};
    struct operand v = {.data = a->v + at_k, .ld = a->ld_kv}, d_o = {.data = a->d_o + at_o, .ld = ld_o};
    struct operand p = {.data = P, .ld = nk}, ds = {.data = dS, .ld = nk};
    gemm(scratch, 1, nq, nk, a->head_dim, &q, &k, P, nk, (struct epilogue){0});
    gemm(scratch, 1, nq, nk, a->head_dim, &d_o, &v, dS, nk, (struct epilogue){0});
    for (int64_t i = 0; i < nq; i++)
        softmax_backward_row(P + i * nk, dS + i * nk, a->causal ? i + 1 : nk, nk, scale,
                             a->lse[(q0 + i) * a->heads + h],
                             dot(d_o.data + i * ld_o, a->o + at_o + i * ld_o, a->head_dim));
    p.k_rows = ds.k_rows = d_o.k_rows = q.k_rows = k.k_rows = 1;
    gemm(scratch, 1, nk, a->head_dim, nq, &p, &d_o, a->d_v + at_k, a->ld_kv, (struct epilogue){.accumulate = more});
    gemm(scratch, 1, nk, a->head_dim, nq, &ds, &q, a->d_k + at_k, a->ld_kv, (struct epilogue){.accumulate = more});
    ds.k_rows = 0;
    gemm(scratch, 1, nq, a->head_dim, nk, &ds, &k, a->d_q + at_q, a->ld_q, (struct epilogue){0});
}

static void attention_backward(struct device *d, const struct attention *a)
{
    int64_t group = a->heads / a->kv_heads;
    device_reserve(d, 2 * (size_t)(a->q_longest * a->k_longest));
#pragma omp parallel for num_threads(d->threads) schedule(dynamic, 1)
    for (int64_t task = 0; task < a->sequences * a->kv_heads; task++)
        for (int64_t i = 0; i < group; i++)
            attention_backward_head(d, a, task / a->kv_heads, task % a->kv_heads * group + i, i > 0);
}

static void cache_store(struct device *d, float *cache, const float *x, int64_t ld, const int32_t *slots, int64_t rows,
                        int64_t width)
{
    (void)d;
    for (int64_t r = 0; r < rows; r++) memcpy(cache + slots[r] * width, x + r * ld, (size_t)width * sizeof *x);
}

/* The rows of a cache from `place` on that lie one after the other, up to the end of their page: the first, and how
 * many of the `places` there are. */
static const float *cached_rows(const struct cached_attention *a, const float *cache, int64_t row, int64_t place,
                                int64_t places, int64_t *count)
{
    int64_t page = a->tables[a->sequence_of[row] * a->table_pages + place / a->page_rows];
    int64_t within = place % a->page_rows, left = a->page_rows - within;
    *count = left < places - place ? left : places - place;
    return cache + (page * a->page_rows + within) * a->kv_heads * a->head_dim;
}

/* o [columns] = sum over places of p times a value's columns, which begin `column` after those of its row. */
static void cached_sum(const struct cached_attention *a, int64_t row, int64_t column, const float *p, int64_t places,
                       float *o, int64_t columns)
{
    enum { VECS = 4 };
    int64_t ld = a->kv_heads * a->head_dim, count;
    if (columns == VECS * LANES) {
        vec sum[VECS] = {vec_splat(0), vec_splat(0), vec_splat(0), vec_splat(0)};
        for (int64_t j = 0; j < places; j += count) {
            const float *value = cached_rows(a, a->values, row, j, places, &count) + column;
            for (int64_t k = 0; k < count; k++, value += ld)
                for (int i = 0; i < VECS; i++) sum[i] += p[j + k] * vec_load(value + i * LANES);
        }
        for (int i = 0; i < VECS; i++) vec_store(o + i * LANES, sum[i]);
        return;
    }
    memset(o, 0, (size_t)columns * sizeof *o);
    for (int64_t j = 0; j < places; j += count) {
        const float *value = cached_rows(a, a->values, row, j, places, &count) + column;
        for (int64_t k = 0; k < count; k++, value += ld)
            for (int64_t i = 0; i < columns; i++) o[i] += p[j + k] * value[i];
    }
}

/* The heads of one row that share a head of keys and values; scores [group, places]. */
static void cached_heads(const struct cached_attention *a, int64_t row, int64_t kv_head, float *scores)
{
    enum { COLUMNS = 4 * LANES };
    int64_t group = a->heads / a->kv_heads, places = a->places[row] + 1, hd = a->head_dim, count;
    const float *q = a->q + row * a->ld + kv_head * group * hd;
    float *o = a->o + (row * a->heads + kv_head * group) * hd;
    for (int64_t j = 0; j < places; j += count) {
        const float *key = cached_rows(a, a->keys, row, j, places, &count) + kv_head * hd;
        for (int64_t k = 0; k < count; k++, key += a->kv_heads * hd)
            for (int64_t g = 0; g < group; g++) scores[g * places + j + k] = dot(q + g * hd, key, hd);
    }
    for (int64_t g = 0; g < group; g++) {
        softmax_row(scores + g * places, places, places, 1 / sqrtf((float)hd));
        for (int64_t i = 0; i < hd; i += COLUMNS)
            cached_sum(a, row, kv_head * hd + i, scores + g * places, places, o + g * hd + i,
                       hd - i < COLUMNS ? hd - i : COLUMNS);
    }
}

static void cached_attention(struct device *d, const struct cached_attention *a)
{
    device_reserve(d, (size_t)(a->heads / a->kv_heads * a->longest));
#pragma omp parallel for num_threads(d->threads) schedule(dynamic, 1)
    for (int64_t task = 0; task < a->rows * a->kv_heads; task++)
        cached_heads(a, task / a->kv_heads, task % a->kv_heads, d->extra[omp_get_thread_num()]);
}

static void rotary(struct device *d, float *x, int64_t ld, int64_t rows, int64_t heads, int64_t head_dim,
                   const float *cosine, const float *sine, int64_t tokens, const int32_t *places, bool inverse)
{
    int64_t pairs = head_dim / 2;
    float sign = inverse ? -1.f : 1.f;
#pragma omp parallel for num_threads(d->threads) schedule(static)
    for (int64_t r = 0; r < rows; r++) {
        int64_t place = places ? places[r] : r % tokens;
        const float *c = cosine + place * pairs, *s = sine + place * pairs;
        for (int64_t h = 0; h < heads; h++) {
            float *head = x + r * ld + h * head_dim;
            for (int64_t i = 0; i < pairs; i++) {
                float a = head[2 * i], b = head[2 * i + 1], t = sign * s[i];
                head[2 * i] = a * c[i] - b * t;
                head[2 * i + 1] = b * c[i] + a * t;
            }
        }
    }
}
