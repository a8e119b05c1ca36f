/* knn ITEMS QUERIES DIM THREADS: the 200 nearest of random unit rows for each query, with DINOv2's votes; prints
 * seconds and the sum of the similarities to the 200th. */
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/memory.h"
#include "base/rng.h"
#include "nn/knn.h"

static struct labelled_rows draw(int64_t count, int64_t dim, uint64_t seed)
{
    float *rows = mem_map((size_t)(count * dim), sizeof *rows);
    int64_t *samples = mem_alloc((size_t)count, sizeof *samples);
    int32_t *labels = mem_alloc((size_t)count, sizeof *labels);
    for (int64_t i = 0; i < count; i++) {
        struct rng rng = rng_open(seed, RNG_TEST, (uint64_t)i, 0);
        for (int64_t k = 0; k < dim; k++) rows[i * dim + k] = (float)rng_uniform(&rng) - .5f;
        samples[i] = i;
        labels[i] = (int32_t)(i % 1000);
    }
    knn_unit(rows, count, dim);
    return (struct labelled_rows){rows, samples, labels, count, dim};
}

int main(int argc, char **argv)
{
    if (argc != 5) return 2;
    int64_t dim = atoll(argv[3]);
    struct error error = {0};
    struct device device;
    struct world world = {.size = 1};
    if (device_open(&device, "cpu", "fp32", NULL, atoi(argv[4]), 0, &error) < 0) return 1;
    struct labelled_rows items = draw(atoll(argv[1]), dim, 1), queries = draw(atoll(argv[2]), dim, 2);
    struct knn_settings settings = {(int64_t[]){10, 20, 100, 200}, 4, .07};
    struct classification_scores scores[4];
    double start = clock_seconds();
    if (knn_score(&device, &world, &items, &queries, 1000, &settings, scores, NULL, &error) < 0) return 1;
    printf("%.2f %.6f\n", clock_seconds() - start, scores[0].acc1);
    return 0;
}
