/* contrastive N DIM THREADS: the contrastive loss with gradients over one slice of N random features; prints seconds
 * and extra peak bytes (beyond features and their gradients). */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/memory.h"
#include "base/rng.h"
#include "nn/contrastive.h"

int main(int argc, char **argv)
{
    if (argc != 4) return 2;
    int64_t n = atoll(argv[1]), dim = atoll(argv[2]);
    struct error error = {0};
    struct device device;
    struct world world = {.size = 1};
    if (device_open(&device, "cpu", "fp32", NULL, atoi(argv[3]), 0, &error) < 0) return 1;
    float *x = mem_map((size_t)(4 * n * dim), sizeof *x);
    for (int half = 0; half < 2; half++)
        for (int64_t i = 0; i < n; i++) {
            struct rng rng = rng_open((uint64_t)half, RNG_TEST, (uint64_t)i, 0);
            float *row = x + (half * n + i) * dim, squares = 0;
            for (int64_t d = 0; d < dim; d++) row[d] = (float)rng_uniform(&rng) - .5f, squares += row[d] * row[d];
            for (int64_t d = 0; d < dim; d++) row[d] /= sqrtf(squares);
        }
    for (int64_t i = 2 * n * dim; i < 4 * n * dim; i++) x[i] = 0;
    size_t before, peak, now;
    mem_usage(&before, &peak);
    double start = clock_seconds();
    struct comm comm;
    struct contrastive c;
    float log_scale = 2.66f;
    comm_open(&comm, &world, &device, "exact", &error);
    contrastive_open(&c, &device, &comm, n, dim, 1);
    contrastive_run(&c, x, x + n * dim, x + 2 * n * dim, x + 3 * n * dim, &log_scale);
    struct contrastive_result r = contrastive_result(&c, c.totals);
    double seconds = clock_seconds() - start;
    mem_usage(&now, &peak);
    printf("%.2f %zu %.6f\n", seconds, peak - before, r.loss);
    return 0;
}
