/* A training step of FCOS on given features (PE-Core-S16 at 320 px: 20 x 20 cells, 384 columns), 8 pictures in slices
 * of 2 as a run cuts them, 256 channels, 4 convolutions a tower, 80 classes; targets, losses, gradients, AdamW: seconds
 * of a step (median), bytes of memory at most, loss of the first step.
 *   fcos THREADS STEPS */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/rng.h"
#include "nn/fcos.h"
#include "optim/optimizer.h"

enum { PICTURES = 8, SLICE = 2, GRID = 20, PATCH = 16, COLUMNS = 384, BOXES = 7, PARAMETERS_MOST = 128 };
static const struct fcos shape = {
    .width = COLUMNS, .channels = 256, .convs = 4, .classes = 80, .patch = PATCH, .size = {GRID * PATCH, GRID *PATCH}};

struct bench {
    struct device device;
    struct world world;
    struct comm comm;
    struct tape tape;
    struct parameters parameters;
    struct optimizer optimizer;
    struct tensor *p[PARAMETERS_MOST];
    struct cell_level levels[PYRAMID_LEVELS];
    int64_t cells;
    float *x;
    struct box boxes[PICTURES][BOXES];
    /* targets of a picture, and of a slice level after level */
    int32_t *classes[2];
    float *distances[2], *centreness[2];
};

static void *numbers(int64_t count)
{
    return mem_map((size_t)count, sizeof(float));
}

static void open_head(struct bench *b)
{
    struct named_shape list[PARAMETERS_MOST];
    int count = fcos_parameters(&shape, list);
    for (int i = 0; i < count; i++) b->p[i] = parameters_add(&b->parameters, list[i].name, list[i].ndim, list[i].shape);
    parameters_allocate(&b->parameters);
    for (int i = 0; i < count; i++) fcos_draw(b->parameters.list[i], 1);
    parameters_place(&b->parameters, &b->device, true);
    parameters_push(&b->parameters);
    b->optimizer =
        (struct optimizer){.kind = OPTIMIZER_ADAMW, .beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8, .decay = 0.05};
    optimizer_open(&b->optimizer, &b->comm, &b->parameters);
}

/* Features, and boxes of all sizes. */
static void open_data(struct bench *b)
{
    struct rng rng = rng_open(1, RNG_TEST, 0, 0);
    int64_t count = PICTURES * GRID * GRID * COLUMNS;
    b->cells = cells_levels(shape.size, PATCH, b->levels);
    b->x = numbers(count);
    for (int64_t i = 0; i < count; i++) b->x[i] = (float)rng_normal(&rng);
    for (int i = 0; i < PICTURES * BOXES; i++) {
        float side = (float)shape.size.width, width = side / (float)(1 + rng_below(&rng, 12)),
              height = side / (float)(1 + rng_below(&rng, 12)), left = (float)rng_uniform(&rng) * (side - width),
              top = (float)rng_uniform(&rng) * (side - height);
        b->boxes[i / BOXES][i % BOXES] =
            (struct box){{left, top, left + width, top + height}, (int32_t)rng_below(&rng, 80)};
    }
    for (int i = 0; i < 2; i++) {
        int64_t cells = b->cells * (i ? PICTURES : 1);
        b->classes[i] = numbers(cells);
        b->distances[i] = numbers(4 * cells);
        b->centreness[i] = numbers(cells);
    }
}

/* Targets of all pictures, slice after slice; returns the cells that are to find a box. */
static int64_t find_targets(struct bench *b)
{
    int64_t positives = 0;
    for (int n = 0; n < PICTURES; n++) {
        cells_targets(b->levels, b->boxes[n], BOXES, NULL, b->classes[0], b->distances[0], b->centreness[0]);
        for (int64_t i = 0; i < b->cells; i++) positives += b->classes[0][i] >= 0;
        for (int i = 0; i < PYRAMID_LEVELS; i++) {
            int64_t own = extent_area(b->levels[i].grid), from = b->levels[i].first,
                    to = n / SLICE * SLICE * b->cells + SLICE * from + n % SLICE * own;
            memcpy(b->classes[1] + to, b->classes[0] + from, (size_t)own * sizeof(int32_t));
            memcpy(b->distances[1] + 4 * to, b->distances[0] + 4 * from, 4 * (size_t)own * sizeof(float));
            memcpy(b->centreness[1] + to, b->centreness[0] + from, (size_t)own * sizeof(float));
        }
    }
    return positives;
}

static double step(struct bench *b, int64_t number, double *loss)
{
    static const float seeds[SLICE] = {1, 1};
    struct tree gradients = {.leaves = 1, .count = 1, .node = {{0, 1, b->parameters.gradients}}};
    double start = clock_seconds();
    float weight = 1 / (float)find_targets(b);
    parameters_aim(&b->parameters, b->parameters.gradients);
    *loss = 0;
    for (int64_t n = 0; n < PICTURES; n += SLICE) {
        struct fcos_truth truth = {b->classes[1] + n * b->cells, b->distances[1] + 4 * n * b->cells,
                                   b->centreness[1] + n * b->cells};
        struct tensor x = {.rows = SLICE * GRID * GRID,
                           .cols = COLUMNS,
                           .data = b->x + n * GRID * GRID * COLUMNS,
                           .segment = -1,
                           .slot = -1};
        tape_reset(&b->tape);
        b->tape.recording = true;
        struct tensor *y = fcos_loss(&b->tape, &shape, b->p, &x, SLICE, &truth, weight);
        for (int i = 0; i < SLICE; i++) *loss += (double)((const float *)y->data)[i];
        tape_seed(&b->tape, y, seeds);
        tape_backward(&b->tape, 0, b->tape.segment_count);
    }
    parameters_settle(&b->parameters);
    optimizer_step(&b->optimizer, &gradients, false, 1e-4, number + 1);
    return clock_seconds() - start;
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

int main(int argc, char **argv)
{
    struct error error = {0};
    struct bench b = {.world = {.size = 1, .node_ranks = 1}};
    if (argc != 3) return fprintf(stderr, "fcos THREADS STEPS\n"), 2;
    if (device_open(&b.device, "cpu", "fp32", NULL, atoi(argv[1]), 0, &error) < 0 ||
        comm_open(&b.comm, &b.world, &b.device, "exact", &error) < 0)
        return fprintf(stderr, "%s\n", error.text), 1;
    tape_init(&b.tape, &b.device);
    open_head(&b);
    open_data(&b);
    int steps = atoi(argv[2]);
    double *times = mem_alloc((size_t)steps + 1, sizeof *times), loss, first = 0;
    size_t now, peak;
    for (int i = 0; i <= steps; i++) {
        times[i] = step(&b, i, &loss);
        if (i == 0) first = loss;
    }
    qsort(times + 1, (size_t)steps, sizeof *times, by_size); /* the first is not counted */
    mem_usage(&now, &peak);
    printf("%.3f %zu %.3f\n", times[1 + steps / 2], peak, first);
}
