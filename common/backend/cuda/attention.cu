/* Attention.  cuDNN's fused kernels take the uniform sequences of a bfloat16 vision tower; everything else, texts of
 * different lengths among them, goes through the plain kernels below.
 *
 * Plain: a block of 4 warps takes QUERIES = 16 rows of one head of one sequence, 4 to a warp, and walks over the keys
 * in tiles of 32 that lie in shared memory: a lane scores one key for its warp's 4 rows, the softmax is online, and a
 * lane then sums every 32nd column of the output.  Backward, one such kernel makes dq; a second, with keys and queries
 * in each other's places, dk and dv.  Nothing is added atomically, so results are the same every time. */

enum {
    TILE = 32,
    GROUP = 4,
    ATTENTION_WARPS = 4,
    QUERIES = ATTENTION_WARPS * GROUP,
    ATTENTION_THREADS = 32 * ATTENTION_WARPS,
    COLUMNS = 8
}; /* head dimensions up to COLUMNS * 32 */

struct heads {
    int heads, group, head_dim, q_blocks; /* group: heads of q that share one of k and v */
    bool causal;
    float scale;
    const int32_t *q_start, *k_start;
    const real *q, *k, *v, *o, *d_o;
    int64_t ld_q, ld_kv, ld_o;
    float *lse;
    real *out, *d_q, *d_k, *d_v;
};

/* Rows [first, first + TILE) of x, as far as there are, into a shared tile whose rows are head_dim + 1 apart. */
static __device__ void load_tile(float *tile, const real *x, int64_t ld, int64_t first, int64_t end, int head_dim)
{
    for (int i = threadIdx.x; i < TILE * head_dim; i += ATTENTION_THREADS) {
        int row = i / head_dim, col = i % head_dim;
        tile[row * (head_dim + 1) + col] = first + row < end ? to_float(x[(first + row) * ld + col]) : 0;
    }
}

/* The next tile of two matrices, once all are done with the last. */
static __device__ void load_tiles(float *tile_x, float *tile_y, const real *x, int64_t ld_x, const real *y,
                                  int64_t ld_y, int64_t first, int64_t end, int head_dim)
{
    __syncthreads();
    load_tile(tile_x, x, ld_x, first, end, head_dim);
    load_tile(tile_y, y, ld_y, first, end, head_dim);
    __syncthreads();
}

/* The block's QUERIES rows from `first`, each head_dim apart, unpadded. */
static __device__ void load_rows(float *rows, const real *x, int64_t ld, int64_t first, int64_t end, int head_dim)
{
    for (int i = threadIdx.x; i < QUERIES * head_dim; i += ATTENTION_THREADS)
        rows[i] = first + i / head_dim < end ? to_float(x[(first + i / head_dim) * ld + i % head_dim]) : 0;
}

/* GROUP dot products of the warp's rows with this lane's row of the tile. */
static __device__ void score(float s[GROUP], const float *rows, const float *tile, int head_dim)
{
    const float *mine = tile + threadIdx.x % WARP * (head_dim + 1);
    for (int g = 0; g < GROUP; g++) s[g] = 0;
    for (int c = 0; c < head_dim; c++)
        for (int g = 0; g < GROUP; g++) s[g] += rows[g * head_dim + c] * mine[c];
}

/* sum[g][c] += over lanes j of weight[g] (lane j's) * tile row j, columns lane + 32 c. */
static __device__ void gather_tile(float sum[GROUP][COLUMNS], const float weight[GROUP], const float *tile,
                                   int head_dim)
{
    __shared__ float given[ATTENTION_WARPS][TILE][GROUP]; /* the warp's weights, where all its lanes see them */
    int lane = threadIdx.x % WARP;
    float(*mine)[GROUP] = given[threadIdx.x / WARP];
    __syncwarp();
    for (int g = 0; g < GROUP; g++) mine[lane][g] = weight[g];
    __syncwarp();
    for (int j = 0; j < TILE; j++) {
#pragma unroll
        for (int c = 0; c < COLUMNS; c++)
            if (lane + c * WARP < head_dim) {
                float x = tile[j * (head_dim + 1) + lane + c * WARP];
                for (int g = 0; g < GROUP; g++) sum[g][c] += mine[j][g] * x;
            }
    }
}

