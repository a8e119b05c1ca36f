/* A step of the contrastive objective.  With --grad-cache slices are embedded without recording and run again,
 * recorded, once their feature gradients are known; without it they are recorded at once.  The arithmetic of a slice is
 * the same either way, and so are the bits. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "trainer/mask.h"

static size_t real_bytes(const struct trainer *t, int64_t rows)
{
    return (size_t)(rows * t->towers.config.embed_dim) * t->run->device.kernels->real_bytes;
}

static int teacher_slot(const struct trainer *t, const struct slice *x)
{
    return (int)t->pixel_slots + x->slot;
}

static size_t pixel_bytes(int64_t pictures, int64_t size)
{
    return (size_t)(pictures * size * size * 3);
}

size_t trainer_host_bytes(const struct trainer *t)
{
    enum { ALIGNMENT = 8192 }; /* of the arrays of a slice, and of the step's own */
    size_t rows = (size_t)t->run->plan.rows, ids = rows * sizeof(int64_t) + rows * sizeof(uint64_t);
    size_t slice = sizeof(struct slice) + ids + (rows + 1) * sizeof(int32_t) + ALIGNMENT + mask_host_bytes(t) +
                   text_pack_bytes(t->run->plan.rows, t->towers.config.text.context_length);
    if (t->settings.teacher) slice += text_pack_bytes(t->run->plan.rows, t->teacher.config.text.context_length);
    return slice * (size_t)t->run->plan.mine + ALIGNMENT;
}

void trainer_step(void *self)
{
    struct trainer *t = self;
    struct training *run = t->run;
    const struct plan *p = &run->plan;
    struct step *s = &t->step;
    *s = (struct step){.host = &t->memory[run->step & 1]};
    tape_reset(&run->tape);
    arena_release(s->host, 0);
    arena_release(&t->buffers, 0);
    s->slices = arena_take(s->host, (size_t)p->mine, sizeof *s->slices);
    s->images = arena_take(&t->buffers, real_bytes(t, p->local), 1);
    s->texts = arena_take(&t->buffers, real_bytes(t, p->local), 1);
    size_t teacher =
        (size_t)(p->local * t->teacher.config.embed_dim) * run->device.kernels->real_bytes; /* 0 without one */
    t->contrastive.teacher_images = s->teacher_images = teacher ? arena_take(&t->buffers, teacher, 1) : NULL;
    t->contrastive.teacher_texts = s->teacher_texts = teacher ? arena_take(&t->buffers, teacher, 1) : NULL;
    s->d_images = arena_take(&t->buffers, (size_t)(p->local * t->towers.config.embed_dim), sizeof(float));
    s->d_texts = arena_take(&t->buffers, (size_t)(p->local * t->towers.config.embed_dim), sizeof(float));
    s->mask = arena_take(&t->buffers, (size_t)p->slices, sizeof *s->mask);
}

/* Bring slice n's data to the device; what the loader lends is copied or, on the CPU, stays valid for the step. */
int trainer_receive(void *self, int64_t n, double *waited, struct error *error)
{
    struct trainer *t = self;
    struct step *s = &t->step;
    struct slice *x = &s->slices[n];
    struct device *d = &t->run->device;
    int64_t rows = t->run->plan.rows;
    struct batch *b = loader_next(t->loader, waited, error);
    if (!b) return -1;
    *x = (struct slice){.size = b->size, .slot = (int)(t->received++ % t->pixel_slots), .pictures = b->pictures};
    x->samples =
        memcpy(arena_take(s->host, (size_t)rows, sizeof *x->samples), b->samples, (size_t)rows * sizeof *x->samples);
    x->epochs =
        memcpy(arena_take(s->host, (size_t)rows, sizeof *x->epochs), b->epochs, (size_t)rows * sizeof *x->epochs);
    x->pixels = d->kernels->stage(d, x->slot, b->pixels, pixel_bytes(b->pictures, b->size));
    if (b->pictures > rows) {
        size_t bytes = (size_t)(rows + 1) * sizeof *b->starts;
        x->starts = device_bring(d, &t->buffers, memcpy(arena_take(s->host, bytes, 1), b->starts, bytes), bytes);
    }
    x->words = text_pack(s->host, d, &t->buffers, b->ids, rows, t->towers.config.text.context_length);
    if (!t->settings.teacher) return 0;
    x->teacher_pixels = d->kernels->stage(d, teacher_slot(t, x), b->other_pixels,
                                          pixel_bytes(b->pictures, t->teacher.config.vision.image_size));
    x->teacher_words = text_pack(s->host, d, &t->buffers, b->other_ids, rows, t->teacher.config.text.context_length);
    return 0;
}

