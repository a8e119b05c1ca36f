/* The step.  With --grad-cache slices are embedded without recording and run again, recorded, once their feature gradients are known;
 * without it they are recorded at once.  The arithmetic of a slice is the same either way, and so are the bits.
 *
 * Nothing here waits for a GPU: what a step reports is fetched while the next one is being launched. */
#include "trainer/step.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/str.h"
#include "log/log.h"
#include "trainer/mask.h"

struct step {
    struct run *run;
    struct arena *host;
    struct slice *slices;
    void *images, *texts;       /* [local, dim] real */
    void *teacher_images, *teacher_texts; /* likewise of the teacher */
    float *d_images, *d_texts;  /* [local, dim] */
    double *finite;             /* [2, mine] a sum over the image and text features of each slice */
    double *mask;               /* [slices] sums of cosines of the mask loss, this rank's in their places */
};

static size_t real_bytes(const struct run *r, int64_t rows)
{
    return (size_t)(rows * r->clip.config.embed_dim) * r->device.kernels->real_bytes;
}

static int teacher_slot(const struct run *r, const struct slice *x)
{
    return (int)r->pixel_slots + x->slot;
}

static size_t teacher_bytes(const struct run *r, int64_t pictures)
{
    return (size_t)(pictures * r->teacher.config.vision.image_size * r->teacher.config.vision.image_size * 3);
}

/* Bring slice n's data to the device; what the loader lends is copied or, on the CPU, stays valid for the step. */
static int receive(struct step *s, int n, double *waited, struct error *error)
{
    struct run *r = s->run;
    struct slice *x = &s->slices[n];
    struct batch *b = loader_next(r->loader, waited, error);
    if (!b) return -1;
    *x = (struct slice){.size = b->size, .slot = (int)(r->received++ % r->pixel_slots), .pictures = b->pictures};
    x->samples = memcpy(arena_take(s->host, (size_t)r->slice, sizeof *x->samples), b->samples, (size_t)r->slice * sizeof *x->samples);
    x->epochs = memcpy(arena_take(s->host, (size_t)r->slice, sizeof *x->epochs), b->epochs, (size_t)r->slice * sizeof *x->epochs);
    x->pixels = r->device.kernels->stage(&r->device, x->slot, b->pixels, (size_t)(b->pictures * b->size * b->size * 3));
    if (b->pictures > r->slice) {
        size_t bytes = (size_t)(r->slice + 1) * sizeof *b->starts;
        x->starts = device_bring(&r->device, &r->buffers, memcpy(arena_take(s->host, bytes, 1), b->starts, bytes), bytes);
    }
    x->words = text_pack(s->host, &r->device, &r->buffers, b->ids, r->slice, r->clip.config.text.context_length);
    if (!r->config.teacher) return 0;
    x->teacher_pixels = r->device.kernels->stage(&r->device, teacher_slot(r, x), b->other_pixels, teacher_bytes(r, b->pictures));
    x->teacher_words = text_pack(s->host, &r->device, &r->buffers, b->other_ids, r->slice, r->teacher.config.text.context_length);
    return 0;
}

/* A frozen tower is embedded without recording even in a recorded pass. */
static void embed(struct step *s, int n, bool record)
{
    struct run *r = s->run;
    struct slice *x = &s->slices[n];
    x->first = r->tape.segment_count;
    r->tape.recompute = r->config.recompute;
    r->tape.recording = record && !r->config.lock_image;
    x->tokens = vision_tokens(&r->tape, &r->clip.vision, x->pixels, x->pictures, x->size, NULL, r->clip.config.vision.layers);
    x->image = vision_pool(&r->tape, &r->clip.vision, x->tokens, x->pictures, x->starts, r->slice);
    r->tape.recording = record && !r->config.lock_text;
    x->text = text_forward(&r->tape, &r->clip.text, &x->words);
    x->end = r->tape.segment_count;
}

