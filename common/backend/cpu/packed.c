/* Products with weights in bfloat16, for inference: half the bytes of float, and reading weights is what generating text is bound by.
 *
 *   packed [out / 16][in / 2][16][2]: a line of 64 bytes holds two neighbouring columns of 16 rows of the weights; out and in are filled up with zeros
 *
 * The input is rounded to bfloat16 as well.  Every output is one chain of sums over the columns in order, however many rows are multiplied at
 * once: a row's result does not depend on the others. */
#include "backend/cpu/bf16.h"

enum { PACK_OUT = 16, PACK_ROWS = 8, PACK_DEPTH = 512 }; /* PACK_DEPTH: column pairs of a pass, which stay in the first cache */

static int64_t packed_blocks(int64_t out) { return (out + PACK_OUT - 1) / PACK_OUT; }
static int64_t packed_pairs(int64_t in) { return (in + 1) / 2; }

static size_t packed_bytes(int64_t out, int64_t in)
{
    return (size_t)(packed_blocks(out) * packed_pairs(in)) * PACK_OUT * 2 * sizeof(uint16_t);
}

/* Rows [first, first + count) of the weights; other rows of their blocks are left as they are. */
static void pack_rows(void *packed, const float *rows, int64_t first, int64_t count, int64_t in)
{
    int64_t pairs = packed_pairs(in);
    for (int64_t r = 0; r < count; r++) {
        uint16_t *to = (uint16_t *)packed + (first + r) / PACK_OUT * pairs * PACK_OUT * 2 + (first + r) % PACK_OUT * 2;
        for (int64_t i = 0; i < in; i++) to[i / 2 * PACK_OUT * 2 + i % 2] = bf16_round(rows[r * in + i]);
        if (in % 2) to[in / 2 * PACK_OUT * 2 + 1] = 0;
    }
}

static void unpack_row(float *to, const void *packed, int64_t row, int64_t in)
{
    const uint16_t *from = (const uint16_t *)packed + row / PACK_OUT * packed_pairs(in) * PACK_OUT * 2 + row % PACK_OUT * 2;
    for (int64_t i = 0; i < in; i++) to[i] = bf16_widen(from[i / 2 * PACK_OUT * 2 + i % 2]);
}

static void embed_packed(struct device *d, float *out, const void *table, const int32_t *ids, int64_t rows, int64_t width)
{
    (void)d;
    for (int64_t r = 0; r < rows; r++) {
        if (ids[r] < 0) memset(out + r * width, 0, (size_t)width * sizeof *out);
        else unpack_row(out + r * width, table, ids[r], width);
    }
}

/* One tile: `rows` rows of x (pairs of bfloat16, ld pairs apart) times `blocks` blocks of 16 outputs, `depth` pairs, added to acc. */
typedef float line __attribute__((vector_size(4 * PACK_OUT)));
typedef int32_t line_bits __attribute__((vector_size(4 * PACK_OUT)));
typedef line line_unaligned __attribute__((aligned(4), may_alias));
typedef line_bits bits_unaligned __attribute__((aligned(4), may_alias));

#define PACKED_TILE(name, attributes, multiply)                                                                                             \
    static inline __attribute__((always_inline)) attributes void name(int rows, int blocks, const uint32_t *x, int64_t ld, const uint16_t *w, \
                                                                      int64_t block, int64_t depth, line acc[PACK_ROWS][4])                  \
    {                                                                                                                                       \
        for (int64_t k = 0; k < depth; k++) {                                                                                               \
            line_bits weights[4];                                                                                                           \
            for (int b = 0; b < blocks; b++) weights[b] = *(const bits_unaligned *)(const void *)(w + b * block + k * PACK_OUT * 2);         \
            for (int r = 0; r < rows; r++)                                                                                                  \
                for (int b = 0; b < blocks; b++) acc[r][b] = multiply(acc[r][b], (int32_t)x[r * ld + k], weights[b]);                       \
        }                                                                                                                                   \
    }

static inline line multiply_plain(line acc, int32_t pair, line_bits weights)
{
    line_bits x = pair - (line_bits){0};
    acc += (line)(x << 16) * (line)(weights << 16);
    return acc + (line)(x & (int32_t)0xffff0000) * (line)(weights & (int32_t)0xffff0000);
}
PACKED_TILE(tile_plain, , multiply_plain)

#if defined(__AVX512F__)
#include <immintrin.h>
#define BF16_TARGET __attribute__((target("avx512bf16")))
static inline BF16_TARGET line multiply_bf16(line acc, int32_t pair, line_bits weights)
{
    return (line)_mm512_dpbf16_ps((__m512)acc, (__m512bh)_mm512_set1_epi32(pair), (__m512bh)weights);
}
PACKED_TILE(tile_bf16, BF16_TARGET, multiply_bf16)
#endif

/* x as pairs; the whole of a product, as its threads see it. */
struct packed_product {
    float *y;
    const float *residual;
    const uint32_t *x;
    const uint16_t *w;
    int64_t rows, pairs, out;
};

#define PACKED_CASE(tile, b, r) \
    case b << 4 | r: tile(r, b, x, p->pairs, w, stride, depth, acc); break;