/* As long as texts can be. */
static struct text_batch longest_texts(struct trainer *t, int64_t context)
{
    int64_t rows = t->run->plan.rows;
    int32_t *ids = mem_zalloc((size_t)(rows * context), sizeof *ids);
    for (int64_t i = 0; i < rows; i++) ids[(i + 1) * context - 1] = 1;
    struct text_batch words = text_pack(t->step.host, &t->run->device, &t->buffers, ids, rows, context);
    free(ids);
    return words;
}

void trainer_imagine(void *self, int64_t n)
{
    struct trainer *t = self;
    struct step *s = &t->step;
    struct slice *x = &s->slices[n];
    struct device *d = &t->run->device;
    int64_t rows = t->run->plan.rows;
    for (int i = 0; i < t->pixel_slots && n == 0; i++)
        d->kernels->stage(d, i, NULL, pixel_bytes(t->pictures, t->largest));
    *x = (struct slice){.size = t->largest, .slot = (int)n, .pictures = t->pictures};
    if (t->pictures > rows) { /* as many frames as can be */
        int32_t *starts = arena_take(s->host, (size_t)rows + 1, sizeof *starts);
        for (int64_t i = 0; i <= rows; i++) starts[i] = (int32_t)(i * t->pictures / rows);
        x->starts = device_bring(d, &t->buffers, starts, (size_t)(rows + 1) * sizeof *starts);
    }
    x->samples = memset(arena_take(s->host, (size_t)rows, sizeof *x->samples), 0, (size_t)rows * sizeof *x->samples);
    x->epochs = memset(arena_take(s->host, (size_t)rows, sizeof *x->epochs), 0, (size_t)rows * sizeof *x->epochs);
    x->words = longest_texts(t, t->towers.config.text.context_length);
    x->pixels = d->kernels->stage(d, x->slot, NULL, pixel_bytes(t->pictures, t->largest));
    if (!t->settings.teacher) return;
    x->teacher_words = longest_texts(t, t->teacher.config.text.context_length);
    x->teacher_pixels =
        d->kernels->stage(d, teacher_slot(t, x), NULL, pixel_bytes(t->pictures, t->teacher.config.vision.image_size));
}

/* A frozen tower is embedded without recording even in a recorded pass. */
static void embed(struct trainer *t, struct slice *x, bool record)
{
    struct tape *tape = &t->run->tape;
    x->first = tape->segment_count;
    tape->recording = record && !t->settings.lock_image;
    x->tokens = vision_tokens(tape, &t->towers.vision, x->pixels, x->pictures, extent_square(x->size), NULL,
                              t->towers.config.vision.layers);
    x->image = vision_pool(tape, &t->towers.vision, x->tokens, x->pictures, x->starts, t->run->plan.rows);
    tape->recording = record && !t->settings.lock_text;
    x->text = text_forward(tape, &t->towers.text, &x->words);
    x->end = tape->segment_count;
}