/* The features of slice n into the batch's. */
static void keep_features(struct step *s, int n)
{
    struct run *r = s->run;
    const struct kernels *k = r->device.kernels;
    struct slice *x = &s->slices[n];
    int64_t count = r->slice * r->clip.config.embed_dim;
    k->round(&r->device, (char *)s->images + real_bytes(r, n * r->slice), x->image->data, count);
    k->round(&r->device, (char *)s->texts + real_bytes(r, n * r->slice), x->text->data, count);
    k->sum_floats(&r->device, s->finite + n, x->image->data, count);
    k->sum_floats(&r->device, s->finite + r->mine + n, x->text->data, count);
}

/* What the teacher says of slice n. */
static void ask_teacher(struct step *s, int n)
{
    struct run *r = s->run;
    const struct kernels *k = r->device.kernels;
    struct slice *x = &s->slices[n];
    int64_t count = r->slice * r->teacher.config.embed_dim;
    size_t at = (size_t)(n * count) * k->real_bytes;
    struct tape *t = &r->teacher_tape;
    k->staged(&r->device, teacher_slot(r, x));
    tape_reset(t);
    t->recording = false;
    struct tensor *image = clip_image(t, &r->teacher, (struct pictures){.pixels = x->teacher_pixels, .count = x->pictures, .samples = r->slice, .starts = x->starts,
                                                                        .size = r->teacher.config.vision.image_size});
    k->round(&r->device, (char *)s->teacher_images + at, image->data, count);
    struct tensor *text = text_forward(t, &r->teacher.text, &x->teacher_words);
    k->round(&r->device, (char *)s->teacher_texts + at, text->data, count);
    k->stage_done(&r->device, teacher_slot(r, x));
}

static int forward(struct step *s, double *waited, struct error *error)
{
    struct run *r = s->run;
    for (int n = 0; n < r->mine; n++) {
        if (!r->device.planning && receive(s, n, waited, error) < 0) return -1;
        if (r->config.teacher) ask_teacher(s, n);
        r->device.kernels->staged(&r->device, s->slices[n].slot);
        embed(s, n, !r->config.grad_cache);
        keep_features(s, n);
        if (r->config.grad_cache) tape_reset(&r->tape);
    }
    return 0;
}

static void walk_back(struct run *r, int first, int end, bool last)
{
    r->tape.between = last && r->gradients.sent ? accumulator_send : NULL;
    r->tape.between_context = &r->gradients;
    tape_backward(&r->tape, first, end);
    r->tape.between = NULL;
}

/* Gradients of one slice into the accumulator, and the slice's sum of mask cosines. */
static void backward(struct step *s, int n)
{
    struct run *r = s->run;
    struct slice *x = &s->slices[n];
    int64_t at = n * r->slice * r->clip.config.embed_dim;
    if (r->config.grad_cache) embed(s, n, true);
    struct mask mask = {0};
    bool masked = r->config.mask_weight > 0 && !r->config.lock_image;
    if (masked) mask_targets(&mask, r, s->host, x);
    accumulator_begin(&r->gradients);
    tape_seed(&r->tape, x->image, s->d_images + at);
    tape_seed(&r->tape, x->text, s->d_texts + at);
    walk_back(r, x->first, x->end, n == 0 && !masked);
    if (masked) {
        int first = r->tape.segment_count;
        mask_forward(&mask, r, s->mask + r->first + n);
        walk_back(r, first, r->tape.segment_count, n == 0);
    }
    accumulator_end(&r->gradients);
    if (r->config.grad_cache) tape_reset(&r->tape);
    r->device.kernels->stage_done(&r->device, x->slot);
}

static double step_macs(const struct step *s)
{
    const struct run *r = s->run;
    double macs = 0;
    for (int n = 0; n < r->mine; n++) {
        macs += (double)s->slices[n].pictures * vision_macs(&r->clip.vision, s->slices[n].size);
        const struct text_batch *w = &s->slices[n].words;
        double squares = 0;
        for (int64_t i = 0; i < w->count; i++) squares += pow(w->starts[i + 1] - w->starts[i], 2);
        macs += text_macs(&r->clip.text, (double)w->rows, squares, (double)w->count);
    }
    return macs;
}

