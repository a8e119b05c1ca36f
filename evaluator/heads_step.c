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

static void add_columns(void *context, int64_t index, struct tensor *x)
{
    const struct sums *s = context;
    struct device *d = &s->h->run->device;
    double *to = s->columns + s->slice * s->count;
    for (int64_t i = 0; i < index; i++) to += 2 * s->h->layers[i].width;
    d->kernels->column_sums(d, to, x->data, x->rows, x->cols);
    s->rows[index] += x->rows;
}

/* (all) The sums over a step's samples, added to totals [count]. */
static int add_step(struct sums *s, double *totals, struct error *error)
{
    struct training *run = s->h->run;
    struct device *d = &run->device;
    double *host = mem_alloc((size_t)s->count, sizeof *host), waited = 0;
    int rc = 0;
    heads_forget(s->h);
    for (int64_t n = 0; n < run->plan.mine && rc == 0; n++) rc = s->h->kind->subject->receive(s->h, n, &waited, error);
    rc = world_agree(run->world, rc, error);
    for (int64_t n = 0; n < run->plan.mine && rc == 0; n++) {
        s->slice = run->plan.first + n;
        heads_look(s->h, &s->h->lessons[n], false, add_columns, s);
    }
    if (rc == 0) {
        comm_sum(&run->comm, s->columns, run->plan.slices, s->count);
        d->kernels->download(d, host, s->columns, (size_t)s->count * sizeof *host);
        for (int64_t i = 0; i < s->count; i++) totals[i] += host[i];
    }
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
    struct sums s = {.h = h, .rows = mem_zalloc((size_t)h->chosen.count, sizeof *s.rows)};
    for (int64_t i = 0; i < h->chosen.count; i++) s.count += 2 * h->layers[i].width;
    size_t bytes = (size_t)(run->plan.slices * s.count) * sizeof *s.columns;
    double *totals = mem_zalloc((size_t)s.count, sizeof *totals);
    int64_t steps = (h->settings.norm_samples + run->plan.batch - 1) / run->plan.batch;
    int rc = 0;
    s.columns = d->kernels->map(d, bytes);
    h->kind->subject->begin(h, 0, steps);
    for (int64_t step = 0; step < steps && rc == 0; step++) rc = add_step(&s, totals, error);
    if (rc == 0) {
        for (int64_t i = 0; i < h->chosen.count; i++) s.rows[i] = world_sum(run->world, s.rows[i]);
        settle(h, totals, s.rows);
        log_info("features measured on %ld samples", (long)(steps * run->plan.batch));
    }
    d->kernels->unmap(d, s.columns, bytes);
    free(totals);
    free(s.rows);
    return rc;
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
