/* Losses over pixels: the same bits from 1, 2 and 3 threads, and for a picture beside any others. */
#include <stdlib.h>
#include <string.h>

#include "backend/device.h"
#include "base/rng.h"
#include "test/harness.h"

enum { PICTURES = 3, SIDE = 7, CLASSES = 37, PIXELS = 30, GRID = SIDE * SIDE, AREA = PIXELS * PIXELS };

/* What the kernels give for all pictures. */
struct results {
    float loss[2 * PICTURES], pixel_slope[PICTURES * GRID * CLASSES], bins_slope[PICTURES * GRID * CLASSES];
    float depth[PICTURES * AREA], depth_slope[PICTURES * GRID];
};

struct inputs {
    float logits[PICTURES * GRID * CLASSES], coarse[PICTURES * GRID], truth[PICTURES * AREA];
    uint16_t targets[PICTURES * AREA];
};

/* Pictures [first, end) at once. */
static void compute(struct device *d, const struct inputs *in, struct results *out, int64_t first, int64_t end)
{
    struct grid_view view = {end - first, {SIDE, SIDE}, {PIXELS, PIXELS}};
    const float *logits = in->logits + first * GRID * CLASSES, *truth = in->truth + first * AREA;
    d->kernels->pixel_loss(d, out->loss + first, out->pixel_slope + first * GRID * CLASSES, logits,
                           in->targets + first * AREA, view, CLASSES, 65535);
    d->kernels->bins_forward(d, out->depth + first * AREA, logits, view, CLASSES, 1, 9);
    d->kernels->bins_backward(d, out->bins_slope + first * GRID * CLASSES, truth, logits, view, CLASSES, 1, 9, false);
    d->kernels->depth_loss(d, out->loss + PICTURES + first, out->depth_slope + first * GRID, in->coarse + first * GRID,
                           truth, view, 10, 1);
}

static void same_bits(void)
{
    struct inputs *in = malloc(sizeof *in);
    struct results *want = malloc(sizeof *want), *got = malloc(sizeof *got);
    struct rng rng = rng_open(1, RNG_TEST, 0, 0);
    for (int i = 0; i < PICTURES * GRID * CLASSES; i++) in->logits[i] = (float)rng_normal(&rng);
    for (int i = 0; i < PICTURES * GRID; i++) in->coarse[i] = (float)rng_range(&rng, 1, 9);
    for (int i = 0; i < PICTURES * AREA; i++) {
        in->truth[i] = (float)rng_range(&rng, -1, 11);
        in->targets[i] = (uint16_t)(i % 11 ? rng_below(&rng, CLASSES) : 65535);
    }
    for (int threads = 1; threads <= 3; threads++)
        for (int alone = 0; alone < 2; alone++) {
            struct device d;
            struct error error = {0};
            EXPECT(device_open(&d, "cpu", "fp32", NULL, threads, 0, &error) == 0, "%s", error.text);
            struct results *to = threads == 1 && !alone ? want : got;
            for (int n = 0; n < (alone ? PICTURES : 1); n++)
                compute(&d, in, to, alone ? n : 0, alone ? n + 1 : PICTURES);
            EXPECT(!memcmp(to, want, sizeof *to), "%d threads%s", threads, alone ? ", one picture at a time" : "");
            device_close(&d);
        }
    free(in);
    free(want);
    free(got);
}

int main(int argc, char **argv)
{
    return test_main(argc, argv, (struct test[]){{"dense_losses_same_bits", same_bits}, {0}});
}
