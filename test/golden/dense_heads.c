/* Heads over pixels against PyTorch's over 5 steps of AdamW on given features (test/golden/dense_heads/, made by
 * scripts/reference/dense_heads.py): losses, gradients of the first step, outputs before and after. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "evaluator/heads/depth.h"
#include "test/harness.h"

enum { STEPS = 5, PICTURES = 3, STRIDE = 4, HOST_BYTES = 1 << 22 };
#define FOLDER "test/golden/dense_heads/"
extern const struct head_kind head_segment;

/* What differs between the heads. */
struct trial_of {
    const struct head_kind *kind;
    const char *vectors, *norm;
    struct depth_settings own;
    enum feature feature;
    int64_t outputs, width;
    struct extent grid;
    double rate, beta2;
};

/* As much of a run as a head on given features needs. */
struct trial {
    struct training run;
    struct world world;
    struct heads *h;
    struct head head;
    struct tree gradients;
    struct safetensors vectors;
    struct arena arena;
    const struct trial_of *of;
    const float *x, *targets;
};

static struct layer_shape shape(const void *self, int64_t layer)
{
    (void)self, (void)layer;
    return (struct layer_shape){.stride = STRIDE};
}

static const float *vector(struct trial *t, const char *name)
{
    int64_t count;
    const float *out = test_vector(&t->arena, &t->vectors, name, &count);
    EXPECT(out, "no vector %s", name);
    return out;
}

static bool trial_open(struct trial *t, const struct trial_of *of)
{
    struct error error = {0};
    bool gpu = device_count() > 0;
    *t = (struct trial){.world = {.size = 1, .node_ranks = 1}, .of = of};
    arena_open(&t->arena, (size_t)1 << 30);
    if (safetensors_open(&t->vectors, of->vectors, &error) < 0 ||
        device_open(&t->run.device, gpu ? "cuda" : "cpu", "fp32", NULL, 2, 0, &error) < 0 ||
        comm_open(&t->run.comm, &t->world, &t->run.device, "exact", &error) < 0) {
        EXPECT(0, "%s", error.text);
        return false;
    }
    tape_init(&t->run.tape, &t->run.device);
    t->h = mem_zalloc(1, sizeof *t->h + sizeof of->own);
    memcpy(t->h + 1, &of->own, sizeof of->own);
    t->h->run = &t->run;
    t->h->kind = of->kind;
    t->h->outputs = of->outputs;
    t->h->feature = of->feature;
    t->h->encoder.shape = shape;
    t->h->settings.norm = (char *)(uintptr_t)of->norm;
    t->x = vector(t, "x");
    t->targets = vector(t, "targets");
    for (int i = 0; i < 2; i++) device_host_arena_open(&t->run.device, &t->h->host[i], HOST_BYTES);
    device_arena_open(&t->run.device, &t->h->there, DEVICE_ARENA);
    return true;
}

static void trial_close(struct trial *t)
{
    optimizer_close(&t->run.optimizer);
    free(t->head.parameters);
    parameters_free(&t->h->parameters);
    for (int i = 0; i < 2; i++) arena_close(&t->h->host[i]);
    arena_close(&t->h->there);
    tape_free(&t->run.tape);
    comm_close(&t->run.comm);
    device_close(&t->run.device);
    safetensors_close(&t->vectors);
    arena_close(&t->arena);
    free(t->h);
}

static const char *last_name(const struct parameter *p)
{
    return strrchr(p->name, '.') + 1;
}

/* A head with the weights of the file; constants are drawn. */
static void add_head(struct trial *t)
{
    t->head = (struct head){.rate = 1, .width = t->of->width};
    t->h->kind->add(t->h, &t->head, "head");
    parameters_allocate(&t->h->parameters);
    for (int64_t i = 0; i < t->h->parameters.count; i++) {
        struct parameter *p = t->h->parameters.list[i], named = *p;
        int64_t n = 0;
        const float *start = test_vector(&t->arena, &t->vectors, last_name(p), &n);
        named.name = (char *)(uintptr_t)last_name(p);
        t->h->kind->draw(&named, t->of->width, 0);
        EXPECT(!start == !p->tensor.needs_grad, "%s is in the file: %d", p->name, start != NULL);
        EXPECT(!start || n == tensor_count(&p->tensor), "%s: %ld", p->name, (long)n);
        if (start) memcpy(p->values, start, (size_t)n * sizeof *start);
    }
    parameters_place(&t->h->parameters, &t->run.device, true);
    parameters_push(&t->h->parameters);
    t->run.optimizer =
        (struct optimizer){.kind = OPTIMIZER_ADAMW, .beta1 = 0.9, .beta2 = t->of->beta2, .eps = 1e-8, .decay = 0.01};
    optimizer_open(&t->run.optimizer, &t->run.comm, &t->h->parameters);
    t->gradients = (struct tree){.leaves = 1, .count = 1, .node = {{0, 1, t->h->parameters.gradients}}};
}

