/* The optimizers' updates against the same formulas in double, some steps long, on every instruction level of this
 * machine or on its GPU: with weight decay and without, and with a learning rate of each parameter's own. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "optim/optimizer.h"
#include "test/harness.h"

enum { STEPS = 5, PARAMETERS = 3, ROWS = 70, COLS = 90 };

/* A matrix, one with a rate of its own, and a vector, which does not decay. */
static const int64_t counts[PARAMETERS] = {ROWS * COLS, ROWS *COLS, COLS};
static const float own_rates[PARAMETERS] = {1, 0.125f, 3};

struct trial {
    struct world world;
    struct device device;
    struct comm comm;
    struct parameters parameters;
    struct optimizer optimizer;
    struct tree gradients;
};

static bool trial_open(struct trial *t, enum optimizer_kind kind, const char *device, const char *precision,
                       const char *level)
{
    struct error error = {0};
    *t = (struct trial){.world = {.size = 1, .node_ranks = 1},
                        .optimizer = {.kind = kind,
                                      .beta1 = 0.9,
                                      .beta2 = 0.95,
                                      .eps = 1e-6,
                                      .decay = 0.02,
                                      .clip_norm = kind == OPTIMIZER_SGD ? 0 : 20}};
    if (device_open(&t->device, device, precision, level, 2, 0, &error) < 0) {
        EXPECT(!strcmp(device, "cpu"), "%s", error.text);
        printf("  %s: not on this machine\n", level);
        return false;
    }
    comm_open(&t->comm, &t->world, &t->device, "exact", &error);
    parameters_add(&t->parameters, "a", 2, (int64_t[]){ROWS, COLS});
    parameters_add(&t->parameters, "b", 2, (int64_t[]){ROWS, COLS});
    parameters_add(&t->parameters, "c", 1, (int64_t[]){COLS});
    parameters_allocate(&t->parameters);
    for (int i = 0; i < PARAMETERS; i++) t->parameters.list[i]->rate = own_rates[i];
    parameters_place(&t->parameters, &t->device, true);
    optimizer_open(&t->optimizer, &t->comm, &t->parameters);
    return true;
}

static void trial_close(struct trial *t)
{
    optimizer_close(&t->optimizer);
    parameters_free(&t->parameters);
    comm_close(&t->comm);
    device_close(&t->device);
}

/* One parameter as the formulas have it. */
struct wide {
    double p[ROWS * COLS], m[ROWS * COLS], v[ROWS * COLS], g[ROWS * COLS];
};

static void step_wide(struct wide *w, int i, const struct optimizer *o, double factor, double rate, int step)
{
    double decay = i < 2 ? o->decay : 0, weight = 0, size = 0, *direction = w->g;
    for (int64_t k = 0; k < counts[i]; k++) {
        double g = w->g[k] * factor;
        if (o->kind == OPTIMIZER_SGD) {
            direction[k] = w->m[k] = o->beta1 * w->m[k] + g + decay * w->p[k];
            continue;
        }
        w->m[k] = o->beta1 * w->m[k] + (1 - o->beta1) * g;
        w->v[k] = o->beta2 * w->v[k] + (1 - o->beta2) * g * g;
        direction[k] = w->m[k] / (1 - pow(o->beta1, step)) / (sqrt(w->v[k] / (1 - pow(o->beta2, step))) + o->eps) +
                       decay * w->p[k];
        weight += w->p[k] * w->p[k];
        size += direction[k] * direction[k];
    }
    double ratio = o->kind == OPTIMIZER_LAMB && decay > 0 ? sqrt(weight / size) : 1;
    for (int64_t k = 0; k < counts[i]; k++) w->p[k] -= rate * (double)own_rates[i] * ratio * direction[k];
}

static void follow(enum optimizer_kind kind, const char *device, const char *precision, const char *level)
{
    struct trial t;
    if (!trial_open(&t, kind, device, precision, level)) return;
    struct parameters *p = &t.parameters;
    struct wide *wide = mem_zalloc(PARAMETERS, sizeof *wide);
    float *g = mem_zalloc((size_t)p->total, sizeof *g), *want = mem_alloc(ROWS * COLS, sizeof *want);
    struct rng rng = rng_open(3, RNG_TEST, (uint64_t)kind, 0);
    for (int i = 0; i < PARAMETERS; i++)
        for (int64_t k = 0; k < counts[i]; k++)
            wide[i].p[k] = (double)(p->list[i]->values[k] = (float)rng_normal(&rng));
    parameters_push(p);
    t.gradients = (struct tree){.leaves = 1, .count = 1, .node = {{0, 1, p->gradients}}};
    for (int step = 1; step <= STEPS; step++) {
        double squares = 0, rate = 0.1 / step;
        for (int i = 0; i < PARAMETERS; i++)
            for (int64_t k = 0; k < counts[i]; k++) {
                wide[i].g[k] = (double)(g[p->list[i]->offset + k] = (float)rng_normal(&rng));
                squares += wide[i].g[k] * wide[i].g[k];
            }
        t.device.kernels->upload(&t.device, p->gradients, g, (size_t)p->total * sizeof *g);
        t.device.kernels->wait(&t.device);
        optimizer_step(&t.optimizer, &t.gradients, false, rate, step);
        double limit = t.optimizer.clip_norm, factor = limit > 0 && sqrt(squares) > limit ? limit / sqrt(squares) : 1;
        for (int i = 0; i < PARAMETERS; i++) step_wide(&wide[i], i, &t.optimizer, factor, rate, step);
    }
    parameters_pull(p);
    for (int i = 0; i < PARAMETERS; i++) {
        for (int64_t k = 0; k < counts[i]; k++) want[k] = (float)wide[i].p[k];
        test_close(p->list[i]->name, p->list[i]->values, want, counts[i], 2e-6);
    }
    if (p->compute != (void *)p->master) { /* what products read is the same, rounded */
        test_from_device(&t.device, g, p->list[1]->tensor.data, counts[1], false);
        test_close("rounded", g, p->list[1]->values, counts[1], 4e-3);
    }
    free(wide), free(g), free(want);
    trial_close(&t);
}

static void on_cpu(enum optimizer_kind kind)
{
    follow(kind, "cpu", "fp32", "portable");
    follow(kind, "cpu", "fp32", "x86-64-v3");
    follow(kind, "cpu", "fp32", "x86-64-v4");
}

static void on_cuda(enum optimizer_kind kind)
{
    follow(kind, "cuda", "fp32", NULL);
    follow(kind, "cuda", "bf16", NULL);
}

static void adamw(void)
{
    on_cpu(OPTIMIZER_ADAMW);
}
static void lamb(void)
{
    on_cpu(OPTIMIZER_LAMB);
}
static void sgd(void)
{
    on_cpu(OPTIMIZER_SGD);
}
static void adamw_cuda(void)
{
    on_cuda(OPTIMIZER_ADAMW);
}
static void lamb_cuda(void)
{
    on_cuda(OPTIMIZER_LAMB);
}
static void sgd_cuda(void)
{
    on_cuda(OPTIMIZER_SGD);
}

int main(int argc, char **argv)
{
    static const struct test gpu[] = {
        {"update_adamw_cuda", adamw_cuda}, {"update_lamb_cuda", lamb_cuda}, {"update_sgd_cuda", sgd_cuda}, {0}};
    static const struct test cpu[] = {{"update_adamw", adamw}, {"update_lamb", lamb}, {"update_sgd", sgd}, {0}};
    return test_main(argc, argv, device_count() ? gpu : cpu);
}
