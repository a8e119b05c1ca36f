/* A convolution of 3 x 3, 256 -> 256 channels, over the maps of a detector at 320 px (40, 20 and 10 a side, 8
 * pictures): ms of forward, and of forward and backward; then of the bare matrix products as large.
 *   maps THREADS SECONDS */
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/rng.h"
#include "ops/maps.h"

enum { CHANNELS = 256, PICTURES = 8, LEVELS = 3, DEPTH = 9 * CHANNELS };
static const int64_t SIDES[LEVELS] = {40, 20, 10};

static float *numbers(int64_t count, float scale)
{
    struct rng rng = rng_open(1, RNG_TEST, 0, (uint64_t)count);
    float *x = mem_map((size_t)count, sizeof *x);
    for (int64_t i = 0; i < count; i++) x[i] = scale * (float)rng_normal(&rng);
    return x;
}

static struct tensor parameter(int64_t rows, int64_t cols)
{
    float *data = numbers(rows * cols, 0.02f);
    return (struct tensor){.rows = rows,
                           .cols = cols,
                           .data = data,
                           .master = data,
                           .grad = numbers(rows * cols, 0),
                           .needs_grad = true,
                           .parameter = true,
                           .segment = -1,
                           .slot = -1};
}

struct work {
    struct device device;
    struct tape tape;
    struct tensor weight, bias, x[LEVELS];
    float *slopes, *seen, *y;
};

static double convolutions(struct work *w, bool backward)
{
    double start = clock_seconds();
    for (int i = 0; i < LEVELS; i++) {
        struct map map = {PICTURES, extent_square(SIDES[i])};
        w->tape.recording = backward;
        tape_open_segment(&w->tape);
        struct tensor *y = op_convolve(&w->tape, &w->x[i], map, (struct convolution){&w->weight, &w->bias, 3, 1, 1});
        y = tape_close_segment(&w->tape, NULL, y);
        if (backward) {
            tape_seed(&w->tape, y, w->slopes);
            tape_backward(&w->tape, 0, 1);
        }
        w->x[i].touched = false;
        tape_reset(&w->tape);
    }
    return clock_seconds() - start;
}

static double products(struct work *w, bool backward)
{
    const struct kernels *k = w->device.kernels;
    double start = clock_seconds();
    for (int i = 0; i < LEVELS; i++) {
        int64_t rows = PICTURES * SIDES[i] * SIDES[i];
        struct linear_prepare plain = {.kind = LINEAR_PLAIN};
        k->linear_forward(&w->device, w->y, NULL, w->seen, w->weight.data, w->bias.data, NULL, rows, DEPTH, CHANNELS,
                          plain);
        if (!backward) continue;
        k->linear_backward_weight(&w->device, w->weight.grad, w->bias.grad, w->slopes, w->seen, rows, DEPTH, CHANNELS,
                                  plain, true, true);
        /* the input's: as large as the forward product */
        k->linear_forward(&w->device, w->y, NULL, w->seen, w->weight.data, NULL, NULL, rows, DEPTH, CHANNELS, plain);
    }
    return clock_seconds() - start;
}

static int by_size(const void *a, const void *b)
{
    return *(const double *)a < *(const double *)b ? -1 : 1;
}

int main(int argc, char **argv)
{
    int threads = argc > 1 ? atoi(argv[1]) : 2;
    double seconds = argc > 2 ? atof(argv[2]) : 5;
    static struct work w;
    struct error error = {0};
    if (device_open(&w.device, "cpu", "fp32", NULL, threads, 0, &error) < 0) return puts(error.text), 1;
    tape_init(&w.tape, &w.device);
    w.weight = parameter(CHANNELS, DEPTH);
    w.bias = parameter(1, CHANNELS);
    int64_t most = PICTURES * SIDES[0] * SIDES[0];
    w.slopes = numbers(most * CHANNELS, 1);
    w.seen = numbers(most * DEPTH, 1);
    w.y = numbers(most * CHANNELS, 0);
    for (int i = 0; i < LEVELS; i++) {
        w.x[i] = parameter(PICTURES * SIDES[i] * SIDES[i], CHANNELS);
        w.x[i].parameter = false;
    }
    enum { KINDS = 4, MOST = 1000 };
    static double times[KINDS][MOST];
    int n = 0;
    for (double start = clock_seconds(); n < 2 || (n < MOST && clock_seconds() - start < seconds); n++) {
        times[0][n] = convolutions(&w, false);
        times[1][n] = convolutions(&w, true);
        times[2][n] = products(&w, false);
        times[3][n] = products(&w, true);
    }
    for (int i = 0; i < KINDS; i++) {
        qsort(times[i], (size_t)n, sizeof(double), by_size);
        printf("%.2f%c", 1e3 * times[i][n / 2], i == KINDS - 1 ? '\n' : ' ');
    }
    return 0;
}
