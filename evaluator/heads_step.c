/* Slices: one pass of the encoder, and at each tap the heads' losses and gradients; the measuring of features. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "evaluator/heads.h"

/* --- lessons --- */

void heads_forget(struct heads *h)
{
    arena_release(&h->host[h->run->step & 1], 0);
    arena_release(&h->there, 0);
}

static const void *bring(const struct lesson *l, struct device *d, const void *from, size_t bytes)
{
    return device_bring(d, l->there, memcpy(arena_take(l->host, bytes, 1), from, bytes), bytes);
}

static size_t pixel_bytes(const struct pictures *p)
{
    return (size_t)(p->count * extent_area(p->size) * 3);
}

struct lesson heads_bring(struct heads *h, int slot, const struct pictures *pictures, const void *targets)
{
    struct device *d = &h->run->device;
    struct lesson l = {.pictures = *pictures, .slot = slot, .host = &h->host[h->run->step & 1], .there = &h->there};
    size_t bytes = (size_t)(pictures->samples + 1) * sizeof *l.first;
    l.pictures.pixels = d->kernels->stage(d, slot, pictures->pixels, pixel_bytes(pictures));
    l.pictures.starts = NULL;
    if (pictures->count > pictures->samples) {
        l.first = memcpy(arena_take(l.host, bytes, 1), pictures->starts, bytes);
        l.pictures.starts = device_bring(d, l.there, l.first, bytes);
    }
    if (targets) l.targets = bring(&l, d, targets, (size_t)pictures->samples * h->target_bytes);
    return l;
}

struct sequences heads_sequences(const struct heads *h, const struct lesson *l, int64_t rows)
{
    struct device *d = &h->run->device;
    int64_t count = l->pictures.samples;
    size_t bytes = (size_t)(count + 1) * sizeof(int32_t);
    int32_t *q = arena_take(l->host, bytes, 1), *k = arena_take(l->host, bytes, 1);
    for (int64_t i = 0; i <= count; i++) {
        q[i] = (int32_t)i;
        k[i] = (int32_t)(rows * (l->first ? l->first[i] : i));
    }
    return (struct sequences){.count = count,
                              .q_start = device_bring(d, l->there, q, bytes),
                              .k_start = device_bring(d, l->there, k, bytes),
                              .q_longest = 1,
                              .k_longest = rows * (l->first ? h->kind->subject->pictures(h) : 1),
                              .uniform = !l->first};
}

/* --- a pass --- */

struct look {
    struct heads *h;
    const struct lesson *lesson;
    bool standard;
    void (*visit)(void *context, int64_t index, struct tensor *x);
    void *context;
};

/* A layer's feature: a row of each sample (the mean of its frames' rows), or all tokens. */
static struct tensor *read_layer(const struct look *look, struct tape *tape, const struct heads_layer *layer,
                                 struct tensor *rows)
{
    const struct heads *h = look->h;
    const struct pictures *p = &look->lesson->pictures;
    struct tensor *x = h->encoder.feature(h->encoder.self, tape, rows, p, h->feature), *y = x;
    bool average = p->starts && h->feature != FEATURE_TOKENS, standard = look->standard && layer->mean;
    if (!average && !standard) return x;
    tape_open_segment(tape);
    if (average) y = op_mean(tape, y, p->starts, p->samples);
    if (standard) y = op_standardize(tape, y, &layer->mean->tensor, &layer->scale->tensor);
    return tape_close_segment(tape, x, y);
}

static void take(void *self, struct tape *tape, int64_t layer, struct tensor *rows)
{
    const struct look *look = self;
    int64_t index = 0;
    while (look->h->layers[index].layer != layer) index++;
    look->visit(look->context, index, read_layer(look, tape, &look->h->layers[index], rows));
}

void heads_look(struct heads *h, const struct lesson *lesson, bool standard,
                void (*visit)(void *context, int64_t index, struct tensor *x), void *context)
{
    const struct kernels *k = h->run->device.kernels;
    struct look look = {h, lesson, standard, visit, context};
    struct taps taps = {
        .layers = h->chosen.layers[h->chosen.count - 1], .wanted = h->wanted, .take = take, .self = &look};
    k->staged(&h->run->device, lesson->slot);
    tape_reset(&h->tape);
    h->tape.recording = false;
    h->encoder.forward(h->encoder.self, &h->tape, &lesson->pictures, &taps);
    k->stage_done(&h->run->device, lesson->slot);
}

/* --- features made standard --- */

#define SCALE_EPS 1e-6 /* AIM's */

struct sums {
    struct heads *h;
    double *columns; /* on the device: [slices] of this, a layer after the other: [2, width] */
    int64_t count, slice, *rows;
};