static void step_begin(struct step *s, struct run *r)
{
    *s = (struct step){.run = r, .host = &r->host[r->step & 1]};
    tape_reset(&r->tape);
    arena_release(s->host, 0);
    arena_release(&r->buffers, 0);
    s->slices = arena_take(s->host, (size_t)r->mine, sizeof *s->slices);
    s->images = arena_take(&r->buffers, real_bytes(r, r->local), 1);
    s->texts = arena_take(&r->buffers, real_bytes(r, r->local), 1);
    size_t teacher = (size_t)(r->local * r->teacher.config.embed_dim) * r->device.kernels->real_bytes; /* 0 without one */
    r->contrastive.teacher_images = s->teacher_images = teacher ? arena_take(&r->buffers, teacher, 1) : NULL;
    r->contrastive.teacher_texts = s->teacher_texts = teacher ? arena_take(&r->buffers, teacher, 1) : NULL;
    s->d_images = arena_take(&r->buffers, (size_t)(r->local * r->clip.config.embed_dim), sizeof(float));
    s->d_texts = arena_take(&r->buffers, (size_t)(r->local * r->clip.config.embed_dim), sizeof(float));
    s->finite = arena_take(&r->buffers, (size_t)(2 * r->mine), sizeof *s->finite);
    s->mask = arena_take(&r->buffers, (size_t)r->slices, sizeof *s->mask);
}

/* What the step will have to say, gathered on the device and sent on its way. */
static void report_begin(struct step *s, double rate, double waited)
{
    struct run *r = s->run;
    const struct kernels *k = r->device.kernels;
    struct step_figures *f = r->figures; /* on the device: only addresses are formed */
    k->copy(&r->device, f->totals, r->contrastive.totals, sizeof f->totals);
    k->copy(&r->device, &f->norm, r->optimizer.norm, sizeof f->norm);
    k->copy(&r->device, &f->factor, r->optimizer.factor, sizeof f->factor);
    k->copy(&r->device, &f->log_scale, r->clip.logit_scale->master, sizeof f->log_scale);
    if (r->config.mask_weight > 0) {
        comm_sum(&r->comm, s->mask, r->slices, 1);
        k->copy(&r->device, &f->mask, s->mask, sizeof f->mask);
    }
    k->copy(&r->device, f->finite, s->finite, (size_t)(2 * r->mine) * sizeof *f->finite);
    k->fetch_begin(&r->device, (int)(r->step & 1), f, sizeof *f + (size_t)(2 * r->mine) * sizeof *f->finite);
    r->pending[r->step & 1] = (struct pending_step){.slices = s->slices, .rate = rate, .waited = waited, .macs = step_macs(s), .active = true};
}

/* The message for numbers that are not finite: which step, slice, samples. */
static int not_finite(struct run *r, int64_t step, const struct step_figures *f, const struct slice *slices, struct error *error)
{
    int guilty = -1;
    for (int n = (int)r->mine - 1; n >= 0; n--)
        if (!isfinite(f->finite[n]) || !isfinite(f->finite[r->mine + n])) guilty = n;
    const char *what = isfinite(f->totals[CONTRASTIVE_LOSS]) ? "gradient" : "loss";
    int64_t where = world_max(r->world, guilty < 0 ? -1 : r->first + guilty);
    if (guilty < 0 && where >= 0) return error_set(error, ERROR_FAILED, "a slice of another rank is not finite");
    struct str ids = {0};
    int first = guilty < 0 ? 0 : guilty, end = guilty < 0 ? (int)r->mine : guilty + 1;
    for (int n = first; n < end; n++)
        for (int64_t i = 0; i < r->slice && ids.len < 900; i++) str_printf(&ids, " %ld", (long)slices[n].samples[i]);
    error_set(error, ERROR_FAILED,
              "step %ld: the %s is not finite (%s %d, samples%s); the last checkpoint stays, resume from it with a lower --lr or without these samples",
              (long)step, what, guilty < 0 ? "no slice alone, first" : "slice", (int)r->first + first, ids.data);
    str_free(&ids);
    return -1;
}

