/* The step.  With --grad-cache slices are embedded without recording and run again, recorded, once their feature gradients are known;
 * without it they are recorded at once.  The arithmetic of a slice is the same either way, and so are the bits. */
#include "trainer/step.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/str.h"
#include "trainer/mask.h"

struct slice {
    struct tensor *image, *text, *tokens;
    struct text_batch words;
    int first, end; /* segments on the tape */
};

struct step {
    struct run *run;
    struct batch *batch;
    struct slice *slices;
    float *images, *texts, *d_images, *d_texts; /* [local, dim] */
};

/* A frozen tower is embedded without recording even in a recorded pass. */
static void embed(struct step *s, int n, bool record)
{
    struct run *r = s->run;
    struct slice *x = &s->slices[n];
    int64_t size = s->batch->size, row = n * r->slice, dim = r->clip.config.embed_dim;
    x->first = r->tape.segment_count;
    r->tape.recompute = r->config.recompute;
    r->tape.recording = record && !r->config.lock_image;
    x->tokens = vision_tokens(&r->tape, &r->clip.vision, s->batch->pixels + row * size * size * 3, r->slice, size, NULL, r->clip.config.vision.layers);
    x->image = vision_pool(&r->tape, &r->clip.vision, x->tokens, r->slice);
    r->tape.recording = record && !r->config.lock_text;
    x->text = text_forward(&r->tape, &r->clip.text, &x->words);
    x->end = r->tape.segment_count;
    memcpy(s->images + row * dim, x->image->data, (size_t)(r->slice * dim) * sizeof(float));
    memcpy(s->texts + row * dim, x->text->data, (size_t)(r->slice * dim) * sizeof(float));
}

static void forward(struct step *s)
{
    struct run *r = s->run;
    int64_t context = r->clip.config.text.context_length, dim = r->clip.config.embed_dim;
    size_t floats = (size_t)(r->local * dim);
    s->slices = arena_take(&r->arena, (size_t)r->mine, sizeof *s->slices);
    s->images = arena_take(&r->arena, floats, sizeof(float));
    s->texts = arena_take(&r->arena, floats, sizeof(float));
    s->d_images = arena_take(&r->arena, floats, sizeof(float));
    s->d_texts = arena_take(&r->arena, floats, sizeof(float));
    for (int n = 0; n < r->mine; n++) {
        s->slices[n] = (struct slice){.words = text_pack(&r->arena, s->batch->ids + n * r->slice * context, r->slice, context)};
        embed(s, n, !r->config.grad_cache);
        if (r->config.grad_cache) tape_reset(&r->tape);
    }
}

/* Gradients of one slice into the accumulator; returns the slice's share of the mask loss. */
static double backward(struct step *s, int n)
{
    struct run *r = s->run;
    struct slice *x = &s->slices[n];
    int64_t dim = r->clip.config.embed_dim, row = n * r->slice;
    if (r->config.grad_cache) embed(s, n, true);
    struct mask mask = {0};
    bool masked = r->config.mask_weight > 0 && !r->config.lock_image;
    if (masked) mask_targets(&mask, r, s->batch, row, x->tokens);
    accumulator_begin(&r->gradients);
    tape_seed(&r->tape, x->image, s->d_images + row * dim);
    tape_seed(&r->tape, x->text, s->d_texts + row * dim);
    tape_backward(&r->tape, x->first, x->end);
    double loss = masked ? mask_learn(&mask, r) : 0;
    accumulator_end(&r->gradients);
    if (r->config.grad_cache) tape_reset(&r->tape);
    return loss;
}

