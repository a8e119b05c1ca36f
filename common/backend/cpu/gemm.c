/* Matrix product with fused preparation of its operands and of its result: the heart of the CPU backend.
 *
 *   C[m, n] = epilogue( sum_k A(m, k) B(k, n) )
 *
 * The scheme of Goto and van de Geijn: B is packed in panels of NR columns, A in panels of MR rows, both k-major, and a
 * register kernel multiplies one A panel by one B panel.
 *
 *        n ->  NR NR NR            for each KC of k:  pack B (shared), then blocks of MC rows go to the threads
 *      k  [ B | B | B ]            packing applies layer norm or GELU on the way, so neither is ever stored
 *   m [A]  C   C   C               the last KC adds bias and residual, or multiplies by the slope of GELU
 *
 * An element of C is always the sum over k in the same order, whatever block, edge or thread it falls in: results
 * do not depend on the number of threads nor on how rows are cut into calls. */

#if LANES == 16
enum { MR = 14, NR = 32 };
#elif LANES == 8
enum { MR = 6, NR = 16 };
#else
enum { MR = 4, NR = 8 };
#endif
enum { NV = NR / LANES, KC = 384, MC = MR * (112 / MR), NC = NR * (3072 / NR) };

static size_t gemm_scratch_floats(void)
{
    return (size_t)(MC + MR) * KC + (size_t)(NC + NR) * KC + 64;
}

/* One operand as it lies in memory: rows x cols, row-major.  k runs over the columns unless k_rows. */
struct operand {
    const float *data;
    int64_t ld;
    int k_rows; /* k runs over the rows: A given as [k, m], B given as [k, n] */
    enum prepare { PLAIN, GELU, NORM, GATHER } prepare;
    const float *mean, *rstd;   /* [rows], for NORM */
    const float *scale, *shift; /* [cols], for NORM */
    /* for GATHER: the matrix is pieces of `piece` columns side by side; row r of piece p is row gathered[p * lines + r]
     * of data, -1: zeros.  With k_rows there is but one piece. */
    const int32_t *gathered;
    int64_t lines, piece;
};

struct epilogue {
    int accumulate;        /* add to what C holds */
    const float *bias;     /* [n] or NULL */
    const float *residual; /* [m, n] with C's leading dimension, or NULL; may be C */
    const float *gate;     /* [m, n] with C's leading dimension, or NULL: C *= GELU'(gate) */
};

/* x of (row, col ...) prepared; n < LANES: only the first n columns exist. */
static inline __attribute__((always_inline)) vec prepare_load(const struct operand *op, enum prepare kind, int64_t row,
                                                              int64_t col, int64_t n)
{
    static const float zeros[LANES];
    const float *at = op->data + row * op->ld + col;
    if (kind == GATHER) at = op->gathered[row] < 0 ? zeros : op->data + op->gathered[row] * op->ld + col;
    vec x = n < LANES ? vec_load_part(at, n, 0) : vec_load(at);
    if (kind == GELU) return vec_gelu(x);
    if (kind == PLAIN || kind == GATHER) return x;
    vec scale = n < LANES ? vec_load_part(op->scale + col, n, 0) : vec_load(op->scale + col);
    vec shift = n < LANES ? vec_load_part(op->shift + col, n, 0) : vec_load(op->shift + col);
    return (x - op->mean[row]) * op->rstd[row] * scale + shift;
}

/* Interleave the low (high) halves: the step of a perfect-shuffle transpose. */
#if LANES == 16
#define ZIP(a, b, o) \
    __builtin_shufflevector(a, b, o + 0, o + 16, o + 1, o + 17, o + 2, o + 18, o + 3, o + 19, o + 4, o + 20, o + 5, \
                            o + 21, o + 6, o + 22, o + 7, o + 23)
#elif LANES == 8
#define ZIP(a, b, o) __builtin_shufflevector(a, b, o + 0, o + 8, o + 1, o + 9, o + 2, o + 10, o + 3, o + 11)
#else
#define ZIP(a, b, o) __builtin_shufflevector(a, b, o + 0, o + 4, o + 1, o + 5)
#endif

