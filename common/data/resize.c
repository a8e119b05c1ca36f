/* Two separable passes with precomputed weights. */
#include "data/resize.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/memory.h"
#include "data/wide.h"

enum { BITS = 22 };

struct weights {
    int taps;   /* room per output position */
    int *first; /* [size] first input position */
    int *count; /* [size] number of inputs */
    int *value; /* [size, taps] fixed point */
    bool cubic; /* some are negative: sums must be clamped */
};

static double triangle(double x)
{
    return x < 1 ? 1 - x : 0;
}

static double cubic(double x)
{
    const double a = -0.5;
    if (x < 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
    return x < 2 ? (((x - 5) * x + 8) * x - 4) * a : 0;
}

static struct weights weigh(bool is_cubic, int input, double from, double to, int size)
{
    double scale = (to - from) / size, stretch = scale < 1 ? 1 : scale, filter = is_cubic ? 2 * stretch : stretch;
    struct weights w = {.taps = (int)ceil(filter) * 2 + 1, .cubic = is_cubic};
    w.first = mem_alloc((size_t)size, sizeof *w.first);
    w.count = mem_alloc((size_t)size, sizeof *w.count);
    w.value = mem_zalloc((size_t)size * (size_t)w.taps, sizeof *w.value);
    double *k = mem_alloc((size_t)w.taps, sizeof *k);
    for (int i = 0; i < size; i++) {
        double centre = from + (i + 0.5) * scale, total = 0;
        int low = (int)(centre - filter + 0.5), high = (int)(centre + filter + 0.5);
        if (low < 0) low = 0;
        if (high > input) high = input;
        for (int x = low; x < high; x++) {
            double distance = fabs((x - centre + 0.5) * (1 / stretch));
            k[x - low] = is_cubic ? cubic(distance) : triangle(distance);
            total += k[x - low];
        }
        for (int x = 0; x < high - low; x++) {
            double share = total != 0 ? k[x] / total : k[x];
            w.value[i * w.taps + x] = (int)((share < 0 ? -0.5 : 0.5) + share * (1 << BITS));
        }
        w.first[i] = low;
        w.count[i] = high - low;
    }
    free(k);
    return w;
}

static void weights_free(struct weights *w)
{
    free(w->first);
    free(w->count);
    free(w->value);
}

static inline uint8_t rounded(int sum)
{
    int value = sum >> BITS;
    return (uint8_t)(value < 0 ? 0 : value > 255 ? 255 : value);
}

static void horizontal(const uint8_t *row, const struct weights *w, uint8_t *out, int width)
{
    for (int i = 0; i < width; i++) {
        const uint8_t *p = row + 3 * w->first[i];
        const int *k = w->value + i * w->taps;
        int r = 1 << (BITS - 1), g = r, b = r;
        for (int x = 0; x < w->count[i]; x++) {
            r += p[3 * x] * k[x];
            g += p[3 * x + 1] * k[x];
            b += p[3 * x + 2] * k[x];
        }
        out[3 * i] = rounded(r);
        out[3 * i + 1] = rounded(g);
        out[3 * i + 2] = rounded(b);
    }
}

enum { ROWS = 8 };
typedef int32_t lanes __attribute__((vector_size(4 * ROWS)));

static inline uint32_t load4(const uint8_t *p)
{
    uint32_t word;
    memcpy(&word, p, 4);
    return word;
}

/* The same for ROWS rows `source` bytes apart: a lane is a row, and reads four bytes for the three of a pixel. */
WIDE static void horizontal_rows(const uint8_t *row, size_t source, const struct weights *w, uint8_t *out,
                                 size_t stride, int width)
{
    for (int i = 0; i < width; i++) {
        const uint8_t *p = row + 3 * w->first[i];
        const int *k = w->value + i * w->taps;
        lanes r = (1 << (BITS - 1)) - (lanes){0}, g = r, b = r;
        for (int x = 0; x < w->count[i]; x++, p += 3) {
            lanes pixel;
            for (int y = 0; y < ROWS; y++) pixel[y] = (int32_t)load4(p + (size_t)y * source);
            r += (pixel & 255) * k[x];
            g += (pixel >> 8 & 255) * k[x];
            b += (pixel >> 16 & 255) * k[x];
        }
        lanes done = r >> BITS | g >> BITS << 8 | b >> BITS << 16; /* weights are positive and sum to 1: no clamping */
        for (int y = 0; y < ROWS; y++) {
            int32_t pixel = done[y];
            memcpy(out + (size_t)y * stride + (size_t)(3 * i), &pixel,
                   i + 1 < width ? 4 : 3); /* the fourth byte is overwritten next */
        }
    }
}

WIDE static void vertical(const uint8_t *rows, size_t stride, const int *k, int count, uint8_t *out, int bytes)
{
    int i = 0;
    for (; i + 64 <= bytes; i += 64) { /* blocks the compiler keeps in vector registers */
        int sum[64];
        for (int j = 0; j < 64; j++) sum[j] = 1 << (BITS - 1);
        for (int y = 0; y < count; y++)
            for (int j = 0; j < 64; j++) sum[j] += rows[(size_t)y * stride + (size_t)(i + j)] * k[y];
        for (int j = 0; j < 64; j++) out[i + j] = (uint8_t)(sum[j] >> BITS);
    }
    for (; i < bytes; i++) {
        int sum = 1 << (BITS - 1);
        for (int y = 0; y < count; y++) sum += rows[(size_t)y * stride + (size_t)i] * k[y];
        out[i] = rounded(sum);
    }
}

static void vertical_clipped(const uint8_t *rows, size_t stride, const int *k, int count, uint8_t *out, int bytes)
{
    for (int i = 0; i < bytes; i++) {
        int sum = 1 << (BITS - 1);
        for (int y = 0; y < count; y++) sum += rows[(size_t)y * stride + (size_t)i] * k[y];
        out[i] = rounded(sum);
    }
}

static void resample(bool is_cubic, const struct image *image, double x0, double y0, double x1, double y1, uint8_t *out,
                     int width, int height)
{
    CHECK(x0 >= 0 && y0 >= 0 && x1 <= image->width && y1 <= image->height && x0 < x1 && y0 < y1,
          "box %g %g %g %g of %d x %d", x0, y0, x1, y1, image->width, image->height);
    bool across = width != image->width || x0 != 0 || x1 != width,
         down = height != image->height || y0 != 0 || y1 != height;
    struct weights wx = weigh(is_cubic, image->width, x0, x1, width),
                   wy = weigh(is_cubic, image->height, y0, y1, height);
    int first = down ? wy.first[0] : 0, last = down ? wy.first[height - 1] + wy.count[height - 1] : image->height;
    size_t stride = (size_t)width * 3, source = (size_t)image->width * 3;
    uint8_t *narrow = NULL;
    const uint8_t *rows = image->pixels;
    if (across) {
        narrow = mem_alloc((size_t)(last - first), stride);
        int y = first;
        for (; !is_cubic && y + ROWS <= last && y + ROWS < image->height;
             y += ROWS) /* the last row of the picture has no byte behind it */
            horizontal_rows(image->pixels + (size_t)y * source, source, &wx, narrow + (size_t)(y - first) * stride,
                            stride, width);
        for (; y < last; y++)
            horizontal(image->pixels + (size_t)y * source, &wx, narrow + (size_t)(y - first) * stride, width);
        rows = narrow - (size_t)first * stride;
    }
    for (int y = 0; y < height; y++) {
        if (!down)
            memcpy(out + (size_t)y * stride, rows + (size_t)y * stride, stride);
        else
            (is_cubic ? vertical_clipped : vertical)(rows + (size_t)wy.first[y] * stride, stride,
                                                     wy.value + y * wy.taps, wy.count[y], out + (size_t)y * stride,
                                                     (int)stride);
    }
    free(narrow);
    weights_free(&wx);
    weights_free(&wy);
}

void resize_box(const struct image *image, double x0, double y0, double x1, double y1, uint8_t *out, int width,
                int height)
{
    resample(false, image, x0, y0, x1, y1, out, width, height);
}

void resize_bicubic(const struct image *image, uint8_t *out, int width, int height)
{
    resample(true, image, 0, 0, image->width, image->height, out, width, height);
}

void resize_image(const struct image *image, uint8_t *out, int width, int height)
{
    resize_box(image, 0, 0, image->width, image->height, out, width, height);
}