/* The message for numbers that are not finite: which step, slice, samples. */
static int not_finite(struct step *s, const char *what, struct error *error)
{
    struct run *r = s->run;
    int64_t dim = r->clip.config.embed_dim;
    int guilty = -1;
    for (int n = 0; n < r->mine && guilty < 0; n++)
        for (int64_t i = n * r->slice * dim; i < (n + 1) * r->slice * dim; i++)
            if (!isfinite(s->images[i]) || !isfinite(s->texts[i])) guilty = n;
    int64_t where = world_max(r->world, guilty < 0 ? -1 : r->world->rank * r->mine + guilty);
    if (guilty < 0 && where >= 0) return error_set(error, ERROR_FAILED, "a slice of another rank is not finite");
    struct str ids = {0};
    int first = guilty < 0 ? 0 : guilty, end = guilty < 0 ? (int)r->mine : guilty + 1;
    for (int64_t i = first * r->slice; i < end * r->slice && ids.len < 900; i++) str_printf(&ids, " %ld", (long)s->batch->samples[i]);
    error_set(error, ERROR_FAILED,
              "step %ld: the %s is not finite (%s %d, samples%s); the last checkpoint stays, resume from it with a lower --lr or without these samples",
              (long)r->step + 1, what, guilty < 0 ? "no slice alone, first" : "slice", (int)(r->world->rank * r->mine) + first, ids.data);
    str_free(&ids);
    return -1;
}

/* One value a slice, summed over all slices in the fixed tree. */
static double tree_sum(const struct run *r, double *values)
{
    for (int64_t width = 1; width < r->mine; width *= 2)
        for (int64_t n = 0; n + width < r->mine; n += 2 * width) values[n] += values[n + width];
    double sum = values[0];
    world_sum_doubles(r->world, &sum, 1);
    return sum;
}

static double step_macs(const struct step *s)
{
    const struct run *r = s->run;
    double macs = (double)r->local * vision_macs(&r->clip.vision, s->batch->size);
    for (int n = 0; n < r->mine; n++) {
        const struct text_batch *w = &s->slices[n].words;
        double squares = 0;
        for (int64_t i = 0; i < w->count; i++) squares += pow(w->starts[i + 1] - w->starts[i], 2);
        macs += text_macs(&r->clip.text, (double)w->rows, squares, (double)w->count);
    }
    return macs;
}

int step_train(struct run *r, struct batch *batch, struct error *error)
{
    double start = clock_seconds();
    struct step s = {.run = r, .batch = batch};
    tape_reset(&r->tape);
    arena_release(&r->arena, 0);
    forward(&s);
    float *log_scale = r->clip.logit_scale->data;
    struct contrastive_result loss = contrastive_loss(&r->device, r->world, s.images, s.texts, s.d_images, s.d_texts, r->local,
                                                      r->clip.config.embed_dim, (int)r->slices, expf(*log_scale));
    if (!isfinite(loss.loss)) return world_agree(r->world, not_finite(&s, "loss", error), error);

    double *mask_loss = arena_take(&r->arena, (size_t)r->mine, sizeof *mask_loss);
    for (int n = (int)r->mine - 1; n >= 0; n--) mask_loss[n] = backward(&s, n);
    float *gradients = accumulator_sum(&r->gradients);
    /* the gradient of the logit scale is known whole: rank 0 brings it into the sum */
    const struct parameter *scale = parameters_find(&r->clip.parameters, "logit_scale");
    gradients[scale->offset] = r->world->rank ? 0 : (float)loss.logit_scale;

    double rate = schedule_rate(r->config.lr, r->config.lr_min, r->step, r->config.warmup, r->steps);
    double norm = optimizer_step(&r->optimizer, gradients, rate, r->step + 1);
    if (!isfinite(norm)) return world_agree(r->world, not_finite(&s, "gradient", error), error);
    if (*log_scale > (float)CLIP_MAX_LOGIT_SCALE) *log_scale = (float)CLIP_MAX_LOGIT_SCALE;
    if (*log_scale < 0) *log_scale = 0;
    r->step++;
    double mask = r->config.mask_weight > 0 ? tree_sum(r, mask_loss) : 0;
    r->report = (struct step_report){.loss = loss.loss + r->config.mask_weight * mask, .contrastive = loss.loss, .mask = mask,
                                     .accuracy = loss.accuracy, .rate = rate, .grad_norm = norm, .data_seconds = r->report.data_seconds,
                                     .step_seconds = clock_seconds() - start, .macs = step_macs(&s)};
    return 0;
}
