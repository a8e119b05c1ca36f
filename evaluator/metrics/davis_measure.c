/* J and F by bits: a row of an object is a string of words, 64 pixels each, so what a disk reaches is a few shifts and
 * ORs of whole rows. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "evaluator/metrics/davis.h"

/* Bit x % 64 of word x / 64 of row y is pixel (y, x); bits beyond the width are 0 (but in what is dilated). */
struct bitmap {
    int height, width;
    int64_t words; /* of a row */
    uint64_t *bits;
};

static struct bitmap bitmap_open(int height, int width)
{
    int64_t words = (width + 63) / 64;
    return (struct bitmap){height, width, words, mem_zalloc((size_t)(words * height) + 1, sizeof(uint64_t))};
}

static uint64_t *row_of(const struct bitmap *b, int y)
{
    return b->bits + y * b->words;
}

static struct bitmap object_of(const uint16_t *labels, int height, int width, int id)
{
    struct bitmap out = bitmap_open(height, width);
    for (int y = 0; y < height; y++) {
        const uint16_t *row = labels + (size_t)y * (size_t)width;
        for (int64_t k = 0; k < out.words; k++) {
            int n = width - 64 * k < 64 ? (int)(width - 64 * k) : 64;
            uint64_t word = 0;
            for (int x = 0; x < n; x++) word |= (uint64_t)(row[64 * k + x] == id) << x;
            row_of(&out, y)[k] = word;
        }
    }
    return out;
}

/* Word k of the row moved left by n pixels (towards x = 0; n < 0: right). */
static uint64_t moved(const uint64_t *row, int64_t words, int64_t k, int n)
{
    int64_t at = k + (n >= 0 ? n / 64 : -((-n + 63) / 64));
    int by = (int)(n - (at - k) * 64);
    uint64_t low = at >= 0 && at < words ? row[at] : 0, high = at + 1 >= 0 && at + 1 < words ? row[at + 1] : 0;
    return by ? low >> by | high << (64 - by) : low;
}

static struct bitmap outline_of(const struct bitmap *m)
{
    struct bitmap out = bitmap_open(m->height, m->width);
    int64_t last = (m->width - 1) / 64;
    uint64_t end = (uint64_t)1 << (m->width - 1) % 64; /* the last column */
    for (int y = 0; y < m->height; y++) {
        const uint64_t *row = row_of(m, y), *below = y + 1 < m->height ? row_of(m, y + 1) : NULL;
        uint64_t *edge = row_of(&out, y);
        for (int64_t k = 0; k < m->words; k++) {
            edge[k] = row[k] ^ moved(row, m->words, k, 1);
            if (below) edge[k] |= (row[k] ^ below[k]) | (row[k] ^ moved(below, m->words, k, 1));
        }
        uint64_t corner = below ? row[last] ^ below[last] : 0;
        edge[last] = (edge[last] & ~end) | (corner & end);
    }
    return out;
}

static int64_t count_bits(const struct bitmap *b)
{
    int64_t count = 0;
    for (int64_t i = 0; i < b->words * b->height; i++) count += __builtin_popcountll(b->bits[i]);
    return count;
}

static int64_t count_common(const struct bitmap *a, const struct bitmap *b)
{
    int64_t count = 0;
    for (int64_t i = 0; i < a->words * a->height; i++) count += __builtin_popcountll(a->bits[i] & b->bits[i]);
    return count;
}

static void or_rows(struct bitmap *out, int to, const struct bitmap *from, int y)
{
    if (to < 0 || to >= out->height) return;
    for (int64_t k = 0; k < out->words; k++) row_of(out, to)[k] |= row_of(from, y)[k];
}

/* All pixels within Euclidean distance r of one of b.  A row dy away is reached by what it has within
 * sqrt(r^2 - dy^2): from dy = r down, `wide` grows to that width. */
static struct bitmap dilated(const struct bitmap *b, int r)
{
    struct bitmap out = bitmap_open(b->height, b->width), wide = bitmap_open(b->height, b->width);
    memcpy(wide.bits, b->bits, (size_t)(b->words * b->height) * sizeof *b->bits);
    for (int dy = r, width = 0; dy >= 0; dy--) {
        for (; (width + 1) * (width + 1) + dy * dy <= r * r; width++)
            for (int y = 0; y < b->height; y++)
                for (int64_t k = 0; k < b->words; k++)
                    row_of(&wide, y)[k] |=
                        moved(row_of(b, y), b->words, k, width + 1) | moved(row_of(b, y), b->words, k, -width - 1);
        for (int y = 0; y < b->height; y++) {
            or_rows(&out, y + dy, &wide, y);
            if (dy) or_rows(&out, y - dy, &wide, y);
        }
    }
    free(wide.bits);
    return out;
}

static double region(const struct bitmap *truth, const struct bitmap *predicted)
{
    int64_t common = count_common(truth, predicted), all = count_bits(truth) + count_bits(predicted) - common;
    return all ? (double)common / (double)all : 1;
}

static double outline(const struct bitmap *truth, const struct bitmap *predicted)
{
    int radius = (int)ceil(.008 * sqrt((double)truth->height * truth->height + (double)truth->width * truth->width));
    struct bitmap t = outline_of(truth), p = outline_of(predicted);
    int64_t of_truth = count_bits(&t), of_predicted = count_bits(&p);
    double f = of_truth == 0 && of_predicted == 0;
    if (of_truth && of_predicted) {
        struct bitmap around_t = dilated(&t, radius), around_p = dilated(&p, radius);
        double precision = (double)count_common(&p, &around_t) / (double)of_predicted,
               recall = (double)count_common(&t, &around_p) / (double)of_truth;
        if (precision + recall > 0) f = 2 * precision * recall / (precision + recall);
        free(around_t.bits);
        free(around_p.bits);
    }
    free(t.bits);
    free(p.bits);
    return f;
}

struct davis_measure davis_measure(const uint16_t *truth, const uint16_t *predicted, int height, int width, int id)
{
    struct bitmap t = object_of(truth, height, width, id), p = object_of(predicted, height, width, id);
    struct davis_measure out = {region(&t, &p), outline(&t, &p)};
    free(t.bits);
    free(p.bits);
    return out;
}

static double mean_of(const double *values, int64_t from, int64_t to)
{
    double sum = 0;
    for (int64_t i = from; i < to; i++) sum += values[i];
    return sum / (double)(to - from);
}

struct davis_statistics davis_statistics(const double *values, int64_t count)
{
    int64_t above = 0, first = (count + 1) / 4, last = (3 * (count - 1) + 2) / 4; /* i (count - 1) / 4, halves up */
    for (int64_t i = 0; i < count; i++) above += values[i] > .5;
    return (struct davis_statistics){mean_of(values, 0, count), (double)above / (double)count,
                                     mean_of(values, 0, first + 1) - mean_of(values, last, count)};
}
