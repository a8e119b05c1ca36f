/* gram N DIM COLUMNS THREADS: the loss of token matrices of a picture with its gradient, random tokens; prints seconds
 * (the second of two) and extra peak bytes (beyond tokens, teacher's rows and the gradient). */
#include "ops/gram.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/rng.h"

static struct tensor draw(int64_t rows, int64_t cols, uint64_t seed, bool learns)
{
    struct rng rng = rng_open(seed, RNG_TEST, 0, 0);
    struct tensor t = {.rows = rows, .cols = cols, .needs_grad = learns, .segment = -1, .slot = -1};
    float *x = mem_map((size_t)(rows * cols), sizeof *x);
    for (int64_t i = 0; i < rows * cols; i++) x[i] = (float)rng_uniform(&rng) - .5f;
    t.data = x;
    return t;
}

int main(int argc, char **argv)
{
    if (argc != 5) return 2;
    int64_t n = atoll(argv[1]);
    struct error error = {0};
    struct device device;
    struct tape tape;
    if (device_open(&device, "cpu", "fp32", NULL, atoi(argv[4]), 0, &error) < 0) return 1;
    struct tensor z = draw(n, atoll(argv[2]), 1, true), teacher = draw(n, atoll(argv[3]), 2, false);
    float one = 1, loss = 0;
    double seconds = 0;
    size_t before, peak, now;
    mem_usage(&before, &peak);
    tape_init(&tape, &device);
    for (int i = 0; i < 2; i++) {
        double start = clock_seconds();
        tape_reset(&tape);
        tape.recording = true;
        z.grad = NULL;
        z.touched = false;
        tape_open_segment(&tape);
        struct tensor *y = tape_close_segment(&tape, NULL, op_gram_loss(&tape, &z, &teacher, 1, 20));
        loss = *(float *)y->data;
        tape_seed(&tape, y, &one);
        tape_backward(&tape, 0, 1);
        if (z.slot >= 0) tape.pool[z.slot].used = false;
        z.slot = -1;
        seconds = clock_seconds() - start;
    }
    mem_usage(&now, &peak);
    printf("%.3f %zu %.6f\n", seconds, peak - before - (size_t)tensor_count(&z) * sizeof(float), (double)loss);
    return 0;
}
