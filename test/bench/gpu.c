/* gpu WHAT ...: what a GPU can do, and pieces of ours beside it; one line of numbers each.
 *
 *   gpu rates                     copy GB/s (read + written), bf16 matrix product TFLOP/s (8192 cubed, random data),
 *                                 GiB of memory
 *   gpu lamb PARAMETERS           seconds of a LAMB update, GB/s by the bytes it must move
 *   gpu contrastive N DIM         seconds of loss and gradients over one batch of N, GiB of its work space
 *   gpu embed MODEL BATCH         pictures/s of the vision tower, uploads included; the share of 6e12-style FLOP/s:
 *                                 forward TFLOP/s
 *
 * Times are medians of repeats after a warm-up. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/rng.h"
#include "models/towers.h"
#include "nn/contrastive.h"
#include "optim/optimizer.h"

enum { REPEATS = 9 };

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Median seconds of a call, each call followed by a wait; work should last milliseconds. */
static double median(struct device *d, void (*run)(void *), void *context)
{
    double seconds[REPEATS];
    for (int i = -2; i < REPEATS; i++) {
        d->kernels->wait(d);
        double start = clock_seconds();
        run(context);
        d->kernels->wait(d);
        if (i >= 0) seconds[i] = clock_seconds() - start;
    }
    qsort(seconds, REPEATS, sizeof *seconds, ascending);
    return seconds[REPEATS / 2];
}

/* Uniform floats of [-1, 1) on the device, as real unless wide. */
static void *noise(struct device *d, int64_t count, bool wide)
{
    const struct kernels *k = d->kernels;
    size_t bytes = (size_t)count * sizeof(float);
    float *host = mem_map(bytes, 1), *there = k->map(d, bytes);
    struct rng rng = rng_open(3, RNG_TEST, (uint64_t)count, 0);
    for (int64_t i = 0; i < count; i++)
        host[i] = i < 1 << 22 ? (float)rng_range(&rng, -1, 1) : host[i & ((1 << 22) - 1)];
    k->upload(d, there, host, bytes);
    k->wait(d);
    mem_unmap(host, bytes, 1);
    if (wide || k->real_bytes == sizeof(float)) return there;
    void *narrow = k->map(d, (size_t)count * k->real_bytes);
    k->round(d, narrow, there, count);
    k->unmap(d, there, bytes);
    return narrow;
}

struct rates {
    struct device *d;
    void *a, *b, *c;
    size_t bytes;
    int64_t n;
};

static void copy_once(void *context)
{
    struct rates *r = context;
    r->d->kernels->copy(r->d, r->b, r->a, r->bytes);
}

static void multiply_once(void *context)
{
    struct rates *r = context;
    for (int i = 0; i < 10; i++)
        r->d->kernels->matmul(r->d, r->c, false, r->n, r->a, r->n, false, r->b, r->n, false, r->n, r->n, r->n, false);
}

static void rates(struct device *d)
{
    const struct kernels *k = d->kernels;
    struct rates r = {.d = d, .n = 8192, .bytes = (size_t)4 << 30};
    r.a = k->map(d, r.bytes);
    r.b = k->map(d, r.bytes);
    double copy = 2 * (double)r.bytes / median(d, copy_once, &r) / 1e9;
    k->unmap(d, r.a, r.bytes);
    k->unmap(d, r.b, r.bytes);
    r.a = noise(d, r.n * r.n, false);
    r.b = noise(d, r.n * r.n, false);
    r.c = k->map(d, (size_t)(r.n * r.n) * k->real_bytes);
    d->planning = true; /* choose the fastest algorithm */
    multiply_once(&r);
    d->planning = false;
    double product = 10 * 2 * pow((double)r.n, 3) / median(d, multiply_once, &r) / 1e12;
    printf("%.0f %.0f %.1f\n", copy, product, (double)d->total / (1 << 30));
}

struct lamb {
    struct optimizer optimizer;
    struct tree gradients;
    int64_t step;
};

static void lamb_once(void *context)
{
    struct lamb *l = context;
    optimizer_step(&l->optimizer, &l->gradients, false, 1e-3, ++l->step);
}

