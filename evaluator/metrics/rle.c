/* Masks as runs. */
#include "evaluator/metrics/rle.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

void runs_free(struct runs *runs)
{
    free(runs->data);
    *runs = (struct runs){0};
}

static void push(struct runs *runs, uint32_t length)
{
    if (runs->count == runs->room) {
        runs->room = 2 * runs->room + 64;
        runs->data = mem_realloc(runs->data, (size_t)runs->room, sizeof *runs->data);
    }
    runs->data[runs->count++] = length;
}

void runs_append(struct runs *out, struct mask mask)
{
    for (int64_t i = 0; i < mask.count; i++) push(out, mask.runs[i]);
}

/* To the mask that began at run `first`: `length` more pixels of background (0) or object (1). */
static void extend(struct runs *out, int64_t first, int value, uint32_t length)
{
    if (!length) return;
    int64_t count = out->count - first;
    if (!count && value) push(out, 0), count++;
    if (count && ((count - 1) & 1) == value)
        out->data[out->count - 1] += length;
    else
        push(out, length);
}

/* --- files --- */

/* Runs as they are read. */
struct filling {
    struct runs *out;
    int64_t first, pixels, left;
    int value;
};

static struct filling filling_open(struct runs *out, int64_t pixels)
{
    return (struct filling){out, out->count, pixels, pixels, 0};
}

static const char *fill(struct filling *f, int64_t length)
{
    if (length < 0) return "a run is negative";
    if (length > f->left) return "its runs add up to more than height * width";
    extend(f->out, f->first, f->value, (uint32_t)length);
    f->left -= length;
    f->value = !f->value;
    return NULL;
}

static const char *filling_close(struct filling *f, const char *wrong)
{
    if (!wrong && f->left) wrong = "its runs add up to less than height * width";
    if (wrong) f->out->count = f->first;
    return wrong;
}

const char *rle_from_counts(struct runs *out, const int64_t *counts, int64_t count, int64_t pixels)
{
    struct filling f = filling_open(out, pixels);
    const char *wrong = NULL;
    for (int64_t i = 0; i < count && !wrong; i++) wrong = fill(&f, counts[i]);
    return filling_close(&f, wrong);
}

const char *rle_from_string(struct runs *out, const char *text, size_t len, int64_t pixels)
{
    enum { BITS_MAX = 40 }; /* a difference of two runs has 33 */
    struct filling f = filling_open(out, pixels);
    int64_t before[2] = {0, 0}; /* the last count but one, the last */
    const char *wrong = NULL;
    size_t at = 0;
    for (int64_t i = 0; at < len && !wrong; i++) {
        int64_t value = 0;
        int bits = 0;
        unsigned c = 32;
        while (c & 32) {
            c = at < len ? (unsigned char)text[at++] - 48u : 64;
            if (c > 63 || bits > BITS_MAX) return filling_close(&f, "its counts are no run-length string");
            value |= (int64_t)(c & 31) << bits;
            bits += 5;
        }
        if (c & 16) value -= (int64_t)1 << bits;
        if (i > 2) value += before[0];
        wrong = fill(&f, value);
        before[0] = before[1];
        before[1] = value;
    }
    return filling_close(&f, wrong);
}

void rle_to_string(struct str *out, struct mask mask)
{
    for (int64_t i = 0; i < mask.count; i++) {
        int64_t value = mask.runs[i] - (i > 2 ? (int64_t)mask.runs[i - 2] : 0);
        for (bool more = true; more;) {
            int low = (int)(value & 31);
            value >>= 5;
            more = value != (low & 16 ? -1 : 0);
            str_putc(out, (char)(48 + low + (more ? 32 : 0)));
        }
    }
}

/* --- polygons --- */

enum { FINE = 5 }; /* points of the fine grid for a pixel; number 2 of them is its middle */

/* Where columns turn over: pixel numbers, in any order. */
struct outline {
    struct runs turns;
    int64_t height, width;
    int64_t x, y; /* the point of the fine grid where the walk is */
};

static void step_to(struct outline *o, int64_t x, int64_t y)
{
    int64_t left = x < o->x ? x : o->x, top = y < o->y ? y : o->y;
    bool crosses = x != o->x && left >= 2 && (left - 2) % FINE == 0 && (left - 2) / FINE < o->width;
    if (crosses) {
        int64_t row = top <= 2 ? 0 : (top - 2 + FINE - 1) / FINE;
        push(&o->turns, (uint32_t)((left - 2) / FINE * o->height + (row < o->height ? row : o->height)));
    }
    o->x = x;
    o->y = y;
}

/* From (xs, ys), where the walk is, to (xe, ye).  The line is drawn from the end that is less along its longer side, so
 * that it is the same both ways; halves are rounded up. */