struct place {
    int64_t q0, q1, k0, k1, first; /* rows of the sequence; first row of the block */
    int64_t column, kv_column;     /* of its head in q, and in k and v */
    int head;                      /* over keys: of k and v */
};

/* Which rows a block works on; the grid counts blocks of rows fastest, then heads (over keys: those of k and v), then
 * sequences. */
static __device__ struct place place_of(const struct heads &a, bool over_keys)
{
    struct place p;
    int64_t block = blockIdx.x % a.q_blocks, rest = blockIdx.x / a.q_blocks;
    int heads = over_keys ? a.heads / a.group : a.heads;
    p.head = (int)(rest % heads);
    p.column = (int64_t)p.head * a.head_dim;
    p.kv_column = over_keys ? p.column : p.head / a.group * a.head_dim;
    int64_t s = rest / heads;
    p.q0 = a.q_start[s], p.q1 = a.q_start[s + 1], p.k0 = a.k_start[s], p.k1 = a.k_start[s + 1];
    p.first = (over_keys ? p.k0 : p.q0) + block * QUERIES;
    return p;
}

/* Behind the last key that a block of queries sees; causal: key j of a sequence is seen by queries i >= j. */
static __device__ int64_t keys_end(const struct heads &a, const struct place &p)
{
    int64_t seen = p.k0 + (p.first - p.q0) + QUERIES;
    return a.causal && seen < p.k1 ? seen : p.k1;
}

static __global__ void __launch_bounds__(ATTENTION_THREADS) attention_forward_kernel(struct heads a)
{
    SHARED_FLOATS(shared);
    struct place p = place_of(a, false);
    if (p.first >= p.q1) return;
    int hd = a.head_dim, warp = threadIdx.x / WARP, lane = threadIdx.x % WARP;
    int64_t column = p.column, row0 = p.first + warp * GROUP;
    float *rows = shared, *keys = rows + QUERIES * hd, *values = keys + TILE * (hd + 1);
    load_rows(rows, a.q + column, a.ld_q, p.first, p.q1, hd);
    float max[GROUP], total[GROUP], sum[GROUP][COLUMNS] = {};
    for (int g = 0; g < GROUP; g++) max[g] = -INFINITY, total[g] = 0;
    int64_t end = keys_end(a, p);
    for (int64_t k = p.k0; k < end; k += TILE) {
        load_tiles(keys, values, a.k + p.kv_column, a.ld_kv, a.v + p.kv_column, a.ld_kv, k, p.k1, hd);
        float s[GROUP];
        score(s, rows + warp * GROUP * hd, keys, hd);
        for (int g = 0; g < GROUP; g++) {
            bool seen = k + lane < p.k1 && (!a.causal || k + lane - p.k0 <= row0 + g - p.q0);
            float l = seen ? s[g] * a.scale : -INFINITY, top = fmaxf(max[g], warp_max(l));
            float shrink = max[g] == -INFINITY ? 0 : expf(max[g] - top), e = seen ? expf(l - top) : 0;
            total[g] = total[g] * shrink + warp_sum(e);
            max[g] = top;
            for (int c = 0; c < COLUMNS; c++) sum[g][c] *= shrink;
            s[g] = e;
        }
        gather_tile(sum, s, values, hd);
    }
    for (int g = 0; g < GROUP && row0 + g < p.q1; g++) {
#pragma unroll
        for (int c = 0; c < COLUMNS; c++)
            if (lane + c * WARP < hd)
                from_float(&a.out[(row0 + g) * a.ld_o + column + lane + c * WARP], sum[g][c] / total[g]);
        if (a.lse && lane == 0) a.lse[(row0 + g) * a.heads + p.head] = max[g] + logf(total[g]);
    }
}