static int64_t column_count(const struct heads *h)
{
    int64_t count = 0;
    for (int64_t i = 0; i < h->chosen.count; i++) count += 2 * h->layers[i].width;
    return count;
}

size_t heads_column_bytes(const struct heads *h)
{
    return (size_t)(h->run->plan.slices * column_count(h)) * sizeof(double);
}

static struct sums sums_open(struct heads *h, double *columns)
{
    return (struct sums){.h = h,
                         .columns = columns,
                         .count = column_count(h),
                         .rows = mem_zalloc((size_t)h->chosen.count, sizeof(int64_t))};
}

static void add_columns(void *context, int64_t index, struct tensor *x)
{
    const struct sums *s = context;
    struct device *d = &s->h->run->device;
    double *to = s->columns + s->slice * s->count;
    for (int64_t i = 0; i < index; i++) to += 2 * s->h->layers[i].width;
    d->kernels->column_sums(d, to, x->data, x->rows, x->cols);
    s->rows[index] += x->rows;
}

/* (all) The sums over the lessons of a step, into totals [count]. */
static void sum_step(struct sums *s, double *totals)
{
    struct training *run = s->h->run;
    struct device *d = &run->device;
    for (int64_t n = 0; n < run->plan.mine; n++) {
        s->slice = run->plan.first + n;
        heads_look(s->h, &s->h->lessons[n], false, add_columns, s);
    }
    comm_sum(&run->comm, s->columns, run->plan.slices, s->count);
    d->kernels->download(d, totals, s->columns, (size_t)s->count * sizeof *totals);
}

/* (all) The same for a step yet to be received, added to totals. */
static int add_step(struct sums *s, double *totals, struct error *error)
{
    struct training *run = s->h->run;
    double *host = mem_alloc((size_t)s->count, sizeof *host), waited = 0;
    int rc = 0;
    heads_forget(s->h);
    for (int64_t n = 0; n < run->plan.mine && rc == 0; n++) rc = s->h->kind->subject->receive(s->h, n, &waited, error);
    rc = world_agree(run->world, rc, error);
    if (rc == 0) sum_step(s, host);
    for (int64_t i = 0; i < s->count && rc == 0; i++) totals[i] += host[i];
    free(host);
    return rc;
}

static void settle(struct heads *h, const double *totals, const int64_t *rows)
{
    for (int64_t i = 0; i < h->chosen.count; i++) {
        const struct heads_layer *l = &h->layers[i];
        float *mean = l->mean->values, *scale = l->scale->values;
        for (int64_t k = 0; k < l->width; k++) {
            double m = totals[k] / (double)rows[i], square = totals[l->width + k] / (double)rows[i];
            mean[k] = (float)m;
            scale[k] = (float)(1 / sqrt(fmax(square - m * m, 0) + SCALE_EPS));
        }
        totals += 2 * l->width;
    }
    parameters_push(&h->parameters);
}

int heads_measure(struct heads *h, struct error *error)
{
    struct training *run = h->run;
    struct device *d = &run->device;
    struct sums s = sums_open(h, d->kernels->map(d, heads_column_bytes(h)));
    double *totals = mem_zalloc((size_t)s.count, sizeof *totals);
    int64_t steps = (h->settings.norm_samples + run->plan.batch - 1) / run->plan.batch;
    int rc = 0;
    h->kind->subject->begin(h, 0, steps);
    for (int64_t step = 0; step < steps && rc == 0; step++) rc = add_step(&s, totals, error);
    if (rc == 0) {
        for (int64_t i = 0; i < h->chosen.count; i++) s.rows[i] = world_sum(run->world, s.rows[i]);
        settle(h, totals, s.rows);
        log_info("features measured on %ld samples", (long)(steps * run->plan.batch));
    }
    d->kernels->unmap(d, s.columns, heads_column_bytes(h));
    free(totals);
    free(s.rows);
    return rc;
}

/* --- batch statistics --- */

#define BATCH_EPS 1e-5
#define BATCH_MOMENTUM 0.1

/* A parameter that is not learned, on the device. */
static void put(struct heads *h, const struct parameter *p, const float *values)
{
    struct device *d = &h->run->device;
    d->kernels->upload(d, p->tensor.master, values, (size_t)tensor_count(&p->tensor) * sizeof *values);
    d->kernels->wait(d);
}

static void get(struct heads *h, const struct parameter *p, float *values)
{
    struct device *d = &h->run->device;
    d->kernels->download(d, values, p->tensor.master, (size_t)tensor_count(&p->tensor) * sizeof *values);
}