/* Take in the figures of step `step` (counted from 0), if they are still on their way. */
static int collect(struct run *r, int64_t step, struct error *error)
{
    struct pending_step *p = &r->pending[step & 1];
    if (step < 0 || !p->active) return 0;
    p->active = false;
    struct step_figures *f = mem_alloc(sizeof *f + (size_t)(2 * r->mine) * sizeof *f->finite, 1);
    r->device.kernels->fetch_end(&r->device, (int)(step & 1), f);
    int rc = 0;
    if (!isfinite(f->totals[CONTRASTIVE_LOSS]) || f->factor == 0)
        rc = world_agree(r->world, not_finite(r, step + 1, f, p->slices, error), error);
    struct contrastive_result c = contrastive_result(&r->contrastive, f->totals);
    double mask = r->config.mask_weight > 0 ? 1 - f->mask / mask_rows(r, p->slices[0].size) : 0, now = clock_seconds();
    double loss = r->contrastive.weight * c.loss + r->contrastive.distill_weight * c.divergence + r->config.mask_weight * mask;
    r->report = (struct step_report){.step = step + 1, .loss = loss, .contrastive = c.loss, .divergence = c.divergence, .mask = mask,
                                     .accuracy = c.accuracy, .rate = p->rate, .grad_norm = f->norm, .logit_scale = exp((double)f->log_scale),
                                     .data_seconds = p->waited, .seconds = now - r->clock, .macs = p->macs};
    r->clock = now;
    free(f);
    if (rc == 0) run_report(r);
    return rc;
}

int step_drain(struct run *r, struct error *error)
{
    return collect(r, r->step - 2, error) < 0 || collect(r, r->step - 1, error) < 0 ? -1 : 0;
}

int step_train(struct run *r, struct error *error)
{
    struct step s;
    double waited = 0;
    step_begin(&s, r);
    int rc = forward(&s, &waited, error);
    if (world_agree(r->world, rc, error) < 0) return -1;
    float *log_scale = r->clip.logit_scale->master;
    contrastive_run(&r->contrastive, s.images, s.texts, s.d_images, s.d_texts, log_scale);
    for (int n = (int)r->mine - 1; n >= 0; n--) backward(&s, n);
    bool reduced;
    const struct tree *gradients = accumulator_sum(&r->gradients, &reduced);
    /* The gradient of the logit scale is known whole: one rank brings it into the sum, or, summed already, everyone. */
    const struct kernels *k = r->device.kernels;
    const struct parameter *scale = parameters_find(&r->clip.parameters, "logit_scale");
    if (reduced || !r->world->rank) k->scale_gradient(&r->device, gradients->node[0].sum + scale->offset, r->contrastive.totals + CONTRASTIVE_SCALE, log_scale);

    double rate = schedule_rate(r->config.lr, r->config.lr_min, r->step, r->config.warmup, r->steps);
    optimizer_step(&r->optimizer, gradients, reduced, rate, r->step + 1);
    k->clamp(&r->device, log_scale, 0, (float)CLIP_MAX_LOGIT_SCALE, r->optimizer.factor);
    report_begin(&s, rate, waited);
    r->step++;
    /* a GPU is still at it: take in what the step before has to say */
    return k->reserve ? collect(r, r->step - 2, error) : step_drain(r, error);
}