/* delta [rows, heads] = <do, o> of each head: a warp each. */
static __global__ void attention_delta_kernel(float *delta, const real *d_o, const real *o, int64_t count, int head_dim)
{
    int64_t at = (int64_t)blockIdx.x * WARPS + threadIdx.x / WARP;
    if (at >= count) return;
    float sum = row_dot(d_o + at * head_dim, o + at * head_dim, head_dim, threadIdx.x % WARP);
    if (threadIdx.x % WARP == 0) delta[at] = sum;
}

static __global__ void __launch_bounds__(ATTENTION_THREADS) attention_dq_kernel(struct heads a, const float *delta)
{
    SHARED_FLOATS(shared);
    struct place p = place_of(a, false);
    if (p.first >= p.q1) return;
    int hd = a.head_dim, warp = threadIdx.x / WARP, lane = threadIdx.x % WARP;
    int64_t column = p.column, row0 = p.first + warp * GROUP;
    float *rows = shared, *slopes = rows + QUERIES * hd, *keys = slopes + QUERIES * hd,
          *values = keys + TILE * (hd + 1);
    load_rows(rows, a.q + column, a.ld_q, p.first, p.q1, hd);
    load_rows(slopes, a.d_o + column, a.ld_o, p.first, p.q1, hd);
    float lse[GROUP], own[GROUP], sum[GROUP][COLUMNS] = {};
    for (int g = 0; g < GROUP; g++) {
        bool there = row0 + g < p.q1;
        lse[g] = there ? a.lse[(row0 + g) * a.heads + p.head] : 0;
        own[g] = there ? delta[(row0 + g) * a.heads + p.head] : 0;
    }
    int64_t end = keys_end(a, p);
    for (int64_t k = p.k0; k < end; k += TILE) {
        load_tiles(keys, values, a.k + p.kv_column, a.ld_kv, a.v + p.kv_column, a.ld_kv, k, p.k1, hd);
        float s[GROUP], dp[GROUP];
        score(s, rows + warp * GROUP * hd, keys, hd);
        score(dp, slopes + warp * GROUP * hd, values, hd);
        for (int g = 0; g < GROUP; g++) {
            bool seen = row0 + g < p.q1 && k + lane < p.k1 && (!a.causal || k + lane - p.k0 <= row0 + g - p.q0);
            s[g] = seen ? expf(s[g] * a.scale - lse[g]) * (dp[g] - own[g]) * a.scale : 0;
        }
        gather_tile(sum, s, keys, hd);
    }
    for (int g = 0; g < GROUP && row0 + g < p.q1; g++)
#pragma unroll
        for (int c = 0; c < COLUMNS; c++)
            if (lane + c * WARP < hd) from_float(&a.d_q[(row0 + g) * a.ld_q + column + lane + c * WARP], sum[g][c]);
}