/* sums [2, width] over `rows`. */
static void take_batch(struct heads *h, const struct heads_layer *l, const double *sums, int64_t rows)
{
    float *mean = mem_alloc((size_t)(4 * l->width), sizeof *mean), *scale = mean + l->width;
    float *running = scale + l->width, *variance = running + l->width;
    get(h, l->running_mean, running);
    get(h, l->running_variance, variance);
    for (int64_t k = 0; k < l->width; k++) {
        double n = (double)rows, m = sums[k] / n, v = fmax(sums[l->width + k] / n - m * m, 0);
        mean[k] = (float)m;
        scale[k] = (float)(1 / sqrt(v + BATCH_EPS));
        running[k] += (float)BATCH_MOMENTUM * ((float)m - running[k]);
        variance[k] += (float)BATCH_MOMENTUM * ((float)(rows > 1 ? v * n / (n - 1) : v) - variance[k]);
    }
    put(h, l->mean, mean);
    put(h, l->scale, scale);
    put(h, l->running_mean, running);
    put(h, l->running_variance, variance);
    free(mean);
}

void heads_normalize_batch(void *self)
{
    struct heads *h = self;
    if (!h->columns || h->run->device.planning) return;
    struct sums s = sums_open(h, h->columns);
    double *totals = mem_alloc((size_t)s.count, sizeof *totals), *at = totals;
    sum_step(&s, totals);
    for (int64_t i = 0; i < h->chosen.count; i++) {
        take_batch(h, &h->layers[i], at, s.rows[i] / h->run->plan.mine * h->run->plan.slices);
        at += 2 * h->layers[i].width;
    }
    free(totals);
    free(s.rows);
}

void heads_normalize_all(struct heads *h)
{
    for (int64_t i = 0; i < h->chosen.count && h->layers[i].running_mean; i++) {
        const struct heads_layer *l = &h->layers[i];
        float *values = mem_alloc((size_t)l->width, sizeof *values);
        get(h, l->running_mean, values);
        put(h, l->mean, values);
        get(h, l->running_variance, values);
        for (int64_t k = 0; k < l->width; k++) values[k] = (float)(1 / sqrt((double)values[k] + BATCH_EPS));
        put(h, l->scale, values);
        free(values);
    }
}

/* --- a step --- */

void heads_step(void *self)
{
    heads_forget(self);
}

int heads_receive(void *self, int64_t n, double *waited, struct error *error)
{
    struct heads *h = self;
    return h->kind->subject->receive(h, n, waited, error);
}

void heads_imagine(void *self, int64_t n)
{
    struct heads *h = self;
    int64_t rows = h->run->plan.rows, each = h->kind->subject->pictures(h);
    int32_t *starts = mem_alloc((size_t)rows + 1, sizeof *starts);
    void *targets = mem_zalloc((size_t)rows, h->target_bytes);
    for (int64_t i = 0; i <= rows; i++) starts[i] = (int32_t)(i * each);
    struct pictures p = {
        .count = rows * each, .size = extent_square(h->encoder.size), .samples = rows, .starts = starts};
    h->lessons[n] = heads_bring(h, (int)n, &p, targets);
    free(starts);
    free(targets);
}

struct learning {
    struct heads *h;
    int64_t n;
};

static void learn(void *context, int64_t index, struct tensor *x)
{
    const struct learning *g = context;
    struct heads *h = g->h;
    struct training *run = h->run;
    int64_t rows = run->plan.rows;
    for (int64_t i = 0; i < h->rate_count; i++) {
        bool last = g->n == 0 && index == h->chosen.count - 1 && i == h->rate_count - 1;
        int first = run->tape.segment_count;
        run->tape.recording = true;
        struct tensor *loss = h->kind->loss(h, &run->tape, &h->layers[index].heads[i], x, &h->lessons[g->n]);
        CHECK(loss->rows == rows && loss->cols == 1 && loss->wide, "losses [%ld, %ld]", (long)loss->rows,
              (long)loss->cols);
        run->device.kernels->copy(&run->device, h->losses + (index * h->rate_count + i) * rows, loss->data,
                                  (size_t)rows * sizeof *h->losses);
        tape_seed(&run->tape, loss, h->seeds);
        training_walk_back(run, first, last);
    }
}

void heads_backward(void *self, int64_t n)
{
    struct heads *h = self;
    struct training *run = h->run;
    struct device *d = &run->device;
    double *loss = h->loss + run->plan.first + n;
    struct learning g = {h, n};
    tape_reset(&run->tape);
    heads_look(h, &h->lessons[n], true, learn, &g);
    d->kernels->sum_floats(d, loss, h->losses, h->chosen.count * h->rate_count * run->plan.rows);
    d->kernels->copy(d, training_check(run, n, 0), loss, sizeof *loss);
}
