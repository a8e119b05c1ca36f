/* Products with packed weights: what is kept is near the weights, products of it agree with float64 (to float's
 * rounding, 6e-8 of the terms' sizes, times 8), and a row's result has the same bits beside any other rows; on every
 * instruction level this machine has. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/rng.h"
#include "test/harness.h"

enum { MOST_ROWS = 40, MOST_IN = 1000, MOST_OUT = 70 };

struct data {
    float x[MOST_ROWS * MOST_IN], w[MOST_OUT * MOST_IN], kept[MOST_OUT * MOST_IN], residual[MOST_ROWS * MOST_OUT],
        y[MOST_ROWS * MOST_OUT + 16], alone[MOST_ROWS * MOST_OUT];
};

/* Rows of very different sizes, with an all-zero group; packed in two parts. */
static void *make(struct data *d, struct device *device, enum packing kind, int64_t rows, int64_t in, int64_t out)
{
    struct rng rng = rng_open(7, RNG_TEST, (uint64_t)in, (uint64_t)out);
    for (int64_t i = 0; i < rows * in; i++) d->x[i] = (float)rng_normal(&rng);
    for (int64_t i = 0; i < rows * out; i++) d->residual[i] = (float)rng_normal(&rng);
    for (int64_t i = 0; i < out * in; i++)
        d->w[i] = i / in == 1 && i % in < 64 ? 0 : (float)(rng_normal(&rng) * pow(4, (double)(i / in % 5) - 2));
    void *packed = mem_zalloc(device->kernels->packed_bytes(kind, out, in), 1);
    device->kernels->pack_rows(kind, packed, d->w, 0, out / 3, in);
    device->kernels->pack_rows(kind, packed, d->w + out / 3 * in, out / 3, out - out / 3, in);
    return packed;
}

/* float keeps all; bfloat16 8 bits of each; int8 255 steps of the largest of 64. */
static void check_kept(struct data *d, struct device *device, enum packing kind, const void *packed, int64_t in,
                       int64_t out)
{
    int32_t ids[MOST_OUT];
    for (int32_t i = 0; i < out; i++) ids[i] = i;
    device->kernels->embed_packed(device, d->kept, kind, packed, ids, out, in);
    for (int64_t i = 0; i < out * in; i++) {
        float most = 0, bound = fabsf(d->w[i]) / 256;
        int64_t row = i / in * in, group = (i - row) / 64 * 64;
        for (int64_t k = group; k < group + 64 && k < in; k++) most = fmaxf(most, fabsf(d->w[row + k]));
        if (kind == PACKING_INT8) bound = most / 253;
        if (kind == PACKING_FP32) bound = 0;
        if (!(fabsf(d->kept[i] - d->w[i]) <= bound))
            EXPECT(0, "packing %d, weight %ld of %ld x %ld: %g for %g", kind, (long)i, (long)out, (long)in, d->kept[i],
                   d->w[i]);
    }
}

static void check_product(struct data *d, struct device *device, enum packing kind, const void *packed, int64_t rows,
                          int64_t in, int64_t out)
{
    bool with = rows % 2;
    for (int i = 0; i < 16; i++) d->y[rows * out + i] = 5;
    device->kernels->linear_packed(device, d->y, d->x, kind, packed, with ? d->residual : NULL, rows, in, out);
    for (int64_t i = 0; i < rows * out; i++) {
        double sum = with ? d->residual[i] : 0, size = fabs(sum);
        for (int64_t k = 0; k < in; k++) {
            double term = (double)d->x[i / out * in + k] * d->kept[i % out * in + k];
            sum += term;
            size += fabs(term);
        }
        if (!(fabs(d->y[i] - sum) <= 8 * 6e-8 * size))
            EXPECT(0, "packing %d, %ld x %ld x %ld: %g for %g", kind, (long)rows, (long)in, (long)out, d->y[i], sum);
    }
    if (kind == PACKING_FP32) {
        device->kernels->linear_forward(device, d->alone, NULL, d->x, d->w, NULL, with ? d->residual : NULL, rows, in,
                                        out, (struct linear_prepare){0});
        EXPECT(!memcmp(d->alone, d->y, (size_t)(rows * out) * sizeof *d->y),
               "%ld x %ld x %ld: other bits than not packed", (long)rows, (long)in, (long)out);
    }
    for (int i = 0; i < 16; i++) EXPECT(d->y[rows * out + i] == 5, "written %d behind the end", i);
    for (int64_t r = 0; r < rows; r++) {
        device->kernels->linear_packed(device, d->alone, d->x + r * in, kind, packed,
                                       with ? d->residual + r * out : NULL, 1, in, out);
        EXPECT(!memcmp(d->alone, d->y + r * out, (size_t)out * sizeof *d->y),
               "packing %d: row %ld of %ld alone has other bits", kind, (long)r, (long)rows);
    }
}

/* A weight that is no number is not lost. */
static void check_unsound(struct device *device, enum packing kind)
{
    float w[4] = {1, INFINITY, NAN, 2}, x[2] = {1, 1}, y[2];
    void *packed = mem_zalloc(device->kernels->packed_bytes(kind, 2, 2), 1);
    device->kernels->pack_rows(kind, packed, w, 0, 2, 2);
    device->kernels->linear_packed(device, y, x, kind, packed, NULL, 1, 2, 2);
    EXPECT(!isfinite(y[0]) && !isfinite(y[1]), "packing %d: %g and %g of infinite weights and NaN", kind, y[0], y[1]);
    free(packed);
}

static void run_level(const char *level)
{
    static const int64_t rows[] = {1, 2, 3, 7, 14, 17, MOST_ROWS}, ins[] = {2, 64, 130, MOST_IN},
                         outs[] = {1, 16, 23, MOST_OUT};
    struct device device;
    struct error error = {0};
    if (device_open(&device, "cpu", "fp32", level, 2, 0, &error) < 0) {
        printf("  %s: not on this machine\n", level);
        return;
    }
    struct data *d = mem_alloc(1, sizeof *d);
    for (int kind = PACKING_FP32; kind <= PACKING_INT8; kind++) {
        check_unsound(&device, (enum packing)kind);
        for (size_t i = 0; i < sizeof ins / sizeof *ins; i++)
            for (size_t o = 0; o < sizeof outs / sizeof *outs; o++) {
                void *packed = make(d, &device, (enum packing)kind, MOST_ROWS, ins[i], outs[o]);
                check_kept(d, &device, (enum packing)kind, packed, ins[i], outs[o]);
                for (size_t r = 0; r < sizeof rows / sizeof *rows; r++)
                    check_product(d, &device, (enum packing)kind, packed, rows[r], ins[i], outs[o]);
                free(packed);
            }
    }
    free(d);
    device_close(&device);
}

static void packed_portable(void)
{
    run_level("portable");
}
static void packed_v3(void)
{
    run_level("x86-64-v3");
}
static void packed_v4(void)
{
    run_level("x86-64-v4");
}

int main(int argc, char **argv)
{
    return test_main(
        argc, argv,
        (struct test[]){{"packed_portable", packed_portable}, {"packed_v3", packed_v3}, {"packed_v4", packed_v4}, {0}});
}
