/* Heads of probes against PyTorch's over 20 steps on given features (test/golden/heads/, made by
 * scripts/reference/heads.py): losses, logits, gradients; two learning rates in one optimizer. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "evaluator/heads/classes.h"
#include "optim/schedule.h"
#include "test/harness.h"

enum { STEPS = 20, CLASSES = 7, WIDTH = 24, RATES_MOST = 2 };

/* As much of a run as heads on given features need. */
struct trial {
    struct training run;
    struct world world;
    struct heads *h;
    struct head heads[RATES_MOST];
    struct tree gradients;
    struct safetensors vectors;
    struct arena arena;
    int64_t samples, rows; /* of a batch; rows of features */
    float *x;              /* [STEPS, rows, WIDTH] */
    int32_t *labels;       /* [STEPS, samples] */
    int count;             /* heads */
};

static float *vector(struct trial *t, const char *name)
{
    int64_t count;
    float *out = test_vector(&t->arena, &t->vectors, name, &count);
    EXPECT(out, "no vector %s", name);
    return out;
}

/* own: options of the kind, as many bytes as it has. */
static bool trial_open(struct trial *t, const struct head_kind *kind, const char *vectors, const void *own)
{
    struct error error = {0};
    int64_t count, labels;
    *t = (struct trial){.world = {.size = 1, .node_ranks = 1}};
    arena_open(&t->arena, (size_t)1 << 30);
    bool gpu = device_count() > 0;
    if (safetensors_open(&t->vectors, vectors, &error) < 0 ||
        device_open(&t->run.device, gpu ? "cuda" : "cpu", "fp32", NULL, 2, 0, &error) < 0 ||
        comm_open(&t->run.comm, &t->world, &t->run.device, "exact", &error) < 0) {
        EXPECT(0, "%s", error.text);
        return false;
    }
    tape_init(&t->run.tape, &t->run.device);
    t->h = mem_zalloc(1, sizeof *t->h + kind->bytes);
    memcpy(t->h + 1, own, kind->bytes);
    t->h->run = &t->run;
    t->h->kind = kind;
    t->h->outputs = CLASSES;
    t->x = test_vector(&t->arena, &t->vectors, "x", &count);
    float *wide = test_vector(&t->arena, &t->vectors, "labels", &labels);
    t->rows = count / STEPS / WIDTH;
    t->samples = labels / STEPS;
    t->labels = arena_take(&t->arena, (size_t)labels, sizeof *t->labels);
    for (int64_t i = 0; i < labels; i++) t->labels[i] = (int32_t)wide[i];
    for (int i = 0; i < 2; i++) device_host_arena_open(&t->run.device, &t->h->host[i], 1 << 20);
    device_arena_open(&t->run.device, &t->h->there, DEVICE_ARENA);
    return true;
}