static void lamb(struct device *d, int64_t count)
{
    static const struct world world = {.size = 1};
    struct parameters p = {0};
    struct error error = {0};
    struct comm comm;
    comm_open(&comm, &world, d, "auto", &error);
    char name[32];
    for (int64_t i = 0; i * 4096 * 1024 < count; i++) { /* matrices of 4 M, as in a block */
        snprintf(name, sizeof name, "matrix%ld.weight", (long)i);
        parameters_add(&p, name, 2, (int64_t[]){1024, 4096});
    }
    parameters_allocate(&p);
    parameters_place(&p, d, true);
    p.master = noise(d, p.total, true);
    struct lamb l = {
        .optimizer = {.kind = OPTIMIZER_LAMB, .beta1 = .9, .beta2 = .95, .eps = 1e-6, .decay = .05, .clip_norm = 1},
        .gradients = {.leaves = 1, .count = 1, .node = {{0, 1, noise(d, p.total, true)}}}};
    optimizer_open(&l.optimizer, &comm, &p);
    double seconds = median(d, lamb_once, &l);
    /* norm reads g; direction reads p m v g, writes m v g; apply reads p g, writes p and the copy for products */
    double bytes = (double)p.total * (4 + 7 * 4 + 3 * 4 + (d->kernels->real_bytes == 2 ? 2 : 0));
    printf("%.5f %.0f\n", seconds, bytes / seconds / 1e9);
}

struct loss {
    struct contrastive c;
    void *images, *texts;
    float *d_images, *d_texts, *log_scale;
};

static void loss_once(void *context)
{
    struct loss *l = context;
    contrastive_run(&l->c, l->images, l->texts, l->d_images, l->d_texts, l->log_scale);
}

static void loss(struct device *d, int64_t n, int64_t dim)
{
    static const struct world world = {.size = 1};
    struct error error = {0};
    struct comm comm;
    struct loss l = {.images = noise(d, n * dim, false),
                     .texts = noise(d, n * dim, false),
                     .d_images = noise(d, n * dim, true),
                     .d_texts = noise(d, n * dim, true)};
    l.log_scale = d->kernels->map(d, sizeof(float));
    comm_open(&comm, &world, d, "auto", &error);
    size_t before = d->mapped;
    contrastive_open(&l.c, d, &comm, n / 256, dim, 256);
    double seconds = median(d, loss_once, &l);
    printf("%.4f %.3f\n", seconds, (double)(d->mapped - before) / (1 << 30));
}

struct tower {
    struct device *d;
    struct towers towers;
    struct tape tape;
    uint8_t *pixels;
    int64_t batch;
};

static void embed_once(void *context)
{
    struct tower *t = context;
    const struct kernels *k = t->d->kernels;
    int64_t size = t->towers.config.vision.image_size;
    for (int i = 0; i < 4; i++) {
        const uint8_t *pixels = k->stage(t->d, i % 2, t->pixels, (size_t)(t->batch * size * size * 3));
        k->staged(t->d, i % 2);
        tape_reset(&t->tape);
        towers_image(&t->tape, &t->towers,
                     (struct pictures){.pixels = pixels, .count = t->batch, .size = extent_square(size)});
        k->stage_done(t->d, i % 2);
    }
}

static int embed(struct device *d, const char *model, int64_t batch)
{
    struct tower t = {.d = d, .batch = batch};
    struct model_config config;
    struct error error = {0};
    if (model_config_load(&config, model, &error) < 0) {
        fprintf(stderr, "%s\n", error.text);
        return 1;
    }
    towers_open(&t.towers, &config);
    towers_init(&t.towers, 0);
    towers_place(&t.towers, d, false);
    tape_init(&t.tape, d);
    size_t bytes = (size_t)(batch * config.vision.image_size * config.vision.image_size * 3);
    t.pixels = d->kernels->host_map(d, bytes);
    for (size_t i = 0; i < bytes; i++) t.pixels[i] = (uint8_t)(i * 2654435761u >> 24);
    d->planning = true;
    embed_once(&t);
    d->planning = false;
    double seconds = median(d, embed_once, &t) / 4;
    printf("%.1f %.1f\n", (double)batch / seconds,
           2 * (double)batch * vision_macs(&t.towers.vision, config.vision.image_size) / seconds / 1e12);
    return 0;
}

int main(int argc, char **argv)
{
    struct device d;
    struct error error = {0};
    const char *what = argc > 1 ? argv[1] : "";
    if (device_open(&d, "cuda", "bf16", NULL, 0, 0, &error) < 0) {
        fprintf(stderr, "%s\n", error.text);
        return 1;
    }
    if (!strcmp(what, "rates"))
        rates(&d);
    else if (!strcmp(what, "lamb") && argc == 3)
        lamb(&d, atoll(argv[2]));
    else if (!strcmp(what, "contrastive") && argc == 4)
        loss(&d, atoll(argv[2]), atoll(argv[3]));
    else if (!strcmp(what, "embed") && argc == 4)
        return embed(&d, argv[2], atoll(argv[3]));
    else
        return 2;
    return 0;
}
