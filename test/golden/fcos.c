/* FCOS on the simple feature pyramid against torchvision's, on given features (test/golden/fcos/, made by
 * scripts/reference/fcos.py): targets of every cell, loss, gradients, steps of AdamW, boxes that are found. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "nn/fcos.h"
#include "optim/optimizer.h"
#include "test/harness.h"

enum { WIDTH = 24, CLASSES = 5, STEPS = 4, PICTURES = 2, FOUND = 60, PARAMETERS = 46, BOXES_MOST = 64 };

static const struct fcos shape = {
    .width = WIDTH, .channels = 32, .convs = 2, .classes = CLASSES, .patch = 16, .size = {320, 320}};

/* --- targets --- */

struct truth {
    int64_t cells; /* of a picture */
    int32_t *boxes, *classes;
    float *distances, *centreness;
};

static float *vector(struct arena *arena, const struct safetensors *file, const char *name, int n, int64_t *count)
{
    char full[64];
    snprintf(full, sizeof full, n < 0 ? "%s" : "%s.%d", name, n);
    float *out = test_vector(arena, file, full, count);
    EXPECT(out, "no vector %s", full);
    return out;
}

/* Targets of picture n of the file. */
static struct truth targets(struct arena *arena, const struct safetensors *file, int n,
                            const struct cell_level levels[PYRAMID_LEVELS], int64_t cells)
{
    struct truth t = {cells, arena_take(arena, (size_t)cells, 4), arena_take(arena, (size_t)cells, 4),
                      arena_take(arena, (size_t)cells, 16), arena_take(arena, (size_t)cells, 4)};
    struct box boxes[BOXES_MOST];
    int64_t count;
    const float *edges = vector(arena, file, "boxes", n, &count), *labels = vector(arena, file, "labels", n, &count);
    for (int64_t i = 0; i < count; i++) {
        memcpy(boxes[i].edges, edges + 4 * i, sizeof boxes[i].edges);
        boxes[i].class = (int32_t)labels[i];
    }
    cells_targets(levels, boxes, count, t.boxes, t.classes, t.distances, t.centreness);
    return t;
}

static void check_targets(const char *path, struct extent size, int64_t patch, int pictures)
{
    struct error error = {0};
    struct safetensors file;
    struct arena arena;
    struct cell_level levels[PYRAMID_LEVELS];
    int64_t cells = cells_levels(size, patch, levels), count, found = 0;
    arena_open(&arena, 1 << 26);
    EXPECT(safetensors_open(&file, path, &error) == 0, "%s", error.text);
    for (int n = 0; n < pictures && !error.code; n++) {
        struct truth t = targets(&arena, &file, n, levels, cells);
        const float *want = vector(&arena, &file, "matched", n, &count);
        EXPECT(count == cells, "%ld cells of %ld", (long)cells, (long)count);
        for (int64_t i = 0; i < cells && i < count; i++) {
            EXPECT(t.boxes[i] == (int32_t)want[i], "picture %d, cell %ld: box %d instead of %d", n, (long)i, t.boxes[i],
                   (int)want[i]);
            found += t.boxes[i] >= 0;
        }
    }
    EXPECT(found > 80, "%ld cells find a box", (long)found);
    if (!error.code) safetensors_close(&file);
    arena_close(&arena);
}

static void targets_are_those_of_torchvision(void)
{
    check_targets("test/golden/fcos/train.safetensors", shape.size, shape.patch, PICTURES);
    check_targets("test/golden/fcos/cells14.safetensors", extent_square(224), 14, 3);
}

/* --- a trial --- */

struct trial {
    struct device device;
    struct world world;
    struct comm comm;
    struct tape tape;
    struct parameters parameters;
    struct optimizer optimizer;
    struct tensor *p[PARAMETERS], x;
    struct safetensors file;
    struct arena arena;
    float *there; /* x */
    size_t bytes;
};

static bool trial_open(struct trial *t)
{
    struct error error = {0};
    struct named_shape list[PARAMETERS];
    int64_t count;
    *t = (struct trial){.world = {.size = 1, .node_ranks = 1}};
    arena_open(&t->arena, (size_t)1 << 28);
    if (safetensors_open(&t->file, "test/golden/fcos/train.safetensors", &error) < 0 ||
        device_open(&t->device, device_count() ? "cuda" : "cpu", "fp32", NULL, 2, 0, &error) < 0 ||
        comm_open(&t->comm, &t->world, &t->device, "exact", &error) < 0) {
        EXPECT(0, "%s", error.text);
        return false;
    }
    tape_init(&t->tape, &t->device);
    EXPECT(fcos_parameters(&shape, NULL) == PARAMETERS, "%d parameters", fcos_parameters(&shape, NULL));
    fcos_parameters(&shape, list);
    for (int i = 0; i < PARAMETERS; i++)
        t->p[i] = parameters_add(&t->parameters, list[i].name, list[i].ndim, list[i].shape);
    parameters_allocate(&t->parameters);
    for (int i = 0; i < PARAMETERS; i++) {
        const float *start = vector(&t->arena, &t->file, list[i].name, -1, &count);
        EXPECT(count == tensor_count(t->p[i]), "%s: %ld of %ld", list[i].name, (long)tensor_count(t->p[i]),
               (long)count);
        memcpy(t->parameters.list[i]->values, start, (size_t)count * sizeof *start);
    }
    parameters_place(&t->parameters, &t->device, true);
    parameters_push(&t->parameters);
    const float *x = vector(&t->arena, &t->file, "x", -1, &count);
    t->bytes = (size_t)count * sizeof *x;
    t->there = test_to_device(&t->device, x, count, false);
    t->x = (struct tensor){.rows = count / WIDTH, .cols = WIDTH, .data = t->there, .segment = -1, .slot = -1};
    t->optimizer =
        (struct optimizer){.kind = OPTIMIZER_ADAMW, .beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8, .decay = 0.05};
    optimizer_open(&t->optimizer, &t->comm, &t->parameters);
    return true;
}