/* As long as texts can be. */
static struct text_batch longest_texts(struct step *s, int64_t context)
{
    struct run *r = s->run;
    int32_t *ids = mem_zalloc((size_t)(r->slice * context), sizeof *ids);
    for (int64_t i = 0; i < r->slice; i++) ids[(i + 1) * context - 1] = 1;
    struct text_batch words = text_pack(s->host, &r->device, &r->buffers, ids, r->slice, context);
    free(ids);
    return words;
}

static void plan_slice(struct step *s, int n)
{
    struct run *r = s->run;
    struct slice *x = &s->slices[n];
    int64_t context = r->clip.config.text.context_length;
    *x = (struct slice){.size = r->largest, .slot = n, .pictures = r->pictures};
    if (r->pictures > r->slice) { /* as many frames as can be */
        int32_t *starts = arena_take(s->host, (size_t)r->slice + 1, sizeof *starts);
        for (int64_t i = 0; i <= r->slice; i++) starts[i] = (int32_t)(i * r->pictures / r->slice);
        x->starts = device_bring(&r->device, &r->buffers, starts, (size_t)(r->slice + 1) * sizeof *starts);
    }
    x->samples = memset(arena_take(s->host, (size_t)r->slice, sizeof *x->samples), 0, (size_t)r->slice * sizeof *x->samples);
    x->epochs = memset(arena_take(s->host, (size_t)r->slice, sizeof *x->epochs), 0, (size_t)r->slice * sizeof *x->epochs);
    x->words = longest_texts(s, context);
    if (!r->config.teacher) return;
    x->teacher_words = longest_texts(s, r->teacher.config.text.context_length);
    x->teacher_pixels = r->device.kernels->stage(&r->device, teacher_slot(r, x), NULL, teacher_bytes(r, r->pictures));
}

/* The step on shapes alone. */
static void dry_run(struct run *r)
{
    struct step s;
    struct device *d = &r->device;
    size_t fixed = d->mapped, before = d->committed;
    d->planning = true;
    for (int i = 0; i < r->pixel_slots; i++) d->kernels->stage(d, i, NULL, (size_t)(r->pictures * r->largest * r->largest * 3));
    step_begin(&s, r);
    for (int n = 0; n < r->mine; n++) {
        plan_slice(&s, n);
        s.slices[n].pixels = d->kernels->stage(d, n, NULL, (size_t)(r->pictures * r->largest * r->largest * 3));
    }
    struct error none = {0};
    double waited;
    forward(&s, &waited, &none);
    contrastive_run(&r->contrastive, s.images, s.texts, s.d_images, s.d_texts, r->clip.logit_scale->master);
    for (int n = (int)r->mine - 1; n >= 0; n--) backward(&s, n);
    accumulator_forget(&r->gradients);
    tape_reset(&r->tape);
    d->planning = false;
    double gib = 1024. * 1024 * 1024;
    log_info("memory planned: %.2f GiB of %.2f on the GPU: weights, gradients, optimizer and loss %.2f, pictures and gradients between blocks %.2f, activations %.2f",
             (double)(d->mapped + d->committed) / gib, (double)d->total / gib, (double)fixed / gib, (double)(d->mapped - fixed) / gib,
             (double)(d->committed - before) / gib);
}

int step_plan(struct run *r, struct error *error)
{
    if (!r->device.kernels->reserve) return 0;
    /* rank 0 finds the fastest products, the others and later starts of this run take its choices: so they compute the same bits */
    char *choices = fs_join(r->folder, "gpu-products.txt");
    int rc = 0;
    for (int turn = 0; turn < 2; turn++) {
        if ((turn == 0) == (r->world->rank == 0)) {
            rc = device_choices_load(&r->device, choices, error);
            if (rc == 0 && fs_exists(choices))
                log_warn("%s: made on another kind of GPU or cuBLAS; products are chosen anew, and results may differ in their last bits", choices);
            dry_run(r);
            if (rc == 0 && turn == 0) rc = device_choices_save(&r->device, choices, error);
        }
        world_barrier(r->world);
    }
    free(choices);
    return world_agree(r->world, rc, error);
}
