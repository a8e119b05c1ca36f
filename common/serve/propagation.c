/* Products by bands of lines, and the choice among them. */
#include "serve/propagation.h"

#include <math.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "data/wide.h"

#define AT(field) offsetof(struct propagation_settings, field)
/* clang-format off */
const struct option propagation_options[] = {
    {OPTION_INT, "memory", AT(memory), "7", 0, 1000, NULL, "frames before this one whose labels are asked, beside the first frame"},
    {OPTION_INT, "radius", AT(radius), "12", 0, 100000, NULL, "cells that an object may move, in rows and in columns"},
    {OPTION_INT, "top-k", AT(top_k), "5", 1, 4096, NULL, "cells that are asked: the most similar ones"},
    {OPTION_REAL, "temperature", AT(temperature), "0.1", 1e-4, 1e4, NULL, "of the similarities"},
    {0}};
/* clang-format on */

struct propagation {
    struct device *host;
    struct propagation_settings settings;
    struct extent grid;
    int64_t cells, cols, labels;
    int64_t lines, length; /* the longer side of the grid, and the cells of a line across it */
    int64_t block, band;   /* lines that ask at a time; lines of a frame that they may see */
    int64_t frames;        /* seen so far */
    int64_t slots;         /* frames kept: the first, `memory` others, the newest */
    float *features;       /* [slots, lines, length, cols] of unit length */
    float *soft;           /* [slots, cells, labels], cells row by row */
    float *products;       /* [threads, block * length, memory + 1, band * length] */
    size_t product_count;  /* of a thread */
    float *top;            /* [threads, top_k] */
};

