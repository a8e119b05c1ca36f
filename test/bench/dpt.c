/* A training step of a DPT depth head on given features (PE-Core-S16 at 224 px: 14 x 14 cells and the class token, 384
 * columns), 4 pictures, 256 channels, SigLoss, AdamW: seconds of a step (median), and bytes of memory at most.
 *   dpt THREADS STEPS */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/rng.h"
#include "evaluator/heads/depth.h"

enum { PICTURES = 4, GRID = 14, STRIDE = 16, COLUMNS = 384, HOST_BYTES = 1 << 24 };

static struct layer_shape shape(const void *self, int64_t layer)
{
    (void)self, (void)layer;
    return (struct layer_shape){.stride = STRIDE};
}

static float *numbers(int64_t count, double low, double high)
{
    struct rng rng = rng_open(1, RNG_TEST, 0, (uint64_t)count);
    float *x = mem_map((size_t)count, sizeof *x);
    for (int64_t i = 0; i < count; i++) x[i] = (float)rng_range(&rng, low, high);
    return x;
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double step(struct heads *h, struct head *head, struct tensor *x, struct lesson *lesson,
                   const struct tree *gradients, int64_t number)
{
    double start = clock_seconds();
    struct training *run = h->run;
    static const float seeds[PICTURES] = {1.f / PICTURES, 1.f / PICTURES, 1.f / PICTURES, 1.f / PICTURES};
    tape_reset(&run->tape);
    run->step = number;
    run->tape.recording = true;
    parameters_aim(&h->parameters, h->parameters.gradients);
    struct tensor *loss = h->kind->loss(h, &run->tape, head, x, lesson);
    tape_seed(&run->tape, loss, seeds);
    tape_backward(&run->tape, 0, run->tape.segment_count);
    parameters_settle(&h->parameters);
    optimizer_step(&run->optimizer, gradients, false, 1e-4, number + 1);
    return clock_seconds() - start;
}

int main(int argc, char **argv)
{
    struct error error = {0};
    struct world world = {.size = 1, .node_ranks = 1};
    struct training run = {0};
    struct depth_settings own = {.dense = {.min = 0.001, .max = 10}, .channels = 256};
    if (argc != 3) return fprintf(stderr, "dpt THREADS STEPS\n"), 2;
    if (device_open(&run.device, "cpu", "fp32", NULL, atoi(argv[1]), 0, &error) < 0 ||
        comm_open(&run.comm, &world, &run.device, "exact", &error) < 0)
        return fprintf(stderr, "%s\n", error.text), 1;
    struct heads *h = mem_zalloc(1, sizeof *h + sizeof own);
    *h = (struct heads){.run = &run, .kind = &head_depth_dpt, .feature = FEATURE_PAIRS, .outputs = 1};
    memcpy(h + 1, &own, sizeof own);
    h->encoder.shape = shape;
    h->settings.norm = "data";
    tape_init(&run.tape, &run.device);
    struct head head = {.rate = 1, .width = 2 * COLUMNS};
    h->kind->add(h, &head, "head");
    parameters_allocate(&h->parameters);
    for (int64_t i = 0; i < h->parameters.count; i++) {
        struct parameter named = *h->parameters.list[i];
        named.name = strrchr(named.name, '.') + 1;
        h->kind->draw(&named, head.width, 1);
    }
    parameters_place(&h->parameters, &run.device, true);
    parameters_push(&h->parameters);
    run.optimizer =
        (struct optimizer){.kind = OPTIMIZER_ADAMW, .beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8, .decay = 0.01};
    optimizer_open(&run.optimizer, &run.comm, &h->parameters);
    struct tree gradients = {.leaves = 1, .count = 1, .node = {{0, 1, h->parameters.gradients}}};
    struct extent size = extent_square(GRID * STRIDE);
    struct lesson lesson = {.pictures = {.count = PICTURES, .samples = PICTURES, .size = size},
                            .targets = numbers(PICTURES * extent_area(size), 0.5, 9)};
    struct tensor x = {.rows = PICTURES * GRID * GRID,
                       .cols = head.width,
                       .data = numbers(PICTURES * GRID * GRID * head.width, -2, 2),
                       .segment = -1,
                       .slot = -1};
    int steps = atoi(argv[2]);
    double *times = mem_alloc((size_t)steps + 1, sizeof *times);
    size_t now, peak;
    for (int i = 0; i <= steps; i++) times[i] = step(h, &head, &x, &lesson, &gradients, i);
    qsort(times + 1, (size_t)steps, sizeof *times, by_size); /* the first is not counted */
    mem_usage(&now, &peak);
    printf("%.3f %zu\n", times[1 + steps / 2], peak);
}