/* A step's features as a tensor, and its targets as the subject has them. */
static struct tensor *features(struct trial *t, int step, struct lesson *lesson)
{
    struct device *d = &t->run.device;
    struct tensor *x = arena_take(&t->arena, 1, sizeof *x);
    struct extent size = {STRIDE * t->of->grid.height, STRIDE * t->of->grid.width};
    int64_t rows = PICTURES * extent_area(t->of->grid), pixels = PICTURES * extent_area(size);
    bool classes = t->of->kind == &head_segment;
    arena_release(&t->h->host[0], 0);
    arena_release(&t->h->there, 0);
    *lesson = (struct lesson){.pictures = {.count = PICTURES, .samples = PICTURES, .size = size},
                              .host = &t->h->host[0],
                              .there = &t->h->there};
    const float *from = t->targets + step * pixels;
    uint16_t *numbers = arena_take(lesson->host, (size_t)pixels, sizeof *numbers);
    for (int64_t i = 0; i < pixels; i++) numbers[i] = (uint16_t)from[i];
    lesson->targets = device_bring(d, lesson->there, classes ? (const void *)numbers : from,
                                   (size_t)pixels * (classes ? sizeof *numbers : sizeof *from));
    *x = (struct tensor){.rows = rows, .cols = t->of->width, .segment = -1, .slot = -1};
    x->data = (void *)(uintptr_t)device_bring(d, lesson->there, t->x + step * rows * t->of->width,
                                              (size_t)(rows * t->of->width) * sizeof(float));
    d->kernels->wait(d);
    tape_reset(&t->run.tape);
    return x;
}

static void check_gradients(struct trial *t)
{
    for (int64_t i = 0; i < t->h->parameters.count; i++) {
        const struct parameter *p = t->h->parameters.list[i];
        char name[80];
        if (!p->tensor.needs_grad) continue;
        float *got = arena_take(&t->arena, (size_t)tensor_count(&p->tensor), sizeof *got);
        snprintf(name, sizeof name, "grad.%s", last_name(p));
        test_from_device(&t->run.device, got, p->tensor.grad, tensor_count(&p->tensor), true);
        test_close(name, got, vector(t, name), tensor_count(&p->tensor), 1e-5);
    }
}

/* The mean loss on a step's batch, and the update. */
static float learn(struct trial *t, int step)
{
    struct lesson lesson;
    struct device *d = &t->run.device;
    t->run.step = step;
    struct tensor *x = features(t, step, &lesson);
    float each[PICTURES], sum = 0, *seeds = arena_take(&t->h->there, PICTURES, sizeof *seeds);
    d->kernels->fill(d, seeds, 1.f / PICTURES, PICTURES);
    parameters_aim(&t->h->parameters, t->h->parameters.gradients);
    t->run.tape.recording = true;
    struct tensor *loss = t->h->kind->loss(t->h, &t->run.tape, &t->head, x, &lesson);
    EXPECT(loss->rows == PICTURES && loss->cols == 1 && loss->wide, "losses [%ld, %ld]", (long)loss->rows,
           (long)loss->cols);
    test_from_device(d, each, loss->data, PICTURES, true);
    for (int i = 0; i < PICTURES; i++) sum += each[i] / PICTURES;
    tape_seed(&t->run.tape, loss, seeds);
    tape_backward(&t->run.tape, 0, t->run.tape.segment_count);
    parameters_settle(&t->h->parameters);
    if (step == 0) check_gradients(t);
    optimizer_step(&t->run.optimizer, &t->gradients, false, t->of->rate, step + 1);
    return sum;
}