static void trial_close(struct trial *t)
{
    t->device.kernels->unmap(&t->device, t->there, t->bytes);
    optimizer_close(&t->optimizer);
    tape_free(&t->tape);
    parameters_free(&t->parameters);
    comm_close(&t->comm);
    device_close(&t->device);
    safetensors_close(&t->file);
    arena_close(&t->arena);
}

/* --- training --- */

static void *to_device(struct trial *t, const void *host, size_t bytes)
{
    void *there = t->device.kernels->map(&t->device, bytes);
    t->device.kernels->upload(&t->device, there, host, bytes);
    t->device.kernels->wait(&t->device);
    return there;
}

/* Targets of both pictures, level after level, and how many cells find a box. */
static struct fcos_truth bring_truth(struct trial *t, int64_t *positives, size_t *cells_in_all)
{
    struct cell_level levels[PYRAMID_LEVELS];
    int64_t cells = cells_levels(shape.size, shape.patch, levels), all = PICTURES * cells;
    int32_t *classes = arena_take(&t->arena, (size_t)all, sizeof *classes);
    float *distances = arena_take(&t->arena, 4 * (size_t)all, sizeof *distances),
          *centreness = arena_take(&t->arena, (size_t)all, sizeof *centreness);
    for (int n = 0; n < PICTURES; n++) {
        struct truth truth = targets(&t->arena, &t->file, n, levels, cells);
        for (int i = 0; i < PYRAMID_LEVELS; i++) {
            int64_t count = extent_area(levels[i].grid), from = levels[i].first, to = PICTURES * from + n * count;
            memcpy(classes + to, truth.classes + from, (size_t)count * sizeof *classes);
            memcpy(distances + 4 * to, truth.distances + 4 * from, 4 * (size_t)count * sizeof *distances);
            memcpy(centreness + to, truth.centreness + from, (size_t)count * sizeof *centreness);
        }
    }
    for (int64_t i = 0; i < all; i++) *positives += classes[i] >= 0;
    *cells_in_all = (size_t)all;
    return (struct fcos_truth){to_device(t, classes, (size_t)all * sizeof *classes),
                               to_device(t, distances, 4 * (size_t)all * sizeof *distances),
                               to_device(t, centreness, (size_t)all * sizeof *centreness)};
}

static void check_gradients(struct trial *t)
{
    double worst = 0;
    for (int i = 0; i < PARAMETERS; i++) {
        char name[64];
        int64_t count;
        snprintf(name, sizeof name, "grad.%s", t->parameters.list[i]->name);
        const float *want = vector(&t->arena, &t->file, name, -1, &count);
        float *got = arena_take(&t->arena, (size_t)count, sizeof *got);
        test_from_device(&t->device, got, t->p[i]->grad, count, true);
        bool before_norm = strstr(name, "_0_bias") || strstr(name, "_1_bias"); /* of one channel: no gradient at all */
        for (int64_t k = 0; before_norm && k < count; k++)
            EXPECT(fabsf(got[k]) < 1e-6f, "%s[%ld] %g", name, (long)k, (double)got[k]);
        double error = before_norm ? 0 : test_close(name, got, want, count, 1e-5);
        worst = error > worst ? error : worst;
    }
    printf("  gradients differ by %.2g\n", worst);
}