/* Keys in the rows, queries in the tiles: of all heads that share these keys, one after the other. */
static __global__ void __launch_bounds__(ATTENTION_THREADS) attention_dkv_kernel(struct heads a, const float *delta)
{
    SHARED_FLOATS(shared);
    struct place p = place_of(a, true);
    if (p.first >= p.k1) return;
    int hd = a.head_dim, warp = threadIdx.x / WARP, lane = threadIdx.x % WARP;
    int64_t column = p.kv_column, row0 = p.first + warp * GROUP;
    float *keys = shared, *values = keys + QUERIES * hd, *rows = values + QUERIES * hd,
          *slopes = rows + TILE * (hd + 1);
    load_rows(keys, a.k + column, a.ld_kv, p.first, p.k1, hd);
    load_rows(values, a.v + column, a.ld_kv, p.first, p.k1, hd);
    float sum_k[GROUP][COLUMNS] = {}, sum_v[GROUP][COLUMNS] = {};
    int64_t begin = a.causal ? p.q0 + (p.first - p.k0) / TILE * TILE : p.q0;
    for (int head = p.head * a.group; head < (p.head + 1) * a.group; head++)
        for (int64_t q = begin; q < p.q1; q += TILE) {
            load_tiles(rows, slopes, a.q + head * hd, a.ld_q, a.d_o + head * hd, a.ld_o, q, p.q1, hd);
            bool there = q + lane < p.q1;
            float lse = there ? a.lse[(q + lane) * a.heads + head] : 0,
                  own = there ? delta[(q + lane) * a.heads + head] : 0;
            float s[GROUP], dp[GROUP];
            score(s, keys + warp * GROUP * hd, rows, hd);
            score(dp, values + warp * GROUP * hd, slopes, hd);
            for (int g = 0; g < GROUP; g++) {
                bool seen = there && row0 + g < p.k1 && (!a.causal || row0 + g - p.k0 <= q + lane - p.q0);
                s[g] = seen ? expf(s[g] * a.scale - lse) : 0;
                dp[g] = s[g] * (dp[g] - own) * a.scale;
            }
            gather_tile(sum_v, s, slopes, hd);
            gather_tile(sum_k, dp, rows, hd);
        }
    for (int g = 0; g < GROUP && row0 + g < p.k1; g++)
#pragma unroll
        for (int c = 0; c < COLUMNS; c++)
            if (lane + c * WARP < hd) {
                int64_t at = (row0 + g) * a.ld_kv + column + lane + c * WARP;
                from_float(&a.d_k[at], sum_k[g][c]);
                from_float(&a.d_v[at], sum_v[g][c]);
            }
}

static struct heads heads_of(const struct attention *a, int64_t longest)
{
    struct heads h = {(int)a->heads,
                      (int)(a->heads / a->kv_heads),
                      (int)a->head_dim,
                      (int)divide_up(longest, (int64_t)QUERIES),
                      a->causal,
                      1 / sqrtf((float)a->head_dim),
                      a->q_start,
                      a->k_start,
                      a->q,
                      a->k,
                      a->v,
                      a->o,
                      a->d_o,
                      a->ld_q,
                      a->ld_kv,
                      a->heads * a->head_dim,
                      a->lse,
                      a->o,
                      a->d_q,
                      a->d_k,
                      a->d_v};
    CHECK(a->head_dim <= (int64_t)COLUMNS * WARP, "head dimension %ld", (long)a->head_dim);
    return h;
}

static size_t tiles_bytes(const struct attention *a, int64_t row_sets)
{
    return (size_t)(row_sets * (int64_t)QUERIES * a->head_dim + 2 * TILE * (a->head_dim + 1)) * sizeof(float);
}

static void attention_forward(struct device *d, const struct attention *a)
{
    if (NARROW && cuda_attention_forward(d, a)) return;
    struct heads h = heads_of(a, a->q_longest);
    size_t shared = tiles_bytes(a, 1);
    ALLOW_SHARED(attention_forward_kernel, shared);
    LAUNCH(d, attention_forward_kernel, a->sequences * a->heads * h.q_blocks, ATTENTION_THREADS, shared, h);
}

static void attention_backward(struct device *d, const struct attention *a)
{
    if (NARROW && cuda_attention_backward(d, a)) return;
    struct heads by_query = heads_of(a, a->q_longest), by_key = heads_of(a, a->k_longest);
    size_t shared = tiles_bytes(a, 2);
    int64_t count = a->q_rows * a->heads;
    float *delta = (float *)cuda_scratch(d, (size_t)count * sizeof *delta);
    ALLOW_SHARED(attention_dq_kernel, shared);
    ALLOW_SHARED(attention_dkv_kernel, shared);
    LAUNCH(d, attention_delta_kernel, divide_up(count, WARPS), THREADS, 0, delta, a->d_o, a->o, count,
           (int)a->head_dim);
    LAUNCH(d, attention_dq_kernel, a->sequences * a->heads * by_query.q_blocks, ATTENTION_THREADS, shared, by_query,
           delta);
    LAUNCH(d, attention_dkv_kernel, a->sequences * a->kv_heads * by_key.q_blocks, ATTENTION_THREADS, shared, by_key,
           delta);
}

