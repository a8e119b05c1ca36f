/* The contrastive objective: models, data and teacher, and what a run asks of them between steps. */
#include "trainer/trainer.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/str.h"
#include "checkpoint/tensors.h"
#include "models/weights.h"
#include "trainer/mask.h"

/* --- opening --- */

/* A model with a resolution forced upon it; `key` is the option that does so. */
static int load_config(struct model_config *model, const char *name, const char *key, int64_t size, struct error *error)
{
    if (model_config_load(model, name, error) < 0) return -1;
    if (size % model->vision.patch_size)
        return error_set(error, ERROR_USAGE, "--%s %ld is no multiple of the patch size %ld", key, (long)size,
                         (long)model->vision.patch_size);
    if (size) model->vision.image_size = size;
    if (!model->text.layers)
        return error_set(error, ERROR_USAGE, "%s: a vision tower alone, this needs a text tower too", name);
    if (model->text.vocab_size == TOKEN_VOCABULARY) return 0;
    return error_set(error, ERROR_USAGE, "%s has a vocabulary of %ld, the CLIP tokenizer %d", name,
                     (long)model->text.vocab_size, TOKEN_VOCABULARY);
}

static int open_model(struct trainer *t, struct error *error)
{
    const struct trainer_settings *c = &t->settings;
    struct model_config model;
    struct vision_config *v = &model.vision;
    if (load_config(&model, c->model, "force-image-size", c->image_size, error) < 0) return -1;
    if (strcmp(c->pool, "model")) v->pool = strcmp(c->pool, "class") ? POOL_ATTENTION : POOL_CLASS;
    if (v->pool == POOL_CLASS && !v->class_token)
        return error_set(error, ERROR_USAGE, "--pool class: %s has no class token", c->model);
    if (strcmp(c->rope, "model")) v->rope = !strcmp(c->rope, "true");
    if (resolutions_parse(&t->resolutions, c->resolution_schedule, v->image_size, v->patch_size, error) < 0) return -1;
    for (int i = 0; i < t->resolutions.count; i++)
        if (t->resolutions.size[i] > t->largest) t->largest = (int)t->resolutions.size[i];
    if (c->lock_image && c->mask_weight > 0)
        return error_set(error, ERROR_USAGE, "--mask-weight %g teaches the vision tower, --lock-image freezes it",
                         c->mask_weight);
    towers_open(&t->towers, &model);
    for (int64_t i = 0; i < t->towers.parameters.count; i++) {
        struct parameter *p = t->towers.parameters.list[i];
        if (strcmp(p->name, "logit_scale"))
            parameter_freeze(p, str_starts_with(p->name, "visual.") ? c->lock_image : c->lock_text);
    }
    return 0;
}

static int open_teacher(struct trainer *t, struct error *error)
{
    const struct trainer_settings *c = &t->settings;
    struct model_config model;
    if (!c->teacher) return 0;
    if (!c->teacher_weights)
        return error_set(error, ERROR_USAGE,
                         "--distill-model %s: a teacher must know something, give --distill-pretrained", c->teacher);
    if (load_config(&model, c->teacher, "distill-image-size", c->teacher_size, error) < 0)
        return error_prefix(error, "--distill-model");
    towers_open(&t->teacher, &model);
    return weights_load(&t->teacher, c->teacher_weights, false, error);
}

static int open_data(struct trainer *t, struct error *error)
{
    const struct trainer_settings *c = &t->settings;
    const struct option_list *sets = &c->data.train_data;
    struct record first;
    bool trusted = !strcmp(c->data.verify_shards, "off");
    if (collection_open(&t->data, sets->items, sets->count, error) < 0) return -1;
    if (!t->data.samples) return error_set(error, ERROR_FAILED, "--train-data: no samples");
    if (c->upsampling.count && collection_weigh(&t->data, c->upsampling.items, c->upsampling.count, error) < 0)
        return -1;
    if (trusted) collection_trust(&t->data);
    if (collection_read_texts(&t->data, 0, &first, error) < 0) return -1;
    uint32_t captions = first.caption_count;
    record_release(&first);
    if (!captions)
        return error_set(error, ERROR_FAILED, "--train-data %s: its samples have no captions, training needs them",
                         sets->items[0]);
    if (!c->val_data.count) return 0;
    if (collection_open(&t->validation, c->val_data.items, c->val_data.count, error) < 0) return -1;
    if (trusted) collection_trust(&t->validation);
    return 0;
}

/* Rank 0: what the options do not say of the run. */
static int identify(struct trainer *t, struct error *error)
{
    const struct trainer_settings *c = &t->settings;
    json_t *identity = t->run->identity;
    json_object_set_new(identity, "model-config", model_config_json(&t->towers.config));
    json_object_set_new(identity, "train-data", json_checksum(collection_identity(&t->data)));
    if (c->teacher) json_object_set_new(identity, "distill-model", model_config_json(&t->teacher.config));
    return tensors_identify(identity, "distill-pretrained", c->teacher_weights, error) < 0
               ? -1
               : tensors_identify(identity, "pretrained", c->pretrained, error);
}