/* The features of slice n into the batch's. */
static void keep_features(struct trainer *t, int64_t n)
{
    struct device *d = &t->run->device;
    struct slice *x = &t->step.slices[n];
    int64_t rows = t->run->plan.rows, count = rows * t->towers.config.embed_dim;
    d->kernels->round(d, (char *)t->step.images + real_bytes(t, n * rows), x->image->data, count);
    d->kernels->round(d, (char *)t->step.texts + real_bytes(t, n * rows), x->text->data, count);
    d->kernels->sum_floats(d, training_check(t->run, n, 0), x->image->data, count);
    d->kernels->sum_floats(d, training_check(t->run, n, 1), x->text->data, count);
}

/* What the teacher says of slice n. */
static void ask_teacher(struct trainer *t, int64_t n)
{
    struct device *d = &t->run->device;
    const struct kernels *k = d->kernels;
    struct slice *x = &t->step.slices[n];
    struct tape *tape = &t->teacher_tape;
    int64_t count = t->run->plan.rows * t->teacher.config.embed_dim;
    size_t at = (size_t)(n * count) * k->real_bytes;
    k->staged(d, teacher_slot(t, x));
    tape_reset(tape);
    tape->recording = false;
    struct pictures pictures = {.pixels = x->teacher_pixels,
                                .count = x->pictures,
                                .samples = t->run->plan.rows,
                                .starts = x->starts,
                                .size = extent_square(t->teacher.config.vision.image_size)};
    k->round(d, (char *)t->step.teacher_images + at, towers_image(tape, &t->teacher, pictures)->data, count);
    k->round(d, (char *)t->step.teacher_texts + at, text_forward(tape, &t->teacher.text, &x->teacher_words)->data,
             count);
    k->stage_done(d, teacher_slot(t, x));
}

void trainer_forward(void *self, int64_t n)
{
    struct trainer *t = self;
    if (t->settings.teacher) ask_teacher(t, n);
    t->run->device.kernels->staged(&t->run->device, t->step.slices[n].slot);
    embed(t, &t->step.slices[n], !t->settings.grad_cache);
    keep_features(t, n);
    if (t->settings.grad_cache) tape_reset(&t->run->tape);
}

void trainer_between(void *self)
{
    struct trainer *t = self;
    struct step *s = &t->step;
    contrastive_run(&t->contrastive, s->images, s->texts, s->d_images, s->d_texts, t->towers.logit_scale->master);
}

/* Gradients of one slice, and its sum of mask cosines. */
void trainer_backward(void *self, int64_t n)
{
    struct trainer *t = self;
    struct tape *tape = &t->run->tape;
    struct slice *x = &t->step.slices[n];
    int64_t at = n * t->run->plan.rows * t->towers.config.embed_dim;
    if (t->settings.grad_cache) embed(t, x, true);
    struct mask mask = {0};
    bool masked = t->settings.mask_weight > 0;
    if (masked) mask_targets(&mask, t, x);
    tape_seed(tape, x->image, t->step.d_images + at);
    tape_seed(tape, x->text, t->step.d_texts + at);
    training_walk_back(t->run, x->first, n == 0 && !masked);
    if (masked) {
        int first = tape->segment_count;
        mask_forward(&mask, t, t->step.mask + t->run->plan.first + n);
        training_walk_back(t->run, first, n == 0);
    }
    if (t->settings.grad_cache) tape_reset(tape);
    t->run->device.kernels->stage_done(&t->run->device, x->slot);
}

double trainer_macs(void *self)
{
    const struct trainer *t = self;
    double macs = 0;
    for (int64_t n = 0; n < t->run->plan.mine; n++) {
        const struct slice *x = &t->step.slices[n];
        const struct text_batch *w = &x->words;
        double squares = 0;
        for (int64_t i = 0; i < w->count; i++) squares += pow(w->starts[i + 1] - w->starts[i], 2);
        macs += (double)x->pictures * vision_macs(&t->towers.vision, x->size) +
                text_macs(&t->towers.text, (double)w->rows, squares, (double)w->count);
    }
    return macs;
}
