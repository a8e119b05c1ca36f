/* track FRAMES HEIGHT WIDTH COLS THREADS [FILE]: labels of 4 objects carried through a clip whose features are given,
 * random ones that drift; FILE gets them for the peer.  Prints seconds a frame, extra peak bytes (beyond the features)
 * and the mean soft label of object 1 in the last frame. */
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/rng.h"
#include "serve/propagation.h"

enum { LABELS = 5 };

/* A field of vectors that moves a cell to the left every fourth frame, under noise. */
static float *drifting(int64_t frames, struct extent grid, int64_t cols)
{
    float *x = mem_map((size_t)(frames * extent_area(grid) * cols), sizeof *x), *to = x;
    for (int64_t f = 0; f < frames; f++)
        for (int64_t c = 0; c < extent_area(grid); c++) {
            int64_t column = c % grid.width + f / 4;
            struct rng field = rng_open(1, RNG_TEST, (uint64_t)(c / grid.width), (uint64_t)column),
                       noise = rng_open(2, RNG_TEST, (uint64_t)f, (uint64_t)c);
            for (int64_t i = 0; i < cols; i++)
                *to++ = (float)(rng_uniform(&field) - .5) + (float)(rng_uniform(&noise) - .5);
        }
    return x;
}

int main(int argc, char **argv)
{
    if (argc < 6) return 2;
    int64_t frames = atoll(argv[1]), cols = atoll(argv[4]);
    struct extent grid = {atoll(argv[2]), atoll(argv[3])};
    int64_t cells = extent_area(grid);
    struct error error = {0};
    struct device device;
    struct propagation_settings settings = {.memory = 7, .radius = 12, .top_k = 5, .temperature = 0.1};
    if (device_open(&device, "cpu", "fp32", NULL, atoi(argv[5]), 0, &error) < 0) return 1;
    float *x = drifting(frames, grid, cols), *labels = mem_zalloc((size_t)(cells * LABELS), sizeof *labels);
    for (int64_t c = 0; c < cells; c++) labels[c * LABELS + c % grid.width * LABELS / grid.width] = 1;
    if (argc > 6) {
        FILE *file = fopen(argv[6], "wb");
        if (!file || fwrite(x, sizeof *x, (size_t)(frames * cells * cols), file) == 0 || fclose(file)) return 1;
    }
    size_t before, peak, now;
    mem_usage(&before, &peak);
    double start = clock_seconds(), mean = 0;
    struct propagation *p = propagation_open(&device, &settings, grid, cols, LABELS);
    propagation_begin(p, x, labels);
    const float *soft = labels;
    for (int64_t f = 1; f < frames; f++) soft = propagation_next(p, x + f * cells * cols);
    double seconds = (clock_seconds() - start) / (double)(frames - 1);
    for (int64_t c = 0; c < cells; c++) mean += (double)soft[c * LABELS + 1] / (double)cells;
    mem_usage(&now, &peak);
    printf("%.5f %zu %.6f\n", seconds, peak - before, mean);
    propagation_close(p);
    device_close(&device);
    return 0;
}
