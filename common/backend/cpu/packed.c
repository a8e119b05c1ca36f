/* Products with weights that are packed once, for inference: each pass of generating text has few rows for all weights,
 * so packing them again, or reading more bytes than need be, is what it would be bound by.  Rows of the weights stand
 * in blocks of 16, the last filled up with zeros:
 *
 *   float     [out / 16] of [in][16]; a product has the bits of linear_forward
 *   bfloat16  [out / 16] of [in / 2][16][2]: a line of 64 bytes holds two neighbouring columns
 *   int8      [out / 16] of groups of 64 columns (the last may be shorter): [16] float scales, then [64 / 4][16][4]
 *             whole numbers to multiply by them
 *
 * Both widen to floats in registers by shifts and masks of 32 bits, so the arithmetic is that of float.  Rows of x are
 * packed as in gemm.c, in tiles of up to MR, and columns are summed in passes of one length, whatever the number of
 * rows: a row's result does not depend on the others. */
#include "backend/cpu/bf16.h"

enum {
    PACK_OUT = 16,
    PACK_GROUP = 64,
    PACK_FEW = 2 * MR,
    PACK_AHEAD = 2048 /* bytes that are fetched before they are used */
};

/* Bytes of a block up to column k: the first of a pair, of a group, or the end. */
static inline int64_t packed_at(enum packing kind, int64_t k)
{
    if (kind == PACKING_INT8)
        return ((k + PACK_GROUP - 1) / PACK_GROUP * (int64_t)sizeof(float) + (k + 3) / 4 * 4) * PACK_OUT;
    return k * PACK_OUT * (int64_t)(kind == PACKING_FP32 ? sizeof(float) : sizeof(uint16_t));
}

static size_t packed_bytes(enum packing kind, int64_t out, int64_t in)
{
    CHECK(in % 2 == 0 || kind == PACKING_FP32, "%ld columns of packed weights", (long)in);
    return (size_t)((out + PACK_OUT - 1) / PACK_OUT * packed_at(kind, in));
}

/* Columns [k, k + n) of a row as row `lane` of a block's group. */
static void pack_group(uint8_t *group, int64_t lane, const float *row, int64_t n)
{
    float most = 0, unsound = 0;
    for (int64_t i = 0; i < n; i++) {
        most = fmaxf(most, fabsf(row[i]));
        unsound += 0 * row[i]; /* NaN when a weight is none or infinite: then the products are too */
    }
    float scale = most / 127 + unsound;
    memcpy(group + lane * (int64_t)sizeof scale, &scale, sizeof scale);
    int8_t *to = (int8_t *)group + PACK_OUT * sizeof scale;
    for (int64_t i = 0; i < n; i++)
        to[(i / 4 * PACK_OUT + lane) * 4 + i % 4] = (int8_t)(scale > 0 ? lrintf(row[i] / scale) : 0);
}

/* Rows [first, first + count) of the weights; other rows of their blocks are left as they are. */
static void pack_rows(enum packing kind, void *packed, const float *rows, int64_t first, int64_t count, int64_t in)
{
    for (int64_t r = 0; r < count; r++) {
        uint8_t *block = (uint8_t *)packed + (first + r) / PACK_OUT * packed_at(kind, in);
        int64_t lane = (first + r) % PACK_OUT;
        const float *row = rows + r * in;
        if (kind == PACKING_INT8)
            for (int64_t k = 0; k < in; k += PACK_GROUP)
                pack_group(block + packed_at(kind, k), lane, row + k, in - k < PACK_GROUP ? in - k : PACK_GROUP);
        else if (kind == PACKING_FP32)
            for (int64_t i = 0; i < in; i++) ((float *)(void *)block)[i * PACK_OUT + lane] = row[i];
        else
            for (int64_t i = 0; i < in; i++)
                ((uint16_t *)block)[(i / 2 * PACK_OUT + lane) * 2 + i % 2] = bf16_round(row[i]);
    }
}

/* Row `lane` of a block as floats. */
static void unpack_row(enum packing kind, float *out, const uint8_t *block, int64_t lane, int64_t in)
{
    for (int64_t i = 0; kind == PACKING_FP32 && i < in; i++)
        out[i] = ((const float *)(const void *)block)[i * PACK_OUT + lane];
    for (int64_t i = 0; kind == PACKING_BF16 && i < in; i++)
        out[i] = bf16_widen(((const uint16_t *)block)[(i / 2 * PACK_OUT + lane) * 2 + i % 2]);
    for (int64_t i = 0; kind == PACKING_INT8 && i < in; i++) {
        const uint8_t *group = block + packed_at(kind, i / PACK_GROUP * PACK_GROUP);
        float scale;
        memcpy(&scale, group + lane * (int64_t)sizeof scale, sizeof scale);
        const int8_t *from = (const int8_t *)group + PACK_OUT * sizeof scale;
        out[i] = scale * (float)from[(i % PACK_GROUP / 4 * PACK_OUT + lane) * 4 + i % 4];
    }
}