#define PACKED_CASES(tile, b)                                                                                               \
    PACKED_CASE(tile, b, 1) PACKED_CASE(tile, b, 2) PACKED_CASE(tile, b, 3) PACKED_CASE(tile, b, 4) PACKED_CASE(tile, b, 5) \
    PACKED_CASE(tile, b, 6) PACKED_CASE(tile, b, 7) PACKED_CASE(tile, b, 8)
#define PACKED_PANEL(name, tile, attributes)                                                                                                   \
    static attributes void name##_part(const struct packed_product *p, int rows, int blocks, int64_t row, int64_t block, int64_t k0, int64_t depth) \
    {                                                                                                                                          \
        line acc[PACK_ROWS][4];                                                                                                                \
        int64_t stride = p->pairs * PACK_OUT * 2;                                                                                              \
        bool last = k0 + depth == p->pairs;                                                                                                    \
        for (int r = 0; r < rows; r++)                                                                                                         \
            for (int b = 0; b < blocks; b++) acc[r][b] = packed_load(p, row + r, block + b, k0);                                               \
        const uint32_t *x = p->x + row * p->pairs + k0;                                                                                        \
        const uint16_t *w = p->w + block * stride + k0 * PACK_OUT * 2;                                                                         \
        switch (blocks << 4 | rows) {                                                                                                          \
            PACKED_CASES(tile, 1) PACKED_CASES(tile, 2)                                                                                        \
            PACKED_CASE(tile, 4, 1) PACKED_CASE(tile, 4, 2) PACKED_CASE(tile, 4, 3) PACKED_CASE(tile, 4, 4)                                    \
        default: CHECK(0, "a tile of %d rows, %d blocks", rows, blocks);                                                                       \
        }                                                                                                                                      \
        for (int r = 0; r < rows; r++)                                                                                                         \
            for (int b = 0; b < blocks; b++) packed_store(p, row + r, block + b, last, acc[r][b]);                                             \
    }

/* What earlier passes summed. */
static inline line packed_load(const struct packed_product *p, int64_t row, int64_t block, int64_t k0)
{
    line v = {0};
    const float *from = p->y + row * p->out + block * PACK_OUT;
    int64_t left = p->out - block * PACK_OUT;
    if (k0 == 0) return v;
    if (left >= PACK_OUT) return *(const line_unaligned *)from;
    for (int64_t i = 0; i < left; i++) v[i] = from[i];
    return v;
}

static inline void packed_store(const struct packed_product *p, int64_t row, int64_t block, bool last, line v)
{
    int64_t at = row * p->out + block * PACK_OUT, left = p->out - block * PACK_OUT;
    for (int64_t i = 0; i < PACK_OUT && i < left; i++) p->y[at + i] = v[i] + (last && p->residual ? p->residual[at + i] : 0);
}

PACKED_PANEL(panel_plain, tile_plain, )
#if defined(__AVX512F__)
PACKED_PANEL(panel_bf16, tile_bf16, BF16_TARGET)
#endif

typedef void packed_part(const struct packed_product *p, int rows, int blocks, int64_t row, int64_t block, int64_t k0, int64_t depth);

static packed_part *packed_choice(void)
{
#if defined(__AVX512F__)
    if (__builtin_cpu_supports("avx512bf16")) return panel_bf16_part;
#endif
    return panel_plain_part;
}

/* All rows of some blocks of outputs: 1, 2, or 4 of them. */
static void packed_columns(const struct packed_product *p, packed_part *part, int64_t block, int blocks)
{
    int64_t depth = p->rows <= 4 ? p->pairs : PACK_DEPTH;
    int most = blocks == 4 ? 4 : PACK_ROWS;
    for (int64_t k0 = 0; k0 < p->pairs; k0 += depth) {
        int64_t n = p->pairs - k0 < depth ? p->pairs - k0 : depth;
        for (int64_t row = 0; row < p->rows; row += most) part(p, p->rows - row < most ? (int)(p->rows - row) : most, blocks, row, block, k0, n);
    }
}

/* y [rows, out] = x [rows, in] w^T + residual (NULL: none; may be y). */
static void linear_packed(struct device *d, float *y, const float *x, const void *packed, const float *residual, int64_t rows, int64_t in, int64_t out)
{
    int64_t pairs = packed_pairs(in), blocks = packed_blocks(out);
    device_reserve(d, (size_t)(rows * pairs));
    uint32_t *narrow = (uint32_t *)(void *)d->extra[0];
#pragma omp parallel for num_threads(d->threads) schedule(static) if (rows > 16)
    for (int64_t r = 0; r < rows; r++) bf16_pairs(narrow + r * pairs, x + r * in, in);
    struct packed_product p = {y, residual, narrow, packed, rows, pairs, out};
    packed_part *part = packed_choice();
    int64_t group = rows <= 4 ? 4 : 2, groups = (blocks + group - 1) / group;
#pragma omp parallel for num_threads(d->threads) schedule(dynamic, 8)
    for (int64_t g = 0; g < groups; g++) {
        int64_t block = g * group, end = block + group < blocks ? block + group : blocks;
        for (int64_t n; block < end; block += n) {
            for (n = group; n > end - block;) n /= 2;
            packed_columns(&p, part, block, (int)n);
        }
    }
}