static inline __attribute__((always_inline)) void transpose(vec v[LANES])
{
#pragma GCC unroll 4
    for (int step = 1; step < LANES; step *= 2) {
        vec w[LANES];
#pragma GCC unroll 16
        for (int i = 0; i < LANES / 2; i++) {
            w[2 * i] = ZIP(v[i], v[i + LANES / 2], 0);
            w[2 * i + 1] = ZIP(v[i], v[i + LANES / 2], LANES / 2);
        }
#pragma GCC unroll 16
        for (int i = 0; i < LANES; i++) v[i] = w[i];
    }
}

/* One k of all panels when k runs over rows: a row of the operand is read once, from left to right.  part: the last
 * store of a panel must not reach into the next one. */
static inline __attribute__((always_inline)) void pack_row(float *to, int width, int64_t panel, int64_t panels,
                                                           const struct operand *op, enum prepare kind, int64_t k,
                                                           int64_t line0, int64_t rest, int part)
{
    for (int64_t p = 0; p < panels; p++, to += panel, line0 += width, rest -= width)
        for (int c = 0; c < width; c += LANES) {
            int64_t n = rest - c;
            vec v = n >= LANES ? prepare_load(op, kind, k, line0 + c, LANES)
                    : n > 0    ? prepare_load(op, kind, k, line0 + c, n)
                               : vec_splat(0);
            for (int64_t i = n < 0 ? 0 : n; i < LANES; i++) v[i] = 0; /* preparing turns padding into numbers */
            if (part && width - c < LANES)
                vec_store_part(to + c, v, width - c);
            else
                vec_store(to + c, v);
        }
}

/* One panel when k runs over columns: blocks of LANES x LANES are transposed. */
static inline __attribute__((always_inline)) void pack_lines(float *to, int width, const struct operand *op,
                                                             enum prepare kind, int64_t line0, int64_t rest, int64_t k0,
                                                             int64_t kc)
{
    for (int c = 0; c < width; c += LANES) {
        int whole = width - c < LANES ? width - c : LANES, lines = whole;
        if (rest - c < lines) lines = rest > c ? (int)(rest - c) : 0;
        for (int64_t k = 0; k < kc; k += LANES) {
            int64_t n = kc - k < LANES ? kc - k : LANES;
            vec v[LANES];
            if (n == LANES && lines == whole) {
#pragma GCC unroll 16
                for (int i = 0; i < LANES; i++)
                    v[i] = i < MR || width == NR ? prepare_load(op, kind, line0 + c + i, k0 + k, LANES) : vec_splat(0);
            } else {
#pragma GCC unroll 1
                for (int i = 0; i < LANES; i++)
                    v[i] = i < lines ? prepare_load(op, kind, line0 + c + i, k0 + k, n) : vec_splat(0);
            }
            transpose(v);
            if (n == LANES) {
#pragma GCC unroll 16
                for (int64_t i = 0; i < LANES; i++) vec_store(to + (k + i) * width + c, v[i]);
            } else
                for (int64_t i = 0; i < n; i++) vec_store(to + (k + i) * width + c, v[i]);
        }
    }
}

/* `panels` panels of `width` lines from line0 on, kc deep: to[(panel * kc + k) * width + line].  `rest` lines exist;
 * those missing are zero. Writes up to LANES - 1 floats past the end, and past each k, where the next k overwrites
 * them. */