/* --- attention to cached keys and values --- */

static __global__ void cache_store_kernel(real *cache, const real *x, int64_t ld, const int32_t *slots, int64_t total,
                                          int64_t width)
{
    int64_t at = (int64_t)blockIdx.x * THREADS + threadIdx.x;
    if (at < total) cache[slots[at / width] * width + at % width] = x[at / width * ld + at % width];
}

static void cache_store(struct device *d, real *cache, const real *x, int64_t ld, const int32_t *slots, int64_t rows,
                        int64_t width)
{
    LAUNCH(d, cache_store_kernel, divide_up(rows * width, THREADS), THREADS, 0, cache, x, ld, slots, rows * width,
           width);
}

static __device__ int64_t cached_row(const struct cached_attention &a, int64_t row, int64_t place)
{
    int64_t page = a.tables[a.sequence_of[row] * a.table_pages + place / a.page_rows];
    return (page * a.page_rows + place % a.page_rows) * a.kv_heads * a.head_dim;
}

/* A block a row and head: threads share the keys, then the columns of the output.  Shared: the query, and the scores of
 * all places. */
static __global__ void __launch_bounds__(ATTENTION_THREADS)
    cached_attention_kernel(struct cached_attention a, float scale)
{
    SHARED_FLOATS(shared);
    int hd = (int)a.head_dim;
    int64_t row = blockIdx.x / a.heads, head = blockIdx.x % a.heads, column = head / (a.heads / a.kv_heads) * hd,
            places = a.places[row] + 1;
    const real *q = a.q + row * a.ld + head * hd;
    float *query = shared, *scores = shared + hd, max = -INFINITY, sum = 0;
    __shared__ float maxima[ATTENTION_WARPS], sums[ATTENTION_WARPS];
    for (int i = threadIdx.x; i < hd; i += ATTENTION_THREADS) query[i] = to_float(q[i]) * scale;
    __syncthreads();
    for (int64_t j = threadIdx.x; j < places; j += ATTENTION_THREADS) {
        const real *key = a.keys + cached_row(a, row, j) + column;
        float s = 0;
        for (int i = 0; i < hd; i++) s += query[i] * to_float(key[i]);
        scores[j] = s;
        max = fmaxf(max, s);
    }
    max = warp_max(max);
    if (threadIdx.x % WARP == 0) maxima[threadIdx.x / WARP] = max;
    __syncthreads();
    for (int w = 0; w < ATTENTION_WARPS; w++) max = fmaxf(max, maxima[w]);
    for (int64_t j = threadIdx.x; j < places; j += ATTENTION_THREADS) sum += scores[j] = expf(scores[j] - max);
    sum = warp_sum(sum);
    if (threadIdx.x % WARP == 0) sums[threadIdx.x / WARP] = sum;
    __syncthreads();
    sum = 0;
    for (int w = 0; w < ATTENTION_WARPS; w++) sum += sums[w];
    for (int i = threadIdx.x; i < hd; i += ATTENTION_THREADS) {
        float o = 0;
        for (int64_t j = 0; j < places; j++) o += scores[j] * to_float(a.values[cached_row(a, row, j) + column + i]);
        from_float(&a.o[(row * a.heads + head) * hd + i], o / sum);
    }
}

static void cached_attention(struct device *d, const struct cached_attention *a)
{
    size_t shared = (size_t)(a->head_dim + a->longest) * sizeof(float);
    ALLOW_SHARED(cached_attention_kernel, shared);
    LAUNCH(d, cached_attention_kernel, a->rows * a->heads, ATTENTION_THREADS, shared, *a,
           1 / sqrtf((float)a->head_dim));
}
