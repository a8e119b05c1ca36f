/* Products with weights in bfloat16, for inference: half the bytes of float, and reading weights is what generating text is bound by.
 *
 *   packed [out / 16][in / 2][16][2]: a line of 64 bytes holds two neighbouring columns of 16 rows of the weights; the last block is filled up with zeros
 *
 * A line widens to floats by a shift and a mask, so the arithmetic is that of float.  Rows of x are packed as in gemm.c, in tiles of up to MR, and columns are summed in
 * passes of one length, whatever the number of rows: a row's result does not depend on the others. */
#include "backend/cpu/bf16.h"

enum { PACK_OUT = 16, PACK_FEW = 2 * MR };

static int64_t packed_blocks(int64_t out) { return (out + PACK_OUT - 1) / PACK_OUT; }

static size_t packed_bytes(int64_t out, int64_t in)
{
    CHECK(in % 2 == 0, "%ld columns of packed weights", (long)in);
    return (size_t)(packed_blocks(out) * in * PACK_OUT) * sizeof(uint16_t);
}

/* Rows [first, first + count) of the weights; other rows of their blocks are left as they are. */
static void pack_rows(void *packed, const float *rows, int64_t first, int64_t count, int64_t in)
{
    for (int64_t r = 0; r < count; r++) {
        uint16_t *to = (uint16_t *)packed + (first + r) / PACK_OUT * in * PACK_OUT + (first + r) % PACK_OUT * 2;
        for (int64_t i = 0; i < in; i++) to[i / 2 * PACK_OUT * 2 + i % 2] = bf16_round(rows[r * in + i]);
    }
}

static void embed_packed(struct device *d, float *out, const void *table, const int32_t *ids, int64_t rows, int64_t width)
{
    (void)d;
    for (int64_t r = 0; r < rows; r++) {
        const uint16_t *from = (const uint16_t *)table + ids[r] / PACK_OUT * width * PACK_OUT + ids[r] % PACK_OUT * 2;
        for (int64_t i = 0; i < width; i++) out[r * width + i] = ids[r] < 0 ? 0 : bf16_widen(from[i / 2 * PACK_OUT * 2 + i % 2]);
    }
}

typedef veci veci_unaligned __attribute__((aligned(4), may_alias));

/* acc = sum over `pairs` pairs of columns of the first m rows of a panel of x times nv vectors of outputs; w[j]: where vector j begins. */
static inline __attribute__((always_inline)) void multiply_packed(const float *restrict a, const uint16_t *const w[NV], int64_t pairs, int m, int nv, vec acc[MR][NV])
{
    for (int i = 0; i < m; i++)
        for (int j = 0; j < nv; j++) acc[i][j] = vec_splat(0);
    for (int64_t k = 0; k < pairs; k++, a += 2 * MR) {
        vec even[NV], odd[NV];
        for (int j = 0; j < nv; j++) {
            veci bits = *(const veci_unaligned *)(const void *)(w[j] + k * PACK_OUT * 2);
            even[j] = (vec)(bits << 16);
            odd[j] = (vec)(bits & (int32_t)0xffff0000);
        }
#pragma GCC unroll 16
        for (int i = 0; i < m; i++)
#pragma GCC unroll 2
            for (int j = 0; j < nv; j++) acc[i][j] += a[i] * even[j];
#pragma GCC unroll 16
        for (int i = 0; i < m; i++)
#pragma GCC unroll 2
            for (int j = 0; j < nv; j++) acc[i][j] += a[MR + i] * odd[j];
    }
}

/* The product as its threads see it. */
struct packed_product {
    float *y;
    const float *x, *residual;
    const uint16_t *w;
    int64_t rows, in, out, depth; /* depth: columns of a pass, even */
};

static inline __attribute__((always_inline)) void packed_tile_as(int m, const struct packed_product *p, const float *a, int64_t row, int64_t rows, int64_t panel, int64_t k0)
{
    vec acc[MR][NV];
    const uint16_t *w[NV];
    int64_t kc = p->in - k0 < p->depth ? p->in - k0 : p->depth;
    bool last = k0 + kc == p->in;
    for (int j = 0; j < NV; j++) {
        int64_t o = panel * NR + j * LANES, block = o / PACK_OUT;
        if (o >= p->out) block = 0; /* beyond the last block: computed and not stored */
        w[j] = p->w + block * p->in * PACK_OUT + o % PACK_OUT * 2 + k0 * PACK_OUT;
    }
    multiply_packed(a, w, kc / 2, m, NV, acc);
    for (int i = 0; i < rows; i++)
        for (int j = 0; j < NV; j++) {
            int64_t o = panel * NR + j * LANES, at = (row + i) * p->out + o, left = p->out - o;
            if (left <= 0) continue;
            vec v = acc[i][j];
            bool whole = left >= LANES;
            if (k0) v += whole ? vec_load(p->y + at) : vec_load_part(p->y + at, left, 0);
            if (last && p->residual) v += whole ? vec_load(p->residual + at) : vec_load_part(p->residual + at, left, 0);
            if (whole) vec_store(p->y + at, v);
            else vec_store_part(p->y + at, v, left);
        }
}

