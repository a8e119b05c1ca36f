/* Labels carried through a video against plain loops in double over all pairs, at the edges of what may be asked; and
 * masks of maps that say nothing. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "serve/propagation.h"
#include "serve/soft_masks.h"
#include "test/harness.h"

enum { COLS = 7, LABELS = 3, FRAMES = 6, MOST = 400 };

static float features[FRAMES][MOST * COLS], first[MOST * LABELS];

static void draw(int64_t cells)
{
    struct rng rng = rng_open(9, RNG_TEST, (uint64_t)cells, 0);
    for (int f = 0; f < FRAMES; f++)
        for (int64_t i = 0; i < cells * COLS; i++) features[f][i] = (float)rng_normal(&rng);
    for (int i = 0; i < COLS; i++) features[2][i] = 0; /* a row of no length is like no other */
    memset(first, 0, sizeof first);
    for (int64_t c = 0; c < cells; c++) first[c * LABELS + (int64_t)rng_below(&rng, LABELS)] = 1;
}

static double cosine(const float *a, const float *b)
{
    double ab = 0, aa = 0, bb = 0;
    for (int i = 0; i < COLS; i++)
        ab += (double)a[i] * (double)b[i], aa += (double)a[i] * (double)a[i], bb += (double)b[i] * (double)b[i];
    return ab / fmax(sqrt(aa), 1e-12) / fmax(sqrt(bb), 1e-12);
}

static int falling(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x < y) - (x > y);
}

/* Labels of a cell of frame n, whose predecessors' are in soft. */
static void plain(const struct propagation_settings *s, struct extent grid, int n, int64_t t,
                  double soft[FRAMES][MOST * LABELS])
{
    static double weights[FRAMES * MOST], sorted[FRAMES * MOST];
    int64_t cells = extent_area(grid), count = 0;
    for (int f = 0; f < n; f++)
        for (int64_t c = 0; c < cells; c++) {
            bool near = llabs(c / grid.width - t / grid.width) <= s->radius &&
                        llabs(c % grid.width - t % grid.width) <= s->radius && (f == 0 || f >= n - s->memory);
            weights[f * cells + c] =
                near ? exp(cosine(features[n] + t * COLS, features[f] + c * COLS) / s->temperature) : 0;
            if (near) sorted[count++] = weights[f * cells + c];
        }
    qsort(sorted, (size_t)count, sizeof *sorted, falling);
    double bar = sorted[(count < s->top_k ? count : s->top_k) - 1] * (1 - 1e-9), total = 0;
    double *out = soft[n] + t * LABELS;
    memset(out, 0, LABELS * sizeof *out);
    for (int64_t i = 0; i < n * cells; i++) {
        if (weights[i] < bar) continue;
        total += weights[i];
        for (int l = 0; l < LABELS; l++) out[l] += weights[i] * soft[i / cells][i % cells * LABELS + l];
    }
    for (int l = 0; l < LABELS; l++) out[l] /= total;
}

static void compare(struct extent grid, struct propagation_settings s, int threads)
{
    static double soft[FRAMES][MOST * LABELS];
    static float want[MOST * LABELS];
    struct device device;
    struct error error = {0};
    char what[128];
    int64_t cells = extent_area(grid);
    draw(cells);
    for (int64_t i = 0; i < cells * LABELS; i++) soft[0][i] = (double)first[i];
    EXPECT(device_open(&device, "cpu", "fp32", NULL, threads, 0, &error) == 0, "%s", error.text);
    struct propagation *p = propagation_open(&device, &s, grid, COLS, LABELS);
    propagation_begin(p, features[0], first);
    for (int n = 1; n < FRAMES; n++) {
        const float *got = propagation_next(p, features[n]);
        for (int64_t t = 0; t < cells; t++) plain(&s, grid, n, t, soft);
        for (int64_t i = 0; i < cells * LABELS; i++) want[i] = (float)soft[n][i];
        snprintf(what, sizeof what, "grid %ld x %ld, memory %ld, radius %ld, top %ld, frame %d", (long)grid.width,
                 (long)grid.height, (long)s.memory, (long)s.radius, (long)s.top_k, n);
        test_close(what, got, want, cells * LABELS, 1e-5);
    }
    propagation_close(p);
    device_close(&device);
}

static void as_plain_loops(void)
{
    compare((struct extent){9, 14}, (struct propagation_settings){7, 12, 5, 0.1}, 2);
    compare((struct extent){14, 9}, (struct propagation_settings){2, 3, 5, 0.1}, 3);
    compare((struct extent){3, 120}, (struct propagation_settings){3, 12, 5, 0.1}, 2); /* several blocks of lines */
    compare((struct extent){120, 2}, (struct propagation_settings){1, 4, 7, 1}, 7);
    compare((struct extent){8, 8}, (struct propagation_settings){0, 2, 1, 0.1}, 1);    /* the first frame alone */
    compare((struct extent){8, 8}, (struct propagation_settings){4, 0, 5, 0.01}, 4);   /* each cell asks itself */
    compare((struct extent){4, 5}, (struct propagation_settings){2, 2, 1000, 0.1}, 2); /* all that are near */
    compare((struct extent){1, 1}, (struct propagation_settings){7, 12, 5, 0.1}, 2);
}

/* Numbers that are no objects, maps that are the same everywhere, and none but the background. */
static void masks_of_little(void)
{
    enum { HEIGHT = 10, WIDTH = 12 };
    struct extent size = {HEIGHT, WIDTH}, grid = {2, 3};
    uint16_t mask[HEIGHT * WIDTH], back[HEIGHT * WIDTH];
    float soft[6 * 3];
    for (int i = 0; i < HEIGHT * WIDTH; i++) mask[i] = i % WIDTH < 4 ? 1 : i % WIDTH < 8 ? 255 : 0;
    soft_from_mask(mask, size, soft, grid, 3);
    for (int c = 0; c < 6; c++)
        EXPECT(soft[c * 3] == (c % 3 > 0) && soft[c * 3 + 1] == (c % 3 == 0) && soft[c * 3 + 2] == 0,
               "cell %d: %g %g %g", c, (double)soft[c * 3], (double)soft[c * 3 + 1], (double)soft[c * 3 + 2]);
    soft_to_mask(soft, grid, 3, 4, back, size, 2);
    for (int i = 0; i < HEIGHT * WIDTH; i++)
        EXPECT(back[i] == (i % WIDTH < 4), "pixel %d, %d is %d", i % WIDTH, i / WIDTH, back[i]);
    for (int c = 0; c < 6; c++) soft[c * 3] = 0.5f, soft[c * 3 + 1] = 0.25f, soft[c * 3 + 2] = 0;
    soft_to_mask(soft, grid, 3, 4, back, size, 1);
    for (int i = 0; i < HEIGHT * WIDTH; i++)
        EXPECT(back[i] == 0, "pixel %d of maps that say nothing is %d", i, back[i]);
    soft_to_mask(soft, grid, 1, 4, back, size, 1);
    for (int i = 0; i < HEIGHT * WIDTH; i++) EXPECT(back[i] == 0, "pixel %d of the background is %d", i, back[i]);
}

int main(int argc, char **argv)
{
    return test_main(
        argc, argv,
        (struct test[]){{"labels_carried_as_plain_loops", as_plain_loops}, {"masks_of_little", masks_of_little}, {0}});
}
