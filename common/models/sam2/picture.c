/* Two passes, first along rows. */
#include "models/sam2/picture.h"

#include <math.h>
#include <stdlib.h>

#include "base/memory.h"

/* Which pixels an output reads, and how much of each. */
struct taps {
    int64_t most; /* of an output */
    int32_t *first, *count;
    float *share; /* [outputs, most] */
};

static struct taps taps_open(int64_t from, int64_t to)
{
    double scale = (double)from / (double)to, reach = scale < 1 ? 1 : scale;
    struct taps t = {.most = 2 * (int64_t)ceil(reach) + 1};
    t.first = mem_alloc((size_t)to, sizeof *t.first);
    t.count = mem_alloc((size_t)to, sizeof *t.count);
    t.share = mem_zalloc((size_t)(to * t.most), sizeof *t.share);
    for (int64_t i = 0; i < to; i++) {
        double centre = ((double)i + 0.5) * scale, total = 0;
        int64_t low = (int64_t)(centre - reach + 0.5), high = (int64_t)(centre + reach + 0.5);
        low = low < 0 ? 0 : low;
        high = high > from ? from : high;
        for (int pass = 0; pass < 2; pass++)
            for (int64_t k = low; k < high; k++) {
                double weight = 1 - fabs(((double)k - centre + 0.5) / reach);
                weight = weight < 0 ? 0 : weight;
                if (pass == 0)
                    total += weight;
                else
                    t.share[i * t.most + k - low] = (float)(weight / total);
            }
        t.first[i] = (int32_t)low;
        t.count[i] = (int32_t)(high - low);
    }
    return t;
}

static void taps_close(struct taps *t)
{
    free(t->first);
    free(t->count);
    free(t->share);
}

void sam2_picture(const uint8_t *pixels, struct extent from, int64_t size, float *out, int threads)
{
    static const float mean[] = {0.485f, 0.456f, 0.406f}, deviation[] = {0.229f, 0.224f, 0.225f};
    struct taps across = taps_open(from.width, size), down = taps_open(from.height, size);
    int64_t line = 3 * size;
    float *wide = mem_alloc((size_t)(from.height * line), sizeof *wide);
#pragma omp parallel for num_threads(threads) schedule(static)
    for (int64_t i = 0; i < from.height * size; i++) {
        const uint8_t *row = pixels + (i / size * from.width + across.first[i % size]) * 3;
        for (int c = 0; c < 3; c++) {
            float sum = 0;
            for (int k = 0; k < across.count[i % size]; k++)
                sum += (float)row[3 * k + c] * across.share[i % size * across.most + k];
            wide[3 * i + c] = (sum / 255 - mean[c]) / deviation[c];
        }
    }
#pragma omp parallel for num_threads(threads) schedule(static)
    for (int64_t y = 0; y < size; y++)
        for (int64_t i = 0; i < line; i++) {
            float sum = 0;
            for (int k = 0; k < down.count[y]; k++)
                sum += wide[(down.first[y] + k) * line + i] * down.share[y * down.most + k];
            out[y * line + i] = sum;
        }
    free(wide);
    taps_close(&across);
    taps_close(&down);
}