static inline __attribute__((always_inline)) void pack_as(float *to, int width, int64_t panels,
                                                          const struct operand *op, enum prepare kind, int64_t line0,
                                                          int64_t rest, int64_t k0, int64_t kc)
{
    _Static_assert((MR % LANES == 0 || MR < LANES) && NR % LANES == 0, "see above");
    if (op->k_rows) {
        for (int64_t k = 0; k + 1 < kc; k++)
            pack_row(to + k * width, width, width * kc, panels, op, kind, k0 + k, line0, rest, 0);
        if (kc) pack_row(to + (kc - 1) * width, width, width * kc, panels, op, kind, k0 + kc - 1, line0, rest, 1);
        return;
    }
    for (int64_t p = 0; p < panels; p++) {
        if (kind != GATHER) {
            pack_lines(to + p * width * kc, width, op, kind, line0 + p * width, rest - p * width, k0, kc);
            continue;
        }
        for (int64_t k = 0, n; k < kc; k += n) { /* piece by piece */
            int64_t piece = (k0 + k) / op->piece, col = (k0 + k) % op->piece;
            struct operand part = *op;
            part.gathered += piece * op->lines;
            n = op->piece - col < kc - k ? op->piece - col : kc - k;
            pack_lines(to + (p * kc + k) * width, width, &part, kind, line0 + p * width, rest - p * width, col, n);
        }
    }
}

static __attribute__((noinline)) void pack(float *to, int width, int64_t panels, const struct operand *op,
                                           int64_t line0, int64_t rest, int64_t k0, int64_t kc)
{
    if (op->prepare == PLAIN) {
        if (width == MR)
            pack_as(to, MR, panels, op, PLAIN, line0, rest, k0, kc);
        else
            pack_as(to, NR, panels, op, PLAIN, line0, rest, k0, kc);
    } else if (op->prepare == GATHER) {
        if (width == MR)
            pack_as(to, MR, panels, op, GATHER, line0, rest, k0, kc);
        else
            pack_as(to, NR, panels, op, GATHER, line0, rest, k0, kc);
    } else if (op->prepare == NORM) {
        if (width == MR)
            pack_as(to, MR, panels, op, NORM, line0, rest, k0, kc);
        else
            pack_as(to, NR, panels, op, NORM, line0, rest, k0, kc);
    } else {
        if (width == MR)
            pack_as(to, MR, panels, op, GELU, line0, rest, k0, kc);
        else
            pack_as(to, NR, panels, op, GELU, line0, rest, k0, kc);
    }
}

/* acc = sum over kc of the first m lines of an A panel times the first nv vectors of a B panel, kept in registers. */
static inline __attribute__((always_inline)) void multiply_panels(const float *restrict a, const float *restrict b,
                                                                  int64_t kc, int m, int nv, vec acc[MR][NV])
{
    for (int i = 0; i < m; i++)
        for (int j = 0; j < nv; j++) acc[i][j] = vec_splat(0);
    for (int64_t k = 0; k < kc; k++, a += MR, b += NR) {
        vec row[NV];
        for (int j = 0; j < nv; j++) row[j] = vec_load(b + j * LANES);
#pragma GCC unroll 16
        for (int i = 0; i < m; i++)
#pragma GCC unroll 2
            for (int j = 0; j < nv; j++) acc[i][j] += a[i] * row[j];
    }
}

static inline vec finish(vec v, const struct epilogue *e, const float *bias, const float *residual, const float *gate)
{
    if (e->bias) v += vec_load(bias);
    if (e->residual) v += vec_load(residual);
    if (e->gate) v *= vec_gelu_slope(vec_load(gate));
    return v;
}

/* Multiply one pair of panels into the rows x cols corner of C at (m, n); rows <= mr, cols <= nv * LANES. */
static inline __attribute__((always_inline)) void tile_as(int mr, int nv, const float *a, const float *b, int64_t kc,
                                                          float *c, int64_t ldc, int64_t m, int64_t n, int64_t rows,
                                                          int64_t cols, int add, const struct epilogue *e)
{
    vec acc[MR][NV];
    multiply_panels(a, b, kc, mr, nv, acc);
    for (int i = 0; i < rows; i++)
        for (int j = 0; j < nv; j++) {
            int64_t at = (m + i) * ldc + n + j * LANES, left = cols - j * LANES;
            if (left <= 0) continue;
            if (left >= LANES) {
                vec v = acc[i][j];
                if (add) v += vec_load(c + at);
                if (e) v = finish(v, e, e->bias + n + j * LANES, e->residual + at, e->gate + at);
                vec_store(c + at, v);
                continue;
            }
            vec v = acc[i][j];
            if (add) v += vec_load_part(c + at, left, 0);
            if (e && e->bias) v += vec_load_part(e->bias + n + j * LANES, left, 0);
            if (e && e->residual) v += vec_load_part(e->residual + at, left, 0);
            if (e && e->gate) v *= vec_gelu_slope(vec_load_part(e->gate + at, left, 0));
            vec_store_part(c + at, v, left);
        }
}