static int open(struct training *run, void *self, struct error *error)
{
    struct trainer *t = self;
    t->run = run;
    t->media = media_options_of(&t->settings.data.media);
    if (open_model(t, error) < 0 || open_data(t, error) < 0 ||
        augmentation_of(&t->augmentation, &t->settings.augment, error) < 0 || open_teacher(t, error) < 0 ||
        trainer_zeroshot_open(t, error) < 0)
        return -1;
    if (machine_open_host(&t->host, run->world, &run->settings->machine, error) < 0) return -1;
    t->tokenizer = tokenizer_open();
    run->parameters = &t->towers.parameters;
    run->samples = t->data.epoch;
    return run->world->rank ? 0 : identify(t, error);
}

static int begin(void *self, struct error *error)
{
    struct trainer *t = self;
    if (t->settings.pretrained) return weights_load(&t->towers, t->settings.pretrained, false, error);
    towers_init(&t->towers, (uint64_t)t->run->settings->seed);
    return 0;
}

static int load(void *self, const char *folder, struct error *error)
{
    struct trainer *t = self;
    return weights_load(&t->towers, folder, false, error);
}

static int64_t sample(const void *self, uint64_t epoch, uint64_t place)
{
    const struct trainer *t = self;
    return collection_draw(&t->data, (uint64_t)t->run->settings->seed, epoch, place);
}

/* The loader's batch `number` is slice number % mine of step number / mine here. */
static void job(void *self, struct batch *b)
{
    const struct trainer *t = self;
    const struct plan *p = &t->run->plan;
    int64_t step = b->number / p->mine;
    b->count = p->rows;
    b->size = (int)resolution_at(&t->resolutions, step, p->steps);
    for (int64_t i = 0; i < p->rows; i++)
        b->samples[i] = training_sample(t->run, step, b->number % p->mine, i, &b->epochs[i]);
}

static void start_loader(struct trainer *t)
{
    enum {
        AHEAD = 2,
        AHEAD_OF_COPIES = 8
    }; /* slices beyond those of a step; of a step, where pixels leave the loader's memory at once */
    const struct plan *p = &t->run->plan;
    bool copied = t->run->device.kernels->reserve != NULL;
    int64_t ahead = copied && p->mine > AHEAD_OF_COPIES ? AHEAD_OF_COPIES : p->mine;
    struct loader_config c = {.data = &t->data,
                              .tokenizer = t->tokenizer,
                              .augmentation = &t->augmentation,
                              .context = t->towers.config.text.context_length,
                              .media = t->media,
                              .batches = p->steps * p->mine,
                              .first = t->run->step * p->mine,
                              .count_max = p->rows,
                              .size_max = t->largest,
                              .seed = (uint64_t)t->run->settings->seed,
                              .threads = (int)t->settings.data.workers,
                              .ahead = (int)ahead + AHEAD,
                              .keep = copied ? AHEAD : (int)p->mine,
                              .device = &t->run->device,
                              .job = job,
                              .job_context = t};
    if (t->settings.teacher)
        c.other.size = (int)t->teacher.config.vision.image_size,
        c.other.context = t->teacher.config.text.context_length;
    /* a slice's pixels stay until its backward pass is over; some more may be on their way meanwhile */
    t->pixel_slots = p->mine + AHEAD;
    t->loader = loader_open(&c);
}

static int start(void *self, struct error *error)
{
    struct trainer *t = self;
    const struct trainer_settings *c = &t->settings;
    struct training *run = t->run;
    const struct plan *p = &run->plan;
    (void)error;
    t->pictures = p->rows * collection_pictures(&t->data, &t->media);
    if (c->teacher) {
        towers_place(&t->teacher, &run->device, false);
        tape_init(&t->teacher_tape, &run->device);
    }
    contrastive_open(&t->contrastive, &run->device, &run->comm, p->rows, t->towers.config.embed_dim, p->slices);
    if (c->teacher)
        contrastive_teach(&t->contrastive, t->teacher.config.embed_dim, c->distill_contrastive, c->distill_weight,
                          c->distill_scale);
    device_arena_open(&run->device, &t->buffers, DEVICE_ARENA);
    for (int i = 0; i < 2; i++) device_host_arena_open(&run->device, &t->memory[i], trainer_host_bytes(t));
    start_loader(t);
    return 0;
}

static void close(void *self)
{
    struct trainer *t = self;
    struct device *d = &t->run->device;
    loader_close(t->loader);
    if (d->kernels) contrastive_close(&t->contrastive);
    if (t->teacher_tape.device) tape_free(&t->teacher_tape);
    for (int i = 0; i < 2; i++) arena_close(&t->memory[i]);
    arena_close(&t->buffers);
    towers_close(&t->towers);
    towers_close(&t->teacher);
    if (t->host.kernels) device_close(&t->host);
    tokenizer_close(t->tokenizer);
    collection_close(&t->data);
    collection_close(&t->validation);
    trainer_zeroshot_close(t);
}