static void embed_packed(struct device *d, float *out, enum packing kind, const void *table, const int32_t *ids,
                         int64_t rows, int64_t width)
{
    (void)d;
    for (int64_t r = 0; r < rows; r++) {
        if (ids[r] < 0)
            memset(out + r * width, 0, (size_t)width * sizeof *out);
        else
            unpack_row(kind, out + r * width, (const uint8_t *)table + ids[r] / PACK_OUT * packed_at(kind, width),
                       ids[r] % PACK_OUT, width);
    }
}

typedef veci veci_unaligned __attribute__((aligned(4), may_alias));

/* Where the weights of one vector of outputs begin: the block at the first column of a pass, and the first of its rows.
 * */
struct lanes {
    const uint8_t *block;
    int64_t first;
};

/* acc += x w over one column: of the first m rows of a panel of x, for NV vectors of outputs. */
static inline __attribute__((always_inline)) void multiply_column(const float *restrict a, const vec w[NV], int m,
                                                                  vec acc[MR][NV])
{
#pragma GCC unroll 16
    for (int i = 0; i < m; i++)
#pragma GCC unroll 2
        for (int j = 0; j < NV; j++) acc[i][j] += a[i] * w[j];
}

static inline __attribute__((always_inline)) void multiply_fp32(const float *restrict a, const struct lanes from[NV],
                                                                int64_t columns, int m, vec acc[MR][NV])
{
    for (int64_t k = 0; k < columns; k++, a += MR) {
        vec w[NV];
        for (int j = 0; j < NV; j++) {
            const uint8_t *line = from[j].block + (k * PACK_OUT + from[j].first) * (int64_t)sizeof(float);
            __builtin_prefetch(line + PACK_AHEAD);
            w[j] = *(const vec_unaligned *)(const void *)line;
        }
        multiply_column(a, w, m, acc);
    }
}

static inline __attribute__((always_inline)) void multiply_bf16(const float *restrict a, const struct lanes from[NV],
                                                                int64_t columns, int m, vec acc[MR][NV])
{
    for (int64_t k = 0; k < columns; k += 2, a += 2 * MR) {
        vec even[NV], odd[NV];
        for (int j = 0; j < NV; j++) {
            const uint8_t *line = from[j].block + (k * PACK_OUT + from[j].first * 2) * (int64_t)sizeof(uint16_t);
            __builtin_prefetch(line + PACK_AHEAD);
            veci bits = *(const veci_unaligned *)(const void *)line;
            even[j] = (vec)(bits << 16);
            odd[j] = (vec)(bits & (int32_t)0xffff0000);
        }
        multiply_column(a, even, m, acc);
        multiply_column(a + MR, odd, m, acc);
    }
}

/* Byte `c` of each lane is the number of column c; as the uppermost byte it reads as 2^24 times that, which scale makes
 * good. */
static inline __attribute__((always_inline)) void multiply_byte(int c, const float *restrict a, const veci bits[NV],
                                                                const vec scale[NV], int m, vec acc[MR][NV])
{
    vec w[NV];
    for (int j = 0; j < NV; j++)
        w[j] = __builtin_convertvector(bits[j] << (24 - 8 * c) & (int32_t)0xff000000, vec) * scale[j];
    multiply_column(a + c * MR, w, m, acc);
}

static inline __attribute__((always_inline)) void multiply_int8(const float *restrict a, const struct lanes from[NV],
                                                                int64_t columns, int m, vec acc[MR][NV])
{
    for (int64_t k = 0; k < columns; k += PACK_GROUP) {
        int64_t n = columns - k < PACK_GROUP ? columns - k : PACK_GROUP;
        const uint8_t *bytes[NV];
        vec scale[NV];
        veci bits[NV];
        for (int j = 0; j < NV; j++) {
            bytes[j] = from[j].block + packed_at(PACKING_INT8, k) + from[j].first * 4;
            scale[j] = *(const vec_unaligned *)(const void *)bytes[j] * 0x1p-24f;
            bytes[j] += PACK_OUT * sizeof(float);
        }
        for (int64_t i = 0; i < n; i += 4, a += 4 * MR) {
            for (int j = 0; j < NV; j++) {
                bits[j] = *(const veci_unaligned *)(const void *)(bytes[j] + i * PACK_OUT);
                __builtin_prefetch(bytes[j] + i * PACK_OUT + PACK_AHEAD);
            }
            multiply_byte(0, a, bits, scale, m, acc);
            multiply_byte(1, a, bits, scale, m, acc);
            if (i + 2 == n) break;
            multiply_byte(2, a, bits, scale, m, acc);
            multiply_byte(3, a, bits, scale, m, acc);
        }
    }
}

/* The product as its threads see it. */
struct packed_product {
    float *y;
    const float *x, *residual;
    enum packing kind;
    const uint8_t *w;
    int64_t rows, in, out, depth; /* depth: columns of a pass, whole pairs or groups */
};