static void check_output(struct trial *t, const char *name, double bound)
{
    struct lesson lesson;
    struct tensor *x = features(t, 0, &lesson);
    t->run.tape.recording = false;
    struct tensor *out = t->h->kind->output(t->h, &t->run.tape, &t->head, x, &lesson);
    float *got = arena_take(&t->arena, (size_t)tensor_count(out), sizeof *got);
    test_from_device(&t->run.device, got, out->data, tensor_count(out), out->wide);
    test_close(name, got, vector(t, name), tensor_count(out), bound);
}

static void parity(const struct trial_of *of)
{
    struct trial t;
    float losses[STEPS];
    if (!trial_open(&t, of)) return;
    add_head(&t);
    check_output(&t, "before", 1e-5);
    for (int step = 0; step < STEPS; step++) losses[step] = learn(&t, step);
    printf("  losses differ by %.2g\n", test_close("losses", losses, vector(&t, "losses"), STEPS, 1e-5));
    check_output(&t, "after", 1e-4);
    trial_close(&t);
}

static void segment(void)
{
    parity(&(struct trial_of){.kind = &head_segment,
                              .vectors = FOLDER "segment.safetensors",
                              .norm = "batch",
                              .feature = FEATURE_GRID,
                              .outputs = 7,
                              .width = 24,
                              .grid = {4, 5},
                              .rate = 1e-2,
                              .beta2 = 0.999});
}

static struct depth_settings depth_own(void)
{
    return (struct depth_settings){.dense = {.min = 0.001, .max = 10}, .bins = 16, .warming = 2, .channels = 8};
}

static void depth(void)
{
    parity(&(struct trial_of){.kind = &head_depth_linear,
                              .vectors = FOLDER "depth.safetensors",
                              .norm = "data",
                              .own = depth_own(),
                              .feature = FEATURE_PAIRS,
                              .outputs = 1,
                              .width = 24,
                              .grid = {4, 5},
                              .rate = 1e-2,
                              .beta2 = 0.99});
}

static void dpt(void)
{
    parity(&(struct trial_of){.kind = &head_depth_dpt,
                              .vectors = FOLDER "dpt.safetensors",
                              .norm = "data",
                              .own = depth_own(),
                              .feature = FEATURE_PAIRS,
                              .outputs = 1,
                              .width = 32,
                              .grid = {3, 3},
                              .rate = 1e-3,
                              .beta2 = 0.999});
}

/* The loss on given depths: the reference page's four pixels, one without truth, and one beyond the range. */
static void sigloss(void)
{
    enum { PIXELS = 6 };
    struct device device;
    struct error error = {0};
    struct safetensors vectors;
    struct arena arena;
    int64_t count;
    arena_open(&arena, 1 << 20);
    EXPECT(device_open(&device, "cpu", "fp32", NULL, 1, 0, &error) == 0 &&
               safetensors_open(&vectors, FOLDER "sigloss.safetensors", &error) == 0,
           "%s", error.text);
    const float *want = test_vector(&arena, &vectors, "loss", &count);
    float truth[PIXELS] = {0, 0, 0, 0, 0, 12}, found[PIXELS] = {0, 0, 0, 0, 3, 3};
    memcpy(truth, test_vector(&arena, &vectors, "truth", &count), 4 * sizeof *truth);
    memcpy(found, test_vector(&arena, &vectors, "found", &count), 4 * sizeof *found);
    for (int i = 0; i < 2; i++) {
        float loss;
        struct grid_view view = {1, {1, PIXELS}, {1, PIXELS}};
        device.kernels->depth_loss(&device, &loss, NULL, found, truth, view, 10, i ? 0 : 1);
        test_close(i ? "the mean alone" : "SigLoss", &loss, want + i, 1, 1e-6);
        test_close("of the page", &loss, &(float){i ? .0389967f : .2462912f}, 1, 2e-6);
    }
    safetensors_close(&vectors);
    device_close(&device);
    arena_close(&arena);
}

int main(int argc, char **argv)
{
    static const struct test gpu[] = {
        {"dense_segment_cuda", segment}, {"dense_depth_cuda", depth}, {"dense_dpt_cuda", dpt}, {0}};
    static const struct test cpu[] = {
        {"dense_segment", segment}, {"dense_depth", depth}, {"dense_dpt", dpt}, {"sigloss_of_the_page", sigloss}, {0}};
    return test_main(argc, argv, device_count() ? gpu : cpu);
}