/* --- between steps --- */

/* As gathered: the loss's totals, the logarithm of the logit scale, the sum of mask cosines. */
struct gathered {
    double totals[CONTRASTIVE_TOTALS], mask;
    float log_scale;
};

static void gather(void *self, void *there)
{
    struct trainer *t = self;
    struct device *d = &t->run->device;
    struct gathered *g = there; /* on the device: only addresses are formed */
    d->kernels->copy(d, g->totals, t->contrastive.totals, sizeof g->totals);
    d->kernels->copy(d, &g->log_scale, t->towers.logit_scale->master, sizeof g->log_scale);
    if (t->settings.mask_weight > 0) d->kernels->copy(d, &g->mask, mask_sum(t), sizeof g->mask);
}

static void figures(void *self, int64_t step, const void *gathered, struct figures *f)
{
    struct trainer *t = self;
    const struct gathered *g = gathered;
    struct contrastive_result c = contrastive_result(&t->contrastive, g->totals);
    int64_t size = resolution_at(&t->resolutions, step - 1, t->run->plan.steps);
    double mask = t->settings.mask_weight > 0 ? 1 - g->mask / mask_rows(t, (int)size) : 0;
    double loss =
        t->contrastive.weight * c.loss + t->contrastive.distill_weight * c.divergence + t->settings.mask_weight * mask;
    figures_set(f, "logit_scale", "Logit Scale", FIGURE_LAST, exp((double)g->log_scale));
    figures_set(f, "contrastive_loss", "Contrastive_loss", FIGURE_LAST, c.loss);
    figures_set(f, "loss", "Loss", FIGURE_MEAN, loss);
    figures_set(f, "mask_loss", NULL, FIGURE_LAST, mask);
    figures_set(f, "distill_loss", NULL, FIGURE_LAST, c.divergence);
    figures_set(f, "accuracy", "Acc", FIGURE_LAST, c.accuracy);
    figures_set(f, "image_size", "Res", FIGURE_LAST, (double)size);
    figures_set(f, "replaced", NULL, FIGURE_LAST, (double)loader_replaced(t->loader));
}

/* The gradient of the logit scale is known whole: one rank brings it into the sum, or, summed already, everyone. */
static void gradients(void *self, float *sum, bool reduced)
{
    struct trainer *t = self;
    struct device *d = &t->run->device;
    const struct parameter *scale = parameters_find(&t->towers.parameters, "logit_scale");
    if (reduced || !t->run->world->rank)
        d->kernels->scale_gradient(d, sum + scale->offset, t->contrastive.totals + CONTRASTIVE_SCALE,
                                   t->towers.logit_scale->master);
}

static void settle(void *self)
{
    struct trainer *t = self;
    struct device *d = &t->run->device;
    d->kernels->clamp(d, t->towers.logit_scale->master, 0, (float)MAX_LOGIT_SCALE, t->run->optimizer.factor);
}

static bool is_due(const struct trainer *t, int64_t sets, int64_t every, bool last)
{
    return sets && (last || (every && t->run->step % every == 0));
}

static int validate(void *self, bool last, struct error *error)
{
    struct trainer *t = self;
    bool retrieval = is_due(t, t->settings.val_data.count, t->settings.val_steps, last);
    bool zeroshot = is_due(t, t->labelled_count, t->settings.zeroshot_steps, last);
    if (!retrieval && !zeroshot) return 0;
    if (training_drain(t->run, error) < 0) return -1;
    if (retrieval && trainer_validate(t, error) < 0) return -1;
    return zeroshot && trainer_zeroshot(t, error) < 0 ? -1 : 1;
}

static int save(void *self, const struct checkpoint_writer *w, json_t *sums, struct error *error)
{
    struct trainer *t = self;
    char *path = checkpoint_file(w, "model.safetensors");
    uint64_t sum;
    int rc = weights_save(&t->towers, path, WEIGHTS_PE, &sum, error);
    if (rc == 0) json_object_set_new(sums, "model.safetensors", json_checksum(sum));
    free(path);
    return rc;
}

const struct objective contrastive_objective = {.bytes = sizeof(struct trainer),
                                                .least_slice = 32,
                                                .checks = 2,
                                                .figures_bytes = sizeof(struct gathered),
                                                .open = open,
                                                .begin = begin,
                                                .load = load,
                                                .start = start,
                                                .step = trainer_step,
                                                .receive = trainer_receive,
                                                .imagine = trainer_imagine,
                                                .forward = trainer_forward,
                                                .between = trainer_between,
                                                .backward = trainer_backward,
                                                .gradients = gradients,
                                                .settle = settle,
                                                .gather = gather,
                                                .figures = figures,
                                                .macs = trainer_macs,
                                                .sample = sample,
                                                .validate = validate,
                                                .save = save,
                                                .close = close};