static void train(bool recompute)
{
    struct trial t;
    if (!trial_open(&t)) return;
    int64_t positives = 0, count;
    size_t cells;
    struct fcos_truth truth = bring_truth(&t, &positives, &cells);
    float losses[STEPS], ones[PICTURES] = {1, 1}, *seeds = to_device(&t, ones, sizeof ones);
    struct tree gradients = {.leaves = 1, .count = 1, .node = {{0, 1, t.parameters.gradients}}};
    t.tape.recompute = recompute;
    for (int step = 0; step < STEPS; step++) {
        float each[PICTURES];
        parameters_aim(&t.parameters, t.parameters.gradients);
        tape_reset(&t.tape);
        t.tape.recording = true;
        struct tensor *loss = fcos_loss(&t.tape, &shape, t.p, &t.x, PICTURES, &truth, 1 / (float)positives);
        test_from_device(&t.device, each, loss->data, PICTURES, true);
        losses[step] = each[0] + each[1];
        tape_seed(&t.tape, loss, seeds);
        tape_backward(&t.tape, 0, t.tape.segment_count);
        parameters_settle(&t.parameters);
        if (step == 0) check_gradients(&t);
        optimizer_step(&t.optimizer, &gradients, false, 1e-3, step + 1);
    }
    printf("  losses differ by %.2g\n",
           test_close("losses", losses, vector(&t.arena, &t.file, "losses", -1, &count), STEPS, 1e-5));
    t.device.kernels->unmap(&t.device, seeds, sizeof ones);
    t.device.kernels->unmap(&t.device, (void *)(uintptr_t)truth.classes, cells * 4);
    t.device.kernels->unmap(&t.device, (void *)(uintptr_t)truth.distances, cells * 16);
    t.device.kernels->unmap(&t.device, (void *)(uintptr_t)truth.centreness, cells * 4);
    trial_close(&t);
}

static void learns_as_torchvision(void)
{
    train(false);
}

static void learns_the_same_recomputed(void)
{
    train(true);
}

/* --- finding --- */

struct outputs {
    struct trial *t;
    float *kept[PYRAMID_LEVELS][3];
};

static float *keep(struct trial *t, const struct tensor *x)
{
    float *out = arena_take(&t->arena, (size_t)tensor_count(x), sizeof *out);
    test_from_device(&t->device, out, x->data, tensor_count(x), false);
    return out;
}

static void take(void *context, int level, const struct tensor *logits, const struct tensor *distances,
                 const struct tensor *centreness)
{
    struct outputs *o = context;
    o->kept[level][0] = keep(o->t, logits);
    o->kept[level][1] = keep(o->t, distances);
    o->kept[level][2] = keep(o->t, centreness);
}

static void check_found(struct trial *t, const struct safetensors *want, int n, const struct found_box *found,
                        int64_t count)
{
    float edges[4 * FOUND], scores[FOUND], labels[FOUND];
    int64_t wanted;
    const float *boxes = vector(&t->arena, want, "boxes", n, &wanted);
    EXPECT(4 * count == wanted, "%ld boxes", (long)count);
    for (int64_t i = 0; i < count; i++) {
        memcpy(edges + 4 * i, found[i].box.edges, sizeof found[i].box.edges);
        scores[i] = found[i].score;
        labels[i] = (float)found[i].box.class;
    }
    double off = test_close("boxes", edges, boxes, 4 * count, 1e-5);
    printf("  boxes differ by %.2g, scores by %.2g\n", off,
           test_close("scores", scores, vector(&t->arena, want, "scores", n, &wanted), count, 1e-5));
    test_close("labels", labels, vector(&t->arena, want, "labels", n, &wanted), count, 0);
}

static void finds_as_torchvision(void)
{
    struct error error = {0};
    struct safetensors want;
    struct trial t;
    struct cell_level levels[PYRAMID_LEVELS];
    struct found_box found[FOUND];
    const struct found_rules rules = {.threshold = 0.05, .overlap = 0.6, .level_most = 200, .most = FOUND};
    if (!trial_open(&t)) return;
    EXPECT(safetensors_open(&want, "test/golden/fcos/find.safetensors", &error) == 0, "%s", error.text);
    struct outputs o = {.t = &t};
    fcos_predict(&t.tape, &shape, t.p, &t.x, PICTURES, take, &o);
    cells_levels(shape.size, shape.patch, levels);
    for (int n = 0; n < PICTURES; n++) {
        struct cell_outputs own[PYRAMID_LEVELS];
        for (int i = 0; i < PYRAMID_LEVELS; i++) {
            int64_t first = n * extent_area(levels[i].grid);
            own[i] =
                (struct cell_outputs){o.kept[i][0] + first * CLASSES, o.kept[i][1] + 4 * first, o.kept[i][2] + first};
        }
        check_found(&t, &want, n, found, cells_find(levels, shape.size, own, CLASSES, &rules, found));
    }
    safetensors_close(&want);
    trial_close(&t);
}

int main(int argc, char **argv)
{
    static const struct test gpu[] = {{"fcos_learns_as_torchvision_cuda", learns_as_torchvision},
                                      {"fcos_finds_as_torchvision_cuda", finds_as_torchvision},
                                      {0}};
    static const struct test cpu[] = {{"fcos_targets_are_those_of_torchvision", targets_are_those_of_torchvision},
                                      {"fcos_learns_as_torchvision", learns_as_torchvision},
                                      {"fcos_learns_the_same_recomputed", learns_the_same_recomputed},
                                      {"fcos_finds_as_torchvision", finds_as_torchvision},
                                      {0}};
    return test_main(argc, argv, device_count() ? gpu : cpu);
}
