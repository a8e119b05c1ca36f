/* SAM 2.1: a picture taken up, and masks of GRID x GRID points.   sam2 MODEL THREADS GRID stable|single TO
 * prints: seconds of the picture and of the masks, those of all cores together, bytes of memory at most, mean of the
 * logits' sizes; TO: the side of masks */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "models/sam2/sam2.h"

enum { SIDE = 448 };

int main(int argc, char **argv)
{
    struct error error = {0};
    struct device device;
    struct sam2 sam;
    struct tape tape;
    if (argc != 6) return fprintf(stderr, "sam2 MODEL THREADS GRID stable|single TO\n"), 2;
    if (device_open(&device, "cpu", "fp32", NULL, atoi(argv[2]), 0, &error) < 0 ||
        sam2_open(&sam, &device, argv[1], NULL, &error) < 0)
        return fprintf(stderr, "%s\n", error.text), 1;
    tape_init(&tape, &device);
    int64_t grid = atoi(argv[3]), count = grid * grid, to = atoi(argv[5]);
    uint8_t *pixels = mem_alloc(3 * SIDE * SIDE, 1);
    for (int i = 0; i < 3 * SIDE * SIDE; i++) pixels[i] = (uint8_t)(i * 37 % 251 + i / 3 % SIDE / 100);
    struct sam2_point *points = mem_alloc((size_t)count, sizeof *points);
    float *rows = mem_alloc((size_t)(count * to * to), sizeof *rows);
    sam2_grid(&sam, grid, points);
    double start = clock_seconds(), sum = 0;
    clock_t cores[3] = {clock()};
    sam2_embed(&sam, &tape, pixels, extent_square(SIDE));
    double taken = clock_seconds();
    cores[1] = clock();
    sam2_masks(&sam, &tape, points, count, strcmp(argv[4], "stable") ? SAM2_SINGLE : SAM2_STABLE, to, rows, NULL);
    double end = clock_seconds();
    cores[2] = clock();
    for (int64_t i = 0; i < count * to * to; i++) sum += fabs((double)rows[i]);
    size_t now, peak;
    mem_usage(&now, &peak);
    printf("%.3f %.3f %.3f %.3f %zu %.6g\n", taken - start, end - taken, (double)(cores[1] - cores[0]) / CLOCKS_PER_SEC,
           (double)(cores[2] - cores[1]) / CLOCKS_PER_SEC, peak, sum / (double)(count * to * to));
    return 0;
}