/* The same sums in the same order, with less work at the edges. */
static void tile(const float *a, const float *b, int64_t kc, float *c, int64_t ldc, int64_t m, int64_t n, int64_t rows,
                 int64_t cols, int add, const struct epilogue *e)
{
    enum { FEW = MR > 4 ? 4 : MR };
    if (rows > FEW && cols > LANES)
        tile_as(MR, NV, a, b, kc, c, ldc, m, n, rows, cols, add, e);
    else if (rows > FEW)
        tile_as(MR, 1, a, b, kc, c, ldc, m, n, rows, cols, add, e);
    else if (cols > LANES)
        tile_as(FEW, NV, a, b, kc, c, ldc, m, n, rows, cols, add, e);
    else
        tile_as(FEW, 1, a, b, kc, c, ldc, m, n, rows, cols, add, e);
}

/* scratch[t] is thread t's packing space of gemm_scratch_floats(); with threads 1 everything runs in the caller. */
static void gemm(float *const *scratch, int threads, int64_t M, int64_t N, int64_t K, const struct operand *A,
                 const struct operand *B, float *C, int64_t ldc, struct epilogue e)
{
    if (M <= 0 || N <= 0) return;
    float *packed_b = scratch[0] + (MC + MR) * KC;
    int64_t passes = K > 0 ? (K + KC - 1) / KC : 1, depth = (K + passes - 1) / passes;
    int64_t block = MC;
    while (block > MR && (M + block - 1) / block < 3 * threads && threads > 1) block -= MR;
    for (int64_t n0 = 0; n0 < N; n0 += NC) {
        int64_t nc = N - n0 < NC ? N - n0 : NC, panels = (nc + NR - 1) / NR;
        for (int64_t pass = 0; pass < passes; pass++) {
            int64_t k0 = pass * depth, kc = K - k0 < depth ? K - k0 : depth;
            int add = e.accumulate || pass > 0;
            const struct epilogue *last = pass == passes - 1 && (e.bias || e.residual || e.gate) ? &e : NULL;
            int64_t share = (panels + 4 * threads - 1) / (4 * threads);
#pragma omp parallel for num_threads(threads) schedule(dynamic, 1) if (threads > 1)
            for (int64_t p = 0; p < panels; p += share)
                pack(packed_b + p * NR * kc, NR, panels - p < share ? panels - p : share, B, n0 + p * NR,
                     N - n0 - p * NR, k0, kc);
#pragma omp parallel for num_threads(threads) schedule(dynamic, 1) if (threads > 1)
            for (int64_t m0 = 0; m0 < M; m0 += block) {
                float *packed_a = threads > 1 ? scratch[omp_get_thread_num()] : scratch[0];
                int64_t mc = M - m0 < block ? M - m0 : block;
                pack(packed_a, MR, (mc + MR - 1) / MR, A, m0, M - m0, k0, kc);
                for (int64_t p = 0; p < panels; p++)
                    for (int64_t i = 0; i < mc; i += MR)
                        tile(packed_a + i * kc, packed_b + p * NR * kc, kc, C, ldc, m0 + i, n0 + p * NR,
                             mc - i < MR ? mc - i : MR, nc - p * NR < NR ? nc - p * NR : NR, add, last);
            }
        }
    }
}