static int64_t smaller(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t larger(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

struct propagation *propagation_open(struct device *host, const struct propagation_settings *settings,
                                     struct extent grid, int64_t cols, int64_t labels)
{
    enum { ROWS = 64, SHARES = 3 }; /* rows of a product: enough for the packing of what they meet; blocks a thread */
    struct propagation *p = mem_alloc(1, sizeof *p);
    *p = (struct propagation){
        .host = host, .settings = *settings, .grid = grid, .cells = extent_area(grid), .cols = cols, .labels = labels};
    p->lines = larger(grid.height, grid.width);
    p->length = smaller(grid.height, grid.width);
    p->block = smaller((ROWS + p->length - 1) / p->length, 1 + (p->lines - 1) / (SHARES * host->threads));
    p->band = smaller(p->lines, p->block + 2 * settings->radius);
    p->slots = settings->memory + 2;
    p->features = mem_map((size_t)(p->slots * p->cells * cols), sizeof *p->features);
    p->soft = mem_alloc((size_t)(p->slots * p->cells * labels), sizeof *p->soft);
    p->product_count = (size_t)(p->block * p->length * (p->slots - 1) * p->band * p->length);
    p->products = mem_alloc((size_t)host->threads * p->product_count, sizeof *p->products);
    p->top = mem_alloc((size_t)(host->threads * settings->top_k), sizeof *p->top);
    return p;
}

void propagation_close(struct propagation *p)
{
    if (!p) return;
    mem_unmap(p->features, (size_t)(p->slots * p->cells * p->cols), sizeof *p->features);
    free(p->soft);
    free(p->products);
    free(p->top);
    free(p);
}

/* Where frame `n` is kept. */
static int64_t slot_of(const struct propagation *p, int64_t n)
{
    return n ? 1 + (n - 1) % (p->slots - 1) : 0;
}

static float *features_of(const struct propagation *p, int64_t frame)
{
    return p->features + slot_of(p, frame) * p->cells * p->cols;
}

static float *soft_of(const struct propagation *p, int64_t frame)
{
    return p->soft + slot_of(p, frame) * p->cells * p->labels;
}

/* Row by row, the number of a cell. */
static int64_t cell_of(const struct propagation *p, int64_t line, int64_t place)
{
    return p->grid.width > p->grid.height ? place * p->grid.width + line : line * p->grid.width + place;
}

/* y = x / max(|x|, 1e-12) */
static void unit(float *y, const float *x, int64_t cols)
{
    enum { PARTS = 8 }; /* sums that do not wait for one another */
    double part[PARTS] = {0}, squares = 0;
    int64_t i = 0;
    for (; i + PARTS <= cols; i += PARTS)
        for (int k = 0; k < PARTS; k++) part[k] += (double)x[i + k] * (double)x[i + k];
    for (; i < cols; i++) squares += (double)x[i] * (double)x[i];
    for (int k = 0; k < PARTS; k++) squares += part[k];
    float length = (float)fmax(sqrt(squares), 1e-12);
    for (i = 0; i < cols; i++) y[i] = x[i] / length;
}

static void keep_features(struct propagation *p, const float *features)
{
    float *to = features_of(p, p->frames);
#pragma omp parallel for num_threads(p->host->threads) schedule(static)
    for (int64_t line = 0; line < p->lines; line++)
        for (int64_t place = 0; place < p->length; place++)
            unit(to + (line * p->length + place) * p->cols, features + cell_of(p, line, place) * p->cols, p->cols);
}

void propagation_begin(struct propagation *p, const float *features, const float *labels)
{
    p->frames = 0;
    keep_features(p, features);
    memcpy(soft_of(p, 0), labels, (size_t)(p->cells * p->labels) * sizeof *labels);
    p->frames = 1;
}

/* What a block of lines is held against: lines [low, high) of the first frame and of those from `oldest` on. */
struct context {
    int64_t low, high, oldest, frames;
    int64_t stride; /* from a frame's products to the next one's */
};

static int64_t frame_of(const struct context *c, int64_t i)
{
    return i ? c->oldest + i - 1 : 0;
}

static inline bool reached(const float *x, int64_t n, float bar)
{
    int hits = 0;
    for (int64_t i = 0; i < n; i++) hits |= x[i] >= bar;
    return hits;
}

/* The labels of the cell at `place` of `line`; row: its products with the context; top [top_k]: scratch. */
WIDE static void carry(const struct propagation *p, const struct context *c, int64_t line, int64_t place,
                       const float *row, float *top, float *labels)
{
    int64_t k = p->settings.top_k, r = p->settings.radius, from = larger(place - r, 0);
    int64_t n = smaller(place + r + 1, p->length) - from;
    int64_t first = larger(line - r, c->low), end = smaller(line + r + 1, c->high);
    float cold = (float)p->settings.temperature, total = 0;
    for (int64_t i = 0; i < k; i++) top[i] = -INFINITY; /* ascending */
    for (int64_t f = 0; f < c->frames; f++)
        for (int64_t y = first; y < end; y++) {
            const float *x = row + f * c->stride + (y - c->low) * p->length + from;
            if (!reached(x, n, top[0])) continue;
            for (int64_t i = 0; i < n; i++) {
                int64_t at = 0;
                if (!(x[i] > top[0])) continue;
                for (; at + 1 < k && top[at + 1] < x[i]; at++) top[at] = top[at + 1];
                top[at] = x[i];
            }
        }
    memset(labels, 0, (size_t)p->labels * sizeof *labels);
    for (int64_t f = 0; f < c->frames; f++)
        for (int64_t y = first; y < end; y++) {
            const float *x = row + f * c->stride + (y - c->low) * p->length + from;
            if (!reached(x, n, top[0])) continue;
            for (int64_t i = 0; i < n; i++) {
                if (x[i] < top[0]) continue;
                float weight = expf((x[i] - top[k - 1]) / cold); /* the largest is 1 */
                const float *soft = soft_of(p, frame_of(c, f)) + cell_of(p, y, from + i) * p->labels;
                for (int64_t l = 0; l < p->labels; l++) labels[l] += weight * soft[l];
                total += weight;
            }
        }
    for (int64_t l = 0; l < p->labels; l++) labels[l] /= total;
}

/* Lines [from, end) of the newest frame. */
static void ask(const struct propagation *p, int thread, int64_t from, int64_t end)
{
    struct device one = device_thread(p->host, thread);
    float *products = p->products + (size_t)thread * p->product_count, *top = p->top + thread * p->settings.top_k;
    int64_t r = p->settings.radius, oldest = larger(1, p->frames - p->settings.memory);
    struct context c = {.low = larger(from - r, 0),
                        .high = smaller(end + r, p->lines),
                        .oldest = oldest,
                        .frames = 1 + p->frames - oldest,
                        .stride = p->band * p->length};
    int64_t rows = (end - from) * p->length, width = (p->slots - 1) * c.stride;
    const float *mine = features_of(p, p->frames) + from * p->length * p->cols;
    for (int64_t f = 0; f < c.frames; f++)
        one.kernels->matmul(&one, products + f * c.stride, true, width, mine, p->cols, false,
                            features_of(p, frame_of(&c, f)) + c.low * p->length * p->cols, p->cols, false, rows,
                            (c.high - c.low) * p->length, p->cols, false);
    for (int64_t i = 0; i < rows; i++) {
        int64_t line = from + i / p->length, place = i % p->length;
        carry(p, &c, line, place, products + i * width, top,
              soft_of(p, p->frames) + cell_of(p, line, place) * p->labels);
    }
}

const float *propagation_next(struct propagation *p, const float *features)
{
    CHECK(p->frames > 0, "no first frame");
    keep_features(p, features);
#pragma omp parallel for num_threads(p->host->threads) schedule(dynamic, 1)
    for (int64_t from = 0; from < p->lines; from += p->block)
        ask(p, omp_get_thread_num(), from, smaller(from + p->block, p->lines));
    return soft_of(p, p->frames++);
}