static void trial_close(struct trial *t)
{
    optimizer_close(&t->run.optimizer);
    for (int i = 0; i < t->count; i++) free(t->heads[i].parameters);
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

/* Heads with these rates, from the weights of the file; biases it has none of are zero. */
static void add_heads(struct trial *t, const double *rates, int count, struct optimizer optimizer)
{
    t->count = count;
    for (int i = 0; i < count; i++) {
        char prefix[16];
        snprintf(prefix, sizeof prefix, "rates.%d", i);
        t->heads[i] = (struct head){.rate = rates[i], .width = WIDTH};
        t->h->kind->add(t->h, &t->heads[i], prefix);
    }
    parameters_allocate(&t->h->parameters);
    for (int64_t i = 0; i < t->h->parameters.count; i++) {
        struct parameter *p = t->h->parameters.list[i];
        int64_t n;
        const float *start = test_vector(&t->arena, &t->vectors, strrchr(p->name, '.') + 1, &n);
        if (start) memcpy(p->values, start, (size_t)n * sizeof *start);
    }
    parameters_place(&t->h->parameters, &t->run.device, true);
    parameters_push(&t->h->parameters);
    t->run.optimizer = optimizer;
    optimizer_open(&t->run.optimizer, &t->run.comm, &t->h->parameters);
    t->gradients = (struct tree){.leaves = 1, .count = 1, .node = {{0, 1, t->h->parameters.gradients}}};
}

/* A step's features as a tensor, made standard where the file says how. */
static struct tensor *features(struct trial *t, int step, struct lesson *lesson)
{
    struct device *d = &t->run.device;
    struct tensor *x = arena_take(&t->arena, 1, sizeof *x), *sides = mem_zalloc(2, sizeof *sides), *y = x;
    int64_t n = t->rows * WIDTH;
    arena_release(&t->h->host[0], 0);
    arena_release(&t->h->there, 0);
    *lesson = (struct lesson){
        .pictures = {.count = t->samples, .samples = t->samples}, .host = &t->h->host[0], .there = &t->h->there};
    lesson->targets =
        device_bring(d, lesson->there, t->labels + step * t->samples, (size_t)t->samples * sizeof *t->labels);
    *x = (struct tensor){.rows = t->rows, .cols = WIDTH, .segment = -1, .slot = -1};
    x->data = (void *)(uintptr_t)device_bring(d, lesson->there, t->x + step * n, (size_t)n * sizeof(float));
    tape_reset(&t->run.tape);
    t->run.tape.recording = false;
    int64_t count;
    const char *names[2] = {"mean", "scale"};
    for (int i = 0; i < 2; i++) {
        const float *side = test_vector(&t->arena, &t->vectors, names[i], &count);
        sides[i] = (struct tensor){.rows = 1, .cols = WIDTH, .segment = -1, .slot = -1};
        sides[i].master = side ? (void *)(uintptr_t)device_bring(d, lesson->there, side, WIDTH * sizeof *side) : NULL;
    }
    if (sides[0].master) {
        tape_open_segment(&t->run.tape);
        struct tensor *made = tape_close_segment(&t->run.tape, NULL, op_standardize(&t->run.tape, x, sides, sides + 1));
        *y = *made; /* apart from the tape, as features of the encoder's tape are */
        y->data = arena_take(lesson->there, (size_t)n, sizeof(float));
        d->kernels->copy(d, y->data, made->data, (size_t)n * sizeof(float));
        y->segment = -1;
    }
    d->kernels->wait(d);
    free(sides);
    return y;
}

/* Mean loss of each head on a step's batch, and the update. */
static void learn(struct trial *t, int step, double peak, float *losses)
{
    struct lesson lesson;
    struct device *d = &t->run.device;
    struct tensor *x = features(t, step, &lesson);
    float each[64], *seeds = arena_take(&t->h->there, (size_t)t->samples, sizeof *seeds);
    d->kernels->fill(d, seeds, 1 / (float)t->samples, t->samples);
    parameters_aim(&t->h->parameters, t->h->parameters.gradients);
    for (int i = 0; i < t->count; i++) {
        tape_reset(&t->run.tape);
        t->run.tape.recording = true;
        struct tensor *loss = t->h->kind->loss(t->h, &t->run.tape, &t->heads[i], x, &lesson);
        test_from_device(d, each, loss->data, t->samples, true);
        losses[i * STEPS + step] = 0;
        for (int64_t k = 0; k < t->samples; k++) losses[i * STEPS + step] += each[k] / (float)t->samples;
        tape_seed(&t->run.tape, loss, seeds);
        tape_backward(&t->run.tape, 0, t->run.tape.segment_count);
    }
    parameters_settle(&t->h->parameters);
    if (step == 0 && t->count == 1)
        for (int k = 0; k < t->heads[0].count; k++) {
            const struct parameter *p = t->heads[0].parameters[k];
            float *got = arena_take(&t->arena, (size_t)tensor_count(&p->tensor), sizeof *got);
            char name[64];
            snprintf(name, sizeof name, "grad%s", strrchr(p->name, '.'));
            test_from_device(d, got, p->tensor.grad, tensor_count(&p->tensor), true);
            test_close(name, got, vector(t, name), tensor_count(&p->tensor), 1e-5);
        }
    optimizer_step(&t->run.optimizer, &t->gradients, false, schedule_rate(peak, 0, step, 0, STEPS), step + 1);
}

static void check_logits(struct trial *t, int head, const char *name)
{
    struct lesson lesson;
    float got[16 * CLASSES];
    struct tensor *x = features(t, 0, &lesson);
    tape_reset(&t->run.tape);
    t->run.tape.recording = false;
    struct tensor *out = t->h->kind->output(t->h, &t->run.tape, &t->heads[head], x, &lesson);
    test_from_device(&t->run.device, got, out->data, t->samples * CLASSES, true);
    test_close(name, got, vector(t, name), t->samples * CLASSES, 1e-5);
}

static void linear(void)
{
    struct trial t;
    if (!trial_open(&t, &head_linear, "test/golden/heads/linear.safetensors", "")) return;
    float losses[RATES_MOST * STEPS], *rates = vector(&t, "rates");
    double factors[RATES_MOST] = {(double)rates[0] / 0.5, (double)rates[1] / 0.5};
    add_heads(&t, factors, RATES_MOST, (struct optimizer){.kind = OPTIMIZER_SGD, .beta1 = 0.9});
    for (int step = 0; step < STEPS; step++) learn(&t, step, 0.5, losses);
    printf("  losses differ by %.2g and %.2g\n", test_close("losses.0", losses, vector(&t, "losses.0"), STEPS, 1e-5),
           test_close("losses.1", losses + STEPS, vector(&t, "losses.1"), STEPS, 1e-5));
    check_logits(&t, 0, "logits.0");
    check_logits(&t, 1, "logits.1");
    trial_close(&t);
}

static void attention(void)
{
    const int64_t heads = 3; /* the kind's own option */
    struct trial t;
    if (!trial_open(&t, &head_attention, "test/golden/heads/attention.safetensors", &heads)) return;
    float losses[STEPS];
    struct optimizer adamw = {.kind = OPTIMIZER_ADAMW, .beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8, .decay = 0.1};
    add_heads(&t, (double[]){1}, 1, adamw);
    check_logits(&t, 0, "before");
    for (int step = 0; step < STEPS; step++) learn(&t, step, 0.01, losses);
    printf("  losses differ by %.2g\n", test_close("losses", losses, vector(&t, "losses"), STEPS, 1e-5));
    check_logits(&t, 0, "after");
    trial_close(&t);
}

int main(int argc, char **argv)
{
    static const struct test gpu[] = {{"heads_linear_cuda", linear}, {"heads_attention_cuda", attention}, {0}};
    static const struct test cpu[] = {{"heads_linear", linear}, {"heads_attention", attention}, {0}};
    return test_main(argc, argv, device_count() ? gpu : cpu);
}