static void walk(struct outline *o, int64_t xs, int64_t ys, int64_t xe, int64_t ye)
{
    bool flat = llabs(xe - xs) >= llabs(ye - ys);
    int64_t length = flat ? llabs(xe - xs) : llabs(ye - ys);
    bool back = flat ? xs > xe : ys > ye;
    int64_t x = back ? xe : xs, y = back ? ye : ys; /* where it is drawn from */
    int64_t dx = back ? xs - xe : xe - xs, dy = back ? ys - ye : ye - ys;
    double slope = length ? (double)(flat ? dy : dx) / (double)length : 0;
    for (int64_t d = 0; d <= length; d++) {
        int64_t t = back ? length - d : d;
        if (flat)
            step_to(o, x + t, (int64_t)((double)y + slope * (double)t + .5));
        else
            step_to(o, (int64_t)((double)x + slope * (double)t + .5), y + t);
    }
}

static int by_pixel(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

void rle_from_polygon(struct runs *out, const double *xy, int64_t points, int64_t height, int64_t width)
{
    int64_t *fine = mem_alloc((size_t)(2 * points) + 2, sizeof *fine);
    for (int64_t i = 0; i < 2 * points; i++) fine[i] = (int64_t)(FINE * xy[i] + .5);
    memcpy(fine + 2 * points, fine, 2 * sizeof *fine);
    struct outline o = {.height = height, .width = width, .x = fine[0], .y = fine[1]};
    for (int64_t i = 0; i < 2 * points; i += 2) walk(&o, fine[i], fine[i + 1], fine[i + 2], fine[i + 3]);
    if (o.turns.count) qsort(o.turns.data, (size_t)o.turns.count, sizeof *o.turns.data, by_pixel);
    int64_t first = out->count;
    uint32_t at = 0;
    for (int64_t i = 0; i < o.turns.count; i++) {
        extend(out, first, i & 1, o.turns.data[i] - at);
        at = o.turns.data[i];
    }
    extend(out, first, o.turns.count & 1, (uint32_t)(height * width) - at);
    runs_free(&o.turns);
    free(fine);
}

/* --- measures --- */

/* Two masks, side by side. */
struct pair {
    struct mask a, b;
    int64_t i, j;            /* the runs where it is */
    uint32_t a_left, b_left; /* of them */
};

static struct pair pair_open(struct mask a, struct mask b)
{
    return (struct pair){a, b, 0, 0, a.runs[0], b.runs[0]};
}

/* How far both stay as they are; they then stand on what follows.  false: at the end. */
static bool pair_next(struct pair *p, uint32_t *length)
{
    if (p->i == p->a.count || p->j == p->b.count) return false;
    *length = p->a_left < p->b_left ? p->a_left : p->b_left;
    p->a_left -= *length;
    p->b_left -= *length;
    return true;
}

static void pair_turn(struct pair *p)
{
    if (!p->a_left && ++p->i < p->a.count) p->a_left = p->a.runs[p->i];
    if (!p->b_left && ++p->j < p->b.count) p->b_left = p->b.runs[p->j];
}

void rle_union(struct runs *out, struct mask a, struct mask b)
{
    int64_t first = out->count;
    uint32_t length;
    for (struct pair p = pair_open(a, b); pair_next(&p, &length); pair_turn(&p))
        extend(out, first, (p.i | p.j) & 1, length);
}

int64_t rle_intersection(struct mask a, struct mask b)
{
    int64_t pixels = 0;
    uint32_t length;
    for (struct pair p = pair_open(a, b); pair_next(&p, &length); pair_turn(&p))
        if (p.i & p.j & 1) pixels += length;
    return pixels;
}

int64_t rle_area(struct mask mask)
{
    int64_t pixels = 0;
    for (int64_t i = 1; i < mask.count; i += 2) pixels += mask.runs[i];
    return pixels;
}

void rle_box(struct mask mask, int64_t height, double box[4])
{
    int64_t x0 = INT64_MAX, y0 = height, x1 = -1, y1 = -1, at = 0;
    for (int64_t i = 0; i < mask.count; at += mask.runs[i++]) {
        if (!(i & 1)) continue;
        int64_t last = at + mask.runs[i] - 1, left = at / height, right = last / height;
        bool columns = left < right; /* it passes a column's end: all rows */
        int64_t top = columns ? 0 : at % height, bottom = columns ? height - 1 : last % height;
        if (left < x0) x0 = left;
        if (right > x1) x1 = right;
        if (top < y0) y0 = top;
        if (bottom > y1) y1 = bottom;
    }
    bool empty = x1 < 0;
    box[0] = empty ? 0 : (double)x0;
    box[1] = empty ? 0 : (double)y0;
    box[2] = empty ? 0 : (double)(x1 - x0 + 1);
    box[3] = empty ? 0 : (double)(y1 - y0 + 1);
}