static inline __attribute__((always_inline)) void packed_tile_as(int m, const struct packed_product *p, const float *a,
                                                                 int64_t row, int64_t rows, int64_t panel, int64_t k0)
{
    vec acc[MR][NV];
    struct lanes from[NV];
    int64_t kc = p->in - k0 < p->depth ? p->in - k0 : p->depth;
    bool last = k0 + kc == p->in;
    for (int j = 0; j < NV; j++) {
        int64_t o = panel * NR + j * LANES, block = o / PACK_OUT;
        if (o >= p->out) block = 0; /* beyond the last block: computed and not stored */
        from[j] = (struct lanes){p->w + block * packed_at(p->kind, p->in) + packed_at(p->kind, k0), o % PACK_OUT};
        for (int i = 0; i < m; i++) acc[i][j] = vec_splat(0);
    }
    if (p->kind == PACKING_INT8)
        multiply_int8(a, from, kc, m, acc);
    else if (p->kind == PACKING_FP32)
        multiply_fp32(a, from, kc, m, acc);
    else
        multiply_bf16(a, from, kc, m, acc);
    for (int i = 0; i < rows; i++)
        for (int j = 0; j < NV; j++) {
            int64_t o = panel * NR + j * LANES, at = (row + i) * p->out + o, left = p->out - o;
            if (left <= 0) continue;
            vec v = acc[i][j];
            bool whole = left >= LANES;
            if (k0) v += whole ? vec_load(p->y + at) : vec_load_part(p->y + at, left, 0);
            if (last && p->residual) v += whole ? vec_load(p->residual + at) : vec_load_part(p->residual + at, left, 0);
            if (whole)
                vec_store(p->y + at, v);
            else
                vec_store_part(p->y + at, v, left);
        }
}

/* The same sums in the same order, with less work for few rows. */
static void packed_tile(const struct packed_product *p, const float *a, int64_t row, int64_t rows, int64_t panel,
                        int64_t k0)
{
    if (rows == 1)
        packed_tile_as(1, p, a, row, rows, panel, k0);
    else if (rows == 2)
        packed_tile_as(2, p, a, row, rows, panel, k0);
    else if (rows <= 4)
        packed_tile_as(4, p, a, row, rows, panel, k0);
#if LANES == 16
    else if (rows <= 8)
        packed_tile_as(8, p, a, row, rows, panel, k0);
#endif
    else
        packed_tile_as(MR, p, a, row, rows, panel, k0);
}

/* Rows of a tile, so that a count of rows is cut evenly. */
static int64_t tile_rows(int64_t rows)
{
    int64_t tiles = (rows + MR - 1) / MR;
    return (rows + tiles - 1) / tiles;
}

/* Rows [row, row + rows) and columns [k0, k0 + kc) of x in panels of `tile` rows, each with room for MR. */
static void packed_input(const struct packed_product *p, float *to, int64_t row, int64_t rows, int64_t tile, int64_t k0,
                         int64_t kc)
{
    struct operand x = {.data = p->x, .ld = p->in};
    for (int64_t r = 0; r < rows; r += tile)
        pack(to + r / tile * MR * kc, MR, 1, &x, row + r, rows - r < tile ? rows - r : tile, k0, kc);
}

/* Few rows: all of x is packed once, and weights are read from front to back. */
static void packed_few(struct device *d, const struct packed_product *p)
{
    int64_t tile = tile_rows(p->rows), tiles = (p->rows + tile - 1) / tile, panels = (p->out + NR - 1) / NR;
    device_reserve(d, (size_t)(tiles * MR * p->in + LANES));
    float *packed = d->extra[0];
    for (int64_t k0 = 0; k0 < p->in; k0 += p->depth)
        packed_input(p, packed + k0 * tiles * MR, 0, p->rows, tile, k0, p->in - k0 < p->depth ? p->in - k0 : p->depth);
#pragma omp parallel for num_threads(d->threads) schedule(dynamic, 4)
    for (int64_t panel = 0; panel < panels; panel++)
        for (int64_t r = 0; r < p->rows; r += tile)
            for (int64_t k0 = 0; k0 < p->in; k0 += p->depth) {
                int64_t kc = p->in - k0 < p->depth ? p->in - k0 : p->depth;
                packed_tile(p, packed + k0 * tiles * MR + r / tile * MR * kc, r,
                            p->rows - r < tile ? p->rows - r : tile, panel, k0);
            }
}

/* Many rows: blocks of MC of them stay in the second cache while the panels of outputs, shared by the threads, pass by.
 * */
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
                    for (int64_t r = 0; r < mc; r += MR)
                        packed_tile(p, packed + r * kc, m0 + r, mc - r < MR ? mc - r : MR, panel, k0);
            }
        }
    }
}

/* y [rows, out] = x [rows, in] w^T + residual (NULL: none; not y). */
static void linear_packed(struct device *d, float *y, const float *x, enum packing kind, const void *packed,
                          const float *residual, int64_t rows, int64_t in, int64_t out)
{
    int64_t passes = (in + KC - 1) / KC,
            unit = kind == PACKING_INT8   ? PACK_GROUP
                   : kind == PACKING_BF16 ? 2
                                          : 1,
            depth = ((in + unit - 1) / unit + passes - 1) / passes * unit;
    struct packed_product p = {y, x, residual, kind, packed, rows, in, out, depth};
    if (rows <= PACK_FEW)
        packed_few(d, &p);
    else
        packed_many(d, &p);
}