/* The same sums in the same order, with less work for few rows. */
static void packed_tile(const struct packed_product *p, const float *a, int64_t row, int64_t rows, int64_t panel, int64_t k0)
{
    if (rows == 1) packed_tile_as(1, p, a, row, rows, panel, k0);
    else if (rows == 2) packed_tile_as(2, p, a, row, rows, panel, k0);
    else if (rows <= 4) packed_tile_as(4, p, a, row, rows, panel, k0);
#if LANES == 16
    else if (rows <= 8) packed_tile_as(8, p, a, row, rows, panel, k0);
#endif
    else packed_tile_as(MR, p, a, row, rows, panel, k0);
}

/* Rows of a tile, so that a count of rows is cut evenly. */
static int64_t tile_rows(int64_t rows)
{
    int64_t tiles = (rows + MR - 1) / MR;
    return (rows + tiles - 1) / tiles;
}

/* Rows [row, row + rows) and columns [k0, k0 + kc) of x in panels of `tile` rows, each with room for MR. */
static void packed_input(const struct packed_product *p, float *to, int64_t row, int64_t rows, int64_t tile, int64_t k0, int64_t kc)
{
    struct operand x = {.data = p->x, .ld = p->in};
    for (int64_t r = 0; r < rows; r += tile) pack(to + r / tile * MR * kc, MR, 1, &x, row + r, rows - r < tile ? rows - r : tile, k0, kc);
}

/* Few rows: all of x is packed once, and weights are read from front to back. */
static void packed_few(struct device *d, const struct packed_product *p)
{
    int64_t tile = tile_rows(p->rows), tiles = (p->rows + tile - 1) / tile, panels = (p->out + NR - 1) / NR;
    device_reserve(d, (size_t)(tiles * MR * p->in + LANES));
    float *packed = d->extra[0];
    for (int64_t k0 = 0; k0 < p->in; k0 += p->depth) packed_input(p, packed + k0 * tiles * MR, 0, p->rows, tile, k0, p->in - k0 < p->depth ? p->in - k0 : p->depth);
#pragma omp parallel for num_threads(d->threads) schedule(dynamic, 4)
    for (int64_t panel = 0; panel < panels; panel++)
        for (int64_t r = 0; r < p->rows; r += tile)
            for (int64_t k0 = 0; k0 < p->in; k0 += p->depth) {
                int64_t kc = p->in - k0 < p->depth ? p->in - k0 : p->depth;
                packed_tile(p, packed + k0 * tiles * MR + r / tile * MR * kc, r, p->rows - r < tile ? p->rows - r : tile, panel, k0);
            }
}

/* Many rows: blocks of MC of them stay in the second cache while the panels of outputs, shared by the threads, pass by. */
static void packed_many(struct device *d, const struct packed_product *p)
{
    int64_t panels = (p->out + NR - 1) / NR;
    for (int64_t k0 = 0; k0 < p->in; k0 += p->depth) {
        int64_t kc = p->in - k0 < p->depth ? p->in - k0 : p->depth;
        for (int64_t m0 = 0; m0 < p->rows; m0 += MC) {
            int64_t mc = p->rows - m0 < MC ? p->rows - m0 : MC;
#pragma omp parallel num_threads(d->threads)
            {
                float *packed = d->scratch[omp_get_thread_num()];
                packed_input(p, packed, m0, mc, MR, k0, kc);
#pragma omp for schedule(dynamic, 2)
                for (int64_t panel = 0; panel < panels; panel++)
                    for (int64_t r = 0; r < mc; r += MR) packed_tile(p, packed + r * kc, m0 + r, mc - r < MR ? mc - r : MR, panel, k0);
            }
        }
    }
}

/* y [rows, out] = x [rows, in] w^T + residual (NULL: none; not y). */
static void linear_packed(struct device *d, float *y, const float *x, const void *packed, const float *residual, int64_t rows, int64_t in, int64_t out)
{
    int64_t passes = (in + KC - 1) / KC, depth = (in / 2 + passes - 1) / passes * 2;
    struct packed_product p = {y, x, residual, packed, rows, in, out, depth};
    if (rows <= PACK_FEW) packed_few(d, &p);
    else packed_many(d, &p);
}
